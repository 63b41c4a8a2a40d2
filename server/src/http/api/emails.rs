//! E-mails to an account's people: what they want to get, what was sent, and sending it again.
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use billing::Refusal;
use billing::id::DeliveryId;
use billing::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::knock::Knock;
use super::super::site::Site;
use super::super::wire::{Instant, NameIn};
use super::reply::{self, Answered, Page};
use crate::service::{EmailView, Preferences, Scope, Topic};

/// What to be written to about. What is left out stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NoticePreferencesRequest, example = json!({"digest": false}))]
pub struct PreferencesIn {
    receipts: Option<bool>,
    balance: Option<bool>,
    budgets: Option<bool>,
    expiry: Option<bool>,
    renewals: Option<bool>,
    digest: Option<bool>,
}

/// What an account's people are written to about.
#[derive(Serialize, ToSchema)]
#[schema(as = NoticePreferences)]
pub struct PreferencesShown {
    /// Payments, refunds, top-ups, renewals and invoices.
    receipts: bool,
    /// A balance or a runway that is low.
    balance: bool,
    /// Thresholds of budgets.
    budgets: bool,
    /// Cards and credits that expire.
    expiry: bool,
    /// Renewals ahead.
    renewals: bool,
    /// The summary of each week.
    digest: bool,
}

impl PreferencesShown {
    fn of(preferences: &Preferences) -> PreferencesShown {
        PreferencesShown {
            receipts: preferences.wants(Topic::Receipts),
            balance: preferences.wants(Topic::Balance),
            budgets: preferences.wants(Topic::Budgets),
            expiry: preferences.wants(Topic::Expiry),
            renewals: preferences.wants(Topic::Renewals),
            digest: preferences.wants(Topic::Digest),
        }
    }
}

/// One e-mail, with every try.
#[derive(Serialize, ToSchema)]
#[schema(as = Email)]
pub struct EmailShown {
    #[schema(pattern = "^delivery_[0-9a-z]{26}$")]
    id: String,
    #[schema(example = "balance.low")]
    event: String,
    subject: String,
    #[schema(pattern = "^(pending|delivered|failed|canceled)$")]
    status: &'static str,
    created_at: Instant,
    next_try_at: Option<Instant>,
    /// How it went each time, oldest first.
    tries: Vec<EmailTryShown>,
}

/// How one try went.
#[derive(Serialize, ToSchema)]
#[schema(as = EmailTry)]
pub struct EmailTryShown {
    at: Instant,
    /// The address, as far as it is kept.
    #[schema(example = "a…@example.com")]
    to: String,
    /// What the mail server answered, or why there was no answer.
    answer: String,
}

impl EmailShown {
    fn new(view: EmailView) -> EmailShown {
        let tries = view.email.log.into_iter().map(|it| EmailTryShown {
            at: Instant(Timestamp::from_millis(it.at)),
            to: it.to,
            answer: it.said,
        });
        EmailShown {
            id: view.id,
            event: view.email.what,
            subject: view.subject,
            status: view.email.state.as_str(),
            created_at: Instant(view.created_at),
            next_try_at: view.next_try_at.map(Instant),
            tries: tries.collect(),
        }
    }
}

/// What an account is written to about
///
/// Everything, until somebody says otherwise. Payments that failed and servers about to be stopped are always told.
#[utoipa::path(get, path = "/v1/accounts/{account}/notice-preferences", operation_id = "getNoticePreferences",
    tag = "Telling others",
    params(("account" = NameIn, Path, description = "The account.")), security(("api_key" = ["read"])),
    responses(
        (status = 200, body = PreferencesShown, description = "The preferences."),
        (status = 404, description = "No such account."),
    ))]
pub async fn preferences(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let account = call.name("account").await?;
    call.query(&[])?;
    let preferences = site.look(move |app| app.notice_preferences(&account)).await?;
    reply::json(StatusCode::OK, &PreferencesShown::of(&preferences))
}

/// Change what an account is written to about
#[utoipa::path(put, path = "/v1/accounts/{account}/notice-preferences", operation_id = "putNoticePreferences",
    tag = "Telling others",
    params(("account" = NameIn, Path, description = "The account.")),
    request_body = PreferencesIn, security(("api_key" = ["billing"])),
    responses(
        (status = 200, body = PreferencesShown, description = "The preferences as they are now."),
        (status = 404, description = "No such account."),
    ))]
pub async fn put_preferences(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Billing)?;
    let (account, by) = (call.name("account").await?, call.by());
    let said: PreferencesIn = call.json().await?;
    let all = [
        (Topic::Receipts, said.receipts),
        (Topic::Balance, said.balance),
        (Topic::Budgets, said.budgets),
        (Topic::Expiry, said.expiry),
        (Topic::Renewals, said.renewals),
        (Topic::Digest, said.digest),
    ];
    let changes: Vec<(Topic, bool)> = all.into_iter().filter_map(|(topic, it)| Some((topic, it?))).collect();
    let preferences = site.look(move |app| app.set_notice_preferences(&account, &changes, &by)).await?;
    reply::json(StatusCode::OK, &PreferencesShown::of(&preferences))
}

/// List an account's e-mails
#[utoipa::path(get, path = "/v1/accounts/{account}/emails", operation_id = "listEmails", tag = "Telling others",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("limit" = Option<usize>, Query, description = "E-mails a page.", minimum = 1, maximum = 500),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.",
            pattern = "^delivery_[0-9a-z]{26}$"),
    ),
    security(("api_key" = ["read"])),
    responses(
        (status = 200, body = Page<EmailShown>,
            description = "Newest first, with every try; until ninety days after the last."),
        (status = 404, description = "No such account."),
    ))]
pub async fn list(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let account = call.name("account").await?;
    let query = call.query(&["limit", "cursor"])?;
    let (limit, before) = (query.limit()?, query.cursor_of::<DeliveryId>()?);
    let found = site.look(move |app| app.emails(&account, before.as_deref(), limit + 1)).await?;
    let (found, next_cursor) = reply::cut(found, limit, |it| it.id.clone());
    reply::json(StatusCode::OK, &Page { data: found.into_iter().map(EmailShown::new).collect(), next_cursor })
}

/// Send an e-mail again
///
/// To the account's present address. It is due at once, with all its tries before it, whatever became of it.
#[utoipa::path(post, path = "/v1/accounts/{account}/emails/{email}/resend", operation_id = "resendEmail",
    tag = "Telling others",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("email" = String, Path, description = "Its id.", pattern = "^delivery_[0-9a-z]{26}$"),
        ("Idempotency-Key" = Option<String>, Header, description = "With one, repeating it sends nothing more.",
            min_length = 1, max_length = 255),
    ),
    security(("api_key" = ["billing"])),
    responses(
        (status = 200, body = EmailShown, description = "The e-mail, due now."),
        (status = 404, description = "No such account or e-mail."),
        (status = 409, description = "The key came with another request before."),
    ))]
pub async fn resend(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Billing)?;
    let account = call.name("account").await?;
    let id: DeliveryId = call.id("email", Refusal::EmailNotFound).await?;
    let (by, key) = (call.who(), call.key_if_any()?);
    let (email, is_replay) = site.look(move |app| app.resend_email(&account, id, &by, key.as_ref())).await?;
    reply::written(StatusCode::OK, &EmailShown::new(email), is_replay)
}
