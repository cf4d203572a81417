//! How many disruptions a PodDisruptionBudget allows, from what is observed alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::object::percent::{Round, of_total};
use crate::object::pod;

/// How many pods there should be, and how many must serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Demand {
    pub(super) expected: i32,
    pub(super) desired: i32,
}

/// Evicted pods that are still there: each with the time at which its eviction was granted.
#[derive(Debug, Default)]
pub(super) struct Disrupted {
    /// Those that may still go; they count as gone.
    pub(super) pending: BTreeMap<String, Time>,
    /// Those that should have gone by now.
    pub(super) overdue: Vec<Arc<Pod>>,
    /// When the first of the pending ones is overdue.
    pub(super) check_at: Option<Timestamp>,
}

/// An evicted pod that has not begun to go after this time was not deleted after all.
const DELETION_TIMEOUT: SignedDuration = SignedDuration::from_mins(2);
const CONDITION: &str = "DisruptionAllowed";

/// What the budget demands of `pods` pods; `scale` tells how many their controllers want, and is asked only if that
/// matters.
pub(super) fn demand(
    budget: &PodDisruptionBudget,
    pods: usize,
    scale: impl FnOnce() -> Result<i32, String>,
) -> Result<Demand, String> {
    let spec = budget.spec.as_ref();
    let part = |value: &IntOrString, whole| {
        of_total(value, whole, Round::Up).ok_or_else(|| format!("{value:?} is neither a number nor a percentage"))
    };
    if let Some(unavailable) = spec.and_then(|spec| spec.max_unavailable.as_ref()) {
        let expected = scale()?;
        return Ok(Demand { expected, desired: (expected - part(unavailable, expected)?).max(0) });
    }
    match spec.and_then(|spec| spec.min_available.as_ref()) {
        Some(IntOrString::Int(desired)) => Ok(Demand { expected: number(pods), desired: *desired }),
        Some(percentage) => {
            let expected = scale()?;
            Ok(Demand { expected, desired: part(percentage, expected)? })
        }
        // A budget that says nothing asks for one pod, as its default is.
        None => Ok(Demand { expected: number(pods), desired: 1 }),
    }
}

/// Sorts out the evictions that the budget's status remembers.
pub(super) fn disrupted(budget: &PodDisruptionBudget, pods: &[Arc<Pod>], now: Timestamp) -> Disrupted {
    let known = budget.status.as_ref().and_then(|status| status.disrupted_pods.clone()).unwrap_or_default();
    let mut disrupted = Disrupted::default();
    for (name, since) in known {
        let Some(found) = pods.iter().find(|found| pod::name(found) == name && !pod::is_terminating(found)) else {
            continue;
        };
        match since.0.checked_add(DELETION_TIMEOUT) {
            Ok(until) if until > now => {
                disrupted.check_at = Some(disrupted.check_at.map_or(until, |known| known.min(until)));
                disrupted.pending.insert(name, since);
            }
            Ok(_) | Err(_) => disrupted.overdue.push(found.clone()),
        }
    }
    disrupted
}

