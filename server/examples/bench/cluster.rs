//! The engine on PostgreSQL, beside the two plain ways to charge there, in one run: groups of several sizes, one, two
//! and four committers, one node and three, even load and one hot account.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use postgres::{Client, NoTls};
use server::app::App;
use server::database::Database;
use server::service::ChargeOrder;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::Options;
use super::engine::charge_group;
use super::fill::{self, Charges, Random, Skew};
use super::plain;
use super::table::{grouped, millis, per_second, quantile, row};

/// Groups under way at once at each node.
const UNDER_WAY: usize = 4;

/// Charges of a group that only warms a node.
const WARMED_AT_ONCE: usize = 8_192;

/// Nodes of this process on one database.
struct Nodes(Vec<Arc<App>>);

impl Nodes {
    fn open(url: &str, nodes: usize, committers: usize) -> Nodes {
        let joint = if url.contains('?') { '&' } else { '?' };
        let database = Database::Postgres(format!("{url}{joint}committers={committers}"));
        Nodes((0..nodes).map(|_| Arc::new(fill::open_on(&database))).collect())
    }
}

impl Nodes {
    /// Lets each node hear once a second what others changed, as its worker would, until `is_over`.
    fn hear(&self, is_over: &AtomicBool) {
        while !is_over.load(Ordering::Relaxed) {
            self.0.iter().for_each(|it| it.refresh().expect("a node hears"));
            thread::sleep(Duration::from_secs(1));
        }
    }

    /// Lets each node charge each account once, as one that has been up for a while has: it has the books at hand.
    /// Where there are several, once more: then each has met the others at every account, and they tell each other.
    fn warm(&self, runtime: &Runtime, source: &mut Charges, accounts: usize) {
        let even = std::mem::replace(&mut source.skew, Skew::InTurn { next: AtomicUsize::new(0), accounts });
        let rounds = if self.0.len() == 1 { 1 } else { 2 };
        for node in (0..rounds).flat_map(|_| &self.0) {
            for first in (0..accounts).step_by(WARMED_AT_ONCE) {
                runtime.block_on(charge_group(node, source.take(WARMED_AT_ONCE.min(accounts - first))));
            }
        }
        source.skew = even;
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        self.0.iter().for_each(|it| it.close());
    }
}

/// Says that it is over when it goes.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What is measured, and how long at most.
struct Figure<'a> {
    nodes: &'a Nodes,
    group: usize,
    lasts: Duration,
}

struct Measured {
    rate: u64,
    p50: u64,
    p99: u64,
    wal_bytes: u64,
}

