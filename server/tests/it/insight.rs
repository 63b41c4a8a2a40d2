//! What an account is told of itself: the forecast, and tips that follow from what it really did.
use billing::money::Credits;
use serde_json::{Value, json};

use crate::money_shop::Shop;
use crate::served::{Served, chat};

/// A Monday.
const TODAY: &str = "2031-03-10T12:00:00Z";

fn at(served: &Served, instant: &str) {
    let moved = served.post("/v1/test-clock/advance", "", &json!({"to": instant}));
    assert_eq!(moved.status, 200, "{}", moved.text);
}

fn days_before(days: i64, hour: i64) -> String {
    let today: jiff::Timestamp = "2031-03-10T00:00:00Z".parse().unwrap();
    (today - jiff::SignedDuration::from_hours(24 * days - hour)).to_string()
}

fn grant(served: &Served, account: &str, credits: u64) {
    let grant = json!({"credits": credits.to_string(), "source": "adjustment", "reason": "for the test"});
    assert_eq!(served.post(&format!("/v1/accounts/{account}/grants"), &format!("g{account}"), &grant).status, 201);
}

/// A chat of so many credits, so many days ago.
fn chatted(account: &str, days: i64, credits: u64) -> Value {
    let mut charge = chat(account, &format!("{account}-{days}"), credits * 8_000);
    charge["at"] = json!(days_before(days, 9));
    charge["project"] = json!("shop");
    charge
}

fn charge_all(served: &Served, charges: &[Value]) {
    let done = served.post("/v1/charges/batch", "", &json!(charges));
    assert_eq!(done.json()["refused"], 0, "{}", done.text);
}

fn credits(value: &Value) -> Credits {
    value.as_str().unwrap_or_else(|| panic!("{value}")).parse().unwrap()
}

/// The clock moves on while one looks: a minute of a server.
fn is_about(credits: Credits, whole: i64) -> bool {
    (Credits::whole(whole)..=Credits::whole(whole) + Credits::from_micros(100_000)).contains(&credits)
}

fn forecast(served: &Served, account: &str) -> Value {
    let found = served.get(&format!("/v1/accounts/{account}/forecast"));
    assert_eq!(found.status, 200, "{}", found.text);
    found.json()
}

