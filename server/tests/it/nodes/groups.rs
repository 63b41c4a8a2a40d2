//! Groups of several nodes that overlap: each charges hundreds of accounts at once, in an order of its own, while the
//! others charge the same, some of them under the same keys.
use std::collections::HashMap;
use std::sync::Arc;
use std::thread;

use billing::id::EntryId;
use billing::ledger::{Scope, Source};
use billing::money::Credits;
use server::app::{App, Settings};
use server::rate_card;
use server::service::{AccountProfile, ChargeOrder, Error, GrantOrder, Order, Registration};
use store::postgres::Postgres;
use store::{Document, Store, verify};

use crate::cluster::Schema;

const NODES: usize = 3;
const ACCOUNTS: usize = 120;
const ROUNDS: usize = 8;
/// Charges of a group: some accounts have one, and one has more than a turn takes loosely.
const GROUP: usize = 480;

fn node(schema: &Schema) -> Arc<App> {
    let store = Postgres::open(&format!("{}&committers=2", schema.url())).unwrap();
    let card = rate_card::parse_toml(rate_card::DEFAULT).unwrap();
    Arc::new(App::open(Arc::new(store), Settings::default(), &card).unwrap())
}

/// A charge of a credit.
fn order(account: usize, key: &str) -> ChargeOrder {
    let model = ("model".into(), "gpt-6.1-terra".into());
    let quantities = vec![("input_tokens".into(), 8_000)];
    let order = Order { meter: "ai_chat".into(), quantities, dimensions: vec![model], ..Order::default() };
    ChargeOrder { account: format!("a{account}").parse().unwrap(), order, key: key.into(), by: "test".into() }
}

/// The orders of a node's group: half of them under keys that every node uses, in an order of its own.
fn group(node: usize, round: usize) -> Vec<ChargeOrder> {
    let one = |place: usize| {
        let place = (place * 7 + node * 31) % GROUP;
        // Every fourth falls on the first account.
        let account = if place.is_multiple_of(4) { 0 } else { place % ACCOUNTS };
        let owner = if place.is_multiple_of(2) { "all".to_owned() } else { node.to_string() };
        order(account, &format!("{owner}-{round}-{place}"))
    };
    (0..GROUP).map(one).collect()
}

#[test]
fn groups_of_three_nodes_that_overlap_charge_each_key_once() {
    let schema = Schema::new();
    let nodes: Vec<Arc<App>> = (0..NODES).map(|_| node(&schema)).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for account in 0..ACCOUNTS {
        let id = format!("a{account}").parse().unwrap();
        let registration = Registration { id, profile: AccountProfile::default(), fingerprints: Vec::new() };
        nodes[account % NODES].register(&registration, &"test".into()).unwrap();
    }
    // All have five hundred credits, of which the first account wants more.
    let mut done: HashMap<(String, String), EntryId> = HashMap::new();
    let charged: Vec<Vec<(String, String, EntryId, bool)>> = thread::scope(|scope| {
        let started: Vec<_> = nodes
            .iter()
            .enumerate()
            .map(|(place, node)| {
                let runtime = &runtime;
                scope.spawn(move || {
                    let mut charged = Vec::new();
                    for round in 0..ROUNDS {
                        let orders = group(place, round);
                        let asked: Vec<_> =
                            orders.iter().map(|it| (it.account.to_string(), it.key.to_string())).collect();
                        let answers = runtime.block_on(node.charge_all(orders.into_iter().map(Ok).collect()));
                        for ((account, key), answer) in asked.into_iter().zip(answers) {
                            match answer {
                                Ok(it) => charged.push((account, key, it.transaction.id(), it.is_replay)),
                                Err(Error::Refused(billing::Refusal::InsufficientCredits { .. })) => {}
                                Err(other) => panic!("{other:?}"),
                            }
                        }
                    }
                    charged
                })
            })
            .collect();
        started.into_iter().map(|it| it.join().unwrap()).collect()
    });
    let mut first = 0;
    for (account, key, id, is_replay) in charged.into_iter().flatten() {
        assert_eq!(*done.entry((account, key)).or_insert(id), id, "one key, one charge");
        first += usize::from(!is_replay);
    }
    assert_eq!(first, done.len(), "each was done once");
    nodes.iter().for_each(|it| it.close());
    let store = Postgres::open(&schema.url()).unwrap();
    let report = verify(&store, &mut |_, _| {}).unwrap();
    assert!(report.is_clean(), "{:?}", report.differences);
    assert_eq!(store.journal_length().unwrap(), report.transactions);
}

