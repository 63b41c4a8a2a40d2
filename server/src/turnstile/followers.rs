//! Who wants to know when an account's book moves.
//!
//! The committer says "this account is at this version now", nothing more: what happened stands in the journal, where
//! whoever follows reads it, also when they were away. An account nobody follows costs one look at a map that is empty
//! most of the time.
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError, RwLock};

use billing::id::AccountNumber;
use store::Change;
use tokio::sync::watch;

/// Accounts remembered as moved. Whoever counts what moved comes by every second; should nobody come, the account is
/// found when all are looked through.
const MOVED_MAX: usize = 1 << 18;

#[derive(Debug, Default)]
pub struct Followers {
    /// The newest version of each account that is followed.
    newest: RwLock<HashMap<AccountNumber, watch::Sender<u64>>>,
    /// Accounts that moved since somebody asked, some of them often.
    moved: Mutex<Vec<AccountNumber>>,
}

impl Followers {
    /// Tells of every commit to this account from now on, until the receiver is dropped.
    pub fn follow(&self, account: AccountNumber) -> watch::Receiver<u64> {
        let mut newest = self.newest.write().unwrap_or_else(PoisonError::into_inner);
        // Whoever comes clears up after those who left, so the map is no larger than what is followed.
        newest.retain(|_, it| 0 < it.receiver_count());
        newest.entry(account).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// The accounts that somebody follows.
    pub fn followed(&self) -> Vec<AccountNumber> {
        let newest = self.newest.read().unwrap_or_else(PoisonError::into_inner);
        newest.iter().filter(|it| 0 < it.1.receiver_count()).map(|it| *it.0).collect()
    }

    /// This account is at this version, whoever brought it there.
    pub fn hear(&self, account: AccountNumber, version: u64) {
        let newest = self.newest.read().unwrap_or_else(PoisonError::into_inner);
        let Some(followed) = newest.get(&account) else { return };
        followed.send_if_modified(|known| {
            let is_news = *known < version;
            *known = version.max(*known);
            is_news
        });
    }

    /// Accounts that moved since this was asked last.
    pub fn moved(&self) -> Vec<AccountNumber> {
        std::mem::take(&mut *self.moved.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn remember(&self, changes: &[Change]) {
        let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            let Change::Post(post) = change else { continue };
            let account = post.transaction.place.account;
            if moved.last() != Some(&account) && moved.len() < MOVED_MAX {
                moved.push(account);
            }
        }
    }

    /// These changes are durable.
    pub fn tell(&self, changes: &[Change]) {
        self.remember(changes);
        let newest = self.newest.read().unwrap_or_else(PoisonError::into_inner);
        if newest.is_empty() {
            return;
        }
        for change in changes {
            let Change::Post(post) = change else { continue };
            let place = post.transaction.place;
            if let Some(followed) = newest.get(&place.account) {
                followed.send_replace(place.version);
            }
        }
    }
}
