//! Defaults of namespaces, nodes, configuration, quotas, roles and the rest.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::resource_lists;
use crate::Document;
use crate::view::{Edit, View};

/// The label that each namespace carries, so that selectors can choose it by name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// The group of roles and bindings.
const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// A Namespace.
pub(crate) fn namespace(namespace: &mut Document) {
    namespace.default_zero("status.phase", "Active");
    label_with_name(namespace);
}

/// Puts the name of a namespace in its labels.
pub(crate) fn label_with_name(namespace: &mut Document) {
    let name = namespace.text("metadata.name").to_owned();
    if !name.is_empty()
        && let Some(labels) = namespace.object_mut("metadata.labels")
    {
        labels.insert(NAME_LABEL.to_owned(), name.into());
    }
}

/// A Node: what it has is what pods may use, unless it says otherwise.
pub(crate) fn node(node: &mut Document) {
    resource_lists(node, &["status.capacity", "status.allocatable"]);
    let capacity = node.at("status.capacity");
    if capacity.is_object() {
        let capacity = capacity.clone();
        node.default_to("status.allocatable", capacity);
    }
}

/// A Secret: `stringData` is a way to write `data` without base64.
pub(crate) fn secret(secret: &mut Document) {
    secret.default_zero("type", "Opaque");
    let Some(Document::Object(texts)) = secret.remove("stringData") else { return };
    if texts.is_empty() {
        return;
    }
    if let Some(data) = secret.object_mut("data") {
        for (key, text) in texts {
            if let Some(text) = text.as_str() {
                data.insert(key, STANDARD.encode(text).into());
            }
        }
    }
}

/// A `LimitRange`: for containers, a maximum is the default limit, and a limit or else a minimum the default request.
pub(crate) fn limit_range(range: &mut Document) {
    for limit in range.list_mut("spec.limits") {
        resource_lists(limit, &["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"]);
        if limit.text("type") == "Container" {
            inherit(limit, "default", "max");
            inherit(limit, "defaultRequest", "default");
            inherit(limit, "defaultRequest", "min");
        }
    }
}

/// Copies each resource of the list `from` that the list `to` lacks.
fn inherit(limit: &mut Document, to: &str, from: &str) {
    let Some(values) = limit.at(from).as_object().cloned() else { return };
    if let Some(fields) = limit.object_mut(to) {
        for (resource, value) in values {
            fields.entry(resource).or_insert(value);
        }
    }
}

/// A `ResourceQuota`.
pub(crate) fn resource_quota(quota: &mut Document) {
    resource_lists(quota, &["spec.hard", "status.hard", "status.used"]);
}

/// A role binding, of a namespace or of the cluster.
pub(crate) fn role_binding(binding: &mut Document) {
    binding.default_zero("roleRef.apiGroup", RBAC_GROUP);
    for subject in binding.list_mut("subjects") {
        if matches!(subject.text("kind"), "User" | "Group") {
            subject.default_zero("apiGroup", RBAC_GROUP);
        }
    }
}

/// A request for a certificate: a condition without a status is true.
pub(crate) fn certificate_signing_request(request: &mut Document) {
    for condition in request.list_mut("status.conditions") {
        condition.default_zero("status", "True");
    }
}

/// A `PriorityClass`.
pub(crate) fn priority_class(class: &mut Document) {
    class.default_to("preemptionPolicy", "PreemptLowerPriority");
}

/// A `RuntimeClass`.
pub(crate) fn runtime_class(class: &mut Document) {
    resource_lists(class, &["overhead.podFixed"]);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn defaulted(fill: fn(&mut Document), mut object: Document) -> Document {
        fill(&mut object);
        let once = object.clone();
        fill(&mut object);
        assert_eq!(object, once, "filling in twice changes nothing more");
        object
    }

    #[test]
    fn a_namespace_is_labelled_with_its_name() {
        let namespace = defaulted(namespace, json!({"metadata": {"name": "blue"}}));
        assert_eq!(namespace.at("metadata.labels"), &json!({"kubernetes.io/metadata.name": "blue"}));
        assert_eq!(namespace.text("status.phase"), "Active");
    }

    #[test]
    fn a_node_lets_pods_use_what_it_has() {
        let node = defaulted(node, json!({"status": {"capacity": {"cpu": 2, "memory": "4096Mi"}}}));
        assert_eq!(node.at("status.allocatable"), &json!({"cpu": "2", "memory": "4Gi"}));
        assert_eq!(defaulted(super::node, json!({})), json!({}));
    }

    #[test]
    fn string_data_becomes_data() {
        let secret = defaulted(secret, json!({"data": {"a": "eA==", "b": "eQ=="}, "stringData": {"b": "admin"}}));
        assert_eq!(secret, json!({"type": "Opaque", "data": {"a": "eA==", "b": "YWRtaW4="}}));
    }

    #[test]
    fn a_limit_range_completes_the_limits_of_containers() {
        let range = json!({"spec": {"limits": [
            {"type": "Container", "max": {"cpu": "2"}, "min": {"cpu": "100m", "memory": "1024Ki"}},
            {"type": "Pod", "max": {"cpu": "4"}},
        ]}});
        let range = defaulted(limit_range, range);
        let container = &range.at("spec.limits")[0];
        assert_eq!(container.at("default"), &json!({"cpu": "2"}));
        assert_eq!(container.at("defaultRequest"), &json!({"cpu": "2", "memory": "1Mi"}));
        assert!(!range.at("spec.limits")[1].has("default"));
    }

    #[test]
    fn bindings_get_the_group_of_roles() {
        let binding = defaulted(role_binding, json!({"roleRef": {"kind": "Role"}, "subjects": [{"kind": "User"}]}));
        assert_eq!(binding.text("roleRef.apiGroup"), "rbac.authorization.k8s.io");
        assert_eq!(binding.at("subjects")[0].text("apiGroup"), "rbac.authorization.k8s.io");
    }
}
