//! Reports for the accountant: a month's money, sales and credits, what is owed to customers, the trial balance. Each
//! can be taken away as a sheet.
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use billing::money::Currency;
use billing::time::Timestamp;
use billing::total::{TotalCredits, TotalMoney};
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{Desk, Paged, message, page, show};
use crate::app::App;
use crate::http::Site;
use crate::service::{
    Error, Freshness, MoneyOfMonth, Month, RevenueReport, Sales, liability_csv, revenue_csv, trial_balance_csv,
};
use crate::web::frame::When;
use crate::web::visit::Host;

const HERE: &str = "/console/reports";
/// Months one can choose from; an address may name any.
const MONTHS_SHOWN: i32 = 36;

#[derive(Template)]
#[template(path = "console/reports.html")]
struct ReportsPage {
    desk: Desk,
    month: String,
    /// As an address says it, as people do, and whether it is shown.
    months: Vec<(String, String, bool)>,
    title: String,
    /// Credits of the month: what came in, by source, and what went, by meter and otherwise.
    issued: Vec<(String, String)>,
    used: Vec<(String, String)>,
    gone: Vec<(&'static str, String)>,
    change: String,
    outstanding: String,
    money: Vec<MoneyRow>,
    sales: Vec<SalesRow>,
    owed: Vec<String>,
    owed_credits: String,
    as_of: When,
    ledger: Vec<(String, String)>,
    sum: String,
    transactions: String,
    /// Said where something has happened that is not counted yet.
    waiting: Option<String>,
}

struct MoneyRow {
    currency: String,
    before: String,
    received: String,
    refunded: String,
    clawed_back: String,
    used: String,
    breakage: String,
    after: String,
}

struct SalesRow {
    what: String,
    rate: String,
    papers: String,
    net: String,
    tax: String,
}

/// The month that is asked for; this one where none is.
fn asked(host: &Host) -> Month {
    host.query.get("month").and_then(|it| it.parse().ok()).unwrap_or_else(|| Month::at(host.now))
}

/// The first day of a month.
fn first(month: Month) -> Date {
    format!("{month}-01").parse().unwrap_or(Date::MIN)
}

/// The last instant of a month, of UTC.
fn end(month: Month) -> Timestamp {
    let next = first(month.next()).to_zoned(TimeZone::UTC).map_or(i64::MAX, |it| it.timestamp().as_millisecond());
    Timestamp::from_millis(next - 1)
}

pub async fn show(State(site): State<Arc<Site>>, host: Host) -> Paged {
    let filled = site.look(move |app| reports_page(app, &host)).await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::OK, &filled))
}

fn reports_page(app: &App, host: &Host) -> Result<ReportsPage, Error> {
    let month = asked(host);
    let report = app.revenue(month)?;
    let liability = app.liability(Some(end(month)))?;
    let balance = app.trial_balance()?;
    let issued = report.issued.iter().map(|(source, it)| (show::words(source.as_str()), show::used(*it)));
    let used = used(app, &report).into_iter().map(|(name, it)| (name, show::used(it)));
    Ok(ReportsPage {
        desk: Desk::of(app, host, HERE)?,
        month: month.to_string(),
        months: months(host, month),
        title: first(month).strftime("%B %Y").to_string(),
        issued: issued.collect(),
        used: used.collect(),
        gone: gone(&report),
        change: show::signed(report.change),
        outstanding: show::have(report.outstanding),
        money: report.money.iter().map(|(currency, it)| money_row(*currency, it)).collect(),
        sales: sales_rows(&report.sales),
        owed: liability.deferred.iter().map(|it| show::money(*it)).collect(),
        owed_credits: show::have(liability.outstanding),
        as_of: When::moment(liability.at, &TimeZone::UTC),
        sum: show::signed(balance.sum()),
        transactions: show::thousands(balance.transactions),
        ledger: balance.accounts.iter().map(|(account, it)| (account.to_string(), show::stands(*it))).collect(),
        waiting: waiting(&[report.freshness, liability.freshness, balance.freshness]),
    })
}

/// What was used, by what customers' pages call it.
fn used(app: &App, report: &RevenueReport) -> Vec<(String, TotalCredits)> {
    let mut rows: Vec<(String, TotalCredits)> = Vec::new();
    for (meter, credits) in &report.used {
        let name = app.category_of(meter).as_str().to_owned();
        match rows.iter_mut().find(|it| it.0 == name) {
            Some(row) => row.1 += *credits,
            None => rows.push((name, *credits)),
        }
    }
    rows
}

