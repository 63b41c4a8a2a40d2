//! Quotes: the price before the work; a binding one is a promise.
use std::sync::Arc;

use billing::Refusal;
use billing::id::{AccountNumber, Name};
use billing::ledger::{Book, Command, Spend, Spending};
use billing::money::Credits;
use billing::rating::{Price, PriceLine, RateCard, Text, Usage};
use billing::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Change, CommitError, Fault, NameHash, QuoteRecord};

use super::balance::runway;
use super::order::{Fingerprint, part_of, since_of};
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
    /// When credits run out once this is charged, at the present pace; none where nothing burns, or it cannot be paid.
    pub runs_out_at: Option<Timestamp>,
    /// When a binding quote lapses.
    pub expires_at: Option<Timestamp>,
    pub is_replay: bool,
}

impl QuoteView {
    /// A quote that does not bind.
    fn of(usage: Usage, price: Price, standing: Option<Standing>) -> QuoteView {
        QuoteView {
            id: None,
            is_affordable: standing.as_ref().map(|it| it.affords(price.credits)),
            usage,
            price,
            available: standing.as_ref().map(|it| it.available),
            runs_out_at: standing.as_ref().and_then(|it| it.runs_out_at),
            budget: standing.and_then(|it| it.budget),
            expires_at: None,
            is_replay: false,
        }
    }
}

/// What a binding quote promised, read back.
pub(super) struct Promise {
    pub usage: Usage,
    pub credits: Credits,
    pub lines: Vec<PriceLine>,
    pub rate_card: u32,
    /// Fingerprint of the request that a key came with; 0 without a key.
    pub request: u128,
    /// How the account stood when it was given.
    standing: Standing,
}

/// How an account stands before some work.
struct Standing {
    /// What it could spend on it.
    available: Credits,
    /// The budget that would not allow so much.
    budget: Option<Name>,
    /// When its credits run out after it.
    runs_out_at: Option<Timestamp>,
}

impl Standing {
    fn affords(&self, credits: Credits) -> bool {
        credits.is_zero() || (self.budget.is_none() && credits <= self.available)
    }
}

/// A promise as it is kept.
#[derive(Serialize, Deserialize)]
struct Body {
    meter: String,
    quantities: Vec<(String, u64)>,
    dimensions: Vec<(String, String)>,
    rate_card: u32,
    credits: i64,
    request: u128,
    available: i64,
    budget: Option<String>,
    #[serde(default)]
    runs_out_at: Option<i64>,
}

impl App {
    pub fn quote(&self, quote: &QuoteOrder) -> Result<QuoteView, Error> {
        let now = self.now();
        let known = quote.account.as_ref().map(|it| self.known(it)).transpose()?;
        let Some(binding) = quote.binding else { return self.priced_quote(quote, known.as_deref(), now) };
        let known = known.ok_or_else(|| Refusal::invalid("account", "is needed for a binding quote"))?;
        if binding < Span::SECOND || BINDING_MAX < binding {
            return Err(Refusal::invalid("binding_for_seconds", "must be 1 to 86400 (a day)").into());
        }
        let mut request = Fingerprint::of("quote");
        quote.order.fingerprint(&mut request);
        request.number(binding.millis().unsigned_abs());
        let key = quote.key.as_ref().map(|it| self.key(known.account.number, it, request)).transpose()?;
        // Whatever the price is now, and whether there still is one.
        if let Some(before) = key.as_ref().map(|it| self.promised_under(&known, it)).transpose()?.flatten() {
            return Ok(before);
        }
        let view = self.priced_quote(quote, Some(&known), now)?;
        self.promise_it(&known, view, now + binding, key.as_ref())
    }

    /// What some work costs, and whether an account can pay it.
    fn priced_quote(&self, quote: &QuoteOrder, known: Option<&Known>, now: Timestamp) -> Result<QuoteView, Error> {
        let usage = quote.order.usage()?;
        let card = self.card_at(quote.order.at.unwrap_or(now))?;
        let price = card.price(&usage)?;
        let price = match known {
            Some(known) => self.unless_paid(known, &card, &usage, price)?,
            None => price,
        };
        let standing = known.map(|it| self.standing(it, &quote.order, &usage, &price)).transpose()?;
        Ok(QuoteView::of(usage, price, standing))
    }

