//! A load: connections that ask, wait for the answer, and ask again; or that ask at a steady pace, whatever comes back.
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::fill::Random;

/// Makes the bytes of the next request into the buffer.
pub type Ask = fn(&mut Random, &mut Vec<u8>);

#[derive(Clone, Copy)]
pub struct Load {
    pub address: SocketAddr,
    pub connections: usize,
    pub lasts: Duration,
    /// Requests a second over all connections; as fast as answers come where nothing is said.
    pub pace: Option<u64>,
    pub ask: Ask,
    /// Every answer begins with this, or the run is void.
    pub expected: &'static str,
}

/// What came back: answers, and how long each took in microseconds.
pub struct Answers {
    pub took: Duration,
    pub latencies: Vec<u64>,
}

pub async fn run(load: Load) -> Answers {
    let mut streams = Vec::new();
    for _ in 0..load.connections {
        let stream = TcpStream::connect(load.address).await.expect("the server takes connections");
        stream.set_nodelay(true).expect("no delay");
        streams.push(stream);
    }
    let began = Instant::now();
    let mut connections = JoinSet::new();
    for (number, stream) in (0..).zip(streams) {
        connections.spawn(connection(load, stream, number, began));
    }
    let latencies = connections.join_all().await.into_iter().flatten().collect();
    Answers { took: began.elapsed(), latencies }
}

async fn connection(load: Load, mut stream: TcpStream, number: u64, began: Instant) -> Vec<u64> {
    let mut random = Random::new(0x1234_5678_9abc_def1 ^ (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ nonce());
    let (mut request, mut answer) = (Vec::new(), Vec::new());
    let mut latencies = Vec::new();
    let gap = load.pace.map(|it| Duration::from_nanos(1_000_000_000 * load.connections as u64 / it.max(1)));
    let mut due = began + gap.map_or(Duration::ZERO, |it| Duration::from_nanos(random.next() % nanos(it)));
    while began.elapsed() < load.lasts {
        match gap {
            // A request that could not be sent in time is late from when it should have been.
            Some(gap) => {
                tokio::time::sleep_until(due.into()).await;
                exchange(&mut stream, (&mut random, load), &mut request, &mut answer).await;
                latencies.push(micros(due.elapsed()));
                due += gap;
            }
            None => {
                let asked = Instant::now();
                exchange(&mut stream, (&mut random, load), &mut request, &mut answer).await;
                latencies.push(micros(asked.elapsed()));
            }
        }
    }
    latencies
}

async fn exchange(
    stream: &mut TcpStream,
    (random, load): (&mut Random, Load),
    request: &mut Vec<u8>,
    answer: &mut Vec<u8>,
) {
    request.clear();
    (load.ask)(random, request);
    stream.write_all(request).await.expect("the server reads");
    answer.clear();
    while !is_whole(answer) {
        let read = stream.read_buf(answer).await.expect("the server answers");
        assert!(0 < read, "the server hung up: {}", String::from_utf8_lossy(answer));
    }
    assert!(answer.starts_with(load.expected.as_bytes()), "{}", String::from_utf8_lossy(answer));
}

/// Whether an answer has all the bytes its `content-length` speaks of.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|it| it == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|it| it.strip_prefix("content-length:"));
    let length: usize = length.and_then(|it| it.trim().parse().ok()).expect("answers say their length");
    end + 4 + length <= answer.len()
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).expect("microseconds")
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).expect("nanoseconds").max(1)
}

/// Different for every run of a load, so that no key comes twice.
fn nonce() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    RandomState::new().build_hasher().finish()
}

/// Registers accounts over many connections and grants each more than a benchmark spends. Says how many were granted.
pub async fn register(address: SocketAddr, accounts: usize, key: &'static str) -> usize {
    const CONNECTIONS: usize = 64;
    let mut connections = JoinSet::new();
    for first in 0..CONNECTIONS {
        connections.spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("the server takes connections");
            let mut made = 0;
            for number in (first..accounts).step_by(CONNECTIONS) {
                let account = format!("/v1/accounts/account-{number}");
                let grant = r#"{"credits":"1000000","source":"promo","reason":"benchmark"}"#;
                assert_eq!(send(&mut stream, ("PUT", &account, "{}"), (key, number)).await, 201);
                made +=
                    usize::from(send(&mut stream, ("POST", &(account + "/grants"), grant), (key, number)).await == 201);
            }
            made
        });
    }
    connections.join_all().await.into_iter().sum()
}

/// One request, and the status of its answer.
async fn send(stream: &mut TcpStream, (verb, path, body): (&str, &str, &str), (key, number): (&str, usize)) -> u16 {
    let request = format!(
        "{verb} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\nidempotency-key: fill-{number}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let mut answer = Vec::new();
    while !is_whole(&answer) {
        let read = stream.read_buf(&mut answer).await.expect("the server answers");
        assert!(0 < read, "the server hung up");
    }
    let status = answer.get(9..12).and_then(|it| std::str::from_utf8(it).ok()).and_then(|it| it.parse().ok());
    status.expect("an answer begins with its status")
}
