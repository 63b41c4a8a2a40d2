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
pub const DUE: &str = concat!(document!(), "where due_at <= $1 order by due_at limit $2");
/// By the index that is of this question alone: see where it is made.
pub const DUE_OF_KIND: &str =
    concat!(document!(), "where kind = $1 and due_at is not null and due_at + 0 <= $2 order by due_at + 0 limit $3");
/// The next kind of which anything is due at any time.
pub const NEXT_KIND: &str = "select kind from documents where $1 < kind and due_at is not null order by kind limit 1";
/// As the index says it of which kinds it is.
pub const AT_REST: &str = concat!(
    document!(),
    "where kind = $1 and due_at is null and kind <> 'account_month' and kind <> 'house_month' \
     and kind <> 'request' and kind <> 'utilisation' and at < $2 order by at limit $3"
);

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

/// In one question, as long as all that is due fits into a page. Where it does not, kind by kind, so that what is due
/// of those that are not asked for is not walked over: many questions of a few rows, on a cluster to each of its parts.
pub async fn due(session: &Session, kinds: Kinds<'_>, at: Timestamp, limit: usize) -> Result<Vec<Document>, Trouble> {
    let (at, most) = (at.millis(), rows_max(limit));
    let mut due = all(session, DUE, &[&at, &most], read).await?;
    if due.len() < limit {
        due.retain(|it| kinds.has(&it.kind));
        return Ok(due);
    }
    due.clear();
    for kind in wanted(session, kinds).await? {
        due.extend(all(session, DUE_OF_KIND, &[&kind, &at, &most], read).await?);
    }
    due.sort_by_key(|it| it.due_at);
    Ok(due)
}

/// The kinds that are asked for.
async fn wanted(session: &Session, kinds: Kinds<'_>) -> Result<Vec<String>, Trouble> {
    if let Kinds::Of(kinds) = kinds {
        return Ok(kinds.iter().map(|it| (*it).to_owned()).collect());
    }
    let (mut found, mut before) = (Vec::new(), String::new());
    while let Some(kind) = all(session, NEXT_KIND, &[&before], |row| column::<String>(row, 0)).await?.pop() {
        if kinds.has(&kind) {
            found.push(kind.clone());
        }
        before = kind;
    }
    Ok(found)
}

pub async fn at_rest(session: &Session, kind: &str, before: Timestamp, limit: usize) -> Result<Vec<Document>, Trouble> {
    all(session, AT_REST, &[&kind, &before.millis(), &rows_max(limit)], read).await
}

pub async fn payments(session: &Session, before: Timestamp, limit: usize) -> Result<Vec<Document>, Trouble> {
    all(session, PAYMENTS, &[&before.millis(), &rows_max(limit)], read).await
}
