//! Makes what the tests commit: real commands, decided by real books.
use std::sync::Arc;

use billing::id::AccountNumber;
use billing::ledger::{Book, Command, Source, Spend, Terms, Transaction, Work};
use billing::money::{Credits, Currency, Money};
use billing::rating::{Price, PriceLine, Usage};
use billing::time::{Span, Timestamp};
use store::{Change, NameHash, Post};

/// An instant so many minutes into the tests' time.
pub fn minute(number: i64) -> Timestamp {
    Timestamp::from_millis(1_795_000_000_000) + Span::MINUTE.times(number)
}

pub fn account(number: u64) -> AccountNumber {
    AccountNumber::from_random(number)
}

pub fn terms(credits: i64, from: Timestamp) -> Terms {
    Terms {
        source: Source::Purchase,
        credits: Credits::from_micros(credits),
        effective_at: from,
        expires_at: Timestamp::NEVER,
        priority: Terms::PRIORITY,
        scope: billing::ledger::Scope::default(),
        cost: Some(Money { amount: 1000, currency: Currency::EUR }),
        charged: Some(1210),
        payment: Some("pay_1".into()),
        reason: "bought".into(),
    }
}

pub fn work(credits: i64, at: Timestamp) -> Work {
    let line = |item: &str, quantity: u64, credits: i64| PriceLine {
        item: item.into(),
        quantity,
        unit: "token".into(),
        unit_price: Credits::from_micros(250_000),
        per: 1_000_000,
        credits: Credits::from_micros(credits),
    };
    Work {
        usage: Usage {
            meter: "ai_chat".into(),
            quantities: vec![("input_tokens".into(), 1200), ("output_tokens".into(), 350)],
            dimensions: vec![("model".into(), "large-4".into())],
        },
        price: Price {
            credits: Credits::from_micros(credits),
            lines: vec![line("input tokens", 1200, credits - credits / 3), line("output tokens", 350, credits / 3)],
            rate_card: 3,
        },
        project: Some("website".parse().expect("a name")),
        actor: Some("agent-7".parse().expect("a name")),
        resource: None,
        occurred_at: at,
        hour: at.hour_start(0),
        quote: None,
        metadata: None,
        evidence: None,
        once: None,
    }
}

/// A book, and what was posted to it.
pub struct Desk {
    pub book: Arc<Book>,
    pub posted: Vec<Arc<Transaction>>,
}

impl Desk {
    pub fn new(number: u64) -> Desk {
        Desk { book: Arc::new(Book::open(account(number))), posted: Vec::new() }
    }

    /// Decides `command` and moves the book on; the change is yet to be committed.
    pub fn post(&mut self, command: &Command, at: Timestamp, key: Option<&str>) -> Change {
        let mut transaction = self.book.decide(command, at).expect("a command that is not refused");
        transaction.origin.key = key.map(Into::into);
        transaction.origin.request = key.map_or(0, |it| it.len() as u128 + 7);
        transaction.origin.by = Some("backend".into());
        let mut book = (*self.book).clone();
        book.apply(&transaction);
        self.book = Arc::new(book);
        let transaction = Arc::new(transaction);
        self.posted.push(Arc::clone(&transaction));
        let key = key.map(|it| NameHash::key(self.book.account, it));
        Change::Post(Post { transaction, book: Arc::clone(&self.book), key, fact: None })
    }

    pub fn grant(&mut self, credits: i64, at: Timestamp) -> Change {
        self.post(&Command::Grant(Arc::new(terms(credits, at))), at, None)
    }

    pub fn charge(&mut self, credits: i64, at: Timestamp, key: Option<&str>) -> Change {
        let spend = Spend { work: Arc::new(work(credits, at)), debt_max: Credits::ZERO };
        self.post(&Command::Charge(spend), at, key)
    }
}
