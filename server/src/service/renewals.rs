//! Renewals: what becomes of a subscription when time passes, when a payment of it comes in, and when one does not.
//!
//! A subscription is due when its customer is to be reminded, when its period ends, and when a declined renewal is
//! tried again. Invariants: what a payment did to it is committed with the payment; each payment that came in moves it
//! on by the period it paid for, whoever was late; and only the very payment it waits for can fail it.
use std::sync::Arc;

use billing::Refusal;
use billing::calendar::Date;
use billing::id::{AccountNumber, PaymentId};
use billing::ledger::Command;
use billing::money::Credits;
use billing::payment::Status;
use billing::subscription::{State, period_date, period_end, retry_at};
use billing::time::{Span, Timestamp};
use jiff::civil;
use store::{Change, Document};

use super::Error;
use super::documents::{Kept, read};
use super::notices::Happening;
use super::payment::{Payment, Way};
use super::subscriptions::{KIND, Period, Subscription};
use crate::app::{App, Known};
use crate::turnstile::{Ask, Turned};

/// What a payment that came in did to its subscription.
#[derive(Default)]
pub(super) struct Moved {
    pub changes: Vec<Change>,
    /// When the credits it paid for expire; none where unused credits carry over without end.
    pub expires_at: Option<Timestamp>,
    /// Whether the subscription had ended before.
    pub is_too_late: bool,
}

impl App {
    /// A subscription that is due.
    pub(super) async fn renew(self: &Arc<Self>, document: Document) -> Result<(), Error> {
        let Some(known) = self.known_now(document.account)? else { return Ok(()) };
        let mut kept = read::<Subscription>(document)?;
        let now = self.now();
        let state = kept.body.state();
        if kept.body.payment.is_some() || matches!(state, State::Incomplete | State::Canceled) {
            // Whoever carries the payment out moves it on.
            return self.keep(&[kept.next(now, None)]).map(drop);
        }
        let end = Timestamp::from_millis(kept.body.period_end);
        if state == State::Active && now < end && known.account.closed_at.is_none() {
            return self.remind_of_renewal(&known, kept, now);
        }
        if kept.body.ends || known.account.closed_at.is_some() {
            kept.body.state = State::Canceled;
            let told = (Happening::SubscriptionCanceled, &*kept.body.id.clone());
            let news = self.subscription_news(&known, told, &kept.body, now);
            return self.keep(&[kept.next(now, None), news]).map(drop);
        }
        let plan = kept.body.next_plan.clone().unwrap_or_else(|| kept.body.plan.clone());
        let index = kept.body.index + 1;
        let (subscription, starts_at) = (kept.body.id.clone(), kept.body.period_end);
        let period = Period { subscription, plan, index, starts_at, is_upgrade: false };
        let payment = Payment {
            by: Some("subscription".to_owned()),
            ..self.payment_of(&known, &kept.body, period, Way::OffSession)
        };
        match self.begin_payment(&known, kept, payment, Vec::new())? {
            Some(id) => self.carry_out(id).await,
            None => Ok(()),
        }
    }

    fn remind_of_renewal(&self, known: &Known, mut kept: Kept<Subscription>, now: Timestamp) -> Result<(), Error> {
        let mut changes = Vec::new();
        if self.renewal_due(&kept.body) <= now {
            kept.body.reminded = true;
            let cause = format!("{}-{}", kept.body.id, kept.body.period_end);
            let told = (Happening::SubscriptionRenewalUpcoming, &*cause);
            changes.push(self.subscription_news(known, told, &kept.body, now));
        }
        changes.push(kept.next(now, Some(self.renewal_due(&kept.body))));
        self.keep(&changes).map(drop)
    }

    /// When an active subscription has something to do: remind, or renew or end.
    pub(super) fn renewal_due(&self, subscription: &Subscription) -> Timestamp {
        let end = Timestamp::from_millis(subscription.period_end);
        let reminder = self.settings.renewal_reminder;
        if subscription.reminded || subscription.ends || reminder == Span::default() { end } else { end - reminder }
    }

    /// The customer chose another card: what was declined is tried again at once.
    pub(super) fn retry_renewal(&self, known: &Known) -> Result<(), Error> {
        let Some(mut kept) = self.late_renewal(known.account.number)? else { return Ok(()) };
        let now = self.now();
        // The one that was declined is not what the customer means now.
        kept.body.method = None;
        self.keep(&[kept.next(now, Some(now))]).map(drop)
    }

