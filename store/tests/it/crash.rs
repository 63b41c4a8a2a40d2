//! Killing the process: nothing acknowledged is lost, nothing is there twice.
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use store::sqlite::{Options, Sqlite};
use store::{Change, CommitError, NameHash, Store, verify};

use crate::make::{Desk, account, minute};
use crate::scratch::Scratch;
use crate::town::Random;

const CHILD: &str = "SCRIP_STORE_CRASH_CHILD";
const FULL_CHILD: &str = "SCRIP_STORE_FULL_CHILD";
const ACCOUNTS: u64 = 20;
const ROUNDS: u64 = 100;

fn options() -> Options {
    Options {
        fold_at: 300,
        tail_max: 900,
        slice_accounts: 2,
        books_max: 10,
        heads_max: 10,
        log_bytes: 200 << 10,
        ..Options::default()
    }
}

/// The child: commits for ever, and says what it was once it is durable.
#[test]
fn commits_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let store = Sqlite::open(path.as_ref(), options()).unwrap();
    let mut desks: Vec<Desk> = (1..=ACCOUNTS).map(Desk::new).collect();
    for (number, desk) in (1..).zip(&mut desks) {
        if let Some(book) = store.recall(&[], &[account(number)]).unwrap().books.remove(0) {
            desk.book = book;
        }
    }
    let mut out = std::io::stdout().lock();
    let mut random = Random(u64::from(std::process::id()));
    let mut said = String::from("done");
    loop {
        let mut changes: Vec<Change> = Vec::new();
        for _ in 0..1 + random.below(40) {
            let desk = &mut desks[usize::try_from(random.below(ACCOUNTS)).unwrap()];
            let version = desk.book.version + 1;
            let at = minute(i64::try_from(version).unwrap());
            let key = format!("key-{version}");
            changes.push(if version % 100 == 1 { desk.grant(1_000_000, at) } else { desk.charge(5, at, Some(&key)) });
            said += &format!(" {}.{version}", desk.book.account.get());
        }
        match random.below(4) {
            0 => store.commit(&changes).unwrap(),
            1 => {
                store.write(&Arc::new(changes)).unwrap();
                store.settle().unwrap();
            }
            // Settled with one that comes later.
            _ => {
                store.write(&Arc::new(changes)).unwrap();
                continue;
            }
        }
        writeln!(out, "{}", std::mem::replace(&mut said, String::from("done"))).unwrap();
        out.flush().unwrap();
    }
}

/// The child: commits until the disk refuses, then tries a smaller one.
#[test]
fn commits_until_the_disk_refuses() {
    let Some(path) = std::env::var_os(FULL_CHILD) else { return };
    let store = Sqlite::open(path.as_ref(), Options::default()).unwrap();
    let mut desk = Desk::new(1);
    store.commit(&[desk.grant(1_000_000, minute(0))]).unwrap();
    for number in 1.. {
        let before = Arc::clone(&desk.book);
        let changes: Vec<Change> = (0..100).map(|_| desk.charge(1, minute(number), None)).collect();
        if let Err(error) = store.commit(&changes) {
            assert!(matches!(error, CommitError::Fault(_)), "{error}");
            desk.book = before;
            break;
        }
        println!("done {}", desk.book.version);
    }
    assert!(store.is_spent());
    let smaller = store.commit(&[desk.charge(1, minute(1_000_000), None)]).unwrap_err();
    assert!(smaller.to_string().contains("opened anew"), "{smaller}");
    println!("refused");
}

#[test]
fn after_a_commit_that_failed_nothing_is_written_until_the_store_is_opened_anew() {
    let scratch = Scratch::new();
    let child = Command::new("sh")
        // No file may grow beyond a megabyte or so, and who tries is told instead of killed.
        .args(["-c", "trap '' XFSZ; ulimit -f 2000; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["crash::commits_until_the_disk_refuses", "--exact", "--nocapture"])
        .env(FULL_CHILD, scratch.file())
        .output()
        .unwrap();
    let said = String::from_utf8(child.stdout).unwrap();
    assert!(said.contains("refused"), "{said}\n{}", String::from_utf8_lossy(&child.stderr));
    let last = said.lines().filter_map(|it| it.split_once("done ")).next_back().expect("some were acknowledged").1;
    let store = scratch.open();
    let book = store.recall(&[], &[account(1)]).unwrap().books.remove(0).unwrap();
    let acknowledged: u64 = last.parse().unwrap();
    // The commit that failed may have reached the disk after all: it was not acknowledged, and is whole or not there.
    assert!([acknowledged, acknowledged + 100].contains(&book.version), "{acknowledged}, {}", book.version);
    assert!(verify(&store, &mut |_, _| {}).unwrap().is_clean());
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let scratch = Scratch::new();
    let mut random = Random(77);
    let mut acknowledged = vec![0_u64; usize::try_from(ACCOUNTS).unwrap() + 1];
    for round in 0..ROUNDS {
        run_and_kill(&scratch, 1 + random.below(60), &mut acknowledged);
        let store = Sqlite::open(&scratch.file(), options()).unwrap();
        check(&store, &mut acknowledged);
        // Every few rounds all of it; it takes longer each time.
        if round % 20 == 19 {
            let report = verify(&store, &mut |_, _| {}).unwrap();
            assert!(report.is_clean(), "{:?}", report.differences);
        }
    }
}

fn run_and_kill(scratch: &Scratch, commits: u64, acknowledged: &mut [u64]) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::commits_until_it_is_killed", "--exact", "--nocapture"])
        .env(CHILD, scratch.file())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut take = |line: &str| {
        for place in line.split_whitespace().skip_while(|it| !it.contains('.')) {
            let (number, version) = place.split_once('.').unwrap();
            let last = &mut acknowledged[number.parse::<usize>().unwrap()];
            let version: u64 = version.parse().unwrap();
            assert_eq!(version, *last + 1, "account {number}: what was acknowledged follows");
            *last = version;
        }
    };
    let is_ours = |it: &String| it.contains("done ");
    lines.by_ref().filter(is_ours).take(usize::try_from(commits).unwrap()).for_each(|it| take(&it));
    // It is somewhere in the middle of the next one: SIGKILL, which nothing can catch.
    child.kill().unwrap();
    child.wait().unwrap();
    lines.filter(is_ours).for_each(|it| take(&it));
}

/// What was acknowledged is there, once; what is there beyond it was committed and not said, and counts from here on.
fn check(store: &Sqlite, acknowledged: &mut [u64]) {
    for (number, acknowledged) in (0..).zip(acknowledged).skip(1) {
        let number = account(number);
        let book = store.recall(&[], &[number]).unwrap().books.remove(0);
        let version = book.as_ref().map_or(0, |it| it.version);
        assert!(*acknowledged <= version, "{number:?}: {acknowledged} acknowledged, {version} there");
        *acknowledged = version;
        // The newest are those a crash could touch; all of it is verified every few rounds.
        let newest = version.saturating_sub(300) + 1..=version;
        let names: Vec<NameHash> =
            newest.clone().filter(|it| it % 100 != 1).map(|it| NameHash::key(number, &format!("key-{it}"))).collect();
        assert!(store.recall(&names, &[]).unwrap().named.iter().all(Option::is_some));
        let transactions = store.transactions(number, u64::MAX, newest.clone().count()).unwrap();
        assert!(newest.rev().eq(transactions.iter().map(|it| it.place.version)));
    }
}
