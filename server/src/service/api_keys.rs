//! API keys: 256 random bits, stored hashed, scoped, revoked and never forgotten.
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use billing::Refusal;
use billing::rating::Text;
use sha2::{Digest, Sha256};
use store::{ApiKey, Audit, Change, CommitError, Fault};

use super::Error;
use crate::app::App;

/// What a key may do. Admin may do everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Quote, charge, hold, measure.
    Charge,
    /// Read accounts, balances, usage, the ledger.
    Read,
    /// Register accounts, grant, void, buy.
    Billing,
    /// Rate cards, API keys, everything.
    Admin,
}

impl Scope {
    pub const ALL: [Scope; 4] = [Scope::Charge, Scope::Read, Scope::Billing, Scope::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Charge => "charge",
            Scope::Read => "read",
            Scope::Billing => "billing",
            Scope::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Scope, Refusal> {
        let found = Scope::ALL.into_iter().find(|it| it.as_str() == text);
        found.ok_or_else(|| Refusal::invalid("scopes", "must be of charge, read, billing and admin"))
    }
}

/// Who is calling.
#[derive(Clone, Debug)]
pub struct Caller {
    pub key_id: Text,
    pub name: Text,
    scopes: u8,
}

impl Caller {
    pub(crate) fn of(key: &ApiKey) -> Caller {
        let scopes = key.scopes.iter().filter_map(|it| it.parse::<Scope>().ok());
        Caller {
            key_id: key.id.as_str().into(),
            name: key.name.as_str().into(),
            scopes: scopes.fold(0, |all, it| all | 1 << it as u8),
        }
    }

    pub fn may(&self, scope: Scope) -> bool {
        self.scopes & (1 << Scope::Admin as u8 | 1 << scope as u8) != 0
    }
}

/// A new key, and its secret, which is never to be had again.
#[derive(Clone, Debug)]
pub struct Minted {
    pub key: ApiKey,
    pub secret: String,
}

impl App {
    pub fn mint_api_key(&self, name: &str, scopes: &[Scope], by: &str) -> Result<Minted, Error> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|it| Fault::new("minting an API key", it.to_string()))?;
        let secret = format!("scrip_{}", hex(&random));
        let key = self.add_api_key(name, scopes, &secret, by)?;
        Ok(Minted { key, secret })
    }

    /// Makes `secret` an admin key, as an operator's configuration asks; nothing where it is one.
    pub fn ensure_admin_key(&self, secret: &str) -> Result<(), Error> {
        if self.authenticate(secret).is_some_and(|it| it.may(Scope::Admin)) {
            return Ok(());
        }
        let name = format!("configured {}", &hex(&hash(secret))[..8]);
        self.add_api_key(&name, &[Scope::Admin], secret, "configuration").map(|_| ())
    }

    /// Every key, revoked ones included, oldest first. The secrets are not among what is kept.
    pub fn api_keys(&self) -> Result<Vec<ApiKey>, Error> {
        Ok(self.store.api_keys()?)
    }

    /// A revoked key opens nothing from now on. None where there is no such key.
    pub fn revoke_api_key(&self, id: &str, by: &str) -> Result<Option<ApiKey>, Error> {
        let Some(key) = self.store.api_keys()?.into_iter().find(|it| it.id == id) else { return Ok(None) };
        if key.revoked_at.is_some() {
            return Ok(Some(key));
        }
        let key = ApiKey { revoked_at: Some(self.now()), ..key };
        self.write_key(&key, "api_key.revoke", by)?;
        Ok(Some(key))
    }

    /// Whose secret this is. Found by its hash, so that the time it takes says nothing of the secret.
    pub fn authenticate(&self, secret: &str) -> Option<Caller> {
        let hash = hash(secret);
        if let Some(caller) = self.keys().get(&hash) {
            return Some(caller.clone());
        }
        // Another node may have minted it a moment ago.
        self.refresh().unwrap_or_else(|fault| tracing::error!(%fault, "reading the keys again failed"));
        self.keys().get(&hash).cloned()
    }

    fn add_api_key(&self, name: &str, scopes: &[Scope], secret: &str, by: &str) -> Result<ApiKey, Error> {
        if name.is_empty() || 100 < name.len() || name.chars().any(char::is_control) {
            return Err(Refusal::invalid("name", "must be 1 to 100 bytes without control characters").into());
        }
        if scopes.is_empty() {
            return Err(Refusal::invalid("scopes", "must name at least one of charge, read, billing, admin").into());
        }
        let hash = hash(secret);
        let key = ApiKey {
            id: format!("key_{}", &hex(&hash)[..24]),
            name: name.to_owned(),
            hash,
            scopes: Scope::ALL.iter().filter(|it| scopes.contains(it)).map(Scope::to_string).collect(),
            created_at: self.now(),
            revoked_at: None,
        };
        self.write_key(&key, "api_key.mint", by)?;
        Ok(key)
    }

    fn write_key(&self, key: &ApiKey, action: &str, by: &str) -> Result<(), Error> {
        let audit = Audit {
            at: self.now(),
            by: by.to_owned(),
            action: action.to_owned(),
            subject: key.id.clone(),
            detail: key.name.clone(),
        };
        match self.store.commit(&[Change::ApiKey(key.clone()), Change::Audit(audit)]) {
            Ok(()) => Ok(self.reread()?),
            Err(CommitError::Repeated | CommitError::Stale) => {
                Err(Refusal::invalid("name", "is the name of another key; choose one of its own").into())
            }
            Err(CommitError::Fault(fault)) => Err(fault.into()),
        }
    }
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn hex(bytes: &[u8]) -> Arc<str> {
    bytes.iter().map(|it| format!("{it:02x}")).collect::<String>().into()
}
