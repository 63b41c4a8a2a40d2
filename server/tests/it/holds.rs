//! Holds: opened, grown, captured, released, expired.
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::parallel::at_once;
use crate::served::{Served, assert_verified, chat};

fn open(server: &Served, key: &str, credits: Value) -> Value {
    let hold = server.post(
        "/v1/holds",
        "",
        &json!({
            "account": "ada", "project": "shop", "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"},
            "credits": credits, "expires_in_seconds": 600, "idempotency_key": key,
        }),
    );
    assert_eq!(hold.status, 201, "{}", hold.text);
    hold.json()
}

fn path(hold: &Value, verb: &str) -> String {
    format!("/v1/holds/{}{verb}", hold["id"].as_str().unwrap())
}

#[test]
fn a_stream_extends_its_hold_and_captures_what_it_used() {
    let server = Served::start();
    server.account("ada");
    let hold = open(&server, "h1", json!("2"));
    assert_eq!(hold["balance"]["available"], "598");
    // A hundred of the welcome are for servers alone, and no ceiling of a chat.
    assert_eq!(hold["ceiling"]["credits"], "500");
    assert_eq!(hold["ceiling"]["quantities"]["input_tokens"], 4_000_000);
    let more = json!({"credits": "1", "used": {"input_tokens": 12_000}});
    let grown = server.post(&path(&hold, "/extend"), "e1", &more);
    assert_eq!((grown.status, &grown.json()["credits"]), (201, &json!("3")), "{}", grown.text);
    assert_eq!(server.post(&path(&hold, "/extend"), "e1", &more).text, grown.text);
    let dear = server.post(&path(&hold, "/extend"), "e2", &json!({"credits": 10_000}));
    assert_eq!(dear.problem().1, "insufficient_credits");
    let used = json!({"quantities": {"input_tokens": 20_000}});
    let captured = server.post(&path(&hold, "/capture"), "c1", &used);
    assert_eq!(captured.status, 201, "{}", captured.text);
    assert_eq!(captured.json()["charge"]["credits"], "2.5");
    assert_eq!(captured.json()["charge"]["hold"], hold["id"]);
    assert_eq!(captured.json()["balance"]["available"], "597.5");
    assert_eq!(server.post(&path(&hold, "/capture"), "c1", &used).text, captured.text);
    let closed = server.post(&path(&hold, "/capture"), "c2", &used);
    assert_eq!((closed.problem().1.as_str(), &closed.json()["end"]), ("hold_closed", &json!("captured")));
    let shown = server.get(&path(&hold, "")).json();
    assert_eq!((&shown["state"], &shown["charge"]), (&json!("captured"), &captured.json()["charge"]["id"]));
    assert_eq!(shown["used"], json!({"input_tokens": 20_000}));
}

/// What was counted while a stream flowed, and that it is an estimate, stays on its receipt.
#[test]
fn a_capture_keeps_what_its_quantities_were_measured_by() {
    let server = Served::start();
    server.account("ada");
    let hold = open(&server, "h1", json!("2"));
    let capture = |evidence: Value| {
        let used = json!({"quantities": {"input_tokens": 8_000}, "evidence": evidence});
        server.post(&path(&hold, "/capture"), "c1", &used)
    };
    let estimated = json!({"source": "text", "estimated": true});
    let captured = capture(estimated.clone());
    assert_eq!(captured.status, 201, "{}", captured.text);
    let charge = captured.json()["charge"].clone();
    assert_eq!((&charge["credits"], &charge["evidence"]), (&json!("1"), &estimated));
    let found = server.get(&format!("/v1/charges/{}", charge["id"].as_str().unwrap())).json();
    assert_eq!(found["evidence"], estimated);
    assert_eq!(capture(estimated).text, captured.text);
    assert_eq!(capture(json!({"estimated": false})).problem().1, "idempotency_conflict");
    assert_eq!(capture(Value::Null).problem().1, "idempotency_conflict");
    let other = open(&server, "h2", json!("2"));
    let wrong = json!({"credits": "1", "evidence": []});
    assert_eq!(server.post(&path(&other, "/capture"), "c2", &wrong).problem().2, "evidence");
    assert_eq!(server.get(&path(&other, "")).json()["state"], "open");
}

