//! What every endpoint stands on: the use cases, who may call them, how much at once.
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use billing::id::Name;
use billing::money::Credits;
use billing::rating::Text;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::catalogue;
use super::gauges::{Gauges, count};
use super::problem::Problem;
use super::share::{Share, Shares};
use crate::app::App;
use crate::service::{Caller, Error, Scope};
use crate::traces::Traces;

/// Bytes of artefacts that may be in memory at once, all uploads together.
const UPLOADS_BYTES_MAX: usize = 512 << 20;
/// The same of what people send to pages. It is apart, so that no number of people who send slowly or never end leaves
/// the API without room.
const PAGE_UPLOADS_BYTES_MAX: usize = 200 << 20;
/// Of one account: a file as large as any may be, and messages beside it. Those who work together wait for each other,
/// and nobody for the files of a stranger.
const ACCOUNT_UPLOADS_BYTES_MAX: usize = PAGE_UPLOADS_BYTES_MAX / 3;
/// Artefacts measured at once: measuring is work for a core, and the charges need one too.
const MEASURING_MAX: usize = 2;
/// Of these, so many for pages: the API never waits for a queue of them.
const PAGE_MEASURING_MAX: usize = 1;
/// Event streams open at once; each is a connection and a task that sleeps.
const LISTENERS_MAX: usize = 8_192;
/// Of one account: a platform that follows it, and all who look at it.
const ACCOUNT_LISTENERS_MAX: usize = 512;
/// One permit stands for so many bytes.
const UPLOAD_UNIT: usize = 1 << 10;

pub struct Site {
    pub app: Arc<App>,
    pub gauges: Gauges,
    pub traces: Traces,
    /// None where keys may send as fast as they can.
    limiter: Option<DefaultKeyedRateLimiter<Text>>,
    uploads: Arc<Semaphore>,
    page_uploads: Shares,
    measuring: Arc<Semaphore>,
    page_measuring: Arc<Semaphore>,
    listeners: Shares,
    closing: watch::Sender<bool>,
}

impl std::fmt::Debug for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Site")
    }
}

impl Site {
    /// `requests_per_second` is what one API key may send; none for no limit.
    pub fn new(app: Arc<App>, requests_per_second: Option<NonZeroU32>) -> Site {
        Site {
            app,
            gauges: Gauges::default(),
            traces: Traces::start(),
            limiter: requests_per_second.map(|it| RateLimiter::keyed(Quota::per_second(it))),
            uploads: Arc::new(Semaphore::new(UPLOADS_BYTES_MAX / UPLOAD_UNIT)),
            page_uploads: Shares::of(PAGE_UPLOADS_BYTES_MAX / UPLOAD_UNIT, ACCOUNT_UPLOADS_BYTES_MAX / UPLOAD_UNIT),
            measuring: Arc::new(Semaphore::new(MEASURING_MAX)),
            page_measuring: Arc::new(Semaphore::new(PAGE_MEASURING_MAX)),
            listeners: Shares::of(LISTENERS_MAX, ACCOUNT_LISTENERS_MAX),
            closing: watch::Sender::new(false),
        }
    }

