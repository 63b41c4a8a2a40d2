//! Totals: credits and money added up over accounts, past what one account's own amounts are kept in.
//!
//! A single amount is an `i64`, and is bounded where it comes in; how many of them a house adds up in its lifetime is
//! not. A total is an `i128`: as many amounts of any size as transactions can be numbered, 2^64 of them, fit in it.
//! Must never know what is added up. Invariant: a total is the exact sum of its parts, in whatever order they come.
use core::fmt;
use core::iter::Sum;
use core::ops::{Add, AddAssign, Neg, Sub, SubAssign};

use crate::money::{Credits, Currency, Money};

const FITS: &str = "a total of 2^64 amounts fits in i128";

/// Credits added up, in micro-credits. Said as [`Credits`] are: the shortest exact decimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct TotalCredits(i128);

impl TotalCredits {
    pub const ZERO: TotalCredits = TotalCredits(0);

    pub const fn from_micros(micros: i128) -> TotalCredits {
        TotalCredits(micros)
    }
    pub const fn micros(self) -> i128 {
        self.0
    }
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
    pub const fn is_positive(self) -> bool {
        0 < self.0
    }
}

impl From<Credits> for TotalCredits {
    fn from(credits: Credits) -> TotalCredits {
        TotalCredits(i128::from(credits.micros()))
    }
}

impl<T: Into<TotalCredits>> Add<T> for TotalCredits {
    type Output = TotalCredits;
    fn add(self, other: T) -> TotalCredits {
        TotalCredits(self.0.checked_add(other.into().0).expect(FITS))
    }
}
impl<T: Into<TotalCredits>> Sub<T> for TotalCredits {
    type Output = TotalCredits;
    fn sub(self, other: T) -> TotalCredits {
        TotalCredits(self.0.checked_sub(other.into().0).expect(FITS))
    }
}
impl Neg for TotalCredits {
    type Output = TotalCredits;
    fn neg(self) -> TotalCredits {
        TotalCredits::ZERO - self
    }
}
impl<T: Into<TotalCredits>> AddAssign<T> for TotalCredits {
    fn add_assign(&mut self, other: T) {
        *self = *self + other;
    }
}
impl<T: Into<TotalCredits>> SubAssign<T> for TotalCredits {
    fn sub_assign(&mut self, other: T) {
        *self = *self - other;
    }
}
impl<T: Into<TotalCredits>> Sum<T> for TotalCredits {
    fn sum<I: Iterator<Item = T>>(amounts: I) -> TotalCredits {
        amounts.fold(TotalCredits::ZERO, Add::add)
    }
}

impl fmt::Display for TotalCredits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (micros, unit) = (self.0.unsigned_abs(), u128::from(Credits::MICROS.unsigned_abs()));
        let fraction = i64::try_from(micros % unit).expect("less than a credit");
        let sign = if self.0 < 0 { "-" } else { "" };
        // `0.5` without its nought; nothing of a whole number.
        write!(f, "{sign}{}{}", micros / unit, &Credits::from_micros(fraction).text()[1..])
    }
}

/// Money added up, in minor units of its currency.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TotalMoney {
    pub amount: i128,
    pub currency: Currency,
}

impl From<Money> for TotalMoney {
    fn from(money: Money) -> TotalMoney {
        TotalMoney { amount: i128::from(money.amount), currency: money.currency }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    #[test]
    fn a_total_is_said_as_credits_are_and_goes_past_them() {
        for (micros, text) in [
            (0, "0"),
            (4, "0.000004"),
            (-100_000, "-0.1"),
            (12_500_000, "12.5"),
            (i128::from(i64::MAX), "9223372036854.775807"),
            (i128::from(i64::MAX) + 1, "9223372036854.775808"),
            (i128::from(i64::MIN), "-9223372036854.775808"),
            (i128::from(i64::MIN) - 1, "-9223372036854.775809"),
            (10_i128.pow(25), "10000000000000000000"),
            (i128::MAX, "170141183460469231731687303715884.105727"),
            (i128::MIN, "-170141183460469231731687303715884.105728"),
        ] {
            assert_eq!(TotalCredits::from_micros(micros).to_string(), text);
        }
    }

    #[test]
    fn as_many_amounts_as_there_are_numbers_for_transactions_fit() {
        let all = |one: i64| TotalCredits::from_micros(i128::from(one) * i128::from(u64::MAX));
        for one in [i64::MAX, i64::MIN] {
            let total = all(one);
            assert_eq!(total + Credits::from_micros(one) - total, Credits::from_micros(one).into());
        }
        assert_eq!((-all(i64::MAX) + all(i64::MAX)).micros(), 0);
    }

    proptest! {
        /// Whatever the order and however they are grouped, many amounts near the end of what one holds are their sum.
        #[test]
        fn a_total_is_the_exact_sum_of_its_parts(
            parts in proptest::collection::vec((any::<bool>(), 0..1_000_i64), 1..200),
            cut in any::<proptest::sample::Index>(),
        ) {
            let near = |(is_most, off): &(bool, i64)| if *is_most { i64::MAX - off } else { i64::MIN + off };
            let parts: Vec<Credits> = parts.iter().map(near).map(Credits::from_micros).collect();
            let exact: i128 = parts.iter().map(|it| i128::from(it.micros())).sum();
            let total: TotalCredits = parts.iter().copied().sum();
            prop_assert_eq!(total.micros(), exact);
            let (first, rest) = parts.split_at(cut.index(parts.len()));
            let of = |some: &[Credits]| some.iter().rev().copied().sum::<TotalCredits>();
            prop_assert_eq!(of(rest) + of(first), total);
            let mut taken_back = total;
            parts.iter().for_each(|it| taken_back -= *it);
            prop_assert!(taken_back.is_zero());
        }

        #[test]
        fn what_one_account_may_have_is_said_the_same_as_credits_and_as_a_total(micros in any::<i64>()) {
            let credits = Credits::from_micros(micros);
            let said: String = TotalCredits::from(credits).to_string();
            prop_assert_eq!(said, credits.to_string());
        }
    }
}
