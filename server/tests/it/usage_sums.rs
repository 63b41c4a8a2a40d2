//! Usage adds up: over any grouping, by any interval, in any form it is asked for in.
use std::collections::BTreeMap;

use billing::money::Credits;
use serde_json::{Value, json};

use crate::pages::visit;
use crate::served::{Served, chat};

const DIMENSIONS: [&str; 5] = ["meter", "project", "server", "model", "actor"];
const INTERVALS: [&str; 5] = ["hour", "day", "week", "month", "total"];

/// Chance that is the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }
}

/// Work of every kind over a month and a change of clocks, some of it reversed; a project is deleted.
fn lived() -> Served {
    let served = Served::sandbox();
    let to = |at: &str| assert_eq!(served.post("/v1/test-clock/advance", "", &json!({"to": at})).status, 200);
    to("2031-03-05T07:00:00Z");
    assert_eq!(served.put("/v1/accounts/ada", &json!({"timezone": "Europe/Vilnius"})).status, 201);
    let grant = json!({"credits": "100000", "source": "adjustment", "reason": "x"});
    assert_eq!(served.post("/v1/accounts/ada/grants", "g", &grant).status, 201);
    for (server, tier) in [("web-1", "business"), ("web-2", "entry-level")] {
        let path = format!("/v1/accounts/ada/servers/{server}");
        assert_eq!(served.put(&path, &json!({"project": "shop", "tier": tier})).status, 201);
        assert_eq!(served.post(&format!("{path}/start"), "", &json!({})).status, 200);
    }
    to("2031-04-02T07:13:00Z");
    // Told late: the hours after it are taken back.
    let stop = json!({"at": "2031-03-30T11:30:00Z"});
    assert_eq!(served.post("/v1/accounts/ada/servers/web-2/stop", "", &stop).status, 200);
    let mut chance = Chance(7);
    let charges: Vec<Value> = (0..400).map(|number| charge(&mut chance, number)).collect();
    let done = served.post("/v1/charges/batch", "", &json!(charges)).json();
    assert_eq!(done["refused"], 0, "{done}");
    for result in done["results"].as_array().unwrap().iter().step_by(9) {
        let id = result["charge"]["id"].as_str().unwrap();
        let body = json!({"reason": "for the test"});
        assert_eq!(served.post(&format!("/v1/charges/{id}/reverse"), id, &body).status, 201);
    }
    assert_eq!(served.delete("/v1/accounts/ada/projects/blog").status, 204);
    served
}

fn charge(chance: &mut Chance, number: u64) -> Value {
    let minutes = i64::try_from(chance.below(60 * 24 * 30)).unwrap();
    let at = "2031-04-02T07:00:00Z".parse::<jiff::Timestamp>().unwrap() - jiff::SignedDuration::from_mins(minutes);
    let mut charge = json!({"account": "ada", "idempotency_key": format!("k{number}"), "at": at.to_string()});
    for (name, choices) in
        [("project", ["", "shop", "blog", "docs, \"and\" =more"]), ("actor", ["", "ada", "bot", "carl"])]
    {
        let choice = chance.of(&choices);
        if !choice.is_empty() {
            charge[name] = json!(choice.replace([',', '"', ' ', '='], "-"));
        }
    }
    let (meter, dimensions, quantities) = match chance.below(3) {
        0 => (
            "ai_chat",
            json!({"model": chance.of(&["gpt-6.1-terra", "gpt-6-luna", "claude-opus-5-5"])}),
            json!({"input_tokens": 1 + chance.below(9_999), "output_tokens": chance.below(999)}),
        ),
        1 => ("code_analysis", json!({}), json!({"code_lines": 1 + chance.below(30_000), "files": 3})),
        _ => ("infra_plan", json!({"band": "M"}), json!({"points": 1 + chance.below(60)})),
    };
    charge["meter"] = json!(meter);
    charge["dimensions"] = dimensions;
    charge["quantities"] = quantities;
    charge
}

fn credits(text: &Value) -> Credits {
    text.as_str().unwrap().parse().unwrap()
}

