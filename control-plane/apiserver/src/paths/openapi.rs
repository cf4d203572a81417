//! OpenAPI documents.

use http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, ETAG, HeaderValue, IF_NONE_MATCH, LOCATION, VARY,
};
use http::{HeaderMap, StatusCode};
use sheave_api::openapi::Page;

use crate::body;
use crate::query::Query;
use crate::reply::Reply;
use crate::server::Inner;
use crate::status::StatusError;

/// A document asked for by its hash never changes.
const FOR_EVER: &str = "public, immutable, max-age=31536000";

pub(super) fn serve(server: &Inner, rest: &[&str], query: &Query, headers: &HeaderMap) -> Result<Reply, StatusError> {
    match rest {
        ["v2"] => {
            let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
            let page =
                server.openapi.swagger_as(accept).ok_or_else(|| StatusError::not_acceptable("application/json"))?;
            Ok(sent(page, headers).with_header(VARY, HeaderValue::from_static("Accept, Accept-Encoding")))
        }
        ["v3"] => Ok(Reply::json(StatusCode::OK, &server.openapi.index())),
        ["v3", path @ ..] => group_version(server, &path.join("/"), query, headers),
        _ => Err(StatusError::no_such_resource()),
    }
}

fn group_version(server: &Inner, path: &str, query: &Query, headers: &HeaderMap) -> Result<Reply, StatusError> {
    let hash = server.openapi.hash(path).ok_or_else(StatusError::no_such_resource)?;
    if let Some(asked) = query.get("hash").filter(|&asked| asked != hash) {
        tracing::debug!(asked, hash, path, "an OpenAPI document has changed");
        let location =
            HeaderValue::try_from(format!("/openapi/v3/{path}?hash={hash}")).map_err(StatusError::internal)?;
        return Ok(Reply::text(StatusCode::MOVED_PERMANENTLY, String::new()).with_header(LOCATION, location));
    }
    let page = server.openapi.group_version(path).ok_or_else(StatusError::no_such_resource)?;
    let reply = sent(page, headers);
    Ok(match query.get("hash") {
        Some(_) => reply.with_header(CACHE_CONTROL, HeaderValue::from_static(FOR_EVER)),
        None => reply,
    })
}

fn sent(page: &Page, headers: &HeaderMap) -> Reply {
    let etag = HeaderValue::try_from(&page.etag).unwrap_or(HeaderValue::from_static("\"\""));
    if headers.get(IF_NONE_MATCH) == Some(&etag) {
        return Reply::text(StatusCode::NOT_MODIFIED, String::new()).with_header(ETAG, etag);
    }
    let gzip = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).is_some_and(|it| it.contains("gzip"));
    let reply = if gzip {
        Reply::stream(page.content_type, body::full(page.gzip.clone()))
            .with_header(CONTENT_ENCODING, HeaderValue::from_static("gzip"))
    } else {
        Reply::stream(page.content_type, body::full(page.plain()))
    };
    reply.with_header(ETAG, etag).with_header(VARY, HeaderValue::from_static("Accept-Encoding"))
}
