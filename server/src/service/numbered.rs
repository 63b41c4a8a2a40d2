//! Invoices by the number that is printed on them: what a customer reads out to somebody who helps.
//!
//! Where an invoice is follows from its id and not from its number; so each number of a seller's series leads to the
//! id, written in the commit that issues it. Those issued before this was kept are found by their account alone.
use billing::id::InvoiceId;
use billing::invoice::Kind;
use billing::time::Timestamp;
use store::{Change, Document};

use super::Error;
use super::documents::Kept;
use super::invoices::{COUNTER, InvoiceView, counters_of};
use super::sales::Counter;
use crate::app::App;

const KIND: &str = "invoice_of_number";
/// Sellers whose series are looked at: each has one of its own a year.
const SELLERS_MAX: usize = 100;

fn id_of(counter: &str, sequence: u64) -> String {
    format!("{counter}-{sequence}")
}

/// That a number of this series leads to this invoice.
pub(super) fn numbered(counter: &str, sequence: u64, invoice: &str, at: Timestamp) -> Change {
    Kept::new(Document::HOUSE, KIND, id_of(counter, sequence), invoice.to_owned()).next(at, None)
}

/// `INV-2026-000123`: the kind, the year, and the number in it.
fn parse(number: &str) -> Option<(Kind, i32, u64)> {
    let number = number.trim().to_ascii_uppercase();
    let [prefix, year, sequence] = *number.split('-').collect::<Vec<&str>>() else { return None };
    let kind = match prefix {
        "INV" => Kind::Invoice,
        "CN" => Kind::CreditNote,
        _ => return None,
    };
    Some((kind, year.parse().ok()?, sequence.parse().ok()?))
}

impl App {
    /// The invoices and credit notes that bear this number: one, unless the house was sold within the year.
    pub fn invoices_numbered(&self, number: &str) -> Result<Vec<InvoiceView>, Error> {
        let Some((kind, year, sequence)) = parse(number) else { return Ok(Vec::new()) };
        let prefix = counters_of(kind, year);
        // Below what comes after all that begin so.
        let end = format!("{prefix}~");
        let counters = self.all_kept::<Counter>(Document::HOUSE, COUNTER, Some(&end), SELLERS_MAX)?;
        let mut found = Vec::new();
        for counter in counters.iter().filter(|it| it.document.id.starts_with(&prefix)) {
            let kept = self.kept::<String>(Document::HOUSE, KIND, &id_of(&counter.document.id, sequence))?;
            if let Some(id) = kept.and_then(|it| it.body.parse::<InvoiceId>().ok()) {
                found.push(self.invoice(id)?);
            }
        }
        Ok(found)
    }
}
