//! Rating against another way to the same price: big rationals, straight from the definition of each scheme.
use num_rational::BigRational;
use proptest::prelude::*;

use super::*;

fn rational(amount: i128) -> BigRational {
    BigRational::from_integer(amount.into())
}

fn micros(amount: Credits) -> BigRational {
    rational(amount.micros().into())
}

/// What `scheme` asks for `amount` units, in micro-credits, unrounded.
fn asked(scheme: &Scheme, amount: u64) -> BigRational {
    if amount == 0 {
        return rational(0);
    }
    let (per, started, tiers) = match scheme {
        Scheme::Flat(price) => return micros(*price),
        Scheme::Metered { per, started, tiers } => (per.get(), *started, tiers),
    };
    let units = |count: u64, price: Credits| {
        let packages = rational(count.into()) / rational(per.into());
        micros(price) * if started { packages.ceil() } else { packages }
    };
    let bounds = |tiers: &[Tier]| {
        let ends = tiers.iter().map(|it| it.up_to.unwrap_or(u64::MAX)).collect::<Vec<u64>>();
        core::iter::once(0).chain(ends.clone()).zip(ends).collect::<Vec<(u64, u64)>>()
    };
    let last = |tiers: &[Tier]| bounds(tiers).iter().position(|it| amount <= it.1).unwrap();
    match tiers {
        Tiers::One(price) => units(amount, *price),
        Tiers::Graduated(tiers) => {
            let begun = bounds(tiers).into_iter().zip(tiers).filter(|it| it.0.0 < amount);
            begun.map(|((above, up_to), it)| micros(it.fee) + units(amount.min(up_to) - above, it.price)).sum()
        }
        Tiers::Volume(tiers) => micros(tiers[last(tiers)].fee) + units(amount, tiers[last(tiers)].price),
        Tiers::Bands(tiers) => {
            let above = bounds(tiers)[last(tiers)].0;
            micros(tiers[last(tiers)].fee) + units(amount - above, tiers[last(tiers)].price)
        }
    }
}

fn prices() -> impl Strategy<Value = Credits> {
    prop_oneof![Just(0), 1..100_i64, 1..10_000_000_000_i64].prop_map(Credits::from_micros)
}

fn pers() -> impl Strategy<Value = u64> {
    prop::sample::select(vec![1, 2, 3, 7, 60, 1000, 3600, 1_000_000])
}

/// Tiers whose ends are whole packages of any `per` above.
fn tier_lists() -> impl Strategy<Value = Vec<Tier>> {
    let package = 3_600 * 7 * 1_000_000;
    prop::collection::vec((1..5_u64, prices(), prices()), 1..5).prop_map(move |parts| {
        let mut end = 0;
        let mut tiers = Vec::new();
        for (packages, price, fee) in parts {
            end += packages * package;
            tiers.push(Tier { up_to: Some(end), price, fee, name: None });
        }
        tiers.last_mut().unwrap().up_to = None;
        tiers
    })
}

fn schemes() -> impl Strategy<Value = Scheme> {
    let tiers = prop_oneof![
        prices().prop_map(Tiers::One),
        tier_lists().prop_map(Tiers::Graduated),
        tier_lists().prop_map(Tiers::Volume),
        tier_lists().prop_map(Tiers::Bands),
    ];
    let metered = (pers(), any::<bool>(), tiers).prop_map(|(per, started, tiers)| Scheme::Metered {
        per: NonZeroU64::new(per).unwrap(),
        started,
        tiers,
    });
    prop_oneof![1 => prices().prop_map(Scheme::Flat), 9 => metered]
}

fn amounts() -> impl Strategy<Value = u64> {
    // The last lie where a product or a sum may pass 64 bits.
    let edge = (0..64_u32, 0..3_u64).prop_map(|(bit, off)| (u64::MAX >> bit).saturating_sub(off));
    prop_oneof![0..10_u64, 0..10_000_000_u64, 0..1_000_000_000_000_u64, any::<u64>(), edge]
}

