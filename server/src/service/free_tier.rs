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
    let mut left: Vec<(&WelcomeGrant, Credits)> = welcome.iter().map(|it| (it, it.credits)).collect();
    for (meter, cost) in costs {
        let missing = draw(&mut left, meter, cost);
        if missing.is_positive() {
            gaps.push(format!("{meter}: a first try costs {cost} credits, and {missing} are missing"));
        }
    }
    let server = [("provisioned", 1), ("runtime_seconds", SERVER_SECONDS)];
    if let Some(cost) = cheapest(card, "server", "tier", &server) {
        let missing = draw(&mut left, "server", cost);
        if missing.is_positive() {
            gaps.push(format!("server: a day of the cheapest costs {cost} credits, and {missing} are missing"));
        }
    }
    gaps
}

/// Draws `cost` from what is left of the welcome: first from grants that pay for the fewest meters, so that what is for
/// several is kept for those that have nothing else; what is for any comes last. What they lack is returned.
fn draw(left: &mut [(&WelcomeGrant, Credits)], meter: &str, cost: Credits) -> Credits {
    let breadth = |it: &WelcomeGrant| if it.meters.is_empty() { usize::MAX } else { it.meters.len() };
    left.sort_by_key(|(grant, _)| breadth(grant));
    let mut missing = cost;
    for (grant, credits) in left {
        if grant.meters.is_empty() || grant.meters.iter().any(|it| &**it == meter) {
            let taken = missing.min(*credits);
            *credits -= taken;
            missing -= taken;
        }
    }
    missing
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

    /// What is for several meters is there once, whichever of them uses it.
    #[test]
    fn a_grant_for_several_meters_is_drawn_down_once() {
        let card = parse_toml(DEFAULT).unwrap();
        let grant = |credits: i64, meters: &[&str]| WelcomeGrant {
            credits: Credits::whole(credits),
            meters: meters.iter().map(|it| (*it).into()).collect(),
            lasts: None,
            reason: "Welcome".into(),
        };
        let ai = ["ai_chat", "code_analysis", "infra_plan"];
        let missing = |credits: i64| -> Vec<String> {
            let welcome = [grant(credits, &ai), grant(400, &["server"])];
            gaps(&card, &welcome).iter().map(|it| it.split(':').next().unwrap().to_owned()).collect()
        };
        // Enough for the dearest of them, and not for all.
        assert_eq!(missing(30), ["infra_plan"]);
        assert_eq!(missing(200), Vec::<String>::new());
    }
}
