//! The name index of all history that is folded: sorted runs, each found through a filter in memory.
//!
//! A run never changes. A fold writes one; when there are enough of one level they are merged into one of the next.
//! What is found here is a hint: 63 bits of a name lead to journal rows, and the row itself says whether it has the
//! name.
use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::filter::Filter;
use super::{signed, unsigned};
use crate::{Fault, NameHash};

/// Names in a block: with SQLite's own bytes they fill a page of 4096.
const BLOCK_NAMES: usize = 252;
const ENTRY_BYTES: usize = 16;
/// Bits of a block's place below the run.
const PREFIX_BITS: u32 = 40;

pub struct Run {
    pub number: u64,
    pub level: u32,
    pub count: u64,
    filter: Filter,
}

/// Every run there is, at one moment.
pub type Runs = Arc<Vec<Arc<Run>>>;

/// A run was merged away since the list of runs was taken: take it again.
pub struct Vanished;

/// The 63 bits a name is sorted by.
pub fn prefix(name: NameHash) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&name.0[..8]);
    u64::from_be_bytes(first) >> 1
}

fn fault(error: rusqlite::Error) -> Fault {
    Fault::new("using the name index", error)
}

fn place(run: u64, prefix: u64) -> i64 {
    signed(run << PREFIX_BITS | prefix >> (63 - PREFIX_BITS))
}

impl Run {
    /// Whether this run may have a name. Never wrong when it says no.
    pub fn may_have(&self, prefix: u64) -> bool {
        self.filter.may_have(prefix)
    }

    /// The sequences that stand beside `prefix` in this run.
    pub fn find(&self, file: &Connection, prefix: u64) -> Result<Result<Vec<u64>, Vanished>, Fault> {
        let query = "select body from name_blocks where place between ?1 and ?2 order by place desc limit 1";
        let mut statement = file.prepare_cached(query).map_err(fault)?;
        let (lowest, highest) = (place(self.number, 0), place(self.number, prefix));
        let block = statement.query_row([lowest, highest], |row| {
            let body = row.get_ref(0)?.as_blob()?;
            let entries = body.chunks_exact(ENTRY_BYTES).map(entry);
            Ok(entries.filter(|(it, _)| *it == prefix).map(|(_, sequence)| sequence).collect())
        });
        Ok(block.optional().map_err(fault)?.ok_or(Vanished))
    }
}

fn entry(bytes: &[u8]) -> (u64, u64) {
    let word = |at: usize| u64::from_be_bytes(std::array::from_fn(|it| bytes[at + it]));
    (word(0), word(8))
}

/// Reads the list of runs, and throws away blocks of runs that were never finished.
pub fn load(file: &Connection) -> Result<Runs, Fault> {
    let mut runs = Vec::new();
    let mut statement = file.prepare("select run, level, count, filter from name_runs order by run").map_err(fault)?;
    let mut rows = statement.query([]).map_err(fault)?;
    while let Some(row) = rows.next().map_err(fault)? {
        let columns = || Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get::<_, i64>(2)?, row.get(3)?));
        let (number, level, count, filter) = columns().map_err(fault)?;
        let filter = Filter::from_bytes(filter);
        let filter = filter.ok_or_else(|| Fault::new("using the name index", format!("run {number} has no filter")))?;
        runs.push(Arc::new(Run { number: unsigned(number), level, count: unsigned(count), filter }));
    }
    let known: BTreeSet<u64> = runs.iter().map(|it| it.number).collect();
    let mut from = 0;
    while let Some(number) = next_written(file, from)? {
        if !known.contains(&number) {
            while erase_some(file, number)? {}
        }
        from = number + 1;
    }
    Ok(Arc::new(runs))
}

/// The first run from `from` on that has blocks.
fn next_written(file: &Connection, from: u64) -> Result<Option<u64>, Fault> {
    let query = "select place from name_blocks where ?1 <= place order by place limit 1";
    let found = file.query_row(query, [place(from, 0)], |row| row.get::<_, i64>(0)).optional().map_err(fault)?;
    Ok(found.map(|it| unsigned(it) >> PREFIX_BITS))
}

/// Removes some blocks of a run that is not listed any more. False when there are none left.
pub fn erase_some(file: &Connection, number: u64) -> Result<bool, Fault> {
    let query = "delete from name_blocks where place in (select place from name_blocks where place between ?1 and ?2 \
                 order by place limit 500)";
    let range = [place(number, 0), place(number + 1, 0) - 1];
    let erased = file.prepare_cached(query).map_err(fault)?.execute(range).map_err(fault)?;
    Ok(erased != 0)
}

