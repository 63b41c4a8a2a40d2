//! Statements and reports: what the accountant and the customer are told, held against the ledger.
use std::sync::Arc;

use billing::ledger::{Command, Source, Terms};
use billing::money::{Credits, Money};
use billing::time::{Span, Timestamp};
use billing::total::TotalCredits;
use serde_json::{Value, json};
use server::service::{
    ChargeOrder, Month, Order, ReverseOrder, ServerEvent, ServerOrder, ServerVerb, Statement, verify_months,
};
use store::{Change, Document};
use tempfile::TempDir;

use crate::cluster::Schema;
use crate::console::Operator;
use crate::money_back::{at_provider, bought};
use crate::money_shop::Shop;
use crate::money_town::{Post, Town, ada, since};
use crate::served::{Served, assert_verified, chat, store_of};

const VISA: &str = "4242424242424242";

fn micros(it: &Value) -> i64 {
    it.as_str().unwrap().parse::<Credits>().unwrap().micros()
}

/// Sums of all movements of an account, as its entries tell them.
fn movements(server: &Served, account: &str) -> std::collections::BTreeMap<String, i64> {
    let mut sums = std::collections::BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let page = server.get(&format!("/v1/accounts/{account}/entries?limit=500{cursor}")).json();
        for movement in page["data"].as_array().unwrap().iter().flat_map(|it| it["movements"].as_array().unwrap()) {
            let credits = micros(&movement["credits"]);
            for (side, sign) in [("from", -1), ("to", 1)] {
                *sums.entry(movement[side].as_str().unwrap().to_owned()).or_default() += sign * credits;
            }
        }
        let Some(next) = page["next_cursor"].as_str() else { return sums };
        cursor = format!("&cursor={next}");
    }
}

fn this_month(server: &Served) -> String {
    let entry = server.get("/v1/accounts/ada/entries?limit=1").json();
    entry["data"][0]["at"].as_str().unwrap()[..7].to_owned()
}

/// Ada buys, spends for two projects and on a server, is refunded a part, takes one charge back.
fn lived(shop: &Shop) {
    let card = shop.customer("ada", VISA);
    let bought = shop.buy("ada", "order", &json!({"credits": 1000, "payment_method": card})).json();
    let mut work = chat("ada", "one", 8_000_000);
    work["project"] = json!("shop");
    let charged = shop.server.charge(&work);
    assert_eq!(charged.status, 201, "{}", charged.text);
    assert_eq!(shop.spend("ada", "two", 7).status, 201);
    let charge = shop.server.charge(&chat("ada", "three", 16_000)).json();
    let path = format!("/v1/charges/{}/reverse", charge["id"].as_str().unwrap());
    assert_eq!(shop.server.post(&path, "undo", &json!({"reason": "wrong"})).status, 201);
    let path = format!("/v1/payments/{}/refund", bought["id"].as_str().unwrap());
    assert_eq!(shop.server.post(&path, "back", &json!({"credits": 100, "reason": "less"})).status, 201);
}

#[test]
fn the_trial_balance_is_the_sum_of_all_entries_and_zero() {
    let shop = Shop::open();
    lived(&shop);
    let report = shop.server.get("/v1/reports/ledger").json();
    assert_eq!((&report["sum"], &report["freshness"]["is_complete"]), (&json!("0"), &json!(true)), "{report}");
    let expected = movements(&shop.server, "ada");
    for account in report["accounts"].as_array().unwrap() {
        let name = account["ledger_account"].as_str().unwrap();
        assert_eq!(micros(&account["credits"]), expected[name], "{name}");
    }
    assert_eq!(report["accounts"].as_array().unwrap().len(), expected.len());
    let csv = shop.server.get_csv("/v1/reports/ledger").text;
    assert!(csv.starts_with("ledger_account,credits\n") && csv.ends_with("sum,0\n"), "{csv}");
}

