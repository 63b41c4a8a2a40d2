//! Refunds: unused credits go back at what was paid for them.
//!
//! The credits leave their grant in the commit that records the refund, before any money moves; should the provider
//! refuse to give the money back, they return to the same grant. A refund is a document that is due until it is over.
use std::sync::Arc;

use billing::Refusal;
use billing::id::{GrantId, PaymentId, RefundId};
use billing::ledger::{Cause, Command, Terms};
use billing::money::{Credits, Currency};
use billing::payment::Status;
use billing::rating::Text;
use billing::refund::Part;
use billing::time::Span;
use serde::{Deserialize, Serialize};
use store::{Change, Document};

use super::documents::{Kept, LEASE, read};
use super::order::{Fingerprint, check_reason, done};
use super::payment::{Payment, Returned, Taken, withdrawal};
use super::requests::{Asked, answer_in};
use super::{By, Error};
use crate::app::App;
use crate::stripe::{self, RefundStatus, RefusedFor};
use crate::turnstile::{Ask, Turned};

pub(super) const KIND: &str = "refund";
const ATTEMPTS_MAX: u32 = 16;
const LOOKED_AT: usize = 50;

/// How much is to go back.
#[derive(Clone, Copy, Debug)]
pub enum Much {
    Credits(Credits),
    /// Minor units, tax included.
    Amount(i64),
    /// All that is unused.
    Unused,
}

#[derive(Clone, Debug)]
pub struct RefundOrder {
    pub payment: PaymentId,
    pub much: Much,
    pub reason: Text,
    pub key: Text,
    pub by: By,
}

/// How a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundState {
    Pending,
    Succeeded,
    Failed,
}

impl RefundState {
    pub fn as_str(self) -> &'static str {
        match self {
            RefundState::Pending => "pending",
            RefundState::Succeeded => "succeeded",
            RefundState::Failed => "failed",
        }
    }
}

impl RefundOrder {
    fn fingerprint(&self) -> Fingerprint {
        let mut request = Fingerprint::of("refund");
        request.text(&self.payment.to_string()).text(&self.reason);
        match self.much {
            Much::Credits(it) => request.credits(Some(it)),
            Much::Amount(it) => request.text("amount").number(it.unsigned_abs()),
            Much::Unused => request.text("unused"),
        };
        request
    }
}

/// A refund as it is written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refund {
    pub payment: String,
    pub grant: String,
    pub part: Returned,
    /// Micro-credits of that part that had lapsed when it was found that its money went out after all.
    #[serde(default)]
    pub lapsed: i64,
    #[serde(with = "super::word")]
    pub currency: Currency,
    pub reason: String,
    pub status: RefundState,
    pub reference: Option<String>,
    /// Keys that the provider has used up: under each it keeps an error of its own, and repeats it.
    #[serde(default)]
    pub keys_spent: u32,
    pub credit_note: Option<String>,
    pub created_at: i64,
}

#[derive(Clone, Debug)]
pub struct RefundView {
    pub id: String,
    pub refund: Refund,
    pub is_replay: bool,
}

/// A refund as it was when its order was answered.
#[derive(Serialize, Deserialize)]
struct Then {
    id: String,
    refund: Refund,
}

/// Whether a refund may be at the provider already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sent {
    Never,
    /// Perhaps it is still under way: that it is not listed means nothing.
    JustNow,
    /// So long ago that the list shows what came of it.
    LongAgo,
}

