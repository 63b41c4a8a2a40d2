//! The link in an e-mail about a payment that the bank wants the customer for: what it is about, and on to the bank.
//!
//! Opening it changes nothing, because mail programs and guards open links too; its button asks the bank.
use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use billing::id::PaymentId;

use super::frame::House;
use super::range::Query;
use super::{Paged, message, page, show as shows};
use crate::http::Site;
use crate::service::{By, PaymentView};

/// Who follows the link, as the audit log names them: whoever has the account's mail.
const BY_LINK: &str = "a link in an e-mail";
/// Said of whoever comes back from the bank.
const BACK: &str = "back";

#[derive(Template)]
#[template(path = "confirm.html")]
struct Page {
    house: House,
    item: String,
    total: String,
    token: String,
    /// The bank's page, once it was asked for.
    bank_url: Option<String>,
    is_waiting: bool,
}

fn shown(site: &Site, view: PaymentView, token: String, bank_url: Option<String>) -> Response {
    let (house, payment) = (House::of(&site.app.settings().brand), view.payment);
    let total = shows::money(payment.money(payment.total()));
    let is_waiting = payment.waits_for_customer() && !payment.is_given_up;
    page(StatusCode::OK, &Page { house, item: payment.item, total, token, bank_url, is_waiting })
}

pub async fn show(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Paged {
    let is_back = Query::parse(query.as_deref().unwrap_or_default()).get(BACK).is_some();
    let (token, id) = asked(&site, query).await?;
    if is_back {
        // The provider is asked how it went, and what it put into the address goes no further. Whatever hinders it
        // now, the worker does it later.
        drop(site.app.look_after_return(id).await);
        return Ok(Redirect::to(&format!("/emails/confirm?token={token}")).into_response());
    }
    let view = site.look(move |app| app.payment(id)).await.map_err(|it| message::failed(&site, it))?;
    Ok(shown(&site, view, token, None))
}

pub async fn ask(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Paged {
    let (token, id) = asked(&site, query).await?;
    let settings = site.app.settings();
    // The bank sends the customer back to this page, which says how it went.
    let return_url = settings.public_url.as_deref().map(|it| format!("{it}/emails/confirm?token={token}&{BACK}=1"));
    let return_url = return_url.unwrap_or_default();
    let asked = site.app.confirm_payment(id, return_url, None, &By::operator(BY_LINK)).await;
    let view = asked.map_err(|it| message::failed(&site, it.into()))?;
    let bank_url = view.payment.action_url.clone();
    Ok(shown(&site, view, token, bank_url))
}

async fn asked(site: &Arc<Site>, query: Option<String>) -> Result<(String, PaymentId), Response> {
    let token = Query::parse(query.as_deref().unwrap_or_default()).get("token").unwrap_or_default().to_owned();
    let sealed = token.clone();
    let found = site.look(move |app| app.payment_of_link(&sealed)).await.map_err(|it| message::failed(site, it))?;
    found.map(|it| (token, it)).ok_or_else(|| message::unknown_link(site))
}
