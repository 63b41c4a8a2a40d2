//! Rows of the journal: transactions in, transactions out.
use std::sync::Arc;

use billing::id::{AccountNumber, Place};
use billing::ledger::{Origin, Transaction};
use billing::rating::Text;
use billing::time::Timestamp;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql};

use crate::codec::{self, Columns, Json};
use crate::{Fault, NameHash, Post};

const READING: &str = "reading the journal";

pub fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("numbers of accounts and versions are far below 2^63")
}

pub fn unsigned(number: i64) -> u64 {
    u64::try_from(number).expect("what was stored was not negative")
}

pub fn number(number: i64) -> AccountNumber {
    AccountNumber::from_random(unsigned(number))
}

/// As many rows as there may be, in the database's own numbers.
pub fn rows_max(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A bound on versions, in the database's own numbers.
pub fn below(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(i64::MAX)
}

/// A column of a row, or why it is not what it should be.
pub fn column<'a, T: FromSql<'a>>(row: &'a Row, place: usize) -> Result<T, Fault> {
    row.try_get(place).map_err(|it| super::trouble::fault("reading a row", &it))
}

/// The eight bytes by which the journal's index finds a key.
pub fn prefix(name: NameHash) -> i64 {
    i64::from_be_bytes(*name.0.first_chunk().expect("a name has sixteen bytes"))
}

/// What goes into the journal, column by column.
#[derive(Default)]
pub struct NewRows<'a> {
    pub accounts: Vec<i64>,
    pub versions: Vec<i64>,
    pub instants: Vec<i64>,
    pub kinds: Vec<&'static str>,
    pub credits: Vec<i64>,
    pub meters: Vec<Option<&'a str>>,
    pub keys: Vec<Option<&'a str>>,
    pub names: Vec<Option<i64>>,
    pub requests: Vec<Option<Vec<u8>>>,
    pub facts: Vec<Option<&'a [u8]>>,
    pub bys: Vec<Option<&'a str>>,
    pub granted: Vec<Option<String>>,
    pub bodies: Vec<String>,
}

pub const INSERT: &str = "insert into journal \
    (account, version, at, kind, credits, meter, key, name, request, fact, by, granted, body) \
    select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::text[], \
    $8::bigint[], $9::bytea[], $10::bytea[], $11::text[], $12::text[], $13::text[])";
/// One row: see [`super::write::ROWS_EACH_MAX`].
pub const INSERT_ONE: &str = "insert into journal \
    (account, version, at, kind, credits, meter, key, name, request, fact, by, granted, body) \
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";

impl<'a> NewRows<'a> {
    pub fn of(posts: &[&'a Post]) -> NewRows<'a> {
        let mut rows = NewRows::default();
        let mut json = Json::new();
        posts.iter().for_each(|it| rows.push(it, &mut json));
        rows
    }

    fn push(&mut self, post: &'a Post, json: &mut Json) {
        let transaction = &*post.transaction;
        let Place { account, version } = transaction.place;
        assert_eq!((post.book.account, post.book.version), (account, version), "a book ends in its transaction");
        let key = transaction.origin.key.as_deref().map(|it| NameHash::key(account, it));
        assert_eq!(post.key, key, "a post's key is the name of its transaction's key");
        let columns = Columns::of(transaction);
        json.clear();
        codec::write_body(json, transaction, &columns, codec::Numbers::NONE);
        let origin = &transaction.origin;
        self.accounts.push(signed(account.get()));
        self.versions.push(signed(version));
        self.instants.push(transaction.at.millis());
        self.kinds.push(columns.kind);
        self.credits.push(columns.credits);
        self.meters.push(columns.meter.map(|it| &**it));
        self.keys.push(origin.key.as_deref());
        self.names.push(key.map(prefix));
        self.requests.push((origin.request != 0).then(|| origin.request.to_be_bytes().to_vec()));
        self.facts.push(post.fact.as_ref().map(|it| &it.0[..]));
        self.bys.push(origin.by.as_deref());
        self.granted.push(columns.grant.map(|it| it.to_string()));
        self.bodies.push(json.as_str().to_owned());
    }

    /// The columns, as [`INSERT`] takes them.
    pub fn columns(&self) -> Vec<&(dyn ToSql + Sync)> {
        vec![
            &self.accounts,
            &self.versions,
            &self.instants,
            &self.kinds,
            &self.credits,
            &self.meters,
            &self.keys,
            &self.names,
            &self.requests,
            &self.facts,
            &self.bys,
            &self.granted,
            &self.bodies,
        ]
    }

    /// Each row, as [`INSERT_ONE`] takes it.
    pub fn each(&self) -> impl Iterator<Item = Vec<&(dyn ToSql + Sync)>> {
        (0..self.accounts.len()).map(|it| -> Vec<&(dyn ToSql + Sync)> {
            vec![
                &self.accounts[it],
                &self.versions[it],
                &self.instants[it],
                &self.kinds[it],
                &self.credits[it],
                &self.meters[it],
                &self.keys[it],
                &self.names[it],
                &self.requests[it],
                &self.facts[it],
                &self.bys[it],
                &self.granted[it],
                &self.bodies[it],
            ]
        })
    }
}

/// The columns [`read`] takes, in its order.
macro_rules! columns {
    () => {
        "account, version, at, kind, credits, meter, key, request, by, body"
    };
}
pub(super) use columns;
/// How many they are.
pub const COLUMN_COUNT: usize = 10;

/// The transaction of a row of `columns!`.
pub fn read(row: &Row) -> Result<Transaction, Fault> {
    let place = Place { account: number(column(row, 0)?), version: unsigned(column(row, 1)?) };
    let text = |place| column::<Option<&str>>(row, place);
    let request: Option<&[u8]> = column(row, 7)?;
    let request = request.map(<[u8; 16]>::try_from).transpose();
    let broken = |it: String| Fault::new(READING, format!("{place}: {it}"));
    let parts = codec::Row {
        place,
        at: Timestamp::from_millis(column(row, 2)?),
        kind: column(row, 3)?,
        credits: column(row, 4)?,
        meter: text(5)?,
        origin: Origin {
            key: text(6)?.map(Text::from),
            request: request.map_err(|it| broken(it.to_string()))?.map_or(0, u128::from_be_bytes),
            by: text(8)?.map(Text::from),
        },
        body: column(row, 9)?,
        numbered: None,
    };
    codec::read_transaction(parts).map_err(|it| broken(it.to_string()))
}

pub fn read_all(rows: &[Row]) -> Result<Vec<Arc<Transaction>>, Fault> {
    rows.iter().map(|it| read(it).map(Arc::new)).collect()
}
