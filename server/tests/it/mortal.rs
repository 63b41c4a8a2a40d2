//! A store that dies: between a process and its store stands one that fails a chosen commit, before or after it took
//! effect, and every commit from then on, as if the process had died.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use billing::id::{AccountNumber, Name, Place};
use billing::ledger::{Book, Transaction};
use billing::time::Timestamp;
use store::{
    Account, ApiKey, Audit, CardRecord, Change, CommitError, Document, Fault, NameHash, Project, QuoteRecord, Recalled,
    Reply, Reserved, Store, UsageRow,
};

const NEVER: usize = usize::MAX;

/// How many commits were made, and which is the last.
#[derive(Debug)]
pub struct Doom {
    commits: AtomicUsize,
    dies_at: AtomicUsize,
    after_effect: bool,
}

impl Doom {
    fn commit(&self, commit: impl FnOnce() -> Result<(), CommitError>) -> Result<(), CommitError> {
        let number = self.commits.fetch_add(1, Ordering::SeqCst);
        let dies_at = self.dies_at.load(Ordering::SeqCst);
        if number < dies_at {
            return commit();
        }
        if number == dies_at && self.after_effect {
            commit()?;
        }
        Err(CommitError::Fault(Fault::new("committing", "the process has died")))
    }
    /// From here on, commit number `commit` is the last.
    pub fn seal(&self, commit: usize) {
        self.commits.store(0, Ordering::SeqCst);
        self.dies_at.store(commit, Ordering::SeqCst);
    }
    pub fn has_come(&self) -> bool {
        self.dies_at.load(Ordering::SeqCst) < self.commits.load(Ordering::SeqCst)
    }
}

/// A store whose commit number `dies_at` fails, and all after it.
pub struct Mortal {
    inner: Arc<dyn Store>,
    pub doom: Arc<Doom>,
}

impl Mortal {
    pub fn new(inner: Arc<dyn Store>, after_effect: bool) -> Mortal {
        let (commits, dies_at) = (AtomicUsize::new(0), AtomicUsize::new(NEVER));
        Mortal { inner, doom: Arc::new(Doom { commits, dies_at, after_effect }) }
    }
}

/// What was reserved of a store that dies.
struct Held {
    inner: Box<dyn Reserved>,
    doom: Arc<Doom>,
}

impl Reserved for Held {
    fn recalled(&mut self) -> Recalled {
        self.inner.recalled()
    }
    fn commit(self: Box<Self>, changes: &[Change]) -> Result<(), CommitError> {
        let Held { inner, doom } = *self;
        doom.commit(|| inner.commit(changes))
    }
    fn release(self: Box<Self>) {
        self.inner.release();
    }
}

impl Store for Mortal {
    fn commit(&self, changes: &[Change]) -> Result<(), CommitError> {
        self.doom.commit(|| self.inner.commit(changes))
    }
    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }
    fn committers(&self) -> usize {
        self.inner.committers()
    }
    fn reserve(
        &self,
        names: &[NameHash],
        accounts: &[(AccountNumber, Option<Arc<Book>>)],
    ) -> Result<Option<Box<dyn Reserved>>, Fault> {
        let held = self.inner.reserve(names, accounts)?;
        Ok(held.map(|inner| Box::new(Held { inner, doom: Arc::clone(&self.doom) }) as Box<dyn Reserved>))
    }
    fn recall(&self, names: &[NameHash], accounts: &[AccountNumber]) -> Result<Recalled, Fault> {
        self.inner.recall(names, accounts)
    }
    fn transaction(&self, place: Place) -> Result<Option<Arc<Transaction>>, Fault> {
        self.inner.transaction(place)
    }
    fn transactions(&self, it: AccountNumber, before: u64, limit: usize) -> Result<Vec<Arc<Transaction>>, Fault> {
        self.inner.transactions(it, before, limit)
    }
    fn granting(&self, it: AccountNumber, before: u64, limit: usize) -> Result<Vec<Arc<Transaction>>, Fault> {
        self.inner.granting(it, before, limit)
    }
    fn journal(&self, after: u64, each: &mut dyn FnMut(u64, Transaction)) -> Result<(), Fault> {
        self.inner.journal(after, each)
    }
    fn journal_length(&self) -> Result<u64, Fault> {
        self.inner.journal_length()
    }
    fn usage_as_of(&self, it: AccountNumber, from: Timestamp, to: Timestamp) -> Result<(u64, Vec<UsageRow>), Fault> {
        self.inner.usage_as_of(it, from, to)
    }
    fn due(&self, at: Timestamp, limit: usize) -> Result<Vec<AccountNumber>, Fault> {
        self.inner.due(at, limit)
    }
    fn account(&self, id: &Name) -> Result<Option<Account>, Fault> {
        self.inner.account(id)
    }
    fn account_numbered(&self, it: AccountNumber) -> Result<Option<Account>, Fault> {
        self.inner.account_numbered(it)
    }
    fn accounts(&self, after: Option<&Name>, limit: usize) -> Result<Vec<Account>, Fault> {
        self.inner.accounts(after, limit)
    }
    fn accounts_called(&self, beginning: &str, limit: usize) -> Result<Vec<Account>, Fault> {
        self.inner.accounts_called(beginning, limit)
    }
    fn fingerprints_known(&self, fingerprints: &[[u8; 32]]) -> Result<Vec<bool>, Fault> {
        self.inner.fingerprints_known(fingerprints)
    }
    fn projects(&self, it: AccountNumber) -> Result<Vec<Project>, Fault> {
        self.inner.projects(it)
    }
    fn rate_cards(&self) -> Result<Vec<CardRecord>, Fault> {
        self.inner.rate_cards()
    }
    fn api_keys(&self) -> Result<Vec<ApiKey>, Fault> {
        self.inner.api_keys()
    }
    fn quote(&self, it: AccountNumber, id: &str) -> Result<Option<QuoteRecord>, Fault> {
        self.inner.quote(it, id)
    }
    fn document(&self, it: AccountNumber, kind: &str, id: &str) -> Result<Option<Document>, Fault> {
        self.inner.document(it, kind, id)
    }
    fn documents(&self, it: AccountNumber, kind: &str, to: Option<&str>, max: usize) -> Result<Vec<Document>, Fault> {
        self.inner.documents(it, kind, to, max)
    }
    fn documents_due(&self, at: Timestamp, limit: usize) -> Result<Vec<Document>, Fault> {
        self.inner.documents_due(at, limit)
    }
    fn payments(&self, before: Timestamp, limit: usize) -> Result<Vec<Document>, Fault> {
        self.inner.payments(before, limit)
    }
    fn reply(&self, key: NameHash) -> Result<Option<Reply>, Fault> {
        self.inner.reply(key)
    }
    fn audit(&self, before: u64, limit: usize) -> Result<Vec<(u64, Audit)>, Fault> {
        self.inner.audit(before, limit)
    }
}
