//! Random long histories: what must hold after each step, whatever the steps were.
use std::sync::Arc;
use std::vec::Vec;

use proptest::prelude::*;

use super::script::{assert_folds, minute, reversal, terms, work};
use crate::id::AccountNumber;
use crate::ledger::*;
use crate::money::{Credits, Currency, Money};
use crate::time::{Span, Timestamp};

#[derive(Clone, Debug)]
enum Step {
    Grant { credits: i64, from: i64, lasts: Option<i64>, scoped: bool, priority: u8 },
    Charge { credits: i64, late: i64, scoped: bool, debt_max: i64 },
    Hold { credits: i64, lasts: i64, scoped: bool },
    Extend { which: usize, more: i64, used: Option<i64> },
    Capture { which: usize, credits: i64, to_limit: bool },
    Release { which: usize },
    Reverse { which: usize, credits: Option<i64> },
    Void { which: usize },
    Wait { minutes: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..100i64, 0..20i64, prop::option::of(1..200i64), any::<bool>(), 99..102u8).prop_map(
            |(credits, from, lasts, scoped, priority)| Step::Grant { credits, from, lasts, scoped, priority }
        ),
        6 => (0..60i64, 0..100i64, any::<bool>(), prop_oneof![4 => Just(0), 1 => 0..50i64])
            .prop_map(|(credits, late, scoped, debt_max)| Step::Charge { credits, late, scoped, debt_max }),
        4 => (1..60i64, 1..40i64, any::<bool>())
            .prop_map(|(credits, lasts, scoped)| Step::Hold { credits, lasts, scoped }),
        3 => (0..9usize, 0..30i64, prop::option::of(0..80i64))
            .prop_map(|(which, more, used)| Step::Extend { which, more, used }),
        3 => (0..9usize, 0..90i64, any::<bool>())
            .prop_map(|(which, credits, to_limit)| Step::Capture { which, credits, to_limit }),
        1 => (0..9usize).prop_map(|which| Step::Release { which }),
        4 => (0..30usize, prop::option::of(1..60i64)).prop_map(|(which, credits)| Step::Reverse { which, credits }),
        1 => (0..9usize).prop_map(|which| Step::Void { which }),
        3 => (1..50i64).prop_map(|minutes| Step::Wait { minutes }),
    ]
}

fn meter(scoped: bool) -> &'static str {
    if scoped { "server" } else { "chat" }
}

/// The command of a step, where the history so far makes it possible.
fn command(step: &Step, book: &Book, journal: &[Transaction], at: Timestamp) -> Option<Command> {
    let credits = Credits::from_micros;
    let shift = |minutes: i64| at + Span::MINUTE.times(minutes);
    let priced = |scoped: bool, amount: i64, late: i64| Arc::new(work(meter(scoped), amount, shift(-late)));
    let hold = |which: usize| book.holds().get(which);
    Some(match *step {
        Step::Wait { .. } => return None,
        Step::Grant { credits, from, lasts, scoped, priority } => {
            let meters = if scoped { Vec::from([meter(true).into()]) } else { Vec::new() };
            Command::Grant(Arc::new(Terms {
                effective_at: shift(from),
                expires_at: lasts.map_or(Timestamp::NEVER, |it| shift(from + it)),
                scope: Scope { meters, projects: Vec::new() },
                priority,
                cost: (priority != 101).then_some(Money { amount: credits * 7 / 3, currency: Currency::EUR }),
                ..terms(credits)
            }))
        }
        Step::Charge { credits: amount, late, scoped, debt_max } => {
            Command::Charge(Spend { work: priced(scoped, amount, late), debt_max: credits(debt_max) })
        }
        Step::Hold { credits: amount, lasts, scoped } => {
            Command::Hold { work: priced(scoped, 0, 0), credits: credits(amount), expires_at: shift(lasts) }
        }
        Step::Extend { which, more, used } => {
            let used = used.map(|it| priced(false, it, 0));
            Command::Extend { hold: hold(which)?.id, more: credits(more), used, expires_at: None }
        }
        Step::Capture { which, credits, to_limit } => {
            let over = if to_limit { Over::ToLimit } else { Over::Draw };
            Command::Capture(Captured { hold: hold(which)?.id, work: priced(false, credits, 0), over })
        }
        Step::Release { which } => Command::Release { hold: hold(which)?.id },
        Step::Reverse { which, credits: amount } => {
            let mut charges = journal.iter().filter(|it| matches!(it.what, What::Charged { .. }));
            Command::Reverse(reversal(journal, charges.nth(which)?.charge_id(), amount.map(credits)))
        }
        Step::Void { which } => {
            Command::Void { grant: book.grants().get(which)?.id, keep: Credits::from_micros(7), reason: "test".into() }
        }
    })
}

