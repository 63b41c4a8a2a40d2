//! Removing a project that is no longer needed, and bringing it back. What was used in it stays, and still adds up.
//!
//! Nothing is removed by one click: the page says what it means before, what it does not do too.
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use billing::id::Name;
use billing::server::Phase;

use super::breakdown::project_label;
use super::show;
use crate::app::App;
use crate::http::Site;
use crate::service::Error;
use crate::web::form::Form;
use crate::web::frame::Frame;
use crate::web::range::Query;
use crate::web::visit::Visitor;
use crate::web::{Paged, message, page};

const PATH: &str = "/settings/usage/project";

/// Where it is asked whether a project is to be removed.
pub fn address(project: &str) -> String {
    Query::default().with(&[("project", project)]).href(PATH)
}

/// The project that the usage page is narrowed to.
pub struct ProjectView {
    pub label: String,
    pub is_removed: bool,
    /// Where it is removed, by whoever may and where there is something to remove.
    pub remove: Option<String>,
    /// What the form that brings it back carries.
    pub id: String,
    /// To all projects.
    pub clear: String,
}

impl ProjectView {
    pub fn of(app: &App, visitor: &Visitor) -> Result<Option<ProjectView>, Error> {
        let Some(id) = visitor.query.get("project").and_then(|it| it.parse::<Name>().ok()) else { return Ok(None) };
        let Some(found) = app.find_project(&visitor.session.account, &id)? else { return Ok(None) };
        let (is_removed, decides) = (found.deleted_at.is_some(), visitor.session.role.changes_billing());
        Ok(Some(ProjectView {
            label: found.name.unwrap_or_else(|| id.to_string()),
            is_removed,
            remove: (decides && !is_removed).then(|| address(id.as_str())),
            id: id.to_string(),
            clear: visitor.query.with(&[("project", ""), ("cursor", "")]).href(super::PATH),
        }))
    }
}

#[derive(Template)]
#[template(path = "project.html")]
struct RemovalPage {
    frame: Frame,
    id: String,
    label: String,
    says: Vec<String>,
    back: String,
}

/// Whoever decides what is bought decides what is kept.
fn denied(site: &Site, visitor: &Visitor) -> Option<Response> {
    let text = "Owners and billing contacts of the account remove projects. Ask one of them.";
    (!visitor.session.role.changes_billing()).then(|| message::forbidden(site, text))
}

fn named(said: Option<&str>) -> Option<Name> {
    said.and_then(|it| it.parse().ok())
}

/// The page of one project.
fn back_to(project: &str) -> String {
    Query::default().with(&[("project", project)]).href(super::PATH)
}

pub async fn ask(State(site): State<Arc<Site>>, visitor: Visitor) -> Paged {
    if let Some(no) = denied(&site, &visitor) {
        return Err(no);
    }
    let project = named(visitor.query.get("project")).ok_or_else(|| message::nothing_here(&site))?;
    let to = back_to(project.as_str());
    let asked = site.look(move |app| match app.find_project(&visitor.session.account, &project)? {
        Some(found) if found.deleted_at.is_none() => Ok(Some(Some(removal(app, &visitor, &project)?))),
        found => Ok(found.map(|_| None)),
    });
    match asked.await.map_err(|it| message::failed(&site, it))? {
        Some(Some(removal)) => Ok(page(StatusCode::OK, &removal)),
        // It is gone already: its page says so.
        Some(None) => Ok(Redirect::to(&to).into_response()),
        None => Err(message::nothing_here(&site)),
    }
}

fn removal(app: &App, visitor: &Visitor, id: &Name) -> Result<RemovalPage, Error> {
    let account = &visitor.session.account;
    let label = project_label(Some(id.as_str()), &app.project_names(account)?);
    let mut says = vec![
        "Its history stays and still adds up: what was used in it is shown and exported as before, marked as removed."
            .to_owned(),
        "Work that still names it is charged as before. You can bring it back at any time.".to_owned(),
    ];
    let fleet = app.servers(account)?;
    let own = fleet.iter().filter(|it| it.server.project.as_ref() == Some(id));
    let running: Vec<&str> =
        own.filter(|it| it.server.run.phase == Phase::Running).map(|it| it.server.id.as_str()).collect();
    if !running.is_empty() {
        let (runs, them) = if running.len() == 1 { ("runs", "it") } else { ("run", "them") };
        let names = listed(&running);
        says.push(format!(
            "{names} still {runs} in it and will go on to cost credits: removing the project does not stop {them}. \
             Release {them} in the app you came from."
        ));
    }
    let budgets = app.budgets(account)?;
    let own = budgets.iter().filter(|it| it.budget.terms.scope.project.as_ref() == Some(id));
    let own: Vec<&str> = own.map(|it| it.budget.id.as_str()).collect();
    if !own.is_empty() {
        let (which, stays) = if own.len() == 1 { ("budget", "stays") } else { ("budgets", "stay") };
        says.push(format!("Its {which} {} {stays} as set.", listed(&own)));
    }
    let balance = app.balance(account, None)?;
    Ok(RemovalPage {
        frame: Frame::of(app, visitor, &balance, super::PATH)?,
        back: back_to(id.as_str()),
        id: id.to_string(),
        label,
        says,
    })
}

/// Names in a sentence, and of very many how many more.
fn listed(names: &[&str]) -> String {
    const NAMED: usize = 5;
    let (shown, others) = names.split_at(names.len().min(NAMED));
    let more = (!others.is_empty()).then(|| format!("{} more", show::thousands(others.len() as u64)));
    let all: Vec<&str> = shown.iter().copied().chain(more.as_deref()).collect();
    match all.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => all.concat(),
    }
}

/// Removes it, or brings it back, and leads to its page.
pub async fn change(State(site): State<Arc<Site>>, visitor: Visitor, form: Form) -> Paged {
    form.check_from(&site, &visitor).await?;
    if let Some(no) = denied(&site, &visitor) {
        return Err(no);
    }
    let project = named(form.get("project")).ok_or_else(|| message::nothing_here(&site))?;
    let brings_back = form.get("do") == Some("restore");
    let to = back_to(project.as_str());
    let done = site.look(move |app: &App| -> Result<bool, Error> {
        let (account, by) = (&visitor.session.account, visitor.by());
        let Some(found) = app.find_project(account, &project)? else { return Ok(false) };
        // Sent twice, it is done once.
        match (brings_back, found.deleted_at) {
            (true, Some(_)) => app.put_project(account, &project, found.name, &by).map(drop)?,
            (false, None) => app.delete_project(account, &project, &by).map(drop)?,
            _ => {}
        }
        Ok(true)
    });
    let is_known = done.await.map_err(|it| message::failed(&site, it))?;
    if is_known { Ok(Redirect::to(&to).into_response()) } else { Err(message::nothing_here(&site)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_as_one_says_them() {
        for (names, said) in [
            (&["web-1"][..], "web-1"),
            (&["web-1", "web-2"], "web-1 and web-2"),
            (&["a", "b", "c", "d", "e", "f", "g"], "a, b, c, d, e and 2 more"),
        ] {
            assert_eq!(listed(names), said);
        }
    }
}
