//! Text from anywhere, made fit to be printed. It stays the text it was as far as anybody can see.
//!
//! PDF/A forbids letters that no font draws; one such letter would cost the whole paper. Letters that turn the
//! direction of others around could make a total read backwards. Words without an end would run over what stands beside
//! them.
use crate::fonts::{draws, first_draws};

/// More of one value than this is cut off, with an ellipsis to say so: the attachment has all of it.
const LETTERS_MAX: usize = 240;
/// A word this long may be broken anywhere; every so many letters it is told that it may.
const WORD_MAX: usize = 22;
const BREAK_HERE: char = '\u{200b}';
const BOX: char = '\u{25a1}';

/// Like [`printable`], of letters that stand by themselves in the first font: these can be set whatever is beside them.
pub fn plain(text: &str) -> String {
    let boxed = |it: char| if stands_alone(it) { it } else { BOX };
    printable(text).chars().filter(|it| *it != BREAK_HERE).map(boxed).collect()
}

/// Whether [`plain`] would leave a text as it is.
pub fn is_plain(text: &str) -> bool {
    printable(text).chars().all(|it| it == BREAK_HERE || it == BOX || stands_alone(it))
}

/// A letter of the European alphabets that the first font draws, or a sign that what papers say is written with: an
/// amount without its sign is another amount.
fn stands_alone(letter: char) -> bool {
    match letter {
        ' '..='~' => true,
        '£' | '¥' | '§' | '°' | '·' | '×' | '−' | '–' | '—' | '‘' | '’' | '“' | '”' | '…' | '€' | '≈' => {
            first_draws(letter)
        }
        it => it.is_alphabetic() && it < '\u{0530}' && first_draws(it),
    }
}

pub fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let (mut letters, mut word) = (0, 0);
    for letter in text.chars() {
        let Some(letter) = shown(letter) else { continue };
        if letter == ' ' && (clean.is_empty() || clean.ends_with(' ')) {
            continue;
        }
        if letters == LETTERS_MAX {
            clean.push('…');
            break;
        }
        letters += 1;
        word = if letter == ' ' || letter == '-' { 0 } else { word + 1 };
        if WORD_MAX < word && (word - 1) % (WORD_MAX / 2) == 0 && !joins(letter) {
            clean.push(BREAK_HERE);
        }
        clean.push(letter);
    }
    clean
}

/// The letter as it is printed; none for one that is not seen.
fn shown(letter: char) -> Option<char> {
    match letter {
        // Joiners shape some scripts, and emoji.
        '\u{200c}' | '\u{200d}' => draws(letter).then_some(letter),
        // Directions turned around, and other things nobody sees.
        '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' => None,
        '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}' => None,
        '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}' | '\u{1f3fb}'..='\u{1f3ff}' => None,
        it if it.is_whitespace() || it.is_control() => Some(' '),
        '\u{e000}'..='\u{f8ff}' | '\u{f0000}'.. => Some(BOX),
        it if draws(it) => Some(it),
        _ => Some(BOX),
    }
}

/// A mark that belongs to the letter before.
fn joins(letter: char) -> bool {
    matches!(letter, '\u{0300}'..='\u{036f}' | '\u{0591}'..='\u{05c7}' | '\u{0610}'..='\u{061a}'
        | '\u{064b}'..='\u{065f}'
        | '\u{0900}'..='\u{0903}' | '\u{093a}'..='\u{094f}' | '\u{0e31}'..='\u{0e3a}' | '\u{0e47}'..='\u{0e4e}'
        | '\u{200c}' | '\u{200d}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_made_fit_to_be_printed() {
        for (given, printed) in [
            ("Ada Lovelace & Sons", "Ada Lovelace & Sons"),
            ("#set text(red); *bold* $x$ <a> @b \\n", "#set text(red); *bold* $x$ <a> @b \\n"),
            ("  two\nlines\tand\u{0}nothing ", "two lines and nothing "),
            ("\u{202e}00.001 RUE\u{202c}", "00.001 RUE"),
            ("Ødegård Žemaitė Ελλάδα Київ", "Ødegård Žemaitė Ελλάδα Київ"),
            ("שלום עולם", "שלום עולם"),
            ("株式会社 주식회사 有限公司", "株式会社 주식회사 有限公司"),
            ("🚀 rocket", "🚀 rocket"),
            ("\u{e001}\u{13000}", "□□"),
        ] {
            assert_eq!(printable(given), printed, "{given:?}");
        }
    }

    #[test]
    fn plain_text_keeps_the_signs_of_amounts() {
        for (given, printed) in [
            ("€60.50 paid", "€60.50 paid"),
            ("−4,312.504212", "−4,312.504212"),
            (
                "1 – 30 November… ≈ “£5” and ¥5, the customer’s — 2 × 3 · 4",
                "1 – 30 November… ≈ “£5” and ¥5, the customer’s — 2 × 3 · 4",
            ),
            ("Žemaitė \u{301}株", "Žemaitė □□"),
        ] {
            assert_eq!((&*plain(given), is_plain(given)), (printed, given == printed), "{given:?}");
        }
    }

    #[test]
    fn what_never_ends_is_broken_and_cut() {
        let long = printable(&"x".repeat(10_000));
        assert_eq!(long.chars().filter(|it| *it == 'x').count(), LETTERS_MAX);
        assert!(long.ends_with('…'));
        assert!(long.split(BREAK_HERE).all(|it| it.chars().count() <= WORD_MAX + 1), "{long}");
        assert_eq!(printable("payment_01jd4242424242424242z"), "payment_01jd4242424242\u{200b}424242z");
    }
}
