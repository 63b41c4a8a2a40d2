//! The memory: everything the engine remembers. One write, and named reads that each answer one question.
//!
//! Above this port nobody knows how anything is kept; below it nobody knows why. An adapter decides nothing about
//! credits: it keeps transactions in order, finds them again, and adds up usage.
//!
//! Invariants every adapter keeps, and `tests/it` checks on each:
//! - `commit` does all of its changes or none, and they survive a crash once it returned;
//! - an account's transactions have the versions 1, 2, 3 … without gap or fork: what does not follow is `Stale`;
//! - a read sees every commit that returned before it began;
//! - a transaction once read reads the same for ever.
mod apart;
mod codec;
mod fault;
mod moving;
mod name;
pub mod postgres;
mod record;
pub mod sqlite;
mod verify;

pub use apart::{Apart, read_apart};
pub use fault::{CommitError, Fault};
pub use moving::{EachPost, Movable, MoveError, Moved, Plan, Progress, Shelf, Spot, move_house, unfinished};
pub use name::NameHash;
pub use record::{Account, ApiKey, Audit, CardRecord, Document, Kinds, Project, QuoteRecord, Reply, UsageRow};
pub use verify::{Difference, Report, verify};

use std::sync::Arc;

use billing::id::{AccountNumber, Name, Place};
use billing::ledger::{Book, Transaction};
use billing::time::{Span, Timestamp};

/// One thing to be remembered.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    /// The next transaction of an account. `Stale` when it is not the next.
    Post(Post),
    /// A new account. `Repeated` when its id, its number or one of its fingerprints is taken.
    Register { account: Account, fingerprints: Vec<[u8; 32]> },
    /// Fingerprints told of a registered account later. `Repeated` when one of them is taken.
    Fingerprints { account: AccountNumber, fingerprints: Vec<[u8; 32]> },
    /// A new state of a registered account's profile, made of what it `was` when it was read. `Stale` when it is not
    /// that any more: then somebody else wrote meanwhile, and would lose it. A closed one stays closed.
    Account { was: Box<Account>, account: Account },
    /// A project, new or changed.
    Project(Project),
    /// A new version of the rate card. `Stale` when its version is taken.
    RateCard(CardRecord),
    /// An API key, new or changed. `Repeated` when another key has its name.
    ApiKey(ApiKey),
    /// The next state of a document; version 1 is a new one. `Stale` when it is not the next.
    Document(Document),
    /// A document as it stood in another store, at whatever version. `Repeated` when there is one.
    Arrived(Document),
    /// A document of which nothing is to be remembered any more, as it was read. `Stale` when it has changed since.
    Forget(Document),
    /// A binding quote. `Repeated` when its account has one with its id.
    Quote(QuoteRecord),
    /// The answer to a request that belongs to no account. `Repeated` when its key is taken.
    Reply(Reply),
    /// What an operator did.
    Audit(Audit),
}

/// A transaction, the book it leads to, and the names it can be found by.
#[derive(Clone, PartialEq, Debug)]
pub struct Post {
    pub transaction: Arc<Transaction>,
    /// The account's book with this transaction folded in.
    pub book: Arc<Book>,
    /// The caller's idempotency key: [`NameHash::key`] of the transaction's account and its origin's key.
    pub key: Option<NameHash>,
    /// What this transaction settles for ever: this hold is over, this tree is paid for.
    pub fact: Option<NameHash>,
}

/// What `recall` found, in the order it was asked.
#[derive(Clone, Debug, Default)]
pub struct Recalled {
    /// The transaction each name stands for.
    pub named: Vec<Option<Place>>,
    /// Each account's book; None for one without transactions.
    pub books: Vec<Option<Arc<Book>>>,
}

pub trait Store: Send + Sync {
    /// Does every change, in order, or none; durable when it returns.
    ///
    /// Names need no guard of their own: they belong to an account, so a name that was not there when the account's
    /// book had version `v` can only have come with version `v + 1`, and that is `Stale`.
    fn commit(&self, changes: &[Change]) -> Result<(), CommitError>;

