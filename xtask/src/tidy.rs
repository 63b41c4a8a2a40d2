//! The house's rules that a program can check, each with its reason: what the compiler and clippy cannot know.
//!
//! Runs as a command and as a test. A rule is a function from sources to violations, and knows nothing of how they
//! were read. Where the house already breaks a rule of size, `ratchet` records by how much; that may only shrink.
mod borders;
mod clock;
mod manners;
mod names;
mod ratchet;
mod reach;
mod sizes;
mod source;
mod syntax;
mod text;

use std::fmt;
use std::path::Path;

use crate::process::{Outcome, Problem, root};
use source::Source;

/// Something that breaks a rule.
#[derive(Clone, Debug)]
struct Violation {
    path: String,
    /// From 1.
    line: usize,
    rule: &'static str,
    what: String,
    /// Why the rule is there, in one sentence.
    reason: &'static str,
    /// For rules of size: what the ratchet calls it, and how large it is.
    measured: Option<(String, usize)>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}\n    {}", self.path, self.line, self.rule, self.what, self.reason)
    }
}

impl Violation {
    fn new(source: &Source, line: usize, rule: &Rule, what: impl Into<String>) -> Violation {
        let path = source.path.clone();
        Violation { path, line, rule: rule.name, what: what.into(), reason: rule.reason, measured: None }
    }
}

/// What a rule is called in reports, and its reason.
struct Rule {
    name: &'static str,
    reason: &'static str,
}

pub fn run() -> Outcome {
    let violations = violations(&root())?;
    if violations.is_empty() {
        println!("tidy");
        return Ok(());
    }
    for violation in &violations {
        println!("{violation}");
    }
    Err(Problem::new(format!("the house is not tidy: {} violations (above), each with its reason", violations.len())))
}

fn violations(root: &Path) -> Outcome<Vec<Violation>> {
    let sources = source::all(root)?;
    let mut violations = Vec::new();
    for source in &sources {
        violations.extend(text::check(source));
        if let Some(Err(error)) = &source.syntax {
            violations.push(Violation::new(source, error.line, &UNREADABLE, &error.reason));
        }
        if let Some(Ok(syntax)) = &source.syntax {
            violations.extend(borders::check(source, syntax));
            violations.extend(clock::check(source, syntax));
            violations.extend(manners::check(source, syntax));
            violations.extend(names::check(source, syntax));
            violations.extend(sizes::check(source, syntax));
        }
    }
    violations.extend(borders::check_manifests(&sources));
    violations.extend(reach::check(&sources));
    let mut violations = ratchet::weigh(violations, root)?;
    violations.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    Ok(violations)
}

const UNREADABLE: Rule = Rule { name: "unreadable", reason: "What cannot be parsed cannot be checked." };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        let violations = violations(&root()).unwrap();
        let list: Vec<String> = violations.iter().map(Violation::to_string).collect();
        assert!(list.is_empty(), "{} violations:\n{}", list.len(), list.join("\n"));
    }
}
