//! What happened at the provider, read from its own list: what notices missed.
use billing::time::Timestamp;

use super::form::Form;
use super::lists::AT_A_TIME;
use super::words::{Failure, Notice, RefusedFor, Unread};
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

/// An event of the provider's list.
pub type Heard = Result<Notice, Unread>;

impl Provider {
    /// What happened from `from` on and before `until`, oldest first, cut at whole seconds. The provider keeps events
    /// for thirty days. None when there are more than two thousand: ask for a shorter while. One that cannot be read is
    /// among them, and says so.
    ///
    /// # Errors
    /// See [`Failure`]; never ambiguous.
    pub fn events(&self, from: Timestamp, until: Timestamp) -> Result<Option<Vec<Heard>>, Failure> {
        let (mut newest_first, mut last): (Vec<Heard>, Option<String>) = (Vec::new(), None);
        for _ in 0..ANSWERS_MAX {
            let query = Form::new()
                .with("created[gte]", from.millis().div_euclid(1000))
                .with("created[lt]", until.millis().div_euclid(1000))
                .with("limit", AT_A_TIME)
                .with_some("starting_after", last.as_ref());
            let query = HEARD.iter().fold(query, |query, it| query.with("types[]", it));
            let list = self.wire.get("/v1/events", query)?;
            for event in list["data"].as_array().into_iter().flatten() {
                let reference = event["id"].as_str().ok_or_else(|| read::unreadable(event, "id").looked_at())?;
                last = Some(reference.to_owned());
                newest_first.push(read::notice_or_why(event));
            }
            if list["has_more"] != true {
                newest_first.reverse();
                return Ok(Some(newest_first));
            }
        }
        Ok(None)
    }

    /// One event. None where the provider has it no more.
    ///
    /// # Errors
    /// As of [`Provider::events`].
    pub fn event(&self, reference: &str) -> Result<Option<Heard>, Failure> {
        match self.wire.get(&format!("/v1/events/{reference}"), Form::new()) {
            Ok(object) => Ok(Some(read::notice_or_why(&object))),
            Err(Failure::Refused { why: RefusedFor::Missing, .. }) => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}
