//! Numbers as people type them: digits, decimals after a point, and thousands apart where it is plain that they are.
//! The one reader of all forms.
//!
//! Invariant: what may be meant in two ways is nobody's to guess. It is refused, and the refusal says how to write it.
use billing::Refusal;
use billing::money::{Credits, Currency, Money};

/// Decimals that credits have at most.
const CREDITS_PLACES: usize = 6;

/// Credits of a form's field.
pub fn credits(field: &str, text: &str) -> Result<Credits, Refusal> {
    let number = plain(text, CREDITS_PLACES).map_err(|why| Refusal::invalid(field, why))?;
    number.parse().map_err(|why| Refusal::invalid(field, why))
}

/// Credits as they stand in a form: read back as what they were.
pub fn typed(credits: Credits) -> String {
    let text = credits.to_string();
    if plain(&text, CREDITS_PLACES).is_ok() { text } else { format!("{text}0") }
}

/// An amount of money of a form's field, such as `12.50`: exact, or not one.
pub fn money(field: &str, text: &str, currency: Currency) -> Result<Money, Refusal> {
    let places = currency.places() as usize;
    let number = plain(text, places).map_err(|why| Refusal::invalid(field, why))?;
    let (whole, part) = number.split_once('.').unwrap_or((&number, ""));
    let digits = format!("{whole}{part:0<places$}");
    let amount = digits.parse().ok().filter(|it: &i64| part.len() <= places && 0 <= *it);
    let such = if places == 0 { "1250" } else { "12.50" };
    let amount = amount.ok_or_else(|| Refusal::invalid(field, format!("must be an amount such as {such}")))?;
    Ok(Money { amount, currency })
}

/// The same number with nothing in it but digits and a point. Three digits after a point are thousandths where there
/// are just as many decimals, as money of some currencies has; with fewer they can only be thousands, and with more
/// they may be either.
fn plain(text: &str, places: usize) -> Result<String, String> {
    let text = text.trim();
    let (sign, number) = text.strip_prefix('-').map_or(("", text), |it| ("-", it));
    let (whole, part) = number.split_once('.').map_or((number, None), |(whole, part)| (whole, Some(part)));
    let Some(digits) = ungrouped(whole).filter(|_| part.is_none_or(is_digits)) else {
        return Err(format!("cannot be read. {}", advice(number)));
    };
    let Some(part) = part else { return Ok(format!("{sign}{digits}")) };
    let is_group = whole.len() <= 3 && !whole.starts_with('0') && part.len() == 3;
    if is_group && places < 3 {
        return Err(format!("cannot be read. Write thousands without points: {whole}{part}"));
    }
    if is_group && 3 < places {
        let (thousands, short) = (format!("{whole}{part}"), part.trim_end_matches('0'));
        let meant = if short.is_empty() { whole.to_owned() } else { format!("{whole}.{short}") };
        let written = if short.len() == 3 { format!("{meant}0") } else { meant.clone() };
        return Err(format!("cannot be read. Is it {thousands} or {meant}? Write {thousands} or {written}"));
    }
    Ok(format!("{sign}{digits}.{part}"))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit())
}

/// Digits, thousands apart or not, without what parts them: a comma, a space, an apostrophe.
fn ungrouped(whole: &str) -> Option<String> {
    if is_digits(whole) {
        return Some(whole.to_owned());
    }
    let mut groups = whole.split([',', ' ', '\'', '\u{2019}', '\u{a0}', '\u{202f}']);
    let first = groups.next().filter(|it| is_digits(it) && it.len() <= 3 && !it.starts_with('0'))?;
    groups.try_fold(first.to_owned(), |digits, it| (is_digits(it) && it.len() == 3).then(|| digits + it))
}

