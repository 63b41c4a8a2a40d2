//! A PostgreSQL for the tests: the one that `SCRIP_TEST_POSTGRES_URL` names, which `cargo xtask test` starts for all of
//! them; or one of this process's own, which ends when the process does.
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use postgres::{Client, NoTls};

/// Runs until its standard input ends, which is when this process ends, however it does.
struct Cluster {
    url: String,
    _child: Option<Child>,
}

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| match std::env::var("SCRIP_TEST_POSTGRES_URL") {
        Ok(url) => Cluster { url, _child: None },
        Err(_) => start(&[]),
    })
}

fn start(settings: &[&str]) -> Cluster {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../xtask/postgres/cluster.sh");
    let mut child = Command::new("sh")
        .arg(script)
        .args(settings)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut url = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
    assert!(url.starts_with("postgres://"), "PostgreSQL did not start; it said why above");
    Cluster { url: url.trim_end().to_owned(), _child: Some(child) }
}

/// A schema of a test's own, gone when the test is.
pub struct Schema(String);

impl Schema {
    pub fn new() -> Schema {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("scrip_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        hand(&cluster().url).batch_execute(&format!("create schema {name}")).unwrap();
        Schema(name)
    }
    /// Where a store finds it.
    pub fn url(&self) -> String {
        let joint = if cluster().url.contains('?') { '&' } else { '?' };
        format!("{}{joint}options=-csearch_path%3D{}", cluster().url, self.0)
    }
    pub fn name(&self) -> &str {
        &self.0
    }
    /// A connection to change it by hand.
    pub fn hand(&self) -> Client {
        hand(&self.url())
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let _ = hand(&cluster().url).batch_execute(&format!("drop schema {} cascade", self.0));
    }
}

fn hand(url: &str) -> Client {
    Client::connect(url, NoTls).unwrap()
}
