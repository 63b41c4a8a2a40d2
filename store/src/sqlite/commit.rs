//! The one write: changes go into one transaction of the journal file, and only when that is on the disk into memory.
//!
//! Plain charges may be written before they are settled: the transaction is then in the log and not yet on the disk, so
//! that the next can be written while the disk is waited for. Until one sync has settled them, memory and the derived
//! file know nothing of them, and nobody is answered; only whoever writes the next knows how far their accounts are.
//! All else is found by asking SQLite, so it is on the disk, with all before it, before SQLite shows it.
use std::collections::VecDeque;
use std::fs::File;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use billing::id::{AccountNumber, Place};

use super::shared::{Chore, Shared, Writer, lock};
use super::tail::Head;
use super::{derived, journal, records};

use crate::{Change, CommitError, Fault, Post};

/// The write-ahead log grows by at least a page a commit, whatever is in it.
const COMMIT_BYTES: usize = 2 * 4096;
/// About what a row of the journal takes.
const ROW_BYTES: usize = 300;
/// Commits between two copies of the log, at least: large groups share one, too.
const COMMITS_MIN: usize = 8;

/// Transactions whose memory is waited for together: another processor has just written it.
const LOOKED_AT: usize = 32;

/// What was written and is not settled, oldest first.
pub struct Unsettled {
    /// The write-ahead log.
    log: File,
    written: Mutex<VecDeque<Arc<Written>>>,
    /// Held while what was settled goes into memory, in its order.
    settling: Mutex<()>,
}

struct Written {
    changes: Arc<Vec<Change>>,
    /// Sequence of its last transaction.
    last: u64,
}

impl Unsettled {
    pub fn new(log: File) -> Unsettled {
        Unsettled { log, written: Mutex::default(), settling: Mutex::default() }
    }
}

fn fault(error: rusqlite::Error) -> Fault {
    Fault::new("committing", error)
}

/// Writes changes and waits until the disk has them, and all that was written before.
pub fn commit(shared: &Shared, changes: &[Change]) -> Result<(), CommitError> {
    let mut writer = begin(shared)?;
    syncs(&mut writer, true)?;
    let last = append(shared, &mut writer, changes)?;
    // Nobody writes meanwhile, so nothing comes between.
    settle(shared)?;
    remember(shared, &posts_of(changes), last);
    copy_log(shared, writer, changes.len());
    Ok(())
}

/// Writes changes that the disk need not have before they are settled.
pub fn write(shared: &Shared, changes: &Arc<Vec<Change>>) -> Result<(), CommitError> {
    if !changes.iter().all(is_plain) {
        return commit(shared, changes);
    }
    let mut writer = begin(shared)?;
    syncs(&mut writer, false)?;
    let last = append(shared, &mut writer, changes)?;
    lock(&shared.unsettled.written).push_back(Arc::new(Written { changes: Arc::clone(changes), last }));
    copy_log(shared, writer, changes.len());
    Ok(())
}

/// Waits until the disk has all that was written before.
pub fn settle(shared: &Shared) -> Result<(), Fault> {
    let Some(last) = lock(&shared.unsettled.written).back().map(|it| it.last) else { return Ok(()) };
    if shared.is_broken.load(Ordering::Acquire) {
        return Err(broken());
    }
    shared.unsettled.log.sync_data().map_err(|error| {
        // A sync that failed cannot be tried again: the system may have thrown the pages away, and says so only once.
        shared.is_broken.store(true, Ordering::Release);
        Fault::new("settling", error)
    })?;
    remember_written(shared, last);
    Ok(())
}

/// Whether nobody finds it but by way of memory.
fn is_plain(change: &Change) -> bool {
    matches!(change, Change::Post(post) if post.transaction.granted().is_none())
}

fn broken() -> Fault {
    Fault::new("committing", "an earlier commit failed: the store must be opened anew")
}

/// Waits for its turn to write.
fn begin(shared: &Shared) -> Result<MutexGuard<'_, Writer>, Fault> {
    // Back-pressure: memory stays bounded when folding cannot keep up.
    if shared.options.tail_max <= shared.live_length.load(Ordering::Relaxed) {
        shared.await_fold(|memory| memory.live.length < shared.options.tail_max)?;
    }
    let writer = lock(&shared.writer);
    if shared.is_broken.load(Ordering::Acquire) {
        return Err(broken());
    }
    Ok(writer)
}

/// Says whether a commit of SQLite's waits for the disk.
fn syncs(writer: &mut Writer, does: bool) -> Result<(), Fault> {
    if writer.syncs != does {
        writer.file.pragma_update(None, "synchronous", if does { "full" } else { "normal" }).map_err(fault)?;
        writer.syncs = does;
    }
    Ok(())
}

/// Writes everything, or nothing, and says where that ends.
fn append(shared: &Shared, writer: &mut Writer, changes: &[Change]) -> Result<u64, CommitError> {
    if writer.heads.forget_some().is_some() {
        // Among them may be one whose last transaction memory does not know yet.
        settle(shared)?;
    }
    find_heads(shared, writer, changes)?;
    match insert(shared, writer, changes) {
        Ok(last) => {
            writer.sequence = last;
            Ok(last)
        }
        Err(error) => {
            // Some of them are of what was not written. Should this fail, no more is written, and says so.
            writer.heads.clear();
            let _ = settle(shared);
            Err(error)
        }
    }
}

