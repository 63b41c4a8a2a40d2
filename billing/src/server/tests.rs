//! One go, any split and the closed form are the same, to the micro-credit.
use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::rating::tests::{meter, per, row};
use crate::rating::{RateCard, RateCards, Text};

/// Vilnius in 2026: clocks go back on 25 October, at 01:00 UTC.
pub fn vilnius() -> Calendar {
    let change = |millis| Timestamp::from_millis(millis);
    let changes = [(change(0), 7_200), (change(1_774_746_000_000), 10_800), (change(1_792_890_000_000), 7_200)];
    Calendar::new(changes.into()).unwrap()
}

pub fn tariff(tier: usize, card: u32) -> Arc<Tariff> {
    // Prices that do not divide, so that a rounding too many would show.
    let (tier, price, per_seconds, minimum_seconds, commitment_seconds, cap) = [
        ("entry-level", 4_000_001, 3_600, 60, 0, Some(300_000_007)),
        ("business", 12_345_677, 3_599, 60, 0, None),
        ("enterprise", 1, 7, 0, 90_000, Some(9_000)),
        ("free", 0, 3_600, 60, 0, None),
    ][tier];
    Arc::new(Tariff {
        tier: tier.into(),
        region: None,
        rate_card: card,
        set_up: Credits::from_micros(price * 70),
        price: Credits::from_micros(price * i64::from(card)),
        per_seconds,
        minimum_seconds,
        commitment_seconds,
        monthly_cap: cap.map(Credits::from_micros),
    })
}

/// What facts come to by `until`, of a server ordered on the tariff `first`, counted without meters: intervals, cut at
/// months, whose seconds are counted once for each tier's month, and priced once for each of its prices.
pub fn oracle(first: &Arc<Tariff>, facts: &[Fact], until: Timestamp, calendar: &Calendar) -> Credits {
    type Priced = Vec<(Arc<Tariff>, i64)>;
    let mut counted: Vec<((Timestamp, Text), Priced)> = Vec::new();
    let (mut sum, mut life) = (Credits::ZERO, 0);
    let mut tariff = first.clone();
    let (mut since, mut least_until) = (until, until);
    let (mut started, mut runs, mut over) = (false, false, false);
    let mut add = |tariff: &Arc<Tariff>, from: Timestamp, millis: i64| {
        let key = (calendar.around(Period::Month, from).0, tariff.tier.clone());
        let place = counted.iter().position(|it| it.0 == key).unwrap_or_else(|| {
            counted.push((key, Vec::new()));
            counted.len() - 1
        });
        match counted[place].1.iter_mut().find(|it| it.0.costs_like(tariff)) {
            Some((_, sum)) => *sum += millis,
            None => counted[place].1.push((tariff.clone(), millis)),
        }
    };
    let mut facts: Vec<Fact> = facts.iter().filter(|it| it.at <= until).cloned().collect();
    facts.sort();
    facts.push(Fact { at: until, change: Change::Fail });
    while !facts.is_empty() {
        // A stop is for when it runs: a start of the same instant waits for it, or else it for the start.
        let at = facts[0].at;
        let starts = facts.iter().any(|it| it.at == at && matches!(it.change, Change::Start(_)));
        let waits = |it: &Fact| !runs && starts && it.change == Change::Stop;
        let Fact { at, change } = facts.remove(facts.iter().position(|it| !waits(it)).unwrap());
        if runs {
            let mut from = since;
            while from < at {
                let to = calendar.around(Period::Month, from).1.min(at);
                add(&tariff, from, to.millis() - from.millis());
                life += to.millis() - from.millis();
                from = to;
            }
        }
        since = at;
        if over {
            continue;
        }
        // The last is nothing that happened.
        if runs && !facts.is_empty() && matches!(change, Change::Stop | Change::Fail | Change::Release) {
            let rest = (least_until.millis() - at.millis()).max(0);
            add(&tariff, at, rest);
            life += rest;
        }
        let place = |it: &Tariff| (it.tier.clone(), it.region.clone());
        match &change {
            Change::Resize(to) if place(to) != place(&tariff) => tariff = to.clone(),
            Change::Start(to) | Change::Resize(to) | Change::Prices(to)
                if place(to) == place(&tariff) && tariff.rate_card < to.rate_card =>
            {
                tariff = to.clone();
            }
            _ => {}
        }
        match change {
            Change::Start(_) if !runs => {
                if !std::mem::replace(&mut started, true) {
                    sum += tariff.set_up;
                }
                least_until = at + Span::SECOND.times(i64::try_from(tariff.minimum_seconds).unwrap());
                runs = true;
            }
            Change::Start(_) | Change::Resize(_) | Change::Prices(_) => {}
            Change::Stop => runs = false,
            Change::Fail => (runs, over) = (false, true),
            Change::Release => {
                (runs, over) = (false, true);
                let committed = i64::try_from(tariff.commitment_seconds).unwrap() * 1_000;
                if started {
                    add(&tariff, at, (committed - life).max(0));
                }
            }
        }
    }
    // Prices in the order in which they came: the cap is the tier's.
    for (_, prices) in counted {
        let (mut millis, mut seconds, mut asked) = (0, 0, Credits::ZERO);
        for (tariff, counted) in prices {
            millis += counted;
            let begun = u128::try_from(millis).unwrap().div_ceil(1_000);
            let price = u128::try_from(tariff.price.micros()).unwrap() * (begun - seconds);
            seconds = begun;
            let micros = i64::try_from(price.div_ceil(u128::from(tariff.per_seconds))).unwrap();
            let room = tariff.monthly_cap.map_or(Credits::MAX, |cap| (cap - asked).at_least_zero());
            asked += Credits::from_micros(micros).min(room);
        }
        sum += asked;
    }
    sum
}

