//! Horizontal pod autoscalers: `autoscaling/v1` knows a target for the CPU and nothing else, so everything else of `v2`
//! stands in its annotations (`pkg/apis/autoscaling/v1/conversion.go` upstream).

use serde_json::json;

use super::autoscaler_metrics as metrics;
use crate::Document;
use crate::view::{Edit, View};

const PREFIX: &str = "autoscaling.alpha.kubernetes.io";
const METRICS: &str = "metrics";
const CURRENT_METRICS: &str = "current-metrics";
const CONDITIONS: &str = "conditions";
const BEHAVIOR: &str = "behavior";

/// Upstream writes the behavior with the names of Go fields, and reads them whatever their case.
const GO_NAMES: [(&str, &str); 9] = [
    ("scaleUp", "ScaleUp"),
    ("scaleDown", "ScaleDown"),
    ("stabilizationWindowSeconds", "StabilizationWindowSeconds"),
    ("selectPolicy", "SelectPolicy"),
    ("policies", "Policies"),
    ("tolerance", "Tolerance"),
    ("type", "Type"),
    ("value", "Value"),
    ("periodSeconds", "PeriodSeconds"),
];

pub(super) fn to_v1(autoscaler: &mut Document) {
    drop_annotations(autoscaler);
    let specs = take_list(autoscaler, "spec.metrics");
    if let Some(utilization) = specs.iter().find(|metric| is_cpu(metric)).map(|metric| utilization(metric, "target")) {
        put_int(autoscaler, "spec.targetCPUUtilizationPercentage", utilization);
    }
    let others = specs.iter().filter(|metric| !is_cpu(metric) || utilization(metric, "target").is_none());
    let others: Vec<Document> = others.map(metrics::spec_to_v1).collect();
    annotate(autoscaler, METRICS, others);

    let current = take_list(autoscaler, "status.currentMetrics");
    for metric in current.iter().filter(|metric| is_cpu(metric)) {
        put_int(autoscaler, "status.currentCPUUtilizationPercentage", utilization(metric, "current"));
    }
    annotate(autoscaler, CURRENT_METRICS, current.iter().map(metrics::status_to_v1).collect());
    let conditions = take_list(autoscaler, "status.conditions");
    annotate(autoscaler, CONDITIONS, conditions);
    if let Some(behavior) = autoscaler.remove("spec.behavior").filter(|behavior| !behavior.is_null()) {
        put_annotation(autoscaler, BEHAVIOR, &renamed(behavior, |name| go_name(name, true)));
    }
}

pub(super) fn to_v2(autoscaler: &mut Document) {
    let specs = annotation(autoscaler, METRICS).map(|specs| converted(&specs, metrics::spec_to_v2));
    let cpu = autoscaler.remove("spec.targetCPUUtilizationPercentage").filter(Document::is_number).map(|percentage| {
        json!({"type": "Resource", "resource":
            {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percentage}}})
    });
    let specs: Vec<Document> = specs.unwrap_or_default().into_iter().chain(cpu).collect();
    put_list(autoscaler, "spec.metrics", specs);

    let cpu = autoscaler.remove("status.currentCPUUtilizationPercentage").filter(Document::is_number);
    let cpu = cpu.map(|percentage| {
        json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": percentage}}})
    });
    let current = annotation(autoscaler, CURRENT_METRICS).map(|current| converted(&current, metrics::status_to_v2));
    put_list(autoscaler, "status.currentMetrics", current.unwrap_or_else(|| cpu.into_iter().collect()));
    if let Some(Document::Array(conditions)) = annotation(autoscaler, CONDITIONS) {
        put_list(autoscaler, "status.conditions", conditions.into_iter().filter(Document::is_object).collect());
    }
    if let Some(behavior) = annotation(autoscaler, BEHAVIOR).filter(Document::is_object) {
        autoscaler.put("spec.behavior", without_nulls(renamed(behavior, |name| go_name(name, false))));
    }
    drop_annotations(autoscaler);
}

/// Whether this is a metric of the CPU, the one that `v1` has fields for.
fn is_cpu(metric: &Document) -> bool {
    metric.text("type") == "Resource" && metric.text("resource.name") == "cpu"
}

fn utilization(metric: &Document, value: &str) -> Option<i64> {
    metric.at("resource").at(value).int("averageUtilization")
}

fn put_int(autoscaler: &mut Document, path: &str, value: Option<i64>) {
    if let Some(value) = value {
        autoscaler.put(path, value);
    }
}

fn take_list(autoscaler: &mut Document, path: &str) -> Vec<Document> {
    match autoscaler.remove(path) {
        Some(Document::Array(items)) => items,
        _ => Vec::new(),
    }
}

fn put_list(autoscaler: &mut Document, path: &str, items: Vec<Document>) {
    if !items.is_empty() {
        autoscaler.put(path, items);
    }
}

fn converted(items: &Document, convert: fn(&Document) -> Document) -> Vec<Document> {
    items.as_array().map(|items| items.iter().map(convert).collect()).unwrap_or_default()
}

