//! Traces, where they were built in: `cargo test -p server --features otlp --test it traces::`.
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use tempfile::TempDir;

use crate::served::Served;

/// The body of the first request that comes.
fn collected(listener: &TcpListener) -> (String, Vec<u8>) {
    let (stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut line, mut first, mut length) = (String::new(), String::new(), 0);
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).unwrap();
        if first.is_empty() {
            first = line.trim_end().to_owned();
        }
        if let Some(it) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = it.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (&stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    (first, body)
}

#[test]
fn a_request_is_a_span_of_its_callers_trace() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let environment = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint)];
    let server = Served::start_with(Arc::new(TempDir::new().unwrap()), &environment, "");
    let trace: [u8; 16] = std::array::from_fn(|it| u8::try_from(it + 1).unwrap());
    let parent = format!("00-{}-0102030405060708-01", trace.map(|it| format!("{it:02x}")).concat());
    let asked = ureq::get(format!("{}/healthz", server.url)).header("traceparent", parent).call().unwrap();
    assert_eq!(asked.status(), 200);
    let telling = std::thread::spawn(move || collected(&listener));
    // What has gathered is told at the end, if not before.
    server.stop();
    let (line, body) = telling.join().unwrap();
    assert_eq!(line, "POST /v1/traces HTTP/1.1");
    let holds = |part: &[u8]| body.windows(part.len()).any(|it| it == part);
    for part in [&trace[..], b"/healthz", b"http.response.status_code", b"scrip.request_id", b"service.name"] {
        assert!(holds(part), "{}", String::from_utf8_lossy(part));
    }
}
