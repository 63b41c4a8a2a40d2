//! The range of a page, and what else it is narrowed to: read from the address, written back into every link, so that
//! an address says all of what is shown.
use std::collections::BTreeMap;

use billing::payment::looks_like_card_number;
use billing::time::{Span, Timestamp};
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::show;
use crate::service::{Compared, Dimension, Earlier, Interval};

/// Ranges one does not have to type, newest habit first.
const PRESETS: [(&str, &str); 6] = [
    ("today", "Today"),
    ("7d", "7 days"),
    ("30d", "30 days"),
    ("month", "This month"),
    ("last-month", "Last month"),
    ("12m", "12 months"),
];
const DEFAULT: &str = "30d";
/// The longest range, in days; that of a usage report.
const DAYS_MAX: i32 = 799;
/// What a day is believed of, as of invoices.
const YEARS: std::ops::Range<i16> = 1970..2500;

/// What an address says beside its path. Empty values are as good as none: forms send them.
#[derive(Clone, Debug, Default)]
pub struct Query(BTreeMap<String, String>);

impl Query {
    pub fn parse(text: &str) -> Query {
        let pairs = form_urlencoded::parse(text.as_bytes()).into_owned().filter(|(_, value)| !value.is_empty());
        // Nothing is called by a NUL, and not every store can be asked for one: it is read as browsers read it.
        Query(pairs.map(|(name, value)| (name, value.replace('\0', "\u{fffd}"))).collect())
    }
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
    /// Whether somebody typed a card number, which is for the payment provider alone.
    pub fn has_card_number(&self) -> bool {
        self.0.values().any(|it| looks_like_card_number(it))
    }
    /// The same with these values, `""` taking one away.
    pub fn with(&self, changes: &[(&str, &str)]) -> Query {
        let mut values = self.0.clone();
        for (name, value) in changes {
            if value.is_empty() {
                values.remove(*name);
            } else {
                values.insert((*name).to_owned(), (*value).to_owned());
            }
        }
        Query(values)
    }
    /// `path` with this query.
    pub fn href(&self, path: &str) -> String {
        if self.0.is_empty() {
            return path.to_owned();
        }
        let mut query = form_urlencoded::Serializer::new(String::new());
        format!("{path}?{}", query.extend_pairs(&self.0).finish())
    }
}

/// A choice that is a link.
#[derive(Clone, Debug)]
pub struct Choice {
    pub label: String,
    pub href: String,
    pub is_on: bool,
}

/// Days, the first and the last included, by the account's calendar.
#[derive(Clone, Debug)]
pub struct Range {
    pub first: Date,
    pub last: Date,
    pub from: Timestamp,
    pub to: Timestamp,
    pub interval: Interval,
    /// What it is compared with: calendar months with calendar months, days with as many days.
    pub compared: Compared,
    /// Why what is shown is not quite what the address asks for.
    pub problem: Option<String>,
    preset: Option<&'static str>,
}

impl Range {
    /// The range the query asks for; one that makes no sense is the default, and says so.
    pub fn of(query: &Query, now: Timestamp, zone: &TimeZone) -> Range {
        let today = show::zoned(now, zone).date();
        let asked = |name: &str| {
            let date = query.get(name).and_then(|it| it.parse::<Date>().ok());
            date.filter(|it| YEARS.contains(&it.year()))
        };
        let named = query.get("range").and_then(|it| PRESETS.iter().find(|(name, _)| *name == it));
        let (preset, (first, last)) = match (named, asked("from"), asked("to")) {
            (None, Some(from), to) => {
                let to = to.unwrap_or(today).max(from);
                (None, newest(from, to, today))
            }
            (named, ..) => {
                let name = named.map_or(DEFAULT, |(name, _)| name);
                (Some(name), days(name, today))
            }
        };
        let no_day = |name: &str| query.get(name).filter(|_| named.is_none() && asked(name).is_none());
        let problem = match (no_day("from").or(no_day("to")), asked("from"), asked("to")) {
            (Some(text), ..) => Some(format!("“{}” is no day of the calendar, such as {today}.", short(text))),
            (None, Some(from), Some(to)) if preset.is_none() && to < from => {
                Some("The first day was after the last, so the first alone is shown.".to_owned())
            }
            (None, Some(from), to) if preset.is_none() && (first, last) != (from, to.unwrap_or(today).max(from)) => {
                Some(format!(
                    "No more than {} days are shown at once: these are the newest of those you asked for.",
                    DAYS_MAX + 1
                ))
            }
            _ => None,
        };
        let midnight = |date: Date| {
            let start = date.to_zoned(zone.clone()).map_or(i64::MAX, |it| it.timestamp().as_millisecond());
            Timestamp::from_millis(start)
        };
        let (from, to) = (midnight(first), midnight(last.saturating_add(1.day())));
        let compared = match preset {
            Some("month") => Compared::Months(1),
            Some("12m") => Compared::Months(12),
            _ => Compared::Before,
        };
        Range { first, last, from, to, interval: interval(query.get("by"), from, to), compared, problem, preset }
    }

