//! Auto-topup over HTTP: started by the charge that crosses the threshold, once, and never beyond what was agreed.
//! Named after what went wrong elsewhere.
use serde_json::{Value, json};

use crate::money_shop::{BACK, Shop};

const VISA: &str = "4242424242424242";
/// Saves well and is declined when it is charged.
const DECLINES: &str = "4000000000000341";
/// The bank wants the customer every time.
const WANTS_PROOF: &str = "4000002760003184";

fn rule(threshold: u64, credits: u64) -> Value {
    json!({"enabled": true, "threshold": threshold, "credits": credits})
}

fn set(shop: &Shop, body: &Value) -> Value {
    let reply = shop.server.put("/v1/accounts/ada/auto-topup", body);
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()
}

fn wait_for_payments(shop: &Shop, count: usize, status: &str) {
    shop.wait_until("the payments are settled", |it| {
        let payments = it.payments("ada");
        payments.len() == count && payments[0]["status"] == status
    });
}

#[test]
fn the_charge_that_crosses_the_threshold_starts_one_payment() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    let shown = set(&shop, &rule(200, 1000));
    assert_eq!((&shown["price"]["amount"], &shown["pending_payment"]), (&json!(1210), &json!(null)));
    assert_eq!(shop.spend("ada", "a", 400).status, 201);
    assert_eq!(shop.payments("ada").len(), 0, "200 is not below 200");
    assert_eq!(shop.spend("ada", "b", 1).status, 201);
    // The payment is there as soon as the charge is: they are one commit.
    assert_eq!(shop.payments("ada").len(), 1);
    wait_for_payments(&shop, 1, "succeeded");
    let payment = &shop.payments("ada")[0];
    assert_eq!((&payment["source"], &payment["tax"]["amount"]), (&json!("auto_topup"), &json!(210)));
    assert_eq!(shop.server.available("ada"), "1199");
    assert_eq!(shop.totals().0, 1210);
    assert_eq!(shop.server.get("/v1/accounts/ada/auto-topup").json()["spent_this_month"]["amount"], 1210);
}

#[test]
fn defect_3_a_hundred_charges_at_once_start_one_payment() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    set(&shop, &rule(450, 1000));
    std::thread::scope(|scope| {
        for thread in 0..10 {
            let shop = &shop;
            scope.spawn(move || {
                for charge in 0..10 {
                    assert_eq!(shop.spend("ada", &format!("{thread}_{charge}"), 2).status, 201);
                }
            });
        }
    });
    wait_for_payments(&shop, 1, "succeeded");
    shop.settle();
    assert_eq!((shop.payments("ada").len(), shop.totals().0), (1, 1210));
    assert_eq!(shop.server.available("ada"), "1400");
}

#[test]
fn enabling_it_below_the_threshold_asks_before_it_charges() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    let refused = shop.server.put("/v1/accounts/ada/auto-topup", &rule(2000, 1000));
    assert_eq!(refused.problem().1, "would_charge_now");
    // 600 are there: two increments clear the threshold, in one charge.
    assert_eq!(refused.json()["total"], json!({"amount": 2420, "currency": "eur"}));
    assert_eq!(shop.payments("ada").len(), 0);
    let mut agreed = rule(2000, 1000);
    agreed["charge_now"] = json!(true);
    set(&shop, &agreed);
    wait_for_payments(&shop, 1, "succeeded");
    assert_eq!(shop.server.available("ada"), "2600");
    assert_eq!(shop.totals().0, 2420);
}

#[test]
fn defect_1_a_declined_card_is_left_alone_for_hours_and_then_the_rule_pauses() {
    let shop = Shop::open();
    shop.customer("ada", DECLINES);
    set(&shop, &rule(599, 1000));
    shop.spend("ada", "a", 2);
    wait_for_payments(&shop, 1, "failed");
    for charge in 0..5 {
        shop.spend("ada", &format!("b{charge}"), 1);
    }
    assert_eq!(shop.payments("ada").len(), 1, "nothing is tried within the hour");
    for (seconds, payments) in [(3_700, 2), (6 * 3600 + 100, 3)] {
        shop.pass(seconds);
        wait_for_payments(&shop, payments, "failed");
    }
    let shown = shop.server.get("/v1/accounts/ada/auto-topup").json();
    assert_eq!(shown["paused"]["code"], "declined", "{shown}");
    shop.pass(30 * 24 * 3600);
    shop.spend("ada", "c", 1);
    assert_eq!((shop.payments("ada").len(), shop.totals().0), (3, 0));
}

