//! Books at hand, bounded: those used lately stay, those not used for a while go.
//!
//! Two generations, so that keeping one costs no more than finding it: a book that is used moves to the young; when the
//! young are many the old are dropped and the young become the old. A dropped book is read again from the store, and is
//! the same: having one at hand affects cost, never meaning.
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::mem;
use std::sync::Arc;

use billing::id::AccountNumber;
use billing::ledger::Book;

/// Books in one generation: with a few grants each, about a hundred megabytes for both.
const GENERATION_MAX: usize = 150_000;

/// Account numbers are random already.
#[derive(Default)]
pub struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        // The table takes its buckets from the low bits and its tags from the high ones; numbers have 48.
        self.0 | self.0 << 48
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("an account number hashes as one integer")
    }
    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

type Generation = HashMap<AccountNumber, Arc<Book>, BuildHasherDefault<AsItIs>>;

#[derive(Default)]
pub struct Books {
    young: Generation,
    old: Generation,
    /// Breaks of the store's history before these were read.
    breaks: u64,
}

impl Books {
    pub fn contains(&self, account: AccountNumber) -> bool {
        self.young.contains_key(&account) || self.old.contains_key(&account)
    }

    /// Whether the account's book is here. Looks at what a decision will look at, so that the memory of many books is
    /// waited for at once.
    pub fn look_at(&self, account: AccountNumber) -> bool {
        let Some(book) = self.young.get(&account).or_else(|| self.old.get(&account)) else { return false };
        book.look_at();
        true
    }

    pub fn get(&mut self, account: AccountNumber) -> Option<&mut Arc<Book>> {
        if !self.young.contains_key(&account)
            && let Some(book) = self.old.remove(&account)
        {
            self.keep(account, book);
        }
        self.young.get_mut(&account)
    }

    pub fn keep(&mut self, account: AccountNumber, book: Arc<Book>) {
        if GENERATION_MAX <= self.young.len() {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(account, book);
    }

    pub fn drop(&mut self, account: AccountNumber) {
        self.young.remove(&account);
        self.old.remove(&account);
    }

    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }

    /// Whether these are of the history that has broken so often. Those of another go: in this one, other transactions
    /// may have brought an account to the same version.
    pub fn keep_up(&mut self, breaks: u64) -> bool {
        let are_of_it = self.breaks == breaks;
        if !are_of_it {
            self.clear();
            self.breaks = breaks;
        }
        are_of_it
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn books_in_use_outlive_those_that_are_not() {
        let mut books = Books::default();
        let number = |n: usize| AccountNumber::from_random(n as u64);
        let favourite = number(0);
        books.keep(favourite, Arc::new(Book::open(favourite)));
        for n in 1..=3 * GENERATION_MAX {
            books.keep(number(n), Arc::new(Book::open(number(n))));
            if n % 1000 == 0 {
                assert!(books.get(favourite).is_some());
            }
        }
        assert!(!books.contains(number(1)));
        assert!(books.young.len() + books.old.len() <= 2 * GENERATION_MAX);
    }
}
