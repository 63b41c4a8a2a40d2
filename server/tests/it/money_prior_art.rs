//! What went wrong with money elsewhere, and does not here: a test for each defect of other systems that their users
//! or makers wrote up. `top_up_n` are of auto-topups and credit displays, `defect_n` of credits and money at large, by
//! their number in the list each is in.
//!
//! | # | what happened, and where | the test |
//! |---|---|---|
//! | top_up_1 | a declined card was tried every few seconds for days (getlago/lago-api#6176) | here |
//! | top_up_2 | one charge per increment until caught up (getlago/lago-api#6177) | here |
//! | top_up_3 | several at once each start a top-up (AutoGPT#9426) | here; three nodes: `nodes.rs` |
//! | top_up_4 | charged, and the credits never written (elizaOS/eliza#9321) | here |
//! | top_up_5 | credits without a charge (Vexa-ai/vexa#1135) | here |
//! | top_up_6 | a disabled rule charges; one under way is forgotten (useautumn/autumn#3339, #3332) | here |
//! | top_up_7 | "at most once per hour" on paper alone (akash-network/console#3583) | here |
//! | top_up_8 | a monthly cap by best effort (LIT-Protocol/chipotle#447) | here; months: `ledger/tests/money.rs` |
//! | top_up_9 | a bank that wants the customer (LIT-Protocol/chipotle#448) | here |
//! | top_up_10 | the balance is old after a purchase (theopenco/llmgateway#221, dyad-sh/dyad#3610) | here |
//! | top_up_11 | the page says there are credits, the gate says none (PipedreamHQ/pipedream#9331) | here |
//! | defect_2 | the same purchase twice charges twice (getlago/lago-api#5870) | here |
//! | defect_3 | runaway top-ups (getlago/lago-api#6103, #6177) | `top_up_2`, `top_up_8` |
//! | defect_4 | top-ups stop in silence when the refill is above the maximum (getlago/lago-api#5992) | here |
//! | defect_5 | told twice credits twice; a failed payment leaves credits (getlago/lago-api#2243, #3703) | here |
//! | defect_6 | half-written state when two write (getlago/lago-api#3895) | here; `money_crashes.rs` |
//! | defect_10 | a renewal destroys purchased credits (polarsource/polar#10513, #8451) | here |
//! | defect_11 | caches of balances (openmeterio/openmeter#4252, #4846, #4999) | `scrip verify` ends every crash test |
//! | defect_12 | an invoice paid credits again; two invoices a top-up (flexprice/flexprice#794, #2155) | here |
//! | defect_14 | refunds and disputes claw back too much or too little (elizaOS/eliza#10920, #10997, #11155) | here |
//! | defect_15 | three replicas charge one customer (doublewordai/control-layer#1371) | `nodes.rs` |
//! | defect_17 | paid and granted both set: double credits (ChronoAIProject/NyxID#1050) | here |
//! | defect_18 | the same credits for 5 or 50 (polarsource/polar#8336) | here |
use serde_json::{Value, json};

use crate::money_back::{at_provider, bought, refund};
use crate::money_purchases::hosted;
use crate::money_shop::{BACK, SECRET, Shop};
use crate::money_topups::{rule, set, wait_for_payments};

const VISA: &str = "4242424242424242";
/// Saves well and is declined when it is charged.
const DECLINES: &str = "4000000000000341";
/// The bank wants the customer every time.
const WANTS_PROOF: &str = "4000002760003184";

#[test]
fn top_up_1_a_declined_card_is_left_alone_for_hours_and_then_the_rule_pauses() {
    let shop = Shop::open();
    shop.customer("ada", DECLINES);
    set(&shop, &rule(499, 1000));
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
    assert_eq!((&shown["paused"]["code"], &shown["retry_at"]), (&json!("declined"), &Value::Null), "{shown}");
    shop.pass(30 * 24 * 3600);
    shop.spend("ada", "c", 1);
    assert_eq!((shop.payments("ada").len(), shop.totals().0), (3, 0));
}

