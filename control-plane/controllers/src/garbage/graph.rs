//! Who owns whom, over all kinds.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::object::owner::is_deleted;
use crate::runtime::discovery::GroupKind;
use crate::runtime::key::ObjectKey;

/// The UID of an object.
pub(super) type Uid = String;

/// Holds an object until its dependents that block it are gone.
pub(super) const FOREGROUND: &str = "foregroundDeletion";
/// Holds an object until its dependents do not name it any more.
pub(super) const ORPHAN: &str = "orphan";

/// All objects that own or are owned, or could be.
#[derive(Default)]
pub(super) struct Graph {
    nodes: HashMap<Uid, Node>,
    absent: Absent,
}

/// One object.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: Arc<GroupKind>,
    pub(super) key: ObjectKey,
    pub(super) owners: Vec<OwnerReference>,
    pub(super) finalizers: Vec<String>,
    pub(super) resource_version: String,
    /// Whether it is being deleted.
    pub(super) deleting: bool,
    /// Whether it was seen itself. One that was only named as an owner may not exist at all.
    pub(super) observed: bool,
    pub(super) dependents: BTreeSet<Uid>,
}

/// UIDs that are known to be gone; the oldest are forgotten, and then asked for again.
#[derive(Default)]
struct Absent {
    known: HashSet<Uid>,
    order: VecDeque<Uid>,
}

const ABSENT_REMEMBERED: usize = 10_000;

// === impl Graph ===

impl Graph {
    /// The object with `uid`.
    pub(super) fn get(&self, uid: &str) -> Option<&Node> {
        self.nodes.get(uid)
    }

    /// Whether no object has `uid` any more.
    pub(super) fn is_absent(&self, uid: &str) -> bool {
        !self.nodes.contains_key(uid) && self.absent.known.contains(uid)
    }

    /// Takes in the state of an object. Returns whose fate has to be looked at because of it.
    pub(super) fn observe(&mut self, kind: &Arc<GroupKind>, meta: &ObjectMeta) -> Vec<Uid> {
        let Some(uid) = meta.uid.clone() else { return Vec::new() };
        let mut node = Node::new(kind, meta);
        let before = self.nodes.remove(&uid);
        if let Some(before) = &before {
            node.dependents = before.dependents.clone();
            if before.observed && before.says_the_same_as(&node) {
                self.nodes.insert(uid, node);
                return Vec::new();
            }
        }
        let mut wake = vec![uid.clone()];
        for owner in before.iter().flat_map(|before| &before.owners).chain(&node.owners) {
            wake.extend(self.is_waiting(&owner.uid).then(|| owner.uid.clone()));
        }
        if node.is_waiting() && !before.as_ref().is_some_and(Node::is_waiting) {
            wake.extend(node.dependents.iter().cloned());
        }
        let owners = node.owners.clone();
        self.unlink(&uid, before.as_ref(), &owners);
        wake.extend(self.link(&uid, &node.key, &owners));
        self.nodes.insert(uid, node);
        wake
    }

    /// The object is gone. Returns whose fate has to be looked at because of it.
    pub(super) fn forget(&mut self, uid: &str) -> Vec<Uid> {
        let Some(node) = self.nodes.remove(uid) else { return Vec::new() };
        self.unlink(uid, Some(&node), &[]);
        self.absent.insert(uid.to_owned());
        let waiting_owners =
            node.owners.iter().filter(|owner| self.is_waiting(&owner.uid)).map(|owner| owner.uid.clone());
        let mut wake: Vec<_> = waiting_owners.collect();
        wake.extend(node.dependents);
        wake
    }

    /// All objects of `kind` are those of `listed`: forgets the others.
    pub(super) fn retain(&mut self, kind: &GroupKind, listed: &HashSet<Uid>) -> Vec<Uid> {
        let gone =
            self.nodes.iter().filter(|(uid, node)| node.observed && *node.kind == *kind && !listed.contains(*uid));
        let gone: Vec<_> = gone.map(|(uid, _)| uid.clone()).collect();
        gone.iter().flat_map(|uid| self.forget(uid)).collect()
    }

    /// Objects of `kind` are not watched any more: whether they exist has to be asked from here on.
    pub(super) fn unobserve(&mut self, kind: &GroupKind) {
        for node in self.nodes.values_mut().filter(|node| *node.kind == *kind) {
            node.observed = false;
        }
    }

    fn is_waiting(&self, uid: &str) -> bool {
        self.nodes.get(uid).is_some_and(Node::is_waiting)
    }

    /// Takes `uid` out of the dependents of owners that it does not name any more.
    fn unlink(&mut self, uid: &str, before: Option<&Node>, owners: &[OwnerReference]) {
        for old in before.iter().flat_map(|before| &before.owners) {
            if owners.iter().any(|owner| owner.uid == old.uid) {
                continue;
            }
            let Some(owner) = self.nodes.get_mut(&old.uid) else { continue };
            owner.dependents.remove(uid);
            if !owner.observed && owner.dependents.is_empty() {
                self.nodes.remove(&old.uid);
            }
        }
    }

    /// Adds `uid` to the dependents of its owners. Returns the owners that nobody has seen yet.
    fn link(&mut self, uid: &str, key: &ObjectKey, owners: &[OwnerReference]) -> Vec<Uid> {
        let mut unseen = Vec::new();
        for owner in owners.iter().filter(|owner| !self.absent.known.contains(&owner.uid)) {
            let node = self.nodes.entry(owner.uid.clone()).or_insert_with(|| Node::named(owner, key));
            node.dependents.insert(uid.to_owned());
            unseen.extend((!node.observed).then(|| owner.uid.clone()));
        }
        unseen
    }
}

// === impl Node ===

impl Node {
    fn new(kind: &Arc<GroupKind>, meta: &ObjectMeta) -> Self {
        Self {
            kind: kind.clone(),
            key: ObjectKey::new(meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default()),
            owners: meta.owner_references.clone().unwrap_or_default(),
            finalizers: meta.finalizers.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            deleting: is_deleted(meta),
            observed: true,
            dependents: BTreeSet::new(),
        }
    }

    /// An owner that is known by a dependent's reference alone.
    fn named(owner: &OwnerReference, dependent: &ObjectKey) -> Self {
        Self {
            kind: Arc::new(GroupKind::new(&owner.api_version, &owner.kind)),
            key: dependent.sibling(owner.name.clone()),
            owners: Vec::new(),
            finalizers: Vec::new(),
            resource_version: String::new(),
            deleting: false,
            observed: false,
            dependents: BTreeSet::new(),
        }
    }

    /// Whether a finalizer holds it.
    pub(super) fn has_finalizer(&self, name: &str) -> bool {
        self.finalizers.iter().any(|finalizer| finalizer == name)
    }

    /// Whether it is being deleted and waits for its dependents to go first.
    pub(super) fn is_waiting(&self) -> bool {
        self.deleting && self.has_finalizer(FOREGROUND)
    }

    /// Whether it holds up the deletion of its owner `uid`.
    pub(super) fn blocks(&self, uid: &str) -> bool {
        self.owners.iter().any(|owner| owner.uid == uid && owner.block_owner_deletion == Some(true))
    }

    fn says_the_same_as(&self, other: &Self) -> bool {
        self.owners == other.owners && self.finalizers == other.finalizers && self.deleting == other.deleting
    }
}

// === impl Absent ===

impl Absent {
    fn insert(&mut self, uid: Uid) {
        if self.known.insert(uid.clone()) {
            self.order.push_back(uid);
        }
        if self.order.len() > ABSENT_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}
