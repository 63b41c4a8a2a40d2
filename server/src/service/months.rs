//! Months as they are kept: of an account, by its calendar, and of the whole house, by that of UTC.
//!
//! An account's month is a document: what its transactions of that month came to, the balance it began with, and the
//! paid grants that were open in it. The house's is the sum over all accounts. Both are written by `bookkeeping` alone,
//! in one commit, so what is in one is in the other. Sums are whole numbers of as many digits as they have: what was
//! written when they were kept in fewer bits is read the same. Must never know who asks. Invariant: an account's month
//! begins with the balance the one before ended with.
use std::collections::BTreeMap;

use billing::accounting::{PaidGrant, Revenue, Sums, Takings, Tally};
use billing::calendar::Date;
use billing::id::GrantId;
use billing::ledger::{LedgerAccount, Transaction, What, Work};
use billing::money::{Credits, Currency, Money};
use billing::time::Timestamp;
use billing::total::TotalCredits;
use serde::{Deserialize, Serialize};
use store::Fault;

/// Rows of usage kept apart in one account's month. What servers use beyond is added to one row a meter and project,
/// and beyond twice as many, what projects use to one row a meter.
const ROWS_MAX: usize = 2_000;
/// The server or project of such a row; no name is written like it.
pub(super) const OTHERS: &str = "(others)";

/// Sums as JSON: credits in micro-credits, money in minor units.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct SumsBody {
    pub transactions: u64,
    pub ledger: BTreeMap<String, i128>,
    pub money: BTreeMap<String, TakingsBody>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct TakingsBody {
    received: i128,
    refunded: i128,
    clawed_back: i128,
    used: i128,
    breakage: i128,
}

impl SumsBody {
    pub fn of(sums: &Sums) -> SumsBody {
        let takings = |(currency, it): (&Currency, &Takings)| {
            let body = TakingsBody {
                received: it.received,
                refunded: it.refunded,
                clawed_back: it.clawed_back,
                used: it.revenue.used,
                breakage: it.revenue.breakage,
            };
            (currency.as_str().to_owned(), body)
        };
        SumsBody {
            transactions: sums.transactions,
            ledger: sums.ledger.iter().map(|(account, it)| (account.to_string(), it.micros())).collect(),
            money: sums.money.iter().map(takings).collect(),
        }
    }

    pub fn read(&self) -> Result<Sums, Fault> {
        let broken = |it: &str| Fault::new("reading a month", format!("`{it}` is not known"));
        let mut sums = Sums { transactions: self.transactions, ..Sums::default() };
        for (name, micros) in &self.ledger {
            let account = name.parse::<LedgerAccount>().map_err(|()| broken(name))?;
            sums.ledger.insert(account, TotalCredits::from_micros(*micros));
        }
        for (code, it) in &self.money {
            let takings = Takings {
                received: it.received,
                refunded: it.refunded,
                clawed_back: it.clawed_back,
                revenue: Revenue { used: it.used, breakage: it.breakage },
            };
            sums.money.insert(code.parse().map_err(|_| broken(code))?, takings);
        }
        Ok(sums)
    }
}

/// A paid grant as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PaidBody {
    cost: i64,
    currency: String,
    credits: i64,
    used: i64,
    forfeited: i64,
    returned: i64,
    refunded: i64,
}

impl PaidBody {
    fn of(it: &PaidGrant) -> PaidBody {
        PaidBody {
            cost: it.cost.amount,
            currency: it.cost.currency.as_str().to_owned(),
            credits: it.credits.micros(),
            used: it.used.micros(),
            forfeited: it.forfeited.micros(),
            returned: it.returned.micros(),
            refunded: it.refunded,
        }
    }
    pub fn read(&self) -> Option<PaidGrant> {
        Some(PaidGrant {
            cost: Money { amount: self.cost, currency: self.currency.parse().ok()? },
            credits: Credits::from_micros(self.credits),
            used: Credits::from_micros(self.used),
            forfeited: Credits::from_micros(self.forfeited),
            returned: Credits::from_micros(self.returned),
            refunded: self.refunded,
        })
    }
}

/// Credits used, by what they were used for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedRow {
    pub meter: String,
    pub project: Option<String>,
    pub server: Option<String>,
    /// In micro-credits; what was taken back is taken off.
    pub credits: i128,
    /// Charges; one that was taken back counts.
    pub count: u64,
    /// The first hour of it; none in a month that was counted before this was written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
}

/// An account's month as it is written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AccountMonth {
    /// Transactions counted, all months before included.
    pub version: u64,
    pub from: i64,
    pub to: i64,
    pub timezone: String,
    /// What the account had when it began, in micro-credits: free, in holds, less debt.
    pub opening: i64,
    pub sums: SumsBody,
    pub used: Vec<UsedRow>,
    pub paid: BTreeMap<String, PaidBody>,
}

impl AccountMonth {
    /// What it had when it ended, or has now: one account's own, which fits as its balance does.
    pub fn closing(&self) -> i64 {
        let of = |name: &str| self.sums.ledger.get(name).copied().unwrap_or_default();
        let closing = i128::from(self.opening) + of("grants") + of("held") + of("debt");
        i64::try_from(closing).expect("credits of one account fit in i64 micro-credits")
    }

