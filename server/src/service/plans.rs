//! Plans: credits each month or year, at a price that is less than the same credits cost one by one.
use billing::Refusal;
use billing::id::Name;
use billing::money::{Credits, Currency};
use billing::subscription::Every;
use serde::{Deserialize, Serialize};
use store::{Audit, Change, Document};

use super::Error;
use super::documents::Kept;
use super::prices::{in_steps, least_charge};
use crate::app::App;

const KIND: &str = "plan";
const PLANS_MAX: usize = 500;
/// Periods that unused credits may be made to expire after.
const CARRY_OVER_MAX: u32 = 60;
const ATTEMPTS_MAX: u32 = 8;

/// Plans where the operator has set none. Credits, percent off the list price, and how often.
const DEFAULTS: [(&str, &str, i64, i64, Every); 3] = [
    ("monthly", "Monthly", 2_000, 10, Every::Month),
    ("monthly-plus", "Monthly Plus", 10_000, 15, Every::Month),
    ("yearly", "Yearly", 30_000, 20, Every::Year),
];

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub id: String,
    pub name: String,
    /// Micro-credits a period.
    pub credits: i64,
    /// Minor units a period, tax aside.
    pub price: i64,
    #[serde(with = "super::word")]
    pub currency: Currency,
    #[serde(with = "super::word")]
    pub every: Every,
    /// Unused credits last for so many periods after the one they were paid for; none for as long as it takes.
    #[serde(default)]
    pub carry_over_periods: Option<u32>,
    /// At a renewal, micro-credits that stay of what earlier periods paid for; none for all of it.
    #[serde(default)]
    pub carry_over_maximum: Option<i64>,
    /// No longer sold; who has it keeps it.
    pub is_gone: bool,
}

impl Plan {
    pub fn credits(&self) -> Credits {
        Credits::from_micros(self.credits)
    }
    pub fn carry_over_maximum(&self) -> Option<Credits> {
        self.carry_over_maximum.map(Credits::from_micros)
    }
}

impl App {
    /// What is on sale in a currency, cheapest first.
    pub fn plans(&self, currency: Currency) -> Result<Vec<Plan>, Error> {
        let stored = self.all_kept::<Plan>(Document::HOUSE, KIND, None, PLANS_MAX)?;
        // One of another currency leaves it; one that was taken off sale is gone in all.
        let replaces =
            |stored: &Plan, it: &Plan| stored.id == it.id && (stored.is_gone || stored.currency == it.currency);
        let is_replaced = |it: &Plan| stored.iter().any(|stored| replaces(&stored.body, it));
        let defaults = DEFAULTS.iter().map(|it| self.default_plan(it, currency));
        let can_be_paid = |it: &Plan| least_charge(currency) <= it.price;
        let mut plans: Vec<Plan> = defaults.filter(|it| !is_replaced(it) && can_be_paid(it)).collect();
        let on_sale = |it: &&Kept<Plan>| !it.body.is_gone && it.body.currency == currency;
        plans.extend(stored.iter().filter(on_sale).map(|it| it.body.clone()));
        plans.sort_by(|one, other| (one.price, &one.id).cmp(&(other.price, &other.id)));
        Ok(plans)
    }

    pub(super) fn plan(&self, id: &str, currency: Currency) -> Result<Plan, Error> {
        let found = self.plans(currency)?.into_iter().find(|it| it.id == id);
        Ok(found.ok_or(Refusal::PlanNotFound)?)
    }

    /// Puts a plan on sale, or changes it for those who subscribe from now on. Says whether it is new.
    pub fn put_plan(&self, plan: &Plan, by: &str) -> Result<bool, Error> {
        if !(1..=Credits::whole(100_000_000).micros()).contains(&plan.credits) {
            return Err(Refusal::invalid("credits", "must be more than 0 and at most 100000000").into());
        }
        if plan.price < 1 || self.list_price(plan.credits(), plan.currency) <= plan.price {
            return Err(Refusal::invalid("price.amount", "must be less than the same credits cost one by one").into());
        }
        self.chargeable(plan.price, plan.currency)?;
        if plan.carry_over_periods.is_some_and(|it| !(1..=CARRY_OVER_MAX).contains(&it)) {
            return Err(Refusal::invalid("carry_over_periods", "must be 1 to 60; leave it out to keep them").into());
        }
        if plan.carry_over_maximum().is_some_and(|it| !(Credits::ZERO..=Credits::MAX).contains(&it)) {
            return Err(Refusal::invalid("carry_over_maximum", "must be 0 or more; leave it out to keep all").into());
        }
        if plan.name.is_empty() || 200 < plan.name.len() || plan.name.chars().any(char::is_control) {
            return Err(Refusal::invalid("name", "must be 1 to 200 bytes without control characters").into());
        }
        self.write_plan(plan, "plan.put", by)
    }

    /// Takes a plan off sale; whoever has it keeps it.
    pub fn delete_plan(&self, id: &Name, by: &str) -> Result<(), Error> {
        let stored = self.kept::<Plan>(Document::HOUSE, KIND, id.as_str())?.map(|it| it.body);
        let default = DEFAULTS.iter().find(|it| it.0 == id.as_str());
        let default = default.map(|it| self.default_plan(it, self.settings.currency));
        let plan = stored.or(default).filter(|it| !it.is_gone).ok_or(Refusal::PlanNotFound)?;
        self.write_plan(&Plan { is_gone: true, ..plan }, "plan.delete", by)?;
        Ok(())
    }

    fn write_plan(&self, plan: &Plan, action: &str, by: &str) -> Result<bool, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let found = self.kept::<Plan>(Document::HOUSE, KIND, &plan.id)?;
            if found.as_ref().is_some_and(|it| it.body == *plan) {
                return Ok(false);
            }
            let is_new = found.as_ref().is_none_or(|it| it.body.is_gone);
            let kept = match found {
                Some(kept) => Kept { body: plan.clone(), ..kept },
                None => Kept::new(Document::HOUSE, KIND, plan.id.clone(), plan.clone()),
            };
            let now = self.now();
            let detail = serde_json::to_string(plan).expect("a plan is plain JSON");
            let (action, subject) = (action.to_owned(), plan.id.clone());
            let audit = Audit { at: now, by: by.to_owned(), action, subject, detail };
            if self.keep(&[kept.next(now, None), Change::Audit(audit)])? {
                return Ok(is_new);
            }
        }
        Err(Error::Busy)
    }

    fn default_plan(&self, plan: &(&str, &str, i64, i64, Every), currency: Currency) -> Plan {
        let (id, name, credits, percent_off, every) = plan;
        let credits = Credits::whole(*credits);
        let price = self.list_price(credits, currency);
        Plan {
            id: (*id).to_owned(),
            name: (*name).to_owned(),
            credits: credits.micros(),
            price: in_steps(price - price * percent_off / 100, currency),
            currency,
            every: *every,
            carry_over_periods: None,
            carry_over_maximum: None,
            is_gone: false,
        }
    }
}