/// Grants of as many credits as one may have, or nearly: for each account as many as it may have, each at this cost.
fn filled(directory: &Arc<TempDir>, cost: Money) {
    let store = store_of(directory);
    for account in store.accounts(None, 100).unwrap() {
        let mut book = store.recall(&[], &[account.number]).unwrap().books.pop().flatten().unwrap();
        let terms = Terms {
            source: Source::Purchase,
            credits: Credits::from_micros(Credits::MAX.micros() - 1),
            effective_at: book.at,
            expires_at: Timestamp::NEVER,
            priority: Terms::PRIORITY,
            scope: billing::ledger::Scope::default(),
            cost: Some(cost),
            charged: None,
            payment: None,
            reason: "By invoice".into(),
        };
        let command = Command::Grant(Arc::new(terms));
        let mut changes = Vec::new();
        while let Ok(transaction) = book.decide(&command, book.at) {
            Arc::make_mut(&mut book).apply(&transaction);
            let (transaction, book) = (Arc::new(transaction), Arc::clone(&book));
            changes.push(Change::Post(store::Post { transaction, book, key: None, fact: None }));
        }
        assert_eq!(changes.len(), 998, "as many as there may be beside two of welcome");
        store.commit(&changes).unwrap();
    }
}

#[test]
fn what_all_accounts_come_to_is_exact_beyond_what_one_may_have() {
    let server = Served::start();
    (0..10).for_each(|it| server.account(&format!("a{it}")));
    let directory = server.stop();
    // Ten accounts of 998 grants: more than 2^63 micro-credits, and more than 2^63 dong.
    filled(&directory, Money { amount: 1_000_000_000_000_000, currency: "vnd".parse().unwrap() });
    let server = Served::start_with(directory, &[], "");
    assert_eq!(server.charge(&chat("a0", "work", 8_000)).status, 201);
    let (sold, has) = ("9979999999999.99002", "9980000005998.99002");
    let report = server.get("/v1/reports/ledger").json();
    assert_eq!((&report["sum"], &report["freshness"]["is_complete"]), (&json!("0"), &json!(true)), "{report}");
    let issued = format!("issuance:welcome,-6000\nissuance:purchase,-{sold}\n");
    let expected = format!("ledger_account,credits\n{issued}grants,{has}\nusage:ai_chat,1\nsum,0\n");
    let csv = server.get_csv("/v1/reports/ledger").text;
    assert_eq!(csv, expected);
    let in_json: Vec<String> = report["accounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            let text = |name: &str| it[name].as_str().unwrap().to_owned();
            format!("{},{}\n", text("ledger_account"), text("credits"))
        })
        .collect();
    assert_eq!(format!("ledger_account,credits\n{}sum,0\n", in_json.concat()), expected);

    let dong = 9_980_000_000_000_000_000_u64;
    let owed = server.get("/v1/reports/liability").json();
    assert_eq!((&owed["outstanding"], &owed["deferred"][0]["amount"]), (&json!(has), &json!(dong)), "{owed}");
    let csv = server.get_csv("/v1/reports/liability").text;
    assert!(csv.contains(&format!(",outstanding,credits,{has}\n")), "{csv}");
    assert!(csv.contains(&format!(",deferred,vnd,{dong}\n")), "{csv}");

    let month = server.get("/v1/reports/revenue").json();
    let issued = json!([{"name": "welcome", "credits": "6000"}, {"name": "purchase", "credits": sold}]);
    assert_eq!((&month["credits"]["issued"], &month["credits"]["outstanding"]), (&issued, &json!(has)), "{month}");
    let money = &month["money"][0];
    assert_eq!((&money["received"]["amount"], &money["deferred"]["amount"]), (&json!(dong), &json!(dong)), "{month}");
    let csv = server.get_csv("/v1/reports/revenue").text;
    assert!(csv.contains(&format!(",issued,purchase,credits,{sold},Purchases\n")), "{csv}");
    assert!(csv.contains(&format!(",received,,vnd,{dong},\n")), "{csv}");

    let page = Operator::of(&server).look("/console/reports");
    for said in [
        "grants</th><td class=\"n\">+9,980,000,005,998.99</td>",
        "issuance:purchase</th><td class=\"n\">\u{2212}9,979,999,999,999.99</td>",
        "Received</th><td class=\"n\">VND 9,980,000,000,000,000,000</td>",
        "<b>VND 9,980,000,000,000,000,000</b>",
        "less what they owe</th><td class=\"n\">9,980,000,005,998.99</td>",
        "; 9,980,000,005,998.99 credits in all",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    // Of one account it is what it was.
    let statement = server.get(&format!("/v1/accounts/a0/statements/{}", month["month"].as_str().unwrap())).json();
    assert_eq!(statement["balance"]["closing"], "998000000598.999002", "{statement}");
    assert_verified(&server.stop());
}

