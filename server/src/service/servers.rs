//! Servers: provisioned, started, stopped, resized, released, as the platform reports it; shown as they stand.
//!
//! What a server costs is decided by the book, from what is reported here. This file brings what the book cannot know:
//! the prices in force when something happened, and the account's calendar.
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::str::FromStr;
use std::sync::Arc;

use billing::Refusal;
use billing::id::{AccountNumber, Name};
use billing::ledger::{Book, BurnTerms, Command, ServerAct, ServerReport};
use billing::money::Credits;
use billing::rating::Text;
use billing::server::{Change as Fact, PartKind, Phase, Server, Tariff};
use billing::time::Timestamp;
use billing::zone::{CHANGES_MAX, Calendar, Period};
use jiff::ToSpan;
use jiff::tz::TimeZone;

use super::order::done;
use super::{By, Error};
use crate::app::{App, Known};
use crate::turnstile::{Ask, Key, Turned};

/// Servers told of new prices in one go: a part of what may wait at the turnstile.
const TOLD_AT_ONCE: usize = 10_000;

/// What a platform reports of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServerVerb {
    Start,
    Stop,
    Resize,
    Release,
    Fail,
}

impl ServerVerb {
    pub const ALL: [ServerVerb; 5] =
        [ServerVerb::Start, ServerVerb::Stop, ServerVerb::Resize, ServerVerb::Release, ServerVerb::Fail];

    pub fn as_str(self) -> &'static str {
        match self {
            ServerVerb::Start => "start",
            ServerVerb::Stop => "stop",
            ServerVerb::Resize => "resize",
            ServerVerb::Release => "release",
            ServerVerb::Fail => "fail",
        }
    }
}

impl FromStr for ServerVerb {
    type Err = Refusal;
    fn from_str(text: &str) -> Result<ServerVerb, Refusal> {
        let found = ServerVerb::ALL.into_iter().find(|it| it.as_str() == text);
        found.ok_or_else(|| Refusal::invalid("action", "must be start, stop, resize, release or fail"))
    }
}

#[derive(Clone, Debug)]
pub struct ServerOrder {
    pub account: Name,
    pub server: Name,
    pub project: Option<Name>,
    pub tier: Text,
    pub region: Option<Text>,
    /// When it was ordered; now where nothing is said.
    pub at: Option<Timestamp>,
    pub by: By,
}

/// A server as it stands at an instant.
#[derive(Clone, Debug)]
pub struct ServerView {
    pub server: Arc<Server>,
    pub seconds: u64,
    /// All of its runtime so far, `accrued` included.
    pub runtime: Credits,
    /// Used and not yet settled.
    pub accrued: Credits,
    pub is_capped: bool,
    /// What it will have cost in this calendar month if it runs on, its set-up with it where that was this month.
    pub projected_month: Credits,
}

impl App {
    /// Orders a server. One that was ordered the same is answered as it stands; says whether it is new.
    pub async fn provision_server(&self, order: ServerOrder) -> Result<(ServerView, bool), Error> {
        let known = self.known(&order.account)?;
        let now = self.now();
        let at = order.at.unwrap_or(now);
        let tariff = Arc::new(Tariff::of(&*self.card_at(at.min(now))?, order.tier, order.region)?);
        let act = ServerAct::Provision { project: order.project, tariff };
        let report = ServerReport { server: order.server.clone(), act, at, terms: Some(burn_terms(self, &known)) };
        let told = self.tell(&known, report, None, &order.by).await?;
        Ok((self.server(&order.account, &order.server)?, told == Told::News))
    }

    /// One server, as it stands now.
    pub fn server(&self, account: &Name, id: &Name) -> Result<ServerView, Error> {
        let found = self.servers(account)?.into_iter().find(|it| it.server.id == *id);
        Ok(found.ok_or(Refusal::ServerNotFound)?)
    }

    /// An account's servers by name: all that are not released, and those released within 35 days.
    pub fn servers(&self, account: &Name) -> Result<Vec<ServerView>, Error> {
        let known = self.known(account)?;
        let now = self.now();
        let book = self.book(known.account.number)?.brought_up_to(now);
        let calendar = &book.burning().terms.calendar;
        Ok(book.servers().iter().map(|it| view(it, now.max(book.at), calendar)).collect())
    }

