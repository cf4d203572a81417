//! Request bodies as documents.

use bytes::Bytes;
use sheave_api::Document;
use sheave_api::kind::GroupVersionKind;

use crate::call::Call;
use crate::document::drop_nulls;
use crate::negotiate::{BodyFormat, body_format};
use crate::query::FieldValidation;
use crate::status::StatusError;

/// The document in a body, whatever its format, with the type that `expected` says.
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
    let _ = validation;
    let mut document = match body_format(&call.headers)? {
        BodyFormat::Json => json(body, &expected.kind)?,
        BodyFormat::Yaml => yaml(body)?,
        BodyFormat::Protobuf => return Err(StatusError::unsupported_media_type("application/json")),
    };
    check_type(&mut document, expected)?;
    drop_nulls(&mut document);
    Ok(document)
}

/// JSON that must be an object.
pub(crate) fn json(body: &[u8], kind: &str) -> Result<Document, StatusError> {
    let document: Document = serde_json::from_slice(body).map_err(|error| {
        let message = format!("couldn't get version/kind; json parse error: {error}");
        StatusError::bad_request(format!("the object provided is unrecognized (must be of type {kind}): {message}"))
    })?;
    if document.is_object() { Ok(document) } else { Err(not_an_object(kind)) }
}

/// YAML, of which JSON is a part.
pub(crate) fn yaml(body: &[u8]) -> Result<Document, StatusError> {
    let text =
        std::str::from_utf8(body).map_err(|error| StatusError::bad_request(format!("invalid UTF-8: {error}")))?;
    let value: Document = serde_yaml_ng::from_str(text)
        .map_err(|error| StatusError::bad_request(format!("error converting YAML to JSON: yaml: {error}")))?;
    if value.is_object() { Ok(value) } else { Err(not_an_object("object")) }
}

fn not_an_object(kind: &str) -> StatusError {
    StatusError::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): the body is not a JSON object"
    ))
}

/// A body without a type is taken for what the path expects; another type is refused.
fn check_type(document: &mut Document, expected: &GroupVersionKind) -> Result<(), StatusError> {
    let text = |field: &str| document[field].as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let expected_version = expected.api_version();
    if !kind.is_empty() && kind != expected.kind {
        let version = if api_version.is_empty() { &expected_version } else { &api_version };
        return Err(StatusError::bad_request(format!(
            "{kind} in version {version:?} cannot be handled as a {}: no kind {kind:?} is registered for this path",
            expected.kind
        )));
    }
    if !api_version.is_empty() && api_version != expected_version {
        return Err(StatusError::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({expected_version})"
        )));
    }
    document["apiVersion"] = expected_version.into();
    document["kind"] = expected.kind.as_str().into();
    Ok(())
}
