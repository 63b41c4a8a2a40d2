//! The ledger: one account's book, the commands it takes, the transactions it writes.
//!
//! `decide` says what would happen and changes nothing; `apply` makes it so and cannot refuse. A book equals the fold
//! of its journal: keeping one saves time and never changes meaning.
//!
//! Time is a command too. Grants expire, holds lapse, debts fall due for repayment: `due` names what the passing of
//! time has brought about, and whoever holds a book posts that first. So `decide` only ever sees a book that is up to
//! date, and the balance at any instant is the book brought up to that instant.
mod apply;
mod budget;
mod burn;
mod command;
mod decide;
mod entries;
mod grant;
mod journal;
mod ladder;
mod notice;
mod scoped;
mod topup;
mod undo;
mod withdrawal;

pub use budget::{
    BUDGETS_MAX, Budget, BudgetChange, BudgetScope, BudgetTerms, COUNTED_FOR, Counted, Spending, THRESHOLDS,
};
pub use burn::{BurnTerms, Burning, SERVERS_MAX, ServerAct, ServerReport, Settled};
pub use command::{Captured, Command, Over, Reverse, Spend};
pub use entries::{Entry, LedgerAccount};
pub use grant::{Grant, Scope, Source, Terms};
pub use journal::{Balance, Closing, Draw, HoldEnd, Origin, Pot, Reversal, Transaction, What, Work};
pub use ladder::{Grace, Ladder, RUNWAY_MAX};
pub use notice::{Notice, Rung};
pub use topup::{Rule, Topup, TopupChange, UnderWay};
pub use withdrawal::{Cause, Freeze, Withdrawal};

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hint::black_box;

use crate::id::{AccountNumber, GrantId, HoldId, Name, Place};
use crate::money::Credits;
use crate::time::{Span, Timestamp};

/// An event may come in this long after it happened, and finds the grants that were live then. Metered systems take 31
/// to 35 days; so do we.
pub const LATE_MAX: Span = Span::DAY.times(35);
/// An event may be this far ahead of our clock: the caller's may be wrong by so much.
pub const EARLY_MAX: Span = Span::MINUTE.times(5);
/// Open holds an account may have: a bound on what one decision looks at.
pub const HOLDS_MAX: usize = 1_000;
/// Live grants an account may have, for the same reason. What was paid for is taken beyond it: the money is there.
pub const GRANTS_MAX: usize = 1_000;

/// One account's state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Book {
    pub account: AccountNumber,
    /// Transactions folded in so far; the store refuses to skip or repeat one.
    pub version: u64,
    /// When the last of them was decided.
    pub at: Timestamp,
    /// In draw order; those that lapsed lately among them.
    grants: Vec<Grant>,
    /// In the order they were opened.
    holds: Vec<Hold>,
    debt: Credits,
    closed: bool,
    /// Boxed: most accounts have none.
    topup: Option<Box<Topup>>,
    /// Boxed for the same reason.
    budgets: Option<Box<budget::Budgets>>,
    /// Payments that are disputed and not settled.
    disputes: u32,
    /// The grants of such payments, and of others that were, by id; also those that are used up, and so not here.
    freezes: Vec<Freeze>,
    burning: Burning,
    /// The next instant at which `due` has something to say.
    due_at: Timestamp,
}

/// Credits reserved for work under way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    pub id: HoldId,
    /// What the hold was opened for.
    pub work: Arc<Work>,
    /// The usage last reported, priced: what an expiring hold captures.
    pub used: Option<Arc<Work>>,
    /// What is reserved, in the order it will be spent.
    pub draws: Vec<Draw>,
    pub expires_at: Timestamp,
}

/// What time brings about: a command in few words, for each transaction asks what is next and few have to post it.
#[derive(Clone, Debug)]
enum Due {
    Settle(Name),
    ExpireHold(HoldId),
    ExpireGrant(GrantId),
    Repay(GrantId),
    StartTopup,
    Budgets,
    Ladder,
}

impl Due {
    fn command(self) -> Command {
        match self {
            Due::Settle(server) => Command::Settle { server },
            Due::ExpireHold(hold) => Command::ExpireHold { hold },
            Due::ExpireGrant(grant) => Command::ExpireGrant { grant },
            Due::Repay(grant) => Command::Repay { grant },
            Due::StartTopup => Command::StartTopup,
            Due::Budgets => Command::Budgets,
            Due::Ladder => Command::Ladder,
        }
    }
}

impl Hold {
    pub fn credits(&self) -> Credits {
        self.draws.iter().map(|it| it.credits).sum()
    }
}

impl Book {
    pub fn open(account: AccountNumber) -> Book {
        Book {
            account,
            version: 0,
            at: Timestamp::EPOCH,
            grants: Vec::new(),
            holds: Vec::new(),
            debt: Credits::ZERO,
            closed: false,
            topup: None,
            budgets: None,
            disputes: 0,
            freezes: Vec::new(),
            burning: Burning::default(),
            due_at: Timestamp::NEVER,
        }
    }

    /// Looks at what a decision on this book is about to read, as [`Transaction::look_at`] does.
    pub fn look_at(&self) {
        let grants = (self.grants.first().map(|it| it.remaining), self.grants.last().map(|it| it.remaining));
        black_box((
            self.version,
            self.at,
            self.debt,
            self.disputes,
            self.burning.servers.is_empty(),
            self.due_at,
            grants,
        ));
    }

