//! The derived file's tables, one question or one change a function. It knows rows, not why they are written.
use std::sync::Arc;

use billing::id::{AccountNumber, GrantId, Place};
use billing::ledger::{Book, Terms};
use billing::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Params, params};

use super::journal::{self, JournalFile};
use super::tail::Head;
use super::{signed, unsigned};
use crate::Fault;
use crate::codec::{self, Json, Malformed};

/// Every so many versions of an account a milestone says where its transaction is.
pub const MILESTONE: u64 = 64;

fn reading(error: rusqlite::Error) -> Fault {
    Fault::new("reading the derived file", error)
}

fn writing(error: rusqlite::Error) -> Fault {
    Fault::new("writing the derived file", error)
}

/// Sequence up to which everything is folded.
pub fn folded(file: &Connection) -> Result<u64, Fault> {
    file.query_row("select folded from progress", [], |row| row.get(0)).map(unsigned).map_err(reading)
}

pub fn set_folded(file: &Connection, sequence: u64) -> Result<(), Fault> {
    file.execute("update progress set folded = ?1", [signed(sequence)]).map(|_| ()).map_err(writing)
}

/// The last of an account's transactions that is folded, and when its book has something due.
pub fn head(file: &Connection, account: AccountNumber) -> Result<Option<(Head, Option<i64>)>, Fault> {
    let query = "select version, sequence, due_at from books where account = ?1";
    let mut statement = file.prepare_cached(query).map_err(reading)?;
    let found = statement.query_row([signed(account.get())], |row| {
        let head = Head { version: unsigned(row.get(0)?), sequence: unsigned(row.get(1)?) };
        Ok((head, row.get(2)?))
    });
    found.optional().map_err(reading)
}

/// An account's book as far as it is folded, and where its last transaction is.
pub fn book(file: &Connection, journal: &JournalFile, account: AccountNumber) -> Result<Option<(Book, u64)>, Fault> {
    let query = "select version, sequence, body from books where account = ?1";
    let mut statement = file.prepare_cached(query).map_err(reading)?;
    let mut rows = statement.query([signed(account.get())]).map_err(reading)?;
    let Some(row) = rows.next().map_err(reading)? else { return Ok(None) };
    let columns =
        || -> rusqlite::Result<_> { Ok((unsigned(row.get(0)?), unsigned(row.get(1)?), row.get_ref(2)?.as_str()?)) };
    let (version, sequence, body) = columns().map_err(reading)?;
    let book = codec::read_lean_book(body, (account, version), |it| terms(file, journal, it));
    let broken = |it| Fault::new("reading the derived file", format!("book of {account}: {it}"));
    Ok(Some((book.map_err(broken)?, sequence)))
}

/// The terms of a grant.
fn terms(file: &Connection, journal: &JournalFile, grant: GrantId) -> Result<Arc<Terms>, Malformed> {
    let broken = |it: String| Malformed::not("a grant whose terms can be read", &format!("{grant}: {it}"));
    let Place { account, version } = grant.place();
    if let Some(body) = terms_apart(file, account, version).map_err(|it| broken(it.to_string()))? {
        return codec::read_terms(&body);
    }
    // Used up before any fold saw it, and come back by a reversal: the journal has it.
    let made = journal::granting(journal, account, version + 1, 1).map_err(|it| broken(it.to_string()))?;
    let granted = made.first().filter(|it| it.place.version == version).and_then(|it| it.granted());
    granted.map(|it| Arc::clone(it.1)).ok_or(Malformed::lacks("terms"))
}

fn terms_apart(file: &Connection, account: AccountNumber, version: u64) -> rusqlite::Result<Option<String>> {
    let mut statement = file.prepare_cached("select body from terms where account = ?1 and version = ?2")?;
    statement.query_row([signed(account.get()), signed(version)], |row| row.get(0)).optional()
}

/// Writes the terms of what was granted after `folded`.
pub fn put_terms(file: &Connection, book: &Book, folded: u64) -> Result<(), Fault> {
    for grant in book.grants() {
        let Place { account, version } = grant.id.place();
        if version <= folded {
            continue;
        }
        let mut body = Json::new();
        codec::write_terms(&mut body, &grant.terms);
        let query = "insert into terms (account, version, body) values (?1, ?2, ?3)";
        run(file, query, (signed(account.get()), signed(version), body.as_str()))?;
    }
    Ok(())
}

