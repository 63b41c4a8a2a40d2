//! Burn: what running servers use, as part of the book.
//!
//! Reports are written down as they come; what they cost is due from then on and settled an hour at a time, each
//! settlement a charge of its own that moves the server's meter by the stretch it settles. Invariant: a stretch is
//! settled once, because the meter that says what is unsettled is in the book that the settlement changes.
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::journal::{Draw, Reversal, Transaction, What, Work};
use super::ladder::{Grace, Ladder};
use super::{Book, Due, EARLY_MAX, Grant, LATE_MAX};
use crate::calendar::Date;
use crate::id::{GrantId, Name};
use crate::money::Credits;
use crate::rating::{Price, PriceLine, Text, Usage};
use crate::refusal::Refusal;
use crate::server::{
    Change, Cut, Denied, Drawn, Fleet, PROVISIONED, Part, PartKind, Phase, RUNTIME_SECONDS, Server, Tariff,
};
use crate::time::{Span, Timestamp};
use crate::usage::SERVER_METER;
use crate::zone::Calendar;

/// Servers an account may have that are not released: a bound on what one decision looks at.
pub const SERVERS_MAX: usize = 1_000;

/// How far a clock that tells of a server's start may be behind the one by which it was ordered.
const SKEW_MAX: Span = Span::MINUTE;

/// By what burning is counted; whoever reports of a server knows it and tells it with the report.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BurnTerms {
    pub calendar: Calendar,
    pub grace: Grace,
}

/// All that a book knows of burning.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Burning {
    pub terms: Arc<BurnTerms>,
    pub servers: Fleet,
    pub ladder: Ladder,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ServerAct {
    Provision { project: Option<Name>, tariff: Arc<Tariff> },
    Change(Change),
}

/// Something told of a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerReport {
    pub server: Name,
    pub act: ServerAct,
    /// When it happened.
    pub at: Timestamp,
    /// In a command always; in the journal where they are news.
    pub terms: Option<Arc<BurnTerms>>,
}

/// The stretch of a server's life that a charge settles or a reversal takes back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settled {
    pub server: Name,
    pub kind: PartKind,
    /// Where the meter is moved to; none for what a report closed or corrected, which waited in line.
    pub until: Option<Timestamp>,
    /// Of it beyond the debt floor: not charged, or taken back of what was not.
    pub beyond: Credits,
}

impl Book {
    /// Servers by name: all that are not released, and those released lately.
    pub fn servers(&self) -> &Fleet {
        &self.burning.servers
    }
    pub fn server(&self, id: &Name) -> Option<&Arc<Server>> {
        self.burning.servers.get(id)
    }
    pub fn burning(&self) -> &Burning {
        &self.burning
    }
    /// Puts back what was stored of a book beside what its journal led to.
    pub fn resume(&mut self, burning: Burning) {
        self.burning = burning;
        self.due_at = self.next_due().map_or(Timestamp::NEVER, |(when, _)| when);
    }

    /// Used by servers and not settled.
    pub fn accrued(&self, at: Timestamp) -> Credits {
        self.burning.servers.accrued(at, self.calendar())
    }

    pub(super) fn calendar(&self) -> &Calendar {
        &self.burning.terms.calendar
    }
    pub(super) fn has_servers(&self) -> bool {
        !self.burning.servers.is_empty()
    }

    /// What servers have used of the credits that work of `meter` for `project` could be paid from: what they accrued,
    /// less what grants take that are for servers and not for this work.
    pub(super) fn burnt_of(&self, meter: &str, project: Option<&Name>, at: Timestamp) -> Credits {
        if !self.has_servers() {
            return Credits::ZERO;
        }
        self.taken_of((meter, project), at, self.accrued(at), |it| it.unsettled(at, self.calendar()))
    }

    /// What servers have used and not settled of grants that do not pay for work of `meter` for `project`.
    pub(super) fn burnt_apart(&self, meter: &str, project: Option<&Name>, at: Timestamp) -> Credits {
        self.accrued(at) - self.burnt_of(meter, project, at)
    }

