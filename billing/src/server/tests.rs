//! One go, any split and the closed form are the same, to the micro-credit.
use std::collections::BTreeMap;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

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

/// What facts come to by `until`, counted without meters: intervals, cut at months, priced once for each tier's month.
pub fn oracle(facts: &[Fact], until: Timestamp, calendar: &Calendar) -> Credits {
    let mut counted: BTreeMap<(Timestamp, Text, u32), (Arc<Tariff>, i64)> = BTreeMap::new();
    let (mut sum, mut life) = (Credits::ZERO, 0);
    let mut running: Option<Arc<Tariff>> = None;
    let (mut since, mut paid_until, mut started) = (until, until, false);
    let mut add = |tariff: &Arc<Tariff>, from: Timestamp, millis: i64| {
        let month = calendar.around(Period::Month, from).0;
        let key = (month, tariff.tier.clone(), tariff.rate_card);
        counted.entry(key).or_insert_with(|| (tariff.clone(), 0)).1 += millis;
    };
    let end = Fact { at: until, change: Change::Fail };
    for Fact { at, change } in facts.iter().filter(|it| it.at <= until).chain([&end]) {
        if let Some(tariff) = &running {
            let mut from = since.max(paid_until);
            while from < *at {
                let to = calendar.around(Period::Month, from).1.min(*at);
                add(tariff, from, to.millis() - from.millis());
                life += to.millis() - from.millis();
                from = to;
            }
        }
        since = *at;
        match change {
            Change::Start(tariff) => {
                if !std::mem::replace(&mut started, true) {
                    sum += tariff.set_up;
                }
                let least = i64::try_from(tariff.minimum_seconds).unwrap() * 1_000;
                add(tariff, *at, least);
                life += least;
                paid_until = *at + Span::from_millis(least);
                running = Some(tariff.clone());
            }
            Change::Resize(tariff) => running = running.map(|_| tariff.clone()),
            Change::Stop | Change::Fail => running = None,
            Change::Release => {
                let last = facts.iter().filter(|it| it.at <= *at).filter_map(|it| it.change.tariff()).next_back();
                let Some(tariff) = last.filter(|_| started) else { continue };
                let committed = i64::try_from(tariff.commitment_seconds).unwrap() * 1_000;
                add(tariff, *at, (committed - life).max(0));
                running = None;
            }
        }
    }
    // Cards in the order of their versions: the cap is the tier's.
    let mut asked: BTreeMap<(Timestamp, Text), Credits> = BTreeMap::new();
    for ((month, tier, _), (tariff, millis)) in counted {
        let seconds = u128::try_from(millis).unwrap().div_ceil(1_000);
        let price = u128::try_from(tariff.price.micros()).unwrap() * seconds;
        let micros = i64::try_from(price.div_ceil(u128::from(tariff.per_seconds))).unwrap();
        let asked = asked.entry((month, tier)).or_default();
        let room = tariff.monthly_cap.map_or(Credits::MAX, |cap| (cap - *asked).at_least_zero());
        let credits = Credits::from_micros(micros).min(room);
        *asked += credits;
        sum += credits;
    }
    sum
}

use crate::rating::Text;

fn change() -> impl Strategy<Value = (u8, usize)> {
    (0..8_u8, 0..4_usize)
}

fn as_change((kind, tier): (u8, usize)) -> Change {
    match kind {
        0..=2 => Change::Start(tariff(tier, 1)),
        3 | 4 => Change::Stop,
        5 | 6 => Change::Resize(tariff(tier, 1)),
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
        let expected = oracle(&facts, now, &calendar);
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

#[test]
fn a_report_in_its_place_is_a_report_in_time() {
    let calendar = vilnius();
    let hour = |hours: i64| BEGIN + Span::HOUR.times(hours);
    let told = |reports: &[(i64, i64, Change)]| {
        let mut server = Server::provision("vm".parse().unwrap(), None, tariff(0, 1), BEGIN);
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
