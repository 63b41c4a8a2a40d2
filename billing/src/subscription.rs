//! Subscriptions: which period follows which, what a change costs, what happens when a renewal is not paid.
//!
//! Must never know zones: a period begins at a date and a time of day where the customer lives, and which instant that
//! is the shell asks its database of zones. Invariants: a period begins at the anchor plus whole months, the last day
//! of the month where that month is shorter; periods follow each other without gap or overlap, whatever zones
//! do; credits come by payment only, and those there are stay.
use core::fmt;
use core::str::FromStr;

use crate::calendar::Date;
use crate::money::Credits;
use crate::time::{Span, Timestamp};

/// How often it renews.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Every {
    Month,
    Year,
}

impl Every {
    pub fn as_str(self) -> &'static str {
        match self {
            Every::Month => "month",
            Every::Year => "year",
        }
    }
    fn months(self) -> u32 {
        match self {
            Every::Month => 1,
            Every::Year => 12,
        }
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl FromStr for Every {
    type Err = ();
    fn from_str(text: &str) -> Result<Every, ()> {
        [Every::Month, Every::Year].into_iter().find(|it| it.as_str() == text).ok_or(())
    }
}

/// The date, where the customer lives, on which period `index` (from 0) of a subscription begins. The time of day is
/// the anchor's.
pub fn period_date(anchor: Date, every: Every, index: u32) -> Date {
    anchor.plus_months(every.months() * index)
}

/// The end of a period that was to begin at `start` and end at `end`: after a move to another zone the next begins
/// when the calendar there says, but never before the one before it has begun.
pub fn period_end(start: Timestamp, end: Timestamp) -> Timestamp {
    end.max(start + Span::DAY)
}

/// How far a subscription has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// Waits for its first payment. It gives nothing yet.
    Incomplete,
    Active,
    /// A renewal was not paid; it is tried again.
    PastDue,
    /// Over. Credits it gave stay.
    Canceled,
}

impl State {
    pub const ALL: [State; 4] = [State::Incomplete, State::Active, State::PastDue, State::Canceled];

