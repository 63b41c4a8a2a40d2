//! Collecting: a payment carried out with the provider, one step at a time, each between two commits.
//!
//! Whoever carries a payment out has claimed it by committing its next state with a lease. What the provider is asked
//! goes under a key made of the payment's id, so that asking again, from whatever process and after whatever crash, is
//! asking for the same thing. What it answers is only ever a reason to look: credits follow from the provider's word
//! that the money is there, compared with what was asked, whoever brought that word.
use std::sync::Arc;

use billing::id::PaymentId;
use billing::payment::{Failure, Status};
use billing::time::{Span, Timestamp};
use store::Change;

use super::Error;
use super::documents::{Kept, LEASE};
use super::jobs::again_at;
use super::payment::{Payment, Purpose, Way};
use crate::app::{App, Known};
use crate::stripe::{self, PaymentStatus, PurchaseLine, PurchaseOrder, SavedCharge};

/// How often what met another is decided again.
pub(super) const ATTEMPTS_MAX: u32 = 16;
/// After so many sendings without an answer, the provider's lists are read instead.
const SENDINGS_MAX: u32 = 4;
/// How often a payment's customer may be deleted at the provider before it is given up.
const CUSTOMERS_MAX: u32 = 3;
/// How long a customer is waited for.
const PATIENCE: Span = Span::HOUR.times(24);

/// What was found out about a payment.
pub(super) enum Progress {
    /// The customer was given a page to pay on.
    Page(stripe::Page),
    /// How the provider sees it.
    Seen(stripe::Payment),
    /// Nothing new.
    Nothing,
    /// The customer was deleted at the provider.
    NoCustomer,
    /// The provider has no time, or did not answer.
    Later(Span),
    /// It is over, and no money came.
    Over(Failure),
}

/// A payment that this process has for the time of a lease.
struct Claimed {
    kept: Kept<Payment>,
    /// It is over before it began.
    over: Option<Failure>,
    /// It may be sent under its key: somebody wants it, and the provider remembers the key.
    may_send: bool,
    /// What was sent before is not under way any more.
    is_certain: bool,
    /// What it failed of when it was sent and is not to be found.
    unless_found: Failure,
}

/// Whether a payment has been waited for long enough.
pub(super) fn is_old(payment: &Payment, now: Timestamp) -> bool {
    Timestamp::from_millis(payment.created_at) + PATIENCE <= now
}