/// The status to publish.
pub(super) fn status(
    budget: &PodDisruptionBudget,
    pods: &[Arc<Pod>],
    demand: Demand,
    disrupted: BTreeMap<String, Time>,
    now: &Time,
) -> PodDisruptionBudgetStatus {
    let healthy = pods.iter().filter(|found| {
        !pod::is_terminating(found) && !disrupted.contains_key(pod::name(found)) && pod::is_ready(found)
    });
    let healthy = number(healthy.count());
    let allowed = if demand.expected <= 0 { 0 } else { (healthy - demand.desired).max(0) };
    let mut status = PodDisruptionBudgetStatus {
        current_healthy: healthy,
        desired_healthy: demand.desired,
        expected_pods: demand.expected,
        disruptions_allowed: allowed,
        disrupted_pods: Some(disrupted).filter(|disrupted| !disrupted.is_empty()),
        observed_generation: budget.metadata.generation,
        conditions: budget.status.as_ref().and_then(|status| status.conditions.clone()),
    };
    let (state, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    set(&mut status, budget, (state, reason, ""), now);
    status
}

/// The status of a budget that cannot be counted: nothing may be disrupted.
pub(super) fn blocked(budget: &PodDisruptionBudget, message: &str, now: &Time) -> PodDisruptionBudgetStatus {
    let mut status = budget.status.clone().unwrap_or_default();
    status.disruptions_allowed = 0;
    set(&mut status, budget, ("False", "SyncFailed", message), now);
    status
}

fn set(
    status: &mut PodDisruptionBudgetStatus,
    budget: &PodDisruptionBudget,
    (state, reason, message): (&str, &str, &str),
    now: &Time,
) {
    let conditions = status.conditions.get_or_insert_default();
    let standing = conditions.iter().find(|known| known.type_ == CONDITION && known.status == state);
    let since = standing.map_or_else(|| now.clone(), |known| known.last_transition_time.clone());
    conditions.retain(|known| known.type_ != CONDITION);
    conditions.push(Condition {
        type_: CONDITION.to_owned(),
        status: state.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: budget.metadata.generation,
        last_transition_time: since,
    });
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn budget(spec: Value, disrupted: Value) -> PodDisruptionBudget {
        let status = json!({"disruptedPods": disrupted, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0,
                            "disruptionsAllowed": 0});
        serde_json::from_value(json!({"metadata": {"name": "b", "generation": 3}, "spec": spec, "status": status}))
            .unwrap()
    }

    fn pods(ready: usize, broken: usize) -> Vec<Arc<Pod>> {
        let pod = |index: usize| {
            let state = if index < ready { "True" } else { "False" };
            let status = json!({"conditions": [{"type": "Ready", "status": state}]});
            Arc::new(
                serde_json::from_value(json!({"metadata": {"name": format!("p{index}")}, "status": status})).unwrap(),
            )
        };
        (0..ready + broken).map(pod).collect()
    }

    fn at(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn numbers_and_percentages_are_demanded_of_pods_or_of_their_controllers() {
        for (spec, expected, desired) in [
            (json!({"minAvailable": 2}), 3, 2),
            (json!({"minAvailable": "50%"}), 7, 4),
            (json!({"maxUnavailable": 1}), 7, 6),
            (json!({"maxUnavailable": "30%"}), 7, 4),
            (json!({"maxUnavailable": "100%"}), 7, 0),
            (json!({"maxUnavailable": 9}), 7, 0),
            (json!({}), 3, 1),
        ] {
            let demand = demand(&budget(spec.clone(), json!(null)), 3, || Ok(7)).unwrap();
            assert_eq!((demand.expected, demand.desired), (expected, desired), "{spec}");
        }
        let unknown = demand(&budget(json!({"maxUnavailable": 1}), json!(null)), 3, || Err("nobody".into()));
        assert_eq!(unknown, Err("nobody".to_owned()));
    }

    #[test]
    fn what_serves_beyond_the_demand_may_go() {
        for (ready, broken, expected, desired, allowed, reason) in [
            (3, 0, 3, 2, 1, "SufficientPods"),
            (2, 1, 3, 2, 0, "InsufficientPods"),
            (0, 0, 0, 0, 0, "InsufficientPods"),
            (1, 0, 5, 3, 0, "InsufficientPods"),
        ] {
            let budget = budget(json!({}), json!(null));
            let demand = Demand { expected, desired };
            let status = status(&budget, &pods(ready, broken), demand, BTreeMap::new(), &at(5));
            let condition = &status.conditions.as_ref().unwrap()[0];
            assert_eq!((status.disruptions_allowed, condition.reason.as_str()), (allowed, reason));
            assert_eq!(status.observed_generation, Some(3));
        }
    }

    #[test]
    fn an_evicted_pod_counts_as_gone_until_it_is_overdue() {
        let budget = budget(json!({}), json!({"p0": at(100), "p1": at(0), "gone": at(100)}));
        let pods = pods(3, 0);
        let found = disrupted(&budget, &pods, at(150).0);
        assert_eq!(found.pending, BTreeMap::from([("p0".to_owned(), at(100))]));
        assert_eq!(found.overdue.iter().map(|pod| pod::name(pod)).collect::<Vec<_>>(), ["p1"]);
        assert_eq!(found.check_at, Some(at(220).0));
        let status = status(&budget, &pods, Demand { expected: 3, desired: 1 }, found.pending, &at(150));
        assert_eq!((status.current_healthy, status.disruptions_allowed), (2, 1));
    }

    #[test]
    fn a_budget_that_cannot_be_counted_allows_nothing_and_says_why() {
        let mut known = budget(json!({}), json!(null));
        known.status.as_mut().unwrap().disruptions_allowed = 3;
        let status = blocked(&known, "found no controllers", &at(9));
        let condition = &status.conditions.unwrap()[0];
        assert_eq!((status.disruptions_allowed, condition.reason.as_str()), (0, "SyncFailed"));
        assert_eq!(condition.message, "found no controllers");
    }
}
