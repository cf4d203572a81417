//! A local copy of every object of one kind, kept by one watch and shared by all controllers of the process.
//!
//! kube-rs' own reflector store offers neither the previous state of an object nor deletions to its subscribers, and no
//! index. Controllers need all three: a pod that leaves must wake its owner, and owners look up their pods thousands
//! of times. So only the list-and-watch protocol is kube-rs'; the copy is this one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::runtime::watcher::Event;
use parking_lot::RwLock;
use tokio::sync::watch;

use super::key::ObjectKey;

/// A kind that can be cached.
pub trait Cached:
    Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + Sync + 'static
{
    /// The node that the object is on, if its kind is looked up by node.
    fn node(&self) -> Option<&str> {
        None
    }
}

/// A question that the cache answers without a scan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Index {
    /// Objects whose controller (the owner reference with `controller: true`) has this UID.
    Controller(String),
    /// Objects of this namespace that no controller owns.
    Uncontrolled(String),
    /// Objects on this node.
    Node(String),
}

/// What happened to one object. At least one side is there.
pub struct Change<'a, K> {
    /// The object as it was known before.
    pub old: Option<&'a Arc<K>>,
    /// The object as it is; `None` when it is gone.
    pub new: Option<&'a Arc<K>>,
}

/// A revision of the API server's store, as `metadata.resourceVersion` carries it.
///
/// Revisions of one kind are ordered (KEP-5504, "comparable resource version").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(pub u64);

/// A point that a cache must have reached before it reflects a certain write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    revision: Revision,
    relist: u64,
}

/// The shared copy of kind `K`. Cheap to clone; all clones see the same objects.
///
/// # Concurrency
/// One task writes (the watch), any number of threads read. Handlers run in the writing task after the change is
/// visible to readers; they must be quick and must not block.
pub struct Cache<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    state: RwLock<State<K>>,
    handlers: RwLock<Vec<Handler<K>>>,
    synced: watch::Sender<bool>,
}

type Handler<K> = Box<dyn Fn(&Change<'_, K>) + Send + Sync>;
type Objects<K> = BTreeMap<ObjectKey, Arc<K>>;
type BeforeAndAfter<K> = (Option<Arc<K>>, Option<Arc<K>>);

struct State<K> {
    objects: Objects<K>,
    index: HashMap<Index, BTreeSet<ObjectKey>>,
    revision: Revision,
    /// The list in progress, swapped in whole when it is complete.
    listing: Objects<K>,
    lists_started: u64,
    lists_completed: u64,
}

// === impl Change ===

impl<K> Change<'_, K> {
    /// Both sides that exist, the old one first.
    pub fn sides(&self) -> impl Iterator<Item = &K> {
        self.old.into_iter().chain(self.new).map(AsRef::as_ref)
    }

    /// The most recent state of the object.
    pub fn latest(&self) -> Option<&K> {
        self.new.or(self.old).map(AsRef::as_ref)
    }

    /// Whether `project` gives different answers for the two sides; a side that is missing differs from any other.
    pub fn differs<'s, T: PartialEq>(&'s self, project: impl Fn(&'s K) -> T) -> bool {
        match (self.old, self.new) {
            (Some(old), Some(new)) => project(old) != project(new),
            (Some(_), None) | (None, Some(_)) => true,
            (None, None) => false,
        }
    }
}

// === impl Revision ===

impl Revision {
    /// The revision of an object; zero when it has none that is a number.
    pub fn of(meta: &ObjectMeta) -> Self {
        Self(meta.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or_default())
    }
}

// === impl Cache ===

impl<K> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<K: Cached> Default for Cache<K> {
    fn default() -> Self {
        Self {
            shared: Arc::new(Shared {
                state: RwLock::new(State::default()),
                handlers: RwLock::default(),
                synced: watch::Sender::new(false),
            }),
        }
    }
}

impl<K: Cached> Cache<K> {
    /// Calls `handler` for each change from then on. Register before the watch starts: what is listed first is then
    /// reported as well.
    pub fn on_change(&self, handler: impl Fn(&Change<'_, K>) + Send + Sync + 'static) {
        self.shared.handlers.write().push(Box::new(handler));
    }

    /// The object named `key`.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.shared.state.read().objects.get(key).cloned()
    }

