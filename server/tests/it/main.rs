//! Stories over real HTTP, against a real server process with a store of its own.
//!
//! What a platform would do, and what it should not; nothing here reaches behind the API. Time moves by the sandbox's
//! clock, never by waiting.
#![expect(clippy::unwrap_used, reason = "what a test cannot unwrap is what it found")]

mod audited;
mod bad_input;
mod batches;
mod budgets;
mod charges;
#[path = "../../../store/tests/it/cluster.rs"]
mod cluster;
mod command_line;
mod configured;
mod console;
mod crash;
mod description;
mod emails;
#[path = "../../../store/tests/it/forwarded.rs"]
mod forwarded;
mod history;
mod hold_crashes;
mod holds;
mod imports;
mod insight;
mod jobs;
mod keys;
mod money_agreed;
mod money_back;
mod money_books;
mod money_cancelling;
mod money_card_numbers;
mod money_crashes;
mod money_lifetime;
mod money_mails;
mod money_notices;
mod money_pages;
mod money_papers;
mod money_prior_art;
mod money_purchases;
mod money_shop;
mod money_subscriptions;
mod money_told;
mod money_topups;
mod money_town;
#[path = "../../../store/tests/it/mortal.rs"]
mod mortal;
mod moving;
mod nodes;
mod page_limits;
mod pages;
mod parallel;
mod provider;
mod repositories;
mod served;
mod servers;
#[cfg(feature = "otlp")]
mod traces;
mod usage_pages;
mod usage_sums;
mod webhooks;
