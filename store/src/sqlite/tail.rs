//! The journal's tail: what has been committed and not yet folded, in memory, found every way the port can ask.
//!
//! It holds no transactions, only where they are: they are read from the journal itself. Invariant: an account's
//! sequences belong to consecutive versions, and its book, where it is known, is the book after the last of them.
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use billing::id::{AccountNumber, Place};
use billing::ledger::{Book, Transaction};
use billing::time::Timestamp;
use billing::usage::{UsageKey, UsageSum};

use crate::NameHash;

#[derive(Default)]
pub struct Tail {
    pub accounts: HashMap<AccountNumber, Unfolded>,
    pub names: HashMap<NameHash, Place>,
    /// When the books of `accounts` have something due, those that ever do.
    pub due: BTreeSet<(Timestamp, AccountNumber)>,
    /// Transactions in it.
    pub length: usize,
}

/// One account's part of the tail.
pub struct Unfolded {
    /// Version of the first transaction in `sequences`.
    pub first: u64,
    /// Where its transactions are in the journal, by version.
    pub sequences: Vec<u64>,
    pub book: Arc<Book>,
    /// What they add to its usage.
    pub usage: Vec<(UsageKey, UsageSum)>,
}

impl Unfolded {
    pub fn last(&self) -> u64 {
        self.first + self.sequences.len() as u64 - 1
    }
    pub fn last_sequence(&self) -> u64 {
        *self.sequences.last().expect("an account in the tail has a transaction there")
    }
    /// The sequence of `version`, if it is here.
    pub fn sequence(&self, version: u64) -> Option<u64> {
        let place = usize::try_from(version.checked_sub(self.first)?).ok()?;
        self.sequences.get(place).copied()
    }

    fn add_usage(&mut self, transaction: &Transaction) {
        let Some((key, sum)) = transaction.usage() else { return };
        match self.usage.iter_mut().find(|(it, _)| *it == key) {
            Some((_, total)) => total.add(&sum),
            None => self.usage.push((key, sum)),
        }
    }
}

impl Tail {
    pub fn push(&mut self, sequence: u64, transaction: &Transaction, book: &Arc<Book>, names: [Option<NameHash>; 2]) {
        let place = transaction.place;
        assert_eq!(book.version, place.version, "a book comes with the transaction it ends in");
        for name in names.into_iter().flatten() {
            self.names.entry(name).or_insert(place);
        }
        self.length += 1;
        let account = self.accounts.entry(place.account).or_insert_with(|| Unfolded {
            first: place.version,
            sequences: Vec::new(),
            book: Arc::clone(book),
            usage: Vec::new(),
        });
        assert_eq!(place.version, account.first + account.sequences.len() as u64, "versions are consecutive");
        let (before, after) = (account.book.due_at(), book.due_at());
        if before != after || account.sequences.is_empty() {
            self.due.remove(&(before, place.account));
            if after < Timestamp::NEVER {
                self.due.insert((after, place.account));
            }
        }
        account.sequences.push(sequence);
        account.book = Arc::clone(book);
        account.add_usage(transaction);
    }
}
