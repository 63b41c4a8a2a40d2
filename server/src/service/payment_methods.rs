//! Payment methods: the cards an account has saved with the provider. Brand, last four digits, expiry and a fingerprint
//! are kept; a number never comes here.
//!
//! The provider's list of a customer's cards is the truth; `cards_changed` makes ours of it, whatever notice was lost.
//! Invariant: one of an account's cards is its default while it has any, and one card number is one payment method.
use std::sync::Arc;

use billing::Refusal;
use billing::id::{AccountNumber, Name, PaymentMethodId};
use billing::rating::Text;
use billing::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use store::Document;

use super::documents::Kept;
use super::order::Fingerprint;
use super::payments::PaymentView;
use super::purchases::check_return_url;
use super::requests::answer_in;
use super::{By, Error};
use crate::app::{App, Known};
use crate::stripe::{self, CardOrder};

pub(super) const KIND: &str = "method";
pub(super) const SETUP: &str = "card_setup";
/// Cards read at a time, and how many times: somebody who changes cards every day for five years is seen whole.
const CARDS_MAX: usize = 200;
const PAGES_MAX: usize = 10;
const ATTEMPTS_MAX: u32 = 8;
/// A card that was added so long ago is the one that its owner comes back from adding.
const ADDED_LATELY: Span = Span::MINUTE.times(2);
/// How often the saving of a card is looked at without having been heard of.
const LOOKS_MAX: u32 = 12;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PaymentMethod {
    /// The provider's name for it.
    pub reference: String,
    pub brand: String,
    pub last4: String,
    pub expiry_month: u8,
    pub expiry_year: u16,
    pub fingerprint: Option<String>,
    pub added_at: i64,
    /// It cannot be charged any more.
    pub is_gone: bool,
}

/// The saving of a card that has been begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Setup {
    looks: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MethodView {
    pub id: String,
    pub method: PaymentMethod,
    pub is_default: bool,
}

/// What the customer's browser needs to save a card.
#[derive(Clone, Debug, Default)]
pub struct SetupView {
    pub client_secret: Option<String>,
    pub publishable_key: Option<String>,
    /// The provider's page, where that was asked for.
    pub setup_url: Option<String>,
    /// It was begun before, under the same key.
    pub is_replay: bool,
}

impl App {
    /// An account's cards, newest first.
    pub fn payment_methods(&self, account: &Name) -> Result<Vec<MethodView>, Error> {
        let known = self.known(account)?;
        let number = known.account.number;
        let default = self.payer(number)?.and_then(|it| it.body.default);
        let view = |it: Kept<PaymentMethod>| {
            let is_default = default.as_deref() == Some(&*it.document.id);
            MethodView { id: it.document.id, method: it.body, is_default }
        };
        Ok(self.live_methods(number)?.into_iter().map(view).collect())
    }

    /// Begins to save a card: with the provider's script, or on its page when there is an address to come back to.
    pub async fn set_up_card(
        self: &Arc<Self>,
        account: &Name,
        return_url: Option<String>,
        key: &Text,
        by: &By,
    ) -> Result<SetupView, Error> {
        let known = self.known(account)?;
        self.provider()?;
        if known.account.closed_at.is_some() {
            return Err(Refusal::AccountClosed.into());
        }
        check_return_url(return_url.as_deref())?;
        let number = known.account.number;
        let key = self.key(number, key, Fingerprint::of("card setup"))?;
        let mut customer = self.customer_of(&known).await?;
        let mut begun = self.begin_setup(&known, &customer, (return_url.clone(), &*key.text)).await;
        if is_missing(&begun) && self.has_lost_customer(number, &customer).await? {
            customer = self.customer_of(&known).await?;
            begun = self.begin_setup(&known, &customer, (return_url, &*key.text)).await;
        }
        let (reference, view) = begun.map_err(|it| told(&it))?;
        let now = self.now();
        let setup = Kept::new(known.account.number, SETUP, reference, Setup { looks: 0 });
        let mut changes = vec![setup.next(now, Some(now + Span::MINUTE))];
        changes.extend(by.noted(now, "payment_method.set_up", account.to_string(), String::new()));
        // A key that comes again leads to the same saving, which is known already.
        let is_replay = !self.keep(&changes)?;
        Ok(SetupView { is_replay, ..view })
    }

