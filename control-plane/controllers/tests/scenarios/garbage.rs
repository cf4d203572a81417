//! Objects that go with their owners, in each of the three ways.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, PropagationPolicy};
use serde_json::{Value, json};

use crate::cluster::Cluster;

const CONTROLLER: &str = "garbage-collector-controller";

async fn owner(cluster: &Cluster, name: &str) -> ConfigMap {
    cluster.create(json!({"metadata": {"name": name}})).await
}

/// How a dependent refers to its owner.
fn reference(owner: &ConfigMap, blocks: bool) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner.metadata.name, "uid": owner.metadata.uid,
           "blockOwnerDeletion": blocks})
}

async fn dependent(cluster: &Cluster, name: &str, owners: &[Value], finalizers: &[&str]) -> ConfigMap {
    cluster.create(json!({"metadata": {"name": name, "ownerReferences": owners, "finalizers": finalizers}})).await
}

async fn delete(cluster: &Cluster, name: &str, policy: PropagationPolicy) {
    let how = DeleteParams { propagation_policy: Some(policy), ..DeleteParams::default() };
    cluster.api::<ConfigMap>().delete(name, &how).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_background_dependents_follow_whole_generations_deep() {
    let cluster = Cluster::start(CONTROLLER).await;
    let first = owner(&cluster, "first").await;
    let second = dependent(&cluster, "second", &[reference(&first, false)], &[]).await;
    dependent(&cluster, "third", &[reference(&second, false)], &[]).await;
    owner(&cluster, "stranger").await;
    delete(&cluster, "first", PropagationPolicy::Background).await;
    for name in ["second", "third"] {
        cluster.gone::<ConfigMap>(name).await;
    }
    cluster.get::<ConfigMap>("stranger").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_foreground_the_owner_waits_for_those_that_block_it() {
    let cluster = Cluster::start(CONTROLLER).await;
    let first = owner(&cluster, "first").await;
    dependent(&cluster, "slow", &[reference(&first, true)], &["example.com/busy"]).await;
    dependent(&cluster, "free", &[reference(&first, false)], &["example.com/busy"]).await;
    delete(&cluster, "first", PropagationPolicy::Foreground).await;
    let going = |object: &ConfigMap| object.metadata.deletion_timestamp.is_some();
    cluster.until("slow", "the dependent is deleted", going).await;
    cluster.stays("the owner waits", async || going(&cluster.get::<ConfigMap>("first").await)).await;
    cluster.merge::<ConfigMap>("slow", json!({"metadata": {"finalizers": null}})).await;
    cluster.gone::<ConfigMap>("first").await;
    cluster.get::<ConfigMap>("free").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphans_stay_and_forget_their_owner() {
    let cluster = Cluster::start(CONTROLLER).await;
    let first = owner(&cluster, "first").await;
    dependent(&cluster, "second", &[reference(&first, true)], &[]).await;
    delete(&cluster, "first", PropagationPolicy::Orphan).await;
    cluster.gone::<ConfigMap>("first").await;
    let orphan = cluster.get::<ConfigMap>("second").await;
    assert_eq!((orphan.metadata.owner_references, orphan.metadata.deletion_timestamp), (None, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circle_of_owners_blocks_nobody() {
    let cluster = Cluster::start(CONTROLLER).await;
    let first = owner(&cluster, "first").await;
    let second = dependent(&cluster, "second", &[reference(&first, true)], &[]).await;
    let third = dependent(&cluster, "third", &[reference(&second, true)], &[]).await;
    let closing = json!({"metadata": {"ownerReferences": [reference(&third, true)]}});
    cluster.merge::<ConfigMap>("first", closing).await;
    delete(&cluster, "first", PropagationPolicy::Foreground).await;
    for name in ["first", "second", "third"] {
        cluster.gone::<ConfigMap>(name).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dependent_that_has_another_owner_stays_with_that_one() {
    let cluster = Cluster::start(CONTROLLER).await;
    let (goes, stays) = (owner(&cluster, "goes").await, owner(&cluster, "stays").await);
    dependent(&cluster, "shared", &[reference(&goes, true), reference(&stays, true)], &[]).await;
    delete(&cluster, "goes", PropagationPolicy::Foreground).await;
    cluster.gone::<ConfigMap>("goes").await;
    let shared = cluster
        .until("shared", "one owner is left", |it: &ConfigMap| {
            it.metadata.owner_references.as_ref().is_some_and(|owners| owners.len() == 1)
        })
        .await;
    assert_eq!(shared.metadata.owner_references.unwrap()[0].name, "stays");
}
