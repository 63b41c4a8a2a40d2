//! What commits, reads and the threads behind them share, and how they wait for each other.
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::Options;
use super::commit::Unsettled;
use super::journal::{JournalFile, SharedNumbered};
use super::memory::{Kept, Memory};
use super::tail::{Head, Tail};
use crate::Fault;
use crate::codec::Met;

pub struct Shared {
    pub options: Options,
    pub path: PathBuf,
    pub writer: Mutex<Writer>,
    pub unsettled: Unsettled,
    /// A commit or a sync failed, and whether the disk has it nobody knows: no more are taken until the store is opened
    /// anew and reads what is there.
    pub is_broken: AtomicBool,
    /// The derived file's one writing connection, taken for a slice at a time.
    derived: Mutex<Connection>,
    memory: RwLock<Memory>,
    /// Transactions in the live tail: nobody has to wait for memory to know it.
    pub live_length: AtomicUsize,
    readers: Mutex<Vec<Reader>>,
    signals: Mutex<Signals>,
    changed: Condvar,
    next_run: AtomicU64,
    slices: AtomicU64,
    numbered: SharedNumbered,
}

/// The journal file's one writing connection.
pub struct Writer {
    pub file: Connection,
    pub numbered: SharedNumbered,
    /// Shapes that were met once.
    pub met: Met,
    /// Sequence of the newest transaction.
    pub sequence: u64,
    /// The last transactions of the accounts lately written to. Of an account that is not among them, all that was
    /// written is settled, so that memory or the derived file knows it.
    pub heads: Kept<Head>,
    /// Whether SQLite waits for the disk when it commits.
    pub syncs: bool,
    /// About how much was written to the write-ahead log since it was begun, and since it was last copied.
    pub log_bytes: usize,
    pub uncopied_bytes: usize,
}

/// A reading connection to each file.
pub struct Reader {
    pub journal: JournalFile,
    pub derived: Connection,
}

/// What the threads tell each other.
#[derive(Default)]
struct Signals {
    /// Fold the tail, whatever its length.
    fold: bool,
    merge: bool,
    checkpoint: bool,
    stop: bool,
    /// Who waits for a fold.
    waiting: usize,
    /// Why the last fold ended early.
    fault: Option<String>,
}

/// A thing to be done behind the commits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Chore {
    Fold,
    Merge,
    Checkpoint,
}

impl Signals {
    fn asked(&mut self, chore: Chore) -> &mut bool {
        match chore {
            Chore::Fold => &mut self.fold,
            Chore::Merge => &mut self.merge,
            Chore::Checkpoint => &mut self.checkpoint,
        }
    }
}

impl Shared {
    pub fn new(
        options: Options,
        path: &Path,
        (writer, log): (Writer, File),
        derived: Connection,
        memory: Memory,
    ) -> Shared {
        Shared {
            numbered: Arc::clone(&writer.numbered),
            options,
            path: path.to_owned(),
            writer: Mutex::new(writer),
            unsettled: Unsettled::new(log),
            is_broken: AtomicBool::new(false),
            derived: Mutex::new(derived),
            live_length: AtomicUsize::new(memory.live.length),
            memory: RwLock::new(memory),
            readers: Mutex::default(),
            signals: Mutex::default(),
            changed: Condvar::new(),
            next_run: AtomicU64::new(0),
            slices: AtomicU64::new(0),
        }
    }

