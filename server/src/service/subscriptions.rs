//! Subscriptions: credits each period, given when they are paid for and kept whatever happens afterwards.
//!
//! An account has one subscription, a document that is due when its period ends (see `renewals`). A renewal is a
//! payment like any other; what came of it moves the subscription on in the very commit that settles the payment.
//! Invariants: one payment of a subscription is under way at a time; a period is granted by its own payment, once;
//! nothing here takes credits away.
use std::sync::Arc;

use billing::Refusal;
use billing::id::{AccountNumber, Name, PaymentId, SubscriptionId};
use billing::money::Credits;
use billing::rating::Text;
use billing::subscription::{State, upgrade};
use billing::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::Change;

use super::documents::{Kept, LEASE};
use super::notices::Happening;
use super::order::Fingerprint;
use super::payment::{Payment, Purpose, Way};
use super::payments;
use super::plans::Plan;
use super::prices::{in_steps, least_charge};
use super::purchases::check_return_url;
use super::renewals::here;
use super::requests::{Asked, Fresh, answer_in};
use super::{By, Error};
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
    #[serde(with = "super::word")]
    pub(super) state: State,
    /// Where and when its first period began, as the customer's calendar said.
    pub anchor: String,
    pub anchor_time: String,
    /// Counts its periods from 0, since the anchor.
    pub index: u32,
    pub period_start: i64,
    pub period_end: i64,
    pub ends: bool,
    /// It was said while a change to a dearer plan was being paid, which takes back only what was said before.
    #[serde(default)]
    pub ends_anyway: bool,
    pub failures: u32,
    /// When a renewal that was declined is tried again.
    #[serde(default)]
    pub next_try_at: Option<i64>,
    /// The customer has been told that this period's end is near.
    #[serde(default)]
    pub reminded: bool,
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
    /// When that period begins.
    #[serde(default)]
    pub starts_at: i64,
    pub is_upgrade: bool,
}

impl Subscription {
    pub fn state(&self) -> State {
        self.state
    }
}

#[derive(Clone, Debug)]
pub struct SubscribeOrder {
    pub account: Name,
    pub plan: Name,
    pub method: Option<String>,
    pub return_url: Option<String>,
    pub key: Text,
    pub by: By,
}

impl SubscribeOrder {
    fn fingerprint(&self, verb: &str) -> Fingerprint {
        let mut request = Fingerprint::of(verb);
        request.text(self.plan.as_str()).text(self.method.as_deref().unwrap_or_default());
        request.text(self.return_url.as_deref().unwrap_or_default());
        request
    }
}

impl App {
    pub fn subscription(&self, account: &Name) -> Result<Subscription, Error> {
        let known = self.known(account)?;
        Ok(self.subscribed(&known)?.ok_or(Refusal::SubscriptionNotFound)?.body)
    }

