//! Spans by OTLP over HTTP. They gather in a thread of their own; a collector that is away costs nobody a request.
use async_trait::async_trait;
use axum::http::{HeaderMap, Method, StatusCode};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span as _, SpanKind, Status, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, Span as SdkSpan};

use super::ENDPOINT;

/// A collector answers with a few bytes.
const ANSWER_BYTES_MAX: u64 = 1 << 16;

/// None where nobody collects.
#[derive(Debug)]
pub struct Traces(Option<Telling>);

#[derive(Debug)]
struct Telling {
    /// Tells what has gathered when it is dropped.
    _provider: SdkTracerProvider,
    tracer: SdkTracer,
    joins: TraceContextPropagator,
}

impl Traces {
    pub fn start() -> Traces {
        if std::env::var_os(ENDPOINT).is_none() {
            return Traces(None);
        }
        let exporter = SpanExporter::builder().with_http().with_http_client(Post(agent())).build();
        let exporter = exporter.inspect_err(|error| tracing::error!(%error, "no traces: {ENDPOINT} cannot be used"));
        let Ok(exporter) = exporter else { return Traces(None) };
        // OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say more, or something else.
        let name = std::env::var("OTEL_SERVICE_NAME").unwrap_or_else(|_| "scrip".to_owned());
        let resource = Resource::builder().with_service_name(name).build();
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
        let tracer = provider.tracer("scrip");
        Traces(Some(Telling { _provider: provider, tracer, joins: TraceContextPropagator::new() }))
    }

    /// A request came in.
    pub fn begin(&self, headers: &HeaderMap, method: &Method, path: &str) -> Span {
        let Some(telling) = &self.0 else { return Span(None) };
        let parent = telling.joins.extract_with_context(&Context::new(), &Headers(headers));
        let attributes = [
            KeyValue::new("http.request.method", method.as_str().to_owned()),
            KeyValue::new("url.path", path.to_owned()),
        ];
        let builder = telling.tracer.span_builder(method.as_str().to_owned());
        let builder = builder.with_kind(SpanKind::Server).with_attributes(attributes);
        Span(Some(telling.tracer.build_with_context(builder, &parent)))
    }
}

#[derive(Debug)]
pub struct Span(Option<SdkSpan>);

impl Span {
    /// It was answered.
    pub fn end(self, status: StatusCode, request_id: &str) {
        let Some(mut span) = self.0 else { return };
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        span.set_attribute(KeyValue::new("scrip.request_id", request_id.to_owned()));
        if status.is_server_error() {
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|it| it.to_str().ok())
    }
    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}

/// Posts what has gathered. It may block: it runs on the gatherer's own thread.
#[derive(Debug)]
struct Post(ureq::Agent);

fn agent() -> ureq::Agent {
    let timeout = std::time::Duration::from_secs(10);
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(timeout)).build().into()
}

#[async_trait]
impl HttpClient for Post {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let answer = self.0.run(Request::from_parts(parts, &body[..]))?;
        let (parts, mut body) = answer.into_parts();
        let body = body.with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok(Response::from_parts(parts, body.into()))
    }
}
