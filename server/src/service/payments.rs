//! Payments: each one attempt to collect money, with a life that can be looked at.
//!
//! A payment is a document. While it is not over it is due: whoever takes it commits the next state with a lease, asks
//! the provider (see `collect`), and commits the outcome. Must never say a word of the provider's. Invariant: credits
//! are granted in the commit that calls the payment succeeded, under a fact that only its id can settle: once.
use std::collections::HashMap;
use std::sync::Arc;

use billing::Refusal;
use billing::id::{AccountNumber, GrantId, Name, PaymentId, Place};
use billing::ledger::{Book, Cause, Command, Grant, Source, Terms, Withdrawal};
use billing::money::{Credits, Currency, Money};
use billing::payment::{Failure, Status};
use billing::refund::{Bought, Part};
use billing::time::Timestamp;
use serde::{Deserialize, Serialize};
use store::{Document, NameHash};

use super::documents::Kept;
use super::prices::Taxed;
use super::subscriptions::Period;
use super::{Error, GrantView};
use crate::app::{App, Known};

pub(super) const KIND: &str = Document::PAYMENT;

/// What a payment is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    Purchase,
    AutoTopup,
    Subscription,
}

impl Purpose {
    pub fn source(self) -> Source {
        match self {
            Purpose::Purchase => Source::Purchase,
            Purpose::AutoTopup => Source::AutoTopup,
            Purpose::Subscription => Source::Subscription,
        }
    }
}

/// How the customer pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// On a page of the provider's.
    Hosted,
    /// With a saved card, the customer being there.
    OnSession,
    /// With a saved card, nobody being there.
    OffSession,
}

/// What has gone back of a payment, or was taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned {
    pub credits: i64,
    pub net: i64,
    pub tax: i64,
}

impl From<Part> for Returned {
    fn from(part: Part) -> Returned {
        Returned { credits: part.credits.micros(), net: part.net, tax: part.tax }
    }
}
impl From<Returned> for Part {
    fn from(it: Returned) -> Part {
        Part { credits: Credits::from_micros(it.credits), net: it.net, tax: it.tax }
    }
}

/// A refund made at the provider, by its name for it, and what it took back here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHand {
    pub reference: String,
    pub part: Returned,
    /// Micro-credits of that part that had lapsed: they were taken from nothing, and are put back into nothing.
    #[serde(default)]
    pub lapsed: i64,
    /// Our id of the credit note issued for it.
    #[serde(default)]
    pub credit_note: Option<String>,
}

/// How a dispute stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeState {
    Open,
    Won,
    Lost,
}

impl DisputeState {
    pub fn as_str(self) -> &'static str {
        match self {
            DisputeState::Open => "open",
            DisputeState::Won => "won",
            DisputeState::Lost => "lost",
        }
    }
}

/// A dispute over a payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disputed {
    pub reference: String,
    pub status: DisputeState,
    /// What the bank took for good, in minor units.
    pub lost: i64,
}

/// How a payment stands, with what became of its money since: it follows from the rest, and is not written down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    Pending,
    RequiresAction,
    Succeeded,
    PartiallyRefunded,
    Refunded,
    /// A bank wants its money back, or has taken it.
    Disputed,
    Failed,
    Canceled,
}

/// A payment as it is written down. Credits in micro-credits, money in minor units, instants in milliseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Payment {
    pub purpose: Purpose,
    pub way: Way,
    #[serde(with = "super::word")]
    pub(super) status: Status,
    pub credits: i64,
    pub net: i64,
    pub tax: i64,
    #[serde(with = "super::word")]
    pub(super) currency: Currency,
    pub taxed: Taxed,
    /// What is bought, in words.
    pub item: String,
    pub package: Option<String>,
    /// Our id of the card that is charged.
    pub method: Option<String>,
    /// The card may be charged later, when the customer is not there.
    pub save_card: bool,
    pub return_url: Option<String>,
    pub by: Option<String>,
    pub created_at: i64,
    /// When it was first sent to the provider.
    pub sent_at: Option<i64>,
    /// Nobody waits for it any more: it is ended at the provider unless the money is there.
    #[serde(default)]
    pub is_given_up: bool,
    /// It came in when its subscription had ended: its credits are given, and no period begins.
    #[serde(default)]
    pub is_too_late: bool,
    /// It came in when its account had been closed: its credits are given, and nobody can use them.
    #[serde(default)]
    pub is_after_closing: bool,
    pub tries: u32,
    /// Our customer, page, card and payment, by the provider's names.
    pub customer: Option<String>,
    /// Customers of ours that were deleted there before it was paid: each time it is sent under another key.
    #[serde(default)]
    pub customers_lost: u32,
    pub card: Option<String>,
    pub page: Option<String>,
    pub page_url: Option<String>,
    pub page_ends_at: i64,
    pub reference: Option<String>,
    pub client_secret: Option<String>,
    /// Where the customer proves who they are.
    pub action_url: Option<String>,
    #[serde(default, with = "super::word::perhaps")]
    pub(super) failure: Option<Failure>,
    /// Our id of the invoice.
    pub invoice: Option<String>,
    pub returned: Returned,
    /// Micro-credits of it that had been voided unspent, or had expired long ago, when their money went: they were
    /// taken of nothing. In payments of before the ledger took of what had expired, those that had expired lately too.
    #[serde(default)]
    pub lapsed: i64,
    /// The newest dispute, and those before it.
    pub dispute: Option<Disputed>,
    #[serde(default)]
    pub earlier_disputes: Vec<Disputed>,
    /// Refunds made at the provider, by its names for them, that are reckoned with in `returned`.
    #[serde(default)]
    pub by_hand: Vec<ByHand>,
    /// What it pays for, of a subscription.
    #[serde(default)]
    pub period: Option<Period>,
}

