//! A commit of a Git repository as a source, read object by object through `git`.
//!
//! Must never know: attributes, languages. Invariant: the repository is data. Only `rev-parse`, `ls-tree` and
//! `cat-file` run, none of which runs hooks, filters, text conversions or aliases; configuration of machine and user is
//! not read; the network is closed; nobody is asked anything; and all of it ends by a deadline.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::Options;
use super::census::{Kind, Listed, OnContent, Source};
use super::directory::readable;
use crate::MeasureError;

/// Characters of a revision.
const COMMIT_CHARS_MAX: usize = 250;
/// Bytes of what `ls-tree` says of an entry, its path included, and of all paths together. A tree may be in many others
/// under names of any length, so a small repository can have more of them than there is memory.
const RECORD_BYTES_MAX: u64 = 64 << 10;
const PATHS_BYTES_MAX: usize = 128 << 20;
/// Bytes kept of what `git` says on failing.
const COMPLAINT_BYTES_MAX: u64 = 2048;
const TOO_LONG: &str = "it took longer than";

/// The objects of one commit.
pub struct Objects {
    repository: PathBuf,
    commit_id: String,
    entries_max: u64,
    deadline: Deadline,
    ids: Vec<String>,
}

/// When `git` must be done, and how long that was.
#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    allowed: Duration,
}

impl Objects {
    /// Finds the commit.
    pub fn open(repository: &Path, commit: &str, options: &Options) -> Result<Self, MeasureError> {
        let unknown =
            |problem: &str| MeasureError::UnknownCommit { commit: commit.to_owned(), problem: problem.to_owned() };
        if !is_revision(commit) {
            return Err(unknown("is not written as a commit id, branch or tag"));
        }
        let repository = repository.canonicalize().map_err(|error| MeasureError::UnreadableRepository {
            path: repository.display().to_string(),
            problem: error.to_string(),
        })?;
        let deadline = Deadline { at: Instant::now() + options.git_time_max, allowed: options.git_time_max };
        let wanted = format!("{commit}^{{commit}}");
        // Two questions, so that a folder that is no repository is not called an unknown commit.
        let is_repository = git(&repository, &["rev-parse", "--git-dir"]);
        run(is_repository, deadline, Vec::new(), |output| io::copy(output, &mut io::sink()).map(drop).map_err(failed))?;
        let mut id = String::new();
        let verify = git(&repository, &["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted]);
        run(verify, deadline, Vec::new(), |output| output.read_line(&mut id).map(drop).map_err(failed)).map_err(
            |error| match error {
                MeasureError::GitFailed { problem } if problem.starts_with(TOO_LONG) => failed(problem),
                _ => unknown("does not exist in this repository"),
            },
        )?;
        let commit_id = id.trim().to_owned();
        if commit_id.len() < 40 || !commit_id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(unknown("does not exist in this repository"));
        }
        Ok(Self { repository, commit_id, entries_max: options.entries_max, deadline, ids: Vec::new() })
    }

    /// The commit's full object id.
    pub fn commit_id(&self) -> &str {
        &self.commit_id
    }
}

impl Source for Objects {
    fn list(&mut self) -> Result<Vec<Listed>, MeasureError> {
        let command = git(&self.repository, &["ls-tree", "-r", "-z", "-l", "--full-tree", &self.commit_id]);
        let (entries_max, ids) = (self.entries_max, &mut self.ids);
        let mut listed = Vec::new();
        run(command, self.deadline, Vec::new(), |output| {
            let mut record = Vec::new();
            let mut paths_bytes = 0;
            while 0 < output.take(RECORD_BYTES_MAX).read_until(0, &mut record).map_err(failed)? {
                if record.len() as u64 == RECORD_BYTES_MAX && !record.ends_with(&[0]) {
                    return Err(MeasureError::RepositoryTooLarge { what: "bytes in a path", max: RECORD_BYTES_MAX });
                }
                let (entry, id) = entry(&record, ids.len()).ok_or_else(|| failed("ls-tree wrote an odd line"))?;
                if listed.len() as u64 == entries_max {
                    return Err(MeasureError::RepositoryTooLarge { what: "files", max: entries_max });
                }
                paths_bytes += entry.path.len();
                if PATHS_BYTES_MAX < paths_bytes {
                    let max = PATHS_BYTES_MAX as u64;
                    return Err(MeasureError::RepositoryTooLarge { what: "bytes in its paths", max });
                }
                listed.push(entry);
                ids.push(id);
                record.clear();
            }
            Ok(())
        })?;
        Ok(listed)
    }

