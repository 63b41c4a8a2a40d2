//! Money, credits, days and places in the words of papers: invoices, statements, reports.
//!
//! Exact: nothing is shortened on a paper. What cannot be said in the places there are is said to be about so much.
use billing::calendar::Date;
use billing::invoice::{Line, Party};
use billing::money::{Credits, Currency};
use billing::tax::{Country, Treatment};
use billing::time::Timestamp;
use billing::total::{TotalCredits, TotalMoney};

const MINUS: char = '\u{2212}';
/// Places of a unit price.
const UNIT_PLACES: u32 = 6;

/// `€12.50`, `CHF 12.50`, `¥1,250`.
pub fn money(money: impl Into<TotalMoney>) -> String {
    let money = money.into();
    let symbol = symbol(money.currency);
    let sign = if money.amount < 0 { MINUS.to_string() } else { String::new() };
    let unit = 10_u128.pow(money.currency.places());
    let amount = money.amount.unsigned_abs();
    let whole = thousands(amount / unit);
    match money.currency.places() {
        0 => format!("{sign}{symbol}{whole}"),
        places => {
            let width = usize::try_from(places).unwrap_or(2);
            format!("{sign}{symbol}{whole}.{:0width$}", amount % unit)
        }
    }
}

fn symbol(currency: Currency) -> String {
    match currency.as_str().to_ascii_uppercase().as_str() {
        "EUR" => "€".to_owned(),
        "USD" => "$".to_owned(),
        "GBP" => "£".to_owned(),
        "JPY" => "¥".to_owned(),
        code => format!("{code} "),
    }
}

/// `1234567` as `1,234,567`.
pub fn thousands(number: impl Into<u128>) -> String {
    let digits = number.into().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if 0 < place && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Whole credits, rounded up, for what is advised: `1,235`.
pub fn at_least(credits: Credits) -> String {
    let unit = Credits::MICROS.unsigned_abs();
    thousands(credits.at_least_zero().micros().unsigned_abs().div_ceil(unit))
}

/// All places there are: `1,234.000001`, `−12.5`.
pub fn credits(credits: impl Into<TotalCredits>) -> String {
    let credits = credits.into();
    let (sign, micros) = (credits < TotalCredits::ZERO, credits.micros().unsigned_abs());
    let unit = u128::from(Credits::MICROS.unsigned_abs());
    let mut text = if sign { MINUS.to_string() } else { String::new() };
    text.push_str(&thousands(micros / unit));
    if !micros.is_multiple_of(unit) {
        let places = format!("{:06}", micros % unit);
        text.push('.');
        text.push_str(places.trim_end_matches('0'));
    }
    text
}

/// The same with its sign, as what came and went is told.
pub fn signed(it: impl Into<TotalCredits>) -> String {
    let it = it.into();
    if it.is_positive() { format!("+{}", credits(it)) } else { credits(it) }
}

/// What one credit of a line costs: `€0.01`, `≈ €0.009524`. Nothing where there are no credits.
pub fn unit_price(line: &Line, currency: Currency) -> String {
    let (micros, net) = (i128::from(line.credits.micros()), i128::from(line.net));
    if micros <= 0 || net < 0 {
        return String::new();
    }
    // In units of the last place: net / 10^places per micros / 10^6 credits.
    let unit = 10_i128.pow(UNIT_PLACES);
    let (over, under) = (net * unit * i128::from(Credits::MICROS), micros * 10_i128.pow(currency.places()));
    let (exact, rounded) = (over % under == 0, (over + under / 2) / under);
    let mut places = format!("{:06}", rounded % unit);
    while currency.places() as usize + usize::from(currency.places() == 0) < places.len() && places.ends_with('0') {
        places.pop();
    }
    let whole = thousands((rounded / unit).unsigned_abs());
    let about = if exact { "" } else { "≈ " };
    match places.trim_end_matches('0') {
        "" if currency.places() == 0 => format!("{about}{}{whole}", symbol(currency)),
        _ => format!("{about}{}{whole}.{places}", symbol(currency)),
    }
}

/// `26 November 2026`, by the calendar of UTC.
pub fn day(at: Timestamp) -> String {
    date(Date::of(at))
}

pub fn date(it: Date) -> String {
    format!("{} {} {}", it.day, month(it.month), it.year)
}

pub fn month(number: u8) -> &'static str {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    MONTHS[usize::from(number).clamp(1, 12) - 1]
}

