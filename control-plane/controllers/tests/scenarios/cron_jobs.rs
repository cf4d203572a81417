//! CronJobs, over a clock that the test moves.

use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::cluster::Cluster;

const CONTROLLERS: &str = "cronjob-controller,garbage-collector-controller";

fn cron_job(spec: Value) -> Value {
    let template = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox"}]}});
    let mut spec = spec;
    spec["schedule"] = json!("*/10 * * * *");
    spec["jobTemplate"] = json!({"metadata": {"labels": {"from": "tick"}}, "spec": {"template": template}});
    json!({"metadata": {"name": "tick"}, "spec": spec})
}

async fn jobs(cluster: &Cluster, count: usize) -> Vec<Job> {
    let what = format!("{count} jobs");
    cluster
        .eventually(&what, async || {
            let jobs = cluster.list::<Job>().await;
            (jobs.len() == count).then_some(jobs)
        })
        .await
}

async fn active(cluster: &Cluster, count: usize) -> CronJob {
    let active = |it: &CronJob| it.status.as_ref().and_then(|status| status.active.as_ref()).map_or(0, Vec::len);
    cluster.until("tick", &format!("{count} active"), |it: &CronJob| active(it) == count).await
}

/// Lets a job end as the job controller would.
async fn end(cluster: &Cluster, job: &Job, kind: &str) {
    let now = jiff::Timestamp::now().to_string();
    let before = if kind == "Complete" { "SuccessCriteriaMet" } else { "FailureTarget" };
    let condition =
        |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now, "lastProbeTime": now});
    let mut status = json!({"startTime": now, "conditions": [condition(before), condition(kind)]});
    if kind == "Complete" {
        status["completionTime"] = json!(now);
        status["succeeded"] = json!(1);
    }
    let name = job.metadata.name.clone().unwrap();
    let patch = Patch::Merge(json!({ "status": status }));
    cluster.api::<Job>().patch_status(&name, &PatchParams::default(), &patch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_made_each_time_and_named_for_it() {
    let cluster = Cluster::start(CONTROLLERS).await;
    cluster.create::<CronJob>(cron_job(json!({}))).await;
    active(&cluster, 0).await;
    cluster.advance(600);
    let first = jobs(&cluster, 1).await.remove(0);
    let scheduled = &first.metadata.annotations.as_ref().unwrap()["batch.kubernetes.io/cronjob-scheduled-timestamp"];
    let minute = scheduled.parse::<jiff::Timestamp>().unwrap().as_second() / 60;
    assert_eq!(minute % 10, 0, "on the schedule");
    assert_eq!(first.metadata.name, Some(format!("tick-{minute}")));
    assert_eq!(first.metadata.labels.as_ref().unwrap()["from"], "tick");
    let status = active(&cluster, 1).await.status.unwrap();
    assert_eq!(status.last_schedule_time.unwrap().0.as_second() / 60, minute);
    end(&cluster, &first, "Complete").await;
    let done = active(&cluster, 0).await;
    assert!(done.status.unwrap().last_successful_time.is_some());
    cluster.advance(600);
    jobs(&cluster, 2).await;
    let events = cluster
        .eventually("both events", async || {
            let events = cluster.events_of("tick").await;
            (events.len() >= 3).then_some(events)
        })
        .await;
    for event in [format!("SuccessfulCreate: Created job tick-{minute}"), "SawCompletedJob: Saw completed job".into()] {
        assert!(events.iter().any(|line| line.starts_with(&event)), "{event}: {events:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policy_decides_when_the_job_before_still_runs() {
    for (policy, expected) in [("Allow", 2), ("Forbid", 1), ("Replace", 1)] {
        let cluster = Cluster::start(CONTROLLERS).await;
        cluster.create::<CronJob>(cron_job(json!({ "concurrencyPolicy": policy }))).await;
        cluster.advance(600);
        let first = jobs(&cluster, 1).await.remove(0);
        active(&cluster, 1).await;
        cluster.advance(600);
        if policy == "Replace" {
            cluster.gone::<Job>(first.metadata.name.as_deref().unwrap()).await;
        }
        if policy == "Forbid" {
            cluster
                .eventually("it says why", async || {
                    let events = cluster.events_of("tick").await;
                    events.iter().any(|event| event.starts_with("JobAlreadyActive")).then_some(())
                })
                .await;
        }
        jobs(&cluster, expected).await;
        active(&cluster, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_one_starts_nothing_until_it_is_resumed() {
    let cluster = Cluster::start(CONTROLLERS).await;
    cluster.create::<CronJob>(cron_job(json!({"suspend": true}))).await;
    cluster.advance(3000);
    cluster.stays("no job", async || cluster.list::<Job>().await.is_empty()).await;
    cluster.merge::<CronJob>("tick", json!({"spec": {"suspend": false}})).await;
    jobs(&cluster, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_history_keeps_the_last_ones_of_each_outcome() {
    let cluster = Cluster::start(CONTROLLERS).await;
    let limits = json!({"successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 0});
    cluster.create::<CronJob>(cron_job(limits)).await;
    let mut names = Vec::new();
    for outcome in ["Complete", "Failed", "Complete"] {
        cluster.advance(600);
        active(&cluster, 1).await;
        let running = cluster.list::<Job>().await;
        let running: Vec<_> = running.iter().filter(|job| !names.contains(&job.metadata.name)).collect();
        names.push(running[0].metadata.name.clone());
        end(&cluster, running[0], outcome).await;
        active(&cluster, 0).await;
    }
    let left = jobs(&cluster, 1).await;
    assert_eq!(Some(&left[0].metadata.name), names.last());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_job_and_status_makes_no_second_job() {
    let mut cluster = Cluster::start(CONTROLLERS).await;
    cluster.create::<CronJob>(cron_job(json!({}))).await;
    cluster.advance(600);
    jobs(&cluster, 1).await;
    let known = active(&cluster, 1).await;
    cluster.kill_controllers().await;
    // As if the status had never been written.
    let nothing = Patch::Merge(json!({"status": {"active": null, "lastScheduleTime": null}}));
    cluster.api::<CronJob>().patch_status("tick", &PatchParams::default(), &nothing).await.unwrap();
    cluster.start_controllers();
    let status = active(&cluster, 1).await.status.unwrap();
    assert_eq!(status.last_schedule_time, known.status.unwrap().last_schedule_time);
    assert_eq!(cluster.list::<Job>().await.len(), 1);
}
