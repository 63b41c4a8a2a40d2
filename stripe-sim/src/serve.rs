//! HTTP around the simulator: who may ask, what a key remembers, what goes wrong on the way, and who is told.
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use serde_json::{Value, json};

use crate::api::{self, Call};
use crate::control;
use crate::faults::{Faults, What, When};
use crate::keys::{Answer, Keys};
use crate::notices;
use crate::pages::{self, Shown};
use crate::params::Params;
use crate::problem::Problem;
use crate::world::World;

/// Longest body taken.
const BODY_MAX: usize = 1 << 20;
/// Longest wait for notices to be told.
const FLUSH_MAX: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct State {
    pub world: World,
    pub faults: Faults,
    keys: Keys,
    /// Every request of the provider's interface: method, path, key, and what was answered; 0 for nothing.
    requests: Vec<Value>,
    /// Requests that stall at this moment.
    pub stalled: u64,
    /// Counts what was released of what stalled.
    releases: u64,
    is_over: bool,
}

/// The simulator's state, and a bell that rings whenever it changes.
#[derive(Debug)]
pub struct Shared {
    state: Mutex<State>,
    bell: Condvar,
}

/// The connection is to be closed without an answer.
#[derive(Debug)]
pub struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("dropped as planned")
    }
}
impl std::error::Error for Dropped {}

