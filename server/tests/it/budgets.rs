//! Budgets over HTTP: what they refuse, what they count, and that many at once never pass one.
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use billing::money::Credits;
use serde_json::{Value, json};

use crate::parallel::at_once;
use crate::served::{Served, chat};
use crate::webhooks::{Ear, fresh};

impl Served {
    fn budget(&self, id: &str, body: &Value) -> Value {
        let set = self.put(&format!("/v1/accounts/ada/budgets/{id}"), body);
        assert!([200, 201].contains(&set.status), "{}", set.text);
        set.json()
    }
    fn budget_used(&self, id: &str) -> String {
        let found = self.get(&format!("/v1/accounts/ada/budgets/{id}"));
        assert_eq!(found.status, 200, "{}", found.text);
        found.json()["used"].as_str().unwrap().to_owned()
    }
    fn spent(&self, key: &str, credits: u64) -> u16 {
        self.charge(&chat("ada", key, credits * 8_000)).status
    }
    /// Stops it, and has everything made again from its journal and compared.
    pub fn verified(self) {
        let directory = self.stop();
        if std::env::var("SCRIP_TEST_STORE").is_ok_and(|it| it == "postgres") {
            return;
        }
        let verified = std::process::Command::new(env!("CARGO_BIN_EXE_scrip"))
            .args(["verify", "--data-dir"])
            .arg(directory.path().join("data"))
            .env_remove("SCRIP_DATABASE_URL")
            .output()
            .unwrap();
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    }
}

#[test]
fn a_budget_that_blocks_says_which_and_why() {
    let served = Served::start();
    served.account("ada");
    let body = json!({"scope": {"meters": ["ai_chat"]}, "period": "month", "credits": "10", "action": "block"});
    let made = served.put("/v1/accounts/ada/budgets/chats", &body);
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.json();
    assert_eq!((&made["used"], &made["left"], &made["threshold_told"]), (&json!("0"), &json!("10"), &json!(0)));
    assert!(made["starts_at"].is_string() && made["resets_at"].is_string(), "{made}");
    assert_eq!(served.spent("1", 6), 201);

    let refused = served.charge(&chat("ada", "2", 5 * 8_000));
    assert_eq!(refused.problem(), (402, "budget_exceeded".to_owned(), String::new()));
    let problem = refused.json();
    for (member, value) in [("budget", "chats"), ("limit", "10"), ("used", "6"), ("reserved", "0"), ("required", "5")] {
        assert_eq!(problem[member], value, "{problem}");
    }
    assert_eq!(problem["resets_at"], made["resets_at"]);
    assert_eq!(served.available("ada"), "594", "nothing was charged");
    let hold = json!({"account": "ada", "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"},
        "credits": "1", "expires_in_seconds": 60, "idempotency_key": "ceiling"});
    let hold = served.post("/v1/holds", "", &hold).json();
    assert_eq!(hold["ceiling"]["credits"], "4", "what the budget leaves, not the balance: {hold}");
    served.post(&format!("/v1/holds/{}/release", hold["id"].as_str().unwrap()), "r", &json!({}));

    let quote = |tokens: u64| {
        let body = json!({
            "account": "ada", "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"},
            "quantities": {"input_tokens": tokens},
        });
        served.post("/v1/quotes", "", &body).json()
    };
    let (dear, cheap) = (quote(40_000), quote(32_000));
    assert_eq!(
        (&dear["affordable"], &dear["budget"], &dear["available"]),
        (&json!(false), &json!("chats"), &json!("494"))
    );
    assert_eq!((&cheap["affordable"], &cheap["budget"]), (&json!(true), &Value::Null));

    let hold = served.post(
        "/v1/holds",
        "",
        &json!({
            "account": "ada", "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"}, "credits": 4,
            "expires_in_seconds": 600, "idempotency_key": "h",
        }),
    );
    assert_eq!(hold.status, 201, "{}", hold.text);
    let hold = hold.json()["id"].as_str().unwrap().to_owned();
    let refused = served.charge(&chat("ada", "3", 8_000)).json();
    assert_eq!((&refused["used"], &refused["reserved"]), (&json!("6"), &json!("4")));
    let more = served.post(&format!("/v1/holds/{hold}/extend"), "e", &json!({"credits": 1}));
    assert_eq!(more.problem().1, "budget_exceeded");
    let captured = served.post(&format!("/v1/holds/{hold}/capture"), "c", &json!({"credits": "4"}));
    assert_eq!(captured.status, 201, "{}", captured.text);
    let batch = served.post("/v1/charges/batch", "", &json!([chat("ada", "4", 8_000)])).json();
    assert_eq!(batch["results"][0]["error"]["code"], "budget_exceeded", "{batch}");

    let raised = json!({"scope": {"meters": ["ai_chat"]}, "period": "month", "credits": 20, "action": "block"});
    let raised = served.put("/v1/accounts/ada/budgets/chats", &raised);
    assert_eq!((raised.status, &raised.json()["left"]), (200, &json!("10")));
    assert_eq!(served.spent("2", 5), 201, "the same key again, once there is room");
    let list = served.get("/v1/accounts/ada/budgets").json();
    assert_eq!((&list["data"][0]["id"], &list["data"][0]["used"]), (&json!("chats"), &json!("15")));
    let event = served.get("/v1/accounts/ada/entries?limit=50").json();
    assert!(event["data"].as_array().unwrap().iter().any(|it| it["kind"] == "budget"), "{event}");
    assert_eq!(served.delete("/v1/accounts/ada/budgets/chats").status, 204);
    assert_eq!(served.get("/v1/accounts/ada/budgets/chats").problem().1, "budget_not_found");
    assert_eq!(served.delete("/v1/accounts/ada/budgets/chats").problem().1, "budget_not_found");
    assert_eq!(served.spent("5", 100), 201);
    served.verified();
}

