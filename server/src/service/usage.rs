//! Usage: roll-ups added up the way a page asks for them. The cost is that of the hours asked for, never of the
//! charges.
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use billing::Refusal;
use billing::id::Name;
use billing::money::Credits;
use billing::time::{Span, Timestamp};
use billing::usage::{SERVER_METER, UsageKey, UsageSum};
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{ToSpan, Unit, Zoned, ZonedRound};
use store::UsageRow;

use super::Error;
use super::compared::{Compared, Earlier};
use crate::app::App;

/// The longest range of one report.
pub(super) const RANGE_MAX: Span = Span::DAY.times(800);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interval {
    Hour,
    Day,
    /// From Monday.
    Week,
    Month,
    Total,
}

impl Interval {
    pub fn as_str(self) -> &'static str {
        match self {
            Interval::Hour => "hour",
            Interval::Day => "day",
            Interval::Week => "week",
            Interval::Month => "month",
            Interval::Total => "total",
        }
    }
}

impl FromStr for Interval {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Interval, Refusal> {
        match text {
            "hour" => Ok(Interval::Hour),
            "day" => Ok(Interval::Day),
            "week" => Ok(Interval::Week),
            "month" => Ok(Interval::Month),
            "total" => Ok(Interval::Total),
            _ => Err(Refusal::invalid("interval", "must be hour, day, week, month or total")),
        }
    }
}

/// What usage is grouped and filtered by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Dimension {
    Meter,
    Project,
    Server,
    Model,
    Actor,
}

impl Dimension {
    pub const ALL: [Dimension; 5] =
        [Dimension::Meter, Dimension::Project, Dimension::Server, Dimension::Model, Dimension::Actor];

