//! Webhook endpoints: where a platform hears of what happened, what it wants to hear, and the secrets that sign it.
//!
//! A secret is shown once, and kept as it is: signing needs it. While it is being changed, the old one signs beside the
//! new one for a day, so that whoever listens can change over without missing anything.
use billing::Refusal;
use billing::id::{EndpointId, Place};
use billing::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use store::{Audit, Change, Document, Fault};

use super::Error;
use super::documents::Kept;
use super::house_requests::{HouseKey, Under};
use super::notices::{Happening, Tidings, raise};
use super::order::Fingerprint;
use super::requests::answer_in;
use crate::app::App;
use crate::notify::{SigningSecret, check_target};

const KIND: &str = "webhook_endpoint";

/// Endpoints that may be in use. Each makes a delivery of every notice.
const MOST: usize = 50;
/// Read to find those in use; deleted ones stay, for their deliveries are still to be seen.
const READ_MAX: usize = 10_000;

/// An endpoint that has heard nothing for so long is told nothing more.
const DISABLED_AFTER: Span = Span::DAY.times(5);

/// For how long what it is told at last must have waited by then: it may have been told nothing for weeks.
const TRIED_FOR: Span = Span::HOUR;

/// How long what it misses from then on is kept for it. Nobody has come for it by then, and it would pile up for ever.
const MISSED_FOR: Span = Span::DAY.times(30);

/// How long an old secret signs beside the new one.
const CHANGE_OVER: Span = Span::DAY;

/// What a try tells of an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Health {
    Listens,
    /// Did not hear what has waited for it since `began`.
    Fails {
        began: Timestamp,
    },
    /// Says itself that it is no more.
    Gone,
}

impl Health {
    /// Whether one that has failed since `since` is told nothing more.
    fn is_the_end(self, since: Timestamp, now: Timestamp) -> bool {
        match self {
            Health::Listens => false,
            Health::Fails { began } => since + DISABLED_AFTER <= now && began + TRIED_FOR <= now,
            Health::Gone => true,
        }
    }
}

/// An endpoint as it is kept.
#[derive(Clone, Serialize, Deserialize)]
pub struct Endpoint {
    pub url: String,
    /// What it wants to hear of; empty for everything.
    pub events: Vec<String>,
    secrets: Vec<KeptSecret>,
    pub is_deleted: bool,
    /// Since when nothing it was told was heard, in milliseconds since 1970; None while it listens.
    pub failing_since: Option<i64>,
    /// Since when it is told nothing, having failed for too long, in milliseconds since 1970.
    #[serde(default)]
    pub disabled_at: Option<i64>,
}

#[derive(Clone, Serialize, Deserialize)]
struct KeptSecret {
    secret: String,
    /// Signs until then, in milliseconds since 1970.
    until: Option<i64>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url).field("events", &self.events).finish_non_exhaustive()
    }
}

impl Endpoint {
    /// What signs at an instant, newest first.
    pub(super) fn signing(&self, at: Timestamp) -> Vec<SigningSecret> {
        let in_force = self.secrets.iter().filter(|it| it.until.is_none_or(|until| at.millis() < until));
        in_force.rev().filter_map(|it| SigningSecret::read(&it.secret)).collect()
    }

    /// Also of one that is told nothing just now: what it misses is kept for a while, to be told when somebody asks.
    fn wants(&self, what: &str, now: Timestamp) -> bool {
        let is_missed = self.disabled_at.is_none_or(|it| now < Timestamp::from_millis(it) + MISSED_FOR);
        !self.is_deleted && is_missed && (self.events.is_empty() || self.events.iter().any(|it| it == what))
    }
}

/// An endpoint with its id.
#[derive(Clone, Debug)]
pub struct EndpointView {
    pub id: String,
    pub created_at: Timestamp,
    pub endpoint: Endpoint,
}

