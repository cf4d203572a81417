//! The store at one revision, as readers see it: an immutable value that is cheap to clone and is never locked.
//!
//! A view holds the live keys and the history since compaction. Both are persistent structures: the commit thread changes
//! its own clone, copying only the nodes on the way to what changes, and then publishes it whole. A reader that lists
//! 10,000 keys keeps its view for as long as it likes and stops nobody.
//!
//! An older revision is not stored; it is what is left when the younger events are taken back. With these events:
//!
//! ```text
//! revision 5  put    a = 1
//! revision 6  put    b = 1
//! revision 7  put    a = 2     previous a = 1
//! revision 8  delete b         previous b = 1
//! ```
//!
//! the live keys at 8 are `a = 2`. To read at 6, the events 8 and 7 are taken back: `b` becomes 1, `a` becomes 1.
//! Compacting at 7 drops the events up to 7, and with `a = 1` the last value that only history kept; 7 is then the
//! oldest revision that can be read, and the first event that a watch can get is 8.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::Bound;
use std::sync::Arc;

use crate::entry::{Place, Record};
use crate::{Entry, Event, RangeError, Revision};

/// The store at one revision.
#[derive(Clone, Default)]
pub(crate) struct View {
    entries: imbl::OrdMap<Arc<str>, Arc<Record>>,
    /// Every event in `(compacted, revision]`, in order.
    history: imbl::OrdMap<Place, Arc<Event>>,
    revision: Revision,
    compacted: Revision,
    history_bytes: usize,
}

/// The keys with a prefix, in order, at one revision.
struct Merged<'a, Live: Iterator<Item = &'a Entry>> {
    live: Peekable<Live>,
    /// What keys that changed since were like then.
    then: Peekable<std::collections::btree_map::IntoIter<&'a str, Option<&'a Entry>>>,
}

// === impl View ===

impl View {
    /// An empty store whose history begins after `compacted`.
    pub(crate) fn starting_at(compacted: Revision) -> Self {
        Self { revision: compacted, compacted, ..Self::default() }
    }

    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    /// The oldest revision that can be read; events after it can be watched.
    pub(crate) fn compacted(&self) -> Revision {
        self.compacted
    }

    pub(crate) fn history_len(&self) -> usize {
        self.history.len()
    }

    pub(crate) fn history_bytes(&self) -> usize {
        self.history_bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn record(&self, key: &str) -> Option<&Arc<Record>> {
        self.entries.get(key)
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.record(key).map(|record| &record.entry)
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.entries.values()
    }

    /// The keys that begin with `prefix` and come after `after`, in order, as they were at `at`.
    pub(crate) fn range<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        at: Revision,
    ) -> Result<impl Iterator<Item = &'a Entry>, RangeError> {
        if at < self.compacted {
            return Err(RangeError::Compacted { oldest: self.compacted });
        }
        if at > self.revision {
            return Err(RangeError::Future { current: self.revision });
        }
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix),
        };
        let live = self.entries.range::<_, str>((start, Bound::Unbounded)).map(|(_, record)| &record.entry);
        let live = live.take_while(move |entry| entry.key.starts_with(prefix)).peekable();
        let mut then = self.before_changes_since(prefix, at);
        if let Some(after) = after {
            then.retain(|key, _| *key > after);
        }
        Ok(Merged { live, then: then.into_iter().peekable() })
    }

    /// For every key that changed after `at`: what it was at `at`.
    fn before_changes_since(&self, prefix: &str, at: Revision) -> BTreeMap<&str, Option<&Entry>> {
        let mut then = BTreeMap::new();
        for event in self.events(at, self.revision) {
            if event.entry.key.starts_with(prefix) {
                then.entry(&*event.entry.key).or_insert(event.previous.as_ref());
            }
        }
        then
    }

    /// The events in `(after, until]`, in order.
    pub(crate) fn events(&self, after: Revision, until: Revision) -> impl Iterator<Item = &Arc<Event>> {
        let bounds = (Bound::Excluded(Place::last_of(after)), Bound::Included(Place::last_of(until)));
        let is_empty = until <= after;
        self.history.range::<_, Place>(bounds).map(|(_, event)| event).take_while(move |_| !is_empty)
    }

    /// Sets what a key was at `compacted`, while a store is loaded. Gives what a younger record replaces.
    pub(crate) fn set_base(&mut self, key: &Arc<str>, record: Option<Arc<Record>>) -> Option<Arc<Record>> {
        match record {
            Some(record) => self.entries.insert(key.clone(), record),
            None => self.entries.remove(&**key),
        }
    }

    /// Adds the next event; `record` is what the key is afterwards, `None` after a delete.
    pub(crate) fn apply(&mut self, event: Arc<Event>, record: Option<Arc<Record>>) {
        debug_assert!(event.revision >= self.revision, "events come in order");
        self.revision = event.revision;
        self.history_bytes += event.history_bytes();
        match record {
            Some(record) => self.entries.insert(record.entry.key.clone(), record),
            None => self.entries.remove(&*event.entry.key),
        };
        self.history.insert(event.place, event);
    }

    /// Raises the oldest readable revision to `revision` and drops the events up to it, calling `dropped` for each.
    pub(crate) fn compact(&mut self, revision: Revision, mut dropped: impl FnMut(&Event)) {
        while let Some((place, event)) = self.history.get_min().filter(|(place, _)| place.revision <= revision) {
            let place = *place;
            self.history_bytes -= event.history_bytes();
            dropped(event);
            self.history.remove(&place);
        }
        self.compacted = self.compacted.max(revision.min(self.revision));
    }

    /// The revision to compact at so that no more than so many events and bytes of history remain.
    pub(crate) fn compaction_to(&self, events: usize, bytes: usize) -> Option<Revision> {
        let mut excess_events = self.history.len().saturating_sub(events);
        let mut excess_bytes = self.history_bytes.saturating_sub(bytes);
        let mut revision = None;
        for event in self.history.values() {
            if excess_events == 0 && excess_bytes == 0 {
                break;
            }
            excess_events = excess_events.saturating_sub(1);
            excess_bytes = excess_bytes.saturating_sub(event.history_bytes());
            revision = Some(event.revision);
        }
        revision
    }
}

// === impl Merged ===

impl<'a, Live: Iterator<Item = &'a Entry>> Iterator for Merged<'a, Live> {
    type Item = &'a Entry;

    fn next(&mut self) -> Option<&'a Entry> {
        loop {
            let Some((key, _)) = self.then.peek() else { return self.live.next() };
            match self.live.peek() {
                Some(live) if &*live.key < *key => return self.live.next(),
                Some(live) if &*live.key == *key => drop(self.live.next()),
                Some(_) | None => {}
            }
            if let Some((_, Some(entry))) = self.then.next() {
                return Some(entry);
            }
        }
    }
}
