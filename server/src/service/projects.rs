//! Projects: they group spend. Deleting one keeps its history.
//!
//! A project that a charge names is there from then on, without a write of its own: the months say that it was named,
//! and when, and the transactions since they were counted. Only what a platform says of a project (its name, that it is
//! gone) is kept apart. Invariant: what is looked at is a few rows a month and project, however much was used.
use std::collections::BTreeMap;

use billing::Refusal;
use billing::id::{AccountNumber, Name};
use billing::ledger::LATE_MAX;
use billing::time::{Span, Timestamp};
use store::{Change, CommitError, Project};

use super::bookkeeping::ACCOUNT_MONTH;
use super::months::{AccountMonth, OTHERS, UsedRow};
use super::{By, Error};
use crate::app::App;

/// A hundred years of them.
const MONTHS_MAX: usize = 1_200;
/// Transactions read at once.
const READ_AT_ONCE: u64 = 1_000;

/// Projects that something was used for, and since when.
#[derive(Default)]
struct Begun(BTreeMap<Name, Timestamp>);

impl Begun {
    fn add(&mut self, id: &Name, at: Timestamp) {
        match self.0.get_mut(id) {
            Some(since) => *since = at.min(*since),
            None => drop(self.0.insert(id.clone(), at)),
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
        let mut begun = Begun::default();
        let counted = self.begun_in_months(number, &mut begun)?;
        self.begun_since(number, counted, &mut begun)?;
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
        let project = |(id, created_at): (Name, Timestamp)| {
            (id.clone(), Project { account: number, id, name: None, created_at, deleted_at: None })
        };
        let mut projects: BTreeMap<Name, Project> = begun.0.into_iter().map(project).collect();
        projects.extend(self.store.projects(number)?.into_iter().map(|it| (it.id.clone(), it)));
        Ok(projects.into_values().collect())
    }

    /// By the months as they are counted, and up to which version they are.
    fn begun_in_months(&self, number: AccountNumber, begun: &mut Begun) -> Result<u64, Error> {
        let mut counted = 0;
        for month in self.all_kept::<AccountMonth>(number, ACCOUNT_MONTH, None, MONTHS_MAX)? {
            let month = month.body;
            counted = month.version.max(counted);
            let (from, to) = (Timestamp::from_millis(month.from), Timestamp::from_millis(month.to));
            // What a month does not say for each project, usage does: there are very many, or it was counted long ago.
            let is_untold = |it: &UsedRow| it.since.is_none() || it.project.as_deref() == Some(OTHERS);
            if month.used.iter().any(|it| it.project.is_some() && is_untold(it)) {
                self.begun_between(number, (from - LATE_MAX - Span::DAY, to), begun)?;
            }
            for row in &month.used {
                let id = row.project.as_deref().and_then(|it| it.parse::<Name>().ok());
                if let Some((id, since)) = id.zip(row.since) {
                    begun.add(&id, Timestamp::from_millis(since));
                }
            }
        }
        Ok(counted)
    }

    /// By the transactions after a version.
    fn begun_since(&self, number: AccountNumber, counted: u64, begun: &mut Begun) -> Result<(), Error> {
        let mut above = self.book(number)?.version + 1;
        while counted + 1 < above {
            let room = (above - 1 - counted).min(READ_AT_ONCE);
            let newest = self.store.transactions(number, above, usize::try_from(room).unwrap_or(usize::MAX))?;
            let Some(oldest) = newest.last() else { break };
            above = oldest.place.version;
            for (key, _) in newest.iter().filter_map(|it| it.usage()) {
                key.project.iter().for_each(|it| begun.add(it, key.hour));
            }
        }
        Ok(())
    }

    /// By usage itself.
    fn begun_between(
        &self,
        number: AccountNumber,
        (from, to): (Timestamp, Timestamp),
        begun: &mut Begun,
    ) -> Result<(), Error> {
        for row in self.usage_of(number, from, to)?.iter() {
            row.key.project.iter().for_each(|it| begun.add(it, row.key.hour));
        }
        Ok(())
    }

    /// None where the account has no such project.
    pub fn find_project(&self, account: &Name, id: &Name) -> Result<Option<Project>, Error> {
        let known = self.known(account)?;
        let written = self.store.projects(known.account.number)?.into_iter().find(|it| it.id == *id);
        if written.is_some() {
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