impl Payment {
    pub fn status(&self) -> Status {
        self.status
    }
    /// A dispute that was won, or that cost nothing, leaves the payment as it was.
    pub fn standing(&self) -> Standing {
        let lost = |it: &Disputed| it.status == DisputeState::Lost;
        let is_lost = self.dispute.iter().chain(&self.earlier_disputes).any(lost);
        let returned = Part::from(self.returned).total();
        match self.status {
            Status::Pending => Standing::Pending,
            Status::RequiresAction => Standing::RequiresAction,
            Status::Failed => Standing::Failed,
            Status::Canceled => Standing::Canceled,
            Status::Succeeded if is_lost || self.is_disputed(None) => Standing::Disputed,
            Status::Succeeded if returned <= 0 => Standing::Succeeded,
            Status::Succeeded if returned < self.total() => Standing::PartiallyRefunded,
            Status::Succeeded => Standing::Refunded,
        }
    }
    pub fn failure(&self) -> Option<Failure> {
        self.failure
    }
    pub fn currency(&self) -> Currency {
        self.currency
    }
    pub fn money(&self, amount: i64) -> Money {
        Money { amount, currency: self.currency() }
    }
    pub fn total(&self) -> i64 {
        self.net + self.tax
    }
    /// The key it is sent to the provider under.
    pub(super) fn key(&self, ours: &str) -> String {
        if self.customers_lost == 0 { ours.to_owned() } else { format!("{ours}:{}", self.customers_lost) }
    }
    /// Who pays is not there any more, and so nothing was sent. With what card is asked anew: theirs are gone too. The
    /// tries were at that customer; how often this happens has a bound of its own.
    pub(super) fn lose_customer(&mut self) {
        (self.customer, self.card, self.sent_at) = (None, None, None);
        self.tries = 0;
        self.customers_lost += 1;
    }
    pub(super) fn bought(&self) -> Bought {
        let step = self.currency().step();
        Bought { credits: Credits::from_micros(self.credits), net: self.net, tax: self.tax, step }
    }

    /// What it takes of its grant that so much of its money has gone: first of what is left of the credits, then of
    /// what had lapsed, for which nothing is owed, for nobody had it; the rest was spent, and is owed. Of what the
    /// grant has left, and of what expired lately, the ledger takes itself. Nothing where all of it went back before.
    pub(super) fn take_back(&mut self, of: &Leftover, amount: i64, (cause, why): (Cause, &str)) -> Option<Taken> {
        let (bought, gone) = (self.bought(), Part::from(self.returned));
        let part = bought.part_of_amount(gone, amount.min(bought.total() - gone.total()))?;
        self.returned = gone.plus(part).into();
        let beyond = of.unspent.short_of(part.credits);
        let lapsed = (of.lapsed - Credits::from_micros(self.lapsed)).at_least_zero().min(beyond);
        self.lapsed += lapsed.micros();
        let credits = part.credits - lapsed;
        let withdrawal = Withdrawal { owed: credits, ..withdrawal(of.grant, credits, (part.net, cause, why)) };
        let command = Command::Withdraw(withdrawal);
        Some(Taken { command, part, lapsed: lapsed.micros() })
    }

    /// A dispute over it, by the provider's name.
    pub(super) fn disputed(&self, reference: &str) -> Option<&Disputed> {
        self.dispute.iter().chain(&self.earlier_disputes).find(|it| it.reference == reference)
    }
    /// Whether a dispute is open, other than the one named.
    pub(super) fn is_disputed(&self, but: Option<&str>) -> bool {
        let open = |it: &&Disputed| it.status == DisputeState::Open && Some(&*it.reference) != but;
        self.dispute.iter().chain(&self.earlier_disputes).any(|it| open(&it))
    }
    pub(super) fn put_dispute(&mut self, dispute: Disputed) {
        let all = self.dispute.iter_mut().chain(&mut self.earlier_disputes);
        match all.into_iter().find(|it| it.reference == dispute.reference) {
            Some(known) => *known = dispute,
            None => self.earlier_disputes.extend(self.dispute.replace(dispute)),
        }
    }