    pub fn as_str(self) -> &'static str {
        match self {
            State::Incomplete => "incomplete",
            State::Active => "active",
            State::PastDue => "past_due",
            State::Canceled => "canceled",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl FromStr for State {
    type Err = ();
    fn from_str(text: &str) -> Result<State, ()> {
        State::ALL.into_iter().find(|it| it.as_str() == text).ok_or(())
    }
}

/// When a renewal that was declined is tried again, in days from when it was first due.
const RETRY_DAYS: [i64; 4] = [1, 3, 5, 7];
/// How long before a renewal the customer is reminded, where the operator says nothing.
pub const REMINDER: Span = Span::DAY.times(3);

/// When a renewal that was due at `due` and was declined for the `failures`th time at `at` is tried again; None when it
/// is given up. Whoever was down on a day of these waits as long from the try that was late: four tries are four days.
pub fn retry_at(due: Timestamp, failures: u32, at: Timestamp) -> Option<Timestamp> {
    let place = usize::try_from(failures).ok()?.checked_sub(1)?;
    let days = *RETRY_DAYS.get(place)?;
    let before = place.checked_sub(1).map_or(0, |it| RETRY_DAYS[it]);
    let planned = due + Span::DAY.times(days);
    Some(if at < planned { planned } else { at + Span::DAY.times(days - before) })
}

/// What an upgrade in the middle of a period costs and gives at once: the share of the difference that the rest of the
/// period is. Money is rounded down and credits up, both in the customer's favour.
pub fn upgrade(
    from: (i64, Credits),
    to: (i64, Credits),
    period: (Timestamp, Timestamp),
    at: Timestamp,
) -> (i64, Credits) {
    let length = i128::from(period.1.millis() - period.0.millis());
    let left = i128::from(period.1.millis() - at.millis()).clamp(0, length);
    assert!(0 < length, "a period lasts");
    let money = i128::from((to.0 - from.0).max(0)) * left / length;
    let credits = i128::from((to.1 - from.1).at_least_zero().micros()) * left;
    let narrow = |it: i128| i64::try_from(it).expect("a share is less than the whole");
    (narrow(money), Credits::from_micros(narrow((credits + length - 1) / length)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;
    use std::vec::Vec;

    fn dates(anchor: &str, every: Every, indices: &[u32]) -> Vec<std::string::String> {
        let anchor = anchor.parse().unwrap();
        indices.iter().map(|it| period_date(anchor, every, *it).to_string()).collect()
    }

    #[test]
    fn periods_begin_where_the_anchor_says_for_years() {
        assert_eq!(
            dates("2027-10-31", Every::Month, &[0, 1, 2, 3, 4, 5, 6]),
            ["2027-10-31", "2027-11-30", "2027-12-31", "2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30"]
        );
        assert_eq!(
            dates("2028-02-29", Every::Year, &[0, 1, 2, 3, 4]),
            ["2028-02-29", "2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29",]
        );
        assert_eq!(dates("2026-12-01", Every::Month, &[1, 13]), ["2027-01-01", "2028-01-01"]);
    }

    #[test]
    fn a_move_to_another_zone_leaves_no_gap_and_no_empty_period() {
        let at = |days: i64| Timestamp::EPOCH + Span::DAY.times(days);
        assert_eq!(period_end(at(10), at(40)), at(40));
        assert_eq!(period_end(at(10), at(9)), at(11));
    }

    #[test]
    fn a_declined_renewal_is_tried_on_days_one_three_five_and_seven() {
        let due = Timestamp::EPOCH + Span::DAY.times(100);
        let days: Vec<_> =
            (1..=6).map(|it| retry_at(due, it, due).map(|at| (at.millis() - due.millis()) / 86_400_000)).collect();
        assert_eq!(days, [Some(1), Some(3), Some(5), Some(7), None, None]);
        assert_eq!(retry_at(due, 0, due), None);
        // After ten days of silence it is tried a day later, then every two: never all of it in one night.
        let (mut at, mut waits) = (due + Span::DAY.times(10), Vec::new());
        for failures in 1..=4 {
            let next = retry_at(due, failures, at).expect("it is tried again");
            waits.push((next.millis() - at.millis()) / 86_400_000);
            at = next;
        }
        assert_eq!(waits, [1, 2, 2, 2]);
    }

    #[test]
    fn an_upgrade_costs_the_rest_of_the_difference() {
        let (at, whole) = (|hours: i64| Timestamp::EPOCH + Span::HOUR.times(hours), Credits::whole);
        let period = (at(0), at(720));
        for (hour, money, credits) in
            [(0, 1_000, 1_000), (360, 500, 500), (720, 0, 0), (719, 1, 1_388_889), (900, 0, 0)]
        {
            let credits = if 1_000 < credits { Credits::from_micros(credits) } else { whole(credits) };
            let found = upgrade((1_000, whole(1_000)), (2_000, whole(2_000)), period, at(hour));
            assert_eq!(found, (money, credits), "hour {hour}");
        }
        assert_eq!(upgrade((2_000, whole(9)), (1_000, whole(8)), period, at(1)), (0, Credits::ZERO));
    }

    proptest! {
        #[test]
        fn periods_are_always_a_month_or_a_year_apart(days in 0..20_000i64, index in 0..600u32, yearly: bool) {
            let anchor = Date::of(Timestamp::EPOCH + Span::DAY.times(days));
            let every = if yearly { Every::Year } else { Every::Month };
            let start = |index| period_date(anchor, every, index).start().millis();
            let length = (start(index + 1) - start(index)) / 86_400_000;
            prop_assert!(if yearly { 365..=366 } else { 28..=31 }.contains(&length), "{length}");
            prop_assert!(period_date(anchor, every, index).day <= anchor.day);
        }
    }
}
