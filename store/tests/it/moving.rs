//! Moving house: from each kind of store to each other, interrupted at every commit, and refused where it must be.
use std::sync::Arc;

use billing::id::Name;
use billing::money::Currency;
use store::postgres::Postgres;
use store::sqlite::{Options, Sqlite};
use store::{
    Account, ApiKey, Audit, CardRecord, Change, Document, EachPost, Fault, Movable, MoveError, Moved, NameHash, Plan,
    Project, QuoteRecord, Reply, Shelf, Spot, Store, move_house, unfinished,
};

use crate::cluster::Schema;
use crate::make::{account, minute};
use crate::mortal::Mortal;
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

/// A store that can be moved into, whose commit number `dies_at` fails and all after it.
fn mortal(inner: &Arc<dyn Movable>, dies_at: usize, after_effect: bool) -> Mortal<dyn Movable> {
    let mortal = Mortal::new(Arc::clone(inner), after_effect);
    mortal.doom.seal(dies_at);
    mortal
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
            let mortal = mortal(&to, dies_at, after_effect);
            match moved_by(&*full.on, &mortal, 100) {
                Ok(moved) => {
                    assert!(moved.report.is_clean() && moved.was_resumed);
                    break;
                }
                Err(MoveError::Fault(_)) => assert!(mortal.doom.has_come()),
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
    assert!(matches!(moved_by(&*full.on, &mortal(&target, 4, false), 100), Err(MoveError::Fault(_))));
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

/// A key that is revoked at the old store while the new one is verified must not be good there.
#[test]
fn what_changes_at_the_source_until_the_end_is_found() {
    let (old, new) = (Scratch::new(), Scratch::new());
    let full = filled(sqlite(&old), 300);
    let to = sqlite(&new);
    let plan = Plan { from_name: "the old store", at: minute(99), transactions_at_once: 100 };
    let mut key = full.on.api_keys().unwrap().into_iter().find(|it| it.revoked_at.is_none()).unwrap();
    key.revoked_at = Some(minute(98));
    let moved = move_house(&*full.on, &*to, &plan, &mut |it| {
        if it.step == "verifying" {
            full.on.commit(&[Change::ApiKey(key.clone())]).unwrap();
        }
    });
    assert_refused(moved, "the stores differ");
    assert!(unfinished(&*to).unwrap().is_some());
}

/// Nor may a charge that is answered there meanwhile be lost: it shows in no shelf.
#[test]
fn what_is_charged_at_the_source_until_the_end_is_found() {
    let (old, new) = (Scratch::new(), Scratch::new());
    let Full { mut town, on } = filled(sqlite(&old), 300);
    let to = sqlite(&new);
    let plan = Plan { from_name: "the old store", at: minute(99), transactions_at_once: 100 };
    let mut late = Some(town.changes(5));
    let moved = move_house(&*on, &*to, &plan, &mut |it| {
        if it.step == "verifying"
            && let Some(changes) = late.take()
        {
            on.commit(&changes).unwrap();
        }
    });
    assert_refused(moved, "the source has been written to meanwhile");
    assert!(unfinished(&*to).unwrap().is_some());
}

impl Movable for Mortal<dyn Movable> {
    fn shelf(&self, shelf: Shelf, after: &Spot, limit: usize) -> Result<Vec<(Spot, Change)>, Fault> {
        self.inner.shelf(shelf, after, limit)
    }
    fn posts(&self, after: u64, each: &mut EachPost<'_>) -> Result<(), Fault> {
        self.inner.posts(after, each)
    }
}