/// A node that has the books of a group at hand, and has seen nobody else for long, refuses nobody by what they were.
#[test]
fn credits_that_came_at_another_node_pay_for_a_group() {
    let schema = Schema::new();
    let [one, other] = [0, 1].map(|_| node(&schema));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for account in 0..ACCOUNTS {
        let id = format!("a{account}").parse().unwrap();
        let registration = Registration { id, profile: AccountProfile::default(), fingerprints: Vec::new() };
        one.register(&registration, &"test".into()).unwrap();
    }
    let charged = |key: &str| -> usize {
        let orders = (0..ACCOUNTS).map(|it| Ok(order(it, key))).collect();
        runtime.block_on(one.charge_all(orders)).iter().filter(|it| it.is_ok()).count()
    };
    assert_eq!(charged("first"), ACCOUNTS);
    // Of five hundred credits that pay for chats, one account spends the rest; then all are refused there.
    let mut rest = order(0, "rest");
    rest.order.quantities[0].1 *= 499;
    runtime.block_on(one.charge_all(vec![Ok(rest)])).pop().unwrap().unwrap();
    assert_eq!(charged("second"), ACCOUNTS - 1);
    let mut granting = GrantOrder {
        account: "a0".parse().unwrap(),
        credits: Credits::from_micros(2_000_000),
        source: Source::Promo,
        reason: "sorry".into(),
        effective_at: None,
        expires_at: None,
        priority: None,
        scope: Scope::default(),
        cost: None,
        key: "grant".into(),
        by: "test".into(),
    };
    runtime.block_on(other.grant(granting.clone())).unwrap();
    assert_eq!(charged("third"), ACCOUNTS);
    // By now it has seen the other; and looks.
    granting.key = "another".into();
    runtime.block_on(other.grant(granting)).unwrap();
    assert_eq!(charged("fourth"), ACCOUNTS);
    [one, other].iter().for_each(|it| it.close());
    assert!(verify(&Postgres::open(&schema.url()).unwrap(), &mut |_, _| {}).unwrap().is_clean());
}

/// Nobody waits for what cannot be read of another account: neither in a group of many, nor for what is due.
#[test]
fn an_account_that_cannot_be_read_fails_alone() {
    let schema = Schema::new();
    let writer = node(&schema);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for account in 0..ACCOUNTS {
        let id = format!("a{account}").parse().unwrap();
        let registration = Registration { id, profile: AccountProfile::default(), fingerprints: Vec::new() };
        writer.register(&registration, &"test".into()).unwrap();
    }
    let orders = |key: &str| (0..ACCOUNTS).map(|it| Ok(order(it, key))).collect();
    let all_done = |it: Vec<Result<_, Error>>| it.iter().all(Result::is_ok);
    assert!(all_done(runtime.block_on(writer.charge_all(orders("before")))));
    let number = writer.account(&"a7".parse().unwrap()).unwrap().number;
    let mut hand = schema.hand();
    let number = i64::try_from(number.get()).unwrap();
    let broken = "update journal set body = '{' where account = $1";
    assert!(0 < hand.execute(broken, &[&number]).unwrap());
    hand.execute("update books set head = null, due_at = 0", &[]).unwrap();
    // One that has the book at hand needs not read it. One that has not fails for this account, and for no other.
    assert!(all_done(runtime.block_on(writer.charge_all(orders("beside")))));
    let reader = node(&schema);
    for key in ["before", "after", "again"] {
        let answers = runtime.block_on(reader.charge_all(orders(key)));
        let failed: Vec<usize> = (0..ACCOUNTS).filter(|it| answers[*it].is_err()).collect();
        assert_eq!(failed, [7], "{key}");
        assert!(matches!(answers[7], Err(Error::Fault(_))), "{:?}", answers[7]);
    }
    [writer, reader].iter().for_each(|it| it.close());
}

