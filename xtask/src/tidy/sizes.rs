//! How large things may grow.

use super::source::{Role, Source};
use super::syntax::{Kind, Syntax};
use super::{Rule, Violation};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const ARGUMENTS_MAX: usize = 5;

const FILE: Rule = Rule {
    name: "file length",
    reason: "A file is one thought, and 500 lines without tests is as much of one as can be held in the head.",
};
const FUNCTION: Rule = Rule {
    name: "function length",
    reason: "A function of more than 70 lines does not fit on a screen, and does more than its name says.",
};
const ARGUMENTS: Rule =
    Rule { name: "arguments", reason: "More than five arguments are a value that has not been given its name yet." };

pub fn check(source: &Source, syntax: &Syntax) -> Vec<Violation> {
    let mut violations = Vec::new();
    if source.role == Role::Product && FILE_LINES_MAX < syntax.product_lines {
        violations.push(measured(source, 1, &FILE, "the file", syntax.product_lines));
    }
    for fact in &syntax.facts {
        let Kind::Function { name, lines, arguments } = &fact.kind else { continue };
        // A test may be one long table.
        if FUNCTION_LINES_MAX < *lines && !fact.in_test {
            violations.push(measured(source, fact.line, &FUNCTION, name, *lines));
        }
        if ARGUMENTS_MAX < *arguments {
            violations.push(measured(source, fact.line, &ARGUMENTS, name, *arguments));
        }
    }
    violations
}

fn measured(source: &Source, line: usize, rule: &Rule, item: &str, size: usize) -> Violation {
    let unit = if rule.name == ARGUMENTS.name { "arguments" } else { "lines" };
    let mut violation = Violation::new(source, line, rule, format!("`{item}` has {size} {unit}"));
    let key = format!("{}, {}, {item}", rule.name, source.path);
    violation.measured = Some((key, size));
    violation
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(path: &str, text: &str, expected: &[&str]) {
        let source = Source::new(path, text.to_owned());
        let found = check(&source, source.syntax.as_ref().unwrap().as_ref().unwrap());
        let found: Vec<&str> = found.iter().map(|violation| violation.what.as_str()).collect();
        assert_eq!(found, expected, "in {path}");
    }

    #[test]
    fn sizes() {
        let function = |lines: usize| format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2));
        check_one("store/src/a.rs", &function(70), &[]);
        check_one("store/src/a.rs", &function(71), &["`f` has 71 lines"]);
        check_one("store/src/a.rs", &format!("#[test]\n{}", function(71)), &[]);
        check_one("store/src/a.rs", "fn f(a: A, b: A, c: A, d: A, e: A) {}", &[]);
        check_one("store/src/a.rs", "fn f(&self, a: A, b: A, c: A, d: A, e: A) {}", &["`f` has 6 arguments"]);
        check_one("store/src/a.rs", &"mod a {}\n".repeat(501), &["`the file` has 501 lines"]);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "mod a {}\n".repeat(100));
        check_one("store/src/a.rs", &format!("{}{tests}", "mod a {}\n".repeat(450)), &[]);
        check_one("store/src/tests.rs", &"mod a {}\n".repeat(501), &[]);
    }
}
