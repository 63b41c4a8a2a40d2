//! A town: one process on a store that can die, a provider, a postman who spoils what the provider tells, and Ada, who
//! has a card. Time is what the town says it is.
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use billing::id::{Name, PaymentId};
use billing::invoice::Party;
use billing::ledger::{Transaction, What};
use billing::money::{Credits, Currency};
use billing::subscription::Every;
use billing::time::{Span, Timestamp};
use serde_json::{Value, json};
use server::app::{App, Settings};
use server::rate_card;
use server::service::{
    AccountProfile, Answer, ChargeOrder, Goods, Much, Order, Plan, PurchaseOrder, Purpose, RefundOrder, Registration,
    SubscribeOrder, Underway,
};
use store::Movable;
use store::postgres::Postgres;
use store::sqlite::{Options, Sqlite};
use stripe_sim::Sim;
use tempfile::TempDir;

use crate::cluster::Schema;
use crate::mortal::{Doom, Mortal};

pub const VISA: &str = "4242424242424242";
pub const DECLINES: &str = "4000000000000341";
const WHSEC: &str = "whsec_of_the_town";

/// How the postman spoils what the provider tells.
#[derive(Clone, Copy, Debug)]
pub enum Post {
    /// Nothing ever comes.
    Lost,
    /// All of it, as it was told.
    Prompt,
    /// All of it twice, the newest first.
    Twice,
    /// Only after the process has died and another has taken over, shuffled.
    Late,
}

const POSTS: [Post; 4] = [Post::Lost, Post::Prompt, Post::Twice, Post::Late];

/// A notice: its signature and body.
pub type Letter = (String, Vec<u8>);

/// A process on a store, and the provider it asks.
pub struct Town {
    pub app: Arc<App>,
    pub doom: Arc<Doom>,
    inner: Arc<dyn Movable>,
    pub sim: Sim,
    letters: Arc<Mutex<Vec<Letter>>>,
    pub post: Post,
    ahead: Span,
    _place: (TempDir, Option<Schema>),
}

pub fn ada() -> Name {
    "ada".parse().unwrap()
}

fn open(inner: &Arc<dyn Movable>, sim: &Sim, after_effect: bool) -> (Arc<App>, Arc<Doom>) {
    let mortal = Mortal::new(Arc::<dyn Movable>::clone(inner), after_effect);
    let doom = Arc::clone(&mortal.doom);
    let payments = Some(Settings::provider(Some(sim.url()), "sk_test_of_the_town", None, Some(WHSEC)));
    let seller = Party { country: "LT".to_owned(), ..Settings::default().seller };
    let settings = Settings { payments, is_sandbox: true, seller, ..Settings::default() };
    let card = rate_card::parse_toml(rate_card::DEFAULT).expect("the card is whole");
    let app = App::open(Arc::new(mortal), settings, &card).unwrap();
    (Arc::new(app), doom)
}

fn store() -> (Arc<dyn Movable>, (TempDir, Option<Schema>)) {
    let directory = TempDir::new().unwrap();
    if std::env::var("SCRIP_TEST_STORE").as_deref() == Ok("postgres") {
        let schema = Schema::new();
        return (Arc::new(Postgres::open(&schema.url()).unwrap()), (directory, Some(schema)));
    }
    let path = directory.path().join("scrip.db");
    (Arc::new(Sqlite::open(&path, Options::default()).unwrap()), (directory, None))
}

/// Takes every letter, and keeps it.
fn letter_box(letters: Arc<Mutex<Vec<Letter>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            while let Some(letter) = read_letter(&mut stream) {
                letters.lock().unwrap().push(letter);
                if write!(stream.get_mut(), "HTTP/1.1 200 So\r\ncontent-length: 0\r\n\r\n").is_err() {
                    break;
                }
            }
        }
    });
    url
}

