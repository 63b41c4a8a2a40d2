//! Books: an account's state, kept as a snapshot that is taken every few transactions, and moved on by those since.
//!
//! A book is larger than the transaction that changes it. Written with each, it would be most of what a charge costs;
//! so the row that is locked and changed each time says only how far the account is, and is small enough that those of
//! a hundred thousand accounts are a few megabytes. Whoever has a book at hand, and is told that it is old, reads the
//! transactions it lacks.
//!
//! Where several nodes are at the same accounts, each finds nearly every time that others were there. While they are
//! about, the row therefore bears the book's *head*: all of it but the terms of its grants, which are most of it, never
//! change, and are at hand. It is a shortcut and nothing else: who lacks terms, or is told no head, reads the journal.
//!
//! Invariant: a head is of its row's version; a snapshot says what the account's transactions up to its own version
//! come to, and no account is [`SNAPSHOT_EVERY`] transactions or more beyond that, or its first.
use std::collections::HashMap;
use std::sync::Arc;

use billing::id::AccountNumber;
use billing::ledger::Book;
use tokio_postgres::Row;

use super::rows::{self, column, columns, number, signed, unsigned};
use super::session::{Asked, Session};
use super::trouble::Trouble;
use crate::verify::moved_on;
use crate::{Fault, codec};

const DOING: &str = "reading books";

/// Versions between two snapshots.
const SNAPSHOT_EVERY: u64 = 16;
/// A book at hand that is further behind is thrown away: the snapshot is nearer.
const BEHIND_MAX: u64 = 32;

pub const VERSIONS: &str = "select account, version from books where account = any($1)";
pub const SNAPSHOTS: &str = "select b.account, b.version, b.head, s.version, s.body from books b \
    left join snapshots s on s.account = b.account where b.account = any($1)";
/// Transactions of several accounts, each in a range of versions of its own.
pub const SPANS: &str = concat!(
    "select ",
    columns!(),
    " from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as span (owner, since, until) \
      join journal on account = span.owner and span.since < version and version <= span.until \
      order by account, version"
);
/// Of one: where accounts are spread over machines, each is asked of its own.
pub const SPAN: &str = concat!(
    "select ",
    columns!(),
    " from journal where account = $1 and $2 < version and version <= $3 order by version"
);

/// Whether a commit that brings an account from one version to another takes a snapshot.
pub fn takes_snapshot(since: u64, version: u64) -> bool {
    since / SNAPSHOT_EVERY < version / SNAPSHOT_EVERY
}

/// Versions of an account's transactions: after the first, up to the second.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub account: AccountNumber,
    pub since: u64,
    pub until: u64,
}

/// The transactions of some spans, each account's in order.
pub async fn spans(session: &Session, is_distributed: bool, spans: &[Span]) -> Result<Vec<Row>, Trouble> {
    let spans = spans.iter().filter(|it| it.since < it.until);
    let columns: Vec<[i64; 3]> = spans.map(|it| [it.account.get(), it.since, it.until].map(signed)).collect();
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    if is_distributed {
        let asked: Vec<Asked<'_>> =
            columns.iter().map(|[account, since, until]| (SPAN, vec![account as _, since as _, until as _])).collect();
        return Ok(session.query_all(DOING, &asked).await?.into_iter().flatten().collect());
    }
    let [accounts, since, until] = [0, 1, 2].map(|place| columns.iter().map(|it| it[place]).collect::<Vec<i64>>());
    session.query(DOING, SPANS, &[&accounts, &since, &until]).await
}

/// A book that is wanted, as it is after the transaction `version`; and what may lead there: one that is at hand, and
/// its head.
pub struct Wanted<'a> {
    pub account: AccountNumber,
    pub version: u64,
    pub at_hand: Option<Arc<Book>>,
    pub head: Option<&'a str>,
}

/// A book, and what it is wanted at.
struct Begun {
    book: Arc<Book>,
    version: u64,
}

impl Begun {
    /// Begins with `book`, or where `head` brings it.
    fn told(book: Arc<Book>, version: u64, head: Option<&str>) -> Begun {
        let lacks = || codec::Malformed::lacks("terms");
        let terms = |id| book.grant(id).map(|it| Arc::clone(&it.terms)).ok_or_else(lacks);
        let head = head.filter(|_| book.version < version);
        let moved = head.and_then(|head| codec::read_lean_book(head, (book.account, version), terms).ok());
        Begun { book: moved.map_or(book, Arc::new), version }
    }

