//! Reports for the operator's accountant: the trial balance, a month's revenue, what is owed.
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use billing::total::{TotalCredits, TotalMoney};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::knock::Knock;
use super::super::problem::Problem;
use super::super::site::Site;
use super::super::wire::{Instant, TotalAmount};
use super::grants::TotalMoneyShown;
use super::reply::{self, Answered};
use crate::service::{Freshness, Month, RevenueReport, Sales, Scope, liability_csv, revenue_csv, trial_balance_csv};

/// How complete a report is.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[schema(as = Freshness)]
pub struct FreshnessShown {
    /// Everything that was written down before the request is in it, and all that was due in its time is. While a
    /// server starts, or when it is very busy, a report may lag a little. Where several nodes share a database, this is
    /// so of months and days that are over; of time that is not, what other nodes were told within the last hour may
    /// be missing where one of them died.
    is_complete: bool,
    /// Accounts known to have moved and not counted yet, or on which something of that time is due.
    waiting_accounts: usize,
}

impl From<Freshness> for FreshnessShown {
    fn from(it: Freshness) -> FreshnessShown {
        FreshnessShown { is_complete: it.waiting == 0 && it.is_whole, waiting_accounts: it.waiting }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = LedgerAccountBalance)]
pub struct LedgerAccountShown {
    /// `issuance:…`, `grants`, `held`, `debt`, `usage:…`, `breakage`, `voided`, `refunded` or `clawback`.
    #[schema(example = "usage:ai_chat")]
    ledger_account: String,
    credits: TotalAmount,
}

/// The trial balance: every ledger account of the house and what it stands at.
#[derive(Serialize, ToSchema)]
#[schema(as = TrialBalance)]
pub struct TrialBalanceShown {
    accounts: Vec<LedgerAccountShown>,
    /// Always 0.
    sum: TotalAmount,
    transactions: u64,
    freshness: FreshnessShown,
}

/// Credits by what they came from or went to.
#[derive(Serialize, ToSchema)]
#[schema(as = CreditsBy)]
pub struct CreditsBy {
    /// A source or a meter.
    name: String,
    credits: TotalAmount,
}

/// Credits of a month.
#[derive(Serialize, ToSchema)]
#[schema(as = CreditsOfMonth)]
pub struct CreditsShown {
    issued: Vec<CreditsBy>,
    /// What was taken back is taken off.
    used: Vec<CreditsBy>,
    /// Breakage.
    expired: TotalAmount,
    voided: TotalAmount,
    refunded: TotalAmount,
    /// By lost disputes.
    clawed_back: TotalAmount,
    /// `issued` − all the others.
    change: TotalAmount,
    /// What customers have when it ends, or now.
    outstanding: TotalAmount,
}

/// Money of a month in one currency, tax aside. `deferred_before` + `received` − `refunded` − `clawed_back` −
/// `recognised` = `deferred`.
#[derive(Serialize, ToSchema)]
#[schema(as = MoneyOfMonth)]
pub struct MoneyOfMonth {
    deferred_before: TotalMoneyShown,
    /// For credits.
    received: TotalMoneyShown,
    refunded: TotalMoneyShown,
    /// By lost disputes.
    clawed_back: TotalMoneyShown,
    /// Revenue: of credits that were used, and of those that never will be.
    recognised: TotalMoneyShown,
    recognised_from_use: TotalMoneyShown,
    recognised_from_breakage: TotalMoneyShown,
    /// Received for credits that are still there.
    deferred: TotalMoneyShown,
}

/// Invoices and credit notes of a month that were taxed alike.
#[derive(Serialize, ToSchema)]
#[schema(as = TaxOfMonth)]
pub struct TaxShown {
    /// Who sold: each has numbers and taxes of its own.
    seller: String,
    /// `taxed`, `reverse_charge`, `export` or `none`.
    treatment: String,
    /// Whose tax it is.
    country: Option<String>,
    /// In percent.
    rate: String,
    invoices: u64,
    credit_notes: u64,
    /// Invoices less credit notes.
    net: TotalMoneyShown,
    tax: TotalMoneyShown,
}

/// What a month, by the calendar of UTC, came to.
#[derive(Serialize, ToSchema)]
#[schema(as = RevenueReport)]
pub struct RevenueShown {
    #[schema(example = "2026-11")]
    month: String,
    credits: CreditsShown,
    money: Vec<MoneyOfMonth>,
    taxes: Vec<TaxShown>,
    freshness: FreshnessShown,
}

/// What is owed to customers.
#[derive(Serialize, ToSchema)]
#[schema(as = LiabilityReport)]
pub struct LiabilityShown {
    /// The instant it is of: the midnight that was asked for, or the next one after what was asked for; or now.
    at: Instant,
    /// Free and in holds, less debt.
    outstanding: TotalAmount,
    /// Received for credits that are still there, tax aside.
    deferred: Vec<TotalMoneyShown>,
    freshness: FreshnessShown,
}

/// The trial balance
///
/// Every ledger account of the house; together they are always zero. As CSV with `Accept: text/csv`.
#[utoipa::path(get, path = "/v1/reports/ledger", operation_id = "getTrialBalance", tag = "Reports",
    security(("api_key" = ["admin"])),
    responses((status = 200, description = "The trial balance.", content(
        (TrialBalanceShown = "application/json"), (String = "text/csv")))))]
