//! Reads: the derived file, the tail in memory and the journal, answering as one.
//!
//! Memory is always asked before the derived file. What was in the tail then may be in the file a moment later, never
//! the other way round: so nothing is missed, and what might be counted twice is told apart by its version.
use std::collections::BTreeSet;
use std::sync::Arc;

use billing::id::{AccountNumber, Place};
use billing::ledger::{Book, Transaction};
use billing::time::Timestamp;

use super::hours;
use super::names;
use super::shared::{Reader, Shared};
use super::tail::{Head, Tail, Unfolded};
use super::uses::Uses;
use super::{derived, fold, journal};
use crate::{Fault, NameHash, Recalled, UsageRow};

pub fn recall(shared: &Shared, names: &[NameHash], accounts: &[AccountNumber]) -> Result<Recalled, Fault> {
    let memory = shared.memory();
    let books: Vec<Option<Arc<Book>>> = accounts.iter().map(|it| memory.book(*it).cloned()).collect();
    drop(memory);
    let named = places(shared, names)?;
    let mut recalled = Recalled { named, books };
    for (account, book) in accounts.iter().zip(&mut recalled.books) {
        if book.is_none() {
            *book = read_book(shared, *account)?;
        }
    }
    Ok(recalled)
}

/// Reads a book that is not in memory, and keeps it there.
fn read_book(shared: &Shared, account: AccountNumber) -> Result<Option<Arc<Book>>, Fault> {
    let memory = shared.memory();
    let folds = memory.folds;
    let unread = memory.unfolded(account).next().map(|it| match &it.book {
        Some(book) => Ok(Arc::clone(book)),
        None => Err(Unfolded { sequences: it.sequences.clone(), ..Unfolded::new(it.first) }),
    });
    drop(memory);
    let found = shared.read(|reader| match unread {
        Some(Ok(book)) => Ok(Some((book, None))),
        Some(Err(part)) => {
            let known = fold::read(&reader.derived, &reader.journal, account, &part)?;
            Ok(Some((known.book, Some(part.head().sequence))))
        }
        None => {
            let found = derived::book(&reader.derived, &reader.journal, account)?;
            Ok(found.map(|(book, sequence)| (Arc::new(book), Some(sequence))))
        }
    })?;
    let Some((book, read)) = found else { return Ok(None) };
    if let Some(sequence) = read {
        let forgotten = shared.memory_mut().keep(Arc::clone(&book), sequence, folds);
        drop(forgotten);
    }
    Ok(Some(book))
}

/// The transaction each name stands for.
fn places(shared: &Shared, wanted: &[NameHash]) -> Result<Vec<Option<Place>>, Fault> {
    let memory = shared.memory();
    let tails = || [Some(&memory.live), memory.frozen.as_deref()].into_iter().flatten();
    let in_tail: Vec<Option<u64>> =
        wanted.iter().map(|name| tails().find_map(|it| it.names.get(name).copied())).collect();
    let runs = Arc::clone(&memory.runs);
    drop(memory);
    let mut places = vec![None; wanted.len()];
    for ((name, sequence), place) in wanted.iter().zip(in_tail).zip(&mut places) {
        let prefix = names::prefix(*name);
        if let Some(sequence) = sequence {
            *place = Some(shared.read(|reader| journal::named(&reader.journal.file, sequence))?.0);
        } else if runs.iter().any(|it| it.may_have(prefix)) {
            *place = shared.read(|reader| folded_place(shared, reader, *name))?;
        }
    }
    Ok(places)
}

/// The transaction a name stands for, among those whose names are folded.
fn folded_place(shared: &Shared, reader: &Reader, name: NameHash) -> Result<Option<Place>, Fault> {
    let prefix = names::prefix(name);
    // A run is merged away once in many seconds: that it happens between two lines here, twice in a row, is not to be
    // expected, and a hundred times is a bug.
    for _ in 0..100 {
        let runs = Arc::clone(&shared.memory().runs);
        let found = runs.iter().rev().filter(|it| it.may_have(prefix)).map(|it| it.find(&reader.derived, prefix));
        let mut vanished = false;
        for sequences in found {
            let Ok(sequences) = sequences? else {
                vanished = true;
                break;
            };
            for sequence in sequences {
                let (place, names) = journal::named(&reader.journal.file, sequence)?;
                if names.contains(&Some(name)) {
                    return Ok(Some(place));
                }
            }
        }
        if !vanished {
            return Ok(None);
        }
    }
    Err(Fault::new("using the name index", "its runs change faster than they can be read"))
}

pub fn transaction(shared: &Shared, place: Place) -> Result<Option<Arc<Transaction>>, Fault> {
    let Some(sequence) = locate(shared, place)? else { return Ok(None) };
    let written = shared.read(|reader| journal::at(&reader.journal, sequence))?;
    assert_eq!(written.transaction.place, place, "what was found is what was looked for");
    Ok(Some(Arc::new(written.transaction)))
}

