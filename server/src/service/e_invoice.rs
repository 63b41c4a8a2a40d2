//! Invoices as structured documents: UBL 2.1 by the semantic model of EN 16931.
//!
//! Must never know how a page looks. What is written here is what `billing::invoice` says, in the schema's order.
//! Invariant: sums are the sums of the lines, and what was paid is said to be paid.
use std::fmt::Write as _;

use billing::calendar::Date;
use billing::invoice::{Decimal, Invoice, Kind, Party};
use billing::money::Money;
use billing::tax::{Country, VatId};

/// The invoice as XML.
pub fn e_invoice(invoice: &Invoice) -> String {
    let (root, of_kind) = match invoice.kind {
        Kind::Invoice => ("Invoice", "Invoice"),
        Kind::CreditNote => ("CreditNote", "CreditNote"),
    };
    let mut xml = Xml { text: String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n") };
    let _ = writeln!(
        xml.text,
        "<{root} xmlns=\"urn:oasis:names:specification:ubl:schema:xsd:{root}-2\"\n  \
         xmlns:cac=\"urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2\"\n  \
         xmlns:cbc=\"urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2\">"
    );
    xml.value("cbc:CustomizationID", "urn:cen.eu:en16931:2017");
    xml.value("cbc:ID", &invoice.number.to_string());
    xml.value("cbc:IssueDate", &Date::of(invoice.issued_at).to_string());
    xml.value(&format!("cbc:{of_kind}TypeCode"), &invoice.kind.type_code().to_string());
    if let Some(note) = invoice.treatment.note() {
        xml.value("cbc:Note", note);
    }
    xml.value("cbc:DocumentCurrencyCode", &currency(invoice));
    if let Some(corrects) = &invoice.corrects {
        xml.within("cac:BillingReference", |xml| {
            xml.within("cac:InvoiceDocumentReference", |xml| xml.value("cbc:ID", corrects));
        });
    }
    party(&mut xml, "cac:AccountingSupplierParty", &invoice.seller, invoice);
    party(&mut xml, "cac:AccountingCustomerParty", &invoice.buyer, invoice);
    xml.within("cac:PaymentMeans", |xml| {
        // UNTDID 4461: bank card.
        xml.value("cbc:PaymentMeansCode", "48");
        xml.value("cbc:PaymentID", &invoice.payment);
    });
    tax_total(&mut xml, invoice);
    let zero = Money { amount: 0, currency: invoice.currency };
    xml.within("cac:LegalMonetaryTotal", |xml| {
        xml.amount("cbc:LineExtensionAmount", invoice.net());
        xml.amount("cbc:TaxExclusiveAmount", invoice.net());
        xml.amount("cbc:TaxInclusiveAmount", invoice.total());
        xml.amount("cbc:PrepaidAmount", invoice.total());
        xml.amount("cbc:PayableAmount", zero);
    });
    lines(&mut xml, invoice);
    let _ = writeln!(xml.text, "</{root}>");
    xml.text
}

fn currency(invoice: &Invoice) -> String {
    invoice.currency.as_str().to_uppercase()
}

fn party(xml: &mut Xml, role: &str, party: &Party, invoice: &Invoice) {
    // The model wants a country of everybody; one who gave none is taken to be the seller's neighbour.
    let country = country_of(party).or_else(|| country_of(&invoice.seller));
    let vat_id = party.tax_id.as_deref().and_then(VatId::parse);
    // Whoever is not subject to VAT must not give a VAT id.
    let is_subject = invoice.treatment.category() != "O";
    xml.within(role, |xml| {
        xml.within("cac:Party", |xml| {
            xml.within("cac:PostalAddress", |xml| {
                for (name, value) in [
                    ("cbc:StreetName", &party.street),
                    ("cbc:CityName", &party.city),
                    ("cbc:PostalZone", &party.postal_code),
                ] {
                    if !value.is_empty() {
                        xml.value(name, value);
                    }
                }
                if let Some(country) = country {
                    // Kosovo has a code of its own in the model, and another in the world.
                    let code = if country.as_str() == "XK" { "1A" } else { country.as_str() };
                    xml.within("cac:Country", |xml| xml.value("cbc:IdentificationCode", code));
                }
            });
            if let Some(vat_id) = vat_id.filter(|_| is_subject) {
                xml.within("cac:PartyTaxScheme", |xml| {
                    xml.value("cbc:CompanyID", &vat_id.text);
                    xml.within("cac:TaxScheme", |xml| xml.value("cbc:ID", "VAT"));
                });
            }
            xml.within("cac:PartyLegalEntity", |xml| {
                xml.value("cbc:RegistrationName", &party.name);
                if let Some(id) = party.tax_id.as_ref().filter(|it| !is_subject || VatId::parse(it).is_none()) {
                    xml.value("cbc:CompanyID", id);
                }
            });
            if let Some(email) = &party.email {
                xml.within("cac:Contact", |xml| xml.value("cbc:ElectronicMail", email));
            }
        });
    });
}

/// The country somebody gave, whatever they call it; else the one that gave them their VAT id. None where that is none.
fn country_of(party: &Party) -> Option<Country> {
    let of_vat_id = || party.tax_id.as_deref().and_then(VatId::parse).map(|it| it.country);
    party.country.trim().parse().ok().or_else(of_vat_id)
}

fn tax_total(xml: &mut Xml, invoice: &Invoice) {
    xml.within("cac:TaxTotal", |xml| {
        xml.amount("cbc:TaxAmount", invoice.tax());
        xml.within("cac:TaxSubtotal", |xml| {
            xml.amount("cbc:TaxableAmount", invoice.net());
            xml.amount("cbc:TaxAmount", invoice.tax());
            xml.within("cac:TaxCategory", |xml| category(xml, invoice, true));
        });
    });
}

fn category(xml: &mut Xml, invoice: &Invoice, says_why: bool) {
    let id = invoice.treatment.category();
    xml.value("cbc:ID", id);
    if id != "O" {
        xml.value("cbc:Percent", &invoice.rate().to_string());
    }
    if let Some(note) = invoice.treatment.note().filter(|_| says_why) {
        xml.value("cbc:TaxExemptionReason", note);
    }
    xml.within("cac:TaxScheme", |xml| xml.value("cbc:ID", "VAT"));
}

fn lines(xml: &mut Xml, invoice: &Invoice) {
    let (line, quantity) = match invoice.kind {
        Kind::Invoice => ("cac:InvoiceLine", "cbc:InvoicedQuantity"),
        Kind::CreditNote => ("cac:CreditNoteLine", "cbc:CreditedQuantity"),
    };
    for (index, it) in invoice.lines.iter().enumerate() {
        let net = Money { amount: it.net, currency: invoice.currency };
        xml.within(line, |xml| {
            xml.value("cbc:ID", &(index + 1).to_string());
            // One of what was bought: a price for a single credit would have to be rounded.
            let _ = writeln!(xml.text, "<{quantity} unitCode=\"C62\">1</{quantity}>");
            xml.amount("cbc:LineExtensionAmount", net);
            xml.within("cac:Item", |xml| {
                xml.value("cbc:Name", &it.text);
                xml.within("cac:ClassifiedTaxCategory", |xml| category(xml, invoice, false));
            });
            xml.within("cac:Price", |xml| xml.amount("cbc:PriceAmount", net));
        });
    }
}

struct Xml {
    text: String,
}

impl Xml {
    fn value(&mut self, name: &str, value: &str) {
        let _ = writeln!(self.text, "<{name}>{}</{name}>", escaped(value));
    }
    fn amount(&mut self, name: &str, money: Money) {
        let code = money.currency.as_str().to_uppercase();
        let mut amount = Decimal(money).to_string();
        // The model writes no more than two decimals, of dinars neither; their amounts end in nought.
        if money.currency.places() == 3 && amount.ends_with('0') {
            amount.pop();
        }
        let _ = writeln!(self.text, "<{name} currencyID=\"{code}\">{amount}</{name}>");
    }
    fn within(&mut self, name: &str, write: impl FnOnce(&mut Xml)) {
        let _ = writeln!(self.text, "<{name}>");
        write(self);
        let _ = writeln!(self.text, "</{name}>");
    }
}

/// Text that is nothing but text, in XML and in HTML.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // XML 1.0 knows no other control characters, and not these two at all.
            it if it.is_control() && !matches!(it, '\n' | '\t') => safe.push(' '),
            '\u{fffe}' | '\u{ffff}' => {}
            it => safe.push(it),
        }
    }
    safe
}
