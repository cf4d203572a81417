//! The roles that people get: cluster-admin, admin, edit, view.
//!
//! The last three are aggregated: `admin` gathers every cluster role labelled
//! `rbac.authorization.k8s.io/aggregate-to-admin`, and so on. Their rules are written out too, for those who read them.

use serde_json::{Value, json};
use sheave_api::Document;

use super::rules::{BOTH, READ, WRITE, rule};

const APPS: &str = "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale \
    statefulsets statefulsets/scale";
const APPS_READ: &str = "controllerrevisions daemonsets daemonsets/status deployments deployments/scale \
    deployments/status replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale \
    statefulsets/status";
const CORE_READ: &str = "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods \
    replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status";
const CORE_STATUS_READ: &str = "bindings events limitranges namespaces/status pods/log pods/status \
    replicationcontrollers/status resourcequotas resourcequotas/status";
const CONNECT: &str = "pods/attach pods/exec pods/portforward pods/proxy";

/// Name and document of each role.
pub(super) fn roles() -> Vec<Document> {
    let everything = json!([
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
        {"verbs": ["*"], "nonResourceURLs": ["*"]},
    ]);
    let (view, edit, admin) = (view(), edit(), admin());
    vec![
        super::roles::cluster_role("cluster-admin", &everything),
        aggregated("admin", "admin", "", &[admin.clone(), edit.clone(), view.clone()].concat()),
        aggregated("edit", "edit", "admin", &[edit.clone(), view.clone()].concat()),
        aggregated("view", "view", "edit", &view),
        part("system:aggregate-to-admin", "admin", &admin),
        part("system:aggregate-to-edit", "edit", &edit),
        part("system:aggregate-to-view", "view", &view),
    ]
}

/// A role that gathers what is labelled for `gathers`, and is gathered itself by `into`.
fn aggregated(name: &str, gathers: &str, into: &str, rules: &[Document]) -> Document {
    let mut role = super::roles::cluster_role(name, &Value::from(rules.to_vec()));
    let selector = json!({"matchLabels": {label(gathers): "true"}});
    role["aggregationRule"] = json!({"clusterRoleSelectors": [selector]});
    if !into.is_empty() {
        role["metadata"]["labels"][label(into)] = "true".into();
    }
    role
}

fn part(name: &str, into: &str, rules: &[Document]) -> Document {
    let mut role = super::roles::cluster_role(name, &Value::from(rules.to_vec()));
    role["metadata"]["labels"][label(into)] = "true".into();
    role
}

fn label(role: &str) -> String {
    format!("rbac.authorization.k8s.io/aggregate-to-{role}")
}

fn view() -> Vec<Document> {
    vec![
        rule(READ, "", CORE_READ),
        rule(READ, "", CORE_STATUS_READ),
        rule(READ, "", "namespaces"),
        rule(READ, "discovery.k8s.io", "endpointslices"),
        rule(READ, "apps", APPS_READ),
        rule(READ, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
        rule(READ, "batch", "cronjobs cronjobs/status jobs jobs/status"),
        rule(READ, "networking.k8s.io", "ingresses ingresses/status networkpolicies"),
        rule(READ, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
    ]
}

fn edit() -> Vec<Document> {
    let core = "configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets \
        serviceaccounts services services/proxy";
    vec![
        rule(READ, "", &format!("{CONNECT} secrets services/proxy")),
        rule("impersonate", "", "serviceaccounts"),
        rule(WRITE, "", &format!("pods {CONNECT}")),
        rule("create", "", "pods/eviction"),
        rule(WRITE, "", core),
        rule("create", "", "serviceaccounts/token"),
        rule(WRITE, "apps", APPS),
        rule(WRITE, "autoscaling", "horizontalpodautoscalers"),
        rule(WRITE, "batch", "cronjobs jobs"),
        rule(WRITE, "networking.k8s.io", "ingresses networkpolicies"),
        rule(WRITE, "policy", "poddisruptionbudgets"),
        rule(BOTH, "coordination.k8s.io", "leases"),
    ]
}

fn admin() -> Vec<Document> {
    vec![
        rule("create", "authorization.k8s.io", "localsubjectaccessreviews"),
        rule(BOTH, "rbac.authorization.k8s.io", "roles rolebindings"),
    ]
}
