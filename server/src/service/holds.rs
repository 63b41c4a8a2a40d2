//! Holds: reserve, grow as the stream flows, capture or release.
use std::sync::Arc;

use billing::Refusal;
use billing::id::{HoldId, Name};
use billing::ledger::{Captured, Closing, Command, Hold, HoldEnd, Over, Transaction, What, Work};
use billing::money::Credits;
use billing::rating::{Price, QuantityCeiling, RateCard, Text};
use billing::time::{Span, Timestamp};
use store::NameHash;

use super::held_work::{priceable, with_all_quantities};
use super::order::{Evidence, Fingerprint, done, in_order, once};
use super::quotes::agrees;
use super::{Answer, By, Error, Order};
use crate::app::{App, Known};
use crate::turnstile::{Ask, Key, Turned};

/// The longest a hold may stand without being extended.
pub const LASTS_MAX: Span = Span::DAY.times(7);

/// How much to reserve.
#[derive(Clone, Debug)]
pub enum HoldAmount {
    Credits(Credits),
    /// The price of the order's quantities.
    Planned,
    /// What a binding quote promised.
    Quote(Text),
}

#[derive(Clone, Debug)]
pub struct HoldOrder {
    pub account: Name,
    /// What the credits are reserved for. With a quote, its meter is the quote's or empty.
    pub order: Order,
    pub amount: HoldAmount,
    pub lasts: Span,
    pub key: Text,
    pub by: Text,
}

/// Grow a hold, report what has been used so far, give it more time: any of them.
#[derive(Clone, Debug)]
pub struct ExtendOrder {
    pub hold: HoldId,
    pub more: Option<HoldMore>,
    pub used: Option<Vec<(Text, u64)>>,
    /// From now.
    pub lasts: Option<Span>,
    pub key: Text,
    pub by: Text,
}

#[derive(Clone, Debug)]
pub enum HoldMore {
    Credits(Credits),
    /// The price of these quantities, by the meter and dimensions of the hold.
    Quantities(Vec<(Text, u64)>),
}

#[derive(Clone, Debug)]
pub struct CaptureOrder {
    pub hold: HoldId,
    pub amount: HoldMore,
    /// Beside the hold's own: `outcome`, or the model that was used in the end.
    pub dimensions: Vec<(Text, Text)>,
    pub over: Over,
    pub evidence: Option<Evidence>,
    pub key: Text,
    pub by: Text,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HoldState {
    Open,
    Ended(HoldEnd),
}

/// A hold as it stands.
#[derive(Clone, Debug)]
pub struct HoldView {
    pub account: Name,
    pub id: HoldId,
    pub state: HoldState,
    /// What the hold is for.
    pub work: Arc<Work>,
    /// Reserved now; what was reserved when it was opened, for one that has ended.
    pub credits: Credits,
    pub used: Option<Arc<Work>>,
    pub expires_at: Timestamp,
    /// The charge it ended in.
    pub charge: Option<Arc<Transaction>>,
}

/// A change to a hold: what was written down, and how far the credits go now.
#[derive(Clone, Debug)]
pub struct HoldAnswer {
    pub answer: Answer,
    pub id: HoldId,
    /// Reserved after this change.
    pub credits: Credits,
    pub expires_at: Timestamp,
    /// The hold and what was available after this change.
    pub ceiling: Credits,
    /// For each quantity of the meter, the most those credits buy.
    pub ceilings: Vec<QuantityCeiling>,
}

impl App {
    /// Reserves credits for work under way.
    pub async fn hold(&self, order: HoldOrder) -> Result<HoldAnswer, Error> {
        let known = self.known(&order.account)?;
        let now = self.now();
        let account = known.account.number;
        let key = self.key(account, &order.key, request_of_hold(&order))?;
        let (work, credits, fact) = match self.planned(&known, &order, now) {
            Ok(planned) => planned,
            Err(refused) => return self.hold_answer(self.answered_before(&order.account, &key, refused)?),
        };
        let expires_at = now + lasting(order.lasts)?;
        let command = Command::Hold { work: Arc::new(work), credits, expires_at };
        let ask = Ask {
            account,
            command: Some(command),
            key: Some(key),
            by: Some(order.by),
            fact,
            once: None,
            also: Vec::new(),
        };
        let answer = match self.turnstile.take_one(ask).await {
            Turned::Overtaken => {
                return Err(Refusal::invalid("quote", "has been turned into a hold; ask for a new one").into());
            }
            turned => answered(&known, done(turned)?),
        };
        self.hold_answer(answer)
    }

