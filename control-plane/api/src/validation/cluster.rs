//! Namespaces and nodes.

use std::collections::BTreeSet;

use super::metadata::standard_finalizer;
use super::pod::scheduling::TAINT_EFFECTS;
use super::{Place, net, required_one_of, resources};
use crate::Document;
use crate::field::{Errors, FieldError};
use crate::names;
use crate::view::{View, equivalent};

/// A new namespace, metadata apart.
pub(crate) fn namespace(namespace: &Place<'_>, errors: &mut Errors) {
    let finalizers = namespace.child("spec.finalizers");
    for finalizer in finalizers.items() {
        // A new namespace's list is named as a whole.
        namespace_finalizer(&namespace.shown_as("spec.finalizers", finalizer.value()), errors);
    }
}

/// The status of a namespace: its phase says whether it is being deleted.
pub(crate) fn namespace_status(namespace: &Place<'_>, errors: &mut Errors) {
    let status = namespace.child("status");
    // Messages write this field with a capital.
    let phase = status.shown_as("Phase", status.value().at("phase"));
    if namespace.value().has("metadata.deletionTimestamp") {
        if phase.text() != "Terminating" {
            errors.invalid_text(&phase, "may only be 'Terminating' if `deletionTimestamp` is not empty");
        }
    } else if phase.text() != "Active" {
        errors.invalid_text(&phase, "may only be 'Active' if `deletionTimestamp` is empty");
    }
}

/// What keeps a namespace, as its `finalize` subresource writes it.
pub(crate) fn namespace_finalizers(namespace: &Place<'_>, errors: &mut Errors) {
    for finalizer in namespace.child("spec.finalizers").items() {
        namespace_finalizer(&finalizer, errors);
    }
}

fn namespace_finalizer(finalizer: &Place<'_>, errors: &mut Errors) {
    errors.reasons(finalizer, names::qualified_name(finalizer.text()));
    standard_finalizer(finalizer, errors);
}

/// A node, metadata apart.
pub(crate) fn node(node: &Place<'_>, errors: &mut Errors) {
    taints(node, errors);
    amounts(node, errors);
    pod_ranges(&node.child("spec.podCIDRs"), errors);
}

/// An update of a node: the ranges of its pods and its machine's name stay once they are there.
pub(crate) fn node_update(node: &Place<'_>, old: &Document, errors: &mut Errors) {
    amounts(node, errors);
    unique_addresses(node, errors);
    for (field, name) in [("podCIDRs", "podCIDR"), ("providerID", "providerID")] {
        let place = node.child("spec");
        let place = place.child(field);
        let before = old.at("spec").at(field);
        if !crate::view::is_empty(before) && !equivalent(place.value(), before) {
            errors.forbidden(&place, format!("node updates may not change {name} except from \"\" to valid"));
        }
    }
    if old.list("spec.podCIDRs").is_empty() {
        pod_ranges(&node.child("spec.podCIDRs"), errors);
    }
    taints(node, errors);
}

/// The status of a node.
pub(crate) fn node_status(node: &Place<'_>, errors: &mut Errors) {
    amounts(node, errors);
    unique_addresses(node, errors);
}

fn taints(node: &Place<'_>, errors: &mut Errors) {
    let metadata = node.child("metadata");
    // Messages name taints as if they were metadata.
    let taints = metadata.shown_as("taints", node.value().at("spec.taints"));
    let mut seen = BTreeSet::new();
    for taint in taints.items() {
        let (key, value, effect) = (taint.child("key"), taint.child("value"), taint.child("effect"));
        errors.reasons(&key, names::qualified_name(key.text()));
        let reasons = names::label_value(value.text());
        if !reasons.is_empty() {
            errors.invalid_text(&value, reasons.join(";"));
        }
        required_one_of(&effect, &TAINT_EFFECTS, errors);
        if !seen.insert((key.text().to_owned(), effect.text().to_owned())) {
            let mut error = FieldError::duplicate(&taint.path(), taint.value().clone());
            error.message.push_str(": taints must be unique by key and effect pair");
            errors.push(error);
        }
    }
}

