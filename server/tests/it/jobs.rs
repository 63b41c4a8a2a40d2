//! Jobs that fail, jobs that hang, and those that must not wait for them.
use std::sync::Arc;

use billing::id::{AccountNumber, Name, PaymentId};
use billing::money::Credits;
use billing::payment::{Failure, Status};
use billing::time::{Span, Timestamp};
use serde_json::json;
use server::app::{App, Settings};
use server::clock::Clock;
use server::notify::MailRoute;
use server::rate_card;
use server::service::{AccountProfile, ChargeOrder, Goods, Order, PurchaseOrder, Registration};
use store::sqlite::{Options, Sqlite};
use store::{Change, Document, Kinds};

use crate::money_shop::Shop;
use crate::money_town::{Post, Town, VISA, ada, browse, since};
use crate::nodes::eventually;
use crate::webhooks::Ear;

/// A town that no notice reaches, where time passes only when it is told to.
fn in_town<S: AsyncFn(&mut Town)>(story: S) {
    beside(stripe_sim::Options::default(), story);
}

fn beside<S: AsyncFn(&mut Town)>(provider: stripe_sim::Options, story: S) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut town = Town::beside(provider, 1, false).await;
        town.post = Post::Lost;
        story(&mut town).await;
        town.app.close();
    });
}

impl Town {
    /// How often something was asked of the provider.
    fn asked(&self, method: &str, path: &str) -> usize {
        let requests = self.control("GET", "requests", &json!({}));
        let is_meant = |it: &&serde_json::Value| it["method"] == method && it["path"] == path;
        requests.as_array().unwrap().iter().filter(is_meant).count()
    }
    /// Passes in which no time goes by.
    async fn work_hard(&self) {
        for _ in 0..50 {
            self.work().await;
        }
    }
    /// What is due now or within a day, of these kinds.
    fn waiting(&self, kinds: &[&str]) -> usize {
        let soon = self.app.now() + Span::DAY;
        self.app.store().documents_due(Kinds::Of(kinds), soon, 1_000).unwrap().len()
    }
}

#[test]
fn a_customer_whom_the_provider_refuses_is_tried_ever_more_rarely_and_given_up_after_a_day() {
    in_town(async |town| {
        let bob: Name = "bob".parse().unwrap();
        let registration = Registration { id: bob.clone(), profile: Default::default(), fingerprints: Vec::new() };
        town.app.register(&registration, &"test".into()).unwrap();
        let before = town.asked("POST", "/v1/customers");
        let asked = |town: &Town| town.asked("POST", "/v1/customers") - before;
        let fault = json!({"when": "before", "what": "400", "path": "/v1/customers", "times": 1_000_000});
        town.control("POST", "faults", &fault);
        let order = PurchaseOrder {
            account: bob.clone(),
            goods: Goods::Credits(Credits::whole(1_000)),
            method: None,
            is_hosted: true,
            save_card: false,
            return_url: Some("http://shop.example/".to_owned()),
            is_named_there: false,
            key: "order".into(),
            by: "test".into(),
        };
        let bought = town.app.purchase(order).await.unwrap();
        assert_eq!((bought.payment.status().as_str(), asked(town)), ("pending", 1), "it may go through yet");
        town.work_hard().await;
        assert_eq!(asked(town), 1);
        town.pass(Span::MINUTE).await;
        town.work_hard().await;
        assert_eq!(asked(town), 2, "a minute later it is tried once");
        town.pass(Span::SECOND.times(50)).await;
        assert_eq!(asked(town), 2, "and not before another has passed");
        for _ in 0..8 {
            town.pass(Span::HOUR.times(3)).await;
            town.work_hard().await;
        }
        assert_eq!(asked(town), 2 + 8);
        let id: PaymentId = bought.id.parse().unwrap();
        let payment = town.app.payment(id).unwrap().payment;
        assert_eq!((payment.status(), payment.failure()), (Status::Failed, Some(Failure::ProcessingError)));
        assert_eq!((town.waiting(&["payment"]), town.totals().0), (0, 0));
    });
}

