//! What a transaction gives occasion to say: thresholds crossed by it. Who is told, and how, is decided elsewhere.
//!
//! Invariant: a notice stands in the transaction that caused it, and the book remembers that it was given; so each is
//! given once, whatever crashes, until what it warned of is over.
use alloc::vec::Vec;

use crate::id::Name;
use crate::money::Credits;
use crate::time::{Span, Timestamp};

/// How near running out is: the ladder's upper rungs. How long each is, an account's terms say ([`Grace::runway`]);
/// they are called by what they are where nothing else was said, also where they are stored.
///
/// [`Grace::runway`]: super::Grace::runway
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Rung {
    #[default]
    Far,
    SevenDays,
    ThreeDays,
    OneDay,
}

impl Rung {
    /// Nearest first.
    pub const ALL: [Rung; 4] = [Rung::OneDay, Rung::ThreeDays, Rung::SevenDays, Rung::Far];

    pub fn as_str(self) -> &'static str {
        match self {
            Rung::Far => "far",
            Rung::SevenDays => "7d",
            Rung::ThreeDays => "3d",
            Rung::OneDay => "24h",
        }
    }
    /// Running servers use the credits up within so long; none for [`Rung::Far`].
    pub fn within(self, runway: &[Span; 3]) -> Option<Span> {
        match self {
            Rung::Far => None,
            Rung::SevenDays => Some(runway[0]),
            Rung::ThreeDays => Some(runway[1]),
            Rung::OneDay => Some(runway[2]),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// `server.runway_low`: at their present pace, servers use the credits up at `runs_out_at`.
    RunwayLow { rung: Rung, runs_out_at: Timestamp },
    /// The runway is longer again: the rungs beyond `rung` will be told anew. Tells nobody.
    RunwayRecovered { rung: Rung },
    /// Credits have run out while servers run. They may run on in debt until `grace_until` or `debt_max`.
    Exhausted { grace_until: Timestamp, debt_max: Credits },
    /// `server.stop_due`: the grace is over; stop these.
    StopDue { servers: Vec<Name> },
    /// `server.release_due`: they may be given up.
    ReleaseDue { servers: Vec<Name> },
    /// `budget.threshold_reached`: in the period from `start` so much of a budget has been used.
    BudgetReached {
        budget: Name,
        percent: u8,
        used: Credits,
        limit: Credits,
        start: Timestamp,
        /// When the next period begins.
        next: Timestamp,
    },
    /// `server.stop_due`: a budget that blocks is used up, and these run on it.
    BudgetStop { budget: Name, servers: Vec<Name> },
    /// `server.resume_due`: the budget has room again.
    BudgetResume { budget: Name, servers: Vec<Name> },
    /// There are credits again, and debts are paid. `server.resume_due` where servers were to be stopped: `servers`.
    Recovered { servers: Vec<Name> },
}
