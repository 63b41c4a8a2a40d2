//! A form that was refused: its page once more, with why, and with what was typed into it.
use std::sync::Arc;

use askama::Template;
use axum::http::StatusCode;
use billing::Refusal;

use super::form::Form;
use super::{Paged, message, page, show};
use crate::app::App;
use crate::http::{Problem, Site};
use crate::service::Error;
use crate::web::range::Query;

/// The field of a refusal that is a sentence as it stands.
pub const BOTH: &str = "both";

/// What stands in a form, and why it was not done. Nothing of both, where the form is new.
#[derive(Default)]
pub struct Refused {
    pub problem: Option<String>,
    typed: Query,
}

impl Refused {
    pub fn typed(&self, name: &str) -> &str {
        self.typed.get(name).unwrap_or_default()
    }
    /// Of a box that is ticked.
    pub fn is_ticked(&self, name: &str) -> bool {
        self.typed.get(name).is_some()
    }
}

/// The page that `fill` makes, refused as its form was. What is not there, or is our fault, is a page of its own.
pub async fn again<T: Template + Send + 'static>(
    site: &Arc<Site>,
    form: &Form,
    error: Error,
    fill: impl FnOnce(&App, Refused) -> Result<T, Error> + Send + 'static,
) -> Paged {
    let words = if let Error::Refused(refusal) = &error { Some(in_words(refusal)) } else { None };
    let problem = Problem::from(error);
    let status = StatusCode::from_u16(problem.kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let Some(words) = words.filter(|_| status != StatusCode::NOT_FOUND) else {
        return Err(message::failed(site, problem));
    };
    let refused = Refused { problem: Some(format!("{words} Nothing was done.")), typed: form.said().clone() };
    let filled = site.look(move |app| fill(app, refused)).await.map_err(|it| message::failed(site, it))?;
    Ok(page(status, &filled))
}

/// A refusal by what its field is called on the forms.
pub fn in_words(refusal: &Refusal) -> String {
    if let Refusal::RefundExceedsUnused { left, most: Some(most) } = refusal {
        let (most, left) = (show::money(*most), show::have(*left));
        return format!("At most {most} can be refunded: {left} of its credits are unused.");
    }
    let Refusal::Invalid { field, why } = refusal else { return show::sentence(&refusal.to_string()) };
    if field == BOTH {
        return why.clone();
    }
    let label = match &**field {
        "days" => "The days until they expire",
        "credits" => "The credits",
        "cost" | "cost.amount" => "What was paid for them",
        "reason" => "The reason",
        "amount" => "The money",
        "price" | "price.amount" => "The price",
        "bonus" => "What is on top",
        "id" => "The id",
        "name" => "The name",
        "url" => "The address",
        "scopes" => "What it may do",
        "carry_over_periods" => "The periods that unused credits last",
        "carry_over_maximum" => "What carries over at most",
        other => other,
    };
    show::sentence(&format!("{label} {why}"))
}
