//! Money that goes back: refunds of what is unused, disputes won and lost, and the books that agree with the provider.
use billing::money::Credits;
use serde_json::{Value, json};

use crate::money_shop::Shop;
use crate::pages::visit;
use crate::served::Reply;

const VISA: &str = "4242424242424242";

/// A customer who bought 1 000 credits for 12.10 and has nothing else to spend on chats.
pub fn bought(shop: &Shop, number: &str) -> String {
    bought_with(shop, &shop.customer("ada", number))
}

fn bought_with(shop: &Shop, card: &str) -> String {
    let reply = shop.buy("ada", "order", &json!({"credits": 1000, "payment_method": card}));
    assert_eq!(reply.json()["status"], "succeeded", "{}", reply.text);
    // The welcome goes first: what is spent after this is paid for.
    assert_eq!(shop.spend("ada", "welcome", 500).status, 201);
    reply.json()["id"].as_str().unwrap().to_owned()
}

pub fn refund(shop: &Shop, payment: &str, key: &str, body: Value) -> Reply {
    let mut body = body;
    body["reason"] = json!("Bought too many");
    shop.server.post(&format!("/v1/payments/{payment}/refund"), key, &body)
}

pub fn at_provider(shop: &Shop) -> String {
    let totals = shop.control("GET", "totals", &json!({}));
    totals["succeeded"][0]["id"].as_str().unwrap().to_owned()
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
    let notes = |it: &Shop| it.server.get("/v1/accounts/ada/invoices").json()["data"].as_array().unwrap().len();
    shop.wait_until("its credit note is there", |it| notes(it) == 2);
    let again = refund(&shop, &id, "r1", json!({"credits": 100}));
    assert_eq!((again.status, &again.text), (201, &waits.text), "as it was answered");
    assert_eq!(again.header("idempotent-replay"), Some("true"));
}