    /// Like `commit`, but durable, and seen by reads, only once it is settled: so that the next can be written, and may
    /// follow from it, while the disk is waited for. Some of it may be seen, and be durable, before.
    fn write(&self, changes: &Arc<Vec<Change>>) -> Result<(), CommitError> {
        self.commit(changes)
    }
    /// Makes all durable that was written before. When this fails nobody knows what of it is, and the store takes
    /// nothing more until it is opened anew.
    fn settle(&self) -> Result<(), Fault> {
        Ok(())
    }

    /// Whether a failed commit or sync left it so that it takes nothing more until it is opened anew.
    fn is_spent(&self) -> bool {
        false
    }

    /// Whether it would take a commit now. A database that may only be read, as a standby or by an operator's hand,
    /// answers reads all the same.
    fn takes_commits(&self) -> Result<bool, Fault> {
        Ok(!self.is_spent())
    }

    /// Whether other processes may commit to it too: then what is decided must be `reserve`d first, and what is kept at
    /// hand may have changed.
    fn is_shared(&self) -> bool {
        false
    }
    /// How often its history may have broken since it was opened: it may have gone back to an earlier state, as when a
    /// standby takes over that lacked the newest. When this has changed, nothing that was read or written before is to
    /// be relied on.
    fn breaks(&self) -> u64 {
        0
    }
    /// How many groups may as well be decided and committed at once; more than one only where the store is shared.
    fn committers(&self) -> usize {
        1
    }
    /// Takes accounts until the commit, and recalls what is to be decided on. Each account, in their order, comes with
    /// the book at hand, if there is one; when that is the newest it is not told again.
    ///
    /// None where nobody else commits to this store: then there is nobody to keep away.
    fn reserve(
        &self,
        _grip: Grip,
        _names: &[NameHash],
        _accounts: &[(AccountNumber, Option<Arc<Book>>)],
    ) -> Result<Option<Box<dyn Reserved>>, Fault> {
        Ok(None)
    }
    /// All that a group of commands needs to be decided, in one go.
    fn recall(&self, names: &[NameHash], accounts: &[AccountNumber]) -> Result<Recalled, Fault>;

    /// How far accounts are, in the order asked: the version of each one's newest transaction, 0 for none.
    fn versions(&self, accounts: &[AccountNumber]) -> Result<Vec<u64>, Fault> {
        let books = self.recall(&[], accounts)?.books;
        Ok(books.into_iter().map(|it| it.map_or(0, |it| it.version)).collect())
    }

    fn transaction(&self, place: Place) -> Result<Option<Arc<Transaction>>, Fault>;
    /// The same of many, in the order asked.
    fn transactions_at(&self, places: &[Place]) -> Result<Vec<Option<Arc<Transaction>>>, Fault> {
        places.iter().map(|it| self.transaction(*it)).collect()
    }
    /// Up to `limit` transactions of an account with a version below `before`, newest first.
    fn transactions(&self, account: AccountNumber, before: u64, limit: usize) -> Result<Vec<Arc<Transaction>>, Fault>;
    /// Like `transactions`, of those that made a grant.
    fn granting(&self, account: AccountNumber, before: u64, limit: usize) -> Result<Vec<Arc<Transaction>>, Fault>;
    /// Every transaction of every account, `each` called with its sequence number, which count from 1. An account's are
    /// in the order of their commits; so are all where the store has one writer, and by account where it has many.
    fn journal(&self, after: u64, each: &mut dyn FnMut(u64, Transaction)) -> Result<(), Fault>;
    /// Sequence number of the newest transaction; 0 in an empty journal.
    fn journal_length(&self) -> Result<u64, Fault>;

