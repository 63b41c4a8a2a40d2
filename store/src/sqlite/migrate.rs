//! Brings a file's schema to the newest version, step by step. A step once released is never edited.
use rusqlite::{Connection, TransactionBehavior};

use crate::Fault;

const DOING: &str = "bringing the schema up to date";

/// Applies the steps that `file` has not had yet, each in a transaction with its number. The number is SQLite's
/// `user_version`.
///
/// # Errors
/// When the file has had more steps than there are: a newer Scrip wrote it.
pub fn migrate(file: &mut Connection, steps: &[&str]) -> Result<(), Fault> {
    let fault = |it: rusqlite::Error| Fault::new(DOING, it);
    // Immediate: two processes that start at once do not both migrate.
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate).map_err(fault)?;
    let done: u32 = transaction.query_row("pragma user_version", [], |row| row.get(0)).map_err(fault)?;
    let known = steps.len();
    let done = usize::try_from(done).unwrap_or(usize::MAX);
    if known < done {
        return Err(Fault::new(
            DOING,
            format!("the file has schema {done}, this program knows schemas up to {known}: use a newer Scrip"),
        ));
    }
    for (number, step) in (1_u32..).zip(steps).skip(done) {
        transaction.execute_batch(step).map_err(fault)?;
        transaction.pragma_update(None, "user_version", number).map_err(fault)?;
    }
    transaction.commit().map_err(fault)
}
