//! Usage that is folded: runs of blocks, each sorted by account and hour.
//!
//! An account that is charged now and then has few rows in any one fold. Added to what it used before, they would lie
//! on a page of its own, and a fold would write a page an account; one after the other they fill their pages. So a fold
//! writes a run, and when there are enough runs of one level they are merged into one of the next: what an account
//! used is the sum of what the runs say, and there are few, however many charges there were. What a busy account used
//! is in a run of its own kind (see `standing`).
//!
//! Invariant: a run that is listed never loses a row before another run that is listed has it.
use std::collections::VecDeque;
use std::sync::Arc;

use billing::id::AccountNumber;
use billing::time::Timestamp;
use billing::usage::{UsageKey, UsageSum};
use rusqlite::{Connection, params};

use super::shared::Shared;
use super::standing::STANDING;
use super::uses::{Summed, Uses};
use super::{signed, unsigned};
use crate::Fault;
use crate::codec::{Block, BlockSpot, BlockWriter, told_whole};

/// A block ends with the hour that takes it beyond this: most then fill a page of 4096.
pub const BLOCK_BYTES: usize = 3_600;
/// Runs of one level that are merged into one of the next. More would merge less often and look into more.
const RUNS_MAX: usize = 8;
/// Blocks read or written in one go while merging.
const SLICE_BLOCKS: usize = 64;

fn fault(error: rusqlite::Error) -> Fault {
    Fault::new("using the folded usage", error)
}

fn malformed(run: u64, why: impl std::fmt::Display) -> Fault {
    Fault::new("using the folded usage", format!("a block of run {run}: {why}"))
}

/// Writes a run, of accounts and hours that come in order.
pub struct RunWriter {
    run: u64,
    block: BlockWriter,
    block_bytes: usize,
    /// The earliest hour and the latest that were pushed and not noted yet.
    hours: Option<(Timestamp, Timestamp)>,
}

impl RunWriter {
    pub fn new(run: u64) -> RunWriter {
        RunWriter::with_blocks(run, BLOCK_BYTES)
    }
    /// Of blocks that end with the hour that takes them beyond so many bytes.
    pub fn with_blocks(run: u64, block_bytes: usize) -> RunWriter {
        RunWriter { run, block: BlockWriter::new(), block_bytes, hours: None }
    }

    pub fn push(&mut self, file: &Connection, account: AccountNumber, sum: &Summed<'_>) -> Result<(), Fault> {
        let hour = sum.key.hour;
        if self.block_bytes <= self.block.length() && self.block.last() != Some((account, hour)) {
            self.write_block(file)?;
        }
        let quantities = sum.names.iter().zip(sum.amounts.iter().copied());
        self.block.push(account, sum.key, (sum.credits, sum.count), quantities);
        let (earliest, latest) = self.hours.unwrap_or((hour, hour));
        self.hours = Some((earliest.min(hour), latest.max(hour)));
        Ok(())
    }

    /// Writes what was pushed so far, of a run that is being folded: from now on it is found.
    pub fn flush(&mut self, file: &Connection) -> Result<(), Fault> {
        self.write_block(file)?;
        let Some((earliest, latest)) = self.hours.take() else { return Ok(()) };
        let query = "insert into usage_runs (run, first_hour, last_hour) values (?1, ?2, ?3) on conflict (run) do \
                     update set first_hour = min(first_hour, excluded.first_hour), \
                     last_hour = max(last_hour, excluded.last_hour)";
        run(file, query, params![signed(self.run), earliest.millis(), latest.millis()]).map(|_| ())
    }

    pub fn write_block(&mut self, file: &Connection) -> Result<(), Fault> {
        let Some(((account, hour), body)) = self.block.finish() else { return Ok(()) };
        let query = "insert into usage_blocks (run, account, hour, body) values (?1, ?2, ?3, ?4)";
        run(file, query, params![signed(self.run), signed(account.get()), hour.millis(), body]).map(|_| ())
    }

    /// Ends a run that was folded.
    pub fn end(&mut self, file: &Connection) -> Result<(), Fault> {
        self.flush(file)?;
        run(file, "update usage_runs set level = 0 where run = ?1", [signed(self.run)]).map(|_| ())
    }
}

fn run(file: &Connection, query: &str, columns: impl rusqlite::Params) -> Result<usize, Fault> {
    file.prepare_cached(query).map_err(fault)?.execute(columns).map_err(fault)
}

