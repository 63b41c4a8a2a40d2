//! Quotes: the price before the work; a binding one is a promise.
use billing::Refusal;
use billing::id::{AccountNumber, Name};
use billing::ledger::Spending;
use billing::money::Credits;
use billing::rating::{Price, PriceLine, Text, Usage};
use billing::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Change, CommitError, Fault, QuoteRecord};

use super::order::Fingerprint;
use super::{Error, Order};
use crate::app::{App, Known};
use crate::turnstile::Key;

/// The longest a quote may bind.
const BINDING_MAX: Span = Span::DAY;

#[derive(Clone, Debug)]
pub struct QuoteOrder {
    /// Whose credits it is held against; a price without an account is the list price.
    pub account: Option<Name>,
    pub order: Order,
    /// Promise the price for so long.
    pub binding: Option<Span>,
    /// The caller's idempotency key: a binding quote under it is made once.
    pub key: Option<Text>,
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
    /// The budget that does not allow it.
    pub budget: Option<Name>,
    /// When a binding quote lapses.
    pub expires_at: Option<Timestamp>,
    pub is_replay: bool,
}

/// What a binding quote promised, read back.
pub(super) struct Promise {
    pub usage: Usage,
    pub credits: Credits,
    pub lines: Vec<PriceLine>,
    pub rate_card: u32,
    /// Fingerprint of the request that a key came with; 0 without a key.
    pub request: u128,
}

/// A promise as it is kept.
#[derive(Serialize, Deserialize)]
struct Body {
    meter: String,
    quantities: Vec<(String, u64)>,
    dimensions: Vec<(String, String)>,
    rate_card: u32,
    credits: i64,
    #[serde(default)]
    request: u128,
}

impl App {
    pub fn quote(&self, quote: &QuoteOrder) -> Result<QuoteView, Error> {
        let now = self.now();
        let usage = quote.order.usage()?;
        let price = self.card_at(quote.order.at.unwrap_or(now))?.price(&usage)?;
        let known = quote.account.as_ref().map(|it| self.known(it)).transpose()?;
        let standing = known.as_ref().map(|it| self.standing(it, &quote.order, price.credits)).transpose()?;
        let (available, budget) = standing.map_or((None, None), |(available, budget)| (Some(available), budget));
        let view = QuoteView {
            id: None,
            is_affordable: available.map(|it| budget.is_none() && price.credits <= it || price.credits.is_zero()),
            budget,
            available,
            usage,
            price,
            expires_at: None,
            is_replay: false,
        };
        match quote.binding {
            None => Ok(view),
            Some(binding) => {
                let known = known.ok_or_else(|| Refusal::invalid("account", "is needed for a binding quote"))?;
                self.promise_it(&known, quote, view, now + binding)
            }
        }
    }

    /// Keeps what was quoted as a promise. Under a key that has one already, that one is answered.
    fn promise_it(
        &self,
        known: &Known,
        quote: &QuoteOrder,
        view: QuoteView,
        expires_at: Timestamp,
    ) -> Result<QuoteView, Error> {
        let account = known.account.number;
        if quote.binding.is_some_and(|it| it < Span::SECOND || BINDING_MAX < it) {
            return Err(Refusal::invalid("binding_for_seconds", "must be 1 to 86400 (a day)").into());
        }
        let mut request = Fingerprint::of("quote");
        quote.order.fingerprint(&mut request);
        request.number(quote.binding.map_or(0, |it| it.millis().unsigned_abs()));
        let key = quote.key.as_ref().map(|it| self.key(account, it, request)).transpose()?;
        let request = key.as_ref().map_or(0, |it| it.request);
        let record = promise_of(account, &view, expires_at, key.as_ref())?;
        let id: Text = record.id.as_str().into();
        match self.store.commit(&[Change::Quote(record)]) {
            Ok(()) => Ok(QuoteView { id: Some(id), expires_at: Some(expires_at), ..view }),
            Err(CommitError::Repeated) => {
                let (promise, expires_at) = self.promised(account, &id)?.ok_or(Error::Busy)?;
                if promise.request != request {
                    return Err(Refusal::IdempotencyConflict.into());
                }
                let Promise { usage, credits, lines, rate_card, .. } = promise;
                let price = Price { credits, lines, rate_card };
                let (id, expires_at) = (Some(id), Some(expires_at));
                Ok(QuoteView { id, usage, price, expires_at, is_replay: true, ..view })
            }
            Err(CommitError::Stale) => Err(Error::Busy),
            Err(CommitError::Fault(fault)) => Err(fault.into()),
        }
    }

