//! Horizontal pod autoscalers.

use super::{Place, dns_label, names_of_reference, not_negative, path_segment, resources};
use crate::Document;
use crate::field::Errors;
use crate::quantity::Quantity;
use crate::view::View;

/// The longest period of a scaling policy, in seconds.
const PERIOD_SECONDS: i64 = 1800;

/// The longest stabilization window, in seconds.
const WINDOW_SECONDS: i64 = 3600;

/// The kinds of metrics, each with the field that describes it.
const SOURCES: [(&str, &str); 5] = [
    ("ContainerResource", "containerResource"),
    ("External", "external"),
    ("Object", "object"),
    ("Pods", "pods"),
    ("Resource", "resource"),
];

const ONE_OF_TWO: &str = "may not set both a target raw value and a target utilization";

/// An autoscaler, metadata apart. `old` is the stored one, if any.
pub(crate) fn autoscaler(autoscaler: &Place<'_>, old: &Document, errors: &mut Errors) {
    let spec = autoscaler.child("spec");
    let (min, max) = (spec.child("minReplicas"), spec.child("maxReplicas"));
    let lowest = i64::from(old.int("spec.minReplicas") != Some(0));
    if min.int().is_some_and(|min| min < lowest) {
        errors.invalid_int(&min, format!("must be greater than or equal to {lowest}"));
    }
    super::positive(&max, errors);
    if min.int().is_some_and(|min| max.int().unwrap_or_default() < min) {
        errors.invalid_int(&max, "must be greater than or equal to `minReplicas`");
    }
    names_of_reference(&spec.child("scaleTargetRef"), errors);
    metrics(&spec, errors);
    for direction in ["scaleUp", "scaleDown"] {
        let behavior = spec.child("behavior");
        scaling_rules(&behavior.child(direction), errors);
    }
}

/// The status of an autoscaler.
pub(crate) fn status(autoscaler: &Place<'_>, errors: &mut Errors) {
    for name in ["status.currentReplicas", "status.desiredReplicas"] {
        not_negative(&autoscaler.child(name), errors);
    }
}

fn metrics(spec: &Place<'_>, errors: &mut Errors) {
    let metrics = spec.child("metrics");
    let mut scales_to_nothing = false;
    for metric in metrics.items() {
        scales_to_nothing |= matches!(metric.value().text("type"), "Object" | "External");
        self::metric(&metric, errors);
    }
    if spec.value().int("minReplicas") == Some(0) && !scales_to_nothing {
        let detail = "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.forbidden(&metrics, detail);
    }
}

fn metric(metric: &Place<'_>, errors: &mut Errors) {
    let metric_type = metric.child("type");
    let types: Vec<&str> = SOURCES.iter().map(|(name, _)| *name).collect();
    if metric_type.text().is_empty() {
        errors.required(&metric_type, "must specify a metric source type");
    }
    let expected = SOURCES.iter().find(|(name, _)| *name == metric_type.text()).map(|(_, field)| *field);
    if expected.is_none() {
        errors.not_supported(&metric_type, &types);
    }
    let mut given = 0;
    for name in ["object", "external", "pods", "resource", "containerResource"] {
        let source = metric.child(name);
        if source.is_set() {
            given += 1;
            if given == 1 {
                metric_source(name, &source, errors);
            }
        }
    }
    if let Some(expected) = expected
        && !metric.value().has(expected)
    {
        errors.required(&metric.child(expected), "must populate information for the given metric source");
    }
    if given > 1 {
        for (_, name) in SOURCES.iter().filter(|(_, name)| metric.value().has(name) && Some(*name) != expected) {
            errors.forbidden(&metric.child(name), "must populate the given metric source only");
        }
    }
}

fn metric_source(name: &str, source: &Place<'_>, errors: &mut Errors) {
    if name == "object" {
        names_of_reference(&source.child("describedObject"), errors);
    }
    match name {
        "resource" | "containerResource" => {
            let resource = source.child("name");
            if resource.text().is_empty() {
                errors.required(&resource, "must specify a resource name");
            } else if name == "containerResource" {
                resources::container_resource(&resource, resource.text(), errors);
            }
        }
        _ => path_segment(&source.child("metric.name"), "must specify a metric name", errors),
    }
    if name == "containerResource" {
        let container = source.child("container");
        if container.text().is_empty() {
            errors.required(&container, "must specify a container");
        } else {
            dns_label(&container, errors);
        }
    }
    let target = source.child("target");
    metric_target(&target, errors);
    targets_of(name, &target, errors);
}

