//! The servers of one account, by name, on racks.
//!
//! A book is kept in many versions at once, and settling one server of a thousand must not copy or look at the
//! thousand. So versions share racks: changing a server copies the rack it stands on. A rack says when something
//! of it is due, so the next settlement is found by a look at each rack; and what all have accrued at one instant is
//! kept, so that settling an hour costs the same for each server, however many there are.
//!
//! Invariant: what a rack says and what is kept follow from the servers, and are no part of what a fleet is.
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Phase, Server};
use crate::id::Name;
use crate::ledger::LATE_MAX;
use crate::money::Credits;
use crate::time::Timestamp;
use crate::zone::Calendar;

/// Servers on one rack, at most: copying one costs about what looking at all racks of a thousand servers does.
const RACK_MAX: usize = 32;

#[derive(Clone, Debug, Default)]
pub struct Fleet {
    /// In order of name; none is empty.
    racks: Vec<Arc<Rack>>,
    /// An instant, and what all servers have used by then and not settled.
    accrued: Option<(Timestamp, Credits)>,
}

#[derive(Clone, Debug)]
struct Rack {
    servers: Vec<Arc<Server>>,
    brief: Brief,
}

/// What is to be known of a rack without looking at its servers.
#[derive(Clone, Copy, Debug)]
struct Brief {
    /// The soonest end of an hour, or of a month, of one that runs.
    boundary: Timestamp,
    /// Up to where all that run are settled.
    settled_until: Timestamp,
    has_pending: bool,
    /// Whether one runs, and its time costs anything.
    burns: bool,
    /// Whether one is not over.
    lives: bool,
    /// When one that is over may be forgotten.
    forget_at: Timestamp,
}

/// Instants at which servers settle though no hour ends, because what pays for them changes.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    /// The instant of the book is one itself.
    pub is_now: bool,
    /// The next one after it.
    pub next: Timestamp,
}

impl Brief {
    fn of(servers: &[Arc<Server>], calendar: &Calendar) -> Brief {
        let mut brief = Brief {
            boundary: Timestamp::NEVER,
            settled_until: Timestamp::NEVER,
            has_pending: false,
            burns: false,
            lives: false,
            forget_at: Timestamp::NEVER,
        };
        for server in servers {
            brief.has_pending |= !server.pending.is_empty();
            brief.burns |= server.burns();
            brief.lives |= !server.run.phase.is_over();
            if server.run.phase == Phase::Running {
                brief.boundary = brief.boundary.min(server.boundary(calendar));
                brief.settled_until = brief.settled_until.min(server.run.at);
            }
            if server.run.phase.is_over() && server.pending.is_empty() {
                brief.forget_at = brief.forget_at.min(server.run.at + LATE_MAX);
            }
        }
        brief
    }

    /// When something of it settles, in a book of `at`.
    fn due_at(&self, at: Timestamp, cut: Cut) -> Timestamp {
        due_at((self.has_pending, self.boundary, self.settled_until), at, cut)
    }
}

fn due_at((is_pending, boundary, settled_until): (bool, Timestamp, Timestamp), at: Timestamp, cut: Cut) -> Timestamp {
    if is_pending || (cut.is_now && settled_until < at) {
        return at;
    }
    if boundary == Timestamp::NEVER { Timestamp::NEVER } else { boundary.min(cut.next).max(at) }
}

impl Rack {
    fn new(servers: Vec<Arc<Server>>, calendar: &Calendar) -> Arc<Rack> {
        let brief = Brief::of(&servers, calendar);
        Arc::new(Rack { servers, brief })
    }
    fn place_of(&self, id: &Name) -> Result<usize, usize> {
        self.servers.binary_search_by(|it| it.id.cmp(id))
    }
}

impl PartialEq for Fleet {
    fn eq(&self, other: &Fleet) -> bool {
        self.iter().eq(other.iter())
    }
}
impl Eq for Fleet {}

impl Fleet {
    /// Of servers that stand in order of name.
    pub fn of(servers: Vec<Arc<Server>>, calendar: &Calendar) -> Fleet {
        let racks = servers.chunks(RACK_MAX).map(|it| Rack::new(it.to_vec(), calendar)).collect();
        Fleet { racks, accrued: None }
    }

