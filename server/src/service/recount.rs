//! Everything counted once more, from the journal, and held against the months: what `scrip verify` adds to the rest.
//!
//! Must never know how months come to be. Invariant: it writes nothing.
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use billing::accounting::{PaidGrant, Sums, Takings, Tally, booked_at};
use billing::calendar::Date;
use billing::id::AccountNumber;
use billing::invoice::Decimal;
use billing::money::{Currency, Money};
use billing::total::{TotalCredits, TotalMoney};
use store::{Document, Fault, Store};

use super::bookkeeping::{ACCOUNT_MONTH, HOUSE_MONTH};
use super::documents::{Kept, read};
use super::months::{AccountMonth, Counted, DayBody, HouseMonth, Month};

/// What the journal says that an account's months come to, up to the version they name.
struct Recount {
    tally: Tally,
    sums: Sums,
    until: u64,
}

impl Recount {
    fn of(store: &dyn Store, account: AccountNumber) -> Result<Recount, Fault> {
        let newest = store.documents(account, ACCOUNT_MONTH, None, 1)?.pop();
        let until = newest.map(read::<AccountMonth>).transpose()?.map_or(0, |it| it.body.version);
        Ok(Recount { tally: Tally::default(), sums: Sums::default(), until })
    }

    /// How the account's months differ, if they do. Each opens with what the one before closed with, and together they
    /// come to what was counted; in which of them an hour is goes by the zone the account had then.
    fn difference(&self, store: &dyn Store, account: AccountNumber) -> Result<Option<String>, Fault> {
        let (mut sums, mut closing, mut carried) = (Sums::default(), 0, Tally::default());
        for document in store.documents(account, ACCOUNT_MONTH, None, MONTHS_VERIFIED_MAX)?.into_iter().rev() {
            let Kept { document, body } = read::<AccountMonth>(document)?;
            if body.opening != closing {
                return Ok(Some(format!("month {}: expected to open with {closing}, {}", document.id, body.opening)));
            }
            sums.add(&body.sums.read()?);
            (closing, carried) = (body.closing(), body.tally().carried());
        }
        let expected = self.tally.carried();
        Ok(match (sums == self.sums, carried == expected) {
            (true, true) => None,
            (false, _) => Some(format!("all months: {}", sums_differ(&self.sums, &sums))),
            (true, false) => Some(format!("carried on: {}", tallies_differ(&expected, &carried))),
        })
    }
}

/// Counts everything in a store again and says where its months say otherwise: of the house of
/// each month and each of its days, of an account of what its months come to together.
pub fn verify_months(store: &dyn Store) -> Result<Vec<String>, Fault> {
    let mut recounts: BTreeMap<AccountNumber, Recount> = BTreeMap::new();
    let mut months: BTreeMap<Month, Counted> = BTreeMap::new();
    let mut fault = None;
    store.journal(0, &mut |_, transaction| {
        let account = transaction.place.account;
        let recount = match recounts.entry(account) {
            Entry::Occupied(it) => it.into_mut(),
            Entry::Vacant(it) => match Recount::of(store, account) {
                Ok(recount) => it.insert(recount),
                Err(failed) => return fault = Some(failed),
            },
        };
        if recount.tally.version < recount.until && transaction.place.version == recount.tally.version + 1 {
            let sums = recount.tally.count(&transaction, &mut |_| None);
            recount.sums.add(&sums);
            let date = Date::of(booked_at(&transaction));
            months.entry(Month::of(date)).or_default().add(date.day, &sums);
        }
    })?;
    if let Some(fault) = fault {
        return Err(fault);
    }
    let mut differences = Vec::new();
    for (account, recount) in recounts {
        let difference = recount.difference(store, account)?;
        differences.extend(difference.map(|it| format!("account {}: {it}", account.get())));
    }
    differences.extend(verify_house(store, months)?);
    Ok(differences)
}

fn verify_house(store: &dyn Store, mut months: BTreeMap<Month, Counted>) -> Result<Vec<String>, Fault> {
    let mut differences = Vec::new();
    for document in store.documents(Document::HOUSE, HOUSE_MONTH, None, MONTHS_VERIFIED_MAX)? {
        let kept = read::<HouseMonth>(document)?;
        let month = kept.document.id.parse::<Month>().map_err(|it| Fault::new("reading a month", it))?;
        let expected = months.remove(&month).unwrap_or_default();
        let sums = kept.body.sums.read()?;
        if sums != expected.sums {
            differences.push(format!("month {month}: {}", sums_differ(&expected.sums, &sums)));
        } else if kept.body.days != expected.days {
            differences.push(format!("days of {month}: {}", days_differ(&expected.days, &kept.body.days)));
        }
    }
    differences.extend(months.into_keys().map(|it| format!("month {it}: it is not there")));
    Ok(differences)
}

