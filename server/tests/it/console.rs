//! The operators' console without a browser: what it does, that it asks first, does it once and writes it down.
use billing::id::{PaymentId, Place};
use billing::time::{Span, Timestamp};
use serde_json::{Value, json};
use store::{Change, Document};

use crate::money_shop::Shop;
use crate::pages::mark_of;
use crate::served::{Reply, Served, chat, store_of};

/// An operator who is signed in.
pub struct Operator<'a> {
    server: &'a Served,
    cookie: String,
    mark: String,
}

impl<'a> Operator<'a> {
    pub fn of(server: &'a Served) -> Operator<'a> {
        let entered = server.submit("/console/sign-in", "", &format!("key={}", server.key));
        let cookie = entered.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let mark = mark_of(&server.browse("/console", &cookie).text).to_owned();
        Operator { server, cookie, mark }
    }
    pub fn look(&self, path: &str) -> String {
        let page = self.server.browse(path, &self.cookie);
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        page.text
    }
    fn send(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let fields = fields.iter().copied().chain([("mark", &*self.mark)]);
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.server.submit(path, &self.cookie, &form)
    }
    /// Sends a form, reads what it would do, and presses the button twice.
    fn act(&self, path: &str, fields: &[(&str, &str)], says: &[&str]) -> Reply {
        let asked = self.send(path, fields);
        assert_eq!(asked.status, 200, "{path}: {}", asked.text);
        for it in says {
            assert!(asked.text.contains(it), "{it}: {}", asked.text);
        }
        // As a browser does: what the question's form carries goes with the answer.
        let form = asked.text.split_once("class=\"fields").unwrap().1;
        let carried = form.split("type=\"hidden\" name=\"").skip(1).filter_map(|it| {
            let (name, rest) = it.split_once("\" value=\"")?;
            Some((name, rest.split('"').next()?))
        });
        let added = carried.filter(|it| it.0 != "mark" && fields.iter().all(|field| field.0 != it.0));
        let sure: Vec<_> = fields.iter().copied().chain(added).chain([("sure", "1")]).collect();
        let first = self.send(path, &sure);
        let second = self.send(path, &sure);
        assert_eq!((second.status, second.header("location")), (first.status, first.header("location")));
        first
    }
    pub fn did(&self, path: &str, fields: &[(&str, &str)], says: &[&str]) {
        let done = self.act(path, fields, says);
        assert_eq!(done.status, 303, "{path}: {}", done.text);
        assert!(self.look(done.header("location").unwrap()).contains("role=\"status\""), "it says that it was done");
    }
    /// Lines of the audit log that say this action.
    pub fn noted(&self, action: &str) -> usize {
        self.look(&format!("/console/audit?action={action}")).matches("<tr><td class=\"soft when\">").count()
    }
}

#[test]
fn only_an_admin_key_opens_it_and_only_its_own_pages_may_change_anything() {
    let mut server = Served::start();
    server.account("ada");
    let weak = server.minted("reader", &["read"]);
    assert_eq!(server.submit("/console/sign-in", "", &format!("key={weak}")).status, 401);
    assert_eq!(server.browse("/console", "").header("location"), Some("/console/sign-in"));
    let operator = Operator::of(&server);
    for path in [
        "accounts/ada/grant",
        "accounts/ada/void",
        "accounts/ada/release",
        "accounts/ada/note",
        "accounts/ada/close",
        "accounts/ada/look",
        "charges/charge_0t45zs3650pseqcgw4r0000003",
        "payments/payment_0t45zs3650pseqcgw4r0000003",
        "prices",
        "offers/package",
        "offers/plan",
        "offers/withdraw",
        "webhooks",
        "webhooks/endpoint_0t45zsmn4g0000000019nan8j5",
        "keys",
        "keys/rotate",
        "keys/revoke",
        "sign-out",
    ] {
        let path = format!("/console/{path}");
        assert_eq!(server.submit(&path, &operator.cookie, "mark=x&sure=1&key=k").status, 403, "{path}");
        assert_eq!(server.submit(&path, "", "").header("location"), Some("/console/sign-in"), "{path}");
    }
    let looked = operator.send("/console/accounts/ada/look", &[]);
    assert!(looked.header("location").unwrap().starts_with("/portal?link="));
    assert_eq!(operator.noted("portal.look"), 1);
    operator.send("/console/sign-out", &[]);
    assert_eq!(server.browse("/console", &operator.cookie).header("location"), Some("/console/sign-in"));
    let key = server.key.clone();
    server.as_key(&key, |it| assert_eq!(it.available("ada"), "600"));
}

#[test]
fn credits_that_cannot_be_given_leave_the_form_as_it_was_filled_in() {
    let server = Served::start();
    server.account("ada");
    let operator = Operator::of(&server);
    let form = |days| [("credits", "25"), ("source", "adjustment"), ("days", days), ("reason", "Sorry <3")];
    for days in ["99999", "36501", "0", "soon"] {
        let refused = operator.send("/console/accounts/ada/grant", &form(days));
        assert_eq!(refused.status, 422, "{days}");
        let page = &refused.text;
        assert!(page.contains("The days until they expire must be a whole number from 1 to 36,500"), "{days}: {page}");
        let days = format!("value=\"{days}\"");
        for kept in ["value=\"25\"", "<option selected>adjustment", &days, "value=\"Sorry &#60;3\""] {
            assert!(page.contains(kept), "{kept}: {page}");
        }
    }
    operator.did("/console/accounts/ada/grant", &form("36500"), &["given 25.00 credits, as adjustment"]);
    assert_eq!(server.available("ada"), "625");
    let unknown = server.browse("/console/accounts/nobody", &operator.cookie);
    assert_eq!(unknown.status, 404);
    assert!(unknown.text.contains("<h1>No such account</h1>") && unknown.text.contains("Back to the console"));
    assert!(!unknown.text.contains("PUT /v1"), "{}", unknown.text);
}

/// One rule for two places, wherever the same amount is shown.
#[test]
fn one_amount_is_the_same_on_every_page() {
    let server = Served::start();
    server.account("ada");
    let hold = json!({"account": "ada", "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"},
        "credits": "1.225", "expires_in_seconds": 600, "idempotency_key": "h"});
    assert_eq!(server.post("/v1/holds", "", &hold).status, 201);
    let give = json!({"credits": "0.777843", "source": "promo", "reason": "A part"});
    assert_eq!(server.post("/v1/accounts/ada/grants", "g", &give).status, 201);
    let operator = Operator::of(&server);
    let page = operator.look("/console/accounts/ada");
    assert!(page.contains("<dt>Set aside</dt><dd><b>1.22</b>") && page.contains("<td class=\"n\">1.22</td>"), "{page}");
    assert!(
        page.contains("<dt>Posted</dt><dd><b>600.77</b>") && page.contains("<p class=\"big\">599.55</p>"),
        "{page}"
    );
    let reports = operator.look("/console/reports");
    let has = "less what they owe</th><td class=\"n\">600.77</td>";
    assert!(reports.contains(has) && reports.contains("; 600.77 credits in all"), "{reports}");
    assert!(reports.contains("class=\"code\">held</th><td class=\"n\">+1.22</td>"), "{reports}");
}

