//! Resource quantities: what is read is written in a form that reads as the same amount.

use sheave_api::quantity::Quantity;

/// Takes one input.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(quantity) = text.parse::<Quantity>() else { return };
    let written = quantity.to_string();
    let again = written.parse::<Quantity>().unwrap_or_else(|error| panic!("{text} is written {written}: {error}"));
    assert_eq!(again, quantity, "{text} is written {written}");
    // Amounts that no counter holds may change from suffixes to an exponent on the way.
    if (i64::MIN + 1..i64::MAX).contains(&quantity.value()) {
        assert_eq!(again.to_string(), written, "the canonical form of {text}");
    }
    let _ = (
        quantity.value(),
        quantity.milli_value(),
        quantity.plus(&again).to_string(),
        quantity.minus(&again).to_string(),
    );
}
