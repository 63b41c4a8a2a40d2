//! What a server that was built without the typesetter says when it is asked for a PDF.
use billing::Refusal;
use billing::invoice::Invoice;

use super::{Error, Statement};
use crate::app::App;

impl App {
    pub fn invoice_pdf(&self, _: &Invoice) -> Result<Vec<u8>, Error> {
        Err(Refusal::invalid("invoice", "this server was built without the typesetter; `.html` prints, too").into())
    }

    pub fn statement_pdf(&self, _: &Statement) -> Result<Vec<u8>, Error> {
        Err(Refusal::invalid("month", "this server was built without the typesetter; there is `.csv`").into())
    }
}
