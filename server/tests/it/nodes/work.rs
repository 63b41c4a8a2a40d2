//! What several nodes do behind the scenes, and must do once: numbers of invoices, top-ups, holds that lapse; and what
//! one of them tells whoever follows at another.
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::thread;

use serde_json::{Value, json};

use super::{assert_verified, eventually, node};
use crate::cluster::Schema;
use crate::money_shop::Shop;
use crate::served::{Served, chat};

const VISA: &str = "4242424242424242";

/// A shop of three nodes on one database; the provider tells the first of them.
fn shop(schema: &Schema) -> (Shop, [Served; 2]) {
    let shop = Shop::on(&schema.url());
    let others = [0, 1].map(|_| shop.node(&schema.url()));
    (shop, others)
}

fn all<'a>(shop: &'a Shop, others: &'a [Served; 2]) -> [&'a Served; 3] {
    [&shop.server, &others[0], &others[1]]
}

#[test]
fn invoices_of_three_nodes_are_numbered_without_a_gap_and_none_twice() {
    const ACCOUNTS: usize = 3;
    const PURCHASES: usize = 6;
    let schema = Schema::new();
    let (shop, others) = shop(&schema);
    let nodes = all(&shop, &others);
    let cards: Vec<String> = (0..ACCOUNTS).map(|it| shop.customer(&format!("a{it}"), VISA)).collect();
    thread::scope(|scope| {
        for (account, card) in cards.iter().enumerate() {
            for (place, node) in nodes.into_iter().enumerate() {
                scope.spawn(move || {
                    for number in 0..PURCHASES {
                        // Each purchase is asked of every node, under the same key.
                        let body = json!({"credits": 500, "payment_method": card});
                        let path = format!("/v1/accounts/a{account}/purchases");
                        let key = format!("p{}", (number + place * 2) % PURCHASES);
                        let reply = node.post(&path, &key, &body);
                        assert!([201, 409, 503].contains(&reply.status), "{}", reply.text);
                    }
                });
            }
        }
    });
    shop.settle();
    let invoices = || -> Vec<Value> {
        let list = |it: usize| shop.server.get(&format!("/v1/accounts/a{it}/invoices")).json()["data"].clone();
        (0..ACCOUNTS).flat_map(|it| list(it).as_array().unwrap().clone()).collect()
    };
    let is_paid = |it: usize| shop.payments(&format!("a{it}")).iter().all(|it| it["status"] == "succeeded");
    eventually("every payment is settled", || (0..ACCOUNTS).all(is_paid));
    let paid: usize = (0..ACCOUNTS).map(|it| shop.payments(&format!("a{it}")).len()).sum();
    assert_eq!(paid, ACCOUNTS * PURCHASES, "one purchase for one key");
    eventually("every payment has its invoice", || invoices().len() == paid);
    let number = |it: &Value| it["number"].as_str().unwrap().rsplit('-').next().unwrap().parse().unwrap();
    let numbers: BTreeSet<usize> = invoices().iter().map(number).collect();
    assert_eq!(numbers, (1..=paid).collect());
    assert_eq!(shop.totals().0, i64::try_from(paid).unwrap() * 605);
    assert_verified(&schema.url());
}

#[test]
fn three_nodes_that_cross_a_threshold_at_once_collect_once() {
    let schema = Schema::new();
    let (shop, others) = shop(&schema);
    shop.customer("ada", VISA);
    let rule = json!({"enabled": true, "threshold": 450, "credits": 1000});
    assert_eq!(shop.server.put("/v1/accounts/ada/auto-topup", &rule).status, 200);
    thread::scope(|scope| {
        for (place, node) in all(&shop, &others).into_iter().enumerate() {
            scope.spawn(move || {
                for number in 0..20 {
                    assert_eq!(node.charge(&chat("ada", &format!("c{place}-{number}"), 24_000)).status, 201);
                }
            });
        }
    });
    eventually("the payment is settled", || shop.payments("ada").iter().any(|it| it["status"] == "succeeded"));
    assert_eq!((shop.payments("ada").len(), shop.totals().0), (1, 1210));
    // 600 of the welcome and 1 000 bought, less 60 charges of 3.
    eventually("every node knows", || all(&shop, &others).iter().all(|it| it.available("ada") == "1420"));
    assert_verified(&schema.url());
}

