//! Namespaces, nodes, configuration, quotas, leases and classes.

use crate::Document;
use crate::columns::{self, Table};
use crate::defaults;
use crate::field::{Errors, FieldError};
use crate::kind::Scope;
use crate::names;
use crate::strategy::rules::{Generation, Rules, keep_only};
use crate::strategy::{FieldReader, SubresourceUpdate};
use crate::validation::metadata::{self, NameRule};
use crate::validation::{Place, check, classes, cluster, configuration, quota};
use crate::view::{Edit, View};

/// core/v1 Namespace
pub(super) struct Namespace;

/// core/v1 Node
pub(super) struct Node;

/// core/v1 `ConfigMap`
pub(super) struct ConfigMap;

/// core/v1 Secret
pub(super) struct Secret;

/// core/v1 `ServiceAccount`
pub(super) struct ServiceAccount;

/// core/v1 `LimitRange`
pub(super) struct LimitRange;

/// core/v1 `ResourceQuota`
pub(super) struct ResourceQuota;

/// core/v1 `ComponentStatus`
pub(super) struct ComponentStatus;

/// coordination.k8s.io/v1 Lease
pub(super) struct Lease;

/// scheduling.k8s.io/v1 `PriorityClass`
pub(super) struct PriorityClass;

/// node.k8s.io/v1 `RuntimeClass`
pub(super) struct RuntimeClass;

/// What keeps a namespace until all that is in it is gone.
const KUBERNETES_FINALIZER: &str = "kubernetes";

// === impl Namespace ===

impl Rules for Namespace {
    const SCOPE: Scope = Scope::Cluster;
    const NAME: NameRule = names::dns_label;
    const STATUS: bool = true;
    const TABLE: Table = columns::cluster::NAMESPACE;
    const FIELDS: &'static [(&'static str, FieldReader)] = &[
        ("status.phase", |namespace| namespace.text("status.phase").to_owned()),
        ("name", |namespace| namespace.text("metadata.name").to_owned()),
    ];
    const SUBRESOURCES: &'static [SubresourceUpdate] =
        &[SubresourceUpdate { name: "finalize", prepare: prepare_finalize, validate: validate_finalize }];

    fn default(object: &mut Document) {
        defaults::cluster::namespace(object);
    }

    fn prepare_create(namespace: &mut Document) {
        namespace.put("status.phase", "Active");
        let mut finalizers = namespace.list("spec.finalizers").to_vec();
        if !finalizers.iter().any(|finalizer| finalizer == KUBERNETES_FINALIZER) {
            finalizers.push(KUBERNETES_FINALIZER.into());
        }
        namespace.put("spec.finalizers", finalizers);
        defaults::cluster::label_with_name(namespace);
    }

    fn prepare_update(new: &mut Document, old: &Document) {
        new.copy_from(old, "spec.finalizers");
    }

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        cluster::namespace(object, errors);
    }

    /// What an update could get wrong is carried over.
    fn validate_update(_new: &Place<'_>, _old: &Document, _errors: &mut Errors) {}

    fn validate_status_update(new: &Place<'_>, _old: &Document, errors: &mut Errors) {
        cluster::namespace_status(new, errors);
    }
}

/// Everything but metadata and the finalizers is the stored namespace's.
fn prepare_finalize(new: &mut Document, old: &Document) {
    metadata::carry_over(new, old);
    keep_only(new, old, &["metadata", "spec"]);
}

fn validate_finalize(new: &Document, old: &Document) -> Vec<FieldError> {
    check(new, |namespace, errors| {
        metadata::validate_update(namespace, old, errors);
        cluster::namespace_finalizers(namespace, errors);
    })
}

// === impl Node ===

impl Rules for Node {
    const SCOPE: Scope = Scope::Cluster;
    const TABLE: Table = columns::cluster::NODE;
    const FIELDS: &'static [(&'static str, FieldReader)] =
        &[("spec.unschedulable", |node| node.flag("spec.unschedulable").to_string())];

    fn default(object: &mut Document) {
        defaults::cluster::node(object);
    }

    /// A node registers with its status, so only updates keep the stored one.
    fn prepare_update(new: &mut Document, old: &Document) {
        new.copy_from(old, "status");
    }

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        cluster::node(object, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        cluster::node_update(new, old, errors);
    }

    fn validate_status_update(new: &Place<'_>, _old: &Document, errors: &mut Errors) {
        cluster::node_status(new, errors);
    }
}

// === impl ConfigMap ===

impl Rules for ConfigMap {
    const TABLE: Table = columns::cluster::CONFIG_MAP;

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        configuration::config_map(object, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        configuration::config_map_update(new, old, errors);
    }
}

// === impl Secret ===

impl Rules for Secret {
    const TABLE: Table = columns::cluster::SECRET;
    const FIELDS: &'static [(&'static str, FieldReader)] = &[("type", |secret| secret.text("type").to_owned())];

    fn default(object: &mut Document) {
        defaults::cluster::secret(object);
    }

    fn prepare_update(new: &mut Document, old: &Document) {
        if new.text("type").is_empty() {
            new.copy_from(old, "type");
        }
    }

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        configuration::secret(object, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        configuration::secret_update(new, old, errors);
    }
}

// === impl ServiceAccount ===

