//! SQLite: a file that is the truth, and beside it a file of what follows from it.
//!
//! A commit appends to the journal and waits for one sync of the disk: pages are written in order, none twice. What is
//! derived from the journal — books, names, milestones, usage — is held in memory until a [`fold`] writes much of it in
//! the order of its keys. The derived file has a writer and a thread of its own, so a fold costs commits next to
//! nothing; it may be lost at any time, for it is made again from the journal.
//!
//! Nothing in here decides anything about credits. Invariant: whatever the derived file and memory say together is
//! what the journal says.
mod backup;
mod checkpoint;
mod commit;
mod derived;
mod filter;
mod fold;
mod hours;
mod journal;
mod memory;
mod merge;
mod migrate;
mod names;
mod open;
mod read;
mod records;
mod shared;
mod spread;
mod standing;
mod stock;
mod tail;
mod uses;

pub use backup::{is_open, snapshot};

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use billing::id::{AccountNumber, Name, Place};
use billing::ledger::Transaction;
use billing::time::Timestamp;

use crate::{
    Account, ApiKey, Audit, CardRecord, Change, CommitError, Document, EachPost, Fault, Kinds, Movable, NameHash,
    Project, QuoteRecord, Recalled, Reply, Shelf, Spot, Store, UsageRow,
};
use shared::{Shared, lock};

/// What may be chosen when a store is opened. The defaults are what the benchmark was tuned with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Transactions in the tail at which a fold begins. More make a fold cheaper for each, as its pages are shared by
    /// more; fewer take less memory and make a restart faster.
    pub fold_at: usize,
    /// Transactions in the tail at which commits wait for the fold before.
    pub tail_max: usize,
    /// Books kept in memory besides those in the tail. A book takes about 1 KB.
    pub books_max: usize,
    /// Accounts whose last transactions whoever writes knows without asking. Each takes about 30 bytes.
    pub heads_max: usize,
    /// About how much is written to the journal's write-ahead log, where groups are small, until it is copied into the
    /// journal. Commits that want the disk at the same time wait for what that has to sync. The log itself grows to 32
    /// times as much, is then written over and over, and is read again after a crash.
    pub log_bytes: usize,
    /// Reading connections kept open. More readers than that may come; theirs are closed after use.
    pub readers_max: usize,
    /// Bytes of each file that a reader maps into memory instead of copying pages.
    pub map_bytes: i64,
    /// Accounts folded in one transaction of the derived file.
    pub slice_accounts: usize,
    /// For tests: folds stop, as if the process had, after so many slices.
    pub stop_after: Option<u64>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            fold_at: 750_000,
            tail_max: 1_000_000,
            books_max: 200_000,
            heads_max: 300_000,
            log_bytes: 2 << 20,
            readers_max: 4,
            map_bytes: 1 << 30,
            slice_accounts: 1_000,
            stop_after: None,
        }
    }
}

pub struct Sqlite {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// Held while the store is open, so that no other process writes.
    lock: File,
}

impl Sqlite {
    /// Opens the store at `path`, making its files when there are none.
    ///
    /// # Errors
    /// When a file cannot be read or written, is not a store's, is of a newer schema, or is open for writing elsewhere.
    pub fn open(path: &Path, options: Options) -> Result<Sqlite, Fault> {
        open::open(path, options)
    }

    /// Folds everything that was committed before. Nothing needs it; a benchmark and a test may want to know where the
    /// answers come from.
    pub fn fold(&self) -> Result<(), Fault> {
        commit::settle(&self.shared)?;
        let last = lock(&self.shared.writer).sequence;
        self.shared.await_fold(|memory| {
            let frozen = memory.frozen.as_ref().is_some_and(|it| it.reaches_back_to(last));
            !frozen && !memory.live.reaches_back_to(last)
        })
    }
}

/// Copies the store at `from` into a new file `to`, also while a process writes to it. See [`restore`].
///
/// # Errors
/// When there is no store at `from`, or something at `to` already.
pub fn backup(from: &Path, to: &Path) -> Result<(), Fault> {
    backup::backup(from, to)
}

/// Makes a store at `to` of a backup, once the backup has been checked.
///
/// # Errors
/// When the backup is damaged, or there is something at `to` already.
pub fn restore(from: &Path, to: &Path) -> Result<(), Fault> {
    backup::restore(from, to)
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.shared.stop();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so; there is nothing left to do for it.
            let _ = thread.join();
        }
        // Said, not left to closing: a process that was forked this instant may hold the file open a little longer.
        let _ = self.lock.unlock();
    }
}

impl Movable for Sqlite {
    fn shelf(&self, shelf: Shelf, after: &Spot, limit: usize) -> Result<Vec<(Spot, Change)>, Fault> {
        self.shared.read(|it| stock::shelf(&it.journal.file, shelf, after, limit))
    }
    fn posts(&self, after: u64, each: &mut EachPost<'_>) -> Result<(), Fault> {
        self.shared.read(|it| stock::posts(&it.journal, after, each))
    }
}

fn derived_path(path: &Path) -> PathBuf {
    beside(path, "-derived")
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("numbers of accounts, versions and sequences are far below 2^63")
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).expect("what was stored was not negative")
}

