//! The running sum of a price: exact to the last fraction, with the lines of the receipt beside it.
//!
//! The sum is whole micro-credits and a fraction over the meter's common denominator, so adding never rounds. A line
//! carries the step that the *rounded* sum makes, which is why lines add up to the price exactly, whatever their
//! number, and why the whole price is rounded up only once.
use alloc::vec::Vec;

use super::compile::{CompiledRate, Mode, Step};
use super::{PriceLine, Text};
use crate::money::Credits;

#[derive(Clone, Debug)]
pub(super) struct Tally {
    /// Micro-credits; 0 to `Credits::MAX`.
    whole: i64,
    /// Of a micro-credit: below `denominator`.
    fraction: u64,
    denominator: u64,
    lines: Option<Vec<PriceLine>>,
}

/// Why a quantity cannot be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Excess {
    /// The price would pass `Credits::MAX`.
    Price,
    /// The last tier ends here.
    Tier { up_to: u64 },
}

/// The longest calendar month there is: 31 days, and the hour by which clocks go back. More time than that is of more
/// months than one, each with a cap of its own.
const MONTH_SECONDS_MAX: u64 = 31 * 86_400 + 3_600;
/// The lines that most charges have: three quantities and a fee.
const LINES_USUAL: usize = 4;

impl Tally {
    /// Fractions are counted in `denominator`; lines are kept only when somebody will read them.
    pub fn new(denominator: u64, itemised: bool) -> Tally {
        assert!(0 < denominator);
        let lines = if itemised { Some(Vec::with_capacity(LINES_USUAL)) } else { None };
        Tally { whole: 0, fraction: 0, denominator, lines }
    }
    /// The sum, rounded up.
    pub fn credits(&self) -> Credits {
        Credits::from_micros(self.whole + i64::from(self.fraction != 0))
    }
    pub fn has_lines(&self) -> bool {
        self.lines.as_ref().is_some_and(|it| !it.is_empty())
    }
    pub fn into_lines(self) -> Vec<PriceLine> {
        self.lines.unwrap_or_default()
    }

    /// Adds what `rate` asks for `quantity` units.
    pub fn rate(&mut self, rate: &CompiledRate, quantity: u64) -> Result<(), Excess> {
        let quantity = if quantity == 0 { 0 } else { quantity.max(rate.runtime.minimum_seconds) };
        let last = rate.steps.last().expect("a rate has steps");
        if last.up_to < quantity {
            return Err(Excess::Tier { up_to: last.up_to });
        }
        let before = (self.whole, self.fraction);
        if 0 < quantity {
            match rate.mode {
                Mode::Each => {
                    for step in rate.steps.iter().take_while(|it| it.above < quantity) {
                        self.step(rate, step, quantity.min(step.up_to) - step.above)?;
                    }
                }
                Mode::Whole | Mode::Beyond => {
                    let step = rate.steps.iter().find(|it| quantity <= it.up_to).expect("the last step is not passed");
                    let skipped = if rate.mode == Mode::Beyond { step.above } else { 0 };
                    self.step(rate, step, quantity - skipped)?;
                }
            }
        }
        if let Some(cap) = rate.runtime.monthly_cap {
            let months = i64::try_from(quantity.div_ceil(MONTH_SECONDS_MAX).max(1)).expect("months are few");
            let most = before.0.saturating_add(cap.micros().saturating_mul(months));
            self.hold_to((most, before.1), &rate.cap_item, &last.fee_unit);
        }
        Ok(())
    }

    fn step(&mut self, rate: &CompiledRate, step: &Step, units: u64) -> Result<(), Excess> {
        if step.fee.is_positive() {
            self.once(&step.fee_item, &step.fee_unit, step.fee)?;
            if step.price == 0 {
                return Ok(());
            }
        }
        let (counted, per) = if rate.started { (units.div_ceil(rate.per), 1) } else { (units, rate.per) };
        let before = self.credits();
        let (whole, rest) = divide(u128::from(counted) * u128::from(step.price), per);
        // Both are within the bound before they are added, so neither this sum nor the carry below can overflow.
        let whole = i64::try_from(whole).ok().filter(|it| *it <= Credits::MAX.micros()).ok_or(Excess::Price)?;
        self.whole += whole;
        // A rest is below `per`, so this stays below `denominator`; two such stay below twice 10^18.
        self.fraction += rest * rate.scale;
        if self.denominator <= self.fraction {
            self.fraction -= self.denominator;
            self.whole += 1;
        }
        self.line(before, &step.item, &rate.unit, (counted, step.price, per))
    }

    /// Adds an amount that is asked once.
    pub fn once(&mut self, item: &Text, unit: &Text, amount: Credits) -> Result<(), Excess> {
        let before = self.credits();
        assert!(amount <= Credits::MAX, "a checked amount is within the bound");
        self.whole += amount.micros();
        let price = u64::try_from(amount.micros()).expect("an amount asked is not negative");
        self.line(before, item, unit, (1, price, 1))
    }

    /// Raises a sum that rounds to less than `minimum`.
    pub fn raise_to(&mut self, minimum: Credits, item: &Text, unit: &Text) {
        if self.credits() < minimum {
            self.adjust((minimum.micros(), 0), item, unit);
        }
    }
    /// Lowers a sum above `most`, given as whole and fraction.
    pub fn hold_to(&mut self, most: (i64, u64), item: &Text, unit: &Text) {
        if most < (self.whole, self.fraction) {
            self.adjust(most, item, unit);
        }
    }

    fn adjust(&mut self, sum: (i64, u64), item: &Text, unit: &Text) {
        let before = self.credits();
        (self.whole, self.fraction) = sum;
        let credits = self.credits() - before;
        if let Some(lines) = &mut self.lines {
            let (item, unit) = (item.clone(), unit.clone());
            lines.push(PriceLine { item, quantity: 1, unit, unit_price: credits, per: 1, credits });
        }
    }

    fn line(&mut self, before: Credits, item: &Text, unit: &Text, sum: (u64, u64, u64)) -> Result<(), Excess> {
        if Credits::MAX < self.credits() {
            return Err(Excess::Price);
        }
        let credits = self.credits() - before;
        let (quantity, price, per) = sum;
        if let Some(lines) = &mut self.lines {
            let unit_price = Credits::from_micros(i64::try_from(price).expect("a price is within Credits::MAX"));
            lines.push(PriceLine { item: item.clone(), quantity, unit: unit.clone(), unit_price, per, credits });
        }
        Ok(())
    }
}

/// Quotient and rest. Nearly every charge fits in 64 bits, where division is several times cheaper.
fn divide(product: u128, per: u64) -> (u128, u64) {
    match u64::try_from(product) {
        Ok(product) => (u128::from(product / per), product % per),
        Err(_) => {
            let rest = product % u128::from(per);
            (product / u128::from(per), u64::try_from(rest).expect("a rest is below its divisor"))
        }
    }
}
