//! API keys: 256 random bits, stored hashed, scoped, revoked and never forgotten.
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use billing::Refusal;
use billing::rating::Text;
use billing::time::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use store::{ApiKey, Audit, Change, CommitError, Fault};

use super::Error;
use super::house_requests::{HouseKey, Under};
use super::order::Fingerprint;
use crate::app::App;

/// What a key may do. Admin may do everything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// Quote, charge, hold, measure; order servers and report of them.
    Charge,
    /// Read accounts, balances, usage, the ledger.
    Read,
    /// Register accounts, grant, void, reverse, set budgets, let people in; buy, refund, keep cards, subscribe, top up.
    Billing,
    /// Rate cards, what is sold, webhooks, reports, API keys: everything.
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

/// A key to be made.
#[derive(Clone)]
pub struct MintOrder {
    pub name: String,
    pub scopes: Vec<Scope>,
    /// Name of the API key that asks.
    pub by: Text,
    pub under: Option<Under>,
    /// Drawn where none is brought: see [`secret_under`].
    pub secret: Option<String>,
}

/// A new key, and its secret, which is never to be had again.
#[derive(Clone)]
pub struct Minted {
    pub key: ApiKey,
    /// None for a request that came before and did not bring the secret again.
    pub secret: Option<String>,
    pub is_replay: bool,
}

/// The secret that an idempotency key leads to, for whoever holds `caller_secret` and nobody else: so that the same
/// request is answered with the same secret, and neither secret is kept anywhere.
pub fn secret_under(caller_secret: &str, key: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(caller_secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(b"scrip api key\0");
    mac.update(key.as_bytes());
    format!("scrip_{}", hex(&mac.finalize().into_bytes()))
}

impl App {
    pub fn mint_api_key(&self, order: MintOrder) -> Result<Minted, Error> {
        let mut request = Fingerprint::of("mint");
        request.text(&order.name);
        Scope::ALL.iter().filter(|it| order.scopes.contains(it)).for_each(|it| _ = request.text(it.as_str()));
        let under = order.under.as_ref().map(|it| HouseKey::of(it, &request));
        if let Some(before) = self.minted_before(&order, under.as_ref())? {
            return Ok(before);
        }
        let secret = order.secret.clone().map_or_else(drawn, Ok)?;
        let made = self.add_api_key(&order, &secret, under.as_ref());
        // Refused because the same request was faster, perhaps.
        match made {
            Err(Error::Refused(_)) => match self.minted_before(&order, under.as_ref())? {
                Some(before) => Ok(before),
                None => made.map(|key| Minted { key, secret: None, is_replay: false }),
            },
            made => Ok(Minted { key: made?, secret: Some(secret), is_replay: false }),
        }
    }

    fn minted_before(&self, order: &MintOrder, under: Option<&HouseKey>) -> Result<Option<Minted>, Error> {
        let Some(id) = self.led_before(under)? else { return Ok(None) };
        let key = self.store.api_keys()?.into_iter().find(|it| it.id == id);
        let key = key.ok_or_else(|| Fault::new("minting an API key", format!("{id} is not there")))?;
        // As it was answered first, whatever was done with it since.
        let key = ApiKey { revoked_at: None, ..key };
        Ok(Some(Minted { secret: order.secret.clone().filter(|it| hash(it) == key.hash), key, is_replay: true }))
    }

    /// Makes `secret` an admin key, as an operator's configuration asks; nothing where it is one.
    pub fn ensure_admin_key(&self, secret: &str) -> Result<(), Error> {
        if self.authenticate(secret).is_some_and(|it| it.may(Scope::Admin)) {
            return Ok(());
        }
        let hashed = hash(secret);
        if self.store.api_keys()?.iter().any(|it| it.hash == hashed && it.revoked_at.is_some()) {
            return Err(Refusal::invalid("SCRIP_ADMIN_KEY", "was revoked; choose a new secret").into());
        }
        let order = MintOrder {
            name: format!("configured {}", &hex(&hashed)[..8]),
            scopes: vec![Scope::Admin],
            by: "configuration".into(),
            under: None,
            secret: None,
        };
        self.add_api_key(&order, secret, None).map(|_| ())
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
        self.write_key(&key, "api_key.revoke", by, None)?;
        Ok(Some(key))
    }

    /// Whose secret this is, as far as this node knows. Found by its hash, so that the time it takes says nothing of
    /// the secret.
    pub fn authenticate(&self, secret: &str) -> Option<Caller> {
        self.keys().get(&hash(secret)).cloned()
    }

    /// Whose secret this is, also where another node has minted it a moment ago.
    pub async fn authenticate_anew(self: &Arc<App>, secret: &str) -> Option<Caller> {
        if let Some(caller) = self.authenticate(secret) {
            return Some(caller);
        }
        self.reread_for_unknown().await;
        self.authenticate(secret)
    }

    /// Whether the key of a caller who was admitted may this still: it has not been revoked since.
    pub fn may_still(&self, caller: &Caller, scope: Scope) -> bool {
        self.keys().values().any(|it| it.key_id == caller.key_id && it.may(scope))
    }

    fn add_api_key(&self, order: &MintOrder, secret: &str, under: Option<&HouseKey>) -> Result<ApiKey, Error> {
        let MintOrder { name, scopes, by, .. } = order;
        if name.is_empty() || 100 < name.len() || name.chars().any(char::is_control) {
            return Err(Refusal::invalid("name", "must be 1 to 100 bytes without control characters").into());
        }
        if scopes.is_empty() {
            return Err(Refusal::invalid("scopes", "must name at least one of charge, read, billing, admin").into());
        }
        let (hash, now) = (hash(secret), self.now());
        let key = ApiKey {
            id: id_of(&hash, now),
            name: name.clone(),
            hash,
            scopes: Scope::ALL.iter().filter(|it| scopes.contains(it)).map(Scope::to_string).collect(),
            created_at: now,
            revoked_at: None,
        };
        self.write_key(&key, "api_key.mint", by, under)?;
        Ok(key)
    }

    fn write_key(&self, key: &ApiKey, action: &str, by: &str, under: Option<&HouseKey>) -> Result<(), Error> {
        let audit = Audit {
            at: self.now(),
            by: by.to_owned(),
            action: action.to_owned(),
            subject: key.id.clone(),
            detail: key.name.clone(),
        };
        let mut changes = vec![Change::ApiKey(key.clone()), Change::Audit(audit)];
        changes.extend(under.map(|it| it.led_to(&key.id)));
        match self.store.commit(&changes) {
            Ok(()) => {
                // It is there: whoever has made a key must be told it, for nobody can tell it later.
                self.reread().unwrap_or_else(|fault| tracing::error!(%fault, "reading the keys again failed"));
                Ok(())
            }
            Err(CommitError::Repeated | CommitError::Stale) => {
                Err(Refusal::invalid("name", "is the name of another key; choose one of its own").into())
            }
            Err(CommitError::Fault(fault)) => Err(fault.into()),
        }
    }
}

fn drawn() -> Result<String, Fault> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|it| Fault::new("minting an API key", it.to_string()))?;
    Ok(format!("scrip_{}", hex(&random)))
}

/// When it was made, which sorts them by time, and what tells it apart. Those of before have that alone.
fn id_of(hash: &[u8; 32], made_at: Timestamp) -> String {
    format!("key_{:012x}{}", made_at.millis(), &hex(hash)[..12])
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn hex(bytes: &[u8]) -> Arc<str> {
    bytes.iter().map(|it| format!("{it:02x}")).collect::<String>().into()
}
