//! Measuring artefacts: quantities and evidence out, nothing charged.
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use meters::chat::ChatRequest;
use meters::repository::{Options, SNAPSHOT_BYTES_MAX, Snapshot, measure_archive, quietly};
use meters::{Measurement, chat, plan};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use utoipa::ToSchema;

use super::super::json;
use super::super::knock::{Call, FORM, JSON, Knock};
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

/// What was counted in a repository: send the quantities and dimensions with a charge.
#[derive(Serialize, ToSchema)]
#[schema(as = RepositoryMeasurement)]
pub struct RepositoryShown {
    #[serde(flatten)]
    #[schema(inline)]
    measurement: MeasurementShown,
    /// The counted files, where they were asked for: the `base` of a later measurement of what is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, nullable = false)]
    snapshot: Option<Box<RawValue>>,
}

/// A repository, and an earlier state of it.
#[derive(ToSchema)]
#[schema(as = RepositoryForm)]
#[expect(dead_code, reason = "documents what is read field by field")]
pub struct RepositoryIn {
    /// A tar, tar.gz or zip.
    #[schema(value_type = String, format = Binary)]
    archive: Bytes,
    /// The `snapshot` of an earlier measurement, at most 64 MiB of JSON.
    #[schema(value_type = Option<Object>)]
    base: Option<Bytes>,
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
    /// What the reply calls, beside its words or instead of them: a reply without either is empty, and free.
    tool_calls: Option<Vec<BTreeMap<String, Value>>>,
    /// The provider's usage object, unchanged: it wins over a count. OpenAI's and those like it, Anthropic's, Gemini's,
    /// Bedrock's, Cohere's and Ollama's are read.
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

impl From<Measurement> for MeasurementShown {
    fn from(measured: Measurement) -> MeasurementShown {
        let Measurement { meter, quantities, dimensions, evidence } = measured;
        MeasurementShown { meter, quantities, dimensions, evidence }
    }
}

fn shown(measured: Measurement) -> Answered {
    reply::json(StatusCode::OK, &MeasurementShown::from(measured))
}

/// Count the tokens of a chat
#[utoipa::path(post, path = "/v1/measure/chat", operation_id = "measureChat", tag = "Prices and measuring",
    request_body = ChatIn, security(("api_key" = ["charge"])),
    responses((status = 200, body = MeasurementShown, description = "What was measured. Nothing was charged.")))]
pub async fn chat(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let call = knock.enter(&site, Scope::Charge)?;
    let room = site.room_for(call.length().unwrap_or(CHAT_BYTES_MAX).min(CHAT_BYTES_MAX))?;
    // Nothing of it is kept or logged: whoever typed a card number into a chat may have the chat counted.
    let body = call.read_unsifted(&[JSON], CHAT_BYTES_MAX).await?;
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
///
/// Only what is new since an earlier state is counted where the body is a form with that state's `snapshot` as `base`
/// beside the `archive`: files whose content none had then. The dimension `since` names it. Charged to an account that
/// paid for that tree, it pays for the whole of this one.
#[utoipa::path(post, path = "/v1/measure/repository", operation_id = "measureRepository", tag = "Prices and measuring",
    params(("snapshot" = Option<bool>, Query, description = "Give the snapshot, too, for a later measurement.")),
    request_body(description = "A tar, tar.gz or zip; or a form with one, and the snapshot of an earlier state.",
        content(
            (Vec<u8> = "application/gzip"), (Vec<u8> = "application/x-tar"), (Vec<u8> = "application/zip"),
            (Vec<u8> = "application/octet-stream"), (RepositoryIn = "multipart/form-data"))),
    security(("api_key" = ["charge"])),
    responses((status = 200, body = RepositoryShown, description = "What was measured. Nothing was charged.")))]
pub async fn repository(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let call = knock.enter(&site, Scope::Charge)?;
    let wants_snapshot = call.query(&["snapshot"])?.flag("snapshot")?;
    let room = site.room_for(call.length().unwrap_or(ARCHIVE_BYTES_MAX).min(ARCHIVE_BYTES_MAX))?;
    let (archive, base) = match call.content_type().as_str() {
        FORM => archive_and_base(call).await?,
        _ => (call.read(&ARCHIVES, ARCHIVE_BYTES_MAX).await?, None),
    };
    let measured = site.measure(move || {
        let _room = room;
        let within = |error| Problem::from(error).inside("base");
        let base = base.map(|it| Snapshot::from_json(&it)).transpose().map_err(within)?;
        let counted = measure_archive(&archive, &Options::default(), &quietly)?;
        let snapshot = if wants_snapshot { Some(counted.snapshot.to_json()?) } else { None };
        let measured = match base {
            Some(base) => counted.changed_since(&base),
            None => counted.measurement,
        };
        let snapshot = snapshot.map(RawValue::from_string).transpose().map_err(Problem::internal)?;
        reply::json(StatusCode::OK, &RepositoryShown { measurement: measured.into(), snapshot })
    });
    measured.await
}

/// The fields of a form. What is wrong with one is said when all have come: who is answered in the midst of sending
/// sees no answer.
async fn archive_and_base(call: Call) -> Result<(Bytes, Option<Bytes>), Problem> {
    let mut form = call.form(ARCHIVE_BYTES_MAX).await?;
    let (mut archive, mut base, mut wrong) = (None, None, None);
    while let Some((name, bytes)) = form.next().await? {
        let place = match &*name {
            "archive" => &mut archive,
            "base" if SNAPSHOT_BYTES_MAX < bytes.len() => {
                wrong = Some(Problem::invalid("base", format_args!("has more than {SNAPSHOT_BYTES_MAX} bytes")));
                continue;
            }
            "base" => &mut base,
            _ => {
                wrong = Some(Problem::invalid(name, "is not known here; known are archive, base"));
                continue;
            }
        };
        if place.replace(bytes).is_some() {
            wrong = Some(Problem::invalid(name, "is given twice"));
        }
    }
    if let Some(wrong) = wrong {
        return Err(wrong);
    }
    Ok((archive.ok_or_else(|| Problem::invalid("archive", "is missing"))?, base))
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
    // As of a chat, nothing is kept; and a plan is full of numbers.
    let body = call.read_unsifted(&PLANS, plan::PLAN_BYTES_MAX).await?;
    let measured = site.measure(move || {
        let _room = room;
        plan::measure(&body).map_err(Problem::from)
    });
    shown(measured.await?)
}
