//! What a reader of JSON, TOML or YAML says of a document, in words for whoever wrote the document.
//!
//! Readers speak to programmers: of `u32`, of sequences and maps, of what they "expected". Who sends a document knows
//! JSON and no Rust. Must never know which document it is. Invariant: names of fields are repeated, and no text that
//! stands in one: it may be anybody's words, and a card number among them.

/// Whole numbers, by the types that hold them.
const NUMBERS: [(&str, &str); 15] = [
    ("u8", "a whole number from 0 to 255"),
    ("u16", "a whole number from 0 to 65535"),
    ("u32", "a whole number from 0 to 4294967295"),
    ("u64", "a whole number from 0 to 18446744073709551615"),
    ("usize", "a whole number from 0 to 18446744073709551615"),
    ("a nonzero u8", "a whole number from 1 to 255"),
    ("a nonzero u16", "a whole number from 1 to 65535"),
    ("a nonzero u32", "a whole number from 1 to 4294967295"),
    ("a nonzero u64", "a whole number from 1 to 18446744073709551615"),
    ("i8", "a whole number from -128 to 127"),
    ("i16", "a whole number from -32768 to 32767"),
    ("i32", "a whole number from -2147483648 to 2147483647"),
    ("i64", "a whole number"),
    ("isize", "a whole number"),
    ("f64", "a number"),
];

/// What was found instead of JSON, by what a reader calls it.
const BROKEN: [(&str, &str); 14] = [
    ("EOF while parsing", "it ends too early"),
    ("expected value", "a value is missing, or of a kind that cannot stand there"),
    ("expected ident", "words are true, false or null; anything else stands in double quotes"),
    ("expected `:`", "a colon is missing"),
    ("expected `,` or `}`", "a comma or a closing } is missing"),
    ("expected `,` or `]`", "a comma or a closing ] is missing"),
    ("key must be a string", "a name must stand in double quotes"),
    ("trailing comma", "there is a comma too many"),
    ("trailing characters", "something follows its end"),
    ("control character", "a line break or another control character stands in a string; write it as \\n"),
    ("invalid escape", "a backslash stands before what cannot follow one; write it twice"),
    ("invalid number", "a number is not written as JSON writes them"),
    ("invalid unicode code point", "it is not UTF-8"),
    ("recursion limit exceeded", "it is nested too deeply"),
];

/// A reader's sentence, as it completes "the field …" or "the document …". What was not a reader's stays as it is.
#[must_use]
pub fn words(said: &str) -> String {
    // Names stand between backticks: the one that was found, then those that are known.
    let mut named = said.split('`').skip(1).step_by(2);
    let kind = said.split_once(": ").map_or(said, |it| it.0);
    let (found, wanted) = said.rsplit_once(", expected ").unwrap_or((said, ""));
    if kind.starts_with("invalid type") || kind.starts_with("invalid value") {
        let found = found.split_once(": ").map_or("", |it| it.1);
        return format!("must be {}, not {}", wanted_in_words(wanted), found_in_words(found, wanted));
    }
    if let Some(length) = said.strip_prefix("invalid length ") {
        let length = length.split(',').next().unwrap_or_default();
        return format!("must be {}, and has {length}", wanted_in_words(wanted));
    }
    if said.starts_with("unknown variant ") {
        return format!("must be {}", one_of(&named.skip(1).collect::<Vec<_>>()));
    }
    for (beginning, end) in [("missing field ", "is missing"), ("duplicate field ", "is given twice")] {
        if said.starts_with(beginning) {
            return format!("has a fault: `{}` {end}", named.next().unwrap_or_default());
        }
    }
    if let Some(rest) = said.strip_prefix("duplicate mapping key: ") {
        // What a programmer could set against that is no advice here.
        return format!("has a fault: `{}` is given twice", rest.split(", set ").next().unwrap_or(rest));
    }
    if said.starts_with("unknown field ") {
        let unknown = named.next().unwrap_or_default().to_owned();
        let known: Vec<&str> = named.collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return format!("has `{unknown}`, which is not known here; known are {known}");
    }
    if said.starts_with("data did not match any variant") {
        return "has none of the forms that are known here".to_owned();
    }
    if said.starts_with("number out of range") {
        return "is a number beyond all that are read".to_owned();
    }
    if said.starts_with("budget breached") {
        return "has more parts, depth or repetitions than are read; write it without aliases, or split it".to_owned();
    }
    said.to_owned()
}

/// The same where the document is not JSON at all.
#[must_use]
pub fn broken(said: &str) -> String {
    let known = BROKEN.iter().find(|it| said.starts_with(it.0));
    known.map_or_else(|| words(said), |it| it.1.to_owned())
}

/// What is wrong with a document of JSON, and where.
#[must_use]
pub fn of_json(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let said = said.split(" at line ").next().unwrap_or(&said);
    let said = if error.is_data() { words(said) } else { broken(said) };
    if error.line() == 0 { said } else { format!("{said} (line {}, column {})", error.line(), error.column()) }
}