struct History {
    book: Book,
    journal: Vec<Transaction>,
    now: i64,
}

impl History {
    fn new() -> History {
        History { book: Book::open(AccountNumber::from_random(1)), journal: Vec::new(), now: 200 }
    }

    fn take(&mut self, step: &Step) {
        if let Step::Wait { minutes } = step {
            self.now += minutes;
        }
        let at = minute(self.now);
        // Reading ahead and being brought there are the same.
        let foreseen = self.book.brought_up_to(at).balance(at);
        while let Some((command, when)) = self.book.due(at) {
            let transaction = self.book.decide(&command, when).expect("what is due is never refused");
            self.post(transaction);
        }
        assert_eq!(self.book.balance(at), foreseen);
        let Some(command) = command(step, &self.book, &self.journal, at) else { return };
        let before = self.book.clone();
        let decided = self.book.decide(&command, at);
        assert_eq!(self.book, before, "deciding changes nothing");
        if let Ok(transaction) = decided {
            self.post(transaction);
        }
    }

    fn post(&mut self, transaction: Transaction) {
        self.book.apply(&transaction);
        self.journal.push(transaction);
        assert!(self.book.grants().iter().all(|it| Credits::ZERO <= it.remaining.min(it.held).min(it.expired)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_book_is_the_fold_of_its_journal_and_the_sum_of_its_entries(steps in prop::collection::vec(step(), 1..80)) {
        let mut history = History::new();
        for step in &steps {
            history.take(step);
        }
        assert_folds(&history.journal, &history.book);
    }

    /// Draws are never more than was granted, and a reversal never more than was charged.
    #[test]
    fn what_is_drawn_was_granted(steps in prop::collection::vec(step(), 1..80)) {
        let mut history = History::new();
        for step in &steps {
            history.take(step);
        }
        let mut net = std::collections::BTreeMap::new();
        for transaction in &history.journal {
            let made_here = transaction.granted().map(|(grant, _)| grant);
            for entry in transaction.entries().into_iter().filter(|it| it.grant != made_here) {
                let Some(grant) = entry.grant else { continue };
                for (account, sign) in [(entry.to, 1), (entry.from, -1)] {
                    let spent = matches!(account, LedgerAccount::Usage(_));
                    *net.entry(grant).or_insert(0) += if spent { sign * entry.credits.micros() } else { 0 };
                }
            }
        }
        for transaction in &history.journal {
            if let Some((grant, terms)) = transaction.granted() {
                let spent = net.remove(&grant).unwrap_or(0);
                prop_assert!((0..=terms.credits.micros()).contains(&spent), "{grant}: {spent}");
            }
        }
    }

    /// While nothing expires, undoing a charge at once leaves the account exactly as it was.
    #[test]
    fn a_reversal_restores_exactly(
        steps in prop::collection::vec(step(), 1..40),
        amount in 1..50i64,
        parts in 1..4i64,
    ) {
        let mut history = History::new();
        for step in &steps {
            history.take(step);
        }
        let at = minute(history.now);
        let before = history.book.clone();
        let spend = Spend { work: Arc::new(work("chat", amount, at)), debt_max: Credits::ZERO };
        let Ok(charged) = history.book.decide(&Command::Charge(spend), at) else { return Ok(()) };
        let charge = charged.charge_id();
        history.post(charged);
        for part in 0..parts {
            let even = amount / parts;
            let credits = Credits::from_micros(if part + 1 == parts { amount - even * part } else { even });
            let reverse = reversal(&history.journal, charge, Some(credits));
            if credits.is_zero() { continue }
            let transaction = history.book.decide(&Command::Reverse(reverse), at).unwrap();
            history.post(transaction);
        }
        prop_assert_eq!(history.book.grants(), before.grants());
        prop_assert_eq!(history.book.balance(at), before.balance(at));
    }
}
