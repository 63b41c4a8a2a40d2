//! What is told of money: of payments, refunds, disputes, the auto-topup, subscriptions and cards, each written in the
//! very commit of its cause.
//!
//! Must never decide anything. Invariant: the name of a notice follows from its cause, and a cause comes about once: a
//! payment reaches an end once, a period is paid once, so nothing is told twice however often the provider says it.
use billing::id::{AccountNumber, PaymentId};
use billing::ledger::{Book, Topup, TopupChange, Transaction, What};
use billing::money::{Credits, Currency};
use billing::payment::{Failure, Status};
use billing::time::Timestamp;
use serde_json::{Value, json};
use store::Change;

use super::notices::{Happening, Tidings, raise};
use super::payment::{Disputed, Payment, Purpose, Returned, Way};
use super::payment_methods::PaymentMethod;
use super::subscriptions::Subscription;
use super::{Error, payment_methods};
use crate::app::{App, Known};

/// One thing to be told of an account, because of `cause`.
fn tell(account: AccountNumber, what: Happening, cause: &str, about: Value, at: Timestamp) -> Change {
    raise(&Tidings { account, what, cause, about }, at)
}

pub(super) fn when(at: Timestamp) -> Value {
    let at = jiff::Timestamp::from_millisecond(at.millis()).unwrap_or_default();
    json!(format!("{at:.3}"))
}

fn money(amount: i64, currency: Currency) -> Value {
    json!({"amount": amount, "currency": currency.as_str()})
}

fn failure_in(about: &mut Value, failure: Failure) {
    about["failure"] = json!({"code": failure.as_str(), "detail": failure.in_words()});
    about["reason"] = json!(failure.in_words());
}

/// What a transaction of the book gives to tell of the auto-topup: that it failed, that it has paused, and that it
/// would buy and may not before the next month.
pub(super) fn of_topup(before: &Book, transaction: &Transaction) -> Vec<Change> {
    if before.topup().is_none() {
        return Vec::new();
    }
    let mut told = of_pause(before, transaction);
    told.extend(of_maximum(before, transaction));
    told
}

fn of_maximum(before: &Book, transaction: &Transaction) -> Option<Change> {
    let (topup, at) = (before.topup()?, transaction.at);
    // Without a maximum nothing waits for the next month.
    topup.rule.monthly_max?;
    // As it was last written down: a settlement leaves what is available as it is, for time has used it before.
    if before.topup_waits_until(before.general(before.at), before.at).is_some() {
        return None;
    }
    // A payment that came through may have bought all that may be bought, and less than it takes; and which credits are
    // general the transaction alone does not say.
    let ends_one = topup.under_way.is_some() && matches!(transaction.what, What::Granted { .. });
    let until = if ends_one || before.has_scoped() {
        let mut after = before.clone();
        after.apply(transaction);
        after.topup_waits_until(after.general(at), at)
    } else {
        before.topup_waits_until(transaction.after.available(), at)
    }?;
    let mut about = about_rule(&Topup { under_way: None, ..topup.clone() });
    about["failure"] = json!({"code": "monthly_maximum", "detail": MAXIMUM_REACHED});
    about["reason"] = json!(MAXIMUM_REACHED);
    about["next_try_at"] = when(until);
    let cause = transaction.id().to_string();
    Some(tell(transaction.place.account, Happening::AutoTopupPaused, &cause, about, at))
}

const MAXIMUM_REACHED: &str = "The monthly maximum is reached. It goes on next month, or when you raise the maximum.";

