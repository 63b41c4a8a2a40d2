//! Checkpoints: what commits wrote to the journal file's write-ahead log goes into the file itself, beside them.
//!
//! A log that is copied whole is begun anew by the next commit, so now and then commits have to wait until it is: that
//! costs two syncs of the disk. It is copied far more often, a little at a time, because commits also wait for a disk
//! that has much to sync.
use rusqlite::Connection;

use super::shared::{Chore, Shared, lock};

/// A log is begun anew when so many times what is copied at once has been written to it.
const COPIED_BEFORE: usize = 32;
/// What was added while the rest was copied is copied in its turn, so often at most, before commits wait.
const COPIES_MAX: u32 = 4;

/// Copies whenever the log has grown enough. What fails is tried again when it has grown more: until then the log has
/// everything, and grows.
pub fn when_asked(shared: &Shared, file: &Connection) {
    while shared.await_chore(Chore::Checkpoint) {
        if copy(shared, file).is_ok() && is_long(shared) {
            begin_anew(shared, file);
        }
    }
}

fn is_long(shared: &Shared) -> bool {
    COPIED_BEFORE * shared.options.log_bytes <= lock(&shared.writer).log_bytes
}

/// Copies what the log has now, while commits go on.
fn copy(shared: &Shared, file: &Connection) -> rusqlite::Result<()> {
    lock(&shared.writer).uncopied_bytes = 0;
    checkpoint(file)
}

/// Copies all of it while commits wait: by then that is a few pages.
fn begin_anew(shared: &Shared, file: &Connection) {
    for _ in 0..COPIES_MAX {
        let is_little = lock(&shared.writer).uncopied_bytes <= shared.options.log_bytes / 8;
        if is_little || copy(shared, file).is_err() {
            break;
        }
    }
    let mut writer = lock(&shared.writer);
    if checkpoint(&writer.file).is_ok() {
        (writer.log_bytes, writer.uncopied_bytes) = (0, 0);
    }
}

fn checkpoint(file: &Connection) -> rusqlite::Result<()> {
    file.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()))
}