/// A new endpoint, or a new secret of one.
pub struct MadeEndpoint {
    pub endpoint: EndpointView,
    /// None for a request that came before, where what it led to signs nothing any more and is not kept.
    pub secret: Option<SigningSecret>,
    pub is_replay: bool,
}

/// What a request of an endpoint was answered. Its secrets stay with the endpoint: here is what tells them apart.
#[derive(Serialize, Deserialize)]
struct Then {
    id: String,
    endpoint: Endpoint,
    secret: String,
}

impl Then {
    fn of(kept: &Kept<Endpoint>) -> Then {
        let secret = kept.body.secrets.last().map(|it| mark(&it.secret)).unwrap_or_default();
        let endpoint = Endpoint { secrets: Vec::new(), ..kept.body.clone() };
        Then { id: kept.document.id.clone(), endpoint, secret }
    }
    fn view(self) -> EndpointView {
        view_of(self.id, self.endpoint)
    }
}

/// What came of a request that changes an endpoint.
enum Changed {
    Now(Box<Kept<Endpoint>>),
    /// The same request under its key was faster, and was answered this.
    Before(String),
}

impl App {
    /// Makes an endpoint, and gives its secret, which is never to be had again.
    pub fn create_endpoint(
        &self,
        url: &str,
        events: &[String],
        by: &str,
        under: Option<&Under>,
    ) -> Result<MadeEndpoint, Error> {
        let mut request = Fingerprint::of("webhook endpoint");
        request.text(url);
        events.iter().for_each(|it| _ = request.text(it));
        let under = under.map(|it| HouseKey::of(it, &request));
        if let Some(led_to) = self.led_before(under.as_ref())? {
            return self.made_before(&led_to, <[_]>::first);
        }
        check_target(url, self.desk.courier.reach()).map_err(|it| Refusal::invalid("url", it))?;
        let mut wanted = Vec::new();
        for event in events {
            let known: Happening = event.parse().map_err(|()| {
                let all: Vec<&str> = Happening::ALL.iter().map(|it| it.as_str()).collect();
                Refusal::invalid("events", format!("must be of {}", all.join(", ")))
            })?;
            if !wanted.iter().any(|it| it == known.as_str()) {
                wanted.push(known.as_str().to_owned());
            }
        }
        if MOST <= self.live_endpoints()?.len() {
            let why = format!("would be one more than the {MOST} endpoints there may be; delete one first");
            return Err(Refusal::invalid("url", why).into());
        }
        let secret = draw()?;
        let now = self.now();
        let kept = Kept::new(
            Document::HOUSE,
            KIND,
            EndpointId::new(now, Place { account: Document::HOUSE, version: chance()? }).to_string(),
            Endpoint {
                url: url.to_owned(),
                events: wanted,
                secrets: vec![KeptSecret { secret: secret.reveal(), until: None }],
                is_deleted: false,
                failing_since: None,
                disabled_at: None,
            },
        );
        let mut changes = vec![kept.next(now, None), audit(&kept, "webhook_endpoint.create", by, now)];
        changes.extend(under.as_ref().map(|it| it.answered(&Then::of(&kept))));
        if self.keep(&changes)? {
            return Ok(MadeEndpoint { endpoint: view(kept), secret: Some(secret), is_replay: false });
        }
        // The same request was faster.
        let led_to = self.led_before(under.as_ref())?.ok_or(Error::Busy)?;
        self.made_before(&led_to, <[_]>::first)
    }