    /// The provider's name for the saving of a card, and what the browser needs for it.
    async fn begin_setup(
        self: &Arc<Self>,
        known: &Known,
        customer: &str,
        (return_url, key): (Option<String>, &str),
    ) -> Result<(String, SetupView), stripe::Failure> {
        // Of one customer: whose was deleted there begins anew.
        let key = format!("setup:{}:{key}:{customer}", known.account.number.get());
        let (ours, customer, currency) = (known.account.id.to_string(), customer.to_owned(), known.account.currency);
        let begun = self.at_provider(move |provider| {
            let publishable_key = provider.publishable_key().map(str::to_owned);
            match return_url {
                None => {
                    let setup = provider.start_card_setup(&customer, &ours, &key)?;
                    let client_secret = setup.client_secret;
                    Ok((setup.reference, SetupView { client_secret, publishable_key, ..SetupView::default() }))
                }
                Some(url) => {
                    let order =
                        CardOrder { ours: &ours, customer: &customer, currency, success_url: &url, cancel_url: &url };
                    let page = provider.start_card_page(&order, &key)?;
                    let setup_url = page.url;
                    Ok((page.reference, SetupView { setup_url, publishable_key, ..SetupView::default() }))
                }
            }
        });
        begun.await
    }

    /// Asks the provider which cards an account has now; says whether one was added in the last minutes.
    pub async fn look_for_cards(self: &Arc<Self>, account: &Name) -> Result<bool, Error> {
        let number = self.known(account)?.account.number;
        self.cards_changed(number).await?;
        let since = self.now() - ADDED_LATELY;
        Ok(self.live_methods(number)?.iter().any(|it| since.millis() <= it.body.added_at))
    }

    /// A saving that nobody was told the end of: looks whether there is a card now.
    pub(super) async fn look_at_setup(self: &Arc<Self>, document: Document) -> Result<(), Error> {
        let account = document.account;
        let mut setup = super::documents::read::<Setup>(document)?;
        setup.body.looks += 1;
        let now = self.now();
        let wait = Span::MINUTE.times(i64::from(setup.body.looks).pow(2));
        let due_at = (setup.body.looks < LOOKS_MAX).then(|| now + wait);
        if self.keep(&[setup.next(now, due_at)])? {
            self.cards_changed(account).await?;
        }
        Ok(())
    }

    /// Makes a card the one that is charged where none is named. Says whether its key did that before.
    pub fn make_default(
        &self,
        account: &Name,
        method: &str,
        by: &By,
        key: Option<&Text>,
    ) -> Result<(MethodView, bool), Error> {
        let known = self.known(account)?;
        let number = known.account.number;
        for _ in 0..ATTEMPTS_MAX {
            let mut request = Fingerprint::of("payment_method.default");
            request.text(method);
            let (fresh, before) = self.asked_perhaps(number, key, request)?;
            if let Some(view) = before.as_deref().and_then(answer_in) {
                return Ok((view, true));
            }
            let found = self.live_methods(number)?.into_iter().find(|it| it.document.id == method);
            let (found, payer) = (found.ok_or(Refusal::PaymentMethodNotFound)?, self.payer(number)?);
            let mut payer = payer.ok_or(Refusal::PaymentMethodNotFound)?;
            payer.body.default = Some(method.to_owned());
            let now = self.now();
            let mut changes = vec![payer.next(now, None)];
            changes.extend(by.noted(now, "payment_method.default", account.to_string(), method.to_owned()));
            let view = MethodView { id: found.document.id, method: found.body, is_default: true };
            changes.extend(fresh.map(|it| it.answered(&view, now)));
            if self.keep(&changes)? {
                self.retry_renewal(&known)?;
                return Ok((view, false));
            }
        }
        Err(Error::Busy)
    }

