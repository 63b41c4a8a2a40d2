//! Late events: what happened comes to the same, whenever it is told.
//!
//! An event brings its own time. By that it is priced, counted, and finds the grants that lived then, though they have
//! expired since. So the order in which events arrive decides nothing that was settled by when they happened. It does
//! decide two things: who is refused, where there is not enough for all (these histories refuse nobody), and which
//! grant pays for what no grant of its time could
//! (`what_its_time_cannot_pay_for_is_paid_by_what_is_there_when_it_is_told`).
use std::collections::BTreeMap;
use std::sync::Arc;
use std::vec::Vec;

use proptest::prelude::*;

use super::script::{assert_folds, check, minute, terms, work};
use crate::id::AccountNumber;
use crate::ledger::*;
use crate::money::Credits;
use crate::rating::tests::{meter, per, row};
use crate::rating::{RateCard, RateCards, Usage};
use crate::time::Timestamp;
use crate::usage::{UsageKey, UsageSum};
use crate::zone::{Calendar, Period};

/// The promotion is over in the first evening; a little later everything costs twice as much. At midnight the first
/// period of the plan ends, and the budget of the day begins anew.
const EVENING: i64 = 18 * 60;
const DEARER: i64 = 21 * 60;
const MIDNIGHT: i64 = 24 * 60;
const NEXT_MIDNIGHT: i64 = 48 * 60;
/// Nobody is later than this.
const LATEST: i64 = 2 * NEXT_MIDNIGHT;

#[derive(Clone, Copy, Debug)]
struct Event {
    at: i64,
    told: i64,
    units: u64,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (0..NEXT_MIDNIGHT, 0..NEXT_MIDNIGHT, 1..40u64);
    prop::collection::vec(event.prop_map(|(at, late, units)| Event { at, told: at + late, units }), 1..30)
}

/// What an account has beside its promotion and its plan, and when the second period of the plan is over.
#[derive(Clone, Copy, Debug)]
struct Means {
    pack: i64,
    second_ends: i64,
}

/// What everything came to.
#[derive(PartialEq, Eq, Debug)]
struct Outcome {
    /// Of each grant, what is left and what expired.
    grants: Vec<(Credits, Credits)>,
    debt: Credits,
    ledger: BTreeMap<LedgerAccount, Credits>,
    usage: BTreeMap<UsageKey, UsageSum>,
    budget: Vec<(Timestamp, Credits)>,
}

fn cards() -> RateCards {
    let card = |version, at, price| {
        let meters = Vec::from([meter("chat", "n", "", Vec::from([row("", Vec::from([("n", per(price, 1))]))]))]);
        RateCard::new(version, minute(at), meters).unwrap()
    };
    let mut cards = RateCards::new(card(1, 0, "1"));
    cards.add(card(2, DEARER, "2"), minute(0)).unwrap();
    cards
}

fn grant(credits: i64, from: i64, until: Option<i64>) -> Command {
    let expires_at = until.map_or(Timestamp::NEVER, minute);
    Command::Grant(Arc::new(Terms {
        effective_at: minute(from),
        expires_at,
        ..terms(Credits::whole(credits).micros())
    }))
}

fn charge(cards: &RateCards, event: Event) -> Command {
    let at = minute(event.at);
    let quantities = Vec::from([("n".into(), event.units)]);
    let usage = Usage { meter: "chat".into(), quantities, dimensions: Vec::new() };
    let price = cards.in_force(at).unwrap().price(&usage).unwrap();
    let work = Arc::new(Work { usage, price, ..work("chat", 0, at) });
    Command::Charge(Spend { work, debt_max: Credits::MAX })
}

