//! ClusterRoles that gather the rules of others.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use crate::cluster::Cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_come_and_go_with_the_roles_that_are_selected() {
    let cluster = Cluster::start("clusterrole-aggregation-controller").await;
    let roles = Api::<ClusterRole>::all(cluster.client.clone());
    let all = json!({"metadata": {"name": "monitoring"}, "rules": [],
                     "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"aggregate": "monitoring"}}]}});
    let part = |name: &str, resource: &str| {
        json!({"metadata": {"name": name, "labels": {"aggregate": "monitoring"}},
               "rules": [{"apiGroups": [""], "resources": [resource], "verbs": ["get"]}]})
    };
    for role in [all, part("monitoring-pods", "pods"), part("monitoring-services", "services")] {
        let role: ClusterRole = serde_json::from_value(role).unwrap();
        roles.create(&PostParams::default(), &role).await.unwrap();
    }
    let gathered = async |expected: &[&str]| {
        let found = async || {
            let rules = roles.get("monitoring").await.unwrap().rules.unwrap_or_default();
            let found: BTreeSet<_> = rules.into_iter().flat_map(|rule| rule.resources.unwrap_or_default()).collect();
            (found == expected.iter().map(|name| (*name).to_owned()).collect()).then_some(())
        };
        cluster.eventually(&format!("rules for {expected:?}"), found).await;
    };
    gathered(&["pods", "services"]).await;
    roles.delete("monitoring-pods", &DeleteParams::default()).await.unwrap();
    gathered(&["services"]).await;
}
