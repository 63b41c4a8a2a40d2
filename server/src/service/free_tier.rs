//! Whether the welcome credits cover what a newcomer is promised: to chat, to analyse a repository, to plan, and to try
//! a deployment. Checked when the server starts and when prices change, so that a price cannot quietly break the
//! promise.
use billing::money::Credits;
use billing::rating::{RateCard, Text, Usage};

use crate::app::{App, WelcomeGrant};

/// Messages of a first conversation, each of so many tokens in and out.
const MESSAGES: i64 = 20;
const MESSAGE_TOKENS: [(&str, u64); 2] = [("input_tokens", 1_000), ("output_tokens", 400)];
/// Lines of a small repository.
const CODE_LINES: u64 = 20_000;
/// Complexity of a medium plan.
const PLAN_POINTS: u64 = 40;
/// Hours of a server that show a deployment working.
const SERVER_SECONDS: u64 = 24 * 3_600;

impl App {
    /// What the welcome does not cover by the latest prices, in sentences for the operator. Empty when all is well, and
    /// for an operator who welcomes nobody.
    pub fn free_tier_gaps(&self) -> Vec<String> {
        let cards = self.cards();
        match cards.latest() {
            Some(card) if !self.settings.welcome.is_empty() => gaps(card, &self.settings.welcome),
            _ => Vec::new(),
        }
    }
}

fn gaps(card: &RateCard, welcome: &[WelcomeGrant]) -> Vec<String> {
    let work = [
        ("ai_chat", "model", &MESSAGE_TOKENS[..], MESSAGES),
        ("code_analysis", "tree", &[("code_lines", CODE_LINES)], 1),
        ("infra_plan", "band", &[("points", PLAN_POINTS)], 1),
    ];
    // A platform that does not sell a meter promises nothing of it.
    let costs = work.iter().filter_map(|(meter, dimension, quantities, times)| {
        let once = cheapest(card, meter, dimension, quantities)?;
        Some((*meter, Credits::from_micros(once.micros().checked_mul(*times)?)))
    });
    let mut gaps = Vec::new();
    let mut general = granted(welcome, None);
    for (meter, cost) in costs {
        let beyond = granted(welcome, Some(meter)).short_of(cost);
        if general < beyond {
            gaps.push(format!(
                "{meter}: a first try costs {cost} credits, and {} are missing",
                general.short_of(beyond)
            ));
        }
        general = (general - beyond).at_least_zero();
    }
    let server = [("provisioned", 1), ("runtime_seconds", SERVER_SECONDS)];
    if let Some(cost) = cheapest(card, "server", "tier", &server) {
        let missing = (general + granted(welcome, Some("server"))).short_of(cost);
        if missing.is_positive() {
            gaps.push(format!("server: a day of the cheapest costs {cost} credits, and {missing} are missing"));
        }
    }
    gaps
}

/// Welcome credits of this meter alone, or of any where none is named.
fn granted(welcome: &[WelcomeGrant], meter: Option<&str>) -> Credits {
    let fits = |it: &&WelcomeGrant| match meter {
        Some(meter) => it.meters.iter().any(|it| &**it == meter),
        None => it.meters.is_empty(),
    };
    welcome.iter().filter(fits).map(|it| it.credits).sum()
}

/// The least these quantities cost, over all values the card knows of the dimension that sets their price.
fn cheapest(card: &RateCard, meter: &str, dimension: &str, quantities: &[(&str, u64)]) -> Option<Credits> {
    let rows = &card.meter(meter)?.rows;
    let conditions = rows.iter().flat_map(|row| &row.when).filter(|it| &*it.dimension == dimension);
    let mut values: Vec<Text> = conditions.flat_map(|it| it.values.iter().cloned()).collect();
    values.push("any".into());
    let mut quantities: Vec<(Text, u64)> = quantities.iter().map(|(name, it)| ((*name).into(), *it)).collect();
    quantities.sort();
    let price = |value: Text| {
        let dimensions = vec![(dimension.into(), value)];
        let usage = Usage { meter: meter.into(), quantities: quantities.clone(), dimensions };
        card.price(&usage).ok().map(|it| it.credits)
    };
    values.into_iter().filter_map(price).min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::Settings;
    use crate::rate_card::{DEFAULT, parse_toml};

    #[test]
    fn the_default_welcome_covers_the_whole_first_try() {
        let card = parse_toml(DEFAULT).unwrap();
        assert_eq!(gaps(&card, &Settings::default().welcome), Vec::<String>::new());
    }

    #[test]
    fn a_welcome_that_is_too_small_says_what_it_does_not_cover() {
        let card = parse_toml(DEFAULT).unwrap();
        let stingy =
            [WelcomeGrant { credits: Credits::whole(20), meters: Vec::new(), lasts: None, reason: "Welcome".into() }];
        let gaps = gaps(&card, &stingy);
        let meters: Vec<&str> = gaps.iter().map(|it| it.split(':').next().unwrap()).collect();
        assert_eq!(meters, ["code_analysis", "infra_plan", "server"]);
    }
}
