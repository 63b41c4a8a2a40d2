//! Usage that was read lately: a page asks for the same weeks several times over, and a client for its balance again
//! and again.
//!
//! What is kept is of a version of the account, and goes on with it: the few transactions since are read and added. It
//! is bounded, and what is not kept is read. Invariant: what is given is what the store would have said.
use std::ops::Deref;
use std::sync::Arc;

use billing::id::AccountNumber;
use billing::time::{Span, Timestamp};
use store::{Fault, UsageRow};

use super::recent::Recent;
use crate::app::App;

/// Rows that are kept of all accounts: some fifty megabytes.
const KEPT_MAX: usize = 250_000;
/// An account with fewer is read as quickly as it is looked for.
const KEPT_MIN: usize = 1_000;
/// Transactions that are added to what is kept; whoever is further behind is read anew.
pub(super) const FOLLOWED_MAX: u64 = 256;
/// Reading up to now reads on to here, so that what is asked a moment later is inside.
const BEYOND_NOW: Span = Span::DAY.times(2);

pub struct Lately(Recent<Kept>);

impl Default for Lately {
    fn default() -> Lately {
        Lately(Recent::of(KEPT_MAX))
    }
}

/// An account's usage in a range, by key, at a version.
struct Kept {
    account: AccountNumber,
    version: u64,
    /// Breaks of the store's history before it was read.
    breaks: u64,
    from: Timestamp,
    to: Timestamp,
    rows: Arc<Vec<UsageRow>>,
}

/// Rows of a range, in the order of their keys.
#[derive(Clone)]
pub struct Rows {
    all: Arc<Vec<UsageRow>>,
    start: usize,
    end: usize,
}

impl Rows {
    fn between(all: &Arc<Vec<UsageRow>>, from: Timestamp, to: Timestamp) -> Rows {
        let before = |at: Timestamp| all.partition_point(|it| it.key.hour < at);
        Rows { all: Arc::clone(all), start: before(from), end: before(to) }
    }
}

impl Deref for Rows {
    type Target = [UsageRow];
    fn deref(&self) -> &[UsageRow] {
        &self.all[self.start..self.end]
    }
}

impl Kept {
    fn has(&self, from: Timestamp, to: Timestamp) -> bool {
        self.from <= from && to <= self.to
    }

    /// Goes on to `version`. False where that is too far.
    fn follow(&mut self, app: &App, version: u64) -> Result<bool, Fault> {
        // Others may have gone further meanwhile.
        let since = version.saturating_sub(self.version);
        if since == 0 || FOLLOWED_MAX < since {
            return Ok(since == 0);
        }
        let count = usize::try_from(since).expect("a few");
        let newest_first = app.store.transactions(self.account, version + 1, count)?;
        if newest_first.len() != count || newest_first[0].place.version != version {
            return Ok(false);
        }
        let rows = Arc::make_mut(&mut self.rows);
        for (key, sum) in newest_first.iter().rev().filter_map(|it| it.usage()) {
            if self.from <= key.hour && key.hour < self.to {
                match rows.binary_search_by(|it| it.key.cmp(&key)) {
                    Ok(place) => rows[place].sum.add(&sum),
                    Err(place) => rows.insert(place, UsageRow { key, sum }),
                }
            }
        }
        self.version = version;
        Ok(true)
    }
}

impl Lately {
    fn keep(&self, kept: Kept) {
        let (account, rows) = (kept.account, kept.rows.len());
        if KEPT_MIN <= rows { self.0.keep(account, rows, kept) } else { self.0.forget(account) }
    }
}

impl App {
    /// An account's usage in hours that start at `from` or later and before `to`, and the version it is of.
    pub(super) fn usage_lately(
        &self,
        account: AccountNumber,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<(u64, Rows), Fault> {
        if let Some(kept) = self.lately.0.find(account) {
            let version = self.book(account)?.version;
            // Whoever panicked with it may have added some of what is new: it is read anew.
            if let Ok(mut kept) = kept.lock()
                && kept.has(from, to)
                && kept.follow(self, version)?
                // Asked last: any of these reads may have been the first of another history.
                && kept.breaks == self.store.breaks()
            {
                return Ok((kept.version, Rows::between(&kept.rows, from, to)));
            }
        }
        let breaks = self.store.breaks();
        let until = if self.now() <= to { to.max(self.now() + BEYOND_NOW) } else { to };
        let (version, rows) = self.store.usage_as_of(account, from, until)?;
        let rows = Arc::new(rows);
        let given = Rows::between(&rows, from, to);
        self.lately.keep(Kept { account, version, breaks, from, to: until, rows });
        Ok((version, given))
    }

    /// The same, whatever version it is of.
    pub(super) fn usage_of(&self, account: AccountNumber, from: Timestamp, to: Timestamp) -> Result<Rows, Fault> {
        Ok(self.usage_lately(account, from, to)?.1)
    }
}
