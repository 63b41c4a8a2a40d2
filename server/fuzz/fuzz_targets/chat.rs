//! Chat requests and providers' usage objects: counted, or refused.
#![no_main]
use libfuzzer_sys::fuzz_target;
use meters::chat::{ChatRequest, measure};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = ChatRequest::from_json(bytes) {
        let _ = measure(&request);
    }
});
