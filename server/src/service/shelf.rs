//! What was read of accounts lately, bounded: those used last stay, and what is not here is read again.
//!
//! Must never know what it keeps. Invariant: what is kept of all accounts comes to so much and no more.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use billing::id::AccountNumber;

pub struct Shelf<T> {
    /// The account used last comes first.
    slots: Mutex<VecDeque<Slot<T>>>,
    /// What all of them may come to.
    most: usize,
}

struct Slot<T> {
    account: AccountNumber,
    size: usize,
    kept: Arc<Mutex<T>>,
}

impl<T> Shelf<T> {
    pub fn of(most: usize) -> Shelf<T> {
        Shelf { slots: Mutex::default(), most }
    }

    pub fn find(&self, account: AccountNumber) -> Option<Arc<Mutex<T>>> {
        let mut slots = self.slots();
        let place = slots.iter().position(|it| it.account == account)?;
        let slot = slots.remove(place)?;
        let found = Arc::clone(&slot.kept);
        slots.push_front(slot);
        Some(found)
    }

    /// Keeps this of an account and nothing else of it; with it the others that still fit.
    pub fn keep(&self, account: AccountNumber, size: usize, kept: T) {
        let mut slots = self.slots();
        slots.retain(|it| it.account != account);
        slots.push_front(Slot { account, size, kept: Arc::new(Mutex::new(kept)) });
        let mut all = 0;
        slots.retain(|it| {
            all += it.size;
            all <= self.most
        });
    }

    pub fn forget(&self, account: AccountNumber) {
        self.slots().retain(|it| it.account != account);
    }

    fn slots(&self) -> MutexGuard<'_, VecDeque<Slot<T>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
