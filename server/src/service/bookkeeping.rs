//! Bookkeeping: the journal counted into months, each transaction once, beside the commits and not in them.
//!
//! The newest month of an account says how many of its transactions are counted. Whoever counts reads those after it,
//! and commits the account's month and the house's together: so a count that was broken off left nothing, and of two
//! who count the same the second is overtaken. The committer says which accounts moved; those that moved in a process
//! that died before it counted them are found by looking through all accounts, once after the start and then hourly.
//!
//! Must never know what a report looks like. Invariant: the house's months are the sum of all accounts' transactions up
//! to the versions their months name.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use billing::accounting::{PaidGrant, Sums, Tally, booked_at};
use billing::calendar::Date;
use billing::id::{AccountNumber, GrantId, Name};
use billing::ledger::Transaction;
use billing::time::{Span, Timestamp};
use store::{Change, Document, Fault};

use super::Error;
use super::documents::Kept;
use super::months::{AccountMonth, Counted, HouseMonth, Month, SumsBody, Used};
use super::usage::{Interval, bucket_start};
use crate::app::{App, Known};

pub(super) const ACCOUNT_MONTH: &str = Document::ACCOUNT_MONTH;
pub(super) const HOUSE_MONTH: &str = Document::HOUSE_MONTH;

/// Accounts counted in one commit of the worker's: one of more would keep charges waiting.
const ACCOUNTS_BESIDE: usize = 4;
/// Accounts counted in one commit for whoever waits for the months, and transactions of one account.
const ACCOUNTS_MAX: usize = 64;
const TRANSACTIONS_MAX: u64 = 2_000;
/// Transactions counted in one pass, for whoever waits for the months.
const PASS_MAX: u64 = 20_000;
/// Accounts looked through in one step for what nobody counted.
const LOOKED_THROUGH: usize = 50;
const LOOK_THROUGH_EVERY: Span = Span::HOUR;
/// Steps of looking through in one pass, for whoever waits for the months.
const LOOKS_MAX: u32 = 10;
/// How long an account that cannot be counted rests. It waits no less for that: a report says so.
const REST: Span = Span::MINUTE;
/// How often what met another is counted again.
const ATTEMPTS_MAX: u32 = 16;
/// Passes before a report answers with what there is.
const REPORT_PASSES_MAX: u32 = 8;
/// Accounts with something due that are counted, where that keeps a report from being whole.
const DUE_MAX: usize = 10_000;
/// Months read at once, where one of long ago is looked for.
const MONTHS_AT_ONCE: usize = 36;

/// What is still to be counted, as far as this process knows.
#[derive(Debug, Default)]
pub struct Backlog {
    waiting: Mutex<Waiting>,
    /// Held through a pass: whoever finds nothing waiting must not find it under way.
    pass: Mutex<()>,
}

#[derive(Debug, Default)]
struct Waiting {
    accounts: BTreeSet<AccountNumber>,
    /// Those that could not be counted, and until when they rest.
    resting: BTreeMap<AccountNumber, Timestamp>,
    /// Where the next are taken from: when there are always more than are counted, each has its turn.
    next: Option<AccountNumber>,
    /// Accounts up to this one were looked through; None before the first.
    looked_through: Option<Name>,
    /// When all were, the last time.
    looked_at: Option<Timestamp>,
    /// Looks through all accounts: how many were begun, the last of them that was done, and the one a report waits for.
    looks_begun: u64,
    looks_done: u64,
    look_wanted: u64,
    /// Breaks of the store's history before the looks that are counted as done.
    breaks: u64,
    /// Nothing due by an instant was left to be posted, by any node, before the look of this number began.
    settled: Option<(Timestamp, u64)>,
}

/// How complete the months are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Freshness {
    /// Accounts known to have moved and not counted yet, or on which something of the time reported of is due.
    pub waiting: usize,
    /// Every account was looked through since this server started; of time that is over and a store that several nodes
    /// share, since all of that time was posted.
    pub is_whole: bool,
}

/// One commit's worth of counting.
#[derive(Default)]
struct Batch {
    changes: Vec<Change>,
    months: BTreeMap<Month, Counted>,
    transactions: u64,
    /// Accounts of which there is more.
    unfinished: Vec<AccountNumber>,
}

impl App {
    /// A step of the worker: counts some of what moved, and looks through some accounts for what was missed. Says
    /// whether there is more. Counting an account costs several times what a charge does, for one transaction nearly as
    /// much as for a hundred: where many accounts are busy each waits until it has many.
    pub fn keep_books(&self) -> Result<bool, Error> {
        let _pass = self.backlog.pass.lock().unwrap_or_else(PoisonError::into_inner);
        let is_looking = self.look_through()?;
        Ok(0 < self.count_some(ACCOUNTS_BESIDE)? || is_looking)
    }