    fn read(&mut self, wanted: &[&Listed], on_content: OnContent<'_>) -> Result<(), MeasureError> {
        if wanted.is_empty() {
            return Ok(());
        }
        let command = git(&self.repository, &["cat-file", "--batch", "--buffer"]);
        let ids: Vec<&str> = wanted.iter().map(|entry| self.ids[entry.handle].as_str()).collect();
        let input = (ids.join("\n") + "\n").into_bytes();
        run(command, self.deadline, input, |output| {
            for entry in wanted {
                let content = object(output, entry)?;
                on_content(entry.handle, content)?;
            }
            Ok(())
        })
    }
}

/// One answer of `cat-file --batch`: `<id> blob <size>`, the content, a line end.
fn object(output: &mut BufReader<ChildStdout>, entry: &Listed) -> Result<Vec<u8>, MeasureError> {
    let mut head = String::new();
    output.read_line(&mut head).map_err(failed)?;
    let size = head.trim_end().rsplit_once(" blob ").map(|(_, size)| size.parse::<u64>());
    // The size was agreed on when the tree was listed, so that no object is larger than the limits allow.
    if size != Some(Ok(entry.bytes)) {
        return Err(failed(format!("the object of {:?} is missing or changed", entry.path)));
    }
    let mut content = Vec::new();
    output.take(entry.bytes + 1).read_to_end(&mut content).map_err(failed)?;
    if content.pop() != Some(b'\n') {
        return Err(failed("cat-file ended early"));
    }
    Ok(content)
}

/// A letter or digit, then letters, digits and `._/-`; nothing that Git reads as a range, a path or an option.
fn is_revision(commit: &str) -> bool {
    commit.len() <= COMMIT_CHARS_MAX
        && commit.starts_with(|c: char| c.is_ascii_alphanumeric())
        && commit.chars().all(|c| c.is_ascii_alphanumeric() || "._/-".contains(c))
        && !commit.contains("..")
}

/// `<mode> <type> <id> <size, padded>\t<path>\0`
fn entry(record: &[u8], handle: usize) -> Option<(Listed, String)> {
    let record = record.strip_suffix(&[0])?;
    let tab = record.iter().position(|byte| *byte == b'\t')?;
    let head = std::str::from_utf8(&record[..tab]).ok()?;
    let mut words = head.split_ascii_whitespace();
    let (mode, kind, id, size) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let kind = match (mode, kind) {
        ("120000", _) => Kind::Link,
        (_, "commit") => Kind::Submodule,
        (_, "blob") => Kind::File,
        _ => return None,
    };
    let bytes = if size == "-" { 0 } else { size.parse().ok()? };
    Some((Listed { path: readable(&record[tab + 1..]), kind, bytes, handle }, id.to_owned()))
}

/// `git` with nothing of its surroundings but the search path.
fn git(repository: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command.env_clear();
    for kept in ["PATH", "SYSTEMROOT"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    let nowhere = if cfg!(windows) { "NUL" } else { "/dev/null" };
    command
        .envs([("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_ATTR_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", nowhere)])
        .envs([("GIT_TERMINAL_PROMPT", "0"), ("GIT_OPTIONAL_LOCKS", "0"), ("GIT_NO_REPLACE_OBJECTS", "1")])
        // A partial clone would fetch what it lacks.
        .envs([("GIT_NO_LAZY_FETCH", "1"), ("GIT_ALLOW_PROTOCOL", ""), ("LC_ALL", "C"), ("HOME", nowhere)]);
    // Not the repository of a folder above.
    if let Some(parent) = repository.parent() {
        command.env("GIT_CEILING_DIRECTORIES", parent);
    }
    let hooks = format!("core.hooksPath={nowhere}");
    // A clone made by another user is refused by default; nothing here trusts it, whoever owns it.
    for setting in [&hooks, "core.fsmonitor=false", "protocol.allow=never", "safe.directory=*"] {
        command.args(["-c", setting]);
    }
    command.arg("-C").arg(repository).args(arguments);
    command
}

/// Runs a command: writes its input, lets `read` take its output, and kills it at the deadline or when `read` has had
/// enough. Input, output and complaints flow at once, so that none can block another.
fn run(
    mut command: Command,
    deadline: Deadline,
    input: Vec<u8>,
    read: impl FnOnce(&mut BufReader<ChildStdout>) -> Result<(), MeasureError>,
) -> Result<(), MeasureError> {
    let too_long = || failed(format!("{TOO_LONG} {} s", deadline.allowed.as_secs()));
    // One that is quick might be done before anybody looks at the clock.
    if deadline.at <= Instant::now() {
        return Err(too_long());
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(format!("it could not be started: {error}")))?;
    let mut to_git = child.stdin.take().expect("it was piped");
    let from_git = child.stdout.take().expect("it was piped");
    let complaints = child.stderr.take().expect("it was piped");
    let (done, watch) = mpsc::channel::<bool>();
    thread::scope(|scope| {
        // A child that ends early closes its input: that shows in its output and status, not here.
        scope.spawn(move || drop(to_git.write_all(&input)));
        let complaint = scope.spawn(move || complaint(complaints));
        let status = scope.spawn(move || guard(child, deadline, &watch));
        let mut output = BufReader::with_capacity(1 << 16, from_git);
        let taken = read(&mut output);
        let finished = taken.is_ok() && output.read(&mut [0]).is_ok_and(|more| more == 0);
        // Fails only when the guard has already given up.
        let _ = done.send(finished);
        drop(output);
        let ended = status.join().expect("the guard does not panic");
        let complaint = complaint.join().expect("reading does not panic");
        match (ended, taken) {
            (Ended::TooLate, _) => Err(too_long()),
            (_, Err(error)) if complaint.is_empty() => Err(error),
            (Ended::Well, taken) => taken,
            (Ended::Badly, Err(error @ MeasureError::RepositoryTooLarge { .. })) => Err(error),
            (Ended::Badly, _) if complaint.is_empty() => Err(failed("it ended badly and did not say why")),
            (Ended::Badly, _) => Err(failed(complaint)),
        }
    })
}

enum Ended {
    Well,
    Badly,
    TooLate,
}

/// Waits for the reader to be done, then for the child; kills it when either takes too long.
fn guard(mut child: Child, deadline: Deadline, watch: &mpsc::Receiver<bool>) -> Ended {
    let left = deadline.at.saturating_duration_since(Instant::now());
    let ended = match watch.recv_timeout(left) {
        Ok(true) => None,
        Ok(false) => Some(Ended::Badly),
        Err(_) => Some(Ended::TooLate),
    };
    if let Some(ended) = ended {
        // It may have ended by itself in between; then there is nothing to kill.
        drop(child.kill());
        drop(child.wait());
        return ended;
    }
    // Its output is at an end, so it is ending.
    match child.wait() {
        Ok(status) if status.success() => Ended::Well,
        _ => Ended::Badly,
    }
}

fn complaint(mut from: impl Read) -> String {
    let mut text = Vec::new();
    drop(from.by_ref().take(COMPLAINT_BYTES_MAX).read_to_end(&mut text));
    drop(io::copy(&mut from, &mut io::sink()));
    String::from_utf8_lossy(&text).trim().to_owned()
}

fn failed(problem: impl ToString) -> MeasureError {
    MeasureError::GitFailed { problem: problem.to_string() }
}