/// The provider's events of a kind that say, or do not say, which currency they are about.
fn spoil(shop: &Shop, kind: &str, currency: &Value) -> Vec<String> {
    let mut memory = shop.control("GET", "memory", &json!({}));
    let things = memory["shelf"]["things"].as_array_mut().unwrap().iter_mut().map(|it| &mut it[1]);
    let of_kind = |it: &Value| it["object"] == "event" && it["type"].as_str().is_some_and(|it| it.starts_with(kind));
    let mut spoiled = Vec::new();
    for event in things.filter(|it| of_kind(it)) {
        event["data"]["object"]["currency"] = currency.clone();
        spoiled.push(event["id"].as_str().unwrap().to_owned());
    }
    shop.control("POST", "memory", &memory);
    spoiled
}

#[test]
fn an_event_that_cannot_be_read_is_shown_and_tried_again_and_hides_no_other() {
    let shop = Shop::open();
    let card = shop.customer("ada", "4242424242424242");
    shop.control("POST", "notices", &json!({"lose": 1_000_000}));
    let buy = |key: &str, credits: u32| {
        let bought = shop.buy("ada", key, &json!({"credits": credits, "payment_method": card})).json();
        assert_eq!(bought["status"], "succeeded", "{bought}");
        bought["id"].as_str().unwrap().to_owned()
    };
    let (disputed, refunded) = (buy("a", 1000), buy("b", 500));
    let paid = shop.control("GET", "totals", &json!({}))["succeeded"].clone();
    let at_provider = |amount: i64| {
        let found = paid.as_array().unwrap().iter().find(|it| it["amount"] == amount).unwrap();
        found["id"].as_str().unwrap().to_owned()
    };
    shop.control("POST", "disputes", &json!({"payment": at_provider(1210)}));
    shop.refund_by_hand(&at_provider(605), 605);
    let unreadable = spoil(&shop, "charge.dispute", &json!(null));
    assert!(!unreadable.is_empty());
    shop.pass(400);
    shop.wait_until("the refund is heard of", |it| it.payment(&refunded)["refunded"]["amount"] == 605);
    assert_eq!(shop.payment(&disputed)["dispute"], json!(null));
    let operator = Operator::of(&shop.server);
    let shows = |name: &str| operator.look("/console/payments").contains(name);
    shop.wait_until("operators see it", |_| unreadable.iter().all(|it| shows(it)));
    assert!(shows("News that could not be read") && shows("`currency` of "));
    // Once it can be read it is heard of, however long ago it was.
    shop.pass(3 * 24 * 3600);
    let operator = Operator::of(&shop.server);
    let shows = |name: &str| operator.look("/console/payments").contains(name);
    shop.wait_until("it is tried in vain", |_| shows("News that could not be read"));
    assert_eq!(shop.payment(&disputed)["dispute"], json!(null));
    spoil(&shop, "charge.dispute", &json!("eur"));
    // The reading that tried in vain may still be going on: it is the next one that hears.
    shop.pass_until("the dispute is heard of", |it| it.payment(&disputed)["dispute"]["status"] == "open");
    shop.wait_until("nothing is left", |_| !shows("News that could not be read"));
}

