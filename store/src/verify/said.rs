//! What was compared, in words: an operator reads them, and looks for what they name in the files or at the pages.
//!
//! Must never print a value as the program writes it. Invariant: what differs is never said in the same words.
use billing::calendar::Date;
use billing::id::Place;
use billing::ledger::{Book, Budget, Grant, Hold, Transaction};
use billing::time::Timestamp;
use billing::usage::{UsageKey, UsageSum};

use crate::codec::Columns;
use crate::{Fault, NameHash};

/// Grants, holds and the like that are told of one book; of more, only how many.
const TOLD_MAX: usize = 20;

/// `2026-11-28 13:05:09.250 UTC`.
pub fn instant(at: Timestamp) -> String {
    if at < Timestamp::EPOCH || at == Timestamp::NEVER {
        return "the beginning".to_owned();
    }
    let date = Date::of(at);
    let millis = at.millis() - date.start().millis();
    let (seconds, millis) = (millis / 1_000, millis % 1_000);
    format!("{date} {:02}:{:02}:{:02}.{millis:03} UTC", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// A name's hash, as the files have it.
pub fn name(it: Option<NameHash>) -> String {
    it.map_or_else(|| "no name".to_owned(), |it| it.0.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Where a name leads to.
pub fn led_to(found: &Result<Option<Place>, Fault>) -> String {
    match found {
        Ok(Some(place)) => place.to_string(),
        Ok(None) => "nothing".to_owned(),
        Err(fault) => fault.to_string(),
    }
}

/// What a transaction is, by the words of the journal: `charged, 12.5 credits`.
pub fn transaction(it: &Transaction) -> String {
    let columns = Columns::of(it);
    format!("{}, {} credits", columns.kind, billing::money::Credits::from_micros(columns.credits))
}

/// What was used for what: `ai_chat in the hour from …, project website, model large-4`.
pub fn usage_key(key: &UsageKey) -> String {
    let mut text = format!("{} in the hour from {}", key.meter, instant(key.hour));
    let parts = [
        ("project", key.project.as_ref().map(ToString::to_string)),
        ("server", key.server.as_ref().map(ToString::to_string)),
        ("model", key.model.as_ref().map(ToString::to_string)),
        ("actor", key.actor.as_ref().map(ToString::to_string)),
    ];
    for (what, value) in parts {
        text.extend(value.map(|it| format!(", {what} {it}")));
    }
    text
}

pub fn usage_sum(sum: &UsageSum) -> String {
    let mut text = format!("{} credits in {} entries", sum.credits, sum.count);
    text.extend(sum.quantities.iter().map(|(name, quantity)| format!(", {name} {quantity}")));
    text
}

/// A part of a book: what it is called, and its lines.
type Part = (&'static str, fn(&Book) -> Vec<String>);

const PARTS: [Part; 6] = [
    ("version", |it| vec![format!("{} of {}", it.version, instant(it.at))]),
    ("debt", |it| vec![format!("{} credits", it.debt())]),
    ("grants", |it| it.grants().iter().map(grant).collect()),
    ("holds", |it| it.holds().iter().map(hold).collect()),
    ("budgets", |it| it.budgets().iter().map(budget).collect()),
    ("servers", |it| it.servers().iter().map(|it| it.id.to_string()).collect()),
];

fn grant(it: &Grant) -> String {
    let frozen = if it.is_frozen { ", frozen" } else { "" };
    format!(
        "{}: {} free, {} held, {} expired of {}{frozen}",
        it.id, it.remaining, it.held, it.expired, it.terms.credits
    )
}

fn hold(it: &Hold) -> String {
    format!("{}: {} credits until {}", it.id, it.credits(), instant(it.expires_at))
}

fn budget(it: &Budget) -> String {
    let mut text = format!("{}: {} reserved of {}", it.id, it.reserved, it.terms.limit);
    text.extend(it.periods.iter().map(|it| format!(", {} used from {}", it.used, instant(it.start))));
    text
}

/// What differs between two books that should be the same: each part, what is only in the first, what only in the
/// second. One line where the words do not tell them apart.
pub fn books(expected: &Book, found: &Book) -> Vec<(&'static str, String, String)> {
    let mut differing = Vec::new();
    for (part, lines) in PARTS {
        let (expected, found) = (lines(expected), lines(found));
        if expected != found {
            differing.push((part, only_in(&expected, &found), only_in(&found, &expected)));
        }
    }
    if differing.is_empty() {
        let part = if expected.burning() == found.burning() { "terms" } else { "servers" };
        differing.push((part, "what its transactions lead to".to_owned(), "something else".to_owned()));
    }
    differing
}

fn only_in(one: &[String], other: &[String]) -> String {
    let only: Vec<&str> = one.iter().filter(|it| !other.contains(it)).map(|it| &**it).collect();
    match only.len() {
        0 if one.len() == other.len() => format!("another order, {} first", one[0]),
        0 => "none of those".to_owned(),
        count if count <= TOLD_MAX => only.join("; "),
        count => format!("{}; and {} more", only[..TOLD_MAX].join("; "), count - TOLD_MAX),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use billing::id::AccountNumber;
    use billing::ledger::{Command, Source, Terms};
    use billing::money::Credits;
    use billing::time::Span;

    use super::*;

    fn granted(credits: &[i64]) -> Book {
        let mut book = Book::open(AccountNumber::from_random(5));
        let at = Timestamp::EPOCH + Span::DAY.times(20_000) + Span::from_millis(3_723_004);
        for whole in credits {
            let terms = Terms {
                source: Source::Promo,
                credits: Credits::whole(*whole),
                effective_at: at,
                expires_at: Timestamp::NEVER,
                priority: Terms::PRIORITY,
                scope: billing::ledger::Scope::default(),
                cost: None,
                charged: None,
                payment: None,
                reason: "x".into(),
            };
            let transaction = book.decide(&Command::Grant(Arc::new(terms)), at).expect("a grant");
            book.apply(&transaction);
        }
        book
    }

    #[test]
    fn books_that_differ_say_where_and_nothing_else() {
        let (two, other) = (granted(&[5, 7]), granted(&[5, 8]));
        let [(part, expected, found)] = &books(&two, &other)[..] else { panic!("one part differs") };
        let of = |book: &Book, credits: u64| {
            format!("{}: {credits} free, 0 held, 0 expired of {credits}", book.grants()[1].id)
        };
        assert_eq!((*part, &**expected, &**found), ("grants", &*of(&two, 7), &*of(&other, 8)));
        let parts: Vec<_> = books(&two, &granted(&[5]));
        let version = |number: u64| format!("{number} of 2024-10-04 01:02:03.004 UTC");
        assert_eq!(parts[0], ("version", version(2), version(1)));
        assert_eq!((parts.len(), parts[1].0, &*parts[1].2), (2, "grants", "none of those"));
        let many: Vec<i64> = (1..=30).collect();
        let told = &books(&granted(&many), &granted(&[]))[1].1;
        assert!(told.ends_with("; and 10 more"), "{told}");
    }

    #[test]
    fn names_places_and_usage_are_said_in_words() {
        assert_eq!(name(None), "no name");
        assert_eq!(name(Some(NameHash([171; 16]))), "ab".repeat(16));
        let place = Place { account: AccountNumber::from_random(5), version: 9 };
        assert_eq!(led_to(&Ok(Some(place))), "account 5, version 9");
        assert_eq!(led_to(&Ok(None)), "nothing");
        assert_eq!(led_to(&Err(Fault::new("reading", "gone"))), "reading: gone");
        let key = UsageKey {
            hour: Timestamp::EPOCH,
            meter: "ai_chat".into(),
            project: Some("shop".parse().expect("a name")),
            server: None,
            model: Some("large".into()),
            actor: None,
        };
        assert_eq!(usage_key(&key), "ai_chat in the hour from 1970-01-01 00:00:00.000 UTC, project shop, model large");
        let sum = UsageSum { credits: Credits::whole(3), count: 2, quantities: vec![("lines".into(), 8)] };
        assert_eq!(usage_sum(&sum), "3 credits in 2 entries, lines 8");
        assert_eq!(instant(Timestamp::NEVER), "the beginning");
    }
}
