//! The journal, moved: transactions in the order the old store tells them, each with the book it leads to.
//!
//! Books are folded along the way. Those not at hand are asked of the new store, which has them as they were when the
//! last chunk was committed: so memory is bounded, and a move that goes on needs nothing else to begin with.
use std::collections::HashMap;
use std::sync::Arc;

use billing::id::AccountNumber;
use billing::ledger::{Book, Transaction};

use super::marker::Marker;
use super::{DOING, Movable, MoveError, Plan, Progress, refused};
use crate::verify::moved_on;
use crate::{Change, Fault, NameHash, Post};

/// Books kept at hand; beyond them all are let go, and those needed are asked for again.
const BOOKS_MAX: usize = 200_000;

struct Copier<'a> {
    to: &'a dyn Movable,
    plan: &'a Plan<'a>,
    marker: &'a mut Marker,
    books: HashMap<AccountNumber, Arc<Book>>,
    /// What is to be committed next, and the sequence number of its last.
    chunk: Vec<(Transaction, Option<NameHash>)>,
    sequence: u64,
}

/// Copies what is left of the journal.
pub fn copy(
    from: &dyn Movable,
    to: &dyn Movable,
    plan: &Plan<'_>,
    marker: &mut Marker,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), MoveError> {
    let Some(copied) = marker.copied() else { return Ok(()) };
    let of = Some(marker.length());
    let mut copier = Copier { to, plan, marker, books: HashMap::new(), chunk: Vec::new(), sequence: copied };
    let mut failed = None;
    let read = from.posts(copied, &mut |sequence, transaction, fact| {
        copier.chunk.push((transaction, fact));
        copier.sequence = sequence;
        if copier.chunk.len() < copier.plan.transactions_at_once {
            return Ok(());
        }
        progress(Progress { step: "transactions", done: sequence, of });
        copier.commit().map_err(|it| {
            failed = Some(it);
            Fault::new(DOING, "the target refused")
        })
    });
    if let Some(error) = failed {
        return Err(error);
    }
    read?;
    copier.commit()?;
    progress(Progress { step: "transactions", done: copier.sequence, of });
    Ok(())
}

impl Copier<'_> {
    fn commit(&mut self) -> Result<(), MoveError> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        self.find_books()?;
        let mut changes = Vec::with_capacity(self.chunk.len() + 1);
        for (transaction, fact) in std::mem::take(&mut self.chunk) {
            let place = transaction.place;
            let book = self.books.entry(place.account).or_insert_with(|| Arc::new(Book::open(place.account)));
            if !moved_on(book, &transaction) {
                return Err(refused(format!(
                    "the source is damaged: {place} does not follow from what is before it; run scrip verify",
                )));
            }
            let key = transaction.origin.key.as_deref().map(|it| NameHash::key(place.account, it));
            changes.push(Change::Post(Post { transaction: Arc::new(transaction), book: Arc::clone(book), key, fact }));
        }
        changes.push(self.marker.copied_to(self.sequence, self.plan.at));
        self.to.commit(&changes)?;
        if BOOKS_MAX < self.books.len() {
            self.books.clear();
        }
        Ok(())
    }

    /// Asks the new store for the books that are not at hand.
    fn find_books(&mut self) -> Result<(), Fault> {
        let mut missing: Vec<AccountNumber> = self.chunk.iter().map(|it| it.0.place.account).collect();
        missing.sort_unstable();
        missing.dedup();
        missing.retain(|it| !self.books.contains_key(it));
        if missing.is_empty() {
            return Ok(());
        }
        let found = self.to.recall(&[], &missing)?.books;
        self.books.extend(missing.into_iter().zip(found).filter_map(|(number, book)| Some((number, book?))));
        Ok(())
    }
}
