//! Auto-topup: the rule set and shown, and the payment that comes with a top-up the book has started.
//!
//! Whether one is started is decided in the book, with the charge that crosses the threshold. Here it becomes a payment
//! like any other, written in that very commit.
use std::sync::Arc;

use billing::Refusal;
use billing::id::{Name, PaymentId};
use billing::ledger::{Command, Rule, Topup, TopupChange, Transaction, What};
use billing::money::{Credits, Money};
use billing::payment::Failure;
use billing::rating::Text;
use billing::time::{Span, Timestamp};
use store::Change;

use super::documents::Kept;
use super::order::{Fingerprint, done};
use super::payment::{Payment, Purpose, Way};
use super::payments::{KIND, PaymentView};
use super::printed::at_least;
use super::purchase_price::PriceOfCredits;
use super::purchases::check_return_url;
use super::requests::answer_in;
use super::servers::burn_terms;
use super::{By, Error};
use crate::app::{App, Known};
use crate::turnstile::Ask;

/// How long after a top-up was started the worker takes it up: at once.
const AT_ONCE: Span = Span::from_millis(0);
/// Days of use that a threshold should last.
const THRESHOLD_DAYS: i64 = 1;

#[derive(Clone, Debug)]
pub struct TopupOrder {
    pub account: Name,
    pub is_on: bool,
    pub threshold: Credits,
    pub credits: Credits,
    pub monthly_maximum: Option<Money>,
    pub method: Option<String>,
    /// What the customer agreed that it charges at once, in minor units; 0 for nothing.
    pub charge_now_max: i64,
    pub by: By,
}

/// What a rule charges as soon as it is set.
#[derive(Clone, Debug)]
pub struct AtOnce {
    pub price: PriceOfCredits,
    /// What is agreed to with that, in minor units: several at once are taxed together, and may come to a little less.
    pub max: i64,
}

/// The rule, how it is doing, and what should be known of it.
#[derive(Clone, Debug)]
pub struct TopupView {
    pub topup: Option<Topup>,
    /// What one top-up of the rule costs now.
    pub price: Option<PriceOfCredits>,
    /// Minor units charged or about to be this month.
    pub spent: i64,
    /// The monthly maximum is reached: nothing is bought before this.
    pub waits_until: Option<Timestamp>,
    /// In plain words.
    pub warnings: Vec<String>,
}

/// The due documents that a transaction brings with it.
pub(crate) fn companions(transaction: &Transaction) -> Vec<Change> {
    let What::Topup(TopupChange::Started { payment, credits, total, method }) = &transaction.what else {
        return Vec::new();
    };
    let at = transaction.at;
    let body = Payment {
        credits: credits.micros(),
        // Split into net and tax when it is carried out; never charged more than this.
        net: total.amount,
        item: format!("{} credits (auto-topup)", super::printed::credits(*credits)),
        method: method.as_ref().map(ToString::to_string),
        by: Some("auto-topup".to_owned()),
        ..Payment::blank(Purpose::AutoTopup, Way::OffSession, total.currency, at)
    };
    vec![Kept::new(transaction.place.account, KIND, payment.to_string(), body).next(at, Some(at + AT_ONCE))]
}

/// Something that charges a card by itself.
#[derive(Clone, Debug)]
pub struct Charging {
    /// In a refusal: `the subscription` or `the auto-topup`.
    pub what: &'static str,
    /// The plan's name, of a subscription.
    pub plan: Option<String>,
    /// The card it names; none for whichever is the default.
    pub method: Option<String>,
}

impl App {
    /// The rule alone, for whoever needs nothing of how it is doing.
    pub fn topup_rule(&self, account: &Name) -> Result<Option<Topup>, Error> {
        let number = self.known(account)?.account.number;
        Ok(self.book(number)?.brought_up_to(self.now()).topup().cloned())
    }

    pub fn auto_topup(&self, account: &Name) -> Result<TopupView, Error> {
        let known = self.known(account)?;
        let now = self.now();
        let book = self.book(known.account.number)?.brought_up_to(now);
        let topup = book.topup().cloned();
        let Some(rule) = topup.as_ref().map(|it| Arc::clone(&it.rule)) else {
            return Ok(TopupView { topup, price: None, spent: 0, waits_until: None, warnings: Vec::new() });
        };
        let warnings = self.threshold_warnings(account, rule.threshold)?;
        let spent = book.topup_spent(now);
        let waits_until = book.topup_waits_until(book.general(now), now);
        let price = Some(self.price_of_topup(&known, rule.credits));
        Ok(TopupView { topup, price, spent, waits_until, warnings })
    }

    /// The rule, and what one top-up of it costs now; where a rule is on.
    pub fn topup_that_is_on(&self, account: &Name) -> Result<Option<(Topup, PriceOfCredits)>, Error> {
        let Some(topup) = self.topup_rule(account)?.filter(|it| it.is_on) else { return Ok(None) };
        let price = self.price_of_topup(&*self.known(account)?, topup.rule.credits);
        Ok(Some((topup, price)))
    }

