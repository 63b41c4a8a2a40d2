//! The prices in force, in plain words: what each kind of work is counted in, what that costs, and what is free.
//!
//! Read off the very card that charges are priced by, so the list cannot say anything else than a receipt: also where a
//! row has no price for something of its own, and another price holds.
use billing::money::Credits;
use billing::rating::{Meter, Quantity, Rate, RateCard, Row, Runtime, Scheme, Tier, Tiers, Usage};

use super::show;
use crate::service::printed::credits as number;

/// All prices of one kind of work.
pub struct PriceTable {
    pub title: String,
    pub columns: Vec<Column>,
    pub rows: Vec<PriceRow>,
    /// What bounds the price, and when there is none.
    pub notes: Vec<String>,
}

/// What is priced.
pub struct Column {
    pub label: String,
    /// What all prices of the column are for, where that is one thing: then its cells are numbers.
    pub each: Option<String>,
}

pub struct PriceRow {
    pub of: String,
    pub cells: Vec<String>,
}

pub fn tables(card: &RateCard) -> Vec<PriceTable> {
    let mut meters: Vec<&Meter> = card.meters().collect();
    meters.sort_by(|one, other| one.category.cmp(&other.category));
    meters.into_iter().map(|it| table(card, it)).collect()
}

fn table(card: &RateCard, meter: &Meter) -> PriceTable {
    let has_fee = meter.rows.iter().any(|it| it.base_fee.is_some());
    let is_priced = |name: &str| meter.rows.iter().any(|row| row.rates.iter().any(|it| &*it.quantity == name));
    let priced: Vec<_> = meter.quantities.iter().filter(|it| is_priced(&it.name)).collect();
    let mut columns = Vec::new();
    if has_fee {
        columns.push(Column { label: "Each time".to_owned(), each: None });
    }
    for it in &priced {
        let rates = meter.rows.iter().filter_map(|row| holding(card, meter, row, it));
        columns.push(Column { label: it.label.to_string(), each: each_of_all(rates, &it.unit) });
    }
    let row = |row: &Row| {
        let fee = has_fee.then(|| row.base_fee.map(credits).unwrap_or_default());
        let cells = priced.iter().zip(columns.iter().skip(usize::from(has_fee))).map(|(quantity, column)| {
            let rate = holding(card, meter, row, quantity);
            rate.map(|it| if column.each.is_some() { number_of(it) } else { in_words(it, &quantity.unit) })
        });
        PriceRow { of: of(row), cells: fee.into_iter().chain(cells.map(Option::unwrap_or_default)).collect() }
    };
    let rows = meter.rows.iter().map(row).collect();
    PriceTable { title: meter.category.as_str().to_owned(), columns, rows, notes: notes(meter) }
}

/// The rate by which a quantity is priced for what a row is of: its own, or where it has none, the one that holds then.
fn holding<'c>(card: &'c RateCard, meter: &'c Meter, row: &'c Row, quantity: &Quantity) -> Option<&'c Rate> {
    let own = row.rates.iter().find(|it| it.quantity == quantity.name);
    own.or_else(|| {
        // Any value of each condition does; of a beginning, what is just that.
        let named = row.when.iter().filter_map(|it| {
            let value = it.values.iter().find(|it| !it.ends_with('*')).or(it.values.first())?;
            Some((it.dimension.clone(), value.trim_end_matches('*').into()))
        });
        let usage = Usage { meter: meter.name.clone(), quantities: Vec::new(), dimensions: named.collect() };
        card.rate_of(&usage, &quantity.name).ok()
    })
}

/// `a million tokens`, where every rate is one price for that and nothing else.
fn each_of_all<'r>(rates: impl Iterator<Item = &'r Rate>, unit: &str) -> Option<String> {
    let mut all: Option<String> = None;
    let mut count = 0;
    for rate in rates {
        let Scheme::Metered { per, started: false, tiers: Tiers::One(_) } = &rate.scheme else { return None };
        if rate.runtime != Runtime::default() {
            return None;
        }
        let each = each(per.get(), false, unit);
        if all.as_ref().is_some_and(|it| *it != each) {
            return None;
        }
        all = Some(each);
        count += 1;
    }
    all.filter(|_| 1 < count)
}

fn number_of(rate: &Rate) -> String {
    match &rate.scheme {
        Scheme::Metered { tiers: Tiers::One(price), .. } => number(*price),
        _ => String::new(),
    }
}

/// For what the row is: a model, a tier; or everything that has none of its own.
fn of(row: &Row) -> String {
    let said = row.when.iter().enumerate().map(|(place, it)| {
        // Beginnings stand for the dated models of the name before them.
        let mut named: Vec<&str> = it.values.iter().filter(|it| !it.ends_with('*')).map(|it| &**it).collect();
        if named.is_empty() {
            named = it.values.iter().map(|it| &**it).collect();
        }
        let named = named.join(", ");
        if place == 0 { named } else { format!("{} {named}", show::words(&it.dimension).to_lowercase()) }
    });
    let said: Vec<String> = said.collect();
    if said.is_empty() { "All".to_owned() } else { said.join(" · ") }
}

fn notes(meter: &Meter) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(meter.minimum.map(|it| format!("At least {} each time.", credits(it))));
    notes.extend(meter.cap.map(|it| format!("At most {} each time.", credits(it))));
    for it in &meter.free_when {
        let values: Vec<&str> = it.values.iter().map(|it| &**it).collect();
        notes.push(format!("Free when the {} is {}.", it.dimension, values.join(", ")));
    }
    notes.extend(meter.once_per.as_ref().map(|it| format!("The same {it} again is free.")));
    if meter.cheaper_of.is_some() {
        notes.push("When another model had to step in, the cheaper of the two prices counts.".to_owned());
    }
    notes
}