fn change() -> impl Strategy<Value = (u8, usize)> {
    (0..8_u8, 0..4_usize)
}

fn as_change((kind, tier): (u8, usize)) -> Change {
    match kind {
        0..=2 => Change::Start(tariff(tier, 1)),
        3 | 4 => Change::Stop,
        5 => Change::Resize(tariff(tier, 1)),
        6 => Change::Prices(tariff(tier, 2)),
        _ => Change::Release,
    }
}

/// Two days before clocks go back, eight before the month ends.
const BEGIN: Timestamp = Timestamp::from_millis(1_792_717_234_567);

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_go_is_any_split_is_the_closed_form(
        steps in prop::collection::vec((change(), 1..400_000_000_i64), 1..14),
        splits in prop::collection::vec(1..200_000_000_i64, 0..40),
    ) {
        let calendar = vilnius();
        let mut facts = Vec::new();
        let mut probe = Run::provision(tariff(0, 1), BEGIN);
        let mut now = BEGIN;
        for (what, wait) in steps {
            let change = as_change(what);
            let mut next = probe.clone();
            next.advance(now, &calendar, &mut Vec::new());
            if next.take(&change, &calendar, &mut Vec::new()).is_ok() {
                probe = next;
                facts.push(Fact { at: now, change });
            }
            now = now + Span::from_millis(wait);
        }
        let expected = oracle(&tariff(0, 1), &facts, now, &calendar);
        // In one go, and stopping at every split.
        let mut at = BEGIN;
        let stops: Vec<Timestamp> = splits.iter().map(|it| { at = at + Span::from_millis(*it); at }).collect();
        for stops in [Vec::new(), stops] {
            let (mut run, mut parts) = (Run::provision(tariff(0, 1), BEGIN), Vec::new());
            let mut stops = stops.into_iter().peekable();
            for fact in facts.iter().cloned().map(Some).chain([None]) {
                let until = fact.as_ref().map_or(now, |it| it.at);
                while let Some(stop) = stops.next_if(|it| *it < until) {
                    let before = parts.iter().map(|it: &Part| it.credits).sum::<Credits>();
                    let foretold = run.cost(stop.max(run.at), &calendar);
                    run.advance(stop.max(run.at), &calendar, &mut parts);
                    let after = parts.iter().map(|it| it.credits).sum::<Credits>();
                    prop_assert_eq!(after - before, foretold);
                }
                let before = parts.iter().map(|it| it.credits).sum::<Credits>();
                let foretold = run.cost(until, &calendar);
                run.advance(until, &calendar, &mut parts);
                prop_assert_eq!(parts.iter().map(|it| it.credits).sum::<Credits>() - before, foretold);
                if let Some(fact) = fact {
                    run.take(&fact.change, &calendar, &mut parts).unwrap();
                }
            }
            prop_assert_eq!(parts.iter().map(|it| it.credits).sum::<Credits>(), expected);
            for part in &parts {
                prop_assert_eq!(calendar.hour_start(part.from), part.hour);
            }
        }
    }
}

