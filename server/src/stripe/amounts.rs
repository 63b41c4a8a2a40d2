//! Amounts as the provider counts them. It counts in the minor units of ISO 4217, as we do, but for three currencies:
//! krónur and shillings in hundredths, which must be whole krónur and shillings all the same, and ariary whole.
//!
//! Invariant: no amount is sent or read but through here.
use billing::invoice::Decimal;
use billing::money::{Currency, Money};

use super::words::{Failure, RefusedFor};

/// The most that can be charged, in the provider's units: eight digits.
const MOST: i64 = 99_999_999;

/// How many of the provider's units so many of ours are.
fn units(currency: Currency) -> (i64, i64) {
    match currency.as_str() {
        "isk" | "ugx" => (100, 1),
        "mga" => (1, 100),
        _ => (1, 1),
    }
}

/// An amount to be sent.
///
/// # Errors
/// When the provider has no number for it: nothing may be sent then.
pub(super) fn sent(money: Money) -> Result<i64, Failure> {
    let (theirs, ours) = units(money.currency);
    let amount = money.amount.checked_mul(theirs).filter(|it| it % ours == 0).map(|it| it / ours);
    amount.ok_or_else(|| {
        let (amount, currency) = (Decimal(money), money.currency);
        let detail = format!("{amount} {currency} cannot be said in the provider's units: nothing was sent");
        Failure::Refused { why: RefusedFor::Malformed, detail }
    })
}

/// An amount that was read, in our units. What is less than one of ours is dropped: we send nothing of the kind.
pub(super) fn read(amount: i64, currency: Currency) -> i64 {
    let (theirs, ours) = units(currency);
    amount.saturating_mul(ours) / theirs
}

/// The most that a card can be charged, in minor units.
pub fn charged_max(currency: Currency) -> i64 {
    read(MOST, currency)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_go_out_and_come_back() {
        for (currency, ours, theirs) in [
            ("eur", 1_210, 1_210),
            ("jpy", 500, 500),
            ("kwd", 5_120, 5_120),
            ("isk", 5, 500),
            ("ugx", 5, 500),
            ("mga", 500, 5),
            ("isk", 0, 0),
        ] {
            let currency: Currency = currency.parse().unwrap();
            assert_eq!(sent(Money { amount: ours, currency }), Ok(theirs), "{currency:?}");
            assert_eq!(read(theirs, currency), ours, "{currency:?}");
        }
        for (currency, amount) in [("mga", 50), ("mga", 101), ("isk", i64::MAX)] {
            let money = Money { amount, currency: currency.parse().unwrap() };
            assert!(sent(money).is_err(), "{money:?}");
        }
        assert_eq!(charged_max("isk".parse().unwrap()), 999_999);
    }
}