    /// What so many credits of a top-up cost this account now.
    pub(super) fn price_of_topup(&self, known: &Known, credits: Credits) -> PriceOfCredits {
        self.price_with_tax(known, credits, self.list_price(credits, known.account.currency))
    }

    /// What should be known of a threshold before it is agreed to, and after.
    pub fn threshold_warnings(&self, account: &Name, threshold: Credits) -> Result<Vec<String>, Error> {
        let known = self.known(account)?;
        let now = self.now();
        let book = self.book(known.account.number)?.brought_up_to(now);
        let mut warnings = Vec::new();
        let largest = self.largest_hold(&book, now)?;
        if threshold < largest {
            let largest = at_least(largest);
            warnings.push(format!(
                "The threshold is below the largest hold of the last 30 days, {largest} credits: work may be refused."
            ));
        }
        let burn = self.balance(account, None)?.burn_per_day;
        let needed = Credits::from_micros(burn.micros().saturating_mul(THRESHOLD_DAYS));
        if threshold < needed {
            let needed = at_least(needed);
            warnings.push(format!("The threshold is below a day's use, {needed} credits: credits may run out first."));
        }
        Ok(warnings)
    }

    /// Sets the rule.
    pub async fn set_auto_topup(&self, order: TopupOrder) -> Result<TopupView, Error> {
        let known = self.known(&order.account)?;
        if order.is_on {
            self.provider()?;
        }
        let rule = self.topup_ordered(&known, &order)?;
        let command = Command::SetTopup { rule, is_on: order.is_on, charge_now_max: order.charge_now_max };
        // The month whose maximum is kept is the customer's.
        let terms = burn_terms(self, &known);
        let is_news = *self.book(known.account.number)?.burning().terms != *terms;
        let (on_or_off, subject) = (if order.is_on { "on" } else { "off" }, order.account.to_string());
        let noted = order.by.noted(self.now(), "auto_topup.put", subject, on_or_off.to_owned());
        let terms = is_news.then_some((Command::BurnTerms(terms), None));
        for (command, noted) in terms.into_iter().chain([(command, noted)]) {
            let (account, by) = (known.account.number, Some(Arc::clone(&order.by.name)));
            let also = noted.into_iter().collect();
            let ask = Ask { account, command: Some(command), key: None, by, fact: None, once: None, also };
            done(self.turnstile.take_one(ask).await)?;
        }
        self.auto_topup(&order.account)
    }

    /// What setting it so would charge at once, and for how many credits; nothing where it would not. The book says so,
    /// by what it charges by.
    pub fn topup_at_once(&self, order: &TopupOrder) -> Result<Option<AtOnce>, Error> {
        let known = self.known(&order.account)?;
        let (rule, now) = (self.topup_ordered(&known, order)?, self.now());
        let book = self.book(known.account.number)?.brought_up_to(now);
        let command = Command::SetTopup { rule, is_on: order.is_on, charge_now_max: 0 };
        match book.decide(&command, now) {
            Err(Refusal::WouldChargeNow { credits, total }) => {
                let price = self.price_of_topup(&known, credits);
                Ok(Some(AtOnce { price, max: total.amount }))
            }
            decided => Ok(decided.map(|_| None)?),
        }
    }

    /// The rule that is ordered, with what it may charge: what credits cost this account now, tax included.
    fn topup_ordered(&self, known: &Known, order: &TopupOrder) -> Result<Arc<Rule>, Error> {
        let currency = known.account.currency;
        // At none left all work is refused, before anything would be bought.
        if order.is_on && !order.threshold.is_positive() {
            return Err(Refusal::invalid("threshold", "must be more than 0: with none left, work is refused").into());
        }
        if !order.credits.is_positive() {
            return Err(Refusal::invalid("credits", "must be more than 0").into());
        }
        let net = self.list_price(order.credits, currency);
        // Whoever switches it off is kept from it neither by a price that has gone up nor by a card that has gone.
        if order.is_on {
            self.within_bounds(net, currency)?;
        }
        if order.monthly_maximum.is_some_and(|it| it.currency != currency) {
            let why = format!("must be in the account's currency, {}", currency.as_str());
            return Err(Refusal::invalid("monthly_maximum.currency", why).into());
        }
        if order.is_on && self.method_for(known, order.method.as_deref())?.is_none() {
            return Err(
                Refusal::invalid("payment_method", "is needed: the account has no card yet; add one first").into()
            );
        }
        let tax = self.tax_treatment(&order.account)?.rate().at_most(Money { amount: net, currency });
        Ok(Arc::new(Rule {
            threshold: order.threshold,
            credits: order.credits,
            // Several at once are taxed together, and may not be dearer than so many of these.
            price: Money { amount: net + tax.amount, currency },
            monthly_max: order.monthly_maximum.map(|it| it.amount),
            method: order.method.as_deref().map(Into::into),
        }))
    }

