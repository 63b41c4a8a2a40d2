//! Documents, read. What is due is asked of all accounts at once and claimed one by one: see [`crate::Document`].
use billing::id::AccountNumber;
use billing::time::Timestamp;
use tokio_postgres::Row;

use super::registry::{all, instant, maybe_instant};
use super::rows::{column, number, rows_max, signed, unsigned};
use super::session::Session;
use super::trouble::Trouble;
use crate::{Document, Fault, Kinds};

macro_rules! document {
    () => {
        "select account, kind, id, version, at, due_at, body from documents "
    };
}
pub const DOCUMENT: &str = concat!(document!(), "where account = $1 and kind = $2 and id = $3");
pub const NEWEST: &str = concat!(document!(), "where account = $1 and kind = $2 order by id desc limit $3");
pub const BEFORE: &str = concat!(document!(), "where account = $1 and kind = $2 and id < $3 order by id desc limit $4");
pub const ALL: &str =
    concat!(document!(), "where (account, kind, id) > ($1, $2, $3) order by account, kind, id limit $4");
pub const PAYMENTS: &str = concat!(document!(), "where kind = 'payment' and at < $1 order by at desc limit $2");
pub const DUE_OF: &str = concat!(document!(), "where due_at <= $1 and kind = any($2) order by due_at limit $3");
pub const DUE_BUT: &str = concat!(document!(), "where due_at <= $1 and kind <> all($2) order by due_at limit $3");

pub fn read(row: &Row) -> Result<Document, Fault> {
    Ok(Document {
        account: number(column(row, 0)?),
        kind: column(row, 1)?,
        id: column(row, 2)?,
        version: unsigned(column(row, 3)?),
        at: instant(row, 4)?,
        due_at: maybe_instant(row, 5)?,
        body: column(row, 6)?,
    })
}

pub async fn one(session: &Session, account: AccountNumber, kind: &str, id: &str) -> Result<Option<Document>, Trouble> {
    Ok(all(session, DOCUMENT, &[&signed(account.get()), &kind, &id], read).await?.pop())
}

pub async fn listed(
    session: &Session,
    account: AccountNumber,
    kind: &str,
    before: Option<&str>,
    limit: usize,
) -> Result<Vec<Document>, Trouble> {
    let (account, limit) = (signed(account.get()), rows_max(limit));
    match before {
        Some(before) => all(session, BEFORE, &[&account, &kind, &before, &limit], read).await,
        None => all(session, NEWEST, &[&account, &kind, &limit], read).await,
    }
}

pub async fn due(session: &Session, kinds: Kinds<'_>, at: Timestamp, limit: usize) -> Result<Vec<Document>, Trouble> {
    let (query, kinds) = match kinds {
        Kinds::Of(kinds) => (DUE_OF, kinds),
        Kinds::But(kinds) => (DUE_BUT, kinds),
    };
    all(session, query, &[&at.millis(), &kinds, &rows_max(limit)], read).await
}

pub async fn payments(session: &Session, before: Timestamp, limit: usize) -> Result<Vec<Document>, Trouble> {
    all(session, PAYMENTS, &[&before.millis(), &rows_max(limit)], read).await
}
