//! StatefulSets.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use serde_json::json;

use crate::cluster::{Cluster, is_ready};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_come_in_order_with_their_claims_and_an_update_replaces_them_all() {
    let cluster = Cluster::start("statefulset-controller").await;
    let set = json!({"metadata": {"name": "db"}, "spec": {
        "replicas": 3, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
        "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "c", "image": "one"}]}},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
        }}],
    }});
    cluster.create::<StatefulSet>(set).await;
    let built = cluster.eventually("three pods that serve", async || {
        let pods = cluster.active_pods("app", "db").await;
        let names: Vec<_> = pods.iter().filter_map(|pod| pod.metadata.name.clone()).collect();
        assert_eq!(names, ["db-0", "db-1", "db-2"][..names.len()], "in order");
        assert!(pods.iter().rev().skip(1).all(is_ready), "each waits for the one before");
        (pods.len() == 3 && pods.iter().all(is_ready)).then_some(())
    });
    built.await;
    let claims = cluster.list::<PersistentVolumeClaim>().await;
    let claims: Vec<_> = claims.iter().filter_map(|claim| claim.metadata.name.as_deref()).collect();
    assert_eq!(claims, ["data-db-0", "data-db-1", "data-db-2"]);

    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "two"}]}}}});
    let updated = cluster.merge::<StatefulSet>("db", image).await;
    let done = |set: &StatefulSet| {
        let status = set.status.clone().unwrap_or_default();
        status.observed_generation == updated.metadata.generation
            && status.updated_replicas == Some(3)
            && status.current_revision == status.update_revision
    };
    cluster.until("db", "the update is complete", done).await;
    let pod: Pod = cluster.get("db-0").await;
    assert_eq!(pod.spec.unwrap().containers[0].image.as_deref(), Some("two"));
    cluster.merge::<StatefulSet>("db", json!({"spec": {"replicas": 1}})).await;
    cluster.pods("app", "db", 1).await;
    cluster.get::<Pod>("db-0").await;
}

fn with_policy(when_deleted: &str, when_scaled: &str) -> serde_json::Value {
    json!({"metadata": {"name": "db"}, "spec": {
        "replicas": 2, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": when_deleted, "whenScaled": when_scaled},
        "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "c", "image": "one"}]}},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
        }}],
    }})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_go_with_the_pod_or_the_set_where_the_policy_says_so() {
    for (when_deleted, when_scaled, after_scaling, after_deletion) in
        [("Retain", "Retain", 2, 2), ("Retain", "Delete", 1, 1), ("Delete", "Retain", 2, 0), ("Delete", "Delete", 1, 0)]
    {
        let cluster = Cluster::start("statefulset-controller,garbage-collector-controller").await;
        cluster.create::<StatefulSet>(with_policy(when_deleted, when_scaled)).await;
        let serves = |set: &StatefulSet| set.status.as_ref().is_some_and(|it| it.ready_replicas == Some(2));
        cluster.until("db", "both serve", serves).await;
        let claims = async |count: usize| {
            let what = format!("{count} claims with {when_deleted} and {when_scaled}");
            let found = async || (cluster.list::<PersistentVolumeClaim>().await.len() == count).then_some(());
            cluster.eventually(&what, found).await;
            cluster.stays(&what, async || cluster.list::<PersistentVolumeClaim>().await.len() == count).await;
        };
        claims(2).await;
        cluster.merge::<StatefulSet>("db", json!({"spec": {"replicas": 1}})).await;
        cluster.gone::<Pod>("db-1").await;
        claims(after_scaling).await;
        cluster.delete::<StatefulSet>("db").await;
        cluster.gone::<Pod>("db-0").await;
        claims(after_deletion).await;
    }
}
