//! Refusals in Kubernetes' words: every error that leaves the server is a `v1 Status`.
//!
//! Messages, reasons and details follow `k8s.io/apimachinery/pkg/api/errors`, because clients print the first and test
//! the other two.

use std::fmt;

use http::StatusCode;
use serde::Serialize;
use sheave_api::field::{Cause, FieldError};
use sheave_api::kind::Kind;

/// An error as the client will see it.
#[derive(Clone, Debug)]
pub struct StatusError(Box<Failure>);

/// One entry of `details.causes`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StatusCause {
    /// The machine-readable reason, such as `FieldValueInvalid`.
    pub reason: String,
    /// What a person reads.
    pub message: String,
    /// The field that the cause is about; empty when it is about none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

/// `details` of a Status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusDetails {
    /// The name of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The group of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The plural resource name, or the kind where Kubernetes says the kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The UID of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// What led to the failure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<StatusCause>,
    /// After how many seconds the client may try again; 0 for no advice.
    #[serde(skip_serializing_if = "is_zero")]
    pub retry_after_seconds: u32,
}

#[derive(Clone, Debug)]
struct Failure {
    code: StatusCode,
    reason: &'static str,
    message: String,
    details: Option<StatusDetails>,
    continue_token: Option<String>,
}

#[derive(Serialize)]
struct Wire<'a> {
    kind: &'static str,
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    metadata: WireMetadata<'a>,
    status: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'a StatusDetails>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
}

#[derive(Serialize)]
struct WireMetadata<'a> {
    #[serde(rename = "continue", skip_serializing_if = "Option::is_none")]
    continue_token: Option<&'a str>,
}

// === impl StatusError ===

impl StatusError {
    /// A refusal with a code, a reason and a message; details can follow with [`with_details`](Self::with_details).
    pub(crate) fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Failure { code, reason, message: message.into(), details: None, continue_token: None }))
    }

    /// 404 for an object: `pods "web" not found`.
    pub(crate) fn not_found(kind: &Kind, name: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", format!("{} {name:?} not found", qualified_resource(kind)))
            .with_details(resource_details(kind, name))
    }

    /// As [`not_found`](Self::not_found) for an object of another kind than the request's.
    pub(crate) fn not_found_resource(group: &str, resource: &str, name: &str) -> Self {
        let qualified = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
        let details = StatusDetails {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: resource.to_owned(),
            ..StatusDetails::default()
        };
        Self::new(StatusCode::NOT_FOUND, "NotFound", format!("{qualified} {name:?} not found")).with_details(details)
    }

    /// 404 for a path that serves nothing.
    pub(crate) fn no_such_resource() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource")
            .with_details(StatusDetails::default())
    }

    /// 409 for a create of a name in use.
    pub(crate) fn already_exists(kind: &Kind, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", qualified_resource(kind));
        Self::new(StatusCode::CONFLICT, "AlreadyExists", message).with_details(resource_details(kind, name))
    }

    /// 409 for a write that lost: `Operation cannot be fulfilled on ...: {why}`.
    pub(crate) fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", qualified_resource(kind));
        Self::new(StatusCode::CONFLICT, "Conflict", message).with_details(resource_details(kind, name))
    }

    /// 409 for a write based on an older version.
    pub(crate) fn modified(kind: &Kind, name: &str) -> Self {
        Self::conflict(
            kind,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 422 with every refused field.
    pub(crate) fn invalid(kind: &Kind, name: &str, errors: &[FieldError]) -> Self {
        Self::invalid_kind(&kind.gvk.group, &kind.gvk.kind, name, errors)
    }

    /// 422 for something that has no registered kind, such as `ListOptions.meta.k8s.io`.
    pub(crate) fn invalid_kind(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let message = format!("{qualified} {name:?} is invalid: {}", joined(errors));
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message).with_details(StatusDetails {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: kind.to_owned(),
            causes: errors.iter().map(StatusCause::from).collect(),
            ..StatusDetails::default()
        })
    }

    /// 403 for an object, by admission or authorization: `pods "web" is forbidden: {why}`.
    pub(crate) fn forbidden(kind: &Kind, name: &str, why: &str) -> Self {
        Self::forbidden_resource(&kind.gvk.group, &kind.plural, name, why)
    }

    /// As [`forbidden`](Self::forbidden) for a resource that may not be registered.
    pub(crate) fn forbidden_resource(group: &str, resource: &str, name: &str, why: &str) -> Self {
        let qualified = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
        let message = match (resource, name) {
            ("", _) => format!("forbidden: {why}"),
            (_, "") => format!("{qualified} is forbidden: {why}"),
            _ => format!("{qualified} {name:?} is forbidden: {why}"),
        };
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message).with_details(StatusDetails {
            name: name.to_owned(),
            group: group.to_owned(),
            kind: resource.to_owned(),
            ..StatusDetails::default()
        })
    }

    /// 401.
    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    /// 400.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// 405.
    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
        .with_details(StatusDetails::default())
    }

    /// 406, naming what can be had.
    pub(crate) fn not_acceptable(offered: &str) -> Self {
        let message = format!("only the following media types are accepted: {offered}");
        Self::new(StatusCode::NOT_ACCEPTABLE, "NotAcceptable", message)
    }

    /// 415, naming what is understood.
    pub(crate) fn unsupported_media_type(understood: &str) -> Self {
        let message =
            format!("the body of the request was in an unknown format - accepted media types include: {understood}");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    /// 413.
    pub(crate) fn too_large(limit: usize) -> Self {
        let message = format!("Request entity too large: limit is {limit}");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message)
    }

    /// 429 with advice to wait.
    pub(crate) fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message)
            .with_details(StatusDetails { retry_after_seconds, ..StatusDetails::default() })
    }

    /// 504 after the request's time is up.
    pub(crate) fn timeout(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", message)
    }

    /// 410 for a resource version whose history is gone.
    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "Expired", message)
    }

    /// 410 for a watch that would start before the oldest kept event.
    pub(crate) fn too_old(requested: u64, oldest: u64) -> Self {
        Self::expired(format!("too old resource version: {requested} ({oldest})"))
    }

    /// 504 for a resource version that this server has not seen.
    pub(crate) fn too_large_resource_version(requested: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {requested}, current: {current}");
        Self::timeout(message).with_details(StatusDetails {
            causes: vec![StatusCause {
                reason: "ResourceVersionTooLarge".into(),
                message: "Too large resource version".into(),
                field: String::new(),
            }],
            retry_after_seconds: 1,
            ..StatusDetails::default()
        })
    }

    /// 500.
    pub(crate) fn internal(message: impl fmt::Display) -> Self {
        let message = format!("Internal error occurred: {message}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    /// 503.
    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
    }

    /// Replaces the details.
    #[must_use]
    pub(crate) fn with_details(mut self, details: StatusDetails) -> Self {
        self.0.details = Some(details);
        self
    }

    /// Adds one cause.
    #[must_use]
    pub(crate) fn with_cause(mut self, reason: &str, message: impl Into<String>, field: &str) -> Self {
        let cause = StatusCause { reason: reason.to_owned(), message: message.into(), field: field.to_owned() };
        self.0.details.get_or_insert_default().causes.push(cause);
        self
    }

    /// Adds the continue token with which an expired list can go on, inconsistently.
    #[must_use]
    pub(crate) fn with_continue(mut self, token: String) -> Self {
        self.0.continue_token = Some(token);
        self
    }

    /// The HTTP status code.
    #[must_use]
    pub fn code(&self) -> StatusCode {
        self.0.code
    }

    /// The reason that clients test, such as `NotFound`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        self.0.reason
    }

    /// What a person reads.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Seconds after which to try again, for the `Retry-After` header.
    pub(crate) fn retry_after_seconds(&self) -> Option<u32> {
        self.0.details.as_ref().map(|details| details.retry_after_seconds).filter(|&seconds| seconds > 0)
    }

    /// The Status as JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let wire = Wire {
            kind: "Status",
            api_version: "v1",
            metadata: WireMetadata { continue_token: self.0.continue_token.as_deref() },
            status: "Failure",
            message: &self.0.message,
            reason: self.0.reason,
            details: self.0.details.as_ref(),
            code: Some(self.0.code.as_u16()),
        };
        encode(&wire)
    }
}

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for StatusError {}

