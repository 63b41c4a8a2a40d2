//! Hearing from the payment provider: its notices, and what they missed.
//!
//! A notice is believed when its signature is right, and even then it is a reason to look, not a fact: it may be late,
//! repeated, out of order, or lost. So its events are also read from the provider's own list every few minutes. One
//! that cannot be read, or not be heard of for a day, is set aside: operators see it, the others go on, and it is tried
//! again until it is heard of or the provider has it no more.
use std::sync::Arc;

use billing::Refusal;
use billing::id::PaymentId;
use billing::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use store::{CommitError, Document, Fault};

use super::Error;
use super::collect::is_old;
use super::documents::{Kept, LEASE, read};
use super::payment_methods::told;
use super::renewals::carry_over_maximum;
use crate::app::App;
use crate::stripe::{self, Event, Heard, Notice, NoticeFault, Provider};

pub(super) const KIND: &str = "provider_events";
/// How often the provider's list is read.
const EVERY: Span = Span::MINUTE.times(5);
/// How far a reading goes back behind the last, for what became visible late.
const OVERLAP: Span = Span::MINUTE.times(10);

/// How long one that cannot be heard of is read again with the list, before it is set aside.
const SET_ASIDE_AFTER: Span = Span::DAY;
/// Events that are set aside at once. Where there are more, the list is read again from the first of them: what nobody
/// can read any more is no list to go on with.
const SET_ASIDE_MAX: usize = 100;

/// While hearing takes long, the lease is renewed this often.
const LEASE_TURN: Span = Span::MINUTE;

/// How far the provider's list of events has been read, by the machine's clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ReadUntil {
    until: i64,
    /// Of before, what could not be heard of.
    #[serde(default)]
    set_aside: Vec<SetAside>,
}

/// An event of the provider's that could not be read, or heard of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// Its name there.
    pub event: String,
    pub why: String,
    /// When it happened, in milliseconds.
    pub at: i64,
}

impl ReadUntil {
    /// Sets an event aside, where it is not yet. False where there is no room.
    fn set_aside(&mut self, it: SetAside) -> bool {
        if self.set_aside.iter().any(|known| known.event == it.event) {
            return true;
        }
        let has_room = self.set_aside.len() < SET_ASIDE_MAX;
        tracing::error!(event = it.event, why = it.why, has_room, "an event of the payment provider is set aside");
        if has_room {
            self.set_aside.push(it);
        }
        has_room
    }
}

/// Why a notice was not taken.
#[derive(Debug)]
pub enum NoticeRefused {
    /// It is not to be believed; why.
    Unbelievable(&'static str),
    /// It is; what it is about could not be looked at now.
    Failed(Error),
}

impl App {
    /// The provider, where one is configured.
    pub(super) fn provider(&self) -> Result<&Arc<Provider>, Refusal> {
        self.provider.as_ref().ok_or(Refusal::PaymentsNotSetUp)
    }

