//! Batches: order kept, each its own result, JSON and NDJSON alike.
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cluster::Schema;
use crate::served::{Served, chat};

/// Good, misspelt, too dear, good again.
fn mixed() -> Vec<Value> {
    let mut misspelt = chat("ada", "b2", 8_000);
    misspelt["quantities"] = json!({"input_tokens": -1});
    vec![chat("ada", "b1", 8_000), misspelt, chat("ada", "b3", 80_000_000), chat("ada", "b4", 16_000)]
}

fn outcomes(reply: &Value) -> Vec<(u64, String)> {
    let results = reply["results"].as_array().unwrap();
    let outcome = |it: &Value| {
        let what = it["charge"]["credits"].as_str().or(it["error"]["code"].as_str()).unwrap_or_default();
        (it["status"].as_u64().unwrap(), what.to_owned())
    };
    results.iter().map(outcome).collect()
}

#[test]
fn each_of_a_batch_has_its_own_result_in_order() {
    let server = Served::start();
    server.account("ada");
    let wanted: Vec<(u64, String)> = vec![
        (201, "1".into()),
        (422, "invalid_request".into()),
        (402, "insufficient_credits".into()),
        (201, "2".into()),
    ];
    let first = server.post("/v1/charges/batch", "", &json!(mixed()));
    assert_eq!(first.status, 200, "{}", first.text);
    assert_eq!(outcomes(&first.json()), wanted);
    assert_eq!(first.json()["results"][1]["error"]["field"], "quantities.input_tokens");
    assert_eq!(
        json!([first.json()["accepted"], first.json()["refused"], first.json()["duplicates"]]),
        json!([2, 2, 0])
    );
    let lines: Vec<String> = mixed().iter().map(Value::to_string).collect();
    let again = server.send("/v1/charges/batch", "", "application/x-ndjson", &lines.join("\n"));
    assert_eq!(outcomes(&again.json()), wanted);
    assert_eq!(
        json!([again.json()["accepted"], again.json()["refused"], again.json()["duplicates"]]),
        json!([0, 2, 2])
    );
    assert_eq!(again.json()["results"][3]["charge"], first.json()["results"][3]["charge"]);
    assert_eq!(server.available("ada"), "597");
}

#[test]
fn a_line_that_is_not_json_spoils_only_itself() {
    let server = Served::start();
    server.account("ada");
    let body = format!("{}\n{{oops\n\n{}\n", chat("ada", "n1", 8_000), chat("ada", "n2", 8_000));
    let reply = server.send("/v1/charges/batch", "", "application/x-ndjson", &body).json();
    assert_eq!(outcomes(&reply), [(201, "1".into()), (400, "malformed_json".into()), (201, "1".into())]);
    // Where it stands in the batch, and not in itself.
    let why = &reply["results"][1]["error"];
    assert_eq!((&why["line"], &why["column"]), (&json!(2), &json!(2)), "{why}");
    assert_eq!(why["detail"], "the body is not JSON: a name must stand in double quotes (line 2, column 2)");
    let spoilt = server.send("/v1/charges/batch", "", "application/json", "[{oops]");
    assert_eq!(spoilt.problem().1, "malformed_json");
}

#[test]
fn a_batch_has_one_to_ten_thousand() {
    let server = Served::start();
    server.account("ada");
    assert_eq!(server.post("/v1/charges/batch", "", &json!([])).problem().0, 422);
    let all: Vec<Value> = (0..10_001).map(|it| chat("ada", &format!("k{it}"), 8)).collect();
    assert_eq!(server.post("/v1/charges/batch", "", &json!(all)).problem().0, 422);
    let most = server.post("/v1/charges/batch", "", &json!(all[..10_000])).json();
    assert_eq!((&most["accepted"], &most["refused"]), (&json!(10_000), &json!(0)));
    assert_eq!(server.available("ada"), "590");
}

#[test]
fn a_card_number_in_one_of_a_batch_refuses_that_one() {
    let server = Served::start();
    server.account("ada");
    let mut careless = chat("ada", "b1", 8_000);
    careless["metadata"] = json!({"note": "4242 4242 4242 4242"});
    let batch = json!([careless, chat("ada", "b2", 8_000)]);
    let lines = format!("{}\n{}\n", batch[0], batch[1]);
    for reply in [
        server.post("/v1/charges/batch", "", &batch),
        server.send("/v1/charges/batch", "", "application/x-ndjson", &lines),
    ] {
        let wanted = [(422, "invalid_request".to_owned()), (201, "1".to_owned())];
        assert_eq!(outcomes(&reply.json()), wanted, "{}", reply.text);
        assert!(!reply.text.contains("4242"));
    }
    assert_eq!(server.available("ada"), "599");
}