impl Shared {
    pub fn new(world: World) -> Arc<Shared> {
        let state = State {
            world,
            faults: Faults::default(),
            keys: Keys::default(),
            requests: Vec::new(),
            stalled: 0,
            releases: 0,
            is_over: false,
        };
        Arc::new(Shared { state: Mutex::new(state), bell: Condvar::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    pub fn end(&self) {
        self.lock().is_over = true;
        self.bell.notify_all();
    }

    /// Does what is asked under `/_sim/`.
    pub fn control(&self, method: &str, path: &str, said: &Value) -> Result<Value, String> {
        match path.trim_matches('/') {
            "notices/flush" => return self.flush(),
            "faults/release" => self.lock().releases += 1,
            "requests" => return Ok(json!(self.lock().requests)),
            path => {
                let done = control::answer(&mut self.lock(), method, path, said)?;
                self.bell.notify_all();
                return Ok(done);
            }
        }
        self.bell.notify_all();
        Ok(json!({}))
    }

    /// Waits until everything that is due has been told.
    fn flush(&self) -> Result<Value, String> {
        self.bell.notify_all();
        let is_busy = |it: &mut State| !it.is_over && !it.world.notices.is_quiet(it.world.now());
        let (_state, waited) = self.bell.wait_timeout_while(self.lock(), FLUSH_MAX, is_busy).expect("no holder panics");
        if waited.timed_out() { Err("not everything could be told in time".to_owned()) } else { Ok(json!({})) }
    }

    fn v1(&self, asked: &Asked) -> Result<Answer, Dropped> {
        let answered = self.v1_unlogged(asked);
        let status = answered.as_ref().map_or(0, |it| it.status);
        let said = json!({"method": asked.method, "path": asked.path, "key": asked.key, "status": status});
        self.lock().requests.push(said);
        answered
    }

    /// Answers a request of the provider's interface; blocks while it is stalled.
    fn v1_unlogged(&self, asked: &Asked) -> Result<Answer, Dropped> {
        let mut state = self.lock();
        if let Err(problem) = authorize(&state, asked) {
            return Ok(Answer::of(Err(problem)));
        }
        let fault = state.faults.take(&asked.method, &asked.path);
        let (when, what) = fault.map_or((When::After, None), |it| (it.when, Some(it.what)));
        match (when, what) {
            (When::Before, Some(What::TooMany(retry_after))) => {
                return Ok(Answer { retry_after, ..Answer::of(Err(Problem::too_many())) });
            }
            (When::Before, Some(What::Locked)) => return Ok(Answer::of(Err(Problem::locked()))),
            (When::Before, Some(What::Refused(status))) => return Ok(Answer::of(Err(Problem::refused(status)))),
            (When::Before, Some(What::Dropped)) => return Err(Dropped),
            _ => {}
        }
        let key = asked.key.as_deref().filter(|_| asked.method != "GET");
        if let Some(key) = key {
            let request = format!("{} {} {}", asked.method, asked.path, asked.form);
            let now = state.world.now();
            match state.keys.begin(key, &request, now) {
                // It was done long ago, and now this answer is lost as well.
                Ok(Some(_)) if what == Some(What::Dropped) => return Err(Dropped),
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => {}
                Err(problem) => return Ok(Answer::of(Err(problem))),
            }
        }
        if what == Some(What::Stalled) {
            let releases = state.releases;
            let is_stalled = |it: &mut State| it.releases == releases && !it.is_over;
            state.stalled += 1;
            state = self.bell.wait_while(state, is_stalled).expect("no holder panics");
            state.stalled -= 1;
        }
        let outcome = if (when, what) == (When::Before, Some(What::Broken)) {
            Err(Problem::broken())
        } else {
            state.world.key = key.map(str::to_owned);
            let call = Call { method: &asked.method, path: &asked.path, params: asked.params() };
            let outcome = state.world.answer(call);
            if (when, what) == (When::After, Some(What::Broken)) { Err(Problem::broken()) } else { outcome }
        };
        let is_kept = outcome.as_ref().err().is_none_or(|it| it.is_kept);
        let answer = Answer::of(outcome);
        if let Some(key) = key {
            state.keys.end(key, is_kept.then_some(&answer));
        }
        drop(state);
        self.bell.notify_all();
        match (when, what) {
            (When::After, Some(What::Dropped)) => Err(Dropped),
            (When::After, Some(What::Refused(status))) => Ok(Answer::of(Err(Problem::refused(status)))),
            _ => Ok(answer),
        }
    }

    /// Tells notices, one after another, until the end.
    pub fn tell(&self) {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(10)))
            .build()
            .new_agent();
        let mut state = self.lock();
        while !state.is_over {
            let now = state.world.now();
            let Some((waiting, target)) = state.world.notices.next(now) else {
                // The machine's clock moves without ringing the bell.
                let patience = Duration::from_secs(1);
                state = self.bell.wait_timeout(state, patience).expect("no holder panics").0;
                continue;
            };
            let body = state.world.shelf.get(&waiting.event).map(Value::to_string).unwrap_or_default();
            drop(state);
            let request = agent.post(&target.url).header("content-type", "application/json; charset=utf-8");
            let signature = notices::signature(&target.secrets, now, &body);
            let status = match request.header("stripe-signature", signature).send(&body) {
                Ok(response) => response.status().as_u16(),
                Err(_) => 0,
            };
            state = self.lock();
            let now = state.world.now();
            state.world.notices.told(waiting, status, now);
            self.bell.notify_all();
        }
    }
}

/// A request, read whole.
#[derive(Debug)]
struct Asked {
    method: String,
    path: String,
    query: String,
    form: String,
    key: Option<String>,
    authorization: String,
}

impl Asked {
    fn params(&self) -> Params {
        let mut params = Params::read(&self.query);
        params.extend(Params::read(&self.form));
        params
    }
}

/// A test mode secret key may do all; the public key only what the client secret beside it is for.
fn authorize(state: &State, asked: &Asked) -> Result<(), Problem> {
    let Some(key) = asked.authorization.strip_prefix("Bearer ") else {
        return Err(Problem::unauthorized("You did not provide an API key."));
    };
    if key.starts_with("sk_test_") || key.starts_with("rk_test_") {
        return Ok(());
    }
    let id = asked.path.split('/').nth(3).unwrap_or_default();
    let secret = state.world.shelf.get(id).map(|it| &it["client_secret"]);
    if key.starts_with("pk_test_") && api::is_for_browsers(&asked.path, &asked.params(), secret) {
        return Ok(());
    }
    // The key itself is not repeated: it may be a real one sent to the wrong place.
    Err(Problem::unauthorized("Invalid API Key provided. The simulator takes test keys alone: sk_test_…"))
}

/// Answers one request.
pub async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Dropped> {
    let header = |name: &str| request.headers().get(name).and_then(|it| it.to_str().ok()).map(str::to_owned);
    let mut asked = Asked {
        method: request.method().as_str().to_owned(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        form: String::new(),
        key: header("idempotency-key"),
        authorization: header("authorization").unwrap_or_default(),
    };
    let body = Limited::new(request.into_body(), BODY_MAX).collect().await.map_err(|_| Dropped)?;
    asked.form = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    // A stalled request waits for another one, so none may hold up the threads that read them.
    tokio::task::spawn_blocking(move || route(&shared, &asked)).await.map_err(|_| Dropped)?
}

fn route(shared: &Shared, asked: &Asked) -> Result<Response<Full<Bytes>>, Dropped> {
    if asked.path.starts_with("/v1/") {
        return shared.v1(asked).map(|it| to_response(&it));
    }
    if let Some(path) = asked.path.strip_prefix("/_sim/") {
        let said = serde_json::from_str(&asked.form).unwrap_or_else(|_| json!({}));
        return Ok(match shared.control(&asked.method, path, &said) {
            Ok(done) => json_response(200, &done),
            Err(why) => json_response(400, &json!({"error": why})),
        });
    }
    let shown = pages::answer(&mut shared.lock().world, &asked.method, &asked.path, &asked.query, &asked.form);
    shared.bell.notify_all();
    let (status, name, value, html) = match shown {
        Shown::Page(status, html) => (status, "content-type", "text/html; charset=utf-8".to_owned(), html),
        Shown::Redirect(url) => (303, "location", url, String::new()),
    };
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    let response = Response::builder().status(status).header(name, value).header("content-security-policy", policy);
    Ok(response.body(html.into()).unwrap_or_else(|_| json_response(500, &json!({"error": "not a URL to lead to"}))))
}

fn to_response(answer: &Answer) -> Response<Full<Bytes>> {
    let mut response = json_response(answer.status, &answer.body);
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    };
    set("stripe-version", crate::VERSION);
    set("request-id", "req_simulated");
    if answer.is_replay {
        set("idempotent-replayed", "true");
    }
    if let Some(seconds) = answer.retry_after {
        set("retry-after", &seconds.to_string());
    }
    response
}

fn json_response(status: u16, body: &Value) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(body.to_string().into()).expect("the parts are a response's")
}
