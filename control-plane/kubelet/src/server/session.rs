//! `exec`, `attach`, `portForward` and `run`: the runtime gives a URL of its streaming server, and the client's bytes go
//! there. Only WebSocket clients of exec and attach, and SPDY in a WebSocket, are translated.

use http::header::{CONNECTION, HOST, HeaderMap, HeaderValue, UPGRADE};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use k8s_cri::v1::{AttachRequest, ExecRequest, ExecSyncRequest, PortForwardRequest};
use k8s_openapi::api::core::v1::Pod;
use sheave_streaming::remote_command::{self, SPDY_PROTOCOL, Streams};
use sheave_streaming::websocket::{self, Codec, Handshake};
use sheave_streaming::{forward, spdy, tunnel};
use tokio::net::TcpStream;

use super::Node;
use super::answer::{self, Answer, Refusal};
use super::containers::{self, Place};

/// How long `run` lets a command take, in seconds.
const RUN: i64 = 120;

/// Runs a command with streams.
pub(super) async fn exec(node: &Node, place: &Place<'_>, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let streams = streams(request.uri().query())?;
    let cmd: Vec<String> = values(request.uri().query(), "command").collect();
    let pod = containers::pod(node, place.namespace, place.pod)?;
    let container = containers::running(node, &pod, place).await?;
    let Streams { stdin, stdout, stderr, terminal } = streams;
    let exec = ExecRequest { container_id: container.id, cmd, tty: terminal, stdin, stdout, stderr };
    let url = node.runtime.clone().exec(exec).await?.into_inner().url;
    remote_command(request, &url, streams).await
}

/// Joins the streams of a container's own process.
pub(super) async fn attach(node: &Node, place: &Place<'_>, request: Request<Incoming>) -> Result<Answer, Refusal> {
    let mut streams = streams(request.uri().query())?;
    let pod = containers::pod(node, place.namespace, place.pod)?;
    let container = containers::running(node, &pod, place).await?;
    // Whether there is a terminal was settled when the container started.
    streams.terminal = has_terminal(&pod, place.container);
    streams.stderr &= !streams.terminal;
    let Streams { stdin, stdout, stderr, terminal } = streams;
    let attach = AttachRequest { container_id: container.id, stdin, tty: terminal, stdout, stderr };
    let url = node.runtime.clone().attach(attach).await?.into_inner().url;
    remote_command(request, &url, streams).await
}

/// Carries connections to a pod's ports.
pub(super) async fn port_forward(
    node: &Node,
    namespace: &str,
    name: &str,
    request: Request<Incoming>,
) -> Result<Answer, Refusal> {
    let pod = containers::pod(node, namespace, name)?;
    let pod_sandbox_id = containers::sandbox(node, &pod).await?;
    let port = values(request.uri().query(), "port").filter_map(|port| port.parse().ok()).collect();
    let answered = node.runtime.clone().port_forward(PortForwardRequest { pod_sandbox_id, port }).await?;
    let url = answered.into_inner().url;
    match Handshake::of(request.method(), request.headers(), &[tunnel::PORT_FORWARD]) {
        Ok(handshake) => {
            let runtime = spdy_upgrade(&url, "portforward.k8s.io").await?;
            let runtime = TokioIo::new(runtime);
            switch(request, &handshake, |client| async move {
                tunnel::tunnel(websocket::server(client).await, runtime).await;
            })
        }
        Err(_) => pass(request, &url).await,
    }
}

/// Runs a command to its end, and answers what it wrote.
pub(super) async fn run(node: &Node, place: &Place<'_>, query: Option<&str>) -> Result<Answer, Refusal> {
    let pod = containers::pod(node, place.namespace, place.pod)?;
    let container = containers::running(node, &pod, place).await?;
    let line = values(query, "cmd").next().unwrap_or_default();
    let cmd: Vec<String> = line.split(' ').filter(|word| !word.is_empty()).map(ToOwned::to_owned).collect();
    let exec = ExecSyncRequest { container_id: container.id, cmd, timeout: RUN };
    let done = node.runtime.clone().exec_sync(exec).await?.into_inner();
    let mut output = done.stdout;
    output.extend_from_slice(&done.stderr);
    if done.exit_code != 0 {
        let message = format!("command exited with {}: {}", done.exit_code, String::from_utf8_lossy(&output));
        return Err(Refusal::internal(message));
    }
    Ok(answer::text(output))
}

/// WebSocket clients are translated, SPDY clients passed through.
async fn remote_command(request: Request<Incoming>, url: &str, streams: Streams) -> Result<Answer, Refusal> {
    if !websocket::is_upgrade(request.headers()) {
        return pass(request, url).await;
    }
    let handshake = Handshake::of(request.method(), request.headers(), Codec::REMOTE_COMMAND)
        .map_err(|error| Refusal::bad_request(error.to_string()))?;
    let codec = Codec::of(&handshake.protocol);
    let runtime = spdy_upgrade(url, SPDY_PROTOCOL).await?;
    switch(request, &handshake, move |client| async move {
        let runtime = spdy::Connection::spawn_client(TokioIo::new(runtime));
        remote_command::bridge(websocket::server(client).await, codec, runtime, streams).await;
    })
}

/// Answers `101`, and goes on with `session` once the client has it.
fn switch<F, S>(mut request: Request<Incoming>, handshake: &Handshake, session: F) -> Result<Answer, Refusal>
where
    F: FnOnce(TokioIo<Upgraded>) -> S + Send + 'static,
    S: Future<Output = ()> + Send,
{
    let upgrade = upgrade_of(&mut request)?;
    tokio::spawn(async move {
        match upgrade.await {
            Ok(client) => session(TokioIo::new(client)).await,
            Err(error) => tracing::debug!(%error, "a WebSocket did not come about"),
        }
    });
    let response: Response<()> = handshake.response();
    Ok(response.map(|()| answer::full("")))
}

