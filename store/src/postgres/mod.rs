//! PostgreSQL: one database for as many processes as one likes, on one machine or, with Citus, spread over many.
//!
//! A commit is one transaction of a few statements that each take many rows. Several processes need no leader: whoever
//! changes an account first locks the row of its book, reads what is news in it, decides, writes and commits; see
//! [`reserve`], which says why that is right. Everything about an account is found by its number, so any part of the
//! work is done where the account lives; nothing is global on the way of a charge, not even a counter.
//!
//! Nothing in here decides anything about credits. Invariants:
//! - the rows of an account change only in a transaction that holds the lock of its book's row;
//! - `books` says what the journal says, in the same commit; `usage` says it up to a version that follows from the
//!   book's (see [`fold`]);
//! - a commit that was answered is on the disk, and on the synchronous standby where there is one.
mod address;
mod books;
mod documents;
mod fold;
mod journal;
mod migrate;
mod numbering;
mod pool;
mod read;
mod recall;
mod records;
mod registry;
mod reserve;
mod rows;
mod session;
mod stock;
mod tls;
mod trouble;
mod unfolded;
mod wait;
mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use billing::id::{AccountNumber, Name, Place};
use billing::ledger::{Book, Transaction};
use billing::time::{Span, Timestamp};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_postgres::Row;

use crate::{
    Account, ApiKey, Audit, CardRecord, Change, CommitError, Document, EachPost, Fault, Grip, Kinds, Movable, NameHash,
    Project, QuoteRecord, Recalled, Reply, Reserved, Shelf, Spot, Store, UsageRow,
};
use address::Address;
use numbering::Numbering;
use pool::Pool;
use rows::{column, number, signed};
use session::Session;
use trouble::Trouble;
use unfolded::Unfolded;
use wait::wait;

/// How often a commit that met another is tried again, when nothing need be decided again for that.
const ATTEMPTS_MAX: u32 = 64;
/// Commits after which another node that was not seen any more is taken to have gone.
const COMPANY: usize = 1_000;

pub struct Postgres {
    shared: Arc<Shared>,
    /// Drives the connections. An option so that it can be let go without waiting.
    runtime: Option<Runtime>,
}

/// What those who use the database share.
struct Shared {
    pool: Arc<Pool>,
    /// Accounts are spread over several machines.
    is_distributed: bool,
    /// Commits until the node takes itself to be alone, unless another is seen to commit before.
    company: AtomicUsize,
    audits: Numbering,
    unfolded: Unfolded,
}

impl Shared {
    fn new(pool: Pool, is_distributed: bool) -> Shared {
        let (company, unfolded) = (AtomicUsize::new(0), Unfolded::default());
        Shared { pool: Arc::new(pool), is_distributed, company, audits: Numbering::new(), unfolded }
    }
}

impl Postgres {
    /// Opens the database at `url`, bringing its schema up to date.
    ///
    /// # Errors
    /// When the URL is not one, the database cannot be reached, or it needs a newer program.
    pub fn open(url: &str) -> Result<Postgres, Fault> {
        Postgres::open_as_of(url, usize::MAX)
    }

