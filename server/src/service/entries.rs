//! The ledger as an account sees it: every transaction, newest first, filtered, a page at a time.
use std::sync::Arc;

use billing::id::Name;
use billing::ledger::{BudgetChange, Transaction, What, Work};
use billing::rating::Text;
use billing::time::Timestamp;
use billing::usage::UsageKey;

use super::Error;
use crate::app::App;

/// Transactions looked at for one page: a filter that matches little gives a short page and a cursor to go on from, so
/// that no page costs more than another.
const LOOKED_AT_MAX: usize = 5_000;
/// Transactions read at once.
const READ_AT_ONCE: usize = 500;

#[derive(Clone, Debug, Default)]
pub struct EntryFilter {
    /// Decided at this instant or later.
    pub from: Option<Timestamp>,
    /// Decided before this instant.
    pub to: Option<Timestamp>,
    /// For work the two mean when it happened, not when it was told of: as usage counts it.
    pub is_by_work: bool,
    /// As people read it: without what only keeps house (a budget that counts up, terms, that a notice was given).
    pub is_for_people: bool,
    /// Work of any of these; of any at all where none is named.
    pub meters: Vec<Text>,
    pub project: Option<Name>,
    /// Work of this server, and what was reported of it where nothing narrower is asked for.
    pub server: Option<Name>,
    pub model: Option<Text>,
    pub actor: Option<Name>,
}

/// What a page may come to.
#[derive(Clone, Copy, Debug)]
pub struct EntryBounds {
    pub entries: usize,
    /// Transactions looked at, whether or not they fit; there is a bound whatever is asked for.
    pub looked_at: usize,
}

impl From<usize> for EntryBounds {
    fn from(entries: usize) -> EntryBounds {
        EntryBounds { entries, looked_at: LOOKED_AT_MAX }
    }
}

#[derive(Clone, Debug)]
pub struct EntryPage {
    pub entries: Vec<Arc<Transaction>>,
    /// Where the next page begins; none when this is the last.
    pub next: Option<u64>,
    /// Transactions that were looked at for it. A page that is short and not the last has looked at all it may.
    pub looked_at: usize,
}

impl App {
    /// Entries of an account below the cursor `before`, newest first, up to a limit.
    pub fn entries(
        &self,
        account: &Name,
        filter: &EntryFilter,
        before: Option<u64>,
        bounds: impl Into<EntryBounds>,
    ) -> Result<EntryPage, Error> {
        let EntryBounds { entries: limit, looked_at: most } = bounds.into();
        let most = most.min(LOOKED_AT_MAX);
        let number = self.known(account)?.account.number;
        let mut cursor = before.unwrap_or(u64::MAX);
        let mut entries = Vec::new();
        let mut looked_at = 0;
        // Most filters match most of what there is. One that does not is given more with every read.
        let mut at_once = limit;
        while looked_at < most {
            let wanted = if filter.is_open() { limit - entries.len() } else { at_once };
            at_once = at_once.saturating_mul(4);
            let wanted = wanted.clamp(1, READ_AT_ONCE).min(most - looked_at);
            let read = self.store.transactions(number, cursor, wanted)?;
            if read.is_empty() {
                return Ok(EntryPage { entries, next: None, looked_at });
            }
            looked_at += read.len();
            for transaction in read {
                cursor = transaction.place.version;
                if filter.from.is_some_and(|from| transaction.at < from) {
                    // Transactions are in order of time: nothing below can match.
                    return Ok(EntryPage { entries, next: None, looked_at });
                }
                if filter.admits(&transaction) {
                    entries.push(transaction);
                    if entries.len() == limit {
                        return Ok(EntryPage { entries, next: Some(cursor).filter(|it| 1 < *it), looked_at });
                    }
                }
            }
        }
        Ok(EntryPage { entries, next: Some(cursor).filter(|it| 1 < *it), looked_at })
    }
}

impl EntryFilter {
    fn is_open(&self) -> bool {
        let of_work = !self.meters.is_empty() || self.project.is_some() || self.server.is_some();
        !of_work && self.model.is_none() && self.actor.is_none() && self.to.is_none() && !self.is_by_work
    }

    fn admits(&self, transaction: &Transaction) -> bool {
        if self.is_for_people && keeps_house(&transaction.what) {
            return false;
        }
        let work = work_of(transaction).filter(|_| self.is_by_work);
        let when = work.map_or(transaction.at, |it| it.occurred_at);
        if self.to.is_some_and(|to| to <= when) || self.from.is_some_and(|from| when < from) {
            return false;
        }
        let any_work = EntryFilter { from: None, to: None, is_by_work: false, ..self.clone() }.is_open();
        any_work
            || self.is_life_of(&transaction.what)
            || work_of(transaction).is_some_and(|it| self.admits_key(&it.usage_key()))
    }

    /// What happened to the very server that is asked for, and to nothing narrower.
    fn is_life_of(&self, what: &What) -> bool {
        let What::Server(report) = what else { return false };
        let is_narrower = !self.meters.is_empty() || self.project.is_some() || self.model.is_some();
        !is_narrower && self.actor.is_none() && self.server.as_ref() == Some(&report.server)
    }

    fn admits_key(&self, key: &UsageKey) -> bool {
        fn fits<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        (self.meters.is_empty() || self.meters.contains(&key.meter))
            && fits(self.project.as_ref(), key.project.as_ref())
            && fits(self.server.as_ref(), key.server.as_ref())
            && fits(self.model.as_ref(), key.model.as_ref())
            && fits(self.actor.as_ref(), key.actor.as_ref())
    }
}

/// Nothing came of it that anybody would look for.
fn keeps_house(what: &What) -> bool {
    matches!(what, What::Budget(BudgetChange::Counted { .. }) | What::BurnTerms(_) | What::Noticed)
}

/// The work a transaction is about, where it is about work.
fn work_of(transaction: &Transaction) -> Option<&Work> {
    match &transaction.what {
        What::Charged { work, .. } | What::Held { work, .. } => Some(work),
        What::Extended { used, .. } => used.as_deref(),
        What::Reversed(it) => Some(&it.work),
        _ => None,
    }
}
