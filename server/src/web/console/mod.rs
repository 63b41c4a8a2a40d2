//! The operators' console: accounts, prices, keys, jobs, and who did what.
//!
//! Opened with the secret of an admin key. Whatever is changed here is written into the audit log under the key's name,
//! and goes through the same use cases as a request to the API.
mod account;
mod lists;
mod prices;
mod sign_in;

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use super::frame::{House, Tab};
use super::visit::Host;
use super::{Paged, form, message, page, show};
use crate::app::App;
use crate::http::Site;
use crate::service::Error;

pub fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/console/sign-in", get(sign_in::show).post(sign_in::sign_in))
        .route("/console/sign-out", post(sign_in::sign_out))
        .route("/console", get(lists::accounts))
        .route("/console/accounts/{account}", get(account::show))
        .route("/console/accounts/{account}/grant", post(account::grant))
        .route("/console/accounts/{account}/void", post(account::void))
        .route("/console/accounts/{account}/look", post(account::look))
        .route("/console/prices", get(prices::show).post(prices::upload))
        .route("/console/keys", get(lists::keys).post(lists::mint))
        .route("/console/keys/revoke", post(lists::revoke))
        .route("/console/jobs", get(lists::jobs))
        .route("/console/audit", get(lists::audit))
}

/// What surrounds every page of the console.
struct Desk {
    house: House,
    tabs: Vec<Tab>,
    operator: String,
    mark: String,
    /// Makes a form that is sent twice one request.
    key: String,
}

impl Desk {
    fn of(app: &App, host: &Host, href: &str) -> Result<Desk, Error> {
        let tabs = [
            ("Accounts", "/console"),
            ("Prices", "/console/prices"),
            ("API keys", "/console/keys"),
            ("Jobs", "/console/jobs"),
            ("Audit log", "/console/audit"),
        ];
        let tab = |(label, to): (&'static str, &'static str)| Tab { label, href: to, is_on: to == href };
        Ok(Desk {
            house: House::of(&app.settings().brand),
            tabs: tabs.into_iter().map(tab).collect(),
            operator: host.operator.name.clone(),
            mark: app.form_mark(&host.operator.id)?,
            key: app.form_key()?,
        })
    }
}

/// Where a form leads when it was done: a page that can be loaded again without sending it again.
fn done(path: &str) -> Response {
    Redirect::to(path).into_response()
}
