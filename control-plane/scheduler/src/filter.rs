//! Which nodes a pod can go to, and why not to the others.

use std::fmt;

use crate::affinity::PodTerm;
use crate::cluster::Cluster;
use crate::group::{Group, GroupId};
use crate::node::{Effect, NodeState, Taint};
use crate::pod::PodRequirements;
use crate::spread::{SpreadState, Verdict};
use crate::symbol::{Symbol, Symbols};

/// Why a node will not do, in Kubernetes' words (its `Display`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The node is cordoned.
    Unschedulable,
    /// `spec.nodeName` or the like names another.
    NodeName,
    /// A taint with this key and value.
    Taint(String, String),
    /// Node selector or required node affinity.
    NodeAffinity,
    /// A host port is taken.
    Ports,
    /// The node runs as many pods as it may.
    TooManyPods,
    /// Too little of this resource is left.
    Insufficient(String),
    /// Too little of this resource even on an empty node.
    NeverSufficient(String),
    /// A required spread would become too uneven.
    Spread,
    /// The node has not the label that a required spread is over.
    SpreadLabel,
    /// No pod that the pod must be near is near.
    Affinity,
    /// A pod that the pod must not be near is near.
    AntiAffinity,
    /// A pod is near that must not have this one near.
    OthersAntiAffinity,
}

/// A pod with everything about the cluster that is the same for every node.
#[derive(Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) pod: &'a PodRequirements,
    hard_spread: Vec<SpreadState<'a>>,
    /// Constraints that only count for the score.
    pub(crate) soft_spread: Vec<SpreadState<'a>>,
    required: Required<'a>,
    forbidden: Vec<Matched<'a>>,
    /// Topologies in which other pods do not want this one near.
    unwelcome: Vec<(Symbol, GroupId)>,
}

/// A term with the groups whose pods it means.
#[derive(Debug)]
pub(crate) struct Matched<'a> {
    term: &'a PodTerm,
    groups: Vec<GroupId>,
}

/// Required terms of pod affinity. A pod counts for any of them only if all of them mean it.
#[derive(Debug)]
struct Required<'a> {
    terms: Vec<Matched<'a>>,
    /// Nobody is meant in any topology, and the pod means itself: the first of a series may begin anywhere.
    is_first: bool,
}

// === impl Reason ===

impl Reason {
    /// Whether removing other pods could help.
    #[must_use]
    pub fn is_resolvable(&self) -> bool {
        match self {
            Self::Ports
            | Self::TooManyPods
            | Self::Insufficient(_)
            | Self::Spread
            | Self::AntiAffinity
            | Self::OthersAntiAffinity => true,
            Self::Unschedulable
            | Self::NodeName
            | Self::Taint(..)
            | Self::NodeAffinity
            | Self::NeverSufficient(_)
            | Self::SpreadLabel
            | Self::Affinity => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fixed = match self {
            Self::Taint(key, value) => return write!(f, "node(s) had untolerated taint {{{key}: {value}}}"),
            Self::Insufficient(resource) | Self::NeverSufficient(resource) => {
                return write!(f, "Insufficient {resource}");
            }
            Self::Unschedulable => "node(s) were unschedulable",
            Self::NodeName => "node(s) didn't match the requested node name",
            Self::NodeAffinity => "node(s) didn't match Pod's node affinity/selector",
            Self::Ports => "node(s) didn't have free ports for the requested pod ports",
            Self::TooManyPods => "Too many pods",
            Self::Spread => "node(s) didn't match pod topology spread constraints",
            Self::SpreadLabel => "node(s) didn't match pod topology spread constraints (missing required label)",
            Self::Affinity => "node(s) didn't match pod affinity rules",
            Self::AntiAffinity => "node(s) didn't match pod anti-affinity rules",
            Self::OthersAntiAffinity => "node(s) didn't satisfy existing pods anti-affinity rules",
        };
        f.write_str(fixed)
    }
}

// === impl Candidate ===

impl<'a> Candidate<'a> {
    /// Looks at the cluster as far as the pod's terms ask for it.
    pub(crate) fn new(cluster: &'a Cluster, pod: &'a PodRequirements) -> Self {
        let (hard, soft) = pod.spread.iter().partition::<Vec<_>, _>(|constraint| constraint.hard);
        let terms = &pod.signature.terms;
        let matched = |term: &'a PodTerm| Matched::find(cluster, term);
        Self {
            cluster,
            pod,
            hard_spread: SpreadState::count_all(cluster, pod, &hard),
            soft_spread: SpreadState::count_all(cluster, pod, &soft),
            required: Required::find(cluster, pod),
            forbidden: terms.forbidden.iter().map(matched).collect(),
            unwelcome: unwelcome(cluster, pod),
        }
    }

