//! Subscriptions over HTTP, on the sandbox's clock: paid periods, declined renewals, changes, and credits that stay.
use serde_json::{Value, json};

use crate::money_shop::{BACK, Shop};
use crate::pages::{mark_of, visit};

const VISA: &str = "4242424242424242";
const DECLINES: &str = "4000000000000341";
/// The bank wants the customer every time.
const WANTS_PROOF: &str = "4000002760003184";
const DAY: i64 = 24 * 3600;

fn subscribe(shop: &Shop, plan: &str, key: &str) -> Value {
    let reply = shop.server.post("/v1/accounts/ada/subscription", key, &json!({"plan": plan}));
    assert_eq!(reply.status, 201, "{}", reply.text);
    reply.json()
}

fn shown(shop: &Shop) -> Value {
    shop.server.get("/v1/accounts/ada/subscription").json()
}

fn ask(shop: &Shop, what: &str) -> Value {
    let reply = shop.server.post(&format!("/v1/accounts/ada/subscription/{what}"), "", &json!({}));
    assert_eq!(reply.status, 201, "{}", reply.text);
    reply.json()
}

fn wait_for_state(shop: &Shop, state: &str, payments: usize) {
    // In this order: a payment that is there and no longer under way is settled.
    let is_settled = |it: &Value| it["state"] == state && it["pending_payment"].is_null();
    shop.wait_until(state, |it| it.payments("ada").len() == payments && is_settled(&shown(it)));
}

#[test]
fn a_subscription_gives_credits_when_they_are_paid_for_and_they_carry_over() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    assert_eq!(shop.server.get("/v1/plans").json()["data"][0]["id"], "monthly");
    let first = subscribe(&shop, "monthly", "s");
    assert_eq!((&first["state"], &first["plan"]["price"]["amount"]), (&json!("active"), &json!(1800)), "{first}");
    assert_eq!(subscribe(&shop, "monthly", "s")["id"], first["id"]);
    let again = shop.server.post("/v1/accounts/ada/subscription", "t", &json!({"plan": "monthly"}));
    assert_eq!(again.problem().1, "subscription_exists");
    assert_eq!(shop.server.available("ada"), "2600");
    // 12 months: each is paid once, and nothing that was not used is lost.
    for month in 1..=12 {
        let end = shown(&shop)["period_end"].as_str().unwrap().to_owned();
        shop.pass_to(&end);
        wait_for_state(&shop, "active", month + 1);
        shop.wait_until("it is paid", |it| it.payments("ada")[0]["status"] == "succeeded");
    }
    shop.settle();
    assert_eq!(shop.totals().0, 13 * 2178);
    // The servers' welcome has expired meanwhile.
    assert_eq!(shop.server.available("ada"), "26500");
    assert_eq!(shop.paid_grants("ada").len(), 13);
}

#[test]
fn canceling_takes_effect_at_the_end_can_be_undone_and_takes_nothing() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    subscribe(&shop, "monthly", "s");
    assert_eq!(ask(&shop, "cancel")["cancel_at_period_end"], true);
    assert_eq!(ask(&shop, "resume")["cancel_at_period_end"], false);
    ask(&shop, "cancel");
    let end = shown(&shop)["period_end"].as_str().unwrap().to_owned();
    shop.pass_to(&end);
    wait_for_state(&shop, "canceled", 1);
    assert_eq!(shop.server.available("ada"), "2500", "paid credits stay");
    let refused = shop.server.post("/v1/accounts/ada/subscription/resume", "", &json!({}));
    assert_eq!(refused.problem().1, "subscription_state");
    assert_eq!(subscribe(&shop, "yearly", "again")["state"], "active");
    assert_eq!(shop.server.available("ada"), "32500");
}

