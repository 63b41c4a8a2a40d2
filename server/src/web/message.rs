//! Pages that say one thing: a link that has expired, a session that is over, something that went wrong.
use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::frame::House;
use super::{page, show};
use crate::http::{Failure, Problem, Site};

#[derive(Clone, Debug, Template)]
#[template(path = "message.html")]
pub struct Message {
    house: House,
    title: &'static str,
    text: String,
    return_url: Option<String>,
    /// Whoever reads it is signed in, as far as one knows: there is a page to go back to.
    has_home: bool,
    home: Option<Home>,
}

/// The page one goes back to from where something failed: its address, and the words that lead there.
pub type Home = (&'static str, &'static str);

/// A customer's.
pub const USAGE: Home = ("/settings/usage", "Back to your usage");
/// An operator's.
pub const CONSOLE: Home = ("/console", "Back to the console");

/// An answer that says one thing is a page once it is known on whose side of the house it is read.
pub fn at_home(mut response: Response, home: Home) -> Response {
    let Some(message) = response.extensions_mut().remove::<Message>() else { return response };
    let home = message.has_home.then_some(home);
    let (head, body) = page(response.status(), &Message { home, ..message }).into_parts();
    *response.body_mut() = body;
    response.headers_mut().extend(head.headers);
    response
}

fn message(site: &Site, status: StatusCode, title: &'static str, text: impl Into<String>) -> (StatusCode, Message) {
    let house = House::of(&site.app.settings().brand);
    (status, Message { house, title, text: text.into(), return_url: None, has_home: false, home: None })
}

fn shown((status, message): (StatusCode, Message)) -> Response {
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = status;
    response.extensions_mut().insert(message);
    response
}

/// To somebody who can go on from here.
fn shown_inside((status, message): (StatusCode, Message)) -> Response {
    shown((status, Message { has_home: true, ..message }))
}

/// An address at which there is no page.
pub fn nothing_here(site: &Site) -> Response {
    let text = "The address may have been mistyped, or cut short on the way.";
    shown_inside(message(site, StatusCode::NOT_FOUND, "There is no page here", text))
}

/// An address that takes a form and shows nothing by itself: loaded again, or typed.
pub fn no_page_itself(site: &Site) -> Response {
    let text = "A form is sent to this address, and it shows nothing by itself. Nothing was done.";
    shown_inside(message(site, StatusCode::METHOD_NOT_ALLOWED, "There is no page here", text))
}

/// A link that worked once.
pub fn expired(site: &Site, return_url: Option<String>) -> Response {
    let text = "Links to this page work for a few minutes only, to keep your account safe. Open Settings again in the \
                app you came from: it makes a new one.";
    let (status, message) = message(site, StatusCode::GONE, "This link has expired", text);
    shown((status, Message { return_url, ..message }))
}

/// A link nobody here has made.
pub fn unknown_link(site: &Site) -> Response {
    let text = "It may have been cut short on the way. Open Settings again in the app you came from.";
    shown(message(site, StatusCode::NOT_FOUND, "This link is not complete", text))
}

pub fn signed_out(site: &Site) -> Response {
    let text = "Open Settings in the app you came from to come back. Nothing was lost.";
    shown(message(site, StatusCode::UNAUTHORIZED, "You are signed out", text))
}

/// What signing out leads to. A page, because browsers hold a form to its own site, also where its answer sends them
/// on.
pub fn left(site: &Site, return_url: Option<String>) -> Response {
    let text = "Your session has ended, in every tab. Open Settings in the app you came from to come back.";
    let (status, message) = message(site, StatusCode::OK, "You are signed out", text);
    shown((status, Message { return_url, ..message }))
}

pub fn forbidden(site: &Site, text: &'static str) -> Response {
    shown_inside(message(site, StatusCode::FORBIDDEN, "Not for your role", text))
}

/// Where something is to be bought or changed on an account that is closed.
pub fn closed(site: &Site) -> Response {
    let text = "Nothing can be bought or changed on it any more. What happened on it can be read as before.";
    shown_inside(message(site, StatusCode::CONFLICT, "This account is closed", text))
}

/// A form of a page that was open before these pages were opened anew.
pub fn stale_form(site: &Site) -> Response {
    let text = "You signed in anew since this page was loaded, and it can be sent no more. Nothing was done. Load it \
                again, fill it in, and send it from there.";
    shown_inside(message(site, StatusCode::FORBIDDEN, "This page is out of date", text))
}

/// A form of a page of another account than the one that is open in this browser now.
pub fn form_of_another(site: &Site, present: &str) -> Response {
    let text = format!(
        "You sent this from a page of another account. Since then {present} was opened in this browser, which has one \
         account open at a time. Nothing was done, for neither of them. For the other account, open Settings again in \
         the app, from that account. For {present}, go back to its pages and fill the form in there."
    );
    shown_inside(message(site, StatusCode::FORBIDDEN, "This page was of another account", text))
}

/// Something that was typed into a form, or stands in an address, looks like a card number. It is read no further.
pub fn card_number(site: &Site) -> Response {
    let text = "Something you sent looks like the number of a card. Those are typed into the payment provider’s page \
                and nowhere else. Nothing was done and nothing was kept. Go back, take it out, and send it again.";
    shown_inside(message(site, StatusCode::UNPROCESSABLE_ENTITY, "No card numbers here", text))
}

const MISSING: &str = "It may have been mistyped, or it is of another account, or it is no longer there.";

/// Whatever else went wrong. What is our fault is logged at the door, and says no more here.
pub fn failed(site: &Site, problem: Problem) -> Response {
    let status = StatusCode::from_u16(problem.kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let is_ours = problem.cause().is_some();
    let (title, text) = match status {
        _ if is_ours => {
            ("Something went wrong here", "It is our fault, and it has been noted. Nothing was lost.".to_owned())
        }
        // What the API says of it is for those who write programs.
        StatusCode::NOT_FOUND => (problem.kind.title, MISSING.to_owned()),
        _ => ("That did not work", show::sentence(&problem.detail)),
    };
    let mut response = shown_inside(message(site, status, title, text));
    if let Some(cause) = problem.cause() {
        // Beside the page, for the log; the page stays as it is.
        response.extensions_mut().insert(Failure::beside(cause));
    }
    response
}
