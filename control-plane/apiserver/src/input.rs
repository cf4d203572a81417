//! Request bodies as documents.

use bytes::Bytes;
use sheave_api::Document;
use sheave_api::decode::{self, FieldValidation, Format};
use sheave_api::field::{Cause, FieldError, Path};
use sheave_api::kind::GroupVersionKind;

use crate::call::Call;
use crate::negotiate::body_format;
use crate::status::StatusError;

/// The document in a body, whatever its format, of the type that `expected` says.
///
/// # Errors
/// 415 for an unknown format, 400 for a body that cannot be read, is of another type, or has fields that strict
/// validation refuses.
pub(crate) fn document(
    call: &Call,
    body: &Bytes,
    expected: &GroupVersionKind,
    validation: FieldValidation,
) -> Result<Document, StatusError> {
    let format = body_format(&call.headers)?;
    let accepted = decode::object(&call.server.registry, expected, body, format, validation)
        .map_err(|error| StatusError::bad_request(error.to_string()))?;
    accepted.warnings.into_iter().for_each(|warning| call.warn(warning));
    Ok(accepted.document)
}

/// A patch: JSON or YAML of any shape.
pub(crate) fn patch(body: &Bytes, format: Format) -> Result<Document, StatusError> {
    decode::untyped(body, format)
        .map(|decoded| decoded.document)
        .map_err(|error| StatusError::bad_request(format!("error decoding patch: {error}")))
}

/// An object that a patch has made, checked against the type of the call's kind.
///
/// # Errors
/// 422 that shows the patch, when a value is of the wrong type or strict validation finds an unknown field.
pub(crate) fn patched(
    call: &Call,
    patched: Document,
    patch: &Document,
    validation: FieldValidation,
) -> Result<Document, StatusError> {
    let checked = decode::document(call.server.registry.schema(), call.kind.schema, patched)
        .map_err(|error| refused_patch(patch, &error.to_string()))?;
    if !checked.findings.is_empty() {
        match validation {
            FieldValidation::Strict => return Err(refused_patch(patch, &decode::strict_error(&checked.findings))),
            FieldValidation::Warn => checked.findings.iter().for_each(|finding| call.warn(finding.to_string())),
            FieldValidation::Ignore => {}
        }
    }
    Ok(checked.document)
}

fn refused_patch(patch: &Document, why: &str) -> StatusError {
    let shown: String = patch.to_string().chars().take(1024).collect();
    let error = FieldError {
        path: Path::new("patch"),
        cause: Cause::Invalid,
        message: format!("Invalid value: {shown:?}: {why}"),
    };
    StatusError::invalid_kind("", "", "", &[error])
}
