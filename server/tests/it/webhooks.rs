//! Webhooks, as a platform hears them: signed, tried again, sent again, and none in another's way.
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use billing::Refusal;
use billing::id::AccountNumber;
use billing::time::{Span, Timestamp};
use serde_json::{Value, json};
use server::app::{App, Settings};
use server::notify::Reach;
use server::service::{DeliveryState, Error};
use server::{rate_card, worker};
use standardwebhooks::Webhook;
use store::sqlite::{Options, Sqlite};
use store::{Change, CommitError, Document, Store};
use tempfile::TempDir;
use ureq::http::{HeaderMap, HeaderName, HeaderValue};

use super::served::{Served, chat};
use crate::forwarded::forwarded;

/// Longer than anything here takes, so that a fault shows as one.
const PATIENCE: Duration = Duration::from_secs(60);

/// What stands for no answer at all.
const SILENCE: u16 = 0;

/// With the welcome of 600, an account is low once it has spent more than 450.
const CONFIG: &str = "webhooks_anywhere = true\nlow_balance_credits = \"150\"";

pub struct Ear {
    pub url: String,
    heard: Receiver<Heard>,
    answer: Arc<AtomicU16>,
}

#[derive(Clone, Debug)]
pub struct Heard {
    headers: HeaderMap,
    body: String,
}

impl Heard {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
    pub fn what(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }
    fn id(&self) -> &str {
        self.headers["webhook-id"].to_str().unwrap()
    }
    /// Whether it was signed with a secret, within a few minutes of now by this machine's clock.
    fn is_signed(&self, secret: &str) -> bool {
        Webhook::new(secret).unwrap().verify(self.body.as_bytes(), &self.headers).is_ok()
    }
}

/// With it an ear asks to be left alone for two hours.
const TOO_MANY: u16 = 429;

impl Ear {
    /// Listens, and answers with `status` until told otherwise.
    pub fn open(status: u16) -> Ear {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hear", listener.local_addr().unwrap());
        let (say, heard) = channel();
        let answer = Arc::new(AtomicU16::new(status));
        let answers = Arc::clone(&answer);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (say, answers) = (say.clone(), Arc::clone(&answers));
                std::thread::spawn(move || hear(BufReader::new(stream.unwrap()), &say, &answers));
            }
        });
        Ear { url, heard, answer }
    }

    pub fn next(&self) -> Heard {
        self.heard.recv_timeout(PATIENCE).expect("it is told in time")
    }
    /// The next that is not this one again: a delivery may be made twice, where time moves on before it is noted.
    pub fn next_after(&self, heard: &Heard) -> Heard {
        let mut next = self.next();
        while next.id() == heard.id() {
            next = self.next();
        }
        next
    }
    fn answer(&self, status: u16) {
        self.answer.store(status, Ordering::Relaxed);
    }
}