    pub fn memory(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }
    pub fn memory_mut(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers that no run has.
    pub fn next_run(&self) -> u64 {
        self.next_run.fetch_add(1, Ordering::Relaxed)
    }
    pub fn set_next_run(&self, number: u64) {
        self.next_run.store(number, Ordering::Relaxed);
    }

    /// Changes the derived file in one transaction.
    pub fn slice<T>(&self, change: impl FnOnce(&Connection) -> Result<T, Fault>) -> Result<T, Fault> {
        let fault = |it| Fault::new("folding", it);
        if self.options.stop_after.is_some_and(|it| it <= self.slices.fetch_add(1, Ordering::Relaxed)) {
            return Err(Fault::new("folding", "a test stops it here"));
        }
        if lock(&self.signals).stop {
            return Err(Fault::new("folding", "the store is being closed"));
        }
        let file = lock(&self.derived);
        let transaction = file.unchecked_transaction().map_err(fault)?;
        let outcome = change(&transaction)?;
        transaction.commit().map_err(fault)?;
        Ok(outcome)
    }

    /// Asks a question on reading connections, of which a few are kept.
    pub fn read<T>(&self, question: impl FnOnce(&Reader) -> Result<T, Fault>) -> Result<T, Fault> {
        let idle = lock(&self.readers).pop();
        let reader = idle.map_or_else(|| self.new_reader(), Ok)?;
        let answer = question(&reader);
        let mut idle = lock(&self.readers);
        if idle.len() < self.options.readers_max {
            idle.push(reader);
        }
        answer
    }

    pub fn new_reader(&self) -> Result<Reader, Fault> {
        let open = |path: &Path| {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let file = Connection::open_with_flags(path, flags)?;
            file.pragma_update(None, "mmap_size", self.options.map_bytes)?;
            super::open::keep_plans(&file)?;
            Ok(file)
        };
        let fault = |it: rusqlite::Error| Fault::new("opening a reader", it);
        let journal = JournalFile { file: open(&self.path).map_err(fault)?, numbered: Arc::clone(&self.numbered) };
        Ok(Reader { journal, derived: open(&super::derived_path(&self.path)).map_err(fault)? })
    }

    pub fn ask(&self, chore: Chore) {
        *lock(&self.signals).asked(chore) = true;
        self.changed.notify_all();
    }

    /// Waits until `chore` is asked for. False when the store is being closed.
    pub fn await_chore(&self, chore: Chore) -> bool {
        let mut signals = lock(&self.signals);
        while !signals.stop && !*signals.asked(chore) {
            signals = self.changed.wait(signals).unwrap_or_else(PoisonError::into_inner);
        }
        *signals.asked(chore) = false;
        !signals.stop
    }

    pub fn stop(&self) {
        lock(&self.signals).stop = true;
        self.changed.notify_all();
    }

    /// Says how a fold or merge ended.
    pub fn ended(&self, outcome: Result<(), Fault>) {
        lock(&self.signals).fault = outcome.err().map(|it| it.to_string());
        self.changed.notify_all();
    }

    /// The tail to be folded: the one whose fold ended early, or what has been committed since.
    pub fn freeze(&self) -> Arc<Tail> {
        let mut memory = self.memory_mut();
        if let Some(frozen) = &memory.frozen {
            return Arc::clone(frozen);
        }
        let frozen = Arc::new(memory.live.emptied());
        self.live_length.store(0, Ordering::Relaxed);
        memory.frozen = Some(Arc::clone(&frozen));
        frozen
    }

    /// Forgets the frozen tail: the derived file has it.
    pub fn thaw(&self) {
        let mut memory = self.memory_mut();
        memory.folds += 1;
        let frozen = memory.frozen.take();
        drop(memory);
        drop(frozen);
        self.tell();
    }

    /// Wakes who waits. Taking the lock first makes sure that nobody is between looking and waiting.
    fn tell(&self) {
        drop(lock(&self.signals));
        self.changed.notify_all();
    }

    /// Waits until `done`, as long as folds succeed.
    ///
    /// # Errors
    /// When a fold has failed: waiting would be for ever.
    pub fn await_fold(&self, done: impl Fn(&Memory) -> bool) -> Result<(), Fault> {
        let mut signals = lock(&self.signals);
        signals.waiting += 1;
        let outcome = loop {
            if done(&self.memory()) {
                break Ok(());
            }
            if let Some(fault) = signals.fault.take() {
                break Err(Fault::new("waiting for a fold", fault));
            }
            if signals.stop {
                break Err(Fault::new("waiting for a fold", "the store is being closed"));
            }
            signals.fold = true;
            self.changed.notify_all();
            signals = self.changed.wait(signals).unwrap_or_else(PoisonError::into_inner);
        };
        signals.waiting -= 1;
        outcome
    }

    /// Leaves the processor and the disk to others for a moment, while there is time: nobody waits for the fold, and
    /// the tail is far from where the next one begins.
    pub fn rest(&self) {
        /// About as long as a slice takes.
        const MOMENT: Duration = Duration::from_millis(5);
        if self.options.fold_at < 2 * self.live_length.load(Ordering::Relaxed) {
            return;
        }
        let is_idle = |it: &mut Signals| !it.stop && it.waiting == 0;
        let waited = self.changed.wait_timeout_while(lock(&self.signals), MOMENT, is_idle);
        drop(waited);
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
