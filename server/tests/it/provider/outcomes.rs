//! What goes wrong on the way: which of the four outcomes it is, that no try changes the key, and that nothing happens
//! twice.
use std::thread;

use billing::time::{Span, Timestamp};
use serde_json::json;
use server::stripe::{Failure, Payment, PaymentStatus, RefundOrder, RefusedFor};

use super::{Town, order, provider_at};

const CHARGES: &str = "/v1/payment_intents";

fn try_charge(town: &Town, saved: &(String, String), key: &str) -> Result<Payment, Failure> {
    town.provider.charge_saved(&order(saved, "payment_1"), key)
}

/// A fault of charges, so often.
fn plan(town: &Town, when: &str, what: &str, times: u32) {
    town.fault(&json!({"when": when, "what": what, "times": times, "method": "POST", "path": CHARGES}));
}

fn is_ambiguous(outcome: &Result<Payment, Failure>) -> bool {
    matches!(outcome, Err(Failure::Ambiguous { .. }))
}

#[test]
fn no_try_changes_the_key_and_one_charge_comes_of_many() {
    for (when, what) in [("before", "drop"), ("after", "drop"), ("before", "429"), ("before", "409")] {
        let town = Town::new();
        let saved = town.customer_with("acct_ada", "4242424242424242");
        plan(&town, when, what, 2);
        let payment = try_charge(&town, &saved, "key 1").unwrap();
        assert_eq!(payment.status, PaymentStatus::Succeeded, "{when} {what}");
        let keys: Vec<String> = town.requests(CHARGES).into_iter().map(|it| it.0).collect();
        assert_eq!(keys, ["key 1"; 3], "{when} {what}");
        assert_eq!(town.totals(), (1000, 0, 0), "{when} {what}");
    }
}

#[test]
fn done_and_the_answer_lost_is_ambiguous_and_can_be_asked_again_or_found() {
    let town = Town::new();
    let saved = town.customer_with("acct_ada", "4242424242424242");
    plan(&town, "after", "drop", 3);
    assert!(is_ambiguous(&try_charge(&town, &saved, "key 1")));
    let found = town.provider.find_payment(&saved.0, "payment_1", Timestamp::EPOCH).unwrap().unwrap();
    assert_eq!(found.status, PaymentStatus::Succeeded);
    assert_eq!(try_charge(&town, &saved, "key 1").unwrap(), found, "the same key tells the same");
    assert_eq!(town.totals(), (1000, 0, 0));
}

#[test]
fn a_stored_failure_stays_and_only_looking_tells_what_was_done() {
    // It failed after the charge: it is found.
    let town = Town::new();
    let saved = town.customer_with("acct_ada", "4242424242424242");
    plan(&town, "after", "500", 1);
    assert!(is_ambiguous(&try_charge(&town, &saved, "key 1")));
    assert!(is_ambiguous(&try_charge(&town, &saved, "key 1")), "the key repeats the failure");
    let found = town.provider.find_payment(&saved.0, "payment_1", Timestamp::EPOCH).unwrap();
    assert_eq!(found.unwrap().status, PaymentStatus::Succeeded);
    assert_eq!(town.totals(), (1000, 0, 0));

    // It failed before: nothing is found, and the caller may decide on another key.
    let town = Town::new();
    let saved = town.customer_with("acct_ada", "4242424242424242");
    plan(&town, "before", "500", 1);
    assert!(is_ambiguous(&try_charge(&town, &saved, "key 1")));
    assert_eq!(town.provider.find_payment(&saved.0, "payment_1", Timestamp::EPOCH).unwrap(), None);
    try_charge(&town, &saved, "key 2").unwrap();
    assert_eq!(town.totals(), (1000, 0, 0));
}

