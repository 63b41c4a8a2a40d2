//! The benchmarks. They are a program of `server`, which can reach the engine without a network; this only builds it,
//! optimised as far as it goes and without the typesetter, which no charge meets, and passes the arguments on.

use crate::postgres::{self, Cluster};
use crate::process::{Outcome, cargo, run as run_in_sight};

/// As an operator would set it for what is measured: the journal's indexes in memory, and a checkpoint so seldom that
/// none of them is written whole again and again.
const SETTINGS: &[&str] = &["shared_buffers=2GB", "max_wal_size=8GB"];

const BUILT: &[&str] = &["--profile", "production", "-p", "server", "--no-default-features"];

/// `arguments` go to the benchmark program as they are: it explains them itself.
pub fn run(arguments: &[&str]) -> Outcome {
    let is_of_servers = arguments.iter().any(|it| ["http", "soak"].contains(it));
    if is_of_servers {
        run_in_sight(cargo().arg("build").args(BUILT).args(["--bin", "scrip"]))?;
    }
    let mut bench = cargo();
    bench.arg("run").args(BUILT).args(["--example", "bench", "--"]).args(arguments);
    let is_on_postgres = arguments.iter().any(|it| ["postgres", "soak"].contains(it));
    let cluster = if is_on_postgres { Cluster::start(SETTINGS)? } else { None };
    if let Some(cluster) = &cluster {
        bench.env(postgres::VARIABLE, cluster.url());
    }
    run_in_sight(&mut bench)
}
