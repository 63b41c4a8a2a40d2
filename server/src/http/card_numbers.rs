//! Card numbers, which have no business here: refused before anything reads, keeps or logs them, however they are
//! written. A path may write a digit as `%34` and JSON as `\u0034`; who reads either reads a digit.
use std::borrow::Cow;

use billing::payment::looks_like_card_number;

use super::problem::Problem;

/// Characters of the shortest card number, of which no path or id is made that holds one.
const LENGTH_MIN: usize = 12;

/// Refuses a text with a card number in it; `field` is where it stood.
pub fn none_in(field: &str, text: &str) -> Result<(), Problem> {
    if !looks_like_card_number(text) {
        return Ok(());
    }
    Err(Problem::invalid(field, "holds what looks like a card number; card numbers are typed into Stripe's page alone"))
}

/// The same for a path or a query: as it stands, and as it is read.
pub fn none_in_url(field: &str, text: &str) -> Result<(), Problem> {
    none_in(field, text)?;
    decoded(text).map_or(Ok(()), |it| none_in(field, &it))
}

/// The same for a body that is JSON, or a text that writes characters as JSON does.
pub fn none_in_json(body: &[u8]) -> Result<(), Problem> {
    none_in("body", &String::from_utf8_lossy(body))?;
    if body.contains(&b'\\') { none_in("body", &unescaped(body)) } else { Ok(()) }
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
            assert!(none_in_url("path", url).is_err(), "{url}");
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
}
