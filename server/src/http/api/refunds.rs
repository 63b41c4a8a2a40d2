//! Refunds: money on its way back to whoever paid it.
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use billing::Refusal;
use billing::id::PaymentId;
use billing::money::{Credits, Money};
use billing::time::Timestamp;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::super::knock::Knock;
use super::super::problem::Problem;
use super::super::site::Site;
use super::super::wire::{Amount, AmountIn, Instant, TextIn};
use super::charges::reason;
use super::grants::MoneyShown;
use super::purchases::MoneyIn;
use super::reply::{self, Answered};
use crate::service::{Much, RefundOrder, RefundView, Scope};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RefundRequest, example = json!({"credits": "250", "reason": "Bought too many"}))]
pub struct RefundIn {
    /// So many unused credits, at what was paid for them. All that are unused where nothing is said.
    credits: Option<AmountIn>,
    /// So much money, tax included, instead of `credits`: minor units of the payment's currency, or money that says its
    /// currency, too.
    amount: Option<RefundAmountIn>,
    /// The customer reads it.
    #[schema(value_type = String, min_length = 1, max_length = 500)]
    reason: TextIn,
}

/// Money to give back: `500`, or `{"amount": 500, "currency": "eur"}`.
#[derive(Debug)]
pub enum RefundAmountIn {
    Minor(i64),
    Money(MoneyIn),
}

impl<'de> Deserialize<'de> for RefundAmountIn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RefundAmountIn, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = RefundAmountIn;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a whole number of minor units, or an object such as {\"amount\": 500, \"currency\": \"eur\"}",
                )
            }
            fn visit_i64<E: Error>(self, minor: i64) -> Result<RefundAmountIn, E> {
                Ok(RefundAmountIn::Minor(minor))
            }
            fn visit_u64<E: Error>(self, minor: u64) -> Result<RefundAmountIn, E> {
                let minor = i64::try_from(minor).map_err(|_| E::custom("is more than any payment"))?;
                Ok(RefundAmountIn::Minor(minor))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RefundAmountIn, A::Error> {
                MoneyIn::deserialize(MapAccessDeserializer::new(map)).map(RefundAmountIn::Money)
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl utoipa::PartialSchema for RefundAmountIn {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
        use utoipa::openapi::{Ref, RefOr};
        let minor = ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(1))
            .description(Some("Minor units of the payment's currency."));
        let one_of = OneOfBuilder::new().item(minor).item(Ref::from_schema_name("MoneyRequest"));
        RefOr::T(one_of.description(Some("Money to give back, tax included.")).build().into())
    }
}
impl ToSchema for RefundAmountIn {
    fn name() -> Cow<'static, str> {
        "RefundAmount".into()
    }
}

/// Money on its way back.
#[derive(Serialize, ToSchema)]
#[schema(as = Refund)]
pub struct RefundShown {
    #[schema(pattern = "^refund_[0-9a-hjkmnp-tv-z]{26}$")]
    id: String,
    payment: String,
    grant: String,
    /// `pending`, `succeeded` or `failed`; the credits of one that failed are back in their grant.
    status: String,
    credits: Amount,
    net: MoneyShown,
    tax: MoneyShown,
    total: MoneyShown,
    reason: String,
    credit_note: Option<String>,
    created_at: Instant,
}

impl RefundShown {
    fn of(view: RefundView) -> RefundShown {
        let it = view.refund;
        let money = |amount| MoneyShown::from(Money { amount, currency: it.currency });
        RefundShown {
            id: view.id,
            credits: Amount(Credits::from_micros(it.part.credits)),
            net: money(it.part.net),
            tax: money(it.part.tax),
            total: money(it.part.net + it.part.tax),
            payment: it.payment,
            grant: it.grant,
            status: it.status.as_str().to_owned(),
            reason: it.reason,
            credit_note: it.credit_note,
            created_at: Instant(Timestamp::from_millis(it.created_at)),
        }
    }
}

/// Refund a payment
///
/// Unused credits leave their grant at once; their money goes back to the card at what was paid for them.
#[utoipa::path(post, path = "/v1/payments/{payment}/refund", operation_id = "refundPayment", tag = "Credits in",
    params(
        ("payment" = String, Path, description = "The payment's id."),
        ("Idempotency-Key" = String, Header, description = "New for a new refund.", min_length = 1, max_length = 255),
    ),
    request_body = RefundIn, security(("api_key" = ["billing"])),
    responses(
        (status = 201, body = RefundShown, description = "The refund."),
        (status = 404, description = "No such payment."),
        (status = 409, description = "Too little is unused, the payment is disputed, or nothing is left of it."),
        (status = 501, description = "This server takes no payments."),
    ))]
pub async fn create(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Billing)?;
    let payment: PaymentId = call.id("payment", Refusal::PaymentNotFound).await?;
    let (key, by) = (call.key()?, call.who());
    let said: RefundIn = call.json().await?;
    let much = match (said.credits, said.amount) {
        (Some(_), Some(_)) => return Err(Problem::invalid("amount", "must not be given together with `credits`")),
        (Some(credits), None) => Much::Credits(credits.0),
        (None, Some(amount)) => Much::Amount(minor_units(&site, payment, amount).await?),
        (None, None) => Much::Unused,
    };
    let view = site.app.refund(RefundOrder { payment, much, reason: reason(said.reason)?, key, by }).await?;
    let is_replay = view.is_replay;
    reply::written(StatusCode::CREATED, &RefundShown::of(view), is_replay)
}

/// How much money that is, in the currency of its payment.
async fn minor_units(site: &Site, payment: PaymentId, amount: RefundAmountIn) -> Result<i64, Problem> {
    let money = match amount {
        RefundAmountIn::Minor(amount) if 0 < amount => return Ok(amount),
        RefundAmountIn::Minor(_) => return Err(Problem::invalid("amount", "must be 1 or more")),
        RefundAmountIn::Money(money) => money.read("amount")?,
    };
    let paid_in = site.look(move |app| app.payment(payment)).await?.payment.currency();
    if money.currency == paid_in {
        return Ok(money.amount);
    }
    Err(Problem::invalid("amount.currency", format_args!("must be {}, as the payment is", paid_in.as_str())))
}
