//! How many pods to add, or which to remove.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::deletion_order::in_deletion_order;

/// One step towards the number of pods that is asked for.
#[derive(Clone, Debug)]
pub(super) enum Scale {
    /// It is right.
    Keep,
    /// So many are missing.
    Create(usize),
    /// These are too many.
    Delete(Vec<Arc<Pod>>),
}

/// One run creates or deletes at most this many pods, so that a set of thousands does not keep others waiting.
const BURST: usize = 500;

/// The step from `active` pods to `replicas`. `related` gives the pods whose neighbours are to be spread out.
pub(super) fn plan(
    replicas: i32,
    active: Vec<Arc<Pod>>,
    related: impl FnOnce() -> Vec<Arc<Pod>>,
    now: Timestamp,
) -> Scale {
    let wanted = usize::try_from(replicas).unwrap_or(0);
    match wanted.cmp(&active.len()) {
        std::cmp::Ordering::Equal => Scale::Keep,
        std::cmp::Ordering::Greater => Scale::Create((wanted - active.len()).min(BURST)),
        std::cmp::Ordering::Less => {
            let surplus = (active.len() - wanted).min(BURST);
            let mut pods = if surplus == active.len() { active } else { in_deletion_order(active, &related(), now) };
            pods.truncate(surplus);
            Scale::Delete(pods)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_is_made_up_in_steps_of_at_most_500() {
        let pods = |count: usize| (0..count).map(|_| Arc::new(Pod::default())).collect::<Vec<_>>();
        for (replicas, active, expected) in
            [(3, 3, 0), (3, 1, 2), (1, 3, -2), (0, 3, -3), (1000, 0, 500), (0, 1000, -500), (-1, 2, -2)]
        {
            let step = match plan(replicas, pods(active), Vec::new, Timestamp::UNIX_EPOCH) {
                Scale::Keep => 0,
                Scale::Create(count) => i32::try_from(count).unwrap(),
                Scale::Delete(pods) => -i32::try_from(pods.len()).unwrap(),
            };
            assert_eq!(step, expected, "from {active} to {replicas}");
        }
    }
}