/// When a payment that is waited for is looked at again, should no notice come.
pub(super) fn look_again_at(tries: u32, now: Timestamp) -> Timestamp {
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
        for _ in 0..=CUSTOMERS_MAX {
            let Some(known) = self.known_now(id.place().account)? else { return Ok(()) };
            let Some(kept) = self.payment_kept(id)? else { return Ok(()) };
            if kept.body.status().is_final() {
                return self.after_payment(&known, kept).await;
            }
            let Some(mut claimed) = self.claim_payment(&known, id, kept).await? else { return Ok(()) };
            let progress = match claimed.over {
                Some(failure) => Progress::Over(failure),
                None => self.step(id, &claimed).await,
            };
            if !matches!(progress, Progress::NoCustomer) {
                // Whoever was first knows as much.
                return self.settle_payment(id, claimed.kept, progress).await.map(drop);
            }
            claimed.kept.body.lose_customer();
            let now = self.now();
            if !self.keep(&[claimed.kept.next(now, Some(now + LEASE))])? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Whose payment it is has come back from their bank or the provider's page: how did it go? What another wrote down
    /// meanwhile may be of before they answered, so it is looked at until nobody else was first.
    pub(crate) async fn look_after_return(self: &Arc<Self>, id: PaymentId) -> Result<(), Error> {
        match self.payment_kept(id)?.and_then(|it| it.body.reference) {
            Some(reference) => self.hear_of_payment(id, &reference).await,
            None => self.carry_out(id).await,
        }
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
            if self.settle_payment(id, kept, Progress::Seen(seen)).await? {
                return Ok(());
            }
        }
        Err(Error::Busy)
    }

    /// Finds out who pays and with what, and takes the payment for the time of a lease. None when another has it.
    async fn claim_payment(
        self: &Arc<Self>,
        known: &Arc<Known>,
        id: PaymentId,
        mut kept: Kept<Payment>,
    ) -> Result<Option<Claimed>, Error> {
        let now = self.now();
        // Whoever sent it last was done with it, or dead, when the document was written last.
        let is_certain = kept.document.at + stripe::CERTAIN_AFTER <= now;
        // Also what was begun at the moment of its closing.
        kept.body.is_given_up |= known.account.closed_at.is_some();
        let mut over = self.unwanted(known, id, &mut kept.body)?;
        let body = &mut kept.body;
        let sent_at = body.sent_at.map(Timestamp::from_millis);
        let key_lives = sent_at.is_none_or(|it| now < it + stripe::KEY_LIVES - Span::HOUR);
        let may_send = key_lives && over.is_none() && !body.is_given_up;
        let unless_found = match over {
            Some(failure) => failure,
            None if body.is_given_up => Failure::Abandoned,
            None => Failure::ProcessingError,
        };
        // What was sent before may have been done: then it is looked for, and not simply over.
        over = over.filter(|_| sent_at.is_none());
        if over.is_none() && body.customer.is_none() {
            match self.customer_of(known).await {
                Ok(customer) => body.customer = Some(customer),
                // Whoever has no customer there was never sent.
                Err(_) if is_old(body, now) => over = Some(Failure::ProcessingError),
                Err(error) => {
                    tracing::warn!(payment = %id, %error, "the provider does not know yet who pays");
                    let since = Timestamp::from_millis(body.created_at);
                    self.keep(&[kept.next(now, Some(again_at(since, now)))])?;
                    return Ok(None);
                }
            }
        }
        if over.is_none() && body.way != Way::Hosted && body.card.is_none() {
            match self.card_for(known, body.method.as_deref())? {
                Some((method, card)) => (body.method, body.card) = (Some(method), Some(card)),
                None => over = Some(Failure::NoPaymentMethod),
            }
        }
        body.tries += 1;
        // What is over before it began is not sent: whoever finds it unfinished decides anew.
        body.sent_at = body.sent_at.or(over.is_none().then(|| now.millis()));
        let claim = kept.next(now, Some(now + LEASE));
        if !self.keep(std::slice::from_ref(&claim))? {
            return Ok(None);
        }
        let Change::Document(document) = claim else { unreachable!("a claim is a document") };
        kept.document = document;
        Ok(Some(Claimed { kept, over, may_send, is_certain, unless_found }))
    }

    /// Why a payment that is not known to be at the provider is not to be sent there: nobody wants it any more. An
    /// auto-topup is priced on its way.
    fn unwanted(&self, known: &Arc<Known>, id: PaymentId, body: &mut Payment) -> Result<Option<Failure>, Error> {
        if body.reference.is_some() || body.page.is_some() {
            return Ok(None);
        }
        Ok(match body.purpose {
            Purpose::AutoTopup if body.sent_at.is_none() => self.price_topup(known, id, body)?,
            Purpose::AutoTopup => (!self.is_topup_wanted(known, id)?).then_some(Failure::SwitchedOff),
            Purpose::Subscription => (!self.is_period_wanted(known, id, body)?).then_some(Failure::SwitchedOff),
            Purpose::Purchase => body.is_given_up.then_some(Failure::Abandoned),
        })
    }

    async fn step(self: &Arc<Self>, id: PaymentId, claimed: &Claimed) -> Progress {
        let payment = &claimed.kept.body;
        let may_send = claimed.may_send && payment.tries < SENDINGS_MAX;
        let asked = match (&payment.reference, &payment.page) {
            (_, Some(page)) if payment.is_given_up => looked(id, self.close_page(id, page.clone()).await),
            (Some(reference), _) => looked(id, self.look_at_payment(id, payment, reference.clone()).await),
            (None, Some(page)) => looked(id, self.look_at_page(page.clone()).await),
            (None, None) if !may_send => looked(id, self.find_sent(id, claimed).await),
            (None, None) => match payment.way {
                Way::Hosted => self.open_page(id, payment).await,
                Way::OnSession | Way::OffSession => self.charge_card(id, payment).await,
            },
        };
        let asked = match asked {
            // The key came before with another order, so that one was heard: what became of it?
            Err(stripe::Failure::Refused { why: stripe::RefusedFor::KeyReused, .. }) => {
                looked(id, self.find_sent(id, claimed).await)
            }
            other => other,
        };
        if let Err(stripe::Failure::Refused { why: stripe::RefusedFor::Missing, .. }) = &asked
            && let Some(customer) = payment.customer.as_deref().filter(|_| payment.customers_lost < CUSTOMERS_MAX)
        {
            match self.has_lost_customer(id.place().account, customer).await {
                Ok(true) => return Progress::NoCustomer,
                Ok(false) => {}
                Err(_) => return Progress::Later(Span::default()),
            }
        }
        match asked {
            Ok(progress) => progress,
            Err(stripe::Failure::Busy { after, detail }) => {
                tracing::warn!(payment = %id, detail, "the provider is busy");
                Progress::Later(after)
            }
            Err(stripe::Failure::Ambiguous { detail, .. }) => {
                tracing::warn!(payment = %id, detail, "the provider did not answer; it will be asked again");
                Progress::Later(Span::default())
            }
            // A secret key that may not ask is the operator's to mend, and no word about the payment.
            Err(stripe::Failure::Refused { why: stripe::RefusedFor::Unauthorized, detail }) => {
                tracing::error!(payment = %id, detail, "the provider does not take our key; it will be asked again");
                Progress::Later(Span::default())
            }
            Err(stripe::Failure::Refused { why, detail }) => {
                tracing::error!(payment = %id, %why, detail, "the provider refused a payment");
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
                lines.push(PurchaseLine { name: format!("VAT {rate}%"), amount: payment.tax });
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
            provider.start_purchase_page(&order, &payment.key(&ours))
        });
        Ok(Progress::Page(page.await?))
    }

    async fn charge_card(self: &Arc<Self>, id: PaymentId, payment: &Payment) -> Result<Progress, stripe::Failure> {
        let (payment, ours) = (payment.clone(), id.to_string());
        let known = || self.known_number(id.place().account).ok().flatten();
        let back = payment.return_url.clone().or_else(|| self.billing_url(&known()?.account.id, None));
        let seen = self.at_provider(move |provider| {
            let order = SavedCharge {
                ours: &ours,
                customer: payment.customer.as_deref().unwrap_or_default(),
                card: payment.card.as_deref().unwrap_or_default(),
                total: payment.money(payment.total()),
                return_url: back.as_deref().filter(|_| payment.way == Way::OnSession),
            };
            provider.charge_saved(&order, &payment.key(&ours))
        });
        Ok(Progress::Seen(seen.await?))
    }

    async fn look_at_payment(
        self: &Arc<Self>,
        id: PaymentId,
        payment: &Payment,
        reference: String,
    ) -> Result<Progress, stripe::Failure> {
        let is_late = payment.is_given_up || is_old(payment, self.now());
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
        self.at_provider(move |provider| came_of(provider, &provider.page(&page)?)).await
    }

    /// Closes the page of a payment that nobody wants any more.
    async fn close_page(self: &Arc<Self>, id: PaymentId, page: String) -> Result<Progress, stripe::Failure> {
        self.at_provider(move |provider| closed(provider, id, &page)).await
    }

    /// What became of a request whose answer never came. That nothing is there counts when it was sent long ago.
    async fn find_sent(self: &Arc<Self>, id: PaymentId, claimed: &Claimed) -> Result<Progress, stripe::Failure> {
        let (payment, ours) = (claimed.kept.body.clone(), id.to_string());
        let (failure, is_certain) = (claimed.unless_found, claimed.is_certain);
        let since = self.clock.at_machine(Timestamp::from_millis(payment.created_at)) - Span::HOUR;
        self.at_provider(move |provider| {
            let customer = payment.customer.as_deref().unwrap_or_default();
            if let Some(found) = provider.find_payment(customer, &ours, since)? {
                return Ok(Progress::Seen(found));
            }
            if payment.way == Way::Hosted
                && let Some(page) = provider.find_page(customer, &ours, since)?
            {
                return if payment.is_given_up {
                    closed(provider, id, &page.reference)
                } else {
                    Ok(Progress::Page(page))
                };
            }
            Ok(if is_certain { Progress::Over(failure) } else { Progress::Later(stripe::CERTAIN_AFTER) })
        })
        .await
    }
}

