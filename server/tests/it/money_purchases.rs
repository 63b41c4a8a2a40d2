//! Buying credits, and everything that can come between the money and the credits.
use serde_json::{Value, json};

use crate::money_shop::{BACK, SECRET, SELLER, Shop};
use crate::pages::visit;
use crate::served::{Reply, Served};

const VISA: &str = "4242424242424242";

pub fn hosted(goods: Value) -> Value {
    let mut body = goods;
    body["hosted"] = json!(true);
    body["return_url"] = json!(BACK);
    body
}

#[test]
fn the_rates_and_the_bounds_of_a_purchase_are_what_the_operator_says() {
    let said = "[vat]\nLT = [{ rate = \"25.5\", from = \"2020-01-01\" }, { rate = 90, from = 2100-01-01 }]\n\
        [purchase.eur]\nminimum = \"20\"\nmaximum = \"30.50\"\n";
    let shop = Shop::open().sold_to(&format!("{SELLER}{said}"));
    let card = shop.customer("ada", "4242424242424242");
    for credits in [1_999, 3_051] {
        let refused = shop.buy("ada", "order", &json!({"credits": credits, "payment_method": card}));
        assert_eq!(refused.problem(), (422, "invalid_request".to_owned(), "credits".to_owned()), "{credits}");
        assert!(refused.text.contains("must cost from 20 to 30.50 EUR before tax"), "{}", refused.text);
    }
    let bought = shop.buy("ada", "order", &json!({"credits": 2_500, "payment_method": card})).json();
    assert_eq!((&bought["net"]["amount"], &bought["tax"]["amount"]), (&json!(2_500), &json!(638)), "{bought}");
    let invoice = shop.server.get(&format!("/v1/invoices/{}", bought["invoice"].as_str().unwrap()));
    assert!(invoice.text.contains("25.5"), "{}", invoice.text);
    assert_eq!(shop.totals().0, 3_138);
}

#[test]
fn credits_are_bought_on_the_hosted_page_and_come_with_the_notice() {
    let shop = Shop::open();
    shop.server.account("ada");
    let reply = shop.buy("ada", "order_1", &hosted(json!({"package": "builder"})));
    assert_eq!(reply.status, 201, "{}", reply.text);
    let bought = reply.json();
    assert_eq!((&bought["status"], &bought["credits"]), (&json!("requires_action"), &json!("5250")));
    assert_eq!(bought["net"], json!({"amount": 5000, "currency": "eur"}));
    assert_eq!(bought["tax"]["amount"], 1050);
    assert_eq!(shop.server.get("/v1/accounts/ada/balance").json()["pending_purchases"], "5250");
    // Coming back from the page is nothing: only the provider's word counts.
    assert_eq!(shop.server.available("ada"), "600");
    shop.type_card(bought["checkout_url"].as_str().unwrap(), VISA).unwrap();
    shop.settle();
    let id = bought["id"].as_str().unwrap();
    let paid = shop.payment(id);
    assert_eq!(paid["status"], "succeeded", "{paid}");
    assert_eq!(shop.server.available("ada"), "5850");
    assert_eq!(shop.paid_grants("ada"), [(id.to_owned(), "5250".to_owned())]);
    assert_eq!(shop.totals(), (6050, 0, 0));
    let invoice = shop.server.get(&format!("/v1/invoices/{}", paid["invoice"].as_str().unwrap())).json();
    assert!(invoice["number"].as_str().unwrap().starts_with("INV-20"), "{invoice}");
    assert_eq!((&invoice["total"]["amount"], &invoice["tax_rate"]), (&json!(6050), &json!("21")));
    assert_eq!(shop.server.get("/v1/accounts/ada/balance").json()["pending_purchases"], "0");
}

#[test]
fn notices_that_come_late_and_in_the_wrong_order_lead_to_the_same() {
    let shop = Shop::open();
    shop.control("POST", "notices", &json!({"held": true}));
    shop.server.account("ada");
    let bought = shop.buy("ada", "order_1", &hosted(json!({"credits": 1000}))).json();
    let page = bought["checkout_url"].as_str().unwrap();
    // Declined first, then paid: told the other way round.
    shop.type_card(page, "4000000000009995").unwrap_err();
    shop.type_card(page, VISA).unwrap();
    shop.control("POST", "notices/release", &json!({"reversed": true}));
    shop.control("POST", "notices", &json!({"held": false}));
    shop.settle();
    assert_eq!(shop.payment(bought["id"].as_str().unwrap())["status"], "succeeded");
    assert_eq!(shop.server.available("ada"), "1600");
    assert_eq!(shop.totals().0, 1210);
}

