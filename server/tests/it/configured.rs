//! What the configuration says is what the server does.
use std::sync::Arc;

use serde_json::json;
use tempfile::TempDir;

use crate::served::{Served, chat};

/// A card of one meter, on which a call costs so much.
fn card(price: &str) -> String {
    format!(
        "version = 1\neffective_at = 2026-01-01T00:00:00Z\n[meters.calls]\nlabel = \"Calls\"\ncategory = \"Other\"\n\
         quantities = [{{ name = \"calls\", label = \"Calls\", unit = \"call\", required = true }}]\n\
         [[meters.calls.rates]]\ncalls = \"{price}\"\n"
    )
}

#[test]
fn credits_cost_what_the_configuration_says() {
    for (config, times) in [("", 1), ("hundred_credits_cost = 3", 3)] {
        let server = Served::configured(config);
        server.account("ada");
        let balance = server.get("/v1/accounts/ada/balance").json();
        assert_eq!(balance["available"], "600", "{config}");
        assert_eq!(balance["money"], json!({"amount": 600 * times, "currency": "eur"}), "{config}: {balance}");
        let sold = server.get("/v1/packages").json();
        let starter = sold["data"].as_array().unwrap().iter().find(|it| it["id"] == "starter").unwrap();
        assert_eq!(starter["price"]["amount"], 1_000 * times, "{config}: {starter}");
    }
}

#[test]
fn a_store_begins_with_the_rate_card_it_is_given_and_the_environment_overrules_the_file() {
    let cards = TempDir::new().unwrap();
    let path = |price: &str| {
        let path = cards.path().join(format!("card-{price}.toml"));
        std::fs::write(&path, card(price)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (two, five) = (path("2"), path("5"));
    let file = format!("rate_card = {two:?}\n");
    let named = [("SCRIP_RATE_CARD", &*five)];
    for (config, environment, costs) in [(&*file, &[][..], "2"), ("", &named[..], "5"), (&*file, &named[..], "5")] {
        let directory = Arc::new(TempDir::new().unwrap());
        let server = Served::start_with(Arc::clone(&directory), environment, config);
        server.account("ada");
        let call = json!({"account": "ada", "meter": "calls", "quantities": {"calls": 1}, "idempotency_key": "one"});
        let charged = server.charge(&call);
        assert_eq!((charged.status, &charged.json()["credits"]), (201, &json!(costs)), "{config}: {}", charged.text);
        assert_eq!(server.charge(&chat("ada", "two", 8_000)).problem().1, "unpriced", "its card is all there is");
        // It is the first card of a store that has none, and no other's.
        drop(server);
        let again = Served::start_with(directory, &[("SCRIP_RATE_CARD", &*two)], "");
        assert_eq!(again.get("/v1/rate-cards").json()["data"].as_array().unwrap().len(), 1);
        let quote = json!({"meter": "calls", "quantities": {"calls": 1}});
        assert_eq!(again.post("/v1/quotes", "", &quote).json()["credits"], costs, "{config}");
    }
}
