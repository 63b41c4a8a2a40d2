//! Invoices and credit notes: listed, shown, as a page to print and as an e-invoice.
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use billing::Refusal;
use billing::id::InvoiceId;
use billing::invoice::{Invoice, Kind, Party};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::knock::Knock;
use super::super::site::Site;
use super::super::wire::{Amount, Instant, NameIn};
use super::grants::MoneyShown;
use super::reply::{self, Answered, Page};
use crate::service::{Form, InvoiceView, Scope};

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = InvoiceKind)]
pub enum KindShown {
    Invoice,
    /// Takes back an invoice or a part of it.
    CreditNote,
}

/// Somebody who sells or buys, as printed.
#[derive(Serialize, ToSchema)]
#[schema(as = Party)]
pub struct PartyShown {
    name: String,
    street: String,
    city: String,
    postal_code: String,
    country: String,
    tax_id: Option<String>,
    email: Option<String>,
}

impl PartyShown {
    fn of(party: &Party) -> PartyShown {
        let Party { name, street, city, postal_code, country, tax_id, email } = party.clone();
        PartyShown { name, street, city, postal_code, country, tax_id, email }
    }
}

/// What is sold, or taken back.
#[derive(Serialize, ToSchema)]
#[schema(as = InvoiceLine)]
pub struct LineShown {
    item: String,
    credits: Amount,
    net: MoneyShown,
}

/// An invoice or a credit note. It never changes.
#[derive(Serialize, ToSchema)]
#[schema(as = Invoice)]
pub struct InvoiceShown {
    #[schema(pattern = "^invoice_[0-9a-hjkmnp-tv-z]{26}$")]
    id: String,
    kind: KindShown,
    /// Without a gap within its series and year.
    #[schema(example = "INV-2026-000042")]
    number: String,
    account: String,
    payment: String,
    /// `Visa ending in 4242`; null where it is not known.
    paid_with: Option<String>,
    /// For a credit note, the number of the invoice it takes back.
    corrects: Option<String>,
    issued_at: Instant,
    seller: PartyShown,
    buyer: PartyShown,
    lines: Vec<LineShown>,
    net: MoneyShown,
    /// In percent.
    #[schema(example = "21")]
    tax_rate: String,
    tax: MoneyShown,
    total: MoneyShown,
    /// What the law wants it to say, such as that the recipient owes the tax.
    note: Option<&'static str>,
}

impl InvoiceShown {
    fn of(view: &InvoiceView) -> InvoiceShown {
        let it: &Invoice = &view.invoice;
        let money = |amount| MoneyShown::from(billing::money::Money { amount, currency: it.currency });
        let line = |line: &billing::invoice::Line| LineShown {
            item: line.text.clone(),
            credits: Amount(line.credits),
            net: money(line.net),
        };
        InvoiceShown {
            id: view.id.clone(),
            kind: if it.kind == Kind::Invoice { KindShown::Invoice } else { KindShown::CreditNote },
            number: it.number.to_string(),
            account: view.account.to_string(),
            payment: it.payment.clone(),
            paid_with: it.paid_with.clone(),
            corrects: it.corrects.clone(),
            issued_at: Instant(it.issued_at),
            seller: PartyShown::of(&it.seller),
            buyer: PartyShown::of(&it.buyer),
            lines: it.lines.iter().map(line).collect(),
            net: it.net().into(),
            tax_rate: it.rate().to_string(),
            tax: it.tax().into(),
            total: it.total().into(),
            note: it.treatment.note(),
        }
    }
}

/// The same for the pages, as a file: what it is called, and what is in it.
pub fn as_json(view: &InvoiceView) -> (String, Vec<u8>) {
    let text = serde_json::to_vec_pretty(&InvoiceShown::of(view)).expect("an invoice is plain JSON");
    (format!("{}.json", view.invoice.number), text)
}

/// List an account's invoices
#[utoipa::path(get, path = "/v1/accounts/{account}/invoices", operation_id = "listInvoices", tag = "Credits in",
    params(
        ("account" = NameIn, Path, description = "The account."),
        ("limit" = Option<u32>, Query, description = "Invoices a page.", minimum = 1, maximum = 500),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before.",
            pattern = "^invoice_[0-9a-hjkmnp-tv-z]{26}$"),
    ),
    security(("api_key" = ["read"])),
    responses(
        (status = 200, body = Page<InvoiceShown>, description = "Newest first, credit notes among them."),
        (status = 404, description = "No such account."),
    ))]
pub async fn list(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let account = call.name("account").await?;
    let query = call.query(&["limit", "cursor"])?;
    let (limit, before) = (query.limit()?, query.cursor_of::<InvoiceId>()?);
    let invoices = site.look(move |app| app.invoices(&account, before.as_deref(), limit + 1)).await?;
    let (invoices, next_cursor) = reply::cut(invoices, limit, |it| it.id.clone());
    reply::json(StatusCode::OK, &Page { data: invoices.iter().map(InvoiceShown::of).collect(), next_cursor })
}

/// Look up an invoice
///
/// With `.pdf` after the id, as PDF/A-3b with the structured invoice inside; with `.html`, as a page to print; with
/// `.xml`, as a structured invoice (EN 16931, UBL). The files are called by the invoice's number.
#[utoipa::path(get, path = "/v1/invoices/{invoice}", operation_id = "getInvoice", tag = "Credits in",
    params(("invoice" = String, Path,
        description = "The invoice's id, with nothing, `.json`, `.pdf`, `.html` or `.xml` after it.")),
    security(("api_key" = ["read"])),
    responses(
        (status = 200, description = "The invoice.", content(
            (InvoiceShown = "application/json"), (String = "application/pdf"), (String = "text/html"),
            (String = "application/xml"))),
        (status = 404, description = "No such invoice."),
    ))]
pub async fn show(State(site): State<Arc<Site>>, knock: Knock) -> Answered {
    let mut call = knock.enter(&site, Scope::Read)?;
    let named = call.segment("invoice").await?;
    let (id, form) = named.split_once('.').unwrap_or((&named, "json"));
    let form = match form {
        "json" => None,
        "html" => Some(Form::Html),
        "xml" => Some(Form::Xml),
        "pdf" => Some(Form::Pdf),
        _ => return Err(Refusal::InvoiceNotFound.into()),
    };
    let id: InvoiceId = id.parse().map_err(|_| Refusal::InvoiceNotFound)?;
    let Some(form) = form else {
        let view = site.look(move |app| app.invoice(id)).await?;
        return reply::json(StatusCode::OK, &InvoiceShown::of(&view));
    };
    let file = site.look(move |app| app.invoice_file(&app.invoice(id)?.invoice, form)).await?;
    reply::file(file)
}