/// The first milestone of an account at `version` or later.
pub fn milestone(file: &Connection, account: AccountNumber, version: u64) -> Result<Option<Head>, Fault> {
    let query =
        "select version, sequence from milestones where account = ?1 and ?2 <= version order by version limit 1";
    let mut statement = file.prepare_cached(query).map_err(reading)?;
    let found = statement.query_row([signed(account.get()), signed(version)], |row| {
        Ok(Head { version: unsigned(row.get(0)?), sequence: unsigned(row.get(1)?) })
    });
    found.optional().map_err(reading)
}

/// Accounts whose folded books have something due by `at`, soonest first, until `enough` says so.
pub fn due(
    file: &Connection,
    at: Timestamp,
    mut enough: impl FnMut(Timestamp, AccountNumber) -> bool,
) -> Result<(), Fault> {
    let query = "select due_at, account from books where due_at <= ?1 order by due_at";
    let mut statement = file.prepare_cached(query).map_err(reading)?;
    let mut rows = statement.query([at.millis()]).map_err(reading)?;
    while let Some(row) = rows.next().map_err(reading)? {
        let columns = || -> rusqlite::Result<(i64, i64)> { Ok((row.get(0)?, row.get(1)?)) };
        let (when, account) = columns().map_err(reading)?;
        if enough(Timestamp::from_millis(when), AccountNumber::from_random(unsigned(account))) {
            break;
        }
    }
    Ok(())
}

/// Writes a book over the one of version `before`, and says whether that was there and due when this one is: as it is
/// nearly always, and then nothing need be asked.
pub fn move_book(file: &Connection, book: &Book, before: u64, sequence: u64) -> Result<bool, Fault> {
    let mut body = Json::new();
    codec::write_lean_book(&mut body, book);
    let query = "update books set version = ?2, sequence = ?3, body = ?4 \
        where account = ?1 and version = ?5 and due_at is ?6";
    let (account, version) = (signed(book.account.get()), signed(book.version));
    let (sequence, before) = (signed(sequence), signed(before));
    Ok(run(file, query, params![account, version, sequence, body.as_str(), before, due_at(book)])? == 1)
}

fn due_at(book: &Book) -> Option<i64> {
    Some(book.due_at()).filter(|it| *it < Timestamp::NEVER).map(Timestamp::millis)
}

/// Writes a book over `before`, its row so far.
pub fn put_book(
    file: &Connection,
    book: &Book,
    sequence: u64,
    before: Option<(Head, Option<i64>)>,
) -> Result<(), Fault> {
    let mut body = Json::new();
    codec::write_lean_book(&mut body, book);
    let due_at = due_at(book);
    let (account, version) = (signed(book.account.get()), signed(book.version));
    let (sequence, body) = (signed(sequence), body.as_str());
    let written = match before {
        None => {
            let query = "insert into books (account, version, sequence, body, due_at) values (?1, ?2, ?3, ?4, ?5)";
            run(file, query, params![account, version, sequence, body, due_at])?
        }
        // Nearly always; and SQLite moves an index entry whenever its column is mentioned.
        Some((_, it)) if it == due_at => {
            let query = "update books set version = ?2, sequence = ?3, body = ?4 where account = ?1";
            run(file, query, params![account, version, sequence, body])?
        }
        Some(_) => {
            let query = "update books set version = ?2, sequence = ?3, body = ?4, due_at = ?5 where account = ?1";
            run(file, query, params![account, version, sequence, body, due_at])?
        }
    };
    assert_eq!(written, 1, "an account has one book");
    Ok(())
}

fn run(file: &Connection, query: &str, columns: impl Params) -> Result<usize, Fault> {
    file.prepare_cached(query).map_err(writing)?.execute(columns).map_err(writing)
}

pub fn put_milestone(file: &Connection, account: AccountNumber, at: Head) -> Result<(), Fault> {
    let query = "insert into milestones (account, version, sequence) values (?1, ?2, ?3) on conflict do nothing";
    let mut statement = file.prepare_cached(query).map_err(writing)?;
    statement.execute([signed(account.get()), signed(at.version), signed(at.sequence)]).map_err(writing)?;
    Ok(())
}
