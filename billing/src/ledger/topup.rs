//! Auto-topup: the rule of an account, and the one top-up it may have under way.
//!
//! It is part of the book because it must be decided with the very charge that crosses the threshold, and because a
//! book is what cannot be decided twice. Must never know who collects: it says what is to be collected, and is told
//! what came of it.
//!
//! Invariants: one top-up under way; what was started in a calendar month (of UTC) and has not failed is at most
//! the monthly maximum; after a failure nothing is started before the back-off is over, and nothing but a payment that
//! came through ends it early.
use alloc::string::ToString;
use alloc::sync::Arc;

use super::journal::{Transaction, What};
use super::{Book, Command};
use crate::calendar::Date;
use crate::id::PaymentId;
use crate::money::{Credits, Money};
use crate::payment::Failure;
use crate::rating::Text;
use crate::refusal::Refusal;
use crate::time::{Span, Timestamp};

/// How long after the first, second and third failure in a row nothing is tried.
const BACK_OFF: [Span; 3] = [Span::HOUR, Span::HOUR.times(6), Span::HOUR.times(24)];
/// Failures in a row after which the rule pauses.
const FAILURES_MAX: u8 = 3;
/// Increments one top-up may have: a debt beyond that is for people to look at.
const INCREMENTS_MAX: i64 = 100;

/// What the customer agreed to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Below it, strictly, credits are bought.
    pub threshold: Credits,
    /// Credits of one increment.
    pub credits: Credits,
    /// What one increment is charged, tax included.
    pub price: Money,
    /// The most that may be charged in a calendar month of UTC, in minor units of the price's currency.
    pub monthly_max: Option<i64>,
    /// What is charged; none for whatever is the default then.
    pub method: Option<Text>,
}

/// A top-up that has been started and whose end is not known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnderWay {
    pub payment: PaymentId,
    pub credits: Credits,
    /// Minor units.
    pub total: i64,
}

/// The rule of one account and how it is doing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topup {
    pub rule: Arc<Rule>,
    pub is_on: bool,
    pub under_way: Option<UnderWay>,
    /// In a row.
    pub failures: u8,
    /// Nothing is started before.
    pub retry_at: Timestamp,
    /// Why it does nothing although it is on.
    pub paused: Option<Failure>,
    /// The month `spent` is of.
    pub month: Timestamp,
    /// Minor units started in that month and not failed.
    pub spent: i64,
}

/// What happened to a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TopupChange {
    Set {
        rule: Arc<Rule>,
        is_on: bool,
    },
    /// Credits are to be bought; the payment is known under this id from here on.
    Started {
        payment: PaymentId,
        credits: Credits,
        /// Tax included.
        total: Money,
        method: Option<Text>,
    },
    Failed {
        payment: PaymentId,
        failure: Failure,
        /// Nothing can come of the payment any more. Else it waits for the customer, and stays under way.
        is_over: bool,
    },
}

fn month_of(at: Timestamp) -> Timestamp {
    Date::of(at).month_start().start()
}

impl Topup {
    fn new(rule: &Arc<Rule>, is_on: bool) -> Topup {
        Topup {
            rule: Arc::clone(rule),
            is_on,
            under_way: None,
            failures: 0,
            retry_at: Timestamp::EPOCH,
            paused: None,
            month: Timestamp::EPOCH,
            spent: 0,
        }
    }

    /// Minor units charged or about to be in the month of `at`.
    pub fn spent_in_month_of(&self, at: Timestamp) -> i64 {
        if self.month == month_of(at) { self.spent } else { 0 }
    }

    fn may_start(&self) -> bool {
        self.is_on && self.paused.is_none() && self.under_way.is_none()
    }

    /// How many increments are bought at `at` with so many credits available. Zero for none.
    fn increments(&self, available: Credits, at: Timestamp) -> i64 {
        let rule = &self.rule;
        let missing = available.short_of(rule.threshold);
        let wanted =
            (i128::from(missing.micros()) + i128::from(rule.credits.micros()) - 1) / i128::from(rule.credits.micros());
        let wanted = i64::try_from(wanted).unwrap_or(INCREMENTS_MAX).min(INCREMENTS_MAX);
        match rule.monthly_max {
            None => wanted,
            Some(most) => wanted.min((most - self.spent_in_month_of(at)).max(0) / rule.price.amount),
        }
    }

    /// A payment came through: whatever it was for, money can be had again.
    fn settle(&mut self, payment: &str) {
        self.failures = 0;
        self.retry_at = Timestamp::EPOCH;
        if self.under_way.as_ref().is_some_and(|it| it.payment.to_string() == payment) {
            self.under_way = None;
            // The customer confirmed what the rule was waiting for.
            self.paused = self.paused.filter(|it| *it != Failure::AuthenticationRequired);
        }
    }

    fn fail(&mut self, failure: Failure, is_over: bool, at: Timestamp) {
        if !is_over {
            self.paused = Some(failure);
            return;
        }
        let under_way = self.under_way.take().expect("what fails was under way");
        // What was started last month is no part of this month's sum.
        if self.month == month_of(Timestamp::from_millis(under_way.payment.made_at().millis())) {
            self.spent -= under_way.total;
        }
        if failure == Failure::SwitchedOff {
            return;
        }
        self.failures += 1;
        self.retry_at = at + BACK_OFF[usize::from(self.failures.min(FAILURES_MAX)) - 1];
        if FAILURES_MAX <= self.failures || failure == Failure::NoPaymentMethod {
            self.paused = Some(failure);
        }
    }
}

impl Book {
    pub fn topup(&self) -> Option<&Topup> {
        self.topup.as_deref()
    }

