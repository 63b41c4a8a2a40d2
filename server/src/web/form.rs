//! Forms: what a browser sends, believed only with the mark of its session.
use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use axum::response::Response;
use billing::id::Name;
use billing::rating::Text;

use super::message;
use super::range::Query;
use super::visit::{Host, Visitor};
use crate::http::{Site, body_of};
use crate::service::{Under, is_key};

/// Bytes of a form without files.
const BYTES_MAX: usize = 1 << 20;
/// The field that carries the mark.
const MARK: &str = "mark";
const KEY: &str = "key";
const SURE: &str = "sure";

/// A form's fields, those left empty left out.
#[derive(Debug)]
pub struct Form(Query);

impl FromRequest<Arc<Site>> for Form {
    type Rejection = Response;
    async fn from_request(request: Request, site: &Arc<Site>) -> Result<Form, Response> {
        let (head, body) = request.into_parts();
        let body = body_of(&head.headers, body, BYTES_MAX).await.map_err(|it| message::failed(site, it))?;
        let said = Query::parse(&String::from_utf8_lossy(&body));
        if said.has_card_number() { Err(message::card_number(site)) } else { Ok(Form(said)) }
    }
}

impl Form {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(str::trim).filter(|it| !it.is_empty())
    }

    /// All of it, to be shown again.
    pub fn said(&self) -> &Query {
        &self.0
    }
    /// Whether whoever sends it has been told what it does, and wants it.
    pub fn is_sure(&self) -> bool {
        self.get(SURE).is_some()
    }
    /// What was filled in, without what every form carries.
    pub fn filled_in(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.pairs().filter(|(name, _)| ![MARK, KEY, SURE].contains(name))
    }
    /// What makes it one request, however often it is sent.
    pub fn key(&self) -> Text {
        self.get(KEY).unwrap_or_default().into()
    }

    /// The key of the form itself, so that sending it twice is one request.
    pub fn under(&self, host: &Host) -> Option<Under> {
        let key = self.get(KEY).filter(|it| is_key(it))?;
        Some(Under { caller: host.operator.id.as_str().into(), key: key.into() })
    }

    /// Sent from a page of this visitor's, and from nowhere else.
    pub async fn check_from(&self, site: &Arc<Site>, visitor: &Visitor) -> Result<(), Response> {
        check_mark(site, visitor, self.get(MARK).unwrap_or_default()).await
    }

    /// Sent from a page of this operator's, and from nowhere else.
    pub async fn check(&self, site: &Arc<Site>, session: &str) -> Result<(), Response> {
        if is_of(site, session, self.get(MARK).unwrap_or_default()).await? {
            return Ok(());
        }
        Err(message::stale_form(site))
    }
}

async fn is_of(site: &Arc<Site>, session: &str, seal: &str) -> Result<bool, Response> {
    let (session, seal) = (session.to_owned(), seal.to_owned());
    let is_ours = site.look(move |app| app.is_form_mark(&session, &seal)).await;
    is_ours.map_err(|it| message::failed(site, it))
}

/// A form with this mark is of a page of the visitor's session. One of an account that was open in the same browser
/// before is told so.
pub async fn check_mark(site: &Arc<Site>, visitor: &Visitor, mark: &str) -> Result<(), Response> {
    let (seal, of) = mark.split_once('.').unwrap_or((mark, ""));
    if is_of(site, &visitor.session.id, seal).await? {
        return Ok(());
    }
    let account = &visitor.known.account;
    let present = account.name.as_deref().unwrap_or(account.id.as_str());
    let is_other = !of.is_empty() && of != account.id.as_str();
    Err(if is_other { message::form_of_another(site, present) } else { message::stale_form(site) })
}

/// A mark with the account whose page it is on: so much is known of a form that comes from a session before.
pub fn mark_on(seal: &str, account: &Name) -> String {
    format!("{seal}.{account}")
}
