//! One account, as support sees it: what it has, what was given, what is under way, what happened, what was noted.
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use billing::Refusal;
use billing::id::Name;
use billing::ledger::{Source, Topup, Transaction, What};
use billing::money::Credits;
use billing::time::Timestamp;
use jiff::tz::TimeZone;

use super::form::Form;
use super::payments::PaymentRow;
use super::refused::in_words;
use super::{Desk, Paged, message, name, page, show};
use crate::app::{App, Known};
use crate::http::Site;
use crate::service::{BudgetView, Error, GrantState, GrantView, ServerView, Subscription};
use crate::web::frame::{Live, When};
use crate::web::usage::{EntryRow, Reader};
use crate::web::visit::Host;

/// Rows of each list on the page.
const SHOWN: usize = 30;

pub type Facts = Vec<(&'static str, String)>;

#[derive(Template)]
#[template(path = "console/account.html")]
struct AccountPage {
    desk: Desk,
    id: String,
    name: Option<String>,
    is_closed: bool,
    /// Of the times on the page, but for those that say UTC.
    timezone: String,
    facts: Facts,
    live: Live,
    grants: Vec<GrantRow>,
    holds: Vec<HoldRow>,
    servers: Vec<ServerRow>,
    budgets: Vec<BudgetRow>,
    payments: Vec<PaymentRow>,
    notes: Vec<NoteRow>,
    /// What was done to it by operators and by people at the pages.
    acts: Vec<ActRow>,
    entries: Vec<EntryRow>,
    sources: Vec<&'static str>,
    /// In which a cost is said.
    currency: String,
    /// What was typed to give credits, and why they were not given.
    giving: Giving,
}

/// The form that gives credits, as it was filled in before.
#[derive(Default)]
struct Giving {
    problem: Option<String>,
    credits: String,
    source: String,
    days: String,
    cost: String,
    reason: String,
}

impl Giving {
    fn again(form: &Form, refusal: &Refusal) -> Giving {
        let typed = |name: &str| form.get(name).unwrap_or_default().to_owned();
        Giving {
            problem: Some(in_words(refusal)),
            credits: typed("credits"),
            source: typed("source"),
            days: typed("days"),
            cost: typed("cost"),
            reason: typed("reason"),
        }
    }
}

/// The account's page once more, with what was typed to give it credits and why that cannot be done.
pub async fn giving_again(site: &Arc<Site>, account: &str, host: &Host, form: &Form, refusal: &Refusal) -> Paged {
    let (account, host, giving) = (account.to_owned(), host.clone(), Giving::again(form, refusal));
    let filled = site.look(move |app| Ok(AccountPage { giving, ..account_page(app, &host, &name(&account)?)? })).await;
    let filled = filled.map_err(|it| message::failed(site, it))?;
    Ok(page(StatusCode::UNPROCESSABLE_ENTITY, &filled))
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

struct ServerRow {
    id: String,
    tier: String,
    state: &'static str,
    hours: String,
    set_up: String,
    runtime: String,
    month: String,
}

struct BudgetRow {
    id: String,
    what: String,
    does: &'static str,
    used: String,
    limit: String,
    left: String,
}

struct ActRow {
    when: When,
    by: String,
    action: String,
    detail: String,
}

struct NoteRow {
    when: When,
    by: String,
    text: String,
}

pub async fn show(State(site): State<Arc<Site>>, Path(account): Path<String>, host: Host) -> Paged {
    let filled = site.look(move |app| account_page(app, &host, &name(&account)?));
    let filled = filled.await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::OK, &filled))
}

fn account_page(app: &App, host: &Host, id: &Name) -> Result<AccountPage, Error> {
    let account = app.account(id)?;
    let known = app.known(id)?;
    let zone = &known.zone;
    let names = app.project_names(id)?;
    let reader = Reader::of(app, zone, &names);
    let entries = app.entries(id, &Default::default(), None, SHOWN)?;
    let mut rows = reader.rows(&entries.entries)?;
    for (row, it) in rows.iter_mut().zip(&entries.entries) {
        row.give_back = is_reversible(it).then(|| format!("/console/charges/{}", it.charge_id()));
    }
    let hold = |it: &crate::service::HoldView| HoldRow {
        id: it.id.to_string(),
        what: app.category_of(&it.work.usage.meter).as_str().to_owned(),
        credits: show::have(it.credits),
        until: When::minute(it.expires_at, zone),
    };
    let note = |it: crate::service::Note| NoteRow {
        when: When::moment(Timestamp::from_millis(it.at), &TimeZone::UTC),
        by: it.by,
        text: it.text,
    };
    Ok(AccountPage {
        desk: Desk::of(app, host, "/console")?,
        id: id.to_string(),
        is_closed: account.closed_at.is_some(),
        facts: facts(app, &known)?,
        name: account.name,
        live: Live::of(app, &app.balance(id, None)?, zone),
        grants: app.grants(id, None, SHOWN)?.iter().map(|it| grant(it, zone)).collect(),
        holds: app.holds(id)?.iter().map(hold).collect(),
        servers: app.servers(id)?.iter().map(server).collect(),
        budgets: app.budgets(id)?.iter().map(budget).collect(),
        payments: app.payments(id, None, SHOWN)?.iter().map(|it| PaymentRow::of(it, zone)).collect(),
        notes: app.notes(id, SHOWN)?.into_iter().map(note).collect(),
        acts: acts(app, id)?,
        timezone: account.timezone,
        entries: rows,
        sources: [Source::Promo, Source::Adjustment, Source::Refund, Source::Purchase].map(Source::as_str).to_vec(),
        currency: account.currency.as_str().to_uppercase(),
        giving: Giving::default(),
    })
}

