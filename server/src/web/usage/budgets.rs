//! Budgets: how much of each is used, and the form that sets one, which says what it will do.
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use billing::Refusal;
use billing::id::Name;
use billing::ledger::BudgetScope;
use billing::money::Credits;
use billing::rating::{Category, Text};
use billing::usage::SERVER_METER;
use billing::zone::Period;

use super::breakdown::project_label;
use super::show;
use crate::app::App;
use crate::http::Site;
use crate::service::{BudgetOrder, BudgetView, Error, ProjectNames};
use crate::web::form::Form;
use crate::web::frame::{Frame, Rate};
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
    let what = match kind(app, &scope.meters) {
        Some("") => "Everything".to_owned(),
        Some(AI) => "AI work".to_owned(),
        Some(SERVERS) => "Servers".to_owned(),
        Some(category) => category.to_owned(),
        None => scope.meters.iter().map(|it| show::words(it)).collect::<Vec<_>>().join(" and "),
    };
    let project = scope.project.as_ref().map(|it| format!(" in {}", project_label(Some(it.as_str()), names)));
    let actor = scope.actor.as_ref().map(|it| format!(" by {it}"));
    format!("{what}{}{}", project.unwrap_or_default(), actor.unwrap_or_default())
}

/// The meters that a choice of the form stands for.
fn meters(app: &App, kind: &str) -> Vec<Text> {
    let cards = app.cards();
    let all = cards.latest().into_iter().flat_map(|it| it.meters());
    let admits = |it: &&billing::rating::Meter| match kind {
        AI => &*it.name != SERVER_METER && it.category != Category::ServerProvisioning,
        SERVERS => &*it.name == SERVER_METER || it.category == Category::ServerProvisioning,
        category => it.category.as_str() == category,
    };
    let mut found: Vec<Text> =
        if kind.is_empty() { Vec::new() } else { all.filter(admits).map(|it| Arc::clone(&it.name)).collect() };
    found.sort();
    found
}

/// The choice that stands for these meters; none where somebody chose others by the API.
fn kind(app: &App, chosen: &[Text]) -> Option<&'static str> {
    let choices = ["", AI, SERVERS].into_iter().chain(CATEGORIES.iter().map(Category::as_str));
    choices.into_iter().find(|it| meters(app, it) == chosen)
}

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
    let present = said.get("budget").and_then(|id| known.iter().find(|it| it.budget.id.as_str() == id));
    let terms = present.map(|it| &it.budget.terms);
    // What was typed, or else what is set.
    let or = |name: &str, set: Option<String>| {
        said.get(name).map(str::to_owned).or(set.filter(|_| problem.is_none())).unwrap_or_default()
    };
    let names = app.project_names(account)?;
    let project = or("project", terms.and_then(|it| it.scope.project.as_ref()).map(ToString::to_string));
    let chosen = or("kind", terms.and_then(|it| kind(app, &it.scope.meters)).map(str::to_owned));
    let every = or("period", terms.map(|it| it.period.as_str().to_owned()));
    let every = if every.is_empty() { "month".to_owned() } else { every };
    let pick = |value: &str, label: &str, on: &str| super::Pick {
        value: value.to_owned(),
        label: label.to_owned(),
        is_on: value == on,
    };
    let kinds = [("", "Everything"), (AI, "AI work: everything but servers"), (SERVERS, "Servers")].into_iter();
    let kinds = kinds.chain(CATEGORIES.iter().map(|it| (it.as_str(), it.as_str())));
    let balance = app.balance(account, None)?;
    Ok(BudgetPage {
        frame: Frame::of(app, visitor, &balance, super::PATH)?,
        is_new: present.is_none(),
        name: or("budget", None),
        credits: or("credits", terms.map(|it| it.limit.to_string())),
        kinds: kinds.map(|(value, label)| pick(value, label, &chosen)).collect(),
        projects: names.keys().map(|it| pick(it, &project_label(Some(it), &names), &project)).collect(),
        periods: PERIODS.into_iter().map(|(_, value, label)| pick(value, label, &every)).collect(),
        actor: or("actor", terms.and_then(|it| it.scope.actor.as_ref()).map(ToString::to_string)),
        blocks: or("action", terms.map(|it| if it.blocks { "block" } else { "notify" }.to_owned())) == "block",
        problem,
    })
}

/// Sets a budget as the form says, or takes it away.
pub async fn save(State(site): State<Arc<Site>>, visitor: Visitor, form: Form) -> Paged {
    form.check(&site, &visitor.session.id).await?;
    if let Some(no) = may_change(&site, &visitor) {
        return Err(no);
    }
    let by = visitor.by().name;
    // Nothing else that stands in the form keeps anybody from taking it away.
    let done = match (form.get("do"), named(&form)) {
        (_, Err(refusal)) => Err(refusal.into()),
        (Some("delete"), Ok(budget)) => site.app.delete_budget(&visitor.session.account, &budget, by.clone()).await,
        (_, Ok(budget)) => match order(&site.app, &visitor, (&form, budget), &by) {
            Ok(order) => site.app.put_budget(order).await.map(drop),
            Err(refusal) => Err(refusal.into()),
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

const NAMES: &str = "must be letters, digits, points and hyphens, 128 at most";

fn named(form: &Form) -> Result<Name, Refusal> {
    let name = form.get("budget").unwrap_or_default().replace(' ', "-");
    name.parse().map_err(|_| Refusal::invalid("name", NAMES))
}

fn order(app: &App, visitor: &Visitor, (form, budget): (&Form, Name), by: &str) -> Result<BudgetOrder, Refusal> {
    let optional = |field: &'static str| form.get(field).map(str::parse::<Name>).transpose();
    let chosen = PERIODS.into_iter().find(|it| Some(it.1) == form.get("period"));
    let limit = form.get("credits").unwrap_or_default().replace([',', ' '], "");
    Ok(BudgetOrder {
        account: visitor.session.account.clone(),
        budget,
        scope: BudgetScope {
            project: optional("project").map_err(|_| Refusal::invalid("project", "is not known"))?,
            actor: optional("actor").map_err(|_| Refusal::invalid("actor", NAMES))?,
            meters: meters(app, form.get("kind").unwrap_or_default()),
        },
        period: chosen.unwrap_or(PERIODS[2]).0,
        limit: limit.parse::<Credits>().map_err(|why| Refusal::invalid("credits", why))?,
        blocks: form.get("action") == Some("block"),
        by: by.into(),
    })
}

fn in_words(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Invalid { field, why } => match &**field {
            "name" | "budget" => format!("The name {why}."),
            "actor" | "scope.actor" => format!("The person or key {why}."),
            "credits" | "limit" => format!("The number of credits {why}."),
            _ => format!("{} {why}.", show::words(field)),
        },
        other => format!("{}.", show::words(&other.to_string())),
    }
}
