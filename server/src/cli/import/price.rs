//! What a row would cost, by the server's own rate cards: for a rehearsal, which asks for nothing to be done.
use billing::id::Name;
use billing::ledger::LATE_MAX;
use billing::money::Credits;
use billing::rating::{RateCards, Usage};
use billing::time::Timestamp;
use serde_json::{Map, Value};

use crate::cli::Failure;
use crate::cli::remote::Server;
use crate::rate_card;

/// Every version of a server's prices.
pub struct Prices {
    cards: RateCards,
    now: Timestamp,
}

/// Code, field and reason.
type Fault = (&'static str, String, String);

impl Prices {
    pub fn of(server: &Server) -> Result<Prices, Failure> {
        let list = server.get("/v1/rate-cards")?;
        let mut cards = Vec::new();
        for it in list["data"].as_array().into_iter().flatten() {
            let card = server.get(&format!("/v1/rate-cards/{}", it["version"]))?;
            let text = card.to_string();
            cards.push(
                rate_card::parse_json(&text)
                    .map_err(|_| "the server's rate card is not one this program reads".to_owned())?,
            );
        }
        cards.sort_by_key(billing::rating::RateCard::version);
        Ok(Prices { cards: RateCards::restore(cards), now: crate::clock::Clock::default().now() })
    }

    /// The price of a charge as it would be sent.
    pub fn price(&self, charge: &Map<String, Value>) -> Result<Credits, Fault> {
        let wrong = |field: &str, why: &str| ("invalid_request", field.to_owned(), why.to_owned());
        for (name, is_needed) in [("account", true), ("project", false), ("actor", false), ("resource", false)] {
            match charge.get(name) {
                Some(Value::String(it)) => drop(it.parse::<Name>().map_err(|why| wrong(name, &why.to_string()))?),
                None if !is_needed => {}
                _ => return Err(wrong(name, "is missing")),
            }
        }
        let at = match charge.get("at") {
            Some(at) => instant(at)
                .ok_or_else(|| wrong("at", "must be a time with its offset, such as 2026-12-01T09:30:00Z"))?,
            None => self.now,
        };
        if at < self.now - LATE_MAX {
            return Err(wrong("at", "is more than 35 days ago"));
        }
        let mut usage = Usage {
            meter: charge.get("meter").and_then(Value::as_str).ok_or_else(|| wrong("meter", "is missing"))?.into(),
            quantities: Vec::new(),
            dimensions: Vec::new(),
        };
        for (name, it) in members(charge, "quantities") {
            let quantity =
                it.as_u64().ok_or_else(|| wrong(&format!("quantities.{name}"), "must be a whole number, 0 or more"))?;
            usage.quantities.push((name.as_str().into(), quantity));
        }
        for (name, it) in members(charge, "dimensions") {
            let value = it.as_str().ok_or_else(|| wrong(&format!("dimensions.{name}"), "must be a text"))?;
            usage.dimensions.push((name.as_str().into(), value.into()));
        }
        usage.quantities.sort();
        usage.dimensions.sort();
        let card = self
            .cards
            .in_force(at)
            .ok_or_else(|| ("unpriced", "at".to_owned(), "is before the first rate card took effect".to_owned()))?;
        let price =
            card.price(&usage).map_err(|it| (it.code(), it.field().unwrap_or_default().to_owned(), it.to_string()))?;
        Ok(price.credits)
    }
}

fn members<'a>(charge: &'a Map<String, Value>, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    charge.get(name).and_then(Value::as_object).into_iter().flatten()
}

fn instant(value: &Value) -> Option<Timestamp> {
    let at: jiff::Timestamp = value.as_str()?.parse().ok()?;
    Some(Timestamp::from_millis(at.as_millisecond()))
}
