//! What the store holds and what it tells: revisions, entries, events.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::presented::Presented;

/// A point in the store's history: the number of transactions committed since the store was made.
///
/// The first transaction makes revision 1; revision 0 is the empty store. The counter never goes back, also not
/// over a restart, and two transactions never share a revision.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Revision(pub u64);

/// Names a lease for as long as the store exists; an id is never given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LeaseId(pub u64);

/// One key with its value, as it was at one revision. Cloning copies no bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// UTF-8 path, such as `/registry/pods/default/web-1`.
    pub key: Arc<str>,
    /// The value as the `present` hook made it from the stored bytes.
    pub value: Bytes,
    /// The revision that made the key (again, if it was deleted before).
    pub create_revision: Revision,
    /// The revision that last wrote the key; what compare-and-swap compares.
    pub mod_revision: Revision,
    /// Number of puts since the key was made, starting at 1.
    pub version: u64,
}

/// Whether a key was written or removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventKind {
    /// The key was created or changed; [`Event::is_create`] tells which.
    Put,
    /// The key was removed, by a delete or by the end of its lease.
    Delete,
}

/// One change of one key. Events of one transaction share a revision and arrive together.
#[derive(Debug)]
pub struct Event {
    /// The transaction that made the change.
    pub revision: Revision,
    /// What happened to the key.
    pub kind: EventKind,
    /// The key after the change. A delete carries the last value, presented again with the deletion's revision,
    /// which is also its `mod_revision`: Kubernetes' `DELETED` events show that number.
    pub entry: Entry,
    /// The key before the change, if it existed.
    pub previous: Option<Entry>,
    /// Where the stored forms of the two lie.
    pub(crate) place: Place,
    /// Where the record that this one supersedes lies.
    pub(crate) previous_place: Option<Place>,
}

/// Address of one change in the engine: the transaction's revision and the change's number within it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Place {
    pub(crate) revision: Revision,
    pub(crate) index: u32,
}

/// A live key as the store keeps it: the entry that readers get, and what only the store needs.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) entry: Entry,
    pub(crate) place: Place,
    pub(crate) lease: Option<LeaseId>,
    /// How to get the stored bytes back from `entry.value`.
    pub(crate) presented: Presented,
}

// === impl Revision ===

impl Revision {
    /// The empty store.
    pub const ZERO: Self = Self(0);

    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl Place ===

impl Place {
    /// No change of a revision lies after this place, and no change of a younger one before it.
    pub(crate) fn last_of(revision: Revision) -> Self {
        Self { revision, index: u32::MAX }
    }
}

// === impl LeaseId ===

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// === impl Entry ===

impl fmt::Debug for Entry {
    /// Leaves the value out: it may be a Secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("key", &self.key)
            .field("bytes", &self.value.len())
            .field("create_revision", &self.create_revision.0)
            .field("mod_revision", &self.mod_revision.0)
            .field("version", &self.version)
            .finish()
    }
}

// === impl Event ===

impl Event {
    /// Whether the change made the key.
    #[must_use]
    pub fn is_create(&self) -> bool {
        self.kind == EventKind::Put && self.previous.is_none()
    }

    /// The changes on disk that nobody needs once this event is compacted: what it superseded, and itself if it only says
    /// that nothing is there.
    pub(crate) fn superfluous(&self) -> impl Iterator<Item = Place> {
        let tombstone = (self.kind == EventKind::Delete).then_some(self.place);
        self.previous_place.into_iter().chain(tombstone)
    }

    /// Bytes that stay in memory only because this event remembers what was there before.
    pub(crate) fn history_bytes(&self) -> usize {
        self.previous.as_ref().map_or(0, |previous| previous.value.len()) + size_of::<Self>()
    }
}
