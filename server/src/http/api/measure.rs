//! Measuring artefacts: quantities and evidence out, nothing charged.
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use meters::chat::ChatRequest;
use meters::repository::{Options, measure_archive, quietly};
use meters::{Measurement, chat, plan};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

use super::super::json;
use super::super::knock::{JSON, Knock};
use super::super::problem::Problem;
use super::super::site::Site;
use super::super::wire::{DimensionsIn, QuantitiesIn};
use super::reply::{self, Answered};
use crate::service::{DIMENSION_LENGTH_MAX, Scope};

/// Of a chat, as JSON.
pub const CHAT_BYTES_MAX: usize = 24 << 20;
const ARCHIVE_BYTES_MAX: usize = 256 << 20;
const ARCHIVES: [&str; 6] = [
    "application/gzip",
    "application/x-gzip",
    "application/x-tar",
    "application/zip",
    "application/octet-stream",
    "application/x-zip-compressed",
];
const PLANS: [&str; 6] =
    [JSON, "application/yaml", "application/x-yaml", "text/yaml", "text/plain", "application/octet-stream"];

/// What a measurer found: send the quantities and dimensions with a charge.
#[derive(Serialize, ToSchema)]
#[schema(as = Measurement)]
pub struct MeasurementShown {
    meter: String,
    #[schema(value_type = QuantitiesIn)]
    quantities: BTreeMap<String, u64>,
    #[schema(value_type = DimensionsIn)]
    dimensions: BTreeMap<String, String>,
    /// What was counted and how, for the customer to check.
    #[schema(value_type = Object)]
    evidence: Value,
}

/// The request of an AI chat, as its provider takes it.
#[derive(ToSchema)]
#[schema(as = ChatRequest, example = json!({
    "model": "gpt-6.1-terra", "messages": [{"role": "user", "content": "What does a B-tree cost?"}], "reply": "Log n."
}))]
#[expect(dead_code, reason = "documents what `meters` reads")]
pub struct ChatIn {
    /// The model that answered.
    #[schema(min_length = 1, max_length = 256)]
    model: String,
    /// The model that was asked for, where another answered.
    #[schema(min_length = 1, max_length = 256)]
    asked_model: Option<String>,
    /// What was sent, as plain text.
    text: Option<String>,
    /// What was sent, as messages `{role, content, name?, tool_calls?}`.
    messages: Option<Vec<BTreeMap<String, Value>>>,
    /// The system prompt, where the provider takes it beside the messages.
    system: Option<String>,
    /// The same under another provider's name.
    instructions: Option<String>,
    /// The tools the model was told of, which are counted as an estimate.
    tools: Option<Vec<BTreeMap<String, Value>>>,
    /// The same, as they were written before there were others than functions.
    functions: Option<Vec<BTreeMap<String, Value>>>,
    /// What came back; none before the work.
    reply: Option<String>,
    /// The provider's usage object, unchanged: it wins over a count.
    #[schema(value_type = Option<Object>)]
    usage: Option<Value>,
    /// `ok`, `empty` or `failed`, where the caller knows better than the reply shows.
    outcome: Option<ChatOutcome>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "documents what `meters` reads")]
enum ChatOutcome {
    Ok,
    Empty,
    Failed,
}

fn shown(measured: Measurement) -> Answered {
    let Measurement { meter, quantities, dimensions, evidence } = measured;
    reply::json(StatusCode::OK, &MeasurementShown { meter, quantities, dimensions, evidence })
}

/// Count the tokens of a chat
#[utoipa::path(post, path = "/v1/measure/chat", operation_id = "measureChat", tag = "Prices and measuring",
    request_body = ChatIn, security(("api_key" = ["charge"])),
    responses((status = 200, body = MeasurementShown, description = "What was measured. Nothing was charged.")))]
pub async fn chat(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let call = knock.enter(&site, Scope::Charge)?;
    let room = site.room_for(call.length().unwrap_or(CHAT_BYTES_MAX).min(CHAT_BYTES_MAX))?;
    let body = call.read(&[JSON], CHAT_BYTES_MAX).await?;
    let measured = site.measure(move || {
        let _room = room;
        let request: ChatRequest = json::object(&body)?;
        // They become dimensions, which have a value.
        for (field, model) in [("model", Some(&request.model)), ("asked_model", request.asked_model.as_ref())] {
            if model.is_some_and(|it| it.is_empty() || DIMENSION_LENGTH_MAX < it.len()) {
                return Err(Problem::invalid(field, "must be 1 to 256 characters"));
            }
        }
        Ok(chat::measure(&request)?)
    });
    shown(measured.await?)
}

/// Count the lines of a repository
///
/// The body is a tar, tar.gz or zip of the sources, at most 256 MiB. Nothing of it is kept or run. More than 200 000
/// files, or 1 GiB, are `repository_too_large`, and so are more than 10 000 rules in `.gitattributes`, or so many
/// wildcards in them that they make more than a thousand million comparisons with the paths; what expands to 200 times
/// its own size, and to more than 16 MiB, is `archive_too_large`.
#[utoipa::path(post, path = "/v1/measure/repository", operation_id = "measureRepository", tag = "Prices and measuring",
    request_body(description = "A tar, tar.gz or zip.", content(
        (Vec<u8> = "application/gzip"), (Vec<u8> = "application/x-tar"), (Vec<u8> = "application/zip"),
        (Vec<u8> = "application/octet-stream"))),
    security(("api_key" = ["charge"])),
    responses((status = 200, body = MeasurementShown, description = "What was measured. Nothing was charged.")))]
pub async fn repository(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let call = knock.enter(&site, Scope::Charge)?;
    let room = site.room_for(call.length().unwrap_or(ARCHIVE_BYTES_MAX).min(ARCHIVE_BYTES_MAX))?;
    let body = call.read(&ARCHIVES, ARCHIVE_BYTES_MAX).await?;
    let measured = site.measure(move || {
        let _room = room;
        let counted = measure_archive(&body, &Options::default(), &quietly).map_err(Problem::from)?;
        Ok(counted.measurement)
    });
    shown(measured.await?)
}

/// Score an infrastructure plan
///
/// The body is the output of `terraform show -json PLAN`, a compose file, or a Scrip plan; it is told by its content.
#[utoipa::path(post, path = "/v1/measure/plan", operation_id = "measurePlan", tag = "Prices and measuring",
    request_body(description = "The plan.", content(
        (Object = "application/json"), (String = "application/yaml"), (String = "text/plain"))),
    security(("api_key" = ["charge"])),
    responses((status = 200, body = MeasurementShown, description = "What was measured. Nothing was charged.")))]
pub async fn plan(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let call = knock.enter(&site, Scope::Charge)?;
    let room = site.room_for(call.length().unwrap_or(plan::PLAN_BYTES_MAX).min(plan::PLAN_BYTES_MAX))?;
    let body = call.read(&PLANS, plan::PLAN_BYTES_MAX).await?;
    let measured = site.measure(move || {
        let _room = room;
        plan::measure(&body).map_err(Problem::from)
    });
    shown(measured.await?)
}