/// The workers of three nodes come by at the same holds.
#[test]
fn a_hold_that_lapses_ends_once_whoever_comes_by() {
    const HOLDS: usize = 40;
    let schema = Schema::new();
    let nodes = [0, 1, 2].map(|_| node(&schema.url()));
    nodes[0].account("ada");
    for number in 0..HOLDS {
        let hold = json!({
            "account": "ada", "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"}, "credits": "5",
            "expires_in_seconds": 1, "idempotency_key": format!("h{number}"),
        });
        let held = nodes[number % 3].post("/v1/holds", "", &hold);
        assert_eq!(held.status, 201, "{}", held.text);
    }
    eventually("all holds have lapsed", || nodes.iter().all(|it| it.available("ada") == "600"));
    let kinds = || -> Vec<String> {
        let entries = nodes[1].get("/v1/accounts/ada/entries?limit=200").json();
        let kind = |it: &Value| it["kind"].as_str().or(it["type"].as_str()).unwrap_or_default().to_owned();
        entries["data"].as_array().unwrap().iter().map(kind).collect()
    };
    eventually("all of them are written down", || HOLDS <= kinds().iter().filter(|it| it.contains("release")).count());
    assert_eq!(kinds().iter().filter(|it| it.contains("release")).count(), HOLDS, "{:?}", kinds());
    assert_verified(&schema.url());
}

/// Reads an event stream up to the event that says `wanted`, and gives that event's id.
fn heard(stream: &mut impl BufRead, wanted: &str) -> String {
    let (mut id, mut event) = (String::new(), String::new());
    loop {
        let mut line = String::new();
        assert!(0 < stream.read_line(&mut line).unwrap(), "it stays open");
        match line.trim_end().split_once(": ") {
            Some(("id", it)) => it.clone_into(&mut id),
            Some(("event", it)) => it.clone_into(&mut event),
            Some(("data", it)) if format!("{event} {it}").contains(wanted) => return id,
            _ => {}
        }
    }
}

fn follow(node: &Served, last_seen: Option<&str>) -> BufReader<impl Read + use<>> {
    BufReader::new(node.follow("/v1/accounts/ada/events", last_seen))
}

#[test]
fn what_happens_at_one_node_is_told_to_those_who_follow_at_another() {
    let schema = Schema::new();
    let [one, other] = [0, 1].map(|_| node(&schema.url()));
    one.account("ada");
    let mut stream = follow(&other, None);
    heard(&mut stream, "\"available\":\"600\"");
    assert_eq!(one.charge(&chat("ada", "m1", 80_000)).status, 201);
    let seen = heard(&mut stream, "charge ");
    heard(&mut stream, "\"available\":\"590\"");
    drop(stream);
    // The browser loses its node, and comes back to the other with what it has seen.
    assert_eq!(other.charge(&chat("ada", "m2", 160_000)).status, 201);
    let mut stream = follow(&one, Some(&seen));
    heard(&mut stream, "\"credits\":\"-20\"");
    heard(&mut stream, "\"available\":\"570\"");
    assert_eq!(other.charge(&chat("ada", "m3", 8_000)).status, 201);
    heard(&mut stream, "\"credits\":\"-1\"");
}

/// Something else holds an account's row: who wants it is told to come back, and others are served.
#[test]
fn a_database_that_stands_still_is_told_as_busy_and_loses_nothing() {
    let schema = Schema::new();
    let node = node(&format!("{}&statement_timeout_ms=300&committers=2", schema.url()));
    node.account("ada");
    let mut hand = schema.hand();
    let mut held = hand.transaction().unwrap();
    // On a cluster, rows of several machines are locked by changing them.
    held.execute("update books set version = version", &[]).unwrap();
    let charge = chat("ada", "m1", 8_000);
    let told = node.charge(&charge);
    assert_eq!(told.status, 503, "{}", told.text);
    assert!(told.header("retry-after").is_some());
    held.execute("lock table accounts in access exclusive mode", &[]).unwrap();
    let read = node.get("/v1/accounts?limit=1");
    assert_eq!((read.status, read.header("retry-after").is_some()), (503, true), "{}", read.text);
    held.rollback().unwrap();
    let done = node.charge(&charge);
    assert_eq!((done.status, done.header("idempotent-replay")), (201, None), "{}", done.text);
    assert_eq!(node.available("ada"), "599");
}
