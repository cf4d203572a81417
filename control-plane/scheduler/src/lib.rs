//! The scheduler: which node a pod goes to.
//!
//! A decision is a pure function of a [`Cluster`] (what is on which node) and [`PodRequirements`] (what the pod asks
//! for): [`decide`] filters the nodes, scores those that are left, and names one, or counts the reasons why none will
//! do. Around it stands one loop ([`run`]) that watches nodes and pods, keeps the queue, and binds without waiting.
//!
//! The rules and their words are those of Kubernetes' default profile: NodeUnschedulable, NodeName, TaintToleration,
//! NodeAffinity, NodePorts, NodeResourcesFit (LeastAllocated), BalancedAllocation, PodTopologySpread and
//! InterPodAffinity. Preemption is not part of it.

mod affinity;
mod cluster;
mod decide;
mod filter;
mod group;
mod message;
mod node;
mod pod;
mod queue;
mod resources;
mod run;
mod score;
mod spread;
mod symbol;

pub use cluster::Cluster;
pub use decide::{Decision, Unschedulable, decide};
pub use filter::Reason;
pub use pod::PodRequirements;
pub use run::{Options, run};
