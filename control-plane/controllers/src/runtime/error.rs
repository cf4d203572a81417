//! Why a reconcile failed.

use kube::core::Status;

/// A failed step of a reconcile. Every one is retried, with back-off.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused a request or could not be reached.
    #[error("failed to {action} {object}")]
    Api {
        /// What was tried, such as `create pod`.
        action: &'static str,
        /// What it was tried on.
        object: String,
        /// What the server or the transport said.
        #[source]
        source: Box<kube::Error>,
    },
    /// An object says something that its controller cannot work with; its owner must change it.
    #[error("{object} cannot be reconciled: {reason}")]
    Invalid {
        /// Kind and key of the object.
        object: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Several steps of one reconcile failed; the first is told.
    #[error("{failed} steps failed, the first")]
    Several {
        /// How many failed.
        failed: usize,
        /// The first of them.
        #[source]
        first: Box<Error>,
    },
}

// === impl Error ===

impl Error {
    /// For `map_err`: names the action and the object.
    pub fn api(action: &'static str, object: impl ToString) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Api { action, object: object.to_string(), source: Box::new(source) }
    }

    /// The status that the API server answered with, if it answered.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Api { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            Self::Invalid { .. } | Self::Several { .. } => None,
        }
    }

    /// The object changed since it was read: the next run, with a fresher copy, will do better.
    pub fn is_conflict(&self) -> bool {
        match self {
            Self::Several { first, .. } => first.is_conflict(),
            Self::Api { .. } | Self::Invalid { .. } => self.status().is_some_and(Status::is_conflict),
        }
    }

    /// The object is not there.
    pub fn is_not_found(&self) -> bool {
        self.status().is_some_and(Status::is_not_found)
    }

    /// An object of that name is there already.
    pub fn is_already_exists(&self) -> bool {
        self.status().is_some_and(Status::is_already_exists)
    }

    /// The server refuses new objects because their namespace is being deleted.
    pub fn is_namespace_terminating(&self) -> bool {
        let causes = self.status().and_then(|status| status.details.as_ref()).map(|details| &details.causes);
        causes.is_some_and(|causes| causes.iter().any(|cause| cause.reason == "NamespaceTerminating"))
    }

    /// The server's own words, as events repeat them to users.
    pub fn message(&self) -> String {
        match self.status() {
            Some(status) => status.message.clone(),
            None => match self {
                Self::Api { source, .. } => source.to_string(),
                Self::Invalid { reason, .. } => reason.clone(),
                Self::Several { first, .. } => first.message(),
            },
        }
    }

    /// One error for all `failures`; `Ok` when there is none.
    pub fn collect(failures: impl IntoIterator<Item = Self>) -> Result<(), Self> {
        let mut failures: Vec<_> = failures.into_iter().collect();
        match failures.len() {
            0 => Ok(()),
            1 => Err(failures.remove(0)),
            failed => Err(Self::Several { failed, first: Box::new(failures.remove(0)) }),
        }
    }
}

/// Treats "not found" as done: what was to be changed or removed is gone already.
pub fn ignore_not_found<T>(result: Result<T, Error>) -> Result<(), Error> {
    match result {
        Ok(_) => Ok(()),
        Err(error) if error.is_not_found() => Ok(()),
        Err(error) => Err(error),
    }
}
