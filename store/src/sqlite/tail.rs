//! The journal's tail: what has been committed and not yet folded, in memory, found every way the port can ask.
//!
//! It holds no transactions, only where they are: they are read from the journal itself. Invariant: an account's
//! sequences belong to consecutive versions, and its book is the book after the last of them.
use std::collections::BTreeSet;
use std::hint::black_box;
use std::sync::Arc;

use billing::id::{AccountNumber, Place};
use billing::ledger::Book;
use billing::time::Timestamp;
use billing::usage::{UsageKey, UsageSum};

use super::spread::SpreadMap;
use super::uses::{Summed, Sums, Use, Uses};
use crate::{NameHash, Post};

/// Accounts whose memory is waited for together: as many as the nearest memory holds.
const LOOKED_AT: usize = 32;
/// An account with so many transactions has them added up as they come: whoever reads its usage has as many sums to
/// look at as there are hours and kinds of use, however many transactions those are of.
const ADDED_UP: usize = 256;

#[derive(Default)]
pub struct Tail {
    pub accounts: SpreadMap<AccountNumber, Unfolded>,
    /// The sequence each name stands for.
    pub names: SpreadMap<NameHash, u64>,
    /// When the books of `accounts` have something due, those that ever do.
    pub due: BTreeSet<(Timestamp, AccountNumber)>,
    /// What its transactions add to usage, in their order; nothing of a tail that is read again.
    uses: Uses,
    /// Transactions in it.
    pub length: usize,
    /// Sequence of the last of them.
    pub last: u64,
    /// Read again after a restart: what its transactions come to is not known yet.
    pub is_unread: bool,
}

/// One account's part of the tail.
pub struct Unfolded {
    /// Version of the first transaction in `sequences`.
    pub first: u64,
    /// Where its transactions are in the journal, by version.
    pub sequences: Vec<u64>,
    /// The book after them. None after a restart, until somebody asks: then the journal is read again.
    pub book: Option<Arc<Book>>,
    /// Of an account with many transactions here: what they add to usage.
    pub sums: Option<Box<Sums>>,
}

/// A transaction's place in its account, as the next one must know it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Head {
    pub version: u64,
    pub sequence: u64,
}

impl Unfolded {
    pub fn head(&self) -> Head {
        let sequence = *self.sequences.last().expect("an account in the tail has a transaction there");
        Head { version: self.first + self.sequences.len() as u64 - 1, sequence }
    }
    /// The sequence of `version`, if it is here.
    pub fn sequence(&self, version: u64) -> Option<u64> {
        let place = usize::try_from(version.checked_sub(self.first)?).ok()?;
        self.sequences.get(place).copied()
    }
    pub fn new(version: u64) -> Unfolded {
        Unfolded { first: version, sequences: Vec::new(), book: None, sums: None }
    }
    fn push(&mut self, sequence: u64, version: u64) {
        assert_eq!(version, self.first + self.sequences.len() as u64, "versions are consecutive");
        self.sequences.push(sequence);
    }
}

impl Tail {
    /// An empty one with room for as much as this has: growing would move everything, time and again.
    pub fn emptied(&mut self) -> Tail {
        let mut next = Tail::default();
        next.accounts.reserve(self.accounts.len());
        next.names.reserve(self.names.len());
        next.uses.reserve_as(&self.uses);
        std::mem::replace(self, next)
    }

    /// Takes in transactions that have been committed. One thing after the other for all of them: each waits for memory
    /// of its own, and the processor waits for that of many at once.
    pub fn push_all(&mut self, posts: &[(u64, &Post)]) {
        for (sequence, post) in posts {
            for name in [post.key, post.fact].into_iter().flatten() {
                self.names.insert(name, *sequence);
            }
        }
        for some in posts.chunks(LOOKED_AT) {
            some.iter().for_each(|(_, post)| post.transaction.look_at());
            for (sequence, post) in some {
                self.count(*sequence);
                self.uses.push(&post.transaction);
            }
        }
        for some in posts.chunks(LOOKED_AT) {
            some.iter().for_each(|(_, post)| self.look_at(post.transaction.place.account));
            some.iter().for_each(|(sequence, post)| self.push(*sequence, post));
        }
    }

