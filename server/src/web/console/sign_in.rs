//! Into the console with the secret of an admin key, and out again.
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect};

use super::form::Form;
use super::{House, Paged, message, page};
use crate::http::Site;
use crate::service::CONSOLE_LASTS;
use crate::web::visit::{CONSOLE, Host, set_cookie};

#[derive(Template)]
#[template(path = "console/sign-in.html")]
struct SignIn {
    house: House,
    is_wrong: bool,
}

fn sign_in_page(site: &Site, is_wrong: bool) -> SignIn {
    SignIn { house: House::of(&site.app.settings().brand), is_wrong }
}

pub async fn show(State(site): State<Arc<Site>>) -> Paged {
    Ok(page(StatusCode::OK, &sign_in_page(&site, false)))
}

pub async fn sign_in(State(site): State<Arc<Site>>, headers: HeaderMap, form: Form) -> Paged {
    // There is no session yet whose mark a form could carry; the browser says where it was sent from.
    let is_elsewhere = headers.get("sec-fetch-site").is_some_and(|it| it != "same-origin" && it != "none");
    let caller = site.app.authenticate_anew(form.get("key").unwrap_or_default()).await;
    let token = site.look(move |app| app.sign_in_operator(caller)).await.map_err(|it| message::failed(&site, it))?;
    match token.filter(|_| !is_elsewhere) {
        Some(token) => {
            let cookie = set_cookie(&site, CONSOLE, &token, CONSOLE_LASTS.millis() / 1_000);
            Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/console")).into_response())
        }
        None => Ok(page(StatusCode::UNAUTHORIZED, &sign_in_page(&site, true))),
    }
}

pub async fn sign_out(State(site): State<Arc<Site>>, host: Host, form: Form) -> Paged {
    form.check(&site, &host.operator.id).await?;
    let operator = host.operator.clone();
    site.look(move |app| app.sign_out_operator(&operator)).await.map_err(|it| message::failed(&site, it))?;
    let gone = set_cookie(&site, CONSOLE, "", 0);
    Ok(([(header::SET_COOKIE, gone)], Redirect::to("/console/sign-in")).into_response())
}
