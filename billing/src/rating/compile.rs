//! A meter made ready to price: every choice that depends on the card alone is made here, once, so that a charge
//! costs a few comparisons and copies no text.
//!
//! The rows become a table. Each dimension that rows ask for gives every value known to the card a number (0: any
//! other value, or none); the numbers together name a cell, and the cell says which rate prices which quantity.
//! Relies on the card having been checked, and asserts what it relies on.
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::card::{Condition, Meter, Rate, Role, Row, Runtime, Scheme, Tier, Tiers};
use super::{Text, check, counted};
use crate::money::Credits;

/// In a cell: no rate.
const NONE: u16 = u16::MAX;

#[derive(Clone, Debug)]
pub(super) struct Compiled {
    pub meter: Meter,
    pub selectors: Vec<Selector>,
    /// By cell, then by quantity, with the base fee after the last quantity.
    slots: Vec<u16>,
    rates: Vec<CompiledRate>,
    /// A multiple of every `per` of the meter: fractions of a micro-credit are counted in it.
    pub denominator: u64,
    /// Bit `n` is quantity `n`.
    pub required: u32,
    pub priced: u32,
    /// Quantities that have a name since lately, each with the one that it was counted as.
    pub before: Vec<(usize, usize)>,
    /// By dimension: the values that make a charge free, and the line that says so.
    pub free: Vec<(usize, Vec<(Text, Text)>)>,
    /// The dimensions `used` and `asked` of `cheaper_of`.
    pub fallback: Option<(usize, usize)>,
    pub items: Items,
}

/// Texts of lines that belong to no rate.
#[derive(Clone, Debug)]
pub(super) struct Items {
    pub nothing: Text,
    pub minimum: Text,
    pub cap: Text,
    /// The unit of what is asked once.
    pub charge: Text,
}

/// Recognises the values of one dimension.
#[derive(Clone, Debug)]
pub(super) struct Selector {
    pub dimension: usize,
    /// Sorted, each with its number, from 1.
    exact: Vec<(Text, usize)>,
    /// Sorted, without the `*`.
    beginnings: Vec<(Text, usize)>,
    /// How far apart cells lie that differ by one in this dimension.
    stride: usize,
}

#[derive(Clone, Debug)]
pub(super) struct CompiledRate {
    /// Row, and rate in it; none for a base fee.
    pub source: Option<(usize, usize)>,
    pub mode: Mode,
    /// Of one step, price and package alike, units are divided by this.
    pub per: u64,
    pub started: bool,
    /// `denominator` / `per`.
    pub scale: u64,
    pub steps: Vec<Step>,
    pub unit: Text,
    pub runtime: Runtime,
    pub cap_item: Text,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// Every step below the quantity counts, each for its own units.
    Each,
    /// The step of the last unit counts for all units.
    Whole,
    /// The step of the last unit counts for the units above the step before.
    Beyond,
}

#[derive(Clone, Debug)]
pub(super) struct Step {
    pub above: u64,
    pub up_to: u64,
    /// In micro-credits, for `per` units.
    pub price: u64,
    pub fee: Credits,
    pub item: Text,
    pub fee_item: Text,
    pub fee_unit: Text,
}

impl Selector {
    fn new(dimension: usize, rows: &[Row], name: &Text) -> Selector {
        let conditions = rows.iter().flat_map(|it| &it.when).filter(|it| it.dimension == *name);
        let mut values: Vec<&Text> = conditions.flat_map(|it| &it.values).collect();
        values.sort();
        values.dedup();
        let numbered = || values.iter().zip(1..).map(|(value, number)| (*value, number));
        let exact = numbered().filter(|it| !it.0.ends_with('*')).map(|it| (it.0.clone(), it.1)).collect();
        let beginning = |(value, number): (&Text, usize)| Some((Text::from(value.strip_suffix('*')?), number));
        let mut beginnings: Vec<(Text, usize)> = numbered().filter_map(beginning).collect();
        beginnings.sort();
        Selector { dimension, exact, beginnings, stride: 0 }
    }
    /// The number of `value`; 0 when the card does not know it.
    pub fn recognise(&self, value: &str) -> usize {
        match self.exact.binary_search_by(|it| (*it.0).cmp(value)) {
            Ok(place) => self.exact[place].1,
            Err(_) => {
                // What begins a text sorts before it, and the longer of two beginnings after the shorter.
                let before = self.beginnings.partition_point(|it| *it.0 <= *value);
                self.beginnings[..before].iter().rev().find(|it| value.starts_with(&*it.0)).map_or(0, |it| it.1)
            }
        }
    }
    /// The number that the card gave a value as it is written there.
    fn number(&self, written: &str) -> usize {
        let beginning = |stem: &str| self.beginnings.iter().find(|it| *it.0 == *stem).map(|it| it.1);
        let number = match written.strip_suffix('*') {
            Some(stem) => beginning(stem),
            None => Some(self.recognise(written)),
        };
        number.filter(|it| *it != 0).expect("every value of a row was numbered")
    }
    /// How many numbers there are, 0 included.
    fn count(&self) -> usize {
        1 + self.exact.len() + self.beginnings.len()
    }
    /// What to suggest for a value that is not known; beginnings only where there is nothing else.
    pub fn known(&self) -> impl Iterator<Item = &str> {
        let known = if self.exact.is_empty() { &self.beginnings } else { &self.exact };
        known.iter().map(|it| &*it.0)
    }
    pub fn cell(&self, number: usize) -> usize {
        number * self.stride
    }
}