    fn look_at(&self, account: AccountNumber) {
        let Some(unfolded) = self.accounts.get(&account) else { return };
        let Some(book) = &unfolded.book else { return };
        book.look_at();
        black_box(unfolded.sequences.last());
    }

    /// Moves the account on. Its book is kept here, changed in place: to take the one it was decided on would keep the
    /// turnstile from doing the same.
    fn push(&mut self, sequence: u64, post: &Post) {
        let Place { account, version } = post.transaction.place;
        let first = self.first();
        let after = post.book.due_at();
        let Some(unfolded) = self.accounts.get_mut(&account) else {
            let (sequences, book) = (vec![sequence], Some(Arc::clone(&post.book)));
            self.accounts.insert(account, Unfolded { sequences, book, ..Unfolded::new(version) });
            if after < Timestamp::NEVER {
                self.due.insert((after, account));
            }
            return;
        };
        unfolded.push(sequence, version);
        let book = Arc::make_mut(unfolded.book.as_mut().expect("only a tail that is read again does not know"));
        let before = book.due_at();
        book.apply(&post.transaction);
        assert_eq!(book.due_at(), after, "a book is the fold of its transactions");
        if before != after {
            self.due.remove(&(before, account));
            if after < Timestamp::NEVER {
                self.due.insert((after, account));
            }
        }
        if !self.is_unread {
            let new = match &unfolded.sums {
                Some(_) => unfolded.sequences.len() - 1,
                None if ADDED_UP <= unfolded.sequences.len() => 0,
                None => return,
            };
            self.uses.add_up(unfolded.sums.get_or_insert_default(), places(&unfolded.sequences[new..], first));
        }
    }

    /// What an account's part of it adds to usage, hours from `from` and before `to`.
    pub fn uses_between(&self, part: &Unfolded, from: Timestamp, to: Timestamp) -> Uses {
        let mut found = Uses::default();
        found.push_some(&self.uses, self.uses_of(part).into_iter().filter(|it| it.is_in(from, to)));
        found
    }
    /// All that it adds, by key.
    pub fn usage(&self, part: &Unfolded) -> Vec<(UsageKey, UsageSum)> {
        let mut found = Uses::default();
        found.push_some(&self.uses, self.uses_of(part).into_iter());
        found.into_rows()
    }
    /// The same, told one after the other, by hour.
    pub fn each_usage<E>(&self, part: &Unfolded, mut each: impl FnMut(&Summed<'_>) -> Result<(), E>) -> Result<(), E> {
        self.uses.each_sum(self.uses_of(part), |sum, _| each(sum))
    }
    fn uses_of(&self, part: &Unfolded) -> Vec<Use> {
        assert!(!self.is_unread, "what is read again is not known here");
        match &part.sums {
            Some(sums) => sums.uses.clone(),
            None => self.uses.at(places(&part.sequences, self.first())).collect(),
        }
    }
    /// Sequence of the first transaction in it.
    fn first(&self) -> u64 {
        self.last + 1 - self.length as u64
    }

    /// Takes in a transaction found in the journal after a restart.
    pub fn push_unread(&mut self, sequence: u64, place: Place, names: [Option<NameHash>; 2]) {
        for name in names.into_iter().flatten() {
            self.names.insert(name, sequence);
        }
        self.count(sequence);
        self.is_unread = true;
        let start = || Unfolded::new(place.version);
        self.accounts.entry(place.account).or_insert_with(start).push(sequence, place.version);
    }

    /// Whether it has transactions up to `sequence`.
    pub fn reaches_back_to(&self, sequence: u64) -> bool {
        self.length != 0 && self.last - (self.length as u64) < sequence
    }

    fn count(&mut self, sequence: u64) {
        assert!(self.length == 0 || self.last + 1 == sequence, "the tail is in the journal's order, without gaps");
        self.last = sequence;
        self.length += 1;
    }
}

/// Where in a tail that begins with `first` these are.
fn places(sequences: &[u64], first: u64) -> impl Iterator<Item = usize> {
    sequences.iter().map(move |it| usize::try_from(it - first).expect("it is in memory"))
}
