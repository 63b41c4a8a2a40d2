//! The turnstile: whatever wants to change a book goes through here, one group after another.
//!
//! Those who wait are taken together: what they need is recalled in one read, each is decided in the order it came, and
//! all that was decided is committed with one sync of the disk. While the disk is waited for, the next group is
//! written, and the one after that decided on the books the others lead to. Nobody is answered before what they rely on
//! is durable: answers go out in the order of the groups, and when a group cannot be written, every book it led to is
//! thrown away and all behind it decide again.
//!
//! Where other processes commit to the same store there are several queues, an account always in the same, and each
//! group first takes its accounts for itself: see [`reserving`].
//!
//! Must never know what a command is for, or what a customer is told. Invariant: books here equal the folds of what has
//! been handed to the store, or the epoch has ended and they are dropped.
mod books;
mod committer;
mod decider;
mod documents;
mod followers;
mod named;
mod reserving;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use billing::Refusal;
use billing::id::AccountNumber;
use billing::ledger::{Book, Command, ServerAct, ServerReport, Transaction};
use billing::rating::Text;
use billing::server;
use billing::time::Timestamp;
use crossbeam_channel::{Sender, bounded};
use store::{Change, Fault, NameHash, Store};
use tokio::sync::{oneshot, watch};

use crate::clock::Clock;

use followers::Followers;

/// Asks that may wait or be under way at once. Beyond it callers are told to come back: memory stays bounded.
const WAITING_MAX: usize = 100_000;
/// Asks decided and committed together, at most: one sync of the disk for all, and no caller waits long for others.
const GROUP_MAX: usize = 8_192;
/// How often a group that another process overtook is decided again before its callers are told to come back.
const ATTEMPTS_MAX: u32 = 16;
/// Transactions that time brought about and nobody asks for, at most, in one group: a charge that comes in the midst
/// of an hour's settlements waits for so many.
const BROUGHT_MAX: usize = 2_048;
/// The same of one account that somebody asks something of: what is more is caught up with first.
const CATCH_UP_MAX: usize = 4_096;
/// The same of all whom somebody asks something of, together: memory stays bounded.
const CATCH_UP_GROUP_MAX: usize = 16_384;

/// One thing asked of one account's book.
#[derive(Clone, Debug)]
pub struct Ask {
    pub account: AccountNumber,
    /// None to post only what time has brought about.
    pub command: Option<Command>,
    pub key: Option<Key>,
    /// Name of the API key that asks.
    pub by: Option<Text>,
    /// What this settles for ever. When it is settled already, the ask is `Overtaken`.
    pub fact: Option<NameHash>,
    /// Boxed: most asks have none, and asks are moved about.
    pub once: Option<Box<Once>>,
    /// Committed with it, if it is done. When a document among it is not the next version any more, the ask is
    /// `Overtaken`.
    pub also: Vec<Change>,
}

impl Ask {
    /// By when it is decided, and what is due is posted before it: now, but for prices, whose instant may be long ago.
    /// Hours after it cost what they say: posted before they are told, those would buy credits and stop servers for
    /// what is taken back in the next moment.
    fn decided_at(&self, now: Timestamp) -> Timestamp {
        match &self.command {
            Some(Command::Server(ServerReport { act: ServerAct::Change(server::Change::Prices(_)), at, .. })) => {
                now.min(*at)
            }
            _ => now,
        }
    }
}

/// The caller's idempotency key.
#[derive(Clone, Debug)]
pub struct Key {
    pub name: NameHash,
    pub text: Text,
    /// Fingerprint of the request that came with it.
    pub request: u128,
}

/// Work that is paid for once: when `name` is settled already, `waived` is done instead. Who pays says so in the work,
/// and it is settled with that.
#[derive(Clone, Debug)]
pub struct Once {
    pub name: NameHash,
    /// Where the work is only what is new since something else.
    pub part: Option<Part>,
    pub waived: Command,
}

