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

/// People type what they type: it is counted, by its tokens, and nothing of it stays.
fn a_chat_is_counted_whatever_is_in_it(server: &Served) {
    let said = format!("my cards are {} and {}", NUMBERS[0], NUMBERS[1]);
    let chat = json!({"model": "gpt-6.1-terra", "messages": [{"role": "user", "content": said}], "reply": said});
    let measured = server.post("/v1/measure/chat", "", &chat);
    assert_eq!(measured.status, 200, "{}", measured.text);
    let order = |key: &str, input: &Value| {
        let order = json!({"account": "ada", "meter": "ai_chat", "input": input, "idempotency_key": key});
        (server.post("/v1/charges", "", &order), server.post("/v1/charges/batch", "", &json!([order])))
    };
    let (charged, batch) = order("chat", &chat);
    assert_eq!((charged.status, &charged.json()["quantities"]), (201, &measured.json()["quantities"]));
    assert_eq!(batch.json()["duplicates"], 1, "{}", batch.text);
    let quote = json!({"account": "ada", "meter": "ai_chat", "input": chat, "binding_for_seconds": 60});
    assert_eq!(server.post("/v1/quotes", "", &quote).status, 200);
    // What would stay of an artefact is looked at as everything is that stays.
    let mut named = chat;
    named["model"] = json!(NUMBERS[0]);
    let plan = json!({"scrip_plan": 1, "services": [{"name": NUMBERS[0], "image": "web"}]});
    let refused = order("named", &named);
    let ndjson = refused.1.json()["results"][0]["error"]["field"].clone();
    assert_eq!((refused.0.problem(), ndjson), ((422, "invalid_request".into(), "input".into()), json!("input")));
    assert_eq!(server.post("/v1/measure/plan", "", &plan).status, 200);
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
    // A key is kept for ever, and programs make keys of numbers: it works, and not as it came.
    let grant = |key: &str| {
        let body = json!({"credits": 1, "source": "promo", "reason": "x"});
        server.post("/v1/accounts/ada/grants", key, &body)
    };
    let (first, again) = (grant(NUMBERS[0]), grant(NUMBERS[0]));
    assert_eq!((first.status, &again.text), (201, &first.text));
    assert_eq!(again.header("idempotent-replay"), Some("true"));
    let charge = crate::served::chat("ada", NUMBERS[2], 8_000);
    let (first, again) = (server.charge(&charge), server.charge(&charge));
    assert_eq!((first.status, &again.text), (201, &first.text), "another request, and as good a key");
    let entries = server.get("/v1/accounts/ada/entries?meter=ai_chat").json();
    let kept = entries["data"][0]["idempotency_key"].as_str().unwrap();
    assert!(kept.starts_with("sha256:"), "{kept}");
    a_chat_is_counted_whatever_is_in_it(&server);
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
