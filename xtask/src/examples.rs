//! The documents' examples, run as a reader would run them, so that what stands in a document is true.
//!
//! A block fenced as ```` ```sh run ```` is run. The next fenced block of the document, when it is marked `text` or
//! `json`, is what it must print; without one it must only succeed. In what is expected, `[..]` stands for anything
//! within a line, and a line `...` for any lines.
//!
//! The blocks of a document are one session of bash with `set -euo pipefail`, at the repository's root, so a variable
//! set in one block is there in the next. A server of its own runs for the document: `$SCRIP_URL` is its address,
//! `$SCRIP_KEY` a key that may do everything, `$SCRATCH` a directory to write to; `scrip` is the one just built.
mod document;
mod expectation;

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{Outcome, Problem, command, read, root, write};
use crate::served::{Scratch, Served};
use document::Example;

/// Longer than any reader would wait; enforced by `timeout` of coreutils.
const SECONDS_MAX: &str = "120";

/// Precedes, in the session's output, the number of the example whose output follows. No program prints it by itself.
const MARK: &str = "\u{1e}example ";

/// Runs the examples of these documents, or of README.md and everything in docs/ when there are none.
pub fn run(files: &[&str]) -> Outcome {
    let documents =
        if files.is_empty() { all_documents()? } else { files.iter().map(|file| root().join(file)).collect() };
    let mut wrong = Vec::new();
    let mut count = 0;
    for path in &documents {
        let name = path.strip_prefix(root()).unwrap_or(path).display().to_string();
        let examples = document::examples(&read(path)?)
            .map_err(|error| Problem::new(format!("{name}:{}: {}", error.line, error.reason)))?;
        if examples.is_empty() {
            continue;
        }
        let found = check_document(&examples)?;
        println!("{name}: {} of {} examples do what they say", examples.len() - found.len(), examples.len());
        wrong.extend(found.into_iter().map(|mismatch| format!("{name}:{mismatch}")));
        count += examples.len();
    }
    if count == 0 {
        return Err(Problem::new("nothing to run: no document has a block fenced as ```sh run"));
    }
    if wrong.is_empty() {
        println!("{count} examples do what they say");
        return Ok(());
    }
    Err(Problem::new(format!("{} of {count} examples do not do what they say:\n\n{}", wrong.len(), wrong.join("\n\n"))))
}

fn all_documents() -> Outcome<Vec<PathBuf>> {
    let docs = root().join("docs");
    let list = std::fs::read_dir(&docs).map_err(|error| Problem::new(format!("cannot list docs/: {error}")))?;
    let mut documents: Vec<PathBuf> = list.filter_map(|entry| Some(entry.ok()?.path())).collect();
    documents.push(root().join("README.md"));
    documents.retain(|path| path.extension().is_some_and(|extension| extension == "md") && path.is_file());
    documents.sort();
    Ok(documents)
}

/// Runs one document's examples; each mismatch begins with the line of its block.
fn check_document(examples: &[Example]) -> Outcome<Vec<String>> {
    let scratch = Scratch::new()?;
    let script = scratch.path().join("session.sh");
    write(&script, session(examples))?;
    let served = Served::start()?;
    let output = reader(&script, scratch.path(), &served)
        .output()
        .map_err(|error| Problem::new(format!("cannot run bash: {error}")))?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let parts: Vec<&str> = printed.split(MARK).skip(1).map(without_number).collect();
    let reached = parts.len();
    let mut wrong = Vec::new();
    for (index, example) in examples.iter().enumerate() {
        let is_last_reached = index + 1 == reached;
        match parts.get(index) {
            None => wrong.push(format!("{}: not run, for an example before it failed", example.line)),
            Some(actual) if is_last_reached && !output.status.success() => {
                wrong.push(format!("{}: failed ({})\n{}", example.line, output.status, actual.trim_end()));
            }
            Some(actual) => wrong.extend(expectation::mismatch(example, actual)),
        }
    }
    Ok(wrong)
}

fn without_number(part: &str) -> &str {
    part.split_once('\n').map_or("", |(_, output)| output)
}

/// All examples as one script. What they print to standard error is part of what a reader sees.
fn session(examples: &[Example]) -> String {
    let mut script = String::from("set -euo pipefail\nexec 2>&1\n");
    for (index, example) in examples.iter().enumerate() {
        script.push_str(&format!("printf '%s%d\\n' '{MARK}' {index}\n{}\n", example.code));
    }
    script
}

fn reader(script: &Path, scratch: &Path, served: &Served) -> Command {
    let mut path = served.binaries().as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut bash = command("timeout");
    bash.args([SECONDS_MAX, "bash", "--noprofile", "--norc"])
        .arg(script)
        .env("PATH", path)
        .env("SCRATCH", scratch)
        .env("SCRIP_URL", served.url())
        .env("SCRIP_KEY", served.key());
    bash
}
