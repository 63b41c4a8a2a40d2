//! Documents with their bodies read: what a use case works on, and the next state it leads to.
//!
//! Must never know what a body means. Invariant: a body that was read is written back under the next version or not at
//! all; whoever was overtaken reads again.
use billing::id::AccountNumber;
use billing::time::{Span, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use store::{Change, CommitError, Document, Fault};

use super::Error;
use crate::app::App;

/// How long whoever took a job has it to themselves: longer than all tries of a call to a slow provider.
pub(super) const LEASE: Span = Span::MINUTE.times(4);

/// A document and what it says.
#[derive(Clone, Debug)]
pub(super) struct Kept<T> {
    pub document: Document,
    pub body: T,
}

impl<T: Serialize> Kept<T> {
    /// A document that is not there yet.
    pub fn new(account: AccountNumber, kind: &str, id: String, body: T) -> Kept<T> {
        let (kind, body_text) = (kind.to_owned(), String::new());
        let document = Document { account, kind, id, version: 0, at: Timestamp::EPOCH, due_at: None, body: body_text };
        Kept { document, body }
    }

    /// Whether somebody took it, and is at it still unless they died.
    pub fn is_leased(&self, now: Timestamp) -> bool {
        self.document.due_at.is_some_and(|it| now < it && it == self.document.at + LEASE)
    }

    /// The change that makes this its next state.
    pub fn next(&self, at: Timestamp, due_at: Option<Timestamp>) -> Change {
        let body = serde_json::to_string(&self.body).expect("a body is plain JSON");
        let version = self.document.version + 1;
        Change::Document(Document { version, at, due_at, body, ..self.document.clone() })
    }
}

pub(super) fn read<T: DeserializeOwned>(document: Document) -> Result<Kept<T>, Fault> {
    let body = serde_json::from_str(&document.body);
    let body =
        body.map_err(|it| Fault::new("reading a document", format!("{} {}: {it}", document.kind, document.id)))?;
    Ok(Kept { document, body })
}

impl App {
    pub(super) fn kept<T: DeserializeOwned>(
        &self,
        account: AccountNumber,
        kind: &str,
        id: &str,
    ) -> Result<Option<Kept<T>>, Error> {
        Ok(self.store.document(account, kind, id)?.map(read).transpose()?)
    }

    /// Documents of a kind with an id below `before`, newest id first.
    pub(super) fn all_kept<T: DeserializeOwned>(
        &self,
        account: AccountNumber,
        kind: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Kept<T>>, Error> {
        let found = self.store.documents(account, kind, before, limit)?;
        Ok(found.into_iter().map(read).collect::<Result<_, _>>()?)
    }

    /// Commits what belongs to no book. False when another was first: read again.
    pub(super) fn keep(&self, changes: &[Change]) -> Result<bool, Error> {
        match self.store.commit(changes) {
            Ok(()) => Ok(true),
            Err(CommitError::Stale | CommitError::Repeated) => Ok(false),
            Err(CommitError::Fault(fault)) => Err(fault.into()),
        }
    }
}
