//! A town of accounts that do everything an account can do, at random from a seed, and a naive record of it.
//!
//! The record keeps every transaction in lists and answers by looking through them: slow, and hard to get wrong.
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use billing::id::{AccountNumber, ChargeId, Place};
use billing::ledger::{
    Book, Captured, Cause, Command, Over, Reverse, Scope, Spend, Terms, Transaction, What, Withdrawal,
};
use billing::money::Credits;
use billing::time::{Span, Timestamp};
use billing::usage::{UsageKey, UsageSum};
use store::{Change, NameHash, Post, Store};

use crate::make::{account, minute, terms, work};

pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
    fn pick(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap()
    }
    fn credits(&mut self, most: u64) -> i64 {
        1 + i64::try_from(self.below(most)).unwrap()
    }
}

/// What was committed, as lists.
#[derive(Default)]
pub struct Record {
    pub journal: Vec<Arc<Transaction>>,
    pub accounts: BTreeMap<AccountNumber, Vec<Arc<Transaction>>>,
    pub books: BTreeMap<AccountNumber, Arc<Book>>,
    pub names: HashMap<NameHash, Place>,
}

pub struct Town {
    pub random: Random,
    pub record: Record,
    pub now: Timestamp,
    /// How late work is told of at most, in minutes.
    pub late: u64,
    numbers: Vec<AccountNumber>,
    keys: u64,
}

impl Town {
    pub fn new(seed: u64, accounts: u64) -> Town {
        let mut random = Random(seed);
        let numbers = (0..accounts).map(|_| account(random.next())).collect();
        Town { random, record: Record::default(), now: minute(0), late: 300, numbers, keys: 0 }
    }

    /// The next `count` changes, or a few more: what was due comes along.
    pub fn changes(&mut self, count: usize) -> Vec<Change> {
        let mut changes = Vec::new();
        while changes.len() < count {
            self.step(&mut changes);
        }
        changes
    }

    fn step(&mut self, changes: &mut Vec<Change>) {
        self.now = self.now + Span::SECOND.times(self.random.credits(20));
        let number = self.numbers[self.random.pick(self.numbers.len())];
        let at = self.now;
        let mut book = self.book(number);
        while let Some((command, when)) = book.due(at) {
            book = self.post(&book, &command, when, changes).expect("what is due is never refused");
        }
        let command = self.command(&book);
        self.post(&book, &command, at, changes);
    }

    fn book(&self, number: AccountNumber) -> Arc<Book> {
        self.record.books.get(&number).cloned().unwrap_or_else(|| Arc::new(Book::open(number)))
    }

    fn command(&mut self, book: &Book) -> Command {
        let at = self.now;
        let amount = self.random.credits(900);
        let late = Span::MINUTE.times(self.random.credits(self.late));
        let mut done = work(amount, if self.random.below(4) == 0 { at - late } else { at });
        done.project = [None, Some("website"), Some("backend")][self.random.pick(3)].map(|it| it.parse().unwrap());
        done.metadata = (self.random.below(20) == 0).then(|| "{\"note\": \"it's \\\"fine\\\"\"}".into());
        let done = Arc::new(done);
        let hold = book.holds().first().map(|it| it.id);
        let grant = book.grants().first().map(|it| it.id);
        match (self.random.below(20), hold, grant) {
            (0..3, _, _) => {
                let lasts = Span::MINUTE.times(self.random.credits(3_000));
                let scope = if self.random.below(4) == 0 {
                    Scope { meters: vec!["ai_chat".into()], projects: vec!["website".parse().unwrap()] }
                } else {
                    Scope::default()
                };
                let expires_at = if self.random.below(2) == 0 { Timestamp::NEVER } else { at + lasts };
                let credits = 5_000 + self.random.credits(20_000);
                Command::Grant(Arc::new(Terms { expires_at, scope, ..terms(credits, at) }))
            }
            (3..5, _, _) => Command::Hold {
                work: done,
                credits: Credits::from_micros(amount),
                expires_at: at + Span::MINUTE.times(self.random.credits(60)),
            },
            (5, Some(hold), _) => {
                Command::Extend { hold, more: Credits::from_micros(amount), used: Some(done), expires_at: None }
            }
            (6, Some(hold), _) => Command::Capture(Captured { hold, work: done, over: Over::ToLimit }),
            (7, Some(hold), _) => Command::Release { hold },
            (8, _, Some(grant)) if self.random.below(10) == 0 => {
                Command::Void { grant, keep: Credits::ZERO, reason: "mistake".into() }
            }
            (8, _, Some(grant)) if self.random.below(3) == 0 => {
                let cause = if amount % 3 == 0 { Cause::Refund } else { Cause::Dispute };
                let (credits, none, reason) = (Credits::from_micros(amount), Credits::ZERO, "taken".into());
                let (lapsed, owed, lost) = (none, credits, none);
                Command::Withdraw(Withdrawal { grant, credits, lapsed, owed, lost, net: amount, cause, reason })
            }
            (9..11, _, _) => self.reversal(book.account).unwrap_or(Command::Close),
            (11, _, _) if self.random.below(400) == 0 => Command::Close,
            _ => {
                Command::Charge(Spend { work: done, debt_max: Credits::from_micros(i64::from(amount % 7 == 0) * 400) })
            }
        }
    }

