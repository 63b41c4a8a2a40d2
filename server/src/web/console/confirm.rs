//! Before anything is done: what it will do, and whether that is wanted.
//!
//! The page carries what was filled in, and a key of its own: pressing its button twice is one request.
use std::sync::Arc;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::form::Form;
use super::{Desk, Paged, message, page};
use crate::http::Site;
use crate::web::visit::Host;

/// What is asked.
pub struct Question {
    pub title: String,
    /// What will happen, a sentence each.
    pub says: Vec<String>,
    /// What the button says that does it.
    pub button: &'static str,
    /// It takes something away from somebody.
    pub is_harsh: bool,
    /// What is settled now, beside what was filled in.
    pub adds: Vec<(&'static str, String)>,
    /// Where the form is sent.
    pub action: String,
    /// The page one came from.
    pub back: String,
    /// The tab it belongs to.
    pub tab: &'static str,
}

impl Question {
    /// Whether to do something on a page, asked of whoever comes from there; it gives, and takes nothing away.
    pub fn on(page: &str, act: &str, title: &str, says: Vec<String>, tab: &'static str) -> Question {
        Question {
            title: title.to_owned(),
            says,
            button: "Yes, do it",
            is_harsh: false,
            adds: Vec::new(),
            action: format!("{page}/{act}"),
            back: page.to_owned(),
            tab,
        }
    }
}

#[derive(Template)]
#[template(path = "console/confirm.html")]
struct Confirm {
    desk: Desk,
    question: Question,
    fields: Vec<(String, String)>,
}

/// The page that asks.
pub async fn ask(site: &Arc<Site>, host: &Host, form: &Form, question: Question) -> Paged {
    let filled_in = form.filled_in().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let added = question.adds.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    let fields = filled_in.chain(added).collect();
    let host = host.clone();
    let filled = site.look(move |app| {
        let desk = Desk::of(app, &host, question.tab)?;
        Ok(Confirm { desk, question, fields })
    });
    let filled = filled.await.map_err(|it| message::failed(site, it))?;
    let response: Response = page(StatusCode::OK, &filled);
    Ok(response)
}
