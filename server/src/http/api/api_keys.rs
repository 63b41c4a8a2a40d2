//! API keys: minted, listed, revoked. A secret is shown once and kept nowhere.
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use billing::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::catalogue;
use super::super::knock::Knock;
use super::super::problem::Problem;
use super::super::query::Stretch;
use super::super::site::Site;
use super::super::wire::Instant;
use super::reply::{self, Answered, Page};
use crate::service::{MintOrder, Scope, secret_under};

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = KeyScope)]
pub enum ScopeIn {
    /// Quote, charge, hold, measure; order servers and report of them.
    Charge,
    /// Read accounts, balances, usage, the ledger.
    Read,
    /// Register accounts, grant, void, reverse, set budgets, make links into the pages; buy, refund, keep cards,
    /// subscribe, top up.
    Billing,
    /// Everything.
    Admin,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ApiKeyRequest, example = json!({"name": "backend", "scopes": ["charge", "read"]}))]
pub struct ApiKeyIn {
    /// Shows in the ledger as who asked. Each key has its own.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    #[schema(min_items = 1, max_items = 4)]
    scopes: Vec<ScopeIn>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ApiKey)]
pub struct ApiKeyShown {
    #[schema(pattern = "^key_[0-9a-f]{24}$")]
    id: String,
    name: String,
    scopes: Vec<String>,
    created_at: Instant,
    /// Null for a key that works.
    revoked_at: Option<Instant>,
}

/// A new key with its secret, which is never shown again.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiKeyReply)]
pub struct MintedShown {
    #[serde(flatten)]
    key: ApiKeyShown,
    /// Null for a key that was made at the console under the same idempotency key.
    secret: Option<String>,
}

fn shown(
    (id, name): (String, String),
    scopes: Vec<String>,
    made: Timestamp,
    revoked: Option<Timestamp>,
) -> ApiKeyShown {
    ApiKeyShown { id, name, scopes, created_at: Instant(made), revoked_at: revoked.map(Instant) }
}

/// Mint an API key
///
/// Its secret is shown in the answer and kept nowhere. Sent again under the same idempotency key, by the same caller,
/// the request is answered with the same secret: it follows from the caller's own and the idempotency key, for
/// whoever has both.
#[utoipa::path(post, path = "/v1/api-keys", operation_id = "createApiKey", tag = "Access",
    params(("Idempotency-Key" = Option<String>, Header, description = "New for a new key.",
        min_length = 1, max_length = 255)),
    request_body = ApiKeyIn, security(("api_key" = ["admin"])),
    responses(
        (status = 201, body = MintedShown, description = "The key. Keep its secret: it is not shown again."),
        (status = 409, description = "The idempotency key came with another body before."),
    ))]
pub async fn create(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let call = knock.enter(&site, Scope::Admin)?;
    let (by, under) = (call.by(), call.under()?);
    let secret = under.as_ref().map(|it| secret_under(call.secret(), &it.key));
    let asked: ApiKeyIn = call.json().await?;
    let scope = |it: &ScopeIn| match it {
        ScopeIn::Charge => Scope::Charge,
        ScopeIn::Read => Scope::Read,
        ScopeIn::Billing => Scope::Billing,
        ScopeIn::Admin => Scope::Admin,
    };
    let scopes = asked.scopes.iter().map(scope).collect();
    let order = MintOrder { name: asked.name, scopes, by, under, secret };
    let minted = site.look(move |app| app.mint_api_key(order)).await?;
    let key = minted.key;
    let key = shown((key.id, key.name), key.scopes, key.created_at, key.revoked_at);
    reply::written(StatusCode::CREATED, &MintedShown { key, secret: minted.secret }, minted.is_replay)
}

/// List API keys
#[utoipa::path(get, path = "/v1/api-keys", operation_id = "listApiKeys", tag = "Access",
    params(Stretch),
    security(("api_key" = ["admin"])),
    responses((status = 200, body = Page<ApiKeyShown>, description = "All keys, oldest first, without secrets.")))]
pub async fn list(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let stretch = knock.enter(&site, Scope::Admin)?.query(&["limit", "cursor"])?.stretch()?;
    let keys = site.look(|app| app.api_keys()).await?.into_iter();
    let keys = keys.map(|it| shown((it.id, it.name), it.scopes, it.created_at, it.revoked_at)).collect();
    reply::page(&stretch, keys)
}

/// Revoke an API key
///
/// From now on it opens nothing. It stays on the list.
#[utoipa::path(delete, path = "/v1/api-keys/{key}", operation_id = "revokeApiKey", tag = "Access",
    params(("key" = String, Path, description = "The key's id, not its secret.", pattern = "^key_[0-9a-f]{24}$")),
    security(("api_key" = ["admin"])),
    responses(
        (status = 204, description = "Revoked."),
        (status = 404, description = "No such key."),
    ))]
pub async fn revoke(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Admin)?;
    let (id, by) = (call.segment("key").await?, call.by());
    let missing = || Problem::new(&catalogue::API_KEY_NOT_FOUND, "no such key; GET /v1/api-keys lists them by id");
    site.look(move |app| app.revoke_api_key(&id, &by)).await?.ok_or_else(missing)?;
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}