    /// What a request that came before was answered, with the secret it led to, as long as that is kept. A note of
    /// before there were answers in them names the endpoint alone, and `likely` says which secret it may have been.
    fn made_before(
        &self,
        led_to: &str,
        likely: fn(&[KeptSecret]) -> Option<&KeptSecret>,
    ) -> Result<MadeEndpoint, Error> {
        let then: Option<Then> = answer_in(led_to);
        let kept = self.endpoint(then.as_ref().map_or(led_to, |it| &it.id))?;
        let kept = kept.ok_or(Refusal::WebhookEndpointNotFound)?;
        let secrets = &kept.body.secrets;
        let secret = match &then {
            Some(then) => secrets.iter().find(|it| mark(&it.secret) == then.secret),
            None => likely(secrets),
        };
        let secret = secret.and_then(|it| SigningSecret::read(&it.secret));
        let endpoint = then.map_or_else(|| view(kept), Then::view);
        Ok(MadeEndpoint { endpoint, secret, is_replay: true })
    }

    /// The endpoints in use, newest first.
    pub fn endpoints(&self) -> Result<Vec<EndpointView>, Error> {
        Ok(self.live_endpoints()?.into_iter().map(view).collect())
    }

    /// Tells it nothing any more, and gives up what is on its way to it.
    pub fn delete_endpoint(&self, id: EndpointId, by: &str) -> Result<(), Error> {
        self.change_endpoint(id, ("webhook_endpoint.delete", by), None, |it, _| it.is_deleted = true).map(drop)
    }

    /// Gives an endpoint a new secret; the old one signs beside it for a day.
    pub fn rotate_endpoint_secret(
        &self,
        id: EndpointId,
        by: &str,
        under: Option<&Under>,
    ) -> Result<MadeEndpoint, Error> {
        let under = under.map(|it| HouseKey::of(it, Fingerprint::of("rotate").text(&id.to_string())));
        let secret = draw()?;
        let changed = self.change_endpoint(id, ("webhook_endpoint.rotate", by), under.as_ref(), |endpoint, now| {
            endpoint.secrets.retain(|it| it.until.is_none_or(|until| now.millis() < until));
            for old in endpoint.secrets.iter_mut().filter(|it| it.until.is_none()) {
                old.until = Some((now + CHANGE_OVER).millis());
            }
            endpoint.secrets.push(KeptSecret { secret: secret.reveal(), until: None });
        })?;
        match changed {
            Changed::Now(kept) => Ok(MadeEndpoint { endpoint: view(*kept), secret: Some(secret), is_replay: false }),
            Changed::Before(led_to) => self.made_before(&led_to, <[_]>::last),
        }
    }

    fn change_endpoint(
        &self,
        id: EndpointId,
        (action, by): (&str, &str),
        under: Option<&HouseKey>,
        change: impl Fn(&mut Endpoint, Timestamp),
    ) -> Result<Changed, Error> {
        loop {
            if let Some(led_to) = self.led_before(under)? {
                return Ok(Changed::Before(led_to));
            }
            let found = self.endpoint(&id.to_string())?.filter(|it| !it.body.is_deleted);
            let mut kept = found.ok_or(Refusal::WebhookEndpointNotFound)?;
            let now = self.now();
            change(&mut kept.body, now);
            let mut changes = vec![kept.next(now, None), audit(&kept, action, by, now)];
            changes.extend(under.map(|it| it.answered(&Then::of(&kept))));
            // Overtaken by another change of it: made again on what that led to.
            if self.keep(&changes)? {
                return Ok(Changed::Now(Box::new(kept)));
            }
        }
    }

    pub(super) fn endpoint(&self, id: &str) -> Result<Option<Kept<Endpoint>>, Error> {
        self.kept(Document::HOUSE, KIND, id)
    }

    /// Deleted ones too.
    pub(super) fn all_endpoints(&self) -> Result<Vec<Kept<Endpoint>>, Error> {
        self.all_kept(Document::HOUSE, KIND, None, READ_MAX)
    }

    fn live_endpoints(&self) -> Result<Vec<Kept<Endpoint>>, Error> {
        let mut all = self.all_endpoints()?;
        all.retain(|it| !it.body.is_deleted);
        Ok(all)
    }

