//! Plans of Terraform, Compose files, plans of our own: scored alike twice, or refused.
#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (first, second) = (meters::plan::measure(bytes), meters::plan::measure(bytes));
    assert_eq!(first.ok(), second.ok());
});
