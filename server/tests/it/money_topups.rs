//! Auto-topup over HTTP: started by the charge that crosses the threshold, once, and never beyond what was agreed.
//! Named after what went wrong elsewhere.
use serde_json::{Value, json};
use server::service::Month;

use crate::money_shop::{BACK, Shop};
use crate::servers::price_business;
use crate::webhooks::Ear;

const VISA: &str = "4242424242424242";
const WANTS_PROOF: &str = "4000002760003184";

pub fn rule(threshold: u64, credits: u64) -> Value {
    json!({"enabled": true, "threshold": threshold, "credits": credits})
}

pub fn set(shop: &Shop, body: &Value) -> Value {
    let reply = shop.server.put("/v1/accounts/ada/auto-topup", body);
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()
}

pub fn wait_for_payments(shop: &Shop, count: usize, status: &str) {
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
    assert_eq!(shop.spend("ada", "a", 300).status, 201);
    assert_eq!(shop.payments("ada").len(), 0, "200 is not below 200; the 100 for servers do not count");
    assert_eq!(shop.spend("ada", "b", 1).status, 201);
    // The payment is there as soon as the charge is: they are one commit.
    assert_eq!(shop.payments("ada").len(), 1);
    wait_for_payments(&shop, 1, "succeeded");
    let payment = &shop.payments("ada")[0];
    assert_eq!((&payment["source"], &payment["tax"]["amount"]), (&json!("auto_topup"), &json!(210)));
    assert_eq!(shop.server.available("ada"), "1299");
    assert_eq!(shop.totals().0, 1210);
    assert_eq!(shop.server.get("/v1/accounts/ada/auto-topup").json()["spent_this_month"]["amount"], 1210);
}

#[test]
fn enabling_it_below_the_threshold_asks_before_it_charges() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    let refused = shop.server.put("/v1/accounts/ada/auto-topup", &rule(2000, 1000));
    assert_eq!(refused.problem().1, "would_charge_now");
    // 500 are there, and 100 for servers: two increments clear the threshold, in one charge.
    assert_eq!(refused.json()["total"], json!({"amount": 2420, "currency": "eur"}));
    assert_eq!(shop.payments("ada").len(), 0);
    let mut agreed = rule(2000, 1000);
    agreed["charge_now"] = json!(true);
    set(&shop, &agreed);
    wait_for_payments(&shop, 1, "succeeded");
    assert_eq!(shop.server.available("ada"), "2600");
    assert_eq!(shop.totals().0, 2420);
}

/// What is agreed to on the page is what is charged, by what the book charges by; and where that would be more by the
/// time of the click, it is asked anew.
#[test]
fn the_page_says_what_turning_it_on_charges_at_once() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    let cookie = crate::pages::visit(&shop.server, "ada", "owner");
    let mark = crate::pages::mark_of(&shop.server.browse("/settings/billing", &cookie).text).to_owned();
    let send = |said: &str| {
        let form = format!("mark={mark}&threshold=1400&credits=500&{said}");
        shop.server.submit("/settings/billing/auto-topup", &cookie, &form)
    };
    let agree = |page: &str| {
        let value = |name: &str| {
            let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).expect(name);
            format!("{name}={}&", rest.split('"').next().unwrap())
        };
        ["total", "charge_now", "do"].map(value).concat()
    };
    let asked = send("do=review").text;
    for says in [
        "Only 500.00 credits are available, so Visa ••4242 is charged €12.10 now for 1,000 credits.",
        "<th scope=\"row\">To pay now</th><td class=\"n\">€12.10</td>",
        "<button>Agree and pay €12.10 now</button>",
    ] {
        assert!(asked.contains(says), "{says}: {asked}");
    }
    // 300 are left, and two increments are not enough any more.
    assert_eq!(shop.spend("ada", "a", 200).status, 201);
    let again = send(&agree(&asked)).text;
    for says in ["More would be charged now than when you opened the page", "Agree and pay €18.15 now"] {
        assert!(again.contains(says), "{says}: {again}");
    }
    assert_eq!(shop.payments("ada").len(), 0);
    assert_eq!(send(&agree(&again)).status, 303);
    wait_for_payments(&shop, 1, "succeeded");
    assert_eq!((shop.totals().0, shop.server.available("ada")), (1815, "1900".to_owned()));
}

