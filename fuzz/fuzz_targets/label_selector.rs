//! The `labelSelector` parameter: what is read is written in a form that selects the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::check("label_selector", data));
