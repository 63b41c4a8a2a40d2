//! How far a move is: a document in the new store, changed in each commit that moves something.
use std::hash::Hasher;

use billing::time::Timestamp;
use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher24};

use super::{DOING, Movable, MoveError, Plan, Shelf, Spot, refused};
use crate::{Change, Document, Fault, Store};

/// The document's kind; there is one.
pub const KIND: &str = "moving";
const ID: &str = "here";

#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    /// What people call the old store.
    from: String,
    /// The old store, told from any other.
    origin: String,
    /// Transactions in the old store.
    length: u64,
    step: Step,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Step {
    /// On this shelf, up to here.
    Shelf(Shelf, Spot),
    /// Transactions up to this sequence number are there.
    Journal(u64),
    /// All is there, and was compared.
    Done,
}

pub struct Marker {
    /// Of the document; 0 while there is none.
    version: u64,
    state: State,
}

impl Marker {
    /// Where the move from `from` to `to` stands, and whether it had begun.
    ///
    /// # Errors
    /// `Refused` when `to` holds anything else.
    pub fn find(from: &dyn Movable, to: &dyn Movable, plan: &Plan<'_>) -> Result<(Marker, bool), MoveError> {
        let (origin, length) = (origin(from)?, from.journal_length()?);
        let Some(document) = to.document(Document::HOUSE, KIND, ID)? else {
            if let Some(what) = holds(to)? {
                return Err(refused(format!("the target is not empty: it holds {what}; name an empty one")));
            }
            let step = Step::Shelf(Shelf::ALL[0], Spot::start());
            let state = State { from: plan.from_name.to_owned(), origin, length, step };
            return Ok((Marker { version: 0, state }, false));
        };
        let state = read(&document)?;
        if state.origin != origin {
            return Err(refused(format!("the target is being filled, or was, from another store: {}", state.from)));
        }
        if state.length != length {
            let (then, now) = (state.length, length);
            return Err(refused(format!(
                "the source had {then} transactions when this move began, and has {now}: it was served from since; \
                 begin again with an empty target"
            )));
        }
        if state.step == Step::Done && to.journal_length()? != length {
            return Err(refused("this move was finished, and the target has been served from since"));
        }
        Ok((Marker { version: document.version, state }, true))
    }

    /// Transactions in the old store when the move began.
    pub fn length(&self) -> u64 {
        self.state.length
    }
    pub fn is_done(&self) -> bool {
        self.state.step == Step::Done
    }

    /// Where a shelf is to be gone on with; None when it is full.
    pub fn rest_of(&self, shelf: Shelf) -> Option<Spot> {
        match &self.state.step {
            Step::Shelf(at, spot) if *at == shelf => Some(spot.clone()),
            _ => None,
        }
    }
    /// Up to which sequence number the journal is there; None when all is done.
    pub fn copied(&self) -> Option<u64> {
        match self.state.step {
            Step::Journal(sequence) => Some(sequence),
            _ => None,
        }
    }

    /// A shelf is there up to `spot`, or all of it.
    pub fn passed(&mut self, shelf: Shelf, spot: Option<Spot>, at: Timestamp) -> Change {
        let next = Shelf::ALL.iter().skip_while(|it| **it != shelf).nth(1);
        self.moved_to(
            match (spot, next) {
                (Some(spot), _) => Step::Shelf(shelf, spot),
                (None, Some(next)) => Step::Shelf(*next, Spot::start()),
                (None, None) => Step::Journal(0),
            },
            at,
        )
    }
    pub fn copied_to(&mut self, sequence: u64, at: Timestamp) -> Change {
        self.moved_to(Step::Journal(sequence), at)
    }
    pub fn finish(&mut self, at: Timestamp) -> Change {
        self.moved_to(Step::Done, at)
    }

    fn moved_to(&mut self, step: Step, at: Timestamp) -> Change {
        self.state.step = step;
        self.version += 1;
        let body = serde_json::to_string(&self.state).expect("a state of plain parts is written");
        let (account, version) = (Document::HOUSE, self.version);
        Change::Document(Document { account, kind: KIND.into(), id: ID.into(), version, at, due_at: None, body })
    }
}

fn read(document: &Document) -> Result<State, Fault> {
    serde_json::from_str(&document.body).map_err(|it| Fault::new(DOING, it))
}

/// From which store `store` is being filled, when that is not done: then nobody may serve from it.
pub fn unfinished(store: &dyn Store) -> Result<Option<String>, Fault> {
    let Some(document) = store.document(Document::HOUSE, KIND, ID)? else { return Ok(None) };
    let state = read(&document)?;
    Ok((state.step != Step::Done).then_some(state.from))
}

/// Tells a store from any other: by its first rate card, which it was given at its first start, to the millisecond, and
/// which never changes; by nothing where it was never served from.
fn origin(store: &dyn Store) -> Result<String, Fault> {
    let mut hasher = SipHasher24::new();
    if let Some(card) = store.rate_cards()?.first() {
        hasher.write_i64(card.created_at.millis());
        hasher.write_i64(card.effective_at.millis());
        hasher.write(card.document.as_bytes());
    }
    Ok(format!("{:032x}", hasher.finish128().as_u128()))
}

/// What a store holds, for people; None when it is empty.
fn holds(store: &dyn Movable) -> Result<Option<String>, Fault> {
    let transactions = store.journal_length()?;
    if transactions != 0 {
        return Ok(Some(format!("{transactions} transactions")));
    }
    for shelf in Shelf::ALL {
        if !store.shelf(shelf, &Spot::start(), 1)?.is_empty() {
            return Ok(Some(shelf.as_str().to_owned()));
        }
    }
    Ok(None)
}