#[test]
fn credits_that_were_paid_for_elsewhere_are_given_with_what_was_paid() {
    let server = Served::start();
    server.put("/v1/accounts/ada", &json!({"currency": "eur"}));
    let operator = Operator::of(&server);
    let (home, act) = ("/console/accounts/ada", "/console/accounts/ada/grant");
    assert!(operator.look(home).contains("Paid for them, EUR"));
    let bought = |cost| [("credits", "1000"), ("source", "purchase"), ("cost", cost), ("reason", "Wire 4711")];
    for (said, wrong) in [
        ("must be said of a purchase", bought("")),
        ("cannot be read. Type a number, such as 2500", bought("ten")),
        ("cannot be read. Write thousands without points: 9505", bought("9.505")),
        ("cannot be read. Write decimals with a point: 9.50", bought("9,50")),
        ("must be an amount such as 12.50", bought("9.5055")),
        ("must be from 1 to", bought("0")),
        ("must be from 1 to", bought("1000000000000")),
        (
            "is for credits of the source",
            [("credits", "5"), ("source", "promo"), ("cost", "9.50"), ("reason", "A gift")],
        ),
    ] {
        // It is said before anybody is asked, and not only after.
        let refused = operator.send(act, &wrong);
        assert_eq!(refused.status, 422, "{wrong:?}: {}", refused.text);
        assert!(refused.text.contains(&format!("What was paid for them {said}")), "{wrong:?}: {}", refused.text);
    }
    let says = ["given 1,000.00 credits, as purchase", "€9.50 was paid for them", "No card is charged"];
    operator.did(act, &bought("9.50"), &says);
    assert_eq!(server.available("ada"), "1600", "sent twice, given once");
    let grants = server.get("/v1/accounts/ada/grants").json();
    let given = grants["data"].as_array().unwrap().iter().find(|it| it["source"] == "purchase").unwrap();
    assert_eq!(given["cost"], json!({"amount": 950, "currency": "eur"}));
}