fn annotate(autoscaler: &mut Document, name: &str, items: Vec<Document>) {
    if !items.is_empty() {
        put_annotation(autoscaler, name, &items.into());
    }
}

fn put_annotation(autoscaler: &mut Document, name: &str, value: &Document) {
    if let Some(annotations) = autoscaler.object_mut("metadata.annotations") {
        annotations.insert(format!("{PREFIX}/{name}"), value.to_string().into());
    }
}

/// What an annotation says; none where it says nothing that can be read, which upstream passes over too.
fn annotation(autoscaler: &Document, name: &str) -> Option<Document> {
    let text = autoscaler.fields("metadata.annotations").get(&format!("{PREFIX}/{name}"))?.as_str()?;
    serde_json::from_str(text).ok()
}

fn drop_annotations(autoscaler: &mut Document) {
    let Some(annotations) = autoscaler.at_mut("metadata.annotations").and_then(Document::as_object_mut) else { return };
    for name in [METRICS, CURRENT_METRICS, CONDITIONS, BEHAVIOR] {
        annotations.remove(&format!("{PREFIX}/{name}"));
    }
    if annotations.is_empty() {
        autoscaler.remove("metadata.annotations");
    }
}

fn go_name(name: &str, to_go: bool) -> String {
    let found = GO_NAMES.iter().find(|(json, _)| json.eq_ignore_ascii_case(name));
    found.map_or(name, |(json, go)| if to_go { go } else { json }).to_owned()
}

fn renamed(value: Document, rename: fn(&str) -> String) -> Document {
    match value {
        Document::Object(fields) => {
            fields.into_iter().map(|(name, value)| (rename(&name), renamed(value, rename))).collect()
        }
        Document::Array(items) => items.into_iter().map(|item| renamed(item, rename)).collect(),
        other => other,
    }
}

fn without_nulls(value: Document) -> Document {
    match value {
        Document::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect(),
        Document::Array(items) => items.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpu(percentage: i64) -> Document {
        json!({"type": "Resource", "resource":
            {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": percentage}}})
    }

    #[test]
    fn a_target_for_the_cpu_is_a_field_of_its_own() {
        let v2 = json!({"metadata": {"name": "web"}, "spec": {"maxReplicas": 3, "metrics": [cpu(70)]}});
        let mut autoscaler = v2.clone();
        to_v1(&mut autoscaler);
        let v1 = json!({"metadata": {"name": "web"}, "spec": {"maxReplicas": 3, "targetCPUUtilizationPercentage": 70}});
        assert_eq!(autoscaler, v1);
        to_v2(&mut autoscaler);
        assert_eq!(autoscaler, v2);
    }

    #[test]
    fn what_the_older_version_has_no_field_for_stands_in_annotations() {
        let memory = json!({"type": "Resource", "resource":
            {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}});
        let rules = json!({"selectPolicy": "Max", "policies": [{"type": "Pods", "value": 4, "periodSeconds": 60}]});
        let condition = json!({"type": "AbleToScale", "status": "True"});
        let current = json!({"type": "Resource", "resource":
            {"name": "cpu", "current": {"averageUtilization": 40, "averageValue": "200m"}}});
        let v2 = json!({
            "metadata": {"name": "web", "annotations": {"mine": "yes"}},
            "spec": {"maxReplicas": 3, "metrics": [memory, cpu(70)], "behavior": {"scaleUp": rules}},
            "status": {"currentMetrics": [current], "conditions": [condition]},
        });
        let mut autoscaler = v2.clone();
        to_v1(&mut autoscaler);
        let annotations = autoscaler.fields("metadata.annotations");
        assert_eq!(
            annotations["autoscaling.alpha.kubernetes.io/metrics"],
            r#"[{"resource":{"name":"memory","targetAverageValue":"1Gi"},"type":"Resource"}]"#
        );
        assert_eq!(
            annotations["autoscaling.alpha.kubernetes.io/behavior"],
            r#"{"ScaleUp":{"Policies":[{"PeriodSeconds":60,"Type":"Pods","Value":4}],"SelectPolicy":"Max"}}"#
        );
        assert_eq!(autoscaler.int("spec.targetCPUUtilizationPercentage"), Some(70));
        assert_eq!(autoscaler.int("status.currentCPUUtilizationPercentage"), Some(40));
        to_v2(&mut autoscaler);
        assert_eq!(autoscaler, v2);
    }

    #[test]
    fn annotations_that_cannot_be_read_say_nothing() {
        for text in ["", "{", "7", "[7]", "{\"a\":1}"] {
            let annotations = json!({"autoscaling.alpha.kubernetes.io/metrics": text,
                "autoscaling.alpha.kubernetes.io/behavior": text, "autoscaling.alpha.kubernetes.io/conditions": text});
            let mut autoscaler = json!({"metadata": {"annotations": annotations}, "spec": {}});
            to_v2(&mut autoscaler);
            assert!(!autoscaler.has("metadata.annotations"), "{autoscaler}");
        }
    }
}
