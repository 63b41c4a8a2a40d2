//! A soak: several nodes on one PostgreSQL under load for minutes, one after another killed without warning and started
//! again. Every client insists on its charge under its key, at whatever node answers, and asks again for what it has.
//! In the end each acknowledged charge is there once, the balances are what was acknowledged, and the ledger verifies.
use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Options;
use super::fill::{self, Random};
use super::http::{KEY, Running, binary, free_address, start, wait_for};
use super::table::{grouped, per_second, row};

const NODES: usize = 3;
/// Micro-credits granted to each account: more than a soak spends.
const GRANTED: i64 = 1_000_000_000_000_000;
/// How long a client insists on one charge.
const PATIENCE: Duration = Duration::from_secs(60);
/// One in so many charges is asked for again at once, of another node.
const REPEATED: usize = 5;

/// What clients count together.
#[derive(Default)]
struct Counts {
    acknowledged: AtomicU64,
    repeated: AtomicU64,
    busy: AtomicU64,
    unreachable: AtomicU64,
}

/// A charge that was acknowledged: its request, and what was answered.
struct Acknowledged {
    request: Value,
    id: String,
    micros: i64,
}

struct Soak {
    nodes: Vec<SocketAddr>,
    accounts: usize,
    model: String,
    /// A client's charges follow each other no faster.
    pause: Duration,
    counts: Counts,
    is_over: AtomicBool,
    agent: ureq::Agent,
}

pub fn run(options: &Options) {
    let url = std::env::var("SCRIP_TEST_POSTGRES_URL").expect("`cargo xtask soak` starts a PostgreSQL");
    let lasts = Duration::from_secs(options.number::<u64>("minutes", 10) * 60).max(Duration::from_secs(1));
    let lasts = options.number::<u64>("seconds", 0).checked_sub(1).map_or(lasts, |it| Duration::from_secs(it + 1));
    let every = Duration::from_secs(options.number("kill-every", 20));
    let clients: u64 = options.number("clients", 6);
    let a_second = options.number::<u64>("a-second", 200).max(1);
    let nodes: Vec<SocketAddr> = (0..NODES).map(|_| free_address()).collect();
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE / 2));
    let soak = Arc::new(Soak {
        nodes,
        accounts: options.number("accounts", 20),
        model: fill::model(),
        pause: Duration::from_micros(1_000_000 * clients / a_second),
        counts: Counts::default(),
        is_over: AtomicBool::new(false),
        agent: config.build().into(),
    });
    let mut running: Vec<Running> = soak.nodes.iter().map(|it| started(*it, &url)).collect();
    soak.nodes.iter().for_each(|it| wait_for(*it));
    soak.register();
    println!(
        "soak: {} s, {NODES} nodes, one killed every {} s, {clients} clients, {} accounts, half of it on one",
        lasts.as_secs(),
        every.as_secs(),
        soak.accounts
    );
    row(&["elapsed", "acknowledged", "a second", "asked again", "told 503", "unreachable", "kills"]);
    let began = Instant::now();
    let charged: Vec<thread::JoinHandle<Vec<Acknowledged>>> = (0..clients)
        .map(|number| {
            let soak = Arc::clone(&soak);
            thread::spawn(move || soak.client(number))
        })
        .collect();
    let mut kills = 0;
    while began.elapsed() < lasts {
        thread::sleep(every.min(lasts.saturating_sub(began.elapsed())));
        if began.elapsed() < lasts {
            let place = kills % NODES;
            // SIGKILL, in the middle of whatever it was doing.
            drop(running.remove(place));
            running.insert(place, started(soak.nodes[place], &url));
            kills += 1;
        }
        soak.tell(began.elapsed(), kills);
    }
    soak.is_over.store(true, Ordering::Relaxed);
    let charged = charged.into_iter().flat_map(|it| it.join().expect("no client gives up")).collect::<Vec<_>>();
    soak.nodes.iter().for_each(|it| wait_for(*it));
    soak.compare(&charged);
    drop(running);
    verified(&url);
    println!("{} charges acknowledged, each there once; the ledger verifies", grouped(charged.len() as u64));
}

fn started(address: SocketAddr, url: &str) -> Running {
    Running(start(&binary(), &["serve", "--listen", &address.to_string(), "--database-url", url]))
}

fn verified(url: &str) {
    let mut verify = Command::new(binary());
    let said = verify.args(["verify", "--json", "--database-url", url]).stdin(Stdio::null()).output();
    let said = said.expect("scrip runs");
    println!("scrip verify: {}", String::from_utf8_lossy(&said.stdout).trim_end());
    assert!(said.status.success(), "the ledger does not verify: {}", String::from_utf8_lossy(&said.stderr));
}

/// Micro-credits of a decimal number of credits.
fn micros(credits: &Value) -> i64 {
    let text = credits.as_str().expect("credits are decimal strings");
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{part:0<6}").parse().expect("a decimal number")
}

impl Soak {
    fn register(&self) {
        for number in 0..self.accounts {
            let path = format!("/v1/accounts/account-{number}");
            assert_eq!(self.send("PUT", &path, "", &json!({})).map(|it| it.0), Some(201));
            let grant = json!({"credits": (GRANTED / 1_000_000).to_string(), "source": "promo", "reason": "soak"});
            assert_eq!(self.send("POST", &(path + "/grants"), "soak", &grant).map(|it| it.0), Some(201));
        }
    }

