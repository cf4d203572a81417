//! Requests to the commit thread, and the answers it owes until their group is durable.

use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{CommitError, Committed, LeaseError, LeaseId, Operation, Revision};

/// Where an answer goes.
pub(crate) type Reply<T, E> = oneshot::Sender<Result<T, E>>;

/// A compaction that did not happen.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// The history before this revision is gone already.
    #[error("the revision has been compacted: the oldest that can be read is {oldest}")]
    Compacted {
        /// The oldest revision that can be read.
        oldest: Revision,
    },
    /// The store has not got that far.
    #[error("the revision lies in the future: the current one is {current}")]
    Future {
        /// The current revision.
        current: Revision,
    },
    /// The disk did not take the change; see [`CommitError`].
    #[error("the store cannot write: {reason}")]
    Unavailable {
        /// What the disk said.
        reason: String,
    },
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}

/// What the handles ask of the commit thread.
pub(crate) enum Request {
    Commit { operations: Vec<Operation>, room: OwnedSemaphorePermit, reply: Reply<Committed, CommitError> },
    Grant { ttl: Duration, reply: Reply<LeaseId, LeaseError> },
    KeepAlive { lease: LeaseId, reply: Reply<(), LeaseError> },
    Revoke { lease: LeaseId, reply: Reply<(), LeaseError> },
    Compact { revision: Revision, reply: Reply<(), CompactError> },
}

/// An answer that may be given once its group is durable. A refusal waits too: it may tell of a state that a transaction
/// of the same group has made.
pub(crate) enum Answer {
    Commit { reply: Reply<Committed, CommitError>, decided: Result<Committed, CommitError> },
    Grant { reply: Reply<LeaseId, LeaseError>, lease: LeaseId },
    Lease { reply: Reply<(), LeaseError>, decided: Result<(), LeaseError> },
    Compact { reply: Reply<(), CompactError>, decided: Result<(), CompactError> },
}

/// Why a group is not durable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Failure {
    pub(crate) reason: String,
    /// Whether it is certain that the group did not happen and never will.
    pub(crate) is_certain: bool,
}

// === impl Request ===

impl Request {
    /// Answers without having tried.
    pub(crate) fn refuse(self, failure: &Failure) {
        // Nobody may be waiting any more; that is their affair.
        match self {
            Self::Commit { reply, .. } => drop(reply.send(Err(failure.clone().into()))),
            Self::Grant { reply, .. } => drop(reply.send(Err(failure.clone().into()))),
            Self::KeepAlive { reply, .. } | Self::Revoke { reply, .. } => {
                drop(reply.send(Err(failure.clone().into())));
            }
            Self::Compact { reply, .. } => drop(reply.send(Err(failure.clone().into()))),
        }
    }
}

// === impl Answer ===

impl Answer {
    pub(crate) fn give(self, outcome: &Result<(), Failure>) {
        let outcome = outcome.clone();
        match self {
            Self::Commit { reply, decided } => drop(reply.send(outcome.map_err(Into::into).and(decided))),
            Self::Grant { reply, lease } => drop(reply.send(outcome.map_err(Into::into).map(|()| lease))),
            Self::Lease { reply, decided } => drop(reply.send(outcome.map_err(Into::into).and(decided))),
            Self::Compact { reply, decided } => drop(reply.send(outcome.map_err(Into::into).and(decided))),
        }
    }
}

// === impl Failure ===

impl From<Failure> for CommitError {
    fn from(Failure { reason, is_certain }: Failure) -> Self {
        if is_certain { Self::Unavailable { reason } } else { Self::Unknown { reason } }
    }
}

impl From<Failure> for LeaseError {
    fn from(Failure { reason, is_certain }: Failure) -> Self {
        if is_certain { Self::Unavailable { reason } } else { Self::Unknown { reason } }
    }
}

impl From<Failure> for CompactError {
    /// Compacting twice does no harm, so certainty makes no difference.
    fn from(Failure { reason, .. }: Failure) -> Self {
        Self::Unavailable { reason }
    }
}
