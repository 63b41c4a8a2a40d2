//! Dates as people write them: days, months, years, without a zone.
//!
//! Turning an instant into a date of some zone takes a database of zones, which lives in the shell; what is here is
//! arithmetic. Invariant: whatever counts months counts them from an anchor, never from the month before, so that a
//! period which began on a 31st does not drift to the 28th.
use core::fmt;
use core::str::FromStr;

use crate::time::{Span, Timestamp};

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Date {
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// From 1.
    pub day: u8,
}

/// The text is not a date such as `2026-11-22`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParseDateError;

impl Date {
    /// None for a day that no calendar has.
    pub fn new(year: i32, month: u8, day: u8) -> Option<Date> {
        let fits = (1970..=2500).contains(&year) && (1..=12).contains(&month);
        (fits && (1..=days_in(year, month)).contains(&day)).then_some(Date { year, month, day })
    }

    /// The day that `at` lies in, in UTC.
    pub fn of(at: Timestamp) -> Date {
        Date::from_days(at.millis().div_euclid(Span::DAY.millis()))
    }

    /// Its first instant in UTC.
    pub fn start(self) -> Timestamp {
        Timestamp::EPOCH + Span::DAY.times(self.days())
    }

    /// The same day `months` later; the last of its month where that month is shorter.
    pub fn plus_months(self, months: u32) -> Date {
        let all = i64::from(self.year) * 12 + i64::from(self.month) - 1 + i64::from(months);
        let year = i32::try_from(all.div_euclid(12)).expect("subscriptions end before the calendar does");
        let month = u8::try_from(all.rem_euclid(12) + 1).expect("a month is 1 to 12");
        Date { year, month, day: self.day.min(days_in(year, month)) }
    }

    pub fn month_start(self) -> Date {
        Date { day: 1, ..self }
    }

    /// Days since 1970-01-01, by Howard Hinnant's `days_from_civil`, for the proleptic Gregorian calendar:
    /// <https://howardhinnant.github.io/date_algorithms.html>.
    pub(crate) fn days(self) -> i64 {
        let year = i64::from(self.year) - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year - era * 400;
        let month = (i64::from(self.month) + 9) % 12;
        let day_of_year = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
    }

    /// By his `civil_from_days`.
    pub(crate) fn from_days(days: i64) -> Date {
        let days = days + 719_468;
        let era = days.div_euclid(146_097);
        let of_era = days.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * of_year + 2) / 153;
        let day = u8::try_from(of_year - (153 * shifted + 2) / 5 + 1).expect("a day is 1 to 31");
        let month = u8::try_from((shifted + 2) % 12 + 1).expect("a month is 1 to 12");
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        Date { year: i32::try_from(year).expect("instants are of this age"), month, day }
    }
}

/// Days of a month.
pub fn days_in(year: i32, month: u8) -> u8 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl FromStr for Date {
    type Err = ParseDateError;
    fn from_str(text: &str) -> Result<Date, ParseDateError> {
        let mut parts = text.splitn(3, '-');
        let mut part = |length: usize| {
            let digits = parts.next().filter(|it| it.len() == length && it.bytes().all(|it| it.is_ascii_digit()));
            digits.and_then(|it| it.parse::<u16>().ok()).ok_or(ParseDateError)
        };
        let (year, month, day) = (part(4)?, part(2)?, part(2)?);
        let small = |it: u16| u8::try_from(it).map_err(|_| ParseDateError);
        Date::new(i32::from(year), small(month)?, small(day)?).ok_or(ParseDateError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    fn date(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn months_are_counted_from_the_anchor() {
        for (anchor, months, expected) in [
            ("2026-01-31", 1, "2026-02-28"),
            ("2026-01-31", 2, "2026-03-31"),
            ("2026-01-31", 3, "2026-04-30"),
            ("2026-01-31", 25, "2028-02-29"),
            ("2028-02-29", 12, "2029-02-28"),
            ("2028-02-29", 48, "2032-02-29"),
            ("2026-12-15", 1, "2027-01-15"),
            ("2026-11-30", 3, "2027-02-28"),
            ("2099-12-31", 2, "2100-02-28"),
        ] {
            assert_eq!(date(anchor).plus_months(months), date(expected), "{anchor} + {months}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for bad in ["", "2026", "2026-2-03", "2026-13-01", "2026-02-29", "2026-00-10", "2026-01-00", "26-01-01-"] {
            assert_eq!(bad.parse::<Date>(), Err(ParseDateError), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn dates_and_instants_agree(days in 0..190_000i64) {
            let at = Timestamp::EPOCH + Span::DAY.times(days);
            let date = Date::of(at);
            prop_assert_eq!(date.start(), at);
            prop_assert_eq!(date.to_string().parse::<Date>(), Ok(date));
            prop_assert_eq!(Date::of(at + Span::DAY).day == 1, date.day == days_in(date.year, date.month));
        }
    }
}
