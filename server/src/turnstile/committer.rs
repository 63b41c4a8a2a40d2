//! The thread that commits: write a group, then answer it.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use store::{Change, CommitError, Fault, Store};

use super::followers::Followers;
use super::{ATTEMPTS_MAX, Message, Tally, Ticket, Turned};

/// What was decided together and is written together.
pub struct Group {
    /// The epoch of the books it was decided on.
    pub epoch: u64,
    pub changes: Vec<Change>,
    pub served: Vec<(Vec<Turned>, Ticket)>,
}

pub struct Committer {
    pub store: Arc<dyn Store>,
    pub epoch: Arc<AtomicU64>,
    pub tally: Arc<Tally>,
    pub followers: Arc<Followers>,
    /// Back to the end of the queue, for a group that must be decided again.
    pub queue: Sender<Message>,
}

/// Does something, and says how long that took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let done = work();
    (done, began.elapsed())
}

impl Committer {
    pub fn run(self, handed: &Receiver<Group>) {
        while let Ok(group) = handed.recv() {
            self.write(group);
        }
    }

    fn write(&self, group: Group) {
        if group.epoch != self.epoch.load(Ordering::Acquire) {
            // The group before it was not written, so the books it was decided on never came to be.
            return self.send_back(group.served);
        }
        if group.changes.is_empty() {
            return self.answer(group.served);
        }
        let (done, took) = timed(|| self.store.commit(&group.changes));
        match done {
            Ok(()) => {
                self.wrote(&group.changes, took);
                self.answer(group.served);
            }
            Err(CommitError::Stale | CommitError::Repeated) => {
                self.epoch.fetch_add(1, Ordering::AcqRel);
                self.send_back(group.served);
            }
            Err(CommitError::Fault(fault)) => {
                self.epoch.fetch_add(1, Ordering::AcqRel);
                let told = self.failed(&fault);
                let failed = |it: Ticket| (vec![told.clone(); it.asks.len()], it);
                self.answer(group.served.into_iter().map(|it| failed(it.1)).collect());
            }
        }
    }

    /// The store has failed: what those who asked are told.
    pub fn failed(&self, fault: &Fault) -> Turned {
        tracing::error!(fault = %fault, "commit failed");
        self.tally.faults.fetch_add(1, Ordering::Relaxed);
        Turned::of(fault)
    }

    /// These changes are durable.
    pub fn wrote(&self, changes: &[Change], took: Duration) {
        self.count(changes, took);
        self.followers.tell(changes);
    }

    fn count(&self, changes: &[Change], took: Duration) {
        let posts = changes.iter().filter(|it| matches!(it, Change::Post(_))).count();
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.tally.groups.fetch_add(1, Ordering::Relaxed);
        self.tally.transactions.fetch_add(posts as u64, Ordering::Relaxed);
        self.tally.commit_micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub fn answer(&self, served: Vec<(Vec<Turned>, Ticket)>) {
        for (turned, ticket) in served {
            let refused = turned.iter().filter(|it| matches!(it, Turned::Refused(_))).count();
            self.tally.refusals.fetch_add(refused as u64, Ordering::Relaxed);
            self.tally.waiting.fetch_sub(turned.len(), Ordering::Relaxed);
            // A caller that went away finds its answer under its key.
            let _ = ticket.reply.send(turned);
        }
    }

    fn send_back(&self, served: Vec<(Vec<Turned>, Ticket)>) {
        let mut given_up = Vec::new();
        for (turned, mut ticket) in served {
            ticket.attempts += 1;
            if ATTEMPTS_MAX < ticket.attempts {
                given_up.push((vec![Turned::Busy; turned.len()], ticket));
                continue;
            }
            if let Err(refused) = self.queue.try_send(Message::Ticket(ticket))
                && let Message::Ticket(ticket) = refused.into_inner()
            {
                given_up.push((vec![Turned::Busy; turned.len()], ticket));
            }
        }
        self.answer(given_up);
    }
}
