//! The next step of a Job, decided from what is observed alone.
//!
//! A finished pod is counted exactly once, whatever crashes when: it is first written into the status as uncounted,
//! then its finalizer goes, and only when that is seen it moves into the counters (KEP-2307).

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec, JobStatus, UncountedTerminatedPods};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::failure_policy::{Failure, judge};
use super::indexes;
use crate::object::owner::uid;
use crate::object::pod::{self, Phase};

/// Holds a pod until it is counted.
pub(super) const FINALIZER: &str = "batch.kubernetes.io/job-tracking";

/// What the controller is to do, in this order.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The status to publish before anything else.
    pub(super) status: JobStatus,
    /// Pods that the status accounts for: their finalizer goes.
    pub(super) release: Vec<Arc<Pod>>,
    /// Pods that go, uncounted.
    pub(super) delete: Vec<Arc<Pod>>,
    /// So many pods are missing, or these indexes.
    pub(super) create: Create,
    /// What users are told: type, reason, message.
    pub(super) tell: Option<(bool, &'static str, String)>,
    /// When to look again although nothing changed.
    pub(super) check_at: Option<Timestamp>,
}

/// Pods to make.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Create {
    /// None.
    #[default]
    None,
    /// So many equal ones.
    Count(usize),
    /// One for each index.
    Indexes(Vec<i32>),
}

/// How a Job ended.
enum End {
    Complete,
    Failed(&'static str, String),
}

const FIRST_BACKOFF: i64 = 10;
const LAST_BACKOFF: i64 = 600;

/// Whether the Job is over.
pub(super) fn is_finished(job: &Job) -> bool {
    finished_at(job).is_some()
}

/// When the Job was over.
pub(super) fn finished_at(job: &Job) -> Option<Timestamp> {
    last_condition(job)?.last_transition_time.as_ref().map(|time| time.0)
}

/// How the Job ended: `Complete` or `Failed`.
pub(crate) fn outcome_of(job: &Job) -> Option<&str> {
    last_condition(job).map(|condition| condition.type_.as_str())
}

fn last_condition(job: &Job) -> Option<&JobCondition> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|it| ["Complete", "Failed"].contains(&it.type_.as_str()) && it.status == "True")
}