/// The least of a run raises what it costs, and never replaces the price of seconds that ran.
#[test]
fn each_second_of_the_first_minute_costs_what_its_tier_does_and_a_run_that_ends_in_it_a_minute() {
    let calendar = vilnius();
    let at = |seconds: i64| BEGIN + Span::SECOND.times(seconds);
    let (slow, fast) = (tariff(0, 1), tariff(1, 1));
    let seconds = |acts: &[(i64, Change)]| {
        let (mut run, mut parts) = (Run::provision(slow.clone(), BEGIN), Vec::new());
        for (when, change) in acts {
            run.advance(at(*when), &calendar, &mut parts);
            run.take(change, &calendar, &mut parts).unwrap();
        }
        let of = |it: &Arc<Tariff>| {
            let of_it = parts.iter().filter(|part| part.kind == PartKind::Runtime && part.tariff.tier == it.tier);
            of_it.map(|it| it.seconds).sum::<i64>()
        };
        (of(&slow), of(&fast))
    };
    let (start, resize) = (|| (0, Change::Start(slow.clone())), |when| (when, Change::Resize(fast.clone())));
    for (acts, expected) in [
        (vec![start(), resize(1), (60, Change::Stop)], (1, 59)),
        (vec![start(), resize(1), (120, Change::Release)], (1, 119)),
        (vec![start(), resize(1), (2, Change::Stop)], (1, 59)),
        (vec![start(), (2, Change::Fail)], (60, 0)),
        (vec![start(), (2, Change::Stop), (3, Change::Start(slow.clone())), (90, Change::Stop)], (147, 0)),
        (vec![start(), resize(70), (71, Change::Stop)], (70, 1)),
    ] {
        assert_eq!(seconds(&acts), expected, "{acts:?}");
    }
}

