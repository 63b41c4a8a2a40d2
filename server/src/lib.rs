//! The world around the rules: prices on paper, the turnstile, use cases, HTTP, the command line.
//!
//! `http`, `web` and `worker` call `service`; `service` calls `billing`, `meters` and `store`. The borders are kept by
//! `cargo xtask tidy`. It is a library so that tests, benchmarks and the binary are made of the same parts.
pub mod app;
mod at_hand;
pub mod brand;
pub mod cli;
pub mod clock;
pub mod config;
pub mod csv;
pub mod database;
pub mod demo;
#[cfg(test)]
#[path = "../../store/tests/it/forwarded.rs"]
mod forwarded;
pub mod http;
pub mod notify;
pub mod rate_card;
pub mod service;
pub mod stripe;
pub mod traces;
pub mod turnstile;
pub mod web;
pub mod worker;

/// A charge allocates a few dozen small pieces on one thread and frees them on another, which this does for a third of
/// what the system's allocator takes; and a server that runs for months keeps its size.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
