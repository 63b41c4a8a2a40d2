//! Monthly statements, and all papers of a period in one file.
use std::io::Write;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use billing::Refusal;
use billing::total::TotalCredits;
use serde::Serialize;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::super::knock::Knock;
use super::super::problem::Problem;
use super::super::site::Site;
use super::super::wire::{Amount, Instant, NameIn, TotalAmount};
use super::reply::{self, Answered};
use crate::service::{File, Month, Scope, Statement, UsedRow};

/// Credits that came in, by source.
#[derive(Serialize, ToSchema)]
#[schema(as = GrantedCredits)]
pub struct GrantedShown {
    #[schema(example = "purchase")]
    source: &'static str,
    credits: TotalAmount,
}

/// `opening` + all of `granted` − `used` − `expired` − `voided` − `refunded` − `clawed_back` = `closing` = `posted` +
/// `withheld`.
#[derive(Serialize, ToSchema)]
#[schema(as = StatementBalance)]
pub struct BalanceOfMonth {
    /// What the account had when the month began: free and in holds, less debt.
    opening: Amount,
    granted: Vec<GrantedShown>,
    /// What was taken back is taken off.
    used: TotalAmount,
    expired: TotalAmount,
    voided: TotalAmount,
    refunded: TotalAmount,
    clawed_back: TotalAmount,
    /// By the ledger, like `opening`: all that the account has, also what cannot be drawn yet or meanwhile.
    closing: Amount,
    /// Of `closing`, what a balance said at the end of the month, or says now; of a month that others came after, as
    /// its last entry left it.
    posted: Amount,
    /// Of `closing`, what cannot be drawn: frozen while its payment is disputed, or of grants that take effect later.
    withheld: Amount,
}

/// Credits used, by what they were used for.
#[derive(Serialize, ToSchema)]
#[schema(as = UsedCredits)]
pub struct UsedShown {
    meter: String,
    /// Null for work without one.
    project: Option<String>,
    server: Option<String>,
    /// Charges.
    entries: u64,
    credits: TotalAmount,
}

impl UsedShown {
    fn of(it: UsedRow) -> UsedShown {
        let credits = TotalAmount(TotalCredits::from_micros(it.credits));
        UsedShown { meter: it.meter, project: it.project, server: it.server, entries: it.count, credits }
    }
}

/// A month of an account, by its calendar and by when things were written down.
#[derive(Serialize, ToSchema)]
#[schema(as = Statement)]
pub struct StatementShown {
    account: String,
    #[schema(example = "2026-11")]
    month: String,
    from: Instant,
    to: Instant,
    timezone: String,
    /// The month is over, and all of it is in: nothing will be added.
    is_final: bool,
    project: Option<String>,
    /// Null in a statement of one project.
    balance: Option<BalanceOfMonth>,
    used: Vec<UsedShown>,
    total_used: TotalAmount,
}

impl StatementShown {
    fn of(it: Statement) -> StatementShown {
        let total_used = TotalAmount(it.total_used());
        let balance = it.balance.map(|it| BalanceOfMonth {
            opening: Amount(it.opening),
            granted: it
                .granted
                .iter()
                .map(|(source, credits)| GrantedShown { source: source.as_str(), credits: TotalAmount(*credits) })
                .collect(),
            used: TotalAmount(it.used),
            expired: TotalAmount(it.expired),
            voided: TotalAmount(it.voided),
            refunded: TotalAmount(it.refunded),
            clawed_back: TotalAmount(it.clawed_back),
            closing: Amount(it.closing),
            posted: Amount(it.posted),
            withheld: Amount(it.withheld()),
        });
        StatementShown {
            account: it.account.to_string(),
            month: it.month.to_string(),
            from: Instant(it.from),
            to: Instant(it.to),
            timezone: it.timezone,
            is_final: it.is_final,
            project: it.project.map(|it| it.to_string()),
            balance,
            used: it.used.into_iter().map(UsedShown::of).collect(),
            total_used,
        }
    }
}

/// A monthly statement
///
/// Opening balance, credits in by source, usage by meter, project and server, what expired and went back, closing
/// balance; by the ledger's own time, so that each begins where the one before ended. What a server used up to the end
/// of a month is of that month, though its entry bears the first instant of the next. With `.pdf` after the month as a
/// paper, with `.csv` for a spreadsheet. Of a month with thousands of projects, a statement of one of them is refused:
/// some are told only together.
#[utoipa::path(get, path = "/v1/accounts/{account}/statements/{month}", operation_id = "getStatement",
    tag = "Usage and history",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("month" = String, Path, description = "Such as `2026-11`, with nothing, `.pdf` or `.csv` after it."),
        ("project" = Option<NameIn>, Query, description = "Only what this project used."),
    ),
    security(("api_key" = ["read"])),
    responses(
        (status = 200, description = "The statement; of the month that is under way, so far.", content(
            (StatementShown = "application/json"), (String = "application/pdf"), (String = "text/csv"))),
        (status = 404, description = "No such account."),
    ))]
