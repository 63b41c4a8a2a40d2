//! Webhook endpoints: made, listed, deleted, given a new secret; what was told to each, and telling it again.
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use billing::Refusal;
use billing::id::{DeliveryId, EndpointId};
use billing::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::super::knock::Knock;
use super::super::query::Stretch;
use super::super::site::Site;
use super::super::wire::{Instant, InstantIn};
use super::reply::{self, Answered, Page};
use crate::service::{DeliveryView, EndpointView, MadeEndpoint, Scope};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookEndpointRequest,
    example = json!({"url": "https://example.com/scrip", "events": ["balance.low", "payment.succeeded"]}))]
pub struct EndpointIn {
    /// Where notices are posted, over https. Signed as Standard Webhooks has it.
    #[schema(max_length = 2000)]
    url: String,
    /// What to tell; everything where nothing is said.
    #[serde(default)]
    #[schema(max_items = 100)]
    events: Vec<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = WebhookEndpoint)]
pub struct EndpointShown {
    #[schema(pattern = "^endpoint_[0-9a-z]{26}$")]
    id: String,
    url: String,
    /// Empty for everything.
    events: Vec<String>,
    created_at: Instant,
    /// Since when nothing it was told was heard; null while it listens.
    failing_since: Option<Instant>,
    /// Since when it is told nothing, having failed for five days or answered 410; null otherwise.
    disabled_at: Option<Instant>,
}

impl EndpointShown {
    fn new(view: EndpointView) -> EndpointShown {
        let instant = |it: i64| Instant(Timestamp::from_millis(it));
        let failing_since = view.endpoint.failing_since.map(instant);
        let disabled_at = view.endpoint.disabled_at.map(instant);
        EndpointShown {
            id: view.id,
            url: view.endpoint.url,
            events: view.endpoint.events,
            created_at: Instant(view.created_at),
            failing_since,
            disabled_at,
        }
    }
}

/// An endpoint with its secret, which is never shown again.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookEndpointReply)]
pub struct SecretShown {
    #[serde(flatten)]
    endpoint: EndpointShown,
    /// Null for a request sent again under its key after the secret it led to has ceased to sign.
    #[schema(pattern = "^whsec_[A-Za-z0-9+/]+=*$")]
    secret: Option<String>,
}

impl SecretShown {
    fn new(made: MadeEndpoint) -> SecretShown {
        SecretShown { endpoint: EndpointShown::new(made.endpoint), secret: made.secret.map(|it| it.reveal()) }
    }
}

/// One notice on its way to one endpoint.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookDelivery)]
pub struct DeliveryShown {
    #[schema(pattern = "^delivery_[0-9a-z]{26}$")]
    id: String,
    /// What it is sent under, as `webhook-id`: the same at every try.
    notice: String,
    #[schema(example = "balance.low")]
    event: String,
    #[schema(pattern = "^(pending|delivered|failed|canceled)$")]
    status: &'static str,
    created_at: Instant,
    next_try_at: Option<Instant>,
    /// How it went each time, oldest first.
    tries: Vec<TryShown>,
    /// What is sent.
    #[schema(value_type = Object)]
    body: Box<RawValue>,
}

/// How one try went.
#[derive(Serialize, ToSchema)]
#[schema(as = WebhookDeliveryTry)]
pub struct TryShown {
    at: Instant,
    /// What was answered; null for nothing.
    status: Option<u16>,
    /// Why nothing was answered.
    reason: Option<String>,
}

impl DeliveryShown {
    fn new(view: DeliveryView) -> DeliveryShown {
        let tries = view.delivery.log.into_iter().map(|it| TryShown {
            at: Instant(Timestamp::from_millis(it.at)),
            status: it.status,
            reason: it.why,
        });
        DeliveryShown {
            id: view.id,
            notice: view.delivery.notice,
            event: view.delivery.what,
            status: view.delivery.state.as_str(),
            created_at: Instant(view.created_at),
            next_try_at: view.next_try_at.map(Instant),
            tries: tries.collect(),
            body: RawValue::from_string(view.delivery.body).expect("it was written as JSON"),
        }
    }
}

/// Add a webhook endpoint
///
/// What happens from now on is told there. The answer shows its secret, once.
#[utoipa::path(post, path = "/v1/webhook-endpoints", operation_id = "createWebhookEndpoint", tag = "Telling others",
    params(("Idempotency-Key" = Option<String>, Header, description = "New for a new endpoint.",
        min_length = 1, max_length = 255)),
    request_body = EndpointIn, security(("api_key" = ["admin"])),
    responses(
        (status = 201, body = SecretShown, description = "The endpoint. Keep its secret: it is shown once."),
        (status = 409, description = "The idempotency key came with another body before."),
    ))]
