//! JSON schemas of every definition that the served kinds reach, from `k8s-openapi`.

use std::collections::BTreeMap;

use k8s_openapi::api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use schemars::SchemaGenerator;
use serde_json::Value;

/// Adds the schemas of the named types, and of all they refer to.
macro_rules! include {
    ($generator:ident, $($module:path: $($kind:ident)+;)+) => {
        $($({
            use $module as module;
            $generator.subschema_for::<module::$kind>();
        })+)+
    };
}

/// Every definition by name.
pub(crate) fn all() -> BTreeMap<String, Value> {
    let mut generator = SchemaGenerator::default();
    include! { generator,
        meta: APIGroup APIGroupList APIResourceList APIVersions DeleteOptions ListMeta Status;
        api::core::v1: Binding ComponentStatus ConfigMap Endpoints Event LimitRange Namespace Node
            PersistentVolume PersistentVolumeClaim Pod PodTemplate ReplicationController ResourceQuota Secret
            Service ServiceAccount;
        api::apps::v1: ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet;
        api::authentication::v1: SelfSubjectReview TokenRequest TokenReview;
        api::authorization::v1: LocalSubjectAccessReview SelfSubjectAccessReview SelfSubjectRulesReview
            SubjectAccessReview;
        api::autoscaling::v1: HorizontalPodAutoscaler Scale;
        api::autoscaling::v2: HorizontalPodAutoscaler;
        api::batch::v1: CronJob Job;
        api::certificates::v1: CertificateSigningRequest;
        api::coordination::v1: Lease;
        api::discovery::v1: EndpointSlice;
        api::events::v1: Event;
        api::networking::v1: Ingress IngressClass IPAddress NetworkPolicy ServiceCIDR;
        api::node::v1: RuntimeClass;
        api::policy::v1: Eviction PodDisruptionBudget;
        api::rbac::v1: ClusterRole ClusterRoleBinding Role RoleBinding;
        api::scheduling::v1: PriorityClass;
        api::storage::v1: CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment VolumeAttributesClass;
    }
    generator.take_definitions(false).into_iter().collect()
}

/// The kinds that have no list: request and reply bodies.
pub(crate) const WITHOUT_LIST: &[&str] = &[
    "Binding",
    "Eviction",
    "LocalSubjectAccessReview",
    "Scale",
    "SelfSubjectAccessReview",
    "SelfSubjectReview",
    "SelfSubjectRulesReview",
    "SubjectAccessReview",
    "TokenRequest",
    "TokenReview",
];