pub async fn show(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let account = call.name("account").await?;
    let named = call.segment("month").await?;
    let (month, form) = named.split_once('.').unwrap_or((&named, "json"));
    let form = if form == "json" && call.wants_csv() { "csv".to_owned() } else { form.to_owned() };
    let month: Month = month.parse().map_err(|why| Problem::invalid("month", why))?;
    let project = call.query(&["project"])?.name("project")?;
    if !["json", "csv", "pdf"].contains(&&*form) {
        return Err(Problem::invalid("month", "may have `.pdf` or `.csv` after it"));
    }
    let name = format!("statement-{account}-{month}.{form}");
    let is_pdf = form == "pdf";
    let (statement, pdf) = site
        .look(move |app| {
            let statement = app.statement(&account, month, project)?;
            let pdf = if is_pdf { Some(app.statement_pdf(&statement)?) } else { None };
            Ok((statement, pdf))
        })
        .await?;
    match (pdf, &*form) {
        (Some(bytes), _) => reply::file(File { name, media_type: "application/pdf", bytes }),
        (None, "csv") => {
            let text = site.app.statement_csv(&statement).into_bytes();
            reply::file(File { name, media_type: "text/csv; charset=utf-8; header=present", bytes: text })
        }
        _ => reply::json(StatusCode::OK, &StatementShown::of(statement)),
    }
}

/// All papers of a period
///
/// Each invoice and credit note as PDF and as a structured invoice, and `index.csv`, in one zip file.
#[utoipa::path(get, path = "/v1/accounts/{account}/invoices.zip", operation_id = "downloadInvoices", tag = "Credits in",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("from" = Option<String>, Query, description = "Issued at this instant or later.", format = DateTime),
        ("to" = Option<String>, Query, description = "Issued before this instant.", format = DateTime),
    ),
    security(("api_key" = ["read"])),
    responses(
        (status = 200, body = String, content_type = "application/zip", description = "The papers, oldest last."),
        (status = 404, description = "No such account."),
    ))]
pub async fn zip(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let account = call.name("account").await?;
    let query = call.query(&["from", "to"])?;
    let (from, to) = (query.instant("from")?, query.instant("to")?);
    if let (Some(from), Some(to)) = (from, to)
        && to <= from
    {
        return Err(Refusal::invalid("to", "must be after `from`").into());
    }
    let name = account.clone();
    // Refused before the first byte: after it, the answer could only break off.
    let count = site.look(move |app| app.count_invoices(&name, from, to)).await?;
    tracing::debug!(count, "papers of a period are packed");
    let (sender, receiver) = mpsc::channel(PIECES_WAITING);
    let app = Arc::clone(&site.app);
    let file_name = format!("invoices-{account}.zip");
    tokio::task::spawn_blocking(move || {
        let pipe = Pipe { sender: sender.clone(), piece: Vec::with_capacity(PIECE) };
        if let Err(error) = app.pack_invoices(&account, from, to, pipe) {
            tracing::error!(%error, "packing invoices broke off");
            let _ = sender.blocking_send(Err(std::io::Error::other("packing broke off")));
        }
    });
    let pieces = futures_util::stream::unfold(receiver, |mut it| async { it.recv().await.map(|piece| (piece, it)) });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
    let disposition = format!("attachment; filename=\"{file_name}\"");
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::try_from(disposition).map_err(Problem::internal)?);
    Ok(response)
}

/// Bytes sent at once, and pieces that wait for whoever reads: what is in memory of a file of any length.
const PIECE: usize = 64 << 10;
const PIECES_WAITING: usize = 4;

/// Where a file is written that is read elsewhere meanwhile. A reader who has gone is an error, and ends it.
struct Pipe {
    sender: mpsc::Sender<std::io::Result<Bytes>>,
    piece: Vec<u8>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if PIECE <= self.piece.len() {
            self.flush()?;
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        if piece.is_empty() {
            return Ok(());
        }
        let gone = |_| std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        self.sender.blocking_send(Ok(piece.into())).map_err(gone)
    }
}
