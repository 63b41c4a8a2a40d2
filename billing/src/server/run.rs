//! A server's meter: where it stands at an instant, and what moving it ahead counts.
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::{fmt, mem};

use super::{Change, Tariff};
use crate::money::Credits;
use crate::rating::Text;
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
    /// Where a run ends before this, the rest of its least is counted too, on the tier it had last.
    pub least_until: Timestamp,
    /// Counted in the server's life.
    pub counted_millis: u64,
    /// When it was first handed over.
    pub started_at: Option<Timestamp>,
    /// The calendar month of `meters`: its start, and the start of the next.
    pub month: (Timestamp, Timestamp),
    /// In the order in which they were first used; one for all tariffs that cost the same.
    pub meters: Vec<Meter>,
}

impl Run {
    pub fn provision(tariff: Arc<Tariff>, at: Timestamp) -> Run {
        Run {
            phase: Phase::Provisioning,
            tariff,
            at,
            least_until: at,
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
            self.at = next;
            self.count(from, (next.millis() - from.millis()).unsigned_abs(), calendar, parts);
        }
    }

    /// Takes what happened at the very instant the meter stands at.
    ///
    /// # Errors
    /// The phase it is in, when that is impossible from there. The meter is no use then.
    pub fn take(&mut self, change: &Change, calendar: &Calendar, parts: &mut Vec<Part>) -> Result<(), Phase> {
        let (at, before) = (self.at, self.phase);
        let (phase, tariff) = turn(before, &self.tariff, change)?;
        let tariff = Arc::clone(tariff);
        if before == Phase::Running && phase != before && at < self.least_until {
            self.count(at, (self.least_until.millis() - at.millis()).unsigned_abs(), calendar, parts);
        }
        self.phase = phase;
        self.tariff = tariff;
        if phase == Phase::Running && before != phase {
            if self.started_at.is_none() {
                self.started_at = Some(at);
                parts.push(self.set_up_part(at, calendar));
            }
            self.least_until = at + Span::SECOND.times(seconds(self.tariff.minimum_seconds));
        }
        if phase == Phase::Released && before != phase && self.started_at.is_some() {
            let committed = self.tariff.commitment_seconds.saturating_mul(1_000);
            self.count(at, committed.saturating_sub(self.counted_millis), calendar, parts);
        }
        Ok(())
    }

    /// What moving the meter to `until` would count: closed form, a step a month.
    pub fn cost(&self, until: Timestamp, calendar: &Calendar) -> Credits {
        if self.phase != Phase::Running || until <= self.at {
            return Credits::ZERO;
        }
        let mut sum = Credits::ZERO;
        let mut from = self.at;
        let mut month = if from < self.month.1 { self.month } else { calendar.around(Period::Month, from) };
        while from < until {
            let end = until.min(month.1);
            let millis = (end.millis() - from.millis()).unsigned_abs();
            sum += if month == self.month {
                self.ahead(millis)
            } else {
                Asked::default().and(&self.tariff, millis).credits
            };
            from = end;
            if from < until {
                month = calendar.around(Period::Month, from);
            }
        }
        sum
    }

    /// Counted so far in this month, on every tier.
    pub fn month_credits(&self) -> Credits {
        let tier = |it: usize| &self.meters[it].tariff.tier;
        let is_first = |it: &usize| !(0..*it).any(|earlier| tier(earlier) == tier(*it));
        (0..self.meters.len()).filter(is_first).map(|it| self.asked(tier(it), 0).credits).sum()
    }

    /// Whether time on the present tier is free until the month ends.
    pub fn is_capped(&self) -> bool {
        self.tariff.monthly_cap.is_some_and(|cap| cap <= self.asked(&self.tariff.tier, 0).credits)
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
        let before = self.asked(&self.tariff.tier, 0);
        let after = self.asked(&self.tariff.tier, millis);
        match self.own_meter() {
            Some(own) => self.meters[own].millis = self.meters[own].millis.saturating_add(millis),
            None => self.meters.push(Meter { tariff: Arc::clone(&self.tariff), millis }),
        }
        self.counted_millis = self.counted_millis.saturating_add(millis);
        parts.push(Part {
            from,
            hour: calendar.hour_start(from),
            kind: PartKind::Runtime,
            tariff: Arc::clone(&self.tariff),
            seconds: seconds(after.seconds()) - seconds(before.seconds()),
            uncapped: after.uncapped - before.uncapped,
            credits: after.credits - before.credits,
            set_off: Credits::ZERO,
        });
    }

