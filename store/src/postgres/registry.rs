//! What is remembered beside the journal, read: small tables, each row as it was written.
use std::collections::HashSet;

use billing::id::{AccountNumber, Name};
use billing::time::Timestamp;
use tokio_postgres::Row;

use super::rows::{below, column, number, rows_max, signed, unsigned};
use super::session::{Params, Session};
use super::trouble::Trouble;
use crate::record::end_of;
use crate::{Account, ApiKey, Audit, CardRecord, Fault, NameHash, Project, QuoteRecord, Reply};

const DOING: &str = "reading a record";

macro_rules! account {
    () => {
        "select number, id, at, name, email, currency, timezone, address, tax_id, closed_at from accounts "
    };
}
pub const ACCOUNT: &str = concat!(account!(), "where id = $1");
pub const ACCOUNT_NUMBERED: &str = concat!(account!(), "where number = $1");
pub const ACCOUNTS: &str = concat!(account!(), "where $1 < id order by id limit $2");
pub const CALLED: &str = concat!(
    account!(),
    "where number in (select account from account_words where $1 <= word and word < $2 order by word limit $3) \
     order by id"
);
/// Which profiles have changed within so many milliseconds? The database's own clock says so, whatever a node's does.
pub const CHANGED: &str =
    "select number from accounts where (extract(epoch from statement_timestamp()) * 1000)::bigint - $1 < changed_at";
pub const FINGERPRINTS: &str = "select fingerprint from fingerprints where fingerprint = any($1)";
pub const PROJECTS: &str = "select id, name, at, deleted_at from projects where account = $1 order by id";
pub const CARDS: &str = "select version, effective_at, at, by, document from rate_cards order by version";
pub const KEYS: &str = "select id, name, hash, scopes, at, revoked_at from api_keys order by number";
pub const QUOTE: &str = "select expires_at, body from quotes where account = $1 and id = $2";
pub const REPLY: &str = "select request, status, body from replies where key = $1";
/// Not where it was told to be read only, nor where it follows another.
pub const TAKES_COMMITS: &str = "select current_setting('transaction_read_only') = 'off'";
pub const NEWEST_AUDIT: &str = "select coalesce(max(number), 0) from audit";
pub const AUDIT: &str =
    "select number, at, by, action, subject, detail from audit where number < $1 order by number desc limit $2";

/// Every row that answers, read.
pub async fn all<T>(
    session: &Session,
    sql: &'static str,
    params: Params<'_>,
    read: impl Fn(&Row) -> Result<T, Fault>,
) -> Result<Vec<T>, Trouble> {
    let found = session.query(DOING, sql, params).await?;
    Ok(found.iter().map(read).collect::<Result<_, _>>()?)
}

pub fn instant(row: &Row, place: usize) -> Result<Timestamp, Fault> {
    column(row, place).map(Timestamp::from_millis)
}

pub fn maybe_instant(row: &Row, place: usize) -> Result<Option<Timestamp>, Fault> {
    Ok(column::<Option<i64>>(row, place)?.map(Timestamp::from_millis))
}

pub fn name(row: &Row, place: usize) -> Result<Name, Fault> {
    let text: &str = column(row, place)?;
    text.parse().map_err(|it| Fault::new(DOING, format!("`{text}`: {it}")))
}

/// Bytes of a fixed length.
pub fn bytes<const N: usize>(row: &Row, place: usize) -> Result<[u8; N], Fault> {
    let bytes: &[u8] = column(row, place)?;
    bytes.try_into().map_err(|_| Fault::new(DOING, format!("{} bytes where {N} are due", bytes.len())))
}

pub fn account(row: &Row) -> Result<Account, Fault> {
    let code: &str = column(row, 5)?;
    Ok(Account {
        number: number(column(row, 0)?),
        id: name(row, 1)?,
        created_at: instant(row, 2)?,
        name: column(row, 3)?,
        email: column(row, 4)?,
        currency: code.parse().map_err(|_| Fault::new(DOING, format!("`{code}` is not a currency")))?,
        timezone: column(row, 6)?,
        address: column(row, 7)?,
        tax_id: column(row, 8)?,
        closed_at: maybe_instant(row, 9)?,
    })
}

pub async fn takes_commits(session: &Session) -> Result<bool, Trouble> {
    Ok(column(&session.query(DOING, TAKES_COMMITS, &[]).await?[0], 0)?)
}

