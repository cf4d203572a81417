//! Back-off by index (`spec.backoffLimitPerIndex`, KEP-3850): a pod carries how often its index failed before it, so
//! that the count outlives everything but the pod. The last failed pod of an index is therefore held until its successor
//! is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::backoff;
use super::failure_policy::{Failure, judge};
use super::indexes;
use super::plan::Observed;
use crate::object::owner::uid;
use crate::object::pod;

/// The annotation of a pod with how often its index failed before.
pub(super) const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";

/// An index that gets a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) index: i32,
    /// How often it failed before, where failures are limited by index.
    pub(super) failures: Option<i32>,
}

/// The failed pods whose index goes on with a new pod that is not there yet.
#[derive(Debug, Default)]
pub(super) struct Unreplaced(BTreeMap<i32, Arc<Pod>>);

// === impl Unreplaced ===

impl Unreplaced {
    /// None where failures are not limited by index.
    pub(super) fn of(observed: &Observed<'_>) -> Self {
        let mut last = BTreeMap::<i32, Arc<Pod>>::new();
        if observed.spec.backoff_limit_per_index.is_none() {
            return Self::default();
        }
        let replaced: BTreeSet<i32> =
            observed.pods.iter().filter(|pod| pod::is_active(pod)).filter_map(|pod| indexes::of(pod)).collect();
        for failed in observed.pods.iter().filter(|pod| observed.has_failed(pod)) {
            let Some(index) = indexes::of(failed).filter(|index| !replaced.contains(index)) else { continue };
            let later = last.get(&index).is_some_and(|known| before(known) >= before(failed));
            if !later {
                last.insert(index, failed.clone());
            }
        }
        Self(last)
    }

    /// Whether the pod has to stay until its successor is there.
    pub(super) fn holds(&self, pod: &Pod, over: &BTreeSet<i32>) -> bool {
        let index = indexes::of(pod).filter(|index| !over.contains(index));
        let last = index.and_then(|index| self.0.get(&index));
        last.is_some_and(|last| uid(&last.metadata) == uid(&pod.metadata))
    }

    /// What the next pod of an index carries, and before when it must not start.
    pub(super) fn next(&self, observed: &Observed<'_>, index: i32) -> (Slot, Option<Timestamp>) {
        if observed.spec.backoff_limit_per_index.is_none() {
            return (Slot { index, failures: None }, None);
        }
        let Some(last) = self.0.get(&index) else { return (Slot { index, failures: Some(0) }, None) };
        let failures = before(last) + i32::from(judge(observed.job, last) == Failure::Counts);
        let slot = Slot { index, failures: Some(failures) };
        (slot, u32::try_from(failures).ok().and_then(|failures| backoff::after(failures, backoff::ended_at(last))))
    }
}

/// The indexes that have failed for good by a pod that is there.
pub(super) fn failed(observed: &Observed<'_>) -> BTreeSet<i32> {
    let Some(limit) = observed.spec.backoff_limit_per_index else { return BTreeSet::new() };
    let lost = observed.pods.iter().filter(|pod| match judge(observed.job, pod) {
        Failure::FailsIndex => observed.has_failed(pod),
        Failure::Counts => observed.has_failed(pod) && before(pod) >= limit,
        Failure::Ignored | Failure::FailsJob(_) => false,
    });
    lost.filter_map(|pod| indexes::of(pod)).collect()
}

fn before(pod: &Pod) -> i32 {
    let annotations = pod.metadata.annotations.as_ref();
    annotations.and_then(|annotations| annotations.get(FAILURES)?.parse().ok()).unwrap_or(0)
}