#[test]
fn what_is_no_budget_is_refused_by_its_field() {
    let served = Served::start();
    served.account("ada");
    for (body, field) in [
        (json!({"period": "year", "credits": 1, "action": "block"}), "period"),
        (json!({"period": "day", "credits": 1, "action": "shout"}), "action"),
        (json!({"period": "day", "credits": "-1", "action": "block"}), "credits"),
        (json!({"period": "day", "credits": "0.0000001", "action": "block"}), "credits"),
        (json!({"period": "day", "credits": 1, "action": "block", "scope": {"meters": [""]}}), "scope.meters"),
        (
            json!({"period": "day", "credits": 1, "action": "block", "scope": {"except_meters": [""]}}),
            "scope.except_meters",
        ),
        (
            json!({"period": "day", "credits": 1, "action": "block", "scope": {"meters": ["ai_chat"],
            "except_meters": ["server"]}}),
            "scope.except_meters",
        ),
    ] {
        let refused = served.put("/v1/accounts/ada/budgets/b", &body);
        assert_eq!((refused.problem().0, &*refused.problem().2), (422, field), "{body}");
    }
    for field in ["meters", "except_meters"] {
        let slip = json!({"period": "day", "credits": 1, "action": "block", "scope": {field: ["ai_chats"]}});
        let refused = served.put("/v1/accounts/ada/budgets/b", &slip);
        assert_eq!(refused.problem(), (422, "invalid_request".into(), format!("scope.{field}")), "{}", refused.text);
        assert!(refused.text.contains("names `ai_chats`, which no rate card has"), "{}", refused.text);
    }
    let body = json!({"period": "total", "credits": 5, "action": "notify"});
    for number in 0..20 {
        served.budget(&format!("b{number}"), &body);
    }
    assert_eq!(served.put("/v1/accounts/ada/budgets/b20", &body).problem().2, "budget");
    assert_eq!(served.put("/v1/accounts/nobody/budgets/b", &body).problem().1, "account_not_found");
}

