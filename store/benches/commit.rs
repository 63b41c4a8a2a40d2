//! What a commit costs: `cargo bench -p store`, or with more stored first: `cargo bench -p store -- 20000000`.
//!
//! 100 000 accounts hit evenly, a random idempotency key each, a chat with two price lines, the book included. `alone`
//! is the time inside `commit`, `cpu` what of it this thread was on a processor (on a busy machine much less); `wall`
//! also has the making of the transactions, on the same thread. Times a group size at a time, on a store that has
//! `stored` transactions already; then the reads. Not a statistic: a table to be read.
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use billing::id::AccountNumber;
use billing::ledger::{Book, Command, Scope, Source, Spend, Terms, Work};
use billing::money::Credits;
use billing::rating::{Price, PriceLine, Text, Usage};
use billing::time::{Span, Timestamp};
use store::sqlite::{Options, Sqlite};
use store::{Change, NameHash, Post, Store};

const ACCOUNTS: u64 = 100_000;

fn main() {
    let stored = std::env::args().filter_map(|it| it.parse().ok()).next().unwrap_or(1_000_000);
    let path = directory();
    let file = path.join("scrip.db");
    let mut load = Load::new();
    let store = Sqlite::open(&file, Options::default()).expect("a store");
    println!("group      count  alone/s    cpu/s   wall/s   p50 us   p99 us   max us  disk B/tx  memory MB");
    load.open_accounts(&store);
    run(&mut load, &store, 8192, stored);
    for (group, count) in [(1, 5_000), (32, 200_000), (256, 600_000), (2_048, 1_500_000), (8_192, 1_500_000)] {
        run(&mut load, &store, group, count.min(stored));
    }
    println!("reads, after {} transactions", store.journal_length().expect("a length"));
    reads(&store, "warm");
    drop(store);
    let opened = Instant::now();
    let store = Sqlite::open(&file, Options::default()).expect("a store");
    println!("opened again in {} ms", opened.elapsed().as_millis());
    reads(&store, "opened again");
    println!("journal {} MB, derived {} MB", megabytes(&file), megabytes(&path.join("scrip.db-derived")));
    drop(store);
    std::fs::remove_dir_all(&path).expect("the directory goes");
}

