//! `pods/NAME/proxy/...`, `services/NAME/proxy/...` and `nodes/NAME/proxy/...`: any request, passed on.

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION,
};
use http::{Method, Response, StatusCode};
use http_body_util::BodyExt as _;
use sheave_streaming::forward;

use super::backend;
use super::connector::Destination;
use super::outbound::{self, Outbound};
use super::rewrite::Rewriter;
use super::{Inbound, Request};
use crate::body::{self, ResponseBody};
use crate::call::Call;
use crate::reply::Reply;
use crate::status::StatusError;

/// Pages up to this size have their links rewritten; larger ones are passed on as they are.
const LARGEST_PAGE: usize = 4 * 1024 * 1024;

pub(super) async fn serve(call: &Call, request: Request) -> Result<Reply, StatusError> {
    let Request { mut inbound, body } = request;
    let destination = backend::destination(call)?;
    let is_upgrade = forward::asks_for_upgrade(&call.headers);
    if call.path.rest.is_empty() && !is_upgrade && !inbound.uri.path().ends_with('/') {
        return Ok(with_slash(&inbound));
    }
    let query = inbound.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let path = match call.path.rest.as_str() {
        "" => format!("/{query}"),
        rest => format!("{rest}{query}"),
    };
    let rewriter = Rewriter {
        prefix: backend::prefix(call),
        hosts: [Some(destination.authority()), host_of(call, &inbound)].into_iter().flatten().collect(),
    };
    let headers = headers(call, &inbound, &destination);
    let outbound = Outbound { destination, method: inbound.method.clone(), path, headers, body };
    let response = outbound::send(call, outbound).await.map_err(|error| error.of_backend())?;
    let answer = outbound::answer(&mut inbound, response)?;
    Ok(Reply::forwarded(rewritten(answer, &inbound.method, &rewriter).await))
}

/// The site's root: relative links only work below a path that ends in a slash.
fn with_slash(inbound: &Inbound) -> Reply {
    let query = inbound.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = HeaderValue::try_from(format!("{}/{query}", inbound.uri.path()));
    let mut response: Response<ResponseBody> = Response::new(body::full(""));
    *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
    response.headers_mut().insert(LOCATION, location.unwrap_or(HeaderValue::from_static("/")));
    Reply::forwarded(response)
}

/// The client's headers, and what it asked for, so that the site can write links of its own.
fn headers(call: &Call, inbound: &Inbound, destination: &Destination) -> HeaderMap {
    let mut headers = match destination {
        Destination::Kubelet { .. } => outbound::kubelet_headers(call),
        Destination::Backend { .. } => outbound::headers_of(call),
    };
    // Compressed pages could not be rewritten.
    headers.remove(ACCEPT_ENCODING);
    let host = host_of(call, inbound);
    let told = [
        ("x-forwarded-uri", Some(inbound.uri.path().to_owned())),
        ("x-forwarded-host", host.clone()),
        ("x-forwarded-proto", Some("https".to_owned())),
    ];
    for (name, value) in told {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    if !headers.contains_key(HOST)
        && let (Destination::Backend { .. }, Some(host)) = (destination, host)
        && let Ok(host) = HeaderValue::try_from(host)
    {
        headers.insert(HOST, host);
    }
    headers
}

/// The host that the client called: the header, or HTTP/2's authority.
fn host_of(call: &Call, inbound: &Inbound) -> Option<String> {
    let header = call.headers.get(HOST).and_then(|host| host.to_str().ok()).map(ToOwned::to_owned);
    header.or_else(|| inbound.uri.authority().map(ToString::to_string))
}

/// Redirects and links of the site point below the proxied path afterwards.
async fn rewritten(response: Response<ResponseBody>, method: &Method, rewriter: &Rewriter) -> Response<ResponseBody> {
    let (mut parts, body) = response.into_parts();
    if let Some(location) = parts.headers.get(LOCATION).and_then(|location| location.to_str().ok())
        && let Ok(location) = HeaderValue::try_from(rewriter.link(location).into_owned())
    {
        parts.headers.insert(LOCATION, location);
        return Response::from_parts(parts, body);
    }
    let content_type = parts.headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let is_page = content_type.split(';').next().is_some_and(|it| it.trim().eq_ignore_ascii_case("text/html"));
    if !is_page || *method == Method::HEAD || parts.headers.contains_key(CONTENT_ENCODING) {
        return Response::from_parts(parts, body);
    }
    let body = page(body, rewriter, &mut parts.headers).await;
    Response::from_parts(parts, body)
}

/// Reads a page whole and rewrites it; what is too large, or breaks off, goes on as it comes.
async fn page(mut body: ResponseBody, rewriter: &Rewriter, headers: &mut HeaderMap) -> ResponseBody {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let failed = match frame {
            Ok(frame) => {
                read.extend_from_slice(frame.data_ref().map_or(&[], |data| data.as_ref()));
                None
            }
            Err(error) => Some(error),
        };
        if failed.is_some() || read.len() > LARGEST_PAGE {
            let head = futures::stream::iter([Ok(Bytes::from(read))].into_iter().chain(failed.map(Err)));
            let rest = http_body_util::BodyDataStream::new(body);
            return body::streamed(futures::StreamExt::chain(head, rest));
        }
    }
    headers.remove(CONTENT_LENGTH);
    body::full(rewriter.page(&read))
}
