//! The turnstile under concurrency and on a store that fails: real store, real threads, faults at chosen moments.
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use billing::Refusal;
use billing::id::{AccountNumber, ChargeId, Place};
use billing::ledger::{Book, Command, Reverse, Scope, Source, Spend, Terms, Work};
use billing::money::Credits;
use billing::rating::{Price, Usage};
use billing::time::{Span, Timestamp};
use store::sqlite::Sqlite;
use store::{Account, Change, CommitError, Document, Fault, NameHash, Store};
use tempfile::TempDir;
use tokio::task::{JoinHandle, JoinSet};

use super::committer::HANDED_OVER_MIN;
use super::{Ask, Key, Turned, Turnstile, WAITING_MAX};
use crate::clock::Clock;
use crate::forwarded::forwarded;

/// What a commit, or a sync of what was written, is told to do when it comes.
enum Order {
    Go,
    Fail,
    SayStale,
}

/// A store whose commits, or whose syncs, wait to be told how they end, where a test wants that.
struct Told {
    inner: Sqlite,
    gate: Option<Gate>,
    /// Told of each group that was written, where it is the syncs that wait.
    written: Option<Sender<()>>,
    is_broken: AtomicBool,
}

/// Whatever waits here says that it has come, then waits for its order.
struct Gate {
    came: Sender<()>,
    orders: Mutex<Receiver<Order>>,
}

impl Gate {
    fn pass(&self) -> Order {
        self.came.send(()).unwrap();
        // When the test has gone there is nobody to tell.
        self.orders.lock().unwrap().recv().unwrap_or(Order::Go)
    }
}

impl Told {
    fn check(&self) -> Result<(), Fault> {
        if self.is_broken.load(Ordering::SeqCst) { Err(Fault::new("settling", "told to fail")) } else { Ok(()) }
    }
}

impl Store for Told {
    fn commit(&self, changes: &[Change]) -> Result<(), CommitError> {
        match self.gate.as_ref().map_or(Order::Go, Gate::pass) {
            Order::Fail => Err(CommitError::Fault(Fault::new("committing", "told to fail"))),
            Order::SayStale => Err(CommitError::Stale),
            Order::Go => self.inner.commit(changes),
        }
    }
    fn write(&self, changes: &Arc<Vec<Change>>) -> Result<(), CommitError> {
        let Some(written) = &self.written else { return self.commit(changes) };
        self.check()?;
        self.inner.write(changes)?;
        written.send(()).unwrap();
        Ok(())
    }
    fn settle(&self) -> Result<(), Fault> {
        if self.written.is_none() {
            return Ok(());
        }
        self.check()?;
        if matches!(self.gate.as_ref().map_or(Order::Go, Gate::pass), Order::Fail) {
            self.is_broken.store(true, Ordering::SeqCst);
        }
        self.check()?;
        self.inner.settle()
    }
    forwarded!();
}

/// A turnstile on a store of its own, and one account with a grant of 100 credits.
struct Scene {
    turnstile: Arc<Turnstile>,
    store: Arc<Told>,
    clock: Arc<Clock>,
    came: Option<Receiver<()>>,
    orders: Option<Sender<Order>>,
    written: Option<Receiver<()>>,
    _directory: TempDir,
}

/// What waits for the test's orders.
#[derive(Clone, Copy, PartialEq)]
enum Waits {
    Nothing,
    Commits,
    Syncs,
}

const ACCOUNT: AccountNumber = AccountNumber::from_random(42);

impl Scene {
    fn open(waits: Waits) -> Scene {
        let directory = tempfile::tempdir().unwrap();
        let inner = Sqlite::open(&directory.path().join("scrip.db"), store::sqlite::Options::default()).unwrap();
        let clock = Arc::new(Clock::default());
        fund(&inner, clock.now());
        let (came_in, came) = channel();
        let (orders, told) = channel();
        let is_gated = waits != Waits::Nothing;
        let gate = is_gated.then(|| Gate { came: came_in, orders: Mutex::new(told) });
        let (wrote, written) = channel();
        let wrote = (waits == Waits::Syncs).then_some(wrote);
        let store = Arc::new(Told { inner, gate, written: wrote, is_broken: AtomicBool::new(false) });
        let turnstile =
            Arc::new(Turnstile::open(Arc::<Told>::clone(&store), Arc::clone(&clock), Arc::new(|_, _| Vec::new())));
        Scene {
            turnstile,
            store,
            clock,
            came: is_gated.then_some(came),
            orders: is_gated.then_some(orders),
            written: (waits == Waits::Syncs).then_some(written),
            _directory: directory,
        }
    }