#[test]
fn what_is_done_to_an_account_is_asked_first_done_once_and_written_down() {
    let server = Served::start();
    server.put("/v1/accounts/ada", &json!({"name": "Ada Lovelace", "email": "ada@example.com"}));
    let operator = Operator::of(&server);
    let home = "/console/accounts/ada";
    for search in ["AD", "love", "lovelace ada", "ada@ex", "example"] {
        let found = operator.look(&format!("/console?q={}", search.replace(' ', "+")));
        assert!(found.contains(home), "{search}");
    }
    assert!(!operator.look("/console?q=ovelace").contains(home), "words are found by their beginnings");

    let give = [("credits", "25"), ("source", "promo"), ("days", "30"), ("reason", "Sorry for the trouble")];
    operator.did(&format!("{home}/grant"), &give, &["given 25.00 credits, as promo", "expire in 30 days"]);
    assert_eq!(server.available("ada"), "625", "sent twice, given once");
    let wrong = operator.send(&format!("{home}/grant"), &[("credits", "-5"), ("reason", "x")]);
    assert_eq!(wrong.status, 422);
    let grants = server.get("/v1/accounts/ada/grants").json();
    let promo = grants["data"].as_array().unwrap().iter().find(|it| it["source"] == "promo").unwrap();
    let bells = [("reason", "two\u{7}bells"), ("key", "k"), ("sure", "1")];
    let what = [
        ("grant", vec![("credits", "5"), ("source", "promo")]),
        ("void", vec![("grant", promo["id"].as_str().unwrap())]),
    ];
    for (act, mut form) in what {
        form.extend(bells);
        assert_eq!(operator.send(&format!("{home}/{act}"), &form).status, 422, "{act}");
    }
    let void = [("grant", promo["id"].as_str().unwrap()), ("reason", "A mistake")];
    operator.did(&format!("{home}/void"), &void, &["25.00 credits that are unused", "A mistake"]);
    assert_eq!(server.available("ada"), "600");

    let hold = json!({"account": "ada", "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"},
        "credits": "2", "expires_in_seconds": 600, "idempotency_key": "h"});
    let hold = server.post("/v1/holds", "", &hold).json();
    let release = [("hold", hold["id"].as_str().unwrap())];
    operator.did(&format!("{home}/release"), &release, &["2.00 set-aside credits are available"]);
    assert_eq!(server.available("ada"), "600");

    let charge = server.charge(&chat("ada", "m", 80_000)).json();
    let charge = format!("/console/charges/{}", charge["id"].as_str().unwrap());
    assert!(operator.look(home).contains(&charge), "the account's entries lead there");
    let long = "x".repeat(501);
    for reason in ["", "two\u{7}bells", &long] {
        for sure in [("sure", ""), ("sure", "1")] {
            let refused = operator.send(&charge, &[("credits", "4"), ("reason", reason), ("key", "k"), sure]);
            assert_eq!(refused.status, 422, "{reason:?}: {}", refused.text);
        }
    }
    operator.did(&charge, &[("credits", "4"), ("reason", "Half was wrong")], &["4.00 of the 10.00 credits"]);
    operator.did(&charge, &[("reason", "All of it")], &["6.00 of the 6.00 credits"]);
    assert_eq!(server.available("ada"), "600");
    assert!(operator.look(&charge).contains("Nothing can be given back"));

    for _ in 0..2 {
        operator.send(&format!("{home}/note"), &[("key", "n"), ("text", "Called about <b>servers</b>")]);
    }
    let page = operator.look(home);
    assert_eq!(page.matches("Called about &#60;b&#62;servers").count(), 1, "once, and as it was written");
    for (action, times) in
        [("grant.make", 1), ("grant.void", 1), ("hold.release", 1), ("charge.reverse", 2), ("account.note", 1)]
    {
        assert_eq!(operator.noted(action), times, "{action}");
    }
    assert_eq!(operator.look("/console/audit?subject=ada&action=grant").matches("<tr><td").count(), 2);
    // All of it is told of at the account, and each by what it was done to.
    let its = page.split_once("Done to it by people").unwrap().1;
    let (grant, hold) = (promo["id"].as_str().unwrap(), hold["id"].as_str().unwrap());
    let charge = charge.rsplit('/').next().unwrap();
    for (action, thing, detail) in [
        ("grant.void", grant, format!("{grant} A mistake")),
        ("hold.release", hold, hold.to_owned()),
        ("charge.reverse", charge, format!("{charge} 4: Half was wrong")),
        ("charge.reverse", charge, format!("{charge} all that is left: All of it")),
    ] {
        assert!(its.contains(&format!("<td class=\"code\">{action}</td><td class=\"wrap\">{detail}")), "{its}");
        let found = operator.look(&format!("/console/audit?subject={thing}"));
        assert!(found.contains(action) && !found.contains("account.note"), "{found}");
    }

    operator.did(&format!("{home}/close"), &[], &["cannot be undone", "notes on it are erased"]);
    assert_eq!(server.charge(&chat("ada", "late", 8_000)).problem().1, "account_closed");
    let closed = operator.look(home);
    assert!(closed.contains("closed") && !closed.contains("Called about") && !closed.contains("Lovelace"));
    assert!(!operator.look("/console?q=lovelace").contains(home), "what is forgotten is not found");
    assert_eq!(operator.noted("account.close"), 1);
}

