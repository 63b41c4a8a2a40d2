//! What credits cost: the list price, an account's tax, and the bounds of one purchase.
use billing::Refusal;
use billing::id::Name;
use billing::money::{Credits, Currency, Money};
use billing::tax::{Country, Rate, Treatment, VatId};
use serde::{Deserialize, Serialize};

use super::Error;
use crate::app::{App, Known};
use crate::stripe::charged_max;

/// What one purchase may cost, in whole units of the currency, tax aside.
const LEAST: i64 = 5;
const MOST: i64 = 10_000;

/// How a payment is taxed, as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taxed {
    /// `none`, `taxed`, `reverse_charge` or `export`.
    pub treatment: String,
    pub country: Option<String>,
    /// Hundredths of a percent.
    pub rate: u32,
}

impl Taxed {
    pub(super) fn of(treatment: Treatment) -> Taxed {
        let (name, country) = match treatment {
            Treatment::None => ("none", None),
            Treatment::Taxed(country, _) => ("taxed", Some(country.to_string())),
            Treatment::ReverseCharge => ("reverse_charge", None),
            Treatment::Export => ("export", None),
        };
        Taxed { treatment: name.to_owned(), country, rate: treatment.rate().0 }
    }

    pub(super) fn treatment(&self) -> Treatment {
        match (&*self.treatment, self.country.as_ref().and_then(|it| it.parse().ok())) {
            ("taxed", Some(country)) => Treatment::Taxed(country, Rate(self.rate)),
            ("reverse_charge", _) => Treatment::ReverseCharge,
            ("export", _) => Treatment::Export,
            _ => Treatment::None,
        }
    }
}

/// What is charged for something, in minor units of one currency.
#[derive(Clone, Debug)]
pub(super) struct Charged {
    pub net: i64,
    pub tax: i64,
    pub taxed: Taxed,
}

impl App {
    /// The list price of credits, rounded up to what can be collected: once per purchase.
    pub(super) fn list_price(&self, credits: Credits, currency: Currency) -> i64 {
        let exact = i128::from(credits.micros())
            * i128::from(self.settings.hundred_credits_cost)
            * 10_i128.pow(currency.places());
        let step = i128::from(currency.step());
        let unit = 100 * i128::from(Credits::MICROS) * step;
        i64::try_from((exact + unit - 1) / unit * step).expect("credits that may be bought cost less than i64")
    }

    /// `net` with the tax this account's purchases bear.
    pub(super) fn with_tax(&self, known: &Known, net: i64) -> Charged {
        let treatment = self.treatment(known);
        let tax = treatment.rate().of(Money { amount: net, currency: known.account.currency }).amount;
        Charged { net, tax, taxed: Taxed::of(treatment) }
    }

    /// How an account's purchases are taxed as things stand.
    pub fn tax_treatment(&self, account: &Name) -> Result<Treatment, Error> {
        Ok(self.treatment(&*self.known(account)?))
    }

    fn treatment(&self, known: &Known) -> Treatment {
        let seller = self.settings.seller.country.parse::<Country>().ok();
        let vat_id = known.account.tax_id.as_deref().and_then(VatId::parse);
        Treatment::of(seller, country_of(known), vat_id.as_ref())
    }

    /// Refuses what is too little for the provider's fee, or too much for a mistake.
    pub(super) fn within_bounds(&self, net: i64, currency: Currency) -> Result<(), Refusal> {
        let unit = 10_i64.pow(currency.places());
        let least = (LEAST * unit).max(least_charge(currency));
        if (least..=MOST * unit).contains(&net) {
            return Ok(());
        }
        let (least, unit) = (least / unit, currency.as_str().to_uppercase());
        Err(Refusal::invalid("credits", format!("must cost from {least} to {MOST} {unit} before tax")))
    }

    /// Refuses a price, tax aside, that a card cannot be charged, or not with the tax that may come on top.
    pub(super) fn chargeable(&self, price: i64, currency: Currency) -> Result<(), Refusal> {
        let refuse = |why: String| Err(Refusal::invalid("price.amount", why));
        let (least, most, step) = (least_charge(currency), charged_max(currency), currency.step());
        if price < least {
            return refuse(format!("must be at least {least}, the least a card can be charged"));
        }
        if in_steps(price, currency) != price {
            return refuse(format!(
                "must be a multiple of {step}: cards are charged no smaller parts of this currency"
            ));
        }
        let is_taxed = self.settings.seller.country.parse::<Country>().is_ok();
        let rate = if is_taxed { Rate::HIGHEST } else { Rate::ZERO };
        let tax = rate.of(Money { amount: price.min(most), currency }).amount;
        if most - tax < price {
            return refuse(format!("must with tax be at most {most}, the most a card can be charged"));
        }
        Ok(())
    }
}

/// What of an amount cards can be charged: rounded down to what the currency is collected in.
pub(super) fn in_steps(amount: i64, currency: Currency) -> i64 {
    amount - amount % currency.step()
}

/// The least that a card can be charged, in minor units: half of the currency's unit, and fifty where it has no smaller
/// part.
pub(super) fn least_charge(currency: Currency) -> i64 {
    if currency.places() == 0 { 50 } else { 10_i64.pow(currency.places()) / 2 }
}

/// The country of an account's billing address: its member `country`.
fn country_of(known: &Known) -> Option<Country> {
    let address: serde_json::Value = serde_json::from_str(known.account.address.as_deref()?).ok()?;
    address["country"].as_str()?.parse().ok()
}
