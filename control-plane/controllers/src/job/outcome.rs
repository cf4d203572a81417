//! Whether and how a Job ends.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec, JobStatus, SuccessPolicyRule, UncountedTerminatedPods};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::failure_policy::{Failure, judge};
use super::indexes;
use super::plan::{Observed, Plan};
use crate::object::owner::uid;
use crate::object::pod::{self, Phase};

/// The verdict on a Job.
pub(super) struct End {
    complete: bool,
    reason: String,
    message: String,
}

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

// === impl End ===

impl End {
    fn failed(reason: &str, message: impl Into<String>) -> Self {
        Self { complete: false, reason: reason.to_owned(), message: message.into() }
    }

    fn complete(reason: &str, message: impl Into<String>) -> Self {
        Self { complete: true, reason: reason.to_owned(), message: message.into() }
    }

    /// The verdict that stands, or the one that what is observed calls for.
    pub(super) fn of(observed: &Observed<'_>, active: &[Arc<Pod>], status: &JobStatus) -> Option<Self> {
        standing(status)
            .or_else(|| failed_by_pods(observed, active, status))
            .or_else(|| failed_by_time(observed, status))
            .or_else(|| succeeded_by_policy(observed.spec, status))
            .or_else(|| failed_by_indexes(observed.spec, status))
            .or_else(|| completed(observed.spec, active, status))
    }

    /// Publishes the verdict at once, and the end when every pod is accounted for and gone.
    pub(super) fn carry_out(self, observed: &Observed<'_>, active: Vec<Arc<Pod>>, plan: &mut Plan) {
        let (target, last) =
            if self.complete { ("SuccessCriteriaMet", "Complete") } else { ("FailureTarget", "Failed") };
        set(&mut plan.status, (target, "True", &self.reason, &self.message), observed.now);
        plan.delete = active;
        count_unreplaced(plan);
        let leaving = observed.pods.iter().any(|pod| pod::is_terminating(pod) && !pod::is_finished(pod));
        if leaving || !plan.delete.is_empty() || !plan.release.is_empty() {
            return;
        }
        set(&mut plan.status, (last, "True", &self.reason, &self.message), observed.now);
        plan.status.uncounted_terminated_pods = None;
        if self.complete {
            plan.status.completion_time = Some(observed.now.clone());
            plan.tell = Some((true, "Completed".to_owned(), "Job completed".to_owned()));
        } else {
            plan.tell = Some((false, self.reason, self.message));
        }
    }
}

/// Failed pods that were held for a successor get none.
fn count_unreplaced(plan: &mut Plan) {
    let uncounted = plan.status.uncounted_terminated_pods.get_or_insert_default();
    for pod in plan.unreplaced.drain(..) {
        uncounted.failed.get_or_insert_default().push(uid(&pod.metadata).to_owned());
        plan.release.push(pod);
    }
}

fn standing(status: &JobStatus) -> Option<End> {
    let decided = |kind| condition(status, kind).filter(|it| it.status == "True");
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    if let Some(failed) = decided("FailureTarget") {
        return Some(End::failed(&text(&failed.reason), text(&failed.message)));
    }
    decided("SuccessCriteriaMet").map(|met| End::complete(&text(&met.reason), text(&met.message)))
}

fn failed_by_pods(observed: &Observed<'_>, active: &[Arc<Pod>], status: &JobStatus) -> Option<End> {
    let failed = observed.pods.iter().filter(|pod| pod::phase(pod) == Phase::Failed);
    let verdict = failed.map(|pod| judge(observed.job, pod)).find_map(|verdict| match verdict {
        Failure::FailsJob(why) => Some(why),
        Failure::Counts | Failure::Ignored | Failure::FailsIndex => None,
    });
    if let Some(why) = verdict {
        return Some(End::failed("PodFailurePolicy", why));
    }
    let failed = total(status.failed, status, |uncounted| uncounted.failed.as_ref());
    let limit = observed.spec.backoff_limit.unwrap_or(6);
    (failed > limit || restarts_exceed(observed.spec, active, limit))
        .then(|| End::failed("BackoffLimitExceeded", "Job has reached the specified backoff limit"))
}

fn failed_by_time(observed: &Observed<'_>, status: &JobStatus) -> Option<End> {
    let over = deadline(observed.spec, status).is_some_and(|deadline| deadline <= observed.now.0);
    (over && !observed.is_suspended())
        .then(|| End::failed("DeadlineExceeded", "Job was active longer than specified deadline"))
}

