//! Subscriptions: plans, and an account's subscription to one.
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use billing::money::Money;
use billing::subscription::{Every, State as Standing};
use billing::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::knock::{Call, Knock};
use super::super::problem::Problem;
use super::super::query::Stretch;
use super::super::site::Site;
use super::super::wire::{Amount, AmountIn, Instant, NameIn};
use super::grants::{MoneyShown, currency_in_use};
use super::purchases::MoneyIn;
use super::reply::{self, Answered, Page};
use crate::service::{Plan, Scope, SubscribeOrder, Subscription};

#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Every)]
pub enum EveryShown {
    Month,
    Year,
}

impl From<Every> for EveryShown {
    fn from(every: Every) -> EveryShown {
        match every {
            Every::Month => EveryShown::Month,
            Every::Year => EveryShown::Year,
        }
    }
}

/// Credits each period, for less than they cost one by one.
#[derive(Serialize, ToSchema)]
#[schema(as = Plan)]
pub struct PlanShown {
    #[schema(pattern = "^[A-Za-z0-9._:@-]{1,128}$")]
    id: String,
    name: String,
    /// Each period.
    credits: Amount,
    /// Each period; tax comes on top.
    price: MoneyShown,
    every: EveryShown,
    /// What is unused expires so many periods after the one it was paid for; null where it stays.
    carry_over_periods: Option<u32>,
    /// At a renewal, so much stays of what earlier periods paid for; null where all of it does.
    carry_over_maximum: Option<Amount>,
}

impl PlanShown {
    fn of(plan: &Plan) -> PlanShown {
        PlanShown {
            id: plan.id.clone(),
            name: plan.name.clone(),
            credits: Amount(plan.credits()),
            price: Money { amount: plan.price, currency: plan.currency }.into(),
            every: plan.every.into(),
            carry_over_periods: plan.carry_over_periods,
            carry_over_maximum: plan.carry_over_maximum().map(Amount),
        }
    }
}

/// List plans
#[utoipa::path(get, path = "/v1/plans", operation_id = "listPlans", tag = "Credits in",
    params(("currency" = Option<String>, Query, description = "ISO 4217; the installation's where nothing is said.",
        pattern = "^[A-Za-z]{3}$"), Stretch),
    security(("api_key" = ["read"])),
    responses((status = 200, body = Page<PlanShown>, description = "What is on sale, cheapest first.")))]
pub async fn plans(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let query = knock.enter(&site, Scope::Read)?.query(&["currency", "limit", "cursor"])?;
    let stretch = query.stretch()?;
    let currency = match query.text("currency") {
        Some(text) => currency_in_use("currency", text)?,
        None => site.app.settings().currency,
    };
    let plans = site.look(move |app| app.plans(currency)).await?;
    reply::page(&stretch, plans.iter().map(PlanShown::of).collect())
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PlanRequest, example = json!({
    "name": "Monthly", "credits": "2000", "price": {"amount": 1800, "currency": "eur"}, "every": "month"
}))]
pub struct PlanIn {
    #[schema(max_length = 200)]
    name: String,
    credits: AmountIn,
    price: MoneyIn,
    every: EveryShown,
    /// Unused credits carry over without end, unless this says for how many periods.
    #[schema(minimum = 1, maximum = 60)]
    carry_over_periods: Option<u32>,
    /// Unused credits carry over whole, unless this says how many of them at most.
    carry_over_maximum: Option<AmountIn>,
}

/// Put a plan on sale
///
/// It must cost less than the same credits one by one. Who has it already keeps what they subscribed to.
#[utoipa::path(put, path = "/v1/plans/{plan}", operation_id = "putPlan", tag = "Credits in",
    params(("plan" = NameIn, Path, description = "A name of your own choice.")),
    request_body = PlanIn, security(("api_key" = ["admin"])),
    responses(
        (status = 200, body = PlanShown, description = "Changed."),
        (status = 201, body = PlanShown, description = "On sale."),
    ))]