#[test]
fn a_welcome_is_in_the_trial_balance_as_soon_as_it_was_given() {
    let server = Served::start();
    let issued = || {
        let report = server.get("/v1/reports/ledger").json();
        assert_eq!(report["freshness"]["is_complete"], json!(true), "{report}");
        let accounts = report["accounts"].as_array().unwrap().iter();
        let issuance = accounts.filter(|it| it["ledger_account"].as_str().unwrap().starts_with("issuance"));
        issuance.map(|it| micros(&it["credits"])).sum::<i64>()
    };
    // All accounts have been looked through by now: nothing but word of it leads to one that moves.
    let before = issued();
    server.account("bob");
    assert_eq!(issued(), before - micros(&json!("600")));
}

#[test]
fn a_month_recognises_what_was_used_and_defers_what_is_left() {
    let shop = Shop::open();
    lived(&shop);
    let month = this_month(&shop.server);
    let report = shop.server.get(&format!("/v1/reports/revenue?month={month}")).json();
    let money = &report["money"][0];
    let cents = |member: &str| money[member]["amount"].as_i64().unwrap();
    // 1 000 credits for 10.00: 507 used of them after the welcome of 500, 100 went back.
    assert_eq!((cents("received"), cents("refunded"), cents("clawed_back")), (1_000, 100, 0), "{report}");
    assert_eq!((cents("recognised_from_use"), cents("recognised_from_breakage"), cents("deferred")), (507, 0, 393));
    assert_eq!(cents("deferred_before") + 1_000 - 100 - cents("recognised"), cents("deferred"));
    let credits = &report["credits"];
    let sum = |list: &Value| list.as_array().unwrap().iter().map(|it| micros(&it["credits"])).sum::<i64>();
    let gone: i64 = ["expired", "voided", "refunded", "clawed_back"].iter().map(|it| micros(&credits[*it])).sum();
    assert_eq!(sum(&credits["issued"]), sum(&credits["used"]) + gone + micros(&credits["outstanding"]));
    assert_eq!(micros(&credits["outstanding"]), micros(&json!(shop.server.available("ada"))));
    // Invoiced 10.00 with 21 %, credited 1.00 of it.
    let tax = &report["taxes"][0];
    assert_eq!(
        (&tax["country"], &tax["rate"], &tax["invoices"], &tax["credit_notes"]),
        (&json!("LT"), &json!("21"), &json!(1), &json!(1))
    );
    assert_eq!((&tax["net"]["amount"], &tax["tax"]["amount"]), (&json!(900), &json!(189)));
    let owed = shop.server.get("/v1/reports/liability").json();
    assert_eq!((&owed["deferred"][0]["amount"], &owed["outstanding"]), (&json!(393), &credits["outstanding"]));
    let long_ago = shop.server.get("/v1/reports/liability?at=2020-01-01T00:00:00Z").json();
    assert_eq!((&long_ago["deferred"], &long_ago["outstanding"]), (&json!([]), &json!("0")));
    let csv = shop.server.get_csv(&format!("/v1/reports/revenue?month={month}")).text;
    assert!(csv.contains(&format!("{month},recognised,use,eur,5.07,\n")), "{csv}");
    for wrong in ["2026", "2026-13", "november", "9998-12"] {
        assert_eq!(shop.server.get(&format!("/v1/reports/revenue?month={wrong}")).problem().2, "month");
    }
    // What is owed at an instant ahead nobody knows: it is what is owed now, and says so.
    let ahead = shop.server.get("/v1/reports/liability?at=2099-01-01T00:00:00Z").json();
    assert_eq!(ahead["outstanding"], credits["outstanding"]);
    assert!(ahead["at"].as_str().unwrap() < "2099", "{ahead}");
}

