//! The next step of a Job, decided from what is observed alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::count::count;
use super::outcome::{End, condition, deadline, nonzero, number, set, total};
use super::per_index::{Slot, Unreplaced};
use super::{backoff, indexes};
use crate::object::owner::uid;
use crate::object::pod::{self, Phase};

/// Holds a pod until it is counted.
pub(super) const FINALIZER: &str = "batch.kubernetes.io/job-tracking";

/// What the controller sees of a Job that is not over.
pub(super) struct Observed<'a> {
    pub(super) job: &'a Job,
    pub(super) spec: &'a JobSpec,
    /// Its pods.
    pub(super) pods: &'a [Arc<Pod>],
    pub(super) now: &'a Time,
}

/// What the controller is to do, in this order.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The status to publish before anything else.
    pub(super) status: JobStatus,
    /// Pods that the status accounts for: their finalizer goes.
    pub(super) release: Vec<Arc<Pod>>,
    /// Failed pods that stay held until their index has another one.
    pub(super) unreplaced: Vec<Arc<Pod>>,
    /// Pods that go, uncounted.
    pub(super) delete: Vec<Arc<Pod>>,
    /// The pods that are missing.
    pub(super) create: Create,
    /// What users are told: whether it is fine, reason, message.
    pub(super) tell: Option<(bool, String, String)>,
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
    Indexes(Vec<Slot>),
}