#[test]
fn the_same_key_is_answered_as_it_was_whatever_has_become_of_the_subscription() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    let (monthly, plus) = (json!({"plan": "monthly"}), json!({"plan": "monthly-plus"}));
    let ask = |what: &str, key: &str, body: &Value| {
        let reply = shop.server.post(&format!("/v1/accounts/ada/subscription{what}"), key, body);
        assert!([201, 409].contains(&reply.status), "{what}: {}", reply.text);
        reply
    };
    let nothing = json!({});
    let asked =
        [("", "s", &monthly), ("/change", "up", &plus), ("/change", "down", &monthly), ("/cancel", "c", &nothing)];
    let first = asked.map(|(what, key, body)| ask(what, key, body));
    ask("/resume", "r", &nothing);
    for ((what, key, body), first) in asked.into_iter().zip(first) {
        let again = ask(what, key, body);
        assert_eq!((again.status, &again.text), (201, &first.text), "{what}");
        assert_eq!((first.header("idempotent-replay"), again.header("idempotent-replay")), (None, Some("true")));
    }
    for (what, key, body) in [("", "s", &plus), ("/change", "up", &monthly), ("/resume", "c", &nothing)] {
        assert_eq!(ask(what, key, body).problem().1, "idempotency_conflict", "{what}");
    }
    assert_eq!(shop.payments("ada").len(), 2);
    assert_eq!(shown(&shop)["cancel_at_period_end"], false);
}

#[test]
fn an_upgrade_costs_the_rest_of_the_difference_and_a_downgrade_waits() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    subscribe(&shop, "monthly", "s");
    let path = "/v1/accounts/ada/subscription/change";
    let up = shop.server.post(path, "up", &json!({"plan": "monthly-plus"}));
    assert_eq!((up.status, &up.json()["plan"]["id"]), (201, &json!("monthly-plus")), "{}", up.text);
    // The period has just begun: nearly all of 85.00 - 18.00, and of 8 000 credits.
    let net = shop.payments("ada")[0]["net"]["amount"].as_i64().unwrap();
    assert!((6_699..=6_700).contains(&net), "{net}");
    let down = shop.server.post(path, "down", &json!({"plan": "monthly"})).json();
    assert_eq!((&down["plan"]["id"], &down["next_plan"]["id"]), (&json!("monthly-plus"), &json!("monthly")));
    let end = down["period_end"].as_str().unwrap().to_owned();
    shop.pass_to(&end);
    wait_for_state(&shop, "active", 3);
    shop.wait_until("it is paid", |it| it.payments("ada")[0]["status"] == "succeeded");
    assert_eq!(
        (&shown(&shop)["plan"]["id"], &shop.payments("ada")[0]["net"]["amount"]),
        (&json!("monthly"), &json!(1800))
    );
}

/// An upgrade means to go on: it takes back an end that was said before it, and none that was said after.
#[test]
fn an_end_that_is_said_while_the_bank_asks_about_an_upgrade_stays_said() {
    for (before, meanwhile, ends) in [(false, true, true), (true, false, false), (true, true, true)] {
        let shop = Shop::open();
        shop.customer("ada", "4000000000003220");
        let begun =
            shop.server.post("/v1/accounts/ada/subscription", "s", &json!({"plan": "monthly", "return_url": BACK}));
        let prove = |payment: &Value| {
            assert_eq!(payment["status"], "requires_action", "{payment}");
            shop.prove(payment["action_url"].as_str().unwrap(), "complete").unwrap();
            shop.settle();
        };
        assert_eq!(begun.status, 201, "{}", begun.text);
        prove(&shop.payments("ada")[0]);
        wait_for_state(&shop, "active", 1);
        if before {
            ask(&shop, "cancel");
        }
        let up = json!({"plan": "monthly-plus", "return_url": BACK});
        let up = shop.server.post("/v1/accounts/ada/subscription/change", "up", &up);
        assert_eq!((up.status, &up.json()["plan"]["id"]), (201, &json!("monthly")), "{}", up.text);
        if meanwhile {
            assert_eq!(ask(&shop, "cancel")["cancel_at_period_end"], true);
        }
        prove(&shop.payments("ada")[0]);
        wait_for_state(&shop, "active", 2);
        let shown = shown(&shop);
        assert_eq!((&shown["plan"]["id"], &shown["cancel_at_period_end"]), (&json!("monthly-plus"), &json!(ends)));
    }
}

/// A shop in which a subscription's first payment waits for the bank, and the bank's page.
fn asked_by_the_bank() -> (Shop, String) {
    let shop = Shop::open();
    shop.customer("ada", WANTS_PROOF);
    let begun = shop.server.post("/v1/accounts/ada/subscription", "s", &json!({"plan": "monthly", "return_url": BACK}));
    assert_eq!((begun.status, &begun.json()["state"]), (201, &json!("incomplete")), "{}", begun.text);
    let page = shop.payments("ada")[0]["action_url"].as_str().expect("the bank's page").to_owned();
    (shop, page)
}

