//! What an account's credits are made of now: its grants in the order they will be drawn.
use std::sync::Arc;

use billing::id::{GrantId, Name, PaymentId};
use billing::ledger::Terms;
use billing::money::Credits;
use billing::time::Timestamp;
use store::NameHash;

use super::Error;
use crate::app::App;

/// A grant with something left.
#[derive(Clone, Debug)]
pub struct StandingGrant {
    pub id: GrantId,
    pub terms: Arc<Terms>,
    /// As its terms say, and later by the time it was frozen.
    pub expires_at: Timestamp,
    /// Unspent and not in a hold.
    pub remaining: Credits,
    pub held: Credits,
    /// Its payment is disputed: its time stands still, and when it expires is not known yet.
    pub is_frozen: bool,
}

/// Credits have run out under running servers: what happens to those, and when.
#[derive(Clone, Copy, Debug)]
pub struct GraceView {
    /// They run on until then, or until so much is owed.
    pub until: Timestamp,
    pub debt_max: Credits,
    /// They were told to stop, and may be released then.
    pub release_at: Option<Timestamp>,
}

impl App {
    /// Whether servers run on credit, or were stopped for want of it; none where neither is so.
    pub fn grace(&self, account: &Name) -> Result<Option<GraceView>, Error> {
        let book = self.book(self.known(account)?.account.number)?.brought_up_to(self.now());
        let (ladder, grace) = (book.burning().ladder, book.burning().terms.grace);
        Ok(ladder.zero_at.map(|zero| GraceView {
            until: zero + grace.lasts,
            debt_max: grace.debt_max,
            release_at: ladder.stop_at.map(|stop| stop + grace.release_after),
        }))
    }

    /// Grants with something left, in draw order; those that take effect later come where they will.
    pub fn standing_grants(&self, account: &Name) -> Result<Vec<StandingGrant>, Error> {
        let now = self.now();
        let book = self.book(self.known(account)?.account.number)?.brought_up_to(now);
        let left = book.grants().iter().filter(|it| now < it.expires_at() || it.is_frozen || it.held.is_positive());
        let left = left.filter(|it| it.remaining.is_positive() || it.held.is_positive());
        Ok(left
            .map(|it| StandingGrant {
                id: it.id,
                terms: Arc::clone(&it.terms),
                expires_at: it.expires_at(),
                remaining: it.remaining,
                held: it.held,
                is_frozen: it.is_frozen,
            })
            .collect())
    }

    /// How much of what a payment brought paid back what was owed: debt is paid back first, from all there is.
    pub fn paid_back_by(&self, payment: PaymentId) -> Result<Credits, Error> {
        let place = self.store.recall(&[NameHash::paid(payment)], &[])?.named.pop().flatten();
        let Some(place) = place else { return Ok(Credits::ZERO) };
        let transaction = self.store.transaction(place)?;
        let granted = transaction.as_ref().and_then(|it| Some((it.after.debt, it.granted()?.1.credits)));
        Ok(granted.map_or(Credits::ZERO, |(debt, credits)| debt.min(credits)))
    }
}