#[test]
fn a_rule_needs_a_card_and_keeps_the_last_one() {
    let shop = Shop::open();
    shop.server.account("ada");
    let refused = shop.server.put("/v1/accounts/ada/auto-topup", &rule(100, 1000));
    assert_eq!(refused.problem().2, "payment_method");
    shop.save_card("ada", VISA);
    // With none left work is refused, so it would never buy in time.
    assert_eq!(shop.server.put("/v1/accounts/ada/auto-topup", &rule(0, 1000)).problem().2, "threshold");
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

/// It may be switched off at any time: by values that could not be switched on, and by a form that says nonsense.
#[test]
fn nothing_keeps_it_from_being_switched_off() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    let limited = |on: bool, amount: i64| {
        let mut rule = rule(200, 1000);
        rule["enabled"] = json!(on);
        rule["monthly_maximum"] = json!({"amount": amount, "currency": "eur"});
        rule
    };
    let is_on = || shop.server.get("/v1/accounts/ada/auto-topup").json()["enabled"].clone();
    set(&shop, &limited(true, 1210));
    let refused = shop.server.put("/v1/accounts/ada/auto-topup", &limited(true, 1200));
    assert_eq!(refused.problem().2, "monthly_maximum");
    set(&shop, &limited(false, 1200));
    assert_eq!(is_on(), false);
    set(&shop, &limited(true, 1210));
    let cookie = crate::pages::visit(&shop.server, "ada", "owner");
    let page = shop.server.browse("/settings/billing", &cookie);
    let form = format!("mark={}&do=off&maximum=1e9&threshold=", crate::pages::mark_of(&page.text));
    let sent = shop.server.submit("/settings/billing/auto-topup", &cookie, &form);
    assert_eq!((sent.status, is_on()), (303, json!(false)), "{}", sent.text);
}

/// Who changes one number on the page changes nothing else: neither the card nor the maximum.
#[test]
fn the_page_keeps_the_card_and_the_maximum_to_the_cent() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    shop.save_card("ada", "5555555555554444");
    let cards = shop.server.get("/v1/accounts/ada/payment-methods").json()["data"].clone();
    let other = cards.as_array().unwrap().iter().find(|it| it["is_default"] == false).unwrap()["id"].clone();
    let mut limited = rule(200, 1000);
    limited["monthly_maximum"] = json!({"amount": 2150, "currency": "eur"});
    limited["payment_method"] = other.clone();
    set(&shop, &limited);
    let cookie = crate::pages::visit(&shop.server, "ada", "owner");
    let page = shop.server.browse("/settings/billing", &cookie).text;
    let id = other.as_str().unwrap();
    assert!(page.contains(&format!("<option value=\"{id}\" selected>")), "{page}");
    assert!(page.contains("name=\"maximum\" inputmode=\"decimal\" value=\"21.50\""), "{page}");
    let mark = format!("mark={}&credits=1000", crate::pages::mark_of(&page));
    let send = |said: &str| shop.server.submit("/settings/billing/auto-topup", &cookie, &format!("{mark}&{said}"));
    let review = send(&format!("do=review&threshold=100&maximum=21.50&method={id}"));
    assert!(review.text.contains("4444") && review.text.contains("€21.50 a month"), "{}", review.text);
    let hidden = |name: &str| {
        let (_, rest) = review.text.split_once(&format!("name=\"{name}\" value=\"")).expect(name);
        format!("{name}={}&", rest.split('"').next().unwrap())
    };
    let agreed: String = ["threshold", "total", "maximum", "method", "do"].map(hidden).concat();
    assert_eq!(send(&agreed).status, 303);
    let shown = shop.server.get("/v1/accounts/ada/auto-topup").json();
    assert_eq!((&shown["threshold"], &shown["payment_method"]), (&json!("100"), &other));
    assert_eq!(shown["monthly_maximum"]["amount"], 2150);
    for (unclear, says) in [
        ("maximum=10,50", "The monthly maximum cannot be read. Write decimals with a point: 10.50."),
        ("maximum=21.505", "The monthly maximum cannot be read. Write thousands without points: 21505"),
        ("maximum=21.5055", "The monthly maximum must be an amount such as 12.50."),
        ("maximum=0", "must be an amount of money, such as 50 or 10.50, or empty for none"),
        ("maximum=x", "The monthly maximum cannot be read. Type a number"),
        ("threshold=100,5", "The threshold cannot be read. Write decimals with a point: 100.5."),
        ("threshold=1.000", "The threshold cannot be read. Is it 1000 or 1? Write 1000 or 1."),
    ] {
        let asked = send(&format!("do=review&threshold=100&{unclear}"));
        assert!(asked.status == 422 && asked.text.contains(says), "{unclear}: {}", asked.text);
        let (field, typed) = unclear.split_once('=').unwrap();
        let (_, kept) = asked.text.split_once(&format!("name=\"{field}\"")).expect(field);
        assert!(kept.contains(&format!("value=\"{typed}\"")) && kept.contains("aria-invalid"), "{unclear}: {kept}");
    }
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

