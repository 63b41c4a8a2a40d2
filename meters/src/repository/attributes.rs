//! `.gitattributes`: what a repository says about its own files.
//!
//! Must never know: languages, counting. Invariant: as in Git, a file in a deeper folder overrides one above it, and a
//! later line an earlier one. Files outside the tree (global or system attributes) are never read, and neither are
//! macros (`[attr]…`): what a rule says of a file stands in its own line.
//!
//! A path is held against the rules of the folders it is in, and no others; names without wildcards are looked up. What
//! is left, wildcards times files, is counted and has a limit: as many of both as fit into an archive are hours.

mod pattern;

use std::collections::HashMap;
use std::sync::Arc;

use super::directory::readable;
use crate::MeasureError;
use pattern::Pattern;

/// Rules in all `.gitattributes` of a tree.
const RULES_MAX: usize = 10_000;
/// Bytes of their patterns.
const PATTERNS_BYTES_MAX: usize = 1 << 20;
/// Git passes over longer lines.
const LINE_BYTES_MAX: usize = 2_048;
/// What ends a pattern, and stands between attributes; other white space is a part of names.
const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];

/// What the attributes say about one path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub vendored: Option<bool>,
    pub generated: Option<bool>,
    pub documentation: Option<bool>,
    pub detectable: Option<bool>,
    /// Shared with all that are told the same.
    pub language: Option<Arc<str>>,
}

/// How many comparisons may still be made.
#[derive(Debug)]
pub struct Steps {
    max: u64,
    left: u64,
}

impl Steps {
    pub fn up_to(max: u64) -> Self {
        Self { max, left: max }
    }

    fn spend(&mut self, steps: u64) -> Result<(), MeasureError> {
        let what = "comparisons of paths with .gitattributes";
        self.left = self.left.checked_sub(steps).ok_or(MeasureError::RepositoryTooLarge { what, max: self.max })?;
        Ok(())
    }
}

/// All rules of a tree.
#[derive(Debug, Default)]
pub struct Attributes {
    /// By the folder of their file: empty, or ending in `/`.
    folders: HashMap<String, Folder>,
    /// Bytes of the longest of these.
    folder_bytes: usize,
    rules: usize,
    pattern_bytes: usize,
}

/// The rules of one file, each under its line.
#[derive(Debug, Default)]
struct Folder {
    rules: Vec<Rule>,
    /// By a name at any depth, and by a path from here.
    names: HashMap<String, Vec<usize>>,
    paths: HashMap<String, Vec<usize>>,
    name_patterns: Vec<(Pattern, usize)>,
    path_patterns: Vec<(Pattern, usize)>,
}

impl Attributes {
    /// Takes in a file, by its folder.
    pub fn add(&mut self, folder: &str, content: &[u8]) -> Result<(), MeasureError> {
        let mut taken = Folder::default();
        // As the paths are that it is held against.
        let text = readable(content);
        let lines = text.strip_prefix('\u{feff}').unwrap_or(&text).lines();
        for line in lines.filter(|line| line.len() <= LINE_BYTES_MAX) {
            let Some((pattern, attributes)) = split(line) else { continue };
            let rule = parse(attributes);
            // Most attributes are about other things (text, diff).
            if rule == Rule::default() || !taken.admit(&pattern, rule) {
                continue;
            }
            self.rules += 1;
            self.pattern_bytes += pattern.len();
            let limits = [
                ("rules in .gitattributes", self.rules, RULES_MAX),
                ("bytes of patterns in .gitattributes", self.pattern_bytes, PATTERNS_BYTES_MAX),
            ];
            if let Some((what, _, max)) = limits.into_iter().find(|(_, found, max)| max < found) {
                return Err(MeasureError::RepositoryTooLarge { what, max: max as u64 });
            }
        }
        if !taken.rules.is_empty() {
            self.folder_bytes = self.folder_bytes.max(folder.len());
            self.folders.insert(folder.to_owned(), taken);
        }
        Ok(())
    }

    /// What all matching rules say together.
    pub fn of_path(&self, path: &str, steps: &mut Steps) -> Result<Said, MeasureError> {
        let mut said = Said::default();
        if self.folders.is_empty() {
            return Ok(said);
        }
        // Weakest first: from the top to the file's own folder.
        let folders = std::iter::once(0).chain(path.match_indices('/').map(|(slash, _)| slash + 1));
        for at in folders.take_while(|at| *at <= self.folder_bytes) {
            steps.spend(1 + at as u64 / 8)?;
            let Some(folder) = self.folders.get(&path[..at]) else { continue };
            for rule in folder.matching(&path[at..], steps)? {
                folder.rules[rule].apply(&mut said);
            }
        }
        Ok(said)
    }
}

impl Folder {
    /// Takes in a rule; false where its pattern is none, or matches no file.
    fn admit(&mut self, pattern: &str, rule: Rule) -> bool {
        // A pattern for folders only (`dir/`) matches nothing, as in Git.
        if pattern.ends_with('/') {
            return false;
        }
        let is_anchored = pattern.contains('/');
        let Some(read) = Pattern::read(pattern.strip_prefix('/').unwrap_or(pattern)) else { return false };
        let line = self.rules.len();
        self.rules.push(rule);
        let (literals, patterns) = if is_anchored {
            (&mut self.paths, &mut self.path_patterns)
        } else {
            (&mut self.names, &mut self.name_patterns)
        };
        match read.literal() {
            Some(literal) => literals.entry(literal).or_default().push(line),
            None => patterns.push((read, line)),
        }
        true
    }