fn months(host: &Host, chosen: Month) -> Vec<(String, String, bool)> {
    let this = first(Month::at(host.now));
    let dates = (0..MONTHS_SHOWN).map(|ago| this.saturating_sub(ago.months()));
    let mut months: Vec<(String, String, bool)> = dates
        .map(|it| (it.strftime("%Y-%m").to_string(), it.strftime("%B %Y").to_string()))
        .map(|(value, said)| (value.clone(), said, value == chosen.to_string()))
        .collect();
    if months.iter().all(|it| !it.2) {
        months.push((chosen.to_string(), first(chosen).strftime("%B %Y").to_string(), true));
    }
    months
}

/// What is said of reports, the least complete of which is so.
fn waiting(reports: &[Freshness]) -> Option<String> {
    let count = reports.iter().map(|it| it.waiting).max().unwrap_or(0);
    match (count, reports.iter().all(|it| it.is_whole)) {
        (0, true) => None,
        (0, false) => Some("Accounts are still being looked through since this server started.".to_owned()),
        (1, _) => Some("1 account has moved and is not counted yet.".to_owned()),
        (count, _) => Some(format!("{count} accounts have moved and are not counted yet.")),
    }
}

fn gone(report: &RevenueReport) -> Vec<(&'static str, String)> {
    let all = [
        ("Expired unused", report.expired),
        ("Taken back", report.voided),
        ("Refunded", report.refunded),
        ("Lost in disputes", report.clawed_back),
    ];
    all.into_iter().filter(|it| !it.1.is_zero()).map(|(what, it)| (what, show::used(it))).collect()
}

/// Sellers are named where there were several.
fn sales_rows(sales: &[Sales]) -> Vec<SalesRow> {
    let are_several = sales.windows(2).any(|it| it[0].seller != it[1].seller);
    let row = |it: &Sales| {
        let seller = if are_several { format!("{}: ", it.seller) } else { String::new() };
        let country = it.country.as_deref().map(|it| format!(", {it}")).unwrap_or_default();
        SalesRow {
            what: format!("{seller}{}{country}", show::words(&it.treatment)),
            rate: format!("{}%", billing::tax::Rate(it.rate)),
            papers: match it.credit_notes {
                0 => show::thousands(it.invoices),
                notes => format!("{} and {}", show::thousands(it.invoices), show::thousands(notes)),
            },
            net: show::money(it.net),
            tax: show::money(it.tax),
        }
    };
    sales.iter().map(row).collect()
}

fn money_row(currency: Currency, it: &MoneyOfMonth) -> MoneyRow {
    let money = |amount| show::money(TotalMoney { amount, currency });
    MoneyRow {
        currency: currency.as_str().to_uppercase(),
        before: money(it.deferred_before),
        received: money(it.takings.received),
        refunded: money(-it.takings.refunded),
        clawed_back: money(-it.takings.clawed_back),
        used: money(it.takings.revenue.used),
        breakage: money(it.takings.revenue.breakage),
        after: money(it.deferred),
    }
}

pub async fn revenue_sheet(State(site): State<Arc<Site>>, host: Host) -> Paged {
    let month = asked(&host);
    let text = site.look(move |app| Ok(revenue_csv(app, &app.revenue(month)?)));
    let text = text.await.map_err(|it| message::failed(&site, it))?;
    Ok(sheet(&format!("revenue-{month}.csv"), text))
}

pub async fn liability_sheet(State(site): State<Arc<Site>>, host: Host) -> Paged {
    let month = asked(&host);
    let text = site.look(move |app| Ok(liability_csv(&app.liability(Some(end(month)))?)));
    let text = text.await.map_err(|it| message::failed(&site, it))?;
    Ok(sheet(&format!("liability-{month}.csv"), text))
}

pub async fn ledger_sheet(State(site): State<Arc<Site>>, _host: Host) -> Paged {
    let text = site.look(|app| Ok(trial_balance_csv(&app.trial_balance()?)));
    let text = text.await.map_err(|it| message::failed(&site, it))?;
    Ok(sheet("trial-balance.csv", text))
}

fn sheet(name: &str, text: String) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers =
        [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    (headers, text).into_response()
}
