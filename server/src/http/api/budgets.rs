//! Budgets: set, listed, looked up, deleted.
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use billing::Refusal;
use billing::id::Name;
use billing::ledger::BudgetScope;
use billing::zone::Period;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::json::Object;
use super::super::knock::Knock;
use super::super::query::Stretch;
use super::super::site::Site;
use super::super::wire::{Amount, AmountIn, Instant, NameIn, TextIn};
use super::reply::{self, Answered, Page};
use crate::service::{BudgetOrder, BudgetView, Scope};

/// Meters one budget may name.
const METERS_MAX: usize = 50;

/// What a budget is for. Everything, where nothing is said.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BudgetScopeRequest, example = json!({"project": "web-shop"}))]
pub struct ScopeIn {
    project: Option<NameIn>,
    /// A user, an agent, or an API key of your customer: what charges name as their actor.
    actor: Option<NameIn>,
    /// Meters of the rate card: `["server"]` for servers alone, `["ai_chat"]` for chats.
    #[serde(default)]
    #[schema(max_items = 50)]
    meters: Vec<TextIn>,
    /// All meters but these, also those that a later rate card brings: `["server"]` for all that is not servers.
    /// Beside `meters` it says nothing, and is refused.
    #[serde(default)]
    #[schema(max_items = 50)]
    except_meters: Vec<TextIn>,
}

impl ScopeIn {
    fn read(self) -> Result<BudgetScope, Refusal> {
        let named = |field: &'static str, meters: Vec<TextIn>| {
            let meters: Vec<_> = meters.into_iter().map(|it| it.0).collect();
            if METERS_MAX < meters.len() || meters.iter().any(|it| it.is_empty() || 64 < it.len()) {
                return Err(Refusal::invalid(field, "must be at most 50 names of meters"));
            }
            Ok(meters)
        };
        let meters = named("scope.meters", self.meters)?;
        let except = named("scope.except_meters", self.except_meters)?;
        if !(meters.is_empty() || except.is_empty()) {
            return Err(Refusal::invalid("scope.except_meters", "says nothing beside `meters`: leave one of them out"));
        }
        let (project, actor) = (self.project.map(|it| it.0), self.actor.map(|it| it.0));
        Ok(BudgetScope { project, actor, meters, except })
    }
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BudgetRequest, example = json!({
    "scope": {"project": "web-shop", "meters": ["ai_chat"]}, "period": "month", "credits": "500", "action": "block"
}))]
pub struct BudgetIn {
    #[schema(value_type = Option<ScopeIn>)]
    scope: Option<Object<ScopeIn>>,
    /// `day`, `week` (from Monday), `month` or `total`, by the account's calendar.
    #[schema(value_type = String, pattern = "^(day|week|month|total)$")]
    period: TextIn,
    credits: AmountIn,
    /// `notify` tells at 50, 75, 90 and 100 %; `block` does too, and refuses what would pass it.
    #[schema(value_type = String, pattern = "^(notify|block)$")]
    action: TextIn,
}

#[derive(Serialize, ToSchema)]
#[schema(as = BudgetScope)]
pub struct ScopeShown<'a> {
    project: Option<&'a str>,
    actor: Option<&'a str>,
    meters: Vec<&'a str>,
    except_meters: Vec<&'a str>,
}

/// A budget, and where its present period stands.
#[derive(Serialize, ToSchema)]
#[schema(as = Budget)]
pub struct BudgetShown<'a> {
    #[schema(pattern = "^[A-Za-z0-9._:@-]{1,128}$")]
    id: &'a str,
    scope: ScopeShown<'a>,
    /// `day`, `week`, `month` or `total`.
    period: &'static str,
    credits: Amount,
    /// `notify` or `block`.
    action: &'static str,
    /// In the present period; what servers have used up to this moment included.
    used: Amount,
    /// By open holds.
    reserved: Amount,
    /// What may still be spent.
    left: Amount,
    /// Null for a total.
    starts_at: Option<Instant>,
    /// When the next period begins; null for a total.
    resets_at: Option<Instant>,
    /// The highest threshold told in this period, in percent; 0 for none.
    threshold_told: u8,
}