    /// Reserves more, reports usage, moves the expiry.
    pub async fn extend(&self, order: ExtendOrder) -> Result<HoldAnswer, Error> {
        let (known, opened) = self.held(order.hold)?;
        let now = self.now();
        let mut request = Fingerprint::of("extend");
        request.text(&order.hold.to_string());
        fingerprint_amount(&mut request, order.more.as_ref());
        fingerprint_quantities(&mut request, order.used.as_deref());
        request.number(order.lasts.map_or(0, |it| it.millis().unsigned_abs()));
        let key = self.key_of_transaction(known.account.number, &order.key, request)?;
        let plan = work_of(&opened);
        let more = match &order.more {
            None => Credits::ZERO,
            Some(HoldMore::Credits(credits)) => *credits,
            Some(HoldMore::Quantities(quantities)) => self.priced_on(plan, quantities, &[])?.1.credits,
        };
        let used = order.used.as_ref().map(|it| self.work_on(&known, plan, it, &[])).transpose()?;
        let expires_at = order.lasts.map(lasting).transpose()?.map(|it| now + it);
        let extend = |used| Command::Extend { hold: order.hold, more, used, expires_at };
        let once = used.as_ref().and_then(|it| once(known.account.number, it, |used| extend(Some(used))));
        let mut ask = on_hold(&known, extend(used.map(Arc::new)), key, order.by);
        ask.once = once;
        let turned = self.turnstile.take_one(ask).await;
        let answer = answered(&known, self.done_on_hold(order.hold, turned)?);
        self.hold_answer(answer)
    }

    /// Turns a hold into a charge, below it or above it.
    pub async fn capture(&self, order: CaptureOrder) -> Result<Answer, Error> {
        let (known, opened) = self.held(order.hold)?;
        let mut request = Fingerprint::of("capture");
        request.text(&order.hold.to_string()).number(order.over as u64);
        fingerprint_amount(&mut request, Some(&order.amount));
        in_order(&order.dimensions, |(name, value)| {
            request.text(name).text(value);
        });
        request.evidence(order.evidence.as_ref());
        let key = self.key_of_transaction(known.account.number, &order.key, request)?;
        let plan = work_of(&opened);
        let work = match &order.amount {
            HoldMore::Credits(credits) => self.stated_on(&known, plan, *credits, &order.dimensions),
            HoldMore::Quantities(quantities) => self.work_on(&known, plan, quantities, &order.dimensions),
        };
        let mut work = match work {
            Ok(work) => work,
            Err(refused) => return self.answered_before(&known.account.id, &key, refused.into()),
        };
        work.evidence = order.evidence.map(|it| it.kept);
        let capture = |work| Command::Capture(Captured { hold: order.hold, work, over: order.over });
        let once = once(known.account.number, &work, capture);
        let mut ask = on_hold(&known, capture(Arc::new(work)), key, order.by);
        ask.once = once;
        ask.fact = Some(NameHash::hold_end(order.hold));
        let turned = self.turnstile.take_one(ask).await;
        Ok(answered(&known, self.done_on_hold(order.hold, turned)?))
    }

    /// Gives a hold's credits back.
    pub async fn release(&self, hold: HoldId, key: &Text, by: By) -> Result<Answer, Error> {
        let (known, _) = self.held(hold)?;
        let mut request = Fingerprint::of("release");
        request.text(&hold.to_string());
        let key = self.key_of_transaction(known.account.number, key, request)?;
        let mut ask = on_hold(&known, Command::Release { hold }, key, Arc::clone(&by.name));
        ask.fact = Some(NameHash::hold_end(hold));
        ask.also.extend(by.noted(self.now(), "hold.release", known.account.id.to_string(), hold.to_string()));
        let turned = self.turnstile.take_one(ask).await;
        Ok(answered(&known, self.done_on_hold(hold, turned)?))
    }

