//! What is due: time itself changes books, and someone has to write it down.
use billing::id::AccountNumber;

use super::Error;
use crate::app::App;
use crate::turnstile::{Ask, Turned};

impl App {
    /// Accounts on which something is due now.
    pub fn accounts_due(&self, limit: usize) -> Result<Vec<AccountNumber>, Error> {
        Ok(self.store.due(self.now(), limit)?)
    }

    /// Posts what is due on each, and says for how many that was done. What cannot be posted now is due still.
    pub async fn settle(&self, accounts: Vec<AccountNumber>) -> usize {
        let ask =
            |account| Ask { account, command: None, key: None, by: None, fact: None, once: None, also: Vec::new() };
        if accounts.is_empty() {
            return 0;
        }
        let turned = self.turnstile.take(accounts.into_iter().map(ask).collect()).await;
        turned.iter().filter(|it| matches!(it, Turned::Idle)).count()
    }
}
