//! What PostgreSQL's store promises beyond the port: several at once on one database, schemas of two versions, and that
//! damage is found.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use billing::id::AccountNumber;
use billing::ledger::{Book, LedgerAccount, Transaction, What};
use store::postgres::Postgres;
use store::{ApiKey, Audit, Change, CommitError, Grip, Reserved, Store, verify};

use crate::cluster::Schema;
use crate::make::{Desk, account, minute};
use crate::town::{Random, Town};

fn open(schema: &Schema) -> Postgres {
    Postgres::open(&schema.url()).unwrap()
}

#[track_caller]
fn assert_clean(store: &Postgres) {
    let report = verify(store, &mut |_, _| {}).unwrap();
    assert!(report.is_clean(), "{:?}", report.differences);
}

#[test]
fn a_long_history_reads_as_a_naive_record_says() {
    let schema = Schema::new();
    let mut town = Town::new(6, 40);
    let mut random = Random(6);
    let store = open(&schema);
    while town.record.journal.len() < 12_000 {
        store.commit(&town.changes(700)).unwrap();
    }
    town.record.compare(&store, &mut random, 20);
    let mut read: BTreeMap<_, Vec<Transaction>> = BTreeMap::new();
    for after in [0, 1, 4_001, 9_999] {
        let mut last = after;
        read.clear();
        store
            .journal(after, &mut |number, it| {
                assert_eq!(number, last + 1);
                last = number;
                read.entry(it.place.account).or_default().push(it);
            })
            .unwrap();
        assert_eq!(last, town.record.journal.len() as u64);
    }
    for (number, transactions) in read.iter().skip(1) {
        assert!(transactions.iter().eq(town.record.accounts[number].iter().map(|it| &**it)));
    }
    assert_clean(&store);
}

/// As a standby, or what an operator told so: it answers reads, and who asks whether a node is of use must hear.
#[test]
fn a_database_that_may_only_be_read_takes_no_commits() {
    let schema = Schema::on_one_machine();
    let name = format!("{}_read", schema.name());
    let mut hand = schema.hand();
    hand.batch_execute(&format!("create database {name}")).unwrap();
    let (address, _) = schema.url().split_once("options=").map(|it| (it.0.to_owned(), it.1.len())).unwrap();
    let (server, _) = address.trim_end_matches(['?', '&']).rsplit_once('/').unwrap();
    let store = Postgres::open(&format!("{server}/{name}")).unwrap();
    assert!(store.takes_commits().unwrap());
    let only_read = format!("alter database {name} set default_transaction_read_only = on");
    hand.batch_execute(&only_read).unwrap();
    let cut = "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = $1";
    hand.query_one(cut, &[&name]).unwrap();
    // Connections that were cut are lost once each.
    let says = (0..20).find_map(|_| store.takes_commits().ok());
    assert_eq!(says, Some(false));
    assert_eq!((0..20).find_map(|_| store.accounts(None, 1).ok()), Some(Vec::new()));
    drop(store);
    hand.batch_execute(&format!("drop database {name} with (force)")).unwrap();
}