#[test]
fn top_up_2_one_charge_of_whole_increments_clears_the_threshold() {
    let shop = Shop::open();
    let card = shop.customer("ada", VISA);
    shop.buy("ada", "order", &json!({"credits": 2000, "payment_method": card}));
    set(&shop, &rule(2000, 500));
    // From 2 600 to 900: 1 100 are missing, three times 500 are bought at once.
    assert_eq!(shop.spend("ada", "a", 1700).status, 201);
    wait_for_payments(&shop, 2, "succeeded");
    shop.settle();
    let payment = &shop.payments("ada")[0];
    assert_eq!((&payment["credits"], &payment["net"]["amount"]), (&json!("1500"), &json!(1500)));
    assert_eq!((shop.server.available("ada"), shop.payments("ada").len()), ("2400".to_owned(), 2));
}

#[test]
fn top_up_3_a_hundred_charges_at_once_start_one_payment() {
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
fn top_up_4_a_charge_whose_notices_are_all_lost_is_found_and_credited() {
    let shop = Shop::deaf();
    shop.server.account("ada");
    let bought = shop.buy("ada", "order_1", &hosted(json!({"credits": 1000}))).json();
    shop.type_card(bought["checkout_url"].as_str().unwrap(), VISA).unwrap();
    assert_eq!(shop.server.available("ada"), "600");
    shop.pass(60);
    shop.wait_until("the payment is found", |it| it.payments("ada")[0]["status"] == "succeeded");
    assert_eq!(shop.server.available("ada"), "1600");
    assert_eq!(shop.paid_grants("ada").len(), 1);
}

#[test]
fn top_up_5_no_word_but_the_providers_own_list_makes_credits() {
    let shop = Shop::open();
    shop.server.account("ada");
    let bought = shop.buy("ada", "order", &hosted(json!({"credits": 1000}))).json();
    let id = bought["id"].as_str().unwrap();
    // A notice that says so, signed as it should be, of a payment that nobody made.
    let object = json!({"id": "pi_made_up", "object": "payment_intent", "amount": 1210, "amount_received": 1210,
        "currency": "eur", "status": "succeeded", "created": 1_763_799_990, "metadata": {"scrip_id": id}});
    let event = json!({"id": "evt_1", "object": "event", "created": 1_763_800_000, "livemode": false,
        "type": "payment_intent.succeeded", "data": {"object": object}});
    let body = event.to_string();
    let status = shop.tell(&body, SECRET);
    assert!([200, 503].contains(&status), "{status}");
    assert_eq!(shop.payment(id)["status"], "requires_action");
    assert_eq!((shop.server.available("ada"), shop.paid_grants("ada").len()), ("600".to_owned(), 0));
}

#[test]
fn top_up_6_a_rule_that_was_switched_off_charges_nothing_even_when_it_had_begun() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    set(&shop, &rule(499, 1000));
    // The provider has no time just then; the customer thinks again.
    shop.fault(&json!({"when": "before", "what": "429", "method": "POST", "path": "/v1/payment_intents", "times": 99}));
    assert_eq!(shop.spend("ada", "a", 2).status, 201);
    // Four tries are what it makes of one sending.
    shop.wait_until("it has been tried", |it| {
        let requests = it.control("GET", "requests", &json!({}));
        let sent = |it: &&Value| it["path"] == "/v1/payment_intents" && it["method"] == "POST";
        requests.as_array().unwrap().iter().filter(sent).count() == 4
    });
    let mut off = rule(499, 1000);
    off["enabled"] = json!(false);
    set(&shop, &off);
    shop.control("DELETE", "faults", &json!({}));
    for _ in 0..3 {
        shop.pass(300);
        shop.settle();
    }
    wait_for_payments(&shop, 1, "failed");
    assert_eq!(shop.payments("ada")[0]["failure"]["code"], "switched_off");
    assert_eq!((shop.totals().0, shop.paid_grants("ada").len()), (0, 0));
}

