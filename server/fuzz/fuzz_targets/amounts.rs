//! What callers write as amounts, names and ids: read back it is the same, or it was refused.
#![no_main]
use billing::id::{ChargeId, GrantId, HoldId, Name, PaymentId};
use billing::money::{Credits, Currency};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(credits) = text.parse::<Credits>() {
        assert_eq!(credits.to_string().parse(), Ok(credits));
    }
    if let Ok(name) = text.parse::<Name>() {
        assert_eq!(name.as_str(), text);
    }
    if let Ok(currency) = text.parse::<Currency>() {
        assert!(currency.as_str().eq_ignore_ascii_case(text));
    }
    same::<ChargeId>(text);
    same::<GrantId>(text);
    same::<HoldId>(text);
    same::<PaymentId>(text);
});

fn same<Id: std::str::FromStr + ToString>(text: &str) {
    if let Ok(id) = text.parse::<Id>() {
        assert_eq!(id.to_string(), text);
    }
}
