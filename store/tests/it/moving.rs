//! Moving house: from each kind of store to each other, interrupted at every commit, and refused where it must be.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use billing::id::{AccountNumber, Name, Place};
use billing::ledger::Transaction;
use billing::money::Currency;
use billing::time::Timestamp;
use store::postgres::Postgres;
use store::sqlite::{Options, Sqlite};
use store::{
    Account, ApiKey, Audit, CardRecord, Change, CommitError, Document, EachPost, Fault, Movable, MoveError, Moved,
    NameHash, Plan, Project, QuoteRecord, Recalled, Reply, Shelf, Spot, Store, UsageRow, move_house, unfinished,
};

use crate::cluster::Schema;
use crate::make::{account, minute};
use crate::scratch::Scratch;
use crate::town::{Random, Town};

/// A town, and something on each shelf.
struct Full {
    town: Town,
    on: Arc<dyn Movable>,
}

fn document(number: u64, kind: &str, id: &str, version: u64) -> Change {
    let due_at = (version == 2).then(|| minute(9));
    let body = format!("{{\"version\":{version}}}");
    let (kind, id) = (kind.into(), id.into());
    Change::Document(Document { account: account(number), kind, id, version, at: minute(1), due_at, body })
}

fn records(store: &dyn Store) {
    let key = |number: u8, revoked_at| {
        let (id, name, scopes) = (format!("key_{}", 9 - number), format!("key {number}"), vec!["read".to_owned()]);
        Change::ApiKey(ApiKey { id, name, hash: [number; 32], scopes, created_at: minute(1), revoked_at })
    };
    let card = |version| {
        let (effective_at, created_at) = (minute(i64::from(version)), minute(0));
        let document = format!("{{\"version\":{version}}}");
        Change::RateCard(CardRecord { version, effective_at, created_at, by: "ops".into(), document })
    };
    let mut changes = vec![card(1), card(2), key(1, None), key(2, Some(minute(3))), key(3, None)];
    for number in 0..2_300 {
        let account = Account {
            number: account(number + 1),
            id: format!("acct-{}", number * 7919 % 2_300).parse().unwrap(),
            created_at: minute(0),
            name: (number % 3 == 0).then(|| "It's \"Ltd\"".into()),
            email: None,
            currency: Currency::EUR,
            timezone: "Europe/Berlin".into(),
            address: Some("{\"city\":\"Köln\"}".into()),
            tax_id: None,
            closed_at: (number % 7 == 0).then(|| minute(5)),
        };
        let mut fingerprint = [7; 32];
        fingerprint[..8].copy_from_slice(&number.to_be_bytes());
        let fingerprints = if number % 2 == 0 { vec![fingerprint] } else { Vec::new() };
        changes.push(Change::Register { account, fingerprints });
    }
    for number in 1..5 {
        let (account, name) = (account(number), Some("Site".to_owned()));
        let deleted_at = (number == 2).then(|| minute(4));
        let id: Name = "website".parse().unwrap();
        changes.push(Change::Project(Project { account, id, name, created_at: minute(1), deleted_at }));
        let quote = QuoteRecord { account, id: format!("quote_{number}"), expires_at: minute(7), body: "{}".into() };
        changes.push(Change::Quote(quote));
        let key = NameHash::house_key(&number.to_string());
        changes.push(Change::Reply(Reply { key, request: u128::MAX - 5, status: 201, body: "{\"a\":1}".into() }));
        let by = "ops".to_owned();
        let (action, subject, detail) = ("mint".into(), number.to_string(), String::new());
        changes.push(Change::Audit(Audit { at: minute(1), by, action, subject, detail }));
        changes.extend((1..=3).map(|it| document(number, "payment", "pay_1", it)));
        changes.extend((1..=2).map(|it| document(number, "payment_method", "pm_1", it)));
        changes.push(document(0, "webhook", &format!("hook_{number}"), 1));
    }
    store.commit(&changes).unwrap();
}

fn filled(on: Arc<dyn Movable>, transactions: usize) -> Full {
    let mut town = Town::new(11, 40);
    records(&*on);
    while town.record.journal.len() < transactions {
        on.commit(&town.changes(300)).unwrap();
    }
    Full { town, on }
}

fn sqlite(scratch: &Scratch) -> Arc<dyn Movable> {
    Arc::new(Sqlite::open(&scratch.file(), Options::default()).unwrap())
}

fn postgres(schema: &Schema) -> Arc<dyn Movable> {
    Arc::new(Postgres::open(&schema.url()).unwrap())
}

fn moved_by(from: &dyn Movable, to: &dyn Movable, at_once: usize) -> Result<Moved, MoveError> {
    let plan = Plan { from_name: "the old store", at: minute(99), transactions_at_once: at_once };
    move_house(from, to, &plan, &mut |_| {})
}

