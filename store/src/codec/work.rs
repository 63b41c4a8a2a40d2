//! Work, terms, draws: the parts that transactions and books are made of.
//!
//! `meter` and `credits` are left out where the row that carries the work says the same: see [`Known`].
use std::sync::Arc;

use billing::id::{GrantId, Name};
use billing::ledger::{Draw, Pot, Scope, Terms, Work};
use billing::money::{Credits, Money};
use billing::rating::{Price, PriceLine, Text, Usage};
use billing::time::Timestamp;
use serde::Deserialize;

use super::Malformed;
use super::json::Json;
use super::numbered::{Numbered, Numbers};
use super::pairs::{DrawJson, LineJson, Pairs};

/// What a row's columns say already, and its body need not repeat.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    pub at: Timestamp,
    pub meter: Option<&'a str>,
    pub credits: i64,
    /// For writing: what has a number.
    pub numbers: Numbers<'a>,
    /// For reading: what the numbers stand for.
    pub numbered: Option<&'a Numbered>,
}

impl Known<'_> {
    /// For work that stands alone.
    pub const NOTHING: Known<'static> =
        Known { at: Timestamp::EPOCH, meter: None, credits: 0, numbers: Numbers::NONE, numbered: None };
}

pub fn write_work(json: &mut Json, work: &Work, known: Known<'_>) {
    json.object(|json| {
        if known.meter != Some(&*work.usage.meter) {
            json.key("meter").string(&work.usage.meter);
        }
        write_usage(json, &work.usage, known.numbers.shape);
        if known.credits != work.price.credits.micros() {
            json.key("credits").integer(work.price.credits.micros());
        }
        json.key("lines").array(|json| {
            let numbers = known.numbers.rates.iter().copied().chain(std::iter::repeat(None));
            work.price.lines.iter().zip(numbers).for_each(|(it, number)| write_line(json, it, number));
        });
        json.key("card").integer(work.price.rate_card);
        for (name, value) in [("project", &work.project), ("actor", &work.actor), ("resource", &work.resource)] {
            if let Some(value) = value {
                json.key(name).string(value.as_str());
            }
        }
        if known.at != work.occurred_at {
            json.key("at").integer(work.occurred_at.millis());
        }
        if work.hour != work.occurred_at.hour_start(0) {
            json.key("hour").integer(work.hour.millis());
        }
        let Work { quote, metadata, evidence, once, .. } = work;
        for (name, value) in [("quote", quote), ("metadata", metadata), ("evidence", evidence), ("once", once)] {
            if let Some(value) = value {
                json.key(name).string(value);
            }
        }
    });
}

fn write_usage(json: &mut Json, usage: &Usage, shape: Option<u32>) {
    if let Some(shape) = shape {
        json.key("shape").integer(shape);
        json.key("amounts").array(|json| usage.quantities.iter().for_each(|it| json.integer(it.1)));
        return;
    }
    if !usage.quantities.is_empty() {
        json.key("quantities").object(|json| {
            usage.quantities.iter().for_each(|(name, quantity)| json.key(name).integer(*quantity));
        });
    }
    if !usage.dimensions.is_empty() {
        json.key("dimensions").object(|json| {
            usage.dimensions.iter().for_each(|(name, value)| json.key(name).string(value));
        });
    }
}

