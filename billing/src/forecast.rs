//! What usage will come to by a day ahead, from the days just past. Integers alone; the same history says the same.
//!
//! Of two whole weeks each day ahead is expected to be as its weekday was, and the range reaches from no trend at all
//! to the trend between the weeks going on, a third faster; around both lies what days differ by for no reason. Of one
//! week a trend cannot be told, and the range is wider instead. Must never know calendars or meters. Invariant: `low`
//! ≤ `middle` ≤ `high`, and none is below nothing; `tests` hold the range against histories made up for it.
use alloc::vec::Vec;

use crate::money::Credits;

/// A forecast looks at so many days: two of each weekday, so that no weekday weighs more than another.
pub const DAYS: usize = 14;
/// Fewer days than this say nothing.
pub const DAYS_MIN: usize = 7;
/// How many times in ten what comes lies within the range, at least.
pub const TIMES_IN_TEN: u32 = 8;

/// Of a day, so that weights are whole numbers.
const UNIT: i128 = 1_000;
/// One day stands out when it has more than so many times what any other has: it is counted like the next largest.
const ONE_OFF: i64 = 3;

/// What is ahead: the rest of today, and whole days after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ahead {
    /// Milliseconds left of today, and all that today has.
    pub today: (u64, u64),
    pub days: usize,
}

/// What will be used, in addition to what was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Outlook {
    pub low: Credits,
    pub middle: Credits,
    pub high: Credits,
}

/// Looks ahead from the whole days before today, oldest first. Of more than [`DAYS`] the newest count, of fewer the
/// newest [`DAYS_MIN`]; None where there are not even those.
pub fn outlook(days: &[Credits], ahead: Ahead) -> Option<Outlook> {
    let newest = |count: usize| days.len().checked_sub(count).map(|from| without_one_off(&days[from..]));
    let weights = weights(ahead);
    match newest(DAYS) {
        Some(days) => Some(of_two_weeks(&days, &weights)),
        None => newest(DAYS_MIN).map(|days| of_one_week(&days, &weights)),
    }
}

/// How much of each day ahead is ahead, in [`UNIT`]s: today's part first.
fn weights(ahead: Ahead) -> Vec<i128> {
    let (part, whole) = (u128::from(ahead.today.0), u128::from(ahead.today.1.max(1)));
    let today = (part.min(whole) * UNIT.unsigned_abs()).div_ceil(whole);
    let mut weights = Vec::from([i128::try_from(today).unwrap_or(UNIT)]);
    weights.resize(ahead.days + 1, UNIT);
    weights
}

fn without_one_off(days: &[Credits]) -> Vec<i128> {
    let mut micros: Vec<i64> = days.iter().map(|it| it.micros()).collect();
    let mut sorted = micros.clone();
    sorted.sort_unstable();
    let (largest, next) = (sorted[sorted.len() - 1], sorted[sorted.len() - 2]);
    // Where most days have nothing, a day that has something is what there is to go by.
    let is_used_daily = days.len() <= 2 * days.iter().filter(|it| it.is_positive()).count();
    if is_used_daily && next.saturating_mul(ONE_OFF) < largest {
        micros.iter_mut().filter(|it| **it == largest).for_each(|it| *it = next);
    }
    micros.into_iter().map(i128::from).collect()
}