/// Lets it all happen, each event when it is told, and time bring about what is due.
fn come_to(means: Means, events: &[Event]) -> Outcome {
    let budget = BudgetTerms {
        scope: BudgetScope::default(),
        period: Period::Day,
        limit: Credits::whole(100),
        blocks: false,
        calendar: Calendar::default(),
    };
    let mut asked = Vec::from([
        (0, Command::SetBudget { budget: "daily".parse().unwrap(), terms: Arc::new(budget) }),
        (0, grant(50, 0, Some(EVENING))),
        (0, grant(200, 0, Some(MIDNIGHT))),
        (MIDNIGHT, grant(200, MIDNIGHT, Some(means.second_ends))),
    ]);
    if 0 < means.pack {
        asked.push((0, grant(means.pack, 0, None)));
    }
    let cards = cards();
    asked.extend(events.iter().map(|it| (it.told, charge(&cards, *it))));
    asked.sort_by_key(|it| it.0);
    let (mut book, mut journal) = (Book::open(AccountNumber::from_random(1)), Vec::new());
    let bring_up_to = |book: &mut Book, journal: &mut Vec<Transaction>, at: Timestamp| {
        while let Some((command, when)) = book.due(at) {
            let due = book.decide(&command, when).expect("what is due is never refused");
            book.apply(&due);
            journal.push(due);
        }
    };
    for (at, command) in asked {
        bring_up_to(&mut book, &mut journal, minute(at));
        let transaction = book.decide(&command, minute(at)).expect("nobody is refused");
        book.apply(&transaction);
        journal.push(transaction);
    }
    bring_up_to(&mut book, &mut journal, minute(LATEST));
    assert_folds(&journal, &book);
    outcome(&book, &journal)
}

fn outcome(book: &Book, journal: &[Transaction]) -> Outcome {
    let (mut ledger, mut usage) = (BTreeMap::new(), BTreeMap::<UsageKey, UsageSum>::new());
    let mut by_grant: BTreeMap<GrantId, (Credits, Credits)> = BTreeMap::new();
    let mut made = Vec::new();
    for transaction in journal {
        made.extend(transaction.granted().map(|(id, terms)| (terms.effective_at, terms.expires_at, id)));
        if let Some((key, sum)) = transaction.usage() {
            usage.entry(key).or_default().add(&sum);
        }
        for Entry { from, to, credits, grant } in transaction.entries() {
            for (account, credits) in [(from, -credits), (to, credits)] {
                let of_grant = grant.map(|it| by_grant.entry(it).or_default());
                match (of_grant, &account) {
                    (Some(sums), LedgerAccount::Grants) => sums.0 += credits,
                    (Some(sums), LedgerAccount::Breakage) => sums.1 += credits,
                    _ => {}
                }
                *ledger.entry(account).or_insert(Credits::ZERO) += credits;
            }
        }
    }
    // One that nothing came of is no other than one that was never named.
    ledger.retain(|_, credits| !credits.is_zero());
    made.sort_unstable();
    let budget = book.budgets().iter().flat_map(|it| &it.periods).map(|it| (it.start, it.used));
    Outcome {
        grants: made.iter().map(|it| by_grant[&it.2]).collect(),
        debt: book.debt(),
        ledger,
        usage,
        budget: budget.filter(|it| !it.1.is_zero()).collect(),
    }
}

fn at_once(events: &[Event]) -> Vec<Event> {
    events.iter().map(|it| Event { told: it.at, ..*it }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Where the grants of their time, and credits that do not expire, pay for all of it.
    #[test]
    fn what_is_told_late_comes_to_what_it_would_have_at_once(events in events()) {
        let means = Means { pack: 3_000, second_ends: NEXT_MIDNIGHT };
        prop_assert_eq!(come_to(means, &events), come_to(means, &at_once(&events)));
    }

    /// And where there is less than was used, as long as the plan's period goes on in which the rest is owed.
    #[test]
    fn what_is_told_late_comes_to_the_same_debt(events in events(), pack in 0..300i64) {
        let means = Means { pack, second_ends: LATEST + 1 };
        prop_assert_eq!(come_to(means, &events), come_to(means, &at_once(&events)));
    }
}

/// Five of what was used at 5 no grant of that time covers. Told at once, they are owed, and the next grant repays
/// them; told when that one is over, it expired whole, and the one after it pays.
#[test]
fn what_its_time_cannot_pay_for_is_paid_by_what_is_there_when_it_is_told() {
    check(
        "
        0   grant 10 until 10          -> ok
        5   charge 15 at 5 debt 99     -> charged g1:10 owed 5
        10  grant 10 until 20          -> ok
        10  due                        -> repaid g2:5
        20  due                        -> expired g2:5
        20  grant 10 until 30          -> ok
        25  balance                    -> 10
    ",
    );
    check(
        "
        0   grant 10 until 10          -> ok
        10  due                        -> expired g1:10
        10  grant 10 until 20          -> ok
        20  due                        -> expired g2:10
        20  grant 10 until 30          -> ok
        25  charge 15 at 5 debt 99     -> charged expired:g1:10 g3:5
        25  balance                    -> 5
    ",
    );
}
