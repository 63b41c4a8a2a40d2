//! Server lifecycles, as tables: facts in, segments out.

use meters::server::{Fact, Lifecycle, Terms, What, measure};
use proptest::prelude::*;

const DAY: i64 = 86_400_000;

fn at(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

fn provision(tier: &str) -> What {
    What::Provision { tier: tier.to_owned() }
}

fn resize(tier: &str) -> What {
    What::Resize { tier: tier.to_owned() }
}

fn life(zone: &str, until_ms: i64, facts: &[(i64, What)]) -> Lifecycle {
    let facts = facts.iter().map(|(at_ms, what)| Fact { at_ms: *at_ms, what: what.clone() }).collect();
    Lifecycle { facts, zone: zone.to_owned(), until_ms }
}

/// Segments as `tier month seconds`.
#[track_caller]
fn check(lifecycle: &Lifecycle, terms: &Terms, expected: &[&str]) {
    let runtime = measure(lifecycle, terms).unwrap();
    let found: Vec<String> = runtime.segments.iter().map(|s| format!("{} {} {}", s.tier, s.month, s.seconds)).collect();
    assert_eq!(found, expected);
}

#[test]
fn the_clock_runs_from_start_to_the_end_of_the_run() {
    let terms = Terms::default();
    let facts = |end: What| life("UTC", 10 * DAY, &[(0, provision("a")), (1000, What::Start), (101_000, end)]);
    check(&facts(What::Stop), &terms, &["a 1970-01 100"]);
    check(&facts(What::Release), &terms, &["a 1970-01 100"]);
    check(&facts(What::Fail), &terms, &["a 1970-01 100"]);
    check(&life("UTC", 101_000, &[(0, provision("a")), (1000, What::Start)]), &terms, &["a 1970-01 100"]);
    check(&life("UTC", DAY, &[(0, provision("a"))]), &terms, &[]);
}

#[test]
fn a_run_counts_a_minute_at_least() {
    let short = [(0, provision("a")), (0, What::Start), (1, What::Stop), (5000, What::Start), (6000, What::Release)];
    check(&life("UTC", DAY, &short), &Terms::default(), &["a 1970-01 120"]);
    check(&life("UTC", DAY, &short), &Terms { run_seconds_min: 0, ..Terms::default() }, &["a 1970-01 2"]);
}

#[test]
fn milliseconds_add_up_before_they_are_rounded() {
    let facts =
        [(0, provision("a")), (0, What::Start), (60_400, What::Stop), (70_000, What::Start), (130_400, What::Stop)];
    check(&life("UTC", DAY, &facts), &Terms::default(), &["a 1970-01 121"]);
}

#[test]
fn a_resize_splits_the_run_and_not_its_minimum() {
    let facts = [(0, provision("a")), (0, What::Start), (10_000, resize("b")), (30_000, What::Release)];
    check(&life("UTC", DAY, &facts), &Terms::default(), &["a 1970-01 10", "b 1970-01 50"]);
}

#[test]
fn months_follow_the_zone_and_its_daylight_saving() {
    let facts = |from: &str, to: &str| [(at(from), provision("a")), (at(from), What::Start), (at(to), What::Release)];
    let spring = facts("2026-02-28T22:00:00Z", "2026-03-31T21:00:00Z");
    // Vilnius: March begins at 22:00 UTC the day before, and ends an hour early because summer time begins in it.
    check(&life("Europe/Vilnius", at("2026-05-01T00:00:00Z"), &spring), &Terms::default(), &["a 2026-03 2674800"]);
    let autumn = facts("2026-09-30T21:00:00Z", "2026-10-31T22:00:00Z");
    check(&life("Europe/Vilnius", at("2026-12-01T00:00:00Z"), &autumn), &Terms::default(), &["a 2026-10 2682000"]);
    let turn = facts("2026-01-31T23:59:30Z", "2026-02-01T00:01:00Z");
    check(&life("UTC", at("2026-12-01T00:00:00Z"), &turn), &Terms::default(), &["a 2026-01 30", "a 2026-02 60"]);
}

#[test]
fn a_commitment_is_filled_on_release_only() {
    let terms = Terms { commitment_seconds: 3600, ..Terms::default() };
    let facts = [(0, provision("a")), (0, What::Start), (600_000, What::Release)];
    check(&life("UTC", DAY, &facts), &terms, &["a 1970-01 3600"]);
    check(&life("UTC", DAY, &[(0, provision("a")), (5, What::Release)]), &terms, &[]);
    check(&life("UTC", 600_000, &facts[..2]), &terms, &["a 1970-01 600"]);
}

#[test]
fn stopped_time_counts_where_the_terms_say_so() {
    let facts = [(0, provision("a")), (0, What::Start), (100_000, What::Stop), (200_000, What::Release)];
    check(&life("UTC", DAY, &facts), &Terms::default(), &["a 1970-01 100"]);
    check(&life("UTC", DAY, &facts), &Terms { stopped_counts: true, ..Terms::default() }, &["a 1970-01 200"]);
}

#[test]
fn provisioning_counts_once_and_only_if_it_worked() {
    let provisioned = |facts: &[(i64, What)]| -> Vec<(String, u64)> {
        let runtime = measure(&life("UTC", DAY, facts), &Terms::default()).unwrap();
        runtime.measurements.iter().map(|m| (m.dimensions["tier"].clone(), m.quantities["provisioned"])).collect()
    };
    assert_eq!(provisioned(&[(0, provision("a")), (1, What::Fail)]), [("a".to_owned(), 0)]);
    assert_eq!(provisioned(&[(0, provision("a"))]), [("a".to_owned(), 0)]);
    assert_eq!(
        provisioned(&[(0, provision("a")), (1, What::Start), (9, resize("b")), (20, What::Fail)]),
        [("a".to_owned(), 1), ("b".to_owned(), 0)]
    );
}

#[test]
fn facts_that_cannot_be_true_are_refused_by_index() {
    let table = [
        (vec![(0, What::Start)], "facts[0]"),
        (vec![(0, provision("a")), (1, What::Start), (2, What::Start)], "facts[2]"),
        (vec![(0, provision("a")), (1, What::Stop)], "facts[1]"),
        (vec![(0, provision("a")), (1, What::Release), (2, What::Start)], "facts[2]"),
        (vec![(0, provision("a")), (1, provision("a"))], "facts[1]"),
        (vec![(0, provision(" "))], "facts[0]"),
        (vec![(-200 * 366 * DAY, provision("a"))], "facts[0].at_ms"),
    ];
    for (facts, field) in table {
        let error = measure(&life("UTC", DAY, &facts), &Terms::default()).unwrap_err();
        assert_eq!((error.code(), error.field()), ("invalid_lifecycle", Some(field.to_owned())), "{error}");
    }
    let error = measure(&life("Mars/Olympus", DAY, &[]), &Terms::default()).unwrap_err();
    assert_eq!(error.code(), "unknown_zone");
}

proptest! {
    #[test]
    fn order_and_repetition_of_delivery_change_nothing(
        gaps in proptest::collection::vec(1_i64..40 * DAY, 1..20),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 40),
    ) {
        let mut facts = vec![(0, provision("a"))];
        let mut time = 0;
        for (index, gap) in gaps.iter().enumerate() {
            time += gap;
            facts.push((time, [What::Start, resize("b"), What::Stop][index % 3].clone()));
        }
        let until = time + 5000;
        let expected = measure(&life("America/New_York", until, &facts), &Terms::default()).unwrap().segments;
        let mut delivered: Vec<_> = order.iter().map(|index| index.get(&facts).clone()).collect();
        delivered.extend(facts.into_iter().rev());
        let found = measure(&life("America/New_York", until, &delivered), &Terms::default()).unwrap().segments;
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn whole_time_is_the_sum_of_its_months(start in 0_i64..4_000_000_000_000, length in 60_000_i64..900 * DAY) {
        let facts = [(start, provision("a")), (start, What::Start), (start + length, What::Release)];
        let runtime = measure(&life("Europe/Berlin", start + length, &facts), &Terms::default()).unwrap();
        let sum: u64 = runtime.segments.iter().map(|segment| segment.milliseconds).sum();
        prop_assert_eq!(sum, length.unsigned_abs());
    }
}

/// As many facts of one moment as there may be, each another: none is compared with all.
#[test]
fn facts_of_one_moment_are_each_taken_once() {
    let mut facts = vec![(0, provision("a")), (0, What::Start)];
    facts.extend((0..49_998).map(|it| (1_000, resize(&format!("t{it}")))));
    let again = facts[2..].to_vec();
    facts.extend(again);
    check(&life("UTC", 3_600_000, &facts), &Terms::default(), &["a 1970-01 1", "t49997 1970-01 3599"]);
}