fn hear(mut stream: BufReader<std::net::TcpStream>, say: &std::sync::mpsc::Sender<Heard>, answer: &AtomicU16) {
    loop {
        let (mut line, mut headers) = (String::new(), HeaderMap::new());
        while 0 < stream.read_line(&mut line).unwrap_or(0) && line != "\r\n" {
            if let Some((name, value)) = line.split_once(':') {
                let name: HeaderName = name.to_lowercase().parse().unwrap();
                headers.insert(name, HeaderValue::from_str(value.trim()).unwrap());
            }
            line.clear();
        }
        let Some(length) = headers.get("content-length") else { return };
        let mut body = vec![0; length.to_str().unwrap().parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
        let status = answer.load(Ordering::Relaxed);
        let is_silent = status == SILENCE;
        if say.send(Heard { headers, body: String::from_utf8(body).unwrap() }).is_err() {
            return;
        }
        if is_silent {
            // Until the other side has had enough.
            let _ = stream.read_line(&mut String::new());
            return;
        }
        let wait = if status == TOO_MANY { "retry-after: 7200\r\n" } else { "" };
        let _ = write!(stream.get_mut(), "HTTP/1.1 {status} So\r\n{wait}content-length: 0\r\n\r\n");
    }
}

fn server(directory: &Arc<TempDir>) -> Served {
    Served::start_with(Arc::clone(directory), &[("SCRIP_SANDBOX", "1")], CONFIG)
}

pub fn fresh() -> Served {
    server(&Arc::new(TempDir::new().unwrap()))
}

impl Served {
    pub fn endpoint(&self, ear: &Ear, events: &[&str]) -> (String, String) {
        let made = self.post("/v1/webhook-endpoints", "", &json!({"url": ear.url, "events": events}));
        assert_eq!(made.status, 201, "{}", made.text);
        let made = made.json();
        (made["id"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned())
    }

    /// Spends so many of an account's credits, under a key of its own.
    fn spend(&self, account: &str, key: &str, credits: u64) {
        let charge = self.charge(&chat(account, key, credits * 8_000));
        assert_eq!(charge.status, 201, "{}", charge.text);
    }

    pub fn deliveries(&self, endpoint: &str) -> Vec<Value> {
        let list = self.get(&format!("/v1/webhook-endpoints/{endpoint}/deliveries")).json();
        list["data"].as_array().unwrap().clone()
    }

    /// The newest delivery, once it is as it should be.
    fn newest_until(&self, endpoint: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let began = std::time::Instant::now();
        loop {
            let all = self.deliveries(endpoint);
            if let Some(newest) = all.first().filter(|it| is_so(it)) {
                return newest.clone();
            }
            assert!(began.elapsed() < PATIENCE, "{all:#?}");
            std::thread::yield_now();
        }
    }

    pub fn advance_to(&self, to: &str) {
        let moved = self.post("/v1/test-clock/advance", "", &json!({"to": to}));
        assert_eq!(moved.status, 200, "{}", moved.text);
    }
    /// Moves the clock to when something is due by its own word.
    fn advance_to_next_try(&self, delivery: &Value) {
        self.advance_to(delivery["next_try_at"].as_str().expect("it is tried again"));
    }
}

#[test]
fn a_balance_that_crosses_a_line_is_told_of_once_each_time_and_signed() {
    let server = fresh();
    let ear = Ear::open(204);
    let (_, secret) = server.endpoint(&ear, &["balance.low", "balance.recovered"]);
    server.account("acct_ada");
    let grant = |key: &str| {
        let grant = json!({"credits": "300", "source": "adjustment", "reason": "x"});
        assert_eq!(server.post("/v1/accounts/acct_ada/grants", key, &grant).status, 201);
    };
    // From 500: to 150, which is not below; to 149; further, which is no news; up over the line; down again. The 100
    // for servers pay for no chat.
    server.spend("acct_ada", "1", 350);
    server.spend("acct_ada", "2", 1);
    server.spend("acct_ada", "3", 20);
    let first = ear.next();
    assert_eq!((first.what(), &first.json()["data"]["posted"]), ("balance.low".to_owned(), &json!("249")));
    assert_eq!(first.json()["data"]["for_other_work"], "100");
    assert_eq!(first.json()["data"]["account"], "acct_ada");
    assert!(first.is_signed(&secret));
    assert!(!first.is_signed("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), "with its own secret alone");
    grant("g1");
    assert_eq!(ear.next().what(), "balance.recovered");
    grant("g2");
    server.spend("acct_ada", "4", 600);
    let again = ear.next();
    assert_eq!(again.what(), "balance.low");
    assert_ne!(again.id(), first.id());
}

/// Credits for servers pay for no chat: they hide from nobody that the others are used up.
/// Whoever acts on servers is told at once; what they use until they are given up is counted.
#[test]
fn a_closed_account_has_its_servers_given_up_and_starts_none() {
    let (server, ear) = (fresh(), Ear::open(204));
    server.endpoint(&ear, &["server.release_due"]);
    server.account("ada");
    let grant = json!({"credits": "1000", "source": "promo", "reason": "for two servers"});
    assert_eq!(server.post("/v1/accounts/ada/grants", "g", &grant).status, 201);
    let path = |id: &str| format!("/v1/accounts/ada/servers/{id}");
    for id in ["runs", "waits"] {
        assert_eq!(server.put(&path(id), &json!({"tier": "entry-level"})).status, 201);
    }
    let report = |id: &str, what: &str| server.post(&format!("{}/{what}", path(id)), "", &json!({}));
    assert_eq!(report("runs", "start").status, 200);
    assert_eq!(server.send("/v1/accounts/ada/close", "x1", "application/json", "").status, 201);
    let told = ear.next().json();
    let about = &told["data"];
    assert_eq!((&about["reason"], &about["servers"]), (&json!("account_closed"), &json!(["runs", "waits"])), "{told}");
    assert_eq!(report("waits", "start").problem().1, "account_closed");
    for id in ["runs", "waits"] {
        let released = report(id, "release");
        assert_eq!((released.status, &released.json()["state"]), (200, &json!("released")), "{}", released.text);
    }
}

#[test]
fn a_line_is_crossed_by_what_pays_for_the_work() {
    let server = fresh();
    let ear = Ear::open(204);
    server.endpoint(&ear, &["balance.low", "balance.exhausted", "balance.recovered"]);
    server.account("acct_ada");
    let grant = |key: &str, credits: &str, meters: &[&str]| {
        let grant = json!({"credits": credits, "source": "adjustment", "reason": "x", "scope": {"meters": meters}});
        assert_eq!(server.post("/v1/accounts/acct_ada/grants", key, &grant).status, 201);
    };
    let heard = |what: &str, apart: &Value| {
        let told = ear.next();
        assert_eq!((&*told.what(), &told.json()["data"]["for_other_work"]), (what, apart));
    };
    let refused = |key: &str| server.charge(&chat("acct_ada", key, 8_000)).json()["available"].clone();
    server.spend("acct_ada", "1", 351);
    heard("balance.low", &json!("100"));
    server.spend("acct_ada", "2", 149);
    heard("balance.exhausted", &json!("100"));
    assert_eq!((refused("3"), server.available("acct_ada")), (json!("0"), "100".to_owned()));
    // More of what pays for no chat is no recovery.
    grant("g1", "500", &["server"]);
    assert_eq!(refused("3"), "0");
    grant("g2", "300", &[]);
    heard("balance.recovered", &json!("600"));
    // Credits for chats alone are drawn first, and cross no line while others are behind them.
    grant("g3", "200", &["ai_chat"]);
    server.spend("acct_ada", "4", 200);
    server.spend("acct_ada", "5", 300);
    heard("balance.exhausted", &json!("600"));
    // Where there are no others, they are the line.
    grant("g4", "200", &["ai_chat"]);
    heard("balance.recovered", &json!("600"));
    server.spend("acct_ada", "6", 60);
    heard("balance.low", &json!("600"));
    server.spend("acct_ada", "7", 140);
    heard("balance.exhausted", &json!("600"));
}

#[test]
fn who_does_not_listen_is_tried_eleven_times_over_three_days_and_can_be_told_again() {
    let server = fresh();
    let ear = Ear::open(503);
    let (endpoint, secret) = server.endpoint(&ear, &["balance.low"]);
    server.account("acct_ada");
    server.spend("acct_ada", "1", 400);
    let began = ear.next();
    let mut delivery = server.newest_until(&endpoint, |it| it["tries"].as_array().unwrap().len() == 1);
    for count in 2..=11 {
        server.advance_to_next_try(&delivery);
        assert_eq!(ear.next().id(), began.id(), "the same name at every try");
        delivery = server.newest_until(&endpoint, |it| it["tries"].as_array().unwrap().len() == count);
    }
    assert_eq!((&delivery["status"], &delivery["next_try_at"]), (&json!("failed"), &Value::Null));
    let tries = delivery["tries"].as_array().unwrap();
    assert!(tries.iter().all(|it| it["status"] == 503));
    let day = |it: &Value| it["at"].as_str().unwrap()[..10].parse::<jiff::civil::Date>().unwrap();
    assert!(3 <= (day(&tries[10]) - day(&tries[0])).get_days(), "over three days: {tries:?}");
    let shown = server.get("/v1/webhook-endpoints").json();
    assert!(shown["data"][0]["failing_since"].is_string(), "{shown}");

    ear.answer(200);
    let path = format!("/v1/webhook-endpoints/{endpoint}/deliveries/{}/resend", delivery["id"].as_str().unwrap());
    let again = server.post(&path, "again", &json!({}));
    assert_eq!(again.json()["status"], "pending");
    // It rests still, from having failed so often.
    let last: jiff::Timestamp = tries[10]["at"].as_str().unwrap().parse().unwrap();
    server.advance_to(&(last + jiff::SignedDuration::from_hours(1)).to_string());
    assert!(ear.next().is_signed(&secret));
    let delivery = server.newest_until(&endpoint, |it| it["status"] == "delivered");
    assert_eq!(delivery["tries"].as_array().unwrap().len(), 12);
    let repeated = server.post(&path, "again", &json!({}));
    assert_eq!((repeated.header("idempotent-replay"), &repeated.text), (Some("true"), &again.text));
    let shown = server.get("/v1/webhook-endpoints").json();
    assert_eq!(shown["data"][0]["failing_since"], Value::Null);
}

#[test]
fn an_endpoint_that_never_answers_holds_up_nobody() {
    let server = fresh();
    let (dead, live) = (Ear::open(SILENCE), Ear::open(200));
    server.endpoint(&dead, &[]);
    server.endpoint(&live, &[]);
    for number in 0..20 {
        let account = format!("acct_{number}");
        server.account(&account);
        server.spend(&account, "1", 400);
    }
    let began = std::time::Instant::now();
    let mut told: Vec<String> =
        (0..20).map(|_| live.next().json()["data"]["account"].as_str().unwrap().to_owned()).collect();
    // A single try of the dead one takes fifteen seconds.
    assert!(began.elapsed() < Duration::from_secs(12), "took {:?}", began.elapsed());
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 20);
    assert!(dead.heard.try_iter().count() <= 16, "no more than a few wait for it at once");
}

fn document(kind: &str, id: String, due_at: Timestamp, body: &Value) -> Change {
    let (kind, body, account) = (kind.to_owned(), body.to_string(), Document::HOUSE);
    Change::Document(Document { account, kind, id, version: 1, at: due_at, due_at: Some(due_at), body })
}

/// What comes of a commit instead of what it says.
#[derive(Clone, Copy)]
enum Mood {
    Overtaken,
    Panics,
}

/// A store that has moods, each for one commit.
struct Moody {
    inner: Arc<Sqlite>,
    moods: Mutex<Vec<Mood>>,
}

impl Moody {
    fn set(&self, mood: Mood, commits: usize) {
        *self.moods.lock().unwrap() = vec![mood; commits];
    }
    fn left(&self) -> usize {
        self.moods.lock().unwrap().len()
    }
}

impl Store for Moody {
    fn commit(&self, changes: &[Change]) -> Result<(), CommitError> {
        let mood = self.moods.lock().unwrap().pop();
        match mood {
            None => self.inner.commit(changes),
            Some(Mood::Overtaken) => Err(CommitError::Stale),
            Some(Mood::Panics) => panic!("it was told to"),
        }
    }
    forwarded!();
}

/// A server in this process, whose time passes only as it is worked.
fn at_hand(story: impl FnOnce(&Arc<App>, &Sqlite)) {
    at_hand_of(|app, store| story(app, &store.inner));
}

fn at_hand_of(story: impl FnOnce(&Arc<App>, &Moody)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let directory = TempDir::new().unwrap();
    runtime.block_on(async {
        let inner = Arc::new(Sqlite::open(&directory.path().join("scrip.db"), Options::default()).unwrap());
        let store = Arc::new(Moody { inner, moods: Mutex::default() });
        let settings = Settings { notices_reach: Reach::Anywhere, is_sandbox: true, ..Settings::default() };
        let card = rate_card::parse_toml(rate_card::DEFAULT).unwrap();
        let app = Arc::new(App::open(Arc::<Moody>::clone(&store), settings, &card).unwrap());
        story(&app, &store);
        app.close();
    });
}

/// A new endpoint's id.
fn made(app: &App, url: &str, event: &str) -> String {
    app.create_endpoint(url, &[event.to_owned()], "test", None).unwrap().endpoint.id
}

/// Raises a notice of the house, as any commit may.
fn raise(app: &App, store: &Sqlite, cause: &str) {
    let body = json!({"what": "balance.low", "about": {"said": cause}});
    store.commit(&[document("notice", format!("notice_{cause}"), app.now(), &body)]).unwrap();
}

#[test]
fn thousands_that_wait_for_one_endpoint_stand_before_nothing_of_another() {
    const WAITING: usize = 5_000;
    at_hand(|app, store| {
        let ear = Ear::open(200);
        // Nobody is there.
        let dead = made(app, "http://127.0.0.1:9/", "grant.expired");
        made(app, &ear.url, "balance.low");
        let long_ago = app.now() - Span::HOUR;
        let kind = format!("delivery to {dead}");
        let body = json!({"endpoint": dead, "notice": "n", "what": "grant.expired", "body": "{}", "state": "pending",
            "tries": 0, "log": []});
        let waiting: Vec<Change> =
            (0..WAITING).map(|it| document(&kind, format!("delivery_{it:04}"), long_ago, &body)).collect();
        waiting.chunks(1_000).for_each(|it| store.commit(it).unwrap());
        // Once while it is tried, and once while it rests: spread by one pass of the worker, sent by the next.
        for cause in ["first", "second"] {
            raise(app, store, cause);
            for _ in 0..2 {
                app.work(200).unwrap();
            }
            assert_eq!(ear.next().id(), format!("notice_{cause}"));
            let all = || store.documents(Document::HOUSE, &kind, None, WAITING).unwrap();
            let tried = || all().iter().filter(|it| it.body.contains("\"tries\":1")).count();
            crate::nodes::eventually("it has failed often enough to rest", || 3 <= tried());
        }
        let all = store.documents(Document::HOUSE, &kind, None, WAITING).unwrap();
        let written = all.iter().filter(|it| 1 < it.version).count();
        assert!((3..100).contains(&written), "what waits is left alone: {written}");
    });
}

#[test]
fn an_endpoint_that_is_switched_off_costs_a_row_for_a_month_and_a_notice_that_was_spread_says_nothing_twice() {
    at_hand(|app, store| {
        let id = made(app, "http://127.0.0.1:9/", "balance.low");
        let endpoint = store.document(Document::HOUSE, "webhook_endpoint", &id).unwrap().unwrap();
        let since = format!("\"disabled_at\":{}", app.now().millis());
        let body = endpoint.body.replace("\"disabled_at\":null", &since);
        assert_ne!(body, endpoint.body);
        store.commit(&[Change::Document(Document { version: 2, body, ..endpoint })]).unwrap();
        raise(app, store, "first");
        for _ in 0..3 {
            app.work(200).unwrap();
        }
        let missed = || store.documents(Document::HOUSE, &format!("delivery to {id}"), None, 9).unwrap();
        let all = missed();
        assert_eq!((all.len(), all[0].version, all[0].due_at), (1, 1, None));
        assert!(all[0].body.contains("failed") && all[0].body.contains("said"), "{}", all[0].body);
        let notice = store.document(Document::HOUSE, "notice", "notice_first").unwrap().unwrap();
        assert_eq!((notice.due_at, notice.body.contains("said")), (None, false));
        app.clock().advance(Span::DAY.times(31));
        raise(app, store, "later");
        app.work(200).unwrap();
        assert_eq!(missed().len(), 1, "nobody has come for it");
    });
}

/// A delivery that is over since an instant.
fn over(endpoint: &str, number: usize, at: Timestamp) -> Change {
    let body = json!({"endpoint": endpoint, "notice": format!("n{number}"), "what": "balance.low", "body": "{}",
        "state": "delivered", "tries": 1, "log": [{"at": at.millis(), "status": 200, "why": null}]});
    at_rest(Document::HOUSE, &format!("delivery to {endpoint}"), &format!("delivery_{number:04}"), at, &body)
}

fn at_rest(account: AccountNumber, kind: &str, id: &str, at: Timestamp, body: &Value) -> Change {
    let (kind, id, body) = (kind.to_owned(), id.to_owned(), body.to_string());
    Change::Document(Document { account, kind, id, version: 1, at, due_at: None, body })
}

#[test]
fn what_was_told_is_forgotten_after_ninety_days_and_what_it_was_made_of_later_so_that_it_is_not_told_anew() {
    at_hand(|app, store| {
        let ear = Ear::open(200);
        let id = made(app, &ear.url, "balance.low");
        raise(app, store, "first");
        for _ in 0..2 {
            app.work(200).unwrap();
        }
        ear.next();
        let told = || app.deliveries(id.parse().unwrap(), None, 9).unwrap();
        crate::nodes::eventually("it was heard", || told()[0].delivery.state == DeliveryState::Delivered);
        let delivery = told().remove(0).id;
        app.clock().advance(Span::DAY.times(89));
        assert!(!app.forget().unwrap());
        assert_eq!(told().len(), 1);
        // Told again by hand, it has its time again.
        app.resend(id.parse().unwrap(), delivery.parse().unwrap(), &"test".into(), None).unwrap();
        app.work(200).unwrap();
        ear.next();
        crate::nodes::eventually("it was heard again", || told()[0].delivery.state == DeliveryState::Delivered);
        app.clock().advance(Span::DAY.times(89));
        assert!(!app.forget().unwrap());
        assert_eq!(told().len(), 1);
        app.clock().advance(Span::DAY.times(2));
        assert!(!app.forget().unwrap());
        assert!(told().is_empty());
        let again = app.resend(id.parse().unwrap(), delivery.parse().unwrap(), &"test".into(), None);
        assert!(matches!(again, Err(Error::Refused(Refusal::DeliveryNotFound))));
        // Its cause comes again.
        let notice = || store.document(Document::HOUSE, "notice", "notice_first").unwrap();
        let again =
            document("notice", "notice_first".to_owned(), app.now(), &json!({"what": "balance.low", "about": {}}));
        assert!(matches!(store.commit(&[again]), Err(CommitError::Stale)));
        app.work(200).unwrap();
        assert!(told().is_empty());
        app.clock().advance(Span::DAY.times(219));
        assert!(!app.forget().unwrap());
        assert!(notice().is_some());
        app.clock().advance(Span::DAY.times(2));
        assert!(!app.forget().unwrap());
        assert_eq!(notice(), None);
    });
}

#[test]
fn much_that_is_over_is_forgotten_a_little_at_a_time_and_nothing_that_is_on_its_way() {
    at_hand(|app, store| {
        let (id, gone) =
            (made(app, "http://127.0.0.1:9/", "balance.low"), made(app, "http://127.0.0.1:9/", "grant.expired"));
        app.delete_endpoint(gone.parse().unwrap(), "test").unwrap();
        let long_ago = app.now() - Span::DAY.times(91);
        let account = AccountNumber::from_random(7);
        let mut changes: Vec<Change> = (0..300).map(|it| over(&id, it, long_ago)).collect();
        changes.extend((0..149).map(|it| over(&gone, it, long_ago)));
        let mail = json!({"what": "balance.low", "about": {}, "state": "failed", "tries": 11, "log": []});
        changes.push(at_rest(account, "email", "delivery_1", long_ago, &mail));
        // These stay.
        let pending = over(&id, 9_000, long_ago);
        let Change::Document(pending) = pending else { unreachable!() };
        changes.push(Change::Document(Document { due_at: Some(app.now() + Span::DAY), ..pending }));
        changes.push(over(&id, 9_001, app.now() - Span::DAY.times(89)));
        changes.push(at_rest(account, "payment", "pay_1", long_ago, &json!({})));
        changes.push(at_rest(account, "notice", "notice_1", long_ago, &json!({})));
        store.commit(&changes).unwrap();
        let left = |account, kind: &str| store.documents(account, kind, None, 999).unwrap().len();
        let of = |id: &str| left(Document::HOUSE, &format!("delivery to {id}"));
        assert!(app.forget().unwrap(), "there is more");
        assert_eq!(of(&id) + of(&gone) + left(account, "email"), 452 - 200);
        // The loop does the rest, and goes on.
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let forgetting = tokio::spawn(worker::forget(Arc::clone(app), stopped));
        crate::nodes::eventually("all of it is forgotten", || (of(&id), of(&gone)) == (2, 0));
        assert_eq!(left(account, "email") + left(account, "payment") + left(account, "notice"), 2);
        assert!(!forgetting.is_finished());
        stop.send(true).unwrap();
        crate::nodes::eventually("it stops when it is told to", || forgetting.is_finished());
    });
}

#[test]
fn of_endpoints_that_were_deleted_long_ago_nothing_is_left_either() {
    at_hand(|app, store| {
        let gone: Vec<String> = (0..3).map(|_| made(app, "http://127.0.0.1:9/", "balance.low")).collect();
        gone.iter().for_each(|it| app.delete_endpoint(it.parse().unwrap(), "test").unwrap());
        app.clock().advance(Span::DAY.times(300));
        let long_ago = app.now() - Span::DAY.times(91);
        store.commit(&[over(&gone[0], 0, long_ago), over(&gone[1], 1, long_ago), over(&gone[2], 2, long_ago)]).unwrap();
        let left = || {
            let of =
                |it: &String| store.documents(Document::HOUSE, &format!("delivery to {it}"), None, 9).unwrap().len();
            gone.iter().map(of).sum::<usize>()
        };
        app.forget().unwrap();
        assert_eq!(left(), 2, "one of them is asked for at a time");
        for _ in 0..6 {
            app.clock().advance(Span::MINUTE);
            app.forget().unwrap();
        }
        assert_eq!(left(), 0);
    });
}

#[test]
fn forgetting_that_panics_is_tried_again_like_any_other_that_fails() {
    at_hand_of(|app, store| {
        let id = made(app, "http://127.0.0.1:9/", "balance.low");
        store.commit(&[over(&id, 0, app.now() - Span::DAY.times(91))]).unwrap();
        store.set(Mood::Panics, 1);
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let (app, has_gone_on) = (Arc::clone(app), Arc::new(AtomicBool::new(false)));
        let goes_on = Arc::clone(&has_gone_on);
        tokio::spawn(async move {
            worker::forget(app, stopped).await;
            goes_on.store(true, Ordering::SeqCst);
        });
        crate::nodes::eventually("it has panicked", || store.left() == 0);
        stop.send(true).unwrap();
        crate::nodes::eventually("it has lived until it was told to stop", || has_gone_on.load(Ordering::SeqCst));
    });
}

#[test]
fn a_replay_that_is_overtaken_leaves_nothing_out() {
    at_hand_of(|app, store| {
        let id = made(app, "http://127.0.0.1:9/", "balance.low");
        let long_ago = app.now() - Span::HOUR;
        let missed = |number| match over(&id, number, long_ago) {
            Change::Document(it) => {
                Change::Document(Document { body: it.body.replace("\"delivered\"", "\"failed\""), ..it })
            }
            other => other,
        };
        store.commit(&[missed(0), missed(1), missed(2)]).unwrap();
        let replay = || app.replay(id.parse().unwrap(), long_ago, &"test".into(), None);
        store.set(Mood::Overtaken, 1_000);
        assert!(matches!(replay(), Err(Error::Busy)), "and is not taken to be done");
        store.set(Mood::Overtaken, 1);
        assert_eq!(replay().unwrap(), (3, false));
        assert_eq!(replay().unwrap(), (0, false));
    });
}

/// Writes down that nothing an endpoint was told was heard for a month.
fn has_failed_for_a_month(app: &App, store: &Sqlite, id: &str) {
    let endpoint = store.document(Document::HOUSE, "webhook_endpoint", id).unwrap().unwrap();
    let since = format!("\"failing_since\":{}", (app.now() - Span::DAY.times(30)).millis());
    let body = endpoint.body.replace("\"failing_since\":null", &since);
    store.commit(&[Change::Document(Document { version: 2, body, ..endpoint })]).unwrap();
}

fn is_off(store: &Sqlite, id: &str) -> bool {
    let endpoint = store.document(Document::HOUSE, "webhook_endpoint", id).unwrap().unwrap();
    !endpoint.body.contains("\"disabled_at\":null")
}

#[test]
fn one_that_is_told_much_and_stays_dead_is_switched_off_though_it_is_always_something_new_that_is_tried() {
    at_hand(|app, store| {
        let id = made(app, "http://127.0.0.1:9/", "balance.low");
        has_failed_for_a_month(app, store, &id);
        let body = json!({"endpoint": id, "notice": "n", "what": "balance.low", "body": "{}", "state": "pending",
            "tries": 0, "log": []});
        for (number, minutes, off) in [(1, 50, false), (2, 61, true)] {
            let waits_since = app.now() - Span::MINUTE.times(minutes);
            let kind = format!("delivery to {id}");
            store.commit(&[document(&kind, format!("delivery_{number}"), waits_since, &body)]).unwrap();
            app.work(200).unwrap();
            let tried = || app.deliveries(id.parse().unwrap(), None, 9).unwrap().remove(0).delivery.log.len();
            crate::nodes::eventually("it was tried", || tried() == 1);
            assert_eq!(is_off(store, &id), off, "after {minutes} minutes");
        }
    });
}

/// Two bad moments, and a quiet month between: nobody knows whether it would have listened.
#[test]
fn one_that_was_told_nothing_for_long_has_an_hour_to_listen_again_before_it_is_switched_off() {
    at_hand(|app, store| {
        let id = made(app, "http://127.0.0.1:9/", "balance.low");
        has_failed_for_a_month(app, store, &id);
        raise(app, store, "first");
        app.work(200).unwrap();
        for (tries, off) in [(1, false), (2, false), (3, true)] {
            app.work(200).unwrap();
            let told = || app.deliveries(id.parse().unwrap(), None, 9).unwrap().remove(0).delivery.log.len();
            crate::nodes::eventually("it was tried", || told() == tries);
            assert_eq!(is_off(store, &id), off, "after {tries}");
            app.clock().advance(Span::MINUTE.times(31));
        }
    });
}

#[test]
fn a_secret_is_changed_without_missing_anything() {
    let server = fresh();
    let ear = Ear::open(200);
    let (endpoint, old) = server.endpoint(&ear, &["balance.low"]);
    let rotated = server.post(&format!("/v1/webhook-endpoints/{endpoint}/rotate"), "", &json!({}));
    let new = rotated.json()["secret"].as_str().unwrap().to_owned();
    server.account("acct_ada");
    server.spend("acct_ada", "1", 400);
    let heard = ear.next();
    assert!(heard.is_signed(&old) && heard.is_signed(&new));
    let at: jiff::Timestamp = rotated.json()["created_at"].as_str().unwrap().parse().unwrap();
    server.advance_to(&(at + jiff::SignedDuration::from_hours(25)).to_string());
    server.account("acct_bob");
    server.spend("acct_bob", "1", 400);
    let heard = ear.next();
    assert!(!heard.is_signed(&old) && heard.is_signed(&new));
}

#[test]
fn a_grant_that_will_expire_and_one_that_has_are_told_of() {
    let server = fresh();
    let ear = Ear::open(200);
    server.endpoint(&ear, &["grant.expiring", "grant.expired"]);
    server.account("acct_ada");
    // The credits for servers last thirty days, and nobody uses them.
    let now: jiff::Timestamp =
        server.get("/v1/accounts/acct_ada").json()["created_at"].as_str().unwrap().parse().unwrap();
    let after = |days: i64| (now + jiff::SignedDuration::from_hours(24 * days)).to_string();
    server.advance_to(&after(24));
    let heard = ear.next();
    assert_eq!((heard.what(), &heard.json()["data"]["credits"]), ("grant.expiring".to_owned(), &json!("100")));
    server.advance_to(&after(31));
    let heard = ear.next();
    assert_eq!((heard.what(), &heard.json()["data"]["credits"]), ("grant.expired".to_owned(), &json!("100")));
}

#[test]
fn a_try_that_died_with_its_server_is_made_again() {
    let directory = Arc::new(TempDir::new().unwrap());
    let first = server(&directory);
    let ear = Ear::open(SILENCE);
    let (endpoint, _) = first.endpoint(&ear, &["balance.low"]);
    first.account("acct_ada");
    first.spend("acct_ada", "1", 400);
    let heard = ear.next();
    // Killed, not told to stop.
    drop(first);
    ear.answer(200);
    let second = server(&directory);
    let waiting = &second.deliveries(&endpoint)[0];
    assert_eq!((&waiting["status"], &waiting["tries"]), (&json!("pending"), &json!([])));
    second.advance_to_next_try(waiting);
    assert_eq!(ear.next().id(), heard.id());
    second.newest_until(&endpoint, |it| it["status"] == "delivered");
}

#[test]
fn endpoints_are_checked_listed_and_deleted() {
    let server = Served::sandbox();
    let make = |url: &str, events: Value| {
        let made = server.post("/v1/webhook-endpoints", "", &json!({"url": url, "events": events}));
        if made.status == 201 { (201, String::new(), String::new()) } else { made.problem() }
    };
    let bad_url = (422, "invalid_request".to_owned(), "url".to_owned());
    for url in
        ["https://127.0.0.1/", "https://169.254.169.254/latest", "https://localhost/", "http://example.com/", "x"]
    {
        assert_eq!(make(url, json!([])), bad_url, "{url}");
    }
    assert_eq!(make("https://example.com/", json!(["balance.high"])).2, "events");
    assert_eq!(make("https://example.com/", json!(["balance.low"])).0, 201);
    let listed = server.get("/v1/webhook-endpoints").json();
    let id = listed["data"][0]["id"].as_str().unwrap();
    assert!(listed["data"][0].get("secret").is_none(), "a secret is shown once");
    assert_eq!(server.delete(&format!("/v1/webhook-endpoints/{id}")).status, 204);
    assert_eq!(server.get("/v1/webhook-endpoints").json()["data"], json!([]));
    let gone = server.delete(&format!("/v1/webhook-endpoints/{id}")).problem();
    assert_eq!((gone.0, &*gone.1), (404, "webhook_endpoint_not_found"));
    assert_eq!(server.get(&format!("/v1/webhook-endpoints/{id}/deliveries")).json()["data"], json!([]));
}

#[test]
fn an_endpoint_that_is_gone_is_told_nothing_more_and_one_that_asks_for_time_has_it() {
    let server = fresh();
    let (ear, live) = (Ear::open(TOO_MANY), Ear::open(200));
    let (endpoint, _) = server.endpoint(&ear, &["balance.low"]);
    server.endpoint(&live, &["webhook_endpoint.disabled"]);
    server.account("acct_ada");
    server.spend("acct_ada", "1", 450);
    ear.next();
    let tried = server.newest_until(&endpoint, |it| it["tries"].as_array().unwrap().len() == 1);
    let instant = |it: &Value| it.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let wait = instant(&tried["next_try_at"]).duration_since(instant(&tried["tries"][0]["at"]));
    assert_eq!(wait, jiff::SignedDuration::from_hours(2), "and not the five seconds of a first try: {tried}");

    ear.answer(410);
    server.advance_to_next_try(&tried);
    ear.next();
    let tried = server.newest_until(&endpoint, |it| it["tries"].as_array().unwrap().len() == 2);
    assert_eq!((&tried["status"], &tried["next_try_at"]), (&json!("failed"), &Value::Null));
    assert_eq!(live.next().json()["data"]["endpoint"], json!(endpoint));
    let shown = server.get("/v1/webhook-endpoints").json()["data"].as_array().unwrap().clone();
    let shown = shown.into_iter().find(|it| it["id"] == *endpoint).unwrap();
    assert!(shown["disabled_at"].is_string() && shown["failing_since"].is_string(), "{shown}");
}

#[test]
fn an_endpoint_that_stays_dead_is_switched_off_and_told_what_it_missed_when_it_is_back() {
    let server = fresh();
    let (dead, live) = (Ear::open(503), Ear::open(200));
    let (endpoint, _) = server.endpoint(&dead, &["balance.low"]);
    server.endpoint(&live, &["webhook_endpoint.disabled"]);
    server.account("acct_ada");
    server.spend("acct_ada", "1", 400);
    dead.next();
    let first = server.newest_until(&endpoint, |it| it["tries"].as_array().unwrap().len() == 1);
    let began: jiff::Timestamp = first["tries"][0]["at"].as_str().unwrap().parse().unwrap();
    let shown = || server.get("/v1/webhook-endpoints").json()["data"].as_array().unwrap().clone();
    let shown = || shown().into_iter().find(|it| it["id"] == *endpoint).unwrap();
    assert_eq!(shown()["disabled_at"], Value::Null);
    // It goes on for as long as that delivery is tried, and is told of something else after five days.
    server.advance_to(&(began + jiff::SignedDuration::from_hours(121)).to_string());
    let told = live.next();
    assert_eq!(
        (told.what(), &told.json()["data"]["endpoint"]),
        ("webhook_endpoint.disabled".to_owned(), &json!(endpoint))
    );
    assert!(shown()["disabled_at"].is_string());
    // Nothing is sent there any more, and what was on its way is given up.
    server.account("acct_bob");
    server.spend("acct_bob", "1", 400);
    server.advance_to(&(began + jiff::SignedDuration::from_hours(123)).to_string());
    // What it would have been told since is kept, and was not tried.
    let all = || server.deliveries(&endpoint);
    server.newest_until(&endpoint, |_| all().len() == 2 && all().iter().all(|it| it["status"] == "failed"));
    let given_up = server.deliveries(&endpoint);
    let tried = |it: &Value| (it["status"].as_str().unwrap().to_owned(), it["tries"].as_array().unwrap().len());
    assert_eq!(given_up.iter().map(tried).collect::<Vec<_>>(), [("failed".to_owned(), 0), ("failed".to_owned(), 2)]);
    dead.answer(200);
    let path = |action: &str| format!("/v1/webhook-endpoints/{endpoint}/{action}");
    assert_eq!(server.post(&path("enable"), "", &json!({})).json()["disabled_at"], Value::Null);
    let replay = |key: &str, since: jiff::Timestamp| {
        let reply = server.post(&path("replay"), key, &json!({"since": since.to_string()}));
        (reply.json()["count"].clone(), reply.header("idempotent-replay").is_some())
    };
    let (first_hour, before) =
        (began + jiff::SignedDuration::from_hours(1), began - jiff::SignedDuration::from_hours(1));
    assert_eq!(replay("later", first_hour), (json!(1), false));
    assert_eq!(replay("later", first_hour), (json!(1), true));
    assert_eq!(replay("all", before), (json!(1), false));
    dead.next();
    dead.next();
    server.newest_until(&endpoint, |_| server.deliveries(&endpoint).iter().all(|it| it["status"] == "delivered"));
    assert_eq!(shown()["failing_since"], Value::Null);
}
