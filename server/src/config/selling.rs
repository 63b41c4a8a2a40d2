//! What the operator decided of selling: rates of VAT, and what one purchase may cost.
use std::collections::HashMap;

use billing::calendar::Date;
use billing::money::Currency;
use billing::tax::{Country, Rate, Rates};
use billing::time::Timestamp;
use toml::{Table, Value};

use crate::service::{chargeable, purchase_bounds};

/// `LT = "21"`, `EE = { rate = "24", from = "2025-07-01" }`, or a list of these: what holds from which day on, by the
/// calendar of UTC.
///
/// # Errors
/// Names the country at fault.
pub fn rates(said: &Table) -> Result<Rates, String> {
    let mut rates = Rates::default();
    for (code, said) in said {
        let country = code.parse::<Country>().ok().filter(|it| it.vat().is_some());
        let country = country.ok_or_else(|| {
            format!("vat.{code}: is no member state of the European Union; VAT is reckoned for those alone")
        })?;
        let one = std::slice::from_ref(said);
        for entry in said.as_array().map_or(one, Vec::as_slice) {
            let (from, rate) = rate_from(entry).map_err(|why| format!("vat.{code}: {why}"))?;
            if !rates.set(country, from, rate) {
                return Err(format!("vat.{code}: says two rates from the same day on"));
            }
        }
    }
    Ok(rates)
}

fn rate_from(said: &Value) -> Result<(Timestamp, Rate), String> {
    let Some(entry) = said.as_table() else { return Ok((Timestamp::EPOCH, rate(said)?)) };
    if let Some(unknown) = entry.keys().find(|it| !["rate", "from"].contains(&it.as_str())) {
        return Err(format!("`{unknown}` is none of `rate` and `from`"));
    }
    let percent = entry.get("rate").ok_or("says no `rate`")?;
    let from = match entry.get("from") {
        None => Timestamp::EPOCH,
        Some(said) => {
            let text = said.as_str().map_or_else(|| said.to_string(), str::to_owned);
            text.parse::<Date>().map_err(|_| format!("`{text}` is not a day such as \"2027-01-01\""))?.start()
        }
    };
    Ok((from, rate(percent)?))
}

fn rate(said: &Value) -> Result<Rate, String> {
    let text = exact(said);
    let read = text.as_deref().and_then(|it| it.parse().ok());
    read.ok_or_else(|| {
        format!("`{}` is not percent from 0 to 100 such as \"25.5\"", text.unwrap_or_else(|| said.to_string()))
    })
}

/// A number that is exact: in quotes, or whole.
fn exact(said: &Value) -> Option<String> {
    said.as_str().map(str::to_owned).or_else(|| said.as_integer().map(|it| it.to_string()))
}

/// `[purchase.eur]` with `minimum` and `maximum` in whole units of the currency; either may be left out.
///
/// # Errors
/// Names the currency at fault.
pub fn bounds(said: &Table) -> Result<HashMap<Currency, (i64, i64)>, String> {
    let mut all = HashMap::new();
    for (code, said) in said {
        let currency: Currency =
            code.parse().map_err(|_| format!("purchase.{code}: is not an ISO 4217 code such as eur"))?;
        let at = |key: &str, why: &str| format!("purchase.{code}.{key}: {why}");
        let said = said.as_table().ok_or_else(|| format!("purchase.{code}: must say a minimum, a maximum or both"))?;
        let (mut least, mut most) = purchase_bounds(currency);
        for (key, value) in said {
            let bound = match key.as_str() {
                "minimum" => &mut least,
                "maximum" => &mut most,
                _ => return Err(at(key, "is none of minimum and maximum")),
            };
            let amount = exact(value).and_then(|it| minor_units(&it, currency));
            *bound = amount.ok_or_else(|| at(key, "must be an amount of the currency such as \"12.50\""))?;
        }
        let (floor, ceiling) = chargeable(currency);
        if least < floor {
            return Err(at("minimum", "is less than a card can be charged"));
        }
        if ceiling < most {
            return Err(at("maximum", "is more than a card can be charged"));
        }
        if most < least {
            let (key, other) =
                if said.contains_key("minimum") { ("minimum", "maximum") } else { ("maximum", "minimum") };
            let other = format!("leaves nothing to buy: the {other} is on the other side of it");
            return Err(at(key, &other));
        }
        if all.insert(currency, (least, most)).is_some() {
            return Err(format!("purchase.{code}: is said twice"));
        }
    }
    Ok(all)
}

