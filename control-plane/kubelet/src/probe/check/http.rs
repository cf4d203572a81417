//! An HTTP request: the container is well when the answer is 200 to 399.
//!
//! The rules are those of `pkg/probe/http`: redirects within the host are followed, one to elsewhere passes, the answer's
//! body does not matter, and connections are not kept.

use std::time::Duration;

use http::header::{ACCEPT, CONNECTION, HOST, HeaderName, HeaderValue, LOCATION, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::HTTPGetAction;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::Error as TlsError;
use tokio_rustls::rustls::pki_types::ServerName;

use super::dial::{dial, words};
use super::{Target, joined};
use crate::probe::verdict::Outcome;

/// As Kubernetes names itself.
const AGENT: &str = "kube-probe/1.35";

/// As many redirects as Go's client follows.
const MOST_REDIRECTS: usize = 10;

/// An answer as far as it matters.
struct Answer {
    status: StatusCode,
    location: Option<String>,
}

pub(super) async fn check(
    tls: Result<&TlsConnector, &TlsError>,
    action: &HTTPGetAction,
    target: &Target<'_>,
    patience: Duration,
) -> Outcome {
    let (uri, headers) = match request(action, target) {
        Ok(request) => request,
        Err(message) => return Outcome::Unknown(message),
    };
    match timeout(patience, follow(tls, uri.clone(), &headers, patience)).await {
        Ok(Ok(status)) if status.as_u16() < 400 && status.as_u16() >= 200 => Outcome::Pass,
        Ok(Ok(status)) => Outcome::Fail(format!("HTTP probe failed with statuscode: {}", status.as_u16())),
        Ok(Err((uri, message))) => Outcome::Fail(format!("Get \"{uri}\": {message}")),
        Err(_) => Outcome::Fail(format!(
            "Get \"{uri}\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        )),
    }
}

/// Where the request goes, and with which headers.
fn request(action: &HTTPGetAction, target: &Target<'_>) -> Result<(Uri, HeaderMap), String> {
    let (host, port) = target.place(action.host.as_deref(), &action.port)?;
    let scheme = action.scheme.as_deref().unwrap_or("HTTP").to_lowercase();
    let path = action.path.as_deref().unwrap_or_default();
    let slash = if path.starts_with('/') { "" } else { "/" };
    let text = format!("{scheme}://{}{slash}{path}", joined(&host, port));
    let uri = text.parse::<Uri>().map_err(|error| format!("parse \"{text}\": {error}"))?;
    let mut headers = HeaderMap::new();
    for header in action.http_headers.iter().flatten() {
        let name = header.name.parse::<HeaderName>().map_err(|error| format!("header {}: {error}", header.name))?;
        let value = header.value.parse::<HeaderValue>().map_err(|error| format!("header {name}: {error}"))?;
        headers.append(name, value);
    }
    for (name, value) in [(USER_AGENT, AGENT), (ACCEPT, "*/*")] {
        match headers.get(&name).map(HeaderValue::is_empty) {
            // An empty value of one's own means: without it.
            Some(true) => drop(headers.remove(&name)),
            Some(false) => {}
            None => drop(headers.insert(name, HeaderValue::from_static(value))),
        }
    }
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    Ok((uri, headers))
}

/// Asks, and asks again where the answer says to, within the host.
async fn follow(
    tls: Result<&TlsConnector, &TlsError>,
    mut uri: Uri,
    headers: &HeaderMap,
    patience: Duration,
) -> Result<StatusCode, (Uri, String)> {
    for _ in 0..=MOST_REDIRECTS {
        let answer = ask(tls, &uri, headers, patience).await.map_err(|message| (uri.clone(), message))?;
        let Some(next) = answer.location.and_then(|location| resolve(&uri, &location)) else {
            return Ok(answer.status);
        };
        if next.host() != uri.host() {
            return Ok(answer.status);
        }
        uri = next;
    }
    Err((uri, format!("stopped after {MOST_REDIRECTS} redirects")))
}

async fn ask(
    tls: Result<&TlsConnector, &TlsError>,
    uri: &Uri,
    headers: &HeaderMap,
    patience: Duration,
) -> Result<Answer, String> {
    let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let stream = dial(host, port, patience).await?;
    if !is_tls {
        return exchange(stream, uri, headers).await;
    }
    // A host header names the server, as it does for the browsers that the container serves.
    let named = headers.get(HOST).and_then(|host| host.to_str().ok()).and_then(|host| host.split(':').next());
    let name = ServerName::try_from(named.unwrap_or(host).to_owned()).map_err(|error| error.to_string())?;
    let tls = tls.map_err(|error| format!("TLS cannot be used: {error}"))?;
    let stream = tls.connect(name, stream).await.map_err(|error| words(&error))?;
    exchange(stream, uri, headers).await
}

async fn exchange<S>(stream: S, uri: &Uri, headers: &HeaderMap) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|error| message(&error))?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::get(path).body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    *request.headers_mut() = headers.clone();
    if !request.headers().contains_key(HOST)
        && let Some(authority) = uri.authority().and_then(|authority| authority.as_str().parse().ok())
    {
        request.headers_mut().insert(HOST, authority);
    }
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| message(&error))?;
        let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let location = location.filter(|_| is_redirect(response.status())).map(str::to_owned);
        Ok(Answer { status: response.status(), location })
    };
    // The connection does its part while the answer is awaited, and ends with it: nobody reads the body.
    tokio::select! {
        answer = answer => answer,
        ended = async { let ended = connection.await; std::future::pending::<()>().await; ended } => {
            Err(ended.err().map_or_else(|| "EOF".to_owned(), |error| message(&error)))
        }
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where a redirect leads: an address, or a path on the same server.
fn resolve(base: &Uri, location: &str) -> Option<Uri> {
    let scheme = base.scheme_str().unwrap_or("http");
    let is_address = location.split(['/', '?', '#']).next().is_some_and(|first| first.ends_with(':'));
    if is_address || location.starts_with("//") {
        let text = if is_address { location.to_owned() } else { format!("{scheme}:{location}") };
        return text.parse().ok();
    }
    let path = if location.starts_with('/') {
        location.to_owned()
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{folder}/{location}")
    };
    format!("{scheme}://{}{path}", base.authority()?).parse().ok()
}

/// What went wrong, in Go's words where they are known.
fn message(error: &hyper::Error) -> String {
    use std::error::Error as _;
    let cause = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    match cause {
        Some(cause) => words(cause),
        None if error.is_incomplete_message() => "EOF".to_owned(),
        None => error.to_string(),
    }
}