    /// Removes a card, here at once and at the provider soon.
    ///
    /// # Errors
    /// While it is the only card of a rule or subscription that will want to charge one.
    pub fn remove_method(&self, account: &Name, method: &str, by: &By) -> Result<(), Error> {
        let known = self.known(account)?;
        let number = known.account.number;
        for _ in 0..ATTEMPTS_MAX {
            let mut live = self.live_methods(number)?;
            let place = live.iter().position(|it| it.document.id == method).ok_or(Refusal::PaymentMethodNotFound)?;
            let mut removed = live.remove(place);
            if live.is_empty() {
                self.may_be_without_card(&known)?;
            }
            let now = self.now();
            removed.body.is_gone = true;
            let mut changes = vec![removed.next(now, Some(now))];
            if let Some(mut payer) = self.payer(number)?.filter(|it| it.body.default.as_deref() == Some(method)) {
                payer.body.default = live.first().map(|it| it.document.id.clone());
                changes.push(payer.next(now, None));
            }
            changes.extend(by.noted(now, "payment_method.remove", account.to_string(), method.to_owned()));
            if self.keep(&changes)? {
                return Ok(());
            }
        }
        Err(Error::Busy)
    }

    /// A card that was removed here: removes it at the provider.
    pub(super) async fn forget_card(self: &Arc<Self>, document: Document) -> Result<(), Error> {
        let method = super::documents::read::<PaymentMethod>(document)?;
        let now = self.now();
        let (reference, key) = (method.body.reference.clone(), format!("{}:remove", method.document.id));
        let removed = self.at_provider(move |it| it.remove_card(&reference, &key)).await;
        let due_at = match removed {
            // It was not there any more.
            Ok(_) | Err(stripe::Failure::Refused { .. }) => None,
            Err(_) => Some(now + Span::MINUTE.times(15)),
        };
        self.keep(&[method.next(now, due_at)]).map(drop)
    }

