//! What SQLite's store promises beyond the port: folds that stop anywhere, one writer, backups, and that damage is
//! found.
use std::collections::BTreeMap;
use std::sync::Arc;

use billing::ledger::{LedgerAccount, Transaction, What};
use billing::money::Currency;
use rusqlite::Connection;
use store::sqlite::{Options, Sqlite, backup, restore};
use store::{Account, Change, CommitError, NameHash, QuoteRecord, Store, verify};

use crate::homes::restless;
use crate::make::{Desk, account, minute};
use crate::scratch::Scratch;
use crate::town::{Random, Town};

fn assert_clean(store: &Sqlite) {
    let report = verify(store, &mut |_, _| {}).unwrap();
    assert!(report.is_clean(), "{:?}", report.differences);
}

#[test]
fn a_fold_may_stop_after_any_slice() {
    for stop_after in 0..24 {
        let scratch = Scratch::new();
        let mut town = Town::new(stop_after, 25);
        let mut random = Random(stop_after);
        for life in 0..3 {
            let stop_after = (life < 2).then_some(stop_after * (life + 1) / 2);
            let store = Sqlite::open(&scratch.file(), Options { stop_after, tail_max: 10_000, ..restless() }).unwrap();
            for _ in 0..8 {
                store.commit(&town.changes(20)).unwrap();
            }
            let folded = store.fold();
            assert!(folded.is_ok() || stop_after.is_some(), "{folded:?}");
            town.record.compare_reads(&store, &mut random, 10);
            if folded.is_ok() {
                town.record.compare(&store, &mut random, 20);
                assert_clean(&store);
            }
        }
    }
}

#[test]
fn what_is_written_is_seen_once_it_is_settled() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let mut desk = Desk::new(1);
    store.commit(&[desk.grant(1_000, minute(0))]).unwrap();
    let seen = |store: &Sqlite| {
        let book = store.recall(&[], &[account(1)]).unwrap().books.remove(0).unwrap();
        assert_eq!(store.transactions(account(1), u64::MAX, 100).unwrap().len() as u64, book.version);
        let used: u64 = store.usage(account(1), minute(-60), minute(600)).unwrap().iter().map(|it| it.sum.count).sum();
        assert_eq!(used + 1, book.version);
        book.version
    };
    let first = Arc::new(vec![desk.charge(1, minute(1), Some("first"))]);
    store.write(&first).unwrap();
    assert_eq!(seen(&store), 1);
    // The next follows from it.
    store.write(&Arc::new(vec![desk.charge(1, minute(2), None), desk.charge(1, minute(3), None)])).unwrap();
    assert_eq!(seen(&store), 1);
    assert!(matches!(store.write(&first), Err(CommitError::Stale)), "it is known how far the account is");
    assert_eq!(seen(&store), 4, "a write that fails settles what was written before");
    store.settle().unwrap();
    assert_eq!(seen(&store), 4);
    assert!(store.recall(&[NameHash::key(account(1), "first")], &[]).unwrap().named[0].is_some());
    // What others find by asking SQLite is durable at once, and with it all that was written before.
    store.write(&Arc::new(vec![desk.charge(1, minute(4), None)])).unwrap();
    assert_eq!(seen(&store), 4);
    store.write(&Arc::new(vec![desk.charge(1, minute(5), None), desk.charge(1, minute(5), None)])).unwrap();
    let quote =
        QuoteRecord { account: account(1), id: "quote".to_owned(), expires_at: minute(9), body: "{}".to_owned() };
    store.commit(&[Change::Quote(quote)]).unwrap();
    assert_eq!(seen(&store), 7);
    // A process that ends before it settles has written it all the same.
    store.write(&Arc::new(vec![desk.charge(1, minute(6), None)])).unwrap();
    drop(store);
    let store = scratch.open();
    let length = store.journal_length().unwrap();
    assert_eq!(length, 8);
    store.fold().unwrap();
    assert_eq!(seen(&store), length);
    assert_clean(&store);
}

