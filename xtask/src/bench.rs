//! The benchmarks. They are a program of `server`, which can reach the engine without a network; this only builds it
//! the way it is shipped and passes the arguments on.

use crate::postgres::{self, Cluster};
use crate::process::{Outcome, cargo, run as run_in_sight};

/// `arguments` go to the benchmark program as they are: it explains them itself.
pub fn run(arguments: &[&str]) -> Outcome {
    let is_of_servers = arguments.iter().any(|it| ["http", "soak"].contains(it));
    if is_of_servers {
        run_in_sight(cargo().args(["build", "--release", "-p", "server", "--bin", "scrip"]))?;
    }
    let mut bench = cargo();
    bench.args(["run", "--release", "-p", "server", "--example", "bench", "--"]).args(arguments);
    let is_on_postgres = arguments.iter().any(|it| ["postgres", "soak"].contains(it));
    let cluster = if is_on_postgres { Cluster::start()? } else { None };
    if let Some(cluster) = &cluster {
        bench.env(postgres::VARIABLE, cluster.url());
    }
    run_in_sight(&mut bench)
}
