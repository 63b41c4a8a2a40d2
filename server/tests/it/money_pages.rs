//! The pages one pays on, and comes back to: whose payment is shown, and what is said of it.
use serde_json::{Value, json};

use crate::money_shop::{BACK, Shop};
use crate::pages::{mark_of, visit};
use crate::served::Reply;

const VISA: &str = "4242424242424242";
const DECLINES: &str = "4000000000000341";
const WANTS_PROOF: &str = "4000002760003184";

/// What a field of a form holds.
fn value<'a>(page: &'a str, name: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\"")).expect(name);
    rest.split('"').next().unwrap()
}

/// The address a page leads on to.
fn leads_to(page: &str) -> String {
    let (_, rest) = page.split_once("<a class=\"button\" href=\"").expect("it leads on");
    rest.split('"').next().unwrap().replace("&#38;", "&")
}

struct Customer<'a> {
    shop: &'a Shop,
    cookie: String,
}

impl Customer<'_> {
    fn of(shop: &Shop) -> Customer<'_> {
        Customer { shop, cookie: visit(&shop.server, "ada", "owner") }
    }
    fn look(&self, path: &str) -> Reply {
        self.shop.server.browse(path.strip_prefix(&self.shop.server.url).unwrap_or(path), &self.cookie)
    }
    fn billing(&self, query: &str) -> String {
        self.look(&format!("/settings/billing{query}")).text
    }
    /// Chooses something, and agrees to what it costs.
    fn buy(&self, chosen: &str) -> Reply {
        let asked = self.look(&format!("/settings/billing/buy?{chosen}")).text;
        let (key, total) = (value(&asked, "key"), value(&asked, "total"));
        let form = format!("mark={}&key={key}&total={total}&{chosen}", mark_of(&asked));
        self.shop.server.submit("/settings/billing/buy", &self.cookie, &form)
    }
    /// Comes back to an address that the provider or the bank led to: the page at which that ends.
    fn come_back(&self, to: &str) -> (String, String) {
        let led = self.look(to);
        let path = led.header("location").unwrap_or_else(|| panic!("{to}: {}", led.text)).to_owned();
        let page = self.look(&path).text;
        (path, page)
    }
}

/// No notice comes at all: the provider is asked.
#[test]
fn of_two_open_payments_the_one_that_was_paid_is_shown() {
    let shop = Shop::deaf();
    shop.server.account("ada");
    let ada = Customer::of(&shop);
    let [builder, _] = ["builder", "starter"].map(|it| leads_to(&ada.buy(&format!("package={it}")).text));
    let back = shop.type_card(&builder, VISA).unwrap();
    let (_, page) = ada.come_back(&back);
    assert!(page.contains("Credits added") && page.contains("(Builder)") && page.contains("€60.50"), "{page}");
    assert_eq!(shop.totals().0, 6050);
    let (path, _) = ada.come_back("/settings/billing/returned");
    assert_eq!(path, "/settings/billing");
    shop.server.account("bob");
    let other = Customer { shop: &shop, cookie: visit(&shop.server, "bob", "owner") };
    assert_eq!(other.come_back(&back).0, "/settings/billing", "what is another's leads nowhere");
}

#[test]
fn who_comes_back_from_the_bank_is_not_asked_again_and_carries_no_secret() {
    let shop = Shop::deaf();
    shop.server.account("ada");
    shop.listen();
    let card = shop.card_of("ada", WANTS_PROOF);
    shop.control("POST", "webhook", &json!({}));
    let ada = Customer::of(&shop);
    let ordered = ada.buy(&format!("package=builder&method={card}"));
    let path = ordered.header("location").unwrap().to_owned();
    let waits = ada.look(&path).text;
    assert!(waits.contains("Confirm with the bank"), "{waits}");
    let form = format!("mark={}", mark_of(&waits));
    let bank = leads_to(&shop.server.submit(&format!("{path}/confirm"), &ada.cookie, &form).text);
    let back = shop.prove(&bank, "complete").unwrap();
    assert!(back.contains("client_secret") && back.contains("redirect_status=succeeded"), "{back}");
    let (led, page) = ada.come_back(&back);
    assert_eq!(led, path);
    assert!(page.contains("Credits added") && !page.contains("Confirm with the bank"), "{page}");
}

