//! Event streams: an account's news as they happen, for as long as somebody listens.
//!
//! The same loop serves the API's stream and the pages'; what an event says is the caller's to render. Invariant: an
//! event's id is the version it brings the listener to, so a listener that returns with it misses nothing.
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use billing::id::Name;
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::problem::Problem;
use super::site::Site;
use crate::service::{News, PaymentsSeen};

/// A followed account is looked at this often even when nobody said it moved: another process may have moved it, and
/// running servers burn without anything being written.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A comment goes out this often, so that proxies do not take the stream for dead.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

/// How news become events, newest last.
pub type Render = Box<dyn Fn(&News) -> Vec<Event> + Send>;

struct Listener {
    site: Arc<Site>,
    account: Name,
    moved: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
    seen: Option<u64>,
    payments: PaymentsSeen,
    render: Render,
    waiting: std::vec::IntoIter<Event>,
    _place: OwnedSemaphorePermit,
}

/// Streams the account's news from `last_event_id` on; from now on where nothing is said.
pub async fn stream(site: Arc<Site>, account: Name, headers: &HeaderMap, render: Render) -> Result<Response, Problem> {
    let place = site.listener_place()?;
    let followed = account.clone();
    let moved = site.look(move |app| app.follow(&followed)).await?;
    let seen = headers.get("last-event-id").and_then(|it| it.to_str().ok()).and_then(|it| it.parse().ok());
    let closing = site.closing();
    let waiting = Vec::new().into_iter();
    let payments = PaymentsSeen::default();
    let listener = Listener { site, account, moved, closing, seen, payments, render, waiting, _place: place };
    let events = stream::unfold((listener, true), |(mut listener, is_first)| async move {
        let event = listener.next(is_first).await?;
        Some((Ok::<Event, Infallible>(event), (listener, false)))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE_EVERY)).into_response();
    // Proxies that gather answers would hold the events back.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

impl Listener {
    /// The next event; none when the server closes, or fails to read: the listener comes back by itself.
    async fn next(&mut self, is_first: bool) -> Option<Event> {
        let mut is_to_look = is_first;
        loop {
            if let Some(event) = self.waiting.next() {
                return Some(event);
            }
            if !is_to_look {
                tokio::select! {
                    _ = self.moved.changed() => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    _ = self.closing.wait_for(|it| *it) => return None,
                }
            }
            is_to_look = false;
            let (account, seen) = (self.account.clone(), self.seen);
            let mut payments = std::mem::take(&mut self.payments);
            let looked = self.site.look(move |app| Ok((app.news(&account, seen, &mut payments)?, payments)));
            let (news, payments) = looked.await.ok()?;
            self.payments = payments;
            self.seen = Some(news.version);
            self.waiting = (self.render)(&news).into_iter();
        }
    }
}
