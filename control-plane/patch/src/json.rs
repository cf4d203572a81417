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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::limits::MAX_DEPTH;

    fn pod() -> Document {
        json!({"metadata": {"labels": {"app": "web", "a/b~c": "x"}}, "spec": {"containers": [{"name": "c"}, {"name": "d"}]}})
    }

    #[test]
    fn each_operation_does_what_rfc_6902_says() {
        for (what, patch, pointer, expected) in [
            ("add sets a field", json!([{"op": "add", "path": "/spec/x", "value": 1}]), "/spec/x", json!(1)),
            (
                "add inserts before an element",
                json!([{"op": "add", "path": "/spec/containers/1", "value": {"name": "e"}}]),
                "/spec/containers",
                json!([{"name": "c"}, {"name": "e"}, {"name": "d"}]),
            ),
            (
                "add at the dash appends",
                json!([{"op": "add", "path": "/spec/containers/-", "value": {"name": "e"}}]),
                "/spec/containers/2/name",
                json!("e"),
            ),
            (
                "remove takes an element out",
                json!([{"op": "remove", "path": "/spec/containers/0"}]),
                "/spec/containers",
                json!([{"name": "d"}]),
            ),
            (
                "escapes name slashes and tildes",
                json!([{"op": "replace", "path": "/metadata/labels/a~1b~0c", "value": "y"}]),
                "/metadata/labels",
                json!({"app": "web", "a/b~c": "y"}),
            ),
            (
                "move takes a value elsewhere",
                json!([{"op": "move", "from": "/metadata/labels/app", "path": "/app"}]),
                "/app",
                json!("web"),
            ),
            (
                "copy leaves the source",
                json!([{"op": "copy", "from": "/metadata/labels/app", "path": "/spec/app"}]),
                "/metadata/labels/app",
                json!("web"),
            ),
            (
                "a passing test lets the rest happen",
                json!([{"op": "test", "path": "/metadata/labels/app", "value": "web"}, {"op": "add", "path": "/ok", "value": true}]),
                "/ok",
                json!(true),
            ),
            (
                "a test for null passes where nothing is",
                json!([{"op": "test", "path": "/metadata/annotations", "value": null}, {"op": "add", "path": "/metadata/annotations", "value": {}}]),
                "/metadata/annotations",
                json!({}),
            ),
        ] {
            let patched = apply_patch(pod(), &patch).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(patched.pointer(pointer), Some(&expected), "{what}");
        }
    }

    #[test]
    fn a_patch_that_does_not_apply_is_invalid_and_says_which_operation() {
        for (patch, cause) in [
            (
                json!([{"op": "test", "path": "/metadata/labels/app", "value": "x"}]),
                "testing value /metadata/labels/app failed: test failed",
            ),
            (
                json!([{"op": "remove", "path": "/spec/x"}]),
                "remove operation does not apply: doc is missing path: \"/spec/x\": missing value",
            ),
            (
                json!([{"op": "replace", "path": "/spec/x", "value": 1}]),
                "replace operation does not apply: doc is missing path: \"/spec/x\": missing value",
            ),
            (
                json!([{"op": "add", "path": "/spec/x/y", "value": 1}]),
                "add operation does not apply: doc is missing path: \"/spec/x/y\": missing value",
            ),
            (
                json!([{"op": "add", "path": "/spec/containers/9", "value": 1}]),
                "add operation does not apply: doc is missing path: \"/spec/containers/9\": missing value",
            ),
            (
                json!([{"op": "move", "from": "/x", "path": "/y"}]),
                "move operation does not apply: doc is missing from path: \"/x\": missing value",
            ),
            (
                json!([{"op": "copy", "from": "/x", "path": "/y"}]),
                "copy operation does not apply: doc is missing from path: \"/x\": missing value",
            ),
            (
                json!([{"op": "move", "from": "/spec", "path": "/spec/x"}]),
                "move operation does not apply: \"/spec/x\" is inside of what is moved",
            ),
        ] {
            let error = apply_patch(pod(), &patch).unwrap_err();
            assert_eq!((error.code(), error.reason()), (422, "Invalid"), "{patch}");
            assert_eq!(error.to_string(), "the server rejected our request due to an error in our request");
            assert_eq!(error.causes()[0].message, cause);
        }
    }

    #[test]
    fn what_is_no_json_patch_is_a_bad_request() {
        for patch in [
            json!({}),
            json!([1]),
            json!([{"op": "grow", "path": "/x"}]),
            json!([{"op": "add", "path": "/x"}]),
            json!([{"op": "add", "value": 1}]),
            json!([{"op": "remove", "path": "spec"}]),
        ] {
            let error = apply_patch(pod(), &patch).unwrap_err();
            assert_eq!((error.code(), error.reason()), (400, "BadRequest"), "{patch}");
            assert!(error.to_string().starts_with("error decoding patch: "), "{error}");
        }
    }

    #[test]
    fn more_than_ten_thousand_operations_are_too_large() {
        let operation = json!({"op": "add", "path": "/x", "value": 1});
        let patch = |count| Document::Array(vec![operation.clone(); count]);
        assert!(apply_patch(pod(), &patch(MAX_OPERATIONS)).is_ok());
        let error = apply_patch(pod(), &patch(MAX_OPERATIONS + 1)).unwrap_err();
        assert_eq!((error.code(), error.reason()), (413, "RequestEntityTooLarge"));
        assert_eq!(error.to_string(), "The allowed maximum operations in a JSON patch is 10000, got 10001");
    }

    #[test]
    fn copies_that_double_the_document_end_at_the_limit() {
        let mut operations = vec![json!({"op": "add", "path": "/a", "value": ["x".repeat(1024)]})];
        operations.extend((0..64).map(|_| json!({"op": "copy", "from": "/a", "path": "/a/-"})));
        let error = apply_patch(json!({}), &Document::Array(operations)).unwrap_err();
        assert_eq!(error.code(), 422);
        assert!(error.causes()[0].message.contains("exceeding the limit 3145728"), "{:?}", error.causes());
    }

    #[test]
    fn moves_cannot_bury_the_document_beyond_the_depth_limit() {
        let bury = [
            json!({"op": "move", "from": "/a", "path": "/b/c"}),
            json!({"op": "move", "from": "/b", "path": "/a"}),
            json!({"op": "add", "path": "/b", "value": {}}),
        ];
        let operations = bury.iter().cycle().take(MAX_DEPTH * 3).cloned().collect();
        let error = apply_patch(json!({"a": {}, "b": {}}), &Document::Array(operations)).unwrap_err();
        assert_eq!(error.code(), 400);
        assert!(matches!(error, PatchError::TooDeep(_)), "{error}");
    }

    #[test]
    fn a_merge_patch_merges_objects_and_replaces_all_else() {
        let patch =
            json!({"metadata": {"labels": {"app": null, "new": "1"}}, "spec": {"containers": [{"name": "only"}]}});
        assert_eq!(
            apply_merge(pod(), &patch).unwrap(),
            json!({"metadata": {"labels": {"a/b~c": "x", "new": "1"}}, "spec": {"containers": [{"name": "only"}]}})
        );
        for patch in [json!([]), json!("x"), json!(null)] {
            let error = apply_merge(pod(), &patch).unwrap_err();
            assert_eq!((error.code(), error.to_string()), (400, "Invalid JSON Patch".to_owned()));
        }
    }
}
