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
use crate::symbol::{Symbol, Symbols};

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

fn defaults(labels: &BTreeMap<String, String>, symbols: &mut Symbols) -> Vec<Spread> {
    let selector = LabelSelector::from_map(&serde_json::json!(labels));
    [("kubernetes.io/hostname", 3), ("topology.kubernetes.io/zone", 5)]
        .map(|(key, max_skew)| Spread {
            key: symbols.intern(key),
            max_skew,
            min_domains: 1,
            hard: false,
            selector: selector.clone(),
            honor_node_affinity: true,
            honor_taints: false,
        })
        .into()
}

// === impl SpreadState ===

impl<'a> SpreadState<'a> {
    /// Counts the pods that `constraint` spreads `pod` among.
    pub(crate) fn count(cluster: &'a Cluster, pod: &PodRequirements, constraint: &'a Spread) -> Self {
        let groups = constraint.groups(cluster, &pod.namespace);
        let own = constraint.selector.matches_with(|key| pod.signature.labels.get(key).map(String::as_str));
        let mut state = Self { cluster, constraint, groups, counted: None, lowest: 0, own: i64::from(own) };
        if constraint.leaves_nodes_out(pod) {
            state.counted = Some(state.count_by_node(pod));
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
    pub(crate) fn crowd(&self, node: &NodeState) -> Option<i64> {
        Some(self.in_domain(node.label(self.constraint.key)?))
    }

    fn in_domain(&self, domain: Symbol) -> i64 {
        if let Some(counted) = &self.counted {
            return counted.get(&domain).copied().unwrap_or(0);
        }
        let groups = self.groups.iter().filter_map(|id| self.cluster.groups.get(*id));
        groups.map(|group| i64::from(group.in_domain(self.constraint.key, domain))).sum()
    }

    fn count_by_node(&self, pod: &PodRequirements) -> HashMap<Symbol, i64> {
        let mut domains = HashMap::new();
        for node in self.cluster.live_nodes().filter(|node| self.constraint.counts(pod, node, &self.cluster.symbols)) {
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
