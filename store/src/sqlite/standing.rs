//! Usage of busy accounts, folded: one run that is never merged, and is added to where it stands.
//!
//! Runs are right for the many accounts that each have little in a fold. One that has much would have a row for most of
//! its hours in every run, and whoever reads it would add up as many of them as there are runs. Here an hour stands
//! once. What is added must be worth the blocks it changes: where it falls thinly over a long history it goes into a
//! run as that of others does.
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
/// About what a row takes.
const ROW_BYTES: usize = 50;
/// For each byte that is added so many are written at most.
const WRITTEN_MAX: usize = 10;
/// Blocks of accounts that add much have so many bytes: whoever reads them has to make sense of fewer names. Smaller
/// where less is added, because the last block is written again with every fold.
const BLOCK_BYTES_MAX: usize = 32_000;
const BLOCK_BYTES_ADDED: usize = 4;

fn fault(error: rusqlite::Error) -> Fault {
    Fault::new("using the folded usage", error)
}

/// Adds what an account used, rows in the order of their keys. False when it is not worth it, and nothing was.
pub fn add(file: &Connection, account: AccountNumber, rows: &[(UsageKey, UsageSum)]) -> Result<bool, Fault> {
    if rows.len() < ROWS_MIN {
        return Ok(false);
    }
    let blocks = blocks(file, account, (rows[0].0.hour, rows[rows.len() - 1].0.hour)).map_err(fault)?;
    let block_of = |hour: Timestamp| match blocks.partition_point(|it| it.start <= hour) {
        // What is before the first of them goes into it.
        0 => blocks.first(),
        after => Some(&blocks[after - 1]),
    };
    let of_blocks = || rows.chunk_by(|one, other| block_of(one.0.hour) == block_of(other.0.hour));
    let changed: usize = of_blocks().filter_map(|it| block_of(it[0].0.hour)).map(|it| it.bytes).sum();
    let added = rows.len() * ROW_BYTES;
    if WRITTEN_MAX * added < changed {
        return Ok(false);
    }
    let block_bytes = (BLOCK_BYTES_ADDED * added).clamp(hours::BLOCK_BYTES, BLOCK_BYTES_MAX);
    let mut writer = RunWriter::with_blocks(STANDING, block_bytes);
    for rows in of_blocks() {
        let mut total = match block_of(rows[0].0.hour) {
            Some(block) => take(file, account, block.start)?,
            None => Vec::new(),
        };
        total.extend_from_slice(rows);
        hours::push_all(file, &mut writer, account, &add_up(total))?;
        writer.write_block(file)?;
    }
    Ok(true)
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct BlockSpan {
    start: Timestamp,
    bytes: usize,
}

/// An account's blocks that have hours from `first` to `last`.
fn blocks(
    file: &Connection,
    account: AccountNumber,
    (first, last): (Timestamp, Timestamp),
) -> rusqlite::Result<Vec<BlockSpan>> {
    let query = "select hour, octet_length(body) from usage_blocks where run = ?1 and account = ?2 and hour <= ?4 \
                 and coalesce((select max(hour) from usage_blocks where run = ?1 and account = ?2 and hour <= ?3), ?3) \
                 <= hour order by hour";
    let mut statement = file.prepare_cached(query)?;
    let range = params![signed(STANDING), signed(account.get()), first.millis(), last.millis()];
    let found = statement.query_map(range, |row| {
        let bytes = usize::try_from(row.get::<_, i64>(1)?).unwrap_or(usize::MAX);
        Ok(BlockSpan { start: Timestamp::from_millis(row.get(0)?), bytes })
    })?;
    found.collect()
}

/// Takes a block away, for what was in it to be written again.
fn take(file: &Connection, account: AccountNumber, start: Timestamp) -> Result<Vec<(UsageKey, UsageSum)>, Fault> {
    let query = "delete from usage_blocks where run = ?1 and account = ?2 and hour = ?3 returning body";
    let mut statement = file.prepare_cached(query).map_err(fault)?;
    let place = params![signed(STANDING), signed(account.get()), start.millis()];
    let body: Option<String> = statement.query_row(place, |row| row.get(0)).optional().map_err(fault)?;
    let body = body.expect("it was found a moment ago, in the same transaction");
    let malformed = |it| Fault::new("using the folded usage", format!("a block of {account}: {it}"));
    Block::read(&body).and_then(|it| it.of(account)).map_err(malformed)
}
