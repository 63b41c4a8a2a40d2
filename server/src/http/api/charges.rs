//! Charges: made, looked up, reversed.
//!
//! A charge is shown from its transaction alone, so the answer to a repeated request is the first answer, to the byte.
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use billing::Refusal;
use billing::id::{ChargeId, Name};
use billing::ledger::{Transaction, What};
use billing::rating::Text;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::super::card_numbers::as_kept;
use super::super::gauges::count;
use super::super::json;
use super::super::knock::{JSON, JSON_BYTES_MAX, Knock};
use super::super::problem::Problem;
use super::super::site::Site;
use super::super::wire::{
    AccountId, Amount, AmountIn, ChargeRef, Dimensions, DimensionsIn, EntryRef, GrantRef, HoldRef, Instant, InstantIn,
    NameIn, ObjectIn, Quantities, QuantitiesIn, RawOut, TextIn,
};
use super::order::{Artefact, DrawShown, Draws, Said};
use super::reply::{self, Answered, BalanceShown, LineShown, Lines};
use crate::service::{Answer, ChargeOrder, ReverseOrder, Scope, check_reason};

/// Work done, to be paid for. Says its quantities, or sends the `input` they are measured from.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChargeRequest, example = json!({
    "account": "acct_ada", "project": "shop", "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"},
    "quantities": {"input_tokens": 1200, "output_tokens": 350}, "idempotency_key": "msg_8412"
}))]
pub struct ChargeIn<'a> {
    #[schema(inline)]
    account: NameIn,
    #[schema(inline = false)]
    project: Option<NameIn>,
    /// A meter of the rate card.
    #[schema(value_type = String, pattern = "^[a-z0-9_]{1,64}$", example = "ai_chat")]
    meter: TextIn,
    quantities: Option<QuantitiesIn>,
    dimensions: Option<DimensionsIn>,
    #[serde(borrow)]
    #[schema(value_type = Option<Artefact>)]
    input: Option<&'a RawValue>,
    /// New for new work: the same key again is answered with the first answer, for ever. One that could be a card's
    /// number is kept as `sha256:…`.
    #[schema(value_type = String, pattern = "^[!-~]{1,255}$", example = "msg_8412")]
    idempotency_key: TextIn,
    /// When it happened, if not now: at most 35 days ago. It is priced and reported as of then.
    at: Option<InstantIn>,
    /// Who did it: a user, an agent.
    actor: Option<NameIn>,
    /// What it was done on: a chat, a server, a repository.
    resource: Option<NameIn>,
    /// Any JSON object of at most 4096 bytes, kept with the charge.
    #[schema(value_type = Option<ObjectIn>)]
    metadata: Option<ObjectIn<'a>>,
    /// Beside `quantities`, the evidence that was measured with them: what was counted and how, for the receipt. Of
    /// lists the first 50 items are kept, and of more than 16 KiB nothing but that there was more.
    #[schema(value_type = Option<ObjectIn>)]
    evidence: Option<ObjectIn<'a>>,
}

impl ChargeIn<'_> {
    pub fn is_to_measure(&self) -> bool {
        self.input.is_some()
    }
    pub fn into_order(self, by: Text) -> Result<ChargeOrder, Problem> {
        let said = Said {
            meter: Some(self.meter),
            quantities: self.quantities,
            dimensions: self.dimensions,
            input: self.input,
            project: self.project,
            at: self.at,
            actor: self.actor,
            resource: self.resource,
            metadata: self.metadata,
            evidence: self.evidence,
        };
        Ok(ChargeOrder { account: self.account.0, order: said.into_order()?, key: as_kept(self.idempotency_key.0), by })
    }
}

