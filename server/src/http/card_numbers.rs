//! Card numbers, which have no business here: refused before anything keeps or logs them, however they are written. A
//! path may write a digit as `%34` and JSON as `\u0034`; who reads either reads a digit.
//!
//! One in fifty numbers of sixteen digits passes for a card's by chance, so what no card number is typed into is not
//! refused for looking like one: a name with letters in it, a quantity, an idempotency key (kept as its hash), and an
//! artefact that is measured and not kept.
use std::borrow::Cow;
use std::fmt;

use billing::payment::looks_like_card_number;
use billing::rating::Text;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserializer, de};
use sha2::{Digest, Sha256};

use super::problem::Problem;

/// Characters of the shortest card number, of which no path or id is made that holds one.
const LENGTH_MIN: usize = 12;

/// Fields that hold names of the platform's own things, where a request has them at its top.
const NAMES: [&str; 7] = ["account", "project", "actor", "resource", "package", "plan", "quote"];

/// Refuses a text with a card number in it; `field` is where it stood.
pub fn none_in(field: &str, text: &str) -> Result<(), Problem> {
    if looks_like_card_number(text) { Err(refused(field)) } else { Ok(()) }
}

fn refused(field: &str) -> Problem {
    let why = "holds what looks like a card number; card numbers are typed into Stripe's page alone. Put letters \
               before a number of your own, as in order_1234";
    Problem::invalid(field, why)
}

/// An idempotency key as it is kept: programs make keys of long numbers, which must work whatever they look like, and
/// none that looks like a card number is kept as it came.
pub fn as_kept(key: Text) -> Text {
    if !looks_like_card_number(&key) {
        return key;
    }
    let digits = Sha256::digest(key.as_bytes()).iter().map(|it| format!("{it:02x}")).collect::<String>();
    format!("sha256:{digits}").into()
}

/// The same for a path or a query: as it stands, and as it is read.
pub fn none_in_url(field: &str, text: &str) -> Result<(), Problem> {
    none_in(field, text)?;
    decoded(text).map_or(Ok(()), |it| none_in(field, &it))
}

/// The same for a path or a query whose parts may be names.
pub fn none_in_parts(field: &str, text: &str) -> Result<(), Problem> {
    if none_in_url(field, text).is_ok() {
        return Ok(());
    }
    let part = |it: &str| none_in_name(it) && decoded(it).is_none_or(|it| none_in_name(&it));
    if text.split(['/', '&', '=']).all(part) { Ok(()) } else { Err(refused(field)) }
}

/// Whether a name holds no card number: letters make of any digits beside them a name, unless they are grouped as on a
/// card.
fn none_in_name(name: &str) -> bool {
    let is_name = name.bytes().all(|it| it.is_ascii_alphanumeric() || b"._:@-".contains(&it));
    let has_letter = name.bytes().any(|it| it.is_ascii_alphabetic());
    let is_in_one_piece = || name.split(|it: char| !it.is_ascii_digit()).any(looks_like_card_number);
    !looks_like_card_number(name) || (is_name && has_letter && is_in_one_piece())
}

/// The same for a body that is JSON, or a text that writes characters as JSON does.
pub fn none_in_json(body: &[u8]) -> Result<(), Problem> {
    let is_suspect = looks_like_card_number(&String::from_utf8_lossy(body))
        || (body.contains(&b'\\') && looks_like_card_number(&unescaped(body)));
    if !is_suspect {
        return Ok(());
    }
    // Seldom and slow: what it stands in decides. What is no JSON has no places to tell apart.
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = Place::Top.deserialize(&mut reader).and_then(|()| reader.end());
    read.map_err(|_| refused("body"))
}

/// What a value of a request is, as far as it matters to what may be in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The request, or one of several.
    Top,
    /// What a grant or a budget is for.
    Scope,
    Free,
    Name,
    /// Numbers here are counts.
    Counts,
    /// Read, and not kept as it came.
    Passing,
}

