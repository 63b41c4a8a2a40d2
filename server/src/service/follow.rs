//! Following an account: what has happened since a version, for those who want to see it as it happens.
//!
//! The journal is the memory: a follower says which version it has seen, so it may go away and come back, to this
//! process or another, and misses nothing it has not chosen to miss.
use std::sync::Arc;

use billing::id::Name;
use billing::ledger::Transaction;
use tokio::sync::watch;

use super::{BalanceView, Error};
use crate::app::App;

/// Transactions told one by one. A follower further behind is told the newest and the balance, which is what it wants.
const TOLD_MAX: usize = 200;

/// What a follower has not seen yet.
#[derive(Clone, Debug)]
pub struct News {
    /// Of the book the balance is of.
    pub version: u64,
    /// Oldest first.
    pub transactions: Vec<Arc<Transaction>>,
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
    pub fn news(&self, account: &Name, seen: Option<u64>) -> Result<News, Error> {
        let number = self.known(account)?.account.number;
        let version = self.book(number)?.version;
        let behind = seen.map_or(0, |it| version.saturating_sub(it));
        let count = usize::try_from(behind).unwrap_or(TOLD_MAX).min(TOLD_MAX);
        let mut transactions = match count {
            0 => Vec::new(),
            count => self.store.transactions(number, version + 1, count)?,
        };
        transactions.reverse();
        Ok(News { version, transactions, balance: self.balance(account, None)? })
    }
}
