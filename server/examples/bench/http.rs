//! Charges over HTTP, beside a server of the same make that only echoes: what the network and the framework cost.
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use tokio::runtime::Runtime;

use super::Options;
use super::fill::{self, Random};
use super::load::{self, Load};
use super::table::{grouped, millis, per_second, percent, quantile, row};

pub const KEY: &str = "scrip_0000000000000000000000000000000000000000000000000000000000000000";
/// Charges in one batch.
const BATCH: usize = 1_000;
/// Tries to reach a server that is starting.
const TRIES_MAX: u32 = 400;

static ACCOUNTS: OnceLock<usize> = OnceLock::new();
static MODEL: OnceLock<String> = OnceLock::new();

pub fn run(options: &Options) {
    let accounts = *ACCOUNTS.get_or_init(|| options.number("accounts", 10_000));
    MODEL.get_or_init(fill::model);
    let lasts = Duration::from_secs(options.number("seconds", 5));
    let runtime = Runtime::new().expect("a runtime");
    let directory = tempfile::tempdir().expect("a place for the store");
    let (echo, scrip) = (free_address(), free_address());
    let _echo = Running(start(&std::env::current_exe().expect("this program"), &["echo", &echo.to_string()]));
    let data = directory.path().display().to_string();
    let _scrip = Running(start(&binary(), &["serve", "--listen", &scrip.to_string(), "--data-dir", &data]));
    wait_for(echo);
    wait_for(scrip);
    let made = runtime.block_on(load::register(scrip, accounts, KEY));
    assert_eq!(made, accounts, "every account is registered and granted");
    println!(
        "http: {} accounts, {} s a figure; load generator on the same machine",
        grouped(accounts as u64),
        lasts.as_secs()
    );
    row(&["connections", "echo/s", "charges/s", "of echo", "p50", "p99", "p99 at half", "echo's then", "batched/s"]);
    for connections in options.numbers("connections", &[1, 16, 64, 256]) {
        let load = |address, ask, expected| Load { address, connections, lasts, pace: None, ask, expected };
        let go = |it: Load| runtime.block_on(load::run(it));
        let echoed = go(load(echo, ask_single, "HTTP/1.1 200"));
        let mut single = go(load(scrip, ask_single, "HTTP/1.1 201"));
        let echo_rate = per_second(echoed.latencies.len() as u64, echoed.took);
        let rate = per_second(single.latencies.len() as u64, single.took);
        let mut half = go(Load { pace: Some(rate / 2), ..load(scrip, ask_single, "HTTP/1.1 201") });
        // What this machine adds at the same pace.
        let mut beside = go(Load { pace: Some(rate / 2), ..load(echo, ask_single, "HTTP/1.1 200") });
        let batches = go(load(scrip, ask_batch, "HTTP/1.1 200"));
        let batched = per_second((batches.latencies.len() * BATCH) as u64, batches.took);
        row(&[
            &grouped(connections as u64),
            &grouped(echo_rate),
            &grouped(rate),
            &percent(rate, echo_rate),
            &millis(quantile(&mut single.latencies, 500)),
            &millis(quantile(&mut single.latencies, 990)),
            &millis(quantile(&mut half.latencies, 990)),
            &millis(quantile(&mut beside.latencies, 990)),
            &grouped(batched),
        ]);
    }
}

/// The baseline: the same framework and body, and nothing done with it.
pub fn echo() {
    let address = std::env::args().nth(2).expect("an address");
    Runtime::new().expect("a runtime").block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await.expect("the address is free");
        let router = Router::new().route("/v1/charges", post(|body: axum::body::Bytes| async { body }));
        axum::serve(listener, router).await.expect("echoing goes on");
    });
}

fn ask_single(random: &mut Random, request: &mut Vec<u8>) {
    let mut body = Vec::with_capacity(256);
    charge(random, &mut body);
    head(request, "/v1/charges", body.len());
    request.extend_from_slice(&body);
}

fn ask_batch(random: &mut Random, request: &mut Vec<u8>) {
    let mut body = Vec::with_capacity(256 * BATCH);
    body.push(b'[');
    for place in 0..BATCH {
        if 0 < place {
            body.push(b',');
        }
        charge(random, &mut body);
    }
    body.push(b']');
    head(request, "/v1/charges/batch", body.len());
    request.extend_from_slice(&body);
}

fn head(request: &mut Vec<u8>, path: &str, length: usize) {
    write!(
        request,
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n"
    )
    .expect("a buffer takes what is written");
}

fn charge(random: &mut Random, body: &mut Vec<u8>) {
    let account = random.below(*ACCOUNTS.get().expect("the run began"));
    let (input, output) = (10 + random.next() % 200, 5 + random.next() % 80);
    let model = MODEL.get().expect("the run began");
    write!(
        body,
        "{{\"account\":\"account-{account}\",\"project\":\"project-{}\",\"meter\":\"ai_chat\",\
         \"dimensions\":{{\"model\":\"{model}\"}},\
         \"quantities\":{{\"input_tokens\":{input},\"output_tokens\":{output}}},\
         \"idempotency_key\":\"{:016x}{:016x}\"}}",
        random.below(10),
        random.next(),
        random.next()
    )
    .expect("a buffer takes what is written");
}

/// The server, built beside this program.
pub fn binary() -> std::path::PathBuf {
    let beside = std::env::current_exe().expect("this program");
    beside.parent().and_then(|it| it.parent()).expect("examples lie in the target").join("scrip")
}

pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a free port")
}

pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        // A benchmark's server is not mourned.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn start(program: &std::path::Path, words: &[&str]) -> Child {
    let mut command = Command::new(program);
    command.args(words).env("SCRIP_ADMIN_KEY", KEY).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap_or_else(|it| panic!("{} did not start ({it}): build it first", program.display()))
}

pub fn wait_for(address: SocketAddr) {
    for _ in 0..TRIES_MAX {
        if std::net::TcpStream::connect(address).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    panic!("nothing answers at {address}");
}
