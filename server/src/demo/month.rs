//! The month itself: three projects, chats on working days, analyses, plans, servers, holds, a mistake put right.
use billing::time::{Span, Timestamp};
use serde_json::{Value, json};

use super::client::{Client, DemoError};
use super::{ACCOUNT, Progress, money};

/// Days shown, today included. Usage may be told up to 35 days late, so all of it lands in its own day.
const DAYS: i64 = 30;
/// Repositories that are analysed, with what a measurer counted in them.
const REPOSITORIES: [(&str, &str, u64, u64); 3] = [
    ("storefront", "9f2c1e", 41_280, 512),
    ("data-pipeline", "47be90", 18_934, 203),
    ("mobile-app", "c03d5a", 63_417, 871),
];
const MODELS: [&str; 5] =
    ["claude-sonnet-5-5", "gpt-6.1-terra", "gemini-3.8-flash", "claude-haiku-5-5", "mistral-medium-3.5"];
const PEOPLE: [&str; 4] = ["ada", "grace", "linus", "barbara"];
/// Server, project, tier, and how many days ago it was ordered. What became of them since is in [`run_servers`].
const SERVERS: [(&str, &str, &str, i64); 3] = [
    ("web-1", "storefront", "entry-level", 26),
    ("worker-1", "data-pipeline", "entry-level", 19),
    ("staging-1", "mobile-app", "entry-level", 8),
];
/// Server, what was reported of it, when (days ago, minutes into the day), and the tier it got.
const REPORTS: [(&str, &str, i64, i64, Option<&str>); 6] = [
    ("web-1", "start", 26, 610, None),
    ("web-1", "resize", 12, 840, Some("business")),
    ("worker-1", "start", 19, 612, None),
    ("staging-1", "start", 8, 611, None),
    ("staging-1", "stop", 3, 1_080, None),
    ("staging-1", "start", 1, 480, None),
];

const COMPOSE: &str = include_str!("sample/compose.yaml");

