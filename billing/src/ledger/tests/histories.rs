//! Every short history over a small alphabet, at instants that do not go back: no mistake hides in an odd order.
use std::sync::Arc;
use std::vec::Vec;

use super::script::{assert_folds, counting, minute, reversal, terms, work};
use crate::id::{AccountNumber, ChargeId, HoldId, Name};
use crate::ledger::*;
use crate::money::Credits;
use crate::time::Timestamp;
use crate::zone::{Calendar, Period};

const DEPTH: u32 = 6;
const INSTANTS: i64 = 3;

#[test]
fn every_short_history_keeps_the_books() {
    let mut histories = 0;
    explore(&Book::open(AccountNumber::from_random(1)), &mut Vec::new(), (0, DEPTH), &mut histories);
    assert_eq!(histories, 214_235, "the alphabet changed: look at why, then say the new number");
}

/// The same, where a budget blocks: it is never passed, and its counters are what the journal says.
#[test]
fn every_short_history_keeps_within_its_budget() {
    let mut histories = 0;
    let mut book = Book::open(AccountNumber::from_random(1));
    let mut journal = Vec::new();
    let terms = BudgetTerms {
        scope: BudgetScope::default(),
        period: Period::Day,
        limit: Credits::from_micros(5),
        blocks: true,
        calendar: Calendar::default(),
    };
    let mut post = |command: &Command, journal: &mut Vec<Transaction>| {
        let transaction = book.decide(command, minute(0)).unwrap();
        book.apply(&transaction);
        journal.push(transaction);
        book.clone()
    };
    let budget: Name = "b".parse().unwrap();
    post(&Command::Grant(Arc::new(terms_of(9))), &mut journal);
    let set = post(&Command::SetBudget { budget: budget.clone(), terms: Arc::new(terms) }, &mut journal);
    let counted = post(&counting(&set, &journal, &budget), &mut journal);
    explore(&counted, &mut journal, (0, DEPTH - 2), &mut histories);
    assert_eq!(histories, 32_210, "the alphabet changed: look at why, then say the new number");
}

fn terms_of(credits: i64) -> Terms {
    Terms { effective_at: minute(0), ..terms(credits) }
}

/// What may be asked next: two kinds of grant, then whatever the journal so far makes possible.
fn alphabet(book: &Book, journal: &[Transaction], at: Timestamp) -> Vec<Command> {
    let spend = |credits, debt_max| {
        let work = Arc::new(work("chat", credits, at));
        Command::Charge(Spend { work, debt_max: Credits::from_micros(debt_max) })
    };
    let mut commands = Vec::from([
        Command::Grant(Arc::new(Terms { effective_at: at, expires_at: minute(2), ..terms(2) })),
        Command::Grant(Arc::new(Terms { effective_at: at, ..terms(1) })),
        spend(2, 0),
        spend(2, 1),
        Command::Hold { work: Arc::new(work("chat", 0, at)), credits: Credits::from_micros(2), expires_at: minute(3) },
    ]);
    let hold = book.holds().first().map(|it| it.id);
    commands.extend(hold.into_iter().flat_map(|it| on_hold(it, at)));
    commands
        .extend(last_charge(journal).map(|it| Command::Reverse(reversal(journal, it, Some(Credits::from_micros(1))))));
    commands
}

fn on_hold(hold: HoldId, at: Timestamp) -> [Command; 3] {
    let work = |credits| Arc::new(work("chat", credits, at));
    let used = Some(work(1));
    [
        Command::Capture(Captured { hold, work: work(3), over: Over::ToLimit }),
        Command::Extend { hold, more: Credits::from_micros(1), used, expires_at: None },
        Command::Release { hold },
    ]
}

fn last_charge(journal: &[Transaction]) -> Option<ChargeId> {
    journal.iter().rev().find(|it| matches!(it.what, What::Charged { .. })).map(Transaction::charge_id)
}

fn explore(book: &Book, journal: &mut Vec<Transaction>, (now, depth): (i64, u32), histories: &mut u32) {
    *histories += 1;
    for budget in book.budgets() {
        assert!(budget.used(minute(now)) + budget.reserved <= budget.terms.limit, "{budget:?} is passed");
    }
    if depth == 0 {
        assert_folds(journal, book);
        return;
    }
    for instant in now..=INSTANTS {
        let at = minute(instant);
        let mut settled = book.clone();
        let length = journal.len();
        while let Some((command, when)) = settled.due(at) {
            let transaction = settled.decide(&command, when).expect("what is due is never refused");
            settled.apply(&transaction);
            journal.push(transaction);
        }
        for command in alphabet(&settled, journal, at) {
            match settled.decide(&command, at) {
                Err(_) => *histories += 1,
                Ok(transaction) => {
                    let mut next = settled.clone();
                    next.apply(&transaction);
                    journal.push(transaction);
                    explore(&next, journal, (instant, depth - 1), histories);
                    journal.pop();
                }
            }
        }
        journal.truncate(length);
    }
}
