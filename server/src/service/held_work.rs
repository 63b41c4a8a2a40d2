//! What work on a hold costs: by the meter, the dimensions and the rate card that the hold was opened with, and never
//! more than was promised for it. Knows no book: whether the credits are there is decided elsewhere.
//!
//! Invariant: a hold is for one model, and another that stands in for it makes nothing dearer.
use std::sync::Arc;

use billing::Refusal;
use billing::ledger::Work;
use billing::money::Credits;
use billing::rating::{Price, PriceLine, RateCard, Text, Usage};

use super::Order;
use super::order::{promised, say_once};
use crate::app::{App, Known};

impl App {
    /// Quantities by the terms of a hold: prices hold from when it was opened.
    pub(super) fn priced_on(
        &self,
        plan: &Work,
        quantities: &[(Text, u64)],
        dimensions: &[(Text, Text)],
    ) -> Result<(Usage, Price), Refusal> {
        let card = self.card_of(plan);
        let usage = usage_on(&card, plan, quantities, dimensions)?;
        let price = card.price(&usage)?;
        let price = as_promised(&card, plan, &usage, price);
        Ok((usage, price))
    }

    /// The same as work that is done now.
    pub(super) fn work_on(
        &self,
        known: &Known,
        plan: &Work,
        quantities: &[(Text, u64)],
        dimensions: &[(Text, Text)],
    ) -> Result<Work, Refusal> {
        let (usage, price) = self.priced_on(plan, quantities, dimensions)?;
        Ok(self.done_now(known, plan, usage, price))
    }

    /// Work whose price the caller states, within what was held or beyond. What is said of it must be known to the card
    /// all the same; and where it came to nothing it costs nothing, whatever was stated.
    pub(super) fn stated_on(
        &self,
        known: &Known,
        plan: &Work,
        credits: Credits,
        dimensions: &[(Text, Text)],
    ) -> Result<Work, Refusal> {
        if credits < Credits::ZERO || Credits::MAX < credits {
            return Err(Refusal::invalid("credits", "must be 0 or more, and at most 1000000000"));
        }
        let card = self.card_of(plan);
        let usage = usage_on(&card, plan, &[], dimensions)?;
        let of_none = priceable(&card, &usage)?;
        let price = if card.is_free(&usage) { of_none } else { as_stated(credits, plan.price.rate_card) };
        let price = as_promised(&card, plan, &usage, price);
        Ok(self.done_now(known, plan, usage, price))
    }

    /// The card that a hold was opened by.
    pub(super) fn card_of(&self, plan: &Work) -> Arc<RateCard> {
        let cards = self.cards();
        Arc::clone(cards.version(plan.price.rate_card).expect("a card that priced something is kept for ever"))
    }

    /// Work on a hold, as it is paid for once or not by the card of the hold.
    fn done_now(&self, known: &Known, plan: &Work, usage: Usage, price: Price) -> Work {
        let now = self.now();
        let mut work = Work { usage, price, occurred_at: now, hour: known.hour_of(now), ..plan.clone() };
        say_once(&mut work, &self.card_of(plan));
        work
    }
}

/// The price of none of every quantity: what could never be priced is refused.
pub(super) fn priceable(card: &RateCard, usage: &Usage) -> Result<Price, Refusal> {
    card.price(&with_all_quantities(card, usage))
}

pub(super) fn with_all_quantities(card: &RateCard, usage: &Usage) -> Usage {
    let mut usage = usage.clone();
    let Some(meter) = card.meter(&usage.meter) else { return usage };
    for quantity in &meter.quantities {
        if let Err(place) = usage.quantities.binary_search_by(|(name, _)| name.cmp(&quantity.name)) {
            usage.quantities.insert(place, (Arc::clone(&quantity.name), 0));
        }
    }
    usage
}

/// What was used, and of the hold's dimensions those that the caller does not replace. Where another model did the work
/// and nobody says which was asked for, it was the one that the hold is for.
fn usage_on(
    card: &RateCard,
    plan: &Work,
    quantities: &[(Text, u64)],
    dimensions: &[(Text, Text)],
) -> Result<Usage, Refusal> {
    let mut all = dimensions.to_vec();
    let planned = plan.usage.dimensions.iter();
    all.extend(planned.filter(|(name, _)| value_of(dimensions, name).is_none()).cloned());
    let rule = card.meter(&plan.usage.meter).and_then(|it| it.cheaper_of.as_ref());
    if let Some(rule) = rule
        && value_of(&all, &rule.asked).is_none()
        && let Some(asked) = value_of(&plan.usage.dimensions, &rule.used)
        && value_of(&all, &rule.used) != Some(asked)
    {
        all.push((Arc::clone(&rule.asked), Arc::clone(asked)));
    }
    let meter = Arc::clone(&plan.usage.meter);
    Order { meter, quantities: quantities.to_vec(), dimensions: all, ..Order::default() }.take_usage()
}

fn value_of<'all>(dimensions: &'all [(Text, Text)], name: &Text) -> Option<&'all Text> {
    dimensions.iter().find(|it| it.0 == *name).map(|it| &it.1)
}

fn as_stated(credits: Credits, rate_card: u32) -> Price {
    let line = PriceLine {
        item: "as stated".into(),
        quantity: 1,
        unit: "capture".into(),
        unit_price: credits,
        per: 1,
        credits,
    };
    Price { credits, lines: vec![line], rate_card }
}

/// No more than was promised by the quote that the hold was made of. What was promised free because it is paid for
/// makes nothing else free.
fn as_promised(card: &RateCard, plan: &Work, usage: &Usage, price: Price) -> Price {
    if plan.quote.is_none() {
        return price;
    }
    let most = plan.price.credits;
    let is_the_same = |once: &Text| value_of(&usage.dimensions, once) == value_of(&plan.usage.dimensions, once);
    let holds = most.is_positive() || card.once_per(usage).is_none_or(is_the_same);
    if holds { promised(price, most) } else { price }
}
