//! Leases, priority classes and runtime classes.

use super::pod::scheduling::tolerations;
use super::resources;
use super::{Place, immutable, labels, not_negative, positive, required_one_of};
use crate::Document;
use crate::field::{Errors, FieldError, Path};
use crate::names;
use crate::view::{View, equivalent};

/// The prefix of the classes that the system itself defines.
const SYSTEM_PREFIX: &str = "system-";

/// The classes that the system itself defines, with their values.
const SYSTEM_CLASSES: [(&str, i64); 2] =
    [("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];

/// The highest priority that a user can define.
const HIGHEST_PRIORITY: i64 = 1_000_000_000;

/// A lease, metadata apart.
pub(crate) fn lease(lease: &Place<'_>, errors: &mut Errors) {
    let spec = lease.child("spec");
    let (duration, strategy) = (spec.child("leaseDurationSeconds"), spec.child("strategy"));
    if duration.is_set() {
        positive(&duration, errors);
    }
    not_negative(&spec.child("leaseTransitions"), errors);
    if strategy.is_set() {
        coordinated_strategy(&strategy, errors);
    }
    let preferred = spec.child("preferredHolder");
    if !preferred.text().is_empty() && strategy.text().is_empty() {
        errors.forbidden(&preferred, "may only be specified if `strategy` is defined");
    }
}

/// Messages name the field twice.
fn coordinated_strategy(strategy: &Place<'_>, errors: &mut Errors) {
    let place = strategy.shown_as("strategy", strategy.value());
    if strategy.text().contains('/') {
        errors.reasons(&place, names::qualified_name(strategy.text()));
    } else if strategy.text() != "OldestEmulationVersion" {
        errors.not_supported(&place, &["OldestEmulationVersion"]);
    }
}

/// A new priority class, metadata apart.
pub(crate) fn priority_class(class: &Place<'_>, errors: &mut Errors) {
    let name = class.value().text("metadata.name");
    let value = class.child("value");
    if name.starts_with(SYSTEM_PREFIX) {
        if let Err(cause) = is_system_class(class.value()) {
            let detail = format!(
                "priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. error: {cause}"
            );
            errors.push(FieldError::forbidden(&Path::new("metadata").child("name"), detail));
        }
    } else if value.int().is_some_and(|value| value > HIGHEST_PRIORITY) {
        errors.forbidden(&value, format!("maximum allowed value of a user defined priority is {HIGHEST_PRIORITY}"));
    }
    let preemption = class.child("preemptionPolicy");
    if preemption.is_set() {
        required_one_of(&preemption, &["PreemptLowerPriority", "Never"], errors);
    }
}

fn is_system_class(class: &Document) -> Result<(), String> {
    let name = class.text("metadata.name");
    let Some((_, value)) = SYSTEM_CLASSES.iter().find(|(known, _)| *known == name) else {
        return Err(format!("{name} is not a known system priority class"));
    };
    if class.int("value") != Some(*value) {
        return Err(format!("value of {name} PriorityClass must be {value}"));
    }
    if class.flag("globalDefault") {
        return Err(format!("globalDefault of {name} PriorityClass must be false"));
    }
    Ok(())
}

/// An update of a priority class: what pods took from it stays.
pub(crate) fn priority_class_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
    let value = new.child("value");
    if !equivalent(value.value(), old.at("value")) {
        errors.forbidden(&value, "may not be changed in an update.");
    }
    immutable(&new.child("preemptionPolicy"), old.at("preemptionPolicy"), errors);
}

/// A new runtime class, metadata apart.
pub(crate) fn runtime_class(class: &Place<'_>, errors: &mut Errors) {
    super::dns_label(&class.child("handler"), errors);
    let overhead = class.child("overhead");
    // Messages name the amounts as limits.
    let fixed = overhead.shown_as("limits", overhead.value().at("podFixed"));
    resources::resource_list(&fixed, resources::container_resource, errors);
    let scheduling = class.child("scheduling");
    labels::labels(&scheduling.child("nodeSelector"), errors);
    tolerations(&scheduling.child("tolerations"), errors);
}

/// An update of a runtime class: its handler stays.
pub(crate) fn runtime_class_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
    immutable(&new.child("handler"), old.at("handler"), errors);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::validation::tests::{refusals, refusals_of_spec, refusals_of_update};

    #[test]
    fn leases_are_refused_in_kubernetes_words() {
        let table = [
            (json!({"holderIdentity": "a", "leaseDurationSeconds": 15, "leaseTransitions": 0}), ""),
            (
                json!({"leaseDurationSeconds": 0, "leaseTransitions": -1}),
                "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0\n\
                 spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
            ),
            (
                json!({"preferredHolder": "b"}),
                "spec.preferredHolder: Forbidden: may only be specified if `strategy` is defined",
            ),
        ];
        for (spec, expected) in table {
            assert_eq!(refusals_of_spec("coordination.k8s.io", "Lease", &spec), expected, "{spec}");
        }
    }

    #[test]
    fn priorities_above_the_users_are_the_systems() {
        const GROUP: &str = "scheduling.k8s.io";
        let class = |name: &str, value: i64| json!({"metadata": {"name": name}, "value": value});
        assert_eq!(refusals(GROUP, "PriorityClass", &class("high", 1_000_000_000)), "");
        assert_eq!(refusals(GROUP, "PriorityClass", &class("system-node-critical", 2_000_001_000)), "");
        assert_eq!(
            refusals(GROUP, "PriorityClass", &class("high", 1_000_000_001)),
            "value: Forbidden: maximum allowed value of a user defined priority is 1000000000"
        );
        assert_eq!(
            refusals(GROUP, "PriorityClass", &class("system-mine", 1)),
            "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. \
             error: system-mine is not a known system priority class"
        );
        assert_eq!(
            refusals_of_update(GROUP, "PriorityClass", &class("high", 1), &class("high", 2)),
            "value: Forbidden: may not be changed in an update."
        );
    }

    #[test]
    fn the_handler_of_a_runtime_class_is_a_label_and_stays() {
        const GROUP: &str = "node.k8s.io";
        let class = |handler: &str| json!({ "handler": handler });
        assert!(refusals(GROUP, "RuntimeClass", &class("My")).starts_with("handler: Invalid value: \"My\""));
        assert_eq!(
            refusals_of_update(GROUP, "RuntimeClass", &class("runc"), &class("kata")),
            "handler: Invalid value: \"kata\": field is immutable"
        );
    }
}
