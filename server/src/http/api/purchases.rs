//! Buying: what is sold, purchases and payments.
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use billing::Refusal;
use billing::id::PaymentId;
use billing::money::{Credits, Money};
use billing::time::Timestamp;
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

use super::super::knock::Knock;
use super::super::problem::Problem;
use super::super::query::Stretch;
use super::super::site::Site;
use super::super::wire::{Amount, AmountIn, GrantRef, Instant, NameIn};
use super::grants::{MoneyShown, SourceShown, currency_in_use};
use super::reply::{self, Answered, Page};
use crate::service::{Goods, Package, PaymentView, PurchaseOrder, Purpose, Scope, Standing};

/// Money in a request, in minor units of its currency.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MoneyRequest, example = json!({"amount": 10000, "currency": "eur"}))]
pub struct MoneyIn {
    #[schema(minimum = 1)]
    pub amount: i64,
    #[schema(pattern = "^[A-Za-z]{3}$", example = "eur")]
    pub currency: String,
}

impl MoneyIn {
    pub fn read(&self, field: &str) -> Result<Money, Problem> {
        if self.amount < 1 {
            return Err(Problem::invalid(format!("{field}.amount"), "must be 1 or more"));
        }
        let currency = currency_in_use(&format!("{field}.currency"), &self.currency)?;
        Ok(Money { amount: self.amount, currency })
    }
}

/// Credits on sale.
#[derive(Serialize, ToSchema)]
#[schema(as = Package)]
pub struct PackageShown {
    #[schema(pattern = "^[A-Za-z0-9._:@-]{1,128}$")]
    id: String,
    name: String,
    /// Credits that are paid for.
    credits: Amount,
    /// Credits on top.
    bonus: Amount,
    /// Tax comes on top.
    price: MoneyShown,
}

impl PackageShown {
    fn of(package: &Package) -> PackageShown {
        PackageShown {
            id: package.id.clone(),
            name: package.name.clone(),
            credits: Amount(Credits::from_micros(package.credits)),
            bonus: Amount(Credits::from_micros(package.bonus)),
            price: Money { amount: package.price, currency: package.currency }.into(),
        }
    }
}

/// List packages
///
/// What is on sale in a currency, cheapest first; an operator who has put nothing on sale sells a default set at list
/// price.
#[utoipa::path(get, path = "/v1/packages", operation_id = "listPackages", tag = "Credits in",
    params(("currency" = Option<String>, Query, description = "ISO 4217; the installation's where nothing is said.",
        pattern = "^[A-Za-z]{3}$"), Stretch),
    security(("api_key" = ["read"])),
    responses((status = 200, body = Page<PackageShown>, description = "What is on sale.")))]
pub async fn packages(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let query = knock.enter(&site, Scope::Read)?.query(&["currency", "limit", "cursor"])?;
    let stretch = query.stretch()?;
    let currency = match query.text("currency") {
        Some(text) => currency_in_use("currency", text)?,
        None => site.app.settings().currency,
    };
    let packages = site.look(move |app| app.packages(currency)).await?;
    reply::page(&stretch, packages.iter().map(PackageShown::of).collect())
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PackageRequest, example = json!({
    "name": "Builder", "credits": "5000", "bonus": "250", "price": {"amount": 5000, "currency": "eur"}
}))]
pub struct PackageIn {
    #[schema(max_length = 200)]
    name: String,
    credits: AmountIn,
    bonus: Option<AmountIn>,
    price: MoneyIn,
}

/// Put a package on sale
#[utoipa::path(put, path = "/v1/packages/{package}", operation_id = "putPackage", tag = "Credits in",
    params(("package" = NameIn, Path, description = "A name of your own choice.")),
    request_body = PackageIn, security(("api_key" = ["admin"])),
    responses(
        (status = 200, body = PackageShown, description = "Changed. What was bought of it stays as it was bought."),
        (status = 201, body = PackageShown, description = "On sale."),
    ))]
pub async fn put_package(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Admin)?;
    let (id, by) = (call.name("package").await?, call.by());
    let said: PackageIn = call.json().await?;
    let price = said.price.read("price")?;
    let package = Package {
        id: id.to_string(),
        name: said.name,
        credits: said.credits.0.micros(),
        bonus: said.bonus.map_or(0, |it| it.0.micros()),
        price: price.amount,
        currency: price.currency,
        is_gone: false,
    };
    let shown = PackageShown::of(&package);
    let is_new = site.look(move |app| app.put_package(&package, &by)).await?;
    reply::json(if is_new { StatusCode::CREATED } else { StatusCode::OK }, &shown)
}

/// Take a package off sale
///
/// In every currency. One that is put on sale in a currency leaves those of its name in others as they are.
#[utoipa::path(delete, path = "/v1/packages/{package}", operation_id = "deletePackage", tag = "Credits in",
    params(("package" = NameIn, Path, description = "The package.")), security(("api_key" = ["admin"])),
    responses(
        (status = 204, description = "It is no longer sold."),
        (status = 404, description = "No such package."),
    ))]
