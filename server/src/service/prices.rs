//! What credits cost: the list price, an account's tax, and the bounds of one purchase.
use billing::Refusal;
use billing::id::Name;
use billing::money::{Credits, Currency, Money};
use billing::tax::{Country, Rate, Treatment, VatId};
use serde::{Deserialize, Serialize};

use super::Error;
use crate::app::{App, Known};
use crate::stripe::charged_max;

/// What one purchase may cost where the operator says nothing, tax aside, in whole units of a currency whose unit is
/// worth about a euro.
const LEAST: i64 = 5;
const MOST: i64 = 10_000;
/// Currencies whose unit is worth much less, and how many of it are about a euro, as a power of ten rounded down: what
/// bounds a mistake need not be exact.
const SMALL: [(i64, &str); 4] = [
    (
        10,
        "afn bdt cny czk dkk dop egp etb gtq hkd hnl htg inr mad mdl mkd mxn mzn nio nok npr php rub sek szl thb try \
          twd uah uyu zar zmw",
    ),
    (100, "all amd aoa ars crc dzd djf gmd gyd huf isk jmd jpy kes kmf kzt lkr lrd pkr rsd vuv xaf xof xpf yer"),
    (1_000, "bif clp cop gnf iqd khr krw mga mnt mmk mwk ngn pyg rwf ssp tzs ugx"),
    (10_000, "idr irr lak lbp uzs vnd"),
];

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
        let now = self.now();
        Treatment::of(seller, country_of(known), vat_id.as_ref(), |it| self.settings.vat.at(it, now))
    }

    /// The least and the most that one purchase may cost before tax.
    pub fn purchase_bounds(&self, currency: Currency) -> (Money, Money) {
        let (least, most) = self.settings.purchase.get(&currency).copied().unwrap_or_else(|| bounds(currency));
        (Money { amount: least, currency }, Money { amount: most, currency })
    }

    /// Whole credits for that money at list price: the fewest that cost no less, or the most that cost no more.
    pub fn credits_within(&self, money: Money, at_least: bool) -> Credits {
        let thousand = i128::from(self.at_list_price(Credits::whole(1_000), money.currency).amount).max(1);
        let scaled = i128::from(money.amount) * 1_000 + if at_least { thousand - 1 } else { 0 };
        Credits::whole(i64::try_from(scaled / thousand).unwrap_or(i64::MAX / Credits::MICROS))
    }

    /// Refuses what is too little for the provider's fee, or too much for a mistake.
    pub(super) fn within_bounds(&self, net: i64, currency: Currency) -> Result<(), Refusal> {
        let (least, most) = self.settings.purchase.get(&currency).copied().unwrap_or_else(|| bounds(currency));
        if (least..=most).contains(&net) {
            return Ok(());
        }
        let [least, most] = [least, most].map(|it| in_units(it, currency));
        let unit = currency.as_str().to_uppercase();
        Err(Refusal::invalid("credits", format!("must cost from {least} to {most} {unit} before tax")))
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
        let rate = if is_taxed { self.settings.vat.highest() } else { Rate::ZERO };
        let tax = rate.of(Money { amount: price.min(most), currency }).amount;
        if most - tax < price {
            return refuse(format!("must with tax be at most {most}, the most a card can be charged"));
        }
        Ok(())
    }
}

/// What a card can be charged, tax aside, in minor units: the least, and the most with as much tax on top as there may
/// be.
pub fn chargeable(currency: Currency) -> (i64, i64) {
    (least_charge(currency), in_steps(charged_max(currency) / 2, currency))
}

/// What one purchase may cost where the operator says nothing, tax aside, in minor units.
pub fn bounds(currency: Currency) -> (i64, i64) {
    let unit = 10_i64.pow(currency.places());
    let is_in = |list: &str| list.split(' ').any(|it| it == currency.as_str());
    let per_euro = SMALL.iter().find(|it| is_in(it.1)).map_or(1, |it| it.0);
    let (floor, ceiling) = chargeable(currency);
    ((LEAST * unit).max(floor), (MOST * per_euro * unit).min(ceiling))
}

/// An amount of minor units as it is said: `5`, `2.50`.
fn in_units(amount: i64, currency: Currency) -> String {
    let unit = 10_i64.pow(currency.places());
    let places = usize::try_from(currency.places()).unwrap_or_default();
    let (whole, part) = (amount / unit, amount % unit);
    if part == 0 { whole.to_string() } else { format!("{whole}.{part:0places$}") }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_purchase_is_bounded_by_what_is_a_mistake_in_its_currency() {
        for (currency, least, most) in [
            ("eur", "5", "10000"),
            ("usd", "5", "10000"),
            ("jpy", "50", "1000000"),
            ("krw", "50", "10000000"),
            ("sek", "5", "100000"),
            ("huf", "5", "499999.99"),
            ("kwd", "5", "10000"),
            ("vnd", "50", "49999999"),
        ] {
            let currency: Currency = currency.parse().unwrap();
            let (from, to) = bounds(currency);
            assert_eq!((&*in_units(from, currency), &*in_units(to, currency)), (least, most), "{currency:?}");
            assert_eq!((in_steps(to, currency), to <= charged_max(currency)), (to, true), "{currency:?}");
        }
    }

    #[test]
    fn no_currency_is_listed_twice() {
        let mut all: Vec<&str> = SMALL.iter().flat_map(|it| it.1.split(' ')).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert!(all.iter().all(|it| it.parse::<Currency>().is_ok_and(|read| read.as_str() == *it)));
    }
}
