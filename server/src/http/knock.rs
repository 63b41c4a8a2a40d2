//! A request at the door. Nothing of it can be had before its key has been looked at: a handler that forgot to ask
//! could not compile.
use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes};
use axum::extract::multipart::MultipartError;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use billing::id::Name;
use billing::rating::Text;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::card_numbers;
use super::catalogue;
use super::json;
use super::problem::Problem;
use super::query::Query;
use super::site::Site;
use crate::service::{By, Caller, Scope, Under, is_key};

/// Bytes of one JSON document.
pub const JSON_BYTES_MAX: usize = 1 << 20;
/// Of a body that is too large, so much beyond its limit is read and thrown away. A larger one is hung up on.
const OVERSIZE_READ_MAX: usize = 8 << 20;

/// How long a client may take to send a body: what it holds of the room for uploads is for others, too.
const BODY_TIME_MAX: Duration = Duration::from_secs(300);

pub const JSON: &str = "application/json";
pub const FORM: &str = "multipart/form-data";

/// A request nobody has looked at.
#[derive(Debug)]
pub struct Knock {
    parts: Parts,
    body: Body,
    caller: Result<Caller, Problem>,
}

/// A request whose caller is known and allowed.
#[derive(Debug)]
pub struct Call {
    parts: Parts,
    body: Body,
    pub caller: Caller,
}

impl FromRequest<Arc<Site>> for Knock {
    type Rejection = std::convert::Infallible;
    async fn from_request(request: Request, site: &Arc<Site>) -> Result<Knock, Self::Rejection> {
        let (parts, body) = request.into_parts();
        let caller = site.caller(&parts.headers).await;
        Ok(Knock { parts, body, caller })
    }
}

impl Knock {
    /// Lets the caller in if its key has the scope.
    pub fn enter(self, site: &Site, scope: Scope) -> Result<Call, Problem> {
        let caller = site.admit(self.caller?, scope)?;
        card_numbers::none_in_parts("path", self.parts.uri.path())?;
        card_numbers::none_in_parts("query", self.parts.uri.query().unwrap_or_default())?;
        Ok(Call { parts: self.parts, body: self.body, caller })
    }
}

impl Knock {
    /// A header and the whole body, of a caller who is known by a signature over the body and not by a key.
    pub async fn unsigned(self, header: &str, most: usize) -> Result<(String, Bytes), Problem> {
        let value = self.parts.headers.get(header).and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned();
        Ok((value, read(self.body, most).await?))
    }
}

impl Call {
    pub fn by(&self) -> Text {
        Arc::clone(&self.caller.name)
    }

    /// Who asks for what an operator may have to answer for: with an admin's key it is one.
    pub fn who(&self) -> By {
        By { name: self.by(), is_noted: self.caller.may(Scope::Admin) }
    }

    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// The part of the path that stands for `name`, as it is.
    pub async fn segment(&mut self, name: &str) -> Result<String, Problem> {
        use axum::extract::FromRequestParts;
        let params = RawPathParams::from_request_parts(&mut self.parts, &()).await;
        let params = params.map_err(|_| Problem::invalid(name, "must be UTF-8"))?;
        let found = params.iter().find(|it| it.0 == name).map(|it| it.1.to_owned());
        found.ok_or_else(|| Problem::internal(format_args!("the route has no {name}")))
    }
    /// The part of the path that stands for `name`: a name the platform chose.
    pub async fn name(&mut self, name: &str) -> Result<Name, Problem> {
        self.segment(name).await?.parse().map_err(|why| Problem::invalid(name, why))
    }
    /// An id that Scrip made. One that it cannot have made is not found.
    pub async fn id<T: std::str::FromStr>(&mut self, name: &str, missing: billing::Refusal) -> Result<T, Problem> {
        self.segment(name).await?.parse().map_err(|_| missing.into())
    }

    pub fn query(&self, known: &[&str]) -> Result<Query, Problem> {
        Query::parse(self.parts.uri.query(), known)
    }

    /// The idempotency key, which every request that moves credits carries.
    pub fn key(&self) -> Result<Text, Problem> {
        let missing =
            || Problem::invalid("Idempotency-Key", "must be sent: any 1 to 255 visible characters, new for new work");
        self.key_if_any()?.ok_or_else(missing)
    }

    /// The idempotency key of a request that moves nothing and may carry one.
    pub fn key_if_any(&self) -> Result<Option<Text>, Problem> {
        let Some(value) = self.parts.headers.get("idempotency-key") else { return Ok(None) };
        let text = value.to_str().ok().filter(|it| is_key(it));
        let malformed = || Problem::invalid("Idempotency-Key", "must be 1 to 255 visible ASCII characters");
        text.map(|it| Some(card_numbers::as_kept(it.into()))).ok_or_else(malformed)
    }

