//! A server's meter: where it stands at an instant, and what moving it ahead counts.
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::{fmt, mem};

use super::{Change, Tariff};
use crate::money::Credits;
use crate::time::{Span, Timestamp};
use crate::zone::{Calendar, Period};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Phase {
    /// Ordered; nothing runs yet.
    Provisioning,
    Running,
    Stopped,
    Released,
    Failed,
}

impl Phase {
    pub const ALL: [Phase; 5] = [Phase::Provisioning, Phase::Running, Phase::Stopped, Phase::Released, Phase::Failed];

    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Provisioning => "provisioning",
            Phase::Running => "running",
            Phase::Stopped => "stopped",
            Phase::Released => "released",
            Phase::Failed => "failed",
        }
    }
    /// Nothing more can happen to it.
    pub fn is_over(self) -> bool {
        matches!(self, Phase::Released | Phase::Failed)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PartKind {
    SetUp,
    Runtime,
}

/// What was counted in one hour. A correction may be negative.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// The first instant of it.
    pub from: Timestamp,
    /// Start of the hour, in the account's zone.
    pub hour: Timestamp,
    pub kind: PartKind,
    pub tariff: Arc<Tariff>,
    /// Seconds of runtime; 1 for a set-up.
    pub seconds: i64,
    /// Before the month's cap.
    pub uncapped: Credits,
    pub credits: Credits,
    /// What of a correction was reversed by hand before, so that `credits` are nearer to nothing by so much. It has the
    /// opposite sign.
    pub set_off: Credits,
}

/// Time counted on one tariff within a month.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Meter {
    pub tariff: Arc<Tariff>,
    pub millis: u64,
}

/// The meter of one server as it stands at `at`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    pub phase: Phase,
    pub tariff: Arc<Tariff>,
    pub at: Timestamp,
    /// The least of a run is counted when it begins; up to here its time is counted already.
    pub paid_until: Timestamp,
    /// Counted in the server's life.
    pub counted_millis: u64,
    /// When it was first handed over.
    pub started_at: Option<Timestamp>,
    /// The calendar month of `meters`: its start, and the start of the next.
    pub month: (Timestamp, Timestamp),
    /// In the order in which they were first used.
    pub meters: Vec<Meter>,
}

impl Run {
    pub fn provision(tariff: Arc<Tariff>, at: Timestamp) -> Run {
        Run {
            phase: Phase::Provisioning,
            tariff,
            at,
            paid_until: at,
            counted_millis: 0,
            started_at: None,
            month: (Timestamp::EPOCH, Timestamp::EPOCH),
            meters: Vec::new(),
        }
    }

    /// Moves the meter to `until`, and lists what it counts, an hour a part.
    pub fn advance(&mut self, until: Timestamp, calendar: &Calendar, parts: &mut Vec<Part>) {
        assert!(self.at <= until, "a meter does not run backwards");
        if self.phase != Phase::Running {
            self.at = until;
        }
        while self.at < until {
            let from = self.at;
            self.enter_month(from, calendar);
            let next = calendar.next_hour(from).min(self.month.1).min(until);
            let counted = next.millis() - from.max(self.paid_until).min(next).millis();
            self.at = next;
            self.count(from, counted.unsigned_abs(), calendar, parts);
        }
    }

