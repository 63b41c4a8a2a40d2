//! Grants: credits in, listed, and taken back while they are unused.
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use billing::Refusal;
use billing::id::{GrantId, Name};
use billing::ledger::{Scope as Reach, Source, Terms, What};
use billing::money::{Currency, Money};
use billing::rating::Text;
use billing::total::TotalMoney;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::json::Object;
use super::super::knock::Knock;
use super::super::problem::Problem;
use super::super::site::Site;
use super::super::wire::{AccountId, Amount, AmountIn, EntryRef, GrantRef, Instant, InstantIn, NameIn, TextIn};
use super::charges::reason;
use super::purchases::MoneyIn;
use super::reply::{self, Answered, BalanceShown, Page};
use crate::service::{Answer, GrantOrder, GrantState, GrantView, Scope};

/// Meters or projects that one grant may be limited to.
const REACH_MAX: usize = 50;

/// Where credits come from. `purchase`, `auto_topup` and `subscription` are made by payments alone.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Source)]
pub enum SourceShown {
    Welcome,
    Promo,
    Purchase,
    AutoTopup,
    Subscription,
    Adjustment,
    Refund,
}

impl From<Source> for SourceShown {
    fn from(source: Source) -> SourceShown {
        match source {
            Source::Welcome => SourceShown::Welcome,
            Source::Promo => SourceShown::Promo,
            Source::Purchase => SourceShown::Purchase,
            Source::AutoTopup => SourceShown::AutoTopup,
            Source::Subscription => SourceShown::Subscription,
            Source::Adjustment => SourceShown::Adjustment,
            Source::Refund => SourceShown::Refund,
        }
    }
}

/// Sources an operator may grant from.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = GrantSource)]
pub enum SourceIn {
    Promo,
    Adjustment,
    Refund,
    /// For what was bought outside Scrip.
    Purchase,
}

/// What credits may be spent on. An empty list admits everything.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Scope)]
pub struct ReachIn {
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 50)]
    meters: Vec<TextIn>,
    #[serde(default)]
    #[schema(max_items = 50)]
    projects: Vec<NameIn>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GrantRequest, example = json!({
    "credits": "250", "source": "promo", "reason": "Launch week", "expires_at": "2030-01-01T00:00:00Z"
}))]
pub struct GrantIn {
    credits: AmountIn,
    source: SourceIn,
    /// The customer reads it.
    #[schema(value_type = String, min_length = 1, max_length = 500)]
    reason: TextIn,
    /// Now where nothing is said.
    effective_at: Option<InstantIn>,
    /// Never where nothing is said.
    expires_at: Option<InstantIn>,
    /// 0 is drawn first, 255 last; 100 where nothing is said.
    priority: Option<u8>,
    #[schema(value_type = Option<ReachIn>)]
    scope: Option<Object<ReachIn>>,
    /// What the customer paid for all of it elsewhere, tax aside; with `source` `purchase` alone. It is deferred, and
    /// recognised as the credits are used, as what is sold here.
    cost: Option<MoneyIn>,
}

/// Money in minor units of its currency: 1000 eur is ten euros, 1000 jpy a thousand yen.
#[derive(Serialize, ToSchema)]
#[schema(as = Money)]
pub struct MoneyShown {
    amount: i64,
    #[schema(pattern = "^[a-z]{3}$", example = "eur")]
    currency: String,
}

impl From<Money> for MoneyShown {
    fn from(money: Money) -> MoneyShown {
        MoneyShown { amount: money.amount, currency: money.currency.as_str().to_owned() }
    }
}

/// Money added up, in minor units of its currency: a whole number of as many digits as it has.
#[derive(Serialize, ToSchema)]
#[schema(as = TotalMoney)]
pub struct TotalMoneyShown {
    amount: i128,
    #[schema(pattern = "^[a-z]{3}$", example = "eur")]
    currency: String,
}

impl From<TotalMoney> for TotalMoneyShown {
    fn from(money: TotalMoney) -> TotalMoneyShown {
        TotalMoneyShown { amount: money.amount, currency: money.currency.as_str().to_owned() }
    }
}

/// The currency that `field` asks for.
pub fn currency_in_use(field: &str, text: &str) -> Result<Currency, Problem> {
    let wrong = |_| Problem::invalid(field, "must be an ISO 4217 code such as eur, of a currency in use");
    Currency::in_use(text).map_err(wrong)
}

