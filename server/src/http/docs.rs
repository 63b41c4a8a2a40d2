//! `/docs`: the reference as one page, made from the OpenAPI document. No script, nothing from elsewhere.
use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::get;
use serde_json::Value;

use super::api::reply::with_body;
use super::site::Site;
use super::{catalogue, openapi};

mod example;
mod page;

static DOCUMENT: LazyLock<Value> = LazyLock::new(openapi::document);
static TEXT: LazyLock<String> = LazyLock::new(|| DOCUMENT.to_string());
static PAGE: LazyLock<String> = LazyLock::new(|| page::reference(&DOCUMENT));
static PROBLEMS: LazyLock<String> = LazyLock::new(|| page::problems(catalogue::ALL));

/// The page may be styled by itself and do nothing else.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/openapi.json", get(async || with_body(StatusCode::OK, "application/json", TEXT.as_str())))
        .route("/docs", get(async || html(PAGE.as_str())))
        .route("/docs/problems", get(async || html(PROBLEMS.as_str())))
}

fn html(page: &'static str) -> Response {
    let mut response = with_body(StatusCode::OK, "text/html; charset=utf-8", page);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=300"));
    response
}

/// `text` where HTML is expected.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// The little Markdown that descriptions use: code in backticks, paragraphs apart by an empty line.
fn prose(text: &str) -> String {
    let mut html = String::new();
    for paragraph in text.split("\n\n").filter(|it| !it.trim().is_empty()) {
        html.push_str("<p>");
        for (place, part) in paragraph.split('`').enumerate() {
            if place % 2 == 0 {
                html.push_str(&escaped(part));
            } else {
                write!(html, "<code>{}</code>", escaped(part)).expect("a text takes more text");
            }
        }
        html.push_str("</p>");
    }
    html
}