impl App {
    /// Takes unused credits back and gives their money back.
    pub async fn refund(self: &Arc<Self>, order: RefundOrder) -> Result<RefundView, Error> {
        self.provider()?;
        let account = order.payment.place().account;
        let known = self.known_number(account)?.ok_or(Refusal::PaymentNotFound)?;
        check_reason(&order.reason)?;
        for _ in 0..ATTEMPTS_MAX {
            let fresh = match self.asked(account, &order.key, order.fingerprint())? {
                Asked::Before(led_to) => return self.refunded_then(&order, &led_to),
                Asked::Fresh(fresh) => fresh,
            };
            let mut payment = self.payment_kept(order.payment)?.ok_or(Refusal::PaymentNotFound)?;
            let (grant, part) = self.to_refund(&order, &payment.body)?;
            let now = self.now();
            let id = RefundId::new(now, self.place_beside(account)?).to_string();
            let body = Refund {
                payment: order.payment.to_string(),
                grant: grant.to_string(),
                part: part.into(),
                lapsed: 0,
                currency: payment.body.currency,
                reason: order.reason.to_string(),
                status: RefundState::Pending,
                reference: None,
                keys_spent: 0,
                credit_note: None,
                created_at: now.millis(),
            };
            let refund = Kept::new(account, KIND, id.clone(), body);
            payment.body.returned = Part::from(payment.body.returned).plus(part).into();
            let due_at = payment.document.due_at;
            let mut also = vec![refund.next(now, Some(now + LEASE)), payment.next(now, due_at), fresh.led_to(&id, now)];
            let detail = format!("{} {} credits: {}", order.payment, part.credits, order.reason);
            also.extend(order.by.noted(now, "payment.refund", known.account.id.to_string(), detail));
            let withdrawal = withdrawal(grant, part.credits, (part.net, Cause::Refund, &*order.reason));
            match self
                .ask_withdrawal(order.payment, Command::Withdraw(withdrawal), Some(Arc::clone(&order.by.name)), also)
                .await
            {
                Turned::Overtaken => {}
                turned => {
                    done(turned)?;
                    self.carry_out_refund(self.refund_kept(order.payment, &id)?, Sent::Never).await?;
                    let refund = self.refund_kept(order.payment, &id)?.body;
                    let Then { id, refund } = self.noted_at_last(&fresh, Then { id, refund })?;
                    return Ok(RefundView { id, refund, is_replay: false });
                }
            }
        }
        Err(Error::Busy)
    }

    /// The answer that a key led to before. Where none was given it is what there is now: while a process is at it,
    /// until that one answers; and for good where it died.
    fn refunded_then(&self, order: &RefundOrder, led_to: &str) -> Result<RefundView, Error> {
        let then = match answer_in::<Then>(led_to) {
            Some(then) => then,
            None => {
                let kept = self.refund_kept(order.payment, led_to)?;
                let is_at_rest = kept.body.status != RefundState::Pending || !kept.is_leased(self.now());
                let then = Then { id: led_to.to_owned(), refund: kept.body };
                let asked = self.asked_before(order.payment.place().account, &order.key, order.fingerprint())?;
                if is_at_rest { self.noted_at_last(&asked, then)? } else { then }
            }
        };
        Ok(RefundView { id: then.id, refund: then.refund, is_replay: true })
    }

    /// What was said for each refund of a payment, newest first, among so many of the account.
    pub fn refund_reasons(&self, payment: PaymentId) -> Result<Vec<String>, Error> {
        let newest = self.all_kept::<Refund>(payment.place().account, KIND, None, LOOKED_AT)?.into_iter();
        let of_it = newest.filter(|it| it.body.payment == payment.to_string() && it.body.status != RefundState::Failed);
        Ok(of_it.map(|it| it.body.reason).collect())
    }

    /// A payment's refunds would be many: they are found one by one, by their id.
    fn refund_kept(&self, payment: PaymentId, id: &str) -> Result<Kept<Refund>, Error> {
        Ok(self.kept(payment.place().account, KIND, id)?.ok_or(Refusal::PaymentNotFound)?)
    }

    /// Which grant the order takes from, and what part of the payment that is.
    pub(super) fn to_refund(&self, order: &RefundOrder, payment: &Payment) -> Result<(GrantId, Part), Error> {
        if payment.status() != Status::Succeeded {
            return Err(Refusal::NothingToRefund.into());
        }
        if payment.is_disputed(None) {
            return Err(Refusal::PaymentDisputed.into());
        }
        let (grant, _) = self.grant_paid_by(order.payment)?.ok_or(Refusal::NothingToRefund)?;
        let book = self.book(order.payment.place().account)?.brought_up_to(self.now());
        let unused = book.grant(grant).map_or(Credits::ZERO, |it| it.remaining);
        let (bought, gone) = (payment.bought(), payment.returned.into());
        if let Much::Amount(amount) = order.much
            && amount % bought.step != 0
        {
            let why = format!("must be a multiple of {}: no smaller parts of this currency go back", bought.step);
            return Err(Refusal::invalid("amount", why).into());
        }
        // What came back may be more than what is left to refund.
        let left = unused.min(bought.credits - Part::from(payment.returned).credits);
        let exceeds = || match bought.most_for(gone, left) {
            Some(most) => Refusal::RefundExceedsUnused { left, most: Some(payment.money(most)) },
            None => Refusal::NothingToRefund,
        };
        let part = match order.much {
            Much::Credits(credits) if left < credits => return Err(exceeds().into()),
            Much::Credits(credits) => bought.part_of_credits(gone, credits),
            Much::Amount(amount) => bought.part_of_amount(gone, amount),
            Much::Unused => bought.part_of_credits(gone, left),
        };
        let part = part.filter(|it| it.credits <= left).ok_or_else(exceeds)?;
        if part.total() == 0 {
            return Err(Refusal::NothingToRefund.into());
        }
        Ok((grant, part))
    }

