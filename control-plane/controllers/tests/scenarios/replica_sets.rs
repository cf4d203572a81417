//! ReplicaSets and ReplicationControllers.

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Pod, ReplicationController};
use kube::api::DeleteParams;
use serde_json::{Value, json};

use crate::cluster::Cluster;

const CONTROLLERS: &str = "replicaset-controller,replicationcontroller-controller";

fn set(replicas: i32) -> Value {
    json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}},
        },
    })
}

fn controller_name(pod: &Pod) -> Option<String> {
    let owners = pod.metadata.owner_references.iter().flatten();
    owners.into_iter().find(|owner| owner.controller == Some(true)).map(|owner| owner.name.clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_has_as_many_pods_as_it_asks_for() {
    let cluster = Cluster::start(CONTROLLERS).await;
    cluster.create::<ReplicaSet>(set(3)).await;
    let pods = cluster.pods("app", "web", 3).await;
    assert!(pods.iter().all(|pod| pod.metadata.name.as_ref().is_some_and(|name| name.starts_with("web-"))));
    assert!(pods.iter().all(|pod| controller_name(pod).as_deref() == Some("web")));
    let status = |set: &ReplicaSet| {
        let status = set.status.clone().unwrap_or_default();
        (status.replicas, status.ready_replicas, status.available_replicas, status.fully_labeled_replicas)
    };
    cluster.until("web", "all pods serve", |set: &ReplicaSet| status(set) == (3, Some(3), Some(3), Some(3))).await;

    cluster.merge::<ReplicaSet>("web", json!({"spec": {"replicas": 5}})).await;
    cluster.pods("app", "web", 5).await;
    cluster.merge::<ReplicaSet>("web", json!({"spec": {"replicas": 2}})).await;
    cluster.pods("app", "web", 2).await;
    cluster.until("web", "two pods serve", |set: &ReplicaSet| status(set).2 == Some(2)).await;
    cluster.merge::<ReplicaSet>("web", json!({"spec": {"replicas": 0}})).await;
    cluster.pods("app", "web", 0).await;
    let set = cluster.until("web", "no pod is left", |set: &ReplicaSet| status(set).0 == 0).await;
    assert_eq!(set.status.unwrap().observed_generation, set.metadata.generation);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_pods_are_created_once_each_although_the_cache_lags() {
    let cluster = Cluster::start(CONTROLLERS).await;
    cluster.create::<ReplicaSet>(set(200)).await;
    cluster.pods("app", "web", 200).await;
    cluster.stays("200 pods, not one more", async || cluster.active_pods("app", "web").await.len() == 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_goes_is_replaced_and_one_that_failed_as_well() {
    let cluster = Cluster::start(CONTROLLERS).await;
    cluster.create::<ReplicaSet>(set(2)).await;
    let pods = cluster.pods("app", "web", 2).await;
    let first = pods[0].metadata.name.clone().unwrap();
    cluster.delete::<Pod>(&first).await;
    cluster
        .eventually("another pod in its place", async || {
            let names: Vec<_> =
                cluster.active_pods("app", "web").await.into_iter().filter_map(|pod| pod.metadata.name).collect();
            (names.len() == 2 && !names.contains(&first)).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_matching_orphan_is_adopted_and_a_relabelled_pod_released_and_replaced() {
    let cluster = Cluster::start(CONTROLLERS).await;
    let orphan = json!({
        "metadata": {"name": "stray", "labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]},
    });
    cluster.create::<Pod>(orphan).await;
    cluster.create::<ReplicaSet>(set(2)).await;
    cluster.pods("app", "web", 2).await;
    cluster.until("stray", "the orphan is adopted", |pod: &Pod| controller_name(pod).as_deref() == Some("web")).await;

    cluster.merge::<Pod>("stray", json!({"metadata": {"labels": {"app": "debug"}}})).await;
    cluster.until("stray", "the pod is released", |pod: &Pod| controller_name(pod).is_none()).await;
    cluster.pods("app", "web", 2).await;
    cluster.get::<Pod>("stray").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cheapest_pod_goes_first() {
    let cluster = Cluster::start(CONTROLLERS).await;
    cluster.create::<ReplicaSet>(set(3)).await;
    let pods = cluster.pods("app", "web", 3).await;
    let cheap = pods[1].metadata.name.clone().unwrap();
    for pod in &pods {
        let name = pod.metadata.name.clone().unwrap();
        cluster.until(&name, "it serves", |pod: &Pod| crate::cluster::is_ready(pod)).await;
    }
    let cost = json!({"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-10"}}});
    cluster.merge::<Pod>(&cheap, cost).await;
    cluster.until("web", "all serve", |set: &ReplicaSet| set.status.as_ref().unwrap().ready_replicas == Some(3)).await;
    cluster.merge::<ReplicaSet>("web", json!({"spec": {"replicas": 2}})).await;
    cluster.pods("app", "web", 2).await;
    cluster.gone::<Pod>(&cheap).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_is_told_in_events() {
    let cluster = Cluster::start(CONTROLLERS).await;
    cluster.create::<ReplicaSet>(set(2)).await;
    let pods = cluster.pods("app", "web", 2).await;
    let created = format!("SuccessfulCreate: Created pod: {}", pods[0].metadata.name.clone().unwrap());
    cluster
        .eventually("an event of the creation", async || {
            cluster.events_of("web").await.contains(&created).then_some(())
        })
        .await;
    cluster.merge::<ReplicaSet>("web", json!({"spec": {"replicas": 1}})).await;
    cluster
        .eventually("an event of the deletion", async || {
            let events = cluster.events_of("web").await;
            events.iter().any(|event| event.starts_with("SuccessfulDelete: Deleted pod: web-")).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_events_of_a_kind_become_one_that_counts() {
    let cluster = Cluster::start(CONTROLLERS).await;
    cluster.create::<ReplicaSet>(set(20)).await;
    cluster.pods("app", "web", 20).await;
    let combined = async || {
        let events = cluster.list::<k8s_openapi::api::core::v1::Event>().await;
        assert!(events.len() <= 10, "ten are told, the last of them for all that follow: {}", events.len());
        let last = events.into_iter().find(|event| event.message.iter().any(|it| it.starts_with("(combined from")));
        last.filter(|event| event.count >= Some(11))
    };
    let event = cluster.eventually("twenty creations", combined).await;
    assert_eq!(event.reason.as_deref(), Some("SuccessfulCreate"));
    assert_eq!(event.count, Some(11), "the tenth to the twentieth");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_whose_pods_are_refused_says_so_and_recovers() {
    let cluster = Cluster::start(CONTROLLERS).await;
    let mut refused = set(2);
    refused["spec"]["template"]["spec"]["serviceAccountName"] = json!("missing");
    cluster.create::<ReplicaSet>(refused).await;
    let failure = |set: &ReplicaSet| {
        let conditions = set.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().find(|condition| condition.type_ == "ReplicaFailure").cloned()
    };
    let set = cluster.until("web", "it fails", |set: &ReplicaSet| failure(set).is_some()).await;
    assert_eq!(failure(&set).unwrap().reason.as_deref(), Some("FailedCreate"));
    cluster.create::<k8s_openapi::api::core::v1::ServiceAccount>(json!({"metadata": {"name": "missing"}})).await;
    cluster.pods("app", "web", 2).await;
    cluster.until("web", "it recovers", |set: &ReplicaSet| failure(set).is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_that_is_deleted_with_its_pods_kept_leaves_orphans_to_the_next_one() {
    let cluster = Cluster::start("replicaset-controller,garbage-collector-controller").await;
    cluster.create::<ReplicaSet>(set(2)).await;
    let pods = cluster.pods("app", "web", 2).await;
    let orphan =
        DeleteParams { propagation_policy: Some(kube::api::PropagationPolicy::Orphan), ..DeleteParams::default() };
    cluster.api::<ReplicaSet>().delete("web", &orphan).await.unwrap();
    cluster.gone::<ReplicaSet>("web").await;
    let names = |pods: &[Pod]| pods.iter().filter_map(|pod| pod.metadata.name.clone()).collect::<Vec<_>>();
    cluster.create::<ReplicaSet>(set(2)).await;
    cluster
        .until("web", "it has its pods", |set: &ReplicaSet| {
            set.status.as_ref().is_some_and(|status| status.replicas == 2)
        })
        .await;
    assert_eq!(names(&cluster.active_pods("app", "web").await), names(&pods));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replication_controller_does_the_same() {
    let cluster = Cluster::start(CONTROLLERS).await;
    let controller = json!({
        "metadata": {"name": "nginx"},
        "spec": {
            "replicas": 3, "selector": {"app": "nginx"},
            "template": {"metadata": {"labels": {"app": "nginx"}}, "spec": {"containers": [{"name": "c", "image": "nginx"}]}},
        },
    });
    cluster.create::<ReplicationController>(controller).await;
    cluster.pods("app", "nginx", 3).await;
    let serves = |controller: &ReplicationController| controller.status.as_ref().unwrap().available_replicas == Some(3);
    cluster.until("nginx", "all pods serve", serves).await;
    cluster.merge::<ReplicationController>("nginx", json!({"spec": {"replicas": 1}})).await;
    cluster.pods("app", "nginx", 1).await;
}
