//! Taking accounts for oneself until a commit, in one of two ways.
//!
//! **Firmly**: their books' rows are locked, then read, then decided on, then written. Whoever changes an account like
//! that holds the lock on its book's row from before it read the book until its commit is durable; so nothing is
//! decided on a book that another is about to change, and nobody is overtaken. Rows are locked in the order of their
//! accounts, everywhere: no two commits wait for each other. What the names stand for is asked after the locks are
//! held, in a statement of its own, which sees all that was committed before.
//!
//! **Loosely**: books and names are read in one transaction that sees one moment, and nobody is kept away. A book moves
//! only if it is still at the version it was decided on and nobody else is moving it; the others are left out, and
//! whoever asks decides them again, firmly. That a name was not there when the book was at that version is then as true
//! when it is written: it can only have come with the next. A refusal is of the moment of the read, which came after
//! the question. A lock that is waited for costs more than the change, so this is for the many accounts of which each
//! does little.
//!
//! A node that has seen nobody else for long does not even read how far its books are: it knows, and should it be wrong
//! they do not move. But then a refusal would be of no moment at all, so none is given by them.
//!
//! An account without a transaction has no row to lock. Two that make its first meet at the primary key of its
//! book: one commits, the other is `Stale`.
use std::sync::Arc;

use billing::id::AccountNumber;
use billing::ledger::Book;
use futures_util::future::{join, join3};
use tokio_postgres::Row;

use super::Shared;
use super::books::{self, Wanted};
use super::pool::Lent;
use super::recall;
use super::rows::{column, number, signed, unsigned};
use super::session::{Asked, Session};
use super::trouble::Trouble;
use super::write::{self, Versions};
use crate::{Change, CommitError, Fault, Grip, NameHash, Recalled, Reserved};

const DOING: &str = "taking accounts";
/// How often accounts are asked for when others are asking for them too.
const ATTEMPTS_MAX: u32 = 8;

/// Locks the books' rows, in the order in which their keys are given, and says how far each account is.
pub const LOCK: &str = "select b.account, b.version, b.head from unnest($1::bigint[]) as known (account) \
    join books b on b.account = known.account order by b.account for update of b";
/// The same of one account: where accounts are spread over machines, rows of several cannot be locked by one statement.
pub const LOCK_ONE: &str = "select account, version, head from books where account = $1 for update";
/// Which books are not where they are known to be?
pub const NEWS: &str = "select b.account, b.version, b.head \
    from unnest($1::bigint[], $2::bigint[]) as known (account, version) \
    join books b on b.account = known.account and b.version <> known.version";

/// Accounts that were taken, until this is committed or dropped.
pub struct Taken {
    shared: Arc<Shared>,
    lent: Lent,
    way: Way,
    versions: Versions,
    recalled: Recalled,
}

/// How they were taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Firm,
    /// Read, in a transaction that is open.
    Read,
    /// Known from before and not looked at: nothing is open.
    Known,
}

/// Accounts, each with the book the caller has at hand.
pub type AtHand = [(AccountNumber, Option<Arc<Book>>)];

