//! Disputes: a bank takes a payment back, or tries to.
//!
//! While one is open the grant is frozen, nothing tops up by itself, nothing is taken. Lost, what is left of the
//! disputed part is taken back and what was spent of it is owed; won, the grant is as it was. What the provider says
//! now is what is applied, so that notices may come in any order and as often as they like.
use std::sync::Arc;

use billing::id::PaymentId;
use billing::ledger::{Cause, Command, Withdrawal};
use billing::payment::Status;
use billing::refund::Part;

use super::Error;
use super::payment_methods::told;
use super::payments::Disputed;
use crate::app::App;
use crate::stripe::{Dispute, DisputeStatus, RefundStatus};
use crate::turnstile::Turned;

const ATTEMPTS_MAX: u32 = 16;

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
        let Some((grant, _)) = self.grant_paid_by(id)? else { return Ok(true) };
        let now = self.now();
        let known = kept.body.dispute.clone().filter(|it| it.reference == dispute.reference);
        let before = known.as_ref().map_or("none", |it| &*it.status);
        let lost = known.as_ref().map_or(0, |it| it.lost);
        let taken = match dispute.status {
            DisputeStatus::Inquiry => return Ok(true),
            DisputeStatus::Open => 0,
            DisputeStatus::Won => dispute.withdrawn.max(0),
            DisputeStatus::Lost if 0 < dispute.withdrawn => dispute.withdrawn,
            DisputeStatus::Lost => dispute.disputed.amount,
        };
        let said = |status: &str, lost| {
            Some(Disputed { reference: dispute.reference.clone(), status: status.to_owned(), lost })
        };
        let over = if dispute.status == DisputeStatus::Won { "won" } else { "lost" };
        let (command, next) = match (dispute.status, before) {
            (DisputeStatus::Open, "none") => (Command::Freeze { grant, is_frozen: true }, said("open", 0)),
            (DisputeStatus::Open, _) => return Ok(true),
            // First what the bank keeps is taken, then what is left is let go.
            (_, "none" | "open") if lost < taken => {
                let gone: Part = kept.body.returned.into();
                let bought = kept.body.bought();
                let amount = (taken - lost).min(bought.total() - gone.total());
                let Some(part) = bought.part_of_amount(gone, amount) else {
                    // All of it went back by refunds already.
                    kept.body.dispute = said("open", taken);
                    self.keep(&[kept.next(now, kept.document.due_at)])?;
                    return Ok(false);
                };
                kept.body.returned = gone.plus(part).into();
                let reason = "the payment was disputed and lost".into();
                let withdrawal =
                    Withdrawal { grant, credits: part.credits, owed: part.credits, cause: Cause::Dispute, reason };
                (Command::Withdraw(withdrawal), said("open", taken))
            }
            (_, "none" | "open") => (Command::Freeze { grant, is_frozen: false }, said(over, lost)),
            _ => return Ok(true),
        };
        kept.body.dispute = next;
        let also = vec![kept.next(now, kept.document.due_at)];
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
            if let Some(ours) = &refund.ours {
                self.refund_now_due(id, ours)?;
            } else if refund.status != RefundStatus::Failed {
                self.take_back(id, &refund.reference, refund.refunded.amount).await?;
            }
        }
        Ok(())
    }

    async fn take_back(self: &Arc<Self>, id: PaymentId, reference: &str, amount: i64) -> Result<(), Error> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(mut kept) = self.payment_kept(id)? else { return Ok(()) };
            let Some((grant, _)) = self.grant_paid_by(id)? else { return Ok(()) };
            if kept.body.status() != Status::Succeeded || kept.body.by_hand.iter().any(|it| it == reference) {
                return Ok(());
            }
            let now = self.now();
            let (bought, gone) = (kept.body.bought(), Part::from(kept.body.returned));
            kept.body.by_hand.push(reference.to_owned());
            let Some(part) = bought.part_of_amount(gone, amount.min(bought.total() - gone.total())) else {
                self.keep(&[kept.next(now, kept.document.due_at)])?;
                continue;
            };
            kept.body.returned = gone.plus(part).into();
            let reason = "refunded by hand at the payment provider".into();
            let withdrawal =
                Withdrawal { grant, credits: part.credits, owed: part.credits, cause: Cause::Refund, reason };
            let known = self.known_number(id.place().account)?.ok_or(billing::Refusal::AccountNotFound)?;
            let note = self.credit_note_for(&known, (id, &kept.body), part, now)?;
            let mut also = vec![kept.next(now, kept.document.due_at)];
            also.extend(note.changes);
            match self
                .ask_withdrawal(id, Command::Withdraw(withdrawal), Some("the payment provider".into()), also)
                .await
            {
                Turned::Overtaken => {}
                turned => return super::order::done(turned).map(drop),
            }
        }
        Err(Error::Busy)
    }
}
