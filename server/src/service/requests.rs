//! Requests of an account under a key of the caller's: the same key leads to the same answer, for ever.
//!
//! The note that remembers a key is committed with what the key brought about, or neither is. It says what was made,
//! or, of what is another by the time the key comes again, the answer itself.
use billing::Refusal;
use billing::id::{AccountNumber, Place};
use billing::rating::Text;
use billing::time::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use store::{Change, Document, Fault};

use super::Error;
use super::documents::Kept;
use super::order::Fingerprint;
use crate::app::App;
use crate::turnstile::Key;

const KIND: &str = Document::REQUEST;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Note {
    /// Fingerprint of what came with the key.
    request: String,
    /// What it led to.
    led_to: String,
}

/// A key that nobody has used yet, or whose answer nobody has noted.
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
        let asked = self.noted(account, &key)?;
        // What posts a transaction by itself writes no note: its key is the transaction's.
        if matches!(asked, Asked::Fresh(_)) && self.store.recall(&[key.name], &[])?.named.iter().any(Option::is_some) {
            return Err(Refusal::IdempotencyConflict.into());
        }
        Ok(asked)
    }

    /// The same where a transaction goes under the key too, and what was answered is noted beside it.
    pub(super) fn noted(&self, account: AccountNumber, key: &Key) -> Result<Asked, Error> {
        let fresh = Fresh { account, name: name_of(key), request: format!("{:032x}", key.request) };
        Ok(match self.noted_of(&fresh)? {
            Some(led_to) => Asked::Before(led_to),
            None => Asked::Fresh(fresh),
        })
    }

    /// A key that came before, to note at last what was answered.
    pub(super) fn asked_before(
        &self,
        account: AccountNumber,
        key: &Text,
        request: Fingerprint,
    ) -> Result<Fresh, Error> {
        let key = self.key(account, key, request)?;
        Ok(Fresh { account, name: name_of(&key), request: format!("{:032x}", key.request) })
    }

    /// What a key led to that was fresh a moment ago.
    pub(super) fn noted_of(&self, fresh: &Fresh) -> Result<Option<String>, Error> {
        let Some(note) = self.kept::<Note>(fresh.account, KIND, &fresh.name)? else { return Ok(None) };
        if note.body.request != fresh.request {
            return Err(Refusal::IdempotencyConflict.into());
        }
        Ok(Some(note.body.led_to))
    }

    /// The key of a request that posts a transaction, by which it is known: one that a note remembers is of something
    /// else.
    pub(super) fn key_of_transaction(
        &self,
        account: AccountNumber,
        key: &Text,
        request: Fingerprint,
    ) -> Result<Key, Error> {
        let key = self.key(account, key, request)?;
        match self.kept::<Note>(account, KIND, &name_of(&key))? {
            Some(_) => Err(Refusal::IdempotencyConflict.into()),
            None => Ok(key),
        }
    }

    /// A first answer, noted; or the one that somebody else has noted meanwhile, which then is the first.
    pub(super) fn noted_at_last<T: Serialize + DeserializeOwned>(&self, fresh: &Fresh, answer: T) -> Result<T, Error> {
        if self.keep(&[fresh.answered_at_last(&answer, self.now())])? {
            return Ok(answer);
        }
        Ok(self.noted_of(fresh)?.and_then(|it| answer_in(&it)).unwrap_or(answer))
    }

    /// The same for a request that may come without a key: the key, where it is new, and what it led to, where it came
    /// before.
    pub(super) fn asked_perhaps(
        &self,
        account: AccountNumber,
        key: Option<&Text>,
        request: Fingerprint,
    ) -> Result<(Option<Fresh>, Option<String>), Error> {
        let Some(key) = key else { return Ok((None, None)) };
        Ok(match self.asked(account, key, request)? {
            Asked::Fresh(fresh) => (Some(fresh), None),
            Asked::Before(led_to) => (None, Some(led_to)),
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
    pub fn led_to(&self, id: &str, at: Timestamp) -> Change {
        self.note(id.to_owned()).next(at, None)
    }

    /// The note of it and of the answer, to be committed with what it is about.
    pub fn answered(&self, answer: &impl Serialize, at: Timestamp) -> Change {
        self.note(text_of(answer)).next(at, None)
    }

    /// The answer that is known only some commits after the note: its next state.
    pub fn answered_at_last(&self, answer: &impl Serialize, at: Timestamp) -> Change {
        let mut note = self.note(text_of(answer));
        note.document.version = 1;
        note.next(at, None)
    }

    fn note(&self, led_to: String) -> Kept<Note> {
        Kept::new(self.account, KIND, self.name.clone(), Note { request: self.request.clone(), led_to })
    }
}

/// What the note of a key is called.
fn name_of(key: &Key) -> String {
    key.name.0.iter().map(|it| format!("{it:02x}")).collect()
}

pub(super) fn text_of(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).expect("an answer is plain JSON")
}

/// The answer in a note. None where only what was made stands there.
pub(super) fn answer_in<T: DeserializeOwned>(led_to: &str) -> Option<T> {
    serde_json::from_str(led_to).ok()
}
