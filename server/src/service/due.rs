//! What is due: time itself changes books, and someone has to write it down.
use std::sync::Arc;

use billing::id::AccountNumber;
use tokio::task::JoinSet;

use super::Error;
use crate::app::App;
use crate::turnstile::{Ask, Turned};

/// Jobs carried out at once: they wait for others, mostly.
const AT_ONCE: usize = 16;
/// Passes over due accounts after a test clock was moved, and accounts in each: years of a few servers fit.
const SETTLE_PASSES_MAX: usize = 100_000;
const SETTLED_AT_ONCE: usize = 1_000;

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

    /// Does the jobs of documents that are due, and says how many there were. One that fails is due again.
    pub async fn work(self: &Arc<Self>, limit: usize) -> Result<usize, Error> {
        let due = self.store.documents_due(self.now(), limit)?;
        let count = due.len();
        let mut jobs = JoinSet::new();
        let mut put_off = Vec::new();
        for document in due {
            let (kind, id) = (document.kind.clone(), document.id.clone());
            let document = match self.work_notices(document, &mut put_off) {
                Ok(Some(document)) => document,
                Ok(None) => continue,
                Err(error) => {
                    tracing::warn!(kind, id, ?error, "a job failed and is tried again");
                    continue;
                }
            };
            if AT_ONCE <= jobs.len() {
                jobs.join_next().await;
            }
            let app = Arc::clone(self);
            jobs.spawn(async move {
                if let Err(error) = app.work_money(document).await {
                    tracing::warn!(kind, id, ?error, "a job failed and is tried again");
                }
            });
        }
        // Should another have been first with one of them, they are all due still.
        if !put_off.is_empty() {
            self.keep(&put_off)?;
        }
        while jobs.join_next().await.is_some() {}
        Ok(count)
    }

    /// Posts all that is due, however much: when a test clock was moved, all of it happens before anybody looks.
    pub async fn settle_all(&self) -> Result<(), Error> {
        for _ in 0..SETTLE_PASSES_MAX {
            let due = self.accounts_due(SETTLED_AT_ONCE)?;
            if due.is_empty() || self.settle(due).await == Settling::default() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Posts what is due on each, as much as fits in a pass. What cannot be posted now is due still.
    pub async fn settle(&self, accounts: Vec<AccountNumber>) -> Settling {
        // A book that cannot be read is no reason not to settle the others.
        if let Err(error) = self.renew_all_budgets(&accounts).await {
            tracing::error!(?error, "bringing budgets up to date failed");
        }
        match self.burn_news(&accounts) {
            Ok(news) if !news.is_empty() => drop(self.turnstile.take(news).await),
            Ok(_) => {}
            Err(error) => tracing::error!(?error, "bringing terms of burning up to date failed"),
        }
        let ask =
            |account| Ask { account, command: None, key: None, by: None, fact: None, once: None, also: Vec::new() };
        if accounts.is_empty() {
            return Settling::default();
        }
        let turned = self.turnstile.take(accounts.into_iter().map(ask).collect()).await;
        let count = |is_so: fn(&&Turned) -> bool| turned.iter().filter(is_so).count();
        let (done, unfinished) = (count(|it| matches!(it, Turned::Idle)), count(|it| matches!(it, Turned::Unfinished)));
        Settling { done, unfinished }
    }
}
