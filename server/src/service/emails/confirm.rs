//! The link in an e-mail about a payment that the bank wants the customer for: it finishes that payment with the
//! customer there, without signing in, and opens nothing else.
//!
//! It is no secret worth stealing: whoever follows it is asked by the customer's bank to prove who they are.
use billing::id::PaymentId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::app::App;
use crate::service::Error;

const LINK: &str = "confirm payment";

#[derive(Serialize, Deserialize)]
struct Sealed {
    payment: String,
}

impl App {
    /// Where a payment that a notice is about is confirmed; none where this server's address is not known.
    pub(super) fn confirm_url(&self, about: &Value) -> Result<Option<String>, Error> {
        let (Some(url), Some(payment)) = (self.settings.public_url.as_deref(), about["payment"].as_str()) else {
            return Ok(None);
        };
        let token = self.seal()?.close(LINK, &Sealed { payment: payment.to_owned() })?;
        Ok(Some(format!("{url}/emails/confirm?token={token}")))
    }

    /// The payment that a link in an e-mail is about; None for what nobody here has sealed.
    pub fn payment_of_link(&self, token: &str) -> Result<Option<PaymentId>, Error> {
        let sealed = self.seal()?.open::<Sealed>(LINK, token);
        Ok(sealed.and_then(|it| it.payment.parse().ok()))
    }
}
