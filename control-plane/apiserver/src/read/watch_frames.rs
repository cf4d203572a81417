//! Turns a store's events into the lines of one watch.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use serde_json::json;
use sheave_store::{Entry, Event, Revision};

use super::object::Object;
use super::rendering::Rendering;
use super::selection::Selection;
use super::watch_event::{Change, EventCache, frame};

/// The view of one watcher: which objects it sees, and in which form.
pub(crate) struct Frames {
    selection: Selection,
    rendering: Rendering,
    cache: Arc<EventCache>,
    /// A table repeats its column definitions only once.
    first: bool,
}

// === impl Frames ===

impl Frames {
    pub(crate) fn new(selection: Selection, rendering: Rendering, cache: Arc<EventCache>) -> Self {
        Self { selection, rendering, cache, first: true }
    }

    /// The lines of a batch; empty when the watcher sees none of it.
    pub(crate) fn of_events(&mut self, events: &[Arc<Event>]) -> Bytes {
        joined(events.iter().filter_map(|event| self.of_event(event)).collect())
    }

    /// An `ADDED` line for an object that was there when the watch began.
    pub(crate) fn of_initial(&mut self, entry: &Entry) -> Option<Bytes> {
        let object = Object::new(entry.value.clone());
        self.selection.matches(&object).then(|| self.render(Change::Added, &object))
    }

    /// A bookmark; `initial_events_end` closes the initial events of a WatchList (KEP-3157).
    pub(crate) fn bookmark(&self, revision: Revision, initial_events_end: bool) -> Bytes {
        let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
        if initial_events_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        frame("BOOKMARK", &self.rendering.empty(&metadata))
    }

    fn of_event(&mut self, event: &Event) -> Option<Bytes> {
        let shared = self.cache.get(event);
        let (change, object) = shared.seen_through(&self.selection)?;
        if self.rendering.is_verbatim() {
            return Some(shared.frame(change, object));
        }
        Some(self.render(change, object))
    }

    fn render(&mut self, change: Change, object: &Object) -> Bytes {
        let first = std::mem::take(&mut self.first);
        frame(change.as_str(), &self.rendering.watched(object, first))
    }
}

/// A single line stays the shared bytes that it is.
fn joined(mut lines: Vec<Bytes>) -> Bytes {
    match lines.len() {
        0 => Bytes::new(),
        1 => lines.remove(0),
        _ => {
            let mut all = BytesMut::with_capacity(lines.iter().map(Bytes::len).sum());
            lines.iter().for_each(|line| all.extend_from_slice(line));
            all.freeze()
        }
    }
}
