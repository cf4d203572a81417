//! Limit ranges and resource quotas.

use std::collections::BTreeSet;

use super::{IMMUTABLE, Place, resources};
use crate::Document;
use crate::field::Errors;
use crate::names;
use crate::quantity::{Notation, Quantity};
use crate::view::View;

const LIMIT_TYPES: [&str; 3] = ["Pod", "Container", "PersistentVolumeClaim"];

/// Scopes that a quota can have.
const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];

/// What pods use, apart from being there.
const COMPUTE: [&str; 6] = ["cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];

/// Scopes that cannot both hold.
const CONFLICTS: [[&str; 2]; 2] = [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]];

const UNFIT_SCOPE: &str = "unsupported scope applied to resource";

/// The largest amount whose thousandths still fit into 64 bits.
const MILLI_VALUES: i64 = i64::MAX / 1000;

/// A limit range, metadata apart.
pub(crate) fn limit_range(range: &Place<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for limit in range.child("spec.limits").items() {
        let limit_type = limit.child("type");
        limit_type_name(&limit_type, errors);
        if !seen.insert(limit_type.text().to_owned()) {
            errors.duplicate(&limit_type);
        }
        resource_names(&limit, errors);
        let storage = |list: &str| limit.value().at(list).get("storage").is_some();
        if limit_type.text() == "PersistentVolumeClaim" && !storage("min") && !storage("max") {
            let detail = "either minimum or maximum storage value is required, but neither was provided";
            errors.required(&limit.child("limits"), detail);
        }
        let lists = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];
        let names: BTreeSet<&str> =
            lists.iter().flat_map(|list| limit.value().fields(list).keys()).map(String::as_str).collect();
        for name in names {
            bounds(&limit, name, errors);
        }
    }
}

fn limit_type_name(limit_type: &Place<'_>, errors: &mut Errors) {
    let reasons = names::qualified_name(limit_type.text());
    if reasons.is_empty() && !limit_type.text().contains('/') && !LIMIT_TYPES.contains(&limit_type.text()) {
        errors.invalid_text(limit_type, "must be a standard limit type or fully qualified");
    }
    for reason in reasons {
        errors.invalid_text(limit_type, reason);
    }
}

fn resource_names(limit: &Place<'_>, errors: &mut Errors) {
    let limit_type = limit.value().text("type");
    let rule = match limit_type {
        "Pod" | "Container" => resources::container_resource,
        _ => resources::any_resource,
    };
    for name in ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"] {
        let list = limit.child(name);
        if limit_type == "Pod" && name.starts_with("default") {
            if list.len() > 0 {
                errors.forbidden(&list, "may not be specified when `type` is 'Pod'");
            }
            continue;
        }
        for (resource, amount) in list.entries() {
            rule(&amount, resource, errors);
        }
    }
}

/// How the amounts that a limit gives for one resource relate.
fn bounds(limit: &Place<'_>, name: &str, errors: &mut Errors) {
    let is_pod = limit.value().text("type") == "Pod";
    let amount = |list: &str| {
        let given = !(is_pod && list.starts_with("default"));
        limit.value().at(list).get(name).filter(|_| given).and_then(Quantity::of)
    };
    let mut refuse = |list: &str, shown: &Quantity, detail: String| {
        let list = limit.child(list);
        errors.invalid_as(&list.key(name), shown.to_string(), detail);
    };
    let (min, max, default, request) = (amount("min"), amount("max"), amount("default"), amount("defaultRequest"));
    let both = |lower: &Option<Quantity>, upper: &Option<Quantity>| {
        (*lower).zip(*upper).filter(|(lower, upper)| lower > upper)
    };
    if let Some((min, max)) = both(&min, &max) {
        refuse("min", &min, format!("min value {min} is greater than max value {max}"));
    }
    if let Some((min, request)) = both(&min, &request) {
        let detail = format!("min value {min} is greater than default request value {request}");
        refuse("defaultRequest", &request, detail);
    }
    if let Some((request, max)) = both(&request, &max) {
        refuse("defaultRequest", &request, format!("default request value {request} is greater than max value {max}"));
    }
    if let Some((request, default)) = both(&request, &default) {
        let detail = format!("default request value {request} is greater than default limit value {default}");
        refuse("defaultRequest", &request, detail);
    }
    if let Some((min, default)) = both(&min, &default) {
        refuse("default", &min, format!("min value {min} is greater than default value {default}"));
    }
    if let Some((default, max)) = both(&default, &max) {
        refuse("default", &max, format!("default value {default} is greater than max value {max}"));
    }
    if let Some(ratio) = amount("maxLimitRequestRatio") {
        if ratio < Quantity::from_units(1, Notation::DecimalSi) {
            refuse("maxLimitRequestRatio", &ratio, format!("ratio {ratio} is less than 1"));
        }
        if let Some(largest) = min.zip(max).and_then(|(min, max)| smaller_than(&ratio, &min, &max)) {
            let detail = format!("ratio {ratio} is greater than max/min = {largest:.6}");
            refuse("maxLimitRequestRatio", &ratio, detail);
        }
    }
    if let (Some(default), Some(request)) = (default, request)
        && !resources::is_overcommit_allowed(name)
        && default != request
    {
        let detail = format!("default value {default} must equal to defaultRequest value {request} in {name}");
        refuse("defaultRequest", &request, detail);
    }
}