#[test]
fn every_grouping_adds_up_to_the_same_total() {
    let served = lived();
    let range = "from=2031-03-01T00:00:00Z&to=2031-04-03T00:00:00Z";
    let total = credits(&served.get(&format!("/v1/accounts/ada/usage?{range}")).json()["total"]);
    assert!(total.is_positive());
    let mut counts = None;
    for subset in 0..1_usize << DIMENSIONS.len() {
        let chosen: Vec<&str> =
            DIMENSIONS.iter().enumerate().filter(|(bit, _)| subset >> bit & 1 == 1).map(|it| *it.1).collect();
        let group_by = if chosen.is_empty() { String::new() } else { format!("&group_by={}", chosen.join(",")) };
        let interval = INTERVALS[subset % INTERVALS.len()];
        let report = served.get(&format!("/v1/accounts/ada/usage?{range}&interval={interval}{group_by}")).json();
        let groups = || report["buckets"].as_array().unwrap().iter().flat_map(|it| it["groups"].as_array().unwrap());
        let sum: Credits = groups().map(|it| credits(&it["credits"])).sum();
        assert_eq!((sum, credits(&report["total"])), (total, total), "{interval} by {chosen:?}");
        let count: u64 = groups().map(|it| it["count"].as_u64().unwrap()).sum();
        assert_eq!(*counts.get_or_insert(count), count, "{interval} by {chosen:?}");
        for group in groups().filter(|it| it.get("runtime_credits").is_some()) {
            let parts = credits(&group["provisioning_credits"]) + credits(&group["runtime_credits"]);
            assert!(parts <= credits(&group["credits"]), "{group}");
        }
    }
    // The deleted project is in it, and every part of it is what asking for it alone gives.
    let by_project = served.get(&format!("/v1/accounts/ada/usage?{range}&group_by=project")).json();
    let projects = by_project["buckets"][0]["groups"].as_array().unwrap();
    assert!(projects.iter().any(|it| it["project"] == "blog"));
    for group in projects.iter().filter(|it| !it["project"].is_null()) {
        let name = group["project"].as_str().unwrap();
        let alone = served.get(&format!("/v1/accounts/ada/usage?{range}&project={name}")).json();
        assert_eq!(alone["total"], group["credits"], "{name}");
    }
    // The ledger says the same.
    let spent: Credits = entries(&served).iter().map(|it| credits(&it["credits"])).sum();
    assert_eq!(-spent, total);
}

