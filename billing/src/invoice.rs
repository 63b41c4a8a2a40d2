//! Invoices and credit notes: their numbers, and that they add up.
//!
//! Must never know what a number is written on. Invariant: within a series and a year numbers are 1, 2, 3 … without a
//! gap; a document that exists has totals that are the sums of its lines, to the minor unit.
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::money::{Credits, Currency, Money};
use crate::tax::{Rate, Treatment};
use crate::time::Timestamp;
use crate::total::TotalMoney;

/// What a document is, and so which series it is numbered in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    Invoice,
    /// Takes back an invoice or a part of it.
    CreditNote,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Invoice => "invoice",
            Kind::CreditNote => "credit_note",
        }
    }
    /// UNTDID 1001.
    pub fn type_code(self) -> u16 {
        match self {
            Kind::Invoice => 380,
            Kind::CreditNote => 381,
        }
    }
}

/// A number as it is printed: `INV-2026-000042`. Invoices and credit notes have a series each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Number {
    pub prefix: String,
    pub year: i32,
    /// From 1.
    pub sequence: u64,
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{:06}", self.prefix, self.year, self.sequence)
    }
}

/// Somebody who sells or buys, as printed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Party {
    pub name: String,
    /// Lines of the postal address, without the country.
    pub street: String,
    pub city: String,
    pub postal_code: String,
    /// ISO 3166-1 alpha-2, or nothing.
    pub country: String,
    pub tax_id: Option<String>,
    pub email: Option<String>,
}

/// What is sold, or taken back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    pub text: String,
    pub credits: Credits,
    /// Minor units, tax aside.
    pub net: i64,
}

/// A document, complete: everything that is ever printed of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Invoice {
    pub kind: Kind,
    pub number: Number,
    pub issued_at: Timestamp,
    pub seller: Party,
    pub buyer: Party,
    pub currency: Currency,
    pub lines: Vec<Line>,
    pub treatment: Treatment,
    /// Minor units; what was collected as tax, which for a part of an invoice is that part's share.
    pub tax: i64,
    /// The payment it is for.
    pub payment: String,
    /// What it was paid with: `Visa ending in 4242`.
    pub paid_with: Option<String>,
    /// For a credit note, the number of the invoice it takes back.
    pub corrects: Option<String>,
}

impl Invoice {
    pub fn net(&self) -> Money {
        Money { amount: self.lines.iter().map(|it| it.net).sum(), currency: self.currency }
    }
    pub fn tax(&self) -> Money {
        Money { amount: self.tax, currency: self.currency }
    }
    pub fn total(&self) -> Money {
        Money { amount: self.net().amount + self.tax, currency: self.currency }
    }
    pub fn rate(&self) -> Rate {
        self.treatment.rate()
    }
}

/// Money, or a total of it, as a plain decimal in its currency's places: `12.10`, `1000` yen, `0.005` dinars.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decimal<T = Money>(pub T);

impl<T: Copy + Into<TotalMoney>> fmt::Display for Decimal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TotalMoney { amount: signed, currency } = self.0.into();
        let places = currency.places();
        let (unit, amount) = (10_u128.pow(places), signed.unsigned_abs());
        if signed < 0 {
            f.write_str("-")?;
        }
        write!(f, "{}", amount / unit)?;
        match places {
            0 => Ok(()),
            places => write!(f, ".{:0width$}", amount % unit, width = places as usize),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn numbers_read_the_same_for_a_lifetime() {
        let number = |sequence| Number { prefix: "INV".into(), year: 2026, sequence }.to_string();
        assert_eq!(number(42), "INV-2026-000042");
        assert_eq!(number(1_234_567), "INV-2026-1234567");
    }

    #[test]
    fn money_is_printed_in_its_places() {
        for (amount, currency, text) in [
            (1210, "eur", "12.10"),
            (-5, "eur", "-0.05"),
            (0, "usd", "0.00"),
            (1000, "jpy", "1000"),
            (5, "kwd", "0.005"),
            (i64::MIN, "jpy", "-9223372036854775808"),
        ] {
            assert_eq!(Decimal(Money { amount, currency: currency.parse().unwrap() }).to_string(), text);
        }
        let total = |amount, currency: &str| TotalMoney { amount, currency: currency.parse().unwrap() };
        for (amount, currency, text) in [
            (10_i128.pow(22) + 5, "eur", "100000000000000000000.05"),
            (-(10_i128.pow(20)), "vnd", "-100000000000000000000"),
        ] {
            assert_eq!(Decimal(total(amount, currency)).to_string(), text);
        }
    }
}
