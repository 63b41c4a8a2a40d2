//! What other nodes do is heard of, whatever the time of day does meanwhile.
use std::ops::Deref;

use store::sqlite::{Options, Sqlite};
use store::{Change, CommitError};

use super::*;
use crate::forwarded::forwarded;
use crate::service::{AccountProfile, MintOrder, Registration, Scope};

/// A store of which two nodes say that it is theirs.
struct Ours {
    inner: Shared,
}

struct Shared(Sqlite);

impl Deref for Shared {
    type Target = Sqlite;
    fn deref(&self) -> &Sqlite {
        &self.0
    }
}

impl Shared {
    fn is_shared(&self) -> bool {
        true
    }
    /// All there are, of a time that has any length.
    fn accounts_changed(&self, within: Span) -> Result<Vec<AccountNumber>, Fault> {
        let all = if within <= Span::default() { Vec::new() } else { self.0.accounts(None, 9)? };
        Ok(all.iter().map(|it| it.number).collect())
    }
}

impl Store for Ours {
    fn commit(&self, changes: &[Change]) -> Result<(), CommitError> {
        self.inner.commit(changes)
    }
    forwarded!();
}

#[test]
fn a_node_whose_clock_is_set_back_hears_of_keys_and_profiles_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let inner = Shared(Sqlite::open(&directory.path().join("scrip.db"), Options::default()).unwrap());
    let store: Arc<dyn Store> = Arc::new(Ours { inner });
    let card = rate_card::parse_toml(rate_card::DEFAULT).unwrap();
    let [one, other] = [0, 1].map(|_| App::open(Arc::clone(&store), Settings::default(), &card).unwrap());
    let order = MintOrder {
        name: "backend".to_owned(),
        scopes: vec![Scope::Read],
        by: "test".into(),
        under: None,
        secret: None,
    };
    let minted = one.mint_api_key(order).unwrap();
    let secret = minted.secret.unwrap();
    let named = |name: &str| {
        let profile = AccountProfile { name: Some(name.to_owned()), ..AccountProfile::default() };
        let registration = Registration { id: "ada".parse().unwrap(), profile, fingerprints: Vec::new() };
        one.register(&registration, &"test".into()).unwrap();
    };
    let name_heard = || other.known(&"ada".parse().unwrap()).unwrap().account.name.clone().unwrap();
    named("Ada");
    other.refresh().unwrap();
    assert!(other.authenticate(&secret).is_some());
    assert_eq!(name_heard(), "Ada");
    other.clock.set_back(Span::HOUR);
    one.revoke_api_key(&minted.key.id, "test").unwrap();
    named("Ada Lovelace");
    other.refresh().unwrap();
    assert!(other.authenticate(&secret).is_none());
    assert_eq!(name_heard(), "Ada Lovelace");
}