/// What came of a page.
fn came_of(provider: &stripe::Provider, page: &stripe::Page) -> Result<Progress, stripe::Failure> {
    match (&page.payment, page.status) {
        (None, stripe::PageStatus::Expired) => Ok(Progress::Over(Failure::Abandoned)),
        (None, _) => Ok(Progress::Nothing),
        (Some(payment), status) => {
            let seen = provider.payment(payment)?;
            let is_over = status == stripe::PageStatus::Expired && seen.status != PaymentStatus::Succeeded;
            Ok(if is_over { Progress::Over(Failure::Abandoned) } else { Progress::Seen(seen) })
        }
    }
}

/// Closes a page, and says what came of it. One that is open no more was paid, or closed by itself.
fn closed(provider: &stripe::Provider, id: PaymentId, page: &str) -> Result<Progress, stripe::Failure> {
    let page = match provider.close_page(page, &format!("{id}:close")) {
        Err(stripe::Failure::Refused { .. }) => provider.page(page)?,
        closed => closed?,
    };
    came_of(provider, &page)
}

/// What a look came to. That it was refused says nothing of the payment, whose page may be open to be paid on still:
/// the secret key may be wrong for a while, or another account's.
fn looked(id: PaymentId, asked: Result<Progress, stripe::Failure>) -> Result<Progress, stripe::Failure> {
    match asked {
        Err(stripe::Failure::Refused { why, detail }) => {
            tracing::error!(payment = %id, %why, detail, "the provider refused a look; it will be looked again");
            Ok(Progress::Later(Span::default()))
        }
        other => other,
    }
}
