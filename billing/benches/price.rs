//! What pricing one charge costs. It lies in the path of every charge, so it may not cost more than a fraction of a
//! microsecond: `cargo bench -p billing`.
use std::num::NonZeroU64;

use billing::money::Credits;
use billing::rating::{
    Category, CheaperOf, Condition, Meter, Quantity, Rate, RateCard, Role, Row, Runtime, Scheme, Text, Tiers, Usage,
};
use billing::time::Timestamp;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

const QUANTITIES: [&str; 4] = ["input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens"];
const MODELS: usize = 24;

/// As the default card: two dozen models, each by its name and by its dated names.
fn card() -> RateCard {
    let quantity = |name: &&str| Quantity {
        name: Text::from(*name),
        label: Text::from(*name),
        unit: Text::from("token"),
        role: if *name == "input_tokens" { Role::Required } else { Role::Optional },
    };
    let rate = |name: &&str| Rate {
        quantity: Text::from(*name),
        scheme: Scheme::Metered {
            per: NonZeroU64::new(1_000_000).expect("a million is not zero"),
            started: false,
            tiers: Tiers::One(Credits::whole(250)),
        },
        runtime: Runtime::default(),
    };
    let row = |model: usize| Row {
        when: vec![Condition {
            dimension: Text::from("model"),
            values: vec![Text::from(name(model)), Text::from(format!("{}-20*", name(model)))],
        }],
        base_fee: None,
        rates: QUANTITIES.iter().map(rate).collect(),
    };
    let outcomes = ["failed", "empty", "invalid"].map(Text::from).to_vec();
    let meter = Meter {
        name: Text::from("ai_chat"),
        label: Text::from("AI chat messages"),
        category: Category::AiConversations,
        quantities: QUANTITIES.iter().map(quantity).collect(),
        dimensions: ["model", "asked_model", "context", "outcome"].map(Text::from).to_vec(),
        rows: (0..MODELS).map(row).collect(),
        minimum: None,
        cap: None,
        free_when: vec![Condition { dimension: Text::from("outcome"), values: outcomes }],
        cheaper_of: Some(CheaperOf { used: Text::from("model"), asked: Text::from("asked_model") }),
        once_per: None,
    };
    RateCard::new(1, Timestamp::EPOCH, vec![meter]).expect("the card is whole")
}

fn name(model: usize) -> String {
    format!("{}-{}-{}", ["claude-sonnet", "gpt", "gemini-flash", "mistral"][model % 4], model / 4, model % 3)
}

fn usage(model: &str, quantities: &[(&str, u64)], dimensions: &[(&str, &str)]) -> Usage {
    let dimensions = dimensions.iter().copied().chain([("model", model)]);
    let mut dimensions: Vec<(Text, Text)> = dimensions.map(|it| (Text::from(it.0), Text::from(it.1))).collect();
    dimensions.sort();
    let mut quantities: Vec<(Text, u64)> = quantities.iter().map(|it| (Text::from(it.0), it.1)).collect();
    quantities.sort();
    Usage { meter: Text::from("ai_chat"), quantities, dimensions }
}

#[divan::bench(sample_size = 1000)]
fn two_quantities(bencher: Bencher<'_, '_>) {
    let (card, usage) = (card(), usage(&name(13), &[("input_tokens", 1234), ("output_tokens", 567)], &[]));
    bencher.bench(|| card.price(black_box(&usage)));
}

#[divan::bench(sample_size = 1000)]
fn three_quantities_and_an_outcome(bencher: Bencher<'_, '_>) {
    let quantities = [("input_tokens", 1234), ("cached_input_tokens", 9876), ("output_tokens", 567)];
    let (card, usage) = (card(), usage(&name(13), &quantities, &[("outcome", "completed")]));
    bencher.bench(|| card.price(black_box(&usage)));
}

#[divan::bench(sample_size = 1000)]
fn a_dated_model(bencher: Bencher<'_, '_>) {
    let model = format!("{}-2026-09-29", name(13));
    let (card, usage) = (card(), usage(&model, &[("input_tokens", 1234), ("output_tokens", 567)], &[]));
    bencher.bench(|| card.price(black_box(&usage)));
}

#[divan::bench(sample_size = 1000)]
fn a_fallback(bencher: Bencher<'_, '_>) {
    let (card, asked) = (card(), name(7));
    let usage = usage(&name(13), &[("input_tokens", 1234), ("output_tokens", 567)], &[("asked_model", &asked)]);
    bencher.bench(|| card.price(black_box(&usage)));
}

#[divan::bench(sample_size = 1000)]
fn ceilings_of_two_quantities(bencher: Bencher<'_, '_>) {
    let (card, usage) = (card(), usage(&name(13), &[("input_tokens", 1234), ("output_tokens", 567)], &[]));
    bencher.bench(|| card.affordable(black_box(&usage), Credits::whole(3)));
}