#[test]
fn what_an_operator_does_at_the_api_is_written_down_too_and_says_nothing_of_anybody() {
    let mut server = Served::start();
    let operator_key = server.key.clone();
    let backend = server.minted("backend", &["billing"]);
    for (key, email) in [(&backend, "bob@example.com"), (&operator_key, "ada@example.com")] {
        server.as_key(key, |server| {
            let account = format!("/v1/accounts/{}", email.split_once('@').unwrap().0);
            assert_eq!(server.put(&account, &json!({"email": email})).status, 201);
            for _ in 0..2 {
                assert_eq!(server.put(&account, &json!({"name": "Somebody", "email": "x@example.com"})).status, 200);
            }
            assert_eq!(server.put(&format!("{account}/projects/web"), &json!({"name": "Web"})).status, 201);
            assert_eq!(server.delete(&format!("{account}/projects/web")).status, 204);
            for _ in 0..2 {
                let link = server.post(&format!("{account}/portal-sessions"), "link", &json!({"role": "viewer"}));
                assert_eq!(link.status, 201, "{}", link.text);
            }
        });
    }
    let operator = Operator::of(&server);
    // Nothing changed the second time, and the same key made no second link.
    for action in ["account.register", "account.update", "project.put", "project.delete", "portal_session.create"] {
        assert_eq!(operator.noted(action), 1, "{action}: the platform's own are in no audit log");
    }
    let log = operator.look("/console/audit");
    assert!(log.contains("name, email") && !log.contains("example.com") && !log.contains("Somebody"), "{log}");
}

