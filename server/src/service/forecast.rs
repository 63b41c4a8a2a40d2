//! The forecast: what this month will have cost an account when it ends, by meter and by server, and how long its
//! credits last.
//!
//! What meters count is expected to go on as in the last two weeks; running servers are known, to their caps. It reads
//! six weeks of roll-ups and the book, whatever there is beside. Invariant: meters and servers add up to the whole, to
//! the micro-credit, and the runway is the balance's own.
use std::collections::BTreeMap;
use std::sync::Arc;

use billing::forecast::{Ahead, DAYS, DAYS_MIN, Outlook, TIMES_IN_TEN, outlook};
use billing::id::{AccountNumber, Name};
use billing::ledger::Book;
use billing::money::{Credits, Currency};
use billing::rating::{Category, Text};
use billing::time::{Span, Timestamp};
use billing::usage::SERVER_METER;
use billing::zone::{Calendar, Period};
use store::{Fault, UsageRow};

use super::Error;
use super::lately::Rows;
use super::servers::burn_terms;
use crate::app::App;

/// Whoever has used nothing for so many days begins anew.
const SILENCE_DAYS: usize = 28;
/// Roll-ups and the book are read until both are of the same moment; on a very busy account the last try will do.
const READS_MAX: usize = 4;

/// What a meter's work comes to in this month.
#[derive(Clone, Debug)]
pub struct MeterForecast {
    pub meter: Text,
    pub category: Category,
    /// So far this month.
    pub spent: Credits,
    /// By the month's end.
    pub credits: Credits,
}

/// What a server comes to in this month: known, should nothing be done to it.
#[derive(Clone, Debug)]
pub struct ServerForecast {
    pub server: Name,
    pub project: Option<Name>,
    /// As usage says it: what it used since it was settled last comes when it is.
    pub spent: Credits,
    pub credits: Credits,
}

/// What a month comes to: most likely, and from where to where it lies eight times in ten.
#[derive(Clone, Copy, Debug)]
pub struct MonthEnd {
    pub credits: Credits,
    pub low: Credits,
    pub high: Credits,
}

#[derive(Clone, Debug)]
pub struct ForecastView {
    pub account: Name,
    pub timezone: String,
    pub currency: Currency,
    pub as_of: Timestamp,
    /// The calendar month in the account's zone: its start, and the start of the next.
    pub month: (Timestamp, Timestamp),
    /// Of all work in this month so far.
    pub spent: Credits,
    /// Or why there is none.
    pub outcome: Result<MonthEnd, String>,
    /// How it is made, in words.
    pub method: String,
    /// Whole days it looks back on.
    pub days_of_data: usize,
    /// The costliest first. Empty where there is no forecast.
    pub meters: Vec<MeterForecast>,
    /// The costliest first. What they cost is known whether or not there is a forecast.
    pub servers: Vec<ServerForecast>,
    pub available: Credits,
    pub burn_per_day: Credits,
    /// The balance's own.
    pub runs_out_at: Option<Timestamp>,
}

/// Whole days before today as the account's zone cuts them, oldest first, then today and the rest of the month.
struct Days {
    starts: Vec<Timestamp>,
    today: Timestamp,
    month: (Timestamp, Timestamp),
    /// Of this month.
    ahead: Ahead,
}

/// What was used, of what servers did not.
#[derive(Default)]
struct Seen {
    /// By meter, for each of [`Days::starts`].
    by_meter: BTreeMap<Text, Vec<Credits>>,
    /// By meter, in this month.
    spent: BTreeMap<Text, Credits>,
    by_server: BTreeMap<Name, Credits>,
    /// The first day on which anything was used.
    first: Option<usize>,
}

impl App {
    /// What this month comes to.
    pub fn forecast(&self, account: &Name) -> Result<ForecastView, Error> {
        let known = self.known(account)?;
        let now = self.now();
        let days = Days::around(&burn_terms(self, &known).calendar, now);
        let (book, rows) = self.book_and_usage(known.account.number, days.starts[0].min(days.month.0), now)?;
        let balance = self.balance(account, None)?;
        let seen = Seen::of(&rows, &book, &days);
        let servers = servers(&seen, &book, &days);
        let of_servers =
            servers.iter().fold((Credits::ZERO, Credits::ZERO), |sum, it| (sum.0 + it.spent, sum.1 + it.credits));
        let spent = seen.spent.values().copied().sum::<Credits>() + of_servers.0;
        let mut view = ForecastView {
            account: account.clone(),
            timezone: known.account.timezone.clone(),
            currency: known.account.currency,
            as_of: now,
            month: days.month,
            spent,
            outcome: Err(String::new()),
            method: String::new(),
            days_of_data: seen.first.map_or(0, |it| days.starts.len() - it),
            meters: Vec::new(),
            servers,
            available: balance.balance.available(),
            burn_per_day: balance.burn_per_day,
            runs_out_at: balance.runs_out_at,
        };
        if view.days_of_data < DAYS_MIN {
            view.outcome = Err(match view.days_of_data {
                0 => format!("A forecast needs {DAYS_MIN} whole days of use to look back on, and there is none yet."),
                1 => format!("A forecast needs {DAYS_MIN} whole days of use to look back on; there is 1 so far."),
                few => {
                    format!("A forecast needs {DAYS_MIN} whole days of use to look back on; there are {few} so far.")
                }
            });
            return Ok(view);
        }
        let looks_at = if view.days_of_data < DAYS { DAYS_MIN } else { DAYS };
        view.method = format!(
            "Last {looks_at} days + running servers. Each day ahead is expected as its weekday was, and servers by \
             their prices and caps; {TIMES_IN_TEN} times in 10 the month ends within the range."
        );
        view.meters = self.meters_ahead(&seen, &days, looks_at);
        let ahead = seen.ahead(None, &days, looks_at);
        let credits = view.meters.iter().map(|it| it.credits).sum::<Credits>() + of_servers.1;
        // Parts are foretold each by itself; around their sum lies what all days together differ by.
        let (low, high) = (credits - (ahead.middle - ahead.low), credits + (ahead.high - ahead.middle));
        view.outcome = Ok(MonthEnd { credits, low: low.max(spent.min(credits)), high });
        Ok(view)
    }