/// What a later rate card brings is of it, without anybody setting it again.
#[test]
fn a_budget_for_all_but_servers_admits_the_meters_of_cards_to_come() {
    let served = Served::sandbox();
    served.account("ada");
    let body = json!({"scope": {"except_meters": ["server"]}, "period": "total", "credits": "10", "action": "block"});
    let made = served.budget("ai", &body);
    assert_eq!(made["scope"]["except_meters"], json!(["server"]), "{made}");
    assert_eq!(served.budget("ai", &body), made);
    let mut card = served.get("/v1/rate-card").json();
    card["version"] = json!(2);
    card["effective_at"] = json!(served.later(60));
    card["meters"]["paint"] = card["meters"]["ai_chat"].clone();
    let added = served.post("/v1/rate-cards", "", &card);
    assert_eq!(added.status, 201, "{}", added.text);
    served.advance(120);
    let paint = |key: &str, credits: u64| {
        let mut charge = chat("ada", key, credits * 8_000);
        charge["meter"] = json!("paint");
        served.charge(&charge)
    };
    assert_eq!(paint("1", 6).status, 201);
    assert_eq!(paint("2", 5).problem().1, "budget_exceeded");
    assert_eq!((served.spent("3", 5), served.spent("4", 4)), (402, 201));
    assert_eq!(served.budget_used("ai"), "10");
    served.verified();
}

/// In Vilnius, over the weekend on which clocks go forward: days, a week from Monday, and what comes late.
#[test]
fn periods_are_the_accounts_own_and_count_what_was_before() {
    let served = Served::sandbox();
    assert_eq!(served.put("/v1/accounts/ada", &json!({"timezone": "Europe/Vilnius"})).status, 201);
    served.advance_to("2027-03-27T21:30:00Z");
    assert_eq!(served.spent("1", 3), 201);
    served.advance_to("2027-03-27T22:30:00Z");
    assert_eq!(served.spent("2", 5), 201);
    for period in ["day", "week", "month", "total"] {
        served.budget(period, &json!({"period": period, "credits": 100, "action": "notify"}));
    }
    let used = || ["day", "week", "month", "total"].map(|it| served.budget_used(it));
    assert_eq!(used(), ["5", "8", "8", "8"]);
    let day = served.get("/v1/accounts/ada/budgets/day").json();
    assert_eq!(day["starts_at"], "2027-03-27T22:00:00.000Z");
    assert_eq!(day["resets_at"], "2027-03-28T21:00:00.000Z", "23 hours");
    let mut late = chat("ada", "3", 2 * 8_000);
    late["at"] = json!("2027-03-27T21:45:00Z");
    assert_eq!(served.charge(&late).status, 201);
    assert_eq!(used(), ["5", "10", "10", "10"]);
    // Monday.
    served.advance_to("2027-03-28T21:30:00Z");
    assert_eq!(used(), ["0", "0", "10", "10"]);
    let usage = served.get("/v1/accounts/ada/usage?from=2027-02-28T22:00:00Z&to=2027-04-01T00:00:00Z").json();
    assert_eq!(usage["total"], "10");
    // In New York it is still Sunday: the days are other days, and are counted anew.
    assert_eq!(served.put("/v1/accounts/ada", &json!({"timezone": "America/New_York"})).status, 200);
    assert_eq!(used(), ["0", "10", "10", "10"]);
    served.verified();
}

#[test]
fn many_at_once_never_pass_a_budget() {
    let served = Served::start();
    served.account("ada");
    served.budget("b", &json!({"period": "day", "credits": 12, "action": "block"}));
    let replies = at_once(48, |it| served.charge(&chat("ada", &format!("k{it}"), 8_000)));
    let admitted = replies.iter().filter(|it| it.status == 201).count();
    assert_eq!(admitted, 12);
    assert!(replies.iter().filter(|it| it.status != 201).all(|it| it.json()["code"] == "budget_exceeded"));
    assert_eq!(served.budget_used("b"), "12");
    served.verified();
}

