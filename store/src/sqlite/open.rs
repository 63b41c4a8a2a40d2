//! Opening a store: its lock, its files, what it had not folded yet, and the threads behind it.
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode};

use super::journal::JournalFile;
use super::memory::{Kept, Memory};
use super::shared::{Chore, Reader, Shared, Writer};
use super::tail::Tail;
use super::{Options, Sqlite, beside, checkpoint, derived, derived_path, fold, hours, journal, merge, migrate, names};
use crate::Fault;
use crate::codec::Met;

const JOURNAL_STEPS: &[&str] = &[
    include_str!("../../migrations/journal_1.sql"),
    include_str!("../../migrations/journal_2.sql"),
    include_str!("../../migrations/journal_3.sql"),
];
const DERIVED_STEPS: &[&str] = &[include_str!("../../migrations/derived_1.sql")];

fn fault(error: rusqlite::Error) -> Fault {
    Fault::new("opening the store", error)
}

pub fn open(path: &Path, options: Options) -> Result<Sqlite, Fault> {
    let lock = claim(path)?;
    let file = journal_file(path, true)?;
    let sequence = journal::length(&file)?;
    let derived = derived_file(path, sequence)?;
    let folded = derived::folded(&derived)?;
    let (runs, next_run) = (names::load(&derived)?, names::new_number(&derived)?);
    hours::tidy(&derived)?;
    let memory = Memory::new(runs, options.books_max);
    let numbered = journal::numbered(&file)?;
    let writer = Writer {
        file,
        numbered,
        met: Met::default(),
        sequence,
        heads: Kept::new(options.heads_max),
        syncs: true,
        log_bytes: 0,
        uncopied_bytes: 0,
    };
    // It is there: the journal has been read, and its file stays open.
    let log = File::open(beside(path, "-wal")).map_err(|it| Fault::new("opening the journal's log", it))?;
    settle_log(&writer.file, &log)?;
    let shared = Arc::new(Shared::new(options, path, (writer, log), derived, memory));
    shared.set_next_run(next_run);
    let reader = shared.new_reader()?;
    let tail = replay(&shared, &reader, folded)?;
    if tail.length != 0 {
        shared.memory_mut().frozen = Some(Arc::new(tail));
        shared.ask(Chore::Fold);
    }
    let merging = shared.new_reader()?;
    let checkpointing = journal_file(path, false)?;
    let threads = vec![
        spawn("fold", &shared, move |shared| folding(shared, &reader.journal)),
        spawn("merge", &shared, move |shared| merge_when_asked(shared, &merging.derived)),
        spawn("checkpoint", &shared, move |shared| checkpoint::when_asked(shared, &checkpointing)),
    ];
    Ok(Sqlite { shared, threads, lock })
}

/// A process that died may have written what it never settled. From here on it counts, so the disk must have it.
///
/// A sync that failed once may leave pages that the system takes to be on the disk and that are not; of a log, what is
/// behind such a page is lost with it. So the log is copied into the file, which is written anew, and is begun again.
fn settle_log(file: &Connection, log: &File) -> Result<(), Fault> {
    const DOING: &str = "settling what was written before";
    log.sync_all().map_err(|it| Fault::new(DOING, it))?;
    // Whoever reads meanwhile, as for a backup, keeps what it reads: then it is copied as far as that. Where the disk
    // is full the log stays, and reads are served: a commit will say so.
    match file.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(())) {
        Err(error) if error.sqlite_error_code() != Some(ErrorCode::DiskFull) => Err(Fault::new(DOING, error)),
        _ => Ok(()),
    }
}

/// Takes the lock that makes this process the only one that writes. The system lets go of it when the process ends,
/// however it ends.
fn claim(path: &Path) -> Result<File, Fault> {
    const DOING: &str = "locking the store";
    let lock = File::create(beside(path, "-lock")).map_err(|it| Fault::new(DOING, it))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            Err(Fault::new(DOING, format!("{} is open for writing in another process", path.display())))
        }
        Err(TryLockError::Error(error)) => Err(Fault::new(DOING, error)),
    }
}

