//! The ledger of an account: every transaction with its double entries. As JSON a page at a time, or the same as CSV.
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode};
use billing::id::Name;
use billing::ledger::{Entry, ServerAct, ServerReport, TopupChange, Transaction, What, Work};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::super::knock::Knock;
use super::super::problem::Problem;
use super::super::query::Query;
use super::super::site::Site;
use super::super::wire::{
    AccountId, Amount, ChargeRef, Dimensions, EntryRef, GrantRef, HoldRef, Instant, NameIn, Quantities,
};
use super::order::{DrawShown, Draws};
use super::reply::{self, Answered, BalanceShown, LineShown, Lines};
use crate::csv;
use crate::service::{EntryFilter, Scope};

const PARAMETERS: [&str; 9] = ["from", "to", "meter", "project", "server", "model", "actor", "limit", "cursor"];

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = EntryKind)]
pub enum KindShown {
    Grant,
    /// Debt paid off from a grant.
    Repayment,
    Charge,
    Hold,
    /// A hold grew, or was told of usage.
    Extension,
    /// A hold gave its credits back.
    Release,
    Reversal,
    /// The unused part of a grant, taken back.
    Void,
    Expiry,
    /// The account was closed.
    Close,
    /// Credits whose money went back, by a refund or a lost dispute.
    Withdrawal,
    /// Credits whose refund failed, back in their grant.
    Restoration,
    /// The payment for a grant is disputed: nothing is drawn from it.
    Freeze,
    /// The dispute is over.
    Thaw,
    /// The auto-topup rule was set.
    TopupRule,
    /// Credits are being bought by themselves.
    TopupStart,
    /// No money came of it.
    TopupFailure,
    /// A server was provisioned, or something was reported of one. What it costs are charges.
    Server,
    /// A budget was set, counted up or deleted.
    Budget,
    /// Something was said of the balance, of servers or of a budget; or by what they are counted.
    Notice,
}

impl KindShown {
    pub fn of(what: &What) -> KindShown {
        match what {
            What::Granted { .. } => KindShown::Grant,
            What::Repaid { .. } => KindShown::Repayment,
            What::Charged { .. } => KindShown::Charge,
            What::Held { .. } => KindShown::Hold,
            What::Extended { .. } => KindShown::Extension,
            What::Released { .. } => KindShown::Release,
            What::Reversed(_) => KindShown::Reversal,
            What::Voided { .. } => KindShown::Void,
            What::Expired { .. } => KindShown::Expiry,
            What::Closed => KindShown::Close,
            What::Withdrawn(_) => KindShown::Withdrawal,
            What::Restored { .. } => KindShown::Restoration,
            What::Frozen { is_frozen: true, .. } => KindShown::Freeze,
            What::Frozen { .. } => KindShown::Thaw,
            What::Topup(TopupChange::Set { .. }) => KindShown::TopupRule,
            What::Topup(TopupChange::Started { .. }) => KindShown::TopupStart,
            What::Topup(TopupChange::Failed { .. }) => KindShown::TopupFailure,
            What::Server(_) => KindShown::Server,
            What::Budget(_) => KindShown::Budget,
            What::BurnTerms(_) | What::Noticed => KindShown::Notice,
        }
    }
    pub fn as_str(self) -> &'static str {
        match self {
            KindShown::Grant => "grant",
            KindShown::Repayment => "repayment",
            KindShown::Charge => "charge",
            KindShown::Hold => "hold",
            KindShown::Extension => "extension",
            KindShown::Release => "release",
            KindShown::Reversal => "reversal",
            KindShown::Void => "void",
            KindShown::Expiry => "expiry",
            KindShown::Close => "close",
            KindShown::Withdrawal => "withdrawal",
            KindShown::Restoration => "restoration",
            KindShown::Freeze => "freeze",
            KindShown::Thaw => "thaw",
            KindShown::TopupRule => "topup_rule",
            KindShown::TopupStart => "topup_start",
            KindShown::TopupFailure => "topup_failure",
            KindShown::Server => "server",
            KindShown::Budget => "budget",
            KindShown::Notice => "notice",
        }
    }
}

/// Credits moved from one ledger account to another.
#[derive(Serialize, ToSchema)]
#[schema(as = Movement)]
pub struct MovementShown {
    /// `issuance:…`, `grants`, `held`, `debt`, `usage:…`, `breakage`, `voided`, `refunded` or `clawback`.
    from: String,
    to: String,
    credits: Amount,
    grant: Option<GrantRef>,
}