/// By an invoice of the platform's own, say: the money is in the books as what came through Scrip is.
#[test]
fn credits_that_were_sold_elsewhere_are_deferred_and_recognised_at_what_they_cost() {
    let server = Served::start();
    server.account("ada");
    let grant = |key: &str, body: &Value| server.post("/v1/accounts/ada/grants", key, body);
    let sold = json!({"credits": "1000", "source": "purchase", "reason": "By invoice", "priority": 1,
        "cost": {"amount": 900, "currency": "EUR"}});
    let made = grant("sold", &sold);
    assert_eq!((made.status, &made.json()["cost"]), (201, &json!({"amount": 900, "currency": "eur"})));
    assert_eq!(grant("sold", &sold).text, made.text);
    let mut other = sold.clone();
    other["cost"]["amount"] = json!(901);
    assert_eq!(grant("sold", &other).problem().1, "idempotency_conflict");
    for (member, value, field) in [
        ("source", json!("promo"), "cost"),
        ("cost", json!({"amount": 0, "currency": "eur"}), "cost.amount"),
        ("cost", json!({"amount": 1_000_000_000_001_i64, "currency": "eur"}), "cost.amount"),
        ("cost", json!({"amount": 5, "currency": "kwd"}), "cost.amount"),
        ("cost", json!({"amount": 5, "currency": "euro"}), "cost.currency"),
    ] {
        let mut wrong = sold.clone();
        wrong[member] = value;
        let problem = grant("wrong", &wrong).problem();
        assert_eq!((problem.0, &*problem.2), (422, field), "{wrong}");
    }
    assert_eq!(server.available("ada"), "1600");
    assert_eq!(server.charge(&chat("ada", "work", 200 * 8_000)).status, 201);
    let report = server.get("/v1/reports/revenue").json();
    let cents = |member: &str| report["money"][0][member]["amount"].as_i64().unwrap();
    assert_eq!((cents("received"), cents("recognised_from_use"), cents("deferred")), (900, 180, 720), "{report}");
    assert_eq!(report["taxes"], json!([]), "nothing was invoiced here");
    assert_eq!(server.get("/v1/reports/liability").json()["deferred"][0]["amount"], 720);
    server.verified();
}

#[test]
fn what_was_paid_for_and_never_will_be_used_is_breakage() {
    let shop = Shop::open();
    let card = shop.customer("ada", VISA);
    shop.buy("ada", "order", &json!({"credits": 1000, "payment_method": card}));
    assert_eq!(shop.spend("ada", "some", 800).status, 201);
    let grants = shop.server.get("/v1/accounts/ada/grants").json();
    let paid = grants["data"].as_array().unwrap().iter().find(|it| !it["payment"].is_null()).unwrap().clone();
    let path = format!("/v1/grants/{}/void", paid["id"].as_str().unwrap());
    let voided = shop.server.post(&path, "void", &json!({"reason": "the account was a mistake"}));
    assert_eq!(voided.status, 201, "{}", voided.text);
    let report = shop.server.get("/v1/reports/revenue").json();
    let money = &report["money"][0];
    let cents = |member: &str| money[member]["amount"].as_i64().unwrap();
    assert_eq!((cents("recognised_from_use"), cents("recognised_from_breakage"), cents("deferred")), (300, 700, 0));
    assert_eq!(report["credits"]["voided"], "700");
    // Should it turn out that some of the work was for nothing, its credits come back, and so does what they cost.
    let charge = shop.server.get("/v1/accounts/ada/entries?meter=ai_chat").json()["data"][0]["charge"].clone();
    let path = format!("/v1/charges/{}/reverse", charge.as_str().unwrap());
    let reversed = shop.server.post(&path, "undo", &json!({"reason": "wrong", "credits": "100"}));
    assert_eq!(reversed.status, 201, "{}", reversed.text);
    let owed = shop.server.get("/v1/reports/liability").json();
    assert_eq!(owed["deferred"][0]["amount"], 100, "{owed}");
}

