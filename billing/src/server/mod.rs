//! Servers: what one costs, from what was reported of it. Time runs, nothing ticks.
//!
//! A [`Run`] is a server's meter at an instant; moving it ahead is arithmetic, and what it counts on the way is a list
//! of [`Part`]s, one an hour. A [`Server`] keeps what was reported of late, so that a report that comes late is put in
//! its place and the difference to what was settled follows. Must never know who pays, or whether they can.
//!
//! Invariant: what is counted depends on the facts and the instant, never on how often or when it was settled: the
//! parts of one tier in one month add up to the price of its seconds, rounded once.
mod fleet;
mod run;
mod tariff;
#[cfg(test)]
pub(crate) mod tests;
mod undone;

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

/// Reports of one server within the time in which they may still be corrected.
pub const FACTS_MAX: usize = 1_000;
/// How far back a report may be told late.
const KEPT: Span = crate::ledger::LATE_MAX;
/// Draws remembered to be unwound by a correction, one for each change of grant.
const DRAWN_MAX: usize = 64;

/// What was reported of a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Handed over and reachable, at the prices in force.
    Start(Arc<Tariff>),
    /// Taken back for a while.
    Stop,
    /// Another tier, or the same at other prices.
    Resize(Arc<Tariff>),
    /// Given up for good.
    Release,
    /// Never came up, or broke down for good.
    Fail,
}

impl Change {
    pub fn as_str(&self) -> &'static str {
        match self {
            Change::Start(_) => "start",
            Change::Stop => "stop",
            Change::Resize(_) => "resize",
            Change::Release => "release",
            Change::Fail => "fail",
        }
    }
    pub fn tariff(&self) -> Option<&Arc<Tariff>> {
        match self {
            Change::Start(tariff) | Change::Resize(tariff) => Some(tariff),
            Change::Stop | Change::Release | Change::Fail => None,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fact {
    pub at: Timestamp,
    pub change: Change,
}

/// Why a report was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denied {
    /// It says what is known.
    Unchanged,
    /// A server in this phase cannot do that, then or by what was reported of later.
    Impossible(Phase),
    /// More reports than [`FACTS_MAX`].
    TooMany,
}

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
    /// In order of time.
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
        let at = at.max(self.provisioned_at);
        let place = self.facts.partition_point(|it| it.at <= at);
        let before =
            if self.run.at <= at { self.run.clone() } else { self.replay(&self.facts[..place], at, calendar).0 };
        if before.has_done(change) {
            return Err(Denied::Unchanged);
        }
        if FACTS_MAX <= self.facts.len() {
            return Err(Denied::TooMany);
        }
        let mut facts = self.facts[..place].to_vec();
        facts.extend(self.facts_that_stand(place, change, &before.tariff));
        // The same thing told of later happened now: it is moved, not done twice.
        if facts.get(place).is_some_and(|it| it.change.as_str() == change.as_str() && change.tariff().is_none()) {
            facts.remove(place);
        }
        facts.insert(place, Fact { at, change: change.clone() });
        if self.run.at <= at {
            let (mut run, mut parts) = (self.run.clone(), Vec::new());
            run.advance(at, calendar, &mut parts);
            run.take(change, calendar, &mut parts).map_err(Denied::Impossible)?;
            self.pending.extend(parts);
            self.run = run;
        } else {
            let (_, old) = self.replay(&self.facts, self.run.at, calendar);
            let (mut run, mut new) = (self.base.clone(), Vec::new());
            play(&mut run, &facts, self.run.at, calendar, &mut new).map_err(Denied::Impossible)?;
            let mut parts = run::difference(old, new);
            self.set_off(&mut parts);
            self.pending.extend(parts);
            self.run = run;
        }
        self.facts = facts;
        Ok(())
    }

    /// Facts from `place` on that are not undone by `change`, before which `tariff` was in force. Nobody told of new
    /// prices: they came while the server ran on as it was. So they keep nobody from telling late that it did not.
    fn facts_that_stand(&self, place: usize, change: &Change, tariff: &Tariff) -> Vec<Fact> {
        let is_over = matches!(change, Change::Release | Change::Fail);
        let is_other = matches!(change, Change::Resize(to) if !to.reprices(tariff));
        let mut before = tariff;
        let mut is_next = true;
        let mut stand = Vec::new();
        for fact in &self.facts[place..] {
            let to = fact.change.tariff();
            let is_price = matches!(fact.change, Change::Resize(_)) && to.is_some_and(|it| it.reprices(before));
            is_next &= is_price;
            if !(is_price && is_over || is_next && is_other) {
                stand.push(fact.clone());
            }
            before = to.map_or(before, |it| it);
        }
        stand
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
            let fact = self.facts.remove(0);
            self.base.advance(fact.at, calendar, &mut Vec::new());
            self.base.take(&fact.change, calendar, &mut Vec::new()).expect("it was taken before");
        }
        // Now and then, so that a replay is never much longer than what may be corrected.
        if self.base.at < horizon - KEPT && self.facts.first().is_none_or(|it| horizon <= it.at) {
            self.base.advance(horizon, calendar, &mut Vec::new());
        }
    }

    /// Remembers what a settlement drew.
    pub fn remember(&mut self, drawn: Drawn) {
        let from = |it: &Drawn| (it.grant.as_ref().map(|it| it.0), it.is_beyond);
        match self.drawn.last_mut().filter(|it| from(it) == from(&drawn)) {
            Some(last) => last.credits += drawn.credits,
            None => self.drawn.push(drawn),
        }
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

    fn replay(&self, facts: &[Fact], until: Timestamp, calendar: &Calendar) -> (Run, Vec<Part>) {
        let (mut run, mut parts) = (self.base.clone(), Vec::new());
        play(&mut run, facts, until, calendar, &mut parts).expect("these facts were taken before");
        (run, parts)
    }
}

fn play(
    run: &mut Run,
    facts: &[Fact],
    until: Timestamp,
    calendar: &Calendar,
    parts: &mut Vec<Part>,
) -> Result<(), Phase> {
    for fact in facts {
        run.advance(fact.at, calendar, parts);
        run.take(&fact.change, calendar, parts)?;
    }
    run.advance(until.max(run.at), calendar, parts);
    Ok(())
}