impl MovementShown {
    fn of(entry: &Entry) -> MovementShown {
        let grant = entry.grant.map(GrantRef);
        MovementShown { from: entry.from.to_string(), to: entry.to.to_string(), credits: Amount(entry.credits), grant }
    }
}

/// One thing that happened to an account: who, when, why, and what moved.
#[derive(Serialize, ToSchema)]
#[schema(as = Entry)]
pub struct EntryShown<'a> {
    id: EntryRef,
    at: Instant,
    #[schema(value_type = KindShown)]
    kind: &'static str,
    account: AccountId<'a>,
    /// What the account has more after this or, with a minus, less. Nothing for credits that only moved into or out of
    /// a hold. One after the other these add up to `balance.posted`, and what that leaves out because nobody can use it
    /// just then: credits that are frozen by a dispute, that are yet to begin, or that expire at that very instant.
    credits: Amount,
    /// Of the price of the work, what was paid by credits that had expired; with a minus, what goes back to such. They
    /// left the account when they expired, so they are no part of `credits`: the price is this less `credits`.
    from_expired: Amount,
    /// What moved, in double entry.
    movements: Vec<MovementShown>,
    balance: BalanceShown,
    /// Name of the API key that asked; null for what time brought about.
    by: Option<&'a str>,
    idempotency_key: Option<&'a str>,
    reason: Option<&'a str>,
    charge: Option<ChargeRef>,
    hold: Option<HoldRef>,
    grant: Option<GrantRef>,
    /// The work it is about; null where it is about none.
    work: Option<WorkShown<'a>>,
    /// What was reported of a server; null for all but the kind `server`.
    server: Option<ServerActShown<'a>>,
    /// Grants drawn from or given back to, in order.
    #[schema(value_type = Vec<DrawShown>)]
    grants: Draws<'a>,
}

/// What was reported of a server. What it costs are charges of their own.
#[derive(Serialize, ToSchema)]
#[schema(as = ServerAct)]
pub struct ServerActShown<'a> {
    #[schema(value_type = NameIn)]
    id: &'a str,
    /// `provision`, `start`, `stop`, `resize`, `release` or `fail`; `prices` where new ones of its tier took effect.
    #[schema(example = "start")]
    act: &'static str,
    /// When it happened.
    at: Instant,
    /// What it is or was made to be; null for what says nothing of it.
    tier: Option<&'a str>,
}

impl<'a> ServerActShown<'a> {
    fn of(report: &'a ServerReport) -> ServerActShown<'a> {
        let (act, tariff) = match &report.act {
            ServerAct::Provision { tariff, .. } => ("provision", Some(tariff)),
            ServerAct::Change(change) => (change.as_str(), change.tariff()),
        };
        let tier = tariff.map(|it| &*it.tier);
        ServerActShown { id: report.server.as_str(), act, at: Instant(report.at), tier }
    }
}

/// Work, and how it was priced.
#[derive(Serialize, ToSchema)]
#[schema(as = Work)]
pub struct WorkShown<'a> {
    meter: &'a str,
    project: Option<&'a str>,
    actor: Option<&'a str>,
    resource: Option<&'a str>,
    /// When it happened.
    at: Instant,
    quantities: Quantities<'a>,
    dimensions: Dimensions<'a>,
    rate_card: u32,
    #[schema(value_type = Vec<LineShown>)]
    lines: Lines<'a>,
}

impl<'a> WorkShown<'a> {
    fn of(work: &'a Work) -> WorkShown<'a> {
        WorkShown {
            meter: &work.usage.meter,
            project: work.project.as_ref().map(Name::as_str),
            actor: work.actor.as_ref().map(Name::as_str),
            resource: work.resource.as_ref().map(Name::as_str),
            at: Instant(work.occurred_at),
            quantities: Quantities(&work.usage.quantities),
            dimensions: Dimensions(&work.usage.dimensions),
            rate_card: work.price.rate_card,
            lines: Lines(&work.price.lines),
        }
    }
}

impl<'a> EntryShown<'a> {
    pub fn of(account: &'a Name, transaction: &'a Transaction) -> EntryShown<'a> {
        let blank = EntryShown {
            id: EntryRef(transaction.id()),
            at: Instant(transaction.at),
            kind: KindShown::of(&transaction.what).as_str(),
            account: AccountId(account),
            credits: Amount(transaction.gain()),
            from_expired: Amount(transaction.from_expired()),
            movements: transaction.entries().iter().map(MovementShown::of).collect(),
            balance: BalanceShown::of(&transaction.after),
            by: transaction.origin.by.as_deref(),
            idempotency_key: transaction.origin.key.as_deref(),
            reason: None,
            charge: None,
            hold: None,
            grant: None,
            work: None,
            server: None,
            grants: Draws(&[]),
        };
        blank.about(transaction)
    }