#[test]
fn a_model_that_stands_in_costs_no_more_than_the_one_the_hold_is_for() {
    let server = Served::start();
    server.account("ada");
    let (luna, terra, astra) = ("gpt-6-luna", "gpt-6.1-terra", "gpt-6-astra");
    let used = json!({"input_tokens": 8_000});
    let price = |model: &str| {
        let asked = json!({"account": "ada", "meter": "ai_chat", "dimensions": {"model": model}, "quantities": used});
        server.post("/v1/quotes", "", &asked).json()["credits"].clone()
    };
    assert_eq!((price(terra), price(astra)), (json!("1"), json!("10")));
    for (number, (held, said, as_of, asked)) in [
        // What was asked for is what the hold says, unless somebody says otherwise.
        (json!({"model": terra}), json!({"model": astra}), terra, Some(terra)),
        (json!({"model": terra}), json!({"model": luna}), luna, Some(terra)),
        (json!({"model": terra}), json!({"model": terra}), terra, None),
        (json!({"model": terra, "asked_model": luna}), json!({"model": astra}), luna, Some(luna)),
        (json!({"model": terra}), json!({"model": astra, "asked_model": luna}), luna, Some(luna)),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("k{number}");
        let order = json!({"account": "ada", "meter": "ai_chat", "dimensions": held, "credits": "2",
            "expires_in_seconds": 600, "idempotency_key": key});
        let hold = server.post("/v1/holds", "", &order).json();
        let captured = json!({"quantities": used, "dimensions": said});
        let captured = server.post(&path(&hold, "/capture"), &format!("c{number}"), &captured);
        assert_eq!(captured.status, 201, "{}", captured.text);
        let charge = &captured.json()["charge"];
        assert_eq!(charge["credits"], price(as_of), "{held} {said}: {charge}");
        let dimensions = &charge["dimensions"];
        assert_eq!((&dimensions["model"], dimensions["asked_model"].as_str()), (&said["model"], asked), "{charge}");
    }
}

/// Whoever states the price says what became of the work, as who tells quantities does.
#[test]
fn a_stated_price_is_of_work_that_the_card_knows_and_that_came_to_something() {
    let server = Served::start();
    server.account("ada");
    let hold = open(&server, "h1", json!("2"));
    for (said, field) in [
        (json!({"model": "gpt-0"}), "dimensions.model"),
        (json!({"mood": "good"}), "dimensions.mood"),
        (json!({"outcome": ""}), "dimensions.outcome"),
    ] {
        let refused = server.post(&path(&hold, "/capture"), "c1", &json!({"credits": "1", "dimensions": said}));
        assert_eq!((refused.problem().0, &*refused.problem().2), (422, field), "{}", refused.text);
    }
    for (said, credits) in [
        (json!({}), "1"),
        (json!({"outcome": "done"}), "1"),
        (json!({"outcome": "failed"}), "0"),
        (json!({"outcome": "empty"}), "0"),
        (json!({"model": "gpt-6-astra"}), "1"),
    ] {
        let hold = open(&server, &format!("h{said}"), json!("2"));
        let stated = json!({"credits": "1", "dimensions": said});
        let captured = server.post(&path(&hold, "/capture"), &format!("c{said}"), &stated);
        assert_eq!(captured.status, 201, "{}", captured.text);
        let charge = &captured.json()["charge"];
        assert_eq!(charge["credits"], credits, "{said}: {charge}");
        for (name, value) in said.as_object().unwrap() {
            assert_eq!(&charge["dimensions"][name], value, "{charge}");
        }
    }
    let usage = server.get("/v1/accounts/ada/usage?group_by=model").json();
    let groups = usage["buckets"][0]["groups"].as_array().unwrap();
    let by: Vec<(&Value, &Value)> = groups.iter().map(|it| (&it["model"], &it["credits"])).collect();
    assert_eq!(by, [(&json!("gpt-6-astra"), &json!("1")), (&json!("gpt-6.1-terra"), &json!("2"))], "{usage}");
}