    /// Counts what waits, up to what is counted in one pass.
    fn count_waiting(&self) -> Result<(), Error> {
        let _pass = self.backlog.pass.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..LOOKS_MAX {
            if !self.look_through()? {
                break;
            }
        }
        let mut transactions = 0;
        while transactions < PASS_MAX {
            match self.count_some(ACCOUNTS_MAX)? {
                0 => break,
                counted => transactions += counted,
            }
        }
        Ok(())
    }

    /// Counts up to `most` of the accounts that wait, in one commit, and says how many transactions that were.
    fn count_some(&self, most: usize) -> Result<u64, Error> {
        let some = self.waiting_accounts(most);
        if some.is_empty() { Ok(0) } else { self.count_all(some).map(|it| it.max(1)) }
    }

    /// Posts what was due by `until` and counts until nothing waits here, or for a bounded while, and says how complete
    /// the months are up to then.
    pub(super) fn books_until(&self, until: Timestamp) -> Result<Freshness, Error> {
        let now = self.now();
        let (is_over, until) = (until <= now, until.min(now));
        self.settle_until(until)?;
        let look = if is_over && self.store.is_shared() { self.look_after(until)? } else { 1 };
        for _ in 0..REPORT_PASSES_MAX {
            self.count_waiting()?;
            let freshness = self.freshness(until, look)?;
            if freshness.waiting == 0 && freshness.is_whole {
                return Ok(freshness);
            }
        }
        self.freshness(until, look)
    }