    pub fn as_str(self) -> &'static str {
        match self {
            Dimension::Meter => "meter",
            Dimension::Project => "project",
            Dimension::Server => "server",
            Dimension::Model => "model",
            Dimension::Actor => "actor",
        }
    }

    pub(super) fn of(self, key: &UsageKey) -> Option<&str> {
        match self {
            Dimension::Meter => Some(&key.meter),
            Dimension::Project => key.project.as_ref().map(Name::as_str),
            Dimension::Server => key.server.as_ref().map(Name::as_str),
            Dimension::Model => key.model.as_deref(),
            Dimension::Actor => key.actor.as_ref().map(Name::as_str),
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Dimension {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<Dimension, Refusal> {
        let found = Dimension::ALL.into_iter().find(|it| it.as_str() == text);
        found.ok_or_else(|| Refusal::invalid("group_by", "must be of meter, project, server, model and actor"))
    }
}

#[derive(Clone, Debug)]
pub struct UsageQuery {
    pub account: Name,
    /// The start of this month, in the account's zone, where nothing is said.
    pub from: Option<Timestamp>,
    /// Now where nothing is said. Whole hours are reported, by the account's clock: the one that `from` lies in is the
    /// first, the one before which `to` lies, or at whose end, the last.
    pub to: Option<Timestamp>,
    pub interval: Interval,
    pub group_by: Vec<Dimension>,
    /// Only usage with these values.
    pub only: Vec<(Dimension, String)>,
    /// Also of a range before: the same days of the month before where nothing is said of the start, and else as long
    /// before.
    pub compares: bool,
}

/// Usage with the same value of everything it was grouped by.
#[derive(Clone, Debug)]
pub struct Group {
    /// As asked for, in that order; none where the usage has no such value.
    pub values: Vec<Option<String>>,
    pub sum: UsageSum,
    /// Of its credits, those of servers: for setting them up, and for running them. None without servers.
    pub servers: Option<(Credits, Credits)>,
}

#[derive(Clone, Debug)]
pub struct Bucket {
    pub start: Timestamp,
    /// Sorted by their values.
    pub groups: Vec<Group>,
}

#[derive(Clone, Debug)]
pub struct UsageReport {
    pub timezone: String,
    /// What is reported, in whole hours: where no end was asked for, it goes on until now.
    pub from: Timestamp,
    pub to: Timestamp,
    pub group_by: Vec<Dimension>,
    /// Those in which something was used, oldest first.
    pub buckets: Vec<Bucket>,
    pub total: Credits,
    /// The range before and its total, when that was asked for.
    pub previous: Option<(Earlier, Credits)>,
}

/// What a row of usage has of each thing it is grouped by, and none of what it is not.
type Values<'a> = [Option<&'a str>; Dimension::ALL.len()];

/// The sums of a bucket, and of each the credits of servers.
type Sums<'a> = BTreeMap<Values<'a>, (UsageSum, Option<Credits>)>;

impl App {
    pub fn usage(&self, query: &UsageQuery) -> Result<UsageReport, Error> {
        let known = self.known(&query.account)?;
        let now = self.now();
        let from = match query.from {
            Some(from) => known.hour_of(from),
            None => bucket_start(now, Interval::Month, &known.zone, now),
        };
        let end = known.hour_of(now) + Span::HOUR;
        if query.to.unwrap_or(end) <= from {
            return Err(Refusal::invalid("to", "must be after `from`").into());
        }
        let until = query.to.map_or(end, |to| known.hour_of(to + Span::from_millis(Span::HOUR.millis() - 1)));
        let to = if query.to.is_some() { until } else { now };
        if RANGE_MAX.millis() < query.to.unwrap_or(end).millis() - from.millis() {
            return Err(Refusal::invalid("to", "must be at most 800 days after `from`").into());
        }
        let compared = if query.from.is_some() { Compared::Before } else { Compared::Months(1) };
        let earlier = query.compares.then(|| Earlier::of(compared, (from, until), end, &known.zone));
        let rows = self.usage_of(known.account.number, earlier.map_or(from, |it| it.from), until)?;
        let place = |at: Timestamp| rows.partition_point(|it| it.key.hour < at);
        let inside = &rows[place(from)..];
        let mut buckets: Vec<(Timestamp, Sums<'_>)> = Vec::new();
        let mut total = Credits::ZERO;
        // Rows come hour by hour: the calendar is asked once for each hour, and buckets come one after the other.
        let mut last = None;
        for row in inside.iter().filter(|it| query.admits(&it.key)) {
            let start = match last {
                Some((hour, start)) if hour == row.key.hour => start,
                _ => bucket_start(row.key.hour, query.interval, &known.zone, from),
            };
            last = Some((row.key.hour, start));
            if buckets.last().is_none_or(|it| it.0 != start) {
                buckets.push((start, Sums::new()));
            }
            let (_, sums) = buckets.last_mut().expect("there is one now");
            let mut values: Values<'_> = [None; _];
            values.iter_mut().zip(&query.group_by).for_each(|(value, it)| *value = it.of(&row.key));
            let (sum, servers) = sums.entry(values).or_default();
            sum.add(&row.sum);
            if &*row.key.meter == SERVER_METER {
                *servers.get_or_insert_default() += row.sum.credits;
            }
            total += row.sum.credits;
        }
        let count = query.group_by.len();
        let buckets = buckets.into_iter().map(|(start, sums)| bucket(start, sums, count)).collect();
        let used = |rows: &[UsageRow]| rows.iter().filter(|it| query.admits(&it.key)).map(|it| it.sum.credits).sum();
        let previous = earlier.map(|it| (it, used(&rows[..place(it.to)])));
        let timezone = known.account.timezone.clone();
        Ok(UsageReport { timezone, from, to, group_by: query.group_by.clone(), buckets, total, previous })
    }
}

impl UsageQuery {
    fn admits(&self, key: &UsageKey) -> bool {
        self.only.iter().all(|(dimension, value)| dimension.of(key) == Some(value))
    }
}

fn bucket(start: Timestamp, sums: Sums<'_>, values: usize) -> Bucket {
    let group = |(of, (sum, servers)): (Values<'_>, (UsageSum, Option<Credits>))| {
        let (sum, set_up) = sum.netted();
        let values = of[..values].iter().map(|it| it.map(str::to_owned)).collect();
        Group { values, sum, servers: servers.map(|it| (set_up, it - set_up)) }
    };
    Bucket { start, groups: sums.into_iter().map(group).collect() }
}

/// Start of the interval that `at` lies in, by the calendar of `zone`; `from` where there is one interval for all.
pub(super) fn bucket_start(at: Timestamp, interval: Interval, zone: &TimeZone, from: Timestamp) -> Timestamp {
    let instant = jiff::Timestamp::from_millisecond(at.millis()).unwrap_or(jiff::Timestamp::MAX);
    let local = instant.to_zoned(zone.clone());
    let start = match interval {
        Interval::Hour => return at,
        Interval::Total => return from,
        Interval::Day => local.start_of_day(),
        Interval::Week => {
            let since_monday = i64::from(local.weekday().since(Weekday::Monday));
            local.checked_sub(since_monday.days()).and_then(|it| it.start_of_day())
        }
        Interval::Month => local.first_of_month().and_then(|it| it.start_of_day()),
    };
    let fallback = |_| local.round(ZonedRound::new().smallest(Unit::Hour)).unwrap_or(local.clone());
    let start: Zoned = start.unwrap_or_else(fallback);
    Timestamp::from_millis(start.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn buckets_start_by_the_accounts_calendar() {
        let vilnius = TimeZone::get("Europe/Vilnius").unwrap();
        let kolkata = TimeZone::get("Asia/Kolkata").unwrap();
        for (interval, zone, instant, start) in [
            (Interval::Day, &vilnius, "2026-11-22T21:59:59Z", "2026-11-21T22:00:00Z"),
            (Interval::Day, &vilnius, "2026-11-22T22:00:00Z", "2026-11-22T22:00:00Z"),
            // The day clocks go forward has 23 hours, the day they go back 25.
            (Interval::Day, &vilnius, "2026-03-29T20:59:59Z", "2026-03-28T22:00:00Z"),
            (Interval::Day, &vilnius, "2026-10-25T21:59:59Z", "2026-10-24T21:00:00Z"),
            (Interval::Week, &vilnius, "2026-11-22T12:00:00Z", "2026-11-15T22:00:00Z"),
            (Interval::Week, &vilnius, "2026-11-23T12:00:00Z", "2026-11-22T22:00:00Z"),
            (Interval::Month, &vilnius, "2026-11-30T22:30:00Z", "2026-11-30T22:00:00Z"),
            (Interval::Month, &vilnius, "2026-03-31T12:00:00Z", "2026-02-28T22:00:00Z"),
            (Interval::Day, &kolkata, "2026-11-22T18:29:00Z", "2026-11-21T18:30:00Z"),
            (Interval::Hour, &kolkata, "2026-11-22T17:30:00Z", "2026-11-22T17:30:00Z"),
            (Interval::Total, &kolkata, "2026-11-22T17:30:00Z", "1970-01-01T00:00:00Z"),
        ] {
            let got = bucket_start(at(instant), interval, zone, Timestamp::EPOCH);
            assert_eq!(got, at(start), "{interval:?} of {instant}");
        }
    }
}
