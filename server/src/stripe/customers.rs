//! An account's counterpart at the provider: cards and payments hang on it.
use super::Provider;
use super::form::Form;
use super::read;
use super::words::{Failure, NewCustomer, RefusedFor};

/// Where an account's number stands in the provider's metadata.
const NUMBER: &str = "scrip_number";

impl Provider {
    /// Makes the account known to the provider, and gives the provider's name for it.
    ///
    /// # Errors
    /// See [`Failure`]. When it stays ambiguous beyond the life of the key, [`Provider::find_customer`] tells.
    pub fn create_customer(&self, order: &NewCustomer<'_>, key: &str) -> Result<String, Failure> {
        let object = self.wire.post("/v1/customers", fields(order), key)?;
        read::reference(&object).ok_or_else(nameless)
    }

    /// The provider's name for the account of a number, if it has one. Shows what was made a minute ago or earlier.
    ///
    /// # Errors
    /// [`Failure::Busy`], or [`Failure::Refused`] where the key may not search.
    pub fn find_customer(&self, number: u64) -> Result<Option<String>, Failure> {
        let query = format!("metadata['{NUMBER}']:'{number}'");
        let found = self.wire.get("/v1/customers/search", Form::new().with("query", query))?;
        Ok(found["data"].get(0).and_then(read::reference))
    }

    /// Whether the customer was there and was deleted. A secret key of somebody else's finds none, which says nothing.
    ///
    /// # Errors
    /// See [`Failure`]; never ambiguous.
    pub fn is_customer_deleted(&self, customer: &str) -> Result<bool, Failure> {
        match self.wire.get(&format!("/v1/customers/{customer}"), Form::new()) {
            Ok(object) => Ok(object["deleted"] == true),
            Err(Failure::Refused { why: RefusedFor::Missing, .. }) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Tells the provider the account's new name and address.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn update_customer(&self, customer: &str, order: &NewCustomer<'_>, key: &str) -> Result<(), Failure> {
        self.wire.post(&format!("/v1/customers/{customer}"), fields(order), key).map(drop)
    }
}

fn fields(order: &NewCustomer<'_>) -> Form {
    let form = Form::new().with_some("name", order.name).with_some("email", order.email);
    let form = form.with(&format!("metadata[{}]", read::OURS), order.ours);
    form.with(&format!("metadata[{NUMBER}]"), order.number)
}

/// An answer without the one member everything has: something else than the provider answered.
pub(super) fn nameless() -> Failure {
    Failure::Ambiguous { is_kept: false, detail: "the answer names nothing".to_owned() }
}
