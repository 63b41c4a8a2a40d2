//! A process that dies at every step of a purchase, a top-up, a refund and a dispute. The store and the provider are
//! real; between the process and its store stands one that fails a chosen commit, before or after it took effect, and
//! every commit from then on, as if the process had died. Afterwards another process finds what it finds, and must
//! come to the same end: each captured payment has one grant, each paid grant one payment, and the books agree with the
//! provider.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use billing::id::{AccountNumber, Name, PaymentId, Place};
use billing::ledger::Transaction;
use billing::money::Credits;
use billing::time::{Span, Timestamp};
use serde_json::json;
use server::app::{App, Settings};
use server::rate_card;
use server::service::{ChargeOrder, Goods, Much, Order, PurchaseOrder, RefundOrder, Registration, TopupOrder};
use store::sqlite::{Options, Sqlite};
use store::{
    Account, ApiKey, Audit, CardRecord, Change, CommitError, Document, Fault, NameHash, Project, QuoteRecord, Recalled,
    Reply, Store, UsageRow,
};
use stripe_sim::Sim;
use tempfile::TempDir;

const VISA: &str = "4242424242424242";
const NEVER: usize = usize::MAX;

/// A store whose commit number `dies_at` fails, and all after it.
struct Mortal {
    inner: Arc<Sqlite>,
    commits: AtomicUsize,
    dies_at: AtomicUsize,
    after_effect: bool,
}

impl Store for Mortal {
    fn commit(&self, changes: &[Change]) -> Result<(), CommitError> {
        let number = self.commits.fetch_add(1, Ordering::SeqCst);
        let dies_at = self.dies_at.load(Ordering::SeqCst);
        if number < dies_at {
            return self.inner.commit(changes);
        }
        if number == dies_at && self.after_effect {
            self.inner.commit(changes)?;
        }
        Err(CommitError::Fault(Fault::new("committing", "the process has died")))
    }
    fn recall(&self, names: &[NameHash], accounts: &[AccountNumber]) -> Result<Recalled, Fault> {
        self.inner.recall(names, accounts)
    }
    fn transaction(&self, place: Place) -> Result<Option<Arc<Transaction>>, Fault> {
        self.inner.transaction(place)
    }
    fn transactions(&self, it: AccountNumber, before: u64, limit: usize) -> Result<Vec<Arc<Transaction>>, Fault> {
        self.inner.transactions(it, before, limit)
    }
    fn granting(&self, it: AccountNumber, before: u64, limit: usize) -> Result<Vec<Arc<Transaction>>, Fault> {
        self.inner.granting(it, before, limit)
    }
    fn journal(&self, after: u64, each: &mut dyn FnMut(u64, Transaction)) -> Result<(), Fault> {
        self.inner.journal(after, each)
    }
    fn journal_length(&self) -> Result<u64, Fault> {
        self.inner.journal_length()
    }
    fn usage_as_of(&self, it: AccountNumber, from: Timestamp, to: Timestamp) -> Result<(u64, Vec<UsageRow>), Fault> {
        self.inner.usage_as_of(it, from, to)
    }
    fn due(&self, at: Timestamp, limit: usize) -> Result<Vec<AccountNumber>, Fault> {
        self.inner.due(at, limit)
    }
    fn account(&self, id: &Name) -> Result<Option<Account>, Fault> {
        self.inner.account(id)
    }
    fn account_numbered(&self, it: AccountNumber) -> Result<Option<Account>, Fault> {
        self.inner.account_numbered(it)
    }
    fn accounts(&self, after: Option<&Name>, limit: usize) -> Result<Vec<Account>, Fault> {
        self.inner.accounts(after, limit)
    }
    fn fingerprints_known(&self, fingerprints: &[[u8; 32]]) -> Result<Vec<bool>, Fault> {
        self.inner.fingerprints_known(fingerprints)
    }
    fn projects(&self, it: AccountNumber) -> Result<Vec<Project>, Fault> {
        self.inner.projects(it)
    }
    fn rate_cards(&self) -> Result<Vec<CardRecord>, Fault> {
        self.inner.rate_cards()
    }
    fn api_keys(&self) -> Result<Vec<ApiKey>, Fault> {
        self.inner.api_keys()
    }
    fn quote(&self, it: AccountNumber, id: &str) -> Result<Option<QuoteRecord>, Fault> {
        self.inner.quote(it, id)
    }
    fn document(&self, it: AccountNumber, kind: &str, id: &str) -> Result<Option<Document>, Fault> {
        self.inner.document(it, kind, id)
    }
    fn documents(&self, it: AccountNumber, kind: &str, to: Option<&str>, max: usize) -> Result<Vec<Document>, Fault> {
        self.inner.documents(it, kind, to, max)
    }
    fn documents_due(&self, at: Timestamp, limit: usize) -> Result<Vec<Document>, Fault> {
        self.inner.documents_due(at, limit)
    }
    fn reply(&self, key: NameHash) -> Result<Option<Reply>, Fault> {
        self.inner.reply(key)
    }
    fn audit(&self, before: u64, limit: usize) -> Result<Vec<(u64, Audit)>, Fault> {
        self.inner.audit(before, limit)
    }
}

