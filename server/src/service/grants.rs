//! Grants made and voided by operators, and all of an account's listed.
use std::sync::Arc;

use billing::Refusal;
use billing::id::{GrantId, Name};
use billing::ledger::{Command, Scope, Source, Terms};
use billing::money::{Credits, Money};
use billing::rating::Text;
use billing::time::Timestamp;
use store::{Fault, NameHash};

use super::order::{Fingerprint, check_reason, done};
use super::{Answer, By, Error};
use crate::app::App;
use crate::turnstile::{Ask, Turned};

#[derive(Clone, Debug)]
pub struct GrantOrder {
    pub account: Name,
    pub credits: Credits,
    pub source: Source,
    pub reason: Text,
    pub effective_at: Option<Timestamp>,
    /// None for credits that stay.
    pub expires_at: Option<Timestamp>,
    pub priority: Option<u8>,
    pub scope: Scope,
    /// What was paid for all of it, tax aside, where it was bought outside Scrip.
    pub cost: Option<Money>,
    pub key: Text,
    pub by: By,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GrantState {
    /// Takes effect later.
    Pending,
    Live,
    /// Its payment is disputed: nothing is drawn from what remains of it, and its time stands still.
    Frozen,
    Expired,
    /// Nothing is left of it.
    Spent,
    /// The same, and what was unused of it was taken back.
    Voided,
}

#[derive(Clone, Debug)]
pub struct GrantView {
    pub id: GrantId,
    pub terms: Arc<Terms>,
    /// As its terms say, and later by the time it was frozen.
    pub expires_at: Timestamp,
    pub created_at: Timestamp,
    /// Unspent and not in a hold.
    pub remaining: Credits,
    pub held: Credits,
    pub state: GrantState,
    /// Where the next page begins, should this be the last of one.
    pub cursor: u64,
}

/// Money in minor units that one grant may have cost: as much as no purchase comes to, and no sum of them overflows.
const COST_MAX: i64 = 1_000_000_000_000;

/// Only what was bought has a cost, and no more than can be reckoned with.
///
/// # Errors
/// When it is of something else, or no such amount can be paid.
pub fn check_cost(order: &GrantOrder) -> Result<(), Refusal> {
    let Some(cost) = order.cost else { return Ok(()) };
    if order.source != Source::Purchase {
        return Err(Refusal::invalid("cost", "is for credits of the source purchase alone: others are free"));
    }
    if !(1..=COST_MAX).contains(&cost.amount) {
        return Err(Refusal::invalid("cost.amount", format!("must be from 1 to {COST_MAX}")));
    }
    if cost.amount % cost.currency.step() != 0 {
        let step = cost.currency.step();
        return Err(Refusal::invalid("cost.amount", format!("must be a multiple of {step} in this currency")));
    }
    Ok(())
}

impl App {
    pub async fn grant(&self, order: GrantOrder) -> Result<Answer, Error> {
        let known = self.known(&order.account)?;
        let mut request = Fingerprint::of("grant");
        request.credits(Some(order.credits)).text(order.source.as_str()).text(&order.reason);
        for at in [order.effective_at, order.expires_at] {
            request.number(at.map_or(u64::MAX, |it| it.millis().unsigned_abs()));
        }
        request.number(order.priority.map_or(u64::MAX, u64::from));
        order.scope.meters.iter().for_each(|it| _ = request.text(it));
        if !order.scope.projects.is_empty() {
            // Where they begin: a project may be called as a meter is.
            request.number(order.scope.projects.len() as u64);
        }
        order.scope.projects.iter().for_each(|it| _ = request.text(it.as_str()));
        if let Some(cost) = order.cost {
            request.text("cost").number(cost.amount.unsigned_abs()).text(cost.currency.as_str());
        }
        let key = self.key_of_transaction(known.account.number, &order.key, request)?;
        check_cost(&order)?;
        check_reason(&order.reason)?;
        let cards = self.cards();
        if let Some(unknown) = order.scope.meters.iter().find(|it| cards.iter().all(|card| card.meter(it).is_none())) {
            let why = format!("names `{unknown}`, which no rate card has: nothing could ever be paid with it");
            return Err(Refusal::invalid("scope.meters", why).into());
        }
        let detail = format!("{} {}: {}", order.credits, order.source.as_str(), order.reason);
        let noted = order.by.noted(self.now(), "grant.make", order.account.to_string(), detail);
        let terms = Terms {
            source: order.source,
            credits: order.credits,
            effective_at: order.effective_at.unwrap_or_else(|| self.now()),
            expires_at: order.expires_at.unwrap_or(Timestamp::NEVER),
            priority: order.priority.unwrap_or(Terms::PRIORITY),
            scope: order.scope,
            cost: order.cost,
            charged: None,
            payment: None,
            reason: order.reason,
        };
        let ask = Ask {
            account: known.account.number,
            command: Some(Command::Grant(Arc::new(terms))),
            key: Some(key),
            by: Some(Arc::clone(&order.by.name)),
            fact: None,
            once: None,
            also: noted.into_iter().collect(),
        };
        let (transaction, is_replay) = done(self.turnstile.take_one(ask).await)?;
        Ok(Answer { account: order.account, transaction, is_replay })
    }

