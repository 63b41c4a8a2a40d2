//! Money that goes back: refunds of what is unused, disputes won and lost, and the books that agree with the provider.
use serde_json::{Value, json};

use crate::money_shop::Shop;
use crate::served::Reply;

const VISA: &str = "4242424242424242";

/// A customer who bought 1 000 credits for 12.10 and has nothing else to spend on chats.
fn bought(shop: &Shop, number: &str) -> String {
    let card = shop.customer("ada", number);
    let reply = shop.buy("ada", "order", &json!({"credits": 1000, "payment_method": card}));
    assert_eq!(reply.json()["status"], "succeeded", "{}", reply.text);
    // The welcome goes first: what is spent after this is paid for.
    assert_eq!(shop.spend("ada", "welcome", 500).status, 201);
    reply.json()["id"].as_str().unwrap().to_owned()
}

fn refund(shop: &Shop, payment: &str, key: &str, body: Value) -> Reply {
    let mut body = body;
    body["reason"] = json!("Bought too many");
    shop.server.post(&format!("/v1/payments/{payment}/refund"), key, &body)
}

fn at_provider(shop: &Shop) -> String {
    let totals = shop.control("GET", "totals", &json!({}));
    totals["succeeded"][0]["id"].as_str().unwrap().to_owned()
}

#[test]
fn defect_14_refunds_in_parts_give_back_what_was_paid_and_no_more() {
    let shop = Shop::open();
    let id = bought(&shop, VISA);
    assert_eq!(shop.spend("ada", "half", 400).status, 201);
    let beyond = refund(&shop, &id, "r0", json!({"credits": 601}));
    assert_eq!((beyond.problem().1, &beyond.json()["left"]), ("refund_exceeds_unused".to_owned(), &json!("600")));
    let first = refund(&shop, &id, "r1", json!({"credits": 333}));
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!((&first.json()["status"], &first.json()["total"]["amount"]), (&json!("succeeded"), &json!(402)));
    assert_eq!(refund(&shop, &id, "r1", json!({"credits": 333})).json()["id"], first.json()["id"]);
    assert_eq!(refund(&shop, &id, "r1", json!({"credits": 334})).problem().1, "idempotency_conflict");
    let rest = refund(&shop, &id, "r2", json!({}));
    assert_eq!(rest.json()["credits"], "267", "{}", rest.text);
    assert_eq!(refund(&shop, &id, "r3", json!({})).problem().1, "nothing_to_refund");
    shop.settle();
    // 60 % of 12.10, in two parts that add up.
    assert_eq!(shop.totals(), (1210, 726, 0));
    let payment = shop.payment(&id);
    assert_eq!((&payment["refunded"]["amount"], &payment["refunded_credits"]), (&json!(726), &json!("600")));
    assert_eq!(shop.server.available("ada"), "100", "only the welcome for servers is left");
    let notes = shop.server.get("/v1/accounts/ada/invoices").json();
    let numbers: Vec<&str> =
        notes["data"].as_array().unwrap().iter().map(|it| it["number"].as_str().unwrap()).collect();
    assert_eq!(numbers.iter().filter(|it| it.starts_with("CN-")).count(), 2, "{numbers:?}");
    assert!(notes["data"][0]["corrects"].as_str().unwrap().starts_with("INV-"));
}

#[test]
fn a_refund_the_provider_cannot_make_puts_the_credits_back() {
    let shop = Shop::open();
    let id = bought(&shop, VISA);
    let fault = json!({"when": "before", "what": "500", "method": "POST", "path": "/v1/refunds", "times": 9});
    shop.control("POST", "faults", &fault);
    let waits = refund(&shop, &id, "r1", json!({"credits": 100}));
    assert_eq!((waits.status, &waits.json()["status"]), (201, &json!("pending")), "{}", waits.text);
    assert_eq!(shop.server.available("ada"), "1000", "they are gone as soon as they are refunded");
    shop.control("DELETE", "faults", &json!({}));
    shop.pass(600);
    shop.wait_until("it was refunded after all", |it| it.totals().1 == 121);
    assert_eq!(shop.totals(), (1210, 121, 0));
}

#[test]
fn defect_14_a_dispute_that_is_won_leaves_everything_as_it_was() {
    let shop = Shop::open();
    let id = bought(&shop, VISA);
    let dispute = shop.control("POST", "disputes", &json!({"payment": at_provider(&shop)}));
    shop.settle();
    assert_eq!(shop.payment(&id)["dispute"]["status"], "open");
    assert_eq!(shop.server.available("ada"), "100");
    assert_eq!(shop.spend("ada", "x", 1).problem().1, "insufficient_credits");
    assert_eq!(refund(&shop, &id, "r1", json!({})).problem().1, "payment_disputed");
    let close = format!("disputes/{}/close", dispute["id"].as_str().unwrap());
    shop.control("POST", &close, &json!({"outcome": "won"}));
    shop.settle();
    assert_eq!(shop.payment(&id)["dispute"]["status"], "won");
    assert_eq!(shop.server.available("ada"), "1100");
    // And a refund afterwards gives back all of it.
    assert_eq!(refund(&shop, &id, "r2", json!({})).json()["total"]["amount"], 1210);
}

#[test]
fn defect_14_a_dispute_that_is_lost_takes_what_is_left_and_the_rest_is_owed() {
    let shop = Shop::open();
    let id = bought(&shop, VISA);
    assert_eq!(shop.spend("ada", "most", 700).status, 201);
    let dispute = shop.control("POST", "disputes", &json!({"payment": at_provider(&shop)}));
    let close = format!("disputes/{}/close", dispute["id"].as_str().unwrap());
    shop.control("POST", &close, &json!({"outcome": "lost"}));
    shop.settle();
    let payment = shop.payment(&id);
    assert_eq!((&payment["dispute"]["status"], &payment["dispute"]["lost"]["amount"]), (&json!("lost"), &json!(1210)));
    let balance = shop.server.get("/v1/accounts/ada/balance").json();
    assert_eq!((&balance["debt"], &balance["available"]), (&json!("700"), &json!("-600")), "{balance}");
    assert_eq!(refund(&shop, &id, "r1", json!({})).problem().1, "nothing_to_refund");
    // The next purchase repays the debt first.
    let again = shop.buy("ada", "again", &json!({"credits": 1000}));
    assert_eq!(again.json()["status"], "succeeded", "{}", again.text);
    assert_eq!(shop.server.get("/v1/accounts/ada/balance").json()["debt"], "0");
    assert_eq!(shop.server.available("ada"), "400");
    assert_eq!(shop.totals(), (2420, 0, 1210));
}

#[test]
fn a_dispute_nobody_told_of_is_found() {
    let shop = Shop::deaf();
    shop.listen();
    let id = bought(&shop, VISA);
    shop.control("POST", "webhook", &json!({}));
    shop.control("POST", "disputes", &json!({"payment": at_provider(&shop)}));
    shop.pass(400);
    shop.wait_until("the dispute is found", |it| it.payment(&id)["dispute"]["status"] == "open");
    assert_eq!(shop.server.available("ada"), "100");
}
