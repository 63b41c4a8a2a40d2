//! Merging runs of the name index, so that there are few to look into however many names there are.
use std::sync::Arc;

use rusqlite::Connection;

use super::names::{self, Run, RunReader, RunWriter};
use super::shared::Shared;
use crate::Fault;

/// Runs of one level that are merged into one of the next. More would merge less often and look into more.
const RUNS_MAX: usize = 8;
/// Names in a slice.
const SLICE_NAMES: usize = 16_128;

/// Merges until no level has too many runs.
pub fn merge(shared: &Shared, reader: &Connection) -> Result<(), Fault> {
    while let Some(runs) = ripe(shared) {
        let count = runs.iter().map(|it| it.count).sum();
        let mut writer = RunWriter::new(shared.next_run(), runs[0].level + 1, count);
        let mut sources = Sources::new(reader, &runs)?;
        loop {
            // Read outside the slice: the file's one writer is needed only to write.
            let names = sources.take(SLICE_NAMES)?;
            if names.is_empty() {
                break;
            }
            shared.slice(|file| names.iter().try_for_each(|it| writer.push(file, *it)))?;
        }
        let merged = shared.slice(|file| writer.finish(file, &runs))?;
        shared.memory_mut().replace_runs(merged, &runs);
        for run in &runs {
            while shared.slice(|file| names::erase_some(file, run.number))? {}
        }
    }
    Ok(())
}

/// The runs of the lowest level that has enough of them.
fn ripe(shared: &Shared) -> Option<Vec<Arc<Run>>> {
    let runs = Arc::clone(&shared.memory().runs);
    let highest = runs.iter().map(|it| it.level).max()?;
    let of_level = |level| runs.iter().filter(|it| it.level == level).take(RUNS_MAX).cloned().collect::<Vec<_>>();
    (0..=highest).map(of_level).find(|it| RUNS_MAX <= it.len())
}

/// Several runs, read as one.
struct Sources<'a> {
    file: &'a Connection,
    runs: Vec<(RunReader, Option<(u64, u64)>)>,
    last: Option<(u64, u64)>,
}

impl Sources<'_> {
    fn new<'a>(file: &'a Connection, runs: &[Arc<Run>]) -> Result<Sources<'a>, Fault> {
        let start = |run: &Arc<Run>| {
            let mut reader = RunReader::new(run);
            let first = reader.next(file)?;
            Ok((reader, first))
        };
        Ok(Sources { file, runs: runs.iter().map(start).collect::<Result<_, Fault>>()?, last: None })
    }

    fn take(&mut self, count: usize) -> Result<Vec<(u64, u64)>, Fault> {
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count {
            let least = self.runs.iter_mut().filter(|(_, next)| next.is_some()).min_by_key(|(_, next)| *next);
            let Some((reader, next)) = least else { break };
            let entry = next.take().expect("only runs with a next one were asked");
            *next = reader.next(self.file)?;
            // A fold that was done twice, after a crash, left its names twice.
            if self.last != Some(entry) {
                taken.push(entry);
            }
            self.last = Some(entry);
        }
        Ok(taken)
    }
}
