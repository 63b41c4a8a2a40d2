//! Traces: a span for each request, joined to the trace its caller is in, told to whoever collects OpenTelemetry's.
//!
//! Built with the feature `otlp` alone, and on where `OTEL_EXPORTER_OTLP_ENDPOINT` says so: most who run Scrip have
//! logs and metrics, and shall not carry what they do not use. Without the feature all of this is nothing at all.
#[cfg(feature = "otlp")]
mod otlp;

#[cfg(feature = "otlp")]
pub use otlp::{Span, Traces};

#[cfg(not(feature = "otlp"))]
pub use nothing::{Span, Traces};

/// Where a collector is to be told, in the environment that all programs share.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

#[cfg(not(feature = "otlp"))]
mod nothing {
    use axum::http::{HeaderMap, Method, StatusCode};

    #[derive(Debug)]
    pub struct Traces;

    impl Traces {
        pub fn start() -> Traces {
            if std::env::var_os(super::ENDPOINT).is_some() {
                tracing::warn!("{} is set, and this scrip was built without the feature otlp", super::ENDPOINT);
            }
            Traces
        }
        #[inline]
        pub fn begin(&self, _: &HeaderMap, _: &Method, _: &str) -> Span {
            Span
        }
    }

    #[derive(Debug)]
    pub struct Span;

    impl Span {
        #[inline]
        pub fn end(self, _: StatusCode, _: &str) {}
    }
}
