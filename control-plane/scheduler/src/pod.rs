//! What a pod asks of a node, compiled once when the pod is seen.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::core::v1::{Pod, PodSpec};

use crate::affinity::{NodeTerm, PodIdentity, PodTerm};
use crate::group::Signature;
use crate::node::{Effect, Taint};
use crate::resources::PodResources;
use crate::spread::Spread;
use crate::symbol::{Symbol, Symbols};

/// A pod as the scheduler sees it.
#[derive(Clone, Debug)]
pub struct PodRequirements {
    pub(crate) uid: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) priority: i32,
    /// The node that it is bound to.
    pub(crate) node_name: Option<String>,
    pub(crate) scheduler_name: String,
    /// Scheduling gates are still closed.
    pub(crate) gated: bool,
    /// Ended: it takes no room.
    pub(crate) ended: bool,
    pub(crate) resources: PodResources,
    pub(crate) node_selector: Vec<(Symbol, Symbol)>,
    /// Any of these terms; none means that every node will do.
    pub(crate) node_terms: Option<Vec<NodeTerm>>,
    pub(crate) preferred_nodes: Vec<(i64, NodeTerm)>,
    pub(crate) tolerations: Vec<Toleration>,
    pub(crate) host_ports: Vec<HostPort>,
    pub(crate) spread: Vec<Spread>,
    /// Which pods it is like, with its terms over other pods.
    pub(crate) signature: Arc<Signature>,
}

/// A port of the node that a pod takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPort {
    /// Empty for every address.
    address: String,
    protocol: String,
    port: i32,
}

/// What taints a pod bears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Toleration {
    /// None: every key.
    key: Option<String>,
    /// None: every value.
    value: Option<String>,
    /// None: every effect.
    effect: Option<Effect>,
}

/// Terms over other pods.
#[derive(Clone, Debug, Default)]
pub(crate) struct PodTerms {
    pub(crate) required: Vec<PodTerm>,
    pub(crate) forbidden: Vec<PodTerm>,
    /// Weights are negative for what is better avoided.
    pub(crate) preferred: Vec<(i64, PodTerm)>,
}

// === impl PodRequirements ===

impl PodRequirements {
    /// Reads a pod. What is malformed counts as not there: the API server has refused it before.
    pub(crate) fn compile(pod: &Pod, symbols: &mut Symbols) -> Self {
        let metadata = &pod.metadata;
        let spec = pod.spec.clone().unwrap_or_default();
        let namespace = metadata.namespace.clone().unwrap_or_default();
        let labels = metadata.labels.clone().unwrap_or_default();
        let affinity = spec.affinity.clone().unwrap_or_default();
        let terms = PodTerms::compile(&affinity, &namespace, &labels, symbols);
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let owned = metadata.owner_references.iter().flatten().any(|owner| owner.controller == Some(true));
        let spread = Spread::compile(&spec, &labels, owned, symbols);
        let (node_terms, preferred_nodes) = node_affinity(&affinity, symbols);
        let selector = spec.node_selector.iter().flatten();
        Self {
            uid: metadata.uid.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            priority: spec.priority.unwrap_or(0),
            node_name: spec.node_name.clone().filter(|name| !name.is_empty()),
            scheduler_name: spec.scheduler_name.clone().unwrap_or_default(),
            gated: spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()),
            ended: matches!(phase, Some("Succeeded" | "Failed")),
            resources: PodResources::of(pod, symbols),
            node_selector: selector.map(|(key, value)| (symbols.intern(key), symbols.intern(value))).collect(),
            node_terms,
            preferred_nodes,
            tolerations: spec.tolerations.iter().flatten().filter_map(Toleration::compile).collect(),
            host_ports: host_ports(&spec),
            spread,
            signature: Arc::new(Signature::new(
                &namespace,
                labels,
                &affinity,
                metadata.deletion_timestamp.is_some(),
                terms,
            )),
            namespace,
        }
    }

    /// The pod as terms of other pods see it.
    pub(crate) fn identity<'a>(&'a self, namespace_labels: Option<&'a BTreeMap<String, String>>) -> PodIdentity<'a> {
        PodIdentity { namespace: &self.namespace, namespace_labels, labels: &self.signature.labels }
    }

    /// Whether it bears `taint`.
    pub(crate) fn tolerates(&self, taint: &Taint) -> bool {
        self.tolerations.iter().any(|toleration| toleration.covers(taint))
    }

    /// Whether what the API lets a pending pod change is the same: labels, tolerations, the node selector.
    pub(crate) fn asks_the_same(&self, other: &Self) -> bool {
        self.signature == other.signature
            && self.tolerations == other.tolerations
            && self.node_selector == other.node_selector
    }

    /// Whether on a node it is to others as `other` is: the status of a running pod changes often, this does not.
    pub(crate) fn takes_the_same(&self, other: &Self) -> bool {
        self.signature == other.signature
            && self.resources == other.resources
            && self.host_ports == other.host_ports
            && self.priority == other.priority
    }

    /// Namespace and name, as in messages.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

