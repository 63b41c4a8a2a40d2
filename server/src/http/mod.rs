//! The REST API: requests in, use cases called, answers out.
//!
//! [`knock`] lets a request in by its API key; the files of [`api`] turn bodies into values, call one use case each and
//! render what was written down; [`problem`] is how anything fails; [`openapi`] is the description generated from the
//! same code, and [`docs`] the page made of it; [`door`] keeps the connections.
//!
//! Must never know the store, or decide anything about credits. Invariant: every answer is one the OpenAPI document
//! promises, and a failed request is `application/problem+json` whatever failed.
mod api;
mod card_numbers;
mod catalogue;
mod docs;
mod door;
mod gauges;
mod json;
mod knock;
mod live;
mod openapi;
mod problem;
mod query;
mod share;
mod site;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse, Response};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use api::accounts::check as check_account;
pub use api::invoices::as_json as invoice_json;
pub use api::measure::CHAT_BYTES_MAX;
pub use door::{Door, serve};
pub use knock::{body_of, in_time, length_of, oversize, paced, turn_away};
pub use live::{Audience, stream};
pub use openapi::document;
pub use site::Site;

pub use problem::{Failure, Problem};

/// Every route with its documentation.
fn routes() -> OpenApiRouter<Arc<Site>> {
    use api::{
        accounts, api_keys, batch, charges, entries, events, grants, holds, invoices, measure, methods, portal,
        projects, purchases, quotes, rate_cards, refunds, running, subscriptions, usage,
    };
    OpenApiRouter::with_openapi(openapi::Frame::openapi())
        .merge(server_routes())
        .merge(budget_routes())
        .merge(paper_routes())
        .routes(routes!(charges::create))
        .routes(routes!(batch::create))
        .routes(routes!(charges::show))
        .routes(routes!(charges::reverse))
        .routes(routes!(holds::create))
        .routes(routes!(holds::show))
        .routes(routes!(holds::extend))
        .routes(routes!(holds::capture))
        .routes(routes!(holds::release))
        .routes(routes!(holds::list))
        .routes(routes!(quotes::create))
        .routes(routes!(measure::chat))
        .routes(routes!(measure::repository))
        .routes(routes!(measure::plan))
        .routes(routes!(rate_cards::in_force))
        .routes(routes!(rate_cards::list, rate_cards::upload))
        .routes(routes!(rate_cards::show))
        .routes(routes!(accounts::list))
        .routes(routes!(accounts::put, accounts::show))
        .routes(routes!(accounts::close))
        .routes(routes!(accounts::balance))
        .routes(routes!(projects::list))
        .routes(routes!(projects::put, projects::show, projects::delete))
        .routes(routes!(grants::create, grants::list))
        .routes(routes!(grants::void))
        .routes(routes!(purchases::packages))
        .routes(routes!(purchases::put_package, purchases::delete_package))
        .routes(routes!(purchases::create))
        .routes(routes!(purchases::list))
        .routes(routes!(purchases::show))
        .routes(routes!(purchases::confirm))
        .routes(routes!(refunds::create))
        .routes(routes!(methods::list))
        .routes(routes!(methods::set_up))
        .routes(routes!(methods::make_default))
        .routes(routes!(methods::remove))
        .routes(routes!(methods::topup, methods::put_topup))
        .routes(routes!(methods::notice))
        .routes(routes!(subscriptions::plans))
        .routes(routes!(subscriptions::put_plan, subscriptions::delete_plan))
        .routes(routes!(subscriptions::show, subscriptions::create))
        .routes(routes!(subscriptions::change))
        .routes(routes!(subscriptions::cancel))
        .routes(routes!(subscriptions::resume))
        .routes(routes!(invoices::list))
        .routes(routes!(invoices::show))
        .merge(insight_routes())
        .routes(routes!(usage::show))
        .routes(routes!(entries::list))
        .routes(routes!(events::follow))
        .routes(routes!(portal::create))
        .routes(routes!(api_keys::create, api_keys::list))
        .routes(routes!(api_keys::revoke))
        .routes(routes!(running::health))
        .routes(routes!(running::readiness))
        .routes(routes!(running::metrics))
        .routes(routes!(running::advance))
}

/// Those that look ahead, give advice and write to people.
fn insight_routes() -> OpenApiRouter<Arc<Site>> {
    use api::{emails, forecast, tips, webhook_endpoints};
    OpenApiRouter::new()
        .routes(routes!(webhook_endpoints::create, webhook_endpoints::list))
        .routes(routes!(webhook_endpoints::delete))
        .routes(routes!(webhook_endpoints::rotate))
        .routes(routes!(webhook_endpoints::enable))
        .routes(routes!(webhook_endpoints::replay))
        .routes(routes!(webhook_endpoints::deliveries))
        .routes(routes!(webhook_endpoints::resend))
        .routes(routes!(forecast::show))
        .routes(routes!(tips::list))
        .routes(routes!(tips::dismiss))
        .routes(routes!(tips::report))
        .routes(routes!(emails::preferences, emails::put_preferences))
        .routes(routes!(emails::list))
        .routes(routes!(emails::resend))
}

/// Those of servers.
fn server_routes() -> OpenApiRouter<Arc<Site>> {
    use api::servers;
    OpenApiRouter::new()
        .routes(routes!(servers::list))
        .routes(routes!(servers::put, servers::show))
        .routes(routes!(servers::report))
}

/// Those of budgets.
fn budget_routes() -> OpenApiRouter<Arc<Site>> {
    use api::budgets;
    OpenApiRouter::new().routes(routes!(budgets::list)).routes(routes!(budgets::put, budgets::show, budgets::delete))
}

/// Statements, files of many papers, and reports.
fn paper_routes() -> OpenApiRouter<Arc<Site>> {
    use api::{reports, statements};
    OpenApiRouter::new()
        .routes(routes!(statements::show))
        .routes(routes!(statements::zip))
        .routes(routes!(reports::revenue))
        .routes(routes!(reports::liability))
        .routes(routes!(reports::ledger))
}

/// The whole API over one site.
pub fn router(site: Arc<Site>) -> Router {
    let (router, _) = routes().split_for_parts();
    router
        .merge(docs::router())
        .merge(crate::web::router(&site))
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_this_method)
        .with_state(site)
}

async fn nothing_here(State(site): State<Arc<Site>>, uri: Uri, headers: HeaderMap) -> Response {
    if crate::web::is_for_people(uri.path(), &headers) {
        return crate::web::no_page(&site, uri.path(), false);
    }
    let detail = format!("there is nothing at {}; the reference is at /docs", uri.path());
    Problem::new(&catalogue::NOT_FOUND, detail).into_response()
}

async fn not_this_method(State(site): State<Arc<Site>>, uri: Uri, headers: HeaderMap) -> Response {
    if crate::web::is_for_people(uri.path(), &headers) {
        return crate::web::no_page(&site, uri.path(), true);
    }
    let detail = format!("{} does not answer to this method", uri.path());
    Problem::new(&catalogue::METHOD_NOT_ALLOWED, detail).into_response()
}
