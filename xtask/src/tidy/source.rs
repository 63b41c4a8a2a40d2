//! The files that the rules are about: text that people of this house write.

use std::fs;
use std::path::Path;

use super::syntax::{self, Syntax, Unparsed};
use crate::process::{Outcome, Problem};

/// What a file is for. Rules for what is shipped do not all hold for what tries it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Role {
    Product,
    Test,
    /// Benchmarks and examples: programs that run the product and are not shipped.
    Trial,
}

#[derive(Debug)]
pub struct Source {
    /// From the repository's root, with `/`.
    pub path: String,
    pub text: String,
    pub role: Role,
    /// For Rust only.
    pub syntax: Option<Result<Syntax, Unparsed>>,
}

const EXTENSIONS: &[&str] =
    &["rs", "toml", "md", "sql", "sh", "json", "yml", "yaml", "html", "css", "js", "mjs", "ts", "txt", "py"];

/// Not ours to write: made by tools, or real material that tests measure.
const FOREIGN: &[&str] = &["target", "node_modules", "fixtures", "corpus", "vendor"];
const FOREIGN_FILES: &[&str] = &["Cargo.lock"];

/// Hidden directories that are ours.
const OURS: &[&str] = &[".ci", ".cargo", ".config", ".github"];

impl Source {
    pub fn new(path: &str, text: String) -> Source {
        let role = role_of(path);
        let syntax = path.ends_with(".rs").then(|| syntax::read(&text, role == Role::Test));
        Source { path: path.to_owned(), text, role, syntax }
    }

    /// The crate's directory and the path within it: `server`, `src/http/charges.rs`.
    pub fn crate_and_rest(&self) -> (&str, &str) {
        self.path.split_once('/').unwrap_or(("", &self.path))
    }

    /// Where a file under src/ stands in its crate's tree of modules: `["http", "charges"]`; empty for a crate's root.
    pub fn module(&self) -> Vec<&str> {
        let (_, rest) = self.crate_and_rest();
        let Some(inside) = rest.strip_prefix("src/") else { return Vec::new() };
        let mut parts: Vec<&str> = inside.trim_end_matches(".rs").split('/').collect();
        if matches!(parts.last(), Some(&"mod" | &"lib" | &"main")) {
            parts.pop();
        }
        parts
    }
}

fn role_of(path: &str) -> Role {
    let parts: Vec<&str> = path.split('/').collect();
    let is_test = parts.iter().any(|part| matches!(*part, "tests" | "tests.rs"));
    let is_trial = parts.iter().any(|part| matches!(*part, "benches" | "examples")) && !path.contains("/src/");
    match (is_test, is_trial) {
        (true, _) => Role::Test,
        (false, true) => Role::Trial,
        (false, false) => Role::Product,
    }
}

pub fn all(root: &Path) -> Outcome<Vec<Source>> {
    let mut sources = Vec::new();
    collect(root, "", &mut sources)
        .map_err(|error| Problem::new(format!("cannot read the sources under {}: {error}", root.display())))?;
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(sources)
}

fn collect(directory: &Path, prefix: &str, sources: &mut Vec<Source>) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.file_type()?.is_dir() {
            if is_ours(&name) {
                collect(&entry.path(), &format!("{path}/"), sources)?;
            }
        } else if is_text_of_ours(&path, &name) {
            sources.push(Source::new(&path, fs::read_to_string(entry.path())?));
        }
    }
    Ok(())
}

fn is_ours(directory: &str) -> bool {
    !FOREIGN.contains(&directory) && (!directory.starts_with('.') || OURS.contains(&directory))
}

fn is_text_of_ours(path: &str, name: &str) -> bool {
    let has_extension = name.rsplit_once('.').is_some_and(|(_, extension)| EXTENSIONS.contains(&extension));
    let is_script = path.starts_with(".ci/");
    (has_extension || is_script) && !FOREIGN_FILES.contains(&name)
}
