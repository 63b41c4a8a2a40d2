//! Cards, the auto-topup, and what the payment provider tells.
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use billing::payment::Failure;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::catalogue;
use super::super::knock::Knock;
use super::super::problem::Problem;
use super::super::query::Stretch;
use super::super::site::Site;
use super::super::wire::{Amount, AmountIn, Instant, NameIn};
use super::grants::MoneyShown;
use super::purchases::{FailureShown, MoneyIn};
use super::reply::{self, Answered, Page};
use crate::service::{MethodView, NoticeRefused, Scope, SetupView, TopupOrder, TopupView};

/// The longest notice: the provider's are a few kilobytes.
const NOTICE_BYTES_MAX: usize = 256 << 10;

/// A card. Its number is known to Stripe alone.
#[derive(Serialize, ToSchema)]
#[schema(as = PaymentMethod)]
pub struct MethodShown {
    #[schema(pattern = "^method_[0-9a-hjkmnp-tv-z]{26}$")]
    id: String,
    #[schema(example = "visa")]
    brand: String,
    #[schema(example = "4242")]
    last4: String,
    expiry_month: u8,
    expiry_year: u16,
    is_default: bool,
    added_at: Instant,
}

impl MethodShown {
    fn of(view: MethodView) -> MethodShown {
        MethodShown {
            id: view.id,
            brand: view.method.brand,
            last4: view.method.last4,
            expiry_month: view.method.expiry_month,
            expiry_year: view.method.expiry_year,
            is_default: view.is_default,
            added_at: Instant(billing::time::Timestamp::from_millis(view.method.added_at)),
        }
    }
}

/// List an account's cards
#[utoipa::path(get, path = "/v1/accounts/{account}/payment-methods", operation_id = "listPaymentMethods",
    tag = "Credits in",
    params(("account" = NameIn, Path, description = "The account."), Stretch), security(("api_key" = ["read"])),
    responses(
        (status = 200, body = Page<MethodShown>, description = "Newest first."),
        (status = 404, description = "No such account."),
    ))]
pub async fn list(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let account = call.name("account").await?;
    let stretch = call.query(&["limit", "cursor"])?.stretch()?;
    let methods = site.look(move |app| app.payment_methods(&account)).await?;
    let data = methods.into_iter().map(MethodShown::of).collect();
    reply::page(&stretch, data)
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SetupRequest, example = json!({"return_url": "https://example.com/billing"}))]
pub struct SetupIn {
    /// Save the card on a page of Stripe's, and come back here. Without it, Stripe's script does it on your own page.
    #[schema(max_length = 2000)]
    return_url: Option<String>,
}

/// What the customer's browser needs to save a card.
#[derive(Serialize, ToSchema)]
#[schema(as = Setup)]
pub struct SetupShown {
    client_secret: Option<String>,
    publishable_key: Option<String>,
    /// The page, where `return_url` was given.
    setup_url: Option<String>,
}

impl From<SetupView> for SetupShown {
    fn from(view: SetupView) -> SetupShown {
        let SetupView { client_secret, publishable_key, setup_url, is_replay: _ } = view;
        SetupShown { client_secret, publishable_key, setup_url }
    }
}

/// Save a card
///
/// The card is ready to be charged later, also when the customer is not there. What is answered opens the saving of a
/// card, so it is kept by the provider alone, which remembers the key for a day: sent again after that, it begins
/// another. An account that was closed meanwhile is refused whatever the key.
#[utoipa::path(post, path = "/v1/accounts/{account}/payment-methods/setup", operation_id = "setUpPaymentMethod",
    tag = "Credits in",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("Idempotency-Key" = String, Header, description = "New for a new card.", min_length = 1, max_length = 255),
    ),
    request_body = SetupIn, security(("api_key" = ["billing"])),
    responses(
        (status = 201, body = SetupShown, description = "Begun."),
        (status = 404, description = "No such account."),
        (status = 409, description = "The account is closed, or the key came with another body."),
        (status = 501, description = "This server takes no payments."),
    ))]
