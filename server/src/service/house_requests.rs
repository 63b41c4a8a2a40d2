//! Requests that belong to no account (API keys, prices, webhook endpoints) under a key of the caller's: done once.
//!
//! Invariant: what a key led to is written in the commit of what it brought about, so that neither is without the
//! other. Secrets are never among what is kept.
use billing::Refusal;
use billing::rating::Text;
use serde::Serialize;
use store::{Change, NameHash, Reply};

use super::Error;
use super::order::Fingerprint;
use super::requests::text_of;
use crate::app::App;

/// The idempotency key that came with a request, and who sent it: callers do not share their keys.
#[derive(Clone, Debug)]
pub struct Under {
    pub caller: Text,
    pub key: Text,
}

/// A key and what it was sent with.
pub(super) struct HouseKey {
    name: NameHash,
    request: u128,
}

impl HouseKey {
    pub fn of(under: &Under, request: &Fingerprint) -> HouseKey {
        HouseKey { name: NameHash::house_key(&format!("{} {}", under.caller, under.key)), request: request.finish() }
    }

    /// The note of it and of the answer, to be committed with what it is about.
    pub fn answered(&self, answer: &impl Serialize) -> Change {
        self.led_to(&text_of(answer))
    }

    /// The note of what it led to, to be committed with that.
    pub fn led_to(&self, what: &str) -> Change {
        Change::Reply(Reply { key: self.name, request: self.request, status: 201, body: what.to_owned() })
    }
}

impl App {
    /// What a request under this key led to before; none for a new one, and for one without a key.
    pub(super) fn led_before(&self, key: Option<&HouseKey>) -> Result<Option<String>, Error> {
        let Some(key) = key else { return Ok(None) };
        match self.store.reply(key.name)? {
            Some(reply) if reply.request != key.request => Err(Refusal::IdempotencyConflict.into()),
            found => Ok(found.map(|it| it.body)),
        }
    }
}