impl<'a> BudgetShown<'a> {
    fn of(view: &'a BudgetView) -> BudgetShown<'a> {
        let terms = &view.budget.terms;
        let scope = ScopeShown {
            project: terms.scope.project.as_ref().map(Name::as_str),
            actor: terms.scope.actor.as_ref().map(Name::as_str),
            meters: terms.scope.meters.iter().map(|it| &**it).collect(),
            except_meters: terms.scope.except.iter().map(|it| &**it).collect(),
        };
        BudgetShown {
            id: view.budget.id.as_str(),
            scope,
            period: terms.period.as_str(),
            credits: Amount(terms.limit),
            action: if terms.blocks { "block" } else { "notify" },
            used: Amount(view.used),
            reserved: Amount(view.reserved),
            left: Amount(view.left),
            starts_at: view.start.map(Instant),
            resets_at: view.resets_at.map(Instant),
            threshold_told: view.told,
        }
    }
}

/// Set a budget
///
/// Makes it where it is new, and changes it where it is not. It counts its whole present period, also what was used
/// before it was set. An account has at most 20.
#[utoipa::path(put, path = "/v1/accounts/{account}/budgets/{budget}", operation_id = "putBudget", tag = "Accounts",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("budget" = NameIn, Path, description = "A name of your own choice."),
    ),
    request_body = BudgetIn, security(("api_key" = ["billing"])),
    responses(
        (status = 200, body = BudgetShown, description = "Changed, or as it was."),
        (status = 201, body = BudgetShown, description = "New."),
        (status = 404, description = "No such account."),
        (status = 409, description = "The account is closed."),
    ))]
pub async fn put(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Billing)?;
    let (account, budget) = (call.name("account").await?, call.name("budget").await?);
    let by = call.who();
    let said: BudgetIn = call.json().await?;
    let scope = said.scope.map(|it| it.0).unwrap_or_default().read()?;
    let period = Period::ALL.into_iter().find(|it| it.as_str() == &*said.period.0);
    let period = period.ok_or_else(|| Refusal::invalid("period", "must be day, week, month or total"))?;
    let blocks = match &*said.action.0 {
        "block" => true,
        "notify" => false,
        _ => return Err(Refusal::invalid("action", "must be notify or block").into()),
    };
    let order = BudgetOrder { account, budget, scope, period, limit: said.credits.0, blocks, by };
    let (view, is_new) = site.app.put_budget(order).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    reply::json(status, &BudgetShown::of(&view))
}

/// Look up a budget
#[utoipa::path(get, path = "/v1/accounts/{account}/budgets/{budget}", operation_id = "getBudget", tag = "Accounts",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("budget" = NameIn, Path, description = "The budget."),
    ),
    security(("api_key" = ["read"])),
    responses(
        (status = 200, body = BudgetShown, description = "The budget as it stands now."),
        (status = 404, description = "No such account or budget."),
    ))]
pub async fn show(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let (account, budget) = (call.name("account").await?, call.name("budget").await?);
    let view = site.look(move |app| app.budget(&account, &budget)).await?;
    reply::json(StatusCode::OK, &BudgetShown::of(&view))
}

/// List an account's budgets
#[utoipa::path(get, path = "/v1/accounts/{account}/budgets", operation_id = "listBudgets", tag = "Accounts",
    params(("account" = NameIn, Path, description = "The account."), Stretch), security(("api_key" = ["read"])),
    responses(
        (status = 200, body = Page<BudgetShown>, description = "By name."),
        (status = 404, description = "No such account."),
    ))]
pub async fn list(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let account = call.name("account").await?;
    let stretch = call.query(&["limit", "cursor"])?.stretch()?;
    let views = site.look(move |app| app.budgets(&account)).await?;
    reply::page(&stretch, views.iter().map(BudgetShown::of).collect())
}

/// Delete a budget
///
/// What was spent stays spent; nothing is refused or told for it from here on.
#[utoipa::path(delete, path = "/v1/accounts/{account}/budgets/{budget}", operation_id = "deleteBudget",
    tag = "Accounts",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("budget" = NameIn, Path, description = "The budget."),
    ),
    security(("api_key" = ["billing"])),
    responses(
        (status = 204, description = "Deleted."),
        (status = 404, description = "No such account or budget."),
    ))]
pub async fn delete(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Billing)?;
    let (account, budget) = (call.name("account").await?, call.name("budget").await?);
    let by = call.who();
    site.app.delete_budget(&account, &budget, &by).await?;
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}
