//! What a usage costs.
//!
//! The order is fixed: free outcomes, then what must be given, then the base fee, the quantities as the meter lists
//! them, the minimum, the cap. Where a fallback model did the work, all that is done twice and the lesser stands.
use alloc::format;
use alloc::string::String;
use alloc::vec;

use super::card::{Condition, Rate};
use super::closest::suggest;
use super::compile::{Compiled, Selector};
use super::reading::{Reading, incomplete, unpriced};
use super::tally::{Excess, Tally};
use super::{Price, PriceLine, RateCard, Text, Usage};
use crate::money::Credits;
use crate::refusal::Refusal;

impl RateCard {
    /// Prices `usage` exactly and rounds once, up, to the micro-credit.
    ///
    /// Refuses an unknown meter, quantity, dimension or value, a quantity that no rate covers, a missing quantity that
    /// is required (`unpriced`, `invalid_request`), and a quantity that makes the price pass [`Credits::MAX`].
    pub fn price(&self, usage: &Usage) -> Result<Price, Refusal> {
        let compiled = self.metered(&usage.meter)?;
        let reading = Reading::new(compiled, usage)?;
        let tally = compiled.total(&reading, true)?;
        Ok(Price { credits: tally.credits(), lines: tally.into_lines(), rate_card: self.version() })
    }

    /// The dimension by whose value `usage` is charged only once, by the `once_per` of its meter: the same meter and
    /// value again cost nothing. Whether it was charged before is for the journal to say; then [`Price::again`] is its
    /// price.
    pub fn once_per(&self, usage: &Usage) -> Option<&Text> {
        let dimension = self.meter(&usage.meter)?.once_per.as_ref()?;
        usage.dimensions.iter().any(|it| it.0 == *dimension).then_some(dimension)
    }

    /// Whether `usage` costs nothing by its outcome, whatever was used: work that failed, a reply that is empty.
    pub fn is_free(&self, usage: &Usage) -> bool {
        let says = |it: &Condition| {
            usage.dimensions.iter().any(|(name, value)| *name == it.dimension && it.values.contains(value))
        };
        self.meter(&usage.meter).is_some_and(|it| it.free_when.iter().any(says))
    }

    /// The rate by which `quantity` of `usage` would be priced, for who needs more of it than its price: its caps,
    /// minimums and commitments. Of a quantity that has none, that of what it is counted as.
    pub fn rate_of(&self, usage: &Usage, quantity: &str) -> Result<&Rate, Refusal> {
        let compiled = self.metered(&usage.meter)?;
        let reading = Reading::new(compiled, usage)?;
        let column = compiled.meter.quantities.iter().position(|it| *it.name == *quantity);
        let field = || format!("quantities.{quantity}");
        let column = column.ok_or_else(|| Refusal::unpriced(field(), "is not a quantity of this meter"))?;
        let cell = compiled.cell(&reading);
        let slot = compiled.priced_as(cell, column).and_then(|it| compiled.slot(cell, it));
        let source = slot.and_then(|it| it.source).ok_or_else(|| unpriced(compiled, &reading, column))?;
        Ok(&compiled.meter.rows[source.0].rates[source.1])
    }

    pub(super) fn metered(&self, name: &str) -> Result<&Compiled, Refusal> {
        self.compiled(name).ok_or_else(|| {
            let known = suggest(name, self.meters().map(|it| &*it.name), 8);
            Refusal::unpriced("meter", format_args!("`{name}` is not on the rate card; {known}"))
        })
    }
}

impl Price {
    /// The price of what was charged before, which is charged once for each value of `dimension`: nothing, with a line
    /// that says so.
    pub fn again(&self, dimension: &str) -> Price {
        let line = PriceLine {
            item: format!("Not charged: the same {dimension} as before").into(),
            quantity: 1,
            unit: "charge".into(),
            unit_price: Credits::ZERO,
            per: 1,
            credits: Credits::ZERO,
        };
        Price { credits: Credits::ZERO, lines: vec![line], rate_card: self.rate_card }
    }
}

impl Compiled {
    pub(super) fn total(&self, reading: &Reading<'_>, itemised: bool) -> Result<Tally, Refusal> {
        if let Some(item) = self.free_item(reading) {
            let mut tally = Tally::new(self.denominator, itemised);
            tally.once(item, &self.items.charge, Credits::ZERO).expect("nothing is not too much");
            return Ok(tally);
        }
        if !self.is_complete(reading) {
            return Err(incomplete(self, reading));
        }
        let used = self.tally(reading, itemised)?;
        let Some((place, asked)) = self.fallback else { return Ok(used) };
        match (reading.values[place], reading.values[asked]) {
            (Some(model), Some(wanted)) if model != wanted => self.cheaper(used, reading, (place, asked), itemised),
            _ => Ok(used),
        }
    }