    /// What servers have used and not settled that a grant could pay for, if it were the first that is drawn.
    pub(super) fn burnt_from(&self, grant: &Grant, at: Timestamp) -> Credits {
        self.taken_from(grant, |it| it.unsettled(at, self.calendar()))
    }

    /// What `each` server takes of a grant, if it were the first that is drawn.
    fn taken_from(&self, grant: &Grant, each: impl Fn(&Server) -> Credits) -> Credits {
        let own = self.servers().iter().filter(|it| grant.admits(SERVER_METER, it.project.as_ref()));
        own.map(|it| each(it)).sum::<Credits>().min(grant.remaining).at_least_zero()
    }

    /// What `each` server takes, which is `all` together, of grants that pay for work of `meter` for `project`.
    fn taken_of(
        &self,
        (meter, project): (&str, Option<&Name>),
        at: Timestamp,
        all: Credits,
        each: impl Fn(&Server) -> Credits,
    ) -> Credits {
        let apart = self.grants.iter().filter(|it| it.live_at(at) && !it.admits(meter, project));
        all - apart.map(|it| self.taken_from(it, &each)).sum::<Credits>().min(all.at_least_zero())
    }

    /// What servers that are still being provisioned will cost at least, of the credits that one of `project` could be
    /// paid from: nothing of it has begun, and all of it is bespoken.
    fn bespoken(&self, project: Option<&Name>, at: Timestamp) -> Credits {
        if !self.has_servers() {
            return Credits::ZERO;
        }
        let takes = |it: &Server| it.unsettled(at, self.calendar()) + it.to_come();
        let all = self.servers().iter().map(|it| takes(it)).sum();
        self.taken_of((SERVER_METER, project), at, all, takes) - self.burnt_of(SERVER_METER, project, at)
    }

    /// The next settlement of a server.
    pub(super) fn settlement(&self) -> Option<(Timestamp, Due)> {
        if !self.has_servers() {
            return None;
        }
        let (server, when) = {
            let (when, server) = self.servers().next_settlement(self.at, self.cut(), self.calendar())?;
            (server.clone(), when)
        };
        Some((when, Due::Settle(server)))
    }

    /// What is used while a grant lives is paid from it: servers settle before one expires, and before one begins.
    fn cut(&self) -> Cut {
        let mut cut = Cut { is_now: false, next: Timestamp::NEVER };
        for grant in self.grants.iter().filter(|it| it.remaining.is_positive()) {
            // One that took effect as it was made was no credit before.
            let begins = Some(grant.terms.effective_at).filter(|it| grant.id.made_at() < *it);
            // The last instant it lives: at the next, nothing is drawn from it any more.
            let ends = Some(grant.expires_at()).filter(|it| *it < Timestamp::NEVER && !grant.is_frozen);
            let ends = ends.map(|it| it - Span::from_millis(1));
            for instant in begins.into_iter().chain(ends) {
                cut.is_now |= instant == self.at;
                if self.at < instant {
                    cut.next = cut.next.min(instant);
                }
            }
        }
        cut
    }

    /// Whether every other server that runs has been settled up to `at`.
    pub(super) fn is_last_to_settle(&self, server: &Name, at: Timestamp) -> bool {
        self.servers().is_settled_but(server, at)
    }