#[test]
fn a_statement_begins_where_the_last_one_ended_and_ties_to_the_ledger() {
    let shop = Shop::open();
    lived(&shop);
    let month = this_month(&shop.server);
    let path = format!("/v1/accounts/ada/statements/{month}");
    let statement = shop.server.get(&path).json();
    let balance = &statement["balance"];
    let came: i64 = balance["granted"].as_array().unwrap().iter().map(|it| micros(&it["credits"])).sum();
    let went: i64 =
        ["used", "expired", "voided", "refunded", "clawed_back"].iter().map(|it| micros(&balance[*it])).sum();
    assert_eq!(micros(&balance["opening"]) + came - went, micros(&balance["closing"]), "{statement}");
    assert_eq!(micros(&balance["closing"]), micros(&json!(shop.server.available("ada"))));
    assert_eq!(statement["total_used"], balance["used"]);
    let of_shop = shop.server.get(&format!("{path}?project=shop")).json();
    assert_eq!((&of_shop["total_used"], &of_shop["balance"]), (&json!("1000"), &Value::Null));
    let csv = shop.server.get(&format!("{path}.csv")).text;
    assert!(csv.contains("used,ai_chat,shop,,1,-1000,AI conversations\n"), "{csv}");
    let total: i64 = csv
        .lines()
        .filter(|it| !it.starts_with("line,") && !it.starts_with("closing,"))
        .map(|it| micros(&json!(it.split(',').nth(5).unwrap())))
        .sum();
    assert_eq!(total, micros(&balance["closing"]), "{csv}");
    let (reply, pdf) = shop.server.download(&format!("{path}.pdf"));
    let disposition = format!("inline; filename=\"statement-ada-{month}.pdf\"");
    assert_eq!(reply.header("content-disposition"), Some(&*disposition));
    assert!(pdf.starts_with(b"%PDF-1.7"));
    // The month after: nothing happened, or the hold and the servers of nobody.
    shop.pass(40 * 86_400);
    assert_eq!(shop.spend("ada", "later", 3).status, 201);
    let later = this_month(&shop.server);
    let next = shop.server.get(&format!("/v1/accounts/ada/statements/{later}")).json();
    assert_eq!(next["total_used"], "3");
    let first = shop.server.get(&path).json();
    assert_eq!(first["is_final"], true);
    for wrong in ["2999-01", "2026-1", "2026-11.doc"] {
        assert_eq!(shop.server.get(&format!("/v1/accounts/ada/statements/{wrong}")).problem().2, "month", "{wrong}");
    }
    assert_eq!(shop.server.get("/v1/accounts/ada/statements/2020-01").json()["balance"]["closing"], "0");
}

