//! Plans as one account would pay for them: tax included, beside what the same credits cost one by one; and what a
//! change of plan costs now, which is said before it is agreed to.
use billing::Refusal;
use billing::id::Name;
use billing::money::{Credits, Money};
use billing::subscription::State;
use billing::time::Timestamp;

use super::purchase_price::PriceOfCredits;
use super::subscriptions::{Subscription, difference};
use super::{Error, Plan};
use crate::app::{App, Known};

#[derive(Clone, Debug)]
pub struct PlanOffer {
    pub plan: Plan,
    /// Each period.
    pub price: PriceOfCredits,
    /// What the same credits cost at list price, tax aside.
    pub one_by_one: Money,
    /// Whole percents less than one by one, rounded down: never more is promised than there is.
    pub percent_off: i64,
}

/// What a change to a plan means.
#[derive(Clone, Debug)]
pub struct PlanChange {
    pub offer: PlanOffer,
    /// The rest of the period, of a change that takes effect now; none for one that waits for the renewal. It gets less
    /// with every second.
    pub now: Option<PriceOfCredits>,
}

impl App {
    /// What is on sale to an account, cheapest first.
    pub fn plan_offers(&self, account: &Name) -> Result<Vec<PlanOffer>, Error> {
        let known = self.known(account)?;
        let plans = self.plans(known.account.currency)?;
        Ok(plans.into_iter().map(|it| self.offer(&known, it)).collect())
    }

    /// A plan that is on sale to an account.
    pub fn plan_offer(&self, account: &Name, plan: &Name) -> Result<PlanOffer, Error> {
        let known = self.known(account)?;
        let plan = self.plan(plan.as_str(), known.account.currency)?;
        Ok(self.offer(&known, plan))
    }

    /// What a plan somebody has costs them each period, on sale or not.
    pub fn offer_of(&self, account: &Name, plan: &Plan) -> Result<PlanOffer, Error> {
        Ok(self.offer(&*self.known(account)?, plan.clone()))
    }

    /// What changing to a plan would cost and give now.
    pub fn plan_change(&self, account: &Name, plan: &Name) -> Result<PlanChange, Error> {
        let offer = self.plan_offer(account, plan)?;
        let known = self.known(account)?;
        let subscription = self.subscription(account)?;
        if subscription.state() != State::Active {
            return Err(Refusal::SubscriptionNotFound.into());
        }
        let now = difference(&subscription, &offer.plan, self.now());
        let now = now.map(|(net, credits)| self.price_with_tax(&known, credits, net));
        Ok(PlanChange { offer, now })
    }

    fn offer(&self, known: &Known, plan: Plan) -> PlanOffer {
        let currency = known.account.currency;
        let one_by_one = self.list_price(plan.credits(), currency);
        PlanOffer {
            price: self.price_with_tax(known, plan.credits(), plan.price),
            one_by_one: Money { amount: one_by_one, currency },
            percent_off: (one_by_one - plan.price).max(0) * 100 / one_by_one.max(1),
            plan,
        }
    }

    /// A net price with this account's tax on it.
    pub(super) fn price_with_tax(&self, known: &Known, credits: Credits, net: i64) -> PriceOfCredits {
        let charged = self.with_tax(known, net);
        let money = |amount| Money { amount, currency: known.account.currency };
        PriceOfCredits {
            credits,
            net: money(charged.net),
            tax: money(charged.tax),
            total: money(charged.net + charged.tax),
            tax_rate: charged.taxed.rate,
            treatment: charged.taxed.treatment(),
        }
    }
}

impl Subscription {
    /// When a renewal that was declined is tried again; none where nothing is.
    pub fn tried_again_at(&self) -> Option<Timestamp> {
        let is_waiting = self.state() == State::PastDue && self.payment.is_none();
        self.next_try_at.map(Timestamp::from_millis).filter(|_| is_waiting)
    }
}
