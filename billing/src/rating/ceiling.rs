//! How far the credits go: for each quantity, the most of it that can still be paid for.
use alloc::vec::Vec;

use super::compile::{Compiled, Mode};
use super::reading::Reading;
use super::{RateCard, Text, Usage};
use crate::money::Credits;
use crate::refusal::Refusal;

/// The most of one quantity, the others staying as they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ceiling {
    /// Even none of it: the rest alone costs more than there is.
    Nothing,
    AtMost(u64),
    /// Whatever can be counted.
    Unlimited,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct QuantityCeiling {
    pub quantity: Text,
    pub ceiling: Ceiling,
}

impl RateCard {
    /// For each priced quantity given, the largest amount up to which every amount costs `available` at most. (With
    /// volume tiers more may cost less; work that grows passes through every amount, so the first one too dear counts.)
    pub fn affordable(&self, usage: &Usage, available: Credits) -> Result<Vec<QuantityCeiling>, Refusal> {
        let compiled = self.metered(&usage.meter)?;
        let reading = Reading::new(compiled, usage)?;
        // Refuses what cannot be priced at all; a price too large is only a reason for a ceiling.
        match compiled.total(&reading, false) {
            Err(Refusal::Invalid { .. }) if compiled.is_complete(&reading) => {}
            Err(refusal) => return Err(refusal),
            Ok(_) => {}
        }
        let given = (0..compiled.meter.quantities.len()).filter(|it| compiled.priced & reading.given & (1 << it) != 0);
        let ceiling = |column: usize| QuantityCeiling {
            quantity: compiled.meter.quantities[column].name.clone(),
            ceiling: compiled.ceiling(&reading, column, available),
        };
        Ok(given.map(ceiling).collect())
    }
}

impl Compiled {
    fn ceiling(&self, reading: &Reading<'_>, column: usize, available: Credits) -> Ceiling {
        let is_affordable = |amount| {
            let mut reading = *reading;
            reading.amounts[column] = amount;
            self.total(&reading, false).is_ok_and(|it| it.credits() <= available)
        };
        if !is_affordable(0) {
            return Ceiling::Nothing;
        }
        let mut good = 0;
        for last in self.stretches(reading, column) {
            // Within a stretch more never costs less: its end speaks for all of it.
            if is_affordable(last) {
                good = last;
                continue;
            }
            // Most answers are small beside what can be counted: striding up to them saves half of the bisection.
            let (mut bad, mut stride) = (last, 1);
            while stride < bad - good {
                if is_affordable(good + stride) {
                    good += stride;
                    stride = stride.saturating_mul(2);
                } else {
                    bad = good + stride;
                }
            }
            while 1 < bad - good {
                let middle = good + (bad - good) / 2;
                if is_affordable(middle) { good = middle } else { bad = middle }
            }
            return Ceiling::AtMost(good);
        }
        Ceiling::Unlimited
    }

    /// The ends of the ranges within which the price of the quantity never falls, the last being the greatest number.
    fn stretches(&self, reading: &Reading<'_>, column: usize) -> Vec<u64> {
        let mut ends = Vec::from([u64::MAX]);
        let mut wanted = *reading;
        if let Some((place, asked)) = self.fallback {
            wanted.values[place] = reading.values[asked].or(reading.values[place]);
        }
        for reading in [reading, &wanted] {
            let cell = self.cell(reading);
            let Some(priced) = self.priced_as(cell, column) else { continue };
            // What else is priced by the same rate fills its steps, too.
            let shares = |it: &usize| *it != column && self.priced_as(cell, *it) == Some(priced);
            let others = (0..self.base_fee_column()).filter(shares).map(|it| reading.amounts[it]);
            let others = others.fold(0, u64::saturating_add);
            let rate = self.slot(cell, priced).filter(|it| it.mode != Mode::Each);
            ends.extend(rate.into_iter().flat_map(|it| &it.steps).map(|it| it.up_to.saturating_sub(others)));
        }
        ends.sort_unstable();
        ends.dedup();
        ends
    }
}
