//! The scan: bytes and marks in, lines of code and bytes of code out.
//!
//! Must never know: languages by name (but for what a page embeds). Invariant: every byte is looked at once, by a
//! bounded number of comparisons.
//!
//! A line is code if anything on it is neither white space nor comment. Bytes of code are those that make it so:
//! neither white space nor in comments. Lines end with LF; a CR before it is white space.

use tokei::LanguageType;

use super::syntax::{Mark, Opens, Place, Syntax};

/// What a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    pub code: u64,
    pub comment: u64,
    pub blank: u64,
    pub code_bytes: u64,
}

impl Lines {
    pub fn add(&mut self, other: Self) {
        self.code += other.code;
        self.comment += other.comment;
        self.blank += other.blank;
        self.code_bytes += other.code_bytes;
    }
}

/// Where the scan is between two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    Code,
    Comment { start: &'static str, end: &'static str, depth: u32, nests: bool },
    Text { end: &'static str, escapes: bool, lines: bool },
}

/// A line, while it is scanned.
#[derive(Default)]
struct Line {
    code: bool,
    comment: bool,
    bytes: u64,
}

/// Counts a text.
pub fn scan(text: &[u8], syntax: &Syntax) -> Lines {
    let mut lines = Lines::default();
    let mut inside = Inside::Code;
    let mut embedded: Option<Embedded> = None;
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    if text.is_empty() {
        return lines;
    }
    for bytes in text.split(|byte| *byte == b'\n') {
        if let Some(part) = embedded.take_if(|part| contains(bytes, part.end)) {
            // The closing tag's line is the page's; an unclosed comment of the part ends with it.
            drop(part);
            inside = Inside::Code;
        }
        let current = embedded.as_ref().map_or(syntax, |part| &part.syntax);
        let mut line = Line::default();
        inside = scan_line(bytes, current, inside, &mut line);
        if line.code {
            lines.code += 1;
            lines.code_bytes += line.bytes;
        } else if line.comment {
            lines.comment += 1;
        } else {
            lines.blank += 1;
        }
        if syntax.embeds && embedded.is_none() && !matches!(inside, Inside::Comment { .. }) {
            embedded = Embedded::opened_by(bytes);
            if embedded.is_some() {
                inside = Inside::Code;
            }
        }
    }
    lines
}

/// A part of a page in another language.
struct Embedded {
    end: &'static [u8],
    syntax: Syntax,
}

impl Embedded {
    fn opened_by(line: &[u8]) -> Option<Self> {
        let opened = |start: &[u8], end: &[u8]| contains(line, start) && !contains(line, end);
        if opened(b"<script", b"</script") {
            return Some(Self { end: b"</script", syntax: Syntax::of(LanguageType::JavaScript) });
        }
        if opened(b"<style", b"</style") {
            return Some(Self { end: b"</style", syntax: Syntax::of(LanguageType::Css) });
        }
        None
    }
}

fn contains(line: &[u8], needle: &[u8]) -> bool {
    line.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
}

fn scan_line(bytes: &[u8], syntax: &Syntax, mut inside: Inside, line: &mut Line) -> Inside {
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if is_space(byte) {
            at += 1;
            continue;
        }
        let rest = &bytes[at..];
        match inside {
            Inside::Comment { start, end, depth, nests } => {
                line.comment = true;
                let (used, depth) = step_comment(rest, (start, end), depth, nests);
                at += used;
                inside = if depth == 0 { Inside::Code } else { Inside::Comment { start, end, depth, nests } };
            }
            Inside::Text { end, escapes, .. } => {
                let closes = rest.starts_with(end.as_bytes());
                let escaped = escapes && byte == b'\\' && !closes;
                let used = if closes { end.len() } else { 1 + usize::from(escaped && 1 < rest.len()) };
                line.code = true;
                line.bytes += used as u64;
                at += used;
                if closes {
                    inside = Inside::Code;
                }
            }
            Inside::Code => {
                let (used, opened) = step_code(bytes, at, syntax, line);
                at += used;
                inside = opened;
            }
        }
    }
    match inside {
        // A string that may not run on ends here, unless its last byte escapes the line end.
        Inside::Text { lines: false, .. } if bytes.trim_ascii_end().last() != Some(&b'\\') => Inside::Code,
        inside => inside,
    }
}

/// Bytes used, and the depth after them.
fn step_comment(rest: &[u8], marks: (&str, &str), depth: u32, nests: bool) -> (usize, u32) {
    let (start, end) = marks;
    if rest.starts_with(end.as_bytes()) {
        return (end.len(), depth - 1);
    }
    if nests && rest.starts_with(start.as_bytes()) {
        return (start.len(), depth + 1);
    }
    (1, depth)
}

/// Bytes used, and where the scan is after them.
fn step_code(bytes: &[u8], at: usize, syntax: &Syntax, line: &mut Line) -> (usize, Inside) {
    let rest = &bytes[at..];
    let first_on_line = !line.code && !line.comment;
    let mark = match syntax.begins[usize::from(rest[0])] {
        true => syntax.marks.iter().find(|mark| fits(mark, rest, at, first_on_line)),
        false => None,
    };
    let code = |line: &mut Line, used: usize| {
        line.code = true;
        line.bytes += used as u64;
    };
    let Some(mark) = mark else {
        let used = if syntax.characters { character(rest) } else { 1 };
        code(line, used);
        return (used, Inside::Code);
    };
    let (start, used) = (mark.start, mark.start.len());
    match mark.opens {
        Opens::Line => {
            line.comment = true;
            (rest.len(), Inside::Code)
        }
        Opens::Block { end, nests } => {
            line.comment = true;
            (used, Inside::Comment { start, end, depth: 1, nests })
        }
        Opens::Doc { end } if first_on_line => {
            line.comment = true;
            (used, Inside::Comment { start, end, depth: 1, nests: false })
        }
        Opens::Doc { end } => {
            code(line, used);
            (used, Inside::Text { end, escapes: true, lines: true })
        }
        Opens::Text { end, escapes, lines } => {
            code(line, used);
            (used, Inside::Text { end, escapes, lines })
        }
    }
}

fn fits(mark: &Mark, rest: &[u8], at: usize, first_on_line: bool) -> bool {
    let start = mark.start.as_bytes();
    let matches = match mark.place {
        Place::FirstWord => start.len() <= rest.len() && rest[..start.len()].eq_ignore_ascii_case(start),
        _ => rest.starts_with(start),
    };
    matches
        && match mark.place {
            Place::Anywhere => true,
            Place::FirstColumn => at == 0,
            Place::FirstWord => {
                first_on_line
                    && (start.last().is_some_and(|byte| is_space(*byte))
                        || rest.get(start.len()).is_none_or(|byte| !byte.is_ascii_alphanumeric()))
            }
        }
}

/// Bytes of a character in single quotes (`'"'`, `'\''`), else one byte.
fn character(rest: &[u8]) -> usize {
    match rest {
        [b'\'', b'\\', _, b'\'', ..] => 4,
        [b'\'', byte, b'\'', ..] if *byte != b'\'' => 3,
        _ => 1,
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}
