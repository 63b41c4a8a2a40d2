//! The chart: a bar for each day, cut by category, and over them the line of the time before; drawn as SVG by the
//! server and written as a table beside it.
//!
//! Every bar is a link to its hours. It needs no script to be read, and nothing in it is drawn that the table lacks.
use billing::money::Credits;
use jiff::tz::TimeZone;

use super::{breakdown, show};
use crate::service::{Bar, Interval, Overview};
use crate::web::range::Query;

pub struct Chart {
    /// What the top and the middle of the chart stand for.
    pub top: String,
    pub middle: String,
    pub bars: Vec<BarView>,
    pub unit: &'static str,
    pub is_empty: bool,
    pub categories: Vec<String>,
    /// Back from the hours of a day to the days.
    pub back: Option<String>,
    /// The range before, where something was used in it.
    pub line: Option<Line>,
}

/// Points over the middles of the bars, each ten wide, in thousandths of the chart's height from above.
pub struct Line {
    pub points: String,
    pub width: usize,
}

pub struct BarView {
    /// Under the bar; none where there is no room for one.
    pub tick: Option<String>,
    /// Every second label goes where there is little room.
    pub is_minor: bool,
    pub title: String,
    pub href: Option<String>,
    pub total: String,
    pub total_exact: String,
    /// As long before; none where that is not compared.
    pub before: Option<breakdown::Cell>,
    pub pieces: Vec<Slice>,
    pub cells: Vec<breakdown::Cell>,
    /// Its tip opens to the left, so that it stays on the page.
    pub is_late: bool,
}

/// In thousandths of the chart's height, from above.
pub struct Slice {
    pub class: String,
    pub y: u64,
    pub height: u64,
    pub name: String,
    pub credits: String,
}

impl Chart {
    pub fn of(overview: &Overview, zone: &TimeZone, query: &Query) -> Chart {
        let sum = |it: &Bar| it.by_category.iter().copied().sum::<Credits>();
        let most = overview.bars.iter().map(sum).max().unwrap_or_default();
        let most_before = overview.bars.iter().filter_map(|it| it.before).max().unwrap_or_default();
        let top = round_up(most.max(most_before));
        let every = overview.bars.len().div_ceil(8).max(1);
        let bar = |(place, it): (usize, &Bar)| {
            let total = sum(it);
            BarView {
                tick: place.is_multiple_of(every).then(|| tick(it, overview.interval, zone)),
                is_minor: (place / every) % 2 == 1,
                title: title(it, overview.interval, zone),
                href: href(it, overview.interval, zone, query),
                total: show::used(total),
                total_exact: total.to_string(),
                before: it.before.as_ref().map(breakdown::Cell::of),
                pieces: slices(it, overview, top),
                cells: cells(it),
                is_late: overview.bars.len() < 2 * place,
            }
        };
        let unit = match overview.interval {
            Interval::Hour => "hour",
            Interval::Day => "day",
            Interval::Week => "week",
            Interval::Month => "month",
            Interval::Total => "range",
        };
        Chart {
            top: whole(top),
            middle: whole(Credits::from_micros(top.micros() / 2)),
            bars: overview.bars.iter().enumerate().map(bar).collect(),
            unit,
            is_empty: !most.is_positive(),
            categories: overview.categories.iter().map(|(it, _)| it.as_str().to_owned()).collect(),
            back: query.get("back").map(|whole| back(query, whole)),
            line: (most_before.is_positive() && 1 < overview.bars.len()).then(|| line(overview, top)),
        }
    }
}

/// The whole range, however far one has gone into it: by its name, or by its first and last day.
fn whole_range(query: &Query) -> String {
    let days = || Some(format!("{}..{}", query.get("from")?, query.get("to").unwrap_or_default()));
    let named = query.get("back").or(query.get("range")).map(str::to_owned);
    named.or_else(days).unwrap_or_else(|| "30d".to_owned())
}

fn back(query: &Query, whole: &str) -> String {
    let (range, from, to) = whole.split_once("..").map_or((whole, "", ""), |(from, to)| ("", from, to));
    query.with(&[("from", from), ("to", to), ("by", ""), ("back", ""), ("range", range)]).href(super::PATH)
}