pub async fn create(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let call = knock.enter(&site, Scope::Admin)?;
    let (by, under) = (call.by(), call.under()?);
    let said: EndpointIn = call.json().await?;
    let made = site.look(move |app| app.create_endpoint(&said.url, &said.events, &by, under.as_ref())).await?;
    let is_replay = made.is_replay;
    reply::written(StatusCode::CREATED, &SecretShown::new(made), is_replay)
}

/// List webhook endpoints
#[utoipa::path(get, path = "/v1/webhook-endpoints", operation_id = "listWebhookEndpoints", tag = "Telling others",
    params(Stretch),
    security(("api_key" = ["admin"])),
    responses((status = 200, body = Page<EndpointShown>, description = "Those in use, newest first.")))]
pub async fn list(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let stretch = knock.enter(&site, Scope::Admin)?.query(&["limit", "cursor"])?.stretch()?;
    let endpoints = site.look(|app| app.endpoints()).await?;
    let shown = endpoints.into_iter().map(EndpointShown::new).collect();
    reply::page(&stretch, shown)
}

/// Delete a webhook endpoint
///
/// Nothing is told there any more, and what was on its way is given up.
#[utoipa::path(delete, path = "/v1/webhook-endpoints/{endpoint}", operation_id = "deleteWebhookEndpoint",
    tag = "Telling others",
    params(("endpoint" = String, Path, description = "Its id.", pattern = "^endpoint_[0-9a-z]{26}$")),
    security(("api_key" = ["admin"])),
    responses(
        (status = 204, description = "Deleted."),
        (status = 404, description = "No such endpoint."),
    ))]
pub async fn delete(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Admin)?;
    let id: EndpointId = call.id("endpoint", Refusal::WebhookEndpointNotFound).await?;
    let by = call.by();
    site.look(move |app| app.delete_endpoint(id, &by)).await?;
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// Give a webhook endpoint a new secret
///
/// For a day both the old and the new one sign, so that nothing is missed while the receiver changes over.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{endpoint}/rotate", operation_id = "rotateWebhookEndpointSecret",
    tag = "Telling others",
    params(
        ("endpoint" = String, Path, description = "Its id.", pattern = "^endpoint_[0-9a-z]{26}$"),
        ("Idempotency-Key" = Option<String>, Header, description = "New for a new secret.",
            min_length = 1, max_length = 255),
    ),
    security(("api_key" = ["admin"])),
    responses(
        (status = 200, body = SecretShown, description = "The endpoint with its new secret, shown once."),
        (status = 404, description = "No such endpoint."),
        (status = 409, description = "The idempotency key came with another request before."),
    ))]
pub async fn rotate(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Admin)?;
    let id: EndpointId = call.id("endpoint", Refusal::WebhookEndpointNotFound).await?;
    let (by, under) = (call.by(), call.under()?);
    let made = site.look(move |app| app.rotate_endpoint_secret(id, &by, under.as_ref())).await?;
    let is_replay = made.is_replay;
    reply::written(StatusCode::OK, &SecretShown::new(made), is_replay)
}

/// Switch a webhook endpoint on again
///
/// One that has heard nothing for five days, or answers 410, is switched off. What it missed since is kept, and not
/// sent by this; see replay.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{endpoint}/enable", operation_id = "enableWebhookEndpoint",
    tag = "Telling others",
    params(
        ("endpoint" = String, Path, description = "Its id.", pattern = "^endpoint_[0-9a-z]{26}$"),
        ("Idempotency-Key" = Option<String>, Header, description = "With one, repeating it does nothing more.",
            min_length = 1, max_length = 255),
    ),
    security(("api_key" = ["admin"])),
    responses(
        (status = 200, body = EndpointShown, description = "The endpoint, told what happens from now on."),
        (status = 404, description = "No such endpoint."),
        (status = 409, description = "The key came with another request before."),
    ))]
pub async fn enable(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Admin)?;
    let id: EndpointId = call.id("endpoint", Refusal::WebhookEndpointNotFound).await?;
    let (by, under) = (call.by(), call.under()?);
    let (endpoint, is_replay) = site.look(move |app| app.enable_endpoint(id, &by, under.as_ref())).await?;
    reply::written(StatusCode::OK, &EndpointShown::new(endpoint), is_replay)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReplayRequest, example = json!({"since": "2026-11-22T10:00:00Z"}))]