#[test]
fn what_is_frozen_or_not_in_effect_yet_stands_beside_the_closing_balance() {
    let shop = Shop::open();
    bought(&shop, VISA);
    let path = format!("/v1/accounts/ada/statements/{}", this_month(&shop.server));
    let says = |path: &str, withheld: &str| {
        let balance = shop.server.get(path).json()["balance"].clone();
        assert_eq!(balance["withheld"], withheld, "{balance}");
        assert_eq!(micros(&balance["posted"]) + micros(&balance["withheld"]), micros(&balance["closing"]), "{balance}");
        balance["posted"].clone()
    };
    let posted = || shop.server.get("/v1/accounts/ada/balance").json()["posted"].clone();
    assert_eq!(says(&path, "0"), posted());
    let later =
        json!({"credits": "200", "source": "promo", "reason": "for later", "effective_at": "2099-01-01T00:00:00Z"});
    assert_eq!(shop.server.post("/v1/accounts/ada/grants", "later", &later).status, 201);
    assert_eq!(says(&path, "200"), posted());
    shop.control("POST", "disputes", &json!({"payment": at_provider(&shop)}));
    shop.settle();
    assert_eq!((says(&path, "1200"), posted()), (json!("100"), json!("100")));
    // And so it stays in the month that is over, whatever becomes of the dispute.
    shop.pass(40 * 86_400);
    let more = json!({"credits": "30", "source": "promo", "reason": "for now"});
    assert_eq!(shop.server.post("/v1/accounts/ada/grants", "more", &more).status, 201);
    says(&path, "1200");
    let next = format!("/v1/accounts/ada/statements/{}", this_month(&shop.server));
    assert_ne!(next, path);
    assert_eq!(says(&next, "1200"), posted());
}

/// A town that no notice reaches, where time passes only when it is told to, and nobody counts or settles unasked.
fn in_town<S: AsyncFn(&mut Town)>(story: S) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut town = Town::new(1, false).await;
        town.post = Post::Lost;
        story(&mut town).await;
        town.app.close();
    });
}

/// An entry-level server of Ada's, set up for 300 and running for 4 an hour since an instant.
async fn run_server(town: &Town, at: Timestamp) {
    let (account, server, by) = (ada(), "vm".parse().unwrap(), "test".into());
    let (project, tier, region) = (None, "entry-level".into(), None);
    let order = ServerOrder { account, server, project, tier, region, at: Some(at), by };
    town.app.provision_server(order).await.unwrap();
    let (account, server, by, verb) = (ada(), "vm".parse().unwrap(), "test".into(), ServerVerb::Start);
    let event = ServerEvent { account, server, verb, at: Some(at), tier: None, key: None, by };
    town.app.report_server(event).await.unwrap();
}

fn used_by_servers(statement: &Statement) -> TotalCredits {
    let own = statement.used.iter().filter(|it| it.meter == "server");
    TotalCredits::from_micros(own.map(|it| it.credits).sum())
}

#[test]
fn what_is_final_has_the_last_hour_of_its_month_and_never_changes() {
    in_town(async |town| {
        town.buy().await.unwrap();
        let month = Month::at(town.app.now()).next();
        let began = month.end() - Span::HOUR.times(3);
        town.pass(since(town.app.now(), began + Span::MINUTE)).await;
        run_server(town, began).await;
        // The month ends, and nobody comes by: what is due is posted for whoever asks first, and is of the month.
        town.app.clock().advance(Span::MINUTE.times(210));
        let said = town.app.statement(&ada(), month, None).unwrap();
        assert_eq!((said.is_final, used_by_servers(&said)), (true, Credits::whole(300 + 3 * 4).into()), "{said:?}");
        let balance = said.balance.clone().unwrap();
        let came: TotalCredits = balance.granted.iter().map(|it| it.1).sum();
        let went = balance.used + balance.expired + balance.voided + balance.refunded + balance.clawed_back;
        assert_eq!(came - went + balance.opening, balance.closing.into());
        let report = town.app.revenue(month).unwrap();
        assert!(report.freshness.waiting == 0 && report.freshness.is_whole, "{report:?}");
        let of_servers = report.used.iter().find(|it| it.0 == "server").unwrap();
        assert_eq!((of_servers.1, report.outstanding), (Credits::whole(312).into(), balance.closing.into()));
        let owed = town.app.liability(Some(month.end() - Span::from_millis(1))).unwrap();
        assert_eq!((owed.outstanding, owed.at), (balance.closing.into(), month.end()));
        // Of the very instant that is asked for: the midnight that ends a month is the end of it.
        let at_midnight = town.app.liability(Some(month.end())).unwrap();
        assert_eq!((at_midnight.outstanding, at_midnight.at), (balance.closing.into(), month.end()));
        town.pass(Span::HOUR.times(2)).await;
        let again = town.app.statement(&ada(), month, None).unwrap();
        assert_eq!(format!("{again:?}"), format!("{said:?}"));
        let next = town.app.statement(&ada(), month.next(), None).unwrap();
        assert_eq!((next.is_final, used_by_servers(&next)), (false, Credits::whole(2 * 4).into()));
        assert_eq!(next.balance.unwrap().opening, balance.closing);
        let differences = verify_months(&**town.app.store()).unwrap();
        assert!(differences.is_empty(), "{differences:?}");
    });
}

