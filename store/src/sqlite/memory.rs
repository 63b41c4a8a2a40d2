//! What is held in memory: the tail, the books lately used, the filters of the name index.
//!
//! Its size depends on options, never on how many transactions or accounts there are, but for the filters, which take
//! 1.5 bytes a name. Invariant: what is known here of an account is at least as new as what the derived file says.
use std::sync::Arc;

use billing::id::AccountNumber;
use billing::ledger::Book;

use super::names::{Run, Runs};
use super::spread::SpreadMap;
use super::tail::{Head, Tail, Unfolded};

pub struct Memory {
    /// What was committed since the last fold began.
    pub live: Tail,
    /// What is being folded.
    pub frozen: Option<Arc<Tail>>,
    pub runs: Runs,
    pub books: Kept<(Arc<Book>, u64)>,
    /// Folds done: whoever reads the derived file can tell whether what was read may be outdated.
    pub folds: u64,
}

impl Memory {
    pub fn new(runs: Runs, books_max: usize) -> Memory {
        Memory { live: Tail::default(), frozen: None, runs, books: Kept::new(books_max), folds: 0 }
    }

    /// An account's parts of the tails, newest first.
    pub fn parts(&self, account: AccountNumber) -> impl Iterator<Item = (&Tail, &Unfolded)> {
        let tails = [Some(&self.live), self.frozen.as_deref()];
        tails.into_iter().flatten().filter_map(move |it| Some((it, it.accounts.get(&account)?)))
    }
    pub fn unfolded(&self, account: AccountNumber) -> impl Iterator<Item = &Unfolded> {
        self.parts(account).map(|it| it.1)
    }

    /// The last of an account's transactions, if that can be told without asking the derived file.
    pub fn head(&self, account: AccountNumber) -> Option<Head> {
        let in_tail = self.unfolded(account).next().map(Unfolded::head);
        let of_book = |(book, sequence): &(Arc<Book>, u64)| Head { version: book.version, sequence: *sequence };
        in_tail.or_else(|| self.books.get(account).map(of_book))
    }

    /// An account's book, if it is here.
    pub fn book(&self, account: AccountNumber) -> Option<&Arc<Book>> {
        match self.unfolded(account).next() {
            Some(unfolded) => unfolded.book.as_ref(),
            None => self.books.get(account).map(|it| &it.0),
        }
    }

    /// Keeps a book that was read while there had been `folds` folds, unless it may be outdated since. What must be
    /// forgotten for it is returned, to be dropped when nobody waits.
    pub fn keep(&mut self, book: Arc<Book>, sequence: u64, folds: u64) -> Option<Generation<(Arc<Book>, u64)>> {
        let is_newest = self.unfolded(book.account).next().is_none_or(|it| it.head().version == book.version);
        if self.folds != folds || !is_newest {
            return None;
        }
        self.books.insert(book.account, (book, sequence));
        self.books.forget_some()
    }

    /// Lists `new` instead of `old` ones.
    pub fn replace_runs(&mut self, new: Run, old: &[Arc<Run>]) {
        let left = self.runs.iter().filter(|run| !old.iter().any(|it| it.number == run.number));
        self.runs = Arc::new(left.cloned().chain([Arc::new(new)]).collect());
    }
}

pub type Generation<T> = SpreadMap<AccountNumber, T>;

/// What is lately used of accounts. Two generations, and no list of uses: when the young one is full it becomes the old
/// one, and what was old and not used again is forgotten.
pub struct Kept<T> {
    young: Generation<T>,
    old: Generation<T>,
    generation_max: usize,
}

impl<T> Kept<T> {
    /// At most so many, and what is put in before some are forgotten.
    pub fn new(most: usize) -> Kept<T> {
        Kept { young: Generation::default(), old: Generation::default(), generation_max: most / 2 + 1 }
    }
    pub fn get(&self, account: AccountNumber) -> Option<&T> {
        self.young.get(&account).or_else(|| self.old.get(&account))
    }
    pub fn insert(&mut self, account: AccountNumber, it: T) {
        self.young.insert(account, it);
    }
    /// Forgets what was not used for long, where there is much. It is returned, to be dropped when nobody waits.
    pub fn forget_some(&mut self) -> Option<Generation<T>> {
        if self.young.len() < self.generation_max {
            return None;
        }
        Some(std::mem::replace(&mut self.old, std::mem::take(&mut self.young)))
    }
    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}