#[test]
fn declined_cards_say_why_in_plain_words_and_cost_nothing() {
    let shop = Shop::open();
    let card = shop.customer("ada", "4000000000000341");
    let reply = shop.buy("ada", "order_1", &json!({"credits": 1000, "payment_method": card}));
    assert_eq!(reply.status, 201, "{}", reply.text);
    let failed = reply.json();
    assert_eq!((&failed["status"], &failed["failure"]["code"]), (&json!("failed"), &json!("declined")));
    assert!(failed["failure"]["detail"].as_str().unwrap().contains("bank"));
    shop.settle();
    assert_eq!(shop.server.available("ada"), "600");
    assert_eq!(shop.payments("ada").len(), 1);
    assert_eq!(shop.totals().0, 0);
    // Another try is another payment, and works with another card.
    shop.save_card("ada", VISA);
    let methods = shop.server.get("/v1/accounts/ada/payment-methods").json();
    let visa = methods["data"].as_array().unwrap().iter().find(|it| it["last4"] == "4242").unwrap()["id"].clone();
    let bought = shop.buy("ada", "order_2", &json!({"credits": 1000, "payment_method": visa}));
    assert_eq!(bought.json()["status"], "succeeded", "{}", bought.text);
    assert_eq!(shop.payments("ada").len(), 2);
}

/// The provider counts krónur and shillings in hundredths, and ariary whole.
#[test]
fn currencies_that_the_provider_counts_otherwise_are_charged_refunded_and_taken_back_as_others_are() {
    for (currency, total, at_provider) in [("isk", 121, 12_100), ("ugx", 121, 12_100), ("mga", 12_100, 121)] {
        let shop = Shop::open();
        assert_eq!(shop.server.put("/v1/accounts/ada", &json!({"currency": currency})).status, 201);
        let card = shop.card_of("ada", VISA);
        let moved = || shop.control("GET", "totals", &json!({}))["by_currency"][currency].clone();
        let bought = shop.buy("ada", "order", &json!({"credits": 10_000, "payment_method": card}));
        assert_eq!((bought.status, &bought.json()["status"]), (201, &json!("succeeded")), "{}", bought.text);
        assert_eq!(bought.json()["total"], json!({"amount": total, "currency": currency}));
        assert_eq!(moved()["charged"], at_provider, "{currency}");
        let id = bought.json()["id"].as_str().unwrap().to_owned();
        if currency == "mga" {
            let odd = json!({"amount": 150, "reason": "too many"});
            let refused = shop.server.post(&format!("/v1/payments/{id}/refund"), "odd", &odd).problem();
            assert_eq!((refused.0, &*refused.2), (422, "amount"));
        }
        let part = json!({"credits": 5_000, "reason": "too many"});
        let refunded = shop.server.post(&format!("/v1/payments/{id}/refund"), "part", &part);
        assert_eq!(refunded.json()["status"], "succeeded", "{}", refunded.text);
        let back = refunded.json()["total"]["amount"].as_i64().unwrap();
        assert_eq!(moved()["refunded"], back * at_provider / total, "{currency}");
        let name = shop.control("GET", "totals", &json!({}))["succeeded"][0]["id"].clone();
        let dispute = shop.control("POST", "disputes", &json!({"payment": name}));
        let close = format!("disputes/{}/close", dispute["id"].as_str().unwrap());
        shop.control("POST", &close, &json!({"outcome": "lost"}));
        shop.settle();
        let payment = shop.payment(&id);
        let all = json!({"amount": total, "currency": currency});
        assert_eq!((&payment["refunded"], &payment["dispute"]["status"]), (&all, &json!("lost")), "{payment}");
        assert_eq!(payment["dispute"]["lost"]["amount"], total - back);

        let page = shop.buy("ada", "page", &hosted(json!({"credits": 10_000})));
        shop.type_card(page.json()["checkout_url"].as_str().unwrap(), VISA).unwrap();
        shop.settle();
        assert_eq!(shop.payment(page.json()["id"].as_str().unwrap())["status"], "succeeded", "{currency}");
        assert_eq!(moved()["charged"], 2 * at_provider, "{currency}");
        // Made by hand in the provider's own units.
        let name = shop.control("GET", "totals", &json!({}))["succeeded"][1]["id"].as_str().unwrap().to_owned();
        shop.refund_by_hand(&name, if currency == "mga" { 21 } else { 2_100 });
        shop.settle();
        let refunded = &shop.payment(page.json()["id"].as_str().unwrap())["refunded"]["amount"];
        assert_eq!(refunded, if currency == "mga" { 2_100 } else { 21 }, "{currency}");
    }
}

/// Ada's first card, begun; the status of the answer.
fn begin(shop: &Shop, key: &str) -> u16 {
    shop.server.post("/v1/accounts/ada/payment-methods/setup", key, &json!({"return_url": BACK})).status
}

fn customers(shop: &Shop) -> usize {
    let memory = shop.control("GET", "memory", &json!({}));
    let things = memory["shelf"]["things"].as_array().unwrap();
    things.iter().filter(|it| it[1]["object"] == "customer").count()
}

#[test]
fn an_error_that_the_provider_keeps_holds_an_account_up_for_minutes_and_no_day() {
    let shop = Shop::open();
    shop.server.account("ada");
    shop.fault(&json!({"what": "500", "method": "POST", "path": "/v1/customers"}));
    assert_eq!(begin(&shop, "a"), 503);
    shop.pass(600);
    assert_eq!((begin(&shop, "b"), customers(&shop)), (201, 1));
    let keys = shop.keys_of("POST", "/v1/customers");
    assert!(keys.first() != keys.last(), "{keys:?}");
}

