//! PodDisruptionBudgets.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use serde_json::{Value, json};

use crate::cluster::Cluster;

const CONTROLLERS: &str = "disruption-controller,replicaset-controller";

fn set(replicas: i32) -> Value {
    json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}},
        },
    })
}

fn budget(spec: Value) -> Value {
    let mut spec = spec;
    spec["selector"] = json!({"matchLabels": {"app": "web"}});
    json!({"metadata": {"name": "web"}, "spec": spec})
}

/// Expected, healthy, desired, allowed.
async fn counts(cluster: &Cluster, expected: (i32, i32, i32, i32)) -> PodDisruptionBudgetStatus {
    let counts = |budget: &PodDisruptionBudget| {
        let status = budget.status.clone().unwrap_or_default();
        (status.expected_pods, status.current_healthy, status.desired_healthy, status.disruptions_allowed)
    };
    let what = format!("counts {expected:?}");
    let found = cluster.until("web", &what, |budget: &PodDisruptionBudget| counts(budget) == expected).await;
    found.status.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_follows_its_pods_and_the_set_that_they_are_of() {
    let cluster = Cluster::start(CONTROLLERS).await;
    cluster.create::<PodDisruptionBudget>(budget(json!({"maxUnavailable": "25%"}))).await;
    cluster.create::<ReplicaSet>(set(4)).await;
    let status = counts(&cluster, (4, 4, 3, 1)).await;
    let condition = &status.conditions.unwrap()[0];
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("True", "SufficientPods"));
    let pods = cluster.pods("app", "web", 4).await;
    let broken = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
    let patch = kube::api::Patch::Strategic(broken);
    let name = pods[0].metadata.name.as_deref().unwrap();
    cluster.api::<Pod>().patch_status(name, &kube::api::PatchParams::default(), &patch).await.unwrap();
    let status = counts(&cluster, (4, 3, 3, 0)).await;
    assert_eq!(status.conditions.unwrap()[0].reason, "InsufficientPods");
    cluster.merge::<ReplicaSet>("web", json!({"spec": {"replicas": 8}})).await;
    counts(&cluster, (8, 7, 6, 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_must_be_available_counts_pods_that_nobody_controls() {
    let cluster = Cluster::start(CONTROLLERS).await;
    cluster.create::<PodDisruptionBudget>(budget(json!({"minAvailable": 1}))).await;
    counts(&cluster, (0, 0, 1, 0)).await;
    for name in ["one", "two", "three"] {
        let meta = json!({"name": name, "labels": {"app": "web"}});
        let spec = json!({"containers": [{"name": "c", "image": "nginx"}]});
        cluster.create::<Pod>(json!({"metadata": meta, "spec": spec})).await;
    }
    counts(&cluster, (3, 3, 1, 2)).await;
    cluster.merge::<Pod>("one", json!({"metadata": {"labels": {"app": "other"}}})).await;
    counts(&cluster, (2, 2, 1, 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_whose_controller_has_no_replicas_block_a_share_of_them() {
    let cluster = Cluster::start(CONTROLLERS).await;
    let owner =
        json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": "1", "controller": true}]);
    let meta = json!({"name": "agent-1", "labels": {"app": "web"}, "ownerReferences": owner});
    let spec = json!({"containers": [{"name": "c", "image": "nginx"}]});
    cluster.create::<Pod>(json!({"metadata": meta, "spec": spec})).await;
    cluster.create::<PodDisruptionBudget>(budget(json!({"maxUnavailable": 1}))).await;
    let reason = |budget: &PodDisruptionBudget| {
        let conditions = budget.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().next().map(|condition| condition.reason.clone())
    };
    let what = "it says that it cannot count";
    let found = |budget: &PodDisruptionBudget| reason(budget).as_deref() == Some("SyncFailed");
    let budget = cluster.until("web", what, found).await;
    assert_eq!(budget.status.unwrap().disruptions_allowed, 0);
}
