//! Read-your-writes over a cache that lags.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::cache::{Cache, Cached, Freshness};
use super::key::ObjectKey;

/// What each key's last run wrote to kind `K` and the cache has not shown yet.
///
/// A controller that counts its pods in the cache right after it created some would create them again. So each run
/// notes its creations and deletions here, and the next run of the same key does nothing until the cache shows them.
/// Nothing is counted: a creation is seen when the cache has reached its revision, a deletion when the cached object
/// is gone or marked. Lost and merged events therefore cannot leave a key waiting.
pub struct Expectations<K> {
    cache: Cache<K>,
    waiting: Arc<Mutex<HashMap<ObjectKey, Writes>>>,
}

#[derive(Default)]
struct Writes {
    points: Vec<Freshness>,
    /// Key and UID of what was deleted.
    deletions: Vec<(ObjectKey, String)>,
}

// === impl Expectations ===

impl<K: Cached> Expectations<K> {
    /// Nothing is awaited yet; `cache` is where writes have to show.
    pub fn new(cache: Cache<K>) -> Self {
        Self { cache, waiting: Arc::default() }
    }

    /// Notes that a run of `key` created or changed an object, and that the server answered with `written`.
    pub fn wrote(&self, key: &ObjectKey, written: &K) {
        let point = self.cache.freshness_after(written.meta());
        self.waiting.lock().entry(key.clone()).or_default().points.push(point);
    }

    /// Notes that a run of `key` deleted `object`.
    pub fn deleted(&self, key: &ObjectKey, object: &K) {
        let uid = object.meta().uid.clone().unwrap_or_default();
        self.waiting.lock().entry(key.clone()).or_default().deletions.push((ObjectKey::of(object), uid));
    }

    /// Whether the cache shows all that earlier runs of `key` wrote.
    pub fn are_met(&self, key: &ObjectKey) -> bool {
        let mut waiting = self.waiting.lock();
        let Some(writes) = waiting.get_mut(key) else { return true };
        writes.points.retain(|point| !self.cache.has_reached(*point));
        writes.deletions.retain(|(object, uid)| {
            self.cache.get(object).is_some_and(|object| {
                object.meta().uid.as_ref() == Some(uid) && object.meta().deletion_timestamp.is_none()
            })
        });
        let met = writes.points.is_empty() && writes.deletions.is_empty();
        if met {
            waiting.remove(key);
        }
        met
    }

    /// Forgets `key`, whose object is gone.
    pub fn forget(&self, key: &ObjectKey) {
        self.waiting.lock().remove(key);
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use kube::runtime::watcher::Event;

    use super::*;

    fn pod(name: &str, revision: u64) -> Pod {
        serde_json::from_value(serde_json::json!({"metadata": {
            "namespace": "a", "name": name, "uid": name, "resourceVersion": revision.to_string(),
        }}))
        .unwrap()
    }

    #[test]
    fn a_key_waits_until_its_creation_and_its_deletion_show() {
        let cache = Cache::<Pod>::default();
        cache.apply(Event::Apply(pod("leaves", 1)));
        let expectations = Expectations::new(cache.clone());
        let key = ObjectKey::new("a", "owner");
        assert!(expectations.are_met(&key));

        expectations.wrote(&key, &pod("comes", 2));
        expectations.deleted(&key, &pod("leaves", 1));
        assert!(!expectations.are_met(&key));
        assert!(expectations.are_met(&ObjectKey::new("a", "somebody else")));

        cache.apply(Event::Apply(pod("comes", 2)));
        assert!(!expectations.are_met(&key), "the deletion does not show yet");
        let mut terminating = pod("leaves", 3);
        terminating.metadata.deletion_timestamp = Some(super::super::clock::Clock::default().time());
        cache.apply(Event::Apply(terminating));
        assert!(expectations.are_met(&key));
    }

    #[test]
    fn an_object_of_the_same_name_but_another_uid_is_not_awaited_to_go() {
        let cache = Cache::<Pod>::default();
        let expectations = Expectations::new(cache.clone());
        let key = ObjectKey::new("a", "owner");
        expectations.deleted(&key, &pod("web-0", 1));
        let mut successor = pod("web-0", 5);
        successor.metadata.uid = Some("another".into());
        cache.apply(Event::Apply(successor));
        assert!(expectations.are_met(&key));
    }
}
