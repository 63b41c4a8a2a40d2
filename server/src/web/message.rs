//! Pages that say one thing: a link that has expired, a session that is over, something that went wrong.
use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::frame::House;
use super::page;
use crate::http::{Failure, Problem, Site};

#[derive(Template)]
#[template(path = "message.html")]
pub struct Message {
    house: House,
    title: &'static str,
    text: String,
    return_url: Option<String>,
}

fn message(site: &Site, status: StatusCode, title: &'static str, text: impl Into<String>) -> (StatusCode, Message) {
    let house = House::of(&site.app.settings().brand);
    (status, Message { house, title, text: text.into(), return_url: None })
}

fn shown((status, message): (StatusCode, Message)) -> Response {
    page(status, &message)
}

/// A link that worked once.
pub fn expired(site: &Site, return_url: Option<String>) -> Response {
    let text = "Links to this page work for a few minutes only, to keep your account safe. Open Settings again in the \
                app you came from: it makes a new one.";
    let (status, message) = message(site, StatusCode::GONE, "This link has expired", text);
    page(status, &Message { return_url, ..message })
}

/// A link nobody here has made.
pub fn unknown_link(site: &Site) -> Response {
    let text = "It may have been cut short on the way. Open Settings again in the app you came from.";
    shown(message(site, StatusCode::NOT_FOUND, "This link is not complete", text))
}

pub fn signed_out(site: &Site) -> impl IntoResponse + use<> {
    let text = "Open Settings in the app you came from to come back. Nothing was lost.";
    shown(message(site, StatusCode::UNAUTHORIZED, "You are signed out", text))
}

/// What signing out leads to. A page, because browsers hold a form to its own site, also where its answer sends them
/// on.
pub fn left(site: &Site, return_url: Option<String>) -> Response {
    let text = "Your session has ended, in every tab. Open Settings in the app you came from to come back.";
    let (status, message) = message(site, StatusCode::OK, "You are signed out", text);
    page(status, &Message { return_url, ..message })
}

pub fn forbidden(site: &Site, text: &'static str) -> Response {
    shown(message(site, StatusCode::FORBIDDEN, "Not for your role", text))
}

/// A form whose mark is not that of its session: sent from elsewhere, or from a page that stood open too long.
pub fn stale_form(site: &Site) -> Response {
    let text =
        "The page you sent this from is too old. Go back, load it again, and send it once more. Nothing was done.";
    shown(message(site, StatusCode::FORBIDDEN, "Please try again", text))
}

/// Something that was typed into a form, or stands in an address, looks like a card number. It is read no further.
pub fn card_number(site: &Site) -> Response {
    let text = "Something you sent looks like the number of a card. Those are typed into the payment provider’s page \
                and nowhere else. Nothing was done and nothing was kept. Go back, take it out, and send it again.";
    shown(message(site, StatusCode::UNPROCESSABLE_ENTITY, "No card numbers here", text))
}

/// Whatever else went wrong. What is our fault is logged at the door, and says no more here.
pub fn failed(site: &Site, problem: Problem) -> Response {
    let status = StatusCode::from_u16(problem.kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let is_ours = problem.cause().is_some();
    let title = if is_ours { "Something went wrong here" } else { "That did not work" };
    let text = if is_ours {
        "It is our fault, and it has been noted. Nothing was lost.".to_owned()
    } else {
        problem.detail.to_string()
    };
    let mut response = shown(message(site, status, title, text));
    if let Some(cause) = problem.cause() {
        // Beside the page, for the log; the page stays as it is.
        response.extensions_mut().insert(Failure::beside(cause));
    }
    response
}