    /// A refund that is due: takes it, unless another has it.
    pub(super) async fn work_refund(self: &Arc<Self>, document: Document) -> Result<(), Error> {
        let mut kept = read::<Refund>(document)?;
        let now = self.now();
        // Whoever sent it last was done with it, or dead, when the document was written last. What the provider has
        // named is never sent again.
        let is_long_ago = kept.document.at + stripe::CERTAIN_AFTER <= now && kept.body.reference.is_none();
        let sent = if is_long_ago { Sent::LongAgo } else { Sent::JustNow };
        let claim = kept.next(now, Some(now + LEASE));
        if !self.keep(std::slice::from_ref(&claim))? {
            return Ok(());
        }
        let Change::Document(document) = claim else { unreachable!("a claim is a document") };
        kept.document = document;
        self.carry_out_refund(kept, sent).await
    }

    async fn carry_out_refund(self: &Arc<Self>, mut kept: Kept<Refund>, sent: Sent) -> Result<(), Error> {
        if kept.body.status != RefundState::Pending {
            return Ok(());
        }
        let id: PaymentId = kept.body.payment.parse().map_err(|_| Refusal::PaymentNotFound)?;
        let Some(payment) = self.payment_kept(id)? else { return Ok(()) };
        let reference = payment.body.reference.clone().unwrap_or_default();
        let (ours, amount) = (kept.document.id.clone(), payment.body.money(Part::from(kept.body.part).total()));
        // One key for all tries, whoever makes them: two at once are one to the provider. Only where it keeps an error
        // of its own under the key, and nothing can be under way there any more, is there another.
        let key = format!("{ours}:{}", kept.body.keys_spent);
        let asked = self.at_provider(move |provider| {
            let order = stripe::RefundOrder { ours: &ours, payment: &reference, amount };
            send_or_find(provider, &order, &key, sent)
        });
        let asked = asked.await;
        let now = self.now();
        match asked {
            Ok(refund) => match refund.status {
                RefundStatus::Succeeded => self.refunded(id, kept, refund.reference).await,
                RefundStatus::Failed => self.not_refunded(id, kept, false).await,
                RefundStatus::Pending => {
                    kept.body.reference = Some(refund.reference);
                    self.keep(&[kept.next(now, Some(now + Span::HOUR))]).map(drop)
                }
            },
            Err(stripe::Failure::Refused { why, detail }) => {
                tracing::error!(refund = kept.document.id, %why, detail, "the provider refused a refund");
                self.not_refunded(id, kept, false).await
            }
            Err(failure) => {
                tracing::warn!(refund = kept.document.id, ?failure, "a refund is tried again");
                kept.body.keys_spent += u32::from(matches!(failure, stripe::Failure::Ambiguous { is_kept: true, .. }));
                self.keep(&[kept.next(now, Some(now + Span::MINUTE.times(3)))]).map(drop)
            }
        }
    }

