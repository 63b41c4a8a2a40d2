//! Sales and their taxes by month: kept in the very document that gives out invoice numbers, so that what was invoiced
//! is in them, once, and what was not is not.
//!
//! Invariant: the sums of a series are the sums of its documents.
use std::collections::BTreeMap;

use billing::money::{Currency, Money};
use billing::refund::Part;
use serde::{Deserialize, Serialize};
use store::Document;

use super::Error;
use super::months::Month;
use super::prices::Taxed;
use crate::app::App;

/// What is kept with the last number of a series and year.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Counter {
    /// By month, such as `2026-11`, of UTC.
    months: BTreeMap<String, Vec<SalesBody>>,
}

/// Documents of one month that were taxed alike, in minor units of one currency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SalesBody {
    currency: String,
    taxed: Taxed,
    net: i64,
    tax: i64,
    count: u64,
}

impl Counter {
    pub fn add(&mut self, month: Month, currency: &str, taxed: &Taxed, part: Part) {
        let rows = self.months.entry(month.to_string()).or_default();
        let place = rows.iter().position(|it| it.currency == currency && it.taxed == *taxed);
        let place = place.unwrap_or_else(|| {
            rows.push(SalesBody { currency: currency.to_owned(), taxed: taxed.clone(), net: 0, tax: 0, count: 0 });
            rows.len() - 1
        });
        let row = &mut rows[place];
        row.net += part.net;
        row.tax += part.tax;
        row.count += 1;
    }
}

/// Invoices and credit notes of a month that were taxed alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sales {
    /// `taxed`, `reverse_charge`, `export` or `none`.
    pub treatment: String,
    /// Whose tax it is.
    pub country: Option<String>,
    /// Hundredths of a percent.
    pub rate: u32,
    pub invoices: u64,
    pub credit_notes: u64,
    /// Invoices less credit notes.
    pub net: Money,
    pub tax: Money,
}

impl App {
    /// What was invoiced in a month, less what was credited, by how it is taxed.
    pub(super) fn sales(&self, month: Month) -> Result<Vec<Sales>, Error> {
        let mut sums: BTreeMap<(String, String, Option<String>, u32), Sales> = BTreeMap::new();
        for (series, sign) in [(super::invoices::INVOICES, 1), (super::invoices::CREDIT_NOTES, -1)] {
            let id = format!("{series}-{}", month.year);
            let Some(counter) = self.kept::<Counter>(Document::HOUSE, super::invoices::COUNTER, &id)? else { continue };
            for it in counter.body.months.get(&month.to_string()).into_iter().flatten() {
                let currency: Currency = it.currency.parse().unwrap_or(Currency::EUR);
                let none = Money { amount: 0, currency };
                let Taxed { treatment, country, rate } = it.taxed.clone();
                let key = (it.currency.clone(), treatment.clone(), country.clone(), rate);
                let (invoices, credit_notes, net, tax) = (0, 0, none, none);
                let blank = || Sales { treatment, country, rate, invoices, credit_notes, net, tax };
                let sum = sums.entry(key).or_insert_with(blank);
                sum.net.amount += sign * it.net;
                sum.tax.amount += sign * it.tax;
                if sign == 1 {
                    sum.invoices += it.count;
                } else {
                    sum.credit_notes += it.count;
                }
            }
        }
        Ok(sums.into_values().collect())
    }
}