/// A process on a store, and the provider it asks.
struct Town {
    app: Arc<App>,
    mortal: Arc<Mortal>,
    inner: Arc<Sqlite>,
    sim: Sim,
    ahead: Span,
    _directory: TempDir,
}

fn ada() -> Name {
    "ada".parse().unwrap()
}

fn open(inner: &Arc<Sqlite>, sim: &Sim, after_effect: bool) -> (Arc<App>, Arc<Mortal>) {
    let commits = AtomicUsize::new(0);
    let mortal = Arc::new(Mortal { inner: Arc::clone(inner), commits, dies_at: AtomicUsize::new(NEVER), after_effect });
    let payments = Some(Settings::provider(Some(sim.url()), "sk_test_of_the_town", None, None));
    let settings = Settings { payments, is_sandbox: true, ..Settings::default() };
    let card = rate_card::parse_toml(rate_card::DEFAULT).expect("the card is whole");
    let app = App::open(Arc::<Mortal>::clone(&mortal), settings, &card).unwrap();
    (Arc::new(app), mortal)
}

impl Town {
    /// Ada has a card.
    async fn new(after_effect: bool) -> Town {
        // It runs by itself, and begins where nothing else runs.
        let sim = std::thread::spawn(|| Sim::start(&stripe_sim::Options::default()).unwrap()).join().unwrap();
        let directory = TempDir::new().unwrap();
        let inner = Arc::new(Sqlite::open(&directory.path().join("scrip.db"), Options::default()).unwrap());
        let (app, mortal) = open(&inner, &sim, after_effect);
        let registration = Registration { id: ada(), profile: Default::default(), fingerprints: Vec::new() };
        app.register(&registration).unwrap();
        let setup = app.set_up_card(&ada(), Some("http://shop.example/".to_owned()), &"card".into()).await.unwrap();
        browse(setup.setup_url.as_deref().unwrap());
        let mut town = Town { app, mortal, inner, sim, ahead: Span::default(), _directory: directory };
        town.pass(Span::MINUTE.times(2)).await;
        assert_eq!(town.app.payment_methods(&ada()).unwrap().len(), 1);
        town
    }

    /// Time passes, and the worker has its turn.
    async fn pass(&mut self, span: Span) {
        self.app.clock().advance(span);
        self.ahead = Span::from_millis(self.ahead.millis() + span.millis());
        let due = self.app.accounts_due(100).unwrap();
        self.app.settle(due).await;
        self.app.work(100).await.unwrap();
    }

    /// From here on, commit number `commit` is the process's last.
    fn doom(&self, commit: usize) {
        self.mortal.commits.store(0, Ordering::SeqCst);
        self.mortal.dies_at.store(commit, Ordering::SeqCst);
    }
    fn has_died(&self) -> bool {
        self.mortal.dies_at.load(Ordering::SeqCst) < self.mortal.commits.load(Ordering::SeqCst)
    }

    /// Another process takes over, and has all the time it needs.
    async fn restart(&mut self) {
        self.app.close();
        (self.app, self.mortal) = open(&self.inner, &self.sim, false);
        self.app.clock().advance(self.ahead);
        for _ in 0..8 {
            self.pass(Span::MINUTE.times(16)).await;
        }
    }

    async fn buy(&self) -> Option<PaymentId> {
        let order = PurchaseOrder {
            account: ada(),
            goods: Goods::Credits(Credits::whole(1_000)),
            method: None,
            is_hosted: false,
            save_card: false,
            return_url: None,
            key: "order".into(),
            by: "test".into(),
        };
        self.app.purchase(order).await.ok().and_then(|it| it.id.parse().ok())
    }
    async fn refund(&self, payment: PaymentId) {
        let much = Much::Credits(Credits::whole(100));
        let order = RefundOrder { payment, much, reason: "test".into(), key: "refund".into(), by: "test".into() };
        let _ = self.app.refund(order).await;
    }
    async fn spend(&self, key: &str, credits: u64) {
        let order = Order {
            meter: "ai_chat".into(),
            quantities: vec![("input_tokens".into(), credits * 8_000)],
            dimensions: vec![("model".into(), "gpt-6.1-terra".into())],
            ..Order::default()
        };
        let _ = self.app.charge(ChargeOrder { account: ada(), order, key: key.into(), by: "test".into() }).await;
    }

    /// Charged, refunded and disputed at the provider, in euro cents.
    fn totals(&self) -> (i64, i64, i64) {
        let totals = &self.sim.control("GET", "totals", &json!({})).unwrap()["by_currency"]["eur"];
        let number = |member: &str| totals[member].as_i64().unwrap_or_default();
        (number("charged"), number("refunded"), number("disputed"))
    }