#[test]
fn what_is_verified_of_months_is_their_days_and_what_an_account_carries_on() {
    in_town(async |town| {
        town.buy().await.unwrap();
        town.pass(Span::MINUTE.times(2)).await;
        town.app.trial_balance().unwrap();
        let store = town.app.store();
        let ada = town.app.account(&ada()).unwrap().number;
        let differences = || verify_months(&**store).unwrap();
        assert_eq!(differences(), Vec::<String>::new());
        let (own, house) = ((ada, "account_month"), (Document::HOUSE, "house_month"));
        let spoilt = [
            (own, "opening", "expected to open with 0, 10"),
            (own, "received", "all months: eur received: expected 10.00, found 110.00"),
            (own, "cost", "expected 1000 credits for 10.00 eur, 0 used,"),
            (house, "received", ": eur received: expected 10.00, found 110.00"),
            (house, "grants", ": credits of grants: expected 1900, found"),
            (house, "outstanding", ", credits outstanding: expected 1900, found"),
        ];
        for ((account, kind), member, said) in spoilt {
            let was = format!("\"{member}\":");
            let sound = store.documents(account, kind, None, 1).unwrap().remove(0);
            assert!(sound.body.contains(&was), "{was} in {}", sound.body);
            let body = sound.body.replacen(&was, &format!("{was}1"), 1);
            let wrong = Document { version: sound.version + 1, body, ..sound.clone() };
            store.commit(&[Change::Document(wrong)]).unwrap();
            let found = differences();
            assert!(found.len() == 1 && found[0].contains(said), "{said}: {found:?}");
            store.commit(&[Change::Document(Document { version: sound.version + 2, ..sound })]).unwrap();
        }
        assert_eq!(differences(), Vec::<String>::new());
    });
}

/// A report that is asked for before anybody came by has what is due in its month as well.
#[test]
fn a_report_of_a_month_that_is_over_has_what_was_due_in_it() {
    in_town(async |town| {
        town.buy().await.unwrap();
        let month = Month::at(town.app.now()).next();
        let began = month.end() - Span::HOUR.times(3);
        town.pass(since(town.app.now(), began + Span::MINUTE)).await;
        run_server(town, began).await;
        town.app.clock().advance(Span::HOUR.times(3));
        let report = town.app.revenue(month).unwrap();
        let of_servers = report.used.iter().find(|it| it.0 == "server").unwrap();
        assert_eq!((of_servers.1, report.freshness.waiting), (Credits::whole(312).into(), 0));
    });
}

