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

/// The modules of the server's stories that are about files, about several stores at once, or about none, and are told
/// once. What is skipped is skipped by a part of its name, so each word here is a whole module's (see the test below).
const TOLD_ONCE: &[&str] = &["command_line::", "crash::", "description::", "moving::", "nodes::", "provider::"];

/// The stories over HTTP once more, each server on a schema of its own: those of the server, for no others know of it.
fn stories_again(cluster: &Cluster) -> Outcome {
    let mut test = cargo();
    test.args(["test", "--package", "server", "--test", "it", "--"]);
    for it in TOLD_ONCE {
        test.args(["--skip", it]);
    }
    test.env(postgres::VARIABLE, cluster.url()).env("SCRIP_TEST_STORE", "postgres");
    run_in_sight(&mut test)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::TOLD_ONCE;
    use crate::process::root;

    #[test]
    fn what_is_told_once_is_whole_modules_and_hits_nothing_beside_them() {
        let mut names = Vec::new();
        tests_below(&root().join("server/tests/it"), "", &mut names);
        assert!(names.iter().any(|it| it.starts_with("money_crashes::")), "the stories are found: {names:?}");
        for word in TOLD_ONCE {
            assert!(word.ends_with("::"), "{word} is a part of a name");
            assert!(names.iter().any(|it| it.starts_with(word)), "{word} is no module of the stories");
            let beside: Vec<&String> = names.iter().filter(|it| it.contains(word) && !it.starts_with(word)).collect();
            assert!(beside.is_empty(), "{word} also skips {beside:?}");
        }
    }

    /// Every function of the files in `folder`, as the test runner names it; `main.rs` and `mod.rs` are their folder.
    fn tests_below(folder: &Path, module: &str, names: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let inner = if matches!(stem, "main" | "mod") { module.to_owned() } else { format!("{module}{stem}::") };
            if path.is_dir() {
                tests_below(&path, &inner, names);
            } else {
                names.extend(functions(&std::fs::read_to_string(&path).unwrap()).map(|it| format!("{inner}{it}")));
            }
        }
    }

    fn functions(source: &str) -> impl Iterator<Item = &str> {
        source.lines().filter_map(|line| {
            let (_, after) = line.trim_start().split_once("fn ").filter(|(before, _)| !before.contains('/'))?;
            after.split(['(', '<']).next()
        })
    }
}