    fn about(self, transaction: &'a Transaction) -> EntryShown<'a> {
        match &transaction.what {
            What::Granted { grant, terms } => {
                EntryShown { grant: Some(GrantRef(*grant)), reason: Some(&terms.reason), ..self }
            }
            What::Repaid { grant, .. } | What::Expired { grant, .. } => {
                EntryShown { grant: Some(GrantRef(*grant)), ..self }
            }
            What::Voided { grant, reason, .. } => {
                EntryShown { grant: Some(GrantRef(*grant)), reason: Some(reason), ..self }
            }
            What::Charged { work, draws, closing, .. } => EntryShown {
                charge: Some(ChargeRef(transaction.charge_id())),
                hold: closing.as_ref().map(|it| HoldRef(it.hold)),
                work: Some(WorkShown::of(work)),
                grants: Draws(draws),
                ..self
            },
            What::Held { hold, work, draws, .. } => {
                EntryShown { hold: Some(HoldRef(*hold)), work: Some(WorkShown::of(work)), grants: Draws(draws), ..self }
            }
            What::Extended { hold, used, draws, .. } => EntryShown {
                hold: Some(HoldRef(*hold)),
                work: used.as_deref().map(WorkShown::of),
                grants: Draws(draws),
                ..self
            },
            What::Released { hold, draws, .. } => {
                EntryShown { hold: Some(HoldRef(*hold)), grants: Draws(draws), ..self }
            }
            What::Reversed(it) => EntryShown {
                charge: Some(ChargeRef(it.charge)),
                work: Some(WorkShown::of(&it.work)),
                reason: Some(&it.reason),
                grants: Draws(&it.draws),
                ..self
            },
            What::Withdrawn(it) | What::Restored { withdrawal: it, .. } => {
                EntryShown { grant: Some(GrantRef(it.grant)), reason: Some(&it.reason), ..self }
            }
            What::Frozen { grant, .. } => EntryShown { grant: Some(GrantRef(*grant)), ..self },
            What::Topup(TopupChange::Failed { failure, .. }) => EntryShown { reason: Some(failure.in_words()), ..self },
            What::Server(report) => EntryShown { server: Some(ServerActShown::of(report)), ..self },
            What::Closed | What::Topup(_) => self,
            What::BurnTerms(_) | What::Budget(_) | What::Noticed => self,
        }
    }
}

/// A page of the ledger.
#[derive(Serialize, ToSchema)]
#[schema(as = EntryPage)]
pub struct EntriesShown<'a> {
    #[schema(value_type = Vec<EntryShown>)]
    data: Entries<'a>,
    /// Send it as `cursor` for the next page; null on the last. With filters a page may be short and not the last.
    next_cursor: Option<String>,
}

struct Entries<'a>(&'a Name, &'a [Arc<Transaction>]);

impl Serialize for Entries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.1.iter().map(|it| EntryShown::of(self.0, it)))
    }
}

/// An account's ledger
///
/// Every transaction, newest first, filtered and a page at a time. As CSV the next page's cursor is in the header
/// `Next-Cursor`.
#[utoipa::path(get, path = "/v1/accounts/{account}/entries", operation_id = "listEntries", tag = "Usage and history",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("from" = Option<String>, Query, description = "Written down at this instant or later.", format = DateTime),
        ("to" = Option<String>, Query, description = "Written down before this instant.", format = DateTime),
        ("meter" = Option<String>, Query, description = "Only work of this meter.", min_length = 1),
        ("project" = Option<NameIn>, Query, description = "Only work for this project."),
        ("server" = Option<NameIn>, Query, description = "Only work of this server, and what was reported of it."),
        ("model" = Option<String>, Query, description = "Only work of this model.", min_length = 1),
        ("actor" = Option<NameIn>, Query, description = "Only work of this actor."),
        ("limit" = Option<u32>, Query, description = "Entries a page.", minimum = 1, maximum = 500),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.",
            pattern = "^[0-9]{1,19}$"),
    ),
    security(("api_key" = ["read"])),
    responses(
        (status = 200, description = "A page of entries.", content(
            (EntriesShown = "application/json"), (String = "text/csv")),
            headers(("Next-Cursor" = String, description = "Of a page of CSV that is not the last: what \
                `next_cursor` is in JSON."))),
        (status = 404, description = "No such account."),
    ))]
