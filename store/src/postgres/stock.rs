//! All that the database holds, row by row, for moving house. These statements go through whole tables, by their keys.
use billing::id::Name;
use tokio_postgres::Row;

use super::registry::{self, all, bytes, instant, maybe_instant};
use super::rows::{column, number, rows_max, signed, unsigned};
use super::session::{Params, Session};
use super::trouble::Trouble;
use super::{documents, rows};
use crate::moving::{Shelf, Spot};
use crate::{Change, Fault, NameHash, Project, QuoteRecord, Reply};

pub const FINGERPRINTS_OF: &str =
    "select account, fingerprint from fingerprints where account = any($1) order by fingerprint";
pub const PROJECTS: &str = "select account, id, name, at, deleted_at from projects \
    where (account, id) > ($1, $2) order by account, id limit $3";
pub const QUOTES: &str = "select account, id, expires_at, body from quotes \
    where (account, id) > ($1, $2) order by account, id limit $3";
pub const REPLIES: &str = "select request, status, body, key from replies where $1 < key order by key limit $2";
pub const AUDIT: &str =
    "select number, at, by, action, subject, detail from audit where $1 < number order by number limit $2";

type Found = Result<Vec<(Spot, Change)>, Trouble>;

/// Rows of a shelf after a spot.
pub async fn shelf(session: &Session, shelf: Shelf, after: &Spot, limit: usize) -> Found {
    let most = rows_max(limit);
    let Spot { number: account, kind, id } = after;
    match shelf {
        Shelf::RateCards => {
            let cards = registry::rate_cards(session).await?.into_iter();
            let rows = cards.map(|it| (numbered(i64::from(it.version)), Change::RateCard(it)));
            Ok(rows.filter(|it| *account < it.0.number).collect())
        }
        Shelf::ApiKeys => {
            let keys = (1..).zip(registry::api_keys(session).await?);
            let rows = keys.map(|(place, it)| (numbered(place), Change::ApiKey(it)));
            Ok(rows.filter(|it| *account < it.0.number).collect())
        }
        Shelf::Accounts => accounts(session, id, limit).await,
        Shelf::Projects => table(session, PROJECTS, &[account, id, &most], project).await,
        Shelf::Quotes => table(session, QUOTES, &[account, id, &most], quote).await,
        Shelf::Documents => {
            table(session, documents::ALL, &[account, kind, id, &most], |row| {
                let it = documents::read(row)?;
                let spot = Spot { number: column(row, 0)?, kind: it.kind.clone(), id: it.id.clone() };
                Ok((spot, Change::Arrived(it)))
            })
            .await
        }
        Shelf::Replies => table(session, REPLIES, &[&after.key(), &most], reply).await,
        Shelf::Audit => {
            table(session, AUDIT, &[account, &most], |row| {
                Ok((numbered(column(row, 0)?), Change::Audit(registry::audit_entry(row)?)))
            })
            .await
        }
    }
}

async fn table(
    session: &Session,
    sql: &'static str,
    params: Params<'_>,
    read: impl Fn(&Row) -> Result<(Spot, Change), Fault>,
) -> Found {
    all(session, sql, params, read).await
}

fn numbered(number: i64) -> Spot {
    Spot { number, ..Spot::start() }
}

async fn accounts(session: &Session, after: &str, limit: usize) -> Found {
    let params: Params<'_> = &[&after, &rows_max(limit)];
    let accounts = all(session, registry::ACCOUNTS, params, registry::account).await?;
    let numbers: Vec<i64> = accounts.iter().map(|it| signed(it.number.get())).collect();
    let owned = |row: &Row| Ok((number(column(row, 0)?), bytes::<32>(row, 1)?));
    let owned = all(session, FINGERPRINTS_OF, &[&numbers], owned).await?;
    let registered = accounts.into_iter().map(|account| {
        let its = owned.iter().filter(|it| it.0 == account.number).map(|it| it.1);
        let spot = Spot { id: account.id.to_string(), ..Spot::start() };
        (spot, Change::Register { fingerprints: its.collect(), account })
    });
    Ok(registered.collect())
}

fn project(row: &Row) -> Result<(Spot, Change), Fault> {
    let id: Name = registry::name(row, 1)?;
    let spot = Spot { number: column(row, 0)?, kind: String::new(), id: id.to_string() };
    let (created_at, deleted_at) = (instant(row, 3)?, maybe_instant(row, 4)?);
    let account = number(spot.number);
    Ok((spot, Change::Project(Project { account, id, name: column(row, 2)?, created_at, deleted_at })))
}

fn quote(row: &Row) -> Result<(Spot, Change), Fault> {
    let (account, id): (i64, String) = (column(row, 0)?, column(row, 1)?);
    let spot = Spot { number: account, kind: String::new(), id: id.clone() };
    let (expires_at, body) = (instant(row, 2)?, column(row, 3)?);
    Ok((spot, Change::Quote(QuoteRecord { account: number(account), id, expires_at, body })))
}

fn reply(row: &Row) -> Result<(Spot, Change), Fault> {
    let key = NameHash(bytes(row, 3)?);
    let reply: Reply = registry::read_reply(row, key)?;
    Ok((Spot::of_key(&key.0), Change::Reply(reply)))
}

/// What a transaction of `rows::columns!` and `fact` settled.
pub fn fact(row: &Row) -> Result<Option<NameHash>, Fault> {
    let fact: Option<&[u8]> = column(row, rows::COLUMN_COUNT)?;
    let Some(fact) = fact else { return Ok(None) };
    let version = unsigned(column(row, 1)?);
    let fact = fact.try_into().map_err(|_| {
        let account = column(row, 0).map_or_else(|_| "an account".to_owned(), |it| number(it).to_string());
        Fault::new("reading the journal", format!("{account}, version {version}: a fact is not sixteen bytes"))
    })?;
    Ok(Some(NameHash(fact)))
}
