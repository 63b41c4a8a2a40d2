//! Listing projects costs what came since the last time, and is right however that is found.
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use billing::id::AccountNumber;
use billing::ledger::Transaction;
use store::sqlite::{Options, Sqlite};
use store::{Document, Fault, Store};

use super::*;
use crate::app::Settings;
use crate::forwarded::forwarded;
use crate::rate_card;
use crate::service::{AccountProfile, ChargeOrder, Order, Registration};

/// A store that counts what of an account's past is read.
struct Watched {
    inner: Counting,
}

struct Counting {
    store: Sqlite,
    read: AtomicUsize,
}

impl Deref for Counting {
    type Target = Sqlite;
    fn deref(&self) -> &Sqlite {
        &self.store
    }
}

impl Counting {
    fn counted<T>(&self, read: Result<Vec<T>, Fault>) -> Result<Vec<T>, Fault> {
        self.read.fetch_add(read.as_ref().map_or(0, Vec::len), Ordering::Relaxed);
        read
    }
    fn transactions(&self, it: AccountNumber, before: u64, limit: usize) -> Result<Vec<Arc<Transaction>>, Fault> {
        self.counted(self.store.transactions(it, before, limit))
    }
    fn documents(
        &self,
        it: AccountNumber,
        kind: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Document>, Fault> {
        self.counted(self.store.documents(it, kind, before, limit))
    }
}

impl Store for Watched {
    fn commit(&self, changes: &[Change]) -> Result<(), CommitError> {
        self.inner.store.commit(changes)
    }
    forwarded!();
}

async fn charged(app: &App, project: &str, keys: std::ops::Range<u64>) {
    let order = |key: u64| {
        let order = Order {
            meter: "ai_chat".into(),
            quantities: vec![("input_tokens".into(), 8)],
            dimensions: vec![("model".into(), "gpt-6.1-terra".into())],
            project: Some(project.parse().expect("a name")),
            ..Order::default()
        };
        let account = "ada".parse().expect("a name");
        Ok(ChargeOrder { account, order, key: format!("{project}-{key}").into(), by: "test".into() })
    };
    let answers = app.charge_all(keys.map(order).collect()).await;
    assert!(answers.iter().all(Result::is_ok), "{:?}", answers.iter().find(|it| it.is_err()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_projects_reads_no_more_of_the_journal_than_came_since_and_that_only_while_it_is_little() {
    let directory = tempfile::TempDir::new().expect("a directory");
    let store = Sqlite::open(&directory.path().join("scrip.db"), Options::default()).expect("a store");
    let store = Arc::new(Watched { inner: Counting { store, read: AtomicUsize::new(0) } });
    let card = rate_card::parse_toml(rate_card::DEFAULT).expect("a card");
    let app = App::open(Arc::<Watched>::clone(&store), Settings::default(), &card).expect("it opens");
    let ada: Name = "ada".parse().expect("a name");
    let profile = AccountProfile::default();
    app.register(&Registration { id: ada.clone(), profile, fingerprints: Vec::new() }, &"test".into())
        .expect("an account");
    let listed = || {
        store.inner.read.store(0, Ordering::Relaxed);
        let projects = app.projects(&ada).expect("a list");
        let ids: Vec<String> = projects.iter().map(|it| it.id.to_string()).collect();
        (ids.join(" "), store.inner.read.load(Ordering::Relaxed))
    };
    charged(&app, "blog", 0..3_000).await;
    assert_eq!(listed(), ("blog".to_owned(), 0), "nothing is counted yet, and usage says it");
    charged(&app, "shop", 0..FOLLOWED_MAX).await;
    assert_eq!(listed(), ("blog shop".to_owned(), 256));
    assert_eq!(listed(), ("blog shop".to_owned(), 0));
    charged(&app, "web", 0..FOLLOWED_MAX + 1).await;
    assert_eq!(listed(), ("blog shop web".to_owned(), 0), "so much is looked up where it is added up");
    while app.keep_books().expect("they are kept") {}
    assert_eq!(listed(), ("blog shop web".to_owned(), 0), "no month is read once more");
    app.close();
}