fn read_letter(stream: &mut impl BufRead) -> Option<Letter> {
    let (mut line, mut signature, mut length) = (String::new(), String::new(), None);
    while 0 < stream.read_line(&mut line).ok()? && line != "\r\n" {
        let (name, value) = line.split_once(':').unwrap_or_default();
        match &*name.to_ascii_lowercase() {
            "stripe-signature" => signature = value.trim().to_owned(),
            "content-length" => length = value.trim().parse().ok(),
            _ => {}
        }
        line.clear();
    }
    let mut body = vec![0; length?];
    stream.read_exact(&mut body).ok()?;
    Some((signature, body))
}

impl Town {
    /// Ada has a card.
    pub async fn new(number: usize, after_effect: bool) -> Town {
        Town::beside(stripe_sim::Options::default(), number, after_effect).await
    }

    /// The same, beside a provider of another kind.
    pub async fn beside(provider: stripe_sim::Options, number: usize, after_effect: bool) -> Town {
        // It runs by itself, and begins where nothing else runs.
        let sim = std::thread::spawn(move || Sim::start(&provider).unwrap()).join().unwrap();
        let (inner, place) = store();
        let (app, doom) = open(&inner, &sim, after_effect);
        let letters = Arc::default();
        let url = letter_box(Arc::clone(&letters));
        sim.control("POST", "webhook", &json!({"url": url, "secrets": [WHSEC]})).unwrap();
        let registration = Registration { id: ada(), profile: Default::default(), fingerprints: Vec::new() };
        app.register(&registration, &"test".into()).unwrap();
        let (post, ahead) = (POSTS[number % POSTS.len()], Span::default());
        let mut town = Town { app, doom, inner, sim, letters, post, ahead, _place: place };
        town.add_card(VISA).await;
        assert_eq!(town.app.payment_methods(&ada()).unwrap().len(), 1);
        town
    }

    pub async fn add_card(&mut self, number: &str) {
        let to = Some("http://shop.example/".to_owned());
        let setup = self.app.set_up_card(&ada(), to, &number.into(), &"test".into()).await;
        browse(setup.unwrap().setup_url.as_deref().unwrap(), number);
        self.pass(Span::MINUTE.times(2)).await;
    }

    /// Time passes, the postman comes, and the worker has its turn.
    pub async fn pass(&mut self, span: Span) {
        self.app.clock().advance(span);
        self.ahead = Span::from_millis(self.ahead.millis() + span.millis());
        if !matches!(self.post, Post::Late) {
            self.deliver().await;
        }
        let due = self.app.accounts_due(100).unwrap();
        self.app.settle(due).await;
        self.work().await;
    }

    /// All jobs that are due, money's first.
    pub async fn work(&self) {
        let mut underway = Underway::default();
        let _ = self.app.collect(&mut underway, 100).await;
        while self.app.end_one(&mut underway).await {}
        let _ = self.app.work(100);
    }

    /// Brings what the provider has told, as the postman does.
    async fn deliver(&self) {
        self.sim.control("POST", "notices/flush", &json!({})).unwrap();
        let letters: Vec<Letter> = std::mem::take(&mut *self.letters.lock().unwrap());
        let letters: Vec<Letter> = match self.post {
            Post::Lost => return,
            Post::Prompt => letters,
            Post::Twice => letters.iter().rev().chain(letters.iter().rev()).cloned().collect(),
            // In the order of their signatures, which is none.
            Post::Late => {
                let mut letters = letters;
                letters.sort_by(|one, other| one.0[14..].cmp(&other.0[14..]));
                letters
            }
        };
        for (signature, body) in letters {
            let _ = self.app.take_notice(&body, &signature).await;
        }
    }

    /// Another process takes over, and has all the time it needs.
    pub async fn restart(&mut self) {
        self.take_over();
        self.deliver().await;
        for _ in 0..8 {
            self.pass(Span::MINUTE.times(16)).await;
        }
        self.deliver().await;
    }

    /// Another process takes over at once.
    pub fn take_over(&mut self) {
        self.app.close();
        (self.app, self.doom) = open(&self.inner, &self.sim, false);
        self.app.clock().advance(self.ahead);
    }

