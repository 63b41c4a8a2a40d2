//! A server's time reversed by hand and corrected by facts, in any order: nothing goes back twice.
use std::collections::BTreeMap;
use std::vec::Vec;

use proptest::prelude::*;

use super::burn::History;
use super::script::{assert_folds, reversal};
use crate::id::{ChargeId, Name};
use crate::ledger::*;
use crate::money::Credits;
use crate::refusal::Refusal;
use crate::server::Change;
use crate::server::tests::{oracle, tariff, vilnius};
use crate::time::{Span, Timestamp};

const HOUR: Span = Span::HOUR;

fn vm() -> Name {
    "vm".parse().unwrap()
}

impl History {
    fn available(&self) -> Credits {
        self.book.balance(self.now).available()
    }
    fn reverse(&mut self, charge: ChargeId, credits: Option<i64>) -> Result<(), Refusal> {
        let reverse = reversal(&self.journal, charge, credits.map(Credits::from_micros));
        self.ask(&Command::Reverse(reverse))
    }
    fn stop_ago(&mut self, ago: Span) {
        self.report("vm", ServerAct::Change(Change::Stop), ago).unwrap();
        self.settle();
    }
    /// Charges of servers, the last first, and what each was.
    fn last_charges(&self) -> Vec<(ChargeId, Credits)> {
        let of_server = |it: &Transaction| match &it.what {
            What::Charged { credits, settled: Some(_), .. } => Some((it.charge_id(), *credits)),
            _ => None,
        };
        self.journal.iter().rev().filter_map(of_server).collect()
    }
    fn reversed_by_hand(&self, server: &Name) -> Credits {
        let of_server = |it: &Transaction| match &it.what {
            What::Reversed(it) if it.of_server.as_ref().is_some_and(|it| it.0 == *server) => it.credits,
            _ => Credits::ZERO,
        };
        self.journal.iter().map(of_server).sum()
    }
    /// What is charged of each hour and was not given back by whichever road, all hours together.
    #[track_caller]
    fn left_of_hours(&self) -> Credits {
        let mut hours: BTreeMap<_, Credits> = BTreeMap::new();
        for it in &self.journal {
            let (work, server, kind, credits) = match &it.what {
                What::Charged { work, credits, settled: Some(it), .. } => (work, &it.server, it.kind, *credits),
                What::Reversed(it) => {
                    let of = it.settled.as_ref().map(|it| (&it.server, it.kind));
                    let of = of.or(it.of_server.as_ref().map(|it| (&it.0, it.1)));
                    let (server, kind) = of.expect("only servers are charged here");
                    (&it.work, server, kind, -it.credits)
                }
                _ => continue,
            };
            *hours.entry((server, work.hour, kind)).or_default() += credits;
        }
        assert!(hours.values().all(|it| Credits::ZERO <= *it), "no more of an hour goes back than was charged");
        hours.values().copied().sum()
    }
    #[track_caller]
    fn assert_whole(&self) {
        assert_folds(&self.journal, &self.book);
        for grant in self.book.grants() {
            let there = grant.remaining + grant.held + grant.expired;
            assert!(there <= grant.terms.credits, "{grant:?} has more than it was made with");
        }
        for server in self.book.servers().iter() {
            let set_off: Credits = server.undone.iter().map(|it| it.set_off).sum();
            let unsettled = server.unsettled(self.now, &vilnius());
            let due = oracle(&server.base.tariff, &server.facts, self.now, &vilnius());
            assert_eq!(self.charged(&server.id) + server.beyond + unsettled, due + set_off, "{server:?}");
            let kept = self.charged(&server.id) - self.reversed_by_hand(&server.id);
            assert_eq!(server.set_up + server.runtime, kept);
            assert!(Credits::ZERO <= kept, "no more goes back than was charged");
            assert!(server.undone.iter().all(|it| Credits::ZERO <= it.set_off && it.set_off <= it.reversed));
        }
    }
}

/// A server that has run for five hours, on two thousand credits.
fn five_hours() -> History {
    let mut history = History::new(2_000_000_000);
    history.run("vm", 0);
    history.wait(HOUR.times(5));
    history
}

#[test]
fn an_hour_of_a_server_is_reversed_like_any_charge() {
    let mut history = five_hours();
    let before = history.available();
    let (charge, credits) = history.last_charges()[1];
    history.reverse(charge, Some(1_000_000)).unwrap();
    assert_eq!(history.available(), before + Credits::whole(1));
    history.reverse(charge, None).unwrap();
    assert_eq!(history.available(), before + credits);
    let refused = history.reverse(charge, None).unwrap_err();
    assert_eq!(refused, Refusal::ReversalExceedsCharge { left: Credits::ZERO });
    assert_eq!(history.book.grants().len(), 1, "it went back to the grant it came from");
    // The hour's usage is less, and its seconds are not.
    let row = history.journal.last().unwrap().usage().unwrap().1;
    assert!(row.credits < Credits::ZERO && row.quantities.is_empty());
    history.assert_whole();
}