fn acts(app: &App, id: &Name) -> Result<Vec<ActRow>, Error> {
    let lines = app.audit_of(id, SHOWN)?.into_iter();
    Ok(lines
        .map(|it| ActRow { when: When::moment(it.at, &TimeZone::UTC), by: it.by, action: it.action, detail: it.detail })
        .collect())
}

/// Work that was charged for.
fn is_reversible(it: &Transaction) -> bool {
    matches!(&it.what, What::Charged { credits, .. } if credits.is_positive())
}

fn facts(app: &App, known: &Known) -> Result<Facts, Error> {
    let (account, zone) = (&known.account, &known.zone);
    let mut facts = vec![
        ("Id", account.id.to_string()),
        ("E-mail", account.email.clone().unwrap_or_else(|| "none".to_owned())),
        ("Currency", account.currency.as_str().to_uppercase()),
        ("Time zone", account.timezone.clone()),
        ("Since", show::day(account.created_at, zone)),
    ];
    if let Some(closed) = account.closed_at {
        facts.push(("Closed", show::day(closed, zone)));
    }
    if let Some(topup) = app.topup_rule(&account.id)? {
        let said = if account.closed_at.is_some() { ENDED.to_owned() } else { said_of(&topup) };
        facts.push(("Auto-topup", said));
    }
    match app.subscription(&account.id) {
        Ok(it) if account.closed_at.is_some() => facts.push(("Subscription", format!("{}, {ENDED}", it.plan.name))),
        Ok(it) => facts.push(("Subscription", of_subscription(&it, zone))),
        Err(Error::Refused(_)) => {}
        Err(other) => return Err(other),
    }
    Ok(facts)
}

/// Of what charges no card any more because its account is closed.
const ENDED: &str = "ended with the account";

/// How it stands, and what comes after its period.
fn of_subscription(it: &Subscription, zone: &TimeZone) -> String {
    let until = show::day(Timestamp::from_millis(it.period_end), zone);
    let then = match &it.next_plan {
        _ if it.ends => ", then it ends".to_owned(),
        Some(plan) => format!(", then {}", plan.name),
        None => String::new(),
    };
    format!("{}, {}, period until {until}{then}", it.plan.name, it.state().as_str().replace('_', " "))
}

fn said_of(topup: &Topup) -> String {
    let rule = &topup.rule;
    let standing = match (topup.is_on, topup.paused, &topup.under_way) {
        (false, ..) => "off".to_owned(),
        (_, Some(failure), _) => format!("paused, {}", failure.in_words()),
        (_, None, Some(_)) => "buying now".to_owned(),
        _ => "on".to_owned(),
    };
    format!("{} more below {} ({standing})", show::have(rule.credits), show::have(rule.threshold))
}

fn grant(it: &GrantView, zone: &TimeZone) -> GrantRow {
    GrantRow {
        id: it.id.to_string(),
        source: it.terms.source.as_str(),
        reason: it.terms.reason.to_string(),
        made: When::moment(it.created_at, zone),
        credits: show::have(it.terms.credits),
        remaining: show::have(it.remaining + it.held),
        until: if it.expires_at == Timestamp::NEVER { "never".to_owned() } else { show::day(it.expires_at, zone) },
        state: match it.state {
            GrantState::Pending => "pending",
            GrantState::Live => "live",
            GrantState::Frozen => "frozen by a dispute",
            GrantState::Expired => "expired",
            GrantState::Spent => "spent",
            GrantState::Voided => "voided",
        },
        can_void: it.remaining.is_positive() && it.state != GrantState::Expired,
    }
}

fn budget(it: &BudgetView) -> BudgetRow {
    let terms = &it.budget.terms;
    let scope = &terms.scope;
    let named = |what: &str, name: Option<&Name>| name.map(|it| format!("{what} {it}"));
    let mut of: Vec<String> = scope.meters.iter().map(ToString::to_string).collect();
    of.extend(scope.except.iter().map(|it| format!("not {it}")));
    of.extend(named("project", scope.project.as_ref()));
    of.extend(named("actor", scope.actor.as_ref()));
    let of = if of.is_empty() { "everything".to_owned() } else { of.join(", ") };
    BudgetRow {
        id: it.budget.id.to_string(),
        what: format!("{of}, {}", terms.period.as_str()),
        does: if terms.blocks { "blocks" } else { "tells" },
        used: show::used(it.used + it.reserved),
        limit: show::used(terms.limit),
        left: show::have(it.left),
    }
}

fn server(it: &ServerView) -> ServerRow {
    let run = &it.server.run;
    let hundredths = it.seconds / 36;
    ServerRow {
        id: it.server.id.to_string(),
        tier: run.tariff.tier.to_string(),
        state: run.phase.as_str(),
        hours: format!("{}.{:02}", show::thousands(hundredths / 100), hundredths % 100),
        set_up: show::used(it.server.set_up),
        runtime: show::used(it.runtime),
        month: if it.projected_month == Credits::ZERO { "—".to_owned() } else { show::used(it.projected_month) },
    }
}
