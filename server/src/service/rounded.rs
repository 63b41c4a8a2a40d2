//! Credits as people read them, on pages and in e-mails. Exact amounts stay exact elsewhere: on papers, and beside what
//! is shortened here.
//!
//! They have two places, by one rule: what is there at a time, such as a balance, what is set aside of it or left of a
//! grant, is cut ([`have`], [`stands`]), so that it is never more than there is; what came, went or costs is rounded to
//! the nearest ([`used`], [`signed`]). A total of many accounts is said as an amount of one is.
use billing::money::Credits;
use billing::total::TotalCredits;

use super::printed::thousands;

/// Micro-credits in a hundredth of a credit.
const CENT: u128 = Credits::MICROS.unsigned_abs() as u128 / 100;
const MINUS: char = '\u{2212}';

/// Credits somebody has: two places, never more than there is, also where that is less than nothing.
pub fn have(credits: impl Into<TotalCredits>) -> String {
    let credits = credits.into();
    if credits < TotalCredits::ZERO {
        places(credits.micros().unsigned_abs().div_ceil(CENT), credits)
    } else {
        cut(credits)
    }
}

fn cut(credits: TotalCredits) -> String {
    places(credits.micros().unsigned_abs() / CENT, credits)
}

/// Credits somebody used: two places, rounded to the nearest.
pub fn used(credits: impl Into<TotalCredits>) -> String {
    let credits = credits.into();
    places((credits.micros().unsigned_abs() + CENT / 2) / CENT, credits)
}

/// Credits that stand in an account of the ledger, with their sign: cut, so that what faces another is as long.
pub fn stands(credits: impl Into<TotalCredits>) -> String {
    let credits = credits.into();
    if credits.is_positive() { format!("+{}", cut(credits)) } else { cut(credits) }
}

/// Used credits with their sign, as a ledger shows what came and went.
pub fn signed(credits: impl Into<TotalCredits>) -> String {
    let credits = credits.into();
    if credits.is_positive() { format!("+{}", used(credits)) } else { used(credits) }
}

fn places(cents: u128, credits: TotalCredits) -> String {
    if cents == 0 && !credits.is_zero() {
        return if credits.is_positive() { "<0.01".to_owned() } else { format!("{MINUS}<0.01") };
    }
    let sign = if credits < TotalCredits::ZERO { MINUS.to_string() } else { String::new() };
    format!("{sign}{}.{:02}", thousands(cents / 100), cents % 100)
}