pub async fn delete_package(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Admin)?;
    let (id, by) = (call.name("package").await?, call.by());
    site.look(move |app| app.delete_package(&id, &by)).await?;
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PurchaseRequest, example = json!({
    "package": "builder", "hosted": true, "return_url": "https://example.com/billing"
}))]
pub struct PurchaseIn {
    /// What is bought: this, or `credits`.
    package: Option<NameIn>,
    /// That many credits, at list price.
    credits: Option<AmountIn>,
    /// The card to charge; the default where nothing is said.
    payment_method: Option<String>,
    /// Pay on a page of Stripe's, with any card.
    #[serde(default)]
    hosted: bool,
    /// The customer agreed that the card they pay with is saved, and charged later when they are not there.
    #[serde(default)]
    save_card: bool,
    /// Where the customer comes back to, from the page or from their bank.
    #[schema(max_length = 2000)]
    return_url: Option<String>,
}

/// Why no money came.
#[derive(Serialize, ToSchema)]
#[schema(as = PaymentFailure)]
pub struct FailureShown {
    /// Stable: branch on this.
    #[schema(example = "insufficient_funds")]
    pub code: String,
    /// For the customer.
    pub detail: &'static str,
}

/// A dispute: the customer's bank wants the money back.
#[derive(Serialize, ToSchema)]
#[schema(as = Dispute)]
pub struct DisputeShown {
    /// `open`, `won` or `lost`. While it is open the credits of this payment are frozen.
    status: String,
    /// What the bank took for good.
    lost: MoneyShown,
}

/// How a payment stands, in the service's words. `requires_action` waits for the customer at `checkout_url` or
/// `action_url`; `failure`, `refunded` and `dispute` say more of what they are about.
#[derive(Clone, Copy, Debug)]
struct StatusShown(Standing);

impl Serialize for StatusShown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}
impl utoipa::PartialSchema for StatusShown {
    fn schema() -> RefOr<Schema> {
        let words = Standing::ALL.map(Standing::as_str);
        RefOr::T(ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).into())
    }
}
impl ToSchema for StatusShown {
    fn name() -> std::borrow::Cow<'static, str> {
        "PaymentStatus".into()
    }
}

/// One attempt to collect money, and what came of it.
#[derive(Serialize, ToSchema)]
#[schema(as = Payment)]
pub struct PaymentShown {
    #[schema(pattern = "^payment_[0-9a-hjkmnp-tv-z]{26}$")]
    id: String,
    #[schema(pattern = "^[A-Za-z0-9._:@-]{1,128}$")]
    account: String,
    status: StatusShown,
    source: SourceShown,
    /// What is bought, in words.
    item: String,
    credits: Amount,
    /// Without tax.
    net: MoneyShown,
    tax: MoneyShown,
    total: MoneyShown,
    package: Option<String>,
    payment_method: Option<String>,
    /// The page to pay on, while it is open.
    checkout_url: Option<String>,
    /// Where the bank wants the customer to prove who they are.
    action_url: Option<String>,
    /// For Stripe's own script, where it is what finishes the payment.
    client_secret: Option<String>,
    failure: Option<FailureShown>,
    /// The credits it paid for.
    grant: Option<GrantRef>,
    invoice: Option<String>,
    /// Money that has gone back, or was taken back.
    refunded: MoneyShown,
    refunded_credits: Amount,
    dispute: Option<DisputeShown>,
    created_at: Instant,
}

impl PaymentShown {
    pub fn of(view: PaymentView) -> PaymentShown {
        let it = view.payment;
        let money = |amount| MoneyShown::from(it.money(amount));
        PaymentShown {
            id: view.id,
            account: view.account.to_string(),
            source: match it.purpose {
                Purpose::Purchase => SourceShown::Purchase,
                Purpose::AutoTopup => SourceShown::AutoTopup,
                Purpose::Subscription => SourceShown::Subscription,
            },
            credits: Amount(Credits::from_micros(it.credits)),
            net: money(it.net),
            tax: money(it.tax),
            total: money(it.total()),
            failure: it.failure().map(|it| FailureShown { code: it.to_string(), detail: it.in_words() }),
            grant: view.grant.map(GrantRef),
            refunded: money(it.returned.net + it.returned.tax),
            refunded_credits: Amount(Credits::from_micros(it.returned.credits)),
            dispute: it.dispute.as_ref().map(|dispute| DisputeShown {
                status: dispute.status.as_str().to_owned(),
                lost: it.money(dispute.lost).into(),
            }),
            created_at: Instant(Timestamp::from_millis(it.created_at)),
            status: StatusShown(it.standing()),
            item: it.item,
            package: it.package,
            payment_method: it.method,
            checkout_url: it.page_url,
            action_url: it.action_url,
            client_secret: it.client_secret,
            invoice: it.invoice,
        }
    }
}

