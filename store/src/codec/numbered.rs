//! What a million charges have in common, said once, under a number that stands for it: the rates of their price lines,
//! and the shapes of their usage.
//!
//! A rate is all of a price line but how much was used and what that came to; a shape is what was counted and by which
//! dimensions, without the amounts. There are few of both, and a bound holds where there are not: what has no number is
//! written out.
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use billing::ledger::{Reversal, Transaction, What, Work};
use billing::money::Credits;
use billing::rating::{PriceLine, Text, Usage};
use foldhash::quality::RandomState;
use serde::Deserialize;

use super::Malformed;
use super::json::Json;
use super::pairs::Pairs;

/// Rates that get a number, and shapes that do.
const RATES_MAX: usize = 4_096;
const SHAPES_MAX: usize = 4_096;
/// Shapes that were met once, remembered so long as there are no more.
const MET_MAX: usize = 4_096;

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Rate {
    pub item: Text,
    pub unit: Text,
    /// Micro-credits for `per` units.
    pub unit_price: i64,
    pub per: u64,
}

/// Names of quantities, and dimensions with their values, each in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shape {
    pub quantities: Vec<Text>,
    pub dimensions: Vec<(Text, Text)>,
}

/// What has numbers, which count from 1.
#[derive(Clone, Default, Debug)]
pub struct Numbered {
    rates: Vec<Rate>,
    /// By item: the numbers of its rates.
    by_item: HashMap<Text, Vec<u32>, RandomState>,
    shapes: Vec<Shape>,
    /// By hash: of two shapes with one hash only the first has a number.
    by_hash: HashMap<u64, u32, RandomState>,
    hashing: RandomState,
}

/// The numbers of one transaction's work.
#[derive(Clone, Copy)]
pub struct Numbers<'a> {
    /// Of its lines' rates, of those that have one.
    pub rates: &'a [Option<u32>],
    pub shape: Option<u32>,
}

impl Numbers<'_> {
    /// All is written out.
    pub const NONE: Numbers<'static> = Numbers { rates: &[], shape: None };
}

/// Shapes that were met lately and have no number.
#[derive(Default, Debug)]
pub struct Met(HashMap<u64, ()>);

impl Numbered {
    pub fn new(rates: Vec<Rate>, shapes: Vec<Shape>) -> Numbered {
        let mut numbered = Numbered::default();
        for rate in rates {
            numbered.add(rate);
        }
        for shape in shapes {
            numbered.add_shape(shape);
        }
        numbered
    }

    pub fn rate(&self, number: u32) -> Option<&Rate> {
        self.rates.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }
    pub fn shape(&self, number: u32) -> Option<&Shape> {
        self.shapes.get(usize::try_from(number.checked_sub(1)?).ok()?)
    }

    /// The number of a line's rate.
    pub fn number(&self, line: &PriceLine) -> Option<u32> {
        let is_it = |number: &u32| {
            let rate = &self.rates[*number as usize - 1];
            let price = (rate.unit_price, rate.per) == (line.unit_price.micros(), line.per);
            price && rate.unit == line.unit
        };
        self.by_item.get(&line.item)?.iter().copied().find(is_it)
    }

    /// The rate of a line, where that should have a number and has none. What is asked once for all the work, such as
    /// what a cap took off, differs from charge to charge.
    pub fn lacks(&self, line: &PriceLine) -> Option<Rate> {
        let is_sum = (line.quantity, line.per) == (1, 1);
        if is_sum || RATES_MAX <= self.rates.len() || self.number(line).is_some() {
            return None;
        }
        let (item, unit) = (Arc::clone(&line.item), Arc::clone(&line.unit));
        Some(Rate { item, unit, unit_price: line.unit_price.micros(), per: line.per })
    }

    /// Gives a rate the next number.
    pub fn add(&mut self, rate: Rate) -> u32 {
        let number = u32::try_from(self.rates.len() + 1).expect("there are few rates");
        self.by_item.entry(Arc::clone(&rate.item)).or_default().push(number);
        self.rates.push(rate);
        number
    }
}