/// Whatever is charged while it is set: nothing is left out, and nothing counted twice.
#[test]
fn a_budget_set_in_the_midst_of_charges_counts_each_once() {
    let served = Served::start();
    served.account("ada");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for caller in 0..4 {
            let (served, done) = (&served, &done);
            scope.spawn(move || {
                for number in 0.. {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    let charged = served.charge(&chat("ada", &format!("c{caller}_{number}"), 80));
                    assert_eq!(charged.status, 201, "{}", charged.text);
                }
            });
        }
        for number in 0..6 {
            let period = ["day", "week", "total"][number % 3];
            served.budget(&format!("b{number}"), &json!({"period": period, "credits": 100_000, "action": "block"}));
            served.budget("again", &json!({"period": period, "credits": 100_000, "action": "notify"}));
        }
        done.store(true, Ordering::Relaxed);
    });
    let usage = served.get("/v1/accounts/ada/usage?interval=total&from=2020-01-01T00:00:00Z&to=2021-01-01T00:00:00Z");
    assert_eq!(usage.json()["total"], "0");
    let spent = served.get("/v1/accounts/ada/usage").json()["total"].as_str().unwrap().to_owned();
    for number in 0..6 {
        assert_eq!(served.budget_used(&format!("b{number}")), spent, "b{number}");
    }
    assert_eq!(served.budget_used("again"), spent);
    served.verified();
}

#[test]
fn each_threshold_is_told_once_a_period() {
    let served = fresh();
    let ear = Ear::open(204);
    served.endpoint(&ear, &["budget.threshold_reached"]);
    served.account("ada");
    served.advance_to("2027-06-01T08:00:00Z");
    served.budget("b", &json!({"period": "day", "credits": 100, "action": "block", "scope": {"meters": ["ai_chat"]}}));
    let heard = |count: usize| {
        let mut heard: Vec<_> = (0..count).map(|_| ear.next().json()["data"].clone()).collect();
        heard.sort_by_key(|it| it["percent"].as_u64());
        heard
    };
    assert_eq!(served.spent("1", 49), 201);
    assert_eq!(served.spent("2", 1), 201);
    let half = &heard(1)[0];
    for (member, value) in [("account", "ada"), ("budget", "b"), ("used", "50"), ("limit", "100"), ("action", "block")]
    {
        assert_eq!(half[member], value, "{half}");
    }
    assert_eq!((&half["percent"], &half["resets_at"]), (&json!(50), &json!("2027-06-02T00:00:00.000Z")));
    assert_eq!(served.spent("3", 50), 201);
    let rest: Vec<_> = heard(3).iter().map(|it| it["percent"].as_u64().unwrap()).collect();
    assert_eq!(rest, [75, 90, 100]);
    served.advance_to("2027-06-02T08:00:00Z");
    assert_eq!(served.spent("4", 50), 201);
    let again = &heard(1)[0];
    assert_eq!((&again["percent"], &again["starts_at"]), (&json!(50), &json!("2027-06-02T00:00:00.000Z")));
}

