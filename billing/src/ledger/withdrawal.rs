//! Paid credits that go back: refunded, or taken by a bank; and grants frozen while a dispute is open.
//!
//! A refund takes what is unused of the very grant the payment made. What a bank or somebody at the provider took takes
//! what is left of it, then what expired of it, which no late event may draw any more, and the rest was spent, and is
//! owed. What was voided is in no command, for it is neither there nor used. It reckons no money: what a part of a
//! payment is worth is said in `refund`, and written down here.
//!
//! Invariants: what is spent, held, free and expired of a grant is what it was paid for, and what is owed for it. The
//! time for which a grant is frozen is not of its life: who wins a dispute finds what there was, and as long to use it
//! as there would have been.
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
use crate::time::{Span, Timestamp};

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
    /// Taken of what is free of the grant, or put back there; in a command, all that is to be taken.
    pub credits: Credits,
    /// Taken of what had expired of it. Nothing in a command, nor where credits are put back.
    pub lapsed: Credits,
    /// Spent already, so owed; in a command, how much may be taken of what is not free. Nothing where credits are put
    /// back.
    pub owed: Credits,
    /// Of what is owed: it is owed no longer once it comes back unspent. All of it; but nothing of refunds in journals
    /// of before this was said.
    pub lost: Credits,
    /// The money that goes back for all of it, in minor units of what the grant cost, tax aside.
    pub net: i64,
    pub cause: Cause,
    pub reason: Text,
}

/// What disputes did to a grant, or are doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Freeze {
    pub grant: GrantId,
    /// When it was frozen, while it is.
    pub since: Option<Timestamp>,
    /// When it expires, where it was frozen before and its terms say sooner.
    pub expires_at: Option<Timestamp>,
    /// Spent of it when its money went, and so owed, less what came back to it unspent since.
    pub lost: Credits,
}

impl Freeze {
    fn of(grant: GrantId) -> Freeze {
        Freeze { grant, since: None, expires_at: None, lost: Credits::ZERO }
    }
    fn says_nothing(&self) -> bool {
        *self == Freeze::of(self.grant)
    }
}

impl Book {
    pub(super) fn withdraw(&self, asked: &Withdrawal) -> Result<What, Refusal> {
        let wanted = asked.credits;
        assert!(Credits::ZERO <= wanted && wanted <= Credits::MAX, "a part of a payment is in bounds");
        let (left, expired) = self.grant(asked.grant).map_or_else(Default::default, |it| (it.remaining, it.expired));
        let credits = wanted.min(left);
        let beyond = wanted - credits;
        if asked.owed < beyond {
            return Err(Refusal::RefundExceedsUnused { left, most: None });
        }
        let lapsed = beyond.min(expired);
        let owed = beyond - lapsed;
        Ok(What::Withdrawn(Withdrawal { credits, lapsed, owed, lost: owed, ..asked.clone() }))
    }

