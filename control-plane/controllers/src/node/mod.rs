//! Nodes: whether they are alive, what happens to pods on those that are not, and which pod addresses each has.

pub(crate) mod cidrs;
mod eviction;
mod health;
pub(crate) mod lifecycle;
pub(crate) mod pod_garbage;
mod pod_ranges;
pub(crate) mod taint_eviction;
mod taints;
mod zones;

use k8s_openapi::api::core::v1::{Node, NodeCondition, Taint};

/// The condition of type `kind`.
fn condition<'a>(node: &'a Node, kind: &str) -> Option<&'a NodeCondition> {
    node.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

/// Whether the node's kubelet says that it is ready.
fn is_ready(node: &Node) -> bool {
    condition(node, "Ready").is_some_and(|condition| condition.status == "True")
}

/// The node's taints.
fn taints(node: &Node) -> &[Taint] {
    node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default()
}

fn name(node: &Node) -> &str {
    node.metadata.name.as_deref().unwrap_or_default()
}
