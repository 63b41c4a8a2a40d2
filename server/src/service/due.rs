//! What is due: time itself changes books, and someone has to write it down.
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use billing::id::AccountNumber;
use billing::ledger::{Book, Command};
use billing::server::{Phase, Server};
use billing::time::{Span, Timestamp};
use tokio::runtime::Handle;

use super::Error;
use crate::app::App;
use crate::turnstile::{Ask, Turned};

/// Passes over due accounts after a test clock was moved, and accounts in each: years of a few servers fit.
const SETTLE_PASSES_MAX: usize = 100_000;
const SETTLED_AT_ONCE: usize = 1_000;
/// Passes over accounts that are told of new prices, each of which posts what was due before them: a day of a thousand
/// accounts' servers in two.
const TELL_PASSES_MAX: u32 = 64;
/// Passes over what is due before a statement or a report answers with what there is.
const READ_PASSES_MAX: u32 = 8;

/// Accounts whose servers are told of new prices at once, or settled when the process ends, at most: to the others it
/// happens at the end of their hour, or when the next process begins.
const RUNNING_MAX: usize = 100_000;

/// What a pass over due accounts came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Settling {
    /// Accounts on which nothing is due any more.
    pub done: usize,
    /// Accounts on which more was due than fits in one pass.
    pub unfinished: usize,
}

impl App {
    /// Accounts on which something is due now.
    pub fn accounts_due(&self, limit: usize) -> Result<Vec<AccountNumber>, Error> {
        Ok(self.store.due(self.now(), limit)?)
    }

    /// Books of accounts, all but those that cannot be read: what time brings about for the others does not wait for
    /// them.
    pub(super) fn readable(&self, accounts: &[AccountNumber]) -> Result<Vec<Arc<Book>>, Error> {
        let found = store::read_apart(&*self.store, accounts)?;
        for (account, fault) in found.unreadable {
            tracing::error!(?account, %fault, "a book cannot be read");
        }
        Ok(found.books)
    }

    /// Posts all that is due, however much: when a test clock was moved, all of it happens before anybody looks.
    pub async fn settle_all(&self) -> Result<(), Error> {
        for _ in 0..SETTLE_PASSES_MAX {
            let due = self.accounts_due(SETTLED_AT_ONCE)?;
            if due.is_empty() || self.settle(due).await == Settling::default() {
                break;
            }
        }
        self.tell_new_prices().await
    }

    /// Tells running servers of prices as soon as they take effect: so what is accrued, and when credits run out, is
    /// right within moments, and not by the end of the hour.
    pub async fn tell_new_prices(&self) -> Result<(), Error> {
        let in_force = self.card_at(self.now()).map_or(0, |it| it.version());
        if self.priced_by.load(Ordering::Relaxed) == in_force {
            return Ok(());
        }
        let mut are_told = true;
        for some in self.accounts_running()?.chunks(SETTLED_AT_ONCE) {
            let mut waiting = some.to_vec();
            for _ in 0..TELL_PASSES_MAX {
                if waiting.is_empty() {
                    break;
                }
                waiting = self.tell_news(&waiting).await?.into_iter().collect();
            }
            are_told &= waiting.is_empty();
        }
        if are_told {
            self.priced_by.store(in_force, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Accounts with a server that runs, and others: each is due at the end of its hour.
    fn accounts_running(&self) -> Result<Vec<AccountNumber>, Error> {
        Ok(self.store.due(self.now() + Span::HOUR, RUNNING_MAX)?)
    }

    /// Posts what was due by an instant, for whoever reads of the time up to it: it is posted at its own instant, which
    /// may lie in a month that is over. Much of it, and what cannot be posted, stays due.
    pub(super) fn settle_until(&self, until: Timestamp) -> Result<(), Error> {
        for _ in 0..READ_PASSES_MAX {
            let due = self.store.due(until, SETTLED_AT_ONCE)?;
            if due.is_empty() || self.settle_here(due) == Settling::default() {
                break;
            }
        }
        Ok(())
    }

    /// The same for one account, up to now.
    pub(super) fn settle_account(&self, account: AccountNumber) -> Result<(), Error> {
        for _ in 0..READ_PASSES_MAX {
            let is_due = self.book(account)?.due_at() <= self.now();
            if !is_due || self.settle_here(vec![account]) == Settling::default() {
                break;
            }
        }
        Ok(())
    }

    /// Like `settle`, waited for on the thread of whoever reads: it is one that may wait.
    fn settle_here(&self, accounts: Vec<AccountNumber>) -> Settling {
        tokio::task::block_in_place(|| Handle::current().block_on(self.settle(accounts)))
    }

    /// Posts what is due on each, as much as fits in a pass. What cannot be posted now is due still.
    pub async fn settle(&self, accounts: Vec<AccountNumber>) -> Settling {
        // What fails here is no reason not to settle.
        if let Err(error) = self.renew_all_budgets(&accounts).await {
            tracing::error!(%error, "bringing budgets up to date failed");
        }
        let waiting = self.tell_news(&accounts).await.unwrap_or_else(|error| {
            tracing::error!(%error, "bringing terms of burning up to date failed");
            HashSet::new()
        });
        let asks: Vec<Ask> = accounts.into_iter().filter(|it| !waiting.contains(it)).map(|it| ask(it, None)).collect();
        if asks.is_empty() {
            return Settling { done: 0, unfinished: waiting.len() };
        }
        let turned = self.turnstile.take(asks).await;
        let count = |is_so: fn(&&Turned) -> bool| turned.iter().filter(is_so).count();
        let (done, unfinished) = (count(|it| matches!(it, Turned::Idle)), count(|it| matches!(it, Turned::Unfinished)));
        Settling { done, unfinished: unfinished + waiting.len() }
    }

    /// Settles what running servers used by now, for when this process ends: so the ledger says it before the next
    /// begins. Where other processes serve the same store, they go on.
    pub async fn settle_servers(&self) -> Result<(), Error> {
        if self.store.is_shared() {
            return Ok(());
        }
        for some in self.accounts_running()?.chunks(SETTLED_AT_ONCE) {
            let asks = self.readable(some)?.into_iter().flat_map(|book| {
                let running = book.servers().iter().filter(|it| it.run.phase == Phase::Running);
                let settle = |it: &Server| Command::Settle { server: it.id.clone() };
                running.map(|it| ask(book.account, Some(settle(it)))).collect::<Vec<_>>()
            });
            self.turnstile.take(asks.collect()).await;
        }
        Ok(())
    }
}

fn ask(account: AccountNumber, command: Option<Command>) -> Ask {
    Ask { account, command, key: None, by: None, fact: None, once: None, also: Vec::new() }
}
