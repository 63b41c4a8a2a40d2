//! Which transactions names stand for. With the books' rows locked or not: see [`super::reserve`].
use std::collections::HashMap;

use billing::id::{AccountNumber, Place};
use tokio_postgres::Row;

use super::rows::{column, number, prefix, signed, unsigned};
use super::session::{Asked, Session};
use super::trouble::Trouble;
use crate::{Fault, NameHash};

const DOING: &str = "recalling names";

/// Of the two indexes that could lead to a name the planner must take that of names: by the account it would read all
/// that a hot account ever did. So it is not told of the account.
pub const KEYS: &str = "select account, version, key from journal where name = any($1)";
pub const FACTS: &str = "select account, version, fact from journal where fact = any($1)";
/// Where accounts are spread over machines, the account says which of them to ask.
pub const KEYS_OF: &str = "select account, version, key from journal where name = any($1) and account = any($2)";
pub const FACTS_OF: &str = "select account, version, fact from journal where fact = any($1) and account = any($2)";

/// The statements that [`names`] runs.
pub fn statements(is_distributed: bool) -> [&'static str; 2] {
    if is_distributed { [KEYS_OF, FACTS_OF] } else { [KEYS, FACTS] }
}

/// The transactions that names stand for, in the order asked.
pub async fn names(session: &Session, is_distributed: bool, names: &[NameHash]) -> Result<Vec<Option<Place>>, Trouble> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<i64> = names.iter().filter(|it| it.is_key()).map(|it| prefix(*it)).collect();
    let facts: Vec<&[u8]> = names.iter().filter(|it| !it.is_key()).map(|it| &it.0[..]).collect();
    let mut accounts: Vec<i64> = names.iter().map(|it| signed(it.account().get())).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let [by_key, by_fact] = statements(is_distributed);
    let (mut by_key, mut by_fact): (Asked<'_>, Asked<'_>) = ((by_key, vec![&keys]), (by_fact, vec![&facts]));
    if is_distributed {
        by_key.1.push(&accounts);
        by_fact.1.push(&accounts);
    }
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
    let fact = fact.try_into().map_err(|_| Fault::new(DOING, format!("a fact of {account} is not sixteen bytes")))?;
    Ok(NameHash(fact))
}
