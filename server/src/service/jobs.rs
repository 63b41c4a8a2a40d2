//! Jobs: documents that are due, done by whoever comes by.
//!
//! Those that ask the payment provider have a queue of their own and go on from one pass to the next, a bounded number
//! at once: while the provider is slow or silent, money waits and nothing else does. Must never know what a job is
//! about. Invariant: a job that failed is put off, longer each time, so that it neither spins nor stands before others.
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};

use billing::time::{Span, Timestamp};
use store::{Change, Document, Fault, Kinds};
use tokio::task::{Id, JoinError, JoinSet};

use super::{Error, card_expiry, payment_methods, payments, provider, refunds, subscriptions};
use crate::app::App;

/// Jobs that ask the provider, carried out at once: they wait for it, mostly.
const AT_ONCE: usize = 16;
/// How long a job that failed rests at least, and at most.
const REST_MIN: Span = Span::SECOND.times(5);
const REST_MAX: Span = Span::MINUTE.times(15);

/// What asks the provider.
const MONEY: [&str; 6] =
    [payments::KIND, refunds::KIND, payment_methods::KIND, payment_methods::SETUP, subscriptions::KIND, provider::KIND];

/// Jobs under way that ask the provider, each with its document as it was when it began.
#[derive(Debug, Default)]
pub struct Underway {
    jobs: JoinSet<Result<(), Error>>,
    documents: HashMap<Id, Document>,
}

impl Underway {
    /// One that has claimed nothing yet is due still.
    fn has(&self, document: &Document) -> bool {
        let name = |it: &Document| (it.account, it.kind.clone(), it.id.clone());
        self.documents.values().any(|it| name(it) == name(document))
    }
}

/// When what has been failing since an instant is tried again: after as long again, within bounds.
pub(super) fn again_at(since: Timestamp, now: Timestamp) -> Timestamp {
    now + Span::from_millis(now.millis() - since.millis()).clamp(REST_MIN, REST_MAX)
}

impl App {
    /// Does the jobs that are due and ask nobody outside, or wait for nobody, and says how many there were.
    ///
    /// Of each kind it takes `limit` at most, and of those who are told things and rest none: what waits for one stays
    /// due as it is, however much it is, and stands before nobody else's.
    pub fn work(self: &Arc<Self>, limit: usize) -> Result<usize, Error> {
        let now = self.now();
        let resting = self.desk.resting(now);
        let unknown = self.unknown_kinds.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let others = MONEY.into_iter().chain(resting.iter().map(|it| &**it));
        let others: Vec<&str> = others.chain(unknown.iter().map(|it| &**it)).collect();
        let due = self.store.documents_due(Kinds::But(&others), now, limit)?;
        let count = due.len();
        let mut ends = Vec::new();
        for document in due {
            // One that panics fails like any other: it would take with it whoever does all the others.
            let done = catch_unwind(AssertUnwindSafe(|| self.work_one(document.clone(), &mut ends)));
            if let Err(error) = done.unwrap_or_else(|_| Err(Fault::new("doing a job", "it panicked").into())) {
                self.put_off(document, &error);
            }
        }
        // Should another have been first with one of them, they are all due still.
        ends.chunks(limit).try_for_each(|it| self.keep(it).map(drop))?;
        Ok(count)
    }

    /// Begins the due jobs that ask the provider, and says how many: waits for room, and not for their end.
    pub async fn collect(self: &Arc<Self>, underway: &mut Underway, limit: usize) -> Result<usize, Error> {
        while let Some(ended) = underway.jobs.try_join_next_with_id() {
            self.ended(underway, ended);
        }
        let mut count = 0;
        for document in self.store.documents_due(Kinds::Of(&MONEY), self.now(), limit)? {
            if underway.has(&document) {
                continue;
            }
            while AT_ONCE <= underway.jobs.len() {
                self.end_one(underway).await;
            }
            let (app, job) = (Arc::clone(self), document.clone());
            let begun = underway.jobs.spawn(async move { app.work_money(job).await });
            underway.documents.insert(begun.id(), document);
            count += 1;
        }
        Ok(count)
    }

    /// Waits for the end of a job under way; false where there is none.
    pub async fn end_one(&self, underway: &mut Underway) -> bool {
        let Some(ended) = underway.jobs.join_next_with_id().await else { return false };
        self.ended(underway, ended);
        true
    }

    fn ended(&self, underway: &mut Underway, ended: Result<(Id, Result<(), Error>), JoinError>) {
        let (id, failure) = match ended {
            Ok((id, done)) => (id, done.err()),
            Err(panic) => (panic.id(), Some(Fault::new("doing a job", panic).into())),
        };
        let document = underway.documents.remove(&id).expect("it was put there when it began");
        if let Some(error) = failure {
            self.put_off(document, &error);
        }
    }

    fn work_one(self: &Arc<Self>, document: Document, ends: &mut Vec<Change>) -> Result<(), Error> {
        match self.work_notices(document, ends)? {
            None => Ok(()),
            Some(document) if document.kind == card_expiry::KIND => self.tell_of_expiry(document),
            Some(document) => {
                self.leave_to_others(document.kind);
                Ok(())
            }
        }
    }

    /// Leaves jobs of a kind as they are from now on: a newer node has written them, and does them. Put off, they would
    /// wait for each pass of an old one.
    fn leave_to_others(&self, kind: String) {
        let mut unknown = self.unknown_kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if !unknown.contains(&kind) {
            tracing::warn!(kind, "there are jobs of a kind that this program does not know; a newer one does them");
            unknown.insert(kind);
        }
    }

    async fn work_money(self: &Arc<Self>, document: Document) -> Result<(), Error> {
        match &*document.kind {
            payments::KIND => match document.id.parse() {
                Ok(id) => self.carry_out(id).await,
                Err(_) => Err(Fault::new("doing a job", format!("{} names no payment", document.id)).into()),
            },
            refunds::KIND => self.work_refund(document).await,
            payment_methods::KIND => self.forget_card(document).await,
            payment_methods::SETUP => self.look_at_setup(document).await,
            subscriptions::KIND => self.renew(document).await,
            provider::KIND => self.read_events(document).await,
            other => unreachable!("{other} was not asked for"),
        }
    }

    /// Puts off a job that failed. Since when it has been failing is told by its `at`, which stays what it was.
    fn put_off(&self, document: Document, error: &Error) {
        let (kind, id) = (&document.kind, &document.id);
        tracing::warn!(kind, id, %error, "a job failed and is tried again");
        let (version, due_at) = (document.version + 1, Some(again_at(document.at, self.now())));
        // Where it failed after having been claimed this comes too late and does nothing: then the lease is its rest.
        if let Err(error) = self.keep(&[Change::Document(Document { version, due_at, ..document })]) {
            tracing::error!(%error, "a job that failed could not be put off");
        }
    }
}