/// The views, read with any tool, say what the rules say.
#[test]
fn the_views_show_the_double_entries_and_the_charges() {
    let schema = Schema::new();
    let mut town = Town::new(4, 30);
    let store = open(&schema);
    store.commit(&town.changes(6_000)).unwrap();
    let name = |it: &LedgerAccount| match it {
        LedgerAccount::Issuance(source) => format!("issuance:{source}"),
        LedgerAccount::Usage(meter) => format!("usage:{meter}"),
        other => format!("{other:?}").to_lowercase(),
    };
    let mut expected: BTreeMap<(String, String, Option<String>), (i64, i64)> = BTreeMap::new();
    for entry in town.record.journal.iter().flat_map(|it| it.entries()) {
        let key = (name(&entry.from), name(&entry.to), entry.grant.map(|it| it.to_string()));
        let sums = expected.entry(key).or_default();
        *sums = (sums.0 + 1, sums.1 + entry.credits.micros());
    }
    let has = |from: &str, to: &str| expected.keys().any(|it| (&*it.0, &*it.1) == (from, to));
    assert!(has("breakage", "clawback"), "money went of what had expired");
    let mut hand = schema.hand();
    let query =
        "select from_account, to_account, grant_id, count(*), sum(credits)::bigint from entries group by 1, 2, 3";
    let rows = hand.query(query, &[]).unwrap();
    let found: BTreeMap<_, _> =
        rows.iter().map(|it| ((it.get(0), it.get(1), it.get(2)), (it.get(3), it.get(4)))).collect();
    assert_eq!(found, expected);
    let query = "select sum(credits)::bigint from charges where meter = 'ai_chat'";
    let charges: i64 = hand.query_one(query, &[]).unwrap().get(0);
    let charged = |it: &Arc<Transaction>| matches!(it.what, What::Charged { .. }).then(|| it.usage()).flatten();
    let expected: i64 = town.record.journal.iter().filter_map(charged).map(|(_, sum)| sum.credits.micros()).sum();
    assert_eq!(charges, expected);
}

/// Several stores on one database, as several processes have; each decides on what it read, and is told when that is no
/// longer so.
#[test]
fn of_those_who_post_at_once_one_is_first_and_the_others_are_stale() {
    const STORES: usize = 4;
    const ROUNDS: u64 = 40;
    let schema = Schema::new();
    let stores: Vec<Postgres> = (0..STORES).map(|_| open(&schema)).collect();
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for store in &stores {
            scope.spawn(|| {
                let mut mine = 0;
                while mine < ROUNDS {
                    // Accounts in an order of their own: locks are taken in another.
                    let mut desks: Vec<Desk> = [3, 1, 2].map(Desk::new).into();
                    for desk in &mut desks {
                        let book = store.recall(&[], &[desk.book.account]).unwrap().books.remove(0);
                        desk.book = book.unwrap_or_else(|| Arc::clone(&desk.book));
                    }
                    let changes: Vec<Change> = desks.iter_mut().map(|it| it.grant(5, minute(1))).collect();
                    match store.commit(&changes) {
                        Ok(()) => mine += 1,
                        Err(CommitError::Stale) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
                done.fetch_add(mine, Ordering::Relaxed);
            });
        }
    });
    assert_eq!(stores[0].journal_length().unwrap(), 3 * done.load(Ordering::Relaxed));
    assert_clean(&stores[0]);
}

/// Whoever reserves accounts decides on their newest books, and nobody comes between.
#[test]
fn those_who_reserve_are_never_overtaken() {
    const STORES: usize = 4;
    const ROUNDS: u64 = 30;
    let schema = Schema::new();
    let first = open(&schema);
    let mut desks: Vec<Desk> = [1, 2, 3].map(Desk::new).into();
    first.commit(&desks.iter_mut().map(|it| it.grant(1, minute(0))).collect::<Vec<_>>()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..STORES {
            scope.spawn(|| {
                let store = open(&schema);
                for round in 0..ROUNDS {
                    let known = [1, 2, 3].map(|it| (account(it), None));
                    let mut reserved = store.reserve(Grip::Firm, &[], &known).unwrap().unwrap();
                    let books = reserved.recalled().books.into_iter().map(Option::unwrap);
                    let mut desks: Vec<Desk> = books.map(|book| Desk { book, posted: Vec::new() }).collect();
                    if round % 5 == 4 {
                        reserved.release();
                        continue;
                    }
                    reserved.commit(&desks.iter_mut().map(|it| it.grant(5, minute(1))).collect::<Vec<_>>()).unwrap();
                }
            });
        }
    });
    let committed = STORES as u64 * (ROUNDS - ROUNDS / 5);
    assert_eq!(first.journal_length().unwrap(), 3 * (1 + committed));
    assert_clean(&first);
}

