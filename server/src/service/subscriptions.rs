//! Subscriptions: credits each period, given when they are paid for and kept whatever happens afterwards.
//!
//! An account has one subscription, a document that is due when its period ends. A renewal is a payment like any other;
//! what came of it moves the subscription on in the very commit that settles the payment. Invariants: one payment of a
//! subscription is under way at a time; a period is granted by its own payment, once; nothing here takes credits away.
use std::sync::Arc;

use billing::Refusal;
use billing::calendar::Date;
use billing::id::{Name, PaymentId, SubscriptionId};
use billing::money::Credits;
use billing::payment::Status;
use billing::rating::Text;
use billing::subscription::{State, period_date, period_end, retry_at, upgrade};
use billing::time::Timestamp;
use jiff::civil;
use serde::{Deserialize, Serialize};
use store::{Change, Document};

use super::Error;
use super::documents::{Kept, LEASE, read};
use super::order::Fingerprint;
use super::payments::{self, Payment, Purpose, Way};
use super::plans::Plan;
use super::requests::Asked;
use crate::app::{App, Known};

pub(super) const KIND: &str = "subscription";
const ATTEMPTS_MAX: u32 = 8;

/// A subscription as it is written down. Instants in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Subscription {
    pub id: String,
    pub plan: Plan,
    /// What it changes to when it renews.
    pub next_plan: Option<Plan>,
    pub state: String,
    /// Where and when its first period began, as the customer's calendar said.
    pub anchor: String,
    pub anchor_time: String,
    /// Counts its periods from 0, since the anchor.
    pub index: u32,
    pub period_start: i64,
    pub period_end: i64,
    pub ends: bool,
    pub failures: u32,
    /// The payment under way.
    pub payment: Option<String>,
    pub method: Option<String>,
}

/// What a payment of a subscription is for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Period {
    pub subscription: String,
    pub plan: Plan,
    /// The period it pays for; an upgrade pays for the rest of the one that is.
    pub index: u32,
    pub is_upgrade: bool,
}

impl Subscription {
    pub fn state(&self) -> State {
        self.state.parse().unwrap_or(State::Canceled)
    }
    fn set(&mut self, state: State) {
        self.state = state.as_str().to_owned();
    }
}

#[derive(Clone, Debug)]
pub struct SubscribeOrder {
    pub account: Name,
    pub plan: Name,
    pub method: Option<String>,
    pub return_url: Option<String>,
    pub key: Text,
    pub by: Text,
}

impl App {
    pub fn subscription(&self, account: &Name) -> Result<Subscription, Error> {
        let known = self.known(account)?;
        Ok(self.subscribed(&known)?.ok_or(Refusal::SubscriptionNotFound)?.body)
    }

    /// Subscribes to a plan: its first period begins when it is paid.
    pub async fn subscribe(self: &Arc<Self>, order: SubscribeOrder) -> Result<Subscription, Error> {
        let known = self.known(&order.account)?;
        self.provider()?;
        let mut request = Fingerprint::of("subscribe");
        request.text(order.plan.as_str()).text(order.method.as_deref().unwrap_or_default());
        let Asked::Fresh(fresh) = self.asked(known.account.number, &order.key, request)? else {
            return self.subscription(&order.account);
        };
        if known.account.closed_at.is_some() {
            return Err(Refusal::AccountClosed.into());
        }
        let before = self.subscribed(&known)?;
        if before.as_ref().is_some_and(|it| it.body.state() != State::Canceled) {
            return Err(Refusal::SubscriptionExists.into());
        }
        let plan = self.plan(order.plan.as_str(), known.account.currency)?;
        let method = self.method_for(&known, order.method.as_deref())?;
        let missing = || Refusal::invalid("payment_method", "is needed: the account has no card yet; add one first");
        let method = method.ok_or_else(missing)?;
        let now = self.now();
        let (anchor, anchor_time) = here(&known, now);
        let body = Subscription {
            id: SubscriptionId::new(now, self.place_beside(known.account.number)?).to_string(),
            plan: plan.clone(),
            next_plan: None,
            state: State::Incomplete.as_str().to_owned(),
            anchor,
            anchor_time,
            index: 0,
            period_start: now.millis(),
            period_end: now.millis(),
            ends: false,
            failures: 0,
            payment: None,
            method: Some(method),
        };
        let kept = match before {
            Some(kept) => Kept { body, ..kept },
            None => Kept::new(known.account.number, KIND, KIND.to_owned(), body),
        };
        let period = Period { subscription: kept.body.id.clone(), plan, index: 0, is_upgrade: false };
        let payment = Payment {
            return_url: order.return_url.clone(),
            by: Some(order.by.to_string()),
            ..self.payment_of(&known, &kept.body, period, Way::OnSession)
        };
        let id = self.begin_payment(&known, kept, payment, vec![fresh.led_to(KIND, now)])?.ok_or(Error::Busy)?;
        self.carry_out(id).await?;
        self.subscription(&order.account)
    }

