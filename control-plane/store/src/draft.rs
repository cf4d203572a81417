//! A group of transactions that have been decided and are not yet durable.
//!
//! A draft holds the view as it will be. Each transaction is decided on that view, so a later one of the same group sees
//! the earlier ones; nobody outside sees any of them before the whole group is on disk.

use std::sync::Arc;

use bytes::Bytes;

use crate::engine::{Change, Group};
use crate::entry::{Place, Record};
use crate::lease::Leases;
use crate::presented::{Present, Presented};
use crate::view::View;
use crate::{CommitError, Committed, Entry, Event, EventKind, LeaseId, Operation, Revision};

/// The next view, and what must go to disk before it may be published.
pub(crate) struct Draft {
    pub(crate) view: View,
    pub(crate) group: Group,
    /// Leases that keys joined and left, in order.
    pub(crate) attachments: Vec<Attachment>,
    /// Changes that no readable revision of the next view needs.
    pub(crate) freed: Vec<Place>,
    present: Present,
}

/// A key's move from one lease to another.
pub(crate) struct Attachment {
    pub(crate) key: Arc<str>,
    pub(crate) before: Option<LeaseId>,
    pub(crate) after: Option<LeaseId>,
}

// === impl Draft ===

impl Draft {
    pub(crate) fn new(view: View, present: Present) -> Self {
        Self { view, group: Group::default(), attachments: Vec::new(), freed: Vec::new(), present }
    }

    /// Decides one transaction.
    pub(crate) fn commit(&mut self, operations: Vec<Operation>, leases: &Leases) -> Result<Committed, CommitError> {
        self.check(&operations, leases)?;
        let revision = self.view.revision().next();
        let mut entries = Vec::with_capacity(operations.len());
        for operation in operations {
            entries.push(match operation {
                Operation::Put { key, value, lease, .. } => Some(self.put(revision, key, value, lease)),
                Operation::Delete { key, .. } => self.delete(revision, &key),
                Operation::Check { key, .. } => self.view.entry(&key).cloned(),
            });
        }
        Ok(Committed { revision: self.view.revision(), entries })
    }

    /// Every expectation is about the state before the transaction.
    fn check(&self, operations: &[Operation], leases: &Leases) -> Result<(), CommitError> {
        for (index, operation) in operations.iter().enumerate() {
            let current = self.view.entry(operation.key());
            if !operation.expect().holds(current) {
                return Err(CommitError::Conflict { index, current: current.cloned() });
            }
            if let Operation::Put { lease: Some(lease), .. } = operation
                && !leases.contains(*lease)
            {
                return Err(CommitError::LeaseNotFound(*lease));
            }
        }
        Ok(())
    }

    fn put(&mut self, revision: Revision, key: String, stored: Bytes, lease: Option<LeaseId>) -> Entry {
        let previous = self.view.record(&key).cloned();
        let key = previous.as_ref().map_or_else(|| Arc::from(key), |previous| previous.entry.key.clone());
        let (create_revision, version) = match &previous {
            Some(previous) => (previous.entry.create_revision, previous.entry.version + 1),
            None => (revision, 1),
        };
        let place = self.next_place(revision);
        self.group.changes.push(Change {
            place,
            kind: EventKind::Put,
            key: key.clone(),
            value: stored.clone(),
            create_revision,
            version,
            lease,
        });
        self.apply(change_to_record(&self.present, &self.group.changes[self.group.changes.len() - 1]), previous)
    }

    /// Removes a key, if it is there. Gives its last entry.
    pub(crate) fn delete(&mut self, revision: Revision, key: &str) -> Option<Entry> {
        let previous = self.view.record(key).cloned()?;
        let place = self.next_place(revision);
        let key = previous.entry.key.clone();
        let Entry { create_revision, version, .. } = previous.entry;
        let change =
            Change { place, kind: EventKind::Delete, key, value: Bytes::new(), create_revision, version, lease: None };
        self.group.changes.push(change);
        let event = deletion(&self.present, place, &previous);
        let entry = event.entry.clone();
        self.note_lease(&entry.key, previous.lease, None);
        self.view.apply(Arc::new(event), None);
        Some(entry)
    }

    /// Forgets the history up to a revision.
    pub(crate) fn compact(&mut self, revision: Revision) {
        self.view.compact(revision, |event| self.freed.extend(event.superfluous()));
    }

    /// Has changes removed from disk. Whoever reads the rest must know that there was more.
    pub(crate) fn remove(&mut self, places: impl Iterator<Item = Place>) {
        self.group.removals.extend(places);
        if !self.group.removals.is_empty() {
            self.group.compacted = Some(self.view.compacted());
        }
    }

    fn apply(&mut self, record: Record, previous: Option<Arc<Record>>) -> Entry {
        let entry = record.entry.clone();
        self.note_lease(&entry.key, previous.as_ref().and_then(|previous| previous.lease), record.lease);
        self.view.apply(Arc::new(writing(&record, previous.as_deref())), Some(Arc::new(record)));
        entry
    }

    fn note_lease(&mut self, key: &Arc<str>, before: Option<LeaseId>, after: Option<LeaseId>) {
        if before != after {
            self.attachments.push(Attachment { key: key.clone(), before, after });
        }
    }

    fn next_place(&self, revision: Revision) -> Place {
        let last = self.group.changes.last().map(|change| change.place);
        let index = last.filter(|place| place.revision == revision).map_or(0, |place| place.index + 1);
        Place { revision, index }
    }
}

/// What a put leaves behind.
pub(crate) fn change_to_record(present: &Present, change: &Change) -> Record {
    let revision = change.place.revision;
    let (value, presented) = Presented::new(present, &change.key, revision, change.value.clone());
    let entry = Entry {
        key: change.key.clone(),
        value,
        create_revision: change.create_revision,
        mod_revision: revision,
        version: change.version,
    };
    Record { entry, place: change.place, lease: change.lease, presented }
}

/// The event of a put.
pub(crate) fn writing(record: &Record, previous: Option<&Record>) -> Event {
    Event {
        revision: record.place.revision,
        kind: EventKind::Put,
        entry: record.entry.clone(),
        previous: previous.map(|previous| previous.entry.clone()),
        place: record.place,
        previous_place: previous.map(|previous| previous.place),
    }
}

/// The event of a delete: the last stored bytes, presented with the deletion's revision.
pub(crate) fn deletion(present: &Present, place: Place, previous: &Record) -> Event {
    let last = &previous.entry;
    let stored = previous.presented.stored(&last.value);
    let value = present(&last.key, place.revision, &stored);
    let entry = Entry { value, mod_revision: place.revision, ..last.clone() };
    Event {
        revision: place.revision,
        kind: EventKind::Delete,
        entry,
        previous: Some(last.clone()),
        place,
        previous_place: Some(previous.place),
    }
}
