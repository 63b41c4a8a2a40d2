//! The transactions of a group, by the names they can be found by.
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use billing::ledger::Transaction;
use store::NameHash;

/// Transactions whose memory is waited for together: as many as the nearest memory holds.
const LOOKED_AT: usize = 32;

/// Names are hashes already; the first eight bytes of one are as good as any.
#[derive(Default)]
pub struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }
    fn write_usize(&mut self, _: usize) {}
}

pub type Names<T> = HashMap<NameHash, T, BuildHasherDefault<FirstBytes>>;

/// Transactions stand in the order they were made, and are let go in it: what was made together lies together, and to
/// walk through it in another order would wait for memory at each step.
#[derive(Default)]
pub struct Named {
    places: Names<usize>,
    transactions: Vec<Arc<Transaction>>,
}

impl Named {
    pub fn get(&self, name: NameHash) -> Option<&Arc<Transaction>> {
        self.places.get(&name).map(|it| &self.transactions[*it])
    }
    pub fn has(&self, name: NameHash) -> bool {
        self.places.contains_key(&name)
    }
    pub fn insert(&mut self, names: impl Iterator<Item = NameHash>, transaction: &Arc<Transaction>) {
        for (count, name) in names.enumerate() {
            if count == 0 {
                self.transactions.push(Arc::clone(transaction));
            }
            self.places.insert(name, self.transactions.len() - 1);
        }
    }
    pub fn clear(&mut self) {
        self.places.clear();
        let mut gone = self.transactions.drain(..);
        while !gone.as_slice().is_empty() {
            gone.as_slice().iter().take(LOOKED_AT).for_each(|it| it.look_at());
            gone.by_ref().take(LOOKED_AT).for_each(drop);
        }
    }
}