#[derive(Serialize, ToSchema)]
#[schema(as = GrantScope)]
pub struct ReachShown {
    meters: Vec<String>,
    projects: Vec<String>,
}

/// Credits with a source, an expiry, and what is left of them.
#[derive(Serialize, ToSchema)]
#[schema(as = Grant)]
pub struct GrantShown {
    id: GrantRef,
    source: SourceShown,
    credits: Amount,
    /// Unspent and not in a hold.
    remaining: Amount,
    held: Amount,
    state: GrantStateShown,
    effective_at: Instant,
    /// Null for credits that stay. Later than was agreed by the time for which a dispute of its payment kept it frozen.
    expires_at: Option<Instant>,
    priority: u8,
    scope: ReachShown,
    /// The money paid for all of it; null for free credits.
    cost: Option<MoneyShown>,
    payment: Option<String>,
    reason: String,
    created_at: Instant,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = GrantState)]
pub enum GrantStateShown {
    /// Takes effect later.
    Pending,
    Live,
    /// Its payment is disputed: what remains of it is kept, and neither drawn nor in the balance until that is over.
    Frozen,
    Expired,
    /// Nothing is left of it.
    Spent,
    /// Nothing is left of it, and what was unused was taken back.
    Voided,
}

impl GrantShown {
    fn of(id: GrantId, terms: &Terms, view: &GrantView) -> GrantShown {
        GrantShown {
            id: GrantRef(id),
            source: terms.source.into(),
            credits: Amount(terms.credits),
            remaining: Amount(view.remaining),
            held: Amount(view.held),
            state: match view.state {
                GrantState::Pending => GrantStateShown::Pending,
                GrantState::Live => GrantStateShown::Live,
                GrantState::Frozen => GrantStateShown::Frozen,
                GrantState::Expired => GrantStateShown::Expired,
                GrantState::Spent => GrantStateShown::Spent,
                GrantState::Voided => GrantStateShown::Voided,
            },
            effective_at: Instant(terms.effective_at),
            expires_at: Instant::unless_never(view.expires_at),
            priority: terms.priority,
            scope: ReachShown {
                meters: terms.scope.meters.iter().map(ToString::to_string).collect(),
                projects: terms.scope.projects.iter().map(Name::to_string).collect(),
            },
            cost: terms.cost.map(MoneyShown::from),
            payment: terms.payment.as_ref().map(ToString::to_string),
            reason: terms.reason.to_string(),
            created_at: Instant(view.created_at),
        }
    }

    /// A grant as it was when it was made: of its transaction alone.
    fn made(answer: &Answer) -> Result<GrantShown, Problem> {
        let What::Granted { grant, terms } = &answer.transaction.what else {
            return Err(Refusal::IdempotencyConflict.into());
        };
        let created_at = answer.transaction.at;
        let state = if created_at < terms.effective_at { GrantState::Pending } else { GrantState::Live };
        let (remaining, held) = (terms.credits, billing::money::Credits::ZERO);
        let cursor = 0;
        let (terms, expires_at) = (Arc::clone(terms), terms.expires_at);
        let view = GrantView { id: *grant, terms, expires_at, created_at, remaining, held, state, cursor };
        Ok(GrantShown::of(*grant, &view.terms, &view))
    }
}

/// A grant that was made, and the balance after it.
#[derive(Serialize, ToSchema)]
#[schema(as = GrantReply)]
pub struct GrantReplyShown {
    #[serde(flatten)]
    grant: GrantShown,
    balance: BalanceShown,
}

/// Grant credits
#[utoipa::path(post, path = "/v1/accounts/{account}/grants", operation_id = "createGrant", tag = "Credits in",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("Idempotency-Key" = String, Header, description = "New for a new grant.", min_length = 1, max_length = 255),
    ),
    request_body = GrantIn, security(("api_key" = ["billing"])),
    responses(
        (status = 201, body = GrantReplyShown, description = "Granted; the same again for a key that was used before."),
        (status = 404, description = "No such account."),
        (status = 409, description = "The key came with another body before."),
    ))]
