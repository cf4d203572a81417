//! What is wrong with a body, in Kubernetes' words.

use std::fmt;

use crate::kind::GroupVersionKind;

/// A field that is not as it should be, though the document can be read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Finding {
    /// What is wrong with it.
    pub kind: FindingKind,
    /// The field: `spec.containers[0].imagePullPolicy`.
    pub path: String,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FindingKind {
    /// The type has no such field.
    Unknown,
    /// It is there more than once.
    Duplicate,
}

/// Why a body is no document of its type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not of their format.
    #[error("{0}")]
    Syntax(String),
    /// A value is not of its field's type.
    #[error("{0}")]
    Type(String),
    /// Lists and objects are nested too deep.
    #[error("exceeded max depth")]
    Depth,
}

/// Why a request's body is refused: always a 400 `BadRequest` with this text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The body is not of its format.
    #[error(
        "the object provided is unrecognized (must be of type {kind}): \
         couldn't get version/kind; json parse error: {reason} ({summary})"
    )]
    Unrecognized {
        /// The kind that was expected.
        kind: String,
        /// The parser's reason.
        reason: String,
        /// The body's first bytes.
        summary: String,
    },
    /// The body is an object that the request cannot take.
    #[error("{kind} in version {version:?} cannot be handled as a {expected}: {reason}")]
    Unhandled {
        /// The body's kind.
        kind: String,
        /// The body's version, without the group.
        version: String,
        /// The kind that was expected.
        expected: String,
        /// Why.
        reason: String,
    },
    /// The body is of another version of the right kind.
    #[error("the API version in the data ({actual}) does not match the expected API version ({expected})")]
    OtherVersion {
        /// The body's `apiVersion`.
        actual: String,
        /// The path's.
        expected: String,
    },
    /// The server asked for a kind that it does not know.
    #[error("no kind {kind:?} is registered for version {api_version:?}")]
    NotRegistered {
        /// The kind.
        kind: String,
        /// Its group and version.
        api_version: String,
    },
}

/// The bytes of a body that an error shows.
const SUMMARY_LENGTH: usize = 30;

/// All findings as the one error of strict validation.
#[must_use]
pub fn strict_error(findings: &[Finding]) -> String {
    let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
    format!("strict decoding error: {}", findings.join(", "))
}

// === impl Finding ===

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            FindingKind::Unknown => "unknown field",
            FindingKind::Duplicate => "duplicate field",
        };
        write!(f, "{kind} {:?}", self.path)
    }
}

// === impl BodyError ===

impl BodyError {
    pub(super) fn unrecognized(expected: &GroupVersionKind, reason: &str, body: &[u8]) -> Self {
        Self::Unrecognized { kind: expected.kind.clone(), reason: reason.to_owned(), summary: summarize(body) }
    }

    pub(super) fn unhandled(actual: &GroupVersionKind, expected: &GroupVersionKind, reason: String) -> Self {
        Self::Unhandled {
            kind: actual.kind.clone(),
            version: actual.version.clone(),
            expected: expected.kind.clone(),
            reason,
        }
    }
}

/// The beginning of a body: as text when it looks like JSON, else in hexadecimal.
fn summarize(body: &[u8]) -> String {
    let Some(first) = body.first() else {
        return "<empty>".to_owned();
    };
    let start = &body[..body.len().min(SUMMARY_LENGTH)];
    let text = match first {
        b'{' => String::from_utf8_lossy(start).into_owned(),
        _ => start.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    if body.len() > SUMMARY_LENGTH { format!("{text} ...") } else { text }
}
