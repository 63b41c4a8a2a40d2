//! What the pages say of money is what will happen: to cards, to what renews, to what is owed, disputed or closed.
use serde_json::json;

use crate::console::Operator;
use crate::money_back::{at_provider, bought, lose, refund};
use crate::money_shop::Shop;
use crate::money_topups::{rule, set};
use crate::pages::{mark_of, visit};
use crate::served::{Reply, Served, chat};

const VISA: &str = "4242424242424242";
const OTHER: &str = "4000000000000341";
const BILLING: &str = "/settings/billing";

/// Somebody at the pages of ada's account.
struct Customer<'a> {
    server: &'a Served,
    cookie: String,
}

impl Customer<'_> {
    fn of(server: &Served) -> Customer<'_> {
        Customer { server, cookie: visit(server, "ada", "owner") }
    }
    fn page(&self, path: &str) -> String {
        let page = self.server.browse(path, &self.cookie);
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        page.text
    }
    fn send(&self, path: &str, said: &str) -> Reply {
        let page = self.page("/settings/usage");
        self.server.submit(path, &self.cookie, &format!("mark={}&{said}", mark_of(&page)))
    }
    /// Sends a form, and follows where it leads: there it is said what was done, and there the focus is.
    fn does(&self, path: &str, said: &str, says: &str) {
        let done = self.send(&format!("{BILLING}/{path}"), said);
        assert_eq!(done.status, 303, "{path}: {}", done.text);
        let (page, place) = done.header("location").unwrap().split_once('#').unwrap();
        let page = self.page(page);
        let status = format!("role=\"status\" id=\"{place}\" tabindex=\"-1\">{says}");
        assert!(page.contains(&status), "{status}: {page}");
    }
}

/// Ada with a plan that renews and an auto-topup, both charged to her default card.
fn charged_by_itself() -> (Shop, String) {
    let shop = Shop::open();
    let card = shop.customer("ada", VISA);
    let reply = shop.server.post("/v1/accounts/ada/subscription", "s", &json!({"plan": "monthly"}));
    assert_eq!(reply.status, 201, "{}", reply.text);
    set(&shop, &rule(200, 1000));
    (shop, card)
}

#[test]
fn credits_that_last_for_very_long_are_used_all_the_same() {
    let server = Served::start();
    server.account("ada");
    let customer = Customer::of(&server);
    assert!(customer.page("/settings/usage").contains("Nothing was used in the last 7 days."));
    assert_eq!(server.charge(&chat("ada", "m", 80)).status, 201);
    let page = customer.page("/settings/usage");
    assert!(page.contains("More than 10 years") && page.contains("at 0.01 credits a day"), "{page}");
    assert!(!page.contains("Nothing was used"), "{page}");
}

#[test]
fn removing_a_card_says_which_one_is_charged_instead_or_that_it_is_the_only_one() {
    let (shop, card) = charged_by_itself();
    shop.save_card("ada", OTHER);
    let customer = Customer::of(&shop.server);
    let remove = format!("{BILLING}/cards/remove?card=");
    let review = customer.page(&format!("{remove}{card}"));
    let says = "From now on Monthly and auto-topup are charged to Visa ••0341.";
    assert!(review.contains(says), "{review}");
    let cards = shop.server.get("/v1/accounts/ada/payment-methods").json()["data"].clone();
    let other = cards.as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).find(|it| **it != *card).unwrap();
    let review = customer.page(&format!("{remove}{other}"));
    assert!(!review.contains("From now on"), "nothing is charged to it: {review}");

    assert_eq!(shop.server.delete(&format!("/v1/accounts/ada/payment-methods/{card}")).status, 204);
    let refused = shop.server.browse(&format!("{remove}{other}"), &customer.cookie);
    assert_eq!(refused.status, 422, "refused before it is asked");
    for said in [
        "It is the only card for the subscription and the auto-topup",
        "<a href=\"#auto-topup\">Turn off auto-topup</a>",
        "<a href=\"/settings/billing/subscription/end\">Cancel the subscription</a>",
    ] {
        assert!(refused.text.contains(said), "{said}: {}", refused.text);
    }
}