fn wanted_in_words(wanted: &str) -> String {
    if let Some((_, number)) = NUMBERS.iter().find(|it| it.0 == wanted) {
        return (*number).to_owned();
    }
    let first = wanted.strip_prefix("a ").unwrap_or(wanted).split(' ').next().unwrap_or_default();
    match (first, wanted) {
        (_, "a boolean") => "true or false",
        (_, "a borrowed string" | "string" | "str" | "path string" | "string or map") => "a string",
        (_, "a sequence" | "a byte array" | "a borrowed byte array") => "an array",
        ("tuple", _) => "an array",
        (_, "a map") | ("struct", _) => "an object",
        ("enum" | "variant" | "unit" | "newtype", _) => "a string that is known here",
        _ => return wanted.replace('`', ""),
    }
    .to_owned()
}

/// Numbers are repeated where a number was wanted, and what is true or false; of anything else its kind is said.
fn found_in_words(found: &str, wanted: &str) -> String {
    let value = found.split('`').nth(1).unwrap_or_default();
    let wants_a_number = NUMBERS.iter().any(|it| it.0 == wanted) || wanted.contains("number");
    let kind = found.split([' ', '`']).next().unwrap_or_default();
    match kind {
        "integer" | "floating" if wants_a_number => value,
        "integer" | "floating" | "number" => "a number",
        "boolean" => value,
        "string" | "character" => "a string",
        "null" | "unit" | "Option" => "null",
        "sequence" | "tuple" | "byte" => "an array",
        "map" | "newtype" | "struct" | "enum" => "an object",
        _ => "something else",
    }
    .to_owned()
}

/// `a`, `a or b`, `a, b or c`.
fn one_of(names: &[&str]) -> String {
    match names {
        [] => "another name".to_owned(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::{broken, of_json, words};
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Colour {
        Red,
        Green,
        Blue,
    }

    #[derive(Debug, Deserialize)]
    #[serde(untagged)]
    #[expect(dead_code, reason = "only the refusals are looked at")]
    enum Either {
        Text(String),
        Number(u8),
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Sheet {
        small: u8,
        large: Option<u64>,
        whole: i64,
        some: Option<std::num::NonZeroU32>,
        is_on: bool,
        text: String,
        list: Vec<String>,
        pair: Option<(u8, u8)>,
        map: std::collections::BTreeMap<String, u8>,
        colour: Option<Colour>,
        either: Option<Either>,
        letter: Option<char>,
        inner: Option<Box<Sheet>>,
    }

    #[test]
    fn nobody_has_to_know_what_a_reader_is_made_of() {
        for (document, said) in [
            (r#"{"small":300}"#, "must be a whole number from 0 to 255, not 300"),
            (r#"{"small":-1}"#, "must be a whole number from 0 to 255, not -1"),
            (r#"{"large":1.5}"#, "must be a whole number from 0 to 18446744073709551615, not 1.5"),
            (r#"{"whole":"ten"}"#, "must be a whole number, not a string"),
            (r#"{"some":0}"#, "must be a whole number from 1 to 4294967295, not 0"),
            (r#"{"is_on":"yes"}"#, "must be true or false, not a string"),
            (r#"{"text":4242424242424242}"#, "must be a string, not a number"),
            (r#"{"text":null}"#, "must be a string, not null"),
            (r#"{"list":{"a":1}}"#, "must be an array, not an object"),
            (r#"{"list":true}"#, "must be an array, not true"),
            (r#"{"pair":[1]}"#, "must be an array, and has 1"),
            (r#"{"map":[]}"#, "must be an object, not an array"),
            (r#"{"colour":"pink"}"#, "must be red, green or blue"),
            (r#"{"colour":7}"#, "a value is missing, or of a kind that cannot stand there"),
            (r#"{"either":[]}"#, "has none of the forms that are known here"),
            (r#"{"inner":"x"}"#, "must be an object, not a string"),
            (r#"{"small":1,"small":2}"#, "has a fault: `small` is given twice"),
            (r#"{"smal":1}"#, "has `smal`, which is not known here; known are small, large, whole, some, is_on, text"),
        ] {
            let error = serde_json::from_str::<Sheet>(document).expect_err(document);
            let found = of_json(&error);
            assert!(found.starts_with(said) && found.contains(" (line 1, column "), "{document}: {found}");
        }
        for (document, said) in [
            ("{", "it ends too early (line 1, column 1)"),
            ("{\"small\" 1}", "a colon is missing (line 1, column 10)"),
            ("{\"small\":1,}", "there is a comma too many (line 1, column 12)"),
            ("{small:1}", "a name must stand in double quotes (line 1, column 2)"),
            ("{\"text\":\"a\nb\"}", "a line break or another control character stands in a string; write it as \\n"),
            ("{} {}", "something follows its end (line 1, column 4)"),
        ] {
            let error = serde_json::from_str::<Sheet>(document).expect_err(document);
            assert!(of_json(&error).starts_with(said), "{document}: {}", of_json(&error));
        }
    }

    #[test]
    fn what_no_reader_said_stays_as_it_is() {
        assert_eq!(words("is not a decimal number such as \"12.5\""), "is not a decimal number such as \"12.5\"");
        assert_eq!(broken("has an empty model"), "has an empty model");
        let twice = words("duplicate mapping key: web, set DuplicateKeyPolicy in Options if acceptable");
        assert_eq!(twice, "has a fault: `web` is given twice");
        assert!(!words("budget breached: Nodes { nodes: 250001 }").contains('{'));
    }
}