#[track_caller]
fn assert_refused(moved: Result<Moved, MoveError>, why: &str) {
    match moved {
        Err(MoveError::Refused(said)) => assert!(said.contains(why), "{said}"),
        other => panic!("{other:?}"),
    }
}

/// What a store was asked before, it answers alike.
fn assert_same(full: &Full, to: &dyn Movable) {
    full.town.record.compare(to, &mut Random(5), 10);
    for shelf in Shelf::ALL {
        let rows = |it: &dyn Movable| it.shelf(shelf, &Spot::start(), usize::MAX).unwrap().into_iter().map(|it| it.1);
        let is_note = |it: &Change| matches!(it, Change::Arrived(it) if it.kind == "moving");
        let [old, new] = [&*full.on, to].map(|it| rows(it).filter(|it| !is_note(it)).collect::<Vec<_>>());
        assert_eq!(old, new);
        assert!(!old.is_empty(), "{shelf:?}");
    }
}

#[test]
fn a_house_moves_from_a_file_to_postgresql_and_back() {
    let (old, new, scratch) = (Scratch::new(), Schema::new(), Scratch::new());
    let full = filled(sqlite(&old), 3_000);
    let to = postgres(&new);
    let moved = moved_by(&*full.on, &*to, 500).unwrap();
    assert!(moved.report.is_clean() && !moved.was_resumed);
    assert_eq!(moved.report.transactions, full.town.record.journal.len() as u64);
    assert_same(&full, &*to);
    // Asked for again, it is found to be done.
    assert!(moved_by(&*full.on, &*to, 500).unwrap().was_resumed);
    let back = sqlite(&scratch);
    assert!(moved_by(&*to, &*back, 700).unwrap().report.is_clean());
    assert_same(&full, &*back);
    assert_eq!(unfinished(&*back).unwrap(), None);
}

/// A store whose commit number `dies_at` fails, before or after it took effect, and all after it.
struct Mortal {
    inner: Arc<dyn Movable>,
    commits: AtomicUsize,
    dies_at: usize,
    after_effect: bool,
}

/// Interrupted at each commit in turn, and gone on with each time, it arrives all the same.
#[test]
fn a_move_that_dies_at_any_commit_goes_on_from_there() {
    for after_effect in [false, true] {
        let (old, new) = (Scratch::new(), Scratch::new());
        let full = filled(sqlite(&old), 900);
        let to = sqlite(&new);
        let mut interruptions = 0;
        loop {
            // The first commit that would do something new is the one that fails.
            let dies_at = usize::from(!after_effect && interruptions % 2 == 0);
            let mortal = Mortal { inner: Arc::clone(&to), commits: AtomicUsize::new(0), dies_at, after_effect };
            match moved_by(&*full.on, &mortal, 100) {
                Ok(moved) => {
                    assert!(moved.report.is_clean() && moved.was_resumed);
                    break;
                }
                Err(MoveError::Fault(_)) => {}
                Err(other) => panic!("{other}"),
            }
            interruptions += 1;
            assert!(interruptions < 200);
        }
        assert!(15 < interruptions, "{interruptions}");
        assert_same(&full, &*to);
    }
}

#[test]
fn a_target_that_holds_something_else_is_left_alone() {
    let places = [0, 1, 2, 3].map(|_| Scratch::new());
    let [one, other, target, fresh] = places.each_ref().map(sqlite);
    let full = filled(Arc::clone(&one), 300);
    other.commit(&[document(0, "plan", "p1", 1)]).unwrap();
    assert_refused(moved_by(&*full.on, &*other, 100), "it holds documents");
    let mortal =
        |dies_at| Mortal { inner: Arc::clone(&target), commits: AtomicUsize::new(0), dies_at, after_effect: false };
    assert!(matches!(moved_by(&*full.on, &mortal(4), 100), Err(MoveError::Fault(_))));
    assert_eq!(unfinished(&*target).unwrap(), Some("the old store".to_owned()));
    assert_refused(moved_by(&*target, &*fresh, 100), "unfinished");
    assert_refused(moved_by(&*other, &*target, 100), "from another store: the old store");
    let mut town = full.town;
    full.on.commit(&town.changes(5)).unwrap();
    assert_refused(moved_by(&*full.on, &*target, 100), "it was served from since");
}

/// What was put into the target, or lost on the way, does not pass for a move.
#[test]
fn a_difference_is_found_before_the_move_is_called_done() {
    let (old, new) = (Scratch::new(), Schema::new());
    let full = filled(sqlite(&old), 300);
    let to = postgres(&new);
    moved_by(&*full.on, &*to, 100).unwrap();
    let mut hand = new.hand();
    hand.batch_execute("update documents set body = '{}' where kind = 'payment' and account = 3").unwrap();
    assert_refused(moved_by(&*full.on, &*to, 100), "among documents");
    hand.batch_execute("update documents set body = '{\"version\":3}' where kind = 'payment' and account = 3").unwrap();
    hand.batch_execute("update journal set by = 'somebody else' where version = 2").unwrap();
    assert_refused(moved_by(&*full.on, &*to, 100), "the journals differ");
}