pub async fn set_up(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Billing)?;
    let (account, key, by) = (call.name("account").await?, call.key()?, call.who());
    let said: SetupIn = call.json().await?;
    let view = site.app.set_up_card(&account, said.return_url, &key, &by).await?;
    let is_replay = view.is_replay;
    reply::written(StatusCode::CREATED, &SetupShown::from(view), is_replay)
}

/// Make a card the default
#[utoipa::path(post, path = "/v1/accounts/{account}/payment-methods/{method}/default",
    operation_id = "makePaymentMethodDefault", tag = "Credits in",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("method" = String, Path, description = "The card's id."),
        ("Idempotency-Key" = Option<String>, Header, description = "With one, repeating it changes nothing more.",
            min_length = 1, max_length = 255),
    ),
    security(("api_key" = ["billing"])),
    responses(
        (status = 201, body = MethodShown, description = "It is charged where nothing else is named."),
        (status = 404, description = "No such account or card."),
        (status = 409, description = "The key came with another request before."),
    ))]
pub async fn make_default(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Billing)?;
    let (account, method) = (call.name("account").await?, call.segment("method").await?);
    let (by, key) = (call.who(), call.key_if_any()?);
    let made = site.look(move |app| app.make_default(&account, &method, &by, key.as_ref())).await?;
    reply::written(StatusCode::CREATED, &MethodShown::of(made.0), made.1)
}

/// Remove a card
#[utoipa::path(delete, path = "/v1/accounts/{account}/payment-methods/{method}",
    operation_id = "removePaymentMethod", tag = "Credits in",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("method" = String, Path, description = "The card's id."),
    ),
    security(("api_key" = ["billing"])),
    responses(
        (status = 204, description = "Removed."),
        (status = 404, description = "No such account or card."),
        (status = 409, description = "It is the only card of something that charges by itself."),
    ))]
pub async fn remove(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Billing)?;
    let (account, method) = (call.name("account").await?, call.segment("method").await?);
    let by = call.who();
    site.look(move |app| app.remove_method(&account, &method, &by)).await?;
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AutoTopupRequest, example = json!({
    "enabled": true, "threshold": "100", "credits": "1000", "monthly_maximum": {"amount": 10000, "currency": "eur"}
}))]
pub struct TopupIn {
    enabled: bool,
    /// Credits are bought when fewer than this are available for any work: what pays for some work only does not count.
    /// To turn it on, more than 0: with none left, work is refused.
    threshold: AmountIn,
    /// How many at a time. As many times this as clears the threshold, in one charge.
    credits: AmountIn,
    /// The most that is charged in a calendar month of the account's time zone, tax included. Never more.
    monthly_maximum: Option<MoneyIn>,
    /// The default card where nothing is said.
    payment_method: Option<String>,
    /// The customer has been told that it charges at once, because the balance is below the threshold already.
    #[serde(default)]
    charge_now: bool,
}

/// The rule, and how it is doing.
#[derive(Serialize, ToSchema)]
#[schema(as = AutoTopup)]
pub struct TopupShown {
    enabled: bool,
    threshold: Option<Amount>,
    credits: Option<Amount>,
    /// What one top-up of `credits` is charged, tax included.
    price: Option<MoneyShown>,
    monthly_maximum: Option<MoneyShown>,
    /// Charged, or being charged, this month.
    spent_this_month: Option<MoneyShown>,
    payment_method: Option<String>,
    /// The payment under way.
    pending_payment: Option<String>,
    /// Why nothing is bought although it is on; set it again to go on. Where a payment waits for the bank, nothing is
    /// bought before that one ends.
    paused: Option<FailureShown>,
    /// After a failure nothing is tried before this. Null where nothing will be: it is off, paused or under way.
    retry_at: Option<Instant>,
    /// The monthly maximum is reached: nothing is bought before this.
    waits_until: Option<Instant>,
    /// In plain words.
    warnings: Vec<String>,
}