/// A charge: what was done, what it cost by which lines, and which grants paid.
#[derive(Serialize, ToSchema)]
#[schema(as = Charge, example = json!({
    "id": "charge_0t417hxwjz1qn6v66pe0000003", "account": "acct_ada", "project": "shop", "meter": "ai_chat",
    "credits": "0.36875", "lines": [
        {"item": "Input (gpt-6.1-terra)", "quantity": 1200, "unit": "token", "unit_price": "125", "per": 1_000_000,
         "credits": "0.15"},
        {"item": "Output (gpt-6.1-terra)", "quantity": 350, "unit": "token", "unit_price": "625", "per": 1_000_000,
         "credits": "0.21875"}],
    "grants": [{"grant": "grant_0t417hvcyf1qn6v66pe0000002", "credits": "0.36875"}], "rate_card": 1,
    "at": "2026-12-01T09:30:00.000Z", "created_at": "2026-12-01T09:30:00.004Z",
    "quantities": {"input_tokens": 1200, "output_tokens": 350}, "dimensions": {"model": "gpt-6.1-terra"},
    "balance": {"posted": "499.63125", "held": "0", "accrued": "0", "available": "499.63125", "debt": "0"}
}))]
pub struct ChargeShown<'a> {
    id: ChargeRef,
    account: AccountId<'a>,
    project: Option<&'a str>,
    meter: &'a str,
    credits: Amount,
    #[schema(value_type = Vec<LineShown>)]
    lines: Lines<'a>,
    /// In the order they were drawn.
    #[schema(value_type = Vec<DrawShown>)]
    grants: Draws<'a>,
    /// Version of the rate card that priced it.
    rate_card: u32,
    /// When it happened.
    at: Instant,
    /// When it was written down.
    created_at: Instant,
    quantities: Quantities<'a>,
    dimensions: Dimensions<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    actor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    resource: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    metadata: Option<RawOut<'a>>,
    /// What a measurer counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    evidence: Option<RawOut<'a>>,
    /// Of the credits, what no grant covered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    owed: Option<Amount>,
    /// The hold this charge ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    hold: Option<HoldRef>,
    /// What the work cost beyond what could be taken, of a capture `to_limit`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    shortfall: Option<Amount>,
    balance: BalanceShown,
    /// Given back so far. Only where the charge is looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reversed: Option<Amount>,
}

impl<'a> ChargeShown<'a> {
    /// None for a transaction that is no charge.
    pub fn of(account: &'a Name, transaction: &'a Transaction) -> Option<ChargeShown<'a>> {
        let What::Charged { work, credits, draws, owed, closing, .. } = &transaction.what else { return None };
        Some(ChargeShown {
            id: ChargeRef(transaction.charge_id()),
            account: AccountId(account),
            project: work.project.as_ref().map(Name::as_str),
            meter: &work.usage.meter,
            credits: Amount(*credits),
            lines: Lines(&work.price.lines),
            grants: Draws(draws),
            rate_card: work.price.rate_card,
            at: Instant(work.occurred_at),
            created_at: Instant(transaction.at),
            quantities: Quantities(&work.usage.quantities),
            dimensions: Dimensions(&work.usage.dimensions),
            actor: work.actor.as_ref().map(Name::as_str),
            resource: work.resource.as_ref().map(Name::as_str),
            metadata: work.metadata.as_deref().map(RawOut),
            evidence: work.evidence.as_deref().map(RawOut),
            owed: owed.is_positive().then_some(Amount(*owed)),
            hold: closing.as_ref().map(|it| HoldRef(it.hold)),
            shortfall: closing.as_ref().map(|it| it.shortfall).filter(|it| it.is_positive()).map(Amount),
            balance: BalanceShown::of(&transaction.after),
            reversed: None,
        })
    }

    /// What a key has written down must be a charge; a key that wrote something else was used for another request.
    pub fn answering(answer: &'a Answer) -> Result<ChargeShown<'a>, Problem> {
        ChargeShown::of(&answer.account, &answer.transaction).ok_or_else(|| Refusal::IdempotencyConflict.into())
    }
}

/// Charge for work done
///
/// One decision and one durable write: the same key is never charged twice, and nothing is charged that is not covered.
#[utoipa::path(post, path = "/v1/charges", operation_id = "createCharge", tag = "Using credits",
    request_body = ChargeIn, security(("api_key" = ["charge"])),
    responses(
        (status = 201, body = ChargeShown, description = "Charged; the same again for a key that was used before."),
        (status = 402, description = "Not enough credits, or a budget does not allow it."),
        (status = 404, description = "No such account."),
        (status = 409, description = "The key came with another body before, or the account is closed."),
    ))]
pub async fn create(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let call = knock.enter(&site, Scope::Charge)?;
    let by = call.by();
    let body = call.read(&[JSON], JSON_BYTES_MAX).await?;
    let charge: ChargeIn<'_> = json::object(&body)?;
    let account = charge.account.0.clone();
    let order = if charge.is_to_measure() {
        let body = body.clone();
        site.measure(move || json::object::<ChargeIn<'_>>(&body)?.into_order(by)).await?
    } else {
        charge.into_order(by)?
    };
    let answer = site.app.charge(order).await.map_err(|it| site.refused(it.into(), &account))?;
    count(if answer.is_replay { &site.gauges.replays } else { &site.gauges.charges });
    reply::written(StatusCode::CREATED, &ChargeShown::answering(&answer)?, answer.is_replay)
}

/// Look up a charge
#[utoipa::path(get, path = "/v1/charges/{charge}", operation_id = "getCharge", tag = "Using credits",
    params(("charge" = ChargeRef, Path, description = "The charge's id.")), security(("api_key" = ["read"])),
    responses(
        (status = 200, body = ChargeShown, description = "The charge, and what of it was reversed."),
        (status = 404, description = "No such charge."),
    ))]
