//! Removes pods from nodes with a `NoExecute` taint that they do not tolerate, or not for that long.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod, Taint, Toleration};
use parking_lot::Mutex;

use super::eviction::{Cause, evict};
use super::taints::NO_EXECUTE;
use super::{name, taints};
use crate::object::owner::is_deleted;
use crate::object::pod;
use crate::runtime::api::{Deletion, Requests};
use crate::runtime::cache::{Cache, Change, Index};
use crate::runtime::clock::Clock;
use crate::runtime::error::Error;
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::queue::WorkQueue;
use crate::runtime::recorder::Recorder;
use crate::runtime::worker::{Action, Reconciler};

const WORKERS: usize = 8;
const CAUSE: Cause =
    Cause { reason: "DeletionByTaintManager", message: "Taint manager: deleting due to NoExecute taint", fails: false };

/// Keys are pods.
struct Controller {
    requests: Requests,
    clock: Clock,
    recorder: Recorder,
    nodes: Cache<Node>,
    pods: Cache<Pod>,
    /// Since when a pod, by UID, is only tolerated for a time.
    since: Mutex<HashMap<String, Timestamp>>,
}

/// How long a pod may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stay {
    /// For ever.
    Unlimited,
    /// So long after the taint came.
    Limited(SignedDuration),
    /// Not at all.
    None,
}

/// Adds the controller.
pub(crate) fn register(manager: &mut Manager, controller: &'static str) {
    let (nodes, pods) = (manager.cache::<Node>(), manager.cache::<Pod>());
    let queue = manager.queue::<ObjectKey>(controller);
    pods.on_change({
        let queue = queue.clone();
        move |change| {
            if change.differs(|pod| (pod::node(pod), pod.spec.as_ref().and_then(|spec| spec.tolerations.as_ref()))) {
                change.latest().into_iter().for_each(|pod| queue.add(ObjectKey::of(pod)));
            }
        }
    });
    nodes.on_change({
        let (pods, queue) = (pods.clone(), queue.clone());
        move |change| enqueue_pods(change, &pods, &queue)
    });
    let reconciler = Controller {
        requests: manager.requests(),
        clock: manager.clock(),
        recorder: manager.recorder(controller),
        nodes: nodes.clone(),
        pods: pods.clone(),
        since: Mutex::default(),
    };
    manager.run(controller, WORKERS, Needs::default().and(&nodes).and(&pods), queue, reconciler);
}

fn enqueue_pods(change: &Change<'_, Node>, pods: &Cache<Pod>, queue: &WorkQueue<ObjectKey>) {
    if change.differs(|node| no_execute(node).cloned().collect::<Vec<_>>()) {
        let node = change.latest().map(|node| name(node).to_owned()).unwrap_or_default();
        pods.find(&Index::Node(node)).iter().for_each(|pod| queue.add(ObjectKey::of(pod.as_ref())));
    }
}

fn no_execute(node: &Node) -> impl Iterator<Item = &Taint> {
    taints(node).iter().filter(|taint| taint.effect == NO_EXECUTE)
}

fn stay(taints: &[&Taint], tolerations: &[Toleration]) -> Stay {
    let mut shortest = Stay::Unlimited;
    for taint in taints {
        let matching: Vec<_> = tolerations.iter().filter(|toleration| tolerates(toleration, taint)).collect();
        if matching.is_empty() {
            return Stay::None;
        }
        for seconds in matching.iter().filter_map(|toleration| toleration.toleration_seconds) {
            let limit = SignedDuration::from_secs(seconds.max(0));
            shortest = match shortest {
                Stay::Limited(known) => Stay::Limited(known.min(limit)),
                Stay::Unlimited | Stay::None => Stay::Limited(limit),
            };
        }
    }
    shortest
}

