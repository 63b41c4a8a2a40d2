//! The test suite, as one command that needs nothing beforehand.

use crate::process::{Outcome, cargo, root, run as run_in_sight};
use crate::setup;

/// Runs all tests; or those of the crate that is called `only`; or those whose name contains `only`.
pub fn run(only: Option<&str>) -> Outcome {
    setup::for_tests()?;
    let mut test = cargo();
    match only {
        None => test.args(["test", "--workspace"]),
        Some(name) if root().join(name).join("Cargo.toml").is_file() => test.args(["test", "--package", name]),
        Some(name) => test.args(["test", "--workspace", "--", name]),
    };
    run_in_sight(&mut test)
}
