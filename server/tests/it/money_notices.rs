//! What platforms are told of money: each thing once, in the very commit of its cause, whatever is repeated or lost.
use serde_json::{Value, json};

use crate::money_shop::Shop;
use crate::webhooks::Ear;

const VISA: &str = "4242424242424242";
const DECLINES: &str = "4000000000000341";
const WANTS_PROOF: &str = "4000002760003184";
const DAY: i64 = 24 * 3600;

/// A shop whose platform hears of everything but balances.
struct Told {
    shop: Shop,
    _ear: Ear,
    endpoint: String,
}

impl Told {
    fn open(events: &[&str]) -> Told {
        let shop = Shop::open();
        let ear = Ear::open(200);
        let endpoint = shop.server.endpoint(&ear, events).0;
        Told { shop, _ear: ear, endpoint }
    }

    /// What has been told, oldest first: the event and what is said of it.
    fn all(&self) -> Vec<(String, Value)> {
        let deliveries = self.shop.server.deliveries(&self.endpoint);
        let told = deliveries.into_iter().rev();
        told.map(|it| (it["event"].as_str().unwrap().to_owned(), it["body"]["data"].clone())).collect()
    }

    /// Waits until exactly these have been told, in any order, and gives what is said of the last of each.
    #[track_caller]
    fn expect(&self, expected: &[&str]) -> Vec<Value> {
        let mut wanted: Vec<&str> = expected.to_vec();
        wanted.sort_unstable();
        let names = |it: &Told| -> Vec<String> {
            let mut names: Vec<String> = it.all().into_iter().map(|it| it.0).collect();
            names.sort_unstable();
            names
        };
        for _ in 0..15_000 {
            if wanted.len() <= names(self).len() {
                break;
            }
        }
        assert_eq!(names(self), wanted);
        let all = self.all();
        let last = |name: &&str| all.iter().rev().find(|it| it.0 == *name).unwrap().1.clone();
        expected.iter().map(last).collect()
    }

    fn subscribe(&self) -> String {
        let made = self.shop.server.post("/v1/accounts/ada/subscription", "s", &json!({"plan": "monthly"}));
        assert_eq!(made.json()["state"], "active", "{}", made.text);
        made.json()["period_end"].as_str().unwrap().to_owned()
    }

    fn subscription(&self) -> Value {
        self.shop.server.get("/v1/accounts/ada/subscription").json()
    }
}

#[test]
fn a_purchase_its_refund_and_its_dispute_are_told_of() {
    let told = Told::open(&[]);
    let shop = &told.shop;
    // Stripe says everything three times.
    shop.control("POST", "notices", &json!({"repeats": 3}));
    let card = shop.customer("ada", VISA);
    let bought = shop.buy("ada", "order", &json!({"credits": 1000, "payment_method": card})).json();
    shop.settle();
    let said = told.expect(&["payment.succeeded", "invoice.issued"]);
    let total = json!({"amount": 1210, "currency": "eur"});
    assert_eq!((&said[0]["account"], &said[0]["payment"]), (&json!("ada"), &bought["id"]));
    assert_eq!(
        (&said[0]["total"], &said[0]["purpose"], &said[0]["credits"]),
        (&total, &json!("purchase"), &json!("1000"))
    );
    assert_eq!(said[0]["card"], json!({"brand": "visa", "last4": "4242", "expires": "12/40"}));
    assert!(said[1]["invoice"].as_str().unwrap().starts_with("INV-"), "{}", said[1]);
    let path = format!("/v1/payments/{}/refund", bought["id"].as_str().unwrap());
    let refunded = shop.server.post(&path, "r", &json!({"credits": 100, "reason": "Too many"}));
    assert_eq!(refunded.status, 201, "{}", refunded.text);
    shop.settle();
    let all = ["payment.succeeded", "invoice.issued", "payment.refunded", "invoice.issued"];
    let said = told.expect(&all);
    assert_eq!((&said[2]["total"]["amount"], &said[2]["reason"]), (&json!(121), &json!("Too many")));
    assert_eq!((&said[3]["kind"], &said[3]["total"]["amount"]), (&json!("credit_note"), &json!(121)));
    let at_provider = shop.control("GET", "totals", &json!({}))["succeeded"][0]["id"].clone();
    let dispute = shop.control("POST", "disputes", &json!({"payment": at_provider, "amount": 500}));
    shop.settle();
    let opened = [&all[..], &["payment.disputed"]].concat();
    assert_eq!(told.expect(&opened)[4]["status"], "open");
    shop.control("POST", &format!("disputes/{}/close", dispute["id"].as_str().unwrap()), &json!({"outcome": "lost"}));
    shop.settle();
    // What the bank took is credited, as what was refunded was.
    let closed = [&opened[..], &["payment.disputed", "invoice.issued"]].concat();
    let said = told.expect(&closed);
    assert_eq!((&said[5]["status"], &said[5]["lost"]["amount"]), (&json!("lost"), &json!(500)));
}

