//! Reports for the operator's accountant: the trial balance, a month's revenue, what is owed to customers.
//!
//! Added up of the house's months, of which there are twelve a year, so a report costs the same at a thousand and at a
//! billion entries. How complete they are is said in each.
use billing::Refusal;
use billing::accounting::{Sums, Takings};
use billing::calendar::Date;
use billing::ledger::{LedgerAccount, Source};
use billing::money::Currency;
use billing::time::Timestamp;
use billing::total::{TotalCredits, TotalMoney};
use store::Document;

use super::Error;
use super::bookkeeping::{Freshness, HOUSE_MONTH};
use super::documents::Kept;
use super::months::{DayBody, HouseMonth, Month};
use super::sales::Sales;
use crate::app::App;

/// Months added up: a hundred years.
const MONTHS_MAX: usize = 1_200;

/// Every ledger account and what it stands at. Together zero.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TrialBalance {
    pub accounts: Vec<(LedgerAccount, TotalCredits)>,
    pub transactions: u64,
    pub freshness: Freshness,
}

impl TrialBalance {
    pub fn sum(&self) -> TotalCredits {
        self.accounts.iter().map(|it| it.1).sum()
    }
}

/// A month of the house.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RevenueReport {
    pub month: Month,
    /// By source, less what was taken back unspent.
    pub issued: Vec<(Source, TotalCredits)>,
    /// By meter, less what was taken back.
    pub used: Vec<(String, TotalCredits)>,
    pub expired: TotalCredits,
    pub voided: TotalCredits,
    pub refunded: TotalCredits,
    pub clawed_back: TotalCredits,
    /// What customers have at its end, or now: free and in holds, less debt.
    pub outstanding: TotalCredits,
    /// By how much that grew.
    pub change: TotalCredits,
    pub money: Vec<(Currency, MoneyOfMonth)>,
    pub sales: Vec<Sales>,
    pub freshness: Freshness,
}

/// Money of one currency, tax aside, in minor units. `deferred_before + received − refunded − clawed back − revenue =
/// deferred`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MoneyOfMonth {
    pub takings: Takings,
    pub deferred_before: i128,
    /// Received for credits that were still there at its end.
    pub deferred: i128,
}

/// What is owed to customers at an instant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Liability {
    /// A midnight of UTC, or now.
    pub at: Timestamp,
    pub outstanding: TotalCredits,
    pub deferred: Vec<TotalMoney>,
    pub freshness: Freshness,
}

impl App {
    pub fn trial_balance(&self) -> Result<TrialBalance, Error> {
        let freshness = self.books_until(Timestamp::NEVER)?;
        let mut sums = Sums::default();
        for month in self.house_months(None)? {
            sums.add(&month.body.sums.read()?);
        }
        let Sums { transactions, ledger, .. } = sums;
        Ok(TrialBalance { accounts: ledger.into_iter().collect(), transactions, freshness })
    }

    /// What a month of UTC came to.
    ///
    /// # Errors
    /// When it has not begun.
    pub fn revenue(&self, month: Month) -> Result<RevenueReport, Error> {
        if Month::at(self.now()) < month {
            return Err(Refusal::invalid("month", "has not begun").into());
        }
        let freshness = self.books_until(month.end())?;
        let (mut before, mut sums) = (Sums::default(), Sums::default());
        for kept in self.house_months(Some(month))? {
            let of_month = kept.body.sums.read()?;
            if kept.document.id == month.to_string() {
                sums = of_month;
            } else {
                before.add(&of_month);
            }
        }
        let of = |account: &LedgerAccount| sums.of(account);
        let source = |it: Source| (it, -of(&LedgerAccount::Issuance(it)));
        let used = sums.ledger.iter().filter_map(|(account, credits)| match account {
            LedgerAccount::Usage(meter) => Some((meter.to_string(), *credits)),
            _ => None,
        });
        let mut currencies: Vec<Currency> = before.money.keys().chain(sums.money.keys()).copied().collect();
        currencies.sort_unstable();
        currencies.dedup();
        let money = |currency: Currency| {
            let takings = sums.money.get(&currency).copied().unwrap_or_default();
            let deferred_before = before.money.get(&currency).map_or(0, Takings::deferred);
            (currency, MoneyOfMonth { takings, deferred_before, deferred: deferred_before + takings.deferred() })
        };
        Ok(RevenueReport {
            month,
            issued: Source::ALL.into_iter().map(source).filter(|it| !it.1.is_zero()).collect(),
            used: used.collect(),
            expired: of(&LedgerAccount::Breakage),
            voided: of(&LedgerAccount::Voided),
            refunded: of(&LedgerAccount::Refunded),
            clawed_back: of(&LedgerAccount::Clawback),
            outstanding: before.outstanding() + sums.outstanding(),
            change: sums.outstanding(),
            money: currencies.into_iter().map(money).collect(),
            sales: self.sales(month)?,
            freshness,
        })
    }

    /// What is owed at the midnight of UTC that `at` is, or at the next one after it; now where nothing is said.
    pub fn liability(&self, at: Option<Timestamp>) -> Result<Liability, Error> {
        let now = self.now();
        let freshness = self.books_until(at.map_or(Timestamp::NEVER, midnight_from))?;
        // A day ends with the midnight after it.
        let date = Date::of(at.map_or(now, |it| last_before(midnight_from(it)).min(now)));
        let last = Month::of(date);
        let mut whole = DayBody::default();
        for kept in self.house_months(Some(last))? {
            let is_last = kept.document.id == last.to_string();
            for (_, day) in kept.body.days.iter().filter(|(day, _)| !is_last || **day <= date.day) {
                whole.outstanding += day.outstanding;
                for (currency, amount) in &day.deferred {
                    *whole.deferred.entry(currency.clone()).or_default() += amount;
                }
            }
        }
        let money = |(code, amount): (String, i128)| Some(TotalMoney { amount, currency: code.parse().ok()? });
        Ok(Liability {
            at: at.map_or(now, |it| midnight_from(it).min(now)),
            outstanding: TotalCredits::from_micros(whole.outstanding),
            deferred: whole.deferred.into_iter().filter_map(money).collect(),
            freshness,
        })
    }

    /// The house's months up to one, or all.
    fn house_months(&self, last: Option<Month>) -> Result<Vec<Kept<HouseMonth>>, Error> {
        let before = last.map(|it| it.next().to_string());
        self.all_kept::<HouseMonth>(Document::HOUSE, HOUSE_MONTH, before.as_deref(), MONTHS_MAX)
    }
}

/// The first midnight of UTC that is not before `at`.
fn midnight_from(at: Timestamp) -> Timestamp {
    const DAY: i64 = 24 * 60 * 60 * 1_000;
    Timestamp::from_millis((at.millis().saturating_add(DAY - 1).div_euclid(DAY)).saturating_mul(DAY))
}

fn last_before(at: Timestamp) -> Timestamp {
    Timestamp::from_millis((at.millis() - 1).max(0))
}