pub async fn put_plan(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Admin)?;
    let (id, by) = (call.name("plan").await?, call.by());
    let said: PlanIn = call.json().await?;
    let price = said.price.read("price")?;
    let plan = Plan {
        id: id.to_string(),
        name: said.name,
        credits: said.credits.0.micros(),
        price: price.amount,
        currency: price.currency,
        every: match said.every {
            EveryShown::Month => Every::Month,
            EveryShown::Year => Every::Year,
        },
        carry_over_periods: said.carry_over_periods,
        carry_over_maximum: said.carry_over_maximum.map(|it| it.0.micros()),
        is_gone: false,
    };
    let shown = PlanShown::of(&plan);
    let is_new = site.look(move |app| app.put_plan(&plan, &by)).await?;
    reply::json(if is_new { StatusCode::CREATED } else { StatusCode::OK }, &shown)
}

/// Take a plan off sale
///
/// In every currency. One that is put on sale in a currency leaves those of its name in others as they are.
#[utoipa::path(delete, path = "/v1/plans/{plan}", operation_id = "deletePlan", tag = "Credits in",
    params(("plan" = NameIn, Path, description = "The plan.")), security(("api_key" = ["admin"])),
    responses(
        (status = 204, description = "It is no longer sold."),
        (status = 404, description = "No such plan."),
    ))]
pub async fn delete_plan(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Admin)?;
    let (id, by) = (call.name("plan").await?, call.by());
    site.look(move |app| app.delete_plan(&id, &by)).await?;
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = SubscriptionState)]
pub enum StandingShown {
    /// Waits for its first payment. It gives nothing yet.
    Incomplete,
    Active,
    /// A renewal was not paid; it is tried again after 1, 3, 5 and 7 days, and when the card changes.
    PastDue,
    /// Over. Credits it gave stay.
    Canceled,
}

/// A subscription: credits each period, given when they are paid for, kept whatever happens afterwards.
#[derive(Serialize, ToSchema)]
#[schema(as = Subscription)]
pub struct SubscriptionShown {
    #[schema(pattern = "^subscription_[0-9a-hjkmnp-tv-z]{26}$")]
    id: String,
    state: StandingShown,
    plan: PlanShown,
    /// What it changes to when it renews.
    next_plan: Option<PlanShown>,
    period_start: Instant,
    /// When it renews, or ends.
    period_end: Instant,
    /// It ends then.
    cancel_at_period_end: bool,
    /// When a renewal that was declined is tried again.
    next_try_at: Option<Instant>,
    /// The payment under way.
    pending_payment: Option<String>,
    payment_method: Option<String>,
}

impl SubscriptionShown {
    fn of(it: &Subscription) -> SubscriptionShown {
        SubscriptionShown {
            id: it.id.clone(),
            state: match it.state() {
                Standing::Incomplete => StandingShown::Incomplete,
                Standing::Active => StandingShown::Active,
                Standing::PastDue => StandingShown::PastDue,
                Standing::Canceled => StandingShown::Canceled,
            },
            plan: PlanShown::of(&it.plan),
            next_plan: it.next_plan.as_ref().map(PlanShown::of),
            period_start: Instant(Timestamp::from_millis(it.period_start)),
            period_end: Instant(Timestamp::from_millis(it.period_end)),
            cancel_at_period_end: it.ends,
            next_try_at: it.next_try_at.map(|it| Instant(Timestamp::from_millis(it))),
            pending_payment: it.payment.clone(),
            payment_method: it.method.clone(),
        }
    }
}

/// Show an account's subscription
#[utoipa::path(get, path = "/v1/accounts/{account}/subscription", operation_id = "getSubscription", tag = "Credits in",
    params(("account" = NameIn, Path, description = "The account.")), security(("api_key" = ["read"])),
    responses(
        (status = 200, body = SubscriptionShown, description = "The subscription; the last one where it is over."),
        (status = 404, description = "No such account, or it never subscribed."),
    ))]
pub async fn show(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let account = knock.enter(&site, Scope::Read)?.name("account").await?;
    let subscription = site.look(move |app| app.subscription(&account)).await?;
    reply::json(StatusCode::OK, &SubscriptionShown::of(&subscription))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SubscribeRequest, example = json!({"plan": "monthly"}))]
pub struct SubscribeIn {
    plan: NameIn,
    /// Where nothing is said, the default card; of a change, the card that pays already.
    payment_method: Option<String>,
    /// Where the customer comes back to from their bank.
    #[schema(max_length = 2000)]
    return_url: Option<String>,
}

