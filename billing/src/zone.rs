//! A calendar: the days, weeks and months of one zone, as data.
//!
//! The rules know no time zones. Whoever does hands over the instants at which a zone's distance from UTC changes, for
//! the years around now; everything else about dates is arithmetic. Must never know a zone's name or its politics.
//! Invariant: changes stand in order of time; before the first its own offset holds, after the last the last one does.
use alloc::vec::Vec;

use crate::calendar::Date;
use crate::time::{Span, Timestamp};

/// A zone moves at most this far from UTC.
const OFFSET_SECONDS_MAX: i32 = 26 * 3600;
/// Changes one calendar may have: two a year for a century, or Morocco's four for fifty years.
pub const CHANGES_MAX: usize = 200;

/// What a budget or a cap is counted over.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Period {
    Day,
    /// From Monday.
    Week,
    Month,
    /// One for all time.
    Total,
}

impl Period {
    pub const ALL: [Period; 4] = [Period::Day, Period::Week, Period::Month, Period::Total];

    pub fn as_str(self) -> &'static str {
        match self {
            Period::Day => "day",
            Period::Week => "week",
            Period::Month => "month",
            Period::Total => "total",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Calendar {
    /// From when on the zone's clocks are so many seconds ahead of UTC.
    changes: Vec<(Timestamp, i32)>,
}

impl Default for Calendar {
    /// UTC.
    fn default() -> Calendar {
        Calendar { changes: Vec::from([(Timestamp::EPOCH, 0)]) }
    }
}

impl Calendar {
    /// None where the changes are none, too many, not in order of time, or further from UTC than any zone.
    pub fn new(changes: Vec<(Timestamp, i32)>) -> Option<Calendar> {
        let is_sorted = changes.windows(2).all(|it| it[0].0 < it[1].0);
        let is_near = changes.iter().all(|(_, offset)| offset.abs() <= OFFSET_SECONDS_MAX);
        let fits = (1..=CHANGES_MAX).contains(&changes.len());
        (fits && is_sorted && is_near).then_some(Calendar { changes })
    }

    pub fn changes(&self) -> &[(Timestamp, i32)] {
        &self.changes
    }

    /// Start of the hour `at` lies in, as hours fall in this zone.
    pub fn hour_start(&self, at: Timestamp) -> Timestamp {
        at.hour_start(i64::from(self.offset(at)).rem_euclid(3600) / 60)
    }
    /// Start of the hour after it. Always after `at`.
    pub fn next_hour(&self, at: Timestamp) -> Timestamp {
        self.hour_start(at) + Span::HOUR
    }

    /// Start of the period `at` lies in, and start of the next.
    pub fn around(&self, period: Period, at: Timestamp) -> (Timestamp, Timestamp) {
        let today = self.local_day(at);
        // Clocks that go back over midnight show yesterday's date once more; today has begun all the same.
        let today = today + i64::from(self.day_start(today + 1) <= at);
        let (first, next) = match period {
            Period::Total => return (Timestamp::EPOCH, Timestamp::NEVER),
            Period::Day => (today, today + 1),
            Period::Week => {
                // 1970-01-01 was a Thursday.
                let monday = today - (today + 3).rem_euclid(7);
                (monday, monday + 7)
            }
            Period::Month => {
                let first = Date::from_days(today).month_start();
                (first.days(), first.plus_months(1).days())
            }
        };
        (self.day_start(first), self.day_start(next))
    }

    /// Seconds the zone's clocks are ahead of UTC.
    fn offset(&self, at: Timestamp) -> i32 {
        let after = self.changes.partition_point(|(from, _)| *from <= at);
        self.changes[after.saturating_sub(1)].1
    }

    /// Days from 1970-01-01 to the date the zone's clocks show.
    fn local_day(&self, at: Timestamp) -> i64 {
        (at + Span::SECOND.times(i64::from(self.offset(at)))).millis().div_euclid(Span::DAY.millis())
    }

    /// The first instant of a date. Midnight that is skipped is the first instant after the gap; one that comes twice
    /// is the first of the two.
    fn day_start(&self, day: i64) -> Timestamp {
        let midnight = Timestamp::EPOCH + Span::DAY.times(day);
        let by = |offset: i32| midnight - Span::SECOND.times(i64::from(offset));
        let mut found = by(self.changes[0].1);
        for change in self.changes.windows(2) {
            let (from, offset) = change[1];
            if found < from {
                return found;
            }
            found = by(offset).max(from);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = Span::DAY.millis();
    const HOUR: i64 = Span::HOUR.millis();

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn months_follow_one_another_for_eight_centuries() {
        let utc = Calendar::default();
        let mut start = at(0);
        for number in 0..9_600 {
            let (first, next) = utc.around(Period::Month, start);
            assert_eq!(first, start, "month {number}");
            let days = (next.millis() - first.millis()) / DAY;
            let (year, month) = (1970 + number / 12, number % 12 + 1);
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let expected = match month {
                2 => 28 + i64::from(is_leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            assert_eq!(days, expected, "{year}-{month}");
            assert_eq!(utc.around(Period::Month, at(next.millis() - 1)), (first, next));
            start = next;
        }
    }

    #[test]
    fn days_are_as_long_as_the_clocks_say() {
        // Vilnius in 2026: +2, +3 from 03-29 01:00Z, +2 from 10-25 01:00Z.
        let (spring, autumn) = (at(1_774_746_000_000), at(1_792_890_000_000));
        let vilnius = Calendar::new([(at(0), 7_200), (spring, 10_800), (autumn, 7_200)].into()).unwrap();
        let length = |period, at| {
            let (start, next) = vilnius.around(period, at);
            (next.millis() - start.millis()) / HOUR
        };
        assert_eq!(length(Period::Day, spring), 23);
        assert_eq!(length(Period::Day, autumn), 25);
        assert_eq!(length(Period::Month, spring), 31 * 24 - 1);
        assert_eq!(length(Period::Month, autumn), 31 * 24 + 1);
        assert_eq!(length(Period::Week, autumn), 7 * 24 + 1);
        assert_eq!(vilnius.around(Period::Month, autumn).0, at(1_790_802_000_000), "2026-10-01 at +3");
        assert_eq!(vilnius.next_hour(at(spring.millis() + 1)), spring + Span::HOUR);
    }

    #[test]
    fn midnight_may_be_skipped_or_come_twice() {
        // Clocks go from 00:00 to 01:00 on day 10, and from 00:30 back to 23:30 on day 20.
        let (skips, repeats) = (at(10 * DAY), at(20 * DAY - HOUR / 2));
        let zone = Calendar::new([(at(0), 0), (skips, 3_600), (repeats, 0)].into()).unwrap();
        assert_eq!(zone.around(Period::Day, skips).0, skips);
        for instant in [20 * DAY - HOUR, 20 * DAY - HOUR / 2, 20 * DAY - 1, 20 * DAY] {
            assert_eq!(zone.around(Period::Day, at(instant)), (at(20 * DAY - HOUR), at(21 * DAY)), "{instant}");
        }
        for change in [[(at(5), 0), (at(5), 1)].to_vec(), [(at(0), 100_000)].to_vec(), Vec::new()] {
            assert_eq!(Calendar::new(change), None);
        }
    }
}
