//! Servers: what one costs, from what was reported of it. Time runs, nothing ticks.
//!
//! A [`Run`] is a server's meter at an instant; moving it ahead is arithmetic, and what it counts on the way is a list
//! of [`Part`]s, one an hour. A [`Server`] keeps what was reported of late, so that a report that comes late is put in
//! its place and the difference to what was settled follows. Must never know who pays, or whether they can.
//!
//! Invariant: what is counted depends on the facts and the instant, never on how often or when it was settled, nor on
//! the order in which facts were told: the parts of one tier in one month add up to its seconds, rounded once, and to
//! their price, rounded once for each price there was.
mod facts;
mod fleet;
mod run;
mod tariff;
#[cfg(test)]
pub(crate) mod tests;
mod undone;

pub use facts::{Change, Denied, Fact};
pub use fleet::{Cut, Fleet};
pub use run::{Meter, Part, PartKind, Phase, Run};
pub use tariff::{PROVISIONED, RUNTIME_SECONDS, Tariff};
pub use undone::Undone;

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::id::{ChargeId, GrantId, Name};
use crate::ledger::Terms;
use crate::money::Credits;
use crate::time::{Span, Timestamp};
use crate::zone::{Calendar, Period};

/// Facts of one server that are remembered. Beyond them the oldest are no longer corrected, however young they are.
pub const FACTS_MAX: usize = 1_000;
/// How far back a report may be told late.
const KEPT: Span = crate::ledger::LATE_MAX;
/// Sources of draws remembered to be unwound by a correction: every grant that an account may have, and debt.
const DRAWN_MAX: usize = crate::ledger::GRANTS_MAX + 2;

/// What a settlement drew, remembered so that a correction goes back the way it came. Of no grant: debt, or what lay
/// beyond the debt floor and was not charged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Drawn {
    pub grant: Option<(GrantId, Arc<Terms>)>,
    pub credits: Credits,
    pub is_beyond: bool,
}

/// One server of one account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    pub id: Name,
    pub project: Option<Name>,
    pub provisioned_at: Timestamp,
    /// The meter before the first of `facts`.
    pub base: Run,
    /// In their order, none before `base` and none after `run`.
    pub facts: Vec<Fact>,
    /// The meter as far as it was settled, or moved into `pending`.
    pub run: Run,
    /// Counted and not yet settled: of stretches that a report closed, and corrections of either sign.
    pub pending: Vec<Part>,
    /// Settled so far.
    pub set_up: Credits,
    pub runtime: Credits,
    pub runtime_seconds: u64,
    /// Used beyond the debt floor: settled, and not charged.
    pub beyond: Credits,
    /// One of a source, in the order in which they were last drawn from.
    pub drawn: Vec<Drawn>,
    /// By hour, what of its time was given back lately: as long as facts may come in.
    pub undone: Vec<Undone>,
    pub last_charge: Option<ChargeId>,
}

impl Server {
    pub fn provision(id: Name, project: Option<Name>, tariff: Arc<Tariff>, at: Timestamp) -> Server {
        let run = Run::provision(tariff, at);
        Server {
            id,
            project,
            provisioned_at: at,
            base: run.clone(),
            facts: Vec::new(),
            run,
            pending: Vec::new(),
            set_up: Credits::ZERO,
            runtime: Credits::ZERO,
            runtime_seconds: 0,
            beyond: Credits::ZERO,
            drawn: Vec::new(),
            undone: Vec::new(),
            last_charge: None,
        }
    }

    /// Takes a report of what happened at `at`, which may lie before what was settled: what that changes is pending.
    ///
    /// # Errors
    /// [`Denied`]; nothing has changed then.
    pub fn change(&mut self, change: &Change, at: Timestamp, calendar: &Calendar) -> Result<(), Denied> {
        let fact = Fact { at: at.max(self.provisioned_at), change: change.clone() };
        if fact.at < self.base.at {
            return Err(Denied::Forgotten(self.base.at));
        }
        let Err(place) = self.facts.binary_search(&fact) else { return Err(Denied::Unchanged) };
        if self.run.at <= fact.at && self.facts.last().is_none_or(|it| it.at < fact.at) {
            let (mut run, mut parts) = (self.run.clone(), Vec::new());
            run.advance(fact.at, calendar, &mut parts);
            run.take(change, calendar, &mut parts).map_err(Denied::Impossible)?;
            self.pending.extend(parts);
            self.run = run;
            self.facts.push(fact);
        } else {
            let mut facts = self.facts.clone();
            facts.insert(place, fact.clone());
            let (mut old_run, mut old) = (self.base.clone(), Vec::new());
            facts::play(&mut old_run, &self.facts, self.run.at, calendar, &mut old).expect("these were taken before");
            let (mut run, mut new) = (self.base.clone(), Vec::new());
            facts::play(&mut run, &facts, self.run.at, calendar, &mut new).map_err(|(by, phase)| {
                let barred = Denied::Barred { by: by.change.as_str(), at: by.at };
                if *by == fact { Denied::Impossible(phase) } else { barred }
            })?;
            let mut parts = run::difference(old, new);
            self.set_off(&mut parts);
            self.pending.extend(parts);
            self.run = run;
            self.facts = facts;
        }
        while FACTS_MAX < self.facts.len() {
            self.fold(self.facts[0].at, calendar);
        }
        self.assert_order();
        Ok(())
    }

