//! A PostgreSQL for the tests: the one that `SCRIP_TEST_POSTGRES_URL` names, which `cargo xtask test` starts for all of
//! them; or one of this process's own, which ends when the process does. Where `SCRIP_TEST_CITUS_URL` names a database
//! of a Citus cluster's coordinator it is that, and the tables of each test are spread over its machines.
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use postgres::{Client, NoTls};
use store::postgres::Postgres;

/// Runs until its standard input ends, which is when this process ends, however it does.
struct Cluster {
    url: String,
    /// Held, for its input ends when it is dropped.
    child: Option<Child>,
}

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| match citus().or_else(|| std::env::var("SCRIP_TEST_POSTGRES_URL").ok()) {
        Some(url) => Cluster { url, child: None },
        None => start("cluster.sh"),
    })
}

/// The coordinator's database, where the tests are to run on a Citus cluster.
pub fn citus() -> Option<String> {
    std::env::var("SCRIP_TEST_CITUS_URL").ok()
}

fn start(script: &str) -> Cluster {
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/../xtask/postgres/");
    let mut child = Command::new("sh")
        .arg(format!("{place}{script}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut url = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
    assert!(url.starts_with("postgres://"), "PostgreSQL did not start; it said why above");
    Cluster { url: url.trim_end().to_owned(), child: Some(child) }
}

/// A primary and its synchronous standby, for a test that kills one.
#[allow(dead_code, reason = "the server's tests kill it")]
pub struct Pair {
    url: String,
    child: Child,
}

#[allow(dead_code, reason = "the server's tests kill it")]
impl Pair {
    pub fn start() -> Pair {
        let Cluster { url, child } = start("pair.sh");
        Pair { url, child: child.expect("it was started") }
    }
    pub fn url(&self) -> String {
        self.url.clone()
    }
    /// `kill` the primary, or `promote` the standby.
    pub fn tell(&mut self, word: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{word}").unwrap();
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A schema of a test's own, gone when the test is.
pub struct Schema(String);

impl Schema {
    /// On a Citus cluster its tables are there already, and spread.
    pub fn new() -> Schema {
        let schema = Schema::on_one_machine();
        if citus().is_some() {
            let url = schema.url();
            // On a thread of its own: see `by_hand`.
            std::thread::spawn(move || Postgres::distribute(&url).unwrap()).join().unwrap();
        }
        schema
    }
    /// Without a table in it, and on a cluster those that come stay on its coordinator.
    pub fn on_one_machine() -> Schema {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("scrip_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        by_hand(format!("create schema {name}"));
        Schema(name)
    }
    /// Where a store finds it.
    pub fn url(&self) -> String {
        let joint = if cluster().url.contains('?') { '&' } else { '?' };
        // A few parts a table are enough for parts of one group to be on both of two machines.
        let parts = if citus().is_some() { "%20-ccitus.shard_count%3D8" } else { "" };
        format!("{}{joint}options=-csearch_path%3D{}{parts}", cluster().url, self.0)
    }
    #[allow(dead_code, reason = "the store's tests look into it")]
    pub fn name(&self) -> &str {
        &self.0
    }
    /// A connection to change it by hand.
    #[allow(dead_code, reason = "the store's tests change it")]
    pub fn hand(&self) -> Client {
        hand(&self.url())
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        by_hand(format!("drop schema {} cascade", self.0));
    }
}

/// On a thread of its own: the client waits for its answer, which a thread that drives others must not.
fn by_hand(statement: String) {
    let done = std::thread::spawn(move || hand(&cluster().url).batch_execute(&statement).unwrap()).join();
    assert!(done.is_ok() || std::thread::panicking(), "the cluster does as it is told");
}

fn hand(url: &str) -> Client {
    Client::connect(url, NoTls).unwrap()
}