fn of_pause(before: &Book, transaction: &Transaction) -> Vec<Change> {
    let failed = match &transaction.what {
        What::Topup(TopupChange::Failed { payment, failure, is_over: true }) if *failure != Failure::SwitchedOff => {
            Some((*payment, *failure))
        }
        What::Topup(TopupChange::Failed { .. }) | What::Frozen { .. } | What::Withdrawn(_) => None,
        _ => return Vec::new(),
    };
    let Some(was) = before.topup() else { return Vec::new() };
    let mut after = before.clone();
    after.apply(transaction);
    let Some(is) = after.topup() else { return Vec::new() };
    let (cause, account, at) = (transaction.id().to_string(), transaction.place.account, transaction.at);
    let mut told = Vec::new();
    if let Some((payment, failure)) = failed {
        let mut about = about_rule(was);
        about["payment"] = json!(payment.to_string());
        failure_in(&mut about, failure);
        about["failures"] = json!(is.failures);
        about["next_try_at"] = is.paused.map_or(when(is.retry_at), |_| Value::Null);
        told.push(tell(account, Happening::AutoTopupFailed, &cause, about, at));
    }
    if let Some(why) = is.paused.filter(|_| was.paused.is_none() && is.is_on) {
        let mut about = about_rule(is);
        if let What::Topup(TopupChange::Failed { payment, .. }) = &transaction.what {
            about["payment"] = json!(payment.to_string());
        }
        failure_in(&mut about, why);
        told.push(tell(account, Happening::AutoTopupPaused, &cause, about, at));
    }
    told
}

fn about_rule(topup: &Topup) -> Value {
    let rule = &topup.rule;
    let credits = topup.under_way.as_ref().map_or(rule.credits, |it| it.credits);
    let total = topup.under_way.as_ref().map_or(rule.price.amount, |it| it.total);
    json!({
        "credits": credits.to_string(), "total": money(total, rule.price.currency),
        "threshold": rule.threshold.to_string(), "payment_method": rule.method,
    })
}

impl App {
    /// What is told of a payment that has come to the state it is in.
    pub(super) fn payment_news(
        &self,
        known: &Known,
        id: PaymentId,
        payment: &Payment,
        at: Timestamp,
    ) -> Result<Vec<Change>, Error> {
        let number = known.account.number;
        let what = match payment.status() {
            Status::Pending => return Ok(Vec::new()),
            // Who stands before the page knows.
            Status::RequiresAction if payment.way == Way::Hosted => return Ok(Vec::new()),
            Status::RequiresAction => Happening::PaymentRequiresAction,
            Status::Succeeded => Happening::PaymentSucceeded,
            Status::Failed | Status::Canceled => Happening::PaymentFailed,
        };
        let cause = id.to_string();
        let about = self.about_payment(known, &cause, payment)?;
        let mut told = vec![tell(number, what, &cause, about.clone(), at)];
        let also = match (payment.purpose, what) {
            (Purpose::AutoTopup, Happening::PaymentSucceeded) => Some(Happening::AutoTopupSucceeded),
            (Purpose::Subscription, Happening::PaymentSucceeded) if is_renewal(payment) => {
                Some(Happening::SubscriptionRenewed)
            }
            _ => None,
        };
        told.extend(also.map(|it| tell(number, it, &cause, about, at)));
        Ok(told)
    }

    fn about_payment(&self, known: &Known, id: &str, payment: &Payment) -> Result<Value, Error> {
        let purpose = match payment.purpose {
            Purpose::Purchase => "purchase",
            Purpose::AutoTopup => "auto_topup",
            Purpose::Subscription => "subscription",
        };
        let mut about = json!({
            "payment": id, "status": payment.status.as_str(), "purpose": purpose, "item": payment.item,
            "credits": Credits::from_micros(payment.credits).to_string(),
            "net": money(payment.net, payment.currency), "tax": money(payment.tax, payment.currency),
            "total": money(payment.total(), payment.currency),
            "payment_method": payment.method, "package": payment.package, "invoice": payment.invoice,
        });
        if let Some(failure) = payment.failure() {
            failure_in(&mut about, failure);
        }
        if let Some(period) = &payment.period {
            about["plan"] = json!(period.plan.name);
            about["subscription"] = json!(period.subscription);
        }
        let card = payment.method.as_deref().map(|it| self.card_in_words(known, it)).transpose()?;
        about["card"] = card.unwrap_or_default();
        Ok(about)
    }

    /// A card as a person knows it.
    fn card_in_words(&self, known: &Known, method: &str) -> Result<Value, Error> {
        let found = self.kept::<PaymentMethod>(known.account.number, payment_methods::KIND, method)?;
        Ok(found.map(|it| about_card(&it.body)).unwrap_or_default())
    }