    pub async fn buy(&self) -> Option<PaymentId> {
        self.buy_by(false).await.map(|it| it.0)
    }
    pub fn order(is_hosted: bool) -> PurchaseOrder {
        PurchaseOrder {
            account: ada(),
            goods: Goods::Credits(Credits::whole(1_000)),
            method: None,
            is_hosted,
            save_card: is_hosted,
            return_url: Some("http://shop.example/".to_owned()),
            key: "order".into(),
            by: "test".into(),
        }
    }
    /// The payment, and the page to pay on.
    pub async fn buy_by(&self, is_hosted: bool) -> Option<(PaymentId, Option<String>)> {
        let view = self.app.purchase(Town::order(is_hosted)).await.ok()?;
        Some((view.id.parse().ok()?, view.payment.page_url))
    }
    pub async fn close_account(&self) -> Option<Answer> {
        self.app.close_account(&ada(), &"close".into(), "test".into()).await.ok()
    }
    /// Ada lives in another country, which decides her tax.
    pub fn live_in(&self, country: &str) {
        let profile = AccountProfile { address: Some(json!({"country": country}).to_string()), ..Default::default() };
        self.app.register(&Registration { id: ada(), profile, fingerprints: Vec::new() }, &"test".into()).unwrap();
    }
    pub async fn refund(&self, payment: PaymentId) {
        let _ = self.app.refund(Town::refund_order(payment)).await;
    }
    pub fn refund_order(payment: PaymentId) -> RefundOrder {
        let much = Much::Credits(Credits::whole(100));
        RefundOrder { payment, much, reason: "test".into(), key: "refund".into(), by: "test".into() }
    }
    /// The provider finds that no money went out after all.
    pub fn fail_refunds(&self) {
        let memory = self.control("GET", "memory", &json!({}));
        let things = memory["shelf"]["things"].as_array().unwrap().iter().map(|it| &it[1]);
        for refund in things.filter(|it| it["object"] == "refund") {
            let path = format!("refunds/{}", refund["id"].as_str().unwrap());
            self.control("POST", &path, &json!({"status": "failed"}));
        }
    }
    pub async fn spend(&self, key: &str, credits: u64) -> bool {
        let order = Order {
            meter: "ai_chat".into(),
            quantities: vec![("input_tokens".into(), credits * 8_000)],
            dimensions: vec![("model".into(), "gpt-6.1-terra".into())],
            ..Order::default()
        };
        self.app.charge(ChargeOrder { account: ada(), order, key: key.into(), by: "test".into() }).await.is_ok()
    }
    pub fn plan(plan: &str, key: &str) -> SubscribeOrder {
        let (plan, key, by) = (plan.parse().unwrap(), key.into(), "test".into());
        SubscribeOrder { account: ada(), plan, method: None, return_url: None, key, by }
    }
    /// Puts a plan on sale of which at most `most` credits carry over.
    pub fn sell_capped(&self, plan: &str, most: Credits) {
        let plan = Plan {
            id: plan.to_owned(),
            name: "Capped".to_owned(),
            credits: Credits::whole(2_000).micros(),
            price: 1_500,
            currency: Currency::EUR,
            every: Every::Month,
            carry_over_periods: None,
            carry_over_maximum: Some(most.micros()),
            is_gone: false,
        };
        self.app.put_plan(&plan, "test").unwrap();
    }
    pub async fn subscribe(&self) {
        let _ = self.app.subscribe(Town::plan("monthly", "subscribe")).await;
    }
    pub async fn change_to(&self, plan: &str) {
        let _ = self.app.change_plan(Town::plan(plan, "change")).await;
    }
    /// To the end of the period, and a little further.
    pub async fn pass_period(&mut self) {
        let end = self.app.subscription(&ada()).unwrap().period_end;
        self.pass(since(self.app.now(), Timestamp::from_millis(end) + Span::SECOND)).await;
    }
    pub fn dispute(&self, amount: Option<i64>) -> String {
        let payment = self.control("GET", "totals", &json!({}))["succeeded"][0]["id"].clone();
        let dispute = self.control("POST", "disputes", &json!({"payment": payment, "amount": amount}));
        dispute["id"].as_str().unwrap().to_owned()
    }
    pub fn close_dispute(&self, id: &str, outcome: &str, reinstated: Option<i64>) {
        let said = json!({"outcome": outcome, "reinstated": reinstated});
        self.control("POST", &format!("disputes/{id}/close"), &said);
    }
    pub fn control(&self, method: &str, path: &str, said: &Value) -> Value {
        self.sim.control(method, path, said).unwrap()
    }

