//! What settling an hour costs the rules, for each server of an account that has many: `cargo bench -p billing`. It is
//! the same for each, however many there are. Every version of the book is kept, as a store that commits keeps it.
use std::sync::Arc;

use billing::id::AccountNumber;
use billing::ledger::{Book, BurnTerms, Command, ServerAct, ServerReport, Source, Terms};
use billing::money::Credits;
use billing::server::{Change, Tariff};
use billing::time::{Span, Timestamp};
use divan::Bencher;
use divan::counter::ItemsCount;

fn main() {
    divan::main();
}

/// An hour's beginning.
const BEGIN: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A book with so many servers that run, settled up to the hour.
fn book(servers: usize) -> Book {
    let mut book = Book::open(AccountNumber::from_random(1));
    let tariff = Arc::new(Tariff {
        tier: "business".into(),
        region: None,
        rate_card: 1,
        set_up: Credits::whole(600),
        price: Credits::whole(12),
        per_seconds: 3_600,
        minimum_seconds: 60,
        commitment_seconds: 0,
        monthly_cap: Some(Credits::whole(7_500)),
    });
    let grant = Terms {
        source: Source::Purchase,
        credits: Credits::whole(10_000_000),
        effective_at: BEGIN,
        expires_at: Timestamp::NEVER,
        priority: Terms::PRIORITY,
        scope: billing::ledger::Scope::default(),
        cost: None,
        charged: None,
        payment: None,
        reason: "benchmark".into(),
    };
    post(&mut book, &Command::Grant(Arc::new(grant)), BEGIN);
    let terms = Arc::new(BurnTerms::default());
    for number in 0..servers {
        let provision = ServerAct::Provision { project: None, tariff: Arc::clone(&tariff) };
        for act in [provision, ServerAct::Change(Change::Start(Arc::clone(&tariff)))] {
            let (server, terms) = (format!("vm-{number}").parse().expect("a name"), Some(Arc::clone(&terms)));
            post(&mut book, &Command::Server(ServerReport { server, act, at: BEGIN, terms }), BEGIN);
        }
        settle(&mut book, BEGIN);
    }
    book
}

fn post(book: &mut Book, command: &Command, at: Timestamp) {
    let transaction = book.decide(command, at).expect("it can be done");
    book.apply(&transaction);
}

fn settle(book: &mut Book, at: Timestamp) {
    while let Some((command, when)) = book.due(at) {
        post(book, &command, when);
    }
}

#[divan::bench(args = [1, 10, 100, 1_000])]
fn an_hour_for_each_server(bencher: Bencher<'_, '_>, servers: usize) {
    let book = Arc::new(book(servers));
    bencher.counter(ItemsCount::new(servers)).with_inputs(|| Arc::clone(&book)).bench_local_values(|mut book| {
        let mut versions = Vec::with_capacity(servers);
        while let Some((command, when)) = book.due(BEGIN + Span::HOUR) {
            let transaction = book.decide(&command, when).expect("what is due is never refused");
            Arc::make_mut(&mut book).apply(&transaction);
            versions.push((transaction, Arc::clone(&book)));
        }
        assert_eq!(versions.len(), servers, "each settles once");
        versions
    });
}
