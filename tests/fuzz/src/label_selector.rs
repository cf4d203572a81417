//! The `labelSelector` parameter: what is read is written in a form that selects the same.

use serde_json::json;
use sheave_api::selector::LabelSelector;

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(selector) = LabelSelector::parse(text) else { return };
    let written = selector.to_string();
    let again = LabelSelector::parse(&written).unwrap_or_else(|error| panic!("{text} is written {written}: {error}"));
    for labels in [json!({}), json!({"a": "b"}), json!({"a": "1", "app": "web"})] {
        assert_eq!(selector.matches(&labels), again.matches(&labels), "{text} is written {written}");
    }
}