impl Store for Sqlite {
    fn commit(&self, changes: &[Change]) -> Result<(), CommitError> {
        commit::commit(&self.shared, changes)
    }
    fn write(&self, changes: &Arc<Vec<Change>>) -> Result<(), CommitError> {
        commit::write(&self.shared, changes)
    }
    fn settle(&self) -> Result<(), Fault> {
        commit::settle(&self.shared)
    }
    fn is_spent(&self) -> bool {
        self.shared.is_broken.load(Ordering::Acquire)
    }
    fn recall(&self, names: &[NameHash], accounts: &[AccountNumber]) -> Result<Recalled, Fault> {
        read::recall(&self.shared, names, accounts)
    }
    fn transaction(&self, place: Place) -> Result<Option<Arc<Transaction>>, Fault> {
        read::transaction(&self.shared, place)
    }
    fn transactions(&self, account: AccountNumber, before: u64, limit: usize) -> Result<Vec<Arc<Transaction>>, Fault> {
        read::transactions(&self.shared, account, before, limit)
    }
    fn granting(&self, account: AccountNumber, before: u64, limit: usize) -> Result<Vec<Arc<Transaction>>, Fault> {
        self.shared.read(|it| journal::granting(&it.journal, account, before, limit))
    }
    fn journal(&self, after: u64, each: &mut dyn FnMut(u64, Transaction)) -> Result<(), Fault> {
        self.shared.read(|it| {
            journal::after(&it.journal, after, &mut |it| {
                each(it.sequence, it.transaction);
                Ok(())
            })
        })
    }
    fn journal_length(&self) -> Result<u64, Fault> {
        self.shared.read(|it| journal::length(&it.journal.file))
    }
    fn usage_as_of(
        &self,
        account: AccountNumber,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<(u64, Vec<UsageRow>), Fault> {
        read::usage(&self.shared, account, from, to)
    }
    fn due(&self, at: Timestamp, limit: usize) -> Result<Vec<AccountNumber>, Fault> {
        read::due(&self.shared, at, limit)
    }
    fn account(&self, id: &Name) -> Result<Option<Account>, Fault> {
        self.shared.read(|it| records::account(&it.journal.file, id))
    }
    fn account_numbered(&self, number: AccountNumber) -> Result<Option<Account>, Fault> {
        self.shared.read(|it| records::account_numbered(&it.journal.file, number))
    }
    fn accounts(&self, after: Option<&Name>, limit: usize) -> Result<Vec<Account>, Fault> {
        self.shared.read(|it| records::accounts(&it.journal.file, after, limit))
    }
    fn accounts_called(&self, beginning: &str, limit: usize) -> Result<Vec<Account>, Fault> {
        self.shared.read(|it| records::accounts_called(&it.journal.file, beginning, limit))
    }
    fn fingerprints_known(&self, fingerprints: &[[u8; 32]]) -> Result<Vec<bool>, Fault> {
        self.shared.read(|it| records::fingerprints_known(&it.journal.file, fingerprints))
    }
    fn projects(&self, account: AccountNumber) -> Result<Vec<Project>, Fault> {
        self.shared.read(|it| records::projects(&it.journal.file, account))
    }
    fn rate_cards(&self) -> Result<Vec<CardRecord>, Fault> {
        self.shared.read(|it| records::rate_cards(&it.journal.file))
    }
    fn api_keys(&self) -> Result<Vec<ApiKey>, Fault> {
        self.shared.read(|it| records::api_keys(&it.journal.file))
    }
    fn quote(&self, account: AccountNumber, id: &str) -> Result<Option<QuoteRecord>, Fault> {
        self.shared.read(|it| records::quote(&it.journal.file, account, id))
    }
    fn document(&self, account: AccountNumber, kind: &str, id: &str) -> Result<Option<Document>, Fault> {
        self.shared.read(|it| records::document(&it.journal.file, account, kind, id))
    }
    fn documents(
        &self,
        account: AccountNumber,
        kind: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Document>, Fault> {
        self.shared.read(|it| records::documents(&it.journal.file, account, kind, before, limit))
    }
    fn documents_due(&self, kinds: Kinds<'_>, at: Timestamp, limit: usize) -> Result<Vec<Document>, Fault> {
        self.shared.read(|it| records::documents_due(&it.journal.file, kinds, at, limit))
    }
    fn documents_at_rest(&self, kind: &str, before: Timestamp, limit: usize) -> Result<Vec<Document>, Fault> {
        self.shared.read(|it| records::documents_at_rest(&it.journal.file, kind, before, limit))
    }
    fn payments(&self, before: Timestamp, limit: usize) -> Result<Vec<Document>, Fault> {
        self.shared.read(|it| records::payments(&it.journal.file, before, limit))
    }
    fn reply(&self, key: NameHash) -> Result<Option<Reply>, Fault> {
        self.shared.read(|it| records::reply(&it.journal.file, key))
    }
    fn audit(&self, before: u64, limit: usize) -> Result<Vec<(u64, Audit)>, Fault> {
        self.shared.read(|it| records::audit(&it.journal.file, before, limit))
    }
}
