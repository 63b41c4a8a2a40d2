//! A card that is not whole is not made, and says everything that is wrong with it.
use super::*;

/// The faults of `meter`, each as `field why`.
fn check(change: impl FnOnce(&mut Meter), expected: &[&str]) {
    let rates = vec![("a", per("1", 1)), ("b", each(Tiers::Graduated(tiers("10:1 *:2"))))];
    let mut meter = meter("m", "a b c?", "model tree", vec![row("model=x", rates)]);
    assert_eq!(RateCard::new(1, Timestamp::EPOCH, vec![meter.clone()]).err(), None);
    change(&mut meter);
    let faults = RateCard::new(1, Timestamp::EPOCH, vec![meter]).err().unwrap_or_default();
    let said: Vec<String> = faults.into_iter().map(|it| format!("{} {}", it.field, it.why)).collect();
    assert_eq!(said, expected);
}

#[test]
fn faults_name_their_field() {
    check(|it| it.name = "A b".into(), &["meters.A b must be named in 1 to 64 of a-z, 0-9 and _"]);
    check(|it| it.label = "".into(), &["meters.m.label must have 1 to 128 characters, on one line"]);
    check(
        |it| it.rows.clear(),
        &[
            "meters.m.quantities.a is priced by no row; price it, or declare `informational = true`",
            "meters.m.quantities.b is priced by no row; price it, or declare `informational = true`",
            "meters.m.rates is empty: the meter prices nothing",
        ],
    );
    check(
        |it| it.quantities[0].role = Role::Informational,
        &["meters.m.quantities.a is informational, yet a row prices it"],
    );
    check(
        |it| it.rows[0].rates[0].quantity = "aa".into(),
        &[
            "meters.m.quantities.a is priced by no row; price it, or declare `informational = true`",
            "meters.m.rates[0].aa is not a quantity of this meter; known are a, b, c",
        ],
    );
    check(|it| it.rows[0].rates[0].scheme = per("-1", 1), &["meters.m.rates[0].a.price must not be negative"]);
    check(
        |it| it.rows[0].rates[0].scheme = per("1", u64::MAX),
        &[
            "meters.m.rates[0].a.per must be at most 1000000000000",
            "meters.m.rates have `per` values without a small common multiple; use powers of ten",
        ],
    );
    check(
        |it| it.rows[0].rates[1].scheme = each(Tiers::Volume(tiers("10:1 *:2 10:3"))),
        &[
            "meters.m.rates[0].b.volume[1].up_to is missing: only the last tier has no end",
            "meters.m.rates[0].b.volume[2].up_to must be more than 10, where this tier begins",
        ],
    );
    check(
        |it| it.rows[0].rates[1].scheme = package(Tiers::Graduated(tiers("10:1 *:2")), 4),
        &["meters.m.rates[0].b.graduated[0].up_to ends inside a package of 4"],
    );
    check(
        |it| it.rows[0].when = when("modell=x"),
        &["meters.m.rates[0].when.modell names `modell`, which `dimensions` does not list; it lists: model, tree"],
    );
    check(
        |it| it.rows[0].when = when("model=*|a*b|x|x"),
        &[
            "meters.m.rates[0].when.model[0] would match everything; leave the dimension out instead",
            "meters.m.rates[0].when.model[1] may have a `*` only at its end",
            "meters.m.rates[0].when.model[3] is listed twice",
        ],
    );
    check(
        |it| it.free_when = when("outcome=x*"),
        &[
            "meters.m.free_when.outcome names `outcome`, which `dimensions` does not list; it lists: tree, model",
            "meters.m.free_when.outcome must be exact: what is free is named in full",
        ],
    );
    check(|it| (it.minimum, it.cap) = (Some(credits("2")), Some(credits("1"))), &["meters.m.minimum is above the cap"]);
    check(
        |it| it.cheaper_of = Some(CheaperOf { used: "tree".into(), asked: "tree".into() }),
        &[
            "meters.m.cheaper_of compares a dimension with itself",
            "meters.m.cheaper_of[0] chooses no row, so there is nothing to compare",
        ],
    );
    check(
        |it| it.once_per = Some("hash".into()),
        &["meters.m.once_per names `hash`, which `dimensions` does not list; it lists: tree, model"],
    );
}

#[test]
fn rows_that_tie_are_a_fault() {
    let tie = "is priced for the same case in rates[0], and neither row is more particular";
    check(|it| it.rows.push(row("model=y|x", vec![("a", per("1", 1))])), &[&format!("meters.m.rates[1].a {tie}")]);
    check(|it| it.rows.push(row("tree=t", vec![("a", per("1", 1))])), &[&format!("meters.m.rates[1].a {tie}")]);
    // More particular, another value, or another quantity: no tie.
    check(|it| it.rows.push(row("model=x tree=t", vec![("a", per("1", 1))])), &[]);
    check(|it| it.rows.push(row("model=x*", vec![("a", per("1", 1))])), &[]);
    check(|it| it.rows.push(row("", vec![("a", per("1", 1))])), &[]);
}

#[test]
fn a_card_has_bounds() {
    let values = |name: &str| (0..200).map(|it| format!("{name}={name}{it}")).collect::<Vec<String>>();
    let row = |it: &String| row(it, vec![("a", per("1", 1))]);
    let rows = values("model").iter().map(row).collect();
    check(|it| it.rows.extend::<Vec<Row>>(rows), &[]);
    let both = |it: usize| format!("model=m{it} tree=t{it}");
    let rows: Vec<Row> = (0..200).map(|it| row(&both(it))).collect();
    check(|it| it.rows.extend(rows), &["meters.m.rates tell apart more than 16384 combinations of dimension values"]);
    assert!(RateCard::new(0, Timestamp::EPOCH, vec![chat()]).is_err());
    assert!(RateCard::new(1, Timestamp::EPOCH, vec![]).is_err());
    assert!(RateCard::new(1, Timestamp::EPOCH, vec![chat(), chat()]).is_err());
}
