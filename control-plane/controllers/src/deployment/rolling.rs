//! One step of a rolling update.
//!
//! # Guarantees
//! With `surge` and `unavailable` taken from the strategy:
//! - the sets together never ask for more than `replicas + surge` pods, counting those that a set has not got rid
//!   of yet;
//! - old pods go only as far as at least `replicas - unavailable` pods keep serving.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use super::sets::{available, replicas, replicas_at_most};
use super::status::{desired, is_rolling, max_surge, max_unavailable};

/// The size of the current set after this step. `sets` are all sets, the current one included.
pub(super) fn size_of_current(deployment: &Deployment, current: &ReplicaSet, sets: &[&ReplicaSet]) -> i32 {
    let (wanted, size) = (desired(deployment), replicas(current));
    if size >= wanted || !is_rolling(deployment) {
        return wanted;
    }
    let room = wanted + max_surge(deployment) - sets.iter().map(|set| replicas_at_most(set)).sum::<i32>();
    size + room.clamp(0, wanted - size)
}

/// The sizes of the old sets after this step, oldest set first as given.
pub(super) fn sizes_of_old(deployment: &Deployment, current: &ReplicaSet, old: &[&ReplicaSet]) -> Vec<i32> {
    let mut sizes: Vec<i32> = old.iter().map(|set| replicas(set)).collect();
    let total = sizes.iter().sum::<i32>() + replicas(current);
    let minimum = desired(deployment) - max_unavailable(deployment);
    let mut budget = total - minimum - (replicas(current) - available(current));
    // Pods that do not serve anyway go first: they make room and cost nothing.
    for (size, set) in sizes.iter_mut().zip(old) {
        let idle = (*size - available(set)).clamp(0, budget.max(0));
        *size -= idle;
        budget -= idle;
    }
    let serving = old.iter().map(|set| available(set)).sum::<i32>() + available(current);
    let mut spare = (serving - minimum).clamp(0, budget.max(0));
    for size in &mut sizes {
        let gone = (*size).clamp(0, spare);
        *size -= gone;
        spare -= gone;
    }
    sizes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(replicas: i32, surge: i32, unavailable: i32) -> Deployment {
        serde_json::from_value(json!({"spec": {
            "replicas": replicas, "selector": {}, "template": {},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}},
        }}))
        .unwrap()
    }

    fn set(size: i32, has: i32, available: i32) -> ReplicaSet {
        serde_json::from_value(json!({
            "spec": {"replicas": size, "selector": {}},
            "status": {"replicas": has, "availableReplicas": available},
        }))
        .unwrap()
    }

    #[test]
    fn the_current_set_grows_into_the_room_that_the_surge_leaves() {
        for (what, (wanted, surge), current, old, expected) in [
            ("first step", (10, 3), set(0, 0, 0), set(10, 10, 10), 3),
            ("no room", (10, 0), set(0, 0, 0), set(10, 10, 10), 0),
            ("room after the old one shrank", (10, 0), set(0, 0, 0), set(8, 8, 8), 2),
            ("no room before its pods are gone", (10, 0), set(0, 0, 0), set(8, 10, 10), 0),
            ("never beyond what is wanted", (3, 5), set(1, 1, 1), set(0, 0, 0), 3),
            ("shrinks at once", (3, 1), set(7, 7, 7), set(0, 0, 0), 3),
        ] {
            let deployment = deployment(wanted, surge, 1);
            assert_eq!(size_of_current(&deployment, &current, &[&old, &current]), expected, "{what}");
        }
    }

    #[test]
    fn old_sets_shrink_as_far_as_enough_pods_serve() {
        for (what, (wanted, unavailable), current, old, expected) in [
            ("what may be unavailable", (10, 2), set(0, 0, 0), vec![set(10, 10, 10)], vec![8]),
            ("not before new ones serve", (10, 0), set(3, 3, 0), vec![set(10, 10, 10)], vec![10]),
            ("one for each that serves", (10, 0), set(3, 3, 2), vec![set(10, 10, 10)], vec![8]),
            (
                "broken ones first, whatever their age",
                (10, 2),
                set(0, 0, 0),
                vec![set(8, 8, 8), set(2, 2, 0)],
                vec![8, 0],
            ),
            ("then the oldest", (10, 4), set(0, 0, 0), vec![set(3, 3, 3), set(7, 7, 7)], vec![0, 6]),
            (
                "a status that has not caught up gives nothing away",
                (10, 2),
                set(2, 2, 2),
                vec![set(8, 10, 10)],
                vec![6],
            ),
            ("fewer serve than must: nothing goes", (10, 1), set(0, 0, 0), vec![set(9, 9, 5)], vec![9]),
            ("all are broken and may go", (3, 3), set(1, 1, 0), vec![set(3, 3, 0)], vec![0]),
        ] {
            let old: Vec<_> = old.iter().collect();
            assert_eq!(sizes_of_old(&deployment(wanted, 3, unavailable), &current, &old), expected, "{what}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_step_never_breaks_its_limits(
            wanted in 0..50i32, surge in 0..20i32, unavailable in 0..20i32,
            sizes in proptest::collection::vec((0..50i32, 0..50i32), 1..4), current in (0..50i32, 0..50i32),
        ) {
            let deployment = deployment(wanted, surge, unavailable.max(i32::from(surge == 0)));
            let old: Vec<_> = sizes.iter().map(|(size, up)| set(*size, *size, *up.min(size))).collect();
            let old: Vec<_> = old.iter().collect();
            let current = set(current.0, current.0, current.1.min(current.0));
            let all: Vec<_> = old.iter().copied().chain([&current]).collect();
            let before: i32 = all.iter().map(|set| replicas(set)).sum();
            let grown = size_of_current(&deployment, &current, &all) - replicas(&current);
            proptest::prop_assert!(grown <= 0 || before + grown <= wanted + max_surge(&deployment));

            let after = sizes_of_old(&deployment, &current, &old);
            let serving: i32 = old.iter().zip(&after).map(|(set, size)| available(set).min(*size)).sum();
            let serving_before: i32 = old.iter().map(|set| available(set)).sum();
            let minimum = wanted - max_unavailable(&deployment);
            let kept = serving + available(&current);
            proptest::prop_assert!(kept >= minimum || serving == serving_before, "{kept} of {minimum} serve");
            proptest::prop_assert!(after.iter().zip(&old).all(|(size, set)| (0..=replicas(set)).contains(size)));
        }
    }
}
