//! The `fieldSelector` parameter: what is read is written in a form that selects the same.

use sheave_api::selector::FieldSelector;

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(selector) = FieldSelector::parse(text) else { return };
    let written = selector.to_string();
    let again = FieldSelector::parse(&written).unwrap_or_else(|error| panic!("{text} is written {written}: {error}"));
    assert_eq!(again.terms(), selector.terms(), "{text} is written {written}");
}
