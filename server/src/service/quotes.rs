//! Quotes: the price before the work; a binding one is a promise.
use std::sync::Arc;

use billing::Refusal;
use billing::id::{AccountNumber, Name};
use billing::money::Credits;
use billing::rating::{Price, PriceLine, Text, Usage};
use billing::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Change, CommitError, Fault, QuoteRecord};

use super::{Error, Order};
use crate::app::{App, Known};

/// The longest a quote may bind.
const BINDING_MAX: Span = Span::DAY;

#[derive(Clone, Debug)]
pub struct QuoteOrder {
    /// Whose credits it is held against; a price without an account is the list price.
    pub account: Option<Name>,
    pub order: Order,
    /// Promise the price for so long.
    pub binding: Option<Span>,
}

#[derive(Clone, Debug)]
pub struct QuoteView {
    /// The name to open a hold with, of a binding quote.
    pub id: Option<Text>,
    pub usage: Usage,
    pub price: Price,
    /// What the account could spend on this work now.
    pub available: Option<Credits>,
    pub is_affordable: Option<bool>,
    /// When a binding quote lapses.
    pub expires_at: Option<Timestamp>,
}

/// What a binding quote promised, read back.
pub(super) struct Promise {
    pub usage: Usage,
    pub credits: Credits,
    pub lines: Vec<PriceLine>,
    pub rate_card: u32,
}

/// A promise as it is kept.
#[derive(Serialize, Deserialize)]
struct Body {
    meter: String,
    quantities: Vec<(String, u64)>,
    dimensions: Vec<(String, String)>,
    rate_card: u32,
    credits: i64,
}

impl App {
    pub fn quote(&self, quote: &QuoteOrder) -> Result<QuoteView, Error> {
        let now = self.now();
        let usage = quote.order.usage()?;
        let price = self.card_at(quote.order.at.unwrap_or(now))?.price(&usage)?;
        let known = quote.account.as_ref().map(|it| self.known(it)).transpose()?;
        let available = known.as_ref().map(|it| self.spendable(it, &quote.order, now)).transpose()?;
        let mut view = QuoteView {
            id: None,
            is_affordable: available.map(|it| price.credits <= it || price.credits.is_zero()),
            available,
            usage,
            price,
            expires_at: None,
        };
        if let Some(binding) = quote.binding {
            let known = known.ok_or_else(|| Refusal::invalid("account", "is needed for a binding quote"))?;
            if binding < Span::SECOND || BINDING_MAX < binding {
                return Err(Refusal::invalid("binding_for_seconds", "must be 1 to 86400 (a day)").into());
            }
            let record = promise_of(known.account.number, &view, now + binding)?;
            view.id = Some(record.id.as_str().into());
            view.expires_at = Some(record.expires_at);
            self.store.commit(&[Change::Quote(record)]).map_err(|error| match error {
                CommitError::Fault(fault) => Error::Fault(fault),
                CommitError::Stale | CommitError::Repeated => Error::Busy,
            })?;
        }
        Ok(view)
    }

    /// What a binding quote promised, while it binds.
    pub(super) fn promise(&self, known: &Known, id: &str, now: Timestamp) -> Result<Promise, Error> {
        let missing = || Refusal::invalid("quote", "is not a quote of this account");
        let record = self.store.quote(known.account.number, id)?.ok_or_else(missing)?;
        if record.expires_at <= now {
            return Err(Refusal::invalid("quote", "has expired; ask for a new one").into());
        }
        let body: Body = serde_json::from_str(&record.body).map_err(|it| Fault::new("reading a quote", it))?;
        let usage = Usage {
            meter: body.meter.as_str().into(),
            quantities: body.quantities.into_iter().map(|(name, it)| (name.into(), it)).collect(),
            dimensions: body.dimensions.into_iter().map(|(name, it)| (name.into(), it.into())).collect(),
        };
        let cards = self.cards();
        let card = cards.version(body.rate_card).expect("a card that priced something is kept for ever");
        let price = card.price(&usage)?;
        assert_eq!(price.credits.micros(), body.credits, "the same card and usage give the same price for ever");
        Ok(Promise { usage, credits: price.credits, lines: price.lines, rate_card: price.rate_card })
    }

    fn spendable(&self, known: &Arc<Known>, order: &Order, now: Timestamp) -> Result<Credits, Fault> {
        let book = self.book(known.account.number)?.brought_up_to(now);
        Ok(book.spendable(&order.meter, order.project.as_ref(), now))
    }
}

fn promise_of(account: AccountNumber, view: &QuoteView, expires_at: Timestamp) -> Result<QuoteRecord, Fault> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|it| Fault::new("naming a quote", it.to_string()))?;
    let pairs = |it: &[(Text, Text)]| it.iter().map(|(name, it)| (name.to_string(), it.to_string())).collect();
    let body = Body {
        meter: view.usage.meter.to_string(),
        quantities: view.usage.quantities.iter().map(|(name, it)| (name.to_string(), *it)).collect(),
        dimensions: pairs(&view.usage.dimensions),
        rate_card: view.price.rate_card,
        credits: view.price.credits.micros(),
    };
    let body = serde_json::to_string(&body).map_err(|it| Fault::new("writing a quote", it))?;
    // Random alone would do; the expiry in front sorts them by time.
    let id = format!("quote_{:012x}{:032x}", expires_at.millis(), u128::from_le_bytes(random));
    Ok(QuoteRecord { account, id, expires_at, body })
}
