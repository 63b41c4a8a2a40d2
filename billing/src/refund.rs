//! What unused credits are worth when they go back: their cost basis, in the very money that was paid for them.
//!
//! Everything is reckoned from the beginning of the payment and never from the last part: what has gone back after each
//! part is a share of the whole, rounded once. So parts add up to the whole exactly, however they are cut, and never to
//! more. A share of money is rounded down and a share of credits up: the house is never out of pocket by rounding,
//! and by less than one minor unit in its favour until the last part settles it.
use crate::money::Credits;

/// A payment as far as refunds are concerned. Money in minor units of its currency.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bought {
    /// Credits the payment granted; more than zero.
    pub credits: Credits,
    pub net: i64,
    pub tax: i64,
    /// Whole multiples of this are collected, and go back: [`Currency::step`](crate::money::Currency::step).
    pub step: i64,
}

/// A part of it: gone back already, or about to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Part {
    pub credits: Credits,
    pub net: i64,
    pub tax: i64,
}

impl Part {
    pub fn total(self) -> i64 {
        self.net + self.tax
    }
    pub fn plus(self, other: Part) -> Part {
        Part { credits: self.credits + other.credits, net: self.net + other.net, tax: self.tax + other.tax }
    }
}

impl Bought {
    pub fn total(&self) -> i64 {
        self.net + self.tax
    }

    /// What `credits` more are worth, where `before` has gone back. None for more than there is.
    pub fn part_of_credits(&self, before: Part, credits: Credits) -> Option<Part> {
        assert!(self.credits.is_positive(), "a payment granted something");
        let after = before.credits.checked_add(credits).filter(|it| *it <= self.credits)?;
        if credits <= Credits::ZERO {
            return None;
        }
        let share = |whole: i64| self.share(whole, after.micros(), self.credits.micros());
        // What went back by amount may be ahead of its share of credits by less than a minor unit; it stays.
        let (net, tax) = (share(self.net).max(before.net), share(self.tax).max(before.tax));
        Some(Part { credits, net: net - before.net, tax: tax - before.tax })
    }

    /// `whole` × `part` / `all`, rounded down to the step; all of it for all.
    fn share(&self, whole: i64, part: i64, all: i64) -> i64 {
        let share = narrow(i128::from(whole) * i128::from(part) / i128::from(all));
        if part == all { share } else { share / self.step * self.step }
    }

    /// The most money that can go back for `credits`, where `before` has gone back. None where it is none.
    pub fn most_for(&self, before: Part, credits: Credits) -> Option<i64> {
        let fits = |amount: &i64| {
            let part = self.part_of_amount(before, *amount);
            part.is_some_and(|it| it.credits <= credits)
        };
        let share = self.part_of_credits(before, credits)?.total();
        // Net and tax are rounded down apart: what they lose together is less than two steps.
        Some(share + self.step).filter(fits).or(Some(share)).filter(|it| 0 < *it)
    }

    /// The part that `amount` of the total is, where `before` has gone back. None for more than there is.
    pub fn part_of_amount(&self, before: Part, amount: i64) -> Option<Part> {
        assert!(self.credits.is_positive(), "a payment granted something");
        let after = before.total().checked_add(amount).filter(|it| 0 < amount && *it <= self.total())?;
        // The rest is tax: never more of it than was paid, nor less than went back already.
        let (least, most) = (before.net.max(after - self.tax), self.net.min(after - before.tax));
        let net = self.share(self.net, after, self.total()).clamp(least, most);
        let tax = after - net;
        let exact = i128::from(self.credits.micros()) * i128::from(after);
        let total = i128::from(self.total());
        let credits = Credits::from_micros(narrow((exact + total - 1) / total)).max(before.credits);
        Some(Part { credits: credits - before.credits, net: net - before.net, tax: tax - before.tax })
    }
}

fn narrow(share: i128) -> i64 {
    i64::try_from(share).expect("a share is less than the whole")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUGHT: Bought = Bought { credits: Credits::whole(1_000), net: 999, tax: 210, step: 1 };

    #[test]
    fn parts_are_worth_their_share() {
        let none = Part::default();
        for (credits, net, tax) in [(1_000, 999, 210), (500, 499, 105), (1, 0, 0), (334, 333, 70)] {
            let part = BOUGHT.part_of_credits(none, Credits::whole(credits));
            assert_eq!(part, Some(Part { credits: Credits::whole(credits), net, tax }), "{credits}");
        }
        assert_eq!(BOUGHT.part_of_credits(none, Credits::whole(1_001)), None);
        assert_eq!(BOUGHT.part_of_credits(none, Credits::ZERO), None);
        assert_eq!(BOUGHT.part_of_amount(none, 1_210), None);
        assert_eq!(BOUGHT.part_of_amount(none, 0), None);
        let half = BOUGHT.part_of_amount(none, 605).expect("there is as much");
        assert_eq!((half.credits, half.net, half.tax), (Credits::from_micros(500_413_565), 499, 106));
        for (credits, most) in [(0, None), (1, Some(1)), (500, Some(604)), (1_000, Some(1_209)), (1_001, None)] {
            assert_eq!(BOUGHT.most_for(none, Credits::whole(credits)), most, "{credits}");
        }
    }

    #[test]
    fn dinars_go_back_by_ten_fils() {
        let bought = Bought { credits: Credits::whole(1_000), net: 12_340, tax: 2_590, step: 10 };
        let part = bought.part_of_credits(Part::default(), Credits::whole(333)).expect("there is as much");
        assert_eq!((part.net, part.tax), (4_100, 860));
        let rest = bought.part_of_credits(part, Credits::whole(667)).expect("there is as much");
        assert_eq!((part.plus(rest).net, part.plus(rest).tax), (12_340, 2_590));
    }

    proptest! {
        #[test]
        fn parts_never_exceed_and_together_are_the_whole(
            credits in 1..10_000_000i64,
            (net, tax) in (0..100_000i64, 0..30_000i64),
            step in prop_oneof![Just(1), Just(10), Just(100)],
            cuts in prop::collection::vec((any::<bool>(), 1..400_000i64), 0..30),
        ) {
            prop_assume!(0 < net + tax);
            let bought = Bought { credits: Credits::from_micros(credits), net, tax, step };
            let mut gone = Part::default();
            for (by_credits, size) in cuts {
                let part = if by_credits {
                    bought.part_of_credits(gone, Credits::from_micros(size))
                } else {
                    bought.part_of_amount(gone, size)
                };
                let Some(part) = part else { continue };
                prop_assert!(Credits::ZERO <= part.credits && 0 <= part.net && 0 <= part.tax);
                gone = gone.plus(part);
                prop_assert!(gone.credits <= bought.credits && gone.net <= net && gone.tax <= tax);
            }
            let left = bought.credits - gone.credits;
            if let Some(rest) = bought.part_of_credits(gone, left) {
                gone = gone.plus(rest);
                prop_assert_eq!((gone.net, gone.tax), (net, tax));
            }
        }
    }
}