    /// Subscribes to a plan: its first period begins when it is paid. Says whether its key did that before.
    pub async fn subscribe(self: &Arc<Self>, order: SubscribeOrder) -> Result<(Subscription, bool), Error> {
        let known = self.known(&order.account)?;
        self.provider()?;
        let fresh = match self.asked(known.account.number, &order.key, order.fingerprint("subscribe"))? {
            Asked::Fresh(fresh) => fresh,
            Asked::Before(led_to) => return self.subscription_then(&known, &order, ("subscribe", &led_to)),
        };
        if known.account.closed_at.is_some() {
            return Err(Refusal::AccountClosed.into());
        }
        check_return_url(order.return_url.as_deref())?;
        let before = self.subscribed(&known)?;
        let mut also =
            before.as_ref().map_or(Ok(Vec::new()), |it| self.may_give_way(known.account.number, &it.body))?;
        let plan = self.plan(order.plan.as_str(), known.account.currency)?;
        let method = self.method_for(&known, order.method.as_deref())?;
        let missing = || Refusal::invalid("payment_method", "is needed: the account has no card yet; add one first");
        method.ok_or_else(missing)?;
        let now = self.now();
        let (anchor, anchor_time) = here(&known, now);
        let body = Subscription {
            id: SubscriptionId::new(now, self.place_beside(known.account.number)?).to_string(),
            plan: plan.clone(),
            next_plan: None,
            state: State::Incomplete,
            anchor,
            anchor_time,
            index: 0,
            period_start: now.millis(),
            period_end: now.millis(),
            ends: false,
            failures: 0,
            next_try_at: None,
            ends_anyway: false,
            reminded: false,
            payment: None,
            // Where none was named, whatever is the default by then.
            method: order.method.clone(),
        };
        let kept = match before {
            Some(kept) => Kept { body, ..kept },
            None => Kept::new(known.account.number, KIND, KIND.to_owned(), body),
        };
        let (subscription, starts_at) = (kept.body.id.clone(), now.millis());
        let period = Period { subscription, plan, index: 0, starts_at, is_upgrade: false };
        let payment = Payment {
            return_url: order.return_url.clone(),
            by: Some(order.by.name.to_string()),
            ..self.payment_of(&known, &kept.body, period, Way::OnSession)
        };
        also.push(fresh.led_to(KIND, now));
        let (subject, detail) = (order.account.to_string(), order.plan.to_string());
        also.extend(order.by.noted(now, "subscription.create", subject, detail));
        let id = self.begin_payment(&known, kept, payment, also)?.ok_or(Error::Busy)?;
        self.carry_out(id).await?;
        self.subscription_after(&order.account, &fresh)
    }

    /// The subscription as its payment has left it, and a note that this was the answer.
    fn subscription_after(&self, account: &Name, fresh: &Fresh) -> Result<(Subscription, bool), Error> {
        let subscription = self.subscription(account)?;
        Ok((self.noted_at_last(fresh, subscription)?, false))
    }

    /// The answer that a key led to before. Where none was given it is what there is now: while a process is at its
    /// payment, until that one answers; and for good where it died.
    fn subscription_then(
        &self,
        known: &Known,
        order: &SubscribeOrder,
        (verb, led_to): (&str, &str),
    ) -> Result<(Subscription, bool), Error> {
        if let Some(then) = answer_in(led_to) {
            return Ok((then, true));
        }
        let (number, now) = (known.account.number, self.now());
        let subscription = self.subscribed(known)?.ok_or(Refusal::SubscriptionNotFound)?.body;
        let payment = match &subscription.payment {
            Some(id) => self.kept::<Payment>(number, payments::KIND, id)?,
            None => None,
        };
        if payment.is_some_and(|it| !it.body.status().is_final() && it.is_leased(now)) {
            return Ok((subscription, true));
        }
        let asked = self.asked_before(number, &order.key, order.fingerprint(verb))?;
        Ok((self.noted_at_last(&asked, subscription)?, true))
    }

    /// What has to happen for another subscription to take the place of `before`: nothing where it is over; where its
    /// first payment waits for a customer who has gone, that is given up.
    fn may_give_way(&self, account: AccountNumber, before: &Subscription) -> Result<Vec<Change>, Error> {
        match before.state() {
            State::Canceled => Ok(Vec::new()),
            State::Incomplete => {
                let payment = self.payment_under_way(account, before)?;
                let waits = |it: &Kept<Payment>| it.body.waits_for_customer();
                let mut payment = payment.filter(waits).ok_or(Refusal::SubscriptionExists)?;
                payment.body.is_given_up = true;
                let now = self.now();
                Ok(vec![payment.next(now, Some(now))])
            }
            State::Active | State::PastDue => Err(Refusal::SubscriptionExists.into()),
        }
    }

