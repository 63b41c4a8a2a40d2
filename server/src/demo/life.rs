//! The two months themselves, lived through day by day: projects, chats on working days, analyses, plans, servers that
//! grow, a subscription that renews, a project that nobody needs any more, a mistake put right.
//!
//! The server's clock begins two months ago and is moved on a day at a time, so that everything happens in its order:
//! hours are settled, what is due is paid for, and the month before is there to be compared with.
use billing::time::{Span, Timestamp};
use serde_json::{Value, json};

use super::client::{Client, DemoError};
use super::{ACCOUNT, Progress, money};

/// Days lived through. The whole month before this one is among them, whatever day it is.
pub const DAYS: i64 = 62;
/// What an hour of the day is, in minutes.
const HOUR: i64 = 60;
/// Repositories that are analysed, with what a measurer counted in them, and how many days ago first.
const REPOSITORIES: [(&str, &str, u64, u64, i64); 3] = [
    ("storefront", "9f2c1e", 41_280, 512, 58),
    ("data-pipeline", "47be90", 18_934, 203, 44),
    ("mobile-app", "c03d5a", 63_417, 871, 21),
];
const MODELS: [&str; 5] =
    ["claude-sonnet-5-5", "gpt-6.1-terra", "gemini-3.8-flash", "claude-haiku-5-5", "mistral-medium-3.5"];
const PEOPLE: [&str; 4] = ["ada", "grace", "linus", "barbara"];
/// Plans that were asked for, and how many days ago.
const PLANS: [(&str, i64); 6] = [
    ("legacy-site", 60),
    ("storefront", 57),
    ("data-pipeline", 43),
    ("storefront", 30),
    ("mobile-app", 20),
    ("storefront", 4),
];
/// Server, what was reported of it, when (days ago, minutes into the day), and its project or tier. The first report of
/// each is its order.
const REPORTS: [(&str, &str, i64, i64, &str); 11] = [
    ("old-web", "legacy-site", 60, 9 * HOUR, "entry-level"),
    ("old-web", "start", 60, 9 * HOUR + 11, ""),
    ("web-1", "storefront", 56, 10 * HOUR, "entry-level"),
    ("web-1", "start", 56, 10 * HOUR + 10, ""),
    ("worker-1", "data-pipeline", 42, 10 * HOUR, "entry-level"),
    ("worker-1", "start", 42, 10 * HOUR + 12, ""),
    ("web-1", "resize", 19, 14 * HOUR, "business"),
    ("staging-1", "mobile-app", 18, 10 * HOUR, "entry-level"),
    ("staging-1", "start", 18, 10 * HOUR + 11, ""),
    ("staging-1", "stop", 9, 18 * HOUR, ""),
    ("staging-1", "start", 2, 8 * HOUR, ""),
];
/// The server that is busy with little since it has grown: how long, and its reports in percent.
const IDLE: (&str, i64, u8, u8) = ("web-1", 15, 9, 22);

const COMPOSE: &str = include_str!("sample/compose.yaml");

/// When the two months are, by the days of UTC.
struct Life {
    today: i64,
    /// The end of it.
    present: Timestamp,
}

/// What happens at an instant.
struct Act {
    at: Timestamp,
    what: What,
}

enum What {
    /// Charged with all others of its day.
    Chat(Value),
    Post {
        path: String,
        key: String,
        body: Value,
    },
    Put {
        path: String,
        body: Value,
    },
}

impl Life {
    fn at(&self, days_ago: i64, minutes: i64) -> Timestamp {
        Timestamp::EPOCH + Span::DAY.times(self.today - days_ago) + Span::MINUTE.times(minutes)
    }
    /// The day as it enters a key: the same steps on another day are other work.
    fn day(&self, days_ago: i64) -> i64 {
        self.today - days_ago
    }

