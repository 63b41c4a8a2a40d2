//! The tools: everything that is done to Scrip rather than by it, behind one command, `cargo xtask`.
//!
//! The tools know the repository and the command line of the built binary. They never import a crate of the
//! workspace: a tool that shared the product's code would agree with its mistakes.
//!
//! Invariant: every command does the set-up it needs, may be run again at any time, and ends with a plain sentence
//! when it cannot go on.
mod bench;
mod ci;
mod examples;
mod openapi;
mod postgres;
mod process;
mod schemathesis;
mod served;
mod setup;
mod suite;
mod tidy;

use std::process::ExitCode;

use process::{Outcome, Problem};

const HELP: &str = "\
cargo xtask: the tools of Scrip

Usage: cargo xtask <COMMAND> [OPTIONS]

Commands:
  setup                 Install what the tests and checks need, where it is missing
  test [--only NAME]    Set up, then run every test; or those of one crate, those whose name contains NAME, or those
                        of the pages in a browser (--only browser)
  ci [--fail-fast]      Every check a change must pass: format, lints, tidy, dependencies, tests, documents, API
  tidy                  Check the house's rules: import borders, sizes, names, one clock
  openapi [--check]     Write openapi.json from the code; with --check, only compare
  examples [FILE]...    Run the examples in README.md and docs/, or in these files, against a fresh server
  schemathesis          Test the HTTP API against its OpenAPI document with generated requests
  bench [ARGS]...       Run the benchmarks: engine, http, reads, servers; `cargo xtask bench --help` tells more
  soak [--minutes N]    Several nodes on one PostgreSQL under load, one after another killed; the ledger must verify
  help                  Show this text
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("\nerror: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Outcome {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["bench", rest @ ..] => bench::run(rest),
        ["soak", rest @ ..] => bench::run(&[&["soak"], rest].concat()),
        [] | ["help", ..] | ["-h" | "--help"] | [_, "-h" | "--help"] => {
            print!("{HELP}");
            Ok(())
        }
        ["setup"] => setup::for_everything(),
        ["test"] => suite::run(None),
        ["test", "--only", name] => suite::run(Some(name)),
        ["ci"] => ci::run(ci::OnFailure::GoOn),
        ["ci", "--fail-fast"] => ci::run(ci::OnFailure::Stop),
        ["tidy"] => tidy::run(),
        ["openapi"] => openapi::write(),
        ["openapi", "--check"] => openapi::check(),
        ["examples", files @ ..] => examples::run(files),
        ["schemathesis"] => schemathesis::run(),
        _ => Err(Problem::new(format!(
            "`cargo xtask {}` is not a command; `cargo xtask help` lists them",
            words.join(" ")
        ))),
    }
}
