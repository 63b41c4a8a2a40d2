//! Who may do what: keys, scopes, limits.
use serde_json::{Value, json};

use crate::served::{Reply, Served, chat};

#[test]
fn a_key_opens_what_its_scopes_say_until_it_is_revoked() {
    let mut server = Served::start();
    server.account("ada");
    let secret = server.minted("reader", &["read"]);
    server.as_key(&secret, |server| {
        assert_eq!(server.get("/v1/accounts/ada/balance").status, 200);
        let refused = server.charge(&chat("ada", "m", 8_000));
        assert_eq!((refused.problem().1.as_str(), &refused.json()["scope"]), ("missing_scope", &json!("charge")));
    });
    let keys = server.get("/v1/api-keys");
    assert!(!keys.text.contains(&secret), "a secret is shown once");
    let id = keys.json()["data"].as_array().unwrap().iter().find(|it| it["name"] == "reader").unwrap()["id"].clone();
    assert_eq!(server.delete(&format!("/v1/api-keys/{}", id.as_str().unwrap())).status, 204);
    let after = server.as_key(&secret, |it| it.get("/v1/accounts/ada/balance"));
    assert_eq!(after.problem().1, "unauthenticated");
    assert_eq!(after.header("www-authenticate"), Some("Bearer"));
    assert_eq!(server.delete("/v1/api-keys/key_nobody").problem().1, "api_key_not_found");
    let twice = server.post("/v1/api-keys", "", &json!({"name": "reader", "scopes": ["read"]}));
    assert_eq!(twice.problem().2, "name");
}

#[test]
fn a_configured_key_that_was_revoked_is_refused_at_the_next_start() {
    let server = Served::start();
    let other = server.minted("other admin", &["admin"]);
    let keys = server.get("/v1/api-keys").json();
    let is_configured = |it: &&Value| it["name"].as_str().unwrap().starts_with("configured");
    let configured = keys["data"].as_array().unwrap().iter().find(is_configured).unwrap();
    assert_eq!(server.delete(&format!("/v1/api-keys/{}", configured["id"].as_str().unwrap())).status, 204);
    assert_eq!(server.get("/v1/accounts").problem().0, 401);
    let directory = server.stop();
    let said = Served::refused_start(&directory);
    assert!(said.contains("`SCRIP_ADMIN_KEY` was revoked; choose a new secret"), "{said}");
    let mut server = Served::start_with(directory, &[("SCRIP_ADMIN_KEY", &other)], "");
    assert_eq!(server.as_key(&other, |it| it.get("/v1/accounts")).status, 200);
}

#[test]
fn a_request_of_the_house_under_its_key_is_one_request() {
    let mut server = Served::start();
    let conflict = |it: Reply| assert_eq!(it.problem().1, "idempotency_conflict");
    let again = |it: &Reply| it.header("idempotent-replay") == Some("true");

    let wanted = json!({"name": "backend", "scopes": ["charge", "read"]});
    let first = server.post("/v1/api-keys", "k", &wanted);
    let second = server.post("/v1/api-keys", "k", &wanted);
    assert_eq!((first.status, second.status, again(&first), again(&second)), (201, 201, false, true));
    assert_eq!(second.text, first.text, "its secret too, which is kept nowhere");
    let backend = first.clone();
    let secret = first.json()["secret"].as_str().unwrap().to_owned();
    assert_eq!(server.as_key(&secret, |it| it.get("/v1/accounts")).status, 200);
    conflict(server.post("/v1/api-keys", "k", &json!({"name": "backend", "scopes": ["read"]})));
    // Another admin's key is another key, and leads to another secret.
    let other = server.minted("other admin", &["admin"]);
    let theirs = json!({"name": "theirs", "scopes": ["charge", "read"]});
    let theirs = server.as_key(&other, |it| it.post("/v1/api-keys", "k", &theirs));
    assert_eq!((theirs.status, again(&theirs)), (201, false), "{}", theirs.text);
    assert_ne!(theirs.json()["secret"], first.json()["secret"]);

    let hook = json!({"url": "https://example.com/hook", "events": ["balance.low"]});
    let first = server.post("/v1/webhook-endpoints", "w", &hook);
    let made = first.clone();
    let second = server.post("/v1/webhook-endpoints", "w", &hook);
    assert_eq!((first.status, again(&second), &second.text), (201, true, &first.text));
    assert_eq!(server.get("/v1/webhook-endpoints").json()["data"].as_array().unwrap().len(), 1);
    conflict(server.post("/v1/webhook-endpoints", "w", &json!({"url": "https://example.com/hook", "events": []})));
    let rotate = format!("/v1/webhook-endpoints/{}/rotate", first.json()["id"].as_str().unwrap());
    let first = server.post(&rotate, "r", &json!({}));
    let second = server.post(&rotate, "r", &json!({}));
    assert_eq!((first.status, again(&second), &second.text), (200, true, &first.text));
    // What has become of them since changes nothing of what was answered.
    let enable = rotate.replace("rotate", "enable");
    let enabled = server.post(&enable, "e", &json!({}));
    let other = server.post(&rotate, "another", &json!({}));
    assert_ne!(other.json()["secret"], first.json()["secret"]);
    assert_eq!(server.delete(rotate.trim_end_matches("/rotate")).status, 204);
    for (path, key, first) in [(&*rotate, "r", &first), (&*rotate, "another", &other), (&*enable, "e", &enabled)] {
        let second = server.post(path, key, &json!({}));
        assert_eq!((again(&second), &second.text), (true, &first.text), "{path} under {key}");
    }
    let second = server.post("/v1/webhook-endpoints", "w", &hook);
    assert_eq!((again(&second), &second.text), (true, &made.text));
    assert_eq!(server.delete(&format!("/v1/api-keys/{}", backend.json()["id"].as_str().unwrap())).status, 204);
    let second = server.post("/v1/api-keys", "k", &wanted);
    assert_eq!((again(&second), &second.text), (true, &backend.text));

    let mut card = server.get("/v1/rate-card").json();
    card["version"] = json!(2);
    card["effective_at"] = json!("2030-01-01T00:00:00Z");
    card["meters"]["code_analysis"]["label"] = json!("Analyses");
    let first = server.post("/v1/rate-cards", "c", &card);
    let second = server.post("/v1/rate-cards", "c", &card);
    assert_eq!((first.status, again(&second), &second.text), (201, true, &first.text));
    card["version"] = json!(3);
    conflict(server.post("/v1/rate-cards", "c", &card));
}