    /// Makes our list of an account's cards what the provider's is.
    pub(super) async fn cards_changed(self: &Arc<Self>, account: AccountNumber) -> Result<(), Error> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(mut payer) = self.payer(account)? else { return Ok(()) };
            let Some(customer) = payer.body.customer.clone() else { return Ok(()) };
            let name = customer.clone();
            let cards = self.at_provider(move |it| it.cards(&name)).await;
            if is_missing(&cards) && self.has_lost_customer(account, &customer).await? {
                return Ok(());
            }
            let cards = cards.map_err(|it| told(&it))?;
            let now = self.now();
            let (gone, mut live): (Vec<_>, Vec<_>) =
                self.all_methods(account)?.into_iter().partition(|it| it.body.is_gone);
            let mut changes = Vec::new();
            let late = self.late_renewal(account)?;
            let named = late.as_ref().and_then(|it| it.body.method.clone());
            let was = charged(&live, named.as_deref(), payer.body.default.as_deref()).cloned();
            let (cards, twins) = without_twins(cards, &gone);
            let mut writes_payer = false;
            for card in cards.iter().rev() {
                let same = live.iter().position(|it| it.body.reference == card.reference || is_twin(&it.body, card));
                let mut kept = match same {
                    Some(place) => live.remove(place),
                    None => {
                        writes_payer = true;
                        let id = PaymentMethodId::new(now, self.place_beside(account)?).to_string();
                        Kept::new(account, KIND, id, of_card(card, now))
                    }
                };
                let told = PaymentMethod { added_at: kept.body.added_at, ..of_card(card, now) };
                if kept.document.version == 0 || !is_same(&told, &kept.body) {
                    kept.body = told;
                    changes.push(kept.next(now, None));
                    changes.extend(self.watch_card(account, &kept.document.id, &kept.body, now)?);
                }
                live.push(kept);
            }
            for twin in &twins {
                // It is taken away at the provider, too: else it would come back when its twin is removed.
                let id = PaymentMethodId::new(now, self.place_beside(account)?).to_string();
                let body = PaymentMethod { is_gone: true, ..of_card(twin, now) };
                changes.push(Kept::new(account, KIND, id, body).next(now, Some(now)));
            }
            let at_provider = |it: &Kept<PaymentMethod>| cards.iter().any(|card| card.reference == it.body.reference);
            let (live, gone): (Vec<_>, Vec<_>) = live.into_iter().partition(at_provider);
            let gone = gone.into_iter().map(|it| Kept { body: PaymentMethod { is_gone: true, ..it.body }, ..it });
            changes.extend(gone.map(|it| it.next(now, None)));
            let is_default = |it: &Kept<PaymentMethod>| payer.body.default.as_deref() == Some(&*it.document.id);
            let is_first = payer.body.default.is_none();
            if !live.iter().any(is_default) {
                payer.body.default = live.last().map(|it| it.document.id.clone());
                writes_payer |= payer.body.default.is_some() || !is_first;
            }
            // Written with every new card: of two that see it at once the second is overtaken, and looks again.
            changes.extend(writes_payer.then(|| payer.next(now, None)));
            // What was declined is tried again at once where the card it charges is another now, or not what it was.
            let is = charged(&live, named.as_deref(), payer.body.default.as_deref());
            let is_as_it_was = |it: &Kept<PaymentMethod>| {
                was.as_ref().is_some_and(|was| was.document.id == it.document.id && is_same(&was.body, &it.body))
            };
            let is_tried = is.is_some_and(|it| !is_as_it_was(it));
            changes.extend(late.filter(|_| is_tried).map(|it| it.next(now, Some(now))));
            if changes.is_empty() || self.keep(&changes)? {
                return Ok(());
            }
        }
        Err(Error::Busy)
    }

    /// The card to charge: the one named, or the default.
    pub(super) fn method_for(&self, known: &Known, named: Option<&str>) -> Result<Option<String>, Error> {
        let number = known.account.number;
        match named {
            Some(id) => {
                let found = self.live_methods(number)?.into_iter().find(|it| it.document.id == id);
                Ok(Some(found.ok_or(Refusal::PaymentMethodNotFound)?.document.id))
            }
            None => Ok(self.payer(number)?.and_then(|it| it.body.default)),
        }
    }

    /// A card that can be charged, ours and the provider's names: the one named if it is there still, or the default.
    pub(super) fn card_for(&self, known: &Known, named: Option<&str>) -> Result<Option<(String, String)>, Error> {
        let number = known.account.number;
        let default = self.payer(number)?.and_then(|it| it.body.default);
        let live = self.live_methods(number)?;
        let found = charged(&live, named, default.as_deref());
        Ok(found.map(|it| (it.document.id.clone(), it.body.reference.clone())))
    }

    /// The card a payment was made with, where the provider has named one.
    pub fn card_behind(&self, view: &PaymentView) -> Result<Option<PaymentMethod>, Error> {
        let number = self.known(&view.account)?.account.number;
        self.card_used(number, view.payment.method.as_deref(), view.payment.card.as_deref())
    }

    /// The card a payment was made with, by our id or the provider's; also one that is gone.
    pub(super) fn card_used(
        &self,
        account: AccountNumber,
        method: Option<&str>,
        reference: Option<&str>,
    ) -> Result<Option<PaymentMethod>, Error> {
        if let Some(id) = method {
            return Ok(self.kept::<PaymentMethod>(account, KIND, id)?.map(|it| it.body));
        }
        let Some(reference) = reference else { return Ok(None) };
        let all = self.all_kept::<PaymentMethod>(account, KIND, None, CARDS_MAX)?;
        Ok(all.into_iter().map(|it| it.body).find(|it| it.reference == reference))
    }

    pub(super) fn live_methods(&self, account: AccountNumber) -> Result<Vec<Kept<PaymentMethod>>, Error> {
        let mut all = self.all_methods(account)?;
        all.retain(|it| !it.body.is_gone);
        Ok(all)
    }

    /// Cards that were removed among them, newest first.
    fn all_methods(&self, account: AccountNumber) -> Result<Vec<Kept<PaymentMethod>>, Error> {
        let mut all = self.all_kept::<PaymentMethod>(account, KIND, None, CARDS_MAX)?;
        for _ in 1..PAGES_MAX {
            let before = all.last().filter(|_| all.len() % CARDS_MAX == 0).map(|it| it.document.id.clone());
            let Some(before) = before else { break };
            all.extend(self.all_kept::<PaymentMethod>(account, KIND, Some(&before), CARDS_MAX)?);
        }
        Ok(all)
    }
}

