//! The rules: what credits are, who may spend them, and what is written down when they do.
//!
//! This crate decides everything about credits and money, and touches nothing: no clock, no disk, no network, no
//! chance. `no_std` is not for small machines; it is a promise the compiler keeps. Time and identity come in as
//! arguments, decisions go out as values, and the same arguments always give the same decision.
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod accounting;
pub mod calendar;
pub mod forecast;
pub mod id;
pub mod invoice;
pub mod ledger;
pub mod money;
pub mod payment;
pub mod rating;
pub mod refund;
pub mod refusal;
pub mod server;
pub mod subscription;
pub mod tax;
pub mod time;
pub mod total;
pub mod usage;
pub mod zone;

pub use refusal::Refusal;