#[test]
fn an_account_whose_making_was_not_heard_of_is_found_by_whatever_name_it_goes_by_then() {
    let shop = Shop::open();
    shop.server.account("ada");
    shop.fault(&json!({"when": "after", "what": "drop", "method": "POST", "path": "/v1/customers", "times": 99}));
    assert_eq!((begin(&shop, "a"), customers(&shop)), (503, 1));
    shop.control("DELETE", "faults", &json!({}));
    assert_eq!(shop.server.put("/v1/accounts/ada", &json!({"email": "other@example.com"})).status, 200);
    assert_eq!((begin(&shop, "b"), customers(&shop)), (201, 1));
}

#[test]
fn a_secret_key_that_may_not_search_makes_customers_all_the_same() {
    let shop = Shop::open();
    shop.server.account("ada");
    shop.fault(&json!({"what": "403", "method": "GET", "path": "/v1/customers/search", "times": 99}));
    assert_eq!((begin(&shop, "a"), customers(&shop)), (201, 1));
}

/// One key, one request: also where the first was not about money.
#[test]
fn a_key_that_granted_credits_buys_none() {
    let shop = Shop::open();
    let card = shop.customer("ada", VISA);
    let grant = json!({"credits": 1, "source": "promo", "reason": "x"});
    assert_eq!(shop.server.post("/v1/accounts/ada/grants", "one", &grant).status, 201);
    let bought = shop.buy("ada", "one", &json!({"credits": 1000, "payment_method": card}));
    assert_eq!(bought.problem().1, "idempotency_conflict");
    assert_eq!(shop.payments("ada").len(), 0);
}

/// Else what is no country would be abroad, where no tax is due.
#[test]
fn a_country_that_is_none_is_refused() {
    let shop = Shop::open();
    for country in [json!("ZZ"), json!("XX"), json!("Lithuania"), json!("L"), json!(5), json!(["LT"])] {
        let refused = shop.server.put("/v1/accounts/ada", &json!({"address": {"country": country}})).problem();
        assert_eq!((refused.0, &*refused.2), (422, "address.country"), "{country}");
    }
    for country in [json!("lt"), json!("EL"), json!("UK"), json!(""), json!(null)] {
        let taken = shop.server.put("/v1/accounts/ada", &json!({"address": {"country": country}}));
        assert!(taken.status < 300, "{country}: {}", taken.text);
    }
}

#[test]
fn a_key_that_bought_credits_grants_voids_and_closes_nothing() {
    let shop = Shop::open();
    let card = shop.customer("ada", VISA);
    let bought = shop.buy("ada", "one", &json!({"credits": 1000, "payment_method": card}));
    assert_eq!(bought.json()["status"], "succeeded", "{}", bought.text);
    let void = format!("/v1/grants/{}/void", bought.json()["grant"].as_str().unwrap());
    let charged = shop.spend("ada", "spent", 1).json()["id"].as_str().unwrap().to_owned();
    let hold = json!({
        "account": "ada", "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"}, "credits": 1,
        "expires_in_seconds": 600, "idempotency_key": "held",
    });
    let hold = shop.server.post("/v1/holds", "", &hold);
    let held = hold.json()["id"].as_str().unwrap_or_else(|| panic!("{}", hold.text)).to_owned();
    let [reverse, extend, capture, release] = [
        format!("/v1/charges/{charged}/reverse"),
        format!("/v1/holds/{held}/extend"),
        format!("/v1/holds/{held}/capture"),
        format!("/v1/holds/{held}/release"),
    ];
    for (path, body) in [
        (&*reverse, json!({"reason": "x"})),
        (&*extend, json!({"credits": 1})),
        (&*capture, json!({"credits": 1})),
        (&*release, json!({})),
        ("/v1/accounts/ada/grants", json!({"credits": 1, "source": "promo", "reason": "x"})),
        (&*void, json!({"reason": "x"})),
        ("/v1/accounts/ada/close", json!({})),
    ] {
        let refused = shop.server.post(path, "one", &body).problem();
        assert_eq!((refused.0, &*refused.1), (409, "idempotency_conflict"), "{path}");
    }
    assert_eq!(shop.server.post(&release, "over", &json!({})).status, 201);
    assert_eq!(shop.server.post(&reverse, "back", &json!({"reason": "x"})).status, 201);
    assert_eq!(shop.server.available("ada"), "1600");
    // A key of its own is answered again as it was.
    let grant =
        || shop.server.post("/v1/accounts/ada/grants", "two", &json!({"credits": 1, "source": "promo", "reason": "x"}));
    assert_eq!((grant().status, grant().header("idempotent-replay")), (201, Some("true")));
    assert_eq!(shop.server.available("ada"), "1601");
}