impl TopupShown {
    fn of(view: TopupView) -> TopupShown {
        let topup = view.topup.as_ref();
        let rule = topup.map(|it| &it.rule);
        let money = |amount: i64| rule.map(|it| MoneyShown::from(billing::money::Money { amount, ..it.price }));
        let paused = |it: Failure| FailureShown { code: it.to_string(), detail: it.in_words() };
        TopupShown {
            enabled: topup.is_some_and(|it| it.is_on),
            threshold: rule.map(|it| Amount(it.threshold)),
            credits: rule.map(|it| Amount(it.credits)),
            price: rule.map(|it| it.price.into()),
            monthly_maximum: rule.and_then(|it| it.monthly_max).and_then(money),
            spent_this_month: money(view.spent),
            payment_method: rule.and_then(|it| it.method.as_deref()).map(str::to_owned),
            pending_payment: topup.and_then(|it| it.under_way.as_ref()).map(|it| it.payment.to_string()),
            paused: topup.and_then(|it| it.paused).map(paused),
            retry_at: topup.filter(|it| it.may_start()).map(|it| it.retry_at).filter(|it| 0 < it.millis()).map(Instant),
            waits_until: view.waits_until.map(Instant),
            warnings: view.warnings,
        }
    }
}

/// Show the auto-topup
#[utoipa::path(get, path = "/v1/accounts/{account}/auto-topup", operation_id = "getAutoTopup", tag = "Credits in",
    params(("account" = NameIn, Path, description = "The account.")), security(("api_key" = ["read"])),
    responses(
        (status = 200, body = TopupShown, description = "The rule, and how it is doing."),
        (status = 404, description = "No such account."),
    ))]
pub async fn topup(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let account = knock.enter(&site, Scope::Read)?.name("account").await?;
    let view = site.look(move |app| app.auto_topup(&account)).await?;
    reply::json(StatusCode::OK, &TopupShown::of(view))
}

/// Set the auto-topup
///
/// Off until it is set here. Credits are bought in the very moment those for any work fall below the threshold; one
/// payment at a time; never beyond the monthly maximum.
#[utoipa::path(put, path = "/v1/accounts/{account}/auto-topup", operation_id = "putAutoTopup", tag = "Credits in",
    params(("account" = NameIn, Path, description = "The account.")),
    request_body = TopupIn, security(("api_key" = ["billing"])),
    responses(
        (status = 200, body = TopupShown, description = "Set."),
        (status = 404, description = "No such account or card."),
        (status = 409, description = "It would charge at once, and `charge_now` was not said."),
        (status = 501, description = "This server takes no payments."),
    ))]
pub async fn put_topup(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Billing)?;
    let (account, by) = (call.name("account").await?, call.who());
    let said: TopupIn = call.json().await?;
    let maximum = said.monthly_maximum.as_ref().map(|it| it.read("monthly_maximum")).transpose()?;
    let order = TopupOrder {
        account,
        is_on: said.enabled,
        threshold: said.threshold.0,
        credits: said.credits.0,
        monthly_maximum: maximum,
        method: said.payment_method,
        charge_now_max: if said.charge_now { i64::MAX } else { 0 },
        by,
    };
    let view = site.app.set_auto_topup(order).await?;
    reply::json(StatusCode::OK, &TopupShown::of(view))
}

/// A notice that was taken.
#[derive(Serialize, ToSchema)]
#[schema(as = NoticeReply)]
pub struct NoticeShown {
    received: bool,
}

/// Hear from Stripe
///
/// The address to give Stripe for its webhooks. Believed by its signature; told twice, late or in another order it
/// changes nothing.
#[utoipa::path(post, path = "/v1/stripe/webhook", operation_id = "takeStripeNotice", tag = "Credits in", security(()),
    params(("Stripe-Signature" = String, Header, description = "As Stripe makes it.")),
    request_body(content = String, content_type = "application/json", description = "An event, as Stripe sends it."),
    responses(
        (status = 200, body = NoticeShown, description = "Taken."),
        (status = 400, description = "It is not to be believed."),
        (status = 501, description = "This server takes no payments."),
        (status = 503, description = "Not now; send it again."),
    ))]
pub async fn notice(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let (signature, body) = knock.unsigned("stripe-signature", NOTICE_BYTES_MAX).await?;
    match site.app.take_notice(&body, &signature).await {
        Ok(()) => reply::json(StatusCode::OK, &NoticeShown { received: true }),
        Err(NoticeRefused::Unbelievable(why)) => Err(Problem::new(&catalogue::UNBELIEVABLE_NOTICE, why)),
        Err(NoticeRefused::Failed(error)) => Err(error.into()),
    }
}
