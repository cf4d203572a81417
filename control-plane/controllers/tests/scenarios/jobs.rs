//! Jobs.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::cluster::{Cluster, phase};

fn job(spec: Value) -> Value {
    let mut spec = spec;
    spec["template"] = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}});
    json!({"metadata": {"name": "work"}, "spec": spec})
}

/// Lets every running pod end in `outcome`, until the Job has a condition of type `end`.
async fn run_until(cluster: &Cluster, outcome: &str, end: &str) -> Job {
    let found = cluster.eventually(end, async || {
        for pod in cluster.list::<Pod>().await.iter().filter(|pod| phase(pod) == "Running") {
            let status = Patch::Merge(json!({"status": {"phase": outcome}}));
            let name = pod.metadata.name.clone().unwrap_or_default();
            let _ = cluster.api::<Pod>().patch_status(&name, &PatchParams::default(), &status).await;
        }
        let job = cluster.get::<Job>("work").await;
        let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let ended = conditions.into_iter().any(|condition| condition.type_ == end && condition.status == "True");
        ended.then_some(job)
    });
    found.await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_runs_until_enough_pods_succeed_and_counts_each_once() {
    let cluster = Cluster::start("job-controller").await;
    cluster.create::<Job>(job(json!({"completions": 5, "parallelism": 2}))).await;
    let done = run_until(&cluster, "Succeeded", "Complete").await;
    let status = done.status.unwrap();
    assert_eq!((status.succeeded, status.active, status.failed), (Some(5), None, None));
    assert!(status.completion_time.is_some());
    let pods = cluster.list::<Pod>().await;
    assert_eq!(pods.len(), 5, "finished pods stay for their logs, and there was none too many");
    assert!(pods.iter().all(|pod| pod.metadata.finalizers.is_none()), "nothing holds them any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_indexed_job_runs_each_index_once() {
    let cluster = Cluster::start("job-controller").await;
    cluster.create::<Job>(job(json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed"}))).await;
    let done = run_until(&cluster, "Succeeded", "Complete").await;
    assert_eq!(done.status.unwrap().completed_indexes.as_deref(), Some("0-2"));
    let index =
        |pod: &Pod| pod.metadata.annotations.as_ref().unwrap()["batch.kubernetes.io/job-completion-index"].clone();
    let mut indexes: Vec<_> = cluster.list::<Pod>().await.iter().map(index).collect();
    indexes.sort();
    assert_eq!(indexes, ["0", "1", "2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_fails_too_often_says_so() {
    let cluster = Cluster::start("job-controller").await;
    cluster.create::<Job>(job(json!({"completions": 1, "backoffLimit": 0}))).await;
    let failed = run_until(&cluster, "Failed", "Failed").await;
    let conditions = failed.status.unwrap().conditions.unwrap();
    let reason = conditions.iter().find(|condition| condition.type_ == "Failed").unwrap().reason.clone();
    assert_eq!(reason.as_deref(), Some("BackoffLimitExceeded"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_job_waits_until_it_is_resumed() {
    let cluster = Cluster::start("job-controller").await;
    cluster.create::<Job>(job(json!({"completions": 1, "suspend": true}))).await;
    cluster
        .until("work", "it is suspended", |job: &Job| job.status.as_ref().is_some_and(|it| it.conditions.is_some()))
        .await;
    assert!(cluster.list::<Pod>().await.is_empty());
    cluster.merge::<Job>("work", json!({"spec": {"suspend": false}})).await;
    run_until(&cluster, "Succeeded", "Complete").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_goes_when_its_time_to_live_is_over() {
    let cluster = Cluster::start("job-controller").await;
    cluster.create::<Job>(job(json!({"completions": 1, "ttlSecondsAfterFinished": 3}))).await;
    run_until(&cluster, "Succeeded", "Complete").await;
    cluster.gone::<Job>("work").await;
}