    /// Tells accounts by what their running servers are counted: all prices that have taken effect, and the calendar of
    /// years to come. Called before an account's hour is settled and soon after a card takes effect. Answers with those
    /// of which more is due before some of it than fits: nothing later may be posted of them before they are told.
    pub(super) async fn tell_news(&self, accounts: &[AccountNumber]) -> Result<HashSet<AccountNumber>, Error> {
        let mut news = Vec::new();
        for book in self.readable(accounts)? {
            let tops_up = book.topup().is_some_and(|it| it.is_on);
            if !tops_up && !book.servers().iter().any(|it| it.run.phase == Phase::Running) {
                continue;
            }
            let Some(known) = self.known_number(book.account)? else { continue };
            let mut own = self.untold_prices(&book);
            let terms = burn_terms(self, &known);
            if *terms != *book.burning().terms {
                own.push_back(vec![ask(book.account, Command::BurnTerms(terms))]);
            }
            news.push(own);
        }
        self.tell_each(news).await
    }

    /// Has the account's months counted where its customer lives now, where anything is counted by them.
    pub async fn follow_zone(&self, account: &Name) -> Result<(), Error> {
        let known = self.known(account)?;
        all_told(&self.tell_news(&[known.account.number]).await?)
    }

    /// Tells an account's servers of the prices that took effect while they were not over: of the tiers they had then.
    pub(super) async fn tell_prices(&self, known: &Known) -> Result<(), Error> {
        let news = self.untold_prices(&*self.book(known.account.number)?);
        all_told(&self.tell_each(vec![news]).await?)
    }

    /// Tells accounts their news, one instant after the other: each is decided at its own, so that the hours before it
    /// cost what held then, on all of an account's servers.
    async fn tell_each(&self, mut news: Vec<News>) -> Result<HashSet<AccountNumber>, Error> {
        let mut waiting = HashSet::new();
        loop {
            let mut round: Vec<Ask> = news.iter_mut().filter_map(News::pop_front).flatten().collect();
            if round.is_empty() {
                return Ok(waiting);
            }
            while !round.is_empty() {
                let some: Vec<Ask> = round.drain(..round.len().min(TOLD_AT_ONCE)).collect();
                let accounts: Vec<AccountNumber> = some.iter().map(|it| it.account).collect();
                for (account, turned) in accounts.into_iter().zip(self.turnstile.take(some).await) {
                    match turned {
                        Turned::Busy => {
                            waiting.insert(account);
                        }
                        // Somebody else was first.
                        Turned::Refused(_) => {}
                        turned => drop(done(turned)?),
                    }
                }
            }
            news.retain(|it| it.front().is_some_and(|it| !waiting.contains(&it[0].account)));
        }
    }

    fn untold_prices(&self, book: &Book) -> News {
        let (cards, now) = (self.cards(), self.now());
        let mut told: BTreeMap<Timestamp, Vec<Ask>> = BTreeMap::new();
        for server in book.servers().iter() {
            for fact in server.untold_prices(&cards, now) {
                let act = ServerAct::Change(fact.change);
                let report = ServerReport { server: server.id.clone(), act, at: fact.at, terms: None };
                told.entry(fact.at).or_default().push(ask(book.account, Command::Server(report)));
            }
        }
        told.into_values().collect()
    }

    pub(super) async fn tell(
        &self,
        known: &Known,
        report: ServerReport,
        key: Option<Key>,
        by: &By,
    ) -> Result<Told, Error> {
        let (action, detail) = in_the_log(&report);
        let also = by.noted(self.now(), &action, known.account.id.to_string(), detail).into_iter().collect();
        let command = Command::Server(report);
        let ask = Ask { key, by: Some(Arc::clone(&by.name)), also, ..ask(known.account.number, command) };
        match self.turnstile.take_one(ask).await {
            Turned::Refused(Refusal::ServerUnchanged) => Ok(Told::Known),
            turned => done(turned).map(|(_, is_replay)| if is_replay { Told::Before } else { Told::News }),
        }
    }
}

/// What one account's servers are to be told, in order: what is of one instant together, and never empty.
type News = VecDeque<Vec<Ask>>;

fn all_told(waiting: &HashSet<AccountNumber>) -> Result<(), Error> {
    if waiting.is_empty() { Ok(()) } else { Err(Error::Busy) }
}

/// What a report was to the book.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Told {
    News,
    /// It says what is known.
    Known,
    /// It came before, under its key.
    Before,
}

/// What the audit log says of a report that an operator makes.
fn in_the_log(report: &ServerReport) -> (String, String) {
    let (act, tariff) = match &report.act {
        ServerAct::Provision { tariff, .. } => ("order", Some(tariff)),
        ServerAct::Change(Fact::Resize(tariff)) => ("resize", Some(tariff)),
        ServerAct::Change(change) => (change.as_str(), None),
    };
    let tier = tariff.map(|it| format!(" {}", it.tier)).unwrap_or_default();
    (format!("server.{act}"), format!("{}{tier}", report.server))
}