    /// An account's usage in hours that start at `from` or later and before `to`, and the version it is of: what that
    /// many of the account's transactions come to.
    fn usage_as_of(
        &self,
        account: AccountNumber,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<(u64, Vec<UsageRow>), Fault>;
    /// The same, whatever version it is of.
    fn usage(&self, account: AccountNumber, from: Timestamp, to: Timestamp) -> Result<Vec<UsageRow>, Fault> {
        Ok(self.usage_as_of(account, from, to)?.1)
    }
    /// Accounts whose books have something due by `at`, at most `limit`.
    fn due(&self, at: Timestamp, limit: usize) -> Result<Vec<AccountNumber>, Fault>;

    fn account(&self, id: &Name) -> Result<Option<Account>, Fault>;
    fn account_numbered(&self, number: AccountNumber) -> Result<Option<Account>, Fault>;
    /// Accounts by id, those after `after`.
    fn accounts(&self, after: Option<&Name>, limit: usize) -> Result<Vec<Account>, Fault>;
    /// Accounts of whose id, name or e-mail address a word begins so, whatever its case; at most `limit`, by id.
    fn accounts_called(&self, beginning: &str, limit: usize) -> Result<Vec<Account>, Fault>;
    /// Accounts whose profiles were changed within so long, by whichever process; nothing from a store that only one
    /// serves.
    fn accounts_changed(&self, _within: Span) -> Result<Vec<AccountNumber>, Fault> {
        Ok(Vec::new())
    }
    /// Which of these signup fingerprints an account was registered with.
    fn fingerprints_known(&self, fingerprints: &[[u8; 32]]) -> Result<Vec<bool>, Fault>;
    /// An account's projects by id, deleted ones included.
    fn projects(&self, account: AccountNumber) -> Result<Vec<Project>, Fault>;
    /// Every version of the rate card, oldest first.
    fn rate_cards(&self) -> Result<Vec<CardRecord>, Fault>;
    /// Every API key, revoked ones included, oldest first.
    fn api_keys(&self) -> Result<Vec<ApiKey>, Fault>;
    fn quote(&self, account: AccountNumber, id: &str) -> Result<Option<QuoteRecord>, Fault>;
    fn document(&self, account: AccountNumber, kind: &str, id: &str) -> Result<Option<Document>, Fault>;
    /// Documents of one kind with an id below `before`, newest id first.
    fn documents(
        &self,
        account: AccountNumber,
        kind: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Document>, Fault>;
    /// Documents of every account that are due by `at`, at most `limit` of each kind, those due longest first. However
    /// much is due of a kind, asking for others does not cost more for it.
    fn documents_due(&self, kinds: Kinds<'_>, at: Timestamp, limit: usize) -> Result<Vec<Document>, Fault>;
    /// Documents of a kind, of every account, that are due at no time and were last written before `before`, the oldest
    /// first. None of those that are never forgotten and are many or written often: months, what keys led to, and how
    /// busy servers are.
    fn documents_at_rest(&self, kind: &str, before: Timestamp, limit: usize) -> Result<Vec<Document>, Fault>;
    /// Payments of every account that were changed before `before`, the latest change first.
    fn payments(&self, before: Timestamp, limit: usize) -> Result<Vec<Document>, Fault>;
    fn reply(&self, key: NameHash) -> Result<Option<Reply>, Fault>;
    /// The operators' audit log, newest first, entries below `before`.
    fn audit(&self, before: u64, limit: usize) -> Result<Vec<(u64, Audit)>, Fault>;
}

/// How accounts are held between being recalled and being committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grip {
    /// Nobody else changes them meanwhile. Others wait for that, and so does whoever takes them: for many changes to
    /// few accounts, and for those at which others were faster.
    Firm,
    /// Others may be faster; nobody waits. For few changes to each of many accounts.
    Loose,
}

/// Accounts that were taken, until they are committed or let go. Dropping it lets go too.
pub trait Reserved: Send {
    /// What was asked for, once, all of one moment. A book that is None is as its caller knew it.
    fn recalled(&mut self) -> Recalled;
    /// Whether the books are known to be the newest. Where not, the commit will tell: an answer that commits nothing
    /// must not be given by them.
    fn is_sure(&self) -> bool {
        true
    }
    /// Like [`Store::commit`], for changes to these accounts; and tells those at which others were faster: nothing of
    /// theirs was written, and all of the others'. There are none where the grip was firm. Where it was loose and
    /// something else than transactions is to be written, one such makes all of it `Stale`.
    fn commit(self: Box<Self>, changes: &[Change]) -> Result<Vec<AccountNumber>, CommitError>;
    /// Lets go without having changed anything.
    fn release(self: Box<Self>);
}