/// What `max` is in units of `min`, where that is less than `ratio`.
#[expect(clippy::cast_precision_loss, reason = "Kubernetes compares these as floating-point numbers")]
fn smaller_than(ratio: &Quantity, min: &Quantity, max: &Quantity) -> Option<f64> {
    let small = [ratio, min, max].iter().all(|quantity| quantity.value() < MILLI_VALUES);
    let (ratio, min, max) = if small {
        (ratio.milli_value() as f64 / 1000.0, min.milli_value(), max.milli_value())
    } else {
        (ratio.value() as f64, min.value(), max.value())
    };
    let largest = max as f64 / min as f64;
    (ratio > largest).then_some(largest)
}

/// A resource quota, metadata apart.
pub(crate) fn quota(quota: &Place<'_>, errors: &mut Errors) {
    let spec = quota.child("spec");
    resources::resource_list(&spec.child("hard"), resources::quota_resource, errors);
    let bounded: Vec<&str> = spec.value().fields("hard").keys().map(String::as_str).collect();
    scopes(&spec.child("scopes"), &bounded, errors);
    scope_selector(&spec, &bounded, errors);
}

/// An update of a quota: its scopes stay.
pub(crate) fn quota_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
    quota(new, errors);
    let scopes = new.child("spec.scopes");
    let (before, after): (BTreeSet<&str>, BTreeSet<&str>) =
        (old.texts("spec.scopes").collect(), new.value().texts("spec.scopes").collect());
    if before != after {
        errors.invalid(&scopes, IMMUTABLE);
    }
}

/// The status of a quota.
pub(crate) fn quota_status(quota: &Place<'_>, errors: &mut Errors) {
    let status = quota.child("status");
    for list in ["hard", "used"] {
        resources::resource_list(&status.child(list), resources::quota_resource, errors);
    }
}

fn scopes(scopes: &Place<'_>, bounded: &[&str], errors: &mut Errors) {
    for scope in scopes.items() {
        if !SCOPES.contains(&scope.text()) {
            errors.invalid(scopes, "unsupported scope");
        }
        for _ in bounded.iter().filter(|resource| !fits(scope.text(), resource)) {
            errors.invalid(scopes, UNFIT_SCOPE);
        }
    }
    let has = |name: &str| scopes.items().any(|scope| scope.text() == name);
    for _ in CONFLICTS.iter().filter(|pair| pair.iter().all(|name| has(name))) {
        errors.invalid(scopes, "conflicting scopes");
    }
}

/// Messages name fields of the expressions as if there were one expression.
fn scope_selector(spec: &Place<'_>, bounded: &[&str], errors: &mut Errors) {
    let selector = spec.child("scopeSelector");
    let expressions = selector.child("matchExpressions");
    for expression in expressions.items() {
        let name = expressions.shown_as("scopeName", expression.value().at("scopeName"));
        if !SCOPES.contains(&name.text()) {
            errors.invalid_text(&name, "unsupported scope");
        }
        for _ in bounded.iter().filter(|resource| !fits(name.text(), resource)) {
            errors.invalid_as(&expressions, selector.value().clone(), UNFIT_SCOPE);
        }
        scope_operator(&expressions, expression.value(), errors);
    }
    let has = |name: &str| expressions.items().any(|expression| expression.value().text("scopeName") == name);
    for _ in CONFLICTS.iter().filter(|pair| pair.iter().all(|name| has(name))) {
        errors.invalid_as(&expressions, spec.value().at("scopes").clone(), "conflicting scopes");
    }
}