    /// The idempotency key of a request that belongs to no account, if one came.
    pub fn under(&self) -> Result<Option<Under>, Problem> {
        Ok(self.key_if_any()?.map(|key| Under { caller: Arc::clone(&self.caller.key_id), key }))
    }

    /// The secret the caller showed at the door.
    pub fn secret(&self) -> &str {
        let value = self.parts.headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok());
        value.and_then(|it| it.split_once(' ')).map_or("", |it| it.1.trim())
    }

    /// Whether the caller sent an idempotency key, where one may be left out.
    pub fn has_key(&self) -> bool {
        self.parts.headers.contains_key("idempotency-key")
    }

    /// Whether the caller would rather have CSV.
    pub fn wants_csv(&self) -> bool {
        self.accepts("text/csv")
    }
    /// Whether the caller asks for this content type by name.
    pub fn accepts(&self, content_type: &str) -> bool {
        let accepted = self.parts.headers.get(header::ACCEPT).and_then(|it| it.to_str().ok());
        accepted.is_some_and(|it| it.contains(content_type))
    }

    /// The content type without its parameters, in lower case.
    pub fn content_type(&self) -> String {
        content_type(&self.parts.headers)
    }

    /// The body as one JSON object.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, Problem> {
        let body = self.read(&[JSON], JSON_BYTES_MAX).await?;
        json::object(&body)
    }

    /// The whole body, of one of these types, up to `most` bytes.
    pub async fn read(self, expected: &[&'static str], most: usize) -> Result<Bytes, Problem> {
        let body = self.read_unsifted(expected, most).await?;
        if expected.contains(&JSON) {
            card_numbers::none_in_json(&body)?;
        }
        Ok(body)
    }

    /// The same, in which nobody has looked for card numbers: nothing of it is kept, or each of its parts is looked at
    /// by itself.
    pub async fn read_unsifted(self, expected: &[&'static str], most: usize) -> Result<Bytes, Problem> {
        expect_type(&self.parts.headers, expected)?;
        body_of(&self.parts.headers, self.body, most).await
    }

    /// The fields of a form in which files may come, of at most `most` bytes together.
    pub async fn form(self, most: usize) -> Result<Form, Problem> {
        if let Some(length) = self.length().filter(|it| most < *it) {
            return Err(oversize(self.body, length, most).await);
        }
        let mut request = Request::from_parts(self.parts, self.body);
        DefaultBodyLimit::max(most).apply(&mut request);
        let fields = Multipart::from_request(request, &()).await;
        let fields =
            fields.map_err(|_| Problem::invalid("Content-Type", "must say the boundary of the form's parts"))?;
        Ok(Form { fields, most })
    }

    /// What the caller says the body's length is.
    pub fn length(&self) -> Option<usize> {
        length_of(&self.parts.headers)
    }
}

/// A form that is read field by field.
#[derive(Debug)]
pub struct Form {
    fields: Multipart,
    most: usize,
}

impl Form {
    /// The next field: its name, and what it holds.
    pub async fn next(&mut self) -> Result<Option<(String, Bytes)>, Problem> {
        let most = self.most;
        let broken = |error: MultipartError| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(most),
            _ => broke_off(&"its parts do not end as a form's do"),
        };
        let Some(field) = in_time(self.fields.next_field()).await?.map_err(broken)? else { return Ok(None) };
        let name = field.name().unwrap_or_default().to_owned();
        Ok(Some((name, in_time(field.bytes()).await?.map_err(broken)?)))
    }
}

