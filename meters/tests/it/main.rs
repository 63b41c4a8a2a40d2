//! The measures against their specification and against independent oracles. One binary: it links once.
//!
//! Must never skip: where an oracle is missing, its test fails and says how to get it.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod chat;
mod limits;
mod oracle;
mod plan;
mod repository;
mod server;
