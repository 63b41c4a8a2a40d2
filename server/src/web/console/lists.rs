//! The console's lists: accounts, API keys, jobs, the audit log.
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::tz::TimeZone;

use super::form::Form;
use super::{Desk, Paged, done, message, page, show};
use crate::app::App;
use crate::http::Site;
use crate::service::{Error, Scope};
use crate::web::frame::When;
use crate::web::visit::Host;

/// Rows of a list.
const SHOWN: usize = 100;

#[derive(Template)]
#[template(path = "console/accounts.html")]
struct AccountsPage {
    desk: Desk,
    search: String,
    accounts: Vec<AccountRow>,
    is_cut: bool,
}

struct AccountRow {
    id: String,
    name: String,
    email: String,
    available: String,
    exact: String,
    state: &'static str,
    since: When,
}

pub async fn accounts(State(site): State<Arc<Site>>, host: Host) -> Paged {
    let filled = site.look(move |app| {
        let search = host.query.get("q").unwrap_or_default().to_owned();
        let found = app.search_accounts(&search, SHOWN)?;
        let is_cut = found.len() == SHOWN;
        let mut accounts = Vec::new();
        for it in found {
            let balance = app.balance(&it.id, None)?.balance;
            accounts.push(AccountRow {
                name: it.name.unwrap_or_else(|| "no name".to_owned()),
                email: it.email.unwrap_or_default(),
                available: show::have(balance.available()),
                exact: balance.available().to_string(),
                state: match it.closed_at {
                    Some(_) => "closed",
                    None if balance.debt.is_positive() => "in debt",
                    None if !balance.available().is_positive() => "out of credits",
                    None => "",
                },
                since: When::minute(it.created_at, &TimeZone::UTC),
                id: it.id.to_string(),
            });
        }
        Ok(AccountsPage { desk: Desk::of(app, &host, "/console")?, search, accounts, is_cut })
    });
    let filled = filled.await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::OK, &filled))
}

#[derive(Template)]
#[template(path = "console/keys.html")]
struct KeysPage {
    desk: Desk,
    keys: Vec<KeyRow>,
    scopes: Vec<&'static str>,
    /// Shown once, here.
    minted: Option<(String, String)>,
}

struct KeyRow {
    id: String,
    name: String,
    scopes: String,
    made: When,
    revoked: Option<When>,
}

fn keys_page(app: &App, host: &Host, minted: Option<(String, String)>) -> Result<KeysPage, Error> {
    let keys = app.api_keys()?.into_iter().map(|it| KeyRow {
        id: it.id,
        name: it.name,
        scopes: it.scopes.join(", "),
        made: When::minute(it.created_at, &TimeZone::UTC),
        revoked: it.revoked_at.map(|it| When::minute(it, &TimeZone::UTC)),
    });
    let keys = keys.collect();
    let scopes = Scope::ALL.map(Scope::as_str).to_vec();
    Ok(KeysPage { desk: Desk::of(app, host, "/console/keys")?, keys, scopes, minted })
}

pub async fn keys(State(site): State<Arc<Site>>, host: Host) -> Paged {
    let filled = site.look(move |app| keys_page(app, &host, None)).await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::OK, &filled))
}

pub async fn mint(State(site): State<Arc<Site>>, host: Host, form: Form) -> Paged {
    form.check(&site, &host.operator.id).await?;
    let scopes: Vec<Scope> = Scope::ALL.into_iter().filter(|it| form.get(it.as_str()).is_some()).collect();
    let name = form.get("name").unwrap_or_default().to_owned();
    let filled = site.look(move |app| {
        let minted = app.mint_api_key(&name, &scopes, &host.operator.name)?;
        keys_page(app, &host, Some((minted.key.name, minted.secret)))
    });
    let filled = filled.await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::CREATED, &filled))
}

pub async fn revoke(State(site): State<Arc<Site>>, host: Host, form: Form) -> Paged {
    form.check(&site, &host.operator.id).await?;
    let id = form.get("id").unwrap_or_default().to_owned();
    let revoked = site.look(move |app| app.revoke_api_key(&id, &host.operator.name));
    revoked.await.map_err(|it| message::failed(&site, it))?;
    Ok(done("/console/keys"))
}

#[derive(Template)]
#[template(path = "console/jobs.html")]
struct JobsPage {
    desk: Desk,
    jobs: Vec<JobRow>,
    waiting: usize,
    is_cut: bool,
}

struct JobRow {
    kind: String,
    id: String,
    account: Option<String>,
    due: When,
    is_late: bool,
    version: u64,
}

pub async fn jobs(State(site): State<Arc<Site>>, host: Host) -> Paged {
    let filled = site.look(move |app| {
        let jobs = app.waiting_jobs(SHOWN)?;
        let is_cut = jobs.len() == SHOWN;
        let row = |it: crate::service::WaitingJob| {
            let due = it.document.due_at.unwrap_or(host.now);
            JobRow {
                kind: show::words(&it.document.kind),
                id: it.document.id,
                account: it.account.map(|it| it.to_string()),
                due: When::minute(due, &TimeZone::UTC),
                is_late: due < host.now,
                version: it.document.version,
            }
        };
        let jobs = jobs.into_iter().map(row).collect();
        Ok(JobsPage {
            desk: Desk::of(app, &host, "/console/jobs")?,
            jobs,
            waiting: app.turnstile().tally().waiting(),
            is_cut,
        })
    });
    let filled = filled.await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::OK, &filled))
}

#[derive(Template)]
#[template(path = "console/audit.html")]
struct AuditPage {
    desk: Desk,
    rows: Vec<AuditRow>,
    older: Option<String>,
}

struct AuditRow {
    when: When,
    by: String,
    action: String,
    subject: String,
    detail: String,
}

pub async fn audit(State(site): State<Arc<Site>>, host: Host) -> Paged {
    let filled = site.look(move |app| {
        let before = host.query.get("before").and_then(|it| it.parse().ok());
        let read = app.audit_log(before, SHOWN)?;
        let older = read.last().filter(|_| read.len() == SHOWN).map(|(it, _)| format!("/console/audit?before={it}"));
        let rows = read.into_iter().map(|(_, it)| AuditRow {
            when: When::minute(it.at, &TimeZone::UTC),
            by: it.by,
            action: it.action,
            subject: it.subject,
            detail: it.detail,
        });
        let rows = rows.collect();
        Ok(AuditPage { desk: Desk::of(app, &host, "/console/audit")?, rows, older })
    });
    let filled = filled.await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::OK, &filled))
}
