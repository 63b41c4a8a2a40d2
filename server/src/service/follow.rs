//! Following an account: what has happened since a version, for those who want to see it as it happens.
//!
//! The journal is the memory: a follower says which version it has seen, so it may go away and come back, to this
//! process or another, and misses nothing it has not chosen to miss.
use std::collections::HashMap;
use std::sync::Arc;

use billing::id::{Name, Place};
use billing::ledger::Transaction;
use billing::time::Timestamp;
use serde_json::Value;
use tokio::sync::watch;

use super::payment::Payment;
use super::payments::KIND as PAYMENT;
use super::{BalanceView, Error, PaymentView};
use crate::app::{App, Known};

/// Transactions told one by one. A follower further behind is told the newest and the balance, which is what it wants.
const TOLD_MAX: usize = 200;

/// Payments that are followed: those under way are among the newest.
const PAYMENTS_MAX: usize = 20;

/// What a follower has seen of payments. They have states of their own beside the ledger, and not all of them move it.
#[derive(Clone, Debug, Default)]
pub struct PaymentsSeen {
    /// Changes from then on are told.
    since: Option<Timestamp>,
    /// The version of each that was told.
    versions: HashMap<String, u64>,
}

/// What a follower has not seen yet.
#[derive(Clone, Debug)]
pub struct News {
    /// Of the book the balance is of.
    pub version: u64,
    /// Oldest first.
    pub transactions: Vec<Arc<Transaction>>,
    /// Whose state has changed; one that was told before the follower went away may be told again.
    pub payments: Vec<PaymentView>,
    /// Budgets' thresholds that were reached, with the version of the transaction that reached each; in its terms as
    /// they are now.
    pub reached: Vec<(u64, Value)>,
    pub balance: BalanceView,
}

impl App {
    /// Tells the account's newest version after each commit that moves it: at once after one of this process, within a
    /// second after another's.
    pub fn follow(&self, account: &Name) -> Result<watch::Receiver<u64>, Error> {
        Ok(self.turnstile.follow(self.known(account)?.account.number))
    }

    /// Tells followers of accounts that another process has moved. Costs one question for all of them together, and
    /// none where nobody follows, or nobody else writes.
    pub fn hear_others(&self) -> Result<(), Error> {
        Ok(self.turnstile.hear_others(&*self.store)?)
    }

    /// What has happened after version `seen`; from now on where nothing was seen.
    pub fn news(&self, account: &Name, seen: Option<u64>, payments: &mut PaymentsSeen) -> Result<News, Error> {
        let known = self.known(account)?;
        let number = known.account.number;
        let book = self.book(number)?;
        let version = book.version;
        let behind = seen.map_or(0, |it| version.saturating_sub(it));
        let count = usize::try_from(behind).unwrap_or(TOLD_MAX).min(TOLD_MAX);
        let mut transactions = match count {
            0 => Vec::new(),
            count => self.store.transactions(number, version + 1, count)?,
        };
        transactions.reverse();
        let payments = self.payments_since(&known, seen, payments)?;
        let of = |it: &Arc<Transaction>| {
            let version = it.place.version;
            super::warnings::budgets_reached(&book, account, it).into_iter().map(move |it| (version, it))
        };
        let reached = transactions.iter().flat_map(of).collect();
        Ok(News { version, transactions, payments, reached, balance: self.balance(account, None)? })
    }

    /// Payments that have changed since the version a follower has seen was written.
    fn payments_since(
        &self,
        known: &Arc<Known>,
        seen: Option<u64>,
        told: &mut PaymentsSeen,
    ) -> Result<Vec<PaymentView>, Error> {
        let account = known.account.number;
        let since = match (told.since, seen.filter(|it| 0 < *it)) {
            (Some(since), _) => since,
            (None, None) => self.now(),
            (None, Some(version)) => {
                self.store.transaction(Place { account, version })?.map_or_else(|| self.now(), |it| it.at)
            }
        };
        told.since = Some(since);
        let mut newest = self.all_kept::<Payment>(account, PAYMENT, None, PAYMENTS_MAX)?;
        newest.retain(|it| {
            let version = it.document.version;
            since <= it.document.at && told.versions.insert(it.document.id.clone(), version) != Some(version)
        });
        newest.sort_by_key(|it| it.document.at);
        newest.into_iter().map(|it| self.payment_view(known, it, false)).collect()
    }
}