#[test]
fn of_accounts_that_whoever_writes_forgot_all_is_settled() {
    let scratch = Scratch::new();
    let store = Sqlite::open(&scratch.file(), Options { heads_max: 1, ..Options::default() }).unwrap();
    let mut desks: Vec<Desk> = (1..=3).map(Desk::new).collect();
    for desk in &mut desks {
        store.commit(&[desk.grant(1_000, minute(0))]).unwrap();
    }
    // None would follow from the one before, were that neither known to the writer nor seen in memory.
    for round in 1..=20 {
        for desk in &mut desks {
            store.write(&Arc::new(vec![desk.charge(1, minute(round), None)])).unwrap();
        }
    }
    store.settle().unwrap();
    for number in 1..=3 {
        assert_eq!(store.transactions(account(number), u64::MAX, 100).unwrap().len(), 21);
    }
    assert_clean(&store);
}

/// A town of a few accounts that each use much in every hour of two days, in no order of time.
fn busy_town(seed: u64) -> Town {
    let mut town = Town::new(seed, 3);
    town.late = 3_000;
    town
}

#[test]
fn what_busy_accounts_use_stands_in_one_place_and_is_read_right() {
    let scratch = Scratch::new();
    let (mut town, mut random) = (busy_town(7), Random(7));
    let options = Options { fold_at: 100_000, tail_max: 200_000, ..restless() };
    let store = Sqlite::open(&scratch.file(), options.clone()).unwrap();
    for round in 0..8 {
        // Few in every fourth fold: they go into a run as those of others do.
        store.commit(&town.changes(if round % 4 == 3 { 30 } else { 2_500 })).unwrap();
        store.fold().unwrap();
    }
    town.record.compare(&store, &mut random, 10);
    assert_clean(&store);
    drop(store);
    let file = Connection::open(scratch.path().join("scrip.db-derived")).unwrap();
    let count = |query: &str| file.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap();
    let standing = count("select sum(length(body)) from usage_blocks where run = 0");
    let runs = count("select sum(length(body)) from usage_blocks where run <> 0");
    assert!(5 * runs < standing, "{standing} bytes stand, {runs} are in runs");
    let fill = standing / count("select count(*) from usage_blocks where run = 0");
    assert!(1_200 < fill && count("select max(length(body)) from usage_blocks") < 40_000, "{fill} bytes a block");
    // What a crash before the fold leaves is read from the journal, and folded into the same place.
    let store = Sqlite::open(&scratch.file(), options.clone()).unwrap();
    store.commit(&town.changes(1_500)).unwrap();
    town.record.compare(&store, &mut random, 3);
    drop(store);
    let store = Sqlite::open(&scratch.file(), options.clone()).unwrap();
    town.record.compare_reads(&store, &mut random, 3);
    store.fold().unwrap();
    town.record.compare(&store, &mut random, 3);
    assert_clean(&store);
}

#[test]
fn a_fold_of_busy_accounts_may_stop_after_any_slice() {
    for stop_after in 0..8 {
        let scratch = Scratch::new();
        let (mut town, mut random) = (busy_town(stop_after), Random(stop_after));
        for life in 0..3 {
            let stop_after = (life < 2).then_some(stop_after * (life + 1) / 2);
            let options = Options { stop_after, fold_at: 10_000, tail_max: 20_000, slice_accounts: 1, ..restless() };
            let store = Sqlite::open(&scratch.file(), options).unwrap();
            store.commit(&town.changes(1_500)).unwrap();
            let folded = store.fold();
            assert!(folded.is_ok() || stop_after.is_some(), "{folded:?}");
            town.record.compare_reads(&store, &mut random, 3);
            if folded.is_ok() {
                assert_clean(&store);
            }
        }
    }
}

#[test]
fn names_are_found_in_runs_of_every_level() {
    let scratch = Scratch::new();
    let mut town = Town::new(5, 40);
    let mut random = Random(5);
    let store = Sqlite::open(&scratch.file(), restless()).unwrap();
    for _ in 0..80 {
        store.commit(&town.changes(41)).unwrap();
        store.fold().unwrap();
    }
    town.record.compare(&store, &mut random, 40);
    drop(store);
    let file = Connection::open(scratch.path().join("scrip.db-derived")).unwrap();
    let runs: i64 = file.query_row("select count(*) from name_runs", [], |row| row.get(0)).unwrap();
    assert!(runs < 30, "80 folds left {runs} runs");
    let store = Sqlite::open(&scratch.file(), restless()).unwrap();
    town.record.compare(&store, &mut random, 40);
    assert_clean(&store);
}

