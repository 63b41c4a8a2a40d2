//! Disputes: a bank takes a payment back, or tries to.
//!
//! While one is open the grant is frozen, nothing tops up by itself, nothing is taken. Lost, what is left of the
//! disputed part is taken back and what was spent of it is owed; nothing is owed for what had expired or been voided,
//! which nobody had. Won, the grant is as it was, and lasts as much longer as it was frozen. What the provider says now
//! is what is applied, so that notices may come in any order and as often as they like.
use std::sync::Arc;

use billing::id::PaymentId;
use billing::ledger::{Cause, Command};
use billing::payment::Status;

use super::Error;
use super::payment::{ByHand, DisputeState, Disputed, Payment, Taken};
use super::payment_methods::told;
use crate::app::App;
use crate::stripe::{Dispute, DisputeStatus, RefundStatus};
use crate::turnstile::Turned;

const ATTEMPTS_MAX: u32 = 16;

/// What is to be done next for a payment to stand where its dispute does.
enum Step {
    Open,
    /// The bank keeps so many minor units.
    Take(i64),
    Close(DisputeState),
}

/// The next step, of what was done and what the provider says. First it is opened, whatever came of it meanwhile, then
/// what the bank keeps is taken, then what is left is let go.
fn next_step(known: Option<&Disputed>, dispute: &Dispute) -> Option<Step> {
    let disputed = dispute.disputed.amount;
    let keeps = match (dispute.status, dispute.withdrawn) {
        (DisputeStatus::Inquiry, _) => return None,
        (DisputeStatus::Open, _) => 0,
        // What was won comes back a little later: until some of it is there, all of it is on its way.
        (DisputeStatus::Won, Some(withdrawn)) if withdrawn < disputed => withdrawn.max(0),
        // Where it cannot be said how much is left, the customer who won is left all of it, and who lost nothing.
        (DisputeStatus::Won, _) => 0,
        (DisputeStatus::Lost, Some(withdrawn)) if 0 < withdrawn => withdrawn,
        (DisputeStatus::Lost, _) => disputed,
    };
    let Some(known) = known else { return Some(Step::Open) };
    if known.lost < keeps {
        return Some(Step::Take(keeps - known.lost));
    }
    let over = match dispute.status {
        DisputeStatus::Won => DisputeState::Won,
        DisputeStatus::Lost => DisputeState::Lost,
        DisputeStatus::Open | DisputeStatus::Inquiry => return None,
    };
    (known.status == DisputeState::Open).then_some(Step::Close(over))
}

/// The dispute in the currency that was paid. What a bank wants in another cannot be compared with the payment: then
/// all of it is disputed, for less is nowhere said.
fn in_money_of(id: PaymentId, payment: &Payment, dispute: &Dispute) -> Dispute {
    if dispute.disputed.currency == payment.currency() {
        return dispute.clone();
    }
    let (reference, disputed) = (&dispute.reference, dispute.disputed);
    tracing::warn!(payment = %id, reference, ?disputed, "is disputed in another currency: all of it is taken to be");
    Dispute { disputed: payment.money(payment.total()), withdrawn: None, ..dispute.clone() }
}

impl App {
    /// News of a dispute: looks at it, and brings the payment and its grant where it says.
    pub(super) async fn hear_of_dispute(self: &Arc<Self>, reference: &str) -> Result<(), Error> {
        let name = reference.to_owned();
        let found = self.at_provider(move |provider| {
            let dispute = provider.dispute(&name)?;
            let payment = dispute.payment.as_deref().map(|it| provider.payment(it)).transpose()?;
            Ok((dispute, payment))
        });
        let (dispute, payment) = found.await.map_err(|it| told(&it))?;
        let Some(payment) = payment else { return Ok(()) };
        let Some(id) = payment.ours.as_deref().and_then(|it| it.parse::<PaymentId>().ok()) else { return Ok(()) };
        // The news of the payment itself may not have come yet.
        self.hear_of_payment(id, &payment.reference).await?;
        for _ in 0..ATTEMPTS_MAX {
            if self.apply_dispute(id, &dispute).await? {
                return Ok(());
            }
        }
        Err(Error::Busy)
    }