#[test]
fn the_month_comes_to_what_was_used_and_what_servers_are_known_to_use() {
    let served = Served::sandbox();
    at(&served, TODAY);
    served.account("ada");
    grant(&served, "ada", 50_000);
    let nothing = forecast(&served, "ada");
    assert_eq!(nothing["forecast"], Value::Null);
    assert!(nothing["reason"].as_str().unwrap().contains("7 whole days"), "{nothing}");
    charge_all(&served, &(1..=6).map(|it| chatted("ada", it, 10)).collect::<Vec<_>>());
    let few = forecast(&served, "ada");
    assert_eq!((&few["forecast"], &few["days_of_data"], &few["spent"]), (&Value::Null, &json!(6), &json!("60")));
    charge_all(&served, &(7..=20).map(|it| chatted("ada", it, 10)).collect::<Vec<_>>());

    // Nine days of March, half of today, and 21 more: always the same, so there is no doubt about it.
    let steady = forecast(&served, "ada");
    let whole = Credits::whole(90 + 5 + 210);
    let shown = ["low", "credits", "high"].map(|it| credits(&steady["forecast"][it]));
    assert!(shown.iter().all(|it| whole - Credits::from_micros(100_000) <= *it && *it <= whole), "{steady}");
    assert_eq!((&steady["spent"], &steady["days_of_data"]), (&json!("90"), &json!(20)));
    assert!(steady["method"].as_str().unwrap().starts_with("Last 14 days + running servers"));

    // A server from here on: 4 an hour, and no more than 2 500 a month.
    let ordered = served.put("/v1/accounts/ada/servers/web", &json!({"project": "shop", "tier": "entry-level"}));
    assert_eq!(ordered.status, 201);
    assert_eq!(served.post("/v1/accounts/ada/servers/web/start", "", &json!({"at": TODAY})).status, 200);
    at(&served, "2031-03-11T00:00:00Z");
    let with_server = forecast(&served, "ada");
    let server = &with_server["servers"][0];
    assert_eq!(server["server"], "web");
    assert!(is_about(credits(&server["spent"]), 348), "{server}");
    // 21 days and a half at 96, and its set-up.
    assert_eq!(server["credits"], json!((300 + 96 * 21 + 48).to_string()));
    let parts: Credits = ["meters", "servers"]
        .iter()
        .flat_map(|it| with_server[it].as_array().unwrap())
        .map(|it| credits(&it["credits"]))
        .sum();
    assert_eq!(credits(&with_server["forecast"]["credits"]), parts, "{with_server}");
    let spent: Credits = ["meters", "servers"]
        .iter()
        .flat_map(|it| with_server[it].as_array().unwrap())
        .map(|it| credits(&it["spent"]))
        .sum();
    assert_eq!(credits(&with_server["spent"]), spent);
    // What is known of servers is in the whole range.
    assert!(credits(&server["credits"]) <= credits(&with_server["forecast"]["low"]), "{with_server}");
    let usage = served.get("/v1/accounts/ada/usage").json();
    let projected = served.get("/v1/accounts/ada/servers/web").json();
    assert!(is_about(credits(&usage["total"]), 90 + 348), "all of it is settled at midnight: {usage}");
    assert_eq!(projected["projected_month"], server["credits"], "one number, its set-up with it");

    // The runway is the balance's own.
    let balance = served.get("/v1/accounts/ada/balance").json();
    let instant = |it: &Value| it["runs_out_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!((instant(&balance) - instant(&with_server)).get_seconds().abs() <= 60);
    let (one, other) = (credits(&balance["burn_per_day"]), credits(&with_server["burn_per_day"]));
    assert!((one - other).max(other - one) < Credits::from_micros(100_000));
}

#[test]
fn months_end_by_the_accounts_own_clock() {
    let served = Served::sandbox();
    at(&served, "2031-03-31T21:30:00Z");
    assert_eq!(served.put("/v1/accounts/ada", &json!({"timezone": "Europe/Vilnius"})).status, 201);
    // It is April there already.
    let seen = forecast(&served, "ada");
    assert_eq!(
        (&seen["month_start"], &seen["month_end"]),
        (&json!("2031-03-31T21:00:00.000Z"), &json!("2031-04-30T21:00:00.000Z"))
    );
    assert_eq!(served.get("/v1/accounts/nobody/forecast").problem().1, "account_not_found");
}

fn tips(served: &Served, account: &str) -> Vec<Value> {
    let found = served.get(&format!("/v1/accounts/{account}/tips"));
    assert_eq!(found.status, 200, "{}", found.text);
    found.json()["data"].as_array().unwrap().clone()
}

fn ids(tips: &[Value]) -> Vec<&str> {
    tips.iter().map(|it| it["id"].as_str().unwrap()).collect()
}

fn start(served: &Served, server: &str, project: &str, tier: &str) {
    let body = json!({"project": project, "tier": tier});
    assert_eq!(served.put(&format!("/v1/accounts/ada/servers/{server}"), &body).status, 201);
    assert_eq!(served.post(&format!("/v1/accounts/ada/servers/{server}/start"), "", &json!({})).status, 200);
}

fn report(served: &Served, server: &str, at: &str, cpu: u8, memory: u8) -> Value {
    let path = format!("/v1/accounts/ada/servers/{server}/utilisation");
    let told = served.post(&path, "", &json!({"cpu_percent": cpu, "memory_percent": memory, "at": at}));
    assert_eq!(told.status, 200, "{}", told.text);
    told.json()
}

#[test]
fn a_server_with_little_to_do_is_told_of_and_a_tip_is_dismissed_for_good() {
    let served = Served::sandbox();
    at(&served, "2031-02-20T12:00:00Z");
    served.account("ada");
    grant(&served, "ada", 90_000);
    for (server, tier) in [("quiet", "business"), ("busy", "business"), ("small", "entry-level"), ("mute", "business")]
    {
        start(&served, server, "shop", tier);
    }
    at(&served, TODAY);
    for day in (0..14).rev() {
        for hour in [3, 9, 11] {
            let when = days_before(day, hour);
            // One report in twenty is of a peak, which does not count.
            let peak = if day == 5 && hour == 9 { 99 } else { 12 };
            report(&served, "quiet", &when, peak, 20);
            report(&served, "busy", &when, 12, 60);
            report(&served, "small", &when, 1, 1);
        }
    }
    let again = report(&served, "quiet", &days_before(0, 11), 100, 100);
    assert_eq!(again, json!({"cpu_percent": 12, "memory_percent": 20, "reports": 42, "days": 14}));
    let found = tips(&served, "ada");
    // Nothing is smaller than the smallest; nobody said how busy `mute` is.
    assert_eq!(ids(&found), ["underused_server:quiet"]);
    // 730 hours at 12, up to 7 500, become 730 hours at 4, up to 2 500.
    assert_eq!(found[0]["saving_per_month"], "5000");
    assert_eq!(found[0]["money"], json!({"amount": 5000, "currency": "eur"}));

    let dismiss = |tip: &str| served.post(&format!("/v1/accounts/ada/tips/{tip}/dismiss"), "", &json!({})).status;
    assert_eq!((dismiss("underused_server:quiet"), dismiss("underused_server:quiet")), (204, 204));
    assert_eq!((dismiss("eat_less"), dismiss("underused_server:a%20b")), (404, 404));
    assert!(tips(&served, "ada").is_empty());
    at(&served, "2031-03-10T13:00:00Z");
    report(&served, "quiet", "2031-03-10T12:59:00Z", 10, 10);
    assert!(tips(&served, "ada").is_empty());
    let wrong = json!({"cpu_percent": 101, "memory_percent": 1});
    let path = "/v1/accounts/ada/servers/quiet/utilisation";
    assert_eq!(served.post(path, "", &wrong).problem(), (422, "invalid_request".to_owned(), "cpu_percent".to_owned()));
    let early = json!({"cpu_percent": 1, "memory_percent": 1, "at": "2031-03-10T14:00:00Z"});
    assert_eq!(served.post(path, "", &early).problem().2, "at");
    assert_eq!(
        served
            .post("/v1/accounts/ada/servers/none/utilisation", "", &json!({"cpu_percent": 1, "memory_percent": 1}))
            .status,
        404
    );
}

#[test]
fn a_project_in_which_only_a_server_happens_is_told_of() {
    let served = Served::sandbox();
    at(&served, "2031-01-20T12:00:00Z");
    served.account("ada");
    grant(&served, "ada", 90_000);
    start(&served, "old-1", "old", "entry-level");
    start(&served, "old-2", "old", "business");
    start(&served, "shop-1", "shop", "business");
    start(&served, "served-1", "served", "business");
    at(&served, "2031-02-18T12:00:00Z");
    start(&served, "young-1", "young", "business");
    at(&served, TODAY);
    charge_all(&served, &[chatted("ada", 3, 10)]);
    for day in (0..14).rev() {
        report(&served, "served-1", &days_before(day, 3), 50, 50);
    }
    let found = tips(&served, "ada");
    assert_eq!(ids(&found), ["idle_project:old"]);
    assert_eq!(found[0]["saving_per_month"], "10000");
    let detail = found[0]["detail"].as_str().unwrap();
    assert!(detail.contains("old-1, old-2 still run"), "{detail}");
    // Work in it again, and it is not idle.
    let mut charge = chatted("ada", 2, 1);
    charge["project"] = json!("old");
    charge_all(&served, &[charge]);
    assert!(tips(&served, "ada").is_empty());
}

#[test]
fn plans_that_a_template_would_have_made_cheaper_are_told_of() {
    let served = Served::sandbox();
    served.account("ada");
    let charge_plans = |key: &str| {
        let plan = |number: &str, days: i64, points: u64, kind: &str| {
            json!({"account": "ada", "meter": "infra_plan", "quantities": {"points": points},
                "dimensions": {"kind": kind}, "idempotency_key": format!("{key}-{number}"), "at": days_before(days, 9)})
        };
        let plans = [plan("a", 3, 90, "ai"), plan("b", 4, 30, "ai"), plan("c", 5, 8, "ai"), plan("d", 31, 90, "ai")];
        charge_all(&served, &[&plans[..], &[plan("e", 3, 90, "template")]].concat());
        charge_all(&served, &[plan("f", 3, 90, "ai")]);
        let charge = served.get("/v1/accounts/ada/entries?limit=1").json()["data"][0]["charge"].clone();
        let path = format!("/v1/charges/{}/reverse", charge.as_str().unwrap());
        assert_eq!(served.post(&path, &format!("{key}-r"), &json!({"reason": "x"})).status, 201);
    };
    // From February on a plan made of a template has a price of its own: 20, however large.
    let mut card = served.get("/v1/rate-card").json();
    (card["version"], card["effective_at"]) = (json!(2), json!("2031-02-01T00:00:00Z"));
    let bands = json!([{"name": "T", "up_to": 100, "fee": "20"}, {"name": "TX", "fee": "20", "price": "30"}]);
    let row = json!({"when": {"kind": ["template"]}, "points": {"per": 50, "started": true, "bands": bands}});
    card["meters"]["infra_plan"]["rates"].as_array_mut().unwrap().push(row);
    let added = served.post("/v1/rate-cards", "", &card);
    assert_eq!(added.status, 201, "{}", added.text);
    // Before, the card lists the kind of a plan and prices nothing by it: whoever used a template saved nothing.
    at(&served, "2031-01-31T12:00:00Z");
    let charged =
        json!({"account": "ada", "meter": "infra_plan", "quantities": {"points": 90}, "idempotency_key": "z"});
    charge_all(&served, &[charged]);
    assert!(tips(&served, "ada").is_empty());
    at(&served, TODAY);
    charge_plans("march");
    let found = tips(&served, "ada");
    assert_eq!(ids(&found), ["use_template"]);
    // 60 and 25 would have been 20 each. The one of 10 is cheaper as it was, one was a template, one was given back.
    assert_eq!(found[0]["saving_per_month"], "45");
    assert!(found[0]["detail"].as_str().unwrap().starts_with("2 plans of the last 30 days cost 85 credits"));
}

#[test]
fn auto_topup_is_suggested_once_credits_ran_low_and_its_threshold_when_it_is_too_low() {
    let shop = Shop::open();
    shop.customer("ada", "4242424242424242");
    assert!(tips(&shop.server, "ada").is_empty());
    assert_eq!(shop.spend("ada", "a", 250).status, 201);
    // Its set-up leaves 50.
    start(&shop.server, "web", "shop", "entry-level");
    shop.wait_until("it is known that credits ran low", |it| ids(&tips(&it.server, "ada")) == ["no_auto_topup"]);
    assert_eq!(tips(&shop.server, "ada")[0]["saving_per_month"], "0");
    grant(&shop.server, "ada", 5_000);
    let rule = json!({"enabled": true, "threshold": 600, "credits": 1000});
    assert_eq!(shop.server.put("/v1/accounts/ada/auto-topup", &rule).status, 200);
    assert!(tips(&shop.server, "ada").is_empty(), "a day's use is less than 600");
    // A piece of work that was larger than the threshold, and is over.
    let hold = json!({"account": "ada", "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"},
        "credits": "800.5", "expires_in_seconds": 600, "idempotency_key": "h"});
    let held = shop.server.post("/v1/holds", "h", &hold);
    assert_eq!(held.status, 201, "{}", held.text);
    let release = format!("/v1/holds/{}/release", held.json()["id"].as_str().unwrap());
    assert!(shop.server.post(&release, "r", &json!({})).status < 300);
    let found = tips(&shop.server, "ada");
    assert_eq!(ids(&found), ["low_threshold"]);
    let detail = found[0]["detail"].as_str().unwrap();
    assert!(detail.contains("reserved 801 credits") && detail.contains("A threshold of 801 credits"), "{detail}");
    // The rule says it as well, also where the work is over; and so does the page, before it is agreed to.
    let warned = "below the largest hold of the last 30 days, 801 credits";
    let rule = shop.server.get("/v1/accounts/ada/auto-topup").json();
    assert!(rule["warnings"][0].as_str().unwrap().contains(warned), "{rule}");
    let cookie = crate::pages::visit(&shop.server, "ada", "owner");
    let page = shop.server.browse("/settings/billing", &cookie).text;
    let form = format!("mark={}&do=review&credits=1000&threshold=", crate::pages::mark_of(&page));
    let review = |threshold: &str| {
        shop.server.submit("/settings/billing/auto-topup", &cookie, &format!("{form}{threshold}")).text
    };
    assert!(review("700").contains(warned) && !review("801").contains(warned), "{}", review("801"));
}

