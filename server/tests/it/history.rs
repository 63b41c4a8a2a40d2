//! Accounts, projects, grants, usage and the ledger: what can be looked up adds up.
use serde_json::{Value, json};

use crate::pages::visit;
use crate::served::{Served, chat};

/// The sum of decimal strings, in millionths.
fn micros<'a>(amounts: impl IntoIterator<Item = &'a Value>) -> i64 {
    let one = |it: &Value| {
        let text = it.as_str().unwrap();
        let (whole, fraction) =
            text.trim_start_matches('-').split_once('.').unwrap_or((text.trim_start_matches('-'), ""));
        let value = whole.parse::<i64>().unwrap() * 1_000_000 + format!("{fraction:0<6}").parse::<i64>().unwrap();
        if text.starts_with('-') { -value } else { value }
    };
    amounts.into_iter().map(one).sum()
}

fn filled() -> Served {
    let server = Served::start();
    server.account("ada");
    for (key, tokens, project) in [("a", 8_000, "shop"), ("b", 12_345, "shop"), ("c", 777, "blog")] {
        let mut charge = chat("ada", key, tokens);
        charge["project"] = json!(project);
        assert_eq!(server.charge(&charge).status, 201);
    }
    let plain = server.charge(&chat("ada", "d", 16_000)).json();
    let path = format!("/v1/charges/{}/reverse", plain["id"].as_str().unwrap());
    assert_eq!(server.post(&path, "u", &json!({"credits": "0.5", "reason": "Slow"})).status, 201);
    server
}

#[test]
fn usage_is_the_sum_of_the_entries_and_csv_says_the_same() {
    let server = filled();
    let path = "/v1/accounts/ada/usage?interval=day&group_by=meter,project";
    let usage = server.get(path).json();
    let groups: Vec<&Value> =
        usage["buckets"].as_array().unwrap().iter().flat_map(|it| it["groups"].as_array().unwrap()).collect();
    let entries = server.get("/v1/accounts/ada/entries?meter=ai_chat").json();
    let spent = -micros(entries["data"].as_array().unwrap().iter().map(|it| &it["credits"]));
    assert_eq!(micros(groups.iter().map(|it| &it["credits"])), spent);
    assert_eq!(micros([&usage["total"]]), spent);
    let unassigned = groups.iter().find(|it| it["project"].is_null()).unwrap();
    assert_eq!((&unassigned["credits"], &unassigned["count"]), (&json!("1.5"), &json!(1)));
    let csv = server.get_csv(path);
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8; header=present"));
    assert_eq!(
        csv.text.lines().next(),
        Some("start,meter,project,credits,count,quantities,provisioning_credits,runtime_credits")
    );
    for group in &groups {
        let project = group["project"].as_str().unwrap_or_default();
        let wanted = format!(
            ",ai_chat,{project},{},{},input_tokens={},,",
            group["credits"].as_str().unwrap(),
            group["count"],
            group["quantities"]["input_tokens"]
        );
        assert!(csv.text.lines().any(|it| it.ends_with(&wanted)), "{wanted} in {}", csv.text);
    }
}

