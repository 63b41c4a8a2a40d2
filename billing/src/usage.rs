//! Usage roll-ups: what the pages add up, kept in the same write as the charge.
//!
//! A roll-up is keyed by the hour the work happened in and by everything usage is grouped by, so that the sum over any
//! grouping of any range is the total, to the micro-credit. It never needs the charges again.
use alloc::borrow::Cow;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::id::Name;
use crate::ledger::{Settled, Transaction, What, Work};
use crate::money::Credits;
use crate::rating::Text;
use crate::server::{PROVISIONED, PartKind, RUNTIME_SECONDS};
use crate::time::Timestamp;

/// The meter whose resource is a server.
pub const SERVER_METER: &str = "server";
/// In a server's set-up: its credits as a quantity, in micro-credits. So the credits of setting up and those of running
/// stay apart in one sum.
pub const SET_UP_MICROS: &str = "set_up_micros";
/// Ends the name of a quantity that a correction took back: quantities only ever grow, and the difference is shown.
pub const TAKEN_BACK: &str = "_taken_back";
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

/// A key that borrows what it names: to look for a row without making one. Ordered as keys are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UsageKeyRef<'a> {
    pub hour: Timestamp,
    pub meter: &'a str,
    pub project: Option<&'a str>,
    pub server: Option<&'a str>,
    pub model: Option<&'a str>,
    pub actor: Option<&'a str>,
}

impl<'a> UsageKeyRef<'a> {
    /// The same of another hour.
    pub fn in_hour(self, hour: Timestamp) -> UsageKeyRef<'a> {
        UsageKeyRef { hour, ..self }
    }
}

impl UsageKey {
    pub fn as_ref(&self) -> UsageKeyRef<'_> {
        UsageKeyRef {
            hour: self.hour,
            meter: &self.meter,
            project: self.project.as_ref().map(Name::as_str),
            server: self.server.as_ref().map(Name::as_str),
            model: self.model.as_deref(),
            actor: self.actor.as_ref().map(Name::as_str),
        }
    }
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
        self.credits = self.credits.saturating_add(other.credits);
        self.count += other.count;
        for (name, quantity) in &other.quantities {
            match self.quantities.binary_search_by(|(it, _)| it.cmp(name)) {
                Ok(place) => self.quantities[place].1 = self.quantities[place].1.saturating_add(*quantity),
                Err(place) => self.quantities.insert(place, (Arc::clone(name), *quantity)),
            }
        }
    }
}

impl UsageSum {
    /// As it is to be shown: what was taken back taken off, and the credits of setting servers up apart.
    pub fn netted(mut self) -> (UsageSum, Credits) {
        let mut set_up = Credits::ZERO;
        let all = core::mem::take(&mut self.quantities);
        for (name, quantity) in &all {
            if name.ends_with(TAKEN_BACK) {
                continue;
            }
            let back = all.iter().find(|(it, _)| it.strip_suffix(TAKEN_BACK) == Some(name));
            let net = quantity.saturating_sub(back.map_or(0, |it| it.1));
            if &**name == SET_UP_MICROS {
                set_up = Credits::from_micros(i64::try_from(net).unwrap_or(i64::MAX));
            } else {
                self.quantities.push((Arc::clone(name), net));
            }
        }
        (self, set_up)
    }
}

impl Work {
    /// The row its usage is counted in, to look for.
    pub fn usage_key_ref(&self) -> UsageKeyRef<'_> {
        let of_server = &*self.usage.meter == SERVER_METER;
        let model = self.usage.dimensions.iter().find(|(name, _)| &**name == MODEL_DIMENSION);
        UsageKeyRef {
            hour: self.hour,
            meter: &self.usage.meter,
            project: self.project.as_ref().map(Name::as_str),
            server: self.resource.as_ref().filter(|_| of_server).map(Name::as_str),
            model: model.map(|(_, value)| &**value),
            actor: self.actor.as_ref().map(Name::as_str),
        }
    }

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

/// Whether it is for setting a server up: settled as that, or told as a charge of its own.
fn is_set_up(work: &Work, settled: Option<&Settled>) -> bool {
    match settled {
        Some(it) => it.kind == PartKind::SetUp,
        None => {
            let counts = |name: &str| work.usage.quantities.iter().any(|(it, count)| &**it == name && 0 < *count);
            &*work.usage.meter == SERVER_METER && counts(PROVISIONED) && !counts(RUNTIME_SECONDS)
        }
    }
}

/// What a transaction adds to usage.
#[derive(Clone, Debug)]
pub struct Added<'a> {
    /// The work that was done, or undone: it says which row of usage is added to.
    pub work: &'a Work,
    pub credits: Credits,
    pub count: u64,
    pub quantities: Cow<'a, [(Text, u64)]>,
}

impl Transaction {
    /// What this transaction adds to the usage of its account.
    pub fn usage(&self) -> Option<(UsageKey, UsageSum)> {
        let Added { work, credits, count, quantities } = self.added_usage()?;
        Some((work.usage_key(), UsageSum { credits, count, quantities: quantities.into_owned() }))
    }

    /// Like `usage`, without copying what most transactions have in common.
    pub fn added_usage(&self) -> Option<Added<'_>> {
        match &self.what {
            What::Charged { work, credits, settled, .. } => {
                let mut quantities = Cow::Borrowed(&work.usage.quantities[..]);
                if is_set_up(work, settled.as_ref()) {
                    quantities.to_mut().push((SET_UP_MICROS.into(), credits.micros().unsigned_abs()));
                }
                Some(Added { work, credits: *credits, count: 1, quantities })
            }
            What::Reversed(it) => {
                let mut quantities = Vec::new();
                if it.settled.is_some() {
                    let back = |name: &str| Text::from(format!("{name}{TAKEN_BACK}"));
                    quantities.extend(it.work.usage.quantities.iter().map(|(name, many)| (back(name), *many)));
                }
                if is_set_up(&it.work, it.settled.as_ref()) {
                    let micros = it.credits.micros().unsigned_abs();
                    quantities.push((format!("{SET_UP_MICROS}{TAKEN_BACK}").into(), micros));
                }
                Some(Added { work: &it.work, credits: -it.credits, count: 0, quantities: Cow::Owned(quantities) })
            }
            _ => None,
        }
    }
}
