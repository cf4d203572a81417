//! Which pods of a DaemonSet to make and which to remove, from what is observed alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::{Node, Pod};

use super::placement::{Place, node_of, place};
use crate::object::history::REVISION_LABEL;
use crate::object::percent::surge_and_unavailable;
use crate::object::pod;

/// The next step.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Nodes that get a pod.
    pub(super) create: Vec<String>,
    /// Pods that go.
    pub(super) delete: Vec<Arc<Pod>>,
    /// Pods that failed; they go too, and users are told.
    pub(super) failed: Vec<Arc<Pod>>,
}

/// What the controller sees.
pub(super) struct Observed<'a> {
    pub(super) set: &'a DaemonSet,
    pub(super) nodes: &'a [Arc<Node>],
    pub(super) pods: &'a [Arc<Pod>],
    /// The hash of the current template's revision.
    pub(super) hash: &'a str,
    pub(super) now: Timestamp,
}

/// A node that should have a pod, during an update.
struct Site<'a> {
    node: &'a str,
    /// Whether any of its pods serves.
    serves: bool,
    new: Option<&'a Arc<Pod>>,
    old: Option<&'a Arc<Pod>>,
}

type ByNode<'a> = BTreeMap<&'a str, Vec<&'a Arc<Pod>>>;

// === impl Observed ===

