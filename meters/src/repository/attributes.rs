//! `.gitattributes`: what a repository says about its own files.
//!
//! Must never know: languages, counting. Invariant: as in Git, a file in a deeper folder overrides one above it, and a
//! later line an earlier one. Files outside the tree (global or system attributes) are never read.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Rules in all `.gitattributes` of a tree; further ones are ignored.
const RULES_MAX: usize = 10_000;
/// A longer pattern is no rule.
const PATTERN_BYTES_MAX: usize = 4_096;

/// What the attributes say about one path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub vendored: Option<bool>,
    pub generated: Option<bool>,
    pub documentation: Option<bool>,
    pub detectable: Option<bool>,
    pub language: Option<String>,
}

/// All rules of a tree, weakest first.
#[derive(Debug)]
pub struct Attributes {
    globs: GlobSet,
    rules: Vec<Rule>,
}

impl Attributes {
    /// From the files: their folder (empty, or ending in `/`) and content.
    pub fn of(mut files: Vec<(String, Vec<u8>)>) -> Self {
        files.sort_by_key(|(folder, _)| (folder.matches('/').count(), folder.clone()));
        let mut globs = GlobSetBuilder::new();
        let mut rules = Vec::new();
        for (folder, content) in &files {
            for line in String::from_utf8_lossy(content).lines() {
                let Some((pattern, attributes)) = split(line) else { continue };
                let said = parse(attributes);
                // Most attributes are about other things (text, diff); and a pattern that Git would not take says
                // nothing.
                if said == Rule::default() || rules.len() == RULES_MAX {
                    continue;
                }
                if let Some(glob) = glob(folder, &pattern) {
                    globs.add(glob);
                    rules.push(said);
                }
            }
        }
        // A set too large to build is as good as none: the tree is then measured by the default rules.
        let globs = globs.build().unwrap_or_else(|_| GlobSet::empty());
        Self { globs, rules }
    }

    /// What all matching rules say together.
    pub fn of_path(&self, path: &str) -> Said {
        let mut said = Said::default();
        let mut matches = self.globs.matches(path);
        matches.sort_unstable();
        for rule in matches.into_iter().map(|index| &self.rules[index]) {
            rule.apply(&mut said);
        }
        said
    }
}

/// One rule's words: set, unset, or (`!name`) back to unspecified.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rule {
    vendored: Option<Option<bool>>,
    generated: Option<Option<bool>>,
    documentation: Option<Option<bool>>,
    detectable: Option<Option<bool>>,
    language: Option<Option<String>>,
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
    for word in attributes.split_ascii_whitespace() {
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
            "linguist-language" => rule.language = Some(value.map(|value| value.replace('-', " "))),
            _ => {}
        }
    }
    rule
}

/// A line's pattern and attributes. A pattern in double quotes may hold spaces and C escapes.
fn split(line: &str) -> Option<(String, &str)> {
    let line = line.trim_start();
    if line.is_empty() || line.starts_with(['#', '!']) || line.starts_with("[attr]") {
        return None;
    }
    let Some(quoted) = line.strip_prefix('"') else {
        let (pattern, attributes) = line.split_once(char::is_whitespace)?;
        return Some((pattern.to_owned(), attributes));
    };
    let mut pattern = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((pattern, &quoted[at + 1..])),
            '\\' => match characters.next()?.1 {
                'n' => pattern.push('\n'),
                't' => pattern.push('\t'),
                other => pattern.push(other),
            },
            other => pattern.push(other),
        }
    }
    None
}

/// Git knows no alternatives: its braces are letters like others. (As alternatives they could be nested without end.)
fn with_plain_braces(pattern: &str) -> String {
    let mut whole = String::with_capacity(pattern.len());
    let mut is_escaped = false;
    for character in pattern.chars() {
        if ['{', '}'].contains(&character) && !is_escaped {
            whole.push('\\');
        }
        is_escaped = character == '\\' && !is_escaped;
        whole.push(character);
    }
    whole
}

/// Git's pattern as a glob over paths from the top: without a slash it matches a name at any depth below its folder,
/// with one it is anchored at its folder. A pattern for folders only (`dir/`) matches nothing, as in Git.
fn glob(folder: &str, pattern: &str) -> Option<globset::Glob> {
    if pattern.ends_with('/') || PATTERN_BYTES_MAX < pattern.len() {
        return None;
    }
    let anchored = pattern.contains('/');
    let below = if anchored { "" } else { "**/" };
    let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
    let whole = format!("{}{below}{}", globset::escape(folder), with_plain_braces(pattern));
    GlobBuilder::new(&whole).literal_separator(true).backslash_escape(true).build().ok()
}
