//! Moving house: all of one store into another that is empty, of whichever kind either is.
//!
//! Knows the port, and of an adapter only what [`Movable`] says. What was moved so far is written in the new store, in
//! the commit that moves it: a move that was interrupted, at whatever instant, goes on from there when it is begun
//! again, and nobody serves from a store that is half filled. The old store is only read.
//!
//! Invariant: when a move is done, whatever can be asked of the old store has the same answer in the new one.
mod compare;
mod journal;
mod marker;

use billing::ledger::Transaction;
use billing::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Change, CommitError, Document, Fault, NameHash, Report, Store, verify};
use marker::Marker;
pub use marker::unfinished;

const DOING: &str = "moving";
/// Rows of a shelf that are moved in one commit.
const ROWS_AT_ONCE: usize = 1_000;

/// What is remembered beside the journal, by what it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shelf {
    RateCards,
    ApiKeys,
    /// With the fingerprints they were registered with.
    Accounts,
    Projects,
    Quotes,
    Documents,
    Replies,
    Audit,
}

impl Shelf {
    /// In the order in which they are moved.
    pub const ALL: [Shelf; 8] = [
        Shelf::RateCards,
        Shelf::ApiKeys,
        Shelf::Accounts,
        Shelf::Projects,
        Shelf::Quotes,
        Shelf::Documents,
        Shelf::Replies,
        Shelf::Audit,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Shelf::RateCards => "rate cards",
            Shelf::ApiKeys => "API keys",
            Shelf::Accounts => "accounts",
            Shelf::Projects => "projects",
            Shelf::Quotes => "quotes",
            Shelf::Documents => "documents",
            Shelf::Replies => "replies",
            Shelf::Audit => "audit entries",
        }
    }
}

/// A place on a shelf: a row's key, as far as it has these parts.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Spot {
    pub number: i64,
    pub kind: String,
    pub id: String,
}

impl Spot {
    /// Before the first row.
    pub fn start() -> Spot {
        Spot { number: -1, kind: String::new(), id: String::new() }
    }
    /// Of a row whose key is bytes.
    pub(crate) fn of_key(key: &[u8]) -> Spot {
        Spot { id: key.iter().map(|it| format!("{it:02x}")).collect(), ..Spot::start() }
    }
    /// The bytes of such a key; none before the first row.
    pub(crate) fn key(&self) -> Vec<u8> {
        let byte = |it: usize| self.id.get(it..it + 2).and_then(|it| u8::from_str_radix(it, 16).ok());
        (0..self.id.len()).step_by(2).map_while(byte).collect()
    }
}

/// What a store must tell beyond the port, so that all of it can be moved.
pub trait Movable: Store {
    /// Up to `limit` rows of a shelf after `after`, in an order that is the same in every store, as the changes that
    /// make them: documents as [`Change::Arrived`].
    fn shelf(&self, shelf: Shelf, after: &Spot, limit: usize) -> Result<Vec<(Spot, Change)>, Fault>;

    /// Like [`Store::journal`], with what each transaction settled for ever; ends when `each` fails.
    fn posts(&self, after: u64, each: &mut EachPost<'_>) -> Result<(), Fault>;
}

/// Told a transaction's sequence number, the transaction, and what it settled.
pub type EachPost<'a> = dyn FnMut(u64, Transaction, Option<NameHash>) -> Result<(), Fault> + 'a;

/// How far a move is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub step: &'static str,
    pub done: u64,
    /// None where that is not known beforehand.
    pub of: Option<u64>,
}

/// How a move is done.
pub struct Plan<'a> {
    /// What people call the old store; kept in the new one.
    pub from_name: &'a str,
    /// When it is done: the store has no clock.
    pub at: Timestamp,
    /// Transactions moved in one commit.
    pub transactions_at_once: usize,
}

/// What was moved.
#[derive(Debug)]
pub struct Moved {
    /// Rows of each shelf.
    pub shelves: Vec<(Shelf, u64)>,
    /// Whether this went on with a move that had been interrupted.
    pub was_resumed: bool,
    /// The new store, verified from its own journal, after it was compared with the old one.
    pub report: Report,
}

