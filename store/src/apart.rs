//! Reading the books of many accounts of which some cannot be read, whatever the store: damage done to one must not
//! keep the others from what is due to them.
use std::sync::Arc;

use billing::id::AccountNumber;
use billing::ledger::Book;

use crate::{Fault, Store};

/// Books that were asked for.
#[derive(Debug, Default)]
pub struct Apart {
    /// Of those accounts that have transactions and can be read, in no order.
    pub books: Vec<Arc<Book>>,
    /// The others, each with why it cannot be read.
    pub unreadable: Vec<(AccountNumber, Fault)>,
}

/// Reads books all at once, or, where that fails, in halves of halves: a few damaged among many cost a few reads.
///
/// # Errors
/// When the store is away: then nothing is known of any of them.
pub fn read_apart(store: &dyn Store, accounts: &[AccountNumber]) -> Result<Apart, Fault> {
    let mut apart = Apart::default();
    let mut parts = vec![accounts];
    while let Some(part) = parts.pop() {
        match store.recall(&[], part) {
            Ok(found) => apart.books.extend(found.books.into_iter().flatten()),
            Err(fault) if fault.is_away => return Err(fault),
            Err(fault) if part.len() == 1 => apart.unreadable.push((part[0], fault)),
            Err(_) => parts.extend(<[_; 2]>::from(part.split_at(part.len() / 2))),
        }
    }
    Ok(apart)
}
