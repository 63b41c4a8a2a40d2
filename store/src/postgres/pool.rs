//! Connections: some are shared by all readers, the others are lent to one transaction at a time.
//!
//! Invariant: what is lent comes back between two transactions, or is closed. A connection that was lost is replaced
//! when somebody next wants one: there is nothing to restart when the database comes back. One that is closed counts
//! until the server has let go of it: so there are never more than there may be, however long a commit is waited for.
//!
//! A connection that is found to be lost, and one that leads to another server than the last, is a *break*, and counted
//! before anything is done on the next: that may lack what was last done on the one before.
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::address::Address;
use super::rows::column;
use super::session::Session;
use crate::Fault;

/// How long somebody waits for a connection before they are told that there is none.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which server is this, and since when? One that was restored or promoted is another.
const SERVER: &str = "select pg_postmaster_start_time()::text";

pub struct Pool {
    pub address: Address,
    pub runtime: Handle,
    readers: Vec<tokio::sync::Mutex<Option<Arc<Session>>>>,
    turn: AtomicUsize,
    idle: Mutex<Vec<Session>>,
    free: Arc<Semaphore>,
    breaks: AtomicU64,
    /// The server that was connected to last.
    server: Mutex<Option<String>>,
}

/// A connection that nobody else uses. Given back by [`Lent::give_back`]; when it is dropped otherwise, something went
/// wrong in the middle of a transaction, and it is closed. That ends the transaction, unless its commit was sent: then
/// it may come to be, now or when a standby that is waited for is there again.
pub struct Lent {
    session: Option<Session>,
    pool: Arc<Pool>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Lent {
    pub fn session(&self) -> &Session {
        self.session.as_ref().expect("it is there until it is given back")
    }

    /// Says that no transaction is open on it.
    pub fn give_back(mut self) {
        self.pool.idle.lock().expect("no holder panics").extend(self.session.take());
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let (Some(session), Some(permit)) = (self.session.take(), self.permit.take()) else { return };
        self.pool.runtime.spawn(async move {
            session.end().await;
            drop(permit);
        });
    }
}

impl Pool {
    pub fn new(address: Address, runtime: Handle) -> Pool {
        let readers = (0..address.options.readers).map(|_| tokio::sync::Mutex::default()).collect();
        let free = Arc::new(Semaphore::new(address.options.connections));
        let (turn, idle, breaks, server) = Default::default();
        Pool { address, runtime, readers, turn, idle, free, breaks, server }
    }

    pub fn breaks(&self) -> u64 {
        self.breaks.load(Ordering::Acquire)
    }

    /// A connection has ended that nobody here ended.
    pub fn loses(&self) {
        self.breaks.fetch_add(1, Ordering::AcqRel);
    }

    async fn open(&self) -> Result<Session, Fault> {
        let session = Session::open(self.address.clone(), self.runtime.clone()).await?;
        let rows = session.query("asking which server it is", SERVER, &[]).await?;
        let server: String = column(&rows[0], 0)?;
        let mut last = self.server.lock().expect("no holder panics");
        if last.as_ref().is_some_and(|it| *it != server) {
            self.loses();
        }
        *last = Some(server);
        Ok(session)
    }

    /// A connection to read by. Readers take turns, so that a slow answer holds up few.
    pub async fn reader(&self) -> Result<Arc<Session>, Fault> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.readers.len();
        let mut place = self.readers[turn].lock().await;
        if let Some(session) = place.as_ref().filter(|it| !it.is_closed()) {
            return Ok(Arc::clone(session));
        }
        if place.is_some() {
            self.loses();
        }
        if self.address.is_one_moment && place.is_some() {
            return Err(Fault::new("reading", "the connection was lost, and with it the moment that was read"));
        }
        let session = Arc::new(self.open().await?);
        if self.address.is_one_moment {
            session.run("beginning", "begin isolation level repeatable read read only").await?;
        }
        *place = Some(Arc::clone(&session));
        Ok(session)
    }

    /// A connection that is idle. All that were lost while they were are counted once.
    fn idle(&self) -> Option<Session> {
        let mut idle = self.idle.lock().expect("no holder panics");
        let before = idle.len();
        idle.retain(|it| !it.is_closed());
        if idle.len() < before {
            self.loses();
        }
        idle.pop()
    }

    /// A connection to commit by.
    pub async fn lend(self: &Arc<Pool>) -> Result<Lent, Fault> {
        const DOING: &str = "waiting for a connection";
        let waiting = {
            let _entered = self.runtime.enter();
            timeout(PATIENCE, Arc::clone(&self.free).acquire_owned())
        };
        let permit = waiting.await.map_err(|_| Fault::away(DOING, "all are in use"))?;
        let permit = permit.expect("the semaphore is never closed");
        let mut session = match self.idle() {
            Some(session) => session,
            None => self.open().await?,
        };
        session.breaks = self.breaks();
        Ok(Lent { session: Some(session), pool: Arc::clone(self), permit: Some(permit) })
    }
}