#[test]
fn top_up_7_the_hour_after_a_decline_is_kept_by_the_book_and_not_by_the_page() {
    let shop = Shop::open();
    shop.customer("ada", DECLINES);
    set(&shop, &rule(499, 1000));
    shop.spend("ada", "a", 2);
    wait_for_payments(&shop, 1, "failed");
    // Neither setting the rule again nor another card ends it early: only money does.
    set(&shop, &rule(499, 1000));
    shop.save_card("ada", VISA);
    shop.spend("ada", "b", 1);
    shop.pass(1800);
    shop.spend("ada", "c", 1);
    assert_eq!(shop.payments("ada").len(), 1);
    assert!(shop.server.get("/v1/accounts/ada/auto-topup").json()["retry_at"].is_string());
    let mut off = rule(499, 1000);
    off["enabled"] = json!(false);
    assert_eq!(set(&shop, &off)["retry_at"], Value::Null, "nothing will be tried");
}

#[test]
fn top_up_8_the_monthly_maximum_is_never_passed() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    let mut body = rule(450, 500);
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
fn top_up_9_a_bank_that_wants_the_customer_is_answered_by_the_customer() {
    let shop = Shop::open();
    shop.customer("ada", WANTS_PROOF);
    set(&shop, &rule(499, 1000));
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
fn top_up_10_what_was_bought_can_be_spent_in_the_next_call() {
    let shop = Shop::open();
    let card = shop.customer("ada", VISA);
    assert_eq!(shop.spend("ada", "all", 500).status, 201);
    let refused = shop.spend("ada", "more", 200);
    assert_eq!(refused.problem().1, "insufficient_credits");
    let bought = shop.buy("ada", "order", &json!({"credits": 1000, "payment_method": card}));
    assert_eq!(bought.json()["status"], "succeeded");
    assert_eq!(shop.server.available("ada"), "1100");
    assert_eq!(shop.spend("ada", "more", 200).status, 201);
}

#[test]
fn top_up_11_the_gate_and_the_balance_say_the_same() {
    let shop = Shop::open();
    bought(&shop, VISA);
    let dispute = shop.control("POST", "disputes", &json!({"payment": at_provider(&shop)}));
    assert!(dispute["id"].is_string());
    shop.settle();
    // Frozen credits are in neither: 100 are left, for servers alone.
    let refused = shop.spend("ada", "x", 1);
    assert_eq!((refused.problem().1, &refused.json()["available"]), ("insufficient_credits".to_owned(), &json!("0")));
    let balance = shop.server.get("/v1/accounts/ada/balance").json();
    assert_eq!((&balance["available"], &balance["posted"]), (&json!("100"), &json!("100")));
}

#[test]
fn defect_2_a_saved_card_pays_at_once_and_a_double_click_pays_once() {
    let shop = Shop::open();
    let card = shop.customer("ada", VISA);
    let body = json!({"credits": 1000, "payment_method": card});
    let first = shop.buy("ada", "click", &body);
    assert_eq!((first.status, &first.json()["status"]), (201, &json!("succeeded")), "{}", first.text);
    let again = shop.buy("ada", "click", &body);
    assert_eq!(again.header("idempotent-replay"), Some("true"));
    assert_eq!(again.json()["id"], first.json()["id"]);
    assert_eq!(shop.buy("ada", "click", &json!({"credits": 1001})).problem().1, "idempotency_conflict");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(shop.buy("ada", "clicks", &body).status, 201));
        }
    });
    shop.settle();
    assert_eq!(shop.paid_grants("ada").len(), 2);
    assert_eq!(shop.totals().0, 2 * 1210);
    assert_eq!(shop.server.available("ada"), "2600");
}

#[test]
fn defect_4_a_maximum_that_stops_a_top_up_is_shown_and_said() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    let mut body = rule(450, 500);
    body["monthly_maximum"] = json!({"amount": 700, "currency": "eur"});
    set(&shop, &body);
    shop.spend("ada", "a", 200);
    wait_for_payments(&shop, 1, "succeeded");
    assert!(shop.server.get("/v1/accounts/ada/auto-topup").json()["waits_until"].is_null());
    shop.spend("ada", "b", 500);
    let shown = shop.server.get("/v1/accounts/ada/auto-topup").json();
    assert!(shown["waits_until"].as_str().unwrap().ends_with("-01T00:00:00.000Z"), "{shown}");
    assert_eq!(shop.payments("ada").len(), 1);
    // The next month begins with none of it spent; the event is tested with the other notices.
    shop.pass_to(shown["waits_until"].as_str().unwrap());
    wait_for_payments(&shop, 2, "succeeded");
}

