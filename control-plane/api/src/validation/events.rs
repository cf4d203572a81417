//! Events of both groups.

use super::Place;
use crate::Document;
use crate::field::{Errors, FieldError, Path};
use crate::names;
use crate::view::{View, equivalent, is_empty};

/// What the same thing is called in `v1` and in `events.k8s.io/v1`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    object: &'static str,
    controller: &'static str,
    note: &'static str,
    source: &'static str,
    first: &'static str,
    last: &'static str,
    count: &'static str,
}

/// The fields of core/v1 events.
pub(crate) const CORE: Names = Names {
    object: "involvedObject",
    controller: "reportingComponent",
    note: "message",
    source: "source",
    first: "firstTimestamp",
    last: "lastTimestamp",
    count: "count",
};

/// The fields of events.k8s.io/v1 events.
pub(crate) const REGARDING: Names = Names {
    object: "regarding",
    controller: "reportingController",
    note: "note",
    source: "deprecatedSource",
    first: "deprecatedFirstTimestamp",
    last: "deprecatedLastTimestamp",
    count: "deprecatedCount",
};

const TEXT_LENGTH: usize = 128;
const NOTE_LENGTH: usize = 1024;

/// What every event keeps to: it is about an object of its own namespace.
pub(crate) fn event(event: &Place<'_>, names: Names, errors: &mut Errors) {
    let namespace = event.value().text("metadata.namespace");
    let object = event.value().at(names.object).text("namespace");
    let in_default = namespace == "default" || namespace.is_empty();
    let is_dated = event.value().has("eventTime");
    let agrees = match (is_dated, object.is_empty()) {
        (false, true) => in_default,
        (false, false) => namespace == object,
        (true, true) => namespace == "default" || namespace == "kube-system",
        (true, false) => true,
    };
    if !agrees {
        let path = Path::new("involvedObject").child("namespace");
        errors.push(FieldError::invalid(&path, object, "does not match event.namespace"));
    }
    if is_dated {
        reporter(event, names, errors);
    }
}

/// Who reports an event, and what was done.
fn reporter(event: &Place<'_>, names: Names, errors: &mut Errors) {
    let value = event.value();
    let controller = event.shown_as("reportingController", value.at(names.controller));
    if controller.text().is_empty() {
        errors.required(&controller, "");
    }
    for reason in names::qualified_name(controller.text()) {
        errors.invalid_text(&controller, reason);
    }
    for name in ["reportingInstance", "action", "reason"] {
        let place = event.child(name);
        if place.text().is_empty() {
            errors.required(&place, "");
        }
        if place.text().len() > TEXT_LENGTH {
            errors.invalid_as(&place, "", format!("can have at most {TEXT_LENGTH} characters"));
        }
    }
    if value.text(names.note).len() > NOTE_LENGTH {
        let place = event.shown_as("message", value.at(names.note));
        errors.invalid_as(&place, "", format!("can have at most {NOTE_LENGTH} characters"));
    }
}

/// A new event of events.k8s.io/v1, beside what every event keeps to.
pub(crate) fn strict(event: &Place<'_>, errors: &mut Errors) {
    series(event, errors);
    let time = event.child("eventTime");
    if !time.is_set() {
        errors.required(&time, "");
    }
    let event_type = event.child("type");
    if !matches!(event_type.text(), "Normal" | "Warning") {
        errors.invalid_as(&event_type, "", format!("has invalid value: {}", event_type.text()));
    }
    // Messages name the deprecated fields as the older version does.
    let deprecated = [
        ("firstTimestamp", REGARDING.first),
        ("lastTimestamp", REGARDING.last),
        ("count", REGARDING.count),
        ("source", REGARDING.source),
    ];
    for (shown, name) in deprecated {
        let place = event.shown_as(shown, event.value().at(name));
        if !is_empty(place.value()) {
            errors.invalid_as(&place, "", "needs to be unset");
        }
    }
}

/// An update through events.k8s.io/v1: only the series goes on.
pub(crate) fn strict_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
    if !equivalent(new.value().at("series"), old.at("series")) {
        series(new, errors);
    }
    let fixed = [
        ("involvedObject", REGARDING.object),
        ("reason", "reason"),
        ("message", REGARDING.note),
        ("source", REGARDING.source),
        ("firstTimestamp", REGARDING.first),
        ("lastTimestamp", REGARDING.last),
        ("count", REGARDING.count),
        ("type", "type"),
        ("eventTime", "eventTime"),
        ("action", "action"),
        ("related", "related"),
        ("reportingController", REGARDING.controller),
        ("reportingInstance", "reportingInstance"),
    ];
    for (shown, name) in fixed {
        super::immutable(&new.shown_as(shown, new.value().at(name)), old.at(name), errors);
    }
}

fn series(event: &Place<'_>, errors: &mut Errors) {
    let series = event.child("series");
    if !series.is_set() {
        return;
    }
    let (count, last) = (series.child("count"), series.child("lastObservedTime"));
    if count.int().unwrap_or_default() < 2 {
        errors.invalid_as(&count, "", "should be at least 2");
    }
    if !last.is_set() {
        errors.required(&last, "");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::validation::tests::{refusals, refusals_of_update};

    #[test]
    fn an_event_is_about_an_object_of_its_namespace() {
        let event =
            |namespace: &str| json!({"metadata": {"namespace": "blue"}, "involvedObject": {"namespace": namespace}});
        assert_eq!(refusals("", "Event", &event("blue")), "");
        assert_eq!(
            refusals("", "Event", &event("red")),
            "involvedObject.namespace: Invalid value: \"red\": does not match event.namespace"
        );
        assert!(refusals("", "Event", &event("")).contains("does not match event.namespace"));
    }

    #[test]
    fn an_event_of_the_newer_group_says_who_did_what_and_when() {
        let event = json!({
            "eventTime": "2024-01-01T00:00:00.000000Z", "regarding": {"namespace": "default"}, "type": "Normal",
            "reason": "Started", "action": "Start", "reportingController": "example.com/a", "reportingInstance": "a-1",
        });
        assert_eq!(refusals("events.k8s.io", "Event", &event), "");
        assert_eq!(
            refusals("events.k8s.io", "Event", &json!({"regarding": {"namespace": "default"}, "deprecatedCount": 1})),
            "eventTime: Required value\n\
             type: Invalid value: \"\": has invalid value: \n\
             count: Invalid value: \"\": needs to be unset"
        );
        let mut changed = event.clone();
        changed["reason"] = json!("Stopped");
        assert_eq!(
            refusals_of_update("events.k8s.io", "Event", &event, &changed),
            "reason: Invalid value: \"Stopped\": field is immutable"
        );
    }
}
