//! What changed between two cards, in the words of the card: what its author checks before it takes effect.
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

use super::RateCard;
use super::card::{Condition, Meter, Rate, Role, Row, Scheme, Tier, Tiers};

/// One difference. Without `from` it is new, without `to` it is gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Such as `meters.ai_chat.rates[model=gpt-6-sol].input_tokens`: by what a row is for, not by its number, so that
    /// moving it is no difference.
    pub field: String,
    pub from: Option<String>,
    pub to: Option<String>,
}

impl RateCard {
    /// What `other` changes, in the order of the fields. A meter that is new or gone is one difference.
    pub fn diff(&self, other: &RateCard) -> Vec<Difference> {
        let mut from = BTreeMap::new();
        let mut to = BTreeMap::new();
        for (one, another, said) in [(self, other, &mut from), (other, self, &mut to)] {
            for meter in one.meters() {
                match another.meter(&meter.name) {
                    Some(_) => say_meter(meter, said),
                    None => said.extend([(format!("meters.{}", meter.name), summary(meter))]),
                }
            }
        }
        let mut fields: Vec<&String> = from.keys().chain(to.keys()).collect();
        fields.sort();
        fields.dedup();
        let changed = fields.into_iter().filter(|it| from.get(*it) != to.get(*it));
        let difference = |field: &String| Difference {
            field: field.clone(),
            from: from.get(field).cloned(),
            to: to.get(field).cloned(),
        };
        changed.map(difference).collect()
    }
}

fn summary(meter: &Meter) -> String {
    format!("{}: {} quantities, {} rows", meter.label, meter.quantities.len(), meter.rows.len())
}

/// Everything that a meter says, each with its field.
fn say_meter(meter: &Meter, said: &mut BTreeMap<String, String>) {
    let path = format!("meters.{}", meter.name);
    let mut say = |field: String, value: String| {
        said.insert(format!("{path}.{field}"), value);
    };
    say("label".to_string(), meter.label.to_string());
    say("category".to_string(), meter.category.as_str().to_string());
    say("dimensions".to_string(), meter.dimensions.join(", "));
    for quantity in &meter.quantities {
        let role = match quantity.role {
            Role::Required => ", required",
            Role::Optional => "",
            Role::Informational => ", informational",
        };
        say(format!("quantities.{}", quantity.name), format!("{} ({}{role})", quantity.label, quantity.unit));
    }
    for (field, amount) in [("minimum", meter.minimum), ("cap", meter.cap)] {
        if let Some(amount) = amount {
            say(field.to_string(), amount.to_string());
        }
    }
    if !meter.free_when.is_empty() {
        say("free_when".to_string(), conditions(&meter.free_when, true));
    }
    if let Some(rule) = &meter.cheaper_of {
        say("cheaper_of".to_string(), format!("{}, {}", rule.used, rule.asked));
    }
    if let Some(dimension) = &meter.once_per {
        say("once_per".to_string(), dimension.to_string());
    }
    for row in &meter.rows {
        say_row(row, &mut say);
    }
}

fn say_row(row: &Row, say: &mut impl FnMut(String, String)) {
    let path = format!("rates[{}]", conditions(&row.when, false));
    if row.when.iter().any(|it| 1 < it.values.len()) {
        say(format!("{path}.when"), conditions(&row.when, true));
    }
    if let Some(fee) = row.base_fee {
        say(format!("{path}.base_fee"), fee.to_string());
    }
    for rate in &row.rates {
        say(format!("{path}.{}", rate.quantity), price(rate));
    }
}

/// `model=gpt-6-sol`: by the first value, or by all.
fn conditions(when: &[Condition], all: bool) -> String {
    let values = |it: &Condition| if all { it.values.join("|") } else { it.values[0].to_string() };
    let mut said: Vec<String> = when.iter().map(|it| format!("{}={}", it.dimension, values(it))).collect();
    said.sort();
    said.join(",")
}

fn price(rate: &Rate) -> String {
    let mut text = match &rate.scheme {
        Scheme::Flat(price) => format!("flat {price}"),
        Scheme::Metered { per, started, tiers } => {
            let priced = match tiers {
                Tiers::One(price) => price.to_string(),
                Tiers::Graduated(tiers) => format!("graduated {}", steps(tiers)),
                Tiers::Volume(tiers) => format!("volume {}", steps(tiers)),
                Tiers::Bands(tiers) => format!("bands {}", steps(tiers)),
            };
            match (per.get(), started) {
                (1, _) => priced,
                (per, true) => format!("{priced} per started {per}"),
                (per, false) => format!("{priced} per {per}"),
            }
        }
    };
    let runtime = rate.runtime;
    for (name, seconds) in [("minimum", runtime.minimum_seconds), ("commitment", runtime.commitment_seconds)] {
        if seconds != 0 {
            write!(text, ", {name} {seconds} s").expect("a text takes more text");
        }
    }
    if let Some(cap) = runtime.monthly_cap {
        write!(text, ", at most {cap} a month").expect("a text takes more text");
    }
    text
}

fn steps(tiers: &[Tier]) -> String {
    let step = |tier: &Tier| {
        let name = tier.name.as_ref().map_or_else(String::new, |it| format!("{it} "));
        let range = tier.up_to.map_or_else(|| "above".to_string(), |it| format!("to {it}"));
        let fee = if tier.fee.is_zero() { String::new() } else { format!(" + {}", tier.fee) };
        format!("[{name}{range}: {}{fee}]", tier.price)
    };
    tiers.iter().map(step).collect::<Vec<String>>().join(" ")
}
