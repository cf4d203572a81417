//! One request from its head to its answer: who, what, may they, do it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Request, Response};
use parking_lot::Mutex;
use sheave_api::kind::{Kind, Scope, Subresource, SubresourceAction};

use crate::authn::{Identity, Impersonation, MASTERS};
use crate::authz::{Attributes, Decision, Subject};
use crate::body::{RequestBody, ResponseBody};
use crate::call::Call;
use crate::connect::Inbound;
use crate::dispatch;
use crate::metrics::Labels;
use crate::negotiate::{self, Accepted, AnswerFormat, Shape};
use crate::output;
use crate::paths;
use crate::query::Query;
use crate::reply::Reply;
use crate::request::{ResourcePath, Target, Verb};
use crate::server::Inner;
use crate::status::StatusError;

/// Upstream's `--request-timeout`.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Answers a request.
pub(crate) async fn serve(server: &Arc<Inner>, request: Request<RequestBody>) -> Response<ResponseBody> {
    let started = Instant::now();
    let (parts, body) = request.into_parts();
    let mut labels = Labels::default();
    let reply = route(server, parts, body, &mut labels).await.unwrap_or_else(Reply::from);
    server.metrics.answered(labels, reply.code(), started.elapsed());
    let mut response = reply.into_response();
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
    response
}

async fn route(
    server: &Arc<Inner>,
    parts: Parts,
    body: RequestBody,
    labels: &mut Labels,
) -> Result<Reply, StatusError> {
    let target = Target::parse(parts.uri.path()).map_err(|error| StatusError::bad_request(error.to_string()))?;
    let identity = server.authenticator.authenticate(&parts)?;
    let identity = acting_for(server, identity, &parts)?;
    match target {
        Target::Path(path) => {
            let verb = parts.method.as_str().to_ascii_lowercase();
            *labels = Labels::of_path(&verb, &path);
            require(server, &identity, &Attributes::path(&verb, &path))?;
            paths::serve(server, &path, &parts)
        }
        Target::Resource(path) => resource(server, identity, path, parts, body, labels).await,
    }
}

/// Whose request it is, where the sender acts for somebody else.
fn acting_for(server: &Inner, sender: Identity, parts: &Parts) -> Result<Identity, StatusError> {
    let Some(other) = Impersonation::of(&parts.headers)? else { return Ok(sender) };
    other.required.iter().try_for_each(|attributes| require(server, &sender, attributes))?;
    Ok(other.identity)
}

async fn resource(
    server: &Arc<Inner>,
    identity: Identity,
    mut path: ResourcePath,
    mut parts: Parts,
    body: RequestBody,
    labels: &mut Labels,
) -> Result<Reply, StatusError> {
    let query = Query::parse(parts.uri.query());
    // A proxied request has its own query.
    let watch = path.subresource.is_none() && query.flag("watch");
    let verb = Verb::of_resource(&parts.method, &path, watch).ok_or_else(StatusError::method_not_allowed)?;
    *labels = Labels::of_resource(verb, &path);
    name_of_selector(verb, &mut path, &query);
    require(server, &identity, &Attributes::resource(verb.as_str(), &path))?;
    if matches!(verb, Verb::List | Verb::Watch) && path.name.is_some() && !path.watch {
        path.name = None;
    }
    let kind = server
        .registry
        .resource(&path.group, &path.version, &path.resource)
        .ok_or_else(StatusError::no_such_resource)?;
    check_scope(kind, verb, &path)?;
    let subresource = subresource(kind, &path)?.cloned();
    if verb == Verb::Get && subresource.as_ref().is_some_and(|subresource| is_session(subresource.action)) {
        require(server, &identity, &Attributes::resource(Verb::Create.as_str(), &path))?;
    }
    let is_long = is_long_running(verb, subresource.as_ref(), &query);
    let accepted = accepted(&parts, &query, subresource.as_ref())?;
    let _admitted = server.in_flight.admit(verb, is_long || identity.is_in(MASTERS))?;
    let stored_kind = server.registry.kind(&kind.storage).unwrap_or(kind);
    let inbound = Inbound::of(&mut parts);
    let call = Call {
        server: Arc::clone(server),
        identity,
        verb,
        kind: Arc::clone(kind),
        stored_kind: Arc::clone(stored_kind),
        path,
        query,
        accepted,
        headers: parts.headers,
        warnings: Mutex::default(),
    };
    let work = dispatch::dispatch(&call, subresource.as_ref(), inbound, body);
    let reply = if is_long { work.await } else { in_time(work).await }?;
    finish(&call, reply).await
}

