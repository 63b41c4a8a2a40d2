//! What was asked for and refused: said beside the form it came from, in words for somebody who has a form and no API.
use std::sync::Arc;

use billing::Refusal;
use billing::money::Currency;

use super::{details, rows, show, topup};
use crate::app::App;
use crate::service::Error;
use crate::web::number;
use crate::web::range::Query;

/// The field of a refusal that is a sentence as it stands.
pub const SENTENCE: &str = "sentence";

/// What was asked for and refused; the form keeps what was typed into it.
#[derive(Clone, Debug)]
pub struct Trouble {
    pub section: &'static str,
    /// The field of its form that is to blame; empty where none is.
    pub field: &'static str,
    pub why: Result<String, Arc<Error>>,
    pub said: Query,
    /// It is about the only card of something that charges one by itself.
    pub is_of_needed_card: bool,
}

impl Trouble {
    pub fn of(section: &'static str, error: Error, said: &Query) -> Trouble {
        let is_of_needed_card = matches!(&error, Error::Refused(Refusal::PaymentMethodInUse { .. }));
        let (field, why) = match error {
            Error::Refused(refusal) => (blamed(section, &refusal), Ok(in_words(&refusal))),
            other => ("", Err(Arc::new(other))),
        };
        Trouble { section, field, why, said: said.clone(), is_of_needed_card }
    }

    /// Of a number that is too small or too large it says what can be bought.
    pub fn with_bounds(mut self, app: &App, currency: Currency) -> Trouble {
        let is_of_package = self.section == super::pay::SECTION && super::pay::is_both(&self.said);
        let typed = self.said.get("credits").filter(|_| self.field == "credits" && self.why.is_ok() && !is_of_package);
        if typed.is_some_and(|it| number::credits("credits", it).is_ok()) {
            let (least, most) = app.purchase_bounds(currency);
            let [fewest, largest] = [app.credits_within(least, true), app.credits_within(most, false)];
            let [fewest, largest] = [fewest, largest].map(rows::whole);
            let [least, most] = [least, most].map(show::money);
            self.why =
                Ok(format!("From {fewest} to {largest} credits can be bought at once: {least} to {most} before tax."));
        }
        self
    }
}

/// The field of a section's form that a refusal is about.
fn blamed(section: &str, refusal: &Refusal) -> &'static str {
    let Refusal::Invalid { field, .. } = refusal else { return "" };
    match (section, &**field) {
        (super::pay::SECTION, "credits" | SENTENCE) | (topup::SECTION, "credits") => "credits",
        (topup::SECTION, "threshold") => "threshold",
        (topup::SECTION, "monthly_maximum") => "maximum",
        (topup::SECTION, "payment_method") => "method",
        (details::SECTION, "name") => "name",
        (details::SECTION, "email") => "email",
        (details::SECTION, "tax_id") => "tax_id",
        (details::SECTION, "street") => "street",
        (details::SECTION, "city") => "city",
        (details::SECTION, "postal_code") => "postal_code",
        (details::SECTION, "address.country") => "country",
        _ => "",
    }
}

/// A refusal as somebody reads it who has a form before them and no API.
fn in_words(refusal: &Refusal) -> String {
    let text = match refusal {
        Refusal::Invalid { field, why } if &**field == SENTENCE => return why.clone(),
        Refusal::Invalid { field, why } => {
            let label = match &**field {
                "credits" => "The number of credits",
                "threshold" => "The threshold",
                "monthly_maximum" => "The monthly maximum",
                "payment_method" => "A saved card",
                "email" => "The e-mail address",
                "tax_id" => "The VAT number",
                "name" => "The name",
                "address" => "The address",
                "street" => "The street",
                "city" => "The city",
                "postal_code" => "The postal code",
                "address.country" => "The country",
                "from" => "The first day",
                "to" => "The last day",
                _ => "What was sent",
            };
            format!("{label} {why}.")
        }
        Refusal::PackageNotFound => "This package is no longer sold. Please choose another one.".to_owned(),
        Refusal::PlanNotFound => "This plan is no longer sold. Please choose another one.".to_owned(),
        Refusal::SubscriptionExists => "There is a subscription already: change it instead.".to_owned(),
        other => format!("{other}."),
    };
    let mut letters = text;
    if let Some(first) = letters.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    letters
}
