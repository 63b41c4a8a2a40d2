//! Projects: they group spend. Deleting one keeps its history, and lasts until it is used again: work is never refused
//! because its project was deleted, and what is spent is not hidden, so a charge for work done since brings the
//! project back. Work from before that is told of late does not.
//!
//! A project that a charge names is there from then on, without a write of its own: the months say that it was named,
//! and when, and the transactions since they were counted. Only what a platform says of a project (its name, that it is
//! gone) is kept apart. The months are read once while an account is at hand: from then on what came since is added.
//! Invariant: what is looked at is a few rows an hour and project of some weeks, however much was used and for however
//! long.
use std::collections::BTreeMap;
use std::sync::PoisonError;

use billing::Refusal;
use billing::id::{AccountNumber, Name};
use billing::ledger::{LATE_MAX, What, Work};
use billing::time::{Span, Timestamp};
use store::{Change, CommitError, Project};

use super::bookkeeping::ACCOUNT_MONTH;
use super::lately::FOLLOWED_MAX;
use super::months::{AccountMonth, OTHERS, UsedRow};
use super::recent::Recent;
use super::{By, Error};
use crate::app::App;

/// A hundred years of them.
const MONTHS_MAX: usize = 1_200;
/// How far before it was written something may have been used: usage told of late, and the hours of another zone.
const REACH: Span = Span::from_millis(LATE_MAX.millis() + Span::DAY.millis());
/// How long after an instant a month may say of a project that it was used before it, and nothing of later: what was
/// told late is of the month it was told in.
const TOLD_WITHIN: Span = Span::from_millis(LATE_MAX.millis() + Span::DAY.times(32).millis());
/// Transactions that are looked at for the use of a project in the very hour it was deleted in.
const LOOKED_AT_MAX: u64 = 1_024;
/// Projects that are kept of all accounts: some twenty megabytes.
const KEPT_MAX: usize = 200_000;
/// An account counts for as many at least, so that there are not more of them than are quickly looked through.
const KEPT_MIN: usize = 64;

/// Projects that something was used for, since when, and when again, as far as is known.
#[derive(Clone, Default)]
struct Begun(BTreeMap<Name, (Timestamp, Timestamp)>);

/// What was read lately of which projects have begun.
pub struct ProjectsLately(Recent<Read>);

impl Default for ProjectsLately {
    fn default() -> ProjectsLately {
        ProjectsLately(Recent::of(KEPT_MAX))
    }
}

/// What an account's transactions up to a version, and up to an instant, say; it may say some of later ones.
struct Read {
    version: u64,
    /// Breaks of the store's history before it was read.
    breaks: u64,
    at: Timestamp,
    begun: Begun,
}

impl Begun {
    /// Work that was done in the hour from `hour`, and at `at` or later.
    fn add(&mut self, id: &Name, hour: Timestamp, at: Timestamp) {
        match self.0.get_mut(id) {
            Some((since, last)) => (*since, *last) = (hour.min(*since), at.max(*last)),
            None => drop(self.0.insert(id.clone(), (hour, at))),
        }
    }
}

impl App {
    /// Names a project, registering it where it is new and reviving it where it was deleted. Says whether it was new.
    pub fn put_project(
        &self,
        account: &Name,
        id: &Name,
        name: Option<String>,
        by: &By,
    ) -> Result<(Project, bool), Error> {
        let known = self.known(account)?;
        if name.as_ref().is_some_and(|it| 200 < it.len() || it.chars().any(char::is_control)) {
            return Err(Refusal::invalid("name", "must be at most 200 bytes without control characters").into());
        }
        let before = self.find_project(account, id)?;
        let created_at = before.as_ref().map_or_else(|| self.now(), |it| it.created_at);
        let project = Project { account: known.account.number, id: id.clone(), name, created_at, deleted_at: None };
        self.write_project(&project, by.noted(self.now(), "project.put", account.to_string(), id.to_string()))?;
        Ok((project, before.is_none()))
    }