    /// What is told of a part of a payment that went back.
    pub(super) fn refund_news(
        payment: PaymentId,
        body: &Payment,
        (cause, part, credit_note): (&str, Returned, &str),
        (reason, at): (&str, Timestamp),
    ) -> Change {
        let about = json!({
            "payment": payment.to_string(), "refund": cause, "item": body.item, "reason": reason,
            "credits": Credits::from_micros(part.credits).to_string(), "credit_note": credit_note,
            "net": money(part.net, body.currency), "tax": money(part.tax, body.currency),
            "total": money(part.net + part.tax, body.currency),
        });
        tell(payment.place().account, Happening::PaymentRefunded, cause, about, at)
    }

    /// What is told of a dispute that has come to a new state.
    pub(super) fn dispute_news(payment: PaymentId, body: &Payment, dispute: &Disputed, at: Timestamp) -> Change {
        let cause = format!("{}-{}", dispute.reference, dispute.status.as_str());
        let about = json!({
            "payment": payment.to_string(), "status": dispute.status.as_str(), "item": body.item,
            "credits": Credits::from_micros(body.credits).to_string(),
            "total": money(body.total(), body.currency), "lost": money(dispute.lost, body.currency),
        });
        tell(payment.place().account, Happening::PaymentDisputed, &cause, about, at)
    }

    /// What is told of a subscription; `cause` is what brought it about.
    pub(super) fn subscription_news(
        &self,
        known: &Known,
        (what, cause): (Happening, &str),
        subscription: &Subscription,
        at: Timestamp,
    ) -> Change {
        // What ends is the plan that there is.
        let next = subscription.next_plan.as_ref().filter(|_| what != Happening::SubscriptionEnding);
        let plan = next.unwrap_or(&subscription.plan);
        let renews = matches!(what, Happening::SubscriptionRenewalUpcoming | Happening::SubscriptionResumed);
        let charged = self.with_tax(known, plan.price);
        let ends_at = when(Timestamp::from_millis(subscription.period_end));
        let about = json!({
            "subscription": subscription.id, "state": subscription.state().as_str(), "plan": plan.name,
            "credits": Credits::from_micros(plan.credits).to_string(), "payment_method": subscription.method,
            "net": money(charged.net, plan.currency), "tax": money(charged.tax, plan.currency),
            "total": money(charged.net + charged.tax, plan.currency), "period_end": ends_at,
            "renews_at": if renews { ends_at.clone() } else { Value::Null },
            "next_try_at": subscription.next_try_at.map(|it| when(Timestamp::from_millis(it))),
        });
        tell(known.account.number, what, cause, about, at)
    }
}

/// Whether a payment is of a period after the first.
fn is_renewal(payment: &Payment) -> bool {
    payment.period.as_ref().is_some_and(|it| !it.is_upgrade && 0 < it.index) && !payment.is_too_late
}

pub(super) fn about_card(card: &PaymentMethod) -> Value {
    let expires = format!("{:02}/{:02}", card.expiry_month, card.expiry_year % 100);
    json!({"brand": card.brand, "last4": card.last4, "expires": expires})
}

/// What is told of an invoice or a credit note that was issued.
pub(super) fn invoice_news(
    account: AccountNumber,
    (id, number, is_credit_note): (&str, &str, bool),
    (payment, total, currency): (PaymentId, i64, Currency),
    at: Timestamp,
) -> Change {
    let about = json!({
        "invoice": number, "id": id, "kind": if is_credit_note { "credit_note" } else { "invoice" },
        "payment": payment.to_string(), "total": money(total, currency),
    });
    tell(account, Happening::InvoiceIssued, id, about, at)
}

fn expiry(card: &PaymentMethod) -> String {
    format!("{:04}-{:02}", card.expiry_year, card.expiry_month)
}

/// By what it is known whether a card was told of: one that the bank renewed is told of again when the new date comes
/// near.
pub(super) fn card_cause(id: &str, card: &PaymentMethod, days: i64) -> String {
    format!("{id}-{}-{days}", expiry(card))
}

/// What is told of a card that will expire.
pub(super) fn card_news(account: AccountNumber, id: &str, card: &PaymentMethod, days: i64, at: Timestamp) -> Change {
    let expires = expiry(card);
    let about = json!({
        "payment_method": id, "card": about_card(card), "expires": expires, "days_left": days,
        "reason": format!("The card ending in {} expires within {days} days. Add one that is valid.", card.last4),
    });
    tell(account, Happening::PaymentMethodExpiring, &card_cause(id, card, days), about, at)
}
