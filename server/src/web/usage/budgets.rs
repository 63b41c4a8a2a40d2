//! Budgets: how much of each is used, and the form that sets one, which says what it will do.
use std::collections::BTreeSet;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use billing::Refusal;
use billing::id::Name;
use billing::ledger::BudgetScope;
use billing::rating::{Category, Text};
use billing::usage::SERVER_METER;
use billing::zone::Period;

use super::breakdown::project_label;
use super::show;
use crate::app::App;
use crate::http::Site;
use crate::service::{BudgetOrder, BudgetView, By, Error, ProjectNames};
use crate::web::form::Form;
use crate::web::frame::{Frame, Rate};
use crate::web::number;
use crate::web::range::Query;
use crate::web::visit::Visitor;
use crate::web::{Paged, message, page};

const PATH: &str = "/settings/usage/budget";
const PERIODS: [(Period, &str, &str); 4] = [
    (Period::Day, "day", "each day"),
    (Period::Week, "week", "each week"),
    (Period::Month, "month", "each month"),
    (Period::Total, "total", "in all"),
];
/// All that is not servers: what a customer calls AI.
const AI: &str = "ai";
const SERVERS: &str = "servers";
/// What a budget is for that was set by the API, and that no choice of the form stands for.
const AS_IT_IS: &str = "as-it-is";

pub struct BudgetRow {
    pub name: String,
    /// What it is for, and how often it begins anew.
    pub about: String,
    pub used: String,
    pub used_exact: String,
    pub limit: String,
    pub money: String,
    pub percent: String,
    /// Of the bar, in thousandths: used, and what open work has set aside beyond it.
    pub width: u64,
    pub reserved: u64,
    /// `good`, `warn` or `bad`.
    pub class: &'static str,
    pub says: String,
    pub edit: String,
}

impl BudgetRow {
    pub fn of(view: &BudgetView, app: &App, names: &ProjectNames, rate: &Rate<'_>, visitor: &Visitor) -> BudgetRow {
        let terms = &view.budget.terms;
        let (used, limit) = (view.used, terms.limit);
        let width = show::thousandths(used, limit);
        let class = match width {
            1_000.. => "bad",
            750.. => "warn",
            _ => "good",
        };
        let ends = view.resets_at.map(|it| format!(" Begins anew on {}.", show::day(it, &visitor.known.zone)));
        let does = match (terms.blocks, width) {
            (true, 1_000..) => "It is used up: such work is refused.",
            (true, _) => "Work that would pass it is refused.",
            (false, _) => "It tells, and stops nothing.",
        };
        let id = view.budget.id.to_string();
        BudgetRow {
            about: format!("{}, {}", about(app, &terms.scope, names), period(terms.period).2),
            used: show::used(used),
            used_exact: used.to_string(),
            limit: show::used(limit),
            money: rate.of(limit),
            percent: show::percent(used, limit),
            width,
            reserved: show::thousandths(view.reserved, limit).min(1_000 - width),
            class,
            says: format!("{does}{}", ends.unwrap_or_default()),
            edit: Query::default().with(&[("budget", &id)]).href(PATH),
            name: id,
        }
    }
}

fn period(period: Period) -> (Period, &'static str, &'static str) {
    PERIODS.into_iter().find(|it| it.0 == period).unwrap_or(PERIODS[2])
}

/// What a budget is for, in words.
fn about(app: &App, scope: &BudgetScope, names: &ProjectNames) -> String {
    let what = match kind(app, scope) {
        Some("") => "Everything".to_owned(),
        Some(AI) => "AI work".to_owned(),
        Some(SERVERS) => "Servers".to_owned(),
        Some(category) => category.to_owned(),
        None => in_words_of(scope),
    };
    let project = scope.project.as_ref().map(|it| format!(" in {}", project_label(Some(it.as_str()), names)));
    let actor = scope.actor.as_ref().map(|it| format!(" by {it}"));
    format!("{what}{}{}", project.unwrap_or_default(), actor.unwrap_or_default())
}

fn in_words_of(scope: &BudgetScope) -> String {
    let words = |meters: &[Text]| meters.iter().map(|it| show::words(it)).collect::<Vec<_>>().join(" and ");
    match (words(&scope.meters), words(&scope.except)) {
        (meters, none) if none.is_empty() => meters,
        (_, others) => format!("Everything but {others}"),
    }
}

/// The meters of today's rate card that a choice of the form names.
fn meters(app: &App, kind: &str) -> Vec<Text> {
    let cards = app.cards();
    let all = cards.latest().into_iter().flat_map(|it| it.meters());
    let is_server =
        |it: &billing::rating::Meter| &*it.name == SERVER_METER || it.category == Category::ServerProvisioning;
    let admits = |it: &&billing::rating::Meter| match kind {
        AI => !is_server(it),
        SERVERS => is_server(it),
        category => it.category.as_str() == category,
    };
    let mut found: Vec<Text> = all.filter(admits).map(|it| Arc::clone(&it.name)).collect();
    found.sort();
    found
}