/// Whether the pod is still held for counting.
pub(super) fn is_held(pod: &Pod) -> bool {
    pod.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

// === impl Observed ===

impl Observed<'_> {
    /// Decides on one step.
    pub(super) fn plan(&self) -> Plan {
        let mut plan = Plan { status: self.job.status.clone().unwrap_or_default(), ..Plan::default() };
        let unreplaced = Unreplaced::of(self);
        count(self, &unreplaced, &mut plan);
        self.note_suspension(&mut plan);
        let active: Vec<_> = self.pods.iter().filter(|pod| pod::is_active(pod)).cloned().collect();
        match End::of(self, &active, &plan.status) {
            Some(end) => end.carry_out(self, active, &mut plan),
            None if self.is_suspended() => plan.delete = active,
            None => self.fill(active, &unreplaced, &mut plan),
        }
        self.count_living(&mut plan);
        plan
    }

    pub(super) fn is_indexed(&self) -> bool {
        self.spec.completion_mode.as_deref() == Some("Indexed")
    }

    pub(super) fn is_suspended(&self) -> bool {
        self.spec.suspend.unwrap_or(false)
    }

    pub(super) fn completions(&self) -> i32 {
        self.spec.completions.unwrap_or(i32::MAX)
    }

    /// Whether the pod is to be counted as failed and replaced. One that somebody deleted is, because it may never get
    /// to say how it ended, unless `podReplacementPolicy: Failed` asks to wait for that (KEP-3939).
    pub(super) fn has_failed(&self, pod: &Pod) -> bool {
        match pod::phase(pod) {
            Phase::Failed => true,
            Phase::Succeeded => false,
            Phase::Pending | Phase::Running | Phase::Unknown => {
                pod::is_terminating(pod) && !self.replaces_failed_only()
            }
        }
    }

    fn replaces_failed_only(&self) -> bool {
        self.spec.pod_replacement_policy.as_deref() == Some("Failed")
    }

    fn note_suspension(&self, plan: &mut Plan) {
        let standing = condition(&plan.status, "Suspended").map(|condition| condition.status == "True");
        let tell = |reason: &str, message: &str| Some((true, reason.to_owned(), message.to_owned()));
        match (self.is_suspended(), standing) {
            (true, None | Some(false)) => {
                set(&mut plan.status, ("Suspended", "True", "JobSuspended", "Job suspended"), self.now);
                plan.status.start_time = None;
                plan.tell = tell("Suspended", "Job suspended");
            }
            (false, Some(true)) => {
                set(&mut plan.status, ("Suspended", "False", "JobResumed", "Job resumed"), self.now);
                plan.tell = tell("Resumed", "Job resumed");
            }
            (true, Some(true)) | (false, None | Some(false)) => {}
        }
        if !self.is_suspended() && plan.status.start_time.is_none() {
            plan.status.start_time = Some(self.now.clone());
        }
    }

    /// Makes or removes pods until as many run as should.
    fn fill(&self, mut active: Vec<Arc<Pod>>, unreplaced: &Unreplaced, plan: &mut Plan) {
        plan.check_at = deadline(self.spec, &plan.status);
        let wanted = self.wanted(&active, &plan.status);
        let running = number(active.len());
        if running > wanted {
            active.sort_by_key(|pod| (pod::is_ready(pod), std::cmp::Reverse(pod.metadata.creation_timestamp.clone())));
            active.truncate(usize::try_from(running - wanted).unwrap_or(0));
            plan.delete = active;
            return;
        }
        let leaving = self.pods.iter().filter(|pod| pod::is_terminating(pod) && !pod::is_finished(pod));
        let leaving = if self.replaces_failed_only() { number(leaving.count()) } else { 0 };
        let missing = usize::try_from(wanted - running - leaving).unwrap_or(0);
        if missing == 0 {
            return;
        }
        if let Some(at) = backoff::until(self.job, self.pods).filter(|at| *at > self.now.0 && !self.is_by_index()) {
            plan.look_at(at);
        } else if self.is_indexed() {
            self.fill_indexes(missing, &active, unreplaced, plan);
        } else {
            plan.create = Create::Count(missing);
        }
    }

    /// The lowest free indexes get pods; one that failed a moment ago waits, and keeps nobody else waiting.
    fn fill_indexes(&self, missing: usize, active: &[Arc<Pod>], unreplaced: &Unreplaced, plan: &mut Plan) {
        let set = |text: &Option<String>| indexes::parse(text.as_deref().unwrap_or_default(), self.completions());
        let mut taken: BTreeSet<i32> = set(&plan.status.completed_indexes);
        taken.extend(set(&plan.status.failed_indexes));
        taken.extend(active.iter().filter_map(|pod| indexes::of(pod)));
        if self.replaces_failed_only() {
            let leaving = self.pods.iter().filter(|pod| pod::is_terminating(pod) && !pod::is_finished(pod));
            taken.extend(leaving.filter_map(|pod| indexes::of(pod)));
        }
        let mut slots = Vec::new();
        for index in (0..self.spec.completions.unwrap_or(0)).filter(|index| !taken.contains(index)) {
            match unreplaced.next(self, index) {
                (_, Some(at)) if at > self.now.0 => plan.look_at(at),
                (slot, _) => slots.push(slot),
            }
            if slots.len() == missing {
                break;
            }
        }
        plan.create = Create::Indexes(slots);
    }

    /// How many pods should run.
    fn wanted(&self, active: &[Arc<Pod>], status: &JobStatus) -> i32 {
        let succeeded = total(status.succeeded, status, |uncounted| uncounted.succeeded.as_ref());
        let parallelism = self.spec.parallelism.unwrap_or(1).max(0);
        let lost = indexes::parse(status.failed_indexes.as_deref().unwrap_or_default(), self.completions());
        match self.spec.completions {
            Some(completions) => parallelism.min((completions - succeeded - number(lost.len())).max(0)),
            None if succeeded > 0 => number(active.len()).min(parallelism),
            None => parallelism,
        }
    }

    fn is_by_index(&self) -> bool {
        self.spec.backoff_limit_per_index.is_some()
    }

    fn count_living(&self, plan: &mut Plan) {
        let leaving: BTreeSet<&str> = plan.delete.iter().map(|pod| uid(&pod.metadata)).collect();
        let staying = self.pods.iter().filter(|pod| pod::is_active(pod) && !leaving.contains(uid(&pod.metadata)));
        let staying: Vec<_> = staying.collect();
        let (active, ready) = (nonzero(staying.len()), staying.iter().filter(|pod| pod::is_ready(pod)).count());
        let terminating = self.pods.iter().filter(|pod| pod::is_terminating(pod) && !pod::is_finished(pod)).count();
        plan.status.active = active;
        plan.status.ready = Some(number(ready));
        plan.status.terminating = Some(number(terminating));
    }
}

// === impl Plan ===

impl Plan {
    fn look_at(&mut self, at: Timestamp) {
        self.check_at = Some(self.check_at.map_or(at, |known| known.min(at)));
    }
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

    fn plan(job: &Job, pods: &[Arc<Pod>], now: &Time) -> Plan {
        Observed { job, spec: job.spec.as_ref().unwrap(), pods, now }.plan()
    }

