//! Why a patch was refused, with the parts of the `Status` that says so.

use thiserror::Error;

use crate::apply::ApplyError;
use crate::json::JsonError;
use crate::limits::TooDeep;
use crate::strategic::StrategicError;

/// A refused patch.
///
/// Its [`Display`](std::fmt::Display) is the `message` of the `Status`.
#[derive(Debug, Error)]
pub enum PatchError {
    /// A JSON Patch or a merge patch.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A strategic merge patch.
    #[error(transparent)]
    Strategic(#[from] StrategicError),
    /// A server-side apply.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A document or a patch that is nested too deeply.
    #[error(transparent)]
    TooDeep(#[from] TooDeep),
}

/// One of `details.causes` of a `Status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// `FieldManagerConflict`, `FieldValueInvalid`.
    pub reason: &'static str,
    /// What is wrong, for people.
    pub message: String,
    /// Where.
    pub field: String,
}

// === impl PatchError ===

impl PatchError {
    /// The HTTP status code.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::Json(error) => error.code(),
            Self::Strategic(error) => error.code(),
            Self::Apply(error) => error.code(),
            Self::TooDeep(_) => 400,
        }
    }

    /// The `reason` of the `Status`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self.code() {
            409 => "Conflict",
            413 => "RequestEntityTooLarge",
            422 => "Invalid",
            500 => "InternalError",
            _ => "BadRequest",
        }
    }

    /// The `details.causes` of the `Status`.
    #[must_use]
    pub fn causes(&self) -> Vec<Cause> {
        match self {
            Self::Json(error) => error.causes(),
            Self::Apply(error) => error.causes(),
            Self::Strategic(_) | Self::TooDeep(_) => Vec::new(),
        }
    }
}
