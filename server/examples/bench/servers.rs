//! Servers that burn: an hour's worth of many, settled by the worker's own road.
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use billing::ledger::{BurnTerms, Command, Grace, ServerAct, ServerReport};
use billing::server::{Change, Tariff};
use billing::time::{Span, Timestamp};
use billing::zone::Calendar;
use server::app::App;
use server::turnstile::{Ask, Turned};
use tokio::runtime::Runtime;

use super::Options;
use super::fill;
use super::table::{grouped, per_second, resident_mib, row, written};

/// Reports sent together while servers are set up.
const REPORTED_AT_ONCE: usize = 4_096;

pub fn run(options: &Options) {
    let servers: usize = options.number("servers", 100_000);
    let hours: i64 = options.number("hours", 1);
    println!("servers: {} running, {hours} h settled at once", grouped(servers as u64));
    row(&["accounts", "servers each", "settlements", "seconds", "a second", "B to disk", "memory"]);
    for each in options.numbers("each", &[1, 10, 100, 1_000]) {
        shape(servers / each, each, hours);
    }
}

fn shape(accounts: usize, each: usize, hours: i64) {
    let directory = tempfile::tempdir().expect("a place for the store");
    let runtime = Runtime::new().expect("a runtime");
    let app = Arc::new(fill::open(directory.path()));
    fill::register(&app, accounts);
    runtime.block_on(start(&app, accounts, each));
    // Everything so far is settled up to the end of an hour; then the hours that are measured pass.
    to_the_hour(&app);
    runtime.block_on(app.settle_all()).expect("what is due is settled");
    app.clock().advance(Span::HOUR.times(hours));
    let before = app.turnstile().tally().transactions.load(Ordering::Relaxed);
    let (began, disk) = (Instant::now(), written());
    runtime.block_on(app.settle_all()).expect("what is due is settled");
    let took = began.elapsed();
    let settled = app.turnstile().tally().transactions.load(Ordering::Relaxed) - before;
    let expected = (accounts * each) as u64 * hours.unsigned_abs();
    assert!(expected <= settled, "each hour of each server is settled: {settled} of {expected}");
    row(&[
        &grouped(accounts as u64),
        &grouped(each as u64),
        &grouped(settled),
        &seconds(took),
        &grouped(per_second(settled, took)),
        &grouped((written() - disk) / settled),
        &format!("{} MiB", resident_mib()),
    ]);
    app.close();
}

fn seconds(took: Duration) -> String {
    format!("{:.2}", took.as_secs_f64())
}

/// Moves the clock to a second after the hour.
fn to_the_hour(app: &App) {
    let now = app.now();
    let next = now.hour_start(0) + Span::HOUR + Span::SECOND;
    app.clock().advance(Span::from_millis(next.millis() - now.millis()));
}

async fn start(app: &App, accounts: usize, each: usize) {
    let now = app.now();
    let card = app.cards().in_force(now).cloned().expect("a card is in force");
    let tariff = Arc::new(Tariff::of(&card, "entry-level".into(), None).expect("the tier is priced"));
    let terms = Arc::new(BurnTerms { calendar: Calendar::default(), grace: Grace::default() });
    let mut asks = Vec::new();
    for account in 0..accounts {
        let number = fill::number(account);
        for server in 0..each {
            let provision = ServerAct::Provision { project: None, tariff: Arc::clone(&tariff) };
            for act in [provision, ServerAct::Change(Change::Start(Arc::clone(&tariff)))] {
                let server = format!("vm-{server}").parse().expect("a name");
                let (at, terms) = (now, Some(Arc::clone(&terms)));
                asks.push(ask(number, Command::Server(ServerReport { server, act, at, terms })));
            }
            if REPORTED_AT_ONCE <= asks.len() {
                report(app, std::mem::take(&mut asks), now).await;
            }
        }
    }
    report(app, asks, now).await;
}

async fn report(app: &App, asks: Vec<Ask>, since: Timestamp) {
    let turned = app.turnstile().take(asks).await;
    assert!(turned.iter().all(|it| matches!(it, Turned::Done { .. })), "since {since:?}: {:?}", turned.first());
}

fn ask(account: billing::id::AccountNumber, command: Command) -> Ask {
    Ask { account, command: Some(command), key: None, by: None, fact: None, once: None, also: Vec::new() }
}
