//! The endpoints, a file a noun. Each lets the caller in, parses once, calls one use case, renders once.
//!
//! Must never know the store, or decide anything about credits. Invariant: what a handler answers is in its
//! documentation, and the other way round; `tests/it` holds them against each other.
#![expect(elided_lifetimes_in_paths, reason = "descriptions name types without their lifetimes")]

pub mod accounts;
pub mod api_keys;
pub mod batch;
pub mod budgets;
pub mod charges;
pub mod emails;
pub mod entries;
pub mod events;
pub mod forecast;
pub mod grants;
pub mod holds;
pub mod invoices;
pub mod measure;
pub mod methods;
pub mod order;
pub mod portal;
pub mod projects;
pub mod purchases;
pub mod quotes;
pub mod rate_cards;
pub mod refunds;
pub mod reply;
pub mod reports;
pub mod running;
pub mod servers;
pub mod statements;
pub mod subscriptions;
pub mod tips;
pub mod usage;
pub mod webhook_endpoints;
