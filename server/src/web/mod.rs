//! The pages: *Settings > Usage* and *Settings > Billing* for customers, the console for operators.
//!
//! Every page is made here, whole, and can be read and used without a script; the script only keeps it fresh. Pages ask
//! use cases and never the store, and load nothing from anywhere else.
//!
//! Invariant: every answer carries a content security policy under which nothing runs but our own one script, and
//! whatever changes something is a form with the mark of its session.
mod asset;
mod billing;
mod confirm;
mod console;
mod estimate;
mod form;
mod frame;
mod message;
mod number;
mod portal;
mod prices;
mod range;
mod scope;
mod show;
mod stream;
mod unsubscribe;
mod usage;
mod visit;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use crate::http::Site;

pub use billing::PATH as BILLING;

/// What a page's handler answers; the error is a page too.
type Paged = Result<Response, Response>;

pub fn router(site: &Site) -> Router<Arc<Site>> {
    let pages = Router::new()
        .route("/", get(async || Redirect::to("/settings/usage")))
        .route("/portal", get(portal::follow))
        .route("/sign-out", post(portal::sign_out))
        .route("/settings/usage", get(usage::show))
        .route("/settings/usage.csv", get(usage::export))
        .route("/settings/usage.ndjson", get(usage::export))
        .route("/settings/usage/budget", get(usage::budget_form).post(usage::save_budget))
        .route("/settings/usage/all", get(usage::all_parts))
        .route("/settings/usage/project", get(usage::ask_of_project).post(usage::change_project))
        .route("/settings/usage/tips/dismiss", post(usage::dismiss_tip))
        .route("/settings/activity", get(usage::activity))
        .route("/settings/activity.csv", get(usage::export_activity))
        .route("/settings/activity.ndjson", get(usage::export_activity))
        .route("/settings/estimate", estimate::routes())
        .route("/settings/stream", get(stream::follow))
        .route("/emails/confirm", get(confirm::show).post(confirm::ask))
        .route("/emails/unsubscribe", get(unsubscribe::show).post(unsubscribe::end))
        .merge(billing::router());
    let pages = guarded(pages, policy(&site.app.settings().brand.embed_origins), message::USAGE);
    // Nobody but customers is shown in the frame of another: an operator could be made to press what they do not see.
    pages.merge(guarded(console::router(), policy(&[]), message::CONSOLE)).merge(asset::router())
}

/// These pages under this policy, with the page that one goes back to.
fn guarded(pages: Router<Arc<Site>>, policy: HeaderValue, home: message::Home) -> Router<Arc<Site>> {
    pages.layer(axum::middleware::map_response(move |response: Response| {
        let guarded = guard(message::at_home(response, home), policy.clone());
        async move { guarded }
    }))
}

fn guard(mut response: Response, policy: HeaderValue) -> Response {
    let has_own_style = response.extensions_mut().remove::<OwnStyle>().is_some();
    let policy = if has_own_style { HeaderValue::from_static(PAPER) } else { policy };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(PERMISSIONS, HeaderValue::from_static("camera=(), geolocation=(), microphone=()"));
    response
}

/// Where people look, and not programs.
const PEOPLE: [&str; 4] = ["/settings", "/console", "/emails", "/portal"];

/// Whether a person looks for a page at this address: it is beside one, or a browser asks for one. None is in the API.
pub fn is_for_people(path: &str, headers: &HeaderMap) -> bool {
    let is_beside = |it: &&str| path.strip_prefix(*it).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let accepted = headers.get(header::ACCEPT).and_then(|it| it.to_str().ok()).unwrap_or_default();
    PEOPLE.iter().any(is_beside) || accepted.contains("text/html") && !path.starts_with("/v1/")
}

/// What a person finds at an address that has no page, or that only takes a form.
pub fn no_page(site: &Site, path: &str, takes_a_form: bool) -> Response {
    let said = if takes_a_form { message::no_page_itself(site) } else { message::nothing_here(site) };
    let is_console = path.starts_with("/console");
    let home = if is_console { message::CONSOLE } else { message::USAGE };
    let embed_origins = if is_console { &[] } else { &*site.app.settings().brand.embed_origins };
    guard(message::at_home(said, home), policy(embed_origins))
}

/// Beside an answer that is a document of its own, styled by itself: an invoice.
#[derive(Clone, Copy, Debug)]
struct OwnStyle;

/// Such a document may be styled and do nothing else.
const PAPER: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PERMISSIONS: HeaderName = HeaderName::from_static("permissions-policy");

fn policy(embed_origins: &[String]) -> HeaderValue {
    let ancestors = if embed_origins.is_empty() { "'none'".to_owned() } else { embed_origins.join(" ") };
    let text = format!(
        "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors {ancestors}"
    );
    HeaderValue::from_str(&text).expect("origins were checked when the configuration was read")
}

/// A page, filled in.
fn page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => (status, Html(text)).into_response(),
        // A template only fails when writing text into memory does.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
