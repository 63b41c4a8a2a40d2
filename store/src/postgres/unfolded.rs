//! What accounts used since their usage was folded, as far as this node did all of it itself.
//!
//! Usage is folded at every sixty-fourth transaction of an account, and that wants all since the last. Read from the
//! journal they are rows on as many pages; a node that is mostly by itself at an account has seen each of them.
//!
//! Two generations, so that what is not used for a while goes: it costs a read, never meaning. Invariant: of an account
//! that is here, `used` is what its transactions after `folded(version)` and up to `version` come to. Where another
//! node was in between, the version is not the one that is asked for, and what is here is dropped.
use std::collections::HashMap;
use std::mem;
use std::sync::{Mutex, PoisonError};

use billing::id::AccountNumber;
use billing::usage::{UsageKey, UsageSum};

use super::books::Span;
use super::fold::folded;
use crate::Post;

/// Accounts in one generation.
const GENERATION_MAX: usize = 75_000;
/// Kinds of use in one generation, whosoever they are: about a hundred megabytes for both.
const KINDS_MAX: usize = 3 * GENERATION_MAX;

#[derive(Default)]
pub struct Unfolded(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: HashMap<AccountNumber, Since>,
    old: HashMap<AccountNumber, Since>,
    /// Kinds of use among the young.
    kinds: usize,
    /// Breaks of the history before what is here was done.
    breaks: u64,
}

/// What an account used since its usage was folded: a few kinds, so that looking through them is quick.
#[derive(Default)]
struct Since {
    version: u64,
    used: Vec<(UsageKey, UsageSum)>,
}

impl Unfolded {
    /// What the account's transactions before the span come to that are not folded, if that is known. It is taken out:
    /// the span is about to be folded with it.
    pub fn take(&self, breaks: u64, span: &Span) -> Option<Vec<(UsageKey, UsageSum)>> {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !generations.are_of(breaks) {
            return None;
        }
        generations.take(span).map(|it| it.used)
    }

    /// These were committed, after so many breaks of the history.
    pub fn posted(&self, breaks: u64, spans: &[Span], posts: &HashMap<AccountNumber, Vec<&Post>>) {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !generations.are_of(breaks) {
            return;
        }
        for span in spans {
            let until = folded(span.until);
            // A span that reaches back to what is folded has nothing before it.
            let before = generations.take(span);
            let Some(mut since) = before.or_else(|| (span.since <= until).then(Since::default)) else { continue };
            if span.since <= until {
                since.used.clear();
            }
            let own = posts[&span.account].iter().filter(|it| until < it.transaction.place.version);
            own.filter_map(|it| it.transaction.usage()).for_each(|it| since.add(it));
            since.version = span.until;
            generations.keep(span.account, since);
        }
    }
}

impl Generations {
    /// Whether what is here is of the history that is gone on with after so many breaks. What is of an earlier one
    /// goes: its versions may have come to be others.
    fn are_of(&mut self, breaks: u64) -> bool {
        if self.breaks < breaks {
            *self = Generations { breaks, ..Generations::default() };
        }
        self.breaks == breaks
    }

    /// What is here of the account, if it is of the version that the span begins at.
    fn take(&mut self, span: &Span) -> Option<Since> {
        let young = self.young.remove(&span.account);
        self.kinds -= young.as_ref().map_or(0, |it| it.used.len());
        let found = young.or_else(|| self.old.remove(&span.account));
        found.filter(|it| it.version == span.since)
    }

    fn keep(&mut self, account: AccountNumber, since: Since) {
        if GENERATION_MAX <= self.young.len() || KINDS_MAX <= self.kinds {
            self.old = mem::take(&mut self.young);
            self.kinds = 0;
        }
        // It was taken out before, if it was here.
        self.kinds += since.used.len();
        self.young.insert(account, since);
    }
}

impl Since {
    fn add(&mut self, (key, sum): (UsageKey, UsageSum)) {
        match self.used.iter_mut().find(|it| it.0 == key) {
            Some(known) => known.1.add(&sum),
            None => self.used.push((key, sum)),
        }
    }
}
