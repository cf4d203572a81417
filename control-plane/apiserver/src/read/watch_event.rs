//! A change as watchers see it, prepared once and shared by all of them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;
use sheave_store::{Entry, Event, EventKind};

use super::object::Object;
use super::selection::Selection;
use crate::document;

/// What a watcher is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

/// One change, its objects parsed at most once, its frames encoded at most once.
pub(crate) struct WatchEvent {
    kind: EventKind,
    /// The object after the change; of a deletion, its last state with the deletion's resource version.
    object: Object,
    /// The object before the change.
    previous: Option<Object>,
    /// The revision of the change.
    revision: u64,
    added: OnceLock<Bytes>,
    modified: OnceLock<Bytes>,
    deleted: OnceLock<Bytes>,
    /// The state in which an object leaves a selection: the one before, with the change's resource version.
    left: OnceLock<Object>,
}

/// The latest changes. Watchers of an event meet here, so that they share what is made of it; a watcher that is far
/// behind makes its own.
#[derive(Default)]
pub(crate) struct EventCache {
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    by_change: HashMap<(u64, Arc<str>), Arc<WatchEvent>>,
    order: VecDeque<(u64, Arc<str>)>,
}

const KEPT: usize = 256;

// === impl EventCache ===

impl EventCache {
    pub(crate) fn get(&self, event: &Event) -> Arc<WatchEvent> {
        let id = (event.revision.0, Arc::clone(&event.entry.key));
        let mut recent = self.recent.lock();
        if let Some(known) = recent.by_change.get(&id) {
            return Arc::clone(known);
        }
        let made = Arc::new(WatchEvent::new(event));
        recent.insert(id, Arc::clone(&made));
        made
    }
}

impl Recent {
    fn insert(&mut self, id: (u64, Arc<str>), event: Arc<WatchEvent>) {
        if self.order.len() == KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_change.remove(&oldest);
        }
        self.order.push_back(id.clone());
        self.by_change.insert(id, event);
    }
}

// === impl WatchEvent ===

impl WatchEvent {
    fn new(event: &Event) -> Self {
        Self {
            kind: event.kind,
            object: Object::new(event.entry.value.clone()),
            previous: event.previous.as_ref().map(|entry: &Entry| Object::new(entry.value.clone())),
            revision: event.revision.0,
            added: OnceLock::new(),
            modified: OnceLock::new(),
            deleted: OnceLock::new(),
            left: OnceLock::new(),
        }
    }

    /// What the change means to somebody who sees only the selected objects.
    pub(crate) fn seen_through(&self, selection: &Selection) -> Option<(Change, &Object)> {
        let matched = |object: Option<&Object>| object.is_some_and(|object| selection.matches(object));
        let before = matched(self.previous.as_ref());
        if self.kind == EventKind::Delete {
            return before.then_some((Change::Deleted, &self.object));
        }
        match (before, selection.matches(&self.object)) {
            (false, true) => Some((Change::Added, &self.object)),
            (true, true) => Some((Change::Modified, &self.object)),
            (true, false) => Some((Change::Deleted, self.left())),
            (false, false) => None,
        }
    }

    /// The frame for a watcher that gets stored bytes as they are.
    pub(crate) fn frame(&self, change: Change, object: &Object) -> Bytes {
        let cell = match change {
            Change::Added => &self.added,
            Change::Modified => &self.modified,
            Change::Deleted => &self.deleted,
        };
        cell.get_or_init(|| frame(change.as_str(), object.bytes())).clone()
    }

    fn left(&self) -> &Object {
        self.left.get_or_init(|| {
            let before = self.previous.as_ref().unwrap_or(&self.object);
            Object::new(document::present(before.bytes(), self.revision))
        })
    }
}

impl Change {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// One line of a watch.
pub(crate) fn frame(change: &str, object: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(object.len() + change.len() + 24);
    bytes.extend_from_slice(b"{\"type\":\"");
    bytes.extend_from_slice(change.as_bytes());
    bytes.extend_from_slice(b"\",\"object\":");
    bytes.extend_from_slice(object);
    bytes.extend_from_slice(b"}\n");
    Bytes::from(bytes)
}