#[test]
fn a_closed_account_says_so_on_every_page_and_promises_nothing() {
    let (shop, _) = charged_by_itself();
    let customer = Customer::of(&shop.server);
    assert!(customer.page("/settings/usage").contains("Next renewal"));
    let operator = Operator::of(&shop.server);
    let ends = ["subscription Monthly ends with it", "auto-topup ends with it"];
    operator.did("/console/accounts/ada/close", &[], &ends);
    for path in ["/settings/usage", "/settings/activity", "/settings/estimate", BILLING] {
        let page = customer.page(path);
        assert!(page.contains("This account was closed on"), "{path}: {page}");
        for promise in ["Next renewal", "when below", "id=\"buy\"", "id=\"subscription\"", "Purchase credits</a>"] {
            assert!(!page.contains(promise), "{path} has {promise}: {page}");
        }
    }
    for path in ["buy?package=custom&credits=1000", "subscription?plan=yearly"] {
        let refused = shop.server.browse(&format!("{BILLING}/{path}"), &customer.cookie);
        assert!(refused.status == 409 && refused.text.contains("This account is closed"), "{path}: {}", refused.text);
    }
    let shown = operator.look("/console/accounts/ada");
    assert_eq!(shown.matches("ended with the account").count(), 2, "{shown}");
}

#[test]
fn what_is_owed_is_said_before_and_after_it_is_paid_back() {
    let shop = Shop::open();
    bought(&shop, VISA);
    assert_eq!(shop.spend("ada", "some", 600).status, 201);
    lose(&shop, None);
    let customer = Customer::of(&shop.server);
    let page = customer.page(BILLING);
    assert!(page.contains("<b>600.00 credits are owed.</b>"), "{page}");
    let review = customer.page(&format!("{BILLING}/buy?package=custom&credits=1000"));
    let says = "600.00 of them pay back what is owed; 400.00 remain.";
    assert!(review.contains(says), "{review}");
    let card = shop.server.get("/v1/accounts/ada/payment-methods").json()["data"][0]["id"].clone();
    let again = shop.buy("ada", "again", &json!({"credits": 1000, "payment_method": card})).json();
    shop.settle();
    let receipt = customer.page(&format!("{BILLING}/payments/{}", again["id"].as_str().unwrap()));
    let says = "1,000.00 credits were added to your account. 600.00 of them paid back what was owed; 400.00 remain.";
    assert!(receipt.contains(says), "{receipt}");
    assert!(!customer.page(BILLING).contains("are owed"));
}