    /// No longer ready: whoever routes to this server should look elsewhere.
    pub fn begin_closing(&self) {
        self.closing.send_replace(true);
    }
    pub fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }
    /// Turns true when the server begins to close: what would stay open for ever ends then.
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// Room for one more event stream of an account.
    pub fn listener_place(&self, account: &Name) -> Result<Share, Problem> {
        self.listeners.take(account, 1)
    }

    /// Where people reach this server: as configured, or as the caller reached it.
    pub fn origin(&self, headers: &HeaderMap) -> String {
        if let Some(url) = &self.app.settings().public_url {
            return url.clone();
        }
        let host = headers.get(header::HOST).and_then(|it| it.to_str().ok()).unwrap_or("localhost");
        format!("http://{host}")
    }

    /// Who is calling, if they may do what they ask.
    pub fn admit(&self, caller: Caller, scope: Scope) -> Result<Caller, Problem> {
        if let Some(limiter) = &self.limiter
            && let Err(not_until) = limiter.check_key(&caller.key_id)
        {
            let wait = not_until.wait_time_from(DefaultClock::default().now()).as_secs();
            let seconds = u32::try_from(wait).unwrap_or(u32::MAX).saturating_add(1);
            let detail = format!("this API key sends faster than it may; wait {seconds} s");
            return Err(Problem::new(&catalogue::RATE_LIMITED, detail).retry_after(seconds));
        }
        if caller.may(scope) {
            return Ok(caller);
        }
        let detail = format!("the API key `{}` does not have the scope `{scope}`", caller.name);
        Err(Problem::new(&catalogue::MISSING_SCOPE, detail).with("scope", scope.as_str()))
    }

    /// Whose key a request came with.
    pub async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let said = |why| Problem::new(&catalogue::UNAUTHENTICATED, why);
        let value = headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok());
        let value = value.ok_or_else(|| said("send `Authorization: Bearer <api key>`"))?;
        let (scheme, secret) = value.split_once(' ').unwrap_or((value, ""));
        if !scheme.eq_ignore_ascii_case("bearer") || secret.is_empty() {
            return Err(said("send `Authorization: Bearer <api key>`"));
        }
        let caller = self.app.authenticate_anew(secret.trim()).await;
        caller.ok_or_else(|| said("the API key is not known, or was revoked"))
    }

    /// A refusal on its way out: counted, and where credits lack, with the place to buy them.
    pub fn refused(&self, problem: Problem, account: &Name) -> Problem {
        if problem.kind != &catalogue::INSUFFICIENT_CREDITS {
            return problem;
        }
        count(&self.gauges.out_of_credits);
        let missing = problem.member("shortfall").and_then(serde_json::Value::as_str).and_then(|it| it.parse().ok());
        problem.with("purchase_url", self.app.billing_url(account, missing).or_else(|| self.own_shop(missing)))
    }

    /// Where credits are bought from Scrip itself, when it sells them and knows where browsers reach it. Who has no
    /// session there is told to come by the platform's Settings; no link that is shown to anybody can open one.
    fn own_shop(&self, missing: Option<Credits>) -> Option<String> {
        let settings = self.app.settings();
        let origin = settings.public_url.as_ref().filter(|_| settings.payments.is_some())?;
        let needed = missing.map_or_else(String::new, |it| format!("?needed={it}"));
        Some(format!("{origin}{}{needed}#buy", crate::web::BILLING))
    }

    /// Runs a use case that reads or writes the store on its own, away from the threads that answer.
    pub async fn look<T: Send + 'static>(
        &self,
        use_case: impl FnOnce(&App) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Problem> {
        let app = Arc::clone(&self.app);
        Ok(self.aside(move || use_case(&app)).await??)
    }

    /// Runs what takes a while and needs nobody, away from the threads that answer.
    pub async fn aside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|it| Problem::internal(format_args!("work set aside panicked: {it}")))
    }

    /// Sees through what was begun, though who asked may have gone before: what is asked of a book is done whether or
    /// not anybody waits for it.
    pub async fn through<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Problem> {
        let done = tokio::spawn(work).await;
        done.map_err(|it| Problem::internal(format_args!("work seen through panicked: {it}")))
    }

    /// Room for an upload of up to `bytes`; busy when there is none. It goes to wherever the upload does: who asked may
    /// have gone long before that is done with it.
    pub fn room_for(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let units = u32::try_from(bytes.div_ceil(UPLOAD_UNIT)).unwrap_or(u32::MAX);
        Arc::clone(&self.uploads).try_acquire_many_owned(units).map_err(|_| Problem::busy())
    }
    /// The same for what somebody of an account sends to a page.
    pub fn page_room_for(&self, account: &Name, bytes: usize) -> Result<Share, Problem> {
        self.page_uploads.take(account, bytes.div_ceil(UPLOAD_UNIT))
    }

    /// Artefacts that are measured right now.
    pub fn measured_now(&self) -> usize {
        MEASURING_MAX - self.measuring.available_permits()
    }

    /// Runs a measurement on a thread of its own, not too many at once.
    pub async fn measure<T: Send + 'static>(
        &self,
        measure: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = Arc::clone(&self.measuring).acquire_owned().await.map_err(Problem::internal)?;
        // Its turn lasts as long as it does, whether or not anybody waits for it still.
        let measure = move || {
            let _turn = turn;
            measure()
        };
        self.aside(measure).await?
    }

    /// The same for a page.
    pub async fn measure_for_page<T: Send + 'static>(
        &self,
        measure: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = Arc::clone(&self.page_measuring).acquire_owned().await.map_err(Problem::internal)?;
        let measure = move || {
            let _turn = turn;
            measure()
        };
        self.measure(measure).await
    }
}
