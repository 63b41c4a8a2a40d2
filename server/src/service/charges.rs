//! Charges: one, many, looked up, reversed.
use std::ops::ControlFlow;
use std::sync::Arc;

use billing::Refusal;
use billing::id::{ChargeId, GrantId, Name};
use billing::ledger::{Command, Draw, Reverse, Settled, Spend, Terms, Transaction, What, Work};
use billing::money::Credits;
use billing::rating::{RateCards, Text};
use billing::server::PartKind;
use billing::time::Timestamp;
use store::{Fault, NameHash};

use super::order::{Fingerprint, check_reason, done, in_force, once, say_once};
use super::{Answer, By, ChargeOrder, Error, Order};
use crate::app::{App, Known};
use crate::turnstile::{Ask, Once, Turned};

/// Parts one charge may be reversed in.
const REVERSALS_MAX: u64 = 1_000;
/// Reversals looked for in one read.
const REVERSALS_READ: u64 = 16;
/// How often a reversal that another overtook is made again.
const ATTEMPTS_MAX: u32 = 32;

/// Accounts of a batch that are looked at together: as many as the nearest memory holds.
const LOOKED_AT: usize = 64;

/// A charge, and what has become of it.
#[derive(Clone, Debug)]
pub struct ChargeView {
    pub answer: Answer,
    /// Of it given back so far.
    pub reversed: Credits,
    /// What may still be given back.
    pub left: Credits,
}

#[derive(Clone, Debug)]
pub struct ReverseOrder {
    pub charge: ChargeId,
    /// None for all that is left.
    pub credits: Option<Credits>,
    pub reason: Text,
    pub key: Text,
    pub by: By,
}

/// What an order to charge comes to: the answer its key led to before, or an ask, and whose account it is.
type Asked = ControlFlow<Answer, (Name, Ask)>;

/// One of a batch, until its answer is there.
enum Place {
    Waits(Name),
    Answered(Answer),
}

/// The server whose time, or set-up, a charge settled.
fn of_server(settled: Option<&Settled>) -> Option<(Name, PartKind)> {
    settled.map(|it| (it.server.clone(), it.kind))
}

impl App {
    /// Charges for work done: one decision, one durable write.
    pub async fn charge(&self, order: ChargeOrder) -> Result<Answer, Error> {
        match self.ask_to_charge(order, &self.cards(), self.now())? {
            Asked::Break(answer) => Ok(answer),
            Asked::Continue((account, ask)) => {
                let (transaction, is_replay) = done(self.turnstile.take_one(ask).await)?;
                Ok(Answer { account, transaction, is_replay })
            }
        }
    }

    /// Charges each, in order, each for itself; what could not be parsed keeps its place and its refusal.
    pub async fn charge_all(&self, orders: Vec<Result<ChargeOrder, Refusal>>) -> Vec<Result<Answer, Error>> {
        let (cards, now) = (self.cards(), self.now());
        let mut asks = Vec::with_capacity(orders.len());
        let mut places = Vec::with_capacity(orders.len());
        let mut orders = orders.into_iter();
        while !orders.as_slice().is_empty() {
            let next = orders.as_slice().iter().take(LOOKED_AT).filter_map(|it| it.as_ref().ok());
            self.at_hand.look_at(next.map(|it| &it.account));
            for order in orders.by_ref().take(LOOKED_AT) {
                let asked = order.map_err(Error::from).and_then(|it| self.ask_to_charge(it, &cards, now));
                places.push(asked.map(|it| match it {
                    Asked::Continue((account, ask)) => {
                        asks.push(ask);
                        Place::Waits(account)
                    }
                    Asked::Break(answer) => Place::Answered(answer),
                }));
            }
        }
        let mut turned = self.turnstile.take(asks).await.into_iter();
        let answer = |place: Result<Place, Error>| {
            let account = match place? {
                Place::Waits(account) => account,
                Place::Answered(answer) => return Ok(answer),
            };
            let (transaction, is_replay) = done(turned.next().expect("each ask is answered"))?;
            Ok(Answer { account, transaction, is_replay })
        };
        places.into_iter().map(answer).collect()
    }

    /// A charge and how much of it was reversed.
    pub fn charge_by_id(&self, id: ChargeId) -> Result<ChargeView, Error> {
        let (known, transaction) = self.charged(id)?;
        let (_, reversed) = self.reversed_so_far(id)?;
        let What::Charged { work, credits, settled, .. } = &transaction.what else {
            unreachable!("it was read as a charge")
        };
        let mut left = *credits - reversed;
        if settled.is_some() {
            // What facts told late took back of a server's time is there already.
            let now = self.now();
            let book = self.book(known.account.number)?.brought_up_to(now);
            let of_server = of_server(settled.as_ref());
            let found = book.left_to_reverse(work, of_server.as_ref(), (*credits, reversed), now);
            left = found.unwrap_or(Credits::ZERO);
        }
        let answer = Answer { account: known.account.id.clone(), transaction, is_replay: false };
        Ok(ChargeView { answer, reversed, left })
    }