impl Movable for Mortal {
    fn shelf(&self, shelf: Shelf, after: &Spot, limit: usize) -> Result<Vec<(Spot, Change)>, Fault> {
        self.inner.shelf(shelf, after, limit)
    }
    fn posts(&self, after: u64, each: &mut EachPost<'_>) -> Result<(), Fault> {
        self.inner.posts(after, each)
    }
}

impl Store for Mortal {
    fn commit(&self, changes: &[Change]) -> Result<(), CommitError> {
        let number = self.commits.fetch_add(1, Ordering::Relaxed);
        if number < self.dies_at {
            return self.inner.commit(changes);
        }
        if number == self.dies_at && self.after_effect {
            self.inner.commit(changes)?;
        }
        Err(CommitError::Fault(Fault::new("committing", "the process has died")))
    }
    fn recall(&self, names: &[NameHash], accounts: &[AccountNumber]) -> Result<Recalled, Fault> {
        self.inner.recall(names, accounts)
    }
    fn transaction(&self, place: Place) -> Result<Option<Arc<Transaction>>, Fault> {
        self.inner.transaction(place)
    }
    fn transactions(&self, it: AccountNumber, before: u64, limit: usize) -> Result<Vec<Arc<Transaction>>, Fault> {
        self.inner.transactions(it, before, limit)
    }
    fn granting(&self, it: AccountNumber, before: u64, limit: usize) -> Result<Vec<Arc<Transaction>>, Fault> {
        self.inner.granting(it, before, limit)
    }
    fn journal(&self, after: u64, each: &mut dyn FnMut(u64, Transaction)) -> Result<(), Fault> {
        self.inner.journal(after, each)
    }
    fn journal_length(&self) -> Result<u64, Fault> {
        self.inner.journal_length()
    }
    fn usage(&self, it: AccountNumber, from: Timestamp, to: Timestamp) -> Result<Vec<UsageRow>, Fault> {
        self.inner.usage(it, from, to)
    }
    fn usage_as_of(&self, it: AccountNumber, from: Timestamp, to: Timestamp) -> Result<(u64, Vec<UsageRow>), Fault> {
        self.inner.usage_as_of(it, from, to)
    }
    fn due(&self, at: Timestamp, limit: usize) -> Result<Vec<AccountNumber>, Fault> {
        self.inner.due(at, limit)
    }
    fn account(&self, id: &Name) -> Result<Option<Account>, Fault> {
        self.inner.account(id)
    }
    fn account_numbered(&self, it: AccountNumber) -> Result<Option<Account>, Fault> {
        self.inner.account_numbered(it)
    }
    fn accounts(&self, after: Option<&Name>, limit: usize) -> Result<Vec<Account>, Fault> {
        self.inner.accounts(after, limit)
    }
    fn accounts_called(&self, beginning: &str, limit: usize) -> Result<Vec<Account>, Fault> {
        self.inner.accounts_called(beginning, limit)
    }
    fn fingerprints_known(&self, fingerprints: &[[u8; 32]]) -> Result<Vec<bool>, Fault> {
        self.inner.fingerprints_known(fingerprints)
    }
    fn projects(&self, it: AccountNumber) -> Result<Vec<Project>, Fault> {
        self.inner.projects(it)
    }
    fn rate_cards(&self) -> Result<Vec<CardRecord>, Fault> {
        self.inner.rate_cards()
    }
    fn api_keys(&self) -> Result<Vec<ApiKey>, Fault> {
        self.inner.api_keys()
    }
    fn quote(&self, it: AccountNumber, id: &str) -> Result<Option<QuoteRecord>, Fault> {
        self.inner.quote(it, id)
    }
    fn document(&self, it: AccountNumber, kind: &str, id: &str) -> Result<Option<Document>, Fault> {
        self.inner.document(it, kind, id)
    }
    fn documents(&self, it: AccountNumber, kind: &str, to: Option<&str>, max: usize) -> Result<Vec<Document>, Fault> {
        self.inner.documents(it, kind, to, max)
    }
    fn documents_due(&self, at: Timestamp, limit: usize) -> Result<Vec<Document>, Fault> {
        self.inner.documents_due(at, limit)
    }
    fn payments(&self, before: Timestamp, limit: usize) -> Result<Vec<Document>, Fault> {
        self.inner.payments(before, limit)
    }
    fn reply(&self, key: NameHash) -> Result<Option<Reply>, Fault> {
        self.inner.reply(key)
    }
    fn audit(&self, before: u64, limit: usize) -> Result<Vec<(u64, Audit)>, Fault> {
        self.inner.audit(before, limit)
    }
}
