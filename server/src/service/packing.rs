//! All papers of a period in one zip file, written as they are made: what is in memory is one paper, however many there
//! are.
use std::collections::HashSet;
use std::io::Write;

use billing::Refusal;
use billing::id::{InvoiceId, Name, Place};
use billing::invoice::{Decimal, Kind};
use billing::time::Timestamp;
use store::Fault;
use zip::write::{SimpleFileOptions, StreamWriter, ZipWriter};

use super::Error;
use super::invoices::{Form, InvoiceView};
use crate::app::App;
use crate::csv;

/// Papers in one file.
const PAPERS_MAX: usize = 2_000;
/// Papers read at once.
const READ_AT_ONCE: usize = 100;

type Packed<W> = ZipWriter<StreamWriter<W>>;

impl App {
    /// How many invoices and credit notes were issued in the period.
    ///
    /// # Errors
    /// When they are more than fit into one file.
    pub fn count_invoices(
        &self,
        account: &Name,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
    ) -> Result<usize, Error> {
        let mut count = 0;
        self.each_invoice(account, from, to, &mut |_| {
            count += 1;
            Ok(())
        })?;
        if PAPERS_MAX < count {
            let why = format!("is too far back: these are more than {PAPERS_MAX} papers; take a shorter period");
            return Err(Refusal::invalid("from", why).into());
        }
        Ok(count)
    }

    /// Writes the period's papers and their index into `out`.
    pub fn pack_invoices(
        &self,
        account: &Name,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        out: impl Write,
    ) -> Result<(), Error> {
        let mut zip = ZipWriter::new_stream(out);
        let mut packed = HashSet::new();
        let mut index =
            String::from("number,kind,issued_at,seller,buyer,currency,net,tax_rate,tax,total,corrects,payment\n");
        self.each_invoice(account, from, to, &mut |view| {
            // A server without a typesetter packs what it has.
            let forms = if cfg!(feature = "pdf") { [Form::Pdf, Form::Xml] } else { [Form::Html, Form::Xml] };
            let invoice = &view.invoice;
            // Another seller has the same numbers again.
            let folder = match packed.insert(invoice.number.to_string()) {
                true => String::new(),
                false => format!("{}/", view.id),
            };
            for form in forms {
                let file = self.invoice_file(invoice, form)?;
                put(&mut zip, &format!("{folder}{}", file.name), &file.bytes, invoice.issued_at)?;
            }
            indexed(&mut index, view);
            Ok(())
        })?;
        put(&mut zip, "index.csv", index.as_bytes(), self.now())?;
        let mut out = zip.finish().map_err(broken)?;
        out.flush().map_err(broken)?;
        Ok(())
    }

    /// Newest first.
    fn each_invoice(
        &self,
        account: &Name,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        each: &mut dyn FnMut(&InvoiceView) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let number = self.known(account)?.account.number;
        // Ids are in the order of time: the list begins at the period's end.
        let mut before = to.map(|it| InvoiceId::new(it, Place { account: number, version: 0 }).to_string());
        for _ in 0..=PAPERS_MAX / READ_AT_ONCE {
            let read = self.invoices(account, before.as_deref(), READ_AT_ONCE)?;
            for view in &read {
                if from.is_some_and(|from| view.invoice.issued_at < from) {
                    return Ok(());
                }
                if to.is_none_or(|to| view.invoice.issued_at < to) {
                    each(view)?;
                }
            }
            match read.last() {
                Some(last) if read.len() == READ_AT_ONCE => before = Some(last.id.clone()),
                _ => return Ok(()),
            }
        }
        Ok(())
    }
}

fn put<W: Write>(zip: &mut Packed<W>, name: &str, bytes: &[u8], at: Timestamp) -> Result<(), Error> {
    let utc = jiff::Timestamp::from_millisecond(at.millis()).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC);
    let number = |it: i8| it.unsigned_abs();
    let year = utc.year().unsigned_abs();
    let (hour, minute, second) = (number(utc.hour()), number(utc.minute()), number(utc.second()));
    let time = zip::DateTime::from_date_and_time(year, number(utc.month()), number(utc.day()), hour, minute, second);
    let options = SimpleFileOptions::default().last_modified_time(time.unwrap_or_default());
    zip.start_file(name, options).map_err(broken)?;
    zip.write_all(bytes).map_err(broken)?;
    Ok(())
}

fn broken(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Fault(Fault::new("packing papers", error))
}

fn indexed(index: &mut String, view: &InvoiceView) {
    let it = &view.invoice;
    let kind = if it.kind == Kind::Invoice { "invoice" } else { "credit_note" };
    let issued_at = jiff::Timestamp::from_millisecond(it.issued_at.millis()).unwrap_or_default().to_string();
    let money = |money| Decimal(money).to_string();
    csv::line(
        index,
        [
            &*it.number.to_string(),
            kind,
            &issued_at,
            &it.seller.name,
            &it.buyer.name,
            it.currency.as_str(),
            &money(it.net()),
            &it.rate().to_string(),
            &money(it.tax()),
            &money(it.total()),
            it.corrects.as_deref().unwrap_or_default(),
            &it.payment,
        ],
    );
    index.push('\n');
}