/// Finds the last transaction of every account that is posted to. Nobody else commits meanwhile.
fn find_heads(shared: &Shared, writer: &mut Writer, changes: &[Change]) -> Result<(), Fault> {
    let accounts = changes.iter().filter_map(post_of).map(|it| it.transaction.place.account);
    let mut cold: Vec<(AccountNumber, Option<Head>)> =
        accounts.filter(|it| writer.heads.get(*it).is_none()).map(|it| (it, None)).collect();
    if cold.is_empty() {
        return Ok(());
    }
    let memory = shared.memory();
    cold.iter_mut().for_each(|(account, head)| *head = memory.head(*account));
    drop(memory);
    shared.read(|reader| {
        for (account, head) in &mut cold {
            if head.is_none() {
                *head = Some(derived::head(&reader.derived, *account)?.map_or_else(Head::default, |(head, _)| head));
            }
        }
        Ok(())
    })?;
    cold.into_iter().for_each(|(account, head)| writer.heads.insert(account, head.unwrap_or_default()));
    Ok(())
}

fn post_of(change: &Change) -> Option<&Post> {
    match change {
        Change::Post(post) => Some(post),
        _ => None,
    }
}

fn posts_of(changes: &[Change]) -> Vec<&Post> {
    changes.iter().filter_map(post_of).collect()
}

/// Inserts everything, or nothing: whatever goes wrong before the end rolls the transaction back.
fn insert(shared: &Shared, writer: &mut Writer, changes: &[Change]) -> Result<u64, CommitError> {
    let mut sequence = writer.sequence;
    let before = Arc::clone(&writer.numbered.read().unwrap_or_else(PoisonError::into_inner));
    let transaction = writer.file.unchecked_transaction().map_err(fault)?;
    let mut appender = journal::Appender::new(&transaction, Arc::clone(&before), &mut writer.met).map_err(fault)?;
    for (count, change) in changes.iter().enumerate() {
        if count.is_multiple_of(LOOKED_AT) {
            let next = changes[count..].iter().take(LOOKED_AT).filter_map(post_of);
            next.for_each(|it| it.transaction.look_at());
        }
        let Some(post) = post_of(change) else {
            records::write(&transaction, change)?;
            continue;
        };
        let Place { account, version } = post.transaction.place;
        let head = *writer.heads.get(account).expect("the head of every account was looked up");
        if version != head.version + 1 {
            return Err(CommitError::Stale);
        }
        assert_eq!((post.book.account, post.book.version), (account, version), "a book ends in its transaction");
        assert_eq!(post.key.is_some(), post.transaction.origin.key.is_some(), "who has a key is found by it");
        debug_assert_eq!(
            post.key,
            post.transaction.origin.key.as_deref().map(|it| crate::NameHash::key(account, it)),
            "a post's key is the name of its transaction's key"
        );
        sequence += 1;
        appender.append(sequence, head.sequence, post).map_err(fault)?;
        writer.heads.insert(account, Head { version, sequence });
    }
    let numbered = Arc::clone(&appender.numbered);
    drop(appender);
    if !Arc::ptr_eq(&numbered, &before) {
        // Before any reader can meet them; none does if the commit fails, and then there are no more commits.
        *writer.numbered.write().unwrap_or_else(PoisonError::into_inner) = numbered;
    }
    transaction.commit().map_err(|it| {
        // It may be on the disk or not, which nobody can find out: no more is written.
        shared.is_broken.store(true, Ordering::Release);
        fault(it)
    })?;
    Ok(sequence)
}

/// Puts what was written, up to the transaction `last`, into memory.
fn remember_written(shared: &Shared, last: u64) {
    let _in_order = lock(&shared.unsettled.settling);
    let next = || lock(&shared.unsettled.written).front().filter(|it| it.last <= last).cloned();
    while let Some(written) = next() {
        remember(shared, &posts_of(&written.changes), written.last);
        lock(&shared.unsettled.written).pop_front();
    }
}

/// Puts posts, the last of which has this sequence, into memory.
fn remember(shared: &Shared, posts: &[&Post], last: u64) {
    /// Posts that whoever reads may have to wait for.
    const AT_ONCE: usize = 512;
    let first = last + 1 - posts.len() as u64;
    let numbered: Vec<(u64, &Post)> = (first..).zip(posts.iter().copied()).collect();
    let mut length = 0;
    for some in numbered.chunks(AT_ONCE) {
        let mut memory = shared.memory_mut();
        memory.live.push_all(some);
        length = memory.live.length;
        shared.live_length.store(length, Ordering::Relaxed);
    }
    if shared.options.fold_at <= length {
        shared.ask(Chore::Fold);
    }
}

/// Has the log copied when enough has been added to it.
fn copy_log(shared: &Shared, mut writer: MutexGuard<'_, Writer>, rows: usize) {
    let bytes = COMMIT_BYTES + ROW_BYTES * rows;
    writer.log_bytes += bytes;
    writer.uncopied_bytes += bytes;
    let is_due = shared.options.log_bytes.max(COMMITS_MIN * bytes) <= writer.uncopied_bytes;
    drop(writer);
    if is_due {
        shared.ask(Chore::Checkpoint);
    }
}
