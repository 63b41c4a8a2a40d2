//! What the account is written to about.
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Redirect};

use super::form::Form;
use super::{PATH, Paged, admit_change, message};
use crate::app::App;
use crate::http::Site;
use crate::service::{Error, Topic};
use crate::web::visit::Visitor;

/// A kind of mail, and whether it is wanted.
pub struct TopicRow {
    pub name: &'static str,
    pub label: &'static str,
    pub is_on: bool,
}

pub fn rows(app: &App, visitor: &Visitor) -> Result<Vec<TopicRow>, Error> {
    let preferences = app.notice_preferences(&visitor.session.account)?;
    let row = |it: Topic| TopicRow { name: it.as_str(), label: it.label(), is_on: preferences.wants(it) };
    Ok(Topic::ALL.into_iter().map(row).collect())
}

pub async fn set(State(site): State<Arc<Site>>, visitor: Visitor, form: Form) -> Paged {
    admit_change(&site, &visitor, &form).await?;
    let changes: Vec<(Topic, bool)> = Topic::ALL.into_iter().map(|it| (it, form.get(it.as_str()).is_some())).collect();
    let by = format!("portal: {}", visitor.session.role);
    let done = site.look(move |app| app.set_notice_preferences(&visitor.session.account, &changes, &by));
    done.await.map_err(|it| message::failed(&site, it))?;
    Ok(Redirect::to(&format!("{PATH}#mails")).into_response())
}
