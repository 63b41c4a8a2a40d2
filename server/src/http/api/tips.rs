//! Cost tips: listed, dismissed; and how busy servers are, which some of them are made of.
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::catalogue;
use super::super::knock::Knock;
use super::super::problem::Problem;
use super::super::query::Stretch;
use super::super::site::Site;
use super::super::wire::{Amount, InstantIn, NameIn};
use super::grants::MoneyShown;
use super::reply::{self, Answered, Page};
use crate::service::{Scope, Tip, UtilisationReport};

/// Something to spend less by, or not to be interrupted.
#[derive(Serialize, ToSchema)]
#[schema(as = Tip)]
pub struct TipShown {
    #[schema(example = "underused_server:web-1")]
    id: String,
    #[schema(pattern = "^(underused_server|idle_project|low_threshold|no_auto_topup|use_template)$")]
    kind: &'static str,
    /// The server or project it is about.
    subject: Option<String>,
    title: String,
    /// Why, in numbers.
    detail: String,
    /// Credits; 0 for a tip that spares an interruption.
    saving_per_month: Amount,
    /// The saving at list price.
    money: MoneyShown,
}

impl TipShown {
    fn new(tip: Tip) -> TipShown {
        TipShown {
            id: tip.id,
            kind: tip.kind.as_str(),
            subject: tip.subject,
            title: tip.title,
            detail: tip.detail,
            saving_per_month: Amount(tip.saving_per_month),
            money: tip.money.into(),
        }
    }
}

/// List cost tips
///
/// From what the account really did in the last month. Those that were dismissed are not in it.
#[utoipa::path(get, path = "/v1/accounts/{account}/tips", operation_id = "listTips", tag = "Usage and history",
    params(("account" = NameIn, Path, description = "The account."), Stretch), security(("api_key" = ["read"])),
    responses(
        (status = 200, body = Page<TipShown>, description = "The greatest saving first."),
        (status = 404, description = "No such account."),
    ))]
pub async fn list(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let account = call.name("account").await?;
    let stretch = call.query(&["limit", "cursor"])?.stretch()?;
    let tips = site.look(move |app| app.tips(&account)).await?;
    let shown = tips.into_iter().map(TipShown::new).collect();
    reply::page(&stretch, shown)
}

/// Dismiss a cost tip
///
/// For good. Dismissing it again changes nothing. Takes no body.
#[utoipa::path(post, path = "/v1/accounts/{account}/tips/{tip}/dismiss", operation_id = "dismissTip",
    tag = "Usage and history",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("tip" = String, Path, description = "The tip's id.", pattern = "^[a-z_]+(:[A-Za-z0-9._:@-]{1,128})?$"),
        ("Idempotency-Key" = Option<String>, Header, description = "Optional: dismissing repeats itself safely.",
            min_length = 1, max_length = 255),
    ),
    security(("api_key" = ["billing"])),
    responses(
        (status = 204, description = "Dismissed."),
        (status = 404, description = "No such account, or no tip has such an id."),
        (status = 409, description = "The key came with another request before."),
    ))]
pub async fn dismiss(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Billing)?;
    let (account, tip) = (call.name("account").await?, call.segment("tip").await?);
    let (by, key) = (call.who(), call.key_if_any()?);
    let missing = || Problem::new(&catalogue::TIP_NOT_FOUND, "no tip has such an id");
    let dismissed = site.look(move |app| app.dismiss_tip(&account, &tip, &by, key.as_ref())).await?;
    Ok(reply::done(dismissed.ok_or_else(missing)?))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UtilisationReport, example = json!({"cpu_percent": 12, "memory_percent": 41}))]
pub struct UtilisationIn {
    /// Of all its processors, in whole percents.
    #[schema(maximum = 100)]
    cpu_percent: u8,
    #[schema(maximum = 100)]
    memory_percent: u8,
    /// When it was so; now where nothing is said.
    at: Option<InstantIn>,
}

/// How busy a server was in the last 14 days.
#[derive(Serialize, ToSchema)]
#[schema(as = Utilisation)]
pub struct UtilisationShown {
    /// 95 reports in 100 were at or below this.
    cpu_percent: u8,
    memory_percent: u8,
    reports: u64,
    /// Days on which there were any.
    days: usize,
}

/// Report how busy a server is
///
/// Every few minutes, or every hour. Reports are taken in order of time; one that is not after the last changes
/// nothing, so they may be repeated. A server that hardly does anything is a cost tip.
#[utoipa::path(post, path = "/v1/accounts/{account}/servers/{server}/utilisation",
    operation_id = "reportServerUtilisation", tag = "Servers",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("server" = NameIn, Path, description = "The server."),
        ("Idempotency-Key" = Option<String>, Header, description = "Optional: a report repeats itself safely.",
            min_length = 1, max_length = 255),
    ),
    request_body = UtilisationIn, security(("api_key" = ["charge"])),
    responses(
        (status = 200, body = UtilisationShown, description = "How busy it was in the last 14 days."),
        (status = 404, description = "No such account or server."),
        (status = 409, description = "The key came with another request before."),
    ))]
pub async fn report(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Charge)?;
    let (account, server) = (call.name("account").await?, call.name("server").await?);
    let key = call.key_if_any()?;
    let said: UtilisationIn = call.json().await?;
    for (field, percent) in [("cpu_percent", said.cpu_percent), ("memory_percent", said.memory_percent)] {
        if 100 < percent {
            return Err(Problem::invalid(field, "must be 0 to 100"));
        }
    }
    let report = UtilisationReport {
        cpu_percent: said.cpu_percent,
        memory_percent: said.memory_percent,
        at: said.at.map(|it| it.0),
    };
    let reported = site.look(move |app| app.report_utilisation(&account, &server, report, key.as_ref()));
    let (busy, is_replay) = reported.await?;
    let shown = UtilisationShown {
        cpu_percent: busy.cpu_percent,
        memory_percent: busy.memory_percent,
        reports: busy.reports,
        days: busy.days,
    };
    reply::written(StatusCode::OK, &shown, is_replay)
}