    fn meters_ahead(&self, seen: &Seen, days: &Days, looks_at: usize) -> Vec<MeterForecast> {
        let mut names: Vec<&Text> = seen.by_meter.keys().chain(seen.spent.keys()).collect();
        names.sort_unstable();
        names.dedup();
        let foretold = names.into_iter().map(|meter| {
            let spent = seen.spent.get(meter).copied().unwrap_or_default();
            let credits = spent + seen.ahead(Some(meter), days, looks_at).middle;
            MeterForecast { meter: Arc::clone(meter), category: self.category_of(meter), spent, credits }
        });
        let mut meters: Vec<MeterForecast> = foretold.collect();
        meters.sort_by_key(|it| -it.credits);
        meters
    }

    /// The book and the usage from `from` on, of the same moment: what one has settled is in the other.
    fn book_and_usage(
        &self,
        account: AccountNumber,
        from: Timestamp,
        now: Timestamp,
    ) -> Result<(Arc<Book>, Rows), Fault> {
        let mut book = self.book(account)?;
        for _ in 1..READS_MAX {
            let (version, rows) = self.usage_lately(account, from, now + Span::HOUR)?;
            if version == book.version {
                return Ok((book, rows));
            }
            book = self.book(account)?;
        }
        Ok((book, self.usage_of(account, from, now + Span::HOUR)?))
    }
}

impl Days {
    fn around(calendar: &Calendar, now: Timestamp) -> Days {
        let today = calendar.around(Period::Day, now);
        let month = calendar.around(Period::Month, now);
        let mut starts = vec![today.0];
        for _ in 0..SILENCE_DAYS {
            // A moment before a day begins is in the day before it.
            let before = starts[starts.len() - 1] - Span::from_millis(1);
            starts.push(calendar.around(Period::Day, before).0);
        }
        starts.reverse();
        starts.pop();
        let (mut after, mut end) = (0, today.1);
        while end < month.1 {
            end = calendar.around(Period::Day, end).1;
            after += 1;
        }
        let millis = |from: Timestamp, to: Timestamp| (to.millis() - from.millis()).max(0).unsigned_abs();
        let ahead = Ahead { today: (millis(now, today.1), millis(today.0, today.1)), days: after };
        Days { starts, today: today.0, month, ahead }
    }

    /// The place of the whole day that an hour lies in; none for today, and for what is before them all.
    fn place(&self, hour: Timestamp) -> Option<usize> {
        if self.today <= hour {
            return None;
        }
        self.starts.partition_point(|it| *it <= hour).checked_sub(1)
    }
}

impl Seen {
    fn of(rows: &[UsageRow], book: &Book, days: &Days) -> Seen {
        let mut seen = Seen::default();
        for UsageRow { key, sum } in rows {
            let place = days.place(key.hour);
            if let Some(place) = place {
                seen.first = Some(seen.first.map_or(place, |it| it.min(place)));
            }
            let is_this_month = days.month.0 <= key.hour;
            // A server the book knows nothing of was told of in charges, as work: it is expected to go on like work.
            if let Some(server) =
                key.server.as_ref().filter(|it| &*key.meter == SERVER_METER && book.server(it).is_some())
            {
                let settled = if is_this_month { sum.credits } else { Credits::ZERO };
                *seen.by_server.entry(server.clone()).or_default() += settled;
                continue;
            }
            if is_this_month {
                *seen.spent.entry(Arc::clone(&key.meter)).or_default() += sum.credits;
            }
            if let Some(place) = place {
                let days = seen
                    .by_meter
                    .entry(Arc::clone(&key.meter))
                    .or_insert_with(|| vec![Credits::ZERO; days.starts.len()]);
                days[place] += sum.credits;
            }
        }
        seen
    }

    /// What is ahead of one meter, or of all together.
    fn ahead(&self, meter: Option<&Text>, days: &Days, looks_at: usize) -> Outlook {
        let mut sums = vec![Credits::ZERO; looks_at];
        let from = days.starts.len() - looks_at;
        let wanted = self.by_meter.iter().filter(|(name, _)| meter.is_none_or(|it| it == *name));
        for (_, by_day) in wanted {
            sums.iter_mut().zip(&by_day[from..]).for_each(|(sum, it)| *sum += *it);
        }
        outlook(&sums, days.ahead).unwrap_or_default()
    }
}

/// What each server comes to: settled already, and used from then until the month ends if it runs on.
fn servers(seen: &Seen, book: &Book, days: &Days) -> Vec<ServerForecast> {
    let calendar = &book.burning().terms.calendar;
    let all = book.servers().iter().map(|server| {
        let settled = seen.by_server.get(&server.id).copied().unwrap_or_default();
        let pending: Credits = server.pending.iter().map(|it| it.credits).sum();
        // What a meter that stands still in last month has not counted of it is last month's.
        let before = server.run.cost(days.month.0, calendar);
        ServerForecast {
            server: server.id.clone(),
            project: server.project.clone(),
            spent: settled,
            credits: settled + pending + server.run.cost(days.month.1, calendar) - before,
        }
    });
    let mut servers: Vec<ServerForecast> = all.filter(|it| !it.credits.is_zero() || !it.spent.is_zero()).collect();
    servers.sort_by_key(|it| -it.credits);
    servers
}