/// Passes an upgrade to the runtime's streaming server, and then the bytes of both directions.
async fn pass(mut request: Request<Incoming>, url: &str) -> Result<Answer, Refusal> {
    if !forward::asks_for_upgrade(request.headers()) {
        return Err(Refusal::bad_request("Upgrade request required"));
    }
    let client = upgrade_of(&mut request)?;
    let mut headers = request.headers().clone();
    forward::strip_hop_by_hop(&mut headers);
    headers.remove(http::header::AUTHORIZATION);
    headers.remove(http::header::CONTENT_LENGTH);
    let mut response = ask(url, request.method().clone(), headers).await?;
    if forward::is_upgraded(&response) {
        forward::spawn_splice(client, hyper::upgrade::on(&mut response));
        return Ok(response.map(|_| answer::full("")));
    }
    forward::strip_hop_by_hop(response.headers_mut());
    Ok(response.map(|body| body.map_err(Into::into).boxed_unsync()))
}

/// A connection of our own to the runtime's streaming server, upgraded to SPDY/3.1.
async fn spdy_upgrade(url: &str, protocol: &'static str) -> Result<Upgraded, Refusal> {
    let mut headers = HeaderMap::new();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("SPDY/3.1"));
    headers.insert("x-stream-protocol-version", HeaderValue::from_static(protocol));
    let response = ask(url, Method::POST, headers).await?;
    if !forward::is_upgraded(&response) {
        let code = response.status();
        return Err(Refusal::internal(format!(
            "the container runtime's streaming server answered {code} to an upgrade"
        )));
    }
    hyper::upgrade::on(response).await.map_err(|error| unreachable_runtime(url, &error))
}

async fn ask(url: &str, method: Method, mut headers: HeaderMap) -> Result<Response<Incoming>, Refusal> {
    let parsed: Uri = url.parse().map_err(|error| unreachable_runtime(url, &error))?;
    let authority = parsed.authority().ok_or_else(|| Refusal::internal(format!("the runtime gave the URL {url:?}")))?;
    headers.insert(HOST, HeaderValue::try_from(authority.as_str()).map_err(|error| unreachable_runtime(url, &error))?);
    let address = (authority.host().trim_matches(['[', ']']), authority.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(address).await.map_err(|error| unreachable_runtime(url, &error))?;
    let _ = stream.set_nodelay(true);
    let path = parsed.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::new(http_body_util::Empty::<bytes::Bytes>::new());
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().map_err(|error| unreachable_runtime(url, &error))?;
    *request.headers_mut() = headers;
    forward::send(stream, request).await.map_err(|error| unreachable_runtime(url, &error))
}

/// The path of the URL is a one-time token, so it is not told.
fn unreachable_runtime(url: &str, error: &dyn std::fmt::Display) -> Refusal {
    let host = url.split('/').nth(2).unwrap_or_default();
    Refusal::internal(format!("cannot reach the container runtime's streaming server at {host}: {error}"))
}

fn upgrade_of(request: &mut Request<Incoming>) -> Result<OnUpgrade, Refusal> {
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    upgrade.ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "this connection cannot be upgraded"))
}

/// The streams that the client asks for, under the kubelet's names.
fn streams(query: Option<&str>) -> Result<Streams, Refusal> {
    let has = |name: &str| values(query, name).next().is_some_and(|value| value == "1" || value == "true");
    let terminal = has("tty");
    // A terminal has one output.
    let streams = Streams { stdin: has("input"), stdout: has("output"), stderr: has("error") && !terminal, terminal };
    if !streams.stdin && !streams.stdout && !streams.stderr {
        return Err(Refusal::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
    }
    Ok(streams)
}

fn has_terminal(pod: &Pod, container: &str) -> bool {
    let Some(spec) = pod.spec.as_ref() else { return false };
    let all = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let ephemeral = spec.ephemeral_containers.iter().flatten().map(|it| (it.name.as_str(), it.tty));
    let mut all = all.map(|it| (it.name.as_str(), it.tty)).chain(ephemeral);
    all.any(|(name, tty)| name == container && tty == Some(true))
}

fn values<'a>(query: Option<&'a str>, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    pairs.filter(move |(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_a_stream_at_least_and_a_terminal_one_output() {
        let all = Streams { stdin: true, stdout: true, stderr: true, terminal: false };
        for (query, expected) in [
            ("input=1&output=1&error=1", Ok(all)),
            ("input=1&output=1&error=1&tty=1", Ok(Streams { stderr: false, terminal: true, ..all })),
            ("output=1&command=ls", Ok(Streams { stdout: true, ..Streams::default() })),
            ("command=ls", Err(Refusal::bad_request("you must specify at least 1 of stdin, stdout, stderr"))),
            ("error=1&tty=1", Err(Refusal::bad_request("you must specify at least 1 of stdin, stdout, stderr"))),
        ] {
            assert_eq!(streams(Some(query)), expected, "{query}");
        }
    }

    #[test]
    fn the_token_in_a_streaming_url_is_not_told() {
        let refusal = unreachable_runtime("http://127.0.0.1:39000/exec/SECRET", &"refused");
        assert!(refusal.message.contains("127.0.0.1:39000") && !refusal.message.contains("SECRET"));
    }
}
