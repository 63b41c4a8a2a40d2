//! Servers: ordered, reported of, looked up. They burn by the second from their start to their stop.
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use billing::money::Credits;
use billing::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::knock::Knock;
use super::super::problem::Problem;
use super::super::query::Stretch;
use super::super::site::Site;
use super::super::wire::{Amount, Instant, InstantIn, NameIn, TextIn};
use super::reply::{self, Answered, Page};
use crate::service::{Scope, ServerAnswer, ServerEvent, ServerOrder, ServerVerb, ServerView};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ServerRequest, example = json!({"project": "web-shop", "tier": "entry-level"}))]
pub struct ServerIn {
    project: Option<NameIn>,
    /// A tier of the rate card.
    tier: TextIn,
    region: Option<TextIn>,
    /// When it was ordered; now where nothing is said. Up to 35 days back, for one that runs already.
    at: Option<InstantIn>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ServerReport, example = json!({"at": "2026-11-22T10:00:00Z"}))]
pub struct EventIn {
    /// When it happened; now where nothing is said. A report that comes late corrects the bill, up to 35 days back. Not
    /// before the server was ordered, but for a minute by which clocks may differ.
    at: Option<InstantIn>,
    /// The tier resized to.
    tier: Option<TextIn>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Server)]
pub struct ServerShown {
    #[schema(pattern = "^[A-Za-z0-9._:@-]{1,128}$")]
    id: String,
    project: Option<String>,
    /// `provisioning`, `running`, `stopped`, `released` or `failed`.
    state: String,
    tier: String,
    region: Option<String>,
    provisioned_at: Instant,
    /// When it was first handed over.
    started_at: Option<Instant>,
    /// Runtime so far; a run that ends before its tier's minimum counts the rest of it when it ends.
    seconds: u64,
    provisioning_credits: Amount,
    /// Up to this very moment.
    runtime_credits: Amount,
    /// Used beyond the debt floor, and charged to nobody.
    beyond_floor: Amount,
    /// Of the runtime, not yet in the ledger: what has been used since the hour began.
    accrued: Amount,
    /// Whether the rest of this calendar month is free.
    month_cap_reached: bool,
    /// What it costs in this calendar month if it runs on to its end, its set-up with it where that was this month.
    projected_month: Amount,
    /// By which version of the rate card its time is priced.
    rate_card: u32,
    /// The least time that is charged of it once it was started; when it is released sooner, the rest is charged then.
    /// 0 where its tier asks for none.
    commitment_seconds: u64,
}

impl ServerShown {
    fn of(view: &ServerView) -> ServerShown {
        ServerShown::answering(ServerAnswer::of(view))
    }

    fn answering(it: ServerAnswer) -> ServerShown {
        let (amount, instant) =
            (|it: i64| Amount(Credits::from_micros(it)), |it: i64| Instant(Timestamp::from_millis(it)));
        ServerShown {
            id: it.id,
            project: it.project,
            state: it.state,
            tier: it.tier,
            region: it.region,
            provisioned_at: instant(it.provisioned_at),
            started_at: it.started_at.map(instant),
            seconds: it.seconds,
            provisioning_credits: amount(it.set_up),
            runtime_credits: amount(it.runtime),
            beyond_floor: amount(it.beyond),
            accrued: amount(it.accrued),
            month_cap_reached: it.is_capped,
            projected_month: amount(it.projected_month),
            rate_card: it.rate_card,
            commitment_seconds: it.commitment_seconds,
        }
    }
}

/// Order a server
///
/// It costs nothing until it is started; what it will cost at least must be there: its set-up, and its first minute or,
/// where its tier has one, its minimum commitment. The same order again answers with the server as it stands.
#[utoipa::path(put, path = "/v1/accounts/{account}/servers/{server}", operation_id = "putServer", tag = "Servers",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("server" = NameIn, Path, description = "A name of your own choice, never used again once released."),
    ),
    request_body = ServerIn, security(("api_key" = ["charge"])),
    responses(
        (status = 200, body = ServerShown, description = "It was ordered before."),
        (status = 201, body = ServerShown, description = "Ordered."),
        (status = 402, description = "`insufficient_credits`."),
        (status = 404, description = "No such account."),
        (status = 409, description = "`server_conflict`: another server has or had this name."),
        (status = 422, description = "The rate card has no such tier."),
    ))]