    pub fn hold_by_id(&self, id: HoldId) -> Result<HoldView, Error> {
        let (known, opened) = self.held(id)?;
        let now = self.now();
        let book = self.book(known.account.number)?.brought_up_to(now);
        if let Some(hold) = book.hold(id) {
            return Ok(view(&known, hold));
        }
        let What::Held { work, draws, expires_at, .. } = &opened.what else { unreachable!("it was read as a hold") };
        let ended = self.ending(id)?;
        let end = ended.as_deref().map_or(HoldEnd::Expired, end_of);
        Ok(HoldView {
            account: known.account.id.clone(),
            id,
            state: HoldState::Ended(end),
            work: Arc::clone(work),
            credits: draws.iter().map(|it| it.credits).sum(),
            used: ended.as_deref().and_then(charged_for),
            expires_at: *expires_at,
            charge: ended.filter(|it| matches!(it.what, What::Charged { .. })),
        })
    }

    /// An account's open holds, oldest first.
    pub fn holds(&self, account: &Name) -> Result<Vec<HoldView>, Error> {
        let known = self.known(account)?;
        let book = self.book(known.account.number)?.brought_up_to(self.now());
        Ok(book.holds().iter().map(|it| view(&known, it)).collect())
    }

    /// What a hold is for, how much it reserves, and the quote it uses up.
    fn planned(
        &self,
        known: &Known,
        order: &HoldOrder,
        now: Timestamp,
    ) -> Result<(Work, Credits, Option<NameHash>), Error> {
        let card = self.card_at(order.order.at.unwrap_or(now))?;
        match &order.amount {
            HoldAmount::Quote(id) => {
                let quote = self.promise(known, id, now)?;
                agrees(&order.order, &quote.usage)?;
                let fact = NameHash::quote_used(known.account.number, id);
                let price = Price { credits: quote.credits, lines: quote.lines, rate_card: quote.rate_card };
                let mut work = order.order.work(known, quote.usage, price, now)?;
                work.quote = Some(Arc::clone(id));
                let credits = work.price.credits;
                Ok((work, credits, Some(fact)))
            }
            HoldAmount::Planned => {
                let usage = order.order.usage()?;
                let price = card.price(&usage)?;
                let credits = price.credits;
                Ok((order.order.work(known, usage, price, now)?, credits, None))
            }
            HoldAmount::Credits(credits) => {
                let usage = order.order.usage()?;
                priceable(&card, &usage)?;
                let price = Price { credits: Credits::ZERO, lines: Vec::new(), rate_card: card.version() };
                Ok((order.order.work(known, usage, price, now)?, *credits, None))
            }
        }
    }

    fn held(&self, id: HoldId) -> Result<(Arc<Known>, Arc<Transaction>), Error> {
        let known = self.known_number(id.place().account)?.ok_or(Refusal::HoldNotFound)?;
        let transaction = self.store.transaction(id.place())?.ok_or(Refusal::HoldNotFound)?;
        match transaction.what {
            What::Held { hold, .. } if hold == id => Ok((known, transaction)),
            _ => Err(Refusal::HoldNotFound.into()),
        }
    }

    fn ending(&self, hold: HoldId) -> Result<Option<Arc<Transaction>>, Error> {
        let place = self.store.recall(&[NameHash::hold_end(hold)], &[])?.named.pop().flatten();
        Ok(place.map(|it| self.store.transaction(it)).transpose()?.flatten())
    }

    /// A hold the book does not know has ended; the refusal says how.
    fn done_on_hold(&self, hold: HoldId, turned: Turned) -> Result<(Arc<Transaction>, bool), Error> {
        match turned {
            Turned::Overtaken | Turned::Refused(Refusal::HoldNotFound) => {
                let end = self.ending(hold)?.as_deref().map_or(HoldEnd::Expired, end_of);
                Err(Refusal::HoldClosed { end }.into())
            }
            turned => done(turned),
        }
    }