/// `spec.successPolicy` (KEP-3998): the first rule that the completed indexes satisfy.
fn succeeded_by_policy(spec: &JobSpec, status: &JobStatus) -> Option<End> {
    let rules = &spec.success_policy.as_ref()?.rules;
    let completions = spec.completions.unwrap_or(0);
    let done = indexes::parse(status.completed_indexes.as_deref().unwrap_or_default(), completions);
    let met = rules.iter().position(|rule| satisfies(rule, &done, completions))?;
    Some(End::complete("SuccessPolicy", format!("Matched rules at index {met}")))
}

fn satisfies(rule: &SuccessPolicyRule, done: &BTreeSet<i32>, completions: i32) -> bool {
    let enough = |found: usize| rule.succeeded_count.is_none_or(|count| amount(Some(count)) <= found);
    match &rule.succeeded_indexes {
        None => rule.succeeded_count.is_some() && enough(done.len()),
        Some(text) => {
            let asked = indexes::parse(text, completions);
            let found = asked.intersection(done).count();
            if rule.succeeded_count.is_some() { enough(found) } else { found == asked.len() }
        }
    }
}

fn failed_by_indexes(spec: &JobSpec, status: &JobStatus) -> Option<End> {
    spec.backoff_limit_per_index?;
    let completions = spec.completions.unwrap_or(0);
    let count = |text: &Option<String>| indexes::parse(text.as_deref().unwrap_or_default(), completions).len();
    let (failed, done) = (count(&status.failed_indexes), count(&status.completed_indexes));
    if spec.max_failed_indexes.is_some_and(|most| failed > amount(Some(most))) {
        let message = "Job has exceeded the specified maximal number of failed indexes";
        return Some(End::failed("MaxFailedIndexesExceeded", message));
    }
    (failed > 0 && failed + done >= amount(spec.completions))
        .then(|| End::failed("FailedIndexes", "Job has failed indexes"))
}

fn completed(spec: &JobSpec, active: &[Arc<Pod>], status: &JobStatus) -> Option<End> {
    let succeeded = total(status.succeeded, status, |uncounted| uncounted.succeeded.as_ref());
    let complete = match spec.completions {
        Some(completions) => succeeded >= completions,
        None => succeeded > 0 && active.is_empty(),
    };
    complete.then(|| End::complete("CompletionsReached", "Reached expected number of succeeded pods"))
}

/// With restart policy OnFailure the kubelet restarts containers in place: restarts count like failed pods.
fn restarts_exceed(spec: &JobSpec, active: &[Arc<Pod>], limit: i32) -> bool {
    let policy = spec.template.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
    if policy != Some("OnFailure") {
        return false;
    }
    let statuses = active.iter().flat_map(|pod| pod.status.iter());
    let containers = statuses.flat_map(|it| it.container_statuses.iter().chain(&it.init_container_statuses).flatten());
    let restarts = containers.map(|container| container.restart_count).fold(0i32, i32::saturating_add);
    if limit == 0 { restarts > 0 } else { restarts >= limit }
}

/// When the Job has run for as long as it may.
pub(super) fn deadline(spec: &JobSpec, status: &JobStatus) -> Option<Timestamp> {
    let seconds = SignedDuration::from_secs(spec.active_deadline_seconds?);
    status.start_time.as_ref()?.0.checked_add(seconds).ok()
}

/// A counter and what is about to be added to it.
pub(super) fn total(
    counted: Option<i32>,
    status: &JobStatus,
    list: impl Fn(&UncountedTerminatedPods) -> Option<&Vec<String>>,
) -> i32 {
    let uncounted = status.uncounted_terminated_pods.as_ref().and_then(list).map_or(0, Vec::len);
    counted.unwrap_or(0).saturating_add(number(uncounted))
}

pub(super) fn condition<'a>(status: &'a JobStatus, kind: &str) -> Option<&'a JobCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

/// Sets a condition: type, state, reason, message.
pub(super) fn set(status: &mut JobStatus, (kind, state, reason, message): (&str, &str, &str, &str), now: &Time) {
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

pub(super) fn amount(count: Option<i32>) -> usize {
    usize::try_from(count.unwrap_or(0)).unwrap_or(0)
}

pub(super) fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

pub(super) fn nonzero(count: usize) -> Option<i32> {
    Some(number(count)).filter(|count| *count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_policy_asks_for_indexes_a_number_or_so_many_of_them() {
        let done = BTreeSet::from([0, 2, 3]);
        for (indexes, count, met) in [
            (Some("0,2"), None, true),
            (Some("0-2"), None, false),
            (Some("0-2"), Some(2), true),
            (Some("1,4"), Some(1), false),
            (None, Some(3), true),
            (None, Some(4), false),
            (None, None, false),
        ] {
            let rule = SuccessPolicyRule { succeeded_indexes: indexes.map(str::to_owned), succeeded_count: count };
            assert_eq!(satisfies(&rule, &done, 5), met, "{indexes:?} {count:?}");
        }
    }
}
