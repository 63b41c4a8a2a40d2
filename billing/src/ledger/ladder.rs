//! The ladder: what happens as credits run out under running servers, each rung once.
//!
//! Runway notices, zero, grace, stop, release, and back. Decided from the book alone and posted like everything that
//! time brings about. Must never know who acts on it: Scrip decides and tells, the platform acts.
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::command::Command;
use super::journal::{Balance, What};
use super::notice::{Notice, Rung};
use super::{Book, Grant};
use crate::id::Name;
use crate::money::Credits;
use crate::server::{Phase, Server};
use crate::time::{Span, Timestamp};
use crate::usage::SERVER_METER;

/// What lies further ahead than this is not foretold: ten years.
pub const RUNWAY_MAX: Span = Span::DAY.times(3_650);

/// How long servers may run on when the credits have run out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grace {
    pub lasts: Span,
    /// The grace ends early where the debt comes to this.
    pub debt_max: Credits,
    /// From the end of the grace until servers may be released.
    pub release_after: Span,
    /// The runways of which it is told before: the rungs of the ladder, longest first.
    pub runway: [Span; 3],
}

impl Grace {
    /// The runways where nothing is said.
    pub const RUNWAY: [Span; 3] = [Span::DAY.times(7), Span::DAY.times(3), Span::DAY];
}

impl Default for Grace {
    fn default() -> Grace {
        Grace {
            lasts: Span::HOUR.times(72),
            debt_max: Credits::whole(5_000),
            release_after: Span::DAY.times(7),
            runway: Grace::RUNWAY,
        }
    }
}

/// Where an account stands on the ladder.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ladder {
    /// The nearest rung of runway that was told.
    pub rung: Rung,
    /// When credits ran out under running servers.
    pub zero_at: Option<Timestamp>,
    /// When stopping was told.
    pub stop_at: Option<Timestamp>,
    /// When releasing was told.
    pub release_at: Option<Timestamp>,
}

impl Ladder {
    pub(super) fn take(&mut self, notice: &Notice, at: Timestamp) {
        match notice {
            Notice::RunwayLow { rung, .. } | Notice::RunwayRecovered { rung } => self.rung = *rung,
            Notice::Exhausted { .. } => self.zero_at = Some(at),
            Notice::StopDue { .. } => self.stop_at = Some(at),
            Notice::ReleaseDue { .. } => self.release_at = Some(at),
            Notice::Recovered { .. } => {
                (self.zero_at, self.stop_at, self.release_at) = (None, None, None);
            }
            Notice::BudgetReached { .. } | Notice::BudgetStop { .. } | Notice::BudgetResume { .. } => {}
        }
    }
}

impl Book {
    /// When running servers will have used up what is available, if nothing else happens. Exact to the millisecond,
    /// with minimums, caps, month boundaries and expiries ahead; none where that is not within [`RUNWAY_MAX`].
    pub fn runs_out_at(&self, at: Timestamp) -> Option<Timestamp> {
        if !self.servers().burns() {
            return None;
        }
        self.falls_to(Credits::ZERO, at, at + RUNWAY_MAX)
    }

    /// The first instant from `from` to `until` at which `floor` or less is available. What is available only falls
    /// while nothing but time happens, so bisection finds the instant.
    fn falls_to(&self, floor: Credits, from: Timestamp, until: Timestamp) -> Option<Timestamp> {
        if self.available_ahead(from) <= floor {
            return Some(from);
        }
        if floor < self.available_ahead(until) {
            return None;
        }
        let (mut above, mut below) = (from.millis(), until.millis());
        while 1 < below - above {
            let middle = above + (below - above) / 2;
            if self.available_ahead(Timestamp::from_millis(middle)) <= floor { below = middle } else { above = middle }
        }
        Some(Timestamp::from_millis(below))
    }

    /// Whether a server may be paid from it.
    fn pays_servers(&self, grant: &Grant) -> bool {
        let of_one = || self.servers().iter().any(|it| grant.admits(SERVER_METER, it.project.as_ref()));
        grant.admits(SERVER_METER, None) || of_one()
    }

    /// Credits available to servers at `at`, now or ahead, if only they spend; they use first what expires first.
    fn available_ahead(&self, at: Timestamp) -> Credits {
        let usable = |it: &&Grant| !it.is_frozen && it.terms.effective_at <= at && self.pays_servers(it);
        let free: Credits = self.grants.iter().filter(usable).map(|it| it.remaining).sum();
        let mut expiring: Vec<(Timestamp, Credits)> = self
            .grants
            .iter()
            .filter(usable)
            .filter(|it| it.expires_at() <= at && it.remaining.is_positive())
            .map(|it| (it.expires_at(), self.expiring(it)))
            .collect();
        expiring.sort_unstable();
        let (mut lost, mut expired) = (Credits::ZERO, Credits::ZERO);
        for (when, credits) in expiring {
            expired += credits;
            lost = lost.max(expired - self.accrued(when.max(self.at)));
        }
        free - lost - self.debt - self.accrued(at)
    }

