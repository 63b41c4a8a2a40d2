//! What waits to be done, now or later.
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::tz::TimeZone;

use super::{Desk, Paged, message, page, show};
use crate::http::Site;
use crate::service::WaitingJob;
use crate::web::frame::When;
use crate::web::visit::Host;

/// Rows of the list.
const SHOWN: usize = 100;

#[derive(Template)]
#[template(path = "console/jobs.html")]
struct JobsPage {
    desk: Desk,
    jobs: Vec<JobRow>,
    waiting: usize,
    is_cut: bool,
}

struct JobRow {
    kind: String,
    id: String,
    account: Option<String>,
    due: When,
    is_late: bool,
    version: u64,
}

pub async fn list(State(site): State<Arc<Site>>, host: Host) -> Paged {
    let filled = site.look(move |app| {
        let jobs = app.waiting_jobs(SHOWN)?;
        let is_cut = jobs.len() == SHOWN;
        let row = |it: WaitingJob| {
            let due = it.document.due_at.unwrap_or(host.now);
            JobRow {
                // A delivery's kind names its endpoint.
                kind: show::words(it.document.kind.split(' ').next().unwrap_or_default()),
                id: it.document.id,
                account: it.account.map(|it| it.to_string()),
                due: When::moment(due, &TimeZone::UTC),
                is_late: due < host.now,
                version: it.document.version,
            }
        };
        let jobs = jobs.into_iter().map(row).collect();
        Ok(JobsPage {
            desk: Desk::of(app, &host, "/console/jobs")?,
            jobs,
            waiting: app.turnstile().tally().waiting(),
            is_cut,
        })
    });
    let filled = filled.await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::OK, &filled))
}
