//! What is paid for once, such as the analysis of a repository's tree: whether it is, and what settles that.
//!
//! A name is settled for ever, so what was paid for and given back has two: that it was paid for, and that it is free
//! again. Whoever pays for it after that settles another. Invariant: of these names the last that is known is true.
use std::iter;

use billing::ledger::{Command, Transaction};
use store::{Fault, NameHash};

use super::super::Once;
use super::Decider;

impl Decider {
    /// What is done of work that is paid for once: itself, or what it has instead by what is paid for already.
    pub(super) fn unless_paid<'ask>(&self, once: &'ask Once, itself: &'ask Command) -> Result<&'ask Command, Fault> {
        Ok(match &once.part {
            _ if self.is_paid(once.name)? => &once.waived,
            Some(part) if !self.is_paid(part.since)? => {
                if self.is_paid(part.name)? {
                    &once.waived
                } else {
                    &part.command
                }
            }
            _ => itself,
        })
    }

    /// What a transaction settles of what is paid for once: that it is, or that it is so no longer.
    pub(super) fn settled_too(
        &self,
        transaction: &Transaction,
        asked: Option<&Once>,
    ) -> Result<Option<NameHash>, Fault> {
        if let Some(paid) = NameHash::paid_once(transaction) {
            let is_recalled = asked.is_some_and(|it| names_in(it).any(|it| it == paid));
            return Ok(Some(paid.after(self.times_freed(paid, is_recalled)?)));
        }
        let Some(freed) = NameHash::freed_once(transaction) else { return Ok(None) };
        Ok(Some(freed.freed(self.times_freed(freed, false)? + 1)))
    }

    /// How often what a name stands for was paid for and given back. Whether it ever was is recalled with the group,
    /// where somebody asks to pay for it; more of it is so rare that the store is asked when it is.
    fn times_freed(&self, once: NameHash, is_recalled: bool) -> Result<u64, Fault> {
        let first = once.freed(1);
        once.times_freed(|it| if is_recalled && it == first { Ok(self.is_settled(it)) } else { self.is_known(it) })
    }

    fn is_known(&self, name: NameHash) -> Result<bool, Fault> {
        Ok(self.is_settled(name) || self.store.recall(&[name], &[])?.named.iter().any(Option::is_some))
    }

    /// Whether what was asked for is paid for: all of it, and not given back since.
    fn is_paid(&self, once: NameHash) -> Result<bool, Fault> {
        if !self.is_settled(once) {
            return Ok(false);
        }
        match self.times_freed(once, true)? {
            0 => Ok(true),
            times => self.is_known(once.after(times)),
        }
    }
}

/// What is paid for once, as far as an ask is about it.
pub(super) fn names_in(once: &Once) -> impl Iterator<Item = NameHash> {
    iter::once(once.name).chain(once.part.iter().flat_map(|part| [part.since, part.name]))
}