pub async fn ledger(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let call = knock.enter(&site, Scope::Admin)?;
    call.query(&[])?;
    let report = site.look(crate::app::App::trial_balance).await?;
    if call.wants_csv() {
        return Ok(reply::csv(trial_balance_csv(&report)));
    }
    let account = |it: &(billing::ledger::LedgerAccount, TotalCredits)| LedgerAccountShown {
        ledger_account: it.0.to_string(),
        credits: TotalAmount(it.1),
    };
    let shown = TrialBalanceShown {
        accounts: report.accounts.iter().map(account).collect(),
        sum: TotalAmount(report.sum()),
        transactions: report.transactions,
        freshness: report.freshness.into(),
    };
    reply::json(StatusCode::OK, &shown)
}

/// A month's revenue
///
/// Credits issued, used, expired and gone back; money received, refunded and recognised as revenue at what each grant
/// cost; taxes. What a grant recognises is its cost × credits gone ÷ its credits, rounded down to the minor unit;
/// with its last credit all that is left. As CSV with `Accept: text/csv`, one number a line: `month`, `what` it is,
/// `of` which source or meter by its id, its `unit` and `amount`, and the `name` people know the source or meter by.
#[utoipa::path(get, path = "/v1/reports/revenue", operation_id = "getRevenue", tag = "Reports",
    params(("month" = Option<String>, Query, description = "Such as `2026-11`, by the calendar of UTC; this month \
        where nothing is said. One that has not begun is refused.", pattern = "^[0-9]{4}-[0-9]{2}$")),
    security(("api_key" = ["admin"])),
    responses((status = 200, description = "The month.", content(
        (RevenueShown = "application/json"), (String = "text/csv")))))]
pub async fn revenue(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let call = knock.enter(&site, Scope::Admin)?;
    let query = call.query(&["month"])?;
    let month = query.text("month").map(str::parse::<Month>).transpose();
    let month = month.map_err(|why| Problem::invalid("month", why))?;
    let report = site.look(move |app| app.revenue(month.unwrap_or_else(|| Month::at(app.now())))).await?;
    if call.wants_csv() {
        return Ok(reply::csv(revenue_csv(&site.app, &report)));
    }
    reply::json(StatusCode::OK, &shown(&report))
}

/// What is owed to customers
///
/// Outstanding credits, and the money received for them, as they stood at the instant `at`. They are kept by days of
/// UTC: at a midnight, such as `2027-01-01T00:00:00Z` for the end of 2026, the answer is of that very instant; within a
/// day, it is of the midnight that ends it. Of an instant that has not come yet, and of a day that is not over, it is
/// of now. The `at` of the answer says which. As CSV with `Accept: text/csv`.
#[utoipa::path(get, path = "/v1/reports/liability", operation_id = "getLiability", tag = "Reports",
    params(("at" = Option<String>, Query, description = "A midnight of UTC, for what was owed at that instant; any \
        other instant stands for the midnight after it. Now where nothing is said.", format = DateTime)),
    security(("api_key" = ["admin"])),
    responses((status = 200, description = "What is owed.", content(
        (LiabilityShown = "application/json"), (String = "text/csv")))))]
pub async fn liability(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let call = knock.enter(&site, Scope::Admin)?;
    let at = call.query(&["at"])?.instant("at")?;
    let report = site.look(move |app| app.liability(at)).await?;
    if call.wants_csv() {
        return Ok(reply::csv(liability_csv(&report)));
    }
    let shown = LiabilityShown {
        at: Instant(report.at),
        outstanding: TotalAmount(report.outstanding),
        deferred: report.deferred.iter().map(|it| TotalMoneyShown::from(*it)).collect(),
        freshness: report.freshness.into(),
    };
    reply::json(StatusCode::OK, &shown)
}

fn shown(it: &RevenueReport) -> RevenueShown {
    let by = |name: &str, credits: TotalCredits| CreditsBy { name: name.to_owned(), credits: TotalAmount(credits) };
    RevenueShown {
        month: it.month.to_string(),
        credits: CreditsShown {
            issued: it.issued.iter().map(|(source, credits)| by(source.as_str(), *credits)).collect(),
            used: it.used.iter().map(|(meter, credits)| by(meter, *credits)).collect(),
            expired: TotalAmount(it.expired),
            voided: TotalAmount(it.voided),
            refunded: TotalAmount(it.refunded),
            clawed_back: TotalAmount(it.clawed_back),
            change: TotalAmount(it.change),
            outstanding: TotalAmount(it.outstanding),
        },
        money: it.money.iter().map(money_shown).collect(),
        taxes: it.sales.iter().map(tax_shown).collect(),
        freshness: it.freshness.into(),
    }
}

fn money_shown((currency, it): &(billing::money::Currency, crate::service::MoneyOfMonth)) -> MoneyOfMonth {
    let money = |amount| TotalMoneyShown::from(TotalMoney { amount, currency: *currency });
    let revenue = it.takings.revenue;
    MoneyOfMonth {
        deferred_before: money(it.deferred_before),
        received: money(it.takings.received),
        refunded: money(it.takings.refunded),
        clawed_back: money(it.takings.clawed_back),
        recognised: money(revenue.used + revenue.breakage),
        recognised_from_use: money(revenue.used),
        recognised_from_breakage: money(revenue.breakage),
        deferred: money(it.deferred),
    }
}

fn tax_shown(it: &Sales) -> TaxShown {
    TaxShown {
        seller: it.seller.clone(),
        treatment: it.treatment.clone(),
        country: it.country.clone(),
        rate: billing::tax::Rate(it.rate).to_string(),
        invoices: it.invoices,
        credit_notes: it.credit_notes,
        net: it.net.into(),
        tax: it.tax.into(),
    }
}