    fn work(&self, credits: i64) -> Arc<Work> {
        let now = self.clock.now();
        Arc::new(Work {
            usage: Usage { meter: "chat".into(), quantities: Vec::new(), dimensions: Vec::new() },
            price: Price { credits: Credits::whole(credits), lines: Vec::new(), rate_card: 1 },
            project: None,
            actor: None,
            resource: None,
            occurred_at: now,
            hour: now.hour_start(0),
            quote: None,
            metadata: None,
            evidence: None,
            once: None,
        })
    }

    fn charge(&self, credits: i64, key: &str) -> Ask {
        ask(Command::Charge(Spend { work: self.work(credits), debt_max: Credits::ZERO }), key, 1)
    }

    fn hold(&self, credits: i64, key: &str) -> Ask {
        let expires_at = self.clock.now() + Span::HOUR;
        ask(Command::Hold { work: self.work(0), credits: Credits::whole(credits), expires_at }, key, 1)
    }

    fn start(&self, ask: Ask) -> JoinHandle<Turned> {
        let turnstile = Arc::clone(&self.turnstile);
        tokio::spawn(async move { turnstile.take_one(ask).await })
    }

    /// Waits until a commit, or a sync, has come.
    async fn commit_comes(&mut self) {
        self.came = Some(heard(self.came.take().unwrap()).await);
    }

    /// Waits until a group has been written.
    async fn group_is_written(&mut self) {
        self.written = Some(heard(self.written.take().unwrap()).await);
    }

    /// A group that is worth handing over: this, and much that costs nothing. What comes next is decided while it is
    /// written, and not after.
    fn start_group(&self, ask: Ask) -> JoinHandle<Vec<Turned>> {
        let key = Arc::clone(&ask.key.as_ref().unwrap().text);
        let mut asks: Vec<Ask> = (1..HANDED_OVER_MIN).map(|it| self.charge(0, &format!("{key}-{it}"))).collect();
        asks.push(ask);
        let turnstile = Arc::clone(&self.turnstile);
        tokio::spawn(async move { turnstile.take(asks).await })
    }

    fn tell(&self, order: Order) {
        self.orders.as_ref().unwrap().send(order).unwrap();
    }

    fn available(&self) -> Credits {
        let book = self.store.recall(&[], &[ACCOUNT]).unwrap().books.pop().flatten().unwrap();
        book.balance(self.clock.now()).available()
    }
}

async fn heard(from: Receiver<()>) -> Receiver<()> {
    let waited = tokio::task::spawn_blocking(move || {
        from.recv().unwrap();
        from
    });
    waited.await.unwrap()
}

fn ask(command: Command, key: &str, request: u128) -> Ask {
    let key = Key { name: NameHash::key(ACCOUNT, key), text: key.into(), request };
    Ask { account: ACCOUNT, command: Some(command), key: Some(key), by: None, fact: None, once: None, also: Vec::new() }
}

fn fund(store: &Sqlite, now: Timestamp) {
    let account = Account {
        number: ACCOUNT,
        id: "acme".parse().unwrap(),
        created_at: now,
        name: None,
        email: None,
        currency: billing::money::Currency::EUR,
        timezone: "UTC".to_owned(),
        address: None,
        tax_id: None,
        closed_at: None,
    };
    let mut book = Book::open(ACCOUNT);
    let terms = Terms {
        source: Source::Promo,
        credits: Credits::whole(100),
        effective_at: now,
        expires_at: Timestamp::NEVER,
        priority: Terms::PRIORITY,
        scope: Scope::default(),
        cost: None,
        charged: None,
        payment: None,
        reason: "test".into(),
    };
    let transaction = Arc::new(book.decide(&Command::Grant(Arc::new(terms)), now).unwrap());
    book.apply(&transaction);
    let post = store::Post { transaction, book: Arc::new(book), key: None, fact: None };
    store.commit(&[Change::Register { account, fingerprints: Vec::new() }, Change::Post(post)]).unwrap();
}

