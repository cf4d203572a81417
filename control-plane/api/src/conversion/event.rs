//! Events: the same fields under other names (`pkg/apis/events/v1/conversion.go` upstream).

use crate::Document;

/// Core names, and what `events.k8s.io/v1` calls the same thing.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

pub(super) fn to_regarding(event: &mut Document) {
    NAMES.iter().for_each(|(core, regarding)| rename(event, core, regarding));
}

pub(super) fn to_core(event: &mut Document) {
    NAMES.iter().for_each(|(core, regarding)| rename(event, regarding, core));
}

fn rename(event: &mut Document, from: &str, to: &str) {
    let Some(fields) = event.as_object_mut() else { return };
    if let Some(value) = fields.remove(from) {
        fields.insert(to.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_field_survives_both_ways() {
        let regarding = json!({
            "metadata": {"name": "web.1", "namespace": "default"}, "eventTime": "2024-01-01T00:00:00.000000Z",
            "series": {"count": 3, "lastObservedTime": "2024-01-01T00:01:00.000000Z"}, "type": "Normal",
            "regarding": {"kind": "Pod", "name": "web"}, "related": {"kind": "Node", "name": "n1"}, "note": "assigned",
            "reason": "Scheduled", "action": "Binding", "reportingController": "default-scheduler",
            "reportingInstance": "default-scheduler-1", "deprecatedCount": 1, "deprecatedSource": {"component": "x"},
            "deprecatedFirstTimestamp": "2024-01-01T00:00:00Z", "deprecatedLastTimestamp": "2024-01-01T00:00:01Z",
        });
        let mut event = regarding.clone();
        to_core(&mut event);
        let core = json!({
            "metadata": {"name": "web.1", "namespace": "default"}, "eventTime": "2024-01-01T00:00:00.000000Z",
            "series": {"count": 3, "lastObservedTime": "2024-01-01T00:01:00.000000Z"}, "type": "Normal",
            "involvedObject": {"kind": "Pod", "name": "web"}, "related": {"kind": "Node", "name": "n1"},
            "message": "assigned", "reason": "Scheduled", "action": "Binding",
            "reportingComponent": "default-scheduler", "reportingInstance": "default-scheduler-1", "count": 1,
            "source": {"component": "x"}, "firstTimestamp": "2024-01-01T00:00:00Z",
            "lastTimestamp": "2024-01-01T00:00:01Z",
        });
        assert_eq!(event, core);
        to_regarding(&mut event);
        assert_eq!(event, regarding);
    }
}
