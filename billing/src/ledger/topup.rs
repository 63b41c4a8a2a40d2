//! Auto-topup: the rule of an account, and the one top-up it may have under way.
//!
//! It is part of the book because it must be decided with the very charge that crosses the threshold, and because a
//! book is what cannot be decided twice. Must never know who collects: it says what is to be collected, and is told
//! what came of it.
//!
//! Invariants: one top-up under way; what was started in a calendar month of the account's zone, or was under way when
//! it began, and has not failed is at most the monthly maximum: what is under way counts as what was agreed to, and
//! what was charged as what was charged, which is less where taxes or prices have fallen; after a failure nothing is
//! started before the back-off is over, and nothing but a payment that came through ends it early; nothing is started
//! while a payment is disputed.
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::journal::{Transaction, What};
use super::{Book, Due, Freeze};
use crate::id::PaymentId;
use crate::money::{Credits, Money};
use crate::payment::Failure;
use crate::rating::Text;
use crate::refusal::Refusal;
use crate::time::{Span, Timestamp};
use crate::zone::Period;

/// How long after the first, second and third failure in a row nothing is tried.
const BACK_OFF: [Span; 3] = [Span::HOUR, Span::HOUR.times(6), Span::HOUR.times(24)];
/// Failures in a row after which the rule pauses.
const FAILURES_MAX: u8 = 3;
/// Increments one top-up may have: a debt beyond that is for people to look at.
const INCREMENTS_MAX: i64 = 100;

/// What the customer agreed to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    /// Where fewer general credits than this are available, credits are bought.
    pub threshold: Credits,
    /// Credits of one increment.
    pub credits: Credits,
    /// What one increment is charged, tax included.
    pub price: Money,
    /// The most that may be charged in a calendar month of the account's, in minor units of the price's currency.
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
    /// Minor units started in a month and not failed, and when they were counted last: that says which month.
    pub spent: i64,
    pub counted_at: Timestamp,
    /// The last that failed. Should its money come in after all, it counts.
    pub lapsed: Option<UnderWay>,
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

impl Topup {
    fn new(rule: &Arc<Rule>, is_on: bool) -> Topup {
        Topup {
            rule: Arc::clone(rule),
            is_on,
            under_way: None,
            failures: 0,
            retry_at: Timestamp::EPOCH,
            paused: None,
            spent: 0,
            counted_at: Timestamp::EPOCH,
            lapsed: None,
        }
    }

    /// Minor units charged or about to be in the month that began at `month`. Going by when it was last counted, and
    /// not by the month it was counted in, nothing is forgotten when the account moves to another zone.
    fn spent_since(&self, month: Timestamp) -> i64 {
        let under_way = self.under_way.as_ref().map_or(0, |it| it.total);
        if month <= self.counted_at { self.spent } else { under_way }
    }

    /// Whether it buys once the balance, and the time after a failure, say so.
    pub fn may_start(&self) -> bool {
        self.is_on && self.paused.is_none() && self.under_way.is_none()
    }

    /// How many increments it takes with so many general credits. Zero for none. Credits for some work only keep no
    /// other work from being refused, so they do not count.
    fn wanted(&self, general: Credits) -> i64 {
        let (missing, each) = (general.short_of(self.rule.threshold), i128::from(self.rule.credits.micros()));
        let wanted = (i128::from(missing.micros()) + each - 1) / each;
        i64::try_from(wanted).unwrap_or(INCREMENTS_MAX).min(INCREMENTS_MAX)
    }

    /// How many of them are bought in the month that began at `month`.
    fn increments(&self, general: Credits, month: Timestamp) -> i64 {
        let wanted = self.wanted(general);
        match self.rule.monthly_max {
            None => wanted,
            Some(most) => wanted.min((most - self.spent_since(month)).max(0) / self.rule.price.amount),
        }
    }

    /// A payment came through: whatever it was for, money can be had again. What it collected counts; what was agreed
    /// to, where that was not written down.
    fn settle(&mut self, (payment, charged): (&str, Option<i64>), month: Timestamp, at: Timestamp) {
        self.failures = 0;
        self.retry_at = Timestamp::EPOCH;
        let is_it = |it: &UnderWay| it.payment.to_string() == payment;
        if let Some(under_way) = self.under_way.take_if(|it| is_it(it)) {
            let charged = charged.unwrap_or(under_way.total);
            // Started last month and charged in this, or in either: it counts in both.
            if self.counted_at < month {
                (self.spent, self.counted_at) = (charged, at);
            } else {
                self.spent -= under_way.total - charged;
            }
            // The customer confirmed what the rule was waiting for.
            self.paused = self.paused.filter(|it| *it != Failure::AuthenticationRequired);
        } else if let Some(lapsed) = self.lapsed.take_if(|it| is_it(it)) {
            (self.spent, self.counted_at) = (self.spent_since(month) + charged.unwrap_or(lapsed.total), at);
        }
    }

