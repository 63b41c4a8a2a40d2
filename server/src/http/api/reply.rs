//! What replies are made of: a status, a JSON body, and whether it is an answer given before.
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use billing::ledger::Balance;
use billing::rating::PriceLine;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::super::knock::JSON;
use super::super::problem::Problem;
use super::super::query::Stretch;
use super::super::wire::Amount;
use crate::service::File;

pub type Answered = Result<Response, Problem>;

/// `value` as the body of an answer.
pub fn json<T: Serialize>(status: StatusCode, value: &T) -> Answered {
    let mut body = Vec::with_capacity(1_024);
    serde_json::to_writer(&mut body, value).map_err(Problem::internal)?;
    Ok(with_body(status, JSON, body))
}

/// The same for what a key has written down, now or before.
pub fn written<T: Serialize>(status: StatusCode, value: &T, is_replay: bool) -> Answered {
    Ok(marked(json(status, value)?, is_replay))
}

/// Nothing to say but that it is done, now or before.
pub fn done(is_replay: bool) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    marked(response, is_replay)
}

fn marked(mut response: Response, is_replay: bool) -> Response {
    if is_replay {
        response.headers_mut().insert("idempotent-replay", HeaderValue::from_static("true"));
    }
    response
}

pub fn with_body(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A file, under its own name. What people look at opens where they are; the rest is kept.
pub fn file(file: File) -> Answered {
    let is_seen = file.media_type.starts_with("text/html") || file.media_type == "application/pdf";
    let how = if is_seen { "inline" } else { "attachment" };
    let disposition = format!("{how}; filename=\"{}\"", file.name);
    let mut response = with_body(StatusCode::OK, file.media_type, file.bytes);
    let disposition = HeaderValue::try_from(disposition).map_err(Problem::internal)?;
    response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    Ok(response)
}

/// A CSV file.
pub fn csv(text: String) -> Response {
    with_body(StatusCode::OK, "text/csv; charset=utf-8; header=present", text)
}

/// An account's credits once this was done. `available = posted − held − accrued`.
#[derive(Serialize, ToSchema)]
#[schema(as = BalanceAfter)]
pub struct BalanceShown {
    /// Unspent credits, less the debt.
    posted: Amount,
    /// In open holds.
    held: Amount,
    /// Used by running servers and not yet settled.
    accrued: Amount,
    /// What may be spent.
    available: Amount,
    /// Owed for work beyond the credits there were; already taken off `posted`.
    debt: Amount,
}

impl BalanceShown {
    pub fn of(balance: &Balance) -> BalanceShown {
        BalanceShown {
            posted: Amount(balance.posted),
            held: Amount(balance.held),
            accrued: Amount(balance.accrued),
            available: Amount(balance.available()),
            debt: Amount(balance.debt),
        }
    }
}

/// One line of a receipt: `quantity` × `unit_price` / `per` = `credits`.
#[derive(Serialize, ToSchema)]
#[schema(as = PriceLine)]
pub struct LineShown<'a> {
    #[schema(example = "Input")]
    item: &'a str,
    quantity: u64,
    /// One of what is counted.
    #[schema(example = "token")]
    unit: &'a str,
    /// The price of `per` units.
    unit_price: Amount,
    #[schema(example = 1_000_000)]
    per: u64,
    /// The lines of a price add up to it exactly.
    credits: Amount,
}

/// Lines straight from where they are kept.
#[derive(Clone, Copy)]
pub struct Lines<'a>(pub &'a [PriceLine]);

impl Serialize for Lines<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|it| LineShown {
            item: &it.item,
            quantity: it.quantity,
            unit: &it.unit,
            unit_price: Amount(it.unit_price),
            per: it.per,
            credits: Amount(it.credits),
        }))
    }
}

/// The part of a list that was asked for.
pub fn page<T: Serialize>(stretch: &Stretch, all: Vec<T>) -> Answered {
    let (data, next_cursor) = stretch.of(all);
    json(StatusCode::OK, &Page { data, next_cursor })
}

/// A page of `limit`, of what was read with one more, and where the next one begins: nowhere where there is no more.
pub fn cut<T>(mut read: Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> (Vec<T>, Option<String>) {
    let is_more = limit < read.len();
    read.truncate(limit);
    let next = read.last().filter(|_| is_more).map(cursor);
    (read, next)
}

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub struct Page<T> {
    pub data: Vec<T>,
    /// Send it as `cursor` for the next page; null on the last.
    pub next_cursor: Option<String>,
}
