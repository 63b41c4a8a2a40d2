//! SQLite: one file that is the truth, and what is derived from it.
//!
//! A commit appends to the journal and waits for one sync of the disk. What has been derived from the journal — books,
//! names, places, usage — is held in memory and made again when the file is opened.
mod journal;
mod migrate;
mod records;
mod tail;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use billing::id::{AccountNumber, Name, Place};
use billing::ledger::{Book, Transaction};
use billing::time::Timestamp;
use rusqlite::{Connection, OpenFlags};

use crate::{
    Account, ApiKey, Audit, CardRecord, Change, CommitError, Fault, NameHash, Post, Project, QuoteRecord, Recalled,
    Reply, Store, UsageRow,
};
use tail::Tail;

/// Steps of the journal file's schema.
const JOURNAL_STEPS: &[&str] = &[include_str!("../../migrations/journal_1.sql")];

/// What may be chosen when a file is opened. The defaults are what the benchmark was tuned with.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {}

pub struct Sqlite {
    path: PathBuf,
    writer: Mutex<Writer>,
    tail: RwLock<Tail>,
    readers: Mutex<Vec<Connection>>,
}

struct Writer {
    file: Connection,
    /// Sequence of the newest transaction.
    sequence: u64,
}

impl Sqlite {
    /// Opens the store at `path`, making the file when there is none.
    ///
    /// # Errors
    /// When the file cannot be read or written, is not a store, is of a newer schema, or is open for writing elsewhere.
    pub fn open(path: &Path, _options: Options) -> Result<Sqlite, Fault> {
        let fault = |it: rusqlite::Error| Fault::new("opening the store", it);
        let mut file = Connection::open(path).map_err(fault)?;
        file.pragma_update(None, "journal_mode", "wal").map_err(fault)?;
        file.pragma_update(None, "synchronous", "full").map_err(fault)?;
        file.set_prepared_statement_cache_capacity(64);
        migrate::migrate(&mut file, JOURNAL_STEPS)?;
        let mut tail = Tail::default();
        let mut books: HashMap<AccountNumber, Book> = HashMap::new();
        let mut sequence = 0;
        journal::after(&file, 0, &mut |written| {
            let transaction = &written.transaction;
            let account = transaction.place.account;
            let book = books.entry(account).or_insert_with(|| Book::open(account));
            book.apply(transaction);
            let key = transaction.origin.key.as_deref().map(|it| NameHash::key(account, it));
            tail.push(written.sequence, transaction, &Arc::new(book.clone()), [key, written.fact]);
            sequence = written.sequence;
        })?;
        let writer = Mutex::new(Writer { file, sequence });
        Ok(Sqlite { path: path.to_owned(), writer, tail: RwLock::new(tail), readers: Mutex::default() })
    }

    /// Asks one question on a reading connection.
    fn read<T>(&self, question: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        let idle = lock(&self.readers).pop();
        let file = match idle {
            Some(file) => file,
            None => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                Connection::open_with_flags(&self.path, flags).map_err(|it| Fault::new("opening a reader", it))?
            }
        };
        let answer = question(&file);
        lock(&self.readers).push(file);
        answer
    }

    fn tail(&self) -> std::sync::RwLockReadGuard<'_, Tail> {
        self.tail.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("numbers of accounts, versions and sequences are far below 2^63")
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).expect("what was stored was not negative")
}

impl Store for Sqlite {
    fn commit(&self, changes: &[Change]) -> Result<(), CommitError> {
        let fault = |it: rusqlite::Error| Fault::new("committing", it);
        let mut writer = lock(&self.writer);
        let mut heads: HashMap<AccountNumber, (u64, u64)> = HashMap::new();
        let mut posts: Vec<(u64, &Post)> = Vec::new();
        let mut sequence = writer.sequence;
        let transaction = writer.file.transaction().map_err(fault)?;
        {
            let mut appender = journal::Appender::new(&transaction).map_err(fault)?;
            for change in changes {
                let Change::Post(post) = change else {
                    records::write(&transaction, change)?;
                    continue;
                };
                let Place { account, version } = post.transaction.place;
                let tail = self.tail();
                let of_tail = || tail.accounts.get(&account).map_or((0, 0), |it| (it.last(), it.last_sequence()));
                let (last, previous) = heads.get(&account).copied().unwrap_or_else(of_tail);
                if version != last + 1 {
                    return Err(CommitError::Stale);
                }
                sequence += 1;
                heads.insert(account, (version, sequence));
                appender.append(sequence, previous, post).map_err(fault)?;
                posts.push((sequence, post));
            }
        }
        transaction.commit().map_err(fault)?;
        writer.sequence = sequence;
        let mut tail = self.tail.write().unwrap_or_else(PoisonError::into_inner);
        for (sequence, post) in posts {
            tail.push(sequence, &post.transaction, &post.book, [post.key, post.fact]);
        }
        Ok(())
    }

