//! What may be asked of a book.
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::grant::Terms;
use super::journal::{Draw, Work};
use crate::id::{ChargeId, GrantId, HoldId};
use crate::money::Credits;
use crate::rating::Text;
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
        reason: Text,
    },
    /// No new spending. What is due still happens, and debts are still repaid.
    Close,
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
    /// None for all that is left.
    pub credits: Option<Credits>,
    pub reason: Text,
}