#[test]
fn payments_and_servers_are_told_of_as_they_happen_and_after_an_absence() {
    use std::io::{BufRead, BufReader};
    let shop = Shop::open();
    let card = shop.customer("ada", "4242424242424242");
    let stream = BufReader::new(shop.server.follow("/v1/accounts/ada/events", None));
    let mut lines = stream.lines().map(|it| it.unwrap());
    let mut next = |event: &str, has: &str| {
        lines.by_ref().find(|it| it == &format!("event: {event}")).unwrap();
        loop {
            let line = lines.next().unwrap();
            if let Some(data) = line.strip_prefix("data: ") {
                if data.contains(has) {
                    return serde_json::from_str::<Value>(data).unwrap();
                }
                lines.by_ref().find(|it| it == &format!("event: {event}")).unwrap();
            }
        }
    };
    next("balance", "");
    let bought = shop.buy("ada", "b", &json!({"credits": 1000, "payment_method": card}));
    assert_eq!((bought.status, &bought.json()["status"]), (201, &json!("succeeded")), "{}", bought.text);
    let payment = next("payment", "\"succeeded\"");
    assert_eq!((&payment["id"], &payment["status"]), (&bought.json()["id"], &json!("succeeded")));
    start(&shop.server, "web", "shop", "entry-level");
    next("server", "");
    // Who comes back with what was seen last is told of payments since, too.
    let again = BufReader::new(shop.server.follow("/v1/accounts/ada/events", Some("2")));
    let told = again.lines().map(|it| it.unwrap()).take_while(|it| it != "event: balance");
    assert!(told.filter(|it| it == "event: payment").count() == 1);
}