#[test]
fn a_card_that_was_declined_says_why_and_another_is_a_click_away() {
    let shop = Shop::open();
    shop.server.account("ada");
    let ada = Customer::of(&shop);
    let page = leads_to(&ada.buy("package=builder").text);
    shop.type_card(&page, DECLINES).unwrap_err();
    let id = shop.payments("ada")[0]["id"].as_str().unwrap().to_owned();
    let (_, back) = ada.come_back(&format!("/settings/billing/returned?payment={id}"));
    for says in ["The bank declined the payment.", "Continue to the payment page"] {
        assert!(back.contains(says), "{says}: {back}");
    }
    assert!(!back.contains("If you have paid"), "{back}");
    // With a saved card it is over, and is bought anew.
    let card = shop.card_of("ada", DECLINES);
    for (key, goods, again, asks) in [
        // The payment page of the first one is open still.
        ("a", json!({"package": "builder"}), "/settings/billing/buy?method=hosted&#38;package=builder", "Buy again?"),
        ("b", json!({"credits": "2500.5"}), "/settings/billing/buy?credits=2500.5&#38;method=hosted", "Go on and pay"),
    ] {
        let mut order = goods.clone();
        order["payment_method"] = json!(card);
        let failed = shop.buy("ada", key, &order).json();
        assert_eq!(failed["status"], "failed", "{failed}");
        let page = ada.look(&format!("/settings/billing/payments/{}", failed["id"].as_str().unwrap())).text;
        assert!(page.contains(&format!("<a class=\"button\" href=\"{again}\">Try another card</a>")), "{page}");
        assert!(ada.look(&again.replace("&#38;", "&")).text.contains(asks), "{again}");
    }
}

#[test]
fn credits_that_are_missing_are_filled_in_also_where_no_package_is_enough() {
    let shop = Shop::open();
    shop.server.account("ada");
    let ada = Customer::of(&shop);
    for (needed, says, chosen) in [
        ("1501", "1,501 credits are needed.", "value=\"builder\" checked"),
        ("500000", "500,000 credits are needed.", "value=\"custom\" checked"),
        ("500000.000001", "500,001 credits are needed.", "value=\"500,001\""),
    ] {
        let page = ada.billing(&format!("?needed={needed}"));
        assert!(page.contains(says) && page.contains(chosen), "{needed}: {page}");
        let chosen = page.lines().filter(|it| it.contains("name=\"package\"") && it.contains(" checked"));
        assert_eq!(chosen.count(), 1, "{page}");
    }
    for nothing in ["", "?needed=0", "?needed=x"] {
        let page = ada.billing(nothing);
        assert!(!page.contains("are needed") && page.contains("value=\"starter\" checked"), "{nothing}: {page}");
    }
    assert!(ada.buy("package=custom&credits=500,000").text.contains("To the payment page"));
}

#[test]
fn what_credits_buy_of_a_server_begins_with_its_set_up() {
    let shop = Shop::open();
    shop.server.account("ada");
    // (1,000 − 300) / 96 a day.
    let page = Customer::of(&shop).billing("");
    assert!(page.contains("<li>7 days, with its set-up, of a new entry-level server</li>"), "{page}");
}

/// A yen buys a hundred credits here: by the thousand all offers would read alike.
#[test]
fn offers_are_told_apart_in_every_currency() {
    let shop = Shop::open();
    for (account, currency, said) in [
        ("ada", "eur", ["1,000 credits cost €10.00 at list price", "≈ €9.26 for 1,000", "≈ €9.09 for 1,000"]),
        ("yen", "jpy", ["100,000 credits cost ¥1,000 at list price", "≈ ¥926 for 100,000", "≈ ¥909 for 100,000"]),
    ] {
        assert_eq!(shop.server.put(&format!("/v1/accounts/{account}"), &json!({"currency": currency})).status, 201);
        let page = shop.server.browse("/settings/billing", &visit(&shop.server, account, "owner")).text;
        for said in said {
            assert!(page.contains(said), "{said}: {page}");
        }
    }
}

/// Of one amount every page says the same.
#[test]
fn credits_that_came_in_are_rounded_alike_everywhere() {
    let shop = Shop::open();
    let card = shop.customer("ada", VISA);
    let order: Value = json!({"credits": "7999.937905", "payment_method": card, "return_url": BACK});
    let bought = shop.buy("ada", "k", &order).json();
    let ada = Customer::of(&shop);
    let paid = ada.look(&format!("/settings/billing/payments/{}", bought["id"].as_str().unwrap())).text;
    assert!(paid.contains("7,999.94 credits were added"), "{paid}");
    for path in ["/settings/billing", "/settings/activity"] {
        let page = ada.look(path).text;
        assert!(page.contains("7,999.94"), "{path}: {page}");
    }
}
