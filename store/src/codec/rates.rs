//! Rates said once: what the price lines of a million charges have in common, under a number that stands for it.
//!
//! A rate here is all of a price line but how much was used and what that came to. A rate card has some hundreds, so
//! there are few, and a bound holds where there are not: what has no number is written out.
use std::collections::HashMap;
use std::sync::Arc;

use billing::ledger::{Reversal, Transaction, What};
use billing::money::Credits;
use billing::rating::{PriceLine, Text};

/// Rates that get a number.
const RATES_MAX: usize = 4_096;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Rate {
    pub item: Text,
    pub unit: Text,
    /// Micro-credits for `per` units.
    pub unit_price: i64,
    pub per: u64,
}

/// The rates that have numbers, which count from 1.
#[derive(Clone, Default, Debug)]
pub struct Rates {
    list: Vec<Rate>,
    /// By item: the numbers of its rates.
    numbers: HashMap<Text, Vec<u32>>,
}

impl Rates {
    /// Without any: lines are written out.
    pub const NONE: &'static [Option<u32>] = &[];

    pub fn new(list: Vec<Rate>) -> Rates {
        let mut rates = Rates::default();
        for rate in list {
            rates.add(rate);
        }
        rates
    }

    pub fn numbered(&self, number: u32) -> Option<&Rate> {
        self.list.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    /// The number of a line's rate.
    pub fn number(&self, line: &PriceLine) -> Option<u32> {
        let is_it = |number: &u32| {
            let rate = &self.list[*number as usize - 1];
            let price = (rate.unit_price, rate.per) == (line.unit_price.micros(), line.per);
            price && rate.unit == line.unit
        };
        self.numbers.get(&line.item)?.iter().copied().find(is_it)
    }

    /// The rate of a line, where that should have a number and has none. What is asked once for all the work, such as
    /// what a cap took off, differs from charge to charge.
    pub fn lacks(&self, line: &PriceLine) -> Option<Rate> {
        let is_sum = (line.quantity, line.per) == (1, 1);
        if is_sum || RATES_MAX <= self.list.len() || self.number(line).is_some() {
            return None;
        }
        let (item, unit) = (Arc::clone(&line.item), Arc::clone(&line.unit));
        Some(Rate { item, unit, unit_price: line.unit_price.micros(), per: line.per })
    }

    /// Gives a rate the next number.
    pub fn add(&mut self, rate: Rate) -> u32 {
        let number = u32::try_from(self.list.len() + 1).expect("there are few rates");
        self.numbers.entry(Arc::clone(&rate.item)).or_default().push(number);
        self.list.push(rate);
        number
    }
}

impl Rate {
    pub fn line(&self, quantity: u64, credits: i64) -> PriceLine {
        PriceLine {
            item: Arc::clone(&self.item),
            quantity,
            unit: Arc::clone(&self.unit),
            unit_price: Credits::from_micros(self.unit_price),
            per: self.per,
            credits: Credits::from_micros(credits),
        }
    }
}

/// The price lines in a transaction's body.
pub fn lines(transaction: &Transaction) -> &[PriceLine] {
    match &transaction.what {
        What::Charged { work, .. } | What::Held { work, .. } => &work.price.lines,
        What::Extended { used: Some(work), .. } | What::Reversed(Reversal { work, .. }) => &work.price.lines,
        _ => &[],
    }
}
