//! The weekly summary: what last week cost, beside the week before, to every account that used anything and wants to
//! know.
//!
//! One document of the house is due every Monday; whoever does its job works through the accounts in pages, a commit a
//! page, and so a process that dies goes on where it was. A week is told of once: a summary's name follows from it. An
//! account of which something cannot be read is no reason not to write to the others: its summary becomes a job of its
//! own, which fails and is tried again like any other until the week is over.
use billing::id::Name;
use billing::money::Credits;
use billing::time::{Span, Timestamp};
use billing::zone::{Calendar, Period};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Account, Document, Fault};

use super::letter::Letter;
use super::new;
use super::words::{Facts, day};
use crate::app::App;
use crate::service::documents::Kept;
use crate::service::preferences::Topic;
use crate::service::servers::burn_terms;
use crate::service::{Compared, Error, Interval, OverviewQuery};

pub(super) const WHAT: &str = "digest.weekly";
/// The document that goes round.
pub(super) const ROUND: &str = "digest_round";
const ROUND_ID: &str = "1";
/// A summary that could not be made in its round.
pub(super) const LATE: &str = "digest_late";
/// How long after its round it is tried first.
const LATE_AFTER: Span = Span::MINUTE;

/// At noon on a Monday in UTC last week is over everywhere, and it is Monday nearly everywhere: far in the east Tuesday
/// has begun. So long after midnight.
const NOON: Span = Span::HOUR.times(12);
/// Accounts of one commit.
const PAGE: usize = 100;
/// Projects that are named.
const PROJECTS_MAX: usize = 5;

/// Where the round is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Round {
    /// The account looked at last.
    after: Option<String>,
}

/// When the round of an instant's week began: the same for whoever goes it, however long it takes.
fn round_of(at: Timestamp) -> Timestamp {
    Calendar::default().around(Period::Week, at).0 + NOON
}

/// The first Monday noon after an instant.
fn next_monday(after: Timestamp) -> Timestamp {
    let (monday, next) = Calendar::default().around(Period::Week, after);
    if after < monday + NOON { monday + NOON } else { next + NOON }
}

impl App {
    /// Sees to it that there is a round, where mails are sent at all.
    pub(crate) fn begin_digests(&self) -> Result<(), Fault> {
        if self.postbox.is_none() || self.store.document(Document::HOUSE, ROUND, ROUND_ID)?.is_some() {
            return Ok(());
        }
        let round = Kept::new(Document::HOUSE, ROUND, ROUND_ID.to_owned(), Round { after: None });
        let now = self.now();
        match self.store.commit(&[round.next(now, Some(next_monday(now)))]) {
            Err(store::CommitError::Fault(fault)) => Err(fault),
            // Another process was first with it.
            _ => Ok(()),
        }
    }

    /// One page of accounts, and when the next is due.
    pub(super) fn digest_round(&self, mut round: Kept<Round>) -> Result<(), Error> {
        let now = self.now();
        let after: Option<Name> = round.body.after.as_deref().and_then(|it| it.parse().ok());
        let accounts = self.store.accounts(after.as_ref(), PAGE)?;
        let mut changes = Vec::new();
        for account in &accounts {
            changes.extend(self.digest_of(account, now).unwrap_or_else(|error| {
                tracing::error!(account = account.id.as_str(), %error, "a weekly summary could not be made yet");
                let monday = Calendar::default().around(Period::Week, now).0.millis().to_string();
                Some(Kept::new(account.number, LATE, monday, ()).next(now, Some(now + LATE_AFTER)))
            }));
        }
        let is_last = accounts.len() < PAGE;
        round.body.after = accounts.last().filter(|_| !is_last).map(|it| it.id.to_string());
        changes.push(round.next(now, Some(if is_last { next_monday(now) } else { now })));
        if !self.keep(&changes)? {
            // One of them was written before, by a process that died, or the round went on elsewhere: one at a time.
            let last = changes.pop();
            for change in changes {
                self.keep(&[change])?;
            }
            self.keep(last.as_slice())?;
        }
        Ok(())
    }

    /// A summary that could not be made in its round: it is of the week before that.
    pub(super) fn late_digest(&self, late: &Kept<()>) -> Result<(), Error> {
        let (made_at, now) = (late.document.at, self.now());
        let known = self.known_number(late.document.account)?;
        let is_of_use = now < made_at + Span::DAY.times(7);
        let mut changes = vec![late.next(now, None)];
        if let Some(known) = known.filter(|_| is_of_use) {
            changes.extend(self.digest_of(&known.account, made_at)?);
        }
        if !self.keep(&changes)? {
            // It was made by another who went the same round: there is nothing left to do.
            self.keep(&changes[..1])?;
        }
        Ok(())
    }