#[test]
fn a_card_is_not_looked_for_at_a_customer_who_was_deleted() {
    in_town(async |town| {
        let (id, page) = town.buy_by(true).await.unwrap();
        browse(&page.unwrap(), VISA);
        let customer = town.app.payment(id).unwrap().payment.customer.unwrap();
        let agent: ureq::Agent = ureq::Agent::new_with_defaults();
        let request = agent.delete(format!("{}/v1/customers/{customer}", town.sim.url()));
        request.header("authorization", "Bearer sk_test_of_the_town").call().unwrap();
        town.pass(Span::MINUTE).await;
        town.work_hard().await;
        assert_eq!(town.app.payment(id).unwrap().payment.status().as_str(), "succeeded");
        assert_eq!(town.waiting(&["payment"]), 0, "there is no card to be found, and it has its credits");
        assert_eq!(
            town.app.grants(&ada(), None, 100).unwrap().iter().filter(|it| it.terms.payment.is_some()).count(),
            1
        );
    });
}

#[test]
fn jobs_that_nobody_can_do_stand_before_no_others() {
    in_town(async |town| {
        let kinds = ["notice", "refund", "payment", "of_a_newer_node"];
        let long_ago = Timestamp::EPOCH + Span::DAY;
        for number in 0..120 {
            let unreadable = |kind: &&str| {
                let (kind, id) = ((*kind).to_owned(), format!("unreadable {number}"));
                let (account, at, due_at) = (Document::HOUSE, long_ago, Some(long_ago));
                Change::Document(Document { account, kind, id, version: 1, at, due_at, body: "?".to_owned() })
            };
            town.app.store().commit(&kinds.iter().map(unreadable).collect::<Vec<_>>()).unwrap();
        }
        let method = town.app.payment_methods(&ada()).unwrap().remove(0);
        town.app.remove_method(&ada(), &method.id, &"test".into()).unwrap();
        for _ in 0..3 {
            town.work().await;
        }
        assert_eq!(town.waiting(&["method"]), 0, "the card has been removed at the provider");
        assert_eq!(town.waiting(&kinds), 4 * 120, "nothing of theirs is forgotten");
        let due = |kinds: &[&str], at| town.app.store().documents_due(Kinds::Of(kinds), at, 1_000).unwrap();
        let (now, later) = (town.app.now(), town.app.now() + Span::MINUTE.times(15));
        assert_eq!((due(&kinds[..3], now).len(), due(&kinds[..3], later).len()), (0, 3 * 120), "they are put off");
        // In a rolling upgrade this is the newer node's to do: put off, it would wait for each pass of the old one.
        let left = due(&kinds[3..], now);
        assert_eq!((left.len(), left.iter().all(|it| it.version == 1)), (120, true), "they are left as they are");
    });
}

#[test]
fn a_job_that_panics_takes_no_other_with_it() {
    in_town(async |town| {
        let ada = town.app.account(&ada()).unwrap().number;
        let notice = |id: &str, about: serde_json::Value, at: Timestamp| {
            let (kind, id) = ("notice".to_owned(), id.to_owned());
            let body = json!({"what": "grant.expired", "about": about}).to_string();
            Change::Document(Document { account: ada, kind, id, version: 1, at, due_at: Some(at), body })
        };
        // What is said of a thing is an object, always: this is not.
        let long_ago = town.app.now() - Span::MINUTE;
        town.app.store().commit(&[notice("bad", json!("text"), long_ago)]).unwrap();
        town.app.store().commit(&[notice("good", json!({}), town.app.now())]).unwrap();
        town.work().await;
        let due_at = |id| town.app.store().document(ada, "notice", id).unwrap().unwrap().due_at;
        assert_eq!(due_at("good"), None, "it was spread");
        assert!(town.app.now() < due_at("bad").unwrap(), "it is put off");
    });
}

