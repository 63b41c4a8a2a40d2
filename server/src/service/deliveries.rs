//! One notice on its way to one endpoint: tried until it is heard, eleven times over three days, and every try written
//! down.
//!
//! A try is claimed by committing the delivery's next version with a lease before anything is sent. So a delivery is
//! tried by one process at a time, and one whose process died is tried again when the lease is over: an endpoint may
//! hear a notice twice, under the same name, and never not at all.
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use billing::Refusal;
use billing::id::{DeliveryId, EndpointId, Place};
use billing::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::{Change, Document};

use super::documents::{Kept, LEASE};
use super::house_requests::HouseKey;
use super::notices::Notice;
use super::order::Fingerprint;
use super::requests::answer_in;
use super::webhook_endpoints::{Endpoint, Health};
use super::{By, Error, Under};
use crate::app::App;
use crate::notify::{Letter, Told, Turn};

/// Deliveries are listed by endpoint, so each endpoint has a kind of its own.
const KIND: &str = "delivery to ";

/// How long after each try the next one comes.
pub(super) const PAUSES: [Span; 10] = [
    Span::SECOND.times(5),
    Span::MINUTE,
    Span::MINUTE.times(5),
    Span::MINUTE.times(30),
    Span::HOUR.times(2),
    Span::HOUR.times(5),
    Span::HOUR.times(10),
    Span::HOUR.times(14),
    Span::HOUR.times(20),
    Span::HOUR.times(24),
];

/// The longest that an endpoint which asks to be left alone for a while (`Retry-After`) is.
const ASKED_MAX: Span = Span::DAY;

/// The status of an endpoint that wants to be told nothing more, as Standard Webhooks has it.
const GONE: u16 = 410;

/// Tries kept in the log: those of a delivery that was sent again by hand a few times.
pub(super) const LOG_MAX: usize = 50;

/// Deliveries that one replay sends again, and those of one commit.
const REPLAYED_MAX: usize = 10_000;
const REPLAYED_AT_ONCE: usize = 200;
/// Times that such a commit is tried although others write to what it sends again.
const REPLAY_TRIES: usize = 20;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Not heard yet; it is tried again.
    Pending,
    Delivered,
    /// Given up after the last try. It can be sent again.
    Failed,
    /// Its endpoint was deleted before it was heard.
    Canceled,
}

impl DeliveryState {
    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Pending => "pending",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Failed => "failed",
            DeliveryState::Canceled => "canceled",
        }
    }
}

/// A delivery as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delivery {
    pub endpoint: String,
    /// Its `webhook-id`.
    pub notice: String,
    /// What happened: `balance.low`.
    pub what: String,
    /// What is sent, byte for byte.
    pub body: String,
    pub state: DeliveryState,
    /// Tries since it was first sent, or sent again by hand.
    tries: usize,
    pub log: Vec<Try>,
}

/// How one try went.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Try {
    /// Milliseconds since 1970.
    pub at: i64,
    /// What was answered; None for nothing.
    pub status: Option<u16>,
    /// Why nothing was answered.
    pub why: Option<String>,
}

/// What was answered of a delivery, or an e-mail, that was sent again: the rest of it stays as it was written.
#[derive(Serialize, Deserialize)]
pub(super) struct SentAgain {
    /// When it was due, in milliseconds since 1970.
    due_at: i64,
    /// Tries in its log by then. Of more than fifty only the later ones are remembered.
    tries: usize,
}

impl SentAgain {
    pub fn of(log: usize, due_at: Timestamp) -> SentAgain {
        SentAgain { due_at: due_at.millis(), tries: log }
    }
    pub fn due_at(&self) -> Timestamp {
        Timestamp::from_millis(self.due_at)
    }
    pub fn tries(&self) -> usize {
        self.tries
    }
}

/// A delivery with its id and its next try.
#[derive(Clone, Debug)]
pub struct DeliveryView {
    pub id: String,
    pub created_at: Timestamp,
    pub next_try_at: Option<Timestamp>,
    pub delivery: Delivery,
}

pub(super) fn is_delivery(kind: &str) -> bool {
    kind.starts_with(KIND)
}

/// The delivery of a notice to an endpoint, not tried yet. Its id follows from both, so a notice spread twice is
/// delivered once. To one that is told nothing just now it is given up at once, and can be sent when it is told again.
pub(super) fn first(endpoint: &Kept<Endpoint>, notice: &Kept<Notice>, body: &str, now: Timestamp) -> Change {
    let hash = Sha256::digest(notice.document.id.as_bytes());
    let chance = hash.iter().take(4).fold(0, |number, byte| number << 8 | u64::from(*byte));
    let place = Place { account: notice.document.account, version: chance };
    let is_told = endpoint.body.disabled_at.is_none();
    let delivery = Delivery {
        endpoint: endpoint.document.id.clone(),
        notice: notice.document.id.clone(),
        what: notice.body.what.clone(),
        body: body.to_owned(),
        state: if is_told { DeliveryState::Pending } else { DeliveryState::Failed },
        tries: 0,
        log: Vec::new(),
    };
    let id = DeliveryId::new(notice.document.at, place).to_string();
    Kept::new(Document::HOUSE, &kind_of(&endpoint.document.id), id, delivery).next(now, is_told.then_some(now))
}

