//! The benchmark: how fast credits are charged, over what an idle machine could do at best.
//!
//! `cargo xtask bench engine|http|reads|servers`, `cargo xtask soak`. Every figure stands beside a baseline measured in
//! the same run, because machines are shared and noisy: ratios travel, seconds do not. docs/PERFORMANCE.md reads the
//! results.
mod cluster;
mod engine;
mod fill;
mod http;
mod load;
mod plain;
mod reads;
mod servers;
mod soak;
mod table;

use std::process::ExitCode;
use std::str::FromStr;

const HELP: &str = "\
How fast credits are charged, beside what the machine could do at best.

Usage: cargo xtask bench engine [options]   charges through the service and the store, in this process
       cargo xtask bench http [options]     charges over HTTP, beside a server that only echoes
       cargo xtask bench reads [options]    balance, latest entries and 30-day usage, at growing numbers of entries
       cargo xtask soak [options]           three nodes on a PostgreSQL, one after another killed under load
       cargo xtask bench servers [options]  an hour of many running servers, settled

Options:
  --accounts N        accounts that are charged (engine 100000, http 10000)
  --stored N,N        engine: charges stored before measuring (1000000); reads: entries (1000000,5000000)
  --charges N         engine: charges for each figure (1000000)
  --groups N,N        engine: sizes of groups (1,32,256,2048,8192)
  --store postgres    engine: on PostgreSQL, beside the plain ways to use it; needs no other word
  --committers N,N    with it: groups that are committed at once (1,2,4); 0 for none of these
  --nodes N,N         with it: nodes of two committers on one database (3); 0 for none of these
  --skew even|zipf    engine: how charges fall on accounts (even)
  --directory PATH    engine: a store to make there, or to go on with (one that passes)
  --connections N,N   http: connections (1,16,64,256)
  --servers N         servers: how many run (100000)
  --each N,N          servers: in one account (1,10,100,1000)
  --hours N           servers: settled at once, as after a downtime (1)
  --seconds N         http, PostgreSQL: seconds for each figure (5); soak: how long, instead of minutes
  --minutes N         soak: how long (10)
  --kill-every N      soak: seconds between two kills (20)
  --clients N         soak: how many charge at once (6)
  --a-second N        soak: charges a second, all clients together (200)
";

/// What was asked for on the command line.
pub struct Options {
    words: Vec<String>,
}

impl Options {
    pub fn text(&self, name: &str) -> Option<&str> {
        let place = self.words.iter().position(|it| it.strip_prefix("--") == Some(name))?;
        self.words.get(place + 1).map(String::as_str)
    }
    /// A number, or `default`. Exits when it is not one.
    pub fn number<T: FromStr>(&self, name: &str, default: T) -> T {
        let Some(text) = self.text(name) else { return default };
        text.replace('_', "").parse().unwrap_or_else(|_| exit(&format!("--{name} must be a number")))
    }
    pub fn numbers(&self, name: &str, default: &[usize]) -> Vec<usize> {
        let Some(text) = self.text(name) else { return default.to_vec() };
        let number = |it: &str| it.replace('_', "").parse();
        text.split(',').map(number).collect::<Result<_, _>>().unwrap_or_else(|_| exit(&format!("--{name} is N,N,…")))
    }
    pub fn is(&self, name: &str, value: &str) -> bool {
        self.text(name) == Some(value)
    }
}

fn exit(why: &str) -> ! {
    eprintln!("{why}\n\n{HELP}");
    std::process::exit(2)
}

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    // Without a word, the engine.
    let is_named = words.first().is_some_and(|it| !it.starts_with('-'));
    let what = if is_named { words.remove(0) } else { "engine".to_owned() };
    if words.iter().any(|it| ["--help", "-h"].contains(&it.as_str())) {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let is_known = |it: &&String| HELP.contains(&format!("\n  {it} "));
    if let Some(unknown) = words.iter().filter(|it| it.starts_with("--")).find(|it| !is_known(it)) {
        exit(&format!("{unknown} is no option"));
    }
    let options = Options { words };
    match what.as_str() {
        "engine" if options.is("store", "postgres") => cluster::run(&options),
        "engine" => engine::run(&options),
        "http" => http::run(&options),
        "reads" => reads::run(&options),
        "servers" => servers::run(&options),
        "soak" => soak::run(&options),
        // The baseline of `http`, in a process of its own like the server it is compared with.
        "echo" => http::echo(),
        _ => exit("say what to measure: engine, http, reads, servers or soak"),
    }
    ExitCode::SUCCESS
}
