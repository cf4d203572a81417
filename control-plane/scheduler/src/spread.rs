//! Topology spread constraints (KEP-895, KEP-3022, KEP-3094, KEP-3243).

use std::collections::{BTreeMap, HashMap};

use k8s_openapi::api::core::v1::PodSpec;
use sheave_api::selector::LabelSelector;

use crate::affinity::{own_labels, selector_of};
use crate::cluster::Cluster;
use crate::filter;
use crate::group::GroupId;
use crate::node::NodeState;
use crate::pod::PodRequirements;
use crate::score::MAXIMUM;
use crate::symbol::{Symbol, Symbols};

/// The label whose value is a node's own.
const HOST_LABEL: &str = "kubernetes.io/hostname";

/// One constraint of a pod.
#[derive(Clone, Debug)]
pub(crate) struct Spread {
    key: Symbol,
    max_skew: i64,
    min_domains: i64,
    /// `DoNotSchedule`; otherwise the constraint only counts for the score.
    pub(crate) hard: bool,
    selector: LabelSelector,
    honor_node_affinity: bool,
    honor_taints: bool,
    /// Over single nodes.
    is_over_hosts: bool,
    /// One of Kubernetes' defaults rather than of the pod's own.
    is_default: bool,
}

/// A constraint with what the cluster looks like now.
#[derive(Debug)]
pub(crate) struct SpreadState<'a> {
    cluster: &'a Cluster,
    constraint: &'a Spread,
    /// The groups whose pods are spread.
    groups: Vec<GroupId>,
    /// Matching pods by domain, where some nodes do not count; otherwise the groups know their domains themselves.
    counted: Option<HashMap<Symbol, i64>>,
    lowest: i64,
    /// Whether the pod itself is one of those that it spreads among.
    own: i64,
}

/// How uneven a node is allowed to make things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Fits,
    TooUneven,
    /// The node has no such label.
    NoDomain,
}

// === impl Spread ===

impl Spread {
    /// The pod's constraints; for a controlled pod without any, Kubernetes' soft defaults over hosts and zones, among
    /// pods with the same labels.
    pub(crate) fn compile(
        spec: &PodSpec,
        labels: &BTreeMap<String, String>,
        controlled: bool,
        symbols: &mut Symbols,
    ) -> Vec<Self> {
        let own = spec.topology_spread_constraints.as_deref().unwrap_or_default();
        if own.is_empty() {
            return if controlled && !labels.is_empty() { defaults(labels, symbols) } else { Vec::new() };
        }
        own.iter()
            .map(|constraint| {
                let keys = constraint.match_label_keys.clone().unwrap_or_default();
                Self {
                    key: symbols.intern(&constraint.topology_key),
                    max_skew: i64::from(constraint.max_skew),
                    min_domains: i64::from(constraint.min_domains.unwrap_or(1)),
                    hard: constraint.when_unsatisfiable != "ScheduleAnyway",
                    selector: selector_of(constraint.label_selector.as_ref(), own_labels(&keys, labels, "In")),
                    honor_node_affinity: constraint.node_affinity_policy.as_deref() != Some("Ignore"),
                    honor_taints: constraint.node_taints_policy.as_deref() == Some("Honor"),
                    is_over_hosts: constraint.topology_key == HOST_LABEL,
                    is_default: false,
                }
            })
            .collect()
    }

    /// The groups whose pods are spread: those of the namespace that the selector picks and that stay.
    fn groups(&self, cluster: &Cluster, namespace: &str) -> Vec<GroupId> {
        let groups = cluster.groups.in_namespace(namespace).filter(|(_, group)| {
            let labels = &group.signature.labels;
            !group.signature.terminating && self.selector.matches_with(|key| labels.get(key).map(String::as_str))
        });
        groups.map(|(id, _)| id).collect()
    }

    /// Whether the pods on some nodes do not count.
    fn leaves_nodes_out(&self, pod: &PodRequirements) -> bool {
        self.honor_taints || (self.honor_node_affinity && !(pod.node_selector.is_empty() && pod.node_terms.is_none()))
    }

    /// Whether a node's pods count.
    fn counts(&self, pod: &PodRequirements, node: &NodeState, symbols: &Symbols) -> bool {
        (!self.honor_node_affinity || filter::matches_node_affinity(pod, node, symbols))
            && (!self.honor_taints || filter::untolerated_taint(pod, node).is_none())
    }
}

/// Whether a node takes part: one that lacks the label of one of the pod's own constraints counts for none of them.
fn takes_part(constraints: &[&Spread], node: &NodeState) -> bool {
    constraints.iter().all(|constraint| constraint.is_default || node.label(constraint.key).is_some())
}

fn defaults(labels: &BTreeMap<String, String>, symbols: &mut Symbols) -> Vec<Spread> {
    let selector = LabelSelector::from_map(&serde_json::json!(labels));
    [(HOST_LABEL, 3), ("topology.kubernetes.io/zone", 5)]
        .map(|(key, max_skew)| Spread {
            key: symbols.intern(key),
            max_skew,
            min_domains: 1,
            hard: false,
            selector: selector.clone(),
            honor_node_affinity: true,
            honor_taints: false,
            is_over_hosts: key == HOST_LABEL,
            is_default: true,
        })
        .into()
}

// === impl SpreadState ===

