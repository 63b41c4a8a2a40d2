//! The OpenAPI document, from the code: operations from the handlers, schemas from the wire types, and by rule what
//! holds for all of them alike: how requests fail, and what answers carry.
//!
//! Invariant: the same code gives the same text, so that a change of the API shows as a change of `openapi.json`.
#![expect(unused_qualifications, reason = "the derive writes some")]

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{OpenApi, PartialSchema, ToSchema};

use super::catalogue;
use super::problem;
use super::wire::{ChargeRef, GrantRef, HoldRef, NameIn};

/// What stands around the operations.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Scrip",
        description = "Credit billing for AI and infrastructure platforms: measure work, price it, draw credits in one \
            atomic, durable, idempotent decision.\n\nCredits are exact decimal strings. Times are RFC 3339 in UTC. \
            Errors are `application/problem+json` with a stable `code`. Every request that moves credits carries an \
            idempotency key, and every other POST may: the same key again is answered with the first answer and \
            `Idempotent-Replay: true`, another body under it with 409. What only measures or prices changes nothing: \
            measuring takes none, and a quote heeds one only where it binds. A key is one request of its account's, \
            whatever it is sent to, but for this: a charge and a hold, which must be quick, look for theirs only among \
            what has moved credits, so that a key which began, say, a purchase is new to them.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "Using credits", description = "Charge, hold, reverse."),
        (name = "Prices and measuring", description = "What work costs, and how much work it is."),
        (name = "Accounts", description = "Who pays, and what is left."),
        (name = "Credits in", description = "Grants."),
        (name = "Usage and history", description = "What was used, and the ledger behind it."),
        (name = "Reports", description = "What the operator's accountant asks."),
        (name = "Access", description = "API keys."),
        (name = "Telling others", description = "Webhooks: where what happened is told, and what was told."),
        (name = "Running", description = "Health, metrics, and a sandbox's clock."),
    ),
    components(schemas(ProblemShown, NameIn, ChargeRef, HoldRef, GrantRef)),
)]
pub struct Frame;

/// A problem as the catalogue and RFC 9457 describe it.
#[derive(Debug)]
pub struct ProblemShown;

impl PartialSchema for ProblemShown {
    fn schema() -> RefOr<Schema> {
        let text = |description: &str| ObjectBuilder::new().schema_type(Type::String).description(Some(description));
        let codes = catalogue::ALL.iter().map(|it| it.code);
        let reference = SchemaFormat::Custom("uri-reference".to_owned());
        let schema = ObjectBuilder::new()
            .property("type", text("Where the code is explained.").format(Some(reference)))
            .property("title", text("The kind of problem, in words."))
            .property("status", ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(400)).maximum(Some(599)))
            .property("code", text("Stable: branch on this.").enum_values(Some(codes)))
            .property("detail", text("What is wrong, and what to do about it."))
            .property("field", text("The JSON path, query parameter or header at fault."))
            .required("type")
            .required("title")
            .required("status")
            .required("code")
            .required("detail")
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .description(Some("How a request failed (RFC 9457). Some codes have members of their own."));
        RefOr::T(schema.into())
    }
}
impl ToSchema for ProblemShown {
    fn name() -> Cow<'static, str> {
        "Problem".into()
    }
}

