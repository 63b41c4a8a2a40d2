//! What was reported of a server: a set of facts, in an order of its own.
//!
//! Invariant: facts are ordered by when they happened, and those of one instant by what they are; never by when they
//! were told. So whatever is told late comes to what it would have come to in time. Each fact that was told is kept,
//! even one that said what was known when it came: what is told later of the time before it may make it news.
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::run::turn;
use super::{Part, Phase, Run, Server, Tariff};
use crate::rating::RateCards;
use crate::time::Timestamp;
use crate::zone::Calendar;

/// What was reported of a server. The order here is that of what happened at one instant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Change {
    /// A rate card took effect: the tier it has costs something else.
    Prices(Arc<Tariff>),
    /// Another tier, or the same at newer prices.
    Resize(Arc<Tariff>),
    /// Taken back for a while.
    Stop,
    /// Handed over and reachable, at the prices then in force of the tier it has.
    Start(Arc<Tariff>),
    /// Never came up, or broke down for good.
    Fail,
    /// Given up for good.
    Release,
}

impl Change {
    pub fn as_str(&self) -> &'static str {
        match self {
            Change::Prices(_) => "prices",
            Change::Start(_) => "start",
            Change::Stop => "stop",
            Change::Resize(_) => "resize",
            Change::Release => "release",
            Change::Fail => "fail",
        }
    }
    pub fn tariff(&self) -> Option<&Arc<Tariff>> {
        match self {
            Change::Prices(tariff) | Change::Start(tariff) | Change::Resize(tariff) => Some(tariff),
            Change::Stop | Change::Release | Change::Fail => None,
        }
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Fact {
    pub at: Timestamp,
    pub change: Change,
}

/// Why a report was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denied {
    /// The very same was told before.
    Unchanged,
    /// A server in this phase cannot do that.
    Impossible(Phase),
    /// What was reported of later cannot be, had it happened.
    Barred { by: &'static str, at: Timestamp },
    /// What happened before this instant can be told no more: so much was reported since.
    Forgotten(Timestamp),
}

/// The facts that come next, of one instant, and those after them.
fn next_instant(facts: &[Fact]) -> Option<(&[Fact], &[Fact])> {
    let at = facts.first()?.at;
    Some(facts.split_at(facts.partition_point(|it| it.at <= at)))
}

/// Facts of one instant, in the order in which they happen to a server in `phase`. Of a stop and a start both are
/// done: one that runs is stopped first, one that does not is started first.
fn in_turn(facts: &[Fact], phase: Phase) -> impl Iterator<Item = &Fact> {
    let starts = facts.iter().any(|it| matches!(it.change, Change::Start(_)));
    let stops_last = starts && phase != Phase::Running;
    let is_last = move |it: &&Fact| stops_last && it.change == Change::Stop;
    facts.iter().filter(move |it| !is_last(it)).chain(facts.iter().filter(is_last))
}

/// Moves a meter over facts, and on to `until`.
///
/// # Errors
/// The fact that cannot be, and the phase in which it cannot.
pub(super) fn play<'a>(
    run: &mut Run,
    facts: &'a [Fact],
    until: Timestamp,
    calendar: &Calendar,
    parts: &mut Vec<Part>,
) -> Result<(), (&'a Fact, Phase)> {
    let mut rest = facts;
    while let Some((now, later)) = next_instant(rest) {
        run.advance(now[0].at, calendar, parts);
        for fact in in_turn(now, run.phase) {
            run.take(&fact.change, calendar, parts).map_err(|phase| (fact, phase))?;
        }
        rest = later;
    }
    run.advance(until.max(run.at), calendar, parts);
    Ok(())
}

impl Server {
    /// The phase it was in at `at`, and the tariff in force, by what is known; before all that is remembered, those of
    /// its beginning.
    pub fn stood(&self, at: Timestamp) -> (Phase, &Arc<Tariff>) {
        let (mut phase, mut tariff) = (self.base.phase, &self.base.tariff);
        let mut rest = &self.facts[..self.facts.partition_point(|it| it.at <= at)];
        while let Some((now, later)) = next_instant(rest) {
            for fact in in_turn(now, phase) {
                (phase, tariff) = turn(phase, tariff, &fact.change).expect("it was taken before");
            }
            rest = later;
        }
        (phase, tariff)
    }

    /// The prices of `cards` that took effect by `now`, while it was not over, and that it was not told of: each at its
    /// own instant, of the tier it had then, or as soon after it as can be corrected still. A tier that a card does not
    /// have keeps its prices until it is resized; one that costs what it did has no new ones.
    pub fn untold_prices(&self, cards: &RateCards, now: Timestamp) -> Vec<Fact> {
        let mut untold = Vec::new();
        // The prices that those before them lead to, where they are told.
        let mut told: Option<Arc<Tariff>> = None;
        for card in cards.iter().filter(|it| it.effective_at() <= now) {
            let at = card.effective_at().max(self.base.at);
            let (phase, known) = self.stood(at);
            let known = told.as_ref().filter(|it| it.reprices(known)).unwrap_or(known);
            if phase.is_over() || card.version() <= known.rate_card {
                continue;
            }
            let Ok(tariff) = Tariff::of(card, Arc::clone(&known.tier), known.region.clone()) else { continue };
            if !tariff.costs_like(known) {
                let tariff = Arc::new(tariff);
                untold.push(Fact { at, change: Change::Prices(Arc::clone(&tariff)) });
                told = Some(tariff);
            }
        }
        untold
    }
}
