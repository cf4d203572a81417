//! Whole requests to a server: a path with its parameters, continue tokens among them, and a body.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::check("request", data));