fn of_two_weeks(days: &[i128], weights: &[i128]) -> Outlook {
    let (first, second) = days.split_at(7);
    let pairs = || first.iter().zip(second);
    // From one week to the next.
    let gain: i128 = pairs().map(|(one, two)| two - one).sum();
    // 7² · 12 times the variance of a day, the trend taken out: six degrees of freedom.
    let spread: u128 = pairs().map(|(one, two)| (7 * (two - one) - gain).unsigned_abs().pow(2)).sum();
    // Today has the weekday of the first of each week.
    let doubled: i128 = weights.iter().enumerate().map(|(day, it)| (first[day % 7] + second[day % 7]) * it).sum();
    // The middle between the two weeks lies a week and a half back, and each day gains a seventh of a seventh.
    let lead: i128 = weights.iter().zip(0_i128..).map(|(it, day)| it * (2 * (day / 7) + 3)).sum();
    let drift = gain * lead / (14 * UNIT);
    let level = doubled / (2 * UNIT);
    let mut by_weekday = [0_i128; 7];
    weights.iter().enumerate().for_each(|(day, it)| by_weekday[day % 7] += it);
    // In squares of a unit: of the days ahead themselves, of the weekdays' means, and a quarter of the trend's.
    let own: i128 = weights.iter().sum::<i128>() * UNIT;
    let means: i128 = by_weekday.iter().map(|it| it * it).sum::<i128>() / 2;
    let variance = own + means + lead * lead / 56;
    // A range of 3/2 deviations: 2 · √588 · UNIT below the line.
    let around = deviation(spread, variance) * 3 / 48_497;
    let goes_on = level + drift + drift / 3;
    bounded(level.min(goes_on) - around, level + drift / 2, level.max(goes_on) + around)
}

fn of_one_week(days: &[i128], weights: &[i128]) -> Outlook {
    let sum: i128 = days.iter().sum();
    // 7² · 6 times the variance of a day.
    let spread: u128 = days.iter().map(|it| (7 * it - sum).unsigned_abs().pow(2)).sum();
    let ahead: i128 = weights.iter().sum();
    let level = sum * ahead / (7 * UNIT);
    let variance = ahead * UNIT + ahead * ahead * 3 / 14;
    // A range of 2 deviations: √294 · UNIT below the line.
    let around = deviation(spread, variance) * 2 / 17_146;
    bounded(level - around, level, level + around)
}

fn deviation(spread: u128, variance: i128) -> i128 {
    let product = spread.isqrt().saturating_mul(variance.unsigned_abs().isqrt());
    i128::try_from(product).unwrap_or(i128::MAX / 8)
}