#[test]
fn defect_9_a_bank_that_wants_the_customer_is_answered_by_the_customer() {
    let shop = Shop::open();
    shop.customer("ada", WANTS_PROOF);
    set(&shop, &rule(599, 1000));
    shop.spend("ada", "a", 2);
    wait_for_payments(&shop, 1, "requires_action");
    let shown = shop.server.get("/v1/accounts/ada/auto-topup").json();
    assert_eq!(shown["paused"]["code"], "authentication_required", "{shown}");
    let id = shop.payments("ada")[0]["id"].as_str().unwrap().to_owned();
    let confirmed = shop.server.post(&format!("/v1/payments/{id}/confirm"), "", &json!({"return_url": BACK}));
    assert_eq!(confirmed.status, 201, "{}", confirmed.text);
    shop.prove(confirmed.json()["action_url"].as_str().unwrap(), "complete").unwrap();
    shop.settle();
    wait_for_payments(&shop, 1, "succeeded");
    let shown = shop.server.get("/v1/accounts/ada/auto-topup").json();
    assert_eq!((&shown["paused"], &shown["pending_payment"]), (&json!(null), &json!(null)));
    assert_eq!(shop.server.available("ada"), "1598");
}

#[test]
fn defect_8_the_monthly_maximum_is_never_passed() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    let mut body = rule(550, 500);
    body["monthly_maximum"] = json!({"amount": 1300, "currency": "eur"});
    set(&shop, &body);
    for round in 0..6 {
        shop.spend("ada", &format!("a{round}"), 200);
        shop.wait_until("nothing is under way", |it| {
            it.server.get("/v1/accounts/ada/auto-topup").json()["pending_payment"].is_null()
        });
    }
    // 605 each, tax included: two fit into 1300.
    assert_eq!((shop.payments("ada").len(), shop.totals().0), (2, 1210));
    let mut wrong = rule(550, 1000);
    wrong["monthly_maximum"] = json!({"amount": 1209, "currency": "eur"});
    assert_eq!(shop.server.put("/v1/accounts/ada/auto-topup", &wrong).problem().2, "monthly_maximum");
    wrong["monthly_maximum"] = json!({"amount": 5000, "currency": "usd"});
    assert_eq!(shop.server.put("/v1/accounts/ada/auto-topup", &wrong).problem().2, "monthly_maximum.currency");
}

#[test]
fn a_rule_needs_a_card_and_keeps_the_last_one() {
    let shop = Shop::open();
    shop.server.account("ada");
    let refused = shop.server.put("/v1/accounts/ada/auto-topup", &rule(100, 1000));
    assert_eq!(refused.problem().2, "payment_method");
    shop.save_card("ada", VISA);
    set(&shop, &rule(200, 1000));
    let cards = |shop: &Shop| shop.server.get("/v1/accounts/ada/payment-methods").json()["data"].clone();
    let first = cards(&shop)[0].clone();
    assert_eq!(
        (&first["brand"], &first["last4"], &first["is_default"]),
        (&json!("visa"), &json!("4242"), &json!(true))
    );
    let path = |it: &Value| format!("/v1/accounts/ada/payment-methods/{}", it["id"].as_str().unwrap());
    assert_eq!(shop.server.delete(&path(&first)).problem().1, "payment_method_in_use");
    shop.save_card("ada", "5555555555554444");
    assert_eq!(cards(&shop).as_array().unwrap().len(), 2);
    assert_eq!(cards(&shop)[0]["is_default"], false);
    assert_eq!(shop.server.post(&format!("{}/default", path(&cards(&shop)[0])), "", &json!({})).status, 201);
    assert_eq!(shop.server.delete(&path(&first)).status, 204);
    assert_eq!(shop.server.delete(&path(&first)).problem().1, "payment_method_not_found");
    assert_eq!(cards(&shop).as_array().unwrap().len(), 1);
    // The rule goes on with the card that is left.
    shop.spend("ada", "a", 450);
    wait_for_payments(&shop, 1, "succeeded");
    assert_eq!(shop.payments("ada")[0]["payment_method"], cards(&shop)[0]["id"]);
}

#[test]
fn the_same_card_saved_twice_is_one_payment_method() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    let path = "/v1/accounts/ada/payment-methods/setup";
    let setup = shop.server.post(path, "again", &json!({"return_url": BACK})).json();
    shop.type_card(setup["setup_url"].as_str().unwrap(), VISA).unwrap();
    shop.settle();
    let cards = shop.server.get("/v1/accounts/ada/payment-methods").json();
    assert_eq!(cards["data"].as_array().unwrap().len(), 1, "{cards}");
}