    /// Takes back what is unused of a grant.
    pub async fn void(&self, grant: GrantId, reason: Text, key: &Text, by: By) -> Result<Answer, Error> {
        let known = self.known_number(grant.place().account)?.ok_or(Refusal::GrantNotFound)?;
        let made = self.store.transaction(grant.place())?;
        if made.as_ref().and_then(|it| it.granted()).is_none_or(|(id, _)| id != grant) {
            return Err(Refusal::GrantNotFound.into());
        }
        let mut request = Fingerprint::of("void");
        request.text(&grant.to_string()).text(&reason);
        let key = self.key_of_transaction(known.account.number, key, request)?;
        check_reason(&reason)?;
        let (subject, detail) = (known.account.id.to_string(), format!("{grant} {reason}"));
        let noted = by.noted(self.now(), "grant.void", subject, detail);
        let ask = |fact| Ask {
            account: known.account.number,
            command: Some(Command::Void { grant, keep: Credits::ZERO, reason: Arc::clone(&reason) }),
            key: Some(key.clone()),
            by: Some(Arc::clone(&by.name)),
            fact,
            once: None,
            also: noted.iter().cloned().collect(),
        };
        let mut turned = self.turnstile.take_one(ask(Some(NameHash::voided(grant)))).await;
        if let Turned::Overtaken = turned {
            // It was voided before: what came back to it since, from a hold or a reversal, may be taken as well.
            turned = self.turnstile.take_one(ask(None)).await;
        }
        let (transaction, is_replay) = done(turned)?;
        Ok(Answer { account: known.account.id.clone(), transaction, is_replay })
    }

    /// An account's grants, newest first, those below the cursor `before`.
    pub fn grants(&self, id: &Name, before: Option<u64>, limit: usize) -> Result<Vec<GrantView>, Error> {
        let known = self.known(id)?;
        let now = self.now();
        let book = self.book(known.account.number)?.brought_up_to(now);
        let made = self.store.granting(known.account.number, before.unwrap_or(u64::MAX), limit)?;
        let view = |transaction: &Arc<billing::ledger::Transaction>| {
            let (id, terms) = transaction.granted()?;
            let left = book.grant(id);
            let expires_at = book.expiry_of(id, terms);
            let remaining = left.map_or(Credits::ZERO, |it| it.remaining);
            let held = left.map_or(Credits::ZERO, |it| it.held);
            let is_frozen = left.is_some_and(|it| it.is_frozen);
            let state = match () {
                () if now < terms.effective_at => GrantState::Pending,
                () if is_frozen && remaining.is_positive() => GrantState::Frozen,
                () if expires_at <= now => GrantState::Expired,
                () if remaining.is_zero() && held.is_zero() => GrantState::Spent,
                () => GrantState::Live,
            };
            let (created_at, cursor) = (transaction.at, transaction.place.version);
            let terms = Arc::clone(terms);
            Some(GrantView { id, terms, expires_at, created_at, remaining, held, state, cursor })
        };
        let mut views: Vec<GrantView> = made.iter().filter_map(view).collect();
        self.tell_voided(&mut views)?;
        Ok(views)
    }

    /// Calls those voided of which nothing is left because what was unused was taken back.
    fn tell_voided(&self, views: &mut [GrantView]) -> Result<(), Fault> {
        let mut gone: Vec<_> = views.iter_mut().filter(|it| it.state == GrantState::Spent).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let names: Vec<NameHash> = gone.iter().map(|it| NameHash::voided(it.id)).collect();
        let named = self.store.recall(&names, &[])?.named;
        gone.iter_mut().zip(named).filter(|it| it.1.is_some()).for_each(|(it, _)| it.state = GrantState::Voided);
        Ok(())
    }
}