/// A budget that is set late, and a day that is another in another zone, tell of the day it is and of none before it.
#[test]
fn setting_a_budget_tells_nothing_of_days_that_are_over() {
    let served = fresh();
    let ear = Ear::open(204);
    served.endpoint(&ear, &["budget.threshold_reached"]);
    served.account("ada");
    for day in 1..=4 {
        served.advance_to(&format!("2027-06-0{day}T12:00:00Z"));
        assert_eq!(served.spent(&format!("{day}"), 60), 201);
    }
    let body = json!({"period": "day", "credits": 100, "action": "notify"});
    served.budget("b", &body);
    let next = || {
        let data = ear.next().json()["data"].clone();
        let text = |it: &str| data[it].as_str().unwrap().to_owned();
        (data["percent"].as_u64().unwrap(), text("starts_at"), text("action"))
    };
    let today = "2027-06-04T00:00:00.000Z".to_owned();
    assert_eq!(next(), (50, today.clone(), "notify".to_owned()));
    // Lowered, it tells by what it says now.
    served.budget("b", &json!({"period": "day", "credits": 80, "action": "block"}));
    assert_eq!(next(), (75, today, "block".to_owned()));
    // In Tokyo it is late in the evening: another day, in which the same was spent.
    assert_eq!(served.put("/v1/accounts/ada", &json!({"timezone": "Asia/Tokyo"})).status, 200);
    let mut again = [next(), next()];
    again.sort();
    let start = "2027-06-03T15:00:00.000Z".to_owned();
    assert_eq!(again.map(|it| (it.0, it.1)), [(50, start.clone()), (75, start)]);
    served.advance_to("2027-06-05T12:00:00Z");
    assert_eq!(served.spent("5", 40), 201);
    assert_eq!(next().0, 50);
    served.verified();
}

/// Servers on a budget that blocks are to stop at the very moment it is used up, and may resume with the next period.
#[test]
fn servers_stop_for_a_budget_and_resume_with_the_next_period() {
    let served = fresh();
    let ear = Ear::open(204);
    served.endpoint(&ear, &["server.stop_due", "server.resume_due"]);
    served.account("ada");
    let grant = json!({"credits": "5000", "source": "adjustment", "reason": "x"});
    assert_eq!(served.post("/v1/accounts/ada/grants", "g", &grant).status, 201);
    served.advance_to("2027-06-01T08:00:00Z");
    served.budget("vms", &json!({"period": "day", "credits": 310, "action": "block", "scope": {"meters": ["server"]}}));
    // By the platform's word of when, for the sandbox's time goes on while it is told.
    let at = "2027-06-01T08:00:00Z";
    let order = json!({"tier": "entry-level", "at": at});
    let server = |id: &str| served.put(&format!("/v1/accounts/ada/servers/{id}"), &order);
    assert_eq!(server("vm").status, 201);
    let started = served.post("/v1/accounts/ada/servers/vm/start", "", &json!({"at": at}));
    assert_eq!(started.status, 200, "{}", started.text);
    let refused = server("other");
    assert_eq!((refused.problem().0, &refused.json()["budget"]), (402, &json!("vms")));
    // 300 for the set-up; 10 more are two and a half hours.
    served.advance_to("2027-06-01T10:29:00Z");
    let seen = served.get("/v1/accounts/ada/budgets/vms").json();
    let credits = |name: &str| seen[name].as_str().unwrap().parse::<Credits>().unwrap();
    // A minute of them is left, and of that whatever has not passed.
    assert!(credits("left").is_positive() && credits("left").micros() <= 66_667, "{seen}");
    assert_eq!(credits("used") + credits("left"), Credits::whole(310), "{seen}");
    served.advance_to("2027-06-01T12:00:00Z");
    let heard = ear.next();
    assert_eq!(heard.what(), "server.stop_due");
    let (stop, data) = (heard.json(), heard.json()["data"].clone());
    assert_eq!((&data["reason"], &data["budget"], &data["servers"]), (&json!("budget"), &json!("vms"), &json!(["vm"])));
    let at = stop["timestamp"].as_str().unwrap();
    assert!(at.starts_with("2027-06-01T10:29:59.") || at.starts_with("2027-06-01T10:30:00."), "{at}");
    // It runs on and is counted: Scrip tells, the platform acts.
    let used = served.budget_used("vms");
    assert!(used.starts_with("316"), "{used}: time goes on");
    served.advance_to("2027-06-02T00:00:01Z");
    let resume = ear.next_after(&heard);
    assert_eq!((resume.what(), &resume.json()["data"]["servers"]), ("server.resume_due".to_owned(), &json!(["vm"])));
    served.verified();
}