    /// The rules that match a path from here, in their order.
    fn matching(&self, path: &str, steps: &mut Steps) -> Result<Vec<usize>, MeasureError> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let mut found = Vec::new();
        let mut names = Vec::new();
        for (literals, patterns, path) in
            [(&self.names, &self.name_patterns, name), (&self.paths, &self.path_patterns, path)]
        {
            let looked_up = literals.get(path).map(Vec::as_slice).unwrap_or_default();
            steps.spend(1 + looked_up.len() as u64 + path.len() as u64 / 8)?;
            found.extend_from_slice(looked_up);
            if patterns.is_empty() {
                continue;
            }
            names.clear();
            names.extend(path.split('/'));
            steps.spend(names.len() as u64)?;
            for (pattern, line) in patterns {
                let mut made = 0;
                if pattern.matches(&names, &mut made) {
                    found.push(*line);
                }
                steps.spend(made)?;
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}

/// One rule's words: set, unset, or (`!name`) back to unspecified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rule {
    vendored: Option<Option<bool>>,
    generated: Option<Option<bool>>,
    documentation: Option<Option<bool>>,
    detectable: Option<Option<bool>>,
    language: Option<Option<Arc<str>>>,
}

impl Rule {
    fn apply(&self, said: &mut Said) {
        let flags = [
            (&self.vendored, &mut said.vendored),
            (&self.generated, &mut said.generated),
            (&self.documentation, &mut said.documentation),
            (&self.detectable, &mut said.detectable),
        ];
        for (flag, slot) in flags {
            if let Some(flag) = flag {
                *slot = *flag;
            }
        }
        if let Some(language) = &self.language {
            said.language.clone_from(language);
        }
    }
}

fn parse(attributes: &str) -> Rule {
    let mut rule = Rule::default();
    for word in attributes.split(BLANK).filter(|word| !word.is_empty()) {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let (name, flag) = match name.as_bytes().first() {
            Some(b'-') => (&name[1..], Some(false)),
            Some(b'!') => (&name[1..], None),
            _ => (name, Some(value.is_none_or(|value| value != "false"))),
        };
        match name {
            "linguist-vendored" => rule.vendored = Some(flag),
            "linguist-generated" => rule.generated = Some(flag),
            "linguist-documentation" => rule.documentation = Some(flag),
            "linguist-detectable" => rule.detectable = Some(flag),
            "linguist-language" => rule.language = Some(value.map(|value| value.replace('-', " ").into())),
            _ => {}
        }
    }
    rule
}

/// A line's pattern and attributes. What begins like a quoted pattern and is none as C writes it is taken as it stands.
fn split(line: &str) -> Option<(String, &str)> {
    let line = line.trim_start_matches(BLANK);
    if line.starts_with('#') {
        return None;
    }
    let (pattern, attributes) = match line.strip_prefix('"').and_then(unquoted) {
        Some(unquoted) => unquoted,
        None => {
            let (pattern, attributes) = line.split_once(BLANK)?;
            (pattern.to_owned(), attributes)
        }
    };
    let is_pattern = !pattern.is_empty() && !pattern.starts_with('!') && !pattern.starts_with("[attr]");
    is_pattern.then_some((pattern, attributes))
}

/// What stands before the closing quote, with C's escapes, and what follows it. A name's bytes may be written in octal.
fn unquoted(quoted: &str) -> Option<(String, &str)> {
    let bytes = quoted.as_bytes();
    let (mut pattern, mut at) = (Vec::new(), 0);
    loop {
        let byte = *bytes.get(at)?;
        at += 1;
        if byte == b'"' {
            return Some((readable(&pattern), &quoted[at..]));
        }
        if byte != b'\\' {
            pattern.push(byte);
            continue;
        }
        let escaped = *bytes.get(at)?;
        at += 1;
        pattern.push(match escaped {
            b'a' => 0x07,
            b'b' => 0x08,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 0x0b,
            b'f' => 0x0c,
            b'r' => b'\r',
            b'\\' | b'"' => escaped,
            b'0'..=b'3' => {
                let &[second @ b'0'..=b'7', third @ b'0'..=b'7'] = bytes.get(at..at + 2)? else { return None };
                at += 2;
                ((escaped - b'0') << 6) | ((second - b'0') << 3) | (third - b'0')
            }
            _ => return None,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_as_git_cuts_them() {
        for (line, pattern) in [
            ("  a.rs x", Some("a.rs")),
            ("\"a b\" x", Some("a b")),
            (r#""src/\303\251.js"x"#, Some("src/é.js")),
            (r#""\377\"\\\a\b\t\n\v\f\r" x"#, Some("%FF\"\\\u{7}\u{8}\t\n\u{b}\u{c}\r")),
            // No escape of C: the quote is a letter.
            (r#""a\q" x"#, Some(r#""a\q""#)),
            (r#""a\12" x"#, Some(r#""a\12""#)),
            (r#""a\400" x"#, Some(r#""a\400""#)),
            ("\"open x", Some("\"open")),
            ("n\u{a0}\u{b}\u{c}b.rs x", Some("n\u{a0}\u{b}\u{c}b.rs")),
            ("!a x", None),
            ("\"!a\" x", None),
            ("[attr]m x", None),
            ("# x", None),
            ("\"\" x", None),
            ("\\\" x", Some("\\\"")),
        ] {
            assert_eq!(split(line).map(|it| it.0).as_deref(), pattern, "{line}");
        }
    }

    /// Cutting a path is work too, in each folder whose rules it is cut for.
    #[test]
    fn the_names_of_a_path_are_counted() {
        let mut attributes = Attributes::default();
        attributes.add("", b"x/*.c linguist-vendored\n").unwrap();
        let mut steps = Steps::up_to(1_000);
        attributes.of_path(&format!("{}b", "a/".repeat(250)), &mut steps).unwrap();
        assert!(250 <= 1_000 - steps.left, "{}", steps.left);
    }
}
