//! Every operation of the API that changes something, done once with an operator's key, is one line of the audit log.
//! One that is added to the API fails here until it is done here too, or is said to be told of elsewhere.
use std::collections::BTreeSet;

use serde_json::{Value, json};
use server::http::document;

use crate::console::Operator;
use crate::emails::Office;
use crate::money_shop::{BACK, Shop};
use crate::money_topups::rule;
use crate::served::{Served, chat};
use crate::webhooks::Ear;

const VISA: &str = "4242424242424242";
const OTHER: &str = "4000000000000341";
const WANTS_PROOF: &str = "4000002760003184";

/// What machines tell by the thousand is in the ledger; what is measured or priced changes nothing; and the provider is
/// no operator.
const ELSEWHERE: [&str; 11] = [
    "post /v1/charges",
    "post /v1/charges/batch",
    "post /v1/holds",
    "post /v1/holds/{hold}/capture",
    "post /v1/holds/{hold}/extend",
    "post /v1/measure/chat",
    "post /v1/measure/plan",
    "post /v1/measure/repository",
    "post /v1/quotes",
    "post /v1/accounts/{account}/servers/{server}/utilisation",
    "post /v1/stripe/webhook",
];

/// An operator who does one thing after another, and looks each up.
struct Deeds<'a> {
    server: &'a Served,
    operator: Operator<'a>,
    done: BTreeSet<String>,
}

impl Deeds<'_> {
    /// Does an operation, `names` in the place of what it names, and finds a line of it in the log that was not there.
    #[track_caller]
    fn does(&mut self, operation: &str, names: &[&str], body: &Value, action: &str) -> Value {
        let (method, template) = operation.split_once(' ').unwrap();
        let mut names = names.iter().copied();
        let parts = template.split('/').map(|it| if it.starts_with('{') { names.next().unwrap() } else { it });
        let path = parts.collect::<Vec<_>>().join("/");
        let before = self.operator.noted(action);
        let reply = match method {
            "put" => self.server.put(&path, body),
            "delete" => self.server.delete(&path),
            _ => self.server.post(&path, &format!("deed-{}-{before}", self.done.len()), body),
        };
        assert!(reply.status < 300, "{operation}: {} {}", reply.status, reply.text);
        assert_eq!(self.operator.noted(action), before + 1, "{operation} is {action}");
        self.done.insert(operation.to_owned());
        if reply.text.is_empty() { Value::Null } else { reply.json() }
    }
}

fn text(it: &Value) -> &str {
    it.as_str().unwrap()
}

#[test]
fn whatever_an_operator_does_over_the_api_is_in_the_audit_log() {
    let (office, ear) = (Office::open("plain"), Ear::open(204));
    let shop = Shop::writing(&office.url());
    let card = shop.customer("ada", VISA);
    let operator = Operator::of(&shop.server);
    let mut deeds = Deeds { server: &shop.server, operator, done: BTreeSet::new() };
    let none = json!({});
    deeds.does("put /v1/accounts/{account}", &["bob"], &none, "account.register");
    deeds.does("put /v1/accounts/{account}", &["ada"], &json!({"email": "ada@example.com"}), "account.update");
    let endpoint = json!({"url": ear.url, "events": []});
    let endpoint = deeds.does("post /v1/webhook-endpoints", &[], &endpoint, "webhook_endpoint.create");
    let endpoint = text(&endpoint["id"]);
    of_money(&mut deeds, &shop, &card);
    of_credits(&mut deeds);
    of_the_house(&mut deeds);

    // What a payment brought: a notice and a mail, each sent once more.
    ear.next();
    office.next();
    let delivery = shop.server.deliveries(endpoint)[0]["id"].clone();
    let hook = |rest: &str| format!("post /v1/webhook-endpoints/{{endpoint}}/{rest}");
    let resend = hook("deliveries/{delivery}/resend");
    deeds.does(&resend, &[endpoint, text(&delivery)], &none, "webhook_delivery.resend");
    let since = json!({"since": "2026-01-01T00:00:00Z"});
    deeds.does(&hook("replay"), &[endpoint], &since, "webhook_endpoint.replay");
    deeds.does(&hook("rotate"), &[endpoint], &none, "webhook_endpoint.rotate");
    deeds.does(&hook("enable"), &[endpoint], &none, "webhook_endpoint.enable");
    deeds.does("delete /v1/webhook-endpoints/{endpoint}", &[endpoint], &none, "webhook_endpoint.delete");
    let mail = shop.server.get("/v1/accounts/ada/emails").json()["data"][0]["id"].clone();
    let resend = "post /v1/accounts/{account}/emails/{email}/resend";
    deeds.does(resend, &["ada", text(&mail)], &none, "email.resend");
    let preferences = "put /v1/accounts/{account}/notice-preferences";
    deeds.does(preferences, &["ada"], &json!({"digest": false}), "notice_preferences.set");
    let later = json!({"to": (shop.now() + jiff::SignedDuration::from_hours(1)).to_string()});
    deeds.does("post /v1/test-clock/advance", &[], &later, "test_clock.advance");
    deeds.does("post /v1/accounts/{account}/close", &["ada"], &none, "account.close");

    let document = document();
    let mut missing = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let methods = item.as_object().unwrap().keys().filter(|it| *it != "get");
        missing.extend(methods.map(|it| format!("{it} {path}")));
    }
    missing.retain(|it| !deeds.done.contains(it) && !ELSEWHERE.contains(&&**it));
    assert_eq!(missing, BTreeSet::new());
}

