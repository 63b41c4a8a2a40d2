//! One request to the provider, tried until its outcome is known or patience is over.
//!
//! Invariant: every try of one call carries the same key and the same body. What was tried under one key is never tried
//! here under another; only the caller can decide that.
use std::hash::{Hash, Hasher};
use std::io;
use std::time::Duration;

use billing::time::Span;
use serde_json::Value;
use ureq::http::Response;
use ureq::{Agent, Body};

use super::form::Form;
use super::words::{Failure, RefusedFor};
use super::{Patience, Secret, VERSION};

/// More than this is no answer of the provider's.
const ANSWER_MAX: u64 = 8 << 20;

/// When the provider asks for nothing else, a busy one is asked again after this.
const COME_BACK: Span = Span::SECOND.times(30);

pub(super) struct Wire {
    agent: Agent,
    url: String,
    secret_key: Secret,
    patience: Patience,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("url", &self.url).finish_non_exhaustive()
    }
}

/// An answer that settles the call: done, or refused.
pub(super) struct Settled {
    pub status: u16,
    pub body: Value,
}

/// What one try came to.
enum Tried {
    Settled(Settled),
    /// Certainly not done.
    NotDone {
        after: Option<Duration>,
        detail: String,
    },
    /// Perhaps done. `is_final`: the same key will be answered the same for ever.
    Perhaps {
        is_final: bool,
        detail: String,
    },
}

impl Wire {
    pub fn new(url: String, secret_key: Secret, patience: Patience) -> Wire {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(patience.one_try))
            .timeout_connect(Some(patience.one_try.min(Duration::from_secs(10))))
            .build();
        Wire { agent: config.into(), url: url.trim_end_matches('/').to_owned(), secret_key, patience }
    }

    /// Reads. A read that fails did nothing, so it is never ambiguous.
    pub fn get(&self, path: &str, query: Form) -> Result<Value, Failure> {
        let query = query.encode();
        let url = format!("{}{path}{}{query}", self.url, if query.is_empty() { "" } else { "?" });
        let answer = self.settle("", || {
            let request = self.agent.get(&url).header("authorization", self.authorization());
            request.header("stripe-version", VERSION).call()
        });
        match answer {
            Ok(settled) => settled.value(),
            Err(Failure::Ambiguous { detail, .. }) => Err(Failure::Busy { after: COME_BACK, detail }),
            Err(other) => Err(other),
        }
    }

    /// Does something, once per `key`.
    pub fn post(&self, path: &str, form: Form, key: &str) -> Result<Value, Failure> {
        self.post_settled(path, form, key)?.value()
    }

    /// Like [`Wire::post`], for callers to whom a refusal may be an outcome.
    pub fn post_settled(&self, path: &str, form: Form, key: &str) -> Result<Settled, Failure> {
        let url = format!("{}{path}", self.url);
        let body = form.encode();
        self.settle(key, || {
            let request = self.agent.post(&url).header("authorization", self.authorization());
            let request = request.header("stripe-version", VERSION).header("idempotency-key", key);
            request.header("content-type", "application/x-www-form-urlencoded").send(&body)
        })
    }

    fn authorization(&self) -> String {
        format!("Bearer {}", self.secret_key.expose())
    }

    /// Tries until it is settled. Once one try may have been done, giving up is ambiguous, whatever later ones said.
    fn settle(&self, key: &str, send: impl Fn() -> Result<Response<Body>, ureq::Error>) -> Result<Settled, Failure> {
        let mut perhaps = None;
        let mut not_done = (COME_BACK, String::new());
        for number in 1..=self.patience.tries_max.max(1) {
            let pause = match tried(send()) {
                // The key's own right was taken away between two tries: the first may have been done.
                Tried::Settled(it) if perhaps.is_some() && matches!(it.status, 401 | 403) => break,
                Tried::Settled(it) => return Ok(it),
                Tried::NotDone { after, detail } => {
                    let asked_for = after.unwrap_or_default();
                    not_done = (span(asked_for).max(COME_BACK), detail);
                    if self.patience.longest_pause < asked_for {
                        break;
                    }
                    self.pause(key, number).max(asked_for)
                }
                Tried::Perhaps { is_final, detail } => {
                    perhaps = Some((is_final, detail));
                    if is_final {
                        break;
                    }
                    self.pause(key, number)
                }
            };
            if number < self.patience.tries_max {
                std::thread::sleep(pause);
            }
        }
        Err(match perhaps {
            Some((is_kept, detail)) => Failure::Ambiguous { is_kept, detail },
            None => Failure::Busy { after: not_done.0, detail: not_done.1 },
        })
    }

    /// From half of the doubled pause to the whole, spread by the key so that callers who failed together do not all
    /// come back together.
    fn pause(&self, key: &str, number: u32) -> Duration {
        let doubled = self.patience.first_pause.saturating_mul(1 << number.saturating_sub(1).min(16));
        let whole = doubled.min(self.patience.longest_pause);
        let mut hash = siphasher::sip::SipHasher13::new();
        (key, number).hash(&mut hash);
        whole / 2 + whole / 200 * u32::try_from(hash.finish() % 100).unwrap_or_default()
    }
}

