//! Invoices: issued in the commit that credits a payment, numbered without a gap, never changed.
//!
//! The last number of a seller's series in a year is the version of a document. Committing the next version together
//! with the invoice that bears it leaves no gap when either fails, and no number twice when two issue at once: one of
//! them is overtaken, and takes the number after.
use billing::Refusal;
use billing::calendar::Date;
use billing::id::{AccountNumber, InvoiceId, Name, PaymentId};
use billing::invoice::{Invoice, Kind, Line, Number, Party};
use billing::money::{Credits, Currency};
use billing::refund::Part;
use billing::tax::Country;
use billing::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use store::{Change, Document};

use super::Error;
use super::documents::Kept;
use super::e_invoice::e_invoice;
use super::invoice_page::invoice_page;
use super::money_news::invoice_news;
use super::months::Month;
use super::numbered::numbered;
use super::payment::Payment;
use super::prices::Taxed;
use super::sales::Counter;
use crate::app::{App, Known};

const KIND: &str = "invoice";
/// The last number of each seller's series and year, and what was sold in it.
pub(super) const COUNTER: &str = "invoice_number";

/// An invoice to be committed with what it is for.
pub(super) struct Issued {
    /// Ours, not the number.
    pub id: String,
    pub changes: Vec<Change>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct PartyBody {
    name: String,
    street: String,
    city: String,
    postal_code: String,
    country: String,
    tax_id: Option<String>,
    email: Option<String>,
}

impl PartyBody {
    fn of(it: &Party) -> PartyBody {
        PartyBody {
            name: it.name.clone(),
            street: it.street.clone(),
            city: it.city.clone(),
            postal_code: it.postal_code.clone(),
            country: it.country.clone(),
            tax_id: it.tax_id.clone(),
            email: it.email.clone(),
        }
    }
    fn read(self) -> Party {
        Party {
            name: self.name,
            street: self.street,
            city: self.city,
            postal_code: self.postal_code,
            country: self.country,
            tax_id: self.tax_id,
            email: self.email,
        }
    }
}

/// An invoice as it is written down, complete: whatever is configured later, it reads the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Body {
    is_credit_note: bool,
    prefix: String,
    year: i32,
    sequence: u64,
    issued_at: i64,
    seller: PartyBody,
    buyer: PartyBody,
    #[serde(with = "super::word")]
    currency: Currency,
    text: String,
    credits: i64,
    net: i64,
    tax: i64,
    taxed: Taxed,
    payment: String,
    #[serde(default)]
    paid_with: Option<String>,
    corrects: Option<String>,
}

impl Body {
    fn read(self) -> Invoice {
        Invoice {
            kind: if self.is_credit_note { Kind::CreditNote } else { Kind::Invoice },
            number: Number { prefix: self.prefix, year: self.year, sequence: self.sequence },
            issued_at: Timestamp::from_millis(self.issued_at),
            seller: self.seller.read(),
            buyer: self.buyer.read(),
            currency: self.currency,
            lines: vec![Line { text: self.text, credits: Credits::from_micros(self.credits), net: self.net }],
            treatment: self.taxed.treatment(),
            tax: self.tax,
            payment: self.payment,
            paid_with: self.paid_with,
            corrects: self.corrects,
        }
    }
}

/// What an invoice is shown as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// A page to look at, and to print.
    Html,
    /// A structured invoice.
    Xml,
    Pdf,
}

/// A file to be kept: what it is called, what it is, what is in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct File {
    pub name: String,
    pub media_type: &'static str,
    pub bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct InvoiceView {
    pub id: String,
    pub account: Name,
    pub invoice: Invoice,
}

impl App {
    /// The invoice of a payment that came in.
    pub(super) fn invoice_for(
        &self,
        known: &Known,
        payment: PaymentId,
        body: &Payment,
        at: Timestamp,
    ) -> Result<Issued, Error> {
        let whole = Part { credits: Credits::from_micros(body.credits), net: body.net, tax: body.tax };
        self.issue(known, (payment, body), whole, (Kind::Invoice, at))
    }

    /// The credit note of a part of a payment that went back.
    pub(super) fn credit_note_for(
        &self,
        known: &Known,
        payment: (PaymentId, &Payment),
        part: Part,
        at: Timestamp,
    ) -> Result<Issued, Error> {
        self.issue(known, payment, part, (Kind::CreditNote, at))
    }

    /// The invoice of a part whose credit note was issued and whose money did not go back after all.
    pub(super) fn invoice_again(
        &self,
        known: &Known,
        payment: (PaymentId, &Payment),
        part: Part,
        at: Timestamp,
    ) -> Result<Issued, Error> {
        self.issue(known, payment, part, (Kind::Invoice, at))
    }

    /// # Errors
    /// When the id leads to no invoice.
    pub fn invoice(&self, id: InvoiceId) -> Result<InvoiceView, Error> {
        let account = id.place().account;
        let known = self.known_number(account)?.ok_or(Refusal::InvoiceNotFound)?;
        let kept = self.kept::<Body>(account, KIND, &id.to_string())?.ok_or(Refusal::InvoiceNotFound)?;
        Ok(InvoiceView { id: kept.document.id, account: known.account.id.clone(), invoice: kept.body.read() })
    }

    /// The invoice as a file, called by its number.
    pub fn invoice_file(&self, invoice: &Invoice, form: Form) -> Result<File, Error> {
        let file =
            |ending: &str, media_type, bytes| File { name: format!("{}.{ending}", invoice.number), media_type, bytes };
        Ok(match form {
            Form::Html => file("html", "text/html; charset=utf-8", invoice_page(invoice).into_bytes()),
            Form::Xml => file("xml", "application/xml; charset=utf-8", e_invoice(invoice).into_bytes()),
            Form::Pdf => file("pdf", "application/pdf", self.invoice_pdf(invoice)?),
        })
    }