fn of_money(deeds: &mut Deeds<'_>, shop: &Shop, card: &str) {
    let none = json!({});
    let of = |rest: &str| format!("post /v1/accounts/{{account}}/{rest}");
    let setup = json!({"return_url": BACK});
    deeds.does(&of("payment-methods/setup"), &["ada"], &setup, "payment_method.set_up");
    shop.save_card("ada", OTHER);
    let cards = shop.server.get("/v1/accounts/ada/payment-methods").json()["data"].clone();
    let other = cards.as_array().unwrap().iter().map(|it| text(&it["id"])).find(|it| *it != card).unwrap();
    deeds.does(&of("payment-methods/{method}/default"), &["ada", other], &none, "payment_method.default");
    let method = "delete /v1/accounts/{account}/payment-methods/{method}";
    deeds.does(method, &["ada", other], &none, "payment_method.remove");

    let order = json!({"credits": 1000, "payment_method": card});
    let bought = deeds.does(&of("purchases"), &["ada"], &order, "payment.order");
    let refund = json!({"credits": 100, "reason": "Too many"});
    deeds.does("post /v1/payments/{payment}/refund", &[text(&bought["id"])], &refund, "payment.refund");
    shop.server.account("carl");
    let careful = shop.card_of("carl", WANTS_PROOF);
    let waits = shop.buy("carl", "waits", &json!({"credits": 1000, "payment_method": careful})).json();
    assert_eq!(waits["status"], "requires_action", "{waits}");
    deeds.does("post /v1/payments/{payment}/confirm", &[text(&waits["id"])], &setup, "payment.confirm");

    deeds.does("put /v1/accounts/{account}/auto-topup", &["ada"], &rule(200, 1000), "auto_topup.put");
    deeds.does(&of("subscription"), &["ada"], &json!({"plan": "monthly"}), "subscription.create");
    deeds.does(&of("subscription/change"), &["ada"], &json!({"plan": "monthly-plus"}), "subscription.change");
    deeds.does(&of("subscription/cancel"), &["ada"], &none, "subscription.cancel");
    deeds.does(&of("subscription/resume"), &["ada"], &none, "subscription.resume");
}

fn of_credits(deeds: &mut Deeds<'_>) {
    let (none, why) = (json!({}), json!({"reason": "Why not"}));
    let of = |rest: &str| format!("post /v1/accounts/{{account}}/{rest}");
    let promo = json!({"credits": 10, "source": "promo", "reason": "A gift"});
    let grant = deeds.does(&of("grants"), &["ada"], &promo, "grant.make");
    deeds.does("post /v1/grants/{grant}/void", &[text(&grant["id"])], &why, "grant.void");
    let charge = deeds.server.charge(&chat("ada", "work", 8_000)).json();
    deeds.does("post /v1/charges/{charge}/reverse", &[text(&charge["id"])], &why, "charge.reverse");
    let hold = json!({"account": "ada", "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"}, "credits": "2",
        "expires_in_seconds": 600, "idempotency_key": "held"});
    let hold = deeds.server.post("/v1/holds", "", &hold).json();
    deeds.does("post /v1/holds/{hold}/release", &[text(&hold["id"])], &none, "hold.release");

    let web = json!({"tier": "entry-level"});
    deeds.does("put /v1/accounts/{account}/servers/{server}", &["ada", "web"], &web, "server.order");
    deeds.does(&of("servers/{server}/{action}"), &["ada", "web", "start"], &none, "server.start");
    let budget = json!({"period": "month", "credits": "5000", "action": "notify"});
    deeds.does("put /v1/accounts/{account}/budgets/{budget}", &["ada", "all"], &budget, "budget.put");
    deeds.does("delete /v1/accounts/{account}/budgets/{budget}", &["ada", "all"], &none, "budget.delete");
    let project = json!({"name": "The shop"});
    deeds.does("put /v1/accounts/{account}/projects/{project}", &["ada", "shop"], &project, "project.put");
    deeds.does("delete /v1/accounts/{account}/projects/{project}", &["ada", "shop"], &none, "project.delete");
    deeds.does(&of("tips/{tip}/dismiss"), &["ada", "no_auto_topup"], &none, "tip.dismiss");
    deeds.does(&of("portal-sessions"), &["ada"], &json!({"role": "viewer"}), "portal_session.create");
}

fn of_the_house(deeds: &mut Deeds<'_>) {
    let none = json!({});
    let key = deeds.does("post /v1/api-keys", &[], &json!({"name": "new", "scopes": ["read"]}), "api_key.mint");
    deeds.does("delete /v1/api-keys/{key}", &[text(&key["id"])], &none, "api_key.revoke");
    let price = json!({"amount": 800, "currency": "eur"});
    let package = json!({"name": "Some", "credits": "1000", "price": price});
    deeds.does("put /v1/packages/{package}", &["some"], &package, "package.put");
    deeds.does("delete /v1/packages/{package}", &["some"], &none, "package.delete");
    let plan = json!({"name": "Fair", "credits": "1000", "price": price, "every": "month"});
    deeds.does("put /v1/plans/{plan}", &["fair"], &plan, "plan.put");
    deeds.does("delete /v1/plans/{plan}", &["fair"], &none, "plan.delete");
    let mut card = deeds.server.get("/v1/rate-card").json();
    (card["version"], card["effective_at"]) = (json!(2), json!("2099-01-01T00:00:00Z"));
    deeds.does("post /v1/rate-cards", &[], &card, "rate_card.upload");
}
