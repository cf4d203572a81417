//! Pod disruption budgets.

use super::{Place, int_or_percent, labels, not_negative, optional_one_of};
use crate::field::Errors;

/// A budget, metadata apart.
pub(crate) fn budget(budget: &Place<'_>, errors: &mut Errors) {
    let spec = budget.child("spec");
    let (available, unavailable) = (spec.child("minAvailable"), spec.child("maxUnavailable"));
    if available.is_set() && unavailable.is_set() {
        errors.invalid(&spec, "minAvailable and maxUnavailable cannot be both set");
    }
    for bound in [&available, &unavailable] {
        int_or_percent::check(bound, errors);
        int_or_percent::not_more_than_all(bound, errors);
    }
    labels::label_selector(&spec.child("selector"), errors);
    optional_one_of(&spec.child("unhealthyPodEvictionPolicy"), &["AlwaysAllow", "IfHealthyBudget"], errors);
}

/// The status of a budget.
pub(crate) fn status(budget: &Place<'_>, errors: &mut Errors) {
    let status = budget.child("status");
    for name in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
        not_negative(&status.child(name), errors);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::validation::tests::refusals_of_spec;

    #[test]
    fn budgets_are_refused_in_kubernetes_words() {
        let table = [
            (json!({"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}), ""),
            (json!({"maxUnavailable": "50%"}), ""),
            (
                json!({"minAvailable": 1, "maxUnavailable": 1}),
                "spec: Invalid value: {\"maxUnavailable\":1,\"minAvailable\":1}: minAvailable and maxUnavailable cannot \
                 be both set",
            ),
            (json!({"minAvailable": -1}), "spec.minAvailable: Invalid value: -1: must be greater than or equal to 0"),
            (
                json!({"maxUnavailable": "150%"}),
                "spec.maxUnavailable: Invalid value: \"150%\": must not be greater than 100%",
            ),
            (
                json!({"unhealthyPodEvictionPolicy": "Never"}),
                "spec.unhealthyPodEvictionPolicy: Unsupported value: \"Never\": supported values: \"AlwaysAllow\", \
                 \"IfHealthyBudget\"",
            ),
        ];
        for (spec, expected) in table {
            assert_eq!(refusals_of_spec("policy", "PodDisruptionBudget", &spec), expected, "{spec}");
        }
    }
}
