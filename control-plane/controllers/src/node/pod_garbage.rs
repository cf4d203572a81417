//! Pods that nobody else removes: on nodes that are gone, terminating without ever having had a node, or finished and
//! too many.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use parking_lot::Mutex;

use super::eviction::{Cause, evict};
use super::{is_ready, taints};
use crate::object::owner::is_deleted;
use crate::object::pod;
use crate::runtime::api::{Deletion, Requests};
use crate::runtime::cache::Cache;
use crate::runtime::clock::Clock;
use crate::runtime::error::Error;
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::worker::{Action, Reconciler};

/// How often pods are looked through.
const EVERY: Duration = Duration::from_secs(20);
/// A node that is missing may be about to register: its pods get this long.
const QUARANTINE: SignedDuration = SignedDuration::from_secs(40);
/// Beyond this many finished pods the oldest go (`--terminated-pod-gc-threshold`).
const FINISHED_KEPT: usize = 12_500;
/// Says that a node is shut down for good and its pods may be removed by force.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

const ORPHANED: Cause = Cause { reason: "DeletionByPodGC", message: "PodGC: node no longer exists", fails: true };
const UNSCHEDULED: Cause =
    Cause { reason: "DeletionByPodGC", message: "PodGC: pod was deleted before it had a node", fails: true };
const STRANDED: Cause =
    Cause { reason: "DeletionByPodGC", message: "PodGC: node has out-of-service taint", fails: true };
const FINISHED: Cause =
    Cause { reason: "DeletionByPodGC", message: "PodGC: too many pods have finished", fails: false };

/// There is one key: every run looks at all pods.
struct Controller {
    requests: Requests,
    clock: Clock,
    nodes: Cache<Node>,
    pods: Cache<Pod>,
    /// Since when a node that pods name is missing.
    missing: Mutex<HashMap<String, Timestamp>>,
}

/// Adds the controller.
pub(crate) fn register(manager: &mut Manager, name: &'static str) {
    let (nodes, pods) = (manager.cache::<Node>(), manager.cache::<Pod>());
    let queue = manager.queue::<ObjectKey>(name);
    queue.add(ObjectKey::cluster("all-pods"));
    let reconciler = Controller {
        requests: manager.requests(),
        clock: manager.clock(),
        nodes: nodes.clone(),
        pods: pods.clone(),
        missing: Mutex::default(),
    };
    manager.run(name, 1, Needs::default().and(&nodes).and(&pods), queue, reconciler);
}

/// The pods to remove, each with the reason. `is_lost` tells whether a node is surely gone.
fn doomed(
    pods: &[Arc<Pod>],
    node: impl Fn(&str) -> Option<Arc<Node>>,
    is_lost: impl Fn(&str) -> bool,
) -> Vec<(&Pod, &'static Cause)> {
    let mut doomed: Vec<(&Pod, &Cause)> = Vec::new();
    for pod in pods {
        let terminating = is_deleted(&pod.metadata);
        match pod::node(pod) {
            None if terminating => doomed.push((pod, &UNSCHEDULED)),
            Some(name) if is_lost(name) => doomed.push((pod, &ORPHANED)),
            Some(name) if terminating && node(name).is_some_and(|node| is_out_of_service(&node)) => {
                doomed.push((pod, &STRANDED));
            }
            None | Some(_) => {}
        }
    }
    let mut finished: Vec<&Pod> = pods.iter().map(AsRef::as_ref).filter(|pod| pod::is_finished(pod)).collect();
    let surplus = finished.len().saturating_sub(FINISHED_KEPT);
    finished.sort_by_key(|pod| pod.metadata.creation_timestamp.clone());
    doomed.extend(finished.into_iter().take(surplus).map(|pod| (pod, &FINISHED)));
    doomed
}

fn is_out_of_service(node: &Node) -> bool {
    !is_ready(node) && taints(node).iter().any(|taint| taint.key == OUT_OF_SERVICE)
}

// === impl Controller ===

impl Reconciler for Controller {
    type Key = ObjectKey;

    async fn reconcile(&self, _: &ObjectKey) -> Result<Action, Error> {
        let pods = self.pods.list();
        let lost = self.lost_nodes(&pods).await?;
        let doomed = doomed(&pods, |name| self.nodes.get(&ObjectKey::cluster(name)), |name| lost.contains(name));
        let mut failures = Vec::new();
        for (pod, cause) in doomed {
            let deletion = Deletion::of(pod).immediately();
            failures.extend(evict(&self.requests, &self.clock, pod, cause, &deletion).await.err());
        }
        Error::collect(failures)?;
        Ok(Action::requeue(EVERY))
    }
}

impl Controller {
    /// The nodes that pods name, that have been missing for a while, and that the server does not know either.
    async fn lost_nodes(&self, pods: &[Arc<Pod>]) -> Result<HashSet<String>, Error> {
        let named: HashSet<&str> = pods.iter().filter_map(|pod| pod::node(pod)).collect();
        let missing: Vec<String> = {
            let now = self.clock.now();
            let mut missing = self.missing.lock();
            missing
                .retain(|name, _| named.contains(name.as_str()) && self.nodes.get(&ObjectKey::cluster(name)).is_none());
            for name in named.into_iter().filter(|name| self.nodes.get(&ObjectKey::cluster(*name)).is_none()) {
                missing.entry(name.to_owned()).or_insert(now);
            }
            let overdue = missing.iter().filter(|(_, since)| now.duration_since(**since) >= QUARANTINE);
            overdue.map(|(name, _)| name.clone()).collect()
        };
        let mut lost = HashSet::new();
        for name in missing {
            if self.requests.get::<Node>(&ObjectKey::cluster(&name)).await?.is_none() {
                lost.insert(name);
            }
        }
        Ok(lost)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn only_pods_that_nobody_else_removes_are_removed() {
        let pod = |name: &str, node: Value, terminating: bool| {
            let deleted = terminating.then_some("2026-01-01T00:00:00Z");
            let pod = json!({"metadata": {"name": name, "deletionTimestamp": deleted}, "spec": {"nodeName": node, "containers": []}});
            Arc::new(serde_json::from_value::<Pod>(pod).unwrap())
        };
        let off = json!({"spec": {"taints": [{"key": OUT_OF_SERVICE, "effect": "NoExecute"}]}});
        let nodes = HashMap::from([("up", json!({})), ("off", off)]);
        let node =
            |name: &str| nodes.get(name).map(|node| Arc::new(serde_json::from_value::<Node>(node.clone()).unwrap()));
        let pods = [
            pod("running", json!("up"), false),
            pod("terminating", json!("up"), true),
            pod("orphan", json!("gone"), false),
            pod("new", json!(null), false),
            pod("never-ran", json!(null), true),
            pod("stranded", json!("off"), true),
            pod("not-deleted", json!("off"), false),
        ];
        let doomed = doomed(&pods, node, |name| name == "gone");
        let names: Vec<_> = doomed.iter().map(|(pod, _)| pod::name(pod)).collect();
        assert_eq!(names, ["orphan", "never-ran", "stranded"]);
    }
}
