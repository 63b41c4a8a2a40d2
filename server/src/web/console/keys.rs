//! API keys: made, rotated, revoked.
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::tz::TimeZone;

use super::confirm::{Question, ask};
use super::form::Form;
use super::refused::{Refused, again};
use super::{Desk, Paged, done, message, page};
use crate::app::App;
use crate::http::Site;
use crate::service::{Error, MintOrder, Minted, Scope};
use crate::web::frame::When;
use crate::web::visit::Host;

const HERE: &str = "/console/keys";

#[derive(Template)]
#[template(path = "console/keys.html")]
struct KeysPage {
    desk: Desk,
    keys: Vec<KeyRow>,
    scopes: Vec<(&'static str, &'static str)>,
    /// The secret is shown once, here; none for a key that was made by the same form before.
    minted: Option<(String, Option<String>)>,
    refused: Refused,
}

struct KeyRow {
    id: String,
    name: String,
    scopes: String,
    made: When,
    revoked: Option<When>,
}

fn in_words(scope: Scope) -> &'static str {
    match scope {
        Scope::Charge => "quote, charge, hold, measure",
        Scope::Read => "accounts, balances, usage, the ledger",
        Scope::Billing => "register, grant, void, reverse, buy, refund",
        Scope::Admin => "everything, this console too",
    }
}

fn keys_page(app: &App, host: &Host, minted: Option<Minted>) -> Result<KeysPage, Error> {
    let mut keys: Vec<KeyRow> = Vec::new();
    for it in app.api_keys()?.into_iter().rev() {
        keys.push(KeyRow {
            id: it.id,
            name: it.name,
            scopes: it.scopes.join(", "),
            made: When::moment(it.created_at, &TimeZone::UTC),
            revoked: it.revoked_at.map(|it| When::moment(it, &TimeZone::UTC)),
        });
    }
    keys.sort_by_key(|it| it.revoked.is_some());
    let scopes = Scope::ALL.map(|it| (it.as_str(), in_words(it))).to_vec();
    let minted = minted.map(|it| (it.key.name, it.secret));
    Ok(KeysPage { desk: Desk::of(app, host, HERE)?, keys, scopes, minted, refused: Refused::default() })
}

pub async fn list(State(site): State<Arc<Site>>, host: Host) -> Paged {
    let filled = site.look(move |app| keys_page(app, &host, None)).await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::OK, &filled))
}

async fn minted(site: &Arc<Site>, host: Host, form: &Form, order: MintOrder) -> Paged {
    let app = Arc::clone(&site.app);
    let minted = site.aside(move || app.mint_api_key(order)).await.map_err(|it| message::failed(site, it))?;
    let minted = match minted {
        Ok(minted) => minted,
        Err(error) => {
            let fill = move |app: &App, refused| Ok(KeysPage { refused, ..keys_page(app, &host, None)? });
            return again(site, form, error, fill).await;
        }
    };
    let filled = site.look(move |app| keys_page(app, &host, Some(minted))).await;
    Ok(page(StatusCode::CREATED, &filled.map_err(|it| message::failed(site, it))?))
}

/// Makes a key. Its secret comes at once and once, so nothing is asked in between.
pub async fn mint(State(site): State<Arc<Site>>, host: Host, form: Form) -> Paged {
    form.check(&site, &host.operator.id).await?;
    let order = MintOrder {
        name: form.get("name").unwrap_or_default().to_owned(),
        scopes: Scope::ALL.into_iter().filter(|it| form.get(it.as_str()).is_some()).collect(),
        by: host.operator.name.as_str().into(),
        under: form.under(&host),
        secret: None,
    };
    minted(&site, host, &form, order).await
}

/// A key like another, to change over to. The other works until it is revoked.
pub async fn rotate(State(site): State<Arc<Site>>, host: Host, form: Form) -> Paged {
    form.check(&site, &host.operator.id).await?;
    let id = form.get("id").unwrap_or_default().to_owned();
    let keys = site.look(|app| app.api_keys()).await.map_err(|it| message::failed(&site, it))?;
    let Some(old) = keys.iter().find(|it| it.id == id && it.revoked_at.is_none()) else {
        return Ok(done(HERE, "nothing"));
    };
    let name = form
        .get("name")
        .map_or_else(|| next_name(&old.name, |it| keys.iter().any(|key| key.name == it)), str::to_owned);
    if !form.is_sure() {
        let says = vec![
            format!(
                "A new key “{name}” is made, with the scopes of “{}”: {}. Its secret is shown once.",
                old.name,
                old.scopes.join(", ")
            ),
            format!("“{}” goes on working. Put the new secret in its place, then revoke it here.", old.name),
        ];
        let adds = vec![("name", name)];
        let question = Question { button: "Make the new key", adds, ..about("rotate", "Rotate the key?", says) };
        return ask(&site, &host, &form, question).await;
    }
    let order = MintOrder {
        name,
        scopes: old.scopes.iter().filter_map(|it| it.parse().ok()).collect(),
        by: host.operator.name.as_str().into(),
        under: form.under(&host),
        secret: None,
    };
    minted(&site, host, &form, order).await
}

/// `backend` is followed by `backend 2`, that by `backend 3`.
fn next_name(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let (stem, number) = match name.rsplit_once(' ').map(|(stem, it)| (stem, it.parse::<u32>())) {
        Some((stem, Ok(number))) => (stem, number),
        _ => (name, 1),
    };
    let mut names = (number.saturating_add(1)..u32::MAX).map(|it| format!("{stem} {it}"));
    names.find(|it| !is_taken(it)).unwrap_or_default()
}

fn about(act: &str, title: &str, says: Vec<String>) -> Question {
    Question::on(HERE, act, title, says, HERE)
}

pub async fn revoke(State(site): State<Arc<Site>>, host: Host, form: Form) -> Paged {
    form.check(&site, &host.operator.id).await?;
    let id = form.get("id").unwrap_or_default().to_owned();
    if !form.is_sure() {
        let keys = site.look(|app| app.api_keys()).await.map_err(|it| message::failed(&site, it))?;
        let named = keys.iter().find(|it| it.id == id).map_or(id.as_str(), |it| it.name.as_str());
        let mut says = vec![
            format!("“{named}” opens nothing from this moment on: whoever still uses it is refused."),
            "That cannot be undone. It stays on the list.".to_owned(),
        ];
        if named == host.operator.name {
            says.push("It is the key you signed in with: you are signed out.".to_owned());
        }
        let question = about("revoke", "Revoke the key?", says);
        return ask(&site, &host, &form, Question { button: "Revoke it", is_harsh: true, ..question }).await;
    }
    let revoked = site.look(move |app| app.revoke_api_key(&id, &host.operator.name));
    revoked.await.map_err(|it| message::failed(&site, it))?;
    Ok(done(HERE, "revoke"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_follow_each_other_are_counted() {
        let taken = |it: &str| ["backend 2", "x 7 8"].contains(&it);
        assert_eq!(next_name("backend", taken), "backend 3");
        assert_eq!(next_name("backend 2", taken), "backend 3");
        assert_eq!(next_name("x 7 7", taken), "x 7 9");
        assert_eq!(next_name("jobs of 2027-01", taken), "jobs of 2027-01 2");
    }
}