    pub fn tally(&self) -> Tally {
        let read = |(id, it): (&String, &PaidBody)| Some((id.parse::<GrantId>().ok()?, it.read()?));
        Tally { version: self.version, paid: self.paid.iter().filter_map(read).collect() }
    }

    pub fn keep(&mut self, tally: &Tally, sums: &Sums) {
        self.version = tally.version;
        self.sums = SumsBody::of(sums);
        self.paid = tally.paid.iter().map(|(id, it)| (id.to_string(), PaidBody::of(it))).collect();
    }
}

/// The rows of a month while it is counted.
#[derive(Default)]
pub(super) struct Used(BTreeMap<WhatFor, Sum>);

/// Credits, charges, and the first hour.
#[derive(Default)]
struct Sum(i128, u64, Option<i64>);

/// A meter, a project, a server.
type WhatFor = (String, Option<String>, Option<String>);

impl Used {
    pub fn of(rows: Vec<UsedRow>) -> Used {
        let row = |it: UsedRow| ((it.meter, it.project, it.server), Sum(it.credits, it.count, it.since));
        Used(rows.into_iter().map(row).collect())
    }

    pub fn count(&mut self, transaction: &Transaction) {
        let (work, credits, count): (&Work, i128, u64) = match &transaction.what {
            What::Charged { work, credits, .. } => (work, i128::from(credits.micros()), 1),
            What::Reversed(it) => (&it.work, -i128::from(it.credits.micros()), 0),
            _ => return,
        };
        let key = work.usage_key();
        let project = key.project.map(|it| it.to_string());
        self.add((key.meter.to_string(), project, key.server.map(|it| it.to_string())), (credits, count, work.hour));
    }

    /// Where there are very many rows already, a new one is added to those of others: of servers first, of projects
    /// when there are twice as many. What was of no server or of no project stays so.
    fn add(&mut self, mut key: WhatFor, (credits, count, hour): (i128, u64, Timestamp)) {
        if ROWS_MAX <= self.0.len() && key.2.is_some() && !self.0.contains_key(&key) {
            key.2 = Some(OTHERS.to_owned());
        }
        if 2 * ROWS_MAX <= self.0.len() && key.1.is_some() && !self.0.contains_key(&key) {
            key.1 = Some(OTHERS.to_owned());
        }
        // A row that has no first hour, though it is there, had it before this was written down.
        let is_new = !self.0.contains_key(&key);
        let row = self.0.entry(key).or_default();
        row.0 += credits;
        row.1 += count;
        let hour = hour.millis();
        row.2 = if is_new { Some(hour) } else { row.2.map(|it| it.min(hour)) };
    }

    pub fn rows(self) -> Vec<UsedRow> {
        let row = |((meter, project, server), Sum(credits, count, since))| UsedRow {
            meter,
            project,
            server,
            credits,
            count,
            since,
        };
        self.0.into_iter().map(row).collect()
    }
}

/// What a day of the house added to what customers have, and to what is deferred.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct DayBody {
    /// In micro-credits.
    pub outstanding: i128,
    /// In minor units, by currency.
    pub deferred: BTreeMap<String, i128>,
}

impl DayBody {
    pub fn add(&mut self, sums: &Sums) {
        self.outstanding += sums.outstanding().micros();
        for (currency, it) in &sums.money {
            *self.deferred.entry(currency.as_str().to_owned()).or_default() += it.deferred();
        }
    }
}

/// The house's month as it is written down.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct HouseMonth {
    pub sums: SumsBody,
    /// By the day of the month.
    pub days: BTreeMap<u8, DayBody>,
}

/// What was counted of one month of the house and is not written down yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    pub sums: Sums,
    pub days: BTreeMap<u8, DayBody>,
}

impl Counted {
    pub fn add(&mut self, day: u8, sums: &Sums) {
        self.sums.add(sums);
        self.days.entry(day).or_default().add(sums);
    }

    pub fn add_to(&self, month: &mut HouseMonth) -> Result<(), Fault> {
        let mut sums = month.sums.read()?;
        sums.add(&self.sums);
        month.sums = SumsBody::of(&sums);
        for (day, it) in &self.days {
            let kept = month.days.entry(*day).or_default();
            kept.outstanding += it.outstanding;
            for (currency, deferred) in &it.deferred {
                *kept.deferred.entry(currency.clone()).or_default() += deferred;
            }
        }
        Ok(())
    }
}

/// A month of the calendar: `2026-11`. Ordered as time is, also as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Month {
    pub year: i32,
    pub number: u8,
}

impl Month {
    pub fn of(date: Date) -> Month {
        Month { year: date.year, number: date.month }
    }
    /// By the calendar of UTC.
    pub fn at(at: Timestamp) -> Month {
        Month::of(Date::of(at))
    }
    /// When it ends by the calendar of UTC.
    pub fn end(self) -> Timestamp {
        let Month { year, number } = self.next();
        Date { year, month: number, day: 1 }.start()
    }
    pub fn next(self) -> Month {
        if self.number == 12 {
            Month { year: self.year + 1, number: 1 }
        } else {
            Month { number: self.number + 1, ..self }
        }
    }
}

