//! A simulator of Stripe, as far as Scrip needs it: customers, hosted pages, cards with and without 3-D Secure,
//! payments, refunds, disputes, events, signed webhooks, and idempotency keys that behave as the real ones do.
//!
//! It is for tests, which drive it under `/_sim/` (see `control`) and plan what goes wrong, and for the demonstration,
//! so that a newcomer can buy credits with no account anywhere. It takes test keys and test cards alone. It shares no
//! code with the product: it is the other side, and must be able to disagree. What it answers is checked against the
//! provider's own types and its own client library; see `tests/`.
//!
//! State is in memory, ids come from a counter, and time may stand still: the same requests give the same answers.
// The objects are written as they are shown, and some have more members than the macro takes by itself.
#![recursion_limit = "512"]

mod api;
mod card_table;
mod checkout;
mod clock;
mod control;
mod customers;
mod faults;
mod intents;
mod keys;
mod memory;
mod methods;
mod notices;
mod objects;
mod pages;
mod params;
mod problem;
mod refunds;
mod serve;
mod setups;
mod shelf;
mod world;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use card_table::{After, Bank, CARDS, Proof, TestCard};
pub use clock::Clock;
use serve::Shared;
use world::World;

/// The version of the provider's interface it speaks, whatever is asked for.
pub const VERSION: &str = "2026-10-28.endive";

#[derive(Clone, Debug)]
pub struct Options {
    /// Port 0 finds a free one.
    pub listen: SocketAddr,
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Options {
        Options { listen: SocketAddr::from(([127, 0, 0, 1], 0)), clock: Clock::Machine { ahead: 0 } }
    }
}

/// A running simulator; it stops when this is dropped.
#[derive(Debug)]
pub struct Sim {
    url: String,
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
}

impl Sim {
    /// Starts it, ready to be asked when this returns.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub fn start(options: &Options) -> std::io::Result<Sim> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind(options.listen))?;
        let url = format!("http://{}", listener.local_addr()?);
        let shared = Shared::new(World::new(options.clock, url.clone()));
        let (stop, stopped) = watch::channel(false);
        let (asked, telling) = (Arc::clone(&shared), Arc::clone(&shared));
        let server = std::thread::spawn(move || runtime.block_on(accept(listener, asked, stopped)));
        let teller = std::thread::spawn(move || telling.tell());
        Ok(Sim { url, shared, stop, threads: vec![server, teller] })
    }

    /// `http://127.0.0.1:40123`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Does what a request under `/_sim/` would: `control("POST", "advance", …)`.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn control(&self, method: &str, path: &str, said: &Value) -> Result<Value, String> {
        self.shared.control(method, path, said)
    }

    /// Serves until the process ends.
    pub fn wait(mut self) {
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        self.shared.end();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|it| *it) => return,
        };
        let Ok((stream, _)) = accepted else { continue };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let answer = service_fn(move |request| serve::answer(Arc::clone(&shared), request));
            // A connection that breaks off is either planned or the other side's doing.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}