#[test]
fn an_auto_topup_tells_that_it_bought_failed_and_paused() {
    let told = Told::open(&[]);
    let shop = &told.shop;
    shop.customer("ada", VISA);
    let rule = json!({"enabled": true, "threshold": 200, "credits": 1000,
        "monthly_maximum": {"amount": 1300, "currency": "eur"}});
    assert_eq!(shop.server.put("/v1/accounts/ada/auto-topup", &rule).status, 200);
    assert_eq!(shop.spend("ada", "a", 350).status, 201);
    let bought = ["payment.succeeded", "auto_topup.succeeded", "invoice.issued"];
    assert_eq!(told.expect(&bought)[1]["purpose"], "auto_topup");
    // The maximum does not allow another this month, and that is no silence.
    assert_eq!(shop.spend("ada", "b", 960).status, 201);
    let limited = [&bought[..], &["auto_topup.paused"]].concat();
    let said = told.expect(&limited);
    assert_eq!(said[3]["failure"]["code"], "monthly_maximum");
    assert!(said[3]["next_try_at"].is_string(), "{}", said[3]);
    assert!(shop.server.get("/v1/accounts/ada/auto-topup").json()["waits_until"].is_string());
    // Still below, and no news.
    assert_eq!(shop.spend("ada", "c", 1).status, 201);
    told.expect(&limited);
}

#[test]
fn a_card_that_is_declined_three_times_is_told_of_three_times_and_the_pause_once() {
    let told = Told::open(&["payment.failed", "payment.requires_action", "auto_topup.failed", "auto_topup.paused"]);
    let shop = &told.shop;
    shop.customer("ada", DECLINES);
    let rule = json!({"enabled": true, "threshold": 499, "credits": 1000});
    assert_eq!(shop.server.put("/v1/accounts/ada/auto-topup", &rule).status, 200);
    assert_eq!(shop.spend("ada", "a", 2).status, 201);
    let once = ["payment.failed", "auto_topup.failed"];
    let said = told.expect(&once);
    assert_eq!((&said[0]["failure"]["code"], &said[1]["failures"]), (&json!("declined"), &json!(1)));
    shop.pass_to(said[1]["next_try_at"].as_str().unwrap());
    let twice = [once, once].concat();
    let said = told.expect(&twice);
    shop.pass_to(said[3]["next_try_at"].as_str().unwrap());
    let said = told.expect(&[&twice[..], &once, &["auto_topup.paused"]].concat());
    assert_eq!((&said[6]["reason"], &said[5]["next_try_at"]), (&said[5]["reason"], &Value::Null));
}

#[test]
fn a_bank_that_wants_the_customer_is_told_of() {
    let told = Told::open(&["payment.requires_action", "payment.succeeded", "payment.failed", "auto_topup.paused"]);
    let shop = &told.shop;
    shop.customer("ada", WANTS_PROOF);
    let rule = json!({"enabled": true, "threshold": 499, "credits": 1000});
    assert_eq!(shop.server.put("/v1/accounts/ada/auto-topup", &rule).status, 200);
    assert_eq!(shop.spend("ada", "a", 2).status, 201);
    let said = told.expect(&["payment.requires_action", "auto_topup.paused"]);
    assert_eq!(said[0]["failure"]["code"], "authentication_required");
    // A page that is opened is no news to who opened it; that nobody confirmed the payment within a day is.
    let body = json!({"credits": 1000, "hosted": true, "return_url": crate::money_shop::BACK});
    assert_eq!(shop.buy("ada", "hosted", &body).json()["status"], "requires_action");
    shop.pass(25 * 3600);
    let said = told.expect(&["payment.requires_action", "auto_topup.paused", "payment.failed"]);
    assert_eq!((&said[2]["status"], &said[2]["failure"]["code"]), (&json!("canceled"), &json!("abandoned")));
}