impl Compiled {
    pub fn new(meter: Meter) -> Compiled {
        let mut selectors = selectors(&meter);
        let mut cells = 1;
        for selector in &mut selectors {
            selector.stride = cells;
            cells *= selector.count();
        }
        let denominator = check::common_multiple(&meter).expect("a checked meter has a common multiple");
        let mut compiled = Compiled {
            selectors,
            slots: Vec::new(),
            rates: Vec::new(),
            denominator,
            required: bits(&meter, |it| it == Role::Required),
            priced: bits(&meter, |it| it != Role::Informational),
            before: counted::before(&meter),
            free: free(&meter),
            fallback: meter.cheaper_of.as_ref().map(|it| (place(&meter, &it.used), place(&meter, &it.asked))),
            items: Items {
                nothing: Text::from("Nothing to charge"),
                minimum: Text::from("Up to the minimum"),
                cap: Text::from("Above the cap"),
                charge: Text::from("charge"),
            },
            meter,
        };
        compiled.fill(cells);
        compiled
    }

    /// The rate that prices quantity `column` in `cell`, or, after the last quantity, the base fee there.
    pub fn slot(&self, cell: usize, column: usize) -> Option<&CompiledRate> {
        let slot = self.slots[cell * (self.meter.quantities.len() + 1) + column];
        if slot == NONE { None } else { Some(&self.rates[usize::from(slot)]) }
    }
    pub fn base_fee_column(&self) -> usize {
        self.meter.quantities.len()
    }

    /// Lays the rows into the cells, the ones with fewest conditions first, so that the more particular ones
    /// overwrite them.
    fn fill(&mut self, cells: usize) {
        let columns = self.base_fee_column() + 1;
        let mut slots = alloc::vec![NONE; cells * columns];
        let mut order: Vec<usize> = (0..self.meter.rows.len()).collect();
        order.sort_by_key(|it| self.meter.rows[*it].when.len());
        for row in order {
            let entries = self.compile_row(row);
            let reach: Vec<Option<Vec<usize>>> = self.selectors.iter().map(|it| self.reach(row, it)).collect();
            for cell in (0..cells).filter(|it| self.is_reached(*it, &reach)) {
                for (column, slot) in &entries {
                    slots[cell * columns + column] = *slot;
                }
            }
        }
        self.slots = slots;
    }
    /// The numbers that `row` admits in the dimension of `selector`; all when it asks nothing of it.
    fn reach(&self, row: usize, selector: &Selector) -> Option<Vec<usize>> {
        let name = &self.meter.dimensions[selector.dimension];
        let condition = self.meter.rows[row].when.iter().find(|it| it.dimension == *name)?;
        Some(condition.values.iter().map(|it| selector.number(it)).collect())
    }
    fn is_reached(&self, cell: usize, reach: &[Option<Vec<usize>>]) -> bool {
        self.selectors.iter().zip(reach).all(|(selector, numbers)| {
            let number = cell / selector.stride % selector.count();
            numbers.as_ref().is_none_or(|it| it.contains(&number))
        })
    }
    /// The columns that `row` prices, each with its slot.
    fn compile_row(&mut self, row: usize) -> Vec<(usize, u16)> {
        let Row { when, base_fee, rates } = &self.meter.rows[row];
        let chosen = chosen_by(when);
        let mut compiled = Vec::new();
        if let Some(fee) = base_fee {
            let label = format!("Base fee{chosen}");
            compiled.push((self.base_fee_column(), flat(*fee, &label, &self.items.charge)));
        }
        for (number, rate) in rates.iter().enumerate() {
            let column = self.meter.quantities.iter().position(|it| it.name == rate.quantity);
            let column = column.expect("a checked rate prices a quantity of its meter");
            let quantity = &self.meter.quantities[column];
            let label = format!("{}{chosen}", quantity.label);
            let source = Some((row, number));
            let rate = compile_rate(rate, self.denominator, &label, &quantity.unit);
            compiled.push((column, CompiledRate { source, ..rate }));
        }
        let mut enter = |(column, rate)| {
            let slot = u16::try_from(self.rates.len()).ok().filter(|it| *it != NONE);
            self.rates.push(rate);
            (column, slot.expect("a checked meter has fewer rates"))
        };
        compiled.into_iter().map(&mut enter).collect()
    }
}

