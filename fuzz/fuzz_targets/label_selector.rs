//! The `labelSelector` parameter: what is read is written in a form that selects the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use sheave_api::selector::LabelSelector;

fuzz_target!(|text: &str| {
    let Ok(selector) = LabelSelector::parse(text) else { return };
    let written = selector.to_string();
    let again = LabelSelector::parse(&written).unwrap_or_else(|error| panic!("{text} is written {written}: {error}"));
    for labels in [json!({}), json!({"a": "b"}), json!({"a": "1", "app": "web"})] {
        assert_eq!(selector.matches(&labels), again.matches(&labels), "{text} is written {written}");
    }
});