#[test]
fn the_bank_is_asked_for_the_customer_once_under_a_key() {
    let shop = Shop::open();
    shop.customer("ada", WANTS_PROOF);
    set(&shop, &rule(499, 1000));
    shop.spend("ada", "a", 2);
    wait_for_payments(&shop, 1, "requires_action");
    let path = format!("/v1/payments/{}/confirm", shop.payments("ada")[0]["id"].as_str().unwrap());
    let confirm = |back: &str| shop.server.post(&path, "c", &json!({"return_url": back}));
    let first = confirm(BACK);
    assert_eq!((first.status, first.header("idempotent-replay")), (201, None), "{}", first.text);
    let asked = shop.asked("POST", "/v1/payment_intents");
    shop.prove(first.json()["action_url"].as_str().unwrap(), "complete").unwrap();
    shop.settle();
    wait_for_payments(&shop, 1, "succeeded");
    let again = confirm(BACK);
    assert_eq!((again.status, again.header("idempotent-replay")), (201, Some("true")));
    assert_eq!(again.text, first.text, "as it was answered, though it is paid by now");
    assert_eq!(confirm("http://shop.example/elsewhere").problem().1, "idempotency_conflict");
    assert_eq!(shop.asked("POST", "/v1/payment_intents"), asked);
}

/// Where only servers burn, what is available falls between the entries: it is told all the same, once.
#[test]
fn a_monthly_maximum_that_is_reached_is_told_also_where_only_servers_burn() {
    let shop = Shop::open();
    // The second day of a month, so that it does not end meanwhile.
    let month: Month = shop.now().to_string()[..7].parse().unwrap();
    shop.pass((month.end().millis() - shop.now().as_millisecond()) / 1_000 + 86_400);
    shop.customer("ada", VISA);
    let ear = Ear::open(204);
    shop.server.endpoint(&ear, &["auto_topup.paused", "balance.low"]);
    let mut limited = rule(450, 1000);
    limited["monthly_maximum"] = json!({"amount": 1210, "currency": "eur"});
    set(&shop, &limited);
    // 500 less 60: one top-up, and that was all for this month.
    assert_eq!(shop.spend("ada", "a", 60).status, 201);
    wait_for_payments(&shop, 1, "succeeded");
    let ordered = shop.server.put("/v1/accounts/ada/servers/vm", &json!({"tier": "entry-level"}));
    assert_eq!(ordered.status, 201, "{}", ordered.text);
    assert_eq!(shop.server.post("/v1/accounts/ada/servers/vm/start", "", &json!({})).status, 200);
    // 1 440 less 200 for setting it up, which the 100 for servers help to pay, less 780; then 4 an hour.
    assert_eq!(shop.spend("ada", "b", 780).status, 201);
    shop.pass(5 * 3_600);
    let told = ear.next();
    assert_eq!(
        (&*told.what(), &told.json()["data"]["failure"]["code"]),
        ("auto_topup.paused", &json!("monthly_maximum"))
    );
    // What comes next is another thing.
    shop.pass(3_600);
    assert_eq!(shop.spend("ada", "c", 350).status, 201);
    assert_eq!(&*ear.next().what(), "balance.low");
    assert_eq!(shop.payments("ada").len(), 1);
}

