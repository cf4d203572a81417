//! Pods that nobody can tell apart: the same namespace, labels and terms.
//!
//! Terms over pods are matched against groups, of which there are about as many as workloads, instead of pods; how many
//! pods a group has in each topology domain is kept up to date, so that a look at a zone is one look-up.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Affinity;

use crate::affinity::PodIdentity;
use crate::node::NodeState;
use crate::pod::PodTerms;
use crate::symbol::Symbol;

/// The place of a group in the cluster's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GroupId(u32);

/// What makes pods alike.
#[derive(Clone, Debug)]
pub(crate) struct Signature {
    pub(crate) namespace: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// Being deleted: does not count for topology spread.
    pub(crate) terminating: bool,
    /// The affinity as text: equal texts have equal terms.
    affinity: String,
    pub(crate) terms: PodTerms,
}

/// A group and where its pods are.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) signature: Arc<Signature>,
    total: u32,
    domains: HashMap<(Symbol, Symbol), u32>,
}

/// All groups that have pods.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    by_signature: HashMap<Arc<Signature>, GroupId>,
    by_namespace: HashMap<String, Vec<GroupId>>,
    groups: Vec<Option<Group>>,
    free: Vec<GroupId>,
    /// The groups whose pods have terms of their own: the only ones that others must look at for them.
    with_terms: Vec<GroupId>,
}

// === impl Signature ===

impl Signature {
    pub(crate) fn new(
        namespace: &str,
        labels: BTreeMap<String, String>,
        affinity: &Affinity,
        terminating: bool,
        terms: PodTerms,
    ) -> Self {
        let affinity = serde_json::to_string(affinity).unwrap_or_default();
        Self { namespace: namespace.to_owned(), labels, terminating, affinity, terms }
    }

    fn has_terms(&self) -> bool {
        let PodTerms { required, forbidden, preferred } = &self.terms;
        !(required.is_empty() && forbidden.is_empty() && preferred.is_empty())
    }

    fn key(&self) -> (&str, &BTreeMap<String, String>, bool, &str) {
        (&self.namespace, &self.labels, self.terminating, &self.affinity)
    }
}

impl PartialEq for Signature {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Signature {}

impl Hash for Signature {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

// === impl Group ===

impl Group {
    /// How many of its pods are in a domain.
    pub(crate) fn in_domain(&self, key: Symbol, value: Symbol) -> u32 {
        self.domains.get(&(key, value)).copied().unwrap_or(0)
    }

    /// Whether any of its pods is on a node with this label.
    pub(crate) fn is_anywhere(&self, key: Symbol) -> bool {
        self.domains.keys().any(|(label, _)| *label == key)
    }

    /// The pods as terms see them.
    pub(crate) fn identity<'a>(&'a self, namespace_labels: Option<&'a BTreeMap<String, String>>) -> PodIdentity<'a> {
        PodIdentity { namespace: &self.signature.namespace, namespace_labels, labels: &self.signature.labels }
    }
}

// === impl Groups ===

impl Groups {
    /// The group of a signature, if any pod has it.
    pub(crate) fn find(&self, signature: &Arc<Signature>) -> Option<GroupId> {
        self.by_signature.get(signature).copied()
    }

    pub(crate) fn get(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(id.0 as usize)?.as_ref()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (GroupId, &Group)> {
        self.by_signature.values().filter_map(|id| Some((*id, self.get(*id)?)))
    }

    /// The groups of a namespace.
    pub(crate) fn in_namespace(&self, namespace: &str) -> impl Iterator<Item = (GroupId, &Group)> {
        let ids = self.by_namespace.get(namespace).into_iter().flatten();
        ids.filter_map(|id| Some((*id, self.get(*id)?)))
    }

    /// The groups whose pods have terms over other pods.
    pub(crate) fn with_terms(&self) -> impl Iterator<Item = (GroupId, &Group)> {
        self.with_terms.iter().filter_map(|id| Some((*id, self.get(*id)?)))
    }

    /// Counts one pod more on `node`.
    pub(crate) fn add(&mut self, signature: &Arc<Signature>, node: &NodeState) -> GroupId {
        let id = self.find(signature).unwrap_or_else(|| self.create(signature));
        if let Some(group) = &mut self.groups[id.0 as usize] {
            group.total += 1;
            for domain in node.labels() {
                *group.domains.entry(*domain).or_insert(0) += 1;
            }
        }
        id
    }

    /// Counts one pod less on `node`; a group without pods goes.
    pub(crate) fn remove(&mut self, signature: &Arc<Signature>, node: &NodeState) -> Option<GroupId> {
        let id = self.find(signature)?;
        let group = self.groups[id.0 as usize].as_mut()?;
        group.total = group.total.saturating_sub(1);
        for domain in node.labels() {
            if let Entry::Occupied(mut count) = group.domains.entry(*domain) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
        if group.total == 0 {
            self.by_signature.remove(signature);
            self.with_terms.retain(|other| *other != id);
            if let Entry::Occupied(mut ids) = self.by_namespace.entry(signature.namespace.clone()) {
                ids.get_mut().retain(|other| *other != id);
                if ids.get().is_empty() {
                    ids.remove();
                }
            }
            self.groups[id.0 as usize] = None;
            self.free.push(id);
        }
        Some(id)
    }

    fn create(&mut self, signature: &Arc<Signature>) -> GroupId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.groups.push(None);
            GroupId(u32::try_from(self.groups.len() - 1).unwrap_or(u32::MAX))
        });
        let group = Group { signature: Arc::clone(signature), total: 0, domains: HashMap::new() };
        self.groups[id.0 as usize] = Some(group);
        self.by_signature.insert(Arc::clone(signature), id);
        self.by_namespace.entry(signature.namespace.clone()).or_default().push(id);
        if signature.has_terms() {
            self.with_terms.push(id);
        }
        id
    }
}
