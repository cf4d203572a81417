//! What is on which node: the snapshot that decisions are made on, kept up to date event by event.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};

use crate::filter::Candidate;
use crate::group::{GroupId, Groups};
use crate::node::{NodeFacts, NodeIndex, NodeState};
use crate::pod::PodRequirements;
use crate::symbol::{Symbol, Symbols};

/// Nodes, the pods on them, and namespaces' labels.
///
/// A pod may stand here before the API says that it is bound: it is assumed, so that the next decision counts it.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    pub(crate) symbols: Symbols,
    pub(crate) groups: Groups,
    nodes: Vec<Option<NodeState>>,
    free: Vec<NodeIndex>,
    /// The nodes that there are, in no order; decisions walk it in a ring.
    live: Vec<NodeIndex>,
    by_name: HashMap<String, NodeIndex>,
    /// Pods by UID, with their node's name: a pod may be seen before its node.
    pods: HashMap<String, (Arc<PodRequirements>, String)>,
    /// UIDs of pods by the name of their node.
    on_node: HashMap<String, Vec<String>>,
    namespaces: HashMap<String, BTreeMap<String, String>>,
    /// How many nodes have each value of each label.
    domains: HashMap<Symbol, HashMap<Symbol, usize>>,
    /// How many nodes have each label.
    labelled: HashMap<Symbol, usize>,
    /// How many pods on nodes have each priority.
    priorities: BTreeMap<i32, usize>,
}

// === impl Cluster ===

impl Cluster {
    /// Reads a pod.
    pub fn compile(&mut self, pod: &Pod) -> PodRequirements {
        PodRequirements::compile(pod, &mut self.symbols)
    }

    /// Takes over a node; whether it is new or different in anything that a decision looks at. Nodes report
    /// themselves all the time, and almost always the same.
    pub fn set_node(&mut self, node: &Node) -> bool {
        let name = node.metadata.name.clone().unwrap_or_default();
        let facts = NodeFacts::read(node, &mut self.symbols);
        if self.by_name.get(&name).and_then(|index| self.node(*index)).is_some_and(|state| state.facts == facts) {
            return false;
        }
        // The pods are taken off and put back, because the groups count them under the node's labels.
        let pods = self.pods_on(&name);
        for pod in &pods {
            self.unplace(pod, &name);
        }
        let index = self.by_name.get(&name).copied().unwrap_or_else(|| self.new_node(&name));
        self.count_domains(index, false);
        if let Some(state) = &mut self.nodes[index.0 as usize] {
            state.name.clone_from(&name);
            state.facts = facts;
        }
        self.count_domains(index, true);
        for pod in &pods {
            self.place(pod, &name);
        }
        true
    }

    /// Forgets a node. Its pods are known further, in case it comes back.
    pub fn remove_node(&mut self, name: &str) {
        for pod in self.pods_on(name) {
            self.unplace(&pod, name);
        }
        if let Some(index) = self.by_name.remove(name) {
            self.count_domains(index, false);
            self.nodes[index.0 as usize] = None;
            self.live.retain(|other| *other != index);
            self.free.push(index);
        }
    }

    /// Takes over a namespace's labels.
    pub fn set_namespace(&mut self, name: &str, labels: BTreeMap<String, String>) {
        self.namespaces.insert(name.to_owned(), labels);
    }

