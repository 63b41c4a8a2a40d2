//! What must be refused, each with its code and field, and nothing done.
use serde_json::{Value, json};

use crate::money_shop::Shop;
use crate::pages::visit;
use crate::served::{Served, chat};

/// A charge with one thing changed.
fn with(field: &str, value: Value) -> Value {
    let mut charge = chat("ada", "k", 8_000);
    charge[field] = value;
    charge
}

#[test]
fn a_bad_charge_is_refused_by_its_field() {
    let server = Served::start();
    server.account("ada");
    let long = "k".repeat(256);
    let huge: Value = serde_json::from_str("18446744073709551616").unwrap();
    for (charge, status, code, field) in [
        (with("quantities", json!({"input_tokens": -1})), 422, "invalid_request", "quantities.input_tokens"),
        (with("quantities", json!({"input_tokens": 1.5})), 422, "invalid_request", "quantities.input_tokens"),
        (with("quantities", json!({"input_tokens": "8"})), 422, "invalid_request", "quantities.input_tokens"),
        (with("quantities", json!({"input_tokens": huge})), 422, "invalid_request", "quantities.input_tokens"),
        (with("quantities", json!({"input_tokens": u64::MAX})), 422, "invalid_request", "quantities.input_tokens"),
        (with("quantities", json!({"input_tokenz": 1})), 422, "unpriced", "quantities.input_tokenz"),
        (with("quantities", json!({})), 422, "invalid_request", "quantities.input_tokens"),
        (with("quantities", json!([1])), 422, "invalid_request", "quantities"),
        (with("dimensions", json!({"model": "gpt-0"})), 422, "unpriced", "dimensions.model"),
        (with("dimensions", json!({"model": 7})), 422, "invalid_request", "dimensions.model"),
        (with("dimensions", json!({"model": ""})), 422, "invalid_request", "dimensions.model"),
        (with("dimensions", json!({"model": "x".repeat(300)})), 422, "invalid_request", "dimensions.model"),
        (with("meter", json!("telepathy")), 422, "unpriced", "meter"),
        (with("at", json!("2099-01-01T00:00:00Z")), 422, "invalid_request", "at"),
        (with("at", json!("1999-01-01T00:00:00Z")), 422, "unpriced", "at"),
        (with("at", json!("2026-02-01T00:00:00Z")), 422, "invalid_request", "at"),
        (with("at", json!("yesterday")), 422, "invalid_request", "at"),
        (with("at", json!("0001-01-01T00:00:00Z")), 422, "invalid_request", "at"),
        (with("idempotency_key", json!("")), 422, "invalid_request", "idempotency_key"),
        (with("idempotency_key", json!(long)), 422, "invalid_request", "idempotency_key"),
        (with("idempotency_key", json!("a b")), 422, "invalid_request", "idempotency_key"),
        (with("idempotency_key", json!("ключ")), 422, "invalid_request", "idempotency_key"),
        (with("account", json!("../etc/passwd")), 422, "invalid_request", "account"),
        (with("account", json!("a".repeat(129))), 422, "invalid_request", "account"),
        (with("account", json!("nobody")), 404, "account_not_found", ""),
        (with("account", json!("nul\u{0}")), 422, "invalid_request", "account"),
        (with("project", json!("a/b")), 422, "invalid_request", "project"),
        (with("metadata", json!("text")), 422, "invalid_request", "metadata"),
        (with("metadata", json!({"a": "x".repeat(5_000)})), 422, "invalid_request", "metadata"),
        (with("acount", json!("ada")), 422, "invalid_request", "acount"),
        (with("input", json!({"model": "gpt-6.1-terra"})), 422, "invalid_request", "input"),
    ] {
        let found = server.charge(&charge).problem();
        assert_eq!(found, (status, code.to_owned(), field.to_owned()), "{charge}");
    }
    assert_eq!(server.available("ada"), "600");
    assert_eq!(server.get("/v1/accounts/ada/entries").json()["data"].as_array().unwrap().len(), 2);
}

#[test]
fn an_amount_is_exact_or_refused() {
    let server = Served::start();
    server.account("ada");
    for (credits, why) in [
        (json!(1.5), "must be a decimal string"),
        (json!("1.0000001"), "more than 6 decimal places"),
        (json!("1e3"), "is not a decimal number"),
        (json!("99999999999"), "is beyond 1000000000 credits"),
        (json!(0), "credits"),
        (json!("-5"), "credits"),
        (Value::Null, "credits"),
    ] {
        let reply = server.post(
            "/v1/accounts/ada/grants",
            "g",
            &json!({
                "credits": credits, "source": "promo", "reason": "Hello",
            }),
        );
        assert_eq!(reply.problem(), (422, "invalid_request".into(), "credits".into()), "{}", reply.text);
        assert!(reply.text.contains(why), "{}", reply.text);
    }
}