    /// A reversal of some part of a late charge; none when there is nothing left of it.
    fn reversal(&mut self, number: AccountNumber) -> Option<Command> {
        let transactions = self.record.accounts.get(&number).map_or(&[][..], Vec::as_slice);
        let recent = &transactions[transactions.len().saturating_sub(40)..];
        let charged = recent.iter().find(|it| matches!(it.what, What::Charged { .. }))?;
        let What::Charged { work, credits, draws, owed, settled, .. } = &charged.what else { return None };
        let charge: ChargeId = charged.charge_id();
        let reversed = transactions.iter().rev().find_map(|it| match &it.what {
            What::Reversed(it) if it.charge == charge && it.settled.is_none() => Some(it.total),
            _ => None,
        });
        let reversed = reversed.unwrap_or_default();
        let grants = transactions.iter().filter_map(|it| it.granted().map(|(id, terms)| (id, Arc::clone(terms))));
        let grants = grants.filter(|(id, _)| draws.iter().any(|it| it.grant == *id)).collect();
        let half = Credits::from_micros((*credits - reversed).micros() / 2);
        Some(Command::Reverse(Reverse {
            charge,
            work: Arc::clone(work),
            charged: *credits,
            reversed,
            draws: draws.clone(),
            owed: *owed,
            grants,
            server: settled.as_ref().map(|it| (it.server.clone(), it.kind)),
            credits: half.is_positive().then_some(half),
            reason: "wrong".into(),
        }))
    }

    fn post(
        &mut self,
        book: &Arc<Book>,
        command: &Command,
        at: Timestamp,
        changes: &mut Vec<Change>,
    ) -> Option<Arc<Book>> {
        if matches!(command, Command::Close) && self.random.below(50) != 0 {
            return None;
        }
        let mut transaction = book.decide(command, at).ok()?;
        let has_key = self.random.below(10) != 0;
        if has_key {
            self.keys += 1;
            transaction.origin.key = Some(format!("key-{}-{}", self.keys, self.random.below(1 << 20)).into());
            transaction.origin.request = u128::from(self.random.next()) << 64 | 1;
            transaction.origin.by = Some("backend".into());
        }
        let fact = match &transaction.what {
            What::Released { hold, .. } => Some(NameHash::hold_end(*hold)),
            What::Charged { closing: Some(it), .. } => Some(NameHash::hold_end(it.hold)),
            What::Reversed(it) => Some(NameHash::reversal(it.charge, self.record.reversals(it.charge) + 1)),
            _ => None,
        };
        let mut book = Book::clone(book);
        book.apply(&transaction);
        let (book, transaction) = (Arc::new(book), Arc::new(transaction));
        let key = transaction.origin.key.as_deref().map(|it| NameHash::key(book.account, it));
        let post = Post { transaction, book: Arc::clone(&book), key, fact };
        self.record.take(&post);
        changes.push(Change::Post(post));
        Some(book)
    }
}

impl Record {
    fn reversals(&self, charge: ChargeId) -> u64 {
        let reverses = |it: &&Arc<Transaction>| matches!(&it.what, What::Reversed(it) if it.charge == charge);
        self.accounts[&charge.place().account].iter().filter(reverses).count() as u64
    }

    /// An account's book as it was before some changes that were recorded last.
    pub fn book_before(&self, number: AccountNumber, changes: &[Change]) -> Option<Arc<Book>> {
        let own = |it: &&Change| matches!(it, Change::Post(post) if post.book.account == number);
        let before = self.accounts[&number].len() - changes.iter().filter(own).count();
        let mut book = Book::open(number);
        self.accounts[&number][..before].iter().for_each(|it| book.apply(it));
        (0 < before).then(|| Arc::new(book))
    }

