//! Holds: credits reserved for work under way, then captured or released.
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use billing::Refusal;
use billing::id::{HoldId, Name};
use billing::ledger::{HoldEnd, Over, What};
use billing::rating::{Ceiling, QuantityCeiling};
use billing::time::Span;
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use super::super::card_numbers::as_kept;
use super::super::json;
use super::super::knock::{JSON, JSON_BYTES_MAX, Knock};
use super::super::problem::Problem;
use super::super::query::Stretch;
use super::super::site::Site;
use super::super::wire::{
    AccountId, Amount, AmountIn, ChargeRef, Dimensions, DimensionsIn, HoldRef, Instant, InstantIn, NameIn, ObjectIn,
    Quantities, QuantitiesIn, TextIn,
};
use super::charges::ChargeShown;
use super::order::{Said, evidence};
use super::reply::{self, Answered, BalanceShown, Page};
use crate::service::{
    Answer, CaptureOrder, ExtendOrder, HoldAmount, HoldAnswer, HoldMore, HoldOrder, HoldState, HoldView, Scope,
};

/// Work to reserve credits for: an amount, the price of planned quantities, or a binding quote.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = HoldRequest, example = json!({
    "account": "acct_ada", "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"}, "credits": "5",
    "expires_in_seconds": 600, "idempotency_key": "stream_77"
}))]
pub struct HoldIn<'a> {
    account: NameIn,
    project: Option<NameIn>,
    /// A meter of the rate card. May be left out with a quote, which says it; another than the quote's is refused, and
    /// so are other dimensions.
    #[schema(value_type = Option<String>, pattern = "^[a-z0-9_]{1,64}$")]
    meter: Option<TextIn>,
    /// How much to reserve.
    credits: Option<AmountIn>,
    /// Or what is planned, whose price is reserved.
    quantities: Option<QuantitiesIn>,
    dimensions: Option<DimensionsIn>,
    /// Or a binding quote, by its id.
    #[schema(value_type = Option<String>, max_length = 64)]
    quote: Option<TextIn>,
    /// A hold that is neither captured nor released by then captures the usage last reported and releases the rest.
    #[schema(minimum = 1, maximum = 604_800)]
    expires_in_seconds: u32,
    /// New for new work. One that could be a card's number is kept as `sha256:…`.
    #[schema(value_type = String, pattern = "^[!-~]{1,255}$", example = "stream_77")]
    idempotency_key: TextIn,
    at: Option<InstantIn>,
    actor: Option<NameIn>,
    resource: Option<NameIn>,
    #[serde(borrow)]
    #[schema(value_type = Option<ObjectIn>)]
    metadata: Option<ObjectIn<'a>>,
}

impl HoldIn<'_> {
    fn into_order(self, by: billing::rating::Text) -> Result<HoldOrder, Problem> {
        let amount = match (self.credits, &self.quantities, self.quote) {
            (Some(credits), None, None) => HoldAmount::Credits(credits.0),
            (None, Some(_), None) => HoldAmount::Planned,
            (None, None, Some(quote)) => HoldAmount::Quote(quote.0),
            _ => {
                return Err(Problem::invalid(
                    "credits",
                    "or `quantities` or `quote` must be given, and one of them alone",
                ));
            }
        };
        let meter = match (&amount, self.meter) {
            (HoldAmount::Quote(_), None) => Some(TextIn("".into())),
            (_, meter) => meter,
        };
        let said = Said {
            meter,
            quantities: self.quantities,
            dimensions: self.dimensions,
            input: None,
            project: self.project,
            at: self.at,
            actor: self.actor,
            resource: self.resource,
            metadata: self.metadata,
            evidence: None,
        };
        Ok(HoldOrder {
            account: self.account.0,
            order: said.into_order()?,
            amount,
            lasts: Span::SECOND.times(i64::from(self.expires_in_seconds)),
            key: as_kept(self.idempotency_key.0),
            by,
        })
    }
}

/// How far the credits go: the hold and what else is available, together.
#[derive(Serialize, ToSchema)]
#[schema(as = Ceiling)]
pub struct CeilingShown<'a> {
    credits: Amount,
    /// For each quantity of the meter, the most those credits buy when the others stay as planned; null for no limit.
    #[schema(value_type = std::collections::BTreeMap<String, Option<u64>>)]
    quantities: Ceilings<'a>,
}

#[derive(Clone, Copy)]
struct Ceilings<'a>(&'a [QuantityCeiling]);

