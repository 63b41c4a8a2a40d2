//! Usage roll-ups: what the pages add up, kept in the same write as the charge.
//!
//! A roll-up is keyed by the hour the work happened in and by everything usage is grouped by, so that the sum over any
//! grouping of any range is the total, to the micro-credit. It never needs the charges again.
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::id::Name;
use crate::ledger::{Transaction, What, Work};
use crate::money::Credits;
use crate::rating::Text;
use crate::time::Timestamp;

/// The meter whose resource is a server.
pub const SERVER_METER: &str = "server";
/// The dimension that usage is grouped by.
pub const MODEL_DIMENSION: &str = "model";

/// One row of usage: an hour, and what was used in it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UsageKey {
    /// Start of the hour, as hours fall in the account's zone.
    pub hour: Timestamp,
    pub meter: Text,
    pub project: Option<Name>,
    pub server: Option<Name>,
    pub model: Option<Text>,
    pub actor: Option<Name>,
}

/// What adds up. A reversal takes credits away and leaves count and quantities: the work was done.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UsageSum {
    pub credits: Credits,
    pub count: u64,
    /// Sorted by name.
    pub quantities: Vec<(Text, u64)>,
}

impl UsageSum {
    pub fn add(&mut self, other: &UsageSum) {
        self.credits += other.credits;
        self.count += other.count;
        for (name, quantity) in &other.quantities {
            match self.quantities.binary_search_by(|(it, _)| it.cmp(name)) {
                Ok(place) => self.quantities[place].1 = self.quantities[place].1.saturating_add(*quantity),
                Err(place) => self.quantities.insert(place, (Arc::clone(name), *quantity)),
            }
        }
    }
}

impl Work {
    pub fn usage_key(&self) -> UsageKey {
        let of_server = &*self.usage.meter == SERVER_METER;
        let model = self.usage.dimensions.iter().find(|(name, _)| &**name == MODEL_DIMENSION);
        UsageKey {
            hour: self.hour,
            meter: Arc::clone(&self.usage.meter),
            project: self.project.clone(),
            server: self.resource.clone().filter(|_| of_server),
            model: model.map(|(_, value)| Arc::clone(value)),
            actor: self.actor.clone(),
        }
    }
}

impl Transaction {
    /// What this transaction adds to the usage of its account.
    pub fn usage(&self) -> Option<(UsageKey, UsageSum)> {
        match &self.what {
            What::Charged { work, credits, .. } => {
                let sum = UsageSum { credits: *credits, count: 1, quantities: work.usage.quantities.clone() };
                Some((work.usage_key(), sum))
            }
            What::Reversed(it) => {
                let sum = UsageSum { credits: -it.credits, count: 0, quantities: Vec::new() };
                Some((it.work.usage_key(), sum))
            }
            _ => None,
        }
    }
}