#[test]
fn prices_offers_keys_and_webhooks_are_kept_at_the_console() {
    let mut server = Served::configured("webhooks_anywhere = true");
    server.account("ada");
    let operator = Operator::of(&server);
    server.charge(&chat("ada", "m", 80_000));
    let mut card = server.get("/v1/rate-card").json();
    card["meters"]["ai_chat"]["cap"] = json!("1");
    let card = card.to_string();
    let fields = [("from", "2099-01-01T00:00"), ("card", &*card), ("key", "once")];
    let tried = operator.send("/console/prices", &[&fields[..], &[("do", "try")]].concat());
    assert!(tried.text.contains("meters.ai_chat.cap"), "{}", tried.text);
    assert!(tried.text.contains("cost 10.00 credits and would cost 1.00"), "{}", tried.text);
    let versions = || server.get("/v1/rate-cards").json()["data"].as_array().unwrap().len();
    assert_eq!(versions(), 1);
    for _ in 0..2 {
        let added = operator.send("/console/prices", &[&fields[..], &[("do", "upload"), ("version", "2")]].concat());
        assert_eq!(added.status, 303, "{}", added.text);
    }
    let added = server.get("/v1/rate-cards").json()["data"][1].clone();
    assert_eq!((versions(), &added["effective_at"]), (2, &json!("2099-01-01T00:00:00.000Z")));

    let package = [("id", "huge"), ("name", "Huge"), ("credits", "1000"), ("bonus", "500"), ("price", "9.50")];
    operator.did("/console/offers/package", &package, &["Put the package on sale?", "€9.50", "36% off"]);
    let sold = || server.get("/v1/packages").text;
    assert!(sold().contains("\"huge\""));
    operator.did("/console/offers/withdraw", &[("what", "package"), ("id", "huge")], &["Sell huge no longer?"]);
    assert!(!sold().contains("\"huge\""));
    let dear = [("id", "dear"), ("name", "Dear"), ("credits", "1000"), ("every", "month"), ("price", "10")];
    assert_eq!(operator.act("/console/offers/plan", &dear, &["none. Without a real discount"]).status, 422);
    let plan = [("id", "fair"), ("name", "Fair"), ("credits", "1000"), ("every", "year"), ("price", "8")];
    operator.did("/console/offers/plan", &plan, &["1,000.00 credits every year, for €8.00", "20% off"]);
    assert!(server.get("/v1/plans").text.contains("\"fair\""));

    let secret = |page: &Reply| page.text.split_once("class=\"code secret\">").map(|it| it.1[..70].to_owned());
    let made = operator.send("/console/keys", &[("name", "backend"), ("charge", "1"), ("key", "minted")]);
    let first = secret(&made).expect("it is shown");
    let again = operator.send("/console/keys", &[("name", "backend"), ("charge", "1"), ("key", "minted")]);
    assert!(again.text.contains("was made before") && secret(&again).is_none());
    let keys = server.get("/v1/api-keys").json();
    let backend = keys["data"].as_array().unwrap().iter().find(|it| it["name"] == "backend").unwrap();
    let id = backend["id"].as_str().unwrap();
    let rotated = operator.act("/console/keys/rotate", &[("id", id)], &["“backend 2”", "scopes of “backend”: charge"]);
    assert_ne!(secret(&rotated).expect("it is shown"), first);
    operator.did("/console/keys/revoke", &[("id", id)], &["“backend” opens nothing"]);
    assert_eq!(operator.noted("api_key"), 4, "the first by configuration, then made, rotated, revoked");

    let hook = [("url", "http://127.0.0.1:9/hook"), ("balance.low", "1"), ("key", "hook")];
    let made = operator.send("/console/webhooks", &hook);
    assert!(made.text.contains("whsec_"), "{}", made.text);
    assert_eq!(operator.send("/console/webhooks", &hook).text.matches("/console/webhooks/endpoint_").count(), 1);
    let endpoints = server.get("/v1/webhook-endpoints").json();
    let path = format!("/console/webhooks/{}", endpoints["data"][0]["id"].as_str().unwrap());
    assert!(operator.look(&path).contains("Nothing yet"));
    let rotated = operator.act(&path, &[("do", "rotate")], &["For a day both sign"]);
    assert!(rotated.text.contains("whsec_"));
    operator.did(&path, &[("do", "delete")], &["told nothing any more"]);
    for path in ["/console", "/console/jobs", "/console/payments"] {
        operator.look(path);
    }
    let key = server.key.clone();
    server.as_key(&key, |it| assert_eq!(it.get("/v1/webhook-endpoints").json()["data"].as_array().unwrap().len(), 0));
}

