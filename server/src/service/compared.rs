//! What a range of usage is compared with: as long before, by the account's calendar.
//!
//! Of a range that still runs, only what has been of it is compared, up to the same hour: half a day is not less than a
//! whole one. Invariant: the pages, their exports and the API compare with the same hours, because all of them ask
//! here.
use billing::time::{Span, Timestamp};
use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};

/// The most that one step back in time may be, in days: that of the longest range.
const DAYS_MAX: i64 = 800;

/// How far back one looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Compared {
    /// Right before it, as long: of a range that begins with a day, the same hours of as many days before.
    Before,
    /// The same days of so many months before.
    Months(i32),
}

/// The range that another is compared with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Earlier {
    pub from: Timestamp,
    pub to: Timestamp,
    /// Where what is compared of the later range ends: at its end, or at that of the running hour.
    pub until: Timestamp,
    /// Whether that is before its end.
    pub is_part: bool,
    back: Back,
}

/// From an instant of a range to the one it is compared with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Back {
    Exactly(Span),
    Days(i64),
    Months(i32),
}

impl Earlier {
    /// Than the range that begins and ends so, seen in the hour that ends at `hour_end`.
    pub fn of(compared: Compared, (from, to): (Timestamp, Timestamp), hour_end: Timestamp, zone: &TimeZone) -> Earlier {
        // Of a range that is all ahead nothing has been: it is compared as if it were over.
        let until = if from < hour_end { to.min(hour_end) } else { to };
        let back = match compared {
            Compared::Months(count) => Back::Months(count),
            Compared::Before => whole_days(from, to, zone).map_or(Back::Exactly(lasting(from, to)), Back::Days),
        };
        let earlier = |at: Timestamp| back.from(at, zone);
        Earlier { from: earlier(from), to: earlier(until).min(from), until, is_part: until < to, back }
    }

    /// For the start of each part of the later range, where its counterpart starts. A day that the earlier month lacks
    /// has none: what would be there never begins.
    pub(super) fn starts(&self, later: impl Iterator<Item = Timestamp>, zone: &TimeZone) -> Vec<Timestamp> {
        let mut starts: Vec<Timestamp> = Vec::new();
        let mut last = None;
        for at in later {
            let start = self.back.from(at, zone);
            starts.push(if last == Some(start) { self.to.max(start) } else { start });
            last = Some(start);
        }
        starts
    }
}

impl Back {
    fn from(self, at: Timestamp, zone: &TimeZone) -> Timestamp {
        let local = zoned(at, zone);
        let earlier = match self {
            Back::Exactly(span) => return at - span,
            Back::Days(days) => local.checked_sub(days.days()),
            Back::Months(months) => local.checked_sub(months.months()),
        };
        earlier.map_or(at, |it| Timestamp::from_millis(it.timestamp().as_millisecond()))
    }
}

/// Days of the calendar that a range takes, the last of them perhaps not to its end; none where it begins within one.
fn whole_days(from: Timestamp, to: Timestamp, zone: &TimeZone) -> Option<i64> {
    let (first, end) = (zoned(from, zone), zoned(to, zone));
    if first.start_of_day().ok()? != first {
        return None;
    }
    let days = i64::from(first.date().until(end.date()).ok()?.get_days());
    let is_midnight = end.start_of_day().ok()? == end;
    Some((days + i64::from(!is_midnight)).clamp(1, DAYS_MAX))
}

fn lasting(from: Timestamp, to: Timestamp) -> Span {
    Span::from_millis(to.millis() - from.millis())
}

fn zoned(at: Timestamp, zone: &TimeZone) -> Zoned {
    jiff::Timestamp::from_millisecond(at.millis()).unwrap_or(jiff::Timestamp::MAX).to_zoned(zone.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn what_still_runs_is_compared_up_to_the_same_hour() {
        let vilnius = TimeZone::get("Europe/Vilnius").unwrap();
        let (before, month, year) = (Compared::Before, Compared::Months(1), Compared::Months(12));
        // It is between 14:00 and 15:00 in Vilnius.
        let hour_end = at("2026-11-28T13:00:00Z");
        for (compared, from, to, earlier_from, earlier_to) in [
            // Today; seven days; this month; twelve months.
            (before, "2026-11-27T22:00:00Z", "2026-11-28T22:00:00Z", "2026-11-26T22:00:00Z", "2026-11-27T13:00:00Z"),
            (before, "2026-11-21T22:00:00Z", "2026-11-28T22:00:00Z", "2026-11-14T22:00:00Z", "2026-11-21T13:00:00Z"),
            (month, "2026-10-31T22:00:00Z", "2026-11-28T22:00:00Z", "2026-09-30T21:00:00Z", "2026-10-28T13:00:00Z"),
            (year, "2025-11-30T22:00:00Z", "2026-11-28T22:00:00Z", "2024-11-30T22:00:00Z", "2025-11-28T13:00:00Z"),
            // As the API is asked: until now.
            (before, "2026-11-27T22:00:00Z", "2026-11-28T13:00:00Z", "2026-11-26T22:00:00Z", "2026-11-27T13:00:00Z"),
            // Over: whole days, a day with an hour more, and a few hours.
            (before, "2026-11-19T22:00:00Z", "2026-11-21T22:00:00Z", "2026-11-17T22:00:00Z", "2026-11-19T22:00:00Z"),
            (before, "2026-10-24T21:00:00Z", "2026-10-25T22:00:00Z", "2026-10-23T21:00:00Z", "2026-10-24T21:00:00Z"),
            (before, "2026-11-20T10:00:00Z", "2026-11-20T13:00:00Z", "2026-11-20T07:00:00Z", "2026-11-20T10:00:00Z"),
            // All ahead.
            (before, "2026-11-28T22:00:00Z", "2026-11-29T22:00:00Z", "2026-11-27T22:00:00Z", "2026-11-28T22:00:00Z"),
        ] {
            let earlier = Earlier::of(compared, (at(from), at(to)), hour_end, &vilnius);
            assert_eq!((earlier.from, earlier.to), (at(earlier_from), at(earlier_to)), "{compared:?}, {from} to {to}");
        }
    }

    #[test]
    fn a_day_that_the_month_before_lacks_is_compared_with_none() {
        let range = (at("2026-03-01T00:00:00Z"), at("2026-04-01T00:00:00Z"));
        let earlier = Earlier::of(Compared::Months(1), range, range.1, &TimeZone::UTC);
        let starts = earlier.starts((0..31).map(|it| range.0 + Span::DAY.times(it)), &TimeZone::UTC);
        assert_eq!(starts[27], at("2026-02-28T00:00:00Z"));
        assert!(starts[28..].iter().all(|it| earlier.to <= *it), "{starts:?}");
    }
}
