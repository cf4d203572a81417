//! Where a pod wants to be: near or far from nodes and other pods.

use std::collections::BTreeSet;

use crate::field::Errors;
use crate::names;
use crate::validation::{Place, labels};
use crate::view::View;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// `affinity` of a pod.
pub(super) fn affinity(affinity: &Place<'_>, errors: &mut Errors) {
    let node = affinity.child("nodeAffinity");
    let required = node.child(REQUIRED);
    if required.is_set() {
        node_selector(&required, errors);
    }
    for preferred in node.child(PREFERRED).items() {
        weight(&preferred, errors);
        node_selector_term(&preferred.child("preference"), errors);
    }
    for name in ["podAffinity", "podAntiAffinity"] {
        let pods = affinity.child(name);
        for term in pods.child(REQUIRED).items() {
            pod_affinity_term(&term, errors);
        }
        for preferred in pods.child(PREFERRED).items() {
            weight(&preferred, errors);
            pod_affinity_term(&preferred.child("podAffinityTerm"), errors);
        }
    }
}

/// A `NodeSelector`: terms of which one must match.
pub(crate) fn node_selector(selector: &Place<'_>, errors: &mut Errors) {
    let terms = selector.child("nodeSelectorTerms");
    if terms.len() == 0 {
        errors.required(&terms, "must have at least one node selector term");
    }
    for term in terms.items() {
        node_selector_term(&term, errors);
    }
}

fn node_selector_term(term: &Place<'_>, errors: &mut Errors) {
    for requirement in term.child("matchExpressions").items() {
        node_label_requirement(&requirement, errors);
    }
    for requirement in term.child("matchFields").items() {
        node_field_requirement(&requirement, errors);
    }
}

fn node_label_requirement(requirement: &Place<'_>, errors: &mut Errors) {
    let (key, operator, values) =
        (requirement.child("key"), requirement.child("operator"), requirement.child("values"));
    match operator.text() {
        "In" | "NotIn" if values.len() == 0 => {
            errors.required(&values, "must be specified when `operator` is 'In' or 'NotIn'");
        }
        "Exists" | "DoesNotExist" if values.len() > 0 => {
            errors.forbidden(&values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        }
        "Gt" | "Lt" if values.len() != 1 => {
            errors.required(&values, "must be specified single value when `operator` is 'Lt' or 'Gt'");
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        _ => errors.invalid_text(&operator, "not a valid selector operator"),
    }
    for reason in names::qualified_name(key.text()) {
        errors.invalid_text(&key, reason);
    }
}

/// The only field is the node's name.
fn node_field_requirement(requirement: &Place<'_>, errors: &mut Errors) {
    let (key, operator, values) =
        (requirement.child("key"), requirement.child("operator"), requirement.child("values"));
    match operator.text() {
        "In" | "NotIn" if values.len() != 1 => errors
            .required(&values, "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"),
        "In" | "NotIn" => {}
        _ => errors.invalid_text(&operator, "not a valid selector operator"),
    }
    if key.text() == "metadata.name" {
        for value in values.items() {
            errors.reasons(&value, names::dns_subdomain(value.text()));
        }
    } else {
        errors.invalid_text(&key, "not a valid field selector key");
    }
}

fn weight(preferred: &Place<'_>, errors: &mut Errors) {
    let weight = preferred.child("weight");
    if !(1..=100).contains(&weight.int().unwrap_or_default()) {
        errors.invalid_int(&weight, "must be in the range 1-100");
    }
}

fn pod_affinity_term(term: &Place<'_>, errors: &mut Errors) {
    labels::label_selector(&term.child("labelSelector"), errors);
    labels::label_selector(&term.child("namespaceSelector"), errors);
    for namespace in term.value().texts("namespaces") {
        for reason in names::dns_label(namespace) {
            errors.invalid_as(&term.child("namespace"), namespace, reason);
        }
    }
    label_keys(term, errors);
    let key = term.child("topologyKey");
    if key.text().is_empty() {
        errors.required(&key, "can not be empty");
    }
    for reason in names::qualified_name(key.text()) {
        errors.invalid_text(&key, reason);
    }
}

fn label_keys(term: &Place<'_>, errors: &mut Errors) {
    let has_selector = term.value().at("labelSelector").is_object();
    for name in ["matchLabelKeys", "mismatchLabelKeys"] {
        let keys = term.child(name);
        if keys.len() > 0 && !has_selector {
            errors.forbidden(&keys, "must not be specified when labelSelector is not set");
        }
        for key in keys.items().filter(|_| has_selector) {
            errors.reasons(&key, names::qualified_name(key.text()));
        }
    }
    let mismatch: BTreeSet<&str> = term.value().texts("mismatchLabelKeys").collect();
    let keys = term.child("matchLabelKeys");
    for key in keys.items().filter(|key| mismatch.contains(key.text())) {
        errors.invalid_text(&key, "exists in both matchLabelKeys and mismatchLabelKeys");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::refusals_of_spec;

    #[test]
    fn affinity_is_refused_in_kubernetes_words() {
        let node = |terms| json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}});
        let pod = |term| json!({"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}});
        let table = [
            (node(json!([{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}])), ""),
            (
                node(json!([])),
                "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required \
                 value: must have at least one node selector term",
            ),
            (
                node(json!([{"matchFields": [{"key": "spec.x", "operator": "In", "values": ["b"]}]}])),
                "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].\
                 matchFields[0].key: Invalid value: \"spec.x\": not a valid field selector key",
            ),
            (pod(json!({"topologyKey": "zone", "labelSelector": {"matchLabels": {"a": "b"}}})), ""),
            (
                pod(json!({"topologyKey": "zone", "matchLabelKeys": ["a"]})),
                "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].matchLabelKeys: \
                 Forbidden: must not be specified when labelSelector is not set",
            ),
            (
                json!({"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                    {"weight": 101, "podAffinityTerm": {"topologyKey": "zone"}}]}}),
                "spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 101: \
                 must be in the range 1-100",
            ),
        ];
        for (affinity, expected) in table {
            assert_eq!(refusals_of_spec(&json!({"affinity": affinity})), expected, "{affinity}");
        }
    }
}
