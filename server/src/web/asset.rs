//! Style, script and pictures: in the binary, named by their content, so that a browser fetches each once.
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use crate::http::Site;

const STYLE: &str = include_str!("assets/pages.css");
const SCRIPT: &str = include_str!("assets/pages.js");
const ICON: &str = include_str!("assets/icon.svg");

/// In the addresses of all of them: another build of the pages has other addresses.
static BUILD: LazyLock<String> = LazyLock::new(|| {
    let digest = Sha256::new().chain_update(STYLE).chain_update(SCRIPT).chain_update(ICON).finalize();
    digest.iter().take(6).map(|it| format!("{it:02x}")).collect()
});

pub fn build() -> &'static str {
    &BUILD
}

pub fn router() -> Router<Arc<Site>> {
    Router::new()
        .route("/assets/{build}/pages.css", get(async || asset("text/css; charset=utf-8", STYLE)))
        .route("/assets/{build}/pages.js", get(async || asset("text/javascript; charset=utf-8", SCRIPT)))
        .route("/assets/{build}/icon.svg", get(async || asset("image/svg+xml", ICON)))
        .route("/assets/{build}/brand.css", get(brand))
        .route("/assets/{build}/logo", get(logo))
}

fn asset(content_type: &'static str, body: &'static str) -> Response {
    let headers =
        [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    (headers, body).into_response()
}

/// The operator's colour. It may change with a restart, so browsers ask again after a while.
async fn brand(State(site): State<Arc<Site>>) -> Response {
    let style = site.app.settings().brand.accent.style();
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "public, max-age=300")], style)
        .into_response()
}

async fn logo(State(site): State<Arc<Site>>) -> Response {
    let Some(logo) = &site.app.settings().brand.logo else { return StatusCode::NOT_FOUND.into_response() };
    let headers = [
        (header::CONTENT_TYPE, logo.content_type),
        (header::CACHE_CONTROL, "public, max-age=300"),
        // An SVG that is opened by itself runs nothing.
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; sandbox"),
    ];
    (headers, logo.bytes.to_vec()).into_response()
}
