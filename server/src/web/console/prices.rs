//! Prices: what is in force, what a new card would change, and what it would have cost everybody last month.
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use billing::Refusal;
use billing::rating::RateCard;
use jiff::tz::TimeZone;

use super::form::Form;
use super::{Desk, Paged, done, message, page, show};
use crate::app::App;
use crate::http::Site;
use crate::rate_card;
use crate::service::{Error, Repricing, Under, Upload};
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
    /// From when the form says that it holds.
    from: String,
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
    let row = |it: &Arc<RateCard>| VersionRow {
        version: it.version(),
        from: When::moment(it.effective_at(), &TimeZone::UTC),
        meters: it.meters().map(|it| it.label.to_string()).collect::<Vec<_>>().join(", "),
        is_in_force: in_force == Some(it.version()),
    };
    let card = cards.latest().map(|it| format!("{:#}", rate_card::to_json(it))).unwrap_or_default();
    Ok(PricesPage {
        desk: Desk::of(app, host, "/console/prices")?,
        versions: cards.iter().rev().map(row).collect(),
        card,
        from: String::new(),
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
    let from = form.get("from").map(str::to_owned);
    // Once its number has been shown it stays: added twice would be two versions.
    let version = form.get("version").filter(|_| !is_dry_run).and_then(|it| it.parse().ok());
    let under = form.under(&host);
    let filled = site.look(move |app| {
        let mut filled = prices_page(app, &host)?;
        filled.card.clone_from(&text);
        filled.from = from.clone().unwrap_or_default();
        match dated(app, &text, from.as_deref(), version).and_then(|it| tried(app, &host, it, (is_dry_run, under))) {
            Ok(trial) => filled.trial = Some(trial),
            Err(Error::BadCard(faults)) => filled.faults = faults.iter().map(ToString::to_string).collect(),
            Err(Error::Refused(refusal)) => filled.faults = vec![refusal.to_string()],
            Err(other) => return Err(other),
        }
        Ok(filled)
    });
    let filled = filled.await.map_err(|it| message::failed(&site, it))?;
    if !is_dry_run && filled.faults.is_empty() {
        return Ok(done("/console/prices", "card"));
    }
    let status = if filled.faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok(page(status, &filled))
}

/// The card as it was written; where the form names a time, the next version, in force from then on.
fn dated(app: &App, text: &str, from: Option<&str>, version: Option<u32>) -> Result<RateCard, Error> {
    let is_json = text.trim_start().starts_with('{');
    let parsed = if is_json { rate_card::parse_json(text) } else { rate_card::parse_toml(text) };
    let card = parsed.map_err(Error::BadCard)?;
    let Some(from) = from else { return Ok(card) };
    let at: jiff::Timestamp = format!("{from}:00Z")
        .parse()
        .map_err(|_| Refusal::invalid("from", "must be a time in UTC such as 2027-01-01T00:00"))?;
    let next = version.unwrap_or_else(|| app.cards().latest().map_or(1, |it| it.version() + 1));
    let mut document = rate_card::to_json(&card);
    document["version"] = next.into();
    document["effective_at"] = at.to_string().into();
    rate_card::parse_json(&document.to_string()).map_err(Error::BadCard)
}

fn tried(app: &App, host: &Host, card: RateCard, (is_dry_run, under): (bool, Option<Under>)) -> Result<Trial, Error> {
    let uploaded = app.upload_rate_card(Upload { card, is_dry_run, by: host.operator.name.clone(), under })?;
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
