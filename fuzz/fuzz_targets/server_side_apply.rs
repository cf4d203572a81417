//! Writers of one object: `{"kind": .., "writes": [{"manager": .., "force": .., "apply" or "update": ..}]}`, or bytes
//! for the generator.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::check("server_side_apply", data));