/// Whoever holds accounts loosely keeps nobody away, and is told at which of them others were faster.
#[test]
fn those_who_hold_loosely_write_what_nobody_overtook() {
    let schema = Schema::on_one_machine();
    let [one, other] = [0, 1].map(|_| open(&schema));
    let mut desks: Vec<Desk> = [1, 2, 3].map(Desk::new).into();
    one.commit(&desks.iter_mut().map(|it| it.grant(1_000, minute(0))).collect::<Vec<_>>()).unwrap();
    let known: Vec<_> = [1, 2, 3, 4].map(|it| (account(it), None)).into();
    let taken = || -> (Box<dyn Reserved>, Vec<Desk>) {
        let mut reserved = one.reserve(Grip::Loose, &[], &known).unwrap().unwrap();
        let books = reserved.recalled().books.into_iter().enumerate();
        let desk = |(place, book): (usize, Option<_>)| match book {
            Some(book) => Desk { book, posted: Vec::new() },
            None => Desk::new(place as u64 + 1),
        };
        (reserved, books.map(desk).collect())
    };
    let (reserved, mut mine) = taken();
    // Meanwhile one account is charged elsewhere, and another begins there.
    other.commit(&[desks[1].charge(7, minute(1), None), Desk::new(4).grant(5, minute(1))]).unwrap();
    let changes: Vec<Change> = mine.iter_mut().map(|it| it.grant(9, minute(2))).collect();
    let mut late = reserved.commit(&changes).unwrap();
    late.sort();
    assert_eq!(late, [account(2), account(4)]);
    assert_eq!(other.versions(&[1, 2, 3, 4].map(account)).unwrap(), [2, 2, 2, 1]);
    // With something beside transactions it is all or nothing.
    let (reserved, mut mine) = taken();
    other.commit(&[desks[1].charge(7, minute(3), None)]).unwrap();
    let mut changes: Vec<Change> = mine.iter_mut().map(|it| it.grant(9, minute(4))).collect();
    let (by, detail) = ("ops".to_owned(), String::new());
    changes.push(Change::Audit(Audit { at: minute(4), by, action: "grant".into(), subject: "2".into(), detail }));
    assert!(matches!(reserved.commit(&changes), Err(CommitError::Stale)));
    assert_eq!(other.versions(&[1, 2, 3, 4].map(account)).unwrap(), [2, 3, 2, 1]);
    // When all were overtaken, nothing is written.
    let (reserved, mut mine) = taken();
    let all: Vec<Change> = mine.iter_mut().map(|it| it.grant(3, minute(5))).collect();
    other.commit(&all).unwrap();
    assert_eq!(reserved.commit(&all).unwrap().len(), 4);
    let (reserved, mut mine) = taken();
    let all: Vec<Change> = mine.iter_mut().map(|it| it.grant(3, minute(6))).collect();
    assert_eq!(reserved.commit(&all).unwrap(), []);
    assert_clean(&one);
}

/// Nodes at the same accounts move their books on by the heads that others told, or by the journal where these
/// are not; either way the books are the folds, and usage is folded whole.
#[test]
fn books_are_moved_on_by_heads() {
    // So many accounts that each is asked little, and many a book is short enough to be told.
    assert!(0 < heads_after_a_walk_in(300), "heads were told");
}

#[test]
fn books_are_moved_on_by_the_journal() {
    // So few that each is asked much, and no book is short.
    assert_eq!(heads_after_a_walk_in(10), 0);
}

