//! JSON Patch and merge patch: `{"target": .., "patch": ..}`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::check("json_patch", data));
