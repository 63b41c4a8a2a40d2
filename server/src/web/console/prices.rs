//! Prices: what is in force, what a new card would change, and what it would have cost everybody last month.
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::tz::TimeZone;

use super::form::Form;
use super::{Desk, Paged, done, message, page, show};
use crate::app::App;
use crate::http::Site;
use crate::rate_card;
use crate::service::{Error, Repricing, Upload};
use crate::web::frame::When;
use crate::web::visit::Host;

/// Accounts listed whose bill would differ.
const SHOWN: usize = 50;

#[derive(Template)]
#[template(path = "console/prices.html")]
struct PricesPage {
    desk: Desk,
    versions: Vec<VersionRow>,
    card: String,
    trial: Option<Trial>,
    faults: Vec<String>,
}

struct VersionRow {
    version: u32,
    from: When,
    meters: String,
    is_in_force: bool,
}

/// What a card would change, before it does.
struct Trial {
    version: u32,
    changes: Vec<(String, String, String)>,
    accounts: Vec<TrialRow>,
    summary: String,
}

struct TrialRow {
    id: String,
    paid: String,
    would_pay: String,
    change: String,
    charges: String,
    unpriced: u64,
}

fn prices_page(app: &App, host: &Host) -> Result<PricesPage, Error> {
    let cards = app.cards();
    let in_force = cards.in_force(app.now()).map(|it| it.version());
    let row = |it: &Arc<billing::rating::RateCard>| VersionRow {
        version: it.version(),
        from: When::minute(it.effective_at(), &TimeZone::UTC),
        meters: it.meters().map(|it| it.label.to_string()).collect::<Vec<_>>().join(", "),
        is_in_force: in_force == Some(it.version()),
    };
    let card = cards.latest().map(|it| format!("{:#}", rate_card::to_json(it))).unwrap_or_default();
    Ok(PricesPage {
        desk: Desk::of(app, host, "/console/prices")?,
        versions: cards.iter().rev().map(row).collect(),
        card,
        trial: None,
        faults: Vec::new(),
    })
}

pub async fn show(State(site): State<Arc<Site>>, host: Host) -> Paged {
    let filled = site.look(move |app| prices_page(app, &host)).await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::OK, &filled))
}

/// Tries a card, or puts it in force.
pub async fn upload(State(site): State<Arc<Site>>, host: Host, form: Form) -> Paged {
    form.check(&site, &host.operator.id).await?;
    let text = form.get("card").unwrap_or_default().to_owned();
    let is_dry_run = form.get("do") != Some("upload");
    let filled = site.look(move |app| {
        let mut filled = prices_page(app, &host)?;
        filled.card.clone_from(&text);
        match tried(app, &host, &text, is_dry_run) {
            Ok(trial) => filled.trial = Some(trial),
            Err(Error::BadCard(faults)) => filled.faults = faults.iter().map(ToString::to_string).collect(),
            Err(Error::Refused(refusal)) => filled.faults = vec![refusal.to_string()],
            Err(other) => return Err(other),
        }
        Ok(filled)
    });
    let filled = filled.await.map_err(|it| message::failed(&site, it))?;
    if !is_dry_run && filled.faults.is_empty() {
        return Ok(done("/console/prices"));
    }
    let status = if filled.faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok(page(status, &filled))
}

fn tried(app: &App, host: &Host, text: &str, is_dry_run: bool) -> Result<Trial, Error> {
    let is_json = text.trim_start().starts_with('{');
    let card =
        if is_json { rate_card::parse_json(text) } else { rate_card::parse_toml(text) }.map_err(Error::BadCard)?;
    let uploaded = app.upload_rate_card(Upload { card, is_dry_run, by: host.operator.name.clone() })?;
    let repricing = if is_dry_run { app.reprice(&uploaded.card)? } else { Repricing::default() };
    let changes = uploaded.differences.into_iter().map(|it| {
        let said = |it: Option<String>| it.unwrap_or_else(|| "—".to_owned());
        (it.field, said(it.from), said(it.to))
    });
    Ok(Trial {
        version: uploaded.card.version(),
        changes: changes.collect(),
        summary: summary(&repricing),
        accounts: repricing.changed.iter().take(SHOWN).map(row).collect(),
    })
}

fn row(it: &crate::service::Repriced) -> TrialRow {
    TrialRow {
        id: it.account.id.to_string(),
        paid: show::used(it.paid),
        would_pay: show::used(it.would_pay),
        change: show::signed(it.would_pay - it.paid),
        charges: show::thousands(it.charges),
        unpriced: it.unpriced,
    }
}

fn summary(it: &Repricing) -> String {
    let cut = if it.is_partial { ", the most this page looks at" } else { "" };
    format!(
        "{} charges of {} accounts in the last 30 days{cut} cost {} credits and would cost {}.",
        show::thousands(it.charges),
        show::thousands(it.accounts),
        show::used(it.paid),
        show::used(it.would_pay),
    )
}
