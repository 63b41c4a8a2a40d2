//! Quotes: the price before the work.
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use billing::id::Name;
use billing::rating::Text;
use billing::time::Span;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::super::json;
use super::super::knock::{JSON, JSON_BYTES_MAX, Knock};
use super::super::problem::Problem;
use super::super::site::Site;
use super::super::wire::{
    Amount, Dimensions, DimensionsIn, Instant, InstantIn, NameIn, Quantities, QuantitiesIn, TextIn,
};
use super::order::{Artefact, Said};
use super::reply::{self, Answered, LineShown, Lines};
use crate::service::{QuoteOrder, QuoteView, Scope};

/// Work to be priced, and for whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = QuoteRequest, example = json!({
    "account": "acct_ada", "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"},
    "quantities": {"input_tokens": 1200, "output_tokens": 350}, "binding_for_seconds": 600
}))]
pub struct QuoteIn<'a> {
    /// Whose credits to hold it against. Without it the answer is the list price.
    account: Option<NameIn>,
    project: Option<NameIn>,
    /// Who will do the work: a budget of theirs counts too.
    actor: Option<NameIn>,
    /// A meter of the rate card.
    #[schema(value_type = String, pattern = "^[a-z0-9_]{1,64}$", example = "ai_chat")]
    meter: TextIn,
    quantities: Option<QuantitiesIn>,
    dimensions: Option<DimensionsIn>,
    #[serde(borrow)]
    #[schema(value_type = Option<Artefact>)]
    input: Option<&'a RawValue>,
    /// The rate card of this time prices it; today's where nothing is said.
    at: Option<InstantIn>,
    /// Promise never to charge more than this, for so long.
    #[schema(minimum = 1, maximum = 86_400)]
    binding_for_seconds: Option<u32>,
}

impl QuoteIn<'_> {
    fn into_order(self, key: Option<Text>) -> Result<QuoteOrder, Problem> {
        let said = Said {
            evidence: None,
            meter: Some(self.meter),
            quantities: self.quantities,
            dimensions: self.dimensions,
            input: self.input,
            project: self.project,
            actor: self.actor,
            at: self.at,
            ..Said::default()
        };
        let binding = self.binding_for_seconds.map(|it| Span::SECOND.times(i64::from(it)));
        Ok(QuoteOrder { account: self.account.map(|it| it.0), order: said.into_order()?, binding, key })
    }
}

/// A price, line by line, whether it can be paid, and how long credits last after it.
#[derive(Serialize, ToSchema)]
#[schema(as = Quote)]
pub struct QuoteShown<'a> {
    /// Names a binding quote: give it to a hold as it is, for nothing can be read from it. Null for one that does not
    /// bind.
    id: Option<&'a str>,
    credits: Amount,
    #[schema(value_type = Vec<LineShown>)]
    lines: Lines<'a>,
    rate_card: u32,
    quantities: Quantities<'a>,
    dimensions: Dimensions<'a>,
    /// Null without an account.
    affordable: Option<bool>,
    /// The budget that does not allow it; null where none stands in the way.
    budget: Option<&'a str>,
    /// What the account could spend on this work. Null without an account.
    available: Option<Amount>,
    /// When the account's credits run out once this is charged: exactly where only servers use them, else at the
    /// present pace. Null without an account, where nothing burns, and where this cannot be paid.
    runs_out_at: Option<Instant>,
    /// Null for a quote that does not bind.
    expires_at: Option<Instant>,
}

impl<'a> QuoteShown<'a> {
    fn of(view: &'a QuoteView) -> QuoteShown<'a> {
        QuoteShown {
            id: view.id.as_deref(),
            credits: Amount(view.price.credits),
            lines: Lines(&view.price.lines),
            rate_card: view.price.rate_card,
            quantities: Quantities(&view.usage.quantities),
            dimensions: Dimensions(&view.usage.dimensions),
            affordable: view.is_affordable,
            budget: view.budget.as_ref().map(Name::as_str),
            available: view.available.map(Amount),
            runs_out_at: view.runs_out_at.map(Instant),
            expires_at: view.expires_at.map(Instant),
        }
    }
}

/// Price work before it is done
///
/// Nothing is charged or reserved. A binding quote is a promise: turn it into a hold, and its capture costs no more.
/// Time with a monthly cap, as of the meter `server`, is taken as one stretch in as few calendar months as hold it.
#[utoipa::path(post, path = "/v1/quotes", operation_id = "createQuote", tag = "Prices and measuring",
    params((
        "Idempotency-Key" = Option<String>, Header,
        description = "A binding quote asked for again under its key is the same promise. Counts only with \
            `binding_for_seconds`: a quote that does not bind changes nothing, and is priced anew each time.",
    )),
    request_body = QuoteIn, security(("api_key" = ["charge"])),
    responses(
        (status = 200, body = QuoteShown, description = "The price."),
        (status = 404, description = "No such account."),
        (status = 409, description = "The key came with another body before."),
    ))]
pub async fn create(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let call = knock.enter(&site, Scope::Charge)?;
    let key = call.key_if_any()?;
    let body = call.read(&[JSON], JSON_BYTES_MAX).await?;
    let quote: QuoteIn<'_> = json::object(&body)?;
    let order = if quote.input.is_some() {
        let body = body.clone();
        site.measure(move || json::object::<QuoteIn<'_>>(&body)?.into_order(key)).await?
    } else {
        quote.into_order(key)?
    };
    let view = site.look(move |app| app.quote(&order)).await?;
    reply::written(StatusCode::OK, &QuoteShown::of(&view), view.is_replay)
}