/// The next threshold that is told of, among what is written down of budgets.
fn reached(lines: &mut impl Iterator<Item = String>) -> Value {
    loop {
        lines.find(|it| it == "event: budget").unwrap();
        let data = lines.find_map(|it| it.strip_prefix("data: ").map(str::to_owned)).unwrap();
        let told: Value = serde_json::from_str(&data).unwrap();
        if !told["percent"].is_null() {
            return told;
        }
    }
}

#[test]
fn a_budget_is_told_of_as_its_thresholds_are_reached() {
    use std::io::{BufRead, BufReader};
    let served = Served::start();
    served.account("ada");
    let budget = json!({"period": "month", "credits": "10", "action": "notify"});
    assert!(served.put("/v1/accounts/ada/budgets/all", &budget).status < 300);
    let listen = |last: Option<&str>| {
        let mut lines = BufReader::new(served.follow("/v1/accounts/ada/events", last)).lines().map(|it| it.unwrap());
        lines.by_ref().find(|it| last.is_some() || it == "event: balance").unwrap();
        lines
    };
    let mut lines = listen(None);
    let charged = served.charge(&chat("ada", "half", 40_000));
    assert_eq!(charged.status, 201, "{}", charged.text);
    let entry = served.get("/v1/accounts/ada/entries?limit=1").json()["data"][0]["id"].clone();
    let again = &mut listen(Some("1"));
    for lines in [&mut lines, again] {
        let told = reached(lines);
        assert!(told["starts_at"].is_string() && told["resets_at"].is_string(), "{told}");
        for (name, value) in [
            ("account", json!("ada")),
            ("budget", json!("all")),
            ("percent", json!(50)),
            ("used", json!("5")),
            ("limit", json!("10")),
            ("period", json!("month")),
            ("action", json!("notify")),
            ("entry", entry.clone()),
        ] {
            assert_eq!(told[name], value, "{name}: {told}");
        }
    }
}
