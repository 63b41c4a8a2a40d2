//! Every check a change must pass, cheapest first. All of them run even when one fails, so that one run tells all.

use std::time::{Duration, Instant};

use crate::process::{Outcome, Problem, cargo, command, run as run_in_sight};
use crate::{examples, openapi, schemathesis, setup, suite, tidy};

pub enum OnFailure {
    GoOn,
    Stop,
}

struct Step {
    name: &'static str,
    run: fn() -> Outcome,
}

/// One profile and one target directory: what a step has compiled, the next one uses.
const STEPS: &[Step] = &[
    Step { name: "format", run: format },
    Step { name: "tidy", run: tidy::run },
    Step { name: "lints", run: lints },
    Step { name: "dependencies", run: dependencies },
    Step { name: "tests", run: tests },
    Step { name: "openapi", run: openapi::check },
    Step { name: "examples", run: examples_of_documents },
    Step { name: "schemathesis", run: schemathesis::run },
];

struct Report {
    name: &'static str,
    took: Duration,
    outcome: Outcome,
}

pub fn run(on_failure: OnFailure) -> Outcome {
    let mut reports = Vec::new();
    for (index, step) in STEPS.iter().enumerate() {
        eprintln!("\n==== {} ({} of {}) ====", step.name, index + 1, STEPS.len());
        let report = timed(step);
        let has_failed = report.outcome.is_err();
        reports.push(report);
        if has_failed && matches!(on_failure, OnFailure::Stop) {
            break;
        }
    }
    summary(&reports)
}

fn timed(step: &Step) -> Report {
    let started = Instant::now();
    let outcome = (step.run)();
    let took = started.elapsed();
    match &outcome {
        Ok(()) => eprintln!("==== {}: passed in {} ====", step.name, shown(took)),
        Err(problem) => eprintln!("error: {problem}\n==== {}: FAILED after {} ====", step.name, shown(took)),
    }
    Report { name: step.name, took, outcome }
}

fn summary(reports: &[Report]) -> Outcome {
    eprintln!("\n==== summary ====");
    for report in reports {
        let ending = if report.outcome.is_ok() { "passed" } else { "FAILED" };
        eprintln!("{:<14} {ending:<7} {:>8}", report.name, shown(report.took));
    }
    let total: Duration = reports.iter().map(|report| report.took).sum();
    eprintln!("{:<14} {:<7} {:>8}", "all", "", shown(total));
    let failed: Vec<&str> = reports.iter().filter(|report| report.outcome.is_err()).map(|report| report.name).collect();
    if failed.is_empty() { Ok(()) } else { Err(Problem::new(format!("failed: {}", failed.join(", ")))) }
}

fn shown(took: Duration) -> String {
    format!("{}:{:02} min", took.as_secs() / 60, took.as_secs() % 60)
}

fn format() -> Outcome {
    run_in_sight(cargo().args(["fmt", "--all", "--check"]))
}

fn lints() -> Outcome {
    run_in_sight(cargo().args([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ]))
}

/// Licences, refused crates and sources. Advisories need more network than the checks may count on: see deny.toml.
fn dependencies() -> Outcome {
    let program = setup::cargo_deny()?;
    run_in_sight(command(program).args(["--log-level", "error", "check", "licenses", "bans", "sources"]))
}

fn tests() -> Outcome {
    suite::run(None)
}

fn examples_of_documents() -> Outcome {
    examples::run(&[])
}
