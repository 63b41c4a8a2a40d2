//! What every store promises, checked on each; and what only SQLite has to, checked on it.
#![allow(clippy::unwrap_used, reason = "all of it is tests")]

mod crash;
mod homes;
mod make;
mod on_sqlite;
mod promises;
mod scratch;
mod town;
