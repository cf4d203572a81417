//! Metrics of autoscalers in the form that the annotations of `autoscaling/v1` have: flat, without targets of their own.

use serde_json::{Map, json};

use crate::Document;
use crate::view::View;

/// The sources of metrics, each with its kind.
const SOURCES: [(&str, &str); 5] = [
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
    ("ContainerResource", "containerResource"),
    ("External", "external"),
];

/// The names of the values of one source in the annotations.
struct Names {
    value: &'static str,
    average_value: &'static str,
    utilization: &'static str,
    selector: &'static str,
}

pub(super) fn spec_to_v1(metric: &Document) -> Document {
    each_source(metric, |kind, source| flat(kind, source, "target", &spec_names(kind)))
}

pub(super) fn spec_to_v2(metric: &Document) -> Document {
    each_source(metric, |kind, source| {
        let names = spec_names(kind);
        let mut deep = deep(kind, source, "target", &names);
        let target_type = target_type(kind, source, &names);
        deep["target"]["type"] = target_type.into();
        deep
    })
}

pub(super) fn status_to_v1(metric: &Document) -> Document {
    each_source(metric, |kind, source| flat(kind, source, "current", &status_names(kind)))
}

pub(super) fn status_to_v2(metric: &Document) -> Document {
    each_source(metric, |kind, source| deep(kind, source, "current", &status_names(kind)))
}

fn each_source(metric: &Document, convert: impl Fn(&str, &Document) -> Document) -> Document {
    let mut converted = json!({"type": metric.text("type")});
    for (kind, name) in SOURCES {
        if metric.has(name) {
            converted[name] = convert(kind, metric.at(name));
        }
    }
    converted
}

/// From `{metric: {name, selector}, describedObject, name, container, target: {value, averageValue ...}}`.
fn flat(kind: &str, source: &Document, values: &str, names: &Names) -> Document {
    let mut flat = Map::new();
    let mut put = |name: &str, value: &Document| {
        if !value.is_null() && !name.is_empty() {
            flat.insert(name.to_owned(), value.clone());
        }
    };
    for name in ["name", "container"] {
        put(name, source.at(name));
    }
    put("metricName", source.at("metric.name"));
    put(names.selector, source.at("metric.selector"));
    put("target", source.at("describedObject"));
    let values = source.at(values);
    put(names.value, values.at("value"));
    put(names.average_value, values.at("averageValue"));
    put(names.utilization, values.at("averageUtilization"));
    // The older form requires a value of objects, even where it means nothing.
    if kind == "Object" {
        flat.entry(names.value).or_insert_with(|| "0".into());
    }
    flat.into()
}

fn deep(kind: &str, source: &Document, values: &str, names: &Names) -> Document {
    let mut target = Map::new();
    for (from, to) in
        [(names.value, "value"), (names.average_value, "averageValue"), (names.utilization, "averageUtilization")]
    {
        let is_filler = kind == "Object" && to == "value" && source.text(from) == "0";
        if !from.is_empty() && source.has(from) && !is_filler {
            target.insert(to.to_owned(), source.at(from).clone());
        }
    }
    let mut deep = json!({ values: target });
    for name in ["name", "container"] {
        if source.has(name) {
            deep[name] = source.at(name).clone();
        }
    }
    if source.has("metricName") {
        deep["metric"] = json!({"name": source.at("metricName")});
        if source.has(names.selector) {
            deep["metric"]["selector"] = source.at(names.selector).clone();
        }
    }
    if kind == "Object" && source.has("target") {
        deep["describedObject"] = source.at("target").clone();
    }
    deep
}

/// The older form has no type of target: what is given says it.
fn target_type(kind: &str, source: &Document, names: &Names) -> &'static str {
    match kind {
        "Resource" | "ContainerResource" if source.has(names.utilization) => "Utilization",
        "Object" if !source.has(names.average_value) => "Value",
        "External" if source.has(names.value) => "Value",
        _ => "AverageValue",
    }
}

fn spec_names(kind: &str) -> Names {
    match kind {
        "Object" => {
            Names { value: "targetValue", average_value: "averageValue", utilization: "", selector: "selector" }
        }
        "External" => Names {
            value: "targetValue",
            average_value: "targetAverageValue",
            utilization: "",
            selector: "metricSelector",
        },
        _ => Names {
            value: "",
            average_value: "targetAverageValue",
            utilization: "targetAverageUtilization",
            selector: "selector",
        },
    }
}

fn status_names(kind: &str) -> Names {
    match kind {
        "Object" => {
            Names { value: "currentValue", average_value: "averageValue", utilization: "", selector: "selector" }
        }
        "External" => Names {
            value: "currentValue",
            average_value: "currentAverageValue",
            utilization: "",
            selector: "metricSelector",
        },
        _ => Names {
            value: "",
            average_value: "currentAverageValue",
            utilization: "currentAverageUtilization",
            selector: "selector",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_of_every_source_survive_both_ways() {
        let selector = json!({"matchLabels": {"queue": "work"}});
        let of_object = json!({"kind": "Service", "name": "web", "apiVersion": "v1"});
        for metric in [
            json!({"type": "Object", "object": {"describedObject": of_object, "metric": {"name": "hits"},
                "target": {"type": "Value", "value": "10"}}}),
            json!({"type": "Object", "object": {"describedObject": of_object,
                "metric": {"name": "hits", "selector": selector}, "target": {"type": "AverageValue", "averageValue": "5"}}}),
            json!({"type": "Pods", "pods": {"metric": {"name": "qps"}, "target": {"type": "AverageValue", "averageValue": "1k"}}}),
            json!({"type": "Resource", "resource": {"name": "memory", "target": {"type": "Utilization", "averageUtilization": 60}}}),
            json!({"type": "ContainerResource", "containerResource": {"name": "cpu", "container": "app",
                "target": {"type": "AverageValue", "averageValue": "100m"}}}),
            json!({"type": "External", "external": {"metric": {"name": "depth", "selector": selector},
                "target": {"type": "Value", "value": "30"}}}),
            json!({"type": "External", "external": {"metric": {"name": "depth"},
                "target": {"type": "AverageValue", "averageValue": "30"}}}),
        ] {
            assert_eq!(spec_to_v2(&spec_to_v1(&metric)), metric);
        }
        for metric in [
            json!({"type": "Object", "object": {"describedObject": of_object, "metric": {"name": "hits"},
                "current": {"value": "10"}}}),
            json!({"type": "Pods", "pods": {"metric": {"name": "qps"}, "current": {"averageValue": "1k"}}}),
            json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 9, "averageValue": "1"}}}),
            json!({"type": "External", "external": {"metric": {"name": "depth"}, "current": {"value": "3"}}}),
        ] {
            assert_eq!(status_to_v2(&status_to_v1(&metric)), metric);
        }
    }

    #[test]
    fn the_older_form_is_flat() {
        let pods = json!({"type": "Pods", "pods": {"metric": {"name": "qps"}, "target": {"type": "AverageValue", "averageValue": "1k"}}});
        assert_eq!(
            spec_to_v1(&pods),
            json!({"type": "Pods", "pods": {"metricName": "qps", "targetAverageValue": "1k"}})
        );
    }
}