impl Serialize for Ceilings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|it| {
            let most = match it.ceiling {
                Ceiling::Nothing => Some(0),
                Ceiling::AtMost(most) => Some(most),
                Ceiling::Unlimited => None,
            };
            (&*it.quantity, most)
        }))
    }
}

/// A hold that was opened or changed, and how far the credits go now.
#[derive(Serialize, ToSchema)]
#[schema(as = HoldReply)]
pub struct HoldReplyShown<'a> {
    id: HoldRef,
    account: AccountId<'a>,
    /// Reserved now.
    credits: Amount,
    expires_at: Instant,
    ceiling: CeilingShown<'a>,
    balance: BalanceShown,
}

impl<'a> HoldReplyShown<'a> {
    fn of(answer: &'a HoldAnswer) -> HoldReplyShown<'a> {
        HoldReplyShown {
            id: HoldRef(answer.id),
            account: AccountId(&answer.answer.account),
            credits: Amount(answer.credits),
            expires_at: Instant(answer.expires_at),
            ceiling: CeilingShown { credits: Amount(answer.ceiling), quantities: Ceilings(&answer.ceilings) },
            balance: BalanceShown::of(&answer.answer.transaction.after),
        }
    }
}

/// Reserve credits
#[utoipa::path(post, path = "/v1/holds", operation_id = "createHold", tag = "Using credits",
    request_body = HoldIn, security(("api_key" = ["charge"])),
    responses(
        (status = 201, body = HoldReplyShown, description = "Reserved; the same again for a key that was used before."),
        (status = 402, description = "Not enough credits."),
        (status = 404, description = "No such account."),
        (status = 409, description = "The key came with another body before; the account is closed, or has too many \
            holds."),
    ))]
pub async fn create(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let call = knock.enter(&site, Scope::Charge)?;
    let by = call.by();
    let body = call.read(&[JSON], JSON_BYTES_MAX).await?;
    let order = json::object::<HoldIn<'_>>(&body)?.into_order(by)?;
    let account = order.account.clone();
    let answer = site.app.hold(order).await.map_err(|it| site.refused(it.into(), &account))?;
    reply::written(StatusCode::CREATED, &HoldReplyShown::of(&answer), answer.answer.is_replay)
}

/// How much more to reserve, what has been used so far, how much longer: any of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ExtendRequest, example = json!({"credits": "2", "used": {"input_tokens": 900, "output_tokens": 120}}))]
pub struct ExtendIn {
    /// How much more to reserve.
    credits: Option<AmountIn>,
    /// Or the quantities whose price is reserved beside what is.
    quantities: Option<QuantitiesIn>,
    /// All that has been used so far: what an expiring hold captures.
    used: Option<QuantitiesIn>,
    /// From now.
    #[schema(minimum = 1, maximum = 604_800)]
    expires_in_seconds: Option<u32>,
}

/// Grow a hold, and report usage
///
/// A 402 leaves the hold as it was.
#[utoipa::path(post, path = "/v1/holds/{hold}/extend", operation_id = "extendHold", tag = "Using credits",
    params(
        ("hold" = HoldRef, Path, description = "The hold's id."),
        ("Idempotency-Key" = String, Header, description = "New for new work.", min_length = 1, max_length = 255),
    ),
    request_body = ExtendIn, security(("api_key" = ["charge"])),
    responses(
        (status = 201, body = HoldReplyShown, description = "Extended."),
        (status = 402, description = "Not enough credits; the hold is as it was."),
        (status = 404, description = "No such hold."),
        (status = 409, description = "The hold has ended, or the key came with another body before."),
    ))]
pub async fn extend(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Charge)?;
    let hold: HoldId = call.id("hold", Refusal::HoldNotFound).await?;
    let (key, by) = (call.key()?, call.by());
    let asked: ExtendIn = call.json().await?;
    let more = match (asked.credits, asked.quantities) {
        (Some(_), Some(_)) => return Err(Problem::invalid("quantities", "comes instead of `credits`, not beside it")),
        (Some(credits), None) => Some(HoldMore::Credits(credits.0)),
        (None, quantities) => quantities.map(|it| HoldMore::Quantities(it.0)),
    };
    let lasts = asked.expires_in_seconds.map(|it| Span::SECOND.times(i64::from(it)));
    let order = ExtendOrder { hold, more, used: asked.used.map(|it| it.0), lasts, key, by };
    let answer = site.app.extend(order).await.map_err(|it| refused(&site, it, hold))?;
    reply::written(StatusCode::CREATED, &HoldReplyShown::of(&answer), answer.answer.is_replay)
}

