//! Answers in plain text, as the kubelet's are: the API server makes a Status of a refusal.

use bytes::Bytes;
use futures::Stream;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;

/// Whatever goes wrong inside a body.
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(super) type Body = UnsyncBoxBody<Bytes, BoxError>;
pub(super) type Answer = Response<Body>;

/// A request that is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct Refusal {
    pub(super) code: StatusCode,
    pub(super) message: String,
}

// === impl Refusal ===

impl Refusal {
    pub(super) fn new(code: StatusCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(super) fn internal(message: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message.to_string())
    }
}

impl From<tonic::Status> for Refusal {
    /// What the runtime says, in its words.
    fn from(status: tonic::Status) -> Self {
        let code = match status.code() {
            tonic::Code::NotFound => StatusCode::NOT_FOUND,
            tonic::Code::InvalidArgument => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(code, status.message())
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        let mut answer = text(refusal.message + "\n");
        *answer.status_mut() = refusal.code;
        answer
    }
}

/// A text that is there.
pub(super) fn text(text: impl Into<Bytes>) -> Answer {
    with_type("text/plain; charset=utf-8", full(text))
}

/// A JSON document.
pub(super) fn json(document: &impl serde::Serialize) -> Answer {
    with_type("application/json", full(serde_json::to_vec(document).unwrap_or_default()))
}

/// A text that comes piece by piece.
pub(super) fn streamed<S>(pieces: S) -> Answer
where
    S: Stream<Item = Result<Bytes, BoxError>> + Send + 'static,
{
    use futures::StreamExt as _;
    with_type(
        "text/plain",
        http_body_util::BodyExt::boxed_unsync(StreamBody::new(pieces.map(|piece| piece.map(Frame::data)))),
    )
}

pub(super) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

fn with_type(content_type: &'static str, body: Body) -> Answer {
    let mut answer = Response::new(body);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