impl Observed<'_> {
    /// Decides on one step: first every node has what it should, then old pods are replaced.
    pub(super) fn plan(&self) -> Plan {
        let mut plan = Plan::default();
        let by_node = self.by_node();
        for node in self.nodes {
            let name = node.metadata.name.as_deref().unwrap_or_default();
            let pods = by_node.get(name).map(Vec::as_slice).unwrap_or_default();
            self.plan_node(name, place(self.set, node), pods, &mut plan);
        }
        if self.is_rolling() {
            self.roll(&by_node, &mut plan);
        }
        plan
    }

    fn by_node(&self) -> ByNode<'_> {
        let mut by_node = ByNode::new();
        for pod in self.pods {
            if let Some(node) = node_of(pod) {
                by_node.entry(node).or_default().push(pod);
            }
        }
        by_node
    }

    fn plan_node(&self, name: &str, place: Place, pods: &[&Arc<Pod>], plan: &mut Plan) {
        let live: Vec<_> = pods.iter().filter(|pod| !pod::is_terminating(pod)).copied().collect();
        if place == Place::Refused {
            plan.delete.extend(live.into_iter().cloned());
            return;
        }
        let (finished, mut active): (Vec<_>, Vec<_>) = live.into_iter().partition(|pod| pod::is_finished(pod));
        plan.failed.extend(finished.into_iter().cloned());
        if pods.is_empty() && place == Place::Wanted {
            plan.create.push(name.to_owned());
        }
        // The oldest stays; while an update surges, the oldest of each revision does.
        active.sort_by_key(|pod| (pod.metadata.creation_timestamp.clone(), pod.metadata.name.clone()));
        let surging = self.limits().0 > 0 && self.is_rolling();
        let mut kept = Vec::<bool>::new();
        for pod in active {
            let revision = surging && self.is_current(pod);
            if kept.contains(&revision) {
                plan.delete.push(pod.clone());
            } else {
                kept.push(revision);
            }
        }
    }

    /// Replaces pods of old revisions, as many at a time as may be unavailable or as may be added.
    fn roll(&self, by_node: &ByNode<'_>, plan: &mut Plan) {
        let (surge, unavailable) = self.limits();
        let wanted = self.wanted();
        let sites: Vec<_> = wanted.iter().map(|node| self.site(node, by_node)).collect();
        let mut down = number(sites.iter().filter(|site| !site.serves).count());
        let mut added = number(sites.iter().filter(|site| site.new.is_some() && site.old.is_some()).count());
        for site in &sites {
            let Some(old) = site.old else { continue };
            // One that does not serve anyway costs nothing; one whose successor serves is not needed any more.
            let replaced = surge > 0 && site.new.is_some_and(|new| self.is_available(new));
            if !site.serves || replaced {
                plan.delete.push(old.clone());
            } else if surge > 0 && site.new.is_none() && added < surge {
                plan.create.push(site.node.to_owned());
                added += 1;
            } else if surge == 0 && down < unavailable {
                plan.delete.push(old.clone());
                down += 1;
            }
        }
    }

    /// The pods of a node during an update.
    fn site<'a>(&'a self, node: &'a str, by_node: &ByNode<'a>) -> Site<'a> {
        let pods = by_node.get(node).map(Vec::as_slice).unwrap_or_default();
        let active = || pods.iter().copied().filter(|pod| pod::is_active(pod));
        Site {
            node,
            serves: active().any(|pod| self.is_available(pod)),
            new: active().find(|pod| self.is_current(pod)),
            old: active().find(|pod| !self.is_current(pod)),
        }
    }

    /// The status to publish.
    pub(super) fn status(&self, before: &DaemonSetStatus) -> DaemonSetStatus {
        let by_node = self.by_node();
        let mut status = DaemonSetStatus {
            observed_generation: self.set.metadata.generation,
            collision_count: before.collision_count,
            conditions: before.conditions.clone(),
            ..DaemonSetStatus::default()
        };
        let (mut available, mut updated) = (0, 0);
        for node in self.nodes {
            let name = node.metadata.name.as_deref().unwrap_or_default();
            let wanted = place(self.set, node) == Place::Wanted;
            let pods = by_node.get(name).map(Vec::as_slice).unwrap_or_default();
            let pod = pods
                .iter()
                .filter(|pod| !pod::is_terminating(pod))
                .min_by_key(|pod| (!pod::is_ready(pod), !self.is_current(pod)));
            status.desired_number_scheduled += i32::from(wanted);
            match (wanted, pod) {
                (true, Some(pod)) => {
                    status.current_number_scheduled += 1;
                    status.number_ready += i32::from(pod::is_ready(pod));
                    available += i32::from(self.is_available(pod));
                    updated += i32::from(self.is_current(pod));
                }
                (false, Some(_)) => status.number_misscheduled += 1,
                (true | false, None) => {}
            }
        }
        let nonzero = |count: i32| Some(count).filter(|count| *count > 0);
        status.number_available = nonzero(available);
        status.number_unavailable = nonzero(status.desired_number_scheduled - available);
        status.updated_number_scheduled = nonzero(updated);
        status
    }

    fn wanted(&self) -> Vec<String> {
        let wanted = self.nodes.iter().filter(|node| place(self.set, node) == Place::Wanted);
        wanted.filter_map(|node| node.metadata.name.clone()).collect()
    }

    fn is_current(&self, pod: &Pod) -> bool {
        pod::label(pod, REVISION_LABEL) == Some(self.hash)
    }

    fn is_available(&self, pod: &Pod) -> bool {
        let min_ready = self.set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
        pod::is_active(pod) && pod::is_available(pod, min_ready, self.now)
    }

    fn is_rolling(&self) -> bool {
        let strategy = self.set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
        strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete")
    }

    /// How many nodes may have two pods, and how many none that serves. Exactly one of the two is positive.
    fn limits(&self) -> (i32, i32) {
        let total = i32::try_from(self.wanted().len()).unwrap_or(i32::MAX);
        let strategy = self.set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.clone()).unwrap_or_default();
        let limit = |value: Option<&_>| surge_and_unavailable(value, None, total).map_or(0, |(limit, _)| limit);
        let (surge, unavailable) = (limit(rolling.max_surge.as_ref()), limit(rolling.max_unavailable.as_ref()));
        if surge > 0 { (surge, 0) } else { (0, unavailable.max(1)) }
    }
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn set(rolling: Value) -> DaemonSet {
        serde_json::from_value(
            json!({"spec": {"selector": {}, "template": {"spec": {"containers": []}}, "updateStrategy": rolling}}),
        )
        .unwrap()
    }

    fn pod(name: &str, node: &str, hash: &str, ready: bool) -> Arc<Pod> {
        let status = if ready { "True" } else { "False" };
        Arc::new(serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {REVISION_LABEL: hash}}, "spec": {"nodeName": node, "containers": []},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": status}]},
        })).unwrap())
    }

    fn step(set: &DaemonSet, pods: &[Arc<Pod>]) -> (Vec<String>, Vec<String>) {
        let node = |name: &str| Arc::new(serde_json::from_value::<Node>(json!({"metadata": {"name": name}})).unwrap());
        let nodes: Vec<_> = ["a", "b", "c"].into_iter().map(node).collect();
        let observed = Observed { set, nodes: &nodes, pods, hash: "new", now: Timestamp::UNIX_EPOCH };
        let plan = observed.plan();
        (plan.create, plan.delete.iter().map(|pod| pod::name(pod).to_owned()).collect())
    }

    #[test]
    fn each_node_gets_one_pod_and_a_second_one_goes() {
        let set = set(json!({"type": "RollingUpdate"}));
        assert_eq!(step(&set, &[]).0, ["a", "b", "c"]);
        let pods = [pod("1", "a", "new", true), pod("2", "a", "new", true), pod("3", "b", "new", true)];
        assert_eq!(step(&set, &pods), (vec!["c".into()], vec!["2".into()]));
    }

    #[test]
    fn an_update_takes_down_as_many_as_may_be_unavailable() {
        let pods = |a: bool| [pod("1", "a", "old", a), pod("2", "b", "old", true), pod("3", "c", "old", true)];
        let rolling = |unavailable: Value| {
            set(json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": unavailable}}))
        };
        assert_eq!(step(&rolling(json!(1)), &pods(true)).1, ["1"]);
        assert_eq!(step(&rolling(json!(2)), &pods(true)).1, ["1", "2"]);
        assert_eq!(step(&rolling(json!(1)), &pods(false)).1, ["1"], "the one that does not serve goes, and no other");
        assert_eq!(step(&set(json!({"type": "OnDelete"})), &pods(true)).1, Vec::<String>::new());
    }

    #[test]
    fn a_surging_update_starts_the_new_pod_before_the_old_one_goes() {
        let set = set(json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}));
        let old = [pod("1", "a", "old", true), pod("2", "b", "old", true), pod("3", "c", "old", true)];
        assert_eq!(step(&set, &old), (vec!["a".into()], vec![]));
        let mut both = old.to_vec();
        both.push(pod("4", "a", "new", false));
        assert_eq!(step(&set, &both), (vec![], vec![]));
        both[3] = pod("4", "a", "new", true);
        assert_eq!(step(&set, &both).1, ["1"]);
    }
}