#[test]
fn defect_5_a_notice_told_many_times_at_once_credits_once() {
    let shop = Shop::open();
    shop.control("POST", "notices", &json!({"repeats": 7}));
    shop.server.account("ada");
    let bought = shop.buy("ada", "order_1", &hosted(json!({"credits": 1000}))).json();
    shop.type_card(bought["checkout_url"].as_str().unwrap(), VISA).unwrap();
    shop.settle();
    assert_eq!(shop.paid_grants("ada").len(), 1);
    assert_eq!(shop.server.available("ada"), "1600");
}

#[test]
fn defect_5_a_payment_that_failed_leaves_no_credits() {
    let shop = Shop::open();
    let card = shop.customer("ada", DECLINES);
    let failed = shop.buy("ada", "order", &json!({"credits": 1000, "payment_method": card})).json();
    assert_eq!(failed["status"], "failed");
    shop.settle();
    let path = format!("/v1/payments/{}/refund", failed["id"].as_str().unwrap());
    let refused = shop.server.post(&path, "r", &json!({"reason": "x"}));
    assert_eq!(refused.problem().1, "nothing_to_refund");
    assert_eq!((shop.server.available("ada"), shop.paid_grants("ada").len()), ("600".to_owned(), 0));
}

#[test]
fn defect_6_buying_spending_and_giving_back_at_once_is_never_half_done() {
    let shop = Shop::open();
    let card = shop.customer("ada", VISA);
    let first = shop.buy("ada", "first", &json!({"credits": 1000, "payment_method": card})).json();
    let id = first["id"].as_str().unwrap();
    std::thread::scope(|scope| {
        for round in 0..4 {
            let (shop, card) = (&shop, &card);
            scope.spawn(move || {
                let body = json!({"credits": 500, "payment_method": card});
                assert_eq!(shop.buy("ada", &format!("o{round}"), &body).status, 201);
            });
            scope.spawn(move || assert_eq!(shop.spend("ada", &format!("s{round}"), 20).status, 201));
            scope.spawn(move || {
                let reply = refund(shop, id, &format!("r{round}"), json!({"credits": 100}));
                assert_eq!(reply.status, 201, "{}", reply.text);
            });
        }
    });
    shop.settle();
    assert_eq!(shop.totals(), (1210 + 4 * 605, 484, 0));
    assert_eq!(shop.server.available("ada"), (600 + 1000 + 2000 - 80 - 400).to_string());
    assert_eq!(shop.paid_grants("ada").len(), 5);
}

#[test]
fn defect_10_purchased_credits_survive_a_subscriptions_start_renewal_change_and_end() {
    let shop = Shop::open();
    let card = shop.customer("ada", VISA);
    shop.buy("ada", "order", &json!({"credits": 1000, "payment_method": card}));
    let purchased = |shop: &Shop| {
        let balance = shop.server.get("/v1/accounts/ada/balance").json();
        balance["by_source"]["purchase"].as_str().unwrap().to_owned()
    };
    let ask = |what: &str, body: Value| {
        let path = format!("/v1/accounts/ada/subscription{what}");
        let reply = shop.server.post(&path, what, &body);
        assert_eq!(reply.status, 201, "{}", reply.text);
        assert_eq!(purchased(&shop), "1000", "{what}");
        reply.json()
    };
    let started = shop.server.post("/v1/accounts/ada/subscription", "s", &json!({"plan": "monthly"}));
    assert_eq!(purchased(&shop), "1000");
    shop.pass_to(started.json()["period_end"].as_str().unwrap());
    wait_for_payments(&shop, 3, "succeeded");
    assert_eq!(purchased(&shop), "1000");
    ask("/change", json!({"plan": "monthly-plus"}));
    let ends = ask("/cancel", json!({}));
    shop.pass_to(ends["period_end"].as_str().unwrap());
    let state = |it: &Shop| it.server.get("/v1/accounts/ada/subscription").json()["state"].clone();
    shop.wait_until("it is over", |it| state(it) == "canceled");
    assert_eq!(purchased(&shop), "1000");
}

