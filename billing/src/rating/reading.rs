//! A usage as its meter reads it: names turned into places, and refused where the meter does not know them.
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::card::{Meter, Role};
use super::check::{DIMENSIONS_MAX, QUANTITIES_MAX};
use super::closest::suggest;
use super::compile::Compiled;
use super::{Text, Usage};
use crate::refusal::Refusal;

/// How many names a refusal suggests.
const SUGGESTIONS_MAX: usize = 3;

#[derive(Clone, Copy)]
pub(super) struct Reading<'usage> {
    pub amounts: [u64; QUANTITIES_MAX],
    /// Bit `n`: quantity `n` was given.
    pub given: u32,
    pub values: [Option<&'usage Text>; DIMENSIONS_MAX],
}

impl<'usage> Reading<'usage> {
    pub fn new(compiled: &Compiled, usage: &'usage Usage) -> Result<Reading<'usage>, Refusal> {
        let meter = &compiled.meter;
        let mut reading = Reading { amounts: [0; QUANTITIES_MAX], given: 0, values: [None; DIMENSIONS_MAX] };
        let mut lists_all = true;
        for (name, amount) in &usage.quantities {
            let Some(column) = meter.quantities.iter().position(|it| it.name == *name) else {
                lists_all = false;
                continue;
            };
            if reading.given & (1 << column) != 0 {
                return Err(Refusal::invalid(format!("quantities.{name}"), "is given twice"));
            }
            reading.given |= 1 << column;
            reading.amounts[column] = *amount;
        }
        if !lists_all {
            reading.add_unlisted(meter, usage)?;
        }
        for (name, value) in &usage.dimensions {
            let Some(place) = meter.dimensions.iter().position(|it| it == name) else {
                let known = meter.dimensions.iter().map(|it| &**it);
                return Err(unknown(&format!("dimensions.{name}"), &meter.name, "dimension", &suggest(name, known, 8)));
            };
            if reading.values[place].replace(value).is_some() {
                return Err(Refusal::invalid(format!("dimensions.{name}"), "is given twice"));
            }
        }
        Ok(reading)
    }
    pub fn is_given(&self, column: usize) -> bool {
        self.given & (1 << column) != 0
    }
}

/// Refuses a quantity that the meter does not know.
#[cold]
pub(super) fn not_listed(meter: &Meter, name: &str) -> Refusal {
    let known = meter.quantities.iter().map(|it| &*it.name);
    unknown(&format!("quantities.{name}"), &meter.name, "quantity", &suggest(name, known, 8))
}

/// Why the quantity of `column` has no price here: the dimension to blame, or the quantity itself.
#[cold]
pub(super) fn unpriced(compiled: &Compiled, reading: &Reading<'_>, column: usize) -> Refusal {
    let meter = &compiled.meter;
    let quantity = meter.quantities.get(column).map(|it| &it.name);
    let what = quantity.map_or_else(|| String::from("the base fee"), |it| format!("`{it}`"));
    for selector in &compiled.selectors {
        let name = &meter.dimensions[selector.dimension];
        let decides = meter.rows.iter().any(|row| {
            let prices = match quantity {
                Some(quantity) => row.rates.iter().any(|it| it.quantity == *quantity),
                None => row.base_fee.is_some(),
            };
            prices && row.when.iter().any(|it| it.dimension == *name)
        });
        let field = format!("dimensions.{name}");
        match reading.values[selector.dimension] {
            _ if !decides => {}
            None => return Refusal::unpriced(field, format_args!("is missing: it decides the price of {what}")),
            Some(value) if selector.recognise(value) == 0 => {
                let known = suggest(value, selector.known(), SUGGESTIONS_MAX);
                return Refusal::unpriced(field, format_args!("has no price for `{value}`; {known}"));
            }
            Some(_) => {}
        }
    }
    let chosen: Vec<String> = compiled
        .selectors
        .iter()
        .filter_map(|it| Some(format!("{} `{}`", meter.dimensions[it.dimension], reading.values[it.dimension]?)))
        .collect();
    let field = quantity.map_or_else(|| String::from("dimensions"), |it| format!("quantities.{it}"));
    let with = if chosen.is_empty() { String::from("in this form") } else { format!("for {}", chosen.join(", ")) };
    Refusal::unpriced(field, format_args!("has no price {with}"))
}

/// Refuses a usage without what the meter needs.
#[cold]
pub(super) fn incomplete(compiled: &Compiled, reading: &Reading<'_>) -> Refusal {
    let quantities = &compiled.meter.quantities;
    let missing = quantities.iter().enumerate().find(|it| it.1.role == Role::Required && !reading.is_given(it.0));
    match missing {
        Some((_, quantity)) => Refusal::invalid(
            format!("quantities.{}", quantity.name),
            format_args!("is missing: `{}` is charged by it", compiled.meter.name),
        ),
        None => {
            let priced = quantities.iter().filter(|it| it.role != Role::Informational).map(|it| &*it.name);
            let priced = priced.collect::<Vec<&str>>().join(", ");
            Refusal::unpriced("quantities", format_args!("has nothing that is priced; priced are {priced}"))
        }
    }
}

#[cold]
fn unknown(field: &str, meter: &str, kind: &str, known: &str) -> Refusal {
    Refusal::unpriced(field, format_args!("is not a {kind} of `{meter}`; {known}"))
}