/// Which of the targets each kind of metric takes.
fn targets_of(name: &str, target: &Place<'_>, errors: &mut Errors) {
    let (value, average) = (target.child("value"), target.child("averageValue"));
    let utilization = target.child("averageUtilization");
    match name {
        "object" if !value.is_set() && !average.is_set() => {
            errors.required(&average, "must set either a target value or averageValue");
        }
        "external" if !value.is_set() && !average.is_set() => {
            errors.required(&average, "must set either a target value for metric or a per-pod target");
        }
        "external" if value.is_set() && average.is_set() => {
            errors.forbidden(&value, "may not set both a target value for metric and a per-pod target");
        }
        "pods" if !average.is_set() => errors.required(&average, "must specify a positive target averageValue"),
        "resource" | "containerResource" if !utilization.is_set() && !average.is_set() => {
            errors.required(&utilization, "must set either a target raw value or a target utilization");
        }
        "resource" | "containerResource" if utilization.is_set() && average.is_set() => {
            errors.forbidden(&average, ONE_OF_TWO);
        }
        _ => {}
    }
}

fn metric_target(target: &Place<'_>, errors: &mut Errors) {
    let target_type = target.child("type");
    if target_type.text().is_empty() {
        errors.required(&target_type, "must specify a metric target type");
    }
    if !matches!(target_type.text(), "Utilization" | "Value" | "AverageValue") {
        errors.invalid_text(&target_type, "must be either Utilization, Value, or AverageValue");
    }
    for name in ["value", "averageValue"] {
        let amount = target.child(name);
        if Quantity::of(amount.value()).is_some_and(|quantity| quantity.signum() <= 0) {
            errors.invalid(&amount, "must be positive");
        }
    }
    let utilization = target.child("averageUtilization");
    if utilization.int().is_some_and(|percent| percent < 1) {
        errors.invalid_int(&utilization, "must be greater than 0");
    }
}

fn scaling_rules(rules: &Place<'_>, errors: &mut Errors) {
    if !rules.is_set() {
        return;
    }
    let (window, select) = (rules.child("stabilizationWindowSeconds"), rules.child("selectPolicy"));
    if window.int().is_some_and(|seconds| seconds < 0) {
        errors.invalid_int(&window, "must be greater than or equal to zero");
    }
    if window.int().is_some_and(|seconds| seconds > WINDOW_SECONDS) {
        errors.invalid_int(&window, format!("must be less than or equal to {WINDOW_SECONDS}"));
    }
    super::optional_one_of(&select, &["Disabled", "Max", "Min"], errors);
    let policies = rules.child("policies");
    if policies.len() == 0 {
        errors.required(&policies, "must specify at least one Policy");
    }
    for policy in policies.items() {
        super::one_of(&policy.child("type"), &["Percent", "Pods"], errors);
        for name in ["value", "periodSeconds"] {
            let place = policy.child(name);
            if place.int().unwrap_or_default() <= 0 {
                errors.invalid_int(&place, "must be greater than zero");
            }
        }
        let period = policy.child("periodSeconds");
        if period.int().is_some_and(|seconds| seconds > PERIOD_SECONDS) {
            errors.invalid_int(&period, format!("must be less than or equal to {PERIOD_SECONDS}"));
        }
    }
    let tolerance = rules.child("tolerance");
    if let Some(quantity) = Quantity::of(tolerance.value()) {
        resources::not_negative(&tolerance, &quantity, errors);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::Document;
    use crate::validation::tests::refusals_of_spec;
    use crate::view::Edit;

    #[test]
    fn autoscalers_are_refused_in_kubernetes_words() {
        let cpu = json!({"type": "Resource", "resource": {"name": "cpu", "target":
            {"type": "Utilization", "averageUtilization": 80}}});
        let with = |fields: Document| {
            let mut spec = json!({"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "web"},
                "metrics": [cpu]});
            for (path, value) in fields.as_object().unwrap() {
                spec.put(path, value.clone());
            }
            spec
        };
        let table = [
            (json!({}), ""),
            (
                json!({"maxReplicas": 0}),
                "spec.maxReplicas: Invalid value: 0: must be greater than 0\n\
             spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`",
            ),
            (
                json!({"minReplicas": 0}),
                "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1\n\
             spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero \
             replicas",
            ),
            (json!({"scaleTargetRef": {"name": "web"}}), "spec.scaleTargetRef.kind: Required value"),
            (
                json!({"metrics": [{"type": "Pods"}]}),
                "spec.metrics[0].pods: Required value: must populate information for the given metric source",
            ),
            (
                json!({"metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}}]}),
                "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value \
                 or a target utilization",
            ),
            (
                json!({"behavior": {"scaleUp": {"stabilizationWindowSeconds": 3601}}}),
                "spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to \
                 3600",
            ),
        ];
        for (fields, expected) in table {
            assert_eq!(
                refusals_of_spec("autoscaling", "HorizontalPodAutoscaler", &with(fields.clone())),
                expected,
                "{fields}"
            );
        }
    }
}
