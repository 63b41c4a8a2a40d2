//! What was agreed to, where the world changes under it: a tax that rises or falls, a plan that another tab cancelled.
use serde_json::{Value, json};

use crate::money_back::{bought, refund};
use crate::money_shop::Shop;
use crate::money_topups::{rule, set, wait_for_payments};
use crate::pages::{mark_of, visit};
use crate::served::Reply;

const VISA: &str = "4242424242424242";
const REVIEW: &str = "/settings/billing/auto-topup/review";

struct Customer<'a> {
    shop: &'a Shop,
    cookie: String,
}

impl Customer<'_> {
    fn of(shop: &Shop) -> Customer<'_> {
        Customer { shop, cookie: visit(&shop.server, "ada", "owner") }
    }
    fn look(&self, path: &str) -> String {
        self.shop.server.browse(path, &self.cookie).text
    }
    /// Sends what a page's form says.
    fn send(&self, path: &str, page: &str, fields: &[&str], said: &str) -> Reply {
        let hidden = |name: &&str| {
            let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).expect(name);
            format!("&{name}={}", rest.split('"').next().unwrap())
        };
        let form = format!("mark={}{}{said}", mark_of(page), fields.iter().map(hidden).collect::<String>());
        self.shop.server.submit(&format!("/settings/billing/{path}"), &self.cookie, &form)
    }
    fn is_known_as(&self, profile: &Value) {
        assert_eq!(self.shop.server.put("/v1/accounts/ada", profile).status, 200);
    }
}

#[track_caller]
fn says(page: &str, said: &[&str]) {
    for it in said {
        assert!(page.contains(it), "{it}: {page}");
    }
}

/// Whoever moves to where taxes are higher is asked at once, and not when the credits have run low.
#[test]
fn a_rule_that_costs_more_than_was_agreed_to_says_so_and_is_agreed_to_anew() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    set(&shop, &rule(200, 1000));
    let ada = Customer::of(&shop);
    let before = ada.look("/settings/billing");
    says(&before, &["Visa ••4242 is charged €12.10 (tax included) for 1,000.00 credits"]);
    let saved = ada.send("details", &before, &[], "&name=Ada&country=HU");
    let (path, _) = saved.header("location").unwrap().split_once('#').unwrap();
    let dearer = "1,000 credits cost €12.70 (tax included) now, which is more than the €12.10 you agreed to.";
    let link = format!("<a href=\"{REVIEW}\">See the new price</a>");
    says(&ada.look(path), &["Auto-topup needs you to agree again.", dearer, &link]);
    let page = ada.look("/settings/billing");
    says(&page, &[dearer, &link, "<span class=\"badge warn\">waits for you</span>"]);
    assert!(!page.contains("needs you to agree again") && !page.contains("Next: when"), "{page}");
    says(&ada.look("/settings/usage"), &["Auto-topup will buy nothing.", dearer, REVIEW]);
    let asked = ada.look(REVIEW);
    says(&asked, &["Change auto-topup?", "is charged €12.70 (tax included) for 1,000", "Agree and change"]);

    // Nobody agreed, and it is due: nothing is charged, and what would have been is what was agreed to.
    assert_eq!(shop.spend("ada", "a", 350).status, 201);
    wait_for_payments(&shop, 1, "failed");
    let failed = &shop.payments("ada")[0];
    let amounts = ["net", "tax", "total"].map(|it| failed[it]["amount"].clone());
    assert_eq!(amounts, [json!(1000), json!(210), json!(1210)], "{failed}");
    let page = ada.look("/settings/billing");
    says(&page, &["<span class=\"badge bad\">paused</span>", dearer, &link]);
    assert!(!page.contains("Choose another default card"), "{page}");
    let usage = ada.look("/settings/usage");
    says(&usage, &["Auto-topup is paused.", dearer]);
    assert!(!usage.contains("when below"), "{usage}");

    let asked = ada.look(REVIEW);
    let agreed = ada.send("auto-topup", &asked, &["threshold", "credits", "total", "do"], "");
    assert_eq!(agreed.status, 303, "{}", agreed.text);
    assert!(!ada.look("/settings/billing").contains(dearer));
    shop.pass(3_700);
    wait_for_payments(&shop, 2, "succeeded");
    assert_eq!(shop.totals().0, 1270);
}

