//! Connections: some are shared by all readers, the others are lent to one transaction at a time.
//!
//! Invariant: what is lent comes back between two transactions, or is closed. A connection that was lost is replaced
//! when somebody next wants one: there is nothing to restart when the database comes back. One that is closed counts
//! until the server has let go of it: so there are never more than there may be, however long a commit is waited for.
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::address::Address;
use super::session::Session;
use crate::Fault;

/// How long somebody waits for a connection before they are told that there is none.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Pool {
    pub address: Address,
    pub runtime: Handle,
    readers: Vec<tokio::sync::Mutex<Option<Arc<Session>>>>,
    turn: AtomicUsize,
    idle: Mutex<Vec<Session>>,
    free: Arc<Semaphore>,
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
        let session = self.session.take().filter(|it| !it.is_closed());
        self.pool.idle.lock().expect("no holder panics").extend(session);
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
        Pool { address, runtime, readers, turn: AtomicUsize::new(0), idle: Mutex::default(), free }
    }

    /// A connection to read by. Readers take turns, so that a slow answer holds up few.
    pub async fn reader(&self) -> Result<Arc<Session>, Fault> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.readers.len();
        let mut place = self.readers[turn].lock().await;
        if let Some(session) = place.as_ref().filter(|it| !it.is_closed()) {
            return Ok(Arc::clone(session));
        }
        if self.address.is_one_moment && place.is_some() {
            return Err(Fault::new("reading", "the connection was lost, and with it the moment that was read"));
        }
        let session = Arc::new(Session::open(self.address.clone(), self.runtime.clone()).await?);
        if self.address.is_one_moment {
            session.run("beginning", "begin isolation level repeatable read read only").await?;
        }
        *place = Some(Arc::clone(&session));
        Ok(session)
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
        let idle = || self.idle.lock().expect("no holder panics").pop();
        let session = loop {
            match idle() {
                Some(session) if session.is_closed() => {}
                Some(session) => break session,
                None => break Session::open(self.address.clone(), self.runtime.clone()).await?,
            }
        };
        Ok(Lent { session: Some(session), pool: Arc::clone(self), permit: Some(permit) })
    }
}
