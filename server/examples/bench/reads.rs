//! Reads, as entries grow: what a page shows must cost the same at a thousand and at five million.
use std::time::Instant;

use billing::time::{Span, Timestamp};
use server::app::App;
use server::service::{Dimension, EntryFilter, Interval, UsageQuery};
use tokio::runtime::Runtime;

use super::Options;
use super::fill::{self, Charges, Skew};
use super::table::{grouped, millis, quantile, row};

/// One account in this many charges is the heavy one that is read.
const HEAVY_EVERY: usize = 10;
const READS: usize = 300;
const GROUP: usize = 8_192;

pub fn run(options: &Options) {
    let accounts = options.number("accounts", 10_000);
    let directory = tempfile::tempdir().expect("a place for the store");
    let runtime = Runtime::new().expect("a runtime");
    let app = fill::open(directory.path());
    fill::register(&app, accounts);
    let mut source = Charges::new(accounts, Skew::Even(accounts), 0);
    println!("reads of an account with a tenth of all entries, {} accounts", grouped(accounts as u64));
    row(&["entries", "read", "first", "p50", "p99", "p50, charged"]);
    let mut stored = 0;
    for goal in options.numbers("stored", &[50_000, 1_000_000, 5_000_000]) {
        while stored < goal {
            let count = GROUP.min(goal - stored);
            let group = (0..count).map(|it| Ok(charge(&app, &mut source, it))).collect();
            let answers = runtime.block_on(app.charge_all(group));
            assert!(answers.iter().all(Result::is_ok), "each charge succeeds");
            stored += count;
        }
        // The first read of each is of an account that nobody has looked at.
        figures(&app, stored as u64, &mut || {
            let answers = runtime.block_on(app.charge_all(vec![Ok(charge(&app, &mut source, 0))]));
            assert!(answers.iter().all(Result::is_ok), "each charge succeeds");
        });
    }
    app.close();
}

/// A charge of some time in the last thirty days; every tenth on the account that is read.
fn charge(app: &App, source: &mut Charges, place: usize) -> server::service::ChargeOrder {
    let ago = source.random.below(30 * 24 * 60);
    let at = app.now() - Span::MINUTE.times(i64::try_from(ago).expect("a month of minutes"));
    let mut order = source.next(Some(at));
    if place.is_multiple_of(HEAVY_EVERY) {
        order.account = fill::account(0);
    }
    order
}

fn figures(app: &App, stored: u64, charged: &mut dyn FnMut()) {
    let account = fill::account(0);
    let month = |now: Timestamp| UsageQuery {
        account: account.clone(),
        from: Some(now - Span::DAY.times(30)),
        to: None,
        interval: Interval::Day,
        group_by: vec![Dimension::Meter, Dimension::Project],
        only: Vec::new(),
        compares: false,
    };
    let reads: [(&str, &dyn Fn()); 5] = [
        ("balance", &|| assert!(app.balance(&account, None).is_ok())),
        ("latest 50 entries", &|| {
            let page = app.entries(&account, &EntryFilter::default(), None, 50).expect("entries are read");
            assert_eq!(page.entries.len(), 50);
        }),
        ("30-day usage", &|| assert!(app.usage(&month(app.now())).is_ok())),
        ("forecast", &|| assert!(app.forecast(&account).is_ok_and(|it| it.outcome.is_ok()))),
        ("tips", &|| assert!(app.tips(&account).is_ok())),
    ];
    for (name, read) in reads {
        let first = timed(read);
        let mut took: Vec<u64> = (0..READS).map(|_| timed(read)).collect();
        let (p50, p99) = (quantile(&mut took, 500), quantile(&mut took, 990));
        let after = |_| {
            charged();
            timed(read)
        };
        let mut busy: Vec<u64> = (0..READS).map(after).collect();
        let busy = quantile(&mut busy, 500);
        row(&[&grouped(stored), name, &millis(first), &millis(p50), &millis(p99), &millis(busy)]);
    }
}

fn timed(read: &dyn Fn()) -> u64 {
    let began = Instant::now();
    read();
    u64::try_from(began.elapsed().as_micros()).expect("microseconds")
}