/// What was used in the end.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CaptureRequest, example = json!({"quantities": {"input_tokens": 900, "output_tokens": 410}}))]
pub struct CaptureIn<'a> {
    /// What it cost, where you price it yourself. Work whose `outcome` costs nothing costs nothing all the same.
    credits: Option<AmountIn>,
    /// Or what was used, priced by the meter and rate card of the hold.
    quantities: Option<QuantitiesIn>,
    /// Beside those of the hold: `outcome`, or the model that was used in the end. Where that is another than the
    /// hold's, the hold's is what was asked for, and the cheaper of the two is charged.
    dimensions: Option<DimensionsIn>,
    /// When it cost more than the hold: `draw` takes the difference or is refused; `to_limit` takes what there is.
    #[serde(default)]
    over: OverIn,
    /// What was counted in the end and how, for the receipt, as with a charge.
    #[serde(borrow)]
    #[schema(value_type = Option<ObjectIn>)]
    evidence: Option<ObjectIn<'a>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Over)]
pub enum OverIn {
    #[default]
    Draw,
    ToLimit,
}

/// A hold that ended in a charge.
#[derive(Serialize, ToSchema)]
#[schema(as = CaptureReply)]
pub struct CaptureShown<'a> {
    charge: ChargeShown<'a>,
    balance: BalanceShown,
}

/// Capture a hold
///
/// Turns it into a charge and gives back what was not needed.
#[utoipa::path(post, path = "/v1/holds/{hold}/capture", operation_id = "captureHold", tag = "Using credits",
    params(
        ("hold" = HoldRef, Path, description = "The hold's id."),
        ("Idempotency-Key" = String, Header, description = "New for new work.", min_length = 1, max_length = 255),
    ),
    request_body = CaptureIn, security(("api_key" = ["charge"])),
    responses(
        (status = 201, body = CaptureShown, description = "Charged; the hold has ended."),
        (status = 402, description = "It cost more than the hold and what is available; the hold stays."),
        (status = 404, description = "No such hold."),
        (status = 409, description = "The hold has ended, or the key came with another body before."),
    ))]
pub async fn capture(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Charge)?;
    let hold: HoldId = call.id("hold", Refusal::HoldNotFound).await?;
    let (key, by) = (call.key()?, call.by());
    let body = call.read(&[JSON], JSON_BYTES_MAX).await?;
    let asked: CaptureIn<'_> = json::object(&body)?;
    let amount = match (asked.credits, asked.quantities) {
        (Some(credits), None) => HoldMore::Credits(credits.0),
        (None, Some(quantities)) => HoldMore::Quantities(quantities.0),
        _ => return Err(Problem::invalid("credits", "or `quantities` must be given, and one of them alone")),
    };
    let over = match asked.over {
        OverIn::Draw => Over::Draw,
        OverIn::ToLimit => Over::ToLimit,
    };
    let dimensions = asked.dimensions.unwrap_or_default().0;
    let evidence = asked.evidence.map(evidence).transpose()?;
    let order = CaptureOrder { hold, amount, dimensions, over, evidence, key, by };
    let answer = site.app.capture(order).await.map_err(|it| refused(&site, it, hold))?;
    let charge = ChargeShown::answering(&answer)?;
    let shown = CaptureShown { charge, balance: BalanceShown::of(&answer.transaction.after) };
    reply::written(StatusCode::CREATED, &shown, answer.is_replay)
}

/// A hold that was given back.
#[derive(Serialize, ToSchema)]
#[schema(as = ReleaseReply)]
pub struct ReleaseShown<'a> {
    id: HoldRef,
    account: AccountId<'a>,
    /// Given back.
    credits: Amount,
    balance: BalanceShown,
}

/// Release a hold
///
/// Gives back all that it reserved. Takes no body.
#[utoipa::path(post, path = "/v1/holds/{hold}/release", operation_id = "releaseHold", tag = "Using credits",
    params(
        ("hold" = HoldRef, Path, description = "The hold's id."),
        ("Idempotency-Key" = String, Header, description = "New for new work.", min_length = 1, max_length = 255),
    ),
    security(("api_key" = ["charge"])),
    responses(
        (status = 201, body = ReleaseShown, description = "Released."),
        (status = 404, description = "No such hold."),
        (status = 409, description = "The hold has ended, or the key was used for something else."),
    ))]