    /// An account's projects, deleted ones included.
    pub fn projects(&self, account: &Name) -> Result<Vec<Project>, Error> {
        let number = self.known(account)?.account.number;
        if let Some(read) = self.projects_lately.0.find(number) {
            // Whoever panicked with it has left all that was in it.
            let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
            self.go_on(number, &mut read)?;
            let begun = read.begun.clone();
            let is_of_this_history = read.breaks == self.store.breaks();
            drop(read);
            if is_of_this_history {
                self.projects_lately.0.resize(number, begun.0.len().max(KEPT_MIN));
                return self.with_named(number, begun);
            }
        }
        let read = self.read_begun(number)?;
        let begun = read.begun.clone();
        self.projects_lately.0.keep(number, read.begun.0.len().max(KEPT_MIN), read);
        self.with_named(number, begun)
    }

    /// Those that were named, and those that something was used for since an instant.
    pub fn projects_since(&self, account: &Name, from: Timestamp) -> Result<Vec<Project>, Error> {
        let number = self.known(account)?.account.number;
        let mut begun = Begun::default();
        self.begun_between(number, (from, self.now() + Span::DAY), &mut begun)?;
        self.with_named(number, begun)
    }

    fn with_named(&self, number: AccountNumber, begun: Begun) -> Result<Vec<Project>, Error> {
        let project = |(id, since): (&Name, &(Timestamp, Timestamp))| {
            (id.clone(), Project { account: number, id: id.clone(), name: None, created_at: since.0, deleted_at: None })
        };
        let mut projects: BTreeMap<Name, Project> = begun.0.iter().map(project).collect();
        for mut project in self.store.projects(number)? {
            if let Some(deleted_at) = project.deleted_at {
                let is_known = begun.0.get(&project.id).is_some_and(|(_, last)| deleted_at < *last);
                if is_known || self.is_used_since(number, &project.id, deleted_at)? {
                    project.deleted_at = None;
                }
            }
            projects.insert(project.id.clone(), project);
        }
        Ok(projects.into_values().collect())
    }

    /// Whether work was done for a project after an instant, where months do not say so. Within the hour of that
    /// instant only the journal says what came before and what after: the first of it is looked at, so that a list
    /// costs no more where there is much. The next hour says it all the same.
    fn is_used_since(&self, number: AccountNumber, id: &Name, at: Timestamp) -> Result<bool, Error> {
        let to = (at + TOLD_WITHIN).min(self.now() + Span::DAY);
        let rows = self.usage_of(number, at - Span::HOUR, to)?;
        let mut is_in_its_hour = false;
        for hour in rows.iter().filter(|it| it.key.project.as_ref() == Some(id)).map(|it| it.key.hour) {
            if at < hour {
                return Ok(true);
            }
            is_in_its_hour |= at < hour + Span::HOUR;
        }
        if !is_in_its_hour {
            return Ok(false);
        }
        let last = self.book(number)?.version;
        let (version, _) = self.balance_before(number, last, at)?;
        let until = last.min(version + LOOKED_AT_MAX);
        let count = usize::try_from(until - version).expect("a few");
        let is_after = |it: &Work| it.project.as_ref() == Some(id) && at < it.occurred_at;
        let written = self.store.transactions(number, until + 1, count)?;
        Ok(written.iter().any(|it| matches!(&it.what, What::Charged { work, .. } if is_after(work))))
    }

    /// By all that is written. How far that goes is asked before: what comes meanwhile is added again.
    fn read_begun(&self, number: AccountNumber) -> Result<Read, Error> {
        let breaks = self.store.breaks();
        let (version, at) = (self.book(number)?.version, self.now());
        let mut begun = Begun::default();
        let counted = self.begun_in_months(number, &mut begun)?;
        // What is not counted yet was written in the newest month or after it.
        self.begun_between(number, (counted - REACH, at + Span::DAY), &mut begun)?;
        Ok(Read { version, breaks, at, begun })
    }

