//! Deployments.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use serde_json::{Value, json};

use crate::cluster::{Cluster, is_ready};

const CONTROLLERS: &str = "deployment-controller,replicaset-controller";

fn deployment(replicas: i32, strategy: Value) -> Value {
    json!({
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas, "strategy": strategy, "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "one"}]}},
        },
    })
}

fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}})
}

fn is_complete(deployment: &Deployment) -> bool {
    let status = deployment.status.clone().unwrap_or_default();
    let wanted = deployment.spec.as_ref().unwrap().replicas;
    status.observed_generation == deployment.metadata.generation
        && [status.replicas, status.updated_replicas, status.available_replicas] == [wanted; 3]
}

fn is_complete_at(deployment: &Deployment, revision: &str) -> bool {
    let annotations = deployment.metadata.annotations.as_ref();
    let found = annotations.and_then(|annotations| annotations.get("deployment.kubernetes.io/revision"));
    is_complete(deployment) && found.is_some_and(|found| found == revision)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_update_keeps_its_limits_at_every_observed_moment() {
    let cluster = Cluster::start(CONTROLLERS).await;
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 2, "maxUnavailable": 1}});
    cluster.create::<Deployment>(deployment(6, strategy)).await;
    cluster.until("web", "the first rollout is complete", is_complete).await;
    cluster.merge::<Deployment>("web", image("two")).await;
    let mut moments = 0;
    let done = cluster.eventually("the update is complete", async || {
        let pods = cluster.active_pods("app", "web").await;
        let serving = pods.iter().filter(|pod| is_ready(pod)).count();
        assert!(pods.len() <= 8, "{} pods, 6 wanted and 2 of surge", pods.len());
        assert!(serving >= 5, "{serving} pods serve, 6 wanted and 1 may be unavailable");
        moments += 1;
        is_complete_at(&cluster.get::<Deployment>("web").await, "2").then_some(())
    });
    done.await;
    assert!(moments > 1, "the update was not observed");
    let sets = cluster.list::<ReplicaSet>().await;
    let sizes: Vec<_> = sets.iter().map(|set| set.spec.as_ref().unwrap().replicas.unwrap()).collect();
    assert_eq!((sizes.len(), sizes.iter().sum::<i32>()), (2, 6), "the old set is kept, empty");
    let told = cluster.eventually("events of the scaling", async || {
        let events = cluster.events_of("web").await;
        events.iter().any(|event| event.starts_with("ScalingReplicaSet: Scaled up replica set web-")).then_some(())
    });
    told.await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn going_back_reuses_the_old_set_under_a_new_revision() {
    let cluster = Cluster::start(CONTROLLERS).await;
    cluster.create::<Deployment>(deployment(2, json!({"type": "RollingUpdate"}))).await;
    cluster.until("web", "the first rollout is complete", |it: &Deployment| is_complete_at(it, "1")).await;
    cluster.merge::<Deployment>("web", image("two")).await;
    cluster.until("web", "the second is", |it: &Deployment| is_complete_at(it, "2")).await;
    cluster.merge::<Deployment>("web", image("one")).await;
    cluster.until("web", "it is back", |it: &Deployment| is_complete_at(it, "3")).await;
    assert_eq!(cluster.list::<ReplicaSet>().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recreate_never_runs_old_and_new_pods_together() {
    let cluster = Cluster::start(CONTROLLERS).await;
    cluster.create::<Deployment>(deployment(3, json!({"type": "Recreate"}))).await;
    cluster.until("web", "the first rollout is complete", is_complete).await;
    cluster.merge::<Deployment>("web", image("two")).await;
    let done = cluster.eventually("the update is complete", async || {
        let pods = cluster.active_pods("app", "web").await;
        let image = |pod: &k8s_openapi::api::core::v1::Pod| pod.spec.as_ref().unwrap().containers[0].image.clone();
        assert!(pods.windows(2).all(|pair| image(&pair[0]) == image(&pair[1])), "old and new pods at once");
        is_complete_at(&cluster.get::<Deployment>("web").await, "2").then_some(())
    });
    done.await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_deployment_scales_but_does_not_update_until_it_is_resumed() {
    let cluster = Cluster::start(CONTROLLERS).await;
    cluster.create::<Deployment>(deployment(2, json!({"type": "RollingUpdate"}))).await;
    cluster.until("web", "the first rollout is complete", is_complete).await;
    cluster.merge::<Deployment>("web", json!({"spec": {"paused": true}})).await;
    cluster.merge::<Deployment>("web", image("two")).await;
    cluster.merge::<Deployment>("web", json!({"spec": {"replicas": 4}})).await;
    cluster.pods("app", "web", 4).await;
    assert_eq!(cluster.list::<ReplicaSet>().await.len(), 1);
    cluster.merge::<Deployment>("web", json!({"spec": {"paused": false}})).await;
    cluster.until("web", "the update is complete", |it: &Deployment| is_complete_at(it, "2")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn controllers_that_die_in_a_rollout_finish_it_when_they_are_back() {
    let mut cluster = Cluster::start(CONTROLLERS).await;
    cluster.create::<Deployment>(deployment(5, json!({"type": "RollingUpdate"}))).await;
    cluster.until("web", "the first rollout is complete", is_complete).await;
    cluster.merge::<Deployment>("web", image("two")).await;
    for _ in 0..3 {
        cluster.kill_controllers().await;
        cluster.start_controllers();
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
    cluster.until("web", "the update is complete", |it: &Deployment| is_complete_at(it, "2")).await;
    cluster.stays("5 pods, not one more", async || cluster.active_pods("app", "web").await.len() == 5).await;
}