fn minor_units(text: &str, currency: Currency) -> Option<i64> {
    let places = usize::try_from(currency.places()).ok()?;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |it: &str| it.bytes().all(|it| it.is_ascii_digit());
    if whole.is_empty() || text.ends_with('.') || places < part.len() || !is_number(whole) || !is_number(part) {
        return None;
    }
    format!("{whole}{part:0<places$}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong<T: std::fmt::Debug>(read: impl Fn(&Table) -> Result<T, String>, text: &str) -> String {
        read(&text.parse().unwrap()).expect_err(text)
    }

    #[test]
    fn rates_are_said_for_ever_or_from_a_day_on() {
        let said = "LT = 22\nEE = { rate = \"25.5\", from = \"2027-01-01\" }\n\
            FI = [{ rate = \"26\" }, { rate = \"24.25\", from = 2027-01-01 }]";
        let rates = rates(&said.parse().unwrap()).unwrap();
        let (before, after) = ("2026-12-31".parse::<Date>().unwrap(), "2027-01-01".parse::<Date>().unwrap());
        for (country, on, rate) in [
            ("LT", before, 2_200),
            ("EE", before, 2_400),
            ("EE", after, 2_550),
            ("FI", before, 2_600),
            ("FI", after, 2_425),
            ("DE", after, 1_900),
        ] {
            assert_eq!(rates.at(country.parse().unwrap(), on.start()), Some(Rate(rate)), "{country} on {on}");
        }
    }

    #[test]
    fn a_rate_that_is_none_is_named() {
        for (text, why) in [
            ("US = 5", "vat.US: is no member state of the European Union; VAT is reckoned for those alone"),
            (
                "Lithuania = 21",
                "vat.Lithuania: is no member state of the European Union; VAT is reckoned for those alone",
            ),
            ("LT = 21.5", "vat.LT: `21.5` is not percent from 0 to 100 such as \"25.5\""),
            ("LT = -1", "vat.LT: `-1` is not percent from 0 to 100 such as \"25.5\""),
            ("LT = \"21%\"", "vat.LT: `21%` is not percent from 0 to 100 such as \"25.5\""),
            ("LT = { from = \"2027-01-01\" }", "vat.LT: says no `rate`"),
            ("LT = { rate = 21, from = \"2027-02-30\" }", "vat.LT: `2027-02-30` is not a day such as \"2027-01-01\""),
            ("LT = { rate = 21, until = 1 }", "vat.LT: `until` is none of `rate` and `from`"),
            ("LT = [{ rate = 21 }, { rate = 22 }]", "vat.LT: says two rates from the same day on"),
            ("GR = 24\nEL = 25", "vat.GR: says two rates from the same day on"),
        ] {
            assert_eq!(wrong(rates, text), why);
        }
    }

    #[test]
    fn bounds_of_a_purchase_are_of_a_currency() {
        let said = "eur = { minimum = \"2.50\", maximum = 500 }\nKRW = { maximum = 2000000 }";
        let found = bounds(&said.parse().unwrap()).unwrap();
        let of = |it: &str| found.get(&it.parse().unwrap()).copied();
        assert_eq!((of("eur"), of("krw"), of("usd")), (Some((250, 50_000)), Some((50, 2_000_000)), None));
        for (text, why) in [
            ("euro = {}", "purchase.euro: is not an ISO 4217 code such as eur"),
            ("eur = 5", "purchase.eur: must say a minimum, a maximum or both"),
            ("eur = { least = 5 }", "purchase.eur.least: is none of minimum and maximum"),
            ("eur = { minimum = 2.5 }", "purchase.eur.minimum: must be an amount of the currency such as \"12.50\""),
            (
                "jpy = { minimum = \"60.5\" }",
                "purchase.jpy.minimum: must be an amount of the currency such as \"12.50\"",
            ),
            ("eur = { minimum = \"0.49\" }", "purchase.eur.minimum: is less than a card can be charged"),
            ("eur = { maximum = 999999 }", "purchase.eur.maximum: is more than a card can be charged"),
            (
                "eur = { minimum = 20, maximum = 10 }",
                "purchase.eur.minimum: leaves nothing to buy: the maximum is on the other side of it",
            ),
            (
                "eur = { maximum = 2 }",
                "purchase.eur.maximum: leaves nothing to buy: the minimum is on the other side of it",
            ),
            ("eur = {}\nEUR = {}", "purchase.eur: is said twice"),
        ] {
            assert_eq!(wrong(bounds, text), why);
        }
    }
}
