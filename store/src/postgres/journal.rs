//! The whole journal as a stream, and the numbers its rows have in it.
//!
//! No row carries a number: giving out numbers in the order of commits would make every commit of every node wait for
//! the one before it. The order is by account, and within one by version, which is all the order there is between
//! transactions; a row's number is how many rows stand before it, known from the books' versions alone. So the numbers
//! have no gaps unless a row is missing, and they shift while transactions are added: a stream is read in one
//! transaction that sees one moment, and whoever wants to go on later wants a store that rests.
use tokio_postgres::Row;

use super::Shared;
use super::rows::{self, column, columns, number, signed, unsigned};
use super::session::{Params, Session};
use super::stock;
use super::trouble::Trouble;
use crate::{EachPost, Fault};

const DOING: &str = "reading the journal";

pub const LENGTH: &str = "select coalesce(sum(version), 0)::bigint from books";
pub const LENGTHS: &str = "select account, version from books where $1 < account order by account limit $2";
pub const ROWS: &str = concat!(
    "select ",
    columns!(),
    ", fact from journal where $1 <= account and account <= $2 and (account, version) > ($1, $3) \
      order by account, version limit $4"
);

/// Accounts whose lengths are read at once, and rows.
const ACCOUNTS_MAX: i64 = 1_000;
const ROWS_MAX: i64 = 4_000;

pub async fn length(session: &Session) -> Result<u64, Trouble> {
    let found = session.query(DOING, LENGTH, &[]).await?;
    Ok(unsigned(column(&found[0], 0)?))
}

/// Calls `each` with every transaction after the one numbered `after`.
pub fn stream(shared: &Shared, after: u64, each: &mut EachPost<'_>) -> Result<(), Fault> {
    let ask = |sql, params: Params<'_>| -> Result<Vec<Row>, Fault> { Ok(shared.limited(asked(shared, sql, params))?) };
    let (mut last, mut before) = (-1_i64, 0);
    loop {
        let found = ask(LENGTHS, &[&last, &ACCOUNTS_MAX])?;
        let lengths: Vec<(i64, u64)> =
            found.iter().map(|it| Ok((column(it, 0)?, unsigned(column(it, 1)?)))).collect::<Result<_, Fault>>()?;
        let Some((newest, _)) = lengths.last() else { return Ok(()) };
        last = *newest;
        // What of these accounts is wanted begins in the first that reaches beyond `after`.
        let mut wanted = lengths.iter().copied().skip_while(|(_, length)| {
            let is_passed = before + length <= after;
            before += if is_passed { *length } else { 0 };
            is_passed
        });
        let Some(first) = wanted.next() else { continue };
        let part = Part { accounts: std::iter::once(first).chain(wanted).collect(), before, after };
        before = part.read(&ask, each)?;
    }
}

async fn asked(shared: &Shared, sql: &'static str, params: Params<'_>) -> Result<Vec<Row>, Trouble> {
    shared.pool.reader().await?.query(DOING, sql, params).await
}

/// Some accounts that follow each other, with their lengths.
struct Part {
    accounts: Vec<(i64, u64)>,
    /// Rows of all accounts before these.
    before: u64,
    after: u64,
}

impl Part {
    /// Reads the part's rows, and says how many rows stand before what follows.
    fn read(
        &self,
        ask: &impl Fn(&'static str, Params<'_>) -> Result<Vec<Row>, Fault>,
        each: &mut EachPost<'_>,
    ) -> Result<u64, Fault> {
        let (mut account, end) = (self.accounts[0].0, self.accounts[self.accounts.len() - 1].0);
        let mut version = signed(self.after.saturating_sub(self.before));
        let mut lengths = self.accounts.iter().copied();
        let mut before = self.before;
        let mut current = lengths.next().expect("a part has an account");
        loop {
            let found = ask(ROWS, &[&account, &end, &version, &ROWS_MAX])?;
            for row in &found {
                (account, version) = (column(row, 0)?, column(row, 1)?);
                while current.0 < account {
                    before += current.1;
                    let Some(next) = lengths.next() else { break };
                    current = next;
                }
                // One that has come since the lengths were read is not of this moment.
                if current.1 < unsigned(version) {
                    continue;
                }
                let transaction = rows::read(row)?;
                assert_eq!(transaction.place.account, number(account), "a row is whose it says");
                each(before + unsigned(version), transaction, stock::fact(row)?)?;
            }
            if found.len() < usize::try_from(ROWS_MAX).expect("a few thousand") {
                return Ok(self.before + self.accounts.iter().map(|it| it.1).sum::<u64>());
            }
        }
    }
}
