//! What a handler answers.

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use crate::body::{self, ResponseBody};

/// An answer on its way to the client.
pub(crate) struct Reply {
    response: Response<ResponseBody>,
    /// One JSON document, which may still be indented or turned into YAML; a stream may not.
    is_document: bool,
}

// === impl Reply ===

impl Reply {
    /// One JSON document.
    pub(crate) fn new(code: StatusCode, body: ResponseBody) -> Self {
        let mut reply = Self::stream("application/json", body);
        *reply.response.status_mut() = code;
        reply.is_document = true;
        reply
    }

    /// A document that is ready.
    pub(crate) fn json(code: StatusCode, document: &impl serde::Serialize) -> Self {
        Self::new(code, body::full(serde_json::to_vec(document).unwrap_or_default()))
    }

    /// Anything that is no JSON document, with its media type.
    pub(crate) fn stream(content_type: &'static str, body: ResponseBody) -> Self {
        let mut response = Response::new(body);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self { response, is_document: false }
    }

    /// Plain text.
    pub(crate) fn text(code: StatusCode, text: String) -> Self {
        let mut reply = Self::stream("text/plain; charset=utf-8", body::full(text));
        *reply.response.status_mut() = code;
        reply
    }

    /// A response that somebody else made: the node's.
    pub(crate) fn forwarded(response: Response<ResponseBody>) -> Self {
        Self { response, is_document: false }
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.response.headers_mut().insert(name, value);
        self
    }

    pub(crate) fn code(&self) -> StatusCode {
        self.response.status()
    }

    pub(crate) fn is_document(&self) -> bool {
        self.is_document
    }

    pub(crate) fn into_response(self) -> Response<ResponseBody> {
        self.response
    }
}

impl From<crate::status::StatusError> for Reply {
    fn from(error: crate::status::StatusError) -> Self {
        let mut reply = Self::new(error.code(), body::full(error.to_json()));
        if let Some(seconds) = error.retry_after_seconds() {
            reply = reply.with_header(http::header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        reply
    }
}
