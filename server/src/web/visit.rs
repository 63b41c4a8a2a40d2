//! Who is at the pages: cookies in, sessions out, and what makes a cookie hard to steal or to borrow.
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use billing::time::Timestamp;

use super::message;
use super::range::Query;
use crate::app::Known;
use crate::http::Site;
use crate::service::{By, Operator, PortalSession};

/// A customer's session.
pub const PORTAL: &str = "scrip_session";
/// An operator's.
pub const CONSOLE: &str = "scrip_console";

/// A person from the customer, at a page of their account.
#[derive(Clone, Debug)]
pub struct Visitor {
    pub session: PortalSession,
    pub known: Arc<Known>,
    pub query: Query,
    pub now: Timestamp,
    pub headers: HeaderMap,
}

impl Visitor {
    /// Who asks, as the ledger and the audit log name them.
    pub fn by(&self) -> By {
        By { name: format!("portal: {}", self.session.role).into(), is_noted: true }
    }
}

impl FromRequestParts<Arc<Site>> for Visitor {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Visitor, Response> {
        let token = cookie(site, &parts.headers, PORTAL).ok_or_else(|| message::signed_out(site))?;
        let found = site.look(move |app| match app.portal_session(&token)? {
            Some(session) => {
                let known = app.known(&session.account)?;
                Ok(Some((session, known)))
            }
            None => Ok(None),
        });
        let found = found.await.map_err(|it| message::failed(site, it))?;
        let (session, known) = found.ok_or_else(|| message::signed_out(site))?;
        let query = said(parts).ok_or_else(|| message::card_number(site))?;
        Ok(Visitor { session, known, query, now: site.app.now(), headers: parts.headers.clone() })
    }
}

/// A person from the house, at the console.
#[derive(Clone, Debug)]
pub struct Host {
    pub operator: Operator,
    pub query: Query,
    pub now: Timestamp,
}

impl FromRequestParts<Arc<Site>> for Host {
    type Rejection = Response;
    async fn from_request_parts(parts: &mut Parts, site: &Arc<Site>) -> Result<Host, Response> {
        let to_sign_in = || axum::response::Redirect::to("/console/sign-in").into_response();
        let token = cookie(site, &parts.headers, CONSOLE).ok_or_else(to_sign_in)?;
        let found = site.look(move |app| app.operator(&token)).await.map_err(|it| message::failed(site, it))?;
        let operator = found.ok_or_else(to_sign_in)?;
        let query = said(parts).ok_or_else(|| message::card_number(site))?;
        Ok(Host { operator, query, now: site.app.now() })
    }
}

/// What the address says beside its path. It is kept in logs and histories: a card number has no business there, and
/// what has one says nothing.
fn said(parts: &Parts) -> Option<Query> {
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    (!query.has_card_number()).then_some(query)
}

/// A cookie's value, under the name that [`set_cookie`] gives it: over TLS a neighbouring host could set the bare one.
pub fn cookie(site: &Site, headers: &HeaderMap, name: &str) -> Option<String> {
    let prefix = if is_secure(site) { "__Host-" } else { "" };
    let sent = headers.get_all(header::COOKIE).iter().filter_map(|it| it.to_str().ok());
    let mut pairs = sent.flat_map(|it| it.split(';')).filter_map(|it| it.trim().split_once('='));
    let found = pairs.find(|(it, _)| it.strip_prefix(prefix) == Some(name));
    found.map(|(_, value)| value.to_owned())
}

/// Whether browsers reach the pages over TLS.
fn is_secure(site: &Site) -> bool {
    site.app.settings().public_url.as_deref().is_some_and(|it| it.starts_with("https://"))
}

/// A `Set-Cookie` that no script can read and no other site can use.
///
/// Over TLS its name begins with `__Host-`, so that no neighbouring host can set it. Where other origins may embed the
/// pages it has to be sent from within their frames, and is then kept apart for each of them.
pub fn set_cookie(site: &Site, name: &str, token: &str, seconds: i64) -> HeaderValue {
    let settings = site.app.settings();
    let is_secure = is_secure(site);
    let is_embedded = is_secure && name == PORTAL && !settings.brand.embed_origins.is_empty();
    let (prefix, rest) = match (is_secure, is_embedded) {
        (_, true) => ("__Host-", "; Secure; SameSite=None; Partitioned"),
        (true, false) => ("__Host-", "; Secure; SameSite=Lax"),
        (false, false) => ("", "; SameSite=Lax"),
    };
    let text = format!("{prefix}{name}={token}; Path=/; Max-Age={seconds}; HttpOnly{rest}");
    HeaderValue::from_str(&text).expect("a sealed token is visible ASCII")
}
