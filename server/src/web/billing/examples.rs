//! What credits buy, by the prices in force: so many messages, analyses, plans, days of a server. Priced as the work
//! itself would be; what the operator has no price for is not spoken of.
use billing::money::Credits;

use super::show;
use crate::app::App;
use crate::service::{Order, QuoteOrder};
use crate::web::estimate::values;

/// A message of a page and its reply, in tokens.
const MESSAGE: [(&str, u64); 2] = [("input_tokens", 1_000), ("output_tokens", 500)];
const REPOSITORY_LINES: u64 = 20_000;
const PLAN_POINTS: u64 = 30;
const DAY_SECONDS: u64 = 86_400;

/// One piece of work: its meter, dimensions, quantities, and what many of it are called.
type Example<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [(&'a str, u64)], String);

/// `8,000 messages to gpt-6.1-terra`, one for each kind of work. Of a server, what its set-up costs comes first.
pub fn bought_by(app: &App, credits: Credits) -> Vec<String> {
    // The model in the middle, by price: neither the cheapest nor the dearest says what is usual.
    let mut models: Vec<(Credits, String)> = values(app, "ai_chat", "model")
        .into_iter()
        .filter_map(|it| Some((price(app, "ai_chat", &[("model", &it)], &MESSAGE)?, it)))
        .collect();
    models.sort();
    let model = models.get(models.len() / 2).map(|it| it.1.clone()).unwrap_or_default();
    let tier = values(app, "server", "tier").into_iter().next().unwrap_or_default();
    let set_up = set_up(app, &tier);
    let days = if set_up.is_zero() { "days of an" } else { "days, with its set-up, of a new" };
    let work: [Example<'_>; 4] = [
        ("ai_chat", &[("model", &model)], &MESSAGE, format!("messages to {model}, with their replies")),
        ("code_analysis", &[], &[("code_lines", REPOSITORY_LINES)], "analyses of 20,000 lines of code".to_owned()),
        ("infra_plan", &[], &[("points", PLAN_POINTS)], "infrastructure plans of medium size".to_owned()),
        ("server", &[("tier", &tier)], &[("runtime_seconds", DAY_SECONDS)], format!("{days} {tier} server")),
    ];
    let said = work.iter().filter_map(|(meter, dimensions, quantities, words)| {
        let price = price(app, meter, dimensions, quantities).filter(|it| it.is_positive())?;
        let once = if *meter == "server" { set_up } else { Credits::ZERO };
        let count = (credits - once).at_least_zero().micros() / price.micros();
        (1 < count).then(|| format!("{} {words}", show::thousands(rounded(count.unsigned_abs()))))
    });
    said.collect()
}

/// What the first day of a server costs beyond any other.
fn set_up(app: &App, tier: &str) -> Credits {
    let day = |quantities: &[(&str, u64)]| price(app, "server", &[("tier", tier)], quantities);
    let runs = ("runtime_seconds", DAY_SECONDS);
    let first = day(&[("provisioned", 1), runs]).unwrap_or_default();
    (first - day(&[runs]).unwrap_or_default()).at_least_zero()
}

fn price(app: &App, meter: &str, dimensions: &[(&str, &str)], quantities: &[(&str, u64)]) -> Option<Credits> {
    let order = Order {
        meter: meter.into(),
        quantities: quantities.iter().map(|(name, it)| ((*name).into(), *it)).collect(),
        dimensions: dimensions.iter().map(|(name, it)| ((*name).into(), (*it).into())).collect(),
        ..Order::default()
    };
    let quote = QuoteOrder { account: None, order, binding: None, key: None };
    Some(app.quote(&quote).ok()?.price.credits)
}

/// To two digits, down: an example promises no more than it must.
fn rounded(count: u64) -> u64 {
    let mut unit = 1;
    while 100 <= count / unit {
        unit *= 10;
    }
    count / unit * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_round_and_never_more_than_there_is() {
        assert_eq!([7, 99, 104, 8_333, 125_999].map(rounded), [7, 99, 100, 8_300, 120_000]);
    }
}