fn bits(meter: &Meter, is: impl Fn(Role) -> bool) -> u32 {
    let set = meter.quantities.iter().enumerate().filter(|it| is(it.1.role));
    set.fold(0, |bits, (column, _)| bits | 1 << column)
}

fn place(meter: &Meter, dimension: &str) -> usize {
    let place = meter.dimensions.iter().position(|it| **it == *dimension);
    place.expect("a checked meter lists every dimension it uses")
}

fn selectors(meter: &Meter) -> Vec<Selector> {
    let asked = |name: &Text| meter.rows.iter().flat_map(|it| &it.when).any(|it| it.dimension == *name);
    let chosen = meter.dimensions.iter().enumerate().filter(|it| asked(it.1));
    chosen.map(|(dimension, name)| Selector::new(dimension, &meter.rows, name)).collect()
}

fn free(meter: &Meter) -> Vec<(usize, Vec<(Text, Text)>)> {
    let line = |value: &Text| (value.clone(), Text::from(format!("Not charged: {value}")));
    let values = |it: &[Text]| it.iter().map(line).collect();
    meter.free_when.iter().map(|it| (place(meter, &it.dimension), values(&it.values))).collect()
}

/// ` (gpt-6-sol, eu)`: the values that chose a row, by the first name that the card gives each.
fn chosen_by(when: &[Condition]) -> String {
    let names: Vec<&str> = when.iter().map(|it| &*it.values[0]).collect();
    if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
}

fn compile_rate(rate: &Rate, denominator: u64, label: &str, unit: &Text) -> CompiledRate {
    let (per, started, tiers) = match &rate.scheme {
        Scheme::Flat(fee) => return flat(*fee, label, unit),
        Scheme::Metered { per, started, tiers } => (per.get(), *started, tiers),
    };
    let (mode, steps) = match tiers {
        Tiers::One(price) => (Mode::Each, Vec::from([Tier { price: *price, ..Tier::default() }])),
        Tiers::Graduated(tiers) => (Mode::Each, tiers.clone()),
        Tiers::Volume(tiers) => (Mode::Whole, tiers.clone()),
        Tiers::Bands(tiers) => (Mode::Beyond, tiers.clone()),
    };
    assert!(denominator.is_multiple_of(per));
    CompiledRate {
        source: None,
        mode,
        per,
        started,
        scale: denominator / per,
        steps: compile_steps(&steps, mode, label),
        unit: if started && 1 < per { Text::from(format!("package of {per}")) } else { unit.clone() },
        runtime: rate.runtime,
        cap_item: Text::from(format!("Above the monthly cap: {label}")),
    }
}

fn compile_steps(tiers: &[Tier], mode: Mode, label: &str) -> Vec<Step> {
    let mut above = 0;
    let mut steps = Vec::new();
    for tier in tiers {
        let range = match (tier.up_to, &tier.name) {
            (_, Some(name)) => format!(", {name}"),
            (Some(up_to), None) if above == 0 => format!(", up to {up_to}"),
            (Some(up_to), None) => format!(", {} to {up_to}", above + 1),
            (None, None) if above == 0 => String::new(),
            (None, None) => format!(", above {above}"),
        };
        let item = match mode {
            Mode::Each | Mode::Whole => format!("{label}{range}"),
            Mode::Beyond if tier.name.is_some() && 0 < above => format!("{label}{range}, above {above}"),
            Mode::Beyond => format!("{label}{range}"),
        };
        let fee_item = format!("{label}{range}");
        steps.push(Step {
            above,
            up_to: tier.up_to.unwrap_or(u64::MAX),
            price: u64::try_from(tier.price.micros()).expect("a checked price is not negative"),
            fee: tier.fee,
            item: Text::from(item),
            fee_unit: Text::from("fee"),
            fee_item: Text::from(fee_item),
        });
        above = tier.up_to.unwrap_or(u64::MAX);
    }
    steps
}

fn flat(fee: Credits, label: &str, unit: &Text) -> CompiledRate {
    let item = Text::from(label);
    let step = Step {
        above: 0,
        up_to: u64::MAX,
        price: 0,
        fee,
        item: item.clone(),
        fee_unit: unit.clone(),
        fee_item: item.clone(),
    };
    CompiledRate {
        source: None,
        mode: Mode::Each,
        per: 1,
        started: false,
        scale: 0,
        steps: Vec::from([step]),
        unit: unit.clone(),
        runtime: Runtime::default(),
        cap_item: item,
    }
}
