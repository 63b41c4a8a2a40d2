//! What was read of accounts lately, bounded: those used last stay, and what is not here is read again.
//!
//! Must never know what it keeps. Invariant: what is kept of all accounts comes to so much and no more.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use billing::id::AccountNumber;

pub struct Recent<T> {
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

impl<T> Recent<T> {
    pub fn of(most: usize) -> Recent<T> {
        Recent { slots: Mutex::default(), most }
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
        trim(&mut slots, self.most);
    }

    /// What is kept of an account has grown, or shrunk, to so much.
    pub fn resize(&self, account: AccountNumber, size: usize) {
        let mut slots = self.slots();
        slots.iter_mut().filter(|it| it.account == account).for_each(|it| it.size = size);
        trim(&mut slots, self.most);
    }

    pub fn forget(&self, account: AccountNumber) {
        self.slots().retain(|it| it.account != account);
    }

    fn slots(&self) -> MutexGuard<'_, VecDeque<Slot<T>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn trim<T>(slots: &mut VecDeque<Slot<T>>, most: usize) {
    let mut all = 0;
    slots.retain(|it| {
        let fits = all + it.size <= most;
        all += if fits { it.size } else { 0 };
        fits
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_stays_and_all_comes_to_so_much() {
        let recent = Recent::of(10);
        let account = AccountNumber::from_random;
        let there = || (1..5).filter(|it| recent.find(account(*it)).is_some()).collect::<Vec<_>>();
        (1..4).for_each(|it| recent.keep(account(it), 3, ()));
        assert_eq!(there(), [1, 2, 3]);
        assert!(recent.find(account(1)).is_some());
        recent.keep(account(4), 3, ());
        assert_eq!(there(), [1, 3, 4], "2 was asked for longest ago");
        recent.resize(account(4), 6);
        assert_eq!(there(), [3, 4], "what grows takes the room of others");
        recent.keep(account(2), 11, ());
        assert_eq!(there(), [3, 4], "what is too large for it drives out nobody");
    }
}
