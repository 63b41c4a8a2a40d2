//! Money in: pages to buy on, and charges of saved cards.
use billing::money::Money;
use billing::time::Timestamp;
use serde_json::Value;

use super::form::Form;
use super::lists::{AT_A_TIME, PAGES_MAX};
use super::read::Unreadable;
use super::wire::Settled;
use super::words::{Failure, FinishOrder, Page, Payment, PurchaseOrder, SavedCharge};
use super::{Provider, amounts, read};

const INTENTS: &str = "/v1/payment_intents";
const PAGES: &str = "/v1/checkout/sessions";

impl Provider {
    /// Opens a page on which the customer pays.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn start_purchase_page(&self, order: &PurchaseOrder<'_>, key: &str) -> Result<Page, Failure> {
        let id = format!("[{}]", read::OURS);
        let mut form = Form::new()
            .with("mode", "payment")
            .with("customer", order.customer)
            .with("client_reference_id", order.ours)
            .with(&format!("metadata{id}"), order.ours)
            .with(&format!("payment_intent_data[metadata]{id}"), order.ours)
            .with("payment_method_types[0]", "card")
            .with("success_url", order.success_url)
            .with("cancel_url", order.cancel_url)
            .with("expires_at", order.expires_at.millis() / 1000);
        if order.save_card {
            form = form.with("payment_intent_data[setup_future_usage]", "off_session");
        }
        for (index, line) in order.lines.iter().enumerate() {
            let at = |member: &str| format!("line_items[{index}]{member}");
            let amount = amounts::sent(Money { amount: line.amount, currency: order.currency })?;
            form = form
                .with(&at("[quantity]"), 1)
                .with(&at("[price_data][currency]"), order.currency.as_str())
                .with(&at("[price_data][unit_amount]"), amount)
                .with(&at("[price_data][product_data][name]"), &line.name);
        }
        self.wire.post(PAGES, form, key).and_then(|it| read::page(&it).map_err(Unreadable::asked_for))
    }

    /// A page as it is now.
    ///
    /// # Errors
    /// See [`Failure`]; never ambiguous.
    pub fn page(&self, reference: &str) -> Result<Page, Failure> {
        self.wire
            .get(&format!("{PAGES}/{reference}"), Form::new())
            .and_then(|it| read::page(&it).map_err(Unreadable::looked_at))
    }

    /// Closes a page that is still open, so that nobody pays on it any more.
    ///
    /// # Errors
    /// See [`Failure`]; refused when it is not open: look at it again.
    pub fn close_page(&self, reference: &str, key: &str) -> Result<Page, Failure> {
        self.wire
            .post(&format!("{PAGES}/{reference}/expire"), Form::new(), key)
            .and_then(|it| read::page(&it).map_err(Unreadable::asked_for))
    }

    /// The page that carries our id, among those of a customer opened at `since` or later.
    ///
    /// # Errors
    /// See [`Failure`]; never ambiguous.
    pub fn find_page(&self, customer: &str, ours: &str, since: Timestamp) -> Result<Option<Page>, Failure> {
        self.find(PAGES, customer, ours, since)?.map(|it| read::page(&it).map_err(Unreadable::looked_at)).transpose()
    }

    /// Charges a saved card. A decline is `Ok`, with [`PaymentStatus::Failed`](super::PaymentStatus::Failed).
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn charge_saved(&self, order: &SavedCharge<'_>, key: &str) -> Result<Payment, Failure> {
        let form = Form::new()
            .with("amount", amounts::sent(order.total)?)
            .with("currency", order.total.currency.as_str())
            .with("customer", order.customer)
            .with("payment_method", order.card)
            .with("payment_method_types[0]", "card")
            .with("confirm", true)
            .with(&format!("metadata[{}]", read::OURS), order.ours);
        let form = match order.return_url {
            Some(url) => form.with("return_url", url),
            None => form.with("off_session", true),
        };
        self.wire.post_settled(INTENTS, form, key).and_then(paid_or_declined)
    }

    /// Tries a payment that wanted the customer again, with the customer there.
    ///
    /// # Errors
    /// See [`Failure`]; refused when the payment is over.
    pub fn finish(&self, order: &FinishOrder<'_>, key: &str) -> Result<Payment, Failure> {
        let form = Form::new().with("payment_method", order.card).with("return_url", order.return_url);
        let path = format!("{INTENTS}/{}/confirm", order.payment);
        self.wire.post_settled(&path, form, key).and_then(paid_or_declined)
    }

    /// Gives a payment up, so that it can no longer succeed.
    ///
    /// # Errors
    /// See [`Failure`]; refused when it has succeeded: look at it again.
    pub fn cancel_payment(&self, reference: &str, key: &str) -> Result<Payment, Failure> {
        self.wire
            .post(&format!("{INTENTS}/{reference}/cancel"), Form::new(), key)
            .and_then(|it| read::payment(&it).map_err(Unreadable::asked_for))
    }

    /// A payment as it is now.
    ///
    /// # Errors
    /// See [`Failure`]; never ambiguous.
    pub fn payment(&self, reference: &str) -> Result<Payment, Failure> {
        self.wire
            .get(&format!("{INTENTS}/{reference}"), Form::new())
            .and_then(|it| read::payment(&it).map_err(Unreadable::looked_at))
    }

    /// The payment that carries our id, among those of a customer begun at `since` or later.
    ///
    /// # Errors
    /// See [`Failure`]; never ambiguous.
    pub fn find_payment(&self, customer: &str, ours: &str, since: Timestamp) -> Result<Option<Payment>, Failure> {
        self.find(INTENTS, customer, ours, since)?
            .map(|it| read::payment(&it).map_err(Unreadable::looked_at))
            .transpose()
    }

    /// Reads the customer's list rather than searching: the list shows at once what was made, a search after a minute.
    fn find(&self, path: &str, customer: &str, ours: &str, since: Timestamp) -> Result<Option<Value>, Failure> {
        let mut after: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let query = Form::new()
                .with("customer", customer)
                .with("created[gte]", since.millis().div_euclid(1000))
                .with("limit", AT_A_TIME)
                .with_some("starting_after", after.as_ref());
            let list = self.wire.get(path, query)?;
            let items = list["data"].as_array().map_or(&[][..], Vec::as_slice);
            if let Some(found) = items.iter().find(|it| it["metadata"][read::OURS] == ours) {
                return Ok(Some(found.clone()));
            }
            after = items.last().and_then(read::reference);
            if list["has_more"] != true || after.is_none() {
                return Ok(None);
            }
        }
        let detail = format!("more than {PAGES_MAX} pages of {path} since the time given");
        Err(Failure::Busy { after: super::CERTAIN_AFTER, detail })
    }
}

/// A declined card is answered as an error that holds the payment.
fn paid_or_declined(settled: Settled) -> Result<Payment, Failure> {
    if settled.is_done() {
        return read::payment(&settled.body).map_err(Unreadable::asked_for);
    }
    let error = &settled.body["error"];
    if error["type"] != "card_error" || !error["payment_intent"].is_object() {
        return Err(settled.refused());
    }
    let mut object = error["payment_intent"].clone();
    if object["last_payment_error"].is_null() {
        object["last_payment_error"] = error.clone();
    }
    read::payment(&object).map_err(Unreadable::asked_for)
}