    /// The look through all accounts that finds whatever any node posted of the time up to `until`, which is over: one
    /// that begins when nothing of that time is due any more. The committer tells only of what moved here.
    fn look_after(&self, until: Timestamp) -> Result<u64, Error> {
        let is_posted = self.store.due(until, 1)?.is_empty();
        let mut waiting = self.backlog.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, look)) = waiting.settled.filter(|it| is_posted && until <= it.0) {
            return Ok(look);
        }
        let next = waiting.looks_begun + 1;
        if is_posted {
            (waiting.settled, waiting.look_wanted) = (Some((until, next)), next);
        }
        Ok(next)
    }

    /// Counts one account up to now. False where there is so much of it that the worker must go on.
    pub(super) fn count_account(&self, account: AccountNumber) -> Result<bool, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let mut batch = Batch::default();
            self.count(account, &mut batch)?;
            if batch.changes.is_empty() || (self.commit_batch(&batch)? && batch.unfinished.is_empty()) {
                return Ok(true);
            }
        }
        self.keep_waiting([account]);
        Ok(false)
    }

    fn freshness(&self, until: Timestamp, look: u64) -> Result<Freshness, Error> {
        self.take_in_moved();
        let mut due = self.store.due(until, DUE_MAX)?;
        let waiting = self.backlog.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        due.retain(|it| !waiting.accounts.contains(it) && !waiting.resting.contains_key(it));
        let resting = waiting.resting.keys().filter(|it| !waiting.accounts.contains(it)).count();
        let (waits, is_whole) = (waiting.accounts.len() + resting + due.len(), look <= waiting.looks_done);
        Ok(Freshness { waiting: waits, is_whole })
    }

    fn take_in_moved(&self) {
        let moved = self.turnstile.moved();
        self.keep_waiting(moved);
    }

    pub(super) fn keep_waiting(&self, accounts: impl IntoIterator<Item = AccountNumber>) {
        self.backlog.waiting.lock().unwrap_or_else(PoisonError::into_inner).accounts.extend(accounts);
    }

    fn waiting_accounts(&self, most: usize) -> Vec<AccountNumber> {
        self.take_in_moved();
        let now = self.now();
        let mut waiting = self.backlog.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let rested: Vec<_> = waiting.resting.extract_if(.., |_, until| *until <= now).collect();
        waiting.accounts.extend(rested.into_iter().map(|it| it.0));
        let mut some = Vec::new();
        while some.len() < most {
            let next = waiting.next.and_then(|next| waiting.accounts.range(next..).next().copied());
            let Some(account) = next.or_else(|| waiting.accounts.first().copied()) else { break };
            waiting.accounts.remove(&account);
            waiting.next = Some(account);
            some.push(account);
        }
        some
    }

    /// Counts some accounts in one commit, and says how many transactions that were. What could not be counted waits;
    /// an account of which something cannot be read rests, and is no reason not to count the others.
    fn count_all(&self, mut accounts: Vec<AccountNumber>) -> Result<u64, Error> {
        let mut batch = Batch::default();
        accounts.retain(|account| match self.count(*account, &mut batch) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(account = account.get(), %error, "an account could not be counted, and is tried again");
                let mut waiting = self.backlog.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.resting.insert(*account, self.now() + REST);
                false
            }
        });
        if batch.changes.is_empty() {
            return Ok(0);
        }
        match self.commit_batch(&batch) {
            Ok(true) => self.keep_waiting(batch.unfinished),
            // Another process counted some of it: look again.
            Ok(false) => self.keep_waiting(accounts),
            Err(error) => {
                self.keep_waiting(accounts);
                return Err(error);
            }
        }
        Ok(batch.transactions)
    }

    /// Counts an account's next transactions into `batch`: those of one month, and no more than are read at once. When
    /// it fails, nothing of it is in the batch.
    fn count(&self, account: AccountNumber, batch: &mut Batch) -> Result<(), Error> {
        let Some(known) = self.known_number(account)? else { return Ok(()) };
        let Some(book) = self.store.recall(&[], &[account])?.books.pop().flatten() else { return Ok(()) };
        let newest = self.newest_month(account, None)?;
        let counted = newest.as_ref().map_or(0, |it| it.body.version);
        let limit = book.version.saturating_sub(counted).min(TRANSACTIONS_MAX);
        if limit == 0 {
            return Ok(());
        }
        let wanted = usize::try_from(limit).expect("a few thousand");
        let mut read = self.store.transactions(account, counted + limit + 1, wanted)?;
        read.reverse();
        let Some(first) = read.first() else { return Ok(()) };
        let before = newest.as_ref().map(|it| it.document.id.parse::<Month>().expect("a month is called by its name"));
        let of = |transaction: &Transaction| month_of(&known, booked_at(transaction));
        // Never back: a zone that changed may call the same instant the month before.
        let month = before.map_or(of(first), |it| it.max(of(first)));
        let (mut kept, mut tally) = match newest {
            Some(newest) if before == Some(month) => {
                let tally = newest.body.tally();
                (newest, tally)
            }
            newest => open(&known, month, newest.as_ref(), booked_at(first)),
        };
        let mut sums = kept.body.sums.read()?;
        let mut used = Used::of(std::mem::take(&mut kept.body.used));
        let mut days: Vec<(Date, Sums)> = Vec::with_capacity(read.len());
        for transaction in read.iter().take_while(|it| of(it) <= month) {
            let came_to = self.came_to(account, &mut tally, transaction)?;
            sums.add(&came_to);
            used.count(transaction);
            days.push((Date::of(booked_at(transaction)), came_to));
        }
        // From here on nothing fails.
        for (date, came_to) in days {
            batch.months.entry(Month::of(date)).or_default().add(date.day, &came_to);
            batch.transactions += 1;
        }
        kept.body.used = used.rows();
        kept.body.keep(&tally, &sums);
        if tally.version < book.version {
            batch.unfinished.push(account);
        }
        batch.changes.push(kept.next(self.now(), None));
        Ok(())
    }

    /// An account's newest month, or the newest before one.
    pub(super) fn newest_month(
        &self,
        account: AccountNumber,
        before: Option<Month>,
    ) -> Result<Option<Kept<AccountMonth>>, Error> {
        let before = before.map(|it| it.to_string());
        Ok(self.all_kept::<AccountMonth>(account, ACCOUNT_MONTH, before.as_deref(), 1)?.pop())
    }

    /// What an account's next transaction comes to. Counted without a grant that could not be read, it would be wrong
    /// for ever: so it is not counted then.
    fn came_to(&self, account: AccountNumber, tally: &mut Tally, transaction: &Transaction) -> Result<Sums, Error> {
        let mut failed = None;
        let mut forgotten = |grant| {
            self.paid_grant(account, grant).unwrap_or_else(|error| {
                failed = Some(error);
                None
            })
        };
        let sums = tally.count(transaction, &mut forgotten);
        failed.map_or(Ok(sums), Err)
    }

    /// A paid grant as the last month that had it says, also one that is over; none for one nobody paid for, which its
    /// own transaction says. A correction that reaches back so far is rare; it costs a look at each month since.
    pub(super) fn paid_grant(&self, account: AccountNumber, grant: GrantId) -> Result<Option<PaidGrant>, Error> {
        let name = grant.to_string();
        let broken = |why: &str| Fault::new("reading a paid grant", format!("{name} {why}"));
        let made = self.store.transaction(grant.place())?.ok_or_else(|| broken("was never made"))?;
        if made.granted().is_none_or(|it| PaidGrant::of(it.1).is_none()) {
            return Ok(None);
        }
        let mut before = None;
        loop {
            let months = self.all_kept::<AccountMonth>(account, ACCOUNT_MONTH, before.as_deref(), MONTHS_AT_ONCE)?;
            if let Some(it) = months.iter().find_map(|it| it.body.paid.get(&name)) {
                return Ok(Some(it.read().ok_or_else(|| broken("was paid for in an unknown currency"))?));
            }
            let oldest = months.last().ok_or_else(|| broken("is in no month"))?;
            before = Some(oldest.document.id.clone());
        }
    }

    /// False when another was first with any of it.
    fn commit_batch(&self, batch: &Batch) -> Result<bool, Error> {
        let now = self.now();
        let mut changes = batch.changes.clone();
        for (month, counted) in &batch.months {
            let id = month.to_string();
            let kept = self.kept::<HouseMonth>(Document::HOUSE, HOUSE_MONTH, &id)?;
            let mut kept = kept.unwrap_or_else(|| Kept::new(Document::HOUSE, HOUSE_MONTH, id, HouseMonth::default()));
            counted.add_to(&mut kept.body)?;
            changes.push(kept.next(now, None));
        }
        self.keep(&changes)
    }

    /// Looks through some more accounts for transactions that nobody counted, when it is time or a report waits for it,
    /// and says whether there are more.
    fn look_through(&self) -> Result<bool, Error> {
        let (now, breaks) = (self.now(), self.store.breaks());
        let after = {
            let mut waiting = self.backlog.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.breaks != breaks {
                // What was counted may have gone with the history it was counted in.
                (waiting.breaks, waiting.settled, waiting.looks_done) = (breaks, None, 0);
                (waiting.looked_through, waiting.looked_at) = (None, None);
            }
            let is_time = waiting.looked_at.is_none_or(|it| it + LOOK_THROUGH_EVERY <= now);
            if waiting.looked_through.is_none() {
                if !is_time && waiting.look_wanted <= waiting.looks_done {
                    return Ok(false);
                }
                waiting.looks_begun += 1;
            }
            waiting.looked_through.clone()
        };
        let accounts = self.store.accounts(after.as_ref(), LOOKED_THROUGH)?;
        let numbers: Vec<AccountNumber> = accounts.iter().map(|it| it.number).collect();
        // Where something cannot be read, whoever counts finds out of which account.
        let behind = self.behind(&numbers).unwrap_or_else(|error| {
            tracing::error!(%error, "how far accounts are counted could not be read: each is looked at");
            numbers
        });
        let mut waiting = self.backlog.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.accounts.extend(behind);
        if accounts.len() < LOOKED_THROUGH {
            (waiting.looked_through, waiting.looked_at) = (None, Some(now));
            waiting.looks_done = waiting.looks_begun;
        } else {
            waiting.looked_through = accounts.last().map(|it| it.id.clone());
        }
        Ok(waiting.looked_through.is_some() || waiting.looks_done < waiting.look_wanted)
    }
}

