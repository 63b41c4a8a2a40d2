//! What may be asked of a book.
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::budget::BudgetTerms;
use super::burn::{BurnTerms, ServerReport};
use super::grant::Terms;
use super::journal::{Draw, Work};
use super::topup::Rule;
use super::withdrawal::Withdrawal;
use crate::id::{ChargeId, GrantId, HoldId, Name, PaymentId};
use crate::money::Credits;
use crate::payment::Failure;
use crate::rating::Text;
use crate::server::PartKind;
use crate::time::Timestamp;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    Grant(Arc<Terms>),
    Charge(Spend),
    /// Reserve `credits` for `work`, whose own price is only a plan.
    Hold {
        work: Arc<Work>,
        credits: Credits,
        expires_at: Timestamp,
    },
    /// Reserve `more`, report what has been `used` so far, move the expiry: any of them.
    Extend {
        hold: HoldId,
        more: Credits,
        used: Option<Arc<Work>>,
        expires_at: Option<Timestamp>,
    },
    Capture(Captured),
    Release {
        hold: HoldId,
    },
    Reverse(Reverse),
    /// Take back what is unused of a grant.
    Void {
        grant: GrantId,
        /// What stays of the unused part.
        keep: Credits,
        reason: Text,
    },
    /// No new spending. What is due still happens, and debts are still repaid.
    Close,
    /// Take back `credits` that were paid for; where a dispute was lost, what is spent of them is owed.
    Withdraw(Withdrawal),
    /// Put back what could not be refunded after all.
    Restore {
        withdrawal: Withdrawal,
        terms: Arc<Terms>,
    },
    /// A dispute over the payment of a grant was opened, or is over.
    Freeze {
        grant: GrantId,
        is_frozen: bool,
        /// When it expires by its terms: it may be gone from the book.
        expires_at: Timestamp,
    },
    /// Set the auto-topup rule. Where that would charge at once, the customer agreed to so much of it, in minor units;
    /// to 0 where they do not know.
    SetTopup {
        rule: Arc<Rule>,
        is_on: bool,
        charge_now_max: i64,
    },
    /// No money came of a top-up, or none yet.
    FailTopup {
        payment: PaymentId,
        failure: Failure,
        is_over: bool,
    },
    /// Due: a hold's time is up. The usage last reported is captured, the rest released.
    ExpireHold {
        hold: HoldId,
    },
    /// Due: a grant's time is up.
    ExpireGrant {
        grant: GrantId,
    },
    /// Due: a grant came in, or took effect, while the account was in debt.
    Repay {
        grant: GrantId,
    },
    /// Due: there are fewer credits than the auto-topup's threshold.
    StartTopup,
    /// A server to be provisioned, or something that happened to one.
    Server(ServerReport),
    /// By what burning is to be counted from here on.
    BurnTerms(Arc<BurnTerms>),
    /// Due: an hour of a server is over, or a report closed or corrected a stretch of it.
    Settle {
        server: Name,
    },
    /// Due: credits have run out, or a grace has.
    Ladder,
    /// A budget, new or changed.
    SetBudget {
        budget: Name,
        terms: Arc<BudgetTerms>,
    },
    /// What was used of a budget before the version that set it, by the starts of its periods.
    CountBudget {
        budget: Name,
        since: u64,
        used: Vec<(Timestamp, Credits)>,
    },
    DeleteBudget {
        budget: Name,
    },
    /// Due: the period is over for whose rest a budget had servers stopped.
    Budgets,
    /// Nothing but a transaction to be found by a name: a captured hold is over, and what it paid for once is paid for;
    /// or a charge was reversed, and what it had paid for is free to be charged again. A transaction has room for one
    /// such name.
    Note,
}

/// A charge to be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spend {
    pub work: Arc<Work>,
    /// How far into debt this work may take the account: zero for all but running servers in their grace.
    pub debt_max: Credits,
}

/// A hold to be turned into a charge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Captured {
    pub hold: HoldId,
    pub work: Arc<Work>,
    pub over: Over,
}

/// What to do when the work cost more than was held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Over {
    /// Draw the difference from what is available, or refuse and leave the hold open.
    Draw,
    /// Take the hold and what is available, and report the shortfall.
    ToLimit,
}

/// A charge to be undone, with what its journal says of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reverse {
    pub charge: ChargeId,
    pub work: Arc<Work>,
    /// What the charge moved, and what of it was reversed before.
    pub charged: Credits,
    pub reversed: Credits,
    /// How the charge drew, in order.
    pub draws: Vec<Draw>,
    pub owed: Credits,
    /// The terms of every grant it drew from: some may be gone from the book.
    pub grants: Vec<(GrantId, Arc<Terms>)>,
    /// The server whose time, or set-up, it settled.
    pub server: Option<(Name, PartKind)>,
    /// None for all that is left.
    pub credits: Option<Credits>,
    pub reason: Text,
}
