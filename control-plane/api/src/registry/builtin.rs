//! The built-in kinds: the stable API of Kubernetes 1.35, as its discovery lists them.

use std::sync::Arc;

use super::row::{
    APPROVAL, ATTACH, BINDING, EPHEMERAL_CONTAINERS, EVICTION, EXEC, FINALIZE, LOG, PORT_FORWARD, RESIZE, Row, SCALE,
    STATUS, TOKEN, cluster, namespaced, proxy,
};
use crate::kind::Kind;

/// Group, version and kinds. The order is that of discovery: groups by priority, preferred versions first.
const TABLE: &[(&str, &str, &[Row])] = &[
    ("", "v1", CORE),
    ("apps", "v1", APPS),
    ("events.k8s.io", "v1", EVENTS),
    ("authentication.k8s.io", "v1", AUTHENTICATION),
    ("authorization.k8s.io", "v1", AUTHORIZATION),
    ("autoscaling", "v2", AUTOSCALING),
    ("autoscaling", "v1", AUTOSCALING),
    ("batch", "v1", BATCH),
    ("certificates.k8s.io", "v1", CERTIFICATES),
    ("networking.k8s.io", "v1", NETWORKING),
    ("policy", "v1", POLICY),
    ("rbac.authorization.k8s.io", "v1", RBAC),
    ("storage.k8s.io", "v1", STORAGE),
    ("scheduling.k8s.io", "v1", SCHEDULING),
    ("coordination.k8s.io", "v1", COORDINATION),
    ("node.k8s.io", "v1", NODE),
    ("discovery.k8s.io", "v1", DISCOVERY),
];

const CORE: &[Row] = &[
    namespaced("Binding", "bindings").request(),
    cluster("ComponentStatus", "componentstatuses").short(&["cs"]).only(&["get", "list"]),
    namespaced("ConfigMap", "configmaps").short(&["cm"]),
    namespaced("Endpoints", "endpoints").short(&["ep"]),
    namespaced("Event", "events").short(&["ev"]),
    namespaced("LimitRange", "limitranges").short(&["limits"]),
    cluster("Namespace", "namespaces")
        .short(&["ns"])
        .only(&["create", "delete", "get", "list", "patch", "update", "watch"])
        .with(&[FINALIZE, STATUS]),
    cluster("Node", "nodes").short(&["no"]).with(&[proxy("NodeProxyOptions"), STATUS]),
    namespaced("PersistentVolumeClaim", "persistentvolumeclaims").short(&["pvc"]).with(&[STATUS]),
    cluster("PersistentVolume", "persistentvolumes").short(&["pv"]).with(&[STATUS]),
    namespaced("Pod", "pods").short(&["po"]).in_all().with(&[
        ATTACH,
        BINDING,
        EPHEMERAL_CONTAINERS,
        EVICTION,
        EXEC,
        LOG,
        PORT_FORWARD,
        proxy("PodProxyOptions"),
        RESIZE,
        STATUS,
    ]),
    namespaced("PodTemplate", "podtemplates"),
    namespaced("ReplicationController", "replicationcontrollers").short(&["rc"]).in_all().with(&[SCALE, STATUS]),
    namespaced("ResourceQuota", "resourcequotas").short(&["quota"]).with(&[STATUS]),
    namespaced("Secret", "secrets"),
    namespaced("ServiceAccount", "serviceaccounts").short(&["sa"]).with(&[TOKEN]),
    namespaced("Service", "services").short(&["svc"]).in_all().with(&[proxy("ServiceProxyOptions"), STATUS]),
];

const APPS: &[Row] = &[
    namespaced("ControllerRevision", "controllerrevisions"),
    namespaced("DaemonSet", "daemonsets").short(&["ds"]).in_all().with(&[STATUS]),
    namespaced("Deployment", "deployments").short(&["deploy"]).in_all().with(&[SCALE, STATUS]),
    namespaced("ReplicaSet", "replicasets").short(&["rs"]).in_all().with(&[SCALE, STATUS]),
    namespaced("StatefulSet", "statefulsets").short(&["sts"]).in_all().with(&[SCALE, STATUS]),
];

const EVENTS: &[Row] = &[namespaced("Event", "events").short(&["ev"]).stored_as("", "v1")];

const AUTHENTICATION: &[Row] =
    &[cluster("SelfSubjectReview", "selfsubjectreviews").request(), cluster("TokenReview", "tokenreviews").request()];

const AUTHORIZATION: &[Row] = &[
    namespaced("LocalSubjectAccessReview", "localsubjectaccessreviews").request(),
    cluster("SelfSubjectAccessReview", "selfsubjectaccessreviews").request(),
    cluster("SelfSubjectRulesReview", "selfsubjectrulesreviews").request(),
    cluster("SubjectAccessReview", "subjectaccessreviews").request(),
];

const AUTOSCALING: &[Row] = &[namespaced("HorizontalPodAutoscaler", "horizontalpodautoscalers")
    .short(&["hpa"])
    .in_all()
    .with(&[STATUS])
    .stored_as("autoscaling", "v2")];

const BATCH: &[Row] = &[
    namespaced("CronJob", "cronjobs").short(&["cj"]).in_all().with(&[STATUS]),
    namespaced("Job", "jobs").in_all().with(&[STATUS]),
];

const CERTIFICATES: &[Row] =
    &[cluster("CertificateSigningRequest", "certificatesigningrequests").short(&["csr"]).with(&[APPROVAL, STATUS])];

const NETWORKING: &[Row] = &[
    cluster("IngressClass", "ingressclasses"),
    namespaced("Ingress", "ingresses").short(&["ing"]).with(&[STATUS]),
    cluster("IPAddress", "ipaddresses").short(&["ip"]),
    namespaced("NetworkPolicy", "networkpolicies").short(&["netpol"]),
    cluster("ServiceCIDR", "servicecidrs").with(&[STATUS]),
];

const POLICY: &[Row] = &[namespaced("PodDisruptionBudget", "poddisruptionbudgets").short(&["pdb"]).with(&[STATUS])];

const RBAC: &[Row] = &[
    cluster("ClusterRoleBinding", "clusterrolebindings"),
    cluster("ClusterRole", "clusterroles"),
    namespaced("RoleBinding", "rolebindings"),
    namespaced("Role", "roles"),
];

const STORAGE: &[Row] = &[
    cluster("CSIDriver", "csidrivers"),
    cluster("CSINode", "csinodes"),
    namespaced("CSIStorageCapacity", "csistoragecapacities"),
    cluster("StorageClass", "storageclasses").short(&["sc"]),
    cluster("VolumeAttachment", "volumeattachments").with(&[STATUS]),
    cluster("VolumeAttributesClass", "volumeattributesclasses").short(&["vac"]),
];

const SCHEDULING: &[Row] = &[cluster("PriorityClass", "priorityclasses").short(&["pc"])];

const COORDINATION: &[Row] = &[namespaced("Lease", "leases")];

const NODE: &[Row] = &[cluster("RuntimeClass", "runtimeclasses")];

const DISCOVERY: &[Row] = &[namespaced("EndpointSlice", "endpointslices")];

/// Every built-in kind.
pub(super) fn rows() -> impl Iterator<Item = Arc<Kind>> {
    TABLE.iter().flat_map(|(group, version, rows)| {
        rows.iter().map(|row| Arc::new(row.kind(group, version).expect("every row's kind is in the type table")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_type_in_the_embedded_table() {
        for (group, version, rows) in TABLE {
            for row in *rows {
                assert!(row.kind(group, version).is_some(), "a row of {group}/{version} has no type");
            }
        }
    }
}