fn rates() -> impl Strategy<Value = Vec<(Scheme, u64)>> {
    prop::collection::vec((schemes(), amounts()), 1..6)
}

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn priced(rates: &[(Scheme, u64)]) -> Result<Price, Refusal> {
    let named = rates.iter().zip(NAMES).map(|(rate, name)| (name, rate.0.clone())).collect();
    let card = card(vec![meter("m", &NAMES[..rates.len()].join(" "), "", vec![row("", named)])]);
    let quantities = rates.iter().zip(NAMES).map(|(rate, name)| (name.into(), rate.1)).collect();
    card.price(&Usage { meter: "m".into(), quantities, dimensions: Vec::new() })
}

/// The same tiers, read so that more never costs less.
fn graduated(scheme: Scheme) -> Scheme {
    match scheme {
        Scheme::Metered { per, started, tiers: Tiers::Volume(tiers) | Tiers::Bands(tiers) } => {
            Scheme::Metered { per, started, tiers: Tiers::Graduated(tiers) }
        }
        other => other,
    }
}

proptest! {
    #[test]
    fn a_price_is_the_exact_sum_rounded_up(rates in rates()) {
        let exact: BigRational = rates.iter().map(|it| asked(&it.0, it.1)).sum();
        match priced(&rates) {
            Ok(price) => {
                prop_assert_eq!(micros(price.credits), exact.ceil());
                let lines: Credits = price.lines.iter().map(|it| it.credits).sum();
                prop_assert_eq!(lines, price.credits);
                for line in &price.lines {
                    prop_assert!(Credits::ZERO <= line.credits);
                    let said = rational(line.quantity.into()) * micros(line.unit_price) / rational(line.per.into());
                    let off = micros(line.credits) - said;
                    prop_assert!(off < rational(1) && rational(-1) < off);
                }
            }
            Err(refusal) => {
                prop_assert_eq!(refusal.code(), "invalid_request");
                prop_assert!(micros(Credits::MAX) < exact.ceil());
            }
        }
    }

    #[test]
    fn a_minimum_and_a_cap_hold(scheme in schemes(), amount in amounts(), bounds in [prices(), prices()]) {
        let mut bounded = meter("m", "a", "", vec![row("", vec![("a", scheme.clone())])]);
        let (minimum, cap) = (bounds[0].min(bounds[1]), bounds[0].max(bounds[1]));
        (bounded.minimum, bounded.cap) = (Some(minimum), Some(cap));
        if let Ok(price) = card(vec![bounded]).price(&usage(&format!("m a={amount}"))) {
            let expected = asked(&scheme, amount).ceil().max(micros(minimum)).min(micros(cap));
            prop_assert_eq!(micros(price.credits), if amount == 0 { rational(0) } else { expected });
            prop_assert_eq!(price.lines.iter().map(|it| it.credits).sum::<Credits>(), price.credits);
        }
    }

    #[test]
    fn more_never_costs_less(mut rates in rates(), more in amounts()) {
        rates = rates.into_iter().map(|it| (graduated(it.0), it.1)).collect();
        let before = priced(&rates);
        rates[0].1 = rates[0].1.saturating_add(more);
        match (before, priced(&rates)) {
            (Ok(before), Ok(after)) => prop_assert!(before.credits <= after.credits),
            (Err(_), after) => prop_assert!(after.is_err()),
            (Ok(_), Err(_)) => {}
        }
    }

    #[test]
    fn a_ceiling_is_the_last_affordable_amount(scheme in schemes(), available in prices()) {
        let card = card(vec![meter("m", "a", "", vec![row("", vec![("a", scheme)])])]);
        let usage = |amount: u64| usage(&format!("m a={amount}"));
        let is_affordable = |amount| card.price(&usage(amount)).is_ok_and(|it| it.credits <= available);
        match card.affordable(&usage(1), available).unwrap()[0].ceiling {
            Ceiling::Nothing => prop_assert!(!is_affordable(0)),
            Ceiling::AtMost(most) => prop_assert!(is_affordable(most) && !is_affordable(most + 1)),
            Ceiling::Unlimited => prop_assert!(is_affordable(u64::MAX)),
        }
    }
}
