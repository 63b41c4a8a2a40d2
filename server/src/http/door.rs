//! The door: connections in, requests to the router, answers out with what every answer carries.
//!
//! Here each request gets its id, is counted and timed, and a fault is logged, once. On the way out all that is under
//! way is answered before the door closes.
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower_service::Service as _;

use super::card_numbers;
use super::catalogue;
use super::gauges::{self, count};
use super::problem::{Failure, Problem};
use super::site::Site;

/// Open connections; the next one waits until another ends.
const CONNECTIONS_MAX: usize = 16_384;
/// How long a client may take to send the head of a request, or to keep a connection without one.
const HEAD_TIME_MAX: Duration = Duration::from_secs(75);
/// How long what is under way may take when the server is told to stop.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(25);
/// A request that takes longer is logged.
const SLOW_MICROS: u64 = 1_000_000;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A bound port and what is behind it.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    site: Arc<Site>,
    router: Router,
    ids: Arc<RequestIds>,
}

impl Door {
    /// Binds `address`.
    pub async fn open(site: Arc<Site>, address: &str) -> std::io::Result<Door> {
        let listener = TcpListener::bind(address).await?;
        let router = super::router(Arc::clone(&site));
        let begun = site.app.now().millis();
        Ok(Door { listener, site, router, ids: Arc::new(RequestIds::new(begun)) })
    }

    /// Where it listens: the port that was found, when any would do.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Serves until `stop` turns true, then answers what is under way and returns.
pub async fn serve(door: Door, mut stop: watch::Receiver<bool>) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = door.listener.accept() => accepted,
            _ = stop.wait_for(|it| *it) => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file handles, most likely: others must end before another can begin.
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let connection = graceful.watch(connection(&door, stream));
        let site = Arc::clone(&door.site);
        count(&site.gauges.connections);
        tokio::spawn(async move {
            // A client that went away in the middle is no fault of ours.
            let _ = connection.await;
            site.gauges.connections.fetch_sub(1, Ordering::Relaxed);
            drop(place);
        });
    }
    door.site.begin_closing();
    if tokio::time::timeout(DRAIN_TIME_MAX, graceful.shutdown()).await.is_err() {
        let seconds = DRAIN_TIME_MAX.as_secs();
        tracing::warn!("some requests were still under way after {seconds} s and were cut off");
    }
}

fn connection(
    door: &Door,
    stream: TcpStream,
) -> impl hyper_util::server::graceful::GracefulConnection<Error = hyper::Error> + Send + use<> {
    // Answers are small and waited for: sending at once beats sending full packets.
    let _ = stream.set_nodelay(true);
    let (site, router, ids) = (Arc::clone(&door.site), door.router.clone(), Arc::clone(&door.ids));
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (site, router, ids) = (Arc::clone(&site), router.clone(), Arc::clone(&ids));
        async move { Ok::<_, std::convert::Infallible>(pass(&site, router, &ids, request).await) }
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), service)
}

/// Counts a request until it is answered, or whoever asked has gone.
struct UnderWay<'a>(&'a Site);

impl UnderWay<'_> {
    fn begin(site: &Site) -> UnderWay<'_> {
        count(&site.gauges.under_way);
        UnderWay(site)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.gauges.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One request through the router and back.
async fn pass(site: &Site, mut router: Router, ids: &RequestIds, request: hyper::Request<Incoming>) -> Response {
    let started = gauges::started();
    let _under_way = UnderWay::begin(site);
    let id = ids.of(request.headers());
    let line = (request.method().clone(), request.uri().path_and_query().cloned());
    let span = site.traces.begin(request.headers(), &line.0, path_of(line.1.as_ref()));
    let request: Request = request.map(Body::new);
    let Ok(mut response) = router.call(request).await;
    let id_text = id.to_str().unwrap_or_default();
    if let Some(Failure { cause, is_answered }) = response.extensions_mut().remove::<Failure>() {
        count(&site.gauges.faults);
        let path = path_of(line.1.as_ref());
        tracing::error!(request_id = id_text, method = %line.0, path, cause, "a request failed");
        if !is_answered {
            response =
                Problem::new(&catalogue::INTERNAL, "it is our fault; repeating with the same idempotency key is safe")
                    .with("request_id", id_text)
                    .into_response();
        }
    }
    let status = response.status();
    let micros = site.gauges.answered(status.as_u16(), started);
    let (path, code) = (path_of(line.1.as_ref()), status.as_u16());
    if SLOW_MICROS < micros {
        tracing::warn!(request_id = id_text, method = %line.0, path, status = code, micros, "a slow request");
    } else {
        tracing::debug!(request_id = id_text, method = %line.0, path, status = code, micros);
    }
    span.end(status, id_text);
    mark(response.headers_mut(), id);
    response
}

/// The path as a log or a trace may have it.
fn path_of(uri: Option<&axum::http::uri::PathAndQuery>) -> &str {
    uri.map_or("", |it| card_numbers::for_log(it.path()))
}

/// What every answer carries.
fn mark(headers: &mut HeaderMap, id: HeaderValue) {
    headers.insert(REQUEST_ID.clone(), id);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// Names for requests: those the client brings, or a number that no other request of this or another run has.
#[derive(Debug)]
struct RequestIds {
    begun: i64,
    next: AtomicU64,
}

impl RequestIds {
    fn new(begun: i64) -> RequestIds {
        RequestIds { begun, next: AtomicU64::new(1) }
    }

    fn of(&self, headers: &HeaderMap) -> HeaderValue {
        let fits = |it: &&HeaderValue| {
            let text = it.to_str().unwrap_or_default();
            it.len() <= 128
                && !it.is_empty()
                && it.as_bytes().iter().all(|it| it.is_ascii_graphic())
                // It is logged.
                && card_numbers::none_in_url("x-request-id", text).is_ok()
        };
        if let Some(brought) = headers.get(&REQUEST_ID).filter(fits) {
            return brought.clone();
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let text = format!("request_{:x}_{number:x}", self.begun);
        HeaderValue::from_str(&text).expect("hexadecimal digits are visible")
    }
}