#[test]
fn a_subscription_reminds_renews_and_ends_with_a_word_each() {
    let told = Told::open(&[
        "subscription.renewed",
        "subscription.past_due",
        "subscription.canceled",
        "subscription.renewal_upcoming",
    ]);
    let shop = &told.shop;
    shop.customer("ada", VISA);
    let end = told.subscribe();
    let before: jiff::Timestamp = end.parse().unwrap();
    shop.pass_to(&(before - jiff::SignedDuration::from_hours(73)).to_string());
    shop.pass(3600);
    let said = told.expect(&["subscription.renewal_upcoming"]);
    assert_eq!((&said[0]["renews_at"], &said[0]["total"]["amount"]), (&json!(end), &json!(2178)));
    shop.pass_to(&end);
    let said = told.expect(&["subscription.renewal_upcoming", "subscription.renewed"]);
    assert_eq!(said[1]["plan"], "Monthly");
    let next = told.subscription()["period_end"].as_str().unwrap().to_owned();
    let canceled = shop.server.post("/v1/accounts/ada/subscription/cancel", "", &json!({}));
    assert_eq!(canceled.status, 201, "{}", canceled.text);
    // Nobody is reminded of what will not renew.
    shop.pass_to(&next);
    told.expect(&["subscription.renewal_upcoming", "subscription.renewed", "subscription.canceled"]);
}

/// Days before, as the configuration says; 0 for never.
#[test]
fn a_renewal_is_told_of_as_long_before_as_the_configuration_says() {
    for days in [0, 10] {
        let told = Told::open(&["subscription.renewed", "subscription.renewal_upcoming"]);
        let config = format!("renewal_reminder_days = {days}\n{}", crate::money_shop::SELLER);
        let told = Told { shop: told.shop.sold_to(&config), ..told };
        told.shop.customer("ada", VISA);
        let end = told.subscribe();
        let before: jiff::Timestamp = end.parse().unwrap();
        let hours = |it: i64| (before - jiff::SignedDuration::from_hours(it)).to_string();
        told.shop.pass_to(&hours(10 * 24 + 1));
        told.expect(&[]);
        told.shop.pass_to(&hours(10 * 24 - 1));
        let reminded = &["subscription.renewal_upcoming"][..usize::from(days == 10)];
        told.expect(reminded);
        told.shop.pass_to(&end);
        told.expect(&[reminded, &["subscription.renewed"]].concat());
    }
}

#[test]
fn a_renewal_that_is_not_paid_is_told_of_when_it_is_late_and_when_it_is_over() {
    let told = Told::open(&["payment.failed", "subscription.past_due", "subscription.canceled"]);
    let shop = &told.shop;
    shop.customer("ada", VISA);
    let end = told.subscribe();
    shop.save_card("ada", DECLINES);
    let cards = shop.server.get("/v1/accounts/ada/payment-methods").json()["data"].clone();
    let path = |last4: &str| {
        let card = cards.as_array().unwrap().iter().find(|it| it["last4"] == last4).unwrap();
        format!("/v1/accounts/ada/payment-methods/{}", card["id"].as_str().unwrap())
    };
    assert_eq!(shop.server.post(&format!("{}/default", path("0341")), "", &json!({})).status, 201);
    assert_eq!(shop.server.delete(&path("4242")).status, 204);
    shop.pass_to(&end);
    let mut expected = vec!["payment.failed", "subscription.past_due"];
    let said = told.expect(&expected);
    let first = said[1]["next_try_at"].clone();
    assert_eq!(told.subscription()["next_try_at"], first);
    // A card that is made the default is tried at once; declined, it costs none of the tries that are planned.
    assert_eq!(shop.server.post(&format!("{}/default", path("0341")), "", &json!({})).status, 201);
    expected.push("payment.failed");
    told.expect(&expected);
    assert_eq!(told.subscription()["next_try_at"], first);
    for _ in 0..4 {
        shop.pass_to(told.subscription()["next_try_at"].as_str().unwrap());
        expected.push("payment.failed");
        if expected.len() == 7 {
            expected.push("subscription.canceled");
        }
        told.expect(&expected);
    }
    assert_eq!(told.subscription()["state"], "canceled");
}

#[test]
fn a_card_that_will_expire_is_told_of_a_month_and_a_week_before() {
    let told = Told::open(&["payment_method.expiring"]);
    let shop = &told.shop;
    shop.customer("ada", VISA);
    let method = shop.provider_cards()[0].clone();
    let now = shop.now();
    let soon = now + jiff::SignedDuration::from_hours(24 * 70);
    let soon = soon.to_zoned(jiff::tz::TimeZone::UTC).date();
    let date = json!({"exp_month": soon.month(), "exp_year": soon.year()});
    shop.control("POST", &format!("cards/{method}"), &date);
    shop.settle();
    let end = soon.last_of_month().tomorrow().unwrap().to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp();
    for (days, count) in [(30, 1), (7, 2)] {
        shop.pass_to(&(end - jiff::SignedDuration::from_hours(24 * days)).to_string());
        let said = told.expect(&vec!["payment_method.expiring"; count]);
        assert_eq!((&said[0]["days_left"], &said[0]["card"]["last4"]), (&json!(days), &json!("4242")));
    }
    shop.pass(8 * DAY);
    told.expect(&["payment_method.expiring"; 2]);
}