#[test]
fn credits_that_nothing_could_be_paid_with_are_not_granted() {
    let server = Served::start();
    server.account("ada");
    let grant = json!({"credits": 5, "source": "promo", "reason": "Hello", "scope": {"meters": ["ai_chats"]}});
    let refused = server.post("/v1/accounts/ada/grants", "g", &grant);
    assert_eq!(refused.problem(), (422, "invalid_request".into(), "scope.meters".into()), "{}", refused.text);
    assert_eq!(server.available("ada"), "600");
}

#[test]
fn a_reason_has_1_to_500_bytes() {
    let server = Served::start();
    server.account("ada");
    let charge = server.charge(&chat("ada", "m", 8_000)).json()["id"].clone();
    let grant = |key: &str, reason: &str| {
        let body = json!({"credits": 5, "source": "promo", "reason": reason});
        server.post("/v1/accounts/ada/grants", key, &body)
    };
    let longest = "x".repeat(500);
    let granted = grant("longest", &longest);
    assert_eq!((granted.status, &granted.json()["reason"]), (201, &json!(longest)), "{}", granted.text);
    let void = format!("/v1/grants/{}/void", granted.json()["id"].as_str().unwrap());
    let reverse = format!("/v1/charges/{}/reverse", charge.as_str().unwrap());
    let refund = "/v1/payments/payment_0t45zs3650pseqcgw4r0000003/refund";
    for reason in ["", &"x".repeat(501), &"ä".repeat(251), "two\nlines"] {
        let said = json!({"reason": reason});
        let refused = [
            grant("k", reason),
            server.post(&void, "k", &said),
            server.post(&reverse, "k", &said),
            server.post(refund, "k", &said),
        ];
        for it in refused {
            assert_eq!(it.problem(), (422, "invalid_request".into(), "reason".into()), "{}: {}", reason.len(), it.text);
        }
    }
    for path in [&void, &reverse] {
        let done = server.post(path, path, &json!({"reason": longest}));
        assert_eq!(done.status, 201, "{path}: {}", done.text);
    }
}

/// Words of the language Scrip is written in, which nobody who sends JSON has to know.
const FOREIGN: [&str; 33] = [
    "u8",
    "u16",
    "u32",
    "u64",
    "u128",
    "usize",
    "i8",
    "i16",
    "i32",
    "i64",
    "isize",
    "f32",
    "f64",
    "bool",
    "str",
    "struct",
    "enum",
    "variant",
    "untagged",
    "newtype",
    "tuple",
    "unit",
    "sequence",
    "map",
    "nonzero",
    "expected",
    "integer",
    "floating",
    "borrowed",
    "serde",
    "deserialize",
    "Some",
    "None",
];

/// The kinds of JSON that a schema allows.
fn kinds(document: &Value, schema: &Value, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        return kinds(document, document.pointer(reference.trim_start_matches('#')).unwrap(), found);
    }
    let one = std::slice::from_ref(&schema["type"]);
    let types = schema["type"].as_array().map_or(one, Vec::as_slice);
    found.extend(types.iter().filter_map(Value::as_str).map(str::to_owned));
    for list in ["oneOf", "anyOf", "allOf"] {
        schema[list].as_array().into_iter().flatten().for_each(|it| kinds(document, it, found));
    }
}

/// A path with something in the place of each of its names that might be there.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|it| match it {
        "{charge}" | "{hold}" | "{grant}" | "{payment}" => {
            format!("{}_0t45zs3650pseqcgw4r0000003", it.trim_matches(['{', '}']))
        }
        "{action}" => "start".to_owned(),
        it if it.starts_with('{') => "ada".to_owned(),
        it => it.to_owned(),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Every field of every request, of every kind that it is not: the answer names the field, in words that everybody
