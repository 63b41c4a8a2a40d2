//! Servers over HTTP: a month through a change of clocks, audited by hand; late reports; what survives a kill.
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::pages::{mark_of, visit};
use crate::served::Served;

fn at(served: &Served, instant: &str) {
    let moved = served.post("/v1/test-clock/advance", "", &json!({"to": instant}));
    assert_eq!(moved.status, 200, "{}", moved.text);
}

fn report(served: &Served, server: &str, action: &str, body: &Value) -> Value {
    let told = served.post(&format!("/v1/accounts/ada/servers/{server}/{action}"), "", body);
    assert_eq!(told.status, 200, "{action} {server}: {}", told.text);
    told.json()
}

fn order(served: &Served, server: &str, tier: &str) {
    let body = json!({"project": "shop", "tier": tier});
    let ordered = served.put(&format!("/v1/accounts/ada/servers/{server}"), &body);
    assert_eq!(ordered.status, 201, "{}", ordered.text);
    assert_eq!(ordered.json()["state"], "provisioning");
}

fn grant(served: &Served, credits: &str, key: &str) {
    let body = json!({"credits": credits, "source": "adjustment", "reason": "for the test"});
    assert_eq!(served.post("/v1/accounts/ada/grants", key, &body).status, 201);
}

fn usage(served: &Served, query: &str) -> Value {
    let found = served.get(&format!("/v1/accounts/ada/usage?{query}"));
    assert_eq!(found.status, 200, "{}", found.text);
    found.json()
}

#[test]
fn a_balance_is_foretold_as_far_as_that_takes_a_moment() {
    let served = Served::sandbox();
    assert_eq!(served.put("/v1/accounts/ada", &json!({})).status, 201);
    let balance = |year: u32| served.get(&format!("/v1/accounts/ada/balance?at={year}-01-01T00:00:00Z"));
    order(&served, "web", "entry-level");
    assert_eq!(balance(2499).status, 200, "nothing runs");
    report(&served, "web", "start", &json!({}));
    assert_eq!(balance(2028).status, 200);
    assert_eq!(balance(2499).problem(), (422, "invalid_request".to_owned(), "at".to_owned()));
}

/// An outage is made good by hand, and the stop that was told late afterwards gives back no more of the same hour.
#[test]
fn an_hour_of_a_server_is_reversed_once_by_whichever_road() {
    let served = Served::sandbox();
    assert_eq!(served.put("/v1/accounts/ada", &json!({})).status, 201);
    grant(&served, "1000", "g");
    at(&served, "2027-03-01T10:00:00Z");
    order(&served, "web", "entry-level");
    report(&served, "web", "start", &json!({"at": "2027-03-01T10:00:00Z"}));
    // Its twin is stopped in time.
    order(&served, "twin", "entry-level");
    report(&served, "twin", "start", &json!({"at": "2027-03-01T10:00:00Z"}));
    at(&served, "2027-03-01T13:00:01Z");
    report(&served, "twin", "stop", &json!({"at": "2027-03-01T13:00:00Z"}));
    at(&served, "2027-03-01T15:30:00Z");
    let entries = served.get("/v1/accounts/ada/entries?server=web&limit=100").json();
    let hour = |begins: &str| {
        let is_it = |it: &&Value| it["kind"] == "charge" && it["work"]["at"] == begins;
        let found = entries["data"].as_array().unwrap().iter().find(is_it);
        found.unwrap_or_else(|| panic!("{begins} in {entries}"))["charge"].as_str().unwrap().to_owned()
    };
    let (thirteen, eleven) = (hour("2027-03-01T13:00:00.000Z"), hour("2027-03-01T11:00:00.000Z"));
    let reverse = |charge: &str, key: &str, credits: Value| {
        let body = json!({"credits": credits, "reason": "The network was down"});
        served.post(&format!("/v1/charges/{charge}/reverse"), key, &body)
    };
    let available = || served.get("/v1/accounts/ada/balance").json()["available"].as_str().unwrap().to_owned();
    let reversed = reverse(&thirteen, "r1", json!("1.5"));
    assert_eq!((reversed.status, &reversed.json()["reversed"]), (201, &json!("1.5")), "{}", reversed.text);
    // It had stopped at one: the rest of that hour goes back, and the others whole.
    report(&served, "web", "stop", &json!({"at": "2027-03-01T13:00:00Z"}));
    let three_hours = available();
    let day = "from=2027-03-01T00:00:00Z&to=2027-03-02T00:00:00Z&group_by=server";
    let by_server = usage(&served, day)["buckets"][0]["groups"].clone();
    let used = |server: &str| {
        let mut groups = by_server.as_array().unwrap().iter();
        groups.find(|it| it["server"] == server).unwrap()["credits"].clone()
    };
    assert_eq!(used("web"), used("twin"));
    let left = reverse(&thirteen, "r2", Value::Null);
    assert_eq!(left.problem().1, "reversal_exceeds_charge", "{}", left.text);
    assert_eq!(available(), three_hours);
    let again = reverse(&thirteen, "r1", json!("1.5"));
    assert_eq!((again.status, &again.text), (201, &reversed.text));
    let other = reverse(&eleven, "r3", Value::Null);
    assert_eq!(other.status, 201, "{}", other.text);
    served.verified();
}