/// What the head of a request says the length of its body is.
pub fn length_of(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The whole body of a request with this head, of at most `most` bytes.
pub async fn body_of(headers: &HeaderMap, body: Body, most: usize) -> Result<Bytes, Problem> {
    if let Some(length) = length_of(headers).filter(|it| most < *it) {
        return Err(oversize(body, length, most).await);
    }
    read(body, most).await
}

/// The refusal of a body that says it has `length` bytes, more than the `most` that are read.
pub async fn oversize(body: Body, length: usize, most: usize) -> Problem {
    // Answered in the middle of what it sends, a client sees a broken connection and no answer.
    if length <= most + OVERSIZE_READ_MAX {
        drain(body).await;
    }
    too_large(most)
}

/// How fast somebody at a page has to send at least: slower than the slowest line that is alive.
const PACE: Pace = Pace { bytes: 16 << 10, within: Duration::from_secs(30) };
/// And of what they announced such a part in that time: half as fast as would end in [`BODY_TIME_MAX`].
const PARTS: usize = 20;

/// So much in so long, or the rest.
#[derive(Clone, Copy)]
struct Pace {
    bytes: usize,
    within: Duration,
}

/// The same body, of about this length, which breaks off where it stalls or cannot end in time: what it holds of the
/// room for pages is for others, too.
pub fn paced(body: Body, length: usize) -> Body {
    paced_at(Pace { bytes: PACE.bytes.max(length / PARTS), ..PACE }, body)
}

fn paced_at(pace: Pace, body: Body) -> Body {
    let pieces = stream::unfold(Some(body.into_data_stream()), move |parts| async move {
        let mut parts = parts?;
        let mut piece = Vec::new();
        let gathered = timeout(pace.within, async {
            while piece.len() < pace.bytes {
                let Some(part) = parts.next().await else { return Ok(false) };
                piece.extend_from_slice(&part?);
            }
            Ok::<bool, axum::Error>(true)
        });
        match gathered.await {
            Ok(Ok(false)) if piece.is_empty() => None,
            Ok(Ok(has_more)) => Some((Ok(Bytes::from(piece)), has_more.then_some(parts))),
            Ok(Err(error)) => Some((Err(error.into()), None)),
            Err(_) => Some((Err::<_, BoxError>("it came too slowly".into()), None)),
        }
    });
    Body::from_stream(pieces)
}

/// What reads a body, for as long as a client may take to send one.
pub async fn in_time<T>(reading: impl Future<Output = T>) -> Result<T, Problem> {
    within(BODY_TIME_MAX, reading).await
}

async fn within<T>(most: Duration, reading: impl Future<Output = T>) -> Result<T, Problem> {
    timeout(most, reading)
        .await
        .map_err(|_| broke_off(&format_args!("it was not all sent within {} s", most.as_secs())))
}

fn content_type(headers: &HeaderMap) -> String {
    let given = headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn expect_type(headers: &HeaderMap, expected: &[&'static str]) -> Result<(), Problem> {
    let plain = headers.get(header::CONTENT_TYPE).is_some_and(|it| expected.iter().any(|wanted| it == wanted));
    if plain || expected.contains(&&*content_type(headers)) {
        return Ok(());
    }
    let detail = format!("set `Content-Type` to {}", expected.join(" or "));
    Err(Problem::new(&catalogue::UNSUPPORTED_MEDIA_TYPE, detail).with("expected", expected.to_vec()))
}

/// Reads a body to its end and keeps none of it: who is answered in the midst of sending sees no answer. Nothing is
/// waited for where the client waits for a word itself.
pub async fn turn_away(headers: &HeaderMap, body: Body) {
    if !headers.contains_key(header::EXPECT) {
        drain(paced(body, length_of(headers).unwrap_or_default())).await;
    }
}

/// Reads a body to its end and keeps none of it.
async fn drain(mut body: Body) {
    // Whoever takes too long is answered all the same.
    let _ = in_time(async { while let Some(Ok(_)) = body.frame().await {} }).await;
}

/// Reads a body that may have at most `most` bytes.
async fn read(body: Body, most: usize) -> Result<Bytes, Problem> {
    match in_time(Limited::new(body, most).collect()).await? {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(most)),
        Err(error) => Err(broke_off(&error)),
    }
}

fn broke_off(why: &dyn Display) -> Problem {
    Problem::new(&catalogue::MALFORMED_JSON, format!("the body broke off: {why}"))
}

fn too_large(most: usize) -> Problem {
    let detail = format!("the body has more than the {most} bytes that are read here");
    Problem::new(&catalogue::BODY_TOO_LARGE, detail).with("most", most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_that_stalls_or_trickles_is_not_waited_for() {
        let pace = Pace { bytes: usize::MAX, within: Duration::from_millis(20) };
        let never = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let trickle = Body::from_stream(stream::unfold((), async |()| {
            tokio::task::yield_now().await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), ()))
        }));
        for body in [never, trickle] {
            let error = paced_at(pace, body).collect().await.expect_err("it is broken off");
            assert!(error.to_string().contains("too slowly"), "{error}");
        }
        for bytes in [1, 9, 10, usize::MAX] {
            let parts = stream::iter(["all ", "of it"].map(|it| Ok::<_, std::io::Error>(Bytes::from(it))));
            let whole = paced_at(Pace { bytes, ..pace }, Body::from_stream(parts)).collect().await;
            assert_eq!(whole.expect("it is read").to_bytes(), "all of it", "{bytes} at once");
        }
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_waited_for_so_long_and_no_longer() {
        let stalled = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let waited = within(Duration::from_millis(1), read(stalled, JSON_BYTES_MAX)).await;
        let problem = waited.expect_err("nothing was sent");
        assert_eq!((problem.kind.status, problem.detail.contains("was not all sent within")), (400, true));
    }
}
