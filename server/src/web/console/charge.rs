//! One charge: its receipt, what was given back of it, and giving more back.
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use billing::Refusal;
use billing::id::ChargeId;
use billing::money::Credits;

use super::confirm::{Question, ask};
use super::form::Form;
use super::refused::{Refused, again};
use super::{Desk, Paged, by, done, message, page, show};
use crate::app::App;
use crate::http::Site;
use crate::service::{Error, ReverseOrder, check_reason};
use crate::web::number;
use crate::web::usage::{EntryRow, Reader};
use crate::web::visit::Host;

#[derive(Template)]
#[template(path = "console/charge.html")]
struct ChargePage {
    desk: Desk,
    id: String,
    account: String,
    entries: Vec<EntryRow>,
    reversed: String,
    left: String,
    can_reverse: bool,
    refused: Refused,
}

pub async fn show(State(site): State<Arc<Site>>, Path(charge): Path<String>, host: Host) -> Paged {
    let filled = site.look(move |app| charge_page(app, &host, &charge, Refused::default()));
    let filled = filled.await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::OK, &filled))
}

fn id_of(text: &str) -> Result<ChargeId, Error> {
    text.parse().map_err(|_| Refusal::ChargeNotFound.into())
}

fn charge_page(app: &App, host: &Host, charge: &str, refused: Refused) -> Result<ChargePage, Error> {
    let view = app.charge_by_id(id_of(charge)?)?;
    let account = &view.answer.account;
    let known = app.known(account)?;
    let names = app.project_names(account)?;
    let reader = Reader::of(app, &known.zone, &names);
    let transaction = &view.answer.transaction;
    Ok(ChargePage {
        desk: Desk::of(app, host, "/console")?,
        id: charge.to_owned(),
        account: account.to_string(),
        entries: reader.rows(std::slice::from_ref(transaction))?,
        reversed: show::used(view.reversed),
        left: view.left.to_string(),
        can_reverse: view.left.is_positive(),
        refused,
    })
}

/// How many credits are to go back, all where none are said, and what the customer reads.
fn asked(form: &Form) -> Result<(Option<Credits>, String), Error> {
    let credits = form.get("credits").map(|it| number::credits("credits", it)).transpose()?;
    let reason = form.get("reason").unwrap_or_default().to_owned();
    check_reason(&reason)?;
    Ok((credits, reason))
}

pub async fn reverse(State(site): State<Arc<Site>>, Path(charge): Path<String>, host: Host, form: Form) -> Paged {
    form.check(&site, &host.operator.id).await?;
    let failed = |it: Error| message::failed(&site, it.into());
    let id = id_of(&charge).map_err(failed)?;
    let (credits, reason) = match asked(&form) {
        Ok(asked) => asked,
        Err(error) => return reversing_again(&site, (host, charge), &form, error).await,
    };
    let view = site.look(move |app| app.charge_by_id(id)).await.map_err(|it| message::failed(&site, it))?;
    if !form.is_sure() {
        let (account, left) = (view.answer.account.to_string(), view.left);
        if credits.is_some_and(|it| left < it) {
            let why = format!("must be at most {left}: so many are left of it");
            let error = Refusal::invalid("credits", why).into();
            return reversing_again(&site, (host, charge), &form, error).await;
        }
        let question = question(&charge, &account, (credits.unwrap_or(left), left), &reason);
        return ask(&site, &host, &form, question).await;
    }
    let order = ReverseOrder { charge: id, credits, reason: reason.into(), key: form.key(), by: by(&host) };
    match site.app.reverse(order).await {
        Ok(_) => Ok(done(&format!("/console/charges/{charge}"), "reverse")),
        Err(error) => reversing_again(&site, (host, charge), &form, error).await,
    }
}

async fn reversing_again(site: &Arc<Site>, (host, charge): (Host, String), form: &Form, error: Error) -> Paged {
    again(site, form, error, move |app, refused| charge_page(app, &host, &charge, refused)).await
}

fn question(charge: &str, account: &str, (much, left): (Credits, Credits), reason: &str) -> Question {
    let says = vec![
        format!(
            "{} of the {} credits that are left of the charge go back to {account}.",
            show::used(much),
            show::used(left)
        ),
        "They return to the very grants they came from, the last first; what was owed for it is forgiven first."
            .to_owned(),
        format!("The customer reads: “{reason}”"),
    ];
    Question {
        title: "Give credits back?".to_owned(),
        says,
        button: "Give them back",
        is_harsh: false,
        adds: Vec::new(),
        action: format!("/console/charges/{charge}"),
        back: format!("/console/charges/{charge}"),
        tab: "/console",
    }
}