    fn wait_for_dispute(&mut self) {
        self.paused = self.paused.or(Some(Failure::Disputed));
    }

    fn fail(&mut self, failure: Failure, is_over: bool, at: Timestamp) {
        if !is_over {
            self.paused = Some(failure);
            return;
        }
        let under_way = self.under_way.take().expect("what fails was under way");
        // It was counted when it was started, and nothing has been since.
        self.spent -= under_way.total;
        self.lapsed = Some(under_way);
        if failure == Failure::SwitchedOff {
            return;
        }
        self.failures += 1;
        self.retry_at = at + BACK_OFF[usize::from(self.failures.min(FAILURES_MAX)) - 1];
        let is_hopeless = matches!(failure, Failure::NoPaymentMethod | Failure::PriceChanged);
        if FAILURES_MAX <= self.failures || is_hopeless {
            self.paused = self.paused.or(Some(failure));
        }
    }
}

impl Book {
    pub fn topup(&self) -> Option<&Topup> {
        self.topup.as_deref()
    }

    /// Puts back what was read of a stored book: what disputes did to grants, before any grant is put back, which then
    /// lives as it should. For whoever stores books, and nobody else.
    pub fn restore_freezes(&mut self, mut freezes: Vec<Freeze>) {
        assert!(self.grants.is_empty(), "grants are put back as their disputes left them");
        freezes.sort_unstable_by_key(|it| it.grant);
        freezes.dedup_by_key(|it| it.grant);
        self.freezes = freezes;
    }

    /// Puts back the rule, and how many payments are disputed.
    pub fn restore_money(&mut self, topup: Option<Topup>, disputes: u32) {
        self.topup = topup.map(alloc::boxed::Box::new);
        self.disputes = disputes;
        self.due_at = self.next_due().map_or(Timestamp::NEVER, |(when, _)| when);
    }

    /// Payments that are disputed and not settled.
    pub fn disputes(&self) -> u32 {
        self.disputes
    }

    /// Minor units that the rule has charged, or is about to, in the account's month of `at`.
    pub fn topup_spent(&self, at: Timestamp) -> i64 {
        self.topup().map_or(0, |it| it.spent_since(self.month_start(at)))
    }

    /// Until when nothing is bought because the monthly maximum is reached, with so many general credits at `at`.
    pub fn topup_waits_until(&self, general: Credits, at: Timestamp) -> Option<Timestamp> {
        let topup = self.topup().filter(|it| it.may_start() && !self.closed)?;
        let (month, next) = self.calendar().around(Period::Month, at);
        (0 < topup.wanted(general) && topup.increments(general, month) < 1).then_some(next)
    }

    fn month_start(&self, at: Timestamp) -> Timestamp {
        self.calendar().around(Period::Month, at).0
    }

    /// When the next top-up is to be started, going by the book as it stands.
    pub(super) fn topup_due(&self) -> Option<(Timestamp, Due)> {
        let topup = self.topup().filter(|it| it.may_start() && !self.closed)?;
        let when = self.at.max(topup.retry_at);
        // The month's maximum may be reached; the next month begins with none of it spent.
        let next_month = self.calendar().around(Period::Month, when).1;
        let due = [when, next_month].into_iter().find(|it| self.starts(topup, *it))?;
        Some((due, Due::StartTopup))
    }

    /// The first instant at which running servers have taken general credits below the threshold, where that comes
    /// before `next`, the instant at which something else is due. So it is bought for then, and not at the hour's end.
    pub(super) fn topup_crossing(&self, next: Timestamp) -> Option<(Timestamp, Due)> {
        let topup = self.topup().filter(|it| it.may_start() && !self.closed)?;
        let (from, last) = (self.at.max(topup.retry_at), next - Span::from_millis(1));
        // Where one burns, something is due within the hour: it settles. Until then what is available only falls, in
        // one month, for the end of a month is a settlement as well; so bisection finds the instant.
        if next == Timestamp::NEVER || last <= from || !self.servers().burns() || !self.starts(topup, last) {
            return None;
        }
        let (mut before, mut when) = (from.millis(), last.millis());
        while 1 < when - before {
            let middle = before + (when - before) / 2;
            if self.starts(topup, Timestamp::from_millis(middle)) { when = middle } else { before = middle }
        }
        Some((Timestamp::from_millis(when), Due::StartTopup))
    }

