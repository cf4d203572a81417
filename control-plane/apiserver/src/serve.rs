//! One request from its head to its answer: who, what, may they, do it.

use std::sync::Arc;

use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Request, Response};
use parking_lot::Mutex;
use sheave_api::kind::{Kind, Subresource};

use crate::authn::Identity;
use crate::body::{RequestBody, ResponseBody};
use crate::call::Call;
use crate::dispatch;
use crate::negotiate::{self, AnswerFormat};
use crate::output;
use crate::paths;
use crate::query::Query;
use crate::reply::Reply;
use crate::request::{ResourcePath, Target, Verb};
use crate::server::Inner;
use crate::status::StatusError;

/// Answers a request.
pub(crate) async fn serve(server: &Arc<Inner>, request: Request<RequestBody>) -> Response<ResponseBody> {
    let reply = match route(server, request).await {
        Ok(reply) => reply,
        Err(error) => Reply::from(error),
    };
    let mut response = reply.into_response();
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
    response
}

async fn route(server: &Arc<Inner>, request: Request<RequestBody>) -> Result<Reply, StatusError> {
    let (parts, body) = request.into_parts();
    let target = Target::parse(parts.uri.path()).map_err(|error| StatusError::bad_request(error.to_string()))?;
    let identity = parts.extensions.get::<Identity>().cloned().unwrap_or_else(Identity::anonymous);
    match target {
        Target::Path(path) => paths::serve(server, &path, &parts).await,
        Target::Resource(path) => resource(server, identity, path, parts, body).await,
    }
}

async fn resource(
    server: &Arc<Inner>,
    identity: Identity,
    path: ResourcePath,
    parts: Parts,
    body: RequestBody,
) -> Result<Reply, StatusError> {
    let query = Query::parse(parts.uri.query());
    let verb =
        Verb::of_resource(&parts.method, &path, query.flag("watch")).ok_or_else(StatusError::method_not_allowed)?;
    let kind = server
        .registry
        .resource(&path.group, &path.version, &path.resource)
        .ok_or_else(StatusError::no_such_resource)?;
    let subresource = subresource(kind, &path)?.cloned();
    let stored_kind = server.registry.kind(&kind.storage).unwrap_or(kind);
    let accepted = negotiate::accepted(&parts.headers, &query)?;
    let call = Call {
        server: Arc::clone(server),
        identity,
        verb,
        kind: Arc::clone(kind),
        stored_kind: Arc::clone(stored_kind),
        path,
        query,
        headers: parts.headers,
        accepted,
        warnings: Mutex::default(),
    };
    let reply = dispatch::dispatch(&call, subresource.as_ref(), body).await?;
    finish(&call, reply).await
}

fn subresource<'a>(kind: &'a Kind, path: &ResourcePath) -> Result<Option<&'a Subresource>, StatusError> {
    let Some(name) = path.subresource.as_deref() else { return Ok(None) };
    kind.subresource(name).map(Some).ok_or_else(StatusError::no_such_resource)
}

/// Brings the answer into the format that the client accepts, and adds the warnings.
async fn finish(call: &Call, reply: Reply) -> Result<Reply, StatusError> {
    let mut reply = reply;
    if reply.is_document() && (call.accepted.pretty || call.accepted.format == AnswerFormat::Yaml) {
        reply = output::reformat(reply, call.accepted).await?;
    }
    let mut response = reply.into_response();
    for warning in call.warnings.lock().drain(..) {
        response.headers_mut().append(HeaderName::from_static("warning"), warning_header(&warning));
    }
    Ok(Reply::forwarded(response))
}

/// `299 - "text"`, quotes and backslashes escaped, unprintable characters left out (RFC 7234 section 5.5).
fn warning_header(text: &str) -> HeaderValue {
    let printable: String = text.chars().filter(|c| c.is_ascii() && !c.is_ascii_control()).collect();
    let escaped = printable.replace('\\', "\\\\").replace('"', "\\\"");
    HeaderValue::try_from(format!("299 - \"{escaped}\"")).unwrap_or(HeaderValue::from_static("299 - \"\""))
}
