//! Outcomes: what was found out about a payment, committed with all that follows from it.
//!
//! Credits follow from the provider's word that the money is there, compared with what was asked. The grant, the
//! payment, its invoice, its subscription's next period and what is told of it are one commit, or nothing is.
use std::sync::Arc;

use billing::Refusal;
use billing::id::PaymentId;
use billing::ledger::Command;
use billing::payment::{Failure, Status};
use store::{Change, NameHash};

use super::Error;
use super::collect::{ATTEMPTS_MAX, Progress, look_again_at};
use super::documents::Kept;
use super::payment::{Payment, Purpose, Way};
use crate::app::App;
use crate::stripe::{self, DeclineReason, PaymentStatus};
use crate::turnstile::{Ask, Turned};

impl App {
    /// Commits what was found out. False when another was first with the payment.
    pub(super) async fn settle_payment(
        self: &Arc<Self>,
        id: PaymentId,
        mut kept: Kept<Payment>,
        found: Progress,
    ) -> Result<bool, Error> {
        let now = self.now();
        let body = &mut kept.body;
        let mut due_at = look_again_at(body.tries, now);
        let next = match found {
            Progress::Nothing | Progress::NoCustomer => body.status(),
            Progress::Later(after) => {
                due_at = due_at.max(now + after);
                body.status()
            }
            Progress::Page(page) => {
                body.page = Some(page.reference);
                body.page_url = page.url;
                body.tries = 0;
                Status::RequiresAction
            }
            Progress::Over(failure) => {
                body.failure = Some(failure);
                if failure == Failure::Abandoned { Status::Canceled } else { Status::Failed }
            }
            Progress::Seen(seen) => match self.understood(id, body, &seen) {
                Some(status) => status,
                None => return Ok(true),
            },
        };
        let before = body.status();
        if next == Status::Succeeded {
            return self.credit(id, kept).await.map(|()| true);
        }
        if before.may_become(next) {
            body.status = next;
        } else if before.is_final() {
            return Ok(true);
        }
        let is_over = body.status().is_final();
        if is_over {
            (body.page_url, body.action_url, body.client_secret) = (None, None, None);
        }
        let change = kept.next(now, (!is_over).then_some(due_at));
        let is_news = before != kept.body.status();
        self.commit_payment(id, &kept.body, change, is_news).await
    }

    /// Takes what the provider says into the payment, and says where that leads. None for a stranger.
    fn understood(&self, id: PaymentId, body: &mut Payment, seen: &stripe::Payment) -> Option<Status> {
        if seen.ours.as_deref() != Some(&*id.to_string()) {
            tracing::error!(payment = %id, reference = seen.reference, "this is not the payment it was taken for");
            return None;
        }
        body.reference = Some(seen.reference.clone());
        Some(match &seen.status {
            PaymentStatus::Succeeded if seen.asked == body.money(body.total()) && seen.received == body.total() => {
                body.card = seen.card.clone().or_else(|| body.card.clone());
                Status::Succeeded
            }
            PaymentStatus::Succeeded => {
                tracing::error!(payment = %id, asked = ?seen.asked, received = seen.received, "a wrong amount came in");
                body.failure = Some(Failure::WrongAmount);
                Status::Failed
            }
            PaymentStatus::Pending => {
                body.bank_decides();
                Status::Pending
            }
            PaymentStatus::NeedsCustomer { url, client_secret } => {
                (body.action_url, body.client_secret) = (url.clone(), client_secret.clone());
                Status::RequiresAction
            }
            PaymentStatus::Canceled => {
                body.failure = Some(Failure::Abandoned);
                Status::Canceled
            }
            PaymentStatus::Failed(decline) => {
                let failure = failure_of(decline.reason);
                body.failure = Some(failure);
                // On a page the customer may try another card; a bank that wants to hear from them can be asked again.
                let may_go_on = body.way == Way::Hosted || failure == Failure::AuthenticationRequired;
                if may_go_on { Status::RequiresAction } else { Status::Failed }
            }
        })
    }