/// Two nodes in turns at a town of so many accounts: how many heads stand there in the end.
fn heads_after_a_walk_in(accounts: u64) -> i64 {
    let schema = Schema::new();
    let [one, other] = [0, 1].map(|_| open(&schema));
    let mut town = Town::new(21, accounts);
    let mut random = Random(8);
    let mut at_hand: BTreeMap<AccountNumber, Arc<Book>> = BTreeMap::new();
    // Each has seen that somebody else is about.
    let mut desk = Desk::new(99);
    let first = desk.grant(1, minute(0));
    let old = [(account(99), Some(Arc::clone(&desk.book)))];
    one.commit(&[first, desk.grant(1, minute(1))]).unwrap();
    [&one, &other].into_iter().for_each(|it| drop(it.reserve(Grip::Firm, &[], &old).unwrap()));
    for round in 0..400 {
        let node = if round % 3 == 0 { &one } else { &other };
        let size = 1 + usize::try_from(random.below(30)).unwrap();
        let changes = town.changes(size);
        let posted = changes.iter().filter_map(|it| if let Change::Post(it) = it { Some(it) } else { None });
        let accounts: BTreeMap<AccountNumber, Arc<Book>> =
            posted.map(|it| (it.book.account, Arc::clone(&it.book))).collect();
        let known: Vec<_> = accounts.keys().map(|it| (*it, at_hand.get(it).cloned())).collect();
        let grip = if random.below(2) == 0 { Grip::Firm } else { Grip::Loose };
        let mut reserved = node.reserve(grip, &[], &known).unwrap().unwrap();
        let recalled = reserved.recalled().books;
        for ((number, book), found) in known.iter().zip(recalled) {
            let found = found.or_else(|| book.clone());
            let expected = town.record.book_before(*number, &changes);
            assert_eq!(found, expected, "{number:?} in round {round}");
        }
        assert_eq!(reserved.commit(&changes).unwrap(), []);
        // What is at hand grows old: some of it is of many rounds ago.
        at_hand.extend(accounts.into_iter().filter(|_| random.below(4) != 0));
    }
    assert_clean(&one);
    schema.hand().query_one("select count(*) from books where head is not null", &[]).unwrap().get(0)
}

/// A node that has seen no other for long does not look how far its books are. So it does not vouch for them before it
/// commits, and what was decided on an old one is left out; from then on it looks.
#[test]
fn who_is_alone_is_not_sure_of_its_books_until_it_commits() {
    let schema = Schema::on_one_machine();
    let [one, other] = [0, 1].map(|_| open(&schema));
    let mut desks = [1, 2].map(Desk::new);
    one.commit(&desks.each_mut().map(|it| it.grant(1_000, minute(0)))).unwrap();
    let at_hand = desks.each_ref().map(|it| (it.book.account, Some(Arc::clone(&it.book))));
    let mut theirs = Desk { book: Arc::clone(&desks[1].book), posted: Vec::new() };
    other.commit(&[theirs.charge(7, minute(1), None)]).unwrap();
    let mut reserved = one.reserve(Grip::Loose, &[], &at_hand).unwrap().unwrap();
    assert!(!reserved.is_sure());
    assert_eq!(reserved.recalled().books, [None, None]);
    let changes = desks.each_mut().map(|it| it.grant(9, minute(2)));
    assert_eq!(reserved.commit(&changes).unwrap(), [account(2)]);
    assert_eq!(other.versions(&[1, 2].map(account)).unwrap(), [2, 2]);
    let mut reserved = one.reserve(Grip::Loose, &[], &at_hand).unwrap().unwrap();
    assert!(reserved.is_sure());
    assert_eq!(reserved.recalled().books, [&desks[0], &theirs].map(|it| Some(Arc::clone(&it.book))));
    reserved.release();
    assert_clean(&one);
}

#[test]
fn a_reservation_that_is_dropped_lets_go() {
    let schema = Schema::new();
    let store = open(&schema);
    let mut desk = Desk::new(1);
    store.commit(&[desk.grant(1, minute(0))]).unwrap();
    drop(store.reserve(Grip::Firm, &[], &[(account(1), None)]).unwrap());
    store.commit(&[desk.grant(1, minute(1))]).unwrap();
}

