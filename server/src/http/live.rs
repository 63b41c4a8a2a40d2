//! Event streams: an account's news as they happen, for as long as somebody listens.
//!
//! The same loop serves the API's stream and the pages'; what an event says is the caller's to render. Invariant: an
//! event's id is the version it brings the listener to, so a listener that returns with it misses nothing. And whoever
//! may listen no more is told nothing any more after [`LOOK_EVERY`].
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use billing::id::Name;
use futures_util::stream;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::problem::Problem;
use super::share::Share;
use super::site::Site;
use crate::app::App;
use crate::service::{Error, News, PaymentsSeen};

/// A followed account is looked at this often even when nobody said it moved: another process may have moved it, and
/// running servers burn without anything being written. As often it is asked whether who listens may still.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A comment goes out this often, so that proxies do not take the stream for dead.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

/// How news become events, newest last.
pub type Render = Box<dyn Fn(&News) -> Vec<Event> + Send>;
/// Whether what opened the stream, a key or a session, still does.
pub type May = Arc<dyn Fn(&App) -> Result<bool, Error> + Send + Sync>;

/// Who listens: what they are told, and for how long.
pub struct Audience {
    pub render: Render,
    pub may: May,
}

struct Listener {
    site: Arc<Site>,
    account: Name,
    moved: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
    seen: Option<u64>,
    payments: PaymentsSeen,
    audience: Audience,
    pulse: Interval,
    waiting: std::vec::IntoIter<Event>,
    _place: Share,
}

/// Streams the account's news from `last_event_id` on; from now on where nothing is said.
pub async fn stream(
    site: Arc<Site>,
    account: Name,
    headers: &HeaderMap,
    audience: Audience,
) -> Result<Response, Problem> {
    let place = site.listener_place(&account)?;
    let followed = account.clone();
    let moved = site.look(move |app| app.follow(&followed)).await?;
    let seen = headers.get("last-event-id").and_then(|it| it.to_str().ok()).and_then(|it| it.parse().ok());
    let closing = site.closing();
    let waiting = Vec::new().into_iter();
    let payments = PaymentsSeen::default();
    let pulse = pulse();
    let listener = Listener { site, account, moved, closing, seen, payments, audience, pulse, waiting, _place: place };
    let events = stream::unfold((listener, true), |(mut listener, is_first)| async move {
        let event = listener.next(is_first).await?;
        Some((Ok::<Event, Infallible>(event), (listener, false)))
    });
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE_EVERY)).into_response();
    // Proxies that gather answers would hold the events back.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    // What is in it is as private as any page.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Ticks every [`LOOK_EVERY`] from now on, however often the account moves meanwhile.
fn pulse() -> Interval {
    let mut pulse = interval(LOOK_EVERY);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pulse.reset();
    pulse
}

impl Listener {
    /// The next event; none when the server closes, the listener may listen no more, or reading fails: whoever may
    /// comes back by itself.
    async fn next(&mut self, is_first: bool) -> Option<Event> {
        let mut is_to_look = is_first;
        loop {
            if let Some(event) = self.waiting.next() {
                return Some(event);
            }
            let mut is_to_ask = false;
            if !is_to_look {
                tokio::select! {
                    _ = self.moved.changed() => {}
                    _ = self.pulse.tick() => is_to_ask = true,
                    _ = self.closing.wait_for(|it| *it) => return None,
                }
            }
            is_to_look = false;
            let (account, seen) = (self.account.clone(), self.seen);
            let mut payments = std::mem::take(&mut self.payments);
            let may = Arc::clone(&self.audience.may);
            let looked = self.site.look(move |app| {
                let is_over = is_to_ask && !may(app)?;
                Ok(if is_over { None } else { Some((app.news(&account, seen, &mut payments)?, payments)) })
            });
            let (news, payments) = looked.await.ok()??;
            self.payments = payments;
            self.seen = Some(news.version);
            self.waiting = (self.audience.render)(&news).into_iter();
        }
    }
}
