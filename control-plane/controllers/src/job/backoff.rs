//! How long a Job waits after failures.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use super::failure_policy::{Failure, judge};
use crate::object::pod::{self, Phase};

const FIRST_SECONDS: i64 = 10;
const LAST_SECONDS: i64 = 600;

/// After failures in a row the next pod waits: 10 s, doubled with each failure up to 10 min.
pub(super) fn until(job: &Job, pods: &[Arc<Pod>]) -> Option<Timestamp> {
    let ended = |wanted: Phase| pods.iter().filter(move |pod| pod::phase(pod) == wanted);
    let last_success = ended(Phase::Succeeded).map(|pod| ended_at(pod)).max();
    let failures = ended(Phase::Failed).filter(|pod| judge(job, pod) == Failure::Counts).map(|pod| ended_at(pod));
    let failures: Vec<_> = failures.filter(|at| last_success.is_none_or(|success| *at > success)).collect();
    after(u32::try_from(failures.len()).ok()?, failures.into_iter().max()?)
}

/// When the next pod may start after so many failures, the last of them at `last`.
pub(super) fn after(failures: u32, last: Timestamp) -> Option<Timestamp> {
    let doublings = failures.checked_sub(1)?.min(16);
    last.checked_add(SignedDuration::from_secs((FIRST_SECONDS << doublings).min(LAST_SECONDS))).ok()
}

/// When the last container of a pod ended.
pub(super) fn ended_at(pod: &Pod) -> Timestamp {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let ends = statuses.filter_map(|status| status.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref());
    let last = ends.map(|time| time.0).max();
    last.or_else(|| pod.metadata.creation_timestamp.as_ref().map(|time| time.0)).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_doubles_the_wait_up_to_ten_minutes() {
        for (failures, seconds) in
            [(0, None), (1, Some(10)), (2, Some(20)), (6, Some(320)), (7, Some(600)), (99, Some(600))]
        {
            let until = after(failures, Timestamp::UNIX_EPOCH);
            assert_eq!(until.map(|at| at.as_second()), seconds, "{failures}");
        }
    }
}
