//! JSON in: one parse, and a complaint that names the field by its path.
//!
//! Reading is done once, without keeping track of where; only a body that fails is read again to find the place. So a
//! good request pays nothing for the care taken with a bad one.
use std::fmt;
use std::marker::PhantomData;

use meters::plain;
use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;

use super::catalogue;
use super::problem::Problem;

/// A JSON object read into a struct. Serde would also take an array of its fields in their order, which nobody means.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Reader(PhantomData))
    }
}

/// Reads `body` as a JSON object.
pub fn object<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, Problem> {
    parse::<Object<T>>(body).map(|it| it.0)
}

/// The same of a line of many, which begins at line `number` of its body, for a complaint to say.
pub fn object_at<'de, T: Deserialize<'de>>(line: &'de [u8], number: usize) -> Result<T, Problem> {
    let read: Result<Object<T>, _> = serde_json::from_slice(line);
    read.map(|it| it.0).map_err(|error| complaint::<Object<T>>(line, number, &error))
}

/// Reads `body` as a `T`.
pub fn parse<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, Problem> {
    match serde_json::from_slice(body) {
        Ok(value) => Ok(value),
        Err(error) => Err(complaint::<T>(body, 1, &error)),
    }
}

#[cold]
fn complaint<'de, T: Deserialize<'de>>(body: &'de [u8], first_line: usize, error: &serde_json::Error) -> Problem {
    let line = (first_line + error.line()).saturating_sub(1);
    let malformed = |detail: &str| {
        let problem = Problem::new(&catalogue::MALFORMED_JSON, detail.to_owned());
        problem.with("line", line).with("column", error.column())
    };
    if body.iter().all(u8::is_ascii_whitespace) {
        return malformed("the body is empty; send a JSON document");
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let Err(tracked) = serde_path_to_error::deserialize::<_, T>(&mut reader) else {
        // The value is good, so what follows it is not.
        return malformed("there is something after the end of the document");
    };
    let path = tracked.path().to_string();
    let said = tracked.inner().to_string();
    let said = said.split(" at line ").next().unwrap_or(&said);
    // A number such as 1e999 is JSON; only no machine number holds it.
    let is_huge = said.starts_with("number out of range");
    if error.classify() == Category::Data || is_huge {
        return wrong_field(&path, said);
    }
    // A number where a word was to be chosen is no fault of the JSON, though the reader says so.
    if said.starts_with("expected value") && serde_json::from_slice::<IgnoredAny>(body).is_ok() {
        return Problem::invalid(path, "must be a string that is known here");
    }
    malformed(&format!("the body is not JSON: {} (line {line}, column {})", plain::broken(said), error.column()))
}

/// The reader's sentence in our words, with the field in front.
fn wrong_field(path: &str, said: &str) -> Problem {
    let inside = |name: &str| if path == "." { name.to_owned() } else { format!("{path}.{name}") };
    let quoted = |rest: &str| rest.split('`').nth(1).unwrap_or_default().to_owned();
    for (beginning, end) in [("missing field ", "is missing"), ("duplicate field ", "is given twice")] {
        if let Some(rest) = said.strip_prefix(beginning) {
            return Problem::invalid(stepped_into(path, quoted(rest), inside), end);
        }
    }
    if let Some(rest) = said.strip_prefix("unknown field ") {
        let field = stepped_into(path, quoted(rest), inside);
        // Names stand between backticks: the unknown one first, then those that are known.
        let known: Vec<&str> = rest.split('`').skip(3).step_by(2).collect();
        if known.is_empty() {
            return Problem::invalid(field, "is not known here; nothing is");
        }
        return Problem::invalid(field, format_args!("is not known here; known are {}", known.join(", ")));
    }
    Problem::invalid(if path == "." { "body" } else { path }, plain::words(said))
}

/// The path of a field that a reader speaks of by its `name`: the tracker may have stepped into it already.
fn stepped_into(path: &str, name: String, inside: impl Fn(&str) -> String) -> String {
    let is_there = path == name || path.strip_suffix(&*name).is_some_and(|it| it.ends_with('.'));
    if is_there { path.to_owned() } else { inside(&name) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::wire::{AmountIn, QuantitiesIn};

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the refusals are looked at")]
    struct Order {
        credits: AmountIn,
        quantities: Option<QuantitiesIn>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Colour {
        Red,
    }

    fn said(body: &str) -> String {
        let problem = object::<Order>(body.as_bytes()).err().expect("it is wrong");
        format!("{} {}: {}", problem.kind.status, problem.field.as_deref().unwrap_or("-"), problem.detail)
    }

    #[test]
    fn a_wrong_body_names_its_field() {
        for (body, wanted) in [
            ("", "400 -: the body is empty; send a JSON document"),
            (r#"{"credits":1} x"#, "400 -: there is something after the end of the document"),
            (
                r#"{"credits":1.5}"#,
                "422 credits: `credits` must be a decimal string such as \"12.5\" or a whole number, \
                 not 1.5",
            ),
            (r#"{"credits":"1e3"}"#, "422 credits: `credits` is not a decimal number such as \"12.5\""),
            (r#"{"credits":"0.0000001"}"#, "422 credits: `credits` has more than 6 decimal places"),
            (r#"{"credits":9999999999999999999}"#, "422 credits: `credits` is beyond 1000000000 credits"),
            (r#"{"credits":1e999}"#, "422 credits: `credits` is a number beyond all that are read"),
            (r#"{}"#, "422 credits: `credits` is missing"),
            (r#"{"credits":1,"credits":2}"#, "422 credits: `credits` is given twice"),
            (r#"{"credits":1,"credit":2}"#, "422 credit: `credit` is not known here; known are credits, quantities"),
            (r#"{"credits":1,"quantities":{"a":-1}}"#, "422 quantities.a: `quantities.a` WHOLE, not -1"),
            (r#"{"credits":1,"quantities":{"a":1.5}}"#, "422 quantities.a: `quantities.a` WHOLE, not 1.5"),
            (
                r#"{"credits":1,"quantities":{"a":18446744073709551616}}"#,
                "422 quantities.a: `quantities.a` WHOLE, not 1.8446744073709552e19",
            ),
            (
                r#"{"credits":1,"quantities":[]}"#,
                "422 quantities: `quantities` must be an object of quantities, not an array",
            ),
            (r#"[1]"#, "422 body: `body` must be a JSON object, not an array"),
        ] {
            let wanted = wanted.replace("WHOLE", "must be a whole number from 0 to 18446744073709551615");
            // How an exponent is written is not ours to say.
            assert_eq!(said(body).replace("e+", "e"), wanted, "{body}");
        }
        let chosen = |body: &str| parse::<Vec<Colour>>(body.as_bytes()).expect_err("it is wrong").detail;
        assert_eq!(chosen("[7]"), "`[0]` must be a string that is known here");
        assert_eq!(chosen(r#"["blue"]"#), "`[0]` must be red");
        assert!(
            said(r#"{"credits":"#).starts_with("400 -: the body is not JSON: it ends too early (line 1, column 11)")
        );
    }
}