fn is_done(turned: &Turned) -> bool {
    matches!(turned, Turned::Done { is_replay: false, .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_many_times_at_once_is_one_charge() {
    let scene = Scene::open(Waits::Nothing);
    let mut asks = JoinSet::new();
    for _ in 0..64 {
        let (turnstile, ask) = (Arc::clone(&scene.turnstile), scene.charge(10, "same"));
        asks.spawn(async move { turnstile.take_one(ask).await });
    }
    let turned = asks.join_all().await;
    assert_eq!(turned.iter().filter(|it| is_done(it)).count(), 1);
    let places = turned.iter().map(|it| match it {
        Turned::Done { transaction, .. } => transaction.place,
        other => panic!("{other:?}"),
    });
    assert_eq!(places.collect::<std::collections::BTreeSet<_>>().len(), 1);
    assert_eq!(scene.available(), Credits::whole(90));
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_holds_admit_exactly_what_is_affordable() {
    let scene = Scene::open(Waits::Nothing);
    let mut asks = JoinSet::new();
    for number in 0..50 {
        let (turnstile, ask) = (Arc::clone(&scene.turnstile), scene.hold(7, &format!("hold-{number}")));
        asks.spawn(async move { turnstile.take_one(ask).await });
    }
    let turned = asks.join_all().await;
    assert_eq!(turned.iter().filter(|it| is_done(it)).count(), 14);
    let refused = |it: &&Turned| matches!(it, Turned::Refused(Refusal::InsufficientCredits { .. }));
    assert_eq!(turned.iter().filter(refused).count(), 36);
    assert_eq!(scene.available(), Credits::whole(100 - 14 * 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_request_under_a_key_is_a_conflict() {
    let scene = Scene::open(Waits::Nothing);
    let command = || Command::Charge(Spend { work: scene.work(1), debt_max: Credits::ZERO });
    let asks = vec![ask(command(), "key", 1), ask(command(), "key", 2), ask(command(), "key", 1)];
    let turned = scene.turnstile.take(asks).await;
    assert!(is_done(&turned[0]));
    assert!(matches!(turned[1], Turned::Refused(Refusal::IdempotencyConflict)));
    assert!(matches!(turned[2], Turned::Done { is_replay: true, .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_written_never_was() {
    let mut scene = Scene::open(Waits::Commits);
    // The second is decided on the book the first leads to, while the first is being written.
    let first = scene.start_group(scene.hold(80, "first"));
    scene.commit_comes().await;
    let second = scene.start(scene.charge(60, "second"));
    scene.tell(Order::Fail);
    assert!(first.await.unwrap().iter().all(|it| matches!(it, Turned::Fault)));
    // On the true book there is room for it.
    scene.commit_comes().await;
    scene.tell(Order::Go);
    assert!(is_done(&second.await.unwrap()));
    assert_eq!(scene.available(), Credits::whole(40));
    // The failed key was never used.
    let again = scene.start(scene.hold(40, "first"));
    scene.commit_comes().await;
    scene.tell(Order::Go);
    assert!(is_done(&again.await.unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_overtaken_decides_again() {
    let mut scene = Scene::open(Waits::Commits);
    let charged = scene.start(scene.charge(10, "key"));
    for order in [Order::SayStale, Order::SayStale, Order::Go] {
        scene.commit_comes().await;
        scene.tell(order);
    }
    assert!(is_done(&charged.await.unwrap()));
    assert_eq!(scene.available(), Credits::whole(90));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_waits_until_the_first_is_durable() {
    let mut scene = Scene::open(Waits::Commits);
    let first = scene.start_group(scene.charge(10, "key"));
    scene.commit_comes().await;
    let repeat = scene.start(scene.charge(10, "key"));
    assert!(!repeat.is_finished());
    scene.tell(Order::Go);
    let first = first.await.unwrap().pop().unwrap();
    let Turned::Done { transaction: one, is_replay: false } = first else { panic!("it was done") };
    let Turned::Done { transaction: other, is_replay: true } = repeat.await.unwrap() else { panic!("it was replayed") };
    assert_eq!(one, other);
    assert_eq!(scene.available(), Credits::whole(90));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_is_written_while_the_disk_is_waited_for_and_nobody_is_answered_before() {
    let mut scene = Scene::open(Waits::Syncs);
    let first = scene.start_group(scene.charge(10, "first"));
    scene.group_is_written().await;
    scene.commit_comes().await;
    let second = scene.start_group(scene.charge(20, "second"));
    scene.group_is_written().await;
    // Decided while neither is durable: a repeat of each.
    let repeats = [scene.start(scene.charge(10, "first")), scene.start(scene.charge(20, "second"))];
    assert_eq!(scene.available(), Credits::whole(100));
    assert!(!first.is_finished() && !second.is_finished() && repeats.iter().all(|it| !it.is_finished()));
    scene.tell(Order::Go);
    assert!(first.await.unwrap().iter().all(is_done));
    scene.commit_comes().await;
    assert!(!second.is_finished() && repeats.iter().all(|it| !it.is_finished()));
    // For the second, and for as many groups as the repeats are.
    (0..3).for_each(|_| scene.tell(Order::Go));
    assert!(second.await.unwrap().iter().all(is_done));
    for repeat in repeats {
        assert!(matches!(repeat.await.unwrap(), Turned::Done { is_replay: true, .. }));
    }
    assert_eq!(scene.available(), Credits::whole(70));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_from_what_the_disk_did_not_take_is_not_answered_as_if_it_had() {
    let mut scene = Scene::open(Waits::Syncs);
    let first = scene.start_group(scene.charge(10, "first"));
    scene.group_is_written().await;
    scene.commit_comes().await;
    let second = scene.start_group(scene.charge(20, "second"));
    scene.group_is_written().await;
    let repeat = scene.start(scene.charge(10, "first"));
    scene.tell(Order::Fail);
    let is_fault = |it: &Turned| matches!(it, Turned::Fault);
    assert!(first.await.unwrap().iter().all(is_fault) && second.await.unwrap().iter().all(is_fault));
    assert!(is_fault(&repeat.await.unwrap()));
    assert_eq!(scene.available(), Credits::whole(100));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_may_wait_is_told_to_come_back() {
    let mut scene = Scene::open(Waits::Commits);
    let first = scene.start(scene.charge(1, "first"));
    scene.commit_comes().await;
    let many: Vec<Ask> = vec![scene.charge(1, "many"); WAITING_MAX];
    let turned = scene.turnstile.take(many).await;
    assert!(turned.iter().all(|it| matches!(it, Turned::Busy)));
    scene.tell(Order::Go);
    assert!(is_done(&first.await.unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_serves_all_who_entered() {
    let scene = Scene::open(Waits::Nothing);
    let asks: Vec<Ask> = (0..90).map(|it| scene.charge(1, &format!("key-{it}"))).collect();
    let entered: Vec<_> = asks.into_iter().map(|it| scene.turnstile.enter(0, vec![it]).unwrap()).collect();
    let turnstile = Arc::clone(&scene.turnstile);
    tokio::task::spawn_blocking(move || turnstile.close()).await.unwrap();
    for answer in entered {
        assert!(is_done(&answer.await.unwrap()[0]));
    }
    assert!(matches!(scene.turnstile.take_one(scene.charge(1, "late")).await, Turned::Busy));
    assert_eq!(scene.available(), Credits::whole(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_posted_before_anything_else() {
    let scene = Scene::open(Waits::Nothing);
    assert!(is_done(&scene.turnstile.take_one(scene.hold(70, "hold")).await));
    scene.clock.advance(Span::HOUR.times(2));
    // The hold has lapsed, so its credits are there for the charge.
    assert!(is_done(&scene.turnstile.take_one(scene.charge(100, "charge")).await));
    let journal = scene.store.transactions(ACCOUNT, u64::MAX, 10).unwrap();
    assert_eq!(journal.len(), 4);
    let idle = Ask { command: None, key: None, ..scene.charge(0, "idle") };
    assert!(matches!(scene.turnstile.take_one(idle).await, Turned::Idle));
}

fn payment(version: u64) -> Document {
    Document {
        account: ACCOUNT,
        kind: "payment".into(),
        id: "one".into(),
        version,
        at: Timestamp::from_millis(0),
        due_at: None,
        body: "{}".into(),
    }
}

fn bringing(ask: Ask, version: u64) -> Ask {
    Ask { also: vec![Change::Document(payment(version))], ..ask }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_those_who_bring_the_same_state_of_a_document_one_is_done() {
    let mut scene = Scene::open(Waits::Commits);
    let first = scene.start_group(bringing(scene.charge(10, "first"), 1));
    scene.commit_comes().await;
    // Decided while the first is being written: one that brings the same, one that brings the next, and a bystander.
    let asks = vec![
        bringing(scene.charge(20, "same"), 1),
        bringing(scene.charge(1, "next"), 2),
        bringing(scene.charge(1, "next again"), 2),
        scene.charge(5, "bystander"),
    ];
    let turnstile = Arc::clone(&scene.turnstile);
    let others = tokio::spawn(async move { turnstile.take(asks).await });
    scene.tell(Order::Go);
    assert!(first.await.unwrap().iter().all(is_done));
    scene.commit_comes().await;
    scene.tell(Order::Go);
    let others = others.await.unwrap();
    assert!(matches!(others[0], Turned::Overtaken), "{:?}", others[0]);
    assert!(is_done(&others[1]) && is_done(&others[3]));
    assert!(matches!(others[2], Turned::Overtaken), "{:?}", others[2]);
    assert_eq!(scene.store.document(ACCOUNT, "payment", "one").unwrap().unwrap().version, 2);
    assert_eq!(scene.available(), Credits::whole(84));
}

/// What an ask brings is written by somebody else while it is on its way.
async fn overtaken(change: impl Fn(&Scene) -> Change) {
    let mut scene = Scene::open(Waits::Commits);
    let asks = vec![Ask { also: vec![change(&scene)], ..scene.charge(10, "overtaken") }, scene.charge(5, "bystander")];
    let turnstile = Arc::clone(&scene.turnstile);
    let meanwhile = change(&scene);
    let both = tokio::spawn(async move { turnstile.take(asks).await });
    scene.commit_comes().await;
    scene.store.inner.commit(&[meanwhile]).unwrap();
    scene.tell(Order::Go);
    // It was stale, and all of it is decided again.
    scene.commit_comes().await;
    scene.tell(Order::Go);
    let both = both.await.unwrap();
    assert!(matches!(both[0], Turned::Overtaken) && is_done(&both[1]));
    assert_eq!(scene.available(), Credits::whole(95));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_written_past_the_turnstile_overtakes_and_hurts_nobody_else() {
    overtaken(|_| Change::Document(payment(1))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_written_past_the_turnstile_overtakes_and_hurts_nobody_else() {
    overtaken(|scene| {
        let was = scene.store.account_numbered(ACCOUNT).unwrap().unwrap();
        let account = Account { name: Some("Acme".to_owned()), ..was.clone() };
        Change::Account { was: Box::new(was), account }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_others_moved_on_since_is_followed_from_where_it_is() {
    let scene = Scene::open(Waits::Nothing);
    assert!(is_done(&scene.turnstile.take_one(bringing(scene.charge(10, "first"), 1)).await));
    scene.store.inner.commit(&[Change::Document(payment(2))]).unwrap();
    assert!(is_done(&scene.turnstile.take_one(bringing(scene.charge(10, "third"), 3)).await));
    assert_eq!(scene.available(), Credits::whole(80));
}

/// What is asked of one account, and should never be, takes nobody else along for good.
#[tokio::test]
async fn a_panic_is_the_end_of_its_group_and_of_no_more() {
    let scene = Scene::open(Waits::Nothing);
    let charge = ChargeId::new(scene.clock.now(), Place { account: ACCOUNT, version: 1 });
    let (credits, none) = (Credits::whole(10), Credits::ZERO);
    // A charge that says neither from where it was drawn nor that it was owed.
    let reverse = Command::Reverse(Reverse {
        charge,
        work: scene.work(10),
        charged: credits,
        reversed: none,
        draws: Vec::new(),
        owed: none,
        grants: Vec::new(),
        server: None,
        credits: None,
        reason: "a test".into(),
    });
    for round in 0..3 {
        assert!(matches!(scene.turnstile.take_one(ask(reverse.clone(), "bad", 1)).await, Turned::Busy));
        let turned = scene.turnstile.take_one(scene.charge(1, &format!("good-{round}"))).await;
        assert!(matches!(turned, Turned::Done { is_replay: false, .. }));
    }
    assert_eq!((scene.available(), scene.turnstile.tally().waiting()), (Credits::whole(97), 0));
    scene.turnstile.close();
}
