//! A freshly built `scrip serve` on a free port of the loopback, with an empty data directory, for as long as a value
//! lives.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::process::{Outcome, Problem, cargo, command, root, run};

/// The binary is slow to its first answer only when something is wrong.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Shaped like a key the server makes itself; the only server that knows it lives for one run of a check.
const KEY: &str = "scrip_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A directory that goes away with the value.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Outcome<Scratch> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("scrip-xtask-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path)
            .map_err(|error| Problem::new(format!("cannot make the directory {}: {error}", path.display())))?;
        Ok(Scratch(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left behind in the temporary directory does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What the simulated payment provider signs its notices with.
const NOTICE_SECRET: &str = "whsec_of_a_run_of_xtask";

/// The simulator of the payment provider, while a server sells through it.
struct Provider(Child);

impl Provider {
    /// Starts it beside the binary that serves, telling the server at `address` what happens.
    fn start(scrip: &Path, at: &str, address: &str) -> Outcome<Provider> {
        let program = scrip.with_file_name("stripe-sim");
        let child = command(&program)
            .args([at, &format!("http://{address}/v1/stripe/webhook"), NOTICE_SECRET])
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| Problem::new(format!("cannot start {}: {error}", program.display())))?;
        Ok(Provider(child))
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub struct Served {
    child: Child,
    _provider: Option<Provider>,
    scrip: PathBuf,
    address: String,
    log: PathBuf,
    _scratch: Scratch,
}

impl Served {
    /// Starts the server and waits until it says that it is ready.
    pub fn start() -> Outcome<Served> {
        Served::start_at(&free_address()?, None)
    }

    /// The same, with a simulated payment provider behind it.
    pub fn start_selling() -> Outcome<Served> {
        let (address, provider) = (free_address()?, free_address()?);
        Served::start_at(&address, Some(&provider))
    }

    fn start_at(address: &str, sells_through: Option<&str>) -> Outcome<Served> {
        let scrip = built()?;
        let scratch = Scratch::new()?;
        let provider = sells_through.map(|it| Provider::start(&scrip, it, address)).transpose()?;
        let log = scratch.path().join("serve.log");
        let file = |error| Problem::new(format!("cannot keep the server's log at {}: {error}", log.display()));
        let out = File::create(&log).map_err(file)?;
        let err = out.try_clone().map_err(file)?;
        let child = command(&scrip)
            .args(["serve", "--listen", address, "--data-dir"])
            .arg(scratch.path().join("data"))
            .env("SCRIP_ADMIN_KEY", KEY)
            .env_remove("SCRIP_DATABASE_URL")
            .envs(sells_through.into_iter().flat_map(|it| {
                let base = format!("http://{it}");
                let names = ["STRIPE_API_BASE", "STRIPE_SECRET_KEY", "STRIPE_PUBLISHABLE_KEY", "STRIPE_WEBHOOK_SECRET"];
                let values = [&*base, "sk_test_of_a_run", "pk_test_of_a_run", NOTICE_SECRET].map(str::to_owned);
                names.into_iter().zip(values).collect::<Vec<_>>()
            }))
            .stdout(Stdio::from(out))
            .stderr(Stdio::from(err))
            .spawn()
            .map_err(|error| Problem::new(format!("cannot start {}: {error}", scrip.display())))?;
        let address = address.to_owned();
        let mut served = Served { child, _provider: provider, scrip, address, log, _scratch: scratch };
        served.wait_until_ready()?;
        Ok(served)
    }

    /// The directory of the binary that serves.
    pub fn binaries(&self) -> &Path {
        self.scrip.parent().expect("a file lies in a directory")
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// An API key that may do everything.
    pub fn key(&self) -> &'static str {
        KEY
    }

    /// The end of what the server logged: where to look when a check against it failed.
    pub fn log_tail(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn wait_until_ready(&mut self) -> Outcome {
        let started = Instant::now();
        while !is_ready(&self.address) {
            let ended = matches!(self.child.try_wait(), Ok(Some(_)));
            if ended || READY_WITHIN < started.elapsed() {
                let what = if ended { "ended before it was ready" } else { "did not become ready in 30 seconds" };
                return Err(Problem::new(format!("`scrip serve` {what}; it said:\n{}", self.log_tail())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // Both fail only when the server has already ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Builds the binary and says where it is.
///
/// Built together with the tests, in their profile: dependencies then have the features they have in `cargo test`,
/// and whoever has run the tests has nothing left to compile.
pub fn built() -> Outcome<PathBuf> {
    run(cargo().args(["build", "--quiet", "--workspace", "--bins", "--tests"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |set| root().join(set));
    let scrip = target.join("debug").join("scrip");
    if scrip.is_file() {
        Ok(scrip)
    } else {
        Err(Problem::new(format!(
            "the build left no {}: is its place set in a configuration of cargo?",
            scrip.display()
        )))
    }
}

fn free_address() -> Outcome<String> {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    free.map(|address| address.to_string()).map_err(|error| Problem::new(format!("no free port on loopback: {error}")))
}

fn is_ready(address: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}