/// Takes accounts, which must be sorted.
pub fn reserve(shared: &Arc<Shared>, grip: Grip, names: &[NameHash], accounts: &AtHand) -> Result<Taken, Fault> {
    assert!(accounts.is_sorted_by(|one, other| one.0 < other.0), "accounts are locked in their order");
    // Where rows are on several machines, there is no one moment to read them at.
    let grip = if shared.is_distributed { Grip::Firm } else { grip };
    let mut attempts = 0;
    loop {
        attempts += 1;
        let taking = async {
            let lent = shared.pool.lend().await?;
            let way = match grip {
                Grip::Firm => Way::Firm,
                Grip::Loose if shared.is_alone() && accounts.iter().all(|it| it.1.is_some()) => Way::Known,
                Grip::Loose => Way::Read,
            };
            let (versions, recalled) = match way {
                Way::Firm => firmly(shared, lent.session(), names, accounts).await?,
                Way::Read => loosely(shared, lent.session(), names, accounts).await?,
                Way::Known => known(shared, lent.session(), names, accounts).await?,
            };
            Ok::<_, Trouble>((lent, way, versions, recalled))
        };
        match shared.limited(taking) {
            Ok((lent, way, versions, recalled)) => {
                return Ok(Taken { shared: Arc::clone(shared), lent, way, versions, recalled });
            }
            Err(Trouble::Again) if attempts < ATTEMPTS_MAX => {}
            // A connection that was lost while it was idle is noticed only now. One whose server answers that it is
            // slow, or that a row is locked, has been waited for.
            Err(Trouble::Lost(_)) if attempts == 1 => {}
            Err(trouble) => return Err(as_fault(trouble)),
        }
    }
}

fn as_fault(trouble: Trouble) -> Fault {
    match trouble {
        Trouble::Fault(fault) | Trouble::Lost(fault) => fault,
        // Nothing was done yet: whoever asked may ask again.
        other => Fault::away(DOING, other.to_string()),
    }
}

async fn firmly(
    shared: &Shared,
    session: &Session,
    names: &[NameHash],
    accounts: &AtHand,
) -> Result<(Versions, Recalled), Trouble> {
    // All are known to the server beforehand, so they arrive in this order: names are asked for when the locks are
    // held, in a statement of its own that sees all that was committed by then.
    let [by_key, by_fact] = recall::statements(shared.is_distributed);
    session.prepare(&[LOCK, LOCK_ONE, by_key, by_fact]).await?;
    let numbers: Vec<AccountNumber> = accounts.iter().map(|it| it.0).collect();
    let locking = lock_rows(shared, session, &numbers);
    let (rows, named) = join(locking, recall::names(session, shared.is_distributed, names)).await;
    let (rows, named) = (rows?, named?);
    let books = news(shared, session, &rows, accounts).await?;
    Ok((versions_of(&rows)?, Recalled { named, books }))
}

async fn loosely(
    shared: &Shared,
    session: &Session,
    names: &[NameHash],
    accounts: &AtHand,
) -> Result<(Versions, Recalled), Trouble> {
    let [by_key, by_fact] = recall::statements(shared.is_distributed);
    session.prepare(&[NEWS, by_key, by_fact]).await?;
    let known = accounts.iter().map(|it| (signed(it.0.get()), signed(it.1.as_ref().map_or(0, |it| it.version))));
    let (numbers, known): (Vec<i64>, Vec<i64>) = known.unzip();
    let (begun, rows, named) = join3(
        session.run("beginning", "begin isolation level repeatable read read only"),
        session.query(DOING, NEWS, &[&numbers, &known]),
        recall::names(session, shared.is_distributed, names),
    )
    .await;
    begun?;
    let (rows, named) = (rows?, named?);
    let books = news(shared, session, &rows, accounts).await?;
    let mut versions = versions_at_hand(accounts);
    versions.extend(versions_of(&rows)?);
    Ok((versions, Recalled { named, books }))
}

async fn known(
    shared: &Shared,
    session: &Session,
    names: &[NameHash],
    accounts: &AtHand,
) -> Result<(Versions, Recalled), Trouble> {
    let named = recall::names(session, shared.is_distributed, names).await?;
    Ok((versions_at_hand(accounts), Recalled { named, books: vec![None; accounts.len()] }))
}

/// How far the books at hand are.
fn versions_at_hand(accounts: &AtHand) -> Versions {
    let versions = accounts.iter().filter_map(|(account, book)| Some((*account, book.as_ref()?.version)));
    versions.filter(|it| 0 < it.1).collect()
}

