//! The rate card on paper: a TOML or JSON document in, a checked card or a list of faults out, and back to JSON.
//!
//! Both notations become one tree of nodes that remember where they stood, so every fault, of notation or of meaning,
//! names its line, column and field. Documents are strict: an unknown key is a fault, because a misspelt rule that is
//! quietly ignored is a wrong price. Knows nothing of stores, HTTP or the clock.
//!
//! Invariant: what `to_json` writes, `parse_json` reads back as an equal card.
mod node;
mod read;
mod write;

#[cfg(test)]
mod tests;

use billing::rating::RateCard;

pub use write::to_json;

/// The largest document read.
pub const DOCUMENT_BYTES_MAX: usize = 1 << 20;

/// The prices that Scrip comes with.
pub const DEFAULT: &str = include_str!("../../rate-card.toml");

/// Something wrong with a document, and where.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub struct DocumentFault {
    /// From 1; none when the fault has no place, such as a document that is too large.
    pub line: Option<usize>,
    /// From 1, in characters.
    pub column: Option<usize>,
    /// Such as `meters.ai_chat.rates[2].input_tokens`; empty for the document as a whole.
    pub field: String,
    /// Completes "`field` …".
    pub why: String,
}

impl std::fmt::Display for DocumentFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, "line {line}, column {column}: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "`{}` ", self.field)?;
        }
        f.write_str(&self.why)
    }
}

/// All faults, one a line.
pub fn in_lines(faults: &[DocumentFault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Reads a card written in TOML; all faults at once, in the order of the document.
pub fn parse_toml(text: &str) -> Result<RateCard, Vec<DocumentFault>> {
    parse(text, node::from_toml)
}

/// Reads a card written in JSON; all faults at once, in the order of the document.
pub fn parse_json(text: &str) -> Result<RateCard, Vec<DocumentFault>> {
    parse(text, node::from_json)
}

type Notation = fn(&str) -> Result<node::Node, node::Flaw>;

fn parse(text: &str, notation: Notation) -> Result<RateCard, Vec<DocumentFault>> {
    if DOCUMENT_BYTES_MAX < text.len() {
        let flaw = node::Flaw::new(None, "", format!("the document has more than {DOCUMENT_BYTES_MAX} bytes"));
        return Err(vec![located(text, flaw)]);
    }
    let flaws = match notation(text) {
        Ok(root) => match read::card(&root) {
            Ok(card) => return Ok(card),
            Err(flaws) => flaws,
        },
        Err(flaw) => vec![flaw],
    };
    let mut faults: Vec<DocumentFault> = flaws.into_iter().map(|it| located(text, it)).collect();
    faults.sort_by_key(|it| (it.line, it.column));
    Err(faults)
}

fn located(text: &str, flaw: node::Flaw) -> DocumentFault {
    let place = flaw.at.map(|at| {
        let before = text.get(..at).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |it| it + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    });
    let (line, column) = place.unzip();
    DocumentFault { line, column, field: flaw.field, why: flaw.why }
}
