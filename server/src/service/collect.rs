//! Collecting: a payment carried out with the provider, one step at a time, each between two commits.
//!
//! Whoever carries a payment out has claimed it by committing its next state with a lease. What the provider is asked
//! goes under a key made of the payment's id, so that asking again, from whatever process and after whatever crash, is
//! asking for the same thing. What it answers is only ever a reason to look: credits follow from the provider's word
//! that the money is there, compared with what was asked, whoever brought that word.
use std::sync::Arc;

use billing::Refusal;
use billing::id::PaymentId;
use billing::ledger::Command;
use billing::payment::{Failure, Status};
use billing::time::{Span, Timestamp};
use store::Change;

use super::Error;
use super::documents::{Kept, LEASE};
use super::payments::{Payment, Purpose, Way};
use super::requests::paid;
use crate::app::{App, Known};
use crate::stripe::{self, DeclineReason, PaymentStatus, PurchaseLine, PurchaseOrder, SavedCharge};
use crate::turnstile::{Ask, Turned};

/// How often what met another is decided again.
const ATTEMPTS_MAX: u32 = 16;
/// After so many sendings without an answer, the provider's lists are read instead.
const SENDINGS_MAX: u32 = 4;
/// How long a customer is waited for.
const PATIENCE: Span = Span::HOUR.times(24);

/// What was found out about a payment.
enum Progress {
    /// The customer was given a page to pay on.
    Page(stripe::Page),
    /// How the provider sees it.
    Seen(stripe::Payment),
    /// Nothing new.
    Nothing,
    /// The provider has no time, or did not answer.
    Later(Span),
    /// It is over, and no money came.
    Over(Failure),
}

/// When a payment that is waited for is looked at again, should no notice come.
fn look_again_at(tries: u32, now: Timestamp) -> Timestamp {
    let wait = match tries {
        0 | 1 => Span::SECOND.times(20),
        2 => Span::MINUTE,
        3 => Span::MINUTE.times(3),
        _ => Span::MINUTE.times(15),
    };
    now + wait
}

impl App {
    /// Goes as far with a payment as the provider answers now. What is over or in other hands is left alone.
    pub(crate) async fn carry_out(self: &Arc<Self>, id: PaymentId) -> Result<(), Error> {
        let Some(known) = self.known_number(id.place().account)? else { return Ok(()) };
        let Some(kept) = self.payment_kept(id)? else { return Ok(()) };
        if kept.body.status().is_final() {
            return self.after_payment(&known, kept).await;
        }
        let Some((claimed, over)) = self.claim_payment(&known, id, kept).await? else { return Ok(()) };
        let progress = match over {
            Some(failure) => Progress::Over(failure),
            None => self.step(id, &claimed.body).await,
        };
        self.settle_payment(id, claimed, progress).await
    }

