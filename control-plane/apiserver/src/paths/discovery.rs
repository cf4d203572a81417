//! Discovery documents, with the caching that clients rely on.

use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use http::{HeaderMap, StatusCode};
use sheave_api::discovery::{Form, Page};

use crate::body;
use crate::reply::Reply;
use crate::server::Inner;
use crate::status::StatusError;

pub(super) fn serve(server: &Inner, path: &str, headers: &HeaderMap) -> Result<Reply, StatusError> {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if server.discovery.page(path, Form::Legacy).is_none() {
        return Err(StatusError::no_such_resource());
    }
    let form = Form::from_accept(accept).ok_or_else(|| StatusError::not_acceptable("application/json"))?;
    let page = server.discovery.page(path, form).ok_or_else(StatusError::no_such_resource)?;
    Ok(cached(page, headers))
}

/// 304 for a client that has the page already.
fn cached(page: &Page, headers: &HeaderMap) -> Reply {
    let known = headers.get(IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == page.etag.as_bytes());
    let (code, bytes) =
        if known { (StatusCode::NOT_MODIFIED, bytes::Bytes::new()) } else { (StatusCode::OK, page.body.clone()) };
    let etag = HeaderValue::try_from(&page.etag).unwrap_or(HeaderValue::from_static("\"\""));
    Reply::new(code, body::full(bytes))
        .with_header(CONTENT_TYPE, HeaderValue::from_static(page.content_type))
        .with_header(ETAG, etag)
        .with_header(VARY, HeaderValue::from_static("Accept"))
        .with_header(CACHE_CONTROL, HeaderValue::from_static("public"))
}