pub async fn list(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let account = call.name("account").await?;
    let query = call.query(&PARAMETERS)?;
    let (filter, before, limit) = (filter(&query)?, query.cursor()?, query.limit()?);
    let wants_csv = call.wants_csv();
    let name = account.clone();
    let page = site.look(move |app| app.entries(&account, &filter, before, limit)).await?;
    let next_cursor = page.next.map(|it| it.to_string());
    if !wants_csv {
        return reply::json(StatusCode::OK, &EntriesShown { data: Entries(&name, &page.entries), next_cursor });
    }
    let mut response = reply::csv(as_csv(&page.entries));
    if let Some(cursor) = next_cursor {
        let value = HeaderValue::try_from(cursor).map_err(Problem::internal)?;
        response.headers_mut().insert("next-cursor", value);
    }
    Ok(response)
}

fn filter(query: &Query) -> Result<EntryFilter, Problem> {
    Ok(EntryFilter {
        from: query.instant("from")?,
        to: query.instant("to")?,
        is_by_work: false,
        is_for_people: false,
        meters: query.text("meter").map(Into::into).into_iter().collect(),
        project: query.name("project")?,
        server: query.name("server")?,
        model: query.text("model").map(Into::into),
        actor: query.name("actor")?,
    })
}

/// The same entries, one a line.
fn as_csv(entries: &[Arc<Transaction>]) -> String {
    let mut text = String::from(
        "id,at,kind,credits,available,held,debt,meter,project,model,actor,resource,occurred_at,rate_card,quantities,\
         by,act,from_expired\n",
    );
    for transaction in entries {
        let work = match &transaction.what {
            What::Charged { work, .. } | What::Held { work, .. } => Some(work),
            What::Extended { used, .. } => used.as_ref(),
            What::Reversed(it) => Some(&it.work),
            _ => None,
        };
        let report = match &transaction.what {
            What::Server(report) => Some(ServerActShown::of(report)),
            _ => None,
        };
        let resource = work.and_then(|it| it.resource.as_ref()).map(Name::as_str).or(report.as_ref().map(|it| it.id));
        let occurred_at = work.map(|it| Instant(it.occurred_at)).or(report.as_ref().map(|it| it.at));
        let after = &transaction.after;
        let model = work.and_then(|it| it.usage.dimensions.iter().find(|(name, _)| &**name == "model"));
        let quantities = work.map(|it| it.usage.quantities.iter().map(|(name, it)| format!("{name}={it}")));
        text.push_str(&transaction.id().to_string());
        for value in [
            Instant(transaction.at).to_string(),
            KindShown::of(&transaction.what).as_str().to_owned(),
            transaction.gain().to_string(),
            after.available().to_string(),
            after.held.to_string(),
            after.debt.to_string(),
            work.map(|it| it.usage.meter.to_string()).unwrap_or_default(),
            work.and_then(|it| it.project.as_ref()).map(Name::to_string).unwrap_or_default(),
            model.map(|(_, it)| it.to_string()).unwrap_or_default(),
            work.and_then(|it| it.actor.as_ref()).map(Name::to_string).unwrap_or_default(),
            resource.unwrap_or_default().to_owned(),
            occurred_at.map(|it| it.to_string()).unwrap_or_default(),
            work.map(|it| it.price.rate_card.to_string()).unwrap_or_default(),
            quantities.map(|it| it.collect::<Vec<String>>().join(" ")).unwrap_or_default(),
            transaction.origin.by.as_deref().unwrap_or_default().to_owned(),
            report.map(|it| it.act).unwrap_or_default().to_owned(),
            transaction.from_expired().to_string(),
        ] {
            csv::value(&mut text, &value);
        }
        text.push('\n');
    }
    text
}