#[test]
fn a_long_history_reads_as_a_naive_record_says() {
    let count = if cfg!(debug_assertions) { 40_000 } else { 250_000 };
    let scratch = Scratch::new();
    let mut town = Town::new(6, 300);
    let mut random = Random(6);
    let options = Options {
        fold_at: 9_000,
        tail_max: 20_000,
        books_max: 50,
        heads_max: 50,
        slice_accounts: 100,
        ..Options::default()
    };
    let store = Sqlite::open(&scratch.file(), options).unwrap();
    while town.record.journal.len() < count {
        store.commit(&town.changes(700)).unwrap();
        if random.below(40) == 0 {
            town.record.compare(&store, &mut random, 3);
        }
    }
    town.record.compare(&store, &mut random, 100);
    assert_clean(&store);
}

#[test]
fn what_is_derived_may_be_lost() {
    let scratch = Scratch::new();
    let mut town = Town::new(3, 50);
    let store = Sqlite::open(&scratch.file(), restless()).unwrap();
    for _ in 0..30 {
        store.commit(&town.changes(50)).unwrap();
    }
    drop(store);
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(scratch.path().join(format!("scrip.db-derived{ending}")));
    }
    let store = Sqlite::open(&scratch.file(), restless()).unwrap();
    town.record.compare(&store, &mut Random(3), 50);
    assert_clean(&store);
}

/// The views of the file, read with any SQLite tool, say what the rules say.
#[test]
fn the_views_show_the_double_entries_and_the_charges() {
    let scratch = Scratch::new();
    let mut town = Town::new(4, 30);
    let store = scratch.open();
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
    let file = Connection::open(scratch.file()).unwrap();
    let query = "select from_account, to_account, grant_id, count(*), sum(credits) from entries group by 1, 2, 3";
    let mut statement = file.prepare(query).unwrap();
    let row = |row: &rusqlite::Row<'_>| Ok(((row.get(0)?, row.get(1)?, row.get(2)?), (row.get(3)?, row.get(4)?)));
    let found: BTreeMap<_, _> = statement.query_map([], row).unwrap().map(Result::unwrap).collect();
    assert_eq!(found, expected);
    let charges: i64 =
        file.query_row("select sum(credits) from charges where meter = 'ai_chat'", [], |it| it.get(0)).unwrap();
    let charged = |it: &Arc<Transaction>| matches!(it.what, What::Charged { .. }).then(|| it.usage()).flatten();
    let expected: i64 = town.record.journal.iter().filter_map(charged).map(|(_, sum)| sum.credits.micros()).sum();
    assert_eq!(charges, expected);
    // Whether a usage's shape has a number or was written out.
    let quantities = "select sum(value) from charges, json_each(quantities)";
    let found: i64 = file.query_row(quantities, [], |it| it.get(0)).unwrap();
    let used = |it: &Arc<Transaction>| match &it.what {
        What::Charged { work, .. } => work.usage.quantities.iter().map(|it| it.1.cast_signed()).sum(),
        _ => 0,
    };
    assert_eq!(found, town.record.journal.iter().map(used).sum::<i64>());
    let shapes: i64 = file.query_row("select count(*) from shapes", [], |row| row.get(0)).unwrap();
    assert!(0 < shapes && shapes < 100, "{shapes} shapes");
}

/// A line is the same whether its rate has a number or was written out.
#[test]
fn the_price_lines_of_the_file_are_those_of_the_receipts() {
    let scratch = Scratch::new();
    let mut town = Town::new(5, 30);
    let store = scratch.open();
    store.commit(&town.changes(2_000)).unwrap();
    let line = |it: &billing::rating::PriceLine| {
        let numbers = (it.quantity.cast_signed(), it.unit_price.micros(), it.per.cast_signed(), it.credits.micros());
        (it.item.to_string(), it.unit.to_string(), numbers)
    };
    let lines = |it: &Arc<Transaction>| match &it.what {
        What::Charged { work, .. } | What::Held { work, .. } => work.price.lines.iter().map(line).collect(),
        What::Extended { used: Some(work), .. } => work.price.lines.iter().map(line).collect(),
        What::Reversed(it) => it.work.price.lines.iter().map(line).collect(),
        _ => Vec::new(),
    };
    let mut expected: Vec<_> = town.record.journal.iter().flat_map(lines).collect();
    let file = Connection::open(scratch.file()).unwrap();
    let query = "select item, unit, quantity, unit_price, per, credits from price_lines";
    let mut statement = file.prepare(query).unwrap();
    let row =
        |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, (row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)));
    type Line = (String, String, (i64, i64, i64, i64));
    let mut found: Vec<Line> = statement.query_map([], row).unwrap().map(Result::unwrap).collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    let rates: i64 = file.query_row("select count(*) from rates", [], |row| row.get(0)).unwrap();
    assert!(0 < rates && rates < 100, "{rates} rates");
}

