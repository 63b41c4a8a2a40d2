//! Forms: what a browser sends, believed only with the mark of its session.
use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::response::Response;

use super::message;
use super::range::Query;
use crate::http::Site;

/// Bytes of a form without files.
const BYTES_MAX: usize = 1 << 20;
/// The field that carries the mark.
const MARK: &str = "mark";

/// A form's fields, those left empty left out.
#[derive(Debug)]
pub struct Form(Query);

impl FromRequest<Arc<Site>> for Form {
    type Rejection = Response;
    async fn from_request(request: Request, site: &Arc<Site>) -> Result<Form, Response> {
        let body = to_bytes(request.into_body(), BYTES_MAX).await.map_err(|_| message::stale_form(site))?;
        Ok(Form(Query::parse(&String::from_utf8_lossy(&body))))
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

    /// Sent from a page of this session, and from nowhere else.
    pub async fn check(&self, site: &Arc<Site>, session: &str) -> Result<(), Response> {
        let (session, mark) = (session.to_owned(), self.get(MARK).unwrap_or_default().to_owned());
        let is_ours = site.look(move |app| app.is_form_mark(&session, &mark)).await;
        if is_ours.map_err(|it| message::failed(site, it))? { Ok(()) } else { Err(message::stale_form(site)) }
    }
}