/// knows, and says back nothing that somebody wrote.
#[test]
fn a_field_of_the_wrong_kind_is_told_in_plain_words() {
    let server = Served::sandbox();
    server.account("ada");
    let document: Value = serde_json::from_str(include_str!("../../../openapi.json")).unwrap();
    let samples = [
        ("string", json!("a secret word")),
        ("number", json!(-1.5)),
        ("integer", json!(-7_000_000_000_i64)),
        ("boolean", json!(true)),
        ("array", json!([[]])),
        ("object", json!({"a secret word": {}})),
        ("null", Value::Null),
    ];
    let (mut asked, mut unseen) = (0, Vec::new());
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let mut schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            let is_batch = schema["type"] == "array";
            if is_batch {
                schema = &schema["items"];
            }
            if let Some(reference) = schema["$ref"].as_str() {
                schema = document.pointer(reference.trim_start_matches('#')).unwrap();
            }
            // Documents of their own: what is wrong in them is told when the rest is right.
            let properties = schema["properties"].as_object().filter(|_| path != "/v1/rate-cards");
            let is_read = |it: &(&String, &Value)| !["input", "usage"].contains(&&**it.0);
            for (name, property) in properties.into_iter().flatten().filter(is_read) {
                let mut allowed = Vec::new();
                kinds(&document, property, &mut allowed);
                let is_wrong = |kind: &str| match kind {
                    "integer" => !allowed.iter().any(|it| ["integer", "number"].contains(&&**it)),
                    "null" => false,
                    kind => !allowed.iter().any(|it| it == kind),
                };
                for (kind, sample) in samples.iter().filter(|it| !allowed.is_empty() && is_wrong(it.0)) {
                    let body = json!({name: sample});
                    let body = if is_batch { json!([body]) } else { body };
                    let reply = match &**method {
                        "put" => server.put(&filled(path), &body),
                        _ => server.post(&filled(path), "k", &body),
                    };
                    let problem = if is_batch { reply.json()["results"][0]["error"].clone() } else { reply.json() };
                    let (detail, field) = (problem["detail"].as_str().unwrap(), problem["field"].as_str());
                    asked += 1;
                    // Who asks for what there is not is turned away before anything is read.
                    if problem["status"] == 404 || problem["status"] == 501 {
                        unseen.push(format!("{method} {path}"));
                        continue;
                    }
                    let said = format!("{method} {path}, {name} as {kind}: {}", reply.text);
                    assert_eq!(problem["status"], 422, "{said}");
                    assert!(field.is_some_and(|it| it.split(['.', '[']).next() == Some(name)), "{said}");
                    assert!(detail.contains(field.unwrap()), "{said}");
                    let of_rust = detail.split(|it: char| !it.is_alphanumeric()).find(|it| FOREIGN.contains(it));
                    assert_eq!(of_rust, None, "{said}");
                    assert!(!detail.contains("a secret word"), "{said}");
                }
            }
        }
    }
    unseen.dedup();
    assert!(300 < asked && unseen.len() < 8, "{asked} were asked; not read by {unseen:?}");
}

