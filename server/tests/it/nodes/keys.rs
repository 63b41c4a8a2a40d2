//! API keys at several nodes: what one revokes opens nothing at the others once they have looked, which each does once
//! a second in a loop of its own; and what opened nothing once never does again.
use std::sync::Arc;
use std::thread;

use server::app::{App, Settings};
use server::rate_card;
use server::service::{Error, MintOrder, Scope};
use server::worker;
use store::postgres::Postgres;
use tokio::sync::watch;

use super::eventually;
use crate::cluster::Schema;

const NODES: usize = 3;

fn node(url: &str) -> Arc<App> {
    let card = rate_card::parse_toml(rate_card::DEFAULT).unwrap();
    Arc::new(App::open(Arc::new(Postgres::open(url).unwrap()), Settings::default(), &card).unwrap())
}

/// A key, and what of it is known where.
struct Key {
    id: String,
    secret: String,
    is_revoked: bool,
    /// Nodes that have looked since it was made, and since it was revoked.
    made_known: [bool; NODES],
    revoked_known: [bool; NODES],
}

/// Numbers that follow from a seed.
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

fn mint(node: &App, name: String) -> Result<(String, String), Error> {
    let order = MintOrder { name, scopes: vec![Scope::Read], by: "test".into(), under: None, secret: None };
    let minted = node.mint_api_key(order)?;
    Ok((minted.key.id, minted.secret.unwrap()))
}

/// Keys are made and revoked at any node, and each node looks whenever it does: whatever the order, a node opens to the
/// keys it knows of, and to no other.
#[test]
fn however_keys_are_made_and_revoked_a_node_opens_to_those_it_knows_of() {
    let schema = Schema::new();
    let nodes: [Arc<App>; NODES] = std::array::from_fn(|_| node(&schema.url()));
    let mut keys: Vec<Key> = Vec::new();
    for seed in 0..12 {
        let mut draws = Draws(seed);
        for step in 0..25 {
            let at = draws.below(NODES);
            match draws.below(4) {
                0 => {
                    let (id, secret) = mint(&nodes[at], format!("{seed}-{step}")).unwrap();
                    let none = [false; NODES];
                    keys.push(Key { id, secret, is_revoked: false, made_known: none, revoked_known: none });
                }
                1 if !keys.is_empty() => {
                    let which = draws.below(keys.len());
                    assert!(nodes[at].revoke_api_key(&keys[which].id, "test").unwrap().is_some());
                    // Revoked twice, it was revoked the first time, and nothing is written.
                    if keys[which].is_revoked {
                        check(&nodes, &keys);
                        continue;
                    }
                    keys[which].is_revoked = true;
                }
                _ => nodes[at].refresh().unwrap(),
            }
            // Whoever writes a key looks as well.
            for key in &mut keys {
                key.made_known[at] = true;
                key.revoked_known[at] |= key.is_revoked;
            }
            check(&nodes, &keys);
        }
    }
    nodes.iter().for_each(|it| it.refresh().unwrap());
    for key in &keys {
        assert!(nodes.iter().all(|it| it.authenticate(&key.secret).is_some() != key.is_revoked), "{}", key.id);
    }
    nodes.iter().for_each(|it| it.close());
}

fn check(nodes: &[Arc<App>; NODES], keys: &[Key]) {
    for key in keys {
        for (at, node) in nodes.iter().enumerate() {
            let is_open = node.authenticate(&key.secret).is_some();
            // What was made and revoked between two looks was never known.
            let may_be_open = key.made_known[at] && !key.revoked_known[at];
            let must_be_open = may_be_open && !key.is_revoked;
            assert!(is_open || !must_be_open, "{} opens at node {at}", key.id);
            assert!(!is_open || may_be_open, "{} opens nothing at node {at}", key.id);
        }
    }
}

/// The loop itself, at every node, also when the database has thrown everybody out meanwhile.
#[test]
fn the_loop_of_every_node_hears_of_revoked_keys_whatever_became_of_its_connections() {
    let schema = Schema::new();
    let name = format!("keys_{}", schema.name());
    let url = format!("{}&application_name={name}", schema.url());
    let nodes: [Arc<App>; NODES] = std::array::from_fn(|_| node(&url));
    let (stop, stopped) = watch::channel(false);
    let loops = thread::spawn({
        let nodes = nodes.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let loops = nodes.map(|it| tokio::spawn(worker::refresh(it, stopped.clone())));
                for it in loops {
                    it.await.unwrap();
                }
            });
        }
    });
    let opens = |secret: &str| nodes.iter().filter(|it| it.authenticate(secret).is_some()).count();
    for round in 0..3 {
        let mut minted = None;
        eventually("it is made", || {
            minted = mint(&nodes[round % NODES], format!("round-{round}")).ok();
            minted.is_some()
        });
        let (id, secret) = minted.unwrap();
        eventually("all nodes hear of it", || opens(&secret) == NODES);
        let thrown_out = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1";
        schema.hand().execute(thrown_out, &[&name]).unwrap();
        let revoker = &nodes[(round + 1) % NODES];
        eventually("it is revoked", || revoker.revoke_api_key(&id, "test").is_ok());
        eventually("no node opens to it", || opens(&secret) == 0);
    }
    stop.send(true).unwrap();
    loops.join().unwrap();
    nodes.iter().for_each(|it| it.close());
}
