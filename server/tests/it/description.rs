//! The OpenAPI document: precise, complete, and the one in the repository.
use serde_json::Value;
use server::http::document;

/// A page of it as CSV says in a header where the next one begins.
const CSV_PAGES: &str = "get /v1/accounts/{account}/entries";

fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
    document["paths"].as_object().unwrap().iter().flat_map(|(path, item)| {
        item.as_object().unwrap().iter().map(move |(method, it)| (format!("{method} {path}"), it))
    })
}

#[test]
fn the_document_in_the_repository_is_what_the_code_says() {
    let kept = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi.json")).unwrap();
    assert!(kept == format!("{:#}\n", document()), "run `cargo xtask openapi` and look at the difference");
}

#[test]
fn every_operation_is_described() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = Vec::new();
    for (name, operation) in operations(&document) {
        ids.push(operation["operationId"].as_str().unwrap_or_else(|| panic!("{name} has no operationId")).to_owned());
        assert!(operation["summary"].is_string(), "{name} has no summary");
        assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{name} has no tag");
        assert!(operation["security"].is_array(), "{name} does not say whether it needs a key");
        let statuses: Vec<&str> = operation["responses"].as_object().unwrap().keys().map(String::as_str).collect();
        assert!(statuses.iter().any(|it| it.starts_with('2')), "{name} never succeeds");
        for (status, response) in operation["responses"].as_object().unwrap() {
            let reference = response["$ref"].as_str().map(|it| it.trim_start_matches('#'));
            let response = reference.and_then(|it| document.pointer(it)).unwrap_or(response);
            assert!(response["description"].as_str().is_some_and(|it| !it.is_empty()), "{name} {status}");
            let headers =
                ["X-Request-Id"].into_iter().chain((name == CSV_PAGES && status == "200").then_some("Next-Cursor"));
            for header in headers {
                assert!(response["headers"][header].is_object(), "{name} {status} {header}");
            }
            if status.starts_with(['4', '5']) {
                assert!(response["content"]["application/problem+json"].is_object(), "{name} {status}");
            }
        }
        if operation["security"][0]["api_key"].is_array() {
            for status in ["401", "403", "422", "429", "500", "503"] {
                assert!(statuses.contains(&status), "{name} can answer {status}");
            }
        }
        if operation.get("requestBody").is_some() {
            for status in ["400", "413", "415", "422"] {
                assert!(statuses.contains(&status), "{name} can answer {status}");
            }
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["description"].is_string(), "{name} {parameter}");
            assert!(parameter["schema"].is_object(), "{name} {parameter}");
        }
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "operation ids are unique");
}

#[test]
fn every_post_that_changes_something_takes_an_idempotency_key() {
    // Charges and holds have theirs in the body, the provider's notices have names; measuring changes nothing.
    let without = ["createCharge", "createCharges", "createHold", "takeStripeNotice"];
    let document = document();
    for (name, operation) in operations(&document).filter(|it| it.0.starts_with("post ")) {
        let id = operation["operationId"].as_str().unwrap();
        let mut parameters = operation["parameters"].as_array().into_iter().flatten();
        let takes_one = parameters.any(|it| it["name"] == "Idempotency-Key");
        assert_eq!(takes_one, !without.contains(&id) && !id.starts_with("measure"), "{name}");
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_request_is_closed() {
    let document = document();
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(entries) => {
                found.extend(entries.get("$ref").and_then(Value::as_str));
                entries.values().for_each(|it| references(it, found));
            }
            Value::Array(items) => items.iter().for_each(|it| references(it, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    references(&document, &mut found);
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference} leads nowhere");
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        if name.ends_with("Request") && name != "ChatRequest" {
            assert_eq!(schema["additionalProperties"], false, "{name}");
            assert!(schema["example"].is_object() || schema["examples"].is_array(), "{name} has no example");
        }
    }
}
