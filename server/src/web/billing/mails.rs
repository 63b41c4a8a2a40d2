//! What the account is written to about, and what was written lately.
use std::sync::Arc;

use axum::extract::State;

use super::form::Form;
use super::{Paged, admit_change, done, message};
use crate::app::App;
use crate::http::Site;
use crate::service::{DeliveryState, EmailView, Error, Topic};
use crate::web::frame::When;
use crate::web::visit::Visitor;

/// E-mails listed.
const SHOWN: usize = 5;

/// A kind of mail, and whether it is wanted.
pub struct TopicRow {
    pub name: &'static str,
    pub label: &'static str,
    pub is_on: bool,
}

/// An e-mail that was written, and what became of it.
pub struct MailRow {
    pub when: When,
    pub subject: String,
    pub state: &'static str,
    /// Names its colour.
    pub class: &'static str,
    /// To whom, as far as that is kept.
    pub to: String,
}

pub fn written(app: &App, visitor: &Visitor) -> Result<Vec<MailRow>, Error> {
    let row = |it: EmailView| {
        let (state, class) = match it.email.state {
            DeliveryState::Pending => ("on its way", "warn"),
            DeliveryState::Delivered => ("sent", "good"),
            DeliveryState::Failed => ("could not be sent", "bad"),
            DeliveryState::Canceled => ("not sent", ""),
        };
        MailRow {
            when: When::moment(it.created_at, &visitor.known.zone),
            to: it.email.log.last().map(|it| it.to.clone()).unwrap_or_default(),
            subject: it.subject,
            state,
            class,
        }
    };
    Ok(app.emails(&visitor.session.account, None, SHOWN)?.into_iter().map(row).collect())
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
    let set = site.look(move |app| app.set_notice_preferences(&visitor.session.account, &changes, &by));
    set.await.map_err(|it| message::failed(&site, it))?;
    Ok(done("mails"))
}
