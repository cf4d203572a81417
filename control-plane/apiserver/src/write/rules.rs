//! The kind's own rules over an object that is about to be written.

use std::borrow::Cow;

use sheave_api::Document;
use sheave_api::field::FieldError;
use sheave_api::strategy::Strategy;

use super::Part;
use crate::call::Call;
use crate::convert;

/// Everything that is wrong with a new object. The document is in the stored version.
pub(super) fn validate(call: &Call, object: &Document) -> Vec<FieldError> {
    let (strategy, object) = ruled(call, object);
    (strategy.validate)(&object)
}

/// Everything that is wrong with an update. The documents are in the stored version.
pub(super) fn validate_update(call: &Call, part: Part, new: &Document, old: &Document) -> Vec<FieldError> {
    let ((strategy, new), (_, old)) = (ruled(call, new), ruled(call, old));
    match part {
        Part::Main => (strategy.validate_update)(&new, &old),
        Part::Status => (strategy.validate_status_update)(&new, &old),
        Part::Subresource(update) => (update.validate)(&new, &old),
        Part::Trusted => Vec::new(),
    }
}

/// Whose rules hold, and the document in their version: versions of one group share those of the stored version; a kind
/// that is served in another group, as events are, has stricter ones there.
fn ruled<'a>(call: &'a Call, object: &'a Document) -> (&'a Strategy, Cow<'a, Document>) {
    if call.kind.gvk.group == call.stored_kind.gvk.group {
        return (&call.stored_kind.strategy, Cow::Borrowed(object));
    }
    (&call.kind.strategy, convert::to_served(&call.kind, object))
}