impl Numbered {
    /// The number of a usage's shape. One that is met for the second time is returned instead, to be given a number:
    /// what is met once, such as a hash among the dimensions, would fill the list with what never comes again.
    pub fn shape_of(&self, usage: &Usage, met: &mut Met) -> Result<Option<u32>, Shape> {
        let hash = Shape::hash(usage, &self.hashing);
        if let Some(number) = self.by_hash.get(&hash) {
            return Ok(Some(*number).filter(|it| self.shapes[*it as usize - 1].is_of(usage)));
        }
        if SHAPES_MAX <= self.shapes.len() {
            return Ok(None);
        }
        if met.0.remove(&hash).is_some() {
            let quantities = usage.quantities.iter().map(|it| Arc::clone(&it.0)).collect();
            return Err(Shape { quantities, dimensions: usage.dimensions.clone() });
        }
        if MET_MAX <= met.0.len() {
            met.0.clear();
        }
        met.0.insert(hash, ());
        Ok(None)
    }

    /// Gives a shape the next number.
    pub fn add_shape(&mut self, shape: Shape) -> u32 {
        let number = u32::try_from(self.shapes.len() + 1).expect("there are few shapes");
        let quantities = shape.quantities.iter().map(|it| (Arc::clone(it), 0)).collect();
        let usage = Usage { meter: Text::default(), quantities, dimensions: shape.dimensions.clone() };
        self.by_hash.entry(Shape::hash(&usage, &self.hashing)).or_insert(number);
        self.shapes.push(shape);
        number
    }
}

impl Shape {
    /// Keyed at random, for dimensions are what callers say: nobody finds two that hide each other.
    fn hash(usage: &Usage, hashing: &RandomState) -> u64 {
        let mut hasher = hashing.build_hasher();
        let mut write = |text: &str| {
            hasher.write(text.as_bytes());
            hasher.write_u8(0xff);
        };
        usage.quantities.iter().for_each(|it| write(&it.0));
        for (name, value) in &usage.dimensions {
            write(name);
            write(value);
        }
        hasher.write_usize(usage.quantities.len());
        hasher.finish()
    }

    fn is_of(&self, usage: &Usage) -> bool {
        self.quantities.iter().eq(usage.quantities.iter().map(|it| &it.0)) && self.dimensions == usage.dimensions
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

/// `{"quantities":["input_tokens",…],"dimensions":{"model":"…"}}`
pub fn write_shape(json: &mut Json, shape: &Shape) {
    json.object(|json| {
        json.key("quantities").array(|json| shape.quantities.iter().for_each(|it| json.string(it)));
        json.key("dimensions")
            .object(|json| shape.dimensions.iter().for_each(|(name, value)| json.key(name).string(value)));
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShapeJson {
    quantities: Vec<Text>,
    dimensions: Pairs<Text>,
}

/// # Errors
/// When the text is not one that [`write_shape`] wrote.
pub fn read_shape(text: &str) -> Result<Shape, Malformed> {
    let ShapeJson { quantities, dimensions } = serde_json::from_str(text)?;
    Ok(Shape { quantities, dimensions: dimensions.0 })
}

/// The work in a transaction's body.
pub fn work_in(transaction: &Transaction) -> Option<&Work> {
    match &transaction.what {
        What::Charged { work, .. } | What::Held { work, .. } => Some(work),
        What::Extended { used: Some(work), .. } | What::Reversed(Reversal { work, .. }) => Some(work),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(quantity: &str, model: &str) -> Usage {
        let dimensions = vec![("model".into(), model.into())];
        Usage { meter: "ai_chat".into(), quantities: vec![(quantity.into(), 7)], dimensions }
    }

    #[test]
    fn a_shape_gets_its_number_when_it_comes_again() {
        let (mut numbered, mut met) = (Numbered::default(), Met::default());
        for once in 0..2 * MET_MAX {
            assert_eq!(numbered.shape_of(&usage("lines", &once.to_string()), &mut met), Ok(None));
        }
        assert_eq!(numbered.shape_of(&usage("tokens", "a"), &mut met), Ok(None));
        let shape = numbered.shape_of(&usage("tokens", "a"), &mut met).unwrap_err();
        assert_eq!(numbered.add_shape(shape), 1);
        assert_eq!(numbered.shape_of(&usage("tokens", "a"), &mut met), Ok(Some(1)));
        assert_eq!(numbered.shape_of(&usage("tokens", "b"), &mut met), Ok(None));
        assert_eq!(numbered.shape_of(&usage("lines", "a"), &mut met), Ok(None));
    }
}