    /// News of a payment, which has this name at the provider: looks at it there, and commits what is found.
    pub(super) async fn hear_of_payment(self: &Arc<Self>, id: PaymentId, reference: &str) -> Result<(), Error> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(kept) = self.payment_kept(id)? else { return Ok(()) };
            if kept.body.status() == Status::Succeeded {
                return Ok(());
            }
            let name = reference.to_owned();
            let seen = match self.at_provider(move |it| it.payment(&name)).await {
                Ok(seen) => seen,
                Err(_) => return Err(Error::Busy),
            };
            if seen.ours.as_deref() != Some(&*id.to_string()) {
                return Ok(());
            }
            let before = kept.document.version;
            self.settle_payment(id, kept, Progress::Seen(seen)).await?;
            let is_done = self.payment_kept(id)?.is_none_or(|it| it.document.version != before);
            if is_done {
                return Ok(());
            }
        }
        Err(Error::Busy)
    }

    /// Finds out who pays and with what, and takes the payment for the time of a lease. None when another has it; a
    /// failure when there is nothing to charge.
    async fn claim_payment(
        self: &Arc<Self>,
        known: &Arc<Known>,
        id: PaymentId,
        mut kept: Kept<Payment>,
    ) -> Result<Option<(Kept<Payment>, Option<Failure>)>, Error> {
        let now = self.now();
        let mut over = None;
        let body = &mut kept.body;
        if body.purpose == Purpose::AutoTopup && body.sent_at.is_none() {
            over = self.price_topup(known, id, body)?;
        }
        if over.is_none() && body.customer.is_none() {
            match self.customer_of(known).await {
                Ok(customer) => body.customer = Some(customer),
                Err(Error::Busy) => {
                    let change = kept.next(now, Some(look_again_at(kept.body.tries + 1, now)));
                    self.keep(&[change])?;
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        if over.is_none() && body.way != Way::Hosted && body.card.is_none() {
            let found = self.card_for(known, body.method.as_deref())?;
            match found {
                Some((method, card)) => (body.method, body.card) = (Some(method), Some(card)),
                None => over = Some(Failure::NoPaymentMethod),
            }
        }
        body.tries += 1;
        body.sent_at = Some(now.millis());
        let claim = kept.next(now, Some(now + LEASE));
        if !self.keep(std::slice::from_ref(&claim))? {
            return Ok(None);
        }
        let Change::Document(document) = claim else { unreachable!("a claim is a document") };
        kept.document = document;
        Ok(Some((kept, over)))
    }

    async fn step(self: &Arc<Self>, id: PaymentId, payment: &Payment) -> Progress {
        let asked = match (&payment.reference, &payment.page) {
            (Some(reference), _) => self.look_at_payment(id, payment, reference.clone()).await,
            (None, Some(page)) => self.look_at_page(page.clone()).await,
            (None, None) if SENDINGS_MAX <= payment.tries => self.find_sent(id, payment).await,
            (None, None) => match payment.way {
                Way::Hosted => self.open_page(id, payment).await,
                Way::OnSession | Way::OffSession => self.charge_card(id, payment).await,
            },
        };
        match asked {
            Ok(progress) => progress,
            Err(stripe::Failure::Busy { after, detail }) => {
                tracing::warn!(payment = %id, detail, "the provider is busy");
                Progress::Later(after)
            }
            Err(stripe::Failure::Ambiguous { detail }) => {
                tracing::warn!(payment = %id, detail, "the provider did not answer; it will be asked again");
                Progress::Later(Span::default())
            }
            Err(stripe::Failure::Refused { why, detail }) => {
                tracing::error!(payment = %id, ?why, detail, "the provider refused a payment");
                Progress::Over(Failure::ProcessingError)
            }
        }
    }

    async fn open_page(self: &Arc<Self>, id: PaymentId, payment: &Payment) -> Result<Progress, stripe::Failure> {
        let (payment, ours) = (payment.clone(), id.to_string());
        let ends_at = self.clock.at_machine(Timestamp::from_millis(payment.page_ends_at));
        let page = self.at_provider(move |provider| {
            let mut lines = vec![PurchaseLine { name: payment.item.clone(), amount: payment.net }];
            if payment.tax != 0 {
                let rate = billing::tax::Rate(payment.taxed.rate);
                lines.push(PurchaseLine { name: format!("VAT {rate} %"), amount: payment.tax });
            }
            let back = payment.return_url.as_deref().unwrap_or_default();
            let order = PurchaseOrder {
                ours: &ours,
                customer: payment.customer.as_deref().unwrap_or_default(),
                currency: payment.currency(),
                lines,
                save_card: payment.save_card,
                success_url: back,
                cancel_url: back,
                expires_at: ends_at,
            };
            provider.start_purchase_page(&order, &ours)
        });
        Ok(Progress::Page(page.await?))
    }

    async fn charge_card(self: &Arc<Self>, id: PaymentId, payment: &Payment) -> Result<Progress, stripe::Failure> {
        let (payment, ours) = (payment.clone(), id.to_string());
        let back = payment.return_url.clone().or_else(|| self.settings.purchase_url.clone());
        let seen = self.at_provider(move |provider| {
            let order = SavedCharge {
                ours: &ours,
                customer: payment.customer.as_deref().unwrap_or_default(),
                card: payment.card.as_deref().unwrap_or_default(),
                total: payment.money(payment.total()),
                return_url: back.as_deref().filter(|_| payment.way == Way::OnSession),
            };
            provider.charge_saved(&order, &ours)
        });
        Ok(Progress::Seen(seen.await?))
    }

    async fn look_at_payment(
        self: &Arc<Self>,
        id: PaymentId,
        payment: &Payment,
        reference: String,
    ) -> Result<Progress, stripe::Failure> {
        let is_late = Timestamp::from_millis(payment.created_at) + PATIENCE <= self.now();
        let key = format!("{id}:cancel");
        let seen = self.at_provider(move |provider| {
            let seen = provider.payment(&reference)?;
            let waits = matches!(seen.status, PaymentStatus::NeedsCustomer { .. } | PaymentStatus::Failed(_));
            if !(is_late && waits) {
                return Ok(seen);
            }
            match provider.cancel_payment(&reference, &key) {
                // It was paid at the last moment.
                Err(stripe::Failure::Refused { .. }) => provider.payment(&reference),
                canceled => canceled,
            }
        });
        Ok(Progress::Seen(seen.await?))
    }

    async fn look_at_page(self: &Arc<Self>, page: String) -> Result<Progress, stripe::Failure> {
        self.at_provider(move |provider| {
            let page = provider.page(&page)?;
            match (&page.payment, page.status) {
                (None, stripe::PageStatus::Expired) => Ok(Progress::Over(Failure::Abandoned)),
                (None, _) => Ok(Progress::Nothing),
                (Some(payment), status) => {
                    let seen = provider.payment(payment)?;
                    let is_over = status == stripe::PageStatus::Expired && seen.status != PaymentStatus::Succeeded;
                    Ok(if is_over { Progress::Over(Failure::Abandoned) } else { Progress::Seen(seen) })
                }
            }
        })
        .await
    }

    /// What became of a request whose answer never came. That nothing is there counts: it was sent long ago.
    async fn find_sent(self: &Arc<Self>, id: PaymentId, payment: &Payment) -> Result<Progress, stripe::Failure> {
        let (payment, ours) = (payment.clone(), id.to_string());
        let since = self.clock.at_machine(Timestamp::from_millis(payment.created_at)) - Span::HOUR;
        self.at_provider(move |provider| {
            let customer = payment.customer.as_deref().unwrap_or_default();
            if let Some(found) = provider.find_payment(customer, &ours, since)? {
                return Ok(Progress::Seen(found));
            }
            if payment.way == Way::Hosted
                && let Some(page) = provider.find_page(customer, &ours, since)?
            {
                return Ok(Progress::Page(page));
            }
            Ok(Progress::Over(Failure::ProcessingError))
        })
        .await
    }

    /// Commits what was found out.
    async fn settle_payment(
        self: &Arc<Self>,
        id: PaymentId,
        mut kept: Kept<Payment>,
        found: Progress,
    ) -> Result<(), Error> {
        let now = self.now();
        let body = &mut kept.body;
        let mut due_at = look_again_at(body.tries, now);
        let next = match found {
            Progress::Nothing => body.status(),
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
                body.failure = Some(failure.as_str().to_owned());
                if failure == Failure::Abandoned { Status::Canceled } else { Status::Failed }
            }
            Progress::Seen(seen) => match self.understood(id, body, &seen) {
                Some(status) => status,
                None => return Ok(()),
            },
        };
        let before = body.status();
        if next == Status::Succeeded {
            return self.credit(id, kept).await;
        }
        if before.may_become(next) {
            body.status = next.as_str().to_owned();
        } else if before.is_final() {
            return Ok(());
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
                body.failure = Some(Failure::WrongAmount.as_str().to_owned());
                Status::Failed
            }
            PaymentStatus::Pending => Status::Pending,
            PaymentStatus::NeedsCustomer { url, client_secret } => {
                (body.action_url, body.client_secret) = (url.clone(), client_secret.clone());
                Status::RequiresAction
            }
            PaymentStatus::Canceled => {
                body.failure = Some(Failure::Abandoned.as_str().to_owned());
                Status::Canceled
            }
            PaymentStatus::Failed(decline) => {
                let failure = failure_of(decline.reason);
                body.failure = Some(failure.as_str().to_owned());
                // On a page the customer may try another card; a bank that wants to hear from them can be asked again.
                let may_go_on = match body.way {
                    Way::Hosted => true,
                    Way::OnSession => false,
                    Way::OffSession => failure == Failure::AuthenticationRequired,
                };
                if may_go_on { Status::RequiresAction } else { Status::Failed }
            }
        })
    }

    /// Grants what was paid for: the grant, the payment and the invoice in one commit, once.
    async fn credit(self: &Arc<Self>, id: PaymentId, mut kept: Kept<Payment>) -> Result<(), Error> {
        let known = self.known_number(id.place().account)?.ok_or(Refusal::AccountNotFound)?;
        let seen = kept.body.clone();
        for _ in 0..ATTEMPTS_MAX {
            let now = self.now();
            let body = &mut kept.body;
            body.status = Status::Succeeded.as_str().to_owned();
            (body.reference, body.card, body.failure) = (seen.reference.clone(), seen.card.clone(), None);
            (body.page_url, body.action_url, body.client_secret) = (None, None, None);
            let invoiced = self.invoice_for(&known, id, body, now)?;
            body.invoice = Some(invoiced.id);
            // What is left to do once the money is there is a job of its own.
            let due_at = self.has_sequel(body).then_some(now);
            let mut also = vec![kept.next(now, due_at)];
            also.extend(invoiced.changes);
            also.extend(self.subscription_paid(&known, &kept.body, now)?);
            let ask = Ask {
                account: known.account.number,
                command: Some(Command::Grant(Arc::new(kept.body.terms(&id.to_string(), now)))),
                key: None,
                by: kept.body.by.as_deref().map(Into::into),
                fact: Some(paid(id)),
                once: None,
                also,
            };
            match self.turnstile.take_one(ask).await {
                Turned::Overtaken => {}
                turned => return super::order::done(turned).map(drop),
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
    async fn commit_payment(&self, id: PaymentId, body: &Payment, change: Change, is_news: bool) -> Result<(), Error> {
        let failure = body.failure().filter(|_| is_news);
        let (Purpose::AutoTopup, Some(failure)) = (body.purpose, failure) else {
            let mut changes = vec![change];
            if body.purpose == Purpose::Subscription && is_news {
                let known = self.known_number(id.place().account)?.ok_or(Refusal::AccountNotFound)?;
                changes.extend(self.subscription_failed(&known, body)?);
            }
            return self.keep(&changes).map(drop);
        };
        let ask = Ask {
            account: id.place().account,
            command: Some(Command::FailTopup { payment: id, failure, is_over: body.status().is_final() }),
            key: None,
            by: None,
            fact: None,
            once: None,
            also: vec![change.clone()],
        };
        match self.turnstile.take_one(ask).await {
            Turned::Done { .. } | Turned::Overtaken => Ok(()),
            // The rule knows nothing of it any more.
            Turned::Refused(_) => self.keep(&[change]).map(drop),
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