pub async fn accounts(session: &Session, after: Option<&Name>, limit: usize) -> Result<Vec<Account>, Trouble> {
    let after = after.map_or("", Name::as_str);
    all(session, ACCOUNTS, &[&after, &rows_max(limit)], account).await
}

pub async fn accounts_called(session: &Session, beginning: &str, limit: usize) -> Result<Vec<Account>, Trouble> {
    let beginning = beginning.to_lowercase();
    all(session, CALLED, &[&beginning, &end_of(&beginning), &rows_max(limit)], account).await
}

pub async fn fingerprints_known(session: &Session, asked: &[[u8; 32]]) -> Result<Vec<bool>, Trouble> {
    let wanted: Vec<&[u8]> = asked.iter().map(|it| &it[..]).collect();
    let known = all(session, FINGERPRINTS, &[&wanted], |it| bytes::<32>(it, 0)).await?;
    let known: HashSet<[u8; 32]> = known.into_iter().collect();
    Ok(asked.iter().map(|it| known.contains(it)).collect())
}

pub async fn projects(session: &Session, account: AccountNumber) -> Result<Vec<Project>, Trouble> {
    let read = |row: &Row| {
        let (created_at, deleted_at) = (instant(row, 2)?, maybe_instant(row, 3)?);
        Ok(Project { account, id: name(row, 0)?, name: column(row, 1)?, created_at, deleted_at })
    };
    all(session, PROJECTS, &[&signed(account.get())], read).await
}

pub async fn rate_cards(session: &Session) -> Result<Vec<CardRecord>, Trouble> {
    let read = |row: &Row| {
        let version: i64 = column(row, 0)?;
        let version = u32::try_from(version).map_err(|it| Fault::new(DOING, it))?;
        let (effective_at, created_at) = (instant(row, 1)?, instant(row, 2)?);
        Ok(CardRecord { version, effective_at, created_at, by: column(row, 3)?, document: column(row, 4)? })
    };
    all(session, CARDS, &[], read).await
}

pub async fn api_keys(session: &Session) -> Result<Vec<ApiKey>, Trouble> {
    let read = |row: &Row| {
        let scopes: &str = column(row, 3)?;
        Ok(ApiKey {
            id: column(row, 0)?,
            name: column(row, 1)?,
            hash: bytes(row, 2)?,
            scopes: scopes.split_whitespace().map(str::to_owned).collect(),
            created_at: instant(row, 4)?,
            revoked_at: maybe_instant(row, 5)?,
        })
    };
    all(session, KEYS, &[], read).await
}

pub async fn quote(session: &Session, account: AccountNumber, id: &str) -> Result<Option<QuoteRecord>, Trouble> {
    let read =
        |row: &Row| Ok(QuoteRecord { account, id: id.to_owned(), expires_at: instant(row, 0)?, body: column(row, 1)? });
    Ok(all(session, QUOTE, &[&signed(account.get()), &id], read).await?.pop())
}

pub async fn reply(session: &Session, key: NameHash) -> Result<Option<Reply>, Trouble> {
    Ok(all(session, REPLY, &[&&key.0[..]], |row| read_reply(row, key)).await?.pop())
}

pub fn read_reply(row: &Row, key: NameHash) -> Result<Reply, Fault> {
    let status: i64 = column(row, 1)?;
    let status = u16::try_from(status).map_err(|it| Fault::new(DOING, it))?;
    Ok(Reply { key, request: u128::from_be_bytes(bytes(row, 0)?), status, body: column(row, 2)? })
}

pub async fn audit(session: &Session, before: u64, limit: usize) -> Result<Vec<(u64, Audit)>, Trouble> {
    let read = |row: &Row| Ok((unsigned(column(row, 0)?), audit_entry(row)?));
    all(session, AUDIT, &[&below(before), &rows_max(limit)], read).await
}

/// The number of the newest entry; 0 where there is none.
pub async fn newest_audit(session: &Session) -> Result<i64, Trouble> {
    Ok(column(&session.query(DOING, NEWEST_AUDIT, &[]).await?[0], 0)?)
}

pub fn audit_entry(row: &Row) -> Result<Audit, Fault> {
    Ok(Audit {
        at: instant(row, 1)?,
        by: column(row, 2)?,
        action: column(row, 3)?,
        subject: column(row, 4)?,
        detail: column(row, 5)?,
    })
}
