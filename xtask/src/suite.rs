//! The test suite, as one command that needs nothing beforehand.

use crate::postgres::{self, Cluster};
use crate::process::{Outcome, cargo, command, root, run as run_in_sight};
use crate::served::built;
use crate::setup;

/// The name that stands for the stories told in a browser.
const BROWSER: &str = "browser";

/// Runs all tests; or those of the crate that is called `only`; or those whose name contains `only`.
pub fn run(only: Option<&str>) -> Outcome {
    setup::for_tests()?;
    match only {
        Some(BROWSER) => browser(),
        Some(_) => crates(only),
        // One failure shall not hide another.
        None => {
            let of_crates = crates(None);
            browser().and(of_crates)
        }
    }
}

/// The pages, seen by a browser, one story after another: each has a server of its own.
fn browser() -> Outcome {
    let scrip = built()?;
    let mut node = command("node");
    node.args(["--test", "--test-concurrency=1", "stories/"])
        .current_dir(root().join("browser"))
        .env("SCRIP_BIN", scrip);
    run_in_sight(&mut node)
}

fn crates(only: Option<&str>) -> Outcome {
    // Stopped when this returns, also where a test failed.
    let cluster = Cluster::start(&[])?;
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
    let tested = run_in_sight(&mut test);
    match (&cluster, only) {
        (Some(cluster), None) => tested.and(stories_again(cluster)),
        _ => tested,
    }
}

/// What is about files, about several stores at once, or about none, and is told once.
const TOLD_ONCE: &[&str] = &[
    "chat::",
    "command_line::",
    "crash::",
    "description::",
    "limits::",
    "moving::",
    "nodes::",
    "on_",
    "oracle::",
    "plan::",
    "promises::",
    "provider::",
    "repository::",
    "server::",
];

/// The stories over HTTP once more, each server on a schema of its own.
fn stories_again(cluster: &Cluster) -> Outcome {
    let mut test = cargo();
    test.args(["test", "--workspace", "--test", "it", "--"]);
    for it in TOLD_ONCE {
        test.args(["--skip", it]);
    }
    test.env(postgres::VARIABLE, cluster.url()).env("SCRIP_TEST_STORE", "postgres");
    run_in_sight(&mut test)
}