    /// When the ladder has its next step, if that is before `next`, the instant at which something else is due.
    pub(super) fn ladder_due(&self, next: Timestamp) -> Option<Timestamp> {
        if !self.has_servers() || next <= self.at {
            return None;
        }
        let ladder = &self.burning.ladder;
        let grace = &self.burning.terms.grace;
        let burns = self.servers().burns();
        let lives = self.servers().lives();
        let not_before = |when: Timestamp| when.max(self.at);
        match (ladder.zero_at, ladder.stop_at) {
            (None, _) if burns => self.falls_to(Credits::ZERO, self.at, next),
            (Some(zero), None) if burns => {
                let over = not_before(zero + grace.lasts);
                Some(self.falls_to(-grace.debt_max, self.at, next).map_or(over, |floor| floor.min(over)))
            }
            (_, Some(stop)) if lives && ladder.release_at.is_none() => Some(not_before(stop + grace.release_after)),
            _ => None,
        }
    }

    /// What a transaction gives occasion to say.
    pub(super) fn notices(&self, command: &Command, what: &What, after: &Balance, at: Timestamp) -> Vec<Notice> {
        let mut notices = Vec::new();
        let ladder = &self.burning.ladder;
        if ladder.zero_at.is_some() && after.debt.is_zero() && self.for_servers(what, after, at).is_positive() {
            let servers = if ladder.stop_at.is_some() { self.names(|it| !it.run.phase.is_over()) } else { Vec::new() };
            notices.push(Notice::Recovered { servers });
        }
        match command {
            Command::Ladder => notices.extend(self.step(at)),
            // Nobody is left who would pay for them: whatever the credits, they are to be given up.
            Command::Close if self.servers().lives() => notices.push(self.release_due()),
            // Once an hour, when the last server has settled it.
            Command::Settle { server } if self.is_last_to_settle(server, at) => notices.extend(self.runway(at)),
            Command::Server(_) => {
                let mut next = self.clone();
                if let What::Server(report) = what {
                    next.apply_report(report, at);
                }
                notices.extend(next.runway(at));
            }
            _ => {}
        }
        notices
    }

    /// What is available to servers once `what` is done.
    fn for_servers(&self, what: &What, after: &Balance, at: Timestamp) -> Credits {
        let others = self.grants.iter().filter(|it| it.live_at(at) && !self.pays_servers(it));
        let mut apart: Credits = others.map(|it| it.remaining).sum();
        if let What::Granted { grant, terms } = what
            && terms.live_at(at)
            && !self.pays_servers(&Grant::new(*grant, Arc::clone(terms), terms.expires_at))
        {
            apart += terms.credits;
        }
        after.available() - apart
    }

    fn step(&self, at: Timestamp) -> Option<Notice> {
        let ladder = &self.burning.ladder;
        let grace = &self.burning.terms.grace;
        Some(match (ladder.zero_at, ladder.stop_at) {
            (None, _) => Notice::Exhausted { grace_until: at + grace.lasts, debt_max: grace.debt_max },
            (Some(_), None) => Notice::StopDue { servers: self.names(|it| it.run.phase == Phase::Running) },
            (Some(_), Some(_)) => self.release_due(),
        })
    }

    fn release_due(&self) -> Notice {
        Notice::ReleaseDue { servers: self.names(|it| !it.run.phase.is_over()) }
    }

    /// The rung the runway is on, when it is another than was told.
    fn runway(&self, at: Timestamp) -> Option<Notice> {
        let burns = self.servers().burns();
        let runway = &self.burning.terms.grace.runway;
        let is_within = |rung: &Rung| match rung.within(runway) {
            Some(span) => burns && self.available_ahead(at + span) <= Credits::ZERO,
            None => true,
        };
        let told = self.burning.ladder.rung;
        let rung = Rung::ALL.into_iter().find(is_within).unwrap_or_default();
        if rung == told {
            return None;
        }
        if rung < told {
            return Some(Notice::RunwayRecovered { rung });
        }
        let runs_out_at = self.falls_to(Credits::ZERO, at, at + runway[0]).unwrap_or(at);
        Some(Notice::RunwayLow { rung, runs_out_at })
    }

    fn names(&self, only: impl Fn(&Server) -> bool) -> Vec<Name> {
        self.servers().iter().filter(|it| only(it)).map(|it| it.id.clone()).collect()
    }
}
