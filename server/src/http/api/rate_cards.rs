//! Rate cards: shown as they stand, and added to, a version at a time.
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use billing::rating::{Difference, RateCard};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

use super::super::catalogue;
use super::super::knock::{JSON, Knock};
use super::super::problem::Problem;
use super::super::query::Stretch;
use super::super::site::Site;
use super::super::wire::Instant;
use super::reply::{self, Answered, Page};
use crate::rate_card;
use crate::service::{Error, Scope, Upload};

const TOML: [&str; 3] = ["application/toml", "text/x-toml", "text/plain"];

/// One version of the prices. What its meters may say is told by the default card, which explains itself.
#[derive(ToSchema)]
#[schema(as = RateCard)]
#[expect(dead_code, reason = "documents what `rate_card::to_json` writes")]
pub struct CardShown {
    version: u32,
    effective_at: Instant,
    meters: BTreeMap<String, BTreeMap<String, Value>>,
}

/// A version in a list.
#[derive(Serialize, ToSchema)]
#[schema(as = RateCardSummary)]
pub struct SummaryShown {
    version: u32,
    effective_at: Instant,
    /// It prices what happens now.
    in_force: bool,
    meters: Vec<String>,
}

/// One difference. Without `from` it is new, without `to` it is gone.
#[derive(Serialize, ToSchema)]
#[schema(as = Difference)]
pub struct DifferenceShown {
    field: String,
    from: Option<String>,
    to: Option<String>,
}

impl From<&Difference> for DifferenceShown {
    fn from(it: &Difference) -> DifferenceShown {
        DifferenceShown { field: it.field.clone(), from: it.from.clone(), to: it.to.clone() }
    }
}

/// An uploaded card, and what it changes.
#[derive(Serialize, ToSchema)]
#[schema(as = UploadReply)]
pub struct UploadShown {
    version: u32,
    effective_at: Instant,
    /// Nothing was added.
    dry_run: bool,
    /// Against the latest version there was.
    differences: Vec<DifferenceShown>,
}

fn shown(card: &RateCard) -> Answered {
    reply::json(StatusCode::OK, &rate_card::to_json(card))
}

fn missing() -> Problem {
    Problem::new(&catalogue::RATE_CARD_NOT_FOUND, "no such version; GET /v1/rate-cards lists them")
}

/// The rate card in force
#[utoipa::path(get, path = "/v1/rate-card", operation_id = "getRateCardInForce", tag = "Prices and measuring",
    security(("api_key" = ["read"])),
    responses(
        (status = 200, body = CardShown, description = "The prices of now."),
        (status = 404, description = "No card is in force yet."),
    ))]
pub async fn in_force(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    knock.enter(&site, Scope::Read)?.query(&[])?;
    let cards = site.app.cards();
    shown(cards.in_force(site.app.now()).ok_or_else(missing)?)
}

/// List the versions of the rate card
#[utoipa::path(get, path = "/v1/rate-cards", operation_id = "listRateCards", tag = "Prices and measuring",
    params(Stretch),
    security(("api_key" = ["read"])),
    responses((status = 200, body = Page<SummaryShown>, description = "All versions, oldest first.")))]
pub async fn list(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let stretch = knock.enter(&site, Scope::Read)?.query(&["limit", "cursor"])?.stretch()?;
    let cards = site.app.cards();
    let current = cards.in_force(site.app.now()).map(|it| it.version());
    let summary = |card: &Arc<RateCard>| SummaryShown {
        version: card.version(),
        effective_at: Instant(card.effective_at()),
        in_force: current == Some(card.version()),
        meters: card.meters().map(|it| it.name.to_string()).collect(),
    };
    reply::page(&stretch, cards.iter().map(summary).collect())
}

/// One version of the rate card
#[utoipa::path(get, path = "/v1/rate-cards/{version}", operation_id = "getRateCard", tag = "Prices and measuring",
    params(("version" = u32, Path, description = "Its number.", minimum = 1)), security(("api_key" = ["read"])),
    responses(
        (status = 200, body = CardShown, description = "The prices of this version."),
        (status = 404, description = "No such version."),
    ))]
pub async fn show(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let version = knock.enter(&site, Scope::Read)?.segment("version").await?;
    let version = version.parse().map_err(|_| missing())?;
    shown(site.app.cards().version(version).ok_or_else(missing)?)
}

/// Add a version of the rate card
///
/// As TOML or JSON. All faults are reported at once, each with its line and field. With `dry_run` it is only checked
/// and compared. A version once added never changes, and a card never takes effect in the past.
#[utoipa::path(post, path = "/v1/rate-cards", operation_id = "uploadRateCard", tag = "Prices and measuring",
    params(
        ("dry_run" = Option<bool>, Query, description = "Only say what would change."),
        ("Idempotency-Key" = Option<String>, Header, description = "New for a new version.",
            min_length = 1, max_length = 255),
    ),
    request_body(description = "The card.", content(
        (CardShown = "application/json"), (String = "application/toml"), (String = "text/plain"))),
    security(("api_key" = ["admin"])),
    responses(
        (status = 200, body = UploadShown, description = "A dry run: what would change."),
        (status = 201, body = UploadShown, description = "Added."),
        (status = 409, description = "The idempotency key came with another card before."),
    ))]
pub async fn upload(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let call = knock.enter(&site, Scope::Admin)?;
    let is_dry_run = call.query(&["dry_run"])?.flag("dry_run")?;
    let (by, under) = (call.by().to_string(), call.under()?);
    let is_json = call.content_type() == JSON;
    let expected: Vec<&'static str> = std::iter::once(JSON).chain(TOML).collect();
    let body = call.read(&expected, rate_card::DOCUMENT_BYTES_MAX).await?;
    let text = String::from_utf8(body.into()).map_err(|_| Problem::invalid("body", "must be UTF-8"))?;
    let parse = if is_json { rate_card::parse_json } else { rate_card::parse_toml };
    let uploaded = site.look(move |app| {
        let card = parse(&text).map_err(Error::BadCard)?;
        app.upload_rate_card(Upload { card, is_dry_run, by, under })
    });
    let uploaded = uploaded.await?;
    let shown = UploadShown {
        version: uploaded.card.version(),
        effective_at: Instant(uploaded.card.effective_at()),
        dry_run: uploaded.is_dry_run,
        differences: uploaded.differences.iter().map(DifferenceShown::from).collect(),
    };
    let status = if is_dry_run { StatusCode::OK } else { StatusCode::CREATED };
    reply::written(status, &shown, uploaded.is_replay)
}