    fn is_near(&self) -> bool {
        self.book.version <= self.version && self.version <= self.book.version + BEHIND_MAX
    }
}

/// The books that are wanted, in a transaction in which none of them changes.
pub async fn wanted(
    session: &Session,
    is_distributed: bool,
    wanted: Vec<Wanted<'_>>,
) -> Result<HashMap<AccountNumber, Arc<Book>>, Trouble> {
    let (mut begun, mut far) = (Vec::new(), Vec::new());
    for it in wanted {
        match it.at_hand.map(|book| Begun::told(book, it.version, it.head)).filter(Begun::is_near) {
            Some(near) => begun.push(near),
            None => far.push(it.account),
        }
    }
    begun.extend(snapshots(session, &far).await?);
    move_on(session, is_distributed, begun).await
}

/// Books as they are when the first of two statements is run. The journal only grows: what came later is not read.
pub async fn read(
    session: &Session,
    is_distributed: bool,
    accounts: &[AccountNumber],
) -> Result<HashMap<AccountNumber, Arc<Book>>, Trouble> {
    let begun = snapshots(session, accounts).await?;
    move_on(session, is_distributed, begun).await
}

/// How far accounts are, in the order asked.
pub async fn versions(session: &Session, accounts: &[AccountNumber]) -> Result<Vec<u64>, Trouble> {
    let numbers: Vec<i64> = accounts.iter().map(|it| signed(it.get())).collect();
    let found = session.query(DOING, VERSIONS, &[&numbers]).await?;
    let pair = |row: &Row| Ok((number(column(row, 0)?), unsigned(column(row, 1)?)));
    let found: HashMap<AccountNumber, u64> = found.iter().map(pair).collect::<Result<_, Fault>>()?;
    Ok(accounts.iter().map(|it| found.get(it).copied().unwrap_or_default()).collect())
}

/// The newest snapshots of accounts, or their beginnings, each with the version the account is at.
async fn snapshots(session: &Session, accounts: &[AccountNumber]) -> Result<Vec<Begun>, Trouble> {
    if accounts.is_empty() {
        return Ok(Vec::new());
    }
    let numbers: Vec<i64> = accounts.iter().map(|it| signed(it.get())).collect();
    let read = |row: &Row| {
        let (account, version) = (number(column(row, 0)?), unsigned(column(row, 1)?));
        let book = match column::<Option<i64>>(row, 3)? {
            None => Book::open(account),
            Some(taken_at) => read_book(account, unsigned(taken_at), column(row, 4)?)?,
        };
        Ok(Begun::told(Arc::new(book), version, column(row, 2)?))
    };
    let found = session.query(DOING, SNAPSHOTS, &[&numbers]).await?;
    Ok(found.iter().map(read).collect::<Result<_, Fault>>()?)
}

async fn move_on(
    session: &Session,
    is_distributed: bool,
    begun: Vec<Begun>,
) -> Result<HashMap<AccountNumber, Arc<Book>>, Trouble> {
    let missing: Vec<Span> =
        begun.iter().map(|it| Span { account: it.book.account, since: it.book.version, until: it.version }).collect();
    let rows = spans(session, is_distributed, &missing).await?;
    let mut books: HashMap<AccountNumber, Arc<Book>> = begun.into_iter().map(|it| (it.book.account, it.book)).collect();
    for row in &rows {
        let transaction = rows::read(row)?;
        let place = transaction.place;
        let book = books.get_mut(&place.account).expect("only these accounts were asked for");
        if !moved_on(book, &transaction) {
            let why = format!("{place} does not follow from what is before it");
            return Err(Fault::new(DOING, why).into());
        }
    }
    if let Some(short) = missing.iter().find(|it| books[&it.account].version != it.until) {
        let why = format!("{} is at version {}, and its transactions end before", short.account, short.until);
        return Err(Fault::new(DOING, why).into());
    }
    Ok(books)
}

fn read_book(account: AccountNumber, version: u64, body: &str) -> Result<Book, Fault> {
    let broken = |it| Fault::new(DOING, format!("book of {account}: {it}"));
    codec::read_book(body, account, version).map_err(broken)
}