    /// Changes the plan: to a dearer one now, for the difference of the rest of the period; to a cheaper one, or one
    /// of another rhythm, when it renews.
    pub async fn change_plan(self: &Arc<Self>, order: SubscribeOrder) -> Result<Subscription, Error> {
        let known = self.known(&order.account)?;
        let plan = self.plan(order.plan.as_str(), known.account.currency)?;
        let mut request = Fingerprint::of("change plan");
        request.text(order.plan.as_str());
        let Asked::Fresh(fresh) = self.asked(known.account.number, &order.key, request)? else {
            return self.subscription(&order.account);
        };
        let mut kept = self.subscribed(&known)?.ok_or(Refusal::SubscriptionNotFound)?;
        let now = self.now();
        if kept.body.state() != State::Active || kept.body.payment.is_some() {
            return Err(not_now("it must be active, and no payment of it under way, for the plan to change").into());
        }
        kept.body.ends = false;
        let Some((net, credits)) = difference(&kept.body, &plan, now) else {
            kept.body.next_plan = Some(plan).filter(|it| it.id != kept.body.plan.id);
            let due_at = kept.document.due_at;
            if !self.keep(&[kept.next(now, due_at), fresh.led_to(KIND, now)])? {
                return Err(Error::Busy);
            }
            return Ok(kept.body);
        };
        let index = kept.body.index;
        let period = Period { subscription: kept.body.id.clone(), plan, index, is_upgrade: true };
        let mut payment = self.payment_of(&known, &kept.body, period, Way::OnSession);
        let charged = self.with_tax(&known, net);
        (payment.net, payment.tax, payment.credits) = (charged.net, charged.tax, credits.micros());
        payment.item = format!("{credits} credits (change of plan)");
        (payment.return_url, payment.by) = (order.return_url.clone(), Some(order.by.to_string()));
        let id = self.begin_payment(&known, kept, payment, vec![fresh.led_to(KIND, now)])?.ok_or(Error::Busy)?;
        self.carry_out(id).await?;
        self.subscription(&order.account)
    }

    /// Ends it when its period ends, or takes that back. Credits stay either way.
    pub fn end_subscription(&self, account: &Name, ends: bool) -> Result<Subscription, Error> {
        let known = self.known(account)?;
        for _ in 0..ATTEMPTS_MAX {
            let mut kept = self.subscribed(&known)?.ok_or(Refusal::SubscriptionNotFound)?;
            let mut due_at = kept.document.due_at;
            match (kept.body.state(), ends) {
                (State::Active, _) => kept.body.ends = ends,
                (State::PastDue, true) if kept.body.payment.is_none() => {
                    kept.body.set(State::Canceled);
                    due_at = None;
                }
                (State::PastDue, _) => return Err(not_now("a payment of it is being tried; wait for its end").into()),
                (State::Incomplete, _) => return Err(not_now("its first payment is not settled yet").into()),
                (State::Canceled, _) => return Err(not_now("it is over; subscribe again").into()),
            }
            if self.keep(&[kept.next(self.now(), due_at)])? {
                return Ok(kept.body);
            }
        }
        Err(Error::Busy)
    }