impl App {
    /// Those that have transactions nobody counted.
    fn behind(&self, accounts: &[AccountNumber]) -> Result<Vec<AccountNumber>, Error> {
        let mut behind = Vec::new();
        for (account, version) in accounts.iter().zip(self.store.versions(accounts)?) {
            if self.newest_month(*account, None)?.map_or(0, |it| it.body.version) < version {
                behind.push(*account);
            }
        }
        Ok(behind)
    }
}

/// The month an instant falls in, by the account's calendar.
pub(super) fn month_of(known: &Known, at: Timestamp) -> Month {
    let instant = jiff::Timestamp::from_millisecond(at.millis()).unwrap_or(jiff::Timestamp::MAX);
    let local = instant.to_zoned(known.zone.clone());
    Month { year: i32::from(local.year()), number: local.month().unsigned_abs() }
}

/// A month nothing is counted in yet, that goes on from the one before.
fn open(
    known: &Known,
    month: Month,
    before: Option<&Kept<AccountMonth>>,
    at: Timestamp,
) -> (Kept<AccountMonth>, Tally) {
    let tally = before.map_or_else(Tally::default, |it| it.body.tally().carried());
    let (from, to) = range(known, at);
    let body = AccountMonth {
        version: tally.version,
        from: from.millis(),
        to: to.millis(),
        timezone: known.account.timezone.clone(),
        opening: before.map_or(0, |it| it.body.closing()),
        sums: SumsBody::of(&Sums::default()),
        used: Vec::new(),
        paid: BTreeMap::new(),
    };
    (Kept::new(known.account.number, ACCOUNT_MONTH, month.to_string(), body), tally)
}

/// Where the month that `at` falls in begins and ends, by the account's calendar.
pub(super) fn range(known: &Known, at: Timestamp) -> (Timestamp, Timestamp) {
    let from = bucket_start(at, Interval::Month, &known.zone, at);
    // No month is longer than 31 days and the hours that clocks are put back.
    let to = bucket_start(from + Span::DAY.times(32), Interval::Month, &known.zone, at);
    (from, to)
}