#[test]
fn a_report_in_its_place_is_a_report_in_time() {
    let calendar = vilnius();
    let hour = |hours: i64| BEGIN + Span::HOUR.times(hours);
    let told = |reports: &[(i64, i64, Change)]| {
        let mut server = Server::provision("vm".parse().unwrap(), None, tariff(1, 1), BEGIN);
        for (told, at, change) in reports {
            while server.run.phase == Phase::Running && server.run.at < hour(*told) {
                server.settle_until(hour(*told), &calendar);
            }
            server.change(change, hour(*at), &calendar).unwrap();
            while !server.pending.is_empty() {
                server.settle_pending();
            }
        }
        (server.set_up, server.runtime, server.runtime_seconds, server.run.meters, server.facts)
    };
    let start = Change::Start(tariff(1, 1));
    let resize = Change::Resize(tariff(0, 1));
    let in_time = told(&[(0, 0, start.clone()), (5, 5, resize.clone()), (9, 9, Change::Stop)]);
    assert_eq!(told(&[(0, 0, start.clone()), (30, 5, resize.clone()), (31, 9, Change::Stop)]), in_time);
    assert_eq!(told(&[(0, 0, start.clone()), (30, 9, Change::Stop), (31, 5, resize.clone())]).1, in_time.1);
    assert_eq!(
        told(&[(0, 0, start.clone()), (20, 20, Change::Stop), (21, 9, Change::Stop), (22, 5, resize)]).1,
        in_time.1
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// What shelves say of their servers is what looking at every server says.
    #[test]
    fn a_fleet_answers_as_if_it_looked_at_all(
        steps in prop::collection::vec((0..90_u8, 0..9_u8, 0..4_usize, 0..9_000_000_i64), 1..160),
        cuts in prop::collection::vec(0..400_000_000_i64, 0..4),
    ) {
        let calendar = vilnius();
        let mut fleet = Fleet::default();
        let mut all: BTreeMap<Name, Server> = BTreeMap::new();
        let mut now = BEGIN;
        for (which, kind, tier, wait) in steps {
            now = now + Span::from_millis(wait);
            let id: Name = std::format!("vm-{which}").parse().unwrap();
            match all.get_mut(&id) {
                None => {
                    let server = Server::provision(id.clone(), None, tariff(tier, 1), now);
                    all.insert(id, server.clone());
                    fleet.insert(server, &calendar);
                }
                Some(server) if kind == 8 => {
                    let settle = |it: &mut Server| {
                        if it.pending.is_empty() {
                            it.settle_until(now.max(it.run.at), &calendar);
                        } else {
                            it.settle_pending();
                        }
                    };
                    settle(server);
                    fleet.change(&id, &calendar, settle);
                }
                Some(server) => {
                    let change = as_change((kind, tier));
                    let mut next = server.clone();
                    if next.change(&change, now, &calendar).is_ok() {
                        *server = next;
                        fleet.change(&id, &calendar, |it| it.change(&change, now, &calendar)).unwrap();
                    }
                }
            }
            if kind == 7 {
                fleet.keep_accrued(now, &calendar);
            }
            let sum = |at| all.values().map(|it| it.unsettled(at, &calendar)).sum::<Credits>();
            prop_assert_eq!(fleet.accrued(now, &calendar), sum(now));
            prop_assert_eq!(fleet.burns(), all.values().any(Server::burns));
            prop_assert_eq!(fleet.lives(), all.values().any(|it| !it.run.phase.is_over()));
            let instants: Vec<Timestamp> = cuts.iter().map(|it| BEGIN + Span::from_millis(*it)).collect();
            let next = instants.iter().copied().filter(|it| now < *it).min().unwrap_or(Timestamp::NEVER);
            let cut = Cut { is_now: instants.contains(&now), next };
            let due = |it: &Server| match it.run.phase {
                _ if !it.pending.is_empty() => now,
                Phase::Running if cut.is_now && it.run.at < now => now,
                Phase::Running => it.boundary(&calendar).min(next).max(now),
                _ => Timestamp::NEVER,
            };
            let expected = all.values().map(|it| (due(it), &it.id)).min_by_key(|it| it.0);
            let expected = expected.filter(|it| it.0 < Timestamp::NEVER);
            prop_assert_eq!(fleet.next_settlement(now, cut, &calendar), expected);
            let (some, waits) = (all.keys().next().unwrap(), |it: &Server| {
                it.run.phase == Phase::Running && it.run.at < now || !it.pending.is_empty()
            });
            prop_assert_eq!(fleet.is_settled_but(some, now), !all.values().any(|it| it.id != *some && waits(it)));
            let servers = all.values().cloned().map(Arc::new).collect();
            prop_assert_eq!(&fleet, &Fleet::of(servers, &calendar));
        }
        let later = now + Span::DAY.times(40);
        fleet.forget(later, &calendar);
        all.retain(|_, it| !it.run.phase.is_over() || !it.pending.is_empty());
        prop_assert!(fleet.iter().map(|it| &it.id).eq(all.keys()));
    }
}

/// A server at `until` to which reports are told in the order given, each settled after it as far as `wait` says. What
/// cannot be yet, since what it follows was not told, is told again later.
fn told_in_order(reports: &[Fact], waits: &[i64], until: Timestamp, calendar: &Calendar) -> (Server, usize) {
    let mut server = Server::provision("vm".parse().unwrap(), None, tariff(0, 1), BEGIN);
    let mut waits = waits.iter().copied().cycle();
    let mut settle = |server: &mut Server| {
        while !server.pending.is_empty() {
            server.settle_pending();
        }
        let wait = waits.next().unwrap_or(0);
        let to = (server.run.at + Span::from_millis(wait)).min(until);
        while server.run.phase == Phase::Running && server.run.at < to {
            server.settle_until(to, calendar);
        }
    };
    let mut untold: Vec<&Fact> = reports.iter().collect();
    loop {
        let before = untold.len();
        untold.retain(|it| {
            let told = server.change(&it.change, it.at, calendar);
            settle(&mut server);
            !matches!(told, Ok(()) | Err(Denied::Unchanged))
        });
        if untold.len() == before {
            break;
        }
    }
    while !server.pending.is_empty() {
        server.settle_pending();
    }
    while server.run.phase == Phase::Running && server.run.at < until {
        server.settle_until(until, calendar);
    }
    (server, untold.len())
}

/// What is left of a server whichever way it was told of.
fn outcome(server: &Server) -> (Credits, Credits, u64, Phase, Arc<Tariff>, Vec<Fact>) {
    let Server { set_up, runtime, runtime_seconds, run, facts, .. } = server;
    (*set_up, *runtime, *runtime_seconds, run.phase, run.tariff.clone(), facts.clone())
}

#[track_caller]
fn assert_order_is_nothing(in_time: &[Fact], orders: &[(Vec<Fact>, Vec<i64>)], until: Timestamp) {
    let calendar = vilnius();
    // What can be of them, told in time.
    let mut sorted = in_time.to_vec();
    sorted.sort();
    let mut possible = Server::provision("vm".parse().unwrap(), None, tariff(0, 1), BEGIN);
    for it in &sorted {
        let _ = possible.change(&it.change, it.at, &calendar);
    }
    let (expected, _) = told_in_order(&possible.facts, &[], until, &calendar);
    let due = oracle(&tariff(0, 1), &possible.facts, until, &calendar);
    assert_eq!(expected.set_up + expected.runtime, due, "{:?}", possible.facts);
    for (order, waits) in orders {
        let order: Vec<Fact> = order.iter().filter(|it| possible.facts.contains(it)).cloned().collect();
        let (server, left) = told_in_order(&order, waits, until, &calendar);
        assert_eq!(left, 0, "{order:?}");
        assert_eq!(outcome(&server), outcome(&expected), "{order:?}");
    }
}

/// Prices rise with the card that holds at an instant, and so a tariff is told as it was then.
fn reported((kind, tier): (u8, usize), at: Timestamp) -> Fact {
    let card = if at < BEGIN + Span::HOUR.times(9) {
        1
    } else if at < BEGIN + Span::HOUR.times(30) {
        2
    } else {
        3
    };
    let change = match kind {
        0..=3 => Change::Start(tariff(tier, card)),
        4..=6 => Change::Stop,
        7 | 8 => Change::Resize(tariff(tier, card)),
        9 | 10 => Change::Prices(tariff(tier, card)),
        11 => Change::Fail,
        _ => Change::Release,
    };
    Fact { at, change }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the order in which reports arrive, and whenever what they come to is settled between: redundant ones,
    /// several of one instant, new prices of several cards.
    #[test]
    fn the_order_in_which_reports_arrive_is_nothing(
        reports in prop::collection::vec(
            ((0..13_u8, 0..4_usize), 0..60_i64, prop::option::of(0..3_600_000_i64)),
            1..14,
        ),
        shuffles in prop::collection::vec(prop::collection::vec(any::<u32>(), 14), 1..5),
        waits in prop::collection::vec(0..40_000_000_i64, 0..9),
    ) {
        // Many at whole hours, so that some are of one instant.
        let at = |hour: i64, past: Option<i64>| BEGIN + Span::HOUR.times(hour) + Span::from_millis(past.unwrap_or(0));
        let reports: Vec<Fact> = reports.into_iter().map(|(what, hour, past)| reported(what, at(hour, past))).collect();
        let orders: Vec<_> = shuffles.into_iter().map(|keys| {
            let mut keyed: Vec<_> = keys.into_iter().zip(reports.clone()).collect();
            keyed.sort_by_key(|it| it.0);
            (keyed.into_iter().map(|it| it.1).collect(), waits.clone())
        }).collect();
        assert_order_is_nothing(&reports, &orders, BEGIN + Span::HOUR.times(61));
    }
}

/// Every history of up to four reports of five kinds, three hours apart or of one instant, told in every order.
#[test]
fn every_short_history_is_the_same_in_every_order() {
    fn orders(facts: &[Fact]) -> Vec<Vec<Fact>> {
        if facts.is_empty() {
            return Vec::from([Vec::new()]);
        }
        let with = |first: usize| {
            let mut rest = facts.to_vec();
            let first = rest.remove(first);
            orders(&rest).into_iter().map(move |it| [std::slice::from_ref(&first), &it[..]].concat())
        };
        (0..facts.len()).flat_map(with).collect()
    }
    // Of the start of the history, so that most others can be.
    let start = Fact { at: BEGIN, change: Change::Start(tariff(0, 1)) };
    for number in 0..5_u32.pow(3) * 4 {
        let kind = |place: u32| [0, 4, 7, 9, 12][usize::try_from(number / 5_u32.pow(place) % 5).unwrap()];
        let gaps = number / 5_u32.pow(3);
        let at = |place: u32| {
            let gap = |it: u32| if gaps >> it & 1 == 0 { 5 } else { 0 };
            BEGIN + Span::HOUR.times([6, 6 + gap(0), 6 + gap(0) + gap(1)][usize::try_from(place).unwrap()])
        };
        let mut facts: Vec<Fact> =
            (0..3).map(|it| reported((kind(it), usize::try_from(it % 2).unwrap()), at(it))).collect();
        facts.push(start.clone());
        let orders: Vec<_> = orders(&facts).into_iter().map(|it| (it, Vec::from([10_000_000, 0]))).collect();
        assert_order_is_nothing(&facts, &orders, BEGIN + Span::HOUR.times(20));
    }
}

/// Whatever was told before, an end is taken, and all that comes after what is remembered: the oldest is then final.
#[test]
fn an_end_is_taken_after_however_many_reports() {
    let calendar = vilnius();
    let mut server = Server::provision("vm".parse().unwrap(), None, tariff(0, 1), BEGIN);
    let at = |number: i64| BEGIN + Span::MINUTE.times(number);
    let mut all = Vec::new();
    for number in 0..1_501 {
        let change = if number % 2 == 0 { Change::Start(tariff(0, 1)) } else { Change::Stop };
        server.change(&change, at(number), &calendar).unwrap();
        all.push(Fact { at: at(number), change });
    }
    assert_eq!((server.facts.len(), server.base.at), (FACTS_MAX, at(500)));
    let told = server.change(&Change::Stop, at(500) - Span::SECOND, &calendar);
    assert_eq!(told, Err(Denied::Forgotten(at(500))));
    // One that comes late, and yet after all that is settled for good, makes the oldest so.
    let late = Fact { at: at(600) + Span::SECOND, change: Change::Stop };
    server.change(&late.change, late.at, &calendar).unwrap();
    server.change(&Change::Release, at(1_600), &calendar).unwrap();
    all.extend([late, Fact { at: at(1_600), change: Change::Release }]);
    assert_eq!((server.run.phase, server.facts.len(), server.base.at), (Phase::Released, FACTS_MAX, at(502)));
    assert_eq!(server.unsettled(at(1_600), &calendar), oracle(&tariff(0, 1), &all, at(1_600), &calendar));
}

/// A second in which prices change is one second, and a card that leaves a tier's prices as they were is nothing to it.
#[test]
fn new_prices_add_no_second() {
    let calendar = vilnius();
    let mut server = Server::provision("vm".parse().unwrap(), None, tariff(1, 1), BEGIN);
    server.change(&Change::Start(tariff(1, 1)), BEGIN, &calendar).unwrap();
    let same = |card: u32| Arc::new(Tariff { rate_card: card, ..(*tariff(1, 1)).clone() });
    for card in 2..40 {
        let change = if card % 2 == 0 { Change::Prices(same(card)) } else { Change::Prices(tariff(1, card)) };
        server.change(&change, BEGIN + Span::from_millis(700_500 * i64::from(card)), &calendar).unwrap();
    }
    let end = BEGIN + Span::HOUR.times(10);
    while server.run.at < end || !server.pending.is_empty() {
        if server.pending.is_empty() {
            server.settle_until(end, &calendar);
        } else {
            server.settle_pending();
        }
    }
    assert_eq!(server.runtime_seconds, 36_000);
    assert_eq!(server.set_up + server.runtime, oracle(&tariff(1, 1), &server.facts, end, &calendar));
}

/// Prices that come when their instant is settled for good hold for all that is not.
#[test]
fn prices_told_too_late_hold_from_the_first_instant_that_can_be_corrected() {
    let calendar = vilnius();
    let now = BEGIN + Span::DAY.times(100);
    let prices = [("10", BEGIN - Span::DAY), ("20", BEGIN + Span::DAY.times(10)), ("30", now - Span::DAY)];
    let card = |(version, (price, at)): (u32, (&str, Timestamp))| {
        let rows = Vec::from([row("tier=dear", Vec::from([(RUNTIME_SECONDS, per(price, 3_600))]))]);
        RateCard::new(version, at, Vec::from([meter("server", RUNTIME_SECONDS, "tier", rows)])).unwrap()
    };
    let cards = RateCards::restore((1..).zip(prices).map(card).collect());
    let dear = Arc::new(Tariff::of(cards.in_force(BEGIN).unwrap(), "dear".into(), None).unwrap());
    let mut server = Server::provision("vm".parse().unwrap(), None, Arc::clone(&dear), BEGIN);
    server.change(&Change::Start(dear), BEGIN, &calendar).unwrap();
    while server.run.at < now {
        server.settle_until((server.run.at + Span::HOUR).min(now), &calendar);
    }
    let base = server.base.at;
    assert!(BEGIN + Span::DAY.times(10) < base && base <= now - KEPT);
    let told = server.untold_prices(&cards, now);
    assert_eq!(told.iter().map(|it| it.at).collect::<Vec<_>>(), [base, now - Span::DAY]);
    for fact in told {
        server.change(&fact.change, fact.at, &calendar).unwrap();
    }
    assert_eq!(server.untold_prices(&cards, now), []);
    let cost = |price: i64, from: Timestamp, until: Timestamp| price * (until.millis() - from.millis());
    let due = cost(10, BEGIN, base) + cost(20, base, now - Span::DAY) + cost(30, now - Span::DAY, now);
    let charged = server.runtime + server.unsettled(now, &calendar);
    // Seconds are begun ones, counted once a month.
    let rounded = charged - Credits::from_micros(due * 1_000_000 / Span::HOUR.millis());
    assert!((-50_000..50_000).contains(&rounded.micros()), "{charged} {rounded}");
}
