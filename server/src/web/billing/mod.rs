//! *Settings > Billing*: buying credits, topping up by itself, cards, details, history, invoices.
//!
//! Money is collected on the provider's own page or from a saved card; no card's number ever comes here. What a form
//! asks for is committed before the provider is asked, so a page that is closed in between loses nothing.
mod actions;
mod pay;
mod rows;
mod topup;

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use billing::Refusal;

use super::frame::Frame;
use super::visit::Visitor;
use super::{Paged, form, message, page, show};
use crate::app::App;
use crate::http::Site;
use crate::service::{Error, e_invoice, invoice_page};

use rows::{CardRow, InvoiceRow, PackageRow, PaymentRow, PurchaseRow};
use topup::RuleView;

pub const PATH: &str = "/settings/billing";
/// Rows of each history.
const SHOWN: usize = 24;

pub fn router() -> Router<Arc<Site>> {
    Router::new()
        .route(PATH, get(show))
        .route("/settings/billing/buy", post(pay::buy))
        .route("/settings/billing/returned", get(pay::returned))
        .route("/settings/billing/payments/{payment}", get(pay::show))
        .route("/settings/billing/payments/{payment}/confirm", post(pay::confirm))
        .route("/settings/billing/auto-topup", post(topup::set))
        .route("/settings/billing/cards", post(actions::add_card))
        .route("/settings/billing/cards/default", post(actions::make_default))
        .route("/settings/billing/cards/remove", post(actions::remove_card))
        .route("/settings/billing/details", post(actions::details))
        .route("/settings/billing/invoices/{invoice}", get(invoice))
}

#[derive(Template)]
#[template(path = "billing/page.html")]
struct BillingPage {
    frame: Frame,
    /// The role may change what it sees.
    may_change: bool,
    /// Makes a form that is sent twice one purchase.
    key: String,
    currency: String,
    price_of_thousand: String,
    packages: Vec<PackageRow>,
    cards: Vec<CardRow>,
    rule: RuleView,
    details: Details,
    purchases: Vec<PurchaseRow>,
    payments: Vec<PaymentRow>,
    invoices: Vec<InvoiceRow>,
    waiting: Option<String>,
}

/// Who buys, as invoices will say from now on.
#[derive(Default)]
struct Details {
    name: String,
    email: String,
    street: String,
    city: String,
    postal_code: String,
    country: String,
    tax_id: String,
}

/// Whoever may see billing, or the page that says why not.
async fn admit(site: &Site, visitor: &Visitor) -> Result<(), Response> {
    if visitor.session.role.sees_billing() {
        return Ok(());
    }
    Err(message::forbidden(site, "Billing is for owners and billing contacts of the account. Ask one of them."))
}

/// Whoever may change billing, with a form of this session.
async fn admit_change(site: &Arc<Site>, visitor: &Visitor, form: &form::Form) -> Result<(), Response> {
    form.check(site, &visitor.session.id).await?;
    if visitor.session.role.changes_billing() {
        return Ok(());
    }
    Err(message::forbidden(site, "Your role sees billing and changes nothing. Ask an owner of the account."))
}

async fn show(State(site): State<Arc<Site>>, visitor: Visitor) -> Paged {
    admit(&site, &visitor).await?;
    let filled = site.look(move |app| billing_page(app, &visitor)).await.map_err(|it| message::failed(&site, it))?;
    Ok(page(StatusCode::OK, &filled))
}

fn billing_page(app: &App, visitor: &Visitor) -> Result<BillingPage, Error> {
    let account = &visitor.session.account;
    let known = &visitor.known;
    let currency = known.account.currency;
    let balance = app.balance(account, None)?;
    let payments = app.payments(account, None, SHOWN)?;
    let invoices = app.invoices(account, None, SHOWN)?;
    let cards = app.payment_methods(account)?;
    let grants = app.grants(account, None, 200)?;
    let waiting = payments.iter().find(|it| !it.payment.status().is_final()).map(|it| it.id.clone());
    let profile = app.account(account)?;
    let thousand = app.at_list_price(billing::money::Credits::whole(1_000), currency);
    Ok(BillingPage {
        frame: Frame::of(app, visitor, &balance, PATH)?,
        may_change: visitor.session.role.changes_billing(),
        key: app.form_key()?,
        currency: currency.as_str().to_uppercase(),
        price_of_thousand: show::money(thousand),
        packages: rows::packages(app, account, currency)?,
        cards: cards.iter().map(CardRow::of).collect(),
        rule: RuleView::of(app, visitor, &cards)?,
        details: Details::of(&profile.name, &profile.email, profile.address.as_deref(), &profile.tax_id),
        purchases: grants.iter().filter_map(|it| PurchaseRow::of(it, known)).take(SHOWN).collect(),
        payments: payments.iter().map(|it| PaymentRow::of(it, known)).collect(),
        invoices: invoices.iter().map(|it| InvoiceRow::of(it, known)).collect(),
        waiting,
    })
}

impl Details {
    fn of(name: &Option<String>, email: &Option<String>, address: Option<&str>, tax_id: &Option<String>) -> Details {
        let address: serde_json::Value = address.and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default();
        let part = |names: &[&str]| names.iter().find_map(|it| address[*it].as_str()).unwrap_or_default().to_owned();
        Details {
            name: name.clone().unwrap_or_default(),
            email: email.clone().unwrap_or_default(),
            street: part(&["street", "line1", "address"]),
            city: part(&["city", "town"]),
            postal_code: part(&["postal_code", "postcode", "zip"]),
            country: part(&["country"]),
            tax_id: tax_id.clone().unwrap_or_default(),
        }
    }
}

/// An invoice of this account: a page to print, or with `.xml` after its id a structured one.
async fn invoice(State(site): State<Arc<Site>>, Path(named): Path<String>, visitor: Visitor) -> Paged {
    admit(&site, &visitor).await?;
    let (id, form) = named.split_once('.').unwrap_or((&named, "html"));
    let is_xml = form == "xml";
    let missing = || message::failed(&site, Refusal::InvoiceNotFound.into());
    let id = id.parse().map_err(|_| missing())?;
    let view = site.look(move |app| app.invoice(id)).await.map_err(|it| message::failed(&site, it))?;
    // An id leads home, and home must be this one.
    if view.account != visitor.session.account {
        return Err(missing());
    }
    let name = view.invoice.number.to_string();
    if is_xml {
        let disposition = format!("attachment; filename=\"{name}.xml\"");
        let headers = [
            (header::CONTENT_TYPE, "application/xml; charset=utf-8".to_owned()),
            (header::CONTENT_DISPOSITION, disposition),
        ];
        return Ok((headers, e_invoice(&view.invoice)).into_response());
    }
    let mut response = axum::response::Html(invoice_page(&view.invoice)).into_response();
    response.extensions_mut().insert(super::OwnStyle);
    Ok(response)
}

/// Back to the page, at one of its sections.
fn back(section: &str) -> Response {
    Redirect::to(&format!("{PATH}#{section}")).into_response()
}