    /// A subscription whose renewal was declined and waits to be tried again.
    pub(super) fn late_renewal(&self, account: AccountNumber) -> Result<Option<Kept<Subscription>>, Error> {
        let kept = self.kept::<Subscription>(account, KIND, KIND)?;
        Ok(kept.filter(|it| it.body.state() == State::PastDue && it.body.payment.is_none()))
    }

    /// Whether a payment of a subscription that was not sent yet is still to be charged.
    pub(super) fn is_period_wanted(&self, known: &Known, id: PaymentId, payment: &Payment) -> Result<bool, Error> {
        let Some(period) = &payment.period else { return Ok(true) };
        let kept = self.subscribed(known)?.filter(|it| it.body.id == period.subscription);
        let waits = |it: &Subscription| it.payment.as_deref() == Some(&*id.to_string()) && !it.has_paid(period);
        Ok(known.account.closed_at.is_none() && kept.is_some_and(|it| waits(&it.body)))
    }

    /// What a payment that came in does to the subscription it is for.
    pub(super) fn subscription_paid(
        &self,
        known: &Known,
        id: PaymentId,
        payment: &Payment,
        now: Timestamp,
    ) -> Result<Moved, Error> {
        let Some(period) = &payment.period else { return Ok(Moved::default()) };
        let kept = self.subscribed(known)?.filter(|it| it.body.id == period.subscription);
        let Some(mut kept) = kept else { return Ok(Moved::default()) };
        let body = &mut kept.body;
        if body.state() == State::Canceled {
            // Its credits are given all the same; nothing begins again by itself.
            return Ok(Moved { is_too_late: true, ..Moved::default() });
        }
        if body.payment.as_deref() == Some(&*id.to_string()) {
            body.payment = None;
        }
        if period.is_upgrade {
            if period.index == body.index {
                (body.plan, body.next_plan) = (period.plan.clone(), None);
                body.ends = body.ends && body.ends_anyway;
            }
        } else {
            self.begin_period(known, body, period);
        }
        let expires_at = self.carried_until(known, &kept.body).map(|it| it.max(now + Span::DAY));
        // Another payment of it may be under way, where this one was late.
        let due_at = kept.body.payment.is_none().then(|| self.renewal_due(&kept.body));
        Ok(Moved { changes: vec![kept.next(now, due_at)], expires_at, is_too_late: false })
    }

    fn begin_period(&self, known: &Known, body: &mut Subscription, period: &Period) {
        let is_first = body.state() == State::Incomplete;
        let start = Timestamp::from_millis(if is_first { body.period_start } else { body.period_end });
        let rhythm_changes = period.plan.every != body.plan.every;
        if rhythm_changes {
            // Another rhythm is counted from its own beginning.
            (body.anchor, body.anchor_time) = here(known, start);
        }
        body.index = if is_first || rhythm_changes { 0 } else { body.index + 1 };
        body.plan = period.plan.clone();
        (body.next_plan, body.next_try_at, body.reminded, body.failures) = (None, None, false, 0);
        body.state = State::Active;
        let end = period_end(start, self.period_begins(known, body, body.index + 1));
        (body.period_start, body.period_end) = (start.millis(), end.millis());
    }

    /// When what the present period gave expires, where the plan says that unused credits do.
    fn carried_until(&self, known: &Known, body: &Subscription) -> Option<Timestamp> {
        let periods = body.plan.carry_over_periods?;
        Some(self.period_begins(known, body, body.index + 1 + periods))
    }

    /// What a payment that brought nothing does to the subscription that waits for it.
    pub(super) fn subscription_failed(
        &self,
        known: &Known,
        id: PaymentId,
        payment: &Payment,
    ) -> Result<Vec<Change>, Error> {
        let Some(period) = &payment.period else { return Ok(Vec::new()) };
        let is_over = matches!(payment.status(), Status::Failed | Status::Canceled);
        let kept = self.subscribed(known)?.filter(|it| it.body.id == period.subscription && is_over);
        let Some(mut kept) = kept.filter(|it| it.body.payment.as_deref() == Some(&*id.to_string())) else {
            return Ok(Vec::new());
        };
        let now = self.now();
        let body = &mut kept.body;
        body.payment = None;
        if period.is_upgrade || body.has_paid(period) {
            let due_at = self.renewal_due(&kept.body);
            return Ok(vec![kept.next(now, Some(due_at))]);
        }
        if body.state() == State::Incomplete {
            // It never began: that its payment failed is all there is to tell.
            body.state = State::Canceled;
            return Ok(vec![kept.next(now, None)]);
        }
        // A card that was changed is tried out of turn: that costs none of the tries that are planned.
        let is_out_of_turn = body.next_try_at.is_some_and(|it| payment.created_at < it);
        if !is_out_of_turn {
            body.failures += 1;
            let again = retry_at(Timestamp::from_millis(body.period_end), body.failures, now);
            body.next_try_at = again.map(Timestamp::millis);
        }
        let was_active = body.state() == State::Active;
        body.state = if body.next_try_at.is_some() { State::PastDue } else { State::Canceled };
        let due_at = body.next_try_at.map(Timestamp::from_millis);
        let mut changes = vec![kept.next(now, due_at)];
        let (payment, ours) = (id.to_string(), kept.body.id.clone());
        let told = match kept.body.state() {
            State::PastDue => was_active.then_some((Happening::SubscriptionPastDue, &*payment)),
            _ => Some((Happening::SubscriptionCanceled, &*ours)),
        };
        changes.extend(told.map(|it| self.subscription_news(known, it, &kept.body, now)));
        Ok(changes)
    }

