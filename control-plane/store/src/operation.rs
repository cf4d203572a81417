//! What a commit is made of, what it answers, and how it fails.

use bytes::Bytes;

use crate::{Entry, LeaseId, Revision};

/// What must hold for a key, before the transaction, for the transaction to happen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    /// The key does not exist: a create.
    Absent,
    /// The key exists and was last written by this revision: compare-and-swap.
    Revision(Revision),
    /// The key exists.
    Present,
    /// Nothing is expected.
    Any,
}

/// One step of a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Writes a key.
    Put {
        /// The key to write.
        key: String,
        /// The bytes to store.
        value: Bytes,
        /// What must hold for the key before.
        expect: Expect,
        /// The lease whose end deletes the key; `None` also detaches a lease that an earlier put attached.
        lease: Option<LeaseId>,
    },
    /// Removes a key. Removing a key that is absent, where that is not a conflict, changes nothing.
    Delete {
        /// The key to remove.
        key: String,
        /// What must hold for the key before.
        expect: Expect,
    },
    /// Changes nothing, but makes the transaction depend on a key.
    Check {
        /// The key to look at.
        key: String,
        /// What must hold for the key.
        expect: Expect,
    },
}

/// A commit that happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Committed {
    /// The revision that the transaction made; the current one if it changed nothing.
    pub revision: Revision,
    /// For each operation, in order: the entry that a put made, the entry that a delete removed (presented with
    /// `revision`), the entry that a check saw.
    pub entries: Vec<Option<Entry>>,
}

/// A commit that did not happen, or of which nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// An expectation did not hold; nothing was changed. `index` is the operation's, `current` the key as it is.
    #[error("operation {index} expected another state of its key{}", describe(current.as_ref()))]
    Conflict {
        /// The first operation whose expectation did not hold.
        index: usize,
        /// The key's durable state that was in the way.
        current: Option<Entry>,
    },
    /// A key, a value or the whole transaction is larger than the store's limits; nothing was changed.
    #[error("{what} is {size} bytes long; at most {limit} are allowed")]
    TooLarge {
        /// The offending part, naming the key.
        what: String,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The transaction makes no sense; nothing was changed.
    #[error("invalid transaction: {0}")]
    Invalid(String),
    /// A put names a lease that has ended or never was; nothing was changed.
    #[error("lease {0} does not exist: it was revoked or has expired; grant another one")]
    LeaseNotFound(LeaseId),
    /// The disk did not take the write; nothing was changed and nothing will be. Reads and watches go on, and commits
    /// work again as soon as the disk does.
    #[error("the store cannot write: {reason}")]
    Unavailable {
        /// What the disk said.
        reason: String,
    },
    /// The disk failed in a way that leaves open whether the write is on it. The store does not serve the write. It accepts
    /// no other one until it has read back from the disk what is there; the write then has happened, and appears in
    /// reads and watches, or never will.
    #[error("the store does not know whether the write is durable: {reason}; read the key again before a retry")]
    Unknown {
        /// What the disk said.
        reason: String,
    },
    /// The store has been closed; whether a transaction that was under way happened is not known.
    #[error("the store is closed")]
    Closed,
}

fn describe(current: Option<&Entry>) -> String {
    match current {
        Some(entry) => format!(": {} exists at revision {}", entry.key, entry.mod_revision),
        None => ": it does not exist".to_owned(),
    }
}

// === impl Expect ===

impl Expect {
    pub(crate) fn holds(self, current: Option<&Entry>) -> bool {
        match self {
            Self::Absent => current.is_none(),
            Self::Revision(revision) => current.is_some_and(|entry| entry.mod_revision == revision),
            Self::Present => current.is_some(),
            Self::Any => true,
        }
    }
}

// === impl Operation ===

impl Operation {
    /// A put that makes a key.
    pub fn create(key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        Self::Put { key: key.into(), value: value.into(), expect: Expect::Absent, lease: None }
    }

    /// A put that replaces what `revision` wrote.
    pub fn update(key: impl Into<String>, value: impl Into<Bytes>, revision: Revision) -> Self {
        Self::Put { key: key.into(), value: value.into(), expect: Expect::Revision(revision), lease: None }
    }

    /// A put that does not care what is there.
    pub fn put(key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        Self::Put { key: key.into(), value: value.into(), expect: Expect::Any, lease: None }
    }

    /// A delete.
    pub fn delete(key: impl Into<String>, expect: Expect) -> Self {
        Self::Delete { key: key.into(), expect }
    }

    /// A condition.
    pub fn check(key: impl Into<String>, expect: Expect) -> Self {
        Self::Check { key: key.into(), expect }
    }

    /// The key that the operation is about.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Put { key, .. } | Self::Delete { key, .. } | Self::Check { key, .. } => key,
        }
    }

    /// What must hold for the key.
    #[must_use]
    pub fn expect(&self) -> Expect {
        match self {
            Self::Put { expect, .. } | Self::Delete { expect, .. } | Self::Check { expect, .. } => *expect,
        }
    }

    pub(crate) fn size(&self) -> usize {
        let value = if let Self::Put { value, .. } = self { value.len() } else { 0 };
        self.key().len() + value
    }
}
