//! Usage of busy accounts, folded: one run that is never merged, and is added to where it stands.
//!
//! Runs are right for the many accounts that each have little in a fold. One that has much would have a row for most of
//! its hours in every run, and whoever reads it would add up as many of them as there are runs. Here an hour stands
//! once. What is added must be worth the blocks it changes: where it falls thinly over a long history it goes into a run
//! as that of others does.
//!
//! Invariant: a block is of one account, and accounts' blocks do not overlap: each has the hours from its first up to
//! the first of the next.
use billing::id::AccountNumber;
use billing::time::Timestamp;
use billing::usage::{UsageKey, UsageSum};
use rusqlite::{Connection, OptionalExtension, params};

use super::hours::{self, RunWriter, add_up};
use super::signed;
use crate::Fault;
use crate::codec::Block;

/// No run that is folded or merged has this number.
pub const STANDING: u64 = 0;
/// Rows of an account in a fold that may be added here, at least.
pub const ROWS_MIN: usize = 64;
/// And as many for each block they change. A block has some eighty: one is written ten times at most.
const ROWS_A_BLOCK: usize = 8;

fn fault(error: rusqlite::Error) -> Fault {
    Fault::new("using the folded usage", error)
}

/// Adds what an account used, rows in the order of their keys. False when it is not worth it, and nothing was.
pub fn add(file: &Connection, account: AccountNumber, rows: &[(UsageKey, UsageSum)]) -> Result<bool, Fault> {
    if rows.len() < ROWS_MIN {
        return Ok(false);
    }
    let starts = starts(file, account, (rows[0].0.hour, rows[rows.len() - 1].0.hour)).map_err(fault)?;
    let block_of = |hour: Timestamp| match starts.partition_point(|it| *it <= hour) {
        // What is before the first of them goes into it.
        0 => starts.first().copied(),
        after => Some(starts[after - 1]),
    };
    let of_blocks = || rows.chunk_by(|one, other| block_of(one.0.hour) == block_of(other.0.hour));
    let changed = of_blocks().filter(|it| block_of(it[0].0.hour).is_some()).count();
    if rows.len() < ROWS_A_BLOCK * changed {
        return Ok(false);
    }
    let mut writer = RunWriter::new(STANDING);
    for rows in of_blocks() {
        let mut total = match block_of(rows[0].0.hour) {
            Some(start) => take(file, account, start)?,
            None => Vec::new(),
        };
        total.extend_from_slice(rows);
        hours::push_all(file, &mut writer, account, &add_up(total))?;
        writer.write_block(file)?;
    }
    Ok(true)
}

/// Where an account's blocks begin, those that have hours from `first` to `last`.
fn starts(
    file: &Connection,
    account: AccountNumber,
    (first, last): (Timestamp, Timestamp),
) -> rusqlite::Result<Vec<Timestamp>> {
    let (run, account) = (signed(STANDING), signed(account.get()));
    let before = "select max(hour) from usage_blocks where run = ?1 and account = ?2 and hour <= ?3";
    let before: Option<i64> =
        file.prepare_cached(before)?.query_row(params![run, account, first.millis()], |row| row.get(0))?;
    let query =
        "select hour from usage_blocks where run = ?1 and account = ?2 and ?3 < hour and hour <= ?4 order by hour";
    let mut statement = file.prepare_cached(query)?;
    let later = statement.query_map(params![run, account, first.millis(), last.millis()], |row| row.get(0))?;
    let all = before.map(Ok).into_iter().chain(later);
    all.map(|it: rusqlite::Result<i64>| it.map(Timestamp::from_millis)).collect()
}

/// Takes a block away, for what was in it to be written again.
fn take(file: &Connection, account: AccountNumber, start: Timestamp) -> Result<Vec<(UsageKey, UsageSum)>, Fault> {
    let query = "delete from usage_blocks where run = ?1 and account = ?2 and hour = ?3 returning body";
    let mut statement = file.prepare_cached(query).map_err(fault)?;
    let place = params![signed(STANDING), signed(account.get()), start.millis()];
    let body: Option<String> = statement.query_row(place, |row| row.get(0)).optional().map_err(fault)?;
    let body = body.expect("it was found a moment ago, in the same transaction");
    let malformed = |it| Fault::new("using the folded usage", format!("a block of {account:?}: {it}"));
    Block::read(&body).and_then(|it| it.of(account)).map_err(malformed)
}