/// Buy credits
///
/// The price is the server's. Credits come when the money does, exactly once, never because a customer came back from
/// a page. The same key again gives the first answer again; ask for the payment to see what has become of it.
#[utoipa::path(post, path = "/v1/accounts/{account}/purchases", operation_id = "createPurchase", tag = "Credits in",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("Idempotency-Key" = String, Header, description = "New for a new purchase.", min_length = 1, max_length = 255),
    ),
    request_body = PurchaseIn, security(("api_key" = ["billing"])),
    responses(
        (status = 201, body = PaymentShown, description = "The payment; a declined card is one that has failed."),
        (status = 404, description = "No such account, package or card."),
        (status = 409, description = "The account is closed, or the key came with another body before."),
        (status = 501, description = "This server takes no payments."),
    ))]
pub async fn create(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Billing)?;
    let account = call.name("account").await?;
    let (key, by) = (call.key()?, call.who());
    let said: PurchaseIn = call.json().await?;
    let goods = match (said.package, said.credits) {
        (Some(package), None) => Goods::Package(package.0),
        (None, Some(credits)) => Goods::Credits(credits.0),
        _ => return Err(Problem::invalid("package", "or `credits` must be given, and not both")),
    };
    if said.hosted && said.payment_method.is_some() {
        return Err(Problem::invalid("payment_method", "is chosen on the page when `hosted` is true"));
    }
    let order = PurchaseOrder {
        account,
        goods,
        method: said.payment_method,
        is_hosted: said.hosted,
        save_card: said.save_card,
        return_url: said.return_url,
        key,
        by,
    };
    let view = site.app.purchase(order).await?;
    let is_replay = view.is_replay;
    reply::written(StatusCode::CREATED, &PaymentShown::of(view), is_replay)
}

/// List an account's payments
///
/// Every attempt, newest first, failures included.
#[utoipa::path(get, path = "/v1/accounts/{account}/payments", operation_id = "listPayments", tag = "Credits in",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("limit" = Option<u32>, Query, description = "Payments a page.", minimum = 1, maximum = 500),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.",
            pattern = "^payment_[0-9a-hjkmnp-tv-z]{26}$"),
    ),
    security(("api_key" = ["read"])),
    responses(
        (status = 200, body = Page<PaymentShown>, description = "A page of payments."),
        (status = 404, description = "No such account."),
    ))]
pub async fn list(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let account = call.name("account").await?;
    let query = call.query(&["limit", "cursor"])?;
    let (limit, before) = (query.limit()?, query.cursor_of::<PaymentId>()?);
    let payments = site.look(move |app| app.payments(&account, before.as_deref(), limit + 1)).await?;
    let (payments, next_cursor) = reply::cut(payments, limit, |it| it.id.clone());
    reply::json(StatusCode::OK, &Page { data: payments.into_iter().map(PaymentShown::of).collect(), next_cursor })
}

/// Look up a payment
#[utoipa::path(get, path = "/v1/payments/{payment}", operation_id = "getPayment", tag = "Credits in",
    params(("payment" = String, Path, description = "The payment's id.")), security(("api_key" = ["read"])),
    responses(
        (status = 200, body = PaymentShown, description = "The payment."),
        (status = 404, description = "No such payment."),
    ))]
pub async fn show(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let id: PaymentId = call.id("payment", Refusal::PaymentNotFound).await?;
    let view = site.look(move |app| app.payment(id)).await?;
    reply::json(StatusCode::OK, &PaymentShown::of(view))
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ConfirmRequest, example = json!({"return_url": "https://example.com/billing"}))]
pub struct ConfirmIn {
    #[schema(max_length = 2000)]
    return_url: String,
}

/// Finish a payment with the customer there
///
/// For a payment in `requires_action` because the bank wants to hear from the customer. Lead them to `action_url`.
#[utoipa::path(post, path = "/v1/payments/{payment}/confirm", operation_id = "confirmPayment", tag = "Credits in",
    params(
        ("payment" = String, Path, description = "The payment's id."),
        ("Idempotency-Key" = Option<String>, Header, description = "With one, repeating it asks the bank nothing more.",
            min_length = 1, max_length = 255),
    ),
    request_body = ConfirmIn, security(("api_key" = ["billing"])),
    responses(
        (status = 201, body = PaymentShown, description = "The payment as it is now."),
        (status = 404, description = "No such payment."),
        (status = 409, description = "The key came with another request before."),
        (status = 501, description = "This server takes no payments."),
    ))]
pub async fn confirm(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Billing)?;
    let id: PaymentId = call.id("payment", Refusal::PaymentNotFound).await?;
    let (key, by) = (call.key_if_any()?, call.who());
    let said: ConfirmIn = call.json().await?;
    let view = site.app.confirm_payment(id, said.return_url, key.as_ref(), &by).await?;
    let is_replay = view.is_replay;
    reply::written(StatusCode::CREATED, &PaymentShown::of(view), is_replay)
}