pub async fn show(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let id: ChargeId = call.id("charge", Refusal::ChargeNotFound).await?;
    let view = site.look(move |app| app.charge_by_id(id)).await?;
    let mut shown = ChargeShown::answering(&view.answer)?;
    shown.reversed = Some(Amount(view.reversed));
    reply::json(StatusCode::OK, &shown)
}

/// How much of a charge to give back, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReverseRequest, example = json!({"credits": "1.25", "reason": "The reply was cut off"}))]
pub struct ReverseIn {
    /// All that is left where nothing is said.
    credits: Option<AmountIn>,
    /// The customer reads it.
    #[schema(value_type = String, min_length = 1, max_length = 500)]
    reason: TextIn,
}

/// Credits of a charge given back to the very grants they came from.
#[derive(Serialize, ToSchema)]
#[schema(as = Reversal)]
pub struct ReversalShown<'a> {
    /// The ledger entry of this reversal.
    id: EntryRef,
    charge: ChargeRef,
    account: AccountId<'a>,
    credits: Amount,
    #[schema(value_type = Vec<DrawShown>)]
    grants: Draws<'a>,
    /// Of the charge given back so far, this included.
    reversed: Amount,
    /// Of the credits, debt that was let go.
    forgiven: Amount,
    /// A new grant for debt of the charge that had been repaid since.
    regranted: Option<GrantRef>,
    reason: &'a str,
    at: Instant,
    balance: BalanceShown,
}

impl<'a> ReversalShown<'a> {
    fn of(answer: &'a Answer) -> Result<ReversalShown<'a>, Problem> {
        let What::Reversed(reversal) = &answer.transaction.what else {
            return Err(Refusal::IdempotencyConflict.into());
        };
        Ok(ReversalShown {
            id: EntryRef(answer.transaction.id()),
            charge: ChargeRef(reversal.charge),
            account: AccountId(&answer.account),
            credits: Amount(reversal.credits),
            grants: Draws(&reversal.draws),
            reversed: Amount(reversal.total),
            forgiven: Amount(reversal.forgiven),
            regranted: reversal.regranted.as_ref().map(|it| GrantRef(it.0)),
            reason: &reversal.reason,
            at: Instant(answer.transaction.at),
            balance: BalanceShown::of(&answer.transaction.after),
        })
    }
}

/// Reverse a charge, wholly or partly
///
/// The credits go back to the very grants they came from. An hour of a server can be reversed for 35 days, as long as
/// late reports may correct it; of what they took back, nothing is left to reverse. What is charged once, such as a
/// repository's tree, is charged again to whoever asks for it once all of it was reversed; a part leaves it paid for.
#[utoipa::path(post, path = "/v1/charges/{charge}/reverse", operation_id = "reverseCharge", tag = "Using credits",
    params(
        ("charge" = ChargeRef, Path, description = "The charge's id."),
        ("Idempotency-Key" = String, Header, description = "New for new work.", min_length = 1, max_length = 255),
    ),
    request_body = ReverseIn, security(("api_key" = ["billing"])),
    responses(
        (status = 201, body = ReversalShown, description = "Reversed; the credits are back in their grants."),
        (status = 404, description = "No such charge."),
        (status = 409, description = "More than is left of the charge, or the key came with another body before."),
    ))]
pub async fn reverse(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Billing)?;
    let charge: ChargeId = call.id("charge", Refusal::ChargeNotFound).await?;
    let (key, by) = (call.key()?, call.who());
    let asked: ReverseIn = call.json().await?;
    let order = ReverseOrder { charge, credits: asked.credits.map(|it| it.0), reason: reason(asked.reason)?, key, by };
    let answer = site.app.reverse(order).await?;
    reply::written(StatusCode::CREATED, &ReversalShown::of(&answer)?, answer.is_replay)
}

/// A reason that a customer can read.
pub fn reason(text: TextIn) -> Result<Text, Problem> {
    check_reason(&text.0)?;
    Ok(text.0)
}
