//! The message of a `FailedScheduling` event and of the `PodScheduled` condition, in Kubernetes' words.

use crate::decide::Unschedulable;

/// `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable. preemption: ...`
///
/// The part on preemption is what Kubernetes says when preemption finds nothing. Where pods of lower priority run, which
/// preemption could remove, it is left out: nobody has looked.
pub(crate) fn failed_scheduling(unschedulable: &Unschedulable) -> String {
    let nodes = unschedulable.nodes;
    if nodes == 0 {
        return "no nodes available to schedule pods".to_owned();
    }
    let counted = unschedulable.reasons.iter().map(|(reason, count)| (reason.to_string(), *count));
    let message = format!("0/{nodes} nodes are available: {}.", list(counted));
    match unschedulable.resolvable {
        Some(resolvable) => {
            format!("{message} preemption: 0/{nodes} nodes are available: {}.", preemption(nodes, resolvable))
        }
        None => message,
    }
}

fn preemption(nodes: usize, resolvable: usize) -> String {
    let parts = [
        ("No preemption victims found for incoming pod".to_owned(), resolvable),
        ("Preemption is not helpful for scheduling".to_owned(), nodes - resolvable.min(nodes)),
    ];
    list(parts.into_iter().filter(|(_, count)| *count > 0))
}

/// Counts and reasons, ordered as texts, as Kubernetes orders them; equal reasons are one.
fn list(counted: impl Iterator<Item = (String, usize)>) -> String {
    let mut sums = std::collections::BTreeMap::<String, usize>::new();
    for (reason, count) in counted {
        *sums.entry(reason).or_insert(0) += count;
    }
    let mut parts = sums.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect::<Vec<_>>();
    parts.sort();
    parts.join(", ")
}