#[test]
fn a_second_writer_is_refused_and_readers_are_not() {
    let scratch = Scratch::new();
    let store = scratch.open();
    let mut desk = Desk::new(1);
    store.commit(&[desk.grant(5, minute(0))]).unwrap();
    let refusal = Sqlite::open(&scratch.file(), Options::default()).err().unwrap().to_string();
    assert!(refusal.contains("open for writing in another process"), "{refusal}");
    let reader = Connection::open(scratch.file()).unwrap();
    let kinds: String = reader.query_row("select kind from journal", [], |row| row.get(0)).unwrap();
    assert_eq!(kinds, "granted");
    drop((reader, store));
    scratch.open();
}

/// Nor in the free space of its files, however long it was; of an open store, once its log was begun anew.
#[test]
fn what_was_forgotten_is_not_in_the_files_of_a_store_that_was_closed() {
    const WORDS: [&str; 4] = ["Zelda", "zelda@quint.example", "Hiddenlane", "LT100001"];
    let scratch = Scratch::new();
    let holding = |word: &str| {
        let files = std::fs::read_dir(scratch.path()).unwrap().map(|it| std::fs::read(it.unwrap().path()).unwrap());
        files.filter(|it| it.windows(word.len()).any(|it| it.eq_ignore_ascii_case(word.as_bytes()))).count()
    };
    let known = |number: u64, id: &str| Account {
        number: account(number),
        id: id.parse().unwrap(),
        created_at: minute(0),
        name: Some(format!("Zelda {id}")),
        email: Some(format!("zelda@quint.example.{id}")),
        currency: Currency::EUR,
        timezone: "Europe/Vilnius".into(),
        address: Some(format!("{{\"street\":\"{}\"}}", "Hiddenlane 7, ".repeat(800))),
        tax_id: Some("LT100001".into()),
        closed_at: None,
    };
    let all = [known(1, "one"), known(2, "two")];
    let store = scratch.open();
    store.commit(&all.clone().map(|it| Change::Register { account: it, fingerprints: Vec::new() })).unwrap();
    drop(store);
    assert!(WORDS.iter().all(|it| holding(it) == 1));
    let store = scratch.open();
    let erased = all.map(|was| {
        let (name, email, address, tax_id) = (None, None, None, None);
        let account = Account { name, email, address, tax_id, closed_at: Some(minute(1)), ..was.clone() };
        Change::Account { was: Box::new(was), account }
    });
    store.commit(&erased).unwrap();
    drop(store);
    assert_eq!(WORDS.map(holding), [0; 4], "files that hold {WORDS:?}");
}

#[test]
fn a_newer_schema_is_refused() {
    for file in ["scrip.db", "scrip.db-derived"] {
        let scratch = Scratch::new();
        drop(scratch.open());
        let opened = Connection::open(scratch.path().join(file)).unwrap();
        opened.pragma_update(None, "user_version", 99).unwrap();
        let refusal = Sqlite::open(&scratch.file(), Options::default()).err().unwrap().to_string();
        assert!(refusal.contains("schema 99") && refusal.contains("newer"), "{refusal}");
    }
}

#[test]
fn a_backup_is_of_one_moment_and_restores() {
    let scratch = Scratch::new();
    let mut town = Town::new(9, 30);
    let store = Sqlite::open(&scratch.file(), restless()).unwrap();
    store.commit(&town.changes(500)).unwrap();
    let (copy, restored) = (scratch.path().join("copy.db"), scratch.path().join("restored.db"));
    // As a copy leaves it that is broken off.
    let part = scratch.path().join("restored.db.partial");
    std::fs::write(&part, "half of one").unwrap();
    std::thread::scope(|scope| {
        let copying = scope.spawn(|| backup(&scratch.file(), &copy).unwrap());
        for _ in 0..20 {
            store.commit(&town.changes(50)).unwrap();
        }
        copying.join().unwrap();
    });
    restore(&copy, &restored).unwrap();
    assert!(!part.exists());
    let again = Sqlite::open(&restored, restless()).unwrap();
    assert_clean(&again);
    let length = again.journal_length().unwrap();
    assert!(500 <= length && length <= store.journal_length().unwrap());
    let mut read = Vec::new();
    again.journal(0, &mut |_, it| read.push(it)).unwrap();
    assert!(read.iter().zip(&town.record.journal).all(|(a, b)| *a == **b));
    for (from, to) in [(&scratch.file(), &copy), (&copy, &restored)] {
        assert!(backup(from, to).unwrap_err().to_string().contains("exists already"));
        assert!(restore(from, to).unwrap_err().to_string().contains("exists already"));
    }
}