fn ask(account: AccountNumber, command: Command) -> Ask {
    let (command, by) = (Some(command), None);
    Ask { account, command, key: None, by, fact: None, once: None, also: Vec::new() }
}

fn view(server: &Arc<Server>, now: Timestamp, calendar: &Calendar) -> ServerView {
    let (mut run, mut parts) = (server.run.clone(), Vec::new());
    run.advance(now.max(run.at), calendar, &mut parts);
    let accrued: Credits = parts.iter().map(|it| it.credits).sum();
    let seconds: i64 = parts.iter().map(|it| it.seconds).sum();
    let month = calendar.around(Period::Month, now);
    let so_far = if run.month == month { run.month_credits() } else { Credits::ZERO };
    let set_up = if run.started_at.is_some_and(|it| month.0 <= it) { set_up(server) } else { Credits::ZERO };
    ServerView {
        seconds: server.runtime_seconds.saturating_add_signed(seconds),
        runtime: server.runtime + accrued,
        accrued,
        is_capped: run.month == month && run.is_capped(),
        projected_month: set_up + so_far + run.cost(month.1, calendar),
        server: Arc::clone(server),
    }
}

/// What setting it up cost, also where that waits to be settled.
fn set_up(server: &Server) -> Credits {
    let waiting = server.pending.iter().filter(|it| it.kind == PartKind::SetUp);
    server.set_up + waiting.map(|it| it.credits).sum::<Credits>()
}

/// By what an account's servers are counted: its calendar from the start of last year for six years, and the grace.
/// The same all year, so that it is news to a book once a year.
pub(super) fn burn_terms(app: &App, known: &Known) -> Arc<BurnTerms> {
    let now = app.now();
    let year = jiff::Timestamp::from_millisecond(now.millis()).map_or(0, |it| it.to_zoned(TimeZone::UTC).year());
    let at_hand = app.burn_terms.read().expect("no holder panics").get(&known.account.timezone).cloned();
    if let Some((_, terms)) = at_hand.filter(|it| it.0 == year) {
        return terms;
    }
    let terms =
        Arc::new(BurnTerms { calendar: calendar(&known.zone, now).unwrap_or_default(), grace: app.settings().grace });
    let mut at_hand = app.burn_terms.write().expect("no holder panics");
    at_hand.insert(known.account.timezone.clone(), (year, Arc::clone(&terms)));
    terms
}

fn calendar(zone: &TimeZone, now: Timestamp) -> Option<Calendar> {
    let now = jiff::Timestamp::from_millisecond(now.millis()).ok()?;
    let year = now.to_zoned(TimeZone::UTC).date().first_of_year();
    let start = year.checked_sub(1.year()).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
    let end = year.checked_add(5.years()).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
    let millis = |it: jiff::Timestamp| Timestamp::from_millis(it.as_millisecond());
    let mut changes = vec![(millis(start), zone.to_offset(start).seconds())];
    let later = zone.following(start).take_while(|it| it.timestamp() < end);
    for change in later.take(CHANGES_MAX - 1) {
        if changes.last().is_some_and(|it| it.1 != change.offset().seconds()) {
            changes.push((millis(change.timestamp()), change.offset().seconds()));
        }
    }
    Calendar::new(changes)
}

#[cfg(test)]
mod tests {
    use billing::time::Span;

    use super::*;
    use crate::service::Interval;
    use crate::service::usage::bucket_start;

    /// The rules' calendars and the zones' own agree, hour by hour, over years of changes.
    #[test]
    fn calendars_say_what_zones_say() {
        let now = Timestamp::from_millis(1_795_000_000_000);
        for name in ["UTC", "Europe/Vilnius", "America/New_York", "Asia/Kolkata", "America/Santiago", "Africa/Cairo"] {
            let zone = TimeZone::get(name).unwrap();
            let calendar = calendar(&zone, now).unwrap();
            for hour in 0..20_000 {
                let at = now + Span::HOUR.times(hour - 5_000) + Span::MINUTE.times(17);
                for (period, interval) in
                    [(Period::Day, Interval::Day), (Period::Week, Interval::Week), (Period::Month, Interval::Month)]
                {
                    let (start, next) = calendar.around(period, at);
                    assert_eq!(start, bucket_start(at, interval, &zone, at), "{name}: {period:?} of {at:?}");
                    assert!(start <= at && at < next, "{name}: {period:?} of {at:?}");
                }
            }
        }
    }
}