    pub(super) fn report(&self, report: &ServerReport, at: Timestamp) -> Result<What, Refusal> {
        if at + EARLY_MAX < report.at {
            return Err(Refusal::invalid("at", "is in the future; report what has happened"));
        }
        // When prices took effect is known for good.
        if report.at < at - LATE_MAX && !matches!(report.act, ServerAct::Change(Change::Prices(_))) {
            return Err(Refusal::invalid("at", "is more than 35 days ago"));
        }
        let terms = report.terms.as_ref().unwrap_or(&self.burning.terms);
        let known = self.server(&report.server);
        let mut happened_at = report.at.min(at);
        match (&report.act, known) {
            (ServerAct::Provision { project, tariff }, None) => {
                let live = self.servers().iter().filter(|it| !it.run.phase.is_over()).count();
                if self.closed {
                    return Err(Refusal::AccountClosed);
                }
                if SERVERS_MAX <= live {
                    return Err(Refusal::ServerConflict { why: format!("is one too many: {SERVERS_MAX} is the most") });
                }
                let required = tariff.least();
                self.affords(project.as_ref(), required, at)?;
            }
            (ServerAct::Provision { project, tariff }, Some(server)) => {
                let ordered = (&server.project, &server.run.tariff.tier, &server.run.tariff.region);
                return Err(match ordered == (project, &tariff.tier, &tariff.region) && !server.run.phase.is_over() {
                    true => Refusal::ServerUnchanged,
                    false => conflict("exists, and is another; resize it, or choose another id"),
                });
            }
            (ServerAct::Change(_), None) => return Err(Refusal::ServerNotFound),
            (ServerAct::Change(Change::Start(_)), Some(_)) if self.closed => return Err(Refusal::AccountClosed),
            (ServerAct::Change(change), Some(server)) => {
                if happened_at + SKEW_MAX < server.provisioned_at {
                    let why = "is before the server was ordered; PUT the server with an earlier `at` of its own";
                    return Err(Refusal::invalid("at", why));
                }
                happened_at = happened_at.max(server.provisioned_at);
                let mut next = (**server).clone();
                next.change(change, happened_at, &terms.calendar).map_err(|it| denied(it, change))?;
                let starts = (server.run.phase, next.run.phase) == (Phase::Stopped, Phase::Running);
                if let (Change::Start(_), true) = (change, starts) {
                    let tariff = &next.run.tariff;
                    self.affords(server.project.as_ref(), tariff.uncapped(tariff.minimum_seconds), at)?;
                }
            }
        }
        let terms = report.terms.clone().filter(|it| **it != *self.burning.terms);
        Ok(What::Server(ServerReport { at: happened_at, terms, ..report.clone() }))
    }

    /// Refuses to let a server start on what is not there, or on what others that were ordered before will start on.
    fn affords(&self, project: Option<&Name>, required: Credits, at: Timestamp) -> Result<(), Refusal> {
        let available = self.spendable(SERVER_METER, project, at);
        let required = required.max(Credits::from_micros(1));
        self.has_budget_to_start(project, required, at)?;
        let required = required + self.bespoken(project, at);
        if available < required { Err(Refusal::InsufficientCredits { required, available }) } else { Ok(()) }
    }

    /// Settles the next stretch of a server.
    pub(super) fn settle(&self, server: &Name, at: Timestamp) -> Result<What, Refusal> {
        let server = self.server(server).ok_or(Refusal::ServerNotFound)?;
        let (part, is_pending) = server.next_part(at, self.calendar());
        let until = if is_pending { None } else { Some(at.min(server.boundary(self.calendar()))) };
        let kind = part.as_ref().map_or(PartKind::Runtime, |it| it.kind);
        let mut settled = Settled { server: server.id.clone(), kind, until, beyond: Credits::ZERO };
        let mut work = self.work_of(server, part.as_ref());
        let credits = part.as_ref().map_or(Credits::ZERO, |it| it.credits);
        if part.is_some_and(|it| it.credits < Credits::ZERO || it.seconds < 0) {
            return Ok(What::Reversed(self.take_back(server, Arc::new(work), settled, at)));
        }
        let (draws, wanted) = self.draw(&work, credits, at);
        // Debt ends at the floor: whatever runs on below it, nobody is charged for.
        let owed = wanted.min(self.debt.short_of(self.burning.terms.grace.debt_max));
        settled.beyond = wanted - owed;
        if settled.beyond.is_positive() {
            let (item, unit, less) = ("Beyond the debt floor".into(), "charge".into(), -settled.beyond);
            work.price.lines.push(PriceLine { item, quantity: 1, unit, unit_price: less, per: 1, credits: less });
            work.price.credits += less;
        }
        let (work, credits) = (Arc::new(work), credits - settled.beyond);
        Ok(What::Charged { work, credits, draws, owed, closing: None, settled: Some(settled) })
    }