    pub fn presets(&self, query: &Query, path: &str) -> Vec<Choice> {
        let choice = |(name, label): &(&'static str, &str)| Choice {
            label: (*label).to_owned(),
            href: query
                .with(&[("range", name), ("from", ""), ("to", ""), ("by", ""), ("back", ""), ("cursor", "")])
                .href(path),
            is_on: self.preset == Some(*name),
        };
        PRESETS.iter().map(choice).collect()
    }

    /// `22 Nov 2026` or `24 Oct – 22 Nov 2026`.
    pub fn title(&self) -> String {
        let last = self.last.strftime("%-d %b %Y");
        match (self.first == self.last, self.first.year() == self.last.year()) {
            (true, _) => last.to_string(),
            (false, true) => format!("{} – {last}", self.first.strftime("%-d %b")),
            (false, false) => format!("{} – {last}", self.first.strftime("%-d %b %Y")),
        }
    }

    /// What bars may be wide, as the address says it and as people do; the first is what comes by itself.
    pub fn intervals(&self) -> Vec<(&'static str, &'static str)> {
        let all = [
            (Interval::Hour, "hour", "Hours"),
            (Interval::Day, "day", "Days"),
            (Interval::Week, "week", "Weeks"),
            (Interval::Month, "month", "Months"),
        ];
        let possible = all.into_iter().filter(|(it, name, _)| interval(Some(name), self.from, self.to) == *it);
        possible.map(|(_, name, label)| (name, label)).collect()
    }

    /// What it is compared with, in words: `the 30 days before`; of what still runs, `yesterday until 15:00`.
    pub fn before(&self, earlier: &Earlier, zone: &TimeZone) -> String {
        let end = show::zoned(earlier.to, zone);
        let last = show::zoned(earlier.to - Span::from_millis(1), zone);
        let until = if earlier.is_part { end.strftime(" until %H:%M").to_string() } else { String::new() };
        let same_hour = if earlier.is_part { ", until the same hour" } else { "" };
        let days = self.first.until(self.last).map_or(0, |it| it.get_days()) + 1;
        match (self.compared, days) {
            (Compared::Months(1), _) => {
                let first = show::zoned(earlier.from, zone);
                let days =
                    if first.date() == last.date() { String::new() } else { first.strftime("%-d–").to_string() };
                format!("{days}{}{until}", last.strftime("%-d %B"))
            }
            (Compared::Months(count), _) => format!("the {count} months before{same_hour}"),
            (Compared::Before, 1) if earlier.is_part => format!("yesterday{until}"),
            (Compared::Before, 1) => "the day before".to_owned(),
            (Compared::Before, days) => format!("the {days} days before{same_hour}"),
        }
    }
}

/// The days of a range that may be shown: of one that is too long the newest, without those that are still to come.
fn newest(from: Date, to: Date, today: Date) -> (Date, Date) {
    if to <= from.saturating_add(DAYS_MAX.days()) {
        return (from, to);
    }
    let last = to.min(today.max(from));
    (from.max(last.saturating_sub(DAYS_MAX.days())), last)
}

/// The beginning of what somebody typed: enough to know it again.
fn short(text: &str) -> String {
    const LETTERS: usize = 20;
    let mut letters: String = text.chars().take(LETTERS).collect();
    if letters.len() < text.len() {
        letters.push('…');
    }
    letters
}

fn days(preset: &str, today: Date) -> (Date, Date) {
    match preset {
        "today" => (today, today),
        "7d" => (today.saturating_sub(6.days()), today),
        "month" => (today.first_of_month(), today),
        "last-month" => {
            let last = today.first_of_month().saturating_sub(1.day());
            (last.first_of_month(), last)
        }
        "12m" => (today.saturating_sub(11.months()).first_of_month(), today),
        _ => (today.saturating_sub(29.days()), today),
    }
}

/// The bars' width: as asked where it makes 120 bars at most, and else what is readable.
fn interval(asked: Option<&str>, from: Timestamp, to: Timestamp) -> Interval {
    let days = (to.millis() - from.millis()) / Span::DAY.millis();
    match (asked.and_then(|it| it.parse().ok()), days) {
        (Some(Interval::Hour), ..=4) => Interval::Hour,
        (Some(Interval::Day), 2..=119) => Interval::Day,
        (Some(Interval::Week), 8..) => Interval::Week,
        (Some(Interval::Month), 32..) => Interval::Month,
        (_, ..2) => Interval::Hour,
        (_, ..=62) => Interval::Day,
        (_, ..=210) => Interval::Week,
        _ => Interval::Month,
    }
}

/// The dimensions a page can be narrowed to.
pub const NARROWED: [Dimension; 4] = [Dimension::Project, Dimension::Server, Dimension::Model, Dimension::Actor];

