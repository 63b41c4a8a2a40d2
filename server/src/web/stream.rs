//! The pages' own stream: the balance as it changes, and word that something happened.
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;

use super::frame::Live;
use super::range::Query;
use super::visit::Visitor;
use super::{Paged, message};
use crate::app::App;
use crate::http::{Audience, Site, stream};
use crate::service::News;

/// Whoever has no session, or one of another account than the page is of, is answered that there is nothing: to any
/// other end of a stream, also of one whose session was over, a browser comes back for ever.
pub async fn follow(
    State(site): State<Arc<Site>>,
    RawQuery(query): RawQuery,
    visitor: Result<Visitor, Response>,
) -> Paged {
    let visitor = match visitor {
        Ok(visitor) => visitor,
        Err(refused) if refused.status() == StatusCode::UNAUTHORIZED => {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        Err(refused) => return Err(refused),
    };
    // Another tab may have opened another account since the page was made.
    let of = query.as_deref().map(Query::parse).and_then(|it| it.get("account").map(str::to_owned));
    if of.is_some_and(|it| it != visitor.session.account.as_str()) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let zone = visitor.known.zone.clone();
    let account = visitor.session.account.clone();
    let app = Arc::clone(&site.app);
    let render = move |news: &News| told(&app, news, &zone);
    let session = visitor.session.clone();
    let may = Arc::new(move |app: &App| app.lasts(&session));
    let audience = Audience { render: Box::new(render), may };
    let opened = stream(Arc::clone(&site), account, &visitor.headers, audience).await;
    opened.map_err(|it| message::failed(&site, it))
}

/// `balance` fills in the numbers; `moved` says that the rest of the page has news.
fn told(app: &App, news: &News, zone: &TimeZone) -> Vec<Event> {
    let id = news.version.to_string();
    let live = Live::of(app, &news.balance, zone);
    let balance = Event::default().event("balance").id(id.clone()).json_data(live).ok();
    let has_moved = !news.transactions.is_empty() || !news.payments.is_empty();
    let moved = has_moved.then(|| Event::default().event("moved").id(id).data("1"));
    balance.into_iter().chain(moved).collect()
}
