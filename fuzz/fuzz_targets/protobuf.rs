//! Protobuf bodies: what decodes is a document that encodes, and decodes to the same document again.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::check("protobuf", data));