    /// All that happens, in its order. What is still to come today is left out.
    fn acts(&self) -> Vec<Act> {
        let mut acts: Vec<Act> = (0..DAYS).flat_map(|it| self.chats(it)).collect();
        acts.extend(self.analyses());
        acts.extend(PLANS.map(|(project, days_ago)| self.plan(project, days_ago)));
        acts.extend(REPORTS.map(|it| self.report(it)));
        let (server, since, cpu, memory) = IDLE;
        acts.extend((0..since).map(|days_ago| self.utilisation(server, days_ago, (cpu, memory))));
        acts.retain(|it| it.at < self.present);
        acts.sort_by_key(|it| it.at);
        acts
    }

    /// More from week to week: up to forty on a working day and six at weekends; one in twenty-five fails and costs
    /// nothing.
    fn chats(&self, days_ago: i64) -> Vec<Act> {
        // 1 January 1970 was a Thursday.
        let is_weekend = matches!((self.day(days_ago) + 3).rem_euclid(7), 5 | 6);
        let count = if is_weekend { 6 } else { 40 - days_ago / 4 };
        (0..count).map(|number| self.chat(days_ago, number)).collect()
    }

    fn chat(&self, days_ago: i64, number: i64) -> Act {
        let seed = scatter(self.day(days_ago).unsigned_abs() * 100 + number.unsigned_abs());
        let at = self.at(days_ago, 7 * HOUR + number * 14 + i64::try_from(seed % 13).unwrap_or(0));
        let mut dimensions = json!({ "model": pick(&MODELS, seed >> 8) });
        let mut output = 700 + (seed >> 24) % 6_000;
        if seed.is_multiple_of(25) {
            dimensions["outcome"] = json!("failed");
            output = 0;
        }
        let begun: Vec<&str> =
            REPOSITORIES.iter().filter(|it| days_ago <= it.4 || it.0 == "storefront").map(|it| it.0).collect();
        let chat = json!({
            "account": ACCOUNT, "project": pick(&begun, seed >> 12), "actor": pick(&PEOPLE, seed >> 16),
            "resource": format!("chat-{}", seed % 97), "meter": "ai_chat", "dimensions": dimensions, "at": text(at),
            "quantities": {
                "input_tokens": 1_500 + (seed >> 32) % 20_000, "cached_input_tokens": (seed >> 40) % 30_000,
                "output_tokens": output,
            },
            "idempotency_key": format!("demo-chat-{}-{number}", self.day(days_ago)),
        });
        Act { at, what: What::Chat(chat) }
    }

    /// Each repository is analysed when its project begins, and again unchanged a week later, which costs nothing.
    fn analyses(&self) -> Vec<Act> {
        let analysis = |(project, tree, lines, files, first): (&str, &str, u64, u64, i64)| {
            [first, first - 7].map(|days_ago| {
                let at = self.at(days_ago, 9 * HOUR);
                self.charge(
                    at,
                    &format!("demo-analysis-{project}-{}", self.day(days_ago)),
                    json!({
                        "project": project, "actor": "ada", "resource": format!("{project}.git"),
                        "meter": "code_analysis", "dimensions": { "tree": tree },
                        "quantities": { "code_lines": lines, "files": files },
                    }),
                )
            })
        };
        REPOSITORIES.into_iter().flat_map(analysis).collect()
    }

    /// A plan is measured by the server from the artefact itself.
    fn plan(&self, project: &str, days_ago: i64) -> Act {
        let key = format!("demo-plan-{project}-{}", self.day(days_ago));
        let plan = json!({ "project": project, "actor": "grace", "meter": "infra_plan", "input": COMPOSE });
        self.charge(self.at(days_ago, 10 * HOUR), &key, plan)
    }

    fn charge(&self, at: Timestamp, key: &str, mut charge: Value) -> Act {
        charge["account"] = json!(ACCOUNT);
        charge["at"] = json!(text(at));
        charge["idempotency_key"] = json!(key);
        Act { at, what: What::Post { path: "/v1/charges".to_owned(), key: "in-body".to_owned(), body: charge } }
    }

