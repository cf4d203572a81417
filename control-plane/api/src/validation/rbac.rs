//! Roles and their bindings.

use super::{Place, path_segment};
use crate::Document;
use crate::field::{Errors, FieldError};
use crate::kind::Scope;
use crate::names;
use crate::view::{View, equivalent};

const GROUP: &str = "rbac.authorization.k8s.io";

/// The rules of a role.
pub(crate) fn role(role: &Place<'_>, scope: Scope, errors: &mut Errors) {
    for rule in role.child("rules").items() {
        policy_rule(&rule, scope, errors);
    }
}

fn policy_rule(rule: &Place<'_>, scope: Scope, errors: &mut Errors) {
    let verbs = rule.child("verbs");
    if verbs.len() == 0 {
        errors.required(&verbs, "verbs must contain at least one value");
    }
    let (urls, groups) = (rule.child("nonResourceURLs"), rule.child("apiGroups"));
    let (resources, names) = (rule.child("resources"), rule.child("resourceNames"));
    if urls.len() > 0 {
        if scope == Scope::Namespaced {
            errors.invalid(&urls, "namespaced rules cannot apply to non-resource URLs");
        }
        if groups.len() > 0 || resources.len() > 0 || names.len() > 0 {
            errors.invalid(&urls, "rules cannot apply to both regular resources and non-resource URLs");
        }
        return;
    }
    if groups.len() == 0 {
        errors.required(&groups, "resource rules must supply at least one api group");
    }
    if resources.len() == 0 {
        errors.required(&resources, "resource rules must supply at least one resource");
    }
    if names.len() > 0 && resources.len() > 1 {
        errors.required(&names, "resource names cannot apply to multiple resources");
    }
}

/// A binding: which role it is of, and whom it binds.
pub(crate) fn binding(binding: &Place<'_>, scope: Scope, errors: &mut Errors) {
    let role = binding.child("roleRef");
    let (group, kind) = (role.child("apiGroup"), role.child("kind"));
    if group.text() != GROUP {
        errors.not_supported(&group, &[GROUP]);
    }
    let kinds: &[&str] = match scope {
        Scope::Namespaced => &["Role", "ClusterRole"],
        Scope::Cluster => &["ClusterRole"],
    };
    if !kinds.contains(&kind.text()) {
        errors.not_supported(&kind, kinds);
    }
    path_segment(&role.child("name"), "", errors);
    for subject in binding.child("subjects").items() {
        self::subject(&subject, scope, errors);
    }
}

/// An update of a binding: its role stays.
pub(crate) fn binding_update(new: &Place<'_>, old: &Document, scope: Scope, errors: &mut Errors) {
    binding(new, scope, errors);
    let role = new.child("roleRef");
    if !equivalent(role.value(), old.at("roleRef")) {
        errors.invalid(&role, "cannot change roleRef");
    }
}

fn subject(subject: &Place<'_>, scope: Scope, errors: &mut Errors) {
    let (name, kind, group) = (subject.child("name"), subject.child("kind"), subject.child("apiGroup"));
    if name.text().is_empty() {
        errors.required(&name, "");
    }
    match kind.text() {
        "ServiceAccount" => {
            if !name.text().is_empty() {
                errors.reasons(&name, names::dns_subdomain(name.text()));
            }
            if !group.text().is_empty() {
                errors.not_supported(&group, &[""]);
            }
            let namespace = subject.child("namespace");
            if scope == Scope::Cluster && namespace.text().is_empty() {
                errors.required(&namespace, "");
            }
        }
        "User" | "Group" => {
            if name.text().is_empty() {
                let what = kind.text().to_lowercase();
                errors.invalid_text(&name, format!("{what} name cannot be empty"));
            }
            if group.text() != GROUP {
                errors.not_supported(&group, &[GROUP]);
            }
        }
        other => {
            let kinds = ["ServiceAccount", "User", "Group"];
            errors.push(FieldError::not_supported(&kind.path(), other, &kinds));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::validation::tests::{refusals, refusals_of_update};

    #[test]
    fn rules_are_refused_in_kubernetes_words() {
        let of = |kind: &str, rule: Document| refusals(GROUP, kind, &json!({"rules": [rule]}));
        let pods = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]});
        assert_eq!(of("Role", pods.clone()), "");
        assert_eq!(of("ClusterRole", json!({"verbs": ["get"], "nonResourceURLs": ["/healthz"]})), "");
        assert_eq!(
            of("Role", json!({"verbs": ["get"], "nonResourceURLs": ["/healthz"]})),
            "rules[0].nonResourceURLs: Invalid value: [\"/healthz\"]: namespaced rules cannot apply to non-resource URLs"
        );
        assert_eq!(
            of("Role", json!({})),
            "rules[0].verbs: Required value: verbs must contain at least one value\n\
             rules[0].apiGroups: Required value: resource rules must supply at least one api group\n\
             rules[0].resources: Required value: resource rules must supply at least one resource"
        );
    }

    #[test]
    fn bindings_are_refused_in_kubernetes_words() {
        let binding =
            |role: &str, subject: Document| json!({"roleRef": {"kind": role, "name": "r"}, "subjects": [subject]});
        let account = json!({"kind": "ServiceAccount", "name": "a"});
        assert_eq!(refusals(GROUP, "RoleBinding", &binding("Role", account.clone())), "");
        assert_eq!(
            refusals(GROUP, "ClusterRoleBinding", &binding("Role", account)),
            "roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\"\n\
             subjects[0].namespace: Required value"
        );
        assert_eq!(
            refusals(GROUP, "RoleBinding", &binding("Role", json!({"kind": "Robot", "name": "a"}))),
            "subjects[0].kind: Unsupported value: \"Robot\": supported values: \"ServiceAccount\", \"User\", \"Group\""
        );
        let user = json!({"kind": "User", "name": "jane"});
        assert_eq!(
            refusals_of_update(GROUP, "RoleBinding", &binding("Role", user.clone()), &binding("ClusterRole", user)),
            "roleRef: Invalid value: {\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":\"ClusterRole\",\
             \"name\":\"r\"}: cannot change roleRef"
        );
    }
}
