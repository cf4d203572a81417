//! Notices nodes that fall silent, tells everybody by conditions and taints, and takes their pods out of service.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use parking_lot::Mutex;
use serde_json::json;

use super::health::{Heard, unknown_conditions};
use super::taints::{is_newly_lost, wanted};
use super::zones::Gate;
use super::{is_ready, name, taints};
use crate::object::owner::is_deleted;
use crate::object::pod;
use crate::runtime::api::Requests;
use crate::runtime::cache::{Cache, Change, Index};
use crate::runtime::clock::Clock;
use crate::runtime::error::{Error, ignore_not_found};
use crate::runtime::key::ObjectKey;
use crate::runtime::manager::{Manager, Needs};
use crate::runtime::queue::WorkQueue;
use crate::runtime::recorder::{Recorder, Severity, reference};
use crate::runtime::worker::{Action, Reconciler};

/// Where the leases of nodes live.
const LEASE_NAMESPACE: &str = "kube-node-lease";
/// Who reports events about nodes, as users know it.
const COMPONENT: &str = "node-controller";
const WORKERS: usize = 4;

struct Controller {
    requests: Requests,
    clock: Clock,
    recorder: Recorder,
    nodes: Cache<Node>,
    leases: Cache<Lease>,
    pods: Cache<Pod>,
    /// How long a node may be silent.
    grace: SignedDuration,
    memory: Mutex<HashMap<String, Memory>>,
    gate: Mutex<Gate>,
}

/// What is remembered of a node between runs.
#[derive(Clone, Debug)]
struct Memory {
    heard: Heard,
    /// Whether its pods were taken out of service since it was last ready.
    pods_marked: bool,
}

/// Adds the controller; `grace` is `--node-monitor-grace-period`.
pub(crate) fn register(manager: &mut Manager, controller: &'static str, grace: Duration) {
    let (nodes, leases, pods) = (manager.cache::<Node>(), manager.cache::<Lease>(), manager.cache::<Pod>());
    let queue = manager.queue::<ObjectKey>(controller);
    nodes.on_change({
        let (nodes, queue) = (nodes.clone(), queue.clone());
        move |change| enqueue(change, &nodes, &queue)
    });
    leases.on_change({
        let queue = queue.clone();
        move |change| {
            let key = change.latest().map(ObjectKey::of).filter(|key| key.namespace == LEASE_NAMESPACE);
            key.into_iter().for_each(|key| queue.add(ObjectKey::cluster(key.name)));
        }
    });
    let reconciler = Controller {
        requests: manager.requests(),
        clock: manager.clock(),
        recorder: manager.recorder(COMPONENT),
        nodes: nodes.clone(),
        leases: leases.clone(),
        pods: pods.clone(),
        grace: SignedDuration::try_from(grace).unwrap_or(SignedDuration::MAX),
        memory: Mutex::default(),
        gate: Mutex::default(),
    };
    manager.run(controller, WORKERS, Needs::default().and(&nodes).and(&leases).and(&pods), queue, reconciler);
}

/// A node that becomes ready or ceases to be changes what is believed of the others.
fn enqueue(change: &Change<'_, Node>, nodes: &Cache<Node>, queue: &WorkQueue<ObjectKey>) {
    change.latest().into_iter().for_each(|node| queue.add(ObjectKey::of(node)));
    if change.differs(is_ready) {
        nodes.keys().into_iter().for_each(|key| queue.add(key));
    }
}

// === impl Controller ===

impl Reconciler for Controller {
    type Key = ObjectKey;

    async fn reconcile(&self, key: &ObjectKey) -> Result<Action, Error> {
        let Some(node) = self.nodes.get(key) else {
            self.memory.lock().remove(&key.name);
            return Ok(Action::await_change());
        };
        if is_deleted(&node.metadata) {
            return Ok(Action::await_change());
        }
        let deadline = self.listen(&node);
        let mut node = node.as_ref().clone();
        if deadline <= self.clock.now() {
            node = self.declare_lost(node).await?;
        }
        let retry = self.taint(&node).await?;
        self.mark_pods(&node).await?;
        let next = Some(deadline).filter(|deadline| *deadline > self.clock.now()).into_iter().chain(retry).min();
        Ok(Action::requeue_if(next.map(|at| self.clock.until(at))))
    }
}

