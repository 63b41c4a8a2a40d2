//! Payments: found, shown, and what became of what they paid for.
//!
//! A payment is a document (see `payment`). While it is not over it is due: whoever takes it commits the next state
//! with a lease, asks the provider (see `collect`), and commits the outcome (see `outcomes`). Invariant: credits are
//! granted in the commit that calls the payment succeeded, under a fact that only its id can settle: once.
use std::collections::HashMap;
use std::sync::Arc;

use billing::Refusal;
use billing::id::{AccountNumber, GrantId, Name, PaymentId, Place};
use billing::ledger::{Book, Grant, Terms};
use billing::money::Credits;
use billing::payment::Status;
use store::{Document, NameHash};

use super::documents::Kept;
use super::payment::{Leftover, Payment};
use super::{Error, GrantView};
use crate::app::{App, Known};

pub(super) const KIND: &str = Document::PAYMENT;

/// A payment as it is shown.
#[derive(Clone, Debug)]
pub struct PaymentView {
    pub id: String,
    pub account: Name,
    pub payment: Payment,
    /// The grant it paid for.
    pub grant: Option<GrantId>,
    /// It was asked for before, under the same key.
    pub is_replay: bool,
}

impl App {
    /// # Errors
    /// When the id leads to no payment.
    pub fn payment(&self, id: PaymentId) -> Result<PaymentView, Error> {
        let known = self.known_number(id.place().account)?.ok_or(Refusal::PaymentNotFound)?;
        let kept = self.payment_kept(id)?.ok_or(Refusal::PaymentNotFound)?;
        self.payment_view(&known, kept, false)
    }

    /// An account's payments, newest first, those below the cursor `before`; failed attempts included.
    pub fn payments(&self, account: &Name, before: Option<&str>, limit: usize) -> Result<Vec<PaymentView>, Error> {
        let known = self.known(account)?;
        let kept = self.all_kept::<Payment>(known.account.number, KIND, before, limit)?;
        kept.into_iter().map(|it| self.payment_view(&known, it, false)).collect()
    }

    /// The payments that an account's grants were paid with, by their ids. Costs a read for each such grant.
    pub fn payments_behind<'a>(
        &self,
        account: &Name,
        grants: impl IntoIterator<Item = &'a GrantView>,
    ) -> Result<HashMap<String, PaymentView>, Error> {
        let known = self.known(account)?;
        let mut found = HashMap::new();
        for grant in grants {
            let Some(id) = grant.terms.payment.as_deref() else { continue };
            let Some(kept) = self.kept::<Payment>(known.account.number, KIND, id)? else { continue };
            let (id, account) = (kept.document.id, known.account.id.clone());
            let view = PaymentView { id, account, payment: kept.body, grant: Some(grant.id), is_replay: false };
            found.insert(view.id.clone(), view);
        }
        Ok(found)
    }

    pub(super) fn payment_kept(&self, id: PaymentId) -> Result<Option<Kept<Payment>>, Error> {
        self.kept(id.place().account, KIND, &id.to_string())
    }

    pub(super) fn payment_view(
        &self,
        known: &Arc<Known>,
        kept: Kept<Payment>,
        is_replay: bool,
    ) -> Result<PaymentView, Error> {
        let id: Option<PaymentId> = kept.document.id.parse().ok();
        let grant = match id.filter(|_| kept.body.status() == Status::Succeeded) {
            Some(id) => self.grant_paid_by(id)?.map(|it| it.0),
            None => None,
        };
        Ok(PaymentView {
            id: kept.document.id,
            account: known.account.id.clone(),
            payment: kept.body,
            grant,
            is_replay,
        })
    }

    /// Whether any payment was ever tried.
    pub(super) fn has_paid(&self, account: AccountNumber) -> Result<bool, Error> {
        Ok(!self.store.documents(account, KIND, None, 1)?.is_empty())
    }

    /// The grant a payment made, and its terms.
    pub(super) fn grant_paid_by(&self, id: PaymentId) -> Result<Option<(GrantId, Arc<Terms>)>, Error> {
        let place: Option<Place> = self.store.recall(&[NameHash::paid(id)], &[])?.named.pop().flatten();
        let Some(place) = place else { return Ok(None) };
        let transaction = self.store.transaction(place)?;
        Ok(transaction.as_ref().and_then(|it| it.granted()).map(|(grant, terms)| (grant, Arc::clone(terms))))
    }

    /// What became of the grant a payment made, None where it made none.
    pub(super) fn leftover(&self, id: PaymentId) -> Result<Option<Leftover>, Error> {
        let Some((grant, _)) = self.grant_paid_by(id)? else { return Ok(None) };
        let account = id.place().account;
        let written = self.book(account)?;
        let book = written.brought_up_to(self.now());
        let of = |book: &Book, what: fn(&Grant) -> Credits| book.grant(grant).map_or(Credits::ZERO, what);
        let unspent = of(&book, |it| it.remaining + it.expired);
        // What was voided, and what expired long ago, the months know, together with what the book has as expired.
        if !self.count_account(account)? {
            // Counted by half, what was never used might be owed.
            return Err(Error::Busy);
        }
        let counted = self.paid_grant(account, grant)?.map_or(Credits::ZERO, |it| it.forfeited);
        let lapsed = of(&written, |it| it.expired).short_of(counted);
        Ok(Some(Leftover { grant, unspent, lapsed }))
    }

    /// Credits that are bought and not yet paid for.
    pub(super) fn pending_purchases(&self, known: &Known) -> Result<Credits, Error> {
        // Those that are waited for are young: an older one has ended, or waits for its page to close.
        const LOOKED_AT_MAX: usize = 50;
        let recent = self.all_kept::<Payment>(known.account.number, KIND, None, LOOKED_AT_MAX)?;
        let waiting = recent.iter().filter(|it| !it.body.status().is_final());
        Ok(waiting.map(|it| Credits::from_micros(it.body.credits)).sum())
    }
}