pub fn transactions(
    shared: &Shared,
    account: AccountNumber,
    before: u64,
    limit: usize,
) -> Result<Vec<Arc<Transaction>>, Fault> {
    let head = shared.memory().head(account);
    let head = match head {
        Some(head) => head,
        None => shared.read(|it| derived::head(&it.derived, account))?.map_or_else(Head::default, |(head, _)| head),
    };
    let version = head.version.min(before.saturating_sub(1));
    let Some(sequence) = locate(shared, Place { account, version })? else { return Ok(Vec::new()) };
    shared.read(|reader| journal::back_from(&reader.journal, sequence, limit))
}

/// The sequence of the transaction at `place`.
fn locate(shared: &Shared, place: Place) -> Result<Option<u64>, Fault> {
    let Place { account, version } = place;
    if version == 0 {
        return Ok(None);
    }
    let memory = shared.memory();
    let found = memory.unfolded(account).find_map(|it| it.sequence(version));
    let tail_start = memory.unfolded(account).last().map(|it| Head { version: it.first, sequence: it.sequences[0] });
    drop(memory);
    if found.is_some() {
        return Ok(found);
    }
    shared.read(|reader| {
        let from = match derived::milestone(&reader.derived, account, version)? {
            Some(milestone) => Some(milestone),
            None => match tail_start {
                Some(start) => Some(start),
                None => derived::head(&reader.derived, account)?.map(|(head, _)| head),
            },
        };
        let later = from.filter(|it| version <= it.version);
        later.map(|it| journal::walk(&reader.journal.file, it, version)).transpose()
    })
}

/// An account's part of the tail as `usage` needs it, taken while nobody could change it.
struct Part {
    first: u64,
    last: u64,
    /// What the part adds within the range, or the part itself when that has to be read again.
    uses: Result<Uses, Unfolded>,
}

pub fn usage(
    shared: &Shared,
    account: AccountNumber,
    from: Timestamp,
    to: Timestamp,
) -> Result<(u64, Vec<UsageRow>), Fault> {
    let part = |(tail, it): (&Tail, &Unfolded)| Part {
        first: it.first,
        last: it.head().version,
        uses: match tail.is_unread {
            false => Ok(tail.uses_between(it, from, to)),
            true => Err(Unfolded { sequences: it.sequences.clone(), ..Unfolded::new(it.first) }),
        },
    };
    let parts: Vec<Part> = shared.memory().parts(account).map(part).collect();
    shared.read(|reader| {
        // One snapshot: the book's version says which parts of the tail the rows beside it have in them.
        let snapshot = reader.derived.unchecked_transaction().map_err(|it| Fault::new("reading usage", it))?;
        let folded = derived::head(&snapshot, account)?.map_or(0, |(head, _)| head.version);
        let version = parts.iter().map(|it| it.last).fold(folded, u64::max);
        let mut total = Uses::default();
        for part in parts.into_iter().filter(|it| folded < it.last) {
            let uses = match part.uses {
                Ok(uses) => {
                    assert!(folded < part.first, "a part of the tail is folded whole");
                    uses
                }
                Err(unread) => fold::read(&snapshot, &reader.journal, account, &unread)?.uses,
            };
            total.push_between(uses, from, to);
        }
        hours::add_usage_to(&mut total, &snapshot, account, (from, to))?;
        Ok((version, total.into_rows().into_iter().map(|(key, sum)| UsageRow { key, sum }).collect()))
    })
}

pub fn due(shared: &Shared, at: Timestamp, limit: usize) -> Result<Vec<AccountNumber>, Fault> {
    // After a restart the books of the tail are not known. They are being folded, and whoever asks what is due can
    // wait.
    shared.await_fold(|memory| memory.frozen.as_ref().is_none_or(|it| !it.is_unread))?;
    loop {
        let mut due = BTreeSet::new();
        let memory = shared.memory();
        let folds = memory.folds;
        for (is_frozen, tail) in [(false, Some(&memory.live)), (true, memory.frozen.as_deref())] {
            let past = tail.into_iter().flat_map(|it| &it.due).take_while(|(when, _)| *when <= at);
            let newest = |account: &AccountNumber| !is_frozen || !memory.live.accounts.contains_key(account);
            due.extend(past.filter(|(_, account)| newest(account)).take(limit));
        }
        drop(memory);
        let mut room = limit;
        shared.read(|reader| {
            derived::due(&reader.derived, at, |when, account| {
                if room == 0 {
                    return true;
                }
                // What the tail knows of an account is newer.
                if shared.memory().unfolded(account).next().is_none() {
                    due.insert((when, account));
                    room -= 1;
                }
                false
            })
        })?;
        // A fold that ended meanwhile may have moved accounts between the two questions: ask again.
        if shared.memory().folds == folds {
            return Ok(due.into_iter().take(limit).map(|(_, account)| account).collect());
        }
    }
}
