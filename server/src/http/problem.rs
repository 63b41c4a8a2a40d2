//! A failed request as the client sees it: RFC 9457 `application/problem+json`.
//!
//! Must never know how a rule is decided. Invariant: what the client may not see (the cause of a fault) is not in the
//! body; it travels beside it to the door, which logs it once with the request's id.
use std::borrow::Cow;
use std::fmt::Display;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use billing::Refusal;
use meters::MeasureError;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::catalogue::{self, Kind};
use super::wire::Instant;
use crate::service::Error;

pub const CONTENT_TYPE: &str = "application/problem+json";

/// Seconds after which a busy server is worth another try.
const BUSY_SECONDS: u32 = 1;

#[derive(Debug)]
pub struct Problem {
    pub kind: &'static Kind,
    pub detail: Cow<'static, str>,
    pub field: Option<String>,
    /// Members beside the standard ones.
    more: Vec<(&'static str, Value)>,
    retry_after_seconds: Option<u32>,
    /// For the log alone.
    cause: Option<String>,
}

/// Why a request failed on our side; the door logs it.
#[derive(Clone, Debug)]
pub struct Failure {
    pub cause: String,
    /// The answer already says what it may: it is not replaced by a problem.
    pub is_answered: bool,
}

impl Failure {
    /// Beside an answer that stays as it is.
    pub fn beside(cause: &str) -> Failure {
        Failure { cause: cause.to_owned(), is_answered: true }
    }
}

impl Problem {
    pub fn new(kind: &'static Kind, detail: impl Into<Cow<'static, str>>) -> Problem {
        Problem { kind, detail: detail.into(), field: None, more: Vec::new(), retry_after_seconds: None, cause: None }
    }
    /// `why` completes "`field` …".
    pub fn invalid(field: impl Into<String>, why: impl Display) -> Problem {
        Problem::from(Refusal::invalid(field, why))
    }
    pub fn internal(cause: impl Display) -> Problem {
        let detail = "it is our fault; repeating with the same idempotency key is safe";
        Problem { cause: Some(cause.to_string()), ..Problem::new(&catalogue::INTERNAL, detail) }
    }
    pub fn busy() -> Problem {
        let detail = "more is waiting than this server takes at once; send the same again in a moment";
        Problem { retry_after_seconds: Some(BUSY_SECONDS), ..Problem::new(&catalogue::BUSY, detail) }
    }
    /// The same where what is waiting is all of one account.
    pub fn busy_with_own() -> Problem {
        let detail = "more of this account is on its way than this server takes at once; send the same again when some \
                      of it is done";
        Problem { retry_after_seconds: Some(BUSY_SECONDS), ..Problem::new(&catalogue::BUSY, detail) }
    }
    /// The store cannot be reached just now.
    pub fn away(cause: &impl ToString) -> Problem {
        let detail = "the database cannot be reached just now; send the same again in a moment";
        let cause = Some(cause.to_string());
        Problem { cause, retry_after_seconds: Some(BUSY_SECONDS), ..Problem::new(&catalogue::BUSY, detail) }
    }
    pub fn with(mut self, member: &'static str, value: impl Into<Value>) -> Problem {
        self.more.push((member, value.into()));
        self
    }
    /// A member of its own that it has.
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.more.iter().find(|it| it.0 == name).map(|it| &it.1)
    }
    pub fn retry_after(mut self, seconds: u32) -> Problem {
        self.retry_after_seconds = Some(seconds);
        self
    }
    /// The same, about a field inside `outer`.
    pub fn inside(mut self, outer: &str) -> Problem {
        self.field = Some(match self.field {
            Some(inner) if inner != "body" => format!("{outer}.{inner}"),
            _ => outer.to_owned(),
        });
        self
    }
    /// A cause that must be logged, if this is our fault.
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        let mut problem = Problem::new(catalogue::of_code(refusal.code()), refusal.to_string());
        problem.field = refusal.field().map(str::to_owned);
        match refusal {
            Refusal::InsufficientCredits { required, available } => problem
                .with("required", required.to_string())
                .with("available", available.to_string())
                .with("shortfall", available.short_of(required).to_string()),
            Refusal::BudgetExceeded { budget, limit, used, reserved, required, resets_at } => problem
                .with("budget", budget.as_str())
                .with("limit", limit.to_string())
                .with("used", used.to_string())
                .with("reserved", reserved.to_string())
                .with("required", required.to_string())
                .with("resets_at", json!(resets_at.map(Instant))),
            Refusal::HoldClosed { end } => problem.with("end", end.as_str()),
            Refusal::WouldChargeNow { credits, total } => problem
                .with("credits", credits.to_string())
                .with("total", json!({"amount": total.amount, "currency": total.currency.as_str()})),
            Refusal::ReversalExceedsCharge { left } => problem.with("left", left.to_string()),
            Refusal::RefundExceedsUnused { left, most } => {
                let problem = problem.with("left", left.to_string());
                let Some(most) = most else { return problem };
                problem.with("at_most", json!({"amount": most.amount, "currency": most.currency.as_str()}))
            }
            _ => problem,
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        match error {
            Error::Refused(refusal) => refusal.into(),
            Error::BadCard(faults) => {
                let first = faults.first().map_or_else(String::new, ToString::to_string);
                let detail = format!("{} faults; the first: {first}", faults.len());
                let field = faults.first().map(|it| it.field.clone()).filter(|it| !it.is_empty());
                Problem { field, ..Problem::new(&catalogue::INVALID_RATE_CARD, detail) }.with("faults", json!(faults))
            }
            Error::Busy => Problem::busy(),
            Error::Fault(fault) if fault.is_away => Problem::away(&fault),
            Error::Fault(fault) => Problem::internal(fault),
        }
    }
}

impl From<MeasureError> for Problem {
    fn from(error: MeasureError) -> Problem {
        let kind = catalogue::of_code(error.code());
        Problem { field: error.field(), ..Problem::new(kind, error.to_string()) }
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        members.serialize_entry("type", &format_args!("/docs/problems#{}", self.kind.code))?;
        members.serialize_entry("title", self.kind.title)?;
        members.serialize_entry("status", &self.kind.status)?;
        members.serialize_entry("code", self.kind.code)?;
        members.serialize_entry("detail", &self.detail)?;
        if let Some(field) = &self.field {
            members.serialize_entry("field", field)?;
        }
        for (member, value) in &self.more {
            members.serialize_entry(member, value)?;
        }
        members.end()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).expect("a problem is plain JSON");
        let mut response = Response::new(body.into());
        *response.status_mut() = StatusCode::from_u16(self.kind.status).expect("the catalogue has real statuses");
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.kind.status == 401 {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(cause) = self.cause {
            // That a database is away is no secret, and says when to come back.
            response.extensions_mut().insert(Failure { cause, is_answered: self.kind.status != 500 });
        }
        response
    }
}