/// The document, complete.
pub fn document() -> Value {
    let (_, written) = super::routes().split_for_parts();
    let mut document = serde_json::to_value(written).expect("an OpenAPI document is JSON");
    document["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
    document["servers"] = json!([{"url": "/", "description": "This server."}]);
    document["components"]["securitySchemes"] = json!({"api_key": {
        "type": "http", "scheme": "bearer",
        "description": "`Authorization: Bearer <api key>`. Scopes: charge, read, billing, and admin for everything.",
    }});
    document["components"]["headers"] = json!({
        "X-Request-Id": {"description": "The request's id: the one you sent, or ours.", "schema": {"type": "string"}},
        "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 0}},
        "WWW-Authenticate": {"description": "`Bearer`.", "schema": {"type": "string"}},
        "Idempotent-Replay": {
            "description": "`true` when the key was known and this is the first answer again.",
            "schema": {"type": "string", "enum": ["true"]},
        },
    });
    document["components"]["responses"] = failure_components();
    let paths = document["paths"].as_object_mut().expect("a document has paths");
    for item in paths.values_mut() {
        for operation in item.as_object_mut().expect("a path has methods").values_mut() {
            complete(operation);
        }
    }
    tolerant(
        &mut document["paths"]["/v1/charges/batch"]["post"]["requestBody"]["content"]["application/json"]["schema"],
    );
    sorted(document)
}

/// A batch takes whatever its items are: each that is no charge has its own result.
fn tolerant(batch: &mut Value) {
    let anything = json!({"description": "Anything else is answered with a result of its own, 422."});
    batch["items"] = json!({"anyOf": [batch["items"], anything]});
    batch["minItems"] = json!(1);
    batch["maxItems"] = json!(10_000);
}

/// How any operation of a kind may fail, under the name by which operations refer to it.
const FAILURES: [(&str, &str, &str); 9] = [
    ("400", "Malformed", "The body is not JSON, or broke off."),
    ("401", "Unauthenticated", "No valid API key."),
    ("403", "MissingScope", "The API key lacks the scope."),
    ("413", "TooLarge", "The body is too large."),
    ("415", "UnsupportedType", "The content type is not one of these."),
    ("422", "Invalid", "A field is wrong; `field` says which."),
    ("429", "RateLimited", "This API key sends faster than it may. Never said of credits."),
    ("500", "Internal", "Our fault; it was logged under the request id."),
    ("503", "Busy", "More is waiting than fits; the same again in a moment."),
];

fn failure_components() -> Value {
    let failure = |(status, name, description): (&str, &str, &str)| {
        let mut response = json!({"description": description});
        carried(status, &mut response, false);
        (name.to_owned(), response)
    };
    Value::Object(FAILURES.into_iter().map(failure).collect())
}

/// What holds for every operation alike.
fn complete(operation: &mut Value) {
    let is_secured = operation["security"].as_array().is_some_and(|it| it.iter().any(|it| *it != json!({})));
    let has_body = operation.get("requestBody").is_some();
    let has_parameters = operation["parameters"].as_array().is_some_and(|it| !it.is_empty());
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        precise(parameter);
    }
    for content in contents(operation.get_mut("requestBody")) {
        binary(content);
    }
    let mut parameters = operation["parameters"].as_array().into_iter().flatten();
    let takes_key = parameters.any(|it| it["name"] == "Idempotency-Key");
    let responses = operation["responses"].as_object_mut().expect("an operation has responses");
    for (status, response) in responses.iter_mut() {
        let may_be_replay = if takes_key { status.starts_with('2') } else { is_secured && status == "201" };
        carried(status, response, may_be_replay);
    }
    for (status, name, _) in FAILURES {
        let applies = match status {
            "400" | "413" | "415" => has_body,
            "422" => is_secured || has_parameters,
            _ => is_secured,
        };
        if applies && !responses.contains_key(status) {
            let reference = json!({"$ref": format!("#/components/responses/{name}")});
            responses.insert(status.to_owned(), reference);
        }
    }
}

/// A key is visible ASCII; a parameter that is there has a value.
fn precise(parameter: &mut Value) {
    if parameter["name"] == "Idempotency-Key" {
        parameter["schema"] = json!({"type": "string", "pattern": "^[!-~]{1,255}$", "examples": ["request-8412"]});
    }
    // A parameter is left out or has a value: null is nothing that a URL can say.
    if let Some(types) = parameter["schema"]["type"].as_array() {
        let value = types.iter().find(|it| *it != "null").cloned();
        parameter["schema"]["type"] = value.unwrap_or(Value::Null);
    }
    if let Some(choices) = parameter["schema"]["oneOf"].as_array() {
        let value = choices.iter().find(|it| it["type"] != "null").cloned();
        parameter["schema"] = value.unwrap_or(Value::Null);
    }
}

/// The media types of a body.
fn contents(body: Option<&mut Value>) -> impl Iterator<Item = (&String, &mut Value)> {
    body.and_then(|it| it["content"].as_object_mut()).into_iter().flatten()
}

/// What is neither JSON nor text is bytes.
fn binary((media_type, content): (&String, &mut Value)) {
    let is_bytes =
        ["application/gzip", "application/x-tar", "application/zip", "application/octet-stream", "application/pdf"];
    if is_bytes.contains(&media_type.as_str()) {
        content["schema"] = json!({"type": "string", "format": "binary"});
    }
}

/// What every answer of this status carries.
fn carried(status: &str, response: &mut Value, may_be_replay: bool) {
    let mut names = vec!["X-Request-Id"];
    names.extend(matches!(status, "429" | "503").then_some("Retry-After"));
    names.extend((status == "401").then_some("WWW-Authenticate"));
    names.extend(may_be_replay.then_some("Idempotent-Replay"));
    let reference = |name: &str| (name.to_owned(), json!({"$ref": format!("#/components/headers/{name}")}));
    // Beside those that the operation describes itself.
    let mut headers = response["headers"].as_object().cloned().unwrap_or_default();
    headers.extend(names.into_iter().map(reference));
    response["headers"] = Value::Object(headers);
    if status.starts_with(['4', '5']) {
        let schema = json!({"$ref": "#/components/schemas/Problem"});
        response["content"] = json!({problem::CONTENT_TYPE: {"schema": schema}});
    }
}

/// The same with all keys in order, whatever order they were kept in.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(entries) => {
            let entries: BTreeMap<String, Value> = entries.into_iter().map(|(key, it)| (key, sorted(it))).collect();
            Value::Object(entries.into_iter().collect::<Map<String, Value>>())
        }
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}