fn span(duration: Duration) -> Span {
    Span::from_millis(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
}

fn tried(answer: Result<Response<Body>, ureq::Error>) -> Tried {
    let mut response = match answer {
        Ok(response) => response,
        Err(error) if was_not_sent(&error) => return Tried::NotDone { after: None, detail: error.to_string() },
        Err(error) => return Tried::Perhaps { is_final: false, detail: error.to_string() },
    };
    let status = response.status().as_u16();
    let header = |name: &str| response.headers().get(name).and_then(|it| it.to_str().ok()).map(str::to_owned);
    let (again, retry_after) = (header("stripe-should-retry"), header("retry-after"));
    let is_replay = header("idempotent-replayed").as_deref() == Some("true");
    let text = match response.body_mut().with_config().limit(ANSWER_MAX).read_to_string() {
        Ok(text) => text,
        // It was done or refused, but how it ended is lost.
        Err(error) => return Tried::Perhaps { is_final: false, detail: error.to_string() },
    };
    let body: Option<Value> = serde_json::from_str(&text).ok();
    let detail = || format!("{status} {}", body.as_ref().map(said).unwrap_or_default());
    match status {
        // Turned away at the door.
        429 => {
            let after = retry_after.and_then(|it| it.parse().ok()).map(Duration::from_secs);
            Tried::NotDone { after, detail: detail() }
        }
        // The first request under this key is still under way, or another holds what this one needs.
        409 if is_another_underway(body.as_ref()) => Tried::Perhaps { is_final: false, detail: detail() },
        // The provider failed in the middle; what it had done by then is not known, and a stored failure is repeated.
        500.. => Tried::Perhaps { is_final: is_replay || again.as_deref() == Some("false"), detail: detail() },
        _ => match body {
            Some(body) => Tried::Settled(Settled { status, body }),
            None => Tried::Perhaps { is_final: false, detail: format!("{status}, and not JSON") },
        },
    }
}

/// Whether the request cannot have reached the provider.
fn was_not_sent(error: &ureq::Error) -> bool {
    use ureq::{Error, Timeout};
    match error {
        Error::HostNotFound | Error::ConnectionFailed | Error::BadUri(_) | Error::Tls(_) => true,
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => true,
        Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
        _ => false,
    }
}

/// A conflict that passes. One with another body under the same key does not.
fn is_another_underway(body: Option<&Value>) -> bool {
    body.is_none_or(|it| it["error"]["type"] != "idempotency_error" || it["error"]["code"] == "idempotency_key_in_use")
}

fn said(body: &Value) -> String {
    let text = |member: &str| body["error"][member].as_str().unwrap_or_default();
    format!("{} {}: {}", text("type"), text("code"), text("message"))
}

impl Settled {
    pub fn is_done(&self) -> bool {
        self.status < 400
    }

    /// The object, where it was done.
    pub fn value(self) -> Result<Value, Failure> {
        if self.is_done() { Ok(self.body) } else { Err(self.refused()) }
    }

    pub fn refused(&self) -> Failure {
        let error = &self.body["error"];
        let message = error["message"].as_str().unwrap_or_default();
        let why = match (self.status, error["code"].as_str().unwrap_or_default(), error["type"].as_str()) {
            (401 | 403, ..) => RefusedFor::Unauthorized,
            (_, "resource_missing", _) | (404, ..) => RefusedFor::Missing,
            (_, _, Some("idempotency_error")) => RefusedFor::KeyReused,
            (_, "charge_already_refunded", _) => RefusedFor::RefundTooLarge,
            (_, "charge_disputed", _) => RefusedFor::Disputed,
            (_, code, _) if code.ends_with("unexpected_state") => RefusedFor::WrongState,
            // The provider has no code for it.
            _ if message.contains("greater than unrefunded amount") => RefusedFor::RefundTooLarge,
            _ => RefusedFor::Malformed,
        };
        Failure::Refused { why, detail: format!("{} {}", self.status, said(&self.body)) }
    }
}
