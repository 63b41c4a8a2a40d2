//! What is looked for in lines of text, in whatever language.

use super::source::{Role, Source};
use super::{Rule, Violation};

const LINE_MAX: usize = 120;

const LINE: Rule =
    Rule { name: "line length", reason: "Two files fit side by side on a screen when lines end at 120." };
const MARKER: Rule = Rule {
    name: "marker",
    reason: "Nobody comes back to it: do it, or file it as an issue and say in the comment how things are.",
};
const MACHINE: Rule = Rule {
    name: "machine path",
    reason: "A path of one machine is wrong on every other: start from the repository's root or a temporary directory.",
};
const HOST: Rule = Rule {
    name: "registry host",
    reason: "Packages are named, not where they are fetched from: that is for each machine's own configuration to say.",
};
const SQL_CASE: Rule = Rule { name: "sql case", reason: "SQL is read like the rest of the code: in lower case." };

const MEASURED: &[&str] = &["rs", "sql", "sh", "toml", "py"];
const MARKERS: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];
const COMMENTS: &[&str] = &["//", "#", "--", "<!--", "/*"];

/// First directories of paths that exist on somebody's machine only.
const HOMES: &[&str] = &["home", "root", "Users", "work"];

/// Name and domain, apart, so that this file passes too.
const HOSTS: &[(&str, &str)] = &[
    ("crates", "io"),
    ("pypi", "org"),
    ("pythonhosted", "org"),
    ("npmjs", "org"),
    ("npmjs", "com"),
    ("debian", "org"),
];

const KEYWORDS: &[&str] = &[
    "SELECT",
    "FROM",
    "WHERE",
    "INSERT",
    "INTO",
    "VALUES",
    "UPDATE",
    "SET",
    "DELETE",
    "CREATE",
    "TABLE",
    "INDEX",
    "VIEW",
    "ALTER",
    "DROP",
    "PRIMARY",
    "KEY",
    "NOT",
    "NULL",
    "AND",
    "OR",
    "ON",
    "CONFLICT",
    "DO",
    "NOTHING",
    "RETURNING",
    "ORDER",
    "GROUP",
    "BY",
    "LIMIT",
    "JOIN",
    "LEFT",
    "INTEGER",
    "BIGINT",
    "TEXT",
    "BLOB",
    "BYTEA",
    "BOOLEAN",
    "UNIQUE",
    "REFERENCES",
    "CHECK",
    "DEFAULT",
    "WITHOUT",
    "STRICT",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "PRAGMA",
    "AS",
    "IN",
    "IS",
    "EXISTS",
];

pub fn check(source: &Source) -> Vec<Violation> {
    let extension = source.path.rsplit('.').next().unwrap_or_default();
    let is_measured = MEASURED.contains(&extension);
    let mut violations = Vec::new();
    for (index, line) in source.text.lines().enumerate() {
        let mut found = |rule: &Rule, what: String| violations.push(Violation::new(source, index + 1, rule, what));
        let length = line.chars().count();
        if is_measured && LINE_MAX < length && !is_data_of_test(source, line) {
            found(&LINE, format!("{length} characters"));
        }
        if let Some(marker) = marker_in(line) {
            found(&MARKER, format!("`{marker}`"));
        }
        if let Some(home) = machine_path_in(line) {
            found(&MACHINE, format!("a path under `/{home}`"));
        }
        if let Some(host) =
            HOSTS.iter().map(|(name, domain)| format!("{name}.{domain}")).find(|host| line.contains(host))
        {
            found(&HOST, format!("`{host}`"));
        }
        if extension == "sql"
            && let Some(keyword) = shouted_in(line)
        {
            found(&SQL_CASE, format!("`{keyword}`"));
        }
    }
    violations
}

/// A row of a test's table may be as long as its data: broken up, it would no longer be read as a row.
fn is_data_of_test(source: &Source, line: &str) -> bool {
    source.role == Role::Test && line.contains('"')
}

/// A marker in a comment; elsewhere it may be what the program is about.
fn marker_in(line: &str) -> Option<&'static str> {
    let comment = COMMENTS.iter().filter_map(|start| line.find(start)).min()?;
    let mut words = line[comment..].split(|c: char| !c.is_alphanumeric() && c != '_');
    words.find_map(|word| MARKERS.iter().find(|marker| **marker == word).copied())
}

fn machine_path_in(line: &str) -> Option<&'static str> {
    HOMES.iter().copied().find(|home| {
        let path = format!("/{home}/");
        line.match_indices(&path).any(|(at, _)| {
            let before = line[..at].chars().next_back();
            before.is_none_or(|c| c.is_whitespace() || "\"'`(=:[<,".contains(c))
        })
    })
}

fn shouted_in(line: &str) -> Option<&'static str> {
    let code = line.split("--").next().unwrap_or_default();
    // Every second part stands in quotes.
    let mut words = code.split('\'').step_by(2).flat_map(|part| part.split(|c: char| !c.is_alphanumeric() && c != '_'));
    words.find_map(|word| KEYWORDS.iter().find(|keyword| **keyword == word).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(path: &str, line: &str, expected: &[&str]) {
        let found = check(&Source::new(path, line.to_owned()));
        let found: Vec<&str> = found.iter().map(|violation| violation.rule).collect();
        assert_eq!(found, expected, "in {path}: {line}");
    }

    #[test]
    fn lines() {
        check_one("a.sql", &"é".repeat(120), &[]);
        check_one("a.sql", &"é".repeat(121), &["line length"]);
        check_one("a.md", &"é".repeat(121), &[]);
        check_one("a/tests/it/a.rs", &format!("\"{}\"", "é".repeat(121)), &[]);
        check_one("a/tests/it/a.rs", &"é".repeat(121), &["line length"]);
        let marker = MARKERS[0];
        check_one("a.toml", &format!("a = 1 # {marker}: more"), &["marker"]);
        check_one("a.toml", &format!("a = \"{marker}\""), &[]);
        let path = format!("/{}/x", HOMES[0]);
        check_one("a.md", &format!("see `{path}`"), &["machine path"]);
        check_one("a.md", &path, &["machine path"]);
        check_one("a.md", &format!("see https://example.com{path}"), &[]);
        let (name, domain) = HOSTS[0];
        check_one("a.json", &format!("https://static.{name}.{domain}/x"), &["registry host"]);
        check_one("a.md", &format!("{name} and {domain}"), &[]);
    }

    #[test]
    fn sql() {
        check_one("a.sql", "select 1 from t; -- SELECT is not said here", &[]);
        check_one("a.sql", "insert into t values ('SELECT');", &[]);
        check_one("a.sql", "create TABLE t (a bigint);", &["sql case"]);
    }
}