/// What is counted is what was charged, which a tax that has fallen makes less than what was agreed to.
#[test]
fn a_rule_that_costs_less_than_was_agreed_to_counts_and_says_what_it_charges() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    let ada = Customer::of(&shop);
    ada.is_known_as(&json!({"address": {"country": "HU"}}));
    let mut limited = rule(200, 1000);
    limited["monthly_maximum"] = json!({"amount": 3000, "currency": "eur"});
    assert_eq!(set(&shop, &limited)["price"]["amount"], 1270);
    ada.is_known_as(&json!({"address": {"country": "DE"}, "tax_id": "DE136695976"}));
    let sentence = "is charged €10.00 (no VAT: reverse charge) for 1,000.00 credits, and at most €30.00 a month.";
    says(&ada.look("/settings/billing"), &[sentence, "You agreed to up to €12.70."]);
    let shown = || shop.server.get("/v1/accounts/ada/auto-topup").json();
    for (count, key, credits) in [(1, "a", 350), (2, "b", 1000)] {
        assert_eq!(shop.spend("ada", key, credits).status, 201);
        wait_for_payments(&shop, count, "succeeded");
        let charged = 1000 * i64::try_from(count).unwrap();
        assert_eq!((shop.totals().0, &shown()["spent_this_month"]["amount"]), (charged, &json!(charged)));
    }
    says(&ada.look("/settings/billing"), &["€20.00 of at most €30.00 this month so far."]);
    // A third might be charged what was agreed to, and that is more than is left of the maximum.
    assert_eq!(shop.spend("ada", "c", 1000).status, 201);
    assert!(shown()["waits_until"].is_string(), "{}", shown());
    assert_eq!(shop.payments("ada").len(), 2);
}

/// A click on a page that was opened before a cancellation does not take it back unasked.
#[test]
fn a_plan_that_was_cancelled_since_the_page_was_opened_is_asked_about_anew() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    let begun = shop.server.post("/v1/accounts/ada/subscription", "s", &json!({"plan": "monthly"}));
    assert_eq!(begun.status, 201, "{}", begun.text);
    let ends = || shop.server.get("/v1/accounts/ada/subscription").json()["cancel_at_period_end"].clone();
    let ada = Customer::of(&shop);
    let fields = ["plan", "key", "total"];
    for plan in ["yearly", "monthly-plus"] {
        shop.server.post("/v1/accounts/ada/subscription/resume", "", &json!({}));
        let opened = ada.look(&format!("/settings/billing/subscription?plan={plan}"));
        assert!(!opened.contains("You cancelled"), "{opened}");
        let cancelled = shop.server.post("/v1/accounts/ada/subscription/cancel", "", &json!({}));
        assert_eq!(cancelled.status, 201, "{}", cancelled.text);
        let asked = ada.send("subscription", &opened, &fields, "");
        assert_eq!((asked.status, ends()), (200, json!(true)), "{}", asked.text);
        says(&asked.text, &["You cancelled your subscription. This takes that back"]);
        let done = ada.send("subscription", &asked.text, &[&fields[..], &["cancelled"]].concat(), "");
        assert_eq!((done.status, ends()), (303, json!(false)), "{}", done.text);
    }
}

#[test]
fn why_money_went_back_is_read_by_whose_it_is() {
    let shop = Shop::open();
    let id = bought(&shop, VISA);
    let ada = Customer::of(&shop);
    let path = format!("/settings/billing/payments/{id}");
    assert!(!ada.look(&path).contains("Why:"));
    assert_eq!(refund(&shop, &id, "r", json!({"credits": 100})).status, 201);
    says(&ada.look(&path), &["Why: “Bought too many”"]);
    says(&ada.look("/settings/activity"), &["<p class=\"reason\">Bought too many</p>"]);
}

/// Who reads two dates counts the days between them.
#[test]
fn the_days_between_the_end_of_the_credits_and_the_renewal_are_those_of_the_calendar() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    shop.server.post("/v1/accounts/ada/subscription", "s", &json!({"plan": "monthly"}));
    assert_eq!(shop.spend("ada", "a", 1000).status, 201);
    let page = Customer::of(&shop).look("/settings/billing");
    let date = |text: &str| jiff::civil::Date::strptime("%d %b %Y", text).unwrap();
    let between = |before: &str, after: &str| -> String {
        let (_, rest) = page.split_once(before).unwrap_or_else(|| panic!("{before}: {page}"));
        rest.split_once(after).unwrap().0.to_owned()
    };
    let renews = date(&between("€21.78 on ", ", from"));
    let said = between("your credits last until ", " before it renews");
    let (until, days) = said.split_once(": ").unwrap();
    let count = date(until).until(renews).unwrap().get_days();
    assert_eq!(days, format!("{count} day{}", if count == 1 { "" } else { "s" }));
}

#[test]
fn a_price_without_tax_does_not_say_that_tax_is_in_it() {
    let shop = Shop::open();
    shop.customer("ada", VISA);
    let ada = Customer::of(&shop);
    ada.is_known_as(&json!({"address": {"country": "DE"}, "tax_id": "DE136695976"}));
    shop.server.post("/v1/accounts/ada/subscription", "s", &json!({"plan": "monthly"}));
    let change: Value = json!({"plan": "yearly"});
    assert_eq!(shop.server.post("/v1/accounts/ada/subscription/change", "c", &change).status, 201);
    let page = ada.look("/settings/billing");
    says(&page, &["for €240.00 (no VAT: reverse charge), from Visa ••4242."]);
    assert!(!page.contains("tax included"), "{page}");
    says(&ada.look("/settings/billing/buy?package=custom&credits=1000"), &["VAT (reverse charge)"]);
}