    /// Takes what happened at the very instant the meter stands at.
    ///
    /// # Errors
    /// The phase it is in, when that is impossible from there. The meter is no use then.
    pub fn take(&mut self, change: &Change, calendar: &Calendar, parts: &mut Vec<Part>) -> Result<(), Phase> {
        let at = self.at;
        match (change, self.phase) {
            (Change::Start(tariff), Phase::Provisioning | Phase::Stopped) => {
                self.tariff = Arc::clone(tariff);
                if self.started_at.is_none() {
                    self.started_at = Some(at);
                    parts.push(self.set_up_part(at, calendar));
                }
                self.phase = Phase::Running;
                let least = Span::SECOND.times(seconds(tariff.minimum_seconds));
                self.paid_until = at + least;
                self.count(at, least.millis().unsigned_abs(), calendar, parts);
            }
            (Change::Stop, Phase::Running) => self.phase = Phase::Stopped,
            (Change::Resize(tariff), Phase::Provisioning | Phase::Running | Phase::Stopped) => {
                self.tariff = Arc::clone(tariff);
            }
            (Change::Release, Phase::Provisioning | Phase::Running | Phase::Stopped) => {
                self.phase = Phase::Released;
                let committed = self.tariff.commitment_seconds.saturating_mul(1_000);
                if self.started_at.is_some() {
                    self.count(at, committed.saturating_sub(self.counted_millis), calendar, parts);
                }
            }
            (Change::Fail, Phase::Provisioning | Phase::Running | Phase::Stopped) => self.phase = Phase::Failed,
            (_, phase) => return Err(phase),
        }
        Ok(())
    }

    /// Whether `change` would say what is so already.
    pub fn has_done(&self, change: &Change) -> bool {
        match change {
            Change::Start(_) => self.phase == Phase::Running,
            Change::Stop => self.phase == Phase::Stopped,
            Change::Release => self.phase == Phase::Released,
            Change::Fail => self.phase == Phase::Failed,
            Change::Resize(tariff) => !self.phase.is_over() && *tariff == self.tariff,
        }
    }

    /// What moving the meter to `until` would count: closed form, a step a month.
    pub fn cost(&self, until: Timestamp, calendar: &Calendar) -> Credits {
        if self.phase != Phase::Running || until <= self.paid_until.max(self.at) {
            return Credits::ZERO;
        }
        let mut sum = Credits::ZERO;
        let mut from = self.at.max(self.paid_until);
        let mut month = if from < self.month.1 { self.month } else { calendar.around(Period::Month, from) };
        while from < until {
            let end = until.min(month.1);
            let millis = (end.millis() - from.millis()).unsigned_abs();
            sum += if month == self.month { self.ahead(millis) } else { capped(&self.tariff, millis, Credits::ZERO) };
            from = end;
            if from < until {
                month = calendar.around(Period::Month, from);
            }
        }
        sum
    }

    /// Counted so far in this month, on every tariff.
    pub fn month_credits(&self) -> Credits {
        (0..self.meters.len()).map(|it| self.credits(it)).sum()
    }

    /// Whether time on the present tier is free until the month ends.
    pub fn is_capped(&self) -> bool {
        let Some(cap) = self.tariff.monthly_cap else { return false };
        let of_tier = |it: &usize| self.meters[*it].tariff.tier == self.tariff.tier;
        cap <= (0..self.meters.len()).filter(of_tier).map(|it| self.credits(it)).sum()
    }

    fn enter_month(&mut self, at: Timestamp, calendar: &Calendar) {
        if at < self.month.0 || self.month.1 <= at {
            self.month = calendar.around(Period::Month, at);
            self.meters.clear();
        }
    }

    fn count(&mut self, from: Timestamp, millis: u64, calendar: &Calendar, parts: &mut Vec<Part>) {
        if millis == 0 {
            return;
        }
        self.enter_month(from, calendar);
        let found = self.meters.iter().position(|it| it.tariff == self.tariff);
        let place = found.unwrap_or_else(|| {
            self.meters.push(Meter { tariff: Arc::clone(&self.tariff), millis: 0 });
            self.meters.len() - 1
        });
        let before = (self.seconds(place), self.credits(place));
        self.meters[place].millis = self.meters[place].millis.saturating_add(millis);
        self.counted_millis = self.counted_millis.saturating_add(millis);
        let after = (self.seconds(place), self.credits(place));
        let tariff = Arc::clone(&self.tariff);
        parts.push(Part {
            from,
            hour: calendar.hour_start(from),
            kind: PartKind::Runtime,
            seconds: seconds(after.0 - before.0),
            uncapped: tariff.uncapped(after.0) - tariff.uncapped(before.0),
            credits: after.1 - before.1,
            set_off: Credits::ZERO,
            tariff,
        });
    }