/// A hundred years of them.
const MONTHS_VERIFIED_MAX: usize = 1_200;
/// Differences of one month that are told; of more, only how many.
const TOLD_MAX: usize = 20;

/// What differs, in words: what it is, what it should be, what it is said to be.
#[derive(Default)]
struct Told(Vec<String>);

impl Told {
    fn compare<T: Display>(&mut self, what: impl Display, expected: Option<T>, found: Option<T>) {
        let said = |it: Option<T>| it.map_or_else(|| "none".to_owned(), |it| it.to_string());
        let (expected, found) = (said(expected), said(found));
        if expected != found {
            self.0.push(format!("{what}: expected {expected}, found {found}"));
        }
    }

    fn text(mut self) -> String {
        let more = self.0.len().saturating_sub(TOLD_MAX);
        self.0.truncate(TOLD_MAX);
        if 0 < more {
            self.0.push(format!("and {more} more"));
        }
        self.0.join("; ")
    }
}

/// All keys of both, in their order.
fn keys<'a, K: Ord, V>(one: &'a BTreeMap<K, V>, other: &'a BTreeMap<K, V>) -> BTreeSet<&'a K> {
    one.keys().chain(other.keys()).collect()
}

/// What takings are made of, as `amounts` gives it.
const AMOUNTS: [&str; 5] = ["received", "refunded", "clawed back", "recognised from use", "recognised from breakage"];

fn amounts(it: &Takings) -> [i128; 5] {
    [it.received, it.refunded, it.clawed_back, it.revenue.used, it.revenue.breakage]
}

fn sums_differ(expected: &Sums, found: &Sums) -> String {
    let mut told = Told::default();
    told.compare("transactions", Some(expected.transactions), Some(found.transactions));
    for it in keys(&expected.ledger, &found.ledger) {
        told.compare(format_args!("credits of {it}"), expected.ledger.get(it), found.ledger.get(it));
    }
    for it in keys(&expected.money, &found.money) {
        let of = |sums: &Sums| sums.money.get(it).map(amounts);
        let (expected, found) = (of(expected), of(found));
        for (place, what) in AMOUNTS.into_iter().enumerate() {
            let of = |amounts: &Option<[i128; 5]>| amounts.map(|amounts| money(amounts[place], *it));
            told.compare(format_args!("{it} {what}"), of(&expected), of(&found));
        }
    }
    told.text()
}

fn days_differ(expected: &BTreeMap<u8, DayBody>, found: &BTreeMap<u8, DayBody>) -> String {
    let mut told = Told::default();
    let none = DayBody::default();
    for day in keys(expected, found) {
        let has = |days: &BTreeMap<u8, DayBody>| days.get(day).map(|it| TotalCredits::from_micros(it.outstanding));
        told.compare(format_args!("day {day}, credits outstanding"), has(expected), has(found));
        let (expected, found) = (expected.get(day).unwrap_or(&none), found.get(day).unwrap_or(&none));
        for code in keys(&expected.deferred, &found.deferred) {
            // Of a code that is none the number alone is told.
            let amount = |it: &i128| code.parse().map_or_else(|_| it.to_string(), |currency| money(*it, currency));
            let of = |day: &DayBody| day.deferred.get(code).map(amount);
            told.compare(format_args!("day {day}, {code} deferred"), of(expected), of(found));
        }
    }
    told.text()
}

fn tallies_differ(expected: &Tally, found: &Tally) -> String {
    let mut told = Told::default();
    told.compare("version", Some(expected.version), Some(found.version));
    for it in keys(&expected.paid, &found.paid) {
        told.compare(format_args!("grant {it}"), expected.paid.get(it).map(paid), found.paid.get(it).map(paid));
    }
    told.text()
}

fn money(amount: i128, currency: Currency) -> String {
    Decimal(TotalMoney { amount, currency }).to_string()
}

fn paid(it: &PaidGrant) -> String {
    let Money { amount, currency } = it.cost;
    let (cost, refunded) = (money(i128::from(amount), currency), money(i128::from(it.refunded), currency));
    let (used, forfeited, returned) = (it.used, it.forfeited, it.returned);
    format!(
        "{} credits for {cost} {currency}, {used} used, {forfeited} expired or taken back, {returned} gone back, \
         {refunded} refunded",
        it.credits
    )
}