    /// A price, or none to pay where what is charged once has been paid for by the account.
    fn unless_paid(&self, known: &Known, card: &RateCard, usage: &Usage, price: Price) -> Result<Price, Error> {
        let Some(once) = card.once_per(usage).filter(|_| price.credits.is_positive()) else { return Ok(price) };
        let value = usage.dimensions.iter().find(|it| it.0 == *once).expect("it is charged once by that value");
        let name = |value: &str| NameHash::once(known.account.number, &usage.meter, value);
        let mut names = vec![name(&value.1)];
        names.extend(since_of(usage).into_iter().flat_map(|it| [name(it), name(&part_of(&value.1, it))]));
        let names: Vec<NameHash> = names.into_iter().flat_map(|it| [it, it.freed(1)]).collect();
        let found = self.store.recall(&names, &[])?.named;
        let is_known = |it: NameHash| self.store.recall(&[it], &[]).map(|it| it.named.iter().any(Option::is_some));
        let mut paid = Vec::new();
        for (name, found) in names.chunks(2).zip(found.chunks(2)) {
            paid.push(match (found[0].is_some(), found[1].is_some()) {
                (true, true) => is_known(name[0].after(name[0].times_freed(is_known)?))?,
                (is_paid, _) => is_paid,
            });
        }
        let is_paid = match paid.as_slice() {
            [whole, since, part] => *whole || !since && *part,
            whole => whole.iter().all(|it| *it),
        };
        Ok(if is_paid { price.again(once) } else { price })
    }

    /// Keeps what was quoted as a promise.
    fn promise_it(
        &self,
        known: &Known,
        view: QuoteView,
        expires_at: Timestamp,
        key: Option<&Key>,
    ) -> Result<QuoteView, Error> {
        let record = promise_of(known.account.number, &view, (self.now(), expires_at), key)?;
        let id: Text = record.id.as_str().into();
        match self.store.commit(&[Change::Quote(record)]) {
            Ok(()) => Ok(QuoteView { id: Some(id), expires_at: Some(expires_at), ..view }),
            // Asked twice at once: the other was first.
            Err(CommitError::Repeated) => {
                let before = key.map(|it| self.promised_under(known, it)).transpose()?.flatten();
                before.ok_or(Error::Busy)
            }
            Err(CommitError::Stale) => Err(Error::Busy),
            Err(CommitError::Fault(fault)) => Err(fault.into()),
        }
    }

    /// The answer that a key led to, if it did.
    fn promised_under(&self, known: &Known, key: &Key) -> Result<Option<QuoteView>, Error> {
        let id = id_under(key);
        let Some((promise, expires_at)) = self.promised(known.account.number, &id)? else { return Ok(None) };
        if promise.request != key.request {
            return Err(Refusal::IdempotencyConflict.into());
        }
        let Promise { usage, credits, lines, rate_card, standing, .. } = promise;
        let view = QuoteView::of(usage, Price { credits, lines, rate_card }, Some(standing));
        Ok(Some(QuoteView { id: Some(id.into()), expires_at: Some(expires_at), is_replay: true, ..view }))
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
        // No quote is called so, and not every store can be asked.
        if id.contains('\0') {
            return Ok(None);
        }
        let Some(record) = self.store.quote(account, id)? else { return Ok(None) };
        let body: Body = serde_json::from_str(&record.body).map_err(|it| Fault::new("reading a quote", it))?;
        let usage = Usage {
            meter: body.meter.as_str().into(),
            quantities: body.quantities.into_iter().map(|(name, it)| (name.into(), it)).collect(),
            dimensions: body.dimensions.into_iter().map(|(name, it)| (name.into(), it.into())).collect(),
        };
        let cards = self.cards();
        let card = cards.version(body.rate_card).expect("a card that priced something is kept for ever");
        let price = card.price(&usage)?;
        let price = match card.once_per(&usage) {
            // What was paid for when it was promised is promised free.
            Some(once) if body.credits == 0 && price.credits.is_positive() => price.again(once),
            _ => price,
        };
        let Price { credits, lines, rate_card } = price;
        assert_eq!(credits.micros(), body.credits, "the same card and usage give the same price for ever");
        let budget = body.budget.map(|it| it.parse()).transpose();
        let budget = budget.map_err(|it| Fault::new("reading a quote", format!("its budget {it}")))?;
        let runs_out_at = body.runs_out_at.map(Timestamp::from_millis);
        let standing = Standing { available: Credits::from_micros(body.available), budget, runs_out_at };
        let request = body.request;
        Ok(Some((Promise { usage, credits, lines, rate_card, request, standing }, record.expires_at)))
    }

