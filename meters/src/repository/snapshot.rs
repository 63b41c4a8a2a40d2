//! What a repository was: enough to tell later what is new in it.
//!
//! Must never know: reasons, rules. Invariant: the tree hash follows from the files.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{MeasureError, Measurement, plain};

/// Bytes of a snapshot as JSON that is kept for a later measurement.
pub const SNAPSHOT_BYTES_MAX: usize = 64 << 20;

/// A measured repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// `code_lines` and `files`; dimension `tree`; evidence.
    pub measurement: Measurement,
    /// Kept by callers that want to charge changed files only.
    pub snapshot: Snapshot,
}

/// The counted files of a tree, by path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The tree's hash, as in the measurement's dimension.
    pub tree: String,
    pub files: BTreeMap<String, FileCount>,
}

/// One counted file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCount {
    pub language: String,
    /// As counted: the larger of code lines and started 120s of code bytes.
    pub lines: u64,
    /// Of the content, in hexadecimal.
    pub sha256: String,
}

impl Snapshot {
    /// Files as the census found them; their paths are made relative to their deepest common folder.
    pub(super) fn of(files: Vec<(String, FileCount)>) -> Self {
        let common = common_folder(files.iter().map(|(path, _)| path.as_str()));
        let files: BTreeMap<String, FileCount> =
            files.into_iter().map(|(path, file)| (path[common..].to_owned(), file)).collect();
        Self { tree: tree_of(&files), files }
    }

    /// Reads back what [`Snapshot::to_json`] wrote.
    ///
    /// # Errors
    /// [`MeasureError::InvalidSnapshot`] for anything else: also where the tree does not follow from the files, for
    /// then it is not of the tree it names, and what is new since that would be less.
    pub fn from_json(bytes: &[u8]) -> Result<Self, MeasureError> {
        let refused = |problem: String| MeasureError::InvalidSnapshot { problem };
        let read: Self = serde_json::from_slice(bytes).map_err(|it| refused(plain::of_json(&it)))?;
        if read.tree != tree_of(&read.files) {
            return Err(refused("its `tree` does not follow from its `files`".to_owned()));
        }
        Ok(read)
    }

    /// As it is kept for the next measurement.
    ///
    /// # Errors
    /// [`MeasureError::RepositoryTooLarge`] when that is more than [`SNAPSHOT_BYTES_MAX`].
    pub fn to_json(&self) -> Result<String, MeasureError> {
        let text = serde_json::to_string(self).expect("texts and numbers are JSON");
        if text.len() <= SNAPSHOT_BYTES_MAX {
            return Ok(text);
        }
        Err(MeasureError::RepositoryTooLarge { what: "bytes in its snapshot", max: SNAPSHOT_BYTES_MAX as u64 })
    }

    pub(super) fn contents(&self) -> BTreeSet<&str> {
        self.files.values().map(|file| file.sha256.as_str()).collect()
    }
}

/// The hash of a tree of these files.
fn tree_of(files: &BTreeMap<String, FileCount>) -> String {
    let mut hasher = Sha256::new();
    for (path, file) in files {
        hasher.update(path.as_bytes());
        hasher.update([0]);
        hasher.update(file.sha256.as_bytes());
        hasher.update([b'\n']);
    }
    hex(&hasher.finalize())
}

/// Bytes of the longest `folder/…/` that all paths begin with.
fn common_folder<'p>(mut paths: impl Iterator<Item = &'p str>) -> usize {
    let Some(first) = paths.next() else { return 0 };
    let folder = |path: &str| path.rfind('/').map_or(0, |slash| slash + 1);
    let mut common = folder(first);
    for path in paths {
        let shared = first.bytes().zip(path.bytes()).take(common).take_while(|(a, b)| a == b).count();
        common = first.as_bytes()[..shared].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    }
    common
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