pub async fn release(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Charge)?;
    let hold: HoldId = call.id("hold", Refusal::HoldNotFound).await?;
    let key = call.key()?;
    let answer: Answer = site.app.release(hold, &key, call.who()).await?;
    let What::Released { draws, .. } = &answer.transaction.what else {
        return Err(Refusal::IdempotencyConflict.into());
    };
    let shown = ReleaseShown {
        id: HoldRef(hold),
        account: AccountId(&answer.account),
        credits: Amount(draws.iter().map(|it| it.credits).sum()),
        balance: BalanceShown::of(&answer.transaction.after),
    };
    reply::written(StatusCode::CREATED, &shown, answer.is_replay)
}

/// A hold as it stands.
#[derive(Serialize, ToSchema)]
#[schema(as = Hold)]
pub struct HoldShown {
    id: HoldRef,
    account: String,
    state: HoldStateShown,
    project: Option<String>,
    meter: String,
    #[schema(value_type = DimensionsIn)]
    dimensions: std::collections::BTreeMap<String, String>,
    /// Reserved now; what was reserved when it was opened, for one that has ended.
    credits: Amount,
    /// The usage last reported; of one that has ended, the usage that it was charged for. Null where none was told.
    #[schema(value_type = Option<QuantitiesIn>)]
    used: Option<std::collections::BTreeMap<String, u64>>,
    expires_at: Instant,
    /// The charge it ended in.
    charge: Option<ChargeRef>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = HoldState)]
pub enum HoldStateShown {
    Open,
    Captured,
    Released,
    Expired,
}

impl HoldShown {
    fn of(view: &HoldView) -> HoldShown {
        let pairs = |it: &Dimensions<'_>| it.0.iter().map(|(name, it)| (name.to_string(), it.to_string())).collect();
        let counts = |it: &Quantities<'_>| it.0.iter().map(|(name, it)| (name.to_string(), *it)).collect();
        HoldShown {
            id: HoldRef(view.id),
            account: view.account.to_string(),
            state: match view.state {
                HoldState::Open => HoldStateShown::Open,
                HoldState::Ended(HoldEnd::Captured) => HoldStateShown::Captured,
                HoldState::Ended(HoldEnd::Released) => HoldStateShown::Released,
                HoldState::Ended(HoldEnd::Expired) => HoldStateShown::Expired,
            },
            project: view.work.project.as_ref().map(Name::to_string),
            meter: view.work.usage.meter.to_string(),
            dimensions: pairs(&Dimensions(&view.work.usage.dimensions)),
            credits: Amount(view.credits),
            used: view.used.as_ref().map(|it| counts(&Quantities(&it.usage.quantities))),
            expires_at: Instant(view.expires_at),
            charge: view.charge.as_ref().map(|it| ChargeRef(it.charge_id())),
        }
    }
}

/// Look up a hold
#[utoipa::path(get, path = "/v1/holds/{hold}", operation_id = "getHold", tag = "Using credits",
    params(("hold" = HoldRef, Path, description = "The hold's id.")), security(("api_key" = ["read"])),
    responses(
        (status = 200, body = HoldShown, description = "The hold as it stands."),
        (status = 404, description = "No such hold."),
    ))]
pub async fn show(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let hold: HoldId = call.id("hold", Refusal::HoldNotFound).await?;
    let view = site.look(move |app| app.hold_by_id(hold)).await?;
    reply::json(StatusCode::OK, &HoldShown::of(&view))
}

/// List an account's open holds
#[utoipa::path(get, path = "/v1/accounts/{account}/holds", operation_id = "listHolds", tag = "Using credits",
    params(("account" = NameIn, Path, description = "The account."), Stretch), security(("api_key" = ["read"])),
    responses(
        (status = 200, body = Page<HoldShown>, description = "All open holds, oldest first."),
        (status = 404, description = "No such account."),
    ))]
pub async fn list(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let account = call.name("account").await?;
    let stretch = call.query(&["limit", "cursor"])?.stretch()?;
    let holds = site.look(move |app| app.holds(&account)).await?;
    reply::page(&stretch, holds.iter().map(HoldShown::of).collect())
}

/// A refusal about a hold, whose account its id leads to.
fn refused(site: &Site, error: crate::service::Error, hold: HoldId) -> Problem {
    match site.app.hold_by_id(hold) {
        Ok(view) => site.refused(error.into(), &view.account),
        Err(_) => error.into(),
    }
}
