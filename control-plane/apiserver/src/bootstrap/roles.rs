//! The cluster roles and bindings of Kubernetes itself (`plugin/pkg/auth/authorizer/rbac/bootstrappolicy` upstream).

use serde_json::{Value, json};
use sheave_api::Document;

use super::rules::{BOTH, READ, named, paths, rule};
use super::{Mode, Wanted, controller_roles, user_roles};

pub(super) const RBAC: &str = "rbac.authorization.k8s.io";
const HEALTH: &str = "/healthz /livez /readyz /version /version/";
const API: &str = "/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/";
const MONITORING: &str = "/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*";
const ISSUER: &str =
    "/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/";

/// Every role and binding of the whole cluster.
pub(super) fn wanted() -> Vec<Wanted> {
    let wanted = |plural: &str, object| Wanted {
        collection: format!("/apis/{RBAC}/v1/{plural}"),
        object,
        mode: Mode::Reconcile,
    };
    let roles = user_roles::roles().into_iter().chain(system_roles()).chain(controller_roles::roles());
    let bindings = bindings().into_iter().chain(controller_roles::bindings());
    let roles = roles.map(|object| wanted("clusterroles", object));
    roles.chain(bindings.map(|object| wanted("clusterrolebindings", object))).collect()
}

pub(super) fn cluster_role(name: &str, rules: &Value) -> Document {
    json!({"apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole", "metadata": metadata(name), "rules": rules})
}

fn role(name: &str, rules: Vec<Document>) -> Document {
    cluster_role(name, &Value::from(rules))
}

pub(super) fn metadata(name: &str) -> Value {
    json!({"name": name,
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}})
}

fn system_roles() -> Vec<Document> {
    let csr = "certificates.k8s.io";
    vec![
        role("system:discovery", vec![paths(API)]),
        role("system:public-info-viewer", vec![paths(HEALTH)]),
        role("system:monitoring", vec![paths(MONITORING)]),
        role("system:service-account-issuer-discovery", vec![paths(ISSUER)]),
        role("system:basic-user", basic_user()),
        role("system:auth-delegator", reviews()),
        role("system:node", node()),
        role(
            "system:node-problem-detector",
            vec![rule("get", "", "nodes"), rule("patch", "", "nodes/status"), events()],
        ),
        role("system:node-bootstrapper", vec![rule("create get list watch", csr, "certificatesigningrequests")]),
        role("system:node-proxier", node_proxier()),
        role("system:kubelet-api-admin", kubelet_api()),
        role("system:kube-scheduler", scheduler()),
        role("system:volume-scheduler", volume_scheduler()),
        role("system:kube-controller-manager", controller_manager()),
        role(
            "system:kube-dns",
            vec![
                rule("list watch", "", "endpoints services"),
                rule("list watch", "discovery.k8s.io", "endpointslices"),
            ],
        ),
        role("system:persistent-volume-provisioner", provisioner()),
        role(
            "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
            vec![rule("create", csr, "certificatesigningrequests/nodeclient")],
        ),
        role(
            "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
            vec![rule("create", csr, "certificatesigningrequests/selfnodeclient")],
        ),
        role("system:certificates.k8s.io:kube-apiserver-client-approver", approver("kube-apiserver-client")),
        role(
            "system:certificates.k8s.io:kube-apiserver-client-kubelet-approver",
            approver("kube-apiserver-client-kubelet"),
        ),
        role("system:certificates.k8s.io:kubelet-serving-approver", approver("kubelet-serving")),
        role("system:certificates.k8s.io:legacy-unknown-approver", approver("legacy-unknown")),
        role(
            "system:heapster",
            vec![rule(READ, "", "events namespaces nodes pods"), rule(READ, "apps", "deployments")],
        ),
        role("system:kube-aggregator", vec![rule(READ, "", "endpoints services")]),
    ]
}

fn approver(signer: &str) -> Vec<Document> {
    vec![named("approve", "certificates.k8s.io", "signers", &format!("kubernetes.io/{signer}"))]
}

fn events() -> Document {
    json!({"verbs": ["create", "patch", "update"], "apiGroups": ["", "events.k8s.io"], "resources": ["events"]})
}

fn basic_user() -> Vec<Document> {
    vec![
        rule("create", "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"),
        rule("create", "authentication.k8s.io", "selfsubjectreviews"),
    ]
}

fn reviews() -> Vec<Document> {
    vec![
        rule("create", "authentication.k8s.io", "tokenreviews"),
        rule("create", "authorization.k8s.io", "subjectaccessreviews"),
    ]
}

fn node() -> Vec<Document> {
    let mut rules = reviews();
    rules.extend([
        rule("create", "authorization.k8s.io", "localsubjectaccessreviews"),
        rule(READ, "", "services"),
        rule("create get list watch", "", "nodes"),
        rule("patch update", "", "nodes/status"),
        rule("patch update", "", "nodes"),
        events(),
        rule(READ, "", "pods"),
        rule("create delete", "", "pods"),
        rule("patch update", "", "pods/status"),
        rule("create", "", "pods/eviction"),
        rule(READ, "", "configmaps secrets"),
        rule("get", "", "persistentvolumeclaims persistentvolumes"),
        rule("get", "", "endpoints"),
        rule("create get list watch", "certificates.k8s.io", "certificatesigningrequests"),
        rule("create delete get patch update", "coordination.k8s.io", "leases"),
        rule(READ, "storage.k8s.io", "csidrivers"),
        rule("create delete get patch update", "storage.k8s.io", "csinodes"),
        rule("get", "storage.k8s.io", "volumeattachments"),
        rule("create", "", "serviceaccounts/token"),
        rule("get patch update", "", "persistentvolumeclaims/status"),
        rule(READ, "node.k8s.io", "runtimeclasses"),
    ]);
    rules
}

