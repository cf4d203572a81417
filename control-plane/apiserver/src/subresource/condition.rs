//! `status.conditions`, as the server itself sets them.

use jiff::Timestamp;
use sheave_api::Document;
use sheave_api::view::{Edit, View};

/// Puts `condition` in place of the one of its type. The time of its last transition is now, unless its status stays.
pub(super) fn set_condition(object: &mut Document, mut condition: Document) {
    object.default_to("status.conditions", Document::Array(Vec::new()));
    let Some(conditions) = object.at_mut("status.conditions").and_then(Document::as_array_mut) else { return };
    let old = conditions.iter_mut().find(|old| old.text("type") == condition.text("type"));
    let stays = old.as_ref().filter(|old| old.text("status") == condition.text("status"));
    let since = stays.map(|old| old.text("lastTransitionTime").to_owned()).filter(|since| !since.is_empty());
    condition.put("lastTransitionTime", since.unwrap_or_else(|| sheave_api::time::format(Timestamp::now())));
    match old {
        Some(old) => *old = condition,
        None => conditions.push(condition),
    }
}

/// The condition of this type.
pub(super) fn condition<'a>(object: &'a Document, condition_type: &str) -> Option<&'a Document> {
    object.list("status.conditions").iter().find(|condition| condition.text("type") == condition_type)
}
