//! The demonstration: two believable months of one customer, made through the public API and nothing else.
//!
//! It knows no more than a platform's backend would: a URL and a key, and a sandbox's clock to move. So whatever it
//! shows, anybody can do; and what it cannot do is missing from the API. The same months come out every time, up to the
//! day it is run on.
mod client;
mod life;
mod money;
mod summary;

pub use client::DemoError;
pub use money::CARD;

use billing::time::{Span, Timestamp};
use client::Client;

/// How far behind the machine's clock the server's begins.
pub const BEHIND: Span = Span::DAY.times(life::DAYS);

/// Who the months are of.
pub const ACCOUNT: &str = "acme";

/// How far the filling has come: steps done, steps in all, and what is being done.
pub type Progress<'a> = &'a mut dyn FnMut(usize, usize, &str);

/// Fills the server at `url`, a sandbox whose clock is [`BEHIND`] the machine's, and moves its clock to the `present`.
/// Doing it again on the same day changes nothing: every step has its key.
///
/// # Errors
/// The first answer that was not what a working server gives, in the server's own words.
pub fn fill(url: &str, key: &str, progress: Progress<'_>, present: &dyn Fn() -> Timestamp) -> Result<(), DemoError> {
    let client = Client::new(url, key);
    life::fill(&client, progress, present)
}

/// What the last days came to, for a terminal.
///
/// # Errors
/// As `fill`.
pub fn summary(url: &str, key: &str) -> Result<String, DemoError> {
    summary::write(&Client::new(url, key))
}

/// A link into the customer's pages, which works for a day.
///
/// # Errors
/// As `fill`.
pub fn portal_link(url: &str, key: &str, page: &str) -> Result<String, DemoError> {
    let asked = serde_json::json!({ "role": "owner", "page": page, "expires_in_seconds": 86_400 });
    let session = Client::new(url, key).post_anew(&format!("/v1/accounts/{ACCOUNT}/portal-sessions"), &asked)?;
    Ok(session["url"].as_str().unwrap_or_default().to_owned())
}
