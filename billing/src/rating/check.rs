//! What makes a rate card whole. Everything wrong is reported at once: an author should not have to try again to see
//! the next fault.
//!
//! Whatever `compile` and `price` assert about a card is established here, so the two change together.
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Display;

use super::card::{Condition, Meter, Rate, Role, Runtime, Scheme, Tier, Tiers};
use super::closest::suggest;
use super::{CardFault, Text, closest, overlap};
use crate::money::Credits;

pub(super) const VERSION_MAX: u32 = 1_000_000;
pub(super) const METERS_MAX: usize = 256;
pub(super) const QUANTITIES_MAX: usize = 32;
pub(super) const DIMENSIONS_MAX: usize = 16;
pub(super) const ROWS_MAX: usize = 1000;
pub(super) const VALUES_MAX: usize = 100;
pub(super) const TIERS_MAX: usize = 100;
/// Combinations of dimension values that one meter may tell apart.
pub(super) const CELLS_MAX: usize = 1 << 14;
pub(super) const PER_MAX: u64 = 1_000_000_000_000;
/// Fractions are counted in the common multiple of all `per`; twice this must fit in 64 bits.
pub(super) const COMMON_MULTIPLE_MAX: u64 = 1_000_000_000_000_000_000;
pub(super) const TEXT_LENGTH_MAX: usize = 128;

/// Faults that are told at once; more are no help to anybody.
const FAULTS_MAX: usize = 100;

/// The faults found so far.
#[derive(Default)]
pub(super) struct Faults(Vec<CardFault>);

impl Faults {
    pub fn add(&mut self, field: impl Into<String>, why: impl Display) {
        if !self.is_full() {
            self.0.push(CardFault { field: field.into(), why: format!("{why}") });
        }
    }
    fn is_full(&self) -> bool {
        FAULTS_MAX <= self.0.len()
    }
    /// Adds a fault unless `holds`.
    pub fn expect(&mut self, holds: bool, field: impl Into<String>, why: impl Display) {
        if !holds {
            self.add(field, why);
        }
    }
}

pub(super) fn card(version: u32, meters: &[Meter]) -> Result<(), Vec<CardFault>> {
    let mut faults = Faults::default();
    faults.expect((1..=VERSION_MAX).contains(&version), "version", "must be 1 or more");
    faults.expect(!meters.is_empty(), "meters", "is empty: a card without meters prices nothing");
    faults.expect(meters.len() <= METERS_MAX, "meters", format_args!("has more than {METERS_MAX} meters"));
    for (place, meter) in meters.iter().enumerate() {
        let path = format!("meters.{}", meter.name);
        let is_new = meters[..place].iter().all(|it| it.name != meter.name);
        faults.expect(is_new, path.as_str(), "is defined twice");
        check_meter(meter, &path, &mut faults);
    }
    if faults.0.is_empty() { Ok(()) } else { Err(faults.0) }
}

fn check_meter(meter: &Meter, path: &str, faults: &mut Faults) {
    let before = faults.0.len();
    check_name(&meter.name, path, faults);
    check_text(&meter.label, &format!("{path}.label"), faults);
    check_text(meter.category.as_str(), &format!("{path}.category"), faults);
    check_quantities(meter, path, faults);
    check_dimensions(meter, path, faults);
    check_rules(meter, path, faults);
    let rows = format!("{path}.rates");
    faults.expect(!meter.rows.is_empty(), rows.as_str(), "is empty: the meter prices nothing");
    faults.expect(meter.rows.len() <= ROWS_MAX, rows.as_str(), format_args!("has more than {ROWS_MAX} rows"));
    for (number, row) in meter.rows.iter().enumerate() {
        let path = format!("{rows}[{number}]");
        let is_empty = row.rates.is_empty() && row.base_fee.is_none();
        faults.expect(!is_empty, path.as_str(), "prices nothing");
        check_conditions(meter, &row.when, &format!("{path}.when"), faults);
        if let Some(fee) = row.base_fee {
            check_price(fee, &format!("{path}.base_fee"), faults);
        }
        for (place, rate) in row.rates.iter().enumerate() {
            let path = format!("{path}.{}", rate.quantity);
            let is_new = row.rates[..place].iter().all(|it| it.quantity != rate.quantity);
            faults.expect(is_new, path.as_str(), "is priced twice in this row");
            check_rate(meter, rate, &path, faults);
        }
    }
    if common_multiple(meter).is_none() {
        faults.add(rows.as_str(), "have `per` values without a small common multiple; use powers of ten");
    }
    // What overlaps, and how many combinations there are, means nothing before the parts are right.
    if faults.0.len() == before {
        overlap::check(meter, &rows, faults);
    }
}

