//! A store that dies: between a process and its store stands one that fails a chosen commit, before or after it took
//! effect, and every commit from then on, as if the process had died.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use billing::id::AccountNumber;
use billing::ledger::Book;
use store::{Change, CommitError, Fault, Grip, NameHash, Recalled, Reserved, Store};

use crate::forwarded::forwarded;

const NEVER: usize = usize::MAX;

/// How many commits were made, and which is the last.
#[derive(Debug)]
pub struct Doom {
    commits: AtomicUsize,
    dies_at: AtomicUsize,
    after_effect: bool,
}

impl Doom {
    fn commit<T>(&self, commit: impl FnOnce() -> Result<T, CommitError>) -> Result<T, CommitError> {
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

/// A store whose commits fail from a chosen one on.
pub struct Mortal<S: ?Sized> {
    pub inner: Arc<S>,
    pub doom: Arc<Doom>,
}

impl<S: ?Sized> Mortal<S> {
    /// One that lives until its doom is sealed.
    pub fn new(inner: Arc<S>, after_effect: bool) -> Mortal<S> {
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
    fn is_sure(&self) -> bool {
        self.inner.is_sure()
    }
    fn recalled(&mut self) -> Recalled {
        self.inner.recalled()
    }
    fn commit(self: Box<Self>, changes: &[Change]) -> Result<Vec<AccountNumber>, CommitError> {
        let Held { inner, doom } = *self;
        doom.commit(|| inner.commit(changes))
    }
    fn release(self: Box<Self>) {
        self.inner.release();
    }
}

impl<S: Store + ?Sized> Store for Mortal<S> {
    fn commit(&self, changes: &[Change]) -> Result<(), CommitError> {
        self.doom.commit(|| self.inner.commit(changes))
    }
    fn reserve(
        &self,
        grip: Grip,
        names: &[NameHash],
        accounts: &[(AccountNumber, Option<Arc<Book>>)],
    ) -> Result<Option<Box<dyn Reserved>>, Fault> {
        let held = self.inner.reserve(grip, names, accounts)?;
        Ok(held.map(|inner| Box::new(Held { inner, doom: Arc::clone(&self.doom) }) as Box<dyn Reserved>))
    }
    forwarded!();
}
