//! The one write: changes go into one transaction of the journal file, and only when that is on the disk into memory.
use std::sync::{Arc, PoisonError};

use billing::id::{AccountNumber, Place};

use super::shared::{Chore, Shared, Writer, lock};
use super::spread::SpreadMap;
use super::tail::Head;
use super::{derived, journal, records};
use crate::{Change, CommitError, Fault, Post};

/// The write-ahead log grows by at least a page a commit, whatever is in it.
const COMMIT_BYTES: usize = 2 * 4096;
/// About what a row of the journal takes.
const ROW_BYTES: usize = 300;
/// Commits between two checkpoints, at least: large groups share one, too.
const COMMITS_MIN: usize = 8;

fn fault(error: rusqlite::Error) -> Fault {
    Fault::new("committing", error)
}

pub fn commit(shared: &Shared, changes: &[Change]) -> Result<(), CommitError> {
    // Back-pressure: memory stays bounded when folding cannot keep up.
    let is_full = shared.options.tail_max <= shared.memory().live.length;
    if is_full {
        shared.await_fold(|memory| memory.live.length < shared.options.tail_max)?;
    }
    let mut writer = lock(&shared.writer);
    if writer.is_broken {
        return Err(Fault::new("committing", "an earlier commit failed: the store must be opened anew").into());
    }
    let mut heads = std::mem::take(&mut writer.heads);
    find_heads(shared, changes, &mut heads)?;
    let posts = write(&mut writer, &mut heads, changes)?;
    writer.heads = heads;
    writer.sequence += posts.len() as u64;
    let bytes = COMMIT_BYTES + ROW_BYTES * posts.len();
    writer.log_bytes += bytes;
    writer.uncopied_bytes += bytes;
    let (is_long, asks_checkpoint) = {
        let mut memory = shared.memory_mut();
        memory.live.push_all(&posts);
        let is_long = shared.options.fold_at <= memory.live.length;
        (is_long, shared.options.log_bytes.max(COMMITS_MIN * bytes) <= writer.uncopied_bytes)
    };
    drop(writer);
    if is_long {
        shared.ask(Chore::Fold);
    }
    if asks_checkpoint {
        shared.ask(Chore::Checkpoint);
    }
    Ok(())
}

/// The last transaction of every account that is posted to. Nobody else commits meanwhile.
fn find_heads(shared: &Shared, changes: &[Change], heads: &mut SpreadMap<AccountNumber, Head>) -> Result<(), Fault> {
    heads.clear();
    let mut cold = Vec::new();
    let memory = shared.memory();
    for post in changes.iter().filter_map(post_of) {
        let account = post.transaction.place.account;
        match memory.head(account) {
            Some(head) => drop(heads.insert(account, head)),
            None => cold.push(account),
        }
    }
    drop(memory);
    if !cold.is_empty() {
        shared.read(|reader| {
            for account in cold {
                let head = derived::head(&reader.derived, account)?.map_or_else(Head::default, |(head, _)| head);
                heads.insert(account, head);
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn post_of(change: &Change) -> Option<&Post> {
    match change {
        Change::Post(post) => Some(post),
        _ => None,
    }
}

/// Writes everything, or nothing: whatever goes wrong before the end rolls the transaction back.
fn write<'a>(
    writer: &mut Writer,
    heads: &mut SpreadMap<AccountNumber, Head>,
    changes: &'a [Change],
) -> Result<Vec<(u64, &'a Post)>, CommitError> {
    let mut sequence = writer.sequence;
    let mut posts = Vec::with_capacity(changes.len());
    let before = Arc::clone(&writer.numbered.read().unwrap_or_else(PoisonError::into_inner));
    let transaction = writer.file.unchecked_transaction().map_err(fault)?;
    let mut appender = journal::Appender::new(&transaction, Arc::clone(&before), &mut writer.met).map_err(fault)?;
    for change in changes {
        let Some(post) = post_of(change) else {
            records::write(&transaction, change)?;
            continue;
        };
        let Place { account, version } = post.transaction.place;
        let head = heads.get_mut(&account).expect("the head of every account was looked up");
        if version != head.version + 1 {
            return Err(CommitError::Stale);
        }
        assert_eq!((post.book.account, post.book.version), (account, version), "a book ends in its transaction");
        let key = post.transaction.origin.key.as_deref().map(|it| crate::NameHash::key(account, it));
        assert_eq!(post.key, key, "a post's key is the name of its transaction's key");
        sequence += 1;
        appender.append(sequence, head.sequence, post).map_err(fault)?;
        *head = Head { version, sequence };
        posts.push((sequence, post));
    }
    let numbered = Arc::clone(&appender.numbered);
    drop(appender);
    if !Arc::ptr_eq(&numbered, &before) {
        // Before any reader can meet them; none does if the commit fails, and then there are no more commits.
        *writer.numbered.write().unwrap_or_else(PoisonError::into_inner) = numbered;
    }
    // A sync that failed cannot be tried again: the system may have thrown the pages away, and says so only once.
    transaction.commit().map_err(|it| {
        writer.is_broken = true;
        fault(it)
    })?;
    Ok(posts)
}
