//! Server runtime: lifecycle facts in, seconds per tier and calendar month out. Pure arithmetic.
//!
//! Must never know: hourly prices, caps in credits, the present time (`until_ms` is an argument).
//!
//! Invariant: the same facts give the same seconds, in whatever order and however often they were delivered; the
//! milliseconds of all segments add up to the time the server ran, plus what the terms add.
//!
//! Rules:
//! - The clock runs from `Start` (handed over and reachable) to `Stop`, `Release` or `Fail`. A machine that its
//!   customer has merely powered off is still theirs and still runs the clock: the platform sends `Stop` only when it
//!   no longer holds the machine for them, or sets [`Terms::stopped_counts`].
//! - A run counts at least [`Terms::run_seconds_min`]; what is missing is added to the tier and month of its end.
//! - Released before [`Terms::commitment_seconds`]: the rest is added to the last tier, in the month of the release.
//! - Milliseconds are summed per tier and month, and rounded up to a second once per such segment.
//! - Facts are sorted by time; those of one millisecond keep their given order. An equal fact at an equal time is one
//!   fact, delivered again. Facts after `until_ms` have not happened yet. Facts that contradict each other are refused.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, ToSpan, tz::TimeZone, tz::TimeZoneDatabase};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{MeasureError, Measurement};

/// Facts of one server.
pub const FACTS_MAX: usize = 100_000;
/// The longest life of a server: 100 years.
pub const LIFE_MS_MAX: i64 = 100 * 366 * 24 * 3_600_000;

/// What happened to one server, and until when to count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifecycle {
    pub facts: Vec<Fact>,
    /// IANA zone whose calendar months the segments follow.
    pub zone: String,
    /// Milliseconds since the Unix epoch; a server still running is counted up to here.
    pub until_ms: i64,
}

/// One fact, at one time in milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fact {
    pub at_ms: i64,
    #[serde(flatten)]
    pub what: What,
}

/// What can happen to a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// Ordered; nothing runs yet.
    Provision { tier: String },
    /// Handed over and reachable: the clock starts.
    Start,
    /// Taken back for a while: the clock stops.
    Stop,
    /// Another tier from here on.
    Resize { tier: String },
    /// Given up for good.
    Release,
    /// Never came up (before the first start), or broke down for good.
    Fail,
}

/// The agreed rules of counting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// Least seconds of one run.
    pub run_seconds_min: u32,
    /// Least seconds of a server that is released.
    pub commitment_seconds: u32,
    /// Whether a stopped server's clock runs on until it is released.
    pub stopped_counts: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self { run_seconds_min: 60, commitment_seconds: 0, stopped_counts: false }
    }
}

/// Runtime on one tier in one calendar month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    pub tier: String,
    /// `YYYY-MM` in the lifecycle's zone.
    pub month: String,
    /// Exact time, with what the terms added.
    pub milliseconds: u64,
    /// The same, rounded up.
    pub seconds: u64,
}

/// What a server used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runtime {
    /// By month, then tier.
    pub segments: Vec<Segment>,
    /// One per tier: `runtime_seconds`; and `provisioned`, 1 on the tier first handed over, else 0.
    pub measurements: Vec<Measurement>,
}

/// Counts a server's runtime.
///
/// # Errors
/// [`MeasureError::InvalidLifecycle`] naming the fact that cannot be true; [`MeasureError::UnknownZone`].
pub fn measure(lifecycle: &Lifecycle, terms: &Terms) -> Result<Runtime, MeasureError> {
    // The bundled zone rules, not the machine's: the same months everywhere.
    let zone = TimeZoneDatabase::bundled()
        .get(&lifecycle.zone)
        .map_err(|_| MeasureError::UnknownZone { zone: lifecycle.zone.clone() })?;
    let facts = in_order(lifecycle)?;
    let mut clock = Clock::new(terms);
    for (index, fact) in &facts {
        clock.take(fact).map_err(|problem| invalid(format!("facts[{index}]"), problem))?;
    }
    clock.close(lifecycle.until_ms);

    let mut months = Months { zone, spent: BTreeMap::new() };
    for slice in &clock.slices {
        months.spend(slice)?;
    }
    let segments: Vec<Segment> = months.segments();
    let measurements = summarise(&clock, &segments, terms, lifecycle);
    Ok(Runtime { segments, measurements })
}