    fn set_up_part(&self, from: Timestamp, calendar: &Calendar) -> Part {
        let (hour, tariff) = (calendar.hour_start(from), Arc::clone(&self.tariff));
        let (kind, credits) = (PartKind::SetUp, tariff.set_up);
        Part { from, hour, kind, seconds: 1, uncapped: credits, credits, set_off: Credits::ZERO, tariff }
    }

    /// What the month asks for a tier so far, and for `more` milliseconds on the present tariff, if it is of that tier.
    fn asked(&self, tier: &Text, more: u64) -> Asked {
        let own = self.own_meter();
        let of_tier = self.meters.iter().enumerate().filter(|(_, it)| it.tariff.tier == *tier);
        let asked = of_tier.fold(Asked::default(), |asked, (place, it)| {
            asked.and(&it.tariff, it.millis.saturating_add(if own == Some(place) { more } else { 0 }))
        });
        if own.is_none() && self.tariff.tier == *tier { asked.and(&self.tariff, more) } else { asked }
    }

    /// What `millis` more of this month cost on the present tariff.
    fn ahead(&self, millis: u64) -> Credits {
        self.asked(&self.tariff.tier, millis).credits - self.asked(&self.tariff.tier, 0).credits
    }

    /// The meter that counts time on the present tariff, if there was any this month.
    fn own_meter(&self) -> Option<usize> {
        self.meters.iter().position(|it| it.tariff.costs_like(&self.tariff))
    }
}

/// What a month asks for one tier. Its seconds are counted over all its prices together, begun ones in full: the second
/// in which prices change costs what it did when it began. Its cap is the tier's, whatever the prices.
#[derive(Clone, Copy, Default)]
struct Asked {
    millis: u64,
    uncapped: Credits,
    credits: Credits,
}

impl Asked {
    fn seconds(&self) -> u64 {
        self.millis.div_ceil(1_000)
    }
    fn and(self, tariff: &Tariff, millis: u64) -> Asked {
        let millis = self.millis.saturating_add(millis);
        let price = tariff.uncapped(millis.div_ceil(1_000) - self.seconds());
        let credits = tariff.monthly_cap.map_or(price, |cap| price.min(self.credits.short_of(cap)));
        Asked { millis, uncapped: self.uncapped + price, credits: self.credits + credits }
    }
}

/// What a change makes of a phase and of the tariff in force. What says what is so already changes nothing.
///
/// # Errors
/// The phase, when that is impossible from there.
pub fn turn<'a>(phase: Phase, tariff: &'a Arc<Tariff>, change: &'a Change) -> Result<(Phase, &'a Arc<Tariff>), Phase> {
    let repriced = |to: &'a Arc<Tariff>| if to.reprices(tariff) { to } else { tariff };
    match (change, phase) {
        // What has ended has ended, and nothing after it is news.
        (Change::Prices(_) | Change::Stop | Change::Fail | Change::Release, Phase::Released | Phase::Failed) => {
            Ok((phase, tariff))
        }
        (_, Phase::Released | Phase::Failed) => Err(phase),
        // The start it ends may not have been told yet.
        (Change::Stop, Phase::Provisioning) => Ok((phase, tariff)),
        (Change::Prices(to), _) => Ok((phase, repriced(to))),
        (Change::Resize(to), _) => Ok((phase, if to.is_of_place(tariff) { repriced(to) } else { to })),
        (Change::Stop, _) => Ok((Phase::Stopped, tariff)),
        (Change::Start(to), _) => Ok((Phase::Running, repriced(to))),
        (Change::Fail, _) => Ok((Phase::Failed, tariff)),
        (Change::Release, _) => Ok((Phase::Released, tariff)),
    }
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