/// Adds an account's folded usage to `uses`, hours from `from` and before `to`.
pub fn add_usage_to(
    uses: &mut Uses,
    file: &Connection,
    account: AccountNumber,
    (from, to): (Timestamp, Timestamp),
) -> Result<(), Fault> {
    let query = "select ?3 union all select run from usage_runs where first_hour < ?2 and ?1 <= last_hour";
    let mut statement = file.prepare_cached(query).map_err(fault)?;
    let runs = statement.query_map([from.millis(), to.millis(), signed(STANDING)], |row| row.get(0)).map_err(fault)?;
    let runs: Vec<i64> = runs.collect::<rusqlite::Result<_>>().map_err(fault)?;
    for run in runs.into_iter().map(unsigned) {
        for text in blocks_of(file, run, (account, from), to).map_err(fault)? {
            let told = match run {
                STANDING => told_whole(&text),
                _ => Block::read(&text).and_then(|it| it.told(account)),
            };
            told.and_then(|it| uses.push_told(&it, from, to)).map_err(|it| malformed(run, it))?;
        }
    }
    Ok(())
}

/// Adds up what is of one key, and puts it in order.
pub fn add_up(mut rows: Vec<(UsageKey, UsageSum)>) -> Vec<(UsageKey, UsageSum)> {
    // Stable, because that is quick where rows come as several lists that are in order.
    rows.sort_by(|(one, _), (other, _)| one.cmp(other));
    rows.dedup_by(|(key, sum), (kept, total)| {
        let is_same = key == kept;
        if is_same {
            total.add(sum);
        }
        is_same
    });
    rows
}

/// The blocks of a run that may have hours of an account from `from` and before `to`; of the standing run, none but the
/// account's.
fn blocks_of(file: &Connection, run: u64, (account, from): BlockSpot, to: Timestamp) -> rusqlite::Result<Vec<String>> {
    let first = if run == STANDING {
        "select body from usage_blocks where run = ?1 and account = ?2 and hour <= ?3 order by hour desc limit 1"
    } else {
        "select body from usage_blocks where run = ?1 and (account, hour) <= (?2, ?3) \
         order by account desc, hour desc limit 1"
    };
    let (run, account) = (signed(run), signed(account.get()));
    let later =
        "select body from usage_blocks where run = ?1 and account = ?2 and ?3 < hour and hour < ?4 order by hour";
    let mut found = Vec::new();
    let mut statement = file.prepare_cached(first)?;
    let mut rows = statement.query([run, account, from.millis()])?;
    while let Some(row) = rows.next()? {
        found.push(row.get(0)?);
    }
    let mut statement = file.prepare_cached(later)?;
    let mut rows = statement.query([run, account, from.millis(), to.millis()])?;
    while let Some(row) = rows.next()? {
        found.push(row.get(0)?);
    }
    Ok(found)
}

/// Ends what a fold before a crash began, and throws away blocks of runs that are not listed.
pub fn tidy(file: &Connection) -> Result<(), Fault> {
    run(file, "update usage_runs set level = 0 where level is null", [])?;
    let mut from = STANDING + 1;
    loop {
        let query =
            "select run, run in (select run from usage_runs) from usage_blocks where ?1 <= run order by run limit 1";
        let mut statement = file.prepare_cached(query).map_err(fault)?;
        let mut rows = statement.query([signed(from)]).map_err(fault)?;
        let Some(row) = rows.next().map_err(fault)? else { return Ok(()) };
        let (number, is_listed) = (row.get(0).map(unsigned).map_err(fault)?, row.get::<_, bool>(1).map_err(fault)?);
        drop(rows);
        while !is_listed && erase_some(file, number)? {}
        from = number + 1;
    }
}

/// Removes some blocks of a run that is not listed any more. False when there are none left.
fn erase_some(file: &Connection, number: u64) -> Result<bool, Fault> {
    let query = "delete from usage_blocks where rowid in (select rowid from usage_blocks where run = ?1 limit 500)";
    Ok(run(file, query, [signed(number)])? != 0)
}

/// Merges until no level has too many runs.
pub fn merge(shared: &Shared, reader: &Connection) -> Result<(), Fault> {
    while let Some((runs, level)) = ripe(reader)? {
        let mut writer = RunWriter::new(shared.next_run());
        let mut sources = runs.iter().map(|it| Source::new(reader, *it)).collect::<Result<Vec<_>, Fault>>()?;
        let mut hours = None;
        loop {
            // Read outside the slice: the file's one writer is needed only to write.
            let merged = take(reader, &mut sources)?;
            if merged.is_empty() {
                break;
            }
            shared.slice(|file| {
                merged.iter().try_for_each(|(account, rows)| push_all(file, &mut writer, *account, rows))
            })?;
            hours = writer.hours;
        }
        shared.slice(|file| {
            writer.write_block(file)?;
            let (earliest, latest) = hours.expect("runs that are listed have rows");
            let query = "insert into usage_runs (run, level, first_hour, last_hour) values (?1, ?2, ?3, ?4)";
            run(file, query, params![signed(writer.run), level + 1, earliest.millis(), latest.millis()])?;
            runs.iter().try_for_each(|it| run(file, "delete from usage_runs where run = ?1", [signed(*it)]).map(|_| ()))
        })?;
        for number in runs {
            while shared.slice(|file| erase_some(file, number))? {}
        }
    }
    Ok(())
}