    /// The promises that hold whatever happened.
    fn check(&self, story: &str) {
        let payments = self.app.payments(&ada(), None, 100).unwrap();
        let paid = payments.iter().filter(|it| it.payment.status().as_str() == "succeeded");
        let mut charged = 0;
        let mut returned = 0;
        let mut grants = Vec::new();
        for view in paid {
            charged += view.payment.total();
            returned += view.payment.returned.net + view.payment.returned.tax;
            grants.push(view.id.clone());
        }
        let (at_provider, refunded, disputed) = self.totals();
        assert_eq!(charged, at_provider, "{story}: what the provider took is what the books say");
        assert_eq!(returned, refunded + disputed, "{story}: what went back is what the books say");
        let made = self.app.grants(&ada(), None, 100).unwrap();
        let mut named: Vec<String> =
            made.iter().filter_map(|it| it.terms.payment.as_ref()).map(|it| it.to_string()).collect();
        named.sort();
        grants.sort();
        assert_eq!(named, grants, "{story}: one grant for each payment, one payment for each grant");
        let open = payments.iter().filter(|it| !it.payment.status().is_final()).count();
        assert_eq!(open, 0, "{story}: nothing is left hanging");
        let invoices = self.app.invoices(&ada(), None, 100).unwrap();
        let mut numbers: Vec<u64> = invoices
            .iter()
            .filter(|it| it.invoice.kind == billing::invoice::Kind::Invoice)
            .map(|it| it.invoice.number.sequence)
            .collect();
        numbers.sort_unstable();
        assert!(numbers.iter().copied().eq(1..=grants.len() as u64), "{story}: {numbers:?} have no gap");
        let report = store::verify(&*self.inner, &mut |_, _| {}).unwrap();
        assert!(report.is_clean(), "{story}: {:?}", report.differences);
    }
}

fn browse(page: &str) {
    let agent: ureq::Agent = ureq::Agent::config_builder().max_redirects(0).build().into();
    let request = agent.post(page).header("content-type", "application/x-www-form-urlencoded");
    request.send(format!("number={VISA}&expiry=12%2F40&cvc=123&name=Ada")).unwrap();
}

/// Lets the process die at every commit of `story`, before and after its effect, and once not at all.
fn at_every_step<S>(name: &str, story: S)
where
    S: AsyncFn(&mut Town, &dyn Fn(&Town)),
{
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        for after_effect in [false, true] {
            for commit in 0.. {
                let mut town = Town::new(after_effect).await;
                story(&mut town, &|it: &Town| it.doom(commit)).await;
                let is_whole = !town.has_died();
                town.restart().await;
                town.check(&format!("{name}, commit {commit}, after its effect: {after_effect}"));
                town.app.close();
                if is_whole {
                    assert!(1 < commit, "{name}: the story commits something");
                    break;
                }
            }
        }
    });
}

#[test]
fn a_purchase_survives_death_at_every_step() {
    at_every_step("purchase", async |town: &mut Town, doom: &dyn Fn(&Town)| {
        doom(town);
        town.buy().await;
    });
}

#[test]
fn a_top_up_survives_death_at_every_step() {
    at_every_step("top-up", async |town: &mut Town, doom: &dyn Fn(&Town)| {
        let order = TopupOrder {
            account: ada(),
            is_on: true,
            threshold: Credits::whole(401),
            credits: Credits::whole(1_000),
            monthly_maximum: None,
            method: None,
            charge_now: false,
            by: "test".into(),
        };
        town.app.set_auto_topup(order).await.unwrap();
        town.spend("much", 499).await;
        doom(town);
        town.spend("more", 1).await;
        town.pass(Span::SECOND).await;
        town.pass(Span::SECOND).await;
    });
}

#[test]
fn a_refund_survives_death_at_every_step() {
    at_every_step("refund", async |town: &mut Town, doom: &dyn Fn(&Town)| {
        let payment = town.buy().await.expect("it is bought");
        doom(town);
        town.refund(payment).await;
        town.pass(Span::SECOND).await;
    });
}

#[test]
fn a_lost_dispute_survives_death_at_every_step() {
    at_every_step("dispute", async |town: &mut Town, doom: &dyn Fn(&Town)| {
        town.buy().await.expect("it is bought");
        town.spend("all", 1_200).await;
        let totals = town.sim.control("GET", "totals", &json!({})).unwrap();
        let payment = totals["succeeded"][0]["id"].clone();
        let dispute = town.sim.control("POST", "disputes", &json!({"payment": payment})).unwrap();
        town.pass(Span::MINUTE.times(6)).await;
        let close = format!("disputes/{}/close", dispute["id"].as_str().unwrap());
        town.sim.control("POST", &close, &json!({"outcome": "lost"})).unwrap();
        doom(town);
        town.pass(Span::MINUTE.times(6)).await;
    });
}
