//! THE MEASURES: a raw artefact in, usage and its evidence out.
//!
//! One module a meter: [`chat`] counts tokens, [`repository`] counts lines of code, [`plan`] scores infrastructure
//! plans, [`server`] turns lifecycle facts into seconds.
//!
//! Must never know: prices, credits, accounts, the clock, the network. The rate card decides what usage costs; the
//! caller decides who pays.
//!
//! Invariant: the same input gives the same [`Measurement`], on any machine, in any locale, in any order of reading.
//! All numbers are integers.

pub mod chat;
mod error;
pub mod plain;
pub mod plan;
pub mod repository;
pub mod server;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use error::MeasureError;

/// What a measurer found: usage that a rate card can price, and evidence that a customer can check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measurement {
    /// The meter's name on the rate card: `ai_chat`, `code_analysis`, `infra_plan` or `server`.
    pub meter: String,
    /// How much, by quantity name. Units are part of the name (`input_tokens`, `code_lines`, `runtime_seconds`).
    pub quantities: BTreeMap<String, u64>,
    /// What kind, by dimension name (`model`, `band`, `tier` …).
    pub dimensions: BTreeMap<String, String>,
    /// What was counted and how: enough to recompute the quantities and to show them to a customer.
    pub evidence: serde_json::Value,
}

impl Measurement {
    fn new(meter: &str, evidence: serde_json::Value) -> Self {
        Self { meter: meter.to_owned(), quantities: BTreeMap::new(), dimensions: BTreeMap::new(), evidence }
    }

    fn quantity(mut self, name: &str, value: u64) -> Self {
        self.quantities.insert(name.to_owned(), value);
        self
    }

    fn dimension(mut self, name: &str, value: impl Into<String>) -> Self {
        self.dimensions.insert(name.to_owned(), value.into());
        self
    }
}