impl Rules for ServiceAccount {
    const TABLE: Table = columns::cluster::SERVICE_ACCOUNT;

    fn prepare_create(account: &mut Document) {
        only_names_of_secrets(account);
    }

    fn prepare_update(new: &mut Document, _old: &Document) {
        only_names_of_secrets(new);
    }
}

/// Secrets are referred to by name alone: they are in the account's namespace.
fn only_names_of_secrets(account: &mut Document) {
    for secret in account.list_mut("secrets") {
        if let Some(fields) = secret.as_object_mut() {
            fields.retain(|name, _| name == "name");
        }
    }
}

// === impl LimitRange ===

impl Rules for LimitRange {
    const TABLE: Table = columns::cluster::CREATED;
    const CREATE_ON_UPDATE: bool = true;

    fn default(object: &mut Document) {
        defaults::cluster::limit_range(object);
    }

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        quota::limit_range(object, errors);
    }
}

// === impl ResourceQuota ===

impl Rules for ResourceQuota {
    const STATUS: bool = true;
    const TABLE: Table = columns::cluster::RESOURCE_QUOTA;

    fn default(object: &mut Document) {
        defaults::cluster::resource_quota(object);
    }

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        quota::quota(object, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        quota::quota_update(new, old, errors);
    }

    fn validate_status_update(new: &Place<'_>, _old: &Document, errors: &mut Errors) {
        quota::quota_status(new, errors);
    }
}

// === impl ComponentStatus ===

impl Rules for ComponentStatus {
    const SCOPE: Scope = Scope::Cluster;
    const TABLE: Table = columns::cluster::COMPONENT_STATUS;
}

// === impl Lease ===

impl Rules for Lease {
    const STANDARD_FINALIZERS: bool = false;
    const TABLE: Table = columns::cluster::LEASE;
    const CREATE_ON_UPDATE: bool = true;
    const UNCONDITIONAL_UPDATE: bool = false;

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        classes::lease(object, errors);
    }
}

// === impl PriorityClass ===

impl Rules for PriorityClass {
    const SCOPE: Scope = Scope::Cluster;
    const GENERATION: Generation = Generation::Tracks(&[]);
    const TABLE: Table = columns::cluster::PRIORITY_CLASS;

    fn default(object: &mut Document) {
        defaults::cluster::priority_class(object);
    }

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        classes::priority_class(object, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        classes::priority_class_update(new, old, errors);
    }
}

// === impl RuntimeClass ===

impl Rules for RuntimeClass {
    const SCOPE: Scope = Scope::Cluster;
    const STANDARD_FINALIZERS: bool = false;
    const TABLE: Table = columns::cluster::RUNTIME_CLASS;
    const UNCONDITIONAL_UPDATE: bool = false;

    fn default(object: &mut Document) {
        defaults::cluster::runtime_class(object);
    }

    fn validate(object: &Place<'_>, errors: &mut Errors) {
        classes::runtime_class(object, errors);
    }

    fn validate_update(new: &Place<'_>, old: &Document, errors: &mut Errors) {
        classes::runtime_class_update(new, old, errors);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::strategy::strategy_for;

    #[test]
    fn a_namespace_is_active_until_its_content_is_gone() {
        let strategy = strategy_for("", "Namespace");
        let mut namespace = json!({"metadata": {"name": "blue"}, "status": {"phase": "Terminating"}});
        (strategy.prepare_create)(&mut namespace);
        assert_eq!(namespace.at("spec.finalizers"), &json!(["kubernetes"]));
        assert_eq!(namespace.at("status"), &json!({"phase": "Active"}));
        assert_eq!(namespace.at("metadata.labels"), &json!({"kubernetes.io/metadata.name": "blue"}));
        let mut emptied = json!({"metadata": {"name": "blue"}, "spec": {"finalizers": []}});
        (strategy.prepare_update)(&mut emptied, &namespace);
        assert_eq!(emptied.at("spec.finalizers"), &json!(["kubernetes"]));
        let mut finalized = json!({"metadata": {"name": "blue"}, "spec": {"finalizers": []}, "status": {}});
        (strategy.subresource_updates[0].prepare)(&mut finalized, &namespace);
        assert_eq!(finalized.at("spec.finalizers"), &json!([]));
        assert_eq!(finalized.at("status"), &json!({"phase": "Active"}));
    }

    #[test]
    fn a_node_registers_with_its_status_but_an_update_keeps_the_stored_one() {
        let strategy = strategy_for("", "Node");
        let mut node = json!({"metadata": {"name": "n"}, "status": {"phase": "a"}});
        (strategy.prepare_create)(&mut node);
        assert_eq!(node.text("status.phase"), "a");
        let mut changed = json!({"metadata": {"name": "n"}, "status": {"phase": "b"}});
        (strategy.prepare_update)(&mut changed, &node);
        assert_eq!(changed.text("status.phase"), "a");
    }

    #[test]
    fn a_service_account_names_its_secrets() {
        let mut account = json!({"metadata": {}, "secrets": [{"name": "a", "namespace": "b", "uid": "c"}]});
        (strategy_for("", "ServiceAccount").prepare_create)(&mut account);
        assert_eq!(account.at("secrets"), &json!([{"name": "a"}]));
    }
}