/// Begins a transaction and locks the books' rows of `accounts`: the version of each that has one.
pub async fn lock(shared: &Shared, session: &Session, accounts: &[AccountNumber]) -> Result<Versions, Trouble> {
    Ok(versions_of(&lock_rows(shared, session, accounts).await?)?)
}

async fn lock_rows(shared: &Shared, session: &Session, accounts: &[AccountNumber]) -> Result<Vec<Row>, Trouble> {
    let numbers: Vec<i64> = accounts.iter().map(|it| signed(it.get())).collect();
    let asked: Vec<Asked<'_>> = match (accounts.is_empty(), shared.is_distributed) {
        (true, _) => Vec::new(),
        (false, false) => vec![(LOCK, vec![&numbers])],
        (false, true) => numbers.iter().map(|one| (LOCK_ONE, vec![one as _])).collect(),
    };
    session.prepare(&asked.iter().map(|it| it.0).collect::<Vec<_>>()).await?;
    let (begun, answers) = join(session.run("beginning", "begin"), session.query_all(DOING, &asked)).await;
    begun?;
    Ok(answers?.into_iter().flatten().collect())
}

/// How far the accounts of some rows are.
fn versions_of(rows: &[Row]) -> Result<Versions, Fault> {
    rows.iter().map(|row| Ok((number(column(row, 0)?), unsigned(column(row, 1)?)))).collect()
}

/// The books that are not as the caller has them. `rows` say how far accounts are; one that none tells of is as known.
async fn news(
    shared: &Shared,
    session: &Session,
    rows: &[Row],
    accounts: &AtHand,
) -> Result<Vec<Option<Arc<Book>>>, Trouble> {
    let mut wanted = Vec::new();
    for row in rows {
        let (account, version) = (number(column(row, 0)?), unsigned(column(row, 1)?));
        let place = accounts.binary_search_by_key(&account, |it| it.0).expect("only these accounts were asked for");
        let at_hand = accounts[place].1.clone();
        if at_hand.as_ref().is_some_and(|it| it.version == version) {
            continue;
        }
        if at_hand.as_ref().is_some_and(|it| 0 < it.version) {
            shared.sees_others();
        }
        wanted.push(Wanted { account, version, at_hand, head: column(row, 2)? });
    }
    let mut found = books::wanted(session, shared.is_distributed, wanted).await?;
    Ok(accounts.iter().map(|it| found.remove(&it.0)).collect())
}

impl Reserved for Taken {
    fn recalled(&mut self) -> Recalled {
        std::mem::take(&mut self.recalled)
    }

    fn is_sure(&self) -> bool {
        self.way != Way::Known
    }

    fn commit(self: Box<Taken>, changes: &[Change]) -> Result<Vec<AccountNumber>, CommitError> {
        let Taken { shared, lent, way, versions, .. } = *self;
        let session = lent.session();
        let done = shared.limited(async {
            match way {
                Way::Firm => write::write(&shared, session, &versions, changes).await.map(|()| Vec::new()),
                Way::Read => write::write_loosely(&shared, session, &versions, changes, true).await,
                Way::Known => write::write_loosely(&shared, session, &versions, changes, false).await,
            }
        });
        let is_at_rest = match &done {
            Ok(_) => true,
            Err(Trouble::Stale) => is_ended(&shared, &lent),
            Err(Trouble::Fault(fault)) => fault.of.is_some() && is_ended(&shared, &lent),
            Err(_) => false,
        };
        if is_at_rest {
            lent.give_back();
        }
        Ok(done?)
    }

    fn release(self: Box<Taken>) {
        let Taken { shared, lent, way, .. } = *self;
        // Should it fail, the connection is closed, which releases as well.
        if way == Way::Known || is_ended(&shared, &lent) {
            lent.give_back();
        }
    }
}

/// Ends a transaction without having changed anything, if that can be done.
fn is_ended(shared: &Shared, lent: &Lent) -> bool {
    shared.limited(lent.session().run("releasing", "rollback")).is_ok()
}
