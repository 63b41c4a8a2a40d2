//! Killing the server in the middle of its work: what it acknowledged is there, and nothing is there twice.
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use tempfile::TempDir;

use crate::served::{ADMIN, Served, chat};

/// More with `SCRIP_CRASH_ROUNDS=100`; the store is killed a hundred times in its own tests.
const ROUNDS: usize = 20;
const CALLERS: usize = 4;
/// Acknowledged charges of a round after which the server is killed, in the middle of the next.
const ACKNOWLEDGED: usize = 30;

/// Charges a credit at a time, each under its own key, until the server is gone; says which were acknowledged.
fn charge_until_killed(url: &str, round: usize, caller: usize, acknowledged: &Sender<String>) {
    let address = url.strip_prefix("http://").unwrap();
    let Ok(stream) = TcpStream::connect(address) else { return };
    let mut replies = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    for number in 0.. {
        let key = format!("round-{round}-caller-{caller}-{number}");
        let body = chat("ada", &key, 8_000).to_string();
        let request = format!(
            "POST /v1/charges HTTP/1.1\r\nhost: scrip\r\nauthorization: Bearer {ADMIN}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(request.as_bytes()).is_err() {
            return;
        }
        match read_status(&mut replies) {
            Some(201) => acknowledged.send(key).unwrap(),
            Some(other) => panic!("{other}"),
            None => return,
        }
    }
}

/// The status of an answer that came whole.
fn read_status(replies: &mut impl BufRead) -> Option<u16> {
    let (mut status, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if replies.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(rest) = line.strip_prefix("http/1.1 ") {
            status = rest[..3].parse().ok();
        }
        if let Some(rest) = line.strip_prefix("content-length: ") {
            length = rest.parse().ok()?;
        }
    }
    replies.read_exact(&mut vec![0; length]).ok()?;
    status
}

/// Whoever looks after the process must hear of it: nothing but another start helps.
#[test]
fn a_server_whose_disk_was_full_says_that_it_must_be_started_again() {
    let server = Served::on_a_little_disk(TempDir::new().unwrap(), 4_000);
    server.account("ada");
    assert_eq!([server.get("/readyz").status, server.get("/healthz").status], [200, 200]);
    let mut grants = (0..20_000).map(|it| {
        let grant = serde_json::json!({"credits": "1", "source": "promo", "reason": "x".repeat(400)});
        server.post("/v1/accounts/ada/grants", &format!("grant-{it}"), &grant).status
    });
    assert_eq!(grants.find(|it| *it != 201), Some(500));
    assert_eq!([server.get("/readyz").status, server.get("/healthz").status], [503, 503]);
    let directory = server.stop();
    let verified = std::process::Command::new(env!("CARGO_BIN_EXE_scrip"))
        .args(["verify", "--data-dir"])
        .arg(directory.path())
        .output()
        .unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}

#[test]
fn what_was_acknowledged_outlives_the_server_and_counts_once() {
    let rounds = std::env::var("SCRIP_CRASH_ROUNDS").map_or(ROUNDS, |it| it.parse().unwrap());
    let directory = Arc::new(TempDir::new().unwrap());
    let mut acknowledged = BTreeSet::new();
    for round in 0..rounds {
        let mut server = Served::start_with(Arc::clone(&directory), &[], "");
        if round == 0 {
            server.account("ada");
            let grant = serde_json::json!({"credits": "100000", "source": "promo", "reason": "for the test"});
            assert_eq!(server.post("/v1/accounts/ada/grants", "grant", &grant).status, 201);
        }
        let (say, heard) = channel();
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (url, say) = (server.url.clone(), say.clone());
                thread::spawn(move || charge_until_killed(&url, round, caller, &say))
            })
            .collect();
        drop(say);
        acknowledged.extend(heard.iter().take(ACKNOWLEDGED));
        server.kill();
        callers.into_iter().for_each(|it| it.join().unwrap());
        acknowledged.extend(heard.iter());
    }
    let server = Served::start_with(directory, &[], "");
    for key in &acknowledged {
        let again = server.charge(&chat("ada", key, 8_000));
        assert_eq!((again.status, again.header("idempotent-replay")), (201, Some("true")), "{key} was acknowledged");
    }
    // Each caller may have had one more in the air each time: written or not, never twice.
    let spent = 100_600 - server.available("ada").parse::<usize>().unwrap();
    assert!((acknowledged.len()..=acknowledged.len() + rounds * CALLERS).contains(&spent), "{spent}");
    let directory = server.stop();
    let data = directory.path().join("data");
    let verified = std::process::Command::new(env!("CARGO_BIN_EXE_scrip"))
        .args(["verify", "--data-dir"])
        .arg(&data)
        .env_remove("SCRIP_DATABASE_URL")
        .output()
        .unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}
