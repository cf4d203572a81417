//! Another number of replicas in the middle of a rollout: every set grows or shrinks in proportion.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use super::sets::{DESIRED_REPLICAS, MAX_REPLICAS, available, number, replicas};
use super::status::{desired, max_surge};

/// The new size of each of `sets` (in their order; the last is the current one if `has_current`).
pub(super) fn sizes(deployment: &Deployment, sets: &[&ReplicaSet], has_current: bool) -> Vec<i32> {
    let mut sizes: Vec<i32> = sets.iter().map(|set| replicas(set)).collect();
    if let Some(index) = only_set_that_matters(sets, has_current) {
        sizes[index] = desired(deployment);
    } else if is_saturated(deployment, sets, has_current) {
        sizes[..sets.len() - 1].fill(0);
    } else if super::status::is_rolling(deployment) {
        proportional(deployment, sets, &mut sizes);
    }
    sizes
}

/// Whether a set was last scaled for another number of replicas.
pub(super) fn is_outdated(deployment: &Deployment, sets: &[&ReplicaSet]) -> bool {
    let active = sets.iter().filter(|set| replicas(set) > 0);
    let wanted = i64::from(desired(deployment));
    active.filter_map(|set| number(set, DESIRED_REPLICAS)).any(|known| known != wanted)
}

/// The one set with pods; without any, the current one or else the youngest. `None` if several have pods.
fn only_set_that_matters(sets: &[&ReplicaSet], has_current: bool) -> Option<usize> {
    let active: Vec<usize> = (0..sets.len()).filter(|index| replicas(sets[*index]) > 0).collect();
    match (active.as_slice(), sets.len()) {
        (_, 0) => None,
        ([], count) if has_current => Some(count - 1),
        ([], _) => (0..sets.len()).max_by_key(|index| sets[*index].metadata.creation_timestamp.clone()),
        ([one], _) => Some(*one),
        (_, _) => None,
    }
}

/// Whether the current set alone serves everything already.
fn is_saturated(deployment: &Deployment, sets: &[&ReplicaSet], has_current: bool) -> bool {
    let wanted = desired(deployment);
    sets.last().filter(|_| has_current).is_some_and(|current| {
        number(current, DESIRED_REPLICAS) == Some(i64::from(wanted))
            && replicas(current) == wanted
            && available(current) == wanted
    })
}

fn proportional(deployment: &Deployment, sets: &[&ReplicaSet], sizes: &mut [i32]) {
    let wanted = desired(deployment);
    let allowed = if wanted > 0 { wanted + max_surge(deployment) } else { 0 };
    let mut order: Vec<usize> = (0..sets.len()).filter(|index| replicas(sets[*index]) > 0).collect();
    let total: i32 = order.iter().map(|index| replicas(sets[*index])).sum();
    let to_add = allowed - total;
    // The largest set first. Among equals the younger one grows and the older one shrinks first.
    order.sort_by_key(|index| {
        (std::cmp::Reverse(replicas(sets[*index])), sets[*index].metadata.creation_timestamp.clone())
    });
    if to_add > 0 {
        order.sort_by_key(|index| {
            let created = sets[*index].metadata.creation_timestamp.clone();
            (std::cmp::Reverse(replicas(sets[*index])), std::cmp::Reverse(created))
        });
    }
    let mut added = 0;
    for index in &order {
        let share = share(deployment, sets[*index], to_add - added);
        sizes[*index] += share;
        added += share;
    }
    // What rounding left over goes to the first.
    if let Some(first) = order.first() {
        sizes[*first] = (sizes[*first] + to_add - added).max(0);
    }
}

/// What the set gets of `left`: its share of the Deployment at the time it was last scaled.
fn share(deployment: &Deployment, set: &ReplicaSet, left: i32) -> i32 {
    if left == 0 {
        return 0;
    }
    let (size, wanted) = (replicas(set), desired(deployment));
    let fraction = if wanted == 0 {
        -size
    } else {
        let most_now = f64::from(wanted + max_surge(deployment));
        let before = number(set, MAX_REPLICAS).and_then(|most| i32::try_from(most).ok()).filter(|most| *most > 0);
        let status = deployment.status.as_ref().and_then(|status| status.replicas).filter(|count| *count > 0);
        let most_before = f64::from(before.or(status).unwrap_or(1));
        // Both factors are i32: the product and its share are exact in f64, and clamped back.
        rounded(f64::from(size) * most_now / most_before) - size
    };
    if left > 0 { fraction.min(left) } else { fraction.max(left) }
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to the range of i32 first")]
fn rounded(size: f64) -> i32 {
    size.round().clamp(0.0, f64::from(i32::MAX)) as i32
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(replicas: i32, surge: i32) -> Deployment {
        serde_json::from_value(json!({"spec": {
            "replicas": replicas, "selector": {}, "template": {},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": 1}},
        }}))
        .unwrap()
    }

    fn set(age: u8, size: i32, desired: i32, most: i32) -> ReplicaSet {
        serde_json::from_value(json!({
            "metadata": {
                "creationTimestamp": format!("2026-01-01T00:00:{age:02}Z"),
                "annotations": {DESIRED_REPLICAS: desired.to_string(), MAX_REPLICAS: most.to_string()},
            },
            "spec": {"replicas": size, "selector": {}},
            "status": {"replicas": size, "availableReplicas": size},
        }))
        .unwrap()
    }

    #[test]
    fn sets_keep_their_proportions_when_a_rollout_is_scaled() {
        for (what, wanted, surge, before, expected) in [
            ("10 to 20 replicas", 20, 0, vec![(5, 10, 10), (5, 10, 10)], vec![10, 10]),
            ("the current one gets the odd one", 11, 0, vec![(5, 10, 10), (5, 10, 10)], vec![5, 6]),
            ("a canary stays a canary", 20, 0, vec![(8, 10, 10), (2, 10, 10)], vec![16, 4]),
            ("shrinking takes from the larger", 5, 0, vec![(8, 10, 10), (2, 10, 10)], vec![4, 1]),
            ("to nothing", 0, 3, vec![(8, 10, 13), (5, 10, 13)], vec![0, 0]),
            ("one set alone", 7, 2, vec![(0, 3, 5), (3, 3, 5)], vec![0, 7]),
            ("no pods at all", 4, 2, vec![(0, 0, 0), (0, 0, 0)], vec![0, 4]),
            ("surge counts", 30, 3, vec![(5, 10, 13), (8, 10, 13)], vec![13, 20]),
        ] {
            let sets: Vec<_> =
                (0u8..).zip(&before).map(|(age, (size, wanted, most))| set(age, *size, *wanted, *most)).collect();
            let sets: Vec<_> = sets.iter().collect();
            assert_eq!(sizes(&deployment(wanted, surge), &sets, true), expected, "{what}");
        }
    }

    #[test]
    fn a_saturated_rollout_drops_its_old_pods() {
        let (old, current) = (set(0, 3, 10, 13), set(1, 10, 10, 13));
        assert_eq!(sizes(&deployment(10, 3), &[&old, &current], true), [0, 10]);
    }

    #[test]
    fn a_rollout_is_outdated_when_the_user_asked_for_another_number_since() {
        let current = set(0, 3, 3, 4);
        assert!(!is_outdated(&deployment(3, 1), &[&current]));
        assert!(is_outdated(&deployment(5, 1), &[&current]));
        let empty = set(0, 0, 3, 4);
        assert!(!is_outdated(&deployment(5, 1), &[&empty]));
    }
}