    /// Makes facts up to an instant part of what was before all facts: they are corrected no more.
    fn fold(&mut self, until: Timestamp, calendar: &Calendar) {
        let folded: Vec<Fact> = self.facts.drain(..self.facts.partition_point(|it| it.at <= until)).collect();
        facts::play(&mut self.base, &folded, until, calendar, &mut Vec::new()).expect("they were taken before");
    }

    fn assert_order(&self) {
        assert!(self.facts.is_sorted(), "facts are in order");
        assert!(self.facts.first().is_none_or(|it| self.base.at <= it.at), "none is before the base");
        assert!(self.facts.last().is_none_or(|it| it.at <= self.run.at), "none is ahead of the meter");
    }

    /// Whether time on it costs anything.
    pub fn burns(&self) -> bool {
        self.run.phase == Phase::Running && self.run.tariff.price.is_positive()
    }

    /// What it will cost at least where it is still being provisioned: nothing of that has begun.
    pub fn to_come(&self) -> Credits {
        if self.run.phase == Phase::Provisioning { self.run.tariff.least() } else { Credits::ZERO }
    }

    /// Used by `at` and not settled: never less than nothing, but for a correction that is still pending.
    pub fn unsettled(&self, at: Timestamp, calendar: &Calendar) -> Credits {
        self.pending.iter().map(|it| it.credits).sum::<Credits>() + self.run.cost(at, calendar)
    }

    /// The next thing to settle by `at`, and whether it was pending: else the meter moves to the end of its hour.
    pub fn next_part(&self, at: Timestamp, calendar: &Calendar) -> (Option<Part>, bool) {
        if let Some(part) = self.pending.first() {
            return (Some(part.clone()), true);
        }
        let (mut run, mut parts) = (self.run.clone(), Vec::new());
        run.advance(self.stage(at, calendar), calendar, &mut parts);
        assert!(parts.len() <= 1, "an hour on one tier is one part");
        (parts.pop(), false)
    }

    /// Marks the pending part first in line as settled.
    pub fn settle_pending(&mut self) -> Part {
        let part = self.pending.remove(0);
        self.count(&part);
        part
    }

    /// Moves the meter to the end of its hour, or to `at`, and forgets what can no longer be corrected.
    pub fn settle_until(&mut self, at: Timestamp, calendar: &Calendar) {
        let mut parts = Vec::new();
        self.run.advance(self.stage(at, calendar), calendar, &mut parts);
        parts.iter().for_each(|it| self.count(it));
        self.forget_undone(at);
        let horizon = at - KEPT;
        while self.facts.first().is_some_and(|it| it.at < horizon) {
            self.fold(self.facts[0].at, calendar);
        }
        // Now and then, so that a replay is never much longer than what may be corrected.
        if self.base.at < horizon - KEPT && self.facts.first().is_none_or(|it| horizon <= it.at) {
            self.base.advance(horizon, calendar, &mut Vec::new());
        }
    }

    /// Remembers what a settlement drew.
    pub fn remember(&mut self, drawn: Drawn) {
        let from = |it: &Drawn| (it.grant.as_ref().map(|it| it.0), it.is_beyond);
        let before = self.drawn.iter().position(|it| from(it) == from(&drawn)).map(|it| self.drawn.remove(it));
        let before = before.map_or(Credits::ZERO, |it| it.credits);
        self.drawn.push(Drawn { credits: before + drawn.credits, ..drawn });
        if DRAWN_MAX < self.drawn.len() {
            self.drawn.remove(0);
        }
    }

    /// Takes out of what was settled of `kind` what is not charged, or puts it back where that is taken back.
    pub fn waive(&mut self, kind: PartKind, credits: Credits) {
        self.beyond += credits;
        match kind {
            PartKind::SetUp => self.set_up -= credits,
            PartKind::Runtime => self.runtime -= credits,
        }
    }

    /// Takes `credits` off what was drawn last: they went back.
    pub fn forget_drawn(&mut self, credits: Credits) {
        let mut due = credits;
        while let Some(last) = self.drawn.last_mut().filter(|_| due.is_positive()) {
            let taken = due.min(last.credits);
            last.credits -= taken;
            due -= taken;
            if last.credits.is_zero() {
                self.drawn.pop();
            }
        }
    }

    /// Where the hour the meter stands in ends, or the month.
    pub fn boundary(&self, calendar: &Calendar) -> Timestamp {
        let (at, (start, next)) = (self.run.at, self.run.month);
        let month_end = if start <= at && at < next { next } else { calendar.around(Period::Month, at).1 };
        calendar.next_hour(at).min(month_end)
    }

    /// The end of the meter's hour, or `at` if that comes first.
    fn stage(&self, at: Timestamp, calendar: &Calendar) -> Timestamp {
        at.min(self.boundary(calendar)).max(self.run.at)
    }

    fn count(&mut self, part: &Part) {
        match part.kind {
            PartKind::SetUp => self.set_up += part.credits,
            PartKind::Runtime => {
                self.runtime += part.credits;
                self.runtime_seconds = self.runtime_seconds.saturating_add_signed(part.seconds);
            }
        }
    }
}