    /// Puts back what was read of a stored book. For whoever stores books, and nobody else.
    pub fn restore_topup(&mut self, topup: Topup) {
        self.topup = Some(alloc::boxed::Box::new(topup));
        self.due_at = self.next_due().map_or(Timestamp::NEVER, |(when, _)| when);
    }

    /// When the next top-up is to be started, going by the book as it stands.
    pub(super) fn topup_due(&self) -> Option<(Timestamp, Command)> {
        let topup = self.topup().filter(|it| it.may_start() && !self.closed)?;
        let when = self.at.max(topup.retry_at);
        let at_month = Date::of(when).plus_months(1).month_start().start();
        // The month's maximum may be reached; the next month begins with none of it spent.
        let due = [when, at_month].into_iter().find(|it| 0 < topup.increments(self.balance(*it).available(), *it))?;
        Some((due, Command::StartTopup))
    }

    pub(super) fn set_topup(
        &self,
        rule: &Arc<Rule>,
        is_on: bool,
        charge_now: bool,
        at: Timestamp,
    ) -> Result<What, Refusal> {
        let positive = |credits: Credits| credits.is_positive() && credits <= Credits::whole(10_000_000);
        if rule.threshold < Credits::ZERO || Credits::whole(10_000_000) < rule.threshold {
            return Err(Refusal::invalid("threshold", "must be 0 or more and at most 10000000"));
        }
        if !positive(rule.credits) || rule.price.amount <= 0 {
            return Err(Refusal::invalid("credits", "must be more than 0 and at most 10000000, and cost something"));
        }
        if rule.monthly_max.is_some_and(|it| it < rule.price.amount) {
            let why = "must be at least what one top-up is charged, tax included; else it would never top up";
            return Err(Refusal::invalid("monthly_maximum", why));
        }
        if is_on && self.closed {
            return Err(Refusal::AccountClosed);
        }
        let change = TopupChange::Set { rule: Arc::clone(rule), is_on };
        let mut then = self.clone();
        then.apply_topup(&change, at);
        let increments = then.topup().filter(|it| it.may_start() && it.retry_at <= at);
        let increments = increments.map_or(0, |it| it.increments(self.balance(at).available(), at));
        if 0 < increments && !charge_now {
            let total = Money { amount: rule.price.amount * increments, ..rule.price };
            return Err(Refusal::WouldChargeNow { credits: times(rule.credits, increments), total });
        }
        Ok(What::Topup(change))
    }

    pub(super) fn start_topup(&self, at: Timestamp) -> Result<What, Refusal> {
        let topup = self.topup().ok_or_else(nothing_under_way)?;
        let increments = topup.increments(self.balance(at).available(), at);
        if !topup.may_start() || at < topup.retry_at || increments < 1 {
            return Err(nothing_under_way());
        }
        let rule = &topup.rule;
        Ok(What::Topup(TopupChange::Started {
            payment: PaymentId::new(at, self.next_place()),
            credits: times(rule.credits, increments),
            total: Money { amount: rule.price.amount * increments, ..rule.price },
            method: rule.method.clone(),
        }))
    }

    pub(super) fn fail_topup(&self, payment: PaymentId, failure: Failure, is_over: bool) -> Result<What, Refusal> {
        let under_way = self.topup().and_then(|it| it.under_way.as_ref());
        if under_way.is_none_or(|it| it.payment != payment) {
            return Err(nothing_under_way());
        }
        Ok(What::Topup(TopupChange::Failed { payment, failure, is_over }))
    }

    pub(super) fn apply_topup(&mut self, change: &TopupChange, at: Timestamp) {
        match change {
            TopupChange::Set { rule, is_on } => match &mut self.topup {
                None => self.topup = Some(alloc::boxed::Box::new(Topup::new(rule, *is_on))),
                Some(topup) => {
                    topup.rule = Arc::clone(rule);
                    topup.is_on = *is_on;
                    // Whoever sets the rule has read why it paused. The back-off stays: a new card is no payment.
                    if topup.paused.is_some_and(|it| it != Failure::Disputed) && topup.under_way.is_none() {
                        topup.paused = None;
                        topup.failures = 0;
                    }
                }
            },
            TopupChange::Started { payment, credits, total, .. } => {
                let topup = self.topup.as_mut().expect("a top-up that starts has a rule");
                assert!(topup.under_way.is_none(), "one top-up is under way at a time");
                topup.spent = topup.spent_in_month_of(at) + total.amount;
                topup.month = month_of(at);
                let is_within = topup.rule.monthly_max.is_none_or(|most| topup.spent <= most);
                assert!(is_within, "the monthly maximum is never passed");
                topup.under_way = Some(UnderWay { payment: *payment, credits: *credits, total: total.amount });
            }
            TopupChange::Failed { failure, is_over, .. } => {
                self.topup.as_mut().expect("a top-up that fails has a rule").fail(*failure, *is_over, at);
            }
        }
    }

    /// A grant that somebody paid for may be what the rule is waiting for.
    pub(super) fn settle_topup(&mut self, transaction: &Transaction) {
        let paid = transaction.granted().and_then(|(_, terms)| terms.payment.as_ref());
        if let (Some(topup), Some(payment)) = (&mut self.topup, paid) {
            topup.settle(payment);
        }
    }

    /// A dispute stops the rule; a dispute won lets it go on.
    pub(super) fn dispute_topup(&mut self, is_open: bool) {
        let Some(topup) = &mut self.topup else { return };
        match topup.paused {
            None if is_open => topup.paused = Some(Failure::Disputed),
            Some(Failure::Disputed) if !is_open => topup.paused = None,
            _ => {}
        }
    }
}

fn times(credits: Credits, count: i64) -> Credits {
    Credits::from_micros(credits.micros() * count)
}

fn nothing_under_way() -> Refusal {
    Refusal::NoTopupUnderWay
}
