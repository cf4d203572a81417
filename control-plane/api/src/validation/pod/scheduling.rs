//! Tolerations, scheduling gates and how pods are spread.

use std::collections::BTreeSet;

use crate::field::{Errors, FieldError};
use crate::names;
use crate::validation::{Place, labels, optional_one_of};
use crate::view::View;

/// What a taint does to pods that do not tolerate it.
pub(crate) const TAINT_EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// `tolerations` of a pod, or of a runtime class.
pub(crate) fn tolerations(tolerations: &Place<'_>, errors: &mut Errors) {
    for toleration in tolerations.items() {
        toleration_rules(&toleration, errors);
    }
}

fn toleration_rules(toleration: &Place<'_>, errors: &mut Errors) {
    let (key, operator, effect) = (toleration.child("key"), toleration.child("operator"), toleration.child("effect"));
    let value = toleration.value().text("value");
    if key.text().is_empty() {
        if operator.text() != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.invalid_text(&operator, detail);
        }
    } else {
        errors.reasons(&key, names::qualified_name(key.text()));
    }
    if toleration.value().has("tolerationSeconds") && effect.text() != "NoExecute" {
        errors.invalid_text(&effect, "effect must be 'NoExecute' when `tolerationSeconds` is set");
    }
    match operator.text() {
        "" | "Equal" => {
            let reasons = names::label_value(value);
            if !reasons.is_empty() {
                errors.invalid_as(&operator, value, reasons.join(";"));
            }
        }
        "Exists" if !value.is_empty() => {
            let detail = "value must be empty when `operator` is 'Exists'";
            errors.invalid_as(&operator, toleration.value().clone(), detail);
        }
        "Exists" => {}
        _ => errors.not_supported(&operator, &["Equal", "Exists"]),
    }
    if !effect.text().is_empty() {
        crate::validation::one_of(&effect, &TAINT_EFFECTS, errors);
    }
}

/// `schedulingGates` of a pod.
pub(super) fn scheduling_gates(gates: &Place<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for gate in gates.items() {
        let name = gate.value().text("name");
        for reason in names::qualified_name(name) {
            errors.invalid_as(&gate, name, reason);
        }
        if !seen.insert(name.to_owned()) {
            errors.duplicate_as(&gate, name);
        }
    }
}

/// `topologySpreadConstraints` of a pod.
pub(super) fn topology_spread(constraints: &Place<'_>, errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for constraint in constraints.items() {
        let skew = constraint.child("maxSkew");
        if skew.int().unwrap_or_default() <= 0 {
            errors.invalid_int(&skew, "must be greater than zero");
        }
        let key = constraint.child("topologyKey");
        if key.text().is_empty() {
            errors.required(&key, "can not be empty");
        }
        let action = constraint.child("whenUnsatisfiable");
        crate::validation::one_of(&action, &["DoNotSchedule", "ScheduleAnyway"], errors);
        let pair = format!("{{{}, {}}}", key.text(), action.text());
        if !seen.insert(pair.clone()) {
            let path = constraint.path().child("{topologyKey, whenUnsatisfiable}");
            errors.push(FieldError::duplicate(&path, pair));
        }
        min_domains(&constraint.child("minDomains"), action.text(), errors);
        for policy in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            optional_one_of(&constraint.child(policy), &["Honor", "Ignore"], errors);
        }
        match_label_keys(&constraint, errors);
        labels::label_selector(&constraint.child("labelSelector"), errors);
    }
}

fn min_domains(domains: &Place<'_>, action: &str, errors: &mut Errors) {
    let Some(number) = domains.int() else { return };
    if number <= 0 {
        errors.invalid_int(domains, "must be greater than zero");
    }
    if action != "DoNotSchedule" {
        let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
        errors.invalid_int(domains, detail);
    }
}

fn match_label_keys(constraint: &Place<'_>, errors: &mut Errors) {
    let (keys, selector) = (constraint.child("matchLabelKeys"), constraint.value().at("labelSelector"));
    if keys.len() == 0 {
        return;
    }
    if !selector.is_object() {
        errors.forbidden(&keys, "must not be specified when labelSelector is not set");
    }
    for key in keys.items() {
        errors.reasons(&key, names::qualified_name(key.text()));
        if selector.fields("matchLabels").contains_key(key.text()) {
            errors.invalid_text(&key, "exists in both matchLabelKeys and labelSelector");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::refusals_of_spec;

    #[test]
    fn tolerations_are_refused_in_kubernetes_words() {
        let table = [
            (json!([{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]), ""),
            (json!([{"operator": "Exists"}]), ""),
            (json!([{"key": "a", "value": "b"}]), ""),
            (
                json!([{"value": "b"}]),
                "spec.tolerations[0].operator: Invalid value: \"\": operator must be Exists when `key` is empty, which \
                 means \"match all values and all keys\"",
            ),
            (
                json!([{"key": "a", "tolerationSeconds": 3}]),
                "spec.tolerations[0].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is \
                 set",
            ),
            (
                json!([{"key": "a", "effect": "Never"}]),
                "spec.tolerations[0].effect: Unsupported value: \"Never\": supported values: \"NoSchedule\", \
                 \"PreferNoSchedule\", \"NoExecute\"",
            ),
        ];
        for (tolerations, expected) in table {
            assert_eq!(refusals_of_spec(&json!({"tolerations": tolerations})), expected, "{tolerations}");
        }
    }

    #[test]
    fn spreading_is_refused_in_kubernetes_words() {
        let fine = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"a": "b"}}});
        let with = |field: &str, value: crate::Document| {
            let mut constraint = fine.clone();
            constraint[field] = value;
            refusals_of_spec(&json!({"topologySpreadConstraints": [constraint]}))
                .replace("spec.topologySpreadConstraints[0].", "")
        };
        assert_eq!(with("minDomains", json!(2)), "");
        assert_eq!(with("maxSkew", json!(0)), "maxSkew: Invalid value: 0: must be greater than zero");
        assert_eq!(with("topologyKey", json!("")), "topologyKey: Required value: can not be empty");
        assert_eq!(
            with("whenUnsatisfiable", json!("Maybe")),
            "whenUnsatisfiable: Unsupported value: \"Maybe\": supported values: \"DoNotSchedule\", \"ScheduleAnyway\""
        );
        assert_eq!(
            with("matchLabelKeys", json!(["a"])),
            "matchLabelKeys[0]: Invalid value: \"a\": exists in both matchLabelKeys and labelSelector"
        );
        let twice = refusals_of_spec(&json!({"topologySpreadConstraints": [fine, fine]}));
        assert_eq!(
            twice,
            "spec.topologySpreadConstraints[1].{topologyKey, whenUnsatisfiable}: Duplicate value: \"{zone, \
             DoNotSchedule}\""
        );
    }
}