    /// Every object, ordered by key.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.shared.state.read().objects.values().cloned().collect()
    }

    /// The keys of every object, in order.
    pub fn keys(&self) -> Vec<ObjectKey> {
        self.shared.state.read().objects.keys().cloned().collect()
    }

    /// The objects of a namespace, ordered by name.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let first = Bound::Included(ObjectKey::new(namespace, ""));
        let state = self.shared.state.read();
        let neighbours = state.objects.range((first, Bound::Unbounded));
        neighbours.take_while(|(key, _)| key.namespace == namespace).map(|(_, object)| object.clone()).collect()
    }

    /// The objects that an index finds, ordered by key.
    pub fn find(&self, index: &Index) -> Vec<Arc<K>> {
        let state = self.shared.state.read();
        let keys = state.index.get(index).into_iter().flatten();
        keys.filter_map(|key| state.objects.get(key).cloned()).collect()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.shared.state.read().objects.len()
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until the first list is complete.
    pub async fn synced(&self) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self.shared.synced.subscribe().wait_for(|synced| *synced).await;
    }

    /// The point at which this cache reflects a write that was answered with `written`.
    pub fn freshness_after(&self, written: &ObjectMeta) -> Freshness {
        Freshness { revision: Revision::of(written), relist: self.shared.state.read().lists_started + 1 }
    }

    /// Whether the cache has reached `point`: by an event of that revision or a later one, or by a list that began
    /// after the write.
    pub fn has_reached(&self, point: Freshness) -> bool {
        let state = self.shared.state.read();
        state.revision >= point.revision || state.lists_completed >= point.relist
    }

    /// Takes one event of the watch and tells the handlers what changed.
    pub fn apply(&self, event: Event<K>) {
        match event {
            Event::Init => self.shared.state.write().begin_list(),
            Event::InitApply(object) => self.shared.state.write().list_one(object),
            Event::InitDone => {
                let changes = self.shared.state.write().complete_list();
                for (old, new) in &changes {
                    self.notify(&Change { old: old.as_ref(), new: new.as_ref() });
                }
                self.shared.synced.send_replace(true);
            }
            Event::Apply(object) => {
                let object = Arc::new(object);
                let old = self.shared.state.write().put(ObjectKey::of(object.as_ref()), object.clone());
                self.notify(&Change { old: old.as_ref(), new: Some(&object) });
            }
            Event::Delete(object) => {
                let old = self.shared.state.write().remove(&ObjectKey::of(&object), Revision::of(object.meta()));
                let old = old.unwrap_or_else(|| Arc::new(object));
                self.notify(&Change { old: Some(&old), new: None });
            }
        }
    }

    fn notify(&self, change: &Change<'_, K>) {
        for handler in self.shared.handlers.read().iter() {
            handler(change);
        }
    }
}

// === impl State ===

impl<K> Default for State<K> {
    fn default() -> Self {
        Self {
            objects: BTreeMap::new(),
            index: HashMap::new(),
            revision: Revision::default(),
            listing: BTreeMap::new(),
            lists_started: 0,
            lists_completed: 0,
        }
    }
}

impl<K: Cached> State<K> {
    fn begin_list(&mut self) {
        self.listing.clear();
        self.lists_started += 1;
    }

    fn list_one(&mut self, object: K) {
        self.listing.insert(ObjectKey::of(&object), Arc::new(object));
    }

    /// Replaces the content with the list, and says what differs from before.
    fn complete_list(&mut self) -> Vec<BeforeAndAfter<K>> {
        let listed = std::mem::take(&mut self.listing);
        let gone: Vec<_> = self.objects.keys().filter(|key| !listed.contains_key(key)).cloned().collect();
        let mut changes: Vec<_> = gone
            .iter()
            .map(|key| (self.remove(key, Revision::default()), None))
            .filter(|(old, _)| old.is_some())
            .collect();
        for (key, object) in listed {
            let old = self.put(key, object.clone());
            let same = old.as_ref().is_some_and(|old| old.meta().resource_version == object.meta().resource_version);
            if !same {
                changes.push((old, Some(object)));
            }
        }
        self.lists_completed = self.lists_started;
        changes
    }

    fn put(&mut self, key: ObjectKey, object: Arc<K>) -> Option<Arc<K>> {
        self.revision = self.revision.max(Revision::of(object.meta()));
        let old = self.remove(&key, Revision::default());
        for index in indexes(object.as_ref()) {
            self.index.entry(index).or_default().insert(key.clone());
        }
        self.objects.insert(key, object);
        old
    }

    fn remove(&mut self, key: &ObjectKey, revision: Revision) -> Option<Arc<K>> {
        self.revision = self.revision.max(revision);
        let old = self.objects.remove(key)?;
        for index in indexes(old.as_ref()) {
            if let Some(keys) = self.index.get_mut(&index) {
                keys.remove(key);
                if keys.is_empty() {
                    self.index.remove(&index);
                }
            }
        }
        Some(old)
    }
}

