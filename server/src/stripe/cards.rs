//! Saved cards: saved on a page or by the provider's script, listed, made the default, removed. A card's number is
//! never seen here.
use super::form::Form;
use super::read::Unreadable;
use super::words::{Card, CardOrder, CardSetup, Failure, Page};
use super::{Provider, read};

const METHODS: &str = "/v1/payment_methods";
const SETUPS: &str = "/v1/setup_intents";

impl Provider {
    /// Opens a page on which the customer saves a card, to be charged also when they are not there.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn start_card_page(&self, order: &CardOrder<'_>, key: &str) -> Result<Page, Failure> {
        let id = format!("[{}]", read::OURS);
        let form = Form::new()
            .with("mode", "setup")
            .with("customer", order.customer)
            .with("currency", order.currency.as_str())
            .with(&format!("metadata{id}"), order.ours)
            .with(&format!("setup_intent_data[metadata]{id}"), order.ours)
            .with("payment_method_types[0]", "card")
            .with("success_url", order.success_url)
            .with("cancel_url", order.cancel_url);
        self.wire.post("/v1/checkout/sessions", form, key).and_then(|it| read::page(&it).map_err(Unreadable::asked_for))
    }

    /// Begins to save a card with the provider's script in the customer's browser.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn start_card_setup(&self, customer: &str, ours: &str, key: &str) -> Result<CardSetup, Failure> {
        let form = Form::new()
            .with("customer", customer)
            .with("usage", "off_session")
            .with("payment_method_types[0]", "card")
            .with(&format!("metadata[{}]", read::OURS), ours);
        self.wire.post(SETUPS, form, key).map(|it| read::setup(&it))
    }

    /// How the saving of a card stands.
    ///
    /// # Errors
    /// See [`Failure`]; never ambiguous.
    pub fn setup(&self, reference: &str) -> Result<CardSetup, Failure> {
        self.wire.get(&format!("{SETUPS}/{reference}"), Form::new()).map(|it| read::setup(&it))
    }

    /// A customer's saved cards, newest first.
    ///
    /// # Errors
    /// See [`Failure`]; never ambiguous.
    pub fn cards(&self, customer: &str) -> Result<Vec<Card>, Failure> {
        Ok(self.list(METHODS, &[("customer", customer), ("type", "card")])?.iter().map(read::card).collect())
    }

    /// # Errors
    /// See [`Failure`]; never ambiguous.
    pub fn card(&self, reference: &str) -> Result<Card, Failure> {
        self.wire.get(&format!("{METHODS}/{reference}"), Form::new()).map(|it| read::card(&it))
    }

    /// The card that is charged where none is named.
    ///
    /// # Errors
    /// See [`Failure`]; never ambiguous.
    pub fn default_card(&self, customer: &str) -> Result<Option<String>, Failure> {
        let object = self.wire.get(&format!("/v1/customers/{customer}"), Form::new())?;
        Ok(read::reference(&object["invoice_settings"]["default_payment_method"]))
    }

    /// # Errors
    /// See [`Failure`].
    pub fn set_default_card(&self, customer: &str, card: &str, key: &str) -> Result<(), Failure> {
        let form = Form::new().with("invoice_settings[default_payment_method]", card);
        self.wire.post(&format!("/v1/customers/{customer}"), form, key).map(drop)
    }

    /// Removes a card for good: it cannot be charged again.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn remove_card(&self, card: &str, key: &str) -> Result<Card, Failure> {
        self.wire.post(&format!("{METHODS}/{card}/detach"), Form::new(), key).map(|it| read::card(&it))
    }
}
