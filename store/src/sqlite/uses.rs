//! What transactions add to usage, in numbers: what is used by whom is said once for all who use the same.
//!
//! A tail has hundreds of thousands of transactions and few kinds of use, so a transaction takes some fifty bytes here
//! and makes nothing of its own. Invariant: what was pushed comes out again, summed by hour and kind.
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use billing::ledger::Transaction;
use billing::money::Credits;
use billing::rating::Text;
use billing::time::Timestamp;
use billing::usage::{Added, UsageKey, UsageKeyRef, UsageSum};

use super::spread::SpreadMap;

#[derive(Default)]
pub struct Uses {
    kinds: Vec<Kind>,
    /// Where in `kinds` one with this hash is; where hashes collide, the next free number is taken instead.
    places: SpreadMap<u64, u32>,
    uses: Vec<Use>,
    /// The quantities of all uses, one after the other.
    amounts: Vec<u64>,
}

/// What was used, and by whom: a row of usage in any hour, and the names of its quantities.
struct Kind {
    key: UsageKey,
    names: Vec<Text>,
}

/// What one transaction adds, or several of one kind in one hour.
#[derive(Clone, Copy)]
pub struct Use {
    /// [`NOTHING`] for a transaction that adds nothing.
    kind: u32,
    count: u32,
    /// Where its quantities are, as many as its kind has names.
    amounts: usize,
    hour: Timestamp,
    credits: Credits,
}

/// What an account used of one kind in one hour.
pub struct Summed<'a> {
    pub key: UsageKeyRef<'a>,
    pub credits: Credits,
    pub count: u64,
    /// The quantities' names and, in their order, their sums.
    pub names: &'a [Text],
    pub amounts: &'a [u64],
}

const NOTHING: u32 = u32::MAX;

/// The hour of every key in `kinds`.
const ANY_HOUR: Timestamp = Timestamp::EPOCH;

impl Uses {
    pub fn push(&mut self, transaction: &Transaction) {
        let amounts = self.amounts.len();
        let Some(added) = transaction.added_usage() else {
            let (hour, credits) = (ANY_HOUR, Credits::ZERO);
            return self.uses.push(Use { kind: NOTHING, count: 0, amounts, hour, credits });
        };
        let kind = self.kind(&added);
        self.amounts.extend(added.quantities.iter().map(|it| it.1));
        let count = u32::try_from(added.count).expect("a transaction is one");
        self.uses.push(Use { kind, count, amounts, hour: added.work.hour, credits: added.credits });
    }

    /// The number of the kind of use that `added` is of.
    fn kind(&mut self, added: &Added<'_>) -> u32 {
        let key = added.work.usage_key_ref().in_hour(ANY_HOUR);
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        added.quantities.iter().for_each(|it| it.0.hash(&mut hasher));
        let mut hash = hasher.finish();
        while let Some(number) = self.places.get(&hash) {
            let kind = &self.kinds[*number as usize];
            if kind.key.as_ref() == key && kind.names.iter().eq(added.quantities.iter().map(|it| &it.0)) {
                return *number;
            }
            hash = hash.wrapping_add(1);
        }
        let number = u32::try_from(self.kinds.len()).expect("there are no more kinds than transactions in a tail");
        let names = added.quantities.iter().map(|it| Arc::clone(&it.0)).collect();
        self.kinds.push(Kind { key: UsageKey { hour: ANY_HOUR, ..added.work.usage_key() }, names });
        self.places.insert(hash, number);
        number
    }

    /// What the transactions at `places` add.
    pub fn at(&self, places: impl Iterator<Item = usize>) -> impl Iterator<Item = Use> {
        places.map(|it| self.uses[it]).filter(|it| it.kind != NOTHING)
    }

    /// Adds up: fewer uses that come to the same.
    pub fn add_up(&mut self, mut uses: Vec<Use>) -> Vec<Use> {
        uses.sort_unstable_by_key(|it| (it.hour, it.kind));
        let mut sums = Vec::new();
        for same in uses.chunk_by(|a, b| (a.hour, a.kind) == (b.hour, b.kind)) {
            let mut sum = Use { amounts: self.amounts.len(), count: 0, credits: Credits::ZERO, ..same[0] };
            let names = self.kinds[sum.kind as usize].names.len();
            self.amounts.resize(sum.amounts + names, 0);
            for it in same {
                sum.credits += it.credits;
                sum.count += it.count;
                for place in 0..names {
                    let amount = self.amounts[it.amounts + place];
                    let total = &mut self.amounts[sum.amounts + place];
                    *total = total.saturating_add(amount);
                }
            }
            sums.push(sum);
        }
        sums
    }

    /// What `uses` come to: a row for each hour and kind, hours in order.
    pub fn sums(&self, uses: Vec<Use>) -> Vec<(UsageKey, UsageSum)> {
        let mut found = Vec::new();
        self.each_sum(uses, |sum, key| {
            let quantities = sum.names.iter().map(Arc::clone).zip(sum.amounts.iter().copied()).collect();
            let key = UsageKey { hour: sum.key.hour, ..key.clone() };
            found.push((key, UsageSum { credits: sum.credits, count: sum.count, quantities }));
            Ok::<_, Infallible>(())
        })
        .unwrap_or_else(|it| match it {});
        found
    }

    /// The same, told one after the other and nothing copied, until `each` fails.
    pub fn each_sum<E>(
        &self,
        mut uses: Vec<Use>,
        mut each: impl FnMut(&Summed<'_>, &UsageKey) -> Result<(), E>,
    ) -> Result<(), E> {
        uses.sort_unstable_by_key(|it| (it.hour, it.kind));
        let mut amounts = Vec::new();
        for same in uses.chunk_by(|a, b| (a.hour, a.kind) == (b.hour, b.kind)) {
            let Kind { key, names } = &self.kinds[same[0].kind as usize];
            let (mut credits, mut count) = (Credits::ZERO, 0);
            amounts.clear();
            amounts.resize(names.len(), 0_u64);
            for it in same {
                credits += it.credits;
                count += u64::from(it.count);
                for (sum, amount) in amounts.iter_mut().zip(&self.amounts[it.amounts..]) {
                    *sum = sum.saturating_add(*amount);
                }
            }
            let (hour, amounts) = (same[0].hour, &amounts[..]);
            each(&Summed { key: key.as_ref().in_hour(hour), credits, count, names, amounts }, key)?;
        }
        Ok(())
    }
}