#[test]
fn capturing_above_a_hold_draws_or_takes_what_there_is() {
    let server = Served::start();
    server.account("ada");
    let hold = open(&server, "h1", json!(400));
    let above = |over: &str| json!({"credits": 700, "over": over});
    assert_eq!(server.post(&path(&hold, "/capture"), "c1", &above("draw")).problem().1, "insufficient_credits");
    assert_eq!(server.get(&path(&hold, "")).json()["state"], "open");
    let taken = server.post(&path(&hold, "/capture"), "c2", &above("to_limit")).json();
    assert_eq!((&taken["charge"]["credits"], &taken["charge"]["shortfall"]), (&json!("500"), &json!("200")));
    // What is left is for servers alone.
    assert_eq!(taken["balance"]["available"], "100");
}

#[test]
fn a_released_hold_gives_everything_back() {
    let server = Served::start();
    server.account("ada");
    let hold = open(&server, "h1", json!(5));
    let released = server.send(&path(&hold, "/release"), "r1", "application/json", "");
    assert_eq!((released.status, &released.json()["credits"]), (201, &json!("5")), "{}", released.text);
    assert_eq!(server.send(&path(&hold, "/release"), "r1", "application/json", "").text, released.text);
    assert_eq!(server.available("ada"), "600");
}

#[test]
fn an_expired_hold_captures_what_was_reported_and_releases_the_rest() {
    let server = Served::sandbox();
    server.account("ada");
    let hold = open(&server, "h1", json!(5));
    server.post(&path(&hold, "/extend"), "e1", &json!({"used": {"input_tokens": 8_000}}));
    let quiet = open(&server, "h2", json!(5));
    let later = "2035-01-01T00:00:00Z";
    let now = server.post("/v1/test-clock/advance", "", &json!({"to": later}));
    assert_eq!(now.status, 200, "{}", now.text);
    // The next thing that happens to the account writes down what time has brought about.
    assert_eq!(server.charge(&chat("ada", "msg_1", 8_000)).status, 201);
    let shown = server.get(&path(&hold, "")).json();
    assert_eq!((&shown["state"], shown["charge"].is_string()), (&json!("expired"), true));
    assert_eq!(shown["used"], json!({"input_tokens": 8_000}));
    let shown = server.get(&path(&quiet, "")).json();
    assert_eq!((&shown["state"], &shown["used"]), (&json!("expired"), &Value::Null));
    // The welcome for servers has expired as well.
    assert_eq!(server.available("ada"), "498");
    let back = server.post("/v1/test-clock/advance", "", &json!({"to": "2030-01-01T00:00:00Z"}));
    assert_eq!(back.problem(), (422, "invalid_request".into(), "to".into()));
}

