//! Which of the nodes that will do is best: each rule gives 0 to 100, weighted as in Kubernetes' default profile.

use crate::filter::{Candidate, Matched};
use crate::node::{Effect, NodeState};
use crate::spread;

/// The best score of one rule.
pub(crate) const MAXIMUM: i64 = 100;

/// The total of each node, in the order of `nodes`.
pub(crate) fn scores(candidate: &Candidate<'_>, nodes: &[&NodeState]) -> Vec<i64> {
    let mut totals =
        nodes.iter().map(|node| least_allocated(candidate, node) + balanced(candidate, node)).collect::<Vec<_>>();
    let pod = candidate.pod;
    if !pod.preferred_nodes.is_empty() {
        let raw = |node: &NodeState| {
            let terms = pod.preferred_nodes.iter().filter(|(_, term)| term.matches(node, &candidate.cluster.symbols));
            terms.map(|(weight, _)| weight).sum()
        };
        add(&mut totals, nodes, 2, raw, higher_is_better);
    }
    if nodes.iter().any(|node| !node.facts.taints.is_empty()) {
        add(&mut totals, nodes, 3, |node| avoided_taints(candidate, node), lower_is_better);
    }
    for (total, score) in totals.iter_mut().zip(spread::scores(&candidate.soft_spread, nodes)) {
        *total += 2 * score;
    }
    add_preferred_pods(&mut totals, nodes, candidate);
    totals
}

/// How much is free once the pod is there: the mean over CPU and memory.
fn least_allocated(candidate: &Candidate<'_>, node: &NodeState) -> i64 {
    let pod = &candidate.pod.resources;
    let free = |has: i64, used: i64| if has <= 0 || used > has { 0 } else { (has - used) * MAXIMUM / has };
    let cpu = free(node.facts.allocatable.cpu, node.scored_cpu + pod.scored_cpu);
    let memory = free(node.facts.allocatable.memory >> 10, (node.scored_memory + pod.scored_memory) >> 10);
    i64::midpoint(cpu, memory)
}

/// How alike the used parts of CPU and memory are.
fn balanced(candidate: &Candidate<'_>, node: &NodeState) -> i64 {
    let asked = &candidate.pod.resources.requests;
    // Thousandths, so that the deviation is an integer.
    let part = |has: i64, used: i64| if has <= 0 { 1000 } else { (used.saturating_mul(1000) / has).min(1000) };
    let cpu = part(node.facts.allocatable.cpu, node.requested.cpu + asked.cpu);
    let memory = part(node.facts.allocatable.memory, node.requested.memory.saturating_add(asked.memory));
    // The standard deviation of two values is half their difference.
    MAXIMUM - (cpu - memory).abs() / 20
}

fn avoided_taints(candidate: &Candidate<'_>, node: &NodeState) -> i64 {
    let avoided = node.facts.taints.iter().filter(|taint| taint.effect == Effect::PreferNoSchedule);
    i64::try_from(avoided.filter(|taint| !candidate.pod.tolerates(taint)).count()).unwrap_or(i64::MAX)
}

/// Preferred terms of the pod itself, and those of the pods that are there already.
fn add_preferred_pods(totals: &mut [i64], nodes: &[&NodeState], candidate: &Candidate<'_>) {
    let (cluster, pod) = (candidate.cluster, candidate.pod);
    let own = pod.signature.terms.preferred.iter();
    let own = own.map(|(weight, term)| (*weight, Matched::find(cluster, term))).collect::<Vec<_>>();
    let identity = pod.identity(cluster.labels_of_namespace(&pod.namespace));
    let others = cluster.groups.with_terms().flat_map(|(id, group)| {
        let terms = &group.signature.terms;
        // A pod that must be near this one is glad of it: Kubernetes counts that with weight 1.
        let required = terms.required.iter().map(|term| (1, term));
        let preferred = terms.preferred.iter().map(|(weight, term)| (*weight, term));
        required.chain(preferred).map(move |(weight, term)| (id, weight, term))
    });
    let others = others.filter(|(_, _, term)| term.matches(identity)).collect::<Vec<_>>();
    if own.is_empty() && others.is_empty() {
        return;
    }
    let raw = |node: &NodeState| {
        let own = own.iter().map(|(weight, term)| weight * term.count_near(cluster, node)).sum::<i64>();
        let others = others.iter().filter_map(|(id, weight, term)| {
            let value = node.label(term.topology_key)?;
            Some(weight * i64::from(cluster.groups.get(*id)?.in_domain(term.topology_key, value)))
        });
        own + others.sum::<i64>()
    };
    add(totals, nodes, 2, raw, between_extremes);
}

/// Adds one rule: raw values, brought to 0 to 100 by `normalize`, times `weight`.
fn add(
    totals: &mut [i64],
    nodes: &[&NodeState],
    weight: i64,
    raw: impl Fn(&NodeState) -> i64,
    normalize: fn(i64, i64, i64) -> i64,
) {
    let values = nodes.iter().map(|node| raw(node)).collect::<Vec<_>>();
    let lowest = values.iter().copied().min().unwrap_or(0);
    let highest = values.iter().copied().max().unwrap_or(0);
    for (total, value) in totals.iter_mut().zip(values) {
        *total += weight * normalize(value, lowest, highest);
    }
}

fn higher_is_better(value: i64, _lowest: i64, highest: i64) -> i64 {
    if highest <= 0 { 0 } else { value * MAXIMUM / highest }
}

fn lower_is_better(value: i64, _lowest: i64, highest: i64) -> i64 {
    MAXIMUM - higher_is_better(value, 0, highest)
}

fn between_extremes(value: i64, lowest: i64, highest: i64) -> i64 {
    if highest == lowest { 0 } else { (value - lowest) * MAXIMUM / (highest - lowest) }
}