    /// Forgets a namespace.
    pub fn remove_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
    }

    /// Puts a pod on a node, in place of what was known of it; whether that makes a difference to anybody.
    pub fn set_pod(&mut self, pod: Arc<PodRequirements>, node: &str) -> bool {
        if self.pods.get(&pod.uid).is_some_and(|(known, place)| place == node && known.takes_the_same(&pod)) {
            return false;
        }
        self.remove_pod(&pod.uid.clone());
        self.place(&pod, node);
        *self.priorities.entry(pod.priority).or_default() += 1;
        self.on_node.entry(node.to_owned()).or_default().push(pod.uid.clone());
        self.pods.insert(pod.uid.clone(), (pod, node.to_owned()));
        true
    }

    /// Takes a pod away; whether it was there.
    pub fn remove_pod(&mut self, uid: &str) -> bool {
        let Some((pod, node)) = self.pods.remove(uid) else { return false };
        if let Some(uids) = self.on_node.get_mut(&node) {
            uids.retain(|other| other != uid);
        }
        self.unplace(&pod, &node);
        if let Entry::Occupied(mut count) = self.priorities.entry(pod.priority) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        true
    }

    /// The node of a pod, if it has one.
    #[must_use]
    pub fn node_of(&self, uid: &str) -> Option<&str> {
        self.pods.get(uid).map(|(_, node)| node.as_str())
    }

    /// Whether a node would take a pod as far as the node itself goes: its labels, taints, ports and room.
    pub(crate) fn would_take(&self, node: &str, pod: &PodRequirements) -> bool {
        let node = self.by_name.get(node).and_then(|index| self.node(*index));
        node.is_some_and(|node| Candidate::alone(self, pod).check_alone(node, &mut Vec::new()))
    }

    /// How many nodes there are.
    #[must_use]
    pub fn node_count(&self) -> usize {
        self.live.len()
    }

    /// Whether a pod of lower priority runs anywhere: room that preemption could make.
    pub(crate) fn has_pod_below(&self, priority: i32) -> bool {
        self.priorities.first_key_value().is_some_and(|(lowest, _)| *lowest < priority)
    }

    /// The node at a place of the ring.
    pub(crate) fn live_node(&self, position: usize) -> Option<&NodeState> {
        self.node(*self.live.get(position)?)
    }

    pub(crate) fn live_nodes(&self) -> impl Iterator<Item = &NodeState> {
        self.live.iter().filter_map(|index| self.node(*index))
    }

    pub(crate) fn labels_of_namespace(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        self.namespaces.get(name)
    }

    /// The values that nodes have for a label.
    pub(crate) fn domains(&self, key: Symbol) -> impl Iterator<Item = Symbol> {
        self.domains.get(&key).into_iter().flat_map(|values| values.keys().copied())
    }

    /// Whether every node has a label.
    pub(crate) fn has_every_node(&self, key: Symbol) -> bool {
        self.labelled.get(&key).copied().unwrap_or(0) == self.live.len()
    }

    /// Counts the labels of a node in or out.
    fn count_domains(&mut self, index: NodeIndex, present: bool) {
        let Some(node) = &self.nodes[index.0 as usize] else { return };
        for (key, value) in node.labels() {
            let labelled = self.labelled.entry(*key).or_insert(0);
            *labelled = if present { *labelled + 1 } else { labelled.saturating_sub(1) };
            let values = self.domains.entry(*key).or_default();
            let count = values.entry(*value).or_insert(0);
            *count = if present { *count + 1 } else { count.saturating_sub(1) };
            if *count == 0 {
                values.remove(value);
            }
        }
    }

    fn node(&self, index: NodeIndex) -> Option<&NodeState> {
        self.nodes.get(index.0 as usize)?.as_ref()
    }

    fn new_node(&mut self, name: &str) -> NodeIndex {
        let index = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(None);
            NodeIndex(u32::try_from(self.nodes.len() - 1).unwrap_or(u32::MAX))
        });
        self.nodes[index.0 as usize] = Some(NodeState::default());
        self.live.push(index);
        self.by_name.insert(name.to_owned(), index);
        index
    }

    fn pods_on(&self, node: &str) -> Vec<Arc<PodRequirements>> {
        let uids = self.on_node.get(node).into_iter().flatten();
        uids.filter_map(|uid| Some(Arc::clone(&self.pods.get(uid)?.0))).collect()
    }

    /// Counts a pod on a node that is there.
    fn place(&mut self, pod: &PodRequirements, node: &str) {
        let Some(node) = self.by_name.get(node).and_then(|index| self.nodes[index.0 as usize].as_mut()) else { return };
        let group: GroupId = self.groups.add(&pod.signature, node);
        node.add_to_group(group);
        node.requested.add(&pod.resources.requests);
        node.scored_cpu += pod.resources.scored_cpu;
        node.scored_memory += pod.resources.scored_memory;
        node.ports.extend(pod.host_ports.iter().cloned());
    }

    fn unplace(&mut self, pod: &PodRequirements, node: &str) {
        let Some(node) = self.by_name.get(node).and_then(|index| self.nodes[index.0 as usize].as_mut()) else { return };
        if let Some(group) = self.groups.remove(&pod.signature, node) {
            node.remove_from_group(group);
        }
        node.requested.subtract(&pod.resources.requests);
        node.scored_cpu -= pod.resources.scored_cpu;
        node.scored_memory -= pod.resources.scored_memory;
        for port in &pod.host_ports {
            if let Some(index) = node.ports.iter().position(|other| other == port) {
                node.ports.swap_remove(index);
            }
        }
    }
}