#[test]
fn a_binding_quote_becomes_a_hold_once() {
    let server = Served::start();
    server.account("ada");
    let quote = server.post(
        "/v1/quotes",
        "",
        &json!({
            "account": "ada", "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"},
            "quantities": {"input_tokens": 16_000}, "binding_for_seconds": 60,
        }),
    );
    assert_eq!((quote.status, &quote.json()["credits"]), (200, &json!("2")), "{}", quote.text);
    let hold = |key: &str| {
        server.post(
            "/v1/holds",
            "",
            &json!({
                "account": "ada", "quote": quote.json()["id"], "expires_in_seconds": 60, "idempotency_key": key,
                // What says the same again contradicts nothing.
                "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"},
            }),
        )
    };
    for (more, field) in [
        (json!({"meter": "infra_plan"}), "meter"),
        (json!({"dimensions": {"model": "gpt-6.1-luna"}}), "dimensions.model"),
        (json!({"dimensions": {"outcome": "failed"}}), "dimensions.outcome"),
        (json!({"quantities": {"input_tokens": 1}}), "credits"),
    ] {
        let mut body = json!({
            "account": "ada", "quote": quote.json()["id"], "expires_in_seconds": 60, "idempotency_key": "h0",
        });
        more.as_object().unwrap().iter().for_each(|(name, it)| body[name] = it.clone());
        let refused = server.post("/v1/holds", "", &body);
        assert_eq!(refused.problem(), (422, "invalid_request".into(), field.into()), "{}", refused.text);
    }
    let held = hold("h1");
    assert_eq!((held.status, &held.json()["credits"]), (201, &json!("2")), "{}", held.text);
    assert_eq!(hold("h2").problem(), (422, "invalid_request".into(), "quote".into()));
    // It used twice as much, and pays what was promised.
    let used = json!({"quantities": {"input_tokens": 32_000}});
    assert_eq!(server.post(&path(&held.json(), "/capture"), "c1", &used).json()["charge"]["credits"], "2");
}

#[test]
fn a_binding_quote_under_a_key_is_one_promise() {
    let server = Served::start();
    server.account("ada");
    let wanted = |tokens: u64| {
        json!({
            "account": "ada", "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"},
            "quantities": {"input_tokens": tokens}, "binding_for_seconds": 60,
        })
    };
    let first = server.post("/v1/quotes", "q", &wanted(16_000));
    // The account stands otherwise now; the answer does not.
    let charge = json!({"account": "ada", "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"},
        "quantities": {"input_tokens": 8_000}, "idempotency_key": "between"});
    assert_eq!(server.post("/v1/charges", "", &charge).status, 201);
    let again = server.post("/v1/quotes", "q", &wanted(16_000));
    assert_eq!((first.status, again.status, &again.text), (200, 200, &first.text));
    assert_eq!((first.header("idempotent-replay"), again.header("idempotent-replay")), (None, Some("true")));
    let other = server.post("/v1/quotes", "q", &wanted(8_000)).problem();
    assert_eq!(other, (409, "idempotency_conflict".into(), String::new()));
    assert_ne!(server.post("/v1/quotes", "r", &wanted(16_000)).json()["id"], first.json()["id"]);
}

#[test]
fn what_was_answered_is_answered_again_where_it_would_be_refused_now() {
    let server = Served::sandbox();
    server.account("ada");
    let plan = json!({"account": "ada", "meter": "infra_plan", "quantities": {"points": 10}});
    let with = |more: Value| {
        let mut all = plan.clone();
        more.as_object().unwrap().iter().for_each(|(name, it)| all[name] = it.clone());
        all
    };
    let quote = server.post("/v1/quotes", "", &with(json!({"binding_for_seconds": 60}))).json();
    let hold = |seconds: u64| {
        let hold = json!({"account": "ada", "quote": quote["id"], "expires_in_seconds": seconds,
            "idempotency_key": "held"});
        server.post("/v1/holds", "", &hold)
    };
    let charge = with(json!({"idempotency_key": "charged"}));
    let (held, charged) = (hold(86_400), server.charge(&charge));
    assert_eq!((held.status, charged.status), (201, 201), "{} {}", held.text, charged.text);
    // The quote lapses, and the meter is priced no more.
    let mut card = server.get("/v1/rate-card").json();
    (card["version"], card["effective_at"]) = (json!(2), json!(server.later(60)));
    card["meters"].as_object_mut().unwrap().remove("infra_plan").unwrap();
    assert_eq!(server.post("/v1/rate-cards", "", &card).status, 201);
    server.advance(3_600);
    assert_eq!(server.charge(&with(json!({"idempotency_key": "new"}))).status, 422);
    for (first, again) in [(&held, hold(86_400)), (&charged, server.charge(&charge))] {
        assert_eq!((again.status, again.header("idempotent-replay")), (201, Some("true")), "{}", again.text);
        assert_eq!(again.text, first.text);
    }
    let conflict = (409, "idempotency_conflict".to_owned(), String::new());
    assert_eq!(hold(80_000).problem(), conflict);
    let other = with(json!({"quantities": {"points": 11}, "idempotency_key": "charged"}));
    assert_eq!(server.charge(&other).problem(), conflict);
    let batch = server.post("/v1/charges/batch", "", &json!([charge, other])).json();
    assert_eq!((&batch["duplicates"], &batch["refused"]), (&json!(1), &json!(1)), "{batch}");
    assert_eq!(batch["results"][0]["charge"], charged.json());
}

