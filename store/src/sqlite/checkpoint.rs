//! Checkpoints: what commits wrote to the journal file's write-ahead log goes into the file itself, beside them.
use rusqlite::Connection;

use super::shared::{Chore, Shared, lock};

/// Checkpoints whenever the log has grown enough. A checkpoint that fails is tried again when it has grown more: until
/// then the log has everything, and grows.
pub fn when_asked(shared: &Shared, file: &Connection) {
    while shared.await_chore(Chore::Checkpoint) {
        // Nearly everything is copied while commits go on …
        let copied = checkpoint(file);
        // … and what they added meanwhile while they wait, a few pages: only a log that is copied whole is begun anew.
        let mut writer = lock(&shared.writer);
        if copied.and_then(|()| checkpoint(&writer.file)).is_ok() {
            writer.log_bytes = 0;
        }
    }
}

fn checkpoint(file: &Connection) -> rusqlite::Result<()> {
    file.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()))
}