pub(super) fn kind_of(endpoint: &str) -> String {
    format!("{KIND}{endpoint}")
}

impl App {
    /// Begins a try, and does not wait for it: how long the other side takes is nobody else's business.
    ///
    /// What cannot be tried now stays due as it is. What is not to be tried at all ends by a change that goes to
    /// `ends`, to be committed with others.
    pub(super) fn deliver(self: &Arc<Self>, mut kept: Kept<Delivery>, ends: &mut Vec<Change>) -> Result<(), Error> {
        let now = self.now();
        let id = kept.body.endpoint.clone();
        // Of many that are due few may be sent at once: the endpoint is read for those alone.
        let Some(turn) = self.desk.admit(&kept.document.kind, now) else { return Ok(()) };
        let endpoint = self.endpoint(&id)?.filter(|it| !it.body.is_deleted);
        let is_there = endpoint.is_some();
        let Some(endpoint) = endpoint.filter(|it| it.body.disabled_at.is_none()) else {
            kept.body.state = if is_there { DeliveryState::Failed } else { DeliveryState::Canceled };
            ends.push(kept.next(now, None));
            return Ok(());
        };
        if !self.keep(&[kept.next(now, Some(now + LEASE))])? {
            return Ok(());
        }
        kept.document.version += 1;
        let letter = Letter {
            url: endpoint.body.url.clone(),
            id: kept.body.notice.clone(),
            // Whoever checks the signature has no sandbox's clock.
            at: self.clock.machine_now().millis().div_euclid(1000),
            body: kept.body.body.clone(),
            secrets: endpoint.body.signing(now),
        };
        let was_failing = endpoint.body.failing_since.is_some();
        let app = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            // A try that panics has failed like any other: not counted, it would be made again for ever.
            let told = catch_unwind(AssertUnwindSafe(|| app.desk.courier.send(&letter)));
            let told = told.unwrap_or_else(|_| Told::Silent { why: "sending it panicked".to_owned() });
            if let Err(error) = app.settle_delivery(kept, turn, &told, was_failing) {
                tracing::warn!(
                    endpoint = id,
                    %error,
                    "how a delivery went could not be written down; it is sent again"
                );
            }
        });
        Ok(())
    }

    fn settle_delivery(
        &self,
        mut kept: Kept<Delivery>,
        turn: Turn,
        told: &Told,
        was_failing: bool,
    ) -> Result<(), Error> {
        let now = self.now();
        let is_heard = matches!(told, Told::Heard { .. });
        let is_gone = matches!(told, Told::Refused { status: GONE, .. });
        let (status, why, asked) = match told {
            Told::Heard { status } => (Some(*status), None, Span::default()),
            Told::Refused { status, retry_after } => (Some(*status), None, *retry_after),
            Told::Silent { why } => (None, Some(why.clone()), Span::default()),
        };
        let asked = asked.min(ASKED_MAX);
        if Span::default() < asked {
            turn.leave_alone(now + asked);
        }
        turn.end(is_heard, now);
        let delivery = &mut kept.body;
        delivery.tries += 1;
        delivery.log.push(Try { at: now.millis(), status, why });
        if LOG_MAX < delivery.log.len() {
            delivery.log.remove(0);
        }
        let pause = PAUSES.get(delivery.tries - 1).filter(|_| !is_heard && !is_gone);
        delivery.state = match (is_heard, pause) {
            (true, _) => DeliveryState::Delivered,
            (false, Some(_)) => DeliveryState::Pending,
            (false, None) => DeliveryState::Failed,
        };
        let due_at = pause.map(|it| now + (*it).max(asked));
        // One that listens as before is not read again for each of its deliveries.
        if !is_heard || was_failing {
            let first = delivery.log.iter().rev().nth(delivery.tries - 1);
            // What waited for its first try is as old as it was written: of one that is told much and hears nothing it
            // is nearly always something new that is tried.
            let began = first.map_or(now, |it| Timestamp::from_millis(it.at)).min(kept.document.at);
            let health = match told {
                Told::Heard { .. } => Health::Listens,
                _ if is_gone => Health::Gone,
                _ => Health::Fails { began },
            };
            self.note_health(&kept.body.endpoint, health, now)?;
        }
        self.keep(&[kept.next(now, due_at)]).map(drop)
    }

    /// Deliveries to an endpoint, newest first, with an id below `before`.
    pub fn deliveries(&self, id: EndpointId, before: Option<&str>, limit: usize) -> Result<Vec<DeliveryView>, Error> {
        self.endpoint(&id.to_string())?.ok_or(Refusal::WebhookEndpointNotFound)?;
        let found = self.all_kept::<Delivery>(Document::HOUSE, &kind_of(&id.to_string()), before, limit)?;
        Ok(found.into_iter().map(|it| self.delivery_view(it)).collect())
    }

    /// Sends again all that was given up since an instant, and says how much: what an endpoint has missed.
    ///
    /// Under a key that did so before it does nothing, and says how much it was then.
    pub fn replay(
        &self,
        endpoint: EndpointId,
        since: Timestamp,
        by: &By,
        under: Option<&Under>,
    ) -> Result<(usize, bool), Error> {
        let id = endpoint.to_string();
        let request = || {
            let mut request = Fingerprint::of("replay");
            request.text(&id).number(since.millis().unsigned_abs());
            request
        };
        let under = under.map(|it| HouseKey::of(it, &request()));
        if let Some(count) = self.led_before(under.as_ref())? {
            return Ok((count.parse().unwrap_or_default(), true));
        }
        let count = self.replay_now(&id, since)?;
        let mut changes: Vec<Change> = by
            .noted(self.now(), "webhook_endpoint.replay", id.clone(), format!("{count} deliveries"))
            .into_iter()
            .collect();
        // Noted when all are due: asked again before that, it finds what is left.
        changes.extend(under.as_ref().map(|it| it.led_to(&count.to_string())));
        self.keep(&changes)?;
        Ok((count, false))
    }

    fn replay_now(&self, id: &str, since: Timestamp) -> Result<usize, Error> {
        self.endpoint(id)?.filter(|it| !it.body.is_deleted).ok_or(Refusal::WebhookEndpointNotFound)?;
        let (mut count, mut before, mut tries) = (0, None::<String>, 0);
        while count < REPLAYED_MAX {
            let page = self.all_kept::<Delivery>(Document::HOUSE, &kind_of(id), before.as_deref(), REPLAYED_AT_ONCE)?;
            let now = self.now();
            let made_at =
                |it: &Kept<Delivery>| it.document.id.parse().map_or(it.document.at, |it: DeliveryId| it.made_at());
            let missed = page.iter().filter(|it| it.body.state == DeliveryState::Failed && since <= made_at(it));
            let mut changes = Vec::new();
            for kept in missed {
                let mut kept = kept.clone();
                (kept.body.state, kept.body.tries) = (DeliveryState::Pending, 0);
                changes.push(kept.next(now, Some(now)));
            }
            if !changes.is_empty() && !self.keep(&changes)? {
                // Overtaken by somebody who sends one of them again or forgets it: the rest is missed still.
                tries += 1;
                if tries < REPLAY_TRIES {
                    continue;
                }
                return Err(Error::Busy);
            }
            (count, tries) = (count + changes.len(), 0);
            match page.last().filter(|it| page.len() == REPLAYED_AT_ONCE && since <= made_at(it)) {
                Some(last) => before = Some(last.document.id.clone()),
                None => break,
            }
        }
        Ok(count)
    }

    /// Sends a delivery again, with all its tries before it. Says whether its key did that before.
    pub fn resend(
        &self,
        endpoint: EndpointId,
        id: DeliveryId,
        by: &By,
        under: Option<&Under>,
    ) -> Result<(DeliveryView, bool), Error> {
        let (endpoint, id) = (endpoint.to_string(), id.to_string());
        let under = under.map(|it| HouseKey::of(it, Fingerprint::of("resend").text(&endpoint).text(&id)));
        loop {
            let before = self.led_before(under.as_ref())?;
            let found = self.endpoint(&endpoint)?.filter(|it| !it.body.is_deleted || before.is_some());
            found.ok_or(Refusal::WebhookEndpointNotFound)?;
            let kept = self.kept::<Delivery>(Document::HOUSE, &kind_of(&endpoint), &id)?;
            let mut kept = kept.ok_or(Refusal::DeliveryNotFound)?;
            if let Some(led_to) = before {
                return Ok((self.delivery_then(kept, &led_to), true));
            }
            let now = self.now();
            (kept.body.state, kept.body.tries) = (DeliveryState::Pending, 0);
            let mut changes = vec![kept.next(now, Some(now))];
            changes.extend(by.noted(now, "webhook_delivery.resend", id.clone(), endpoint.clone()));
            kept.document.due_at = Some(now);
            let view = self.delivery_view(kept);
            let answer = SentAgain::of(view.delivery.log.len(), view.next_try_at.unwrap_or(now));
            changes.extend(under.as_ref().map(|it| it.answered(&answer)));
            // Overtaken by a try that ended just now: its outcome is read, and it is sent again all the same.
            if self.keep(&changes)? {
                return Ok((view, false));
            }
        }
    }

    /// A delivery as it was answered when it was sent again.
    fn delivery_then(&self, kept: Kept<Delivery>, led_to: &str) -> DeliveryView {
        let mut view = self.delivery_view(kept);
        if let Some(then) = answer_in::<SentAgain>(led_to) {
            view.delivery.state = DeliveryState::Pending;
            view.delivery.log.truncate(then.tries());
            view.next_try_at = Some(then.due_at());
        }
        view
    }

    fn delivery_view(&self, kept: Kept<Delivery>) -> DeliveryView {
        let created_at = kept.document.id.parse().map_or(kept.document.at, |it: DeliveryId| it.made_at());
        let next_try_at = kept.document.due_at.map(|it| it.max(self.desk.rests_until(&kept.document.kind)));
        DeliveryView { id: kept.document.id, created_at, next_try_at, delivery: kept.body }
    }
}