    /// Opens it as a program would that knows only the first steps of the schema: so that an upgrade, in which two
    /// versions serve at once, can be tried out.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_as_of(url: &str, steps: usize) -> Result<Postgres, Fault> {
        Postgres::open_at(Address::parse(url)?, steps)
    }

    fn open_at(address: Address, steps: usize) -> Result<Postgres, Fault> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("store-postgres").enable_all().build();
        let runtime = runtime.map_err(|it| Fault::new("starting the database's driver", it))?;
        let unhurried = address.clone().unhurried();
        let mut shared = Shared::new(Pool::new(address, runtime.handle().clone()), false);
        if shared.once(async |it| migrate::lacks_steps(it, steps).await)? {
            // A step may have to go through all that is there, and another node's is waited for as long.
            let shared = Shared::new(Pool::new(unhurried, runtime.handle().clone()), false);
            shared.once(async |it| migrate::migrate(it, steps).await)?;
        }
        let newest_audit;
        (shared.is_distributed, newest_audit) =
            shared.once(async |it| Ok((migrate::is_distributed(it).await?, registry::newest_audit(it).await?)))?;
        shared.audits.follow(newest_audit);
        Ok(Postgres { shared: Arc::new(shared), runtime: Some(runtime) })
    }

    /// Spreads the tables of the database at `url` over the machines of its Citus cluster; nothing where they are.
    ///
    /// # Errors
    /// As `open`, and when it is not the coordinator of such a cluster.
    pub fn distribute(url: &str) -> Result<(), Fault> {
        // It moves all that is there.
        let store = Postgres::open_at(Address::parse(url)?.unhurried(), usize::MAX)?;
        Ok(store.shared.once(async |it| migrate::distribute(it).await)?)
    }

    /// Opens the database at `url` to be read as it is at this moment, whatever others write to it meanwhile; nothing
    /// can be written by it. Where its tables are spread over several machines, each of them has a moment of its own.
    ///
    /// # Errors
    /// As `open`.
    pub fn open_at_one_moment(url: &str) -> Result<Postgres, Fault> {
        let Postgres { shared, runtime } = &mut Postgres::open(url)?;
        let address = shared.pool.address.clone().at_one_moment();
        let shared = Shared::new(Pool::new(address, shared.pool.runtime.clone()), shared.is_distributed);
        let store = Postgres { shared: Arc::new(shared), runtime: runtime.take() };
        // The moment is that of the first read.
        store.journal_length()?;
        Ok(store)
    }

    fn read<T>(&self, ask: impl AsyncFnOnce(&Session) -> Result<T, Trouble>) -> Result<T, Fault> {
        let asking = async { ask(&*self.shared.pool.reader().await?).await };
        Ok(self.shared.limited(asking)?)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // It may be dropped where nothing may block; its tasks only move bytes.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Fault {
        match trouble {
            Trouble::Fault(fault) | Trouble::Lost(fault) => fault,
            other => Fault::new("reading", other.to_string()),
        }
    }
}

impl Shared {
    /// Another node was seen to commit.
    fn sees_others(&self) {
        self.company.store(COMPANY, Ordering::Relaxed);
    }

    /// Whether no other node was seen to commit for long. It may be there all the same: what is only likely because
    /// nobody else is about must be made sure of.
    fn is_alone(&self) -> bool {
        self.company.load(Ordering::Relaxed) == 0
    }

    /// Whether a commit says what its books come to, for the sake of other nodes.
    fn tells_heads(&self) -> bool {
        self.company.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |it| it.checked_sub(1)).is_ok()
    }

    /// Waits for `work`, but not for ever: a server that says nothing at all is away.
    fn limited<T>(&self, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        let patience = Duration::from_millis(2 * self.pool.address.options.statement_timeout_ms);
        let limited = {
            let _entered = self.pool.runtime.enter();
            timeout(patience, work)
        };
        let done =
            wait(limited).unwrap_or_else(|_| Err(Fault::away("waiting for the database", "no answer in time").into()));
        if matches!(done, Err(Trouble::Lost(_))) {
            self.pool.loses();
        }
        done
    }

    /// Does something on a connection of its own.
    fn once<T>(&self, work: impl AsyncFnOnce(&Session) -> Result<T, Trouble>) -> Result<T, Trouble> {
        if self.pool.address.is_one_moment {
            return Err(Fault::new("committing", "it was opened to be read, as it was at one moment").into());
        }
        self.limited(async {
            let lent = self.pool.lend().await?;
            let done = work(lent.session()).await;
            // What failed may have left a transaction open. A connection that cannot even end it is closed.
            if done.is_ok() || lent.session().run("rolling back", "rollback").await.is_ok() {
                lent.give_back();
            }
            done
        })
    }

    /// Locks, compares, writes: a commit of what was decided on books read some time ago.
    fn commit(&self, changes: &[Change]) -> Result<(), Trouble> {
        let mut accounts: Vec<AccountNumber> = changes.iter().filter_map(posted).collect();
        accounts.sort_unstable();
        accounts.dedup();
        self.once(async |it| {
            let versions = reserve::lock(self, it, &accounts).await?;
            write::write(self, it, &versions, changes).await
        })
    }
}