type Step = (&'static str, fn(&Client, &Month) -> Result<(), DemoError>);

const STEPS: [Step; 10] = [
    ("opening the account", open),
    ("putting credits on sale", |client, _| money::open_shop(client)),
    ("saving a card and buying credits", |client, _| money::buy(client)),
    ("naming the projects", name_projects),
    ("a month of chats", chat),
    ("analysing repositories", analyse),
    ("planning infrastructure", plan),
    ("running servers", run_servers),
    ("holding credits for a stream", hold),
    ("putting a mistake right", correct),
];

/// When the month is.
struct Month {
    today: i64,
    now: Timestamp,
}

impl Month {
    /// `minutes` into the day that was `days_ago`, in UTC; none where that is still to come.
    fn at(&self, days_ago: i64, minutes: i64) -> Option<String> {
        let day = Timestamp::EPOCH + Span::DAY.times(self.today - days_ago);
        let at = day + Span::MINUTE.times(minutes);
        let instant = jiff::Timestamp::from_millisecond(at.millis()).ok()?;
        (at < self.now).then(|| instant.to_string())
    }
    /// The day as it enters a key: the same steps on another day are other work.
    fn day(&self, days_ago: i64) -> i64 {
        self.today - days_ago
    }
}

pub fn fill(client: &Client, progress: Progress<'_>) -> Result<(), DemoError> {
    let now = now(client)?;
    let month = Month { today: now.millis().div_euclid(Span::DAY.millis()), now };
    for (done, (name, step)) in STEPS.iter().enumerate() {
        progress(done, STEPS.len(), name);
        step(client, &month)?;
    }
    progress(STEPS.len(), STEPS.len(), "done");
    Ok(())
}

/// What time it is for the server.
fn now(client: &Client) -> Result<Timestamp, DemoError> {
    client.put(&format!("/v1/accounts/{ACCOUNT}"), &json!({}))?;
    let balance = client.get(&format!("/v1/accounts/{ACCOUNT}/balance"))?;
    let instant: Option<jiff::Timestamp> = balance["as_of"].as_str().and_then(|it| it.parse().ok());
    let unclear = || DemoError::Unreachable { what: "the balance".to_owned(), why: "it has no `as_of`".to_owned() };
    Ok(Timestamp::from_millis(instant.ok_or_else(unclear)?.as_millisecond()))
}

fn open(client: &Client, _: &Month) -> Result<(), DemoError> {
    let profile = json!({
        "name": "Acme Robotics", "email": "billing@acme.example", "currency": "eur", "timezone": "Europe/Vilnius",
        "address": {"line1": "Gedimino pr. 1", "city": "Vilnius", "postal_code": "01103", "country": "LT"},
    });
    client.put(&format!("/v1/accounts/{ACCOUNT}"), &profile)?;
    let grants = [
        ("demo-package", json!({"credits": "15000", "source": "purchase", "reason": "Package: 15 000 credits"})),
        ("demo-promo", json!({"credits": "250", "source": "promo", "reason": "Thank you for trying the beta"})),
    ];
    for (key, grant) in grants {
        client.post(&format!("/v1/accounts/{ACCOUNT}/grants"), key, &grant)?;
    }
    Ok(())
}

fn name_projects(client: &Client, _: &Month) -> Result<(), DemoError> {
    for (project, name) in
        [("storefront", "Storefront"), ("data-pipeline", "Data pipeline"), ("mobile-app", "Mobile app")]
    {
        client.put(&format!("/v1/accounts/{ACCOUNT}/projects/{project}"), &json!({ "name": name }))?;
    }
    Ok(())
}

/// Forty chats on working days and six at weekends; one in twenty-five fails and costs nothing.
fn chat(client: &Client, month: &Month) -> Result<(), DemoError> {
    let mut charges = Vec::new();
    for days_ago in (0..DAYS).rev() {
        // 1 January 1970 was a Thursday.
        let is_weekend = matches!((month.day(days_ago) + 3).rem_euclid(7), 5 | 6);
        let count = if is_weekend { 6 } else { 40 };
        charges.extend((0..count).filter_map(|number| chat_of(month, days_ago, number)));
    }
    for batch in charges.chunks(1_000) {
        let answer = client.post("/v1/charges/batch", "demo-chats", &Value::Array(batch.to_vec()))?;
        if answer["refused"] != 0 {
            return Err(refused("charging for chats", &answer["results"]));
        }
    }
    Ok(())
}

fn chat_of(month: &Month, days_ago: i64, number: i64) -> Option<Value> {
    let seed = scatter(month.day(days_ago).unsigned_abs() * 100 + number.unsigned_abs());
    let at = month.at(days_ago, 7 * 60 + number * 14 + i64::try_from(seed % 13).unwrap_or(0))?;
    let model = pick(&MODELS, seed >> 8);
    let mut dimensions = json!({ "model": model });
    let mut output = 150 + (seed >> 24) % 1_400;
    if seed.is_multiple_of(25) {
        dimensions["outcome"] = json!("failed");
        output = 0;
    }
    Some(json!({
        "account": ACCOUNT, "project": pick(&REPOSITORIES, seed >> 12).0, "actor": pick(&PEOPLE, seed >> 16),
        "resource": format!("chat-{}", seed % 97), "meter": "ai_chat", "dimensions": dimensions, "at": at,
        "quantities": {
            "input_tokens": 300 + (seed >> 32) % 4_000, "cached_input_tokens": (seed >> 40) % 6_000,
            "output_tokens": output,
        },
        "idempotency_key": format!("demo-chat-{}-{number}", month.day(days_ago)),
    }))
}

/// Each repository is analysed when its project begins, and again unchanged a week later, which costs nothing.
fn analyse(client: &Client, month: &Month) -> Result<(), DemoError> {
    for (place, (project, tree, lines, files)) in REPOSITORIES.into_iter().enumerate() {
        let first = 27 - 6 * i64::try_from(place).unwrap_or(0);
        for days_ago in [first, first - 7] {
            let charge = json!({
                "account": ACCOUNT, "project": project, "actor": "ada", "resource": format!("{project}.git"),
                "meter": "code_analysis", "dimensions": { "tree": tree },
                "quantities": { "code_lines": lines, "files": files }, "at": month.at(days_ago, 9 * 60),
                "idempotency_key": format!("demo-analysis-{project}-{}", month.day(days_ago)),
            });
            client.post("/v1/charges", "in-body", &charge)?;
        }
    }
    Ok(())
}

/// A plan is measured by the server from the artefact itself.
fn plan(client: &Client, month: &Month) -> Result<(), DemoError> {
    for (project, days_ago) in [("storefront", 26), ("data-pipeline", 19), ("mobile-app", 8), ("storefront", 4)] {
        let charge = json!({
            "account": ACCOUNT, "project": project, "actor": "grace", "meter": "infra_plan", "input": COMPOSE,
            "at": month.at(days_ago, 10 * 60),
            "idempotency_key": format!("demo-plan-{project}-{}", month.day(days_ago)),
        });
        client.post("/v1/charges", "in-body", &charge)?;
    }
    Ok(())
}

/// Three servers that run: one has grown, one rests now and then. What they burn shows by the second from here on.
fn run_servers(client: &Client, month: &Month) -> Result<(), DemoError> {
    let path = format!("/v1/accounts/{ACCOUNT}/servers");
    let known = client.get(&path)?;
    let is_known = |id: &str| known["data"].as_array().is_some_and(|it| it.iter().any(|it| it["id"] == id));
    for (server, project, tier, days_ago) in SERVERS.into_iter().filter(|it| !is_known(it.0)) {
        let order = json!({ "project": project, "tier": tier, "at": month.at(days_ago, 600) });
        client.put(&format!("{path}/{server}"), &order)?;
        for (_, report, days_ago, minutes, tier) in REPORTS.into_iter().filter(|it| it.0 == server) {
            let mut said = json!({ "at": month.at(days_ago, minutes) });
            if let Some(tier) = tier {
                said["tier"] = json!(tier);
            }
            client.post(&format!("{path}/{server}/{report}"), &format!("demo-{server}-{days_ago}"), &said)?;
        }
    }
    Ok(())
}

/// A stream that grows its hold as it flows and captures what it used; and one that is still open.
fn hold(client: &Client, month: &Month) -> Result<(), DemoError> {
    let key = |what: &str| format!("demo-{what}-{}", month.today);
    let open = |what: &str| {
        json!({
            "account": ACCOUNT, "project": "storefront", "actor": "linus", "meter": "ai_chat",
            "dimensions": { "model": MODELS[0] }, "quantities": { "input_tokens": 2_400, "output_tokens": 500 },
            "expires_in_seconds": 3_600, "idempotency_key": key(what),
        })
    };
    let stream = client.post("/v1/holds", "in-body", &open("stream"))?;
    let id = stream["id"].as_str().unwrap_or_default();
    let more = json!({
        "quantities": { "input_tokens": 0, "output_tokens": 1_000 },
        "used": { "input_tokens": 2_400, "output_tokens": 480 },
    });
    client.post(&format!("/v1/holds/{id}/extend"), &key("stream-grows"), &more)?;
    let used = json!({ "quantities": { "input_tokens": 2_400, "output_tokens": 1_310 } });
    client.post(&format!("/v1/holds/{id}/capture"), &key("stream-ends"), &used)?;
    client.post("/v1/holds", "in-body", &open("still-open"))?;
    Ok(())
}

/// A plan nobody asked for is charged, noticed, and given back whole.
fn correct(client: &Client, month: &Month) -> Result<(), DemoError> {
    let charge = json!({
        "account": ACCOUNT, "project": "mobile-app", "actor": "barbara", "meter": "infra_plan",
        "quantities": { "points": 38 }, "idempotency_key": format!("demo-mistake-{}", month.today),
    });
    let charged = client.post("/v1/charges", "in-body", &charge)?;
    let id = charged["id"].as_str().unwrap_or_default();
    let reason = json!({ "reason": "The plan was generated twice" });
    client.post(&format!("/v1/charges/{id}/reverse"), &format!("demo-correction-{}", month.today), &reason)?;
    Ok(())
}

/// The first result that is not a charge, as an error.
fn refused(what: &str, results: &Value) -> DemoError {
    let results = results.as_array().map(Vec::as_slice).unwrap_or_default();
    let first = results.iter().find(|it| it["error"].is_object()).cloned().unwrap_or_default();
    let status = first["status"].as_u64().and_then(|it| it.try_into().ok()).unwrap_or(0);
    DemoError::Refused { what: what.to_owned(), status, detail: first["error"]["detail"].to_string() }
}

fn pick<T: Copy>(from: &[T], seed: u64) -> T {
    from[usize::try_from(seed % from.len() as u64).expect("less than a length")]
}

/// Scatters a number over all of `u64`: the finaliser of splitmix64 (Steele, Lea and Flood 2014).
fn scatter(number: u64) -> u64 {
    let mut it = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    it = (it ^ it >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    it = (it ^ it >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    it ^ it >> 31
}