    /// One step towards what the dispute says. True when there is nothing left to do.
    async fn apply_dispute(&self, id: PaymentId, dispute: &Dispute) -> Result<bool, Error> {
        let Some(mut kept) = self.payment_kept(id)? else { return Ok(true) };
        let Some((grant, terms)) = self.grant_paid_by(id)? else { return Ok(true) };
        let dispute = &in_money_of(id, &kept.body, dispute);
        let freeze = |is_frozen| Command::Freeze { grant, is_frozen, expires_at: terms.expires_at };
        let known = kept.body.disputed(&dispute.reference).cloned();
        let Some(step) = next_step(known.as_ref(), dispute) else { return Ok(true) };
        let now = self.now();
        let is_only_one = !kept.body.is_disputed(Some(&dispute.reference));
        let mut next = Disputed { reference: dispute.reference.clone(), status: DisputeState::Open, lost: 0 };
        if let Some(known) = &known {
            next = known.clone();
        }
        let mut noted = Vec::new();
        let command = match step {
            Step::Open => is_only_one.then(|| freeze(true)),
            Step::Take(amount) => {
                let Some(of) = self.leftover(id)? else { return Ok(true) };
                next.lost += amount;
                let taken = kept.body.take_back(&of, amount, (Cause::Dispute, "the payment was disputed and lost"));
                if let Some(taken) = &taken {
                    let known = self.known_number(id.place().account)?.ok_or(billing::Refusal::AccountNotFound)?;
                    noted = self.credit_note_for(&known, (id, &kept.body), taken.part, now)?.changes;
                }
                taken.map(|it| it.command)
            }
            Step::Close(status) => {
                next.status = status;
                is_only_one.then(|| freeze(false))
            }
        };
        let is_news = known.is_none_or(|it| it.status != next.status);
        kept.body.put_dispute(next.clone());
        let mut also = vec![kept.next(now, kept.document.due_at)];
        also.extend(is_news.then(|| App::dispute_news(id, &kept.body, &next, now)));
        also.extend(noted);
        let Some(command) = command else { return self.keep(&also).map(|_| false) };
        match self.ask_withdrawal(id, command, Some("the payment provider".into()), also).await {
            // Look again: there may be another step.
            Turned::Done { .. } | Turned::Overtaken => Ok(false),
            turned => super::order::done(turned).map(|_| false),
        }
    }

    /// Refunds of a payment that were made by hand at the provider: what they took back is taken back here.
    pub(super) async fn hear_of_refund(self: &Arc<Self>, reference: &str) -> Result<(), Error> {
        let name = reference.to_owned();
        let found = self.at_provider(move |provider| Ok((provider.payment(&name)?, provider.refunds(&name)?)));
        let (payment, refunds) = found.await.map_err(|it| told(&it))?;
        let Some(id) = payment.ours.as_deref().and_then(|it| it.parse::<PaymentId>().ok()) else { return Ok(()) };
        self.hear_of_payment(id, &payment.reference).await?;
        for refund in refunds {
            let is_gone = refund.status == RefundStatus::Failed;
            match &refund.ours {
                Some(ours) if is_gone => self.refund_failed(id, ours).await?,
                Some(ours) => self.hear_of_our_refund(id, ours, &refund).await?,
                None if is_gone => self.give_back(id, &refund.reference).await?,
                None => self.take_back(id, &refund.reference, refund.refunded.amount).await?,
            }
        }
        Ok(())
    }

    /// A refund made by hand has failed after all: what was taken back for it is there again, and an invoice answers
    /// its credit note.
    async fn give_back(self: &Arc<Self>, id: PaymentId, reference: &str) -> Result<(), Error> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(mut kept) = self.payment_kept(id)? else { return Ok(()) };
            let place = kept.body.by_hand.iter().position(|it| it.reference == reference);
            let (Some(place), Some((grant, terms))) = (place, self.grant_paid_by(id)?) else { return Ok(()) };
            let ByHand { part, lapsed, credit_note, .. } = kept.body.by_hand.remove(place);
            let mut also = Vec::new();
            if credit_note.is_some() {
                let known = self.known_number(id.place().account)?.ok_or(billing::Refusal::AccountNotFound)?;
                also = self.invoice_again(&known, (id, &kept.body), part.into(), self.now())?.changes;
            }
            if self.put_back((id, kept), (grant, terms), (part.into(), lapsed), also).await? {
                return Ok(());
            }
        }
        Err(Error::Busy)
    }

    async fn take_back(self: &Arc<Self>, id: PaymentId, reference: &str, amount: i64) -> Result<(), Error> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(mut kept) = self.payment_kept(id)? else { return Ok(()) };
            let Some(of) = self.leftover(id)? else { return Ok(()) };
            if kept.body.status() != Status::Succeeded || kept.body.by_hand.iter().any(|it| it.reference == reference) {
                return Ok(());
            }
            let now = self.now();
            let taken = kept.body.take_back(&of, amount, (Cause::Refund, "refunded by hand at the payment provider"));
            let mut by_hand = ByHand { reference: reference.to_owned(), ..ByHand::default() };
            let Some(Taken { command, part, lapsed }) = taken else {
                kept.body.by_hand.push(by_hand);
                self.keep(&[kept.next(now, kept.document.due_at)])?;
                continue;
            };
            (by_hand.part, by_hand.lapsed) = (part.into(), lapsed);
            let known = self.known_number(id.place().account)?.ok_or(billing::Refusal::AccountNotFound)?;
            let note = self.credit_note_for(&known, (id, &kept.body), part, now)?;
            let told = (reference, part.into(), &*note.id);
            let news = App::refund_news(id, &kept.body, told, ("refunded at the payment provider", now));
            by_hand.credit_note = Some(note.id);
            kept.body.by_hand.push(by_hand);
            let mut also = vec![kept.next(now, kept.document.due_at), news];
            also.extend(note.changes);
            match self.ask_withdrawal(id, command, Some("the payment provider".into()), also).await {
                Turned::Overtaken => {}
                turned => return super::order::done(turned).map(drop),
            }
        }
        Err(Error::Busy)
    }
}
