//! Errors of the runtime, in the words that users know from Kubernetes.

use tonic::{Code, Status};

/// What the runtime did not do.
///
/// Its text is what other kubelets show: `rpc error: code = NotFound desc = ...`.
#[derive(Clone, Debug, thiserror::Error)]
#[error("rpc error: code = {} desc = {message}", code_name(*.code))]
pub struct RuntimeError {
    /// The CRI call.
    pub call: &'static str,
    /// gRPC's code.
    pub code: Code,
    /// What the runtime said.
    pub message: String,
}

/// An endpoint that is no unix socket.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot use the container runtime endpoint `{endpoint}`: write unix:///path/of/the/socket")]
pub struct InvalidEndpoint {
    /// What was given.
    pub endpoint: String,
}

// === impl RuntimeError ===

impl RuntimeError {
    pub(super) fn new(call: &'static str, status: Status) -> Self {
        Self { call, code: status.code(), message: status.message().to_owned() }
    }

    /// Whether the object is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code == Code::NotFound
    }
}

/// Nothing for an object that is not there.
pub(super) fn found<T>(result: Result<T, RuntimeError>) -> Result<Option<T>, RuntimeError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// gRPC's codes as its Go library writes them.
fn code_name(code: Code) -> String {
    match code {
        Code::Ok => "OK".to_owned(),
        Code::Cancelled => "Canceled".to_owned(),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_kubectl_users_know_it() {
        let error = RuntimeError::new("PullImage", Status::not_found("failed to resolve reference \"x\""));
        assert_eq!(error.to_string(), "rpc error: code = NotFound desc = failed to resolve reference \"x\"");
        let error = RuntimeError::new("StartContainer", Status::cancelled("context canceled"));
        assert_eq!(error.to_string(), "rpc error: code = Canceled desc = context canceled");
    }
}
