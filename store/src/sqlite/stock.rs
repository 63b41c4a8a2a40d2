//! All that a file holds, row by row, for moving house.
use rusqlite::{Connection, Params, Row};

use super::journal::{self, JournalFile};
use super::records::{self, all};
use super::unsigned;
use crate::moving::{EachPost, Shelf, Spot};
use crate::{Change, Fault, NameHash, Project, QuoteRecord, Reply};

const READING: &str = "reading a shelf";

/// Rows of a shelf after a spot.
pub fn shelf(file: &Connection, shelf: Shelf, after: &Spot, limit: usize) -> Result<Vec<(Spot, Change)>, Fault> {
    let limit = records::rows_max(limit);
    let number = after.number;
    match shelf {
        Shelf::RateCards => {
            let cards = records::rate_cards(file)?.into_iter();
            let rows = cards.map(|it| (numbered(i64::from(it.version)), Change::RateCard(it)));
            Ok(rows.filter(|it| number < it.0.number).collect())
        }
        Shelf::ApiKeys => {
            let keys = (1..).zip(records::api_keys(file)?);
            Ok(keys
                .map(|(place, it)| (numbered(place), Change::ApiKey(it)))
                .filter(|it| number < it.0.number)
                .collect())
        }
        Shelf::Accounts => accounts(file, after, limit),
        Shelf::Projects => projects(file, after, limit),
        Shelf::Quotes => quotes(file, after, limit),
        Shelf::Documents => {
            let query = format!(
                "{} where (account, kind, id) > (?1, ?2, ?3) order by account, kind, id limit ?4",
                records::DOCUMENT
            );
            rows(file, &query, (number, &after.kind, &after.id, limit), |row| {
                let it = records::read_document(row)?;
                Ok((Spot { number: row.get(0)?, kind: it.kind.clone(), id: it.id.clone() }, Change::Arrived(it)))
            })
        }
        Shelf::Replies => replies(file, after, limit),
        Shelf::Audit => {
            let query =
                "select number, at, by, action, subject, detail from audit where ?1 < number order by number limit ?2";
            rows(file, query, (number, limit), |row| {
                Ok((numbered(row.get(0)?), Change::Audit(records::read_audit(row)?)))
            })
        }
    }
}

fn numbered(number: i64) -> Spot {
    Spot { number, ..Spot::start() }
}

fn rows(
    file: &Connection,
    query: &str,
    columns: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<(Spot, Change)>,
) -> Result<Vec<(Spot, Change)>, Fault> {
    all(file, query, columns, read)
}

fn accounts(file: &Connection, after: &Spot, limit: i64) -> Result<Vec<(Spot, Change)>, Fault> {
    let query = format!("{} where ?1 < id order by id limit ?2", records::ACCOUNT);
    let found = all(file, &query, (&after.id, limit), records::read_account)?;
    let with_fingerprints = found.into_iter().map(|account| {
        let query = "select fingerprint from fingerprints where account = ?1 order by fingerprint";
        let fingerprints = all(file, query, [super::signed(account.number.get())], |row| row.get(0))?;
        let spot = Spot { id: account.id.to_string(), ..Spot::start() };
        Ok((spot, Change::Register { account, fingerprints }))
    });
    with_fingerprints.collect()
}

fn projects(file: &Connection, after: &Spot, limit: i64) -> Result<Vec<(Spot, Change)>, Fault> {
    let query = "select account, id, name, at, deleted_at from projects where (account, id) > (?1, ?2) \
                 order by account, id limit ?3";
    rows(file, query, (after.number, &after.id, limit), |row| {
        let it: Project = records::read_project(row)?;
        Ok((Spot { number: row.get(0)?, kind: String::new(), id: it.id.to_string() }, Change::Project(it)))
    })
}

fn quotes(file: &Connection, after: &Spot, limit: i64) -> Result<Vec<(Spot, Change)>, Fault> {
    let query =
        "select account, id, expires_at, body from quotes where (account, id) > (?1, ?2) order by account, id limit ?3";
    rows(file, query, (after.number, &after.id, limit), |row| {
        let (account, id) = (records::number(row, 0)?, row.get::<_, String>(1)?);
        let spot = Spot { number: row.get(0)?, kind: String::new(), id: id.clone() };
        let expires_at = records::instant(row, 2)?;
        Ok((spot, Change::Quote(QuoteRecord { account, id, expires_at, body: row.get(3)? })))
    })
}

fn replies(file: &Connection, after: &Spot, limit: i64) -> Result<Vec<(Spot, Change)>, Fault> {
    let query = "select key, request, status, body from replies where ?1 < key order by key limit ?2";
    rows(file, query, (after.key(), limit), |row| {
        let key: [u8; 16] = row.get(0)?;
        let request = u128::from_be_bytes(row.get(1)?);
        let reply = Reply { key: NameHash(key), request, status: row.get(2)?, body: row.get(3)? };
        Ok((Spot::of_key(&key), Change::Reply(reply)))
    })
}

/// Every transaction after `after`, with what it settled.
pub fn posts(journal: &JournalFile, after: u64, each: &mut EachPost<'_>) -> Result<(), Fault> {
    let unreadable = |it| Fault::new(READING, it);
    let query = "select sequence, fact from journal where fact is not null and ?1 < sequence order by sequence";
    let mut statement = journal.file.prepare(query).map_err(unreadable)?;
    let mut facts = statement.query([super::signed(after)]).map_err(unreadable)?;
    let mut next = || -> Result<Option<(u64, NameHash)>, Fault> {
        let Some(row) = facts.next().map_err(unreadable)? else { return Ok(None) };
        let sequence: i64 = row.get(0).map_err(unreadable)?;
        Ok(Some((unsigned(sequence), NameHash(row.get(1).map_err(unreadable)?))))
    };
    let mut ahead = next()?;
    journal::after(journal, after, &mut |written| {
        let fact = ahead.filter(|it| it.0 == written.sequence).map(|it| it.1);
        if fact.is_some() {
            ahead = next()?;
        }
        each(written.sequence, written.transaction, fact)
    })
}