    /// Splits what a top-up may charge into net and tax, and says why it is not charged after all, if so.
    pub(super) fn price_topup(
        &self,
        known: &Known,
        id: PaymentId,
        payment: &mut Payment,
    ) -> Result<Option<Failure>, Error> {
        let net = self.list_price(Credits::from_micros(payment.credits), payment.currency());
        let charged = self.with_tax(known, net);
        let failure = if !self.is_topup_wanted(known, id)? {
            Some(Failure::SwitchedOff)
        } else if payment.total() < charged.net + charged.tax {
            // Prices or taxes have gone up since the customer agreed: nothing is charged that they did not agree to.
            Some(Failure::PriceChanged)
        } else {
            None
        };
        if failure.is_some() {
            // Its total stays what was agreed to, for the next to carry it out. What of that was tax is what the list
            // price leaves; and where that has risen beyond it, what the rate says.
            let agreed = payment.total();
            let before_tax = agreed * 10_000 / (10_000 + i64::from(charged.taxed.rate));
            payment.net = if net < agreed { net } else { before_tax };
            payment.tax = agreed - payment.net;
            return Ok(failure);
        }
        (payment.net, payment.tax, payment.taxed) = (charged.net, charged.tax, charged.taxed);
        Ok(None)
    }

    /// Whether the rule that started a top-up still stands.
    pub(super) fn is_topup_wanted(&self, known: &Known, id: PaymentId) -> Result<bool, Error> {
        let book = self.book(known.account.number)?;
        let is_wanted = |it: &Topup| it.is_on && it.under_way.as_ref().is_some_and(|it| it.payment == id);
        Ok(book.topup().is_some_and(is_wanted) && !book.is_closed())
    }

    /// Finishes a payment that the bank wanted the customer for, with the customer there. Answers where to lead them.
    pub async fn confirm_payment(
        self: &Arc<Self>,
        id: PaymentId,
        return_url: String,
        key: Option<&Text>,
        by: &By,
    ) -> Result<PaymentView, Error> {
        check_return_url(Some(&return_url))?;
        let number = id.place().account;
        let known = self.known_number(number)?.ok_or(Refusal::PaymentNotFound)?;
        let kept = self.payment_kept(id)?.ok_or(Refusal::PaymentNotFound)?;
        let mut request = Fingerprint::of("payment.confirm");
        request.text(&id.to_string()).text(&return_url);
        let (fresh, before) = self.asked_perhaps(number, key, request)?;
        if let Some(body) = before.as_deref().and_then(answer_in) {
            return self.payment_view(&known, Kept { body, ..kept }, true);
        }
        let noted = by.noted(self.now(), "payment.confirm", known.account.id.to_string(), id.to_string());
        self.finish_payment(id, &kept, return_url, noted).await?;
        let view = self.payment(id)?;
        // What the provider was asked goes under a key of the payment's own, so it may be asked before this is written.
        let note: Vec<Change> = fresh.map(|it| it.answered(&view.payment, self.now())).into_iter().collect();
        self.keep(&note)?;
        Ok(view)
    }

    /// Asks the bank for the customer, where it waits for them.
    async fn finish_payment(
        self: &Arc<Self>,
        id: PaymentId,
        kept: &Kept<Payment>,
        return_url: String,
        noted: Option<Change>,
    ) -> Result<(), Error> {
        let (Some(reference), Some(card)) = (kept.body.reference.clone(), kept.body.card.clone()) else {
            return Ok(());
        };
        if !kept.body.waits_for_customer() || kept.body.is_given_up {
            return Ok(());
        }
        self.provider()?;
        // What comes of it the provider tells: who asked is written before.
        if noted.is_some() {
            self.keep(noted.as_slice())?;
        }
        let key = format!("{id}:confirm:{}", kept.document.version);
        let name = reference.clone();
        let asked = self.at_provider(move |provider| {
            let order = crate::stripe::FinishOrder { payment: &name, card: &card, return_url: &return_url };
            provider.finish(&order, &key)
        });
        match asked.await {
            Ok(_) | Err(crate::stripe::Failure::Refused { .. }) => {}
            Err(failure) => return Err(super::payment_methods::told(&failure)),
        }
        self.hear_of_payment(id, &reference).await
    }

    /// What charges a card by itself: the plan that renews, and the auto-topup; each with the card it names.
    pub fn charged_by_itself(&self, known: &Known) -> Result<Vec<Charging>, Error> {
        let mut charging = Vec::new();
        let subscription = self.subscribed(known)?.map(|it| it.body);
        let renews = |it: &super::Subscription| it.state() != billing::subscription::State::Canceled && !it.ends;
        if let Some(it) = subscription.filter(renews) {
            charging.push(Charging { what: "the subscription", plan: Some(it.plan.name), method: it.method });
        }
        let book = self.book(known.account.number)?;
        if let Some(it) = book.topup().filter(|it| it.is_on || it.under_way.is_some()) {
            let method = it.rule.method.as_deref().map(str::to_owned);
            charging.push(Charging { what: "the auto-topup", plan: None, method });
        }
        Ok(charging)
    }

    /// Refuses to be left without a card while something will want to charge one.
    pub fn may_be_without_card(&self, known: &Known) -> Result<(), Error> {
        let of: Vec<&str> = self.charged_by_itself(known)?.iter().map(|it| it.what).collect();
        if of.is_empty() { Ok(()) } else { Err(Refusal::PaymentMethodInUse { of: of.join(" and ").into() }.into()) }
    }
}
