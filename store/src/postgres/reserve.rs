//! Taking accounts for oneself until a commit: their books' rows are locked, then read, then decided on, then written.
//!
//! Why it is right: whoever changes an account, on whatever node, holds the lock on its book's row from before it read
//! the book until its commit is durable. So nothing is decided on a book that another is about to change, a refusal
//! is as true as a charge, and nobody is overtaken; those who want the same account stand in the server's queue and get
//! their turn in the order they came. Rows are locked in the order of their accounts, everywhere: no two commits wait
//! for each other. What the names stand for is asked after the locks are held, in a statement of its own, which sees
//! all that was committed before.
//!
//! An account without a transaction has no row to lock. Two that make its first meet at the primary key of its
//! book: one commits, the other is `Stale`.
use std::collections::HashMap;
use std::sync::Arc;

use billing::id::AccountNumber;
use futures_util::future::join;

use super::Shared;
use super::pool::Lent;
use super::recall::{self, read_book};
use super::rows::{column, number, signed, unsigned};
use super::session::{Asked, Session};
use super::trouble::Trouble;
use super::wait::wait;
use super::write::{self, Versions};
use crate::{Change, CommitError, Fault, NameHash, Recalled, Reserved};

const DOING: &str = "locking books";
/// How often accounts are asked for when others are asking for them too.
const ATTEMPTS_MAX: u32 = 8;

/// Locks the books, and reads those that are not as the caller knows them.
pub const LOCK: &str = "select b.account, b.version, case when b.version <> known.version then b.body end \
    from unnest($1::bigint[], $2::bigint[]) as known (account, version) \
    join books b on b.account = known.account order by b.account for update of b";
/// The same of one account: where accounts are spread over machines, rows of several cannot be locked by one statement.
pub const LOCK_ONE: &str = "select account, version, case when version <> $2 then body end \
    from books where account = $1 for update";

/// Accounts that nobody else changes until this is committed or dropped.
pub struct Taken {
    shared: Arc<Shared>,
    lent: Lent,
    versions: Versions,
    recalled: Recalled,
}

/// Takes accounts, which must be sorted, each with the version of the book the caller has at hand, or 0.
pub fn reserve(shared: &Arc<Shared>, names: &[NameHash], accounts: &[(AccountNumber, u64)]) -> Result<Taken, Fault> {
    assert!(accounts.is_sorted_by(|one, other| one.0 < other.0), "accounts are locked in their order");
    let mut attempts = 0;
    loop {
        attempts += 1;
        let taking = async {
            let lent = shared.pool.lend().await?;
            let locked = lock(shared, lent.session(), accounts).await?;
            let named = recall::names(lent.session(), names).await?;
            Ok::<_, Trouble>((lent, locked, named))
        };
        match shared.limited(taking) {
            Ok((lent, (versions, books), named)) => {
                let recalled = Recalled { named, books };
                return Ok(Taken { shared: Arc::clone(shared), lent, versions, recalled });
            }
            Err(Trouble::Again) if attempts < ATTEMPTS_MAX => {}
            // A connection that was lost while it was idle is noticed only now.
            Err(Trouble::Fault(fault)) if fault.is_away && attempts == 1 => {}
            Err(trouble) => return Err(as_fault(trouble)),
        }
    }
}

fn as_fault(trouble: Trouble) -> Fault {
    match trouble {
        Trouble::Fault(fault) => fault,
        // Nothing was done yet: whoever asked may ask again.
        other => Fault::away(DOING, format!("{other:?}")),
    }
}

type Books = Vec<Option<Arc<billing::ledger::Book>>>;

/// Begins a transaction and locks the books of `accounts`: all versions, and the books that are news.
pub async fn lock(
    shared: &Shared,
    session: &Session,
    accounts: &[(AccountNumber, u64)],
) -> Result<(Versions, Books), Trouble> {
    let numbers: Vec<i64> = accounts.iter().map(|(it, _)| signed(it.get())).collect();
    let known: Vec<i64> = accounts.iter().map(|(_, it)| signed(*it)).collect();
    let asked: Vec<Asked<'_>> = match (accounts.is_empty(), shared.is_distributed) {
        (true, _) => Vec::new(),
        (false, false) => vec![(LOCK, vec![&numbers, &known])],
        (false, true) => {
            numbers.iter().zip(&known).map(|(one, known)| (LOCK_ONE, vec![one as _, known as _])).collect()
        }
    };
    session.prepare(&[LOCK, LOCK_ONE]).await?;
    let (begun, answers) = join(session.run("beginning", "begin"), session.query_all(DOING, &asked)).await;
    begun?;
    let mut versions = Versions::default();
    let mut news = HashMap::new();
    for row in answers?.iter().flatten() {
        let (account, version) = (number(column(row, 0)?), unsigned(column(row, 1)?));
        versions.insert(account, version);
        if let Some(body) = column::<Option<&str>>(row, 2)? {
            news.insert(account, Arc::new(read_book(account, version, body)?));
        }
    }
    Ok((versions, accounts.iter().map(|(it, _)| news.remove(it)).collect()))
}

impl Reserved for Taken {
    fn recalled(&mut self) -> Recalled {
        std::mem::take(&mut self.recalled)
    }

    fn commit(self: Box<Taken>, changes: &[Change]) -> Result<(), CommitError> {
        let Taken { shared, lent, versions, .. } = *self;
        shared.limited(write::write(lent.session(), &versions, changes))?;
        lent.give_back();
        Ok(())
    }

    fn release(self: Box<Taken>) {
        let Taken { lent, .. } = *self;
        // Should it fail, the connection is closed, which releases as well.
        if wait(lent.session().run("releasing", "rollback")).is_ok() {
            lent.give_back();
        }
    }
}