    /// The endpoints that want to hear of something.
    pub(super) fn endpoints_for(&self, what: &str, now: Timestamp) -> Result<Vec<Kept<Endpoint>>, Error> {
        let mut all = self.live_endpoints()?;
        all.retain(|it| it.body.wants(what, now));
        Ok(all)
    }

    /// Tells an endpoint again what happens, from now on. Says whether its key did that before.
    pub fn enable_endpoint(
        &self,
        id: EndpointId,
        by: &str,
        under: Option<&Under>,
    ) -> Result<(EndpointView, bool), Error> {
        let under = under.map(|it| HouseKey::of(it, Fingerprint::of("enable").text(&id.to_string())));
        let changed = self.change_endpoint(id, ("webhook_endpoint.enable", by), under.as_ref(), |endpoint, _| {
            (endpoint.failing_since, endpoint.disabled_at) = (None, None);
        })?;
        match changed {
            Changed::Now(kept) => Ok((view(*kept), false)),
            Changed::Before(led_to) => Ok((self.made_before(&led_to, <[_]>::last)?.endpoint, true)),
        }
    }

    /// Writes down that an endpoint has begun not to listen, or listens again; one that has not listened for too long,
    /// or says that it is gone, is told nothing more, and others hear of that.
    pub(super) fn note_health(&self, id: &str, health: Health, now: Timestamp) -> Result<(), Error> {
        let Some(mut kept) = self.endpoint(id)?.filter(|it| !it.body.is_deleted) else { return Ok(()) };
        let endpoint = &mut kept.body;
        let was_failing = endpoint.failing_since.is_some();
        let mut news = None;
        if health == Health::Listens {
            if !was_failing {
                return Ok(());
            }
            endpoint.failing_since = None;
        } else {
            let since = *endpoint.failing_since.get_or_insert(now.millis());
            let is_off_now = endpoint.disabled_at.is_none() && health.is_the_end(Timestamp::from_millis(since), now);
            if was_failing && !is_off_now {
                return Ok(());
            }
            if is_off_now {
                endpoint.disabled_at = Some(now.millis());
                let since = jiff::Timestamp::from_millisecond(since).unwrap_or_default();
                let about = json!({"endpoint": id, "url": endpoint.url, "failing_since": format!("{since:.3}")});
                let cause = format!("{id}_{}", kept.document.version);
                let what = Happening::WebhookEndpointDisabled;
                news = Some(raise(&Tidings { account: Document::HOUSE, what, cause: &cause, about }, now));
            }
        }
        let changes: Vec<Change> = news.into_iter().chain([kept.next(now, None)]).collect();
        // Overtaken, it is written down at the next such turn: it is for people to look at.
        self.keep(&changes).map(drop)
    }
}

fn view(kept: Kept<Endpoint>) -> EndpointView {
    view_of(kept.document.id, kept.body)
}

fn view_of(id: String, endpoint: Endpoint) -> EndpointView {
    let created_at = id.parse().map_or(Timestamp::EPOCH, |it: EndpointId| it.made_at());
    EndpointView { id, created_at, endpoint }
}

/// What tells a secret apart and does not give it away.
fn mark(secret: &str) -> String {
    Sha256::digest(secret).iter().take(8).map(|it| format!("{it:02x}")).collect()
}

fn audit(kept: &Kept<Endpoint>, action: &str, by: &str, at: Timestamp) -> Change {
    let (subject, detail) = (kept.document.id.clone(), kept.body.url.clone());
    Change::Audit(Audit { at, by: by.to_owned(), action: action.to_owned(), subject, detail })
}

fn draw() -> Result<SigningSecret, Fault> {
    SigningSecret::draw().map_err(|it| Fault::new("drawing an endpoint's secret", it.to_string()))
}

/// As many random bits as an id has room for.
fn chance() -> Result<u64, Fault> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|it| Fault::new("naming an endpoint", it.to_string()))?;
    Ok(u64::from_be_bytes(bytes) >> 28)
}
