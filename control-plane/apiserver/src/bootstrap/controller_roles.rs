//! What each controller may do: a cluster role `system:controller:<name>`, bound to the service account of that name in
//! kube-system (`controller_policy.go` upstream).

use serde_json::json;
use sheave_api::Document;

use super::roles::{account, binding, cluster_role};

/// A policy rule; words are separated by spaces, and the core group is the empty word.
struct Line {
    verbs: &'static str,
    groups: &'static str,
    resources: &'static str,
    names: &'static str,
}

const READ: &str = "get list watch";
const OWN: &str = "create delete get list patch update watch";
const CSR: &str = "certificates.k8s.io";
const DISCOVERY: &str = "discovery.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const STORAGE: &str = "storage.k8s.io";
/// Events are reported in the core group and in their own.
const EVENTS: Line = on("create patch update", " events.k8s.io", "events");

const ROLES: &[(&str, &[Line])] = &[
    (
        "attachdetach-controller",
        &[
            on("list watch", "", "persistentvolumeclaims persistentvolumes"),
            on(READ, "", "nodes"),
            on("patch update", "", "nodes/status"),
            on("list watch", "", "pods"),
            on("create delete get list watch", STORAGE, "volumeattachments"),
            on(READ, STORAGE, "csidrivers csinodes"),
            EVENTS,
        ],
    ),
    (
        "certificate-controller",
        &[
            on("delete get list watch", CSR, "certificatesigningrequests"),
            on("update", CSR, "certificatesigningrequests/approval certificatesigningrequests/status"),
            on("approve", CSR, "signers")
                .only("kubernetes.io/kube-apiserver-client-kubelet kubernetes.io/kubelet-serving"),
            on("sign", CSR, "signers").only(
                "kubernetes.io/kube-apiserver-client kubernetes.io/kube-apiserver-client-kubelet \
                 kubernetes.io/kubelet-serving kubernetes.io/legacy-unknown",
            ),
            on("create", "authorization.k8s.io", "subjectaccessreviews"),
            EVENTS,
        ],
    ),
    (
        "clusterrole-aggregation-controller",
        &[on("escalate get list patch update watch", "rbac.authorization.k8s.io", "clusterroles")],
    ),
    (
        "cronjob-controller",
        &[
            on("get list update watch", "batch", "cronjobs"),
            on(OWN, "batch", "jobs"),
            on("update", "batch", "cronjobs/finalizers cronjobs/status"),
            on("delete list", "", "pods"),
            EVENTS,
        ],
    ),
    (
        "daemon-set-controller",
        &[
            on(READ, "apps", "daemonsets"),
            on("update", "apps", "daemonsets/finalizers daemonsets/status"),
            on("list watch", "", "nodes"),
            on("create delete list patch watch", "", "pods"),
            on("create", "", "pods/binding"),
            on(OWN, "apps", "controllerrevisions"),
            EVENTS,
        ],
    ),
    (
        "deployment-controller",
        &[
            // Upstream's writes its annotations with updates, ours with patches.
            on("get list patch update watch", "apps", "deployments"),
            on("update", "apps", "deployments/finalizers deployments/status"),
            on(OWN, "apps", "replicasets"),
            on("get list update watch", "", "pods"),
            EVENTS,
        ],
    ),
    (
        "disruption-controller",
        &[
            on(READ, "apps", "deployments replicasets statefulsets"),
            on(READ, "", "replicationcontrollers"),
            on(READ, "policy", "poddisruptionbudgets"),
            on("update", "policy", "poddisruptionbudgets/status"),
            on("patch update", "", "pods/status"),
            on("get", "*", "*/scale"),
            EVENTS,
        ],
    ),
    (
        "endpoint-controller",
        &[
            on(READ, "", "pods services"),
            on("create delete get list update", "", "endpoints"),
            on("create", "", "endpoints/restricted"),
            EVENTS,
        ],
    ),
    (
        "endpointslice-controller",
        &[
            on(READ, "", "nodes pods services"),
            on("update", "", "services/finalizers"),
            on("create delete get list update", DISCOVERY, "endpointslices"),
            on("create", DISCOVERY, "endpointslices/restricted"),
            EVENTS,
        ],
    ),
    (
        "endpointslicemirroring-controller",
        &[
            on(READ, "", "endpoints services"),
            on("update", "", "endpoints/finalizers services/finalizers"),
            on("create delete get list update", DISCOVERY, "endpointslices"),
            on("create", DISCOVERY, "endpointslices/restricted"),
            EVENTS,
        ],
    ),
    ("generic-garbage-collector", &[on("delete get list patch update watch", "*", "*"), EVENTS]),
    (
        "horizontal-pod-autoscaler",
        &[
            on(READ, "autoscaling", "horizontalpodautoscalers"),
            on("update", "autoscaling", "horizontalpodautoscalers/status"),
            on("get update", "*", "*/scale"),
            on("list", "", "pods"),
            on("list", "metrics.k8s.io", "pods"),
            on("get list", "custom.metrics.k8s.io external.metrics.k8s.io", "*"),
            EVENTS,
        ],
    ),
    (
        "job-controller",
        &[
            // Ours also deletes those whose time to live is over.
            on("delete get list patch update watch", "batch", "jobs"),
            on("update", "batch", "jobs/finalizers jobs/status"),
            on("create delete list patch watch", "", "pods"),
            EVENTS,
        ],
    ),
    (
        "namespace-controller",
        &[
            on("delete get list watch", "", "namespaces"),
            on("update", "", "namespaces/finalize namespaces/status"),
            on("delete deletecollection get list", "*", "*"),
        ],
    ),
    (
        "node-controller",
        &[
            on("delete get list patch update", "", "nodes"),
            on("patch update", "", "nodes/status pods/status"),
            on("delete get list", "", "pods"),
            EVENTS,
        ],
    ),
    (
        "persistent-volume-binder",
        &[
            on("create delete get list update watch", "", "persistentvolumes"),
            on("update", "", "persistentvolumeclaims/status persistentvolumes/status"),
            on("get list update watch", "", "persistentvolumeclaims"),
            on("create delete get list watch", "", "pods"),
            on(READ, STORAGE, "storageclasses"),
            on("get list watch", "", "nodes"),
            EVENTS,
        ],
    ),
    (
        "pod-garbage-collector",
        &[on("delete list watch", "", "pods"), on("get list", "", "nodes"), on("patch", "", "pods/status")],
    ),
    ("pv-protection-controller", &[on("get list update watch", "", "persistentvolumes"), EVENTS]),
    (
        "pvc-protection-controller",
        &[on("get list update watch", "", "persistentvolumeclaims"), on(READ, "", "pods"), EVENTS],
    ),
    (
        "replicaset-controller",
        &[
            on("get list update watch", "apps", "replicasets"),
            on("update", "apps", "replicasets/finalizers replicasets/status"),
            on("create delete list patch watch", "", "pods"),
            EVENTS,
        ],
    ),
    (
        "replication-controller",
        &[
            on("get list update watch", "", "replicationcontrollers"),
            on("update", "", "replicationcontrollers/finalizers replicationcontrollers/status"),
            on("create delete list patch watch", "", "pods"),
            EVENTS,
        ],
    ),
    ("resourcequota-controller", &[on("list watch", "*", "*"), on("update", "", "resourcequotas/status"), EVENTS]),
    ("root-ca-cert-publisher", &[on("create update", "", "configmaps"), EVENTS]),
    ("route-controller", &[on("list watch", "", "nodes"), on("patch", "", "nodes/status"), EVENTS]),
    ("service-account-controller", &[on("create", "", "serviceaccounts"), EVENTS]),
    (
        "service-cidrs-controller",
        &[
            on("get list patch update watch", NETWORKING, "servicecidrs"),
            on("patch update", NETWORKING, "servicecidrs/finalizers servicecidrs/status"),
            on(READ, NETWORKING, "ipaddresses"),
            EVENTS,
        ],
    ),
    (
        "service-controller",
        &[on(READ, "", "services"), on("patch update", "", "services/status"), on("list watch", "", "nodes"), EVENTS],
    ),
    (
        "statefulset-controller",
        &[
            on("list watch", "", "pods"),
            on(READ, "apps", "statefulsets"),
            on("update", "apps", "statefulsets/finalizers statefulsets/status"),
            on("create delete get patch update", "", "pods"),
            on(OWN, "apps", "controllerrevisions"),
            on("create delete get update", "", "persistentvolumeclaims"),
            EVENTS,
        ],
    ),
    ("ttl-after-finished-controller", &[on("delete get list watch", "batch", "jobs"), EVENTS]),
    ("ttl-controller", &[on("list patch update watch", "", "nodes"), EVENTS]),
];

/// The roles.
pub(super) fn roles() -> Vec<Document> {
    let role = |(name, lines): &(&str, &[Line])| {
        let rules: Vec<Document> = lines.iter().map(Line::rule).collect();
        cluster_role(&format!("system:controller:{name}"), &rules.into())
    };
    ROLES.iter().map(role).collect()
}

/// The bindings, one for each role.
pub(super) fn bindings() -> Vec<Document> {
    let bound = |(name, _): &(&str, &[Line])| {
        let role = format!("system:controller:{name}");
        binding(&role, &role, &[account("kube-system", name)])
    };
    ROLES.iter().map(bound).collect()
}

const fn on(verbs: &'static str, groups: &'static str, resources: &'static str) -> Line {
    Line { verbs, groups, resources, names: "" }
}

// === impl Line ===

impl Line {
    const fn only(self, names: &'static str) -> Self {
        Self { names, ..self }
    }

    fn rule(&self) -> Document {
        let words = |words: &'static str| words.split(' ').collect::<Vec<_>>();
        let mut rule =
            json!({"verbs": words(self.verbs), "apiGroups": words(self.groups), "resources": words(self.resources)});
        if !self.names.is_empty() {
            rule["resourceNames"] = json!(words(self.names));
        }
        rule
    }
}