    pub fn is_closed(&self) -> bool {
        self.closed
    }
    pub fn debt(&self) -> Credits {
        self.debt
    }
    /// Open holds, oldest first.
    pub fn holds(&self) -> &[Hold] {
        &self.holds
    }
    pub fn hold(&self, id: HoldId) -> Option<&Hold> {
        self.holds.iter().find(|it| it.id == id)
    }
    /// Grants in draw order: live ones, ones yet to take effect, ones that expired lately.
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }
    pub fn grant(&self, id: GrantId) -> Option<&Grant> {
        self.grants.iter().find(|it| it.id == id)
    }

    /// The balance at `at`, in a book that has been brought up to `at`.
    pub fn balance(&self, at: Timestamp) -> Balance {
        let free: Credits = self.grants.iter().filter(|it| it.live_at(at)).map(|it| it.remaining).sum();
        let held: Credits = self.grants.iter().map(|it| it.held).sum();
        Balance { posted: free + held - self.debt, held, accrued: self.accrued(at), debt: self.debt }
    }

    /// What could be spent at `at` on work of `meter` for `project`: the balance's available credits, without those
    /// in grants whose scope does not admit the work, and without what running servers have used of the others.
    pub fn spendable(&self, meter: &str, project: Option<&Name>, at: Timestamp) -> Credits {
        let admitted = |it: &&Grant| it.live_at(at) && it.admits(meter, project);
        let free: Credits = self.grants.iter().filter(admitted).map(|it| it.remaining).sum();
        free - self.debt - self.burnt_of(meter, project, at)
    }

    /// Unspent credits by the source they came from, at `at`. They add up to the posted balance plus the debt.
    pub fn by_source(&self, at: Timestamp) -> Vec<(Source, Credits)> {
        let mut sums = Vec::new();
        for source in Source::ALL {
            let own = self.grants.iter().filter(|it| it.terms.source == source);
            let unspent = |it: &Grant| it.held + if it.live_at(at) { it.remaining } else { Credits::ZERO };
            let sum: Credits = own.map(unspent).sum();
            if sum.is_positive() {
                sums.push((source, sum));
            }
        }
        sums
    }

    /// The soonest expiry ahead of `at`, and the credits that will expire then unless they are spent.
    pub fn next_expiry(&self, at: Timestamp) -> Option<(Timestamp, Credits)> {
        let lasts = |it: &Grant| it.expires_at() == Timestamp::NEVER;
        let expiring = |it: &&Grant| it.live_at(at) && !lasts(it) && self.expiring(it).is_positive();
        let soonest = self.grants.iter().filter(expiring).map(Grant::expires_at).min()?;
        let then = self.grants.iter().filter(expiring).filter(|it| it.expires_at() == soonest);
        Some((soonest, then.map(|it| self.expiring(it)).sum()))
    }

    /// The next instant at which time itself changes this book.
    pub fn due_at(&self) -> Timestamp {
        self.due_at
    }

    /// What the passing of time has brought about by `at`, earliest first: the command to post, and the instant it is
    /// of. Post it and ask again, until there is nothing.
    pub fn due(&self, at: Timestamp) -> Option<(Command, Timestamp)> {
        // As for deciding: a clock that went back keeps nothing waiting that the last transaction brought about.
        let at = at.max(self.at);
        if at < self.due_at {
            return None;
        }
        let (when, due) = self.next_due()?;
        assert_eq!(when, self.due_at, "the cached instant is the instant");
        Some((due.command(), when))
    }

    /// The book as it will be at `at` if nothing but time happens.
    pub fn brought_up_to(&self, at: Timestamp) -> Book {
        let mut book = self.clone();
        while let Some((command, when)) = book.due(at) {
            let transaction = book.decide(&command, when).expect("what is due is never refused");
            book.apply(&transaction);
        }
        book
    }

    fn next_due(&self) -> Option<(Timestamp, Due)> {
        // What should have happened before the last transaction happens now: time does not go back.
        let not_before = |when: Timestamp| when.max(self.at);
        let holds = self.holds.iter().map(|it| (not_before(it.expires_at), Due::ExpireHold(it.id)));
        let unspent = || self.grants.iter().filter(|it| it.remaining.is_positive());
        // Nobody can use what is frozen, so its time stands still.
        let expiries = unspent()
            .filter(|it| it.expires_at() < Timestamp::NEVER && !it.is_frozen)
            .map(|it| (not_before(it.expires_at()), Due::ExpireGrant(it.id)));
        let repayments = unspent()
            .filter(|it| self.debt.is_positive() && it.terms.scope.is_general())
            .map(|it| (not_before(it.terms.effective_at), it))
            .filter(|(when, it)| it.live_at(*when))
            .map(|(when, it)| (when, Due::Repay(it.id)));
        // What is unspent of a grant that expires, whose money went too, was never used: nothing is owed for it.
        let lapsed = unspent()
            .filter(|it| it.expires_at() < Timestamp::NEVER && !it.is_frozen && self.lost(it.id).is_positive())
            .map(|it| (not_before(it.expires_at()), Due::Repay(it.id)));
        // On a tie: servers settle first, holds give back before grants expire, grants expire before they repay, but
        // for those that owe. What credits are short of is known when all of these are done.
        let others =
            holds.chain(lapsed).chain(expiries).chain(repayments).chain(self.topup_due()).chain(self.budgets_due());
        let next = self.settlement().into_iter().chain(others).min_by_key(|(when, _)| *when);
        let before_it = self.budget_settlement(next.as_ref().map_or(Timestamp::NEVER, |it| it.0));
        let next = before_it.or(next);
        let next = self.topup_crossing(next.as_ref().map_or(Timestamp::NEVER, |it| it.0)).or(next);
        match self.ladder_due(next.as_ref().map_or(Timestamp::NEVER, |it| it.0)) {
            Some(when) if next.as_ref().is_none_or(|it| when < it.0) => Some((when, Due::Ladder)),
            _ => next,
        }
    }

    fn next_place(&self) -> Place {
        Place { account: self.account, version: self.version + 1 }
    }
}

#[cfg(test)]
mod tests;
