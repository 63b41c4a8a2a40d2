//! The balance: the same numbers everywhere, at any instant.
use std::sync::Arc;

use billing::Refusal;
use billing::id::{AccountNumber, Name, Place};
use billing::ledger::{Balance, Book, RUNWAY_MAX, Scope, Source, Transaction};
use billing::money::{Credits, Currency, Money};
use billing::server::Phase;
use billing::time::{Span, Timestamp};
use store::Fault;

use super::Error;
use crate::app::App;

/// Transactions that are folded to see a past balance whole: a second's work.
pub const FOLDED_MAX: u64 = 50_000;
/// Settlements of servers that are foretold to see a balance to come: as much.
const FORETOLD_MAX: i64 = 50_000;
/// The same, read at once.
const FOLDED_AT_ONCE: u64 = 1_000;
/// Days of usage that say how fast an account burns.
const BURN_DAYS: i64 = 7;
/// Micro-credits in a hundred credits, which is what the list price is of.
const DENOMINATOR: i128 = 100 * Credits::MICROS as i128;

#[derive(Clone, Debug)]
pub struct BalanceView {
    pub account: Name,
    pub as_of: Timestamp,
    pub balance: Balance,
    /// Unspent credits by source. Empty for an instant that more than [`FOLDED_MAX`] transactions came before: of that
    /// only the sums are kept.
    pub by_source: Vec<(Source, Credits)>,
    pub next_expiry: Option<(Timestamp, Credits)>,
    /// Credits that only some work may be paid from, by their scope. Empty like `by_source`.
    pub scoped: Vec<(Scope, Credits)>,
    /// What any work may be paid from: what is available, but for those.
    pub general: Credits,
    /// Credits used a day: by servers over the day after, by everything else over the week before. Of an instant that
    /// more than [`FOLDED_MAX`] transactions came before, by everything else alone.
    pub burn_per_day: Credits,
    /// When the available credits are used up: exact where only servers use them, else at that pace; none when nothing
    /// burns.
    pub runs_out_at: Option<Timestamp>,
    /// The available credits at list price.
    pub money: Money,
    /// Credits bought and not yet paid for: now, whatever the instant.
    pub pending_purchases: Credits,
}

fn in_minor(units: i128) -> i64 {
    i64::try_from(units).expect("an account's credits are worth less than i64")
}

/// Refuses an instant so far ahead that servers settle more often until then than can be foretold in one answer.
fn is_foreseeable(book: &Book, now: Timestamp, at: Timestamp) -> Result<(), Refusal> {
    let running = book.servers().iter().filter(|it| it.run.phase == Phase::Running).count();
    let hours = (at.millis() - now.millis()) / Span::HOUR.millis();
    if hours.saturating_mul(i64::try_from(running).unwrap_or(i64::MAX)) <= FORETOLD_MAX {
        return Ok(());
    }
    Err(Refusal::invalid("at", format_args!("is too far ahead to foretell what {running} servers use until then")))
}

impl App {
    /// An account's balance now, or at another instant: exact in the past, foretold in the future.
    pub fn balance(&self, id: &Name, at: Option<Timestamp>) -> Result<BalanceView, Error> {
        let known = self.known(id)?;
        let number = known.account.number;
        let now = self.now();
        let as_of = at.unwrap_or(now);
        let currency = known.account.currency;
        let book = self.book(number)?;
        if as_of < book.at {
            let (version, balance) = self.balance_before(number, book.version, as_of)?;
            let others = self.burn_per_day(number, known.account.created_at, as_of)?;
            let pending_purchases = self.pending_purchases(&known)?;
            if FOLDED_MAX < version {
                let runs_out_at = runs_out_at(balance.available(), others, as_of);
                let view = self.view(id, as_of, balance, currency);
                return Ok(BalanceView { burn_per_day: others, runs_out_at, pending_purchases, ..view });
            }
            // What servers had used by then, and what was where, follows from the book as it was.
            let book = self.book_of(number, version)?.brought_up_to(as_of);
            let (burn_per_day, runs_out_at) = runway(&book, others, as_of);
            return Ok(BalanceView {
                by_source: book.by_source(as_of),
                next_expiry: book.next_expiry(as_of),
                scoped: scoped(&book, as_of),
                general: book.general(as_of),
                burn_per_day,
                runs_out_at,
                pending_purchases,
                ..self.view(id, as_of, book.balance(as_of), currency)
            });
        }
        is_foreseeable(&book, now, as_of)?;
        let book = book.brought_up_to(as_of);
        let balance = book.balance(as_of);
        let others = self.burn_per_day(number, known.account.created_at, now)?;
        let (burn_per_day, runs_out_at) = runway(&book, others, as_of);
        Ok(BalanceView {
            by_source: book.by_source(as_of),
            next_expiry: book.next_expiry(as_of),
            scoped: scoped(&book, as_of),
            general: book.general(as_of),
            burn_per_day,
            pending_purchases: self.pending_purchases(&known)?,
            runs_out_at,
            ..self.view(id, as_of, balance, currency)
        })
    }

    /// An account's book as it is written.
    pub(super) fn book(&self, account: AccountNumber) -> Result<Arc<Book>, Fault> {
        let book = self.store.recall(&[], &[account])?.books.pop().flatten();
        Ok(book.unwrap_or_else(|| Arc::new(Book::open(account))))
    }

    fn view(&self, id: &Name, as_of: Timestamp, balance: Balance, currency: Currency) -> BalanceView {
        BalanceView {
            account: id.clone(),
            as_of,
            balance,
            by_source: Vec::new(),
            next_expiry: None,
            scoped: Vec::new(),
            general: balance.available(),
            burn_per_day: Credits::ZERO,
            runs_out_at: None,
            pending_purchases: Credits::ZERO,
            money: self.at_list_price(balance.available(), currency),
        }
    }