async fn order(mut call: Call) -> Result<SubscribeOrder, Problem> {
    let account = call.name("account").await?;
    let (key, by) = (call.key()?, call.who());
    let said: SubscribeIn = call.json().await?;
    Ok(SubscribeOrder { account, plan: said.plan.0, method: said.payment_method, return_url: said.return_url, key, by })
}

/// Subscribe to a plan
#[utoipa::path(post, path = "/v1/accounts/{account}/subscription", operation_id = "subscribe", tag = "Credits in",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("Idempotency-Key" = String, Header, description = "New for a new request.", min_length = 1, max_length = 255),
    ),
    request_body = SubscribeIn, security(("api_key" = ["billing"])),
    responses(
        (status = 201, body = SubscriptionShown, description = "As far as its first payment has come."),
        (status = 404, description = "No such account, plan or card."),
        (status = 409, description = "There is one already, the account is closed, or the key came with another body."),
        (status = 501, description = "This server takes no payments."),
    ))]
pub async fn create(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let order = order(knock.enter(&site, Scope::Billing)?).await?;
    let (subscription, is_replay) = site.app.subscribe(order).await?;
    reply::written(StatusCode::CREATED, &SubscriptionShown::of(&subscription), is_replay)
}

/// Change the plan
///
/// To a dearer one of the same rhythm at once, for the rest of the period; to any other when it renews.
#[utoipa::path(post, path = "/v1/accounts/{account}/subscription/change", operation_id = "changeSubscription",
    tag = "Credits in",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("Idempotency-Key" = String, Header, description = "New for a new request.", min_length = 1, max_length = 255),
    ),
    request_body = SubscribeIn, security(("api_key" = ["billing"])),
    responses(
        (status = 201, body = SubscriptionShown, description = "As it is now."),
        (status = 404, description = "No such account, plan or subscription."),
        (status = 409, description = "It is not active, waits for a payment, or the key came with another body."),
    ))]
pub async fn change(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let order = order(knock.enter(&site, Scope::Billing)?).await?;
    let (subscription, is_replay) = site.app.change_plan(order).await?;
    reply::written(StatusCode::CREATED, &SubscriptionShown::of(&subscription), is_replay)
}

/// Cancel when the period ends
///
/// Until then it can be taken back. Credits stay. Where no period that was paid is left, because its first payment or
/// its renewal has not come in, it ends at once, and a payment that is under way is given up; should its money come in
/// after all, its credits are given.
#[utoipa::path(post, path = "/v1/accounts/{account}/subscription/cancel", operation_id = "cancelSubscription",
    tag = "Credits in",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("Idempotency-Key" = Option<String>, Header, description = "With one, repeating it does nothing more.",
            min_length = 1, max_length = 255),
    ),
    security(("api_key" = ["billing"])),
    responses(
        (status = 201, body = SubscriptionShown, description = "It ends when its period does, or has ended."),
        (status = 404, description = "No such account or subscription."),
        (status = 409, description = "It is over, or the key came with another request."),
    ))]
pub async fn cancel(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    end(&site, knock.enter(&site, Scope::Billing)?, true).await
}

/// Take a cancellation back
#[utoipa::path(post, path = "/v1/accounts/{account}/subscription/resume", operation_id = "resumeSubscription",
    tag = "Credits in",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("Idempotency-Key" = Option<String>, Header, description = "With one, repeating it does nothing more.",
            min_length = 1, max_length = 255),
    ),
    security(("api_key" = ["billing"])),
    responses(
        (status = 201, body = SubscriptionShown, description = "It renews when its period ends."),
        (status = 404, description = "No such account or subscription."),
        (status = 409, description = "It is over, or waits for a payment, or the key came with another request."),
    ))]
pub async fn resume(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    end(&site, knock.enter(&site, Scope::Billing)?, false).await
}

async fn end(site: &Site, mut call: Call, ends: bool) -> Answered {
    let (account, by, key) = (call.name("account").await?, call.who(), call.key_if_any()?);
    let ended = site.look(move |app| app.end_subscription(&account, ends, &by, key.as_ref())).await?;
    reply::written(StatusCode::CREATED, &SubscriptionShown::of(&ended.0), ended.1)
}
