//! What the scheduler knows of a node.

use k8s_openapi::api::core::v1::Node;

use crate::group::GroupId;
use crate::pod::HostPort;
use crate::resources::Resources;
use crate::symbol::{Symbol, Symbols};

/// The place of a node in the cluster's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeIndex(pub(crate) u32);

/// A node with what runs on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeState {
    pub(crate) name: String,
    pub(crate) facts: NodeFacts,
    /// What the node's pods ask for.
    pub(crate) requested: Resources,
    pub(crate) scored_cpu: i64,
    pub(crate) scored_memory: i64,
    pub(crate) ports: Vec<HostPort>,
    /// How many pods of each group are here.
    groups: Vec<(GroupId, u32)>,
}

/// What a Node object says of itself, as far as decisions look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeFacts {
    /// Sorted by key.
    labels: Vec<(Symbol, Symbol)>,
    pub(crate) unschedulable: bool,
    pub(crate) taints: Vec<Taint>,
    pub(crate) allocatable: Resources,
}

/// A taint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Taint {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) effect: Effect,
}

/// What a taint does to pods that do not tolerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    NoSchedule,
    PreferNoSchedule,
    NoExecute,
}

// === impl NodeState ===

impl NodeState {
    /// The value of a label.
    pub(crate) fn label(&self, key: Symbol) -> Option<Symbol> {
        let labels = &self.facts.labels;
        let index = labels.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        Some(labels[index].1)
    }

    pub(crate) fn labels(&self) -> &[(Symbol, Symbol)] {
        &self.facts.labels
    }

    /// How many pods of a group are here.
    pub(crate) fn count(&self, group: GroupId) -> u32 {
        self.groups.iter().find(|(id, _)| *id == group).map_or(0, |(_, count)| *count)
    }

    pub(crate) fn add_to_group(&mut self, group: GroupId) {
        match self.groups.iter_mut().find(|(id, _)| *id == group) {
            Some((_, count)) => *count += 1,
            None => self.groups.push((group, 1)),
        }
    }

    pub(crate) fn remove_from_group(&mut self, group: GroupId) {
        if let Some((_, count)) = self.groups.iter_mut().find(|(id, _)| *id == group) {
            *count = count.saturating_sub(1);
        }
        self.groups.retain(|(_, count)| *count > 0);
    }
}

// === impl NodeFacts ===

impl NodeFacts {
    pub(crate) fn read(node: &Node, symbols: &mut Symbols) -> Self {
        let labels = node.metadata.labels.iter().flatten();
        let mut labels = labels.map(|(key, value)| (symbols.intern(key), symbols.intern(value))).collect::<Vec<_>>();
        labels.sort_unstable();
        let spec = node.spec.as_ref();
        let taints = spec.and_then(|spec| spec.taints.as_ref()).into_iter().flatten();
        let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
        Self {
            labels,
            unschedulable: spec.and_then(|spec| spec.unschedulable) == Some(true),
            taints: taints.filter_map(Taint::read).collect(),
            allocatable: Resources::read(allocatable, symbols),
        }
    }
}

// === impl Taint ===

impl Taint {
    fn read(taint: &k8s_openapi::api::core::v1::Taint) -> Option<Self> {
        let effect = match taint.effect.as_str() {
            "NoSchedule" => Effect::NoSchedule,
            "PreferNoSchedule" => Effect::PreferNoSchedule,
            "NoExecute" => Effect::NoExecute,
            _ => return None,
        };
        Some(Self { key: taint.key.clone(), value: taint.value.clone().unwrap_or_default(), effect })
    }
}
