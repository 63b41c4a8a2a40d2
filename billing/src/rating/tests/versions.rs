//! Versions follow one another, and what changed between them is said in their own words.
use super::*;

fn version(version: u32, at: i64) -> RateCard {
    let meters = vec![meter("m", "n", "", vec![row("", vec![("n", per("1", 1))])])];
    RateCard::new(version, Timestamp::from_millis(at), meters).unwrap()
}

#[test]
fn the_card_in_force_is_the_last_that_took_effect() {
    let mut cards = RateCards::new(version(1, 100));
    let now = Timestamp::from_millis(150);
    assert_eq!(cards.add(version(3, 300), now), Err(NotAfter::Version { latest: 1 }));
    assert_eq!(cards.add(version(2, 100), now), Err(NotAfter::Latest { latest: Timestamp::from_millis(100) }));
    assert_eq!(cards.add(version(2, 149), now), Err(NotAfter::Now { now }));
    assert_eq!(cards.add(version(2, 150), now), Ok(()));
    assert_eq!(cards.add(version(3, 300), now), Ok(()));
    let in_force = |at| cards.in_force(Timestamp::from_millis(at)).map(|it| it.version());
    assert_eq!(
        [99, 100, 149, 150, 299, 300, 999].map(in_force),
        [None, Some(1), Some(1), Some(2), Some(2), Some(3), Some(3)]
    );
    assert_eq!(cards.version(2).map(|it| it.effective_at()), Some(Timestamp::from_millis(150)));
    assert_eq!(cards.latest().map(|it| it.version()), Some(3));
    let restored = RateCards::restore(cards.iter().map(|it| (**it).clone()).collect());
    assert!(restored.iter().eq(cards.iter()));
}

#[test]
fn differences_name_what_changed() {
    let old = vec![meter("gone", "n", "", vec![row("", vec![("n", per("1", 1))])]), chat()];
    let mut new = chat();
    new.rows.reverse();
    new.rows[1].rates[0].scheme = per("250", 1_000_000);
    new.rows[1].when = when("model=sol|sol-2*");
    new.rows[0].rates.remove(1);
    new.rows[0].base_fee = Some(credits("1"));
    new.quantities.remove(1);
    new.cap = Some(credits("9"));
    let fresh = meter("fresh", "n", "", vec![row("", vec![("n", per("1", 1))])]);
    let said: Vec<String> = card(old.clone())
        .diff(&card(vec![new, fresh]))
        .into_iter()
        .map(|it| format!("{}: {} -> {}", it.field, it.from.unwrap_or_default(), it.to.unwrap_or_default()))
        .collect();
    assert_eq!(
        said,
        [
            "meters.chat.cap:  -> 9",
            "meters.chat.quantities.write: write (unit) -> ",
            "meters.chat.rates[model=opus].base_fee:  -> 1",
            "meters.chat.rates[model=opus].write: 500 per 1000000 -> ",
            "meters.chat.rates[model=sol].in: 200 per 1000000 -> 250 per 1000000",
            "meters.chat.rates[model=sol].when: model=sol|sol-20* -> model=sol|sol-2*",
            "meters.fresh:  -> fresh: 1 quantities, 1 rows",
            "meters.gone: gone: 1 quantities, 1 rows -> ",
        ]
    );
    assert_eq!(card(old.clone()).diff(&card(old)), []);
}

#[test]
fn near_names_come_first() {
    let known = ["gpt-6-sol", "gpt-6-luna", "claude-opus", "mistral-large"];
    assert_eq!(closest("gpt-6-sun", known, 2), ["gpt-6-sol", "gpt-6-luna"]);
    assert_eq!(closest("claude-opsu", known, 1), ["claude-opus"]);
    assert_eq!(closest("", known, 9).len(), 4);
}
