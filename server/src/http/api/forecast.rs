//! The forecast: what the month comes to.
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use billing::id::Name;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::knock::Knock;
use super::super::site::Site;
use super::super::wire::{AccountId, Amount, Instant, NameIn};
use super::grants::MoneyShown;
use super::reply::{self, Answered};
use crate::app::App;
use crate::service::{ForecastView, MeterForecast, Scope, ServerForecast};

/// What an account's month comes to, and how long its credits last.
#[derive(Serialize, ToSchema)]
#[schema(as = Forecast)]
pub struct ForecastShown<'a> {
    account: AccountId<'a>,
    as_of: Instant,
    /// The account's zone, by which days and months are cut.
    timezone: &'a str,
    month_start: Instant,
    /// Start of the next month.
    month_end: Instant,
    /// Used in this month so far, as usage says it: what servers use in the running hour comes at its end.
    spent: Amount,
    /// Null where too little is known; `reason` says what is missing.
    forecast: Option<MonthEndShown>,
    reason: Option<&'a str>,
    /// How it is made, in words. Empty where there is none.
    method: &'a str,
    /// Whole days it could look back on, 28 at most.
    days_of_data: usize,
    /// What is not of running servers, by meter, the costliest first.
    meters: Vec<MeterShown<'a>>,
    /// By server, the costliest first, also where nothing is foretold. With the meters they add up to the forecast.
    servers: Vec<ServerShown<'a>>,
    available: Amount,
    /// Credits used a day at the present pace.
    burn_per_day: Amount,
    /// As the balance says it: when the credits are used up; null when nothing burns.
    runs_out_at: Option<Instant>,
}

/// What the month will have cost when it ends.
#[derive(Serialize, ToSchema)]
#[schema(as = MonthEnd)]
pub struct MonthEndShown {
    credits: Amount,
    /// Eight times in ten it is between this …
    low: Amount,
    /// … and this.
    high: Amount,
    /// The credits at list price.
    money: MoneyShown,
}

#[derive(Serialize, ToSchema)]
#[schema(as = MeterForecast)]
pub struct MeterShown<'a> {
    meter: &'a str,
    /// The heading it counts under.
    category: &'a str,
    spent: Amount,
    credits: Amount,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ServerForecast)]
pub struct ServerShown<'a> {
    server: &'a str,
    project: Option<&'a str>,
    spent: Amount,
    /// Known rather than foretold: its price until the month ends, up to its cap.
    credits: Amount,
}

impl<'a> ForecastShown<'a> {
    fn of(app: &App, view: &'a ForecastView) -> ForecastShown<'a> {
        let meter = |it: &'a MeterForecast| MeterShown {
            meter: &it.meter,
            category: it.category.as_str(),
            spent: Amount(it.spent),
            credits: Amount(it.credits),
        };
        let server = |it: &'a ServerForecast| ServerShown {
            server: it.server.as_str(),
            project: it.project.as_ref().map(Name::as_str),
            spent: Amount(it.spent),
            credits: Amount(it.credits),
        };
        ForecastShown {
            account: AccountId(&view.account),
            as_of: Instant(view.as_of),
            timezone: &view.timezone,
            month_start: Instant(view.month.0),
            month_end: Instant(view.month.1),
            spent: Amount(view.spent),
            forecast: view.outcome.as_ref().ok().map(|it| MonthEndShown {
                credits: Amount(it.credits),
                low: Amount(it.low),
                high: Amount(it.high),
                money: app.cost_at_list_price(it.credits, view.currency).into(),
            }),
            reason: view.outcome.as_ref().err().map(String::as_str),
            method: &view.method,
            days_of_data: view.days_of_data,
            meters: view.meters.iter().map(meter).collect(),
            servers: view.servers.iter().map(server).collect(),
            available: Amount(view.available),
            burn_per_day: Amount(view.burn_per_day),
            runs_out_at: view.runs_out_at.map(Instant),
        }
    }
}

/// What this month comes to
///
/// To the end of the calendar month in the account's zone. Hidden, with the reason, while fewer than seven days of use
/// are known. Costs the same at a thousand charges and at a billion.
#[utoipa::path(get, path = "/v1/accounts/{account}/forecast", operation_id = "getForecast", tag = "Usage and history",
    params(("account" = NameIn, Path, description = "The account.")), security(("api_key" = ["read"])),
    responses(
        (status = 200, body = ForecastShown, description = "The forecast."),
        (status = 404, description = "No such account."),
    ))]
pub async fn show(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let account = call.name("account").await?;
    call.query(&[])?;
    let view = site.look(move |app| app.forecast(&account)).await?;
    reply::json(StatusCode::OK, &ForecastShown::of(&site.app, &view))
}