fn node_proxier() -> Vec<Document> {
    vec![
        rule("list watch", "", "endpoints services"),
        rule("get list watch", "", "nodes"),
        events(),
        rule("list watch", "discovery.k8s.io", "endpointslices"),
        rule("list watch", "networking.k8s.io", "servicecidrs"),
    ]
}

fn kubelet_api() -> Vec<Document> {
    vec![
        rule("get list watch", "", "nodes"),
        rule("proxy", "", "nodes"),
        json!({"verbs": ["*"], "apiGroups": [""], "resources":
            ["nodes/log", "nodes/metrics", "nodes/proxy", "nodes/stats", "nodes/pods", "nodes/healthz", "nodes/configz"]}),
    ]
}

fn scheduler() -> Vec<Document> {
    vec![
        events(),
        rule("create", "coordination.k8s.io", "leases"),
        named("get update", "coordination.k8s.io", "leases", "kube-scheduler"),
        rule(READ, "", "nodes namespaces persistentvolumeclaims persistentvolumes replicationcontrollers services"),
        rule("delete get list watch", "", "pods"),
        rule("create", "", "bindings pods/binding"),
        rule("patch update", "", "pods/status"),
        rule(READ, "apps", "replicasets statefulsets"),
        rule(READ, "policy", "poddisruptionbudgets"),
        rule(READ, "storage.k8s.io", "csidrivers csinodes csistoragecapacities storageclasses volumeattachments"),
        rule("create", "authentication.k8s.io", "tokenreviews"),
        rule("create", "authorization.k8s.io", "subjectaccessreviews"),
    ]
}

fn volume_scheduler() -> Vec<Document> {
    vec![
        rule("get list patch update watch", "", "persistentvolumes"),
        rule(READ, "storage.k8s.io", "storageclasses"),
        rule("get list patch update watch", "", "persistentvolumeclaims"),
    ]
}

fn controller_manager() -> Vec<Document> {
    vec![
        events(),
        rule("create", "coordination.k8s.io", "leases"),
        named("get update", "coordination.k8s.io", "leases", "kube-controller-manager"),
        rule("create", "", "secrets serviceaccounts serviceaccounts/token"),
        rule("delete", "", "secrets"),
        rule("get", "", "configmaps namespaces secrets serviceaccounts"),
        rule("update", "", "secrets serviceaccounts"),
        rule("create", "authentication.k8s.io", "tokenreviews"),
        rule("create", "authorization.k8s.io", "subjectaccessreviews"),
        json!({"verbs": ["list", "watch"], "apiGroups": ["*"], "resources": ["*"]}),
    ]
}

fn provisioner() -> Vec<Document> {
    vec![
        rule("create delete get list watch", "", "persistentvolumes"),
        rule("get list update watch", "", "persistentvolumeclaims"),
        rule(READ, "storage.k8s.io", "storageclasses"),
        rule("watch", "", "events"),
        events(),
        rule(BOTH, "coordination.k8s.io", "leases"),
    ]
}

/// Bindings named like their role, except where the field knows them by another name.
fn bindings() -> Vec<Document> {
    vec![
        binding("cluster-admin", "cluster-admin", &[group("system:masters")]),
        binding("system:discovery", "system:discovery", &[group("system:authenticated")]),
        binding("system:basic-user", "system:basic-user", &[group("system:authenticated")]),
        binding(
            "system:public-info-viewer",
            "system:public-info-viewer",
            &[group("system:authenticated"), group("system:unauthenticated")],
        ),
        binding("system:monitoring", "system:monitoring", &[group("system:monitoring")]),
        binding(
            "system:service-account-issuer-discovery",
            "system:service-account-issuer-discovery",
            &[group("system:serviceaccounts")],
        ),
        binding("system:node", "system:node", &[group("system:nodes")]),
        binding("system:node-proxier", "system:node-proxier", &[user("system:kube-proxy")]),
        binding("system:kube-scheduler", "system:kube-scheduler", &[user("system:kube-scheduler")]),
        binding("system:volume-scheduler", "system:volume-scheduler", &[user("system:kube-scheduler")]),
        binding(
            "system:kube-controller-manager",
            "system:kube-controller-manager",
            &[user("system:kube-controller-manager")],
        ),
        binding("system:kube-dns", "system:kube-dns", &[account("kube-system", "kube-dns")]),
        binding(
            "sheave:apiserver-kubelet-client",
            "system:kubelet-api-admin",
            &[user("kube-apiserver-kubelet-client")],
        ),
        binding("sheave:kubelet-bootstrap", "system:node-bootstrapper", &[group("system:bootstrappers")]),
        binding(
            "sheave:node-autoapprove-bootstrap",
            "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
            &[group("system:bootstrappers")],
        ),
        binding(
            "sheave:node-autoapprove-certificate-rotation",
            "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
            &[group("system:nodes")],
        ),
    ]
}

pub(super) fn binding(name: &str, role: &str, subjects: &[Value]) -> Document {
    json!({"apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRoleBinding", "metadata": metadata(name),
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role}, "subjects": subjects})
}

pub(super) fn group(name: &str) -> Value {
    json!({"apiGroup": RBAC, "kind": "Group", "name": name})
}

pub(super) fn user(name: &str) -> Value {
    json!({"apiGroup": RBAC, "kind": "User", "name": name})
}

pub(super) fn account(namespace: &str, name: &str) -> Value {
    json!({"kind": "ServiceAccount", "namespace": namespace, "name": name})
}