#[test]
fn dimensions_of_a_capture_have_no_order() {
    let server = Served::start();
    server.account("ada");
    let hold = open(&server, "h1", json!("2"));
    let capture = |dimensions: &str| {
        let body = format!(r#"{{"quantities": {{"input_tokens": 8000}}, "dimensions": {dimensions}}}"#);
        server.send(&path(&hold, "/capture"), "c1", "application/json", &body)
    };
    let first = capture(r#"{"outcome": "done", "model": "gpt-6.1-terra"}"#);
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!(capture(r#"{"model": "gpt-6.1-terra", "outcome": "done"}"#).text, first.text);
}

/// What an analysis of a tree costs, which is told or reserved in several ways.
fn analysis(tree: &str, more: &Value) -> Value {
    let mut all = json!({"account": "ada", "meter": "code_analysis", "quantities": {"code_lines": 1_000, "files": 3},
        "dimensions": {"tree": tree.repeat(64)}});
    more.as_object().unwrap().iter().for_each(|(name, it)| all[name] = it.clone());
    all
}

fn hold_analysis(server: &Served, tree: &str, key: &str) -> Value {
    let order = json!({"expires_in_seconds": 600, "idempotency_key": key});
    let held = server.post("/v1/holds", "", &analysis(tree, &order));
    assert_eq!(held.status, 201, "{}", held.text);
    held.json()
}

#[test]
fn a_tree_is_paid_for_once_by_holds_as_by_charges() {
    let directory = Arc::new(TempDir::new().unwrap());
    let sandbox = [("SCRIP_SANDBOX", "1")];
    let server = Served::start_with(Arc::clone(&directory), &sandbox, "");
    server.account("ada");
    let quoted = |tree: &str| server.post("/v1/quotes", "", &analysis(tree, &json!({}))).json();
    let charged = |tree: &str, key: &str| server.charge(&analysis(tree, &json!({"idempotency_key": key}))).json();
    let used = json!({"quantities": {"code_lines": 1_000, "files": 3}});
    let price = quoted("a")["credits"].clone();
    assert_ne!(price, "0");
    // Two holds of one tree captured at once: one pays.
    let holds = ["h1", "h2"].map(|it| hold_analysis(&server, "a", it));
    let captured = at_once(2, |it| server.post(&path(&holds[it], "/capture"), &format!("c{it}"), &used));
    let mut credits = captured.iter().map(|it| it.json()["charge"]["credits"].clone()).collect::<Vec<_>>();
    credits.sort_by_key(ToString::to_string);
    assert_eq!(credits, ["0".into(), price.clone()], "{captured:?}");
    for (number, first) in captured.iter().enumerate() {
        let again = server.post(&path(&holds[number], "/capture"), &format!("c{number}"), &used);
        assert_eq!((again.status, &again.text), (201, &first.text));
        let shown = server.get(&path(&holds[number], "")).json();
        assert_eq!((&shown["state"], &shown["charge"]), (&json!("captured"), &first.json()["charge"]["id"]));
    }
    // From then on nobody pays for it, and each is told so alike.
    let free = charged("a", "again");
    assert_eq!((&free["credits"], &quoted("a")["credits"]), (&json!("0"), &json!("0")));
    let waived = captured.iter().map(|it| it.json()["charge"].clone()).find(|it| it["credits"] == "0").unwrap();
    assert_eq!(waived["lines"], free["lines"]);
    assert_eq!(quoted("a")["lines"], free["lines"]);
    let stated = hold_analysis(&server, "a", "h3");
    let stated = server.post(&path(&stated, "/capture"), "c3", &json!({"credits": "5"}));
    assert_eq!(stated.json()["charge"]["credits"], "0", "{}", stated.text);
    // A tree that is known only when it is captured, and one that was charged for.
    assert_eq!(charged("b", "b")["credits"], price);
    let named = json!({"quantities": {"code_lines": 1_000}, "dimensions": {"tree": "b".repeat(64)}});
    let other = server.post(&path(&hold_analysis(&server, "z", "h4"), "/capture"), "c4", &named);
    assert_eq!(other.json()["charge"]["credits"], "0", "{}", other.text);
    let server = Served::start_with(server.stop(), &sandbox, "");
    assert_eq!(server.charge(&analysis("a", &json!({"idempotency_key": "later"}))).json()["credits"], "0");
    assert_verified(&server.stop());
}

#[test]
fn a_tree_whose_price_was_given_back_is_charged_again() {
    let directory = Arc::new(TempDir::new().unwrap());
    let sandbox = [("SCRIP_SANDBOX", "1")];
    let server = Served::start_with(Arc::clone(&directory), &sandbox, "");
    server.account("ada");
    let quoted = |server: &Served| server.post("/v1/quotes", "", &analysis("a", &json!({}))).json()["credits"].clone();
    let charged = |server: &Served, key: &str| server.charge(&analysis("a", &json!({"idempotency_key": key})));
    let reversed = |server: &Served, charge: &Value, key: &str, more: &Value| {
        let charge = charge["id"].as_str().unwrap();
        let told = server.post(&format!("/v1/charges/{charge}/reverse"), key, more);
        assert_eq!(told.status, 201, "{}", told.text);
    };
    let (all, free) = (json!({"reason": "It failed"}), json!("0"));
    let first = charged(&server, "first");
    let price = first.json()["credits"].clone();
    assert_ne!(price, free);
    // A part of it is given back: the rest is what it costs, and it stays paid for.
    reversed(&server, &first.json(), "r1", &json!({"credits": "0.5", "reason": "It was slow"}));
    assert_eq!((&charged(&server, "second").json()["credits"], &quoted(&server)), (&free, &free));
    // All of it is: it is paid for no more. A key says what it said.
    reversed(&server, &first.json(), "r2", &all);
    assert_eq!(quoted(&server), price);
    assert_eq!(charged(&server, "first").text, first.text);
    // Of many who come at once, one pays; here by captures, that settle what they paid for beside the end of a hold.
    let holds = ["h1", "h2"].map(|it| hold_analysis(&server, "a", it));
    let used = json!({"quantities": {"code_lines": 1_000, "files": 3}});
    let captured = at_once(2, |it| server.post(&path(&holds[it], "/capture"), &format!("c{it}"), &used));
    let captured: Vec<Value> = captured.iter().map(|it| it.json()).collect();
    let (paid, waived) = if captured[0]["charge"]["credits"] == free { (1, 0) } else { (0, 1) };
    assert_eq!((&captured[paid]["charge"]["credits"], &captured[waived]["charge"]["credits"]), (&price, &free));
    assert_eq!(charged(&server, "third").json()["credits"], free);
    // And again, by whatever road it is paid for, also where the store is opened anew between.
    reversed(&server, &captured[paid]["charge"], "r3", &all);
    let server = Served::start_with(server.stop(), &sandbox, "");
    assert_eq!(quoted(&server), price);
    let hold = hold_analysis(&server, "a", "h3");
    let told = server.post(&path(&hold, "/extend"), "told", &json!({"used": {"code_lines": 1_000, "files": 3}}));
    assert_eq!(told.status, 201, "{}", told.text);
    server.advance(3_600);
    let ended = server.get(&path(&hold, "")).json();
    let ended = server.get(&format!("/v1/charges/{}", ended["charge"].as_str().unwrap())).json();
    assert_eq!((&ended["credits"], &quoted(&server)), (&price, &free));
    reversed(&server, &ended, "r4", &all);
    let fourth = charged(&server, "fourth").json();
    assert_eq!((&fourth["credits"], &charged(&server, "fifth").json()["credits"]), (&price, &free));
    // Reversals and charges at once: whatever came first, what is kept was paid for at most once.
    at_once(4, |it| match it {
        0 => server.post(&format!("/v1/charges/{}/reverse", fourth["id"].as_str().unwrap()), "r5", &all),
        other => charged(&server, &format!("race-{other}")),
    });
    assert_eq!(charged(&server, "first").text, first.text);
    assert_verified(&server.stop());
}

#[test]
fn a_hold_that_expires_pays_for_a_tree_once() {
    let server = Served::sandbox();
    server.account("ada");
    let reported = |tree: &str, key: &str| {
        let hold = hold_analysis(&server, tree, key);
        let used = json!({"used": {"code_lines": 1_000, "files": 3}});
        let told = server.post(&path(&hold, "/extend"), &format!("told-{key}"), &used);
        assert_eq!(told.status, 201, "{}", told.text);
        hold
    };
    let charged = |tree: &str, key: &str| server.charge(&analysis(tree, &json!({"idempotency_key": key}))).json();
    let price = server.post("/v1/quotes", "", &analysis("a", &json!({}))).json()["credits"].clone();
    // Reported before it was paid for by a charge, twice at once, and after.
    let before = reported("a", "k1");
    assert_eq!(charged("a", "paid")["credits"], price);
    let after = reported("a", "k2");
    let twice = ["k3", "k4"].map(|it| reported("b", it));
    server.advance(3_600);
    assert_eq!(charged("b", "late")["credits"], "0");
    let charge = |hold: &Value| {
        let shown = server.get(&path(hold, "")).json();
        assert_eq!(shown["state"], "expired", "{shown}");
        server.get(&format!("/v1/charges/{}", shown["charge"].as_str().unwrap())).json()["credits"].clone()
    };
    assert_eq!([charge(&before), charge(&after)], ["0", "0"]);
    assert_eq!(twice.each_ref().map(charge), [price, "0".into()]);
    assert_verified(&server.stop());
}

#[test]
fn what_is_paid_for_is_promised_free_and_the_promise_can_be_held() {
    let server = Served::start();
    server.account("ada");
    assert_eq!(server.charge(&analysis("a", &json!({"idempotency_key": "paid"}))).status, 201);
    let promised = || server.post("/v1/quotes", "q", &analysis("a", &json!({"binding_for_seconds": 60})));
    let quote = promised();
    assert_eq!((quote.status, &quote.json()["credits"]), (200, &json!("0")), "{}", quote.text);
    assert_eq!(promised().text, quote.text);
    let order = json!({"account": "ada", "quote": quote.json()["id"], "expires_in_seconds": 60,
        "idempotency_key": "h"});
    let held = server.post("/v1/holds", "", &order);
    assert_eq!((held.status, &held.json()["credits"]), (201, &json!("0")), "{}", held.text);
    let used = json!({"quantities": {"code_lines": 1_000, "files": 3}});
    let captured = server.post(&path(&held.json(), "/capture"), "c", &used);
    assert_eq!(captured.json()["charge"]["credits"], "0", "{}", captured.text);
}
