//! Papers as PDF: the one place that knows the typesetter. What is printed is what the invoice says; how it looks is
//! the operator's brand and the template's business.
use billing::calendar::Date;
use billing::invoice::{Invoice, Kind};
use billing::money::Money;
use papers::{Attachment, Brand, Column, Day, Fact, Logo, Paper, Party, Sum, Table};
use store::Fault;

use super::Error;
use super::e_invoice::e_invoice;
use super::printed;
use crate::app::App;
use crate::brand;

impl App {
    /// The invoice as PDF/A-3b with its e-invoice inside.
    pub fn invoice_pdf(&self, invoice: &Invoice) -> Result<Vec<u8>, Error> {
        let attachment = Attachment {
            name: format!("{}.xml", invoice.number),
            media_type: "application/xml",
            bytes: e_invoice(invoice).into_bytes(),
        };
        set(&invoice_paper(invoice, &self.settings.brand), Some(&attachment))
    }
}

pub(super) fn set(paper: &Paper, attachment: Option<&Attachment>) -> Result<Vec<u8>, Error> {
    Ok(papers::typeset(paper, attachment).map_err(|it| Fault::new("setting a paper", it))?)
}

fn invoice_paper(invoice: &Invoice, look: &brand::Brand) -> Paper {
    let currency = invoice.currency;
    let money = |amount| printed::money(Money { amount, currency });
    let day = printed::day(invoice.issued_at);
    let total = printed::money(invoice.total());
    let paid_with = invoice.paid_with.clone().unwrap_or_else(|| "Card".to_owned());
    let (title, state, headline) = match invoice.kind {
        Kind::Invoice => ("Invoice", "Paid", format!("{total} paid on {day}")),
        Kind::CreditNote => ("Credit note", "Refunded", format!("{total} refunded on {day}")),
    };
    let mut facts =
        vec![fact(&format!("{title} number"), invoice.number.to_string()), fact("Date of issue", day.clone())];
    match &invoice.corrects {
        Some(corrects) => facts.push(fact("Corrects invoice", corrects.clone())),
        None => facts.push(fact("Date of supply", day)),
    }
    facts.push(fact(if invoice.kind == Kind::Invoice { "Paid with" } else { "Refunded to" }, paid_with));
    let rate = format!("{}%", invoice.rate());
    let row = |it: &billing::invoice::Line| {
        vec![
            it.text.clone(),
            printed::credits(it.credits),
            printed::unit_price(it, currency),
            rate.clone(),
            money(it.net),
        ]
    };
    let table = Table {
        title: String::new(),
        columns: vec![
            column("Description", false),
            column("Credits", true),
            column("Unit price", true),
            column("VAT", true),
            column("Amount", true),
        ],
        rows: invoice.lines.iter().map(row).collect(),
        sums: vec![
            sum("Subtotal", printed::money(invoice.net())),
            sum(&printed::tax_label(invoice.treatment), printed::money(invoice.tax())),
            Sum { label: format!("Total {}", currency.as_str().to_uppercase()), value: total, is_total: true },
        ],
    };
    let party = |role: &str, it: &billing::invoice::Party| Party {
        role: role.to_owned(),
        name: it.name.clone(),
        lines: printed::address(it),
    };
    let mut footer = vec![invoice.seller.name.clone()];
    footer.extend(invoice.seller.tax_id.as_ref().map(|it| format!("VAT {it}")));
    Paper {
        title: title.to_owned(),
        number: invoice.number.to_string(),
        state: state.to_owned(),
        issued: on(Date::of(invoice.issued_at)),
        headline,
        facts,
        parties: vec![party("From", &invoice.seller), party("Billed to", &invoice.buyer)],
        tables: vec![table],
        notes: invoice.treatment.note().map(str::to_owned).into_iter().collect(),
        footer,
        closing: vec![fact("Payment reference", invoice.payment.clone())],
        brand: branded(look),
    }
}

pub(super) fn branded(look: &brand::Brand) -> Brand {
    let logo = look.logo.as_ref();
    Brand {
        name: look.name.clone(),
        accent: look.accent.channels(),
        logo: logo.map(|it| Logo { is_svg: it.content_type == "image/svg+xml", bytes: it.bytes.to_vec() }),
    }
}

pub(super) fn on(date: Date) -> Day {
    Day { year: date.year, month: date.month, day: date.day }
}

pub(super) fn fact(label: &str, value: String) -> Fact {
    Fact { label: label.to_owned(), value }
}

pub(super) fn column(title: &str, is_number: bool) -> Column {
    Column { title: title.to_owned(), is_number }
}

pub(super) fn sum(label: &str, value: String) -> Sum {
    Sum { label: label.to_owned(), value, is_total: false }
}