fn bounded(low: i128, middle: i128, high: i128) -> Outlook {
    let credits = |micros: i128| Credits::from_micros(i64::try_from(micros.max(0)).unwrap_or(i64::MAX / 4));
    let (low, high) = (credits(low), credits(high));
    Outlook { low, middle: credits(middle).clamp(low, high), high }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;

    fn credits(whole: &[i64]) -> Vec<Credits> {
        whole.iter().map(|it| Credits::whole(*it)).collect()
    }
    fn look(days: &[i64], today: u64, ahead: usize) -> Outlook {
        outlook(&credits(days), Ahead { today: (today, DAY), days: ahead }).expect("days enough")
    }
    fn check(days: &[i64], today: u64, ahead: usize, expected: [i64; 3]) {
        let [low, middle, high] = expected.map(Credits::whole);
        assert_eq!(look(days, today, ahead), Outlook { low, middle, high }, "{days:?}");
    }

    #[test]
    fn what_never_changes_is_foretold_exactly() {
        check(&[10; 14], DAY, 9, [100; 3]);
        check(&[10; 14], DAY / 2, 0, [5; 3]);
        check(&[10; 30], 0, 3, [30; 3]);
        check(&[10; 7], DAY, 9, [100; 3]);
        check(&[0; 14], DAY, 20, [0; 3]);
        // Today is a Monday; nothing is used on two days of the week.
        let week = [10, 10, 10, 10, 10, 0, 0];
        check(&week.repeat(2), DAY, 6, [50; 3]);
        check(&week.repeat(2), DAY, 4, [50; 3]);
        check(&week.repeat(2), 0, 7, [50; 3]);
        assert_eq!(outlook(&credits(&[10; 6]), Ahead { today: (DAY, DAY), days: 9 }), None);
    }

    #[test]
    fn a_steady_gain_goes_on_or_does_not() {
        let days: Vec<i64> = (0..14).collect();
        let seen = look(&days, DAY, 6);
        // As the last two weeks: 7 · 6.5; as it goes on: 14 + … + 20.
        assert!(seen.low <= Credits::whole(46) && Credits::whole(14 * 7 + 21) <= seen.high, "{seen:?}");
    }

    #[test]
    fn one_day_that_stands_out_is_not_expected_again() {
        let mut days = [10; 14];
        days[4] = 5_000;
        check(&days, DAY, 9, [100; 3]);
        // Where one day in fourteen is used at all, it is.
        let mut days = [0; 14];
        days[4] = 140;
        assert!(Credits::whole(100) < look(&days, DAY, 13).high);
    }

    #[test]
    fn the_largest_amounts_do_not_overflow() {
        let mut days = [0; 14];
        days[0] = 1_000_000_000;
        days[13] = 1_000_000_000;
        let seen = look(&days, DAY, 30);
        assert!(seen.low <= seen.middle && seen.middle <= seen.high);
    }

    /// Chance that is the same each time: xorshift64*.
    struct Chance(u64);
    impl Chance {
        fn below(&mut self, end: i64) -> i64 {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
            i64::try_from(drawn).expect("31 bits") % end
        }
    }

    /// Of 1 000 histories of a kind, how many go on within the range; `level` is micro-credits by day, today day 14.
    fn held(level: impl Fn(i64) -> i64, noise: i64, spike: bool, count: usize) -> usize {
        let mut chance = Chance(0x5eed);
        let mut held = 0;
        for _ in 0..1_000 {
            let mut day = |at: i64| {
                let level = level(at).max(0);
                (level + level * (chance.below(2 * noise + 1) - noise) / 100).max(0)
            };
            let mut days: Vec<i64> = (14 - i64::try_from(count).expect("few")..14).map(&mut day).collect();
            let past = days.len();
            days.extend((14..45).map(&mut day));
            if spike {
                days[usize::try_from(chance.below(7)).expect("few") + past - 7] = 20_000_000;
            }
            let today = u64::try_from(chance.below(100)).expect("small");
            let ahead = usize::try_from(chance.below(30)).expect("small");
            let actual = days[past] * i64::try_from(today).expect("small") / 100
                + days[past + 1..=past + ahead].iter().sum::<i64>();
            let history: Vec<Credits> = days[..past].iter().map(|it| Credits::from_micros(*it)).collect();
            let seen = outlook(&history, Ahead { today: (today, 100), days: ahead }).expect("days enough");
            held += usize::from((seen.low..=seen.high).contains(&Credits::from_micros(actual)));
        }
        held
    }

    /// The claim, on histories it was not made from: what comes lies within the range as often as is said.
    #[test]
    fn what_comes_lies_within_the_range_as_often_as_is_said() {
        let steady = |_: i64| 1_000_000;
        let weekly = |day: i64| if day % 7 < 5 { 1_300_000 } else { 200_000 };
        let growth = |day: i64| 1_000_000 + 30_000 * day;
        let slow_growth = |day: i64| 1_000_000 + 10_000 * day;
        let decline = |day: i64| 1_000_000 - 20_000 * day;
        let claim = 100 * TIMES_IN_TEN as usize;
        let check = |what: &str, level: &dyn Fn(i64) -> i64, spike: bool, count: usize| {
            for noise in [10, 25, 50, 90] {
                let held = held(level, noise, spike, count);
                assert!(claim <= held, "{what} of {count} days, noise of {noise} %: {held} of 1000");
            }
        };
        for count in [14, 7] {
            check("steady", &steady, false, count);
            check("weekly", &weekly, false, count);
            check("steady but for one day", &steady, true, count);
        }
        // A trend can be told of two weeks, not of one.
        check("growth", &growth, false, 14);
        check("slow growth", &slow_growth, false, 14);
        check("decline", &decline, false, 14);
    }

    /// A range that held everything would say nothing: of steady use it is narrow.
    #[test]
    fn the_range_says_something() {
        let seen = look(&[95, 108, 100, 93, 104, 99, 106, 97, 101, 105, 92, 103, 100, 98], DAY, 20);
        let width = (seen.high - seen.low).micros();
        assert!(width * 100 < seen.middle.micros() * 35, "{seen:?}");
    }
}