impl Controller {
    /// Takes note of signs of life. Returns when the node counts as lost without another one.
    fn listen(&self, node: &Node) -> Timestamp {
        let lease = self.leases.get(&ObjectKey::new(LEASE_NAMESPACE, name(node)));
        let mut memory = self.memory.lock();
        let before = memory.get(name(node));
        if before.is_none() {
            self.tell(node, "RegisteredNode", &format!("Registered Node {} in Controller", name(node)));
        }
        let heard = Heard::update(before.map(|memory| &memory.heard), node, lease.as_deref(), self.clock.now());
        let deadline = heard.deadline(node, self.grace);
        let pods_marked = before.is_some_and(|memory| memory.pods_marked) && !is_ready(node);
        memory.insert(name(node).to_owned(), Memory { heard, pods_marked });
        deadline
    }

    async fn declare_lost(&self, node: Node) -> Result<Node, Error> {
        let conditions = unknown_conditions(&node, &self.clock.time());
        if conditions.is_empty() {
            return Ok(node);
        }
        let was_ready = is_ready(&node);
        let patch = json!({"metadata": {"uid": node.metadata.uid}, "status": {"conditions": conditions}});
        let node = self.requests.strategic_status(&ObjectKey::of(&node), patch).await?;
        if was_ready {
            self.tell(&node, "NodeNotReady", &format!("Node {} status is now: NodeNotReady", name(&node)));
        }
        Ok(node)
    }

    /// Brings the node's taints in line with its conditions. Returns when to try again if the node has to wait for
    /// its turn to be given up.
    async fn taint(&self, node: &Node) -> Result<Option<Timestamp>, Error> {
        let all = self.nodes.list();
        let everyone = all.iter().map(|other| if name(other) == name(node) { node } else { other.as_ref() });
        let newly = is_newly_lost(node);
        let (eviction, retry) = self.gate.lock().ask(node, everyone, newly, self.clock.now());
        let wanted = wanted(node, eviction, &self.clock.time());
        if wanted != taints(node) {
            let taints = if wanted.is_empty() { json!(null) } else { json!(wanted) };
            let patch =
                json!({"metadata": {"resourceVersion": node.metadata.resource_version}, "spec": {"taints": taints}});
            self.requests.merge::<Node>(&ObjectKey::of(node), patch).await?;
        }
        Ok(retry)
    }

    /// Takes the pods of a node that ceased to be ready out of service, once: a kubelet that still lives may then say
    /// otherwise.
    async fn mark_pods(&self, node: &Node) -> Result<(), Error> {
        let has_to = self.memory.lock().get(name(node)).is_some_and(|memory| !memory.pods_marked);
        // A node that never was ready has no pods in service.
        if !has_to || is_ready(node) || super::condition(node, "Ready").is_none() {
            return Ok(());
        }
        for pod in self.pods.find(&Index::Node(name(node).to_owned())) {
            if pod::is_ready(&pod) && !pod::is_finished(&pod) {
                self.mark_pod(&pod).await?;
            }
        }
        if let Some(memory) = self.memory.lock().get_mut(name(node)) {
            memory.pods_marked = true;
        }
        Ok(())
    }

    async fn mark_pod(&self, pod: &Pod) -> Result<(), Error> {
        let condition = json!({"type": "Ready", "status": "False", "lastTransitionTime": self.clock.time()});
        let patch = json!({"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [condition]}});
        match self.requests.strategic_status::<Pod>(&ObjectKey::of(pod), patch).await {
            // Another pod has its name by now.
            Err(error) if error.is_conflict() => return Ok(()),
            result => ignore_not_found(result)?,
        }
        self.recorder.warning(pod, "NodeNotReady", "Node is not ready");
        Ok(())
    }

    fn tell(&self, node: &Node, reason: &str, message: &str) {
        let message =
            if reason == "RegisteredNode" { format!("Node {} event: {message}", name(node)) } else { message.into() };
        self.recorder.report(reference(node), Severity::Normal, reason, message);
    }
}
