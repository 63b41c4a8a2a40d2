//! Counting while the text still flows.
//!
//! Must never know: models' names, messages. Invariant: [`Counter::finish`] equals the count of the whole text at once,
//! for every vocabulary and every way of cutting the text.
//!
//! A tokenizer first cuts text into pre-tokens (about a word each) and never merges across their borders. What comes
//! after such a border cannot change what came before it, so everything up to the last sure border is counted once and
//! forgotten. Only borders that hold in all shipped vocabularies are used; see [`is_border`].

use rayon::prelude::*;

use super::Tokenizer;

/// Up to this many bytes the unsettled tail is counted again at every push: the cost of a push stays constant.
const TAIL_EXACT_BYTES: usize = 256;

/// Long texts are counted in pieces of about this size, on all cores.
const PIECE_BYTES: usize = 64 << 10;

/// The count of a whole text; a long one is cut at sure borders, which changes the time and not the count.
pub(super) fn count_whole(tokenizer: &Tokenizer, text: &str) -> u64 {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut size = PIECE_BYTES;
    while size < rest.len() {
        let end = rest.floor_char_boundary(size);
        match last_border(&rest[..end], 0) {
            Some(border) => {
                let (piece, after) = rest.split_at(border);
                pieces.push(piece);
                rest = after;
                size = PIECE_BYTES;
            }
            // One very long word: look as far again, so that looking stays linear.
            None => size *= 2,
        }
    }
    pieces.push(rest);
    pieces.into_par_iter().map(|piece| tokenizer.count(piece)).sum()
}

/// Counts a text that arrives in pieces, in time linear in its length.
#[derive(Clone, Debug)]
pub struct Counter {
    tokenizer: Tokenizer,
    settled: u64,
    tail: String,
    /// Bytes and tokens of the tail when it was last counted.
    tail_counted: (usize, u64),
}

impl Counter {
    /// A counter for a model's reply or message.
    #[must_use]
    pub fn new(model: &str) -> Self {
        Self::with(Tokenizer::of_model(model))
    }

    /// A counter with a given tokenizer.
    #[must_use]
    pub fn with(tokenizer: Tokenizer) -> Self {
        Self { tokenizer, settled: 0, tail: String::new(), tail_counted: (0, 0) }
    }

    /// Adds text; returns the tokens so far.
    ///
    /// The running count is exact while the unsettled tail (since the last sure border: a word or so in most scripts)
    /// is short; in a very long word it is that of at least the first two thirds of it, so that pushing letter by
    /// letter stays linear. [`Counter::finish`] is always exact.
    pub fn push(&mut self, text: &str) -> u64 {
        let seen = self.tail.len();
        self.tail.push_str(text);
        if let Some(border) = last_border(&self.tail, seen) {
            self.settled += self.tokenizer.count(&self.tail[..border]);
            self.tail.drain(..border);
            self.tail_counted = (0, 0);
        }
        let (bytes, _) = self.tail_counted;
        let grown_by_half = bytes + bytes / 2 <= self.tail.len();
        if self.tail.len() <= TAIL_EXACT_BYTES || grown_by_half {
            self.tail_counted = (self.tail.len(), self.tokenizer.count(&self.tail));
        }
        self.settled + self.tail_counted.1
    }

    /// The exact count of all text pushed.
    #[must_use]
    pub fn finish(self) -> u64 {
        self.settled + self.tokenizer.count(&self.tail)
    }
}

/// The last sure border in `text`, looking no further back than the character before byte `seen`: earlier borders were
/// used when their text arrived.
fn last_border(text: &str, seen: usize) -> Option<usize> {
    let start = text[..seen].char_indices().next_back().map_or(0, |(at, _)| at);
    let mut next: Option<(usize, char)> = None;
    for (offset, character) in text[start..].char_indices().rev() {
        if let Some((at, after)) = next
            && is_border(character, after)
        {
            return Some(at);
        }
        next = Some((start + offset, character));
    }
    None
}

/// Whether every shipped vocabulary cuts between these two characters, whatever surrounds them.
///
/// - Anything but white space, then a space: in every pattern a space can only begin a pre-token or follow white space.
/// - A letter or digit, then a line end or ASCII punctuation other than the apostrophe, or CJK punctuation: runs of
///   letters and of digits hold neither, and only contractions (`'s`) follow letters into the same pre-token.
///
/// Letters are those whose class is beyond doubt (ASCII, kana, Han, Hangul); other scripts still have the spaces.
fn is_border(before: char, after: char) -> bool {
    match after {
        ' ' => !before.is_whitespace(),
        '\n' | '\r' | '\u{3001}' | '\u{3002}' | '\u{ff0c}' | '\u{ff1a}' | '\u{ff1b}' | '\u{ff01}' | '\u{ff1f}' => {
            is_plain_letter(before)
        }
        '\'' => false,
        _ => after.is_ascii_punctuation() && is_plain_letter(before),
    }
}

fn is_plain_letter(character: char) -> bool {
    matches!(character, 'a'..='z' | 'A'..='Z' | '0'..='9' | 'ぁ'..='ゖ' | 'ァ'..='ヺ' | '一'..='龥' | '가'..='힣')
}
