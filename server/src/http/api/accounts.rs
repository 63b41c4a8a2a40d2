//! Accounts: registered, shown, listed, closed; and the balance, the number everything is about.
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use billing::Refusal;
use billing::id::Name;
use billing::ledger::{Scope as Reach, What};
use billing::money::Credits;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

use super::super::card_numbers;
use super::super::json;
use super::super::knock::{JSON, JSON_BYTES_MAX, Knock};
use super::super::problem::Problem;
use super::super::site::Site;
use super::super::wire::{AccountId, Amount, EntryRef, Instant, NameIn, ObjectIn, RawOut};
use super::grants::{MoneyShown, currency_in_use};
use super::reply::{self, Answered, BalanceShown, Page};
use crate::service::{AccountProfile, BalanceView, Registered, Registration, Scope};

/// What the platform knows of an account. What is left out stays as it is; an empty text clears.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccountRequest, example = json!({
    "name": "Ada Lovelace", "email": "ada@example.com", "currency": "eur", "timezone": "Europe/Vilnius"
}))]
pub struct AccountIn<'a> {
    #[schema(max_length = 200)]
    name: Option<String>,
    /// Where receipts go.
    #[schema(max_length = 254)]
    email: Option<String>,
    /// ISO 4217. Decides what a credit costs.
    #[schema(pattern = "^[A-Za-z]{3}$")]
    currency: Option<String>,
    /// IANA name. Days and months are cut by it. Usage is kept by the hours of the zone it was told in: after a move
    /// between zones whose hours begin at different minutes, such as from Asia/Kolkata to UTC, an hour of before counts
    /// whole for the day in which it began.
    #[schema(max_length = 64)]
    timezone: Option<String>,
    /// The billing address, as any JSON object. Its `country`, where it says one, is an ISO 3166-1 code of two letters,
    /// and decides the tax.
    #[serde(borrow)]
    #[schema(value_type = Option<ObjectIn>)]
    address: Option<ObjectIn<'a>>,
    #[schema(max_length = 64)]
    tax_id: Option<String>,
    /// What tells one person from another at signup. One welcome grant for each, whatever the accounts; told later they
    /// are remembered as well.
    #[serde(default)]
    #[schema(max_items = 16)]
    fingerprints: Vec<String>,
}

/// An account.
#[derive(Serialize, ToSchema)]
#[schema(as = Account)]
pub struct AccountShown<'a> {
    id: AccountId<'a>,
    name: Option<&'a str>,
    email: Option<&'a str>,
    #[schema(pattern = "^[a-z]{3}$")]
    currency: &'a str,
    timezone: &'a str,
    address: Option<RawOut<'a>>,
    tax_id: Option<&'a str>,
    created_at: Instant,
    /// Null for an account that is open.
    closed_at: Option<Instant>,
}

impl<'a> AccountShown<'a> {
    fn of(registered: &'a Registered) -> AccountShown<'a> {
        let account = &registered.account;
        AccountShown {
            id: AccountId(&account.id),
            name: account.name.as_deref(),
            email: account.email.as_deref(),
            currency: account.currency.as_str(),
            timezone: &account.timezone,
            address: account.address.as_deref().map(RawOut),
            tax_id: account.tax_id.as_deref(),
            created_at: Instant(account.created_at),
            closed_at: account.closed_at.map(Instant),
        }
    }
}

/// Register an account, or update it
///
/// The first registration grants the welcome credits, exactly once, in the same write.
#[utoipa::path(put, path = "/v1/accounts/{account}", operation_id = "putAccount", tag = "Accounts",
    params(("account" = NameIn, Path, description = "A name of your own choice.")),
    request_body = AccountIn, security(("api_key" = ["billing"])),
    responses(
        (status = 200, body = AccountShown, description = "Updated."),
        (status = 201, body = AccountShown, description = "Registered, with its welcome credits."),
        (status = 409, description = "The account is closed."),
    ))]
pub async fn put(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Billing)?;
    let (id, by) = (call.name("account").await?, call.who());
    let body = call.read(&[JSON], JSON_BYTES_MAX).await?;
    let registration = registration(id, &body)?;
    let registered = site.look(move |app| app.register(&registration, &by)).await?;
    if !registered.is_new {
        // Its zone may be another now, and with it the days and months that budgets count.
        site.app.renew_budgets(&registered.account.id).await?;
        site.app.follow_zone(&registered.account.id).await?;
    }
    let status = if registered.is_new { StatusCode::CREATED } else { StatusCode::OK };
    reply::json(status, &AccountShown::of(&registered))
}

