//! Folding: the tail is written to the derived file in the order of its keys, so that each page is written once for
//! many transactions.
//!
//! It runs beside commits, on a file and a thread of its own: a commit waits for it only when the tail would grow
//! beyond its bound. It is made of slices, each a transaction that leaves every account either as it was or folded to
//! the tail's end; the version of an account's book says which. So a fold may stop between any two slices, and be done
//! again from the start: what is folded already is passed over.
use std::sync::Arc;

use billing::id::AccountNumber;
use billing::ledger::Book;
use billing::usage::{UsageKey, UsageSum};
use rusqlite::Connection;

use super::derived::{self, MILESTONE};
use super::hours;
use super::journal::{self, JournalFile};
use super::names::{self, RunWriter};
use super::shared::Shared;
use super::standing;
use super::tail::{Head, Tail, Unfolded};
use super::uses::Uses;
use crate::Fault;

/// Names in a slice: 64 blocks.
const SLICE_NAMES: usize = 16_128;

/// What an account's part of a tail comes to.
pub struct Known {
    pub book: Arc<Book>,
    /// What the transactions add to the account's usage.
    pub uses: Uses,
}

/// Folds all of `tail`, which is `shared`'s frozen one or is not known to anybody yet.
pub fn fold(shared: &Shared, journal: &JournalFile, tail: &Tail) -> Result<(), Fault> {
    let mut accounts: Vec<(AccountNumber, &Unfolded)> = tail.accounts.iter().map(|(it, part)| (*it, part)).collect();
    accounts.sort_unstable_by_key(|(it, _)| *it);
    let run = shared.next_run();
    let mut usage = hours::RunWriter::new(run);
    for slice in accounts.chunks(shared.options.slice_accounts) {
        let books = shared.slice(|file| {
            let mut books = Vec::with_capacity(slice.len());
            for (account, part) in slice {
                books.push((fold_account(file, journal, (tail, *account, part), &mut usage)?, part.head().sequence));
            }
            usage.flush(file)?;
            Ok(books)
        })?;
        let mut forgotten = Vec::new();
        let mut memory = shared.memory_mut();
        for (book, sequence) in books {
            memory.books.insert(book.account, (book, sequence));
            forgotten.extend(memory.books.forget_some());
        }
        drop(memory);
        shared.rest();
    }
    fold_names(shared, tail, run, usage)
}

/// Folds one account, unless that was done, and returns its book.
fn fold_account(
    file: &Connection,
    journal: &JournalFile,
    (tail, account, part): (&Tail, AccountNumber, &Unfolded),
    usage: &mut hours::RunWriter,
) -> Result<Arc<Book>, Fault> {
    let Head { version: last, sequence } = part.head();
    let is_moved = match &part.book {
        Some(book) => derived::move_book(file, book, part.first - 1, sequence)?,
        None => false,
    };
    let before = if is_moved { None } else { derived::head(file, account)? };
    let folded = if is_moved { part.first - 1 } else { before.map_or(0, |(head, _)| head.version) };
    if last <= folded {
        return Ok(match &part.book {
            Some(book) => Arc::clone(book),
            None => read(file, journal, account, part)?.book,
        });
    }
    assert!(part.book.is_none() || folded + 1 == part.first, "nothing of {account} is skipped or folded twice");
    let book = match &part.book {
        // Few rows, as most have: nothing is made of them on the way.
        Some(book) if part.sequences.len() < standing::ROWS_MIN => {
            tail.each_usage(part, |sum| usage.push(file, account, sum))?;
            Arc::clone(book)
        }
        Some(book) => {
            fold_usage(file, account, &tail.usage(part), usage)?;
            Arc::clone(book)
        }
        None => {
            let known = read(file, journal, account, part)?;
            fold_usage(file, account, &known.uses.into_rows(), usage)?;
            known.book
        }
    };
    let first = part.first.max(folded + 1);
    for version in (first..=last).filter(|it| it % MILESTONE == 0) {
        let sequence = part.sequence(version).expect("it is between the first and the last");
        derived::put_milestone(file, account, Head { version, sequence })?;
    }
    assert_eq!(book.version, last, "the book is the one after the last transaction");
    derived::put_terms(file, &book, folded)?;
    if !is_moved {
        derived::put_book(file, &book, sequence, before)?;
    }
    Ok(book)
}

fn fold_usage(
    file: &Connection,
    account: AccountNumber,
    rows: &[(UsageKey, UsageSum)],
    run: &mut hours::RunWriter,
) -> Result<(), Fault> {
    if standing::add(file, account, rows)? { Ok(()) } else { hours::push_all(file, run, account, rows) }
}

/// What an account's part of the tail comes to beyond what is folded, read from the journal.
pub fn read(file: &Connection, journal: &JournalFile, account: AccountNumber, part: &Unfolded) -> Result<Known, Fault> {
    let mut book = derived::book(file, journal, account)?.map_or_else(|| Book::open(account), |(book, _)| book);
    let mut uses = Uses::default();
    for version in book.version + 1..=part.head().version {
        let sequence = part.sequence(version).expect("the derived file is not behind the tail");
        let transaction = journal::at(journal, sequence)?.transaction;
        book.apply(&transaction);
        uses.push(&transaction);
    }
    Ok(Known { book: Arc::new(book), uses })
}

/// Writes the tail's names as a run, and with its end the word that everything is folded.
fn fold_names(shared: &Shared, tail: &Tail, run: u64, mut usage: hours::RunWriter) -> Result<(), Fault> {
    let mut names: Vec<(u64, u64)> = tail.names.iter().map(|(name, it)| (names::prefix(*name), *it)).collect();
    names.sort_unstable();
    let mut writer = RunWriter::new(run, 0, names.len() as u64);
    for slice in names.chunks(SLICE_NAMES) {
        shared.slice(|file| slice.iter().try_for_each(|it| writer.push(file, *it)))?;
    }
    let run = shared.slice(|file| {
        derived::set_folded(file, tail.last)?;
        usage.end(file)?;
        if names.is_empty() { Ok(None) } else { writer.finish(file, &[]).map(Some) }
    })?;
    if let Some(run) = run {
        shared.memory_mut().replace_runs(run, &[]);
    }
    Ok(())
}