    /// Changes the plan: to a dearer one now, for the difference of the rest of the period; to a cheaper one, or one
    /// of another rhythm, when it renews. Says whether its key did that before.
    pub async fn change_plan(self: &Arc<Self>, order: SubscribeOrder) -> Result<(Subscription, bool), Error> {
        let known = self.known(&order.account)?;
        let fresh = match self.asked(known.account.number, &order.key, order.fingerprint("change plan"))? {
            Asked::Fresh(fresh) => fresh,
            Asked::Before(led_to) => return self.subscription_then(&known, &order, ("change plan", &led_to)),
        };
        check_return_url(order.return_url.as_deref())?;
        let plan = self.plan(order.plan.as_str(), known.account.currency)?;
        let mut kept = self.subscribed(&known)?.ok_or(Refusal::SubscriptionNotFound)?;
        let now = self.now();
        if kept.body.state() != State::Active || kept.body.payment.is_some() {
            return Err(not_now("it must be active, and no payment of it under way, for the plan to change").into());
        }
        if let Some(method) = self.method_for(&known, order.method.as_deref())?.filter(|_| order.method.is_some()) {
            kept.body.method = Some(method);
        }
        let (subject, detail) = (order.account.to_string(), order.plan.to_string());
        let noted = order.by.noted(now, "subscription.change", subject, detail);
        let Some((net, credits)) = difference(&kept.body, &plan, now) else {
            kept.body.next_plan = Some(plan).filter(|it| *it != kept.body.plan);
            let resumed = self.told_of_end(&known, &kept, false, now);
            kept.body.ends = false;
            let due_at = self.renewal_due(&kept.body);
            let mut changes = vec![kept.next(now, Some(due_at)), fresh.answered(&kept.body, now)];
            changes.extend(resumed);
            changes.extend(noted);
            if !self.keep(&changes)? {
                return Err(Error::Busy);
            }
            return Ok((kept.body, false));
        };
        kept.body.ends_anyway = false;
        let (subscription, index, starts_at) = (kept.body.id.clone(), kept.body.index, kept.body.period_start);
        let period = Period { subscription, plan, index, starts_at, is_upgrade: true };
        let mut payment = self.payment_of(&known, &kept.body, period, Way::OnSession);
        let charged = self.with_tax(&known, net);
        (payment.net, payment.tax, payment.credits) = (charged.net, charged.tax, credits.micros());
        payment.item = format!("{} credits (change of plan)", super::rounded::used(credits));
        (payment.return_url, payment.by) = (order.return_url.clone(), Some(order.by.name.to_string()));
        let also = noted.into_iter().chain([fresh.led_to(KIND, now)]).collect();
        let id = self.begin_payment(&known, kept, payment, also)?.ok_or(Error::Busy)?;
        self.carry_out(id).await?;
        self.subscription_after(&order.account, &fresh)
    }

    /// Whether an end takes effect when it is said: no period that was paid is left for it to wait for. An upgrade that
    /// waits for the bank is of a period that was.
    pub fn ends_at_once(&self, account: AccountNumber, it: &Subscription) -> Result<bool, Error> {
        if it.state() != State::Active {
            return Ok(it.state() != State::Canceled);
        }
        let waiting = self.payment_under_way(account, it)?;
        Ok(waiting.and_then(|it| it.body.period).is_some_and(|period| !period.is_upgrade && !it.has_paid(&period)))
    }