/// All entries of work: what was charged, and what was taken back.
fn entries(served: &Served) -> Vec<Value> {
    let (mut all, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = served.get(&format!("/v1/accounts/ada/entries?limit=500{cursor}")).json();
        let found = page["data"].as_array().unwrap().iter();
        all.extend(found.filter(|it| it["kind"] == "charge" || it["kind"] == "reversal").cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

#[test]
fn every_form_says_the_same_to_the_last_digit() {
    let served = lived();
    for query in [
        "interval=day&group_by=meter,project",
        "interval=hour&group_by=server,model,actor",
        "interval=month",
        "interval=week&group_by=project&meter=server",
    ] {
        let path = format!("/v1/accounts/ada/usage?from=2031-03-01T00:00:00Z&to=2031-04-03T00:00:00Z&{query}");
        let json = served.get(&path).json();
        let csv = served.get_csv(&path);
        assert_eq!(csv.header("content-type").map(|it| it.split(';').next().unwrap()), Some("text/csv"));
        let lines = served.get_lines(&path);
        let mut from_lines = lines.text.lines().map(|it| serde_json::from_str::<Value>(it).unwrap());
        let mut reader = csv::Reader::from_reader(csv.text.as_bytes());
        let header = reader.headers().unwrap().clone();
        let mut records = reader.records().map(|it| it.unwrap());
        for bucket in json["buckets"].as_array().unwrap() {
            for group in bucket["groups"].as_array().unwrap() {
                let mut expected = group.clone();
                expected["start"] = bucket["start"].clone();
                assert_eq!(from_lines.next().as_ref(), Some(&expected), "{query}");
                let record = records.next().unwrap();
                let cells: BTreeMap<&str, &str> = header.iter().zip(&record).collect();
                for (name, cell) in cells {
                    assert_eq!(cell, as_cell(&expected[name]), "{name} of {query}");
                }
            }
        }
        assert!(from_lines.next().is_none() && records.next().is_none());
    }
}

/// A member as a cell of a table.
fn as_cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(map) => map.iter().map(|(name, it)| format!("{name}={it}")).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// Usage that was read lately is kept and goes on with the account: it must say what is read by a server that kept
/// nothing.
#[test]
fn usage_that_is_kept_says_what_is_read_anew() {
    let mut served = Served::start();
    served.account("ada");
    let grant = json!({"credits": "100000", "source": "adjustment", "reason": "x"});
    assert_eq!(served.post("/v1/accounts/ada/grants", "g", &grant).status, 201);
    let balance = served.get("/v1/accounts/ada/balance").json();
    let now: jiff::Timestamp = balance["as_of"].as_str().unwrap().parse().unwrap();
    let charge = |number: i64, key: &str| {
        let mut charge = chat("ada", &format!("{key}-{number}"), 8_000 + number.unsigned_abs());
        charge["at"] = json!((now - jiff::SignedDuration::from_mins(30 * number)).to_string());
        charge["project"] = json!(["shop", "blog"][usize::try_from(number % 2).unwrap()]);
        charge
    };
    let many: Vec<Value> = (0..1_300).map(|it| charge(it, "many")).collect();
    assert_eq!(served.post("/v1/charges/batch", "", &json!(many)).json()["refused"], 0);
    let asked = |served: &Served| {
        let (from, to) = (now - jiff::SignedDuration::from_hours(28 * 24), now + jiff::SignedDuration::from_hours(1));
        let usage = |rest: &str| served.get(&format!("/v1/accounts/ada/usage?from={from}&to={to}&{rest}")).json();
        let balance = served.get("/v1/accounts/ada/balance").json();
        let forecast = served.get("/v1/accounts/ada/forecast").json();
        [
            usage("interval=hour&group_by=meter,project,model"),
            usage("interval=day&group_by=project&compare=true"),
            json!([balance["posted"], forecast["spent"]]),
        ]
    };
    let mut before = asked(&served);
    // What is new, late, of another project, taken back: first as much as is followed, then more.
    for (key, count) in [("few", 20), ("more", 300)] {
        for number in 0..count {
            let mut charge = charge(number, key);
            if number % 7 == 0 {
                charge["project"] = json!("elsewhere");
            }
            let done = served.charge(&charge);
            assert_eq!(done.status, 201, "{}", done.text);
            if number % 5 == 0 {
                let path = format!("/v1/charges/{}/reverse", done.json()["id"].as_str().unwrap());
                assert_eq!(served.post(&path, &format!("back-{key}-{number}"), &json!({"reason": "x"})).status, 201);
            }
        }
        let kept = asked(&served);
        assert_ne!(kept[1]["total"], before[1]["total"]);
        served = Served::start_with(served.stop(), &[], "");
        before = asked(&served);
        assert!(kept == before, "{key}: {kept:#?}, and anew {before:#?}");
    }
}

/// What expired has left the balance: work that is told of late and paid by it takes nothing more, and what is given
/// back to it brings nothing. Both faces say so, and what the work cost beside it.
#[test]
fn entries_lead_from_one_balance_to_the_next_whatever_paid_for_the_work() {
    let served = Served::sandbox();
    served.account("ada");
    let began = served.later(-86_400);
    let promo = json!({"credits": "10", "source": "promo", "reason": "x", "expires_at": served.later(3_600)});
    assert_eq!(served.post("/v1/accounts/ada/grants", "g", &promo).status, 201);
    let charged = served.charge(&chat("ada", "before", 4 * 8_000));
    assert_eq!(charged.status, 201, "{}", charged.text);
    let hold = json!({
        "account": "ada", "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"}, "credits": 2,
        "expires_in_seconds": 86_400, "idempotency_key": "held",
    });
    let held = served.post("/v1/holds", "", &hold).json()["id"].as_str().unwrap().to_owned();
    let then = served.later(60);
    served.advance(7_200);
    let mut late = chat("ada", "late", 3 * 8_000);
    late["at"] = json!(then);
    assert_eq!(served.charge(&late).status, 201);
    let reverse = format!("/v1/charges/{}/reverse", charged.json()["id"].as_str().unwrap());
    assert_eq!(served.post(&reverse, "r", &json!({"reason": "x"})).status, 201);
    assert_eq!(served.post(&format!("/v1/holds/{held}/release"), "over", &json!({})).status, 201);
    assert_eq!(served.charge(&chat("ada", "after", 8_000)).status, 201);

    let entries = served.get("/v1/accounts/ada/entries?limit=500").json()["data"].as_array().unwrap().clone();
    let (mut sum, mut work) = (Credits::ZERO, Credits::ZERO);
    let mut told = Vec::new();
    for it in entries.iter().rev() {
        let [gain, expired] = ["credits", "from_expired"].map(|name| credits(&it[name]));
        sum += gain;
        work += if it["work"].is_null() || it["kind"] == "hold" { Credits::ZERO } else { expired - gain };
        told.push((it["kind"].as_str().unwrap(), gain.to_string(), expired.to_string()));
        // What a hold gives back to a grant that has expired expires at that very instant, by the entry after it.
        if it["kind"] != "release" {
            assert_eq!(sum, credits(&it["balance"]["posted"]), "{it}");
        }
    }
    let said = |it: (&'static str, &str, &str)| (it.0, it.1.to_owned(), it.2.to_owned());
    let expected = [
        ("grant", "10", "0"),
        ("charge", "-4", "0"),
        ("hold", "0", "0"),
        ("expiry", "-4", "0"),
        ("charge", "0", "3"),
        ("reversal", "0", "-4"),
        ("release", "0", "0"),
        ("expiry", "-2", "0"),
        ("charge", "-1", "0"),
    ];
    assert_eq!(told[told.len() - expected.len()..], expected.map(said));
    assert_eq!(sum, credits(&served.get("/v1/accounts/ada/balance").json()["posted"]));
    // What was used is what work cost, whatever paid for it.
    let used = served.get(&format!("/v1/accounts/ada/usage?from={began}&interval=total")).json()["total"].clone();
    assert_eq!(work, credits(&used));

    let cookie = visit(&served, "ada", "owner");
    let page = served.browse("/settings/activity", &cookie).text;
    for said in ["3.00 paid by credits that had expired", "4.00 given back had expired meanwhile"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    let amounts =
        page.split("<data class=\"amount").skip(1).filter_map(|it| it.split("value=\"").nth(1)?.split('"').next());
    let amounts: Credits = amounts.map(|it| it.parse::<Credits>().unwrap()).sum();
    assert_eq!(amounts, sum, "the page's amounts are the same");
}