/// Money is minor units with their currency everywhere; of a payment, whose currency is known, the units alone will do.
#[test]
fn the_amount_of_a_refund_is_minor_units_or_money() {
    let shop = Shop::open();
    let id = bought(&shop, VISA);
    for (amount, field) in [
        (json!(0), "amount"),
        (json!(-121), "amount"),
        (json!("121"), "amount"),
        (json!(1.21), "amount"),
        (json!([121]), "amount"),
        (json!({"amount": 0, "currency": "eur"}), "amount.amount"),
        (json!({"amount": 121, "currency": "usd"}), "amount.currency"),
        (json!({"amount": 121, "currency": "euro"}), "amount.currency"),
        (json!({"amount": 121}), "amount.currency"),
        (json!({"amount": 121, "currency": "eur", "tax": 21}), "amount.tax"),
    ] {
        let refused = refund(&shop, &id, "wrong", json!({"amount": amount}));
        assert_eq!(refused.problem(), (422, "invalid_request".into(), field.into()), "{amount}: {}", refused.text);
    }
    let units = refund(&shop, &id, "r1", json!({"amount": 121}));
    assert_eq!((units.status, &units.json()["credits"]), (201, &json!("100")), "{}", units.text);
    // The same said in another way is the same.
    let money = |key: &str| refund(&shop, &id, key, json!({"amount": {"amount": 121, "currency": "EUR"}}));
    assert_eq!(money("r1").text, units.text);
    assert_eq!(money("r2").json()["total"], json!({"amount": 121, "currency": "eur"}));
    shop.settle();
    assert_eq!(shop.totals(), (1210, 242, 0));
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

#[test]
fn a_refund_that_fails_after_it_had_succeeded_puts_the_credits_back() {
    let shop = Shop::open();
    let id = bought(&shop, VISA);
    let refunded = refund(&shop, &id, "r1", json!({"credits": 100}));
    assert_eq!(refunded.json()["status"], "succeeded", "{}", refunded.text);
    assert_eq!(shop.payment(&id)["status"], "partially_refunded");
    assert_eq!(shop.server.available("ada"), "1000");
    let name = shop.refunds_at_provider()[0].clone();
    shop.control("POST", &format!("refunds/{name}"), &json!({"status": "failed"}));
    shop.settle();
    assert_eq!((shop.server.available("ada"), shop.totals()), ("1100".to_owned(), (1210, 0, 0)));
    assert_eq!(
        (&shop.payment(&id)["refunded"]["amount"], &shop.payment(&id)["status"]),
        (&json!(0), &json!("succeeded"))
    );
    // All of it can be refunded once more, and no more than that.
    assert_eq!(refund(&shop, &id, "r2", json!({})).json()["total"]["amount"], 1210);
    shop.settle();
    assert_eq!((shop.totals(), shop.server.available("ada")), ((1210, 1210, 0), "100".to_owned()));
}

#[test]
fn a_dispute_after_a_refund_takes_what_the_refund_left() {
    let shop = Shop::open();
    let id = bought(&shop, VISA);
    assert_eq!(refund(&shop, &id, "r1", json!({"credits": 400})).json()["total"]["amount"], 484);
    let dispute = shop.control("POST", "disputes", &json!({"payment": at_provider(&shop)}));
    let close = format!("disputes/{}/close", dispute["id"].as_str().unwrap());
    shop.control("POST", &close, &json!({"outcome": "lost"}));
    shop.settle();
    let payment = shop.payment(&id);
    assert_eq!((&payment["refunded"]["amount"], &payment["dispute"]["lost"]["amount"]), (&json!(1210), &json!(726)));
    let balance = shop.server.get("/v1/accounts/ada/balance").json();
    assert_eq!((&balance["available"], &balance["debt"]), (&json!("100"), &json!("0")));
    assert_eq!(shop.totals(), (1210, 484, 726));
    let page = shop.server.browse(&format!("/settings/billing/payments/{id}"), &visit(&shop.server, "ada", "owner"));
    assert!(page.text.contains("You have €12.10 back from it."), "{}", page.text);
}

#[test]
fn two_disputes_over_one_payment_freeze_it_until_both_are_settled() {
    let shop = Shop::open();
    let id = bought(&shop, VISA);
    let open = |amount: i64| {
        let dispute = shop.control("POST", "disputes", &json!({"payment": at_provider(&shop), "amount": amount}));
        shop.settle();
        dispute["id"].as_str().unwrap().to_owned()
    };
    let grants = || {
        let grants = shop.server.get("/v1/accounts/ada/grants").json()["data"].clone();
        let of = |source: &str| grants.as_array().unwrap().iter().find(|it| it["source"] == source).unwrap().clone();
        let sum: Credits = grants
            .as_array()
            .unwrap()
            .iter()
            .filter(|it| it["state"] == "live")
            .map(|it| it["remaining"].as_str().unwrap().parse::<Credits>().unwrap())
            .sum();
        let posted = shop.server.get("/v1/accounts/ada/balance").json()["posted"].clone();
        assert_eq!(posted, sum.to_string(), "what is live is what is posted: {grants}");
        (of("purchase")["state"].clone(), of("purchase")["remaining"].clone())
    };
    assert_eq!(grants(), (json!("live"), json!("1000")));
    let (first, second) = (open(500), open(600));
    assert_eq!(grants(), (json!("frozen"), json!("1000")));
    let close = |id: &str, outcome: &str| {
        shop.control("POST", &format!("disputes/{id}/close"), &json!({"outcome": outcome}));
        shop.settle();
    };
    close(&first, "won");
    assert_eq!(shop.spend("ada", "x", 1).status, 402, "the other is open still");
    close(&second, "lost");
    assert_eq!(shop.payment(&id)["refunded"]["amount"], 600);
    assert_eq!(grants().0, "live");
    assert_eq!(shop.spend("ada", "x", 1).status, 201);
    assert_eq!(shop.totals(), (1210, 0, 600));
}

#[test]
fn a_dispute_in_another_currency_than_was_paid_is_over_all_of_it() {
    let shop = Shop::open();
    let id = bought(&shop, VISA);
    let asked = json!({"payment": at_provider(&shop), "amount": 900, "currency": "usd"});
    let dispute = shop.control("POST", "disputes", &asked);
    shop.settle();
    assert_eq!(shop.payment(&id)["dispute"]["status"], "open");
    let close = format!("disputes/{}/close", dispute["id"].as_str().unwrap());
    shop.control("POST", &close, &json!({"outcome": "lost"}));
    shop.settle();
    let payment = shop.payment(&id);
    assert_eq!((&payment["refunded"]["amount"], &payment["dispute"]["lost"]["amount"]), (&json!(1210), &json!(1210)));
}

/// A shop that settles in another currency than ada pays in, and her payment of 12.10 dollars, disputed.
fn disputed_in_dollars() -> (Shop, String, String) {
    let shop = Shop::open();
    shop.control("POST", "settlement", &json!({"currency": "eur", "per_mille": 860}));
    assert_eq!(shop.server.put("/v1/accounts/ada", &json!({"currency": "usd"})).status, 201);
    let id = bought_with(&shop, &shop.card_of("ada", VISA));
    let dispute = shop.control("POST", "disputes", &json!({"payment": at_provider(&shop)}));
    let moved = &dispute["balance_transactions"][0];
    assert_eq!((&moved["currency"], &moved["amount"]), (&json!("eur"), &json!(-1040)));
    shop.settle();
    assert_eq!(shop.payment(&id)["dispute"]["status"], "open");
    (shop, id, dispute["id"].as_str().unwrap().to_owned())
}

#[test]
fn a_dispute_that_is_won_takes_nothing_although_what_was_converted_comes_back_later() {
    let (shop, id, dispute) = disputed_in_dollars();
    // 10.40 euro are gone from the balance still: less than 12.10, and not dollars.
    shop.control("POST", &format!("disputes/{dispute}/close"), &json!({"outcome": "won", "reinstated": 0}));
    shop.settle();
    let payment = shop.payment(&id);
    assert_eq!((&payment["dispute"]["status"], &payment["refunded"]["amount"]), (&json!("won"), &json!(0)));
    assert_eq!(shop.server.available("ada"), "1100");
}

#[test]
fn a_dispute_that_is_lost_takes_all_of_it_whatever_it_came_to_in_the_sellers_currency() {
    let (shop, id, dispute) = disputed_in_dollars();
    shop.control("POST", &format!("disputes/{dispute}/close"), &json!({"outcome": "lost"}));
    shop.settle();
    let lost = json!({"amount": 1210, "currency": "usd"});
    let payment = shop.payment(&id);
    assert_eq!((&payment["dispute"]["lost"], &payment["refunded"]), (&lost, &lost));
    assert_eq!(shop.server.available("ada"), "100");
}

/// A refund of 100 credits whose answer is lost, in a shop that hears nothing; the provider has made it, or not yet.
fn unanswered(when: &str, fault: &str) -> (Shop, String, Reply) {
    let shop = Shop::deaf();
    shop.listen();
    let id = bought(&shop, VISA);
    shop.control("POST", "webhook", &json!({}));
    shop.fault(&json!({"when": when, "what": fault, "method": "POST", "path": "/v1/refunds", "times": 4}));
    let reply = refund(&shop, &id, "r1", json!({"credits": 100}));
    assert_eq!(reply.status, 201, "{}", reply.text);
    shop.control("DELETE", "faults", &json!({}));
    (shop, id, reply)
}

/// The kinds of ada's invoices and credit notes, oldest first.
fn papers(shop: &Shop) -> Vec<String> {
    let all = shop.server.get("/v1/accounts/ada/invoices").json();
    all["data"].as_array().unwrap().iter().rev().map(|it| it["kind"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_refund_whose_answer_was_lost_is_not_given_up_because_the_list_may_not_be_read() {
    for status in ["401", "403", "404"] {
        let (shop, _, _) = unanswered("after", "drop");
        shop.fault(&json!({"what": status, "method": "GET", "path": "/v1/refunds", "times": 99}));
        let before = shop.asked("GET", "/v1/refunds");
        shop.pass_until("the list is asked for twice", |it| before + 2 <= it.asked("GET", "/v1/refunds"));
        assert_eq!((shop.server.available("ada"), shop.totals().1), ("1000".to_owned(), 121), "{status}");
        shop.control("DELETE", "faults", &json!({}));
        shop.pass_until("it is found", |it| papers(it) == ["invoice", "credit_note"]);
        assert_eq!((shop.server.available("ada"), shop.totals()), ("1000".to_owned(), (1210, 121, 0)), "{status}");
    }
}

#[test]
fn a_refund_is_asked_for_under_one_key_until_the_provider_keeps_an_error_under_it() {
    for (fault, keys) in [("drop", 1), ("429", 1), ("401", 1), ("500", 2)] {
        let (shop, _, reply) = unanswered("before", fault);
        assert_eq!(reply.json()["status"], "pending", "{fault}: {}", reply.text);
        shop.pass_until("it was refunded after all", |it| papers(it) == ["invoice", "credit_note"]);
        assert_eq!(shop.totals().1, 121, "{fault}");
        let mut all = shop.keys_of("POST", "/v1/refunds");
        all.dedup();
        assert_eq!(all.len(), keys, "{fault}: {all:?}");
    }
}

#[test]
fn a_refund_that_was_taken_for_refused_and_was_made_takes_its_credits_back_again() {
    // Something in between says no, and the provider had done it.
    let (shop, id, reply) = unanswered("after", "404");
    assert_eq!((&reply.json()["status"], shop.server.available("ada")), (&json!("failed"), "1100".to_owned()));
    assert_eq!(shop.spend("ada", "most", 950).status, 201);
    // The provider's list of events says what nobody told.
    shop.pass(400);
    shop.wait_until("it is taken back", |it| it.payment(&id)["refunded"]["amount"] == 121);
    let balance = shop.server.get("/v1/accounts/ada/balance").json();
    assert_eq!((&balance["debt"], &balance["available"]), (&json!("50"), &json!("50")), "{balance}");
    assert_eq!(papers(&shop), ["invoice", "credit_note"]);
    assert_eq!(shop.totals(), (1210, 121, 0));
}

#[test]
fn a_refund_made_by_hand_that_fails_later_is_invoiced_again() {
    let shop = Shop::open();
    let id = bought(&shop, VISA);
    let by_hand = shop.refund_by_hand(&at_provider(&shop), 605);
    shop.settle();
    assert_eq!((&shop.payment(&id)["refunded"]["amount"], papers(&shop).len()), (&json!(605), 2));
    shop.control("POST", &format!("refunds/{by_hand}"), &json!({"status": "failed"}));
    shop.settle();
    assert_eq!(
        (shop.server.available("ada"), &shop.payment(&id)["refunded"]["amount"]),
        ("1100".to_owned(), &json!(0))
    );
    // The credit note stands as it was issued; what it took back is invoiced once more.
    assert_eq!(papers(&shop), ["invoice", "credit_note", "invoice"]);
    let all = shop.server.get("/v1/accounts/ada/invoices").json();
    assert_eq!((&all["data"][0]["total"], &all["data"][0]["payment"]), (&all["data"][1]["total"], &json!(id)));
}

/// 1 000 credits that were bought, of which 300 were spent and 700 voided.
fn voided() -> (Shop, String) {
    let shop = Shop::open();
    let id = bought(&shop, VISA);
    assert_eq!(shop.spend("ada", "some", 300).status, 201);
    let path = format!("/v1/grants/{}/void", shop.payment(&id)["grant"].as_str().unwrap());
    assert_eq!(shop.server.post(&path, "void", &json!({"reason": "Gone by agreement"})).status, 201);
    (shop, id)
}

/// What ada owes, and what all ledger accounts together come to.
fn debt(shop: &Shop) -> (Value, Value) {
    let balance = shop.server.get("/v1/accounts/ada/balance").json();
    (balance["debt"].clone(), shop.server.get("/v1/reports/ledger").json()["sum"].clone())
}

pub fn lose(shop: &Shop, amount: Option<i64>) {
    let dispute = shop.control("POST", "disputes", &json!({"payment": at_provider(shop), "amount": amount}));
    let close = format!("disputes/{}/close", dispute["id"].as_str().unwrap());
    shop.control("POST", &close, &json!({"outcome": "lost"}));
    shop.settle();
}

#[test]
fn nothing_is_owed_for_credits_that_were_voided_when_their_payment_is_lost() {
    let (shop, id) = voided();
    // Half of it: 500 of the 700 that nobody had.
    lose(&shop, Some(605));
    assert_eq!((&shop.payment(&id)["refunded"]["amount"], debt(&shop).0), (&json!(605), json!("0")));
    // The other half: 200 that nobody had, and 300 that were spent.
    lose(&shop, None);
    assert_eq!((&shop.payment(&id)["refunded"]["amount"], debt(&shop)), (&json!(1210), (json!("300"), json!("0"))));
    assert_eq!(shop.totals(), (1210, 0, 1210));
}

#[test]
fn a_refund_made_by_hand_that_fails_later_brings_no_voided_credits_back() {
    let (shop, id) = voided();
    let by_hand = shop.refund_by_hand(&at_provider(&shop), 1210);
    shop.settle();
    assert_eq!((&shop.payment(&id)["refunded"]["amount"], debt(&shop)), (&json!(1210), (json!("300"), json!("0"))));
    shop.control("POST", &format!("refunds/{by_hand}"), &json!({"status": "failed"}));
    shop.settle();
    assert_eq!((&shop.payment(&id)["refunded"]["amount"], debt(&shop)), (&json!(0), (json!("0"), json!("0"))));
    assert_eq!(shop.server.available("ada"), "100");
    // And once more, as if it had never been.
    lose(&shop, None);
    assert_eq!(debt(&shop), (json!("300"), json!("0")));
}

#[test]
fn nothing_is_owed_for_credits_that_expired_when_their_payment_is_lost() {
    let shop = Shop::open();
    short(&shop);
    assert_eq!(shop.spend("ada", "some", 250).status, 201);
    shop.pass(150 * 24 * 3600);
    shop.wait_until("all has expired but the welcome", |it| it.server.available("ada") == "500");
    lose(&shop, None);
    let gone = shop.payments("ada").iter().map(|it| it["refunded"]["amount"].as_i64().unwrap()).sum::<i64>();
    assert_eq!((gone, debt(&shop)), (shop.totals().2, (json!("0"), json!("0"))));
    assert_eq!(shop.server.available("ada"), "250", "the welcome has paid for what was spent");
}

/// A month of 2 000 credits that expire, and no other after it.
fn short(shop: &Shop) {
    shop.customer("ada", VISA);
    let plan = json!({"name": "Short", "credits": "2000", "price": {"amount": 1500, "currency": "eur"},
        "every": "month", "carry_over_periods": 1});
    assert_eq!(shop.server.put("/v1/plans/short", &plan).status, 201);
    let made = shop.server.post("/v1/accounts/ada/subscription", "s", &json!({"plan": "short"}));
    assert_eq!(made.json()["state"], "active", "{}", made.text);
    assert_eq!(shop.server.post("/v1/accounts/ada/subscription/cancel", "c", &json!({})).status, 201);
}

fn grant_of_plan(shop: &Shop) -> Value {
    let grants = shop.server.get("/v1/accounts/ada/grants").json();
    grants["data"].as_array().unwrap().iter().find(|it| it["source"] == "subscription").unwrap().clone()
}

#[test]
fn credits_that_expired_and_whose_money_went_are_drawn_by_no_late_event() {
    let shop = Shop::open();
    short(&shop);
    let expires_at: jiff::Timestamp = grant_of_plan(&shop)["expires_at"].as_str().unwrap().parse().unwrap();
    let late = |key: &str, credits: u64| {
        let mut charge = crate::served::chat("ada", key, credits * 8_000);
        charge["at"] = json!((expires_at - jiff::SignedDuration::from_hours(24)).to_string());
        shop.server.charge(&charge)
    };
    let now: jiff::Timestamp = shop.server.later(0).parse().unwrap();
    shop.pass(expires_at.as_second() - now.as_second() + 10 * 24 * 3600);
    shop.wait_until("all has expired but the welcome", |it| it.server.available("ada") == "500");
    assert_eq!(late("before", 600).status, 201, "what had expired pays for what was done before");
    lose(&shop, None);
    // Of the 2 000 credits 600 were used, and the rest is gone: the welcome is all there is, less what is owed.
    assert_eq!((shop.server.available("ada"), debt(&shop)), ("-100".to_owned(), (json!("100"), json!("0"))));
    assert_eq!(late("after", 1).problem().1, "insufficient_credits");
}

#[test]
fn who_wins_a_dispute_has_the_credits_for_as_long_as_before_it() {
    let shop = Shop::open();
    short(&shop);
    let grant = || grant_of_plan(&shop);
    let expires_at = || grant()["expires_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let before = expires_at();
    let dispute = shop.control("POST", "disputes", &json!({"payment": at_provider(&shop)}));
    shop.settle();
    assert_eq!(shop.server.available("ada"), "600");
    shop.pass(150 * 24 * 3600);
    shop.wait_until("the welcome for servers has expired", |it| it.server.available("ada") == "500");
    assert_eq!((&grant()["state"], &grant()["remaining"]), (&json!("frozen"), &json!("2000")));
    shop.control("POST", &format!("disputes/{}/close", dispute["id"].as_str().unwrap()), &json!({"outcome": "won"}));
    shop.settle();
    assert_eq!(shop.server.available("ada"), "2500");
    let later = expires_at().as_second() - before.as_second();
    assert!((150 * 24 * 3600..151 * 24 * 3600).contains(&later), "{later}");
    shop.pass(70 * 24 * 3600);
    shop.wait_until("they expire after all", |it| it.server.available("ada") == "500");
}

#[test]
fn what_is_given_back_of_a_grant_that_was_used_up_stays_frozen_until_the_dispute_is_closed() {
    let shop = Shop::open();
    bought(&shop, VISA);
    let spent = shop.spend("ada", "all", 1_000);
    assert_eq!(spent.status, 201);
    let dispute = shop.control("POST", "disputes", &json!({"payment": at_provider(&shop)}));
    shop.settle();
    let path = format!("/v1/charges/{}/reverse", spent.json()["id"].as_str().unwrap());
    let reversed = shop.server.post(&path, "back", &json!({"credits": "400", "reason": "It failed"}));
    assert_eq!(reversed.status, 201, "{}", reversed.text);
    assert_eq!((shop.server.available("ada"), shop.spend("ada", "more", 1).status), ("100".to_owned(), 402));
    shop.control("POST", &format!("disputes/{}/close", dispute["id"].as_str().unwrap()), &json!({"outcome": "won"}));
    shop.settle();
    assert_eq!((shop.server.available("ada"), shop.spend("ada", "more", 400).status), ("500".to_owned(), 201));
}

#[test]
fn a_payment_that_went_back_says_so_on_its_page() {
    let shop = Shop::open();
    let id = bought(&shop, VISA);
    let cookie = visit(&shop.server, "ada", "owner");
    let page = || shop.server.browse(&format!("/settings/billing/payments/{id}"), &cookie).text;
    assert!(page().contains("1,000.00 credits were added to your account."));
    for (key, body, said) in [
        ("r1", json!({"credits": 100}), "€1.21 goes back to you; a bank may take ten days to show it."),
        ("r2", json!({}), "€12.10 goes back to you; a bank may take ten days to show it."),
    ] {
        assert_eq!(refund(&shop, &id, key, body).status, 201);
        shop.wait_until("it was refunded", |it| it.totals().1 == if key == "r1" { 121 } else { 1_210 });
        let page = page();
        assert!(page.contains(said) && !page.contains("were added"), "{page}");
    }
}
