//! Where the house already breaks a rule of size. A debt is written down with its amount, and may only be paid off:
//! what grows past its record fails, and what shrinks below it must be recorded anew.
//!
//! The record is `xtask/ratchet.txt`, one debt a line: `function length, store/src/sqlite.rs, open = 84`.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Rule, Violation};
use crate::process::{Outcome, Problem, read};

const FILE: &str = "xtask/ratchet.txt";

const RATCHET: Rule = Rule {
    name: "ratchet",
    reason: "A record larger than what it records would let it grow back: write down the smaller number, or nothing.",
};

/// The violations that are left when those on record are taken off.
pub fn weigh(violations: Vec<Violation>, root: &Path) -> Outcome<Vec<Violation>> {
    let record = parse(&read(&root.join(FILE))?)?;
    Ok(weigh_against(violations, &record))
}

/// Name of the debt → line of the record, size.
type Record = BTreeMap<String, (usize, usize)>;

fn parse(text: &str) -> Outcome<Record> {
    let mut record = Record::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let entry = line.rsplit_once(" = ").and_then(|(key, size)| Some((key.to_owned(), size.trim().parse().ok()?)));
        let Some((key, size)) = entry else {
            return Err(Problem::new(format!("{FILE}:{}: not of the form `rule, file, item = size`", index + 1)));
        };
        record.insert(key, (index + 1, size));
    }
    Ok(record)
}

fn weigh_against(violations: Vec<Violation>, record: &Record) -> Vec<Violation> {
    let mut left = Vec::new();
    let mut unpaid: Record = record.clone();
    for violation in violations {
        let recorded = violation.measured.as_ref().and_then(|(key, _)| unpaid.remove(key));
        match (recorded, &violation.measured) {
            (Some((line, recorded)), Some((key, size))) if *size < recorded => {
                left.push(stale(line, format!("`{key}` has shrunk from {recorded} to {size}")));
            }
            (Some((_, recorded)), Some((_, size))) if *size == recorded => {}
            _ => left.push(violation),
        }
    }
    for (key, (line, _)) in unpaid {
        left.push(stale(line, format!("`{key}` is no longer too large")));
    }
    left
}

fn stale(line: usize, what: String) -> Violation {
    let path = FILE.to_owned();
    Violation { path, line, rule: RATCHET.name, what, reason: RATCHET.reason, measured: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(size: Option<usize>, record: &str, expected: &[&str]) {
        let violation = |size| Violation {
            path: "a.rs".to_owned(),
            line: 1,
            rule: "function length",
            what: format!("has {size}"),
            reason: "",
            measured: Some(("function length, a.rs, f".to_owned(), size)),
        };
        let left = weigh_against(size.map(violation).into_iter().collect(), &parse(record).unwrap());
        let left: Vec<&str> = left.iter().map(|violation| violation.rule).collect();
        assert_eq!(left, expected, "{size:?} against {record:?}");
    }

    #[test]
    fn a_debt_may_only_shrink() {
        let record = "# debts\n\nfunction length, a.rs, f = 80\n";
        check(Some(80), "", &["function length"]);
        check(Some(80), record, &[]);
        check(Some(81), record, &["function length"]);
        check(Some(79), record, &["ratchet"]);
        check(None, record, &["ratchet"]);
        check(None, "", &[]);
    }

    #[test]
    fn a_record_is_read_strictly() {
        assert!(parse("function length, a.rs, f: 80").is_err());
    }
}