fn in_words(rate: &Rate, unit: &str) -> String {
    let Scheme::Metered { per, started, tiers } = &rate.scheme else {
        let Scheme::Flat(price) = &rate.scheme else { return String::new() };
        return format!("{}, once", credits(*price));
    };
    let each = each(per.get(), *started, unit);
    let mut text = match tiers {
        Tiers::One(price) => format!("{} {each}", credits(*price)),
        Tiers::Graduated(tiers) => steps(tiers, &each, unit),
        Tiers::Volume(tiers) => format!("{}; the price of the last counts for all", steps(tiers, &each, unit)),
        Tiers::Bands(tiers) => bands(tiers, &each, unit),
    };
    if 1 < rate.runtime.minimum_seconds {
        text.push_str(&format!(", by the second, {} seconds at least", rate.runtime.minimum_seconds));
    }
    if 0 < rate.runtime.commitment_seconds {
        text.push_str(&format!(", for {} hours at least", show::thousands(rate.runtime.commitment_seconds / 3_600)));
    }
    if let Some(cap) = rate.runtime.monthly_cap {
        text.push_str(&format!("; {} a calendar month at most", credits(cap)));
    }
    text
}

fn each(per: u64, started: bool, unit: &str) -> String {
    match (per, unit) {
        (3_600, "second") => "an hour".to_owned(),
        (1, unit) => format!("a {unit}"),
        (1_000_000, unit) => format!("a million {unit}s"),
        (per, unit) => format!("{} {} {unit}s", if started { "for each started" } else { "for" }, show::thousands(per)),
    }
}

/// `1 credit for each started 1,000 lines up to 10,000; 0.8 up to 100,000; 0.5 beyond`.
fn steps(tiers: &[Tier], each: &str, unit: &str) -> String {
    let step = |(place, tier): (usize, &Tier)| {
        let price = if place == 0 { format!("{} {each}", credits(tier.price)) } else { number(tier.price) };
        let fee = if tier.fee.is_zero() { String::new() } else { format!(" and {} once", credits(tier.fee)) };
        match tier.up_to {
            Some(most) if place == 0 => format!("{price}{fee} up to {} {unit}s", show::thousands(most)),
            Some(most) => format!("{price}{fee} up to {}", show::thousands(most)),
            None if place == 0 => format!("{price}{fee}"),
            None => format!("{price}{fee} beyond"),
        }
    };
    tiers.iter().enumerate().map(step).collect::<Vec<_>>().join("; ")
}

/// `S, up to 15 points: 10 credits; …; more: 60 credits and 30 for each started 50 points above`.
fn bands(tiers: &[Tier], each: &str, unit: &str) -> String {
    let band = |tier: &Tier| {
        let name = tier.name.as_ref().map(|it| format!("{it}, ")).unwrap_or_default();
        let price = match (tier.fee.is_zero(), tier.price.is_zero()) {
            (false, true) => credits(tier.fee),
            (true, _) => format!("{} {each}", credits(tier.price)),
            (false, false) => format!("{} and {} {each} above", credits(tier.fee), number(tier.price)),
        };
        match tier.up_to {
            Some(most) => format!("{name}up to {} {unit}s: {price}", show::thousands(most)),
            None => format!("{name}more: {price}"),
        }
    };
    tiers.iter().map(band).collect::<Vec<_>>().join("; ")
}

fn credits(credits: Credits) -> String {
    let unit = if credits == Credits::whole(1) { "credit" } else { "credits" };
    format!("{} {unit}", number(credits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prices_that_come_with_scrip_are_said_in_words() {
        let card = crate::rate_card::parse_toml(crate::rate_card::DEFAULT).expect("it is whole");
        let tables = tables(&card);
        let titles: Vec<&str> = tables.iter().map(|it| &*it.title).collect();
        assert_eq!(titles, ["AI conversations", "Code analysis", "Infrastructure planning", "Server provisioning"]);
        assert!(tables[0].columns.iter().all(|it| it.each.as_deref() == Some("a million tokens")));
        let row = |of: &str| tables[0].rows.iter().find(|it| it.of == of).map(|it| it.cells.clone()).expect("a row");
        // What has no price of its own costs what it is counted as, and the list says how much that is.
        assert_eq!(row("gpt-6-astra"), ["1,250", "125", "1,562.5", "1,562.5", "6,250"]);
        assert_eq!(row("gpt-5.4-mini"), ["93.75", "9.375", "93.75", "93.75", "562.5"]);
        assert_eq!(row("claude-opus-5-5"), ["500", "25", "625", "1,000", "2,500"]);
        assert_eq!(
            tables[1].rows[0].cells,
            ["5 credits", "1 credit for each started 1,000 lines up to 10,000 lines; 0.8 up to 100,000; 0.5 beyond"]
        );
        assert_eq!(tables[1].notes[0], "At most 500 credits each time.");
        assert_eq!(
            tables[2].rows[0].cells[0],
            "S, up to 15 points: 10 credits; M, up to 40 points: 25 credits; L, up to 100 points: 60 credits; XL, \
             more: 60 credits and 30 for each started 50 points above"
        );
        assert_eq!(
            tables[3].rows[0].cells,
            [
                "300 credits, once",
                "4 credits an hour, by the second, 60 seconds at least; 2,500 credits a calendar month at most"
            ]
        );
    }
}