#[test]
fn defect_12_a_payment_has_one_invoice_and_one_grant() {
    let shop = Shop::open();
    shop.control("POST", "notices", &json!({"repeats": 3}));
    shop.customer("ada", VISA);
    set(&shop, &rule(499, 1000));
    shop.spend("ada", "a", 2);
    wait_for_payments(&shop, 1, "succeeded");
    shop.settle();
    let invoices = shop.server.get("/v1/accounts/ada/invoices").json();
    assert_eq!(invoices["data"].as_array().unwrap().len(), 1, "{invoices}");
    assert_eq!((shop.paid_grants("ada").len(), shop.totals().0), (1, 1210));
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
    assert_eq!(payment["status"], "disputed");
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
fn defect_14_a_dispute_that_is_won_leaves_everything_as_it_was() {
    let shop = Shop::open();
    let id = bought(&shop, VISA);
    let dispute = shop.control("POST", "disputes", &json!({"payment": at_provider(&shop)}));
    shop.settle();
    assert_eq!(shop.payment(&id)["dispute"]["status"], "open");
    assert_eq!(shop.payment(&id)["status"], "disputed");
    assert_eq!(shop.server.available("ada"), "100");
    assert_eq!(shop.spend("ada", "x", 1).problem().1, "insufficient_credits");
    assert_eq!(refund(&shop, &id, "r1", json!({})).problem().1, "payment_disputed");
    let close = format!("disputes/{}/close", dispute["id"].as_str().unwrap());
    shop.control("POST", &close, &json!({"outcome": "won"}));
    shop.settle();
    assert_eq!(
        (&shop.payment(&id)["dispute"]["status"], &shop.payment(&id)["status"]),
        (&json!("won"), &json!("succeeded"))
    );
    assert_eq!(shop.server.available("ada"), "1100");
    // And a refund afterwards gives back all of it.
    assert_eq!(refund(&shop, &id, "r2", json!({})).json()["total"]["amount"], 1210);
    assert_eq!(shop.payment(&id)["status"], "refunded");
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
fn defect_17_nobody_can_grant_what_only_money_makes() {
    let shop = Shop::open();
    shop.server.account("ada");
    // What was bought outside Scrip may be granted as a purchase; what only Scrip collects may not.
    for source in ["auto_topup", "subscription"] {
        let grant = json!({"credits": "1000", "source": source, "reason": "x"});
        let reply = shop.server.post("/v1/accounts/ada/grants", source, &grant);
        assert_eq!((reply.status, reply.problem().2), (422, "source".to_owned()), "{}", reply.text);
    }
    // Nor do a purchase's body and a grant's have anything in common.
    let both = json!({"credits": 1000, "bonus": 1000, "hosted": true, "return_url": BACK});
    assert_eq!(shop.buy("ada", "both", &both).status, 422);
    assert_eq!(shop.server.available("ada"), "600");
}

#[test]
fn defect_18_credits_follow_the_price_and_the_price_is_ours() {
    let shop = Shop::open();
    shop.server.account("ada");
    for (credits, net) in [(500, 500), (5_000, 5_000), (12_345, 12_345)] {
        let bought = shop.buy("ada", &format!("o{credits}"), &hosted(json!({"credits": credits}))).json();
        assert_eq!((&bought["credits"], &bought["net"]["amount"]), (&json!(credits.to_string()), &json!(net)));
    }
    let mut said = hosted(json!({"credits": 5_000}));
    said["price"] = json!({"amount": 500, "currency": "eur"});
    assert_eq!(shop.buy("ada", "own price", &said).status, 422);
}