// === impl StatusCause ===

impl From<&FieldError> for StatusCause {
    fn from(error: &FieldError) -> Self {
        Self {
            reason: cause_reason(error.cause).to_owned(),
            message: error.message.clone(),
            field: error.path.as_str().to_owned(),
        }
    }
}

/// A `Status` of success, as deletions and connecting subresources answer.
pub(crate) fn success(details: Option<&StatusDetails>, code: Option<u16>) -> Vec<u8> {
    encode(&Wire {
        kind: "Status",
        api_version: "v1",
        metadata: WireMetadata { continue_token: None },
        status: "Success",
        message: "",
        reason: "",
        details,
        code,
    })
}

/// The `reason` of a cause, as `field.ErrorType` writes it.
fn cause_reason(cause: Cause) -> &'static str {
    match cause {
        Cause::Required => "FieldValueRequired",
        Cause::Invalid => "FieldValueInvalid",
        Cause::NotSupported => "FieldValueNotSupported",
        Cause::Forbidden => "FieldValueForbidden",
        Cause::Duplicate => "FieldValueDuplicate",
        Cause::TooLong => "FieldValueTooLong",
        Cause::TooMany => "FieldValueTooMany",
        Cause::TypeInvalid => "FieldValueTypeInvalid",
        Cause::NotFound => "FieldValueNotFound",
        Cause::Internal => "InternalError",
    }
}

/// `deployments.apps`, or `pods` in the core group.
pub(crate) fn qualified_resource(kind: &Kind) -> String {
    match kind.gvk.group.as_str() {
        "" => kind.plural.clone(),
        group => format!("{}.{group}", kind.plural),
    }
}

/// The details that name an object.
pub(crate) fn resource_details(kind: &Kind, name: &str) -> StatusDetails {
    StatusDetails {
        name: name.to_owned(),
        group: kind.gvk.group.clone(),
        kind: kind.plural.clone(),
        ..StatusDetails::default()
    }
}

/// One error as it is, several as Go prints a list of errors.
fn joined(errors: &[FieldError]) -> String {
    match errors {
        [only] => only.to_string(),
        several => format!("[{}]", several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// Serialization of these types cannot fail: their keys are strings and their values plain.
fn encode(wire: &Wire<'_>) -> Vec<u8> {
    serde_json::to_vec(wire).unwrap_or_default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}