#[test]
fn three_d_secure_is_waited_for_done_or_abandoned() {
    let shop = Shop::open();
    let card = shop.customer("ada", "4000000000003220");
    let body = json!({"credits": 1000, "payment_method": card, "return_url": BACK});
    let waits = shop.buy("ada", "order_1", &body).json();
    assert_eq!(waits["status"], "requires_action", "{waits}");
    shop.prove(waits["action_url"].as_str().unwrap(), "complete").unwrap();
    shop.settle();
    assert_eq!(shop.payment(waits["id"].as_str().unwrap())["status"], "succeeded");
    let waits = shop.buy("ada", "order_2", &body).json();
    shop.pass(25 * 3600);
    shop.wait_until("it is given up", |it| it.payment(waits["id"].as_str().unwrap())["status"] == "canceled");
    assert_eq!(shop.payment(waits["id"].as_str().unwrap())["failure"]["code"], "abandoned");
    assert_eq!(shop.server.available("ada"), "1600");
    assert_eq!(shop.totals().0, 1210);
}

/// It may take its time then.
#[test]
fn a_bank_that_was_answered_decides_and_nobody_is_asked_to_answer_it_again() {
    let shop = Shop::open();
    let card = shop.customer("ada", "4000000000003220");
    let body = json!({"credits": 1000, "payment_method": card, "return_url": BACK});
    let waits = shop.buy("ada", "order", &body).json();
    let id = waits["id"].as_str().unwrap();
    let cookie = visit(&shop.server, "ada", "owner");
    let pages = || {
        ["/settings/billing".to_owned(), format!("/settings/billing/payments/{id}")]
            .map(|it| shop.server.browse(&it, &cookie).text)
    };
    let [billing, payment] = pages();
    assert!(billing.contains("The bank waits to be answered") && billing.contains("waits for you"), "{billing}");
    assert!(payment.contains("Confirm with the bank") && payment.contains("Cancel the payment"), "{payment}");
    let intent = waits["action_url"].as_str().unwrap().rsplit('/').next().unwrap();
    let deliberation = format!("deliberation/{intent}");
    shop.control("POST", &deliberation, &json!({}));
    shop.pass_until("it is seen", |it| it.payment(id)["status"] == "pending");
    assert_eq!(shop.payment(id)["action_url"], Value::Null);
    let [billing, payment] = pages();
    assert!(billing.contains("A payment is under way") && !billing.contains("waits for you"), "{billing}");
    assert!(payment.contains("Asking the bank…"), "{payment}");
    assert!(!payment.contains("Confirm with the bank") && !payment.contains("Cancel the payment"), "{payment}");
    shop.control("POST", &deliberation, &json!({"over": true}));
    shop.settle();
    assert_eq!((&shop.payment(id)["status"], &*shop.server.available("ada")), (&json!("succeeded"), "1600"));
}

#[test]
fn an_answer_that_never_came_is_found_out_and_never_charged_twice() {
    for when in ["before", "after"] {
        let shop = Shop::open();
        let card = shop.customer("ada", VISA);
        shop.fault(&json!({"when": when, "what": "drop", "method": "POST", "path": "/v1/payment_intents", "times": 9}));
        let reply = shop.buy("ada", "order_1", &json!({"credits": 1000, "payment_method": card}));
        assert_eq!(reply.status, 201, "{}", reply.text);
        shop.control("DELETE", "faults", &json!({}));
        shop.pass(300);
        shop.wait_until("it is settled", |it| it.payments("ada")[0]["status"] == "succeeded");
        shop.settle();
        assert_eq!(shop.paid_grants("ada").len(), 1, "{when}");
        assert_eq!(shop.totals().0, 1210, "{when}");
    }
}

#[test]
fn a_look_that_is_refused_ends_nothing_while_the_page_is_there_to_be_paid_on() {
    for status in ["401", "403", "404"] {
        let shop = Shop::deaf();
        shop.server.account("ada");
        let bought = shop.buy("ada", "order_1", &hosted(json!({"credits": 1000}))).json();
        let id = bought["id"].as_str().unwrap();
        shop.fault(&json!({"what": status, "method": "GET", "path": "/v1/checkout/sessions/", "times": 99}));
        shop.pass_until("it is looked at twice", |it| 2 <= it.asked("GET", "/v1/checkout/sessions/"));
        assert_eq!(shop.payment(id)["status"], "requires_action", "{status}");
        shop.control("DELETE", "faults", &json!({}));
        shop.type_card(bought["checkout_url"].as_str().unwrap(), VISA).unwrap();
        shop.pass_until("it is settled", |it| it.payment(id)["status"] == "succeeded");
        assert_eq!((shop.server.available("ada"), shop.totals().0), ("1600".to_owned(), 1210), "{status}");
    }
}

#[test]
fn a_secret_key_that_is_not_taken_for_a_while_costs_no_payment() {
    for status in ["401", "403"] {
        let shop = Shop::open();
        let card = shop.customer("ada", VISA);
        shop.fault(&json!({"what": status, "method": "POST", "path": "/v1/payment_intents"}));
        let waits = shop.buy("ada", "order_1", &json!({"credits": 1000, "payment_method": card})).json();
        assert_eq!(waits["status"], "pending", "{waits}");
        shop.pass_until("it is settled", |it| it.payments("ada")[0]["status"] == "succeeded");
        assert_eq!((shop.server.available("ada"), shop.totals().0), ("1600".to_owned(), 1210), "{status}");
    }
}