    /// Whether all that is required was given, and something that is priced.
    pub(super) fn is_complete(&self, reading: &Reading<'_>) -> bool {
        let has_required = reading.given & self.required == self.required;
        has_required && (self.priced == 0 || reading.given & self.priced != 0)
    }

    /// The lesser of `used` and what the same would have cost by the value asked for. A value that the card does not
    /// know is refused; one that has no price for a quantity given cannot be compared, and `used` stands.
    #[cold]
    fn cheaper(
        &self,
        used: Tally,
        reading: &Reading<'_>,
        (place, asked): (usize, usize),
        itemised: bool,
    ) -> Result<Tally, Refusal> {
        let mut wanted = *reading;
        wanted.values[place] = reading.values[asked];
        let blamed = format!("dimensions.{}", self.meter.dimensions[place]);
        match self.tally(&wanted, itemised) {
            Ok(tally) if tally.credits() < used.credits() => Ok(tally),
            Ok(_) => Ok(used),
            Err(Refusal::Unpriced { field, why }) if field == blamed => {
                Err(Refusal::unpriced(format!("dimensions.{}", self.meter.dimensions[asked]), why))
            }
            Err(_) => Ok(used),
        }
    }

    fn tally(&self, reading: &Reading<'_>, itemised: bool) -> Result<Tally, Refusal> {
        let mut tally = Tally::new(self.denominator, itemised);
        let cell = self.cell(reading);
        let counted = self.counted(reading, cell)?;
        let reading = counted.as_ref().unwrap_or(reading);
        // Fees are for work: when there was nothing to do, there is nothing to pay.
        let worked = self.priced == 0 || self.has_work(reading);
        if worked {
            self.base_fee(&mut tally, reading, cell)?;
        }
        for column in 0..self.meter.quantities.len() {
            if reading.given & self.priced & (1 << column) == 0 {
                continue;
            }
            let amount = reading.amounts[column];
            match self.slot(cell, column) {
                Some(_) if amount == 0 => {}
                Some(rate) => tally.rate(rate, amount).map_err(|it| self.too_much(column, it))?,
                // None of what this very model has no price for, such as writes to a cache it lacks, is no work.
                None if amount == 0 && self.is_priced(cell) => {}
                None => return Err(unpriced(self, reading, column)),
            }
        }
        if worked {
            self.bound(&mut tally);
        }
        if itemised && !tally.has_lines() {
            tally.once(&self.items.nothing, &self.items.charge, Credits::ZERO).expect("nothing is not too much");
        }
        Ok(tally)
    }

    fn base_fee(&self, tally: &mut Tally, reading: &Reading<'_>, cell: usize) -> Result<(), Refusal> {
        let column = self.base_fee_column();
        match self.slot(cell, column) {
            Some(fee) => tally.rate(fee, 1).map_err(|it| self.too_much(column, it)),
            // A meter of fees alone has no quantity that would refuse an unknown value.
            None if self.priced == 0 => Err(unpriced(self, reading, column)),
            None => Ok(()),
        }
    }

    fn bound(&self, tally: &mut Tally) {
        if let Some(minimum) = self.meter.minimum {
            tally.raise_to(minimum, &self.items.minimum, &self.items.charge);
        }
        if let Some(cap) = self.meter.cap {
            tally.hold_to((cap.micros(), 0), &self.items.cap, &self.items.charge);
        }
    }

    /// The cell of the values read.
    pub(super) fn cell(&self, reading: &Reading<'_>) -> usize {
        let number = |selector: &Selector| reading.values[selector.dimension].map_or(0, |it| selector.recognise(it));
        self.selectors.iter().map(|it| it.cell(number(it))).sum()
    }
    /// Whether anything has a price in `cell`: else it stands for values that the card does not know.
    fn is_priced(&self, cell: usize) -> bool {
        (0..self.base_fee_column()).any(|it| self.slot(cell, it).is_some())
    }

    fn has_work(&self, reading: &Reading<'_>) -> bool {
        let is_work = |(column, amount): (usize, &u64)| self.priced & (1 << column) != 0 && *amount != 0;
        reading.amounts[..self.meter.quantities.len()].iter().enumerate().any(is_work)
    }

    fn free_item(&self, reading: &Reading<'_>) -> Option<&Text> {
        self.free.iter().find_map(|(dimension, values)| {
            let value = reading.values[*dimension]?;
            values.iter().find(|it| it.0 == *value).map(|it| &it.1)
        })
    }

    #[cold]
    fn too_much(&self, column: usize, excess: Excess) -> Refusal {
        let quantity = self.meter.quantities.get(column);
        let field = quantity.map_or_else(|| String::from("meter"), |it| format!("quantities.{}", it.name));
        match excess {
            Excess::Price => Refusal::invalid(field, format_args!("makes a price beyond {} credits", Credits::MAX)),
            Excess::Tier { up_to } => Refusal::unpriced(field, format_args!("has no price beyond {up_to}")),
        }
    }
}