/// What the query narrows the page to.
pub fn only(query: &Query) -> Vec<(Dimension, String)> {
    let asked = |it: Dimension| Some((it, query.get(it.as_str())?.to_owned()));
    NARROWED.into_iter().filter_map(asked).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_days_of_the_accounts_calendar() {
        let zone = TimeZone::get("Europe/Vilnius").expect("a zone");
        let now =
            Timestamp::from_millis("2026-11-22T22:30:00Z".parse::<jiff::Timestamp>().expect("time").as_millisecond());
        for (query, title, interval) in [
            ("", "25 Oct – 23 Nov 2026", Interval::Day),
            ("range=today", "23 Nov 2026", Interval::Hour),
            ("range=month", "1 Nov – 23 Nov 2026", Interval::Day),
            ("range=last-month", "1 Oct – 31 Oct 2026", Interval::Day),
            ("range=12m", "1 Dec 2025 – 23 Nov 2026", Interval::Month),
            ("from=2026-11-12&to=2026-11-12&by=hour", "12 Nov 2026", Interval::Hour),
            ("from=2026-11-12&to=2026-11-02", "12 Nov 2026", Interval::Hour),
            ("from=nonsense&project=", "25 Oct – 23 Nov 2026", Interval::Day),
            ("from=9999-12-31", "25 Oct – 23 Nov 2026", Interval::Day),
            ("from=-9999-01-01&to=2026-11-12", "25 Oct – 23 Nov 2026", Interval::Day),
            ("range=12m&by=hour", "1 Dec 2025 – 23 Nov 2026", Interval::Month),
            // Of what is too long, the newest days, and none that are to come in their stead.
            ("from=2020-01-01&to=2026-01-01", "25 Oct 2023 – 1 Jan 2026", Interval::Month),
            ("from=2020-01-01", "15 Sep 2024 – 23 Nov 2026", Interval::Month),
            ("from=2025-01-01&to=2099-12-31", "1 Jan 2025 – 23 Nov 2026", Interval::Month),
            ("from=2030-01-01&to=2099-12-31", "1 Jan 2030", Interval::Hour),
        ] {
            let range = Range::of(&Query::parse(query), now, &zone);
            assert_eq!((range.title().as_str(), range.interval), (title, interval), "{query}");
        }
    }

    #[test]
    fn what_a_range_is_compared_with_is_said_to_the_hour() {
        let zone = TimeZone::get("Europe/Vilnius").expect("a zone");
        let instant =
            |text: &str| Timestamp::from_millis(text.parse::<jiff::Timestamp>().expect("time").as_millisecond());
        // Between 14:00 and 15:00; the last hour of a day; the first day of a month.
        let (noon, night, first) =
            (instant("2026-11-28T12:20:00Z"), instant("2026-11-28T21:30:00Z"), instant("2026-12-01T08:59:00Z"));
        for (now, query, said) in [
            (noon, "range=today", "yesterday until 15:00"),
            (noon, "range=7d", "the 7 days before, until the same hour"),
            (noon, "range=month", "1–28 October until 15:00"),
            (noon, "range=12m", "the 12 months before, until the same hour"),
            (noon, "range=last-month", "the 31 days before"),
            (noon, "from=2026-11-27&to=2026-11-27", "the day before"),
            (noon, "from=2026-11-20&to=2026-11-28", "the 9 days before, until the same hour"),
            (night, "range=today", "the day before"),
            (night, "range=month", "1–28 October"),
            (first, "range=month", "1 November until 11:00"),
        ] {
            let range = Range::of(&Query::parse(query), now, &zone);
            let hour_end = now.hour_start(0) + Span::HOUR;
            let earlier = Earlier::of(range.compared, (range.from, range.to), hour_end, &zone);
            assert_eq!(range.before(&earlier, &zone), said, "{query}");
        }
    }

    #[test]
    fn a_range_that_is_not_what_was_asked_for_says_so() {
        let now = Timestamp::from_millis(1_795_000_000_000);
        for (query, said) in [
            ("from=2026-11-12&to=2026-11-02", Some("The first day was after the last, so the first alone is shown.")),
            ("from=2026-13-45", Some("“2026-13-45” is no day of the calendar")),
            ("from=2026-11-01&to=2026-02-30", Some("“2026-02-30” is no day of the calendar")),
            ("from=9999-12-31", Some("“9999-12-31” is no day of the calendar")),
            (
                "from=2020-01-01&to=2026-01-01",
                Some("No more than 800 days are shown at once: these are the newest of those you asked for."),
            ),
            ("from=2020-01-01", Some("No more than 800 days are shown at once")),
            ("from=2026-11-02&to=2026-11-12", None),
            ("from=2026-11-02", None),
            ("range=7d&from=2026-13-45", None),
            ("", None),
        ] {
            let problem = Range::of(&Query::parse(query), now, &TimeZone::UTC).problem;
            let is_so = match (&problem, said) {
                (Some(it), Some(said)) => it.starts_with(said),
                (it, said) => it.is_none() && said.is_none(),
            };
            assert!(is_so, "{query}: {problem:?}");
        }
    }

    #[test]
    fn an_address_says_what_is_shown() {
        let query = Query::parse("range=7d&project=a%26b&model=");
        assert_eq!(query.with(&[("range", "30d")]).href("/settings/usage"), "/settings/usage?project=a%26b&range=30d");
        assert_eq!(query.with(&[("range", ""), ("project", "")]).href("/x"), "/x");
    }
}