impl Place {
    /// Of the field of this name, of what is here.
    fn of(self, field: &str) -> Place {
        match (self, field) {
            (Place::Top, "quantities" | "used") | (Place::Counts, _) => Place::Counts,
            (Place::Top, "input" | "idempotency_key") => Place::Passing,
            (Place::Top, "scope") => Place::Scope,
            (Place::Top, name) if NAMES.contains(&name) => Place::Name,
            (Place::Scope, "project" | "projects" | "actor") => Place::Name,
            _ => Place::Free,
        }
    }
    fn admits(self, text: &str) -> bool {
        if self == Place::Name { none_in_name(text) } else { !looks_like_card_number(text) }
    }
}

impl<'de> DeserializeSeed<'de> for Place {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        if self == Place::Passing {
            return de::Deserialize::deserialize(reader).map(|_: IgnoredAny| ());
        }
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no card number")
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if self.admits(text) { Ok(()) } else { Err(E::custom("a card number")) }
    }
    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        if self == Place::Counts { Ok(()) } else { self.visit_str(&number.to_string()) }
    }
    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.visit_str(&number.to_string())
    }
    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.visit_str(&number.to_string())
    }
    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Cow<'_, str>>()? {
            Place::Free.visit_str(&name)?;
            map.next_value_seed(self.of(&name))?;
        }
        Ok(())
    }
}

/// A path as a log may have it.
pub fn for_log(path: &str) -> &str {
    if LENGTH_MIN < path.len() && none_in_url("path", path).is_err() { "(holds a card number)" } else { path }
}

/// A part of a URL without its escapes; none where it has none. What is no escape stands for itself.
fn decoded(text: &str) -> Option<String> {
    if !text.contains(['%', '+']) {
        return None;
    }
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while let Some(byte) = bytes.get(place) {
        let escaped = (*byte == b'%').then(|| hexadecimal(bytes.get(place + 1..place + 3)?)).flatten();
        match escaped.and_then(|it| u8::try_from(it).ok()) {
            Some(it) => {
                plain.push(it);
                place += 3;
            }
            None => {
                plain.push(if *byte == b'+' { b' ' } else { *byte });
                place += 1;
            }
        }
    }
    Some(String::from_utf8_lossy(&plain).into_owned())
}

