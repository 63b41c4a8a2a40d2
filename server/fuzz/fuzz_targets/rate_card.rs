//! Rate cards: faults are told by line and field, and what was read is written and read again as the same.
#![no_main]
use billing::rating::Usage;
use libfuzzer_sys::fuzz_target;
use server::rate_card::{parse_json, parse_toml, to_json};

fuzz_target!(|text: &str| {
    for card in [parse_toml(text), parse_json(text)] {
        let Ok(card) = card else { continue };
        let written = to_json(&card);
        let again = parse_json(&written.to_string()).expect("what was written can be read");
        assert_eq!(to_json(&again), written);
        for meter in card.meters() {
            let quantities = meter.quantities.iter().map(|it| (it.name.clone(), u64::MAX)).collect();
            let usage = Usage { meter: meter.name.clone(), quantities, dimensions: Vec::new() };
            // A price, or a refusal: never a panic, and nothing that wraps around.
            if let Ok(price) = card.price(&usage) {
                assert!(billing::money::Credits::ZERO <= price.credits);
            }
        }
    }
});