#[test]
fn a_wrong_signature_or_an_old_one_is_not_believed() {
    let shop = Shop::open();
    shop.server.account("ada");
    let take = |signature: Option<&str>| {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = agent.post(format!("{}/v1/stripe/webhook", shop.server.url));
        let request = signature.iter().fold(request, |it, value| it.header("stripe-signature", *value));
        let mut answer = request.send("{\"object\":\"event\"}").unwrap();
        assert_eq!(answer.status().as_u16(), 400, "{signature:?}");
        let problem: Value = answer.body_mut().read_json().unwrap();
        assert_eq!(problem["code"], "unbelievable_notice");
        problem["detail"].as_str().unwrap().to_owned()
    };
    // Each says what to look at: nothing came, it is not Stripe's, or it is of another secret.
    for (signature, why) in [
        (None, "has no Stripe-Signature header"),
        (Some(""), "has no Stripe-Signature header"),
        (Some("t=1,v1=00"), "is not of the form"),
        (Some(SECRET), "is not of the form"),
        (Some(&*format!("t=1795000000,v1={}", "0".repeat(64))), "compare STRIPE_WEBHOOK_SECRET"),
    ] {
        assert!(take(signature).contains(why), "{signature:?}: {}", take(signature));
    }
}

#[test]
fn a_card_is_chosen_and_its_saving_begun_once_under_a_key() {
    let shop = Shop::open();
    let old = shop.customer("ada", VISA);
    let new = shop.card_of("ada", "5555555555554444");
    let is_replay = |it: &Reply| it.header("idempotent-replay") == Some("true");
    let path = |card: &str| format!("/v1/accounts/ada/payment-methods/{card}/default");
    let choose = |card: &str, key: &str| shop.server.post(&path(card), key, &json!({}));
    let first = choose(&new, "d");
    assert_eq!((first.status, is_replay(&first)), (201, false), "{}", first.text);
    assert_eq!(choose(&old, "").status, 201);
    let again = choose(&new, "d");
    assert_eq!((again.status, is_replay(&again), &again.text), (201, true, &first.text));
    assert_eq!(choose(&old, "d").problem().1, "idempotency_conflict");
    let cards = shop.server.get("/v1/accounts/ada/payment-methods").json()["data"].clone();
    let chosen = cards.as_array().unwrap().iter().find(|it| it["is_default"] == true).unwrap();
    assert_eq!(chosen["id"], *old, "what was chosen since stays");

    let begin =
        |back: &str| shop.server.post("/v1/accounts/ada/payment-methods/setup", "b", &json!({"return_url": back}));
    let (first, again) = (begin(BACK), begin(BACK));
    assert_eq!((first.status, is_replay(&first)), (201, false), "{}", first.text);
    assert_eq!((again.status, is_replay(&again), &again.text), (201, true, &first.text));
    assert_eq!(begin("http://shop.example/elsewhere").problem().1, "idempotency_conflict");
}

#[test]
fn a_card_that_is_taken_away_at_the_provider_is_not_shown_any_more() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    let cards = || shop.server.get("/v1/accounts/ada/payment-methods").json()["data"].as_array().unwrap().len();
    assert_eq!(cards(), 1);
    shop.at_provider(&format!("/v1/payment_methods/{}/detach", shop.provider_cards()[0]), &[]);
    shop.settle();
    assert_eq!(cards(), 0);
}

/// Somebody tidied up at the provider: the account is made known anew, and pays again; also while the search there
/// shows the customer still.
#[test]
fn a_customer_that_was_deleted_at_the_provider_is_made_anew() {
    for is_told in [true, false] {
        let shop = if is_told { Shop::open() } else { Shop::deaf() };
        shop.server.account("ada");
        let first = shop.buy("ada", "one", &hosted(json!({"credits": 1000}))).json();
        shop.type_card(first["checkout_url"].as_str().unwrap(), VISA).unwrap();
        shop.wait_until("the first is paid for", |it| {
            it.pass(30);
            it.payment(first["id"].as_str().unwrap())["status"] == "succeeded"
        });
        let before = shop.customers_at_provider();
        shop.control("POST", "search", &json!({"late": true}));
        shop.delete_customer();
        shop.settle();
        let next = shop.buy("ada", "two", &hosted(json!({"credits": 1000}))).json();
        assert_eq!(next["status"], "requires_action", "{next}");
        shop.type_card(next["checkout_url"].as_str().unwrap(), VISA).unwrap();
        shop.wait_until("the second is paid for", |it| {
            it.pass(30);
            it.payment(next["id"].as_str().unwrap())["status"] == "succeeded"
        });
        let after = shop.customers_at_provider();
        assert!(after.len() == 1 && after != before, "{after:?}");
        assert_eq!((shop.server.available("ada"), shop.totals().0), ("2600".to_owned(), 2_420));
    }
}