/// The facts that have happened, sorted, each once, with its index in the request.
fn in_order(lifecycle: &Lifecycle) -> Result<Vec<(usize, &Fact)>, MeasureError> {
    if FACTS_MAX < lifecycle.facts.len() {
        return Err(invalid("facts".to_owned(), format!("there are more than {FACTS_MAX}")));
    }
    let mut facts: Vec<_> =
        lifecycle.facts.iter().enumerate().filter(|(_, fact)| fact.at_ms <= lifecycle.until_ms).collect();
    facts.sort_by_key(|(_, fact)| fact.at_ms);
    let mut seen: BTreeSet<&Fact> = BTreeSet::new();
    facts.retain(|(_, fact)| seen.insert(fact));
    if let Some((index, first)) = facts.first()
        && LIFE_MS_MAX < lifecycle.until_ms.saturating_sub(first.at_ms)
    {
        return Err(invalid(format!("facts[{index}].at_ms"), "it is more than 100 years before the end".to_owned()));
    }
    Ok(facts)
}

/// A stretch of time on one tier; `added_ms` is what the terms add at its end.
struct Slice {
    tier: String,
    from_ms: i64,
    to_ms: i64,
    added_ms: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    Provisioned,
    Running,
    Stopped,
    Gone,
}

/// The server's state machine, gathering slices of runtime.
struct Clock<'t> {
    terms: &'t Terms,
    state: State,
    tier: String,
    /// Start of the current slice, while the clock runs.
    since_ms: Option<i64>,
    /// Time of the current run already in slices.
    run_ms: u64,
    first_tier: Option<String>,
    slices: Vec<Slice>,
}

impl<'t> Clock<'t> {
    fn new(terms: &'t Terms) -> Self {
        Self {
            terms,
            state: State::Unknown,
            tier: String::new(),
            since_ms: None,
            run_ms: 0,
            first_tier: None,
            slices: Vec::new(),
        }
    }

    fn take(&mut self, fact: &Fact) -> Result<(), String> {
        let at = fact.at_ms;
        match (&fact.what, self.state) {
            (What::Provision { tier }, State::Unknown) => {
                self.tier = named(tier)?;
                self.state = State::Provisioned;
            }
            (What::Start, State::Provisioned | State::Stopped) => {
                self.first_tier.get_or_insert_with(|| self.tier.clone());
                self.since_ms.get_or_insert(at);
                self.state = State::Running;
            }
            (What::Stop, State::Running) => {
                self.state = State::Stopped;
                if !self.terms.stopped_counts {
                    self.end_run(at);
                }
            }
            (What::Resize { tier }, State::Provisioned | State::Running | State::Stopped) => {
                let tier = named(tier)?;
                self.cut(at);
                self.tier = tier;
            }
            (What::Release, State::Provisioned | State::Running | State::Stopped) => {
                self.end_run(at);
                self.commit(at);
                self.state = State::Gone;
            }
            (What::Fail, State::Provisioned | State::Running | State::Stopped) => {
                self.end_run(at);
                self.state = State::Gone;
            }
            (what, state) => return Err(format!("a server that is {} cannot {}", told(state), verb(what))),
        }
        Ok(())
    }

    /// Ends the current slice, the run goes on.
    fn cut(&mut self, at: i64) {
        let Some(since) = self.since_ms.replace(at) else {
            self.since_ms = None;
            return;
        };
        self.run_ms += at.abs_diff(since);
        self.slices.push(Slice { tier: self.tier.clone(), from_ms: since, to_ms: at, added_ms: 0 });
    }

    /// Ends the run and holds it to its minimum.
    fn end_run(&mut self, at: i64) {
        if self.since_ms.is_none() {
            return;
        }
        self.cut(at);
        self.since_ms = None;
        let least = u64::from(self.terms.run_seconds_min) * 1000;
        self.add(least.saturating_sub(self.run_ms));
        self.run_ms = 0;
    }

    /// Holds a released server to its commitment, if it was ever handed over.
    fn commit(&mut self, at: i64) {
        let total: u64 = self.slices.iter().map(|slice| slice.to_ms.abs_diff(slice.from_ms) + slice.added_ms).sum();
        let missing = (u64::from(self.terms.commitment_seconds) * 1000).saturating_sub(total);
        if 0 < missing && self.first_tier.is_some() {
            self.slices.push(Slice { tier: self.tier.clone(), from_ms: at, to_ms: at, added_ms: missing });
        }
    }