    /// A subscription that is due: its period has ended, or a declined renewal is to be tried again.
    pub(super) async fn renew(self: &Arc<Self>, document: Document) -> Result<(), Error> {
        let Some(known) = self.known_number(document.account)? else { return Ok(()) };
        let mut kept = read::<Subscription>(document)?;
        let now = self.now();
        let is_live = matches!(kept.body.state(), State::Active | State::PastDue);
        if kept.body.ends || !is_live || known.account.closed_at.is_some() {
            kept.body.set(State::Canceled);
            return self.keep(&[kept.next(now, None)]).map(drop);
        }
        if kept.body.payment.is_some() {
            return self.keep(&[kept.next(now, None)]).map(drop);
        }
        let plan = kept.body.next_plan.clone().unwrap_or_else(|| kept.body.plan.clone());
        let index = kept.body.index + 1;
        let period = Period { subscription: kept.body.id.clone(), plan, index, is_upgrade: false };
        let payment = Payment {
            by: Some("subscription".to_owned()),
            ..self.payment_of(&known, &kept.body, period, Way::OffSession)
        };
        match self.begin_payment(&known, kept, payment, Vec::new())? {
            Some(id) => self.carry_out(id).await,
            None => Ok(()),
        }
    }

    /// The card has changed: what was declined is tried again at once.
    pub(super) fn retry_renewal(&self, known: &Known) -> Result<(), Error> {
        let Some(kept) = self.subscribed(known)? else { return Ok(()) };
        if kept.body.state() == State::PastDue && kept.body.payment.is_none() {
            let now = self.now();
            self.keep(&[kept.next(now, Some(now))])?;
        }
        Ok(())
    }

    /// What a payment that came in does to the subscription it is for.
    pub(super) fn subscription_paid(
        &self,
        known: &Known,
        payment: &Payment,
        now: Timestamp,
    ) -> Result<Option<Change>, Error> {
        let Some((mut kept, period)) = self.subscription_of(known, payment)? else { return Ok(None) };
        let body = &mut kept.body;
        body.payment = None;
        if period.is_upgrade {
            body.plan = period.plan.clone();
            body.next_plan = None;
            let due_at = Timestamp::from_millis(body.period_end);
            return Ok(Some(kept.next(now, Some(due_at))));
        }
        let was_live = body.state() != State::Incomplete;
        let rhythm_changes = period.plan.every != body.plan.every;
        let start = Timestamp::from_millis(if was_live { body.period_end } else { body.period_start });
        if rhythm_changes {
            // Another rhythm is counted from its own beginning.
            (body.anchor, body.anchor_time) = here(known, start);
        }
        body.index = if rhythm_changes { 0 } else { period.index };
        body.plan = period.plan.clone();
        body.next_plan = None;
        body.failures = 0;
        body.set(State::Active);
        let end = period_end(start, self.period_begins(known, body, body.index + 1));
        (body.period_start, body.period_end) = (start.millis(), end.millis());
        Ok(Some(kept.next(now, Some(end))))
    }

    /// What a payment that brought nothing does to the subscription it is for.
    pub(super) fn subscription_failed(&self, known: &Known, payment: &Payment) -> Result<Option<Change>, Error> {
        let Some((mut kept, period)) = self.subscription_of(known, payment)? else { return Ok(None) };
        let is_waiting = !matches!(payment.status(), Status::Failed | Status::Canceled);
        if is_waiting {
            return Ok(None);
        }
        let body = &mut kept.body;
        body.payment = None;
        let due = Timestamp::from_millis(body.period_end);
        if period.is_upgrade {
            return Ok(Some(kept.next(self.now(), Some(due))));
        }
        body.failures += 1;
        let again = retry_at(due, body.failures).filter(|_| body.state() != State::Incomplete);
        body.set(if again.is_some() { State::PastDue } else { State::Canceled });
        Ok(Some(kept.next(self.now(), again)))
    }

