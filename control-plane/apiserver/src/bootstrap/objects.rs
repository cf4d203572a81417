//! What every cluster has from the start.

use serde_json::json;
use sheave_api::Document;

use super::{Mode, Wanted, kubernetes_service, namespaced_roles, roles};
use crate::options::Options;

/// The namespaces that Kubernetes itself uses.
const NAMESPACES: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];

/// The objects in groups, each of which needs the one before.
pub(super) fn groups(options: &Options) -> Vec<Vec<Wanted>> {
    let namespaces = NAMESPACES.iter().map(|name| namespace(name));
    let first = namespaces.chain(priority_classes()).chain(roles::wanted());
    let accounts = NAMESPACES.iter().map(|name| default_account(name));
    let second = accounts.chain(kubernetes_service::wanted(options)).chain(namespaced_roles::wanted());
    vec![first.collect(), second.collect()]
}

fn namespace(name: &str) -> Wanted {
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    Wanted { collection: "/api/v1/namespaces".to_owned(), object, mode: Mode::Create }
}

fn default_account(namespace: &str) -> Wanted {
    let object = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    let collection = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
    Wanted { collection, object, mode: Mode::Create }
}

fn priority_classes() -> impl Iterator<Item = Wanted> {
    [
        ("system-node-critical", 2_000_001_000, "Used for system critical pods that must not be moved from their current node."),
        ("system-cluster-critical", 2_000_000_000, "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."),
    ]
    .into_iter()
    .map(|(name, value, description)| Wanted {
        collection: "/apis/scheduling.k8s.io/v1/priorityclasses".to_owned(),
        object: priority_class(name, value, description),
        mode: Mode::Create,
    })
}

fn priority_class(name: &str, value: i64, description: &str) -> Document {
    json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
        "value": value, "description": description, "preemptionPolicy": "PreemptLowerPriority"})
}