/// The card that is charged: the one named if it is there still, or the default.
fn charged<'a>(
    live: &'a [Kept<PaymentMethod>],
    named: Option<&str>,
    default: Option<&str>,
) -> Option<&'a Kept<PaymentMethod>> {
    let of = |id: Option<&str>| live.iter().find(|it| Some(&*it.document.id) == id);
    of(named).or_else(|| of(default))
}

fn of_card(card: &stripe::Card, now: Timestamp) -> PaymentMethod {
    PaymentMethod {
        reference: card.reference.clone(),
        brand: card.brand.clone(),
        last4: card.last4.clone(),
        expiry_month: card.expiry_month,
        expiry_year: card.expiry_year,
        fingerprint: card.fingerprint.clone(),
        added_at: now.millis(),
        is_gone: false,
    }
}

/// The provider's cards, newest first, without those that were removed here; of a card that was saved twice the newer.
/// The older ones come second.
fn without_twins(cards: Vec<stripe::Card>, gone: &[Kept<PaymentMethod>]) -> (Vec<stripe::Card>, Vec<stripe::Card>) {
    let (mut kept, mut twins): (Vec<stripe::Card>, Vec<stripe::Card>) = (Vec::new(), Vec::new());
    for card in cards {
        if gone.iter().any(|it| it.body.reference == card.reference) {
            continue;
        }
        let is_again = |it: &stripe::Card| it.fingerprint.is_some() && it.fingerprint == card.fingerprint;
        if kept.iter().any(is_again) { twins.push(card) } else { kept.push(card) }
    }
    (kept, twins)
}

/// The same card number, saved twice.
fn is_twin(method: &PaymentMethod, card: &stripe::Card) -> bool {
    method.fingerprint.is_some() && method.fingerprint == card.fingerprint
}

fn is_same(one: &PaymentMethod, other: &PaymentMethod) -> bool {
    one.reference == other.reference
        && (one.expiry_month, one.expiry_year) == (other.expiry_month, other.expiry_year)
        && one.fingerprint == other.fingerprint
}

/// Whether the provider knows no such thing.
fn is_missing<T>(asked: &Result<T, stripe::Failure>) -> bool {
    matches!(asked, Err(stripe::Failure::Refused { why: stripe::RefusedFor::Missing, .. }))
}

/// The provider could not, or would not: the caller may try again.
pub(super) fn told(failure: &stripe::Failure) -> Error {
    match failure {
        stripe::Failure::Busy { detail, .. } | stripe::Failure::Ambiguous { detail, .. } => {
            tracing::warn!(detail, "the provider did not answer");
            Error::Busy
        }
        // It came with our caller's key: another request under it is a conflict there as it is here.
        stripe::Failure::Refused { why: stripe::RefusedFor::KeyReused, .. } => Refusal::IdempotencyConflict.into(),
        stripe::Failure::Refused { why, detail } => {
            Error::Fault(store::Fault::new("asking the payment provider", format!("{why}: {detail}")))
        }
    }
}