    fn recall(&self, names: &[NameHash], accounts: &[AccountNumber]) -> Result<Recalled, Fault> {
        let tail = self.tail();
        let named = names.iter().map(|it| tail.names.get(it).copied()).collect();
        let books = accounts.iter().map(|it| tail.accounts.get(it).map(|it| Arc::clone(&it.book))).collect();
        Ok(Recalled { named, books })
    }

    fn transaction(&self, place: Place) -> Result<Option<Arc<Transaction>>, Fault> {
        let sequence = self.tail().accounts.get(&place.account).and_then(|it| it.sequence(place.version));
        let found = sequence.map(|it| self.read(|file| journal::at(file, it))).transpose()?;
        Ok(found.map(|it| Arc::new(it.transaction)))
    }

    fn transactions(&self, account: AccountNumber, before: u64, limit: usize) -> Result<Vec<Arc<Transaction>>, Fault> {
        let newest = |it: &tail::Unfolded| it.sequence(it.last().min(before.checked_sub(1)?));
        let sequence = self.tail().accounts.get(&account).and_then(newest);
        self.read(|file| journal::back_from(file, sequence.unwrap_or(0), limit))
    }

    fn granting(&self, account: AccountNumber, before: u64, limit: usize) -> Result<Vec<Arc<Transaction>>, Fault> {
        self.read(|file| journal::granting(file, account, before, limit))
    }

    fn journal(&self, after: u64, each: &mut dyn FnMut(u64, Transaction)) -> Result<(), Fault> {
        self.read(|file| journal::after(file, after, &mut |it| each(it.sequence, it.transaction)))
    }

    fn journal_length(&self) -> Result<u64, Fault> {
        self.read(journal::length)
    }

    fn usage(&self, account: AccountNumber, from: Timestamp, to: Timestamp) -> Result<Vec<UsageRow>, Fault> {
        let tail = self.tail();
        let rows = tail.accounts.get(&account).into_iter().flat_map(|it| &it.usage);
        let inside = rows.filter(|(key, _)| from <= key.hour && key.hour < to);
        let mut rows: Vec<_> = inside.map(|(key, sum)| UsageRow { key: key.clone(), sum: sum.clone() }).collect();
        rows.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(rows)
    }

    fn due(&self, at: Timestamp, limit: usize) -> Result<Vec<AccountNumber>, Fault> {
        let tail = self.tail();
        Ok(tail.due.iter().take_while(|(when, _)| *when <= at).map(|(_, it)| *it).take(limit).collect())
    }

    fn account(&self, id: &Name) -> Result<Option<Account>, Fault> {
        self.read(|file| records::account(file, id))
    }
    fn account_numbered(&self, number: AccountNumber) -> Result<Option<Account>, Fault> {
        self.read(|file| records::account_numbered(file, number))
    }
    fn accounts(&self, after: Option<&Name>, limit: usize) -> Result<Vec<Account>, Fault> {
        self.read(|file| records::accounts(file, after, limit))
    }
    fn fingerprints_known(&self, fingerprints: &[[u8; 32]]) -> Result<Vec<bool>, Fault> {
        self.read(|file| records::fingerprints_known(file, fingerprints))
    }
    fn projects(&self, account: AccountNumber) -> Result<Vec<Project>, Fault> {
        self.read(|file| records::projects(file, account))
    }
    fn rate_cards(&self) -> Result<Vec<CardRecord>, Fault> {
        self.read(records::rate_cards)
    }
    fn api_keys(&self) -> Result<Vec<ApiKey>, Fault> {
        self.read(records::api_keys)
    }
    fn quote(&self, account: AccountNumber, id: &str) -> Result<Option<QuoteRecord>, Fault> {
        self.read(|file| records::quote(file, account, id))
    }
    fn reply(&self, key: NameHash) -> Result<Option<Reply>, Fault> {
        self.read(|file| records::reply(file, key))
    }
    fn audit(&self, before: u64, limit: usize) -> Result<Vec<(u64, Audit)>, Fault> {
        self.read(|file| records::audit(file, before, limit))
    }
}