/// What a correction gives back is revenue no more. Where what its grant cost cannot be read, the account waits; it is
/// not counted as if nobody had paid.
#[test]
fn a_correction_is_counted_with_what_its_grant_cost_or_not_yet() {
    in_town(async |town| {
        town.buy().await.unwrap();
        town.pass(Span::MINUTE.times(2)).await;
        let order = Order {
            meter: "ai_chat".into(),
            quantities: vec![("input_tokens".into(), 1_500 * 8_000)],
            dimensions: vec![("model".into(), "gpt-6.1-terra".into())],
            ..Order::default()
        };
        let order = ChargeOrder { account: ada(), order, key: "all".into(), by: "test".into() };
        let charge = town.app.charge(order).await.unwrap().transaction.charge_id();
        town.app.trial_balance().unwrap();
        // A month later nothing of the grant is in the month any more; and a month of long ago cannot be read.
        town.pass(Span::DAY.times(32)).await;
        let ada = town.app.account(&ada()).unwrap().number;
        let counted = town.app.store().documents(ada, "account_month", None, 1).unwrap().remove(0);
        let (kind, id, body) = (counted.kind.clone(), "1999-01".to_owned(), "?".to_owned());
        let broken = Document { kind, id, version: 1, body, ..counted.clone() };
        town.app.store().commit(&[Change::Document(broken.clone())]).unwrap();
        let (credits, reason) = (Some(Credits::whole(100)), "wrong".into());
        let undo = ReverseOrder { charge, credits, reason, key: "undo".into(), by: "test".into() };
        town.app.reverse(undo).await.unwrap();
        let month = Month::at(town.app.now());
        let earned = |town: &Town| {
            let report = town.app.revenue(month).unwrap();
            let money = report.money.first().map_or(0, |it| it.1.takings.revenue.used);
            (money, report.freshness.waiting)
        };
        assert_eq!(earned(town), (0, 1), "it waits");
        let mended = Document { version: 2, body: counted.body, ..broken };
        town.app.store().commit(&[Change::Document(mended)]).unwrap();
        town.pass(Span::MINUTE.times(2)).await;
        assert_eq!(earned(town), (-100, 0));
        // It never was one of hers, and would be found out.
        let planted = town.app.store().document(ada, "account_month", "1999-01").unwrap().unwrap();
        town.app.store().commit(&[Change::Forget(planted)]).unwrap();
        let differences = verify_months(&**town.app.store()).unwrap();
        assert!(differences.is_empty(), "{differences:?}");
    });
}

#[test]
fn a_project_among_very_many_is_not_said_to_have_used_nothing() {
    let server = Served::start();
    server.account("ada");
    let work = |number: u32| {
        let mut work = chat("ada", &format!("k{number}"), 80);
        work["project"] = json!(format!("p{number}"));
        work.to_string()
    };
    let lines: Vec<String> = (0..4_010).map(work).collect();
    let sent = server.send("/v1/charges/batch", "", "application/x-ndjson", &lines.join("\n"));
    assert_eq!(sent.json()["accepted"], 4_010);
    let path = format!("/v1/accounts/ada/statements/{}", this_month(&server));
    let whole = server.get(&path).json();
    assert_eq!(whole["total_used"], "40.1");
    let used = whole["used"].as_array().unwrap();
    assert!(used.iter().all(|it| it["server"].is_null()), "no chat ran on a server");
    for project in ["p7", "p4009"] {
        let refused = server.get(&format!("{path}?project={project}")).problem();
        assert_eq!(refused, (422, "invalid_request".to_owned(), "project".to_owned()));
    }
}

/// A node told of some work and died before it counted it; the other had looked through all accounts before.
#[test]
fn a_month_that_is_over_has_what_every_node_did_in_it() {
    let schema = Schema::new();
    let node = || {
        let environment = [("SCRIP_DATABASE_URL", &*schema.url()), ("SCRIP_SANDBOX", "1")];
        Served::start_with(Arc::new(TempDir::new().unwrap()), &environment, "")
    };
    let (mut one, other) = (node(), node());
    one.account("ada");
    let month = this_month(&one);
    let end = month.parse::<Month>().unwrap().end() + Span::HOUR;
    let to = json!({"to": jiff::Timestamp::from_millisecond(end.millis()).unwrap().to_string()});
    assert_eq!(other.get("/v1/reports/ledger").json()["freshness"]["is_complete"], true);
    assert_eq!(one.charge(&chat("ada", "late", 8_000)).status, 201);
    one.kill();
    assert_eq!(other.post("/v1/test-clock/advance", "", &to).status, 200);
    let report = other.get(&format!("/v1/reports/revenue?month={month}")).json();
    assert_eq!(report["freshness"]["is_complete"], true, "{report}");
    assert_eq!(report["credits"]["used"], json!([{"name": "ai_chat", "credits": "1"}]), "{report}");
}
