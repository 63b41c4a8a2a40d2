//! Archives that strangers upload: measured within their limits, twice alike, or refused.
#![no_main]
use libfuzzer_sys::fuzz_target;
use meters::repository::{Options, measure_archive, quietly};

fuzz_target!(|bytes: &[u8]| {
    let options = Options { total_bytes_max: 4 << 20, entries_max: 2_000, ..Options::default() };
    let first = measure_archive(bytes, &options, &quietly);
    let second = measure_archive(bytes, &options, &quietly);
    assert_eq!(first.map(|it| it.measurement).ok(), second.map(|it| it.measurement).ok());
});
