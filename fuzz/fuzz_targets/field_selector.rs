//! The `fieldSelector` parameter: what is read is written in a form that selects the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sheave_api::selector::FieldSelector;

fuzz_target!(|text: &str| {
    let Ok(selector) = FieldSelector::parse(text) else { return };
    let written = selector.to_string();
    let again = FieldSelector::parse(&written).unwrap_or_else(|error| panic!("{text} is written {written}: {error}"));
    assert_eq!(again.terms(), selector.terms(), "{text} is written {written}");
});
