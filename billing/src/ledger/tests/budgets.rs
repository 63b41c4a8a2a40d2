//! Budgets, line by line; and whatever happens, their counters are the roll-up.
use std::sync::Arc;
use std::vec::Vec;

use proptest::prelude::*;

use super::script::{assert_folds, check, counting, minute, reversal, terms, work};
use crate::id::{AccountNumber, Name};
use crate::ledger::*;
use crate::money::Credits;
use crate::time::{Span, Timestamp};
use crate::zone::{Calendar, Period};

#[test]
fn a_budget_that_blocks_is_never_passed() {
    check(
        "0 grant 1000 -> ok
         0 budget b 100 day block -> ok
         1 charge 60 -> charged g1:60 told b:50
         2 charge 41 -> budget_exceeded b 60+0 of 100
         2 charge 40 -> charged g1:40 told b:75 told b:90 told b:100
         3 charge 0 -> charged
         3 charge 1 -> budget_exceeded b 100+0 of 100
         1440 charge 100 -> charged g1:100 told b:50 told b:75 told b:90 told b:100
         1441 charge 5 at 1439 -> budget_exceeded b 100+0 of 100",
    );
}

#[test]
fn one_for_all_but_servers_is_for_meters_that_nobody_knew_of() {
    check(
        "0 grant 1000 -> ok
         0 budget ai 100 total block except server -> ok
         1 charge 500 meter server -> charged g1:500
         2 charge 60 meter chat -> charged g1:60 told ai:50
         3 charge 41 meter later -> budget_exceeded ai 60+0 of 100
         3 charge 40 meter later -> charged g1:40 told ai:75 told ai:90 told ai:100",
    );
}

#[test]
fn one_that_notifies_refuses_nothing_and_tells_each_threshold_once() {
    check(
        "0 grant 1000 -> ok
         0 budget b 100 day notify -> ok
         1 charge 49 -> charged g1:49
         2 charge 1 -> charged g1:1 told b:50
         3 charge 200 -> charged g1:200 told b:75 told b:90 told b:100
         4 charge 200 -> charged g1:200
         5 reverse c4 -> reversed g1:200
         6 charge 200 -> charged g1:200
         1440 charge 50 -> charged g1:50 told b:50
         1441 charge 25 at 1439 -> charged g1:25
         1442 charge 25 -> charged g1:25 told b:75",
    );
}

#[test]
fn what_is_held_counts_against_a_block() {
    check(
        "0 grant 1000 -> ok
         0 budget b 100 day block -> ok
         0 hold 70 until 50 -> held g1:70
         1 charge 31 -> budget_exceeded b 0+70 of 100
         1 extend h1 31 -> budget_exceeded b 0+70 of 100
         1 extend h1 30 -> held g1:30
         2 charge 1 -> budget_exceeded b 0+100 of 100
         2 capture h1 110 -> budget_exceeded b 0+0 of 100
         3 capture h1 110 to_limit -> charged g1:100 short 10 told b:50 told b:75 told b:90 told b:100",
    );
    check(
        "0 grant 1000 -> ok
         0 budget b 100 day block -> ok
         0 hold 80 until 50 -> held g1:80
         1 budget b 30 day block -> ok
         2 charge 1 -> budget_exceeded b 0+80 of 30
         3 capture h1 80 -> charged g1:80 told b:50 told b:75 told b:90 told b:100",
    );
    check(
        "0 grant 1000 -> ok
         0 budget b 100 day block -> ok
         0 hold 80 until 5 -> held g1:80
         1 extend h1 0 used 120 -> held
         5 due -> charged g1:80 g1:20 short 20 told b:50 told b:75 told b:90 told b:100
         6 hold 1 until 9 -> budget_exceeded b 100+0 of 100",
    );
    check(
        "0 grant 1000 -> ok
         0 budget b 100 day block -> ok
         0 hold 80 until 50 -> held g1:80
         1 release h1 -> released g1:80
         2 charge 100 -> charged g1:100 told b:50 told b:75 told b:90 told b:100",
    );
}

#[test]
fn a_budget_counts_what_it_is_for() {
    check(
        "0 grant 1000 -> ok
         0 budget chat 50 total block meter chat -> ok
         0 budget p 10 week notify project p -> ok
         0 budget who 5 month block actor ann -> ok
         1 charge 50 meter server -> charged g1:50
         1 charge 10 project p -> charged g1:10 told p:50 told p:75 told p:90 told p:100
         1 charge 41 -> budget_exceeded chat 10+0 of 50
         1 charge 6 actor ann meter server -> budget_exceeded who 0+0 of 5
         1 charge 6 actor bob meter server -> charged g1:6
         1 charge 5 actor ann meter server -> charged g1:5 told who:50 told who:75 told who:90 told who:100
         99999 charge 41 -> budget_exceeded chat 10+0 of 50",
    );
}