    fn set_up_part(&self, from: Timestamp, calendar: &Calendar) -> Part {
        let (hour, tariff) = (calendar.hour_start(from), Arc::clone(&self.tariff));
        let (kind, credits) = (PartKind::SetUp, tariff.set_up);
        Part { from, hour, kind, seconds: 1, uncapped: credits, credits, set_off: Credits::ZERO, tariff }
    }

    fn seconds(&self, place: usize) -> u64 {
        self.meters[place].millis.div_ceil(1_000)
    }

    /// What a meter asks this month: its cap is for the tier, whatever the version of the card.
    fn credits(&self, place: usize) -> Credits {
        let Meter { tariff, millis } = &self.meters[place];
        capped(tariff, *millis, self.before(place))
    }

    /// What earlier meters of the same tier have asked this month.
    fn before(&self, place: usize) -> Credits {
        let tier = &self.meters[place].tariff.tier;
        (0..place).filter(|it| self.meters[*it].tariff.tier == *tier).map(|it| self.credits(it)).sum()
    }

    /// What `millis` more of this month cost on the present tariff.
    fn ahead(&self, millis: u64) -> Credits {
        match self.meters.iter().position(|it| it.tariff == self.tariff) {
            Some(place) => {
                let meter = &self.meters[place];
                capped(&meter.tariff, meter.millis.saturating_add(millis), self.before(place)) - self.credits(place)
            }
            None => {
                let of_tier = |it: &usize| self.meters[*it].tariff.tier == self.tariff.tier;
                let before = (0..self.meters.len()).filter(of_tier).map(|it| self.credits(it)).sum();
                capped(&self.tariff, millis, before)
            }
        }
    }
}

/// The price of `millis`, begun seconds in full, with `before` of the month's cap used up.
fn capped(tariff: &Tariff, millis: u64, before: Credits) -> Credits {
    let credits = tariff.uncapped(millis.div_ceil(1_000));
    tariff.monthly_cap.map_or(credits, |cap| credits.min(before.short_of(cap)))
}

fn seconds(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX / 1_000)
}

/// What has to be settled so that what was settled as `old` becomes `new`, hour by hour.
pub fn difference(old: Vec<Part>, new: Vec<Part>) -> Vec<Part> {
    let mut sums: Vec<Part> = Vec::new();
    let signed =
        old.into_iter().map(|it| Part { seconds: -it.seconds, uncapped: -it.uncapped, credits: -it.credits, ..it });
    for part in signed.chain(new) {
        let same = |it: &&mut Part| (it.hour, it.kind) == (part.hour, part.kind) && it.tariff == part.tariff;
        match sums.iter_mut().find(same) {
            Some(sum) => {
                sum.seconds += part.seconds;
                sum.uncapped += part.uncapped;
                sum.credits += part.credits;
            }
            None => sums.push(part),
        }
    }
    sums.retain(|it| it.seconds != 0 || !it.credits.is_zero());
    // Time may go one way and credits the other: less of an hour that cost nothing, for the cap was reached, and costs
    // something now. No transaction goes both ways.
    let goes_both_ways = |it: &&mut Part| it.seconds.signum() * it.credits.micros().signum() < 0;
    let credits_alone = |it: &mut Part| {
        let credits = mem::replace(&mut it.credits, Credits::ZERO);
        Part { seconds: 0, uncapped: Credits::ZERO, credits, ..it.clone() }
    };
    let apart: Vec<Part> = sums.iter_mut().filter(goes_both_ways).map(credits_alone).collect();
    sums.extend(apart);
    // What is given back first pays for what is charged instead.
    sums.sort_by_key(|it| Credits::ZERO <= it.credits);
    sums
}