/// An hour of usage that is damaged is its account's own misfortune, too, when the time comes to add to it.
#[test]
fn usage_that_cannot_be_read_fails_its_account_alone() {
    let schema = Schema::new();
    let one = node(&schema);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for account in 0..8 {
        let id = format!("a{account}").parse().unwrap();
        let registration = Registration { id, profile: AccountProfile::default(), fingerprints: Vec::new() };
        one.register(&registration, &"test".into()).unwrap();
    }
    // Sixteen charges of each: every fourth group passes a multiple of sixty-four, where usage is added up.
    let failed = |round: usize| -> Vec<usize> {
        let orders = (0..128).map(|it| Ok(order(it % 8, &format!("{round}-{it}")))).collect();
        let answers = runtime.block_on(one.charge_all(orders));
        let is_failed = |it: &usize| answers[*it].is_err();
        let mut failed: Vec<usize> = (0..128).filter(is_failed).map(|it| it % 8).collect();
        failed.sort_unstable();
        failed.dedup();
        failed
    };
    (0..5).for_each(|it| assert!(failed(it).is_empty()));
    let number = i64::try_from(one.account(&"a5".parse().unwrap()).unwrap().number.get()).unwrap();
    assert!(0 < schema.hand().execute("update usage set body = '{' where account = $1", &[&number]).unwrap());
    let rounds: Vec<Vec<usize>> = (5..10).map(failed).collect();
    assert!(rounds.iter().all(|it| it.is_empty() || *it == [5]), "{rounds:?}");
    assert_eq!(rounds.last().unwrap(), &[5], "it was to be added to by then");
    one.close();
}

/// A standby that lacked the last charges takes over, and another node charges as often on what is left: whoever was
/// there before relies on none of the books that were lost, though they seem to be as far.
#[test]
fn a_history_that_went_back_is_noticed() {
    let schema = Schema::new();
    let name = format!("gone_back_{}", schema.name());
    let node = || {
        let store = Postgres::open(&format!("{}&committers=1&application_name={name}", schema.url())).unwrap();
        let card = rate_card::parse_toml(rate_card::DEFAULT).unwrap();
        Arc::new(App::open(Arc::new(store), Settings::default(), &card).unwrap())
    };
    let [one, other] = [0, 1].map(|_| node());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let id: billing::id::Name = "a0".parse().unwrap();
    let registration = Registration { id: id.clone(), profile: AccountProfile::default(), fingerprints: Vec::new() };
    one.register(&registration, &"test".into()).unwrap();
    let charge = |node: &Arc<App>, key: &str, credits: u64| {
        super::eventually("it is charged", || {
            let mut order = order(0, key);
            order.order.quantities[0].1 *= credits;
            match runtime.block_on(node.charge_all(vec![Ok(order)])).pop().unwrap() {
                Ok(_) => true,
                Err(Error::Busy) => false,
                Err(other) => panic!("{other:?}"),
            }
        });
    };
    charge(&one, "kept", 1);
    charge(&one, "lost", 1);
    charge(&one, "lost-too", 1);
    let count = |node: &Arc<App>| (0..100).take_while(|_| node.keep_books().unwrap()).count();
    count(&one);
    let account = one.account(&id).unwrap().number;
    let number = i64::try_from(account.get()).unwrap();
    let mut hand = schema.hand();
    hand.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1", &[&name])
        .unwrap();
    hand.execute("update books set version = version - 2, head = null where account = $1", &[&number]).unwrap();
    let lost = "delete from journal using books where journal.account = books.account and journal.account = $1 \
                and books.version < journal.version";
    assert_eq!(hand.execute(lost, &[&number]).unwrap(), 2);
    // All that was counted is lost, too; and counted again by whoever thinks that it is done.
    let months = [Document::ACCOUNT_MONTH, Document::HOUSE_MONTH].map(str::to_owned).to_vec();
    assert_eq!(hand.execute("delete from documents where kind = any($1)", &[&months]).unwrap(), 2);
    super::eventually("it is counted again", || {
        // Some fail by the connection that they find to be lost.
        let _ = one.refresh();
        count(&one);
        one.store().documents(account, Document::ACCOUNT_MONTH, None, 9).is_ok_and(|it| it.len() == 1)
    });
    charge(&other, "then", 20);
    charge(&other, "and-then", 20);
    charge(&one, "at-last", 1);
    let spent = |node: &Arc<App>| node.balance(&id, None).unwrap().balance.available();
    assert_eq!(spent(&one), spent(&other));
    [one, other].iter().for_each(|it| it.close());
    let report = verify(&Postgres::open(&schema.url()).unwrap(), &mut |_, _| {}).unwrap();
    assert!(report.is_clean(), "{:?}", report.differences);
}
