//! Batches: order kept, each its own result, JSON and NDJSON alike.
use serde_json::{Value, json};

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
