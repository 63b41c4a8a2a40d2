//! `.gitattributes`: what a repository says about its own files.
//!
//! Must never know: languages, counting. Invariant: what is said of a path is what `git check-attr` says: a file in a
//! deeper folder overrides one above it, a later line an earlier one, and a later word in its line. Files outside the
//! tree (global or system attributes) are never read.
//!
//! A macro (`[attr]name …`, in the file at the top alone) makes a word stand for several, in the place where the word
//! is set. The one that Git knows by itself, `binary`, says how to compare and merge a file, and nothing that is asked
//! here: what is binary shows in the content, as for Linguist.
//!
//! A path is held against the rules of the folders it is in, and no others; names without wildcards are looked up. What
//! is left, wildcards times files, is counted and has a limit: as many of both as fit into an archive are hours.

mod line;
mod pattern;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use super::directory::readable;
use crate::MeasureError;
use line::{Line, Of, State};
use pattern::Pattern;

/// Rules and macros in all `.gitattributes` of a tree.
const RULES_MAX: usize = 10_000;
/// Bytes of their patterns.
const PATTERNS_BYTES_MAX: usize = 1 << 20;
/// The attributes that are asked for; macros come after them.
const ASKED: [&str; 5] =
    ["linguist-vendored", "linguist-generated", "linguist-documentation", "linguist-detectable", "linguist-language"];

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
    /// Macros that lead to what is asked for, each with its place among the attributes.
    macros: HashMap<String, usize>,
    /// By attribute: what it stands for where it is set.
    stands_for: HashMap<usize, Box<[Word]>>,
    rules: usize,
    pattern_bytes: usize,
}

/// The rules of one file, each under its line.
#[derive(Debug, Default)]
struct Folder {
    rules: Vec<Box<[Word]>>,
    /// By a name at any depth, and by a path from here.
    names: HashMap<String, Vec<usize>>,
    paths: HashMap<String, Vec<usize>>,
    name_patterns: Vec<(Pattern, usize)>,
    path_patterns: Vec<(Pattern, usize)>,
}

/// What a line says of one attribute that is asked for, or of a macro.
#[derive(Debug)]
struct Word {
    attribute: usize,
    state: State,
}

impl Attributes {
    /// Takes in a file, by its folder. The one at the top comes first: its macros are known to all others.
    pub fn add(&mut self, folder: &str, content: &[u8]) -> Result<(), MeasureError> {
        // As the paths are that it is held against.
        let text = readable(content);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let lines: Vec<Line<'_>> = text.lines().filter_map(line::read).collect();
        if folder.is_empty() {
            self.define(&lines)?;
        }
        let mut taken = Folder::default();
        for Line { of, words } in lines {
            let Of::Pattern(pattern) = of else { continue };
            let words = self.known(words);
            // Most attributes are about other things (text, diff).
            if !words.is_empty() && taken.admit(&pattern, words) {
                self.count(pattern.len())?;
            }
        }
        if !taken.rules.is_empty() {
            self.folder_bytes = self.folder_bytes.max(folder.len());
            self.folders.insert(folder.to_owned(), taken);
        }
        Ok(())
    }

