//! Grants: every credit sits in one. Their terms never change; what is left of them does. Where a dispute kept one from
//! being used, it expires so much later than its terms say.
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::id::{GrantId, Name};
use crate::money::{Credits, Money};
use crate::rating::Text;
use crate::time::Timestamp;

/// Where the credits of a grant came from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Source {
    Welcome,
    Promo,
    Purchase,
    AutoTopup,
    Subscription,
    Adjustment,
    Refund,
}

impl Source {
    pub const ALL: [Source; 7] = [
        Source::Welcome,
        Source::Promo,
        Source::Purchase,
        Source::AutoTopup,
        Source::Subscription,
        Source::Adjustment,
        Source::Refund,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Source::Welcome => "welcome",
            Source::Promo => "promo",
            Source::Purchase => "purchase",
            Source::AutoTopup => "auto_topup",
            Source::Subscription => "subscription",
            Source::Adjustment => "adjustment",
            Source::Refund => "refund",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Source {
    type Err = ();
    fn from_str(text: &str) -> Result<Source, ()> {
        Source::ALL.into_iter().find(|it| it.as_str() == text).ok_or(())
    }
}

/// What a grant may be spent on. An empty list admits everything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Scope {
    pub meters: Vec<Text>,
    pub projects: Vec<Name>,
}

impl Scope {
    pub fn is_general(&self) -> bool {
        self.meters.is_empty() && self.projects.is_empty()
    }
    pub fn admits(&self, meter: &str, project: Option<&Name>) -> bool {
        let meter_fits = self.meters.is_empty() || self.meters.iter().any(|it| &**it == meter);
        let project_fits = self.projects.is_empty() || project.is_some_and(|it| self.projects.contains(it));
        meter_fits && project_fits
    }
}

/// What was agreed when the grant was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terms {
    pub source: Source,
    pub credits: Credits,
    pub effective_at: Timestamp,
    /// [`Timestamp::NEVER`] for credits that do not expire; paid ones do not by default.
    pub expires_at: Timestamp,
    /// 0 is drawn first, 255 last; [`Terms::PRIORITY`] where nobody said.
    pub priority: u8,
    pub scope: Scope,
    /// The money paid for all of the grant, tax aside: its cost basis. None for free credits.
    pub cost: Option<Money>,
    /// What the payment of a top-up collected, tax included, in minor units: the month's maximum counts it.
    pub charged: Option<i64>,
    /// The payment that paid for it.
    pub payment: Option<Text>,
    pub reason: Text,
}

impl Terms {
    pub const PRIORITY: u8 = 100;

    pub fn live_at(&self, at: Timestamp) -> bool {
        self.effective_at <= at && at < self.expires_at
    }
}

/// What a book knows of a grant that is not used up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    pub id: GrantId,
    pub terms: Arc<Terms>,
    /// Free to be drawn.
    pub remaining: Credits,
    /// Reserved by open holds. Credits under a hold do not expire until the hold ends.
    pub held: Credits,
    /// Expired unspent. Kept a while: an event that happened before the expiry may still come in and draw them.
    pub expired: Credits,
    /// The payment for it is disputed: nothing is drawn from it until that is settled.
    pub is_frozen: bool,
    /// What each decision asks of the terms, at hand: they lie somewhere else in memory, and to wait for memory is most
    /// of what deciding costs.
    is_general: bool,
    effective_at: Timestamp,
    expires_at: Timestamp,
}

impl Grant {
    /// As its terms say, but for when it expires.
    pub(super) fn new(id: GrantId, terms: Arc<Terms>, expires_at: Timestamp) -> Grant {
        let (none, is_general) = (Credits::ZERO, terms.scope.is_general());
        let effective_at = terms.effective_at;
        let (remaining, held, expired) = (none, none, none);
        Grant { id, terms, remaining, held, expired, is_frozen: false, is_general, effective_at, expires_at }
    }
    pub(super) fn comes_before(&self, other: &Grant) -> bool {
        (self.draw_order(), self.id) < (other.draw_order(), other.id)
    }
    /// Scoped before general, then priority, soonest expiring, free before paid. Oldest last, by the grant's id.
    fn draw_order(&self) -> (bool, u8, Timestamp, bool) {
        (self.is_general, self.terms.priority, self.expires_at, self.terms.cost.is_some())
    }
    pub(super) fn expire_at(&mut self, expires_at: Timestamp) {
        self.expires_at = expires_at;
    }
    /// Whether it can be drawn from at `at`.
    pub fn live_at(&self, at: Timestamp) -> bool {
        !self.is_frozen && self.effective_at <= at && at < self.expires_at
    }
    /// Whether it pays for any work.
    pub fn is_general(&self) -> bool {
        self.is_general
    }
    /// Whether its scope admits work of `meter` for `project`.
    pub fn admits(&self, meter: &str, project: Option<&Name>) -> bool {
        self.is_general || self.terms.scope.admits(meter, project)
    }
    /// As its terms say, and later by the time it was frozen. While it is frozen, its time stands still.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}