#[test]
fn what_is_not_json_is_told_apart_from_what_is_wrong() {
    let server = Served::start();
    server.account("ada");
    let broken = server.send("/v1/charges", "", "application/json", "{\"account\": \"ada\",\n  oops}");
    assert_eq!(broken.problem().1, "malformed_json");
    assert_eq!((&broken.json()["line"], &broken.json()["column"]), (&json!(2), &json!(3)));
    let nested = format!("{{\"quantities\":{}{}}}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
    assert!([400, 422].contains(&server.send("/v1/charges", "", "application/json", &nested).problem().0));
    assert_eq!(server.send_bytes("/v1/charges", "", "application/json", b"\"\xff\"").problem().0, 400);
    let form = server.send("/v1/charges", "", "application/x-www-form-urlencoded", "account=ada");
    assert_eq!(form.problem(), (415, "unsupported_media_type".into(), String::new()));
    let large = format!("{{\"account\":\"{}\"}}", "a".repeat(1 << 20));
    assert_eq!(server.send("/v1/charges", "", "application/json", &large).problem().1, "body_too_large");
    assert_eq!(server.get("/v1/nothing").problem().1, "not_found");
    assert_eq!(server.get("/v1/accounts/..%2F..%2Fetc").problem().0, 422);
    let wrong = server.get("/v1/charges");
    assert_eq!(wrong.problem().1, "method_not_allowed");
    assert_eq!(wrong.header("allow"), Some("POST"));
    for path in ["/v1/charges/charge_1", "/v1/charges/hold_01kb6kzv400000000000000001", "/v1/charges/x%00"] {
        assert_eq!(server.get(path).problem().1, "charge_not_found", "{path}");
    }
    assert_eq!(server.get("/v1/holds/zz").problem().1, "hold_not_found");
}

/// What is only looked for is looked for also in a store that cannot be asked for such a letter.
#[test]
fn a_nul_finds_nothing() {
    let shop = Shop::open();
    let server = &shop.server;
    server.account("ada");
    let held = json!({"account": "ada", "quote": "\u{0}", "expires_in_seconds": 60, "idempotency_key": "h"});
    assert_eq!(server.post("/v1/holds", "", &held).problem(), (422, "invalid_request".into(), "quote".into()));
    let customer = visit(server, "ada", "owner");
    let history = "/settings/billing/history?of=invoices&cursor=%00";
    assert_eq!(server.browse(history, &customer).status, 200);
    let entered = server.submit("/console/sign-in", "", &format!("key={}", server.key));
    let operator = entered.header("set-cookie").unwrap().split(';').next().unwrap();
    assert_eq!(server.browse("/console?q=a%00da", operator).status, 200);
    let hook = json!({"url": "https://example.com/hook", "events": ["balance.low"]});
    let endpoint = server.post("/v1/webhook-endpoints", "w", &hook).json()["id"].as_str().unwrap().to_owned();
    assert_eq!(server.browse(&format!("/console/webhooks/{endpoint}?before=%00"), operator).status, 200);
}

#[test]
fn queries_are_strict() {
    let server = Served::start();
    server.account("ada");
    for (path, field) in [
        ("/v1/accounts?limit=0", "limit"),
        ("/v1/accounts?limit=501", "limit"),
        ("/v1/accounts?page=2", "page"),
        ("/v1/accounts/ada/entries?cursor=x", "cursor"),
        ("/v1/accounts/ada/payments?cursor=zzz", "cursor"),
        ("/v1/accounts/ada/invoices?cursor=zzz", "cursor"),
        ("/v1/accounts/ada/emails?cursor=zzz", "cursor"),
        ("/v1/accounts/ada/balance?at=now", "at"),
        ("/v1/accounts/ada/entries?meter=4242424242424242", "query"),
        ("/v1/accounts/4242424242424242", "path"),
        ("/v1/accounts/ada/usage?interval=minute", "interval"),
        ("/v1/accounts/ada/usage?group_by=colour", "group_by"),
        ("/v1/accounts/ada/usage?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", "to"),
        ("/v1/accounts/ada/usage?from=2001-01-01T00:00:00Z", "to"),
        ("/v1/accounts/ada/entries?from=%zz", "query"),
    ] {
        assert_eq!(server.get(path).problem(), (422, "invalid_request".into(), field.into()), "{path}");
    }
    for (field, credits, bonus) in [("credits", "0", "0"), ("bonus", "1000", "100000001")] {
        let price = json!({"amount": 1_000, "currency": "eur"});
        let package = json!({"name": "Huge", "credits": credits, "bonus": bonus, "price": price});
        assert_eq!(server.put("/v1/packages/huge", &package).problem().2, field);
    }
    for (field, value) in [
        ("currency", json!("euro")),
        ("currency", json!("zzz")),
        ("currency", json!("dem")),
        ("timezone", json!("Mars/Olympus")),
        ("email", json!("not an address")),
        ("email", json!("a@b")),
        ("email", json!("a@b.")),
        ("email", json!("@b.example")),
        ("email", json!("a@b@c.example")),
        ("name", json!("x".repeat(201))),
        ("address", json!("Vilnius")),
        ("fingerprints", json!([""])),
        ("nickname", json!("x")),
    ] {
        let reply = server.put("/v1/accounts/eve", &json!({field: value}));
        assert_eq!(reply.problem(), (422, "invalid_request".into(), field.into()), "{}", reply.text);
    }
    assert_eq!(server.get("/v1/accounts/eve").problem().1, "account_not_found");
}

#[test]
fn artefacts_that_would_do_harm_are_refused() {
    let server = Served::start();
    let archive = |bytes: &[u8]| server.send_bytes("/v1/measure/repository", "", "application/octet-stream", bytes);
    assert_eq!(archive(b"PK\x03\x04 and no more").problem().1, "invalid_archive");
    assert_eq!(archive(b"").problem().1, "invalid_archive");
    assert_eq!(archive(&tar_with("../../etc/passwd")).problem().1, "unsafe_archive");
    assert_eq!(archive(&tar_with("src/main.rs")).json()["quantities"]["code_lines"], 1);
    let plan = |body: &str| server.send("/v1/measure/plan", "", "application/json", body);
    assert_eq!(plan("{}").problem().1, "unknown_plan");
    let later = plan("{\"format_version\": \"2.0\"}");
    assert_eq!(later.problem().1, "unsupported_plan_version");
    assert!(later.json()["detail"].as_str().unwrap().contains("version \"2.0\" is not supported"), "{}", later.text);
    assert_eq!(plan("{\"format_version\": ").problem().1, "unknown_plan");
    let chat = |body: Value| server.post("/v1/measure/chat", "", &body).problem();
    assert_eq!(chat(json!({"model": ""})).0, 422);
    let image = json!([{"role": "user", "content": [{"type": "image_url"}]}]);
    assert_eq!(chat(json!({"model": "m", "messages": image})).1, "unsupported_message_part");
    let card = |text: &str| server.send("/v1/rate-cards?dry_run=true", "", "application/toml", text);
    let faults = card("version = 2\nmeters = 7\n");
    assert_eq!(faults.problem().1, "invalid_rate_card");
    assert!(faults.json()["faults"].as_array().unwrap().iter().any(|it| it["line"] == 2), "{}", faults.text);
    assert_eq!(card("version = ").problem().1, "invalid_rate_card");
}

/// An uncompressed tar with one file of one line.
fn tar_with(name: &str) -> Vec<u8> {
    let content = b"fn main() {}\n";
    let mut header = [0_u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..107].copy_from_slice(b"0000644");
    header[108..115].copy_from_slice(b"0000000");
    header[116..123].copy_from_slice(b"0000000");
    header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    header[136..147].copy_from_slice(b"00000000000");
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|it| u32::from(*it)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut tar = header.to_vec();
    tar.extend_from_slice(content);
    tar.resize(512 * 4, 0);
    tar
}

#[test]
fn an_artefact_that_is_too_large_to_measure_is_refused_by_a_code_of_its_own() {
    let server = Served::start();
    let plan = |content_type: &str, body: &str| server.send("/v1/measure/plan", "", content_type, body);
    let most = 64 << 20;
    let of_bytes = |count: usize| plan("application/json", &format!("{{{}", " ".repeat(count - 1)));
    let over = of_bytes(most + 1);
    assert_eq!(over.problem(), (413, "body_too_large".into(), String::new()));
    assert_eq!(over.json()["most"], most);
    assert_eq!(of_bytes(most).problem(), (422, "unknown_plan".into(), String::new()), "all of it is read");
    let compose = format!("services:\n  web:\n    image: nginx\n{}", "#".repeat(2 << 20));
    assert_eq!(plan("application/yaml", &compose).problem(), (422, "plan_too_large".into(), String::new()));
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("zeros.c", zip::write::SimpleFileOptions::default()).unwrap();
    std::io::Write::write_all(&mut zip, &vec![0; 17 << 20]).unwrap();
    let bomb = zip.finish().unwrap().into_inner();
    let refused = server.send_bytes("/v1/measure/repository", "", "application/zip", &bomb);
    assert_eq!(refused.problem(), (422, "archive_too_large".into(), String::new()), "{}", refused.text);
    assert!(refused.text.contains("pack the source alone") && !refused.text.contains("limit"), "{}", refused.text);
    let bomb = format!("a: &a [1]\nb: [{}]\n", "*a, ".repeat(400_000));
    let refused = plan("application/yaml", &bomb);
    assert_eq!(refused.problem().1, "unknown_plan", "{}", refused.text);
    assert!(refused.text.contains("than are read") && !refused.text.contains("Nodes"), "{}", refused.text);
}

#[test]
fn a_body_far_beyond_its_limit_is_refused_before_it_is_sent() {
    use std::io::{Read, Write};
    let server = Served::start();
    let address = server.url.strip_prefix("http://").unwrap();
    for (path, most) in [
        ("/v1/charges", 1 << 20),
        ("/v1/charges/batch", 32 << 20),
        ("/v1/measure/chat", 24 << 20),
        ("/v1/measure/plan", 64 << 20),
        ("/v1/measure/repository", 256 << 20),
        ("/v1/rate-cards", 1 << 20),
    ] {
        // Of what is a little too large the rest is read, so that the answer is heard.
        let bytes = most + (8 << 20) + 1;
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        let content_type = if path.ends_with("repository") { "application/zip" } else { "application/json" };
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: scrip\r\nauthorization: Bearer {}\r\ncontent-type: {content_type}\r\n\
             content-length: {bytes}\r\nconnection: close\r\n\r\n",
            server.key
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 413 "), "{path}: {answer}");
        assert!(answer.contains("\"code\":\"body_too_large\""), "{path}: {answer}");
        assert!(answer.contains(&format!("\"most\":{most}")), "{path}: {answer}");
    }
}
