//! Customers: whom the payment provider knows an account as. Cards and payments hang on it.
//!
//! One is made when it is first needed, and found again where the answer was lost. One that somebody deleted at the
//! provider is made anew; its cards are gone with it. Must never take a customer for deleted because it is not found:
//! the secret key may be another's for a while. Only the provider's own word that it was deleted counts.
use std::sync::Arc;

use billing::id::AccountNumber;
use billing::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Account, Document};

use super::Error;
use super::documents::Kept;
use super::order::Fingerprint;
use super::payment_methods::{PaymentMethod, told};
use crate::app::{App, Known};
use crate::stripe::{self, NewCustomer};

/// Called in documents what it was called at first.
const PAYER: &str = "wallet";
const OWNER: &str = "wallet_of";
const ATTEMPTS_MAX: u32 = 8;
/// How long an account is made known to the provider under one key: several times what a search takes to show it.
const KEY_TURN: Span = Span::MINUTE.times(10);

/// Whom the provider knows the account as, and what is charged where nothing is named.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Payer {
    /// None once it was deleted there.
    pub customer: Option<String>,
    pub default: Option<String>,
    /// Customers that were deleted there.
    #[serde(default)]
    pub lost: u32,
}

impl App {
    pub(super) fn payer(&self, account: AccountNumber) -> Result<Option<Kept<Payer>>, Error> {
        self.kept(account, PAYER, PAYER)
    }

    /// Whom the provider knows the account as; makes it known where it is not. One that was made and whose answer was
    /// lost is found; for as long as a search may not show it yet, the same order comes under the same key.
    pub(super) async fn customer_of(self: &Arc<Self>, known: &Arc<Known>) -> Result<String, Error> {
        let number = known.account.number;
        let payer = self.payer(number)?;
        if let Some(customer) = payer.as_ref().and_then(|it| it.body.customer.clone()) {
            return Ok(customer);
        }
        let lost = payer.as_ref().map_or(0, |it| it.body.lost);
        let account = known.account.clone();
        let key = customer_key(&account, lost, self.now());
        let found = match self.at_provider(move |it| it.find_customer(number.get())).await {
            Ok(found) => found,
            // Not every key may search, nor is it possible everywhere.
            Err(stripe::Failure::Refused { why, detail }) => {
                tracing::warn!(?why, detail, "whether there is such a customer could not be looked up");
                None
            }
            Err(failure) => return Err(told(&failure)),
        };
        let customer = match found {
            // One that was known here and is not any more was deleted; the search shows it for a while.
            Some(found) if self.account_of_customer(&found)?.is_none() => found,
            _ => {
                let made = self.at_provider(move |provider| {
                    let order = NewCustomer {
                        ours: account.id.as_str(),
                        number: number.get(),
                        name: account.name.as_deref(),
                        email: account.email.as_deref(),
                    };
                    provider.create_customer(&order, &key)
                });
                made.await.map_err(|it| told(&it))?
            }
        };
        let now = self.now();
        let body = Payer { customer: Some(customer.clone()), default: None, lost };
        let mut payer = payer.unwrap_or_else(|| Kept::new(number, PAYER, PAYER.to_owned(), body.clone()));
        payer.body = body;
        let mut changes = vec![payer.next(now, None)];
        if self.account_of_customer(&customer)?.is_none() {
            let owner = Kept::new(Document::HOUSE, OWNER, customer.clone(), number.get());
            changes.push(owner.next(now, None));
        }
        if self.keep(&changes)? {
            return Ok(customer);
        }
        self.payer(number)?.and_then(|it| it.body.customer).ok_or(Error::Busy)
    }

    /// The account that the provider knows by this name.
    pub(super) fn account_of_customer(&self, customer: &str) -> Result<Option<AccountNumber>, Error> {
        let owner = self.kept::<u64>(Document::HOUSE, OWNER, customer)?;
        Ok(owner.map(|it| AccountNumber::from_random(it.body)))
    }

    /// Whether the account's customer was deleted at the provider. Then it is forgotten here, with its cards, and
    /// another is made when one is needed.
    pub(super) async fn has_lost_customer(
        self: &Arc<Self>,
        account: AccountNumber,
        customer: &str,
    ) -> Result<bool, Error> {
        let name = customer.to_owned();
        if !self.at_provider(move |it| it.is_customer_deleted(&name)).await.map_err(|it| told(&it))? {
            return Ok(false);
        }
        for _ in 0..ATTEMPTS_MAX {
            let payer = self.payer(account)?.filter(|it| it.body.customer.as_deref() == Some(customer));
            let Some(mut payer) = payer else { return Ok(true) };
            tracing::warn!(account = account.get(), customer, "a customer was deleted at the provider, with its cards");
            let now = self.now();
            payer.body = Payer { customer: None, default: None, lost: payer.body.lost + 1 };
            let mut changes = vec![payer.next(now, None)];
            let cards = self.live_methods(account)?.into_iter();
            let gone = cards.map(|it| Kept { body: PaymentMethod { is_gone: true, ..it.body }, ..it });
            changes.extend(gone.map(|it| it.next(now, None)));
            if self.keep(&changes)? {
                return Ok(true);
            }
        }
        Err(Error::Busy)
    }

    /// News that a customer was deleted.
    pub(super) async fn hear_of_lost_customer(self: &Arc<Self>, customer: &str) -> Result<(), Error> {
        match self.account_of_customer(customer)? {
            Some(account) => self.has_lost_customer(account, customer).await.map(drop),
            None => Ok(()),
        }
    }
}

/// The key an account is made known under. It is another once the account is called otherwise, where one was lost, and
/// after a while: an error that the provider keeps under a key holds nobody up for the day that the key lives.
fn customer_key(account: &Account, lost: u32, now: Timestamp) -> String {
    let mut order = Fingerprint::of("customer");
    order.text(account.id.as_str());
    order.text(account.name.as_deref().unwrap_or_default()).text(account.email.as_deref().unwrap_or_default());
    if lost != 0 {
        order.number(u64::from(lost));
    }
    let turn = now.millis() / KEY_TURN.millis();
    format!("customer:{}:{:032x}:{turn}", account.number.get(), order.finish())
}