/// What the line of the tax is called: `VAT 21% (Lithuania)`.
pub fn tax_label(treatment: Treatment) -> String {
    match treatment {
        Treatment::Taxed(of, rate) => format!("VAT {rate}% ({})", country(of.as_str())),
        _ => "VAT 0%".to_owned(),
    }
}

/// Somebody's address, as it is written on a letter, and what they are known by.
pub fn address(party: &Party) -> Vec<String> {
    let city = format!("{} {}", party.postal_code, party.city);
    let tax_id = party.tax_id.as_ref().map(|it| format!("VAT {it}")).unwrap_or_default();
    let lines = [&party.street, city.trim(), country(&party.country), &tax_id, party.email.as_deref().unwrap_or("")];
    lines.into_iter().filter(|it| !it.is_empty()).map(str::to_owned).collect()
}

/// A country's name; what was written where it is none's code.
fn country(code: &str) -> &str {
    let known = code.parse::<Country>().ok();
    known.and_then(super::countries::name).unwrap_or(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use billing::money::Money;

    #[test]
    fn nothing_is_shortened() {
        for (micros, text) in
            [(0, "0"), (1, "0.000001"), (1_234_567_500_000, "1,234,567.5"), (-12_500_000, "−12.5"), (5_000_000, "5")]
        {
            assert_eq!(credits(Credits::from_micros(micros)), text);
        }
        assert_eq!(signed(Credits::whole(5)), "+5");
        let total = TotalCredits::from_micros(-10_i128.pow(20) - 1);
        assert_eq!(
            (credits(total), signed(-total)),
            ("−100,000,000,000,000.000001".into(), "+100,000,000,000,000.000001".into())
        );
        let dong = TotalMoney { amount: -10_i128.pow(21), currency: "vnd".parse().unwrap() };
        assert_eq!(money(dong), "−VND 1,000,000,000,000,000,000,000");
        for (needed, said) in [("12", "12"), ("12.000001", "13"), ("0.5", "1"), ("1234.5", "1,235")] {
            assert_eq!(at_least(needed.parse().unwrap()), said, "what is advised is enough");
        }
        for (amount, currency, text) in
            [(1_210, "eur", "€12.10"), (-5, "usd", "−$0.05"), (1_000, "jpy", "¥1,000"), (5, "kwd", "KWD 0.005")]
        {
            assert_eq!(money(Money { amount, currency: currency.parse().unwrap() }), text);
        }
    }

    #[test]
    fn an_address_names_its_country_wherever_that_is() {
        let party =
            |country: &str| Party { city: "Anywhere".to_owned(), country: country.to_owned(), ..Party::default() };
        for (code, name) in [("MX", "Mexico"), ("lt", "Lithuania"), ("EL", "Greece"), ("Atlantis", "Atlantis")] {
            assert_eq!(address(&party(code)), ["Anywhere", name]);
        }
    }

    #[test]
    fn a_credit_costs_what_it_costs_or_about_that() {
        for (credits, net, currency, text) in [
            (1_000, 1_000, "eur", "€0.01"),
            (5_250, 5_000, "eur", "≈ €0.009524"),
            (1_000, 0, "eur", "€0.00"),
            (1_000, 1_500, "jpy", "¥1.5"),
            (1_000, 3_000, "jpy", "¥3"),
            (1_000, 3_100, "kwd", "KWD 0.0031"),
            (0, 3_100, "kwd", ""),
        ] {
            let line = Line { text: String::new(), credits: Credits::whole(credits), net };
            assert_eq!(unit_price(&line, currency.parse().unwrap()), text, "{credits} for {net} {currency}");
        }
    }
}
