//! Utilisation: how busy a server is, as the platform reports it; kept as counts, so that it stays small for ever.
//!
//! A document for each server holds how often each whole percent was reported, day by day, for as long as a tip looks
//! back. Reports are in order of time: one that is not after the last is known already, so reports may be repeated.
use std::collections::BTreeMap;

use billing::Refusal;
use billing::id::{AccountNumber, Name};
use billing::ledger::EARLY_MAX;
use billing::rating::Text;
use billing::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Change, Document};

use super::Error;
use super::documents::Kept;
use super::order::Fingerprint;
use super::requests::answer_in;
use crate::app::App;

const KIND: &str = Document::UTILISATION;

/// Days that are looked back on.
pub const DAYS: i64 = 14;
/// Of those, on so many there must be a report: a server nobody looked at is not one without work.
const REPORTED_DAYS_MIN: usize = 12;
/// Times that a report is written down although others write to the same server.
const TRIES: usize = 20;

/// A report. Whole percents, rounded up.
#[derive(Clone, Copy, Debug)]
pub struct UtilisationReport {
    pub cpu_percent: u8,
    pub memory_percent: u8,
    /// Now where nothing is said.
    pub at: Option<Timestamp>,
}

impl UtilisationReport {
    fn fingerprint(self, server: &Name) -> Fingerprint {
        let mut request = Fingerprint::of("utilisation");
        request.text(server.as_str()).number(self.cpu_percent.into()).number(self.memory_percent.into());
        request.number(self.at.map_or(u64::MAX, |it| it.millis().unsigned_abs()));
        request
    }
}

/// How busy a server was: ninety-five reports in a hundred were at or below this.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Busy {
    pub cpu_percent: u8,
    pub memory_percent: u8,
    pub reports: u64,
    /// Days on which there were any, today's among them.
    pub days: usize,
}

impl Busy {
    /// Enough was reported to say anything.
    pub fn is_telling(self) -> bool {
        REPORTED_DAYS_MIN <= self.days
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Counts {
    /// The last report, in milliseconds since 1970.
    last_at: i64,
    /// By day since 1970, by percent.
    cpu: BTreeMap<i64, BTreeMap<u8, u64>>,
    memory: BTreeMap<i64, BTreeMap<u8, u64>>,
}

impl Counts {
    fn take(&mut self, report: UtilisationReport, at: Timestamp) {
        let day = day_of(at);
        self.last_at = at.millis();
        for (counts, percent) in [(&mut self.cpu, report.cpu_percent), (&mut self.memory, report.memory_percent)] {
            *counts.entry(day).or_default().entry(percent).or_default() += 1;
            counts.retain(|it, _| day - DAYS < *it);
        }
    }

    fn busy(&self, now: Timestamp) -> Busy {
        let since = day_of(now) - DAYS;
        let recent = |counts: &BTreeMap<i64, BTreeMap<u8, u64>>| {
            let mut sum = BTreeMap::<u8, u64>::new();
            for (percent, count) in counts.range(since + 1..).flat_map(|it| it.1) {
                *sum.entry(*percent).or_default() += count;
            }
            sum
        };
        let cpu = recent(&self.cpu);
        Busy {
            cpu_percent: in_ninety_five(&cpu),
            memory_percent: in_ninety_five(&recent(&self.memory)),
            reports: cpu.values().sum(),
            days: self.cpu.range(since + 1..).count(),
        }
    }
}

fn day_of(at: Timestamp) -> i64 {
    at.millis().div_euclid(Span::DAY.millis())
}

/// The least percent that ninety-five reports in a hundred do not pass: the nearest rank.
fn in_ninety_five(counts: &BTreeMap<u8, u64>) -> u8 {
    let all: u64 = counts.values().sum();
    let rank = (u128::from(all) * 95).div_ceil(100);
    let mut seen = 0;
    for (percent, count) in counts {
        seen += u128::from(*count);
        if rank <= seen {
            return *percent;
        }
    }
    0
}

impl App {
    /// Takes a report of how busy a server is, and answers with how busy it was in the last two weeks. Says whether its
    /// key did that before.
    pub fn report_utilisation(
        &self,
        account: &Name,
        server: &Name,
        report: UtilisationReport,
        key: Option<&Text>,
    ) -> Result<(Busy, bool), Error> {
        let number = self.known(account)?.account.number;
        let now = self.now();
        let at = report.at.unwrap_or(now);
        if now + EARLY_MAX < at {
            return Err(Refusal::invalid("at", "must not be in the future").into());
        }
        for _ in 0..TRIES {
            let (fresh, before) = self.asked_perhaps(number, key, report.fingerprint(server))?;
            if let Some(busy) = before.as_deref().and_then(answer_in) {
                return Ok((busy, true));
            }
            self.server(account, server)?;
            let found = self.kept::<Counts>(number, KIND, server.as_str())?;
            let mut kept = found.unwrap_or_else(|| Kept::new(number, KIND, server.to_string(), Counts::default()));
            let is_news = kept.body.last_at < at.millis() && day_of(now) - DAYS < day_of(at);
            if is_news {
                kept.body.take(report, at);
            }
            let busy = kept.body.busy(now);
            let mut changes: Vec<Change> = is_news.then(|| kept.next(now, None)).into_iter().collect();
            changes.extend(fresh.map(|it| it.answered(&busy, now)));
            if changes.is_empty() || self.keep(&changes)? {
                return Ok((busy, false));
            }
        }
        Err(Error::Busy)
    }

    /// How busy a server was in the last two weeks, where anybody said so.
    pub(super) fn utilisation(
        &self,
        account: AccountNumber,
        server: &Name,
        now: Timestamp,
    ) -> Result<Option<Busy>, Error> {
        Ok(self.kept::<Counts>(account, KIND, server.as_str())?.map(|it| it.body.busy(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ninety_five_in_a_hundred() {
        let check = |counts: &[(u8, u64)], expected: u8| {
            assert_eq!(in_ninety_five(&counts.iter().copied().collect()), expected, "{counts:?}");
        };
        check(&[], 0);
        check(&[(7, 1)], 7);
        check(&[(5, 95), (90, 5)], 5);
        check(&[(5, 94), (90, 6)], 90);
        check(&[(5, 19), (90, 1)], 5);
        check(&[(5, 18), (90, 1)], 90);
    }

    #[test]
    fn two_weeks_are_kept_and_no_more() {
        let mut counts = Counts::default();
        for hour in 0..24 * 60 {
            let report = UtilisationReport { cpu_percent: 90, memory_percent: 40, at: None };
            counts.take(report, Timestamp::EPOCH + Span::HOUR.times(hour));
        }
        for hour in 24 * 60..24 * 74 {
            let report = UtilisationReport { cpu_percent: 10, memory_percent: 20, at: None };
            counts.take(report, Timestamp::EPOCH + Span::HOUR.times(hour));
        }
        let busy = counts.busy(Timestamp::EPOCH + Span::HOUR.times(24 * 74 - 1));
        assert_eq!(busy, Busy { cpu_percent: 10, memory_percent: 20, reports: 24 * 14, days: 14 });
        assert_eq!((counts.cpu.len(), counts.memory.len()), (14, 14));
        assert!(!counts.busy(Timestamp::EPOCH + Span::DAY.times(80)).is_telling());
    }
}