/// Cancels, which ends it there and then.
fn end_at_once(shop: &Shop) {
    let ended = ask(shop, "cancel");
    assert_eq!((&ended["state"], &ended["pending_payment"]), (&json!("canceled"), &Value::Null), "{ended}");
}

#[test]
fn a_subscription_whose_first_payment_waits_for_the_bank_is_cancelled_with_it() {
    let (shop, bank) = asked_by_the_bank();
    end_at_once(&shop);
    shop.wait_until("it is given up", |it| it.payments("ada")[0]["status"] == "canceled");
    drop(shop.prove(&bank, "complete"));
    shop.settle();
    assert_eq!((shop.totals().0, shop.server.available("ada")), (0, "600".to_owned()));
    let again = shop.server.post("/v1/accounts/ada/subscription/cancel", "", &json!({}));
    assert_eq!(again.problem().1, "subscription_state");
}

#[test]
fn money_of_a_subscription_that_was_cancelled_meanwhile_is_credited_and_begins_nothing() {
    for is_paid_first in [true, false] {
        let (shop, bank) = asked_by_the_bank();
        if is_paid_first {
            // Nothing is heard of it, and nobody can look, before it is cancelled.
            shop.settle();
            shop.control("POST", "notices", &json!({"lose": 9}));
            let path = "/v1/payment_intents";
            shop.fault(&json!({"when": "before", "what": "500", "method": "GET", "path": path, "times": 99}));
            shop.prove(&bank, "complete").unwrap();
            end_at_once(&shop);
            shop.control("DELETE", "faults", &json!({}));
        } else {
            // The provider has no time to end it before the customer is there.
            let path = "/v1/payment_intents";
            shop.fault(&json!({"when": "before", "what": "429", "method": "POST", "path": path, "times": 99}));
            end_at_once(&shop);
            shop.prove(&bank, "complete").unwrap();
            shop.settle();
        }
        shop.wait_until("its credits are there", |it| it.server.available("ada") == "2600");
        assert_eq!((shop.totals().0, shop.paid_grants("ada").len()), (2178, 1));
        let shown = shown(&shop);
        assert_eq!((&shown["state"], &shown["pending_payment"]), (&json!("canceled"), &Value::Null), "{shown}");
        shop.pass(40 * DAY);
        shop.settle();
        assert_eq!(shop.payments("ada").len(), 1, "nothing renews");
    }
}

#[test]
fn a_renewal_that_waits_for_the_bank_keeps_nobody_from_cancelling() {
    for days_later in [0, 2] {
        let shop = Shop::open();
        shop.customer("ada", VISA);
        let end = subscribe(&shop, "monthly", "s")["period_end"].as_str().unwrap().to_owned();
        shop.save_card("ada", WANTS_PROOF);
        let cards = shop.server.get("/v1/accounts/ada/payment-methods").json()["data"].clone();
        let card = cards.as_array().unwrap().iter().find(|it| it["last4"] == "3184").unwrap()["id"].clone();
        let path = format!("/v1/accounts/ada/payment-methods/{}/default", card.as_str().unwrap());
        assert_eq!(shop.server.post(&path, "", &json!({})).status, 201);
        let asks = |it: &Shop, payments: usize| {
            let all = it.payments("ada");
            all.len() == payments && all[0]["status"] == "requires_action"
        };
        shop.pass_to(&end);
        shop.wait_until("the bank asks", |it| asks(it, 2));
        let mut state = "active";
        if 0 < days_later {
            // Nobody came within a day, and the try of the day after waits as the first did.
            shop.pass(DAY + 60);
            wait_for_state(&shop, "past_due", 2);
            let page = shop.server.browse("/settings/billing", &visit(&shop.server, "ada", "owner")).text;
            assert!(page.contains("Nobody finished the payment, on its page or at the bank."), "{page}");
            shop.pass(DAY + 60);
            shop.wait_until("the bank asks again", |it| asks(it, 3));
            state = "past_due";
        }
        assert_eq!(shown(&shop)["state"], state);
        let cookie = visit(&shop.server, "ada", "owner");
        let page = shop.server.browse("/settings/billing", &cookie);
        assert!(page.text.contains("Cancel subscription"), "{}", page.text);
        // It was due and was not paid: there is no next time yet, and nothing that renews.
        let is_first = page.text.contains("from Visa ••3184, is not paid yet.");
        assert_eq!(is_first, days_later == 0, "{}", page.text);
        assert!(!page.text.contains("Next: €") && !page.text.contains("until it renews"), "{}", page.text);
        let sure = shop.server.browse("/settings/billing/subscription/end", &cookie);
        assert!(sure.text.contains("It ends at once: its renewal has not been paid."), "{}", sure.text);
        let form = format!("mark={}&ends=1", mark_of(&sure.text));
        let done = shop.server.submit("/settings/billing/subscription/end", &cookie, &form);
        assert_eq!(done.status, 303, "{}", done.text);
        assert_eq!(shown(&shop)["state"], "canceled");
        shop.wait_until("its payment is given up", |it| it.payments("ada")[0]["status"] == "canceled");
        let payments = shop.payments("ada").len();
        shop.pass(10 * DAY);
        shop.settle();
        assert_eq!((shop.payments("ada").len(), shop.totals().0), (payments, 2178));
    }
}