/// Admits what a choice of the form stands for; none where nothing would be. AI is all but servers, so that no meter of
/// a later rate card escapes it.
fn scope_of(app: &App, kind: &str) -> Option<BudgetScope> {
    match kind {
        "" => Some(BudgetScope::default()),
        AI => {
            let mut except = meters(app, SERVERS);
            if !except.iter().any(|it| &**it == SERVER_METER) {
                except.push(SERVER_METER.into());
                except.sort();
            }
            Some(BudgetScope { except, ..BudgetScope::default() })
        }
        named => {
            let meters = meters(app, named);
            (!meters.is_empty()).then(|| BudgetScope { meters, ..BudgetScope::default() })
        }
    }
}

/// The choice that stands for these meters; none where somebody chose others by the API, or by a rate card of before.
fn kind(app: &App, scope: &BudgetScope) -> Option<&'static str> {
    let stands_for =
        |it: &&str| scope_of(app, it).is_some_and(|it| (&it.meters, &it.except) == (&scope.meters, &scope.except));
    // Of all that was AI on the day it was set, where that is so still.
    let was_ai = || scope.except.is_empty() && !scope.meters.is_empty() && scope.meters == meters(app, AI);
    ["", AI, SERVERS]
        .into_iter()
        .chain(CATEGORIES.iter().map(Category::as_str))
        .find(stands_for)
        .or_else(|| was_ai().then_some(AI))
}

/// Projects that the form lists; a budget for another is set by the API.
const PROJECTS_MAX: usize = 500;

static CATEGORIES: [Category; 3] =
    [Category::AiConversations, Category::CodeAnalysis, Category::InfrastructurePlanning];

#[derive(Template)]
#[template(path = "budget.html")]
struct BudgetPage {
    frame: Frame,
    problem: Option<String>,
    is_new: bool,
    name: String,
    credits: String,
    kinds: Vec<super::Pick>,
    projects: Vec<super::Pick>,
    periods: Vec<super::Pick>,
    actor: String,
    blocks: bool,
}

/// Whoever buys credits decides how they are spent.
fn may_change(site: &Site, visitor: &Visitor) -> Option<Response> {
    let text = "Owners and billing contacts of the account set its budgets. Ask one of them.";
    (!visitor.session.role.changes_billing()).then(|| message::forbidden(site, text))
}

pub async fn form(State(site): State<Arc<Site>>, visitor: Visitor) -> Paged {
    if let Some(no) = may_change(&site, &visitor) {
        return Err(no);
    }
    let said = visitor.query.clone();
    filled(&site, visitor, said, None).await
}

async fn filled(site: &Arc<Site>, visitor: Visitor, said: Query, problem: Option<String>) -> Paged {
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let made = site.look(move |app| budget_page(app, &visitor, &said, problem)).await;
    Ok(page(status, &made.map_err(|it| message::failed(site, it))?))
}

fn budget_page(app: &App, visitor: &Visitor, said: &Query, problem: Option<String>) -> Result<BudgetPage, Error> {
    let account = &visitor.session.account;
    let known = app.budgets(account)?;
    let present = said
        .get("budget")
        .filter(|_| said.get(NEW).is_none())
        .and_then(|id| known.iter().find(|it| it.budget.id.as_str() == id));
    let terms = present.map(|it| &it.budget.terms);
    // What was typed, or else what is set.
    let or = |name: &str, set: Option<String>| {
        said.get(name).map(str::to_owned).or(set.filter(|_| problem.is_none())).unwrap_or_default()
    };
    let names = app.project_names(account)?;
    let live = app.projects(account)?.into_iter().filter(|it| it.deleted_at.is_none());
    let mut projects: BTreeSet<String> = live.take(PROJECTS_MAX).map(|it| it.id.to_string()).collect();
    let project = or("project", terms.and_then(|it| it.scope.project.as_ref()).map(ToString::to_string));
    // One that is set stays a choice whatever became of it: saved without it, the budget would be for all projects.
    projects.extend(Some(project.clone()).filter(|it| !it.is_empty()));
    let set = terms.map(|it| kind(app, &it.scope).unwrap_or(AS_IT_IS));
    let chosen = or("kind", set.map(str::to_owned));
    let every = or("period", terms.map(|it| it.period.as_str().to_owned()));
    let every = if every.is_empty() { "month".to_owned() } else { every };
    let pick = |value: &str, label: &str, on: &str| super::Pick {
        value: value.to_owned(),
        label: label.to_owned(),
        is_on: value == on,
    };
    let kinds = [("", "Everything"), (AI, "AI work: everything but servers"), (SERVERS, "Servers")].into_iter();
    let kinds = kinds.chain(CATEGORIES.iter().map(|it| (it.as_str(), it.as_str())));
    let kinds = kinds.filter(|it| scope_of(app, it.0).is_some());
    let kept = terms.filter(|_| set == Some(AS_IT_IS)).map(|it| pick(AS_IT_IS, &in_words_of(&it.scope), &chosen));
    let balance = app.balance(account, None)?;
    Ok(BudgetPage {
        frame: Frame::of(app, visitor, &balance, super::PATH)?,
        is_new: present.is_none(),
        name: or("budget", None),
        credits: or("credits", terms.map(|it| number::typed(it.limit))),
        kinds: kinds.map(|(value, label)| pick(value, label, &chosen)).chain(kept).collect(),
        projects: projects.iter().map(|it| pick(it, &project_label(Some(it), &names), &project)).collect(),
        periods: PERIODS.into_iter().map(|(_, value, label)| pick(value, label, &every)).collect(),
        actor: or("actor", terms.and_then(|it| it.scope.actor.as_ref()).map(ToString::to_string)),
        blocks: or("action", terms.map(|it| if it.blocks { "block" } else { "notify" }.to_owned())) == "block",
        problem,
    })
}

