//! Strategic merge patch: `{"kind": .., "target": .., "patch": ..}`, or bytes for the generator.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::check("strategic_merge", data));
