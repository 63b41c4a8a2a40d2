//! Accounts at hand, bounded: those used lately stay, those not used for a while go.
//!
//! Two generations, as of the turnstile's books: when the young are many the old are dropped, and the young become the
//! old. What is not at hand is read again; it costs time, never meaning. Invariant: of an account the profile that was
//! kept last is found, and none that was read before a change this process knows of.
use std::collections::HashMap;
use std::hint::black_box;
use std::mem;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use billing::id::{AccountNumber, Name};
use foldhash::quality::RandomState;

use crate::app::Known;

/// Accounts in one generation.
const GENERATION_MAX: usize = 150_000;

#[derive(Default)]
pub struct AtHand(RwLock<Generations>);

#[derive(Default)]
struct Generations {
    young: Generation,
    old: Generation,
    /// How often profiles have changed, as far as this process knows.
    changes: u64,
}

#[derive(Default)]
struct Generation {
    by_id: HashMap<Name, Arc<Known>, RandomState>,
    by_number: HashMap<AccountNumber, Arc<Known>, RandomState>,
}

impl Generation {
    fn forget(&mut self, number: AccountNumber) {
        if let Some(known) = self.by_number.remove(&number) {
            self.by_id.remove(&known.account.id);
        }
    }
}

impl Generations {
    fn keep(&mut self, known: &Arc<Known>) {
        if GENERATION_MAX <= self.young.by_id.len() {
            self.old = mem::take(&mut self.young);
        }
        self.young.by_id.insert(known.account.id.clone(), Arc::clone(known));
        self.young.by_number.insert(known.account.number, Arc::clone(known));
    }
}

impl AtHand {
    pub fn by_id(&self, id: &Name) -> Option<Arc<Known>> {
        self.find(|it| it.by_id.get(id).cloned())
    }
    pub fn by_number(&self, number: AccountNumber) -> Option<Arc<Known>> {
        self.find(|it| it.by_number.get(&number).cloned())
    }

    /// Looks at accounts that are about to be asked for, so that their memory is waited for all at once.
    pub fn look_at<'a>(&self, ids: impl Iterator<Item = &'a Name>) {
        let generations = self.read();
        for id in ids {
            black_box(generations.young.by_id.get(id).map(|it| (it.account.number, it.zone.is_unknown())));
        }
    }

    /// To be asked before a profile is read that is to be kept.
    pub fn changes(&self) -> u64 {
        self.read().changes
    }

    /// Keeps a profile that was read when there had been so many `changes`, unless it may be outdated since.
    pub fn keep_read(&self, known: &Arc<Known>, changes: u64) {
        let mut generations = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if generations.changes == changes {
            generations.keep(known);
        }
    }

    /// Drops what is at hand of these, which have changed, here or elsewhere. What they were changed to is not kept: of
    /// two who change one account, whoever was first may come by last.
    pub fn forget(&self, numbers: &[AccountNumber]) {
        if numbers.is_empty() {
            return;
        }
        let Generations { young, old, changes } = &mut *self.0.write().unwrap_or_else(PoisonError::into_inner);
        *changes += 1;
        for number in numbers {
            [&mut *young, &mut *old].into_iter().for_each(|it| it.forget(*number));
        }
    }

    fn find(&self, of: impl Fn(&Generation) -> Option<Arc<Known>>) -> Option<Arc<Known>> {
        let generations = self.read();
        if let Some(known) = of(&generations.young) {
            return Some(known);
        }
        of(&generations.old)?;
        drop(generations);
        // Looked for again, for somebody may have kept a newer profile meanwhile.
        let mut generations = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let known = of(&generations.young).or_else(|| of(&generations.old))?;
        generations.keep(&known);
        Some(known)
    }

    fn read(&self) -> RwLockReadGuard<'_, Generations> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}
