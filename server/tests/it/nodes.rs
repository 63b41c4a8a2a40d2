//! Several nodes on one PostgreSQL: no leader, no sticky routing, and nothing done twice; also when one is killed, and
//! when the database itself dies and its standby takes over.
mod groups;
mod keys;
mod work;

use std::collections::HashMap;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::cluster::{Pair, Schema};
use crate::served::{Reply, Served, chat};

fn node(url: &str) -> Served {
    let directory = tempfile::tempdir().unwrap().into();
    Served::start_with(directory, &[("SCRIP_DATABASE_URL", url)], "")
}

fn assert_verified(url: &str) {
    let mut verify = Command::new(env!("CARGO_BIN_EXE_scrip"));
    let said = verify.args(["verify", "--database-url", url, "--json"]).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
}

/// Asks again until the answer is as wanted, for a bounded time.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        thread::yield_now();
    }
}

/// Every key goes to every node, many at once; the credits are enough for most of the keys.
#[test]
fn three_nodes_charge_the_same_accounts_under_the_same_keys() {
    const ACCOUNTS: usize = 3;
    const KEYS: usize = 120;
    let schema = Schema::new();
    let nodes = [0, 1, 2].map(|_| node(&schema.url()));
    for number in 0..ACCOUNTS {
        nodes[number % 3].account(&format!("a{number}"));
    }
    let answers: Mutex<HashMap<(usize, usize), Vec<Reply>>> = Mutex::default();
    thread::scope(|scope| {
        for (place, node) in nodes.iter().enumerate() {
            for first in 0..4 {
                let answers = &answers;
                scope.spawn(move || {
                    for step in (first..ACCOUNTS * KEYS).step_by(4) {
                        // Each node in an order of its own.
                        let step = (step * 7 + place * 41) % (ACCOUNTS * KEYS);
                        let (account, key) = (step % ACCOUNTS, step / ACCOUNTS);
                        let reply = node.charge(&chat(&format!("a{account}"), &format!("k{key}"), 40_000));
                        answers.lock().unwrap().entry((account, key)).or_default().push(reply);
                    }
                });
            }
        }
    });
    let answers = answers.into_inner().unwrap();
    for account in 0..ACCOUNTS {
        let mut charged = 0;
        for key in 0..KEYS {
            let replies = &answers[&(account, key)];
            assert!(replies.iter().all(|it| [201, 402].contains(&it.status)), "{replies:?}");
            let done: Vec<&Reply> = replies.iter().filter(|it| it.status == 201).collect();
            assert!(done.iter().all(|it| it.text == done[0].text), "one key, one answer");
            let first = done.iter().filter(|it| it.header("idempotent-replay").is_none()).count();
            assert_eq!(first, usize::from(!done.is_empty()));
            charged += first;
        }
        // 500 credits pay for a hundred charges of 5; the other 100 are for servers.
        assert_eq!(charged, 100);
        assert!(nodes.iter().all(|it| it.available(&format!("a{account}")) == "100"));
    }
    assert_verified(&schema.url());
}

/// Three nodes charge what a budget allows a part of, with credits for all: not one charge passes it, and what was
/// refused at one node was so at all.
#[test]
fn three_nodes_never_pass_a_budget() {
    let schema = Schema::new();
    let nodes = [0, 1, 2].map(|_| node(&schema.url()));
    nodes[0].account("ada");
    let budget = |credits: &str| json!({"period": "month", "credits": credits, "action": "block"});
    assert_eq!(nodes[0].put("/v1/accounts/ada/budgets/all", &budget("100")).status, 201);
    let hammered = |round: &str| -> (usize, usize) {
        let done = AtomicUsize::new(0);
        let refused = AtomicUsize::new(0);
        thread::scope(|scope| {
            for (place, node) in nodes.iter().enumerate() {
                for thread in 0..4 {
                    let (done, refused) = (&done, &refused);
                    scope.spawn(move || {
                        for number in 0..20 {
                            let reply = node.charge(&chat("ada", &format!("{round}-{place}-{thread}-{number}"), 8_000));
                            match reply.status {
                                201 => done.fetch_add(1, Ordering::Relaxed),
                                402 => {
                                    assert_eq!(reply.problem().1, "budget_exceeded");
                                    refused.fetch_add(1, Ordering::Relaxed)
                                }
                                _ => panic!("{reply:?}"),
                            };
                        }
                    });
                }
            }
        });
        (done.into_inner(), refused.into_inner())
    };
    assert_eq!(hammered("first"), (100, 140));
    // Raised at one node, it admits as much more at all of them.
    assert_eq!(nodes[1].put("/v1/accounts/ada/budgets/all", &budget("150")).status, 200);
    assert_eq!(hammered("then"), (50, 190));
    for node in &nodes {
        let shown = node.get("/v1/accounts/ada/budgets/all").json();
        assert_eq!((&shown["used"], &shown["left"]), (&json!("150"), &json!("0")));
        assert_eq!(node.available("ada"), "450");
    }
    assert_verified(&schema.url());
}