#[test]
fn keys_and_audits_that_come_at_once_are_numbered_apart() {
    let schema = Schema::new();
    drop(open(&schema));
    std::thread::scope(|scope| {
        for node in 0..4 {
            let schema = &schema;
            scope.spawn(move || {
                let store = open(schema);
                for number in 0..10 {
                    let id = format!("key_{node}_{number}");
                    let (scopes, created_at) = (vec!["read".to_owned()], minute(number));
                    let key = ApiKey {
                        id: id.clone(),
                        name: id.clone(),
                        hash: [1; 32],
                        scopes,
                        created_at,
                        revoked_at: None,
                    };
                    let by = "ops".to_owned();
                    let audit = Audit { at: minute(1), by, action: "mint".into(), subject: id, detail: String::new() };
                    store.commit(&[Change::ApiKey(key), Change::Audit(audit)]).unwrap();
                }
            });
        }
    });
    let store = open(&schema);
    assert_eq!((store.api_keys().unwrap().len(), store.audit(u64::MAX, 99).unwrap().len()), (40, 40));
}

/// Operators of several nodes do something at once, each to an account of its own: none waits for the audit log, and
/// none is told to begin anew.
#[test]
fn lines_of_the_audit_log_keep_nobody_from_committing() {
    const NODES: u64 = 4;
    let schema = Schema::new();
    let stores: Vec<Postgres> = (0..NODES).map(|_| open(&schema)).collect();
    let mut line = 0;
    for round in 1..=10 {
        let take = |(store, number): (&Postgres, u64)| {
            let desk = Desk::new(100 * round + number);
            (store.reserve(Grip::Firm, &[], &[(desk.book.account, None)]).unwrap().unwrap(), desk)
        };
        let taken: Vec<_> = stores.iter().zip(1..).map(take).collect();
        // All are taken before the first commits, and none has committed when the last begins to.
        let barrier = std::sync::Barrier::new(stores.len());
        std::thread::scope(|scope| {
            for (reserved, mut desk) in taken {
                line += 1;
                let (at, by, detail) = (minute(line), "ops".to_owned(), String::new());
                let audit = Audit { at, by, action: "grant".into(), subject: line.to_string(), detail };
                let barrier = &barrier;
                scope.spawn(move || {
                    let changes = [desk.grant(5, minute(0)), Change::Audit(audit)];
                    barrier.wait();
                    assert_eq!(reserved.commit(&changes).unwrap(), []);
                });
            }
        });
    }
    let lines = stores[0].audit(u64::MAX, 99).unwrap();
    let newest_first: Vec<String> = (1..=line).rev().map(|it| it.to_string()).collect();
    assert_eq!(lines.into_iter().map(|(_, it)| it.subject).collect::<Vec<_>>(), newest_first);
    assert_clean(&stores[0]);
}

#[test]
fn a_newer_schema_is_served_until_it_says_otherwise() {
    let schema = Schema::new();
    drop(open(&schema));
    let mut hand = schema.hand();
    // A newer program has added something that this one does not miss.
    hand.batch_execute("alter table journal add column later text; insert into schema_steps values (99, 1)").unwrap();
    let store = open(&schema);
    store.commit(&[Desk::new(1).grant(1, minute(0))]).unwrap();
    drop(store);
    // And then taken something away.
    hand.batch_execute("insert into schema_steps values (100, 99)").unwrap();
    let refusal = Postgres::open(&schema.url()).err().unwrap().to_string();
    assert!(refusal.contains("schema 100") && refusal.contains("newer"), "{refusal}");
}

#[test]
fn nodes_that_start_at_once_make_the_schema_once() {
    let schema = Schema::on_one_machine();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| open(&schema));
        }
    });
    assert_eq!(open(&schema).journal_length().unwrap(), 0);
}