#[test]
fn a_secret_that_signs_nothing_any_more_is_not_given_again() {
    let server = Served::sandbox();
    server.account("ada");
    let hook = json!({"url": "https://example.com/hook"});
    let made = server.post("/v1/webhook-endpoints", "w", &hook).json();
    let rotate = format!("/v1/webhook-endpoints/{}/rotate", made["id"].as_str().unwrap());
    for key in ["first", "second"] {
        assert_eq!(server.post(&rotate, key, &json!({})).status, 200);
        server.advance(86_401);
    }
    let newest = server.post(&rotate, "third", &json!({})).json();
    let again = |path: &str, key: &str, body: &Value| server.post(path, key, body).json()["secret"].clone();
    assert_eq!(again("/v1/webhook-endpoints", "w", &hook), Value::Null);
    assert_eq!(again(&rotate, "first", &json!({})), Value::Null);
    assert_eq!(again(&rotate, "third", &json!({})), newest["secret"]);
}

#[test]
fn ids_of_keys_are_in_order_of_time() {
    let server = Served::sandbox();
    server.account("ada");
    let ids: Vec<String> = (0..6)
        .map(|number| {
            server.advance(1);
            let key = json!({"name": format!("key {number}"), "scopes": ["read"]});
            server.post("/v1/api-keys", "", &key).json()["id"].as_str().unwrap().to_owned()
        })
        .collect();
    assert!(ids.is_sorted(), "{ids:?}");
    // A quote that binds for longer was not made later.
    let quoted = |seconds: u64| {
        server.advance(1);
        let mut quote = chat("ada", "", 8_000);
        quote.as_object_mut().unwrap().remove("idempotency_key");
        quote["binding_for_seconds"] = json!(seconds);
        let reply = server.post("/v1/quotes", "", &quote);
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json()["id"].as_str().unwrap().to_owned()
    };
    let ids = [quoted(600), quoted(60), quoted(300)];
    assert!(ids.is_sorted(), "{ids:?}");
}

