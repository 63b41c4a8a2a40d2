//! Numbers and times as people read them. Exact amounts stay exact elsewhere: what is shortened here carries the whole
//! value beside it.
//!
//! How credits are rounded, and why, is in `rounded`: pages and e-mails say the same of one amount.
use billing::money::Credits;
use billing::time::{Span, Timestamp};
use jiff::Zoned;
use jiff::tz::TimeZone;

pub use crate::service::printed::{money, thousands};
pub use crate::service::rounded::{have, signed, stands, used};

/// `part` of `whole` in thousandths, for the width of a bar.
pub fn thousandths(part: Credits, whole: Credits) -> u64 {
    let (part, whole) = (part.micros().max(0), whole.micros());
    if whole <= 0 {
        return 0;
    }
    u64::try_from(i128::from(part) * 1_000 / i128::from(whole)).unwrap_or(0).min(1_000)
}

/// `part` of `whole` as `34%`, and `<1%` for what is there and hardly shows. More than the whole is said to be more.
pub fn percent(part: Credits, whole: Credits) -> String {
    let (part, whole) = (part.micros().max(0), whole.micros());
    let exact = if whole <= 0 { 0 } else { i128::from(part) * 1_000 / i128::from(whole) };
    match exact {
        0 if part == 0 => "0%".to_owned(),
        0..10 => "<1%".to_owned(),
        it => format!("{}%", (it + 5) / 10),
    }
}

/// How much more or less than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `up`, `down` or `same`: also the class it is drawn by.
    pub direction: &'static str,
    pub text: String,
}

pub fn change(now: Credits, before: Credits) -> Option<Change> {
    if !before.is_positive() {
        return None;
    }
    let difference = i128::from((now - before).micros());
    let percent =
        (difference * 100 + difference.signum() * i128::from(before.micros()) / 2) / i128::from(before.micros());
    let (direction, text) = match percent {
        0 => ("same", "about the same".to_owned()),
        1..=400 => ("up", format!("{percent}% more")),
        // Beside next to nothing everything is a great deal more: that says nothing.
        401.. => return None,
        _ => ("down", format!("{}% less", -percent)),
    };
    Some(Change { direction, text })
}

pub fn zoned(at: Timestamp, zone: &TimeZone) -> Zoned {
    jiff::Timestamp::from_millisecond(at.millis()).unwrap_or(jiff::Timestamp::MAX).to_zoned(zone.clone())
}

