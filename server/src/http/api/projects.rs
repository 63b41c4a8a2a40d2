//! Projects: named, listed, deleted. A charge registers the project it names, so nobody has to.
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use billing::id::Name;
use billing::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::catalogue;
use super::super::knock::Knock;
use super::super::problem::Problem;
use super::super::query::Stretch;
use super::super::site::Site;
use super::super::wire::{Instant, NameIn};
use super::reply::{self, Answered, Page};
use crate::service::Scope;

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProjectRequest, example = json!({"name": "Web shop"}))]
pub struct ProjectIn {
    #[schema(max_length = 200)]
    name: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Project)]
pub struct ProjectShown {
    #[schema(pattern = "^[A-Za-z0-9._:@-]{1,128}$")]
    id: String,
    name: Option<String>,
    created_at: Instant,
}

impl ProjectShown {
    fn new(id: &Name, name: Option<String>, created_at: Timestamp) -> ProjectShown {
        ProjectShown { id: id.to_string(), name, created_at: Instant(created_at) }
    }
}

fn missing() -> Problem {
    Problem::new(&catalogue::PROJECT_NOT_FOUND, "no such project, or it was deleted; PUT makes it, and brings it back")
}

/// Name a project
///
/// Makes it where it is new, and brings it back where it was deleted.
#[utoipa::path(put, path = "/v1/accounts/{account}/projects/{project}", operation_id = "putProject", tag = "Accounts",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("project" = NameIn, Path, description = "A name of your own choice."),
    ),
    request_body = ProjectIn, security(("api_key" = ["billing"])),
    responses(
        (status = 200, body = ProjectShown, description = "Named."),
        (status = 201, body = ProjectShown, description = "New."),
        (status = 404, description = "No such account."),
    ))]
pub async fn put(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Billing)?;
    let (account, project) = (call.name("account").await?, call.name("project").await?);
    let by = call.who();
    let said: ProjectIn = call.json().await?;
    let (project, is_new) = site.look(move |app| app.put_project(&account, &project, said.name, &by)).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    reply::json(status, &ProjectShown::new(&project.id, project.name, project.created_at))
}

/// Look up a project
#[utoipa::path(get, path = "/v1/accounts/{account}/projects/{project}", operation_id = "getProject", tag = "Accounts",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("project" = NameIn, Path, description = "The project."),
    ),
    security(("api_key" = ["read"])),
    responses(
        (status = 200, body = ProjectShown, description = "The project."),
        (status = 404, description = "No such account or project."),
    ))]
pub async fn show(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let (account, project) = (call.name("account").await?, call.name("project").await?);
    let found = site.look(move |app| app.find_project(&account, &project)).await?;
    let project = found.filter(|it| it.deleted_at.is_none()).ok_or_else(missing)?;
    reply::json(StatusCode::OK, &ProjectShown::new(&project.id, project.name, project.created_at))
}

/// List an account's projects
#[utoipa::path(get, path = "/v1/accounts/{account}/projects", operation_id = "listProjects", tag = "Accounts",
    params(("account" = NameIn, Path, description = "The account."), Stretch), security(("api_key" = ["read"])),
    responses(
        (status = 200, body = Page<ProjectShown>, description = "By id, without those that were deleted."),
        (status = 404, description = "No such account."),
    ))]
pub async fn list(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let account = call.name("account").await?;
    let stretch = call.query(&["limit", "cursor"])?.stretch()?;
    let projects = site.look(move |app| app.projects(&account)).await?.into_iter();
    let live = projects.filter(|it| it.deleted_at.is_none());
    let shown = live.map(|it| ProjectShown::new(&it.id, it.name, it.created_at)).collect();
    reply::page(&stretch, shown)
}

/// Delete a project
///
/// What was spent on it stays in the ledger and still adds up. Nothing is refused because its project was deleted: work
/// that is done for it later brings it back, under the name it had.
#[utoipa::path(delete, path = "/v1/accounts/{account}/projects/{project}", operation_id = "deleteProject",
    tag = "Accounts",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("project" = NameIn, Path, description = "The project."),
    ),
    security(("api_key" = ["billing"])),
    responses(
        (status = 204, description = "Deleted."),
        (status = 404, description = "No such account or project."),
    ))]
pub async fn delete(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Billing)?;
    let (account, project) = (call.name("account").await?, call.name("project").await?);
    let by = call.who();
    site.look(move |app| app.delete_project(&account, &project, &by)).await?.ok_or_else(missing)?;
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}