    fn add(&mut self, milliseconds: u64) {
        if let Some(last) = self.slices.last_mut() {
            last.added_ms += milliseconds;
        }
    }

    fn close(&mut self, until_ms: i64) {
        self.end_run(until_ms);
    }
}

fn named(tier: &str) -> Result<String, String> {
    if tier.trim().is_empty() { Err("tier is empty".to_owned()) } else { Ok(tier.to_owned()) }
}

fn told(state: State) -> &'static str {
    match state {
        State::Unknown => "not provisioned",
        State::Provisioned => "provisioned but not started",
        State::Running => "running",
        State::Stopped => "stopped",
        State::Gone => "released or failed",
    }
}

fn verb(what: &What) -> &'static str {
    match what {
        What::Provision { .. } => "be provisioned",
        What::Start => "start",
        What::Stop => "stop",
        What::Resize { .. } => "be resized",
        What::Release => "be released",
        What::Fail => "fail",
    }
}

fn invalid(field: String, problem: String) -> MeasureError {
    MeasureError::InvalidLifecycle { field, problem }
}

/// Cuts slices at the calendar months of a zone and sums them per month and tier.
struct Months {
    zone: TimeZone,
    spent: BTreeMap<(String, String), u64>,
}

impl Months {
    fn spend(&mut self, slice: &Slice) -> Result<(), MeasureError> {
        let mut from = slice.from_ms;
        loop {
            let (month, next_ms) = self.month_of(from)?;
            let to = slice.to_ms.min(next_ms);
            let last = to == slice.to_ms;
            let added = if last { slice.added_ms } else { 0 };
            *self.spent.entry((month, slice.tier.clone())).or_default() += to.abs_diff(from) + added;
            if last {
                return Ok(());
            }
            from = to;
        }
    }

    /// The month's name, and the first millisecond of the next month. Midnight that daylight saving skips is the first
    /// instant after the gap; midnight that it repeats is the first of the two.
    fn month_of(&self, at_ms: i64) -> Result<(String, i64), MeasureError> {
        let wrong = |_| invalid("at_ms".to_owned(), format!("{at_ms} is outside the calendar"));
        let date = Timestamp::from_millisecond(at_ms).map_err(wrong)?.to_zoned(self.zone.clone()).date();
        let next = date.first_of_month().checked_add(1.month()).map_err(wrong)?;
        let next_ms = next.to_zoned(self.zone.clone()).map_err(wrong)?.timestamp().as_millisecond();
        Ok((format!("{:04}-{:02}", date.year(), date.month()), next_ms))
    }

    fn segments(self) -> Vec<Segment> {
        let segment = |((month, tier), milliseconds): ((String, String), u64)| Segment {
            tier,
            month,
            milliseconds,
            seconds: milliseconds.div_ceil(1000),
        };
        self.spent.into_iter().filter(|(_, milliseconds)| 0 < *milliseconds).map(segment).collect()
    }
}

/// One measurement per tier that was ever used or handed over.
fn summarise(clock: &Clock<'_>, segments: &[Segment], terms: &Terms, lifecycle: &Lifecycle) -> Vec<Measurement> {
    let mut tiers: BTreeMap<&str, Vec<&Segment>> = BTreeMap::new();
    for segment in segments {
        tiers.entry(&segment.tier).or_default().push(segment);
    }
    // Failed or not yet started: nothing was used, and the tier asked for says so with zeros.
    tiers.entry(clock.first_tier.as_deref().unwrap_or(&clock.tier)).or_default();
    let measurement = |(tier, segments): (&str, Vec<&Segment>)| {
        let seconds = segments.iter().map(|segment| segment.seconds).sum();
        let provisioned = u64::from(clock.first_tier.as_deref() == Some(tier));
        let evidence = json!({
            "segments": segments,
            "terms": terms,
            "zone": lifecycle.zone,
            "until_ms": lifecycle.until_ms,
            "facts": lifecycle.facts.len(),
        });
        Measurement::new("server", evidence)
            .quantity("runtime_seconds", seconds)
            .quantity("provisioned", provisioned)
            .dimension("tier", tier)
    };
    tiers.into_iter().filter(|(tier, _)| !tier.is_empty()).map(measurement).collect()
}