fn registration(id: Name, body: &[u8]) -> Result<Registration, Problem> {
    let said: AccountIn<'_> = json::object(body)?;
    let currency = said.currency.map(|it| currency_in_use("currency", &it)).transpose()?;
    let profile = AccountProfile {
        name: said.name,
        email: said.email,
        currency,
        timezone: said.timezone,
        address: said.address.map(|it| it.text().to_string()),
        tax_id: said.tax_id,
    };
    Ok(Registration { id, profile, fingerprints: said.fingerprints })
}

/// What would be refused of a registration by itself, for who has not sent it yet.
pub fn check(id: Name, body: &[u8]) -> Result<(), Problem> {
    card_numbers::none_in_json(body)?;
    Ok(registration(id, body)?.check()?)
}

/// Look up an account
#[utoipa::path(get, path = "/v1/accounts/{account}", operation_id = "getAccount", tag = "Accounts",
    params(("account" = NameIn, Path, description = "The account.")), security(("api_key" = ["read"])),
    responses(
        (status = 200, body = AccountShown, description = "The account."),
        (status = 404, description = "No such account."),
    ))]
pub async fn show(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let id = knock.enter(&site, Scope::Read)?.name("account").await?;
    let account = site.look(move |app| app.account(&id)).await?;
    reply::json(StatusCode::OK, &AccountShown::of(&Registered { account, is_new: false }))
}

/// List accounts
#[utoipa::path(get, path = "/v1/accounts", operation_id = "listAccounts", tag = "Accounts",
    params(
        ("limit" = Option<u32>, Query, description = "Accounts a page.", minimum = 1, maximum = 500),
        ("cursor" = Option<NameIn>, Query, description = "`next_cursor` of the page before."),
    ),
    security(("api_key" = ["read"])),
    responses((status = 200, body = Page<AccountShown>, description = "By id.")))]
pub async fn list(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let query = knock.enter(&site, Scope::Read)?.query(&["limit", "cursor"])?;
    let (limit, after) = (query.limit()?, query.name("cursor")?);
    let accounts = site.look(move |app| app.accounts(after.as_ref(), limit + 1)).await?;
    let (accounts, next_cursor) = reply::cut(accounts, limit, |it| it.id.to_string());
    let accounts: Vec<_> = accounts.into_iter().map(|account| Registered { account, is_new: false }).collect();
    reply::json(StatusCode::OK, &Page { data: accounts.iter().map(AccountShown::of).collect(), next_cursor })
}

/// A closed account.
#[derive(Serialize, ToSchema)]
#[schema(as = CloseReply)]
pub struct CloseShown<'a> {
    /// The ledger entry of this.
    id: EntryRef,
    account: AccountId<'a>,
    closed_at: Instant,
    balance: BalanceShown,
}

/// Close an account
///
/// No new spending; its personal fields are erased; its ledger stays, as the law asks. Takes no body. No server of it
/// starts any more, and those it has are to be given up: `server.release_due` says so at once, with the reason
/// `account_closed`. What they use until that is reported is counted.
///
/// What it has begun to buy and not paid yet is cancelled: its payment pages are closed as soon as the provider
/// answers. What was paid before that is paid, and believed: `payment.succeeded` says so, its credits are on the closed
/// account, where nobody can use them, and the operators' console asks for the payment to be refunded.
#[utoipa::path(post, path = "/v1/accounts/{account}/close", operation_id = "closeAccount", tag = "Accounts",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("Idempotency-Key" = String, Header, description = "New for a new request.", min_length = 1, max_length = 255),
    ),
    security(("api_key" = ["billing"])),
    responses(
        (status = 201, body = CloseShown, description = "Closed."),
        (status = 404, description = "No such account."),
        (status = 409, description = "It was closed before, or the key was used for something else."),
    ))]
pub async fn close(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Billing)?;
    let account = call.name("account").await?;
    let key = call.key()?;
    let answer = site.app.close_account(&account, &key, call.who()).await?;
    let What::Closed = &answer.transaction.what else { return Err(Refusal::IdempotencyConflict.into()) };
    let shown = CloseShown {
        id: EntryRef(answer.transaction.id()),
        account: AccountId(&answer.account),
        closed_at: Instant(answer.transaction.at),
        balance: BalanceShown::of(&answer.transaction.after),
    };
    reply::written(StatusCode::CREATED, &shown, answer.is_replay)
}