    /// A stretch as work. Of a correction its size: the transaction says in which direction it goes.
    fn work_of(&self, server: &Server, part: Option<&Part>) -> Work {
        let tariff = part.map_or(&server.run.tariff, |it| &it.tariff);
        let size = |credits: Credits| credits.max(-credits);
        let (quantity, unit, item) = match part.map(|it| it.kind) {
            Some(PartKind::SetUp) => (PROVISIONED, "server", format!("Set-up, {}", tariff.tier)),
            _ => (RUNTIME_SECONDS, "second", format!("Runtime, {}", tariff.tier)),
        };
        let seconds = part.map_or(0, |it| it.seconds.unsigned_abs());
        let (credits, uncapped) = part.map_or_else(Default::default, |it| (size(it.credits), size(it.uncapped)));
        let (unit_price, per) = match part.map(|it| it.kind) {
            Some(PartKind::SetUp) => (tariff.set_up, 1),
            _ => (tariff.price, tariff.per_seconds),
        };
        let unit = Text::from(unit);
        let line = PriceLine { item: item.into(), quantity: seconds, unit, unit_price, per, credits: uncapped };
        let mut lines = Vec::from([line]);
        // What was reversed of the hour by hand is not given back again, nor charged if it was used after all.
        let set_off = -part.map_or(Credits::ZERO, |it| size(it.set_off));
        let capped = credits - set_off - uncapped;
        for (item, less) in [("Monthly cap", capped), ("Reversed before", set_off)] {
            if !less.is_zero() {
                let (item, unit) = (item.into(), "charge".into());
                lines.push(PriceLine { item, quantity: 1, unit, unit_price: less, per: 1, credits: less });
            }
        }
        let mut dimensions: Vec<(Text, Text)> = Vec::new();
        dimensions.extend(tariff.region.as_ref().map(|it| ("region".into(), Arc::clone(it))));
        dimensions.push(("tier".into(), Arc::clone(&tariff.tier)));
        let occurred_at = part.map_or(server.run.at, |it| it.from);
        Work {
            usage: Usage {
                meter: SERVER_METER.into(),
                quantities: Vec::from([(quantity.into(), seconds)]),
                dimensions,
            },
            price: Price { credits, lines, rate_card: tariff.rate_card },
            project: server.project.clone(),
            actor: None,
            resource: Some(server.id.clone()),
            occurred_at,
            hour: part.map_or_else(|| self.calendar().hour_start(occurred_at), |it| it.hour),
            quote: None,
            metadata: None,
            evidence: None,
            once: None,
        }
    }

    /// What will be accrued once `what` is done, which only moves meters.
    pub(super) fn accrued_after(&self, what: &What, at: Timestamp) -> Credits {
        let mut next = self.clone();
        match what {
            What::Server(report) => next.apply_report(report, at),
            What::BurnTerms(terms) => next.apply_burn_terms(terms),
            _ => {}
        }
        next.accrued(at)
    }

    pub(super) fn apply_report(&mut self, report: &ServerReport, at: Timestamp) {
        if let Some(terms) = &report.terms {
            self.apply_burn_terms(terms);
        }
        let calendar = &self.burning.terms.calendar;
        match &report.act {
            ServerAct::Provision { project, tariff } => {
                let (id, tariff) = (report.server.clone(), Arc::clone(tariff));
                let server = Server::provision(id, project.clone(), tariff, report.at);
                self.burning.servers.insert(server, calendar);
            }
            ServerAct::Change(change) => {
                let change = |server: &mut Server| {
                    // One that stands still settles nothing, and would remember for ever.
                    server.forget_undone(at);
                    server.change(change, report.at, calendar)
                };
                let changed = self.burning.servers.change(&report.server, calendar, change);
                assert_eq!(changed, Ok(()), "a report was decided on");
            }
        }
    }