/// `22 Nov 2026`.
pub fn day(at: Timestamp, zone: &TimeZone) -> String {
    zoned(at, zone).strftime("%-d %b %Y").to_string()
}
/// `22 Nov, 14:02`.
pub fn minute(at: Timestamp, zone: &TimeZone) -> String {
    zoned(at, zone).strftime("%-d %b, %H:%M").to_string()
}
/// `22 Nov 2026, 14:02`, for what may be long ago.
pub fn moment(at: Timestamp, zone: &TimeZone) -> String {
    zoned(at, zone).strftime("%-d %b %Y, %H:%M").to_string()
}
/// `14:02:11`.
pub fn clock(at: Timestamp, zone: &TimeZone) -> String {
    zoned(at, zone).strftime("%H:%M:%S").to_string()
}
/// `2026-11-22T14:02:11.000Z`, for machines.
pub fn exact(at: Timestamp) -> String {
    zoned(at, &TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

/// A length of time in the words one would use: `3 hours`, `11 days`, `2 years`.
pub fn span(span: Span) -> String {
    let (count, unit) = match span.millis().max(0) {
        it if it < 2 * Span::MINUTE.millis() => return "about a minute".to_owned(),
        it if it < 2 * Span::HOUR.millis() => (it / Span::MINUTE.millis(), "minutes"),
        it if it < 2 * Span::DAY.millis() => (it / Span::HOUR.millis(), "hours"),
        it if it < 90 * Span::DAY.millis() => (it / Span::DAY.millis(), "days"),
        it if it < 730 * Span::DAY.millis() => (it / (30 * Span::DAY.millis()), "months"),
        it => (it / (365 * Span::DAY.millis()), "years"),
    };
    format!("{count} {unit}")
}

/// What a refusal says, as a sentence of a page.
pub fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|it| it.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with(['.', '!', '?', '…']) || text.is_empty() { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

/// `ai_chat` as `Ai chat`: what a name says when nobody has given it a better one.
pub fn words(name: &str) -> String {
    let mut letters = name.replace(['_', '-'], " ");
    if let Some(first) = letters.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::money::{Currency, Money};
    use billing::total::TotalCredits;

    fn credits(text: &str) -> Credits {
        text.parse().expect("credits")
    }

    #[test]
    fn what_one_has_is_never_rounded_up_and_what_one_used_is_rounded() {
        for (text, as_have, as_used) in [
            ("0", "0.00", "0.00"),
            ("0.000004", "<0.01", "<0.01"),
            ("12.349999", "12.34", "12.35"),
            ("1234567.5", "1,234,567.50", "1,234,567.50"),
            ("999.999", "999.99", "1,000.00"),
            ("-67.166667", "\u{2212}67.17", "\u{2212}67.17"),
            ("-67.161", "\u{2212}67.17", "\u{2212}67.16"),
        ] {
            assert_eq!((have(credits(text)).as_str(), used(credits(text)).as_str()), (as_have, as_used));
        }
        // Of one amount every page says the same.
        assert_eq!(stands(credits("10884.777843")), format!("+{}", have(credits("10884.777843"))));
        assert_eq!(stands(-credits("10884.777843")), "\u{2212}10,884.77");
        assert_eq!(signed(-credits("3.5")), "\u{2212}3.50");
        assert_eq!(signed(credits("3.5")), "+3.50");
        let total = TotalCredits::from_micros(-12_345_678_901_234_567_899);
        assert_eq!((stands(total), have(total)), ("−12,345,678,901,234.56".into(), "−12,345,678,901,234.57".into()));
    }

    #[test]
    fn a_refusal_is_a_sentence() {
        for (said, sentence_) in [
            ("no such payment", "No such payment."),
            ("`days` must be a number", "`days` must be a number."),
            ("Please do.", "Please do."),
            ("", ""),
        ] {
            assert_eq!(sentence(said), sentence_);
        }
    }

    #[test]
    fn a_share_is_said_as_it_is_also_where_it_is_more_than_the_whole() {
        for (part, whole, said) in [
            ("0", "0", "0%"),
            ("5", "0", "<1%"),
            ("0.1", "100", "<1%"),
            ("34.4", "100", "34%"),
            ("115.2", "100", "115%"),
        ] {
            assert_eq!(percent(credits(part), credits(whole)), said, "{part} of {whole}");
        }
        assert_eq!(thousandths(credits("115.2"), credits("100")), 1_000, "no bar is longer than its place");
    }

    #[test]
    fn money_has_its_symbol_and_its_places() {
        let shown =
            |amount, code: &str| money(Money { amount, currency: code.parse::<Currency>().expect("a currency") });
        assert_eq!(shown(123_450, "eur"), "€1,234.50");
        assert_eq!(shown(-5, "usd"), "\u{2212}$0.05");
        assert_eq!(shown(1_250, "jpy"), "¥1,250");
        assert_eq!(shown(1_250, "chf"), "CHF 12.50");
    }

    #[test]
    fn a_change_is_said_in_words() {
        let said = |now, before| change(credits(now), credits(before)).map(|it| it.text);
        assert_eq!(said("5", "0"), None);
        assert_eq!(said("112", "100").as_deref(), Some("12% more"));
        assert_eq!(said("50", "100").as_deref(), Some("50% less"));
        assert_eq!(said("100.1", "100").as_deref(), Some("about the same"));
        assert_eq!(said("2000", "100"), None);
    }

    #[test]
    fn lengths_of_time_are_said_in_one_unit() {
        assert_eq!(span(Span::HOUR.times(30)), "30 hours");
        assert_eq!(span(Span::DAY.times(11)), "11 days");
        assert_eq!(span(Span::DAY.times(200)), "6 months");
    }
}