#[test]
fn a_provider_that_does_not_answer_holds_up_nothing_but_money() {
    let shop = Shop::open();
    let ear = Ear::open(200);
    shop.server.endpoint(&ear, &["budget.threshold_reached"]);
    let card = shop.customer("ada", VISA);
    let budget = json!({"credits": "100", "period": "month", "action": "notify"});
    assert!(shop.server.put("/v1/accounts/ada/budgets/all", &budget).status < 300);
    shop.fault(&json!({"when": "before", "what": "stall", "path": "/v1/payment_methods", "times": 1_000}));
    let removed = shop.server.delete(&format!("/v1/accounts/ada/payment-methods/{card}"));
    assert_eq!(removed.status, 204, "{}", removed.text);
    let is_stalled = || shop.control("GET", "faults", &json!({}))["stalled"] == 1;
    eventually("the worker waits for the provider", is_stalled);
    assert_eq!(shop.spend("ada", "a", 60).status, 201);
    assert_eq!(ear.next().what(), "budget.threshold_reached");
    assert!(is_stalled(), "it waits still");
    shop.control("DELETE", "faults", &json!({}));
    shop.control("POST", "faults/release", &json!({}));
}

#[test]
fn more_events_than_are_read_at_once_are_read_in_stretches_and_those_of_other_business_not_at_all() {
    // All of it happens within ten minutes before now, of which the first reading hears.
    let at = Clock::default().now().millis() / 1_000 - 9 * 60;
    let provider = stripe_sim::Options { clock: stripe_sim::Clock::Stopped { at }, ..Default::default() };
    beside(provider, async |town| {
        let id = town.buy().await.unwrap();
        town.dispute(None);
        // A customer of another business of the operator's.
        let agent: ureq::Agent = ureq::Agent::new_with_defaults();
        let post = |path: &str, form: String| -> serde_json::Value {
            let request = agent.post(format!("{}/v1/{path}", town.sim.url()));
            let request = request.header("authorization", "Bearer sk_test_of_the_town");
            let request = request.header("content-type", "application/x-www-form-urlencoded");
            request.send(form).unwrap().body_mut().read_json().unwrap()
        };
        let other = post("customers", "name=Other".to_owned())["id"].clone();
        let card = post("payment_methods", "type=card&card[token]=tok_visa".to_owned())["id"].clone();
        let (other, card) = (other.as_str().unwrap(), card.as_str().unwrap());
        post(&format!("payment_methods/{card}/attach"), format!("customer={other}"));
        for _minute in 0..8 {
            for _ in 0..300 {
                town.control("POST", &format!("cards/{card}"), &json!({"exp_month": 12, "exp_year": 2040}));
            }
            town.control("POST", "advance", &json!({"seconds": 60}));
        }
        for number in 0..300 {
            post(&format!("customers/{other}"), format!("name={number}"));
        }
        let began = town.asked("GET", "/v1/events");
        town.pass(Span::MINUTE.times(5)).await;
        let disputed = town.app.payment(id).unwrap().payment.dispute;
        assert_eq!(disputed.expect("it was heard of").status.as_str(), "open");
        let reading = || town.app.store().document(Document::HOUSE, "provider_events", "provider_events");
        let reading: serde_json::Value = serde_json::from_str(&reading().unwrap().unwrap().body).unwrap();
        assert!(at + 9 * 60 <= reading["until"].as_i64().unwrap() / 1_000, "nothing is left: {reading}");
        let asked = town.asked("GET", "/v1/events") - began;
        assert!(asked <= 20 + 2 * 16, "too many, and then two halves: {asked}");
    });
}

/// A document that nobody can read.
fn unreadable(account: AccountNumber, kind: &str, id: &str) -> Change {
    let (kind, id, at) = (kind.to_owned(), id.to_owned(), Timestamp::EPOCH);
    Change::Document(Document { account, kind, id, version: 1, at, due_at: None, body: "?".to_owned() })
}

