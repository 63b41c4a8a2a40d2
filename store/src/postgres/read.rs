//! Reads of the journal and of what is due, each a statement or two by their keys.
use std::collections::HashMap;
use std::sync::Arc;

use billing::id::{AccountNumber, Place};
use billing::ledger::Transaction;
use billing::time::Timestamp;

use super::rows::{self, below, column, columns, number, rows_max, signed};
use super::session::{Asked, Session};
use super::trouble::Trouble;

const DOING: &str = "reading the journal";

pub const ONE: &str = concat!("select ", columns!(), " from journal where account = $1 and version = $2");
pub const NEWEST: &str =
    concat!("select ", columns!(), " from journal where account = $1 and version < $2 order by version desc limit $3");
pub const GRANTING: &str = concat!(
    "select ",
    columns!(),
    " from journal where account = $1 and version < $2 and granted is not null order by version desc limit $3"
);
/// Of several accounts.
pub const SOME: &str = concat!(
    "select ",
    columns!(),
    " from unnest($1::bigint[], $2::bigint[]) as wanted (owner, place) \
      join journal on account = wanted.owner and version = wanted.place"
);
/// Of every account: asked of all machines at once, without a lock.
pub const DUE: &str = "select account from books where due_at <= $1 order by due_at, account limit $2";

pub async fn transaction(session: &Session, place: Place) -> Result<Option<Arc<Transaction>>, Trouble> {
    let found = session.query(DOING, ONE, &[&signed(place.account.get()), &below(place.version)]).await?;
    Ok(rows::read_all(&found)?.pop())
}

/// What is at each of some places.
pub async fn transactions_at(
    session: &Session,
    is_distributed: bool,
    places: &[Place],
) -> Result<Vec<Option<Arc<Transaction>>>, Trouble> {
    let columns = places.iter().map(|it| (signed(it.account.get()), below(it.version)));
    let (accounts, versions): (Vec<i64>, Vec<i64>) = columns.unzip();
    let asked: Vec<Asked<'_>> = if is_distributed {
        accounts.iter().zip(&versions).map(|(account, version)| (ONE, vec![account as _, version as _])).collect()
    } else {
        vec![(SOME, vec![&accounts, &versions])]
    };
    let found: Vec<_> = session.query_all(DOING, &asked).await?.into_iter().flatten().collect();
    let found = rows::read_all(&found)?;
    let found: HashMap<Place, Arc<Transaction>> = found.into_iter().map(|it| (it.place, it)).collect();
    Ok(places.iter().map(|it| found.get(it).cloned()).collect())
}

/// Transactions of an account, newest first, as `sql` chooses them.
pub async fn transactions(
    session: &Session,
    sql: &'static str,
    account: AccountNumber,
    before: u64,
    limit: usize,
) -> Result<Vec<Arc<Transaction>>, Trouble> {
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
        [&signed(account.get()), &below(before), &rows_max(limit)];
    Ok(rows::read_all(&session.query(DOING, sql, &params).await?)?)
}

/// Accounts whose books have something due, longest due first.
pub async fn due(session: &Session, at: Timestamp, limit: usize) -> Result<Vec<AccountNumber>, Trouble> {
    let found = session.query("reading what is due", DUE, &[&at.millis(), &rows_max(limit)]).await?;
    Ok(found.iter().map(|it| column(it, 0).map(number)).collect::<Result<_, _>>()?)
}