    /// Takes in the macros that lead to what is asked for, by whatever others. Of two with one name the later stands.
    fn define(&mut self, lines: &[Line<'_>]) -> Result<(), MeasureError> {
        let mut defined: HashMap<&str, &[(&str, State)]> = HashMap::new();
        for line in lines {
            if let Of::Macro(name) = &line.of {
                defined.insert(name, &line.words);
            }
        }
        let mut used_by: HashMap<&str, Vec<&str>> = HashMap::new();
        for (name, words) in &defined {
            for (used, _) in *words {
                used_by.entry(used).or_default().push(name);
            }
        }
        let mut leading: Vec<&str> = ASKED.to_vec();
        while let Some(used) = leading.pop() {
            // Each is looked at once, whoever else uses it.
            for name in used_by.remove(used).into_iter().flatten() {
                if place_asked(name).is_none() && !self.macros.contains_key(name) {
                    self.macros.insert(name.to_owned(), ASKED.len() + self.macros.len());
                    leading.push(name);
                }
            }
        }
        for (name, words) in defined {
            let Some(attribute) = self.place(name) else { continue };
            let words = self.known(words.to_vec());
            if !words.is_empty() {
                self.count(name.len())?;
                self.stands_for.insert(attribute, words);
            }
        }
        Ok(())
    }

    /// Of a line's words, those that say something.
    fn known(&self, words: Vec<(&str, State)>) -> Box<[Word]> {
        let known = |(name, state)| Some(Word { attribute: self.place(name)?, state });
        words.into_iter().filter_map(known).collect()
    }

    fn place(&self, name: &str) -> Option<usize> {
        place_asked(name).or_else(|| self.macros.get(name).copied())
    }

    fn count(&mut self, bytes: usize) -> Result<(), MeasureError> {
        self.rules += 1;
        self.pattern_bytes += bytes;
        let limits = [
            ("rules in .gitattributes", self.rules, RULES_MAX),
            ("bytes of patterns in .gitattributes", self.pattern_bytes, PATTERNS_BYTES_MAX),
        ];
        match limits.into_iter().find(|(_, found, max)| max < found) {
            Some((what, _, max)) => Err(MeasureError::RepositoryTooLarge { what, max: max as u64 }),
            None => Ok(()),
        }
    }

    /// What all matching rules say together.
    pub fn of_path(&self, path: &str, steps: &mut Steps) -> Result<Said, MeasureError> {
        let mut said = HashMap::new();
        if !self.folders.is_empty() {
            // Strongest first, and what was said stands: from the file's own folder to the top.
            let folders = std::iter::once(0).chain(path.match_indices('/').map(|(slash, _)| slash + 1));
            let folders: Vec<usize> = folders.take_while(|at| *at <= self.folder_bytes).collect();
            for at in folders.into_iter().rev() {
                steps.spend(1 + at as u64 / 8)?;
                let Some(folder) = self.folders.get(&path[..at]) else { continue };
                for rule in folder.matching(&path[at..], steps)?.into_iter().rev() {
                    self.say(&folder.rules[rule], &mut said, steps)?;
                }
            }
        }
        Ok(Said::of(&said))
    }

    /// Adds what a line says, from its last word on, to what stronger ones said; what a macro stands for stands where
    /// it is set.
    fn say<'a>(
        &'a self,
        words: &'a [Word],
        said: &mut HashMap<usize, &'a State>,
        steps: &mut Steps,
    ) -> Result<(), MeasureError> {
        let mut open = vec![words];
        while let Some(words) = open.pop() {
            let Some((word, before)) = words.split_last() else { continue };
            steps.spend(1)?;
            open.push(before);
            if said.contains_key(&word.attribute) {
                continue;
            }
            said.insert(word.attribute, &word.state);
            if word.state == State::Set
                && let Some(stands_for) = self.stands_for.get(&word.attribute)
            {
                open.push(stands_for);
            }
        }
        Ok(())
    }
}

fn place_asked(name: &str) -> Option<usize> {
    ASKED.iter().position(|asked| *asked == name)
}

impl Said {
    fn of(said: &HashMap<usize, &State>) -> Self {
        let flag = |place: usize| match said.get(&place)? {
            State::Set => Some(true),
            State::Unset => Some(false),
            State::Unspecified => None,
            // As Linguist has it.
            State::Value(value) => Some(&**value != "false"),
        };
        let language = match said.get(&4) {
            Some(State::Value(value)) => Some(Arc::clone(value)),
            _ => None,
        };
        Self { vendored: flag(0), generated: flag(1), documentation: flag(2), detectable: flag(3), language }
    }
}

impl Folder {
    /// Takes in a rule; false where its pattern is none, or matches no file.
    fn admit(&mut self, pattern: &str, rule: Box<[Word]>) -> bool {
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
