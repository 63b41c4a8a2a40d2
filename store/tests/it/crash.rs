//! Killing the process: nothing acknowledged is lost, nothing is there twice.
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use store::sqlite::{Options, Sqlite};
use store::{Change, NameHash, Store, verify};

use crate::make::{Desk, account, minute};
use crate::scratch::Scratch;
use crate::town::Random;

const CHILD: &str = "SCRIP_STORE_CRASH_CHILD";
const ACCOUNTS: u64 = 20;
const ROUNDS: u64 = 100;

fn options() -> Options {
    Options {
        fold_at: 300,
        tail_max: 900,
        slice_accounts: 2,
        books_max: 10,
        log_bytes: 200 << 10,
        ..Options::default()
    }
}

/// The child: commits for ever, and says after each commit what it was.
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
    loop {
        let mut said = String::from("done");
        let mut changes: Vec<Change> = Vec::new();
        for _ in 0..1 + random.below(40) {
            let desk = &mut desks[usize::try_from(random.below(ACCOUNTS)).unwrap()];
            let version = desk.book.version + 1;
            let at = minute(i64::try_from(version).unwrap());
            let key = format!("key-{version}");
            changes.push(if version % 100 == 1 { desk.grant(1_000_000, at) } else { desk.charge(5, at, Some(&key)) });
            said += &format!(" {}.{version}", desk.book.account.get());
        }
        store.commit(&changes).unwrap();
        writeln!(out, "{said}").unwrap();
        out.flush().unwrap();
    }
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
