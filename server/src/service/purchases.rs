//! Purchases: a package or an amount of credits, paid on a page of the provider's or with a saved card.
//!
//! The order is committed, with its price, before anybody is asked for money; a double click is the same order again.
//! Until it is paid it can be cancelled; money that came in first is believed, as always.
use std::sync::Arc;

use billing::Refusal;
use billing::id::{Name, PaymentId};
use billing::money::Credits;
use billing::rating::Text;
use billing::time::Span;
use serde::{Deserialize, Serialize};

use super::collect::ATTEMPTS_MAX;
use super::documents::{Kept, LEASE};
use super::order::Fingerprint;
use super::payment::{Payment, Purpose, Way};
use super::payments::{KIND, PaymentView};
use super::printed;
use super::requests::{Asked, Fresh, answer_in};
use super::{By, Error};
use crate::app::{App, Known};

/// How long a page for paying stays open.
const PAGE_LASTS: Span = Span::HOUR.times(23);
/// The longest address a customer may be led back to.
const URL_LENGTH_MAX: usize = 2_000;

/// What is bought.
#[derive(Clone, Debug)]
pub enum Goods {
    Package(Name),
    Credits(Credits),
}

#[derive(Clone, Debug)]
pub struct PurchaseOrder {
    pub account: Name,
    pub goods: Goods,
    /// A card of the account's; none for its default.
    pub method: Option<String>,
    /// Pay on a page of the provider's.
    pub is_hosted: bool,
    /// The customer agreed that the card be saved for later.
    pub save_card: bool,
    /// Where the customer comes back to.
    pub return_url: Option<String>,
    pub key: Text,
    pub by: By,
}

/// Whether a provider will lead a customer back there.
pub(super) fn check_return_url(url: Option<&str>) -> Result<(), Refusal> {
    let is_url = |it: &str| it.len() <= URL_LENGTH_MAX && (it.starts_with("https://") || it.starts_with("http://"));
    let why = "must be an http or https address of at most 2000 bytes";
    if url.is_none_or(is_url) { Ok(()) } else { Err(Refusal::invalid("return_url", why)) }
}

/// A payment as it was when its order was answered.
#[derive(Serialize, Deserialize)]
struct Then {
    id: String,
    payment: Payment,
    /// Its grant was there.
    is_credited: bool,
}

impl Then {
    fn of(view: &PaymentView) -> Then {
        Then { id: view.id.clone(), payment: view.payment.clone(), is_credited: view.grant.is_some() }
    }
    /// The payment as it was then.
    fn told_of(self, mut view: PaymentView) -> PaymentView {
        view.grant = view.grant.filter(|_| self.is_credited);
        view.payment = self.payment;
        view
    }
}

impl PurchaseOrder {
    fn fingerprint(&self) -> Fingerprint {
        let mut request = Fingerprint::of("purchase");
        match &self.goods {
            Goods::Package(it) => request.text("package").text(it.as_str()),
            Goods::Credits(it) => request.text("credits").credits(Some(*it)),
        };
        request.text(self.method.as_deref().unwrap_or_default()).number(u64::from(self.is_hosted));
        request.number(u64::from(self.save_card)).text(self.return_url.as_deref().unwrap_or_default());
        request
    }
}

impl App {
    /// Begins a purchase, and goes as far with it as the provider answers now.
    pub async fn purchase(self: &Arc<Self>, order: PurchaseOrder) -> Result<PaymentView, Error> {
        let known = self.known(&order.account)?;
        // Another node may have closed it a moment ago.
        let known = self.known_now(known.account.number)?.ok_or(Refusal::AccountNotFound)?;
        self.provider()?;
        let fresh = match self.asked(known.account.number, &order.key, order.fingerprint())? {
            Asked::Fresh(fresh) => fresh,
            Asked::Before(led_to) => return self.purchased_then(&known, &order, &led_to),
        };
        let payment = self.ordered(&known, &order)?;
        let now = self.now();
        let id = PaymentId::new(now, self.place_beside(known.account.number)?).to_string();
        let saves = if payment.save_card { "; the card is saved" } else { "" };
        let detail = format!("{id} {}{saves}", payment.item);
        let kept = Kept::new(known.account.number, KIND, id.clone(), payment);
        // Made with a lease: the one who orders carries it out; should they die, the worker does.
        let mut changes = vec![kept.next(now, Some(now + LEASE)), fresh.led_to(&id, now)];
        changes.extend(order.by.noted(now, "payment.order", order.account.to_string(), detail));
        if self.keep(&changes)? {
            return self.purchased(&known, &id, &fresh).await;
        }
        // The same key came at the same moment, and was first.
        match self.asked(known.account.number, &order.key, order.fingerprint())? {
            Asked::Before(led_to) => self.purchased_then(&known, &order, &led_to),
            Asked::Fresh(_) => Err(Error::Busy),
        }
    }

    /// Carries a payment out as far as the provider answers now, and notes that this was the answer.
    async fn purchased(self: &Arc<Self>, known: &Arc<Known>, id: &str, fresh: &Fresh) -> Result<PaymentView, Error> {
        let id: PaymentId = id.parse().map_err(|_| Refusal::PaymentNotFound)?;
        self.carry_out(id).await?;
        let kept = self.payment_kept(id)?.ok_or(Refusal::PaymentNotFound)?;
        let view = self.payment_view(known, kept, false)?;
        let then = self.noted_at_last(fresh, Then::of(&view))?;
        Ok(then.told_of(view))
    }

