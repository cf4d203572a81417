//! The authorizer: an index that follows the store, and the question asked of it.

use std::sync::Arc;

use parking_lot::RwLock;
use sheave_store::{Event, EventKind, Range, Revision, Store, WatchError};
use tokio::sync::watch;

use super::attributes::Attributes;
use super::index::{Index, PREFIX, role_key};
use super::rules::Rule;
use crate::authn::{Identity, MASTERS};
use crate::document;

/// Answers who may do what. Cloning gives another handle.
#[derive(Clone)]
pub(crate) struct Authorizer {
    index: Arc<RwLock<Index>>,
    /// The revision that the index has seen.
    seen: watch::Receiver<Option<Revision>>,
}

/// Whether a request may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Allowed,
    Denied,
}

// === impl Authorizer ===

impl Authorizer {
    /// Starts to follow the roles and bindings in `store`, until the store is closed.
    pub(crate) fn spawn(store: Arc<Store>) -> Self {
        let index = Arc::new(RwLock::new(Index::default()));
        let (sender, seen) = watch::channel(None);
        tokio::spawn(follow(store, Arc::clone(&index), sender));
        Self { index, seen }
    }

    /// Whether the index has been filled once.
    pub(crate) fn is_synced(&self) -> bool {
        self.seen.borrow().is_some()
    }

    /// Waits until the index has seen `revision`.
    pub(crate) async fn caught_up(&self, revision: Revision) {
        let mut seen = self.seen.clone();
        // An error means that the store is closed: nothing will be seen any more.
        let _ = seen.wait_for(|seen| seen.is_some_and(|seen| seen >= revision)).await;
    }

    pub(crate) fn authorize(&self, user: &Identity, attributes: &Attributes) -> Decision {
        if user.is_in(MASTERS) {
            return Decision::Allowed;
        }
        let index = self.index.read();
        let allowed =
            index.rules_of(user, attributes.namespace()).any(|rules| rules.iter().any(|rule| rule.allows(attributes)));
        if allowed { Decision::Allowed } else { Decision::Denied }
    }

    /// Every rule that holds for `user` in `namespace`.
    pub(crate) fn rules_of(&self, user: &Identity, namespace: &str) -> Vec<Rule> {
        let index = self.index.read();
        index.rules_of(user, namespace).flat_map(|rules| rules.to_vec()).collect()
    }

    /// The rules of the role that a binding names; none where there is no such role.
    pub(crate) fn rules_of_binding(&self, binding: &sheave_api::Document) -> Option<Vec<Rule>> {
        let index = self.index.read();
        let key = role_key(binding);
        index.has_role(&key).then(|| index.rules_of_role(&key).iter().flat_map(|rules| rules.to_vec()).collect())
    }
}

/// Fills the index and keeps it up to date; starts over when the watch has fallen behind.
async fn follow(store: Arc<Store>, index: Arc<RwLock<Index>>, seen: watch::Sender<Option<Revision>>) {
    loop {
        match follow_once(&store, &index, &seen).await {
            WatchError::Closed => return,
            error => tracing::warn!(%error, "reading all roles and bindings again"),
        }
    }
}

async fn follow_once(store: &Store, index: &RwLock<Index>, seen: &watch::Sender<Option<Revision>>) -> WatchError {
    let Ok(found) = store.range(&Range::prefix(PREFIX)) else { return WatchError::Closed };
    let mut fresh = Index::default();
    for entry in &found.entries {
        fresh.set(&entry.key, document::decode(&entry.value).ok().as_ref());
    }
    *index.write() = fresh;
    seen.send_replace(Some(found.revision));
    let mut changes = match store.watch(PREFIX, found.revision) {
        Ok(changes) => changes,
        Err(error) => return error,
    };
    loop {
        match changes.next().await {
            Ok(events) => {
                let mut index = index.write();
                events.iter().for_each(|event| apply(&mut index, event));
                drop(index);
                if let Some(last) = events.last() {
                    seen.send_replace(Some(last.revision));
                }
            }
            Err(error) => return error,
        }
    }
}

fn apply(index: &mut Index, event: &Event) {
    let value = match event.kind {
        EventKind::Put => document::decode(&event.entry.value).ok(),
        EventKind::Delete => None,
    };
    index.set(&event.entry.key, value.as_ref());
}