fn directory() -> PathBuf {
    let base = std::env::var_os("SCRIP_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let path = base.join(format!("scrip-bench-{}", std::process::id()));
    std::fs::create_dir_all(&path).expect("a directory");
    path
}

fn megabytes(path: &std::path::Path) -> u64 {
    std::fs::metadata(path).map_or(0, |it| it.len() >> 20)
}

fn run(load: &mut Load, store: &Sqlite, group: usize, count: usize) {
    let before = written();
    let start = Instant::now();
    let mut times = Vec::new();
    let mut on_processor = 0;
    let mut done = 0;
    while done < count {
        let changes: Vec<Change> = (0..group).map(|_| load.charge()).collect();
        let (began, processor) = (Instant::now(), processor_nanos());
        store.commit(&changes).expect("a commit");
        times.push(began.elapsed());
        on_processor += processor_nanos() - processor;
        done += group;
    }
    let wall = start.elapsed();
    // What is still to be folded and checkpointed is counted in the next line: lines add up over a run.
    let bytes = (written() - before) / done as u64;
    let alone: Duration = times.iter().sum();
    times.sort();
    let part = |percent: usize| times[(times.len() - 1) * percent / 100].as_micros();
    let rate = |time: Duration| done as u128 * 1_000_000 / time.as_micros().max(1);
    let processor = Duration::from_nanos(on_processor);
    println!(
        "{group:5} {done:10} {:8} {:8} {:8} {:8} {:8} {:8} {bytes:10} {:10}",
        rate(alone),
        rate(processor),
        rate(wall),
        part(50),
        part(99),
        part(100),
        memory() >> 10
    );
}

fn reads(store: &Sqlite, when: &str) {
    let mut random = Random(99);
    let mut timed = |what: &str, read: &mut dyn FnMut(AccountNumber)| {
        let mut times: Vec<Duration> = Vec::new();
        for _ in 0..200 {
            let account = number(random.below(ACCOUNTS));
            let began = Instant::now();
            read(account);
            times.push(began.elapsed());
        }
        times.sort();
        println!("  {what}, {when}: p50 {} us, p99 {} us", times[100].as_micros(), times[198].as_micros());
    };
    timed("latest 50", &mut |it| drop(store.transactions(it, u64::MAX, 50).expect("transactions")));
    let month = (start_at(), start_at() + Span::DAY.times(30));
    timed("usage of 30 days", &mut |it| drop(store.usage(it, month.0, month.1).expect("usage")));
    timed("balance", &mut |it| drop(store.recall(&[], &[it]).expect("a book")));
    let mut key = 0_u64;
    timed("a new key", &mut |it| {
        key += 1;
        let name = NameHash::key(it, &format!("new-{key}"));
        assert_eq!(store.recall(&[name], &[]).expect("an answer").named, [None]);
    });
}

/// Nanoseconds this thread has been on a processor.
fn processor_nanos() -> u64 {
    field("/proc/thread-self/schedstat", "")
}
/// Bytes this process made the system write.
fn written() -> u64 {
    field("/proc/self/io", "write_bytes:")
}
/// Resident kilobytes that are this process's own, without mapped files.
fn memory() -> u64 {
    field("/proc/self/status", "RssAnon:")
}
fn field(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|it| it.strip_prefix(name)).unwrap_or("0");
    line.split_whitespace().next().and_then(|it| it.parse().ok()).unwrap_or(0)
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
    fn pick(&mut self, bound: u64) -> usize {
        usize::try_from(self.below(bound)).expect("small")
    }
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

fn start_at() -> Timestamp {
    Timestamp::from_millis(1_795_000_000_000)
}

fn number(index: u64) -> AccountNumber {
    AccountNumber::from_random(Random(index).next())
}

/// Makes charges for random accounts.
struct Load {
    random: Random,
    books: Vec<Arc<Book>>,
    usages: Vec<(Usage, Vec<PriceLine>)>,
    millis: i64,
}

impl Load {
    fn new() -> Load {
        let books = (0..ACCOUNTS).map(|it| Arc::new(Book::open(number(it)))).collect();
        let usages = ["large-4", "small-4", "swift-2"].map(|model| {
            let text = |it: &str| Text::from(it);
            let quantities = vec![(text("input_tokens"), 1_830), (text("output_tokens"), 412)];
            let usage = Usage { meter: text("ai_chat"), quantities, dimensions: vec![(text("model"), text(model))] };
            let line = |item: &str, quantity: u64, unit_price: i64, credits: i64| PriceLine {
                item: text(item),
                quantity,
                unit: text("token"),
                unit_price: Credits::from_micros(unit_price),
                per: 1_000_000,
                credits: Credits::from_micros(credits),
            };
            let lines = vec![line("Input", 1_830, 250_000_000, 457_500), line("Output", 412, 1_000_000_000, 412_000)];
            (usage, lines)
        });
        Load { random: Random(1), books, usages: usages.into(), millis: start_at().millis() }
    }

    fn open_accounts(&mut self, store: &Sqlite) {
        let terms = Arc::new(Terms {
            source: Source::Purchase,
            credits: Credits::whole(1_000_000),
            effective_at: start_at(),
            expires_at: Timestamp::NEVER,
            priority: Terms::PRIORITY,
            scope: Scope::default(),
            cost: None,
            charged: None,
            payment: None,
            reason: "bought".into(),
        });
        for first in (0..self.books.len()).step_by(4096) {
            let last = (first + 4096).min(self.books.len());
            let grant = Command::Grant(Arc::clone(&terms));
            let changes: Vec<Change> = (first..last).map(|it| self.post(it, &grant, None)).collect();
            store.commit(&changes).expect("a commit");
        }
    }

    fn charge(&mut self) -> Change {
        let index = self.random.pick(ACCOUNTS);
        // A transaction in 20 microseconds of the tests' time: a day has four billion.
        self.millis += i64::from(self.random.below(50) == 0);
        let at = Timestamp::from_millis(self.millis);
        let (usage, lines) = &self.usages[self.random.pick(3)];
        let work = Work {
            usage: usage.clone(),
            price: Price { credits: Credits::from_micros(869_500), lines: lines.clone(), rate_card: 3 },
            project: Some(["website", "backend"][self.random.pick(2)].parse().expect("a name")),
            actor: Some("agent-7".parse().expect("a name")),
            resource: None,
            occurred_at: at,
            hour: at.hour_start(0),
            quote: None,
            metadata: None,
            evidence: None,
            once: None,
        };
        let mut key = String::new();
        write!(key, "{:016x}{:08x}", self.random.next(), self.random.below(1 << 32)).expect("text");
        let charge = Command::Charge(Spend { work: Arc::new(work), debt_max: Credits::ZERO });
        self.post(index, &charge, Some(key))
    }

    fn post(&mut self, index: usize, command: &Command, key: Option<String>) -> Change {
        let book = &self.books[index];
        let mut transaction = book.decide(command, Timestamp::from_millis(self.millis)).expect("enough credits");
        transaction.origin.request = key.as_ref().map_or(0, |_| u128::from(self.random.next()));
        transaction.origin.key = key.map(Into::into);
        transaction.origin.by = Some("backend".into());
        let mut next = Book::clone(book);
        next.apply(&transaction);
        let book = Arc::new(next);
        self.books[index] = Arc::clone(&book);
        let key = transaction.origin.key.as_deref().map(|it| NameHash::key(book.account, it));
        Change::Post(Post { transaction: Arc::new(transaction), book, key, fact: None })
    }
}