/// Credits that expire next, unless they are spent.
#[derive(Serialize, ToSchema)]
#[schema(as = NextExpiry)]
pub struct ExpiryShown {
    at: Instant,
    credits: Amount,
}

/// Credits that only some work may be paid from.
#[derive(Serialize, ToSchema)]
#[schema(as = ScopedCredits)]
pub struct ScopedShown<'a> {
    /// The meters of that work; empty for any.
    #[schema(value_type = Vec<String>)]
    meters: Vec<&'a str>,
    /// Its projects; empty for any.
    #[schema(value_type = Vec<String>)]
    projects: Vec<&'a str>,
    /// What is left of them, less what running servers have used. Where something is owed, less of them is available.
    credits: Amount,
}

impl<'a> ScopedShown<'a> {
    fn of((scope, credits): &'a (Reach, Credits)) -> ScopedShown<'a> {
        let meters = scope.meters.iter().map(|it| &**it).collect();
        ScopedShown { meters, projects: scope.projects.iter().map(Name::as_str).collect(), credits: Amount(*credits) }
    }
}

/// An account's balance at an instant. `available = posted − held − accrued`.
#[derive(Serialize, ToSchema)]
#[schema(as = Balance)]
pub struct BalanceAtShown<'a> {
    account: AccountId<'a>,
    as_of: Instant,
    /// Unspent credits, less the debt.
    posted: Amount,
    /// In open holds.
    held: Amount,
    /// Used by running servers and not yet settled.
    accrued: Amount,
    /// What may be spent.
    available: Amount,
    /// Bought and not yet paid. As it is now, also where `at` asks for another instant.
    pending_purchases: Amount,
    /// Owed for work beyond the credits there were.
    debt: Amount,
    /// Unspent credits by where they came from. Empty for an instant that more than 50 000 entries came before.
    #[schema(value_type = BTreeMap<String, Amount>)]
    by_source: BTreeMap<&'static str, Amount>,
    next_expiry: Option<ExpiryShown>,
    /// Credits among them that only some work may be paid from, by that work; a charge for other work is refused
    /// although they are available. Empty where all are for any work, and where `by_source` is.
    scoped: Vec<ScopedShown<'a>>,
    /// Credits used a day: by servers over the day after `as_of`, by all else over the week before it.
    burn_per_day: Amount,
    /// When the credits are used up at that pace; null when nothing burns.
    runs_out_at: Option<Instant>,
    /// The available credits at list price.
    money: MoneyShown,
}

impl<'a> BalanceAtShown<'a> {
    fn of(view: &'a BalanceView) -> BalanceAtShown<'a> {
        let balance = &view.balance;
        BalanceAtShown {
            account: AccountId(&view.account),
            as_of: Instant(view.as_of),
            posted: Amount(balance.posted),
            held: Amount(balance.held),
            accrued: Amount(balance.accrued),
            available: Amount(balance.available()),
            pending_purchases: Amount(view.pending_purchases),
            debt: Amount(balance.debt),
            by_source: view.by_source.iter().map(|(source, it)| (source.as_str(), Amount(*it))).collect(),
            next_expiry: view.next_expiry.map(|(at, it)| ExpiryShown { at: Instant(at), credits: Amount(it) }),
            scoped: view.scoped.iter().map(ScopedShown::of).collect(),
            burn_per_day: Amount(view.burn_per_day),
            runs_out_at: view.runs_out_at.map(Instant),
            money: view.money.into(),
        }
    }
}

/// An account's balance
///
/// Now, or at another instant: exact in the past, foretold in the future.
#[utoipa::path(get, path = "/v1/accounts/{account}/balance", operation_id = "getBalance", tag = "Accounts",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("at" = Option<String>, Query, description = "An instant, RFC 3339; now where nothing is said.",
            format = DateTime),
    ),
    security(("api_key" = ["read"])),
    responses(
        (status = 200, body = BalanceAtShown, description = "The balance."),
        (status = 404, description = "No such account."),
    ))]
pub async fn balance(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let account = call.name("account").await?;
    let at = call.query(&["at"])?.instant("at")?;
    let view = site.look(move |app| app.balance(&account, at)).await?;
    reply::json(StatusCode::OK, &BalanceAtShown::of(&view))
}
