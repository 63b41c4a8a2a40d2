//! Everything counted once more, from the journal, and held against the months: what `scrip verify` adds to the rest.
//!
//! Must never know how months come to be. Invariant: it writes nothing.
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use billing::accounting::{Sums, Tally, booked_at};
use billing::calendar::Date;
use billing::id::AccountNumber;
use store::{Document, Fault, Store};

use super::bookkeeping::{ACCOUNT_MONTH, HOUSE_MONTH};
use super::documents::{Kept, read};
use super::months::{AccountMonth, Counted, HouseMonth, Month};

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
            (false, _) => Some(format!("all months: expected {:?}, found {sums:?}", self.sums)),
            (true, false) => Some(format!("carried on: expected {expected:?}, found {carried:?}")),
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
        if kept.body.sums.read()? != expected.sums {
            differences.push(format!("month {month}: expected {:?}, found {:?}", expected.sums, kept.body.sums));
        } else if kept.body.days != expected.days {
            differences.push(format!("days of {month}: expected {:?}, found {:?}", expected.days, kept.body.days));
        }
    }
    differences.extend(months.into_keys().map(|it| format!("month {it}: it is not there")));
    Ok(differences)
}

/// A hundred years of them.
const MONTHS_VERIFIED_MAX: usize = 1_200;
