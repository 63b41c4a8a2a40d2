//! Repositories: source files in, lines of code and the tree's hash out.
//!
//! Must never know: what a line costs, who asked, any network. Nothing in a repository is executed, followed or
//! unpacked.
//!
//! Invariant: the same files give the same measurement and the same hash, whether they came as a directory, as a commit
//! or as an archive, in whatever order, on any machine. Times, modes, owners and locale count for nothing.
//!
//! What counts (`lines`): a line with something on it that is neither white space nor comment; per file at least one
//! line for every started 120 bytes of code, so that minified code is not cheaper. CRLF and LF give the same
//! lines, but other bytes, hence another hash.
//!
//! What does not (`rules`, `attributes`): vendored, generated, documentation, lock and data files as Linguist and
//! `.gitattributes` would have it; binary files, files over [`Options::file_bytes_max`], LFS pointers, submodules,
//! symbolic links, languages without a known syntax. Each is in the evidence with its reason.
//!
//! The tree hash is SHA-256 over the counted files, sorted by path: path, NUL, SHA-256 of the content, for each. Paths
//! are relative to the deepest folder that holds all counted files, so the folder an archive wraps around them (as Git
//! hosts do) does not change it. Rules that look at the top folder see an archive without that wrapping folder.

mod archive;
mod attributes;
mod census;
mod directory;
mod generated;
mod git;
mod lines;
mod rules;
mod snapshot;

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::{MeasureError, Measurement};
pub use lines::COUNTER_VERSION;
pub use snapshot::{Counted, FileCount, SNAPSHOT_BYTES_MAX, Snapshot};

/// Limits of a measurement. The defaults are sane for a service that strangers upload to.
#[derive(Clone, Debug)]
pub struct Options {
    /// Files over this are not source: excluded with a reason.
    pub file_bytes_max: u64,
    /// Entries of any kind; more is refused.
    pub entries_max: u64,
    /// Bytes of all files together; for an archive, after expansion. More is refused.
    pub total_bytes_max: u64,
    /// An archive that expands to more than this many times its size, and to more than 16 MiB, is refused as a bomb.
    pub ratio_max: u64,
    /// Comparisons of paths with the wildcards of `.gitattributes`: rules times files, and more. More is refused.
    pub attribute_steps_max: u64,
    /// How long `git` may take in all.
    pub git_time_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            file_bytes_max: 1 << 20,
            entries_max: 200_000,
            total_bytes_max: 1 << 30,
            ratio_max: 200,
            attribute_steps_max: 1 << 30,
            git_time_max: Duration::from_secs(120),
        }
    }
}

/// How far a measurement is, for a progress bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub files_done: u64,
    pub files_total: u64,
}

/// Called now and then, from the measuring thread.
pub type OnProgress<'p> = &'p dyn Fn(Progress);

/// For callers that draw no bar.
pub fn quietly(_: Progress) {}

/// Measures all files of a directory, `.git` excepted. `.gitignore` is not asked: whoever could write it could make a
/// repository free. To measure a work tree without its build output, measure its commit.
///
/// # Errors
/// [`MeasureError`] when something cannot be read, or over a limit.
pub fn measure_directory(path: &Path, options: &Options, on_progress: OnProgress<'_>) -> Result<Counted, MeasureError> {
    census::take(&mut directory::Directory::at(path), options, on_progress)
}

/// Measures a commit of a Git repository, from its objects, without a checkout.
///
/// The commit is an object id, branch or tag: letters, digits and `._/-`, not beginning with `-`.
///
/// # Errors
/// [`MeasureError::UnknownCommit`], [`MeasureError::GitFailed`], or a limit.
pub fn measure_git(
    repository: &Path,
    commit: &str,
    options: &Options,
    on_progress: OnProgress<'_>,
) -> Result<Counted, MeasureError> {
    let mut source = git::Objects::open(repository, commit, options)?;
    let id = source.commit_id().to_owned();
    let mut counted = census::take(&mut source, options, on_progress)?;
    counted.measurement.evidence["commit"] = json!(id);
    Ok(counted)
}

/// Measures an uploaded tar, tar.gz or zip, recognised by its first bytes. Nothing is written to disk.
///
/// # Errors
/// [`MeasureError`] when the archive is broken, harmful, encrypted, or over a limit.
pub fn measure_archive(bytes: &[u8], options: &Options, on_progress: OnProgress<'_>) -> Result<Counted, MeasureError> {
    census::take(&mut archive::Archive::of(bytes, options)?, options, on_progress)
}

impl Counted {
    /// The measurement of only what is new since an earlier one: files whose content no file had then. Files that were
    /// moved or renamed are not new.
    #[must_use]
    pub fn changed_since(&self, previous: &Snapshot) -> Measurement {
        let known = previous.contents();
        let new = self.snapshot.files.iter().filter(|(_, file)| !known.contains(file.sha256.as_str()));
        let (mut files, mut code_lines) = (0, 0);
        for (_, file) in new {
            files += 1;
            code_lines += file.lines;
        }
        let mut evidence = self.measurement.evidence.clone();
        evidence["changed_since"] = json!(previous.tree);
        evidence["whole"] = json!(self.measurement.quantities);
        Measurement { evidence, ..self.measurement.clone() }
            .quantity("code_lines", code_lines)
            .quantity("files", files)
            .dimension("since", previous.tree.as_str())
    }
}
