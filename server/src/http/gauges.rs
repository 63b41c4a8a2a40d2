//! What the server counts about itself, and how Prometheus reads it. Counting is one atomic addition.
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::turnstile::Tally;

/// Upper ends of the latency buckets, in microseconds.
const BUCKETS: [u64; 10] = [250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000, 5_000_000];

#[derive(Debug, Default)]
pub struct Gauges {
    /// By hundreds of the status, from 1xx.
    answered: [AtomicU64; 5],
    took: [AtomicU64; BUCKETS.len() + 1],
    took_micros: AtomicU64,
    pub under_way: AtomicU64,
    pub connections: AtomicU64,
    pub charges: AtomicU64,
    pub replays: AtomicU64,
    pub out_of_credits: AtomicU64,
    pub faults: AtomicU64,
}

/// A stopwatch, which says how long something took and never what time it is.
pub fn started() -> Instant {
    Instant::now()
}

pub fn count(gauge: &AtomicU64) {
    gauge.fetch_add(1, Ordering::Relaxed);
}

impl Gauges {
    /// `started` is what [`started`] said when the request came. Says how many microseconds it took.
    pub fn answered(&self, status: u16, started: Instant) -> u64 {
        if let Some(class) = self.answered.get(usize::from(status / 100).saturating_sub(1)) {
            count(class);
        }
        let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.partition_point(|it| *it < micros);
        count(&self.took[bucket]);
        self.took_micros.fetch_add(micros, Ordering::Relaxed);
        micros
    }

    pub fn batched(&self, accepted: u64, duplicates: u64) {
        self.charges.fetch_add(accepted, Ordering::Relaxed);
        self.replays.fetch_add(duplicates, Ordering::Relaxed);
    }

    /// In Prometheus' text format, with what the turnstile counts, and how much is measured right now.
    pub fn render(&self, turnstile: &Tally, measured_now: usize) -> String {
        let mut page = String::with_capacity(2_048);
        let read = |gauge: &AtomicU64| gauge.load(Ordering::Relaxed);
        let mut single = |name: &str, kind: &str, help: &str, value: u64| {
            writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}")
                .expect("a text takes more text");
        };
        single("scrip_requests_under_way", "gauge", "Requests being answered.", read(&self.under_way));
        single("scrip_connections", "gauge", "Open connections.", read(&self.connections));
        let measured_now = u64::try_from(measured_now).unwrap_or(u64::MAX);
        single("scrip_measurements_under_way", "gauge", "Artefacts being measured.", measured_now);
        single("scrip_charges_total", "counter", "Charges written down.", read(&self.charges));
        single("scrip_replays_total", "counter", "Repeated requests answered again.", read(&self.replays));
        single(
            "scrip_insufficient_credits_total",
            "counter",
            "Work refused for want of credits.",
            read(&self.out_of_credits),
        );
        single("scrip_faults_total", "counter", "Requests that failed on our side.", read(&self.faults));
        single("scrip_groups_total", "counter", "Groups committed, each with one sync.", read(&turnstile.groups));
        let transactions = read(&turnstile.transactions);
        single("scrip_transactions_total", "counter", "Transactions in those groups.", transactions);
        single("scrip_refusals_total", "counter", "Commands the rules refused.", read(&turnstile.refusals));
        single("scrip_commit_faults_total", "counter", "Groups that could not be committed.", read(&turnstile.faults));
        let waiting = u64::try_from(turnstile.waiting()).unwrap_or(u64::MAX);
        single("scrip_waiting", "gauge", "Commands that wait or are under way.", waiting);
        let name = "scrip_commit_seconds_total";
        let spent = seconds(read(&turnstile.commit_micros));
        writeln!(page, "# HELP {name} Time spent in commits.\n# TYPE {name} counter\n{name} {spent}")
            .expect("a text takes more text");
        self.render_requests(&mut page);
        page
    }

    fn render_requests(&self, page: &mut String) {
        let read = |gauge: &AtomicU64| gauge.load(Ordering::Relaxed);
        page.push_str("# HELP scrip_requests_total Requests answered.\n# TYPE scrip_requests_total counter\n");
        for (class, gauge) in self.answered.iter().enumerate() {
            writeln!(page, "scrip_requests_total{{status=\"{}xx\"}} {}", class + 1, read(gauge))
                .expect("a text takes more text");
        }
        page.push_str("# HELP scrip_request_seconds Time to answer.\n# TYPE scrip_request_seconds histogram\n");
        let mut sum = 0;
        for (bucket, gauge) in self.took.iter().enumerate() {
            sum += read(gauge);
            let end = BUCKETS.get(bucket).map_or_else(|| "+Inf".to_owned(), |it| seconds(*it));
            writeln!(page, "scrip_request_seconds_bucket{{le=\"{end}\"}} {sum}").expect("a text takes more text");
        }
        let total = seconds(read(&self.took_micros));
        writeln!(page, "scrip_request_seconds_sum {total}\nscrip_request_seconds_count {sum}")
            .expect("a text takes more text");
    }
}

fn seconds(micros: u64) -> String {
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}