pub async fn create(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Billing)?;
    let account = call.name("account").await?;
    let (key, by) = (call.key()?, call.who());
    let asked: GrantIn = call.json().await?;
    let order = GrantOrder {
        account,
        credits: asked.credits.0,
        source: match asked.source {
            SourceIn::Promo => Source::Promo,
            SourceIn::Adjustment => Source::Adjustment,
            SourceIn::Refund => Source::Refund,
            SourceIn::Purchase => Source::Purchase,
        },
        reason: reason(asked.reason)?,
        effective_at: asked.effective_at.map(|it| it.0),
        expires_at: asked.expires_at.map(|it| it.0),
        priority: asked.priority,
        scope: reach(asked.scope.map(|it| it.0).unwrap_or_default())?,
        cost: asked.cost.map(|it| it.read("cost")).transpose()?,
        key,
        by,
    };
    let answer = site.app.grant(order).await?;
    let shown =
        GrantReplyShown { grant: GrantShown::made(&answer)?, balance: BalanceShown::of(&answer.transaction.after) };
    reply::written(StatusCode::CREATED, &shown, answer.is_replay)
}

fn reach(said: ReachIn) -> Result<Reach, Problem> {
    for (field, count) in [("scope.meters", said.meters.len()), ("scope.projects", said.projects.len())] {
        if REACH_MAX < count {
            return Err(Problem::invalid(field, format_args!("must have at most {REACH_MAX} items")));
        }
    }
    let meters: Vec<Text> = said.meters.into_iter().map(|it| it.0).collect();
    if meters.iter().any(|it| it.is_empty() || 64 < it.len()) {
        return Err(Problem::invalid("scope.meters", "must be names of meters"));
    }
    Ok(Reach { meters, projects: said.projects.into_iter().map(|it| it.0).collect() })
}

/// List an account's grants
#[utoipa::path(get, path = "/v1/accounts/{account}/grants", operation_id = "listGrants", tag = "Credits in",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("limit" = Option<u32>, Query, description = "Grants a page.", minimum = 1, maximum = 500),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.",
            pattern = "^[0-9]{1,19}$"),
    ),
    security(("api_key" = ["read"])),
    responses(
        (status = 200, body = Page<GrantShown>, description = "Newest first, used-up ones included."),
        (status = 404, description = "No such account."),
    ))]
pub async fn list(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let account = call.name("account").await?;
    let query = call.query(&["limit", "cursor"])?;
    let (limit, before) = (query.limit()?, query.cursor()?);
    let grants = site.look(move |app| app.grants(&account, before, limit + 1)).await?;
    let (grants, next_cursor) = reply::cut(grants, limit, |it| it.cursor.to_string());
    let shown = grants.iter().map(|it| GrantShown::of(it.id, &it.terms, it)).collect();
    reply::json(StatusCode::OK, &Page { data: shown, next_cursor })
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = VoidRequest, example = json!({"reason": "Granted to the wrong account"}))]
pub struct VoidIn {
    /// The customer reads it.
    #[schema(value_type = String, min_length = 1, max_length = 500)]
    reason: TextIn,
}

/// What was unused of a grant, taken back.
#[derive(Serialize, ToSchema)]
#[schema(as = VoidReply)]
pub struct VoidShown<'a> {
    /// The ledger entry of this.
    id: EntryRef,
    grant: GrantRef,
    account: AccountId<'a>,
    /// Taken back.
    credits: Amount,
    reason: &'a str,
    at: Instant,
    balance: BalanceShown,
}

/// Void what is unused of a grant
#[utoipa::path(post, path = "/v1/grants/{grant}/void", operation_id = "voidGrant", tag = "Credits in",
    params(
        ("grant" = GrantRef, Path, description = "The grant's id."),
        ("Idempotency-Key" = String, Header, description = "New for a new request.", min_length = 1, max_length = 255),
    ),
    request_body = VoidIn, security(("api_key" = ["billing"])),
    responses(
        (status = 201, body = VoidShown, description = "Voided."),
        (status = 404, description = "No such grant."),
        (status = 409, description = "Nothing is left of it, or the key came with another body before."),
    ))]
pub async fn void(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Billing)?;
    let grant: GrantId = call.id("grant", Refusal::GrantNotFound).await?;
    let (key, by) = (call.key()?, call.who());
    let asked: VoidIn = call.json().await?;
    let answer = site.app.void(grant, reason(asked.reason)?, &key, by).await?;
    let What::Voided { grant, credits, reason } = &answer.transaction.what else {
        return Err(Refusal::IdempotencyConflict.into());
    };
    let shown = VoidShown {
        id: EntryRef(answer.transaction.id()),
        grant: GrantRef(*grant),
        account: AccountId(&answer.account),
        credits: Amount(*credits),
        reason,
        at: Instant(answer.transaction.at),
        balance: BalanceShown::of(&answer.transaction.after),
    };
    reply::written(StatusCode::CREATED, &shown, answer.is_replay)
}