fn indexes<K: Cached>(object: &K) -> impl Iterator<Item = Index> {
    let meta = object.meta();
    let controller = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    let owner = match (controller, &meta.namespace) {
        (Some(owner), _) => Some(Index::Controller(owner.uid.clone())),
        (None, Some(namespace)) => Some(Index::Uncontrolled(namespace.clone())),
        (None, None) => None,
    };
    owner.into_iter().chain(object.node().map(|node| Index::Node(node.to_owned())))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use parking_lot::Mutex;

    use super::*;

    fn pod(name: &str, revision: u64, owner: Option<&str>) -> Pod {
        let owners = owner.map(|uid| {
            serde_json::json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": uid, "controller": true}])
        });
        serde_json::from_value(serde_json::json!({"metadata": {
            "namespace": "a", "name": name, "resourceVersion": revision.to_string(), "ownerReferences": owners,
        }}))
        .unwrap()
    }

    fn recorded(cache: &Cache<Pod>) -> Arc<Mutex<Vec<String>>> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        cache.on_change(move |change| {
            let name = change.latest().and_then(|pod| pod.metadata.name.clone()).unwrap_or_default();
            let what = match (change.old, change.new) {
                (None, Some(_)) => "added",
                (Some(_), Some(_)) => "changed",
                _ => "gone",
            };
            log.lock().push(format!("{name} {what}"));
        });
        seen
    }

    fn list(cache: &Cache<Pod>, pods: Vec<Pod>) {
        cache.apply(Event::Init);
        pods.into_iter().for_each(|pod| cache.apply(Event::InitApply(pod)));
        cache.apply(Event::InitDone);
    }

    #[test]
    fn a_second_list_reports_only_what_differs_from_the_first() {
        let cache = Cache::<Pod>::default();
        let seen = recorded(&cache);
        list(&cache, vec![pod("same", 1, None), pod("old", 2, None), pod("changes", 3, None)]);
        seen.lock().clear();
        list(&cache, vec![pod("same", 1, None), pod("changes", 4, None), pod("new", 5, None)]);
        assert_eq!(*seen.lock(), ["old gone", "changes changed", "new added"]);
    }

    #[test]
    fn readers_see_no_partial_list() {
        let cache = Cache::<Pod>::default();
        list(&cache, vec![pod("a", 1, None), pod("b", 2, None)]);
        cache.apply(Event::Init);
        cache.apply(Event::InitApply(pod("a", 1, None)));
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn an_object_is_found_by_its_controller_until_it_changes_hands() {
        let cache = Cache::<Pod>::default();
        cache.apply(Event::Apply(pod("a", 1, Some("one"))));
        assert_eq!(cache.find(&Index::Controller("one".into())).len(), 1);
        cache.apply(Event::Apply(pod("a", 2, None)));
        assert!(cache.find(&Index::Controller("one".into())).is_empty());
        assert_eq!(cache.find(&Index::Uncontrolled("a".into())).len(), 1);
        cache.apply(Event::Delete(pod("a", 3, None)));
        assert!(cache.find(&Index::Uncontrolled("a".into())).is_empty());
    }

    #[test]
    fn a_write_is_reflected_after_its_event_or_after_a_list_begun_later() {
        let cache = Cache::<Pod>::default();
        list(&cache, vec![]);
        let point = cache.freshness_after(&pod("a", 7, None).metadata);
        assert!(!cache.has_reached(point));
        cache.apply(Event::Apply(pod("b", 6, None)));
        assert!(!cache.has_reached(point));
        list(&cache, vec![]);
        assert!(cache.has_reached(point), "a list after the write is enough, whatever it holds");
        let next = cache.freshness_after(&pod("c", 9, None).metadata);
        cache.apply(Event::Delete(pod("b", 9, None)));
        assert!(cache.has_reached(next));
    }

    #[test]
    fn a_list_that_was_under_way_during_the_write_proves_nothing() {
        let cache = Cache::<Pod>::default();
        cache.apply(Event::Init);
        let point = cache.freshness_after(&pod("a", 7, None).metadata);
        cache.apply(Event::InitDone);
        assert!(!cache.has_reached(point));
    }

    #[test]
    fn a_namespace_lists_only_its_own_objects() {
        let cache = Cache::<Pod>::default();
        let mut other = pod("x", 1, None);
        other.metadata.namespace = Some("ab".into());
        cache.apply(Event::Apply(other));
        cache.apply(Event::Apply(pod("y", 2, None)));
        assert_eq!(cache.in_namespace("a").len(), 1);
        assert!(cache.in_namespace("").is_empty());
    }
}