#[test]
fn a_connection_that_was_lost_is_made_again() {
    let schema = Schema::new();
    let store = open(&schema);
    let mut desk = Desk::new(1);
    store.commit(&[desk.grant(1, minute(0))]).unwrap();
    let reserved = store.reserve(Grip::Firm, &[], &[(account(1), None)]).unwrap().unwrap();
    let kill = format!(
        "select pg_terminate_backend(pid) from pg_stat_activity where pid in (select pid from pg_locks where relation = \
         '{}.books'::regclass)",
        schema.name()
    );
    schema.hand().batch_execute(&kill).unwrap();
    let change = desk.grant(1, minute(1));
    match reserved.commit(std::slice::from_ref(&change)) {
        Err(CommitError::Fault(fault)) => assert!(fault.is_away, "{fault}"),
        other => panic!("{other:?}"),
    }
    store.commit(&[change]).unwrap();
    assert_eq!(store.journal_length().unwrap(), 2);
}

#[test]
fn a_database_that_is_not_there_is_away() {
    let fault = Postgres::open("postgres://scrip@127.0.0.1:1/scrip").err().unwrap();
    assert!(fault.is_away, "{fault}");
}

/// Changes a row by hand, and expects that verifying names it.
#[track_caller]
fn assert_found(change: &str, what: &str) {
    let schema = Schema::new();
    let store = open(&schema);
    let mut desk = Desk::new(1);
    let mut changes = vec![desk.grant(10_000, minute(0))];
    changes.extend((1..100).map(|it| desk.charge(50, minute(it), Some(&format!("key-{it}")))));
    store.commit(&changes).unwrap();
    assert_clean(&store);
    assert_ne!(schema.hand().execute(change, &[]).unwrap(), 0, "{change}");
    let report = verify(&store, &mut |_, _| {}).unwrap();
    let found: Vec<_> = report.differences.iter().filter(|it| it.what == what).collect();
    assert!(!found.is_empty(), "{change}: {:?}", report.differences);
    assert!(found.iter().all(|it| it.expected != it.found && !it.place.is_empty()));
}

#[test]
fn damage_done_by_hand_is_found() {
    assert_found("update journal set credits = credits + 1 where version = 7", "transaction");
    assert_found("update journal set body = replace(body, '\"draws\":[', '\"draws\":[[') where version = 7", "journal");
    assert_found("update journal set version = 900 where version = 7", "version");
    assert_found("update journal set name = 5 where version = 7", "name");
    assert_found("delete from journal where version = 7", "journal");
    assert_found("update usage set body = replace(body, ',{', '1,{')", "usage");
    assert_found("delete from usage", "usage");
    assert_found("update snapshots set body = replace(body, '\"remaining\":', '\"remaining\":1')", "book");
}

/// A program that knows one step fewer, and one that knows all, on one database at once: what a rolling upgrade is.
#[test]
fn programs_of_two_schemas_serve_together_until_a_step_says_otherwise() {
    let schema = Schema::on_one_machine();
    let old = Postgres::open_as_of(&schema.url(), 1).unwrap();
    let count = |hand: &mut postgres::Client| -> i64 {
        hand.query_one("select count(*) from schema_steps", &[]).unwrap().get(0)
    };
    let mut hand = schema.hand();
    assert_eq!(count(&mut hand), 1);
    let mut town = Town::new(8, 12);
    old.commit(&town.changes(100)).unwrap();
    // The newer program starts beside it, and adds its step under its feet.
    let new = open(&schema);
    let steps = count(&mut hand);
    assert!(1 < steps);
    for _ in 0..6 {
        old.commit(&town.changes(50)).unwrap();
        town.record.compare(&new, &mut Random(3), 3);
        new.commit(&town.changes(50)).unwrap();
        town.record.compare(&old, &mut Random(4), 3);
    }
    // A node of the old version is started again meanwhile: it does no step, and undoes none.
    drop(old);
    let old = Postgres::open_as_of(&schema.url(), 1).unwrap();
    old.commit(&town.changes(50)).unwrap();
    assert_eq!(count(&mut hand), steps);
    assert_clean(&new);
    // Once no old node is left, something is taken away: from then on an old program does not start.
    hand.execute("insert into schema_steps values ($1, $1)", &[&(steps + 1)]).unwrap();
    let refusal = Postgres::open_as_of(&schema.url(), 1).err().unwrap().to_string();
    assert!(refusal.contains("this one knows 1"), "{refusal}");
}

