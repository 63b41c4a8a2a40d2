//! The journal as a table: transactions in, transactions out, found by sequence or by walking back from a later one.
//!
//! Knows rows and sequences, nothing of what has been derived from them.
use std::mem;
use std::sync::{Arc, PoisonError, RwLock};

use billing::id::{AccountNumber, Place};
use billing::ledger::{Origin, Transaction, Work};
use billing::rating::Text;
use billing::time::Timestamp;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row};

use super::tail::Head;
use super::{signed, unsigned};
use crate::codec::{self, Columns, Json, Met, Numbered, Numbers, Rate};
use crate::{Fault, NameHash, Post};

/// A connection to the journal file, and what the numbers in its rows stand for.
pub struct JournalFile {
    pub file: Connection,
    pub numbered: SharedNumbered,
}

/// Never behind the file: what has a number has it here before a row that says so is committed.
pub type SharedNumbered = Arc<RwLock<Arc<Numbered>>>;

/// The rates and shapes that have numbers in the file.
pub fn numbered(file: &Connection) -> Result<SharedNumbered, Fault> {
    let query = "select item, unit, unit_price, per from rates order by number";
    let mut statement = file.prepare(query).map_err(unreadable)?;
    let rate = |row: &Row<'_>| {
        let (item, unit, unit_price) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Rate { item, unit, unit_price, per: unsigned(row.get(3)?) })
    };
    let rates = statement.query_map([], rate).and_then(Iterator::collect).map_err(unreadable)?;
    let mut statement = file.prepare("select body from shapes order by number").map_err(unreadable)?;
    let bodies = statement.query_map([], |row| row.get::<_, String>(0)).map_err(unreadable)?;
    let bodies = bodies.collect::<rusqlite::Result<Vec<String>>>().map_err(unreadable)?;
    let shapes = bodies.iter().map(|it| codec::read_shape(it)).collect::<Result<_, _>>();
    let shapes = shapes.map_err(|it| Fault::new("reading the journal", format!("shapes: {it}")))?;
    Ok(Arc::new(RwLock::new(Arc::new(Numbered::new(rates, shapes)))))
}

/// Inserts rows at the journal's end.
pub struct Appender<'a> {
    file: &'a Connection,
    statement: CachedStatement<'a>,
    body: Json,
    /// With what was added by what was appended.
    pub numbered: Arc<Numbered>,
    met: &'a mut Met,
    rates: Vec<Option<u32>>,
    bound: Bound,
}

/// What the statement was last given of that which one row after the other mostly says again. It is not given twice:
/// SQLite would let go of the one copy and make the other. At first it has been given nothing.
#[derive(Default)]
struct Bound {
    at: Option<i64>,
    kind: Option<&'static str>,
    meter: Option<String>,
    by: Option<String>,
    has_fact: bool,
    has_grant: bool,
}

/// Gives a statement a text, unless it was given that before.
fn bind_anew(
    row: &mut CachedStatement<'_>,
    place: usize,
    bound: &mut Option<String>,
    text: Option<&str>,
) -> rusqlite::Result<()> {
    if bound.as_deref() == text {
        return Ok(());
    }
    *bound = text.map(str::to_owned);
    row.raw_bind_parameter(place, text)
}

impl<'a> Appender<'a> {
    pub fn new(file: &'a Connection, numbered: Arc<Numbered>, met: &'a mut Met) -> rusqlite::Result<Appender<'a>> {
        let statement = file.prepare_cached(
            "insert into journal (sequence, account, version, previous, at, kind, credits, meter, key, request, fact, \
             by, granted, body) values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?;
        let (body, rates, bound) = (Json::new(), Vec::new(), Bound::default());
        Ok(Appender { file, statement, body, numbered, met, rates, bound })
    }

    /// Finds the numbers of a transaction's rates, and gives one to those that have none.
    fn number_rates(&mut self, work: &Work) -> rusqlite::Result<()> {
        for line in &work.price.lines {
            let mut number = self.numbered.number(line);
            if number.is_none()
                && let Some(rate) = self.numbered.lacks(line)
            {
                let added = Arc::make_mut(&mut self.numbered).add(rate.clone());
                let query = "insert into rates (number, item, unit, unit_price, per) values (?1, ?2, ?3, ?4, ?5)";
                let columns = (added, &*rate.item, &*rate.unit, rate.unit_price, signed(rate.per));
                self.file.execute(query, columns)?;
                number = Some(added);
            }
            self.rates.push(number);
        }
        Ok(())
    }