#[test]
fn the_set_up_is_reversed_too() {
    let mut history = five_hours();
    let (before, charges) = (history.available(), history.last_charges());
    let (charge, credits) = *charges.iter().max_by_key(|it| it.1).unwrap();
    history.reverse(charge, None).unwrap();
    assert_eq!(history.available(), before + credits);
    assert_eq!(history.book.server(&vm()).unwrap().set_up, Credits::ZERO);
    history.assert_whole();
}

#[test]
fn a_late_stop_gives_back_no_more_of_an_hour_than_was_not_reversed() {
    let (mut history, mut plain) = (five_hours(), five_hours());
    let (charge, credits) = history.last_charges()[1];
    history.reverse(charge, None).unwrap();
    for it in [&mut history, &mut plain] {
        it.stop_ago(HOUR.times(3));
    }
    assert_eq!(history.available(), plain.available(), "the hour was given back once");
    let told = history.journal.iter().filter_map(|it| match &it.what {
        What::Reversed(it) => it.work.price.lines.iter().find(|it| &*it.item == "Reversed before"),
        _ => None,
    });
    assert_eq!(told.map(|it| it.credits).sum::<Credits>(), -credits);
    // It ran after all: then what was reversed of it is reversed.
    for it in [&mut history, &mut plain] {
        it.report("vm", ServerAct::Change(Change::Start(tariff(0, 1))), HOUR.times(3)).unwrap();
        it.settle();
        it.assert_whole();
    }
    assert_eq!(history.available(), plain.available() + credits);
}

#[test]
fn half_an_hour_reversed_counts_towards_what_a_late_stop_takes_back() {
    let (mut history, mut plain) = (five_hours(), five_hours());
    let (charge, credits) = history.last_charges()[0];
    let much = Credits::from_micros(credits.micros() / 4);
    history.reverse(charge, Some(much.micros())).unwrap();
    for it in [&mut history, &mut plain] {
        it.stop_ago(Span::MINUTE.times(10));
    }
    // Ten minutes are less or more than was reversed: the greater of both went back.
    let taken_back = plain.reversed_by_facts();
    assert_eq!(history.available(), plain.available() + (much - taken_back).at_least_zero());
    history.assert_whole();
}

#[test]
fn what_a_late_stop_took_back_is_not_reversed() {
    let mut history = five_hours();
    let charges = history.last_charges();
    history.stop_ago(HOUR.times(3));
    let before = history.available();
    let refused = history.reverse(charges[1].0, None).unwrap_err();
    assert_eq!(refused, Refusal::ReversalExceedsCharge { left: Credits::ZERO });
    // An hour it did run is.
    let (charge, credits) = charges[4];
    history.reverse(charge, None).unwrap();
    assert_eq!(history.available(), before + credits);
    history.assert_whole();
}

/// A stop was told by mistake, and a start mends it: the hour is charged again, and is reversed like any other.
#[test]
fn what_facts_charge_again_is_reversed_again() {
    for (mends, more) in [(Change::Start(tariff(0, 1)), false), (Change::Prices(tariff(0, 2)), true)] {
        let mut history = five_hours();
        let ago = HOUR.times(2);
        let before = history.last_charges().len();
        if more {
            history.report("vm", ServerAct::Change(mends), ago).unwrap();
        } else {
            history.stop_ago(ago);
            history.report("vm", ServerAct::Change(mends), ago).unwrap();
        }
        history.settle();
        let charges = history.last_charges();
        let again = charges.len() - before;
        assert_ne!(again, 0);
        let (charge, credits) = charges[again - 1];
        let available = history.available();
        history.reverse(charge, None).unwrap();
        assert_eq!(history.available(), available + credits);
        history.assert_whole();
        // The one before it was of the same hour, and that is all of it.
        let left: Credits = history.left_of_hours();
        charges.iter().for_each(|it| drop(history.reverse(it.0, None)));
        assert_eq!(history.available(), available + credits + left);
        assert_eq!(history.left_of_hours(), Credits::ZERO);
        history.assert_whole();
    }
}

/// A correction takes from the latest draws, whichever hour they paid for; what it took there is not to be had again.
#[test]
fn no_grant_is_given_back_more_than_was_drawn_of_it() {
    // The set-up and a little more than two hours; then from another grant.
    let mut history = History::new(280_000_070 + 9_000_000);
    history.run("vm", 0);
    history.wait(HOUR.times(2));
    history.grant(100_000_000);
    history.wait(HOUR.times(2));
    let charges = history.last_charges();
    // Half an hour of the first is taken back: from the second grant.
    history.report("vm", ServerAct::Change(Change::Stop), Span::MINUTE.times(210)).unwrap();
    history.settle();
    history.report("vm", ServerAct::Change(Change::Start(tariff(0, 1))), HOUR.times(3)).unwrap();
    history.settle();
    for (charge, _) in charges {
        let _ = history.reverse(charge, None);
    }
    history.assert_whole();
}