#[test]
fn a_declined_renewal_is_tried_on_days_one_three_five_and_seven_and_then_it_is_over() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    subscribe(&shop, "monthly", "s");
    shop.save_card("ada", DECLINES);
    let cards = shop.server.get("/v1/accounts/ada/payment-methods").json()["data"].clone();
    let path = |last4: &str| {
        let card = cards.as_array().unwrap().iter().find(|it| it["last4"] == last4).unwrap();
        format!("/v1/accounts/ada/payment-methods/{}", card["id"].as_str().unwrap())
    };
    assert_eq!(shop.server.post(&format!("{}/default", path("0341")), "", &json!({})).status, 201);
    assert_eq!(shop.server.delete(&path("4242")).status, 204);
    let end = shown(&shop)["period_end"].as_str().unwrap().to_owned();
    shop.pass_to(&end);
    wait_for_state(&shop, "past_due", 2);
    for (days, payments) in [(1, 3), (2, 4), (2, 5)] {
        shop.pass(days * DAY + 60);
        wait_for_state(&shop, "past_due", payments);
    }
    shop.pass(2 * DAY + 60);
    wait_for_state(&shop, "canceled", 6);
    assert_eq!(shop.totals().0, 2178);
    assert_eq!(shop.paid_grants("ada").len(), 1);
}

#[test]
fn an_upgrade_in_dinars_costs_what_can_be_collected_in_dinars() {
    let shop = Shop::open();
    let dinars = shop.server.put("/v1/accounts/ada", &json!({"currency": "kwd"}));
    assert_eq!(dinars.status, 201, "{}", dinars.text);
    shop.save_card("ada", VISA);
    let plan = |credits: u64, price: i64| json!({"name": "P", "credits": credits, "price": {"amount": price, "currency": "kwd"}, "every": "month"});
    assert_eq!(shop.server.put("/v1/plans/small", &plan(2_000, 18_000)).status, 201);
    subscribe(&shop, "small", "s");
    // Of three, whatever is left of the month, one would be no multiple of ten by itself.
    for (number, price) in [24_010, 30_070, 36_190].into_iter().enumerate() {
        let credits = 4_000 + 1_000 * u64::try_from(number).unwrap();
        shop.pass(36_001);
        let name = format!("larger-{number}");
        assert_eq!(shop.server.put(&format!("/v1/plans/{name}"), &plan(credits, price)).status, 201);
        let changed = shop.server.post("/v1/accounts/ada/subscription/change", &name, &json!({"plan": name}));
        assert_eq!((changed.status, &changed.json()["plan"]["id"]), (201, &json!(name)), "{}", changed.text);
        let paid = &shop.payments("ada")[0];
        let net = paid["net"]["amount"].as_i64().unwrap();
        assert!(paid["status"] == "succeeded" && 0 < net && net % 10 == 0, "{paid}");
    }
}