/// Prices that fell while nobody was there hold from their instants, before anything is made of the hours after them:
/// what was never used buys nothing and is not given back.
#[test]
fn prices_that_fell_in_an_outage_buy_nothing() {
    let shop = Shop::open();
    // The second day of a month, at an hour's beginning.
    let month: Month = shop.now().to_string()[..7].parse().unwrap();
    shop.pass((month.end().millis() - shop.now().as_millisecond()) / 1_000 + 86_400);
    shop.customer("ada", VISA);
    let grant = json!({"credits": "1200", "source": "adjustment", "reason": "for the test"});
    assert_eq!(shop.server.post("/v1/accounts/ada/grants", "g", &grant).status, 201);
    for server in ["one", "two"] {
        let path = format!("/v1/accounts/ada/servers/{server}");
        assert_eq!(shop.server.put(&path, &json!({"tier": "business"})).status, 201);
        assert_eq!(shop.server.post(&format!("{path}/start"), "", &json!({})).status, 200);
    }
    // 600 are left. At 12 an hour each they would be below 300 after half a day.
    set(&shop, &rule(300, 1000));
    let later = |hours: i64| shop.now().checked_add(jiff::SignedDuration::from_hours(hours)).unwrap().to_string();
    let instants = [later(1), later(3)];
    price_business(&shop.server, 2, &instants[0], "1");
    price_business(&shop.server, 3, &instants[1], "2");
    shop.pass(48 * 3_600);
    // Each 12 for an hour, and some seconds until there were prices; then 2 for two, and 90 for 45.
    let available = shop.server.available("ada");
    assert!(available.starts_with("391."), "{available}");
    assert_eq!(shop.payments("ada").len(), 0);
    let entries = shop.server.get("/v1/accounts/ada/entries?limit=500").json();
    let entries = entries["data"].as_array().unwrap();
    assert!(entries.iter().all(|it| it["kind"] != "reversal"), "{entries:?}");
    let told = entries.iter().rev().filter(|it| it["server"]["act"] == "prices");
    let told: Vec<jiff::Timestamp> = told.map(|it| it["at"].as_str().unwrap().parse().unwrap()).collect();
    let [first, second] = instants.map(|it| it.parse::<jiff::Timestamp>().unwrap());
    assert_eq!(told, [first, first, second, second], "{entries:?}");
    shop.server.verified();
}

#[test]
fn a_rule_turned_on_again_while_a_payment_waits_for_the_bank_goes_on_when_that_one_ends() {
    let shop = Shop::open();
    shop.customer("ada", WANTS_PROOF);
    set(&shop, &rule(499, 1000));
    shop.spend("ada", "a", 2);
    wait_for_payments(&shop, 1, "requires_action");
    let shown = || shop.server.get("/v1/accounts/ada/auto-topup").json();
    assert_eq!(shown()["paused"]["code"], "authentication_required");
    let again = set(&shop, &rule(499, 1000));
    assert_eq!((&again["paused"], again["pending_payment"].is_string()), (&Value::Null, true), "{again}");
    let cookie = crate::pages::visit(&shop.server, "ada", "owner");
    let page = shop.server.browse("/settings/billing", &cookie).text;
    assert!(page.contains("Confirm with your bank") && page.contains("another is tried by itself"), "{page}");
    shop.pass(25 * 3_600);
    shop.wait_until("it is given up", |it| it.payments("ada")[0]["status"] == "canceled");
    assert_eq!(shown()["paused"], Value::Null);
    shop.pass(3_700);
    shop.wait_until("another is tried", |it| it.payments("ada").len() == 2);
}