#[test]
fn the_ledger_pages_through_everything_once_and_balances() {
    let server = filled();
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/v1/accounts/ada/entries?limit=2{cursor}")).json();
        for entry in page["data"].as_array().unwrap() {
            ids.push(entry["id"].as_str().unwrap().to_owned());
            assert!(!entry["movements"].as_array().unwrap().is_empty(), "{entry}");
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(ids.len(), 7);
    assert!(ids.is_sorted_by(|newer, older| older < newer), "newest first, none twice");
    let csv = server.get_csv("/v1/accounts/ada/entries").text;
    let ids_in =
        |csv: &str| -> Vec<String> { csv.lines().skip(1).map(|it| it.split(',').next().unwrap().to_owned()).collect() };
    assert_eq!(ids_in(&csv), ids);
    // A page at a time, the header says where the next one begins.
    let (half, mut walked, mut cursor) = (ids.len().div_ceil(2), Vec::new(), Some(String::new()));
    while let Some(from) = cursor {
        let page = server.get_csv(&format!("/v1/accounts/ada/entries?limit={half}{from}"));
        assert_eq!((page.status, ids_in(&page.text).len() <= half), (200, true));
        walked.push(ids_in(&page.text));
        cursor = page.header("next-cursor").map(|it| format!("&cursor={it}"));
    }
    assert_eq!((walked.len(), walked.concat()), (2, ids_in(&csv)));
    let balance = server.get("/v1/accounts/ada/balance").json();
    let entries = server.get("/v1/accounts/ada/entries").json();
    assert_eq!(entries["data"][0]["balance"]["available"], balance["available"]);
    assert_eq!(
        micros(entries["data"].as_array().unwrap().iter().map(|it| &it["credits"])),
        micros([&balance["posted"]])
    );
    let at = entries["data"][2]["at"].as_str().unwrap();
    let then = server.get(&format!("/v1/accounts/ada/balance?at={at}")).json();
    assert_eq!(then["posted"], entries["data"][2]["balance"]["posted"]);
}

#[test]
fn a_category_that_nothing_is_of_shows_nothing() {
    let server = filled();
    let cookie = visit(&server, "ada", "owner");
    let exported = |query: &str| {
        let file = server.browse(&format!("/settings/activity.csv{query}"), &cookie);
        assert_eq!(file.status, 200, "{}", file.text);
        file.text.lines().count()
    };
    assert!(3 < exported(""), "a heading, and what was used");
    assert_eq!(exported("?category=Nonsense"), 1);
}

#[test]
fn a_last_page_that_is_full_says_that_it_is_the_last() {
    let server = filled();
    server.account("bob");
    for path in ["/v1/accounts/ada/grants", "/v1/accounts"] {
        let all = server.get(path).json()["data"].as_array().unwrap().len();
        let page = |limit: usize| server.get(&format!("{path}?limit={limit}")).json();
        let (whole, first) = (page(all), page(all - 1));
        assert_eq!((whole["data"].as_array().unwrap().len(), &whole["next_cursor"]), (all, &Value::Null), "{path}");
        let next = first["next_cursor"].as_str().unwrap();
        let last = server.get(&format!("{path}?limit=1&cursor={next}")).json();
        assert_eq!((&last["data"][0], &last["next_cursor"]), (&whole["data"][all - 1], &Value::Null), "{path}");
    }
}

#[test]
fn usage_is_of_whole_hours_and_says_of_which() {
    let server = Served::sandbox();
    server.account("ada");
    let to = |at: &str| assert_eq!(server.post("/v1/test-clock/advance", "", &json!({"to": at})).status, 200);
    to("2031-03-05T07:10:00Z");
    assert_eq!(server.charge(&chat("ada", "a", 8_000)).status, 201);
    to("2031-03-05T08:50:00Z");
    assert_eq!(server.charge(&chat("ada", "b", 16_000)).status, 201);
    let usage = |range: &str| {
        let report = server.get(&format!("/v1/accounts/ada/usage?{range}")).json();
        ["from", "to", "total"].map(|it| report[it].as_str().unwrap().to_owned())
    };
    let [seven, eight, nine] = ["07", "08", "09"].map(|it| format!("2031-03-05T{it}:00:00.000Z"));
    let bounds = |from: &str, to: &str| usage(&format!("from=2031-03-05T{from}:00Z&to=2031-03-05T{to}:00Z"));
    assert_eq!(bounds("07:30", "08:00"), [&*seven, &*eight, "1"]);
    assert_eq!(bounds("07:30", "08:01"), [&*seven, &*nine, "3"]);
    let until_now = usage("from=2031-03-05T08:59:59Z");
    assert_eq!((&until_now[0], &*until_now[2]), (&eight, "2"));
    assert!(until_now[1].starts_with("2031-03-05T08:50:"), "{until_now:?}");
}

#[test]
fn a_past_balance_says_how_fast_credits_went_then() {
    let server = Served::sandbox();
    server.account("ada");
    let at = server.later(86_400);
    server.advance(43_200);
    assert_eq!(server.charge(&chat("ada", "a", 8_000 * 20)).status, 201);
    server.advance(43_200);
    let now = server.get("/v1/accounts/ada/balance").json();
    server.advance(3_600);
    assert_eq!(server.charge(&chat("ada", "b", 8_000 * 400)).status, 201);
    let then = server.get(&format!("/v1/accounts/ada/balance?at={at}")).json();
    for balance in [now, then] {
        assert!((19_900_000..=20_000_000).contains(&micros([&balance["burn_per_day"]])), "{balance}");
        assert!(balance["runs_out_at"].is_string(), "{balance}");
    }
}

#[test]
fn grants_are_drawn_shown_and_voided() {
    let server = Served::start();
    server.account("ada");
    let grant = |key: &str, body: Value| server.post("/v1/accounts/ada/grants", key, &body);
    let scoped = grant(
        "g1",
        json!({
            "credits": "10", "source": "promo", "reason": "Try the shop", "scope": {"projects": ["shop"]},
            "expires_at": "2030-01-01T02:00:00+02:00",
        }),
    );
    assert_eq!(
        (scoped.status, &scoped.json()["expires_at"]),
        (201, &json!("2030-01-01T00:00:00.000Z")),
        "{}",
        scoped.text
    );
    let mut charge = chat("ada", "c1", 8_000);
    charge["project"] = json!("shop");
    assert_eq!(server.charge(&charge).json()["grants"][0]["grant"], scoped.json()["id"]);
    let void = format!("/v1/grants/{}/void", scoped.json()["id"].as_str().unwrap());
    assert_eq!(server.post(&void, "v1", &json!({"reason": "Over"})).json()["credits"], "9");
    assert_eq!(server.post(&void, "v2", &json!({"reason": "Over"})).problem().1, "nothing_to_void");
    let grants = server.get("/v1/accounts/ada/grants").json();
    let states: Vec<&str> = grants["data"].as_array().unwrap().iter().map(|it| it["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["voided", "live", "live"]);
    assert_eq!(grant("g2", json!({"credits": 1, "source": "welcome", "reason": "x"})).problem().2, "source");
    assert_eq!(grant("g2", json!({"credits": 1, "source": "promo", "reason": ""})).problem().2, "reason");
    assert_eq!(grant("", json!({"credits": 1, "source": "promo", "reason": "x"})).problem().2, "Idempotency-Key");
    assert_eq!(
        grant("g1", json!({"credits": 1, "source": "promo", "reason": "x"})).problem().1,
        "idempotency_conflict"
    );
    // A meter and a project of one name are two scopes.
    let scoped = |scope: Value| grant("g4", json!({"credits": 1, "source": "promo", "reason": "x", "scope": scope}));
    assert_eq!(scoped(json!({"meters": ["ai_chat"]})).status, 201);
    assert_eq!(scoped(json!({"projects": ["ai_chat"]})).problem().1, "idempotency_conflict");
    let past = json!({"credits": 1, "source": "promo", "reason": "x", "expires_at": "2020-01-01T00:00:00Z"});
    assert_eq!(grant("g3", past).problem().2, "expires_at");
}

#[test]
fn projects_come_with_charges_and_can_be_deleted() {
    let server = filled();
    let projects = server.get("/v1/accounts/ada/projects").json();
    let ids: Vec<&str> = projects["data"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["blog", "shop"]);
    assert_eq!(server.put("/v1/accounts/ada/projects/shop", &json!({"name": "Web shop"})).status, 200);
    assert_eq!(server.put("/v1/accounts/ada/projects/new", &json!({})).status, 201);
    assert_eq!(server.delete("/v1/accounts/ada/projects/shop").status, 204);
    assert_eq!(server.get("/v1/accounts/ada/projects/shop").problem().1, "project_not_found");
    assert_eq!(server.delete("/v1/accounts/ada/projects/shop").problem().1, "project_not_found");
    let usage = server.get("/v1/accounts/ada/usage?group_by=project&project=shop").json();
    assert_eq!(usage["buckets"][0]["groups"][0]["count"], 2);
}

/// Spend is never hidden: what a deleted project is charged for work done since brings it back, whoever reads it, be it
/// in the very hour it was deleted in. Work from before does not.
#[test]
fn a_deleted_project_is_there_again_once_something_is_done_for_it() {
    let mut server = Served::sandbox();
    server.account("ada");
    let used = |server: &Served, key: &str, project: &str, at: Option<String>| {
        let mut charge = chat("ada", key, 8_000);
        charge["project"] = json!(project);
        charge["at"] = at.map_or(Value::Null, Value::from);
        assert_eq!(server.charge(&charge).status, 201);
    };
    let restarted = |server: Served| Served::start_with(server.stop(), &[("SCRIP_SANDBOX", "1")], "");
    let at = |server: &Served| server.get("/v1/accounts/ada/balance").json()["as_of"].as_str().unwrap().to_owned();
    let listed = |server: &Served| {
        let list = server.get("/v1/accounts/ada/projects").json();
        let ids = list["data"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>().join(" ")
    };
    used(&server, "1", "blog", None);
    used(&server, "2", "shop", None);
    assert_eq!(server.put("/v1/accounts/ada/projects/shop", &json!({"name": "Web shop"})).status, 200);
    let before = at(&server);
    server.advance(60);
    assert_eq!(server.delete("/v1/accounts/ada/projects/shop").status, 204);
    assert_eq!(server.delete("/v1/accounts/ada/projects/blog").status, 204);
    server.advance(1);
    used(&server, "3", "shop", Some(before));
    assert_eq!(listed(&server), "", "what was done before is no reason");
    used(&server, "4", "shop", None);
    assert_eq!(listed(&server), "shop");
    assert_eq!(server.get("/v1/accounts/ada/projects/shop").json()["name"], "Web shop");
    // Whoever reads it anew reads the same, at once and long after.
    server = restarted(server);
    assert_eq!(listed(&server), "shop");
    server.advance(80 * 86_400);
    assert_eq!(listed(&server), "shop");
    // Deleted again, it is gone; and a later hour brings it back too.
    assert_eq!(server.delete("/v1/accounts/ada/projects/shop").status, 204);
    assert_eq!(listed(&server), "");
    server.advance(86_400);
    used(&server, "5", "shop", None);
    assert_eq!(listed(&server), "shop");
    server = restarted(server);
    assert_eq!(listed(&server), "shop");
}

/// However much of it is counted into months by then: a project is there since the first hour it was used in.
#[test]
fn projects_are_known_by_the_months_and_by_what_came_since() {
    let server = Served::sandbox();
    server.account("ada");
    let used = |key: &str, project: &str, at: Option<&str>| {
        let mut charge = chat("ada", key, 8_000);
        charge["project"] = json!(project);
        charge["at"] = at.map_or(Value::Null, Value::from);
        assert_eq!(server.charge(&charge).status, 201);
    };
    let listed = || {
        let list = server.get("/v1/accounts/ada/projects").json();
        let text = |it: &Value| format!("{} {}", it["id"].as_str().unwrap(), it["created_at"].as_str().unwrap());
        list["data"].as_array().unwrap().iter().map(text).collect::<Vec<_>>()
    };
    server.advance_to("2027-03-10T12:30:00Z");
    used("1", "shop", None);
    assert_eq!(listed(), ["shop 2027-03-10T12:00:00.000Z"]);
    // Whoever asks for a statement has the months counted.
    assert_eq!(server.get("/v1/accounts/ada/statements/2027-03").status, 200);
    server.advance_to("2027-04-02T12:30:00Z");
    used("2", "shop", None);
    used("3", "new", None);
    used("4", "blog", Some("2027-03-05T10:30:00Z"));
    let all = ["blog 2027-03-05T10:00:00.000Z", "new 2027-04-02T12:00:00.000Z", "shop 2027-03-10T12:00:00.000Z"];
    assert_eq!(listed(), all);
    assert_eq!(server.get("/v1/accounts/ada/statements/2027-04").status, 200);
    assert_eq!(listed(), all);
    assert_eq!(server.get("/v1/accounts/ada/projects/blog").json()["created_at"], "2027-03-05T10:00:00.000Z");
}

#[test]
fn a_closed_account_spends_no_more_and_is_forgotten_by_name() {
    let server = filled();
    server.put("/v1/accounts/ada", &json!({"name": "Ada", "email": "ada@example.com"}));
    let closed = server.send("/v1/accounts/ada/close", "x1", "application/json", "");
    assert_eq!(closed.status, 201, "{}", closed.text);
    assert_eq!(server.send("/v1/accounts/ada/close", "x1", "application/json", "").text, closed.text);
    assert_eq!(server.charge(&chat("ada", "late", 8)).problem().1, "account_closed");
    let account = server.get("/v1/accounts/ada").json();
    assert_eq!((&account["name"], &account["email"]), (&Value::Null, &Value::Null));
    assert!(account["closed_at"].is_string());
    assert_eq!(server.get("/v1/accounts/ada/entries").json()["data"].as_array().unwrap().len(), 8);
}

/// What was written after the clock was moved would lie in the future of whoever starts it again.
#[test]
fn a_sandbox_goes_on_at_the_instant_it_was_moved_to() {
    let server = Served::sandbox();
    server.account("ada");
    assert_eq!(server.post("/v1/test-clock/advance", "", &json!({"to": "2035-03-01T00:00:00Z"})).status, 200);
    assert_eq!(server.charge(&chat("ada", "then", 8)).status, 201);
    let again = Served::start_with(server.stop(), &[("SCRIP_SANDBOX", "1")], "");
    let as_of = again.get("/v1/accounts/ada/balance").json()["as_of"].clone();
    assert!("2035-03-01" < as_of.as_str().unwrap(), "{as_of}");
    assert_eq!(again.charge(&chat("ada", "now", 8)).status, 201);
}

#[test]
fn a_new_rate_card_is_compared_added_and_never_changes_the_past() {
    let server = Served::start();
    server.account("ada");
    let mut card = server.get("/v1/rate-card").json();
    assert_eq!(card["version"], 1);
    card["version"] = json!(2);
    card["effective_at"] = json!("2040-01-01T00:00:00Z");
    card["meters"]["infra_plan"]["label"] = json!("Plans");
    let dry = server.post("/v1/rate-cards?dry_run=true", "", &card);
    assert_eq!((dry.status, &dry.json()["differences"][0]["to"]), (200, &json!("Plans")), "{}", dry.text);
    assert_eq!(server.get("/v1/rate-cards/2").problem().1, "rate_card_not_found");
    assert_eq!(server.post("/v1/rate-cards", "", &card).status, 201);
    assert_eq!(server.post("/v1/rate-cards", "", &card).problem().2, "version");
    assert_eq!(server.get("/v1/rate-cards/2").json(), card);
    assert_eq!(server.get("/v1/rate-card").json()["version"], 1);
    assert_eq!(server.get("/v1/rate-cards").json()["data"][0]["in_force"], true);
    let page = |query: &str| server.get(&format!("/v1/rate-cards{query}")).json();
    let (first, last) = (page("?limit=1"), page("?limit=1&cursor=1"));
    assert_eq!((&first["data"][0]["version"], &first["next_cursor"]), (&json!(1), &json!("1")));
    assert_eq!((&last["data"][0]["version"], &last["next_cursor"]), (&json!(2), &Value::Null));
}
