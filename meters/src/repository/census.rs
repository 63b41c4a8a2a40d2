//! The census: list, read what may count, count it, add it up. The one road for all three sources.
//!
//! Must never know: where files come from. Invariant: results are sorted by path before they are added up.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::attributes::{Attributes, Said, Steps};
use super::lines::{COUNTER_VERSION, Verdict};
use super::rules::Reason;
use super::snapshot::{Counted, FileCount, Snapshot, hex};
use super::{OnProgress, Options, Progress, lines, rules};
use crate::{MeasureError, Measurement};

/// An entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// With `/` between names, no leading one. Bytes that are not UTF-8 stand escaped.
    pub path: String,
    pub kind: Kind,
    /// Known before reading; of files only.
    pub bytes: u64,
    /// The source's own name for it.
    pub handle: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    File,
    Link,
    Submodule,
}

/// What to do with the content of an entry.
pub type OnContent<'c> = &'c mut dyn FnMut(usize, Vec<u8>) -> Result<(), MeasureError>;

/// A directory, a commit or an archive.
pub trait Source {
    /// Every entry but folders, refusing what is over a limit or harmful.
    fn list(&mut self) -> Result<Vec<Listed>, MeasureError>;
    /// The contents of some files, by handle, in ascending order of handle.
    fn read(&mut self, wanted: &[&Listed], on_content: OnContent<'_>) -> Result<(), MeasureError>;
}

/// Contents held in memory at a time, before they are counted in parallel.
const BATCH_BYTES: usize = 16 << 20;
/// Paths shown per reason for exclusion.
const EXAMPLES: usize = 5;

/// Counts a source.
pub fn take(source: &mut dyn Source, options: &Options, on_progress: OnProgress<'_>) -> Result<Counted, MeasureError> {
    let mut listed = source.list()?;
    // What Git keeps for itself is no source, wherever somebody packed it along.
    listed.retain(|entry| entry.path.split('/').all(|name| name != ".git"));
    listed.sort_by(|a, b| a.path.cmp(&b.path));
    check(&listed, options)?;
    let attributes = read_attributes(source, &listed, options)?;

    let mut tally = Tally::default();
    let mut wanted = Vec::new();
    let mut steps = Steps::up_to(options.attribute_steps_max);
    for entry in &listed {
        match verdict(entry, &attributes, options, &mut steps)? {
            Ok(said) => wanted.push((entry, said)),
            Err(reason) => tally.exclude(reason, &entry.path),
        }
    }
    for (path, verdict) in count(source, wanted, on_progress)? {
        match verdict {
            Verdict::Counted(file) => tally.files.push((path, file)),
            Verdict::Excluded(reason) => tally.exclude(reason, &path),
        }
    }
    Ok(tally.counted())
}

fn check(listed: &[Listed], options: &Options) -> Result<(), MeasureError> {
    if options.entries_max < listed.len() as u64 {
        return Err(MeasureError::RepositoryTooLarge { what: "files", max: options.entries_max });
    }
    // Files over the limit are never read, so they do not add to the work.
    let bytes: u64 = listed.iter().map(|entry| entry.bytes).filter(|bytes| *bytes <= options.file_bytes_max).sum();
    if options.total_bytes_max < bytes {
        return Err(MeasureError::RepositoryTooLarge { what: "bytes", max: options.total_bytes_max });
    }
    Ok(())
}

fn read_attributes(source: &mut dyn Source, listed: &[Listed], options: &Options) -> Result<Attributes, MeasureError> {
    let is_attributes = |entry: &&Listed| {
        let name = entry.path.rsplit('/').next();
        entry.kind == Kind::File && name == Some(".gitattributes") && entry.bytes <= options.file_bytes_max
    };
    let mut wanted: Vec<&Listed> = listed.iter().filter(is_attributes).collect();
    wanted.sort_by_key(|entry| entry.handle);
    let paths: BTreeMap<usize, &str> = wanted.iter().map(|entry| (entry.handle, entry.path.as_str())).collect();
    let mut attributes = Attributes::default();
    let mut take = |wanted: &[&Listed]| {
        source.read(wanted, &mut |handle, content| {
            attributes.add(paths[&handle].strip_suffix(".gitattributes").expect("chosen by this name"), &content)
        })
    };
    // The one at the top comes first; where it was packed behind others, a source is gone through once more for it.
    match wanted.iter().position(|entry| entry.path == ".gitattributes") {
        Some(top) if 0 < top => {
            take(&[wanted.remove(top)])?;
            take(&wanted)?;
        }
        _ => take(&wanted)?,
    }
    Ok(attributes)
}

/// What the attributes say of an entry that may count; else why it does not, as far as can be told without its content.
fn verdict(
    entry: &Listed,
    attributes: &Attributes,
    options: &Options,
    steps: &mut Steps,
) -> Result<Result<Said, Reason>, MeasureError> {
    let said = match entry.kind {
        Kind::Link => return Ok(Err(Reason::Link)),
        Kind::Submodule => return Ok(Err(Reason::Submodule)),
        Kind::File if options.file_bytes_max < entry.bytes => return Ok(Err(Reason::TooLarge)),
        Kind::File => attributes.of_path(&entry.path, steps)?,
    };
    Ok(match rules::by_path(&entry.path, &said) {
        Some(reason) => Err(reason),
        None => Ok(said),
    })
}

/// Reads in the source's order, counts in batches on all cores, answers in the order of paths.
fn count(
    source: &mut dyn Source,
    mut wanted: Vec<(&Listed, Said)>,
    on_progress: OnProgress<'_>,
) -> Result<Vec<(String, Verdict)>, MeasureError> {
    wanted.sort_by_key(|(entry, _)| entry.handle);
    let known: BTreeMap<usize, (&str, &Said)> =
        wanted.iter().map(|(entry, said)| (entry.handle, (entry.path.as_str(), said))).collect();
    let entries: Vec<&Listed> = wanted.iter().map(|(entry, _)| *entry).collect();
    let files_total = wanted.len() as u64;
    let mut verdicts: Vec<(String, Verdict)> = Vec::with_capacity(wanted.len());
    let mut batch: Vec<((&str, &Said), Vec<u8>)> = Vec::new();
    let mut batch_bytes = 0;
    let judge = |((path, said), content): ((&str, &Said), Vec<u8>)| {
        (path.to_owned(), lines::judge(path, &content, said, sha256))
    };
    source.read(&entries, &mut |handle, content| {
        batch_bytes += content.len();
        batch.push((known[&handle], content));
        if BATCH_BYTES <= batch_bytes {
            batch_bytes = 0;
            verdicts.par_extend(std::mem::take(&mut batch).into_par_iter().map(judge));
            on_progress(Progress { files_done: verdicts.len() as u64, files_total });
        }
        Ok(())
    })?;
    verdicts.par_extend(batch.into_par_iter().map(judge));
    on_progress(Progress { files_done: files_total, files_total });
    verdicts.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(verdicts)
}

fn sha256(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

/// Sums, in the making.
#[derive(Default)]
struct Tally {
    files: Vec<(String, FileCount)>,
    excluded: BTreeMap<Reason, (u64, Vec<String>)>,
}

impl Tally {
    fn exclude(&mut self, reason: Reason, path: &str) {
        let (count, examples) = self.excluded.entry(reason).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            examples.push(path.to_owned());
        }
    }

    fn counted(mut self) -> Counted {
        let mut languages: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for (_, file) in &self.files {
            let (files, lines) = languages.entry(file.language.clone()).or_default();
            *files += 1;
            *lines += file.lines;
        }
        // Reasons of both passes were met in path order each, not together.
        self.excluded.values_mut().for_each(|(_, examples)| examples.sort());
        let files = self.files.len() as u64;
        let code_lines = self.files.iter().map(|(_, file)| file.lines).sum();
        let snapshot = Snapshot::of(self.files);
        let languages: BTreeMap<String, Value> = languages
            .into_iter()
            .map(|(name, (files, lines))| (name, json!({ "files": files, "lines": lines })))
            .collect();
        let excluded: BTreeMap<&str, Value> = self
            .excluded
            .into_iter()
            .map(|(reason, (files, examples))| (reason.name(), json!({ "files": files, "examples": examples })))
            .collect();
        let evidence = json!({
            "counter": COUNTER_VERSION,
            "languages": languages,
            "excluded": excluded,
            "tree": snapshot.tree,
            "rule": "per file the larger of its code lines and its code bytes / 120, rounded up",
        });
        let measurement = Measurement::new("code_analysis", evidence)
            .quantity("code_lines", code_lines)
            .quantity("files", files)
            .dimension("tree", snapshot.tree.as_str());
        Counted { measurement, snapshot }
    }
}