    /// The instant at which period `index` begins where the customer lives now.
    fn period_begins(&self, known: &Known, subscription: &Subscription, index: u32) -> Timestamp {
        let anchor: Date = subscription.anchor.parse().expect("it was written by us");
        let date = period_date(anchor, subscription.plan.every, index);
        let time: civil::Time = subscription.anchor_time.parse().unwrap_or(civil::Time::midnight());
        let (year, month, day) = (i16::try_from(date.year), i8::try_from(date.month), i8::try_from(date.day));
        let (Ok(year), Ok(month), Ok(day)) = (year, month, day) else { return Timestamp::NEVER };
        let local = civil::date(year, month, day).to_datetime(time);
        // A time that a clock change leaves out is the one after it; of one that comes twice, the first counts.
        let zoned = local.to_zoned(known.zone.clone());
        zoned.map_or(Timestamp::NEVER, |it| Timestamp::from_millis(it.timestamp().as_millisecond()))
    }
}

/// What the plan lets carry over at most, of a payment that renews.
pub(super) fn carry_over_maximum(payment: &Payment) -> Option<Credits> {
    let period = payment.period.as_ref().filter(|it| 0 < it.index && !it.is_upgrade && !payment.is_too_late)?;
    period.plan.carry_over_maximum()
}

impl App {
    /// Takes back what is unused of earlier periods beyond `most`, the oldest first. Done twice it does nothing more:
    /// what is there is only less by then.
    pub(super) async fn limit_carry_over(&self, known: &Known, renewal: &Payment, most: Credits) -> Result<(), Error> {
        let Some(period) = &renewal.period else { return Ok(()) };
        let book = self.book(known.account.number)?.brought_up_to(self.now());
        let mut earlier = Vec::new();
        for grant in book.grants().iter().filter(|it| it.remaining.is_positive() && !it.is_frozen) {
            let Some(id) = grant.terms.payment.as_deref().and_then(|it| it.parse().ok()) else { continue };
            let paid = self.payment_kept(id)?.and_then(|it| it.body.period);
            if paid.is_some_and(|it| it.subscription == period.subscription && it.starts_at < period.starts_at) {
                earlier.push((grant.id, grant.remaining));
            }
        }
        earlier.sort_by_key(|it| std::cmp::Reverse(it.0.made_at()));
        let mut room = most;
        for (grant, remaining) in earlier {
            let keep = remaining.min(room);
            room -= keep;
            if keep == remaining {
                continue;
            }
            let reason = format!("carried over are at most {most} credits").into();
            let command = Some(Command::Void { grant, keep, reason });
            let (account, by) = (known.account.number, Some("subscription".into()));
            let ask = Ask { account, command, key: None, by, fact: None, once: None, also: Vec::new() };
            match self.turnstile.take_one(ask).await {
                // Used or taken back meanwhile.
                Turned::Refused(Refusal::NothingToVoid) => {}
                turned => super::order::done(turned).map(drop)?,
            }
        }
        Ok(())
    }
}

impl Subscription {
    /// Whether the period that a payment is for has been paid, by another that was late.
    pub(super) fn has_paid(&self, period: &Period) -> bool {
        let is_renewal = !period.is_upgrade && self.state() != State::Incomplete;
        is_renewal && period.starts_at != self.period_end
    }
}

/// The date and the time of day of an instant where the customer lives.
pub(super) fn here(known: &Known, at: Timestamp) -> (String, String) {
    let instant = jiff::Timestamp::from_millisecond(at.millis()).unwrap_or(jiff::Timestamp::MAX);
    let local = known.zone.to_datetime(instant);
    (local.date().to_string(), local.time().to_string())
}
