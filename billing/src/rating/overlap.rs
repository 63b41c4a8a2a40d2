//! Rows that would both price the same thing. Which one was meant is never guessed: it is a fault of the card.
use alloc::format;
use alloc::vec::Vec;

use super::card::{Condition, Meter, Row};
use super::check::{CELLS_MAX, Faults};

pub(super) fn check(meter: &Meter, path: &str, faults: &mut Faults) {
    for (place, row) in meter.rows.iter().enumerate() {
        for (earlier, other) in meter.rows[..place].iter().enumerate() {
            if row.when.len() != other.when.len() || !can_both_apply(row, other) {
                continue;
            }
            for what in shared_columns(row, other) {
                faults.add(
                    format!("{path}[{place}].{what}"),
                    format_args!("is priced for the same case in rates[{earlier}], and neither row is more particular"),
                );
            }
        }
    }
    let values = |dimension| {
        let conditions = meter.rows.iter().flat_map(|it| &it.when).filter(|it| it.dimension == dimension);
        let mut values: Vec<_> = conditions.flat_map(|it| &it.values).collect();
        values.sort();
        values.dedup();
        values.len() + 1
    };
    let cells = meter.dimensions.iter().try_fold(1_usize, |cells, it| cells.checked_mul(values(it.clone())));
    let fits = cells.is_some_and(|it| it <= CELLS_MAX);
    faults.expect(fits, path, format_args!("tell apart more than {CELLS_MAX} combinations of dimension values"));
}

/// Whether some usage meets the conditions of both: in every dimension that both ask for they share a value.
fn can_both_apply(row: &Row, other: &Row) -> bool {
    let meets = |it: &Condition| match other.when.iter().find(|other| other.dimension == it.dimension) {
        Some(other) => it.values.iter().any(|value| other.values.contains(value)),
        None => true,
    };
    row.when.iter().all(meets)
}

fn shared_columns<'a>(row: &'a Row, other: &'a Row) -> impl Iterator<Item = &'a str> {
    let is_shared = |it: &&str| other.rates.iter().any(|other| *other.quantity == **it);
    let fee = row.base_fee.and(other.base_fee).map(|_| "base_fee");
    row.rates.iter().map(|it| &*it.quantity).filter(is_shared).chain(fee)
}