    /// The money is on its way: the credit note is issued in the commit that says so.
    async fn refunded(&self, id: PaymentId, mut kept: Kept<Refund>, reference: String) -> Result<(), Error> {
        let known = self.known_number(id.place().account)?.ok_or(Refusal::PaymentNotFound)?;
        for _ in 0..ATTEMPTS_MAX {
            let Some(payment) = self.payment_kept(id)? else { return Ok(()) };
            let now = self.now();
            let note = self.credit_note_for(&known, (id, &payment.body), kept.body.part.into(), now)?;
            kept.body.status = RefundState::Succeeded;
            kept.body.reference = Some(reference.clone());
            kept.body.credit_note = Some(note.id.clone());
            let mut changes = note.changes;
            let (refund, part, reason) = (&*kept.document.id, kept.body.part, &*kept.body.reason);
            changes.push(App::refund_news(id, &payment.body, (refund, part, &note.id), (reason, now)));
            changes.push(kept.next(now, None));
            if self.keep(&changes)? {
                return Ok(());
            }
            kept = self.refund_kept(id, &kept.document.id)?;
            if kept.body.status != RefundState::Pending {
                return Ok(());
            }
        }
        Err(Error::Busy)
    }

    /// A refund of ours that the provider could not make after all, also where it had said that it could.
    pub(super) async fn refund_failed(self: &Arc<Self>, id: PaymentId, refund: &str) -> Result<(), Error> {
        match self.kept::<Refund>(id.place().account, KIND, refund)? {
            Some(kept) => self.not_refunded(id, kept, true).await,
            None => Ok(()),
        }
    }

    /// No money went back: the credits return to the grant they came from. A credit note that was issued is answered by
    /// an invoice of the same. Unless `may_have_succeeded`, another who found that the money went out is believed.
    async fn not_refunded(&self, id: PaymentId, mut kept: Kept<Refund>, may_have_succeeded: bool) -> Result<(), Error> {
        let known = self.known_number(id.place().account)?.ok_or(Refusal::PaymentNotFound)?;
        for _ in 0..ATTEMPTS_MAX {
            let is_believed = kept.body.status == RefundState::Pending
                || (may_have_succeeded && kept.body.status == RefundState::Succeeded);
            if !is_believed {
                return Ok(());
            }
            let Some(payment) = self.payment_kept(id)? else { return Ok(()) };
            let Some(granted) = self.grant_paid_by(id)? else { return Ok(()) };
            let (part, lapsed, now) = (Part::from(kept.body.part), kept.body.lapsed, self.now());
            let mut also = Vec::new();
            if kept.body.credit_note.is_some() {
                also.extend(self.invoice_again(&known, (id, &payment.body), part, now)?.changes);
            }
            kept.body.status = RefundState::Failed;
            also.push(kept.next(now, None));
            if self.put_back((id, payment), granted, (part, lapsed), also).await? {
                return Ok(());
            }
            kept = self.refund_kept(id, &kept.document.id)?;
        }
        Err(Error::Busy)
    }

    /// Puts back what was taken of a payment's grant: all but the micro-credits that had lapsed. False when another was
    /// first.
    pub(super) async fn put_back(
        &self,
        (id, mut payment): (PaymentId, Kept<Payment>),
        (grant, terms): (GrantId, Arc<Terms>),
        (part, lapsed): (Part, i64),
        mut also: Vec<Change>,
    ) -> Result<bool, Error> {
        let gone = Part::from(payment.body.returned);
        payment.body.returned =
            Part { credits: gone.credits - part.credits, net: gone.net - part.net, tax: gone.tax - part.tax }.into();
        payment.body.lapsed -= lapsed;
        let credits = part.credits - Credits::from_micros(lapsed);
        let withdrawal = withdrawal(grant, credits, (part.net, Cause::Refund, "the refund failed"));
        let due_at = payment.document.due_at;
        also.push(payment.next(self.now(), due_at));
        if part.credits.is_zero() {
            return self.keep(&also);
        }
        match self.ask_withdrawal(id, Command::Restore { withdrawal, terms }, None, also).await {
            Turned::Overtaken => Ok(false),
            turned => done(turned).map(|_| true),
        }
    }

    /// News of a refund of ours that did not fail: one that is under way is looked at at once.
    pub(super) async fn hear_of_our_refund(
        &self,
        id: PaymentId,
        refund: &str,
        seen: &stripe::Refund,
    ) -> Result<(), Error> {
        let Some(kept) = self.kept::<Refund>(id.place().account, KIND, refund)? else { return Ok(()) };
        if kept.body.status == RefundState::Failed && seen.status == RefundStatus::Succeeded {
            return self.refunded_after_all(id, kept, &seen.reference).await;
        }
        if kept.body.status == RefundState::Pending {
            let now = self.now();
            self.keep(&[kept.next(now, Some(now))])?;
        }
        Ok(())
    }

