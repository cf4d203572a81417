//! The request as it goes out: whose headers it carries, and what becomes of the answer.

use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHORIZATION,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use sheave_streaming::{forward, websocket};

use super::Inbound;
use super::connector::Destination;
use crate::body::{self, RequestBody, ResponseBody};
use crate::call::Call;
use crate::status::StatusError;

/// Headers by which a client says who it is, or would say who it is to a server that trusts this one.
const CREDENTIALS: &[HeaderName] = &[AUTHORIZATION, PROXY_AUTHORIZATION];
const CREDENTIAL_PREFIXES: &[&str] = &["impersonate-", "x-remote-"];

/// A request for somebody else.
pub(super) struct Outbound {
    pub(super) destination: Destination,
    pub(super) method: Method,
    /// Path and query, encoded.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: RequestBody,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// No connection.
    Connect(std::io::Error),
    /// No HTTP.
    Send(forward::ForwardError),
}

// === impl Failure ===

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "{error}"),
            Self::Send(error) => write!(f, "{error}"),
        }
    }
}

/// The client's headers without its credentials and without what belongs to its own connection.
pub(super) fn headers_of(call: &Call) -> HeaderMap {
    let mut headers = call.headers.clone();
    forward::strip_hop_by_hop(&mut headers);
    strip_credentials(&mut headers);
    headers
}

fn strip_credentials(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .keys()
        .filter(|name| CREDENTIAL_PREFIXES.iter().any(|prefix| name.as_str().starts_with(prefix)))
        .cloned()
        .collect();
    for name in named.iter().chain(CREDENTIALS) {
        headers.remove(name);
    }
    websocket::without_bearer(headers);
}

/// What a kubelet gets: the client's headers, of which it needs nothing that names the client or its site.
pub(super) fn kubelet_headers(call: &Call) -> HeaderMap {
    let mut headers = headers_of(call);
    headers.remove(COOKIE);
    headers.remove(HOST);
    headers
}

/// Sends a request and waits for the head of the answer.
pub(super) async fn send(call: &Call, outbound: Outbound) -> Result<Response<Incoming>, SendError> {
    let connector = call.server.options.connector.clone().ok_or(SendError::NoConnector)?;
    let Outbound { destination, method, path, mut headers, body } = outbound;
    let authority = destination.authority();
    if !headers.contains_key(HOST) {
        let host = HeaderValue::try_from(&authority).map_err(|_| SendError::Address(authority.clone()))?;
        headers.insert(HOST, host);
    }
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().map_err(|_| SendError::Address(path.clone()))?;
    *request.headers_mut() = headers;
    let connection =
        connector.connect(destination).await.map_err(|error| SendError::Failed(Failure::Connect(error)))?;
    forward::send(connection, request).await.map_err(|error| SendError::Failed(Failure::Send(error)))
}

/// Why there is no answer to pass on.
#[derive(Debug)]
pub(super) enum SendError {
    /// This server was not given a way out.
    NoConnector,
    /// The address or path cannot be written in a request.
    Address(String),
    /// The other side did not answer.
    Failed(Failure),
}

// === impl SendError ===

impl SendError {
    /// As upstream words it for a kubelet.
    pub(super) fn of_kubelet(&self) -> StatusError {
        match self {
            Self::Failed(failure) => {
                let message = format!("error dialing backend: {failure}");
                StatusError::new(StatusCode::INTERNAL_SERVER_ERROR, "", message)
            }
            Self::NoConnector | Self::Address(_) => self.of_backend(),
        }
    }

    /// As upstream words it for a proxied pod, service or node.
    pub(super) fn of_backend(&self) -> StatusError {
        match self {
            Self::NoConnector => StatusError::unavailable("this server was started without a way to its nodes"),
            Self::Address(address) => StatusError::bad_request(format!("{address:?} is no address to connect to")),
            Self::Failed(failure) => StatusError::unavailable(format!("error trying to reach service: {failure}")),
        }
    }
}

/// The answer for the client. After `101` the bytes of both connections are joined.
pub(super) fn answer(
    inbound: &mut Inbound,
    mut response: Response<Incoming>,
) -> Result<Response<ResponseBody>, StatusError> {
    if forward::is_upgraded(&response) {
        let Some(client) = inbound.upgrade.take() else {
            return Err(StatusError::bad_request("this connection cannot be upgraded: use HTTP/1.1"));
        };
        forward::spawn_splice(client, hyper::upgrade::on(&mut response));
        return Ok(response.map(|_| body::full("")));
    }
    forward::strip_hop_by_hop(response.headers_mut());
    Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
}

/// A body of no bytes, with the headers to say so.
pub(super) fn without_body(headers: &mut HeaderMap) -> RequestBody {
    headers.remove(CONTENT_LENGTH);
    body::full("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_credential_of_the_client_goes_out() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer secret"),
            ("proxy-authorization", "Basic secret"),
            ("impersonate-user", "admin"),
            ("impersonate-extra-scope", "x"),
            ("x-remote-user", "admin"),
            ("sec-websocket-protocol", "base64url.bearer.authorization.k8s.io.c2VjcmV0, v5.channel.k8s.io"),
            ("user-agent", "kubectl"),
        ] {
            headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_static(value));
        }
        strip_credentials(&mut headers);
        let mut left: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        left.sort();
        assert_eq!(left, ["sec-websocket-protocol: v5.channel.k8s.io", "user-agent: kubectl"]);
    }
}