#[test]
fn a_budget_counts_its_whole_period_whenever_it_was_set() {
    check(
        "0 grant 1000 -> ok
         1 charge 60 -> charged g1:60
         2 budget b 100 day block -> ok told b:50
         3 charge 41 -> budget_exceeded b 60+0 of 100
         3 reverse c1 -> reversed g1:60
         4 charge 100 -> charged g1:100 told b:75 told b:90 told b:100
         5 budget b 400 day block -> ok
         6 charge 100 -> charged g1:100 told b:50
         7 budget b 150 day notify -> ok told b:75 told b:90 told b:100
         8 budget b 150 week notify -> ok told b:50 told b:75 told b:90 told b:100
         9 unbudget b -> ok
         9 unbudget b -> budget_not_found
         9 charge 500 -> charged g1:500",
    );
}

#[test]
fn a_budget_that_is_set_tells_of_the_present_period_alone() {
    check(
        "0 grant 1000 -> ok
         1 charge 100 -> charged g1:100
         1440 charge 80 -> charged g1:80
         2880 charge 60 -> charged g1:60
         2881 budget b 100 day notify -> ok told b:50
         2882 budget b 80 day notify -> ok told b:75
         2883 charge 10 at 1441 -> charged g1:10
         2884 budget b 200 day notify -> ok
         2885 charge 20 at 1442 -> charged g1:20 told b:50
         2886 budget b 60 week notify -> ok told b:50 told b:75 told b:90 told b:100",
    );
}

/// A calendar that knows more years, or a zone in which this day is the same: what was told of it is not told again.
#[test]
fn a_period_that_is_counted_anew_is_told_no_threshold_twice() {
    let mut history = History { book: Book::open(AccountNumber::from_random(1)), journal: Vec::new(), now: 100_000 };
    let later = minute(history.now) + Span::DAY.times(400);
    let longer = Calendar::new(Vec::from([(Timestamp::EPOCH, 0), (later, 3_600)])).unwrap();
    history.take(&Step::Grant(1_000));
    let set = |calendar: &Calendar, limit: i64| {
        let (limit, calendar) = (Credits::from_micros(limit), calendar.clone());
        let terms = BudgetTerms { scope: BudgetScope::default(), period: Period::Day, limit, blocks: true, calendar };
        Command::SetBudget { budget: named(0), terms: Arc::new(terms) }
    };
    let mut told = |steps: &[Step], budget: Command| {
        let before = history.journal.len();
        steps.iter().for_each(|it| history.take(it));
        let posted = history.book.decide(&budget, minute(history.now)).unwrap();
        history.post(posted);
        if !history.book.budgets()[0].is_counted() {
            let count = counting(&history.book, &history.journal, &named(0));
            let posted = history.book.decide(&count, minute(history.now)).unwrap();
            history.post(posted);
        }
        assert_folds(&history.journal, &history.book);
        let notices = history.journal[before..].iter().flat_map(|it| &it.notices);
        let percent = |it: &Notice| if let Notice::BudgetReached { percent, .. } = it { Some(*percent) } else { None };
        notices.filter_map(percent).collect::<Vec<u8>>()
    };
    let charge = [Step::Charge { credits: 40, late: 0, who: 0 }];
    assert_eq!(told(&[], set(&Calendar::default(), 100)), []);
    assert_eq!(told(&charge, set(&longer, 100)), []);
    assert_eq!(told(&charge, set(&Calendar::default(), 100)), [50, 75]);
    assert_eq!(told(&[], set(&longer, 100)), []);
    // With another limit it is another matter.
    assert_eq!(told(&[], set(&Calendar::default(), 88)), [90]);
}

#[test]
fn a_budget_is_said_before_a_lack_of_credits() {
    check(
        "0 grant 10 -> ok
         0 budget b 20 day block -> ok
         1 charge 30 -> budget_exceeded b 0+0 of 20
         1 charge 15 -> insufficient_credits 10 of 15
         1 budget none 0 day block -> ok
         2 charge 1 -> budget_exceeded none 0+0 of 0
         2 charge 0 -> charged",
    );
}

#[derive(Clone, Debug)]
enum Step {
    Grant(i64),
    Charge { credits: i64, late: i64, who: usize },
    Hold { credits: i64, lasts: i64, who: usize },
    Extend { more: i64, used: i64 },
    Capture { credits: i64, to_limit: bool },
    Release,
    Reverse { which: usize, credits: Option<i64> },
    Set { which: usize, limit: i64, period: usize, blocks: bool, scope: usize },
    Delete { which: usize },
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (1..400i64).prop_map(Step::Grant),
        8 => (0..60i64, prop_oneof![Just(0), 0..60_000i64], 0..4usize)
            .prop_map(|(credits, late, who)| Step::Charge { credits, late, who }),
        4 => (1..60i64, 1..3_000i64, 0..4usize).prop_map(|(credits, lasts, who)| Step::Hold { credits, lasts, who }),
        2 => (0..30i64, 0..80i64).prop_map(|(more, used)| Step::Extend { more, used }),
        3 => (0..90i64, any::<bool>()).prop_map(|(credits, to_limit)| Step::Capture { credits, to_limit }),
        1 => Just(Step::Release),
        3 => (0..30usize, prop::option::of(1..60i64)).prop_map(|(which, credits)| Step::Reverse { which, credits }),
        4 => (0..3usize, 0..300i64, 0..4usize, any::<bool>(), 0..4usize).prop_map(
            |(which, limit, period, blocks, scope)| Step::Set { which, limit, period, blocks, scope }
        ),
        1 => (0..3usize).prop_map(|which| Step::Delete { which }),
        3 => (1..9_000i64).prop_map(Step::Wait),
    ]
}