/// What is new since something else. Together with that it is the whole; so where that was never paid for, the whole is
/// not paid for either, and `command` is done, which settles `name` alone.
#[derive(Clone, Debug)]
pub struct Part {
    pub since: NameHash,
    pub name: NameHash,
    pub command: Command,
}

/// What is to be written with a transaction because of what it says, given the book it was decided on: its due
/// documents. A pure function, so that a transaction decided again brings the same.
pub type Companions = Arc<dyn Fn(&Book, &Transaction) -> Vec<Change> + Send + Sync>;

/// What came of an ask.
#[derive(Clone, Debug)]
pub enum Turned {
    Done {
        transaction: Arc<Transaction>,
        is_replay: bool,
    },
    /// Time had brought about nothing that was not posted, and no command was given.
    Idle,
    /// No command was given, and time had brought about more than fits: the rest is still due.
    Unfinished,
    Refused(Refusal),
    /// Its fact was settled, or a document or profile it brought was written, by another: look again.
    Overtaken,
    /// Too much waits, or the store cannot be reached just now: the same again in a moment.
    Busy,
    /// The store failed; the log says how.
    Fault,
}

impl Turned {
    /// What a fault of the store is to whoever asked.
    fn of(fault: &Fault) -> Turned {
        if fault.is_away { Turned::Busy } else { Turned::Fault }
    }
}

/// Asks that are answered together, in order.
struct Ticket {
    asks: Vec<Ask>,
    reply: oneshot::Sender<Vec<Turned>>,
    attempts: u32,
}

enum Message {
    Ticket(Ticket),
    /// Everything before this is served, nothing after it.
    Stop,
}

/// What the turnstile has done since it opened.
#[derive(Debug, Default)]
pub struct Tally {
    pub groups: AtomicU64,
    pub transactions: AtomicU64,
    /// Microseconds spent in commits.
    pub commit_micros: AtomicU64,
    pub refusals: AtomicU64,
    pub faults: AtomicU64,
    waiting: AtomicUsize,
}

impl Tally {
    /// Asks that wait or are under way.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

pub struct Turnstile {
    queues: Vec<Sender<Message>>,
    tally: Arc<Tally>,
    followers: Arc<Followers>,
    threads: std::sync::Mutex<Vec<thread::JoinHandle<()>>>,
}

impl Turnstile {
    /// `companions` names what has to be written down together with a transaction, whoever brought it about.
    pub fn open(store: Arc<dyn Store>, clock: Arc<Clock>, companions: Companions) -> Turnstile {
        let tally = Arc::new(Tally::default());
        let followers = Arc::new(Followers::default());
        let (mut queues, mut threads) = (Vec::new(), Vec::new());
        for _ in 0..store.committers() {
            let (queue, waiting) = bounded(WAITING_MAX);
            let epoch = Arc::new(AtomicU64::new(0));
            let committer = committer::Committer {
                store: Arc::clone(&store),
                epoch: Arc::clone(&epoch),
                tally: Arc::clone(&tally),
                followers: Arc::clone(&followers),
                queue: queue.clone(),
                under_way: AtomicUsize::new(0),
            };
            let decider = decider::Decider::new(Arc::clone(&store), Arc::clone(&clock), epoch, Arc::clone(&companions));
            queues.push(queue);
            if store.is_shared() {
                threads.push(started("turn", move || reserving::run(decider, &committer, &waiting)));
                continue;
            }
            // No room between them: a group is handed over when the one before has been, and grows until then.
            let (hand_over, decided) = bounded(0);
            let (to_settle, written) = bounded(0);
            let committer = Arc::new(committer);
            let (writer, settler) = (Arc::clone(&committer), Arc::clone(&committer));
            threads.push(started("decide", move || decider.run(&committer, &waiting, &hand_over)));
            threads.push(started("commit", move || writer.write_all(&decided, &to_settle)));
            threads.push(started("settle", move || settler.settle_all(&written)));
        }
        assert!(store.is_shared() || queues.len() == 1, "only what is reserved may be decided in several places");
        Turnstile { queues, tally, followers, threads: std::sync::Mutex::new(threads) }
    }

    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Accounts that this process moved since it was asked last.
    pub fn moved(&self) -> Vec<AccountNumber> {
        self.followers.moved()
    }