/// JSON with its escapes read, as far as digits go and what may stand between them: any other stands for some character
/// that belongs to no number.
fn unescaped(body: &[u8]) -> Cow<'_, str> {
    let mut plain = Vec::with_capacity(body.len());
    let mut place = 0;
    while let Some(byte) = body.get(place) {
        if *byte != b'\\' {
            plain.push(*byte);
            place += 1;
            continue;
        }
        let code = if body.get(place + 1) == Some(&b'u') { body.get(place + 2..place + 6) } else { None };
        match code.and_then(hexadecimal) {
            Some(it) => {
                plain.push(u8::try_from(it).ok().filter(u8::is_ascii).unwrap_or(b'.'));
                place += 6;
            }
            None => {
                plain.push(b'.');
                place += 2;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned().into()
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    let digit = |all: Option<u32>, it: &u8| Some(all? * 16 + char::from(*it).to_digit(16)?);
    digits.iter().fold(Some(0), digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digit_is_a_digit_however_it_is_written() {
        for url in [
            "/v1/accounts/4242424242424242",
            "/v1/accounts/4242%2D4242%2D4242%2D4242",
            "/v1/accounts/%34242424242424242/balance",
            "/v1/accounts/4242%204242%204242%204242",
            "actor=4242+4242+4242+4242",
            "%%34242424242424242%",
        ] {
            assert!(none_in_parts("path", url).is_err(), "{url}");
            assert_eq!(for_log(url), "(holds a card number)");
        }
        for json in [
            r#"{"a":"4242424242424242"}"#,
            r#"{"a":"\u0034242424242424242"}"#,
            r#"{"a":"\u0034242\u002D4242\u002d4242 4242"}"#,
            r#"{"a":"\n4242424242424242\\"}"#,
        ] {
            assert!(none_in_json(json.as_bytes()).is_err(), "{json}");
        }
    }

    #[test]
    fn what_is_no_number_stays_what_it_is() {
        for url in ["/v1/accounts/ada", "", "%", "%4", "/v1/accounts/x%344242424242424242", "a+b%20c"] {
            assert!(none_in_url("path", url).is_ok(), "{url}");
            assert_eq!(for_log(url), url);
        }
        for json in ["", "\\", r"\u", r"\u00", r#"{"a":"\\u0034242424242424242"}"#, r#"{"a":"4242\n4242 4242 4242"}"#] {
            assert!(none_in_json(json.as_bytes()).is_ok(), "{json}");
        }
    }

    /// One in fifty numbers of sixteen digits is a card's by chance: each of these is.
    #[test]
    fn what_no_card_is_typed_into_may_hold_any_number() {
        for json in [
            r#"{"idempotency_key":"4242424242424242"}"#,
            r#"{"idempotency_key":4242424242424242}"#,
            r#"{"resource":"order-4242424242424242","account":"u.4242424242424242"}"#,
            r#"{"quantities":{"nanoseconds":4222222222222},"used":{"bytes":4242424242424242}}"#,
            r#"{"scope":{"project":"order-4242424242424242","actor":"u.4242424242424242"}}"#,
            r#"{"scope":{"projects":["web","order-4242424242424242"]}}"#,
            r#"{"input":{"messages":[{"role":"user","content":"my card is 4242 4242 4242 4242"}]}}"#,
            r#"[{"input":"4242424242424242"},{"idempotency_key":"\u0034242424242424242"}]"#,
        ] {
            assert!(none_in_json(json.as_bytes()).is_ok(), "{json}");
        }
        for json in [
            r#"{"resource":"4242424242424242"}"#,
            r#"{"resource":"order-4242-4242-4242-4242"}"#,
            r#"{"resource":"order 4242424242424242"}"#,
            r#"{"metadata":{"idempotency_key":"4242424242424242"}}"#,
            r#"{"metadata":{"input":"4242424242424242"}}"#,
            r#"{"metadata":{"scope":{"project":"order-4242424242424242"}}}"#,
            r#"{"scope":{"projects":["4242424242424242"]}}"#,
            r#"{"scope":{"meters":["order-4242424242424242"]}}"#,
            r#"{"scope":"order-4242424242424242"}"#,
            r#"{"metadata":{"quantities":{"a":4242424242424242}}}"#,
            r#"{"metadata":{"a":"4242424242424242","a":"x"}}"#,
            r#"{"metadata":{"4242424242424242":1}}"#,
            r#"{"quantities":{"4242424242424242":1}}"#,
            r#"{"quantities":{"a":"4242424242424242"}}"#,
            r#"{"dimensions":{"model":"4242424242424242"}}"#,
            r#"{"reason":"card-4242424242424242"}"#,
            r#"{"amount":4242424242424242}"#,
            r#"{"idempotency_key":"k","note":"4242424242424242"}"#,
            r#"{"note":"4242424242424242""#,
        ] {
            assert!(none_in_json(json.as_bytes()).is_err(), "{json}");
        }
        for url in ["/v1/accounts/order-4242424242424242/balance", "resource=order-4242424242424242&limit=5"] {
            assert!(none_in_parts("path", url).is_ok(), "{url}");
            // A log is told nothing of it all the same.
            assert_ne!(for_log(url), url);
        }
    }

    #[test]
    fn a_key_is_kept_as_it_came_or_as_its_hash() {
        assert_eq!(&*as_kept("message-4711".into()), "message-4711");
        let kept = as_kept("4242424242424242".into());
        assert!(kept.starts_with("sha256:") && kept.len() == 71 && !looks_like_card_number(&kept), "{kept}");
        assert_eq!(kept, as_kept("4242424242424242".into()));
        assert_ne!(kept, as_kept("5555555555554444".into()));
    }
}