struct History {
    book: Book,
    journal: Vec<Transaction>,
    now: i64,
}

impl History {
    fn take(&mut self, step: &Step) {
        if let Step::Wait(minutes) = step {
            self.now += minutes;
        }
        let at = minute(self.now);
        while let Some((command, when)) = self.book.due(at) {
            let transaction = self.book.decide(&command, when).expect("what is due is never refused");
            self.post(transaction);
        }
        let Some(command) = self.command(step) else { return };
        let Ok(transaction) = self.book.decide(&command, at) else { return };
        self.post(transaction);
        if let Command::SetBudget { budget, .. } = &command
            && !self.book.budget(budget).unwrap().is_counted()
        {
            let count = counting(&self.book, &self.journal, budget);
            let transaction = self.book.decide(&count, at).unwrap();
            self.post(transaction);
        }
    }

    fn post(&mut self, transaction: Transaction) {
        self.book.apply(&transaction);
        self.journal.push(transaction);
    }

    fn command(&self, step: &Step) -> Option<Command> {
        let at = minute(self.now);
        let credits = Credits::from_micros;
        let hold = self.book.holds().first();
        let of = |who: usize, amount: i64, late: i64| {
            let meter = if who.is_multiple_of(2) { "chat" } else { "server" };
            let mut work = work(meter, amount, at - Span::MINUTE.times(late));
            work.project = (who < 2).then(|| "p".parse().unwrap());
            work.actor = (who == 3).then(|| "ann".parse().unwrap());
            Arc::new(work)
        };
        Some(match *step {
            Step::Wait(_) => return None,
            Step::Grant(amount) => Command::Grant(Arc::new(Terms { effective_at: at, ..terms(amount) })),
            Step::Charge { credits, late, who } => {
                Command::Charge(Spend { work: of(who, credits, late), debt_max: Credits::ZERO })
            }
            Step::Hold { credits: amount, lasts, who } => {
                let expires_at = at + Span::MINUTE.times(lasts);
                Command::Hold { work: of(who, 0, 0), credits: credits(amount), expires_at }
            }
            Step::Extend { more, used } => {
                let (hold, used) = (hold?.id, Some(of(0, used, 0)));
                Command::Extend { hold, more: credits(more), used, expires_at: None }
            }
            Step::Capture { credits, to_limit } => {
                let over = if to_limit { Over::ToLimit } else { Over::Draw };
                Command::Capture(Captured { hold: hold?.id, work: of(2, credits, 0), over })
            }
            Step::Release => Command::Release { hold: hold?.id },
            Step::Reverse { which, credits: amount } => {
                let mut charges = self.journal.iter().filter(|it| matches!(it.what, What::Charged { .. }));
                Command::Reverse(reversal(&self.journal, charges.nth(which)?.charge_id(), amount.map(credits)))
            }
            Step::Set { which, limit, period, blocks, scope } => {
                let scope = [
                    BudgetScope::default(),
                    BudgetScope { meters: ["chat".into()].into(), ..BudgetScope::default() },
                    BudgetScope { project: "p".parse().ok(), ..BudgetScope::default() },
                    BudgetScope { actor: "ann".parse().ok(), ..BudgetScope::default() },
                ][scope]
                    .clone();
                let (period, limit) = (Period::ALL[period], credits(limit));
                let terms = BudgetTerms { scope, period, limit, blocks, calendar: Calendar::default() };
                Command::SetBudget { budget: named(which), terms: Arc::new(terms) }
            }
            Step::Delete { which } => Command::DeleteBudget { budget: named(which) },
        })
    }
}

fn named(which: usize) -> Name {
    ["a", "b", "c"][which].parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// `assert_folds` holds each counter against the roll-up of its period.
    #[test]
    fn counters_are_the_fold_and_the_roll_up(steps in prop::collection::vec(step(), 1..100)) {
        let book = Book::open(AccountNumber::from_random(1));
        let mut history = History { book, journal: Vec::new(), now: 100_000 };
        for step in &steps {
            history.take(step);
        }
        assert_folds(&history.journal, &history.book);
        // Each threshold of a period was told once, as long as nobody set the budget anew.
        let mut told: Vec<(Name, u8, Timestamp)> = Vec::new();
        for transaction in &history.journal {
            if let What::Budget(BudgetChange::Set { budget, .. } | BudgetChange::Deleted { budget }) =
                &transaction.what
            {
                told.retain(|(it, ..)| it != budget);
            }
            for notice in &transaction.notices {
                if let Notice::BudgetReached { budget, percent, start, .. } = notice {
                    let key = (budget.clone(), *percent, *start);
                    prop_assert!(!told.contains(&key), "{:?} twice", key);
                    told.push(key);
                }
            }
        }
    }
}
