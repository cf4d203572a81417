//! Many objects at once.

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use crate::cluster::Cluster;

async fn create_many(client: &Client, namespace: &str, count: usize, owners: &serde_json::Value) {
    let api = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let created = (0..count).map(|index| {
        let meta = json!({"name": format!("c{index}"), "ownerReferences": owners});
        let object: ConfigMap = serde_json::from_value(json!({ "metadata": meta })).unwrap();
        let api = api.clone();
        async move { api.create(&PostParams::default(), &object).await.unwrap() }
    });
    futures::stream::iter(created).buffer_unordered(64).for_each(|_| async {}).await;
}

/// One page tells how many there are.
async fn is_empty(client: &Client, namespace: &str) -> bool {
    let api = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    api.list_metadata(&ListParams::default().limit(1).labels("!root")).await.unwrap().items.is_empty()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_dependents_follow_their_owner() {
    let cluster = Cluster::start("garbage-collector-controller").await;
    let owner: ConfigMap = cluster.create(json!({"metadata": {"name": "owner", "labels": {"root": ""}}})).await;
    let owners = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid}]);
    create_many(&cluster.client, "default", 10_000, &owners).await;
    cluster.delete::<ConfigMap>("owner").await;
    let gone = async || is_empty(&cluster.client, "default").await.then_some(());
    cluster.eventually("no dependent is left", gone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_of_five_thousand_objects_empties() {
    let cluster = Cluster::start("namespace-controller").await;
    let namespaces = Api::<Namespace>::all(cluster.client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": "full"}})).unwrap();
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    create_many(&cluster.client, "full", 5_000, &json!(null)).await;
    namespaces.delete("full", &DeleteParams::default()).await.unwrap();
    let gone = async || namespaces.get_opt("full").await.unwrap().is_none().then_some(());
    cluster.eventually("the namespace is gone", gone).await;
    assert!(is_empty(&cluster.client, "full").await);
}