    /// Ends it now. A payment that is under way is given up with it; money that comes in after all is believed, and
    /// its credits are given.
    fn end_at_once(&self, known: &Known, body: &mut Subscription, now: Timestamp) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        if let Some(mut payment) = self.payment_under_way(known.account.number, body)? {
            payment.body.is_given_up = true;
            changes.push(payment.next(now, Some(now)));
        }
        let has_begun = body.state() != State::Incomplete;
        (body.payment, body.next_try_at) = (None, None);
        body.state = State::Canceled;
        if has_begun {
            let told = (Happening::SubscriptionCanceled, &*body.id.clone());
            changes.push(self.subscription_news(known, told, body, now));
        }
        Ok(changes)
    }

    /// Word that it will end when its period does, or that it goes on after all; none where that was so before.
    fn told_of_end(&self, known: &Known, kept: &Kept<Subscription>, ends: bool, now: Timestamp) -> Option<Change> {
        let what = if ends { Happening::SubscriptionEnding } else { Happening::SubscriptionResumed };
        // Each time it is said is a cause of its own.
        let cause = format!("{}-{}", kept.body.id, kept.document.version);
        (kept.body.ends != ends).then(|| self.subscription_news(known, (what, &*cause), &kept.body, now))
    }

    fn payment_under_way(&self, account: AccountNumber, it: &Subscription) -> Result<Option<Kept<Payment>>, Error> {
        let Some(id) = it.payment.as_deref() else { return Ok(None) };
        Ok(self.kept::<Payment>(account, payments::KIND, id)?.filter(|it| !it.body.status().is_final()))
    }

    /// Ends it when its period ends, and at once where none that was paid is left; or takes that back. Credits stay
    /// either way. Says whether its key did that before.
    pub fn end_subscription(
        &self,
        account: &Name,
        ends: bool,
        by: &By,
        key: Option<&Text>,
    ) -> Result<(Subscription, bool), Error> {
        let known = self.known(account)?;
        let action = if ends { "subscription.cancel" } else { "subscription.resume" };
        for _ in 0..ATTEMPTS_MAX {
            let mut kept = self.subscribed(&known)?.ok_or(Refusal::SubscriptionNotFound)?;
            let (fresh, before) = self.asked_perhaps(known.account.number, key, Fingerprint::of(action))?;
            if let Some(led_to) = before {
                return Ok((answer_in(&led_to).unwrap_or(kept.body), true));
            }
            let now = self.now();
            let (mut due_at, mut changes) = (None, Vec::new());
            match (kept.body.state(), ends) {
                (State::Canceled, _) => return Err(not_now("it is over; subscribe again").into()),
                (State::Incomplete, false) => return Err(not_now("its first payment is not settled yet").into()),
                (State::PastDue, false) => return Err(not_now("its renewal is not paid, and no end is said").into()),
                (_, true) if self.ends_at_once(known.account.number, &kept.body)? => {
                    changes.extend(self.end_at_once(&known, &mut kept.body, now)?);
                }
                _ => {
                    changes.extend(self.told_of_end(&known, &kept, ends, now));
                    kept.body.ends = ends;
                    kept.body.ends_anyway = ends && kept.body.payment.is_some();
                    // While a payment is under way, whoever carries it out says when it is due.
                    due_at = kept.body.payment.is_none().then(|| self.renewal_due(&kept.body));
                }
            }
            changes.push(kept.next(now, due_at));
            changes.extend(by.noted(now, action, account.to_string(), kept.body.plan.id.clone()));
            changes.extend(fresh.map(|it| it.answered(&kept.body, now)));
            if self.keep(&changes)? {
                return Ok((kept.body, false));
            }
        }
        Err(Error::Busy)
    }

    pub(super) fn subscribed(&self, known: &Known) -> Result<Option<Kept<Subscription>>, Error> {
        self.kept(known.account.number, KIND, KIND)
    }

    pub(super) fn payment_of(&self, known: &Known, subscription: &Subscription, period: Period, way: Way) -> Payment {
        let plan = period.plan.clone();
        let charged = self.with_tax(known, plan.price);
        Payment {
            credits: plan.credits,
            net: charged.net,
            tax: charged.tax,
            taxed: charged.taxed,
            item: format!("{} credits ({}, each {})", super::printed::credits(plan.credits()), plan.name, plan.every),
            method: subscription.method.clone(),
            period: Some(period),
            ..Payment::blank(Purpose::Subscription, way, plan.currency, self.now())
        }
    }

    /// Commits a payment together with the subscription that waits for it. None when another was first.
    pub(super) fn begin_payment(
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
}

/// What a change to a dearer plan costs and gives for the rest of the period, tax aside. None for a change that waits
/// for the renewal: to a cheaper plan, or to one of another rhythm; and for a difference that nobody can collect,
/// because credits come by payment only.
pub(super) fn difference(subscription: &Subscription, plan: &Plan, now: Timestamp) -> Option<(i64, Credits)> {
    let old = &subscription.plan;
    if old.every != plan.every || plan.price <= old.price {
        return None;
    }
    let span = (Timestamp::from_millis(subscription.period_start), Timestamp::from_millis(subscription.period_end));
    let (net, credits) = upgrade((old.price, old.credits()), (plan.price, plan.credits()), span, now);
    let net = in_steps(net, plan.currency);
    (least_charge(plan.currency) <= net && credits.is_positive()).then_some((net, credits))
}

fn not_now(why: &str) -> Refusal {
    Refusal::SubscriptionState { why: why.into() }
}
