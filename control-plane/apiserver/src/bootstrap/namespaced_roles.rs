//! Roles in kube-system and kube-public (`namespace_policy.go` upstream).

use serde_json::{Value, json};
use sheave_api::Document;

use super::roles::{RBAC, account, group, metadata, user};
use super::rules::{READ, named, rule};
use super::{Mode, Wanted};

const SYSTEM: &str = "kube-system";
const PUBLIC: &str = "kube-public";
/// Where servers beside this one read whose certificates it trusts.
const AUTHENTICATION: &str = "extension-apiserver-authentication";
const AUTHENTICATION_READER: &str = "extension-apiserver-authentication-reader";

/// Every role and binding.
pub(super) fn wanted() -> Vec<Wanted> {
    let roles = roles().into_iter().map(|object| in_namespace("roles", object));
    roles.chain(bindings().into_iter().map(|object| in_namespace("rolebindings", object))).collect()
}

fn in_namespace(plural: &str, object: Document) -> Wanted {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    Wanted { collection: format!("/apis/{RBAC}/v1/namespaces/{namespace}/{plural}"), object, mode: Mode::Reconcile }
}

fn roles() -> Vec<Document> {
    let events =
        json!({"verbs": ["create", "patch", "update"], "apiGroups": ["", "events.k8s.io"], "resources": ["events"]});
    let leader = |name: &str| vec![rule("watch", "", "configmaps"), named("get update", "", "configmaps", name)];
    vec![
        role(SYSTEM, AUTHENTICATION_READER, vec![named(READ, "", "configmaps", AUTHENTICATION)]),
        role(SYSTEM, "system:controller:bootstrap-signer", vec![rule(READ, "", "secrets")]),
        role(SYSTEM, "system:controller:cloud-provider", vec![rule("create get list watch", "", "configmaps")]),
        role(
            SYSTEM,
            "system:controller:token-cleaner",
            vec![rule("delete get list watch", "", "secrets"), events.clone()],
        ),
        role(SYSTEM, "system::leader-locking-kube-controller-manager", leader("kube-controller-manager")),
        role(SYSTEM, "system::leader-locking-kube-scheduler", leader("kube-scheduler")),
        role(
            PUBLIC,
            "system:controller:bootstrap-signer",
            vec![rule(READ, "", "configmaps"), named("update", "", "configmaps", "cluster-info"), events],
        ),
        // Whoever joins the cluster reads where it is before anybody knows them (kubeadm's role).
        role(PUBLIC, "kubeadm:bootstrap-signer-clusterinfo", vec![named("get", "", "configmaps", "cluster-info")]),
    ]
}

fn bindings() -> Vec<Document> {
    let manager = || user("system:kube-controller-manager");
    let scheduler = || user("system:kube-scheduler");
    let own = |namespace: &str, name: &str| {
        let role = format!("system:controller:{name}");
        binding(namespace, &role, &role, &[account(SYSTEM, name)])
    };
    vec![
        binding(SYSTEM, &format!("system::{AUTHENTICATION_READER}"), AUTHENTICATION_READER, &[manager(), scheduler()]),
        binding(
            SYSTEM,
            "system::leader-locking-kube-controller-manager",
            "system::leader-locking-kube-controller-manager",
            &[manager(), account(SYSTEM, "kube-controller-manager")],
        ),
        binding(
            SYSTEM,
            "system::leader-locking-kube-scheduler",
            "system::leader-locking-kube-scheduler",
            &[scheduler(), account(SYSTEM, "kube-scheduler")],
        ),
        own(SYSTEM, "bootstrap-signer"),
        own(SYSTEM, "cloud-provider"),
        own(SYSTEM, "token-cleaner"),
        own(PUBLIC, "bootstrap-signer"),
        binding(
            PUBLIC,
            "kubeadm:bootstrap-signer-clusterinfo",
            "kubeadm:bootstrap-signer-clusterinfo",
            &[group("system:unauthenticated")],
        ),
    ]
}

fn role(namespace: &str, name: &str, rules: Vec<Document>) -> Document {
    let mut metadata = metadata(name);
    metadata["namespace"] = namespace.into();
    json!({"apiVersion": format!("{RBAC}/v1"), "kind": "Role", "metadata": metadata, "rules": rules})
}

fn binding(namespace: &str, name: &str, role: &str, subjects: &[Value]) -> Document {
    let mut metadata = metadata(name);
    metadata["namespace"] = namespace.into();
    json!({"apiVersion": format!("{RBAC}/v1"), "kind": "RoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": role}, "subjects": subjects})
}