fn register(app: &App, id: &str, email: Option<&str>) -> AccountNumber {
    let profile = AccountProfile { email: email.map(str::to_owned), ..AccountProfile::default() };
    let id: Name = id.parse().unwrap();
    app.register(&Registration { id: id.clone(), profile, fingerprints: Vec::new() }, &"test".into()).unwrap();
    app.account(&id).unwrap().number
}

#[test]
fn an_account_that_cannot_be_counted_keeps_no_other_from_being_counted() {
    in_town(async |town| {
        let broken = register(&town.app, "broken", None);
        town.app.store().commit(&[unreadable(broken, "account_month", "2026-01")]).unwrap();
        assert!(town.spend("a", 5).await);
        let steps = (0..100).take_while(|_| town.app.keep_books().unwrap()).count();
        assert!(steps < 20, "it rests: {steps} steps");
        let ada = town.app.account(&ada()).unwrap().number;
        assert_eq!(town.app.store().documents(ada, "account_month", None, 9).unwrap().len(), 1);
        let ledger = town.app.trial_balance().unwrap();
        assert_eq!((ledger.freshness.waiting, ledger.sum().is_zero()), (1, true), "a report says that one is missing");
        town.pass(Span::MINUTE.times(2)).await;
        assert!(town.app.keep_books().unwrap(), "it is tried again");
        assert_eq!(town.app.trial_balance().unwrap().freshness.waiting, 1);
    });
}

#[test]
fn an_account_that_cannot_be_read_keeps_no_other_from_its_weekly_summary_and_gets_its_own_later() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let directory = tempfile::TempDir::new().unwrap();
    runtime.block_on(async {
        let store = Arc::new(Sqlite::open(&directory.path().join("scrip.db"), Options::default()).unwrap());
        // Nobody is there; what is to be sent is written down all the same.
        let mail = Some(MailRoute::parse("smtp://127.0.0.1:9?tls=none", "billing@hydron.example", None).unwrap());
        let settings = Settings { mail, is_sandbox: true, ..Settings::default() };
        let app = App::open(store, settings, &rate_card::parse_toml(rate_card::DEFAULT).unwrap()).unwrap();
        let app = Arc::new(app);
        let accounts = ["ada", "broken", "cleo"].map(|id| register(&app, id, Some(&format!("{id}@example.com"))));
        for account in ["ada", "broken", "cleo"] {
            let order = Order {
                meter: "ai_chat".into(),
                quantities: vec![("input_tokens".into(), 80_000)],
                dimensions: vec![("model".into(), "gpt-6.1-terra".into())],
                ..Order::default()
            };
            let order = ChargeOrder { account: account.parse().unwrap(), order, key: "a".into(), by: "test".into() };
            app.charge(order).await.unwrap();
        }
        app.store().commit(&[unreadable(accounts[1], "notice_preferences", "1")]).unwrap();
        // To Monday noon, and past it.
        let round = app.store().document(Document::HOUSE, "digest_round", "1").unwrap().unwrap();
        app.clock().advance(since(app.now(), round.due_at.unwrap()));
        let work = || {
            for _ in 0..5 {
                app.work(100).unwrap();
            }
        };
        let emails = || accounts.map(|it| app.store().documents(it, "email", None, 9).unwrap().len());
        work();
        assert_eq!(emails(), [1, 0, 1]);
        let round = app.store().document(Document::HOUSE, "digest_round", "1").unwrap().unwrap();
        assert!(app.now() + Span::DAY.times(6) < round.due_at.unwrap(), "the round is over");
        app.clock().advance(Span::MINUTE.times(2));
        work();
        let Change::Document(broken) = unreadable(accounts[1], "notice_preferences", "1") else { unreachable!() };
        let mended = Document { version: 2, body: json!({"off": []}).to_string(), ..broken };
        app.store().commit(&[Change::Document(mended)]).unwrap();
        app.clock().advance(Span::MINUTE.times(3));
        work();
        assert_eq!(emails(), [1, 1, 1]);
        assert!(app.store().documents_due(Kinds::Of(&["digest_late"]), Timestamp::NEVER, 9).unwrap().is_empty());
        app.close();
    });
}