#[test]
fn a_damaged_backup_is_not_restored() {
    let scratch = Scratch::new();
    let store = scratch.open();
    store.commit(&Town::new(2, 30).changes(3_000)).unwrap();
    let copy = scratch.path().join("copy.db");
    backup(&scratch.file(), &copy).unwrap();
    let mut bytes = std::fs::read(&copy).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4096].fill(0xa5);
    std::fs::write(&copy, bytes).unwrap();
    restore(&copy, &scratch.path().join("restored.db")).unwrap_err();
    assert!(!scratch.path().join("restored.db").exists());
}

/// Changes a row by hand, and expects that verifying names it.
#[track_caller]
fn assert_found(file: &str, change: &str, what: &str) {
    let scratch = Scratch::new();
    let store = Sqlite::open(&scratch.file(), restless()).unwrap();
    let mut desk = Desk::new(1);
    let mut changes = vec![desk.grant(10_000, minute(0))];
    changes.extend((1..100).map(|it| desk.charge(50, minute(it), Some(&format!("key-{it}")))));
    store.commit(&changes).unwrap();
    let mut other = Desk::new(2);
    let changes: Vec<Change> = (0..100).map(|it| other.grant(10, minute(it))).collect();
    store.commit(&changes).unwrap();
    store.fold().unwrap();
    assert_clean(&store);
    drop(store);
    let hand = Connection::open(scratch.path().join(file)).unwrap();
    assert_ne!(hand.execute(change, []).unwrap(), 0, "{change}");
    drop(hand);
    let store = Sqlite::open(&scratch.file(), restless()).unwrap();
    let report = verify(&store, &mut |_, _| {}).unwrap();
    let found: Vec<_> = report.differences.iter().filter(|it| it.what == what).collect();
    assert!(!found.is_empty(), "{change}: {:?}", report.differences);
    assert!(found.iter().all(|it| it.expected != it.found && !it.place.is_empty()));
}

#[test]
fn damage_done_by_hand_is_found() {
    let (journal, derived) = ("scrip.db", "scrip.db-derived");
    assert_found(journal, "update journal set credits = credits + 1 where sequence = 7", "transaction");
    assert_found(
        journal,
        "update journal set body = replace(body, '\"draws\":[', '\"draws\":[[') where sequence = 7",
        "journal",
    );
    assert_found(journal, "update journal set version = 900 where sequence = 7", "version");
    assert_found(journal, "update journal set key = 'other' where sequence = 7", "name");
    assert_found(journal, "update journal set fact = zeroblob(16) where sequence = 7", "name");
    assert_found(journal, "delete from journal where sequence = 7", "journal");
    assert_found(derived, "update usage_blocks set body = replace(body, ',53,[', ',54,[')", "usage");
    assert_found(derived, "delete from usage_blocks", "usage");
    assert_found(
        derived,
        "update books set body = replace(body, '\"remaining\":', '\"remaining\":1') where account = 2",
        "book",
    );
    assert_found(derived, "update books set version = version - 1 where account = 2", "book");
    assert_found(derived, "update name_blocks set body = zeroblob(length(body))", "name");
}

#[test]
fn a_book_that_cannot_be_is_a_fault() {
    let scratch = Scratch::new();
    let store = Sqlite::open(&scratch.file(), restless()).unwrap();
    let mut desk = Desk::new(1);
    store.commit(&[desk.grant(10_000, minute(0))]).unwrap();
    store.fold().unwrap();
    drop(store);
    let hand = Connection::open(scratch.path().join("scrip.db-derived")).unwrap();
    for body in ["{}", "", "{\"at\":0,\"grants\":[{\"id\":\"grant_1\"}]}"] {
        hand.execute("update books set body = ?1", [body]).unwrap();
        let store = Sqlite::open(&scratch.file(), restless()).unwrap();
        let fault = store.recall(&[], &[account(1)]).unwrap_err().to_string();
        assert!(fault.contains("book of account 1"), "{fault}");
    }
}