/// Pushes all that an account used.
pub fn push_all(
    file: &Connection,
    writer: &mut RunWriter,
    account: AccountNumber,
    rows: &[(UsageKey, UsageSum)],
) -> Result<(), Fault> {
    let (mut names, mut amounts) = (Vec::new(), Vec::new());
    for (key, sum) in rows {
        names.clear();
        amounts.clear();
        names.extend(sum.quantities.iter().map(|it| Arc::clone(&it.0)));
        amounts.extend(sum.quantities.iter().map(|it| it.1));
        let (key, names, amounts) = (key.as_ref(), &names[..], &amounts[..]);
        writer.push(file, account, &Summed { key, credits: sum.credits, count: sum.count, names, amounts })?;
    }
    Ok(())
}

/// The oldest runs of the lowest level that has enough of them.
fn ripe(file: &Connection) -> Result<Option<(Vec<u64>, u32)>, Fault> {
    let query = "select run, level from usage_runs where level = (select level from usage_runs where level is not null \
                 group by level having ?1 <= count(*) order by level limit 1) order by run limit ?1";
    let mut statement = file.prepare_cached(query).map_err(fault)?;
    let runs_max = i64::try_from(RUNS_MAX).expect("a few");
    let runs = statement.query_map([runs_max], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?))).map_err(fault)?;
    let runs: Vec<(i64, u32)> = runs.collect::<rusqlite::Result<_>>().map_err(fault)?;
    Ok(runs.first().map(|it| (runs.iter().map(|it| unsigned(it.0)).collect(), it.1)))
}

type OfAccount = (AccountNumber, Vec<(UsageKey, UsageSum)>);

/// A run, read from its first account to its last.
struct Source {
    run: u64,
    /// Where the last block that was read begins.
    last: Option<(i64, i64)>,
    accounts: VecDeque<OfAccount>,
}

impl Source {
    fn new(file: &Connection, run: u64) -> Result<Source, Fault> {
        let mut source = Source { run, last: None, accounts: VecDeque::new() };
        source.fill(file)?;
        Ok(source)
    }

    fn fill(&mut self, file: &Connection) -> Result<(), Fault> {
        let query = "select account, hour, body from usage_blocks where run = ?1 and (?2, ?3) < (account, hour) \
                     order by account, hour limit ?4";
        let mut statement = file.prepare_cached(query).map_err(fault)?;
        let (account, hour) = self.last.unwrap_or((-1, 0));
        let limit = i64::try_from(SLICE_BLOCKS / RUNS_MAX).expect("a few");
        let mut rows = statement.query([signed(self.run), account, hour, limit]).map_err(fault)?;
        while let Some(row) = rows.next().map_err(fault)? {
            self.last = Some((row.get(0).map_err(fault)?, row.get(1).map_err(fault)?));
            let text = row.get_ref(2).map_err(fault)?.as_str().map_err(|it| fault(it.into()))?;
            let block = Block::read(text).map_err(|it| malformed(self.run, it))?;
            for account in block.accounts() {
                self.accounts.push_back((account, block.of(account).map_err(|it| malformed(self.run, it))?));
            }
        }
        Ok(())
    }

    /// What of `account` comes next.
    fn take(&mut self, file: &Connection, account: AccountNumber) -> Result<Option<OfAccount>, Fault> {
        let taken = self.accounts.pop_front_if(|it| it.0 == account);
        if self.accounts.is_empty() {
            self.fill(file)?;
        }
        Ok(taken)
    }
}

/// The next accounts, with all that the sources say of each; about a slice full.
fn take(file: &Connection, sources: &mut [Source]) -> Result<Vec<OfAccount>, Fault> {
    /// About as many as fit into the blocks of a slice.
    const ROWS: usize = 4_096;
    let (mut taken, mut rows) = (Vec::new(), 0);
    while rows < ROWS {
        let next = sources.iter().filter_map(|it| it.accounts.front()).map(|it| it.0).min();
        let Some(account) = next else { break };
        let mut total = Vec::new();
        for source in sources.iter_mut() {
            while let Some((_, found)) = source.take(file, account)? {
                total.extend(found);
            }
        }
        let total = add_up(total);
        rows += total.len();
        taken.push((account, total));
    }
    Ok(taken)
}
