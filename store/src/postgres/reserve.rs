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
use std::sync::Arc;

use billing::id::AccountNumber;
use billing::ledger::Book;
use futures_util::future::join;

use super::Shared;
use super::books::{self, Wanted};
use super::pool::Lent;
use super::recall;
use super::rows::{column, number, signed, unsigned};
use super::session::{Asked, Session};
use super::trouble::Trouble;
use super::wait::wait;
use super::write::{self, Versions};
use crate::{Change, CommitError, Fault, NameHash, Recalled, Reserved};

const DOING: &str = "locking books";
/// How often accounts are asked for when others are asking for them too.
const ATTEMPTS_MAX: u32 = 8;

/// Locks the books' rows, in the order in which their keys are given, and says how far each account is.
pub const LOCK: &str = "select b.account, b.version from unnest($1::bigint[]) as known (account) \
    join books b on b.account = known.account order by b.account for update of b";
/// The same of one account: where accounts are spread over machines, rows of several cannot be locked by one statement.
pub const LOCK_ONE: &str = "select account, version from books where account = $1 for update";

/// Accounts that nobody else changes until this is committed or dropped.
pub struct Taken {
    shared: Arc<Shared>,
    lent: Lent,
    versions: Versions,
    recalled: Recalled,
}

/// Takes accounts, which must be sorted, each with the book the caller has at hand.
pub fn reserve(
    shared: &Arc<Shared>,
    names: &[NameHash],
    accounts: &[(AccountNumber, Option<Arc<Book>>)],
) -> Result<Taken, Fault> {
    assert!(accounts.is_sorted_by(|one, other| one.0 < other.0), "accounts are locked in their order");
    let numbers: Vec<AccountNumber> = accounts.iter().map(|it| it.0).collect();
    let mut attempts = 0;
    loop {
        attempts += 1;
        let taking = async {
            let lent = shared.pool.lend().await?;
            // All are known to the server beforehand, so they arrive in this order: names are asked for when the locks
            // are held, in a statement of its own that sees all that was committed by then.
            let [by_key, by_fact] = recall::statements(shared.is_distributed);
            lent.session().prepare(&[LOCK, LOCK_ONE, by_key, by_fact]).await?;
            let locking = lock(shared, lent.session(), &numbers);
            let (versions, named) = join(locking, recall::names(lent.session(), shared.is_distributed, names)).await;
            let (versions, named) = (versions?, named?);
            let news = news(shared, lent.session(), &versions, accounts).await?;
            Ok::<_, Trouble>((lent, versions, Recalled { named, books: news }))
        };
        match shared.limited(taking) {
            Ok((lent, versions, recalled)) => {
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

/// Begins a transaction and locks the books' rows of `accounts`: the version of each that has one.
pub async fn lock(shared: &Shared, session: &Session, accounts: &[AccountNumber]) -> Result<Versions, Trouble> {
    let numbers: Vec<i64> = accounts.iter().map(|it| signed(it.get())).collect();
    let asked: Vec<Asked<'_>> = match (accounts.is_empty(), shared.is_distributed) {
        (true, _) => Vec::new(),
        (false, false) => vec![(LOCK, vec![&numbers])],
        (false, true) => numbers.iter().map(|one| (LOCK_ONE, vec![one as _])).collect(),
    };
    session.prepare(&asked.iter().map(|it| it.0).collect::<Vec<_>>()).await?;
    let (begun, answers) = join(session.run("beginning", "begin"), session.query_all(DOING, &asked)).await;
    begun?;
    let answers = answers?;
    let locked = answers.iter().flatten().map(|row| Ok((number(column(row, 0)?), unsigned(column(row, 1)?))));
    Ok(locked.collect::<Result<Versions, Fault>>()?)
}

/// The books that are not as the caller has them.
async fn news(
    shared: &Shared,
    session: &Session,
    versions: &Versions,
    accounts: &[(AccountNumber, Option<Arc<Book>>)],
) -> Result<Vec<Option<Arc<Book>>>, Trouble> {
    let is_news = |(account, at_hand): &(AccountNumber, Option<Arc<Book>>)| {
        let version = *versions.get(account)?;
        let is_known = at_hand.as_ref().is_some_and(|it| it.version == version);
        (!is_known).then(|| Wanted { account: *account, version, at_hand: at_hand.clone() })
    };
    let wanted: Vec<Wanted> = accounts.iter().filter_map(is_news).collect();
    let mut found = books::wanted(session, shared.is_distributed, wanted).await?;
    Ok(accounts.iter().map(|it| found.remove(&it.0)).collect())
}

impl Reserved for Taken {
    fn recalled(&mut self) -> Recalled {
        std::mem::take(&mut self.recalled)
    }

    fn commit(self: Box<Taken>, changes: &[Change]) -> Result<(), CommitError> {
        let Taken { shared, lent, versions, .. } = *self;
        shared.limited(write::write(&shared, lent.session(), &versions, changes))?;
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
