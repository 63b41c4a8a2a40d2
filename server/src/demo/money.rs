//! How the customer of the demonstration pays: what is on sale, a card saved on the provider's page, a purchase with
//! it, another on the page itself, and an auto-topup. The page is filled in as a browser would.
use std::time::Duration;

use serde_json::json;

use super::ACCOUNT;
use super::client::{Client, DemoError};

/// A test card of the provider's.
pub const CARD: &str = "4242424242424242";
/// How often, and how many times, it is looked whether the provider's word has come.
const PAUSE: Duration = Duration::from_millis(50);
const LOOKS_MAX: u32 = 400;

/// Puts a package and a plan of the house's own on sale, beside those there are.
pub fn open_shop(client: &Client) -> Result<(), DemoError> {
    let package = json!({"name": "Launch week", "credits": "2500", "bonus": "500",
        "price": {"amount": 2_500, "currency": "eur"}});
    client.put("/v1/packages/launch-week", &package)?;
    let plan = json!({"name": "Studio", "credits": "5000", "price": {"amount": 4_250, "currency": "eur"},
        "every": "month"});
    client.put("/v1/plans/studio", &plan)?;
    Ok(())
}

/// Saves a card, buys with it, buys on the page, and agrees to an auto-topup.
pub fn buy(client: &Client) -> Result<(), DemoError> {
    let methods = format!("/v1/accounts/{ACCOUNT}/payment-methods");
    if client.get(&methods)?["data"].as_array().is_none_or(Vec::is_empty) {
        let setup = client.post(&format!("{methods}/setup"), "demo-card", &json!({"return_url": client.home()}))?;
        client.fill_in(setup["setup_url"].as_str().unwrap_or_default(), &typed())?;
        wait_for("the card", || Ok(client.get(&methods)?["data"].as_array().is_some_and(|it| !it.is_empty())))?;
    }
    let purchases = format!("/v1/accounts/{ACCOUNT}/purchases");
    client.post(&purchases, "demo-purchase", &json!({"package": "launch-week"}))?;
    let hosted = json!({"credits": "1000", "hosted": true, "return_url": client.home()});
    let page = client.post(&purchases, "demo-purchase-on-the-page", &hosted)?;
    let payment = format!("/v1/payments/{}", page["id"].as_str().unwrap_or_default());
    if let Some(url) = page["checkout_url"].as_str() {
        client.fill_in(url, &typed())?;
        wait_for("the purchase", || Ok(client.get(&payment)?["status"] == "succeeded"))?;
    }
    let rule = json!({"enabled": true, "threshold": "500", "credits": "1000",
        "monthly_maximum": {"amount": 5_000, "currency": "eur"}, "charge_now": true});
    client.put(&format!("/v1/accounts/{ACCOUNT}/auto-topup"), &rule)?;
    Ok(())
}

fn typed() -> String {
    format!("number={CARD}&expiry=12%2F40&cvc=123&name=Acme")
}

fn wait_for(what: &str, is_there: impl Fn() -> Result<bool, DemoError>) -> Result<(), DemoError> {
    for _ in 0..LOOKS_MAX {
        if is_there()? {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    Err(DemoError::Unreachable { what: what.to_owned(), why: "it did not come in time".to_owned() })
}
