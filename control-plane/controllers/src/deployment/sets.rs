//! The ReplicaSets of a Deployment: which is the current one, and what each is annotated with.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::object::owner::controller_reference;
use crate::object::template::hash;

/// The label that tells the pods of a Deployment's sets apart.
pub(super) const TEMPLATE_HASH: &str = "pod-template-hash";
/// The number of a set's template in the Deployment's history.
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
/// Numbers that the same template had before, comma-separated.
pub(super) const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// The Deployment's replicas when the set was last scaled.
pub(super) const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
/// The most pods that the Deployment could have when the set was last scaled.
pub(super) const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";

/// Annotations of the Deployment that say nothing about its template.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
];

/// How many pods the set asks for.
pub(super) fn replicas(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

/// How many pods the set may have at this moment: those it asks for, or those it has not got rid of yet.
pub(super) fn replicas_at_most(set: &ReplicaSet) -> i32 {
    replicas(set).max(set.status.as_ref().map_or(0, |status| status.replicas))
}

/// How many pods of the set serve; never more than it asks for, because the rest is about to go.
pub(super) fn available(set: &ReplicaSet) -> i32 {
    let status = set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0);
    status.min(replicas(set))
}

/// Asks the set for another number of pods.
pub(super) fn set_replicas(set: &mut ReplicaSet, replicas: i32) {
    if let Some(spec) = &mut set.spec {
        spec.replicas = Some(replicas.max(0));
    }
}

/// The annotation `key` of the set, as a number.
pub(super) fn number(set: &ReplicaSet, key: &str) -> Option<i64> {
    set.metadata.annotations.as_ref()?.get(key)?.parse().ok()
}

/// Sets an annotation.
pub(super) fn annotate(set: &mut ReplicaSet, key: &str, value: impl ToString) {
    set.metadata.annotations.get_or_insert_default().insert(key.to_owned(), value.to_string());
}

/// Whether two sets are made from the same template.
pub(super) fn same_template(one: &ReplicaSet, two: &ReplicaSet) -> bool {
    let template = |set: &ReplicaSet| without_hash(set.spec.as_ref().and_then(|spec| spec.template.as_ref()));
    template(one) == template(two)
}

/// Whether the set is made from the Deployment's current template.
pub(super) fn is_current(deployment: &Deployment, set: &ReplicaSet) -> bool {
    let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
    without_hash(template) == without_hash(deployment.spec.as_ref().map(|spec| &spec.template))
}

/// Templates are compared field by field rather than by hash: the hash may be another one in another release.
fn without_hash(template: Option<&PodTemplateSpec>) -> Option<PodTemplateSpec> {
    let mut template = template?.clone();
    if let Some(labels) = template.metadata.as_mut().and_then(|meta| meta.labels.as_mut()) {
        labels.remove(TEMPLATE_HASH);
    }
    Some(template)
}

/// Copies what users write on the Deployment, such as the cause of a change, to the set.
pub(super) fn copy_annotations(deployment: &Deployment, set: &mut ReplicaSet) {
    for (key, value) in deployment.metadata.annotations.iter().flatten() {
        if !NOT_COPIED.contains(&key.as_str()) {
            annotate(set, key, value);
        }
    }
}

/// The set of the current template, which asks for no pods yet.
pub(super) fn new_set(deployment: &Deployment) -> ReplicaSet {
    let spec = deployment.spec.clone().unwrap_or_default();
    let collisions = deployment.status.as_ref().and_then(|status| status.collision_count);
    let hash = hash(&spec.template, collisions);
    let mut template = spec.template;
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(TEMPLATE_HASH.into(), hash.clone());
    let labels: BTreeMap<_, _> = labels.clone();
    let mut selector = spec.selector;
    selector.match_labels.get_or_insert_default().insert(TEMPLATE_HASH.into(), hash.clone());
    ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", deployment.metadata.name.as_deref().unwrap_or_default())),
            namespace: deployment.metadata.namespace.clone(),
            labels: Some(labels),
            owner_references: Some(vec![controller_reference(deployment)]),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            replicas: Some(0),
            min_ready_seconds: spec.min_ready_seconds,
            selector,
            template: Some(template),
        }),
        status: None,
    }
}