impl std::fmt::Display for Month {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.number)
    }
}

impl std::str::FromStr for Month {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Month, &'static str> {
        const WRONG: &str = "must be a month such as 2026-11";
        let (year, number) = text.split_once('-').filter(|it| it.0.len() == 4 && it.1.len() == 2).ok_or(WRONG)?;
        let all_digits = [year, number].iter().all(|it| it.bytes().all(|it| it.is_ascii_digit()));
        let (Ok(year), Ok(number)) = (year.parse(), number.parse::<u8>()) else { return Err(WRONG) };
        if all_digits && (1970..=9998).contains(&year) && (1..=12).contains(&number) {
            Ok(Month { year, number })
        } else {
            Err(WRONG)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_read_and_follow_each_other() {
        for wrong in ["", "2026", "2026-1", "2026-13", "2026-00", "26-11", "2026-11-01", "+026-11", "2026-+1"] {
            assert!(wrong.parse::<Month>().is_err(), "{wrong}");
        }
        let november: Month = "2026-11".parse().unwrap();
        assert_eq!(november.next().to_string(), "2026-12");
        assert_eq!(november.next().next().to_string(), "2027-01");
        assert!(november.to_string() < november.next().to_string());
    }

    /// As it was written when sums were kept in 64 bits, and as it goes on beyond them.
    #[test]
    fn a_month_goes_on_past_the_sums_it_was_begun_with() {
        let most = i64::MAX;
        let money = r#"{"vnd":{"received":MOST,"refunded":0,"clawed_back":0,"used":0,"breakage":0}}"#;
        let sums = r#"{"transactions":9,"ledger":{"grants":MOST,"issuance:purchase":-MOST},"money":"#;
        let day = r#"{"outstanding":MOST,"deferred":{"vnd":MOST}}"#;
        let written = format!("{{\"sums\":{sums}{money}}},\"days\":{{\"7\":{day}}}}}");
        let written = written.replace("MOST", &most.to_string());
        let mut month: HouseMonth = serde_json::from_str(&written).unwrap();
        assert_eq!(serde_json::to_string(&month).unwrap(), written, "what fits is written as it was");
        let mut counted = Counted::default();
        let sums = month.sums.read().unwrap();
        (0..9).for_each(|_| counted.add(7, &sums));
        counted.add_to(&mut month).unwrap();
        let again: HouseMonth = serde_json::from_str(&serde_json::to_string(&month).unwrap()).unwrap();
        let (ten, dong) = (10 * i128::from(most), "vnd".parse().unwrap());
        let sums = again.sums.read().unwrap();
        assert_eq!((sums.outstanding().micros(), sums.money[&dong].received, sums.transactions), (ten, ten, 90));
        assert_eq!((again.days[&7].outstanding, again.days[&7].deferred["vnd"]), (ten, ten));
    }

    #[test]
    fn a_month_with_very_many_servers_stays_small_and_adds_up() {
        let mut used = Used::default();
        for server in 0..3 * ROWS_MAX {
            used.add(
                ("server".to_owned(), Some("shop".to_owned()), Some(format!("s{server}"))),
                (1, 1, Timestamp::EPOCH),
            );
        }
        used.add(("ai_chat".to_owned(), Some("shop".to_owned()), None), (5, 1, Timestamp::EPOCH));
        let rows = used.rows();
        assert_eq!(rows.len(), ROWS_MAX + 2);
        assert_eq!(rows.iter().map(|it| it.credits).sum::<i128>(), 3 * 2_000 + 5);
        let of_no_server = rows.iter().find(|it| it.server.is_none()).unwrap();
        assert_eq!((&*of_no_server.meter, of_no_server.credits), ("ai_chat", 5), "what ran on no server says so");
        let others = rows.iter().find(|it| it.server.as_deref() == Some(OTHERS)).unwrap();
        assert_eq!((others.project.as_deref(), others.credits), (Some("shop"), 2 * 2_000));
    }

    #[test]
    fn projects_are_told_apart_for_longer_than_servers_and_the_rest_is_said_to_be_of_others() {
        let mut used = Used::default();
        for number in 0..3 * ROWS_MAX {
            used.add(
                ("server".to_owned(), Some(format!("p{number}")), Some(format!("s{number}"))),
                (1, 1, Timestamp::EPOCH),
            );
        }
        used.add(("ai_chat".to_owned(), None, None), (5, 1, Timestamp::EPOCH));
        let rows = used.rows();
        let of = |project: Option<&str>| rows.iter().filter(|it| it.project.as_deref() == project).collect::<Vec<_>>();
        assert_eq!((of(None).len(), of(None)[0].credits), (1, 5), "what was of no project says so");
        assert_eq!(of(Some("p3999"))[0].credits, 1);
        assert_eq!((of(Some("p4000")).len(), of(Some(OTHERS))[0].credits), (0, 2_000));
        assert_eq!(rows.len(), 2 * ROWS_MAX + 2);
    }
}