fn journal_file(path: &Path, migrates: bool) -> Result<Connection, Fault> {
    let mut file = Connection::open(path).map_err(fault)?;
    file.pragma_update(None, "journal_mode", "wal").map_err(fault)?;
    // Full: a commit returns when the disk has it.
    file.pragma_update(None, "synchronous", "full").map_err(fault)?;
    // What was written over or taken away is not left in the file: who it was is forgotten when an account is closed.
    // The journal is only added to, so no charge pays for it.
    file.pragma_update(None, "secure_delete", "on").map_err(fault)?;
    // A thread of its own checkpoints, so that no commit has to.
    file.pragma_update(None, "wal_autocheckpoint", 0).map_err(fault)?;
    keep_plans(&file).map_err(fault)?;
    if migrates {
        migrate::migrate(&mut file, JOURNAL_STEPS)?;
    }
    Ok(file)
}

/// Keeps each statement's plan: without this SQLite makes a new one whenever a range is asked for with other bounds,
/// which costs more than the answer.
pub fn keep_plans(file: &Connection) -> rusqlite::Result<()> {
    file.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    file.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// The derived file, made anew when it is ahead of the journal: then it is of another one.
fn derived_file(path: &Path, sequence: u64) -> Result<Connection, Fault> {
    let path = derived_path(path);
    let open = || {
        let mut file = Connection::open(&path).map_err(fault)?;
        file.pragma_update(None, "journal_mode", "wal").map_err(fault)?;
        // Normal: after a crash it may be older, never broken, and the journal has the rest.
        file.pragma_update(None, "synchronous", "normal").map_err(fault)?;
        // 4 MB: a checkpoint syncs what it wrote, and a commit that wants the disk then waits for all of it.
        file.pragma_update(None, "wal_autocheckpoint", 1_000).map_err(fault)?;
        file.pragma_update(None, "cache_size", -16_384).map_err(fault)?;
        keep_plans(&file).map_err(fault)?;
        migrate::migrate(&mut file, DERIVED_STEPS)?;
        Ok(file)
    };
    let file: Connection = open()?;
    if derived::folded(&file)? <= sequence {
        return Ok(file);
    }
    drop(file);
    for ending in ["", "-wal", "-shm"] {
        match std::fs::remove_file(beside(&path, ending)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Fault::new("opening the store", error));
            }
            _ => {}
        }
    }
    open()
}

/// Takes what is not folded into a tail. When that is too much for one — the derived file was lost — most of it is
/// folded here.
fn replay(shared: &Shared, reader: &Reader, folded: u64) -> Result<Tail, Fault> {
    let mut tail = Tail::default();
    journal::outline(&reader.journal.file, folded, |sequence, place, names| {
        if 2 * shared.options.tail_max <= tail.length {
            let full = std::mem::take(&mut tail);
            fold::fold(shared, &shared.new_reader()?.journal, &full)?;
        }
        tail.push_unread(sequence, place, names);
        Ok(())
    })?;
    Ok(tail)
}

fn spawn(name: &str, shared: &Arc<Shared>, chore: impl FnOnce(&Shared) + Send + 'static) -> thread::JoinHandle<()> {
    let shared = Arc::clone(shared);
    let chore = move || {
        let _unless_it_panics = StopOnPanic(&shared);
        chore(&shared);
    };
    thread::Builder::new().name(format!("store-{name}")).spawn(chore).expect("the system lets us start a thread")
}

/// Without its threads a store must not go on: what waits for them would wait for ever.
struct StopOnPanic<'a>(&'a Shared);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}

fn folding(shared: &Shared, journal: &JournalFile) {
    while shared.await_chore(Chore::Fold) {
        let tail = shared.freeze();
        let outcome = if tail.length == 0 { Ok(()) } else { fold::fold(shared, journal, &tail) };
        drop(tail);
        if outcome.is_ok() {
            shared.thaw();
            shared.ask(Chore::Merge);
            if shared.options.fold_at <= shared.memory().live.length {
                shared.ask(Chore::Fold);
            }
        }
        shared.ended(outcome);
    }
}

fn merge_when_asked(shared: &Shared, reader: &Connection) {
    while shared.await_chore(Chore::Merge) {
        // A merge that fails leaves the runs as they were, and is tried again after the next fold.
        if let Err(fault) = merge::merge(shared, reader).and_then(|()| hours::merge(shared, reader)) {
            shared.ended(Err(fault));
        }
    }
}
