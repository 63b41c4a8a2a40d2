//! The seal: what goes out through a browser and comes back unaltered, or is not believed.
//!
//! A sealed text is a value and its HMAC-SHA256 under a secret that the store keeps and nobody is shown. Every seal has
//! a purpose, so that what was sealed for one thing opens nothing else.
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;
use store::{Change, CommitError, Document, Fault};

use crate::app::App;

/// The house document that keeps the secret.
const KIND: &str = "seal";
const ID: &str = "1";
/// Longer than anything that is sealed here: what is longer is not looked at.
const TOKEN_LENGTH_MAX: usize = 4_096;

#[derive(Clone)]
pub struct Seal(Arc<[u8; 32]>);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    /// `value`, readable by anybody and alterable by nobody.
    pub fn close(&self, purpose: &str, value: &impl Serialize) -> Result<String, Fault> {
        let body = serde_json::to_vec(value).map_err(|it| Fault::new("sealing", it))?;
        let body = URL_SAFE_NO_PAD.encode(body);
        let mark = self.mark(purpose, &body);
        Ok(format!("{body}.{mark}"))
    }

    /// What was sealed for this purpose. None for everything else.
    pub fn open<T: DeserializeOwned>(&self, purpose: &str, token: &str) -> Option<T> {
        if TOKEN_LENGTH_MAX < token.len() {
            return None;
        }
        let (body, mark) = token.split_once('.')?;
        let mark = URL_SAFE_NO_PAD.decode(mark).ok()?;
        // Compared in a time that says nothing of where they differ.
        self.over(purpose, body).verify_slice(&mark).ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()
    }

    /// A text that only this seal can make of these two.
    pub fn mark(&self, purpose: &str, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.over(purpose, text).finalize().into_bytes())
    }

    /// Whether `mark` is what [`Seal::mark`] makes of these two.
    pub fn is_mark(&self, purpose: &str, text: &str, mark: &str) -> bool {
        URL_SAFE_NO_PAD.decode(mark).is_ok_and(|it| self.over(purpose, text).verify_slice(&it).is_ok())
    }

    fn over(&self, purpose: &str, text: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.0).expect("HMAC takes keys of any length");
        mac.update(purpose.as_bytes());
        // No purpose has a zero in it, so no purpose and text run into another pair.
        mac.update(&[0]);
        mac.update(text.as_bytes());
        mac
    }
}

impl App {
    /// The house's seal, made at its first use.
    pub(super) fn seal(&self) -> Result<Seal, Fault> {
        if let Some(seal) = self.seal.get() {
            return Ok(seal.clone());
        }
        let seal = match self.store.document(Document::HOUSE, KIND, ID)? {
            Some(document) => read(&document)?,
            None => self.make_seal()?,
        };
        Ok(self.seal.get_or_init(|| seal).clone())
    }

    fn make_seal(&self) -> Result<Seal, Fault> {
        let secret = random(32, "making a seal")?;
        let document = Document {
            account: Document::HOUSE,
            kind: KIND.to_owned(),
            id: ID.to_owned(),
            version: 1,
            at: self.now(),
            due_at: None,
            body: serde_json::json!({ "secret": URL_SAFE_NO_PAD.encode(&secret) }).to_string(),
        };
        match self.store.commit(&[Change::Document(document.clone())]) {
            Ok(()) => read(&document),
            // Another process made one at the same moment: that is the one.
            Err(CommitError::Stale | CommitError::Repeated) => {
                let first = self.store.document(Document::HOUSE, KIND, ID)?;
                read(&first.ok_or_else(|| Fault::new("making a seal", "another was first, and it is not there"))?)
            }
            Err(CommitError::Fault(fault)) => Err(fault),
        }
    }
}

fn read(document: &Document) -> Result<Seal, Fault> {
    let body: serde_json::Value =
        serde_json::from_str(&document.body).map_err(|it| Fault::new("reading the seal", it))?;
    let secret = body["secret"].as_str().and_then(|it| URL_SAFE_NO_PAD.decode(it).ok());
    let secret: Option<[u8; 32]> = secret.and_then(|it| it.try_into().ok());
    secret.map(|it| Seal(Arc::new(it))).ok_or_else(|| Fault::new("reading the seal", "it is not 32 bytes"))
}

/// `count` bytes nobody can guess.
pub(super) fn random(count: usize, what: &'static str) -> Result<Vec<u8>, Fault> {
    let mut bytes = vec![0; count];
    getrandom::fill(&mut bytes).map_err(|it| Fault::new(what, it.to_string()))?;
    Ok(bytes)
}

/// A name of 128 random bits.
pub(super) fn random_name(what: &'static str) -> Result<String, Fault> {
    Ok(URL_SAFE_NO_PAD.encode(random(16, what)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_altered_or_sealed_for_something_else_is_not_believed() {
        let seal = Seal(Arc::new([7; 32]));
        let token = seal.close("link", &"acme").unwrap();
        assert_eq!(seal.open::<String>("link", &token).as_deref(), Some("acme"));
        assert_eq!(seal.open::<String>("session", &token), None);
        assert_eq!(Seal(Arc::new([8; 32])).open::<String>("link", &token), None);
        let (body, mark) = token.split_once('.').unwrap();
        let other = URL_SAFE_NO_PAD.encode("\"evil\"");
        for altered in
            [format!("{other}.{mark}"), format!("{body}."), body.to_owned(), format!("{token}A"), String::new()]
        {
            assert_eq!(seal.open::<String>("link", &altered), None, "{altered}");
        }
        assert!(seal.is_mark("form", "x", &seal.mark("form", "x")));
        assert!(!seal.is_mark("form", "x", &seal.mark("form", "y")));
    }
}