/// Whether the pod is still held for counting.
pub(super) fn is_held(pod: &Pod) -> bool {
    pod.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

/// Decides on one step of a Job that is not over; `pods` are its pods.
pub(super) fn plan(job: &Job, pods: &[Arc<Pod>], now: &Time) -> Plan {
    let spec = job.spec.clone().unwrap_or_default();
    let mut plan = Plan { status: job.status.clone().unwrap_or_default(), ..Plan::default() };
    let suspended = spec.suspend.unwrap_or(false);
    count(job, &spec, pods, &mut plan);
    note_suspension(suspended, &mut plan, now);
    let active: Vec<_> = pods.iter().filter(|pod| pod::is_active(pod)).cloned().collect();
    let end = end(job, &spec, pods, &active, &plan, now.0);
    match end {
        Some(end) => finish(end, active, &mut plan, now),
        None if suspended => plan.delete = active,
        None => fill(job, &spec, pods, active, &mut plan, now.0),
    }
    let leaving: Vec<_> = plan.delete.iter().map(|pod| uid(&pod.metadata).to_owned()).collect();
    let staying =
        pods.iter().filter(|pod| pod::is_active(pod) && !leaving.iter().any(|gone| gone == uid(&pod.metadata)));
    let staying: Vec<_> = staying.collect();
    plan.status.active = nonzero(staying.len());
    plan.status.ready = Some(number(staying.iter().filter(|pod| pod::is_ready(pod)).count()));
    plan.status.terminating =
        Some(number(pods.iter().filter(|pod| pod::is_terminating(pod) && !pod::is_finished(pod)).count()));
    plan
}

/// Takes note of pods that finished, and of those whose finalizer is gone.
fn count(job: &Job, spec: &JobSpec, pods: &[Arc<Pod>], plan: &mut Plan) {
    let uncounted = plan.status.uncounted_terminated_pods.take().unwrap_or_default();
    let held = |known: &String| pods.iter().any(|pod| uid(&pod.metadata) == known && is_held(pod));
    let (mut succeeded, counted): (Vec<_>, Vec<_>) =
        uncounted.succeeded.unwrap_or_default().into_iter().partition(held);
    plan.status.succeeded = nonzero(counted.len() + amount(plan.status.succeeded));
    let (mut failed, counted): (Vec<_>, Vec<_>) = uncounted.failed.unwrap_or_default().into_iter().partition(held);
    plan.status.failed = nonzero(counted.len() + amount(plan.status.failed));
    let completions = spec.completions.unwrap_or(i32::MAX);
    let mut done = indexes::parse(plan.status.completed_indexes.as_deref().unwrap_or_default(), completions);
    for pod in pods.iter().filter(|pod| is_held(pod)) {
        let name = uid(&pod.metadata).to_owned();
        let known = succeeded.contains(&name) || failed.contains(&name);
        match pod::phase(pod) {
            Phase::Succeeded if known => plan.release.push(pod.clone()),
            Phase::Succeeded if is_indexed(spec) => {
                // A second success of an index counts no more than the first.
                match indexes::of(pod).filter(|index| *index < completions) {
                    Some(index) if done.insert(index) => succeeded.push(name),
                    Some(_) | None => {}
                }
                plan.release.push(pod.clone());
            }
            Phase::Succeeded => {
                succeeded.push(name);
                plan.release.push(pod.clone());
            }
            Phase::Failed => {
                if !known && judge(job, pod) != Failure::Ignored {
                    failed.push(name);
                }
                plan.release.push(pod.clone());
            }
            // A pod that somebody deleted counts as failed: it may never get to say how it ended.
            Phase::Pending | Phase::Running | Phase::Unknown if pod::is_terminating(pod) => {
                if !known && judge(job, pod) != Failure::Ignored {
                    failed.push(name);
                }
                plan.release.push(pod.clone());
            }
            Phase::Pending | Phase::Running | Phase::Unknown => {}
        }
    }
    if is_indexed(spec) {
        plan.status.completed_indexes = Some(indexes::format(&done)).filter(|text| !text.is_empty());
    }
    let list = |uids: Vec<String>| Some(uids).filter(|uids| !uids.is_empty());
    let uncounted = UncountedTerminatedPods { succeeded: list(succeeded), failed: list(failed) };
    plan.status.uncounted_terminated_pods = Some(uncounted);
}

fn note_suspension(suspended: bool, plan: &mut Plan, now: &Time) {
    let standing = condition(&plan.status, "Suspended").map(|condition| condition.status == "True");
    match (suspended, standing) {
        (true, None | Some(false)) => {
            set(&mut plan.status, ("Suspended", "True", "JobSuspended", "Job suspended"), now);
            plan.status.start_time = None;
            plan.tell = Some((true, "Suspended", "Job suspended".into()));
        }
        (false, Some(true)) => {
            set(&mut plan.status, ("Suspended", "False", "JobResumed", "Job resumed"), now);
            plan.tell = Some((true, "Resumed", "Job resumed".into()));
        }
        (true, Some(true)) | (false, None | Some(false)) => {}
    }
    if !suspended && plan.status.start_time.is_none() {
        plan.status.start_time = Some(now.clone());
    }
}

fn end(job: &Job, spec: &JobSpec, pods: &[Arc<Pod>], active: &[Arc<Pod>], plan: &Plan, now: Timestamp) -> Option<End> {
    if let Some(decided) = condition(&plan.status, "FailureTarget").filter(|it| it.status == "True") {
        return Some(End::Failed(reason(decided.reason.as_deref()), decided.message.clone().unwrap_or_default()));
    }
    let succeeded = total(plan.status.succeeded, &plan.status, |uncounted| uncounted.succeeded.as_ref());
    let failed = total(plan.status.failed, &plan.status, |uncounted| uncounted.failed.as_ref());
    let limit = spec.backoff_limit.unwrap_or(6);
    let fails = pods.iter().filter(|pod| pod::phase(pod) == Phase::Failed).find_map(|pod| match judge(job, pod) {
        Failure::FailsJob(why) => Some(why),
        Failure::Counts | Failure::Ignored => None,
    });
    if let Some(why) = fails {
        return Some(End::Failed("PodFailurePolicy", why));
    }
    if failed > limit || restarts_exceed(spec, active, limit) {
        return Some(End::Failed("BackoffLimitExceeded", "Job has reached the specified backoff limit".into()));
    }
    if deadline(spec, &plan.status).is_some_and(|deadline| deadline <= now) && !spec.suspend.unwrap_or(false) {
        return Some(End::Failed("DeadlineExceeded", "Job was active longer than specified deadline".into()));
    }
    let complete = match spec.completions {
        Some(completions) => succeeded >= completions,
        None => succeeded > 0 && active.is_empty(),
    };
    complete.then_some(End::Complete)
}

/// The verdict is published at once, and the end when every pod is accounted for.
fn finish(end: End, active: Vec<Arc<Pod>>, plan: &mut Plan, now: &Time) {
    let (target, last, reason, message) = match &end {
        End::Complete => {
            ("SuccessCriteriaMet", "Complete", "CompletionsReached", "Reached expected number of succeeded pods")
        }
        End::Failed(reason, message) => ("FailureTarget", "Failed", *reason, message.as_str()),
    };
    set(&mut plan.status, (target, "True", reason, message), now);
    plan.delete = active;
    let settled = plan.delete.is_empty() && plan.release.is_empty();
    if !settled {
        return;
    }
    set(&mut plan.status, (last, "True", reason, message), now);
    plan.status.uncounted_terminated_pods = None;
    plan.tell = Some(match end {
        End::Complete => {
            plan.status.completion_time = Some(now.clone());
            (true, "Completed", "Job completed".to_owned())
        }
        End::Failed(reason, message) => (false, reason, message),
    });
}

/// Makes or removes pods until as many run as should.
fn fill(job: &Job, spec: &JobSpec, pods: &[Arc<Pod>], mut active: Vec<Arc<Pod>>, plan: &mut Plan, now: Timestamp) {
    plan.check_at = deadline(spec, &plan.status);
    let succeeded = total(plan.status.succeeded, &plan.status, |uncounted| uncounted.succeeded.as_ref());
    let parallelism = spec.parallelism.unwrap_or(1).max(0);
    let running = number(active.len());
    let wanted = match spec.completions {
        Some(completions) => parallelism.min((completions - succeeded).max(0)),
        None if succeeded > 0 => running.min(parallelism),
        None => parallelism,
    };
    if running > wanted {
        active.sort_by_key(|pod| (pod::is_ready(pod), std::cmp::Reverse(pod.metadata.creation_timestamp.clone())));
        active.truncate(usize::try_from(running - wanted).unwrap_or(0));
        plan.delete = active;
        return;
    }
    let missing = usize::try_from(wanted - running).unwrap_or(0);
    if missing == 0 {
        return;
    }
    if let Some(at) = backoff_until(job, pods).filter(|at| *at > now) {
        plan.check_at = Some(plan.check_at.map_or(at, |known| known.min(at)));
        return;
    }
    plan.create = match spec.completions.filter(|_| is_indexed(spec)) {
        None => Create::Count(missing),
        Some(completions) => {
            let done = indexes::parse(plan.status.completed_indexes.as_deref().unwrap_or_default(), completions);
            let busy: BTreeSet<i32> = active.iter().filter_map(|pod| indexes::of(pod)).collect();
            let free = (0..completions).filter(|index| !done.contains(index) && !busy.contains(index));
            Create::Indexes(free.take(missing).collect())
        }
    };
}

/// After failures in a row the next pod waits: 10 s, doubled with each failure up to 10 min.
fn backoff_until(job: &Job, pods: &[Arc<Pod>]) -> Option<Timestamp> {
    let ended = |wanted: Phase| pods.iter().filter(move |pod| pod::phase(pod) == wanted);
    let last_success = ended(Phase::Succeeded).map(|pod| ended_at(pod)).max();
    let failures = ended(Phase::Failed).filter(|pod| judge(job, pod) == Failure::Counts).map(|pod| ended_at(pod));
    let failures: Vec<_> = failures.filter(|at| last_success.is_none_or(|success| *at > success)).collect();
    let doublings = u32::try_from(failures.len()).ok()?.checked_sub(1)?.min(16);
    let seconds = (FIRST_BACKOFF << doublings).min(LAST_BACKOFF);
    failures.into_iter().max()?.checked_add(SignedDuration::from_secs(seconds)).ok()
}

fn ended_at(pod: &Pod) -> Timestamp {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let ends = statuses.filter_map(|status| status.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref());
    let last = ends.map(|time| time.0).max();
    last.or_else(|| pod.metadata.creation_timestamp.as_ref().map(|time| time.0)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// With restart policy OnFailure the kubelet restarts containers in place: restarts count like failed pods.
fn restarts_exceed(spec: &JobSpec, active: &[Arc<Pod>], limit: i32) -> bool {
    let policy = spec.template.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
    if policy != Some("OnFailure") {
        return false;
    }
    let statuses = active.iter().flat_map(|pod| pod.status.iter());
    let containers = statuses.flat_map(|it| it.container_statuses.iter().chain(&it.init_container_statuses).flatten());
    let restarts = containers.map(|container| container.restart_count).sum::<i32>();
    if limit == 0 { restarts > 0 } else { restarts >= limit }
}

fn deadline(spec: &JobSpec, status: &JobStatus) -> Option<Timestamp> {
    let seconds = SignedDuration::from_secs(spec.active_deadline_seconds?);
    status.start_time.as_ref()?.0.checked_add(seconds).ok()
}

fn is_indexed(spec: &JobSpec) -> bool {
    spec.completion_mode.as_deref() == Some("Indexed")
}

fn total(
    counted: Option<i32>,
    status: &JobStatus,
    list: impl Fn(&UncountedTerminatedPods) -> Option<&Vec<String>>,
) -> i32 {
    let uncounted = status.uncounted_terminated_pods.as_ref().and_then(list).map_or(0, Vec::len);
    counted.unwrap_or(0) + number(uncounted)
}

fn condition<'a>(status: &'a JobStatus, kind: &str) -> Option<&'a JobCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

/// The reasons of a verdict that stands in the status already.
fn reason(known: Option<&str>) -> &'static str {
    match known {
        Some("PodFailurePolicy") => "PodFailurePolicy",
        Some("DeadlineExceeded") => "DeadlineExceeded",
        Some(_) | None => "BackoffLimitExceeded",
    }
}

fn set(status: &mut JobStatus, (kind, state, reason, message): (&str, &str, &str, &str), now: &Time) {
    if condition(status, kind).is_some_and(|standing| standing.status == state) {
        return;
    }
    let conditions = status.conditions.get_or_insert_default();
    conditions.retain(|condition| condition.type_ != kind);
    conditions.push(JobCondition {
        type_: kind.into(),
        status: state.into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_probe_time: Some(now.clone()),
        last_transition_time: Some(now.clone()),
    });
}

fn amount(count: Option<i32>) -> usize {
    usize::try_from(count.unwrap_or(0)).unwrap_or(0)
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn nonzero(count: usize) -> Option<i32> {
    Some(number(count)).filter(|count| *count > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn job(spec: Value, status: Value) -> Job {
        let mut spec = spec;
        spec["template"] = json!({"spec": {"containers": [], "restartPolicy": "Never"}});
        serde_json::from_value(json!({"metadata": {"name": "j"}, "spec": spec, "status": status})).unwrap()
    }

    fn pod(name: &str, phase: &str, held: bool) -> Arc<Pod> {
        let finalizers = if held { json!([FINALIZER]) } else { json!([]) };
        let index = name.parse::<i32>().ok().map(|index| json!({indexes::INDEX: index.to_string()}));
        Arc::new(
            serde_json::from_value(json!({
                "metadata": {"name": name, "uid": name, "finalizers": finalizers, "annotations": index,
                             "creationTimestamp": "1970-01-01T00:00:00Z"},
                "status": {"phase": phase},
            }))
            .unwrap(),
        )
    }

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    fn has(plan: &Plan, kind: &str) -> Option<String> {
        condition(&plan.status, kind).and_then(|condition| condition.reason.clone())
    }

    #[test]
    fn as_many_pods_run_as_parallelism_and_what_is_left_allow() {
        for (what, spec, done, active, expected) in [
            ("one shot", json!({"completions": 1, "parallelism": 1}), 0, 0, Create::Count(1)),
            ("five at a time", json!({"completions": 10, "parallelism": 5}), 0, 2, Create::Count(3)),
            ("the last ones", json!({"completions": 10, "parallelism": 5}), 8, 0, Create::Count(2)),
            ("a work queue", json!({"parallelism": 3}), 0, 0, Create::Count(3)),
            ("a work queue that drains", json!({"parallelism": 3}), 1, 2, Create::None),
            ("no parallelism", json!({"completions": 1, "parallelism": 0}), 0, 0, Create::None),
        ] {
            let pods: Vec<_> = (0..active).map(|n| pod(&format!("p{n}"), "Running", true)).collect();
            assert_eq!(plan(&job(spec, json!({"succeeded": done})), &pods, &at(0)).create, expected, "{what}");
        }
    }

    #[test]
    fn a_pod_is_counted_once_whatever_happens_in_between() {
        let spec = json!({"completions": 2, "parallelism": 1});
        let first = plan(&job(spec.clone(), json!({})), &[pod("a", "Succeeded", true)], &at(0));
        let uncounted = first.status.uncounted_terminated_pods.clone().unwrap();
        assert_eq!((uncounted.succeeded, first.status.succeeded), (Some(vec!["a".into()]), None));
        assert_eq!(first.release.len(), 1);
        let again = plan(&job(spec.clone(), json!(first.status)), &[pod("a", "Succeeded", true)], &at(0));
        assert_eq!(
            again.status.uncounted_terminated_pods, first.status.uncounted_terminated_pods,
            "crashed before the release"
        );
        let after = plan(&job(spec.clone(), json!(again.status)), &[pod("a", "Succeeded", false)], &at(0));
        assert_eq!(after.status.succeeded, Some(1));
        let later = plan(&job(spec, json!(after.status)), &[pod("a", "Succeeded", false)], &at(0));
        assert_eq!(later.status.succeeded, Some(1));
    }

    #[test]
    fn a_job_ends_when_every_pod_is_accounted_for() {
        let spec = json!({"completions": 1, "parallelism": 1});
        let met = plan(&job(spec.clone(), json!({})), &[pod("a", "Succeeded", true)], &at(0));
        assert!(has(&met, "SuccessCriteriaMet").is_some() && has(&met, "Complete").is_none());
        let done = plan(&job(spec, json!(met.status)), &[pod("a", "Succeeded", false)], &at(5));
        assert_eq!(has(&done, "Complete").as_deref(), Some("CompletionsReached"));
        assert_eq!((done.status.completion_time, done.status.succeeded), (Some(at(5)), Some(1)));
    }

    #[test]
    fn a_job_fails_by_back_off_limit_or_deadline() {
        let spec = json!({"completions": 1, "backoffLimit": 1, "activeDeadlineSeconds": 60});
        let failed = plan(&job(spec.clone(), json!({"failed": 2})), &[], &at(0));
        assert_eq!(has(&failed, "Failed").as_deref(), Some("BackoffLimitExceeded"));
        let started = json!({"startTime": at(0)});
        let waiting = plan(&job(spec.clone(), started.clone()), &[pod("a", "Running", true)], &at(59));
        assert_eq!((has(&waiting, "FailureTarget"), waiting.check_at), (None, Some(at(60).0)));
        let late = plan(&job(spec, started), &[pod("a", "Running", true)], &at(60));
        assert_eq!((has(&late, "FailureTarget").as_deref(), late.delete.len()), (Some("DeadlineExceeded"), 1));
    }

    #[test]
    fn a_pod_after_a_failure_waits_longer_each_time() {
        let job = job(json!({"completions": 1}), json!({}));
        let one = plan(&job, &[pod("a", "Failed", true)], &at(0));
        assert_eq!((one.create, one.check_at), (Create::None, Some(at(10).0)));
        let two = [pod("a", "Failed", true), pod("b", "Failed", true)];
        assert_eq!(plan(&job, &two, &at(0)).check_at, Some(at(20).0));
        assert_eq!(plan(&job, &two, &at(20)).create, Create::Count(1));
    }

    #[test]
    fn an_indexed_job_runs_the_lowest_free_indexes() {
        let spec = json!({"completions": 5, "parallelism": 3, "completionMode": "Indexed"});
        let pods = [pod("1", "Running", true), pod("3", "Succeeded", true)];
        let plan = plan(&job(spec, json!({"completedIndexes": "0", "succeeded": 1})), &pods, &at(0));
        assert_eq!(plan.create, Create::Indexes(vec![2, 4]));
        assert_eq!(plan.status.completed_indexes.as_deref(), Some("0,3"));
    }

    #[test]
    fn a_suspended_job_has_no_pods_and_starts_anew_when_it_is_resumed() {
        let pods = [pod("a", "Running", true)];
        let suspended =
            plan(&job(json!({"completions": 1, "suspend": true}), json!({"startTime": at(0)})), &pods, &at(5));
        assert_eq!((suspended.delete.len(), suspended.status.start_time.clone()), (1, None));
        assert_eq!(has(&suspended, "Suspended").as_deref(), Some("JobSuspended"));
        let resumed = plan(&job(json!({"completions": 1}), json!(suspended.status)), &[], &at(9));
        assert_eq!((resumed.create, resumed.status.start_time), (Create::Count(1), Some(at(9))));
    }
}
