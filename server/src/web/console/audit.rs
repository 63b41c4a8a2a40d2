//! Who did what, narrowed to a person, an action or a thing.
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::tz::TimeZone;

use super::{Desk, Paged, message, page};
use crate::http::Site;
use crate::service::AuditFilter;
use crate::web::frame::When;
use crate::web::visit::Host;

/// Rows of a page.
const SHOWN: usize = 100;

#[derive(Template)]
#[template(path = "console/audit.html")]
struct AuditPage {
    desk: Desk,
    by: String,
    action: String,
    subject: String,
    rows: Vec<AuditRow>,
    older: Option<String>,
}

struct AuditRow {
    when: When,
    by: String,
    action: String,
    subject: String,
    detail: String,
}

pub async fn list(State(site): State<Arc<Site>>, host: Host) -> Paged {
    let filled = site.look(move |app| {
        let before = host.query.get("before").and_then(|it| it.parse().ok());
        let said = |name: &str| host.query.get(name).unwrap_or_default().trim().to_owned();
        let filter = AuditFilter { by: said("by"), action: said("action"), subject: said("subject") };
        let read = app.audit_log(&filter, before, SHOWN)?;
        let href = |it: u64| host.query.with(&[("before", &it.to_string()), ("did", "")]).href("/console/audit");
        let older = read.older.map(href);
        let rows = read.lines.into_iter().map(|it| AuditRow {
            when: When::moment(it.at, &TimeZone::UTC),
            by: it.by,
            action: it.action,
            subject: it.subject,
            detail: it.detail,
        });
        let rows = rows.collect();
        let AuditFilter { by, action, subject } = filter;
        Ok(AuditPage { desk: Desk::of(app, &host, "/console/audit")?, by, action, subject, rows, older })
    });
    let filled = filled.await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::OK, &filled))
}