#[test]
fn the_cards_of_a_customer_that_was_deleted_are_gone_and_others_are_saved() {
    for is_told in [true, false] {
        let shop = Shop::open();
        let card = shop.customer("ada", VISA);
        if !is_told {
            shop.control("POST", "webhook", &json!({}));
        }
        shop.delete_customer();
        shop.settle();
        let reply = shop.buy("ada", "one", &json!({"credits": 1000, "payment_method": card}));
        if is_told {
            assert_eq!(reply.problem().1, "payment_method_not_found");
        } else {
            assert_eq!(reply.json()["failure"]["code"], "no_payment_method", "{}", reply.text);
        }
        let cards = shop.server.get("/v1/accounts/ada/payment-methods").json();
        assert_eq!(cards["data"], json!([]));
        shop.listen();
        let card = shop.card_of("ada", "5555555555554444");
        let bought = shop.buy("ada", "two", &json!({"credits": 1000, "payment_method": card}));
        assert_eq!(bought.json()["status"], "succeeded", "{}", bought.text);
        assert_eq!(shop.totals().0, 1_210);
    }
}

/// A secret key of another's finds none of our customers: none is forgotten for that.
#[test]
fn a_customer_that_is_not_found_is_not_taken_for_deleted() {
    let shop = Shop::open();
    let card = shop.customer("ada", VISA);
    shop.fault(&json!({"what": "404", "method": "GET", "path": "/v1/customers/cus", "times": 99}));
    shop.fault(&json!({"what": "404", "method": "POST", "path": "/v1/payment_intents", "times": 99}));
    let reply = shop.buy("ada", "one", &json!({"credits": 1000, "payment_method": card}));
    assert_eq!(reply.json()["failure"]["code"], "processing_error", "{}", reply.text);
    shop.control("DELETE", "faults", &json!({}));
    let bought = shop.buy("ada", "two", &json!({"credits": 1000, "payment_method": card}));
    assert_eq!(bought.json()["status"], "succeeded", "{}", bought.text);
}

#[test]
fn the_key_of_a_purchase_gives_the_first_answer_again_whatever_has_become_of_it() {
    let shop = Shop::open();
    shop.server.account("ada");
    let order = hosted(json!({"credits": 1000}));
    let first = shop.buy("ada", "one", &order);
    let payment = first.json();
    shop.type_card(payment["checkout_url"].as_str().unwrap(), VISA).unwrap();
    shop.settle();
    assert_eq!(shop.payment(payment["id"].as_str().unwrap())["status"], "succeeded");
    let again = shop.buy("ada", "one", &order);
    assert_eq!((again.status, again.header("idempotent-replay"), &again.text), (201, Some("true"), &first.text));
    assert_eq!(shop.totals().0, 1_210);
}

#[test]
fn the_price_is_the_servers_and_what_is_wrong_is_named() {
    let shop = Shop::open();
    shop.server.account("ada");
    for (body, code, field) in [
        (json!({"credits": 1000}), "invalid_request", "payment_method"),
        (json!({"package": "none", "hosted": true, "return_url": BACK}), "package_not_found", ""),
        (json!({"package": "team"}), "invalid_request", "payment_method"),
        (json!({"package": "team", "credits": 5, "hosted": true}), "invalid_request", "package"),
        (json!({"credits": 1, "hosted": true, "return_url": BACK}), "invalid_request", "credits"),
        (json!({"credits": "100000000", "hosted": true, "return_url": BACK}), "invalid_request", "credits"),
        (json!({"credits": 1000, "hosted": true}), "invalid_request", "return_url"),
        (json!({"credits": 1000, "hosted": true, "return_url": "javascript:x"}), "invalid_request", "return_url"),
        (json!({"credits": 1000, "amount": 1, "hosted": true}), "invalid_request", "amount"),
    ] {
        let problem = shop.buy("ada", "order", &body).problem();
        assert_eq!((&*problem.1, &*problem.2), (code, field), "{body}");
    }
    assert_eq!(shop.payments("ada").len(), 0);
}

#[test]
fn a_server_that_takes_no_payments_says_so_and_not_that_it_is_busy() {
    let bare = Served::start();
    bare.account("ada");
    let hosted = hosted(json!({"credits": 1000}));
    for (path, body) in [
        ("accounts/ada/purchases", &hosted),
        ("accounts/ada/subscription", &json!({"plan": "monthly"})),
        ("accounts/ada/payment-methods/setup", &json!({"return_url": BACK})),
        ("payments/payment_0t45zs3650pseqcgw4r0000003/refund", &json!({"reason": "Too many"})),
        ("stripe/webhook", &json!({})),
    ] {
        let refused = bare.post(&format!("/v1/{path}"), "k", body);
        assert_eq!(refused.problem(), (501, "payments_not_set_up".to_owned(), String::new()), "{path}");
        assert_eq!(refused.header("retry-after"), None, "it would be the same a second later");
    }
    let rule = json!({"enabled": true, "threshold": 100, "credits": 1000});
    assert_eq!(bare.put("/v1/accounts/ada/auto-topup", &rule).problem().0, 501);
}

