//! Counts that can also be given as a share.

use super::{Place, not_negative};
use crate::Document;
use crate::field::Errors;
use crate::int_or_percent::IntOrPercent;
use crate::names;

/// A count that is not negative, or digits followed by `%`.
pub(crate) fn check(place: &Place<'_>, errors: &mut Errors) {
    match place.value() {
        Document::String(text) => errors.reasons(place, names::percent(text)),
        _ => not_negative(place, errors),
    }
}

/// A share must not be more than the whole.
pub(crate) fn not_more_than_all(place: &Place<'_>, errors: &mut Errors) {
    if matches!(IntOrPercent::of(place.value()), Some(IntOrPercent::Percent(percent)) if percent > 100) {
        errors.invalid(place, "must not be greater than 100%");
    }
}

/// Whether it is nothing; an absent or malformed one counts as nothing.
pub(crate) fn is_zero(place: &Place<'_>) -> bool {
    match IntOrPercent::of(place.value()) {
        Some(IntOrPercent::Int(count) | IntOrPercent::Percent(count)) => count == 0,
        None => place.text().parse::<i64>().unwrap_or_default() == 0,
    }
}