    /// Asks the provider something, away from the threads that answer.
    pub(super) async fn at_provider<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Provider) -> Result<T, stripe::Failure> + Send + 'static,
    ) -> Result<T, stripe::Failure> {
        let Ok(provider) = self.provider().cloned() else {
            let (after, detail) = (Span::HOUR, "no provider is configured".to_owned());
            return Err(stripe::Failure::Busy { after, detail });
        };
        let asked = tokio::task::spawn_blocking(move || ask(&provider)).await;
        let panicked = |it| format!("asking panicked: {it}");
        asked.unwrap_or_else(|it| Err(stripe::Failure::Ambiguous { is_kept: false, detail: panicked(it) }))
    }

    /// Takes a notice of the provider's.
    pub async fn take_notice(self: &Arc<Self>, body: &[u8], signature: &str) -> Result<(), NoticeRefused> {
        let provider = self.provider().map_err(|it| NoticeRefused::Failed(it.into()))?;
        let notice = provider.read_notice(body, signature, self.clock.machine_now());
        let notice = notice.map_err(|it| {
            NoticeRefused::Unbelievable(match it {
                NoticeFault::NoSignature if signature.is_empty() => {
                    "it has no Stripe-Signature header; Stripe sends one, and nothing on the way may take it off"
                }
                NoticeFault::NoSignature => {
                    "its Stripe-Signature is not of the form t=…,v1=…; send it as Stripe made it"
                }
                NoticeFault::WrongSignature => {
                    "its signature was not made over this body with our secret; compare STRIPE_WEBHOOK_SECRET with the \
                     endpoint's signing secret at Stripe"
                }
                NoticeFault::Stale => "it was signed too long ago, or by a clock that is ahead",
                NoticeFault::Malformed => "it is signed and is no notice",
            })
        })?;
        self.hear(&notice).await.map_err(NoticeRefused::Failed)
    }

    /// Does what a notice gives reason for.
    async fn hear(self: &Arc<Self>, notice: &Notice) -> Result<(), Error> {
        match &notice.event {
            Event::Payment(payment) => match ours(payment.ours.as_deref()) {
                Some(id) => self.hear_of_payment(id, &payment.reference).await,
                None => Ok(()),
            },
            Event::Page(page) => match (ours(page.ours.as_deref()), &page.payment) {
                (Some(id), Some(payment)) => self.hear_of_payment(id, payment).await,
                (Some(id), None) => self.carry_out(id).await,
                (None, _) => self.hear_of_cards(page.customer.as_deref()).await,
            },
            Event::CardSetup(setup) => self.hear_of_cards(setup.customer.as_deref()).await,
            Event::CardAdded(card) | Event::CardChanged(card) | Event::CardRemoved(card) => {
                self.hear_of_cards(card.customer.as_deref()).await
            }
            Event::Refund(refund) => match &refund.payment {
                Some(payment) => self.hear_of_refund(payment).await,
                None => Ok(()),
            },
            Event::Dispute(dispute) => self.hear_of_dispute(&dispute.reference).await,
            Event::CustomerDeleted(customer) => self.hear_of_lost_customer(customer).await,
            Event::Other(_) => Ok(()),
        }
    }

    async fn hear_of_cards(self: &Arc<Self>, customer: Option<&str>) -> Result<(), Error> {
        let Some(customer) = customer else { return Ok(()) };
        match self.account_of_customer(customer)? {
            Some(account) => self.cards_changed(account).await,
            None => Ok(()),
        }
    }

    /// Begins to read the provider's list of events, where nobody does yet.
    pub(crate) fn watch_provider(&self) -> Result<(), Fault> {
        if self.provider.is_none() || self.store.document(Document::HOUSE, KIND, KIND)?.is_some() {
            return Ok(());
        }
        let until = ReadUntil { until: self.clock.machine_now().millis(), set_aside: Vec::new() };
        let now = self.now();
        let first = Kept::new(Document::HOUSE, KIND, KIND.to_owned(), until).next(now, Some(now + EVERY));
        match self.store.commit(&[first]) {
            Err(CommitError::Fault(fault)) => Err(fault),
            // Another process began.
            _ => Ok(()),
        }
    }

    /// Reads what happened at the provider since the last time, and hears of it: after long silence in stretches, each
    /// written down when it is over, so that whoever goes on goes on from there.
    pub(super) async fn read_events(self: &Arc<Self>, document: Document) -> Result<(), Error> {
        let mut kept = read::<ReadUntil>(document)?;
        let end = self.clock.machine_now() + Span::SECOND;
        let mut from = Timestamp::from_millis(kept.body.until) - OVERLAP;
        let mut stretch = end.millis() - from.millis();
        let mut unheard = end;
        if !self.hear_set_aside(&mut kept).await? {
            return Ok(());
        }
        while from < end {
            if !self.keep_reading(&mut kept)? {
                return Ok(());
            }
            let until = (from + Span::from_millis(stretch)).min(end);
            let events = match self.at_provider(move |it| it.events(from, until)).await.map_err(|it| told(&it))? {
                Some(events) => events,
                None if Span::SECOND.millis() < stretch => {
                    stretch /= 2;
                    continue;
                }
                None => {
                    tracing::error!(?from, "more happened within a second than can be read: it is passed over");
                    Vec::new()
                }
            };
            // One that cannot be heard of now must not hide the others: the list is read again from it, for a while.
            for event in events {
                let at = event.as_ref().map_or_else(|it| it.at, |it| it.at);
                if !self.hear_or_set_aside(&event, end, &mut kept.body).await {
                    unheard = unheard.min(at);
                }
                if kept.document.at + LEASE_TURN <= self.now() && !self.keep_reading(&mut kept)? {
                    return Ok(());
                }
            }
            kept.body.until = until.min(unheard).millis().max(kept.body.until);
            from = until;
        }
        self.keep(&[kept.next(self.now(), Some(self.now() + EVERY))]).map(drop)
    }

    /// Hears of an event of the list, or sets it aside. False where the list is to be read again from it.
    async fn hear_or_set_aside(self: &Arc<Self>, event: &Heard, end: Timestamp, reading: &mut ReadUntil) -> bool {
        let (event, at, why) = match event {
            Err(unread) => (&unread.reference, unread.at, unread.why.clone()),
            Ok(notice) => {
                let Err(error) = self.hear(notice).await else { return true };
                tracing::warn!(notice = notice.reference, %error, "an event could not be looked at");
                if end < notice.at + SET_ASIDE_AFTER {
                    return false;
                }
                (&notice.reference, notice.at, format!("what it is about could not be looked at: {error}"))
            }
        };
        reading.set_aside(SetAside { event: event.clone(), why, at: at.millis() })
    }

    /// Tries again what is set aside: it may be read by now, by a newer server of ours or another answer of theirs.
    /// False when another has the reading.
    async fn hear_set_aside(self: &Arc<Self>, kept: &mut Kept<ReadUntil>) -> Result<bool, Error> {
        for aside in kept.body.set_aside.clone() {
            if !self.keep_reading(kept)? {
                return Ok(false);
            }
            let event = aside.event.clone();
            let found = match self.at_provider(move |it| it.event(&event)).await {
                Ok(found) => found,
                Err(failure) => {
                    // Whoever is away is asked for the list next. The others have their turn before this one.
                    tracing::warn!(event = aside.event, ?failure, "an event that was set aside could not be asked for");
                    kept.body.set_aside.retain(|it| it.event != aside.event);
                    kept.body.set_aside.push(aside);
                    break;
                }
            };
            if self.is_heard_at_last(&aside, found).await {
                kept.body.set_aside.retain(|it| it.event != aside.event);
            }
        }
        Ok(true)
    }

    /// Whether nothing is left to do about an event that was set aside.
    async fn is_heard_at_last(self: &Arc<Self>, aside: &SetAside, found: Option<Heard>) -> bool {
        let event = &aside.event;
        match found {
            Some(Ok(notice)) => {
                let heard = self.hear(&notice).await;
                let _ = heard.as_ref().inspect_err(|error| {
                    tracing::warn!(event, %error, "an event that was set aside is still not heard of");
                });
                heard.is_ok()
            }
            Some(Err(unread)) => {
                tracing::warn!(event, why = unread.why, "an event that was set aside can still not be read");
                false
            }
            None => {
                tracing::error!(event, why = aside.why, "an event was never heard of, and the provider has it no more");
                true
            }
        }
    }

    /// Events of the provider's that could not be heard of, the first that was set aside first.
    pub fn events_set_aside(&self) -> Result<Vec<SetAside>, Error> {
        let reading = self.kept::<ReadUntil>(Document::HOUSE, KIND, KIND)?;
        Ok(reading.map(|it| it.body.set_aside).unwrap_or_default())
    }

    /// Takes the reading for the time of a lease, or keeps it, and writes down how far it is. False when another has
    /// it.
    fn keep_reading(&self, kept: &mut Kept<ReadUntil>) -> Result<bool, Error> {
        let now = self.now();
        let is_mine = self.keep(&[kept.next(now, Some(now + LEASE))])?;
        (kept.document.version, kept.document.at) = (kept.document.version + 1, now);
        Ok(is_mine)
    }

    /// Whether something is left to do once a payment's credits are granted.
    pub(super) fn has_sequel(&self, payment: &super::Payment) -> bool {
        payment.save_card || carry_over_maximum(payment).is_some()
    }

    /// What is left to do once the credits are granted: the card that was saved on the way is ours to show, and what
    /// is more than the plan lets carry over is taken back.
    pub(super) async fn after_payment(
        self: &Arc<Self>,
        known: &Arc<crate::app::Known>,
        mut kept: Kept<super::Payment>,
    ) -> Result<(), Error> {
        if !self.has_sequel(&kept.body) || kept.document.due_at.is_none() {
            return Ok(());
        }
        if kept.body.save_card {
            match self.cards_changed(known.account.number).await {
                // Whatever news there is of a card later brings them all.
                Err(error) if is_old(&kept.body, self.now()) => {
                    tracing::error!(
                        payment = kept.document.id,
                        %error,
                        "the card of a payment is not looked for any more"
                    );
                }
                looked => looked?,
            }
            kept.body.save_card = false;
        }
        if let Some(most) = carry_over_maximum(&kept.body) {
            self.limit_carry_over(known, &kept.body, most).await?;
        }
        self.keep(&[kept.next(self.now(), None)]).map(drop)
    }
}

fn ours(id: Option<&str>) -> Option<PaymentId> {
    id.and_then(|it| it.parse().ok())
}