    fn report(&self, (server, what, days_ago, minutes, tier): (&str, &str, i64, i64, &str)) -> Act {
        let at = self.at(days_ago, minutes);
        let path = format!("/v1/accounts/{ACCOUNT}/servers/{server}");
        let mut said = json!({ "at": text(at) });
        if !tier.is_empty() {
            said["tier"] = json!(tier);
        }
        let is_report = ["start", "stop", "resize"].contains(&what);
        if !is_report {
            said["project"] = json!(what);
            return Act { at, what: What::Put { path, body: said } };
        }
        let key = format!("demo-{server}-{what}-{}", self.day(days_ago));
        Act { at, what: What::Post { path: format!("{path}/{what}"), key, body: said } }
    }

    /// What the platform measured of a server on a day.
    fn utilisation(&self, server: &str, days_ago: i64, (cpu, memory): (u8, u8)) -> Act {
        let at = self.at(days_ago, 12 * HOUR);
        let path = format!("/v1/accounts/{ACCOUNT}/servers/{server}/utilisation");
        let body = json!({ "cpu_percent": cpu, "memory_percent": memory, "at": text(at) });
        Act { at, what: What::Post { path, key: format!("demo-busy-{server}-{}", self.day(days_ago)), body } }
    }
}

/// Lives through it all. `present` is what time it is for the machine.
pub fn fill(client: &Client, progress: Progress<'_>, present: &dyn Fn() -> Timestamp) -> Result<(), DemoError> {
    progress(0, steps(), "opening the account");
    open(client)?;
    let now = present();
    let life = Life { today: now.millis().div_euclid(Span::DAY.millis()), present: now };
    let mut acts = life.acts().into_iter().peekable();
    for hours_ago in steps_back() {
        let (to, days_ago) = (now - Span::HOUR.times(hours_ago), hours_ago / 24);
        let done = usize::try_from(DAYS - days_ago).unwrap_or(0);
        progress(done, steps(), &format!("{days_ago} days ago"));
        move_on(client, to)?;
        money::collected(client, to)?;
        if let Some(purchase) = money::bought_on(days_ago).filter(|_| hours_ago % 24 == 0) {
            purchase(client)?;
        }
        let mut chats = Vec::new();
        while let Some(act) = acts.next_if(|it| it.at < to) {
            match act.what {
                What::Chat(chat) => chats.push(chat),
                What::Post { path, key, body } => drop(client.post(&path, &key, &body)?),
                What::Put { path, body } => drop(client.put(&path, &body)?),
            }
        }
        charge_all(client, &chats)?;
    }
    progress(steps() - 1, steps(), "today");
    move_on(client, present())?;
    hold(client, &life)?;
    correct(client, &life)?;
    set_budgets(client)?;
    progress(steps(), steps(), "done");
    Ok(())
}

/// How many hours ago it is after each step: a day at a time, and the last two by the hour, so that what is looked at
/// first happens as it would.
fn steps_back() -> impl Iterator<Item = i64> {
    (2..DAYS).rev().map(|days| days * 24).chain((0..48).rev())
}

/// Opening, the days, and what is left for today.
fn steps() -> usize {
    usize::try_from(DAYS).unwrap_or(0) + 2
}

/// Moves the server's clock on, unless it is there already: another run may have moved it before.
fn move_on(client: &Client, to: Timestamp) -> Result<(), DemoError> {
    if now(client)? < to {
        client.post_anew("/v1/test-clock/advance", &json!({ "to": text(to) }))?;
    }
    Ok(())
}

/// What time it is for the server.
pub fn now(client: &Client) -> Result<Timestamp, DemoError> {
    let balance = client.get(&format!("/v1/accounts/{ACCOUNT}/balance"))?;
    let instant: Option<jiff::Timestamp> = balance["as_of"].as_str().and_then(|it| it.parse().ok());
    let unclear = || DemoError::Unreachable { what: "the balance".to_owned(), why: "it has no `as_of`".to_owned() };
    Ok(Timestamp::from_millis(instant.ok_or_else(unclear)?.as_millisecond()))
}

