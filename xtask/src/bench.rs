//! The benchmarks. They are a program of `server`, which can reach the engine without a network; this only builds it
//! the way it is shipped and passes the arguments on.

use crate::postgres::{self, Cluster};
use crate::process::{Outcome, cargo, run as run_in_sight};

/// `arguments` go to the benchmark program as they are: it explains them itself.
pub fn run(arguments: &[&str]) -> Outcome {
    let mut bench = cargo();
    bench.args(["run", "--release", "-p", "server", "--example", "bench", "--"]).args(arguments);
    let cluster = if arguments.contains(&"postgres") { Cluster::start()? } else { None };
    if let Some(cluster) = &cluster {
        bench.env(postgres::VARIABLE, cluster.url());
    }
    run_in_sight(&mut bench)
}