fn check_quantities(meter: &Meter, path: &str, faults: &mut Faults) {
    let all = format!("{path}.quantities");
    let fits = meter.quantities.len() <= QUANTITIES_MAX;
    faults.expect(fits, all.as_str(), format_args!("has more than {QUANTITIES_MAX} quantities"));
    for (place, quantity) in meter.quantities.iter().enumerate() {
        let path = format!("{all}.{}", quantity.name);
        check_name(&quantity.name, &path, faults);
        check_text(&quantity.label, &format!("{path}.label"), faults);
        check_text(&quantity.unit, &format!("{path}.unit"), faults);
        let is_new = meter.quantities[..place].iter().all(|it| it.name != quantity.name);
        faults.expect(is_new, path.as_str(), "is listed twice");
        let is_priced = meter.rows.iter().flat_map(|it| &it.rates).any(|it| it.quantity == quantity.name);
        match quantity.role {
            Role::Informational => faults.expect(!is_priced, path, "is informational, yet a row prices it"),
            Role::Required | Role::Optional => {
                faults.expect(is_priced, path, "is priced by no row; price it, or declare `informational = true`");
            }
        }
    }
}

fn check_dimensions(meter: &Meter, path: &str, faults: &mut Faults) {
    let all = format!("{path}.dimensions");
    let fits = meter.dimensions.len() <= DIMENSIONS_MAX;
    faults.expect(fits, all.as_str(), format_args!("has more than {DIMENSIONS_MAX} dimensions"));
    for (place, dimension) in meter.dimensions.iter().enumerate() {
        let path = format!("{all}[{place}]");
        check_name(dimension, &path, faults);
        faults.expect(!meter.dimensions[..place].contains(dimension), path, "is listed twice");
    }
}

fn check_rules(meter: &Meter, path: &str, faults: &mut Faults) {
    check_conditions(meter, &meter.free_when, &format!("{path}.free_when"), faults);
    for condition in &meter.free_when {
        let is_exact = condition.values.iter().all(|it| !it.ends_with('*'));
        let field = format!("{path}.free_when.{}", condition.dimension);
        faults.expect(is_exact, field, "must be exact: what is free is named in full");
    }
    for (field, amount) in [("minimum", meter.minimum), ("cap", meter.cap)] {
        if let Some(amount) = amount {
            check_price(amount, &format!("{path}.{field}"), faults);
        }
    }
    let is_ordered = meter.minimum.zip(meter.cap).is_none_or(|(minimum, cap)| minimum <= cap);
    faults.expect(is_ordered, format!("{path}.minimum"), "is above the cap");
    if let Some(rule) = &meter.cheaper_of {
        let field = format!("{path}.cheaper_of");
        check_is_dimension(meter, &rule.used, &format!("{field}[0]"), faults);
        check_is_dimension(meter, &rule.asked, &format!("{field}[1]"), faults);
        faults.expect(rule.used != rule.asked, field.as_str(), "compares a dimension with itself");
        let chooses = meter.rows.iter().flat_map(|it| &it.when).any(|it| it.dimension == rule.used);
        faults.expect(chooses, format!("{field}[0]"), "chooses no row, so there is nothing to compare");
    }
    if let Some(dimension) = &meter.once_per {
        check_is_dimension(meter, dimension, &format!("{path}.once_per"), faults);
    }
}

fn check_conditions(meter: &Meter, conditions: &[Condition], path: &str, faults: &mut Faults) {
    for (place, condition) in conditions.iter().enumerate() {
        let path = format!("{path}.{}", condition.dimension);
        check_is_dimension(meter, &condition.dimension, &path, faults);
        let is_new = conditions[..place].iter().all(|it| it.dimension != condition.dimension);
        faults.expect(is_new, path.as_str(), "is asked twice");
        faults.expect(!condition.values.is_empty(), path.as_str(), "lists no value");
        let fits = condition.values.len() <= VALUES_MAX;
        faults.expect(fits, path.as_str(), format_args!("lists more than {VALUES_MAX} values"));
        for (place, value) in condition.values.iter().enumerate() {
            let path = format!("{path}[{place}]");
            check_text(value, &path, faults);
            let stem = value.strip_suffix('*').unwrap_or(value);
            faults.expect(!stem.contains('*'), path.as_str(), "may have a `*` only at its end");
            faults.expect(&**value != "*", path.as_str(), "would match everything; leave the dimension out instead");
            faults.expect(!condition.values[..place].contains(value), path, "is listed twice");
        }
    }
}

