//! Quantities that have a name of their own since lately, on cards that have no price for them.
//!
//! What a provider begins to bill apart was counted within something else before. So that no card that priced it then
//! refuses it now, it goes on being counted so: on a card that does not list the name, and wherever the rows of one
//! that does have no price for it. Where they have one, that is its price; nothing here is ever free.
//!
//! Invariant: no amount is lost or counted twice; each is priced by one rate.
use alloc::format;
use alloc::vec::Vec;
use core::mem;

use super::card::Meter;
use super::compile::Compiled;
use super::reading::{Reading, not_listed};
use super::{Text, Usage};
use crate::refusal::Refusal;

/// A quantity, and what it was counted as. The youngest first.
const COUNTED_AS: [(&str, &str); 2] =
    [("cache_write_1h_tokens", "cache_write_tokens"), ("cache_write_tokens", "input_tokens")];

/// The nearest quantity that `meter` lists of those that `name` was counted as.
fn listed_before(meter: &Meter, name: &str) -> Option<usize> {
    let (_, before) = COUNTED_AS.iter().find(|it| it.0 == name)?;
    let column = meter.quantities.iter().position(|it| *it.name == **before);
    column.or_else(|| listed_before(meter, before))
}

/// Quantities of `meter`, each with the one that it was counted as; the youngest first.
pub(super) fn before(meter: &Meter) -> Vec<(usize, usize)> {
    let column = |name: &str| meter.quantities.iter().position(|it| *it.name == *name);
    COUNTED_AS.iter().filter_map(|(name, _)| Some((column(name)?, listed_before(meter, name)?))).collect()
}

impl Reading<'_> {
    /// Adds what the meter does not list to what it was counted as, or refuses it.
    #[cold]
    pub(super) fn add_unlisted(&mut self, meter: &Meter, usage: &Usage) -> Result<(), Refusal> {
        let is_listed = |name: &Text| meter.quantities.iter().any(|it| it.name == *name);
        for (name, amount) in usage.quantities.iter().filter(|it| !is_listed(&it.0)) {
            let column = listed_before(meter, name).ok_or_else(|| not_listed(meter, name))?;
            if 1 < usage.quantities.iter().filter(|it| it.0 == *name).count() {
                return Err(Refusal::invalid(format!("quantities.{name}"), "is given twice"));
            }
            self.add(column, *amount, name)?;
        }
        Ok(())
    }

    fn add(&mut self, column: usize, amount: u64, name: &Text) -> Result<(), Refusal> {
        let sum = self.amounts[column].checked_add(amount);
        let too_much = || Refusal::invalid(format!("quantities.{name}"), "is more than can be counted");
        self.amounts[column] = sum.ok_or_else(too_much)?;
        self.given |= 1 << column;
        Ok(())
    }
}

impl Compiled {
    /// The reading with every amount under the quantity by whose rate it is priced; none where that is as it is.
    pub(super) fn counted<'usage>(
        &self,
        reading: &Reading<'usage>,
        cell: usize,
    ) -> Result<Option<Reading<'usage>>, Refusal> {
        let mut counted: Option<Reading<'usage>> = None;
        for &(column, _) in &self.before {
            let is_given = reading.given & self.priced & (1 << column) != 0;
            match self.priced_as(cell, column) {
                Some(priced) if is_given && priced != column => {
                    let counted = counted.get_or_insert(*reading);
                    let amount = mem::take(&mut counted.amounts[column]);
                    counted.given &= !(1 << column);
                    counted.add(priced, amount, &self.meter.quantities[column].name)?;
                }
                _ => {}
            }
        }
        Ok(counted)
    }

    /// The quantity by whose rate `column` is priced in `cell`: itself, else the nearest of those it was counted as
    /// that has one.
    pub(super) fn priced_as(&self, cell: usize, column: usize) -> Option<usize> {
        if self.slot(cell, column).is_some() {
            return Some(column);
        }
        let (_, before) = self.before.iter().find(|it| it.0 == column)?;
        self.priced_as(cell, *before)
    }
}