    /// Adds what was written since.
    fn go_on(&self, number: AccountNumber, read: &mut Read) -> Result<(), Error> {
        let (version, at) = (self.book(number)?.version, self.now());
        let since = version.saturating_sub(read.version);
        if since == 0 {
            return Ok(());
        }
        if since <= FOLLOWED_MAX {
            let count = usize::try_from(since).expect("a few");
            for transaction in self.store.transactions(number, version + 1, count)? {
                if let What::Charged { work, .. } = &transaction.what
                    && let Some(id) = &work.project
                {
                    read.begun.add(id, work.hour, work.occurred_at);
                }
            }
        } else {
            self.begun_between(number, (read.at - REACH, at + Span::DAY), &mut read.begun)?;
        }
        (read.version, read.at) = (version, at);
        Ok(())
    }

    /// By the months as they are counted, and when the newest of them began; when the account did where there is none.
    fn begun_in_months(&self, number: AccountNumber, begun: &mut Begun) -> Result<Timestamp, Error> {
        let mut newest = None;
        for month in self.all_kept::<AccountMonth>(number, ACCOUNT_MONTH, None, MONTHS_MAX)? {
            let month = month.body;
            let (from, to) = (Timestamp::from_millis(month.from), Timestamp::from_millis(month.to));
            newest = newest.max(Some(from));
            // What a month does not say for each project, usage does: there are very many, or it was counted long ago.
            let is_untold = |it: &UsedRow| it.since.is_none() || it.project.as_deref() == Some(OTHERS);
            if month.used.iter().any(|it| it.project.is_some() && is_untold(it)) {
                self.begun_between(number, (from - REACH, to), begun)?;
            }
            for row in &month.used {
                let id = row.project.as_deref().and_then(|it| it.parse::<Name>().ok());
                if let Some((id, since)) = id.zip(row.since.map(Timestamp::from_millis)) {
                    begun.add(&id, since, since);
                }
            }
        }
        if let Some(newest) = newest {
            return Ok(newest);
        }
        Ok(self.known_number(number)?.map_or(self.now(), |it| it.account.created_at))
    }

    /// By usage itself.
    fn begun_between(
        &self,
        number: AccountNumber,
        (from, to): (Timestamp, Timestamp),
        begun: &mut Begun,
    ) -> Result<(), Error> {
        for row in self.usage_of(number, from, to)?.iter() {
            row.key.project.iter().for_each(|it| begun.add(it, row.key.hour, row.key.hour));
        }
        Ok(())
    }

    /// None where the account has no such project.
    pub fn find_project(&self, account: &Name, id: &Name) -> Result<Option<Project>, Error> {
        let known = self.known(account)?;
        let written = self.store.projects(known.account.number)?.into_iter().find(|it| it.id == *id);
        if written.as_ref().is_some_and(|it| it.deleted_at.is_none()) {
            return Ok(written);
        }
        Ok(self.projects(account)?.into_iter().find(|it| it.id == *id))
    }

    /// Deletes a project; what was spent on it still adds up. None where there is none, or it was deleted before.
    pub fn delete_project(&self, account: &Name, id: &Name, by: &By) -> Result<Option<Project>, Error> {
        let Some(project) = self.find_project(account, id)?.filter(|it| it.deleted_at.is_none()) else {
            return Ok(None);
        };
        let now = self.now();
        let project = Project { deleted_at: Some(now), ..project };
        self.write_project(&project, by.noted(now, "project.delete", account.to_string(), id.to_string()))?;
        Ok(Some(project))
    }

    fn write_project(&self, project: &Project, noted: Option<Change>) -> Result<(), Error> {
        let changes: Vec<Change> = noted.into_iter().chain([Change::Project(project.clone())]).collect();
        match self.store.commit(&changes) {
            Ok(()) => Ok(()),
            Err(CommitError::Fault(fault)) => Err(fault.into()),
            Err(CommitError::Stale | CommitError::Repeated) => Err(Error::Busy),
        }
    }
}

#[cfg(test)]
mod tests;