    /// Credits in money at list price, rounded towards zero: nobody is shown more than they have.
    pub fn at_list_price(&self, credits: Credits, currency: Currency) -> Money {
        let micros = i128::from(credits.micros());
        Money { amount: in_minor(micros * self.numerator(currency) / DENOMINATOR), currency }
    }

    /// What used credits cost at list price: to the nearest minor unit, as used credits are shown to their nearest.
    pub fn cost_at_list_price(&self, credits: Credits, currency: Currency) -> Money {
        self.costs_at_list_price(&[credits], currency)[0]
    }

    /// The same of parts of one whole, which add up to what the whole costs: each is cut, and what is missing then
    /// goes, a unit each, to those that lost most.
    pub fn costs_at_list_price(&self, parts: &[Credits], currency: Currency) -> Vec<Money> {
        let exact = |it: &Credits| i128::from(it.micros()) * self.numerator(currency);
        let whole = (2 * parts.iter().map(exact).sum::<i128>() + DENOMINATOR).div_euclid(2 * DENOMINATOR);
        let mut units: Vec<i128> = parts.iter().map(|it| exact(it).div_euclid(DENOMINATOR)).collect();
        let lost = usize::try_from(whole - units.iter().sum::<i128>()).expect("less than one is cut of each");
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by_key(|place| std::cmp::Reverse(exact(&parts[*place]).rem_euclid(DENOMINATOR)));
        order.into_iter().take(lost).for_each(|place| units[place] += 1);
        units.into_iter().map(|it| Money { amount: in_minor(it), currency }).collect()
    }

    /// Minor units that [`DENOMINATOR`] micro-credits cost.
    fn numerator(&self, currency: Currency) -> i128 {
        i128::from(self.settings.hundred_credits_cost) * 10_i128.pow(currency.places())
    }

    /// The last transaction at or before `at`: its version, and the balance it left. Transactions are in order of time:
    /// bisection finds it in as many reads as their count has bits.
    pub(super) fn balance_before(
        &self,
        account: AccountNumber,
        last: u64,
        at: Timestamp,
    ) -> Result<(u64, Balance), Fault> {
        let (mut low, mut high) = (0, last);
        let mut found = Balance::default();
        while low < high {
            let version = low + (high - low).div_ceil(2);
            let place = Place { account, version };
            let transaction: Arc<Transaction> = self
                .store
                .transaction(place)?
                .ok_or_else(|| Fault::new("reading a past balance", format!("{place} is missing")))?;
            if transaction.at <= at {
                (low, found) = (version, transaction.after);
            } else {
                high = version - 1;
            }
        }
        Ok((low, found))
    }

    /// An account's book as it was at `version`, folded from its journal.
    fn book_of(&self, account: AccountNumber, version: u64) -> Result<Book, Fault> {
        let mut book = Book::open(account);
        while book.version < version {
            let until = version.min(book.version + FOLDED_AT_ONCE);
            let count = usize::try_from(until - book.version).unwrap_or(usize::MAX);
            let before = book.version;
            let newest_first = self.store.transactions(account, until + 1, count)?;
            newest_first.iter().rev().for_each(|it| book.apply(it));
            if book.version == before {
                return Err(Fault::new("reading a past balance", format!("{account} has no version {until}")));
            }
        }
        Ok(book)
    }

    /// Credits that all but servers used a day, in the week until `now`, the hour it falls in included.
    pub(super) fn burn_per_day(
        &self,
        account: AccountNumber,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Credits, Fault> {
        let from = (now - Span::DAY.times(BURN_DAYS)).hour_start(0);
        let rows = self.usage_of(account, from, now + Span::from_millis(1))?;
        let mut rows = rows.iter().filter(|it| it.key.server.is_none());
        let first = rows.next();
        let used: Credits = first.into_iter().chain(rows).map(|it| it.sum.credits).sum();
        // A young account is measured from its beginning, or from the work told of before it; but by a whole day at
        // least, so that its first hour does not foretell ruin.
        let began = first.map_or(since, |it| it.key.hour).min(since).max(from);
        let lasted = (now.millis() - began.millis()).max(Span::DAY.millis());
        let per_day = i128::from(used.micros()) * i128::from(Span::DAY.millis()) / i128::from(lasted);
        Ok(Credits::from_micros(i64::try_from(per_day).expect("a day's part is less than the whole")))
    }
}

fn scoped(book: &Book, at: Timestamp) -> Vec<(Scope, Credits)> {
    book.scoped(at).into_iter().map(|(scope, it)| (scope.clone(), it)).collect()
}

/// Credits used a day from `at` on, and when that will have used up what is available then: by servers, which is known,
/// and by all else, `others` a day. What is for servers only lasts nothing else any longer.
pub(super) fn runway(book: &Book, others: Credits, at: Timestamp) -> (Credits, Option<Timestamp>) {
    let balance = book.balance(at);
    let burn_per_day = others + book.accrued(at + Span::DAY) - balance.accrued;
    let exactly = book.runs_out_at(at);
    let at_pace = runs_out_at(balance.available(), burn_per_day, at).filter(|_| others.is_positive());
    let others_alone = runs_out_at(book.beside_servers(at), others, at);
    (burn_per_day, [exactly, at_pace, others_alone].into_iter().flatten().min())
}

fn runs_out_at(available: Credits, per_day: Credits, from: Timestamp) -> Option<Timestamp> {
    if !per_day.is_positive() {
        return None;
    }
    let millis =
        i128::from(available.at_least_zero().micros()) * i128::from(Span::DAY.millis()) / i128::from(per_day.micros());
    let span = Span::from_millis(i64::try_from(millis).ok()?);
    (span <= RUNWAY_MAX).then(|| from + span)
}