    /// How the account stands now.
    fn standing(&self, known: &Known, order: &Order, usage: &Usage, price: &Price) -> Result<Standing, Error> {
        let now = self.now();
        let book = self.book(known.account.number)?.brought_up_to(now);
        let (meter, project, actor) = (&*order.meter, order.project.as_ref(), order.actor.as_ref());
        let when = known.hour_of(order.at.unwrap_or(now));
        let budget = match book.within_budgets(Spending { meter, project, actor, when }, price.credits, now) {
            Err(Refusal::BudgetExceeded { budget, .. }) => Some(budget),
            _ => None,
        };
        let mut standing = Standing { available: book.spendable(meter, project, now), budget, runs_out_at: None };
        if standing.affords(price.credits) {
            let work = order.work(known, usage.clone(), price.clone(), now)?;
            standing.runs_out_at =
                self.runs_out_after(known, book, Spend { work: Arc::new(work), debt_max: Credits::ZERO }, now)?;
        }
        Ok(standing)
    }

    /// When an account's credits run out, at the present pace, once some work is charged. None where it is refused.
    fn runs_out_after(
        &self,
        known: &Known,
        mut book: Book,
        spend: Spend,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Fault> {
        let Ok(charged) = book.decide(&Command::Charge(spend), now) else { return Ok(None) };
        book.apply(&charged);
        let others = self.burn_per_day(known.account.number, known.account.created_at, now)?;
        Ok(runway(&book, others, now.max(book.at)).1)
    }
}

fn promise_of(
    account: AccountNumber,
    view: &QuoteView,
    (made_at, expires_at): (Timestamp, Timestamp),
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
        available: view.available.unwrap_or_default().micros(),
        budget: view.budget.as_ref().map(ToString::to_string),
        runs_out_at: view.runs_out_at.map(Timestamp::millis),
    };
    let body = serde_json::to_string(&body).map_err(|it| Fault::new("writing a quote", it))?;
    let id = match key {
        Some(key) => id_under(key),
        // Random alone would do; when it was made stands in front and sorts them by time.
        None => {
            let mut random = [0; 16];
            getrandom::fill(&mut random).map_err(|it| Fault::new("naming a quote", it.to_string()))?;
            format!("quote_{:012x}{}", made_at.millis(), hex(&random))
        }
    };
    Ok(QuoteRecord { account, id, expires_at, body })
}

/// What is said beside a quote may repeat what it is for, and not contradict it.
pub(super) fn agrees(order: &Order, quoted: &Usage) -> Result<(), Refusal> {
    let why = |told: &str, found: &str| format!("is `{told}`, and the quote is for `{found}`; leave one of them out");
    if !order.meter.is_empty() && order.meter != quoted.meter {
        return Err(Refusal::invalid("meter", why(&order.meter, &quoted.meter)));
    }
    for (name, told) in &order.dimensions {
        let found = quoted.dimensions.iter().find(|it| it.0 == *name).map(|it| &it.1);
        let why = match found {
            Some(found) if found == told => continue,
            Some(found) => why(told, found),
            None => format!("is `{told}`, and the quote is for none; leave one of them out"),
        };
        return Err(Refusal::invalid(format!("dimensions.{name}"), why));
    }
    Ok(())
}

/// The same key leads to the same promise.
fn id_under(key: &Key) -> String {
    format!("quote_{}", hex(&key.name.0))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02x}")).collect()
}
