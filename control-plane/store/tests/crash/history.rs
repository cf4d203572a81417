//! What a store must hold at each revision: a plain map, moved along by the events of a run that went well.

use std::collections::BTreeMap;
use std::sync::Arc;

use sheave_store::{Entry, Event, EventKind, Range, Revision, Store, WatchError};

/// Every event of a run, in order.
pub(crate) struct Recorded {
    pub(crate) events: Vec<Arc<Event>>,
}

// === impl Recorded ===

impl Recorded {
    /// Everything that a store still remembers after `after`.
    pub(crate) async fn of(store: &Store, after: Revision) -> Result<Self, WatchError> {
        let mut watch = store.watch("", after)?;
        let mut events = Vec::new();
        while watch.progress() < store.revision() {
            events.extend(watch.next().await?);
        }
        Ok(Self { events })
    }

    /// Checks that a store which was opened after a crash holds exactly what was there at some revision that is not older
    /// than what was acknowledged. Gives the revision.
    pub(crate) async fn check(&self, store: &Store, acknowledged: Revision) -> Revision {
        let revision = store.revision();
        let last = self.events.last().map_or(Revision(0), |event| event.revision);
        assert!(revision >= acknowledged, "revision {acknowledged} was acknowledged, {revision} is what is left");
        assert!(revision <= last, "revision {revision} was never written");
        self.check_keys(store, revision);
        self.check_events(store, revision).await;
        revision
    }

    fn check_keys(&self, store: &Store, revision: Revision) {
        let found = store.range(&Range::default()).expect("the current revision can be read").entries;
        let expected = self.keys_at(revision);
        assert_eq!(found.len(), expected.len(), "number of keys at revision {revision}");
        for (found, expected) in found.iter().zip(expected.values()) {
            assert_eq!(found, expected, "at revision {revision}");
        }
    }

    /// The events that the store remembers are those that were.
    async fn check_events(&self, store: &Store, revision: Revision) {
        let oldest = store.oldest_revision();
        let remembered = Self::of(store, oldest).await.expect("the oldest revision can be watched from").events;
        let expected = self.events.iter().filter(|event| event.revision > oldest && event.revision <= revision);
        let expected = expected.collect::<Vec<_>>();
        assert_eq!(remembered.len(), expected.len(), "number of events in ({oldest}, {revision}]");
        for (found, expected) in remembered.iter().zip(expected) {
            assert_eq!(found.revision, expected.revision);
            assert_eq!(found.kind, expected.kind);
            assert_eq!(found.entry, expected.entry);
            assert_eq!(found.previous, expected.previous);
        }
    }

    fn keys_at(&self, revision: Revision) -> BTreeMap<&str, Entry> {
        let mut keys = BTreeMap::new();
        for event in self.events.iter().take_while(|event| event.revision <= revision) {
            match event.kind {
                EventKind::Put => keys.insert(&*event.entry.key, event.entry.clone()),
                EventKind::Delete => keys.remove(&*event.entry.key),
            };
        }
        keys
    }
}