    /// The newest version of an account, told again after every commit that moved its book.
    pub fn follow(&self, account: AccountNumber) -> watch::Receiver<u64> {
        self.followers.follow(account)
    }

    /// Looks how far the accounts that are followed here are in the store, where other processes commit to it too.
    pub fn hear_others(&self, store: &dyn Store) -> Result<(), Fault> {
        let followed = if store.is_shared() { self.followers.followed() } else { Vec::new() };
        if followed.is_empty() {
            return Ok(());
        }
        let versions = store.versions(&followed)?;
        followed.into_iter().zip(versions).for_each(|(account, version)| self.followers.hear(account, version));
        Ok(())
    }

    /// Puts `asks` in the queue, to be decided one after another and answered together, in order. Where there are
    /// several queues, the order holds among those of one account.
    pub async fn take(&self, asks: Vec<Ask>) -> Vec<Turned> {
        if self.queues.len() == 1 || asks.len() == 1 {
            return self.wait_in(asks.first().map_or(0, |it| self.queue_of(it.account)), asks).await;
        }
        let places: Vec<usize> = asks.iter().map(|it| self.queue_of(it.account)).collect();
        let mut parts: Vec<Vec<Ask>> = self.queues.iter().map(|_| Vec::new()).collect();
        for (place, ask) in places.iter().zip(asks) {
            parts[*place].push(ask);
        }
        let waiting: Vec<_> = parts.into_iter().enumerate().map(|(place, part)| self.wait_in(place, part)).collect();
        let mut turned: Vec<_> =
            futures_util::future::join_all(waiting).await.into_iter().map(Vec::into_iter).collect();
        places.into_iter().map(|it| turned[it].next().expect("each ask is answered")).collect()
    }

    fn queue_of(&self, account: AccountNumber) -> usize {
        // Numbers are random: each queue has its share.
        usize::try_from(account.get() % self.queues.len() as u64).expect("a few queues")
    }

    async fn wait_in(&self, queue: usize, asks: Vec<Ask>) -> Vec<Turned> {
        let count = asks.len();
        if count == 0 {
            return Vec::new();
        }
        match self.enter(queue, asks) {
            // The sender goes only when the turnstile has been closed under it.
            Some(answer) => answer.await.unwrap_or_else(|_| vec![Turned::Busy; count]),
            None => vec![Turned::Busy; count],
        }
    }

    /// Like `take`, for one.
    pub async fn take_one(&self, ask: Ask) -> Turned {
        self.take(vec![ask]).await.pop().unwrap_or(Turned::Busy)
    }

    fn enter(&self, queue: usize, asks: Vec<Ask>) -> Option<oneshot::Receiver<Vec<Turned>>> {
        let count = asks.len();
        if WAITING_MAX < self.tally.waiting.fetch_add(count, Ordering::Relaxed) + count {
            self.tally.waiting.fetch_sub(count, Ordering::Relaxed);
            return None;
        }
        let (reply, answer) = oneshot::channel();
        if self.queues[queue].try_send(Message::Ticket(Ticket { asks, reply, attempts: 0 })).is_err() {
            self.tally.waiting.fetch_sub(count, Ordering::Relaxed);
            return None;
        }
        Some(answer)
    }

    /// Serves what has entered, then lets nobody in. Returns when all of it is durable.
    pub fn close(&self) {
        // A full queue drains: this waits for its turn like everybody else.
        for queue in &self.queues {
            // One whose thread has gone has nobody to tell.
            let _ = queue.send(Message::Stop);
        }
        let threads = std::mem::take(&mut *self.threads.lock().expect("closing does not panic"));
        for thread in threads {
            thread.join().expect("the turnstile's threads do not panic");
        }
    }
}

fn started(name: &str, work: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).expect("a thread can be started")
}