    /// A refund that was taken for failed, and whose money went out: the credits that were put back are taken again,
    /// and what was spent of them meanwhile is owed.
    async fn refunded_after_all(&self, id: PaymentId, mut kept: Kept<Refund>, reference: &str) -> Result<(), Error> {
        let known = self.known_number(id.place().account)?.ok_or(Refusal::PaymentNotFound)?;
        for _ in 0..ATTEMPTS_MAX {
            if kept.body.status != RefundState::Failed {
                return Ok(());
            }
            let Some(mut payment) = self.payment_kept(id)? else { return Ok(()) };
            let Some(of) = self.leftover(id)? else { return Ok(()) };
            tracing::error!(refund = kept.document.id, "a refund that was taken for failed was made after all");
            let (now, due_at) = (self.now(), payment.document.due_at);
            let reason = "the refund was made after all";
            let amount = Part::from(kept.body.part).total();
            let taken = payment.body.take_back(&of, amount, (Cause::Refund, reason));
            kept.body.status = RefundState::Succeeded;
            kept.body.reference = Some(reference.to_owned());
            kept.body.part = taken.as_ref().map(|it| it.part).unwrap_or_default().into();
            kept.body.lapsed = taken.as_ref().map_or(0, |it| it.lapsed);
            let mut also = Vec::new();
            if let Some(Taken { part, .. }) = &taken {
                let note = self.credit_note_for(&known, (id, &payment.body), *part, now)?;
                // What failed after it had succeeded was told of then.
                if kept.body.credit_note.is_none() {
                    let told = (&*kept.document.id, (*part).into(), &*note.id);
                    also.push(App::refund_news(id, &payment.body, told, (&*kept.body.reason, now)));
                }
                kept.body.credit_note = Some(note.id);
                also.extend(note.changes);
            }
            also.extend([payment.next(now, due_at), kept.next(now, None)]);
            let is_done = match taken {
                None => self.keep(&also)?,
                Some(Taken { command, .. }) => match self.ask_withdrawal(id, command, None, also).await {
                    Turned::Overtaken => false,
                    turned => done(turned).map(|_| true)?,
                },
            };
            if is_done {
                return Ok(());
            }
            kept = self.refund_kept(id, &kept.document.id)?;
        }
        Err(Error::Busy)
    }

    pub(super) async fn ask_withdrawal(
        &self,
        payment: PaymentId,
        command: Command,
        by: Option<Text>,
        also: Vec<Change>,
    ) -> Turned {
        let account = payment.place().account;
        let ask = Ask { account, command: Some(command), key: None, by, fact: None, once: None, also };
        self.turnstile.take_one(ask).await
    }
}

/// Sends a refund, unless it was sent before and is there. Only a sending that is refused is a refusal; that the list
/// may not be read, or our key is not taken, says nothing about the money.
fn send_or_find(
    provider: &stripe::Provider,
    order: &stripe::RefundOrder<'_>,
    key: &str,
    sent: Sent,
) -> Result<stripe::Refund, stripe::Failure> {
    let find = || {
        let listed = provider.refunds(order.payment).map_err(no_refusal)?;
        Ok(listed.into_iter().find(|it| it.ours.as_deref() == Some(order.ours)))
    };
    if sent != Sent::Never
        && let Some(found) = find()?
    {
        return Ok(found);
    }
    if sent == Sent::JustNow {
        let detail = "it is not listed, and may be under way".to_owned();
        return Err(stripe::Failure::Busy { after: stripe::CERTAIN_AFTER, detail });
    }
    match provider.refund(order, key) {
        Err(failure @ stripe::Failure::Refused { why: RefusedFor::Unauthorized, .. }) => Err(no_refusal(failure)),
        // What it is refused for may be that it was done: of what was sent before only the list says that it was not.
        Err(refused @ stripe::Failure::Refused { .. }) if sent == Sent::LongAgo => find()?.ok_or(refused),
        other => other,
    }
}

/// A refusal that is no answer about the refund itself: it is asked again.
fn no_refusal(failure: stripe::Failure) -> stripe::Failure {
    match failure {
        stripe::Failure::Refused { why, detail } => {
            stripe::Failure::Busy { after: Span::MINUTE, detail: format!("{why}: {detail}") }
        }
        other => other,
    }
}