pub fn run(options: &Options) {
    let url = std::env::var("SCRIP_TEST_POSTGRES_URL");
    let url = url.expect("`cargo xtask bench` starts a PostgreSQL; without it, SCRIP_TEST_POSTGRES_URL names one");
    let accounts = options.number("accounts", 100_000);
    let lasts = Duration::from_secs(options.number("seconds", 5));
    let runtime = Runtime::new().expect("a runtime");
    let mut hand = Client::connect(&url, NoTls).expect("a connection");
    let nodes = Nodes::open(&url, 1, 2);
    let length = nodes.0[0].store().journal_length().expect("a length");
    // A database that has been measured on is gone on with, under keys that were not used yet.
    let mut even = Charges::new(accounts, Skew::Even(accounts), length);
    let mut hot = Charges::new(1, Skew::Even(1), 0);
    // Keys of its own: both charge the first account.
    hot.random = Random::new(11 ^ length << 8);
    let stored = options.numbers("stored", &[200_000])[0];
    if length == 0 {
        fill::register(&nodes.0[0], accounts);
        for _ in 0..stored / 2_048 {
            runtime.block_on(charge_group(&nodes.0[0], even.take(2_048)));
        }
    }
    let stored = nodes.0[0].store().journal_length().expect("a length") - fill::GRANTS * accounts as u64;
    drop(nodes);
    let (shown, stored) = (grouped(accounts as u64), grouped(stored));
    println!("PostgreSQL: {shown} accounts, {stored} charges stored, {} s a figure\n", lasts.as_secs());
    plain::make(&url);
    let before = plain::measured(&url, lasts);
    plain::tell(&before);
    let function = &before[1];
    println!();
    head();
    let (function_even, [hot_few, hot_many]) = (function.even[0].max(function.even[1]), function.hot);
    let shapes = options.numbers("committers", &[1, 2, 4]).into_iter().map(|it| (1, it));
    let many = options.numbers("nodes", &[3]).into_iter().map(|it| (it, 2));
    for (count, committers) in shapes.chain(many).filter(|it| 0 < it.0 && 0 < it.1) {
        let nodes = Nodes::open(&url, count, committers);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            // Also where a charge fails: a scope waits for whoever it has begun, however it is left.
            let _ends = Ends(&is_over);
            scope.spawn(|| nodes.hear(&is_over));
            nodes.warm(&runtime, &mut even, accounts);
            for group in options.numbers("groups", &[32, 256, 2_048, 8_192]) {
                let figure = Figure { nodes: &nodes, group, lasts };
                let on_even = figure.measure(&runtime, &mut even, &mut hand);
                let on_one = figure.measure(&runtime, &mut hot, &mut hand);
                row(&[
                    &format!("{count} × {committers}"),
                    &grouped(group as u64),
                    &grouped(on_even.rate),
                    &times(on_even.rate, function_even),
                    &millis(on_even.p50),
                    &millis(on_even.p99),
                    &grouped(on_even.wal_bytes),
                    &grouped(on_one.rate),
                    &times(on_one.rate, hot_few),
                    &times(on_one.rate, hot_many),
                ]);
            }
        });
    }
    println!("\nand again, at the end");
    plain::tell(&plain::measured(&url, lasts));
}

/// Beside the function where it is quickest on even load, and on one account where few ask for it and where many do.
fn head() {
    let [few, many] = plain::CONNECTIONS.map(|it| format!("× at {it}"));
    let even = ["nodes × committers", "group", "even/s", "× function", "p50", "p99", "WAL B"];
    row(&[&even[..], &["one acc./s", &few, &many]].concat());
}

/// `part` over `whole`, with one place.
fn times(part: u64, whole: u64) -> String {
    let tenths = part * 10 / whole.max(1);
    format!("{}.{}", tenths / 10, tenths % 10)
}

impl Figure<'_> {
    fn measure(&self, runtime: &Runtime, source: &mut Charges, hand: &mut Client) -> Measured {
        let mut latencies = Vec::new();
        let (mut done, mut took) = (0, Duration::ZERO);
        let wal = written(hand);
        while took < self.lasts {
            // Orders are made before the clock runs, a few groups at a time so that memory stays small.
            let count = (65_536 / self.group).clamp(UNDER_WAY * self.nodes.0.len() * 2, 400);
            let groups: Vec<Vec<ChargeOrder>> = (0..count).map(|_| source.take(self.group)).collect();
            let began = Instant::now();
            runtime.block_on(self.charge(groups, &mut latencies));
            took += began.elapsed();
            done += count * self.group;
        }
        let wal_bytes = (written(hand) - wal) / done as u64;
        let (p50, p99) = (quantile(&mut latencies, 500), quantile(&mut latencies, 990));
        Measured { rate: per_second(done as u64, took), p50, p99, wal_bytes }
    }

    async fn charge(&self, groups: Vec<Vec<ChargeOrder>>, latencies: &mut Vec<u64>) {
        let mut under_way = JoinSet::new();
        for (place, group) in groups.into_iter().enumerate() {
            if under_way.len() == UNDER_WAY * self.nodes.0.len() {
                latencies.extend(under_way.join_next().await.map(|it| it.expect("a group is charged")));
            }
            let node = Arc::clone(&self.nodes.0[place % self.nodes.0.len()]);
            under_way.spawn(async move { charge_group(&node, group).await });
        }
        while let Some(latency) = under_way.join_next().await {
            latencies.push(latency.expect("a group is charged"));
        }
    }
}

/// Bytes the server has written to its log so far.
fn written(hand: &mut Client) -> u64 {
    let query = "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint";
    let bytes: i64 = hand.query_one(query, &[]).expect("the log's place").get(0);
    bytes.try_into().expect("it only grows")
}