/// March 2027 in Vilnius has 743 hours: clocks go forward on the 28th.
#[test]
fn a_month_of_three_servers_is_what_a_clerk_would_count() {
    let served = Served::sandbox();
    assert_eq!(served.put("/v1/accounts/ada", &json!({"timezone": "Europe/Vilnius"})).status, 201);
    grant(&served, "100000", "g");
    // Midnight of 1 March in Vilnius.
    at(&served, "2027-02-28T22:00:00Z");
    // One at a low tier all month: 743 h at 4 are 2 972, the cap is 2 500.
    order(&served, "steady", "entry-level");
    report(&served, "steady", "start", &json!({"at": "2027-02-28T22:00:00Z"}));
    // One that grows on the 15th at noon, over the change of clocks, and is released on the 31st at 06:00.
    order(&served, "growing", "business");
    report(&served, "growing", "start", &json!({"at": "2027-02-28T22:00:00Z"}));
    at(&served, "2027-03-15T10:00:00Z");
    report(&served, "growing", "resize", &json!({"tier": "enterprise", "at": "2027-03-15T10:00:00Z"}));
    // One for ten seconds, which count as a minute, at half past a day.
    order(&served, "brief", "entry-level");
    report(&served, "brief", "start", &json!({"at": "2027-03-15T10:00:00Z"}));
    at(&served, "2027-03-15T10:00:11Z");
    report(&served, "brief", "stop", &json!({"at": "2027-03-15T10:00:10Z"}));
    // The release is told two days late.
    at(&served, "2027-04-02T03:00:00Z");
    report(&served, "growing", "release", &json!({"at": "2027-03-31T03:00:00Z"}));
    let again = report(&served, "growing", "release", &json!({"at": "2027-03-31T03:00:00Z"}));
    assert_eq!(again["state"], "released");

    let march = "from=2027-02-28T22:00:00Z&to=2027-03-31T21:00:00Z";
    let by_server = usage(&served, &format!("{march}&group_by=server"));
    let credits: Vec<(&str, &str)> = by_server["buckets"][0]["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["server"].as_str().unwrap(), it["credits"].as_str().unwrap()))
        .collect();
    // steady: 300 + 2 500. brief: 300 + 60 s × 4 / 3 600, rounded up.
    // growing: 600; 348 h of business to the 15th 12:00 at 12 = 4 176; then 15 d 17 h less the hour that was skipped,
    // which is 377 h to the 31st 06:00, at 28 = 10 556.
    assert_eq!(credits, [("brief", "300.066667"), ("growing", "15332"), ("steady", "2800")]);
    assert_eq!(by_server["total"], "18432.066667");
    // However it is grouped, it is the total; setting up and running are told apart.
    for group_by in ["meter", "project", "server", "meter,project,server", "actor"] {
        for interval in ["hour", "day", "week", "month"] {
            let found = usage(&served, &format!("{march}&group_by={group_by}&interval={interval}"));
            assert_eq!(found["total"], "18432.066667", "{group_by} {interval}");
        }
    }
    let group = &usage(&served, &format!("{march}&group_by=meter"))["buckets"][0]["groups"][0];
    assert_eq!(group["provisioning_credits"], "1200");
    assert_eq!(group["runtime_credits"], "17232.066667");
    assert_eq!(group["quantities"]["runtime_seconds"], (743 + 348 + 377) * 3600 + 60);
    // April so far: steady alone, from 1 April 00:00 to 2 April 06:00 in Vilnius.
    assert_eq!(usage(&served, "from=2027-03-31T21:00:00Z&to=2027-04-02T03:00:00Z")["total"], "120");
    let balance = served.get("/v1/accounts/ada/balance").json();
    assert_eq!(balance["posted"], "81947.933333", "100 500 less 18 432.066667 less 120");
}

#[test]
fn the_balance_is_exact_at_any_instant() {
    let served = Served::sandbox();
    served.account("ada");
    at(&served, "2027-06-01T00:00:00Z");
    grant(&served, "1000", "g");
    order(&served, "vm", "entry-level");
    report(&served, "vm", "start", &json!({"at": "2027-06-01T00:00:00Z"}));
    let available = |at: &str| {
        let found = served.get(&format!("/v1/accounts/ada/balance?at={at}")).json();
        found["available"].as_str().unwrap().to_owned()
    };
    // 500 welcome and 1 000, less 300: the grant for servers alone has expired. Ahead, then behind.
    for (instant, credits) in [
        ("2027-06-01T00:00:30Z", "1199.966666"),
        ("2027-06-01T01:00:00Z", "1196"),
        ("2027-06-01T01:30:00Z", "1194"),
        ("2027-06-11T00:00:00Z", "240"),
    ] {
        assert_eq!(available(instant), credits, "{instant}, foretold");
    }
    let balance = served.get("/v1/accounts/ada/balance").json();
    // 1 200 credits at 4 an hour are used up in the last second that they pay for.
    let runs_out_at = balance["runs_out_at"].as_str().unwrap();
    assert!(runs_out_at.starts_with("2027-06-13T11:59:59."), "{runs_out_at}");
    at(&served, "2027-06-10T00:00:00Z");
    assert_eq!(available("2027-06-01T01:00:00Z"), "1196", "remembered");
    assert_eq!(available("2027-06-01T01:30:00Z"), "1194", "in the midst of an hour as well");
    let past = served.get("/v1/accounts/ada/balance?at=2027-06-01T01:30:00Z").json();
    assert_eq!((&past["posted"], &past["accrued"]), (&json!("1196"), &json!("2")), "{past}");
    assert_eq!(past["by_source"], json!({"welcome": "196", "adjustment": "1000"}), "{past}");
    assert_eq!(available("2027-06-11T00:00:00Z"), "240");
    assert_eq!(served.get("/v1/accounts/ada/balance").json()["burn_per_day"], "96");
    // At zero new work is refused; the server has its grace.
    at(&served, "2027-06-14T00:00:00Z");
    let refused = served.put("/v1/accounts/ada/servers/other", &json!({"tier": "entry-level"}));
    assert_eq!((refused.status, refused.json()["code"].as_str()), (402, Some("insufficient_credits")));
    assert_eq!(served.get("/v1/accounts/ada/balance").json()["debt"], "48");
    grant(&served, "100", "top-up");
    let left = served.available("ada");
    // The clock goes on while the test asks, and a second costs 0.0011: 52 within the first one.
    assert!(left == "52" || left.starts_with("51.9"), "debts are paid first, and {left} is left");
    assert_eq!(served.get("/v1/accounts/ada/balance").json()["debt"], "0");
}

fn restarted(mut served: Served) -> Served {
    served.kill();
    Served::start_with(served.directory.clone(), &[("SCRIP_SANDBOX", "1")], "")
}

/// What ran by then is in the ledger when a process ends in good order, and counts once when the next goes on.
#[test]
fn what_servers_used_is_settled_when_the_process_ends() {
    let served = Served::sandbox();
    served.account("ada");
    grant(&served, "1000", "g");
    at(&served, "2027-06-01T00:00:00Z");
    order(&served, "web", "entry-level");
    report(&served, "web", "start", &json!({"at": "2027-06-01T00:00:00Z"}));
    at(&served, "2027-06-01T00:20:00Z");
    let served = Served::start_with(served.stop(), &[("SCRIP_SANDBOX", "1")], "");
    let entries = served.get("/v1/accounts/ada/entries?meter=server").json();
    let seconds = |it: &Value| it["work"]["quantities"]["runtime_seconds"].as_i64();
    let settled: i64 = entries["data"].as_array().unwrap().iter().filter_map(seconds).sum();
    // Other nodes of a PostgreSQL go on with it.
    let least = if std::env::var("SCRIP_TEST_STORE").is_ok() { 0 } else { 1_200 };
    assert!((least..1_260).contains(&settled), "{entries}");
    at(&served, "2027-06-01T01:00:00Z");
    report(&served, "web", "stop", &json!({"at": "2027-06-01T01:00:00Z"}));
    let total = usage(&served, "from=2027-06-01T00:00:00Z&to=2027-06-02T00:00:00Z&meter=server")["total"].clone();
    assert_eq!(total, "304", "a set-up of 300 and an hour of 4");
    served.verified();
}

/// Killed without warning while it settles, and started again: each hour is in the ledger once.
#[test]
fn each_hour_settles_once_whatever_is_killed() {
    let mut served = Served::sandbox();
    served.account("ada");
    grant(&served, "1000000", "g");
    at(&served, "2027-06-01T00:00:00Z");
    for server in ["a", "b", "c"] {
        order(&served, server, "entry-level");
        report(&served, server, "start", &json!({"at": "2027-06-01T00:00:00Z"}));
    }
    for day in 2..8 {
        // A clock that is moved settles a day of three servers; it is killed somewhere in the midst of it.
        let (url, key) = (served.url.clone(), served.key.clone());
        let to = format!("2027-06-{day:02}T00:00:00Z");
        let body = json!({ "to": to }).to_string();
        let moving = std::thread::spawn(move || {
            let request =
                ureq::post(format!("{url}/v1/test-clock/advance")).header("authorization", format!("Bearer {key}"));
            drop(request.header("content-type", "application/json").send(body));
        });
        if day % 2 == 0 {
            moving.join().unwrap();
            served = restarted(served);
        } else {
            served = restarted(served);
            moving.join().unwrap();
        }
        // What was moved before the kill stays so, and the clock has gone on since.
        at(&served, &format!("2027-06-{day:02}T00:10:00Z"));
    }
    let mut hours = std::collections::BTreeSet::new();
    let mut cursor = String::new();
    loop {
        let page = served.get(&format!("/v1/accounts/ada/entries?limit=500&meter=server{cursor}")).json();
        for entry in page["data"].as_array().unwrap().iter().filter(|it| it["kind"] == "charge") {
            let work = &entry["work"];
            let hour = (work["resource"].to_string(), work["at"].to_string(), work["quantities"].to_string());
            assert!(hours.insert(hour.clone()), "{hour:?} is settled twice");
        }
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let total = usage(&served, "from=2027-06-01T00:00:00Z&to=2027-06-07T00:00:00Z")["total"].clone();
    assert_eq!(total, (3 * (300 + 6 * 24 * 4)).to_string());
    served.verified();
}

/// From eight days of runway down to release and back: each rung is told once, with what to do and about which.
#[test]
fn the_ladder_is_told_rung_by_rung() {
    let served = crate::webhooks::fresh();
    let ear = crate::webhooks::Ear::open(204);
    let events = [
        "server.runway_low",
        "server.stop_due",
        "server.release_due",
        "server.resume_due",
        "balance.low",
        "balance.exhausted",
        "balance.recovered",
    ];
    served.endpoint(&ear, &events);
    served.account("ada");
    // 600 less the set-up of 300 and 540 more: 840 at 96 a day is just under nine days. Below 150 is low.
    grant(&served, "540", "g");
    at(&served, "2027-06-01T00:00:00Z");
    order(&served, "vm", "entry-level");
    report(&served, "vm", "start", &json!({"at": "2027-06-01T00:00:00Z"}));
    for day in 2..=29 {
        at(&served, &format!("2027-06-{day:02}T00:00:00Z"));
    }
    let mut heard: Vec<Value> = (0..7).map(|_| ear.next().json()).collect();
    heard.sort_by_key(|it| it["timestamp"].as_str().unwrap().to_owned());
    let told: Vec<(&str, String)> = heard
        .iter()
        .map(|it| (it["type"].as_str().unwrap(), it["data"]["rung"].as_str().unwrap_or_default().to_owned()))
        .collect();
    let rung = |text: &str| ("server.runway_low", text.to_owned());
    let plain = |what: &'static str| (what, String::new());
    // The grant for servers expires with what is left of it, long after it is used up.
    let expected = [
        rung("7d"),
        rung("3d"),
        plain("balance.low"),
        rung("24h"),
        plain("balance.exhausted"),
        plain("server.stop_due"),
        plain("server.release_due"),
    ];
    assert_eq!(told, expected, "{heard:#?}");
    let of = |what: &str| &heard.iter().find(|it| it["type"] == what).unwrap()["data"];
    assert_eq!(of("server.runway_low")["servers"], json!(["vm"]));
    assert!(of("balance.exhausted")["grace_until"].is_string());
    assert_eq!(of("server.stop_due")["servers"], json!(["vm"]));
    assert_eq!(
        (&of("server.stop_due")["reason"], &of("server.release_due")["reason"]),
        (&json!("credits"), &json!("credits"))
    );
    // A top-up pays the debt first; then it may run on, and the rungs lie ahead again.
    grant(&served, "10000", "top-up");
    let mut back = [ear.next().what(), ear.next().what()];
    back.sort();
    assert_eq!(back, ["balance.recovered", "server.resume_due"]);
}

#[test]
fn the_runways_that_are_told_of_are_the_operators_to_choose() {
    let grace = "[grace]\nhours = 72\ndebt_max = \"5000\"\nrelease_after_hours = 168\nrunway_hours = [48, 30, 6]\n";
    let config = format!("webhooks_anywhere = true\n{grace}");
    let served = Served::start_with(Arc::new(TempDir::new().unwrap()), &[("SCRIP_SANDBOX", "1")], &config);
    let ear = crate::webhooks::Ear::open(204);
    served.endpoint(&ear, &["server.runway_low", "balance.exhausted"]);
    served.account("ada");
    grant(&served, "540", "g");
    at(&served, "2027-06-01T00:00:00Z");
    order(&served, "vm", "entry-level");
    report(&served, "vm", "start", &json!({"at": "2027-06-01T00:00:00Z"}));
    for day in 2..=11 {
        at(&served, &format!("2027-06-{day:02}T00:00:00Z"));
    }
    let mut heard: Vec<Value> = (0..4).map(|_| ear.next().json()).collect();
    heard.sort_by_key(|it| it["timestamp"].as_str().unwrap().to_owned());
    let ends: jiff::Timestamp = heard[3]["timestamp"].as_str().unwrap().parse().unwrap();
    for (told, (rung, hours)) in heard.iter().zip([("2d", 48), ("30h", 30), ("6h", 6)]) {
        let at: jiff::Timestamp = told["timestamp"].as_str().unwrap().parse().unwrap();
        let left = ends.duration_since(at).as_hours();
        assert_eq!(told["data"]["rung"], rung, "{told}");
        assert!((hours - 1..=hours).contains(&left), "at the hour's settlement before {hours} are left: {told}");
    }
    served.verified();
}

/// Its first server uses the credits up within the week: the notice comes with the very report that starts it.
#[test]
fn a_server_that_just_started_is_among_those_that_use_the_credits_up() {
    let served = crate::webhooks::fresh();
    let ear = crate::webhooks::Ear::open(204);
    served.endpoint(&ear, &["server.runway_low"]);
    served.account("ada");
    order(&served, "vm", "entry-level");
    report(&served, "vm", "start", &json!({}));
    let heard = ear.next().json();
    assert_eq!((&heard["data"]["rung"], &heard["data"]["servers"]), (&json!("7d"), &json!(["vm"])), "{heard}");
}

#[test]
fn an_entry_says_what_was_reported_of_which_server() {
    let served = Served::sandbox();
    served.account("ada");
    grant(&served, "5000", "g");
    at(&served, "2027-06-10T00:00:00Z");
    let (midnight, half_past) = ("2027-06-10T00:00:00.000Z", "2027-06-10T00:30:00.000Z");
    let (one, two) = ("2027-06-10T01:00:00.000Z", "2027-06-10T02:00:00.000Z");
    let ordered = json!({"project": "shop", "tier": "entry-level", "at": midnight});
    assert_eq!(served.put("/v1/accounts/ada/servers/vm", &ordered).status, 201);
    order(&served, "other", "entry-level");
    at(&served, "2027-06-10T02:00:00Z");
    report(&served, "vm", "start", &json!({"at": half_past}));
    report(&served, "vm", "resize", &json!({"tier": "business", "at": one}));
    report(&served, "vm", "stop", &json!({"at": two}));
    let listed =
        |query: &str| served.get(&format!("/v1/accounts/ada/entries?limit=100&{query}")).json()["data"].clone();
    let told = |entries: &Value| -> Vec<Value> {
        let entries = entries.as_array().unwrap().iter().rev().filter(|it| it["kind"] == "server");
        entries.map(|it| it["server"].clone()).collect()
    };
    let said = |act: &str, tier: Value, at: &str| json!({"id": "vm", "act": act, "tier": tier, "at": at});
    let of_vm = [
        said("provision", json!("entry-level"), midnight),
        said("start", json!("entry-level"), half_past),
        said("resize", json!("business"), one),
        said("stop", Value::Null, two),
    ];
    let entries = listed("server=vm");
    assert_eq!(told(&entries), of_vm, "{entries}");
    assert!(entries.as_array().unwrap().iter().any(|it| it["kind"] == "charge" && it["server"].is_null()), "{entries}");
    assert_eq!(told(&listed("")).len(), 5);
    assert_eq!(told(&listed("server=vm&meter=server")), [Value::Null; 0], "a meter is of work alone");
    let csv = served.get_csv("/v1/accounts/ada/entries?server=vm").text;
    assert!(csv.lines().next().unwrap().ends_with(",by,act,from_expired"), "{csv}");
    assert!(csv.lines().any(|it| it.contains(",server,") && it.ends_with(",resize,0") && it.contains(",vm,")), "{csv}");
}

/// What cannot be, by what is known of a server, is refused, and says so.
#[test]
fn reports_that_cannot_be_are_refused() {
    let served = Served::sandbox();
    served.account("ada");
    grant(&served, "5000", "g");
    at(&served, "2027-06-10T00:00:00Z");
    let tell = |server: &str, action: &str, body: &Value| {
        served.post(&format!("/v1/accounts/ada/servers/{server}/{action}"), "", body).problem()
    };
    let conflict = (409, "server_conflict".to_owned(), String::new());
    let not_found = (404, "server_not_found".to_owned(), String::new());
    let invalid = |field: &str| (422, "invalid_request".to_owned(), field.to_owned());
    assert_eq!(tell("vm", "start", &json!({})), not_found, "start before provision");
    order(&served, "vm", "entry-level");
    // What a stop ended may not have been told yet.
    assert_eq!(report(&served, "vm", "stop", &json!({}))["state"], "provisioning");
    assert_eq!(tell("vm", "resize", &json!({})), invalid("tier"));
    assert_eq!(tell("vm", "resize", &json!({"tier": "palatial"})).1, "unpriced", "an unknown tier");
    assert_eq!(tell("vm", "start", &json!({"tier": "business"})), invalid("tier"));
    assert_eq!(tell("vm", "dance", &json!({})), invalid("action"));
    assert_eq!(tell("vm", "start", &json!({"at": "2027-06-10T00:06:00Z"})), invalid("at"), "the future");
    assert_eq!(tell("vm", "start", &json!({"at": "2499-01-01T00:00:00Z"})), invalid("at"), "the far future");
    assert_eq!(tell("vm", "start", &json!({"at": "2027-05-01T00:00:00Z"})), invalid("at"), "too long ago");
    assert_eq!(tell("vm", "start", &json!({"at": "yesterday"})), invalid("at"));
    assert_eq!(served.put("/v1/accounts/ada/servers/vm", &json!({"tier": "business"})).problem(), conflict);
    assert_eq!(served.put("/v1/accounts/ada/servers/other", &json!({"tier": "palatial"})).problem().1, "unpriced");
    report(&served, "vm", "start", &json!({}));
    at(&served, "2027-06-12T00:00:00Z");
    report(&served, "vm", "release", &json!({}));
    assert_eq!(tell("vm", "start", &json!({})), conflict, "what was released is gone");
    // That it was stopped after that is no news.
    let stopped = report(&served, "vm", "stop", &json!({"at": "2027-06-12T00:00:01Z"}));
    assert_eq!(stopped["state"], "released");
    // A stop that is told late is put in its place: it was stopped, and then released.
    assert_eq!(report(&served, "vm", "stop", &json!({"at": "2027-06-11T00:00:00Z"}))["runtime_credits"], "96");
    assert_eq!(tell("vm", "start", &json!({"at": "2027-06-11T12:00:00Z", "tier": "x"})), invalid("tier"));
    // What stands in the way is named.
    report(&served, "vm", "start", &json!({"at": "2027-06-11T18:00:00Z"}));
    let release = served.post("/v1/accounts/ada/servers/vm/release", "", &json!({"at": "2027-06-11T06:00:00Z"}));
    assert_eq!(release.problem(), conflict);
    assert!(release.text.contains("start later, at 2027-06-11T18:00:00Z"), "{}", release.text);
    // Nothing happens to a server before it was ordered; a clock may be a little behind.
    order(&served, "new", "entry-level");
    assert_eq!(tell("new", "start", &json!({"at": "2027-06-11T23:58:59Z"})), invalid("at"));
    let started = report(&served, "new", "start", &json!({"at": "2027-06-11T23:59:10Z"}));
    assert_eq!(started["started_at"], started["provisioned_at"]);
    assert_eq!(served.get("/v1/accounts/ada/servers/nobody").problem(), not_found);
}

#[test]
fn a_quote_says_how_long_credits_last_after_it() {
    let served = Served::sandbox();
    served.account("ada");
    let quote = |credits: u64| {
        let work = json!({"account": "ada", "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"},
            "quantities": {"input_tokens": credits * 8_000}, "binding_for_seconds": 60});
        served.post("/v1/quotes", &format!("q{credits}"), &work).json()
    };
    assert_eq!(quote(1)["runs_out_at"], Value::Null, "nothing burns");
    order(&served, "vm", "entry-level");
    report(&served, "vm", "start", &json!({}));
    let instant = |it: &Value| it["runs_out_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let foretold = instant(&served.get("/v1/accounts/ada/balance").json());
    // At 4 an hour, 8 credits are two hours; a month that ends rounds once more, by a second.
    let after = quote(8);
    let sooner = foretold.duration_since(instant(&after)).as_millis();
    assert!((7_199_000..=7_201_000).contains(&sooner), "{sooner} {after}");
    assert_eq!(quote(8), after, "what was promised is answered again as it was");
    let too_dear = quote(100_000);
    assert_eq!((&too_dear["affordable"], &too_dear["runs_out_at"]), (&json!(false), &Value::Null));
}

/// Lets a card take effect at `at` by which the business tier costs `price` an hour.
pub fn price_business(served: &Served, version: u32, at: &str, price: &str) {
    let mut card = served.get("/v1/rate-card").json();
    card["version"] = json!(version);
    card["effective_at"] = json!(at);
    for rate in card["meters"]["server"]["rates"].as_array_mut().unwrap() {
        if rate["when"]["tier"].to_string().contains("business") {
            rate["runtime_seconds"]["price"] = json!(price);
            rate["runtime_seconds"]["monthly_cap"] = json!("1000000");
        }
    }
    let added = served.post("/v1/rate-cards", "", &card);
    assert_eq!(added.status, 201, "{}", added.text);
}

/// Prices take effect at their instant, all of them, whoever looks when, and however late it is told that a server ran.
#[test]
fn every_price_there_was_is_asked_for_its_time() {
    let served = Served::sandbox();
    served.account("ada");
    grant(&served, "100000", "g");
    at(&served, "2027-06-01T00:00:00Z");
    let hour = |hour: u32| format!("2027-06-01T{hour:02}:00:00Z");
    let order_at_midnight = |server: &str, tier: &str| {
        let body = json!({"tier": tier, "at": hour(0)});
        assert_eq!(served.put(&format!("/v1/accounts/ada/servers/{server}"), &body).status, 201);
    };
    let runtime = |server: &str| {
        let shown = served.get(&format!("/v1/accounts/ada/servers/{server}")).json();
        (shown["runtime_credits"].as_str().unwrap().to_owned(), shown["seconds"].as_u64().unwrap())
    };
    for server in ["seen", "unseen"] {
        order_at_midnight(server, "business");
        report(&served, server, "start", &json!({"at": hour(0)}));
    }
    // Twelve an hour, then twenty and forty from the middle of hours, and of a second at that.
    price_business(&served, 2, "2027-06-01T02:30:00.500Z", "3600");
    price_business(&served, 3, "2027-06-01T04:30:00.500Z", "7200");
    at(&served, "2027-06-01T02:31:00Z");
    // A minute of the new price is there to see before its hour is settled, and after a stop. The second in which the
    // price changed was begun at the old one.
    let (credits, seconds) = runtime("seen");
    assert_eq!(credits, format!("{}.003334", 30 + seconds - 9_001), "9001 seconds at 12 an hour, the others at 1 each");
    report(&served, "seen", "stop", &json!({"at": "2027-06-01T02:31:00Z"}));
    assert_eq!(runtime("seen"), ("89.003334".to_owned(), 9_060));
    at(&served, "2027-06-01T08:00:00Z");
    report(&served, "unseen", "stop", &json!({"at": hour(5)}));
    let whole = ("10828.003334".to_owned(), 18_000);
    assert_eq!(runtime("unseen"), whole, "and 7200 at 1, 1799 at 2");
    // Told only now, all of it, and in any order.
    for (server, order) in [("a", [0, 1, 2]), ("b", [0, 2, 1]), ("c", [1, 0, 2])] {
        order_at_midnight(server, "entry-level");
        let reports = [
            ("start", json!({"at": hour(0)})),
            ("resize", json!({"tier": "business", "at": hour(0)})),
            ("stop", json!({"at": hour(5)})),
        ];
        for number in order {
            report(&served, server, reports[number].0, &reports[number].1);
        }
        assert_eq!(runtime(server), whole, "{server}");
    }
    let entries = served.get("/v1/accounts/ada/entries?server=unseen&limit=100").json();
    let of_prices = entries["data"].as_array().unwrap().iter().filter(|it| it["server"]["act"] == "prices");
    assert_eq!(of_prices.count(), 2, "{entries}");
    served.verified();
}

/// A report that says what is known when it comes is news when the time before it is told of.
#[test]
fn reports_come_in_any_order() {
    let served = Served::sandbox();
    served.account("ada");
    grant(&served, "100000", "g");
    at(&served, "2027-06-01T12:00:00Z");
    let hour = |hour: u32| format!("2027-06-01T{hour:02}:00:00Z");
    type Story<'a> = (&'a [(&'a str, u32)], &'a str, u64);
    let stories: [Story<'_>; 4] = [
        (&[("start", 1), ("stop", 7), ("stop", 11), ("start", 9)], "stopped", 8),
        (&[("start", 1), ("start", 3), ("stop", 2)], "running", 10),
        (&[("start", 1), ("stop", 11), ("release", 10)], "released", 9),
        (&[("start", 1), ("release", 12), ("stop", 4), ("stop", 6), ("start", 5)], "released", 4),
    ];
    for (number, (story, state, hours)) in stories.into_iter().enumerate() {
        let server = format!("vm-{number}");
        let body = json!({"tier": "business", "at": hour(0)});
        assert_eq!(served.put(&format!("/v1/accounts/ada/servers/{server}"), &body).status, 201);
        for (action, at) in story {
            report(&served, &server, action, &json!({"at": hour(*at)}));
        }
        let shown = served.get(&format!("/v1/accounts/ada/servers/{server}")).json();
        // The clock goes on.
        let seconds = shown["seconds"].as_u64().unwrap();
        let late = if state == "running" { 60 } else { 0 };
        assert!((hours * 3_600..=hours * 3_600 + late).contains(&seconds), "{story:?}: {shown}");
        assert_eq!(shown["state"], state, "{story:?}");
    }
    // The tier is what was told to be so from the last time on.
    let body = json!({"tier": "entry-level", "at": hour(0)});
    assert_eq!(served.put("/v1/accounts/ada/servers/sized", &body).status, 201);
    report(&served, "sized", "start", &json!({"at": hour(1)}));
    report(&served, "sized", "stop", &json!({"at": hour(12)}));
    report(&served, "sized", "resize", &json!({"tier": "entry-level", "at": hour(11)}));
    let shown = report(&served, "sized", "resize", &json!({"tier": "business", "at": hour(10)}));
    assert_eq!(shown["tier"], "entry-level");
    // Nine hours of it, one of the other, and one of it again.
    assert_eq!(shown["runtime_credits"], "52");
    // A start told late is of the tier it had then.
    assert_eq!(served.put("/v1/accounts/ada/servers/grown", &body).status, 201);
    report(&served, "grown", "resize", &json!({"tier": "business", "at": hour(11)}));
    report(&served, "grown", "start", &json!({"at": hour(10)}));
    let shown = report(&served, "grown", "stop", &json!({"at": hour(12)}));
    assert_eq!((&shown["tier"], &shown["runtime_credits"]), (&json!("business"), &json!("16")));
    served.verified();
}

/// Prices that came while nobody looked are asked for their time, however long that was, and reports are taken.
#[test]
fn a_price_is_asked_however_long_nobody_looked() {
    let served = Served::sandbox();
    served.account("ada");
    grant(&served, "100000", "g");
    at(&served, "2027-06-01T00:00:00Z");
    let body = json!({"tier": "business", "at": "2027-06-01T00:00:00Z"});
    assert_eq!(served.put("/v1/accounts/ada/servers/vm", &body).status, 201);
    report(&served, "vm", "start", &json!({"at": "2027-06-01T00:00:00Z"}));
    price_business(&served, 2, "2027-06-11T00:00:00Z", "20");
    at(&served, "2027-09-09T00:00:00Z");
    // Ten days at 12 an hour, and ninety at 20.
    let stopped = report(&served, "vm", "stop", &json!({"at": "2027-09-09T00:00:00Z"}));
    assert_eq!((&stopped["runtime_credits"], &stopped["rate_card"]), (&json!("46080"), &json!(2)), "{stopped}");
    served.verified();
}

/// Who orders a server owes its commitment: that is said before, must be there, and is what a release comes to.
#[test]
fn a_commitment_is_said_and_asked_for_before_it_is_charged() {
    let served = Served::sandbox();
    at(&served, "2027-06-01T00:00:00Z");
    served.account("ada");
    let mut card = served.get("/v1/rate-card").json();
    (card["version"], card["effective_at"]) = (json!(2), json!("2027-06-01T01:00:00Z"));
    for rate in card["meters"]["server"]["rates"].as_array_mut().unwrap() {
        if rate["when"]["tier"].to_string().contains("entry-level") {
            rate["runtime_seconds"]["commitment_seconds"] = json!(90 * 3_600);
        }
    }
    assert_eq!(served.post("/v1/rate-cards", "", &card).status, 201);
    at(&served, "2027-06-01T02:00:00Z");
    // 300 for the set-up and 360 for ninety hours; 600 are there.
    let cookie = visit(&served, "ada", "member");
    let mark = mark_of(&served.browse("/settings/estimate", &cookie).text).to_owned();
    let fields = [("mark", &*mark), ("kind", "server"), ("tier", "entry-level"), ("time", "A day")];
    let part = |(name, value): (&str, &str)| {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let form: String = fields.map(part).concat() + "--x--\r\n";
    let page = served.submit_as("/settings/estimate", &cookie, "multipart/form-data; boundary=x", &form).text;
    for says in ["value=\"660\"", "Minimum commitment, 90 hours", "60.00 more than is available"] {
        assert!(page.contains(says), "{says}: {page}");
    }
    let ordered =
        |server: &str| served.put(&format!("/v1/accounts/ada/servers/{server}"), &json!({"tier": "entry-level"}));
    let refused = ordered("vm");
    assert_eq!((refused.status, &refused.json()["required"]), (402, &json!("660")), "{}", refused.text);
    grant(&served, "100", "g");
    assert_eq!(ordered("vm").json()["commitment_seconds"], 324_000);
    assert_eq!(ordered("other").status, 402, "what the first will cost is bespoken");
    report(&served, "vm", "start", &json!({}));
    at(&served, "2027-06-01T03:00:00Z");
    let released = report(&served, "vm", "release", &json!({}));
    assert_eq!((&released["runtime_credits"], &released["seconds"]), (&json!("360"), &json!(324_000)));
    assert_eq!(served.available("ada"), "40");
    served.verified();
}
