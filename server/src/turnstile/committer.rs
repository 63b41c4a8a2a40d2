//! Committing: one thread writes a group, another waits until the disk has it, and answers.
//!
//! So the next group is written while the disk is waited for. A group that is soon written is not worth another thread:
//! each that has to wake up may have to wait for a processor first. Where none is before it, whoever decided it also
//! writes it and waits for the disk.
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use store::{Change, CommitError, Fault, Store};

use super::followers::Followers;
use super::{ATTEMPTS_MAX, Message, Tally, Ticket, Turned};

/// Changes that take longer to decide and write than it takes to hand a group over.
pub const HANDED_OVER_MIN: usize = 128;

/// What was decided together and is written together.
pub struct Group {
    /// The epoch of the books it was decided on.
    pub epoch: u64,
    pub changes: Arc<Vec<Change>>,
    pub served: Vec<(Vec<Turned>, Ticket)>,
}

impl Group {
    fn is_little(&self) -> bool {
        self.changes.len() < HANDED_OVER_MIN
    }
}

/// A group that was written, and how long that took.
pub struct Written {
    group: Group,
    took: Duration,
}

pub struct Committer {
    pub store: Arc<dyn Store>,
    pub epoch: Arc<AtomicU64>,
    pub tally: Arc<Tally>,
    pub followers: Arc<Followers>,
    /// Back to the end of the queue, for a group that must be decided again.
    pub queue: Sender<Message>,
    /// Groups that were handed over to be written, and have not been answered.
    pub under_way: AtomicUsize,
}

/// Does something, and says how long that took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let done = work();
    (done, began.elapsed())
}

impl Committer {
    /// Serves a group, or hands it over where that is better. Whether it was served, and all before it; none where
    /// nobody is left to take it.
    pub fn take(&self, group: Group, hand_over: &Sender<Group>) -> Option<bool> {
        if group.is_little() && self.under_way.load(Ordering::Acquire) == 0 {
            if let Some(written) = self.write(group) {
                self.settle(written);
            }
            return Some(true);
        }
        self.under_way.fetch_add(1, Ordering::AcqRel);
        hand_over.send(group).ok().map(|()| false)
    }

    /// Writes groups as they come, and hands them over to be settled.
    pub fn write_all(&self, handed: &Receiver<Group>, hand_over: &Sender<Written>) {
        while let Ok(group) = handed.recv() {
            let is_alone = group.is_little() && self.under_way.load(Ordering::Acquire) == 1;
            match self.write(group) {
                None => self.answered_one(),
                Some(written) if is_alone => {
                    self.settle(written);
                    self.answered_one();
                }
                Some(written) => {
                    if hand_over.send(written).is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Settles groups in the order in which they were written.
    pub fn settle_all(&self, handed: &Receiver<Written>) {
        while let Ok(written) = handed.recv() {
            self.settle(written);
            self.answered_one();
        }
    }

    /// A group that was handed over has been answered.
    fn answered_one(&self) {
        self.under_way.fetch_sub(1, Ordering::AcqRel);
    }

    /// Writes a group; none where it could not be, and its callers have been seen to.
    fn write(&self, group: Group) -> Option<Written> {
        if group.epoch != self.epoch.load(Ordering::Acquire) {
            // The group before it was not written, so the books it was decided on never came to be.
            self.send_back(group.served);
            return None;
        }
        if group.changes.is_empty() {
            return Some(Written { group, took: Duration::ZERO });
        }
        let (done, took) = timed(|| self.store.write(&group.changes));
        match done {
            Ok(()) => return Some(Written { group, took }),
            Err(CommitError::Stale | CommitError::Repeated) => {
                self.end_epoch();
                self.send_back(group.served);
            }
            Err(CommitError::Fault(fault)) => self.give_up(group, &fault),
        }
        None
    }

    /// Waits until a group is durable, and answers it. One that has nothing to write relies on those before it.
    fn settle(&self, Written { group, took }: Written) {
        let (done, waited) = timed(|| self.store.settle());
        match done {
            Ok(()) => {
                if !group.changes.is_empty() {
                    self.wrote(&group.changes, took + waited);
                }
                self.answer(group.served);
            }
            Err(fault) => self.give_up(group, &fault),
        }
    }

    /// From here on all is decided on what the store says. What was written before is settled first, so that it says
    /// that too; should that fail, whoever waits for it is told.
    fn end_epoch(&self) {
        let _ = self.store.settle();
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    fn give_up(&self, group: Group, fault: &Fault) {
        self.end_epoch();
        let told = self.failed(fault);
        let failed = |it: Ticket| (vec![told.clone(); it.asks.len()], it);
        self.answer(group.served.into_iter().map(|it| failed(it.1)).collect());
    }

    /// The store has failed: what those who asked are told.
    pub fn failed(&self, fault: &Fault) -> Turned {
        tracing::error!(fault = %fault, "commit failed");
        self.tally.faults.fetch_add(1, Ordering::Relaxed);
        Turned::of(fault)
    }

    /// Deciding so many asks panicked. Whoever waits for them has been told to come again: what was written before
    /// that, in a turn of several rounds, is found under its key.
    pub fn lost(&self, asks: usize) {
        tracing::error!(asks, "deciding panicked: this group is given up, and every book is read anew");
        self.tally.faults.fetch_add(1, Ordering::Relaxed);
        self.tally.waiting.fetch_sub(asks, Ordering::Relaxed);
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