fn node_affinity(affinity: &core::Affinity, symbols: &mut Symbols) -> (Option<Vec<NodeTerm>>, Vec<(i64, NodeTerm)>) {
    let Some(affinity) = &affinity.node_affinity else { return (None, Vec::new()) };
    let required = affinity.required_during_scheduling_ignored_during_execution.as_ref();
    let mut compile = |term: &core::NodeSelectorTerm| NodeTerm::compile(term, symbols);
    let required = required.map(|selector| selector.node_selector_terms.iter().map(&mut compile).collect());
    let preferred = affinity.preferred_during_scheduling_ignored_during_execution.iter().flatten();
    (required, preferred.map(|term| (i64::from(term.weight), compile(&term.preference))).collect())
}

fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    ports
        .filter_map(|port| {
            let address = port.host_ip.clone().filter(|address| address != "0.0.0.0" && address != "::");
            Some(HostPort {
                port: port.host_port.filter(|port| *port > 0)?,
                address: address.unwrap_or_default(),
                protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
            })
        })
        .collect()
}

// === impl HostPort ===

impl HostPort {
    /// Whether two pods with these ports cannot share a node.
    pub(crate) fn collides(&self, other: &Self) -> bool {
        let every = self.address.is_empty() || other.address.is_empty();
        self.port == other.port && self.protocol == other.protocol && (every || self.address == other.address)
    }
}

// === impl Toleration ===

impl Toleration {
    fn compile(toleration: &core::Toleration) -> Option<Self> {
        let effect = match toleration.effect.as_deref() {
            None | Some("") => None,
            Some("NoSchedule") => Some(Effect::NoSchedule),
            Some("PreferNoSchedule") => Some(Effect::PreferNoSchedule),
            Some("NoExecute") => Some(Effect::NoExecute),
            Some(_) => return None,
        };
        let exists = toleration.operator.as_deref() == Some("Exists");
        let value = (!exists).then(|| toleration.value.clone().unwrap_or_default());
        Some(Self { key: toleration.key.clone().filter(|key| !key.is_empty()), value, effect })
    }

    fn covers(&self, taint: &Taint) -> bool {
        self.effect.is_none_or(|effect| effect == taint.effect)
            && self.key.as_ref().is_none_or(|key| *key == taint.key)
            && self.value.as_ref().is_none_or(|value| *value == taint.value)
    }
}

// === impl PodTerms ===

impl PodTerms {
    fn compile(
        affinity: &core::Affinity,
        namespace: &str,
        labels: &BTreeMap<String, String>,
        symbols: &mut Symbols,
    ) -> Self {
        let mut compile = |term: &core::PodAffinityTerm| PodTerm::compile(term, namespace, labels, symbols);
        let mut terms = Self::default();
        if let Some(affinity) = &affinity.pod_affinity {
            let required = affinity.required_during_scheduling_ignored_during_execution.iter().flatten();
            terms.required = required.map(&mut compile).collect();
            let preferred = affinity.preferred_during_scheduling_ignored_during_execution.iter().flatten();
            terms.preferred.extend(preferred.map(|term| (i64::from(term.weight), compile(&term.pod_affinity_term))));
        }
        if let Some(affinity) = &affinity.pod_anti_affinity {
            let required = affinity.required_during_scheduling_ignored_during_execution.iter().flatten();
            terms.forbidden = required.map(&mut compile).collect();
            let preferred = affinity.preferred_during_scheduling_ignored_during_execution.iter().flatten();
            terms.preferred.extend(preferred.map(|term| (-i64::from(term.weight), compile(&term.pod_affinity_term))));
        }
        terms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_ports_collide_by_port_protocol_and_address() {
        let port = |address: &str, protocol: &str, port: i32| HostPort {
            address: address.to_owned(),
            protocol: protocol.to_owned(),
            port,
        };
        for (left, right, expected) in [
            (port("", "TCP", 80), port("", "TCP", 80), true),
            (port("", "TCP", 80), port("", "UDP", 80), false),
            (port("", "TCP", 80), port("", "TCP", 81), false),
            (port("10.0.0.1", "TCP", 80), port("10.0.0.2", "TCP", 80), false),
            (port("10.0.0.1", "TCP", 80), port("", "TCP", 80), true),
        ] {
            assert_eq!(left.collides(&right), expected, "{left:?} {right:?}");
        }
    }

    #[test]
    fn a_toleration_covers_what_it_names() {
        let taint = |key: &str, value: &str| Taint { key: key.into(), value: value.into(), effect: Effect::NoSchedule };
        let toleration = |json: serde_json::Value| {
            Toleration::compile(&serde_json::from_value::<core::Toleration>(json).unwrap()).unwrap()
        };
        for (json, key, value, expected) in [
            (serde_json::json!({ "operator": "Exists" }), "a", "b", true),
            (serde_json::json!({ "key": "a", "operator": "Exists" }), "a", "b", true),
            (serde_json::json!({ "key": "a", "operator": "Exists" }), "c", "b", false),
            (serde_json::json!({ "key": "a", "value": "b" }), "a", "b", true),
            (serde_json::json!({ "key": "a", "value": "c" }), "a", "b", false),
            (serde_json::json!({ "key": "a", "value": "b", "effect": "NoExecute" }), "a", "b", false),
        ] {
            assert_eq!(toleration(json.clone()).covers(&taint(key, value)), expected, "{json}");
        }
    }
}
