//! Figures, printed as they come. Integers all: a benchmark that says 3 significant digits has said enough.
use std::fmt::Write as _;
use std::time::Duration;

/// Prints a row of columns, the first to the left and the others to the right.
pub fn row(columns: &[&str]) {
    let mut line = String::new();
    for (place, column) in columns.iter().enumerate() {
        let width = if place == 0 { 22 } else { 13 };
        let cell = if place == 0 { write!(line, "{column:<width$}") } else { write!(line, "{column:>width$}") };
        cell.expect("a string takes what is written");
    }
    println!("{line}");
}

/// `1234567` as `1 234 567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if 0 < place && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

pub fn per_second(count: u64, took: Duration) -> u64 {
    let nanos = took.as_nanos().max(1);
    u64::try_from(u128::from(count) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
}

/// `part` of `whole`, in percent.
pub fn percent(part: u64, whole: u64) -> String {
    format!("{} %", part.saturating_mul(100) / whole.max(1))
}

/// Milliseconds with three places, of microseconds.
pub fn millis(micros: u64) -> String {
    format!("{}.{:03} ms", micros / 1000, micros % 1000)
}

/// The value below which `permille` of the sorted `values` lie.
pub fn quantile(values: &mut [u64], permille: usize) -> u64 {
    values.sort_unstable();
    match values.len() {
        0 => 0,
        count => values[(count * permille / 1000).min(count - 1)],
    }
}

/// Bytes this process has sent to disk.
pub fn written() -> u64 {
    field("/proc/self/io", "write_bytes:")
}

/// Memory this process has resident, in mebibytes.
pub fn resident_mib() -> u64 {
    field("/proc/self/status", "VmRSS:") / 1024
}

/// Microseconds of processor time this process has taken, in its own code and in the system's. Counted in hundredths of
/// a second.
pub fn processor_micros() -> u64 {
    /// Ticks as Linux shows them to programs.
    const TICK_MICROS: u64 = 10_000;
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program's name, in brackets, may hold anything; what follows it are numbers.
    let after = text.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after.split_whitespace().skip(11).take(2).filter_map(|it| it.parse::<u64>().ok()).sum();
    ticks * TICK_MICROS
}

fn field(file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|it| it.strip_prefix(name));
    line.and_then(|it| it.split_whitespace().next()).and_then(|it| it.parse().ok()).unwrap_or(0)
}