    /// Grants what was paid for: the grant, the payment and the invoice in one commit, once.
    async fn credit(self: &Arc<Self>, id: PaymentId, mut kept: Kept<Payment>) -> Result<(), Error> {
        let seen = kept.body.clone();
        for _ in 0..ATTEMPTS_MAX {
            // As it is written now: it may have been closed a moment ago.
            let known = self.known_now(id.place().account)?.ok_or(Refusal::AccountNotFound)?;
            let now = self.now();
            let body = &mut kept.body;
            body.status = Status::Succeeded;
            body.is_after_closing = known.account.closed_at.is_some();
            (body.reference, body.card, body.failure) = (seen.reference.clone(), seen.card.clone(), None);
            (body.page_url, body.action_url, body.client_secret) = (None, None, None);
            let invoiced = self.invoice_for(&known, id, body, now)?;
            body.invoice = Some(invoiced.id);
            let moved = self.subscription_paid(&known, id, body, now)?;
            body.is_too_late = moved.is_too_late;
            // What is left to do once the money is there is a job of its own.
            let due_at = self.has_sequel(body).then_some(now);
            let mut also = vec![kept.next(now, due_at)];
            also.extend(invoiced.changes);
            also.extend(moved.changes);
            also.extend(self.payment_news(&known, id, &kept.body, now)?);
            let ask = Ask {
                account: known.account.number,
                command: Some(Command::Grant(Arc::new(kept.body.terms(&id.to_string(), now, moved.expires_at)))),
                key: None,
                by: kept.body.by.as_deref().map(Into::into),
                fact: Some(NameHash::paid(id)),
                once: None,
                also,
            };
            match self.turnstile.take_one(ask).await {
                Turned::Overtaken => {}
                turned => {
                    super::order::done(turned)?;
                    if kept.body.is_after_closing {
                        tracing::warn!(payment = %id, "this came in after its account was closed: refund it");
                    }
                    return Ok(());
                }
            }
            // Somebody was first with this payment, with this invoice's number, or with another of its documents.
            match self.payment_kept(id)? {
                Some(it) if it.body.status() != Status::Succeeded => kept = it,
                _ => return Ok(()),
            }
        }
        Err(Error::Busy)
    }

    /// Commits a state without money; an auto-topup's rule is told in the same commit.
    async fn commit_payment(
        &self,
        id: PaymentId,
        body: &Payment,
        change: Change,
        is_news: bool,
    ) -> Result<bool, Error> {
        let mut changes = vec![change];
        if is_news {
            let known = self.known_number(id.place().account)?.ok_or(Refusal::AccountNotFound)?;
            changes.extend(self.payment_news(&known, id, body, self.now())?);
            changes.extend(self.subscription_failed(&known, id, body)?);
        }
        let failure = body.failure().filter(|_| is_news && body.purpose == Purpose::AutoTopup);
        let Some(failure) = failure else { return self.keep(&changes) };
        let ask = Ask {
            account: id.place().account,
            command: Some(Command::FailTopup { payment: id, failure, is_over: body.status().is_final() }),
            key: None,
            by: None,
            fact: None,
            once: None,
            also: changes.clone(),
        };
        match self.turnstile.take_one(ask).await {
            Turned::Done { .. } => Ok(true),
            Turned::Overtaken => Ok(false),
            // The rule knows nothing of it any more.
            Turned::Refused(_) => self.keep(&changes),
            _ => Err(Error::Busy),
        }
    }
}

fn failure_of(reason: DeclineReason) -> Failure {
    match reason {
        DeclineReason::InsufficientFunds => Failure::InsufficientFunds,
        DeclineReason::Expired => Failure::ExpiredCard,
        DeclineReason::NeedsCustomer => Failure::AuthenticationRequired,
        DeclineReason::ProofFailed => Failure::AuthenticationFailed,
        DeclineReason::Incorrect => Failure::IncorrectCode,
        DeclineReason::TryLater => Failure::ProcessingError,
        DeclineReason::Declined => Failure::Declined,
    }
}