    pub(super) fn apply_burn_terms(&mut self, terms: &Arc<BurnTerms>) {
        self.burning.terms = Arc::clone(terms);
        self.burning.servers.recount(&terms.calendar);
    }

    /// Moves the meter by what was settled, and remembers what it drew.
    pub(super) fn apply_settlement(&mut self, transaction: &Transaction) {
        if let What::Reversed(reversal @ Reversal { of_server: Some(server), .. }) = &transaction.what {
            return self.apply_reversal_of(server, reversal, transaction.at);
        }
        let (What::Charged { settled: Some(settled), .. } | What::Reversed(Reversal { settled: Some(settled), .. })) =
            &transaction.what
        else {
            return;
        };
        let terms_of = |id: GrantId| {
            let found = self.grant(id).expect("a grant that is drawn from is in the book");
            (id, Arc::clone(&found.terms))
        };
        let mut drawn = Vec::new();
        if let What::Charged { draws, owed, .. } = &transaction.what {
            let drawn_of = |it: &Draw| Drawn { grant: Some(terms_of(it.grant)), credits: it.credits, is_beyond: false };
            drawn.extend(draws.iter().map(drawn_of));
            let others = [(*owed, false), (settled.beyond, true)].into_iter().filter(|it| it.0.is_positive());
            drawn.extend(others.map(|(credits, is_beyond)| Drawn { grant: None, credits, is_beyond }));
        }
        let calendar = &self.burning.terms.calendar;
        self.burning.servers.change(&settled.server, calendar, |server| {
            drawn.into_iter().for_each(|it| server.remember(it));
            match settled.until {
                Some(until) => server.settle_until(until, calendar),
                None => drop(server.settle_pending()),
            }
            match &transaction.what {
                What::Charged { .. } => {
                    server.waive(settled.kind, settled.beyond);
                    server.last_charge = Some(transaction.charge_id());
                }
                What::Reversed(reversal) => {
                    server.waive(settled.kind, -settled.beyond);
                    server.forget_drawn(reversal.credits + settled.beyond);
                }
                _ => unreachable!("only charges and reversals settle"),
            }
        });
    }

    /// Keeps at hand what servers have accrued at `at`: all that is decided at one instant asks for it.
    pub(super) fn keep_accrued(&mut self, at: Timestamp) {
        if self.has_servers() {
            let Burning { terms, servers, .. } = &mut self.burning;
            servers.keep_accrued(at, &terms.calendar);
        }
    }

    /// Servers that are gone, and so long that nothing more can be told of them.
    pub(super) fn forget_servers(&mut self, at: Timestamp) {
        let Burning { terms, servers, .. } = &mut self.burning;
        servers.forget(at, &terms.calendar);
    }
}

fn conflict(why: &str) -> Refusal {
    Refusal::ServerConflict { why: why.to_string() }
}

fn denied(denied: Denied, change: &Change) -> Refusal {
    match denied {
        Denied::Unchanged => Refusal::ServerUnchanged,
        Denied::Impossible(phase) => conflict(&format!("is {phase} at that time, and cannot {}", change.as_str())),
        Denied::Barred { by, at } => {
            conflict(&format!("cannot {} at that time: it was reported to {by} later, at {}", change.as_str(), utc(at)))
        }
        Denied::Forgotten(at) => {
            conflict(&format!("was reported of so often lately that what was before {} is settled for good", utc(at)))
        }
    }
}

/// An instant as people read it.
fn utc(at: Timestamp) -> String {
    let Date { year, month, day } = Date::of(at);
    let of_day = at.millis().rem_euclid(Span::DAY.millis()) / 1_000;
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}