#[test]
fn a_request_of_an_account_under_its_key_is_one_request() {
    let server = Served::sandbox();
    server.account("ada");
    let conflict = |it: Reply| assert_eq!(it.problem(), (409, "idempotency_conflict".to_owned(), String::new()));
    let same = |first: &Reply, again: &Reply| {
        let replayed = |it: &Reply| it.header("idempotent-replay") == Some("true");
        assert_eq!((replayed(first), replayed(again)), (false, true), "{}", again.text);
        assert_eq!((again.status, &again.text), (first.status, &first.text));
    };

    let links = "/v1/accounts/ada/portal-sessions";
    let wanted = json!({"role": "owner", "page": "billing", "needed_credits": "250"});
    let first = server.post(links, "link", &wanted);
    server.advance(1);
    same(&first, &server.post(links, "link", &wanted));
    assert_ne!(server.post(links, "other", &wanted).text, first.text);
    conflict(server.post(links, "link", &json!({"role": "owner", "page": "billing", "needed_credits": "251"})));

    let dismiss = |tip: &str| server.post(&format!("/v1/accounts/ada/tips/{tip}/dismiss"), "tip", &json!({}));
    let first = dismiss("idle_project:web");
    assert_eq!(first.status, 204, "{}", first.text);
    same(&first, &dismiss("idle_project:web"));
    conflict(dismiss("idle_project:shop"));

    let web = "/v1/accounts/ada/servers/web";
    assert_eq!(server.put(web, &json!({"project": "shop", "tier": "entry-level"})).status, 201);
    let report = |key: &str, cpu: u8| {
        server.post(&format!("{web}/utilisation"), key, &json!({"cpu_percent": cpu, "memory_percent": 40}))
    };
    let first = report("busy", 10);
    assert_eq!((first.status, &first.json()["reports"]), (200, &json!(1)), "{}", first.text);
    server.advance(1);
    assert_eq!(report("", 90).json()["reports"], 2);
    server.advance(1);
    same(&first, &report("busy", 10));
    conflict(report("busy", 11));

    // A server goes on; what was answered of it does not.
    let act = |what: &str, key: &str, body: &Value| server.post(&format!("{web}/{what}"), key, body);
    let first = act("start", "started", &json!({}));
    assert_eq!((first.status, &first.json()["state"]), (200, &json!("running")), "{}", first.text);
    server.advance(1_800);
    let known = act("start", "known", &json!({}));
    assert!(1_800 <= known.json()["seconds"].as_u64().unwrap(), "{}", known.text);
    let at = json!({"at": server.later(0)});
    let stopped = act("stop", "stopped", &at);
    server.advance(60);
    assert_eq!(act("start", "", &json!({})).status, 200);
    same(&first, &act("start", "started", &json!({})));
    same(&known, &act("start", "known", &json!({})));
    same(&stopped, &act("stop", "stopped", &at));
    conflict(act("stop", "started", &json!({})));
    conflict(act("resize", "stopped", &json!({"tier": "business"})));

    let later = json!({"to": server.later(60)});
    let advance = |to: &Value| server.post("/v1/test-clock/advance", "clock", to);
    let first = advance(&later);
    server.advance(60);
    same(&first, &advance(&later));
}

#[test]
fn every_operation_asks_for_the_scope_it_documents() {
    let mut server = Served::start();
    let weak = [("charge", server.minted("a", &["charge"])), ("read", server.minted("b", &["read"]))];
    let document = server.get("/openapi.json").json();
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Some(scope) = operation["security"][0]["api_key"][0].as_str() else { continue };
            let (_, key) = weak.iter().find(|it| it.0 != scope).unwrap();
            let path = path.replace(['{', '}'], "x");
            let ask = |server: &Served| match method.as_str() {
                "get" => server.get(&path),
                "put" => server.put(&path, &json!({})),
                "delete" => server.delete(&path),
                _ => server.post(&path, "k", &json!({})),
            };
            let refused = server.as_key(key, ask);
            assert_eq!(refused.problem().1, "missing_scope", "{method} {path}");
            assert_eq!(refused.json()["scope"], scope, "{method} {path}");
            assert_eq!(server.as_key("scrip_nobody", ask).problem().0, 401, "{method} {path}");
            asked += 1;
        }
    }
    assert!(28 <= asked, "{asked} operations ask for a key");
}

#[test]
fn a_key_that_sends_too_fast_is_told_when_to_come_back() {
    let server = Served::configured("requests_per_second = 1");
    let replies: Vec<_> = (0..3).map(|_| server.get("/v1/accounts")).collect();
    let limited: Vec<_> = replies.iter().filter(|it| it.status == 429).collect();
    assert!(!limited.is_empty());
    assert_eq!(limited[0].problem().1, "rate_limited");
    assert_eq!(limited[0].header("retry-after"), Some("1"));
}

#[test]
fn the_pages_for_people_and_probes_need_no_key() {
    let mut server = Served::start();
    server.as_key("none", |server| {
        for path in ["/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/docs/problems"] {
            let reply = server.get(path);
            assert_eq!(reply.status, 200, "{path}");
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        }
        let docs = server.get("/docs");
        assert!(docs.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
        assert!(!docs.text.contains("<script") && !docs.text.contains("src="));
        let sandboxed: Value = server.post("/v1/test-clock/advance", "", &json!({})).json();
        assert_eq!(sandboxed["code"], "unauthenticated");
    });
    assert_eq!(server.post("/v1/test-clock/advance", "", &json!({})).problem().0, 404);
}