/// A request with its head, and as much of its body as `body` is.
fn began(server: &Served, path: &str, header: &str, length: usize, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: scrip\r\nauthorization: Bearer {}\r\n{header}\r\n\
         content-length: {length}\r\n\r\n{body}",
        server.key
    )
    .unwrap();
    stream
}

/// An upload of so many bytes that asks before it sends them: it goes on where it is let in, and has its room then.
fn let_in(server: &Served, bytes: usize) -> Option<TcpStream> {
    let asks = "content-type: application/zip\r\nexpect: 100-continue";
    let mut upload = began(server, "/v1/measure/repository", asks, bytes, "");
    let mut answer = [0; 12];
    upload.read_exact(&mut answer).unwrap();
    match &answer {
        b"HTTP/1.1 100" => Some(upload),
        b"HTTP/1.1 503" => None,
        other => panic!("{}", String::from_utf8_lossy(other)),
    }
}
/// Half of the 512 MiB there are for all uploads together.
fn half(server: &Served) -> TcpStream {
    let_in(server, 256 << 20).expect("there is room for it")
}
/// Beside it there is room for nearly as much, but not beside a batch of some MiB as well.
fn refuses_the_other_half(server: &Served) -> bool {
    let_in(server, (256 << 20) - (4 << 20)).is_none()
}
fn wait_for_room(server: &Served) {
    let began = Instant::now();
    while refuses_the_other_half(server) {
        assert!(began.elapsed() < Duration::from_secs(120), "its room is given back");
        std::thread::yield_now();
    }
}

/// A batch has its room as long as it is worked on, though nobody waits for it any more. Here another has the account
/// in the database, for as long as the story likes; so it is told on a PostgreSQL whatever the others are told on.
#[test]
fn a_batch_that_was_left_keeps_its_room_until_it_is_done() {
    let schema = Schema::new();
    // Nobody gives up waiting before the story goes on.
    let patient = format!("{}&statement_timeout_ms=600000", schema.url());
    let directory = Arc::new(TempDir::new().unwrap());
    let server = Served::start_with(directory, &[("SCRIP_DATABASE_URL", &patient)], "");
    server.account("ada");
    let (mut other, mut watch) = (schema.hand(), schema.hand());
    let mut held = other.transaction().unwrap();
    held.execute("select version from books for update", &[]).unwrap();
    let own: i32 = held.query_one("select pg_backend_pid()", &[]).unwrap().get(0);
    let batch = format!("{}{}", " ".repeat(8 << 20), json!([chat("ada", "left", 8_000)]));
    let left = began(&server, "/v1/charges/batch", "content-type: application/json", batch.len(), &batch);
    let waiting = "select count(*) from pg_stat_activity where $1 = any(pg_blocking_pids(pid))";
    let began = Instant::now();
    while watch.query_one(waiting, &[&own]).unwrap().get::<_, i64>(0) == 0 {
        assert!(began.elapsed() < Duration::from_secs(120), "the batch comes to its account");
        std::thread::yield_now();
    }
    let half = half(&server);
    assert!((0..10).all(|_| refuses_the_other_half(&server)), "there is no room beside it");
    drop(left);
    assert!((0..10).all(|_| refuses_the_other_half(&server)), "it is worked on still, after its client is gone");
    held.rollback().unwrap();
    wait_for_room(&server);
    drop(half);
    assert_eq!(server.available("ada"), "599", "what it asked for was done");
}

/// So has one that is measured still, on a thread that no client can call back.
#[test]
fn a_batch_that_was_left_keeps_its_room_while_it_is_measured() {
    let server = Served::start();
    server.account("ada");
    // Long words, on each of which a while is spent.
    let letter = |it: u32| char::from(b'a' + u8::try_from(it.wrapping_mul(2_654_435_761) >> 24).unwrap() % 26);
    let text: String = (0..8 << 20).map(|it| if it % 100_000 == 0 { ' ' } else { letter(it) }).collect();
    let mut charge = chat("ada", "slow", 1);
    charge["quantities"] = Value::Null;
    charge["input"] = json!({"model": "gpt-6.1-terra", "text": text});
    let batch = json!([charge]).to_string();
    let left = began(&server, "/v1/charges/batch", "content-type: application/json", batch.len(), &batch);
    // Sent is not begun: what a client asks for who goes away before that is never done.
    let is_measured = || server.get("/metrics").text.contains("\nscrip_measurements_under_way 1\n");
    let began = Instant::now();
    while !is_measured() {
        assert!(began.elapsed() < Duration::from_secs(120), "the batch comes to its turn");
        std::thread::yield_now();
    }
    let half = half(&server);
    assert!(refuses_the_other_half(&server), "there is no room beside it");
    drop(left);
    for _ in 0..2 {
        let is_refused = refuses_the_other_half(&server);
        assert!(is_measured(), "it takes longer than a few requests do");
        assert!(is_refused, "it is worked on still, after its client is gone");
    }
    wait_for_room(&server);
    drop(half);
}
