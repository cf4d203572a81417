//! Resource quantities: what is read is written in a form that reads as the same amount.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::check("quantity", data));