    /// Charged, refunded and disputed at the provider, in euro cents.
    pub fn totals(&self) -> (i64, i64, i64) {
        let totals = &self.control("GET", "totals", &json!({}))["by_currency"]["eur"];
        let number = |member: &str| totals[member].as_i64().unwrap_or_default();
        (number("charged"), number("refunded"), number("disputed"))
    }

    /// The promises that hold whatever happened.
    pub fn check(&self, story: &str) {
        let payments = self.app.payments(&ada(), None, 100).unwrap();
        let (mut charged, mut returned, mut open_disputes) = (0, 0, 0);
        let mut paid = Vec::new();
        for view in payments.iter().filter(|it| it.payment.status().as_str() == "succeeded") {
            charged += view.payment.total();
            returned += view.payment.returned.net + view.payment.returned.tax;
            let open = view.payment.dispute.iter().filter(|it| it.status.as_str() == "open");
            open_disputes += open.count();
            paid.push(view.id.clone());
        }
        let (at_provider, refunded, disputed) = self.totals();
        assert_eq!(charged, at_provider, "{story}: what the provider took is what the books say");
        if open_disputes == 0 {
            assert_eq!(returned, refunded + disputed, "{story}: what went back is what the books say");
        }
        let made = self.app.grants(&ada(), None, 100).unwrap();
        let named = made.iter().filter_map(|it| it.terms.payment.as_ref());
        let mut named: Vec<String> = named.map(|it| it.to_string()).collect();
        named.sort();
        paid.sort();
        assert_eq!(named, paid, "{story}: one grant for each payment, one payment for each grant");
        let open = payments.iter().filter(|it| !it.payment.status().is_final()).count();
        assert_eq!(open, 0, "{story}: nothing is left hanging");
        let invoices = self.app.invoices(&ada(), None, 100).unwrap();
        let invoices = invoices.iter().filter(|it| it.invoice.kind == billing::invoice::Kind::Invoice);
        let mut numbers: Vec<u64> = invoices.map(|it| it.invoice.number.sequence).collect();
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq(1..=paid.len() as u64), "{story}: {numbers:?} have no gap");
        self.check_told(story, &paid);
        self.check_topups(story);
        self.check_subscription(story);
        self.check_months(story);
        let report = store::verify(&*self.inner, &mut |_, _| {}).unwrap();
        assert!(report.is_clean(), "{story}: {:?}", report.differences);
    }

    /// Credit notes have no gap, and the months say what the journal says.
    fn check_months(&self, story: &str) {
        let papers = self.app.invoices(&ada(), None, 100).unwrap();
        let notes = papers.iter().filter(|it| it.invoice.kind == billing::invoice::Kind::CreditNote);
        let mut numbers: Vec<u64> = notes.map(|it| it.invoice.number.sequence).collect();
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{story}: {numbers:?} have no gap");
        let ledger = self.app.trial_balance().unwrap();
        assert!(ledger.sum().is_zero() && ledger.freshness.waiting == 0, "{story}: {ledger:?}");
        let differences = server::service::verify_months(&*self.inner).unwrap();
        assert!(differences.is_empty(), "{story}: {differences:?}");
    }

    /// No auto-topup took more for its credits than its rule was agreed to for.
    fn check_topups(&self, story: &str) {
        let Some(topup) = self.app.topup_rule(&ada()).unwrap() else { return };
        let payments = self.app.payments(&ada(), None, 100).unwrap();
        let is_topup = |it: &&server::service::PaymentView| {
            it.payment.purpose == Purpose::AutoTopup && it.payment.status().as_str() == "succeeded"
        };
        for view in payments.iter().filter(is_topup) {
            let increments = view.payment.credits / topup.rule.credits.micros();
            let most = topup.rule.price.amount * increments;
            assert!(view.payment.total() <= most, "{story}: {} for what was agreed at {most}", view.payment.total());
        }
    }

    /// What has been told, by name.
    pub fn told(&self) -> Vec<String> {
        let number = self.app.account(&ada()).unwrap().number;
        let notices = self.inner.documents(number, "notice", None, 500).unwrap();
        let what = |it: &store::Document| serde_json::from_str::<Value>(&it.body).unwrap()["what"].clone();
        notices.iter().map(|it| what(it).as_str().unwrap().to_owned()).collect()
    }

    /// Credits that became debt because their money went back.
    pub fn owed(&self) -> Credits {
        let owed = self.journal().into_iter().filter_map(|it| match &it.what {
            What::Withdrawn(it) => Some(it.owed),
            _ => None,
        });
        owed.sum()
    }

    /// Ada's latest transactions, the last first.
    pub fn journal(&self) -> Vec<Arc<Transaction>> {
        let number = self.app.account(&ada()).unwrap().number;
        self.inner.transactions(number, u64::MAX, 500).unwrap()
    }

    /// Each payment was told of, once.
    fn check_told(&self, story: &str, paid: &[String]) {
        let number = self.app.account(&ada()).unwrap().number;
        let notices = self.inner.documents(number, "notice", None, 500).unwrap();
        // A notice that was spread keeps its name alone, which is of the payment.
        let of_payment =
            |it: &store::Document| Some(it.id.strip_prefix("notice_")?.strip_suffix("_payment-succeeded")?.to_owned());
        let mut told: Vec<String> = notices.iter().filter_map(of_payment).collect();
        told.sort();
        assert_eq!(told, paid, "{story}: each payment is told of once");
    }

    /// Each period that was paid for is one that was given.
    fn check_subscription(&self, story: &str) {
        let Ok(subscription) = self.app.subscription(&ada()) else { return };
        let payments = self.app.payments(&ada(), None, 100).unwrap();
        let of_period = |it: &&server::service::PaymentView| {
            it.payment.status().as_str() == "succeeded" && it.payment.period.as_ref().is_some_and(|it| !it.is_upgrade)
        };
        let periods = payments.iter().filter(of_period).count();
        let begun = if subscription.period_start == subscription.period_end { 0 } else { subscription.index + 1 };
        assert_eq!(periods, begun as usize, "{story}: a period for each payment");
        assert_eq!(subscription.payment, None, "{story}: no payment of it is under way");
        if let Some(most) = subscription.plan.carry_over_maximum()
            && 0 < subscription.index
        {
            let grants = self.app.standing_grants(&ada()).unwrap();
            let own = grants.iter().filter(|it| it.terms.source == billing::ledger::Source::Subscription);
            let left: Credits = own.map(|it| it.remaining).sum();
            assert_eq!(left, subscription.plan.credits() + most, "{story}: what carries over is what the plan lets");
        }
    }
}

pub fn since(one: Timestamp, other: Timestamp) -> Span {
    Span::from_millis(other.millis() - one.millis())
}

pub fn browse(page: &str, number: &str) {
    let agent: ureq::Agent = ureq::Agent::config_builder().max_redirects(0).build().into();
    let request = agent.post(page).header("content-type", "application/x-www-form-urlencoded");
    request.send(format!("number={number}&expiry=12%2F40&cvc=123&name=Ada")).unwrap();
}
