//! Counting the pods that ended.
//!
//! A finished pod is counted exactly once, whatever crashes when: it is first written into the status as uncounted,
//! then its finalizer goes, and only when that is seen it moves into the counters (KEP-2307).

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::batch::v1::UncountedTerminatedPods;
use k8s_openapi::api::core::v1::Pod;

use super::failure_policy::{Failure, judge};
use super::indexes;
use super::outcome::{amount, nonzero};
use super::per_index::{self, Unreplaced};
use super::plan::{Observed, Plan, is_held};
use crate::object::owner::uid;
use crate::object::pod::{self, Phase};

/// The pods that are noted as ended and not counted yet, and the indexes that are over.
struct Tally {
    succeeded: Vec<String>,
    failed: Vec<String>,
    done: BTreeSet<i32>,
    lost: BTreeSet<i32>,
}

/// Takes note of pods that finished, and of those whose finalizer is gone.
pub(super) fn count(observed: &Observed<'_>, unreplaced: &Unreplaced, plan: &mut Plan) {
    let mut tally = Tally::take(observed, plan);
    let over: BTreeSet<i32> = tally.done.union(&tally.lost).copied().collect();
    for pod in observed.pods.iter().filter(|pod| is_held(pod)) {
        if pod::phase(pod) == Phase::Succeeded {
            tally.note_success(observed, pod);
            plan.release.push(pod.clone());
        } else if observed.has_failed(pod) {
            if unreplaced.holds(pod, &over) {
                plan.unreplaced.push(pod.clone());
                continue;
            }
            tally.note_failure(observed, pod);
            plan.release.push(pod.clone());
        }
    }
    tally.put(observed, plan);
}

// === impl Tally ===

impl Tally {
    /// What the status says, after those that it can forget about moved to its counters.
    fn take(observed: &Observed<'_>, plan: &mut Plan) -> Self {
        let status = &mut plan.status;
        let uncounted = status.uncounted_terminated_pods.take().unwrap_or_default();
        let held = |known: &String| observed.pods.iter().any(|pod| uid(&pod.metadata) == known && is_held(pod));
        let (succeeded, counted): (Vec<_>, Vec<_>) = uncounted.succeeded.into_iter().flatten().partition(held);
        status.succeeded = nonzero(counted.len() + amount(status.succeeded));
        let (failed, counted): (Vec<_>, Vec<_>) = uncounted.failed.into_iter().flatten().partition(held);
        status.failed = nonzero(counted.len() + amount(status.failed));
        let set = |text: &Option<String>| indexes::parse(text.as_deref().unwrap_or_default(), observed.completions());
        let done = set(&status.completed_indexes);
        let mut lost = set(&status.failed_indexes);
        lost.extend(per_index::failed(observed).difference(&done));
        Self { succeeded, failed, done, lost }
    }

    fn note_success(&mut self, observed: &Observed<'_>, pod: &Arc<Pod>) {
        let name = uid(&pod.metadata);
        if self.succeeded.iter().any(|known| known == name) {
            return;
        }
        // A second success of an index counts no more than the first.
        let index = indexes::of(pod).filter(|index| *index < observed.completions());
        if !observed.is_indexed() || index.is_some_and(|index| self.done.insert(index)) {
            self.succeeded.push(name.to_owned());
        }
    }

    fn note_failure(&mut self, observed: &Observed<'_>, pod: &Pod) {
        let name = uid(&pod.metadata);
        if !self.failed.iter().any(|known| known == name) && judge(observed.job, pod) != Failure::Ignored {
            self.failed.push(name.to_owned());
        }
    }

    fn put(self, observed: &Observed<'_>, plan: &mut Plan) {
        let list = |uids: Vec<String>| Some(uids).filter(|uids| !uids.is_empty());
        if observed.is_indexed() {
            plan.status.completed_indexes = Some(indexes::format(&self.done)).filter(|text| !text.is_empty());
        }
        if observed.spec.backoff_limit_per_index.is_some() {
            plan.status.failed_indexes = Some(indexes::format(&self.lost));
        }
        let uncounted = UncountedTerminatedPods { succeeded: list(self.succeeded), failed: list(self.failed) };
        plan.status.uncounted_terminated_pods = Some(uncounted);
    }
}
