//! In and out: a link opens a session, signing out ends it.
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Redirect};
use billing::money::Credits;

use super::Paged;
use super::form::Form;
use super::message;
use super::range::Query;
use super::visit::{PORTAL, Visitor, set_cookie};
use crate::http::Site;
use crate::service::{Followed, PortalPage, SESSION_LASTS};

/// Turns a link into a session's cookie, and leaves the link behind.
pub async fn follow(State(site): State<Arc<Site>>, RawQuery(query): RawQuery) -> Paged {
    let query = Query::parse(query.as_deref().unwrap_or_default());
    let Some(link) = query.get("link").map(str::to_owned) else { return Err(message::unknown_link(&site)) };
    let followed = site.look(move |app| app.follow_portal_link(&link)).await;
    match followed.map_err(|it| message::failed(&site, it))? {
        Followed::Unknown => Err(message::unknown_link(&site)),
        Followed::Expired { return_url } => Err(message::expired(&site, return_url)),
        Followed::Opened { token, page } => {
            let cookie = set_cookie(&site, PORTAL, &token, SESSION_LASTS.millis() / 1_000);
            let can_buy = site.app.settings().payments.is_some();
            Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&path(page, can_buy))).into_response())
        }
    }
}

fn path(page: PortalPage, can_buy: bool) -> String {
    let billing = super::billing::PATH;
    match page {
        PortalPage::Billing => billing.to_owned(),
        PortalPage::Purchase { needed } if can_buy => {
            format!("{billing}?needed={}#buy", Credits::from_micros(needed))
        }
        PortalPage::Usage | PortalPage::Purchase { .. } => "/settings/usage".to_owned(),
        PortalPage::Estimate => "/settings/estimate".to_owned(),
    }
}

pub async fn sign_out(State(site): State<Arc<Site>>, visitor: Visitor, form: Form) -> Paged {
    form.check_from(&site, &visitor).await?;
    let (session, return_url) = (visitor.session.clone(), visitor.session.return_url.clone());
    site.look(move |app| app.end_portal_session(&session)).await.map_err(|it| message::failed(&site, it))?;
    let gone = set_cookie(&site, PORTAL, "", 0);
    Ok(([(header::SET_COOKIE, gone)], message::left(&site, return_url)).into_response())
}
