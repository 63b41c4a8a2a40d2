//! The clock is read in one place.

use super::source::{Role, Source};
use super::syntax::{Kind, Syntax};
use super::{Rule, Violation};

const ONE_CLOCK: Rule = Rule {
    name: "one clock",
    reason: "Time is an argument, read in server/src/clock.rs alone: else tests and the sandbox cannot move it.",
};

/// The simulator is another program, with a clock of its own.
const CLOCKS: &[&str] = &["server/src/clock.rs", "stripe-sim/src/clock.rs"];

/// Measure how long something takes, for an operator to see or to stop a foreign program; never what a price is.
const STOPWATCHES: &[&str] =
    &["server/src/http/gauges.rs", "server/src/turnstile/committer.rs", "meters/src/repository/git.rs", "xtask/"];

/// Types that tell what time it is, in the standard library and in what is usually taken for it.
const TELLERS: &[&str] = &["SystemTime", "Timestamp", "Zoned", "Utc", "Local", "OffsetDateTime"];

pub fn check(source: &Source, syntax: &Syntax) -> Vec<Violation> {
    if CLOCKS.contains(&&*source.path) || source.role == Role::Trial {
        return Vec::new();
    }
    let may_measure = source.role == Role::Test || STOPWATCHES.iter().any(|path| source.path.starts_with(path));
    let mut violations = Vec::new();
    for fact in &syntax.facts {
        let Kind::Path(path) = &fact.kind else { continue };
        let [.., teller, method] = path.as_slice() else { continue };
        let may = may_measure || fact.in_test;
        let is_reading = TELLERS.contains(&teller.as_str()) || (teller == "Instant" && !may);
        if is_reading && (method == "now" || method == "now_utc" || method == "now_local") {
            violations.push(Violation::new(
                source,
                fact.line,
                &ONE_CLOCK,
                format!("reads the clock: `{teller}::{method}`"),
            ));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_clock_reads_the_clock() {
        fn check_one(path: &str, text: &str, expected: usize) {
            let source = Source::new(path, format!("fn f() {{ {text} }}"));
            let found = check(&source, source.syntax.as_ref().unwrap().as_ref().unwrap());
            assert_eq!(found.len(), expected, "in {path}: {text}");
        }
        check_one("server/src/clock.rs", "std::time::SystemTime::now()", 0);
        check_one("server/src/service/charge.rs", "SystemTime::now()", 1);
        check_one("server/src/service/charge.rs", "jiff::Timestamp::now()", 1);
        check_one("server/src/service/charge.rs", "vec![SystemTime::now()]", 1);
        check_one("server/src/service/charge.rs", "x.map_or_else(Instant::now, f)", 1);
        check_one("server/src/service/charge.rs", "clock.now()", 0);
        check_one("server/src/http/gauges.rs", "Instant::now()", 0);
        check_one("server/src/http/gauges.rs", "SystemTime::now()", 1);
        check_one("server/tests/it/load.rs", "Instant::now()", 0);
        check_one("meters/benches/speed.rs", "SystemTime::now()", 0);
    }
}