    /// The number of a transaction's shape, which may be given to it here.
    fn number_shape(&mut self, work: &Work) -> rusqlite::Result<Option<u32>> {
        match self.numbered.shape_of(&work.usage, self.met) {
            Ok(number) => Ok(number),
            Err(shape) => {
                let mut body = Json::new();
                codec::write_shape(&mut body, &shape);
                let added = Arc::make_mut(&mut self.numbered).add_shape(shape);
                self.file.execute("insert into shapes (number, body) values (?1, ?2)", (added, body.as_str()))?;
                Ok(Some(added))
            }
        }
    }

    pub fn append(&mut self, sequence: u64, previous: u64, post: &Post) -> rusqlite::Result<()> {
        let transaction = &*post.transaction;
        let columns = Columns::of(transaction);
        self.rates.clear();
        let mut shape = None;
        if let Some(work) = codec::work_in(transaction) {
            self.number_rates(work)?;
            shape = self.number_shape(work)?;
        }
        self.body.clear();
        codec::write_body(&mut self.body, transaction, &columns, Numbers { rates: &self.rates, shape });
        let Place { account, version } = transaction.place;
        let origin = &transaction.origin;
        let (row, bound) = (&mut self.statement, &mut self.bound);
        row.raw_bind_parameter(1, signed(sequence))?;
        row.raw_bind_parameter(2, signed(account.get()))?;
        row.raw_bind_parameter(3, signed(version))?;
        row.raw_bind_parameter(4, signed(previous))?;
        if bound.at.replace(transaction.at.millis()) != Some(transaction.at.millis()) {
            row.raw_bind_parameter(5, transaction.at.millis())?;
        }
        if bound.kind.replace(columns.kind) != Some(columns.kind) {
            row.raw_bind_parameter(6, columns.kind)?;
        }
        row.raw_bind_parameter(7, columns.credits)?;
        bind_anew(row, 8, &mut bound.meter, columns.meter.map(|it| &**it))?;
        row.raw_bind_parameter(9, origin.key.as_deref())?;
        // Most of what brings no key brings no fingerprint: 16 zeros say nothing.
        row.raw_bind_parameter(10, (origin.request != 0).then(|| origin.request.to_be_bytes()))?;
        if mem::replace(&mut bound.has_fact, post.fact.is_some()) || post.fact.is_some() {
            row.raw_bind_parameter(11, post.fact.map(|it| it.0))?;
        }
        bind_anew(row, 12, &mut bound.by, origin.by.as_deref())?;
        if mem::replace(&mut bound.has_grant, columns.grant.is_some()) || columns.grant.is_some() {
            row.raw_bind_parameter(13, columns.grant.map(|it| it.to_string()))?;
        }
        row.raw_bind_parameter(14, self.body.as_str())?;
        row.raw_execute().map(|_| ())
    }
}

/// A row of the journal.
pub struct Written {
    pub sequence: u64,
    /// Sequence of the account's transaction before it.
    pub previous: u64,
    pub transaction: Transaction,
}

const COLUMNS: &str =
    "sequence, account, version, previous, at, kind, credits, meter, key, request, by, body from journal";

/// Reads one row of `COLUMNS`.
fn read(row: &Row<'_>, numbered: &SharedNumbered) -> Result<Written, Fault> {
    let numbered = Arc::clone(&numbered.read().unwrap_or_else(PoisonError::into_inner));
    let sequence: i64 = row.get(0).map_err(unreadable)?;
    let columns = || -> rusqlite::Result<_> {
        let text = |column: usize| row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from);
        let place =
            Place { account: AccountNumber::from_random(unsigned(row.get(1)?)), version: unsigned(row.get(2)?) };
        let origin = Origin {
            key: text(8)?.map(Text::from),
            request: row.get::<_, Option<[u8; 16]>>(9)?.map_or(0, u128::from_be_bytes),
            by: text(10)?.map(Text::from),
        };
        let parts = codec::Row {
            place,
            at: Timestamp::from_millis(row.get(4)?),
            kind: text(5)?.unwrap_or_default(),
            credits: row.get(6)?,
            meter: text(7)?,
            origin,
            body: text(11)?.unwrap_or_default(),
            numbered: Some(&numbered),
        };
        Ok((parts, unsigned(row.get(3)?)))
    };
    let broken = |it: String| Fault::new("reading the journal", format!("row {sequence}: {it}"));
    let (row, previous) = columns().map_err(|it| broken(it.to_string()))?;
    let transaction = codec::read_transaction(row).map_err(|it| broken(it.to_string()))?;
    Ok(Written { sequence: unsigned(sequence), previous, transaction })
}

fn unreadable(error: rusqlite::Error) -> Fault {
    Fault::new("reading the journal", error)
}

