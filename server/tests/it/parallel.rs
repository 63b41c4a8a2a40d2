//! Many at once: one welcome, one charge for one key, and exactly the holds that can be paid.
use std::thread;

use serde_json::{Value, json};

use crate::served::{Reply, Served, chat};

pub fn at_once(count: usize, ask: impl Fn(usize) -> Reply + Sync) -> Vec<Reply> {
    thread::scope(|scope| {
        let asked: Vec<_> = (0..count)
            .map(|it| {
                scope.spawn({
                    let ask = &ask;
                    move || ask(it)
                })
            })
            .collect();
        asked.into_iter().map(|it| it.join().unwrap()).collect()
    })
}

#[test]
fn fifty_first_registrations_grant_one_welcome() {
    let server = Served::start();
    let replies = at_once(50, |_| server.put("/v1/accounts/ada", &json!({"name": "Ada"})));
    let statuses = |wanted: u16| replies.iter().filter(|it| it.status == wanted).count();
    assert_eq!((statuses(201), statuses(200)), (1, 49));
    assert_eq!(server.available("ada"), "600");
}

#[test]
fn what_is_said_of_an_account_at_once_is_all_kept() {
    let server = Served::start();
    let said = [
        ("name", json!("Ada")),
        ("email", json!("ada@example.com")),
        ("timezone", json!("Europe/Vilnius")),
        ("address", json!({"city": "Vilnius"})),
        ("tax_id", json!("LT100001919017")),
    ];
    for account in 0..20 {
        let path = format!("/v1/accounts/a{account}");
        assert_eq!(server.put(&path, &json!({})).status, 201);
        let replies = at_once(said.len(), |it| {
            let (field, value) = &said[it];
            server.put(&path, &json!({*field: value}))
        });
        assert!(replies.iter().all(|it| it.status == 200), "{replies:?}");
        let kept = server.get(&path).json();
        for (field, value) in &said {
            assert_eq!(&kept[field], value, "{path}: {kept}");
        }
        // What is at hand of it is what was written last, too.
        assert_eq!(server.get(&format!("{path}/usage")).json()["timezone"], "Europe/Vilnius");
    }
}

#[test]
fn one_person_is_welcomed_once_whatever_their_accounts() {
    let server = Served::start();
    let replies = at_once(8, |it| server.put(&format!("/v1/accounts/a{it}"), &json!({"fingerprints": ["card:4242"]})));
    assert!(replies.iter().all(|it| it.status == 201));
    let welcomed = (0..8).filter(|it| server.available(&format!("a{it}")) == "600").count();
    assert_eq!(welcomed, 1);
}

#[test]
fn fingerprints_told_later_are_remembered_for_who_was_welcomed() {
    let server = Served::start();
    let put = |id: &str, body: Value| {
        let reply = server.put(&format!("/v1/accounts/{id}"), &body);
        (reply.status, server.available(id))
    };
    assert_eq!(put("ada", json!({})), (201, "600".to_owned()));
    let cards = json!({"fingerprints": ["card:4242", "card:4444", "card:4242"]});
    assert_eq!(put("ada", cards.clone()), (200, "600".to_owned()));
    assert_eq!(put("ada", cards), (200, "600".to_owned()), "told again");
    assert_eq!(put("bob", json!({"fingerprints": ["card:4444"]})), (201, "0".to_owned()));
    assert_eq!(put("eve", json!({"fingerprints": ["card:1881"]})), (201, "600".to_owned()));
    // Whose it was first, it stays.
    assert_eq!(put("ada", json!({"name": "Ada", "fingerprints": ["card:1881", "card:5"]})).0, 200);
    assert_eq!(put("fay", json!({"fingerprints": ["card:5"]})), (201, "0".to_owned()));
}

#[test]
fn one_key_sixty_four_times_is_one_charge() {
    let server = Served::start();
    server.account("ada");
    let replies = at_once(64, |_| server.charge(&chat("ada", "msg_1", 8_000)));
    assert!(replies.iter().all(|it| it.status == 201 && it.text == replies[0].text));
    assert_eq!(replies.iter().filter(|it| it.header("idempotent-replay").is_none()).count(), 1);
    assert_eq!(server.available("ada"), "599");
}

#[test]
fn parallel_holds_admit_exactly_what_can_be_paid() {
    let server = Served::start();
    server.account("ada");
    let replies = at_once(30, |it| {
        server.post(
            "/v1/holds",
            "",
            &json!({
                "account": "ada", "meter": "ai_chat", "dimensions": {"model": "gpt-6.1-terra"}, "credits": 50,
                "expires_in_seconds": 600, "idempotency_key": format!("h{it}"),
            }),
        )
    });
    let admitted = replies.iter().filter(|it| it.status == 201).count();
    let refused = replies.iter().filter(|it| it.status == 402).count();
    assert_eq!((admitted, refused), (10, 20));
    let balance = server.get("/v1/accounts/ada/balance").json();
    assert_eq!((&balance["held"], &balance["available"]), (&json!("500"), &json!("100")));
    assert_eq!(server.get("/v1/accounts/ada/holds").json()["data"].as_array().unwrap().len(), 10);
}
