//! Rating: a rate card and a usage give a price. Exact until its end, where it rounds once, up, to the micro-credit.
//!
//! A [`RateCard`] is an immutable value, checked whole when it is made: every meter of it can be priced without
//! surprise, and [`RateCard::price`] refuses instead of guessing. Nothing here knows accounts, balances, documents or
//! the clock; what a card looks like on paper is the business of whoever reads it.
//!
//! Invariants: a price is never negative; its lines add up to it exactly; the same card and usage give the same price
//! for ever; what no rate covers is refused, never free.
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::money::Credits;

mod card;
mod ceiling;
mod check;
mod closest;
mod compile;
mod counted;
mod diff;
mod overlap;
mod price;
mod reading;
mod tally;
mod versions;

#[cfg(test)]
pub(crate) mod tests;

pub use card::{
    Category, CheaperOf, Condition, Meter, Quantity, Rate, RateCard, Role, Row, Runtime, Scheme, Tier, Tiers,
};
pub use ceiling::{Ceiling, QuantityCeiling};
pub use closest::closest;
pub use diff::Difference;
pub use versions::{NotAfter, RateCards};

/// A short text that is copied often: an item, a unit, a model.
pub type Text = Arc<str>;

/// What was measured: named whole quantities, and the dimension values that choose their prices. Sorted by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    pub meter: Text,
    pub quantities: Vec<(Text, u64)>,
    pub dimensions: Vec<(Text, Text)>,
}

/// One line of a receipt: `quantity` × `unit_price` / `per` = `credits`, up to the rounding of the whole price.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PriceLine {
    pub item: Text,
    pub quantity: u64,
    /// One of what is counted, in the singular: `token`, `line`, `second`.
    pub unit: Text,
    /// The price of `per` units, in micro-credits. Negative only where a cap takes something off.
    pub unit_price: Credits,
    pub per: u64,
    /// The lines of a price add up to it exactly: each carries the rounding of the running sum.
    pub credits: Credits,
}

/// What a usage costs by one version of the rate card.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Price {
    pub credits: Credits,
    pub lines: Vec<PriceLine>,
    /// Version of the rate card.
    pub rate_card: u32,
}

/// Where a rate card is wrong: a path into it such as `meters.ai_chat.rates[2].input_tokens.price`, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CardFault {
    pub field: String,
    pub why: String,
}