    fn take(&mut self, post: &Post) {
        let place = post.transaction.place;
        self.journal.push(Arc::clone(&post.transaction));
        self.accounts.entry(place.account).or_default().push(Arc::clone(&post.transaction));
        self.books.insert(place.account, Arc::clone(&post.book));
        self.names.extend([post.key, post.fact].into_iter().flatten().map(|it| (it, place)));
    }

    pub fn usage(&self, number: AccountNumber, from: Timestamp, to: Timestamp) -> Vec<(UsageKey, UsageSum)> {
        let mut rows: BTreeMap<UsageKey, UsageSum> = BTreeMap::new();
        for (key, sum) in self.accounts[&number].iter().filter_map(|it| it.usage()) {
            if from <= key.hour && key.hour < to {
                rows.entry(key).or_default().add(&sum);
            }
        }
        rows.into_iter().collect()
    }

    /// Asks `store` everything about `accounts` accounts that are not told beforehand, and compares.
    #[track_caller]
    pub fn compare(&self, store: &dyn Store, random: &mut Random, accounts: usize) {
        self.compare_reads(store, random, accounts);
        self.compare_due(store);
    }

    /// All but what is due: to know that, a store may wait for a fold.
    #[track_caller]
    pub fn compare_reads(&self, store: &dyn Store, random: &mut Random, accounts: usize) {
        assert_eq!(store.journal_length().unwrap(), self.journal.len() as u64);
        let numbers: Vec<AccountNumber> = self.accounts.keys().copied().collect();
        for _ in 0..accounts {
            let number = numbers[random.pick(numbers.len())];
            self.compare_account(store, random, number);
        }
        let names: Vec<NameHash> = self.names.keys().copied().take(500).chain([NameHash::house_key("x")]).collect();
        let expected: Vec<Option<Place>> = names.iter().map(|it| self.names.get(it).copied()).collect();
        assert_eq!(store.recall(&names, &[]).unwrap().named, expected);
    }

    #[track_caller]
    fn compare_account(&self, store: &dyn Store, random: &mut Random, number: AccountNumber) {
        let all = &self.accounts[&number];
        assert_eq!(store.recall(&[], &[number]).unwrap().books, [Some(Arc::clone(&self.books[&number]))]);
        let length = all.len() as u64;
        for before in [u64::MAX, length + 1, length, random.below(length + 2), 1, 0] {
            for limit in [0, 1, 7, 200] {
                let below = all.iter().rev().filter(|it| it.place.version < before);
                let expected: Vec<_> = below.clone().take(limit).cloned().collect();
                assert_eq!(store.transactions(number, before, limit).unwrap(), expected, "{number:?} before {before}");
                let grants: Vec<_> = below.filter(|it| it.granted().is_some()).take(limit).cloned().collect();
                assert_eq!(store.granting(number, before, limit).unwrap(), grants);
            }
        }
        for version in [0, 1, random.below(length) + 1, length, length + 1] {
            let expected = all.iter().find(|it| it.place.version == version).cloned();
            assert_eq!(store.transaction(Place { account: number, version }).unwrap(), expected);
        }
        let places = [length, length + 1, 1, length].map(|version| Place { account: number, version });
        let expected = [all.last(), None, all.first(), all.last()].map(|it| it.cloned());
        assert_eq!(store.transactions_at(&places).unwrap(), expected);
        let (early, late) = (minute(-100_000), Timestamp::NEVER);
        let middle = all[all.len() / 2].at.hour_start(0);
        for (from, to) in [(early, late), (early, middle), (middle, late), (middle, middle + Span::HOUR)] {
            let found = store.usage(number, from, to).unwrap().into_iter().map(|it| (it.key, it.sum));
            assert_eq!(found.collect::<Vec<_>>(), self.usage(number, from, to));
        }
    }

    #[track_caller]
    fn compare_due(&self, store: &dyn Store) {
        let mut due: Vec<(Timestamp, AccountNumber)> =
            self.books.values().map(|it| (it.due_at(), it.account)).collect();
        due.sort();
        let middle = due[due.len() / 2].0.min(Timestamp::NEVER - Span::DAY);
        let expected: Vec<AccountNumber> = due.iter().filter(|(when, _)| *when <= middle).map(|(_, it)| *it).collect();
        assert_eq!(store.due(middle, usize::MAX).unwrap(), expected);
        assert_eq!(store.due(middle, 3).unwrap(), expected[..expected.len().min(3)]);
    }
}