/// How to write what cannot be read.
fn advice(number: &str) -> String {
    let points_apart = |text: &str| ungrouped(&text.replace('.', ","));
    let decimals = number.rsplit_once(',').filter(|it| is_digits(it.1));
    let decimals = decimals.and_then(|(whole, part)| Some((points_apart(whole)?, part)));
    match (decimals, points_apart(number)) {
        (Some((whole, part)), _) => format!("Write decimals with a point: {whole}.{part}"),
        (_, Some(digits)) => format!("Write thousands without points: {digits}"),
        _ => "Type a number, such as 2500".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plain_is_read() {
        for (text, is) in [
            ("2500", "2500"),
            (" 2500 ", "2500"),
            ("2500.5", "2500.5"),
            ("0.125", "0.125"),
            ("1000.125", "1000.125"),
            ("1.2340", "1.2340"),
            ("12.50", "12.50"),
            ("1,000", "1000"),
            ("12 500", "12500"),
            ("1'234'567.89", "1234567.89"),
            ("1,000.125", "1000.125"),
            ("1\u{a0}000", "1000"),
            ("1\u{202f}000\u{202f}000", "1000000"),
            ("-5", "-5"),
        ] {
            assert_eq!(plain(text, CREDITS_PLACES).as_deref(), Ok(is), "{text}");
        }
    }

    #[test]
    fn what_may_be_meant_in_two_ways_is_asked_about() {
        for (text, says) in [
            ("2500,5", "Write decimals with a point: 2500.5"),
            ("12,5", "Write decimals with a point: 12.5"),
            ("50,00", "Write decimals with a point: 50.00"),
            ("0,125", "Write decimals with a point: 0.125"),
            ("1.000,50", "Write decimals with a point: 1000.50"),
            ("1.234,567", "Write decimals with a point: 1234.567"),
            ("1 000,5", "Write decimals with a point: 1000.5"),
            ("1.000", "Is it 1000 or 1? Write 1000 or 1"),
            ("12.500", "Is it 12500 or 12.5? Write 12500 or 12.5"),
            ("1.234", "Is it 1234 or 1.234? Write 1234 or 1.2340"),
            ("1.000.000", "Write thousands without points: 1000000"),
            ("", "Type a number, such as 2500"),
            ("abc", "Type a number, such as 2500"),
            ("1 00", "Type a number, such as 2500"),
            (".5", "Type a number, such as 2500"),
            ("5.", "Type a number, such as 2500"),
            ("1e3", "Type a number, such as 2500"),
            ("--1", "Type a number, such as 2500"),
            ("٣", "Type a number, such as 2500"),
        ] {
            assert_eq!(plain(text, CREDITS_PLACES), Err(format!("cannot be read. {says}")), "{text}");
        }
    }

    #[test]
    fn credits_in_a_form_are_read_back_as_what_they_were() {
        for text in ["0", "1000", "12.5", "1.234", "999.999", "0.001", "1234.567", "0.000004"] {
            let it: Credits = text.parse().expect("credits");
            assert_eq!(credits("credits", &typed(it)), Ok(it), "{text}");
        }
    }

    #[test]
    fn money_is_exact_or_refused() {
        let amount = |text, of: &str| money("price", text, of.parse().expect("a currency")).ok().map(|it| it.amount);
        for (text, euro, yen, dinar) in [
            ("12.50", Some(1_250), None, Some(12_500)),
            ("12.5", Some(1_250), None, Some(12_500)),
            ("12", Some(1_200), Some(12), Some(12_000)),
            ("1,000", Some(100_000), Some(1_000), Some(1_000_000)),
            ("12.500", None, None, Some(12_500)),
            ("50,00", None, None, None),
            ("0.005", None, None, Some(5)),
            ("12.", None, None, None),
            (".5", None, None, None),
            ("-1", None, None, None),
            ("1e3", None, None, None),
            ("99999999999999999999", None, None, None),
        ] {
            assert_eq!((amount(text, "eur"), amount(text, "jpy"), amount(text, "kwd")), (euro, yen, dinar), "{text}");
        }
    }
}