    /// An account's invoices and credit notes, newest first, those below the cursor `before`.
    pub fn invoices(&self, account: &Name, before: Option<&str>, limit: usize) -> Result<Vec<InvoiceView>, Error> {
        let known = self.known(account)?;
        let kept = self.all_kept::<Body>(known.account.number, KIND, before, limit)?;
        let view = |it: Kept<Body>| InvoiceView {
            id: it.document.id,
            account: known.account.id.clone(),
            invoice: it.body.read(),
        };
        Ok(kept.into_iter().map(view).collect())
    }

    /// The card it was paid with, as far as it is known here: a card that was typed in on a page and not saved is not.
    fn paid_with(&self, account: AccountNumber, payment: &Payment) -> Result<Option<String>, Error> {
        let card = self.card_used(account, payment.method.as_deref(), payment.card.as_deref())?;
        let named = |brand: &str| match brand {
            "amex" => "American Express".to_owned(),
            it => it.chars().take(1).flat_map(char::to_uppercase).chain(it.chars().skip(1)).collect::<String>(),
        };
        Ok(card.map(|it| format!("{} ending in {}", named(&it.brand), it.last4)))
    }

    fn issue(
        &self,
        known: &Known,
        (payment, body): (PaymentId, &Payment),
        part: Part,
        (kind, at): (Kind, Timestamp),
    ) -> Result<Issued, Error> {
        let (year, prefix) = (Date::of(at).year, series(kind));
        let number: AccountNumber = known.account.number;
        let first = body.invoice.as_deref().map(|it| self.kept::<Body>(number, KIND, it)).transpose()?.flatten();
        let first = first.map(|it| it.body);
        // What comes after the first is about the same sale, and names who sold and who bought then, whoever that is by
        // now; and is counted with what that seller sold.
        let seller = first.as_ref().map_or_else(|| self.settings.seller.clone(), |it| it.seller.clone().read());
        let id = counter_id(kind, year, &seller);
        let counter = self.kept::<Counter>(Document::HOUSE, COUNTER, &id)?;
        let blank = || Kept::new(Document::HOUSE, COUNTER, id.clone(), Counter::of(&seller.name));
        let (mut counter, of_series) = (counter.unwrap_or_else(blank), id.clone());
        counter.body.add(Month::at(at), body.currency, &body.taxed, part);
        let id = InvoiceId::new(at, self.place_beside(number)?).to_string();
        let (buyer, paid_with) = match &first {
            Some(first) => (first.buyer.clone(), first.paid_with.clone()),
            None => (PartyBody::of(&buyer(known)), self.paid_with(number, body)?),
        };
        let corrects = first.filter(|_| kind == Kind::CreditNote).map(|it| it.read().number.to_string());
        let written = Body {
            is_credit_note: kind == Kind::CreditNote,
            prefix: prefix.to_owned(),
            year,
            sequence: counter.document.version + 1,
            issued_at: at.millis(),
            seller: PartyBody::of(&seller),
            buyer,
            currency: body.currency,
            text: body.item.clone(),
            credits: part.credits.micros(),
            net: part.net,
            tax: part.tax,
            taxed: body.taxed.clone(),
            payment: payment.to_string(),
            paid_with,
            corrects,
        };
        let said = Number { prefix: prefix.to_owned(), year, sequence: written.sequence }.to_string();
        let (total, is_credit_note) = (written.net + written.tax, written.is_credit_note);
        let told = invoice_news(number, (&id, &said, is_credit_note), (payment, total, body.currency), at);
        let invoice = Kept::new(number, KIND, id.clone(), written);
        let led_to = numbered(&of_series, counter.document.version + 1, &id, at);
        Ok(Issued { id, changes: vec![counter.next(at, None), invoice.next(at, None), led_to, told] })
    }
}

fn series(kind: Kind) -> &'static str {
    match kind {
        Kind::Invoice => "INV",
        Kind::CreditNote => "CN",
    }
}

/// What the counters of all sellers of a kind begin with in a year.
pub(super) fn counters_of(kind: Kind, year: i32) -> String {
    format!("{}-{year}-", series(kind))
}

/// A seller goes by the tax id, as for the tax office, and by the name where there is none: whoever moves house goes on
/// with the same series, and another seller begins another.
fn counter_id(kind: Kind, year: i32, seller: &Party) -> String {
    let said = seller.tax_id.as_ref().unwrap_or(&seller.name);
    let known_by: String = said.chars().filter(|it| it.is_alphanumeric()).flat_map(char::to_uppercase).collect();
    let hash: String = Sha256::digest(known_by).iter().take(8).map(|it| format!("{it:02x}")).collect();
    counters_of(kind, year) + &hash
}

/// A country by its code, or what stands there in its stead.
fn country(said: &str) -> String {
    said.parse::<Country>().map_or_else(|_| said.to_ascii_uppercase(), |it| it.to_string())
}

/// Who buys, by what the account's profile says now.
fn buyer(known: &Known) -> Party {
    let account = &known.account;
    let address: serde_json::Value =
        account.address.as_deref().and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default();
    // Platforms name the parts of an address in one of these ways.
    let part = |names: &[&str]| {
        let found = names.iter().find_map(|it| address[*it].as_str());
        found.unwrap_or_default().to_owned()
    };
    Party {
        name: account.name.clone().unwrap_or_else(|| account.id.to_string()),
        street: part(&["street", "line1", "address"]),
        city: part(&["city", "town"]),
        postal_code: part(&["postal_code", "postcode", "zip"]),
        country: country(&part(&["country"])),
        tax_id: account.tax_id.clone(),
        email: account.email.clone(),
    }
}