#[test]
fn a_busy_provider_has_done_nothing_and_says_when_to_come_back() {
    let town = Town::new();
    let saved = town.customer_with("acct_ada", "4242424242424242");
    plan(&town, "before", "429", 3);
    let busy = try_charge(&town, &saved, "key 1");
    assert!(matches!(busy, Err(Failure::Busy { .. })), "{busy:?}");
    assert_eq!(town.requests(CHARGES).len(), 3);

    // Asked to wait longer than one call does, it does not try again.
    town.fault(&json!({"what": "429", "retry_after": 90, "method": "POST", "path": CHARGES}));
    let Err(Failure::Busy { after, .. }) = try_charge(&town, &saved, "key 1") else { panic!("it is busy") };
    assert_eq!((after, town.requests(CHARGES).len()), (Span::SECOND.times(90), 4));
    assert_eq!(town.totals(), (0, 0, 0));
    try_charge(&town, &saved, "key 1").unwrap();

    // What may have been done before the provider became busy stays ambiguous.
    plan(&town, "after", "drop", 1);
    plan(&town, "before", "429", 2);
    assert!(is_ambiguous(&try_charge(&town, &saved, "key 2")));
}

#[test]
fn who_cannot_be_reached_has_done_nothing() {
    let provider = provider_at("http://127.0.0.1:9");
    let saved = ("cus_1".to_owned(), "pm_1".to_owned());
    let busy = provider.charge_saved(&order(&saved, "payment_1"), "key 1");
    assert!(matches!(busy, Err(Failure::Busy { .. })), "{busy:?}");
}

#[test]
fn the_same_key_at_the_same_time_is_ambiguous_until_the_first_is_done() {
    let town = Town::new();
    let saved = town.customer_with("acct_ada", "4242424242424242");
    plan(&town, "before", "stall", 1);
    thread::scope(|scope| {
        let first = scope.spawn(|| try_charge(&town, &saved, "key 1"));
        // Whichever of the two comes first stalls; the other is turned away while it does.
        let second = scope.spawn(|| try_charge(&town, &saved, "key 1"));
        while !first.is_finished() && !second.is_finished() {
            thread::yield_now();
        }
        town.control("POST", "faults/release", &json!({}));
        let mut outcomes = [first.join().unwrap(), second.join().unwrap()];
        outcomes.sort_by_key(is_ambiguous);
        assert_eq!(outcomes[0].as_ref().unwrap().status, PaymentStatus::Succeeded);
        assert!(is_ambiguous(&outcomes[1]));
        assert_eq!(try_charge(&town, &saved, "key 1").as_ref(), outcomes[0].as_ref());
    });
    assert_eq!(town.totals(), (1000, 0, 0));
}

#[test]
fn a_key_is_for_one_request() {
    let town = Town::new();
    let saved = town.customer_with("acct_ada", "4242424242424242");
    try_charge(&town, &saved, "key 1").unwrap();
    let other = town.provider.charge_saved(&order(&saved, "payment_2"), "key 1").unwrap_err();
    assert!(matches!(other, Failure::Refused { why: RefusedFor::KeyReused, .. }), "{other:?}");
    // A decline is remembered as well.
    let poor = town.customer_with("acct_bob", "4000000000000341");
    let declined = try_charge(&town, &poor, "key 2").unwrap();
    assert!(matches!(declined.status, PaymentStatus::Failed(_)));
    assert_eq!(try_charge(&town, &poor, "key 2").unwrap(), declined);
    assert_eq!(town.totals(), (1000, 0, 0));
}

#[test]
fn refusals_say_for_what() {
    let town = Town::new();
    let saved = town.customer_with("acct_ada", "4242424242424242");
    let refused = |it: Failure| match it {
        Failure::Refused { why, .. } => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(town.provider.payment("pi_none").unwrap_err()), RefusedFor::Missing);
    let nobody = (saved.0.clone(), "pm_none".to_owned());
    assert_eq!(refused(try_charge(&town, &nobody, "key 1").unwrap_err()), RefusedFor::Missing);
    let mut small = order(&saved, "payment_1");
    small.total.amount = 1;
    assert_eq!(refused(town.provider.charge_saved(&small, "key 2").unwrap_err()), RefusedFor::Malformed);
    let nothing = RefundOrder { ours: "refund_1", payment: "pi_none", amount: super::euros(1) };
    assert_eq!(refused(town.provider.refund(&nothing, "key 3").unwrap_err()), RefusedFor::Missing);
}

#[test]
fn secrets_are_not_shown() {
    let town = Town::new();
    let shown = format!("{:?}", town.provider);
    assert!(!shown.contains("sk_test") && !shown.contains("whsec"), "{shown}");
}