/// Whether the toleration covers the taint (`ToleratesTaint` upstream).
pub(crate) fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let empty_or =
        |field: &Option<String>, wanted: &str| field.as_deref().is_none_or(|text| text.is_empty() || text == wanted);
    if !empty_or(&toleration.effect, &taint.effect) || !empty_or(&toleration.key, &taint.key) {
        return false;
    }
    match toleration.operator.as_deref() {
        Some("Exists") => true,
        _ => toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default(),
    }
}

// === impl Controller ===

impl Reconciler for Controller {
    type Key = ObjectKey;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        let Some(pod) = self.pods.get(key).filter(|pod| !is_deleted(&pod.metadata)) else {
            return Ok(Action::await_change());
        };
        let node = pod::node(&pod).and_then(|node| self.nodes.get(&ObjectKey::cluster(node)));
        let taints: Vec<_> = node.iter().flat_map(|node| no_execute(node)).collect();
        let tolerations = pod.spec.as_ref().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        match stay(&taints, tolerations) {
            Stay::Unlimited => {
                if self.since.lock().remove(&uid).is_some() {
                    self.recorder.normal(
                        pod.as_ref(),
                        "TaintManagerEviction",
                        format!("Cancelling deletion of Pod {key}"),
                    );
                }
                Ok(Action::await_change())
            }
            Stay::Limited(limit) => {
                let since = *self.since.lock().entry(uid).or_insert_with(|| added(&taints).unwrap_or(self.clock.now()));
                let until = since.saturating_add(limit).unwrap_or(Timestamp::MAX);
                match self.clock.until(until) {
                    left if left.is_zero() => self.evict(key, &pod).await,
                    left => Ok(Action::requeue(left)),
                }
            }
            Stay::None => self.evict(key, &pod).await,
        }
    }
}

impl Controller {
    async fn evict(&self, key: &ObjectKey, pod: &Pod) -> Result<Action, Error> {
        self.recorder.normal(pod, "TaintManagerEviction", format!("Marking for deletion Pod {key}"));
        evict(&self.requests, &self.clock, pod, &CAUSE, &Deletion::of(pod)).await?;
        self.since.lock().remove(pod.metadata.uid.as_deref().unwrap_or_default());
        Ok(Action::await_change())
    }
}

/// When the first of the taints came: a restart of this process does not start the time anew.
fn added(taints: &[&Taint]) -> Option<Timestamp> {
    taints.iter().filter_map(|taint| taint.time_added.as_ref()).map(|time| time.0).min()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_pod_stays_as_long_as_its_shortest_toleration_says() {
        let toleration = |seconds: Option<i64>| json!({"key": "bad", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds});
        let secs = SignedDuration::from_secs;
        for (what, tolerations, expected) in [
            ("none", json!([]), Stay::None),
            ("for ever", json!([toleration(None)]), Stay::Unlimited),
            ("for a time", json!([toleration(Some(300))]), Stay::Limited(secs(300))),
            ("the shorter of two", json!([toleration(Some(300)), toleration(Some(5))]), Stay::Limited(secs(5))),
            ("a negative time is none", json!([toleration(Some(-5))]), Stay::Limited(secs(0))),
            ("everything", json!([{"operator": "Exists"}]), Stay::Unlimited),
            ("another value", json!([{"key": "bad", "value": "other"}]), Stay::None),
            ("the value", json!([{"key": "bad", "value": "very"}]), Stay::Unlimited),
            ("another effect", json!([{"key": "bad", "operator": "Exists", "effect": "NoSchedule"}]), Stay::None),
        ] {
            let taint: Taint =
                serde_json::from_value(json!({"key": "bad", "value": "very", "effect": "NoExecute"})).unwrap();
            let tolerations: Vec<Toleration> = serde_json::from_value::<Vec<Value>>(tolerations)
                .unwrap()
                .into_iter()
                .map(|toleration| serde_json::from_value(toleration).unwrap())
                .collect();
            assert_eq!(stay(&[&taint], &tolerations), expected, "{what}");
        }
        assert_eq!(stay(&[], &[]), Stay::Unlimited);
    }
}
