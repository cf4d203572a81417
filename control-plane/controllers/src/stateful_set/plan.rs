//! Which pods of a StatefulSet to make and which to remove, from what is observed alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::Pod;

use crate::object::history::REVISION_LABEL;
use crate::object::pod;

/// What the controller sees.
pub(super) struct Observed<'a> {
    pub(super) set: &'a StatefulSet,
    pub(super) pods: &'a [Arc<Pod>],
    /// The name of the revision that pods below the partition have.
    pub(super) current: &'a str,
    /// The name of the revision of the template.
    pub(super) update: &'a str,
    pub(super) now: Timestamp,
}

/// The next step.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Ordinals that get a pod, each with whether it is of the update revision.
    pub(super) create: Vec<(i32, bool)>,
    /// Pods that go.
    pub(super) delete: Vec<Arc<Pod>>,
}

/// The ordinal at the end of a pod's name.
pub(super) fn ordinal(set: &StatefulSet, pod: &Pod) -> Option<i32> {
    let (owner, ordinal) = pod::name(pod).rsplit_once('-')?;
    ordinal.parse().ok().filter(|_| Some(owner) == set.metadata.name.as_deref())
}

// === impl Observed ===

impl Observed<'_> {
    /// Decides on one step.
    pub(super) fn plan(&self) -> Plan {
        let mut plan = Plan::default();
        let by_ordinal: BTreeMap<i32, &Arc<Pod>> =
            self.pods.iter().filter_map(|pod| Some((ordinal(self.set, pod)?, pod))).collect();
        if self.make(&by_ordinal, &mut plan) && self.shrink(&by_ordinal, &mut plan) {
            self.roll(&by_ordinal, &mut plan);
        }
        plan
    }

    /// Every wanted ordinal has a pod, in order unless the set says that order does not matter. Whether all of them
    /// serve, so that the next phase may begin.
    fn make(&self, pods: &BTreeMap<i32, &Arc<Pod>>, plan: &mut Plan) -> bool {
        let mut all_serve = true;
        for ordinal in self.wanted() {
            let serves = match pods.get(&ordinal) {
                None => {
                    plan.create.push((ordinal, ordinal >= self.partition()));
                    false
                }
                Some(pod) if pod::is_terminating(pod) => false,
                Some(pod) if pod::is_finished(pod) => {
                    plan.delete.push((*pod).clone());
                    false
                }
                Some(pod) => self.is_available(pod),
            };
            all_serve &= serves;
            if !serves && !self.is_parallel() {
                return false;
            }
        }
        all_serve || self.is_parallel()
    }

    /// Pods beyond the wanted ordinals go, the highest first. Whether none is left.
    fn shrink(&self, pods: &BTreeMap<i32, &Arc<Pod>>, plan: &mut Plan) -> bool {
        let condemned: Vec<_> = pods.iter().rev().filter(|(ordinal, _)| !self.wanted().contains(ordinal)).collect();
        for (_, pod) in &condemned {
            if !pod::is_terminating(pod) {
                plan.delete.push((**pod).clone());
            }
            if !self.is_parallel() {
                return false;
            }
        }
        condemned.is_empty()
    }

    /// Replaces one pod of an old revision, the highest ordinal first, and waits until the new one serves.
    fn roll(&self, pods: &BTreeMap<i32, &Arc<Pod>>, plan: &mut Plan) {
        let strategy = self.set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
        if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete") {
            return;
        }
        for ordinal in self.wanted().rev().filter(|ordinal| *ordinal >= self.partition()) {
            match pods.get(&ordinal) {
                Some(pod) if pod::is_terminating(pod) => return,
                Some(pod) if pod::label(pod, REVISION_LABEL) != Some(self.update) => {
                    plan.delete.push((*pod).clone());
                    return;
                }
                Some(pod) if self.is_available(pod) => {}
                Some(_) | None => return,
            }
        }
    }

    /// The status to publish.
    pub(super) fn status(&self) -> StatefulSetStatus {
        let before = self.set.status.clone().unwrap_or_default();
        let live: Vec<_> = self.pods.iter().filter(|pod| pod::is_active(pod)).collect();
        let count =
            |of: &dyn Fn(&Pod) -> bool| i32::try_from(live.iter().filter(|pod| of(pod)).count()).unwrap_or(i32::MAX);
        let nonzero = |count: i32| Some(count).filter(|count| *count > 0);
        let (replicas, ready) = (count(&|_| true), count(&pod::is_ready));
        let updated = count(&|pod| pod::label(pod, REVISION_LABEL) == Some(self.update));
        let wanted = i32::try_from(self.wanted().count()).unwrap_or(i32::MAX);
        // The update is over when every pod is of the new revision and serves.
        let over = updated == replicas && ready == replicas && replicas == wanted;
        let current = if over { self.update } else { self.current };
        StatefulSetStatus {
            observed_generation: self.set.metadata.generation,
            replicas,
            ready_replicas: nonzero(ready),
            available_replicas: Some(count(&|pod| self.is_available(pod))),
            current_replicas: nonzero(count(&|pod| pod::label(pod, REVISION_LABEL) == Some(current))),
            updated_replicas: nonzero(updated),
            current_revision: Some(current.to_owned()),
            update_revision: Some(self.update.to_owned()),
            collision_count: before.collision_count,
            conditions: before.conditions,
        }
    }

    /// The ordinals that should have a pod.
    pub(super) fn wanted(&self) -> std::ops::Range<i32> {
        let spec = self.set.spec.as_ref();
        let start = spec.and_then(|spec| spec.ordinals.as_ref()?.start).unwrap_or(0);
        start..start.saturating_add(spec.and_then(|spec| spec.replicas).unwrap_or(1).max(0))
    }

    /// Ordinals below it keep the current revision.
    fn partition(&self) -> i32 {
        let strategy = self.set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
        strategy.and_then(|strategy| strategy.rolling_update.as_ref()?.partition).unwrap_or(0)
    }

    fn is_parallel(&self) -> bool {
        let policy = self.set.spec.as_ref().and_then(|spec| spec.pod_management_policy.as_deref());
        policy == Some("Parallel")
    }

    fn is_available(&self, pod: &Pod) -> bool {
        let min_ready = self.set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
        pod::is_active(pod) && pod::is_available(pod, min_ready, self.now)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// `ordinal/revision/ready` for each pod; the answer is `+ordinal` and `-ordinal`.
    fn step(spec: Value, pods: &[(i32, &str, bool)]) -> Vec<String> {
        let set = json!({"metadata": {"name": "db"}, "spec": spec});
        let mut set = set;
        set["spec"]["selector"] = json!({});
        set["spec"]["template"] = json!({});
        let set: StatefulSet = serde_json::from_value(set).unwrap();
        let pod = |(ordinal, revision, ready): &(i32, &str, bool)| {
            let status = if *ready { "True" } else { "False" };
            Arc::new(
                serde_json::from_value::<Pod>(json!({
                    "metadata": {"name": format!("db-{ordinal}"), "labels": {REVISION_LABEL: revision}},
                    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": status}]},
                }))
                .unwrap(),
            )
        };
        let pods: Vec<_> = pods.iter().map(pod).collect();
        let observed = Observed { set: &set, pods: &pods, current: "old", update: "new", now: Timestamp::UNIX_EPOCH };
        let plan = observed.plan();
        let created = plan.create.iter().map(|(ordinal, new)| format!("+{ordinal}{}", if *new { "" } else { " old" }));
        created.chain(plan.delete.iter().map(|pod| format!("-{}", ordinal(&set, pod).unwrap()))).collect()
    }

    #[test]
    fn pods_come_and_go_in_order_and_one_at_a_time() {
        let three = || json!({"replicas": 3});
        let parallel = || json!({"replicas": 3, "podManagementPolicy": "Parallel"});
        for (what, spec, pods, expected) in [
            ("the first", three(), vec![], vec!["+0"]),
            ("it does not serve yet", three(), vec![(0, "new", false)], vec![]),
            ("the second", three(), vec![(0, "new", true)], vec!["+1"]),
            ("a gap is filled first", three(), vec![(0, "new", true), (2, "new", true)], vec!["+1"]),
            ("all at once", parallel(), vec![], vec!["+0", "+1", "+2"]),
            (
                "the highest goes first",
                json!({"replicas": 1}),
                vec![(0, "new", true), (1, "new", true), (2, "new", true)],
                vec!["-2"],
            ),
            ("an unhealthy one halts it", json!({"replicas": 1}), vec![(0, "new", false), (1, "new", true)], vec![]),
            ("an update from the top", three(), vec![(0, "old", true), (1, "old", true), (2, "old", true)], vec!["-2"]),
            ("an update that waits", three(), vec![(0, "old", true), (1, "old", true), (2, "new", false)], vec![]),
            (
                "a partition",
                json!({"replicas": 2, "updateStrategy": {"rollingUpdate": {"partition": 1}}}),
                vec![(0, "old", true), (1, "new", true)],
                vec![],
            ),
            (
                "below a partition the old one comes back",
                json!({"replicas": 2, "updateStrategy": {"rollingUpdate": {"partition": 1}}}),
                vec![(1, "new", true)],
                vec!["+0 old"],
            ),
            (
                "by hand only",
                json!({"replicas": 1, "updateStrategy": {"type": "OnDelete"}}),
                vec![(0, "old", true)],
                vec![],
            ),
            ("other ordinals", json!({"replicas": 1, "ordinals": {"start": 5}}), vec![], vec!["+5"]),
        ] {
            assert_eq!(step(spec, &pods), expected, "{what}");
        }
    }
}