#[test]
fn what_carries_over_is_all_of_it_where_the_plan_sets_no_maximum_and_that_much_where_it_does() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    let plan = json!({"name": "Capped", "credits": "2000", "price": {"amount": 1500, "currency": "eur"},
        "every": "month", "carry_over_maximum": "500"});
    assert_eq!(shop.server.put("/v1/plans/capped", &plan).json()["carry_over_maximum"], "500");
    let bought = shop.buy("ada", "b", &json!({"credits": "1000"}));
    assert_eq!(bought.status, 201, "{}", bought.text);
    subscribe(&shop, "capped", "s");
    for month in 1..=3 {
        let end = shown(&shop)["period_end"].as_str().unwrap().to_owned();
        shop.pass_to(&end);
        wait_for_state(&shop, "active", month + 2);
        // 500 welcome and 1 000 bought stay whatever a plan says; of 2 000 unused of the period before, 500 stay.
        shop.wait_until("the rest has gone", |it| it.server.available("ada") == "4000");
    }
    let entries = shop.server.get("/v1/accounts/ada/entries?limit=200").json();
    let voids: Vec<&Value> = entries["data"].as_array().unwrap().iter().filter(|it| it["kind"] == "void").collect();
    assert_eq!(voids.len(), 5, "{voids:#?}");
    assert!(voids.iter().all(|it| it["reason"] == "carried over are at most 500 credits"), "{voids:#?}");
}

/// The bank has given a card another expiry.
fn renew_card(shop: &Shop, card: &str, (month, year): (u8, u16)) {
    shop.control("POST", &format!("cards/{card}"), &json!({"exp_month": month, "exp_year": year}));
    shop.settle();
}

/// A shop in which a renewal was declined, because the card had expired, and the provider's name for that card.
fn declined() -> (Shop, String) {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    let end = subscribe(&shop, "monthly", "s")["period_end"].as_str().unwrap().to_owned();
    let card = shop.provider_cards()[0].clone();
    renew_card(&shop, &card, (1, 2020));
    shop.pass_to(&end);
    wait_for_state(&shop, "past_due", 2);
    (shop, card)
}

/// What was not paid for is the plan that was chosen, at its price, and not the one before.
#[test]
fn a_declined_renewal_is_of_the_plan_that_follows() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    let end = subscribe(&shop, "monthly", "s")["period_end"].as_str().unwrap().to_owned();
    let change = shop.server.post("/v1/accounts/ada/subscription/change", "c", &json!({"plan": "yearly"}));
    assert_eq!(change.status, 201, "{}", change.text);
    let page = || shop.server.browse("/settings/billing", &visit(&shop.server, "ada", "owner")).text;
    let before = page();
    let next = "Yearly: 30,000 credits each year, for €290.40";
    assert!(before.contains("Monthly: 2,000 credits each month, until ") && !before.contains("Next: "), "{before}");
    renew_card(&shop, &shop.provider_cards()[0], (1, 2020));
    shop.pass_to(&end);
    wait_for_state(&shop, "past_due", 2);
    let declined = page();
    assert!(declined.contains(&format!("{next}, in place of Monthly.")), "{declined}");
    // Also where one looks first.
    let usage = shop.server.browse("/settings/usage", &visit(&shop.server, "ada", "owner")).text;
    for says in ["Your subscription’s renewal is not paid.", "The card has expired.", "/settings/billing#subscription"]
    {
        assert!(usage.contains(says), "{says}: {usage}");
    }
}

#[test]
fn a_declined_renewal_is_tried_at_once_when_the_bank_renews_its_card() {
    let (shop, card) = declined();
    renew_card(&shop, &card, (12, 2041));
    wait_for_state(&shop, "active", 3);
    assert_eq!(shop.totals().0, 2 * 2178);
}

#[test]
fn a_declined_renewal_is_tried_at_once_with_the_card_that_takes_the_place_of_one_that_is_gone() {
    let (shop, card) = declined();
    // Taken away by hand at the provider, whose word of it is lost; the next news is of the new one.
    shop.control("POST", "notices", &json!({"lose": 1}));
    shop.at_provider(&format!("/v1/payment_methods/{card}/detach"), &[]);
    shop.save_card("ada", "5555555555554444");
    wait_for_state(&shop, "active", 3);
    assert_eq!(shop.totals().0, 2 * 2178);
}