#[test]
fn packages_are_put_on_sale_changed_and_taken_away() {
    let shop = Shop::open();
    let names = |list: &Value| -> Vec<String> {
        list["data"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&shop.server.get("/v1/packages").json()), ["starter", "builder", "team", "scale"]);
    let package = json!({"name": "Tiny", "credits": 600, "price": {"amount": 500, "currency": "eur"}});
    assert_eq!(shop.server.put("/v1/packages/tiny", &package).status, 201);
    assert_eq!(shop.server.put("/v1/packages/tiny", &package).status, 200);
    assert_eq!(shop.server.delete("/v1/packages/scale").status, 204);
    assert_eq!(shop.server.delete("/v1/packages/scale").problem().1, "package_not_found");
    assert_eq!(names(&shop.server.get("/v1/packages").json()), ["tiny", "starter", "builder", "team"]);
    assert_eq!(names(&shop.server.get("/v1/packages?currency=usd").json()), ["starter", "builder", "team"]);
}

/// What is offered where nothing was set stays on offer in other currencies, until it is taken off sale.
#[test]
fn an_offer_in_one_currency_leaves_the_others_as_they_are() {
    let shop = Shop::open();
    let on_sale = |what: &str, currency: &str| -> Vec<(String, i64)> {
        let list = shop.server.get(&format!("/v1/{what}?currency={currency}")).json();
        let offer = |it: &Value| (it["id"].as_str().unwrap().to_owned(), it["price"]["amount"].as_i64().unwrap());
        list["data"].as_array().unwrap().iter().map(offer).collect()
    };
    for (what, id) in [("packages", "starter"), ("plans", "monthly")] {
        let before = on_sale(what, "usd");
        let mut offer = json!({"name": "Other", "credits": 2_000, "price": {"amount": 1_700, "currency": "eur"}});
        if what == "plans" {
            offer["every"] = json!("month");
        }
        let path = format!("/v1/{what}/{id}");
        assert_eq!(shop.server.put(&path, &offer).status, 201);
        assert_eq!(on_sale(what, "usd"), before);
        let prices: Vec<i64> = on_sale(what, "eur").into_iter().filter(|it| it.0 == id).map(|it| it.1).collect();
        assert_eq!(prices, [1_700]);
        assert_eq!(shop.server.delete(&path).status, 204);
        assert!(["eur", "usd"].iter().all(|it| on_sale(what, it).iter().all(|it| it.0 != id)));
    }
}

#[test]
fn what_no_card_can_be_charged_is_not_on_sale() {
    let shop = Shop::open();
    for (path, price, currency) in [
        ("packages/a", 10_005, "kwd"),
        ("packages/a", 100_000_000, "eur"),
        // With 27 % of tax it is too much.
        ("packages/a", 90_000_000, "eur"),
        ("packages/a", 49, "jpy"),
        ("plans/a", 18_005, "kwd"),
        ("plans/a", 90_000_000, "eur"),
    ] {
        let credits = if 50_000 < price { 100_000_000 } else { 2_000 };
        let mut body = json!({"name": "A", "credits": credits, "price": {"amount": price, "currency": currency}});
        if path == "plans/a" {
            body["every"] = json!("month");
        }
        let problem = shop.server.put(&format!("/v1/{path}"), &body).problem();
        assert_eq!(problem, (422, "invalid_request".to_owned(), "price.amount".to_owned()), "{body}");
    }
    let most = json!({"name": "A", "credits": 2_000, "price": {"amount": 78_700_000, "currency": "eur"}});
    assert_eq!(shop.server.put("/v1/packages/most", &most).status, 201);

    // A hundred credits cost a yen here: ten yen can be charged to nobody.
    let yen = shop.server.put("/v1/accounts/yen", &json!({"currency": "jpy"}));
    assert_eq!(yen.status, 201, "{}", yen.text);
    let buy = |credits: u64| {
        shop.buy("yen", &credits.to_string(), &json!({"credits": credits, "hosted": true, "return_url": BACK}))
    };
    for credits in [1_000, 4_900] {
        assert_eq!(buy(credits).problem().2, "credits", "{credits}");
    }
    let bought = buy(5_000);
    assert_eq!((bought.status, &bought.json()["status"]), (201, &json!("requires_action")), "{}", bought.text);
    let on_sale = shop.server.get("/v1/packages?currency=jpy").json();
    assert!(
        on_sale["data"].as_array().unwrap().iter().all(|it| Some(50) <= it["price"]["amount"].as_i64()),
        "{on_sale}"
    );
}

#[test]
fn a_card_number_is_refused_wherever_it_is_sent() {
    let shop = Shop::open();
    shop.server.account("ada");
    let number = "4242 4242 4242 4242";
    let charge = json!({
        "account": "ada", "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"}, "idempotency_key": "k",
        "quantities": {"input_tokens": 1}, "metadata": {"card": number},
    });
    let before = shop.server.get("/v1/accounts/ada/entries").json();
    for reply in [
        shop.server.charge(&charge),
        shop.server.put("/v1/accounts/bob", &json!({"name": number})),
        shop.buy("ada", "k", &json!({"credits": 1000, "payment_method": "4242424242424242"})),
        shop.server.get("/v1/accounts/4242424242424242"),
    ] {
        assert_eq!(reply.status, 422, "{}", reply.text);
        assert!(!reply.text.contains("4242"), "{}", reply.text);
    }
    let batch = shop.server.post("/v1/charges/batch", "", &json!([charge]));
    assert_eq!((&batch.json()["refused"], batch.text.contains("4242")), (&json!(1), false), "{}", batch.text);
    assert_eq!(shop.server.get("/v1/accounts/ada/entries").json(), before);
}

