//! One line of `.gitattributes`, read as Git reads it.
//!
//! Must never know: which attributes matter, files. Invariant: what Git passes over is none: comments, patterns that
//! begin with `!`, lines that are too long, and a line of which a single word is no attribute.

use std::sync::Arc;

use super::super::directory::readable;

/// Git passes over lines of this length.
const LINE_BYTES_MIN_IGNORED: usize = 2_048;
/// What ends a pattern, and stands between attributes; other white space is a part of names.
const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];
/// How the line begins that makes a word stand for several.
const MACRO: &str = "[attr]";
/// How names begin that Git keeps for itself.
const RESERVED: &str = "builtin_";

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'l> {
    pub of: Of,
    pub words: Vec<(&'l str, State)>,
}

/// What it says it of.
#[derive(Debug, PartialEq, Eq)]
pub enum Of {
    /// All paths that match.
    Pattern(String),
    /// All for which this name is set.
    Macro(String),
}

/// What a word says of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Set,
    /// `-name`
    Unset,
    /// `!name`: as if nothing had been said of it before.
    Unspecified,
    /// `name=value`
    Value(Arc<str>),
}

/// Reads a line; none where it says nothing.
pub fn read(line: &str) -> Option<Line<'_>> {
    if LINE_BYTES_MIN_IGNORED <= line.len() {
        return None;
    }
    let line = line.trim_start_matches(BLANK);
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (subject, rest) = match line.strip_prefix('"').and_then(unquoted) {
        Some(unquoted) => unquoted,
        // What begins like a quoted pattern and is none as C writes it is taken as it stands.
        None => {
            let end = line.find(BLANK).unwrap_or(line.len());
            (line[..end].to_owned(), &line[end..])
        }
    };
    let of = match subject.strip_prefix(MACRO) {
        Some(name) if !name.is_empty() => {
            let name = name.trim_start_matches(BLANK).split(BLANK).next().unwrap_or_default();
            is_name(name).then(|| Of::Macro(name.to_owned()))?
        }
        _ if subject.is_empty() || subject.starts_with('!') => return None,
        _ => Of::Pattern(subject),
    };
    let words = rest.split(BLANK).filter(|word| !word.is_empty()).map(word).collect::<Option<Vec<_>>>()?;
    Some(Line { of, words })
}

fn word(word: &str) -> Option<(&str, State)> {
    let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
    let (name, state) = match name.as_bytes().first() {
        Some(b'-') => (&name[1..], State::Unset),
        Some(b'!') => (&name[1..], State::Unspecified),
        _ => (name, value.map_or(State::Set, |value| State::Value(value.into()))),
    };
    (is_name(name) && !name.starts_with(RESERVED)).then_some((name, state))
}

fn is_name(name: &str) -> bool {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    !name.is_empty() && !name.starts_with('-') && name.bytes().all(is_of_name)
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
