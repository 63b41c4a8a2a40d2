//! What transactions add to usage, in numbers: what is used by whom is said once for all who use the same.
//!
//! A tail has hundreds of thousands of transactions and few kinds of use, so a transaction takes some fifty bytes here
//! and makes nothing of its own. Invariant: what was pushed comes out again, summed by hour and kind.
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::hash::{BuildHasher as _, Hash, Hasher as _};
use std::sync::Arc;

use billing::ledger::Transaction;
use billing::money::Credits;
use billing::rating::Text;
use billing::time::Timestamp;
use billing::usage::{UsageKey, UsageKeyRef, UsageSum};
use foldhash::quality::RandomState;

use super::spread::SpreadMap;
use crate::codec::{Kind, Malformed, Told};

#[derive(Default)]
pub struct Uses {
    kinds: Vec<Kind>,
    /// Where in `kinds` one with this hash is; where hashes collide, the next free number is taken instead.
    places: SpreadMap<u64, u32>,
    hashing: RandomState,
    uses: Vec<Use>,
    /// The quantities of all uses, one after the other.
    amounts: Vec<u64>,
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

impl Use {
    pub fn is_in(&self, from: Timestamp, to: Timestamp) -> bool {
        from <= self.hour && self.hour < to
    }
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

/// What many transactions of one account come to, by hour and kind of use.
#[derive(Default)]
pub struct Sums {
    pub uses: Vec<Use>,
    places: SpreadMap<(Timestamp, u32), u32>,
}

const NOTHING: u32 = u32::MAX;

/// The hour of every key in `kinds`.
const ANY_HOUR: Timestamp = Timestamp::EPOCH;

impl Uses {
    /// Makes room for as much as another has.
    pub fn reserve_as(&mut self, other: &Uses) {
        self.uses.reserve(other.uses.len());
        self.amounts.reserve(other.amounts.len());
    }

    pub fn push(&mut self, transaction: &Transaction) {
        let amounts = self.amounts.len();
        let Some(added) = transaction.added_usage() else {
            let (hour, credits) = (ANY_HOUR, Credits::ZERO);
            return self.uses.push(Use { kind: NOTHING, count: 0, amounts, hour, credits });
        };
        let names = added.quantities.iter().map(|it| &it.0);
        let kind = self.number(added.work.usage_key_ref(), names, || added.work.usage_key());
        self.amounts.extend(added.quantities.iter().map(|it| it.1));
        let count = u32::try_from(added.count).expect("a transaction is one");
        self.uses.push(Use { kind, count, amounts, hour: added.work.hour, credits: added.credits });
    }

    /// Takes in what a block tells, hours from `from` and before `to`.
    ///
    /// # Errors
    /// When it counts more in an hour than anybody can have done.
    pub fn push_told(&mut self, told: &Told, from: Timestamp, to: Timestamp) -> Result<(), Malformed> {
        let numbers: Vec<u32> = told.kinds.iter().map(|it| self.number_of(it)).collect();
        for row in told.rows.iter().filter(|it| from <= it.hour && it.hour < to) {
            let names = told.kinds[row.kind as usize].names.len();
            let count = u32::try_from(row.count).map_err(|_| Malformed::not("a count", &row.count.to_string()))?;
            let (kind, amounts) = (numbers[row.kind as usize], self.amounts.len());
            self.amounts.extend_from_slice(&told.amounts[row.amounts..row.amounts + names]);
            self.uses.push(Use { kind, count, amounts, hour: row.hour, credits: row.credits });
        }
        Ok(())
    }

    /// Takes in some of another's.
    pub fn push_some(&mut self, other: &Uses, uses: impl Iterator<Item = Use>) {
        let mut numbers = vec![NOTHING; other.kinds.len()];
        for it in uses {
            let kind = &other.kinds[it.kind as usize];
            let number = &mut numbers[it.kind as usize];
            if *number == NOTHING {
                *number = self.number_of(kind);
            }
            let amounts = self.amounts.len();
            self.amounts.extend_from_slice(&other.amounts[it.amounts..it.amounts + kind.names.len()]);
            self.uses.push(Use { kind: *number, amounts, ..it });
        }
    }

    /// Takes in another's, hours from `from` and before `to`.
    pub fn push_between(&mut self, mut other: Uses, from: Timestamp, to: Timestamp) {
        if self.uses.is_empty() {
            other.uses.retain(|it| it.is_in(from, to));
            *self = other;
            return;
        }
        let inside = other.uses.iter().filter(|it| it.kind != NOTHING && it.is_in(from, to));
        self.push_some(&other, inside.copied());
    }