/// The account of a transaction.
fn posted(change: &Change) -> Option<AccountNumber> {
    if let Change::Post(post) = change { Some(post.transaction.place.account) } else { None }
}

impl Movable for Postgres {
    fn shelf(&self, shelf: Shelf, after: &Spot, limit: usize) -> Result<Vec<(Spot, Change)>, Fault> {
        self.read(async |it| stock::shelf(it, shelf, after, limit).await)
    }
    fn posts(&self, after: u64, each: &mut EachPost<'_>) -> Result<(), Fault> {
        journal::stream(&self.shared, after, each)
    }
}

impl Store for Postgres {
    fn commit(&self, changes: &[Change]) -> Result<(), CommitError> {
        for _ in 0..ATTEMPTS_MAX {
            match self.shared.commit(changes) {
                Err(Trouble::Again) => {}
                done => return Ok(done?),
            }
        }
        Err(CommitError::Stale)
    }
    fn is_shared(&self) -> bool {
        true
    }
    fn breaks(&self) -> u64 {
        self.shared.pool.breaks()
    }
    fn committers(&self) -> usize {
        self.shared.pool.address.options.committers
    }
    fn reserve(
        &self,
        grip: Grip,
        names: &[NameHash],
        accounts: &[(AccountNumber, Option<Arc<Book>>)],
    ) -> Result<Option<Box<dyn Reserved>>, Fault> {
        Ok(Some(Box::new(reserve::reserve(&self.shared, grip, names, accounts)?)))
    }
    fn recall(&self, names: &[NameHash], accounts: &[AccountNumber]) -> Result<Recalled, Fault> {
        self.read(async |it| {
            let named = recall::names(it, self.shared.is_distributed, names).await?;
            let found = books::read(it, self.shared.is_distributed, accounts).await?;
            Ok(Recalled { named, books: accounts.iter().map(|it| found.get(it).cloned()).collect() })
        })
    }
    fn versions(&self, accounts: &[AccountNumber]) -> Result<Vec<u64>, Fault> {
        self.read(async |it| books::versions(it, accounts).await)
    }
    fn transaction(&self, place: Place) -> Result<Option<Arc<Transaction>>, Fault> {
        self.read(async |it| read::transaction(it, place).await)
    }
    fn transactions_at(&self, places: &[Place]) -> Result<Vec<Option<Arc<Transaction>>>, Fault> {
        self.read(async |it| read::transactions_at(it, self.shared.is_distributed, places).await)
    }
    fn transactions(&self, account: AccountNumber, before: u64, limit: usize) -> Result<Vec<Arc<Transaction>>, Fault> {
        self.read(async |it| read::transactions(it, read::NEWEST, account, before, limit).await)
    }
    fn granting(&self, account: AccountNumber, before: u64, limit: usize) -> Result<Vec<Arc<Transaction>>, Fault> {
        self.read(async |it| read::transactions(it, read::GRANTING, account, before, limit).await)
    }
    fn journal(&self, after: u64, each: &mut dyn FnMut(u64, Transaction)) -> Result<(), Fault> {
        journal::stream(&self.shared, after, &mut |sequence, transaction, _| {
            each(sequence, transaction);
            Ok(())
        })
    }
    fn journal_length(&self) -> Result<u64, Fault> {
        self.read(async |it| journal::length(it).await)
    }
    fn usage_as_of(
        &self,
        account: AccountNumber,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<(u64, Vec<UsageRow>), Fault> {
        self.read(async |it| fold::usage(it, account, from, to).await)
    }
    fn due(&self, at: Timestamp, limit: usize) -> Result<Vec<AccountNumber>, Fault> {
        self.read(async |it| read::due(it, at, limit).await)
    }
    fn account(&self, id: &Name) -> Result<Option<Account>, Fault> {
        let id = id.as_str();
        self.read(async |it| Ok(registry::all(it, registry::ACCOUNT, &[&id], registry::account).await?.pop()))
    }
    fn account_numbered(&self, number: AccountNumber) -> Result<Option<Account>, Fault> {
        let number = signed(number.get());
        self.read(async |it| {
            Ok(registry::all(it, registry::ACCOUNT_NUMBERED, &[&number], registry::account).await?.pop())
        })
    }
    fn takes_commits(&self) -> Result<bool, Fault> {
        // On a connection that commits would go by: those that read are told nothing of it.
        Ok(self.shared.once(async |it| registry::takes_commits(it).await)?)
    }
    fn accounts(&self, after: Option<&Name>, limit: usize) -> Result<Vec<Account>, Fault> {
        self.read(async |it| registry::accounts(it, after, limit).await)
    }
    fn accounts_called(&self, beginning: &str, limit: usize) -> Result<Vec<Account>, Fault> {
        self.read(async |it| registry::accounts_called(it, beginning, limit).await)
    }
    fn accounts_changed(&self, within: Span) -> Result<Vec<AccountNumber>, Fault> {
        let numbered = |row: &Row| Ok(number(column(row, 0)?));
        self.read(async |it| registry::all(it, registry::CHANGED, &[&within.millis()], numbered).await)
    }
    fn fingerprints_known(&self, fingerprints: &[[u8; 32]]) -> Result<Vec<bool>, Fault> {
        self.read(async |it| registry::fingerprints_known(it, fingerprints).await)
    }
    fn projects(&self, account: AccountNumber) -> Result<Vec<Project>, Fault> {
        self.read(async |it| registry::projects(it, account).await)
    }
    fn rate_cards(&self) -> Result<Vec<CardRecord>, Fault> {
        self.read(async |it| registry::rate_cards(it).await)
    }
    fn api_keys(&self) -> Result<Vec<ApiKey>, Fault> {
        self.read(async |it| registry::api_keys(it).await)
    }
    fn quote(&self, account: AccountNumber, id: &str) -> Result<Option<QuoteRecord>, Fault> {
        self.read(async |it| registry::quote(it, account, id).await)
    }
    fn document(&self, account: AccountNumber, kind: &str, id: &str) -> Result<Option<Document>, Fault> {
        self.read(async |it| documents::one(it, account, kind, id).await)
    }
    fn documents(
        &self,
        account: AccountNumber,
        kind: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Document>, Fault> {
        self.read(async |it| documents::listed(it, account, kind, before, limit).await)
    }
    fn documents_due(&self, kinds: Kinds<'_>, at: Timestamp, limit: usize) -> Result<Vec<Document>, Fault> {
        self.read(async |it| documents::due(it, kinds, at, limit).await)
    }
    fn documents_at_rest(&self, kind: &str, before: Timestamp, limit: usize) -> Result<Vec<Document>, Fault> {
        self.read(async |it| documents::at_rest(it, kind, before, limit).await)
    }
    fn payments(&self, before: Timestamp, limit: usize) -> Result<Vec<Document>, Fault> {
        self.read(async |it| documents::payments(it, before, limit).await)
    }
    fn reply(&self, key: NameHash) -> Result<Option<Reply>, Fault> {
        self.read(async |it| registry::reply(it, key).await)
    }
    fn audit(&self, before: u64, limit: usize) -> Result<Vec<(u64, Audit)>, Fault> {
        self.read(async |it| registry::audit(it, before, limit).await)
    }
}