/// Sets a budget as the form says, or takes it away.
pub async fn save(State(site): State<Arc<Site>>, visitor: Visitor, form: Form) -> Paged {
    form.check_from(&site, &visitor).await?;
    if let Some(no) = may_change(&site, &visitor) {
        return Err(no);
    }
    let by = visitor.by();
    // Nothing else that stands in the form keeps anybody from taking it away.
    let done = match (form.get("do"), named(&form)) {
        (_, Err(refusal)) => Err(refusal.into()),
        (Some("delete"), Ok(budget)) => site.app.delete_budget(&visitor.session.account, &budget, &by).await,
        (_, Ok(budget)) => match order(&site.app, &visitor, (&form, budget), &by) {
            Ok(order) => site.app.put_budget(order).await.map(drop),
            Err(error) => Err(error),
        },
    };
    match done {
        Ok(()) => Ok(Redirect::to(&format!("{}#budgets", super::PATH)).into_response()),
        Err(Error::Refused(refusal)) => {
            let said = form.said().clone();
            filled(&site, visitor, said, Some(in_words(&refusal))).await
        }
        Err(error) => Err(message::failed(&site, error.into())),
    }
}

/// The field that says that a form is for a budget which is not there yet.
const NEW: &str = "new";

const NAMES: &str = "must be letters, digits, points and hyphens, 128 at most";

fn named(form: &Form) -> Result<Name, Refusal> {
    // In the ledger no name has a space; the form says what becomes of one.
    let words: Vec<&str> = form.get("budget").unwrap_or_default().split_whitespace().collect();
    let name = words.join("-");
    name.parse().map_err(|_| Refusal::invalid("name", NAMES))
}

fn order(app: &App, visitor: &Visitor, (form, budget): (&Form, Name), by: &By) -> Result<BudgetOrder, Error> {
    let optional = |field: &'static str| form.get(field).map(str::parse::<Name>).transpose();
    let chosen = PERIODS.into_iter().find(|it| Some(it.1) == form.get("period"));
    let admitted = match form.get("kind").unwrap_or_default() {
        AS_IT_IS => Some(app.budget(&visitor.session.account, &budget)?.budget.terms.scope.clone()),
        kind => scope_of(app, kind),
    };
    let nothing = || Refusal::invalid("kind", "must be something that the prices know: nothing is charged for this");
    let order = BudgetOrder {
        account: visitor.session.account.clone(),
        budget,
        scope: BudgetScope {
            project: optional("project").map_err(|_| Refusal::invalid("project", "is not known"))?,
            actor: optional("actor").map_err(|_| Refusal::invalid("actor", NAMES))?,
            ..admitted.ok_or_else(nothing)?
        },
        period: chosen.unwrap_or(PERIODS[2]).0,
        limit: number::credits("credits", form.get("credits").unwrap_or_default())?,
        blocks: form.get("action") == Some("block"),
        by: by.clone(),
    };
    if form.get(NEW).is_some() {
        is_free(app, &order)?
    }
    Ok(order)
}

/// Who sets a new budget does not mean to replace another. The same one sent twice is one.
fn is_free(app: &App, order: &BudgetOrder) -> Result<(), Error> {
    let known = app.budgets(&order.account)?;
    let Some(it) = known.iter().find(|it| it.budget.id == order.budget) else { return Ok(()) };
    let terms = &it.budget.terms;
    let is_same = (&terms.scope, terms.period, terms.limit, terms.blocks)
        == (&order.scope, order.period, order.limit, order.blocks);
    if is_same {
        return Ok(());
    }
    let why = format!("{} exists already: change that one, or take another name.", order.budget);
    Err(Refusal::invalid(NEW, why).into())
}

fn in_words(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Invalid { field, why } => match &**field {
            "name" | "budget" => format!("The name {why}."),
            "actor" | "scope.actor" => format!("The person or key {why}."),
            "credits" | "limit" => format!("The number of credits {why}."),
            "kind" => format!("What it is for {why}."),
            NEW => why.clone(),
            _ => format!("{} {why}.", show::words(field)),
        },
        other => format!("{}.", show::words(&other.to_string())),
    }
}
