//! Backup and restore. A backup is the journal file alone, whole at one moment: what is derived is made again from it.
use std::fs::{File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::{beside, derived_path};
use crate::Fault;

const BACKING_UP: &str = "backing up";
const RESTORING: &str = "restoring";
const COPYING: &str = "copying the store";

/// Copies the store at `from` into a new file `to`, also while another process writes to it: readers see one moment.
///
/// # Errors
/// When there is no store at `from`, or something at `to` already.
pub fn backup(from: &Path, to: &Path) -> Result<(), Fault> {
    copy(from, to, BACKING_UP)
}

/// Makes a store at `to` of a backup, after checking that the backup is whole. What the journal leads to is made again
/// when the store is opened.
///
/// # Errors
/// When the backup is damaged, or there is something at `to` already: nothing is ever overwritten.
pub fn restore(backup: &Path, to: &Path) -> Result<(), Fault> {
    let fault = |it: rusqlite::Error| Fault::new(RESTORING, it);
    let file = open(backup).map_err(fault)?;
    let verdict: String = file.query_row("pragma integrity_check(1)", [], |row| row.get(0)).map_err(fault)?;
    if verdict != "ok" {
        return Err(Fault::new(RESTORING, format!("{} is damaged: {verdict}", backup.display())));
    }
    let gap = "select count(*) <> coalesce(max(sequence), 0) from journal";
    if file.query_row(gap, [], |row| row.get(0)).map_err(fault)? {
        return Err(Fault::new(RESTORING, format!("{} lacks journal rows", backup.display())));
    }
    for leftover in [derived_path(to), beside(to, "-wal")] {
        refuse_existing(&leftover, RESTORING)?;
    }
    copy(backup, to, RESTORING)
}

/// Copies a store that another process may be writing to, derived file and all, to `to`: what that process would answer
/// can then be looked into without stopping it.
///
/// # Errors
/// When there is no store at `from`, or something at `to` already.
pub fn snapshot(from: &Path, to: &Path) -> Result<(), Fault> {
    // The derived file first: it may be behind the journal, which has the rest, and never ahead of it.
    if derived_path(from).is_file() {
        copy(&derived_path(from), &derived_path(to), COPYING)?;
    }
    copy(from, to, COPYING)
}

/// Whether a process has the store at `path` open for writing.
///
/// # Errors
/// When its lock cannot be looked at.
pub fn is_open(path: &Path) -> Result<bool, Fault> {
    let lock = match File::open(beside(path, "-lock")) {
        Ok(lock) => lock,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Fault::new(COPYING, error)),
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(Fault::new(COPYING, error)),
    }
}

/// Copies a file, whole or not at all: under its own name there is never a part of it, whatever happens meanwhile.
fn copy(from: &Path, to: &Path, doing: &'static str) -> Result<(), Fault> {
    refuse_existing(to, doing)?;
    let fault = |it: rusqlite::Error| Fault::new(doing, it);
    let lost = |it: std::io::Error| Fault::new(doing, it);
    let file = open(from).map_err(fault)?;
    let part = beside(to, ".partial");
    // Locked until it has its name: of two who copy to one place, one is told.
    let lock = part_of_ones_own(&part)
        .map_err(lost)?
        .ok_or_else(|| Fault::new(doing, format!("another copy to {} is under way", to.display())))?;
    // `vacuum into` reads in one transaction and syncs what it wrote. A path is bound, never spliced.
    let path = part.to_str().ok_or_else(|| Fault::new(doing, "the path is not UTF-8"))?;
    file.execute("vacuum into ?1", [path]).map_err(fault)?;
    refuse_existing(to, doing)?;
    std::fs::rename(&part, to).map_err(lost)?;
    drop(lock);
    let directory = to.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    File::open(directory).and_then(|it| it.sync_all()).map_err(lost)
}

/// An empty file that nobody else writes to: new, or what a copy left that was broken off. None where one is under way.
fn part_of_ones_own(part: &Path) -> std::io::Result<Option<File>> {
    let file = File::options().create(true).truncate(false).write(true).open(part)?;
    // Who has just finished may have given it its name meanwhile.
    let is_there = || std::fs::metadata(part).is_ok_and(|it| file.metadata().is_ok_and(|own| it.ino() == own.ino()));
    if file.try_lock().is_err() || !is_there() {
        return Ok(None);
    }
    match std::fs::remove_file(beside(part, "-journal")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    file.set_len(0)?;
    Ok(Some(file))
}

fn open(path: &Path) -> rusqlite::Result<Connection> {
    // Not read-only: the reader of a write-ahead log may have to make the file that coordinates its readers.
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

fn refuse_existing(path: &Path, doing: &'static str) -> Result<(), Fault> {
    match path.try_exists() {
        Ok(false) => Ok(()),
        Ok(true) => Err(Fault::new(doing, format!("{} exists already", path.display()))),
        Err(error) => Err(Fault::new(doing, error)),
    }
}
