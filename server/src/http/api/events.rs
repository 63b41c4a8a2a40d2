//! An account's events as they happen: `text/event-stream`.
use std::sync::Arc;

use axum::extract::State;
use axum::response::sse::Event;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::knock::Knock;
use super::super::live::{self, Audience};
use super::super::site::Site;
use super::super::wire::{Instant, NameIn};
use super::entries::{EntryShown, KindShown};
use super::purchases::PaymentShown;
use super::reply::{Answered, BalanceShown};
use crate::app::App;
use crate::service::{News, PaymentView, Scope};

/// The balance at an instant.
#[derive(Serialize, ToSchema)]
#[schema(as = BalanceEvent)]
pub struct BalanceTold {
    as_of: Instant,
    #[serde(flatten)]
    balance: BalanceShown,
    /// When the available credits are used up at the present pace.
    runs_out_at: Option<Instant>,
}

/// Follow an account
///
/// A stream of events that stays open. `balance` comes at once, after every change, and every few seconds. What is
/// written down comes as an event named by its kind (`charge`, `grant`, `hold`, `reversal` …), its data an entry of the
/// ledger; `payment` comes whenever a payment changes its state; and `budget`, beside the entries that set one,
/// whenever a threshold of one is reached, its data what the webhook `budget.threshold_reached` says. Each id is the
/// version it brings you to: a client that returns with `Last-Event-ID` is told what it missed, the newest 200.
#[utoipa::path(get, path = "/v1/accounts/{account}/events", operation_id = "followAccount", tag = "Usage and history",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was seen.",
            pattern = "^[0-9]{1,19}$"),
    ),
    security(("api_key" = ["read"])),
    responses(
        (status = 200, description = "Events, until the client goes, the key is revoked or the server stops.",
            content((BalanceTold = "text/event-stream"))),
        (status = 404, description = "No such account."),
    ))]
pub async fn follow(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let account = call.name("account").await?;
    let caller = call.caller.clone();
    let may = Arc::new(move |app: &App| Ok(app.may_still(&caller, Scope::Read)));
    let audience = Audience { render: Box::new(told), may };
    live::stream(Arc::clone(&site), account, call.headers(), audience).await
}

fn told(news: &News) -> Vec<Event> {
    let account = &news.balance.account;
    let entry = |it: &Arc<billing::ledger::Transaction>| {
        let event = Event::default().event(KindShown::of(&it.what).as_str()).id(it.place.version.to_string());
        event.json_data(EntryShown::of(account, it)).ok()
    };
    let balance = BalanceTold {
        as_of: Instant(news.balance.as_of),
        balance: BalanceShown::of(&news.balance.balance),
        runs_out_at: news.balance.runs_out_at.map(Instant),
    };
    let balance = Event::default().event("balance").id(news.version.to_string()).json_data(balance).ok();
    let payment = |it: &PaymentView| Event::default().event("payment").json_data(PaymentShown::of(it.clone())).ok();
    let payments = news.payments.iter().filter_map(payment);
    // Before the entry that reached it, and without an id: who goes away in between is told it again.
    let reached = |version: u64| {
        let its = news.reached.iter().filter(move |it| it.0 == version);
        its.filter_map(|it| Event::default().event("budget").json_data(&it.1).ok())
    };
    let entries = news.transactions.iter().flat_map(|it| reached(it.place.version).chain(entry(it)));
    entries.chain(payments).chain(balance).collect()
}
