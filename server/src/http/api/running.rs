//! For who runs the server: is it there, is it ready, how is it doing; and the test clock of a sandbox.
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::catalogue;
use super::super::knock::Knock;
use super::super::problem::Problem;
use super::super::site::Site;
use super::super::wire::{Instant, InstantIn};
use super::reply::{self, Answered};
use crate::service::Scope;

#[derive(Serialize, ToSchema)]
#[schema(as = Health)]
pub struct HealthShown {
    #[schema(example = "ok")]
    status: &'static str,
}

/// Is the process there, and of use?
///
/// Not once its store takes nothing more until it is opened anew, as after a disk that was full or failed: start the
/// process again.
#[utoipa::path(get, path = "/healthz", operation_id = "getHealth", tag = "Running", security(()),
    responses(
        (status = 200, body = HealthShown, description = "It is."),
        (status = 503, description = "It must be started again."),
    ))]
pub async fn health(State(site): State<Arc<Site>>) -> Answered {
    if site.app.is_spent() {
        return Err(Problem::busy());
    }
    reply::json(StatusCode::OK, &HealthShown { status: "ok" })
}

/// Is it ready to serve?
///
/// It is when its store answers and takes commits, and no longer is once it has been told to stop.
#[utoipa::path(get, path = "/readyz", operation_id = "getReadiness", tag = "Running", security(()),
    responses(
        (status = 200, body = HealthShown, description = "It is."),
        (status = 503, description = "Not now."),
    ))]
pub async fn readiness(State(site): State<Arc<Site>>) -> Answered {
    let is_ready = !site.is_closing() && site.look(crate::app::App::takes_commits).await?;
    if !is_ready {
        return Err(Problem::busy());
    }
    reply::json(StatusCode::OK, &HealthShown { status: "ready" })
}

/// What the server counts about itself
#[utoipa::path(get, path = "/metrics", operation_id = "getMetrics", tag = "Running", security(()),
    responses((status = 200, body = String, content_type = "text/plain", description = "In Prometheus' text format.")))]
pub async fn metrics(State(site): State<Arc<Site>>) -> Response {
    reply::with_body(
        StatusCode::OK,
        "text/plain; version=0.0.4; charset=utf-8",
        site.gauges.render(site.app.turnstile().tally(), site.measured_now()),
    )
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AdvanceRequest, example = json!({"to": "2030-01-01T00:00:00Z"}))]
pub struct AdvanceIn {
    to: InstantIn,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ClockReply)]
pub struct ClockShown {
    now: Instant,
}

/// Move the test clock forward
///
/// In a sandbox only (`SCRIP_SANDBOX=1`); elsewhere the path does not exist.
#[utoipa::path(post, path = "/v1/test-clock/advance", operation_id = "advanceTestClock", tag = "Running",
    params(("Idempotency-Key" = Option<String>, Header, description = "With one, repeating it moves nothing more.",
        min_length = 1, max_length = 255)),
    request_body = AdvanceIn, security(("api_key" = ["admin"])),
    responses(
        (status = 200, body = ClockShown, description = "The time it is now."),
        (status = 404, description = "This is not a sandbox."),
        (status = 409, description = "The key came with another request before."),
    ))]
pub async fn advance(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let call = knock.enter(&site, Scope::Admin)?;
    if !site.app.settings().is_sandbox {
        return Err(Problem::new(&catalogue::NOT_FOUND, "only a sandbox (SCRIP_SANDBOX=1) has a test clock"));
    }
    let (under, by) = (call.under()?, call.who());
    let to = call.json::<AdvanceIn>().await?.to.0;
    let (now, is_replay) = site.app.advance_clock(to, under.as_ref(), &by).await?;
    reply::written(StatusCode::OK, &ClockShown { now: Instant(now) }, is_replay)
}
