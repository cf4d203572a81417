//! JSON Patch ([RFC 6902](https://www.rfc-editor.org/rfc/rfc6902)) and merge patch
//! ([RFC 7386](https://www.rfc-editor.org/rfc/rfc7386)), with the answers of a Kubernetes API server.

use json_patch::jsonptr::Pointer;
use json_patch::{PatchErrorKind, PatchOperation};
use sheave_api::Document;
use thiserror::Error;

use crate::error::{Cause, PatchError};
use crate::limits::check_depth;

/// Operations that one JSON Patch may hold, as in Kubernetes.
pub const MAX_OPERATIONS: usize = 10_000;

/// Bytes of JSON that the `copy` operations of one patch may add together, as in Kubernetes.
pub const MAX_COPIED_BYTES: usize = 3 * 1024 * 1024;

/// Operations between two looks at the depth of the document; each can deepen it by the length of one path.
const DEPTH_CHECK_INTERVAL: usize = 16;

/// Why a JSON Patch or a merge patch was refused.
#[derive(Debug, Error)]
pub enum JsonError {
    /// 400: the patch is not a list of operations.
    #[error("error decoding patch: {0}")]
    Malformed(#[source] serde_json::Error),
    /// 400: a merge patch that is not an object.
    #[error("Invalid JSON Patch")]
    NotAnObject,
    /// 413: more than [`MAX_OPERATIONS`].
    #[error("The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {0}")]
    TooManyOperations(usize),
    /// 422: an operation does not apply, a `test` among them. The message is Kubernetes' own, the detail is a cause.
    #[error("the server rejected our request due to an error in our request")]
    DoesNotApply {
        /// The JSON pointer of the operation.
        path: String,
        /// Which operation failed and why.
        detail: String,
    },
}

/// Applies a JSON Patch to `target`: all operations, or none and an error.
///
/// # Errors
/// [`JsonError`], or that the patch nests the document too deeply.
pub fn apply_patch(mut target: Document, patch: &Document) -> Result<Document, PatchError> {
    let operations = parse(patch)?;
    let mut copied = 0;
    for (index, operation) in operations.iter().enumerate() {
        if !tests_that_nothing_is_there(&target, operation) {
            copied += copied_bytes(&target, operation, MAX_COPIED_BYTES - copied)?;
            json_patch::patch_unsafe(&mut target, std::slice::from_ref(operation))
                .map_err(|error| does_not_apply(operation, &error.kind))?;
        }
        if (index + 1) % DEPTH_CHECK_INTERVAL == 0 {
            check_depth(&target)?;
        }
    }
    check_depth(&target)?;
    Ok(target)
}

/// Applies a merge patch to `target`: objects merge, null removes, everything else replaces.
///
/// # Errors
/// The patch is not an object, or is nested too deeply.
pub fn apply_merge(mut target: Document, patch: &Document) -> Result<Document, PatchError> {
    if !patch.is_object() {
        return Err(JsonError::NotAnObject.into());
    }
    check_depth(patch)?;
    json_patch::merge(&mut target, patch);
    Ok(target)
}

fn parse(patch: &Document) -> Result<Vec<PatchOperation>, PatchError> {
    if let Some(count) = patch.as_array().map(Vec::len).filter(|count| *count > MAX_OPERATIONS) {
        return Err(JsonError::TooManyOperations(count).into());
    }
    check_depth(patch)?;
    let patch: json_patch::Patch = serde_json::from_value(patch.clone()).map_err(JsonError::Malformed)?;
    Ok(patch.0)
}

/// Whether this is a `test` for null of a place that does not exist. Kubernetes lets it pass, RFC 6902 does not;
/// controllers use it to add a map only where there is none.
fn tests_that_nothing_is_there(target: &Document, operation: &PatchOperation) -> bool {
    matches!(operation, PatchOperation::Test(test)
        if test.value.is_null() && target.pointer(test.path.as_str()).is_none())
}

/// The size of what a `copy` adds, refused when it exceeds what is `left` of [`MAX_COPIED_BYTES`].
fn copied_bytes(target: &Document, operation: &PatchOperation, left: usize) -> Result<usize, JsonError> {
    let PatchOperation::Copy(copy) = operation else { return Ok(0) };
    let Some(source) = target.pointer(copy.from.as_str()) else { return Ok(0) };
    let size = source.to_string().len();
    if size > left {
        let detail = format!(
            "Unable to complete the copy, the accumulated size increase of copy is {}, exceeding the limit {MAX_COPIED_BYTES}",
            MAX_COPIED_BYTES - left + size
        );
        return Err(JsonError::DoesNotApply { path: copy.path.to_string(), detail });
    }
    Ok(size)
}

fn does_not_apply(operation: &PatchOperation, kind: &PatchErrorKind) -> JsonError {
    let path = operation.path().to_string();
    let missing = |verb: &str, place: &str, path: &Pointer| {
        format!("{verb} operation does not apply: doc is missing {place}: \"{path}\": missing value")
    };
    let detail = match (operation, kind) {
        (PatchOperation::Test(_), PatchErrorKind::TestFailed) => format!("testing value {path} failed: test failed"),
        (PatchOperation::Move(operation), PatchErrorKind::InvalidFromPointer) => {
            missing("move", "from path", &operation.from)
        }
        (PatchOperation::Copy(operation), PatchErrorKind::InvalidFromPointer) => {
            missing("copy", "from path", &operation.from)
        }
        (PatchOperation::Move(_), PatchErrorKind::CannotMoveInsideItself) => {
            format!("move operation does not apply: \"{path}\" is inside of what is moved")
        }
        (operation, _) => missing(verb(operation), "path", operation.path()),
    };
    JsonError::DoesNotApply { path, detail }
}

fn verb(operation: &PatchOperation) -> &'static str {
    match operation {
        PatchOperation::Add(_) => "add",
        PatchOperation::Remove(_) => "remove",
        PatchOperation::Replace(_) => "replace",
        PatchOperation::Move(_) => "move",
        PatchOperation::Copy(_) => "copy",
        PatchOperation::Test(_) => "test",
    }
}

// === impl JsonError ===

impl JsonError {
    /// The HTTP status code.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::NotAnObject => 400,
            Self::TooManyOperations(_) => 413,
            Self::DoesNotApply { .. } => 422,
        }
    }

    pub(crate) fn causes(&self) -> Vec<Cause> {
        match self {
            Self::DoesNotApply { path, detail } => {
                vec![Cause { reason: "FieldValueInvalid", message: detail.clone(), field: path.clone() }]
            }
            Self::Malformed(_) | Self::NotAnObject | Self::TooManyOperations(_) => Vec::new(),
        }
    }
}
