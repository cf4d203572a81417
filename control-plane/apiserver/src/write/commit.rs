//! Commits and what their failures mean to a client.

use sheave_store::{CommitError, Committed, Operation};

use crate::call::Call;
use crate::status::StatusError;

/// A commit that did not happen.
pub(super) enum Refused {
    /// The expectation of the operation with this index did not hold.
    Conflict(usize),
    /// Anything else.
    Failed(StatusError),
}

/// Commits, and waits until what this server derives from the written objects is up to date: the next request of the
/// same client must see its own roles.
pub(super) async fn commit(call: &Call, operations: Vec<Operation>) -> Result<Committed, Refused> {
    match call.server.store.commit(operations).await {
        Ok(committed) => {
            call.server.caught_up(&call.kind, committed.revision).await;
            Ok(committed)
        }
        Err(CommitError::Conflict { index, .. }) => Err(Refused::Conflict(index)),
        Err(error) => Err(Refused::Failed(failed(&error))),
    }
}

/// What the client gets for a commit that no retry of ours can save.
pub(crate) fn failed(error: &CommitError) -> StatusError {
    match error {
        CommitError::TooLarge { limit, .. } => StatusError::too_large(*limit),
        CommitError::Unavailable { .. } | CommitError::Unknown { .. } | CommitError::Closed => {
            StatusError::unavailable(error.to_string())
        }
        CommitError::Conflict { .. } | CommitError::Invalid(_) | CommitError::LeaseNotFound(_) => {
            StatusError::internal(error)
        }
    }
}
