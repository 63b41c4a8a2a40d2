//! Closing an account: what ends with it, what is forgotten of it, and what stays.
//!
//! All of it is one commit. What is not paid yet is given up in it, and so due: the worker ends it at the provider, as
//! it does what a customer cancels, and goes on with that while no answer comes. Invariant: whoever was told that the
//! account is closed has also been promised that its payment pages will be; what was paid first is paid.
use std::sync::Arc;

use billing::id::{AccountNumber, Name};
use billing::ledger::Command;
use billing::rating::Text;
use store::{Account, Change};

use super::documents::Kept;
use super::order::{Fingerprint, done};
use super::payment::Payment;
use super::payments::KIND;
use super::{Answer, By, Error};
use crate::app::App;
use crate::turnstile::{Ask, Turned};

/// How often a closing that met another change of the account is tried again.
const ATTEMPTS_MAX: u32 = 8;
/// The latest payments, among which are those that are not over. What of an older one is left, such as a bank that has
/// not answered for weeks, is given up when it is looked at next (see `collect`).
const PAYMENTS_MAX: usize = 500;

impl App {
    /// Takes no new spending from here on, gives up what is not paid, and forgets who it was. The ledger stays, as the
    /// law asks.
    pub async fn close_account(&self, id: &Name, key: &Text, by: By) -> Result<Answer, Error> {
        for _ in 0..ATTEMPTS_MAX {
            // As it is written now: what stays of it is what it was last.
            let account = self.account(id)?;
            let number = account.number;
            let mut also = self.given_up(number)?;
            also.extend(self.erased(account, &by)?);
            let ask = Ask {
                account: number,
                command: Some(Command::Close),
                key: Some(self.key_of_transaction(number, key, Fingerprint::of("close"))?),
                by: Some(Arc::clone(&by.name)),
                fact: None,
                once: None,
                also,
            };
            match self.turnstile.take_one(ask).await {
                // Its profile, a payment or a note on it was written since it was read.
                Turned::Overtaken => {}
                turned => {
                    let (transaction, is_replay) = done(turned)?;
                    self.at_hand.forget(&[number]);
                    return Ok(Answer { account: id.clone(), transaction, is_replay });
                }
            }
        }
        Err(Error::Busy)
    }

    /// Its payments that are not over, wanted by nobody any more.
    fn given_up(&self, account: AccountNumber) -> Result<Vec<Change>, Error> {
        let now = self.now();
        let mut payments = self.all_kept::<Payment>(account, KIND, None, PAYMENTS_MAX)?;
        payments.retain(|it| !it.body.status().is_final());
        let give_up = |it: &mut Kept<Payment>| {
            it.body.is_given_up = true;
            it.next(now, Some(now))
        };
        Ok(payments.iter_mut().map(give_up).collect())
    }

    /// An account that is closed, without who it was, and an operator's part in that.
    fn erased(&self, account: Account, by: &By) -> Result<Vec<Change>, Error> {
        let now = self.now();
        let mut changes = self.erased_notes(account.number)?;
        changes.extend(by.noted(now, "account.close", account.id.to_string(), String::new()));
        let erased =
            Account { name: None, email: None, address: None, tax_id: None, closed_at: Some(now), ..account.clone() };
        changes.push(Change::Account { was: Box::new(account), account: erased });
        Ok(changes)
    }
}
