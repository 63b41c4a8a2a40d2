//! Paid credits that go back: refunded, or taken by a bank; and grants frozen while a dispute is open.
//!
//! A refund takes what is unused of the very grant the payment made. A lost dispute takes what is left of it, and what
//! was spent of it is owed; what had expired or been voided is in no command, for it is neither there nor used. It
//! reckons no money: what a part of a payment is worth is said in `refund`, and written down here.
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;

use super::Book;
use super::grant::{Grant, Terms};
use super::journal::What;
use crate::id::GrantId;
use crate::money::Credits;
use crate::rating::Text;
use crate::refusal::Refusal;

/// Why paid credits went back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    Refund,
    /// A dispute was lost.
    Dispute,
}

impl Cause {
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Refund => "refund",
            Cause::Dispute => "dispute",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl FromStr for Cause {
    type Err = ();
    fn from_str(text: &str) -> Result<Cause, ()> {
        [Cause::Refund, Cause::Dispute].into_iter().find(|it| it.as_str() == text).ok_or(())
    }
}

/// Credits that go back, or come again because giving the money back failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Withdrawal {
    pub grant: GrantId,
    /// Taken from the grant, or put back into it.
    pub credits: Credits,
    /// Spent already, so owed; in a command, how much may be. Nothing where credits are put back.
    pub owed: Credits,
    /// The money that goes back for all of it, in minor units of what the grant cost, tax aside.
    pub net: i64,
    pub cause: Cause,
    pub reason: Text,
}

impl Book {
    pub(super) fn withdraw(&self, asked: &Withdrawal) -> Result<What, Refusal> {
        let wanted = asked.credits;
        assert!(Credits::ZERO <= wanted && wanted <= Credits::MAX, "a part of a payment is in bounds");
        let left = self.grant(asked.grant).map_or(Credits::ZERO, |it| it.remaining);
        let credits = wanted.min(left);
        if asked.owed < wanted - credits {
            return Err(Refusal::RefundExceedsUnused { left });
        }
        Ok(What::Withdrawn(Withdrawal { credits, owed: wanted - credits, ..asked.clone() }))
    }

    pub(super) fn apply_withdrawn(&mut self, it: &Withdrawal) {
        if it.credits.is_positive() {
            let grant = self.known(it.grant);
            grant.remaining -= it.credits;
            assert!(Credits::ZERO <= grant.remaining, "no more is taken back than is left");
        }
        self.debt += it.owed;
        if it.cause == Cause::Dispute {
            self.lose_dispute();
        }
    }

    pub(super) fn apply_restored(&mut self, it: &Withdrawal, terms: &Arc<Terms>) {
        assert!(it.owed.is_zero(), "what was owed is repaid, not put back");
        if self.grant(it.grant).is_none() {
            self.insert(it.grant, terms);
        }
        self.known(it.grant).remaining += it.credits;
    }

    pub(super) fn apply_frozen(&mut self, grant: GrantId, is_frozen: bool) {
        match (self.frozen.binary_search(&grant), is_frozen) {
            (Err(place), true) => self.frozen.insert(place, grant),
            (Ok(place), false) => drop(self.frozen.remove(place)),
            _ => {}
        }
        if let Some(grant) = self.grants.iter_mut().find(|it| it.id == grant) {
            grant.is_frozen = is_frozen;
        }
        self.dispute_topup(is_frozen);
    }

    /// Whether the payment of a grant is disputed, be anything left of the grant or not.
    pub(super) fn is_frozen(&self, grant: GrantId) -> bool {
        self.frozen.binary_search(&grant).is_ok()
    }

    /// Frozen grants of which nothing is here: used up before their payment was disputed, or since.
    pub fn frozen_elsewhere(&self) -> impl Iterator<Item = GrantId> {
        self.frozen.iter().copied().filter(|it| self.grant(*it).is_none())
    }

    /// What freezing a grant, or letting it go, adds to the posted balance.
    pub(super) fn thawed(&self, grant: GrantId, is_frozen: bool, lives: impl Fn(&Grant) -> bool) -> Credits {
        let found = self.grant(grant).filter(|it| it.is_frozen != is_frozen && lives(it));
        let remaining = found.map_or(Credits::ZERO, |it| it.remaining);
        if is_frozen { -remaining } else { remaining }
    }
}