fn write_line(json: &mut Json, line: &PriceLine, number: Option<u32>) {
    json.array(|json| match number {
        Some(number) => {
            json.integer(number);
            json.integer(line.quantity);
            json.integer(line.credits.micros());
        }
        None => {
            json.string(&line.item);
            json.integer(line.quantity);
            json.string(&line.unit);
            json.integer(line.unit_price.micros());
            json.integer(line.per);
            json.integer(line.credits.micros());
        }
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkJson {
    meter: Option<Text>,
    #[serde(default)]
    quantities: Pairs<u64>,
    #[serde(default)]
    dimensions: Pairs<Text>,
    shape: Option<u32>,
    #[serde(default)]
    amounts: Vec<u64>,
    credits: Option<i64>,
    lines: Vec<LineJson>,
    card: u32,
    project: Option<String>,
    actor: Option<String>,
    resource: Option<String>,
    at: Option<i64>,
    hour: Option<i64>,
    quote: Option<Text>,
    metadata: Option<Text>,
    evidence: Option<Text>,
    once: Option<Text>,
}

impl WorkJson {
    pub fn read(self, known: Known<'_>) -> Result<Arc<Work>, Malformed> {
        let meter = self.meter.or_else(|| known.meter.map(Text::from)).ok_or(Malformed::lacks("meter"))?;
        let occurred_at = self.at.map_or(known.at, Timestamp::from_millis);
        let (quantities, dimensions) = match self.shape {
            None => (self.quantities.0, self.dimensions.0),
            Some(number) => read_shape(number, &self.amounts, known.numbered)?,
        };
        Ok(Arc::new(Work {
            usage: Usage { meter, quantities, dimensions },
            price: Price {
                credits: Credits::from_micros(self.credits.unwrap_or(known.credits)),
                lines: self.lines.into_iter().map(|it| read_line(it, known.numbered)).collect::<Result<_, _>>()?,
                rate_card: self.card,
            },
            project: read_name(self.project)?,
            actor: read_name(self.actor)?,
            resource: read_name(self.resource)?,
            occurred_at,
            hour: self.hour.map_or_else(|| occurred_at.hour_start(0), Timestamp::from_millis),
            quote: self.quote,
            metadata: self.metadata,
            evidence: self.evidence,
            once: self.once,
        }))
    }
}

type Named<T> = Vec<(Text, T)>;

/// Quantities and dimensions of a shape that has a number.
fn read_shape(
    number: u32,
    amounts: &[u64],
    numbered: Option<&Numbered>,
) -> Result<(Named<u64>, Named<Text>), Malformed> {
    let shape = numbered.and_then(|it| it.shape(number)).filter(|it| it.quantities.len() == amounts.len());
    let shape = shape.ok_or_else(|| Malformed::not("the number of a shape of so many amounts", &number.to_string()))?;
    let quantities = shape.quantities.iter().cloned().zip(amounts.iter().copied()).collect();
    Ok((quantities, shape.dimensions.clone()))
}

fn read_line(line: LineJson, numbered: Option<&Numbered>) -> Result<PriceLine, Malformed> {
    match line {
        LineJson::Whole(rate, quantity, credits) => Ok(rate.line(quantity, credits)),
        LineJson::Numbered(number, quantity, credits) => {
            let rate = numbered.and_then(|it| it.rate(number));
            let rate = rate.ok_or_else(|| Malformed::not("the number of a rate", &number.to_string()))?;
            Ok(rate.line(quantity, credits))
        }
    }
}

pub fn write_terms(json: &mut Json, terms: &Terms) {
    json.object(|json| {
        json.key("source").string(terms.source.as_str());
        json.key("credits").integer(terms.credits.micros());
        json.key("from").integer(terms.effective_at.millis());
        if terms.expires_at != Timestamp::NEVER {
            json.key("until").integer(terms.expires_at.millis());
        }
        if terms.priority != Terms::PRIORITY {
            json.key("priority").integer(terms.priority);
        }
        if !terms.scope.meters.is_empty() {
            json.key("meters").array(|json| terms.scope.meters.iter().for_each(|it| json.string(it)));
        }
        if !terms.scope.projects.is_empty() {
            json.key("projects").array(|json| terms.scope.projects.iter().for_each(|it| json.string(it.as_str())));
        }
        if let Some(cost) = &terms.cost {
            json.key("cost").array(|json| {
                json.integer(cost.amount);
                json.string(cost.currency.as_str());
            });
        }
        if let Some(charged) = terms.charged {
            json.key("charged").integer(charged);
        }
        if let Some(payment) = &terms.payment {
            json.key("payment").string(payment);
        }
        json.key("reason").string(&terms.reason);
    });
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TermsJson {
    source: Text,
    credits: i64,
    from: i64,
    until: Option<i64>,
    priority: Option<u8>,
    #[serde(default)]
    meters: Vec<Text>,
    #[serde(default)]
    projects: Vec<String>,
    cost: Option<(i64, Text)>,
    charged: Option<i64>,
    payment: Option<Text>,
    reason: Text,
}

impl TermsJson {
    pub fn read(self) -> Result<Arc<Terms>, Malformed> {
        let projects = self.projects.into_iter().map(|it| it.parse().map_err(|_| Malformed::not("a name", &it)));
        let cost = |(amount, code): (i64, Text)| {
            let currency = code.parse().map_err(|_| Malformed::not("a currency", &code))?;
            Ok::<_, Malformed>(Money { amount, currency })
        };
        Ok(Arc::new(Terms {
            source: self.source.parse().map_err(|()| Malformed::not("a source", &self.source))?,
            credits: Credits::from_micros(self.credits),
            effective_at: Timestamp::from_millis(self.from),
            expires_at: self.until.map_or(Timestamp::NEVER, Timestamp::from_millis),
            priority: self.priority.unwrap_or(Terms::PRIORITY),
            scope: Scope { meters: self.meters, projects: projects.collect::<Result<_, _>>()? },
            cost: self.cost.map(cost).transpose()?,
            charged: self.charged,
            payment: self.payment,
            reason: self.reason,
        }))
    }
}

pub fn write_draws(json: &mut Json, draws: &[Draw]) {
    json.array(|json| {
        for draw in draws {
            json.array(|json| {
                json.string(&draw.grant.text());
                json.integer(draw.credits.micros());
                match draw.pot {
                    Pot::Free => {}
                    Pot::Held => json.string("held"),
                    Pot::Expired => json.string("expired"),
                }
            });
        }
    });
}

pub fn read_draws(draws: Vec<DrawJson>) -> Result<Vec<Draw>, Malformed> {
    let read = |it: DrawJson| {
        let pot = match it.pot.as_deref() {
            None => Pot::Free,
            Some("held") => Pot::Held,
            Some("expired") => Pot::Expired,
            Some(other) => return Err(Malformed::not("a pot", other)),
        };
        Ok(Draw { grant: read_grant(&it.grant)?, credits: Credits::from_micros(it.credits), pot })
    };
    draws.into_iter().map(read).collect()
}

pub fn read_grant(text: &str) -> Result<GrantId, Malformed> {
    text.parse().map_err(|_| Malformed::not("a grant", text))
}

pub fn read_name(text: Option<String>) -> Result<Option<Name>, Malformed> {
    text.map(|it| it.parse().map_err(|_| Malformed::not("a name", &it))).transpose()
}