fn line(overview: &Overview, top: Credits) -> Line {
    let point = |(place, it): (usize, &Bar)| {
        it.before.map(|before| format!("{},{}", place * 10 + 5, 1_000 - show::thousandths(before, top)))
    };
    // It ends where what is compared does.
    let points: Vec<String> = overview.bars.iter().enumerate().filter_map(point).collect();
    Line { points: points.join(" "), width: overview.bars.len() * 10 }
}

fn slices(bar: &Bar, overview: &Overview, top: Credits) -> Vec<Slice> {
    let mut slices = Vec::new();
    let mut filled = 0;
    for (place, credits) in bar.by_category.iter().enumerate() {
        let height = show::thousandths(*credits, top).max(u64::from(credits.is_positive()) * 4).min(1_000 - filled);
        if 0 < height {
            filled += height;
            let name = overview.categories[place].0.as_str().to_owned();
            slices.push(Slice {
                class: breakdown::class(place),
                y: 1_000 - filled,
                height,
                name,
                credits: show::used(*credits),
            });
        }
    }
    slices
}

fn cells(bar: &Bar) -> Vec<breakdown::Cell> {
    bar.by_category.iter().map(breakdown::Cell::of).collect()
}

/// The next of 1, 2, 4, 5, 6, 8 or 10 times a power of ten: a scale one can read.
fn round_up(most: Credits) -> Credits {
    let mut step = Credits::MICROS / 100;
    loop {
        for times in [1, 2, 4, 5, 6, 8] {
            let top = step.saturating_mul(times);
            if most.micros() <= top {
                return Credits::from_micros(top);
            }
        }
        step = step.saturating_mul(10);
    }
}

/// Without places where it has none.
fn whole(credits: Credits) -> String {
    let text = show::used(credits);
    text.strip_suffix(".00").map_or(text.clone(), str::to_owned)
}

fn tick(bar: &Bar, interval: Interval, zone: &TimeZone) -> String {
    let format = match interval {
        Interval::Hour => "%H:%M",
        Interval::Month => "%b",
        _ => "%-d %b",
    };
    show::zoned(bar.start, zone).strftime(format).to_string()
}

fn title(bar: &Bar, interval: Interval, zone: &TimeZone) -> String {
    let format = match interval {
        Interval::Hour => "%a %-d %b, %H:%M",
        Interval::Day => "%a %-d %b %Y",
        Interval::Week => "week of %-d %b %Y",
        Interval::Month => "%B %Y",
        Interval::Total => "%-d %b %Y",
    };
    show::zoned(bar.start, zone).strftime(format).to_string()
}

/// To what the bar is made of: a day's hours, a week's or a month's days.
fn href(bar: &Bar, interval: Interval, zone: &TimeZone, query: &Query) -> Option<String> {
    let first = show::zoned(bar.start, zone).date();
    let last = show::zoned(bar.end, zone).date().yesterday().ok()?.max(first);
    let by = match interval {
        Interval::Hour | Interval::Total => return None,
        Interval::Day => "hour",
        Interval::Week | Interval::Month => "day",
    };
    let (first, last, back) = (first.to_string(), last.to_string(), whole_range(query));
    let to = query.with(&[("range", ""), ("from", &first), ("to", &last), ("by", by), ("back", &back), ("cursor", "")]);
    Some(to.href(super::PATH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_leads_to_the_whole_range_from_however_deep() {
        for whole in ["", "range=12m", "from=2026-10-01&to=2026-10-31", "range=7d&project=shop"] {
            let mut query = Query::parse(whole);
            for by in ["day", "hour"] {
                let back = whole_range(&query);
                let narrower =
                    [("range", ""), ("from", "2026-10-03"), ("to", "2026-10-04"), ("by", by), ("back", &back)];
                query = query.with(&narrower);
            }
            let said = if whole.is_empty() { "range=30d" } else { whole };
            let to = back(&query, query.get("back").expect("it says where from"));
            assert_eq!(to, Query::parse(said).href(super::super::PATH), "{whole}");
        }
    }

    #[test]
    fn scales_are_round() {
        for (most, top) in
            [("0", "0.01"), ("0.3", "0.4"), ("99.5", "100"), ("101", "200"), ("731.2", "800"), ("5000", "5000")]
        {
            let credits = |it: &str| it.parse::<Credits>().expect("credits");
            assert_eq!(round_up(credits(most)), credits(top), "{most}");
        }
    }
}
