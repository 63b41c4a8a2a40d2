//! A filled engine: accounts with three grants each, and charges on them.
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use billing::id::{AccountNumber, Name};
use billing::ledger::{Book, Command, Source, Terms};
use billing::money::{Credits, Currency};
use billing::rating::Text;
use billing::time::{Span, Timestamp};
use server::app::{App, Settings};
use server::database::Database;
use server::rate_card;
use server::service::{ChargeOrder, Order};
use store::{Account, Change, Post};

/// Grants of each account.
pub const GRANTS: u64 = 3;
/// Accounts registered in one commit.
const REGISTERED_AT_ONCE: usize = 1_000;

/// A random number generator that gives the same numbers every time: xorshift64*, Vigna 2014.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed | 1)
    }
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("less than the bound")
    }
}

/// Which account the next charge falls on.
pub enum Skew {
    Even(usize),
    /// One account after another, from the first to the last and again.
    InTurn {
        next: AtomicUsize,
        accounts: usize,
    },
    /// The k-th account is hit in proportion to 1/k: cumulative weights.
    Zipf(Vec<u64>),
}

impl Skew {
    pub fn zipf(accounts: usize) -> Skew {
        let weights = (1..=accounts as u64).scan(0, |sum, rank| {
            *sum += 1_000_000_000_000 / rank;
            Some(*sum)
        });
        Skew::Zipf(weights.collect())
    }
    pub fn pick(&self, random: &mut Random) -> usize {
        match self {
            Skew::Even(accounts) => random.below(*accounts),
            Skew::InTurn { next, accounts } => next.fetch_add(1, Ordering::Relaxed) % accounts,
            Skew::Zipf(cumulative) => {
                let point = random.next() % cumulative[cumulative.len() - 1];
                cumulative.partition_point(|it| *it <= point)
            }
        }
    }
}

pub fn open(directory: &Path) -> App {
    open_on(&Database::Sqlite(directory.join("scrip.db")))
}

pub fn open_on(database: &Database) -> App {
    let store = database.open().expect("a store opens");
    let card = rate_card::parse_toml(rate_card::DEFAULT).expect("the default card is whole");
    App::open(store, Settings::default(), &card).expect("an engine opens")
}

/// Spread over all numbers, as random ones are.
pub fn number(account: usize) -> AccountNumber {
    AccountNumber::from_random((account as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

pub fn account(number: usize) -> Name {
    format!("account-{number}").parse().expect("a name")
}

/// Registers `count` accounts, with the three grants of the workload, many in one commit.
pub fn register(app: &App, count: usize) {
    let now = app.now();
    let numbers: Vec<usize> = (0..count).collect();
    for chunk in numbers.chunks(REGISTERED_AT_ONCE) {
        let changes: Vec<Change> = chunk.iter().flat_map(|it| registration(*it, now)).collect();
        app.store().commit(&changes).expect("accounts are registered");
    }
}

fn registration(number: usize, now: Timestamp) -> Vec<Change> {
    let id = account(number);
    let account = Account {
        number: self::number(number),
        id,
        created_at: now,
        name: None,
        email: None,
        currency: Currency::EUR,
        timezone: "Europe/Vilnius".to_owned(),
        address: None,
        tax_id: None,
        closed_at: None,
    };
    let mut book = Book::open(account.number);
    let mut changes = vec![Change::Register { account, fingerprints: Vec::new() }];
    for (credits, days) in [(1_000_000, Some(200)), (1_000_000, Some(100)), (100_000_000, None)] {
        let terms = Terms {
            source: Source::Purchase,
            credits: Credits::whole(credits),
            effective_at: now,
            expires_at: days.map_or(Timestamp::NEVER, |it| now + Span::DAY.times(it)),
            priority: Terms::PRIORITY,
            scope: Default::default(),
            cost: None,
            charged: None,
            payment: None,
            reason: "benchmark".into(),
        };
        let transaction = Arc::new(book.decide(&Command::Grant(Arc::new(terms)), now).expect("a grant is made"));
        book.apply(&transaction);
        changes.push(Change::Post(Post { transaction, book: Arc::new(book.clone()), key: None, fact: None }));
    }
    changes
}

/// Charges of a chat: two quantities and a model, a project of ten, a random key.
pub struct Charges {
    pub random: Random,
    pub skew: Skew,
    names: Vec<Name>,
    projects: Vec<Name>,
    meter: Text,
    model: (Text, Text),
    quantities: [Text; 2],
    by: Text,
}

impl Charges {
    pub fn new(accounts: usize, skew: Skew, seed: u64) -> Charges {
        Charges {
            random: Random::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 7),
            skew,
            names: (0..accounts).map(account).collect(),
            projects: (0..10).map(|it| format!("project-{it}").parse().expect("a name")).collect(),
            meter: "ai_chat".into(),
            model: ("model".into(), model().into()),
            quantities: ["input_tokens".into(), "output_tokens".into()],
            by: "bench".into(),
        }
    }

    pub fn next(&mut self, at: Option<Timestamp>) -> ChargeOrder {
        let key = format!("{:016x}{:016x}", self.random.next(), self.random.next());
        let [input, output] = &self.quantities;
        let quantities = vec![
            (Arc::clone(input), 200 + self.random.next() % 2000),
            (Arc::clone(output), 50 + self.random.next() % 800),
        ];
        let order = Order {
            meter: Arc::clone(&self.meter),
            quantities,
            dimensions: vec![self.model.clone()],
            project: Some(self.projects[self.random.below(10)].clone()),
            at,
            ..Order::default()
        };
        let account = self.names[self.skew.pick(&mut self.random)].clone();
        ChargeOrder { account, order, key: key.into(), by: Arc::clone(&self.by) }
    }

    pub fn take(&mut self, count: usize) -> Vec<ChargeOrder> {
        (0..count).map(|_| self.next(None)).collect()
    }
}

/// A model of the default card.
pub fn model() -> String {
    let card = rate_card::parse_toml(rate_card::DEFAULT).expect("the default card is whole");
    let rows = &card.meter("ai_chat").expect("the default card prices chats").rows;
    let value = rows.iter().flat_map(|row| &row.when).find(|it| &*it.dimension == "model");
    let value = value.and_then(|it| it.values.first()).expect("the default card knows a model");
    // A value may stand for all that begin so.
    value.trim_end_matches('*').to_owned()
}