/// The number of a new run: higher than that of any block there is, of names or of usage.
pub fn new_number(file: &Connection) -> Result<u64, Fault> {
    let query = "select 1 + max(coalesce((select max(place) from name_blocks), 0) >> ?1, \
                 coalesce((select max(run) from name_runs), 0), coalesce((select max(run) from usage_runs), 0), \
                 coalesce((select max(run) from usage_blocks), 0))";
    file.query_row(query, [PREFIX_BITS], |row| row.get(0)).map(unsigned).map_err(fault)
}

/// Makes a run of names that come in order.
pub struct RunWriter {
    number: u64,
    level: u32,
    count: u64,
    filter: Filter,
    block: Vec<u8>,
    block_place: i64,
    last: u64,
}

impl RunWriter {
    pub fn new(number: u64, level: u32, count_about: u64) -> RunWriter {
        let (filter, block) = (Filter::for_names(count_about), Vec::with_capacity(BLOCK_NAMES * ENTRY_BYTES));
        RunWriter { number, level, count: 0, filter, block, block_place: place(number, 0), last: 0 }
    }

    pub fn push(&mut self, file: &Connection, (prefix, sequence): (u64, u64)) -> Result<(), Fault> {
        assert!(self.last <= prefix, "a run is sorted");
        // Names that share a block's place stay in one block, or the second would not be found.
        if BLOCK_NAMES * ENTRY_BYTES <= self.block.len() && place(self.number, self.last) < place(self.number, prefix) {
            self.write_block(file)?;
            self.block_place = place(self.number, prefix);
        }
        self.last = prefix;
        self.count += 1;
        self.filter.add(prefix);
        self.block.extend_from_slice(&prefix.to_be_bytes());
        self.block.extend_from_slice(&sequence.to_be_bytes());
        Ok(())
    }

    fn write_block(&mut self, file: &Connection) -> Result<(), Fault> {
        let mut statement =
            file.prepare_cached("insert into name_blocks (place, body) values (?1, ?2)").map_err(fault)?;
        statement.execute(params![self.block_place, self.block]).map_err(fault)?;
        self.block.clear();
        Ok(())
    }

    /// Writes what is left and lists the run; `instead_of` are listed no longer.
    pub fn finish(mut self, file: &Connection, instead_of: &[Arc<Run>]) -> Result<Run, Fault> {
        self.write_block(file)?;
        let query = "insert into name_runs (run, level, count, filter) values (?1, ?2, ?3, ?4)";
        let columns = params![signed(self.number), self.level, signed(self.count), self.filter.as_bytes()];
        file.execute(query, columns).map_err(fault)?;
        for run in instead_of {
            file.execute("delete from name_runs where run = ?1", [signed(run.number)]).map_err(fault)?;
        }
        Ok(Run { number: self.number, level: self.level, count: self.count, filter: self.filter })
    }
}

/// Walks through a run from its first name to its last.
pub struct RunReader {
    number: u64,
    next_place: i64,
    entries: std::vec::IntoIter<(u64, u64)>,
}

impl RunReader {
    /// Blocks read in one go.
    const BLOCKS: u32 = 64;

    pub fn new(run: &Run) -> RunReader {
        RunReader { number: run.number, next_place: place(run.number, 0), entries: Vec::new().into_iter() }
    }

    pub fn next(&mut self, file: &Connection) -> Result<Option<(u64, u64)>, Fault> {
        if self.entries.len() == 0 {
            self.fill(file)?;
        }
        Ok(self.entries.next())
    }

    fn fill(&mut self, file: &Connection) -> Result<(), Fault> {
        let query = "select place, body from name_blocks where place between ?1 and ?2 order by place limit ?3";
        let mut statement = file.prepare_cached(query).map_err(fault)?;
        let highest = place(self.number + 1, 0) - 1;
        let mut rows = statement.query(params![self.next_place, highest, Self::BLOCKS]).map_err(fault)?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next().map_err(fault)? {
            self.next_place = row.get::<_, i64>(0).map_err(fault)? + 1;
            let body = row.get_ref(1).map_err(fault)?.as_blob().map_err(|it| fault(it.into()))?;
            entries.extend(body.chunks_exact(ENTRY_BYTES).map(entry));
        }
        self.entries = entries.into_iter();
        Ok(())
    }
}
