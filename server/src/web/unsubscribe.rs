//! The link at the foot of an e-mail: it ends one kind of mail for one account, without signing in.
//!
//! Opening it changes nothing, because mail programs and guards open links too; a button does, and so does the one
//! click that mail programs offer themselves (RFC 8058). Both only post the sealed value that the link carries.
use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;

use super::frame::House;
use super::range::Query;
use super::{Paged, message, page};
use crate::http::Site;
use crate::service::Topic;

#[derive(Template)]
#[template(path = "unsubscribe.html")]
struct Page {
    house: House,
    topic: Topic,
    /// None once it is done.
    token: Option<String>,
}

pub async fn show(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Paged {
    let token = token(query.as_deref());
    let asked = token.clone();
    let found = site.look(move |app| app.unsubscribe_link(&asked)).await.map_err(|it| message::failed(&site, it))?;
    let Some((_, topic)) = found else { return Err(message::unknown_link(&site)) };
    let house = House::of(&site.app.settings().brand);
    Ok(page(StatusCode::OK, &Page { house, topic, token: Some(token) }))
}

pub async fn end(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Paged {
    let token = token(query.as_deref());
    let ended = site.look(move |app| app.unsubscribe(&token)).await.map_err(|it| message::failed(&site, it))?;
    let Some(topic) = ended else { return Err(message::unknown_link(&site)) };
    let house = House::of(&site.app.settings().brand);
    Ok(page(StatusCode::OK, &Page { house, topic, token: None }))
}

fn token(query: Option<&str>) -> String {
    Query::parse(query.unwrap_or_default()).get("token").unwrap_or_default().to_owned()
}
