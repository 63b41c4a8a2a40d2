//! Sales and their taxes by month: kept in the very document that gives out invoice numbers, so that what was invoiced
//! is in them, once, and what was not is not.
//!
//! Invariant: the sums of a series are the sums of its documents.
use std::collections::BTreeMap;

use billing::invoice::Kind;
use billing::money::Currency;
use billing::refund::Part;
use billing::total::TotalMoney;
use serde::{Deserialize, Serialize};
use store::Document;

use super::Error;
use super::invoices::{COUNTER, counters_of};
use super::months::Month;
use super::prices::Taxed;
use crate::app::App;

/// Sellers of one year that are told of: one, and more where it changed.
const SELLERS_MAX: usize = 100;

/// What is kept with the last number of a seller's series in a year.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Counter {
    /// The name the series was begun under.
    seller: String,
    /// By month, such as `2026-11`, of UTC.
    months: BTreeMap<String, Vec<SalesBody>>,
}

/// Documents of one month that were taxed alike, in minor units of one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SalesBody {
    #[serde(with = "super::word")]
    currency: Currency,
    taxed: Taxed,
    net: i128,
    tax: i128,
    count: u64,
}

impl Counter {
    pub fn of(seller: &str) -> Counter {
        Counter { seller: seller.to_owned(), months: BTreeMap::new() }
    }
    pub fn add(&mut self, month: Month, currency: Currency, taxed: &Taxed, part: Part) {
        let rows = self.months.entry(month.to_string()).or_default();
        let place = rows.iter().position(|it| it.currency == currency && it.taxed == *taxed);
        let place = place.unwrap_or_else(|| {
            rows.push(SalesBody { currency, taxed: taxed.clone(), net: 0, tax: 0, count: 0 });
            rows.len() - 1
        });
        let row = &mut rows[place];
        row.net += i128::from(part.net);
        row.tax += i128::from(part.tax);
        row.count += 1;
    }
}

/// A seller's invoices and credit notes of a month that were taxed alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sales {
    pub seller: String,
    /// `taxed`, `reverse_charge`, `export` or `none`.
    pub treatment: String,
    /// Whose tax it is.
    pub country: Option<String>,
    /// Hundredths of a percent.
    pub rate: u32,
    pub invoices: u64,
    pub credit_notes: u64,
    /// Invoices less credit notes.
    pub net: TotalMoney,
    pub tax: TotalMoney,
}

impl App {
    /// What was invoiced in a month, less what was credited, by seller and how it is taxed.
    pub(super) fn sales(&self, month: Month) -> Result<Vec<Sales>, Error> {
        let mut sums: BTreeMap<(String, Currency, String, Option<String>, u32), Sales> = BTreeMap::new();
        for (kind, sign) in [(Kind::Invoice, 1), (Kind::CreditNote, -1)] {
            for (seller, it) in self.sales_of(kind, month)? {
                let none = TotalMoney { amount: 0, currency: it.currency };
                let Taxed { treatment, country, rate } = it.taxed;
                let key = (seller.clone(), it.currency, treatment.clone(), country.clone(), rate);
                let (invoices, credit_notes, net, tax) = (0, 0, none, none);
                let blank = || Sales { seller, treatment, country, rate, invoices, credit_notes, net, tax };
                let sum = sums.entry(key).or_insert_with(blank);
                sum.net.amount += sign * it.net;
                sum.tax.amount += sign * it.tax;
                match kind {
                    Kind::Invoice => sum.invoices += it.count,
                    Kind::CreditNote => sum.credit_notes += it.count,
                }
            }
        }
        Ok(sums.into_values().collect())
    }

    /// What all sellers wrote of a kind in a month, each by its name.
    fn sales_of(&self, kind: Kind, month: Month) -> Result<Vec<(String, SalesBody)>, Error> {
        let prefix = counters_of(kind, month.year);
        // Below what comes after all that begin so.
        let end = format!("{prefix}~");
        let counters = self.all_kept::<Counter>(Document::HOUSE, COUNTER, Some(&end), SELLERS_MAX)?;
        let mut found = Vec::new();
        for kept in counters.into_iter().take_while(|it| it.document.id.starts_with(&prefix)) {
            let Counter { seller, mut months } = kept.body;
            let sales = months.remove(&month.to_string()).unwrap_or_default();
            found.extend(sales.into_iter().map(|it| (seller.clone(), it)));
        }
        Ok(found)
    }
}