    fn number_of(&mut self, kind: &Kind) -> u32 {
        self.number(kind.key.as_ref(), kind.names.iter(), || kind.key.clone())
    }

    /// The number of the kind of use that has this key, whatever its hour, and quantities of these names.
    fn number<'a>(
        &mut self,
        key: UsageKeyRef<'_>,
        names: impl Iterator<Item = &'a Text> + Clone,
        owned: impl FnOnce() -> UsageKey,
    ) -> u32 {
        let key = key.in_hour(ANY_HOUR);
        let mut hasher = self.hashing.build_hasher();
        key.hash(&mut hasher);
        names.clone().for_each(|it| it.hash(&mut hasher));
        let mut hash = hasher.finish();
        while let Some(number) = self.places.get(&hash) {
            let kind = &self.kinds[*number as usize];
            if kind.key.as_ref() == key && kind.names.iter().eq(names.clone()) {
                return *number;
            }
            hash = hash.wrapping_add(1);
        }
        let number = u32::try_from(self.kinds.len()).expect("there are no more kinds than transactions in a tail");
        self.kinds.push(Kind { key: UsageKey { hour: ANY_HOUR, ..owned() }, names: names.cloned().collect() });
        self.places.insert(hash, number);
        number
    }

    /// What the transactions at `places` add.
    pub fn at(&self, places: impl Iterator<Item = usize>) -> impl Iterator<Item = Use> {
        places.map(|it| self.uses[it]).filter(|it| it.kind != NOTHING)
    }

    /// Adds what the transactions at `places` add to `sums` of such.
    pub fn add_up(&mut self, sums: &mut Sums, places: impl Iterator<Item = usize>) {
        for place in places {
            let it = self.uses[place];
            if it.kind == NOTHING {
                continue;
            }
            let amounts = it.amounts..it.amounts + self.kinds[it.kind as usize].names.len();
            let next = u32::try_from(sums.uses.len()).expect("there are no more sums than transactions");
            match sums.places.entry((it.hour, it.kind)) {
                Entry::Vacant(new) => {
                    new.insert(next);
                    sums.uses.push(Use { amounts: self.amounts.len(), ..it });
                    self.amounts.extend_from_within(amounts);
                }
                Entry::Occupied(known) => {
                    let sum = &mut sums.uses[*known.get() as usize];
                    sum.credits = sum.credits.saturating_add(it.credits);
                    sum.count += it.count;
                    for (amount, total) in amounts.zip(sum.amounts..) {
                        self.amounts[total] = self.amounts[total].saturating_add(self.amounts[amount]);
                    }
                }
            }
        }
    }

    /// What all of them come to, by key.
    pub fn into_rows(mut self) -> Vec<(UsageKey, UsageSum)> {
        let uses = self.by_key();
        let mut rows: Vec<(UsageKey, UsageSum)> = Vec::new();
        let told = self.each_sum(uses, |sum, key| {
            let mut quantities: Vec<(Text, u64)> =
                sum.names.iter().map(Arc::clone).zip(sum.amounts.iter().copied()).collect();
            quantities.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
            let added = UsageSum { credits: sum.credits, count: sum.count, quantities };
            // Kinds that differ in the names of quantities only are of one key.
            match rows.last_mut().filter(|it| it.0.as_ref() == sum.key) {
                Some((_, total)) => total.add(&added),
                None => rows.push((UsageKey { hour: sum.key.hour, ..key.clone() }, added)),
            }
            Ok::<_, Infallible>(())
        });
        told.unwrap_or_else(|it| match it {});
        rows
    }

    /// Numbers kinds anew, in the order of their keys, and takes all uses out.
    fn by_key(&mut self) -> Vec<Use> {
        let number = |it: usize| u32::try_from(it).expect("kinds are numbered in 32 bits");
        let mut kinds: Vec<(Kind, usize)> = std::mem::take(&mut self.kinds).into_iter().zip(0..).collect();
        kinds.sort_unstable_by(|(one, _), (other, _)| one.key.cmp(&other.key));
        let mut numbers = vec![NOTHING; kinds.len()];
        kinds.iter().enumerate().for_each(|(after, (_, before))| numbers[*before] = number(after));
        self.kinds = kinds.into_iter().map(|it| it.0).collect();
        self.places.clear();
        let mut uses = std::mem::take(&mut self.uses);
        uses.retain(|it| it.kind != NOTHING);
        uses.iter_mut().for_each(|it| it.kind = numbers[it.kind as usize]);
        uses
    }

    /// What `uses` come to, told by hour and kind and nothing copied, until `each` fails.
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
                credits = credits.saturating_add(it.credits);
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
