//! What a group of commands needs to be decided: names and books, asked for together. With the books' rows locked or
//! not: see [`super::reserve`].
use std::collections::HashMap;
use std::sync::Arc;

use billing::id::{AccountNumber, Place};
use billing::ledger::Book;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::rows::{column, number, prefix, signed, unsigned};
use super::session::{Asked, Session};
use super::trouble::Trouble;
use crate::codec;
use crate::{Fault, NameHash};

const DOING: &str = "recalling names and books";

pub const KEYS: &str = "select account, version, key from journal where name = any($1) and account = any($2)";
pub const FACTS: &str = "select account, version, fact from journal where fact = any($1) and account = any($2)";
pub const BOOKS: &str = "select account, version, body from books where account = any($1)";

/// The transactions that names stand for, in the order asked.
pub async fn names(session: &Session, names: &[NameHash]) -> Result<Vec<Option<Place>>, Trouble> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<i64> = names.iter().filter(|it| it.is_key()).map(|it| prefix(*it)).collect();
    let facts: Vec<&[u8]> = names.iter().filter(|it| !it.is_key()).map(|it| &it.0[..]).collect();
    let mut accounts: Vec<i64> = names.iter().map(|it| signed(it.account().get())).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let by_key: Asked<'_> = (KEYS, vec![&keys, &accounts]);
    let by_fact: Asked<'_> = (FACTS, vec![&facts, &accounts]);
    let asked = [(!keys.is_empty()).then_some(by_key), (!facts.is_empty()).then_some(by_fact)];
    let answers = session.query_all(DOING, &asked.into_iter().flatten().collect::<Vec<_>>()).await?;
    let mut found = HashMap::new();
    for row in answers.iter().flatten() {
        let place = Place { account: number(column(row, 0)?), version: unsigned(column(row, 1)?) };
        found.insert(named(row, place.account)?, place);
    }
    Ok(names.iter().map(|it| found.get(it).copied()).collect())
}

/// All of the name of a row: eight bytes led to it, which others may have too.
fn named(row: &Row, account: AccountNumber) -> Result<NameHash, Fault> {
    if row.columns()[2].name() == "key" {
        return Ok(NameHash::key(account, column(row, 2)?));
    }
    let fact: &[u8] = column(row, 2)?;
    let fact = fact.try_into().map_err(|_| Fault::new(DOING, format!("a fact of {account:?} is not sixteen bytes")))?;
    Ok(NameHash(fact))
}

/// Books in the order asked; None for an account without transactions.
pub async fn books(session: &Session, accounts: &[AccountNumber]) -> Result<Vec<Option<Arc<Book>>>, Trouble> {
    if accounts.is_empty() {
        return Ok(Vec::new());
    }
    let numbers: Vec<i64> = accounts.iter().map(|it| signed(it.get())).collect();
    let params: [&(dyn ToSql + Sync); 1] = [&numbers];
    let mut found = HashMap::new();
    for row in session.query(DOING, BOOKS, &params).await? {
        let account = number(column(&row, 0)?);
        found.insert(account, Arc::new(read_book(account, unsigned(column(&row, 1)?), column(&row, 2)?)?));
    }
    Ok(accounts.iter().map(|it| found.get(it).cloned()).collect())
}

pub fn read_book(account: AccountNumber, version: u64, body: &str) -> Result<Book, Fault> {
    let broken = |it| Fault::new(DOING, format!("book of {account:?}: {it}"));
    codec::read_book(body, account, version).map_err(broken)
}
