//! What happened at the provider, read from its own list: what notices missed.
use billing::time::Timestamp;

use super::form::Form;
use super::lists::AT_A_TIME;
use super::words::{Failure, Notice};
use super::{Provider, read};

/// Answers of a hundred events that are read for one call.
const ANSWERS_MAX: usize = 20;

/// What is heard of (see `read::notice`), by the provider's names, of which it takes twenty. Nothing else is asked for:
/// an operator's other business with the provider may be a thousand times as much.
const HEARD: [&str; 20] = [
    "payment_intent.succeeded",
    "payment_intent.payment_failed",
    "payment_intent.requires_action",
    "payment_intent.canceled",
    "checkout.session.completed",
    "checkout.session.expired",
    "setup_intent.succeeded",
    "payment_method.attached",
    "payment_method.automatically_updated",
    "payment_method.detached",
    "payment_method.updated",
    "customer.deleted",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
];

impl Provider {
    /// What happened from `from` on and before `until`, oldest first, cut at whole seconds. The provider keeps events
    /// for thirty days. None when there are more than two thousand: ask for a shorter while.
    ///
    /// # Errors
    /// See [`Failure`]; never ambiguous.
    pub fn events(&self, from: Timestamp, until: Timestamp) -> Result<Option<Vec<Notice>>, Failure> {
        let mut newest_first: Vec<Notice> = Vec::new();
        for _ in 0..ANSWERS_MAX {
            let query = Form::new()
                .with("created[gte]", from.millis().div_euclid(1000))
                .with("created[lt]", until.millis().div_euclid(1000))
                .with("limit", AT_A_TIME)
                .with_some("starting_after", newest_first.last().map(|it| &it.reference));
            let query = HEARD.iter().fold(query, |query, it| query.with("types[]", it));
            let list = self.wire.get("/v1/events", query)?;
            for event in list["data"].as_array().into_iter().flatten() {
                newest_first.push(read::notice(event).map_err(read::Unreadable::looked_at)?);
            }
            if list["has_more"] != true {
                newest_first.reverse();
                return Ok(Some(newest_first));
            }
        }
        Ok(None)
    }
}