/// The transaction at `sequence`.
pub fn at(journal: &JournalFile, sequence: u64) -> Result<Written, Fault> {
    let mut statement =
        journal.file.prepare_cached(&format!("select {COLUMNS} where sequence = ?1")).map_err(unreadable)?;
    let mut rows = statement.query([signed(sequence)]).map_err(unreadable)?;
    match rows.next().map_err(unreadable)? {
        Some(row) => read(row, &journal.numbered),
        None => Err(Fault::new("reading the journal", format!("row {sequence} is missing"))),
    }
}

/// The transaction at `sequence` is whose, and by what names can it be found?
pub fn named(file: &Connection, sequence: u64) -> Result<(Place, [Option<NameHash>; 2]), Fault> {
    let query = "select account, version, key, fact from journal where sequence = ?1";
    let mut statement = file.prepare_cached(query).map_err(unreadable)?;
    statement.query_row([signed(sequence)], |row| names(row, 0)).map_err(unreadable)
}

fn names(row: &Row<'_>, first: usize) -> rusqlite::Result<(Place, [Option<NameHash>; 2])> {
    let account = AccountNumber::from_random(unsigned(row.get(first)?));
    let place = Place { account, version: unsigned(row.get(first + 1)?) };
    let key = row.get_ref(first + 2)?.as_str_or_null()?.map(|it| NameHash::key(account, it));
    Ok((place, [key, row.get::<_, Option<[u8; 16]>>(first + 3)?.map(NameHash)]))
}

/// Where every transaction after `sequence` stands, and its names: all that a restart reads of them.
pub fn outline(
    file: &Connection,
    sequence: u64,
    mut each: impl FnMut(u64, Place, [Option<NameHash>; 2]) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let query = "select sequence, account, version, key, fact from journal where ?1 < sequence order by sequence";
    let mut statement = file.prepare(query).map_err(unreadable)?;
    let mut rows = statement.query([signed(sequence)]).map_err(unreadable)?;
    while let Some(row) = rows.next().map_err(unreadable)? {
        let sequence = row.get(0).map(unsigned).map_err(unreadable)?;
        let (place, names) = names(row, 1).map_err(unreadable)?;
        each(sequence, place, names)?;
    }
    Ok(())
}

/// Sequence of an account's transaction at `version`, going back from a later one, or that one.
pub fn walk(file: &Connection, from: Head, version: u64) -> Result<u64, Fault> {
    let mut statement = file.prepare_cached("select previous from journal where sequence = ?1").map_err(unreadable)?;
    let mut sequence = from.sequence;
    for _ in version..from.version {
        sequence = statement.query_row([signed(sequence)], |row| row.get(0)).map(unsigned).map_err(unreadable)?;
    }
    Ok(sequence)
}

/// Up to `limit` transactions of an account, going back from the one at `sequence`.
pub fn back_from(journal: &JournalFile, sequence: u64, limit: usize) -> Result<Vec<Arc<Transaction>>, Fault> {
    let mut found = Vec::new();
    let mut next = sequence;
    while next != 0 && found.len() < limit {
        let written = at(journal, next)?;
        assert!(written.previous < next, "an account's transactions lie in the order of their versions");
        next = written.previous;
        found.push(Arc::new(written.transaction));
    }
    Ok(found)
}

/// Every transaction after `sequence`, in order, until `each` fails.
pub fn after(
    journal: &JournalFile,
    sequence: u64,
    each: &mut dyn FnMut(Written) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let query = format!("select {COLUMNS} where ?1 < sequence order by sequence");
    let mut statement = journal.file.prepare_cached(&query).map_err(unreadable)?;
    let mut rows = statement.query([signed(sequence)]).map_err(unreadable)?;
    while let Some(row) = rows.next().map_err(unreadable)? {
        each(read(row, &journal.numbered)?)?;
    }
    Ok(())
}

/// Transactions of an account that made a grant, newest first.
pub fn granting(
    journal: &JournalFile,
    account: AccountNumber,
    before: u64,
    limit: usize,
) -> Result<Vec<Arc<Transaction>>, Fault> {
    let query = format!(
        "select {COLUMNS} where account = ?1 and version < ?2 and granted is not null order by version desc limit ?3"
    );
    let mut statement = journal.file.prepare_cached(&query).map_err(unreadable)?;
    let before = i64::try_from(before).unwrap_or(i64::MAX);
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut rows = statement.query((signed(account.get()), before, limit)).map_err(unreadable)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(unreadable)? {
        found.push(Arc::new(read(row, &journal.numbered)?.transaction));
    }
    Ok(found)
}

/// Sequence of the newest transaction; 0 in an empty journal.
pub fn length(file: &Connection) -> Result<u64, Fault> {
    let newest = file.query_row("select max(sequence) from journal", [], |row| row.get::<_, Option<i64>>(0));
    Ok(unsigned(newest.optional().map_err(unreadable)?.flatten().unwrap_or_default()))
}
