//! Request bodies in JSON and YAML: what is decoded stays the same when it is decoded again.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::check("body", data));
