//! What callers say of work, read into what use cases take: quantities told, or an artefact measured.
use billing::ledger::Draw;
use billing::rating::Text;
use meters::chat::ChatRequest;
use meters::{Measurement, chat, plain, plan};
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::super::card_numbers;
use super::super::catalogue;
use super::super::json;
use super::super::problem::Problem;
use super::super::wire::{Amount, DimensionsIn, GrantRef, InstantIn, NameIn, ObjectIn, QuantitiesIn, TextIn, texts};
use crate::service::{Evidence, Order};

/// Items of a list that evidence keeps; the rest is said to have been left out.
const EVIDENCE_ITEMS_MAX: usize = 50;
/// Bytes of evidence that a charge keeps.
const EVIDENCE_BYTES_MAX: usize = 16 << 10;

/// What may be said of work, whoever is asked to do something about it.
#[derive(Debug, Default)]
pub struct Said<'a> {
    pub meter: Option<TextIn>,
    pub quantities: Option<QuantitiesIn>,
    pub dimensions: Option<DimensionsIn>,
    pub input: Option<&'a RawValue>,
    pub project: Option<NameIn>,
    pub at: Option<InstantIn>,
    pub actor: Option<NameIn>,
    pub resource: Option<NameIn>,
    pub metadata: Option<ObjectIn<'a>>,
    pub evidence: Option<ObjectIn<'a>>,
}

/// The artefact itself, to be measured here; read only when its meter is known.
#[derive(Debug)]
pub struct Artefact;

impl PartialSchema for Artefact {
    fn schema() -> RefOr<Schema> {
        let document = ObjectBuilder::new()
            .schema_type(Type::Object)
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .description(Some("A chat request {model, messages|text, reply?, usage?}, or a plan as JSON."));
        let text =
            ObjectBuilder::new().schema_type(Type::String).description(Some("A plan as text, such as a compose file."));
        let description = "The artefact itself instead of `quantities`, measured here: for `ai_chat` the chat \
                           request, for `infra_plan` the plan. A repository is measured by POST \
                           /v1/measure/repository.";
        RefOr::T(OneOfBuilder::new().item(document).item(text).description(Some(description)).build().into())
    }
}
impl ToSchema for Artefact {}

impl Said<'_> {
    /// The order; measures the artefact where one was sent.
    pub fn into_order(self) -> Result<Order, Problem> {
        let meter = self.meter.ok_or_else(|| Problem::invalid("meter", "is missing"))?.0;
        let told = self.dimensions.unwrap_or_default().0;
        let (quantities, dimensions, evidence) = match (self.quantities, self.input) {
            (Some(_), Some(_)) => {
                return Err(Problem::invalid("input", "comes instead of `quantities`, not beside them"));
            }
            (quantities, None) => {
                let evidence = self.evidence.map(evidence).transpose()?;
                (quantities.unwrap_or_default().0, told, evidence)
            }
            (None, Some(_)) if self.evidence.is_some() => {
                return Err(Problem::invalid("evidence", "is measured here, of `input`; send it with `quantities`"));
            }
            (None, Some(input)) => {
                let measured = measured(&meter, input)?;
                let evidence = Evidence { kept: abridged(measured.evidence).to_string().into(), told: None };
                // Of the artefact itself nothing is kept, so nobody looked for card numbers in it: this is what stays.
                card_numbers::none_in("input", &evidence.kept)?;
                measured.dimensions.values().try_for_each(|it| card_numbers::none_in("input", it))?;
                let quantities = measured.quantities.iter().map(|(name, it)| (Text::from(&**name), *it)).collect();
                (quantities, agreed(texts(&measured.dimensions), told)?, Some(evidence))
            }
        };
        Ok(Order {
            meter,
            quantities,
            dimensions,
            project: self.project.map(|it| it.0),
            at: self.at.map(|it| it.0),
            actor: self.actor.map(|it| it.0),
            resource: self.resource.map(|it| it.0),
            metadata: self.metadata.map(|it| it.text()),
            evidence,
        })
    }
}

/// What the artefact of a charge or quote measures.
fn measured(meter: &str, input: &RawValue) -> Result<Measurement, Problem> {
    let inside = |error: meters::MeasureError| Problem::from(error).inside("input");
    match meter {
        "ai_chat" => {
            let request: ChatRequest = json::parse(input.get().as_bytes()).map_err(no_chat)?;
            chat::measure(&request).map_err(inside)
        }
        "infra_plan" if input.get().starts_with('"') => {
            let text: String =
                serde_json::from_str(input.get()).map_err(|it| Problem::invalid("input", plain::of_json(&it)))?;
            plan::measure(text.as_bytes()).map_err(inside)
        }
        "infra_plan" => plan::measure(input.get().as_bytes()).map_err(inside),
        "code_analysis" => Err(Problem::invalid(
            "input",
            "cannot hold a repository: send the archive to POST /v1/measure/repository, and the quantities here",
        )),
        _ => Err(Problem::invalid("input", "can be measured for `ai_chat` and `infra_plan`; send `quantities`")),
    }
}

/// The same complaint about a chat inside an order.
fn no_chat(problem: Problem) -> Problem {
    let mut problem = problem.inside("input");
    problem.kind = &catalogue::INVALID_CHAT;
    problem
}

/// What was measured, and what the caller adds to it. They may not contradict each other.
fn agreed(measured: Vec<(Text, Text)>, told: Vec<(Text, Text)>) -> Result<Vec<(Text, Text)>, Problem> {
    let mut all = measured;
    for (name, value) in told {
        match all.iter().find(|it| it.0 == name) {
            Some((_, found)) if *found == value => {}
            Some((_, found)) => {
                let why = format!("is `{value}`, and the input measures `{found}`; leave one of them out");
                return Err(Problem::invalid(format!("dimensions.{name}"), why));
            }
            None => all.push((name, value)),
        }
    }
    Ok(all)
}

/// What the caller's measurer counted, kept as short as what is measured here.
pub fn evidence(told: ObjectIn<'_>) -> Result<Evidence, Problem> {
    let said: Value =
        serde_json::from_str(told.0.get()).map_err(|it| Problem::invalid("evidence", plain::of_json(&it)))?;
    Ok(Evidence { kept: abridged(said).to_string().into(), told: Some(told.text()) })
}

/// Evidence short enough to keep for ever: long lists lose their tails, and say so.
fn abridged(evidence: Value) -> Value {
    let short = shortened(evidence);
    if short.to_string().len() <= EVIDENCE_BYTES_MAX { short } else { serde_json::json!({"abridged": true}) }
}

fn shortened(value: Value) -> Value {
    match value {
        Value::Array(items) => {
            let left_out = items.len().saturating_sub(EVIDENCE_ITEMS_MAX);
            let mut kept: Vec<Value> = items.into_iter().take(EVIDENCE_ITEMS_MAX).map(shortened).collect();
            if 0 < left_out {
                kept.push(Value::from(format!("and {left_out} more")));
            }
            Value::Array(kept)
        }
        Value::Object(entries) => entries.into_iter().map(|(name, it)| (name, shortened(it))).collect(),
        other => other,
    }
}

/// Credits drawn from a grant, or given back to it.
#[derive(Serialize, ToSchema)]
#[schema(as = Draw)]
pub struct DrawShown {
    grant: GrantRef,
    credits: Amount,
}

/// Draws straight from where they are kept.
#[derive(Clone, Copy)]
pub struct Draws<'a>(pub &'a [Draw]);

impl Serialize for Draws<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_seq(self.0.iter().map(|it| DrawShown { grant: GrantRef(it.grant), credits: Amount(it.credits) }))
    }
}
