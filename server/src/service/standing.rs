//! What an account's credits are made of now: its grants in the order they will be drawn.
use std::sync::Arc;

use billing::id::{GrantId, Name};
use billing::ledger::Terms;
use billing::money::Credits;

use super::Error;
use crate::app::App;

/// A grant with something left.
#[derive(Clone, Debug)]
pub struct StandingGrant {
    pub id: GrantId,
    pub terms: Arc<Terms>,
    /// Unspent and not in a hold.
    pub remaining: Credits,
    pub held: Credits,
}

impl App {
    /// Grants with something left, in draw order; those that take effect later come where they will.
    pub fn standing_grants(&self, account: &Name) -> Result<Vec<StandingGrant>, Error> {
        let now = self.now();
        let book = self.book(self.known(account)?.account.number)?.brought_up_to(now);
        let left = book.grants().iter().filter(|it| now < it.terms.expires_at || it.held.is_positive());
        let left = left.filter(|it| it.remaining.is_positive() || it.held.is_positive());
        Ok(left
            .map(|it| StandingGrant { id: it.id, terms: Arc::clone(&it.terms), remaining: it.remaining, held: it.held })
            .collect())
    }
}
