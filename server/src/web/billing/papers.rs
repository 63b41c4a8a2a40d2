//! Papers to take away: monthly statements of usage, of the account or of one project, and a period's invoices at once.
use std::ops::Range;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use billing::Refusal;
use billing::id::Name;
use billing::ledger::LATE_MAX;
use billing::time::Timestamp;
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{Paged, Trouble, admit, message, refused, show};
use crate::app::App;
use crate::http::Site;
use crate::service::{Error, Month};
use crate::web::range::Choice;
use crate::web::visit::Visitor;

pub const SECTION: &str = "statements";
/// Months one can choose from.
const MONTHS_MAX: usize = 36;

/// What ids can say the time of, as at the API.
const YEARS: Range<i16> = 1970..2500;

/// What statements there are: the months since the account began, newest first, and its projects.
pub struct Statements {
    /// `2026-11`, and as people say it.
    pub months: Vec<(String, String)>,
    pub projects: Vec<Choice>,
    /// The last twelve months, for the invoices of a period: a year that has just begun would have none.
    pub from: String,
    pub to: String,
}

impl Statements {
    pub fn of(visitor: &Visitor, app: &App) -> Result<Statements, Error> {
        let account = &visitor.session.account;
        // A project that nobody named is offered for as long as word of it may come late.
        let (names, known) = (app.project_names(account)?, app.projects_since(account, visitor.now - LATE_MAX)?);
        let zone = &visitor.known.zone;
        let today = show::zoned(visitor.now, zone).date();
        let created = show::zoned(visitor.known.account.created_at, zone).date();
        let first = created.first_of_month();
        let mut months = Vec::new();
        let mut month = today.first_of_month();
        while first <= month && months.len() < MONTHS_MAX {
            let so_far = if months.is_empty() { ", so far" } else { "" };
            months.push((month.strftime("%Y-%m").to_string(), format!("{}{so_far}", month.strftime("%B %Y"))));
            month = month.saturating_sub(1.month());
        }
        let label = |id: &String| crate::web::usage::project_label(Some(id), &names);
        let choice = |id: String| Choice { label: label(&id), href: id, is_on: false };
        Ok(Statements {
            months,
            projects: known.iter().map(|it| choice(it.id.to_string())).collect(),
            from: created.max(today.saturating_sub(1.year())).to_string(),
            to: today.to_string(),
        })
    }
}

/// A month's statement, `as` a PDF or CSV.
pub async fn statement(State(site): State<Arc<Site>>, visitor: Visitor) -> Paged {
    admit(&site, &visitor).await?;
    let (app, asking) = (Arc::clone(&site.app), visitor.clone());
    let made = site.aside(move || stated(&app, &asking)).await.map_err(|it| message::failed(&site, it))?;
    match made {
        Ok((name, media_type, bytes)) => Ok(file(&name, media_type, bytes)),
        Err(error) => refused(&site, &visitor, of_month(Trouble::of(SECTION, error, &visitor.query), &visitor)).await,
    }
}

/// A month to come is called by its name.
fn of_month(trouble: Trouble, visitor: &Visitor) -> Trouble {
    let first = visitor.query.get("month").and_then(|it| format!("{it}-01").parse::<Date>().ok());
    let today = show::zoned(visitor.now, &visitor.known.zone).date();
    match first.filter(|it| trouble.why.is_ok() && today < *it) {
        Some(first) => Trouble { why: Ok(format!("{} has not begun.", first.strftime("%B %Y"))), ..trouble },
        None => trouble,
    }
}

fn stated(app: &App, visitor: &Visitor) -> Result<(String, &'static str, Vec<u8>), Error> {
    let account = &visitor.session.account;
    let month = visitor.query.get("month").unwrap_or_default();
    let month: Month = month.parse().map_err(|_| Refusal::invalid("month", "must be one such as 2026-11"))?;
    let project = visitor.query.get("project").map(str::parse::<Name>).transpose();
    let project = project.map_err(|_| Refusal::invalid("project", "is not known"))?;
    let statement = app.statement(account, month, project.clone())?;
    let of = project.map(|it| format!("-{it}")).unwrap_or_default();
    Ok(if visitor.query.get("as") == Some("csv") {
        let text = app.statement_csv(&statement);
        (format!("statement-{month}{of}.csv"), "text/csv; charset=utf-8", text.into_bytes())
    } else {
        (format!("statement-{month}{of}.pdf"), "application/pdf", app.statement_pdf(&statement)?)
    })
}

/// All invoices and credit notes from the first to the last day, in a ZIP.
pub async fn invoices(State(site): State<Arc<Site>>, visitor: Visitor) -> Paged {
    admit(&site, &visitor).await?;
    let (app, asking) = (Arc::clone(&site.app), visitor.clone());
    let made = site.aside(move || packed(&app, &asking)).await.map_err(|it| message::failed(&site, it))?;
    match made {
        Ok((name, bytes)) => Ok(file(&name, "application/zip", bytes)),
        Err(error) => refused(&site, &visitor, Trouble::of("history", error, &visitor.query)).await,
    }
}

fn packed(app: &App, visitor: &Visitor) -> Result<(String, Vec<u8>), Error> {
    let zone = &visitor.known.zone;
    let day = |name: &'static str| -> Result<Date, Refusal> {
        let text = visitor.query.get(name).unwrap_or_default();
        let day: Date = text.parse().map_err(|_| Refusal::invalid(name, "must be a day such as 2026-11-01"))?;
        if !YEARS.contains(&day.year()) {
            return Err(Refusal::invalid(name, "must be between the years 1970 and 2500"));
        }
        Ok(day)
    };
    let (first, last) = (day("from")?, day("to")?);
    let midnight = |date: Date, zone: &TimeZone| {
        let start = date.to_zoned(zone.clone()).map_or(i64::MAX, |it| it.timestamp().as_millisecond());
        Timestamp::from_millis(start)
    };
    let (from, to) = (midnight(first, zone), midnight(last.saturating_add(1.day()), zone));
    app.count_invoices(&visitor.session.account, Some(from), Some(to))?;
    let mut bytes = Vec::new();
    app.pack_invoices(&visitor.session.account, Some(from), Some(to), &mut bytes)?;
    Ok((format!("invoices-{first}-{last}.zip"), bytes))
}

/// A file to take away.
pub fn file(name: &str, media_type: &'static str, bytes: Vec<u8>) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = [(header::CONTENT_TYPE, media_type.to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    (headers, bytes).into_response()
}
