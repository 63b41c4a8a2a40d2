//! How the customer of the demonstration pays: what is on sale, a card saved on the provider's page, purchases with it
//! and on the page itself, a subscription that renews, and an auto-topup. The page is filled in as a browser would.
use std::time::Duration;

use billing::time::Timestamp;
use serde_json::{Value, json};

use super::ACCOUNT;
use super::client::{Client, DemoError};

/// A test card of the provider's.
pub const CARD: &str = "4242424242424242";
/// How often, and how many times, it is looked whether the provider's word has come.
const PAUSE: Duration = Duration::from_millis(50);
const LOOKS_MAX: u32 = 400;

type Purchase = fn(&Client) -> Result<(), DemoError>;

/// What is bought, and how many days ago.
const BOUGHT: [(i64, Purchase); 5] = [
    (61, save_card),
    (60, |client| buy(client, "builder", "demo-purchase")),
    (53, subscribe),
    (36, |client| buy(client, "builder", "demo-purchase-again")),
    (12, buy_on_the_page),
];

/// What is bought so many days ago.
pub fn bought_on(days_ago: i64) -> Option<Purchase> {
    BOUGHT.iter().find(|it| it.0 == days_ago).map(|it| it.1)
}

/// Puts a package and a plan of the house's own on sale, beside those there are.
pub fn open_shop(client: &Client) -> Result<(), DemoError> {
    let package = json!({"name": "Launch week", "credits": "2500", "bonus": "200",
        "price": {"amount": 2_500, "currency": "eur"}});
    client.put("/v1/packages/launch-week", &package)?;
    let plan = json!({"name": "Studio", "credits": "12000", "price": {"amount": 9_900, "currency": "eur"},
        "every": "month"});
    client.put("/v1/plans/studio", &plan)?;
    Ok(())
}

/// Saves a card on the provider's page, and agrees to an auto-topup with it.
fn save_card(client: &Client) -> Result<(), DemoError> {
    let methods = format!("/v1/accounts/{ACCOUNT}/payment-methods");
    if client.get(&methods)?["data"].as_array().is_none_or(Vec::is_empty) {
        let setup = client.post(&format!("{methods}/setup"), "demo-card", &json!({"return_url": client.home()}))?;
        client.fill_in(setup["setup_url"].as_str().unwrap_or_default(), &typed())?;
        wait_for("the card", || Ok(client.get(&methods)?["data"].as_array().is_some_and(|it| !it.is_empty())))?;
    }
    let rule = json!({"enabled": true, "threshold": "500", "credits": "1000",
        "monthly_maximum": {"amount": 5_000, "currency": "eur"}, "charge_now": true});
    client.put(&format!("/v1/accounts/{ACCOUNT}/auto-topup"), &rule)?;
    Ok(())
}

fn buy(client: &Client, package: &str, key: &str) -> Result<(), DemoError> {
    let bought = client.post(&format!("/v1/accounts/{ACCOUNT}/purchases"), key, &json!({ "package": package }))?;
    paid(client, &bought)
}

fn buy_on_the_page(client: &Client) -> Result<(), DemoError> {
    let hosted = json!({"package": "launch-week", "hosted": true, "return_url": client.home()});
    let page = client.post(&format!("/v1/accounts/{ACCOUNT}/purchases"), "demo-purchase-on-the-page", &hosted)?;
    let Some(url) = page["checkout_url"].as_str() else { return Ok(()) };
    client.fill_in(url, &typed())?;
    paid(client, &page)
}

fn paid(client: &Client, payment: &Value) -> Result<(), DemoError> {
    let payment = format!("/v1/payments/{}", payment["id"].as_str().unwrap_or_default());
    wait_for("the purchase", || Ok(client.get(&payment)?["status"] == "succeeded"))
}

fn subscription() -> String {
    format!("/v1/accounts/{ACCOUNT}/subscription")
}

fn subscribe(client: &Client) -> Result<(), DemoError> {
    client.post(&subscription(), "demo-subscription", &json!({ "plan": "studio" }))?;
    wait_for("the subscription", || is_paid_until(client, None))
}

/// Waits until what fell due by `now` is paid: a renewal, and what auto-topup buys.
pub fn collected(client: &Client, now: Timestamp) -> Result<(), DemoError> {
    wait_for("the renewal", || is_paid_until(client, Some(now)))?;
    let balance = format!("/v1/accounts/{ACCOUNT}/balance");
    wait_for("the auto-topup", || Ok(client.get(&balance)?["pending_purchases"] == "0"))
}

/// Whether a subscription is paid for, beyond an instant where one is named; also where there is none.
fn is_paid_until(client: &Client, now: Option<Timestamp>) -> Result<bool, DemoError> {
    let found = match client.get(&subscription()) {
        Err(DemoError::Refused { status: 404, .. }) if now.is_some() => return Ok(true),
        found => found?,
    };
    let end: Option<jiff::Timestamp> = found["period_end"].as_str().and_then(|it| it.parse().ok());
    let is_beyond = now.is_none_or(|now| end.is_some_and(|it| now.millis() < it.as_millisecond()));
    Ok(found["state"] == "active" && found["pending_payment"].is_null() && is_beyond)
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