fn open(client: &Client) -> Result<(), DemoError> {
    let profile = json!({
        "name": "Acme Robotics", "email": "billing@acme.example", "currency": "eur", "timezone": "Europe/Vilnius",
        "address": {"line1": "Gedimino pr. 1", "city": "Vilnius", "postal_code": "01103", "country": "LT"},
    });
    client.put(&format!("/v1/accounts/{ACCOUNT}"), &profile)?;
    money::open_shop(client)?;
    let names = [
        ("storefront", "Storefront"),
        ("data-pipeline", "Data pipeline"),
        ("mobile-app", "Mobile app"),
        ("legacy-site", "Legacy site"),
    ];
    for (project, name) in names {
        client.put(&format!("/v1/accounts/{ACCOUNT}/projects/{project}"), &json!({ "name": name }))?;
    }
    Ok(())
}

/// Each under its own key: what was charged before is answered again.
fn charge_all(client: &Client, charges: &[Value]) -> Result<(), DemoError> {
    if charges.is_empty() {
        return Ok(());
    }
    let answer = client.post_anew("/v1/charges/batch", &json!(charges))?;
    if answer["refused"] == 0 { Ok(()) } else { Err(refused("charging for chats", &answer["results"])) }
}

/// A stream that grows its hold as it flows and captures what it used; and one that is still open.
fn hold(client: &Client, life: &Life) -> Result<(), DemoError> {
    let key = |what: &str| format!("demo-{what}-{}", life.today);
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
fn correct(client: &Client, life: &Life) -> Result<(), DemoError> {
    let charge = json!({
        "account": ACCOUNT, "project": "mobile-app", "actor": "barbara", "meter": "infra_plan",
        "quantities": { "points": 38 }, "idempotency_key": format!("demo-mistake-{}", life.today),
    });
    let charged = client.post("/v1/charges", "in-body", &charge)?;
    let id = charged["id"].as_str().unwrap_or_default();
    let reason = json!({ "reason": "The plan was generated twice" });
    client.post(&format!("/v1/charges/{id}/reverse"), &format!("demo-correction-{}", life.today), &reason)?;
    Ok(())
}

/// One budget that is four fifths used and blocks, and one that only tells. They are made to this month's measure, so
/// that there is something to see on whatever day it is.
fn set_budgets(client: &Client) -> Result<(), DemoError> {
    let budgets = format!("/v1/accounts/{ACCOUNT}/budgets");
    let scopes = [
        ("ai-monthly", json!({ "meters": ["ai_chat"] }), "meter=ai_chat", 80, "block"),
        ("storefront", json!({ "project": "storefront" }), "project=storefront", 55, "notify"),
    ];
    for (name, scope, of, percent, action) in scopes {
        let usage = client.get(&format!("/v1/accounts/{ACCOUNT}/usage?{of}"))?;
        let used: billing::money::Credits = usage["total"].as_str().and_then(|it| it.parse().ok()).unwrap_or_default();
        let tens = used.micros() * 10 / percent / billing::money::Credits::MICROS;
        let limit = (tens.max(1) * 10).to_string();
        let budget = json!({ "scope": scope, "period": "month", "credits": limit, "action": action });
        client.put(&format!("{budgets}/{name}"), &budget)?;
    }
    Ok(())
}

/// The first result that is not a charge, as an error.
fn refused(what: &str, results: &Value) -> DemoError {
    let results = results.as_array().map(Vec::as_slice).unwrap_or_default();
    let first = results.iter().find(|it| it["error"].is_object()).cloned().unwrap_or_default();
    let status = first["status"].as_u64().and_then(|it| it.try_into().ok()).unwrap_or(0);
    DemoError::Refused { what: what.to_owned(), status, detail: first["error"]["detail"].to_string() }
}

/// An instant as the API is told it.
fn text(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.millis()).map(|it| it.to_string()).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_happens_in_its_order_and_nothing_after_today() {
        let present = Timestamp::from_millis(1_795_000_000_000);
        let life = Life { today: present.millis().div_euclid(Span::DAY.millis()), present };
        let acts = life.acts();
        assert!(acts.is_sorted_by_key(|it| it.at));
        assert!(acts.last().is_some_and(|it| it.at < present));
        let first = present - Span::DAY.times(DAYS);
        assert!(acts.first().is_some_and(|it| first <= it.at), "the clock begins before all of it");
    }
}
