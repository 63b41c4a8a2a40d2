//! One account, as support sees it: what it has, what was given, what is under way, what happened.
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use billing::Refusal;
use billing::id::Name;
use billing::ledger::{Scope, Source};
use billing::time::{Span, Timestamp};

use super::form::Form;
use super::{Desk, Paged, done, message, page, show};
use crate::app::App;
use crate::http::Site;
use crate::service::{Error, GrantOrder, GrantState, LinkOrder, PortalPage, Role};
use crate::web::frame::{Live, When};
use crate::web::usage::{EntryRow, Reader};
use crate::web::visit::Host;

/// Grants and entries on the page.
const SHOWN: usize = 30;
/// How long support may look with one link.
const LOOK_LASTS: Span = Span::MINUTE;

#[derive(Template)]
#[template(path = "console/account.html")]
struct AccountPage {
    desk: Desk,
    id: String,
    name: Option<String>,
    facts: Vec<(&'static str, String)>,
    live: Live,
    grants: Vec<GrantRow>,
    holds: Vec<HoldRow>,
    entries: Vec<EntryRow>,
    sources: Vec<&'static str>,
}

struct GrantRow {
    id: String,
    source: &'static str,
    reason: String,
    made: When,
    credits: String,
    remaining: String,
    until: String,
    state: &'static str,
    can_void: bool,
}

struct HoldRow {
    id: String,
    what: String,
    credits: String,
    until: When,
}

pub async fn show(State(site): State<Arc<Site>>, Path(account): Path<String>, host: Host) -> Paged {
    let filled = site.look(move |app| account_page(app, &host, &name(&account)?));
    let filled = filled.await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::OK, &filled))
}

fn name(text: &str) -> Result<Name, Error> {
    text.parse().map_err(|_| Refusal::AccountNotFound.into())
}

fn account_page(app: &App, host: &Host, id: &Name) -> Result<AccountPage, Error> {
    let account = app.account(id)?;
    let known = app.known(id)?;
    let zone = &known.zone;
    let names = app.project_names(id)?;
    let reader = Reader::of(app, zone, &names);
    let grants = app.grants(id, None, SHOWN)?;
    let entries = app.entries(id, &Default::default(), None, SHOWN)?;
    let mut facts = vec![
        ("Id", account.id.to_string()),
        ("E-mail", account.email.unwrap_or_else(|| "none".to_owned())),
        ("Currency", account.currency.as_str().to_uppercase()),
        ("Time zone", account.timezone),
        ("Since", show::day(account.created_at, zone)),
    ];
    if let Some(closed) = account.closed_at {
        facts.push(("Closed", show::day(closed, zone)));
    }
    Ok(AccountPage {
        desk: Desk::of(app, host, "/console")?,
        id: id.to_string(),
        name: account.name,
        facts,
        live: Live::of(&app.balance(id, None)?, zone),
        grants: grants
            .iter()
            .map(|it| GrantRow {
                id: it.id.to_string(),
                source: it.terms.source.as_str(),
                reason: it.terms.reason.to_string(),
                made: When::minute(it.created_at, zone),
                credits: show::have(it.terms.credits),
                remaining: show::have(it.remaining + it.held),
                until: if it.terms.expires_at == Timestamp::NEVER {
                    "never".to_owned()
                } else {
                    show::day(it.terms.expires_at, zone)
                },
                state: match it.state {
                    GrantState::Pending => "pending",
                    GrantState::Live => "live",
                    GrantState::Expired => "expired",
                    GrantState::Spent => "spent",
                },
                can_void: it.remaining.is_positive() && it.state != GrantState::Expired,
            })
            .collect(),
        holds: app
            .holds(id)?
            .iter()
            .map(|it| HoldRow {
                id: it.id.to_string(),
                what: app.category_of(&it.work.usage.meter).as_str().to_owned(),
                credits: show::have(it.credits),
                until: When::minute(it.expires_at, zone),
            })
            .collect(),
        entries: entries.entries.iter().map(|it| reader.row(it)).collect(),
        sources: [Source::Promo, Source::Adjustment, Source::Refund].map(Source::as_str).to_vec(),
    })
}

/// Credits given by hand.
pub async fn grant(State(site): State<Arc<Site>>, Path(account): Path<String>, host: Host, form: Form) -> Paged {
    form.check(&site, &host.operator.id).await?;
    let failed = |it: Error| message::failed(&site, it.into());
    let order = order(&site.app, &account, &host, &form).map_err(failed)?;
    let (credits, reason) = (order.credits.to_string(), order.reason.to_string());
    site.app.grant(order).await.map_err(failed)?;
    let by = host.operator.name.clone();
    let subject = account.clone();
    let noted = site.look(move |app| app.note_audit(&by, "grant.make", &subject, &format!("{credits}: {reason}")));
    noted.await.map_err(|it| message::failed(&site, it))?;
    Ok(done(&format!("/console/accounts/{account}")))
}

fn order(app: &App, account: &str, host: &Host, form: &Form) -> Result<GrantOrder, Error> {
    let credits = form.get("credits").unwrap_or_default();
    let days = match form.get("days") {
        None => None,
        Some(text) => {
            let days = text.parse::<u16>().ok().filter(|it| 0 < *it);
            Some(days.ok_or_else(|| Refusal::invalid("days", "must be a number of days, or nothing"))?)
        }
    };
    let source = form.get("source").and_then(|it| it.parse().ok());
    Ok(GrantOrder {
        account: name(account)?,
        credits: credits.parse().map_err(|why| Refusal::invalid("credits", why))?,
        source: source.filter(|it| *it != Source::Purchase).unwrap_or(Source::Adjustment),
        reason: form.get("reason").unwrap_or_default().into(),
        effective_at: None,
        expires_at: days.map(|it| app.now() + Span::DAY.times(i64::from(it))),
        priority: None,
        scope: Scope::default(),
        key: form.get("key").unwrap_or_default().into(),
        by: host.operator.name.as_str().into(),
    })
}

/// The unused part of a grant taken back.
pub async fn void(State(site): State<Arc<Site>>, Path(account): Path<String>, host: Host, form: Form) -> Paged {
    form.check(&site, &host.operator.id).await?;
    let failed = |it: Error| message::failed(&site, it.into());
    let grant = form.get("grant").unwrap_or_default().to_owned();
    let id = grant.parse().map_err(|_| failed(Refusal::GrantNotFound.into()))?;
    let reason = form.get("reason").unwrap_or_default().to_owned();
    let key = form.get("key").unwrap_or_default().into();
    let by = host.operator.name.clone();
    site.app.void(id, reason.as_str().into(), &key, by.as_str().into()).await.map_err(failed)?;
    let noted = site.look(move |app| app.note_audit(&by, "grant.void", &grant, &reason));
    noted.await.map_err(|it| message::failed(&site, it))?;
    Ok(done(&format!("/console/accounts/{account}")))
}

/// The customer's own pages, as somebody who may change nothing.
pub async fn look(State(site): State<Arc<Site>>, Path(account): Path<String>, host: Host, form: Form) -> Paged {
    form.check(&site, &host.operator.id).await?;
    let by = host.operator.name.clone();
    let link = site.look(move |app| {
        let order = LinkOrder {
            account: name(&account)?,
            role: Role::Viewer,
            page: PortalPage::Usage,
            return_url: None,
            lasts: Some(LOOK_LASTS),
        };
        app.note_audit(&by, "portal.look", &account, "")?;
        app.portal_link(&order)
    });
    let link = link.await.map_err(|it| message::failed(&site, it))?;
    Ok(done(&format!("/portal?link={}", link.token)))
}
