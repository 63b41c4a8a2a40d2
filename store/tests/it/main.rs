//! What every store promises, checked on each; and what only one has to, checked on that one.
#![allow(clippy::unwrap_used, reason = "all of it is tests")]

mod cluster;
mod crash;
mod forwarded;
mod homes;
mod make;
mod mortal;
mod moving;
mod on_postgres;
mod on_sqlite;
mod portable_sql;
mod promises;
mod scratch;
mod tls;
mod town;
