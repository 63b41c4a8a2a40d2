//! Whether two stores hold the same: what stands beside the journal row by row, the journal by a sum over all of it.
use std::hash::Hasher;

use billing::ledger::Transaction;
use siphasher::sip128::{Hasher128, SipHasher24};

use super::{Movable, MoveError, Progress, ROWS_AT_ONCE, Shelf, Spot, is_marker, refused};
use crate::codec::{self, Columns, Json};
use crate::{Change, Fault, NameHash};

/// Compares every shelf, and says how many rows each has.
pub fn shelves(
    from: &dyn Movable,
    to: &dyn Movable,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<(Shelf, u64)>, MoveError> {
    let mut counts = Vec::new();
    for shelf in Shelf::ALL {
        let (mut old, mut new) = (Rows::of(from, shelf), Rows::of(to, shelf));
        let mut count = 0;
        loop {
            match (old.next()?, new.next()?) {
                (None, None) => break,
                (Some(one), Some(other)) if one == other => count += 1,
                (one, other) => {
                    let place = one.or(other).map_or_else(String::new, |it| named(&it));
                    let what = shelf.as_str();
                    return Err(refused(format!("the stores differ after the move, among {what}: {place}")));
                }
            }
            if count % ROWS_AT_ONCE as u64 == 0 {
                progress(Progress { step: "comparing", done: count, of: None });
            }
        }
        counts.push((shelf, count));
    }
    Ok(counts)
}

/// What a row is of, as an operator finds it.
fn named(row: &Change) -> String {
    match row {
        Change::Post(it) => it.transaction.place.to_string(),
        Change::Register { account, .. } | Change::Account { account, .. } => format!("account {}", account.id),
        Change::Fingerprints { account, .. } => format!("fingerprints of {account}"),
        Change::Project(it) => format!("project {} of {}", it.id, it.account),
        Change::RateCard(it) => format!("version {}", it.version),
        Change::ApiKey(it) => format!("key {}", it.name),
        Change::Document(it) | Change::Arrived(it) | Change::Forget(it) => {
            format!("{} {} of {}, version {}", it.kind, it.id, it.account, it.version)
        }
        Change::Quote(it) => format!("{} of {}", it.id, it.account),
        Change::Reply(it) => format!("the answer to request {:032x}", it.request),
        Change::Audit(it) => format!("{} of {} by {}", it.action, it.subject, it.by),
    }
}

/// The rows of a shelf, a few at a time.
struct Rows<'a> {
    store: &'a dyn Movable,
    shelf: Shelf,
    spot: Spot,
    read: std::vec::IntoIter<(Spot, Change)>,
    is_last: bool,
}

impl Rows<'_> {
    fn of(store: &dyn Movable, shelf: Shelf) -> Rows<'_> {
        Rows { store, shelf, spot: Spot::start(), read: Vec::new().into_iter(), is_last: false }
    }

    fn next(&mut self) -> Result<Option<Change>, Fault> {
        loop {
            match self.read.next() {
                Some((_, change)) if is_marker(&change) => {}
                Some((_, change)) => return Ok(Some(change)),
                None if self.is_last => return Ok(None),
                None => {
                    let rows = self.store.shelf(self.shelf, &self.spot, ROWS_AT_ONCE)?;
                    self.is_last = rows.len() < ROWS_AT_ONCE;
                    self.spot = rows.last().map_or_else(|| self.spot.clone(), |it| it.0.clone());
                    self.read = rows.into_iter();
                }
            }
        }
    }
}

/// Compares the journals, in whatever order each is told.
pub fn journals(from: &dyn Movable, to: &dyn Movable, progress: &mut dyn FnMut(Progress)) -> Result<(), MoveError> {
    let (old, new) = (Sum::of(from, "comparing the old", progress)?, Sum::of(to, "comparing the new", progress)?);
    if old == new {
        return Ok(());
    }
    let (one, other) = (old.count, new.count);
    Err(refused(format!("the journals differ after the move: {one} transactions in the old store, {other} in the new")))
}

/// A sum of hashes over all transactions, which does not depend on their order.
#[derive(PartialEq, Eq, Default)]
struct Sum {
    count: u64,
    hashes: u128,
}

impl Sum {
    fn of(store: &dyn Movable, step: &'static str, progress: &mut dyn FnMut(Progress)) -> Result<Sum, Fault> {
        let of = Some(store.journal_length()?);
        let mut sum = Sum::default();
        let mut json = Json::new();
        store.posts(0, &mut |_, transaction, fact| {
            sum.count += 1;
            sum.hashes = sum.hashes.wrapping_add(hash(&transaction, fact, &mut json));
            if sum.count % 1_000 == 0 {
                progress(Progress { step, done: sum.count, of });
            }
            Ok(())
        })?;
        Ok(sum)
    }
}

/// Of all that a transaction says, as it is written.
fn hash(transaction: &Transaction, fact: Option<NameHash>, json: &mut Json) -> u128 {
    let columns = Columns::of(transaction);
    json.clear();
    codec::write_body(json, transaction, &columns, codec::Numbers::NONE);
    let origin = &transaction.origin;
    let mut hasher = SipHasher24::new();
    hasher.write_u64(transaction.place.account.get());
    hasher.write_u64(transaction.place.version);
    hasher.write_i64(transaction.at.millis());
    hasher.write_i64(columns.credits);
    hasher.write_u128(origin.request);
    let meter = columns.meter.map(|it| &**it);
    for text in [Some(columns.kind), meter, origin.key.as_deref(), origin.by.as_deref(), Some(json.as_str())] {
        // Its length tells where a text ends, and one that is not there from one that is empty.
        hasher.write_u64(text.map_or(u64::MAX, |it| it.len() as u64));
        hasher.write(text.unwrap_or_default().as_bytes());
    }
    hasher.write(&fact.map_or([0; 16], |it| it.0));
    hasher.finish128().as_u128()
}