fn amounts(node: &Place<'_>, errors: &mut Errors) {
    for list in ["status.capacity", "status.allocatable"] {
        let list = node.child(list);
        for (name, _) in list.entries() {
            // A dot, not brackets, leads to the resource here.
            resources::amount(&list.shown_as(name, list.value().get(name).unwrap_or(&Document::Null)), name, errors);
        }
    }
}

fn unique_addresses(node: &Place<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for address in node.child("status.addresses").items() {
        let pair = (address.value().text("type").to_owned(), address.value().text("address").to_owned());
        if !seen.insert(pair) {
            errors.duplicate(&address);
        }
    }
}

fn pod_ranges(ranges: &Place<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for range in ranges.items() {
        net::canonical_cidr(&range, errors);
        if !seen.insert(range.text().to_owned()) {
            errors.duplicate(&range);
        }
    }
    let families: Vec<_> = ranges.items().filter_map(|range| net::parse_cidr(range.text())).collect();
    let families: Vec<_> = families.into_iter().map(|(network, _)| net::family(network)).collect();
    net::at_most_one_per_family(ranges, &families, "CIDR", errors);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::validation::tests::{refusals, refusals_of_status, refusals_of_subresource, refusals_of_update};

    #[test]
    fn a_namespace_is_named_by_a_label() {
        let namespace = json!({"metadata": {"name": "a.b"}});
        assert_eq!(
            refusals("", "Namespace", &namespace),
            "metadata.name: Invalid value: \"a.b\": must not contain dots"
        );
    }

    #[test]
    fn the_phase_of_a_namespace_follows_its_deletion() {
        let old = json!({"status": {"phase": "Active"}});
        let new = json!({"status": {"phase": "Terminating"}});
        assert_eq!(
            refusals_of_status("", "Namespace", &old, &new),
            "status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"
        );
        let finalized = json!({"spec": {"finalizers": ["mine"]}});
        assert_eq!(
            refusals_of_subresource(("", "Namespace", "finalize"), &old, &finalized),
            "spec.finalizers[0]: Invalid value: \"mine\": name is neither a standard finalizer name nor is it fully \
             qualified"
        );
    }

    #[test]
    fn nodes_are_refused_in_kubernetes_words() {
        let taint = json!({"key": "a", "effect": "NoSchedule"});
        let table = [
            (json!({"spec": {"taints": [taint], "podCIDRs": ["10.1.0.0/24", "fd00::/64"]}}), ""),
            (
                json!({"spec": {"taints": [taint, taint]}}),
                "metadata.taints[1]: Duplicate value: {\"effect\":\"NoSchedule\",\"key\":\"a\"}: taints must be unique \
                 by key and effect pair",
            ),
            (json!({"spec": {"taints": [{"key": "a"}]}}), "metadata.taints[0].effect: Required value"),
            (
                json!({"spec": {"podCIDRs": ["10.1.0.0/24", "10.2.0.0/24"]}}),
                "spec.podCIDRs: Invalid value: [\"10.1.0.0/24\",\"10.2.0.0/24\"]: may specify no more than one CIDR for \
                 each IP family",
            ),
            (
                json!({"status": {"capacity": {"pods": "500m"}, "allocatable": {}}}),
                "status.capacity.pods: Invalid value: \"500m\": must be an integer",
            ),
        ];
        for (node, expected) in table {
            assert_eq!(refusals("", "Node", &node), expected, "{node}");
        }
    }

    #[test]
    fn the_ranges_of_a_node_stay() {
        let old = json!({"spec": {"podCIDRs": ["10.1.0.0/24"], "podCIDR": "10.1.0.0/24", "providerID": "x"}});
        let new = json!({"spec": {"podCIDRs": ["10.2.0.0/24"], "podCIDR": "10.2.0.0/24", "providerID": "y"}});
        assert_eq!(
            refusals_of_update("", "Node", &old, &new),
            "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid\n\
             spec.providerID: Forbidden: node updates may not change providerID except from \"\" to valid"
        );
        assert_eq!(refusals_of_update("", "Node", &json!({}), &new), "");
    }
}
