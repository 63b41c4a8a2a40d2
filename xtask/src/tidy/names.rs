//! Words that name nothing.

use super::source::Source;
use super::syntax::{Kind, Syntax};
use super::{Rule, Violation};

const NAMES: Rule = Rule {
    name: "refused word",
    reason: "Such a word fits everything, so it tells nothing and draws everything in: say what it is.",
};

const REFUSED: &[&str] =
    &["util", "helper", "common", "manager", "handler", "processor", "base", "info", "data", "dto"];

/// Refused at the end of a type's name; alone it may be a thing, as in docker-compose, and the module is our own.
const REFUSED_LAST: &str = "service";

pub fn check(source: &Source, syntax: &Syntax) -> Vec<Violation> {
    let mut violations = Vec::new();
    if let Some(word) = source.module().last().and_then(|name| refused_word(name)) {
        violations.push(Violation::new(source, 1, &NAMES, format!("a module's name says `{word}`")));
    }
    for fact in &syntax.facts {
        let word = match &fact.kind {
            Kind::Type(name) => refused_word(name).or_else(|| refused_last_word(name)).map(|word| (name, word)),
            Kind::Module(name) => refused_word(name).map(|word| (name, word)),
            _ => None,
        };
        if let Some((name, word)) = word {
            violations.push(Violation::new(source, fact.line, &NAMES, format!("`{name}` says `{word}`")));
        }
    }
    violations
}

fn refused_word(name: &str) -> Option<&'static str> {
    let words = words(name);
    REFUSED.iter().find(|refused| words.iter().any(|word| word.strip_suffix('s').unwrap_or(word) == **refused)).copied()
}

fn refused_last_word(name: &str) -> Option<&'static str> {
    let is_refused = matches!(words(name).as_slice(), [_, .., last] if last == REFUSED_LAST);
    is_refused.then_some(REFUSED_LAST)
}

/// `RateCard` and `rate_card` are both `rate`, `card`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c.is_uppercase() {
            words.push(String::new());
        }
        if c != '_' {
            words.last_mut().expect("there is always one").extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_name_nothing() {
        fn check_one(path: &str, text: &str, expected: usize) {
            let source = Source::new(path, text.to_owned());
            let found = check(&source, source.syntax.as_ref().unwrap().as_ref().unwrap());
            assert_eq!(found.len(), expected, "in {path}: {text}");
        }
        check_one("store/src/utils.rs", "", 1);
        check_one("store/src/sqlite/helpers/mod.rs", "", 1);
        check_one("store/src/name.rs", "struct CardInfo; enum RequestHandler {}", 2);
        check_one("store/src/name.rs", "mod common {}", 1);
        check_one("store/src/name.rs", "struct Database; struct Base64; struct Metadata; struct Baseline;", 0);
        check_one("server/src/service/mod.rs", "mod charge; struct Service;", 0);
        check_one("server/src/service/mod.rs", "struct ChargeService;", 1);
    }
}
