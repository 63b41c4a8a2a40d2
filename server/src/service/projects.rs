//! Projects: they group spend. Deleting one keeps its history.
//!
//! A project that a charge names is there from then on, without a write of its own: usage says that it was named, and
//! when. Only what a platform says of a project (its name, that it is gone) is kept apart.
use std::collections::BTreeMap;

use billing::Refusal;
use billing::id::Name;
use billing::time::{Span, Timestamp};
use store::{Change, CommitError, Project};

use super::{By, Error};
use crate::app::App;

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
        self.projects_since(account, Timestamp::EPOCH)
    }

    /// Those that were named, and those that something was used for since an instant.
    pub fn projects_since(&self, account: &Name, from: Timestamp) -> Result<Vec<Project>, Error> {
        let known = self.known(account)?;
        let number = known.account.number;
        let mut projects: BTreeMap<Name, Project> = BTreeMap::new();
        for row in self.usage_of(number, from, self.now() + Span::DAY)?.iter() {
            let Some(id) = &row.key.project else { continue };
            // Rows come by the hour: the first that names a project is its beginning.
            let first =
                || Project { account: number, id: id.clone(), name: None, created_at: row.key.hour, deleted_at: None };
            if !projects.contains_key(id) {
                projects.insert(id.clone(), first());
            }
        }
        projects.extend(self.store.projects(number)?.into_iter().map(|it| (it.id.clone(), it)));
        Ok(projects.into_values().collect())
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