    fn slots(indexes: &[(i32, Option<i32>)]) -> Create {
        Create::Indexes(indexes.iter().map(|(index, failures)| Slot { index: *index, failures: *failures }).collect())
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
        assert_eq!(plan.create, slots(&[(2, None), (4, None)]));
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

    /// A pod of an index that had failed so often before.
    fn attempt(index: i32, failures: i32, phase: &str) -> Arc<Pod> {
        let mut attempt = Pod::clone(&pod(&index.to_string(), phase, true));
        let annotations = attempt.metadata.annotations.get_or_insert_default();
        annotations.insert(crate::job::per_index::FAILURES.to_owned(), failures.to_string());
        attempt.metadata.uid = Some(format!("{index}-{failures}"));
        Arc::new(attempt)
    }

    #[test]
    fn an_index_that_fails_too_often_is_given_up_and_the_others_go_on() {
        let spec = json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 1,
                          "backoffLimit": i32::MAX});
        let fresh = plan(&job(spec.clone(), json!({})), &[], &at(0));
        assert_eq!(fresh.create, slots(&[(0, Some(0)), (1, Some(0)), (2, Some(0))]));

        let once = [attempt(0, 0, "Failed"), attempt(1, 0, "Running"), attempt(2, 0, "Running")];
        let waiting = plan(&job(spec.clone(), json!({})), &once, &at(5));
        assert_eq!((waiting.create, waiting.check_at), (slots(&[]), Some(at(10).0)));
        assert!(waiting.release.is_empty(), "the failed pod knows how often, until another one does");
        let again = plan(&job(spec.clone(), json!({})), &once, &at(10));
        assert_eq!(again.create, slots(&[(0, Some(1))]));

        let twice =
            [attempt(0, 0, "Failed"), attempt(0, 1, "Failed"), attempt(1, 0, "Running"), attempt(2, 0, "Running")];
        let given_up = plan(&job(spec.clone(), json!({})), &twice, &at(99));
        assert_eq!(given_up.status.failed_indexes.as_deref(), Some("0"));
        assert_eq!((given_up.create, given_up.release.len()), (Create::None, 2));

        let rest = [attempt(1, 0, "Succeeded"), attempt(2, 0, "Succeeded")];
        let status = json!({"failedIndexes": "0", "failed": 2});
        let failed = plan(&job(spec, status), &rest, &at(100));
        assert_eq!(has(&failed, "FailureTarget").as_deref(), Some("FailedIndexes"));
    }

    #[test]
    fn too_many_failed_indexes_fail_the_job_at_once() {
        let spec = json!({"completions": 5, "parallelism": 5, "completionMode": "Indexed", "backoffLimitPerIndex": 0,
                          "maxFailedIndexes": 1, "backoffLimit": i32::MAX});
        let pods = [attempt(0, 0, "Failed"), attempt(1, 0, "Failed"), attempt(2, 0, "Running")];
        let failed = plan(&job(spec, json!({})), &pods, &at(0));
        assert_eq!(has(&failed, "FailureTarget").as_deref(), Some("MaxFailedIndexesExceeded"));
        assert_eq!((failed.delete.len(), failed.release.len()), (1, 2));
    }

    #[test]
    fn a_success_policy_ends_a_job_before_all_indexes_are_done() {
        let spec = json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed",
                          "successPolicy": {"rules": [{"succeededIndexes": "2"}]}});
        let pods = [pod("0", "Running", true), pod("2", "Succeeded", true)];
        let met = plan(&job(spec.clone(), json!({})), &pods, &at(0));
        assert_eq!(has(&met, "SuccessCriteriaMet").as_deref(), Some("SuccessPolicy"));
        assert_eq!(met.delete.len(), 1, "the others are not needed any more");
        let done = plan(&job(spec, json!(met.status)), &[pod("2", "Succeeded", false)], &at(1));
        assert_eq!(has(&done, "Complete").as_deref(), Some("SuccessPolicy"));
    }

    #[test]
    fn a_pod_that_goes_is_replaced_at_once_or_when_it_has_ended() {
        let mut leaving = Pod::clone(&pod("a", "Running", true));
        leaving.metadata.deletion_timestamp = Some(at(0));
        for (policy, create, failed) in
            [("TerminatingOrFailed", Create::Count(1), Some(vec!["a".to_owned()])), ("Failed", Create::None, None)]
        {
            let spec = json!({"completions": 1, "parallelism": 1, "podReplacementPolicy": policy});
            let plan = plan(&job(spec, json!({})), &[Arc::new(leaving.clone())], &at(0));
            assert_eq!((plan.create, plan.status.terminating), (create, Some(1)), "{policy}");
            assert_eq!(plan.status.uncounted_terminated_pods.unwrap().failed, failed, "{policy}");
        }
    }
}
