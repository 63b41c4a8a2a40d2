//! A card number is typed into the provider's page and nowhere else: whatever door it is brought to, it is turned away
//! unread, and nothing of it is kept or logged.
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::served::Served;

const NUMBERS: [&str; 3] = ["4242424242424242", "4000 0027 6000 3184", "3782-822463-10005"];

/// The same as a path may write them.
const DISGUISED: [&str; 3] = ["4242%2D4242%2D4242%2D4242", "%34242424242424242", "4000%2000276000%203184"];

/// A path with something in the place of each of its names.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|it| match it {
        "{action}" => "start",
        it if it.starts_with('{') => "ada",
        it => it,
    });
    parts.collect::<Vec<_>>().join("/")
}

/// What `text` is found in, among all files below `place`.
fn found_in(place: &Path, text: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(place).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found_in(&path, text, found);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        if bytes.windows(text.len()).any(|it| it == text.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
}

#[test]
fn a_card_number_is_refused_at_every_door_and_neither_kept_nor_logged() {
    let directory = Arc::new(TempDir::new().unwrap());
    let server = Served::start_with(Arc::clone(&directory), &[("SCRIP_LOG", "debug"), ("SCRIP_SANDBOX", "1")], "");
    server.account("ada");
    let described: Value = serde_json::from_str(include_str!("../../../openapi.json")).unwrap();
    let (mut doors, mut refused) = (0, 0);
    for (path, operations) in described["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let takes_json = operation["requestBody"]["content"]["application/json"].is_object();
            // What is measured is somebody's work, full of numbers, and not kept; the provider's notices are signed.
            let is_artefact = path.starts_with("/v1/measure/") || path == "/v1/stripe/webhook";
            if !takes_json || is_artefact || !["post", "put"].contains(&&**method) {
                continue;
            }
            doors += 1;
            for number in NUMBERS {
                let body = json!({"note": format!("my card is {number}, thanks")});
                let reply = match &**method {
                    "put" => server.put(&filled(path), &body),
                    _ => server.post(&filled(path), "door", &body),
                };
                let (status, code, field) = reply.problem();
                assert!(!reply.text.contains(number), "{method} {path}: the answer does not say it either");
                // Who asks for what there is not is turned away before anything is read.
                if status == 404 {
                    continue;
                }
                refused += 1;
                assert_eq!(
                    (status, &*code, &*field),
                    (422, "invalid_request", "body"),
                    "{method} {path}: {}",
                    reply.text
                );
            }
        }
    }
    assert!(25 < doors && 45 < refused, "{doors} doors were found, {refused} numbers refused");
    let key =
        server.post("/v1/accounts/ada/grants", NUMBERS[0], &json!({"credits": 1, "source": "promo", "reason": "x"}));
    let problem = key.problem();
    assert_eq!((problem.0, &*problem.2), (422, "Idempotency-Key"), "a key is kept for ever");
    for path in DISGUISED.map(|it| format!("/v1/accounts/{it}")) {
        for reply in [server.get(&path), server.put(&path, &json!({}))] {
            assert_eq!(reply.problem(), (422, "invalid_request".into(), "path".into()), "{path}: {}", reply.text);
        }
    }
    let escaped = r#"{"name":"\u0034242424242424242"}"#;
    for path in ["/v1/charges", "/v1/holds", "/v1/accounts/ada/portal-sessions"] {
        let reply = server.send(path, "escaped", "application/json", escaped);
        assert_eq!(reply.problem(), (422, "invalid_request".into(), "body".into()), "{path}: {}", reply.text);
    }
    for body in [format!("[{escaped}]"), escaped.to_owned()] {
        let media_type = if body.starts_with('[') { "application/json" } else { "application/x-ndjson" };
        let results = server.send("/v1/charges/batch", "", media_type, &body).json();
        assert_eq!(results["results"][0]["error"]["field"], "body", "{results}");
    }
    // Nobody's request is called so; and who was never let in is in the log, too.
    let (brought, called) = server.called("/v1/accounts/ada", NUMBERS[0]);
    assert_eq!(brought, 200);
    assert!(called.starts_with("request_"), "{called}");
    assert_eq!(server.called("/v1/accounts/ada", "1795000000000007").1, "1795000000000007");
    assert_eq!(server.called(&format!("/v1/nowhere/{}", NUMBERS[0]), "mine").0, 404);
    drop(server);
    let mut found = Vec::new();
    for number in NUMBERS.into_iter().chain(DISGUISED) {
        found_in(directory.path(), number, &mut found);
    }
    assert_eq!(found, Vec::<String>::new());
}