    /// Gives credits of a charge back to the grants they came from.
    pub async fn reverse(&self, order: ReverseOrder) -> Result<Answer, Error> {
        let (known, transaction) = self.charged(order.charge)?;
        let mut request = Fingerprint::of("reverse");
        request.text(&order.charge.to_string()).credits(order.credits).text(&order.reason);
        let key = self.key_of_transaction(known.account.number, &order.key, request)?;
        check_reason(&order.reason)?;
        let What::Charged { work, credits: charged, draws, owed, settled, .. } = &transaction.what else {
            unreachable!("it was read as a charge")
        };
        let grants = self.terms_of(draws)?;
        let much = order.credits.map_or_else(|| "all that is left".to_owned(), |it| it.to_string());
        let detail = format!("{} {much}: {}", order.charge, order.reason);
        let noted = order.by.noted(self.now(), "charge.reverse", known.account.id.to_string(), detail);
        for _ in 0..ATTEMPTS_MAX {
            let (count, reversed) = self.reversed_so_far(order.charge)?;
            if REVERSALS_MAX <= count {
                return Err(Refusal::invalid("charge", "has been reversed in 1000 parts, the most it may").into());
            }
            let command = Command::Reverse(Reverse {
                charge: order.charge,
                work: Arc::clone(work),
                charged: *charged,
                reversed,
                draws: draws.clone(),
                owed: *owed,
                grants: grants.clone(),
                server: of_server(settled.as_ref()),
                credits: order.credits,
                reason: Arc::clone(&order.reason),
            });
            let ask = Ask {
                account: known.account.number,
                command: Some(command),
                key: Some(key.clone()),
                by: Some(Arc::clone(&order.by.name)),
                fact: Some(NameHash::reversal(order.charge, count + 1)),
                once: None,
                also: noted.iter().cloned().collect(),
            };
            match self.turnstile.take_one(ask).await {
                // Another part was reversed meanwhile: what is left is different now.
                Turned::Overtaken => {}
                turned => {
                    let (transaction, is_replay) = done(turned)?;
                    return Ok(Answer { account: known.account.id.clone(), transaction, is_replay });
                }
            }
        }
        Err(Error::Busy)
    }

    fn ask_to_charge(&self, order: ChargeOrder, cards: &RateCards, now: Timestamp) -> Result<Asked, Error> {
        let ChargeOrder { account: id, order, key, by } = order;
        let known = self.known(&id)?;
        let account = known.account.number;
        let mut request = Fingerprint::of("charge");
        order.fingerprint(&mut request);
        let key = self.key(account, &key, request)?;
        let (work, once) = match self.priced_work(order, cards, &known, now) {
            Ok(priced) => priced,
            Err(refused) => return self.answered_before(&id, &key, refused).map(Asked::Break),
        };
        let command = Some(Command::Charge(Spend { work, debt_max: Credits::ZERO }));
        let ask = Ask { account, command, key: Some(key), by: Some(by), fact: None, once, also: Vec::new() };
        Ok(Asked::Continue((id, ask)))
    }

    /// What an order comes to at the prices of its time, and what becomes of it if that was paid for already.
    fn priced_work(
        &self,
        mut order: Order,
        cards: &RateCards,
        known: &Known,
        now: Timestamp,
    ) -> Result<(Arc<Work>, Option<Box<Once>>), Error> {
        let card = in_force(cards, order.at.unwrap_or(now))?;
        let usage = order.take_usage()?;
        let price = card.price(&usage)?;
        let mut work = order.into_work(known, usage, price, now)?;
        say_once(&mut work, card);
        let waived = |work| Command::Charge(Spend { work, debt_max: Credits::ZERO });
        let once = once(known.account.number, &work, waived);
        Ok((Arc::new(work), once))
    }

    /// The transaction that made a charge. An id that leads elsewhere, or was made up, is not found.
    fn charged(&self, id: ChargeId) -> Result<(Arc<Known>, Arc<Transaction>), Error> {
        let known = self.known_number(id.place().account)?.ok_or(Refusal::ChargeNotFound)?;
        let transaction = self.store.transaction(id.place())?.ok_or(Refusal::ChargeNotFound)?;
        match transaction.what {
            What::Charged { .. } if transaction.charge_id() == id => Ok((known, transaction)),
            _ => Err(Refusal::ChargeNotFound.into()),
        }
    }

    /// How many parts of a charge were reversed, and how much they are together.
    fn reversed_so_far(&self, charge: ChargeId) -> Result<(u64, Credits), Fault> {
        let mut count = 0;
        loop {
            let names: Vec<NameHash> =
                (count + 1..=count + REVERSALS_READ).map(|it| NameHash::reversal(charge, it)).collect();
            let named = self.store.recall(&names, &[])?.named;
            let found: Vec<_> = named.into_iter().map_while(|it| it).collect();
            count += found.len() as u64;
            if found.len() as u64 == REVERSALS_READ {
                continue;
            }
            let last = match found.last() {
                Some(place) => Some(*place),
                None if count == 0 => None,
                None => self.store.recall(&[NameHash::reversal(charge, count)], &[])?.named.pop().flatten(),
            };
            let Some(last) = last else { return Ok((0, Credits::ZERO)) };
            return match self.store.transaction(last)?.as_deref() {
                Some(Transaction { what: What::Reversed(it), .. }) => Ok((count, it.total)),
                _ => Err(Fault::new("reading a reversal", format!("{last} is named as one and is not"))),
            };
        }
    }

    /// The terms of the grants that were drawn from.
    pub fn terms_of(&self, draws: &[Draw]) -> Result<Vec<(GrantId, Arc<Terms>)>, Fault> {
        let mut grants: Vec<(GrantId, Arc<Terms>)> = Vec::new();
        for draw in draws {
            if grants.iter().any(|(id, _)| *id == draw.grant) {
                continue;
            }
            let made = self.store.transaction(draw.grant.place())?;
            let terms = made.as_ref().and_then(|it| it.granted()).map(|(_, terms)| Arc::clone(terms));
            let missing = || Fault::new("reading a grant", format!("{} was drawn from and is not there", draw.grant));
            grants.push((draw.grant, terms.ok_or_else(missing)?));
        }
        Ok(grants)
    }
}
