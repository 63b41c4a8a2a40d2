//! The engine in this process: service, turnstile, store, disk; no HTTP.
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use server::app::App;
use server::service::{Answer, ChargeOrder, Error};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::Options;
use super::fill::{self, Charges, Skew};
use super::table::{grouped, millis, per_second, percent, processor_micros, quantile, resident_mib, row, written};

/// Charges made before anything is measured are made in groups of this size.
const FILL_GROUP: usize = 8_192;
/// Groups under way at once: while the disk is waited for with one, the next is written, the one after it decided, and
/// another priced.
const UNDER_WAY: usize = 4;
/// No figure takes longer than this, however slow.
const FIGURE_MAX: Duration = Duration::from_secs(20);

pub fn run(options: &Options) {
    let accounts = options.number("accounts", 100_000);
    let charges = options.number("charges", 1_000_000);
    let skew = if options.is("skew", "zipf") { Skew::zipf(accounts) } else { Skew::Even(accounts) };
    let passing = tempfile::tempdir().expect("a place for the store");
    let kept = options.text("directory").map(std::path::PathBuf::from);
    let directory = kept.as_deref().unwrap_or(passing.path());
    let runtime = Runtime::new().expect("a runtime");
    let app = std::sync::Arc::new(fill::open(directory));
    println!(
        "engine: {} accounts, {}",
        grouped(accounts as u64),
        if options.is("skew", "zipf") { "Zipf" } else { "even" }
    );
    let length = app.store().journal_length().expect("a length");
    if length == 0 {
        fill::register(&app, accounts);
    }
    // Of a store that was kept, what is not a grant is a charge; and no key comes twice.
    let mut stored = usize::try_from(length.saturating_sub(fill::GRANTS * accounts as u64)).expect("it fits on a disk");
    let mut source = Charges::new(accounts, skew, length);
    for goal in options.numbers("stored", &[1_000_000]) {
        while stored < goal {
            let count = FILL_GROUP.min(goal - stored);
            runtime.block_on(charge_group(&app, source.take(count)));
            stored += count;
        }
        println!("\n{} charges stored", grouped(stored as u64));
        row(&["group", "charges/s", "of raw log", "CPU", "p50", "p99", "B to disk", "memory"]);
        for group in options.numbers("groups", &[1, 32, 256, 2_048, 8_192]) {
            stored += figure(&app, &runtime, &mut source, (group, charges), directory);
        }
    }
    app.close();
}

/// Measures one size of group and prints its row; returns how many charges it made.
fn figure(
    app: &std::sync::Arc<App>,
    runtime: &Runtime,
    source: &mut Charges,
    (group, charges): (usize, usize),
    directory: &Path,
) -> usize {
    let raw = raw_log(directory, group);
    // Small groups are slow: fewer of them say as much.
    let charges = charges.min(group * 5_000).max(group * UNDER_WAY * 4);
    let mut latencies = Vec::new();
    let (mut done, mut took, mut processor) = (0, Duration::ZERO, 0);
    let disk = written();
    while done < charges && took < FIGURE_MAX {
        // Orders are made before the clock runs: enough that to begin and to end is little of it.
        let batch = (64 * group).clamp(65_536, 524_288).min(charges - done).max(group);
        let groups: Vec<Vec<ChargeOrder>> = (0..batch.div_ceil(group)).map(|_| source.take(group)).collect();
        done += groups.len() * group;
        let (began, before) = (Instant::now(), processor_micros());
        runtime.block_on(all_groups(app, groups, &mut latencies));
        took += began.elapsed();
        processor += processor_micros() - before;
    }
    let rate = per_second(done as u64, took);
    row(&[
        &grouped(group as u64),
        &grouped(rate),
        &percent(rate, raw),
        &format!("{}.{} us", processor / done as u64, processor * 10 / done as u64 % 10),
        &millis(quantile(&mut latencies, 500)),
        &millis(quantile(&mut latencies, 990)),
        &grouped((written() - disk) / done as u64),
        &format!("{} MiB", resident_mib()),
    ]);
    done
}

async fn all_groups(app: &std::sync::Arc<App>, groups: Vec<Vec<ChargeOrder>>, latencies: &mut Vec<u64>) {
    let mut under_way = JoinSet::new();
    for group in groups {
        if under_way.len() == UNDER_WAY {
            latencies.extend(under_way.join_next().await.map(|it| it.expect("a group is charged")));
        }
        let app = std::sync::Arc::clone(app);
        under_way.spawn(async move { charge_group(&app, group).await });
    }
    while let Some(latency) = under_way.join_next().await {
        latencies.push(latency.expect("a group is charged"));
    }
}

/// Charges a group and checks each; returns the microseconds it took.
pub async fn charge_group(app: &App, group: Vec<ChargeOrder>) -> u64 {
    let began = Instant::now();
    let answers = app.charge_all(group.into_iter().map(Ok).collect()).await;
    let took = u64::try_from(began.elapsed().as_micros()).expect("microseconds");
    answers.into_iter().for_each(check);
    took
}

fn check(answer: Result<Answer, Error>) {
    assert!(!answer.expect("a charge succeeds").is_replay, "each key is new");
}

/// Appends of a group's worth of bytes, each synced: what no durable engine can beat. Charges a second.
fn raw_log(directory: &Path, group: usize) -> u64 {
    /// What the smallest record of a charge would take.
    const RECORD_BYTES: usize = 152;
    let path = directory.join("raw.log");
    let mut file = File::create(&path).expect("a file");
    let bytes = vec![7; RECORD_BYTES * group];
    let began = Instant::now();
    let mut appends = 0;
    while began.elapsed() < Duration::from_millis(500) {
        file.write_all(&bytes).expect("an append");
        file.sync_data().expect("a sync");
        appends += 1;
    }
    let rate = per_second(appends * group as u64, began.elapsed());
    std::fs::remove_file(path).expect("the file goes");
    rate
}