#[test]
fn disputed_credits_stand_apart_and_what_became_of_them_is_said() {
    let shop = Shop::open();
    bought(&shop, VISA);
    let customer = Customer::of(&shop.server);
    let dispute = shop.control("POST", "disputes", &json!({"payment": at_provider(&shop)}));
    shop.settle();
    let page = customer.page("/settings/usage");
    for said in ["A payment is disputed.", "1,000.00 credits that it paid for are frozen", "<dt>Frozen</dt>"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert!(!page.contains("<span class=\"name\">Purchased</span>"), "not among what is available: {page}");
    let close = format!("disputes/{}/close", dispute["id"].as_str().unwrap());
    shop.control("POST", &close, &json!({"outcome": "lost"}));
    shop.settle();
    let page = customer.page("/settings/activity");
    for said in ["the bank gave their money back", "The dispute was decided: credits are frozen no longer"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert!(!page.contains("Purchased credits paid back"), "{page}");
}

#[test]
fn more_than_can_be_refunded_is_answered_with_the_most_that_can() {
    let shop = Shop::open();
    let id = bought(&shop, VISA);
    assert_eq!(shop.spend("ada", "some", 150).status, 201);
    for body in [json!({"amount": 7000}), json!({"credits": 900})] {
        let refused = refund(&shop, &id, "r", body);
        assert_eq!(refused.problem().1, "refund_exceeds_unused", "{}", refused.text);
        let most = json!({"amount": 1028, "currency": "eur"});
        assert_eq!((&refused.json()["left"], &refused.json()["at_most"]), (&json!("850"), &most));
    }
    let most = refund(&shop, &id, "most", json!({"amount": 1028}));
    assert_eq!(most.status, 201, "{}", most.text);
}

#[test]
fn what_was_done_on_the_billing_page_is_said_and_can_be_seen_at_the_console() {
    let (shop, card) = charged_by_itself();
    shop.save_card("ada", OTHER);
    let customer = Customer::of(&shop.server);
    let cards = shop.server.get("/v1/accounts/ada/payment-methods").json()["data"].clone();
    let other = cards.as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).find(|it| **it != *card).unwrap();
    assert_eq!(customer.send(&format!("{BILLING}/cards"), "key=new").status, 200, "to the page where it is typed");
    let asked = customer.page(&format!("{BILLING}/buy?package=starter&method=hosted"));
    let carried = |name: &str| {
        let field = asked.split_once(&format!("name=\"{name}\" value=\"")).expect(name).1;
        field.split('"').next().unwrap().to_owned()
    };
    let order = format!("key={}&total={}&package=starter&method=hosted&save=1", carried("key"), carried("total"));
    assert_eq!(customer.send(&format!("{BILLING}/buy"), &order).status, 200);
    let ordered = shop.payments("ada").remove(0)["id"].as_str().unwrap().to_owned();
    for _ in 0..2 {
        assert_eq!(customer.send(&format!("{BILLING}/payments/{ordered}/cancel"), "").status, 303);
    }
    assert_eq!(customer.send("/settings/usage/tips/dismiss", "tip=no_auto_topup").status, 303);
    customer.does("cards/default", &format!("card={other}"), "The default card is set.");
    customer.does("cards/default", &format!("card={card}"), "The default card is set.");
    customer.does("auto-topup", "do=off", "Auto-topup is off.");
    customer.does("subscription/end", "ends=1", "Your subscription is cancelled.");
    let review = customer.page(&format!("{BILLING}/subscription?plan=yearly"));
    assert!(review.contains("You cancelled your subscription. This takes that back"), "{review}");
    customer.does("subscription/end", "ends=0", "Your subscription goes on.");
    customer.does("cards/remove", &format!("card={other}"), "The card is removed.");
    let budget = "budget=all&new=1&period=month&credits=100&action=notify";
    assert_eq!(customer.send("/settings/usage/budget", budget).status, 303);
    let details = customer.send(&format!("{BILLING}/details"), "email=new%40example.com");
    assert_eq!(details.status, 303);

    let operator = Operator::of(&shop.server);
    let shown = operator.look("/console/accounts/ada");
    let log = operator.look("/console/audit?by=portal");
    for action in [
        "payment_method.set_up",
        "payment.order",
        "payment.cancel",
        "tip.dismiss",
        "payment_method.default",
        "auto_topup.put",
        "subscription.cancel",
        "subscription.resume",
        "payment_method.remove",
        "budget.put",
        "account.update",
    ] {
        assert!(shown.contains(action) && log.contains(action), "{action}: {shown}");
    }
    assert!(shown.contains("portal: owner") && !shown.contains("new@example.com</td>"), "{shown}");
    // What was done to a thing of the account's is found by that thing too.
    let of_payment = operator.look(&format!("/console/audit?subject={ordered}"));
    assert_eq!(of_payment.matches("<td class=\"code state\">payment.").count(), 2, "cancelled once: {of_payment}");
    assert!(of_payment.contains("(Starter); the card is saved</td>"), "{of_payment}");
    let (all, asked) = (operator.look("/console/audit"), operator.look("/console/audit?action=portal_session"));
    assert!(!all.contains("portal_session.create</td>") && asked.contains("portal_session.create</td>"), "{all}");
}

#[test]
fn what_an_admin_key_does_for_an_account_is_in_the_audit_log_and_what_another_does_is_not() {
    let mut shop = Shop::open();
    let admin = shop.server.key.clone();
    let backend = shop.server.minted("backend", &["charge", "read", "billing"]);
    for (key, account) in [(&admin, "ada"), (&backend, "bob")] {
        shop.server.key.clone_from(key);
        let card = shop.customer(account, VISA);
        let path = |rest: &str| format!("/v1/accounts/{account}/{rest}");
        assert_eq!(shop.buy(account, "buy", &json!({"credits": 1000, "payment_method": card})).status, 201);
        for (rest, body) in [
            ("subscription", json!({"plan": "monthly"})),
            ("subscription/change", json!({"plan": "monthly-plus"})),
            ("tips/no_auto_topup/dismiss", json!({})),
        ] {
            let reply = shop.server.post(&path(rest), rest, &body);
            assert!(reply.status < 300, "{rest}: {}", reply.text);
        }
        let web = path("servers/web");
        assert_eq!(shop.server.put(&web, &json!({"tier": "entry-level"})).status, 201);
        for _ in 0..2 {
            assert_eq!(shop.server.post(&format!("{web}/start"), "once", &json!({})).status, 200);
        }
        assert_eq!(shop.server.post(&format!("{web}/resize"), "r", &json!({"tier": "business"})).status, 200);
    }
    shop.server.key = admin;
    let operator = Operator::of(&shop.server);
    let of = |account: &str| operator.look(&format!("/console/audit?subject={account}"));
    let (ada, bob) = (of("ada"), of("bob"));
    for (action, detail) in [
        ("payment_method.set_up", ""),
        ("payment.order", "1,000 credits"),
        ("subscription.create", "monthly"),
        ("subscription.change", "monthly-plus"),
        ("tip.dismiss", "no_auto_topup"),
        ("server.order", "web entry-level"),
        ("server.start", "web"),
        ("server.resize", "web business"),
    ] {
        let line = ada.split("<tr>").find(|it| it.contains(&format!(">{action}</td>")));
        assert!(line.is_some_and(|it| it.contains(detail)), "{action}: {ada}");
        assert_eq!(ada.matches(&format!(">{action}</td>")).count(), 1, "{action}: {ada}");
        assert!(!bob.contains(action), "{action}: {bob}");
    }
}
