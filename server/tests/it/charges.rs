//! Charging, repeating, reversing: the path everything is about.
use std::sync::Arc;

use expect_test::expect;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::pages::visit;
use crate::served::{Served, chat, timeless};

#[test]
fn a_charge_says_what_it_cost_and_who_paid() {
    let server = Served::start();
    server.account("ada");
    let charge = json!({
        "account": "ada", "project": "shop", "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"},
        "quantities": {"input_tokens": 1200, "output_tokens": 350}, "idempotency_key": "msg_1",
        "actor": "user:7", "resource": "chat_9", "metadata": {"b": 1, "a": [2]},
    });
    let reply = server.charge(&charge);
    assert_eq!(reply.status, 201, "{}", reply.text);
    assert_eq!(reply.header("idempotent-replay"), None);
    assert!(reply.header("x-request-id").is_some());
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    expect![[r#"
        {
          "account": "ada",
          "actor": "user:7",
          "at": "…Z",
          "balance": {
            "accrued": "0",
            "available": "599.63125",
            "debt": "0",
            "held": "0",
            "posted": "599.63125"
          },
          "created_at": "…Z",
          "credits": "0.36875",
          "dimensions": {
            "model": "gpt-6.1-terra"
          },
          "grants": [
            {
              "credits": "0.36875",
              "grant": "grant_…"
            }
          ],
          "id": "charge_…",
          "lines": [
            {
              "credits": "0.15",
              "item": "Input (gpt-6.1-terra)",
              "per": 1000000,
              "quantity": 1200,
              "unit": "token",
              "unit_price": "125"
            },
            {
              "credits": "0.21875",
              "item": "Output (gpt-6.1-terra)",
              "per": 1000000,
              "quantity": 350,
              "unit": "token",
              "unit_price": "625"
            }
          ],
          "metadata": {
            "a": [
              2
            ],
            "b": 1
          },
          "meter": "ai_chat",
          "project": "shop",
          "quantities": {
            "input_tokens": 1200,
            "output_tokens": 350
          },
          "rate_card": 1,
          "resource": "chat_9"
        }"#]]
    .assert_eq(&timeless(&reply.json()));
    // What the caller said is kept as it was said.
    assert!(reply.text.contains(r#""metadata":{"a":[2],"b":1}"#), "{}", reply.text);
}

#[test]
fn a_repeated_charge_is_the_first_answer_to_the_byte_even_after_a_restart() {
    let server = Served::start();
    server.account("ada");
    let first = server.charge(&chat("ada", "msg_1", 8_000));
    let again = server.charge(&chat("ada", "msg_1", 8_000));
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!(again.header("idempotent-replay"), Some("true"));
    assert_eq!(server.charge(&chat("ada", "msg_1", 8_001)).problem().1, "idempotency_conflict");
    let reverse = |server: &Served, credits: &str| {
        let path = format!("/v1/charges/{}/reverse", first.json()["id"].as_str().unwrap());
        server.post(&path, "undo_1", &json!({"credits": credits, "reason": "Cut off"}))
    };
    let reversed = reverse(&server, "0.25");
    let server = Served::start_with(server.stop(), &[], "");
    assert_eq!(server.charge(&chat("ada", "msg_1", 8_000)).text, first.text);
    assert_eq!(reverse(&server, "0.25").text, reversed.text);
    assert_eq!(reverse(&server, "0.5").problem().1, "idempotency_conflict");
    assert_eq!(server.available("ada"), "599.25");
}

#[test]
fn a_charge_is_reversed_in_parts_and_never_beyond_itself() {
    let server = Served::start();
    server.account("ada");
    let charge = server.charge(&chat("ada", "msg_1", 16_000)).json();
    let id = charge["id"].as_str().unwrap();
    let path = format!("/v1/charges/{id}/reverse");
    let part = server.post(&path, "r1", &json!({"credits": "0.5", "reason": "Half wrong"}));
    assert_eq!(part.status, 201, "{}", part.text);
    assert_eq!(part.json()["grants"][0]["grant"], charge["grants"][0]["grant"]);
    assert_eq!(part.json()["reversed"], "0.5");
    let beyond = server.post(&path, "r2", &json!({"credits": 2, "reason": "Too much"}));
    assert_eq!((beyond.problem().1.as_str(), &beyond.json()["left"]), ("reversal_exceeds_charge", &json!("1.5")));
    assert_eq!(server.post(&path, "r3", &json!({"reason": "The rest"})).json()["credits"], "1.5");
    assert_eq!(server.available("ada"), "600");
    assert_eq!(server.get(&format!("/v1/charges/{id}")).json()["reversed"], "2");
    assert_eq!(server.post(&path, "", &json!({"reason": "No key"})).problem().2, "Idempotency-Key");
}

#[test]
fn out_of_credits_says_how_much_is_missing_and_where_to_buy() {
    let server = Served::configured("purchase_url = \"https://example.com/buy?for={account}\"");
    server.account("ada");
    let reply = server.charge(&chat("ada", "msg_1", 4_008_000));
    assert_eq!(reply.problem().1, "insufficient_credits");
    expect![[r#"
        {
          "available": "500",
          "code": "insufficient_credits",
          "detail": "501 credits are needed and 500 are available; add credits and try again",
          "purchase_url": "https://example.com/buy?for=ada",
          "required": "501",
          "shortfall": "1",
          "status": 402,
          "title": "Not enough credits",
          "type": "/docs/problems#insufficient_credits"
        }"#]]
    .assert_eq(&timeless(&reply.json()));
    // The same key may try again once there are credits.
    let grant = json!({"credits": 1, "source": "promo", "reason": "Sorry"});
    assert_eq!(server.post("/v1/accounts/ada/grants", "g1", &grant).status, 201);
    assert_eq!(server.charge(&chat("ada", "msg_1", 4_008_000)).status, 201);
}

/// Where Scrip sells credits itself and knows its address, that is where; else nothing is said that may not be so.
#[test]
fn a_server_that_sells_credits_says_where_it_does() {
    let public = "public_url = \"https://billing.example.com/\"";
    let refused = |server: &Served| {
        server.account("ada");
        server.charge(&chat("ada", "msg_1", 4_008_000)).json()["purchase_url"].clone()
    };
    assert_eq!(refused(&Served::start()), Value::Null);
    assert_eq!(refused(&Served::configured(public)), Value::Null);
    let sells = [("STRIPE_SECRET_KEY", "sk_test_x"), ("STRIPE_WEBHOOK_SECRET", "whsec_x")];
    let selling = Served::start_with(Arc::new(TempDir::new().unwrap()), &sells, public);
    assert_eq!(refused(&selling), "https://billing.example.com/settings/billing?needed=1#buy");
    // Who comes without a session is told the way in.
    let page = selling.browse("/settings/billing?needed=1", "");
    assert_eq!(page.status, 401);
    assert!(page.text.contains("Open Settings in the app you came from"), "{}", page.text);
}

#[test]
fn the_artefact_itself_can_be_charged_and_its_evidence_stays() {
    let server = Served::start();
    server.account("ada");
    let input = json!({"model": "gpt-6.1-terra", "text": "What does a B-tree cost?", "reply": "Log n."});
    let measured = server.post("/v1/measure/chat", "", &input).json();
    let charge = json!({"account": "ada", "meter": "ai_chat", "input": input, "idempotency_key": "m"});
    let charged = server.charge(&charge);
    assert_eq!(charged.status, 201, "{}", charged.text);
    assert_eq!(charged.json()["quantities"], measured["quantities"]);
    assert_eq!(charged.json()["evidence"]["source"], "text");
    let plan = "services:\n  web:\n    image: nginx\n    ports: [\"80:80\"]\n";
    let quote = server.post("/v1/quotes", "", &json!({"account": "ada", "meter": "infra_plan", "input": plan}));
    assert_eq!((quote.status, &quote.json()["affordable"]), (200, &json!(true)), "{}", quote.text);
    let both = json!({"account": "ada", "meter": "ai_chat", "input": {}, "quantities": {}, "idempotency_key": "n"});
    assert_eq!(server.charge(&both).problem(), (422, "invalid_request".into(), "input".into()));
    let repository = json!({"account": "ada", "meter": "code_analysis", "input": "x", "idempotency_key": "n"});
    assert!(server.charge(&repository).text.contains("/v1/measure/repository"));
}

/// What is written to a cache for an hour costs more than other writes, by a card that says so; one that was made
/// before anybody told them apart prices them as it did then.
#[test]
fn what_is_written_for_an_hour_has_its_price_and_a_card_without_one_has_the_former() {
    let served = Served::sandbox();
    served.account("ada");
    let usage = json!({"input_tokens": 100, "output_tokens": 100, "cache_creation_input_tokens": 3000,
                       "cache_read_input_tokens": 0, "cache_creation":
                       {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000}});
    let charged = |key: &str| {
        let input = json!({"model": "claude-sonnet-5-5", "usage": usage});
        let reply =
            served.charge(&json!({"account": "ada", "meter": "ai_chat", "input": input, "idempotency_key": key}));
        assert_eq!(reply.status, 201, "{}", reply.text);
        let charge = reply.json();
        assert_eq!(charge["quantities"]["cache_write_1h_tokens"], 2000);
        let lines = charge["lines"].as_array().unwrap();
        let writes = lines.iter().filter(|it| it["item"].as_str().unwrap().starts_with("Cache writes"));
        (charge["credits"].clone(), writes.map(|it| it["quantity"].clone()).collect::<Vec<Value>>())
    };
    assert_eq!(charged("now"), (json!("1.4625"), vec![json!(1000), json!(2000)]));
    let mut card = served.get("/v1/rate-card").json();
    card["version"] = json!(2);
    card["effective_at"] = json!(served.later(60));
    let chat = &mut card["meters"]["ai_chat"];
    chat["quantities"].as_array_mut().unwrap().retain(|it| it["name"] != "cache_write_1h_tokens");
    for row in chat["rates"].as_array_mut().unwrap() {
        row.as_object_mut().unwrap().remove("cache_write_1h_tokens");
    }
    let added = served.post("/v1/rate-cards", "", &card);
    assert_eq!(added.status, 201, "{}", added.text);
    served.advance(120);
    assert_eq!(charged("then"), (json!("1.0875"), vec![json!(3000)]));
    // Reserved, told and captured it is the same.
    let hold = json!({"account": "ada", "meter": "ai_chat", "dimensions": {"model": "claude-sonnet-5-5"},
                      "quantities": {"input_tokens": 100, "cache_write_1h_tokens": 3000, "output_tokens": 100},
                      "expires_in_seconds": 60, "idempotency_key": "h"});
    let held = served.post("/v1/holds", "", &hold);
    assert_eq!((held.status, &held.json()["credits"]), (201, &json!("1.0875")), "{}", held.text);
}

#[test]
fn a_tree_that_was_paid_for_is_not_paid_for_again() {
    let server = Served::start();
    server.account("ada");
    let analysis = |key: &str| {
        server.charge(&json!({
            "account": "ada", "meter": "code_analysis", "quantities": {"code_lines": 1000, "files": 3},
            "dimensions": {"tree": "a".repeat(64)}, "idempotency_key": key,
        }))
    };
    let first = analysis("a1");
    assert_eq!(first.status, 201, "{}", first.text);
    assert_ne!(first.json()["credits"], "0");
    assert_eq!(analysis("a2").json()["credits"], "0");
    assert_eq!(analysis("a2").header("idempotent-replay"), Some("true"));
}

/// Whoever measures and then charges what was measured keeps what was counted, as if it had been measured here.
#[test]
fn evidence_comes_with_quantities_and_stays_on_the_receipt() {
    let server = Served::start();
    server.account("ada");
    let evidence = json!({"languages": {"Rust": {"files": 1, "lines": 12}}, "excluded": vec!["a lock file"; 60]});
    let charge = |key: &str, evidence: &Value| {
        json!({"account": "ada", "meter": "code_analysis", "quantities": {"code_lines": 12}, "idempotency_key": key,
            "evidence": evidence})
    };
    let charged = server.charge(&charge("a", &evidence));
    assert_eq!(charged.status, 201, "{}", charged.text);
    let kept = &charged.json()["evidence"];
    assert_eq!(kept["languages"], evidence["languages"]);
    let excluded = kept["excluded"].as_array().unwrap();
    assert_eq!((excluded.len(), &excluded[50]), (51, &json!("and 10 more")), "as of an input, lists lose their tails");
    let bare = server.charge(&json!({"account": "ada", "meter": "code_analysis", "quantities": {"code_lines": 12},
        "idempotency_key": "b"}));
    assert_eq!(charged.json()["credits"], bare.json()["credits"], "it changes no price");
    // It is part of what the key repeats, and none is another request.
    assert_eq!(server.charge(&charge("a", &evidence)).text, charged.text);
    for other in [json!({"languages": {}}), Value::Null] {
        assert_eq!(server.charge(&charge("a", &other)).problem().1, "idempotency_conflict");
    }
    assert_eq!(server.charge(&charge("b", &evidence)).problem().1, "idempotency_conflict");
    let large = server.charge(&charge("c", &json!({"note": "x".repeat(20_000)})));
    assert_eq!(large.json()["evidence"], json!({"abridged": true}));
    for (wrong, field) in [(json!([1]), "evidence"), (json!("x"), "evidence")] {
        assert_eq!(server.charge(&charge("d", &wrong)).problem(), (422, "invalid_request".into(), field.into()));
    }
    let mut measured_here = charge("d", &evidence);
    measured_here["quantities"] = Value::Null;
    measured_here["meter"] = json!("ai_chat");
    measured_here["input"] = json!({"model": "gpt-6.1-terra", "text": "Hello"});
    assert_eq!(server.charge(&measured_here).problem(), (422, "invalid_request".into(), "evidence".into()));
    let batch = server.post("/v1/charges/batch", "", &json!([charge("e", &evidence)])).json();
    assert_eq!(batch["results"][0]["charge"]["evidence"], *kept);
    let page = server.browse("/settings/activity", &visit(&server, "ada", "owner")).text;
    assert!(page.contains("Rust (files 1, lines 12)"), "the receipt shows it");
}
