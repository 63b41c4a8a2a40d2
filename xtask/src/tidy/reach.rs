//! Every Rust file is compiled by somebody.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Source;
use super::syntax::Kind;
use super::{Rule, Violation};

const DEAD_FILE: Rule = Rule {
    name: "dead file",
    reason: "No `mod` line leads to it, so it is not compiled, not tested and not true for long.",
};

pub fn check(sources: &[Source]) -> Vec<Violation> {
    let rust: BTreeMap<&str, &Source> =
        sources.iter().filter(|source| source.syntax.is_some()).map(|source| (source.path.as_str(), source)).collect();
    let mut reached = BTreeSet::new();
    let mut next: Vec<String> = rust.keys().filter(|path| is_root(path)).map(|path| (*path).to_owned()).collect();
    while let Some(path) = next.pop() {
        if let Some(source) = rust.get(path.as_str())
            && reached.insert(path)
        {
            next.extend(children(source));
        }
    }
    let dead = rust.values().filter(|source| !reached.contains(&source.path));
    dead.map(|source| Violation::new(source, 1, &DEAD_FILE, "is not part of any crate")).collect()
}

/// Whether cargo finds it by itself: `src/lib.rs`, `src/bin/x.rs`, `tests/x.rs`, `tests/x/main.rs` and the like.
fn is_root(path: &str) -> bool {
    let Some((_, rest)) = path.split_once('/') else { return false };
    let parts: Vec<&str> = rest.split('/').collect();
    match parts.as_slice() {
        ["build.rs"] | ["src", "lib.rs" | "main.rs"] | ["src", "bin", _] => true,
        ["tests" | "benches" | "examples", _] | ["tests" | "benches" | "examples", _, "main.rs"] => true,
        // A crate of its own within a crate, such as a fuzz target.
        [_, "src", "lib.rs" | "main.rs"] | ["fuzz", "fuzz_targets", _] => true,
        _ => false,
    }
}

/// The files that a file's `mod` lines may mean.
fn children(source: &Source) -> Vec<String> {
    let Some(Ok(syntax)) = &source.syntax else { return Vec::new() };
    let (directory, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    let stem = file.trim_end_matches(".rs");
    let owns_directory = matches!(stem, "mod" | "lib" | "main") || is_root(&source.path);
    let below = if owns_directory { directory.to_owned() } else { format!("{directory}/{stem}") };
    let mut children = Vec::new();
    for fact in &syntax.facts {
        let Kind::ModuleFile { name, path, inside } = &fact.kind else { continue };
        let place = inside.iter().fold(below.clone(), |place, module| format!("{place}/{module}"));
        match path {
            Some(path) if inside.is_empty() => children.push(normal(&format!("{directory}/{path}"))),
            Some(path) => children.push(normal(&format!("{place}/{path}"))),
            None => children.extend([format!("{place}/{name}.rs"), format!("{place}/{name}/mod.rs")]),
        }
    }
    children
}

/// Without `.` and `..`.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_files(files: &[(&str, &str)], expected: &[&str]) {
        let sources: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, (*text).to_owned())).collect();
        let dead: Vec<String> = check(&sources).into_iter().map(|violation| violation.path).collect();
        assert_eq!(dead, expected, "{files:?}");
    }

    #[test]
    fn dead_files() {
        check_files(&[("a/src/lib.rs", "mod b;"), ("a/src/b.rs", "")], &[]);
        check_files(&[("a/src/lib.rs", ""), ("a/src/b.rs", "")], &["a/src/b.rs"]);
        check_files(&[("a/src/lib.rs", "mod b;"), ("a/src/b.rs", "mod c;"), ("a/src/b/c.rs", "")], &[]);
        check_files(&[("a/src/lib.rs", "mod b;"), ("a/src/b/mod.rs", "mod c;"), ("a/src/b/c.rs", "")], &[]);
        check_files(&[("a/src/lib.rs", "mod b { mod c; }"), ("a/src/b/c.rs", "")], &[]);
        check_files(&[("a/src/lib.rs", "#[path = \"../x/c.rs\"]\nmod b;"), ("a/x/c.rs", "")], &[]);
        check_files(&[("a/tests/it/main.rs", "mod b;"), ("a/tests/it/b.rs", ""), ("a/tests/c.rs", "")], &[]);
        check_files(&[("a/tests/it.rs", "mod b;"), ("a/tests/b.rs", "")], &[]);
        check_files(&[("a/tests/it/b.rs", "")], &["a/tests/it/b.rs"]);
    }
}