    /// Without a look at other pods: for [`Self::check_alone`].
    pub(crate) fn alone(cluster: &'a Cluster, pod: &'a PodRequirements) -> Self {
        let required = Required { terms: Vec::new(), is_first: false };
        let (hard_spread, soft_spread) = (Vec::new(), Vec::new());
        Self { cluster, pod, hard_spread, soft_spread, required, forbidden: Vec::new(), unwelcome: Vec::new() }
    }

    /// Every filter in Kubernetes' order. The first that refuses tells its reasons; several only for resources.
    pub(crate) fn check(&self, node: &NodeState, reasons: &mut Vec<Reason>) -> bool {
        if !self.check_alone(node, reasons) {
            return false;
        }
        let refused = self.check_spread(node).or_else(|| self.check_pods(node));
        let fits = refused.is_none();
        reasons.extend(refused);
        fits
    }

    /// The filters that look at the node alone.
    pub(crate) fn check_alone(&self, node: &NodeState, reasons: &mut Vec<Reason>) -> bool {
        if let Some(reason) = self.check_node(node).or_else(|| self.check_ports(node)) {
            reasons.push(reason);
            return false;
        }
        let before = reasons.len();
        self.check_resources(node, reasons);
        reasons.len() == before
    }

    fn check_node(&self, node: &NodeState) -> Option<Reason> {
        if node.facts.unschedulable && !self.pod.tolerates(&cordoned()) {
            return Some(Reason::Unschedulable);
        }
        if let Some(taint) = untolerated_taint(self.pod, node) {
            return Some(Reason::Taint(taint.key.clone(), taint.value.clone()));
        }
        (!matches_node_affinity(self.pod, node, &self.cluster.symbols)).then_some(Reason::NodeAffinity)
    }

    fn check_ports(&self, node: &NodeState) -> Option<Reason> {
        let collides = |port| node.ports.iter().any(|taken| taken.collides(port));
        self.pod.host_ports.iter().any(collides).then_some(Reason::Ports)
    }

    fn check_resources(&self, node: &NodeState, reasons: &mut Vec<Reason>) {
        let (asked, has, used) = (&self.pod.resources.requests, &node.facts.allocatable, &node.requested);
        if used.pods + 1 > has.pods {
            reasons.push(Reason::TooManyPods);
        }
        let mut check = |name: &str, asked: i64, has: i64, used: i64| {
            if asked > 0 && asked > has {
                reasons.push(Reason::NeverSufficient(name.to_owned()));
            } else if asked > 0 && asked > has - used {
                reasons.push(Reason::Insufficient(name.to_owned()));
            }
        };
        check("cpu", asked.cpu, has.cpu, used.cpu);
        check("memory", asked.memory, has.memory, used.memory);
        check("ephemeral-storage", asked.ephemeral_storage, has.ephemeral_storage, used.ephemeral_storage);
        for (resource, amount) in &asked.extended {
            let name = self.cluster.symbols.text(*resource);
            check(name, *amount, has.extended(*resource), used.extended(*resource));
        }
    }

    fn check_spread(&self, node: &NodeState) -> Option<Reason> {
        self.hard_spread.iter().find_map(|state| match state.verdict(node) {
            Verdict::Fits => None,
            Verdict::TooUneven => Some(Reason::Spread),
            Verdict::NoDomain => Some(Reason::SpreadLabel),
        })
    }

    fn check_pods(&self, node: &NodeState) -> Option<Reason> {
        let near = |(key, group): &(Symbol, GroupId)| {
            node.label(*key)
                .is_some_and(|value| self.group(*group).is_some_and(|group| group.in_domain(*key, value) > 0))
        };
        if !self.required.holds(self.cluster, node) {
            return Some(Reason::Affinity);
        }
        if self.forbidden.iter().any(|term| term.count_near(self.cluster, node) > 0) {
            return Some(Reason::AntiAffinity);
        }
        self.unwelcome.iter().any(near).then_some(Reason::OthersAntiAffinity)
    }