/// What is verified is one moment: nodes go on, and what they do meanwhile is no difference.
#[test]
fn a_database_is_verified_while_nodes_write_to_it() {
    let schema = Schema::new();
    let nodes = [0, 1].map(|_| node(&schema.url()));
    (0..4).for_each(|it| nodes[0].account(&format!("a{it}")));
    let is_over = AtomicBool::new(false);
    let done = AtomicUsize::new(0);
    thread::scope(|scope| {
        for (place, node) in nodes.iter().enumerate() {
            let (is_over, done) = (&is_over, &done);
            scope.spawn(move || {
                for number in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let charge = chat(&format!("a{}", number % 4), &format!("{place}-{number}"), 80);
                    assert_eq!(node.charge(&charge).status, 201);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 1..=4 {
            eventually("they charge", || 40 * round < done.load(Ordering::Relaxed));
            assert_verified(&schema.url());
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_verified(&schema.url());
}

#[test]
fn a_refusal_is_as_true_as_a_charge() {
    let schema = Schema::new();
    let [one, other] = [0, 1].map(|_| node(&schema.url()));
    one.account("ada");
    assert_eq!(one.charge(&chat("ada", "all", 4_000_000)).status, 201);
    assert_eq!(other.charge(&chat("ada", "more", 8_000)).status, 402);
    let grant = json!({"credits": "2", "source": "promo", "reason": "sorry"});
    for round in 0..20 {
        assert_eq!(one.post("/v1/accounts/ada/grants", &format!("g{round}"), &grant).status, 201);
        assert_eq!(other.charge(&chat("ada", &format!("m{round}"), 16_000)).status, 201);
        assert_eq!(one.charge(&chat("ada", &format!("n{round}"), 8_000)).status, 402);
    }
}

#[test]
fn what_one_node_is_told_the_others_know() {
    let schema = Schema::new();
    let mut nodes = [0, 1].map(|_| node(&schema.url()));
    nodes[0].account("ada");
    let secret = nodes[0].minted("backend", &["read"]);
    let id = nodes[0].get("/v1/api-keys").json()["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "backend")
        .map(|it| it["id"].as_str().unwrap().to_owned());
    let asked = |it: &mut Served| it.as_key(&secret, |it| it.get("/v1/accounts/ada/balance").status);
    assert_eq!(asked(&mut nodes[1]), 200, "a new key is known at once");
    assert!([200, 204].contains(&nodes[0].delete(&format!("/v1/api-keys/{}", id.unwrap())).status));
    eventually("a revoked key is refused", || asked(&mut nodes[1]) == 401);
    assert_eq!(nodes[1].charge(&chat("ada", "k1", 8_000)).status, 201);
    assert!([200, 201].contains(&nodes[0].post("/v1/accounts/ada/close", "close", &json!({})).status));
    let refused = nodes[1].charge(&chat("ada", "k2", 8_000));
    assert_eq!(refused.problem().1, "account_closed", "a closing holds at once, everywhere");
}

/// Also while others try keys of nobody there, and however short a time ago keys were read.
#[test]
fn a_new_key_is_known_at_every_node_at_once() {
    let schema = Schema::new();
    let nodes = [0, 1].map(|_| node(&schema.url()));
    nodes[0].account("ada");
    let is_over = AtomicBool::new(false);
    let asked = |secret: &str| nodes[1].get_by(secret, "/v1/accounts/ada/balance").status;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    assert_eq!(asked("scrip_of_nobody"), 401);
                }
            });
        }
        for number in 0..8 {
            let secret = nodes[0].minted(&format!("key {number}"), &["read"]);
            let answer = asked(&secret);
            is_over.store(answer != 200, Ordering::Relaxed);
            assert_eq!(answer, 200, "the key of round {number}");
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

/// Charges through whichever node answers, until it is done; counts the answers that asked for patience.
fn charge_at_any(nodes: &[&Mutex<Served>], first: usize, charge: &Value, busy: &AtomicUsize) {
    let began = Instant::now();
    for turn in first.. {
        assert!(began.elapsed() < Duration::from_secs(90), "the charge is never done");
        // A node that is being exchanged is not waited for.
        let Ok(node) = nodes[turn % nodes.len()].try_lock() else { continue };
        match node.try_charge(charge) {
            Some(reply) if reply.status == 201 => return,
            Some(reply) if reply.status == 503 => {
                assert!(reply.header("retry-after").is_some());
                busy.fetch_add(1, Ordering::Relaxed);
            }
            Some(reply) => panic!("{reply:?}"),
            None => {}
        }
    }
}

#[test]
fn a_node_that_is_killed_loses_nothing_and_doubles_nothing() {
    const KEYS: usize = 90;
    let schema = Schema::new();
    let nodes = [0, 1, 2].map(|_| Mutex::new(node(&schema.url())));
    nodes[0].lock().unwrap().account("ada");
    let busy = AtomicUsize::new(0);
    for round in 0..3 {
        thread::scope(|scope| {
            for first in 0..3 {
                let (nodes, busy) = (&nodes, &busy);
                scope.spawn(move || {
                    for key in (first..KEYS).step_by(3) {
                        let charge = chat("ada", &format!("k{round}-{key}"), 8_000);
                        charge_at_any(&nodes.each_ref(), first + key, &charge, busy);
                        if key == 30 + first && first == round {
                            nodes[round].lock().unwrap().kill();
                        }
                    }
                });
            }
        });
        let mut killed = nodes[round].lock().unwrap();
        killed.kill();
        *killed = node(&schema.url());
    }
    for node in &nodes {
        assert_eq!(node.lock().unwrap().available("ada"), (600 - 3 * KEYS).to_string());
    }
    assert_verified(&schema.url());
}

/// The primary is killed under load; its synchronous standby takes over.
#[test]
fn a_failover_loses_no_acknowledged_charge_and_doubles_none() {
    const KEYS: usize = 120;
    let mut pair = Pair::start();
    let url = pair.url();
    let nodes = [0, 1].map(|_| Mutex::new(node(&url)));
    nodes[0].lock().unwrap().account("ada");
    let (busy, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for first in 0..2 {
            let (nodes, busy, done) = (&nodes, &busy, &done);
            scope.spawn(move || {
                for key in (first..KEYS).step_by(2) {
                    charge_at_any(&[&nodes[first]], 0, &chat("ada", &format!("k{key}"), 8_000), busy);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        eventually("there is load", || KEYS / 3 < done.load(Ordering::Relaxed));
        pair.tell("kill");
        eventually("clients are told to come back", || 3 < busy.load(Ordering::Relaxed));
        pair.tell("promote");
    });
    for node in &nodes {
        assert_eq!(node.lock().unwrap().available("ada"), (600 - KEYS).to_string());
    }
    assert_verified(&url);
}

/// A shop on three nodes: the provider tells one of them, and none knows of the others.
#[test]
fn a_hundred_charges_at_once_on_three_nodes_start_one_top_up() {
    let schema = Schema::new();
    let sim = stripe_sim::Sim::start(&stripe_sim::Options::default()).unwrap();
    let url = schema.url();
    let environment = [
        ("SCRIP_DATABASE_URL", &*url),
        ("STRIPE_SECRET_KEY", "sk_test_of_three"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_of_three"),
        ("STRIPE_API_BASE", sim.url()),
    ];
    let nodes = [0, 1, 2].map(|_| Served::start_with(tempfile::tempdir().unwrap().into(), &environment, ""));
    nodes[0].account("ada");
    let path = "/v1/accounts/ada/payment-methods";
    let setup = nodes[0].post(&format!("{path}/setup"), "card", &json!({"return_url": "http://shop.example/"})).json();
    crate::money_shop::browse(setup["setup_url"].as_str().unwrap(), "number=4242424242424242&expiry=12%2F40&cvc=123")
        .unwrap();
    let hook = format!("{}/v1/stripe/webhook", nodes[1].url);
    sim.control("POST", "webhook", &json!({"url": hook, "secrets": ["whsec_of_three"]})).unwrap();
    let card = json!({"id": sim.control("GET", "cards", &json!({})).unwrap()[0], "month": 12});
    let renewed = json!({"exp_month": card["month"], "exp_year": 2041});
    sim.control("POST", &format!("cards/{}", card["id"].as_str().unwrap()), &renewed).unwrap();
    eventually("the card is known", || nodes[2].get(path).json()["data"].as_array().unwrap().len() == 1);
    let rule = json!({"enabled": true, "threshold": 450, "credits": 1000});
    assert_eq!(nodes[0].put("/v1/accounts/ada/auto-topup", &rule).status, 200);
    thread::scope(|scope| {
        for thread in 0..10 {
            let nodes = &nodes;
            scope.spawn(move || {
                for charge in 0..10 {
                    let reply =
                        nodes[(thread + charge) % 3].charge(&chat("ada", &format!("{thread}_{charge}"), 16_000));
                    assert_eq!(reply.status, 201, "{}", reply.text);
                }
            });
        }
    });
    let payments = |node: &Served| node.get("/v1/accounts/ada/payments").json()["data"].clone();
    eventually("it is paid", || payments(&nodes[1])[0]["status"] == "succeeded");
    sim.control("POST", "notices/flush", &json!({})).unwrap();
    let sent = sim.control("GET", "requests", &json!({})).unwrap();
    let keys =
        sent.as_array().unwrap().iter().filter(|it| it["path"] == "/v1/payment_intents" && it["method"] == "POST");
    let mut keys: Vec<&str> = keys.map(|it| it["key"].as_str().unwrap()).collect();
    keys.dedup();
    assert_eq!(keys.len(), 1, "one payment, whoever sent it");
    assert!(nodes.iter().all(|it| payments(it).as_array().unwrap().len() == 1 && it.available("ada") == "1400"));
    let charged = &sim.control("GET", "totals", &json!({})).unwrap()["by_currency"]["eur"]["charged"];
    assert_eq!(charged, 1000);
    assert_verified(&url);
}