    /// By name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Server>> {
        self.racks.iter().flat_map(|it| it.servers.iter())
    }
    pub fn is_empty(&self) -> bool {
        self.racks.is_empty()
    }
    pub fn get(&self, id: &Name) -> Option<&Arc<Server>> {
        let rack = self.racks.get(self.rack_of(id))?;
        rack.place_of(id).ok().map(|it| &rack.servers[it])
    }

    /// Whether time on any costs anything.
    pub fn burns(&self) -> bool {
        self.racks.iter().any(|it| it.brief.burns)
    }
    /// Whether any is not over.
    pub fn lives(&self) -> bool {
        self.racks.iter().any(|it| it.brief.lives)
    }

    /// Used by all at `at` and not settled.
    pub fn accrued(&self, at: Timestamp, calendar: &Calendar) -> Credits {
        match self.accrued {
            Some((kept, credits)) if kept == at => credits,
            _ => self.iter().map(|it| it.unsettled(at, calendar)).sum(),
        }
    }

    /// Keeps at hand what all have accrued at `at`.
    pub fn keep_accrued(&mut self, at: Timestamp, calendar: &Calendar) {
        self.accrued = Some((at, self.accrued(at, calendar)));
    }

    /// The server that settles next in a book of `at`, and when: of those at one instant the first by name.
    pub fn next_settlement(&self, at: Timestamp, cut: Cut, calendar: &Calendar) -> Option<(Timestamp, &Name)> {
        let soonest = self.racks.iter().min_by_key(|it| it.brief.due_at(at, cut))?;
        let when = soonest.brief.due_at(at, cut);
        let server = soonest.servers.iter().find(|it| {
            let is_running = it.run.phase == Phase::Running;
            let (boundary, settled_until) =
                if is_running { (it.boundary(calendar), it.run.at) } else { (Timestamp::NEVER, Timestamp::NEVER) };
            due_at((!it.pending.is_empty(), boundary, settled_until), at, cut) == when
        })?;
        (when < Timestamp::NEVER).then_some((when, &server.id))
    }

    /// Whether all but `id` are settled up to `at`.
    pub fn is_settled_but(&self, id: &Name, at: Timestamp) -> bool {
        let own = self.rack_of(id);
        self.racks.iter().enumerate().all(|(place, rack)| {
            if place != own {
                return !rack.brief.has_pending && at <= rack.brief.settled_until;
            }
            let waits = |it: &Server| it.run.phase == Phase::Running && it.run.at < at;
            !rack.servers.iter().any(|it| it.id != *id && (waits(it) || !it.pending.is_empty()))
        })
    }

    /// Puts a new server in its place.
    pub fn insert(&mut self, server: Server, calendar: &Calendar) {
        if let Some((at, credits)) = &mut self.accrued {
            *credits += server.unsettled(*at, calendar);
        }
        if self.racks.is_empty() {
            self.racks.push(Rack::new(Vec::from([Arc::new(server)]), calendar));
            return;
        }
        let number = self.rack_of(&server.id).min(self.racks.len() - 1);
        let mut servers = self.racks[number].servers.clone();
        let place = self.racks[number].place_of(&server.id).expect_err("a server is new once");
        servers.insert(place, Arc::new(server));
        if RACK_MAX < servers.len() {
            let rest = servers.split_off(servers.len() / 2);
            self.racks.insert(number + 1, Rack::new(rest, calendar));
        }
        self.racks[number] = Rack::new(servers, calendar);
    }

    /// Changes a server that is there.
    pub fn change<T>(&mut self, id: &Name, calendar: &Calendar, change: impl FnOnce(&mut Server) -> T) -> T {
        let number = self.rack_of(id);
        let rack = Arc::make_mut(&mut self.racks[number]);
        let place = rack.place_of(id).expect("a server that changes is there");
        let server = Arc::make_mut(&mut rack.servers[place]);
        let before = self.accrued.map(|(at, _)| server.unsettled(at, calendar));
        let done = change(server);
        if let (Some((at, credits)), Some(before)) = (&mut self.accrued, before) {
            *credits += server.unsettled(*at, calendar) - before;
        }
        rack.brief = Brief::of(&rack.servers, calendar);
        done
    }

    /// Counts by another calendar from here on.
    pub fn recount(&mut self, calendar: &Calendar) {
        self.accrued = None;
        for rack in &mut self.racks {
            let rack = Arc::make_mut(rack);
            rack.brief = Brief::of(&rack.servers, calendar);
        }
    }

    /// Forgets those that are over, and so long that nothing more can be told of them.
    pub fn forget(&mut self, at: Timestamp, calendar: &Calendar) {
        if self.racks.iter().all(|it| at < it.brief.forget_at) {
            return;
        }
        for rack in &mut self.racks {
            let rack = Arc::make_mut(rack);
            let is_over = |it: &Server| it.run.phase.is_over() && it.pending.is_empty();
            rack.servers.retain(|it| !is_over(it) || at < it.run.at + LATE_MAX);
            rack.brief = Brief::of(&rack.servers, calendar);
        }
        self.racks.retain(|it| !it.servers.is_empty());
    }

    /// The rack a server stands on, if it is there.
    fn rack_of(&self, id: &Name) -> usize {
        self.racks.partition_point(|it| it.servers.last().is_some_and(|last| last.id < *id))
    }
}