    fn digest_of(&self, account: &Account, now: Timestamp) -> Result<Option<store::Change>, Error> {
        let is_reachable = self.postbox.is_some() && account.email.is_some() && account.closed_at.is_none();
        if !is_reachable || !self.preferences_of(account.number)?.wants(Topic::Digest) {
            return Ok(None);
        }
        let known = self.known(&account.id)?;
        let calendar = &burn_terms(self, &known).calendar;
        let this_week = calendar.around(Period::Week, now).0;
        let from = calendar.around(Period::Week, this_week - Span::from_millis(1)).0;
        let overview = self.overview(&OverviewQuery {
            account: account.id.clone(),
            from,
            to: this_week,
            interval: Interval::Total,
            category: None,
            only: Vec::new(),
            compared: Some(Compared::Before),
        })?;
        if overview.total.count == 0 && overview.total.credits.is_zero() {
            return Ok(None);
        }
        let names = self.project_names(&account.id)?;
        let categories = overview.categories.iter().filter(|it| !it.1.credits.is_zero());
        let projects = overview.projects.iter().filter(|it| it.id.is_some()).take(PROJECTS_MAX);
        let balance = self.balance(&account.id, None)?;
        let instant = |at: Timestamp| jiff::Timestamp::from_millisecond(at.millis()).unwrap_or_default().to_string();
        let about = json!({
            "from": instant(from), "to": instant(this_week),
            "total": overview.total.credits.to_string(), "before": overview.total.before.to_string(),
            "categories": categories.map(|it| json!([it.0.as_str(), it.1.credits.to_string()])).collect::<Vec<_>>(),
            "projects": projects.map(|it| {
                let id = it.id.as_deref().unwrap_or_default();
                let name = names.get(id).and_then(|it| it.name.clone()).unwrap_or_else(|| id.to_owned());
                json!([name, it.part.credits.to_string()])
            }).collect::<Vec<_>>(),
            "available": balance.balance.available().to_string(),
            // What has run out lasts until no time that could be said.
            "runs_out_at": balance.runs_out_at.filter(|it| balance.as_of < *it).map(instant),
        });
        let cause = format!("{WHAT} of {}", from.millis());
        // It is a letter of its round's day, not of the week it tells of.
        Ok(Some(new(account.number, &cause, round_of(now), WHAT, about).next(now, Some(now))))
    }
}

/// The summary as a letter.
pub(super) fn letter(facts: &Facts<'_>) -> Letter {
    let credits = |text: Option<&str>| text.and_then(|it| it.parse::<Credits>().ok()).unwrap_or_default();
    let (total, before) = (credits(facts.text("total")), credits(facts.text("before")));
    let compared = match before {
        it if it.is_zero() => "Nothing was used in the week before.".to_owned(),
        it => format!("The week before it was {}.", facts.worth(it)),
    };
    let mut letter = facts.letter("Last week in credits", &format!("You used {}. {compared}", facts.worth(total)));
    if let Some((from, to)) = facts.week() {
        letter.subject = format!("Last week in credits: {from} to {to}");
    }
    for (list, prefix) in [("categories", ""), ("projects", "Project ")] {
        for pair in facts.about()[list].as_array().into_iter().flatten() {
            let (name, used) = (pair[0].as_str().unwrap_or_default(), credits(pair[1].as_str()));
            letter = letter.row(&format!("{prefix}{name}"), Some(facts.worth(used)));
        }
    }
    letter
        .row("Left now", facts.credits("available"))
        .row("Lasts until, at this pace", facts.when("runs_out_at"))
        .button("Open billing", facts.billing())
}

impl Facts<'_> {
    /// First and last day of the week told of.
    fn week(&self) -> Option<(String, String)> {
        let at = |name: &str| -> Option<Timestamp> {
            let at: jiff::Timestamp = self.text(name)?.parse().ok()?;
            Some(Timestamp::from_millis(at.as_millisecond()))
        };
        Some((day(at("from")?, self.zone()), day(at("to")? - Span::from_millis(1), self.zone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mondays_at_noon() {
        let at = |text: &str| Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond());
        for (now, next) in [
            ("2026-11-26T08:00:00Z", "2026-11-30T12:00:00Z"),
            ("2026-11-30T11:59:59Z", "2026-11-30T12:00:00Z"),
            ("2026-11-30T12:00:00Z", "2026-12-07T12:00:00Z"),
            ("2026-12-06T23:59:59Z", "2026-12-07T12:00:00Z"),
        ] {
            assert_eq!(next_monday(at(now)), at(next), "{now}");
            assert_eq!(round_of(at(next)), at(next));
            assert_eq!(round_of(at(next) + Span::DAY.times(6)), at(next), "a round that takes days is still that one");
        }
    }
}