    /// Asks the first node.
    fn send(&self, method: &str, path: &str, key: &str, body: &Value) -> Option<(u16, Value)> {
        self.ask(0, (method, path, key), Some(body))
    }

    /// One request of one node: its status and body; None when nothing came back.
    fn ask(&self, node: usize, what: (&str, &str, &str), body: Option<&Value>) -> Option<(u16, Value)> {
        let (method, path, key) = what;
        let url = format!("http://{}{path}", self.nodes[node % NODES]);
        let request = ureq::http::Request::builder().method(method).uri(url);
        let request = request.header("authorization", format!("Bearer {KEY}"));
        let request = if key.is_empty() { request } else { request.header("idempotency-key", key) };
        let request = request.header("content-type", "application/json");
        let text = body.map_or_else(String::new, ToString::to_string);
        let mut response = self.agent.run(request.body(text).expect("a request")).ok()?;
        let status = response.status().as_u16();
        // An answer that breaks off is none.
        let text = response.body_mut().read_to_string().ok()?;
        Some((status, serde_json::from_str(&text).ok()?))
    }

    /// Charges until it is over, one after another.
    fn client(&self, number: u64) -> Vec<Acknowledged> {
        let mut random = Random::new(0x50a4 + number * 7919);
        let mut done: Vec<Acknowledged> = Vec::new();
        while !self.is_over.load(Ordering::Relaxed) {
            let began = Instant::now();
            let account = if random.below(2) == 0 { 0 } else { random.below(self.accounts) };
            let request = json!({
                "account": format!("account-{account}"), "meter": "ai_chat", "dimensions": {"model": self.model},
                "quantities": {"input_tokens": 1 + random.below(9_000), "output_tokens": random.below(900)},
                "idempotency_key": format!("client-{number}-{}", done.len()),
            });
            let node = random.below(NODES);
            let reply = self.insist(node, &request);
            let id = reply["id"].as_str().expect("a charge has an id").to_owned();
            self.counts.acknowledged.fetch_add(1, Ordering::Relaxed);
            if random.below(REPEATED) == 0 {
                assert_eq!(self.insist(node + 1, &request), reply, "one key, one answer");
                self.counts.repeated.fetch_add(1, Ordering::Relaxed);
            }
            done.push(Acknowledged { micros: micros(&reply["credits"]), id, request });
            thread::sleep(self.pause.saturating_sub(began.elapsed()));
        }
        done
    }

    /// Asks one node after another until the charge is acknowledged.
    fn insist(&self, first: usize, request: &Value) -> Value {
        let began = Instant::now();
        for turn in first.. {
            assert!(began.elapsed() < PATIENCE, "no node charges: {request}");
            match self.ask(turn, ("POST", "/v1/charges", ""), Some(request)) {
                Some((201, reply)) => return reply,
                Some((503, _)) => {
                    self.counts.busy.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(50));
                }
                Some((status, reply)) => panic!("{status}: {reply}"),
                None => {
                    self.counts.unreachable.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(5));
                }
            }
        }
        unreachable!("the turns do not end")
    }

    /// Every acknowledged charge is there, and nothing else is.
    fn compare(&self, charged: &[Acknowledged]) {
        let spent: Mutex<HashMap<String, i64>> = Mutex::default();
        thread::scope(|scope| {
            for (place, some) in charged.chunks(charged.len().div_ceil(4).max(1)).enumerate() {
                let spent = &spent;
                scope.spawn(move || {
                    for (turn, one) in some.iter().enumerate() {
                        let reply = self.insist(place + turn, &one.request);
                        assert_eq!(reply["id"], one.id, "an acknowledged charge is there");
                        let account = one.request["account"].as_str().expect("it was made so").to_owned();
                        let mut spent = spent.lock().unwrap_or_else(PoisonError::into_inner);
                        *spent.entry(account).or_default() += one.micros;
                    }
                });
            }
        });
        for (account, spent) in spent.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let path = format!("/v1/accounts/{account}/grants");
            let (_, grants) = self.ask(1, ("GET", &path, ""), None).expect("a node answers");
            let grants = grants["data"].as_array().expect("a list").clone();
            let sum = |name: &str| grants.iter().map(|it| micros(&it[name])).sum::<i64>();
            assert_eq!(sum("credits") - sum("remaining"), spent, "{account} has paid for what was acknowledged");
        }
    }

    fn tell(&self, elapsed: Duration, kills: usize) {
        let count = |it: &AtomicU64| it.load(Ordering::Relaxed);
        let counts = &self.counts;
        let acknowledged = count(&counts.acknowledged);
        row(&[
            &format!("{} s", elapsed.as_secs()),
            &grouped(acknowledged),
            &grouped(per_second(acknowledged, elapsed)),
            &grouped(count(&counts.repeated)),
            &grouped(count(&counts.busy)),
            &grouped(count(&counts.unreachable)),
            &kills.to_string(),
        ]);
    }
}