#[test]
fn a_form_of_the_console_that_is_refused_keeps_what_was_typed_and_says_what_is_wrong() {
    let server = Served::start();
    server.account("ada");
    let charged = server.charge(&chat("ada", "one", 80_000)).json()["id"].as_str().unwrap().to_owned();
    let operator = Operator::of(&server);
    let charge = format!("/console/charges/{charged}");
    for (path, fields, kept, says) in [
        (
            "/console/offers/package",
            vec![("id", "tiny"), ("name", "Tiny One"), ("credits", "x"), ("price", "1")],
            "Tiny One",
            "The credits ",
        ),
        (
            "/console/offers/package",
            vec![("id", "tiny"), ("name", "Tiny One"), ("credits", "9"), ("price", "1.234")],
            "Tiny One",
            "The price cannot be read. Write thousands without points: 1234",
        ),
        (
            "/console/offers/plan",
            vec![("id", "dear"), ("name", "Dear One"), ("credits", "9"), ("price", "99"), ("sure", "1")],
            "Dear One",
            "",
        ),
        ("/console/webhooks", vec![("url", "nowhere at all"), ("key", "k")], "nowhere at all", "The address "),
        ("/console/keys", vec![("name", "without scopes"), ("key", "k")], "without scopes", "What it may do "),
        (
            &charge,
            vec![("credits", "11"), ("reason", "Too much of it")],
            "Too much of it",
            "The credits must be at most 10",
        ),
        (&charge, vec![("credits", "eleven"), ("reason", "Too much of it")], "Too much of it", "The credits "),
    ] {
        let refused = operator.send(path, &fields);
        assert!((400..500).contains(&refused.status), "{path}: {}", refused.status);
        assert!(refused.text.contains(&format!("value=\"{kept}\"")), "{path} {fields:?}: {}", refused.text);
        let alert =
            refused.text.split_once("role=\"alert\"").expect("it says what is wrong").1.split_once("</p>").unwrap().0;
        assert!(alert.contains(says) && alert.contains("Nothing was done."), "{path} {fields:?}: {alert}");
    }
}

#[test]
fn a_payment_is_refunded_with_what_it_does_said_before_and_those_that_failed_are_found() {
    let shop = Shop::open();
    let card = shop.customer("ada", "4242424242424242");
    let paid = shop.buy("ada", "order", &json!({"credits": 1000, "payment_method": card})).json();
    let other = shop.server.put("/v1/accounts/ada", &json!({"currency": "usd"}));
    assert_eq!(other.problem().2, "currency", "what was paid was paid in euros");
    let operator = Operator::of(&shop.server);
    let path = format!("/console/payments/{}", paid["id"].as_str().unwrap());
    assert!(operator.look("/console/accounts/ada").contains(&path));
    assert!(operator.look("/console/payments?show=all").contains(&path));
    assert!(!operator.look("/console/payments").contains(&path), "nothing is wrong with it");
    let too_much = operator.send(&path, &[("credits", "1001"), ("reason", "x")]);
    assert_eq!(too_much.status, 409, "refused before it is asked");
    let most = "At most €12.10 can be refunded: 1,000.00 of its credits are unused.";
    assert!(too_much.text.contains(most) && too_much.text.contains("value=\"1001\""), "{}", too_much.text);
    assert!(too_much.text.contains("value=\"x\"") && too_much.text.contains("role=\"alert\""), "{}", too_much.text);
    let dear = operator.send(&path, &[("amount", "70"), ("reason", "Too dear")]);
    assert!(dear.status == 409 && dear.text.contains(most), "{}", dear.text);
    let both = operator.send(&path, &[("amount", "1"), ("credits", "1"), ("reason", "Two of them")]);
    assert!(both.status == 422 && both.text.contains("Fill in the credits or the money"), "{}", both.text);
    assert!(both.text.contains("value=\"Two of them\"") && both.text.contains("Nothing was done"), "{}", both.text);
    let rounded = operator.send(&path, &[("credits", "99.9950"), ("reason", "x")]).text;
    assert!(rounded.contains("100.00 unused credits are taken"), "as they will be listed: {rounded}");
    let part = [("credits", "400"), ("reason", "Bought too many")];
    operator.did(&path, &part, &["400.00 unused credits are taken from ada", "€4.84", "€4.00 and €0.84 tax"]);
    operator.did(&path, &[("amount", "1.21"), ("reason", "And more")], &["100.00 unused credits", "€1.21"]);
    shop.settle();
    assert_eq!(shop.totals(), (1210, 605, 0));
    assert_eq!(operator.noted("payment.refund"), 2);
    let id = paid["id"].as_str().unwrap();
    assert!(operator.look("/console/accounts/ada").contains(&format!("{id} 400 credits: Bought too many")));
    let found = operator.look(&format!("/console/audit?subject={id}"));
    assert_eq!(found.matches(">payment.refund</td>").count(), 2, "{found}");
    assert!(operator.look(&path).contains("500 of its credits are unused"));

    // Found by what the customer reads out: its id, or the number on its invoice or credit note.
    let invoices = shop.server.get("/v1/accounts/ada/invoices").json()["data"].clone();
    let numbers = invoices.as_array().unwrap().iter().flat_map(|it| [&it["number"], &it["id"]]);
    let said: Vec<&str> = numbers.chain([&paid["id"]]).map(|it| it.as_str().unwrap()).collect();
    assert_eq!(said.len(), 7, "an invoice, two credit notes, a payment: {said:?}");
    for said in said {
        let found = shop.server.browse(&format!("/console?q={said}"), &operator.cookie);
        assert_eq!((found.status, found.header("location")), (303, Some(&*path)), "{said}");
    }
    assert!(operator.look("/console?q=INV-2026-999999").contains("No account has words"));

    // A card that is refused, and one whose payment is disputed.
    shop.server.account("bob");
    shop.save_card("bob", "4000000000000341");
    let methods = shop.server.get("/v1/accounts/bob/payment-methods").json();
    let refused = json!({"credits": 1000, "payment_method": methods["data"][0]["id"]});
    let refused = shop.buy("bob", "order", &refused).json();
    let found = operator.look("/console/payments?show=failed");
    assert!(found.contains(refused["id"].as_str().unwrap()), "{found}");
    assert!(operator.look("/console/accounts/bob").contains("failed"));
}