impl<'a> SpreadState<'a> {
    /// Counts the pods that `constraints`, all hard or all soft, spread `pod` among.
    pub(crate) fn count_all(cluster: &'a Cluster, pod: &PodRequirements, constraints: &[&'a Spread]) -> Vec<Self> {
        constraints.iter().map(|constraint| Self::count(cluster, pod, constraint, constraints)).collect()
    }

    fn count(cluster: &'a Cluster, pod: &PodRequirements, constraint: &'a Spread, all: &[&'a Spread]) -> Self {
        let groups = constraint.groups(cluster, &pod.namespace);
        let own = constraint.selector.matches_with(|key| pod.signature.labels.get(key).map(String::as_str));
        let mut state = Self { cluster, constraint, groups, counted: None, lowest: 0, own: i64::from(own) };
        let leaves_out =
            |other: &&Spread| other.key != constraint.key && !other.is_default && !cluster.has_every_node(other.key);
        if constraint.leaves_nodes_out(pod) || all.iter().any(leaves_out) {
            state.counted = Some(state.count_by_node(pod, all));
        }
        // The score needs no minimum, and it is the costly part on a large cluster.
        if constraint.hard {
            state.lowest = state.lowest();
        }
        state
    }

    pub(crate) fn verdict(&self, node: &NodeState) -> Verdict {
        let Some(here) = self.crowd(node) else { return Verdict::NoDomain };
        if here + self.own - self.lowest > self.constraint.max_skew { Verdict::TooUneven } else { Verdict::Fits }
    }

    /// How many of the pods are where the node is; the fewer the better. None for a node without the label.
    fn crowd(&self, node: &NodeState) -> Option<i64> {
        Some(self.in_domain(node.label(self.constraint.key)?))
    }

    /// As [`SpreadState::crowd`]; over hosts, the node itself is asked.
    fn scored_crowd(&self, node: &NodeState) -> Option<i64> {
        if !self.constraint.is_over_hosts {
            return self.crowd(node);
        }
        node.label(self.constraint.key)?;
        Some(self.groups.iter().map(|group| i64::from(node.count(*group))).sum())
    }

    /// How many domains there are among `nodes`.
    fn domains_among(&self, nodes: &[&NodeState]) -> usize {
        if self.constraint.is_over_hosts {
            return nodes.len();
        }
        let mut domains = nodes.iter().filter_map(|node| node.label(self.constraint.key)).collect::<Vec<_>>();
        domains.sort_unstable();
        domains.dedup();
        domains.len()
    }

    fn in_domain(&self, domain: Symbol) -> i64 {
        if let Some(counted) = &self.counted {
            return counted.get(&domain).copied().unwrap_or(0);
        }
        let groups = self.groups.iter().filter_map(|id| self.cluster.groups.get(*id));
        groups.map(|group| i64::from(group.in_domain(self.constraint.key, domain))).sum()
    }

    fn count_by_node(&self, pod: &PodRequirements, all: &[&Spread]) -> HashMap<Symbol, i64> {
        let mut domains = HashMap::new();
        let counts =
            |node: &&NodeState| takes_part(all, node) && self.constraint.counts(pod, node, &self.cluster.symbols);
        for node in self.cluster.live_nodes().filter(counts) {
            if let Some(domain) = node.label(self.constraint.key) {
                let here = self.groups.iter().map(|group| i64::from(node.count(*group))).sum::<i64>();
                *domains.entry(domain).or_insert(0) += here;
            }
        }
        domains
    }

    /// The smallest number of pods in any domain; with fewer domains than asked for, one that is missing has none.
    fn lowest(&self) -> i64 {
        let domains = match &self.counted {
            Some(counted) => counted.values().copied().collect::<Vec<_>>(),
            None => self.cluster.domains(self.constraint.key).map(|domain| self.in_domain(domain)).collect(),
        };
        let enough = i64::try_from(domains.len()).unwrap_or(i64::MAX) >= self.constraint.min_domains;
        if enough { domains.into_iter().min().unwrap_or(0) } else { 0 }
    }
}

/// The score of each node under soft constraints, 0 to 100: the fewer pods are around it, the better. Topologies of
/// many domains weigh more, because their counts are smaller. A node that takes no part scores 0.
pub(crate) fn scores(states: &[SpreadState<'_>], nodes: &[&NodeState]) -> Vec<i64> {
    if states.is_empty() {
        return Vec::new();
    }
    let constraints = states.iter().map(|state| state.constraint).collect::<Vec<_>>();
    let part = nodes.iter().copied().filter(|node| takes_part(&constraints, node)).collect::<Vec<_>>();
    let weights = states.iter().map(|state| weight(state.domains_among(&part))).collect::<Vec<_>>();
    let raw = nodes.iter().map(|node| takes_part(&constraints, node).then(|| crowding(states, &weights, node)));
    let raw = raw.collect::<Vec<_>>();
    let highest = raw.iter().flatten().copied().max().unwrap_or(0);
    let lowest = raw.iter().flatten().copied().min().unwrap_or(0);
    let normalize = |raw: i64| if highest == 0 { MAXIMUM } else { MAXIMUM * (highest + lowest - raw) / highest };
    raw.into_iter().map(|raw| raw.map_or(0, normalize)).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a cluster has fewer than 2^52 domains")]
fn weight(domains: usize) -> f64 {
    ((domains + 2) as f64).ln()
}

#[expect(clippy::cast_precision_loss, reason = "a domain has fewer than 2^52 pods")]
#[expect(clippy::cast_possible_truncation, reason = "a saturated score is still the worst")]
fn crowding(states: &[SpreadState<'_>], weights: &[f64], node: &NodeState) -> i64 {
    let crowds = states.iter().zip(weights).filter_map(|(state, weight)| {
        let skew = state.constraint.max_skew - 1;
        Some(state.scored_crowd(node)? as f64 * weight + skew as f64)
    });
    crowds.sum::<f64>().round() as i64
}