fn check_rate(meter: &Meter, rate: &Rate, path: &str, faults: &mut Faults) {
    if !faults.is_full() && meter.quantities.iter().all(|it| it.name != rate.quantity) {
        let known = suggest(&rate.quantity, meter.quantities.iter().map(|it| &*it.name), 3);
        faults.add(path, format_args!("is not a quantity of this meter; {known}"));
    }
    match &rate.scheme {
        Scheme::Flat(price) => {
            check_price(*price, &format!("{path}.flat"), faults);
            let lasts = rate.runtime != Runtime::default();
            faults.expect(!lasts, path, "is flat, so no minimum, commitment or monthly cap applies");
        }
        Scheme::Metered { per, started, tiers } => {
            faults.expect(per.get() <= PER_MAX, format!("{path}.per"), format_args!("must be at most {PER_MAX}"));
            let package = if *started { per.get() } else { 1 };
            match tiers {
                Tiers::One(price) => check_price(*price, &format!("{path}.price"), faults),
                Tiers::Graduated(tiers) => {
                    check_tiers(tiers, &format!("{path}.graduated"), faults);
                    check_packages(tiers, package, &format!("{path}.graduated"), faults);
                }
                Tiers::Volume(tiers) => check_tiers(tiers, &format!("{path}.volume"), faults),
                Tiers::Bands(tiers) => check_tiers(tiers, &format!("{path}.bands"), faults),
            }
        }
    }
    if let Some(cap) = rate.runtime.monthly_cap {
        check_price(cap, &format!("{path}.monthly_cap"), faults);
    }
}

fn check_tiers(tiers: &[Tier], path: &str, faults: &mut Faults) {
    faults.expect(!tiers.is_empty(), path, "has no tiers");
    faults.expect(tiers.len() <= TIERS_MAX, path, format_args!("has more than {TIERS_MAX} tiers"));
    let mut above = 0;
    for (place, tier) in tiers.iter().enumerate() {
        let path = format!("{path}[{place}]");
        check_price(tier.price, &format!("{path}.price"), faults);
        check_price(tier.fee, &format!("{path}.fee"), faults);
        if let Some(name) = &tier.name {
            check_text(name, &format!("{path}.name"), faults);
        }
        let is_last = place + 1 == tiers.len();
        match tier.up_to {
            Some(up_to) => {
                let why = format_args!("must be more than {above}, where this tier begins");
                faults.expect(above < up_to, format!("{path}.up_to"), why);
                above = up_to;
            }
            None => faults.expect(is_last, format!("{path}.up_to"), "is missing: only the last tier has no end"),
        }
    }
}

/// A tier that ends inside a package would make the package be paid twice, once on each side.
fn check_packages(tiers: &[Tier], package: u64, path: &str, faults: &mut Faults) {
    let mut above = 0;
    for (place, tier) in tiers.iter().enumerate() {
        let Some(up_to) = tier.up_to else { continue };
        let is_last = place + 1 == tiers.len();
        let is_whole = up_to.saturating_sub(above).is_multiple_of(package);
        let holds = is_last || is_whole || tier.price.is_zero();
        faults.expect(holds, format!("{path}[{place}].up_to"), format_args!("ends inside a package of {package}"));
        above = up_to;
    }
}

fn check_price(price: Credits, path: &str, faults: &mut Faults) {
    faults.expect(Credits::ZERO <= price, path, "must not be negative");
    faults.expect(price <= Credits::MAX, path, format_args!("is beyond {} credits", Credits::MAX));
}

fn check_is_dimension(meter: &Meter, name: &Text, path: &str, faults: &mut Faults) {
    if !faults.is_full() && !meter.dimensions.contains(name) {
        let near = closest(name, meter.dimensions.iter().map(|it| &**it), 3).join(", ");
        faults.add(path, format_args!("names `{name}`, which `dimensions` does not list; it lists: {near}"));
    }
}

fn check_name(name: &str, path: &str, faults: &mut Faults) {
    let is_plain = name.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'_');
    let fits = (1..=TEXT_LENGTH_MAX / 2).contains(&name.len());
    faults.expect(is_plain && fits, path, "must be named in 1 to 64 of a-z, 0-9 and _");
}

fn check_text(text: &str, path: &str, faults: &mut Faults) {
    let fits = (1..=TEXT_LENGTH_MAX).contains(&text.len()) && !text.contains(char::is_control);
    faults.expect(fits, path, format_args!("must have 1 to {TEXT_LENGTH_MAX} characters, on one line"));
}

/// The least number that every `per` of the meter divides; none when it is too large to count fractions in.
pub(super) fn common_multiple(meter: &Meter) -> Option<u64> {
    let metered = |rate: &Rate| match rate.scheme {
        Scheme::Flat(_) => None,
        Scheme::Metered { per, .. } => Some(per.get()),
    };
    let pers = meter.rows.iter().flat_map(|it| &it.rates).filter_map(metered);
    pers.into_iter().try_fold(1_u64, |multiple, per| {
        let multiple = (multiple / greatest_common_divisor(multiple, per)).checked_mul(per)?;
        if multiple <= COMMON_MULTIPLE_MAX { Some(multiple) } else { None }
    })
}

fn greatest_common_divisor(one: u64, other: u64) -> u64 {
    let (mut one, mut other) = (one, other);
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}