fn scope_operator(expressions: &Place<'_>, expression: &Document, errors: &mut Errors) {
    let operator = expressions.shown_as("operator", expression.at("operator"));
    let values = expressions.shown_as("values", expression.at("values"));
    let takes_values = matches!(expression.text("scopeName"), "PriorityClass" | "VolumeAttributesClass");
    if !takes_values && SCOPES.contains(&expression.text("scopeName")) && operator.text() != "Exists" {
        let detail = "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, \
                      ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, \
                      ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
        errors.invalid_text(&operator, detail);
    }
    match operator.text() {
        "In" | "NotIn" if values.len() == 0 => {
            errors
                .required(&values, "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector");
        }
        "Exists" | "DoesNotExist" if values.len() > 0 => {
            let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
            errors.invalid(&values, detail);
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        _ => errors.invalid_text(&operator, "not a valid selector operator"),
    }
}

/// Whether objects in a scope use a resource that quotas know.
fn fits(scope: &str, resource: &str) -> bool {
    if !resources::is_standard_quota_resource(resource) {
        return true;
    }
    match scope {
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        _ if SCOPES.contains(&scope) => resource == "pods" || COMPUTE.contains(&resource),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::validation::tests::{refusals_of_spec, refusals_of_update};

    #[test]
    fn limits_are_refused_in_kubernetes_words() {
        let table = [
            (
                json!({"type": "Container", "min": {"cpu": "100m"}, "max": {"cpu": "2"}, "default": {"cpu": "1"},
                "defaultRequest": {"cpu": "500m"}, "maxLimitRequestRatio": {"cpu": "10"}}),
                "",
            ),
            (
                json!({"type": "Node", "max": {"cpu": "1"}}),
                "spec.limits[0].type: Invalid value: \"Node\": must be a standard limit type or fully qualified",
            ),
            (
                json!({"type": "Pod", "default": {"cpu": "1"}}),
                "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'",
            ),
            (
                json!({"type": "PersistentVolumeClaim"}),
                "spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither \
                 was provided",
            ),
            (
                json!({"type": "Pod", "min": {"cpu": "3"}, "max": {"cpu": "2"}}),
                "spec.limits[0].min[cpu]: Invalid value: \"3\": min value 3 is greater than max value 2",
            ),
            (
                json!({"type": "Pod", "min": {"cpu": "1"}, "max": {"cpu": "2"}, "maxLimitRequestRatio": {"cpu": "3"}}),
                "spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"3\": ratio 3 is greater than max/min = \
                 2.000000",
            ),
        ];
        for (limit, expected) in table {
            assert_eq!(refusals_of_spec("", "LimitRange", &json!({"limits": [limit]})), expected, "{limit}");
        }
    }

    #[test]
    fn quotas_are_refused_in_kubernetes_words() {
        let table = [
            (json!({"hard": {"pods": "10", "requests.cpu": "4", "count/deployments.apps": "2"}}), ""),
            (
                json!({"hard": {"disk": "1"}}),
                "spec.hard[disk]: Invalid value: \"disk\": must be a standard resource type or fully qualified\n\
                 spec.hard[disk]: Invalid value: \"disk\": must be a standard resource for quota",
            ),
            (json!({"hard": {"pods": "500m"}}), "spec.hard[pods]: Invalid value: \"500m\": must be an integer"),
            (
                json!({"hard": {"cpu": "1"}, "scopes": ["BestEffort"]}),
                "spec.scopes: Invalid value: [\"BestEffort\"]: unsupported scope applied to resource",
            ),
            (
                json!({"hard": {"pods": "1"}, "scopes": ["BestEffort", "NotBestEffort"]}),
                "spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\"]: conflicting scopes",
            ),
            (
                json!({"hard": {"pods": "1"}, "scopeSelector": {"matchExpressions": [
                    {"scopeName": "PriorityClass", "operator": "In"}]}}),
                "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` \
                 is 'In' or 'NotIn' for scope selector",
            ),
        ];
        for (spec, expected) in table {
            assert_eq!(refusals_of_spec("", "ResourceQuota", &spec), expected, "{spec}");
        }
    }

    #[test]
    fn the_scopes_of_a_quota_stay() {
        let old = json!({"spec": {"hard": {"pods": "1"}, "scopes": ["BestEffort"]}});
        let new = json!({"spec": {"hard": {"pods": "2"}}});
        assert_eq!(
            refusals_of_update("", "ResourceQuota", &old, &new),
            "spec.scopes: Invalid value: null: field is immutable"
        );
    }
}