pub struct ReplayIn {
    since: InstantIn,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ReplayReply)]
pub struct ReplayShown {
    /// Deliveries that are due again, 10 000 at most.
    count: usize,
}

/// Tell a webhook endpoint all it has missed
///
/// Every delivery that was given up since then is due at once, with all its tries before it.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{endpoint}/replay", operation_id = "replayWebhookDeliveries",
    tag = "Telling others",
    params(
        ("endpoint" = String, Path, description = "Its id.", pattern = "^endpoint_[0-9a-z]{26}$"),
        ("Idempotency-Key" = Option<String>, Header, description = "With one, repeating it does nothing more.",
            min_length = 1, max_length = 255),
    ),
    request_body = ReplayIn, security(("api_key" = ["admin"])),
    responses(
        (status = 200, body = ReplayShown, description = "How many."),
        (status = 404, description = "No such endpoint."),
        (status = 409, description = "The key came with another request before."),
    ))]
pub async fn replay(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Admin)?;
    let id: EndpointId = call.id("endpoint", Refusal::WebhookEndpointNotFound).await?;
    let (by, under) = (call.who(), call.under()?);
    let said: ReplayIn = call.json().await?;
    let (count, is_replay) = site.look(move |app| app.replay(id, said.since.0, &by, under.as_ref())).await?;
    reply::written(StatusCode::OK, &ReplayShown { count }, is_replay)
}

/// List what was told to a webhook endpoint
#[utoipa::path(get, path = "/v1/webhook-endpoints/{endpoint}/deliveries", operation_id = "listWebhookDeliveries",
    tag = "Telling others",
    params(
        ("endpoint" = String, Path, description = "Its id.", pattern = "^endpoint_[0-9a-z]{26}$"),
        ("limit" = Option<usize>, Query, description = "Deliveries a page.", minimum = 1, maximum = 500),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.",
            pattern = "^delivery_[0-9a-z]{26}$"),
    ),
    security(("api_key" = ["admin"])),
    responses(
        (status = 200, body = Page<DeliveryShown>,
            description = "Newest first, with every try; until ninety days after the last."),
        (status = 404, description = "No such endpoint."),
    ))]
pub async fn deliveries(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Admin)?;
    let id: EndpointId = call.id("endpoint", Refusal::WebhookEndpointNotFound).await?;
    let query = call.query(&["limit", "cursor"])?;
    let (limit, before) = (query.limit()?, query.cursor_of::<DeliveryId>()?);
    let found = site.look(move |app| app.deliveries(id, before.as_deref(), limit + 1)).await?;
    let (found, next_cursor) = reply::cut(found, limit, |it| it.id.clone());
    let shown = found.into_iter().map(DeliveryShown::new).collect();
    reply::json(StatusCode::OK, &Page { data: shown, next_cursor })
}

/// Tell it again
///
/// The delivery is due at once, with all its tries before it, whatever became of it.
#[utoipa::path(post, path = "/v1/webhook-endpoints/{endpoint}/deliveries/{delivery}/resend",
    operation_id = "resendWebhookDelivery", tag = "Telling others",
    params(
        ("endpoint" = String, Path, description = "The endpoint's id.", pattern = "^endpoint_[0-9a-z]{26}$"),
        ("delivery" = String, Path, description = "The delivery's id.", pattern = "^delivery_[0-9a-z]{26}$"),
        ("Idempotency-Key" = Option<String>, Header, description = "With one, repeating it does nothing more.",
            min_length = 1, max_length = 255),
    ),
    security(("api_key" = ["admin"])),
    responses(
        (status = 200, body = DeliveryShown, description = "The delivery, due now."),
        (status = 404, description = "No such endpoint or delivery."),
        (status = 409, description = "The key came with another request before."),
    ))]
pub async fn resend(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Admin)?;
    let endpoint: EndpointId = call.id("endpoint", Refusal::WebhookEndpointNotFound).await?;
    let id: DeliveryId = call.id("delivery", Refusal::DeliveryNotFound).await?;
    let (by, under) = (call.who(), call.under()?);
    let (delivery, is_replay) = site.look(move |app| app.resend(endpoint, id, &by, under.as_ref())).await?;
    reply::written(StatusCode::OK, &DeliveryShown::new(delivery), is_replay)
}