    pub(super) fn apply_withdrawn(&mut self, it: &Withdrawal) {
        if (it.credits + it.lapsed).is_positive() {
            let grant = self.known(it.grant);
            grant.remaining -= it.credits;
            grant.expired -= it.lapsed;
            assert!(Credits::ZERO <= grant.remaining.min(grant.expired), "no more is taken back than is there");
        }
        assert!(it.lost <= it.owed, "what is let go later is owed now");
        self.debt += it.owed;
        self.change_freeze(it.grant, |freeze| freeze.lost += it.lost);
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

    /// A grant pays what is owed. One that lives pays any debt. One that has expired pays what is owed for itself and
    /// no more: what is unspent of it was never used, and had it expired before its money went, nothing would be owed.
    /// What others repaid of that meanwhile comes back as credits of their own.
    pub(super) fn repay(&self, grant: GrantId, at: Timestamp) -> Result<What, Refusal> {
        let grant = self.grant(grant).ok_or(Refusal::GrantNotFound)?;
        let lost = self.lost(grant.id);
        let most = if grant.live_at(at) { self.debt } else { lost };
        let credits = grant.remaining.min(most);
        let repaid = "what was owed for unused credits had been repaid".into();
        let regranted = self.regrant(self.debt.short_of(credits), &repaid, at);
        Ok(What::Repaid { grant: grant.id, credits, unlost: lost.min(credits), regranted })
    }

    pub(super) fn apply_repaid(&mut self, grant: GrantId, credits: Credits, regranted: Option<&(GrantId, Arc<Terms>)>) {
        self.known(grant).remaining -= credits;
        self.debt -= credits;
        if let Some((id, terms)) = regranted {
            self.debt += terms.credits;
            self.insert(*id, terms).remaining += terms.credits;
        }
        assert!(Credits::ZERO <= self.debt, "no more is repaid than is owed");
        // Nothing is left of a grant whose money left a debt, so this came back to it.
        self.unlose(grant, self.lost(grant).min(credits));
    }

    /// Freezing stops a grant's clock, and letting it go starts it again: it expires later by the time between.
    pub(super) fn freeze(&self, grant: GrantId, is_frozen: bool, expires_at: Timestamp, at: Timestamp) -> What {
        let freeze = self.freeze_of(grant);
        let before = freeze.and_then(|it| it.expires_at).unwrap_or(expires_at);
        let since = freeze.and_then(|it| it.since).filter(|_| !is_frozen);
        // What had expired before it was frozen stays expired.
        let since = since.filter(|it| *it < before && before < Timestamp::NEVER);
        let expires_at = since.map(|since| before + Span::from_millis(at.millis() - since.millis()));
        What::Frozen { grant, is_frozen, expires_at: expires_at.filter(|it| before < *it) }
    }

    pub(super) fn apply_frozen(
        &mut self,
        grant: GrantId,
        is_frozen: bool,
        expires_at: Option<Timestamp>,
        at: Timestamp,
    ) {
        self.change_freeze(grant, |freeze| {
            freeze.since = is_frozen.then(|| freeze.since.unwrap_or(at));
            freeze.expires_at = expires_at.or(freeze.expires_at);
        });
        if let Some(place) = self.grants.iter().position(|it| it.id == grant) {
            // A grant that expires later is drawn from later.
            let mut grant = self.grants.remove(place);
            grant.is_frozen = is_frozen;
            grant.expire_at(self.expiry_of(grant.id, &grant.terms));
            self.put(grant);
        }
        self.dispute_topup(is_frozen);
    }

    fn change_freeze(&mut self, grant: GrantId, change: impl FnOnce(&mut Freeze)) {
        let place = self.freezes.partition_point(|it| it.grant < grant);
        if self.freeze_of(grant).is_none() {
            self.freezes.insert(place, Freeze::of(grant));
        }
        change(&mut self.freezes[place]);
        if self.freezes[place].says_nothing() {
            self.freezes.remove(place);
        }
    }

    /// `credits` less is owed for what was spent of a grant whose money went.
    pub(super) fn unlose(&mut self, grant: GrantId, credits: Credits) {
        if credits.is_positive() {
            self.change_freeze(grant, |it| it.lost -= credits);
            assert!(Credits::ZERO <= self.lost(grant), "no more of a grant is let go than was owed for it");
        }
    }

    fn freeze_of(&self, grant: GrantId) -> Option<&Freeze> {
        self.freezes.binary_search_by_key(&grant, |it| it.grant).ok().map(|it| &self.freezes[it])
    }

    /// What disputes did to grants, by their ids.
    pub fn freezes(&self) -> &[Freeze] {
        &self.freezes
    }

    /// Whether the payment of a grant is disputed, be anything left of the grant or not.
    pub(super) fn is_frozen(&self, grant: GrantId) -> bool {
        self.freeze_of(grant).is_some_and(|it| it.since.is_some())
    }

    /// Owed for what was spent of a grant whose money went.
    pub(super) fn lost(&self, grant: GrantId) -> Credits {
        self.freeze_of(grant).map_or(Credits::ZERO, |it| it.lost)
    }

    /// What of a grant expires with it, if nothing more is drawn: what is owed for it pays that first, or comes back.
    pub(super) fn expiring(&self, grant: &Grant) -> Credits {
        self.lost(grant.id).short_of(grant.remaining)
    }

    /// When a grant of these terms expires, here or used up.
    pub fn expiry_of(&self, grant: GrantId, terms: &Terms) -> Timestamp {
        self.freeze_of(grant).and_then(|it| it.expires_at).unwrap_or(terms.expires_at)
    }

    /// Whether a grant of these terms has expired by `at`: while it is frozen, it does not.
    pub(super) fn has_expired(&self, grant: GrantId, terms: &Terms, at: Timestamp) -> bool {
        let since = self.freeze_of(grant).and_then(|it| it.since);
        self.expiry_of(grant, terms) <= since.unwrap_or(at)
    }

    /// Whether a grant of these terms could be drawn from at `at`, were anything left of it.
    pub fn would_live(&self, grant: GrantId, terms: &Terms, at: Timestamp) -> bool {
        !self.is_frozen(grant) && terms.effective_at <= at && at < self.expiry_of(grant, terms)
    }

    /// What freezing a grant, or letting it go, adds to the posted balance.
    pub(super) fn thawed(
        &self,
        grant: GrantId,
        is_frozen: bool,
        expires_at: Option<Timestamp>,
        at: Timestamp,
    ) -> Credits {
        let lives = |it: &Grant| it.terms.effective_at <= at && at < expires_at.unwrap_or(it.expires_at());
        let found = self.grant(grant).filter(|it| it.is_frozen != is_frozen && lives(it));
        let remaining = found.map_or(Credits::ZERO, |it| it.remaining);
        if is_frozen { -remaining } else { remaining }
    }
}