    /// What a binding quote promised, while it binds.
    pub(super) fn promise(&self, known: &Known, id: &str, now: Timestamp) -> Result<Promise, Error> {
        let missing = || Refusal::invalid("quote", "is not a quote of this account");
        let (promise, expires_at) = self.promised(known.account.number, id)?.ok_or_else(missing)?;
        if expires_at <= now {
            return Err(Refusal::invalid("quote", "has expired; ask for a new one").into());
        }
        Ok(promise)
    }

    /// A promise, and when it ceases to bind.
    fn promised(&self, account: AccountNumber, id: &str) -> Result<Option<(Promise, Timestamp)>, Error> {
        let Some(record) = self.store.quote(account, id)? else { return Ok(None) };
        let body: Body = serde_json::from_str(&record.body).map_err(|it| Fault::new("reading a quote", it))?;
        let usage = Usage {
            meter: body.meter.as_str().into(),
            quantities: body.quantities.into_iter().map(|(name, it)| (name.into(), it)).collect(),
            dimensions: body.dimensions.into_iter().map(|(name, it)| (name.into(), it.into())).collect(),
        };
        let cards = self.cards();
        let card = cards.version(body.rate_card).expect("a card that priced something is kept for ever");
        let Price { credits, lines, rate_card } = card.price(&usage)?;
        assert_eq!(credits.micros(), body.credits, "the same card and usage give the same price for ever");
        let request = body.request;
        Ok(Some((Promise { usage, credits, lines, rate_card, request }, record.expires_at)))
    }

    /// What the account could spend on this work now, and the budget that would not allow so much.
    fn standing(&self, known: &Known, order: &Order, required: Credits) -> Result<(Credits, Option<Name>), Fault> {
        let now = self.now();
        let book = self.book(known.account.number)?.brought_up_to(now);
        let (meter, project, actor) = (&*order.meter, order.project.as_ref(), order.actor.as_ref());
        let when = known.hour_of(order.at.unwrap_or(now));
        let budget = match book.within_budgets(Spending { meter, project, actor, when }, required, now) {
            Err(Refusal::BudgetExceeded { budget, .. }) => Some(budget),
            _ => None,
        };
        Ok((book.spendable(meter, project, now), budget))
    }
}

fn promise_of(
    account: AccountNumber,
    view: &QuoteView,
    expires_at: Timestamp,
    key: Option<&Key>,
) -> Result<QuoteRecord, Fault> {
    let pairs = |it: &[(Text, Text)]| it.iter().map(|(name, it)| (name.to_string(), it.to_string())).collect();
    let body = Body {
        meter: view.usage.meter.to_string(),
        quantities: view.usage.quantities.iter().map(|(name, it)| (name.to_string(), *it)).collect(),
        dimensions: pairs(&view.usage.dimensions),
        rate_card: view.price.rate_card,
        credits: view.price.credits.micros(),
        request: key.map_or(0, |it| it.request),
    };
    let body = serde_json::to_string(&body).map_err(|it| Fault::new("writing a quote", it))?;
    let id = match key {
        // The same key leads to the same promise.
        Some(key) => format!("quote_{}", hex(&key.name.0)),
        // Random alone would do; the expiry in front sorts them by time.
        None => {
            let mut random = [0; 16];
            getrandom::fill(&mut random).map_err(|it| Fault::new("naming a quote", it.to_string()))?;
            format!("quote_{:012x}{}", expires_at.millis(), hex(&random))
        }
    };
    Ok(QuoteRecord { account, id, expires_at, body })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}