#[test]
fn time_that_facts_can_no_longer_correct_is_not_reversed_either() {
    let mut history = five_hours();
    let (charge, _) = history.last_charges()[0];
    history.change("vm", Change::Stop);
    history.wait(Span::from_millis(LATE_MAX.millis() - HOUR.millis() * 2));
    history.reverse(charge, Some(1)).unwrap();
    history.wait(HOUR.times(3));
    assert!(matches!(history.reverse(charge, None), Err(Refusal::Invalid { .. })));
}

#[test]
fn what_was_given_back_of_a_server_that_stands_still_is_forgotten_when_it_is_heard_of_again() {
    let mut history = five_hours();
    let (charge, _) = history.last_charges()[0];
    history.change("vm", Change::Stop);
    history.reverse(charge, Some(1)).unwrap();
    let undone = |it: &History| it.book.server(&vm()).unwrap().undone.len();
    assert_eq!(undone(&history), 1);
    history.wait(LATE_MAX);
    history.wait(HOUR.times(9));
    history.change("vm", Change::Start(tariff(0, 1)));
    assert_eq!(undone(&history), 0);
    assert_folds(&history.journal, &history.book);
}

impl History {
    fn reversed_by_facts(&self) -> Credits {
        let of = |it: &Transaction| match &it.what {
            What::Reversed(it) if it.settled.is_some() => it.credits,
            _ => Credits::ZERO,
        };
        self.journal.iter().map(of).sum()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is reported, reversed and granted, however late: what is charged is what the facts come to, with what
    /// was reversed counted once, and no grant has more than it was made with.
    #[test]
    fn nothing_goes_back_twice(
        steps in prop::collection::vec(
            (
                (0..2_usize, 0..14_u8, 0..4_usize),
                (0..20_000_000_i64, 0..60_000_000_i64),
                prop::option::of(1..9_000_000_i64),
            ),
            1..40,
        ),
        credits in prop_oneof![Just(1_000_000_000_000_i64), 1..3_000_000_000_i64],
    ) {
        let mut history = History::new(credits);
        for ((which, kind, tier), (wait, ago), amount) in steps {
            let server = ["a", "vm"][which];
            let provision = ServerAct::Provision { project: None, tariff: tariff(tier, 1) };
            let act = match kind {
                0 => Some(provision),
                1 | 2 => Some(ServerAct::Change(Change::Start(tariff(tier, 1)))),
                3 | 4 => Some(ServerAct::Change(Change::Stop)),
                5 if ago % 2 == 0 => Some(ServerAct::Change(Change::Prices(tariff(tier, 2)))),
                5 => Some(ServerAct::Change(Change::Resize(tariff(tier, 1)))),
                6 => Some(ServerAct::Change(if tier == 0 { Change::Fail } else { Change::Release })),
                7 => {
                    history.grant(amount.unwrap_or(1) * 40);
                    None
                }
                _ => {
                    let charges = history.last_charges();
                    if let Some((charge, _)) = charges.get(usize::try_from(ago).unwrap() % charges.len().clamp(1, 12)) {
                        let _ = history.reverse(*charge, amount);
                    }
                    None
                }
            };
            if let Some(act) = act {
                let ago = if ago < 20_000_000 { 0 } else { ago };
                let _ = history.report(server, act, Span::from_millis(ago));
            }
            history.wait(Span::from_millis(wait));
        }
        history.assert_whole();
        prop_assert!(history.now < Timestamp::NEVER);
    }

    /// However often facts change their mind and whatever is reversed meanwhile: what is charged of an hour in the end
    /// can be reversed, to the last of it, and nothing beyond.
    #[test]
    fn what_is_charged_in_the_end_can_be_reversed(
        steps in prop::collection::vec(
            (0..8_u8, (0..9_000_000_i64, 0..40_000_000_i64), prop::option::of(1..9_000_000_i64)),
            1..40,
        ),
    ) {
        let mut history = History::new(1_000_000_000_000);
        history.run("vm", 0);
        for (kind, (wait, ago), amount) in steps {
            history.wait(Span::from_millis(wait));
            let change = match kind {
                0 | 1 => Some(Change::Start(tariff(0, 1))),
                2 | 3 => Some(Change::Stop),
                4 => Some(Change::Prices(tariff(0, 2))),
                _ => None,
            };
            if let Some(change) = change {
                let _ = history.report("vm", ServerAct::Change(change), Span::from_millis(ago));
                history.settle();
            } else {
                let charges = history.last_charges();
                let place = usize::try_from(ago).unwrap() % charges.len().clamp(1, 12);
                let _ = history.reverse(charges[place].0, amount);
            }
            history.left_of_hours();
        }
        for (charge, _) in history.last_charges() {
            let _ = history.reverse(charge, None);
        }
        prop_assert_eq!(history.left_of_hours(), Credits::ZERO);
        history.assert_whole();
    }
}