    /// How far the credits go, of the transaction alone: a replay says what was said.
    fn hold_answer(&self, answer: Answer) -> Result<HoldAnswer, Error> {
        let (id, expires_at, beyond) = match &answer.transaction.what {
            What::Held { hold, expires_at, beyond, .. } | What::Extended { hold, expires_at, beyond, .. } => {
                (*hold, *expires_at, *beyond)
            }
            _ => return Err(Refusal::IdempotencyConflict.into()),
        };
        let (_, opened) = self.held(id)?;
        let (credits, used) = self.reserved_by(id, &answer.transaction)?;
        let plan = used.as_deref().unwrap_or(work_of(&opened));
        let ceiling = credits + beyond;
        let ceilings = ceilings(&self.card_of(plan), plan, ceiling);
        Ok(HoldAnswer { answer, id, credits, expires_at, ceiling, ceilings })
    }

    /// What a hold reserved, and had been told of, once `transaction` was done.
    fn reserved_by(&self, id: HoldId, transaction: &Transaction) -> Result<(Credits, Option<Arc<Work>>), Error> {
        match &transaction.what {
            What::Extended { reserved, used, .. } => Ok((*reserved, used.clone())),
            What::Held { draws, .. } => Ok((draws.iter().map(|it| it.credits).sum(), None)),
            _ => unreachable!("{id} was opened or extended by it"),
        }
    }
}

fn answered(known: &Known, (transaction, is_replay): (Arc<Transaction>, bool)) -> Answer {
    Answer { account: known.account.id.clone(), transaction, is_replay }
}

fn on_hold(known: &Known, command: Command, key: Key, by: Text) -> Ask {
    let account = known.account.number;
    Ask { account, command: Some(command), key: Some(key), by: Some(by), fact: None, once: None, also: Vec::new() }
}

fn work_of(opened: &Transaction) -> &Work {
    match &opened.what {
        What::Held { work, .. } => work,
        _ => unreachable!("it was read as a hold"),
    }
}

fn end_of(transaction: &Transaction) -> HoldEnd {
    match &transaction.what {
        What::Released { end, .. } | What::Charged { closing: Some(Closing { end, .. }), .. } => *end,
        _ => HoldEnd::Expired,
    }
}

/// What the end of a hold charged, if it charged anything by quantities.
fn charged_for(ending: &Transaction) -> Option<Arc<Work>> {
    let What::Charged { work, .. } = &ending.what else { return None };
    (!work.usage.quantities.is_empty()).then(|| Arc::clone(work))
}

fn view(known: &Known, hold: &Hold) -> HoldView {
    HoldView {
        account: known.account.id.clone(),
        id: hold.id,
        state: HoldState::Open,
        work: Arc::clone(&hold.work),
        credits: hold.credits(),
        used: hold.used.clone(),
        expires_at: hold.expires_at,
        charge: None,
    }
}

fn lasting(span: Span) -> Result<Span, Refusal> {
    if Span::SECOND <= span && span <= LASTS_MAX {
        return Ok(span);
    }
    Err(Refusal::invalid("expires_in_seconds", "must be 1 to 604800 (seven days); extend the hold to keep it longer"))
}

fn ceilings(card: &RateCard, plan: &Work, available: Credits) -> Vec<QuantityCeiling> {
    // A plan that cannot be priced with every quantity has no ceilings to tell; the credits say it all.
    card.affordable(&with_all_quantities(card, &plan.usage), available).unwrap_or_default()
}

fn request_of_hold(order: &HoldOrder) -> Fingerprint {
    let mut request = Fingerprint::of("hold");
    order.order.fingerprint(&mut request);
    match &order.amount {
        HoldAmount::Credits(credits) => request.credits(Some(*credits)),
        HoldAmount::Planned => request.text("planned"),
        HoldAmount::Quote(id) => request.text(id),
    };
    request.number(order.lasts.millis().unsigned_abs());
    request
}

fn fingerprint_amount(request: &mut Fingerprint, amount: Option<&HoldMore>) {
    match amount {
        None => fingerprint_quantities(request, None),
        Some(HoldMore::Credits(credits)) => {
            request.credits(Some(*credits));
        }
        Some(HoldMore::Quantities(quantities)) => fingerprint_quantities(request, Some(quantities)),
    }
}

fn fingerprint_quantities(request: &mut Fingerprint, quantities: Option<&[(Text, u64)]>) {
    let mut quantities: Vec<_> = quantities.unwrap_or_default().iter().collect();
    quantities.sort();
    request.number(quantities.len() as u64);
    for (name, quantity) in quantities {
        request.text(name).number(*quantity);
    }
}
