//! The test suite, as one command that needs nothing beforehand.

use crate::postgres::{self, Cluster};
use crate::process::{Outcome, cargo, root, run as run_in_sight};
use crate::setup;

/// Runs all tests; or those of the crate that is called `only`; or those whose name contains `only`.
pub fn run(only: Option<&str>) -> Outcome {
    setup::for_tests()?;
    // Stopped when this returns, also where a test failed.
    let cluster = Cluster::start()?;
    let mut test = cargo();
    if let Some(cluster) = &cluster {
        test.env(postgres::VARIABLE, cluster.url());
    }
    // One failure shall not hide another.
    test.args(["test", "--no-fail-fast"]);
    match only {
        None => test.arg("--workspace"),
        Some(name) if root().join(name).join("Cargo.toml").is_file() => test.args(["--package", name]),
        Some(name) => test.args(["--workspace", "--", name]),
    };
    run_in_sight(&mut test)
}
