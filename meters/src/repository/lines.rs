//! One file's content in, its verdict out: counted, or excluded and why.
//!
//! Must never know: other files. Invariant: time is linear in the content, whatever it holds.

mod language;
mod names;
mod scan;
mod syntax;

use serde_json::Value;
use tokei::LanguageType;

use super::attributes::Said;
use super::generated;
use super::rules::{Reason, is_configuration};
use super::snapshot::FileCount;
use scan::Lines;
use syntax::Syntax;

/// Counter and version, part of every evidence. The syntax tables (which marks begin a comment or a string) and the
/// languages' names and extensions are tokei's; the scan is Scrip's own, because it needs the bytes of code, too.
pub const COUNTER_VERSION: &str = "scrip-lines 1 with the tables of tokei 15.0.0";

/// A line of code for every started so many bytes of code, at least.
const BYTES_PER_LINE: u64 = 120;
/// Binary files have a NUL early, as Git and Linguist judge.
const BINARY_PROBE_BYTES: usize = 8000;

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Counted(FileCount),
    Excluded(Reason),
}

/// Judges a file by its content.
pub fn judge(path: &str, content: &[u8], said: &Said, sha256: fn(&[u8]) -> String) -> Verdict {
    if content.starts_with(b"version https://git-lfs.github.com/spec/") && content.len() < 1024 {
        return Verdict::Excluded(Reason::LfsPointer);
    }
    let Some(text) = as_utf8(content) else { return Verdict::Excluded(Reason::Binary) };
    let Some(language) = language::of(path, &text, said.language.as_deref()) else {
        return Verdict::Excluded(Reason::Unsupported);
    };
    let wanted = said.detectable == Some(true);
    if language::is_prose(language) && !wanted && said.documentation != Some(false) {
        return Verdict::Excluded(Reason::Documentation);
    }
    if language::is_data(language) && !wanted && !is_configuration(path) {
        return Verdict::Excluded(Reason::Data);
    }
    if said.generated.is_none() && generated::says_so(path, &text) {
        return Verdict::Excluded(Reason::Generated);
    }
    let lines = match language {
        LanguageType::Jupyter => notebook(&text),
        _ => scan::scan(&text, &Syntax::of(language)),
    };
    Verdict::Counted(FileCount {
        language: language.name().to_owned(),
        lines: lines.code.max(lines.code_bytes.div_ceil(BYTES_PER_LINE)),
        sha256: sha256(content),
    })
}

/// The text as bytes of UTF-8 (or of any encoding that holds ASCII); none when it is binary. UTF-16, which begins with
/// a mark, is converted.
fn as_utf8(content: &[u8]) -> Option<std::borrow::Cow<'_, [u8]>> {
    let wide = |pair: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = content[2..].chunks_exact(2).map(|two| pair([two[0], two[1]])).collect();
        Some(String::from_utf16_lossy(&units).into_bytes().into())
    };
    match content {
        [0xff, 0xfe, 0, 0, ..] => None,
        [0xff, 0xfe, ..] => wide(u16::from_le_bytes),
        [0xfe, 0xff, ..] => wide(u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] if !is_binary(rest) => Some(rest.into()),
        _ if is_binary(content) => None,
        _ => Some(content.into()),
    }
}

fn is_binary(content: &[u8]) -> bool {
    content[..content.len().min(BINARY_PROBE_BYTES)].contains(&0)
}

/// The code cells of a notebook, counted as Python or the language that it names.
fn notebook(text: &[u8]) -> Lines {
    let Ok(notebook) = serde_json::from_slice::<Value>(text) else { return Lines::default() };
    let named = notebook.pointer("/metadata/kernelspec/language").and_then(Value::as_str);
    let language = named.and_then(language::by_name).unwrap_or(LanguageType::Python);
    let syntax = Syntax::of(language);
    let mut lines = Lines::default();
    for cell in notebook.get("cells").and_then(Value::as_array).into_iter().flatten() {
        if cell.get("cell_type").and_then(Value::as_str) != Some("code") {
            continue;
        }
        let source = match cell.get("source") {
            Some(Value::Array(parts)) => parts.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(whole)) => whole.clone(),
            _ => String::new(),
        };
        lines.add(scan::scan(source.as_bytes(), &syntax));
    }
    lines
}