    fn group(&self, id: GroupId) -> Option<&Group> {
        self.cluster.groups.get(id)
    }
}

/// The groups with a pod that does not want `pod` near, and in which topology.
fn unwelcome(cluster: &Cluster, pod: &PodRequirements) -> Vec<(Symbol, GroupId)> {
    let identity = pod.identity(cluster.labels_of_namespace(&pod.namespace));
    let terms = cluster
        .groups
        .with_terms()
        .flat_map(|(id, group)| group.signature.terms.forbidden.iter().map(move |term| (id, term)));
    terms.filter(|(_, term)| term.matches(identity)).map(|(id, term)| (term.topology_key, id)).collect()
}

/// The first taint that keeps pods away and that the pod does not bear.
pub(crate) fn untolerated_taint<'a>(pod: &PodRequirements, node: &'a NodeState) -> Option<&'a Taint> {
    node.facts.taints.iter().find(|taint| taint.effect != Effect::PreferNoSchedule && !pod.tolerates(taint))
}

/// Node selector and required node affinity.
pub(crate) fn matches_node_affinity(pod: &PodRequirements, node: &NodeState, symbols: &Symbols) -> bool {
    pod.node_selector.iter().all(|(key, value)| node.label(*key) == Some(*value))
        && pod.node_terms.as_ref().is_none_or(|terms| terms.iter().any(|term| term.matches(node, symbols)))
}

fn cordoned() -> Taint {
    let key = "node.kubernetes.io/unschedulable".to_owned();
    Taint { key, value: String::new(), effect: Effect::NoSchedule }
}

// === impl Matched ===

impl<'a> Matched<'a> {
    pub(crate) fn find(cluster: &Cluster, term: &'a PodTerm) -> Self {
        let means =
            |group: &Group| term.matches(group.identity(cluster.labels_of_namespace(&group.signature.namespace)));
        let groups = match term.only_namespaces() {
            Some(names) => {
                let groups = names.iter().flat_map(|name| cluster.groups.in_namespace(name));
                groups.filter(|(_, group)| means(group)).map(|(id, _)| id).collect()
            }
            None => cluster.groups.iter().filter(|(_, group)| means(group)).map(|(id, _)| id).collect(),
        };
        Self { term, groups }
    }

    /// How many of the pods share the node's domain.
    pub(crate) fn count_near(&self, cluster: &Cluster, node: &NodeState) -> i64 {
        let key = self.term.topology_key;
        let Some(value) = node.label(key) else { return 0 };
        let groups = self.groups.iter().filter_map(|id| cluster.groups.get(*id));
        groups.map(|group| i64::from(group.in_domain(key, value))).sum()
    }
}

// === impl Required ===

impl<'a> Required<'a> {
    fn find(cluster: &Cluster, pod: &'a PodRequirements) -> Self {
        let terms = pod.signature.terms.required.as_slice();
        let mut matched = terms.iter().map(|term| Matched::find(cluster, term)).collect::<Vec<_>>();
        if let [first, others @ ..] = matched.as_slice() {
            let mut by_all = first.groups.clone();
            by_all.retain(|id| others.iter().all(|other| other.groups.contains(id)));
            matched.iter_mut().for_each(|term| term.groups.clone_from(&by_all));
        }
        let identity = pod.identity(cluster.labels_of_namespace(&pod.namespace));
        let is_first = terms.iter().all(|term| term.matches(identity))
            && matched.iter().all(|matched| {
                let groups = matched.groups.iter().filter_map(|id| cluster.groups.get(*id));
                groups.into_iter().all(|group| !group.is_anywhere(matched.term.topology_key))
            });
        Self { terms: matched, is_first }
    }

    fn holds(&self, cluster: &Cluster, node: &NodeState) -> bool {
        let has_label = |matched: &Matched<'_>| node.label(matched.term.topology_key).is_some();
        let is_near = |matched: &Matched<'_>| matched.count_near(cluster, node) > 0;
        self.terms.iter().all(has_label) && (self.is_first || self.terms.iter().all(is_near))
    }
}