    /// The subscription a payment is for, while it waits for this very payment's outcome.
    fn subscription_of(&self, known: &Known, payment: &Payment) -> Result<Option<(Kept<Subscription>, Period)>, Error> {
        let Some(period) = payment.period.clone() else { return Ok(None) };
        let kept = self.subscribed(known)?.filter(|it| it.body.id == period.subscription);
        Ok(kept.filter(|it| it.body.payment.is_some()).map(|it| (it, period)))
    }

    fn subscribed(&self, known: &Known) -> Result<Option<Kept<Subscription>>, Error> {
        self.kept(known.account.number, KIND, KIND)
    }

    fn payment_of(&self, known: &Known, subscription: &Subscription, period: Period, way: Way) -> Payment {
        let plan = period.plan.clone();
        let charged = self.with_tax(known, plan.price);
        Payment {
            credits: plan.credits,
            net: charged.net,
            tax: charged.tax,
            taxed: charged.taxed,
            currency: plan.currency,
            item: format!("{} credits ({}, each {})", Credits::from_micros(plan.credits), plan.name, plan.every),
            method: subscription.method.clone(),
            period: Some(period),
            ..Payment::blank(Purpose::Subscription, way, self.now())
        }
    }

    /// Commits a payment together with the subscription that waits for it. None when another was first.
    fn begin_payment(
        &self,
        known: &Known,
        mut kept: Kept<Subscription>,
        payment: Payment,
        more: Vec<Change>,
    ) -> Result<Option<PaymentId>, Error> {
        let (now, number) = (self.now(), known.account.number);
        let id = PaymentId::new(now, self.place_beside(number)?);
        kept.body.payment = Some(id.to_string());
        let payment = Kept::new(number, payments::KIND, id.to_string(), payment);
        let mut changes = vec![payment.next(now, Some(now + LEASE)), kept.next(now, None)];
        changes.extend(more);
        Ok(self.keep(&changes)?.then_some(id))
    }

    /// The instant at which period `index` begins where the customer lives now.
    fn period_begins(&self, known: &Known, subscription: &Subscription, index: u32) -> Timestamp {
        let anchor: Date = subscription.anchor.parse().expect("it was written by us");
        let date = period_date(anchor, subscription.plan.every(), index);
        let time: civil::Time = subscription.anchor_time.parse().unwrap_or(civil::Time::midnight());
        let (year, month, day) = (i16::try_from(date.year), i8::try_from(date.month), i8::try_from(date.day));
        let (Ok(year), Ok(month), Ok(day)) = (year, month, day) else { return Timestamp::NEVER };
        let local = civil::date(year, month, day).to_datetime(time);
        // A time that a clock change leaves out is the one after it; of one that comes twice, the first counts.
        let zoned = local.to_zoned(known.zone.clone());
        zoned.map_or(Timestamp::NEVER, |it| Timestamp::from_millis(it.timestamp().as_millisecond()))
    }
}

/// What a change to a dearer plan costs and gives for the rest of the period, tax aside. None for a change that waits
/// for the renewal: to a cheaper plan, or to one of another rhythm.
pub(super) fn difference(subscription: &Subscription, plan: &Plan, now: Timestamp) -> Option<(i64, Credits)> {
    let old = &subscription.plan;
    if old.every != plan.every || plan.price <= old.price {
        return None;
    }
    let span = (Timestamp::from_millis(subscription.period_start), Timestamp::from_millis(subscription.period_end));
    let (net, credits) = upgrade((old.price, old.credits()), (plan.price, plan.credits()), span, now);
    // Nothing cannot be collected.
    Some((net.max(1), credits))
}

/// The date and the time of day of an instant where the customer lives.
fn here(known: &Known, at: Timestamp) -> (String, String) {
    let instant = jiff::Timestamp::from_millisecond(at.millis()).unwrap_or(jiff::Timestamp::MAX);
    let local = known.zone.to_datetime(instant);
    (local.date().to_string(), local.time().to_string())
}

fn not_now(why: &str) -> Refusal {
    Refusal::SubscriptionState { why: why.into() }
}
