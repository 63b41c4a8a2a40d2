//! What of a server's time was given back, hour by hour, so that nothing goes back twice.
//!
//! An hour may be reversed by hand, and facts told later may say that the server did not run then: what was reversed
//! counts towards what the facts take back. It may go the other way about: of what facts took back nothing can be
//! reversed. And facts may change their mind, so what counted towards them is reversed again when they do, and what
//! they charge again may be reversed.
//!
//! Invariant: what is charged of an hour is what the facts come to, less what was reversed beyond what they took back,
//! whatever came first. Kept for as long as facts may come in; older time is neither corrected nor reversed. That, and
//! that a settlement is of one hour, bounds how many there are.
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::facts::play;
use super::{Drawn, KEPT, Part, PartKind, Server};
use crate::id::GrantId;
use crate::ledger::Work;
use crate::money::Credits;
use crate::rating::Text;
use crate::time::{Span, Timestamp};
use crate::zone::Calendar;

/// Of one hour on one tier.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Undone {
    /// Start of the hour, in the account's zone as it was then.
    pub hour: Timestamp,
    pub kind: PartKind,
    pub tier: Text,
    /// By hand.
    pub reversed: Credits,
    /// What of that facts say by now was never used.
    pub set_off: Credits,
    /// What facts said was never used, reversed before or not, and whatever they say by now.
    pub corrected: Credits,
}

impl Undone {
    /// Hours of one zone are the same or apart; of another they may overlap.
    fn is_of(&self, kind: PartKind, hour: Timestamp) -> bool {
        self.kind == kind && self.hour < hour + Span::HOUR && hour < self.hour + Span::HOUR
    }
}

impl Drawn {
    /// Takes up to `credits` off what was drawn of `grant`, or off debt, the last first. What it found.
    pub(crate) fn forget(drawn: &mut Vec<Drawn>, grant: Option<GrantId>, credits: Credits) -> Credits {
        let mut due = credits;
        let is_of = |it: &&mut Drawn| !it.is_beyond && it.grant.as_ref().map(|it| it.0) == grant;
        for it in drawn.iter_mut().rev().filter(is_of) {
            let taken = due.min(it.credits);
            it.credits -= taken;
            due -= taken;
        }
        drawn.retain(|it| it.credits.is_positive());
        credits - due
    }
}

impl Server {
    /// What may be reversed of a charge of `charged` for `work`, of which `reversed` were reversed before. Where facts
    /// corrected its hour, no more than they say by now that it comes to: which of its charges they took back, and
    /// which they made instead, nobody knows.
    pub(crate) fn left_of(
        &self,
        work: &Work,
        kind: PartKind,
        (charged, reversed): (Credits, Credits),
        calendar: &Calendar,
    ) -> Credits {
        let tier = tier_of(work);
        let undone = || self.undone.iter().filter(|it| it.is_of(kind, work.hour));
        let corrected: Credits = undone().filter(|it| it.tier == tier).map(|it| it.corrected).sum();
        let beyond: Credits = undone().map(|it| it.reversed - it.set_off).sum();
        let mut left = charged - reversed;
        if corrected.is_positive() {
            // Which hours ran beyond the debt floor, charged to nobody, is not known. And of one that began before all
            // that can be corrected still, facts do not know the whole.
            let comes_to = self.comes_to(work.hour, (kind, &tier), calendar) - self.beyond;
            let comes_to = comes_to.max(charged - corrected);
            left = left.min(comes_to - beyond);
        }
        // Never more than all it was charged.
        left.min(self.set_up + self.runtime).at_least_zero()
    }

    /// What facts come to of an hour on one tier, as far as they can be corrected.
    fn comes_to(&self, hour: Timestamp, (kind, tier): (PartKind, &Text), calendar: &Calendar) -> Credits {
        let end = hour + Span::HOUR;
        let (before, after) = self.facts.split_at(self.facts.partition_point(|it| it.at < hour));
        let within = &after[..after.partition_point(|it| it.at < end)];
        let (mut run, mut parts) = (self.base.clone(), Vec::new());
        play(&mut run, before, hour, calendar, &mut parts).expect("these were taken before");
        parts.clear();
        play(&mut run, within, end.min(self.run.at), calendar, &mut parts).expect("these were taken before");
        parts.iter().filter(|it| it.kind == kind && it.tariff.tier == *tier).map(|it| it.credits).sum()
    }

    /// Takes note that `credits` of `work` were reversed by hand.
    pub(crate) fn reverse(&mut self, work: &Work, kind: PartKind, credits: Credits) {
        self.undone_of(work.hour, kind, &tier_of(work)).reversed += credits;
        match kind {
            PartKind::SetUp => self.set_up -= credits,
            PartKind::Runtime => self.runtime -= credits,
        }
    }

    fn undone_of(&mut self, hour: Timestamp, kind: PartKind, tier: &Text) -> &mut Undone {
        let same = |it: &Undone| it.hour == hour && it.kind == kind && it.tier == *tier;
        let place = self.undone.iter().position(same).unwrap_or_else(|| {
            let (tier, none) = (Arc::clone(tier), Credits::ZERO);
            self.undone.push(Undone { hour, kind, tier, reversed: none, set_off: none, corrected: none });
            self.undone.len() - 1
        });
        &mut self.undone[place]
    }

    /// Lessens corrections by what was reversed of their hours; and where facts say again that time was used, by what
    /// had been set off against them before.
    pub(super) fn set_off(&mut self, parts: &mut [Part]) {
        for part in parts {
            if part.credits < Credits::ZERO {
                self.undone_of(part.hour, part.kind, &part.tariff.tier).corrected -= part.credits;
            }
            let (kind, hour) = (part.kind, part.hour);
            for it in self.undone.iter_mut().filter(|it| it.is_of(kind, hour)) {
                let set_off = if part.credits < Credits::ZERO {
                    (it.reversed - it.set_off).min(-part.credits)
                } else {
                    -it.set_off.min(part.credits)
                };
                it.set_off += set_off;
                part.credits += set_off;
                part.set_off += set_off;
            }
        }
    }

    /// Forgets hours of which no fact can tell anything any more.
    pub(crate) fn forget_undone(&mut self, at: Timestamp) {
        let horizon = at - KEPT - Span::HOUR.times(2);
        self.undone.retain(|it| horizon <= it.hour);
    }
}

fn tier_of(work: &Work) -> Text {
    let found = work.usage.dimensions.iter().find(|(name, _)| &**name == "tier");
    found.map_or_else(|| "".into(), |(_, tier)| Arc::clone(tier))
}