/// A node that starts while another is taking a step waits for it, however much longer than a statement may take.
#[test]
fn a_step_may_take_longer_than_a_statement() {
    let schema = Schema::on_one_machine();
    drop(Postgres::open_as_of(&schema.url(), 1).unwrap());
    let mut hand = schema.hand();
    let mut held = hand.transaction().unwrap();
    held.execute("insert into schema_steps values (2, 1)", &[]).unwrap();
    let name = format!("step_{}", schema.name());
    let opening = {
        let url = format!("{}&statement_timeout_ms=500&application_name={name}", schema.url());
        std::thread::spawn(move || Postgres::open(&url).map(drop))
    };
    // Until it has waited for longer than its statements may take.
    let mut other = schema.hand();
    let query = "select count(*) from pg_stat_activity where application_name = $1 and wait_event_type = 'Lock'
        and query_start < clock_timestamp() - interval '1 second'";
    while other.query_one(query, &[&name]).unwrap().get::<_, i64>(0) == 0 {
        assert!(!opening.is_finished(), "it waits for the step");
    }
    held.rollback().unwrap();
    opening.join().unwrap().unwrap();
    let steps: i64 = hand.query_one("select count(*) from schema_steps", &[]).unwrap().get(0);
    assert!(1 < steps);
}

/// What a hand in the database holds too long is given up after the time in the URL, and said to be away for now.
#[test]
fn a_statement_that_waits_too_long_is_given_up() {
    let schema = Schema::new();
    let mut desk = Desk::new(1);
    open(&schema).commit(&[desk.grant(1, minute(0))]).unwrap();
    // As long as what nobody keeps waiting never takes, on a machine that has much else to do.
    let store = Postgres::open(&format!("{}&statement_timeout_ms=2000", schema.url())).unwrap();
    let mut hand = schema.hand();
    let mut held = hand.transaction().unwrap();
    held.execute("select from books where account = 1 for update", &[]).unwrap();
    let began = Instant::now();
    match store.reserve(Grip::Firm, &[], &[(account(1), None)]) {
        Err(fault) => assert!(fault.is_away && fault.to_string().contains("timeout"), "{fault}"),
        Ok(_) => panic!("it was held"),
    }
    assert!(began.elapsed() < Duration::from_millis(3_900), "it is waited for once: others wait behind it");
    let change = desk.grant(1, minute(1));
    assert!(matches!(store.commit(std::slice::from_ref(&change)), Err(CommitError::Fault(it)) if it.is_away));
    held.rollback().unwrap();
    store.commit(&[change]).unwrap();
}

/// However many come at once, no more connections are opened than the URL allows.
#[test]
fn a_store_opens_no_more_connections_than_it_may() {
    let schema = Schema::new();
    let name = format!("limits_{}", schema.name());
    let url = format!("{}&committers=1&connections=3&readers=2&application_name={name}", schema.url());
    let store = Postgres::open(&url).unwrap();
    let most = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for number in 0..24 {
            let (store, most, schema, name) = (&store, &most, &schema, &name);
            scope.spawn(move || {
                let mut desk = Desk::new(number);
                let mut hand = schema.hand();
                for step in 0..6 {
                    store.commit(&[desk.grant(1, minute(step))]).unwrap();
                    assert_eq!(store.recall(&[], &[account(number)]).unwrap().books.len(), 1);
                    let query = "select count(*) from pg_stat_activity where application_name = $1";
                    let count: i64 = hand.query_one(query, &[name]).unwrap().get(0);
                    most.fetch_max(count.try_into().unwrap(), Ordering::Relaxed);
                }
            });
        }
    });
    assert!((1..=5).contains(&most.load(Ordering::Relaxed)), "{most:?}");
}