    /// The terms of the grant it pays for. Credits that were paid for expire only where a plan says so.
    pub(super) fn terms(&self, id: &str, at: Timestamp, expires_at: Option<Timestamp>) -> Terms {
        Terms {
            source: self.purpose.source(),
            credits: Credits::from_micros(self.credits),
            effective_at: at,
            expires_at: expires_at.unwrap_or(Timestamp::NEVER),
            priority: Terms::PRIORITY,
            scope: billing::ledger::Scope::default(),
            cost: Some(self.money(self.net)),
            payment: Some(id.into()),
            reason: self.item.as_str().into(),
        }
    }

    /// Nothing about who pays how is known yet.
    pub(super) fn blank(purpose: Purpose, way: Way, currency: Currency, at: Timestamp) -> Payment {
        Payment {
            purpose,
            way,
            status: Status::Pending,
            credits: 0,
            net: 0,
            tax: 0,
            currency,
            taxed: Taxed::of(billing::tax::Treatment::None),
            item: String::new(),
            package: None,
            method: None,
            save_card: false,
            return_url: None,
            by: None,
            created_at: at.millis(),
            sent_at: None,
            is_given_up: false,
            is_too_late: false,
            is_after_closing: false,
            tries: 0,
            customer: None,
            customers_lost: 0,
            card: None,
            page: None,
            page_url: None,
            page_ends_at: 0,
            reference: None,
            client_secret: None,
            action_url: None,
            failure: None,
            invoice: None,
            returned: Returned::default(),
            lapsed: 0,
            dispute: None,
            earlier_disputes: Vec::new(),
            by_hand: Vec::new(),
            period: None,
        }
    }
}

/// What became of a payment's grant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leftover {
    pub grant: GrantId,
    /// Free to be drawn; or expired, and lately enough for late events to draw it.
    pub unspent: Credits,
    /// Voided, or expired long ago.
    pub lapsed: Credits,
}

/// A withdrawal as it is asked for.
pub(super) fn withdrawal(grant: GrantId, credits: Credits, (net, cause, why): (i64, Cause, &str)) -> Withdrawal {
    let (lapsed, owed, lost) = (Credits::ZERO, Credits::ZERO, Credits::ZERO);
    Withdrawal { grant, credits, lapsed, owed, lost, net, cause, reason: why.into() }
}

/// What is taken back of a payment.
pub(super) struct Taken {
    pub command: Command,
    pub part: Part,
    /// Micro-credits of the part that had lapsed, and were taken of nothing.
    pub lapsed: i64,
}

/// A payment as it is shown.
#[derive(Clone, Debug)]
pub struct PaymentView {
    pub id: String,
    pub account: Name,
    pub payment: Payment,
    /// The grant it paid for.
    pub grant: Option<GrantId>,
    /// It was asked for before, under the same key.
    pub is_replay: bool,
}

impl App {
    /// # Errors
    /// When the id leads to no payment.
    pub fn payment(&self, id: PaymentId) -> Result<PaymentView, Error> {
        let known = self.known_number(id.place().account)?.ok_or(Refusal::PaymentNotFound)?;
        let kept = self.payment_kept(id)?.ok_or(Refusal::PaymentNotFound)?;
        self.payment_view(&known, kept, false)
    }

    /// An account's payments, newest first, those below the cursor `before`; failed attempts included.
    pub fn payments(&self, account: &Name, before: Option<&str>, limit: usize) -> Result<Vec<PaymentView>, Error> {
        let known = self.known(account)?;
        let kept = self.all_kept::<Payment>(known.account.number, KIND, before, limit)?;
        kept.into_iter().map(|it| self.payment_view(&known, it, false)).collect()
    }

