//! Opening: from what the engine kept to the first view.

use std::path::PathBuf;
use std::sync::Arc;

use crate::draft::{change_to_record, deletion, writing};
use crate::engine::{Change, Engine};
use crate::entry::Place;
use crate::lease::Leases;
use crate::presented::Present;
use crate::view::View;
use crate::{EventKind, History, Options, Revision};

/// A store that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is not a store's, or damaged.
    #[error("{} is not a readable store: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file was written in a format that this version does not know. The file is left as it is.
    #[error("{} has format {found}; this version reads format {supported}: open it with the version that wrote it", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// The format that the file says it has.
        found: u64,
        /// The format that this version reads and writes.
        supported: u64,
    },
    /// Another process, or another handle of this one, has the file open.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The disk failed.
    #[error("cannot use {}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What failed.
        #[source]
        source: std::io::Error,
    },
    /// The system gave no thread or timer.
    #[error("cannot start the store's threads")]
    Thread(#[source] std::io::Error),
}

/// What a store starts with.
pub(crate) struct Opened {
    pub(crate) view: View,
    pub(crate) leases: Leases,
    /// Changes that a compaction made superfluous and that are still on disk.
    pub(crate) removals: Vec<Place>,
}

/// Reads everything back.
pub(crate) fn load(engine: &mut impl Engine, options: &Options) -> Result<Opened, OpenError> {
    let standing = engine.standing()?;
    let mut loading = Loading {
        view: View::starting_at(standing.compacted),
        removals: Vec::new(),
        compacted: standing.compacted,
        present: &options.present,
    };
    engine.changes(&mut |change| loading.take(&change))?;
    let mut leases = Leases::restore(&standing.leases, standing.last_lease);
    for record in loading.view.records() {
        if let Some(lease) = record.lease {
            leases.attach(lease, record.entry.key.clone());
        }
    }
    loading.limit_history(&options.history);
    Ok(Opened { view: loading.view, leases, removals: loading.removals })
}

struct Loading<'a> {
    view: View,
    removals: Vec<Place>,
    compacted: Revision,
    present: &'a Present,
}

// === impl Loading ===

impl Loading<'_> {
    fn take(&mut self, change: &Change) {
        if change.place.revision <= self.compacted { self.take_base(change) } else { self.take_event(change) }
    }

    /// A change before the history begins: only what it leaves behind counts.
    fn take_base(&mut self, change: &Change) {
        let record = match change.kind {
            EventKind::Put => Some(Arc::new(change_to_record(self.present, change))),
            EventKind::Delete => {
                self.removals.push(change.place);
                None
            }
        };
        let superseded = self.view.set_base(&change.key, record);
        self.removals.extend(superseded.map(|record| record.place));
    }

    fn take_event(&mut self, change: &Change) {
        let previous = self.view.record(&change.key).cloned();
        let (event, record) = match (change.kind, &previous) {
            (EventKind::Put, previous) => {
                let record = change_to_record(self.present, change);
                (writing(&record, previous.as_deref()), Some(Arc::new(record)))
            }
            (EventKind::Delete, Some(previous)) => (deletion(self.present, change.place, previous), None),
            // No commit deletes what is not there.
            (EventKind::Delete, None) => return,
        };
        self.view.apply(Arc::new(event), record);
    }

    /// The limits may be lower than when the history was written.
    fn limit_history(&mut self, history: &History) {
        if let Some(revision) = self.view.compaction_to(history.events, history.bytes) {
            self.view.compact(revision, |event| self.removals.extend(event.superfluous()));
        }
    }
}