    /// The answer that a key led to before. Where none was given it is what there is now: while a process is at it,
    /// until that one answers; and for good where it died.
    fn purchased_then(&self, known: &Arc<Known>, order: &PurchaseOrder, led_to: &str) -> Result<PaymentView, Error> {
        let then: Option<Then> = answer_in(led_to);
        let id = then.as_ref().map_or(led_to, |it| &it.id);
        let id: PaymentId = id.parse().map_err(|_| Refusal::PaymentNotFound)?;
        let kept = self.payment_kept(id)?.ok_or(Refusal::PaymentNotFound)?;
        let is_at_rest = kept.body.status().is_final() || !kept.is_leased(self.now());
        let view = self.payment_view(known, kept, true)?;
        match then {
            Some(then) => Ok(then.told_of(view)),
            None if is_at_rest => {
                let asked = self.asked_before(known.account.number, &order.key, order.fingerprint())?;
                let then = self.noted_at_last(&asked, Then::of(&view))?;
                Ok(then.told_of(view))
            }
            None => Ok(view),
        }
    }

    /// Gives up a purchase that is not paid, so that nobody can pay it any more: its page is closed, or its payment
    /// cancelled, at the provider. What was paid first is paid, and its credits are there.
    ///
    /// That nobody wants it is committed before the provider is asked: where no answer comes, the worker goes on.
    pub async fn cancel_purchase(self: &Arc<Self>, id: PaymentId, by: &By) -> Result<PaymentView, Error> {
        self.provider()?;
        let known = self.known_number(id.place().account)?.ok_or(Refusal::PaymentNotFound)?;
        for _ in 0..ATTEMPTS_MAX {
            let mut kept = self.payment_kept(id)?.ok_or(Refusal::PaymentNotFound)?;
            if kept.body.purpose != Purpose::Purchase {
                let why = "is not cancelled by itself: cancel its subscription, or turn off its auto-topup";
                return Err(Refusal::invalid("payment", why).into());
            }
            if kept.body.status().is_final() {
                return self.payment(id);
            }
            let is_news = !kept.body.is_given_up;
            kept.body.is_given_up = true;
            let (now, tries) = (self.now(), kept.body.tries);
            let noted = || by.noted(now, "payment.cancel", known.account.id.to_string(), id.to_string());
            // Whoever is at it now is overtaken: what they are answered is found again. It is taken in the same commit,
            // or the worker would be at it first, and the customer be told no more than that it is on its way.
            let mut changes = vec![kept.next(now, Some(now + LEASE))];
            changes.extend(is_news.then(noted).flatten());
            if !self.keep(&changes)? {
                continue;
            }
            self.carry_out(id).await?;
            let view = self.payment(id)?;
            // News of it may have come in between, before the provider was asked.
            if view.payment.status().is_final() || view.payment.tries != tries {
                return Ok(view);
            }
        }
        Err(Error::Busy)
    }

    /// The payment of an order, priced by what is sold and not by who buys.
    fn ordered(&self, known: &Known, order: &PurchaseOrder) -> Result<Payment, Error> {
        if known.account.closed_at.is_some() {
            return Err(Refusal::AccountClosed.into());
        }
        let currency = known.account.currency;
        let (credits, net, item, package) = match &order.goods {
            Goods::Package(id) => {
                let package = self.package(id.as_str(), currency)?;
                let item = format!("{} credits ({})", printed::credits(package.granted()), package.name);
                (package.granted(), package.price, item, Some(package.id))
            }
            Goods::Credits(credits) => {
                if !credits.is_positive() {
                    return Err(Refusal::invalid("credits", "must be more than 0").into());
                }
                let net = self.list_price(*credits, currency);
                self.within_bounds(net, currency)?;
                (*credits, net, format!("{} credits", printed::credits(*credits)), None)
            }
        };
        check_return_url(order.return_url.as_deref())?;
        if order.is_hosted && order.return_url.is_none() {
            return Err(Refusal::invalid("return_url", "must say where the customer comes back to").into());
        }
        let way = if order.is_hosted { Way::Hosted } else { Way::OnSession };
        let now = self.now();
        let mut payment = Payment::blank(Purpose::Purchase, way, currency, now);
        if way == Way::OnSession {
            let method = self.method_for(known, order.method.as_deref())?;
            payment.method = Some(method.ok_or_else(|| {
                Refusal::invalid("payment_method", "is needed: the account has no card; buy with \"hosted\": true")
            })?);
        }
        let charged = self.with_tax(known, net);
        Ok(Payment {
            credits: credits.micros(),
            net: charged.net,
            tax: charged.tax,
            taxed: charged.taxed,
            item,
            package,
            save_card: order.save_card,
            return_url: order.return_url.clone(),
            by: Some(order.by.name.to_string()),
            page_ends_at: (now + PAGE_LASTS).millis(),
            ..payment
        })
    }
}
