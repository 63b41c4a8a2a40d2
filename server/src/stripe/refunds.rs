//! Money out: what we give back, and what banks take back.
use super::form::Form;
use super::read::Unreadable;
use super::words::{Dispute, Failure, Refund, RefundOrder};
use super::{Provider, amounts, read};

const REFUNDS: &str = "/v1/refunds";
const DISPUTES: &str = "/v1/disputes";

impl Provider {
    /// Gives money back to where it came from.
    ///
    /// # Errors
    /// See [`Failure`]; refused when it is more than is left. When ambiguous, [`Provider::refunds`] shows it by our id.
    pub fn refund(&self, order: &RefundOrder<'_>, key: &str) -> Result<Refund, Failure> {
        let form = Form::new()
            .with("payment_intent", order.payment)
            .with("amount", amounts::sent(order.amount)?)
            .with(&format!("metadata[{}]", read::OURS), order.ours);
        self.wire.post(REFUNDS, form, key).and_then(|it| read::refund(&it).map_err(Unreadable::asked_for))
    }

    /// The refunds of a payment, newest first, those made by hand included.
    ///
    /// # Errors
    /// See [`Failure`]; never ambiguous.
    pub fn refunds(&self, payment: &str) -> Result<Vec<Refund>, Failure> {
        self.list(REFUNDS, &[("payment_intent", payment)])?
            .iter()
            .map(|it| read::refund(it).map_err(Unreadable::looked_at))
            .collect()
    }

    /// # Errors
    /// See [`Failure`]; never ambiguous.
    pub fn dispute(&self, reference: &str) -> Result<Dispute, Failure> {
        self.wire
            .get(&format!("{DISPUTES}/{reference}"), Form::new())
            .and_then(|it| read::dispute(&it).map_err(Unreadable::looked_at))
    }

    /// The disputes of a payment, newest first.
    ///
    /// # Errors
    /// See [`Failure`]; never ambiguous.
    pub fn disputes(&self, payment: &str) -> Result<Vec<Dispute>, Failure> {
        self.list(DISPUTES, &[("payment_intent", payment)])?
            .iter()
            .map(|it| read::dispute(it).map_err(Unreadable::looked_at))
            .collect()
    }
}
