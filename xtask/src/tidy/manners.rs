//! What is not done in this house.

use super::source::{Role, Source};
use super::syntax::{Fact, Kind, Syntax};
use super::{Rule, Violation};

const PURPOSE: Rule =
    Rule { name: "purpose", reason: "A reader who opens a file learns first what it is for: begin it with `//!`." };
const FINISHED: Rule = Rule {
    name: "finished",
    reason: "What is not written yet is not there yet; a program must not find that out from its user.",
};
const UNWRAP: Rule = Rule {
    name: "unwrap",
    reason: "A fault is answered with `?`, and a bug is explained with `expect(\"why it cannot be\")`.",
};
const IGNORED: Rule =
    Rule { name: "ignored test", reason: "A test that does not run proves nothing and is believed all the same." };
const SLEEP: Rule = Rule {
    name: "sleep in a test",
    reason: "A test that waits is slow when all is well and fails on a busy one: move the clock, or await an event.",
};
const FLOAT: Rule =
    Rule { name: "floating point", reason: "Credits and money are exact: integers and rationals, rounded once." };
const ONE_WAY: Rule = Rule {
    name: "comparison",
    reason: "Comparisons point one way, as numbers stand on a line: `a < b`, never `b > a`.",
};
const SQL_CASE: Rule = Rule { name: "sql case", reason: "SQL is read like the rest of the code: in lower case." };

/// How a statement begins; in upper case, it is shouted.
const VERBS: &[&str] = &["select", "insert", "update", "delete", "create", "alter", "drop", "pragma", "with", "begin"];

pub fn check(source: &Source, syntax: &Syntax) -> Vec<Violation> {
    let mut violations: Vec<Violation> = syntax.facts.iter().filter_map(|fact| check_fact(source, fact)).collect();
    if !syntax.opens_with_its_purpose {
        violations.push(Violation::new(source, 1, &PURPOSE, "does not begin with what it is for"));
    }
    violations
}

fn check_fact(source: &Source, fact: &Fact) -> Option<Violation> {
    let is_product = source.role == Role::Product && !fact.in_test;
    let found = |rule: &Rule, what: String| Some(Violation::new(source, fact.line, rule, what));
    match &fact.kind {
        Kind::Macro(name) if matches!(name.as_str(), "todo" | "unimplemented") => {
            found(&FINISHED, format!("`{name}!`"))
        }
        Kind::MethodCall(name) if name == "unwrap" && is_product => {
            found(&UNWRAP, "`unwrap()` outside tests".to_owned())
        }
        Kind::Ignored => found(&IGNORED, "`#[ignore]`".to_owned()),
        Kind::Path(path) if fact.in_test && path.last().is_some_and(|last| last == "sleep") => {
            found(&SLEEP, format!("`{}`", path.join("::")))
        }
        Kind::Text(text) if fact.in_test && text.contains("pg_sleep") => {
            found(&SLEEP, "`pg_sleep` in the database".to_owned())
        }
        Kind::Float if source.path.starts_with("billing/") => found(&FLOAT, "a floating-point number".to_owned()),
        Kind::Backwards => found(&ONE_WAY, "`>`".to_owned()),
        Kind::Text(text) if is_product && is_shouted_sql(text) => {
            found(&SQL_CASE, format!("`{}…`", text.trim().chars().take(20).collect::<String>()))
        }
        _ => None,
    }
}

fn is_shouted_sql(text: &str) -> bool {
    let mut words = text.split_whitespace();
    let first = words.next().unwrap_or_default();
    words.next().is_some() && VERBS.iter().any(|verb| verb.to_uppercase() == first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(path: &str, text: &str, expected: &[&str]) {
        let source = Source::new(path, format!("//! Purpose.\n{text}"));
        let found = check(&source, source.syntax.as_ref().unwrap().as_ref().unwrap());
        let found: Vec<&str> = found.iter().map(|violation| violation.rule).collect();
        assert_eq!(found, expected, "in {path}: {text}");
    }

    #[test]
    fn manners() {
        check_one("store/src/a.rs", "fn f() { todo!() }", &["finished"]);
        check_one("store/src/a.rs", "fn f() { x.unwrap(); }", &["unwrap"]);
        check_one("store/src/a.rs", "fn f() { assert_eq!(x.unwrap(), 1); }", &["unwrap"]);
        check_one("store/src/a.rs", "#[test]\nfn f() { x.unwrap(); }", &[]);
        check_one("store/src/a.rs", "#[cfg(not(test))]\nfn f() { x.unwrap(); }", &["unwrap"]);
        check_one("store/src/a.rs", "impl A {\n#[cfg(test)]\nfn f() { x.unwrap(); } }", &[]);
        check_one("store/tests/it/a.rs", "#[test]\n#[ignore]\nfn f() {}", &["ignored test"]);
        check_one("store/tests/it/a.rs", "fn f() { std::thread::sleep(x) }", &["sleep in a test"]);
        check_one("store/tests/it/a.rs", "use tokio::time::sleep;", &["sleep in a test"]);
        check_one("store/tests/it/a.rs", concat!("fn f() { x(\"pg_", "sleep\") }"), &["sleep in a test"]);
        check_one("server/src/a.rs", "use tokio::time::sleep;", &[]);
        check_one("billing/src/a.rs", "fn f(x: f64) -> bool { x < 0.5 }", &["floating point", "floating point"]);
        check_one("meters/src/a.rs", "fn f(x: f64) -> bool { x < 0.5 }", &[]);
        check_one("meters/src/a.rs", "fn f(x: u8) -> bool { x > 1 }", &["comparison"]);
        check_one("meters/tests/it/a.rs", "fn f(x: u8) { assert!(x >= 1) }", &["comparison"]);
        check_one("meters/src/a.rs", "fn f(x: Vec<u8>) -> bool { x.len() >> 1 <= 1 }", &[]);
        check_one("store/src/a.rs", "const Q: &str = \"SELECT 1\";", &["sql case"]);
        check_one("store/src/a.rs", "const Q: &str = \"select 1\";", &[]);
        check_one("store/src/a.rs", "/// SELECT nothing.\nconst Q: u8 = 1;", &[]);
    }

    #[test]
    fn a_file_says_what_it_is_for() {
        let source = Source::new("store/src/a.rs", "#![allow(x)]\n//! Late.\n".to_owned());
        let found = check(&source, source.syntax.as_ref().unwrap().as_ref().unwrap());
        assert_eq!(found[0].rule, "purpose");
    }
}
