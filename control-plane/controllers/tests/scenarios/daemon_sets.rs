//! DaemonSets.

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::cluster::Cluster;

async fn add_node(cluster: &Cluster, name: &str) {
    let node: Node = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
    Api::<Node>::all(cluster.client.clone()).create(&PostParams::default(), &node).await.unwrap();
}

async fn label_node(cluster: &Cluster, name: &str, labels: Value) {
    let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
    Api::<Node>::all(cluster.client.clone()).patch(name, &PatchParams::default(), &patch).await.unwrap();
}

fn set(selector: Value) -> Value {
    json!({"metadata": {"name": "agent"}, "spec": {
        "selector": {"matchLabels": {"app": "agent"}},
        "template": {
            "metadata": {"labels": {"app": "agent"}},
            "spec": {"nodeSelector": selector, "containers": [{"name": "c", "image": "one"}]},
        },
    }})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_gets_one_pod_and_a_new_node_as_well() {
    let cluster = Cluster::start("daemonset-controller").await;
    for node in ["n1", "n2"] {
        add_node(&cluster, node).await;
    }
    cluster.create::<DaemonSet>(set(json!({}))).await;
    cluster.pods("app", "agent", 2).await;
    add_node(&cluster, "n3").await;
    cluster.pods("app", "agent", 3).await;
    let ready = |set: &DaemonSet| {
        set.status.as_ref().is_some_and(|it| (it.desired_number_scheduled, it.number_ready) == (3, 3))
    };
    cluster.until("agent", "all nodes serve", ready).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_label_brings_a_pod_to_a_node_and_takes_it_away() {
    let cluster = Cluster::start("daemonset-controller").await;
    add_node(&cluster, "n1").await;
    cluster.create::<DaemonSet>(set(json!({"ssd": "true"}))).await;
    cluster
        .until("agent", "it is observed", |set: &DaemonSet| {
            set.status.as_ref().is_some_and(|it| it.observed_generation.is_some())
        })
        .await;
    assert!(cluster.active_pods("app", "agent").await.is_empty());
    label_node(&cluster, "n1", json!({"ssd": "true"})).await;
    cluster.pods("app", "agent", 1).await;
    label_node(&cluster, "n1", json!({"ssd": null})).await;
    cluster.pods("app", "agent", 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_replaces_every_pod_and_is_a_revision_of_its_own() {
    let cluster = Cluster::start("daemonset-controller").await;
    for node in ["n1", "n2"] {
        add_node(&cluster, node).await;
    }
    cluster.create::<DaemonSet>(set(json!({}))).await;
    cluster.pods("app", "agent", 2).await;
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "two"}]}}}});
    let updated = cluster.merge::<DaemonSet>("agent", image).await;
    let done = |set: &DaemonSet| {
        let status = set.status.clone().unwrap_or_default();
        status.observed_generation == updated.metadata.generation && status.updated_number_scheduled == Some(2)
    };
    cluster.until("agent", "all pods are new", done).await;
    let pods = cluster.pods("app", "agent", 2).await;
    assert!(pods.iter().all(|pod| pod.spec.as_ref().unwrap().containers[0].image.as_deref() == Some("two")));
    let revisions: Vec<_> = cluster.list::<ControllerRevision>().await.iter().map(|it| it.revision).collect();
    assert_eq!(revisions.iter().sum::<i64>(), 3, "{revisions:?}");
}