pub async fn put(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Charge)?;
    let (account, server) = (call.name("account").await?, call.name("server").await?);
    let by = call.who();
    let said: ServerIn = call.json().await?;
    let order = ServerOrder {
        account: account.clone(),
        server,
        project: said.project.map(|it| it.0),
        tier: said.tier.0,
        region: said.region.map(|it| it.0),
        at: said.at.map(|it| it.0),
        by,
    };
    let ordered = site.app.provision_server(order).await.map_err(Problem::from);
    let (view, is_new) = ordered.map_err(|it| site.refused(it, &account))?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    reply::json(status, &ServerShown::of(&view))
}

/// Report what happened to a server
///
/// Saying what is known already changes nothing, so reports may be repeated. They may come in any order: what a server
/// costs follows from when things happened, never from when they were told. A report of the past corrects what was
/// charged since, each second by the prices of its time: credits return to the grants they came from. Of a stop and a
/// start of one instant both are done. What comes after an end is no news, but a start or a resize, which is refused.
#[utoipa::path(post, path = "/v1/accounts/{account}/servers/{server}/{action}", operation_id = "reportServer",
    tag = "Servers",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("server" = NameIn, Path, description = "The server."),
        ("action" = String, Path, description = "start, stop, resize, release or fail.",
            pattern = "^(start|stop|resize|release|fail)$"),
        ("Idempotency-Key" = Option<String>, Header, description = "Optional: a report repeats itself safely."),
    ),
    request_body = EventIn, security(("api_key" = ["charge"])),
    responses(
        (status = 200, body = ServerShown,
            description = "The server as it stands now; under a key that came before, as it stood then."),
        (status = 402, description = "`insufficient_credits`: a stopped server may not start on nothing."),
        (status = 404, description = "No such account or server."),
        (status = 409, description = "`server_conflict`: not possible by what is known of the server, and says by \
            what. Or more was reported since than is remembered: of the last 1000 reports each can be corrected."),
        (status = 422, description = "`at` is in the future, more than 35 days ago or before the server was ordered: \
            order one that runs already with an `at` of its own."),
    ))]
pub async fn report(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Charge)?;
    let (account, server) = (call.name("account").await?, call.name("server").await?);
    let verb: ServerVerb = call.segment("action").await?.parse()?;
    let key = if call.has_key() { Some(call.key()?) } else { None };
    let by = call.who();
    let said: EventIn = call.json().await?;
    let (at, tier) = (said.at.map(|it| it.0), said.tier.map(|it| it.0));
    let event = ServerEvent { account: account.clone(), server, verb, at, tier, key, by };
    let reported = site.app.report_server(event).await.map_err(Problem::from);
    let (answer, is_replay) = reported.map_err(|it| site.refused(it, &account))?;
    reply::written(StatusCode::OK, &ServerShown::answering(answer), is_replay)
}

/// Look up a server
#[utoipa::path(get, path = "/v1/accounts/{account}/servers/{server}", operation_id = "getServer", tag = "Servers",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("server" = NameIn, Path, description = "The server."),
    ),
    security(("api_key" = ["read"])),
    responses(
        (status = 200, body = ServerShown, description = "The server as it stands now."),
        (status = 404, description = "No such account or server."),
    ))]
pub async fn show(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let (account, server) = (call.name("account").await?, call.name("server").await?);
    let view = site.look(move |app| app.server(&account, &server)).await?;
    reply::json(StatusCode::OK, &ServerShown::of(&view))
}

/// List an account's servers
#[utoipa::path(get, path = "/v1/accounts/{account}/servers", operation_id = "listServers", tag = "Servers",
    params(("account" = NameIn, Path, description = "The account."), Stretch), security(("api_key" = ["read"])),
    responses(
        (status = 200, body = Page<ServerShown>, description = "By name; released ones for 35 days."),
        (status = 404, description = "No such account."),
    ))]
pub async fn list(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let account = call.name("account").await?;
    let stretch = call.query(&["limit", "cursor"])?.stretch()?;
    let views = site.look(move |app| app.servers(&account)).await?;
    reply::page(&stretch, views.iter().map(ServerShown::of).collect())
}