#[test]
fn an_open_dispute_is_found_behind_a_thousand_payments_that_changed_since() {
    const LATER: usize = 1_000;
    let shop = Shop::open();
    let card = shop.customer("ada", "4242424242424242");
    for key in ["disputed", "plain"] {
        let bought = shop.buy("ada", key, &json!({"credits": 1000, "payment_method": card}));
        assert_eq!(bought.json()["status"], "succeeded", "{}", bought.text);
    }
    let charged = shop.control("GET", "totals", &json!({}))["succeeded"][0]["id"].clone();
    shop.control("POST", "disputes", &json!({"payment": charged}));
    shop.settle();
    let directory = shop.server.stop();
    let store = store_of(&directory);
    let bought = store.payments(Timestamp::NEVER, 9).unwrap();
    let (disputed, plain): (Vec<_>, Vec<_>) = bought.into_iter().partition(|it| it.body.contains("\"open\""));
    assert_eq!((disputed.len(), plain.len()), (1, 1));
    // Several in each instant, so that pages end in the midst of one.
    let later = |number: usize| {
        let at = disputed[0].at + Span::from_millis(1 + i64::try_from(number / 7).unwrap());
        let place = Place { account: plain[0].account, version: 1_000 + number as u64 };
        let id = PaymentId::new(at, place).to_string();
        Change::Document(Document { id, at, version: 1, ..plain[0].clone() })
    };
    store.commit(&(0..LATER).map(later).collect::<Vec<_>>()).unwrap();
    drop(store);
    let server = Served::start_with(directory, &[], "");
    let operator = Operator::of(&server);
    for path in ["/console/payments", "/console/payments?show=disputed"] {
        assert!(operator.look(path).contains(&disputed[0].id), "{path}");
    }
    // Each is on one page, and all are on some.
    let (mut ids, mut next) = (Vec::new(), Some("/console/payments?show=all".to_owned()));
    while let Some(path) = next {
        let page = operator.look(&path);
        let rows = page.split("<th scope=\"row\"><a href=\"/console/payments/").skip(1);
        ids.extend(rows.map(|it| it.split('"').next().unwrap().to_owned()));
        let older = page.split("<a class=\"quiet\" href=\"/console/payments").nth(1);
        next = older.map(|it| format!("/console/payments{}", it.split('"').next().unwrap().replace("&#38;", "&")));
    }
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((all, ids.len()), (LATER + 2, LATER + 2));
}
