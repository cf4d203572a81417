//! One decision: filter, score, pick.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::filter::{Candidate, Reason};
use crate::node::NodeState;
use crate::pod::PodRequirements;
use crate::{message, score};

/// So many nodes that will do are enough, at least.
const ENOUGH: usize = 100;

/// The outcome of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The pod goes to this node.
    Node(String),
    /// It goes nowhere now.
    Unschedulable(Unschedulable),
}

/// Why a pod goes nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unschedulable {
    /// How many nodes there are.
    pub nodes: usize,
    /// How many nodes each reason rules out.
    pub reasons: BTreeMap<Reason, usize>,
    /// How many nodes could be made to do by removing pods of lower priority; none when there are no such pods.
    pub(crate) resolvable: Option<usize>,
}

/// Decides where `pod` goes. `start` is where in the ring of nodes to begin; it is moved on, so that large clusters are
/// looked at part by part and equal nodes take turns.
///
/// Of a large cluster only so many nodes are scored as Kubernetes does: half of 100 nodes, down to 5 % of 5,625 and more, but never
/// fewer than 100 that will do.
pub fn decide(cluster: &Cluster, pod: &PodRequirements, start: &mut usize) -> Decision {
    let nodes = cluster.node_count();
    let candidate = Candidate::new(cluster, pod);
    let (mut fitting, mut reasons, mut refused) = (Vec::new(), BTreeMap::new(), Vec::new());
    let (mut looked_at, mut resolvable) = (0, 0);
    let enough = enough(nodes);
    while looked_at < nodes && fitting.len() < enough {
        let Some(node) = cluster.live_node((*start + looked_at) % nodes) else { break };
        looked_at += 1;
        refused.clear();
        if candidate.check(node, &mut refused) {
            fitting.push(node);
        } else {
            resolvable += usize::from(refused.iter().all(Reason::is_resolvable));
            for reason in refused.drain(..) {
                *reasons.entry(reason).or_insert(0) += 1;
            }
        }
    }
    if nodes > 0 {
        *start = (*start + looked_at.max(1)) % nodes;
    }
    match best(&candidate, &fitting) {
        Some(node) => Decision::Node(node.name.clone()),
        None => {
            let resolvable = (!cluster.has_pod_below(pod.priority)).then_some(resolvable);
            Decision::Unschedulable(Unschedulable { nodes, reasons, resolvable })
        }
    }
}

/// The node with the highest score; the first in the ring among equals.
fn best<'a>(candidate: &Candidate<'_>, fitting: &[&'a NodeState]) -> Option<&'a NodeState> {
    if let [only] = fitting {
        return Some(only);
    }
    let scores = score::scores(candidate, fitting);
    let highest = scores.iter().max()?;
    let index = scores.iter().position(|score| score == highest)?;
    fitting.get(index).copied()
}

/// How many nodes that will do are enough in a cluster of so many.
fn enough(nodes: usize) -> usize {
    let percentage = 50usize.saturating_sub(nodes / 125).max(5);
    (nodes * percentage / 100).max(ENOUGH)
}

impl std::fmt::Display for Unschedulable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&message::failed_scheduling(self))
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