/// Why nothing, or not all, was moved.
#[derive(Debug)]
pub enum MoveError {
    /// The stores are not such that one can be moved into the other: says why, and what to do.
    Refused(String),
    Fault(Fault),
}

impl From<Fault> for MoveError {
    fn from(fault: Fault) -> MoveError {
        MoveError::Fault(fault)
    }
}

impl From<CommitError> for MoveError {
    fn from(error: CommitError) -> MoveError {
        match error {
            CommitError::Fault(fault) => MoveError::Fault(fault),
            CommitError::Stale | CommitError::Repeated => refused(
                "the target holds something that is not from this move: something else writes to it; \
                 begin again with an empty one",
            ),
        }
    }
}

impl std::fmt::Display for MoveError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MoveError::Refused(why) => f.write_str(why),
            MoveError::Fault(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for MoveError {}

fn refused(why: impl Into<String>) -> MoveError {
    MoveError::Refused(why.into())
}

/// Moves all of `from` into `to`, or goes on where an earlier call ended; then compares the two, and verifies the new
/// one. Nobody may write to either meanwhile. `progress` is told how far it is.
///
/// # Errors
/// `Refused` when `to` holds anything that is not of this very move, or `from` has changed since it began.
pub fn move_house(
    from: &dyn Movable,
    to: &dyn Movable,
    plan: &Plan<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Moved, MoveError> {
    if unfinished(from)?.is_some() {
        return Err(refused("the source is itself the unfinished target of a move: finish that one first"));
    }
    let (mut marker, was_resumed) = Marker::find(from, to, plan)?;
    for shelf in Shelf::ALL {
        fill_shelf(from, to, (shelf, plan.at), &mut marker, progress)?;
    }
    journal::copy(from, to, plan, &mut marker, progress)?;
    let shelves = compare::shelves(from, to, progress)?;
    compare::journals(from, to, progress)?;
    has_not_grown(from, &marker)?;
    let report = verify(to, &mut |done, of| progress(Progress { step: "verifying", done, of: Some(of) }))?;
    // What moves no transaction, such as a key that is revoked, shows only here: all of the time since it was moved.
    compare::shelves(from, to, progress)?;
    has_not_grown(from, &marker)?;
    if report.is_clean() && !marker.is_done() {
        to.commit(&[marker.finish(plan.at)])?;
    }
    Ok(Moved { shelves, was_resumed, report })
}

/// Makes sure that nothing was posted at the source since its journal was moved.
fn has_not_grown(from: &dyn Movable, marker: &Marker) -> Result<(), MoveError> {
    if from.journal_length()? == marker.length() {
        return Ok(());
    }
    Err(refused("the source has been written to meanwhile: stop what serves from it, and begin again"))
}

/// Moves what is left of a shelf.
fn fill_shelf(
    from: &dyn Movable,
    to: &dyn Movable,
    (shelf, at): (Shelf, Timestamp),
    marker: &mut Marker,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), MoveError> {
    let Some(mut spot) = marker.rest_of(shelf) else { return Ok(()) };
    let mut done = 0;
    loop {
        let rows = from.shelf(shelf, &spot, ROWS_AT_ONCE)?;
        let is_last = rows.len() < ROWS_AT_ONCE;
        done += rows.len() as u64;
        spot = rows.last().map_or(spot, |it| it.0.clone());
        let mut changes: Vec<Change> = rows.into_iter().map(|it| it.1).filter(|it| !is_marker(it)).collect();
        changes.push(marker.passed(shelf, (!is_last).then(|| spot.clone()), at));
        to.commit(&changes)?;
        progress(Progress { step: shelf.as_str(), done, of: None });
        if is_last {
            return Ok(());
        }
    }
}

/// Whether it is the note that a store was once moved into: that stays where it is.
fn is_marker(change: &Change) -> bool {
    matches!(change, Change::Arrived(it) if it.account == Document::HOUSE && it.kind == marker::KIND)
}
