//! Where a store keeps what it holds: the seam between the store's semantics and a disk.
//!
//! The store decides (compares, assigns revisions) on its commit thread and hands the engine groups of finished
//! transactions.

mod embedded;
mod format;
mod guarded;
mod volatile;

use bytes::Bytes;

pub(crate) use self::embedded::Embedded;
pub(crate) use self::guarded::{Guarded, opening};
pub(crate) use self::volatile::Volatile;
use crate::entry::Place;
use crate::{EventKind, LeaseId, OpenError, Revision};

/// A place to keep a store. One thread owns it; none of its methods is called while another runs.
pub(crate) trait Engine: Send + 'static {
    /// How things stood when the engine was last closed, or stopped. Called once, before anything else.
    fn standing(&mut self) -> Result<Standing, OpenError>;

    /// Every change that is kept, in the order of their places. Called once, after [`Self::standing`].
    fn changes(&mut self, each: &mut dyn FnMut(Change)) -> Result<(), OpenError>;

    /// Makes a group durable, all of it or nothing.
    fn append(&mut self, group: &Group) -> Result<(), EngineError>;

    /// After a failed append: makes the engine usable again and gives the last revision that is durable.
    fn recover(&mut self) -> Result<Revision, EngineError>;
}

/// One change of one key, as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    pub(crate) place: Place,
    pub(crate) kind: EventKind,
    pub(crate) key: std::sync::Arc<str>,
    /// Empty for a delete.
    pub(crate) value: Bytes,
    pub(crate) create_revision: Revision,
    pub(crate) version: u64,
    pub(crate) lease: Option<LeaseId>,
}

/// A lease as it is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct StoredLease {
    pub(crate) id: LeaseId,
    /// What was granted, in milliseconds.
    pub(crate) ttl_ms: u64,
    /// When it ends by the wall clock, in milliseconds since 1970.
    pub(crate) expires_unix_ms: u64,
}

/// What becomes durable together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Group {
    /// Changes of consecutive revisions, in order.
    pub(crate) changes: Vec<Change>,
    /// Places of changes that no readable revision needs any longer.
    pub(crate) removals: Vec<Place>,
    /// The oldest readable revision, if it moves.
    pub(crate) compacted: Option<Revision>,
    /// Leases that were granted or prolonged.
    pub(crate) leases: Vec<StoredLease>,
    /// Leases that ended.
    pub(crate) ended_leases: Vec<LeaseId>,
}

/// How a store stands when it is opened, changes aside.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Standing {
    pub(crate) compacted: Revision,
    pub(crate) leases: Vec<StoredLease>,
    /// The highest lease id ever given.
    pub(crate) last_lease: u64,
}

/// A failure of the engine.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// The group is not durable and never will be: a full disk, found before the commit.
    #[error("{0}")]
    Rejected(String),
    /// The group may be durable or not: the disk failed at the commit itself.
    #[error("{0}")]
    Unknown(String),
    /// As [`Self::Unknown`], because what is on the disk made the engine panic.
    #[error("{0}")]
    Damaged(String),
}

// === impl Group ===

impl Group {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
