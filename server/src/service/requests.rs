//! Requests that make a document under a key of the caller's: the same key leads to the same document, for ever.
//!
//! The note that remembers a key is committed with what the key brought about, or neither is.
use billing::Refusal;
use billing::id::{AccountNumber, Place};
use billing::rating::Text;
use serde::{Deserialize, Serialize};
use store::{Change, Fault, NameHash};

use super::Error;
use super::documents::Kept;
use super::order::Fingerprint;
use crate::app::App;

const KIND: &str = "request";

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Note {
    /// Fingerprint of what came with the key.
    request: String,
    /// What it led to.
    led_to: String,
}

/// A key that nobody has used yet.
pub(super) struct Fresh {
    account: AccountNumber,
    name: String,
    request: String,
}

/// What a key stands for.
pub(super) enum Asked {
    Fresh(Fresh),
    Before(String),
}

impl App {
    /// Whether the key came before, and what it led to.
    pub(super) fn asked(&self, account: AccountNumber, key: &Text, request: Fingerprint) -> Result<Asked, Error> {
        let key = self.key(account, key, request)?;
        let name: String = key.name.0.iter().map(|it| format!("{it:02x}")).collect();
        let request = format!("{:032x}", key.request);
        let Some(note) = self.kept::<Note>(account, KIND, &name)? else {
            return Ok(Asked::Fresh(Fresh { account, name, request }));
        };
        if note.body.request != request {
            return Err(Refusal::IdempotencyConflict.into());
        }
        Ok(Asked::Before(note.body.led_to))
    }

    /// The same for a request that may come without a key: the key, where it is new, and whether it came before.
    pub(super) fn asked_perhaps(
        &self,
        account: AccountNumber,
        key: Option<&Text>,
        request: Fingerprint,
    ) -> Result<(Option<Fresh>, bool), Error> {
        let Some(key) = key else { return Ok((None, false)) };
        Ok(match self.asked(account, key, request)? {
            Asked::Fresh(fresh) => (Some(fresh), false),
            Asked::Before(_) => (None, true),
        })
    }

    /// A place in an account that no transaction reaches, for what does not come of one.
    pub(super) fn place_beside(&self, account: AccountNumber) -> Result<Place, Fault> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|it| Fault::new("drawing an id", it.to_string()))?;
        // The upper half of all versions: a journal of so many transactions would take centuries.
        Ok(Place { account, version: 1 << 35 | u64::from_le_bytes(bytes) >> 29 })
    }
}

impl Fresh {
    /// The note of it, to be committed with what it leads to.
    pub fn led_to(&self, id: &str, at: billing::time::Timestamp) -> Change {
        let note = Note { request: self.request.clone(), led_to: id.to_owned() };
        Kept::new(self.account, KIND, self.name.clone(), note).next(at, None)
    }
}

/// The name under which the grant of a payment is found.
pub(super) fn paid(payment: billing::id::PaymentId) -> NameHash {
    NameHash::paid(payment)
}