    /// Whether a top-up may be started at `at`, going by the book as it stands: what `start_topup` decides by.
    fn starts(&self, topup: &Topup, at: Timestamp) -> bool {
        0 < topup.increments(self.general(at), self.month_start(at))
    }

    pub(super) fn set_topup(
        &self,
        rule: &Arc<Rule>,
        is_on: bool,
        charge_now_max: i64,
        at: Timestamp,
    ) -> Result<What, Refusal> {
        let positive = |credits: Credits| credits.is_positive() && credits <= Credits::whole(10_000_000);
        if rule.threshold < Credits::ZERO || Credits::whole(10_000_000) < rule.threshold {
            return Err(Refusal::invalid("threshold", "must be 0 or more and at most 10000000"));
        }
        if !positive(rule.credits) || rule.price.amount <= 0 {
            return Err(Refusal::invalid("credits", "must be more than 0 and at most 10000000, and cost something"));
        }
        // Whoever switches it off is not kept from it by a price that has gone up.
        if is_on && rule.monthly_max.is_some_and(|it| it < rule.price.amount) {
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
        let increments = increments.map_or(0, |it| it.increments(self.general(at), self.month_start(at)));
        let total = Money { amount: rule.price.amount * increments, ..rule.price };
        if charge_now_max < total.amount {
            return Err(Refusal::WouldChargeNow { credits: times(rule.credits, increments), total });
        }
        Ok(What::Topup(change))
    }

    pub(super) fn start_topup(&self, at: Timestamp) -> Result<What, Refusal> {
        let topup = self.topup().ok_or_else(nothing_under_way)?;
        let increments = topup.increments(self.general(at), self.month_start(at));
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
            TopupChange::Set { rule, is_on } => {
                let is_disputed = 0 < self.disputes;
                let topup = self.topup.get_or_insert_with(|| alloc::boxed::Box::new(Topup::new(rule, *is_on)));
                topup.rule = Arc::clone(rule);
                topup.is_on = *is_on;
                // Whoever sets the rule has read why it paused, also where a payment waits for the bank still: nothing
                // is started before that one ends. The back-off stays: a new card is no payment.
                topup.failures = if topup.paused.is_some() { 0 } else { topup.failures };
                topup.paused = is_disputed.then_some(Failure::Disputed);
            }
            TopupChange::Started { payment, credits, total, .. } => {
                let month = self.month_start(at);
                let topup = self.topup.as_mut().expect("a top-up that starts has a rule");
                assert!(topup.under_way.is_none(), "one top-up is under way at a time");
                topup.spent = topup.spent_since(month) + total.amount;
                topup.counted_at = at;
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
        let paid = transaction.granted().and_then(|(_, terms)| Some((&**terms.payment.as_ref()?, terms.charged)));
        let Some(paid) = paid.filter(|_| self.topup.is_some()) else { return };
        let month = self.month_start(transaction.at);
        if let Some(topup) = &mut self.topup {
            topup.settle(paid, month, transaction.at);
            if 0 < self.disputes {
                topup.wait_for_dispute();
            }
        }
    }

    /// A dispute stops the rule until the last one is settled; one that was lost stops it until it is set again. What
    /// it had paused for before stays as it was: that was not settled.
    pub(super) fn dispute_topup(&mut self, is_open: bool) {
        self.disputes = if is_open { self.disputes + 1 } else { self.disputes.saturating_sub(1) };
        let disputes = self.disputes;
        let Some(topup) = &mut self.topup else { return };
        if is_open {
            topup.wait_for_dispute();
        } else if disputes == 0 {
            topup.paused = topup.paused.filter(|it| *it != Failure::Disputed);
        }
    }

    /// The bank took a payment back: nothing is charged by itself before the customer says so again.
    pub(super) fn lose_dispute(&mut self) {
        if let Some(topup) = &mut self.topup {
            topup.paused = Some(Failure::DisputeLost);
        }
    }
}

fn times(credits: Credits, count: i64) -> Credits {
    Credits::from_micros(credits.micros() * count)
}

fn nothing_under_way() -> Refusal {
    Refusal::NoTopupUnderWay
}
