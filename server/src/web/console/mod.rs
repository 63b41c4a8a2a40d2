//! The operators' console: accounts, money, prices, webhooks, keys, jobs, and who did what.
//!
//! Opened with the secret of an admin key. What cannot be taken back says first what it will do ([`confirm`]); all goes
//! through the same use cases as a request to the API, and is in the audit log under the key's name, written with what
//! it did.
mod account;
mod accounts;
mod acts;
mod audit;
mod charge;
mod confirm;
mod jobs;
mod keys;
mod offers;
mod payments;
mod prices;
mod refused;
mod reports;
mod sign_in;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use billing::Refusal;
use billing::id::Name;

use super::frame::{House, Tab};
use super::visit::Host;
use super::{Paged, form, message, page, show};
use crate::app::App;
use crate::http::Site;
use crate::service::{By, Error};

pub fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/console/sign-in", get(sign_in::show).post(sign_in::sign_in))
        .route("/console/sign-out", post(sign_in::sign_out))
        .route("/console", get(accounts::list))
        .route("/console/accounts/{account}", get(account::show))
        .route("/console/accounts/{account}/grant", post(acts::grant))
        .route("/console/accounts/{account}/void", post(acts::void))
        .route("/console/accounts/{account}/release", post(acts::release))
        .route("/console/accounts/{account}/note", post(acts::note))
        .route("/console/accounts/{account}/close", post(acts::close))
        .route("/console/accounts/{account}/look", post(acts::look))
        .route("/console/charges/{charge}", get(charge::show).post(charge::reverse))
        .route("/console/payments", get(payments::list))
        .route("/console/payments/{payment}", get(payments::show).post(payments::refund))
        .route("/console/reports", get(reports::show))
        .route("/console/reports/revenue.csv", get(reports::revenue_sheet))
        .route("/console/reports/liability.csv", get(reports::liability_sheet))
        .route("/console/reports/ledger.csv", get(reports::ledger_sheet))
        .route("/console/prices", get(prices::show).post(prices::upload))
        .route("/console/offers", get(offers::show))
        .route("/console/offers/package", post(offers::put_package))
        .route("/console/offers/plan", post(offers::put_plan))
        .route("/console/offers/withdraw", post(offers::withdraw))
        .route("/console/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/console/webhooks/{endpoint}", get(webhooks::show).post(webhooks::change))
        .route("/console/keys", get(keys::list).post(keys::mint))
        .route("/console/keys/rotate", post(keys::rotate))
        .route("/console/keys/revoke", post(keys::revoke))
        .route("/console/jobs", get(jobs::list))
        .route("/console/audit", get(audit::list))
}

const TABS: [(&str, &str); 9] = [
    ("Accounts", "/console"),
    ("Payments", "/console/payments"),
    ("Reports", "/console/reports"),
    ("Prices", "/console/prices"),
    ("Offers", "/console/offers"),
    ("Webhooks", "/console/webhooks"),
    ("API keys", "/console/keys"),
    ("Jobs", "/console/jobs"),
    ("Audit log", "/console/audit"),
];

/// What is said once something was done, by what the address says of it: no stranger's words are ever shown.
const SAID: [(&str, &str); 15] = [
    ("grant", "The credits were given."),
    ("void", "What was unused of the grant was taken back."),
    ("release", "The hold was released, and its credits are available again."),
    ("note", "The note was written down."),
    ("close", "The account is closed."),
    ("reverse", "The credits were given back to the grants they came from."),
    ("refund", "The refund is on its way."),
    ("card", "The card was added. It prices what happens from its time on."),
    ("offer", "It is on sale."),
    ("withdraw", "It is no longer sold."),
    ("revoke", "The key opens nothing any more."),
    ("delete", "The endpoint is told nothing any more."),
    ("enable", "It is told again what happens."),
    ("resend", "It is told again now."),
    ("nothing", "Nothing was done."),
];

/// What surrounds every page of the console.
struct Desk {
    house: House,
    tabs: Vec<Tab>,
    operator: String,
    mark: String,
    /// Makes a form that is sent twice one request.
    key: String,
    /// What was done just now.
    said: Option<&'static str>,
}

impl Desk {
    fn of(app: &App, host: &Host, href: &str) -> Result<Desk, Error> {
        let tab = |(label, to): (&'static str, &'static str)| Tab { label, href: to, is_on: to == href };
        let did = host.query.get("did");
        Ok(Desk {
            house: House::of(&app.settings().brand),
            tabs: TABS.into_iter().map(tab).collect(),
            operator: host.operator.name.clone(),
            mark: app.form_mark(&host.operator.id)?,
            key: app.form_key()?,
            said: SAID.iter().find(|it| Some(it.0) == did).map(|it| it.1),
        })
    }
}

/// Where a form leads when it was done: a page that can be loaded again without sending it again, and says so.
fn done(path: &str, did: &str) -> Response {
    Redirect::to(&format!("{path}?did={did}")).into_response()
}

fn by(host: &Host) -> By {
    By::operator(&host.operator.name)
}

fn name(text: &str) -> Result<Name, Error> {
    text.parse().map_err(|_| Refusal::AccountNotFound.into())
}