/// A namespaced kind is only listed and watched across namespaces; a kind of the whole cluster is in none.
fn check_scope(kind: &Kind, verb: Verb, path: &ResourcePath) -> Result<(), StatusError> {
    let is_namespace_itself = kind.gvk.group.is_empty() && kind.gvk.kind == "Namespace";
    match (kind.scope, &path.namespace, &path.name) {
        (Scope::Cluster, Some(_), _) if !is_namespace_itself => Err(StatusError::no_such_resource()),
        (Scope::Namespaced, None, Some(_)) => Err(StatusError::no_such_resource()),
        (Scope::Namespaced, None, None) if !matches!(verb, Verb::List | Verb::Watch) => {
            Err(StatusError::method_not_allowed())
        }
        _ => Ok(()),
    }
}

async fn in_time(work: impl Future<Output = Result<Reply, StatusError>>) -> Result<Reply, StatusError> {
    tokio::time::timeout(TIMEOUT, work)
        .await
        .unwrap_or_else(|_| Err(StatusError::timeout("Timeout: request did not complete within the allotted timeout")))
}

/// Rules for one object also allow to list and watch it alone: `kubectl get x --watch` selects by name.
fn name_of_selector(verb: Verb, path: &mut ResourcePath, query: &Query) {
    if !matches!(verb, Verb::List | Verb::Watch | Verb::DeleteCollection) || path.name.is_some() {
        return;
    }
    let fields = query.get("fieldSelector").unwrap_or_default();
    let Ok(selector) = sheave_api::selector::FieldSelector::parse(fields) else { return };
    path.name = selector.required("metadata.name").filter(|name| !name.is_empty()).map(ToOwned::to_owned);
}

/// Asks the authorizer.
fn require(server: &Inner, identity: &Identity, attributes: &Attributes) -> Result<(), StatusError> {
    match server.authorizer.authorize(identity, attributes) {
        Decision::Allowed => Ok(()),
        Decision::Denied => Err(denied(identity, attributes)),
    }
}

fn denied(identity: &Identity, attributes: &Attributes) -> StatusError {
    let why = format!("User {:?} {attributes}", identity.name);
    match &attributes.subject {
        Subject::Path(_) => StatusError::forbidden_resource("", "", "", &why),
        Subject::Resource { group, resource, name, .. } => StatusError::forbidden_resource(group, resource, name, &why),
    }
}

fn subresource<'a>(kind: &'a Kind, path: &ResourcePath) -> Result<Option<&'a Subresource>, StatusError> {
    let Some(name) = path.subresource.as_deref() else { return Ok(None) };
    kind.subresource(name).map(Some).ok_or_else(StatusError::no_such_resource)
}

/// Requests that last as long as the client wants.
fn is_long_running(verb: Verb, subresource: Option<&Subresource>, query: &Query) -> bool {
    verb == Verb::Watch
        || subresource.is_some_and(|subresource| match subresource.action {
            SubresourceAction::Log => query.flag("follow"),
            action => is_connection(action),
        })
}

/// A WebSocket's GET starts something in a pod just as SPDY's POST does: reading rights are not enough (Kubernetes 1.35,
/// `AuthorizePodWebsocketUpgradeCreatePermission`).
fn is_session(action: SubresourceAction) -> bool {
    matches!(action, SubresourceAction::Exec | SubresourceAction::Attach | SubresourceAction::PortForward)
}

fn is_connection(action: SubresourceAction) -> bool {
    matches!(
        action,
        SubresourceAction::Exec
            | SubresourceAction::Attach
            | SubresourceAction::PortForward
            | SubresourceAction::Proxy
            | SubresourceAction::Log
    )
}

/// What the client accepts; a connection's answer is the node's, in whatever format.
fn accepted(parts: &Parts, query: &Query, subresource: Option<&Subresource>) -> Result<Accepted, StatusError> {
    if subresource.is_some_and(|subresource| is_connection(subresource.action)) {
        return Ok(Accepted { format: AnswerFormat::Json, shape: Shape::Whole, pretty: false });
    }
    negotiate::accepted(&parts.headers, query)
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