#[test]
fn who_has_run_out_is_led_to_the_smallest_package_that_is_enough() {
    let config = "purchase_url = \"https://shop.example/{account}?package={package}&missing={shortfall}\"";
    let server = Served::configured(config);
    server.account("ada");
    for (credits, package) in [(501, "starter"), (1_500, "starter"), (1_501, "builder"), (60_000, "scale")] {
        let refused = server.charge(&crate::served::chat("ada", "k", credits * 8_000)).json();
        let expected = format!("https://shop.example/ada?package={package}&missing={}", credits - 500);
        assert_eq!(refused["purchase_url"], expected.as_str(), "{credits}");
    }
    let beyond = server.charge(&crate::served::chat("ada", "k", 900_000 * 8_000)).json();
    assert_eq!(beyond["purchase_url"], "https://shop.example/ada?package=&missing=899500");
}

/// A number beside a package is not ignored, and nobody guesses which of them is meant.
#[test]
fn an_amount_beside_a_package_is_asked_about() {
    let shop = Shop::open();
    shop.server.account("ada");
    let cookie = visit(&shop.server, "ada", "owner");
    let buy = |query: &str| shop.server.browse(&format!("/settings/billing/buy?{query}"), &cookie);
    for (query, says) in [
        ("package=starter&credits=3000", "You chose a package and typed 3000 as another amount: which do you mean?"),
        ("package=custom&credits=abc", "Type a number, such as 2500."),
        ("package=custom&credits=2500,5", "Write decimals with a point: 2500.5."),
        ("package=custom&credits=1.000", "Is it 1000 or 1? Write 1000 or 1."),
        (
            "package=custom&credits=12",
            "From 500 to 1,000,000 credits can be bought at once: €5.00 to €10,000.00 before",
        ),
    ] {
        let asked = buy(query);
        assert!(asked.status == 422 && asked.text.contains(says), "{query}: {} {}", asked.status, asked.text);
        let typed = query.rsplit('=').next().unwrap();
        let field = format!("value=\"{typed}\" aria-invalid=\"true\" aria-describedby=\"buy-trouble\" autofocus");
        assert!(asked.text.contains(&field), "{query}: {}", asked.text);
    }
    assert_eq!((buy("package=starter&credits=").status, buy("package=custom&credits=3,000").status), (200, 200));
    let mark = crate::pages::mark_of(&buy("package=starter").text).to_owned();
    let form = format!("mark={mark}&package=starter&credits=3000&total=1210&key=k");
    assert_eq!(shop.server.submit("/settings/billing/buy", &cookie, &form).status, 422);
    assert_eq!(shop.payments("ada").len(), 0);
}

/// The pages call on the way what the provider collects, and no page that somebody went away from.
#[test]
fn a_payment_page_that_was_left_is_not_called_bought() {
    let shop = Shop::open();
    shop.server.account("ada");
    let bought = shop.buy("ada", "order", &hosted(json!({"package": "builder"}))).json();
    let cookie = visit(&shop.server, "ada", "owner");
    let page = |path: &str| shop.server.browse(path, &cookie).text;
    let usage = page("/settings/usage");
    let link = format!("/settings/billing/payments/{}", bought["id"].as_str().unwrap());
    assert!(usage.contains("Not paid yet") && usage.contains(&link) && !usage.contains("On the way"), "{usage}");
    let billing = page("/settings/billing");
    assert!(billing.contains("Not paid yet: 5,250 credits (Builder), €60.50.") && billing.contains(&link), "{billing}");
    assert!(!billing.contains("A payment is under way"), "{billing}");
    shop.type_card(bought["checkout_url"].as_str().unwrap(), VISA).unwrap();
    shop.settle();
    assert!(!page("/settings/usage").contains("Not paid yet"));
    assert!(!page("/settings/billing").contains("Not paid yet"));
}

/// Asked first, as the end of a subscription is.
#[test]
fn a_card_is_removed_by_the_second_click() {
    let shop = Shop::open();
    let card = shop.customer("ada", VISA);
    let cookie = visit(&shop.server, "ada", "owner");
    let path = "/settings/billing/cards/remove";
    let page = shop.server.browse("/settings/billing", &cookie).text;
    assert!(page.contains(&format!("href=\"{path}?card={card}\"")), "{page}");
    let cards = || shop.server.get("/v1/accounts/ada/payment-methods").json()["data"].as_array().unwrap().len();
    let sure = shop.server.browse(&format!("{path}?card={card}"), &cookie);
    assert!(sure.status == 200 && sure.text.contains("Remove Visa ••4242?") && cards() == 1, "{}", sure.text);
    let form = format!("mark={}&card={card}", crate::pages::mark_of(&sure.text));
    assert_eq!((shop.server.submit(path, &cookie, &form).status, cards()), (303, 0));
    assert_eq!(shop.server.browse(&format!("{path}?card=gone"), &cookie).status, 303);
}