    /// The payments that an account's grants were paid with, by their ids. Costs a read for each such grant.
    pub fn payments_behind<'a>(
        &self,
        account: &Name,
        grants: impl IntoIterator<Item = &'a GrantView>,
    ) -> Result<HashMap<String, PaymentView>, Error> {
        let known = self.known(account)?;
        let mut found = HashMap::new();
        for grant in grants {
            let Some(id) = grant.terms.payment.as_deref() else { continue };
            let Some(kept) = self.kept::<Payment>(known.account.number, KIND, id)? else { continue };
            let (id, account) = (kept.document.id, known.account.id.clone());
            let view = PaymentView { id, account, payment: kept.body, grant: Some(grant.id), is_replay: false };
            found.insert(view.id.clone(), view);
        }
        Ok(found)
    }

    pub(super) fn payment_kept(&self, id: PaymentId) -> Result<Option<Kept<Payment>>, Error> {
        self.kept(id.place().account, KIND, &id.to_string())
    }

    pub(super) fn payment_view(
        &self,
        known: &Arc<Known>,
        kept: Kept<Payment>,
        is_replay: bool,
    ) -> Result<PaymentView, Error> {
        let id: Option<PaymentId> = kept.document.id.parse().ok();
        let grant = match id.filter(|_| kept.body.status() == Status::Succeeded) {
            Some(id) => self.grant_paid_by(id)?.map(|it| it.0),
            None => None,
        };
        Ok(PaymentView {
            id: kept.document.id,
            account: known.account.id.clone(),
            payment: kept.body,
            grant,
            is_replay,
        })
    }

    /// Whether any payment was ever tried.
    pub(super) fn has_paid(&self, account: AccountNumber) -> Result<bool, Error> {
        Ok(!self.store.documents(account, KIND, None, 1)?.is_empty())
    }

    /// The grant a payment made, and its terms.
    pub(super) fn grant_paid_by(&self, id: PaymentId) -> Result<Option<(GrantId, Arc<Terms>)>, Error> {
        let place: Option<Place> = self.store.recall(&[NameHash::paid(id)], &[])?.named.pop().flatten();
        let Some(place) = place else { return Ok(None) };
        let transaction = self.store.transaction(place)?;
        Ok(transaction.as_ref().and_then(|it| it.granted()).map(|(grant, terms)| (grant, Arc::clone(terms))))
    }

    /// What became of the grant a payment made, None where it made none.
    pub(super) fn leftover(&self, id: PaymentId) -> Result<Option<Leftover>, Error> {
        let Some((grant, _)) = self.grant_paid_by(id)? else { return Ok(None) };
        let account = id.place().account;
        let written = self.book(account)?;
        let book = written.brought_up_to(self.now());
        let of = |book: &Book, what: fn(&Grant) -> Credits| book.grant(grant).map_or(Credits::ZERO, what);
        let unspent = of(&book, |it| it.remaining + it.expired);
        // What was voided, and what expired long ago, the months know, together with what the book has as expired.
        if !self.count_account(account)? {
            // Counted by half, what was never used might be owed.
            return Err(Error::Busy);
        }
        let counted = self.paid_grant(account, grant)?.map_or(Credits::ZERO, |it| it.forfeited);
        let lapsed = of(&written, |it| it.expired).short_of(counted);
        Ok(Some(Leftover { grant, unspent, lapsed }))
    }

    /// Credits that are bought and not yet paid for.
    pub(super) fn pending_purchases(&self, known: &Known) -> Result<Credits, Error> {
        // Those that are waited for are young: an older one has ended, or waits for its page to close.
        const LOOKED_AT_MAX: usize = 50;
        let recent = self.all_kept::<Payment>(known.account.number, KIND, None, LOOKED_AT_MAX)?;
        let waiting = recent.iter().filter(|it| !it.body.status().is_final());
        Ok(waiting.map(|it| Credits::from_micros(it.body.credits)).sum())
    }
}

#[cfg(test)]
mod tests {
    use store::Change;

    use super::super::documents::read;
    use super::*;

    #[test]
    fn a_word_nobody_knows_is_a_fault_and_never_a_guess() {
        let account = AccountNumber::from_random(7);
        let mut payment = Payment::blank(Purpose::Purchase, Way::Hosted, Currency::USD, Timestamp::EPOCH);
        payment.status = Status::RequiresAction;
        payment.dispute = Some(Disputed { reference: "dp_1".to_owned(), status: DisputeState::Lost, lost: 5 });
        let kept = Kept::new(account, KIND, "payment_1".to_owned(), payment);
        let Change::Document(document) = kept.next(Timestamp::EPOCH, None) else { panic!("not a document") };
        let check = |word: &str, other: &str| {
            assert_eq!(document.body.matches(word).count(), 1, "{word} in {}", document.body);
            let body = document.body.replace(word, other);
            read::<Payment>(Document { body, ..document.clone() }).map(|it| (it.body.status, it.body.currency))
        };
        let whole = check("\"currency\":\"usd\"", "\"currency\":\"jpy\"").unwrap();
        assert_eq!((whole.0, whole.1.as_str()), (Status::RequiresAction, "jpy"));
        for (word, other) in [
            ("\"currency\":\"usd\"", "\"currency\":\"dollars\""),
            ("\"currency\":\"usd\"", "\"currency\":\"\""),
            ("\"status\":\"requires_action\"", "\"status\":\"paused\""),
            ("\"status\":\"lost\"", "\"status\":\"forgotten\""),
        ] {
            let fault = check(word, other).unwrap_err().to_string();
            assert!(fault.contains("payment payment_1"), "{other}: {fault}");
        }
    }
}
